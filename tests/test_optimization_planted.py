"""Images whose classes differ only in what the default ISP destroys: learned recovers it."""

import csv

import numpy as np
import pytest
import tifffile
import torch
from torch import nn

import rawdrift as rd
from rawdrift.controls.optimization.spec import Optimization, OptimizationSpec, Pull
from rawdrift.data.dataset import RawDataset
from rawdrift.data.spec import Data
from rawdrift.models.chain import Develop
from rawdrift.models.evaluate import answer
from rawdrift.models.spec import Task
from rawdrift.models.targets import targets_of
from rawdrift.models.train import Course, train

NETS = """
import torch
from torch import nn

class Rough(nn.Module):  # of the middle, each color's mean and roughness along rows
    def forward(self, x):
        x = x[..., 5:-5, 5:-5]
        return torch.cat([x.mean((2, 3)), (x[..., 1:] - x[..., :-1]).abs().mean((2, 3))], dim=1)

def statistics(classes):
    return nn.Sequential(Rough(), nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, classes))
"""
PAIRS = 12


@pytest.fixture(autouse=True)
def nets(tmp_path, monkeypatch):
    (tmp_path / "planted_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)


def mosaics(scene):
    """A pair of classes at each of `PAIRS` brightnesses, (2 PAIRS, H, W) in [0, 1]."""
    return np.stack([level * scene(c) for level in np.linspace(0.8, 1.2, PAIRS) for c in (0, 1)])


def bayer(red, green, blue):
    """A mosaic RGGB of three planes."""
    found = green.copy()
    found[::2, ::2], found[1::2, 1::2] = red[::2, ::2], blue[1::2, 1::2]
    return found


def ramp(size=16):
    return np.tile(np.linspace(0.5, 1.5, size), (size, 1))


def folder(root, images, camera):
    """A pair is a group: a model to which both look alike is right for one of them."""
    root.mkdir()
    with (root / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("image", "label", "group"))
        for i, image in enumerate(images):
            tifffile.imwrite(root / f"{i}.tif", np.rint(image * 65535).astype(np.uint16))
            rows.writerow((f"{i}.tif", "ab"[i % 2], i // 2))
    camera.save(root / "camera.toml")
    return Data("folder", str(root))


def compare(data, out, epochs=14, isp_lr=0.02, **optimization):
    spec = OptimizationSpec(
        data,
        Optimization(
            ["frozen", "learned"], intensities=[1.0], folds=2, isp_lr=isp_lr, **optimization
        ),
        Task(
            "import:planted_nets.statistics", epochs=epochs, lr=0.02, batch_size=2,
            precision="32", augment="none",
        ),
    )  # fmt: skip
    result = rd.run(spec, out)
    return {row.setting: row.final.mean for row in result.table}, result


def test_a_hue_that_the_color_matrix_folds(tmp_path):
    folded = np.array([1.0, 0.0, -1.0])
    camera = rd.Camera(
        "folds", "RGGB", color_matrix=((0.5, 0, 0.5), (0, 1, 0), (0.5, 0, 0.5)), gamma=2.2
    )
    colors = (0.35, 0.2, 0.15), (0.15, 0.2, 0.35)
    data = folder(
        tmp_path / "data",
        mosaics(lambda c: bayer(*(value * ramp() for value in colors[c]))),
        camera,
    )
    final, result = compare(data, tmp_path / "run", learn=["color_correction"])
    assert final["frozen"] == 0.5
    assert final["learned"] > 0.9
    for isp in result.isps:
        assert np.allclose(isp.initial["color_correction.matrix"] @ folded, 0)
        unfolded = np.array(isp.final["color_correction.matrix"]) @ folded
        assert np.linalg.norm(unfolded) > 0.1
        same = {k: v for k, v in isp.final.items() if k != "color_correction.matrix"}
        assert same == {k: isp.initial[k] for k in same}
    assert [d.value for d in result.differences] == [-0.5, -0.5]
    assert all(d.p < 0.05 for d in result.differences)


def test_dark_tones_that_gamma_crushes(tmp_path):
    camera = rd.Camera("crushes", "RGGB", gamma=0.4)

    def scene(c):
        image = 0.5 * ramp()
        image[4:12, 4:12] = (0.015, 0.03)[c]
        return image

    data = folder(tmp_path / "data", mosaics(scene), camera)
    final, result = compare(data, tmp_path / "run", epochs=20, learn=["gamma.gamma"], isp_lr=0.1)
    assert final["frozen"] < 0.7
    assert final["learned"] > 0.9
    for isp in result.isps:
        assert isp.final["gamma.gamma"] > 0.8  # brighter: dark tones apart


def test_detail_that_the_blur_removes():
    taps = torch.tensor([1, 2, 2, 2, 1], dtype=torch.float64) / 8  # none of periods 2 and 4 px
    camera = rd.Camera("blurs", "RGGB")
    start = rd.isp.static("bi,s,ga", camera, "yuv")
    denoise = type(start.denoise)(nn.Parameter(torch.outer(taps, taps)), "yuv")
    size = 17  # at whose edges the wave is mirrored into itself
    wave = np.cos(np.pi / 2 * np.arange(size))

    images = mosaics(lambda c: np.tile(0.3 + 0.1 * c * wave, (size, 1)))
    data = RawDataset(
        torch.from_numpy(images).float(),
        tuple(map(str, range(len(images)))),
        (camera,),
        torch.zeros(len(images), dtype=torch.long),
        ("flat", "fine"),
        torch.arange(len(images)) % 2,
    )
    task = Task(
        "import:planted_nets.statistics", epochs=14, lr=0.02, batch_size=4, precision="32",
        augment="none",
    )  # fmt: skip
    targets = targets_of(data, task)
    everything = torch.arange(len(data))
    period_of_four = torch.tensor([-1.0, 0, 1, 0, -1], dtype=torch.float64)
    right, passed = {}, {}
    for lr in (0.0, 0.01):
        develop = Develop([start.replace(denoise=denoise)])
        course = Course({"pipelines.0.denoise.kernel": lr})
        net = train(data, targets, everything, develop, task, seed=0, course=course)
        outcomes, _ = answer(develop, net, data, targets, everything)
        right[lr] = float((outcomes == targets.values).double().mean())
        kernel = develop.isps[0].denoise.kernel.detach()
        passed[lr] = abs(float(kernel.sum(0) @ period_of_four))
    assert right[0.0] == 0.5
    assert right[0.01] > 0.9
    assert passed[0.0] == 0
    assert passed[0.01] > 0.05


def test_gains_that_clip_everything(tmp_path):
    """Where all is white there is no gradient: only the pull brings the ISP back."""
    camera = rd.Camera("bright", "RGGB", white_balance=(20.0, 20.0, 20.0))
    colors = (0.2, 0.2, 0.3), (0.3, 0.2, 0.2)
    data = folder(
        tmp_path / "data",
        mosaics(lambda c: bayer(*(value * ramp() for value in colors[c]))),
        camera,
    )
    right = {}
    for weight in (0.0, 1.0):
        final, result = compare(
            data, tmp_path / f"run-{weight}", epochs=20, learn=["white_balance"], isp_lr=0.1,
            pull=Pull(clipping=weight), normalization="running",
        )  # fmt: skip
        assert final["frozen"] == 0.5
        right[weight] = final["learned"]
        for isp in result.isps:
            gains = torch.tensor(isp.final["white_balance.gains"])
            assert isp.clipped.white > 0.99
            if weight:
                assert (gains < 10).all()
                assert isp.path[-1].clipped.white < 0.9
            else:
                assert gains.tolist() == pytest.approx([20.0] * 3, rel=0.02)
                assert isp.path[-1].clipped.white > 0.99
    assert right[0.0] == 0.5
    assert right[1.0] > 0.9
