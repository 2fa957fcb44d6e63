"""Pictures of a sweep: drifted samples, and the stages of one image."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from rawdrift import files
from rawdrift.controls.stages import stages
from rawdrift.controls.synthesis.samples import AMPLIFIED, SAMPLES
from rawdrift.isp.develop import encode, picture
from rawdrift.isp.pipeline import Pipeline
from rawdrift.models import losses
from rawdrift.models.chain import BATCH
from rawdrift.models.metrics import outcome
from rawdrift.runs.store import Record

if TYPE_CHECKING:
    from rawdrift.controls.forensics.experiment import DriftForensics

STRIPS = 3  # images that are shown for every regularization


def pictures(
    sweep: "DriftForensics", searches: Sequence[Record], worst: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """Write samples of the worst search to `folder`/samples, anew; returns their names, and what
    was answered.

    images: those that lose most, with their default view, the drifted one and the difference.
    strips: the first of them for every regularization of the worst group. stages: the first one's.
    """
    shutil.rmtree(folder / "samples", ignore_errors=True)
    shown = _Shown(sweep, worst["fold"], folder)
    here = {
        record["regularization"]: record
        for record in searches
        if (record["group"], record["fold"]) == (worst["group"], worst["fold"])
    }
    record = here[worst["regularization"]]
    before, after = (
        sweep.scores.of(np.array(record["features"][key])) for key in ("default", "worst")
    )
    lost = np.nan_to_num(before - after)
    order = np.lexsort((np.arange(len(lost)), np.nan_to_num(after, nan=2.0), -lost))
    chosen = [sweep.tests[worst["fold"]][i] for i in order[:SAMPLES].tolist()]
    space = sweep.groups[worst["group"]]

    def drifted(found: Mapping[str, Any]) -> Pipeline:
        return space.pipeline(sweep.isp, np.array(list(found["parameters"].values())))

    at_worst = drifted(worst["setting"])
    images = []
    for number, index in enumerate(chosen):
        default, other = (shown.view(isp, index) for isp in (sweep.isp, at_worst))
        change = (0.5 + AMPLIFIED * (other - default)).clamp(0, 1)
        entry = shown.answers(index, default, "matched_") | shown.answers(index, other, "")
        for key, view in (("matched_view", default), ("view", other), ("change", change)):
            entry[key] = shown.write(f"worst/{number}-{key.removesuffix('_view')}", view)
        images.append(entry)
    strips = []
    for number, index in enumerate(chosen[:STRIPS]):
        views: list[dict[str, Any]] = []
        for regularization, search in sorted(here.items()):
            view = shown.view(drifted(search["methods"]["gradient"]), index)
            name = shown.write(f"strips/{number}-{len(views)}", view)
            found = shown.answers(index, view, "")
            views.append({"regularization": regularization, "view": name, **found})
        strips.append({"matched_view": images[number]["matched_view"], "views": views})
    return {
        "amplified": AMPLIFIED,
        "images": images,
        "strips": strips,
        "stages": shown.stages({"default": sweep.isp, "drifted": at_worst}, chosen),
    }


class _Shown:
    """The model of a fold, and pictures of images that it is asked about, on the CPU."""

    def __init__(self, sweep: "DriftForensics", fold: int, folder: Path):
        self.data, self.targets, _ = sweep.material
        self.net: nn.Module = sweep.models[fold].get(folder)
        self.loss = losses.build(sweep.spec.task, self.targets, torch.arange(len(self.data)))
        self.scores = sweep.scores
        self.folder = folder

    def view(self, isp: Pipeline, index: int) -> Tensor:
        """(3, H, W)."""
        with torch.inference_mode():
            view: Tensor = isp.cpu()(self.data.mosaics[index]).float()
            return view

    def answers(self, index: int, view: Tensor, prefix: str) -> dict[str, Any]:
        truth = self.targets.values[index][None]
        with torch.inference_mode():
            found = outcome(self.net(view[None].clone()), truth)
        told: dict[str, Any] = {"image": self.data.images[index]}
        if self.targets.kind == "classification":
            told["label"] = self.targets.names[int(truth)]
            told[f"{prefix}prediction"] = self.targets.names[int(found)]
        else:
            features = self.scores.features(found.numpy(), np.zeros(1))
            told[f"{prefix}score"] = float(self.scores.of(features.sum(0)))
        return told

    def write(self, name: str, view: Tensor) -> str:
        path = f"samples/{name}.png"
        files.write(self.folder / path, encode(picture(view), bits=8))
        return path

    def stages(self, isps: Mapping[str, Pipeline], indices: Sequence[int]) -> list[dict[str, Any]]:
        """Of the first image: what every step gave, each stretched to its range in the default
        pipeline, and how strongly the loss depends on it there. leverage: of all images."""
        batch = torch.tensor(indices[:BATCH])
        mosaics, truth = self.data.mosaics[batch], self.targets.values[batch].long()
        found = {
            name: stages(isp.cpu(), self.net, mosaics, truth, self.loss)
            for name, isp in isps.items()
        }
        told = []
        for step, default in found["default"].items():
            low, high = np.quantile(default.view[0].numpy(), [0.005, 0.995])
            entry: dict[str, Any] = {"step": step}
            for name, of in found.items():
                view = (of[step].view[0] - low) / max(high - low, 1e-12)
                slope = of[step].magnitude[0]
                slope = slope / slope.quantile(0.995).clamp(min=1e-30)
                entry[name] = {
                    "view": self.write(f"stages/{step}-{name}", _rgb(view)),
                    "gradient": self.write(f"stages/{step}-{name}-gradient", _rgb(slope)),
                    "leverage": of[step].leverage,
                }
            told.append(entry)
        return told


def _rgb(view: Tensor) -> Tensor:
    return (view if view.ndim == 3 else view.expand(3, *view.shape)).clamp(0, 1).float()
