"""Runs of drift synthesis whose answers are invented, from the records on."""

from dataclasses import replace

import numpy as np
import torch

import rawdrift as rd
from rawdrift.controls.gallery import Gallery
from rawdrift.controls.material import Material
from rawdrift.controls.synthesis.analysis import analyze
from rawdrift.controls.synthesis.grid import Grid
from rawdrift.controls.synthesis.result import SynthesisRecord
from rawdrift.controls.synthesis.samples import illustrate
from rawdrift.data.dataset import RawDataset
from rawdrift.data.splits import Split
from rawdrift.models.targets import targets_of
from rawdrift.runs.store import Environment, Finished

N = 300
OWN = "bi,s,ga"


class Invented:
    """Answers are right, but where `wrong` says otherwise.

    wrong: (train, case key) -> images with a wrong answer. far: case key -> distance of views.
    """

    def __init__(self, trained=(OWN,), wrong=None, far=None, folds=3, groups=None, corruptions=()):
        labels = torch.arange(N) % 2
        self.data = RawDataset(
            mosaics=torch.zeros(N, 8, 8, dtype=torch.uint16),
            images=tuple(map(str, range(N))),
            cameras=(rd.Camera(name="x", cfa="RGGB"),),
            camera_index=torch.zeros(N, dtype=torch.long),
            classes=("a", "b"),
            labels=labels,
            groups=groups,
        )
        order = np.random.default_rng(0).permutation(N)
        tests = [np.sort(part) for part in np.array_split(order, folds)]
        self.material = Material(
            self.data,
            targets_of(self.data, rd.Task()),
            [Split(np.setdiff1d(order, test), test) for test in tests],
        )
        self.spec = rd.SynthesisSpec(
            rd.Data("synthetic-microscopy"),
            rd.Synthesis(train=list(trained), folds=folds, corruptions=list(corruptions)),
        )
        self.cases = self.spec.synthesis.cases
        self.distance = {
            case.key: {
                "dssim": (far or {}).get(case.key, 0.0),
                "mse": (far or {}).get(case.key, 0.0) ** 2,
            }
            for case in self.cases
        }
        self.units = []
        for train in trained:
            answers = {}
            for case in self.cases:
                answers[case.key] = labels.numpy().copy()
                answers[case.key][list((wrong or {}).get((train, case.key), ()))] ^= 1
            for fold, test in enumerate(tests):
                outcomes = {key: found[test].tolist() for key, found in answers.items()}
                self.units.append(self.unit(train, fold, outcomes))

    def unit(self, train, fold, outcomes):
        record = SynthesisRecord(
            rows=[], precision="32", train=train, fold=fold,
            outcomes=outcomes, distance=self.distance,
        )  # fmt: skip
        environment = Environment(
            inputs=[], device="cpu", threads=1, torch="2", seconds=1.0,
            finished=f"2026-11-22T21:40:0{fold}+00:00",
        )  # fmt: skip
        return Finished(record, environment)

    def result(self, failed=None, units=None):
        """What the answers come to, without pictures."""
        units = self.units if units is None else units
        return analyze(self.spec, self.material, units, failed or {})

    def write(self, folder):
        """Leave a run folder as a synthesis does; return its result."""
        pictures = Gallery(folder)
        result = illustrate(self.result(), self.grid(), self.spec, self.material, {}, pictures)
        result.save(folder / "summary.json")
        (folder / "results.csv").write_text("train,test,fold,metric,value\n")
        return result

    def grid(self):
        records = [unit.record for unit in self.units]
        return Grid(self.material, self.cases, self.spec.synthesis.train, records, 0)


def everywhere(train, images):
    return {(train, f"isp/{test}"): set(images) for test in rd.isp.CONFIGURATIONS}


def of_checkpoint(found):
    """The same answers, by a user's model that is tested as it is."""
    tests = [split.test for split in found.material.splits]
    outcomes = {}
    for key in found.units[0].record.outcomes:
        whole = np.zeros(N, dtype=int)
        for unit, test in zip(found.units, tests, strict=True):
            whole[test] = unit.record.outcomes[key]
        outcomes[key] = whole.tolist()
    found.units = [found.unit(OWN, 0, outcomes)]
    everything = np.arange(N)
    found.material = found.material._replace(splits=[Split(everything[:0], everything)])
    task = replace(found.spec.task)
    object.__setattr__(task, "checkpoint", "model.safetensors")  # no such file is needed here
    found.spec = replace(found.spec)
    object.__setattr__(found.spec, "task", task)
    return found
