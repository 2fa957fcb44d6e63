"""Where everything stands that one synthetic aerial photograph shows, in meters.

The plan is drawn along roads: u runs with them and v across. Roads lie a block apart, lots line
them on both sides, and each lot becomes a house with its garden, a hall, a parking lot or a field.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from rawdrift.data.synthetic.texture import Rng

Color = tuple[float, float, float]  # linear reflectance in R, G, B


class Patch(NamedTuple):
    """A rectangle of ground. dash: (period, length) along u of what is painted of it. ragged: how
    far its edge strays."""

    material: str
    u: tuple[float, float]
    v: tuple[float, float]
    dash: tuple[float, float] | None = None
    ragged: float = 0.0
    tint: float = 1.0


class Car(NamedTuple):
    """x, y of its center; heading, radians from x to y."""

    x: float
    y: float
    heading: float
    kind: str
    paint: Color


class Building(NamedTuple):
    """roof: "gable" with its ridge along the length, or "flat"."""

    x: float
    y: float
    heading: float
    length: float
    width: float
    height: float
    roof: str
    color: Color
    wall: Color


class Tree(NamedTuple):
    """Trees, bushes and hedges. seed: of its leaves."""

    x: float
    y: float
    radius: float
    height: float
    color: Color
    seed: int


class Style(NamedTuple):
    """What a place looks like. lots: how likely each kind of lot is; block: from road to road;
    lane: width; parked: how likely a car stands at the curb."""

    lots: dict[str, float]
    block: tuple[float, float]
    lane: tuple[float, float]
    walk: str | None
    trees: float


STYLES = {
    "suburb": Style({"house": 0.7, "parking": 0.15, "green": 0.15}, (52, 66), (2.7, 3.6), "slabs", 0.5),
    "business": Style({"hall": 0.35, "parking": 0.5, "green": 0.15}, (64, 84), (3.2, 4.0), "slabs", 0.3),
    "country": Style({"field": 0.5, "house": 0.3, "parking": 0.2}, (80, 110), (2.5, 3.0), None, 0.25),
}

PAINTS: list[tuple[float, Color]] = [
    (0.24, (0.72, 0.73, 0.74)),  # white
    (0.17, (0.40, 0.41, 0.43)),  # silver
    (0.19, (0.13, 0.135, 0.15)),  # gray
    (0.17, (0.025, 0.026, 0.03)),  # black
    (0.09, (0.035, 0.075, 0.22)),  # blue
    (0.08, (0.36, 0.035, 0.03)),  # red
    (0.02, (0.03, 0.12, 0.06)),  # green
    (0.02, (0.38, 0.30, 0.20)),  # beige
    (0.02, (0.55, 0.36, 0.03)),  # yellow
]
KINDS = {"hatchback": 0.36, "sedan": 0.24, "wagon": 0.28, "van": 0.12}

_ROOFS: list[Color] = [(0.20, 0.085, 0.055), (0.13, 0.075, 0.06), (0.07, 0.072, 0.078), (0.10, 0.10, 0.10)]
_FLAT: list[Color] = [(0.24, 0.23, 0.21), (0.14, 0.14, 0.14), (0.34, 0.34, 0.34), (0.09, 0.10, 0.09)]
_WALLS: list[Color] = [(0.55, 0.50, 0.42), (0.6, 0.58, 0.54), (0.30, 0.15, 0.10), (0.42, 0.40, 0.36)]
_LEAVES: list[Color] = [(0.038, 0.062, 0.024), (0.030, 0.050, 0.024), (0.055, 0.072, 0.028), (0.045, 0.06, 0.03)]


@dataclass
class Town:
    """All of a photograph's things. Its center is at (0, 0), where the camera looks straight down.

    half: half of its width and height that is planned.
    """

    rng: Rng
    half: tuple[float, float]
    patches: list[Patch] = field(default_factory=list)
    cars: list[Car] = field(default_factory=list)
    buildings: list[Building] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    poles: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = self.rng
        self.style = STYLES[str(rng.choice(list(STYLES), p=[0.45, 0.35, 0.2]))]
        self.angle = rng.uniform(0, 2 * math.pi)
        # Roads bend a little: v is straightened by a slow sine of u.
        self.bend, self.wave, self.phase = rng.normal(0, 2.0), rng.uniform(40, 90), rng.uniform(0, 6)
        self.reach = math.hypot(*self.half)
        self.road_half = rng.uniform(*self.style.lane)
        self.curb_parking = self.road_half > 2.9 and rng.random() < 0.7
        if self.curb_parking:
            self.road_half += 1.4
        self._plan()

    def place(self, u: float, v: float, turn: float = 0.0) -> tuple[float, float, float]:
        """x, y and heading of something at (u, v) that is turned against the road."""
        w = v + self.bend * math.sin(u / self.wave + self.phase)
        slope = self.bend / self.wave * math.cos(u / self.wave + self.phase)
        c, s = math.cos(self.angle), math.sin(self.angle)
        return c * u - s * w, s * u + c * w, self.angle + math.atan(slope) + turn

    def along(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The (u, v) of points, the inverse of `place`."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        u = c * x + s * y
        return u, c * y - s * x - self.bend * np.sin(u / self.wave + self.phase)

    # --- the plan -------------------------------------------------------------------------------

    def _plan(self) -> None:
        rng, style, reach = self.rng, self.style, self.reach
        block = rng.uniform(*style.block)
        shift = rng.uniform(-0.5, 0.5) * block
        cross = rng.uniform(-0.6, 0.6) * reach if rng.random() < 0.6 else math.inf
        walk = rng.uniform(1.2, 2.4) if style.walk else 0.0
        count = int(reach / block) + 1
        rows = [shift + k * block for k in range(-count, count + 1)]
        for row in rows:
            for side in (-1, 1):
                near, far = row + side * (self.road_half + walk), row + side * block / 2
                self._lots(near, far, cross)
        for row in rows:
            self._road(row, walk, cross)
        if math.isfinite(cross):
            self._cross_road(cross, walk)

    def _lots(self, near: float, far: float, cross: float) -> None:
        """A row of lots from the road (`near`) to the middle of the block (`far`)."""
        rng, style = self.rng, self.style
        u = -self.reach - rng.uniform(0, 20)
        while u < self.reach:
            kind = str(rng.choice(list(style.lots), p=list(style.lots.values())))
            wide = {"house": (13, 22), "parking": (18, 42), "hall": (26, 46), "green": (8, 26), "field": (30, 70)}
            end = u + rng.uniform(*wide[kind])
            left, right = u, end
            u = end
            if right > cross - self.road_half - 2 and left < cross + self.road_half + 2:
                if right - cross > cross - left:
                    left = cross + self.road_half + 2
                else:
                    right = cross - self.road_half - 2
                if right - left < 9:
                    continue
            getattr(self, f"_{kind}")(left, right, near, far)

    def _road(self, v: float, walk: float, cross: float) -> None:
        rng, half, reach = self.rng, self.road_half, self.reach + 30
        if walk:
            self.patches.append(Patch("slabs", (-reach, reach), (v - half - walk, v + half + walk)))
            self.patches.append(Patch("curb", (-reach, reach), (v - half - 0.15, v + half + 0.15)))
        ragged = 0.0 if walk else 0.12
        self.patches.append(Patch("asphalt", (-reach, reach), (v - half, v + half), ragged=ragged, tint=rng.uniform(0.8, 1.25)))
        self._mend((-reach, reach), (v - half, v + half), 10)
        if rng.random() < 0.75:
            self.patches.append(Patch("paint", (-reach, reach), (v - 0.07, v + 0.07), dash=(6.0, 3.0)))
        if not walk and rng.random() < 0.6:
            for edge in (v - half + 0.25, v + half - 0.25):
                self.patches.append(Patch("paint", (-reach, reach), (edge - 0.06, edge + 0.06)))
        lane = 0.5 * (half - (1.4 if self.curb_parking else 0))
        for side in (-1, 1):
            turn = 0.0 if side > 0 else math.pi
            u = -self.reach
            while (u := u + rng.uniform(9, 60)) < self.reach:
                self._car(u, v + side * lane, turn, spread=0.15)
            u = -self.reach
            while self.curb_parking and (u := u + 5.6 + rng.exponential(5.0)) < self.reach:
                if abs(u - cross) > half + 6:
                    self._car(u, v + side * (half - 1.05), turn if rng.random() < 0.9 else turn + math.pi, spread=0.08)
            u = -self.reach + rng.uniform(0, 20)
            beside = half + walk + 0.6
            while (u := u + rng.uniform(7, 16)) < self.reach:
                if abs(u - cross) < half + 3:
                    continue
                if rng.random() < self.style.trees:
                    self._tree(u, v + side * (beside + rng.uniform(0, 1)), (1.3, 3.2))
                elif rng.random() < 0.4:
                    self.poles.append(self.place(u, v + side * beside)[:2])

    def _cross_road(self, u: float, walk: float) -> None:
        half, reach = self.road_half, self.reach + 30
        self.patches.append(Patch("asphalt", (u - half, u + half), (-reach, reach), tint=self.rng.uniform(0.85, 1.2)))
        self._mend((u - half, u + half), (-reach, reach), 6)
        v = -self.reach
        while (v := v + self.rng.uniform(14, 50)) < self.reach:
            side = self.rng.choice([-1, 1])
            self._car(u + side * half / 2, v, -side * math.pi / 2, spread=0.15)

    def _mend(self, u: tuple[float, float], v: tuple[float, float], count: int) -> None:
        """Where the asphalt was opened and closed again."""
        rng = self.rng
        for _ in range(rng.poisson(count)):
            a, b = rng.uniform(*u), rng.uniform(*v)
            long, wide = rng.uniform(1, 9), rng.uniform(0.6, 1.8)
            if u[1] - u[0] < v[1] - v[0]:
                long, wide = wide, long
            box = (max(a - long, u[0]), min(a + long, u[1])), (max(b - wide, v[0]), min(b + wide, v[1]))
            self.patches.append(Patch("asphalt", *box, ragged=0.03, tint=rng.uniform(0.62, 1.3)))

    # --- kinds of lots --------------------------------------------------------------------------

    def _house(self, left: float, right: float, near: float, far: float) -> None:
        rng = self.rng
        side = math.copysign(1, far - near)
        depth = abs(far - near)
        lawn = "meadow" if rng.random() < 0.25 else "lawn"
        self.patches.append(_patch(lawn, left, right, near, far, ragged=0.15, tint=rng.uniform(0.75, 1.3)))
        back = rng.uniform(4.5, 8.0)
        wide = min(rng.uniform(8, 13), right - left - 4.2)
        deep = min(rng.uniform(8, 11), depth - back - 2)
        at_left = rng.random() < 0.5
        center = left + 0.5 + wide / 2 if at_left else right - 0.5 - wide / 2
        drive = right - 1.9 if at_left else left + 1.9
        material = str(rng.choice(["slabs", "asphalt", "gravel"]))
        length = back + rng.uniform(0, 0.8) * deep
        self.patches.append(_patch(material, drive - 1.6, drive + 1.6, near, near + side * length, tint=rng.uniform(0.8, 1.2)))
        self.patches.append(_patch("slabs", center - 0.7, center + 0.7, near, near + side * back))
        if rng.random() < 0.5:
            self.patches.append(_patch("slabs", center - wide / 2, center + wide / 2, near + side * (back + deep), near + side * (back + deep + 3)))
        along_u = wide > deep
        self._building(center, near + side * (back + deep / 2), (wide, deep) if along_u else (deep, wide), 0.0 if along_u else math.pi / 2, (3.0, 6.5), "gable" if rng.random() < 0.75 else "flat")
        if rng.random() < 0.75:
            self._car(drive, near + side * rng.uniform(3.0, max(3.2, length - 2.5)), math.pi / 2 * side * rng.choice([-1, 1]))
        garden = back + deep + 2, depth
        for _ in range(rng.poisson(2.5)):
            v = rng.uniform(*garden) if rng.random() < 0.75 and garden[1] > garden[0] else rng.uniform(1, back - 1)
            u = rng.uniform(left + 1, right - 1)
            if abs(u - drive) > 3:
                self._tree(u, near + side * v, (0.6, 3.0))
        if rng.random() < 0.6:
            edge = left if rng.random() < 0.5 else right
            if abs(edge - drive) > 2.2:
                for v in np.arange(0.5, depth * rng.uniform(0.3, 1), 0.9):
                    self._tree(edge, near + side * v, (0.6, 0.85))

    def _hall(self, left: float, right: float, near: float, far: float) -> None:
        rng = self.rng
        side = math.copysign(1, far - near)
        depth = abs(far - near)
        self._parking(left, right, near, near + side * min(17.0, depth))
        if depth > 26:
            deep = depth - 17 - 2
            self.patches.append(_patch("slabs", left, right, near + side * 17, far))
            self._building((left + right) / 2, near + side * (18 + deep / 2), (max(right - left - 3, deep), min(right - left - 3, deep)), 0.0 if right - left - 3 > deep else math.pi / 2, (4.5, 9), "flat")

    def _parking(self, left: float, right: float, near: float, far: float) -> None:
        rng = self.rng
        side = math.copysign(1, far - near)
        depth = abs(far - near)
        ground = str(rng.choice(["asphalt", "slabs", "gravel"], p=[0.7, 0.2, 0.1]))
        self.patches.append(_patch("curb", left + 0.6, right - 0.6, near, far))
        self.patches.append(_patch(ground, left + 0.75, right - 0.75, near, far, tint=rng.uniform(0.8, 1.35)))
        if ground == "asphalt":
            u = tuple(sorted((left + 1, right - 1)))
            self._mend(u, tuple(sorted((near, far))), 4)
        full, stall = rng.uniform(0.35, 0.9), rng.uniform(2.4, 2.6)
        first = rng.uniform(0.3, 1.0)
        row, v = 0, first
        while v + 5 < depth:
            begin, end = left + 1.5 + rng.uniform(0, 2), right - 1.5
            count = int((end - begin) / stall)
            if ground != "gravel" and count:
                line = near + side * v, near + side * (v + 4.9)
                self.patches.append(_patch("paint", begin - 0.05, begin + count * stall + 0.06, *line, dash=(stall, 0.11)))
            for i in range(count):
                if rng.random() < full:
                    turn = math.pi / 2 * (1 if rng.random() < 0.7 else -1) * side * (-1) ** row
                    self._car(begin + (i + 0.5) * stall, near + side * (v + 2.5), turn, spread=0.12)
            v += 5 + (rng.uniform(5.6, 6.6) if row % 2 == 0 else 0.3)
            row += 1
        for u in (left + 0.2, right - 0.2):
            if rng.random() < 0.6:
                for v in np.arange(rng.uniform(0, 4), depth, rng.uniform(4, 9)):
                    self._tree(u, near + side * v, (0.8, 2.2))
        if rng.random() < 0.5:
            self.poles.append(self.place(rng.uniform(left + 2, right - 2), near + side * depth * 0.5)[:2])

    def _green(self, left: float, right: float, near: float, far: float) -> None:
        rng = self.rng
        material = "meadow" if rng.random() < 0.5 else "lawn"
        self.patches.append(_patch(material, left, right, near, far, ragged=0.25, tint=rng.uniform(0.8, 1.25)))
        if rng.random() < 0.5:
            u = rng.uniform(left + 2, right - 2)
            self.patches.append(_patch("gravel", u - 0.8, u + 0.8, near, far, ragged=0.2))
        for _ in range(rng.poisson((right - left) * abs(far - near) / 110)):
            self._tree(rng.uniform(left + 1, right - 1), rng.uniform(*sorted((near, far))), (1.2, 4.2))

    def _field(self, left: float, right: float, near: float, far: float) -> None:
        rng = self.rng
        side = math.copysign(1, far - near)
        material = str(rng.choice(["crop", "soil", "stubble", "meadow"]))
        self.patches.append(_patch("meadow", left, right, near, far, ragged=0.3))
        self.patches.append(_patch(material, left + 1, right - 1, near + side * 2.5, far, ragged=0.3, tint=rng.uniform(0.85, 1.2)))
        if rng.random() < 0.6:  # a track, and who parked there
            u = rng.uniform(left + 3, right - 3)
            self.patches.append(_patch("gravel", u - 1.5, u + 1.5, near, far, ragged=0.3))
            for v in np.arange(4, abs(far - near) - 4, 7.5):
                if rng.random() < 0.4:
                    self._car(u + rng.normal(0, 0.3), near + side * v, math.pi / 2 * rng.choice([-1, 1]))

    # --- single things --------------------------------------------------------------------------

    def _car(self, u: float, v: float, turn: float, spread: float = 0.25) -> None:
        rng = self.rng
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
        paint = PAINTS[int(rng.choice(len(PAINTS), p=[share for share, _ in PAINTS]))][1]
        shade = rng.uniform(0.8, 1.2)
        at = self.place(u + rng.normal(0, spread), v + rng.normal(0, spread / 2), turn + rng.normal(0, 0.03))
        car = Car(*at, kind, (paint[0] * shade, paint[1] * shade, paint[2] * shade))
        if all(math.dist(car[:2], other[:2]) > 2.2 for other in self.cars if _side_by_side(car, other)) and all(
            math.dist(car[:2], other[:2]) > 5.0 for other in self.cars if not _side_by_side(car, other)
        ):
            self.cars.append(car)

    def _building(self, u: float, v: float, sides: tuple[float, float], turn: float, height: tuple[float, float], roof: str) -> None:
        rng = self.rng
        x, y, heading = self.place(u, v, turn)
        colors = _ROOFS if roof == "gable" else _FLAT
        color = colors[int(rng.integers(len(colors)))]
        wall = _WALLS[int(rng.integers(len(_WALLS)))]
        self.buildings.append(Building(x, y, heading, *sides, rng.uniform(*height), roof, color, wall))

    def _tree(self, u: float, v: float, radius: tuple[float, float]) -> None:
        rng = self.rng
        x, y, _ = self.place(u, v)
        size = rng.uniform(*radius)
        tint = rng.uniform(0.75, 1.3)
        leaf = _LEAVES[int(rng.integers(len(_LEAVES)))]
        color = (leaf[0] * tint, leaf[1] * tint, leaf[2] * tint)
        height = size * rng.uniform(1.6, 2.6)
        self.trees.append(Tree(x, y, size, height, color, int(rng.integers(2**31))))


def _patch(material: str, left: float, right: float, near: float, far: float, **more: object) -> Patch:
    return Patch(material, (left, right), (min(near, far), max(near, far)), **more)  # type: ignore[arg-type]


def _side_by_side(a: Car, b: Car) -> bool:
    """Whether b stands beside a, and not before or behind it."""
    dx, dy = b.x - a.x, b.y - a.y
    ahead = abs(dx * math.cos(a.heading) + dy * math.sin(a.heading))
    return ahead < 0.6 * math.hypot(dx, dy)
