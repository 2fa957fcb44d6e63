"""Plans a town: roads a block apart, lined by lots on both sides."""

import math
from typing import NamedTuple

from rawdrift.data.synthetic.lots import LOTS, Lot
from rawdrift.data.synthetic.texture import Rng
from rawdrift.data.synthetic.things import Patch, Span
from rawdrift.data.synthetic.town import Frame, Town, drawn


class Style(NamedTuple):
    """lots: how likely each kind is. block: from road to road, meters. lane: its width, meters.
    walk: whether there are sidewalks. trees: how likely one stands wherever it may, at the road."""

    lots: dict[str, float]
    block: Span
    lane: Span
    walk: bool
    trees: float


STYLES = {
    "suburb": Style(
        {"house": 0.7, "parking": 0.15, "green": 0.15}, (52, 66), (2.7, 3.6), walk=True, trees=0.5
    ),
    "business": Style(
        {"hall": 0.35, "parking": 0.5, "green": 0.15}, (64, 84), (3.2, 4.0), walk=True, trees=0.3
    ),
    "country": Style(
        {"farmland": 0.45, "house": 0.3, "parking": 0.25},
        (60, 85),
        (2.5, 3.0),
        walk=False,
        trees=0.25,
    ),
}
_SHARES = {"suburb": 0.45, "business": 0.35, "country": 0.2}
CURB = 1.4  # what cars at the curb take of a road, meters


def plan(rng: Rng, reach: float) -> Town:
    """A town that covers all that is up to `reach` meters from (0, 0)."""
    style = STYLES[drawn(rng, _SHARES)]
    angle, phase = rng.uniform(0, 2 * math.pi, 2)
    town = Town(rng, Frame(angle, rng.normal(0, 2.0), rng.uniform(40, 90), phase))
    _Planner(town, style, reach).plan()
    return town


class _Planner:
    def __init__(self, town: Town, style: Style, reach: float):
        rng = town.rng
        self.town, self.rng, self.style, self.reach = town, rng, style, reach
        self.lane = rng.uniform(*style.lane)
        self.curb = CURB * (style.walk and rng.random() < 0.6)
        self.half = self.lane + self.curb  # of a road
        self.walk = rng.uniform(1.2, 2.4) if style.walk else 0.0
        self.block = rng.uniform(*style.block)
        self.cross = rng.uniform(-0.6, 0.6) * reach if rng.random() < 0.6 else math.inf

    def plan(self) -> None:
        first = self.rng.uniform(-0.5, 0.5) * self.block
        count = int(self.reach / self.block) + 1
        rows = [first + k * self.block for k in range(-count, count + 1)]
        for v in rows:
            for side in (-1, 1):
                self.lots(v + side * (self.half + self.walk), v + side * self.block / 2)
        for v in rows:
            self.road(v)
            for side in (-1, 1):
                self.traffic(v, side)
                self.roadside(v, side)
        if math.isfinite(self.cross):
            self.cross_road()

    def lots(self, near: float, far: float) -> None:
        """A row of lots, from the road at v = `near` to the middle of the block at v = `far`."""
        rng, free = self.rng, self.half + 2  # beside the cross road
        end = -self.reach - rng.uniform(0, 20)
        while end < self.reach:
            kind = drawn(rng, self.style.lots)
            width, build = LOTS[kind]
            left, right = end, end + rng.uniform(*width)
            end = right
            if left < self.cross + free and right > self.cross - free:
                if right - self.cross > self.cross - left:
                    left = self.cross + free
                else:
                    right = self.cross - free
            if right - left > 9:
                build(self.town, Lot(left, right, near, far))

    def road(self, v: float) -> None:
        rng, half, walk, patches = self.rng, self.half, self.walk, self.town.patches
        whole = -self.reach - 30, self.reach + 30
        if walk:
            patches.append(Patch("slabs", whole, (v - half - walk, v + half + walk)))
            patches.append(Patch("curb", whole, (v - half - 0.15, v + half + 0.15)))
        ragged = 0.0 if walk else 0.12
        self.town.asphalt(whole, (v - half, v + half), (0.8, 1.25), mended=10, ragged=ragged)
        if rng.random() < 0.75:
            patches.append(Patch("paint", whole, (v - 0.07, v + 0.07), dash=(6.0, 3.0)))
        if not walk and rng.random() < 0.6:
            for edge in (v - half + 0.25, v + half - 0.25):
                patches.append(Patch("paint", whole, (edge - 0.06, edge + 0.06)))

    def traffic(self, v: float, side: int) -> None:
        """Cars on one lane, and at its curb."""
        rng, turn = self.rng, 0.0 if side > 0 else math.pi
        u = -self.reach
        while (u := u + rng.uniform(9, 60)) < self.reach:
            self.town.car(u, v + side * self.lane / 2, turn, spread=0.15)
        u = -self.reach
        while self.curb and (u := u + 5.6 + rng.exponential(5.0)) < self.reach:
            if abs(u - self.cross) > self.half + 6:
                wrong = math.pi * (rng.random() < 0.1)
                self.town.car(u, v + side * (self.half - 1.05), turn + wrong, spread=0.08)

    def roadside(self, v: float, side: int) -> None:
        """Trees and lamps."""
        rng, beside = self.rng, self.half + self.walk + 0.6
        u = -self.reach + rng.uniform(0, 20)
        while (u := u + rng.uniform(7, 16)) < self.reach:
            if abs(u - self.cross) < self.half + 3:
                continue
            if rng.random() < self.style.trees:
                self.town.tree(u, v + side * (beside + rng.uniform(0, 1)), (1.3, 3.2))
            elif rng.random() < 0.4:
                self.town.pole(u, v + side * beside)

    def cross_road(self) -> None:
        rng, half = self.rng, self.half
        u, whole = (self.cross - half, self.cross + half), (-self.reach - 30, self.reach + 30)
        self.town.asphalt(u, whole, (0.85, 1.2), mended=6)
        v = -self.reach
        while (v := v + rng.uniform(14, 50)) < self.reach:
            side = rng.choice([-1, 1])
            self.town.car(self.cross + side * half / 2, v, -side * math.pi / 2, spread=0.15)
