"""The fused CPU engine's gradients: those of the steps in float64, to every number and the mosaic.

Numbers are compared at gamma 1 where not said otherwise: the slope of a power makes much of float32
rounding near zero.
"""

import dataclasses
import sys
import threading
from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import rawdrift as rd
from rawdrift.cfa import PATTERNS

from conftest import random_camera
from own_steps import with_own

pytest.importorskip("numba")

CAMERA = dataclasses.replace(
    rd.Camera.load("raw-drone"), black_level=(0.01, 0.02, 0.03, 0.04), white_level=0.9
)
LINEAR = dataclasses.replace(CAMERA, gamma=1.0)
NUMBER = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
MEDIANS = [name for name in rd.isp.CONFIGURATIONS if name.endswith("me")]


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def learned(isp):
    """The same with kernels that have no symmetry and no zeros, as learning makes them."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for path, value in isp.named_parameters():
            if path.endswith(("kernel", "kernels", "matrix", "gains")):
                value += 0.05 * torch.randn(value.shape, generator=generator, dtype=value.dtype)
    return isp


def gradients(engine, isp, x, weights=None):
    """By name, of a weighted sum of the view."""
    x = x.clone().requires_grad_(x.is_floating_point())
    with rd.isp.engine(engine):
        view = isp(x)
    if weights is None:
        weights = noise(*view.shape, seed=3)
    inputs = {"mosaic": x, **dict(isp.named_parameters())}
    inputs = {name: value for name, value in inputs.items() if value.requires_grad}
    found = torch.autograd.grad(view, [*inputs.values()], weights.to(view))
    return dict(zip(inputs, found, strict=True))


def assert_same(isp, x, tolerance=1e-4):
    """Relative to the largest of each; tiny totals of large summands have fewer digits."""
    found, expected = gradients("fused", isp, x), gradients("eager", isp, x.double())
    for name, value in expected.items():
        assert found[name].dtype == (torch.float32 if name == "mosaic" else torch.float64)
        difference = (found[name] - value).abs().max()
        assert difference <= tolerance * value.abs().max() + 1e-5 * x.numel() ** 0.5, name


@pytest.fixture(autouse=True)
def threads():
    """One thread, so that the steps' small images don't wait for others; or as many as asked."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
def test_every_configuration_and_pattern(name, pattern):
    camera = dataclasses.replace(LINEAR, cfa=pattern)
    assert_same(rd.isp.parametrized(name, camera), noise(33, 46))
    assert_same(learned(rd.isp.parametrized(name, camera, "yuv")), noise(19, 22))


@pytest.mark.parametrize("channels", ["luma", "yuv"])
@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
def test_small_images_and_batches(name, channels):
    for shape in ((2, 2), (3, 2), (2, 7), (5, 4), (2, 3, 6, 9)):
        assert_same(learned(rd.isp.parametrized(name, LINEAR, channels)), noise(*shape))


@pytest.mark.parametrize("radius", [-0.1, 0.0, 0.4, 1.1, 1.2, 1.6, 2.1])
def test_unsharp_masks(radius, monkeypatch):
    """Of narrow and wide masks, and where a learned radius has fallen to none."""
    for channels, shape in (("luma", (33, 46)), ("yuv", (19, 22)), ("luma", (3, 2))):
        isp = rd.isp.parametrized("bi,u,ga", LINEAR, channels)
        isp.sharpen.radius.data.fill_(radius)
        assert_same(isp, noise(*shape))
    x = noise(40, 90)
    whole = gradients("fused", isp, x)
    monkeypatch.setattr(pytest.importorskip("rawdrift.isp.fused.views"), "COLUMNS", 32)
    for name, value in gradients("fused", isp, x).items():
        torch.testing.assert_close(value, whole[name], rtol=1e-4, atol=1e-4)


@given(
    name=st.sampled_from(rd.isp.CONFIGURATIONS),
    pattern=st.sampled_from(PATTERNS),
    channels=st.sampled_from(["luma", "yuv"]),
    shape=st.tuples(st.integers(1, 2), st.integers(2, 70), st.integers(2, 40)),
    seed=st.integers(0, 99),
)
def test_any_camera(name, pattern, channels, shape, seed):
    camera = dataclasses.replace(random_camera(seed, pattern), gamma=1.0)
    assert_same(
        learned(rd.isp.parametrized(name, camera, channels)), noise(*shape, seed=seed), 2e-3
    )


def test_gradients_that_pytorch_has_not_written_out():
    """Negated, and zero, without values of their own; and mosaics."""
    isp, x = learned(rd.isp.parametrized("bi,u,ga", LINEAR)), noise(6, 8)
    weights = noise(3, 6, 8, seed=3)
    negated = torch._neg_view(-weights)
    assert negated.is_neg()
    mosaic = torch._neg_view(-x)
    for found, plain in (
        (gradients("fused", isp, x, negated), gradients("fused", isp, x, weights)),
        (
            gradients("fused", isp, x, torch._efficientzerotensor(weights.shape)),
            gradients("fused", isp, x, torch.zeros_like(weights)),
        ),
    ):
        for name, value in plain.items():
            assert torch.equal(found[name], value), name
    with rd.isp.engine("fused"):
        assert torch.equal(isp(mosaic), isp(x))


def test_a_mosaic_that_was_made_for_inference():
    isp = rd.isp.parametrized("bi,s,ga", LINEAR)
    with torch.inference_mode():
        x = noise(6, 8)
    found = torch.autograd.grad(isp(x).sum(), [*isp.parameters()])
    expected = torch.autograd.grad(isp(noise(6, 8)).sum(), [*isp.parameters()])
    assert all(map(torch.equal, found, expected))


def test_second_derivatives_in_several_threads_leave_the_isp_as_it_is():
    isp, x = rd.isp.parametrized("bi,s,ga", CAMERA), 0.1 + 0.8 * noise(6, 8)
    before, found = dict(isp.named_parameters()), []

    def twice():
        for _ in range(20):
            (first,) = torch.autograd.grad(
                isp(x).square().sum(), isp.gamma.gamma, create_graph=True
            )
            found.extend(torch.autograd.grad(first, isp.gamma.gamma))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        callers = [threading.Thread(target=twice) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(found) == 80
    assert all(torch.equal(value, found[0]) for value in found)
    assert all(before[name] is value for name, value in isp.named_parameters())


OPTIONAL = ("black_level", "white_balance", "color_correction", "sharpen", "denoise", "gamma")
SUBSETS = [missing for n in range(1, 7) for missing in combinations(OPTIONAL, n)]


@pytest.mark.parametrize("missing", SUBSETS, ids="+".join)
def test_a_missing_step_changes_no_gradient(missing):
    at = SUBSETS.index(missing)
    for name in rd.isp.CONFIGURATIONS[at % 6 :: 6]:
        camera = dataclasses.replace(LINEAR, cfa=PATTERNS[at % 4])
        isp = rd.isp.parametrized(name, camera, ["luma", "yuv"][at % 2]).remove(*missing)
        for shape in ((2, 3), (2, 9, 20)):
            assert_same(learned(isp), noise(*shape))


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize("name", ["bi,s,ga", "ma,u,me", "me,s,me"])
def test_own_steps_around_those_that_are_fused_are_learned(name, place):
    isp = with_own(rd.isp.parametrized(name, LINEAR), place, NUMBER)
    assert_same(isp, noise(2, 9, 20))
    isp.requires_grad_(False)
    isp.own.requires_grad_(True)
    assert_same(isp, noise(9, 12))


class Doubled(rd.isp.Step):
    def forward(self, x):
        return x.mul_(2)


def test_own_steps_may_write_to_the_view_that_they_are_given():
    isp, x = rd.isp.parametrized("bi,s,me", CAMERA), noise(9, 12)
    doubled = gradients("fused", isp.insert("own", Doubled(), after="gamma"), x)
    for name, value in gradients("fused", isp, x).items():
        torch.testing.assert_close(doubled[name], 2 * value)


@given(
    name=st.sampled_from(rd.isp.CONFIGURATIONS),
    channels=st.sampled_from(["luma", "yuv"]),
    missing=st.sets(st.sampled_from(OPTIONAL)),
    place=st.integers(0, 7),
    shape=st.tuples(st.integers(1, 2), st.integers(2, 70), st.integers(2, 40)),
)
def test_any_pipeline(name, channels, missing, place, shape):
    isp = learned(rd.isp.parametrized(name, LINEAR, channels).remove(*missing))
    assert_same(with_own(isp, min(place, len(isp.steps)), NUMBER), noise(*shape), 2e-3)


@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
def test_parts_give_the_whole_whatever_the_number_of_threads(name, monkeypatch, threads):
    views = pytest.importorskip("rawdrift.isp.fused.views")
    isp, x = rd.isp.parametrized(name, LINEAR), noise(301, 90)
    whole = gradients("fused", isp, x)
    monkeypatch.setattr(views, "COLUMNS", 32)
    one = gradients("fused", isp, x)
    for name, value in whole.items():
        torch.testing.assert_close(one[name], value, rtol=1e-4, atol=1e-4)
    for count in (2, 3):
        threads(count)
        for name, value in gradients("fused", isp, x).items():
            assert torch.equal(value, one[name])


@pytest.mark.parametrize("name", ["bi,s,ga", "ma,u,me", "me,s,me"])
def test_gradients_are_those_of_all_where_only_one_is_needed(name):
    isp, x = rd.isp.parametrized(name, LINEAR), noise(20, 26)
    everything = gradients("fused", isp, x)
    for wanted, parameter in isp.named_parameters():
        isp.requires_grad_(False)
        parameter.requires_grad_()
        dn = (x * 65535).to(torch.int32).to(torch.uint16)
        alone = gradients("fused", isp, dn)
        assert tuple(alone) == (wanted,)
        torch.testing.assert_close(alone[wanted], everything[wanted], rtol=1e-2, atol=1e-2)
    isp.requires_grad_(False)
    assert torch.equal(gradients("fused", isp, x)["mosaic"], everything["mosaic"])
    assert not isp(x).requires_grad


def test_integers_give_the_gradients_of_their_floats():
    isp = rd.isp.parametrized("me,u,ga", dataclasses.replace(LINEAR, bit_depth=12))
    dn = torch.randint(0, 4096, (31, 36), generator=torch.Generator().manual_seed(1))
    of_floats = gradients("fused", isp, dn.to(torch.float32) / 4095)
    for name, value in gradients("fused", isp, dn.to(torch.uint16)).items():
        assert torch.equal(value, of_floats[name])


def test_memory_layouts_of_gradients():
    isp, x = rd.isp.parametrized("bi,u,me", LINEAR), noise(2, 20, 31)
    weights = noise(2, 3, 20, 31)
    layouts = {
        "channels last": (weights.contiguous(memory_format=torch.channels_last), weights),
        "transposed": (weights.mT.contiguous().mT, weights),
        "flipped strides": (weights.transpose(0, 1).contiguous().transpose(0, 1), weights),
        "one number": (torch.ones(()).expand(2, 3, 20, 31), torch.ones(2, 3, 20, 31)),
        "one row": (weights[:, :, :1].expand(2, 3, 20, 31), weights[:, :, :1].repeat(1, 1, 20, 1)),
    }
    for strided, contiguous in layouts.values():
        expected = gradients("fused", isp, x, contiguous)
        for name, value in gradients("fused", isp, x, strided).items():
            assert torch.equal(value, expected[name])
    assert torch.equal(
        gradients("fused", isp, x.mT, weights.mT)["mosaic"],
        gradients("fused", isp, x.mT.contiguous(), weights.mT)["mosaic"],
    )


def test_gamma():
    """Away from zero; and at zero, below the floor of its slope, and where views are clipped."""
    isp = rd.isp.parametrized("bi,s,ga", CAMERA)
    assert_same(isp, 0.2 + 0.1 * noise(14, 20))
    plain = dataclasses.replace(rd.Camera.load("raw-drone"), black_level=(0.0,) * 4)
    isp = rd.isp.parametrized("bi,s,ga", plain)
    for value in (0.0, 2.0**-19, 1e-3, 2.0):
        x = torch.full((8, 10), value)
        x[4:] = 0.5
        assert_same(isp, x)


@pytest.mark.parametrize("name", MEDIANS)
def test_samples_that_equal_the_median_share_its_gradient(name):
    """Not as the steps share it: but their sum is the same."""
    isp, x = rd.isp.parametrized(name, LINEAR), torch.full((8, 8), 0.3)
    found, expected = gradients("fused", isp, x), gradients("eager", isp, x)
    torch.testing.assert_close(found["mosaic"].sum(), expected["mosaic"].sum())
    torch.testing.assert_close(found["gamma.gamma"], expected["gamma.gamma"], rtol=1e-5, atol=0)


def test_gradients_of_values_that_are_put_in_for_a_call():
    isp, x = rd.isp.parametrized("bi,s,ga", CAMERA), noise(16, 18)
    values = {name: p.detach().clone().requires_grad_() for name, p in isp.named_parameters()}
    with rd.isp.engine("fused"):
        torch.func.functional_call(isp, values, x).mean().backward()
    assert all(v.grad is not None for v in values.values())
    assert all(p.grad is None for p in isp.parameters())


@pytest.mark.parametrize("name", ["bi,s,ga", "ma,u,me", "me,s,me"])
def test_second_derivatives_are_those_of_the_steps(name):
    """Of a sum, whose first gradient is no function of the view, and of a square."""
    x = (0.3 + 0.4 * noise(6, 8)).requires_grad_()  # where the slope of gamma is not steep
    isp = rd.isp.parametrized(name, CAMERA)
    given = {
        key: value.detach().clone().requires_grad_() for key, value in isp.state_dict().items()
    }
    for numbers in (dict(isp.named_parameters()), given):
        for loss in (torch.sum, lambda view: view.square().sum()):
            second = {}
            for engine in ("fused", "eager"):
                with rd.isp.engine(engine):
                    view = torch.func.functional_call(isp, numbers, (x,))
                wanted = [x, numbers["white_balance.gains"], numbers["gamma.gamma"]]
                first = torch.autograd.grad(loss(view), wanted, create_graph=True)
                penalty = sum(g.square().sum() for g in first)
                second[engine] = torch.autograd.grad(penalty, wanted)
            for fused, eager in zip(second["fused"], second["eager"], strict=True):
                assert (fused - eager).abs().max() <= 1e-3 * eager.abs().max()


@pytest.mark.parametrize("again", [False, True])
def test_one_parameter_in_two_places_gets_both_gradients(again):
    isp, x = rd.isp.parametrized("bi,u,ga", LINEAR), noise(9, 12)
    isp.sharpen.amount = isp.sharpen.radius
    found = {}
    for engine in ("fused", "eager"):
        with rd.isp.engine(engine):
            loss = isp(x).square().sum()
        (first,) = torch.autograd.grad(loss, [isp.sharpen.radius], create_graph=again)
        found[engine] = torch.autograd.grad(first, [isp.sharpen.radius])[0] if again else first
    torch.testing.assert_close(found["fused"], found["eager"], rtol=1e-4, atol=1e-4)


def test_numbers_of_every_precision():
    isp = rd.isp.static("me,s,me", CAMERA).replace(
        gamma=rd.isp.Gamma(nn.Parameter(torch.tensor(2.0)))
    )
    (found,) = (
        value for name, value in gradients("fused", isp, noise(16, 18)).items() if "." in name
    )
    (expected,) = (
        value for name, value in gradients("eager", isp, noise(16, 18)).items() if "." in name
    )
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


def test_numbers_changed_between_forward_and_backward_are_an_error():
    isp, x = rd.isp.parametrized("bi,s,ga", CAMERA), noise(8, 8)
    with rd.isp.engine("fused"):
        view = isp(x)
    with torch.no_grad():
        isp.gamma.gamma += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        view.sum().backward()


def test_taps_of_menon_where_nothing_is_measured_are_not_learned():
    isp = rd.isp.parametrized("me,s,ga", LINEAR)
    for engine in ("eager", "fused"):
        gradient = gradients(engine, isp, noise(14, 17))
        assert torch.equal(gradient["demosaic.kernels"] != 0, isp.demosaic.kernels != 0)


@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
def test_a_view_in_inference_mode_leaves_later_gradients_alone(name):
    """Whatever is kept from one call to the next must be usable in both modes."""
    mosaic, isp = noise(2, 20, 22), rd.isp.parametrized(name, CAMERA)
    with torch.inference_mode():
        before = isp(mosaic)
    view = isp(mosaic.requires_grad_())
    view.sum().backward()
    assert torch.equal(view.detach(), before)
    assert torch.isfinite(mosaic.grad).all()
