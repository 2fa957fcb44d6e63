"""A town for synthetic aerial photographs: what stands where, in meters.

Roads run along x, a block apart in y, and are lined by lots on both sides.
"""

import math
from bisect import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, NamedTuple, TypeVar

import numpy as np

from rawdrift.data.synthetic.buildings import Building
from rawdrift.data.synthetic.cars import KINDS, Car, bodies
from rawdrift.data.synthetic.faces import GROUND, Color, Contrast, Faces, faces, joined
from rawdrift.data.synthetic.light import Daylight
from rawdrift.data.synthetic.texture import Array, Rng
from rawdrift.data.synthetic.trees import Tree, crowns

Span = tuple[float, float]
_Kind = TypeVar("_Kind")


class Material(NamedTuple):
    """Ground that changes between two colors over meters. built: 1 over natural ground."""

    color: Color
    other: Color
    contrast: Contrast
    built: int = 0


MATERIALS = {
    "lawn": Material((0.045, 0.067, 0.019), (0.072, 0.076, 0.03), (0.1, 0.13, 0.12, 1.1)),
    "meadow": Material((0.062, 0.075, 0.027), (0.105, 0.095, 0.05), (0.14, 0.2, 0.2, 1.4)),
    "gravel": Material((0.19, 0.175, 0.15), (0.14, 0.13, 0.1), (0.08, 0.12, 0.1, 1.2)),
    "crop": Material((0.05, 0.078, 0.024), (0.072, 0.088, 0.034), (0.1, 0.1, 0.2, 1)),
    "soil": Material((0.105, 0.078, 0.055), (0.125, 0.096, 0.07), (0.1, 0.1, 0.1, 1)),
    "stubble": Material((0.2, 0.165, 0.095), (0.15, 0.13, 0.075), (0.1, 0.1, 0.1, 1)),
    "asphalt": Material((0.063, 0.063, 0.067), (0.078, 0.076, 0.075), (0.07, 0.07, 0.06, 0.8), 1),
    "slabs": Material((0.20, 0.19, 0.175), (0.16, 0.155, 0.145), (0.06, 0.08, 0.07, 0.6), 1),
    "curb": Material((0.24, 0.235, 0.225), (0.24, 0.235, 0.225), (0.04, 0.08, 0.1, 0.4), 1),
    "paint": Material((0.32, 0.32, 0.31), (0.5, 0.5, 0.48), (0.1, 0.15, 0.22, 0.3), 1),
}
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


@dataclass
class Town:
    """Things as they are put there; rng draws how each looks. Later ground covers earlier ground.

    y is counted from `start`, and grows with `side` (1 or -1).
    """

    rng: Rng
    ground: list[tuple[Any, ...]] = field(default_factory=list)  # material, x, y and brightness
    cars: list[Car] = field(default_factory=list)
    buildings: list[Building] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    start: float = 0.0
    side: int = 1

    def faces(self, light: Daylight, rng: Rng) -> Faces:
        """Return the faces of everything; rng draws roofs and leaves."""
        buildings = [building.faces(light, rng) for building in self.buildings]
        return joined([self._floor(), bodies(self.cars), *buildings, crowns(self.trees, rng)])

    def _floor(self) -> Faces:
        names, spans, tints = zip(*self.ground, strict=True)
        color, other, contrast, built = zip(*(MATERIALS[name] for name in names), strict=True)
        left, right, near, far = np.array(spans).T
        x, y, tint = (left, right, right, left), (near, near, far, far), np.array(tints)[:, None]
        corners = np.stack([x, y, np.zeros((4, len(left)))]).T
        order = np.array(built) - 2.0
        return faces(corners, tint * color, contrast, tint * other, GROUND, order)

    def patch(self, material: str, x: Span, y: Span, tint: float = 1.0) -> None:
        """Put a rectangle of ground there. tint: its brightness."""
        near, far = sorted(self.start + self.side * end for end in y)
        self.ground.append((material, (*x, near, far), tint))

    def lay(self, material: str, x: Span, y: Span) -> None:
        """Put ground of some brightness there. Asphalt was opened and closed again in places."""
        rng = self.rng
        self.patch(material, x, y, rng.uniform(0.8, 1.25))
        for _ in range(rng.poisson((x[1] - x[0]) * (y[1] - y[0]) / 130)):
            if material == "asphalt":
                (a, b), (long, wide) = rng.uniform(*np.transpose((x, y))), rng.uniform(0.6, (9, 2))
                mended = (a, min(a + long, x[1])), (b, min(b + wide, y[1]))
                self.patch(material, *mended, rng.uniform(0.62, 1.3))

    def car(self, x: float, y: float, heading: float | None = None, spread: float = 0.15) -> None:
        """Put a car near (x, y); by default across the road."""
        rng = self.rng
        x, y = x + rng.normal(0, spread), self.start + self.side * y + rng.normal(0, spread / 2)
        heading = math.pi / 2 * rng.choice((-1, 1)) if heading is None else heading
        paint = np.multiply(drawn(rng, _PAINTS), rng.uniform(0.8, 1.2))
        self.cars.append(Car(x, y, heading + rng.normal(0, 0.03), drawn(rng, KINDS), paint))

    def building(self, x: float, y: float, sides: Span, height: float, gable: bool) -> None:
        """Put a building about (x, y). Its ridge is along its longer side."""
        rng, heading = self.rng, 0.0 if sides[0] > sides[1] else math.pi / 2
        roof, wall = rng.choice(_TILES if gable else _FELTS), rng.choice(_WALLS)
        place = x, self.start + self.side * y, height, heading, max(sides), min(sides)
        self.buildings.append(Building(*place, gable, roof, wall))

    def tree(self, x: float, y: float, radius: Span) -> None:
        """Put a tree at (x, y)."""
        rng = self.rng
        size, leaves = rng.uniform(*radius), rng.choice(_LEAVES) * rng.uniform(0.75, 1.3)
        place = x, self.start + self.side * y, size * rng.uniform(1.6, 2.6)
        self.trees.append(Tree(*place, size, leaves))


# What stands on a lot, from left to right, and from the road at y = 0 to y = depth.


def house(town: Town, left: float, right: float, depth: float) -> None:
    """Build a house with a garden, and a drive with a car beside it."""
    rng = town.rng
    town.lay(rng.choice(("lawn", "lawn", "meadow")), (left, right), (0, depth))
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


def parking(town: Town, left: float, right: float, depth: float) -> None:
    """Mark rows of stalls, perhaps before a shop or a workshop."""
    rng = town.rng
    if rng.random() < 0.4:
        sides, height = (right - left - 3, depth - 20), rng.uniform(4.5, 9)
        town.lay("slabs", (left, right), (17, depth))
        town.building((left + right) / 2, (17 + depth) / 2, sides, height, gable=False)
        depth = 17.0
    town.lay("curb", (left + 0.6, right - 0.6), (0, depth))
    town.lay(drawn(rng, {"asphalt": 4, "slabs": 1}), (left + 0.75, right - 0.75), (0, depth))
    full, stall, begin = rng.uniform(0.35, 0.9), rng.uniform(2.4, 2.6), left + rng.uniform(1.5, 3.5)
    count = int((right - 1.5 - begin) / stall)
    for y in (0.7, 11.5, 16.8, 27.6):  # with an aisle before every second row
        if y + 5 < depth:
            for x in begin + stall * np.arange(count + 1):
                town.patch("paint", (x, x + 0.1), (y, y + 4.9))
            for i in np.flatnonzero(rng.random(count) < full):
                town.car(begin + (i + 0.5) * stall + 0.05, y + 2.5, spread=0.12)
    for _ in range(rng.poisson(4)):
        town.tree(rng.choice((left, right)), rng.uniform(0, depth), (0.8, 2.2))


def green(town: Town, left: float, right: float, depth: float) -> None:
    """Grow grass with trees, and perhaps a path."""
    rng = town.rng
    town.lay(rng.choice(("meadow", "lawn")), (left, right), (0, depth))
    if rng.random() < 0.5:
        x = rng.uniform(left + 2, right - 2)
        town.lay("gravel", (x - 0.8, x + 0.8), (0, depth))
    for _ in range(rng.poisson((right - left) * depth / 110)):
        town.tree(rng.uniform(left, right), rng.uniform(0, depth), (1.2, 4.2))


def farmland(town: Town, left: float, right: float, depth: float) -> None:
    """Plant a field in rows, perhaps with a track and cars on it."""
    rng = town.rng
    town.lay("meadow", (left, right), (0, depth))
    plant, row = rng.choice(("crop", "soil", "stubble")), rng.uniform(0.3, 0.45)
    town.lay(plant, (left + 1, right - 1), (2.5, depth))
    for y in np.arange(2.5, depth, 2 * row):
        town.patch(plant, (left + 1, right - 1), (y, y + row), 0.75)
    if rng.random() < 0.7:
        x = rng.uniform(left + 3, right - 3)
        town.lay("gravel", (x - 1.5, x + 1.5), (0, depth))
        for _ in range(2):
            town.car(x, rng.uniform(4, depth - 4))


def street(town: Town, left: float, right: float, depth: float) -> None:
    """Build a side street, from the road to the middle of the block."""
    town.lay("asphalt", (left, right), (-3, depth))
    for x in (0.75 * left + 0.25 * right, 0.25 * left + 0.75 * right):
        town.car(x, town.rng.uniform(3, depth))


LOTS: dict[Callable[..., None], Span] = {  # what stands there, and how wide
    house: (13, 22),
    parking: (18, 42),
    green: (8, 26),
    farmland: (26, 50),
    street: (6, 8),
}
_STYLES = (  # shares of lots in a suburb, a business park and the country
    {house: 0.65, parking: 0.15, green: 0.1, street: 0.1},
    {parking: 0.75, green: 0.15, street: 0.1},
    {farmland: 0.45, house: 0.25, parking: 0.25, street: 0.05},
)


def plan(rng: Rng, reach: float) -> Town:
    """Plan a town that covers everything up to `reach` meters from (0, 0)."""
    town, shares = Town(rng), _STYLES[int(rng.choice(3, p=(0.45, 0.35, 0.2)))]
    lane, block = rng.uniform(2.6, 3.8), rng.uniform(56, 80)
    walk = 0.0 if farmland in shares else rng.uniform(1.2, 2.4)  # width of a sidewalk
    curb = 1.4 if walk and rng.random() < 0.6 else 0.0  # what parked cars take of a road
    half, whole = lane + curb, (-reach, reach)
    town.lay("meadow", whole, whole)
    for y in np.arange(-reach - rng.uniform(-0.5, 0.5) * block, reach + block / 2, block):
        if walk:
            town.lay("slabs", whole, (y - half - walk, y + half + walk))
            town.lay("curb", whole, (y - half - 0.15, y + half + 0.15))
        town.lay("asphalt", whole, (y - half, y + half))
        for x in np.arange(-reach, reach, 6.0):
            town.patch("paint", (x, x + 3), (y - 0.07, y + 0.07))
        for side in (-1, 1):
            beside, turn = replace(town, start=y, side=side), math.pi * (side < 0)
            if not walk:
                beside.patch("paint", whole, (half - 0.3, half - 0.18))
            for x in _places(rng, reach, 9, 60):
                beside.car(x, lane / 2, turn)
            for x in _places(rng, reach, 5.6, 16) if curb else ():
                beside.car(x, half - 1.05, turn, spread=0.08)
            for x in _places(rng, reach, 8, 50):
                beside.tree(x, half + walk + rng.uniform(0.6, 1.6), (1.3, 3.2))
            lots = replace(beside, start=y + side * (half + walk))
            right = -reach - rng.uniform(0, 20)
            while right < reach:
                build = drawn(rng, shares)
                left, right = right, right + rng.uniform(*LOTS[build])
                build(lots, left, right, block / 2 - half - walk)
    return replace(town, cars=_apart(town.cars))


def _places(rng: Rng, reach: float, least: float, most: float) -> Array:
    """Return places along a road, a random distance from one to the next."""
    places = -reach + np.cumsum(rng.uniform(least, most, int(2 * reach / least)))
    return places[places < reach]


def _apart(cars: list[Car]) -> list[Car]:
    """Return cars less those in the way of an earlier one: near it both along and beside it."""
    x, y, heading = np.array([car[:3] for car in cars], np.float32).reshape(-1, 3).T
    place, way = x + 1j * y, np.exp(1j * heading)
    apart = (place[:, None] - place) / way
    beside = np.where(np.abs((way[:, None] / way).real) > 0.7, 2.2, APART)
    touch = (np.abs(apart.real) < APART) & (np.abs(apart.imag) < beside)
    return [
        car
        for car, crowded in zip(cars, np.tril(touch, -1).any(axis=1), strict=True)
        if not crowded
    ]


def drawn(rng: Rng, shares: Mapping[_Kind, float]) -> _Kind:
    """Draw one of the kinds, as likely as its share."""
    ends = list(accumulate(shares.values()))
    return list(shares)[bisect(ends, ends[-1] * rng.random())]
