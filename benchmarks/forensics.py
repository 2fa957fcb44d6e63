"""How soon the adversarial search finds the worst camera, as the number of parameters grows.

    python -m benchmarks.forensics [--seeds 5] [--budget 1000] [--figure FILE.svg]

A net is planted that fails on the views of one camera, drawn at random from the box's outer half,
the more the closer a camera comes to it. So the worst is known in any number of dimensions:
accuracy 0, there. Each method runs until a camera that it tries has an accuracy of 2 points or
less. Evaluations are passes of all images through the net, one with a gradient counted as three;
seconds are those of one core. All but the grid begin
with the same probes; refinement is left out.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

import rawdrift as rd
from rawdrift.controls.forensics import methods
from rawdrift.controls.forensics.chain import Chain, Score
from rawdrift.controls.forensics.space import ParameterSpace, Vector

CAMERA = rd.Camera(
    name="planted",
    cfa="RGGB",
    white_balance=(1.9, 1.0, 1.6),
    color_matrix=((1.5, -0.4, -0.1), (-0.2, 1.6, -0.4), (0.0, -0.4, 1.4)),
)
RANGES = {  # of 76 axes the first ones are searched
    "gamma.gamma": 0.2,
    "white_balance.gains": 0.2,
    "color_correction.matrix": 0.2,
    "sharpen.strength": 0.5,
    "denoise.strength": 0.5,
    "demosaic.strength": 0.05,
    "denoise.kernel": 0.2,
    "sharpen.kernel": 0.2,
    "demosaic.kernels": 0.2,
}
DIMENSIONS = (1, 4, 16, 64)
METHODS = ("gradient", "cma-es", "random", "grid")
IMAGES, SIZE = 50, 16
POINTS = 0.02  # of accuracy, above the worst


class Cost(NamedTuple):
    """Until the worst is found. Infinite where the budget was too small."""

    evaluations: float
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="planted nets of each dimension")
    parser.add_argument("--budget", type=int, default=1000, help="evaluations, at most")
    parser.add_argument("--figure", type=Path, help="draw the evaluations to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("until within 2 points of the worst: median (lowest to highest) of evaluations, seconds")
    print(f"{options.seeds} planted nets, no more than {options.budget} evaluations\n")
    print(f"{'parameters':>10s}", *(f"{method:>28s}" for method in METHODS))
    found: dict[str, list[list[Cost]]] = {method: [] for method in METHODS}
    for dimensions in DIMENSIONS:
        cells = []
        for method in METHODS:
            costs = [run(method, dimensions, s, options.budget) for s in range(options.seeds)]
            found[method].append(costs)
            cells.append(told(costs, options.budget))
        print(f"{dimensions:10d}", *(f"{cell:>28s}" for cell in cells), flush=True)
    if options.figure:
        draw(found, options.budget, options.figure)


def run(method: str, dimensions: int, seed: int, budget: int) -> Cost:
    """One method on one planted net."""
    isp, space, net, data = planted(dimensions, seed)
    chain = Watched(net, isp, data, budget)
    with suppress(StoppedError):
        SEARCHES[method](chain, space, seed)
    return chain.cost


def told(costs: list[Cost], budget: int) -> str:
    evaluations, seconds = np.array(costs).T
    low, middle, high = (
        f">{budget}" if np.isinf(n) else f"{n:.0f}"
        for n in (evaluations.min(), np.median(evaluations), evaluations.max())
    )
    took = "" if np.isinf(np.median(seconds)) else f", {np.median(seconds):.2f} s"
    return f"{middle} ({low} to {high}){took}" if low != high else f"{middle}{took}"


# The planted net


class Planted(nn.Module):
    """Knows its images by heart, and how one camera renders them: near those views it is wrong.

    views (N, 3, H, W), labels (N,) of the images in order; thresholds (N,): below which distance,
    relative to that of the default views, each image is wrong.
    """

    def __init__(self, views: Tensor, default: Tensor, labels: Tensor):
        super().__init__()
        self.views = views
        self.unit = distance(default, views)
        self.sides = 2.0 * labels - 1
        self.thresholds = torch.linspace(0.1, 0.9, len(views))

    def forward(self, views: Tensor) -> Tensor:
        n = len(views)  # all images, or the first ones
        far = distance(views, self.views[:n]) / self.unit[:n]
        x = 5 * self.sides[:n] * (far - self.thresholds[:n])
        return torch.stack([-x, x], dim=1)


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Root mean square over the values of each view, (N,)."""
    return ((a - b).square().mean((1, 2, 3)) + 1e-12).sqrt()


def planted(dimensions: int, seed: int) -> tuple[Any, ParameterSpace, nn.Module, Any]:
    """An ISP, axes of it, and a net that fails somewhere in their box, with its data."""
    isp = rd.isp.static("bi,s,ga", CAMERA)
    space = ParameterSpace(ParameterSpace.around(isp, RANGES).axes[:dimensions])
    rng = np.random.default_rng([seed, dimensions])
    scene = np.kron(rng.random((IMAGES, SIZE // 4, SIZE // 4)), np.ones((4, 4)))
    scene = 0.05 + 0.25 * scene + rng.normal(0, 0.01, scene.shape)
    mosaics = torch.from_numpy(scene).float().clamp(0, 1)
    labels = torch.arange(IMAGES) % 2
    with torch.no_grad():
        net = Planted(space.pipeline(isp, far(space, rng))(mosaics), isp(mosaics), labels)
    return isp, space, net, list(zip(mosaics, labels.tolist(), strict=True))


def far(space: ParameterSpace, rng: np.random.Generator) -> Vector:
    """A setting that is, along each axis, half the way to a bound from the default or more."""
    ends = np.where(rng.integers(0, 2, len(space)), space.low, space.high)
    share = rng.uniform(0.5, 1, len(space))
    return np.asarray(space.default + share * (ends - space.default))


# The methods


class StoppedError(Exception):
    """The worst is found, or the budget spent."""


class Watched(Chain):
    """A chain that stops whoever asks it, as soon as the worst is found."""

    def __init__(self, net: nn.Module, isp: Any, data: Any, budget: int):
        self.cost = Cost(np.inf, np.inf)
        self.budget = np.inf
        super().__init__(net, isp, data)
        self.budget, self.asked = budget, 0
        self.orders = dict.fromkeys(
            self.orders, self.batches
        )  # the net knows images by their place
        self.begin = time.process_time()

    def outcomes(self, batch: Any, values: Any, where: str) -> Any:
        outcomes = super().outcomes(batch, values, where)
        features = self.measure.features(outcomes.numpy(), self.answers)
        self._watch(self.metric_of(features, where))
        return outcomes

    def _total(self, parts: Any, where: str) -> Score:
        score = super()._total(parts, where)
        self._watch(score.metric)
        return score

    def _watch(self, metric: float) -> None:
        if metric <= POINTS:
            self.cost = Cost(self.asked, time.process_time() - self.begin)
        if metric <= POINTS or self.asked >= self.budget:
            raise StoppedError


Method = Callable[[Watched, ParameterSpace, int], None]


def method(name: str) -> Method:
    def ask(chain: Watched, space: ParameterSpace, seed: int) -> None:
        budget = methods.Budget.of(max(1, int(chain.budget) // 61), 20, len(space), chain.per_step)
        probing, own = (np.random.default_rng([seed, number]) for number in range(2))
        first = methods.Trial(chain, space, 0.0, probing, budget.probes)
        methods.probe(first)
        trial = methods.Trial(chain, space, 0.0, own, budget.own, first.visits)
        methods.METHODS[name](trial, 20)

    return ask


def grid(chain: Watched, space: ParameterSpace, seed: int) -> None:
    """All combinations of 2, 3, 5, 9, ... evenly spaced values of each axis, in random order."""
    del seed
    for place in places(len(space)):
        chain.score(space, space.at(np.array(place)))


def places(dimensions: int) -> Iterator[tuple[float, ...]]:
    """Of the unit cube: finer and finer grids, none twice."""
    known: set[float] = set()
    for level in count():
        values = [float(x) for x in np.linspace(0, 1, 2**level + 1)]
        yield from (x for x in product(values, repeat=dimensions) if not known.issuperset(x))
        known.update(values)


SEARCHES: dict[str, Method] = {name: method(name) for name in methods.METHODS} | {"grid": grid}


def draw(found: dict[str, list[list[Cost]]], budget: int, path: Path) -> None:
    """Evaluations by number of parameters and method, median and range."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colors = dict(zip(METHODS, ("#c0392b", "#7aa6c2", "#b0b0b0", "#d9a441"), strict=True))
    fig, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for number, (method, costs) in enumerate(found.items()):
        evaluations = np.array(costs)[..., 0].clip(max=budget)  # (dimensions, seeds)
        at = np.array(DIMENSIONS) * 1.06 ** (number - 1.5)
        middle = np.median(evaluations, axis=1)
        ends = np.abs(np.stack([evaluations.min(1), evaluations.max(1)]) - middle)
        axes.errorbar(at, middle, ends, color=colors[method], marker="o", label=method, capsize=2)
    axes.axhline(budget, color="black", linewidth=1, linestyle="--")
    axes.text(1, budget * 1.1, "given up", fontsize=8)
    axes.set(xscale="log", yscale="log", ylim=(1, 4 * budget), xlabel="parameters")
    axes.set_ylabel("evaluations of the net")
    axes.set_xticks(DIMENSIONS, map(str, DIMENSIONS))
    axes.minorticks_off()
    axes.set_title("Until the worst camera is found, within 2 points", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=4, loc="upper left")
    fig.savefig(path, dpi=150)
    plt.close(fig)


if __name__ == "__main__":
    main()
