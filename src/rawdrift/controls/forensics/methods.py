"""The methods that search a box for the setting that harms a net most, and what they share.

Every method gets the same probes, the same number of evaluations of its own, and the same
refinement of the setting that it found; see `search`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from rawdrift.controls.forensics.chain import Chain, Score
from rawdrift.controls.forensics.result import GRADIENT
from rawdrift.controls.forensics.space import ParameterSpace, Vector

PROBES, ASCENTS, RANDOM, CMA_ES, REFINEMENT = (
    "probes", "ascents", "random", "cma-es", "refinement"
)  # fmt: skip
STEP = 0.1  # first step of an ascent, as a share of the box; more if few would not cross the box
AXES = 8  # with more of them, an ascent's step on each is shorter: all of them move at once
NEAR = 0.05  # of the box: how far refinement looks beside a setting
SIGMA = 0.3  # of the box: where CMA-ES looks first
LEAST = 1e-9  # metrics that differ by less are equal


class Visit(NamedTuple):
    """A setting that a search has tried.

    part: of the method that tried it. start: the number of the ascent that it belongs to, or -1.
    """

    part: str
    start: int
    setting: Vector
    loss: float
    metric: float
    distance: float


class Budget(NamedTuple):
    """Evaluations of each method, that is passes of all images through the net.

    probes: settings that all methods begin with. own: the method's own. refinement: at the end.
    """

    probes: int
    own: int
    refinement: int

    @classmethod
    def of(cls, restarts: int, steps: int, axes: int, per_step: int) -> "Budget":
        """The budget that is enough for so many ascents. per_step: evaluations of a step."""
        own = restarts * (per_step * steps + 1)
        return cls(8 + own // 8, own, 3 * axes)


class Trial:
    """The settings that a method tries, as long as its evaluations last.

    visits: of which the first are the probes. left: evaluations.
    """

    def __init__(
        self,
        chain: Chain,
        space: ParameterSpace,
        regularization: float,
        rng: np.random.Generator,
        left: int,
        probes: Iterable[Visit] = (),
    ):
        self.chain, self.space, self.regularization, self.rng = chain, space, regularization, rng
        self.left = left
        self.visits = list(probes)
        base = chain.baseline
        self.best = Visit("default", -1, space.default, base.loss, base.metric, 0.0)
        for visit in self.visits:
            self._compare(visit)

    def look(self, setting: Vector, part: str, start: int = -1) -> Visit:
        """Evaluate a setting."""
        return self._keep(part, start, setting, self.chain.score(self.space, setting), 1)

    def glance(self, setting: Vector, part: str) -> None:
        """Evaluate a setting, unless its metric is above the lowest of this part."""
        lowest = self.lowest().get(part, np.inf)
        if self.chain.ask(self.space, setting, "surest").holds(lambda metric: metric > lowest):
            self.left -= 1
        else:
            self.look(setting, part)

    def slope(self, setting: Vector, start: int) -> Vector:
        """Evaluate a setting; return the direction in which it gets worse, in units of the box."""
        score, gradient = self.chain.slope(self.space, setting, self.regularization)
        self._keep(ASCENTS, start, setting, score, self.chain.per_step)
        return gradient * (self.space.high - self.space.low)

    def gain(self, visit: Visit) -> float:
        """What ascents and CMA-ES maximize."""
        return visit.loss - self.regularization * visit.distance

    def is_worth(self, visit: Visit) -> bool:
        """Whether the gain in loss is worth the distance."""
        return self.regularization == 0 or self.gain(visit) >= self.chain.baseline.loss

    def lowest(self) -> dict[str, float]:
        """The lowest metric that each part found, among settings that are worth their distance."""
        parts: dict[str, float] = {}
        for visit in filter(self.is_worth, self.visits):
            parts[visit.part] = min(visit.metric, parts.get(visit.part, np.inf))
        return parts

    def _keep(self, part: str, start: int, setting: Vector, score: Score, cost: int) -> Visit:
        self.left -= cost
        visit = Visit(part, start, setting.copy(), score.loss, score.metric, score.distance)
        self.visits.append(visit)
        self._compare(visit)
        return visit

    def _compare(self, visit: Visit) -> None:
        """Keep the lowest metric; of equal ones the highest loss, and then the first."""
        if self.is_worth(visit) and _rank(visit) < _rank(self.best):
            self.best = visit


def _rank(visit: Visit) -> tuple[float, float]:
    return visit.metric, -visit.loss


def probe(trial: Trial) -> None:
    """Look at settings all over the box: Sobol's sequence, every fourth moved into a corner."""
    from scipy.stats.qmc import Sobol

    count, axes = trial.left, len(trial.space)
    sequence = Sobol(axes, rng=trial.rng)
    places = sequence.random_base2(int(np.ceil(np.log2(count))))[:count]
    places[::4] = places[::4].round()
    for place in places:
        trial.look(trial.space.at(place), PROBES)


def gradient(trial: Trial, steps: int) -> None:
    """Ascents along the gradient and CMA-ES in turns; the one that finds something worse goes on.

    So where the gradient leads nowhere, or nowhere further, the evaluations are CMA-ES's. The first
    ascent begins at the ISP's own setting, the next ones in turn at the worst other probe and, in
    smaller steps, at the setting with the highest objective so far. A black box has no gradient:
    all evaluations are CMA-ES's.
    """
    per_step = trial.chain.per_step
    length = max(STEP, 2 / steps) * min(1.0, (AXES / len(trial.space)) ** 0.5)
    probes = sorted(trial.visits, key=trial.gain, reverse=True)
    starts = [trial.space.default, *(visit.setting for visit in probes)]
    others, ascents = cma_es(trial), 0
    while trial.left > 0:
        before = _rank(trial.best)
        last = min(steps, (trial.left - 1) // per_step) if trial.chain.ascends else 0
        if last >= min(2, steps):
            if ascents % 2 == 0 and ascents:
                length *= 0.5
                at = max(trial.visits, key=trial.gain).setting
            else:
                at = starts[(ascents + 1) // 2 % len(starts)]
            ascend(trial, at, last, length, ascents)
            ascents += 1
            if _rank(trial.best) < before:
                continue
        before = (np.inf, 0.0)
        while trial.left > 0 and _rank(trial.best) < before:
            before = _rank(trial.best)
            for _ in islice(others, min(per_step * steps + 1, trial.left)):
                pass


def _alone(method: Callable[[Trial], Iterator[None]]) -> Callable[[Trial, int], None]:
    """Let a method that goes on forever spend all evaluations."""

    def run(trial: Trial, steps: int) -> None:
        for _ in islice(method(trial), trial.left):
            pass

    return run


def ascend(trial: Trial, setting: Vector, steps: int, length: float, start: int) -> None:
    """Ascend from a setting with Adam (Kingma and Ba 2015) within the box, until it stands still.

    length: of the first step, as a share of the box.
    """
    place = torch.from_numpy(trial.space.unit(setting)).requires_grad_()
    optimizer = torch.optim.Adam([place], lr=length, maximize=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        before = place.detach().clone()
        place.grad = torch.from_numpy(trial.slope(trial.space.at(before.numpy()), start))
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            place.clamp_(0, 1)
        if torch.equal(place, before):
            return
    trial.look(trial.space.at(place.detach().numpy()), ASCENTS, start)


def random(trial: Trial) -> Iterator[None]:
    """Settings drawn uniformly from the box."""
    while True:
        trial.glance(trial.space.draw(1, trial.rng)[0], RANDOM)
        yield


def cma_es(trial: Trial) -> Iterator[None]:
    """CMA-ES (Hansen and Ostermeier 2001) from the setting with the highest objective so far; after
    convergence, again from elsewhere."""
    from cmaes import CMA

    size = max(len(trial.space), 2)  # it needs two axes; a second one that does nothing is harmless
    bounds = np.tile([0.0, 1.0], (size, 1))
    mean = np.full(size, 0.5)
    mean[: len(trial.space)] = trial.space.unit(max(trial.visits, key=trial.gain).setting)
    while True:
        seed, tries = int(trial.rng.integers(2**31)), max(1, 100 // size)  # to draw inside the box
        optimizer = CMA(mean, SIGMA, bounds, n_max_resampling=tries, seed=seed)
        while not optimizer.should_stop():
            answers = []
            for _ in range(optimizer.population_size):
                place = optimizer.ask()
                visit = trial.look(trial.space.at(place[: len(trial.space)]), CMA_ES)
                answers.append((place, -trial.gain(visit)))
                yield
            optimizer.tell(answers)
        mean = trial.rng.random(size)


def refine(trial: Trial) -> None:
    """Improve the best setting axis by axis, with three evaluations for each.

    An axis is moved to a bound, or beside where it is, if that lowers the metric itself, for which
    the objective only stands in; and back to its default if that does no less harm.
    """
    space = trial.space
    for axis in range(len(space)):
        near = space.unit(trial.best.setting)
        near[axis] += NEAR * trial.rng.standard_normal()
        beside = space.at(near.clip(0, 1))[axis]
        for value in (space.low[axis], space.high[axis], space.default[axis]):
            now = trial.best
            setting = now.setting.copy()
            setting[axis] = beside if value == now.setting[axis] else value
            other = trial.look(setting, REFINEMENT)
            if setting[axis] == space.default[axis] and trial.is_worth(other):
                trial.best = other if other.metric <= now.metric + LEAST else trial.best


METHODS: Mapping[str, Callable[[Trial, int], None]] = {
    GRADIENT: gradient,
    RANDOM: _alone(random),
    CMA_ES: _alone(cma_es),
}
"""Methods by name, (trial, steps of an ascent): they spend the evaluations that are left."""
