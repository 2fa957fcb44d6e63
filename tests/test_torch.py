"""A pipeline inside what PyTorch makes of models: graphs, mixed precision, layouts, copies."""

import copy
import io

import pytest
import torch
from torch import nn

import rawdrift as rd
from rawdrift.camera.camera import Camera

CAMERA = Camera.load("raw-drone")


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def model(isp):
    """A pipeline with a small task model behind it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        return nn.Sequential(isp, head, nn.Flatten(), nn.Linear(4, 2))


def gradients(net, call, x):
    net.zero_grad()
    call(x).square().sum().backward()
    return {name: value.grad.clone() for name, value in net.named_parameters()}


def assert_alike(found, expected):
    for name, value in expected.items():
        assert (found[name] - value).norm() <= 1e-4 * value.norm(), name


@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
def test_every_configuration_is_exported_for_any_batch(name):
    net, x = model(rd.isp.static(name, CAMERA)).eval(), noise(3, 18, 20)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(net, (x,), dynamic_shapes=({0: batch},)).module()
    with torch.no_grad(), rd.isp.engine("eager"):
        for count in (1, 3, 5):
            x = noise(count, 18, 20, seed=count)
            torch.testing.assert_close(exported(x), net(x))


@pytest.mark.slow
def test_an_exported_pipeline_takes_other_even_sizes():
    isp = rd.isp.static("me,u,me", CAMERA)
    rows, columns = (
        torch.export.Dim("rows", min=8, max=512),
        torch.export.Dim("columns", min=8, max=512),
    )
    dynamic = ({0: 2 * rows, 1: 2 * columns},)
    exported = torch.export.export(isp, (noise(32, 36),), dynamic_shapes=dynamic).module()
    x = noise(50, 24)
    with torch.no_grad(), rd.isp.engine("eager"):
        torch.testing.assert_close(exported(x), isp(x))


@pytest.mark.parametrize("name", ["bi,s,me", "ma,u,ga"])
@pytest.mark.slow
def test_a_model_learns_in_a_compiled_graph_as_outside(name):
    net, x = model(rd.isp.parametrized(name, CAMERA)), noise(2, 18, 20)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    assert_alike(gradients(net, compiled, x), gradients(net, net, x))


def test_the_radius_of_an_unsharp_mask_has_room_in_a_graph():
    mask, view = rd.isp.UnsharpMask(nn.Parameter(torch.tensor(1.0).double())), noise(3, 24, 24)
    exported = torch.export.export(mask, (view,)).module()
    with torch.no_grad():
        for radius in (0.4, 1.9):
            for unsharp in (mask, exported):
                unsharp.get_parameter("radius").fill_(radius)
            torch.testing.assert_close(exported(view), mask(view))
        exported.get_parameter("radius").fill_(2.1)
        with pytest.raises(RuntimeError, match="wider than"):
            exported(view)


@pytest.mark.parametrize("name", ["bi,u,ga", "me,s,me"])
def test_mixed_precision_leaves_the_gradients_of_the_pipeline_exact(name):
    isp, x, toward = (
        rd.isp.parametrized(name, CAMERA),
        noise(2, 18, 20),
        noise(2, 3, 18, 20, seed=1),
    )

    def call(x):
        return isp(x) * toward

    expected = gradients(isp, call, x)
    with torch.autocast("cpu", torch.bfloat16):
        found = gradients(isp, call, x)
    assert_alike(found, expected)


@pytest.mark.parametrize("engine", ["eager", "fused"])
def test_gradients_come_in_any_layout(engine):
    isp, x = rd.isp.parametrized("bi,s,ga", CAMERA), noise(2, 18, 20)
    layouts = (torch.contiguous_format, torch.channels_last)
    with rd.isp.engine(engine):
        one, other = (
            gradients(isp, lambda x, layout=layout: isp(x).contiguous(memory_format=layout), x)
            for layout in layouts
        )
        sliced = gradients(isp, lambda x: isp(x)[:, :, ::2, 1:].flip(-1), x)
        kept = gradients(isp, lambda x: isp(x)[:, :, ::2, 1:].clone(), x)
    assert_alike(one, other)
    assert_alike(sliced, kept)


def test_channels_last_mosaics():
    isp, x = rd.isp.static("ma,s,ga", CAMERA), noise(3, 4, 18, 20)
    with torch.no_grad():
        assert torch.equal(isp(x.contiguous(memory_format=torch.channels_last)), isp(x))


def test_copies_and_saved_states_give_the_same_views():
    isp, x = rd.isp.parametrized("me,u,ga", CAMERA), noise(18, 20)
    with torch.no_grad():
        isp.gamma.gamma += 0.1
    saved = io.BytesIO()
    torch.save(isp.state_dict(), saved)
    saved.seek(0)
    other = rd.isp.parametrized("me,u,ga", CAMERA)
    other.load_state_dict(torch.load(saved, weights_only=True))
    for twin in (copy.deepcopy(isp), other):
        assert torch.equal(twin(x), isp(x))


def test_values_put_in_for_a_call_get_the_gradient():
    isp, x = rd.isp.parametrized("ma,u,me", CAMERA), noise(18, 20)
    values = {
        name: value.detach().clone().requires_grad_() for name, value in isp.named_parameters()
    }
    torch.func.functional_call(isp, values, x).square().sum().backward()
    assert_alike({name: v.grad for name, v in values.items()}, gradients(isp, isp, x))


@pytest.mark.parametrize("engine", ["auto", "eager"])
def test_functional_gradients_of_numbers_alone(engine):
    """The mosaic, and where it is closed over the pipeline, are plain tensors there."""
    isp, x = rd.isp.parametrized("bi,s,ga", CAMERA), 0.2 + 0.6 * noise(8, 10)
    numbers = {name: value.detach() for name, value in isp.named_parameters()}
    isp(x)  # its plan is known from here on
    expected = gradients(isp, isp, x)
    with rd.isp.engine(engine):
        found = torch.func.grad(
            lambda given: torch.func.functional_call(isp, given, (x,)).square().sum()
        )(numbers)
        slope = torch.func.grad(lambda scale: (isp(x) * scale).sum())(torch.tensor(1.0))
    assert_alike(found, expected)
    torch.testing.assert_close(slope, isp(x).sum(), rtol=1e-5, atol=0)


def test_a_recorded_graph_follows_its_mosaic():
    isp, x, other = rd.isp.static("bi,s,ga", CAMERA), noise(8, 10), noise(8, 10, seed=1)
    isp(x)
    graph = torch.fx.experimental.proxy_tensor.make_fx(isp)(x)
    torch.testing.assert_close(graph(other), isp(other), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_numbers_as_models_are_converted(dtype):
    isp, x = rd.isp.parametrized("bi,u,ga", CAMERA).to(dtype), noise(8, 10)
    with rd.isp.engine("fused"):
        view = isp(x)
    with rd.isp.engine("eager"):  # those numbers, with all digits
        expected = copy.deepcopy(isp).double()(x.double()).float()
    torch.testing.assert_close(view, expected, rtol=1e-4, atol=1e-5)
    view.sum().backward()
    assert all(value.grad.dtype == dtype for value in isp.parameters())


@pytest.mark.parametrize("scale", [3e38, torch.inf, torch.nan])
def test_gradients_that_overflow_are_no_warning(scale):
    """As a scaler of gradients makes them on purpose."""
    isp = rd.isp.parametrized("me,u,me", CAMERA)
    with rd.isp.engine("fused"):
        view = isp(noise(20, 22))
    view.backward(torch.full_like(view, scale))
    assert not torch.isfinite(isp.white_balance.gains.grad).all()
