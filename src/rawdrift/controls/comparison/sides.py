"""The two ISPs of a comparison, and those between them: some steps of the one, others of the other.

Steps of both ISPs are paired by their names. Those that differ are stages: each can be switched
by itself. If the order of common steps differs, that is a stage of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import NamedTuple

import torch

from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError
from rawdrift.configurations import is_external, is_file
from rawdrift.controls.material import read_isp
from rawdrift.isp.external import External
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.presets import static
from rawdrift.isp.step import Step
from rawdrift.isp.yuv import Channels
from rawdrift.models.chain import Develop

MOST = 8
"""Stages that are switched each by itself; of more, the first ones are one stage."""
ORDER = "order of steps"
UNEXPLAINED = "unexplained"
"""The one stage where an ISP is a black box, whose steps nobody can switch."""

Steps = Mapping[str, Step]


class Side(NamedTuple):
    """An ISP of the comparison. pipelines: one for each camera of the data. camera: of a file."""

    pipelines: list[Pipeline]
    camera: Camera | None


def side(reference: str, cameras: Sequence[Camera], channels: Channels) -> Side:
    """Return the ISP of a reference. Raises InputError if it is not for these cameras."""
    if is_external(reference):
        box = External(reference, cameras[0])
        return Side([box.of(camera) for camera in cameras], None)
    if is_file(reference):
        camera, pipeline = read_isp(reference, cameras)
        return Side([pipeline], camera)
    return Side([static(reference, camera, channels) for camera in cameras], None)


def not_moved(before: Side, after: Side, cameras: Sequence[Camera]) -> list[str]:
    """Return what the camera of `after` states of its sensor that is not so in the raw files, which
    are of another sensor."""
    if after.camera is None:
        return []
    own = before.camera or cameras[0]
    words = {"noise": "noise", "optics": "point spread", "black_level": "black level"}
    return [word for name, word in words.items() if _states_other(own, after.camera, name)]


def _states_other(own: Camera, other: Camera, name: str) -> bool:
    value = getattr(other, name)
    return value is not None and value != getattr(own, name)


class Stage(NamedTuple):
    """What is switched together: the names of steps, or `ORDER`. before, after: in words, "" where
    there is no such step."""

    name: str
    steps: tuple[str, ...]
    before: str
    after: str


class Between:
    """The ISPs that have some stages of `after` and the others of `before`.

    A coalition of stages is a whole number whose bit i says whether stage i is that of `after`:
    0 is `before`, 2 ** K - 1 is `after`.

    Raises InputError if the two ISPs are the same.
    """

    def __init__(self, before: Side, after: Side):
        self._pairs = [
            (one, other) for one, other in zip(before.pipelines, after.pipelines, strict=True)
        ]
        self._is_whole = any(isinstance(isp, External) for pair in self._pairs for isp in pair)
        self.stages = _few([*self._differences()])
        if not self.stages:
            raise InputError(
                "comparison.before and comparison.after are the same ISP: all steps have the same "
                "numbers; there is nothing to decide"
            )

    @property
    def coalitions(self) -> range:
        return range(2 ** len(self.stages))

    def develop(self, coalition: int) -> Develop:
        """Return the ISP of a coalition, for each camera."""
        if self._is_whole:
            return Develop([pair[coalition] for pair in self._pairs])
        chosen = {
            name
            for i, stage in enumerate(self.stages)
            if coalition >> i & 1
            for name in stage.steps
        }
        return Develop([_mixed(one, other, chosen) for one, other in self._pairs])

    def _differences(self) -> Iterator[Stage]:
        if self._is_whole:
            first, second = (next(iter(isp.steps.values())) for isp in self._pairs[0])
            yield Stage(UNEXPLAINED, (), _words(first, second), _words(second, first))
            return
        names = dict.fromkeys(
            name for one, other in self._pairs for name in _merged(one.steps, other.steps)
        )
        for name in names:
            for one, other in self._pairs:  # the first camera for which they differ
                a, b = one.steps.get(name), other.steps.get(name)
                if not _same(a, b):
                    yield Stage(name, (name,), _words(a, b), _words(b, a))
                    break
        for one, other in self._pairs:
            if _common(one.steps, other.steps) != _common(other.steps, one.steps):
                orders = (
                    ", ".join(_common(x.steps, y.steps)) for x, y in ((one, other), (other, one))
                )
                yield Stage(ORDER, (ORDER,), *orders)
                break


def _few(stages: list[Stage]) -> list[Stage]:
    """Join the first stages if there are more than `MOST`."""
    joined = stages[: len(stages) - MOST + 1] if len(stages) > MOST else []
    if not joined:
        return stages
    first = Stage(
        " + ".join(stage.name for stage in joined),
        tuple(name for stage in joined for name in stage.steps),
        *("; ".join(filter(None, words)) for words in zip(*(s[2:] for s in joined), strict=True)),
    )
    return [first, *stages[len(joined) :]]


def _mixed(before: Pipeline, after: Pipeline, chosen: set[str]) -> Pipeline:
    """Return the pipeline with the chosen steps of `after`, and the others of `before`."""
    one, other = before.steps, after.steps
    names = _merged(other, one) if ORDER in chosen else _merged(one, other)
    picked = {name: (other if name in chosen else one).get(name) for name in names}
    steps = {name: deepcopy(step) for name, step in picked.items() if step is not None}
    return Pipeline(steps, before.bit_depth)


def _merged(one: Steps, other: Steps) -> list[str]:
    """Return the names of all steps in the order of `one`; what `other` has more follows the step
    that it follows there."""
    names = list(one)
    previous = None
    for name in other:
        if name not in names:
            names.insert(0 if previous is None else names.index(previous) + 1, name)
        previous = name
    return names


def _common(one: Steps, other: Steps) -> list[str]:
    return [name for name in one if name in other]


def _same(one: Step | None, other: Step | None) -> bool:
    """Whether two steps give the same views."""
    if one is None or other is None or type(one) is not type(other):
        return one is other
    numbers, others = one.tensors(), other.tensors()
    return all(getattr(one, name) == getattr(other, name) for name in one.options) and all(
        value.shape == others[name].shape and torch.equal(value.detach(), others[name].detach())
        for name, value in numbers.items()
    )


def _words(step: Step | None, other: Step | None) -> str:
    """Say which step it is, with its numbers if the other is of the same kind."""
    if step is None:
        return "none"
    kind = type(step).__name__
    return "; ".join(step.shown_numbers()) if type(step) is type(other) else kind
