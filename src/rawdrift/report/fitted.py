"""The page of an ISP that was fitted to pictures."""

import base64
from pathlib import Path

import numpy as np
import torch
from markupsafe import Markup
from matplotlib.figure import Figure
from torch import Tensor

from rawdrift.isp.develop import encode, picture
from rawdrift.isp.fit import Fitted
from rawdrift.report import style
from rawdrift.report.page import render

_AMPLIFIED = 20


def page(found: Fitted, file: str) -> str:
    """Return the page, which needs no other file. file: name of the ISP file."""
    truth, view = found.sample
    change = (0.5 + _AMPLIFIED * (view - truth)).clamp(0, 1)
    shown = {"as given": truth, "as fitted": view, "difference": change}
    with style.drawing("curve"):
        figure = Markup(style.inline(_svg(_curve(found)), "curve"))
    steps = [(name, kind, numbers) for name, kind, numbers in found.isp.shown_rows()]
    return render(
        Path(__file__).with_name("fitted.html.j2"),
        found=found,
        isp_file=file,
        title=found.isp.shown_title(),
        steps=steps,
        curve=figure,
        pictures=[(words, _uri(one)) for words, one in shown.items()],
        amplified=_AMPLIFIED,
        errors=_errors(found),
    )


def _errors(found: Fitted) -> list[tuple[str, str, str]]:
    """The largest number of each tensor that was fitted, and the largest standard error."""
    rows = []
    for name, errors in found.errors.items():
        step, _, number = name.partition(".")
        value = found.isp.steps[step].tensors()[number].abs().max()
        rows.append((name, f"{float(value):.4g}", f"{max(errors):.2g}"))
    return rows


def _curve(found: Fitted) -> Figure:
    """The tone curve, over how often each tone occurs."""
    last = [*found.isp.steps.values()][-1]
    inputs = torch.linspace(0, 1, 257, dtype=torch.float64)
    outputs = last(inputs.expand(1, 3, 1, -1))[0, 0, 0].detach()
    figure = style.sheet(4.5, 3.2)
    axes = figure.add_axes((0.14, 0.16, 0.82, 0.8))
    share = np.array(found.coverage) / max(found.coverage)
    places = (np.arange(len(share)) + 0.5) / len(share)
    axes.barh(places, share, height=1 / len(share), alpha=0.25, label="how often")
    axes.plot(inputs.numpy(), outputs.numpy(), label="curve")
    axes.set_xlabel("linear light")
    axes.set_ylabel("picture")
    axes.legend(frameon=False, loc="lower right")
    return figure


def _svg(figure: Figure) -> str:
    from io import StringIO

    buffer = StringIO()
    figure.savefig(buffer, format="svg")
    return buffer.getvalue()


def _uri(view: Tensor) -> Markup:
    data = base64.b64encode(encode(picture(view.float()), bits=8)).decode()
    return Markup(f"data:image/png;base64,{data}")
