"""The page that sets finished runs side by side."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path

from matplotlib.figure import Figure

from rawdrift import files
from rawdrift.checks import InputError
from rawdrift.controls.result import load_result
from rawdrift.controls.synthesis.result import Ranked, SynthesisResult
from rawdrift.models.case import Case
from rawdrift.report import panels, style
from rawdrift.report.page import draw, render, setting
from rawdrift.report.panels import Cell, Panel
from rawdrift.runs.spec import flat

_LETTERS = "ABCDEFGH"
_PAGE = "compare.html"


def compare(runs: Sequence[str | Path], out: str | Path | None = None) -> Path:
    """Write compare.html and figures/difference-*.svg and *.png into `out`; return the page's path.

    out: by default the folder of the last run. The runs are called A, B, ... and differences are
    taken from A. Raises InputError for fewer than two runs, more than eight, or other controls'.
    """
    if not 2 <= len(runs) <= len(_LETTERS):
        raise InputError(f"a comparison takes 2 to {len(_LETTERS)} runs, got {len(runs)}")
    out = Path(out or runs[-1])
    files.check_no_links(out)
    ours = any((out / name).is_file() for name in ("spec.yaml", "summary.json", _PAGE))
    if not ours and out.is_dir() and any(out.iterdir()):
        raise InputError(
            f"{out} is not empty, and holds neither a run nor a comparison of rawdrift; choose a "
            f"new folder"
        )
    results = dict(zip(_LETTERS, map(_load, runs), strict=False))
    first = results["A"]
    figures = {
        f"difference-{letter}-A": partial(difference, first, result, f"{letter} minus A")
        for letter, result in results.items()
        if letter != "A" and _shared(first, result)
    }
    path = out / _PAGE
    page = render(
        Path(__file__).with_name("compare.html.j2"),
        runs=dict(zip(_LETTERS, _names(runs), strict=False)),
        results=results,
        metrics={letter: style.metric(r.metric) for letter, r in results.items()},
        unpaired={letter: unpaired(first, r) for letter, r in results.items() if letter != "A"},
        settings=_settings(results),
        ranks={
            "Ranks over pipelines": _ranks([r.rankings.isp for r in results.values()]),
            "Ranks over corruptions": _ranks(
                [r.rankings.corruption or [] for r in results.values()]
            ),
        },
        figure=draw(figures, out),
    )
    files.write(path, page)
    return path


def _names(runs: Sequence[str | Path]) -> list[str]:
    """Return the names of run folders, with as much of their paths as tells them apart."""
    paths = [Path(run).resolve() for run in runs]
    parts = next(n for n in count(1) if len({p.parts[-n:] for p in paths}) == len({*paths}))
    return ["/".join(path.parts[-parts:]) for path in paths]


def _load(run: str | Path) -> SynthesisResult:
    result = load_result(run)
    if not isinstance(result, SynthesisResult):
        raise InputError(
            f"only runs of drift synthesis can be compared, and {run} is not one; each run has "
            f"its own page, report.html"
        )
    return result


def unpaired(one: SynthesisResult, other: SynthesisResult) -> list[str]:
    """Why two runs did not test the same images in the same folds; empty if they did."""
    reasons = []
    if one.data.fingerprint != other.data.fingerprint:
        reasons.append("other images")
    if one.trained_here != other.trained_here:
        reasons.append("trained here against tested as it is")
    elif one.trained_here:
        if one.data.splits != other.data.splits:
            reasons.append("other folds")
        if one.spec.get("seed") != other.spec.get("seed"):
            reasons.append("another seed")
    return reasons


def difference(one: SynthesisResult, other: SynthesisResult, title: str) -> Figure:
    """Draw the values of `other` minus those of `one`, where both have them."""
    shared = _shared(one, other)
    rows = [name for name in one.train if any(train == name for train, _ in shared)]
    cases = [case for case in one.cases() if any(case == tested for _, tested in shared)]
    shown = []
    for kind, severity in dict.fromkeys((case.kind, case.severity) for case in cases):
        columns = [case for case in cases if (case.kind, case.severity) == (kind, severity)]
        cells = {
            (i, j): Cell(other.cell(row, case).mean - one.cell(row, case).mean)
            for i, row in enumerate(rows)
            for j, case in enumerate(columns)
            if (row, case) in shared
        }
        tests = f"Corruptions, severity {severity}" if severity else "Pipelines (ISP)"
        labels = [style.case(case.name) for case in columns]
        shown.append(Panel(tests, labels, cells, {}))
    scale = panels.scale_of_differences(
        [cell.value for panel in shown for cell in panel.cells.values()],
        f"Difference in {style.metric(one.metric, inside=True)}, {title}",
    )
    return panels.draw(rows, shown, scale)


def _shared(one: SynthesisResult, other: SynthesisResult) -> set[tuple[str, Case]]:
    """What both measured, by the same metric and with the same constants of corruptions."""
    if one.metric != other.metric:
        return set()
    alike = one.severity_table == other.severity_table
    both = one.by_case.keys() & other.by_case.keys()
    return {(train, case) for train, case in both if alike or case.kind == "isp"}


def _settings(results: Mapping[str, SynthesisResult]) -> list[tuple[str, list[str]]]:
    """The settings that are not the same in all runs."""
    specs = [flat(result.spec) for result in results.values()]
    different = []
    for name in dict.fromkeys(name for spec in specs for name in spec):
        values = [setting(spec[name]) if name in spec else "\N{EN DASH}" for spec in specs]
        if len(set(values)) > 1:
            different.append((name, values))
    return different


def _ranks(rankings: Sequence[Sequence[Ranked]]) -> list[tuple[str, list[Ranked | None]]]:
    """Each training pipeline's entry in the rankings of all runs; None where it has none."""
    tables = [{entry.train: entry for entry in ranking} for ranking in rankings]
    names = dict.fromkeys(name for table in tables for name in table)
    return [(name, [table.get(name) for table in tables]) for name in names]
