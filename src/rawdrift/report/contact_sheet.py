"""Sheets of pictures with labels, composed in pixels: all views of one image, side by side."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from rawdrift import files
from rawdrift.configurations import in_words, position
from rawdrift.report import style

# Lengths are pixels.
_COLUMNS = 4
_SIDE = 480  # of a view's long side, about
_CROP = 240  # of the width of the part at 1:1
_BETWEEN = 4
_NARROWEST = 200  # that a label needs
_GAP = 16
_LABEL = 52
_MARGIN = 28
_TITLE = 44
_DPI = 100


def contact_sheet(
    views: Mapping[str, NDArray[Any]] | Iterable[tuple[str, NDArray[Any]]],
    path: Path,
    title: str = "",
) -> None:
    """Write labeled views as one PNG, four in a row: Figure 5 of the paper.

    views: (H, W, 3) in [0, 1] or of 8 or 16 bits by configuration, or pairs of both, of which only
    what is drawn stays in memory. Other names and fewer views are accepted. Small views are
    enlarged by a whole factor and large ones reduced by averaging, to about 480 pixels, with their
    middle at 1:1 beside them.
    """
    pairs = views.items() if isinstance(views, Mapping) else views
    fitted = {name: _fitted(_checked(name, view)) for name, view in pairs}
    if not fitted:
        raise ValueError("a contact sheet needs at least one view")
    names = sorted(fitted, key=position)
    columns = min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    tall = max(view.shape[0] for view, _ in fitted.values())
    wide = max(_NARROWEST, *(view.shape[1] for view, _ in fitted.values()))
    head = _MARGIN + (_TITLE if title else 0)
    width = 2 * _MARGIN + columns * wide + (columns - 1) * _GAP
    height = head + rows * (tall + _LABEL) + (rows - 1) * _GAP + _MARGIN
    with pixel_sheet(path, width, height) as sheet:
        if title:
            longest = int((width - 2 * _MARGIN) / 13)
            sheet.write(_MARGIN, _MARGIN + 20, style.plain(title, longest), 22)
        for i, name in enumerate(names):
            view, scale = fitted[name]
            left = _MARGIN + i % columns * (wide + _GAP)
            top = head + i // columns * (tall + _LABEL + _GAP)
            sheet.show(view, left, top)
            below = top + view.shape[0]
            sheet.write(left, below + 22, style.plain(name, wide // 11), 17, weight="bold")
            note = ", ".join(filter(None, [in_words(name), scale]))
            sheet.write(left, below + 41, style.plain(note, wide // 7), 12, color=style.MUTED)


class PixelSheet:
    """A figure in pixels from its top left corner."""

    def __init__(self, figure: Figure, width: int, height: int):
        self.figure, self.width, self.height = figure, width, height

    def write(self, x: float, y: float, text: str, size: float, **look: Any) -> None:
        """Write text whose baseline begins at (x, y); size: in pixels."""
        x, y = x / self.width, 1 - y / self.height
        points = size * 72 / _DPI
        self.figure.text(x, y, text, fontsize=points, va="baseline", **look)

    def show(
        self, picture: NDArray[np.floating], left: int, top: int, frame: str | None = None
    ) -> None:
        """Show a picture (H, W, 3) in [0, 1], pixel by pixel; frame: its color."""
        tall, wide = picture.shape[:2]
        corner = (left, self.height - top - tall)
        self.figure.figimage(picture, *corner, origin="upper")
        if frame:
            edge = Rectangle(corner, wide, tall, fill=False, ec=frame, transform=None)
            self.figure.add_artist(edge)


@contextmanager
def pixel_sheet(path: Path, width: int, height: int) -> Iterator[PixelSheet]:
    """An empty sheet, which is written as a PNG at the end of the context."""
    with style.drawing():
        figure = style.sheet(width / _DPI, height / _DPI)
        figure.set_dpi(_DPI)
        yield PixelSheet(figure, width, height)
        content = BytesIO()
        effort = {"compress_level": 4}  # a twentieth more bytes than by default, in half the time
        meta = {"Software": None}
        figure.savefig(content, format="png", dpi=_DPI, metadata=meta, pil_kwargs=effort)
    files.write(Path(path), content.getvalue())


def fit(view: NDArray[Any], side: int) -> NDArray[np.floating]:
    """Bring the long side of a view (H, W, 3) to about `side` pixels, in [0, 1].

    view: floats in [0, 1], or integers of 8 or 16 bits. Small views are enlarged by a whole factor,
    so that every pixel stays a square of one color. Large ones are reduced to `side`; each pixel is
    the average over the area that it covers.
    """
    height, width = view.shape[:2]
    longest = max(height, width)
    if longest <= side:
        factor = max(1, round(side / longest))
        return _unit(view.repeat(factor, axis=0).repeat(factor, axis=1), view.dtype)
    rows = _average(view, max(1, round(height * side / longest)))
    reduced = _average(rows.swapaxes(0, 1), max(1, round(width * side / longest))).swapaxes(0, 1)
    # A mean of ones may round to more than one.
    return _unit(reduced, view.dtype).clip(0, 1)


def _unit(view: NDArray[Any], kind: np.dtype[Any]) -> NDArray[np.floating]:
    """Values of integers or floats of this kind as floats, the largest integer as 1."""
    return view / np.float32(np.iinfo(kind).max) if kind.kind == "u" else view


def _average(samples: NDArray[Any], few: int) -> NDArray[np.floating]:
    """Average the first axis over `few` stretches of equal length, which may split samples."""
    edges = np.linspace(0, len(samples), few + 1)
    averages = np.empty((few, *samples.shape[1:]), np.float32)
    for average, start, stop in zip(averages, edges, edges[1:], strict=False):
        ends = np.arange(int(start), int(np.ceil(stop)) + 1).clip(start, stop)
        shares = (np.diff(ends) / (stop - start)).astype(np.float32)
        covered = samples[int(start) :][: len(shares)].astype(np.float32)
        average[...] = (shares @ covered.reshape(len(shares), -1)).reshape(average.shape)
    return averages


def _fitted(view: NDArray[Any]) -> tuple[NDArray[np.floating], str]:
    """Return a view as it is shown, and its scale in words."""
    shown = fit(view, _SIDE)
    scale = _scale(view, shown)
    if shown.shape[0] < view.shape[0]:
        crop = _unit(middle(view, shown.shape[0], _CROP), view.dtype)
        shown, scale = beside(shown, crop), f"{scale} and 1:1"
    return shown, scale


def middle(
    picture: NDArray[Any], height: int, width: int, at: tuple[int, int] | None = None
) -> NDArray[Any]:
    """Return the part of a picture (H, W, ...) of at most this size around its middle.

    at: row and column of another middle; the part stays within the picture.
    """
    starts = []
    for length, part, center in zip(
        picture.shape, (height, width), at or (picture.shape[0] // 2, picture.shape[1] // 2),
        strict=False,
    ):  # fmt: skip
        starts.append(min(max(0, center - part // 2), max(0, length - part)))
    return picture[starts[0] :, starts[1] :][:height, :width]


def beside(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """Return two pictures (H, W, 3) side by side on white, at their upper edges."""
    height = max(left.shape[0], right.shape[0])
    sheet = np.ones((height, left.shape[1] + _BETWEEN + right.shape[1], 3), left.dtype)
    sheet[: left.shape[0], : left.shape[1]] = left
    sheet[: right.shape[0], left.shape[1] + _BETWEEN :] = right
    return sheet


def _checked(name: str, view: NDArray[Any]) -> NDArray[Any]:
    view = np.asarray(view)
    if view.ndim != 3 or view.shape[2] != 3 or 0 in view.shape:
        raise ValueError(f"view {name!r} must have the shape (H, W, 3), got {view.shape}")
    if view.dtype in (np.uint8, np.uint16):
        return view
    if not np.isfinite(view).all():
        raise ValueError(f"view {name!r} holds values that are not finite")
    return view.clip(0, 1)


def _scale(view: NDArray[Any], shown: NDArray[np.floating]) -> str:
    factor = shown.shape[0] / view.shape[0]
    return "" if factor == 1 else f"{factor:.2g}×"  # noqa: RUF001
