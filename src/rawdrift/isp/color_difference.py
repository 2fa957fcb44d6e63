"""Color differences of pictures as people see them: CIEDE2000 (CIE 142-2001), of sRGB."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WHITE = np.array([0.95047, 1.0, 1.08883])
"""D65 of the 2 degree observer."""
# Linear sRGB to CIE XYZ (IEC 61966-2-1).
XYZ_FROM_RGB = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
RGB_FROM_XYZ = np.linalg.inv(XYZ_FROM_RGB)


def lab(rgb: NDArray[Any]) -> Array:
    """Return CIE L*a*b* (..., 3) of sRGB (..., 3) in [0, 1], gamma encoded."""
    rgb = np.asarray(rgb, dtype=np.float64)
    above = np.maximum(rgb, 0.04045)
    return linear_lab(np.where(rgb > 0.04045, ((above + 0.055) / 1.055) ** 2.4, rgb / 12.92))


def linear_lab(linear: Array) -> Array:
    """Return CIE L*a*b* (..., 3) of linear sRGB (..., 3), also outside of [0, 1]."""
    xyz = linear @ (XYZ_FROM_RGB / WHITE[:, None]).T
    x, y, z = np.moveaxis(np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ciede2000(one: Array, other: Array) -> Array:
    """Return the difference Delta E_00 of colors in L*a*b*, (..., 3) each, to (...).

    Source: Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula", Color Research and
    Application 30 (2005), whose names are used.
    """
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(one, -1, 0), np.moveaxis(other, -1, 0)
    mean7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    g = 0.5 * (1 - np.sqrt(mean7 / (mean7 + 25.0**7)))
    a1, a2 = a1 * (1 + g), a2 * (1 + g)
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.arctan2(b1, a1) % (2 * np.pi), np.arctan2(b2, a2) % (2 * np.pi)
    gray = c1 * c2 == 0
    turn = h2 - h1
    turn = np.where(gray, 0.0, turn - 2 * np.pi * np.round(turn / (2 * np.pi)))
    mean_h = np.where(gray, h1 + h2, (h1 + h2) / 2 + np.pi * (abs(h1 - h2) > np.pi))
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * np.cos(mean_h - np.radians(30))
        + 0.24 * np.cos(2 * mean_h)
        + 0.32 * np.cos(3 * mean_h + np.radians(6))
        - 0.20 * np.cos(4 * mean_h - np.radians(63))
    )
    s_l = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    s_c, s_h = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    blue = np.exp(-(((np.degrees(mean_h) % 360 - 275) / 25) ** 2))
    r_t = -2 * np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7)) * np.sin(np.radians(60 * blue))
    d_l, d_c = (l2 - l1) / s_l, (c2 - c1) / s_c
    d_h = 2 * np.sqrt(c1 * c2) * np.sin(turn / 2) / s_h
    squares = d_l**2 + d_c**2 + d_h**2 + r_t * d_c * d_h
    found: Array = np.sqrt(np.maximum(squares, 0))
    return found
