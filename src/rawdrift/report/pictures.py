"""Pictures of a run, as a figure and as data inside a page."""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from rawdrift import files
from rawdrift.camera import pixels
from rawdrift.checks import InputError
from rawdrift.report import style
from rawdrift.report.contact_sheet import fit
from rawdrift.report.sample import SampleImage
from rawdrift.report.style import ANSWER, INK, MUTED, RULE, TRUTH, WRONG, plain

# Lengths are inches.
_BETWEEN, _LEFT = 0.14, 0.12
_MOST = 6
_PICTURE, _FINE = 220, 440  # pixels of a picture's long side on a page and in a figure


class Verdict(NamedTuple):
    """A model's answer in words, the right answer if that was wrong, and whether it was right.

    right: None for the score of a mask, which is neither right nor wrong.
    """

    answer: str
    note: str = ""
    right: bool | None = None


class Embedded(NamedTuple):
    """An image on a page: data URIs of the views before and after and of their difference, and
    verdicts on the first two; whether masks are outlined. The macro `samples` shows it."""

    name: str
    pictures: tuple[str, str, str]
    verdicts: tuple[Verdict, Verdict]
    has_masks: bool


def verdict(metric: str, label: str | None, prediction: str | None, score: float | None) -> Verdict:
    """Compare a prediction with the label; without a label, give the score by `metric`."""
    if label is None or prediction is None:
        return Verdict(f"{style.metric(metric)} {style.number(score, 2)}")
    right = prediction == label  # in full, whereas what is shown is shortened
    note = "" if right else f"is {plain(label, 20)}"
    return Verdict(f"{'✓' if right else '✗'} {plain(prediction, 20)}", note, right)


def verdicts(metric: str, image: SampleImage) -> tuple[Verdict, Verdict]:
    """Judge the answers to an image before and after the change of its view."""
    return (
        verdict(metric, image.label, image.matched_prediction, image.matched_score),
        verdict(metric, image.label, image.prediction, image.score),
    )


def embed(run: Path, metric: str, images: Sequence[SampleImage]) -> list[Embedded]:
    """Prepare images for a page; `metric` names the score of masks."""
    return [
        Embedded(
            image.image,
            (
                data_uri(run, image.matched_view, image.truth, image.matched_mask),
                data_uri(run, image.view, image.truth, image.mask),
                data_uri(run, image.change),
            ),
            verdicts(metric, image),
            image.truth is not None,
        )
        for image in images
    ]


def compared(
    run: Path,
    metric: str,
    images: Sequence[SampleImage],
    before: str,
    after: str,
    amplified: int,
) -> Figure:
    """Draw three rows of pictures: before, after, and what changed, `amplified` times.

    before, after: titles of the first two rows. metric: names the score of masks.
    """
    images = images[:_MOST]
    rows: dict[str, list[tuple[Any, ...]]] = {
        before: [(image.matched_view, image.truth, image.matched_mask) for image in images],
        after: [(image.view, image.truth, image.mask) for image in images],
        f"What changed, {amplified} times; gray is no change": [(i.change,) for i in images],
    }
    answers = [verdicts(metric, image) for image in images]
    views = [[outlined(run, _FINE, *names) for names in row] for row in rows.values()]
    side = (style.WIDTH - 2 * _LEFT - (_MOST - 1) * _BETWEEN) / _MOST
    slimmest = max(view.shape[0] / view.shape[1] for row in views for view in row)
    tall = side * min(slimmest, 1.5)
    head, caption = 0.34, 0.42
    wide, height = style.WIDTH, 3 * (head + tall) + 2 * caption + 0.15
    figure = style.sheet(wide, height)
    axes = style.inches(figure, 0, 0, wide, height)
    y = 0.0
    for row, title in enumerate(rows):
        has_answers = row < 2
        axes.text(_LEFT, y + 0.24, title, color=MUTED)
        if row == 0 and images[0].truth is not None:
            draw_key(axes, wide - _LEFT, y + 0.24)
        y += head
        for j, view in enumerate(views[row]):
            x = _LEFT + j * (side + _BETWEEN)
            fitted = min(side, tall * view.shape[1] / view.shape[0])
            high = fitted * view.shape[0] / view.shape[1]
            box = (x, x + fitted, y + high, y)
            axes.imshow(view, interpolation="nearest", extent=box, aspect="auto")
            frame = Rectangle((x, y), fitted, high, fill=False, ec=RULE, lw=0.8)
            axes.add_patch(frame)
            if not has_answers:
                continue
            answer, note, right = answers[j][row]
            look: dict[str, Any] = {"color": INK, "fontsize": 8.5}
            if right is False:
                frame.set(ec=WRONG, lw=2.4)
                look |= {"color": WRONG, "weight": "bold"}
            axes.text(x, y + tall + 0.17, answer, **look)
            axes.text(x, y + tall + 0.33, note, fontsize=8, color=MUTED)
        y += tall + (caption if has_answers else 0)
    axes.set(xlim=(0, wide), ylim=(height, 0))
    return figure


class Shown(NamedTuple):
    """A picture of a run with its caption; truth, answer: see `outlined`."""

    caption: str
    picture: str
    truth: str | None = None
    answer: str | None = None


def album(run: Path, bands: Sequence[Mapping[str, Sequence[Shown]]], columns: int = 8) -> Figure:
    """Draw pictures below each other in bands, each of blocks side by side, by their titles.

    columns: of pictures in a band, over all of its blocks.
    """
    sides = (style.WIDTH - 2 * _LEFT - 0.3) / columns
    head, caption = 0.36, 0.3
    figure = style.sheet(style.WIDTH, 1)
    axes = style.inches(figure, 0, 0, style.WIDTH, 1)
    bottom = 0.0
    for band in bands:
        each = max(1, columns // len(band))
        top = bottom + head
        for i, (title, shown) in enumerate(band.items()):
            left = _LEFT + i * (each * sides + 0.3)
            axes.text(left, top - 0.12, title, weight="bold", color=INK, fontsize=10)
            y, lines = top, -(-len(shown) // each)
            length = -(-len(shown) // lines)  # so that no line is much shorter than others
            for first in range(0, len(shown), length):
                line = shown[first : first + length]
                row = [(one, outlined(run, _FINE, *one[1:])) for one in line]
                side = sides - _BETWEEN / 2
                tall = side * max(view.shape[0] / view.shape[1] for _, view in row)
                for j, (one, view) in enumerate(row):
                    x, high = left + j * sides, side * view.shape[0] / view.shape[1]
                    box = (x, x + side, y + high, y)
                    axes.imshow(view, interpolation="nearest", extent=box, aspect="auto")
                    axes.add_patch(Rectangle((x, y), side, high, fill=False, ec=RULE, lw=0.8))
                    longest = int(side / 0.066)
                    axes.text(x, y + high + 0.15, plain(one.caption, longest), fontsize=7.5)
                y += tall + caption
            bottom = max(bottom, y)
    figure.set_size_inches(style.WIDTH, bottom)
    axes.set(xlim=(0, style.WIDTH), ylim=(bottom, 0))
    return figure


def draw_key(axes: Axes, right: float, y: float) -> None:
    """Say, up to `right`, whose the outlines are; see `outlined`."""
    for words, color, x in (("right mask", TRUTH, right - 2.0), ("answer", ANSWER, right - 0.8)):
        axes.plot([x, x + 0.22], [y - 0.05, y - 0.05], color=color, lw=3)
        axes.text(x + 0.3, y, words, color=INK)


def read_picture(run: Path, name: str) -> NDArray[np.floating]:
    """Read a picture of a run: (H, W, 3) in [0, 1].

    name: its path within the run folder. Raises InputError if it is missing, damaged, or outside
    the folder.
    """
    path = files.inside(run, name)
    try:
        view = pixels.png(path).astype(np.float32) / 255
    except FileNotFoundError:
        raise _unfinished(run, f"its picture {name} is missing") from None
    except (OSError, ValueError, RuntimeError):
        raise _unfinished(run, f"its picture {name} can't be read") from None
    view = view.astype(float)
    return view[..., :3] if view.ndim == 3 else np.stack([view] * 3, axis=-1)


def outlined(
    run: Path, side: int, name: str, truth: str | None = None, answer: str | None = None
) -> NDArray[np.floating]:
    """Read a picture of a run and reduce it to `side` pixels; outline its masks, if there are any.

    truth, answer: pictures of the right mask and of the answer, with a gray level for each class.
        The first is outlined outside, the second inside, so that both are seen where they agree.
    """
    view = read_picture(run, name)
    if max(view.shape) > side or truth or answer:  # the page enlarges others
        view = fit(view, side)
    for mask, color, neighbor in ((truth, TRUTH, maximum_filter), (answer, ANSWER, minimum_filter)):
        if mask is not None:
            outline(view, read_picture(run, mask)[..., 0], color, neighbor)
    return view


def outline(
    view: NDArray[np.floating],
    mask: NDArray[Any],
    color: str = TRUTH,
    neighbor: Callable[..., NDArray[Any]] = maximum_filter,
) -> None:
    """Draw the borders of a mask (h, w) of any size on a view (H, W, 3), in place.

    neighbor: maximum_filter draws outside of the higher class, minimum_filter inside.
    """
    rows, columns = (
        ((np.arange(few) + 0.5) * many / few).astype(int)
        for few, many in zip(view.shape[:2], mask.shape, strict=True)
    )
    nearest = mask[np.ix_(rows, columns)]
    width = max(1, round(max(view.shape) / 110))
    view[neighbor(nearest, 2 * width + 1) != nearest] = to_rgb(color)


def data_uri(run: Path, name: str, truth: str | None = None, answer: str | None = None) -> str:
    """Return a picture of a run, reduced to the size that a page needs, as a data URI.

    truth, answer: see `outlined`.
    """
    view = outlined(run, _PICTURE, name, truth, answer)
    content = BytesIO()
    imsave(content, np.ascontiguousarray(view), format="png")
    return f"data:image/png;base64,{b64encode(content.getvalue()).decode()}"


def _unfinished(run: Path, what: str) -> InputError:
    return InputError(
        f"{run} is not a finished run folder: {what}; restore it, or start the same command again"
    )
