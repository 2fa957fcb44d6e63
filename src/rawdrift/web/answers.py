"""What a trained network answers to a view."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rawdrift import imports
from rawdrift.checks import InputError, choose
from rawdrift.models.classification import Classification
from rawdrift.models.networks import load_checkpoint
from rawdrift.models.segmentation import Segmentation
from rawdrift.models.spec import Task
from rawdrift.models.targets import Targets, class_order
from rawdrift.runs.spec import read_yaml

_NONE = torch.zeros(0, dtype=torch.long)
_SAVED = "models", "networks"  # folders of a run
_LARGEST = 1 << 20  # pixels of a frame that is answered as a whole


def of_run(run: Path, training: str | None) -> Task:
    """Return a network that a run has trained, as a checkpoint: of forensics, or of an optimization
    that saved its networks.

    training: the name of its file, if there are several. Raises InputError if there is none.
    """
    files = (path for folder in _SAVED for path in sorted(run.glob(f"{folder}/*.safetensors")))
    saved = {path.stem: path for path in files}
    if not saved:
        raise InputError(
            f"{run} has no trained network; expected a run of forensics, or of an optimization "
            f"with optimization.save_networks, or give --task.model and --task.checkpoint"
        )
    name = choose("training", training or next(iter(saved)), saved)
    try:
        spec = read_yaml(run / "spec.yaml")["task"]
        given = {field: spec[field] for field in ("model", "kind", "mask")}
    except (OSError, KeyError, TypeError):
        raise InputError(f"{run} does not say in its spec.yaml what its networks are") from None
    imports.check_allowed(imports.references(given), str(run / "spec.yaml"))
    return replace(Task(), **given, checkpoint=str(saved[name]))


class Network:
    """The network of `task.checkpoint`, loaded once for each size of views.

    tile: height and width of the part of a large frame that is answered, in pixels.
    """

    def __init__(self, task: Task, tile: int):
        names = class_order(task)
        is_mask = task.kind == "segmentation" or task.model == "unetplusplus"
        self._targets: Targets
        if is_mask:
            names = ("object",) if task.mask == "binary" else names
        if names is None:
            raise InputError(
                f"{task.checkpoint} does not name its outputs; give --task.classes, such as "
                f'"[a, b, c]"'
            )
        kind: type[Targets] = Segmentation if is_mask else Classification
        self._targets = kind(names, _NONE)
        self._task, self.tile = task, tile
        self._nets: dict[tuple[int, int], nn.Module] = {}
        self._net((tile, tile))  # what is wrong with the file is said at the start

    @property
    def title(self) -> str:
        """The network in a few words."""
        return f"{self._task.model}, {Path(self._task.checkpoint or '').name}"

    def part(self, size: tuple[int, int], row: int, column: int) -> tuple[slice, slice]:
        """Return what is answered of a frame: all of it, or the tile around a pixel."""
        if size[0] * size[1] <= _LARGEST:
            return slice(0, size[0]), slice(0, size[1])

        def around(place: int, whole: int) -> slice:
            length = min(self.tile, whole)
            start = max(0, min(place - length // 2, whole - length))
            return slice(start, start + length)

        return around(row, size[0]), around(column, size[1])

    def answer(self, view: Tensor) -> dict[str, Any]:
        """Return the shares of the classes of a view (3, H, W), by softmax, or of its pixels."""
        net = self._net((view.shape[-2], view.shape[-1]))
        with torch.inference_mode():
            logits = net(view.float()[None])[0].float()
        if not bool(logits.isfinite().all()):
            raise InputError("the network answers this view with numbers that are not finite")
        names = self._targets.names
        shape = self._targets.logits_shape((view.shape[-2], view.shape[-1]))
        if tuple(logits.shape) != shape:
            raise InputError(f"the network gives logits {tuple(logits.shape)}, expected {shape}")
        if not self._targets.of_pixels:
            shares = logits.softmax(0) if len(names) > 1 else logits.sigmoid()
            return {"shares": _named(names, shares), "of_pixels": False}
        if len(names) == 1:
            classes = (logits[0] > 0).to(torch.uint8)
            likely = (logits[0].sigmoid() - 0.5).abs().mean() + 0.5
            shares = classes.float().mean()[None]
        else:
            classes = logits.argmax(0).to(torch.uint8)
            likely = logits.softmax(0).amax(0).mean()
            shares = torch.stack([(classes == k).float().mean() for k in range(len(names))])
        return {
            "shares": _named(names, shares),
            "of_pixels": True,
            "confidence": float(likely),
            "mask": np.packbits(classes.numpy() > 0).tobytes().hex(),
        }

    def _net(self, size: tuple[int, int]) -> nn.Module:
        if size not in self._nets:
            if len(self._nets) > 4:
                self._nets.clear()
            self._nets[size] = load_checkpoint(self._task, self._targets, size)
        return self._nets[size]


def _named(names: tuple[str, ...], shares: Tensor) -> list[list[Any]]:
    return [[name, float(share)] for name, share in zip(names, shares, strict=True)]
