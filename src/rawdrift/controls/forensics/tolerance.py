"""The envelope: the settings of a camera that keep the metric, with a stated confidence."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from torch import nn

from rawdrift import progress
from rawdrift.checks import InputError, is_number
from rawdrift.controls.forensics.chain import Chain
from rawdrift.controls.forensics.fit import axes_of, check_seed
from rawdrift.controls.forensics.joint import Box, Joint, joint_box, nothing
from rawdrift.controls.forensics.result import Envelope, Tolerance
from rawdrift.controls.forensics.samples import Samples
from rawdrift.controls.forensics.space import ParameterSpace, Vector
from rawdrift.data.dataset import RawDataset
from rawdrift.isp.pipeline import Pipeline
from rawdrift.models.targets import Targets
from rawdrift.statistics.guarantees import DropTest

REACH = tuple(0.8**step for step in reversed(range(25)))
"""Of settings from the default to a bound, the shares of the way. Each is a quarter farther than
the one before, so that tolerances of any width end close to the last that is safe."""


def envelope(
    net: nn.Module,
    isp: Pipeline,
    data: RawDataset | Samples,
    space: ParameterSpace,
    *,
    max_drop: float = 0.02,
    confidence: float = 0.95,
    metric: str | None = None,
    parameters: Iterable[str] | None = None,
    loss: nn.Module | None = None,
    cameras: int = 200,
    seed: int = 0,
    targets: Targets | None = None,
    runtime: str = "auto",
) -> Envelope:
    """Find the settings at which the metric drops by less than `max_drop` in the population.

    Two statements hold with `confidence` each, for any number of images (`guarantees`):

    Alone: at the end of every axis, and at all settings tested on the way there, the metric drops
    by less than `max_drop`. Settings are tested from the default outward, up to the first that is
    not shown to (fixed-sequence testing, as in Angelopoulos et al., "Learn then Test", 2021). The
    ends share the chance of an error; an axis that reaches its bound passes its share on (Holm).

    Together: the box is built with a fifth of the images, or groups, and tested with the others;
    see `joint`.

    If so few images could not even show that the camera's own setting is safe, the envelope is that
    setting alone, and `needed` says how many it would take.

    net, isp, data, space, metric, parameters, loss, targets, runtime: as for `search`.
    Raises InputError as `search` does, if the metric is too low to drop by `max_drop`, and if no
    bound is known for it.
    """
    for name, value, least in (("max_drop", max_drop, 0.0), ("confidence", confidence, 0.5)):
        if not is_number(value) or not least < value < 1:
            raise InputError(f"{name} must be above {least:g} and below 1, got {value!r}")
    if type(cameras) is not int or cameras < 1:
        raise InputError(f"cameras must be a whole number from 1 on, got {cameras!r}")
    check_seed(seed)
    space = axes_of(isp, space, parameters)
    chain = Chain(net, isp, data, metric, loss, targets=targets, runtime=runtime)
    chain.check_baseline()
    return envelope_of(chain, space, max_drop, confidence, cameras, seed)


def envelope_of(
    chain: Chain,
    space: ParameterSpace,
    max_drop: float = 0.02,
    confidence: float = 0.95,
    cameras: int = 200,
    seed: int = 0,
) -> Envelope:
    """Do `envelope` with the images of a chain."""
    if chain.baseline.metric <= max_drop:
        raise InputError(
            f"the {chain.metric} of the camera's own views is {chain.baseline.metric:.3f}, which "
            f"can't drop by max_drop {max_drop:g}; choose another metric or a smaller max_drop"
        )
    test, error = chain.drop_test(), 1 - confidence
    bounds = [
        (number, bound)
        for number, axis in enumerate(space.axes)
        for bound in (axis.low, axis.high)
        if bound != axis.default
    ]
    level = error / len(bounds)
    is_enough = test.p_value(chain.baseline.features, max_drop) <= level

    def is_safe(setting: Vector, level: float) -> bool:
        return chain.ask(space, setting, "doubtful").rules_out(test, max_drop, level)

    with progress.step("testing each axis alone, at most", len(bounds) * len(REACH), "evaluation"):
        ends = _ends(space, bounds, is_safe, error) if is_enough else {}
    tolerances = {
        axis.name: _tolerance(space, number, ends, is_enough)
        for number, axis in enumerate(space.axes)
    }
    alone = Box(
        np.array([t.low for t in tolerances.values()]),
        np.array([t.high for t in tolerances.values()]),
    )
    needed, joint = test.needed(max_drop, level), nothing(space)
    if is_enough:
        needed = min(needed, test.count)
        with progress.step("building and testing the box"):
            joint = joint_box(chain, test, space, alone, max_drop, error, cameras, seed)
    return Envelope(
        metric=chain.metric,
        baseline=chain.interval(chain.baseline.features, confidence),
        max_drop=max_drop,
        confidence=confidence,
        axes=space.axes,
        tolerances=tolerances,
        box={
            name: (float(a), float(b)) for name, a, b in zip(space.names, *joint.box, strict=True)
        },
        scale=_scale(space.default, alone, joint.box),
        validation=joint.validation,
        level=level,
        seed=seed,
        images=len(chain.truth),
        groups=test.count,
        needed=needed,
        evaluations=round(chain.asked + joint.evaluations),
        warnings=tuple(_warnings(test, len(chain.truth), needed, max_drop, joint)),
    )


def _ends(
    space: ParameterSpace,
    bounds: Sequence[tuple[int, float]],
    is_safe: Callable[[Vector, float], bool],
    error: float,
) -> dict[tuple[int, float], float]:
    """Return how far each axis may go toward each of its bounds, by axis and bound.

    In each direction the first setting that loses too much is accepted with a chance of `error`
    over the number of directions that are still tested, which includes all that lead to one.

    is_safe: of a setting and a level, whether its p-value is at most that.
    """
    reached = dict.fromkeys(bounds, 0)

    def place(end: tuple[int, float], step: int) -> float:
        number, bound = end
        own = space.axes[number].default
        if step in (0, len(REACH)):
            return bound if step else own
        return own + REACH[step - 1] * (bound - own)

    def goes_on(end: tuple[int, float], level: float) -> bool:
        setting = space.default
        setting[end[0]] = place(end, reached[end] + 1)
        return is_safe(setting, level)

    tested: list[tuple[int, float]] = []
    while (still := [end for end in bounds if reached[end] < len(REACH)]) != tested:
        tested = still
        for end in tested:
            while reached[end] < len(REACH) and goes_on(end, error / len(tested)):
                reached[end] += 1
    return {end: place(end, step) for end, step in reached.items()}


def _tolerance(
    space: ParameterSpace, number: int, ends: Mapping[tuple[int, float], float], is_enough: bool
) -> Tolerance:
    axis = space.axes[number]

    def side(bound: float) -> tuple[float, Literal["drop", "space", "images"]]:
        """How far the axis may go toward a bound of the space, and what ends it."""
        end = ends.get((number, bound), axis.default)
        if end == bound:
            return end, "space"
        return end, "drop" if is_enough else "images"

    (low, by_low), (high, by_high) = side(axis.low), side(axis.high)
    return Tolerance(axis.default, low, high, by_low, by_high)


def _scale(own: Vector, alone: Box, box: Box) -> float:
    """The smallest share of a tolerance's reach that the box keeps, 0 for no box."""
    reach, kept = np.abs(np.concatenate(alone) - np.tile(own, 2)), np.concatenate(box)
    shares = np.abs(kept - np.tile(own, 2))[reach > 0] / reach[reach > 0]
    return float(min(1.0, shares.min())) if len(shares) else 0.0


def _warnings(
    test: DropTest, images: int, needed: int, max_drop: float, joint: Joint
) -> Iterator[str]:
    """Say what is not signed, and how many images it would take."""
    unit = "images" if test.count == images else "groups of images"
    if test.count < needed:
        yield (
            f"{test.count} {unit} are too few to sign anything: even if no answer changes, it "
            f"takes {needed} {unit} like these to rule out a drop of {max_drop:g}"
        )
    elif test.count < joint.needed:
        yield (
            f"{test.count} {unit} are too few to sign settings of several parameters together: it "
            f"takes {joint.needed} {unit} like these"
        )
    elif not joint.validation.cameras and not joint.evaluations:
        yield (
            "no settings of several parameters together are signed: no images could be set apart "
            f"to build a box with; give at least 5 {unit} of classes with 2 or more"
        )
    elif not joint.validation.cameras:
        yield (
            "no settings of several parameters together are signed: held-out images did not "
            "confirm any box that was tried"
        )
