"""The page of a drift forensics run, and the figures and tables on it."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from rawdrift.configurations import CONFIGURATIONS, in_words
from rawdrift.controls.forensics import axes, figures, safety
from rawdrift.controls.forensics.caveats import caveats
from rawdrift.controls.forensics.tables import tables as contents
from rawdrift.report import pictures, style, tables
from rawdrift.report.page import draw, listing, render


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
        far=figures.distance(summary),
        caveats=caveats(summary),
        isp_words=in_words(summary["isp"]) if summary["isp"] in CONFIGURATIONS else "of a file",
        moved=axes.moved(summary),
        group_words=axes.group,
        axis_words=axes.words,
        shown=_pictures(summary, run),
        reasons=_reasons(summary["failed"]),
        percent=safety.share(summary["spec"].get("forensics", {"confidence": 0.95})),
        settings=listing(summary["spec"]),
        has_results=(run / "results.csv").is_file(),
    )


def _figures(summary: dict[str, Any], run: Path) -> Mapping[str, Callable[[], Figure]]:
    found: dict[str, Callable[[], Figure]] = {
        "regularization": partial(figures.by_regularization, summary),
        "distance": partial(figures.by_distance, summary),
        "trajectory": partial(figures.trajectories, summary),
        "stages": partial(figures.leverage, summary),
        "samples": partial(_samples, summary, run),
    }
    if summary["compared"]:
        found["methods"] = partial(figures.methods, summary)
    if summary["sensitivity"]:
        found["sobol"] = partial(safety.sobol, summary)
        found["curves"] = partial(safety.curves, summary)
    if summary["signature"]:
        found["envelope"] = partial(safety.envelope, summary)
    return found


def _samples(summary: dict[str, Any], run: Path) -> Figure:
    of = summary["pictures"]
    before, after = "With the camera's own setting", "At the worst setting"
    return pictures.compared(summary, of["images"], before, after, of["amplified"], run)


def _pictures(summary: dict[str, Any], run: Path) -> dict[str, Any]:
    """The pictures as data that the page itself holds, with what was answered."""
    of = summary["pictures"]
    keys = ("matched_view", "view", "change")
    return {
        "images": [
            {
                "name": image["image"],
                "shown": [pictures.data_uri(run, image[key]) for key in keys],
                "verdicts": [pictures.verdict(summary, image, key) for key in ("matched", "")],
            }
            for image in of["images"]
        ],
        "strips": [
            {
                "own": pictures.data_uri(run, strip["matched_view"]),
                "name": strip["views"][0]["image"],
                "views": [
                    {
                        "regularization": view["regularization"],
                        "shown": pictures.data_uri(run, view["view"]),
                        "verdict": pictures.verdict(summary, view, ""),
                    }
                    for view in strip["views"]
                ],
            }
            for strip in of["strips"]
        ],
        "stages": [
            {
                "step": entry["step"].replace("_", " "),
                **{
                    f"{which}_{what}": pictures.data_uri(run, entry[which][what])
                    for which in ("default", "drifted")
                    for what in ("view", "gradient")
                },
            }
            for entry in of["stages"]
        ],
    }


def _reasons(failed: Mapping[str, str]) -> dict[str, list[str]]:
    """Units that failed, by their reason: many may share one."""
    found: dict[str, list[str]] = {}
    for label, reason in failed.items():
        found.setdefault(reason, []).append(label)
    return found
