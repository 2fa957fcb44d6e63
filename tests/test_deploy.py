"""An ISP and its task model as one file: the same logits without rawdrift."""

import io
import json
import sys
import zipfile

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import rawdrift as rd
from rawdrift.isp import file
from rawdrift.isp.sites import Sites
from rawdrift.models import deploy
from rawdrift.models.chain import Develop, Normalize
from rawdrift.models.deploy import to_export, to_onnx

from conftest import random_camera, random_mosaic

CAMERA = random_camera(5, "GRBG")


def small_net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            Normalize.fixed([[0.4, 0.5, 0.3], [0.2, 0.3, 0.25]]),
            nn.Conv2d(3, 4, 3, 2),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 2),
        )


def mosaics(count, height, width, seed=0):
    return random_mosaic(seed, height, width, (count,)).float()


def logits(isp, net, x):
    with torch.inference_mode(), rd.isp.engine("eager"):
        return net.eval()(isp(x))


def assert_same_logits(path, isp, net, shapes):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for shape in shapes:
        x = mosaics(*shape, seed=sum(shape))
        (found,) = session.run(["logits"], {"mosaic": x.numpy()})
        np.testing.assert_allclose(found, logits(isp, net, x), atol=1e-4)


def test_onnx_gives_the_logits_of_pytorch(tmp_path):
    isp, net, path = rd.isp.parametrized("bi,s,me", CAMERA), small_net(), tmp_path / "model.onnx"
    with torch.no_grad():
        isp.sharpen.kernel[1, 1] += 0.1
        isp.white_balance.gains.mul_(1.1)
    told = to_onnx(isp, net, path, mosaics(1, 14, 17), camera=CAMERA, classes=["cell", "dust"])
    assert all(p.requires_grad for p in isp.parameters())
    assert net.training
    assert_same_logits(path, isp, net, [(1, 14, 17), (4, 14, 17)])
    model = onnx.load(path)
    kinds = {i.data_type for i in model.graph.initializer}
    assert onnx.TensorProto.DOUBLE not in kinds  # devices often have none
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    held = {entry.key: entry.value for entry in model.metadata_props}
    assert held == {f"rawdrift.{key}": value for key, value in told.items()}
    assert held["rawdrift.configuration"] == "bi,s,me"
    assert held["rawdrift.camera"] == CAMERA.name
    assert json.loads(held["rawdrift.classes"]) == ["cell", "dust"]
    assert json.loads(held["rawdrift.normalization"])["std"] == pytest.approx([0.2, 0.3, 0.25])
    assert held["rawdrift.sha256"] == rd.forensics.fingerprint(net)
    again = file.from_toml(held["rawdrift.isp"], "metadata")[1]
    for name, value in isp.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


class Reds(nn.Module):
    def forward(self, x):
        return torch.where(Sites.of("RGGB", x).red, x, 0)


def test_sites_keep_the_size_open_when_a_graph_is_taken_apart():
    """Written in place, they fixed the size that a graph was traced with, without a word."""
    sizes = {0: 2 * torch.export.Dim("rows"), 1: 2 * torch.export.Dim("columns")}
    program = torch.export.export(Reds(), (torch.rand(16, 18),), dynamic_shapes=(sizes,))
    x = torch.rand(24, 12)
    assert torch.equal(program.run_decompositions().module()(x), Reds()(x))


def test_an_exported_program_gives_the_logits_of_pytorch_for_any_even_size(tmp_path):
    isp = rd.isp.static("bi,s,ga", CAMERA).remove("sharpen", "denoise")  # few nodes: time
    net, path = small_net(), tmp_path / "model.pt2"
    told = to_export(Develop([isp]), net, path, mosaics(4, 16, 18), camera=CAMERA, any_size=True)
    assert told["configuration"] == "bi,-,-"
    extra = {"rawdrift.json": ""}
    program = torch.export.load(io.BytesIO(path.read_bytes()), extra_files=extra).module()
    for shape in [(1, 16, 18), (5, 24, 34)]:
        x = mosaics(*shape, seed=sum(shape))
        torch.testing.assert_close(program(x), logits(isp, net, x), atol=1e-4, rtol=0)
    assert json.loads(extra["rawdrift.json"]) == told
    with zipfile.ZipFile(path) as archive:
        assert not any(__file__.encode() in archive.read(name) for name in archive.namelist())


class Failing(nn.Module):
    def forward(self, x):
        raise RuntimeError("no such size\nand more")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"develop": Develop.static("bi,s,me", [CAMERA] * 2, "luma")}, "of one camera, got 2"),
        ({"example": mosaics(1, 8, 8)[0]}, r"must be mosaics \(n, H, W\), got \(8, 8\)"),
        ({"example": mosaics(2, 8, 8)[:0]}, r"must be mosaics \(n, H, W\), got \(0, 8, 8\)"),
        ({"example": mosaics(1, 17, 16), "any_size": True}, "even heights and widths.*17x16"),
        ({"camera": random_camera(0, "RGGB")}, "the camera it was made for"),
        ({"net": Failing()}, r"the net can't be exported: no such size$"),
    ],
)
def test_what_can_not_be_exported(change, message, tmp_path):
    given = {
        "develop": rd.isp.static("bi,s,me", CAMERA),
        "net": small_net(),
        "path": tmp_path / "model.pt2",
        "example": mosaics(1, 8, 8),
        **change,
    }
    with pytest.raises(rd.InputError, match=message):
        to_export(**given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [3e-4, float("nan")])
def test_other_logits_are_refused(error):
    net = nn.Sequential(rd.isp.static("bi,s,me", CAMERA), small_net()).eval()
    made = deploy._Exported(net, None, [mosaics(2, 8, 8)], {})
    deploy._compare(made, lambda x: net(x) + 1e-5)
    with pytest.raises(rd.InputError, match="logits differ by .*nothing is written"):
        deploy._compare(made, lambda x: net(x) + error * (len(x) == 3))


def test_a_missing_runtime_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    isp = rd.isp.static("bi,s,me", CAMERA)
    with pytest.raises(rd.InputError, match=r'onnxruntime is missing.*"rawdrift\[onnx\]"'):
        to_onnx(isp, small_net(), tmp_path / "model.onnx", mosaics(1, 8, 8))
