"""The findings of drift optimization in sentences, for its page and for a terminal."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rawdrift.controls.optimization.result import OptimizationResult, Row
from rawdrift.report import style
from rawdrift.report.tables import span
from rawdrift.statistics.basics import Interval

FIRST, SECOND = "learned", "frozen"
"""The comparison that the experiment is about: what the first gains over the second."""


class Gain(NamedTuple):
    """What one setting gains over another at an intensity.

    before, after: the metric of the other setting, and of this one. interval: their difference.
    p: corrected for all pairs. certain: whether the difference is more than chance.
    """

    intensity: float
    before: float
    after: float
    interval: Interval
    p: float
    certain: bool

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
    rows = {row.setting: row for row in result.at(intensity)}
    for difference in result.differences:
        if (difference.intensity, difference.when) != (intensity, when):
            continue
        if {difference.first, difference.second} != {of, over} or not {of, over} <= set(rows):
            continue
        before, after = (
            rows[name].final.mean if when == "final" else rows[name].mean for name in (over, of)
        )
        change = Interval(difference.value, difference.low, difference.high)
        if difference.first != of:
            change = _negative(change)
        return Gain(intensity, before, after, change, difference.p_holm, difference.is_difference)
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
    level = [each for each in pairs if each not in lifted and each not in lowered]
    if not lifted and not lowered:
        return f"Learning the ISP with the task gains no {metric} beyond chance {_lights(level)}."
    parts = []
    if lifted:
        parts.append(f"Learning the ISP with the task takes {metric} {_moves(lifted)}")
    if lowered:
        begin = "it costs: from" if lifted else f"Learning the ISP with the task costs {metric}:"
        parts.append(f"{begin} {_moves(lowered).removeprefix('from ' if lifted else '')}")
    if level:
        parts.append(f"{_lights(level)} nothing is gained beyond chance")
    return "; ".join(parts) + "."


def lead(result: OptimizationResult) -> list[str]:
    """Return a sentence or two on each intensity."""
    return [" ".join(_lead(result, intensity)) for intensity in result.intensities]


def _lead(result: OptimizationResult, intensity: float) -> Iterator[str]:
    final, overall = (gain(result, intensity, FIRST, SECOND, when) for when in ("final", "mean"))
    if final:
        throughout = f"; over all epochs together it is {difference(overall)}" if overall else ""
        yield (
            f"{light(intensity)}, {FIRST} ends at {_n(final.after)} and {SECOND} at "
            f"{_n(final.before)}: a difference of {difference(final)}{throughout}."
        )
    rows = ranked(result, intensity)
    if not rows:
        yield f"{light(intensity)}, no training finished."
    elif not final or len(rows) > 2:
        best, base = rows[0], reference(result)
        ahead = None if best.setting == FIRST else gain(result, intensity, best.setting, base)
        yield (
            f"{'Highest' if final else f'{light(intensity)}, the highest'} in the end is "
            f"{best.setting}, {_n(best.final.mean)}"
            + (f"; its difference from {base} is {difference(ahead)}." if ahead else ".")
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
                f"{_n(change.value)} {light(intensity).lower()}, with a standard deviation of "
                f"{one} against {other}" + ("" if change.certain else " (the gain may be chance)")
            )
    if not parts:
        return ""
    return (
        "The paper finds up to 25 % more accuracy with the learned ISP than with the frozen one, "
        "and less variance, where images are classified, and no gain where they are segmented. "
        f"Here the learned one gains {listed(parts)}."
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
            yield f"  {FIRST} minus {SECOND}: {difference(change)}"
    if result.diverged:
        count = len(result.diverged)
        yield f"diverged, and left out of every mean: {count} training{'s' * (count > 1)}"


def difference(change: Gain) -> str:
    """Write a difference with its interval and p-value, and whether it may be chance."""
    doubt = "" if change.certain else ", which may be chance"
    return f"{_n(change.value)} ({interval(change.interval)}; {p_value(change.p)}){doubt}"


def interval(of: Interval) -> str:
    """Write an interval; that of too few images is not known."""
    if of.low is None or of.high is None:
        return "interval unknown"
    return span(of.low, of.high, 3)


def p_value(p: float) -> str:
    return (f"p = {_n(p)}" if p >= 0.001 else "p < 0.001").replace(" ", "\N{NO-BREAK SPACE}")


def light(intensity: float) -> str:
    return f"At intensity {intensity:g}"


def listed(names: Iterable[str], last: str = "and") -> str:
    """Join names as in "a, b and c"."""
    every = list(names)
    return f" {last} ".join([", ".join(every[:-1]), every[-1]] if every[1:] else every)


def _moves(gains: Sequence[Gain]) -> str:
    return listed(
        f"from {style.number(each.before, 2)} to {style.number(each.after, 2)} "
        f"{light(each.intensity).lower()}"
        for each in gains
    )


def _lights(gains: Sequence[Gain]) -> str:
    return f"at intensity {listed((f'{each.intensity:g}' for each in gains), 'or')}"


def _without_pair(result: OptimizationResult) -> str:
    metric = style.metric(result.metric, inside=True)
    rows = [row for intensity in result.intensities for row in result.at(intensity)]
    if not rows:
        return "No training finished."
    best = max(rows, key=lambda row: row.final.mean)
    where = f"{light(best.intensity).lower()}, {metric} {style.number(best.final.mean, 2)}"
    if len({row.setting for row in rows}) == 1:
        return f"The only setting with a result is {best.setting}: {where}."
    return f"The highest in the end is {best.setting}: {where}."


def _n(value: float | None) -> str:
    return style.number(value, 3)
