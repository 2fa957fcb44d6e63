"""Black-box ISPs: LibRaw, any program, and the user's own function."""

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rawpy
import torch

import rawdrift as rd
from planted import Threshold, brightness
from rawdrift.camera.write_dng import dng
from rawdrift.cli import main
from rawdrift.configurations import label
from rawdrift.controls.run import run
from rawdrift.isp import external, programs
from rawdrift.report.style import case

CAMERA = rd.Camera(
    "lab-cam",
    "GRBG",
    black_level=(0.0625,) * 4,
    white_level=0.9375,
    white_balance=(1.9, 1.0, 1.6),
    color_matrix=((1.55, -0.4, -0.15), (-0.22, 1.62, -0.4), (-0.02, -0.42, 1.44)),
    bit_depth=12,
    noise=rd.camera.camera.Noise(0.5, 3.0),
)
MOSAIC = torch.from_numpy(np.random.default_rng(0).uniform(0.1, 0.5, (24, 32)).astype(np.float32))

PROGRAM = """
import sys, time, tifffile, numpy as np
from PIL import Image
raw, picture, what = sys.argv[1:]
values = tifffile.imread(raw) >> 4
print("reading", values.shape)
if what == "fail":
    sys.exit("no license")
if what == "hang":
    time.sleep(60)
if what == "small":
    values = values[1:]
if what == "crop":
    values = values[2:-2, 2:-2]
if what == "gray":
    Image.fromarray(values.astype(np.uint8)).save(picture)
elif what != "nothing":
    Image.fromarray(np.dstack([values.astype(np.uint8)] * 3)).save(picture)
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RAWDRIFT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def program(tmp_path):
    """A function that returns the reference of a program that does something."""
    script = tmp_path / "develop.py"
    script.write_text(PROGRAM)

    def reference(what: str = "fine", raw: str = "{raw}") -> str:
        return f"command:{shlex.join([sys.executable, str(script)])} {raw} {{picture}} {what}"

    return reference


@pytest.mark.parametrize("cfa", ["RGGB", "BGGR", "GRBG", "GBRG"])
def test_a_dng_states_what_the_camera_states(cfa, tmp_path):
    camera = replace(CAMERA, cfa=cfa, black_level=(0.0625, 0.07, 0.08, 0.09))
    values = (MOSAIC * 4095).round().numpy().astype(np.uint16)
    path = tmp_path / "lab-cam.dng"
    path.write_bytes(dng(values, camera))
    read = rd.read_raw(path)
    assert np.array_equal((read.mosaic * 65535).round().numpy(), values)
    scale = 65535 / 4095
    assert read.camera.cfa == cfa
    assert np.allclose(np.multiply(read.camera.black_level, scale), camera.black_level, atol=1e-5)
    assert read.camera.white_level * scale == pytest.approx(camera.white_level, abs=2e-4)
    assert np.allclose(read.camera.white_balance, camera.white_balance, atol=1e-5)
    assert np.allclose(read.camera.color_matrix, camera.color_matrix, atol=1e-4)
    assert read.camera.noise.gain == pytest.approx(0.5, rel=1e-3)
    assert read.camera.noise.read_noise == pytest.approx(3.0, rel=1e-3)


def test_libraw_gives_what_rawpy_gives_of_the_same_dng(tmp_path):
    path = tmp_path / "x.dng"
    path.write_bytes(dng((MOSAIC * 4095).round().numpy().astype(np.uint16), CAMERA))
    with rawpy.imread(str(path)) as raw:
        expected = raw.postprocess(
            demosaic_algorithm=rawpy.DemosaicAlgorithm.VNG,
            bright=1.2,
            gamma=(1, 1),
            no_auto_bright=True,
            adjust_maximum_thr=0,
            use_camera_wb=True,
            output_bps=16,
        )
    isp = rd.isp.open("libraw:demosaic=VNG,bright=1.2,gamma=(1,1)", CAMERA)
    view = isp(MOSAIC)
    assert view.shape == (3, 24, 32)
    assert np.array_equal((view * 65535).round().numpy(), expected.transpose(2, 0, 1))


def test_libraw_develops_monochrome_mosaics_and_refuses_other_arrays():
    mosaic = torch.rand(40, 44, generator=torch.manual_seed(0)) * 0.8 + 0.1
    view = rd.isp.open("libraw:gamma=[1,1]", rd.Camera("gray", "MONO", white_level=1.0))(mosaic)
    assert view.shape == (3, 40, 44)
    assert torch.equal(view[0], view[2])
    assert torch.corrcoef(torch.stack([view[0].flatten(), mosaic.flatten()]))[0, 1] > 0.999
    for cfa in ("XTRANS", ["RRGG", "RRGG", "GGBB", "GGBB"]):
        with pytest.raises(rd.InputError, match="develops Bayer and monochrome"):
            rd.isp.open("libraw", rd.Camera("other", cfa))


def test_libraw_scales_all_images_alike():
    camera = rd.Camera("plain", "GRBG", white_balance=(1.5, 1.0, 1.5))
    isp = rd.isp.open("libraw:demosaic=LINEAR,gamma=(1,1)", camera)
    bright, dark = isp(torch.stack([MOSAIC, MOSAIC / 2]))
    assert torch.allclose(bright, 2 * dark, atol=2e-3)


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("libraw:brigth=1", "did you mean 'bright'"),
        ("libraw:demosaic=HDA", "did you mean 'DHT'|choose one of"),
        ("libraw:AHD", "expected name=value"),
        ("libraw:bright=much", "bright is 'much', expected a number"),
        ("libraw:demosaic=AHD,demosaic_algorithm=VNG", "twice"),
        ("libraw:bad_pixels_path=/etc/passwd", "unknown LibRaw option"),
        ("libraw:gamma=2.2", "gamma must be 2 finite numbers, got 2.2"),
        ("libraw:user_wb=[1,2]", "user_wb must be 4 finite numbers"),
        ("libraw:noise_thr=", "noise_thr is None, expected a number from 0"),
        ("libraw:bright=-1", "bright is -1, expected a number from 0.001"),
        ("libraw:median_filter_passes=1.5", "is 1.5, expected a whole number from 0 to"),
        ("libraw:use_camera_wb=banana", "use_camera_wb is 'banana', expected true or false"),
        ("libraw:output_bps=12", "output_bps is 12, expected 8 or 16"),
        ("libraw:user_flip=6", "user_flip is 6, expected 0"),
        ("libraw:half_size=True", "half_size is True, expected False"),
        ("libraw:demosaic=99", "unknown demosaic_algorithm of LibRaw '99'.*AHD"),
        ("libraw:highlight_mode=10", "unknown highlight_mode of LibRaw '10'"),
        ("command:program {raw}", "{picture}"),
        ("command:no-such-program {raw} {picture}", "no program 'no-such-program'"),
        ("command:'program {raw} {picture}", "can't be split"),
        ("import:no_such_module.isp", "no module no_such_module"),
    ],
)
def test_wrong_references_are_refused(reference, told):
    with pytest.raises(rd.InputError, match=told):
        rd.isp.open(reference, CAMERA)


@pytest.mark.parametrize("shape", [(21, 30), (30, 21)])
def test_libraw_says_which_mosaics_are_too_small(shape):
    isp = rd.isp.open("libraw", CAMERA)
    with pytest.raises(rd.InputError, match=f"22x22 pixels or more, got {shape[0]}x{shape[1]}"):
        isp(torch.rand(shape))
    assert isp(torch.rand(22, 22)).shape == (3, 22, 22)


def test_choices_of_libraw_can_be_given_by_number():
    named = rd.isp.open("libraw:demosaic=VNG,highlight_mode=Blend", CAMERA)(MOSAIC)
    assert torch.equal(rd.isp.open("libraw:demosaic=1,highlight_mode=2", CAMERA)(MOSAIC), named)


def test_an_option_of_libraw_is_searched_within_what_it_takes():
    isp = rd.isp.open("libraw", CAMERA)
    for wanted in ({"libraw:bright": [-1.0, 2.0]}, {"libraw:exp_shift": [0.1, 2.0]}):
        with pytest.raises(rd.InputError, match="expected a number from"):
            rd.forensics.ParameterSpace.around(isp, wanted)


def test_a_program_takes_a_word_of_any_length(program):
    assert rd.isp.open(program("x" * 4000), CAMERA)(MOSAIC).shape == (3, 24, 32)


def test_a_program_gets_the_mosaic_and_its_picture_is_the_view(program):
    view = rd.isp.open(program(), CAMERA)(MOSAIC)
    values = (MOSAIC * 4095).round().to(torch.int32) >> 4
    assert torch.equal(view, (values / 255).expand(3, -1, -1))


def test_a_program_that_crops_gets_a_mirrored_border(program):
    plain = rd.isp.open(program(), CAMERA)(MOSAIC)
    assert torch.equal(rd.isp.open(program("crop", "{raw+8}"), CAMERA)(MOSAIC), plain)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("fail", "exit code 1; its output ends: reading.*no license"),
        ("hang", "no picture after 3 s; its output ends: reading"),
        ("small", "23x32 pixels for .*two.dng of 24x32"),
        ("gray", "holds uint8 values of shape"),
        ("nothing", "wrote no picture picture.png; its output ends: reading"),
    ],
)
def test_a_program_that_fails_is_named_with_its_image_and_output(what, told, program, monkeypatch):
    if what == "hang":
        monkeypatch.setenv("RAWDRIFT_TIMEOUT", "3")
    isp = rd.isp.open(program(what), CAMERA)
    with pytest.raises(rd.InputError, match=f"(?s){told}") as error:
        isp.views(MOSAIC[None], ["folder/two.dng"])
    assert "folder/two.dng" in str(error.value)
    assert "develop.py" in str(error.value)


def test_views_are_cached_by_content(program, tmp_path):
    isp, script = rd.isp.open(program(), CAMERA), tmp_path / "develop.py"
    views = isp(torch.stack([MOSAIC, MOSAIC / 2]))
    cached = sorted((tmp_path / "cache").rglob("*.npy"))
    assert len(cached) == 2
    written = [path.stat().st_mtime_ns for path in cached]
    assert torch.equal(isp(torch.stack([MOSAIC, MOSAIC / 2])), views)
    assert [path.stat().st_mtime_ns for path in cached] == written
    cached[0].write_bytes(b"broken")
    assert torch.equal(isp(torch.stack([MOSAIC, MOSAIC / 2])), views)
    rd.isp.open(program(), replace(CAMERA, white_balance=(2.0, 1.0, 1.0)))(MOSAIC)  # another camera
    rd.isp.open(program("other"), CAMERA)(MOSAIC)  # other options
    script.write_text(PROGRAM.replace(">> 4", ">> 5"))  # another version
    assert not torch.equal(rd.isp.open(program(), CAMERA)(MOSAIC), views[0])
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 5


def test_a_crash_of_an_own_function_is_an_error_too(tmp_path, monkeypatch):
    (tmp_path / "lab_isps.py").write_text(
        "import os\n"
        "def half(camera):\n"
        "    print('made for', camera.name)\n"
        "    return lambda mosaic: (mosaic / 2).expand(3, *mosaic.shape)\n"
        "def crash(camera):\n"
        "    print('going down', flush=True)\n"
        "    return lambda mosaic: os.abort()\n"
        "def bright(camera):\n"
        "    return lambda mosaic: (mosaic * 9).expand(3, *mosaic.shape)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    half = rd.isp.open("import:lab_isps.half", CAMERA)
    view = half(MOSAIC)
    assert torch.equal(view, (MOSAIC / 2).expand(3, -1, -1))
    with pytest.raises(rd.InputError, match="has no numbers that forensics could search"):
        rd.forensics.ParameterSpace.around(half, {"import:gain": [0.5, 2.0]})
    with pytest.raises(rd.InputError, match="signal SIGABRT; its output ends: going down"):
        rd.isp.open("import:lab_isps.crash", CAMERA)(MOSAIC)
    with pytest.raises(rd.InputError, match=r"expected \[0, 1\]"):
        rd.isp.open("import:lab_isps.bright", CAMERA)(MOSAIC)


def test_children_of_an_own_function_can_not_keep_it_waiting(tmp_path, monkeypatch):
    (tmp_path / "lab_forks.py").write_text(
        "import os, time\n"
        "def leaves(camera):\n"
        "    def develop(mosaic):\n"
        "        if not os.fork():\n"
        "            time.sleep(600)\n"
        "        os._exit(7)\n"
        "    return develop\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("RAWDRIFT_TIMEOUT", "8")
    with pytest.raises(rd.InputError, match="no view after 8 s"):
        rd.isp.open("import:lab_forks.leaves", CAMERA)(MOSAIC)


@pytest.mark.parametrize("seconds", ["abc", "0", "nan", "inf"])
def test_a_timeout_that_is_no_time_is_refused(seconds, program, monkeypatch):
    monkeypatch.setenv("RAWDRIFT_TIMEOUT", seconds)
    with pytest.raises(rd.InputError, match=f"RAWDRIFT_TIMEOUT is '{seconds}', expected the sec"):
        rd.isp.open(program(), CAMERA)(MOSAIC)


def test_a_cache_that_can_not_be_written_is_named(program, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RAWDRIFT_CACHE", str(tmp_path / "file"))
    with pytest.raises(rd.InputError, match="can't be cached in .*file.views.*RAWDRIFT_CACHE"):
        rd.isp.open(program(), CAMERA)(MOSAIC)


def test_a_full_disk_is_a_reason_too(program, monkeypatch):
    def write(*_):
        raise OSError("4096 requested and 100 written")  # as NumPy says

    monkeypatch.setattr(external.files, "write", write)
    with pytest.raises(rd.InputError, match="can't be cached in .*: 4096 requested and 100 wr"):
        rd.isp.open(program(), CAMERA)(MOSAIC)


TONE = """
from typing import Literal
import torch

def tone(camera, *, bright: float = 1.0, steps: int = 0, curve: Literal["line", "root"] = "line",
         flip: bool = False, note=None):
    if not 0 < bright <= 4:
        raise ValueError("bright must be above 0 and at most 4")

    def develop(mosaic):
        view = mosaic * bright / 2 ** steps
        view = view.sqrt() if curve == "root" else view
        return (view.flip(-1) if flip else view).clamp(0, 1).expand(3, *mosaic.shape)

    return develop

def needy(camera, strength: float):
    return tone(camera, bright=strength)
"""


@pytest.fixture
def tone(tmp_path, monkeypatch):
    """The reference of an own ISP that has options, with a name of its own for each test."""
    name = f"lab_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(TONE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return f"import:{name}.tone"


def test_options_of_an_own_function_are_its_parameters(tone, tmp_path):
    def view(options):
        return rd.isp.open(f"{tone}{options}", CAMERA)(MOSAIC)[0]

    assert torch.equal(view(""), MOSAIC)
    assert torch.equal(view(":bright=1.25"), MOSAIC * 1.25)
    expected = (MOSAIC * 3 / 2).sqrt().flip(-1)
    assert torch.equal(view(":bright=3, steps=1, curve=root, flip=true, note=[1, a]"), expected)
    assert torch.equal(view(""), MOSAIC)  # of the same process, with other options
    assert torch.equal(view(":bright=1.25"), MOSAIC * 1.25)  # cached
    assert len([*(tmp_path / "cache").rglob("*.npy")]) == 3
    assert (
        rd.isp.open(f"{tone}:bright=1.25", CAMERA)
        .shown_title()
        .endswith("tone:bright=1.25, camera lab-cam")
    )
    needy = tone.replace("tone", "needy")
    half = rd.isp.open(f"{needy}:strength=0.5", CAMERA)
    assert torch.equal(half(MOSAIC)[0], MOSAIC / 2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("brigth=1", "unknown option of import:.*did you mean 'bright'"),
        ("bright=much", "bright of import:.* is 'much', expected a number"),
        ("steps=1.5", "steps of .* is '1.5', expected a whole number"),
        ("flip=1", "flip of .* is '1', expected true or false"),
        ("curve=cube", "unknown curve of .* 'cube'.*line"),
        ("bright=9", "fails for camera lab-cam with bright=9.0: ValueError: bright must be"),
        ("bright", "expected name=value.*factory:bright=1.2"),
        ("bright=1,bright=2", "states bright twice"),
        ("camera=1", "unknown option"),
    ],
)
def test_wrong_options_of_an_own_function_are_refused(options, told, tone):
    with pytest.raises(rd.InputError, match=told):
        rd.isp.open(f"{tone}:{options}", CAMERA)


def test_an_own_function_can_need_an_option(tone):
    needy = tone.replace("tone", "needy")
    with pytest.raises(rd.InputError, match=r"needs strength; expected .*needy:strength=VALUE"):
        rd.isp.open(needy, CAMERA)


def test_forensics_searches_the_options_of_an_own_function(tone):
    mosaics = torch.linspace(0.15, 0.6, 16)[:, None, None] * torch.ones(16, 24, 24)
    isp = rd.isp.open(f"{tone}:bright=1.1", CAMERA)
    net = Threshold(brightness, brightness(isp(mosaics)).median() + 0.01, 20.0)
    data = list(zip(mosaics, net(isp(mosaics)).argmax(1), strict=True))
    wanted = {
        "import:bright": [0.7, 1.4], "import:steps": [0, 2], "import:curve": ["root", "line"],
        "import:flip": [False, True],
    }  # fmt: skip
    space = rd.forensics.ParameterSpace.around(isp, wanted)
    assert space.default.tolist() == [1.1, 0, 1, 0]
    at = space.pipeline(isp, np.array([0.9, 0.6, 0.0, 1.0]))
    assert torch.allclose(
        at(mosaics), (0.45 * mosaics).sqrt().flip(-1)[:, None].expand(-1, 3, -1, -1)
    )
    only = space.only(["import.bright", "import.flip"])
    found = rd.forensics.search(net, isp, data, only, restarts=1, steps=2, rivals=[])
    assert found.metric < found.baseline == 1
    assert found.parameters["import.flip"] == 0  # does no harm
    around = rd.forensics.ParameterSpace.around
    for ranges, told in {
        "import:brigth": (0.7, "did you mean 'import:bright'"),
        "import:bright": ([1.0, 5.0], "with bright=5.0: ValueError: bright must be above 0"),
        "import:curve": (["line", "cube"], "unknown curve of .*'cube'"),
    }.items():
        with pytest.raises(rd.InputError, match=told[1]):
            around(isp, {ranges: told[0]})


def test_a_run_of_forensics_over_the_options_of_an_own_function(tone, tmp_path, capsys):
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "data: {name: synthetic-microscopy, images: 18, size: 32, balanced: true}\n"
        f"forensics: {{isp: '{tone}:curve=root', space: {{'import:bright': [0.3, 3.0]}},\n"
        "  folds: 2, models: 1, groups: [all], regularizations: [0], restarts: 1, steps: 1,\n"
        "  rivals: [], samples: 0, envelope: false}\n"
        "task: {epochs: 1, model: 'import:nets.blocks'}\n"
    )
    out = tmp_path / "run"
    command = ["forensics", "--config", str(spec), "--out", str(out)]
    command += ["--task.model", "import:nets.blocks"]
    assert main(command) == 2
    assert f"names code to import, {tone}" in capsys.readouterr().err
    assert main([*command, "--allow_import", tone]) == 0
    result = rd.load_result(out)
    assert result.worst.setting.parameters.keys() == {"import.bright"}
    assert "import bright" in (out / "report.html").read_text()


def test_a_command_of_a_file_runs_only_if_the_user_names_it(program, tmp_path, capsys):
    reference = program("fail")
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "data: {name: synthetic-microscopy, images: 18, size: 32, balanced: true}\n"
        f"synthesis: {{train: [{reference!r}], folds: 2, corruptions: []}}\n"
        "task: {epochs: 1}\n"
    )
    arguments = ["synthesis", "--config", str(spec), "--out", str(tmp_path / "run")]
    assert main(arguments) == 2
    assert "names a program to run" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()
    main([*arguments, "--allow_import", reference])
    assert "no license" in capsys.readouterr().err


def test_develop_and_show_take_black_boxes(tmp_path, program, capsys):
    raw, camera = tmp_path / "one.dng", tmp_path / "camera.toml"
    raw.write_bytes(dng((MOSAIC * 4095).round().numpy().astype(np.uint16), CAMERA))
    CAMERA.save(camera)
    out = tmp_path / "out"
    arguments = ["develop", str(raw), "--out", str(out), "--isp"]
    assert main([*arguments, "libraw:demosaic=VNG"]) == 0
    assert (out / "one_libraw-demosaic=VNG.png").is_file()
    assert main([*arguments, program("fail")]) == 2
    assert "one.dng" in (told := capsys.readouterr().err)
    assert "no license" in told
    assert main(["isp", "show", "libraw", "--camera", str(camera)]) == 0
    assert "Black box libraw" in capsys.readouterr().out


def test_synthesis_trains_and_tests_on_black_boxes(tmp_path):
    spec = rd.SynthesisSpec(
        data=rd.Data("synthetic-microscopy", images=18, size=32, balanced=True),
        synthesis=rd.Synthesis(
            train=["libraw:demosaic=AHD"], isps=["libraw:demosaic=VNG,bright=0.7"],
            folds=2, corruptions=[],
        ),
        task=rd.Task(epochs=1),
    )  # fmt: skip
    result = run(spec, tmp_path / "run")
    frame = result.to_frame()
    assert {"libraw:demosaic=AHD", "libraw:demosaic=VNG,bright=0.7"} < {*frame["test"]}
    assert not result.failed


def test_optimization_takes_a_black_box_that_is_frozen(tmp_path):
    with pytest.raises(rd.InputError, match="can't be learned"):
        rd.Optimization(isp="libraw")
    spec = rd.OptimizationSpec(
        data=rd.Data("synthetic-microscopy", images=18, size=32, balanced=True),
        optimization=rd.Optimization(
            settings=["frozen", "direct"], intensities=[1.0], folds=2, isp="libraw"
        ),
        task=rd.Task(epochs=1),
    )
    assert not run(spec, tmp_path / "run").failed


def test_match_finds_the_options_of_libraw():
    mosaics = torch.rand(2, 48, 48, generator=torch.Generator().manual_seed(0)) / 3 + 0.1
    references = [f"libraw:demosaic={name}" for name in ("LINEAR", "VNG", "AHD")]
    pictures = rd.isp.open(references[1], CAMERA)(mosaics)
    found = rd.isp.match(mosaics, pictures, CAMERA, references)
    assert found.best.isp == references[1]


def test_nothing_is_left_behind_but_the_cache(program, tmp_path, monkeypatch):
    monkeypatch.setattr(external.tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    rd.isp.open(program(), CAMERA)(MOSAIC)
    assert not list((tmp_path / "temporary").iterdir())
    assert all(
        Path(p).is_relative_to(external.cache()) for p in (tmp_path / "cache").rglob("*.npy")
    )


def test_forensics_searches_the_options_of_a_black_box():
    mosaics = torch.linspace(0.15, 0.6, 16)[:, None, None] * torch.ones(16, 24, 24)
    isp = rd.isp.open("libraw", CAMERA)
    net = Threshold(brightness, brightness(isp(mosaics)).median() + 0.01, 20.0)
    data = list(zip(mosaics, net(isp(mosaics)).argmax(1), strict=True))
    space = rd.forensics.ParameterSpace.around(
        isp, {"libraw:bright": [0.7, 1.4], "libraw:demosaic_algorithm": ["AHD", "VNG", "LINEAR"]}
    )
    assert [axis.label for axis in space.axes] == [
        "libraw bright",
        "libraw demosaic algorithm (0 AHD, 1 VNG, 2 LINEAR)",
    ]
    found = rd.forensics.search(net, isp, data, space, restarts=1, steps=2, rivals=[])
    assert found.metric < found.baseline == 1
    assert found.parameters["libraw.bright"] != 1
    assert found.parameters["libraw.demosaic_algorithm"] == 0  # does no harm
    assert "ascents" not in found.gradient.parts
    with pytest.raises(rd.InputError, match="no default space"):
        rd.forensics.ParameterSpace.around(isp)
    noise = {"libraw:fbdd_noise_reduction": [False, "Light"]}  # Off in YAML
    axis = rd.forensics.ParameterSpace.around(rd.isp.open("libraw", CAMERA), noise).axes[0]
    assert axis.label == "libraw fbdd noise reduction (0 Off, 1 Light)"
    with pytest.raises(rd.InputError, match="with AHD, which the ISP has"):
        rd.forensics.ParameterSpace.around(isp, {"libraw:demosaic_algorithm": ["VNG", "DCB"]})


def test_numbers_of_a_program_are_its_options(program):
    isp = rd.isp.open(program("{mode=fine}") + "", CAMERA)
    space = rd.forensics.ParameterSpace.around(isp, {"command:mode": ["fine", "nothing"]})
    assert torch.equal(space.pipeline(isp, np.array([0.4]))(MOSAIC), isp(MOSAIC))
    with pytest.raises(rd.InputError, match="wrote no picture"):
        space.pipeline(isp, np.array([1.0]))(MOSAIC)


def test_workers_wait_for_the_next_views(tmp_path, monkeypatch):
    (tmp_path / "lab_pids.py").write_text(
        "import os\n"
        "def isp(camera):\n"
        "    with open('pids', 'a') as file:\n"
        "        file.write(f'{os.getpid()}\\n')\n"
        "    return lambda mosaic: mosaic.expand(3, *mosaic.shape)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    isp = rd.isp.open("import:lab_pids.isp", CAMERA)
    for shift in (0.0, 0.1, 0.2):
        assert torch.equal(isp(MOSAIC + shift)[0], MOSAIC + shift)
    assert len({*(tmp_path / "pids").read_text().split()} - {str(os.getpid())}) == 1
    waiting = len(programs._Worker._idle)
    for bright in (1.0, 1.1):  # one process for all options of LibRaw
        rd.isp.open(f"libraw:bright={bright}", CAMERA)(MOSAIC)
    assert len(programs._Worker._idle) <= waiting + 1
    processes = [one.process for one in programs._Worker._idle]
    programs._Worker.close_idle()
    assert all(process.poll() is not None for process in processes)


def test_an_envelope_of_a_black_box_is_that_of_the_same_number():
    """LibRaw's brightness, by which a classifier by brightness fails from a known value on."""
    mosaics = torch.linspace(0.15, 0.6, 4).repeat(10)[:, None, None] * torch.ones(40, 24, 24)
    isp = rd.isp.open("libraw:demosaic=LINEAR,gamma=[1,1]", CAMERA)
    net = Threshold(brightness, brightness(isp(mosaics[1:3])).mean(), 20.0)
    data = list(zip(mosaics, net(isp(mosaics)).argmax(1), strict=True))
    space = rd.forensics.ParameterSpace.around(isp, {"libraw:bright": [0.7, 1.4]})
    safe = rd.forensics.envelope(net, isp, data, space, max_drop=0.2, cameras=4)
    tolerance = safe.tolerances["libraw.bright"]
    assert 0.7 <= tolerance.low < 1 < tolerance.high <= 1.4
    at_end = space.pipeline(isp, np.array([tolerance.high]))(mosaics)
    wrong = net(at_end).argmax(1) != torch.stack([label for _, label in data])
    assert wrong.double().mean() < 0.2


def test_a_command_is_called_by_its_words_without_its_files():
    text = "command:/usr/bin/prog -q {raw+64} {picture.tif} --core --configdir {picture}.config"
    assert label(text) == "prog -q --core"
    assert label("command:prog -o {picture} -c {raw}") == "prog -o -c"
    assert case("import:lab.isps.tone:bright=0.7,curve=root") == "tone:bright=0.7,curve=root"
