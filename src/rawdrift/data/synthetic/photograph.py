"""Synthetic aerial photographs: a town, a day, and tiles that are cut from what a drone sees.

Everything reflects sunlight, which shadows cut off, and skylight; what is high leans away from the
photograph's center, as a camera near the ground sees it.
"""

import math

import numpy as np

from rawdrift.data.synthetic import buildings, cars, trees
from rawdrift.data.synthetic.canvas import Canvas, raised
from rawdrift.data.synthetic.daylight import Daylight
from rawdrift.data.synthetic.plan import plan
from rawdrift.data.synthetic.shapes import Point, line, moved
from rawdrift.data.synthetic.texture import Array, Rng
from rawdrift.data.synthetic.town import Town

GSD = 0.06  # ground sampling distance: side of a pixel on the ground, meters
TILES = 12  # of a photograph
LEAST = (120.0, 90.0)  # width and height of a photograph, meters
MARGIN = 8  # pixels around a tile that a lens may blur into it
LOW = 3.0  # height of plants that stay below roofs, meters
LAMP = 6.0  # height of a street lamp, meters

Corner = tuple[float, float]


class Photograph:
    """A town of its own, under a light of its own.

    tiles: corners x, y in meters of `TILES` disjoint tiles in random order. All but one hold the
    middle of a car, as far as there are so many.
    """

    def __init__(self, rng: Rng, size: int):
        self.size = size
        self.light = Daylight.draw(rng)
        side = size * GSD
        columns, rows = (
            max(math.ceil(long / side), n) for long, n in zip(LEAST, (4, 3), strict=True)
        )
        left, top = -columns * side / 2, -rows * side / 2
        self.town = plan(rng, math.hypot(left, top))
        taken = {
            (math.floor((car.y - top) / side), math.floor((car.x - left) / side))
            for car in self.town.cars
        }
        cells = [
            (int(cell) // columns, int(cell) % columns) for cell in rng.permutation(rows * columns)
        ]
        with_car = [cell for cell in cells if cell in taken]
        without = [cell for cell in cells if cell not in taken]
        chosen = (with_car[: TILES - 1] + without + with_car[TILES - 1 :])[:TILES]
        self.tiles: list[Corner] = [
            (left + chosen[i][1] * side, top + chosen[i][0] * side) for i in rng.permutation(TILES)
        ]

    def tile(self, corner: Corner, rng: Rng) -> tuple[Array, Array]:
        """Linear RGB (3, H, W) float32 before the lens, with `MARGIN` more pixels on each side than
        the tile has, and where its cars are seen: (size, size) bool."""
        x, y = (at - MARGIN * GSD for at in corner)
        canvas = Canvas(x, y, self.size + 2 * MARGIN, GSD, self.town, self.light, rng)
        _draw(canvas, self.town)
        inner = slice(MARGIN, -MARGIN)
        light = self.light
        picture = light.exposure * (canvas.picture + light.haze[:, None, None])
        return picture.astype(np.float32), canvas.car[inner, inner] > 0.5


def _draw(canvas: Canvas, town: Town) -> None:
    """From the ground up."""
    # How far away from a thing its shadow, or what leans of it, is seen at most.
    houses = canvas.near(town.buildings, 60)
    crowns = canvas.near(town.trees, 25)
    poles = [(pole.x, pole.y) for pole in canvas.near(town.poles, 15)]
    vehicles = canvas.near(town.cars, 8)
    for patch in canvas.ground.near(town.patches):
        canvas.ground.lay(patch)
    for house in houses:
        buildings.shade(canvas, house)
    for tree in crowns:
        trees.shade(canvas, tree)
    for at in poles:
        [end] = moved([at], canvas.light.shadow, LAMP)
        canvas.shade(line(at, end, 0.12))
    above = canvas.sun.copy()  # the sun that reaches the cars
    for car in vehicles:
        cars.shade(canvas, car)
    canvas.light_ground()
    for car in vehicles:
        cars.draw(canvas, car, above)
    for tree in crowns:
        if tree.height < LOW:
            trees.draw(canvas, tree)
    # A house leans outwards, over those that are farther out.
    for house in sorted(houses, key=lambda house: -math.hypot(house.x, house.y)):
        buildings.draw(canvas, house)
    for at in poles:
        _lamp(canvas, at)
    for tree in sorted(crowns, key=lambda tree: tree.height):
        if tree.height >= LOW:
            trees.draw(canvas, tree)


def _lamp(canvas: Canvas, foot: Point) -> None:
    [(x, y)] = raised([foot], LAMP)
    for points, color in (
        (line(foot, (x + 1e-3, y + 1e-3), 0.12), (0.25, 0.25, 0.25)),
        (line((x - 0.3, y), (x + 0.3, y), 0.25), (0.45, 0.45, 0.45)),
    ):
        found = canvas.hull(points)
        if found is not None:
            window, cover = found
            canvas.put(
                window, cover, canvas.light.on(canvas.textured(window, color, (0, 0, 0, 0)), 1.0)
            )
