"""What a drift optimization run has found, in sentences for its page and for a terminal."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from rawdrift.report import style
from rawdrift.report.tables import span

FIRST, SECOND = "learned", "frozen"
"""The comparison that the experiment is about: what the first gains over the second."""


class Gain(NamedTuple):
    """Of one setting over another at an intensity: their values, and the difference with interval
    and corrected p-value. low, high: None where images are too few to tell."""

    intensity: float
    before: float
    after: float
    value: float
    low: float | None
    high: float | None
    p: float
    certain: bool


def rows(summary: dict[str, Any], intensity: float) -> list[dict[str, Any]]:
    """Of the table, those of an intensity, without settings that are another one."""
    return [
        row
        for row in summary["table"]
        if row["intensity"] == intensity and row["setting"] not in summary["same"]
    ]


def reference(summary: dict[str, Any]) -> str:
    """The setting that the others are held against: frozen, or else the first that has numbers."""
    there = [row["setting"] for row in summary["table"] if row["setting"] not in summary["same"]]
    return SECOND if SECOND in there or not there else there[0]


def gain(
    summary: dict[str, Any], intensity: float, of: str, over: str, when: str = "final"
) -> Gain | None:
    """when: "final", after the last epoch, or "mean", over all of them."""
    told = {row["setting"]: row for row in rows(summary, intensity)}
    for found in summary["differences"]:
        if (found["intensity"], found["when"]) != (intensity, when):
            continue
        if {found["first"], found["second"]} != {of, over} or not {of, over} <= set(told):
            continue
        before, after = (
            (told[name]["final"] if when == "final" else told[name])["mean"] for name in (over, of)
        )
        turned = found["first"] != of
        low, high = found["low"], found["high"]
        if low is not None and high is not None and turned:
            low, high = -high, -low
        value = -found["value"] if turned else found["value"]
        p, certain = found["p_holm"], found["is_difference"]
        return Gain(intensity, before, after, value, low, high, p, certain)
    return None


def gains(summary: dict[str, Any]) -> list[Gain]:
    """Of learned over frozen in the end, at each intensity where both have numbers."""
    found = (gain(summary, i, FIRST, SECOND) for i in summary["intensities"])
    return [each for each in found if each is not None]


def headline(summary: dict[str, Any]) -> str:
    """The result in a sentence."""
    metric, found = style.metric(summary, inside=True), gains(summary)
    if not found:
        return _without_pair(summary)
    lifted = [each for each in found if each.certain and each.value > 0]
    lowered = [each for each in found if each.certain and each.value < 0]
    level = [each for each in found if each not in lifted and each not in lowered]
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


def lead(summary: dict[str, Any]) -> list[str]:
    """A sentence or two on each intensity."""
    return [" ".join(_lead(summary, intensity)) for intensity in summary["intensities"]]


def _lead(summary: dict[str, Any], intensity: float) -> Iterator[str]:
    final, overall = (gain(summary, intensity, FIRST, SECOND, when) for when in ("final", "mean"))
    if final:
        throughout = f"; over all epochs together it is {of(overall)}" if overall else ""
        yield (
            f"{light(intensity)}, {FIRST} ends at {_n(final.after)} and {SECOND} at "
            f"{_n(final.before)}: a difference of {of(final)}{throughout}."
        )
    told = ranked(summary, intensity)
    if not told:
        yield f"{light(intensity)}, no training came to its end."
    elif not final or len(told) > 2:
        best, base = told[0], reference(summary)
        name = best["setting"]
        ahead = None if name == FIRST else gain(summary, intensity, name, base)
        yield (
            f"{'Highest' if final else f'{light(intensity)}, the highest'} in the end is "
            f"{name}, {_n(best['final']['mean'])}"
            + (f"; less {base} that is {of(ahead)}." if ahead else ".")
        )


def beside_paper(summary: dict[str, Any]) -> str:
    """What Table 4 says here of the claim that the paper makes of its own."""
    parts = []
    for intensity in summary["intensities"]:
        told = {row["setting"]: row for row in rows(summary, intensity)}
        change = gain(summary, intensity, FIRST, SECOND, "mean")
        if change:
            one, other = (_n(told[name]["std"]) for name in (FIRST, SECOND))
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


def ranked(summary: dict[str, Any], intensity: float) -> list[dict[str, Any]]:
    """Of the table, the settings at an intensity, the highest in the end first."""
    return sorted(rows(summary, intensity), key=lambda row: -row["final"]["mean"])


def terminal(summary: dict[str, Any]) -> Iterator[str]:
    """The headline, and the final values at each intensity, the highest first."""
    yield headline(summary)
    for intensity in summary["intensities"]:
        told = ranked(summary, intensity)
        values = ", ".join(
            f"{row['setting']} {_n(row['final']['mean'])}"
            + (f" ± {_n(row['final']['std'])}" if row["final"]["std"] is not None else "")
            for row in told
        )
        if told:
            yield f"{light(intensity).lower()}, {style.metric(summary, True)} in the end: {values}"
        each = gain(summary, intensity, FIRST, SECOND)
        if each:
            yield f"  {FIRST} less {SECOND}: {of(each)}"
    if summary["diverged"]:
        count = len(summary["diverged"])
        yield f"diverged, and in no mean: {count} training{'s' * (count > 1)}"


def of(each: Gain) -> str:
    """A difference with interval and p-value, and whether it may be chance."""
    doubt = "" if each.certain else ", which may be chance"
    return f"{_n(each.value)} ({interval(each.low, each.high)}; {p_value(each.p)}){doubt}"


def interval(low: float | None, high: float | None) -> str:
    """In words; that of too few images is not known."""
    return "interval unknown" if low is None or high is None else span(low, high, 3)


def p_value(p: float) -> str:
    return (f"p = {_n(p)}" if p >= 0.001 else "p < 0.001").replace(" ", "\N{NO-BREAK SPACE}")


def light(intensity: float) -> str:
    return f"At intensity {intensity:g}"


def listed(names: Iterable[str], last: str = "and") -> str:
    """ "a, b and c"."""
    every = list(names)
    return f" {last} ".join([", ".join(every[:-1]), every[-1]] if every[1:] else every)


def _moves(found: Sequence[Gain]) -> str:
    return listed(
        f"from {style.number(each.before, 2)} to {style.number(each.after, 2)} "
        f"{light(each.intensity).lower()}"
        for each in found
    )


def _lights(found: Sequence[Gain]) -> str:
    return f"at intensity {listed((f'{each.intensity:g}' for each in found), 'or')}"


def _without_pair(summary: dict[str, Any]) -> str:
    metric = style.metric(summary, inside=True)
    told = [row for i in summary["intensities"] for row in rows(summary, i)]
    if not told:
        return "No training came to its end."
    best = max(told, key=lambda row: row["final"]["mean"])
    where = f"{light(best['intensity']).lower()}, {metric} {style.number(best['final']['mean'], 2)}"
    if len({row["setting"] for row in told}) == 1:
        return f"The only setting with a result is {best['setting']}: {where}."
    return f"The highest in the end is {best['setting']}: {where}."


def _n(value: float | None) -> str:
    return style.number(value, 3)
