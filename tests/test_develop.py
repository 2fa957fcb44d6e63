"""Raw files to pictures: strips of rows, threads and files give the numbers of the whole view."""

import subprocess
import sys
import threading
from dataclasses import fields, replace

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch

import rawdrift as rd
from rawdrift.cfa import PATTERNS
from rawdrift.checks import Failures
from rawdrift.configurations import NAMES
from rawdrift.controls.gallery import Gallery
from rawdrift.isp.develop import _ordered, develop, developed, quantized
from rawdrift.isp.fused import fusable, plan
from rawdrift.isp.fused import static as torchless
from rawdrift.isp.fused.integers import quantize
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


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_the_kernel_rounds_to_nearest_and_halves_to_even(kind):
    full = np.iinfo(kind).max
    halves = (np.arange(3 * 5 * 70) + 0.5) / full  # rounded to float32, on both sides of the half
    view = np.stack([halves, np.linspace(0, 1, 1050), np.random.default_rng(0).random(1050)])
    view = np.float32(view.clip(0, 1)).reshape(3, 15, 70)
    out = np.zeros((12, 70, 3), kind)
    quantize(view, 2, out)
    assert np.array_equal(out, np.rint(view * np.float32(full)).transpose(1, 2, 0)[2:14])


@pytest.mark.parametrize("height", [2, 3, 127, 128, 129, 130, 257])
def test_no_height_leaves_a_strip_that_is_too_small(height):
    isp, mosaic = static("me,u,ga", CAMERA), torch.from_numpy(TALL[:height])
    assert np.array_equal(developed(isp, mosaic), quantized(isp(mosaic)))


def test_a_step_that_needs_the_whole_frame_gets_it():
    isp, mosaic = static("bi,s,ga", CAMERA), torch.from_numpy(TALL)
    gray = isp.replace(white_balance=rd.isp.ShadesOfGray())
    assert np.array_equal(developed(gray, mosaic), quantized(gray(mosaic)))


@pytest.mark.parametrize(
    ("format", "bits"),
    [("png", None), ("png", 8), ("tiff", 16), ("tiff", 8), ("jpeg", None), ("jpeg", 8)],
)
def test_files_hold_the_views_in_order(tmp_path, format, bits):
    raws = [tmp_path / f"{i}.tif" for i in range(5)]
    for i, raw in enumerate(raws):
        tifffile.imwrite(raw, np.roll(TALL, i))
    raws.insert(2, tmp_path / "missing.tif")
    failures, names = Failures(), ["bi,s,ga", "ma,u,me"]
    found = list(develop(raws, CAMERA, names, tmp_path / "out", failures, format, bits=bits))
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
        expected = quantized(static(view.name, CAMERA)(mosaic), bits or {"jpeg": 8}.get(format, 16))
        assert view.picture.dtype == pixels.dtype == expected.dtype
        assert np.array_equal(view.picture, expected)
        if format == "jpeg":
            assert np.abs(pixels.astype(int) - expected).mean() < 4
        else:
            assert np.array_equal(pixels, expected)


def test_the_shipped_numbers_of_static_isps_are_those_of_the_steps():
    path, text = torchless.table_file()
    assert path.read_text() == text, "run `make schemas`"


@pytest.mark.parametrize("camera", ["raw-drone", "raw-microscopy", "rescaling"])
@pytest.mark.parametrize("channels", ["luma", "yuv"])
def test_plans_without_torch_are_those_of_the_steps(camera, channels):
    known = camera != "rescaling"
    camera = rd.Camera.load(camera) if known else replace(CAMERA, white_level=0.9, gamma=1.8)
    for name in NAMES:
        for cfa in PATTERNS:
            mine = replace(camera, cfa=cfa)
            if name.startswith("ahd"):
                with pytest.raises(plan.CannotFuseError):
                    torchless.planned(name, mine, channels)
                continue
            steps = list(static(name, mine, channels).steps.values())
            found, expected = (
                torchless.planned(name, mine, channels),
                fusable.planned(fusable.fusable(steps)),
            )
            for field in fields(plan.Plan):
                one, other = (getattr(p, field.name) for p in (found, expected))
                if field.name == "values":
                    assert all(np.array_equal(one[key], other[key]) for key in one), name
                else:
                    assert np.array_equal(one, other), (name, field.name)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("ahd,s,me", {}),
        ("bi,s,ga", {"saturation": 1.2}),
        ("bi,s,ga", {"cfa": "RRGG/RRGG/GGBB/GGBB"}),
    ],
)
def test_what_needs_other_steps_is_developed_by_them(tmp_path, name, changed):
    camera = replace(CAMERA, **changed)
    tifffile.imwrite(tmp_path / "raw.tif", TALL[:48])
    (found,) = develop([tmp_path / "raw.tif"], camera, [name], tmp_path / "out", Failures())
    mosaic = torch.from_numpy(TALL[:48])
    assert np.array_equal(found.picture, quantized(static(name, camera)(mosaic)))


def test_commands_without_tensors_do_not_import_torch(tmp_path):
    tifffile.imwrite(tmp_path / "raw.tif", TALL[:48])
    commands = [
        ["--help"],
        ["cameras", "list"],
        ["runs", str(tmp_path)],
        ["develop", f"{tmp_path}/raw.tif", "--camera", "raw-drone", "--out", f"{tmp_path}/out"],
    ]
    code = (
        f"import sys; from rawdrift.cli import main; print([main(c) for c in {commands}], "
        f"[name for name in ('torch', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("[0, 0, 0, 0] []\n"), done.stdout + done.stderr


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
