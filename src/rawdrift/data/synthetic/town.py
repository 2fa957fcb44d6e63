"""A town for synthetic aerial photographs: what stands where, in meters.

Roads run along x, a block apart in y, and are lined by lots on both sides.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rawdrift.data.synthetic.cars import bodies
from rawdrift.data.synthetic.faces import GROUND, Faces, faces, joined, rectangle
from rawdrift.data.synthetic.tall import built, crowns
from rawdrift.data.synthetic.texture import Array, Rng

Span = tuple[float, float]


# Of each material of the ground: the two colors between which it changes over meters, the contrast
# of its texture, and its order: what is built is over natural ground.
MATERIALS = {
    "lawn": ((0.045, 0.067, 0.019), (0.072, 0.076, 0.03), (0.1, 0.13, 0.12, 1.1), -2),
    "meadow": ((0.062, 0.075, 0.027), (0.105, 0.095, 0.05), (0.14, 0.2, 0.2, 1.4), -2),
    "gravel": ((0.19, 0.175, 0.15), (0.14, 0.13, 0.1), (0.08, 0.12, 0.1, 1.2), -2),
    "crop": ((0.05, 0.078, 0.024), (0.072, 0.088, 0.034), (0.1, 0.1, 0.2, 1), -2),
    "soil": ((0.105, 0.078, 0.055), (0.125, 0.096, 0.07), (0.1, 0.1, 0.1, 1), -2),
    "stubble": ((0.2, 0.165, 0.095), (0.15, 0.13, 0.075), (0.1, 0.1, 0.1, 1), -2),
    "asphalt": ((0.063, 0.063, 0.067), (0.078, 0.076, 0.075), (0.07, 0.07, 0.06, 0.8), -1),
    "slabs": ((0.20, 0.19, 0.175), (0.16, 0.155, 0.145), (0.06, 0.08, 0.07, 0.6), -1),
    "curb": ((0.24, 0.235, 0.225), (0.24, 0.235, 0.225), (0.04, 0.08, 0.1, 0.4), -1),
    "paint": ((0.32, 0.32, 0.31), (0.5, 0.5, 0.48), (0.1, 0.15, 0.22, 0.3), -1),
}


@dataclass
class Town:
    """Things as they are put there, in rows of numbers. Later ground covers earlier ground.

    y is counted from `start`, and grows with `side` (1 or -1).
    """

    rng: Rng
    ground: list[tuple[Any, ...]] = field(
        default_factory=list
    )  # material, ends in x and y, brightness
    cars: list[tuple[float, ...]] = field(default_factory=list)  # places for them, see `parked`
    buildings: list[tuple[float, ...]] = field(default_factory=list)  # see `built`
    trees: list[tuple[float, ...]] = field(default_factory=list)  # see `crowns`
    start: float = 0.0
    side: int = 1

    def faces(self, cars: Array, shadow: Array) -> Faces:
        """Return the faces of everything, with cars (N, 3) as `parked` gives them.

        shadow: see `Daylight.shadow`.
        """
        names, *numbers = zip(*self.ground, strict=True)
        (left, right, near, far), tint = np.array(numbers[:4]), np.array(numbers[4])[:, None]
        corners = rectangle((left + right) / 2, (near + far) / 2, right - left, far - near)
        color, other, contrast, order = zip(*(MATERIALS[name] for name in names), strict=True)
        ground = faces(corners, tint * color, contrast, tint * other, GROUND, order)
        buildings, trees = np.reshape(self.buildings, (-1, 6)), np.reshape(self.trees, (-1, 4))
        things = bodies(cars, self.rng), built(buildings, shadow, self.rng)
        return joined([ground, *things, crowns(trees, self.rng)])

    def patch(self, material: str, x: Span, y: Span, tint: float = 1.0) -> None:
        """Put a rectangle of ground there. tint: its brightness."""
        near, far = sorted(self.start + self.side * end for end in y)
        self.ground.append((material, *x, near, far, tint))

    def lay(self, material: str, x: Span, y: Span) -> None:
        """Put ground of some brightness there. Asphalt was opened and closed again in places."""
        rng = self.rng
        self.patch(material, x, y, rng.uniform(0.8, 1.25))
        if material == "asphalt":
            for _ in range(rng.poisson((x[1] - x[0]) * (y[1] - y[0]) / 130)):
                (a, b), (long, wide) = rng.uniform(*np.transpose((x, y))), rng.uniform(0.6, (9, 2))
                mended = (a, min(a + long, x[1])), (b, min(b + wide, y[1]))
                self.patch(material, *mended, rng.uniform(0.62, 1.3))

    def car(self, x: float, y: float, heading: float | None = None, spread: float = 0.15) -> None:
        """Put a car near (x, y); by default across the road."""
        if heading is None:
            heading = math.pi * (self.rng.integers(2) - 0.5)
        self.cars.append((x, self.start + self.side * y, heading, spread))

    def building(self, x: float, y: float, sides: Span, height: float, gable: bool) -> None:
        """Put a building about (x, y)."""
        self.buildings.append((x, self.start + self.side * y, *sides, height, gable))

    def tree(self, x: float, y: float, radius: Span) -> None:
        """Put a tree at (x, y), whose radius is in a range."""
        self.trees.append((x, self.start + self.side * y, *radius))


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
    town.lay(
        rng.choice(("asphalt", "slabs"), p=(0.8, 0.2)), (left + 0.75, right - 0.75), (0, depth)
    )
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


LOTS: dict[Any, Span] = {  # what stands there, and how wide
    house: (13, 22),
    parking: (18, 42),
    green: (8, 26),
    farmland: (26, 50),
    street: (6, 8),
}
_STYLES: tuple[
    dict[Any, float], ...
] = (  # shares of lots in a suburb, a business park, the country
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
                build = rng.choice(list(shares), p=list(shares.values()))
                left, right = right, right + rng.uniform(*LOTS[build])
                build(lots, left, right, block / 2 - half - walk)
    return town


def _places(rng: Rng, reach: float, least: float, most: float) -> Array:
    """Return places along a road, a random distance from one to the next."""
    places = -reach + np.cumsum(rng.uniform(least, most, int(2 * reach / least)))
    return places[places < reach]
