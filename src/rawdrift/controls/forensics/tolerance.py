"""The envelope: the settings of a camera that keep the metric, with a stated confidence."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import numpy as np
from torch import nn

from rawdrift.checks import InputError, is_number
from rawdrift.controls.forensics.chain import Chain
from rawdrift.controls.forensics.fit import axes_of, check_seed
from rawdrift.controls.forensics.joint import Box, joint_box, reach, validate
from rawdrift.controls.forensics.result import Envelope, Tolerance, Validation
from rawdrift.controls.forensics.samples import Samples
from rawdrift.controls.forensics.space import ParameterSpace, Vector
from rawdrift.data.dataset import RawDataset
from rawdrift.isp.pipeline import Pipeline
from rawdrift.models.targets import Targets


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
) -> Envelope:
    """Find the largest intervals, and box, in which the metric drops by `max_drop` at most.

    A setting holds if the upper confidence bound of its drop is at most `max_drop`, by bootstrap
    over images or their groups. All bounds hold at once with `confidence`: each leaves out a share
    (1 - confidence) / (2 D + 1) of draws (Bonferroni's correction for the two ends of D axes and
    the box). Settings on the way to an end are tested from the inside out, up to the first that
    does not hold, which needs no further correction (fixed-sequence testing, Maurer et al. 1995).

    Alone, an axis reaches as far as its settings hold. Together, all intervals are scaled around
    the default until neither random settings and corners nor an adversarial search inside finds
    one that does not hold; then `cameras` others are drawn uniformly from the box to validate it.

    net, isp, data, space, metric, parameters, loss, targets: as for `search`.
    Raises InputError as `search` does, and if the metric is too low to drop by `max_drop`.
    """
    for name, value, least in (("max_drop", max_drop, 0.0), ("confidence", confidence, 0.5)):
        if not is_number(value) or not least < value < 1:
            raise InputError(f"{name} must be above {least:g} and below 1, got {value!r}")
    if type(cameras) is not int or cameras < 1:
        raise InputError(f"cameras must be a whole number from 1 on, got {cameras!r}")
    check_seed(seed)
    space = axes_of(isp, space, parameters)
    chain = Chain(net, isp, data, metric, loss, targets=targets)
    if chain.baseline.metric <= max_drop:
        raise InputError(
            f"the {chain.metric} of the camera's own views is {chain.baseline.metric:.3f}, which "
            f"can't drop by max_drop {max_drop:g}; choose another metric or a smaller max_drop"
        )
    level = (1 - confidence) / (2 * len(space) + 1)
    uncertainty = chain.uncertainty(seed, level)

    def holds(setting: Vector) -> bool:
        return uncertainty.largest_drop(chain.score(space, setting).features, level) <= max_drop

    tolerances = {
        axis.name: _tolerance(space, number, holds) for number, axis in enumerate(space.axes)
    }
    alone = Box(
        np.array([t.low for t in tolerances.values()]),
        np.array([t.high for t in tolerances.values()]),
    )
    rng = np.random.default_rng([seed, 0])
    box, scale = joint_box(chain, space, alone, holds, rng)
    validation = validate(chain, space, box, max_drop, cameras, rng)
    return Envelope(
        metric=chain.metric,
        baseline=uncertainty.interval(chain.baseline.features, confidence),
        max_drop=max_drop,
        confidence=confidence,
        axes=space.axes,
        tolerances=tolerances,
        box={name: (float(a), float(b)) for name, a, b in zip(space.names, *box, strict=True)},
        scale=scale,
        validation=validation,
        level=level,
        draws=uncertainty.draws,
        seed=seed,
        images=len(chain.truth),
        groups=uncertainty.resampling.count,
        evaluations=chain.asked,
        warnings=tuple(
            _warnings(uncertainty.resampling.count, max_drop, confidence, level, validation)
        ),
    )


def _tolerance(space: ParameterSpace, number: int, holds: Callable[[Vector], bool]) -> Tolerance:
    axis = space.axes[number]

    def end(bound: float) -> tuple[float, Literal["drop", "space"]]:
        """How far the axis may go toward a bound of the space, and what ends it."""
        setting = space.default
        setting[number] = bound
        if bound == axis.default:
            return bound, "space"
        share = reach(space.default, setting, holds)
        if share == 1:
            return bound, "space"
        return axis.default + share * (bound - axis.default), "drop"

    (low, by_low), (high, by_high) = end(axis.low), end(axis.high)
    return Tolerance(axis.default, low, high, by_low, by_high)


def _warnings(
    groups: int, max_drop: float, confidence: float, level: float, validation: Validation
) -> Iterator[str]:
    # What none of n shows may still be in -ln(level) / n of them (Hanley and Lippman-Hand, "If
    # nothing goes wrong, is everything all right?", JAMA 249, 1983).
    unseen = min(1.0, -math.log(level) / groups)
    if unseen > max_drop:
        yield (
            f"{groups} images or groups are few: a flaw that none of them shows may be in "
            f"{unseen:.1%} of others; {math.ceil(-math.log(level) / max_drop)} or more would rule "
            f"out a drop of {max_drop:g}"
        )
    if validation.share.value > 1 - confidence:
        yield (
            f"{validation.violations} of {validation.cameras} cameras drawn from the box lose more "
            f"than {max_drop:g}, more than confidence {confidence:g} allows: do not rely on the box"
        )
