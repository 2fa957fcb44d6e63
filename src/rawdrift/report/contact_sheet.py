"""All views of one image, side by side."""

from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawdrift import files
from rawdrift.configurations import in_words, position
from rawdrift.report import style

_COLUMNS = 4
_SIDE = 480  # pixels that a view's long side is brought to, about
_NARROWEST = 200  # pixels a label needs
_GAP = 16
_LABEL = 52
_MARGIN = 28
_TITLE = 44
_DPI = 100
_STRIP = 256  # columns that are reduced together, so that large views need little memory


def contact_sheet(
    views: Mapping[str, NDArray[np.floating]] | Iterable[tuple[str, NDArray[np.floating]]],
    path: Path,
    title: str = "",
) -> None:
    """Write labeled views as one PNG: three rows (demosaicing bi, me, ma) of four, as Figure 5.

    views: (H, W, 3) in [0, 1] by configuration, or pairs of both, of which only what is drawn stays
    in memory; other names, and fewer views, are welcome. Small views are enlarged by a whole factor
    and large ones reduced by averaging, to about 480 pixels.
    """
    pairs = views.items() if isinstance(views, Mapping) else views
    found = {name: _fitted(_checked(name, view)) for name, view in pairs}
    if not found:
        raise ValueError("a contact sheet needs at least one view")
    shown = {name: found[name][0] for name in sorted(found, key=position)}
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    tall = max(view.shape[0] for view in shown.values())
    wide = max(_NARROWEST, *(view.shape[1] for view in shown.values()))
    head = _MARGIN + (_TITLE if title else 0)
    width = 2 * _MARGIN + columns * wide + (columns - 1) * _GAP
    height = head + rows * (tall + _LABEL) + (rows - 1) * _GAP + _MARGIN
    with style.drawing():
        figure = style.sheet(width / _DPI, height / _DPI)
        figure.set_dpi(_DPI)

        def write(x: float, y: float, text: str, size: float, **look: Any) -> None:
            # In pixels from the top left corner; a point is 1/72 inch.
            figure.text(
                x / width, 1 - y / height, text, fontsize=size * 72 / _DPI, va="baseline", **look
            )

        if title:
            longest = int((width - 2 * _MARGIN) / 13)
            write(_MARGIN, _MARGIN + 20, style.plain(title, longest), 22)
        for i, (name, view) in enumerate(shown.items()):
            left = _MARGIN + i % columns * (wide + _GAP)
            top = head + i // columns * (tall + _LABEL + _GAP)
            figure.figimage(view, left, height - top - view.shape[0], origin="upper")
            below = top + view.shape[0]
            write(left, below + 22, style.plain(name, wide // 11), 17, weight="bold")
            note = ", ".join(filter(None, [in_words(name), found[name][1]]))
            write(left, below + 41, style.plain(note, wide // 7), 12, color=style.MUTED)
        content = BytesIO()
        figure.savefig(content, format="png", dpi=_DPI, metadata={"Software": None})
    files.write(Path(path), content.getvalue())


def fit(view: NDArray[np.floating], side: int) -> NDArray[np.floating]:
    """A view (H, W, 3) with its long side brought to about `side` pixels.

    Small ones are enlarged by a whole factor, so that every pixel stays a square of one color;
    large ones reduced to `side`, each pixel the average over the area that it covers.
    """
    height, width = view.shape[:2]
    longest = max(height, width)
    if longest <= side:
        factor = max(1, round(side / longest))
        return view.repeat(factor, axis=0).repeat(factor, axis=1)
    rows = _average(view, max(1, round(height * side / longest)))
    reduced = _average(rows.swapaxes(0, 1), max(1, round(width * side / longest))).swapaxes(0, 1)
    # A mean of ones may round to more than one.
    return reduced.clip(0, 1)


def _average(samples: NDArray[np.floating], few: int) -> NDArray[np.floating]:
    """The means of the first axis over `few` stretches of equal length, whole samples or not."""
    strips = np.array_split(samples, -(-samples.shape[1] // _STRIP), axis=1)
    return np.concatenate([_average_strip(strip, few) for strip in strips], axis=1)


def _average_strip(samples: NDArray[np.floating], few: int) -> NDArray[np.floating]:
    many = len(samples)
    # Differences of running sums; between two samples, a running sum is a straight line.
    sums = np.concatenate([np.zeros_like(samples[:1]), samples]).cumsum(axis=0, dtype=float)
    edges = np.linspace(0, many, few + 1)
    whole = np.minimum(edges.astype(int), many - 1)
    part = (edges - whole).reshape(-1, *[1] * (samples.ndim - 1))
    at_edges: NDArray[np.floating] = sums[whole] + part * samples[whole]
    return np.diff(at_edges, axis=0) * (few / many)


def _fitted(view: NDArray[np.floating]) -> tuple[NDArray[np.floating], str]:
    """A view as it is shown, and what is to say of its scale."""
    shown = fit(view, _SIDE)
    return shown, _scale(view, shown)


def _checked(name: str, view: NDArray[np.floating]) -> NDArray[np.floating]:
    view = np.asarray(view)
    if view.ndim != 3 or view.shape[2] != 3 or 0 in view.shape:
        raise ValueError(f"view {name!r} must have the shape (H, W, 3), got {view.shape}")
    if not np.isfinite(view).all():
        raise ValueError(f"view {name!r} holds values that are not finite")
    return view.clip(0, 1)


def _scale(view: NDArray[np.floating], shown: NDArray[np.floating]) -> str:
    factor = shown.shape[0] / view.shape[0]
    return "" if factor == 1 else f"{factor:.2g}×"  # noqa: RUF001
