"""Raw files to pictures: strips of rows, threads and files give the numbers of the whole view."""

import threading

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch

import rawdrift as rd
from rawdrift.checks import Failures
from rawdrift.controls.gallery import Gallery
from rawdrift.isp.develop import _ordered, develop, developed, quantized
from rawdrift.isp.presets import static

CAMERA = rd.Camera.load("raw-drone")
TALL = np.random.default_rng(0).integers(0, 2**16, (515, 34)).astype(np.uint16)


@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
@pytest.mark.parametrize("bits", [8, 16])
def test_strips_have_the_numbers_of_the_whole_view(name, bits):
    isp, mosaic = static(name, CAMERA), torch.from_numpy(TALL)
    found = developed(isp, mosaic, bits)
    assert np.array_equal(found, quantized(isp(mosaic), bits))
    assert found.dtype == (np.uint8 if bits == 8 else np.uint16)


@pytest.mark.parametrize("height", [2, 3, 127, 128, 129, 130, 257])
def test_no_height_leaves_a_strip_that_is_too_small(height):
    isp, mosaic = static("me,u,ga", CAMERA), torch.from_numpy(TALL[:height])
    assert np.array_equal(developed(isp, mosaic), quantized(isp(mosaic)))


def test_a_step_that_needs_the_whole_frame_gets_it():
    isp, mosaic = static("bi,s,ga", CAMERA), torch.from_numpy(TALL)
    gray = isp.replace(white_balance=rd.isp.ShadesOfGray())
    assert np.array_equal(developed(gray, mosaic), quantized(gray(mosaic)))


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_files_hold_the_views_in_order(tmp_path, format):
    raws = [tmp_path / f"{i}.tif" for i in range(5)]
    for i, raw in enumerate(raws):
        tifffile.imwrite(raw, np.roll(TALL, i))
    raws.insert(2, tmp_path / "missing.tif")
    failures, names = Failures(), ["bi,s,ga", "ma,u,me"]
    found = list(develop(raws, CAMERA, names, tmp_path / "out", failures, format))
    assert [(view.raw, view.name) for view in found] == [
        (raw, name) for raw in raws if raw.exists() for name in names
    ]
    with pytest.raises(rd.InputError, match=r"1 of 6 .*missing\.tif"):
        failures.check(6, "raw files")
    for view in found:
        path = tmp_path / "out" / f"{view.raw.stem}_{view.name.replace(',', '-')}.{format}"
        mosaic = torch.from_numpy(tifffile.imread(view.raw))
        read = tifffile.imread if format == "tiff" else imagecodecs.imread
        pixels = read(path)
        assert np.array_equal(pixels, quantized(static(view.name, CAMERA)(mosaic)))
        assert np.array_equal(pixels, view.picture)


def test_results_come_in_order_and_no_more_are_made_ahead_than_threads():
    begun, gates = [], [threading.Event() for _ in range(6)]

    def work():
        for i, gate in enumerate(gates):
            begun.append(i)
            yield lambda i=i, gate=gate: gate.wait(10) and i

    before = torch.get_num_threads()
    results = _ordered(work(), 2)
    gates[1].set()
    gates[0].set()
    assert next(results) == 0
    assert begun == [0, 1]
    for gate in gates:
        gate.set()
    assert list(results) == [1, 2, 3, 4, 5]
    assert torch.get_num_threads() == before


def test_an_error_of_one_ends_the_others():
    def fails():
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        list(_ordered([fails, *[lambda: 1] * 3], torch.get_num_threads()))


def test_gray_pictures_are_written(tmp_path):
    gray = torch.rand(48, 48)
    path = Gallery(tmp_path).write("one/gray", gray)
    decoded = imagecodecs.png_decode((tmp_path / path).read_bytes())
    assert (decoded == quantized(gray.expand(3, -1, -1), 8)).all()
