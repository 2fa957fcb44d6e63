"""Pieces of a synthetic aerial photograph: a town's ground, shadows, cars, roofs and trees as light.

Everything reflects sunlight, which shadows cut off, and skylight; what is high leans away from the
photograph's center, as a camera near the ground sees it.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.spatial import ConvexHull

from rawdrift.data.synthetic import cars
from rawdrift.data.synthetic.texture import Array, Rng, texture
from rawdrift.data.synthetic.town import Building, Car, Patch, Town, Tree

GSD = 0.06  # side of a pixel on the ground, meters
ALTITUDE = 250.0  # meters
MARGIN = 8  # pixels around a tile that the lens blurs into it

Window = tuple[slice, slice]


class Material(NamedTuple):
    """color: linear reflectance. other: a second one that takes turns with it over meters. broad,
    mid, fine, grain: contrast of its texture at 6, 1.5 and 0.4 m and at a pixel. rows: period in
    meters, and contrast, of stripes along the road."""

    color: tuple[float, float, float]
    other: tuple[float, float, float] | None = None
    broad: float = 0.08
    mid: float = 0.06
    fine: float = 0.06
    grain: float = 0.3
    rows: tuple[float, float] | None = None


MATERIALS = {
    "asphalt": Material((0.078, 0.078, 0.082), (0.092, 0.089, 0.088), 0.07, 0.07, 0.04, 0.5),
    "slabs": Material((0.20, 0.19, 0.175), (0.16, 0.155, 0.145), 0.06, 0.08, 0.06, 0.4),
    "curb": Material((0.24, 0.235, 0.225), None, 0.04, 0.08, 0.10, 0.3),
    "gravel": Material((0.19, 0.175, 0.15), (0.14, 0.13, 0.10), 0.08, 0.12, 0.14, 0.9),
    "paint": Material((0.52, 0.52, 0.50), None, 0.10, 0.15, 0.22, 0.3),
    "lawn": Material((0.055, 0.078, 0.022), (0.085, 0.088, 0.035), 0.10, 0.13, 0.12, 0.8),
    "meadow": Material((0.075, 0.088, 0.032), (0.125, 0.112, 0.058), 0.14, 0.20, 0.22, 1.1),
    "crop": Material((0.050, 0.078, 0.024), (0.072, 0.088, 0.034), 0.10, 0.10, 0.16, 0.8, (0.75, 0.35)),
    "soil": Material((0.105, 0.078, 0.055), (0.125, 0.096, 0.070), 0.10, 0.12, 0.14, 0.8, (0.9, 0.16)),
    "stubble": Material((0.20, 0.165, 0.095), (0.15, 0.13, 0.075), 0.08, 0.10, 0.14, 0.8, (0.6, 0.22)),
}


class Light(NamedTuple):
    """The day of a photograph. azimuth, elevation: of the sun, radians. direct: its share of the
    light on flat ground. sun, sky: their colors (3,). haze: light that the air adds (3,).
    exposure: on what the sensor gets of a white surface."""

    azimuth: float
    elevation: float
    direct: float
    sun: Array
    sky: Array
    haze: Array
    exposure: float

    @classmethod
    def draw(cls, rng: Rng) -> "Light":
        direct = rng.uniform(0.3, 0.85)
        warm = rng.uniform(0.0, 1.0) * direct
        cast = np.exp(rng.normal(0, 0.03, 3))
        return cls(
            azimuth=rng.uniform(0, 2 * math.pi),
            elevation=math.radians(rng.uniform(25, 60)),
            direct=direct,
            sun=(np.array([1 + 0.10 * warm, 1, 1 - 0.16 * warm]) * cast).astype(np.float32),
            sky=(np.array([0.88, 0.97, 1.16]) * cast).astype(np.float32),
            haze=np.array([0.006, 0.0075, 0.010], np.float32) * rng.uniform(0.5, 1.5),
            exposure=1.15 * math.exp(rng.normal(0, 0.18)),
        )

    @property
    def shadow(self) -> tuple[float, float]:
        """How far a shadow reaches along x and y, for each meter of height."""
        long = 1 / math.tan(self.elevation)
        return -long * math.cos(self.azimuth), -long * math.sin(self.azimuth)

    def toward(self, heading: float) -> tuple[float, float, float]:
        """The unit vector to the sun: along that heading, across it, and up."""
        flat, angle = math.cos(self.elevation), self.azimuth - heading
        return flat * math.cos(angle), flat * math.sin(angle), math.sin(self.elevation)


def tile(
    town: Town, light: Light, x0: float, y0: float, size: int, rng: Rng
) -> tuple[Array, Array]:
    """The piece of `size` pixels whose corner is at (x0, y0) meters, and where its cars are.

    Gives linear RGB (3, size + 2 MARGIN, size + 2 MARGIN) float32, before the lens and with the
    margin that the lens needs, and the mask (size, size) bool.
    """
    canvas = _Canvas(town, light, x0, y0, size, rng)
    canvas.ground()
    canvas.shadows()
    canvas.cars()
    canvas.roofs()
    canvas.trees()
    picture = (canvas.light_at + light.haze[:, None, None]) * light.exposure
    inner = slice(MARGIN, -MARGIN)
    return picture.astype(np.float32), canvas.car[inner, inner] > 0.5


class _Canvas:
    """A tile while it is drawn."""

    def __init__(self, town: Town, light: Light, x0: float, y0: float, size: int, rng: Rng):
        self.town, self.light, self.rng = town, light, rng
        self.n = size + 2 * MARGIN
        at = ((np.arange(self.n) + 0.5 - MARGIN) * GSD).astype(np.float32)
        self.x, self.y = (at + x0)[None, :], (at + y0)[:, None]
        self.x0, self.y0 = x0 - MARGIN * GSD, y0 - MARGIN * GSD
        self.u, self.v = town.along(self.x, self.y)
        self.noise = {scale: texture(rng, at, at, scale) for scale in (6.0, 1.5, 0.4)}
        self.grain = rng.standard_normal((self.n, self.n), dtype=np.float32)
        self.car = np.zeros((self.n, self.n), np.float32)
        self.sunlit = np.ones((self.n, self.n), np.float32)

    def inside(self, distance: Array) -> Array:
        return np.clip(0.5 - distance / GSD, 0, 1)

    def window(self, points: Array) -> Window | None:
        """Rows and columns about points (N, 2) in meters, or None where that is elsewhere."""
        low = ((points.min(0) - (self.x0, self.y0)) / GSD - 2).astype(int).clip(0, self.n)
        high = ((points.max(0) - (self.x0, self.y0)) / GSD + 3).astype(int).clip(0, self.n)
        if (high <= low).any():
            return None
        return slice(low[1], high[1]), slice(low[0], high[0])

    def at(self, window: Window) -> tuple[Array, Array]:
        return self.x[:, window[1]], self.y[window[0], :]

    def lean(self, x: float, y: float, height: float) -> tuple[float, float]:
        """How far the top of something is displaced from its foot."""
        return x * height / ALTITUDE, y * height / ALTITUDE

    def hull(self, points: Array) -> tuple[Window, Array] | None:
        """Where the convex hull of points (N, 2) is: a window and the cover (h, w) in it."""
        window = self.window(points)
        if window is None:
            return None
        x, y = self.at(window)
        distance = np.float32(-1e9)
        for a, b, c in ConvexHull(points).equations.astype(np.float32):
            distance = np.maximum(distance, a * x + (b * y + c))
        return window, self.inside(distance)

    def over(self, window: Window, cover: Array, color: Array) -> None:
        """Draw light (3, h, w) over what is there, and hide cars under it."""
        self.light_at[:, *window] += cover * (color - self.light_at[:, *window])
        self.car[window] *= 1 - cover

    def lit(self, albedo: Array, sunlit: Array, sky: Array | float = 1.0) -> Array:
        """Reflected light of albedo (3, ...) where the sun (h, w) and the sky shine on it."""
        light = self.light
        sun = (light.direct * light.sun)[:, None, None] * sunlit
        return albedo * (sun + ((1 - light.direct) * light.sky)[:, None, None] * sky)

    # --- layers, from below ---------------------------------------------------------------------

    def ground(self) -> None:
        self.albedo = self.material("meadow", 1.0)
        for patch in self.town.patches:
            self.patch(patch)

    def material(self, name: str, tint: float) -> Array:
        kind = MATERIALS[name]
        broad, mid, fine = self.noise.values()
        contrast = 1 + kind.broad * broad + kind.mid * mid + kind.fine * fine + kind.grain * self.grain
        if kind.rows:
            period, depth = kind.rows
            contrast = contrast + depth * np.sin((2 * np.pi / period) * (self.v + 0.05 * mid))
        color = np.array(kind.color, np.float32)[:, None, None]
        if kind.other:
            other = np.array(kind.other, np.float32)[:, None, None]
            color = color + (other - color) * np.clip(0.5 + 0.5 * mid + 0.4 * broad, 0, 1)
        return color * (tint * np.clip(contrast, 0.05, None))  # type: ignore[no-any-return]

    def patch(self, patch: Patch) -> None:
        u, v = self.u, self.v
        if u.min() > patch.u[1] + 1 or u.max() < patch.u[0] - 1 or v.min() > patch.v[1] + 1 or v.max() < patch.v[0] - 1:
            return
        distance = np.maximum(np.maximum(patch.u[0] - u, u - patch.u[1]), np.maximum(patch.v[0] - v, v - patch.v[1]))
        if patch.ragged:
            distance = distance + patch.ragged * (0.7 * self.noise[1.5] + 0.5 * self.noise[0.4])
        if patch.dash:
            period, long = patch.dash
            along = (u - patch.u[0] + long / 2) % period
            distance = np.maximum(distance, np.minimum(along, period - along) - long / 2 if long < 1 else np.abs(along - long / 2) - long / 2)
        cover = self.inside(distance)
        if patch.material == "paint":  # worn
            cover = cover * np.clip(0.75 + 0.25 * self.noise[1.5] + 0.2 * self.noise[0.4], 0.1, 1)
        if not cover.any():
            return
        self.albedo += cover * (self.material(patch.material, patch.tint) - self.albedo)

    def shadows(self) -> None:
        """Cut the sun off where something stands in its way, then light the ground."""
        dx, dy = self.light.shadow
        open_sky = np.ones_like(self.sunlit)
        for building in self.town.buildings:
            foot = _corners(building)
            if self.near(building.x, building.y, 30):
                top = _top(building)
                swept = np.concatenate([foot, top[:, :2] + top[:, 2:] * (dx, dy)])
                self.shade(swept)
        for tree in self.town.trees:
            if self.near(tree.x, tree.y, 14):
                window, cover, _ = self.crown(tree, 0.62 * tree.height * dx, 0.62 * tree.height * dy)
                if window is not None:
                    self.sunlit[window] *= 1 - 0.92 * cover
        for x, y in self.town.poles:
            if self.near(x, y, 20):
                self.shade(_thick(np.array([[x, y], [x + 6 * dx, y + 6 * dy]]), 0.06))
        self.high_sun = self.sunlit.copy()  # what reaches the cars
        for car in self.town.cars:
            if self.near(car.x, car.y, 9):
                kind = cars.KINDS[car.kind]
                foot = _rectangle(car.x, car.y, car.heading, kind.length - 0.25, kind.width - 0.1)
                middle = (kind.windshield + kind.rear) / 2
                roof = _rectangle(
                    car.x + middle * math.cos(car.heading), car.y + middle * math.sin(car.heading),
                    car.heading, 0.8 * (kind.windshield - kind.rear), kind.width - 0.35,
                )
                step = np.array((dx, dy))
                self.shade(np.concatenate([foot, foot + 0.85 * step]))
                self.shade(np.concatenate([foot, roof + kind.height * step]))
                # Under a car and close around it hardly any sky is seen.
                window = self.window(_rectangle(car.x, car.y, car.heading, kind.length + 1.4, kind.width + 1.4))
                if window is not None:
                    a, b = self.local(window, car.x, car.y, car.heading)
                    distance = cars.outline(kind, a, b)
                    open_sky[window] *= 1 - 0.5 * np.exp(-np.clip(distance, 0, None) / 0.22)
        for building in self.town.buildings:
            if self.near(building.x, building.y, 25):
                window = self.window(_corners(building, 3.0))
                if window is not None:
                    a, b = self.local(window, building.x, building.y, building.heading)
                    distance = cars.box(a, b, building.length, building.width, 0.1)
                    open_sky[window] *= 1 - 0.4 * np.exp(-np.clip(distance, 0, None) / 1.2)
        self.light_at = self.lit(self.albedo, self.sunlit, open_sky)

    def shade(self, points: Array) -> None:
        found = self.hull(points)
        if found is not None:
            window, cover = found
            self.sunlit[window] *= 1 - cover

    def near(self, x: float, y: float, reach: float) -> bool:
        """Whether something that large may be seen here."""
        half = self.n * GSD / 2
        return abs(x - self.x0 - half) < half + reach and abs(y - self.y0 - half) < half + reach

    def local(self, window: Window, x: float, y: float, heading: float) -> tuple[Array, Array]:
        """Coordinates along and across something."""
        px, py = self.at(window)
        c, s = math.cos(heading), math.sin(heading)
        dx, dy = px - np.float32(x), py - np.float32(y)
        return c * dx + s * dy, c * dy - s * dx

    def cars(self) -> None:
        for car in self.town.cars:
            if self.near(car.x, car.y, 4):
                self.draw_car(car)

    def draw_car(self, car: Car) -> None:
        kind = cars.KINDS[car.kind]
        window = self.window(_rectangle(car.x, car.y, car.heading, kind.length + 0.6, kind.width + 0.6))
        if window is None:
            return
        a, b = self.local(window, car.x, car.y, car.heading)
        cover = self.inside(cars.outline(kind, a, b))
        mirrors = self.inside(np.hypot((a - kind.windshield + 0.35) / 0.8, np.abs(b) - kind.width / 2 - 0.03) - 0.11)
        c, s = math.cos(car.heading), math.sin(car.heading)
        lx, ly = self.lean(car.x, car.y, 0.8)
        lean = c * lx + s * ly, c * ly - s * lx
        color, factor = cars.surface(kind, car.paint, a, b, lean, self.light.toward(car.heading), GSD)
        lit = self.lit(color, factor * self.high_sun[window])
        self.over(window, mirrors, lit)
        self.over(window, cover, lit)
        self.car[window] = np.maximum(self.car[window], cover)

    def roofs(self) -> None:
        # From the center outwards, since what leans over a neighbor leans outwards.
        for building in sorted(self.town.buildings, key=lambda b: math.hypot(b.x, b.y)):
            if self.near(building.x, building.y, 25):
                self.draw_building(building)

    def draw_building(self, building: Building) -> None:
        foot, top = _corners(building), _top(building)
        top = top[:, :2] * (1 + top[:, 2:] / ALTITUDE)
        walls = self.hull(np.concatenate([foot, top]))
        if walls is None:
            return
        window, cover = walls
        # The wall that is seen looks to the photograph's center.
        distance = math.hypot(building.x, building.y) + 1e-6
        away = math.atan2(-building.y, -building.x)
        facing = max(self.light.toward(away)[0], 0) / self.light.toward(0)[2]
        wall = np.array(building.wall, np.float32)[:, None, None] * np.ones_like(cover)
        a, b = self.local(window, building.x, building.y, building.heading)
        self.over(window, cover, self.lit(wall, np.full_like(cover, 0.8 * facing), 0.6))
        eaves = self.hull(_lean(_corners(building, 0.4), building.height))
        if eaves is None:
            return
        window, cover = eaves
        scale = 1 + building.height / ALTITUDE
        a, b = self.local(window, building.x * scale, building.y * scale, building.heading)
        a, b = a / scale, b / scale
        sun = self.light.toward(building.heading)
        if building.roof == "gable":
            pitch = 0.6
            color, factor = self.tiles(building, a, b, window, sun, pitch)
        else:
            color, factor = self.flat(building, a, b, window, sun)
        self.over(window, cover, self.lit(color, factor))

    def texture_of(self, window: Window, color: Array, broad: float, mid: float, fine: float, grain: float) -> Array:
        amounts = zip((broad, mid, fine), self.noise.values(), strict=True)
        contrast = 1 + sum(amount * noise[window] for amount, noise in amounts) + grain * self.grain[window]
        return color[:, None, None] * np.clip(contrast, 0.1, None)  # type: ignore[no-any-return]

    def tiles(self, building: Building, a: Array, b: Array, window: Window, sun: tuple[float, ...], pitch: float) -> tuple[Array, Array]:
        """A roof of two slopes: ridge, chimney, skylights, some with solar panels."""
        details = np.random.default_rng(int(abs(building.x * 977 + building.y * 131) * 1000))
        color = self.texture_of(window, np.array(building.color, np.float32), 0.06, 0.10, 0.14, 0.45)
        slope = np.where(b > 0, 1.0, -1.0)
        factor = np.clip((sun[2] + pitch * slope * sun[1]) / math.hypot(1, pitch), 0, None) / sun[2]
        ridge = self.inside(np.abs(b) - 0.12)
        color *= 1 + 0.35 * ridge
        side = details.choice([-1.0, 1.0])
        for _ in range(int(details.integers(0, 4))):
            at = details.uniform(-0.4, 0.4) * building.length
            skylight = self.inside(cars.box(a - at, b - side * building.width * 0.22, 0.8, 1.1, 0.05))
            color += skylight * (np.array([0.05, 0.065, 0.085], np.float32)[:, None, None] - color)
        if details.random() < 0.3:
            long, deep = building.length * details.uniform(0.3, 0.8), building.width * 0.33
            panel = self.inside(cars.box(a, b + side * building.width * 0.25, long, deep, 0.02))
            lines = np.minimum((a + 50) % 1.0, (b + 50) % 1.65) < 0.05
            shade = np.where(lines, 0.10, 0.022)
            color += panel * (np.stack([0.7 * shade, 0.85 * shade, 1.4 * shade]) - color)
        if details.random() < 0.7:
            at, aside = details.uniform(-0.3, 0.3) * building.length, details.uniform(-0.12, 0.12) * building.width
            sx, sy = sun[0] / sun[2], sun[1] / sun[2]
            cast = self.inside(np.hypot(a - at + 0.6 * sx, b - aside + 0.6 * sy) - 0.5)
            factor = factor * (1 - 0.9 * cast)
            chimney = self.inside(cars.box(a - at, b - aside, 0.7, 0.7, 0.05))
            color += chimney * (np.array([0.18, 0.13, 0.11], np.float32)[:, None, None] - color)
        return color, factor.astype(np.float32)

    def flat(self, building: Building, a: Array, b: Array, window: Window, sun: tuple[float, ...]) -> tuple[Array, Array]:
        """A flat roof: a parapet and its shadow, skylights, machines."""
        details = np.random.default_rng(int(abs(building.x * 977 + building.y * 131) * 1000))
        color = self.texture_of(window, np.array(building.color, np.float32), 0.10, 0.10, 0.10, 0.6)
        sx, sy = sun[0] / sun[2], sun[1] / sun[2]
        size = building.length, building.width
        within = cars.box(a, b, size[0] - 0.3, size[1] - 0.3, 0.05)
        cast = self.inside(-cars.box(a + 0.6 * sx, b + 0.6 * sy, size[0] - 0.3, size[1] - 0.3, 0.05)) * self.inside(within)
        factor = np.ones_like(a) * (1 - 0.95 * cast)
        rim = 1 - self.inside(within)
        color += rim * (np.array([0.36, 0.35, 0.33], np.float32)[:, None, None] - color)
        for _ in range(int(size[0] * size[1] / 60)):
            at = [details.uniform(-0.4, 0.4) * side for side in size]
            long, deep, high = details.uniform(0.8, 2.4), details.uniform(0.8, 1.8), details.uniform(0.3, 1.2)
            cast = np.zeros_like(a)
            for part in np.linspace(0.15, 1, 4) * high:
                cast = np.maximum(cast, self.inside(cars.box(a - at[0] + part * sx, b - at[1] + part * sy, long, deep, 0.05)))
            factor = factor * (1 - 0.95 * cast)
            thing = self.inside(cars.box(a - at[0], b - at[1], long, deep, 0.05))
            gray = details.uniform(0.15, 0.55)
            color += thing * (np.float32(gray) - color)
            factor = np.maximum(factor, thing)
        return color, factor.astype(np.float32)

    def crown(self, tree: Tree, dx: float = 0.0, dy: float = 0.0) -> tuple[Window | None, Array, Array]:
        """A tree's crown, displaced: its cover and its height in radii, (h, w)."""
        center = np.array((tree.x + dx, tree.y + dy))
        reach = 1.35 * tree.radius
        window = self.window(np.stack([center - reach, center + reach]))
        if window is None:
            return None, self.sunlit[:0], self.sunlit[:0]
        leaves = np.random.default_rng(tree.seed)
        x, y = self.at(window)
        x, y = (x - np.float32(center[0])) / tree.radius, (y - np.float32(center[1])) / tree.radius
        height = np.full(np.broadcast_shapes(x.shape, y.shape), -1.0, np.float32)
        for _ in range(9 if tree.radius > 1 else 4):
            angle, out, r = leaves.uniform(0, 2 * math.pi), 0.62 * math.sqrt(leaves.random()), leaves.uniform(0.32, 0.55)
            left = r * r - (x - out * math.cos(angle)) ** 2 - (y - out * math.sin(angle)) ** 2
            dome = np.sign(left) * np.sqrt(np.abs(left)) + 0.5 * (1 - out)
            height = np.maximum(height, np.where(left > 0, dome, left))
        noise = 0.5 * self.noise[0.4][window] + 0.5 * self.grain[window]
        cover = np.clip(0.5 + (height + 0.10 * noise) * 5, 0, 1)
        return window, cover, height

    def trees(self) -> None:
        for tree in sorted(self.town.trees, key=lambda t: t.height):
            if not self.near(tree.x, tree.y, 8):
                continue
            window, cover, height = self.crown(tree, *self.lean(tree.x, tree.y, 0.7 * tree.height))
            if window is None or min(height.shape) < 3:
                continue
            bumpy = height * tree.radius + 0.10 * self.noise[0.4][window]
            fall_y, fall_x = np.gradient(bumpy, GSD)
            sun = self.light.toward(0)
            norm = np.sqrt(1 + 0.5 * (fall_x**2 + fall_y**2))
            factor = np.clip((sun[2] - 0.7 * (sun[0] * fall_x + sun[1] * fall_y)) / norm, 0, 2.2) / sun[2]
            leaf = 1 + 0.30 * self.noise[0.4][window] + 0.9 * self.grain[window]
            color = np.array(tree.color, np.float32)[:, None, None] * np.clip(leaf, 0.1, None)
            sky = np.clip(0.55 + 0.6 * height, 0.25, 1.1)
            self.over(window, cover, self.lit(color, 0.85 * factor, sky))


def _rectangle(x: float, y: float, heading: float, length: float, width: float) -> Array:
    """Corners (4, 2)."""
    along = np.array((math.cos(heading), math.sin(heading))) * length / 2
    across = np.array((-math.sin(heading), math.cos(heading))) * width / 2
    corners: Array = np.array((x, y)) + np.stack([along + across, along - across, -along - across, across - along])
    return corners


def _corners(building: Building, more: float = 0.0) -> Array:
    return _rectangle(building.x, building.y, building.heading, building.length + more, building.width + more)


def _top(building: Building) -> Array:
    """Corners of the eaves and, of a gable, the ends of the ridge: (N, 3)."""
    eaves = np.column_stack([_corners(building, 0.4), np.full(4, building.height)])
    if building.roof == "flat":
        return eaves
    half = 0.5 * building.length * np.array((math.cos(building.heading), math.sin(building.heading)))
    ridge = np.array([[*half, 0], [*-half, 0]]) + (building.x, building.y, building.height + 0.3 * building.width)
    return np.concatenate([eaves, ridge])


def _lean(points: Array, height: float) -> Array:
    """Points (N, 2) at that height as the camera sees them."""
    return points * (1 + height / ALTITUDE)


def _thick(line: Array, half: float) -> Array:
    """Corners of a line (2, 2) that is not infinitely thin."""
    dx, dy = (line[1] - line[0]) / (math.dist(*line) + 1e-6)
    normal = half * np.array((-dy, dx))
    return np.concatenate([line + normal, line - normal])
