"""Cars from above."""

import math
from typing import NamedTuple

import numpy as np

from rawdrift.data.synthetic.canvas import ALTITUDE, Canvas
from rawdrift.data.synthetic.floats import hypot
from rawdrift.data.synthetic.shapes import box, moved, rectangle
from rawdrift.data.synthetic.texture import Array
from rawdrift.data.synthetic.things import Car


class Kind(NamedTuple):
    """Meters. windshield, front, back, rear: along the car, from its center to its nose, where the
    windshield begins, the roof begins and ends, and the rear window ends."""

    length: float
    width: float
    height: float
    windshield: float
    front: float
    back: float
    rear: float


KINDS = {
    "hatchback": Kind(4.0, 1.76, 1.48, 0.85, 0.20, -1.25, -1.72),
    "sedan": Kind(4.65, 1.82, 1.45, 0.95, 0.25, -0.95, -1.55),
    "wagon": Kind(4.6, 1.84, 1.52, 1.0, 0.35, -1.65, -2.08),
    "van": Kind(5.1, 1.96, 1.95, 1.55, 0.95, -2.1, -2.42),
}
_SKY = np.array([0.8, 0.95, 1.15], np.float32)[:, None, None]  # as glass mirrors it
_FRONT_LAMP = np.array([0.55, 0.55, 0.57], np.float32)[:, None, None]
_REAR_LAMP = np.array([0.22, 0.03, 0.03], np.float32)[:, None, None]


def shade(canvas: Canvas, car: Car) -> None:
    """The shadow of a car, and the gloom below it."""
    kind = KINDS[car.kind]
    foot = rectangle(car.x, car.y, car.heading, kind.length - 0.25, kind.width - 0.1)
    middle = (kind.windshield + kind.rear) / 2
    x, y = car.x + middle * math.cos(car.heading), car.y + middle * math.sin(car.heading)
    roof = rectangle(x, y, car.heading, 0.8 * (kind.windshield - kind.rear), kind.width - 0.35)
    canvas.shade(foot + moved(foot, canvas.light.shadow, 0.85))
    canvas.shade(foot + moved(roof, canvas.light.shadow, kind.height))
    around = rectangle(car.x, car.y, car.heading, kind.length + 1.4, kind.width + 1.4)
    window = canvas.window(around)
    if window is not None:
        distance = _outline(kind, *canvas.local(window, car.x, car.y, car.heading))
        canvas.sky[window] *= 1 - 0.5 * np.exp(-np.clip(distance, 0, None) / 0.22)


def draw(canvas: Canvas, car: Car, sun: Array) -> None:
    """A car where `sun` (H, W) shines on it, and its place in the mask."""
    kind = KINDS[car.kind]
    around = rectangle(car.x, car.y, car.heading, kind.length + 0.6, kind.width + 0.6)
    window = canvas.window(around)
    if window is None:
        return
    a, b = canvas.local(window, car.x, car.y, car.heading)
    color, factor = _surface(canvas, car, kind, a, b)
    picture = canvas.light.on(color, factor * sun[window])
    mirrors = hypot((a - kind.windshield + 0.35) / 0.8, np.abs(b) - kind.width / 2 - 0.03)
    canvas.put(window, canvas.inside(mirrors - 0.11), picture)
    cover = canvas.inside(_outline(kind, a, b))
    canvas.put(window, cover, picture)
    canvas.car[window] += cover


def _outline(kind: Kind, a: Array, b: Array) -> Array:
    """Signed distance to the body, whose nose and tail are narrower than its middle."""
    taper = 1 + 0.10 * np.minimum(np.square(np.square(a / (0.5 * kind.length))), 1.5)
    return box(a, b * taper, kind.length, kind.width, 0.42)


def _surface(canvas: Canvas, car: Car, kind: Kind, a: Array, b: Array) -> tuple[Array, Array]:
    """Reflectance (3, h, w), and the sun that falls on it, seen from flat ground, (h, w)."""
    inside, half = canvas.inside, kind.width / 2
    paint = np.array(car.paint, np.float32)[:, None, None]
    # The cabin is nearer to the camera than the body.
    c, s = math.cos(car.heading), math.sin(car.heading)
    high = 0.8 / ALTITUDE
    a_top, b_top = a - high * (c * car.x + s * car.y), b - high * (c * car.y - s * car.x)
    cabin = half - 0.10
    middle, long = (kind.windshield + kind.rear) / 2, kind.windshield - kind.rear
    glass = inside(box(a_top - middle, b_top, long, 2 * cabin, 0.22))
    middle, long = (kind.front + kind.back) / 2, kind.front - kind.back
    roof = inside(box(a_top - middle, b_top, long, 2 * cabin - 0.30, 0.16))
    pillar = 0.8 * inside(np.abs(a_top - middle) - 0.05) * glass
    windshield = glass * np.clip((a_top - kind.front) / (kind.windshield - kind.front), 0, 1)
    seams = inside(np.abs(a - kind.windshield - 0.06) - 0.03)
    seams += inside(np.abs(np.abs(b) - half + 0.12) - 0.02) * (a > kind.windshield)
    lamp = hypot((np.abs(a) - kind.length / 2 + 0.22) / 1.2, np.abs(b) - half + 0.30)
    color = paint * (1 - 0.35 * np.clip(seams, 0, 1))
    color = color + glass * (_SKY * (0.022 + 0.035 * windshield) - color)
    color += pillar * (0.7 * paint - color)
    color += roof * (paint - color)
    color += inside(lamp - 0.10) * (np.where(a > 0, _FRONT_LAMP, _REAR_LAMP) - color)

    # Shoulders and the edges of the roof slope away, the windshield leans to the front.
    shoulder = np.clip((np.abs(b) - half + 0.30) / 0.30, 0, 1) * np.sign(b)
    bumper = np.clip((np.abs(a) - kind.length / 2 + 0.45) / 0.45, 0, 1) * np.sign(a)
    beside, before = np.clip(b_top / cabin, -1, 1), np.clip(2 * (a_top - middle) / long, -1, 1)
    across = shoulder * (1 - glass) + 0.35 * roof * beside * beside * beside
    ahead = bumper * (1 - glass) + 0.25 * roof * before * before * before + 0.55 * windshield
    norm = np.sqrt(1 + ahead**2 + across**2)
    sun = canvas.light.toward(car.heading)
    aim = sun[0] * ahead + sun[1] * across
    factor = np.clip((sun[2] + aim) / norm, 0, None) / sun[2]
    # Lacquer mirrors the sky everywhere, and the sun where a slope looks halfway to it.
    halfway = np.exp(-(((aim / math.hypot(sun[0], sun[1]) - 0.42) / 0.10) ** 2)) * (aim > 0)
    color += 0.018 + 0.16 * halfway * norm * (1 - 0.5 * glass)
    return color, factor
