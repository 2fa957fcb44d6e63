"""The sensitivity of a model to the numbers of a camera, alone and together."""

from collections.abc import Iterable

import numpy as np
from torch import nn

from rawdrift import progress
from rawdrift.checks import InputError
from rawdrift.controls.forensics.chain import Chain
from rawdrift.controls.forensics.fit import axes_of, check_confidence, check_seed
from rawdrift.controls.forensics.result import Point, Sensitivity, Sobol
from rawdrift.controls.forensics.samples import Samples
from rawdrift.controls.forensics.space import ParameterSpace
from rawdrift.data.dataset import RawDataset
from rawdrift.isp.pipeline import Pipeline
from rawdrift.models.targets import Targets
from rawdrift.statistics.basics import Interval


def sensitivity(
    net: nn.Module,
    isp: Pipeline,
    data: RawDataset | Samples,
    space: ParameterSpace,
    *,
    metric: str | None = None,
    parameters: Iterable[str] | None = None,
    samples: int = 64,
    points: int = 9,
    confidence: float = 0.95,
    seed: int = 0,
    targets: Targets | None = None,
    loss: nn.Module | None = None,
    runtime: str = "auto",
) -> Sensitivity:
    """Return Sobol indices of the metric over the box, and its curve along every axis.

    Indices come from Saltelli's sampling (2010) with the estimators and bootstrap intervals of
    SALib. Curves have intervals by bootstrap over images or their groups. If the metric is the same
    at every setting that is drawn, all indices are 0.

    net, isp, data, space, metric, parameters, targets, loss, runtime: as for `search`.
    samples: a power of 2; the metric is computed at samples * (D + 2) settings.
    points: of a curve, evenly over the axis; the default is added.
    """
    if type(samples) is not int or samples < 2 or samples & (samples - 1):
        raise InputError(f"samples must be a power of 2, got {samples!r}")
    if type(points) is not int or points < 2:
        raise InputError(f"points must be a whole number from 2 on, got {points!r}")
    check_confidence(confidence)
    check_seed(seed)
    space = axes_of(isp, space, parameters)
    chain = Chain(net, isp, data, metric, loss, targets=targets, runtime=runtime)
    chain.check_baseline()
    return sensitivity_of(chain, space, samples, points, confidence, seed)


def sensitivity_of(
    chain: Chain,
    space: ParameterSpace,
    samples: int = 64,
    points: int = 9,
    confidence: float = 0.95,
    seed: int = 0,
) -> Sensitivity:
    """Do `sensitivity` with the images of a chain."""
    passes = samples * (len(space) + 2)
    with progress.step("measuring Sobol indices", passes, "evaluation"):
        variance, indices = _sobol(chain, space, samples, confidence, seed)
    curves: dict[str, list[Point]] = {}
    for number, axis in enumerate(progress.over(space.axes, "measuring curves", "curve")):
        curves[axis.name] = []
        for at in np.unique([*np.linspace(axis.low, axis.high, points), axis.default]):
            setting = space.default
            setting[number] = at
            features = chain.ask(space, setting).features
            curves[axis.name].append(Point(float(at), chain.interval(features, confidence)))
    return Sensitivity(
        metric=chain.metric,
        confidence=confidence,
        variance=variance,
        samples=samples,
        indices=indices,
        curves=curves,
        evaluations=round(chain.asked),
    )


def _sobol(
    chain: Chain, space: ParameterSpace, samples: int, confidence: float, seed: int
) -> tuple[float, dict[str, Sobol]]:
    from SALib.analyze import sobol as analyze
    from SALib.sample import sobol as sample

    problem = {
        "num_vars": len(space),
        "names": space.names,
        "bounds": np.stack([space.low, space.high], axis=1).tolist(),
    }
    settings = sample.sample(problem, samples, calc_second_order=False, seed=seed)
    values = np.array([chain.ask(space, space.clip(x)).metric for x in settings])
    # The estimators would divide by zero. The variance of equal numbers may not be exactly zero.
    if values.min() == values.max():
        nothing = Interval(0.0, 0.0, 0.0)
        return 0.0, {name: Sobol(nothing, nothing) for name in space.names}
    variance = float(values.var())
    # SALib takes a seed of 0 for none, and draws from the global state.
    indices = analyze.analyze(
        problem, values, calc_second_order=False, conf_level=confidence, seed=seed + 1
    )

    def interval(kind: str, number: int) -> Interval:
        value, half = float(indices[kind][number]), float(indices[f"{kind}_conf"][number])
        return Interval(value, value - half, value + half)

    return variance, {
        name: Sobol(interval("S1", i), interval("ST", i)) for i, name in enumerate(space.names)
    }
