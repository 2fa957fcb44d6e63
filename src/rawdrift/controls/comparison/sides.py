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
from rawdrift.controls.comparison.other_sensor import Difference, OtherSensor
from rawdrift.controls.comparison.result import UNEXPLAINED
from rawdrift.controls.comparison.spec import Comparison
from rawdrift.controls.comparison.stand_in import Rest, WithRest
from rawdrift.controls.material import read_isp
from rawdrift.data import pairs
from rawdrift.isp.external import External
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.presets import static
from rawdrift.isp.step import Step
from rawdrift.isp.yuv import Channels
from rawdrift.models.chain import Develop

MOST = 8
"""Stages that are switched each by itself; of more, the first ones are one stage."""
ORDER = "order of steps"
SENSOR = "sensor"

Steps = Mapping[str, Step]


class Side(NamedTuple):
    """An ISP of the comparison. pipelines: one for each camera of the data. camera: of a file."""

    pipelines: list[Pipeline]
    camera: Camera | None = None

    @property
    def box(self) -> External | None:
        """The black box that it is, of the first camera."""
        return self.pipelines[0] if isinstance(self.pipelines[0], External) else None


def sides(comparison: Comparison, cameras: Sequence[Camera]) -> tuple[Side, Side]:
    """Return the ISPs before and after, or those that show the pictures of pairs."""
    if comparison.before is None:
        before, after = (Side([isp]) for isp in pairs.pictures())
    else:
        before, after = (side(one, cameras, comparison.channels) for one in comparison.references)
    return before, after


def side(reference: str, cameras: Sequence[Camera], channels: Channels) -> Side:
    """Return the ISP of a reference. Raises InputError if it is not for these cameras."""
    if is_external(reference):
        box = External(reference, cameras[0])
        return Side([box.of(camera) for camera in cameras])
    if is_file(reference):
        camera, pipeline = read_isp(reference, cameras)
        return Side([pipeline], camera)
    return Side([static(reference, camera, channels) for camera in cameras])


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

    sensor: what moves raw files to the sensor after. fitted: in place of black boxes before and
    after; what they leave unexplained is a stage of its own. Without them, and for pictures, all is
    one stage.

    Raises InputError if the two ISPs are the same.
    """

    def __init__(
        self,
        before: Side,
        after: Side,
        sensor: Difference | None = None,
        fitted: Sequence[Pipeline | None] = (None, None),
    ):
        self._ends = [
            (one, _behind(sensor, other))
            for one, other in zip(before.pipelines, after.pipelines, strict=True)
        ]
        self._pairs = [(fitted[0] or one, fitted[1] or other) for one, other in self._ends]
        self._rests = [
            None if side.box is None or isp is None else Rest(side.box, isp)
            for side, isp in zip((before, after), fitted, strict=True)
        ]
        self._is_whole = any(
            isinstance(isp, External)
            or any(isinstance(s, pairs.Picture) for s in isp.steps.values())
            for pair in self._pairs
            for isp in pair
        )
        stages = [*self._differences()]
        if sensor is not None and sensor.moves_black:
            stages = [*_joined(stages, SENSOR, ("black_level",))]
        self.stages = _few(stages, MOST - any(self._rests))
        if any(self._rests) and not self._is_whole:
            self.stages.append(Stage(UNEXPLAINED, (UNEXPLAINED,), *map(_rest_words, self._rests)))
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
        is_before, is_after = coalition == 0, coalition == self.coalitions[-1]
        if self._is_whole:
            return Develop([pair[coalition] for pair in self._ends])
        if (is_before and self._rests[0]) or (is_after and self._rests[1]):
            return Develop([pair[is_after] for pair in self._ends])
        chosen = {
            name
            for i, stage in enumerate(self.stages)
            if coalition >> i & 1
            for name in stage.steps
        }
        isps = [_mixed(one, other, chosen) for one, other in self._pairs]
        rest = self._rests[UNEXPLAINED in chosen]
        return Develop(isps if rest is None else [WithRest(isp, rest) for isp in isps])

    def _differences(self) -> Iterator[Stage]:
        if self._is_whole:
            first, second = (next(iter(isp.steps.values())) for isp in self._ends[0])
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


def _behind(sensor: Difference | None, isp: Pipeline) -> Pipeline:
    """Return the ISP behind another sensor."""
    if sensor is None or sensor.step is None:
        return isp
    return isp.insert(SENSOR, sensor.step, before=next(iter(isp.steps)))


def _rest_words(rest: Rest | None) -> str:
    return "none" if rest is None else f"what the fitted ISP leaves of {rest.box.reference}"


def _joined(stages: list[Stage], name: str, others: Sequence[str]) -> Iterator[Stage]:
    """Yield the stages, of which others are switched together with one of this name."""
    moved = [stage for stage in stages if stage.name in others]
    for stage in stages:
        if stage.name == name:
            yield _together([stage, *moved], name)
        elif stage not in moved:
            yield stage


def _together(stages: Sequence[Stage], name: str) -> Stage:
    words = (
        "; ".join(dict.fromkeys(filter(None, words)))
        for words in zip(*(stage[2:] for stage in stages), strict=True)
    )
    return Stage(name, tuple(step for stage in stages for step in stage.steps), *words)


def _few(stages: list[Stage], most: int = MOST) -> list[Stage]:
    """Join the first stages if there are more than so many."""
    first = stages[: len(stages) - most + 1] if len(stages) > most else []
    if not first:
        return stages
    return [_together(first, " + ".join(stage.name for stage in first)), *stages[len(first) :]]


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
    if isinstance(step, OtherSensor):
        return "; ".join(step.moved)
    kind = type(step).__name__
    return "; ".join(step.shown_numbers()) if type(step) is type(other) else kind
