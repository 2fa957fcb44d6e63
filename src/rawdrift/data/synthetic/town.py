"""What a synthetic aerial photograph shows: a town, whose things look as they do by chance."""

import math
from bisect import bisect
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple, TypeVar

import numpy as np

from rawdrift.data.synthetic.texture import Array, Rng
from rawdrift.data.synthetic.things import (
    Building,
    Car,
    Color,
    Patch,
    Pole,
    Span,
    Tree,
)

# Kind of car: how many of them are it.
CARS = {"hatchback": 0.36, "sedan": 0.24, "wagon": 0.28, "van": 0.12}
PAINTS: dict[Color, float] = {
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
APART = 5.0  # meters from car to car, but side by side
_TILED: tuple[Color, ...] = (
    (0.20, 0.085, 0.055),
    (0.13, 0.075, 0.06),
    (0.07, 0.072, 0.078),
    (0.10, 0.10, 0.10),
)
_FLAT: tuple[Color, ...] = (
    (0.24, 0.23, 0.21),
    (0.14, 0.14, 0.14),
    (0.34, 0.34, 0.34),
    (0.09, 0.10, 0.09),
)
_WALLS: tuple[Color, ...] = (
    (0.55, 0.50, 0.42),
    (0.60, 0.58, 0.54),
    (0.30, 0.15, 0.10),
    (0.42, 0.40, 0.36),
)
_LEAVES: tuple[Color, ...] = (
    (0.038, 0.062, 0.024),
    (0.030, 0.050, 0.024),
    (0.055, 0.072, 0.028),
    (0.045, 0.060, 0.030),
)


_Kind = TypeVar("_Kind")


class Frame(NamedTuple):
    """Roads run along u, and v is across them; they bend a little, by a slow sine of u."""

    angle: float
    bend: float
    wave: float
    phase: float

    def place(self, u: float, v: float, turn: float = 0.0) -> tuple[float, float, float]:
        """x, y and heading of what stands at (u, v), turned that far from the road."""
        bent = v + self.bend * math.sin(u / self.wave + self.phase)
        slope = self.bend / self.wave * math.cos(u / self.wave + self.phase)
        c, s = math.cos(self.angle), math.sin(self.angle)
        return c * u - s * bent, s * u + c * bent, self.angle + math.atan(slope) + turn

    def along(self, x: Array, y: Array) -> tuple[Array, Array]:
        """(u, v) of points, the inverse of `place`."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        u = c * x + s * y
        return u, c * y - s * x - self.bend * np.sin(u / self.wave + self.phase)


@dataclass
class Town:
    """Things as they are put there, at (u, v) of the frame.

    rng: draws how each looks. Later patches lie over earlier ones.
    """

    rng: Rng
    frame: Frame
    patches: list[Patch] = field(default_factory=list)
    cars: list[Car] = field(default_factory=list)
    buildings: list[Building] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    poles: list[Pole] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._cells: dict[tuple[int, int], list[Car]] = defaultdict(list)

    def car(self, u: float, v: float, turn: float, spread: float = 0.25) -> None:
        """A car about there, where no other stands in its way."""
        rng = self.rng
        kind, paint = drawn(rng, CARS), drawn(rng, PAINTS)
        u, v = u + rng.normal(0, spread), v + rng.normal(0, spread / 2)
        at = self.frame.place(u, v, turn + rng.normal(0, 0.03))
        car = Car(*at, kind, _shaded(paint, rng.uniform(0.8, 1.2)))
        row, column = int(car.y // APART), int(car.x // APART)
        around = [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        if not any(_touch(car, other) for cell in around for other in self._cells[cell]):
            self.cars.append(car)
            self._cells[row, column].append(car)

    def building(
        self, u: float, v: float, sides: Span, turn: float, height: float, gable: bool
    ) -> None:
        rng = self.rng
        roof = _one(rng, _TILED if gable else _FLAT)
        wall = _one(rng, _WALLS)
        seed = int(rng.integers(2**31))
        at = self.frame.place(u, v, turn)
        self.buildings.append(Building(*at, *sides, height, gable, roof, wall, seed))

    def tree(self, u: float, v: float, radius: Span) -> None:
        rng = self.rng
        x, y, _ = self.frame.place(u, v)
        size = rng.uniform(*radius)
        leaves = _shaded(_one(rng, _LEAVES), rng.uniform(0.75, 1.3))
        height = size * rng.uniform(1.6, 2.6)
        self.trees.append(Tree(x, y, size, height, leaves, int(rng.integers(2**31))))

    def pole(self, u: float, v: float) -> None:
        x, y, _ = self.frame.place(u, v)
        self.poles.append(Pole(x, y))

    def asphalt(self, u: Span, v: Span, tint: Span, mended: float, ragged: float = 0.0) -> None:
        """Asphalt that was opened and closed again here and there, `mended` times on average."""
        rng = self.rng
        self.patches.append(Patch("asphalt", u, v, ragged=ragged, tint=rng.uniform(*tint)))
        for _ in range(int(rng.poisson(mended))):
            a, b = rng.uniform(*u), rng.uniform(*v)
            long, wide = rng.uniform(1, 9), rng.uniform(0.6, 1.8)
            if u[1] - u[0] < v[1] - v[0]:
                long, wide = wide, long
            box = (
                (max(a - long, u[0]), min(a + long, u[1])),
                (max(b - wide, v[0]), min(b + wide, v[1])),
            )
            self.patches.append(Patch("asphalt", *box, ragged=0.03, tint=rng.uniform(0.62, 1.3)))


def _touch(a: Car, b: Car) -> bool:
    """Whether two cars are too near: `APART` one after the other, 2.2 m side by side."""
    dx, dy = b.x - a.x, b.y - a.y
    apart = math.hypot(dx, dy)
    if apart >= APART:
        return False
    ahead = abs(dx * math.cos(a.heading) + dy * math.sin(a.heading))
    parallel = abs(math.cos(a.heading - b.heading)) > 0.7
    return not parallel or ahead > 0.6 * apart or apart < 2.2


def drawn(rng: Rng, shares: Mapping[_Kind, float]) -> _Kind:
    """One of the kinds, as likely as its share: what `Generator.choice` gives, in less time."""
    ends = list(accumulate(shares.values()))
    return list(shares)[bisect([end / ends[-1] for end in ends], rng.random())]


def _one(rng: Rng, colors: tuple[Color, ...]) -> Color:
    return colors[int(rng.integers(len(colors)))]


def _shaded(color: Color, tint: float) -> Color:
    red, green, blue = color
    return red * tint, green * tint, blue * tint
