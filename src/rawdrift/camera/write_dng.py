"""Write a mosaic as a DNG (Adobe DNG 1.4) with everything that its camera states.

The camera turns camera RGB c into output RGB by T c, T = color matrix diag(white balance). The
neutral n is the color that becomes white, T n = (1, 1, 1), and ColorMatrix1 is T**-1 RGB_from_XYZ
for D65. A program that balances by 1 / n and inverts the matrix arrives at T c, up to a factor.
"""

import struct
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rawdrift.camera import dng_profile as profile
from rawdrift.camera.camera import Camera, Illuminant
from rawdrift.camera.colorimetry import D50, LIGHTS, XYZ_FROM_RGB, adaptation, decoded, white
from rawdrift.cfa import MONO, is_bayer, layout, offsets
from rawdrift.checks import InputError

_D65 = 21  # of the EXIF light sources
_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED, _SRATIONAL, _FLOAT, _DOUBLE = (
    1,
    2,
    3,
    4,
    5,
    7,
    10,
    11,
    12,
)
_BAD_PIXELS, _VIGNETTE, _GAIN_MAP = 5, 3, 9
_NEAR = 0.01  # of a temperature: it is that of a light source of EXIF
_TERMS = 5  # of a FixVignetteRadial


def dng(mosaic: NDArray[np.uint16], camera: Camera) -> bytes:
    """Return a mosaic (H, W) in the camera's DN as the bytes of a DNG.

    Raises InputError for a color matrix that can't be inverted, and for colors that are not R, G
    and B.
    """
    import tifffile

    buffer = BytesIO()
    tifffile.imwrite(
        buffer,
        np.ascontiguousarray(mosaic, np.uint16),
        photometric="cfa",
        metadata=None,
        byteorder="<",
        software=False,
        extratags=[(*tag, True) for tag in _tags(camera, mosaic.shape)],
    )
    written = buffer.getvalue()
    if camera.cfa == MONO:  # one sample of LinearRaw, which tifffile doesn't write
        cfa, linear = (struct.pack("<HHIH", 262, 3, 1, kind) for kind in (32803, 34892))
        written = written.replace(cfa, linear, 1)
    return written


def _tags(camera: Camera, shape: tuple[int, ...]) -> Iterator[tuple[int, int, int, Any]]:
    """Yield code, type, count and value of each tag."""
    full = 2**camera.bit_depth - 1
    height, width, _, _, places = layout(camera.cfa)
    cell = sorted((p.row, p.column, p.color, camera.black_level[p.site]) for p in places)
    colors = [color for _, _, color, _ in cell]
    if camera.cfa != MONO and not {*colors} <= {*"RGB"}:
        raise InputError(
            f"camera {camera.name!r} has the color filter array {camera.cfa}, but the DNGs that "
            f"are written hold R, G and B: choose an ISP of rawdrift's own"
        )
    white = full if camera.white_level is None else camera.white_level * full
    matrix, neutral = _colors(camera)
    name = camera.name.encode("ascii", "replace")
    yield 271, _ASCII, 9, b"rawdrift\0"
    yield 272, _ASCII, len(name) + 1, name + b"\0"
    yield 274, _SHORT, 1, 1  # upright
    if camera.cfa != MONO:
        yield 33421, _SHORT, 2, (height, width)
        yield 33422, _BYTE, len(cell), bytes(map("RGB".index, colors))
    yield 50706, _BYTE, 4, bytes((1, 4, 0, 0))
    yield 50707, _BYTE, 4, bytes((1, 1, 0, 0))
    yield 50708, _ASCII, len(name) + 1, name + b"\0"
    if camera.cfa != MONO:
        yield 50710, _BYTE, 3, bytes((0, 1, 2))
        yield 50711, _SHORT, 1, 1  # a rectangular layout
    if camera.linearization is not None:
        points = np.asarray(camera.linearization)
        codes = np.interp(np.arange(full + 1) / full, *points.T) * full
        yield 50712, _SHORT, full + 1, np.rint(codes).astype(np.uint16).tolist()
    yield 50713, _SHORT, 2, (height, width)
    yield 50714, _RATIONAL, len(cell), _rationals((level * full for *_, level in cell), 2**16)
    yield 50717, _LONG, 1, round(white)
    if camera.illuminants is None:
        yield 50721, _SRATIONAL, 9, _rationals(matrix.ravel(), 2**24)
        yield 50778, _SHORT, 1, _D65
    for number, light in enumerate(camera.illuminants or ()):
        yield from _light(number, light)
    yield 50728, _RATIONAL, 3, _rationals(neutral, 2**24)
    if (tones := _tones(camera)) is not None:
        exposure = -np.log2(camera.tone_curve[-1][0])  # type: ignore[index]
        yield profile.EXPOSURE, _SRATIONAL, 1, _rationals([exposure], 2**20)
        yield profile.CURVE, _FLOAT, len(tones), tones
    if camera.noise is not None:
        yield 51041, _DOUBLE, 2, _noise(camera, white)
    for tag, opcodes in ((51008, [*_bad_pixels(camera)]), (51009, [*_shading(camera, shape)])):
        if opcodes:
            data = struct.pack(">I", len(opcodes)) + b"".join(opcodes)
            yield tag, _UNDEFINED, len(data), data


def _colors(camera: Camera) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the matrix from XYZ to camera RGB, and the neutral, whose largest value is 1."""
    whole = np.array(camera.color_matrix) @ np.diag(camera.white_balance)
    if abs(np.linalg.det(whole)) < 1e-9:
        raise InputError(
            f"camera {camera.name!r} has a color matrix and white balance that can't be inverted, "
            f"as a DNG needs them; correct color_matrix or white_balance"
        )
    inverse = np.linalg.inv(whole)
    neutral = inverse.sum(axis=1)
    if (neutral <= 0).any():  # no light looks white
        neutral = 1 / np.abs(camera.white_balance)
    return inverse @ np.linalg.inv(XYZ_FROM_RGB) / neutral.max(), neutral / neutral.max()


def _light(number: int, light: Illuminant) -> Iterator[tuple[int, int, int, Any]]:
    """Yield the tags of one of two illuminants."""
    xyz = white(light.temperature)
    near = {code: abs(kelvin / light.temperature - 1) for code, kelvin in LIGHTS.items()}
    code = min(near, key=lambda code: near[code])
    if near[code] > _NEAR:
        code = profile.OTHER
        x, y, _ = xyz / xyz.sum()
        data = struct.pack("<H4I", 0, *_rationals((x, y), 2**24))
        yield profile.LIGHT_DATA[number], _UNDEFINED, len(data), data
    yield profile.LIGHT[number], _SHORT, 1, code
    matrix = np.array(light.color_matrix)
    if abs(np.linalg.det(matrix)) < 1e-9 or min(abs(matrix.sum(axis=1))) < 1e-6:
        raise InputError(
            f"the color matrix at {light.temperature:g} K can't be inverted, as a DNG needs it; "
            f"correct illuminants"
        )
    forward = np.linalg.inv(profile.RGB_FROM_D50) @ matrix
    camera = np.diag(1 / np.array(light.white_balance)) @ np.linalg.inv(forward)
    camera = camera @ adaptation(xyz, D50)
    yield profile.COLOR[number], _SRATIONAL, 9, _rationals(camera.ravel(), 2**24)
    yield profile.FORWARD[number], _SRATIONAL, 9, _rationals(forward.ravel(), 2**24)


def _tones(camera: Camera) -> list[float] | None:
    """Return the points of a ProfileToneCurve, from linear to linear, if the camera's tone curve
    goes from 0 to 1, as that must."""
    if camera.tone_curve is None:
        return None
    inputs, outputs = np.array(camera.tone_curve).T
    if inputs[0] != 0 or outputs[0] != 0 or abs(outputs[-1] - 1) > 1e-9:
        return None
    from scipy.interpolate import PchipInterpolator  # as ToneCurve does

    at = np.union1d(inputs, inputs[-1] * np.linspace(0, 1, 256) ** 3)
    at = at[np.append(True, np.diff(at) > 1e-7 * inputs[-1])]
    linear = decoded(PchipInterpolator(inputs, outputs)(at)).clip(0, 1)
    points: list[float] = np.stack([at / at[-1], linear], axis=1).ravel().tolist()
    return points


def _rationals(values: Iterable[float], denominator: int) -> list[int]:
    return [part for value in values for part in (round(value * denominator), denominator)]


def _noise(camera: Camera, white: float) -> tuple[float, float]:
    """Return scale and offset of a NoiseProfile; see `dng.noise_profile`."""
    noise = camera.noise
    assert noise is not None
    distance = white - (2**camera.bit_depth - 1) * float(np.mean(camera.black_level))
    read = (noise.gain * (noise.read_noise or 0.0)) ** 2
    return noise.gain / distance, (read + 1 / 12) / distance**2


def _opcode(number: int, parameters: bytes) -> bytes:
    """An opcode that a reader may skip."""
    return struct.pack(">4I", number, 0x01030000, 1, len(parameters)) + parameters


def _bad_pixels(camera: Camera) -> Iterator[bytes]:
    if camera.defective_pixels and is_bayer(camera.cfa):
        phase = [(0, 0), (0, 1), (1, 0), (1, 1)].index(offsets(camera.cfa)[0])
        points = [place for pixel in camera.defective_pixels for place in pixel]
        header = (phase, len(camera.defective_pixels), 0)
        yield _opcode(_BAD_PIXELS, struct.pack(f">{3 + len(points)}I", *header, *points))


def _shading(camera: Camera, shape: tuple[int, ...]) -> Iterator[bytes]:
    if camera.shading is not None and is_bayer(camera.cfa):
        for gains, (top, left) in zip(camera.shading, offsets(camera.cfa), strict=True):
            values = np.array(gains, ">f4")
            down, across = values.shape
            area = struct.pack(">8I", top, left, *shape, 0, 1, 2, 2)
            grid = struct.pack(">2I4d", down, across, 1 / (down - 1), 1 / (across - 1), 0, 0)
            yield _opcode(_GAIN_MAP, area + grid + struct.pack(">I", 1) + values.tobytes())
    if camera.radial_shading is not None and len(camera.radial_shading) <= _TERMS:
        terms = [*camera.radial_shading, *[0.0] * (_TERMS - len(camera.radial_shading))]
        yield _opcode(_VIGNETTE, struct.pack(">7d", *terms, 0.5, 0.5))
