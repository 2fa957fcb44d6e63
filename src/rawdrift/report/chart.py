"""The page of a camera whose colors were fitted to color charts."""

from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rawdrift.isp.chart_fit import ChartFit
from rawdrift.isp.color_chart import COLUMNS
from rawdrift.isp.tone_curve import ToneCurve
from rawdrift.report import style
from rawdrift.report.page import render

_INNER = 0.52  # of a patch: the camera's color, inside that of the reference


def page(fits: Sequence[ChartFit], names: Sequence[str], temperatures: Sequence[float]) -> str:
    """Return the page, which needs no other file. names: of the charts' files."""
    charts = []
    for number, found in enumerate(fits):
        light = f" in light of {temperatures[number]:g} K" if temperatures else ""
        charts.append(
            {
                "title": f"{Path(names[number]).name}{light}",
                "found": found,
                "patches": _inline(_patches(found), f"patches{number}"),
                "curve": _inline(_curve(found), f"curve{number}"),
                "errors": found.errors["color_matrix"].tolist(),
            }
        )
    return render(
        Path(__file__).with_name("chart.html.j2"),
        charts=charts,
        camera=fits[0].camera,
        mean=float(np.mean([found.delta_e.mean() for found in fits])),
    )


def _patches(found: ChartFit) -> Figure:
    """Each patch as it should be, around how the camera shows it, with the difference."""
    with style.drawing("patches"):
        rows = -(-len(found.patches) // COLUMNS)
        figure = style.sheet(COLUMNS * 1.1, rows * 1.1)
        axes = style.inches(figure, 0, 0, COLUMNS * 1.1, rows * 1.1)
        for number, patch in enumerate(found.patches):
            row, column = divmod(number, COLUMNS)
            left, top, size = 1.1 * column + 0.05, 1.1 * row + 0.05, 1.0
            margin = size * (1 - _INNER) / 2
            for color, inset in ((patch.reference, 0.0), (patch.view, margin)):
                axes.add_patch(
                    Rectangle(
                        (left + inset, top + inset),
                        size - 2 * inset,
                        size - 2 * inset,
                        facecolor=tuple(np.clip(color, 0, 1)),
                    )
                )
            bright = float(np.dot(patch.view, (0.2126, 0.7152, 0.0722))) > 0.5
            text = f"{patch.delta_e:.1f}" + ("\nleft out" if patch.left_out else "")
            axes.text(
                left + size / 2,
                top + size / 2,
                text,
                ha="center",
                va="center",
                color="#000000" if bright else "#fffffe",  # not that of paper, which turns
                fontsize=8,
            )
        return figure


def _curve(found: ChartFit) -> Figure:
    """The tone curve with the gray patches."""
    points = found.camera.tone_curve
    assert points is not None
    with style.drawing("curve"):
        inputs = torch.linspace(0, points[-1][0], 257, dtype=torch.float64)
        outputs = ToneCurve(points)(inputs.repeat(1, 3, 1, 1))[0, 0, 0]
        figure = style.sheet(4.5, 3.2)
        axes = figure.add_axes((0.14, 0.16, 0.82, 0.8))
        axes.plot(inputs.numpy(), outputs.numpy(), color=style.ACCENT, label="tone curve")
        axes.plot(*zip(*found.grays, strict=True), "o", color=style.INK, label="gray patches")
        axes.set_xlabel("balanced light, of full scale")
        axes.set_ylabel("view")
        axes.legend(frameon=False, loc="lower right")
        return figure


def _inline(figure: Figure, name: str) -> Markup:
    buffer = StringIO()
    with style.drawing(name):
        figure.savefig(buffer, format="svg")
    return Markup(style.inline(buffer.getvalue(), name))
