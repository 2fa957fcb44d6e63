"""A town for synthetic aerial photographs: what stands where, in meters.

Roads run along x, a block apart in y, and are lined by lots on both sides.
"""

import math
from bisect import bisect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, TypeVar

import numpy as np

from rawdrift.data.synthetic.buildings import Building
from rawdrift.data.synthetic.canvas import Color, Patch, Span
from rawdrift.data.synthetic.cars import KINDS, Car
from rawdrift.data.synthetic.texture import Rng
from rawdrift.data.synthetic.trees import Tree

APART = 5.0  # meters from car to car, except side by side
_PAINTS: dict[Color, float] = {
    (0.84, 0.85, 0.86): 0.24,  # white
    (0.46, 0.47, 0.49): 0.17,  # silver
    (0.13, 0.135, 0.15): 0.19,  # gray
    (0.025, 0.026, 0.03): 0.17,  # black
    (0.035, 0.075, 0.22): 0.09,  # blue
    (0.36, 0.035, 0.03): 0.08,  # red
    (0.03, 0.12, 0.06): 0.02,  # green
    (0.38, 0.30, 0.20): 0.02,  # beige
    (0.55, 0.36, 0.03): 0.02,  # yellow
}
_TILES = ((0.20, 0.085, 0.055), (0.13, 0.075, 0.06), (0.07, 0.072, 0.078), (0.10, 0.10, 0.10))
_FELTS = ((0.24, 0.23, 0.21), (0.14, 0.14, 0.14), (0.34, 0.34, 0.34), (0.09, 0.10, 0.09))
_WALLS = ((0.55, 0.50, 0.42), (0.60, 0.58, 0.54), (0.30, 0.15, 0.10), (0.42, 0.40, 0.36))
_LEAVES = ((0.038, 0.062, 0.024), (0.03, 0.05, 0.024), (0.055, 0.072, 0.028), (0.045, 0.06, 0.03))

_Kind = TypeVar("_Kind")


@dataclass
class Town:
    """Things as they are put there; rng draws how each looks. Later patches cover earlier ones.

    y is counted from `start`, and grows with `side` (1 or -1).
    """

    rng: Rng
    patches: list[Patch] = field(default_factory=list)
    cars: list[Car] = field(default_factory=list)
    buildings: list[Building] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    start: float = 0.0
    side: int = 1

    def lay(self, material: str, x: Span, y: Span, ragged: float = 0.0) -> None:
        """Put ground there. Asphalt was opened and closed again in some places."""
        rng = self.rng
        self._patch(material, x, y, rng.uniform(0.8, 1.25), ragged)
        for _ in range(rng.poisson((x[1] - x[0]) * (y[1] - y[0]) / 130)):
            if material == "asphalt":
                piece = _piece(rng, x, 5.0), _piece(rng, y, 1.2)
                self._patch(material, *piece, rng.uniform(0.62, 1.3), 0.03)

    def mark(self, x: Span, y: Span, dash: Span | None = None) -> None:
        """Paint a line, or dashes of a period and a length along x."""
        self._patch("paint", x, y, 1.0, 0.0, dash)

    def _patch(self, material: str, x: Span, y: Span, *look: Any) -> None:
        near, far = (self.start + self.side * at for at in y)
        self.patches.append(Patch(material, x, (near, far), *look))

    def car(self, x: float, y: float, heading: float | None = None, spread: float = 0.15) -> None:
        """Put a car near (x, y), unless another is in its way; by default across the road."""
        rng = self.rng
        x, y = x + rng.normal(0, spread), self.start + self.side * y + rng.normal(0, spread / 2)
        heading = math.pi / 2 * rng.choice((-1, 1)) if heading is None else heading
        paint = _shaded(drawn(rng, _PAINTS), rng.uniform(0.8, 1.2))
        kind = drawn(rng, {name: kind.share for name, kind in KINDS.items()})
        car = Car(x, y, heading + rng.normal(0, 0.03), kind, paint)
        if not any(abs(x - other.x) < APART and _touch(car, other) for other in self.cars):
            self.cars.append(car)

    def building(self, x: float, y: float, sides: Span, height: float, gable: bool) -> None:
        """Put a building about (x, y). Its ridge is along its longer side."""
        rng, heading = self.rng, 0.0 if sides[0] > sides[1] else math.pi / 2
        roof, wall = rng.choice(_TILES if gable else _FELTS), rng.choice(_WALLS)
        place = x, self.start + self.side * y, height, heading, max(sides), min(sides)
        self.buildings.append(Building(*place, gable, roof, wall, int(rng.integers(2**31))))

    def tree(self, x: float, y: float, radius: Span) -> None:
        """Put a tree at (x, y)."""
        rng = self.rng
        size, leaves = rng.uniform(*radius), _shaded(rng.choice(_LEAVES), rng.uniform(0.75, 1.3))
        place = x, self.start + self.side * y, size * rng.uniform(1.6, 2.6)
        self.trees.append(Tree(*place, size, leaves, int(rng.integers(2**31))))


# What stands on a lot, from left to right, and from the road at y = 0 to y = depth.


def house(town: Town, left: float, right: float, depth: float) -> None:
    """Build a house with a garden, and a drive with a car beside it."""
    rng = town.rng
    town.lay(rng.choice(("lawn", "lawn", "meadow")), (left, right), (0, depth), ragged=0.15)
    front, wide = rng.uniform(4.5, 8.0), min(rng.uniform(8, 13), right - left - 4.2)
    back = min(front + rng.uniform(8, 11), depth - 2)
    center, drive = left + 0.5 + wide / 2, right - 1.9
    if rng.random() < 0.5:
        center, drive = left + right - center, left + right - drive
    end = rng.uniform(front, back)
    town.lay(rng.choice(("slabs", "asphalt", "gravel")), (drive - 1.6, drive + 1.6), (0, end))
    town.lay("slabs", (center - 0.7, center + 0.7), (0, front))
    gable, sides = rng.random() < 0.75, (wide, back - front)
    town.building(center, (front + back) / 2, sides, rng.uniform(3.0, 6.5), gable)
    if rng.random() < 0.75:
        town.car(drive, rng.uniform(3.0, end - 1.4))
    for _ in range(rng.poisson(2.5)):
        y = rng.uniform(back + 2, depth + 1) if rng.random() < 0.75 else front / 2
        town.tree(rng.uniform(center - wide / 2, center + wide / 2), y, (0.6, 3.0))
    for y in np.arange(0.5, depth * rng.uniform(-0.5, 1), 0.9):  # a hedge
        town.tree(left if drive > center else right, y, (0.6, 0.85))


def hall(town: Town, left: float, right: float, depth: float) -> None:
    """Build a shop or a workshop behind its parking lot."""
    front = 17.0
    parking(town, left, right, front)
    town.lay("slabs", (left, right), (front, depth))
    sides, height = (right - left - 3, depth - front - 3), town.rng.uniform(4.5, 9)
    town.building((left + right) / 2, (front + depth) / 2, sides, height, gable=False)


def parking(town: Town, left: float, right: float, depth: float) -> None:
    """Mark rows of stalls with an aisle after every second one."""
    rng = town.rng
    town.lay("curb", (left + 0.6, right - 0.6), (0, depth))
    town.lay(drawn(rng, {"asphalt": 4, "slabs": 1}), (left + 0.75, right - 0.75), (0, depth))
    full, stall, row, y = rng.uniform(0.35, 0.9), rng.uniform(2.4, 2.6), 0, rng.uniform(0.3, 1.0)
    while y + 5 < depth:
        begin = left + 1.5 + rng.uniform(0, 2)
        count = int((right - 1.5 - begin) / stall)
        town.mark((begin, begin + count * stall + 0.11), (y, y + 4.9), dash=(stall, 0.11))
        for i in np.flatnonzero(rng.random(count) < full):
            town.car(begin + (i + 0.5) * stall + 0.05, y + 2.5, spread=0.12)
        y += 5 + (rng.uniform(5.6, 6.6) if row % 2 == 0 else 0.3)
        row += 1
    for _ in range(rng.poisson(4)):
        town.tree(rng.choice((left, right)), rng.uniform(0, depth), (0.8, 2.2))


def green(town: Town, left: float, right: float, depth: float) -> None:
    """Grow grass with trees, and perhaps a path."""
    rng = town.rng
    town.lay(rng.choice(("meadow", "lawn")), (left, right), (0, depth), ragged=0.25)
    if rng.random() < 0.5:
        x = rng.uniform(left + 2, right - 2)
        town.lay("gravel", (x - 0.8, x + 0.8), (0, depth), ragged=0.2)
    for _ in range(rng.poisson((right - left) * depth / 110)):
        town.tree(rng.uniform(left, right), rng.uniform(0, depth), (1.2, 4.2))


def farmland(town: Town, left: float, right: float, depth: float) -> None:
    """Plant a field, perhaps with a track and cars on it."""
    rng = town.rng
    town.lay("meadow", (left, right), (0, depth), ragged=0.3)
    field = rng.choice(("crop", "soil", "stubble", "meadow"))
    town.lay(field, (left + 1, right - 1), (2.5, depth), ragged=0.3)
    if rng.random() < 0.7:
        x = rng.uniform(left + 3, right - 3)
        town.lay("gravel", (x - 1.5, x + 1.5), (0, depth), ragged=0.3)
        for _ in range(2):
            town.car(x, rng.uniform(4, depth - 4))


def street(town: Town, left: float, right: float, depth: float) -> None:
    """Build a side street, from the road to the middle of the block."""
    town.lay("asphalt", (left, right), (-3, depth))
    for x in (0.75 * left + 0.25 * right, 0.25 * left + 0.75 * right):
        town.car(x, town.rng.uniform(3, depth))


LOTS = {  # how wide, and what stands there
    "house": ((13, 22), house),
    "hall": ((26, 46), hall),
    "parking": ((18, 42), parking),
    "green": ((8, 26), green),
    "farmland": ((26, 50), farmland),
    "street": ((6, 8), street),
}
_STYLES: tuple[dict[str, float], ...] = (
    {"house": 0.65, "parking": 0.15, "green": 0.1, "street": 0.1},  # suburb
    {"hall": 0.3, "parking": 0.45, "green": 0.15, "street": 0.1},  # business
    {"farmland": 0.45, "house": 0.25, "parking": 0.25, "street": 0.05},  # country
)


def plan(rng: Rng, reach: float) -> Town:
    """Plan a town that covers everything up to `reach` meters from (0, 0)."""
    town, shares = Town(rng), _STYLES[int(rng.choice(3, p=(0.45, 0.35, 0.2)))]
    lane, block = rng.uniform(2.6, 3.8), rng.uniform(56, 80)
    walk = 0.0 if "farmland" in shares else rng.uniform(1.2, 2.4)  # width of a sidewalk
    curb = 1.4 if walk and rng.random() < 0.6 else 0.0  # what parked cars take of a road
    half, whole = lane + curb, (-reach, reach)
    for y in np.arange(-reach - rng.uniform(-0.5, 0.5) * block, reach + block / 2, block):
        if walk:
            town.lay("slabs", whole, (y - half - walk, y + half + walk))
            town.lay("curb", whole, (y - half - 0.15, y + half + 0.15))
        town.lay("asphalt", whole, (y - half, y + half), ragged=0.0 if walk else 0.12)
        town.mark(whole, (y - 0.07, y + 0.07), dash=(6.0, 3.0))
        for side in (-1, 1):
            beside, turn = replace(town, start=y, side=side), math.pi * (side < 0)
            if not walk:
                beside.mark(whole, (half - 0.3, half - 0.18))
            for x in _places(rng, reach, 9, 60):
                beside.car(x, lane / 2, turn)
            for x in _places(rng, reach, 5.6, 16) if curb else ():
                beside.car(x, half - 1.05, turn, spread=0.08)
            for x in _places(rng, reach, 8, 50):
                beside.tree(x, half + walk + rng.uniform(0.6, 1.6), (1.3, 3.2))
            lots = replace(beside, start=y + side * (half + walk))
            right = -reach - rng.uniform(0, 20)
            while right < reach:
                width, build = LOTS[drawn(rng, shares)]
                left, right = right, right + rng.uniform(*width)
                build(lots, left, right, block / 2 - half - walk)
    return town


def _places(rng: Rng, reach: float, least: float, most: float) -> Iterator[float]:
    """Yield places along a road, a random distance from one to the next."""
    x = -reach
    while (x := x + float(rng.uniform(least, most))) < reach:
        yield x


def _piece(rng: Rng, span: Span, most: float) -> Span:
    """Draw a piece of a span, up to twice `most` long."""
    middle, half = rng.uniform(*span), rng.uniform(0.5, most)
    return max(span[0], middle - half), min(span[1], middle + half)


def _touch(a: Car, b: Car) -> bool:
    """Whether two cars are closer than `APART` one after the other, or 2.2 m side by side."""
    dx, dy = b.x - a.x, b.y - a.y
    apart = math.hypot(dx, dy)
    if apart >= APART:
        return False
    ahead = abs(dx * math.cos(a.heading) + dy * math.sin(a.heading))
    parallel = abs(math.cos(a.heading - b.heading)) > 0.7
    return not parallel or ahead > 0.6 * apart or apart < 2.2


def drawn(rng: Rng, shares: Mapping[_Kind, float]) -> _Kind:
    """Draw one of the kinds, as likely as its share."""
    ends = list(accumulate(shares.values()))
    return list(shares)[bisect(ends, ends[-1] * rng.random())]


def _shaded(color: Color, tint: float) -> Color:
    return tuple(tint * value for value in color)
