"""The page of an ISP that was fitted to pictures."""

import base64
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from markupsafe import Markup
from matplotlib.figure import Figure
from torch import Tensor

from rawdrift.isp.develop import encode, picture
from rawdrift.isp.fitting import Fitted
from rawdrift.isp.norm_tone_curve import NormToneCurve
from rawdrift.report import style
from rawdrift.report.page import render

_AMPLIFIED = 20
_SHOWN = 9  # numbers of a tensor whose intervals are listed one by one
_OPTIONS = ("standard", "factor", "method", "quality", "subsampling")
_ROUNDING = 1 / 255 / np.sqrt(12)
_PLACES = {
    "edges": "at edges",
    "flat": "in flat places",
    "highlights": "in highlights (above 0.8)",
    "shadows": "in shadows (below 0.2)",
    "local tone": "of local tone (means over 17 pixels)",
    "grain": "of grain (finer than 3 pixels, in flat places)",
}


def page(found: Fitted, file: str) -> str:
    """Return the page, which needs no other file. file: name of the ISP file."""
    truth, view = found.sample
    change = (0.5 + _AMPLIFIED * (view - truth)).clamp(0, 1)
    shown = {"as given": truth, "as fitted": view, "difference": change}
    with style.drawing("fitted"):
        tones = Markup(style.inline(_svg(_tones(found)), "tones"))
        places = Markup(style.inline(_svg(_places(found)), "places"))
    return render(
        Path(__file__).with_name("fitted.html.j2"),
        found=found,
        isp_file=file,
        title=found.isp.shown_title(),
        steps=[(name, kind, _numbers(found, name)) for name, kind, _ in found.isp.shown_rows()],
        tones=tones,
        places=places,
        pictures=[(words, _uri(one)) for words, one in shown.items()],
        amplified=_AMPLIFIED,
        cause=_cause(found),
        gains=(min(found.gains), max(found.gains)),
    )


def _cause(found: Fitted) -> str:
    """Where most of the error is, in words."""
    error = found.residual
    if error["all"] < 1.3 * _ROUNDING:
        return "It is the rounding to 8 bits"
    if error["local tone"] > 0.7 * error["all"]:
        return "Most of it is of local tone: the program brightens parts of a picture"
    if error.get("highlights", 0) > 2 * error["all"]:
        return "It is largest in highlights"
    if found.grain < 0.8:
        return "The program removes noise that this ISP leaves"
    if error.get("edges", 0) > 1.5 * error["flat"]:
        return "It is largest at edges: demosaicing or sharpening is another one"
    return "It is spread over the pictures"


def _numbers(found: Fitted, step: str) -> list[str]:
    """The numbers of a step, with their 95 % intervals where they were fitted."""
    rows = []
    for name, tensor in found.isp.steps[step].tensors().items():
        values = tensor.flatten().tolist()
        errors = np.ravel(found.errors.get(f"{step}.{name}", np.zeros(len(values)))).tolist()
        if name == "points":
            rows.append(f"{len(tensor)} points")
        elif len(values) <= _SHOWN:
            pairs = zip(values, errors, strict=True)
            text = ", ".join(f"{v:.5g}" + (f" ± {1.96 * e:.1g}" if e else "") for v, e in pairs)
            rows.append(f"{name} {text}")
        else:
            widest = f", each to ± {1.96 * max(errors):.1g} or less" if any(errors) else ""
            size = "x".join(map(str, tensor.shape))
            rows.append(f"{name} of {size} numbers up to {max(values):.3g}{widest}")
    options = found.isp.steps[step]
    rows += [f"{name} {getattr(options, name)}" for name in _OPTIONS if name in options.options]
    return rows


def _tones(found: Fitted) -> Figure:
    """The tone curve of gray, beside how often each tone occurs."""
    inputs = torch.linspace(0, 1, 257, dtype=torch.float64)
    outputs = inputs.expand(1, 3, 1, -1)
    for name, step in found.isp.steps.items():
        if name == "gamma" or isinstance(step, NormToneCurve):
            outputs = step(outputs)
    figure = style.sheet(4.5, 3.0)
    axes = figure.add_axes((0.13, 0.17, 0.6, 0.8))
    axes.plot(inputs.numpy(), outputs[0, 0, 0].clamp(0, 1).numpy(), color=style.ACCENT)
    axes.set_xlabel("linear light")
    axes.set_ylabel("picture")
    axes.set_ylim(0, 1.02)
    beside = figure.add_axes((0.76, 0.17, 0.22, 0.8), sharey=axes)
    share = np.array(found.coverage)
    places = (np.arange(len(share)) + 0.5) / len(share)
    beside.barh(places, 100 * share, height=0.8 / len(share), color=style.ACCENT)
    for place, one in zip(places, share, strict=True):
        if one == 0:
            beside.axhspan(
                place - 0.5 / len(share), place + 0.5 / len(share), alpha=0.15, color=style.ACCENT
            )
    beside.tick_params(labelleft=False)
    beside.set_xlabel("% of values")
    return figure


def _places(found: Fitted) -> Figure:
    """The error by where it is."""
    names = [name for name in _PLACES if name in found.residual]
    figure = style.sheet(6.0, 0.35 * len(names) + 0.7)
    axes = figure.add_axes((0.5, 0.24, 0.46, 0.74))
    places = np.arange(len(names))[::-1]
    axes.barh(places, [found.residual[name] for name in names], height=0.6, color=style.ACCENT)
    axes.axvline(_ROUNDING, linestyle=":", color=style.INK)
    axes.axvline(found.residual["all"], color=style.INK)
    axes.set_yticks(places, [_PLACES[name] for name in names])
    axes.locator_params(axis="x", nbins=4)
    axes.set_xlabel("rms error (line: all; dots: 8 bits)")
    return figure


def _svg(figure: Figure) -> str:
    buffer = StringIO()
    figure.savefig(buffer, format="svg")
    return buffer.getvalue()


def _uri(view: Tensor) -> Markup:
    data = base64.b64encode(encode(picture(view.float()), bits=8)).decode()
    return Markup(f"data:image/png;base64,{data}")
