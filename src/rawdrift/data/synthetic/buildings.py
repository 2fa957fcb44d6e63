"""Houses and halls from above: their walls, as far as they are seen, and their roofs."""

import math

import numpy as np

from rawdrift.data.synthetic.canvas import Canvas, raised
from rawdrift.data.synthetic.floats import remainder
from rawdrift.data.synthetic.shapes import (
    Point,
    Window,
    area,
    box,
    middle,
    moved,
    rectangle,
)
from rawdrift.data.synthetic.texture import Array, Rng
from rawdrift.data.synthetic.things import Building

EAVES = 0.4  # what a roof is longer and wider than its walls, meters
PITCH = 0.6  # rise over run of a gable
STOREY = 2.8  # meters
_PARAPET, _CHIMNEY = (0.36, 0.35, 0.33), (0.18, 0.13, 0.11)
_SKYLIGHT, _WINDOW = (0.05, 0.065, 0.085), (0.045, 0.05, 0.06)


def shade(canvas: Canvas, building: Building) -> None:
    """The shadow of a building, and the sky that it hides from the ground beside it."""
    foot = _corners(building)
    points = foot + moved(_corners(building, EAVES), canvas.light.shadow, building.height)
    if building.gable:
        ridge = _corners(building._replace(width=1e-3))
        rise = building.height + PITCH * building.width / 2
        points += moved(ridge, canvas.light.shadow, rise)
    canvas.shade(points)
    window = canvas.window(_corners(building, 6.0))
    if window is not None:
        a, b = canvas.local(window, building.x, building.y, building.heading)
        distance = box(a, b, building.length, building.width)
        canvas.sky[window] *= 1 - 0.4 * np.exp(-np.clip(distance, 0, None) / 1.2)


def draw(canvas: Canvas, building: Building) -> None:
    foot = _corners(building)
    for i in range(4):
        _wall(canvas, building, foot[i], foot[(i + 1) % 4])
    found = canvas.hull(raised(_corners(building, EAVES), building.height))
    if found is None:
        return
    window, cover = found
    [(x, y)] = raised([(building.x, building.y)], building.height)
    a, b = canvas.local(window, x, y, building.heading)
    rng = np.random.default_rng(building.seed)
    roof = _gable if building.gable else _flat
    color, sun = roof(canvas, building, rng, window, a, b)
    canvas.put(window, cover, canvas.light.on(color, sun))


def _corners(building: Building, more: float = 0.0) -> list[Point]:
    length, width = building.length + more, building.width + more
    return rectangle(building.x, building.y, building.heading, length, width)


def _wall(canvas: Canvas, building: Building, start: Point, end: Point) -> None:
    """One wall with its windows, if it looks towards the camera."""
    x, y = middle(start, end)
    out = x - building.x, y - building.y
    if out[0] * x + out[1] * y >= 0:
        return
    way = end[0] - start[0], end[1] - start[1]

    def piece(left: float, right: float, low: float, high: float) -> list[Point]:
        a, b = moved([start], way, left) + moved([start], way, right)
        return raised([a, b], low) + raised([b, a], high)

    whole = piece(0, 1, 0, building.height)
    long = math.dist(start, end)
    if area(whole) < 0.3 * long or (found := canvas.hull(whole)) is None:
        return  # too narrow to be seen, or elsewhere
    window, cover = found
    sun = canvas.light.toward(math.atan2(out[1], out[0]))
    facing = max(sun[0], 0) / sun[2]
    color = canvas.textured(window, building.wall, (0.04, 0.05, 0.04, 0.1))
    canvas.put(window, cover, canvas.light.on(color, facing, 0.6))
    for storey in range(int(building.height / STOREY + 0.3)):
        low = storey * STOREY + 0.9
        for left in np.arange(1.0, long - 2.0, 2.6):
            pane = piece(left / long, (left + 1.3) / long, low, min(low + 1.4, building.height))
            if area(pane) > 0.1 and (found := canvas.hull(pane)) is not None:
                window, cover = found
                glass = canvas.textured(window, _WINDOW, (0, 0.1, 0.2, 0))
                canvas.put(window, 0.85 * cover, canvas.light.on(glass, 0.5 * facing, 0.9))


def _paint(color: Array, cover: Array, other: tuple[float, ...]) -> None:
    color += cover * (np.array(other, np.float32)[:, None, None] - color)


def _gable(
    canvas: Canvas, building: Building, rng: Rng, window: Window, a: Array, b: Array
) -> tuple[Array, Array]:
    """Tiles on two slopes: their reflectance (3, h, w) and the sun on them (h, w)."""
    inside, length, width = canvas.inside, building.length, building.width
    color = canvas.textured(window, building.roof, (0.06, 0.10, 0.14, 0.6))
    sun = canvas.light.toward(building.heading)
    slope = PITCH * np.sign(b)
    factor = np.clip((sun[2] + slope * sun[1]) / math.hypot(1, PITCH), 0, None) / sun[2]
    color *= 1 + 0.35 * inside(np.abs(b) - 0.12)  # the ridge
    side = rng.choice([-1.0, 1.0])
    for at in length * rng.uniform(-0.4, 0.4, rng.integers(0, 4)):
        _paint(color, inside(box(a - at, b - side * 0.22 * width, 0.8, 1.1)), _SKYLIGHT)
    if rng.random() < 0.3:  # solar cells
        long = length * rng.uniform(0.3, 0.8)
        panel = inside(box(a, b + side * 0.25 * width, long, 0.33 * width))
        frames = np.minimum(remainder(a, 1.0), remainder(b, 1.65)) < 0.05
        shades = np.where(frames, 0.10, 0.022) * np.array([0.7, 0.85, 1.4])[:, None, None]
        color += panel * (shades - color)
    if rng.random() < 0.7:
        at, aside = length * rng.uniform(-0.3, 0.3), width * rng.uniform(-0.12, 0.12)
        a, b = a - at, b - aside
        shadow = inside(box(a + 0.6 * sun[0] / sun[2], b + 0.6 * sun[1] / sun[2], 0.7, 0.7))
        factor = factor * (1 - 0.9 * shadow)
        _paint(color, inside(box(a, b, 0.7, 0.7)), _CHIMNEY)
    return color, factor


def _flat(
    canvas: Canvas, building: Building, rng: Rng, window: Window, a: Array, b: Array
) -> tuple[Array, Array]:
    """A parapet, and machines and skylights within: reflectance (3, h, w), sun on it (h, w)."""
    inside, length, width = canvas.inside, building.length, building.width
    color = canvas.textured(window, building.roof, (0.10, 0.10, 0.10, 0.8))
    sun = canvas.light.toward(building.heading)
    da, db = sun[0] / sun[2], sun[1] / sun[2]  # of a shadow, away from it, a meter of height
    within = inside(box(a, b, length - 0.3, width - 0.3))
    lit = inside(box(a + 0.6 * da, b + 0.6 * db, length - 0.3, width - 0.3))
    _paint(color, 1 - within, _PARAPET)
    for _ in range(int(length * width / 60)):
        at, aside = length * rng.uniform(-0.4, 0.4), width * rng.uniform(-0.4, 0.4)
        long, wide, high = rng.uniform(0.8, 2.4), rng.uniform(0.8, 1.8), rng.uniform(0.3, 1.2)
        gray = rng.uniform(0.15, 0.55)
        near = np.maximum(np.abs(a - at), np.abs(b - aside)) < 2 + 2.2 * high
        rows, columns = (np.flatnonzero(near.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            continue
        there = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        u, v = a[there] - at, b[there] - aside
        for part in high * np.array([0.25, 0.5, 0.75, 1.0]):
            shadow = inside(box(u + part * da, v + part * db, long, wide))
            lit[there] = np.minimum(lit[there], 1 - shadow)
        thing = inside(box(u, v, long, wide))
        lit[there] = np.maximum(lit[there], thing)
        _paint(color[:, *there], thing, (gray,) * 3)
    factor = 1 - 0.95 * (1 - lit) * within
    return color, factor
