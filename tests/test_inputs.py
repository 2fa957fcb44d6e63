"""Wrong kinds of input are named in errors, wherever they come in."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import rawdrift as rd

CAMERA = rd.Camera.load("raw-microscopy")
ISP = rd.isp.static("bi,s,ga", CAMERA)
RGB = torch.rand(40, 40, 3)
MOSAIC = torch.rand(16, 16)
DATA = [(MOSAIC, 0), (1 - MOSAIC, 1)]
NET = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))

WRONG_MOSAICS = {
    "DN as floats": (16384 * MOSAIC, r"which look like DN; divide them by 2\*\*bit_depth - 1"),
    "8 bit as floats": (255.0 * MOSAIC, "look like DN"),
    "numpy": (MOSAIC.numpy(), "got ndarray; give torch.from_numpy"),
    "a raw image": (rd.Raw(MOSAIC, CAMERA), "got Raw; give its .mosaic"),
    "a path": ("a.dng", "read the file with rd.read_raw"),
    "RGB": (RGB, "looks like a developed RGB picture"),
    "RGB of a batch": (RGB[None], "looks like a developed RGB picture"),
    "whole numbers": (
        (255 * MOSAIC).long(),
        r"got torch.int64; convert it with .to\(torch.uint16\)",
    ),
    "half": (MOSAIC.half(), "got torch.float16"),
    "flat": (MOSAIC.flatten(), "H and W at least 2"),
}
ENTRIES = {
    "pipeline": ISP,
    "parametrized": rd.isp.parametrized("ma,u,me", CAMERA),
    "trace": ISP.trace,
    "views": lambda mosaic: rd.isp.views(mosaic, CAMERA),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("case", WRONG_MOSAICS)
def test_what_is_no_mosaic_is_named(case, entry):
    mosaic, message = WRONG_MOSAICS[case]
    with pytest.raises(rd.InputError, match=message):
        ENTRIES[entry](mosaic)


@pytest.mark.parametrize("entry", ENTRIES)
def test_noise_and_light_beyond_full_scale_pass(entry):
    noisy = 1.2 * MOSAIC - 0.1
    noisy[0, 0] = 50
    ENTRIES[entry](noisy)
    ENTRIES[entry](torch.zeros(0, 16, 16))
    ENTRIES[entry]((65535 * MOSAIC).to(torch.uint16))
    ENTRIES[entry](MOSAIC.T)


@pytest.mark.parametrize("camera", ["raw-drone", None, 3, {"cfa": "RGGB"}])
@pytest.mark.parametrize(
    "entry",
    [
        lambda camera: rd.isp.static("bi,s,ga", camera),
        lambda camera: rd.isp.parametrized("bi,s,ga", camera),
        lambda camera: rd.isp.views(MOSAIC, camera),
        lambda camera: rd.isp.match([MOSAIC], [ISP(MOSAIC)], camera),
        lambda camera: rd.isp.BlackLevel.of(camera),
        lambda camera: rd.sensor.Sensor(camera),
    ],
)
def test_what_is_no_camera_is_named(entry, camera):
    load = r"rd.Camera.load\('raw-drone'\)" if isinstance(camera, str) else "rd.Camera.load"
    with pytest.raises(rd.InputError, match=f"camera must be a rawdrift.Camera.*{load}"):
        entry(camera)


SPACE = rd.forensics.ParameterSpace.around(ISP, {"gamma.gamma": 0.2})
WRONG_CALLS = {
    "swapped": (ISP, NET, DATA, "comes first"),
    "a class of networks": (nn.Linear, ISP, DATA, "got Linear; call it"),
    "no network": ("resnet18", ISP, DATA, "net must be an nn.Module"),
    "a loader": (NET, ISP, DataLoader(DATA), r"give its dataset \(loader.dataset\)"),
    "a generator": (NET, ISP, iter(DATA), "must be a RawDataset or a list of pairs"),
    "mosaics alone": (NET, ISP, torch.stack([MOSAIC] * 2), "must be a RawDataset or a list"),
    "mosaics in a list": (NET, ISP, [MOSAIC] * 2, r"pairs \(mosaic, target\), got Tensor"),
    "names of labels": (NET, ISP, [(MOSAIC, "cat"), (MOSAIC, "dog")], "text 'cat'.*number of each"),
    "DN": (NET, ISP, [(65535 * m, t) for m, t in DATA], "look like DN"),
    "softmax": (nn.Sequential(NET, nn.Softmax(1)), ISP, DATA, "leave out its last softmax"),
    "NaN": (NET, ISP, [(m * np.nan, t) for m, t in DATA], "hold NaN or infinity"),
}


@pytest.mark.parametrize("call", [rd.forensics.search, rd.forensics.envelope])
@pytest.mark.parametrize("case", WRONG_CALLS)
def test_wrong_arguments_of_forensics_are_named(case, call):
    net, isp, data, message = WRONG_CALLS[case]
    with pytest.raises(rd.InputError, match=message):
        call(net, isp, data, SPACE)


def test_checks_are_no_obstacle_to_gradients_and_compilers():
    learned = rd.isp.parametrized("bi,s,ga", CAMERA)
    mosaic = MOSAIC.clone().requires_grad_()
    learned(mosaic).sum().backward()
    assert torch.isfinite(mosaic.grad).all()
    assert torch.isfinite(torch.func.grad(lambda x: learned(x).sum())(MOSAIC)).all()
    program = torch.export.export(ISP, (MOSAIC,))
    torch.testing.assert_close(program.module()(MOSAIC), ISP(MOSAIC), atol=1e-4, rtol=0)
