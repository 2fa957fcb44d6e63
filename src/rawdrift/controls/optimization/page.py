"""The page of a drift optimization run, and the figures and tables on it."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from rawdrift.configurations import in_words
from rawdrift.controls.forensics.axes import words
from rawdrift.controls.optimization import figures, found, parameters
from rawdrift.controls.optimization.caveats import caveats
from rawdrift.controls.optimization.tables import signed
from rawdrift.controls.optimization.tables import tables as contents
from rawdrift.controls.optimization.views import stages, views
from rawdrift.report import style, tables
from rawdrift.report.page import draw, listing, render


def write(run: Path, summary: dict[str, Any]) -> str:
    """Draw figures and tables; returns the page."""
    drawn = draw(_figures(summary), run)
    told = contents(summary)
    for table in told.values():
        tables.write(table, run / "tables")
    return render(
        Path(__file__).with_name("page.html.j2"),
        **summary | {"table": told},
        has_rows=bool(summary["table"]),
        figure=drawn,
        trained_here=True,
        measured=style.metric(summary, inside=True),
        headline=found.headline(summary),
        lead=found.lead(summary),
        beside_paper=found.beside_paper(summary),
        tiles=_tiles(summary),
        reference=found.reference(summary),
        caveats=caveats(summary),
        isp_words=in_words(summary["spec"]["optimization"]["isp"]),
        left=_left(summary),
        clipped=_clipped(summary),
        isp_cameras=parameters.cameras(summary),
        shown=views(summary, run),
        stage_rows=stages(summary, run),
        missing=[
            name
            for name in summary["settings"]
            if not any(row["setting"] == name for row in summary["table"])
        ],
        listed=found.listed,
        signed=signed,
        settings_text=listing(summary["spec"]),
        has_results=(run / "results.csv").is_file(),
    )


def _figures(summary: dict[str, Any]) -> Mapping[str, Callable[[], Figure]]:
    drawn: dict[str, Callable[[], Figure]] = {}
    if summary["curves"]:
        drawn["learning"] = partial(figures.learning, summary)
        drawn["losses"] = partial(figures.losses, summary)
    if summary["differences"]:
        drawn["differences"] = partial(figures.differences, summary)
    for number, camera in enumerate(parameters.cameras(summary), 1):
        drawn[f"parameters-{number}"] = partial(parameters.paths, summary, camera)
        if parameters.has_kernels(summary):
            drawn[f"kernels-{number}"] = partial(parameters.kernels, summary, camera)
    return drawn


def _tiles(summary: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """A heading, a number, what follows it in small, and a note each; the lowest light first."""
    tiles = []
    for intensity in sorted(summary["intensities"])[:3]:
        told = found.ranked(summary, intensity)
        if not told:
            continue
        metric = style.metric(summary, inside=True)
        best = f"{told[0]['setting']}, {style.number(told[0]['final']['mean'], 3)}"
        gain = found.gain(summary, intensity, found.FIRST, found.SECOND)
        if gain is None:
            number, spread = told[0]["final"]["mean"], told[0]["final"]["std"]
            small = "" if spread is None else f"± {style.number(spread, 3)}"
            note = f"{metric} in the end of {told[0]['setting']}"
            note += ", the highest" if len(told) > 1 else ""
        else:
            number, small = gain.value, found.interval(gain.low, gain.high)
            note = f"{metric} in the end, {found.FIRST} less {found.SECOND}; "
            note += f"{found.p_value(gain.p)}. Highest: {best}"
        sign = "+" if gain is not None and round(number, 3) > 0 else ""
        tiles.append((f"Intensity {intensity:g}", sign + style.number(number, 3), small, note))
    return tiles


def _left(summary: dict[str, Any]) -> dict[str, Any]:
    """How many learned ISPs have left physics, and which parameters of how many."""
    every = {(isp["intensity"], isp["fold"], isp["camera"]) for isp in summary["isps"]}

    def those(entries: list[dict[str, Any]]) -> int:
        return len({(v["intensity"], v["fold"], v["camera"]) for v in entries})

    by_parameter: dict[str, list[dict[str, Any]]] = {}
    for violation in summary["violations"]:
        by_parameter.setdefault(violation["parameter"], []).append(violation)
    return {
        "of": len(every),
        "ever": those(summary["violations"]),
        "at_end": those([v for v in summary["violations"] if v["at_end"]]),
        "parameters": {words(name): those(entries) for name, entries in by_parameter.items()},
    }


def _clipped(summary: dict[str, Any]) -> dict[str, float] | None:
    """Shares of values that are black or white in the views of the learned ISP with the most of
    them in the end: `start`, at the camera's values, and `end`."""
    every = [
        {"start": sum(isp["clipped"].values()), "end": sum(isp["path"][-1]["clipped"].values())}
        for isp in summary["isps"]
    ]
    return max(every, key=lambda of: of["end"], default=None)
