"""TIFF and DNG files are read by what they say about themselves, or refused."""

import struct
from contextlib import suppress
from io import BytesIO
from itertools import product

import imagecodecs
import numpy as np
import pytest
import rawpy
import tifffile
from hypothesis import given
from hypothesis import strategies as st

import rawdrift as rd
from rawdrift.camera.decode import decode
from rawdrift.camera.tiff import Tiff
from rawdrift.cfa import PATTERNS, offsets

from test_read import XYZ_TO_CAMERA

KINDS = {1: "B", 2: "B", 3: "H", 4: "I", 5: "II", 7: "B", 10: "ii", 11: "f"}


def build(pages, order="<", big=False):
    """A TIFF of pages {tag: (kind, values)}, a page's pixels under "strips"; sub-pages under 330."""
    out = bytearray(
        (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    )
    if big:
        out += struct.pack(order + "HH", 8, 0)
    word, link = ("Q", 8) if big else ("I", 4)
    last = len(out)
    out += bytes(link)
    for page in pages:
        place = write_page(out, page, order, word, link, big)
        out[last : last + link] = struct.pack(order + word, place)
        last = len(out) - link
    return bytes(out)


def write_page(out, page, order, word, link, big):
    tags = {tag: value for tag, value in page.items() if isinstance(tag, int)}
    strips = page.get("strips", [])
    if strips:
        places = []
        for strip in strips:
            places.append(len(out))
            out += strip
        where, sizes = (324, 325) if 322 in tags else (273, 279)
        tags.setdefault(where, (4, places))
        tags.setdefault(sizes, (4, [len(strip) for strip in strips]))
    if "subpages" in page:
        places = []
        for sub in page["subpages"]:
            places.append(write_page(out, sub, order, word, link, big))
        tags[330] = (4, places)
    entries = []
    for tag, (kind, values) in sorted(tags.items()):
        form = KINDS[kind]
        count = len(values) // len(form)
        data = struct.pack(f"{order}{len(values)}{form[0]}", *values)
        if len(data) > link:
            held, data = data, struct.pack(order + word, len(out))
            out += held
        entries.append(struct.pack(order + "HH" + word, tag, kind, count) + data.ljust(link, b"\0"))
    place = len(out)
    out += (
        struct.pack(order + ("Q" if big else "H"), len(entries)) + b"".join(entries) + bytes(link)
    )
    return place


def page(pixels, bits=16, order="<", photometric=1, more=(), strips=None):
    height, width = pixels.shape
    if strips is None:
        strips = [pack(pixels, bits, order)]
    return {
        254: (4, [0]), 256: (4, [width]), 257: (4, [height]), 258: (3, [bits]), 259: (3, [1]),
        262: (3, [photometric]), 277: (3, [1]), 278: (4, [-(-height // len(strips))]),
        "strips": strips, **dict(more),
    }  # fmt: skip


def pack(pixels, bits, order):
    """Rows of whole bytes, the highest bit first; 8 and 16 bits in the order of the file."""
    if bits in (8, 16):
        return pixels.astype(f"{order}u{bits // 8}").tobytes()
    places = np.arange(bits)[::-1]
    ones = (pixels[..., None].astype(int) >> places & 1).reshape(len(pixels), -1)
    return np.packbits(ones.astype(np.uint8), axis=1).tobytes()


def values(bits=16, size=(24, 26), seed=0):
    return np.random.default_rng(seed).integers(0, 2**bits, size).astype(np.uint16)


def dng_tags(**more):
    matrix = [part for value in XYZ_TO_CAMERA for part in (value, 10000)]
    tags = {
        271: (2, list(b"Test\0")), 33421: (3, [2, 2]), 33422: (1, [0, 1, 1, 2]), 50706: (1, [1, 4, 0, 0]),
        50713: (3, [1, 1]), 50714: (4, [512]), 50717: (4, [60000]), 50721: (10, matrix),
        50728: (5, [1, 2, 1, 1, 5, 8]), 50778: (3, [21]),
    }  # fmt: skip
    return tags | {int(tag.removeprefix("t")): value for tag, value in more.items()}


def dng(path, pixels, bits=16, order="<", **more):
    path.write_bytes(build([page(pixels, bits, order, 32803, dng_tags(**more))], order))
    return path


def read(path, content):
    path.write_bytes(content)
    return decode(path)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("bits", [8, 9, 10, 12, 14, 15, 16])
@pytest.mark.parametrize("fill", [1, 2])
def test_packed_values_of_any_depth_are_read(fill, bits, big, order, tmp_path):
    pixels = values(bits, size=(7, 5))
    strips = [pack(part, bits, order) for part in (pixels[:4], pixels[4:])]
    if fill == 2:
        strips = [bytes(int(f"{byte:08b}"[::-1], 2) for byte in strip) for strip in strips]
    content = build([page(pixels, bits, order, more={266: (3, [fill])}, strips=strips)], order, big)
    path = tmp_path / "raw.tif"
    decoded = read(path, content)
    np.testing.assert_array_equal(decoded.mosaic, pixels)
    assert decoded.bits == bits
    unit = rd.read_raw(path).mosaic.numpy()
    np.testing.assert_allclose(unit, pixels / (2**bits - 1), rtol=1e-6)
    assert rd.read_raw(path, rd.Camera("x", "RGGB", bit_depth=bits)).mosaic.max() <= 1
    if bits < 16:
        with pytest.raises(rd.InputError, match=f"{bits}-bit values.*use a camera with bit_depth"):
            rd.read_raw(path, rd.Camera("x", "RGGB", bit_depth=bits + 1))


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "zstd", "lzma"])
@pytest.mark.parametrize("layout", [{"rowsperstrip": 7}, {"tile": (16, 32)}])
def test_what_tifffile_writes_is_read(compression, layout, tmp_path):
    path = tmp_path / "raw.tif"
    for kind, order, predictor in product(("u1", "u2", "f4", "f8"), "<>", (False, True)):
        pixels = (values(size=(45, 37)) % 256 / (1 if kind[0] == "u" else 256)).astype(kind)
        predictor = predictor and compression is not None
        tifffile.imwrite(
            path, pixels, byteorder=order, compression=compression, predictor=predictor, **layout
        )
        np.testing.assert_array_equal(
            decode(path).mosaic, pixels.astype("f4") if kind[0] == "f" else pixels
        )


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("sub", [True, False])
@pytest.mark.parametrize("old", [True, False])
def test_thumbnails_are_not_the_image(old, sub, first, tmp_path):
    pixels = values()
    kind = {254: (4, [0]), 255: (3, [2])} if old else {254: (4, [1])}
    thumbnail = page(pixels[:4, :4] // 2, more=kind)
    image = page(pixels)
    if sub:
        pages = (
            [{**thumbnail, "subpages": [image]}] if first else [{**image, "subpages": [thumbnail]}]
        )
    else:
        pages = [thumbnail, image] if first else [image, thumbnail]
    np.testing.assert_array_equal(read(tmp_path / "raw.tif", build(pages)).mosaic, pixels)


def with_zeroed(strips, tag, count):
    built = page(PIXELS, strips=strips)
    listed = [len(strip) for strip in strips] if tag == 279 else [8 + 400 * i for i in range(4)]
    return {**built, tag: (4, listed[: len(listed) - count] + [0] * count)}


def strips_of(pixels, count=4):
    return [pack(part, 16, "<") for part in np.split(pixels, count)]


def compressed(pixels, codec, cut):
    encode = {5: imagecodecs.lzw_encode, 8: imagecodecs.zlib_encode, 50000: imagecodecs.zstd_encode}
    strips = [bytes(encode[codec](strip[: len(strip) - cut])) for strip in strips_of(pixels)]
    return build([page(pixels, strips=strips, more={259: (3, [codec])})])


PIXELS = values()
FOUR = strips_of(PIXELS)
BROKEN = {
    "a strip of size 0": (build([with_zeroed(FOUR, 279, 1)]), "1 empty strips of 4"),
    "strips at 0": (build([with_zeroed(FOUR, 273, 2)]), "2 empty strips of 4"),
    "half of the strips": (build([page(PIXELS, strips=FOUR[:2], more={278: (4, [6])})]), "lists 2 places and 2 sizes of its 4"),
    "too many strips": (build([page(PIXELS, strips=FOUR * 2, more={278: (4, [6])})]), "lists 8 places"),
    "no sizes": (build([{**page(PIXELS), 279: (4, [])}]), "lists 1 places and 0 sizes"),
    "a short strip": (build([page(PIXELS, strips=[*FOUR[:3], FOUR[3][:-2]])]), "holds 310 of 312 bytes"),
    "short after LZW": (compressed(PIXELS, 5, 2), "holds 310 of 312 bytes"),
    "short after Deflate": (compressed(PIXELS, 8, 2), "holds 310 of 312 bytes"),
    "short after Zstandard": (compressed(PIXELS, 50000, 2), "holds 310 of 312 bytes"),
    "overlapping": (build([{**page(PIXELS, strips=FOUR), 273: (4, [8, 8, 8, 8])}]), "overlap"),
    "beyond the end": (build([{**page(PIXELS), 273: (4, [10**6])}]), "truncated"),
    "white is zero": (build([page(PIXELS, photometric=0)]), "MINISWHITE"),
    "a palette": (build([page(PIXELS % 256, 8, photometric=3)]), "PALETTE"),
    "turned": (build([page(PIXELS, more={274: (3, [6])})]), "Orientation 6"),
    "four bits": (build([page(PIXELS % 16, 4)]), "4 bits"),
    "two samples": (build([page(PIXELS, strips=[FOUR[0] * 8], more={277: (3, [2])})]), "RGB picture or a stack"),
    "JPEG": (build([page(PIXELS, more={259: (3, [7])})]), "JPEG that is not lossless"),
    "a demosaiced raw": (build([page(PIXELS, photometric=34892)]), "LINEAR_RAW"),
    "thumbnails alone": (build([page(PIXELS, more={254: (4, [1])})]), "thumbnails alone"),
    "two images": (build([page(PIXELS), page(PIXELS)]), "stack of 2 pages"),
    "rows of no strip": (build([page(PIXELS, more={278: (4, [0])})]), "expected at least one"),
    "another cell": (build([page(PIXELS, photometric=32803, more={33421: (3, [4, 4]), 33422: (1, [0, 1] * 8)})]), "RGRGRGRGRGRGRGRG of 4x4, is of no known kind"),
    "huge": (build([page(PIXELS, more={256: (4, [2**31]), 278: (4, [24]), 259: (3, [8])})]), "declares"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_missing_data_and_other_meanings_are_refused(name, tmp_path):
    content, message = BROKEN[name]
    with pytest.raises(rd.InputError, match=message) as caught:
        read(tmp_path / "raw.tif", content)
    assert "raw.tif" in str(caught.value)


def test_pages_in_a_loop_end(tmp_path):
    looped = bytearray(build([page(PIXELS), page(PIXELS)]))
    looped[-4:] = looped[4:8]
    with pytest.raises(rd.InputError, match="loop"):
        read(tmp_path / "raw.tif", bytes(looped))
    sub = {**page(PIXELS), 330: (4, [8] * 2000)}
    with pytest.raises(rd.InputError, match="stack of 1000 pages or more"):
        read(tmp_path / "raw.tif", build([sub]))


def test_metadata_of_another_format_are_not_followed(tmp_path):
    """OME-XML may name other files and other pages as the pixels of this one."""
    tifffile.imwrite(tmp_path / "other.ome.tif", values(seed=1))
    ome = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels '
        'ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="26" SizeY="24" SizeC="1" SizeZ="1" '
        'SizeT="1"><TiffData IFD="0"><UUID FileName="other.ome.tif">urn:uuid:1</UUID></TiffData>'
        "</Pixels></Image></OME>"
    )
    for description in (ome, "ImageJ=1.53\nimages=2\n", '{"shape": [24, 26]}'):
        tifffile.imwrite(tmp_path / "raw.ome.tif", PIXELS, description=description, metadata=None)
        np.testing.assert_array_equal(decode(tmp_path / "raw.ome.tif").mosaic, PIXELS)


@given(st.binary(max_size=60), st.integers(0, 400))
def test_no_content_does_anything_but_raise_an_input_error(junk, place):
    content = bytearray(build([page(PIXELS, strips=FOUR), page(PIXELS, more={254: (4, [1])})]))
    content[place : place + len(junk)] = junk
    # `decode` says what the others are in its own words.
    with suppress(rd.InputError, ValueError, OverflowError, RuntimeError):
        Tiff(BytesIO(bytes(content)), "x").only().decode()


# DNG


def leftover(path, scene=1000):
    """What stays of an even scene after the levels of its camera are subtracted, in DN."""
    raw = rd.read_raw(path)
    x = raw.mosaic.double().numpy() * 65535
    for (row, column), level in zip(offsets(raw.camera.cfa), raw.camera.black_level, strict=True):
        x[row::2, column::2] -= level * 65535
    return abs(x - scene).max()


H, W = 32, 24
ROWS = {
    "even and odd": [0, 100] * 16,
    "a step": [256] * 16 + [456] * 16,
    "negative": [-40] * 16 + [7] * 16,
}
COLUMNS = {"even and odd": [0, 200] * 12, "a slope": list(range(0, 240, 10))}
CELLS = {(2, 2): [500, 520, 540, 560], (4, 4): [500, 520, 500, 520, 540, 560, 540, 560] * 2,
         (4, 2): list(range(500, 508)), (1, 3): [500, 600, 700], (3, 1): [500, 510, 520]}  # fmt: skip


@pytest.mark.parametrize("rows", [None, *ROWS])
@pytest.mark.parametrize("columns", [None, *COLUMNS])
@pytest.mark.parametrize("cell", [(1, 1), *CELLS])
def test_the_black_level_of_every_pixel_is_removed(cell, columns, rows, tmp_path):
    level = np.array(CELLS.get(cell, [512])).reshape(cell)
    black = np.tile(level, (H, W))[:H, :W]
    more = {"t50713": (3, list(cell)), "t50714": (4, level.ravel().tolist())}
    if rows:
        black = black + np.array(ROWS[rows])[:, None]
        more["t50716"] = (10, [part for v in ROWS[rows] for part in (v, 1)])
    if columns:
        black = black + np.array(COLUMNS[columns])
        more["t50715"] = (10, [part for v in COLUMNS[columns] for part in (v, 1)])
    path = dng(tmp_path / "shot.dng", black + 1000, **more)
    assert leftover(path) < 1
    camera, extra = rd.Camera.from_file(path), 60000 - black.max() + black.min()
    assert round(camera.white_level * 65535) >= extra  # saturated pixels stay at or above it
    saturated = dng(tmp_path / "white.dng", np.full((H, W), 60000), **more)
    white = rd.read_raw(saturated)
    assert white.mosaic.min() >= white.camera.white_level - 1e-6


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(("top", "left"), [(0, 0), (0, 1), (1, 0), (1, 1), (2, 3)])
def test_the_pattern_and_black_levels_begin_at_the_active_area(top, left, pattern, tmp_path):
    codes = ["RGB".index(color) for color in pattern]
    pixels = values(14, (40, 38))
    path = dng(
        tmp_path / "shot.dng", pixels, t33422=(1, codes), t50829=(4, [top, left, 36, 35]),
        t50713=(3, [2, 2]), t50714=(4, [1, 2, 3, 4]),
    )  # fmt: skip
    raw = rd.read_raw(path)
    np.testing.assert_allclose(raw.mosaic.numpy() * 65535, pixels[top:36, left:35], atol=0.01)
    expected = {at: 1 + 2 * at[0] + at[1] for at in product((0, 1), (0, 1))}
    assert raw.camera.cfa == pattern
    np.testing.assert_allclose(
        np.array(raw.camera.black_level) * 65535,
        [expected[at] for at in offsets(pattern)],
        rtol=1e-5,
    )


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_a_dng_of_any_depth_is_read_through_its_table(bits, order, tmp_path):
    pixels = values(bits)
    plain = dng(tmp_path / "plain.dng", pixels, bits, order, t50717=(4, [2**bits - 1]))
    np.testing.assert_array_equal(decode(plain).mosaic, pixels)
    table = np.linspace(0, 65535, 200).astype(int)
    linear = dng(tmp_path / "table.dng", pixels, bits, order, t50712=(3, table.tolist()))
    np.testing.assert_array_equal(decode(linear).mosaic, table[np.minimum(pixels, 199)])
    default = dng_tags(t50714=(4, [0]))
    del default[50717]
    (tmp_path / "white.dng").write_bytes(build([page(pixels, bits, order, 32803, default)], order))
    white = rd.Camera.from_file(tmp_path / "white.dng").white_level
    assert white * 65535 == pytest.approx(2**bits - 1)


@pytest.mark.parametrize(
    ("tags", "message"),
    [({"t50717": (4, [0])}, "white level 0"), ({"t50711": (3, [2])}, "CFALayout 2")],
)
def test_a_dng_whose_values_can_not_be_used_is_refused(tags, message, tmp_path):
    with pytest.raises(rd.InputError, match=message):
        rd.read_raw(dng(tmp_path / "shot.dng", values(14), **tags))


def test_a_dng_that_is_to_be_turned_says_so(tmp_path):
    path = dng(tmp_path / "shot.dng", values(14), t274=(3, [6]))
    assert "turned or mirrored (Orientation 6), which is not done" in rd.read_raw(path).notes[0]


def test_a_dng_is_found_behind_its_thumbnail_and_under_another_name(tmp_path):
    pixels = values()
    thumbnail = page(values(8, (4, 4)), 8, photometric=1, more={254: (4, [1])})
    tags = dng_tags()
    first = {tag: tags.pop(tag) for tag in (50706, 50721, 50728, 50778)}
    raw = page(pixels, photometric=32803, more=tags)
    content = build([{**thumbnail, **first, "subpages": [raw]}])
    for name in ("shot.dng", "shot.tif"):
        decoded = read(tmp_path / name, content)
        np.testing.assert_array_equal(decoded.mosaic, pixels)
        assert decoded.metadata["black_level"] == (512 / 65535,) * 4


def test_planes_in_another_order_keep_their_numbers(tmp_path):
    one = rd.Camera.from_file(dng(tmp_path / "one.dng", values()))
    rows = [XYZ_TO_CAMERA[6:], XYZ_TO_CAMERA[3:6], XYZ_TO_CAMERA[:3]]
    matrix = [part for row in rows for value in row for part in (value, 10000)]
    turned = dng(
        tmp_path / "two.dng", values(), t50710=(1, [2, 1, 0]), t50721=(10, matrix),
        t50728=(5, [5, 8, 1, 1, 1, 2]),
    )  # fmt: skip
    two = rd.Camera.from_file(turned)
    assert two.white_balance == pytest.approx(one.white_balance)
    np.testing.assert_allclose(two.color_matrix, one.color_matrix, atol=1e-6)


def opcodes(*numbers):
    listed = b"".join(struct.pack(">4I", number, 1 << 24, 0, 4) + b"data" for number in numbers)
    return 7, list(struct.pack(">I", len(numbers)) + listed)


def test_opcodes_are_named_and_refused_where_they_change_levels(tmp_path):
    notes = decode(dng(tmp_path / "a.dng", values(), t51009=opcodes(5, 4))).notes
    assert notes == ("it asks for FixBadPixelsConstant, FixBadPixelsList, which is not done",)
    for tag, code, name in ((51008, 10, "DeltaPerRow"), (51009, 7, "MapTable")):
        with pytest.raises(rd.InputError, match=f"asks for {name}"):
            decode(dng(tmp_path / "b.dng", values(), **{f"t{tag}": opcodes(5, code)}))


BAD_DNG = {
    "too few rows": ({"t50716": (10, [1, 1])}, "1 for 24 rows"),
    "no cell": ({"t50713": (3, [0, 0])}, "impossible metadata"),
    "an active area outside": ({"t50829": (4, [0, 0, 99, 9])}, "shot.dng"),
    "another cell": ({"t33421": (3, [6, 6])}, "RGGB of 6x6, is impossible"),
    "other colors": ({"t33422": (1, [0, 1, 1, 4])}, "array of .* RGGM of 2x2, is of no known"),
    "developed": ({"t262": (3, [34892])}, "LINEAR_RAW values, expected a mosaic"),
    "a number that is none": ({"t50716": (10, [1, 0] * 24)}, "no number"),
}


@pytest.mark.parametrize("name", BAD_DNG)
def test_what_a_dng_says_must_be_possible(name, tmp_path):
    more, message = BAD_DNG[name]
    with pytest.raises(rd.InputError, match=message):
        decode(dng(tmp_path / "shot.dng", values(), **more))


# A camera that contradicts its file


def test_another_color_filter_array_is_refused_unless_one_is_trusted(tmp_path):
    path = dng(tmp_path / "shot.dng", values(), t33422=(1, [2, 1, 1, 0]))
    (tmp_path / "ep.tif").write_bytes(
        build(
            [page(values(), photometric=32803, more={33421: (3, [2, 2]), 33422: (1, [2, 1, 1, 0])})]
        )
    )
    camera = rd.Camera("mine", "RGGB")
    for raw in (path, tmp_path / "ep.tif"):
        with pytest.raises(
            rd.InputError, match="camera 'mine' says cfa RGGB, but the file BGGR.*trust"
        ):
            rd.read_raw(raw, camera)
        assert rd.read_raw(raw, camera, trust="camera").camera == camera
        held = rd.read_raw(raw, camera, trust="file")
        assert held.camera.cfa == "BGGR"
        assert "the file holds" in held.notes[0]


def test_other_levels_are_noted(tmp_path):
    path = dng(tmp_path / "shot.dng", values())
    camera = rd.Camera("mine", "RGGB", black_level=(0.1,) * 4, white_level=0.5)
    raw = rd.read_raw(path, camera)
    assert raw.camera is camera
    assert "black_level [0.1, 0.1, 0.1, 0.1], but the file [0.0078" in raw.notes[0]
    assert "white_level 0.5, but the file 0.915" in raw.notes[0]
    held = rd.read_raw(path, camera, trust="file").camera
    assert held.white_level == pytest.approx(60000 / 65535)
    assert rd.read_raw(path, rd.Camera("mine", "RGGB", (0.008,) * 4)).notes == ()
    with pytest.raises(rd.InputError, match="unknown trust"):
        rd.read_raw(path, camera, trust="both")


def visible(path):
    """What LibRaw shows of a file, and its pattern."""
    with rawpy.imread(str(path)) as raw:
        pattern = "".join(raw.color_desc.decode()[i] for i in raw.raw_colors_visible[:2, :2].flat)
        return raw.raw_image_visible.copy(), pattern


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("area", [(0, 0, 64, 48), (2, 4, 60, 44), (1, 0, 63, 47), (3, 5, 62, 48)])
def test_lossless_jpeg_of_a_dng_is_read_as_its_values(area, pattern, tmp_path):
    pixels, (top, left, bottom, right) = values(14, (64, 48)), area
    codes = ["RGB".index(color) for color in pattern]
    plain = {
        50829: (4, [*area]), 33422: (1, codes), 50713: (3, [2, 2]), 50714: (4, [100, 200, 300, 400]),
        50717: (4, [16000]), 50719: (4, [4, 2]), 50720: (4, [40, 50]),
    }  # fmt: skip
    tags = dng_tags() | plain
    tiles = [pixels[i : i + 32, j : j + 24] for i in (0, 32) for j in (0, 24)]
    coded = [bytes(imagecodecs.ljpeg_encode(t.copy(), bitspersample=16)) for t in tiles]
    tiled = page(
        pixels, 16, "<", 32803, tags | {322: (4, [24]), 323: (4, [32]), 259: (3, [7])}, coded
    )
    whole = bytes(imagecodecs.ljpeg_encode(pixels, bitspersample=16))
    jpegs = {
        "tiles": tiled,
        "strip": page(pixels, 16, "<", 32803, tags | {259: (3, [7])}, [whole]),
        "plain": page(pixels, 16, "<", 32803, tags),
    }
    for name, made in jpegs.items():
        path = tmp_path / f"{name}.dng"
        path.write_bytes(build([made]))
        read = decode(path)
        # The crop by DefaultCropOrigin and DefaultCropSize is for pictures; sites stay.
        np.testing.assert_array_equal(read.mosaic, pixels[top:bottom, left:right])
        if top % 2 == left % 2 == 0:  # LibRaw shrinks others to whole cells
            shown, shown_pattern = visible(path)
            np.testing.assert_array_equal(read.mosaic, shown)
            assert shown_pattern == pattern
        camera = rd.Camera.from_file(path)
        assert read.cfa == camera.cfa == pattern
        levels = np.array([100, 200, 300, 400]).reshape(2, 2)
        expected = [levels[at] for at in offsets(pattern)]
        np.testing.assert_allclose(np.array(camera.black_level) * 65535, expected, rtol=1e-5)
        assert camera.white_level * 65535 == pytest.approx(16000)


def test_lossless_jpeg_of_a_dng_that_is_cut_is_refused(tmp_path):
    pixels = values(14, (64, 48))
    coded = bytes(imagecodecs.ljpeg_encode(pixels, bitspersample=16))
    half, huge = coded[: len(coded) // 2], coded.replace(b"\0\x40\0\x30", b"\xff\xff\xff\xff", 1)
    assert huge != coded
    for cut in (half, coded[:20], half + bytes(999), half + b"\xff\xd9", coded[:2], huge):
        path = tmp_path / "cut.dng"
        path.write_bytes(build([page(pixels, 16, "<", 32803, dng_tags() | {259: (3, [7])}, [cut])]))
        with pytest.raises(rd.InputError):
            decode(path)
