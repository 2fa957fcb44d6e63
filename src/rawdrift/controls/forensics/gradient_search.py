"""The adversarial search for the setting of a camera that harms a model most (section 2.2)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from rawdrift.checks import InputError, choose, is_number
from rawdrift.controls.forensics.chain import Chain, Score
from rawdrift.controls.forensics.fit import axes_of, check_seed
from rawdrift.controls.forensics.result import Found
from rawdrift.controls.forensics.rivals import RIVALS
from rawdrift.controls.forensics.samples import Samples
from rawdrift.controls.forensics.space import ParameterSpace, Vector
from rawdrift.data.dataset import RawDataset
from rawdrift.isp.pipeline import Pipeline
from rawdrift.models.targets import Targets

STEP = 0.1  # first step, as a share of the box's width; more if few steps would not cross the box
PROBES = 8  # places that a restart chooses from; together they cost less than three steps
LEAST = 1e-9  # metrics that differ by less are equal


class Visit(NamedTuple):
    """A setting that a search has tried.

    start: the number of the ascent that it belongs to, or -1 where one might have begun.
    """

    start: int
    setting: Vector
    loss: float
    metric: float
    distance: float


@dataclass(frozen=True)
class SearchResult:
    """What an adversarial search found, by gradients and by the methods it is compared with.

    gradient: the setting that the gradient found, with the axes that don't matter put back.
    rivals: what the other methods found with as many evaluations, by name.
    baseline: the metric of the ISP as it is. trajectory: all that the gradient search tried.
    warnings: what a reader must know.
    """

    metric_name: str
    baseline: float
    regularization: float
    distance_name: str
    gradient: Found
    rivals: dict[str, Found]
    trajectory: list[Visit]
    warnings: tuple[str, ...]

    @property
    def parameters(self) -> dict[str, float]:
        """The setting that the gradient found."""
        return self.gradient.parameters

    @property
    def metric(self) -> float:
        """The metric at that setting, on the exact static pipeline."""
        return self.gradient.metric

    @property
    def distance(self) -> float:
        """The distance between the views at that setting and the default ones."""
        return self.gradient.distance

    @property
    def worst(self) -> Found:
        """The worst setting of all methods; of equal ones that of the gradient."""
        return min([self.gradient, *self.rivals.values()], key=lambda found: found.metric)


def search(
    net: nn.Module,
    isp: Pipeline,
    data: RawDataset | Samples,
    space: ParameterSpace,
    *,
    metric: str | None = None,
    regularization: float = 0.0,
    distance: str = "l2",
    parameters: Iterable[str] | None = None,
    loss: nn.Module | None = None,
    restarts: int = 4,
    steps: int = 20,
    rivals: Sequence[str] = ("random", "cma-es"),
    seed: int = 0,
    targets: Targets | None = None,
) -> SearchResult:
    """Search the box for the setting of the ISP that harms a frozen net most.

    This is projected gradient ascent of loss - regularization * distance over the box, with Adam
    (Kingma and Ba 2015) in units of the box's width. The first ascent starts at the ISP's own
    setting. The next ones start in turn at the worst of a few other settings (one across the box
    from where the last ascent ended, the rest random), and in smaller steps at the setting with the
    highest objective so far. Of all settings whose gain in loss is worth their distance, the one
    with the lowest metric is taken. Then each axis is tried at its bounds, and at the ISP's own
    value, which stays if it does no less harm. The result is evaluated on the exact static
    pipeline.

    net: (n, 3, H, W) to logits; see `chain.Chain`, also for data, metric, loss, distance and
        targets.
    parameters: names of axes, whole parameters or steps, if not all are to be searched.
    rivals: methods to compare with: "random", uniform in the box; "cma-es" (Hansen and Ostermeier
        2001). They ascend the same objective with as many evaluations.
    restarts: number of ascents. steps: of each. seed: of the random settings and the rivals.

    Raises InputError if net, data and space do not fit together, if the net has nothing to lose,
    or if it makes NaN.
    """
    if not is_number(regularization) or regularization < 0:
        raise InputError(f"regularization must be at least 0, got {regularization!r}")
    for name, value in (("restarts", restarts), ("steps", steps)):
        if type(value) is not int or value < 1:
            raise InputError(f"{name} must be a whole number from 1 on, got {value!r}")
    for rival in rivals:
        choose("rival", rival, RIVALS)
    check_seed(seed)
    space = axes_of(isp, space, parameters)
    chain = Chain(net, isp, data, metric, loss, distance, targets)
    return search_chain(chain, space, regularization, restarts, steps, rivals, seed)


def search_chain(
    chain: Chain,
    space: ParameterSpace,
    regularization: float = 0.0,
    restarts: int = 4,
    steps: int = 20,
    rivals: Sequence[str] = (),
    seed: int = 0,
    targets: Targets | None = None,
) -> SearchResult:
    """Do `search` on a chain."""
    starts = np.random.default_rng([seed, 0])
    before = chain.asked
    visits: list[Visit] = []

    def gain(visit: Visit) -> float:
        return visit.loss - regularization * visit.distance

    first = reach = max(STEP, 2 / steps)
    before_that = -np.inf
    for start in range(restarts):
        at, step = space.default, first
        if start % 2:
            visits += [
                _visit(-1, place, chain.score(space, place))
                for place in _probes(space, visits[-1].setting, starts)
            ]
            at = min(visits[-PROBES:], key=lambda visit: (visit.metric, -gain(visit))).setting
        elif start:
            best = max(visits, key=gain)
            reach *= 0.5 if start == 2 or gain(best) <= before_that else 1.0
            at, step, before_that = best.setting, reach, gain(best)
        visits += _ascend(chain, space, at, regularization, steps, start, step)
    best = _refined(chain, space, _chosen(visits, chain, space, regularization), regularization)
    gradient = _found("gradient", chain, space, best, before)
    others = {}
    for number, name in enumerate(rivals, start=1):
        before = chain.asked
        rng = np.random.default_rng([seed, number])
        tried: list[Visit] = []

        def objective(setting: Vector, tried: list[Visit] = tried) -> float:
            visit = _visit(0, setting, chain.score(space, setting))
            tried.append(visit)
            return visit.loss - regularization * visit.distance

        RIVALS[name](objective, space, gradient.evaluations, rng)
        chosen = _chosen(tried, chain, space, regularization)
        others[name] = _found(name, chain, space, chosen, before)
    return SearchResult(
        chain.metric,
        chain.baseline.metric,
        regularization,
        chain.distance,
        gradient,
        others,
        visits,
        tuple(
            _beaten(gradient, rival, chain.metric)
            for rival in others.values()
            if rival.metric < gradient.metric - LEAST
        ),
    )


def _ascend(
    chain: Chain,
    space: ParameterSpace,
    setting: Vector,
    regularization: float,
    steps: int,
    start: int,
    reach: float,
) -> Iterator[Visit]:
    place = torch.from_numpy(space.unit(setting)).requires_grad_()
    optimizer = torch.optim.Adam([place], lr=reach, maximize=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        setting = space.at(place.detach().numpy())
        score, gradient = chain.slope(space, setting, regularization)
        yield _visit(start, setting, score)
        place.grad = torch.from_numpy(gradient * (space.high - space.low))
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            place.clamp_(0, 1)
    setting = space.at(place.detach().numpy())
    yield _visit(start, setting, chain.score(space, setting))


def _probes(space: ParameterSpace, last: Vector, rng: np.random.Generator) -> list[Vector]:
    """Places to start from: one across the box from `last`, then random ones.

    Every other one is in a corner, since settings that harm most are often at bounds.
    """
    places = rng.random((PROBES, len(space)))
    places[0] = 1 - space.unit(last)
    places[1::2] = places[1::2].round()
    return [space.at(place) for place in places]


def _chosen(
    visits: Sequence[Visit], chain: Chain, space: ParameterSpace, regularization: float
) -> Visit:
    """Return the visit, or the default, with the lowest metric among those worth their distance;
    of equal ones, the one with the highest loss."""
    default = _visit(0, space.default, chain.baseline)
    worth = [visit for visit in visits if _is_worth(visit, chain.baseline, regularization)]
    return min([default, *worth], key=lambda visit: (visit.metric, -visit.loss))


def _is_worth(visit: Visit, baseline: Score, regularization: float) -> bool:
    gain = visit.loss - baseline.loss
    return regularization == 0 or gain >= regularization * visit.distance


def _refined(chain: Chain, space: ParameterSpace, visit: Visit, regularization: float) -> Visit:
    """Improve a setting axis by axis.

    An axis is moved to a bound if that lowers the metric itself, for which the loss only stands in,
    or back to its default if that does no less harm.
    """
    for axis in range(len(space)):
        for value, least in (
            (space.low, LEAST),
            (space.high, LEAST),
            (space.default, -LEAST),
        ):
            setting = visit.setting.copy()
            setting[axis] = value[axis]
            if setting[axis] == visit.setting[axis]:
                continue
            other = _visit(visit.start, setting, chain.score(space, setting))
            harms = visit.metric - other.metric >= least
            if harms and _is_worth(other, chain.baseline, regularization):
                visit = other
    return visit


def _visit(start: int, setting: Vector, score: Score) -> Visit:
    return Visit(start, setting.copy(), score.loss, score.metric, score.distance)


def _found(method: str, chain: Chain, space: ParameterSpace, visit: Visit, before: int) -> Found:
    score = chain.exact(space, visit.setting)
    return Found(
        method,
        space.named(visit.setting),
        score.metric,
        score.loss,
        score.distance,
        chain.asked - before,
    )


def _beaten(gradient: Found, rival: Found, metric: str) -> str:
    return (
        f"{rival.method} found a worse setting ({metric} {rival.metric:.3f}) than the gradient "
        f"({gradient.metric:.3f}) with as many evaluations: give the search more restarts or steps"
    )
