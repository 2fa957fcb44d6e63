"""The things of a town and where they are, in meters."""

from typing import NamedTuple

Color = tuple[float, float, float]  # linear reflectance in R, G, B
Span = tuple[float, float]


class Patch(NamedTuple):
    """A rectangle of ground along the roads. dash: period and length of the pieces that are there
    of it, along u. ragged: how far its edge strays. tint: its brightness."""

    material: str
    u: Span
    v: Span
    dash: Span | None = None
    ragged: float = 0.0
    tint: float = 1.0


class Car(NamedTuple):
    """x, y: its center. heading: radians, from x towards y."""

    x: float
    y: float
    heading: float
    kind: str
    paint: Color


class Building(NamedTuple):
    """height: of its walls. gable: two slopes, the ridge along its length; else the roof is flat.
    seed: of what is on the roof."""

    x: float
    y: float
    heading: float
    length: float
    width: float
    height: float
    gable: bool
    roof: Color
    wall: Color
    seed: int


class Tree(NamedTuple):
    """A tree, a bush or a piece of a hedge. seed: of its leaves."""

    x: float
    y: float
    radius: float
    height: float
    leaves: Color
    seed: int


class Pole(NamedTuple):
    """A street lamp."""

    x: float
    y: float
