"""How often the decision of a release errs at the margin, and how many images it takes.

    python -m benchmarks.release [--runs 400] [--write]

Answers are drawn for which the metric drops by exactly the margin: a decision "accept" is then an
error. Where no answer changes, "accept" is right: its share is the power. `--write` puts the tables
into docs/explanation/release.md.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binomtest

import rawdrift as rd
from rawdrift.statistics.guarantees import lost_and_won

DOC = Path(__file__).parents[1] / "docs" / "explanation" / "release.md"
MARGIN, ALPHA, POWER = 0.1, 0.05, 0.8
RARE = 0.2  # the share of the second class for balanced accuracy and macro F1
SLOW = 4  # times fewer runs of macro F1 with early stopping


def macro_f1(lost: float) -> float:
    """Return the macro F1 if all answers were right, and a share of each class is lost."""
    sizes = np.array([1 - RARE, RARE])
    hit, missed, false = (1 - lost) * sizes, lost * sizes, lost * sizes[::-1]
    return float((2 * hit / (2 * hit + missed + false)).mean())


LOST = {
    "accuracy": MARGIN,
    "balanced_accuracy": MARGIN,
    "macro_f1": brentq(lambda lost: 1 - macro_f1(lost) - MARGIN, 1e-6, 0.5),
    "iou": MARGIN,  # of masks, which are lost whole
}
"""The share of answers that must be lost for the metric to drop by the margin."""


class Setting(NamedTuple):
    """n images in groups of `size`, whose answers all change together."""

    metric: str
    n: int
    size: int = 1

    def draw(self, rng: np.random.Generator, share: float) -> tuple[np.ndarray, ...]:
        """Draw right answers, answers before and after, and groups; a share is lost."""
        groups = np.arange(self.n) // self.size
        lost = (rng.random(groups.max() + 1) < share)[groups]
        if self.metric == "iou":
            truth = np.zeros((self.n, 2, 2), np.int64)
            truth[:, 0] = 1
            return truth, truth, np.where(lost[:, None, None], 0, truth), groups
        second = round((0.5 if self.metric == "accuracy" else RARE) * self.n)
        truth = np.repeat([0, 1], [self.n - second, second])
        rng.shuffle(truth)
        return truth, truth, np.where(lost, 1 - truth, truth), groups

    def accepts(self, rng: np.random.Generator, share: float, early: bool, seed: int) -> int | None:
        """Return how many images an acceptance took; None without one."""
        *answers, groups = self.draw(rng, share)
        found = rd.statistics.accept(
            *answers, MARGIN, ALPHA, groups.tolist() if self.size > 1 else None, self.metric,
            stop_early=early, seed=seed,
        )  # fmt: skip
        return (found.used or self.n) if found.decision == "accept" else None

    def row(self, early: bool, runs: int) -> str:
        """Measure errors at the margin, and power without a change."""
        runs = runs // SLOW if early and self.metric == "macro_f1" else runs
        rng = np.random.default_rng(0)
        wrong = [
            self.accepts(rng, LOST[self.metric], early, run) is not None for run in range(runs)
        ]
        used = [self.accepts(rng, 0.0, early, run) for run in range(max(4, runs // 20))]
        right = [n for n in used if n is not None]
        groups = f"{self.n // self.size} groups of {self.size}"
        return (
            f"| {self.metric.replace('_', ' ')} | {groups if self.size > 1 else self.n} | "
            f"{'yes' if early else 'no'} | {percent(np.mean(wrong), runs)} | "
            f"{100 * len(right) / len(used):.0f} % | {f'{np.mean(right):.0f}' if right else ''} |"
        )


def percent(share: float, runs: int) -> str:
    """Write a share that was measured in so many runs with its standard error."""
    error = np.sqrt(max(share, 1 / runs) * (1 - share) / runs)
    return f"{100 * share:.1f} ± {100 * error:.1f} %"


def errors(runs: int) -> Iterator[str]:
    for metric in LOST:
        for size in (1, 5):
            for n in (30, 100, 300, 1000):
                for early in (False, True):
                    yield Setting(metric, n, size).row(early, runs)


class Truth(NamedTuple):
    """The shares of images that are lost and won by the change, and what to decide."""

    lost: float
    won: float
    decision: str

    def counts(self, rng: np.random.Generator, n: int, runs: int) -> np.ndarray:
        return rng.multinomial(n, [self.lost, self.won, 1 - self.lost - self.won], runs)

    def fixed(self, lost: int, won: int, n: int) -> bool:
        """Whether the exact test decides, with all n images looked at."""
        if self.decision == "accept":
            return lost_and_won(lost, won, n, MARGIN) <= ALPHA
        return lost_and_won(won, lost, n, -MARGIN) <= ALPHA

    def least(self, decides, runs: int) -> int | None:
        """Return the fewest images with which a test decides with the chance `POWER`."""
        low, high = 1, 2000
        if self.power(decides, high, runs) < POWER:
            return None
        while high - low > max(1, low // 100):
            middle = (low + high) // 2
            is_enough = self.power(decides, middle, runs) >= POWER
            low, high = (low, middle) if is_enough else (middle, high)
        return high

    def power(self, decides, n: int, runs: int) -> float:
        counts = self.counts(np.random.default_rng(0), n, runs)
        return float(np.mean([decides(lost, won, n) for lost, won, _ in counts.tolist()]))

    def row(self, runs: int, pool: int = 1000) -> str:
        """Compare with early stopping in a pool of images."""
        need, sign = self.least(self.fixed, runs), self.least(mcnemar, runs)
        rng = np.random.default_rng(0)
        used = []
        for run in range(runs):
            lost, won, _ = self.counts(rng, pool, 1)[0]
            truth = np.arange(pool) % 2
            before, after = truth.copy(), truth.copy()
            changed = rng.permutation(pool)[: lost + won]
            after[changed[:lost]] ^= 1
            before[changed[lost:]] ^= 1
            found = rd.statistics.accept(
                truth, before, after, MARGIN, ALPHA, stop_early=True, seed=run
            )
            used.append(found.used if found.decision == self.decision else np.nan)
        done = np.isfinite(used)
        took = float(np.mean(np.where(done, used, pool)))
        spread = np.std(np.where(done, used, pool)) / np.sqrt(runs)
        plan = PLAN.least(PLAN.fixed, runs)
        assert plan is not None
        kind = "non-inferior" if self.decision == "accept" else "inferior"
        return (
            f"| {100 * self.lost:g} % | {100 * self.won:g} % | {kind} | {need or 'over 2000'} | "
            f"{took:.0f} ± {spread:.0f} | {percent(float(done.mean()), runs)} | "
            f"{100 * (1 - took / plan):.0f} % | {sign or 'over 2000'} |"
        )


def mcnemar(lost: int, won: int, n: int) -> bool:
    """Whether McNemar's exact test, one-sided, shows that more images are lost than won."""
    return lost + won > 0 and binomtest(lost, lost + won, 0.5, "greater").pvalue <= ALPHA


PLAN = Truth(MARGIN / 2, 0.0, "accept")
TRUTHS = [
    Truth(0.0, 0.0, "accept"),
    Truth(0.02, 0.02, "accept"),
    Truth(0.03, 0.0, "accept"),
    PLAN,
    Truth(0.2, 0.0, "reject"),
    Truth(0.25, 0.05, "reject"),
    Truth(0.4, 0.0, "reject"),
]

HEAD = f"""# The decision of a release

`rawdrift compare` and `rd.statistics.accept` call an ISP non-inferior if a drop of the margin is
ruled out, with a chance of error of at most alpha. The tests are an exact test of images lost and
won (accuracy of independent images), and bets on bounded contributions (everything else), see
`rawdrift.statistics.guarantees`. With `stop_early`, bets are settled after blocks of images in
random order, and the decision holds at any stopping time (`rawdrift.statistics.sequential`); blocks
hold whole groups, and images of every class.

**Two real cameras.** `--comparison.pairs DIR` takes pictures of the same scenes by both, in place
of two ISPs and of data: `DIR/pairs.csv` has the columns before, after, label or mask, and maybe
group and split. Everything is as with raw images, but without them nobody can say which stage costs
what.

**Other sensors.** If the camera of an ISP file after states another black level, noise or point
spread than the camera of the raw files, these are changed to it before they are developed: blur and
noise can be added, not taken away. The page says what was moved and what was not, and the sensor
has its own share of the blame.

**Black boxes.** An ISP is fitted (`rd.isp.fit`) to the views of at most 24 images, which are in no
test, and stands in for the box in the ISPs between the two. What it leaves, the difference of the
views, is the stage “unexplained”; the blame of all stages still adds up to the drop. Fits are kept
in the cache.

**Blame.** On 150 real blood cells (accuracy 0.927), `python -m benchmarks.blame --root DIR` moved
one stage until the accuracy dropped by at least 0.06, 0.1 or 0.15, and all others a little: the
moved stage had most blame in 20 of 20 cases. Two stages were moved by the same step until it
dropped by 0.1: both had most blame in 3 of 5 cases; in the others, one of the two did the harm
(0.147 and 0.133), and the other had no blame above 0. With all stages moved only a little, no blame
exceeded its interval (5 cases).

`python -m benchmarks.release --write` drew these tables: margin {MARGIN:g}, alpha {ALPHA:g}. The
number after ± is the standard error of the simulation.

## Errors and power

The second class is rare ({100 * RARE:.0f} %) for balanced accuracy and macro F1; the images of a
group change together. *Errors*: acceptances where the metric drops by exactly the margin, in
RUNS runs (with macro F1 and early stopping, in a fourth of them). *Power* and *images*:
acceptances where nothing changes, in a 20th as many runs, at least 4, and the images they took.

| metric | images | early | errors | power | images |
|---|---|---|---|---|---|
"""
SAVED = f"""
## Images that early stopping saves

Accuracy of independent images, which are lost (right before, wrong after) and won. *All at once*:
the fewest images with which the exact test decides with a chance of {100 * POWER:.0f} %. *Early*:
the mean number of images that were looked at before the decision, of a pool of 1000, and how often
there was one. Early stopping does not beat the exact test whose number of images was chosen knowing
the effect: that takes fewer images in every row. Who doesn't know the effect must plan for the
worst that is still to be accepted. *Saved*: of the images that the exact test takes where
{100 * MARGIN / 2:g} % are lost, half the margin; below zero, early stopping looked at more.
*McNemar*: the fewest with which McNemar's exact test, one-sided, shows that there is a drop at all,
however small; that there is none, or less than the margin, it can't show.

| lost | won | decision | all at once | early | decided | saved | McNemar |
|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    tables = {
        HEAD.replace("RUNS", str(args.runs)): errors(args.runs),
        SAVED: (truth.row(args.runs) for truth in TRUTHS),
    }
    text = ""
    for head, rows in tables.items():
        text += head
        for row in rows:
            print(row, flush=True)
            text += f"{row}\n"
    if args.write:
        DOC.write_text(text)


if __name__ == "__main__":
    main()
