"""The page that sets finished runs side by side."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from rawdrift import files
from rawdrift.checks import InputError
from rawdrift.controls.synthesis.summary import by_case, cases, read
from rawdrift.report import panels, style
from rawdrift.report.page import draw, render, setting
from rawdrift.report.panels import Cell, Panel
from rawdrift.runs.spec import flat

_LETTERS = "ABCDEFGH"


def compare(runs: Sequence[str | Path], out: str | Path | None = None) -> Path:
    """Write compare.html, and figures/difference-*.svg and *.png, into the folder `out`, by default
    that of the last run; returns the page's path.

    The runs are called A, B, ... and differences are taken from A. Raises InputError for fewer than
    two, or more than eight.
    """
    if not 2 <= len(runs) <= len(_LETTERS):
        raise InputError(f"a comparison takes 2 to {len(_LETTERS)} runs, got {len(runs)}")
    out = Path(out or runs[-1])
    summaries = dict(zip(_LETTERS, (read(Path(run)) for run in runs), strict=False))
    kinds = {summary["kind"] for summary in summaries.values()}
    if kinds != {"synthesis"}:
        raise InputError(
            f"only runs of drift synthesis can be compared, got {' and '.join(sorted(kinds))}; "
            f"each run has a page of its own, report.html"
        )
    first = summaries["A"]
    figures = {}
    for letter, summary in summaries.items():
        if letter != "A" and _shared(first, summary):
            make = partial(difference, first, summary, f"{letter} minus A")
            figures[f"difference-{letter}-A"] = make
    path = out / "compare.html"
    page = render(
        Path(__file__).with_name("compare.html.j2"),
        runs={letter: str(run) for letter, run in zip(_LETTERS, runs, strict=False)},
        summaries=summaries,
        metrics={letter: style.metric(s) for letter, s in summaries.items()},
        unpaired={letter: unpaired(first, s) for letter, s in summaries.items() if letter != "A"},
        settings=_settings(summaries),
        ranks={kind: _ranks(summaries, kind) for kind in ("isp", "corruption")},
        figure=draw(figures, out),
    )
    files.write(path, page)
    return path


def unpaired(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Why two runs did not test the same images in the same folds; nothing if they did."""
    found = []
    if one["data"]["fingerprint"] != other["data"]["fingerprint"]:
        found.append("other images")
    if one["trained_here"] != other["trained_here"]:
        found.append("trained here against tested as it is")
    elif one["trained_here"]:
        if one["data"]["splits"] != other["data"]["splits"]:
            found.append("other folds")
        if one["spec"].get("seed") != other["spec"].get("seed"):
            found.append("another seed")
    return found


def difference(one: dict[str, Any], other: dict[str, Any], title: str) -> Figure:
    """Values of `other` minus those of `one`, where both have them."""
    before, after = by_case(one), by_case(other)
    shared = _shared(one, other)
    rows = [name for name in one["train"] if any(key[0] == name for key in shared)]
    found = [case for case in cases(one) if any(key[1:] == case for key in shared)]
    drawn = []
    for kind, severity in dict.fromkeys((kind, severity) for kind, _, severity in found):
        columns = [case for case in found if (case[0], case[2]) == (kind, severity)]
        values = {
            (i, j): Cell(after[row, *case]["mean"] - before[row, *case]["mean"])
            for i, row in enumerate(rows)
            for j, case in enumerate(columns)
            if (row, *case) in shared
        }
        of = f"corruptions, severity {severity}" if severity else "pipelines (ISP)"
        labels = [style.case(name) for _, name, _ in columns]
        drawn.append(Panel(f"{title}: {of}", labels, values, {}))
    scale = panels.scale_of_differences(
        [cell.value for panel in drawn for cell in panel.cells.values()],
        f"Difference in {style.metric(one, inside=True)}, {title}",
    )
    return panels.draw(rows, drawn, scale)


def _shared(one: dict[str, Any], other: dict[str, Any]) -> set[tuple[str, str, str, int]]:
    """What both measured, by the same metric and under the same constants."""
    if one["metric"] != other["metric"]:
        return set()
    both = by_case(one).keys() & by_case(other).keys()
    alike = one["severity_table"] == other["severity_table"]
    return {key for key in both if alike or key[1] == "isp"}


def _settings(summaries: Mapping[str, dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Those that are not the same in all runs."""
    specs = [flat(summary["spec"]) for summary in summaries.values()]
    found = []
    for name in dict.fromkeys(name for spec in specs for name in spec):
        values = [setting(spec[name]) if name in spec else "\N{EN DASH}" for spec in specs]
        if len(set(values)) > 1:
            found.append((name, values))
    return found


def _ranks(
    summaries: Mapping[str, dict[str, Any]], kind: str
) -> list[tuple[str, list[dict[str, Any] | None]]]:
    """Each training pipeline's entry in the rankings of all runs that have one."""
    tables = [
        {entry["train"]: entry for entry in summary["rankings"].get(kind, ())}
        for summary in summaries.values()
    ]
    names = dict.fromkeys(name for table in tables for name in table)
    return [(name, [table.get(name) for table in tables]) for name in names]
