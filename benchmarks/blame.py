"""Does the stage that was moved get the blame?

    python -m benchmarks.blame [--root DIR] [--epochs 30] [--cases 20]

A small network is trained once on half of the images, of a folder or synthetic ones. For each case
one stage of its ISP is moved until the accuracy on the other half drops; all other stages are moved
a little, which does no harm. Then two stages are moved together, each as far as it takes alone, and
in the end none: no blame may be more than chance then.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp

import numpy as np
import torch
from torch import Tensor, nn

import rawdrift as rd
from rawdrift.controls.comparison.analysis import _blame
from rawdrift.controls.comparison.result import Blame
from rawdrift.controls.comparison.sides import Between, Side
from rawdrift.controls.material import Material, read
from rawdrift.isp.pipeline import Pipeline
from rawdrift.models.chain import BATCH, Develop
from rawdrift.models.evaluate import answer
from rawdrift.models.train import train
from rawdrift.statistics import estimate

SLIGHT = 0.01  # of the steps below, to and fro, of the stages that are to do no harm
STEPS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)  # that are tried until the accuracy drops
DROPS = (0.06, 0.1, 0.15)
Move = Callable[[Pipeline, float], Tensor]


def small(classes: int) -> nn.Module:
    """A network that trains in a minute."""
    layers: list[nn.Module] = []
    for before, after in ((3, 16), (16, 32), (32, 64)):
        conv = nn.Conv2d(before, after, 3, stride=2, padding=1)
        layers += [conv, nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))


def _turned(isp: Pipeline, by: float) -> Tensor:
    matrix = isp.steps["color_correction"].matrix
    turn = torch.tensor([[0, by, -by], [-by, 0, by], [by, -by, 0]], dtype=matrix.dtype)
    return torch.linalg.matrix_exp(turn) @ matrix


MOVES: Mapping[str, tuple[str, Move]] = {
    "black_level": ("level", lambda isp, by: (isp.steps["black_level"].level + 0.1 * by).clamp(0)),
    "white_balance": (
        "gains",
        lambda isp, by: isp.steps["white_balance"].gains * torch.tensor([exp(by), 1.0, exp(-by)]),
    ),
    "color_correction": ("matrix", _turned),
    "sharpen": ("amount", lambda isp, by: (isp.steps["sharpen"].amount + 6 * by).clamp(0)),
    "gamma": ("gamma", lambda isp, by: isp.steps["gamma"].gamma * exp(by)),
}
"""What moving a stage by a number, at most 1 or -1, makes of one of its tensors."""


def moved(isp: Pipeline, by: Mapping[str, float]) -> Pipeline:
    """Return the ISP with its stages moved."""
    copy = isp.replace()
    for name, (tensor, move) in MOVES.items():
        getattr(copy.steps[name], tensor).copy_(move(isp, by[name]))
    return copy


@dataclass
class Bench:
    """A trained network, and the images that it is tested on."""

    material: Material
    isp: Pipeline
    net: nn.Module
    test: Tensor

    def outcomes(self, isp: Develop) -> np.ndarray:
        data, targets, _ = self.material
        return answer(isp, self.net, data, targets, self.test)[0].numpy()

    def accuracy(self, isp: Pipeline) -> float:
        right = self.outcomes(Develop([isp])) == self.material.targets.truth[self.test]
        return float(right.mean())

    def blame(self, after: Pipeline) -> list[Blame]:
        """Return the blame of the stages, the largest first."""
        between = Between(Side([self.isp]), Side([after]))
        targets = self.material.targets.take(self.test)
        outcomes = np.stack([self.outcomes(between.develop(i)) for i in between.coalitions])
        measure = next(iter(targets.measures.values()))
        features = measure.features(outcomes, targets.truth)
        levels = estimate(measure, features, self.material.clusters(self.test.numpy()))
        return _blame(levels, between.stages, 0)

    def harmful(
        self, stages: Sequence[str], rng: np.random.Generator, drop: float
    ) -> Pipeline | None:
        """Move each of these stages as far as it takes for a drop by it alone, and all others a
        little; None if one does no such harm."""
        by = {name: SLIGHT * float(rng.choice([-1, 1])) for name in MOVES}
        steps = {name: self._step(name, by, drop) for name in stages}
        if None in steps.values():
            return None
        return moved(self.isp, {**by, **steps})

    def _step(self, stage: str, by: Mapping[str, float], drop: float) -> float | None:
        own = self.accuracy(self.isp)
        for step in STEPS:
            far = step * np.sign(by[stage])
            if own - self.accuracy(moved(self.isp, {**by, stage: far})) >= drop:
                return float(far)
        return None


def prepare(root: str | None, epochs: int) -> Bench:
    data = (
        rd.Data(root=root) if root else rd.Data("synthetic-microscopy", images=400, balanced=True)
    )
    task = rd.Task("import:benchmarks.blame.small", epochs=epochs, lr=1e-3, precision="32")
    material = read(data, task, 2, 0)
    isp = rd.isp.static("bi,u,ga", material.data.cameras[0])
    train_images, test = (torch.from_numpy(part) for part in material.splits[0])
    net = train(material.data, material.targets, train_images, Develop([isp]), task, seed=0)
    bench = Bench(material, isp, net.eval(), test)
    majority = np.bincount(material.targets.truth[test]).max() / len(test)
    print(
        f"{len(test)} test images, accuracy {bench.accuracy(isp):.3f} (most frequent class "
        f"{majority:.3f}), batches of {BATCH}",
        flush=True,
    )
    return bench


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root", help="folder of raw images with labels; by default synthetic ones"
    )
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--cases", type=int, default=20)
    args = parser.parse_args()
    torch.manual_seed(0)
    bench, rng = prepare(args.root, args.epochs), np.random.default_rng(0)
    names = [*MOVES]
    hits = found = tried = 0
    while found < args.cases and tried < 5 * args.cases:
        name = names[tried % len(names)]
        after = bench.harmful([name], rng, DROPS[tried % len(DROPS)])
        tried += 1
        if after is None:
            continue
        found += 1
        blame = bench.blame(after)
        hit = blame[0].stage == name
        shares = ", ".join(f"{one.stage} {one.value:+.3f}" for one in blame)
        print(f"{name}: {'most blame' if hit else 'NOT most blame'} ({shares})", flush=True)
        hits += hit
    print(f"the moved stage has most blame in {hits} of {found} cases", flush=True)
    shared = []
    for pair in combinations(names, 2):
        after = bench.harmful(pair, rng, DROPS[0])
        if after is not None:
            blame = bench.blame(after)
            shared.append({one.stage for one in blame[:2]} == {*pair})
            shares = ", ".join(f"{one.stage} {one.value:+.3f}" for one in blame)
            print(f"{' and '.join(pair)}: {shares}", flush=True)
    print(f"two moved stages have most blame in {sum(shared)} of {len(shared)} cases", flush=True)
    beyond = []
    for _ in range(5):
        signs = {name: SLIGHT * float(rng.choice([-1, 1])) for name in names}
        blame = bench.blame(moved(bench.isp, signs))
        beyond.append(any(one.low > 0 or one.high < 0 for one in blame))
    print(f"with nothing moved but a little, a blame exceeds chance in {sum(beyond)} of 5 cases")


if __name__ == "__main__":
    main()
