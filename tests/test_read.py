"""Raw files: what is written is read back exactly, and what is not raw is refused."""

import warnings

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import rawdrift as rd
from rawdrift.camera.decode import decode
from rawdrift.cfa import PATTERNS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pidng.core import RAW2DNG, DNGTags, Tag
    from pidng.defs import CalibrationIlluminant, CFAPattern, DNGVersion, PhotometricInterpretation

# A Sony matrix in the form of a DNG: XYZ to camera, in 1/10000.
XYZ_TO_CAMERA = [4912, -1188, -245, -4786, 12448, 2629, -912, 1845, 6023]


def mosaic(bits=16, size=(33, 26)):
    return np.random.default_rng(1).integers(0, 2**bits, size).astype(np.uint16)


def write_png(path, pixels):
    path.write_bytes(imagecodecs.png_encode(pixels))


def write_dng(
    path, pixels, pattern="RGGB", black=(512, 520, 528, 536), white=60000, bits=16, more=None
):
    """A minimal DNG, by the independent package pidng. more: further tags."""
    tags = DNGTags()
    height, width = pixels.shape
    for tag, value in {
        Tag.ImageWidth: width,
        Tag.ImageLength: height,
        Tag.TileWidth: width,
        Tag.TileLength: height,
        Tag.PhotometricInterpretation: PhotometricInterpretation.Color_Filter_Array,
        Tag.SamplesPerPixel: 1,
        Tag.BitsPerSample: bits,
        Tag.CFARepeatPatternDim: [2, 2],
        Tag.CFAPattern: getattr(CFAPattern, pattern),
        Tag.BlackLevelRepeatDim: [2, 2],
        Tag.BlackLevel: list(black),
        Tag.WhiteLevel: white,
        Tag.ColorMatrix1: [[value, 10000] for value in XYZ_TO_CAMERA],
        Tag.CalibrationIlluminant1: CalibrationIlluminant.D65,
        Tag.AsShotNeutral: [[1, 2], [1, 1], [5, 8]],
        Tag.DNGVersion: DNGVersion.V1_4,
        Tag.DNGBackwardVersion: DNGVersion.V1_2,
        Tag.Make: "Test",
        Tag.Model: "Test 1",
        **(more or {}),
    }.items():
        tags.set(tag, value)
    converter = RAW2DNG()
    converter.options(tags, path=str(path.parent), compress=False)
    converter.convert(pixels, filename=path.stem)
    return path


WRITERS = {
    "tif": lambda path, pixels: tifffile.imwrite(path, pixels),
    "tiff": lambda path, pixels: tifffile.imwrite(path, pixels, compression="lzw"),
    "TIFF": lambda path, pixels: tifffile.imwrite(path, pixels, byteorder=">"),
    "png": write_png,
    "npy": lambda path, pixels: np.save(path, pixels),
}


@pytest.mark.parametrize("suffix", WRITERS)
def test_sixteen_bits_are_read_back_exactly(suffix, tmp_path):
    path, pixels = tmp_path / f"raw.{suffix}", mosaic()
    WRITERS[suffix](path, pixels)
    camera = rd.Camera.load("raw-drone")
    raw = rd.read_raw(path, camera=camera)
    assert raw.camera is camera
    assert raw.mosaic.dtype == torch.float32
    assert raw.mosaic.shape == pixels.shape
    np.testing.assert_array_equal(np.rint(raw.mosaic.double().numpy() * 65535), pixels)
    np.testing.assert_allclose(raw.mosaic, pixels / 65535, rtol=1e-6)
    assert rd.read_raw(str(path)).camera is None


def test_the_container_gives_the_scale(tmp_path):
    np.save(tmp_path / "twelve.npy", np.array([[0, 4095], [1, 2]], dtype=np.uint16))
    twelve = rd.Camera(name="x", cfa="RGGB", bit_depth=12)
    assert rd.read_raw(tmp_path / "twelve.npy", camera=twelve).mosaic[0, 1] == 1
    assert rd.read_raw(tmp_path / "twelve.npy").mosaic[0, 1] == np.float32(4095 / 65535)
    np.save(tmp_path / "eight.npy", np.array([[0, 255], [1, 2]], dtype=np.uint8))
    assert rd.read_raw(tmp_path / "eight.npy").mosaic[0, 1] == 1
    np.save(tmp_path / "floats.npy", np.array([[0, 1], [0.5, 0.25]]))
    floats = rd.read_raw(tmp_path / "floats.npy", camera=twelve).mosaic
    assert floats.tolist() == [[0, 1], [0.5, 0.25]]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_dng_is_read_back_exactly_with_its_camera(pattern, tmp_path):
    pixels = mosaic(size=(64, 48))
    black = (512, 520, 528, 536)  # of the 2x2 cell, row by row
    path = write_dng(tmp_path / "shot.dng", pixels, pattern, black)
    raw = rd.read_raw(path)
    np.testing.assert_array_equal(np.rint(raw.mosaic.double().numpy() * 65535), pixels)
    camera = raw.camera
    assert camera == rd.Camera.from_file(path)
    assert (camera.name, camera.cfa, camera.bit_depth) == ("shot", pattern, 16)
    assert camera.white_level == pytest.approx(60000 / 65535)
    assert camera.white_balance == pytest.approx((2, 1, 1.6))
    red_row = pattern.index("R") // 2
    at = {"R": pattern.index("R"), "B": pattern.index("B"),
          "red row": pattern.index("G", 2 * red_row), "blue row": pattern.index("G", 2 - 2 * red_row)}  # fmt: skip
    expected = [black[at[site]] / 65535 for site in ("R", "red row", "blue row", "B")]
    assert camera.black_level == pytest.approx(expected)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_dng_without_its_colors_is_the_same_otherwise(pattern, tmp_path):
    path = write_dng(tmp_path / "shot.dng", mosaic(size=(64, 48)), pattern)
    whole, without = decode(path), decode(path, colors=False)
    np.testing.assert_array_equal(without.mosaic, whole.mosaic)
    colors = ("white_balance", "color_matrix", "provenance")
    assert without.metadata | {name: whole.metadata[name] for name in colors} == whole.metadata
    assert without.metadata["white_balance"] == (1, 1, 1)
    assert (without.bits, without.cfa, without.notes) == (whole.bits, whole.cfa, whole.notes)


def test_the_color_matrix_of_a_dng_maps_its_white_to_white_and_inverts_its_colors(tmp_path):
    camera = rd.read_raw(write_dng(tmp_path / "shot.dng", mosaic(size=(64, 48)))).camera
    matrix = np.array(camera.color_matrix)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
    # Linear sRGB red in XYZ (the standard's first column), seen by the camera, comes back as red.
    red = np.array(XYZ_TO_CAMERA).reshape(3, 3) @ [0.4124564, 0.2126729, 0.0193339]
    white = np.array(XYZ_TO_CAMERA).reshape(3, 3) @ [0.9504700, 1.0000001, 1.0888300]
    developed = matrix @ (red / white)
    np.testing.assert_allclose(developed, [1, 0, 0], atol=2e-3)


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize(("bits", "white", "black"), [(16, 60000, 512), (12, 4095, 64)])
def test_the_noise_profile_of_a_dng_gives_gain_and_read_noise(planes, bits, white, black, tmp_path):
    gain, read_noise = 0.55 * 2 ** (bits - 12), 3.2
    distance = white - black
    scale, offset = gain / distance, ((gain * read_noise) ** 2 + 1 / 12) / distance**2
    profile = [scale, offset] if planes == 1 else [9, 9, scale, offset, 9, 9]
    path = write_dng(
        tmp_path / "shot.dng", mosaic(bits, size=(64, 48)), black=(black,) * 4, white=white,
        bits=bits, more={Tag.NoiseProfile: profile},
    )  # fmt: skip
    noise = rd.Camera.from_file(path).noise
    assert (noise.gain, noise.read_noise) == pytest.approx((gain, read_noise))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_frames_of_a_cameras_sensor_have_the_variance_of_its_noise_profile(pattern, tmp_path):
    scale, offset = 2e-4, 3e-7
    path = write_dng(
        tmp_path / "shot.dng", mosaic(size=(64, 48)), pattern, black=(512,) * 4,
        more={Tag.NoiseProfile: [scale, offset]},
    )  # fmt: skip
    sensor = rd.sensor.Sensor(rd.Camera.from_file(path))
    for level in (0.0, 0.01, 0.5):
        dn = sensor.digital(torch.full((3, 400, 400), level), torch.Generator().manual_seed(1))
        x = (dn.double() - 512) / (60000 - 512)
        assert x.var() == pytest.approx(scale * level + offset, rel=0.02)


@pytest.mark.parametrize("profile", [None, [0.0, 0.0], [1e-4], [1e-4, 1e-7, 1e-4, 1e-7]])
def test_a_dng_without_a_noise_profile_that_can_be_read_has_no_noise(profile, tmp_path):
    more = {} if profile is None else {Tag.NoiseProfile: profile}
    path = write_dng(tmp_path / "shot.dng", mosaic(size=(64, 48)), more=more)
    assert rd.Camera.from_file(path).noise is None


def test_an_impossible_noise_profile_names_the_file(tmp_path):
    more = {Tag.NoiseProfile: [1e-4, float("nan")]}
    path = write_dng(tmp_path / "shot.dng", mosaic(size=(64, 48)), more=more)
    with pytest.raises(rd.InputError, match="shot.dng has impossible metadata.*read_noise"):
        rd.read_raw(path)


def test_the_second_color_matrix_of_a_dng_is_that_of_daylight(tmp_path):
    """Cameras write the matrix of incandescent light first, that of daylight second."""
    tungsten = [5000, -1500, -300, -5200, 12900, 2700, -1000, 2100, 5000]
    more = {
        Tag.ColorMatrix1: [[value, 10000] for value in tungsten],
        Tag.CalibrationIlluminant1: CalibrationIlluminant.Standard_Light_A,
        Tag.ColorMatrix2: [[value, 10000] for value in XYZ_TO_CAMERA],
        Tag.CalibrationIlluminant2: CalibrationIlluminant.D65,
    }
    both = rd.Camera.from_file(write_dng(tmp_path / "two.dng", mosaic(size=(64, 48)), more=more))
    daylight = rd.Camera.from_file(write_dng(tmp_path / "one.dng", mosaic(size=(64, 48))))
    np.testing.assert_allclose(both.at(6504).color_matrix, daylight.color_matrix, atol=2e-3)


def test_a_broken_dng_says_so_once(tmp_path, capfd):
    path = write_dng(tmp_path / "shot.dng", mosaic(size=(64, 48)))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(rd.InputError, match="shot.dng"):
        rd.read_raw(path)
    assert capfd.readouterr().err == ""


def test_impossible_metadata_name_the_file(tmp_path):
    path = write_dng(tmp_path / "shot.dng", mosaic(size=(64, 48)), black=(100,) * 4, white=50)
    with pytest.raises(rd.InputError, match="shot.dng has impossible metadata"):
        rd.read_raw(path)


def test_big_endian_arrays_are_read(tmp_path):
    np.save(tmp_path / "big.npy", mosaic().astype(">u2"))
    read = rd.read_raw(tmp_path / "big.npy").mosaic.double().numpy()
    np.testing.assert_array_equal(np.rint(read * 65535), mosaic())


def test_a_given_camera_overrides_the_files(tmp_path):
    path = write_dng(tmp_path / "shot.dng", mosaic(size=(64, 48)))
    camera = rd.Camera.load("raw-drone")
    assert rd.read_raw(path, camera=camera).camera is camera


def truncated(path, pixels):
    tifffile.imwrite(path, pixels)
    path.write_bytes(path.read_bytes()[:-500])


def half_png(path, pixels):
    write_png(path, pixels)
    path.write_bytes(path.read_bytes()[:400])


def no_end(path, pixels):
    write_png(path, pixels)
    path.write_bytes(path.read_bytes()[:-12])


def nan(path, pixels):
    unit = pixels / 65535.0
    unit[3, 3] = np.nan
    np.save(path, unit)


def twice_png(path, pixels):
    write_png(path, pixels)
    path.write_bytes(path.read_bytes() * 2)


def moving_png(path, pixels):
    frames = [Image.fromarray(pixels.astype(np.uint8) + i) for i in range(2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


# Signature and header of a PNG: 8 x 8, 8 bits, color type 3.
PALETTE_PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452 00000008 00000008 08 03 000000")

BAD = {
    "missing.tif": (lambda path, pixels: None, "does not exist"),
    "folder.tif": (lambda path, pixels: path.mkdir(), "is a folder"),
    "empty.tif": (lambda path, pixels: path.touch(), "is empty"),
    "text.tif": (lambda path, pixels: path.write_text("hello"), "can't be decoded"),
    "text.png": (lambda path, pixels: path.write_text("hello"), "can't be decoded"),
    "text.npy": (lambda path, pixels: path.write_text("hello"), "can't be decoded"),
    "text.txt": (lambda path, pixels: path.write_text("hello"), "no raw file that LibRaw knows"),
    "long.txt": (lambda path, pixels: path.write_text(999 * "hello\n"), "no raw file that LibRaw knows"),
    "noise.nef": (lambda path, pixels: path.write_bytes(bytes(range(256))), "no raw file that LibRaw knows"),
    "text.dng": (lambda path, pixels: path.write_text("hello"), "can't be decoded"),
    "picture.jpg": (lambda path, pixels: path.write_bytes(b"\xff\xd8\xff\xe0" * 50), "can't be decoded"),
    "cut.tif": (truncated, "truncated"),
    "cut.png": (half_png, "can't be decoded"),
    "end.png": (no_end, "does not end as a PNG"),
    "pickle.npy": (
        lambda path, pixels: np.save(path, np.array([{}], dtype=object), allow_pickle=True),
        "can't be decoded",
    ),
    "twice.png": (twice_png, "expected nothing behind it"),
    "moving.png": (moving_png, "is an animation"),
    "rgb.png": (lambda path, pixels: write_png(path, np.dstack([pixels] * 3)), "RGB picture"),
    "rgb.tif": (
        lambda path, pixels: tifffile.imwrite(path, np.dstack([pixels] * 3), photometric="rgb"),
        "RGB picture",
    ),
    "palette.tif": (
        lambda path, pixels: tifffile.imwrite(
            path, pixels.astype(np.uint8), photometric="palette", colormap=np.zeros((3, 256), np.uint16)
        ),
        "PALETTE",
    ),
    "negative.tif": (
        lambda path, pixels: tifffile.imwrite(path, pixels, photometric="miniswhite"), "MINISWHITE",
    ),
    "palette.png": (lambda path, pixels: path.write_bytes(PALETTE_PNG), "palette"),
    "stack.tif": (lambda path, pixels: tifffile.imwrite(path, np.stack([pixels] * 2)), "stack"),
    "nan.npy": (nan, "NaN"),
    "scaled.npy": (lambda path, pixels: np.save(path, pixels.astype(float)), "expected \\[0, 1\\]"),
    "signed.npy": (lambda path, pixels: np.save(path, pixels.astype(np.int32)), "int32"),
    "line.npy": (lambda path, pixels: np.save(path, pixels[:1]), "at least 2x2"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_raw_file_is_refused_by_name(name, tmp_path):
    write, message = BAD[name]
    write(tmp_path / name, mosaic())
    with pytest.raises(rd.InputError, match=message) as caught:
        rd.read_raw(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "(b'" not in str(caught.value)  # a decoder's words, not its bytes


def test_a_depth_that_does_not_fit_the_container_is_refused(tmp_path):
    np.save(tmp_path / "raw.npy", mosaic())
    with pytest.raises(rd.InputError, match="above the 4095.*bit_depth 12"):
        rd.read_raw(tmp_path / "raw.npy", camera=rd.Camera(name="x", cfa="RGGB", bit_depth=12))
    np.save(tmp_path / "eight.npy", mosaic(8).astype(np.uint8))
    with pytest.raises(rd.InputError, match="8-bit values but the camera has bit_depth 16"):
        rd.read_raw(tmp_path / "eight.npy", camera=rd.Camera(name="x", cfa="RGGB"))


def test_no_camera_in_a_file_without_metadata(tmp_path):
    np.save(tmp_path / "raw.npy", mosaic())
    with pytest.raises(rd.InputError, match="no camera metadata"):
        rd.Camera.from_file(tmp_path / "raw.npy")


def test_a_camera_is_not_taken_by_its_name(tmp_path):
    np.save(tmp_path / "a.npy", mosaic())
    with pytest.raises(
        rd.InputError, match="must be a rawdrift.Camera, got 'raw-drone'.*Camera.load"
    ):
        rd.read_raw(tmp_path / "a.npy", camera="raw-drone")


@pytest.mark.parametrize("bits", [16, 12])
def test_levels_of_a_file_of_few_bits_are_compared_in_its_range(bits, tmp_path):
    """A DNG of 12 bits: what is little of a container of 16 bits is much of its values."""
    write_dng(tmp_path / "a.dng", mosaic(12, (32, 32)), black=(256,) * 4, white=4095)
    full = 2**bits - 1
    camera = rd.Camera("mine", "RGGB", (0.0,) * 4, 3500 / full, bit_depth=bits)
    raw = rd.read_raw(tmp_path / "a.dng", camera)
    assert "black_level" in raw.notes[-1]
    assert "the camera holds" in raw.notes[-1]
    assert raw.camera == camera
    held = rd.read_raw(tmp_path / "a.dng", camera, trust="file").camera
    assert np.array(held.black_level) * full == pytest.approx(256)
    assert held.white_level * full == pytest.approx(4095)
    right = rd.Camera("mine", "RGGB", (256 / full,) * 4, 4095 / full, bit_depth=bits)
    assert not any("holds" in note for note in rd.read_raw(tmp_path / "a.dng", right).notes)
