"""The colors that a DNG's profile states: matrices of two lights, and a tone curve (DNG 1.7).

A ColorMatrix M turns XYZ into camera RGB, so that light of the white W is seen as the neutral
n = M W. A ForwardMatrix F turns camera RGB, divided by the neutral, into XYZ of D50; without it,
the adaptation from W to D50 of M**-1 does. Both are interpolated by the inverse of the color
temperature, which the neutral tells: the white M(T)**-1 n has the temperature T.
"""

import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rawdrift.camera.colorimetry import (
    D50,
    D65,
    LIGHTS,
    XYZ_FROM_RGB,
    adaptation,
    encoded,
    temperature,
    white,
)
from rawdrift.camera.tiff import Page
from rawdrift.checks import InputError

Array = NDArray[np.float64]

BALANCE, NEUTRAL, EXPOSURE, CURVE = 50727, 50728, 50730, 50940
LIGHT, COLOR, CALIBRATION, FORWARD = (50778, 50779), (50721, 50722), (50723, 50724), (50964, 50965)
OTHER, LIGHT_DATA = 255, (52533, 52534)
_MOST = 8192  # points of a curve
_KNOTS, _FEW = 40, 64
_ALIKE = 0.02  # of a temperature, below which two lights are one

RGB_FROM_D50: Array = np.linalg.inv(XYZ_FROM_RGB) @ adaptation(D50, D65)


class _Light(NamedTuple):
    """temperature: in kelvin. camera: from XYZ to camera RGB. forward: from balanced camera RGB to
    XYZ of D50, or None. Both (3, 3)."""

    temperature: float
    camera: Array
    forward: Array | None


def colors(page: Page, planes: list[int]) -> dict[str, Any]:
    """Return the fields illuminants and color_matrix of a camera whose profile has two lights.

    planes: which of the camera's are red, green, blue. Returns nothing for other profiles. Raises
    InputError for numbers that are none.
    """
    neutral = _numbers(page, NEUTRAL, 3)
    lights = [_light(page, number) for number in range(2)]
    one, other = lights
    if neutral is None or one is None or other is None or (neutral <= 0).any():
        return {}
    if abs(1 - one.temperature / other.temperature) < _ALIKE:
        return {}
    at = _as_shot(one, other, neutral)
    seen = [light.camera @ white(light.temperature) for light in lights if light is not None]
    if at is None or any((color <= 0).any() for color in seen):
        return {}
    illuminants = [
        {
            "temperature": light.temperature,
            "white_balance": (color[1] / color)[planes].tolist(),
            "color_matrix": _matrix(light, color, planes).tolist(),
        }
        for light, color in zip((one, other), seen, strict=True)
    ]
    return {
        "illuminants": illuminants,
        "color_matrix": _matrix(_between(one, other, at), neutral, planes).tolist(),
    }


def _light(page: Page, number: int) -> _Light | None:
    camera = _numbers(page, COLOR[number], 9)
    source = page.profile(LIGHT[number])
    if camera is None or len(source) != 1:
        return None
    kelvin = LIGHTS.get(int(source[0]))
    if source[0] == OTHER:
        kelvin = _stated(bytes(page.profile(LIGHT_DATA[number])), page.order)
    balance, calibration = _numbers(page, BALANCE, 3), _numbers(page, CALIBRATION[number], 9)
    own = np.eye(3) if calibration is None else calibration.reshape(3, 3)
    own = own if balance is None else np.diag(balance) @ own
    whole = own @ camera.reshape(3, 3)
    forward = _numbers(page, FORWARD[number], 9)
    if kelvin is None or min(abs(np.linalg.det(whole)), abs(np.linalg.det(own))) < 1e-6:
        return None
    if forward is None or not abs(np.linalg.det(forward.reshape(3, 3))) > 1e-6:
        return _Light(kelvin, whole, None)
    if not np.allclose(own, np.diag(np.diag(own))):
        return _Light(kelvin, whole, None)  # one that mixes colors does not commute with balancing
    return _Light(kelvin, whole, forward.reshape(3, 3))


def _stated(data: bytes, order: str) -> float | None:
    """Return the temperature of an IlluminantData of x and y."""
    if len(data) != 18 or struct.unpack_from(f"{order}H", data)[0] != 0:
        return None
    x, dx, y, dy = struct.unpack_from(f"{order}4I", data, 2)
    if not (x and dx and y and dy and x / dx + y / dy < 1):
        return None
    return temperature(np.array([x / dx, y / dy, 1 - x / dx - y / dy]))


def _numbers(page: Page, tag: int, count: int) -> Array | None:
    values = page.profile(tag)
    if not values:
        return None
    if len(values) != count or not np.isfinite(values).all():
        raise InputError(
            f"{page.file.name} has impossible metadata: tag {tag} is {list(values)[:9]}, expected "
            f"{count} finite numbers"
        )
    return np.array(values, float)


def _between(one: _Light, other: _Light, kelvin: float) -> _Light:
    """Return the matrices at a temperature, of the nearer light beyond the two."""
    share = (1 / kelvin - 1 / one.temperature) / (1 / other.temperature - 1 / one.temperature)
    share = min(max(share, 0.0), 1.0)
    forward = None
    if one.forward is not None and other.forward is not None:
        forward = (1 - share) * one.forward + share * other.forward
    return _Light(kelvin, (1 - share) * one.camera + share * other.camera, forward)


def _as_shot(one: _Light, other: _Light, neutral: Array) -> float | None:
    """Return the color temperature of the light whose white a camera sees as this neutral."""
    kelvin = 5000.0
    for _ in range(50):
        xyz = np.linalg.pinv(_between(one, other, kelvin).camera) @ neutral
        if not (xyz > 0).all():
            return None
        after = min(max(temperature(xyz), 1667.0), 25000.0)
        if abs(after - kelvin) < 0.01:
            break
        kelvin = 2 / (1 / after + 1 / kelvin)
    return kelvin


def _matrix(light: _Light, neutral: Array, planes: list[int]) -> Array:
    """Return the matrix from balanced camera RGB to linear sRGB, whose rows sum to 1."""
    if light.forward is not None:
        to_d50 = light.forward
    else:
        inverse = np.linalg.pinv(light.camera)
        to_d50 = adaptation(inverse @ neutral, D50) @ inverse @ np.diag(neutral)
    matrix = RGB_FROM_D50 @ to_d50
    kept: Array = (matrix / matrix.sum(axis=1, keepdims=True))[:, planes]
    return kept


def tone_curve(page: Page) -> tuple[tuple[float, float], ...] | None:
    """Return the ProfileToneCurve as a curve from linear light to gamma-encoded sRGB.

    The profile's goes from linear to linear, after BaselineExposure. Returns None without one, and
    for one that falls. Raises InputError for an impossible one.
    """
    values = np.array(page.profile(CURVE), float)
    if not values.size:
        return None
    if values.size % 2 or not 4 <= values.size <= 2 * _MOST or not np.isfinite(values).all():
        raise InputError(
            f"{page.file.name} has impossible metadata: a ProfileToneCurve of {values.size} "
            f"numbers, expected 2 to {_MOST} points"
        )
    x, y = values.reshape(-1, 2).T
    if not ((np.diff(x) > 0).all() and min(x[0], y.min()) >= 0 and max(x[-1], y.max()) <= 1):
        raise InputError(
            f"{page.file.name} has impossible metadata: a ProfileToneCurve whose points don't rise "
            f"from 0 to 1"
        )
    if (np.diff(y) < 0).any():
        return None
    exposure = _numbers(page, EXPOSURE, 1)
    scale = 1.0 if exposure is None else float(2.0 ** np.clip(exposure[0], -16, 16))
    from scipy.interpolate import PchipInterpolator

    inputs = np.linspace(0, 1, _KNOTS) ** 3
    inputs = np.union1d(
        inputs[(inputs >= x[0]) & (inputs <= x[-1])], x if len(x) <= _FEW else x[:0]
    )
    inputs = inputs[np.append(True, np.diff(inputs) > 1e-9)]
    linear = PchipInterpolator(x, y)(inputs).clip(0, 1)
    outputs = np.maximum.accumulate(encoded(linear))
    return tuple(zip((inputs / scale).tolist(), outputs.tolist(), strict=True))
