"""The page's server: what it lets in, what it tells, and what it never does."""

import json
import re
import shlex
import sys
import time
from dataclasses import replace
from html import escape

import numpy as np
import pytest
import tifffile
import torch
from starlette.testclient import TestClient

import nets
import rawdrift as rd
from pages import HOSTILE
from rawdrift import imports
from rawdrift.cfa import layout
from rawdrift.cli import main
from rawdrift.models import weights
from rawdrift.models.spec import Task
from rawdrift.web import explore
from rawdrift.web.answers import Network, of_run
from rawdrift.web.explore import RAW_STAGE
from rawdrift.web.folder import Folder
from rawdrift.web.frames import reduced
from rawdrift.web.server import app

from conftest import random_camera, random_mosaic, write_folder

HOME = "http://127.0.0.1:8765"
SIZE = (80, 120)


@pytest.fixture
def folder(tmp_path):
    """A folder with a raw file, its camera, an ISP file, a broken file, and a secret beside it."""
    root = tmp_path / "served"
    root.mkdir()
    camera = random_camera(7, "RGGB")
    camera.save(root / "camera.toml")
    mosaic = (random_mosaic(1, *SIZE) * 65535).to(torch.int32).numpy().astype(np.uint16)
    tifffile.imwrite(root / "frame.tif", mosaic)
    rd.isp.save(rd.isp.static("ma,u,me", camera), root / "own.toml", camera)
    (root / "broken.tif").write_bytes(b"II*\0 is not much")
    (root / "notes.txt").write_text("mine")
    tifffile.imwrite(tmp_path / "secret.tif", mosaic)
    return root


def page_of(root, network=None, hosts=(), base_url=HOME, boxes=()):
    client = TestClient(app(Folder(root), network, hosts, boxes), base_url=base_url)
    token = re.search('rawdrift-token" content="([^"]+)', client.get("/").text)
    client.headers["X-Rawdrift"] = token[1] if token else ""
    return client


def ask(client, question_name, status=200, /, **question):
    reply = client.post(f"/ask/{question_name}", json=question)
    assert reply.status_code == status, reply.text
    return reply.json()


def view(client, **question):
    reply = client.post("/ask/view", json={"file": "frame.tif", "isp": "bi,s,me", **question})
    assert reply.status_code == 200, reply.text
    about = json.loads(reply.headers["x-about"])
    shape = about["planes"], about["height"], about["width"]
    return about, np.frombuffer(reply.content, np.uint8).reshape(shape)


def bytes_of(part):
    return (part.clamp(0, 1).numpy() * 255 + 0.5).astype(np.uint8)


@pytest.mark.parametrize("isp", ["bi,s,me", "me,u,ga", "own.toml"])
def test_a_view_is_that_of_the_whole_frame(folder, isp):
    camera = rd.Camera.load(folder / "camera.toml")
    raw = rd.read_raw(folder / "frame.tif", camera=camera)
    own = rd.isp.open(folder / isp if isp == "own.toml" else isp, camera)
    about, found = view(page_of(folder), isp=isp, top=20, left=31, height=30, width=41)
    assert (about["top"], about["left"]) == (20, 31)
    expected = bytes_of(own(raw.mosaic)[:, 20:50, 31:72])
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_sliders_are_those_that_steps_declare_and_move_the_view(folder):
    client = page_of(folder)
    told = ask(client, "open", file="frame.tif", isp="bi,s,ga")
    isp = rd.isp.static("bi,s,ga", rd.Camera.load(folder / "camera.toml"))
    assert told["stages"] == [RAW_STAGE, *isp.steps]
    numbers = {f"{s['step']}.{n['name']}": n for s in told["steps"] for n in s["numbers"]}
    for name, tensor in isp.named_buffers():
        if name in numbers:
            values = [one["value"] for one in numbers[name]["entries"]]
            assert values == pytest.approx(tensor.flatten().tolist())
    assert len(numbers) == 7
    every = [one for n in numbers.values() for one in (*n["knobs"], *n["entries"])]
    assert all(one["low"] < one["value"] < one["high"] or one["drift"] is None for one in every)
    where = {"isp": "bi,s,ga", "top": 0, "left": 0, "height": 40, "width": 40}
    _, before = view(client, **where)
    for one in every:
        about, after = view(client, **where, values={one["name"]: one["high"]})
        assert about["planes"] == 3
        if "kernel" not in one["name"]:  # whose outermost entries may do little
            assert not np.array_equal(before, after), one["name"]


def test_stages_and_pixels(folder):
    client = page_of(folder)
    raw = rd.read_raw(folder / "frame.tif", camera=rd.Camera.load(folder / "camera.toml"))
    isp = rd.isp.static("bi,s,me", raw.camera)
    _, stages = isp.trace(raw.mosaic)
    for name, stage in stages.items():
        _, found = view(client, stage=name, top=10, left=10, height=9, width=9, lift=False)
        expected = bytes_of(stage[..., 10:19, 10:19].reshape(-1, 9, 9))
        assert np.abs(found.astype(int) - expected).max() <= 1
    at = ask(client, "pixel", file="frame.tif", row=79, column=119)
    assert [name for name, _ in at["stages"]] == [RAW_STAGE, *stages]
    assert at["dn"] == round(float(raw.mosaic[79, 119]) * 65535)
    for name, values in at["stages"][1:]:
        assert values == pytest.approx(stages[name][..., 79, 119].flatten().tolist(), abs=1e-5)
    assert "outside" in ask(client, "pixel", 400, file="frame.tif", row=80, column=0)["error"]


def test_a_reduced_mosaic_keeps_colors_in_place():
    # Means keep a ramp: each site of the reduced mosaic shows where its pixels lie in the frame, at
    # most half a cell from where it should.
    ramp = torch.arange(128.0).expand(96, 128)
    for cfa in ("RGGB", "MONO", "XTRANS", "RRGG/RRGG/GGBB/GGBB"):
        for factor in (2, 3, 4):
            for mosaic, axis in ((ramp, 1), (ramp.T, 0)):
                found = reduced(mosaic, cfa, factor)
                at = (torch.arange(found.shape[axis]) + 0.5) * factor - 0.5
                apart = found - (at if axis else at[:, None])
                assert apart[6:-6, 6:-6].abs().max() <= layout(cfa).height / 2


def test_a_large_view_is_refused_and_a_reduced_one_given(tmp_path):
    tifffile.imwrite(tmp_path / "large.tif", np.full((2200, 2200), 9000, np.uint16))
    client = page_of(tmp_path)
    whole = {
        "file": "large.tif",
        "camera": "raw-drone",
        "top": 0,
        "left": 0,
        "height": 2200,
        "width": 2200,
    }
    assert "at most" in ask(client, "view", 400, **whole)["error"]
    about, _ = view(client, **whole, factor=4)
    assert (about["height"], about["width"]) == (550, 550)


def balanced(folder):
    """An ISP file whose steps measure the frame and resize it, and the pipeline."""
    camera = rd.Camera.load(folder / "camera.toml")
    isp = rd.isp.static("bi,s,me", camera)
    isp = isp.insert("balance", rd.isp.ShadesOfGray(norm=6.0), after="demosaic")
    isp = isp.insert("resize", rd.isp.Resize(0.5), after="gamma")
    rd.isp.save(isp, folder / "whole.toml", camera)
    return isp


def test_steps_that_measure_and_resize_are_developed_in_parts(folder):
    isp, client = balanced(folder), page_of(folder)
    mosaic = rd.read_raw(folder / "frame.tif", camera=rd.Camera.load(folder / "camera.toml")).mosaic
    assert ask(client, "open", file="frame.tif", isp="whole.toml")["whole"] == []
    _, stages = isp.trace(mosaic)
    for name, stage in stages.items():
        _, found = view(
            client, isp="whole.toml", top=8, left=8, height=8, width=8, stage=name, lift=False
        )
        if name == "resize":  # shown where it lies in the frame
            stage = stage.repeat_interleave(2, 1).repeat_interleave(2, 2)
        expected = bytes_of(stage[..., 8:16, 8:16].reshape(-1, 8, 8))
        assert np.abs(found.astype(int) - expected).max() <= 1, name
    at = ask(client, "pixel", file="frame.tif", isp="whole.toml", row=9, column=11)
    assert [name for name, _ in at["stages"]] == [RAW_STAGE, *stages]
    assert at["stages"][-1][1] == pytest.approx(stages["resize"][:, 4, 5].tolist(), abs=1e-5)


def test_a_large_frame_is_measured_roughly_until_all_of_it_is(folder, monkeypatch):
    monkeypatch.setattr(explore, "_AT_ONCE", 1000)
    monkeypatch.setattr(explore, "_ROUGH", 1000)
    isp, client = balanced(folder).remove("resize"), page_of(folder)
    camera = rd.Camera.load(folder / "camera.toml")
    rd.isp.save(isp, folder / "whole.toml", camera)
    mosaic = rd.read_raw(folder / "frame.tif", camera=camera).mosaic
    where = {"isp": "whole.toml", "top": 0, "left": 0, "height": 40, "width": 40}
    expected = bytes_of(isp(mosaic)[:, :40, :40]).astype(int)
    about, rough = view(client, **where, exact=False)
    assert about["rough"]
    assert 0 < np.abs(rough - expected).mean() < 8
    about, found = view(client, **where)
    assert not about["rough"]
    assert np.abs(found - expected).max() <= 1
    # What is behind the step leaves the measured frame as it is; what is before it does not.
    for name, is_rough in (
        ("gamma.gamma", False),
        ("balance.strength", False),
        ("black_level.level[0]", True),
    ):
        about, _ = view(client, **where, exact=False, values={name: 0.5})
        assert about["rough"] == is_rough, name


def test_a_step_that_does_not_say_how_far_it_looks_is_shown_out_of_the_whole(folder, own_module):
    own_module(
        "far",
        "import rawdrift as rd\n\nclass Far(rd.isp.Step):\n"
        "    def forward(self, x):\n        return x - x.mean() + 0.3\n",
    )
    far = imports.resolve("import:far.Far", "step")()
    camera = rd.Camera.load(folder / "camera.toml")
    isp = rd.isp.static("bi,s,me", camera).insert("far", far, after="demosaic")
    rd.isp.save(isp, folder / "far.toml", camera)
    with imports.allowing(["import:far.Far"]):
        explorer = explore.Explorer(Folder(folder))
        told = explorer.open(explore.Open("frame.tif", isp="far.toml"))
        assert told["whole"] == ["far"]
        asked = explore.View("frame.tif", isp="far.toml", top=7, left=9, height=20, width=30)
        _, pixels = explorer.view(asked)
    whole = isp(rd.read_raw(folder / "frame.tif", camera=camera).mosaic)
    found = np.frombuffer(pixels, np.uint8).reshape(3, 20, 30)
    assert np.abs(found.astype(int) - bytes_of(whole[:, 7:27, 9:39])).max() <= 1


def test_a_stage_without_place_in_a_reduced_mosaic_shows_the_one_before(folder):
    camera = replace(rd.Camera.load(folder / "camera.toml"), defective_pixels=((3, 4),))
    rd.isp.save(rd.isp.static("bi,s,me", camera), folder / "defects.toml", camera)
    where = {"isp": "defects.toml", "top": 0, "left": 0, "height": 80, "width": 120, "factor": 2}
    client = page_of(folder)
    _, found = view(client, **where, stage="defective_pixels")
    _, raw = view(client, **where, stage=RAW_STAGE)
    assert np.array_equal(found, raw)


PROGRAM = """
import sys, time, tifffile, numpy as np
from PIL import Image
raw, picture, gain = sys.argv[1:]
if float(gain) == 0: sys.exit("no license")
if float(gain) < 0: time.sleep(60)
values = (tifffile.imread(raw) / 65535 * float(gain)).clip(0, 1)
Image.fromarray(np.dstack([np.rint(values * 255).astype(np.uint8)] * 3)).save(picture)
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.setenv("RAWDRIFT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "develop.py").write_text(PROGRAM)
    words = shlex.join([sys.executable, str(tmp_path / "develop.py")])
    name = f"command:{words} {{raw}} {{picture}} {{gain=1}}"
    with imports.allowing([name]):
        yield name


def developed(explorer, **asked):
    """The view by a black box, once it is there, and how often it was not."""
    for times in range(400):
        about, pixels = explorer.view(explore.View("frame.tif", **asked))
        if "pending" not in about:
            shape = about["planes"], about["height"], about["width"]
            return about, np.frombuffer(pixels, np.uint8).reshape(shape), times
        assert pixels == b""
        time.sleep(0.05)
    raise AssertionError("no view")


def test_black_boxes_are_explored_beside_the_page(folder, command, monkeypatch):
    monkeypatch.setenv("RAWDRIFT_TIMEOUT", "30")
    explorer = explore.Explorer(Folder(folder), boxes=["libraw:demosaic=VNG", command])
    camera = rd.Camera.load(folder / "camera.toml")
    mosaic = rd.read_raw(folder / "frame.tif", camera=camera).mosaic
    assert explorer.browse(explore.Browse())["boxes"] == ("libraw:demosaic=VNG", command)
    told = explorer.open(explore.Open("frame.tif", isp="libraw:demosaic=VNG"))
    assert told["stages"] == [RAW_STAGE, "libraw"]
    entries = {n["name"]: n["entries"][0] for n in told["steps"][0]["numbers"]}
    assert (entries["bright"]["low"], entries["bright"]["high"]) == (0.25, 4)
    choices = entries["demosaic_algorithm"]["choices"]
    assert choices[int(entries["demosaic_algorithm"]["value"])] == "VNG"
    where = {"top": 10, "left": 12, "height": 20, "width": 30}
    values = {"libraw.bright": 1.5, "libraw.demosaic_algorithm": float(choices.index("AHD"))}
    for moved, reference in (
        ({}, "libraw:demosaic_algorithm=VNG"),
        (values, "libraw:demosaic_algorithm=AHD,bright=1.5"),
    ):
        about, found, _ = developed(explorer, isp="libraw:demosaic=VNG", values=moved, **where)
        assert about["reference"] == reference
        own = rd.isp.open(reference, camera)(mosaic)
        assert np.abs(found.astype(int) - bytes_of(own[:, 10:30, 12:42])).max() <= 1
    _, _, times = developed(explorer, isp="libraw:demosaic=VNG", values={}, **where)
    assert times == 0  # it is kept
    about, found, _ = developed(
        explorer,
        isp=command,
        values={"command.gain": 0.5},
        top=0,
        left=0,
        height=80,
        width=120,
        factor=2,
    )
    assert "{gain=0.5}" in about["reference"]
    reduced_ = torch.nn.functional.avg_pool2d(mosaic[None] / 2, 2)
    assert np.abs(found.astype(int) - bytes_of(reduced_)).max() <= 2
    at = explorer.pixel(
        explore.Pixel("frame.tif", isp=command, row=3, column=5, values={"command.gain": 0.5})
    )
    assert at["stages"][1][1] == pytest.approx([float(mosaic[3, 5]) / 2] * 3, abs=0.01)
    with pytest.raises(rd.InputError, match="black box"):
        explorer.save(explore.Save("frame.tif", isp=command, name="a.toml"))


def test_options_of_an_own_function_are_sliders_and_choices(folder, own_module, command):
    own_module(
        "boxed",
        "from typing import Literal\n\n"
        "def isp(camera, gain: float = 1.0, inverted: bool = False, *,"
        " channel: Literal['all', 'red'] = 'all'):\n"
        "    def develop(x):\n"
        "        y = (x * gain).clamp(0, 1).expand(3, *x.shape).clone()\n"
        "        if channel == 'red': y[1:] = 0\n"
        "        return 1 - y if inverted else y\n"
        "    return develop\n",
    )
    with imports.allowing(["import:boxed.isp"]):
        explorer = explore.Explorer(Folder(folder), boxes=["import:boxed.isp:gain=0.5"])
        told = explorer.open(explore.Open("frame.tif", isp="import:boxed.isp:gain=0.5"))
        entries = {n["name"]: n["entries"][0] for n in told["steps"][0]["numbers"]}
        assert entries["gain"]["value"] == 0.5
        assert entries["inverted"]["choices"] == ["false", "true"]
        assert entries["channel"]["choices"] == ["all", "red"]
        values = {"import.gain": 0.25, "import.inverted": 1.0, "import.channel": 1.0}
        where = {"top": 0, "left": 0, "height": 9, "width": 9}
        asked = {"isp": "import:boxed.isp:gain=0.5", "values": values}
        about, found, _ = developed(explorer, **asked, **where)
    assert about["reference"] == "import:boxed.isp:gain=0.25,inverted=True,channel=red"
    assert (found[1:] == 255).all()
    assert (found[0] < 255).any()


def test_a_black_box_that_fails_or_hangs_says_so(folder, command, monkeypatch):
    explorer = explore.Explorer(Folder(folder), boxes=[command])
    where = {"isp": command, "top": 0, "left": 0, "height": 8, "width": 8}
    for _ in range(2):  # it is tried again when it is asked for again
        with pytest.raises(rd.InputError, match="fails with frame.tif.*no license"):
            developed(explorer, values={"command.gain": 0.0}, **where)
    monkeypatch.setenv("RAWDRIFT_TIMEOUT", "0.2")
    with pytest.raises(rd.InputError, match="no picture after 0.2 s"):
        developed(explorer, values={"command.gain": -1.0}, **where)


def test_no_black_box_is_run_that_the_command_does_not_name(folder, command):
    client = page_of(folder, boxes=["libraw"])
    for isp in (command, "libraw:bright=2", "import:mine.isp"):
        assert "ISP" in ask(client, "open", 400, file="frame.tif", isp=isp)["error"]
    assert ask(client, "open", file="frame.tif", isp="libraw")["box"]


@pytest.mark.parametrize("cfa", ["MONO", "XTRANS", "RRGG/RRGG/GGBB/GGBB", "RCCB"])
def test_other_arrays_are_developed_by_what_takes_them(tmp_path, cfa):
    rd.Camera("other", cfa).save(tmp_path / "camera.toml")
    np.save(tmp_path / "frame.npy", random_mosaic(1, *SIZE).float().numpy())
    client = page_of(tmp_path)
    told = ask(client, "open", file="frame.npy", isp="bi,s,me")
    names = [name for name, _ in told["isp_names"]]
    assert ("ma,s,me" in names) == (cfa.startswith("RRGG"))
    camera = rd.Camera.load(tmp_path / "camera.toml")
    mosaic = rd.read_raw(tmp_path / "frame.npy", camera=camera).mosaic
    for isp in names[::5]:
        whole = rd.isp.static(isp, camera)(mosaic)
        _, found = view(client, file="frame.npy", isp=isp, top=13, left=29, height=20, width=30)
        expected = bytes_of(whole[:, 13:33, 29:59])
        assert np.abs(found.astype(int) - expected).max() <= 1
    about, _ = view(client, file="frame.npy", top=0, left=0, height=80, width=120, factor=2)
    assert about["height"] >= 30
    if "ma,s,me" not in names:
        assert (
            "choose one of bi,"
            in ask(client, "open", 400, file="frame.npy", isp="ma,s,me")["error"]
        )


def test_a_setting_is_saved_and_replaced_only_when_asked(folder):
    client = page_of(folder)
    setting = {
        "file": "frame.tif",
        "isp": "bi,s,me",
        "values": {"gamma.gamma": 1.5},
        "name": "mine.toml",
    }
    assert ask(client, "save", **setting) == {"saved": "mine.toml", "exists": ""}
    assert float(rd.isp.load(folder / "mine.toml").gamma.gamma) == 1.5
    setting["values"] = {"gamma.gamma": 2.5}
    assert ask(client, "save", **setting) == {"saved": "", "exists": "mine.toml"}
    assert float(rd.isp.load(folder / "mine.toml").gamma.gamma) == 1.5
    ask(client, "save", **setting, replace=True)
    assert float(rd.isp.load(folder / "mine.toml").gamma.gamma) == 2.5
    assert "mine.toml" in ask(client, "browse")["isps"]
    before = (folder / "camera.toml").read_text()
    told = ask(client, "save", 400, **setting | {"name": "camera.toml", "replace": True})
    assert "no ISP file" in told["error"]
    assert (folder / "camera.toml").read_text() == before


@pytest.mark.parametrize("name", ["../up.toml", "/tmp/abs.toml", ".hidden.toml", "a\nb.toml", ""])
def test_a_name_to_save_leads_nowhere_else(folder, name):
    setting = {"file": "frame.tif", "isp": "bi,s,me", "name": name}
    assert "can't name a file" in ask(page_of(folder), "save", 400, **setting)["error"]
    assert not list(folder.parent.glob("*.toml"))


@pytest.mark.parametrize(
    "name",
    ["../secret.tif", "linked.tif", "linked/secret.tif", "/etc/passwd", "./frame.tif", "a/../frame.tif",
     "..", "\0", "frame.tif\0", ".hidden.tif", "frame.tif/", "x" * 5000, "nothing.tif"],
)  # fmt: skip
def test_nothing_outside_of_the_folder_is_read(folder, name):
    (folder / "linked.tif").symlink_to(folder.parent / "secret.tif")
    (folder / "linked").symlink_to(folder.parent)
    (folder / ".hidden.tif").write_bytes((folder / "frame.tif").read_bytes())
    client = page_of(folder)
    for question in ("open", "view", "pixel"):
        more = {
            "view": {"top": 0, "left": 0, "height": 1, "width": 1},
            "pixel": {"row": 0, "column": 0},
        }
        told = ask(client, question, 400, file=name, **more.get(question, {}))
        assert str(folder.parent) not in told["error"]
    for field in ("camera", "isp", "signature"):
        other = name.replace(".tif", ".toml") if field == "isp" else name
        ask(client, "open", 400, **{"file": "frame.tif", field: other or "x"})
    ask(client, "browse", 400, folder=name)
    ask(client, "save", 400, file="frame.tif", isp="bi,s,me", name="a.toml", folder=name)
    assert client.get("/report", params={"run": name}).status_code == 404
    listed = ask(client, "browse")
    assert listed["raws"] == ["broken.tif", "frame.tif"]
    assert listed["folders"] == []


def test_only_its_own_page_on_this_machine_gets_answers(folder):
    client = page_of(folder)
    for host in (
        "evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "",
        "localhost@evil.example",
    ):
        assert client.get("/", headers={"Host": host}).status_code == 403, host
    for host in ("localhost:8765", "127.0.0.1", "[::1]:8765"):
        assert client.get("/", headers={"Host": host}).status_code == 200
    browse = {"json": {}}
    assert client.post("/ask/browse", **browse).status_code == 200
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"X-Rawdrift": "wrong"},
        {"X-Rawdrift": "schlüssel".encode()},
    ):
        assert client.post("/ask/browse", **browse, headers=headers).status_code == 403, headers
    assert client.get("/ask/browse").status_code == 405
    assert client.put("/").status_code == 403
    shared = page_of(folder, hosts=("*", "lab-pc"), base_url="http://192.168.1.7:8765")
    assert ask(shared, "browse")["raws"]
    assert shared.get("/", headers={"Host": "evil.example"}).status_code == 403


def test_wrong_questions_get_an_error_in_words(folder):
    client = page_of(folder)
    frame = {"file": "frame.tif"}
    box = {"top": 0, "left": 0, "height": 5, "width": 5}
    for name, question in (
        ("open", {}),
        ("open", {"file": 3}),
        ("open", {**frame, "more": 1}),
        ("open", {**frame, "isp": "bi,s"}),
        ("open", {**frame, "isp": "camera.toml"}),
        ("open", {**frame, "isp": "libraw"}),
        ("open", {**frame, "isp": "command:touch x {raw} {picture}"}),
        ("open", {**frame, "camera": "raw-dron"}),
        ("open", {**frame, "signature": "frame.tif"}),
        ("open", {"file": "notes.txt"}),
        ("view", {**frame, **box, "factor": 0}),
        ("view", {**frame, **box, "factor": 60000}),
        ("view", {**frame, **box, "stage": "gama"}),
        ("view", {**frame, **box, "top": -1}),
        ("view", {**frame, **box, "values": {"gamma.gama": 1}}),
        ("view", {**frame, **box, "values": {"gamma.gamma": 0}}),
        ("view", {**frame, **box, "values": {"gamma.gamma": "2"}}),
        ("runs", {"folder": ["x"]}),
    ):
        assert ask(client, name, 400, **question)["error"], (name, question)
    headers = {"Content-Type": "application/json"}
    for body in (b"{", b"[1]", b"\xff", b'{"file": NaN}', b"[" * 5000):
        assert client.post("/ask/open", content=body, headers=headers).status_code == 400
    assert client.post("/ask/open", content=b" " * 3_000_000).status_code == 413


@pytest.mark.parametrize(
    "content", [b"", b"II*\0", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"\xff" * 99]
)
@pytest.mark.parametrize("suffix", ["tif", "png", "npy", "dng", "nef"])
def test_a_broken_raw_file_is_an_error_in_words(folder, suffix, content):
    (folder / f"bad.{suffix}").write_bytes(content)
    told = ask(page_of(folder), "open", 400, file=f"bad.{suffix}", camera="raw-drone")
    assert f"bad.{suffix}" in told["error"]
    assert str(folder) not in told["error"]


def test_files_import_no_code(folder, own_module):
    own_module("mine", "raise SystemExit('imported')")
    text = (folder / "own.toml").read_text()
    (folder / "own.toml").write_text(text.replace('"Gamma"', '"import:mine.Gamma"'))
    told = ask(page_of(folder), "open", 400, file="frame.tif", isp="own.toml")
    assert "names code to import, import:mine.Gamma" in told["error"]


@pytest.mark.parametrize(
    "name", [*HOSTILE[:2], "a.tif\"onerror='x", "=1+1.tif", "<b>.tif", "%2e%2e.tif"]
)
def test_hostile_names_are_data(folder, name):
    name = f"{name.replace('/', '-')}.tif"
    (folder / name).write_bytes((folder / "frame.tif").read_bytes())
    run = folder / name.removesuffix(".tif")
    run.mkdir()
    client = page_of(folder)
    assert name in ask(client, "browse")["raws"]
    assert ask(client, "open", file=name)["height"] == SIZE[0]
    page = client.get("/run", params={"run": name}).text
    assert name not in page.replace(str(escape(name)), "") or "<" not in name
    assert page.count("<script") == 1


def test_pages_allow_no_script_but_ours_and_reports_none(folder):
    run = folder / "run"
    run.mkdir()
    (run / "spec.yaml").write_text("a: 1\n")
    (run / "report.html").write_text("<script>alert(1)</script>")
    client = page_of(folder)
    for address in ("/", "/runs", "/run?run=x"):
        reply = client.get(address)
        assert "script-src 'self';" in reply.headers["content-security-policy"]
        assert not re.search(r"\son\w+=|style=|<script>", reply.text)
    reply = client.get("/report", params={"run": "run"})
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-downloads allow-popups;")
    assert "script" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    (run / "spec.yaml").unlink()  # any page that is not of a run
    assert client.get("/report", params={"run": "run"}).status_code == 404
    assert client.get("/static/server.py").status_code == 404
    assert client.get("/static/..%2fserver.py").status_code == 404


def test_runs_are_listed(folder):
    run = folder / "runs" / "one"
    (run / "records").mkdir(parents=True)
    (run / "spec.yaml").write_text("a: 1\n")
    client = page_of(folder)
    (one,) = ask(client, "runs")["runs"]
    assert (one["run"], one["state"], one["page"]) == ("runs/one", "stopped", False)
    assert ask(client, "run", run="runs/one") == {
        "run": "runs/one",
        "status": None,
        "changed": None,
    }


def test_the_model_answers_the_view(folder, tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    weights.save(nets.blocks(3), path, ["a", "<b>", "c"])
    network = Network(Task(model="import:nets.blocks", checkpoint=str(path)), tile=64)
    client = page_of(folder, network)
    question = {"file": "frame.tif", "isp": "bi,s,me", "row": 3, "column": 3}
    told = ask(client, "judge", **question)
    view = rd.isp.static("bi,s,me", rd.Camera.load(folder / "camera.toml"))(
        rd.read_raw(folder / "frame.tif", camera=rd.Camera.load(folder / "camera.toml")).mosaic
    )
    with torch.inference_mode():
        shares = network._net(SIZE)(view[None])[0].softmax(0).tolist()
    assert [name for name, _ in told["answer"]["shares"]] == ["a", "<b>", "c"]
    assert [share for _, share in told["answer"]["shares"]] == pytest.approx(shares, abs=1e-3)
    assert told["answer"]["part"] == [0, 0, *SIZE]
    moved = ask(client, "judge", **question, values={"gamma.gamma": 4.0})
    assert moved["answer"]["shares"] != told["answer"]["shares"]
    assert network.part((5000, 4000), 4999, 0) == (slice(4936, 5000), slice(0, 64))


def test_a_network_of_pixels_gives_its_mask():
    network = object.__new__(Network)
    from rawdrift.models.segmentation import Segmentation

    network._targets = Segmentation(("object",), torch.zeros(0))
    network._nets = {(8, 8): lambda x: x[:, :1] * 10 - 5}
    view = torch.zeros(3, 8, 8)
    view[:, :2] = 1
    told = network.answer(view)
    assert told["shares"] == [["object", 0.25]]
    assert told["mask"] == "ffff" + "0" * 12
    assert told["confidence"] == pytest.approx(1, abs=0.01)


def test_the_command_says_what_is_wrong(folder, capsys):
    for arguments, words in (
        ([str(folder / "notes.txt")], "not a folder"),
        ([str(folder), "--task.model", "resnet34"], "--task.checkpoint is missing"),
        ([str(folder), "--training", "x"], "--run"),
        ([str(folder), "--run", str(folder)], "has no trained network"),
        ([str(folder), "--port", "99999"], "another --port"),
        ([str(folder), "--isp", "bi,s,me"], "--isp takes a black box"),
        ([str(folder), "--isp", "libraw:bright=x"], "bright"),
        ([str(folder), "--isp", "command:no-such {raw} {picture}"], "no program"),
        ([str(folder), "--isp", "import:no_such.isp"], "no module no_such"),
    ):
        assert main(["web", *arguments]) == 2
        assert words in capsys.readouterr().err


def test_the_network_of_a_run(tmp_path):
    (tmp_path / "spec.yaml").write_text(
        "task: {model: 'import:nets.blocks', kind: auto, mask: binary}"
    )
    weights.save(nets.blocks(2), tmp_path / "models" / "fold0.safetensors", ["a", "b"])
    with pytest.raises(rd.InputError, match="names code to import, import:nets.blocks"):
        of_run(tmp_path, None)
    with imports.allowing(["import:nets.blocks"]):
        network = Network(of_run(tmp_path, None), 32)
        assert network.title == "import:nets.blocks, fold0.safetensors"
        with pytest.raises(rd.InputError, match="unknown training 'fold1'"):
            of_run(tmp_path, "fold1")


def test_data_folders_are_browsed(tmp_path):
    write_folder(tmp_path / "data", [{"image": f"{i}.tif", "label": "a"} for i in range(2)])
    client = page_of(tmp_path)
    assert ask(client, "browse")["folders"] == ["data"]
    assert ask(client, "browse", folder="data")["raws"] == ["data/0.tif", "data/1.tif"]
    assert ask(client, "open", file="data/0.tif")["camera"] == "test-cam"
