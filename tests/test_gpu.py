"""The GPU's engine: on a GPU where there is one, else its kernels in Triton's interpreter.

The interpreter takes a second for a small image, so that these images are very small.
"""

import dataclasses

import pytest
import torch

import rawdrift as rd
from rawdrift.cfa import PATTERNS
from rawdrift.isp import fused

pytest.importorskip("triton")
from rawdrift.isp.fused import gpu

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CAMERA = dataclasses.replace(
    rd.Camera.load("raw-drone"), black_level=(0.01, 0.02, 0.03, 0.04), white_level=0.9
)
LINEAR = dataclasses.replace(CAMERA, gamma=1.0)


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype).to(DEVICE)


def develop(isp, x):
    return gpu.develop(list(isp.steps.values()), x, isp.bit_depth)


def eager(isp, x):
    with rd.isp.engine("eager"):
        return isp(x)


def assert_same(isp, x):
    """Equal to float32 rounding, relative to the values that are clipped at last."""
    isp = isp.to(DEVICE)
    with torch.no_grad():
        scale = max(1.0, eager(isp.remove("gamma"), x).abs().max().item())
        difference = (develop(isp, x) - eager(isp, x)).abs().max().item()
    assert difference < 2e-6 * scale


def learned(isp):
    """The same with kernels that have no symmetry and no zeros, as learning makes them."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for path, value in [*isp.named_buffers(), *isp.named_parameters()]:
            if path.endswith(("kernel", "kernels", "matrix", "gains")):
                value += 0.05 * torch.randn(value.shape, generator=generator, dtype=value.dtype)
    return isp


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
def test_every_configuration_and_pattern(name, pattern):
    camera = dataclasses.replace(LINEAR, cfa=pattern)
    assert_same(rd.isp.static(name, camera), noise(11, 14))


@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
def test_learned_numbers_and_yuv_of_tiny_images(name):
    assert_same(learned(rd.isp.static(name, LINEAR, "yuv")), noise(2, 3))


@pytest.mark.parametrize("name", ["bi,s,ga", "ma,u,me", "me,s,me"])
def test_learned_numbers_of_batches_and_several_tiles(name):
    assert_same(learned(rd.isp.static(name, LINEAR)), noise(2, 1, 19, 66))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_integers(dtype):
    """Of few levels: in flat parts Menon's directions are equally smooth, and rounding decides."""
    depth = 8 if dtype == torch.uint8 else 12
    isp = rd.isp.static("me,s,me", dataclasses.replace(LINEAR, bit_depth=depth))
    assert_same(isp, (noise(13, 16) * 4).to(torch.int32).to(dtype))


def test_gamma():
    isp, x = rd.isp.static("ma,s,ga", CAMERA).to(DEVICE), noise(11, 14)
    linear = develop(rd.isp.static("ma,s,ga", LINEAR).to(DEVICE), x)
    torch.testing.assert_close(develop(isp, x), linear ** (1 / CAMERA.gamma), rtol=0, atol=2e-6)


def test_parts_of_a_batch(monkeypatch):
    from rawdrift.isp.fused.gpu import engine

    isp, x = rd.isp.static("bi,s,me", CAMERA).to(DEVICE), noise(3, 6, 8)
    whole = develop(isp, x)
    monkeypatch.setattr(engine, "_PIXELS", 100)
    assert torch.equal(develop(isp, x), whole)


def test_memory_layouts_and_an_untouched_mosaic():
    isp, x = rd.isp.static("bi,s,me", CAMERA).to(DEVICE), noise(8, 6)
    before = x.clone()
    assert torch.equal(develop(isp, x.T), develop(isp, x.T.contiguous()))
    assert torch.equal(x, before)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # NumPy's, in the interpreter
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_samples_that_are_not_numbers(value):
    isp, x = rd.isp.static("ma,s,me", CAMERA).to(DEVICE), noise(13, 14)
    x[6, 7] = value
    torch.testing.assert_close(develop(isp, x), eager(isp, x), rtol=0, atol=1e-3, equal_nan=True)


def test_a_mosaic_on_a_gpu_goes_to_the_gpu(monkeypatch):
    isp, x = rd.isp.static("bi,s,ga", CAMERA).to(DEVICE), noise(4, 6)
    found = fused._on_gpu([list(isp.steps.values())], x, 16)
    assert torch.equal(found[0], develop(isp, x))
    monkeypatch.setattr(fused, "_gpu", lambda: None)
    with pytest.raises(fused.CannotFuseError, match="Triton"):
        fused._on_gpu([list(isp.steps.values())], x, 16)


@pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")
def test_the_engine_of_a_gpu():
    isp, x = rd.isp.parametrized("me,u,me", CAMERA).to(DEVICE), noise(2, 40, 50)
    with rd.isp.engine("fused"):
        view = isp(x)
    torch.testing.assert_close(view, eager(isp, x), rtol=0, atol=1e-3)
