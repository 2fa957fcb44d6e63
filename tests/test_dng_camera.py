"""What a DNG states about its camera beyond levels: lens shading, tone curve, two lights."""

import struct
from dataclasses import replace

import colour
import numpy as np
import pytest
import rawpy
import torch

import rawdrift as rd
from rawdrift.camera.camera import Illuminant
from rawdrift.camera.colorimetry import encoded, temperature, white
from rawdrift.camera.decode import decode
from rawdrift.camera.write_dng import dng
from rawdrift.cfa import layout, offsets

import test_tiff
from test_tiff import values

RNG = np.random.default_rng(5)


def gain_map(area, gains, pitch=(2, 2), origin=(0.0, 0.0), spacing=None, number=9):
    """An opcode, written as the specification lists it."""
    gains = np.array(gains, ">f4")
    down, across = gains.shape
    step = spacing or tuple(1 / max(count - 1, 1) for count in gains.shape)
    body = struct.pack(">8I", *area, 0, 1, *pitch)
    body += struct.pack(">2I4dI", down, across, *step, *origin, 1) + gains.tobytes()
    return struct.pack(">4I", number, 0x01030000, 1, len(body)) + body


def tag(*opcodes):
    return 7, list(struct.pack(">I", len(opcodes)) + b"".join(opcodes))


def gain(gains, place, shape, origin=(0.0, 0.0), spacing=None):
    """The gain of one pixel, by the specification's words: bilinear, at the pixel's middle."""
    spacing = spacing or tuple(1 / (count - 1) for count in gains.shape)
    at = [
        np.clip(((place[i] + 0.5) / shape[i] - origin[i]) / spacing[i], 0, gains.shape[i] - 1)
        for i in (0, 1)
    ]
    (top, y), (left, x) = (
        (min(int(a), n - 2), a - min(int(a), n - 2)) for a, n in zip(at, gains.shape, strict=True)
    )
    square = gains[top : top + 2, left : left + 2]
    return np.array([1 - y, y]) @ square @ np.array([1 - x, x])


@pytest.mark.parametrize("cfa", ["RGGB", "GBRG"])
def test_gain_maps_are_those_of_the_specification(cfa, tmp_path):
    shape = 24, 32
    maps = RNG.uniform(1, 2, (4, 5, 4))
    listed = [
        gain_map((*offset, *shape), one) for offset, one in zip(offsets(cfa), maps, strict=True)
    ]
    pattern = [{"R": 0, "G": 1, "B": 2}[color] for color in cfa]
    path = test_tiff.dng(
        tmp_path / "a.dng", values(size=shape), t51009=tag(*listed), t33422=(1, pattern)
    )
    raw = rd.read_raw(path)
    assert raw.notes == ()
    corrected = rd.isp.LensShading.of(raw.camera)(torch.ones(shape, dtype=torch.float64))
    for site, row, column, _ in layout(cfa).places:
        for y in range(row, shape[0], 2):
            for x in range(column, shape[1], 2):
                expected = gain(maps[site], (y, x), shape)
                assert float(corrected[y, x]) == pytest.approx(expected, rel=1e-6)
    assert "shading" in rd.isp.static("bi,s,me", raw.camera).steps
    plain = replace(raw.camera, shading=None, name="plain")
    assert "states shading, which camera 'plain' does not" in rd.read_raw(path, plain).notes[0]


def test_maps_multiply_and_others_are_resampled(tmp_path):
    shape = 24, 32
    whole = RNG.uniform(1, 2, (3, 3))
    red = RNG.uniform(1, 2, (3, 3))
    listed = gain_map((0, 0, *shape), whole, (1, 1)), gain_map((0, 0, *shape), red)
    camera = rd.Camera.from_file(
        test_tiff.dng(tmp_path / "a.dng", values(size=shape), t51009=tag(*listed))
    )
    np.testing.assert_allclose(camera.shading[0], whole * red, rtol=1e-6)
    np.testing.assert_allclose(camera.shading[3], whole, rtol=1e-6)
    origin, spacing = (0.1, -0.2), (0.4, 0.6)
    other = gain_map((0, 0, *shape), whole, (1, 1), origin, spacing)
    raw = rd.read_raw(test_tiff.dng(tmp_path / "b.dng", values(size=shape), t51009=tag(other)))
    assert raw.notes == ("its gain maps are resampled to 33x33 points",)
    corrected = rd.isp.LensShading.of(raw.camera)(torch.ones(shape, dtype=torch.float64))
    expected = [[gain(whole, (y, x), shape, origin, spacing) for x in range(32)] for y in range(24)]
    np.testing.assert_allclose(corrected, expected, atol=0.02)
    constant = gain_map((0, 0, *shape), [[1.5]], (1, 1))
    camera = rd.Camera.from_file(
        test_tiff.dng(tmp_path / "c.dng", values(size=shape), t51009=tag(constant))
    )
    np.testing.assert_array_equal(camera.shading, np.full((4, 2, 2), 1.5))


PARTS = {
    "half of the frame": gain_map((0, 0, 12, 32), np.ones((2, 2)) * 2),
    "every third row": gain_map((0, 0, 24, 32), np.ones((2, 2)) * 2, (3, 2)),
}
BAD = {
    "cut": gain_map((0, 0, 24, 32), np.ones((2, 2)))[:-4],
    "negative": gain_map((0, 0, 24, 32), -np.ones((2, 2))),
    "no number": gain_map((0, 0, 24, 32), np.full((2, 2), np.nan)),
    "of no step": gain_map((0, 0, 24, 32), np.ones((2, 2)), spacing=(0.0, 1.0)),
    "of endless points": struct.pack(">4I", 9, 1 << 24, 0, 76)
    + struct.pack(">8I2I4dI", 0, 0, 24, 32, 0, 1, 2, 2, 2**31, 2**31, 1, 1, 0, 0, 1),
}


@pytest.mark.parametrize("what", [*PARTS, *BAD])
def test_a_gain_map(what, tmp_path):
    path = test_tiff.dng(
        tmp_path / "a.dng", values(size=(24, 32)), t51009=tag({**PARTS, **BAD}[what])
    )
    if what in PARTS:
        assert decode(path).notes == (
            "it asks for GainMap on parts of the frame, which is not done",
        )
        assert rd.Camera.from_file(path).shading is None
    else:
        with pytest.raises(rd.InputError, match="impossible metadata: a GainMap"):
            decode(path)


def test_a_list_of_endless_opcodes_is_refused(tmp_path):
    path = test_tiff.dng(tmp_path / "a.dng", values(), t51009=(7, list(struct.pack(">I", 2**31))))
    with pytest.raises(rd.InputError, match="2147483648 opcodes"):
        decode(path)


def test_a_tone_curve_becomes_that_of_the_view(tmp_path):
    x = np.linspace(0, 1, 20) ** 2
    y = x**0.8
    curve = (11, np.stack([x, y], 1).ravel().tolist())
    exposed = {"t50730": (10, [1, 2])}  # half a stop
    for more, scale in (({}, 1.0), (exposed, 2**0.5)):
        camera = rd.Camera.from_file(
            test_tiff.dng(tmp_path / "a.dng", values(), t50940=curve, **more)
        )
        light = torch.linspace(0, 0.7, 50, dtype=torch.float64)
        view = rd.isp.ToneCurve.of(camera)(light.repeat(1, 3, 1, 1))[0, 0, 0]
        np.testing.assert_allclose(view, encoded((scale * light.numpy()) ** 0.8), atol=0.012)
        assert "tone_curve" in rd.isp.static("bi,s,me", camera).steps
    for bad in ([0, 0, 1], [0, 0, 0, 1], [0, 0, 2, 1], [0, float("nan"), 1, 1]):
        with pytest.raises(rd.InputError, match="a ProfileToneCurve"):
            decode(test_tiff.dng(tmp_path / "a.dng", values(), t50940=(11, bad)))
    falls = test_tiff.dng(tmp_path / "a.dng", values(), t50940=(11, [0, 0, 0.5, 1, 1, 0.5]))
    assert rd.Camera.from_file(falls).tone_curve is None


def test_whites_are_those_of_an_independent_package():
    for kelvin in (2000, 2856, 3600, 5003, 6504, 9000):
        xyz = white(kelvin)
        method = "Kang 2002" if kelvin < 4000 else "CIE Illuminant D Series"
        xy = colour.temperature.CCT_to_xy(kelvin, method)
        np.testing.assert_allclose(xyz[:2] / xyz.sum() * [1, 1], xy, atol=2e-4)
        assert temperature(xyz) == pytest.approx(kelvin, rel=0.02)


WARM = Illuminant(
    2856.0, (1.2, 1.0, 2.4), ((1.4, -0.3, -0.1), (-0.3, 1.7, -0.4), (0.05, -0.75, 1.7))
)
COLD = Illuminant(
    6504.0, (2.0, 1.0, 1.4), ((1.6, -0.4, -0.2), (-0.25, 1.6, -0.35), (-0.02, -0.45, 1.47))
)


@pytest.mark.parametrize("kelvin", [2856.0, 3100.0, 5003.0, 6504.0])
def test_everything_is_read_back_as_it_was_written(kelvin, tmp_path):
    camera = rd.Camera(
        "lab", "GRBG", 0.05, 1.0, illuminants=(WARM, replace(COLD, temperature=6100.0)),
        shading=RNG.uniform(1, 2, (4, 3, 5)).tolist(), radial_shading=(0.2, 0.1),
        tone_curve=[(1.3 * x, x**0.5) for x in np.linspace(0, 1, 33)],
    ).at(kelvin)  # fmt: skip
    path = tmp_path / "lab.dng"
    path.write_bytes(dng(values(size=(24, 32)).astype(np.uint16), camera))
    read = rd.Camera.from_file(path)
    np.testing.assert_allclose(read.shading, camera.shading, rtol=1e-6)
    assert read.radial_shading == camera.radial_shading
    light = torch.linspace(0, 1.4, 99, dtype=torch.float64).repeat(1, 3, 1, 1)
    tones = [rd.isp.ToneCurve.of(one)(light) for one in (read, camera)]
    torch.testing.assert_close(*tones, atol=2e-3, rtol=0)
    np.testing.assert_allclose(read.white_balance, camera.white_balance, rtol=1e-4)
    for one, other in zip(read.illuminants, camera.illuminants, strict=True):
        assert one.temperature == pytest.approx(other.temperature, rel=0.005)
        np.testing.assert_allclose(one.white_balance, other.white_balance, rtol=0.01)
        np.testing.assert_allclose(one.color_matrix, other.color_matrix, atol=1e-3)
    if kelvin == 2856:  # between the two, gains are of Wien's law here, and of the profile there
        np.testing.assert_allclose(read.color_matrix, camera.color_matrix, atol=0.01)
    with rawpy.imread(str(path)) as raw:
        assert raw.postprocess().shape == (24, 32, 3)


def test_matrices_alone_are_adapted_and_interpolated_as_the_specification_says(tmp_path):
    """An independent evaluation of its chapter 6, with the package colour for the lights."""
    cold = np.array([[0.8, -0.2, -0.1], [-0.4, 1.2, 0.2], [-0.1, 0.2, 0.6]])
    warm = np.array([[0.9, -0.3, 0.0], [-0.4, 1.1, 0.3], [0.0, 0.2, 0.7]])
    kelvin, lights = 4300, (2856, 6504)
    share = (1 / kelvin - 1 / lights[0]) / (1 / lights[1] - 1 / lights[0])
    mixed = (1 - share) * warm + share * cold
    x, y = colour.temperature.CCT_to_xy(kelvin, "CIE Illuminant D Series")
    xyz = np.array([x / y, 1, (1 - x - y) / y])
    neutral = mixed @ xyz / (mixed @ xyz).max()

    def rational(numbers):
        return 10, [part for n in np.ravel(numbers) for part in (round(n * 10**6), 10**6)]

    path = test_tiff.dng(
        tmp_path / "a.dng", values(), t50721=rational(warm), t50722=rational(cold),
        t50778=(3, [17]), t50779=(3, [21]), t50728=(5, rational(neutral)[1]),
    )  # fmt: skip
    camera = rd.Camera.from_file(path)
    adapted = colour.adaptation.matrix_chromatic_adaptation_VonKries(
        xyz, np.array([0.95047, 1, 1.08883]), "Bradford"
    )
    expected = np.linalg.inv(colour.models.RGB_COLOURSPACE_sRGB.matrix_RGB_to_XYZ) @ adapted
    expected = expected @ np.linalg.inv(mixed) @ np.diag(neutral)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(camera.color_matrix, expected, atol=0.02)
    np.testing.assert_allclose(camera.white_balance, neutral[1] / neutral, rtol=1e-4)
    assert [light.temperature for light in camera.illuminants] == [2856, 6504]


@pytest.mark.parametrize(
    "broken", [{"t50722": (10, [0, 1] * 9)}, {"t50779": (3, [17])}, {"t50779": (3, [99])}]
)
def test_a_profile_of_one_light_stays_that_of_libraw(broken, tmp_path):
    one = rd.Camera.from_file(test_tiff.dng(tmp_path / "a.dng", values()))
    extra = {
        "t50722": (10, [1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1]),
        "t50779": (3, [21]),
    }
    two = rd.Camera.from_file(
        test_tiff.dng(tmp_path / "a.dng", values(), t50778=(3, [17]), **{**extra, **broken})
    )
    assert one.illuminants is None
    assert two.illuminants is None


def test_x_trans_is_read_by_libraw_with_its_cell_of_six(tmp_path):
    """As of a camera's own format: LibRaw gives the pattern as 6x6 numbers of colors."""
    camera = rd.Camera("x", "XTRANS", 0.05, 1.0, white_balance=(2.0, 1.0, 1.5))
    mosaic = RNG.integers(4000, 60000, (36, 48)).astype(np.uint16)
    path = tmp_path / "a.raf"
    path.write_bytes(dng(mosaic, camera))
    with rawpy.imread(str(path)) as raw:
        assert raw.raw_pattern.shape == (6, 6)
    read = rd.read_raw(path)
    assert read.camera.cfa == "XTRANS"
    np.testing.assert_array_equal((read.mosaic * 65535).round().numpy(), mosaic)
    np.testing.assert_allclose(read.camera.white_balance, camera.white_balance, rtol=1e-4)
    np.testing.assert_allclose(read.camera.black_level, camera.black_level, atol=1e-4)
    assert rd.isp.static("bi,s,me", read.camera)(read.mosaic).shape == (3, 36, 48)
