"""The whites of lights, how colors are adapted from one to another, and the coding of sRGB."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

D50 = np.array([0.96422, 1.0, 0.82521])
D65 = np.array([0.95047, 1.0, 1.08883])

# Linear sRGB (D65) to CIE XYZ, IEC 61966-2-1.
XYZ_FROM_RGB = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)

LIGHTS: Mapping[int, float] = {
    17: 2856.0, 3: 2856.0, 24: 3200.0, 23: 5003.0, 20: 5503.0, 1: 5503.0, 9: 5503.0, 4: 5503.0,
    18: 5503.0, 21: 6504.0, 19: 6504.0, 10: 6504.0, 22: 7504.0, 11: 7504.0, 12: 6400.0, 13: 5050.0,
    14: 4150.0, 2: 4150.0, 15: 3525.0,
}  # fmt: skip
"""Color temperatures in kelvin of the light sources of EXIF, the most usual of alike ones first."""

_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def adaptation(source: Array, target: Array) -> Array:
    """Return the matrix (3, 3) that adapts XYZ from one white to another (Bradford)."""
    gains = (_BRADFORD @ target) / (_BRADFORD @ source)
    adapted: Array = np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD
    return adapted


def white(temperature: float) -> Array:
    """Return XYZ, Y = 1, of light of a correlated color temperature in kelvin.

    Below 4000 K that of a black body (Kim et al. 2002), from there on daylight (CIE 15). Beyond
    1667 and 25000 K, that of the nearer end.
    """
    t = min(max(temperature, 1667.0), 25000.0)
    if t < 4000:
        x = -0.2661239e9 / t**3 - 0.2343589e6 / t**2 + 0.8776956e3 / t + 0.179910
        terms = (
            (-1.1063814, -1.34811020, 2.18555832, -0.20219683)
            if t < 2222
            else (-0.9549476, -1.37418593, 2.09137015, -0.16748867)
        )
        y = float(np.polyval(terms, x))
    else:
        terms_x = (
            (-4.6070e9, 2.9678e6, 0.09911e3, 0.244063)
            if t <= 7000
            else (-2.0064e9, 1.9018e6, 0.24748e3, 0.237040)
        )
        x = float(np.polyval(terms_x, 1 / t))
        y = -3.0 * x**2 + 2.870 * x - 0.275
    return np.array([x / y, 1.0, (1 - x - y) / y])


def temperature(xyz: Array) -> float:
    """Return the correlated color temperature in kelvin of a white (McCamy 1992)."""
    x, y, _ = xyz / xyz.sum()
    n = (x - 0.3320) / (0.1858 - y)
    return float(((449 * n + 3525) * n + 6823.3) * n + 5520.33)


def encoded(linear: Array) -> Array:
    """Return gamma-encoded sRGB of linear light; values outside of [0, 1] go on."""
    power = np.maximum(linear, 0.0031308) ** (1 / 2.4)
    return np.where(linear > 0.0031308, 1.055 * power - 0.055, 12.92 * linear)


def decoded(srgb: Array) -> Array:
    """Return linear light of gamma-encoded sRGB."""
    return np.where(srgb > 0.04045, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4, srgb / 12.92)
