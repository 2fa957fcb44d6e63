"""The fused engine: the numbers of the steps, whatever the pipeline, the mosaic and the situation.

Numbers are compared at gamma 1, where views are linear: a power of 1/2.2 has no bounded slope at
zero.
"""

import dataclasses
import os
import re
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

import rawdrift as rd
from rawdrift import compiled
from rawdrift.cfa import PATTERNS
from rawdrift.isp.fused import engine as fused

from own_steps import with_own

numba = pytest.importorskip("numba")

CAMERA = rd.Camera.load("raw-drone")
LINEAR = dataclasses.replace(CAMERA, gamma=1.0)
SHAPES = [(2, 2), (2, 7), (3, 2), (5, 4), (33, 64), (2, 3, 40, 65)]


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def run(engine, isp, x):
    with torch.no_grad(), rd.isp.engine(engine):
        return isp(x)


def assert_same(isp, x, tolerance=1e-5):
    """Fused and stepwise views agree to float32 rounding of the values before clipping."""
    linear = isp.remove("gamma") if "gamma" in isp.steps else isp
    scale = max(1.0, run("eager", linear, x).abs().max().item() / 4)
    difference = (run("fused", isp, x) - run("eager", isp, x)).abs().max().item()
    assert difference < tolerance * scale


@pytest.fixture(autouse=True)
def threads():
    """One thread, so that the steps' small images don't wait for others; or as many as asked."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch.set_num_threads
    torch.set_num_threads(before)


# The same numbers


@pytest.mark.parametrize("channels", ["luma", "yuv"])
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
def test_every_configuration_pattern_and_size(name, pattern, channels):
    isp = rd.isp.static(name, dataclasses.replace(LINEAR, cfa=pattern), channels)
    for shape in SHAPES:
        assert_same(isp, noise(*shape))


@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
def test_a_view_has_the_power_of_its_linear_view(name):
    x = noise(40, 52)
    linear = run("fused", rd.isp.static(name, LINEAR), x).double()
    view = run("fused", rd.isp.static(name, CAMERA), x)
    assert (view - linear ** (1 / CAMERA.gamma)).abs().max() < 1e-6 + 1e-3  # slope at zero
    bright = linear > 0.01
    assert (view - linear ** (1 / CAMERA.gamma))[bright].abs().max() < 1e-5


@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
@pytest.mark.parametrize("columns", [16, 30, 64])
def test_parts_of_any_width_give_the_whole(name, columns, monkeypatch):
    views = pytest.importorskip("rawdrift.isp.fused.views")
    isp, x = rd.isp.static(name, CAMERA), noise(150, 131)
    whole = run("fused", isp, x)
    monkeypatch.setattr(views, "COLUMNS", columns)
    torch.testing.assert_close(run("fused", isp, x), whole, rtol=0, atol=2e-3)
    isp = rd.isp.static(name, LINEAR)
    assert_same(isp, x)


@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
def test_the_number_of_threads_changes_no_bit(name, threads):
    isp, x = rd.isp.static(name, CAMERA), noise(301, 90)
    one = run("fused", isp, x)
    for count in (2, 3):
        threads(count)
        assert torch.equal(run("fused", isp, x), one)


@pytest.mark.parametrize("demosaicing", ["bi", "me", "ma"])
def test_ties_of_integers_are_decided_alike(demosaicing):
    isp = rd.isp.static(f"{demosaicing},s,me", LINEAR)
    for levels in (1, 3, 20):
        x = torch.randint(0, levels + 1, (64, 61), generator=torch.Generator().manual_seed(levels))
        assert_same(isp, x.to(torch.float32) / 255)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
def test_any_numbers(name, pattern):
    """Kernels without symmetry, as learning makes them; a white level; four black levels."""
    generator = torch.Generator().manual_seed(5)
    camera = dataclasses.replace(
        LINEAR, cfa=pattern, black_level=(0.01, 0.02, 0.03, 0.04), white_level=0.9
    )
    isp = rd.isp.static(name, camera)
    for path, value in isp.named_buffers():
        if path.endswith(("kernel", "kernels", "matrix", "gains")):
            value += 0.05 * torch.randn(value.shape, generator=generator, dtype=value.dtype)
    for shape in ((2, 2), (31, 38), (2, 20, 33)):
        assert_same(isp, noise(*shape))


@pytest.mark.parametrize("radius", [-0.1, 0.3, 0.5, 0.8, 1.1, 1.2, 1.6, 2.1])
def test_unsharp_masks(radius):
    isp = rd.isp.static("bi,u,ga", LINEAR).replace(sharpen=rd.isp.UnsharpMask(1.0, 0.7))
    isp.sharpen.radius.fill_(radius)  # a learned one may fall to none
    assert_same(isp, noise(30, 41))
    assert_same(isp, noise(3, 2))


def test_separable_and_other_denoising_kernels_are_one_kernel():
    taps = torch.tensor([0.1, -0.2, 0.8, 0.3, 0.0], dtype=torch.float64)
    kernel = torch.outer(taps, taps.flip(0))
    other = kernel.clone()
    other[0, 0] += 1e-6  # no product of two lines any more
    isps = [
        rd.isp.static("ma,s,ga", LINEAR).replace(denoise=rd.isp.GaussianDenoising(k))
        for k in (kernel, other)
    ]
    assert_same(isps[0], noise(30, 41))
    first, second = (run("fused", isp, noise(30, 41)) for isp in isps)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)


# Other pipelines than the canonical one


OPTIONAL = ("black_level", "white_balance", "color_correction", "sharpen", "denoise", "gamma")
SUBSETS = [missing for n in range(1, 7) for missing in combinations(OPTIONAL, n)]


@pytest.mark.parametrize("missing", SUBSETS, ids="+".join)
def test_a_missing_step_changes_nothing(missing):
    at = SUBSETS.index(missing)
    for name in rd.isp.CONFIGURATIONS[at % 6 :: 6]:
        camera = dataclasses.replace(
            LINEAR, cfa=PATTERNS[at % 4], black_level=(0.01, 0.02, 0.03, 0.04), white_level=0.9
        )
        isp = rd.isp.static(name, camera, ["luma", "yuv"][at % 2]).remove(*missing)
        for shape in ((2, 3), (2, 17, 35)):
            assert_same(isp, noise(*shape))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_views_without_gamma_are_not_clipped(dtype):
    isp = rd.isp.static("bi,s,ga", dataclasses.replace(CAMERA, bit_depth=8)).remove("gamma")
    dn = torch.randint(0, 256, (30, 75), generator=torch.Generator().manual_seed(1)).to(dtype)
    view = run("fused", isp, dn)
    assert view.min() < 0
    assert view.max() > 1
    assert_same(isp, dn)


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize("name", ["bi,s,ga", "ma,u,me", "me,s,me"])
def test_own_steps_run_around_those_that_are_fused(name, place):
    for shape in ((2, 2), (2, 17, 35)):
        assert_same(with_own(rd.isp.static(name, LINEAR), place), noise(*shape))
    dn = (noise(9, 12) * 65535).to(torch.int32).to(torch.uint16)
    assert_same(with_own(rd.isp.static(name, LINEAR), place), dn)


def test_steps_in_another_order_run_around_those_that_are_fused():
    order = ["black_level", "demosaic", "white_balance", "color_correction"]
    isp = rd.isp.static("bi,s,ga", LINEAR).reorder([*order, "denoise", "sharpen", "gamma"])
    assert_same(isp, noise(30, 41))
    assert_same(isp.insert("again", rd.isp.Gamma(1.1), after="gamma"), noise(30, 41))


@given(
    name=st.sampled_from(rd.isp.CONFIGURATIONS),
    channels=st.sampled_from(["luma", "yuv"]),
    missing=st.sets(st.sampled_from(OPTIONAL)),
    place=st.integers(0, 7),
    shape=st.tuples(st.integers(1, 2), st.integers(2, 70), st.integers(2, 40)),
)
def test_any_pipeline(name, channels, missing, place, shape):
    isp = rd.isp.static(name, LINEAR, channels).remove(*missing)
    assert_same(with_own(isp, min(place, len(isp.steps))), noise(*shape))


@pytest.mark.parametrize("value", [0.5, float("nan")])
@pytest.mark.parametrize("place", [0, 7])
def test_own_steps_run_once_even_if_samples_are_not_numbers(place, value):
    isp, x, calls = with_own(rd.isp.static("bi,s,ga", CAMERA), place), noise(12, 14), []
    x[5, 6] = value
    isp.own.register_forward_hook(lambda *_: calls.append(1))
    found = run("fused", isp, x)
    assert len(calls) == 1
    torch.testing.assert_close(found, run("eager", isp, x), rtol=0, atol=1e-3, equal_nan=True)


class Doubled(rd.isp.Step):
    takes = gives = "mosaic"

    def forward(self, x):
        return x.double()


def test_own_steps_that_give_what_cannot_be_fused():
    isp, x = rd.isp.static("bi,s,ga", CAMERA), noise(12, 14)
    isp = isp.insert("own", Doubled(), before="black_level")
    assert torch.equal(run("auto", isp, x), run("eager", isp, x))
    with pytest.raises(ValueError, match="not of float32"):
        run("fused", isp, x)


# What kernels are compiled from


@pytest.mark.parametrize(
    ("module", "name"),
    [("gamma", "_FLOOR"), ("power", "_EXP2"), ("rows", "PAD"), ("rows", "BLOCK"), ("menon", "WAY")],
)
def test_a_changed_constant_changes_the_key_of_kept_kernels(module, name, monkeypatch):
    from importlib import import_module

    from rawdrift import compiled
    from rawdrift.isp.fused import driver

    stage = driver.DEMOSAICING["Menon2007"]

    def keys():
        return [compiled.key((function, *stage)) for function in (driver.forward, driver.backward)]

    module = import_module(f"rawdrift.isp.fused.{module}")
    before, value = keys(), getattr(module, name)
    assert keys() == before
    other = (*value[1:], value[0]) if isinstance(value, tuple) else value + type(value)(1)
    for holder in list(sys.modules.values()):
        if getattr(holder, "__name__", "").startswith("rawdrift.") and hasattr(holder, name):
            monkeypatch.setattr(holder, name, other)
    assert keys() != before


def test_the_key_of_kept_kernels_is_that_of_all_that_they_name():
    from rawdrift import compiled

    def part(x, scale):
        return x * scale

    def other(x, scale):
        return x + scale

    code = compile("lambda x: helper(x, constant)", "kernel", "eval")
    keys = {
        compiled.key(eval(code, {"constant": constant, "helper": helper}))
        for constant in (1, 2, 1.0, np.float32(1), np.arange(2), np.arange(3))
        for helper in (part, other)
    }
    assert len(keys) == 12


@pytest.mark.slow
def test_the_key_of_kept_kernels_is_the_same_in_every_process():
    code = """if True:
        from rawdrift import compiled
    from rawdrift.isp.fused import driver
        stages = tuple(driver.DEMOSAICING.values())
        print(compiled.key((driver.forward, driver.backward, *stages)))"""
    keys = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(keys) == 1


# Mosaics of every kind


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
@pytest.mark.parametrize("name", ["bi,s,ga", "me,u,me", "ma,s,me"])
def test_integers_give_the_bits_of_their_floats(name, dtype):
    depth = 8 if dtype == torch.uint8 else 12
    isp = rd.isp.static(name, dataclasses.replace(CAMERA, bit_depth=depth))
    dn = torch.randint(0, 2**depth, (2, 35, 47), generator=torch.Generator().manual_seed(1))
    floats = dn.to(torch.float32) / (2**depth - 1)
    assert torch.equal(run("fused", isp, dn.to(dtype)), run("fused", isp, floats))


@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
def test_a_batch_is_its_images(name):
    isp, x = rd.isp.static(name, CAMERA), noise(2, 3, 21, 34)
    batch = run("fused", isp, x)
    assert batch.shape == (2, 3, 3, 21, 34)
    for i in range(2):
        for j in range(3):
            assert torch.equal(batch[i, j], run("fused", isp, x[i, j]))


def test_memory_layouts():
    isp, x = rd.isp.static("me,s,me", CAMERA), noise(48, 60)
    assert torch.equal(run("fused", isp, x.T), run("fused", isp, x.T.contiguous()))
    assert torch.equal(run("fused", isp, x[3::2, 1::3]), run("fused", isp, x[3::2, 1::3].clone()))
    assert torch.equal(run("fused", isp, x.expand(4, 48, 60))[3], run("fused", isp, x))
    words = (x * 65535).to(torch.int32).to(torch.uint16)
    assert torch.equal(run("fused", isp, words.T), run("fused", isp, words.T.contiguous()))


def test_the_mosaic_is_left_alone():
    isp, x = rd.isp.static("bi,u,ga", CAMERA), noise(20, 20)
    before = x.clone()
    run("fused", isp, x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e35])
def test_samples_that_are_not_numbers_spread_as_in_the_steps(value):
    x = noise(24, 26)
    x[11, 7] = value
    isp = rd.isp.static("ma,s,me", CAMERA)
    torch.testing.assert_close(
        run("fused", isp, x), run("eager", isp, x), rtol=0, atol=0, equal_nan=True
    )


def test_an_empty_batch():
    isp = rd.isp.static("bi,s,ga", CAMERA)
    assert run("auto", isp, torch.empty(0, 8, 8)).shape == (0, 3, 8, 8)


# Twelve at once


@pytest.mark.parametrize("channels", ["luma", "yuv"])
def test_views_are_the_single_views(channels):
    x = noise(2, 45, 38)
    with rd.isp.engine("fused"):
        views = rd.isp.views(x, CAMERA, channels=channels)
    assert tuple(views) == rd.isp.CONFIGURATIONS
    for name, view in views.items():
        single = run("fused", rd.isp.static(name, CAMERA, channels), x)
        torch.testing.assert_close(view, single, rtol=0, atol=1e-6)


def test_some_views_in_the_order_asked_for():
    names = ("ma,u,ga", "bi,s,me", "ma,s,me")
    views = rd.isp.views(noise(20, 22), CAMERA, names)
    assert tuple(views) == names
    with rd.isp.engine("eager"):
        steps = rd.isp.views(noise(20, 22), CAMERA, names)
    for name in names:
        torch.testing.assert_close(views[name], steps[name], rtol=0, atol=1e-3)


# Where the steps run


def unfusable():
    static, x = rd.isp.static("bi,s,ga", CAMERA), noise(16, 18)
    hooked = rd.isp.static("bi,s,ga", CAMERA)
    hooked.sharpen.register_forward_hook(lambda module, inputs, output: output + 1)
    yield "hook", hooked, x
    backward = rd.isp.static("bi,s,ga", CAMERA)
    backward.sharpen.register_full_backward_hook(lambda *_: None)
    yield "backward hook", backward, x
    replaced = rd.isp.static("bi,s,ga", CAMERA)
    replaced.white_balance.forward = lambda x: x / 2
    yield "another forward", replaced, x
    yield "float64", static, x.double()
    yield "gamma", static.replace(gamma=rd.isp.Gamma(60.0)), x
    yield "radius", static.replace(sharpen=rd.isp.UnsharpMask(2.5)), x
    yield "channels", static.replace(sharpen=rd.isp.SharpeningFilter(channels="yuv")), x


@pytest.mark.parametrize(("isp", "x"), [pytest.param(*c[1:], id=c[0]) for c in unfusable()])
def test_what_cannot_be_fused_goes_through_the_steps(isp, x):
    assert torch.equal(run("auto", isp, x), run("eager", isp, x))
    with pytest.raises(ValueError, match=r"can't run this pipeline: .*; use engine"):
        run("fused", isp, x)


def test_hooks_of_all_modules_are_called():
    isp, x, seen = rd.isp.static("bi,s,ga", CAMERA), noise(16, 18), []
    handle = register_module_forward_hook(lambda module, *_: seen.append(type(module).__name__))
    try:
        run("auto", isp, x)
    finally:
        handle.remove()
    assert {"Bilinear", "Gamma"} <= {*seen}


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")
def test_function_transforms():
    isp, x = rd.isp.static("bi,s,ga", CAMERA), noise(3, 16, 18)
    eager = run("eager", isp, x)
    assert torch.equal(torch.func.vmap(isp)(x), eager)
    linear = isp.remove("gamma")  # whose function has no forward derivative
    _, tangent = torch.func.jvp(linear, (x,), (torch.ones_like(x),))
    assert tangent.abs().max() > 0
    learned = rd.isp.parametrized("bi,s,ga", CAMERA)
    values = {name: p.detach().clone() for name, p in learned.named_parameters()}
    torch.testing.assert_close(
        torch.func.functional_call(learned, values, x), eager, rtol=0, atol=1e-3
    )


def test_inside_a_compiled_graph():
    isp, x = rd.isp.static("bi,s,me", CAMERA), noise(16, 18)
    compiled = torch.compile(isp, backend="eager", fullgraph=True)
    assert torch.equal(compiled(x), run("eager", isp, x))
    exported = torch.export.export(isp, (x,)).module()
    assert torch.equal(exported(x), run("eager", isp, x))


def test_without_numba(monkeypatch):
    monkeypatch.setattr(fused, "_cpu", lambda: None)
    isp, x = rd.isp.static("bi,s,ga", CAMERA), noise(16, 18)
    assert torch.equal(run("auto", isp, x), run("eager", isp, x))
    with pytest.raises(ValueError, match="Numba"):
        run("fused", isp, x)


def test_numbers_changed_in_place_count_at_once():
    isp, x = rd.isp.static("bi,s,ga", LINEAR), noise(16, 18)
    run("fused", isp, x)
    isp.white_balance.gains.data *= 0.5
    assert_same(isp, x)


class Views(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        torch.set_num_threads(2)
        with rd.isp.engine("fused"):
            return rd.isp.static("me,u,me", CAMERA)(noise(130, 40, seed=i))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is for POSIX")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_workers_after_the_threads_have_run(threads):
    threads(2)
    here = [Views()[i] for i in range(4)]
    loader = torch.utils.data.DataLoader(
        Views(), batch_size=1, num_workers=2, multiprocessing_context="fork"
    )
    for i, view in enumerate(loader):
        assert torch.equal(view[0], here[i])


def test_parameters_are_the_same_pipeline():
    isp = rd.isp.parametrized("me,u,ga", LINEAR)
    assert all(isinstance(p, nn.Parameter) for p in isp.parameters())
    assert_same(isp, noise(30, 28))


@pytest.mark.parametrize("white", [None, 0.95])
@pytest.mark.parametrize("bits", [8, 12])
def test_menon_takes_the_same_way_on_smooth_data_of_few_bits(bits, white):
    """Both directions are often equally smooth there: the engines must round alike."""
    y, x = np.mgrid[:96, :112]
    rng = np.random.default_rng(0)
    smooth = 0.2 + 0.6 * np.exp(-((y - 40) ** 2 + (x - 60) ** 2) / 900)
    dn = np.rint((smooth + rng.normal(0, 0.003, smooth.shape)) * (2**bits - 1))
    mosaic = torch.from_numpy(dn / (2**bits - 1)).float()
    camera = rd.Camera(name="x", cfa="GRBG", black_level=[0.0625] * 4, white_level=white, gamma=1.0)
    isp = rd.isp.static("me,s,ga", camera)
    with rd.isp.engine("fused"):
        fused = isp(mosaic)
    with rd.isp.engine("eager"):
        torch.testing.assert_close(fused, isp(mosaic), rtol=0, atol=4e-6)


@compiled.exact
def _add_rows(s, out, a, b, n):
    for j in range(n // 64 * 64):
        s[out, j] = s[a, j] + s[b, j]


def test_kernels_fill_whole_registers():
    if not compiled.has("avx512f"):
        pytest.skip("no AVX-512")

    def own(s, n):
        for j in range(n):
            s[3, j] = 3 * s[0, j]
        _add_rows(s, 2, 0, 1, n)
        return True

    kernel = numba.njit(**compiled._TASK)(own)
    kernel(np.ones((4, 128), np.float32), 128)
    assembly = kernel.overloads[kernel.signatures[0]].library.get_asm_str()
    assert re.search("vmulps.*zmm", assembly)  # of the task
    assert re.search("vaddps.*zmm", assembly)  # of its part


@pytest.mark.parametrize("kind", [np.int16, np.uint16, np.int32])
def test_narrow_integers_wrap_around_in_as_many_bits(kind):
    def own(a, b, out):
        for j in range(a.shape[0]):
            out[0, j] = compiled.add(a[j], b[j])
            out[1, j] = compiled.sub(a[j], b[j])
            out[2, j] = compiled.mul(a[j], b[j])
            out[3, j] = compiled.shr(a[j], 3)
            out[4, j] = compiled.add(a[j], 70000)
        return True

    bounds = np.iinfo(kind)
    a, b = np.random.default_rng(0).integers(bounds.min, bounds.max, (2, 1000), kind, True)
    out = np.empty((5, 1000), kind)
    kernel = numba.njit(**compiled._TASK)(own)
    kernel(a, b, out)
    with np.errstate(over="ignore"):
        expected = [a + b, a - b, a * b, a >> 3, a + np.array(70000).astype(kind)]
    np.testing.assert_array_equal(out, np.stack(expected))


def test_products_of_16_bits():
    def own(a, b, c, d, whole, high):
        for j in range(a.shape[0]):
            whole[j], high[j] = compiled.mul_whole(a[j], b[j]), compiled.mul_high(c[j], d[j])
        return True

    edges = np.array([-(2**15), -1, 0, 1, 2**15 - 1], np.int16)
    rng = np.random.default_rng(0)
    a, b = (np.concatenate([one.ravel(), rng.integers(-(2**15), 2**15, 1000, np.int16)])
            for one in np.meshgrid(edges, edges))  # fmt: skip
    c, d = a.view(np.uint16), b.view(np.uint16)
    whole, high = np.empty(len(a), np.int32), np.empty(len(a), np.uint16)
    numba.njit(**compiled._TASK)(own)(a, b, c, d, whole, high)
    np.testing.assert_array_equal(whole, a.astype(int) * b)
    np.testing.assert_array_equal(high, c.astype(int) * d >> 16)


# The memory of views


def test_memory_of_a_view_that_is_gone_is_taken_again_and_of_no_other():
    isp, x = rd.isp.static("bi,s,ga", CAMERA), noise(48, 50)
    first = run("fused", isp, x)
    kept, address = first[1:], first.data_ptr()
    before = kept.clone()
    del first
    second = run("fused", isp, 1 - x)
    assert second.data_ptr() != address
    assert torch.equal(kept, before)
    del kept
    assert run("fused", isp, x).data_ptr() == address


def test_memory_of_several_sizes_waits():
    from rawdrift import machine

    for _ in range(2):
        arrays = [machine.empty(*shape) for shape in ((3, 40, 50), (40, 50))]
        del arrays
        machine._take_back()
        assert {4 * 6000, 4 * 2000} <= {*machine._waiting}


def test_memory_that_waits_is_bounded(monkeypatch):
    from rawdrift import machine

    monkeypatch.setattr(machine, "_WAITING", 100_000)
    monkeypatch.setattr(
        machine, "_LENT", 200_000 + machine._bytes(one.block for one in machine._loans.values())
    )
    arrays = [machine.empty(3, 40, 50) for _ in range(20)]
    assert all(array.ctypes.data % 64 == 0 for array in arrays)
    del arrays
    assert machine._bytes(loan.block for loan in machine._returned) <= 200_000
    machine._take_back()
    waiting = [block for blocks in machine._waiting.values() for block in blocks]
    assert 0 < sum(block.nbytes for block in waiting) <= 100_000
    for size in range(1, 40):
        machine.empty(size, 50)
    assert len(machine._waiting) <= machine._SIZES


def test_sharpening_kernels_with_and_without_corners():
    kernel = torch.tensor(rd.isp.SharpeningFilter.numbers["kernel"].default, dtype=torch.float64)
    for corner in (0.0, 0.1):
        kernel[0, 2] = corner
        isp = rd.isp.static("bi,s,ga", LINEAR).replace(sharpen=rd.isp.SharpeningFilter(kernel))
        assert_same(isp, noise(30, 41))
