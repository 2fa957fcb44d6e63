"""Cars from above."""

import math
from typing import NamedTuple

import numpy as np

from rawdrift.data.synthetic.canvas import (
    Canvas,
    Color,
    Window,
    box,
    inside,
    moved,
    raised,
    rectangle,
    vector,
)
from rawdrift.data.synthetic.texture import Array, hypot

_SKY, _FRONT_LAMP, _REAR_LAMP = (  # the sky as glass mirrors it
    vector(color) for color in ((0.8, 0.95, 1.15), (0.55, 0.55, 0.57), (0.22, 0.03, 0.03))
)


class Kind(NamedTuple):
    """A kind of car, in meters. share: of all cars. windshield, front, back, rear: where, from its
    center to its nose, the windshield and the roof begin, and the roof and the rear window end."""

    share: float
    length: float
    width: float
    height: float
    windshield: float
    front: float
    back: float
    rear: float


KINDS = {
    "hatchback": Kind(0.36, 4.0, 1.76, 1.48, 0.85, 0.20, -1.25, -1.72),
    "sedan": Kind(0.24, 4.65, 1.82, 1.45, 0.95, 0.25, -0.95, -1.55),
    "wagon": Kind(0.28, 4.6, 1.84, 1.52, 1.0, 0.35, -1.65, -2.08),
    "van": Kind(0.12, 5.1, 1.96, 1.95, 1.55, 0.95, -2.1, -2.42),
}


class Car(NamedTuple):
    """A car with its center at (x, y). heading: radians, from x towards y."""

    x: float
    y: float
    heading: float
    kind: str
    paint: Color

    @property
    def height(self) -> float:
        """Its height in meters."""
        return KINDS[self.kind].height

    def shade(self, canvas: Canvas) -> None:
        """Cast the car's shadow, and hide the sky from the ground beside it."""
        kind, place = KINDS[self.kind], (self.x, self.y, self.heading)
        foot = rectangle(*place, kind.length - 0.25, kind.width - 0.1)
        roof = rectangle(*place, 0.8 * (kind.windshield - kind.rear), kind.width - 0.35)
        middle = (kind.windshield + kind.rear) / 2
        roof = moved(roof, (math.cos(self.heading), math.sin(self.heading)), middle)
        canvas.shade(foot, foot, 0.85)
        canvas.shade(foot, roof, kind.height)
        canvas.hide_sky(foot, 0.5, 0.22)

    def draw(self, canvas: Canvas) -> None:
        """Draw the car, and mark its place in the mask."""
        kind, place = KINDS[self.kind], (self.x, self.y, self.heading)
        window = canvas.window(rectangle(*place, kind.length, kind.width), margin=0.3)
        if window is None:
            return
        a, b = canvas.local(window, *place)
        color, factor = self._surface(canvas, window, a, b)
        picture = canvas.light.on(color, factor * canvas.sun_on_cars[window])
        mirrors = hypot((a - kind.windshield + 0.35) / 0.8, np.abs(b) - kind.width / 2 - 0.03)
        canvas.put(window, inside(mirrors - 0.11), picture)
        cover = inside(_outline(kind, a, b))
        canvas.put(window, cover, picture)
        canvas.car[window] += cover

    def _surface(self, canvas: Canvas, window: Window, a: Array, b: Array) -> tuple[Array, Array]:
        """Return reflectance (3, h, w), and sun relative to flat ground, (h, w)."""
        kind, paint = KINDS[self.kind], vector(self.paint)
        half = kind.width / 2
        # The cabin is nearer to the camera than the body.
        [top] = raised([(self.x, self.y)], 0.8)
        a_top, b_top = canvas.local(window, *top, self.heading)
        cabin = half - 0.10
        middle, length = (kind.windshield + kind.rear) / 2, kind.windshield - kind.rear
        glass = inside(box(a_top - middle, b_top, length, 2 * cabin, 0.22))
        middle, length = (kind.front + kind.back) / 2, kind.front - kind.back
        roof = inside(box(a_top - middle, b_top, length, 2 * cabin - 0.30, 0.16))
        pillar = 0.8 * inside(np.abs(a_top - middle) - 0.05) * glass
        windshield = glass * np.clip((a_top - kind.front) / (kind.windshield - kind.front), 0, 1)
        seams = inside(np.abs(a - kind.windshield - 0.06) - 0.03)
        seams += inside(np.abs(np.abs(b) - half + 0.12) - 0.02) * (a > kind.windshield)
        lamps = inside(
            hypot((np.abs(a) - kind.length / 2 + 0.22) / 1.2, np.abs(b) - half + 0.30) - 0.10
        )
        color = paint * (1 - 0.35 * np.clip(seams, 0, 1))
        for cover, other in (
            (glass, _SKY * (0.022 + 0.035 * windshield)),
            (pillar, 0.7 * paint),
            (roof, paint),
            (lamps, np.where(a > 0, _FRONT_LAMP, _REAR_LAMP)),
        ):
            color = color + cover * (other - color)

        # Shoulders and the edges of the roof slope away, the windshield leans to the front.
        shoulder = np.clip((np.abs(b) - half + 0.30) / 0.30, 0, 1) * np.sign(b)
        bumper = np.clip((np.abs(a) - kind.length / 2 + 0.45) / 0.45, 0, 1) * np.sign(a)
        beside = np.clip(b_top / cabin, -1, 1)
        before = np.clip(2 * (a_top - middle) / length, -1, 1)
        across = shoulder * (1 - glass) + 0.35 * roof * beside**3
        ahead = bumper * (1 - glass) + 0.25 * roof * before**3 + 0.55 * windshield
        norm = np.sqrt(1 + ahead**2 + across**2)
        sun = canvas.light.toward(self.heading)
        aim = sun[0] * ahead + sun[1] * across
        factor = np.clip((sun[2] + aim) / norm, 0, None) / sun[2]
        # Lacquer mirrors the sky everywhere, and the sun where a slope looks halfway to it.
        halfway = np.exp(-(((aim / math.hypot(sun[0], sun[1]) - 0.42) / 0.10) ** 2)) * (aim > 0)
        color += 0.018 + 0.16 * halfway * norm * (1 - 0.5 * glass)
        return color, factor


def _outline(kind: Kind, a: Array, b: Array) -> Array:
    """Return the signed distance to the body, whose nose and tail are narrower than its middle."""
    taper = 1 + 0.10 * np.minimum((a / (0.5 * kind.length)) ** 4, 1.5)
    return box(a, b * taper, kind.length, kind.width, 0.42)
