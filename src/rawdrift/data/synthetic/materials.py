"""What the ground is made of."""

from typing import NamedTuple

Color = tuple[float, float, float]  # linear reflectance in R, G, B


class Material(NamedTuple):
    """color, other: take turns over meters. broad, mid, fine, grain: contrast of its texture at
    6, 1.5 and 0.4 m and from pixel to pixel. rows: period in meters, and contrast, of rows along
    the road."""

    color: Color
    other: Color
    broad: float
    mid: float
    fine: float
    grain: float
    rows: tuple[float, float] | None = None


MATERIALS = {
    "asphalt": Material((0.063, 0.063, 0.067), (0.078, 0.076, 0.075), 0.07, 0.07, 0.06, 0.8),
    "slabs": Material((0.20, 0.19, 0.175), (0.16, 0.155, 0.145), 0.06, 0.08, 0.07, 0.6),
    "curb": Material((0.24, 0.235, 0.225), (0.24, 0.235, 0.225), 0.04, 0.08, 0.10, 0.4),
    "gravel": Material((0.19, 0.175, 0.15), (0.14, 0.13, 0.10), 0.08, 0.12, 0.10, 1.2),
    "paint": Material((0.52, 0.52, 0.50), (0.45, 0.45, 0.43), 0.10, 0.15, 0.22, 0.3),
    "lawn": Material((0.045, 0.067, 0.019), (0.072, 0.076, 0.030), 0.10, 0.13, 0.12, 1.1),
    "meadow": Material((0.062, 0.075, 0.027), (0.105, 0.095, 0.050), 0.14, 0.20, 0.20, 1.4),
    "crop": Material(
        (0.05, 0.078, 0.024), (0.072, 0.088, 0.034), 0.1, 0.1, 0.16, 1.0, (0.75, 0.35)
    ),
    "soil": Material(
        (0.105, 0.078, 0.055), (0.125, 0.096, 0.07), 0.1, 0.12, 0.14, 1.0, (0.9, 0.16)
    ),
    "stubble": Material(
        (0.2, 0.165, 0.095), (0.15, 0.13, 0.075), 0.08, 0.1, 0.14, 1.0, (0.6, 0.22)
    ),
}
