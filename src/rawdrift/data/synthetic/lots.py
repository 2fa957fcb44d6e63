"""What stands on a piece of land beside a road."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rawdrift.data.synthetic.things import Patch, Span
from rawdrift.data.synthetic.town import Town

HALF_TURN = math.pi / 2


class Lot(NamedTuple):
    """From `left` to `right` along the road, and from the road at v = `near` to v = `far`."""

    left: float
    right: float
    near: float
    far: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def depth(self) -> float:
        return abs(self.far - self.near)

    @property
    def side(self) -> float:
        """1 where v grows away from the road, else -1."""
        return math.copysign(1, self.far - self.near)

    def v(self, away: float) -> float:
        """v of what is that far away from the road."""
        return self.near + self.side * away

    def span(self, near: float = 0.0, far: float = math.inf) -> Span:
        """v from so far away from the road to so far, ascending."""
        a, b = self.v(near), self.v(min(far, self.depth))
        return min(a, b), max(a, b)


def house(town: Town, lot: Lot) -> None:
    """A house with a garden, and a drive with a car beside it."""
    rng = town.rng
    lawn = "meadow" if rng.random() < 0.25 else "lawn"
    town.patches.append(
        Patch(lawn, (lot.left, lot.right), lot.span(), ragged=0.15, tint=rng.uniform(0.75, 1.3))
    )
    back = rng.uniform(4.5, 8.0)
    wide = min(rng.uniform(8, 13), lot.width - 4.2)
    deep = min(rng.uniform(8, 11), lot.depth - back - 2)
    if rng.random() < 0.5:
        center, drive = lot.left + 0.5 + wide / 2, lot.right - 1.9
    else:
        center, drive = lot.right - 0.5 - wide / 2, lot.left + 1.9
    paved = str(rng.choice(["slabs", "asphalt", "gravel"]))
    length = back + rng.uniform(0, 0.8) * deep
    town.patches.append(
        Patch(paved, (drive - 1.6, drive + 1.6), lot.span(0, length), tint=rng.uniform(0.8, 1.2))
    )
    town.patches.append(Patch("slabs", (center - 0.7, center + 0.7), lot.span(0, back)))
    if rng.random() < 0.5:
        terrace = lot.span(back + deep, back + deep + 3)
        town.patches.append(Patch("slabs", (center - wide / 2, center + wide / 2), terrace))
    gable = bool(rng.random() < 0.75)
    _put_building(town, center, lot.v(back + deep / 2), wide, deep, rng.uniform(3.0, 6.5), gable)
    if rng.random() < 0.75:
        at = lot.v(rng.uniform(3.0, max(3.2, length - 2.5)))
        town.car(drive, at, HALF_TURN * rng.choice([-1, 1]))
    for _ in range(int(rng.poisson(2.5))):
        u = rng.uniform(lot.left + 1, lot.right - 1)
        behind = rng.random() < 0.75 and lot.depth > back + deep + 2
        away = rng.uniform(back + deep + 2, lot.depth) if behind else rng.uniform(1, back - 1)
        if abs(u - drive) > 3:
            town.tree(u, lot.v(away), (0.6, 3.0))
    edge = lot.left if rng.random() < 0.5 else lot.right
    if rng.random() < 0.6 and abs(edge - drive) > 2.2:  # a hedge
        for away in np.arange(0.5, lot.depth * rng.uniform(0.3, 1), 0.9):
            town.tree(edge, lot.v(away), (0.6, 0.85))


def hall(town: Town, lot: Lot) -> None:
    """A shop or a workshop behind its parking lot."""
    front = 17.0
    parking(town, lot._replace(far=lot.v(min(front, lot.depth))))
    deep = lot.depth - front - 2
    if deep > 7:
        town.patches.append(Patch("slabs", (lot.left, lot.right), lot.span(front)))
        u, v = (lot.left + lot.right) / 2, lot.v(front + 1 + deep / 2)
        _put_building(town, u, v, lot.width - 3, deep, town.rng.uniform(4.5, 9), gable=False)


def parking(town: Town, lot: Lot) -> None:
    """Rows of marked stalls with an aisle after each second one."""
    rng = town.rng
    inner = lot.left + 0.75, lot.right - 0.75
    town.patches.append(Patch("curb", (lot.left + 0.6, lot.right - 0.6), lot.span()))
    ground = str(rng.choice(["asphalt", "slabs", "gravel"], p=[0.7, 0.2, 0.1]))
    if ground == "asphalt":
        town.asphalt(inner, lot.span(), tint=(0.8, 1.35), mended=4)
    else:
        town.patches.append(Patch(ground, inner, lot.span(), tint=rng.uniform(0.8, 1.35)))
    full, stall, long = rng.uniform(0.35, 0.9), rng.uniform(2.4, 2.6), 5.0
    row, away = 0, rng.uniform(0.3, 1.0)
    while away + long < lot.depth:
        begin = lot.left + 1.5 + rng.uniform(0, 2)
        count = int((lot.right - 1.5 - begin) / stall)
        if ground != "gravel":
            lines = begin, begin + count * stall + 0.11
            rows = lot.span(away, away + long - 0.1)
            town.patches.append(Patch("paint", lines, rows, dash=(stall, 0.11)))
        for i in range(count):
            if rng.random() < full:
                turn = HALF_TURN * (1 if rng.random() < 0.7 else -1) * lot.side * (-1) ** row
                town.car(
                    begin + (i + 0.5) * stall + 0.05, lot.v(away + long / 2), turn, spread=0.12
                )
        away += long + (rng.uniform(5.6, 6.6) if row % 2 == 0 else 0.3)
        row += 1
    for u in (lot.left + 0.2, lot.right - 0.2):
        if rng.random() < 0.6:
            for away in np.arange(rng.uniform(0, 4), lot.depth, rng.uniform(4, 9)):
                town.tree(u, lot.v(away), (0.8, 2.2))
    if rng.random() < 0.5:
        town.pole(rng.uniform(lot.left + 2, lot.right - 2), lot.v(0.5 * lot.depth))


def green(town: Town, lot: Lot) -> None:
    """Grass with trees, and perhaps a path."""
    rng = town.rng
    grass = "meadow" if rng.random() < 0.5 else "lawn"
    town.patches.append(
        Patch(grass, (lot.left, lot.right), lot.span(), ragged=0.25, tint=rng.uniform(0.8, 1.25))
    )
    if rng.random() < 0.5:
        u = rng.uniform(lot.left + 2, lot.right - 2)
        town.patches.append(Patch("gravel", (u - 0.8, u + 0.8), lot.span(), ragged=0.2))
    for _ in range(int(rng.poisson(lot.width * lot.depth / 110))):
        u, away = rng.uniform(lot.left + 1, lot.right - 1), rng.uniform(0, lot.depth)
        town.tree(u, lot.v(away), (1.2, 4.2))


def farmland(town: Town, lot: Lot) -> None:
    """A field, and perhaps a track with cars on it."""
    rng = town.rng
    field = str(rng.choice(["crop", "soil", "stubble", "meadow"]))
    town.patches.append(Patch("meadow", (lot.left, lot.right), lot.span(), ragged=0.3))
    inner = (lot.left + 1, lot.right - 1), lot.span(2.5)
    town.patches.append(Patch(field, *inner, ragged=0.3, tint=rng.uniform(0.85, 1.2)))
    if rng.random() < 0.7:
        u = rng.uniform(lot.left + 3, lot.right - 3)
        town.patches.append(Patch("gravel", (u - 1.5, u + 1.5), lot.span(), ragged=0.3))
        for away in np.arange(4, lot.depth - 4, 7.5):
            if rng.random() < 0.4:
                town.car(u + rng.normal(0, 0.3), lot.v(away), HALF_TURN * rng.choice([-1, 1]))


def _put_building(
    town: Town, u: float, v: float, wide: float, deep: float, height: float, gable: bool
) -> None:
    """Its length is its longer side."""
    turn = 0.0 if wide > deep else HALF_TURN
    town.building(u, v, (max(wide, deep), min(wide, deep)), turn, height, gable)


# What a lot can be: how wide, and who builds it.
LOTS: dict[str, tuple[Span, Callable[[Town, Lot], None]]] = {
    "house": ((13, 22), house),
    "hall": ((26, 46), hall),
    "parking": ((18, 42), parking),
    "green": ((8, 26), green),
    "farmland": ((26, 50), farmland),
}
