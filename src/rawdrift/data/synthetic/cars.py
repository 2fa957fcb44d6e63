"""Cars from above."""

import math
from typing import NamedTuple

import numpy as np

from rawdrift.data.synthetic.texture import Array


class Kind(NamedTuple):
    """Meters. Along the car, from its center to the front: where the windshield begins, where the
    roof begins and ends, and where the rear window ends."""

    length: float
    width: float
    height: float
    windshield: float
    roof: tuple[float, float]
    rear: float


KINDS = {
    "hatchback": Kind(4.0, 1.76, 1.48, 0.85, (0.20, -1.25), -1.72),
    "sedan": Kind(4.65, 1.82, 1.45, 0.95, (0.25, -0.95), -1.55),
    "wagon": Kind(4.6, 1.84, 1.52, 1.0, (0.35, -1.65), -2.08),
    "van": Kind(5.1, 1.96, 1.95, 1.55, (0.95, -2.1), -2.42),
}


def box(a: Array, b: Array, long: float, wide: float, corner: float) -> Array:
    """Signed distance to a rectangle with round corners about (0, 0)."""
    da, db = np.abs(a) - long / 2 + corner, np.abs(b) - wide / 2 + corner
    outside = np.hypot(np.maximum(da, 0), np.maximum(db, 0))
    distance: Array = outside + np.minimum(np.maximum(da, db), 0) - corner
    return distance


def outline(kind: Kind, a: Array, b: Array) -> Array:
    """Signed distance to the body; a is along the car to its front, b across."""
    # The nose and the tail are a little narrower than the middle.
    taper = 1 + 0.10 * np.clip((np.abs(a) / (0.5 * kind.length)) ** 4, 0, 1.5)
    return box(a, b * taper, kind.length, kind.width, 0.42)


def surface(
    kind: Kind, paint: tuple[float, ...], a: Array, b: Array, lean: tuple[float, float],
    sun: tuple[float, float, float], pixel: float,
) -> tuple[Array, Array]:
    """What a car looks like in even light: reflectance (3, h, w), and the sun's factor (h, w).

    lean: how far its roof is displaced along a and b by the camera's perspective. sun: the unit
    vector to the sun along a, b and up.
    """

    def inside(distance: Array) -> Array:
        return np.clip(0.5 - distance / pixel, 0, 1)

    color = np.empty((3, *a.shape), np.float32)
    color[:] = np.array(paint, np.float32)[:, None, None]
    # Shoulders slope away: seen from above, bright towards the sun and dark on the other side.
    half = kind.width / 2
    slope_b = np.clip((np.abs(b) - half + 0.30) / 0.30, 0, 1) * np.sign(b)
    slope_a = np.clip((np.abs(a) - kind.length / 2 + 0.45) / 0.45, 0, 1) * np.sign(a)
    ta, tb = a - lean[0], b - lean[1]  # the greenhouse is nearer to the camera
    front, back = kind.roof
    tumble = kind.width / 2 - 0.10
    # Glass all around: from the windshield's foot to the rear window's, a little narrower above.
    glass = inside(box(ta - (kind.windshield + kind.rear) / 2, tb, kind.windshield - kind.rear, 2 * tumble, 0.22))
    roof = inside(box(ta - (front + back) / 2, tb, front - back, 2 * tumble - 0.30, 0.16))
    pillar = inside(np.abs(ta - (front + back) / 2) - 0.05) * glass
    windshield = glass * np.clip((ta - front) / (kind.windshield - front), 0, 1)
    reflect = 0.022 + 0.035 * windshield
    for c, sky in enumerate((0.8, 0.95, 1.15)):
        color[c] = color[c] * (1 - glass) + glass * sky * reflect
        color[c] = color[c] * (1 - 0.8 * pillar) + 0.8 * pillar * paint[c] * 0.7
        color[c] = color[c] * (1 - roof) + roof * paint[c]
    slope_b = slope_b * (1 - glass) + 0.35 * np.clip(tb / tumble, -1, 1) ** 3 * roof
    slope_a = slope_a * (1 - glass) + 0.25 * np.clip((ta - (front + back) / 2) / (front - back) * 2, -1, 1) ** 3 * roof
    slope_a += 0.55 * windshield
    # Seams of hood and trunk, lamps, plates.
    seams = inside(np.abs(a - kind.windshield - 0.06) - 0.03) + inside(np.abs(np.abs(b) - half + 0.12) - 0.02) * (a > kind.windshield)
    color *= 1 - 0.35 * np.clip(seams, 0, 1) * (1 - glass)
    lamps = inside(np.hypot((np.abs(a) - kind.length / 2 + 0.22) / 1.2, np.abs(b) - half + 0.30) - 0.15)
    for c, (head, tail) in enumerate(((0.75, 0.40), (0.75, 0.03), (0.78, 0.03))):
        color[c] = color[c] * (1 - lamps) + lamps * np.where(a > 0, head, tail)
    norm = np.sqrt(1 + slope_a**2 + slope_b**2)
    lit = np.clip((sun[2] + sun[0] * slope_a + sun[1] * slope_b) / norm, 0, None) / sun[2]
    # Lacquer mirrors the sky everywhere, and the sun where a slope looks halfway to it.
    aim = sun[0] * slope_a + sun[1] * slope_b
    flat = math.hypot(sun[0], sun[1]) + 1e-6
    glint = np.exp(-(((aim / flat - 0.42) / 0.10) ** 2)) * np.clip(1.2 * norm - 0.2, 0, 2) * (aim > 0)
    color += 0.018 + 0.10 * glint * (1 - 0.5 * glass)
    return color, lit.astype(np.float32)
