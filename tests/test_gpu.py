"""The GPU's engine: on a GPU where there is one, else its kernels in Triton's interpreter.

The interpreter takes a second for a small image, so that these images are very small.
"""

import dataclasses

import pytest
import torch

import rawdrift as rd
from rawdrift.cfa import PATTERNS
from rawdrift.isp.fused import engine as fused

pytest.importorskip("triton")
from rawdrift.isp.fused import gpu
from rawdrift.isp.fused.fusable import fusable

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CAMERA = dataclasses.replace(
    rd.Camera.load("raw-drone"), black_level=(0.01, 0.02, 0.03, 0.04), white_level=0.9
)
LINEAR = dataclasses.replace(CAMERA, gamma=1.0)


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype).to(DEVICE)


def develop(isp, x):
    return gpu.develop(fusable(list(isp.steps.values())), x, isp.bit_depth)


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


@pytest.mark.parametrize("name", ["bi,u,me", "me,s,me", "ma,u,ga"])
def test_learned_numbers_and_yuv_of_tiny_images(name):
    assert_same(learned(rd.isp.static(name, LINEAR, "yuv")), noise(2, 3))


@pytest.mark.parametrize(("name", "shape"), [("bi,u,me", (2, 1, 17, 6)), ("me,s,ga", (5, 66))])
def test_learned_numbers_of_batches_and_several_tiles(name, shape):
    assert_same(learned(rd.isp.static(name, LINEAR)), noise(*shape))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_integers(dtype):
    """Of few levels: in flat parts Menon's directions are equally smooth, and rounding decides."""
    depth = 8 if dtype == torch.uint8 else 12
    isp = rd.isp.static("me,s,me", dataclasses.replace(LINEAR, bit_depth=depth))
    assert_same(isp, (noise(13, 16) * 4).to(torch.int32).to(dtype))


def test_gamma():
    isp, x = rd.isp.static("bi,s,me", CAMERA).to(DEVICE), noise(11, 14)
    linear = develop(rd.isp.static("bi,s,me", LINEAR).to(DEVICE), x)
    torch.testing.assert_close(develop(isp, x), linear ** (1 / CAMERA.gamma), rtol=0, atol=2e-6)


def test_parts_of_a_batch(monkeypatch):
    isp, x = rd.isp.static("bi,s,me", CAMERA).to(DEVICE), noise(3, 4, 6)
    whole = develop(isp, x)
    monkeypatch.setattr(gpu, "_PIXELS", 48)
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


def gradients(run, isp, x):
    x = x.clone().requires_grad_()
    view = run(isp, x)
    inputs = {"mosaic": x, **dict(isp.named_parameters())}
    weights = noise(*view.shape, seed=3).to(view)
    return dict(
        zip(inputs, torch.autograd.grad((view * weights).sum(), [*inputs.values()]), strict=True)
    )


def assert_same_gradients(isp, x):
    """As those of the steps in float64, relative to the largest of each."""
    isp = isp.to(DEVICE)
    found, expected = gradients(develop, isp, x), gradients(eager, isp, x.double())
    for name, value in expected.items():
        assert found[name].dtype == (torch.float32 if name == "mosaic" else torch.float64)
        difference = (found[name] - value).abs().max()
        assert difference <= 1e-4 * value.abs().max(), name


@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
@pytest.mark.slow
def test_gradients_of_everything(name):
    pattern = PATTERNS[rd.isp.CONFIGURATIONS.index(name) % 4]
    camera = dataclasses.replace(LINEAR, cfa=pattern)
    assert_same_gradients(learned(rd.isp.parametrized(name, camera)), noise(7, 10))


@pytest.mark.parametrize("name", ["bi,u,me", "me,s,ga", "ma,s,me"])
@pytest.mark.slow
def test_gradients_of_yuv_in_tiny_images(name):
    assert_same_gradients(learned(rd.isp.parametrized(name, LINEAR, "yuv")), noise(2, 3))


@pytest.mark.slow
def test_gradients_of_a_mosaic_with_several_tiles():
    assert_same_gradients(rd.isp.parametrized("bi,s,ga", LINEAR), noise(17, 6))


@pytest.mark.slow
def test_gradients_of_parts_of_a_batch(monkeypatch):
    monkeypatch.setattr(gpu, "_PIXELS", 48)
    assert_same_gradients(rd.isp.parametrized("bi,s,me", LINEAR), noise(3, 4, 6))


@pytest.mark.slow
def test_gradients_through_gamma():
    """Away from zero, where the slope makes much of float32 rounding; and at zero, where it ends."""
    isp = rd.isp.parametrized("bi,s,ga", CAMERA)
    assert_same_gradients(isp, 0.2 + 0.1 * noise(7, 10))
    black = torch.zeros(4, 6, device=DEVICE)
    for found, expected in zip(
        gradients(develop, isp, black).values(), gradients(eager, isp, black).values(), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_gradients_where_samples_are_equal():
    """The median's is shared by the samples that equal it: its sum stays."""
    isp = rd.isp.static("bi,s,me", LINEAR).to(DEVICE)
    x = torch.full((8, 8), 0.3, device=DEVICE)
    found, expected = gradients(develop, isp, x), gradients(eager, isp, x)
    torch.testing.assert_close(found["mosaic"].sum(), expected["mosaic"].sum())


def test_gradients_where_only_some_are_needed():
    gamma = torch.nn.Parameter(torch.tensor(2.0))
    isp = rd.isp.static("me,u,ga", CAMERA).replace(gamma=rd.isp.Gamma(gamma)).to(DEVICE)
    dn = (noise(6, 8) * 65535).to(torch.int32).to(torch.uint16)
    develop(isp, dn).mean().backward()
    assert gamma.grad != 0
    isp.requires_grad_(False)
    assert not develop(isp, dn).requires_grad


def test_a_mosaic_on_a_gpu_goes_to_the_gpu_where_that_is_asked_for(monkeypatch):
    isp, x = rd.isp.static("bi,s,ga", CAMERA).to(DEVICE), noise(4, 6)
    with pytest.raises(fused.CannotFuseError, match="no GPU has confirmed"):
        fused._on_gpu([fusable(list(isp.steps.values()))], x, 16)
    with rd.isp.engine("fused"):
        found = fused._on_gpu([fusable(list(isp.steps.values()))], x, 16)
        assert torch.equal(found[0], develop(isp, x))
        monkeypatch.setattr(fused, "_gpu", lambda: None)
        with pytest.raises(fused.CannotFuseError, match="Triton"):
            fused._on_gpu([fusable(list(isp.steps.values()))], x, 16)


@pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")
def test_the_engine_of_a_gpu():
    isp, x = rd.isp.parametrized("me,u,me", CAMERA).to(DEVICE), noise(2, 40, 50)
    with rd.isp.engine("fused"):
        view = isp(x)
    torch.testing.assert_close(view, eager(isp, x), rtol=0, atol=1e-3)
    view.sum().backward()
    assert all(p.grad is not None for p in isp.parameters())


def test_second_derivatives_are_refused():
    isp = rd.isp.parametrized("bi,s,ga", CAMERA)
    view = develop(isp.to(DEVICE), noise(4, 4))
    with pytest.raises(rd.InputError, match=r'rd.isp.engine\("eager"\)'):
        torch.autograd.grad(view.sum(), [*isp.parameters()], create_graph=True)
