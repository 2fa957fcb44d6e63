"""Masks as other tools write them are read, or refused in words of masks."""

import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile

import rawdrift as rd
from rawdrift.data import masks

MASK = np.zeros((9, 11), np.uint8)
MASK[2:6, 3:9] = 1
MASK[7, 1] = 3


def png(depth, color, rows, palette=b""):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 11, 9, depth, color, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    middle = chunk(b"PLTE", palette) if palette else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + middle
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def packed(depth):
    ones = np.unpackbits((MASK << (8 - depth))[..., None], axis=-1)[..., :depth]
    return [np.packbits(row).tobytes() for row in ones.reshape(9, -1)]


def npy(values):
    return lambda path: np.save(path, values)


def tiff(values, **more):
    return lambda path: tifffile.imwrite(path, values, **more)


def bytes_of(content):
    return lambda path: path.write_bytes(content)


COLORS = bytes(range(12))
READ = {
    "a.png": bytes_of(imagecodecs.png_encode(MASK)),
    "deep.png": bytes_of(imagecodecs.png_encode(MASK.astype(np.uint16))),
    "palette.png": bytes_of(png(8, 3, [row.tobytes() for row in MASK], COLORS)),
    "palette4.png": bytes_of(png(4, 3, packed(4), COLORS)),
    "gray2.png": bytes_of(png(2, 0, packed(2))),
    "gray4.png": bytes_of(png(4, 0, packed(4))),
    "rgb.png": bytes_of(imagecodecs.png_encode(np.dstack([MASK] * 3))),
    "rgba.png": bytes_of(imagecodecs.png_encode(np.dstack([MASK] * 3 + [np.full_like(MASK, 255)]))),
    "a.npy": npy(MASK),
    "int64.npy": npy(MASK.astype(np.int64)),
    "big.npy": npy(MASK.astype(">i4")),
    "columns.npy": npy(np.asfortranarray(MASK)),
    "plane.npy": npy(MASK[..., None]),
    "a.tif": tiff(MASK),
    "int32.tif": tiff(MASK.astype(np.int32), compression="zlib", predictor=True),
    "palette.tif": tiff(MASK, photometric="palette", colormap=np.zeros((3, 256), np.uint16)),
    "rgb.tif": tiff(np.dstack([MASK] * 3), photometric="rgb"),
    "planes.tif": tiff(np.stack([MASK] * 3), photometric="rgb", planarconfig="separate"),
}


@pytest.mark.parametrize("name", READ)
def test_class_numbers_are_read_as_they_are(name, tmp_path):
    READ[name](tmp_path / name)
    read = masks.read(tmp_path / name)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, MASK)


@pytest.mark.parametrize("name", ["bool.npy", "bit.png", "bit.tif"])
def test_bits_are_zero_and_not_zero(name, tmp_path):
    bits = MASK > 0
    if name == "bit.png":
        (tmp_path / name).write_bytes(png(1, 0, [np.packbits(row).tobytes() for row in bits]))
    else:
        (npy(bits) if name == "bool.npy" else tiff(bits, photometric="minisblack"))(tmp_path / name)
    np.testing.assert_array_equal(masks.read(tmp_path / name) > 0, bits)


COLORED = np.dstack([MASK, MASK * 2, MASK])
REFUSED = {
    "color.png": (bytes_of(imagecodecs.png_encode(COLORED)), "picture of 3 colors"),
    "clear.png": (bytes_of(imagecodecs.png_encode(np.dstack([MASK] * 4))), "transparent"),
    "float.npy": (npy(MASK.astype(float)), "float64 values"),
    "many.npy": (npy(MASK.astype(np.int64) * 1000), "int64 values from 0 to 3000"),
    "negative.npy": (npy(MASK.astype(np.int8) - 1), "int8 values from -1 to 2"),
    "volume.npy": (npy(np.stack([MASK] * 5)), "mask .*volume.npy"),
    "records.npy": (npy(np.zeros((3, 3), "u1,u1")), "can't|holds"),
    "none.npy": (npy(np.zeros((0, 3), np.uint8)), "no pixels|can't be decoded"),
    "white.tif": (
        tiff(MASK > 0, photometric="miniswhite"),
        "MINISWHITE.*expected a TIFF, PNG or NPY",
    ),
    "stack.tif": (tiff(np.stack([MASK] * 2)), "stack of 2 pages"),
    "text.png": (bytes_of(b"hello"), "does not begin as a PNG"),
    "picture.jpg": (bytes_of(b"\xff\xd8\xff\xe0"), "can't be decoded"),
    "cut.png": (bytes_of(png(8, 0, [row.tobytes() for row in MASK])[:-30]), "can't be decoded"),
    "missing.png": (lambda path: None, "does not exist"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_mask_is_refused_in_words_of_masks(name, tmp_path):
    write, message = REFUSED[name]
    write(tmp_path / name)
    with pytest.raises(rd.InputError, match=message) as caught:
        masks.read(tmp_path / name)
    assert "mosaic" not in str(caught.value)
    assert "raw" not in str(caught.value)
