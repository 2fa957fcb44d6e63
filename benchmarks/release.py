"""How often the decision of a release errs at the margin, and how many images it takes.

    python -m benchmarks.release [--runs 400] [--write]

Answers are drawn for which the metric drops by exactly the margin: a decision "accept" is then an
error. Where no answer changes, "accept" is right: its share is the power, and the images that were
looked at before it are what early stopping takes.
`--write` puts the table into docs/explanation/release.md.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import rawdrift as rd

DOC = Path(__file__).parents[1] / "docs" / "explanation" / "release.md"
MARGIN, ALPHA = 0.1, 0.05


class Setting(NamedTuple):
    """n images of two classes, of which a share `rare` is of the second; in groups of `size`, whose
    answers all change together."""

    metric: str
    n: int
    rare: float = 0.5
    size: int = 1

    def draw(self, rng: np.random.Generator, share: float) -> tuple[np.ndarray, ...]:
        """Draw right answers, answers before and after, and groups; a share is lost."""
        truth = np.repeat([0, 1], [self.n - round(self.rare * self.n), round(self.rare * self.n)])
        rng.shuffle(truth)
        groups = np.arange(self.n) // self.size
        lost = (rng.random(groups.max() + 1) < share)[groups]
        return truth, truth, np.where(lost, 1 - truth, truth), groups

    def accepts(self, rng: np.random.Generator, share: float, early: bool, seed: int) -> int | None:
        """Return how many images an acceptance took; None without one."""
        *answers, groups = self.draw(rng, share)
        found = rd.statistics.accept(
            *answers, MARGIN, ALPHA, groups.tolist() if self.size > 1 else None, self.metric,
            stop_early=early, seed=seed,
        )  # fmt: skip
        return (found.used or self.n) if found.decision == "accept" else None


def settings() -> Iterator[Setting]:
    for metric in ("accuracy", "balanced_accuracy", "macro_f1"):
        for n in (30, 100, 300, 1000):
            yield Setting(metric, n, 0.2 if metric != "accuracy" else 0.5)
    for n in (100, 300, 1000):
        yield Setting("accuracy", n, 0.5, 5)


def rows(runs: int) -> Iterator[str]:
    for one in settings():
        for early in (False, True):
            count = runs if one.metric != "macro_f1" else runs // 10
            rng = np.random.default_rng(0)
            # Of macro F1, a share that is lost in every class lowers the metric by no less.
            wrong = [one.accepts(rng, MARGIN, early, run) is not None for run in range(count)]
            used = [one.accepts(rng, 0.0, early, run) for run in range(max(4, count // 20))]
            right = [n for n in used if n is not None]
            groups = f"{one.n // one.size} groups of {one.size}"
            kind = groups if one.size > 1 else f"{one.n} images"
            took = f"{np.mean(right):.0f}" if right else ""
            name = one.metric.replace("_", " ")
            row = f"| {name} | {kind} | {'yes' if early else 'no'} | {100 * np.mean(wrong):.1f}% | "
            row += f"{count} | {100 * len(right) / len(used):.0f}% | {took} |"
            print(row, flush=True)
            yield row


HEAD = f"""# The decision of a release

`rawdrift compare` and `rd.statistics.accept` call an ISP non-inferior if a drop of the margin is
ruled out, with a chance of error of at most alpha. The tests are an exact test of images lost and
won (accuracy of independent images), and bets on bounded contributions (everything else), see
`rawdrift.statistics.guarantees`. With `stop_early`, bets are settled after blocks of images in
random order, and the decision holds at any stopping time (`rawdrift.statistics.sequential`); blocks
hold whole groups, and images of every class.

`python -m benchmarks.release --write` drew this table: margin {MARGIN:g}, alpha {ALPHA:g}; the
second class is rare (20 %) for balanced accuracy and macro F1; the images of a group change
together. *Errors*: acceptances where the accuracy of every class drops by exactly the margin.
*Power* and *images*: acceptances where nothing changes, and the images they took.

| metric | data | early | errors | runs | power | images |
|---|---|---|---|---|---|---|
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    table = "\n".join(rows(args.runs))
    if args.write:
        DOC.write_text(f"{HEAD}{table}\n")


if __name__ == "__main__":
    main()
