"""The page of a drift synthesis run, and the figures and tables on it."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from rawdrift.configurations import CONFIGURATIONS, in_words
from rawdrift.controls.synthesis import figures
from rawdrift.controls.synthesis.caveats import caveats, compared, doubt
from rawdrift.controls.synthesis.heatmap import heatmap, middle, others, severities
from rawdrift.controls.synthesis.summary import by_case, own
from rawdrift.controls.synthesis.tables import changes
from rawdrift.controls.synthesis.tables import tables as contents
from rawdrift.report import pictures, style, tables
from rawdrift.report.page import GLOSSARY, draw, listing, render


def write(run: Path, summary: dict[str, Any]) -> str:
    """Draw figures and tables; returns the page."""
    drawn = draw(_figures(summary, run), run)
    told = contents(summary)
    for table in told.values():
        tables.write(table, run / "tables")
    return render(
        Path(__file__).with_name("page.html.j2"),
        **summary,
        table=told,
        figure=drawn,
        measured=style.metric(summary, inside=True),
        caveats=caveats(summary),
        cases={kind: _case(summary, kind, run) for kind in summary["worst"]},
        compared=compared(summary),
        doubt=doubt(summary),
        left_out_pipelines=[
            name
            for name in summary["spec"].get("synthesis", {}).get("train", ())
            if name not in summary["train"]
        ],
        middle=middle(summary) if summary["severities"] else None,
        settings=listing(summary["spec"]),
        glossary=GLOSSARY if _all_known(summary) else (),
        pictures=[
            (name, in_words(name), pictures.data_uri(run, picture))
            for name, picture in summary["views"]["views"].items()
        ],
        has_results=(run / "results.csv").is_file(),
    )


def _figures(summary: dict[str, Any], run: Path) -> Mapping[str, Callable[[], Figure]]:
    found = {"heatmap": partial(heatmap, summary)}
    if len(summary["train"]) > 1:
        found["ranking"] = partial(figures.ranking, summary)
    else:
        found["losses"] = partial(figures.losses, summary)
    if summary["corruptions"]:
        found["severities"] = partial(figures.severity_lines, summary)
        found["drops"] = partial(figures.drops, summary)
        if others(summary):
            found["heatmap-severities"] = partial(severities, summary)
    for kind, worst in summary["worst"].items():
        if worst["images"]:
            found[f"worst-{kind}"] = partial(figures.worst_case, summary, kind, run)
    return found


def _case(summary: dict[str, Any], kind: str, run: Path) -> dict[str, Any]:
    """A worst case with what changed, and its pictures as data that the page itself holds."""
    worst: dict[str, Any] = summary["worst"][kind]
    case = (worst["test"], worst["severity"])
    cell = by_case(summary)[worst["train"], kind, *case]
    matched = own(summary, worst["train"])
    images = [
        {
            "name": image["image"],
            "shown": [
                pictures.data_uri(run, image[key]) for key in ("matched_view", "view", "change")
            ],
            "verdicts": [pictures.verdict(summary, image, key) for key in ("matched", "")],
        }
        for image in worst["images"]
    ]
    return worst | {
        "name": style.case(*case),
        "cell": cell,
        "own": matched,
        "changes": changes(worst),
        "strength": {
            name.replace("_", " "): value
            for name, value in _constants(summary, kind, worst).items()
        },
        "images": images,
    }


def _constants(summary: dict[str, Any], kind: str, worst: dict[str, Any]) -> dict[str, float]:
    if kind != "corruption":
        return {}
    from rawdrift.corruptions.declaration import find

    return find(worst["test"]).constants(summary["severity_table"], worst["severity"])


def _all_known(summary: dict[str, Any]) -> bool:
    return all(name in CONFIGURATIONS for name in (*summary["train"], *summary["test"]))
