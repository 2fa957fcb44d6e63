"""Laws over all twelve configurations, patterns, sizes and cameras; goldens from the packages."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch import nn

import rawdrift as rd
from rawdrift.cfa import PATTERNS
from rawdrift.isp.median import median3x3
from rawdrift.neighborhood import extend

import reference
from conftest import random_camera, random_mosaic

ALL = pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    ),
]


def picture(view):
    return view.movedim(-3, -1).detach().cpu().numpy()


@ALL
@pytest.mark.parametrize("cfa", PATTERNS)
@pytest.mark.parametrize("channels", ["luma", "yuv"])
@given(seed=st.integers(0, 10**6), height=st.integers(4, 21), width=st.integers(4, 21))
def test_equals_the_packages_on_the_mirror_extended_mosaic(
    name, cfa, channels, seed, height, width
):
    camera, mosaic = random_camera(seed, cfa), random_mosaic(seed, height, width)
    linear = rd.isp.static(name, camera, channels).remove("gamma")
    expected = reference.develop(name, mosaic.numpy(), camera, channels, linear=True)
    np.testing.assert_allclose(picture(linear(mosaic)), expected, rtol=0, atol=1e-9)


@ALL
@pytest.mark.parametrize("cfa", PATTERNS)
@pytest.mark.parametrize("device", DEVICES)
def test_float32_is_within_1e_5_before_gamma(name, cfa, device):
    for seed in range(3):
        camera, mosaic = random_camera(seed, cfa), random_mosaic(seed, 64, 51).float()
        linear = rd.isp.static(name, camera).remove("gamma").to(device)
        expected = reference.develop(name, mosaic.double().numpy(), camera, linear=True)
        np.testing.assert_allclose(picture(linear(mosaic.to(device))), expected, rtol=0, atol=1e-5)


@ALL
@pytest.mark.parametrize("shipped", ["raw-drone", "raw-microscopy"])
def test_whole_pipeline_with_the_shipped_cameras(name, shipped):
    camera, mosaic = rd.Camera.load(shipped), random_mosaic(1, 40, 33)
    np.testing.assert_allclose(
        picture(rd.isp.static(name, camera)(mosaic)),
        reference.develop(name, mosaic.numpy(), camera),
        rtol=0,
        atol=1e-9,
    )


@pytest.mark.parametrize("white", [None, 0.95])
@pytest.mark.parametrize("levels", [255, 4095])
def test_menon_decides_ties_of_integer_data_as_the_package(levels, white):
    rng = np.random.default_rng(0)
    camera = rd.Camera(name="plain", cfa="RGGB", white_level=white)
    mosaic = rng.integers(0, levels, (128, 128)) / 65535
    linear = rd.isp.static("me,s,ga", camera).remove("gamma")
    expected = reference.develop("me,s,ga", mosaic, camera, linear=True)
    np.testing.assert_allclose(picture(linear(torch.from_numpy(mosaic))), expected, atol=1e-12)


@ALL
def test_static_is_parametrized_at_its_parameters(name, camera):
    mosaic = random_mosaic(3, 20, 18, (2,)).float()
    assert torch.equal(  # eq. 12, to the last bit
        rd.isp.static(name, camera)(mosaic), rd.isp.parametrized(name, camera)(mosaic)
    )


@ALL
def test_parameters_have_the_names_of_the_contract(name, camera):
    demosaicing, sharpening, denoising = name.split(",")
    shapes = {
        "black_level.level": (4,),
        "demosaic.kernels": {"bi": (3, 3, 3), "ma": (4, 5, 5), "me": (3, 5)}[demosaicing],
        "white_balance.gains": (3,),
        "color_correction.matrix": (3, 3),
        **(
            {"sharpen.kernel": (3, 3)}
            if sharpening == "s"
            else {"sharpen.radius": (), "sharpen.amount": ()}
        ),
        **({"denoise.kernel": (5, 5)} if denoising == "ga" else {}),
        "gamma.gamma": (),
    }
    isp = rd.isp.parametrized(name, camera)
    assert {n: tuple(p.shape) for n, p in isp.named_parameters()} == shapes
    assert not list(rd.isp.static(name, camera).parameters())


@ALL
def test_every_parameter_gets_a_finite_gradient(name, camera):
    isp = rd.isp.parametrized(name, camera)
    mosaic = random_mosaic(5, 24, 22).float()
    mosaic[:6] = 0.0  # black: the slope of the power is infinite there
    mosaic[-6:] = 1.0
    mosaic.requires_grad_()
    isp(mosaic).mean().backward()
    for parameter in [mosaic, *isp.parameters()]:
        assert torch.isfinite(parameter.grad).all()
        assert parameter.grad.abs().sum() > 0


@ALL
def test_gradients_equal_finite_differences(name):
    camera = rd.Camera(
        name="mid", cfa="GRBG", black_level=[0.01, 0.02, 0.03, 0.04], white_level=0.95,
        white_balance=[1.2, 1.0, 1.1], color_matrix=[[1.1, -0.1, 0], [-0.05, 1.1, -0.05], [0, -0.1, 1.1]],
    )  # fmt: skip
    isp = rd.isp.parametrized(name, camera)
    rng = np.random.default_rng(0)
    mosaic = torch.from_numpy(rng.uniform(0.4, 0.6, (6, 5))).requires_grad_()
    names, values = zip(*isp.named_parameters(), strict=True)

    def develop(mosaic, *values):
        return torch.func.functional_call(isp, dict(zip(names, values, strict=True)), (mosaic,))

    assert torch.autograd.gradcheck(develop, (mosaic, *values), eps=1e-7, atol=1e-4)


@ALL
def test_a_view_is_the_cropped_view_of_the_mirror_extended_mosaic(name, camera):
    isp = rd.isp.static(name, camera)
    mosaic = random_mosaic(11, 19, 22)
    padded = torch.from_numpy(np.pad(mosaic.numpy(), 16, mode="reflect"))
    torch.testing.assert_close(isp(padded)[..., 16:-16, 16:-16], isp(mosaic), rtol=0, atol=1e-12)


@ALL
@pytest.mark.parametrize("size", [(2, 2), (2, 3), (3, 2), (5, 4), (1, 9)])
def test_any_size_from_one_cell_on(name, size, camera):
    isp = rd.isp.static(name, camera)
    if min(size) < 2:
        with pytest.raises(ValueError, match="at least 2"):
            isp(torch.rand(size))
    else:
        view = isp(torch.rand(size))
        assert view.shape == (3, *size)
        assert torch.isfinite(view).all()


@ALL
def test_leading_dimensions_are_developed_one_by_one(name, camera):
    isp = rd.isp.static(name, camera)
    mosaics = random_mosaic(2, 12, 13, (2, 3)).float()
    views = isp(mosaics)
    assert views.shape == (2, 3, 3, 12, 13)
    for i in range(2):
        for j in range(3):
            torch.testing.assert_close(views[i, j], isp(mosaics[i, j]), rtol=0, atol=2e-6)


@ALL
def test_integers_are_developed_as_their_fractions(name, camera):
    isp = rd.isp.static(name, camera)
    dn = (random_mosaic(2, 12, 13) * 65535).round().to(torch.uint16)
    assert torch.equal(isp(dn), isp(dn.to(torch.float32) / 65535))


@ALL
def test_the_callers_mosaic_is_left_alone_and_strides_do_not_matter(name, camera):
    isp = rd.isp.static(name, camera)
    mosaic = random_mosaic(4, 14, 16).float()
    before = mosaic.clone()
    view = isp(mosaic)
    assert torch.equal(mosaic, before)
    for same in (isp(mosaic.T.contiguous().T), isp(mosaic.expand(2, -1, -1))[1]):
        torch.testing.assert_close(same, view, rtol=0, atol=2e-6)


def test_views_are_the_twelve_single_views(camera):
    mosaic = random_mosaic(6, 18, 17, (2,)).float()
    views = rd.isp.views(mosaic, camera)
    assert tuple(views) == rd.isp.CONFIGURATIONS
    for name, view in views.items():
        assert torch.equal(view, rd.isp.static(name, camera)(mosaic)), name
    chosen = ["ma,u,ga", "bi,s,me", "ma,u,me"]
    some = rd.isp.views(mosaic, camera, chosen, channels="yuv")
    assert list(some) == chosen
    for name, view in some.items():
        assert torch.equal(view, rd.isp.static(name, camera, "yuv")(mosaic)), name


def test_configurations_are_those_of_table_1():
    assert rd.isp.CONFIGURATIONS == (
        "bi,s,me", "bi,s,ga", "bi,u,me", "bi,u,ga", "me,s,me", "me,s,ga",
        "me,u,me", "me,u,ga", "ma,s,me", "ma,s,ga", "ma,u,me", "ma,u,ga",
    )  # fmt: skip


def test_trace_gives_every_stage_and_keeps_none(camera):
    isp = rd.isp.static("ma,s,me", camera)
    state = set(vars(isp))
    mosaic = random_mosaic(8, 10, 12)
    view, stages = isp.trace(mosaic)
    assert list(stages) == [
        "black_level", "demosaic", "white_balance", "color_correction", "sharpen", "denoise", "gamma",
    ]  # fmt: skip
    assert torch.equal(stages["gamma"], view)
    assert torch.equal(view, isp(mosaic))
    assert stages["black_level"].shape == (10, 12)
    np.testing.assert_allclose(stages["black_level"], reference.black_level(mosaic.numpy(), camera))
    assert set(vars(isp)) == state


def test_steps_can_be_replaced_inserted_removed_and_reordered(camera):
    isp = rd.isp.static("ma,s,me", camera)
    mosaic = random_mosaic(9, 12, 12)
    other = isp.replace(demosaic=rd.isp.Bilinear(camera.cfa))
    assert torch.equal(other(mosaic), rd.isp.static("bi,s,me", camera)(mosaic))
    brighter = isp.insert("brighten", rd.isp.WhiteBalance([2.0, 2.0, 2.0]), after="white_balance")
    doubled = tuple(2 * gain for gain in camera.white_balance)
    expected = isp.replace(white_balance=rd.isp.WhiteBalance(doubled))
    torch.testing.assert_close(brighter(mosaic), expected(mosaic))
    assert list(isp.insert("a", rd.isp.Gamma(), before="denoise").steps)[4:6] == ["sharpen", "a"]
    assert list(isp.remove("sharpen", "denoise").steps) == [
        "black_level", "demosaic", "white_balance", "color_correction", "gamma",
    ]  # fmt: skip
    swapped = ["black_level", "demosaic", "color_correction", "white_balance", "denoise", "sharpen",
               "gamma"]  # fmt: skip
    assert list(isp.reorder(swapped).steps) == swapped
    assert not torch.equal(isp.reorder(swapped)(mosaic), isp(mosaic))


def test_a_changed_pipeline_is_independent_of_the_old_one(camera):
    isp = rd.isp.parametrized("bi,s,ga", camera)
    gamma = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    other = isp.replace(gamma=rd.isp.Gamma(gamma))
    assert other.gamma.gamma is gamma
    with torch.no_grad():
        other.white_balance.gains += 1
    assert isp.white_balance.gains.tolist() == pytest.approx(list(camera.white_balance))


def test_a_parameter_is_learned_and_a_number_is_not():
    learned = rd.isp.Gamma(nn.Parameter(torch.tensor(2.2)))
    assert [name for name, _ in learned.named_parameters()] == ["gamma"]
    assert not list(rd.isp.Gamma(2.2).parameters())


@pytest.mark.parametrize("engine", ["eager", "fused"])
def test_a_name_with_a_dash_leaves_the_step_out(engine, camera):
    full = rd.isp.static("ma,u,ga", camera)
    mosaic = torch.rand(2, 18, 20, generator=torch.Generator().manual_seed(0))
    left_out = {
        "ma,-,ga": ["sharpen"],
        "ma,u,-": ["denoise"],
        "ma,-,-": ["sharpen", "denoise"],
        "ma,u,ga": [],
    }
    with rd.isp.engine(engine):
        views = rd.isp.views(mosaic, camera, list(left_out))
        for name, steps in left_out.items():
            expected = full.remove(*steps)(mosaic)
            assert list(rd.isp.parametrized(name, camera).steps) == list(full.remove(*steps).steps)
            torch.testing.assert_close(rd.isp.open(name, camera)(mosaic), expected)
            torch.testing.assert_close(views[name], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda isp: isp.replace(sharpening=rd.isp.Gamma()),
            "unknown step 'sharpening'.*'sharpen'",
        ),
        (lambda isp: isp.remove("debayer"), "unknown step 'debayer'"),
        (lambda isp: isp.remove("demosaic"), "takes a view but is given a mosaic"),
        (lambda isp: isp.insert("gamma", rd.isp.Gamma(), after="denoise"), "already"),
        (lambda isp: isp.insert("x", rd.isp.Gamma()), "before=NAME or after=NAME"),
        (lambda isp: isp.insert("train", rd.isp.Gamma(), after="denoise"), "can't name a step"),
        (lambda isp: isp.insert("again", rd.isp.Bilinear("RGGB"), after="gamma"), "takes a mosaic"),
        (lambda isp: isp.reorder(["gamma"]), "each of"),
        (lambda isp: isp.replace(gamma=nn.Identity()), "must be a Step"),
        (lambda isp: rd.isp.Gamma([1.0, 2.0]), r"Gamma.gamma must have shape \(\)"),
        (lambda isp: rd.isp.WhiteBalance([1.0]), r"must have shape \(3,\)"),
        (
            lambda isp: rd.isp.Menon2007("RGGB", torch.full((3, 5), 0.2)),
            "must be zero where those of the original are",
        ),
        (
            lambda isp: rd.isp.static("bi,x,me", rd.Camera.load("raw-drone")),
            "choose one of bi,s,me.*leaves a step out",
        ),
        (lambda isp: rd.isp.open("-,s,me", rd.Camera.load("raw-drone")), "unknown ISP '-,s,me'"),
        (
            lambda isp: isp.replace(denoise=rd.isp.MedianDenoising("rgb"))(torch.rand(4, 4)),
            "luma; yuv",
        ),
    ],
)
def test_mistakes_are_named(change, message, camera):
    with pytest.raises(rd.InputError, match=message):
        change(rd.isp.static("bi,s,ga", camera))


@pytest.mark.parametrize(
    ("mosaic", "error", "message"),
    [
        (np.zeros((4, 4)), TypeError, "must be a torch.Tensor, got ndarray"),
        (torch.zeros(4, 4, dtype=torch.float16), TypeError, "got torch.float16"),
        (torch.zeros(4, 4, dtype=torch.int64), TypeError, "got torch.int64"),
        (torch.zeros(4), ValueError, r"\(\.\.\., H, W\)"),
    ],
)
def test_what_is_no_mosaic_is_refused(mosaic, error, message, camera):
    with pytest.raises(error, match=message):
        rd.isp.static("bi,s,ga", camera)(mosaic)


def test_a_step_says_which_shape_it_takes():
    with pytest.raises(ValueError, match=r"Gamma takes a view \(\.\.\., 3, H, W\), got \(4, 4\)"):
        rd.isp.Gamma()(torch.zeros(4, 4))


@pytest.mark.parametrize("gamma", [1.0, 2.2, 3.0])
def test_gamma_is_exact_and_its_gradient_finite(gamma):
    x = torch.tensor([-1.0, 0.0, 1e-30, 1e-6, 1e-3, 0.5, 1.0, 2.0], dtype=torch.float64)
    x = x.reshape(1, 1, 8).expand(3, 1, 8).clone().requires_grad_()
    parameter = nn.Parameter(torch.tensor(gamma, dtype=torch.float64))
    view = rd.isp.Gamma(parameter)(x)
    expected = np.clip(x.detach().numpy(), 0, 1) ** (1 / gamma)
    np.testing.assert_allclose(view.detach(), expected, rtol=1e-14, atol=0)
    view.sum().backward()
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(parameter.grad)
    assert (x.grad[..., 0] == 0).all()  # clipped
    assert (x.grad[..., -1] == 0).all()
    inside = x.detach()[..., 4:7]
    torch.testing.assert_close(x.grad[..., 4:7], inside ** (1 / gamma - 1) / gamma)


def test_median_and_borders_are_those_of_scipy_and_numpy():
    image = random_mosaic(0, 17, 12)
    expected = ndimage.median_filter(image.numpy(), size=3, mode="mirror")
    np.testing.assert_array_equal(median3x3(image), expected)
    small = torch.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(
        extend(small, 7, 8), np.pad(small, ((7, 7), (8, 8)), mode="reflect")
    )


def test_autocast_does_not_reach_inside(camera):
    isp = rd.isp.static("bi,s,ga", camera)
    mosaic = random_mosaic(1, 16, 16).float()
    with torch.autocast("cpu", torch.bfloat16):
        view = isp(mosaic)
    assert torch.equal(view, isp(mosaic))


def test_a_blur_that_is_learned_away_is_none(camera):
    radius = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    mask = rd.isp.UnsharpMask(radius)
    view = torch.rand(3, 8, 8)
    with torch.no_grad():
        radius.fill_(-0.5)
    torch.testing.assert_close(mask(view), view)


def test_one_module_serves_both_precisions(camera):
    isp = rd.isp.static("ma,u,ga", camera)
    mosaic = random_mosaic(1, 16, 16)
    assert isp(mosaic).dtype == torch.float64
    assert isp(mosaic.float()).dtype == torch.float32


def test_many_cameras_at_once_by_vmap(camera):
    isp = rd.isp.static("bi,s,ga", camera)
    mosaic = random_mosaic(1, 8, 8)
    gammas = torch.tensor([1.8, 2.2, 2.6], dtype=torch.float64)
    views = torch.func.vmap(
        lambda gamma: torch.func.functional_call(isp, {"gamma.gamma": gamma}, (mosaic,))
    )(gammas)
    for gamma, view in zip(gammas, views, strict=True):
        torch.testing.assert_close(view, isp.replace(gamma=rd.isp.Gamma(float(gamma)))(mosaic))


def test_engines(camera):
    isp = rd.isp.static("bi,s,ga", camera)
    mosaic = random_mosaic(1, 8, 8).float()
    view = isp(mosaic)
    with rd.isp.engine("eager"):
        torch.testing.assert_close(isp(mosaic), view, rtol=0, atol=2e-6)
    with (
        pytest.raises(rd.InputError, match="unknown engine 'warp'.*auto; eager"),
        rd.isp.engine("warp"),
    ):
        pass


def test_a_state_dict_carries_the_numbers_over(camera):
    isp = rd.isp.static("ma,s,ga", camera)
    other = rd.isp.static(
        "ma,s,ga", dataclasses.replace(camera, gamma=1.0, white_balance=[1, 1, 1])
    )
    mosaic = random_mosaic(1, 8, 8)
    assert not torch.equal(other(mosaic), isp(mosaic))
    other.load_state_dict(isp.state_dict())
    assert torch.equal(other(mosaic), isp(mosaic))
