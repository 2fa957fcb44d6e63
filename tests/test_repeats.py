"""task.repeats trains each fold with other seeds, and nothing else changes."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

import rawdrift as rd
from pages import no_figures
from rawdrift.controls.material import training_seed
from rawdrift.controls.optimization import selection
from rawdrift.controls.optimization.experiment import DriftOptimization
from rawdrift.controls.optimization.records import Unit
from rawdrift.controls.run import write_page
from rawdrift.controls.synthesis import experiment as synthesis

TASK = rd.Task("import:nets.blocks", epochs=1, batch_size=6, lr=1e-2, precision="32")
DATA = rd.Data("synthetic-microscopy", images=18, size=32, balanced=True)
SYNTHESIS = rd.SynthesisSpec(
    DATA, rd.Synthesis(["bi,s,ga", "ma,u,me"], folds=2, corruptions=[]), TASK
)
OPTIMIZATION = rd.OptimizationSpec(
    DATA, rd.Optimization(["frozen", "learned"], intensities=[1.0], folds=2), TASK
)


def twice(spec):
    return replace(spec, task=replace(spec.task, repeats=2))


def rows(run):
    with (run / "results.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("spec", [SYNTHESIS, OPTIMIZATION], ids=["synthesis", "optimization"])
def test_the_first_training_of_each_fold_keeps_its_numbers(spec, tmp_path):
    rd.run(spec, tmp_path / "once")
    result = rd.run(twice(spec), tmp_path / "twice")
    once, both = rows(tmp_path / "once"), rows(tmp_path / "twice")
    assert "repeat" not in once[0]
    first = [
        {k: v for k, v in row.items() if k != "repeat"} for row in both if row["repeat"] == "0"
    ]
    other = [
        {k: v for k, v in row.items() if k != "repeat"} for row in both if row["repeat"] == "1"
    ]
    assert first == once
    assert len(other) == len(once)
    assert other != once
    names = {path.stem for path in (tmp_path / "twice/records").glob("*.json")}
    single = {path.stem for path in (tmp_path / "once/records").glob("*.json")}
    assert names == single | {f"{name}_repeat1" for name in single}
    assert rd.load_result(tmp_path / "twice") == result
    if spec is SYNTHESIS:
        for cell in result.cells:
            values = [
                float(row["value"])
                for row in both
                if (row["train"], row["test"], row["metric"]) == (cell.train, cell.test, "accuracy")
            ]
            assert len(values) == 4
            assert cell.mean == pytest.approx(np.mean(values))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rawdrift.report.page.draw", no_figures)
        assert write_page(tmp_path / "twice").is_file()


def test_a_repeat_that_failed_is_trained_again_and_the_rest_is_kept(tmp_path, monkeypatch):
    rd.run(twice(SYNTHESIS), tmp_path / "whole")
    train, seeds = synthesis.train, []

    def stopped(*args, seed, **kwargs):
        seeds.append(seed)
        if len(seeds) == 4:
            raise KeyboardInterrupt
        return train(*args, seed=seed, **kwargs)

    monkeypatch.setattr(synthesis, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        rd.run(twice(SYNTHESIS), tmp_path / "run")
    assert rd.plan(twice(SYNTHESIS), tmp_path / "run").lines()[-3] == "8 units, 3 done, 5 to do"
    rd.run(twice(SYNTHESIS), tmp_path / "run")
    assert len(seeds) == 4 + 5
    assert len(set(seeds)) == 4  # of two folds and two repeats, the same for each pipeline
    assert (tmp_path / "run/results.csv").read_bytes() == (
        tmp_path / "whole/results.csv"
    ).read_bytes()


def test_seeds_differ_by_repeat_and_the_first_are_as_before():
    seeds = [training_seed(7, fold, repeat) for fold in range(20) for repeat in range(20)]
    assert len(set(seeds)) == 400
    before = np.random.SeedSequence([7, 3]).generate_state(1)[0]
    assert training_seed(7, 3) == training_seed(7, 3, 0) == before


def test_repeats_are_refused_where_nothing_is_compared_or_trained(tmp_path):
    with pytest.raises(rd.InputError, match=r"task\.repeats must be a whole number of at least 1"):
        rd.Task(repeats=0)
    with pytest.raises(rd.InputError, match=r"task\.repeats.*task\.checkpoint"):
        rd.Task(checkpoint=str(tmp_path), repeats=2)
    with pytest.raises(rd.InputError, match=r"task\.repeats is 2.*leave task\.repeats at 1"):
        rd.ForensicsSpec(DATA, task=rd.Task(repeats=2))


def test_pixels_of_test_images_change_nothing_of_the_training(tmp_path):
    settings = ["frozen", "learned", "direct", "neural", "static-best"]
    spec = replace(OPTIMIZATION, optimization=replace(OPTIMIZATION.optimization, settings=settings))
    learned = {}
    for changed in (False, True):
        experiment = DriftOptimization(spec)
        data, _, splits = experiment.materials[1.0]
        if changed:
            mosaics = data.mosaics.numpy().copy()
            mosaics[splits[0].test] = mosaics[splits[0].test] // 3 + 9000
            bright = replace(data, mosaics=torch.from_numpy(mosaics))
            experiment.materials[1.0] = experiment.materials[1.0]._replace(data=bright)
        for setting in settings:
            unit = Unit(setting, 1.0, 0, 0)
            record = experiment.compute(unit, "cpu", tmp_path / "checkpoint", lambda: None)
            answers = [row for row in record.rows if row["split"] == "train"]
            values = [(isp.initial, [at.values for at in isp.path]) for isp in record.isps]
            learned.setdefault(setting, []).append((answers, values, record.choice))
    for setting, (one, other) in learned.items():
        assert one == other, setting


def test_static_best_breaks_ties_by_loss(tmp_path):
    experiment = DriftOptimization(OPTIMIZATION)
    scores = selection.Scores(tmp_path / "scores", [])
    names = rd.isp.CONFIGURATIONS
    held = dict.fromkeys(names, (0.5, 0.7)) | {
        names[3]: (0.75, 0.6), names[5]: (0.75, 0.4), names[8]: (0.75, 0.5), names[9]: None
    }  # fmt: skip
    scores.write(held)
    unit = Unit("static-best", 1.0, 0, 0)
    choice = selection.choose(
        unit, experiment.material, "luma", TASK, lambda *args, **kwargs: None, 0, scores
    )
    assert choice.chosen == names[5]
    assert choice.losses[names[8]] == 0.5
    assert choice.validation[names[9]] is None
