"""The findings of drift optimization in sentences, for its page and for a terminal."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rawdrift.controls.optimization.result import OptimizationResult, Row
from rawdrift.report import style
from rawdrift.report.tables import span
from rawdrift.statistics.basics import Interval
from rawdrift.text import counted

FIRST, SECOND = "learned", "frozen"
"""The comparison that the experiment is about: what the first gains over the second."""
OTHER_SEED = "another seed could give another order"


class Gain(NamedTuple):
    """What one setting gains over another at an intensity.

    before, after: the metric of the other setting, and of this one. interval: of their difference.
    p: corrected for all differences. certain: whether the difference is more than chance.
    of_seeds: whether that covers other seeds.
    """

    intensity: float
    before: float
    after: float
    interval: Interval
    p: float
    certain: bool
    of_seeds: bool

    @property
    def value(self) -> float:
        return self.interval.value


def reference(result: OptimizationResult) -> str:
    """Return the setting that others are compared with: frozen, or the first that has numbers."""
    settings = [row.setting for row in result.table if row.setting not in result.same]
    return SECOND if SECOND in settings or not settings else settings[0]


def gain(
    result: OptimizationResult, intensity: float, of: str, over: str, when: str = "final"
) -> Gain | None:
    """Return what a setting gains over another; None where they were not compared.

    when: "final", after the last epoch, or "mean", over all of them.
    """
    for change in result.differences:
        if (change.intensity, change.when) != (intensity, when):
            continue
        if {change.first, change.second} != {of, over}:
            continue
        interval = Interval(change.value, change.low, change.high)
        before, after = change.of_second, change.of_first
        if change.first != of:
            interval, before, after = _negative(interval), after, before
        certain, of_seeds = change.is_difference, change.of_seeds
        return Gain(intensity, before, after, interval, change.p_all, certain, of_seeds)
    return None


def _negative(interval: Interval) -> Interval:
    low, high = interval.low, interval.high
    if low is not None and high is not None:
        low, high = -high, -low
    return Interval(-interval.value, low, high)


def gains(result: OptimizationResult) -> list[Gain]:
    """Return what learned gains over frozen in the end, at each intensity that has both."""
    each = (gain(result, i, FIRST, SECOND) for i in result.intensities)
    return [one for one in each if one is not None]


def headline(result: OptimizationResult) -> str:
    """Return the result in a sentence."""
    metric, pairs = style.metric(result.metric, inside=True), gains(result)
    if not pairs:
        return _without_pair(result)
    lifted = [each for each in pairs if each.certain and each.value > 0]
    lowered = [each for each in pairs if each.certain and each.value < 0]
    parts = []
    if lifted:
        parts.append(f"takes {metric} {_moves(lifted)}")
    if lowered:
        parts.append(f"lowers {'it' if lifted else metric} {_moves(lowered)}")
    for each in pairs:
        if not each.certain:
            parts.append(_nothing_shown(result, metric, each))
    subject = "learning the ISP with the task"
    if all(each.of_seeds for each in pairs):
        return f"{_capital(subject)} {'; it '.join(parts)}."
    return f"With one training of each fold, {subject} {'; it '.join(parts)}; {OTHER_SEED}."


def _nothing_shown(result: OptimizationResult, metric: str, final: Gain) -> str:
    """Say what the data rule out where no gain or loss is shown in the end."""
    where = light(final.intensity).lower()
    text = f"shows no gain or loss of {metric} beyond chance {where} ({ruled_out(final)})"
    overall = gain(result, final.intensity, FIRST, SECOND, "mean")
    if overall and overall.certain:
        text += f", but over all epochs together it {_change(overall.value)}"
    return text


def lead(result: OptimizationResult) -> list[str]:
    """Return a sentence or two on each intensity, and what a single seed leaves open."""
    sentences = [" ".join(_lead(result, intensity)) for intensity in result.intensities]
    if result.repeats == 1 and result.differences:
        sentences.append(
            "Each fold was trained once with each setting, so this compares trainings rather than "
            "settings: set task.repeats to 3 or more to know how much other seeds change."
        )
    return sentences


def _lead(result: OptimizationResult, intensity: float) -> Iterator[str]:
    final, overall = (gain(result, intensity, FIRST, SECOND, when) for when in ("final", "mean"))
    if final:
        yield (
            f"{light(intensity)}, {FIRST} ends at {_n(final.after)} and {SECOND} at "
            f"{_n(final.before)}: it {verdict(final)}."
        )
    if overall:
        yield f"Over all epochs together, it {verdict(overall)}."
    rows = ranked(result, intensity)
    if not rows:
        yield f"{light(intensity)}, no training finished."
    elif not final or len(rows) > 2:
        best, base = rows[0], reference(result)
        ahead = None if best.setting == FIRST else gain(result, intensity, best.setting, base)
        yield (
            f"{'Highest' if final else f'{light(intensity)}, the highest'} in the end is "
            f"{best.setting}, {_n(best.final.mean)}"
            + (f"; against {base} it {verdict(ahead)}." if ahead else ".")
        )


def beside_paper(result: OptimizationResult) -> str:
    """Compare Table 4 of this run with what the paper claims; empty without both settings."""
    parts = []
    for intensity in result.intensities:
        rows = {row.setting: row for row in result.at(intensity)}
        change = gain(result, intensity, FIRST, SECOND, "mean")
        if change:
            one, other = (_n(rows[name].std) for name in (FIRST, SECOND))
            parts.append(
                f"{_change(change.value)} {light(intensity).lower()}"
                + ("" if change.certain else " (which may be chance)")
                + f", with a standard deviation of {one} against {other}"
            )
    if not parts:
        return ""
    return (
        "The paper finds up to 25 % more accuracy with the learned ISP than with the frozen one, "
        "and less variance, where images are classified, and no gain where they are segmented. "
        f"Here the learned one {listed(parts)}."
    )


def ranked(result: OptimizationResult, intensity: float) -> list[Row]:
    """Return the rows of an intensity, the highest final value first."""
    return sorted(result.at(intensity), key=lambda row: -row.final.mean)


def lines(result: OptimizationResult) -> Iterator[str]:
    """Yield the headline, and the final values at each intensity, the highest first."""
    yield headline(result)
    metric = style.metric(result.metric, inside=True)
    for intensity in result.intensities:
        rows = ranked(result, intensity)
        values = ", ".join(
            f"{row.setting} {_n(row.final.mean)}"
            + (f" ± {_n(row.final.std)}" if row.final.std is not None else "")
            for row in rows
        )
        if rows:
            yield f"{light(intensity).lower()}, {metric} in the end: {values}"
        change = gain(result, intensity, FIRST, SECOND)
        if change:
            yield f"  {FIRST} against {SECOND}: {verdict(change)}"
    if result.diverged:
        count = len(result.diverged)
        yield f"diverged, and left out of every mean: {counted(count, 'training')}"


def verdict(change: Gain) -> str:
    """Say what a setting gains or loses, or what is ruled out where neither is shown."""
    seen = _change(change.value)
    if change.certain:
        at = interval(_negative(change.interval) if change.value < 0 else change.interval)
        return f"{seen} ({at}; {style.p_value(change.p)})"
    doubt = ", which may be chance" if change.value else ""
    return f"{seen}{doubt} ({style.p_value(change.p)}; {ruled_out(change)})"


def _change(value: float) -> str:
    """Write a difference as a gain or a loss."""
    if value == 0:
        return "neither gains nor loses"
    text, zero = style.apart(abs(value), 0, 3)
    return f"{'gains' if value > 0 else 'loses'} {text if text != zero else 'less than 0.001'}"


def ruled_out(change: Gain) -> str:
    """Say which gain and which loss the data rule out: what lies outside the interval."""
    low, high = change.interval.low, change.interval.high
    if low is None or high is None:
        return "nothing is ruled out"
    # Of a metric from 0 to 1, more than there is can neither be gained nor lost.
    most = (1 - change.before, change.before) if 0 <= change.before <= 1 else (math.inf, math.inf)
    parts = [
        f"a {what} of more than {style.at_most(end)}" if end > 0 else f"any {what}"
        for what, end, possible in zip(("gain", "loss"), (high, -low), most, strict=True)
        if end < possible
    ]
    if not parts:
        return "nothing is ruled out"
    return f"{listed(parts)} {'is' if len(parts) == 1 else 'are'} ruled out"


def interval(of: Interval) -> str:
    """Write an interval; that of too few images is not known."""
    if of.low is None or of.high is None:
        return "interval unknown"
    return span(of.low, of.high, 3)


def light(intensity: float) -> str:
    return f"At intensity {intensity:g}"


def listed(names: Iterable[str], last: str = "and") -> str:
    """Join names as in "a, b and c"."""
    every = list(names)
    return f" {last} ".join([", ".join(every[:-1]), every[-1]] if every[1:] else every)


def _moves(gains: Sequence[Gain]) -> str:
    return listed(
        f"from {before} to {after} {light(each.intensity).lower()}"
        for each in gains
        for before, after in [style.apart(each.before, each.after)]
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _without_pair(result: OptimizationResult) -> str:
    metric = style.metric(result.metric, inside=True)
    rows = [row for intensity in result.intensities for row in result.at(intensity)]
    if not rows:
        return "No training finished."
    best = max(rows, key=lambda row: row.final.mean)
    where = f"{light(best.intensity).lower()}, {metric} {style.number(best.final.mean, 2)}"
    if len({row.setting for row in rows}) == 1:
        return f"The only setting with a result is {best.setting}: {where}."
    single = f", with one training of each fold; {OTHER_SEED}" if result.repeats == 1 else ""
    return f"The highest in the end is {best.setting}: {where}{single}."


def _n(value: float | None) -> str:
    return style.number(value, 3)
