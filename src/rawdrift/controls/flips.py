"""The answers of models to two views of the same images: by class, and the images that flip."""

from collections.abc import Callable

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from rawdrift.controls.material import Material
from rawdrift.controls.result import ClassChange, Flipped, Flips

DRAWN = 12
"""How many of the images that flip are shown as pictures."""

Draw = Callable[[str, int], tuple[str, str]]
"""Writes both views of an image of the data, by a name within the gallery; returns their paths."""


def flips(
    material: Material,
    images: NDArray[np.int64],
    matched: tuple[str, NDArray[np.int64]],
    worst: tuple[str, NDArray[np.int64]],
    name: str = "",
    draw: Draw | None = None,
) -> list[Flips]:
    """Compare the answers (n,) to two views of images (n,); nothing unless answers are classes.

    matched, worst: the name of the view, and the answers. name: of the pictures' folder. draw:
    without it, there are no pictures.
    """
    data, targets, _ = material
    if not targets.of_classes:
        return []
    before, after, truth = matched[1], worst[1], targets.truth[images]
    lost = (before == truth) & (after != truth)
    gained = (before != truth) & (after == truth)
    classes = [
        ClassChange(
            label,
            int(of_class.sum()),
            float((before == truth)[of_class].mean()),
            float((after == truth)[of_class].mean()),
            int(lost[of_class].sum()),
            int(gained[of_class].sum()),
        )
        for index, label in enumerate(targets.names)
        if (of_class := truth == index).any()
    ]
    places = np.flatnonzero(lost)
    flipped = [
        Flipped(data.images[index], targets.names[truth[place]], targets.names[after[place]])
        for place in places.tolist()
        for index in [int(images[place])]
    ]
    if draw is None:
        return [Flips(matched=matched[0], worst=worst[0], classes=classes, flipped=flipped)]
    by_class = np.argsort(truth[places], kind="stable")
    shown = np.linspace(0, len(places) - 1, min(DRAWN, len(places))).round().astype(int)
    for number, k in enumerate(by_class[shown].tolist()):
        pair = draw(f"flipped-{name}/{number}", int(images[places[k]]))
        flipped[k] = replace(flipped[k], matched_view=pair[0], view=pair[1])
    return [Flips(matched=matched[0], worst=worst[0], classes=classes, flipped=flipped)]
