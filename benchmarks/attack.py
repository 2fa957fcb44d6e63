"""What a forensics run of a ResNet18 costs, with and without its shortcuts.

    python -m benchmarks.attack [--data ROOT] [--images 100] [--restarts 4] [--ways plain shipped]

Trains a network on two thirds of the images (of a folder, or synthetic ones), and searches the
others for harmful and for safe settings of "bi,s,ga": once asking all images at every setting, with
PyTorch and the network as it is; and once as shipped. Prints processor seconds of one thread by
unit, their ratio, and what the two runs conclude.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

import rawdrift as rd
from rawdrift.controls.forensics import chain
from rawdrift.controls.forensics.answers import Answers
from rawdrift.controls.forensics.experiment import DriftForensics
from rawdrift.controls.forensics.kept import Kept
from rawdrift.statistics import DropTest

SPACE: dict[str, Any] = {
    "white_balance.gains[2]": 0.2,
    "color_correction.hue": [-20, 20],
    "gamma.gamma": 0.2,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="folder of raw images with labels; else synthetic ones")
    parser.add_argument("--images", type=int, default=100, help="that are tested")
    parser.add_argument("--size", type=int, default=120, help="of synthetic images")
    parser.add_argument("--max_drop", type=float, default=0.1)
    parser.add_argument("--restarts", type=int, default=4, help="of the search")
    parser.add_argument("--weights", nargs="+", type=float, default=[0.0], help="regularizations")
    parser.add_argument("--cameras", type=int, default=200, help="that the box is tested with")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, help="folder for the runs; else they are not kept")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = rd.Data("synthetic-microscopy", images=3 * options.images, size=options.size)
    if options.data:
        data = rd.Data("folder", root=options.data)
    settings = rd.Forensics(
        folds=3, models=1, images=options.images, space=SPACE, groups=["all"], samples=0,
        regularizations=options.weights, restarts=options.restarts, max_drop=options.max_drop,
        cameras=options.cameras,
    )  # fmt: skip
    spec = rd.ForensicsSpec(
        data=data, forensics=settings, task=rd.Task(epochs=options.epochs, lr=1e-3)
    )
    with tempfile.TemporaryDirectory() as temporary:
        compare(spec, (options.out or Path(temporary)).resolve(), options.ways)


def compare(spec: rd.ForensicsSpec, out: Path, ways: Sequence[str]) -> None:
    if not (out / "training" / "models").is_dir():
        short = replace(
            spec.forensics, envelope=False, restarts=1, steps=1, rivals=[], groups=["gamma"]
        )
        rd.run(replace(spec, forensics=short), out / "training", page=False)
    totals = []
    for name in ways:
        trained = patch.object(Kept, "name", str(out / "training" / "models" / "fold0.safetensors"))
        with WAYS[name](), trained, timed() as spent:
            result: Any = rd.run(spec, out / name, page=False)
        totals.append(spent.total())
        print(f"\n{name}: {spent.total():.0f} processor seconds:", end=" ")
        print(", ".join(f"{kind} {seconds:.0f}" for kind, seconds in spent.items()))
        tell(result)
    print("\nratio:", " / ".join(f"{totals[0] / total:.2f}" for total in totals))


@contextmanager
def timed() -> Iterator[Counter[str]]:
    """Count the processor seconds of units inside, by kind."""
    spent: Counter[str] = Counter()
    compute = DriftForensics.compute

    def watched(self: DriftForensics, unit: Any, *more: Any) -> Any:
        begun = time.process_time()
        record = compute(self, unit, *more)
        spent[unit.kind] += time.process_time() - begun
        return record

    with patch.object(DriftForensics, "compute", watched):
        yield spent


@contextmanager
def plainly() -> Iterator[None]:
    """Leave out all shortcuts inside."""
    least_p, bounds = DropTest.least_p, Answers._bounds

    def late(self: Any, after: Any, seen: Any, margin: float) -> float:
        return least_p(self, after, seen, margin) if seen.all() else 0.0

    def unknown(self: Any) -> tuple[float, float]:
        return bounds(self) if self._seen.all() else (-np.inf, np.inf)

    with ExitStack() as stack:
        stack.enter_context(patch.object(DropTest, "least_p", late))
        stack.enter_context(patch.object(Answers, "_bounds", unknown))
        stack.enter_context(patch.object(chain, "KNOWN", 0))
        stack.enter_context(patch.object(chain, "forward_of", lambda net, *_: net))
        stack.enter_context(patch.object(chain, "differentiable", lambda net, *_: net))
        stack.enter_context(patch.object(chain, "quick_of", lambda *_: None))
        yield


WAYS = {"plain": plainly, "shipped": nullcontext}


def tell(result: Any) -> None:
    worst, safe = result.worst, result.envelope
    print(f"  worst drop {worst.drop.value:.3f} [{worst.drop.low:.3f}, {worst.drop.high:.3f}]")
    for sentence in (*safe.claims(), *safe.warnings):
        print(f"  {sentence}")
    for name, (low, high) in safe.box.items():
        alone = safe.tolerances[name]
        print(f"  {name}: {alone.low:.4g} to {alone.high:.4g}, box {low:.4g} to {high:.4g}")
    print(f"  {safe.evaluations} evaluations of the envelope")


if __name__ == "__main__":
    main()
