"""Pictures of a run, as a figure and as data for a page."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imread, imsave
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from rawdrift.checks import InputError
from rawdrift.report import style
from rawdrift.report.contact_sheet import fit
from rawdrift.report.style import INK, MUTED, RULE, WRONG, plain

# Lengths are inches.
_BETWEEN, _LEFT = 0.14, 0.12
_MOST = 6
_PICTURE = 220  # pixels of a picture's long side on a page


Row = tuple[str, str, str | None]
"""Of pictures: its title, which picture of an image it shows, and what the keys of the answers to
that begin with; None where there are none."""


def compared(
    summary: dict[str, Any],
    images: list[dict[str, Any]],
    before: str,
    after: str,
    amplified: float,
    run: Path,
) -> Figure:
    """Rows of images before and after, under these titles, and of what changed."""
    images = images[:_MOST]
    rows: tuple[Row, ...] = (
        (before, "matched_view", "matched"),
        (after, "view", ""),
        (f"What changed, {amplified} times; gray is nothing", "change", None),
    )
    views = [[read_picture(run, image[view]) for image in images] for _, view, _ in rows]
    side = (style.WIDTH - 2 * _LEFT - (_MOST - 1) * _BETWEEN) / _MOST
    slimmest = max(view.shape[0] / view.shape[1] for row in views for view in row)
    tall = side * min(slimmest, 1.5)
    head, caption = 0.34, 0.42
    wide, height = style.WIDTH, 3 * (head + tall) + 2 * caption + 0.15
    figure = style.sheet(wide, height)
    axes = style.inches(figure, 0, 0, wide, height)
    y = 0.0
    for row, (title, _, prefix) in enumerate(rows):
        axes.text(_LEFT, y + 0.24, title, color=MUTED)
        y += head
        for j, (view, image) in enumerate(zip(views[row], images, strict=True)):
            x = _LEFT + j * (side + _BETWEEN)
            fitted = min(side, tall * view.shape[1] / view.shape[0])
            high = fitted * view.shape[0] / view.shape[1]
            box = (x, x + fitted, y + high, y)
            axes.imshow(view, interpolation="nearest", extent=box, aspect="auto")
            frame = Rectangle((x, y), fitted, high, fill=False, ec=RULE, lw=0.8)
            axes.add_patch(frame)
            if prefix is None:
                continue
            answer, note, right = verdict(summary, image, prefix)
            look: dict[str, Any] = {"color": INK, "fontsize": 8.5}
            if not right:
                frame.set(ec=WRONG, lw=2.4)
                look |= {"color": WRONG, "weight": "bold"}
            axes.text(x, y + tall + 0.17, answer, **look)
            axes.text(x, y + tall + 0.33, note, fontsize=8, color=MUTED)
        y += tall + (0 if prefix is None else caption)
    axes.set(xlim=(0, wide), ylim=(height, 0))
    return figure


def verdict(summary: dict[str, Any], image: dict[str, Any], prefix: str) -> tuple[str, str, bool]:
    """What a model made of an image, the right answer where that was wrong, and whether it was
    right. prefix: "matched", or nothing for the test. Of masks the score, which has no right."""
    prefix = f"{prefix}_" if prefix else ""
    if "label" not in image:
        score = style.number(image[f"{prefix}score"], 2)
        return f"{style.metric(summary)} {score}", "", True
    said, label = plain(image[f"{prefix}prediction"], 20), plain(image["label"], 20)
    # The true label, not the shortened one, decides.
    right = image[f"{prefix}prediction"] == image["label"]
    return f"{'✓' if right else '✗'} {said}", "" if right else f"is {label}", right


def read_picture(run: Path, name: str) -> NDArray[np.floating]:
    """A picture of a run as (H, W, 3) in [0, 1]."""
    path = picture(run, name)
    try:
        view = np.asarray(imread(path), dtype=float)
    except (OSError, ValueError, SyntaxError):  # Pillow's, for a picture that is none
        raise damaged(run / "summary.json", f"its picture {name} can't be read") from None
    return view[..., :3] if view.ndim == 3 else np.stack([view] * 3, axis=-1)


def data_uri(run: Path, name: str) -> str:
    """A picture of a run, small, as data that a page itself holds."""
    view = read_picture(run, name)
    # The page enlarges small ones.
    view = fit(view, _PICTURE) if max(view.shape) > _PICTURE else view
    content = BytesIO()
    imsave(content, np.ascontiguousarray(view), format="png")
    return f"data:image/png;base64,{b64encode(content.getvalue()).decode()}"


def picture(run: Path, name: str) -> Path:
    """The path of a picture that a summary names; pictures of other folders are refused."""
    path = run / name
    if not path.resolve().is_relative_to(run.resolve()):
        raise damaged(run / "summary.json", f"its picture {name!r} is outside the run folder")
    if not path.is_file():
        raise InputError(
            f"{run} is not a finished run folder: its picture {name} is missing; restore it, or "
            "start the same command again"
        )
    return path


def damaged(path: Path, what: str) -> InputError:
    """The error for a run folder with a file that is not whole."""
    return InputError(
        f"{path.parent} is not a finished run folder: {path.name} is damaged, {what}; remove it "
        "and start the same command again"
    )
