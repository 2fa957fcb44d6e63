"""The adversarial search for the setting of a camera that harms a model most (section 2.2)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from rawdrift import plots, progress
from rawdrift.checks import InputError, choose, is_number
from rawdrift.controls.forensics.chain import Chain
from rawdrift.controls.forensics.fit import axes_of, check_confidence, check_seed
from rawdrift.controls.forensics.held_out import FEWEST_GROUPS, FEWEST_IMAGES, Halves, halve
from rawdrift.controls.forensics.methods import (
    CMA_ES,
    LEAST,
    METHODS,
    RANDOM,
    Budget,
    Trial,
    Visit,
    probe,
    refine,
)
from rawdrift.controls.forensics.result import GRADIENT, Found
from rawdrift.controls.forensics.samples import Samples
from rawdrift.controls.forensics.space import ParameterSpace
from rawdrift.data.dataset import RawDataset
from rawdrift.isp.pipeline import Pipeline
from rawdrift.models.targets import Targets
from rawdrift.statistics.basics import Interval
from rawdrift.statistics.estimates import estimate
from rawdrift.statistics.measures import Array
from rawdrift.text import Shown, brief, counted, frame

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

RIVALS = (RANDOM, CMA_ES)


@dataclass(frozen=True)
class Trials(Shown):
    """What the gradient and its rivals found on some images.

    gradient: the setting that the gradient search found. rivals: what the other methods found with
    as many evaluations, by name. trajectory: all that the gradient search tried. warnings: what a
    reader must know.
    """

    gradient: Found
    rivals: dict[str, Found]
    trajectory: list[Visit]
    warnings: tuple[str, ...]

    @property
    def parameters(self) -> dict[str, float]:
        """The setting that the gradient search found."""
        return self.gradient.parameters

    @property
    def worst(self) -> Found:
        """The worst setting of all methods; of equal ones that of the gradient."""
        return min([self.gradient, *self.rivals.values()], key=lambda found: found.metric)


@dataclass(frozen=True)
class SearchResult(Trials):
    """What an adversarial search found.

    Settings are searched, and compared, with half of the images: `gradient`, `rivals` and
    `trajectory` are of these. The other half only shows what the setting costs: `drop`.

    baseline: the metric of the ISP as it is, of all images. metric: at the setting that the
        gradient search found, of all images, and so as optimistic as half of them.
    distance: between the views at that setting and the default ones, of all images.
    drop: of the metric at that setting, with a confidence interval, of the images that the search
        did not use. Of few images, all are searched and `drop` is of all, without an interval.
    searched, held_out: numbers of the images that were searched with, and of the others.
    """

    metric_name: str
    regularization: float
    distance_name: str
    baseline: float
    metric: float
    distance: float
    drop: Interval
    searched: list[int]
    held_out: list[int]

    def shown_rows(self) -> list[tuple[str, str]]:
        setting = [(f"at {name}", brief(value)) for name, value in self.parameters.items()]
        return [
            (f"{self.metric_name} of the ISP as it is", brief(self.baseline)),
            (f"{self.metric_name} at the worst setting", brief(self.metric)),
            ("drop, of images not searched with", brief(self.drop)),
            (f"distance of views ({self.distance_name})", brief(self.distance)),
            *setting,
            *(("warning", warning) for warning in self.warnings),
        ]

    def plot(self) -> "Figure":
        """Draw the metric of each setting that was tried, in order (Matplotlib)."""
        parts = [(visit.part, visit.metric) for visit in self.trajectory]
        return plots.course(self.metric_name.replace("_", " "), parts, self.baseline)

    def to_frame(self) -> "pandas.DataFrame":
        """Return the worst settings by method as a pandas DataFrame, a row for each."""
        found = {self.gradient.method: self.gradient, **self.rivals}
        rows = [
            {"method": name, "metric": one.metric, "distance": one.distance, **one.parameters}
            for name, one in found.items()
        ]
        return frame(rows)


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
    rivals: Sequence[str] = RIVALS,
    confidence: float = 0.95,
    seed: int = 0,
    targets: Targets | None = None,
    runtime: str = "auto",
) -> SearchResult:
    """Search the box for the setting of the ISP that harms a frozen net most.

    All methods begin with the same probes, settings all over the box, and end with the same
    refinement: each axis of the best setting is tried at its bounds, beside where it is, and at the
    ISP's own value, which stays if it does no less harm. In between, each has as many evaluations:

    gradient: projected ascents of loss - regularization * distance over the box, with Adam (Kingma
        and Ba 2015), and CMA-ES in turns; the one that finds something worse goes on. So where
        there is no slope, or none that helps, the search is CMA-ES.
    random: settings drawn uniformly from the box.
    cma-es: Hansen and Ostermeier (2001), on the same objective.

    Of all settings whose gain in loss is worth their distance, the one with the lowest metric is
    taken, and evaluated on the exact static pipeline. `Found.parts` says which part found it.

    The search uses half of the images, or of their groups, drawn by the seed and stratified by
    class; the other half gives `drop`, which therefore holds although the setting was searched for.
    Of fewer than 60 images or 16 groups, all are searched, and the drop has no interval.

    net: (n, 3, H, W) to logits; see `chain.Chain`, also for data, metric, loss, distance and
        targets.
    parameters: names of axes, whole parameters or steps, if not all are to be searched.
    runtime: of the net: see `models.forward.forward_of`, and `models.quick` for classes.
    rivals: methods to compare with, "random" and "cma-es".
    restarts, steps: the evaluations of a method suffice for so many ascents of so many steps.
    confidence: of the interval of the drop. seed: of everything random.

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
    check_confidence(confidence)
    check_seed(seed)
    space = axes_of(isp, space, parameters)
    chain = Chain(net, isp, data, metric, loss, distance, targets, runtime)
    chain.check_baseline()
    return search_of(chain, space, regularization, restarts, steps, rivals, confidence, seed)


def search_of(
    chain: Chain,
    space: ParameterSpace,
    regularization: float = 0.0,
    restarts: int = 4,
    steps: int = 20,
    rivals: Sequence[str] = RIVALS,
    confidence: float = 0.95,
    seed: int = 0,
) -> SearchResult:
    """Do `search` with the images of a chain."""
    halves = halve(chain.clusters, chain.truth, seed)
    trials = search_chain(
        chain.take(halves.searched), space, regularization, restarts, steps, rivals, seed
    )
    score = chain.exact(space, np.array([*trials.parameters.values()]))
    drop = _drop(chain, score.features, halves, confidence)
    warnings = list(trials.warnings)
    if drop.low is None:
        groups = counted(int(chain.clusters.max()) + 1, "group")
        warnings.append(
            f"the drop has no interval: {counted(len(chain.truth), 'image')} of {groups} "
            f"are too few to keep half of them from the search; give at least "
            f"{2 * FEWEST_IMAGES} images, of {2 * FEWEST_GROUPS} groups or more"
        )
    return SearchResult(
        gradient=trials.gradient,
        rivals=trials.rivals,
        trajectory=trials.trajectory,
        warnings=tuple(warnings),
        metric_name=chain.metric,
        regularization=regularization,
        distance_name=chain.distance,
        baseline=chain.baseline.metric,
        metric=score.metric,
        distance=score.distance,
        drop=drop,
        searched=halves.searched.tolist(),
        held_out=halves.held_out.tolist(),
    )


def _drop(chain: Chain, features: Array, halves: Halves, confidence: float) -> Interval:
    """The drop of images that the search did not use; of all, without an interval, if there are
    none or if the metric is not defined for them."""
    held = halves.held_out
    if len(held):
        clusters = np.unique(chain.clusters[held], return_inverse=True)[1]
        pair = np.stack([chain.baseline.features[held], features[held]])
        metrics = estimate(chain.measure, pair, clusters)
        drop = metrics[0] - metrics[1]
        if np.isfinite(drop.values):
            return drop.interval(confidence)
    after_all = float(chain.measure.of(features.sum(0)))
    return Interval(chain.baseline.metric - after_all, None, None)


def search_chain(
    chain: Chain,
    space: ParameterSpace,
    regularization: float = 0.0,
    restarts: int = 4,
    steps: int = 20,
    rivals: Sequence[str] = (),
    seed: int = 0,
) -> Trials:
    """Do `search` with all images of a chain."""
    budget = Budget.of(restarts, steps, len(space), chain.per_step)

    def trial(number: int, left: int, probes: Sequence[Visit] = ()) -> Trial:
        rng = np.random.default_rng([seed, number])
        return Trial(chain, space, regularization, rng, left, probes)

    probing = trial(0, budget.probes)
    with progress.step("looking all over the box", budget.probes, "evaluation"):
        probe(probing)
    found, trials = {}, {}
    for number, name in enumerate((GRADIENT, *rivals), start=1):
        one = trials[name] = trial(number, budget.own, probing.visits)
        own = budget.own + budget.refinement
        with progress.step(f"searching by {name}", own, "evaluation"):
            METHODS[name](one, steps)
            one.left = budget.refinement
            refine(one)
        score = chain.exact(space, one.best.setting)
        found[name] = Found(
            method=name,
            parameters=space.named(one.best.setting),
            metric=score.metric,
            loss=score.loss,
            distance=score.distance,
            evaluations=sum(budget),
            parts=one.lowest(),
        )
    gradient, *others = found.values()
    return Trials(
        gradient,
        {rival.method: rival for rival in others},
        trials[GRADIENT].visits,
        tuple(
            f"{rival.method} found a worse setting ({chain.metric} {rival.metric:.3g}) than the "
            f"gradient search ({gradient.metric:.3g}) with as many evaluations: give the search "
            f"more restarts or steps"
            for rival in others
            if rival.metric < gradient.metric - LEAST
        ),
    )
