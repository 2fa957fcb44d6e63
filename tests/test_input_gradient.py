"""The gradient by the input of a convolution with stride, against PyTorch's own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rawdrift.models.input_gradient import cheap


def answers(net, x, bf16=False):
    """Output, and the gradients by the input and by each parameter, of a loss that weighs all."""
    x = x.clone().requires_grad_()
    net.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        y = net(x)
    (y.float() * torch.linspace(-1, 1, y.numel()).reshape(y.shape)).sum().backward()
    return y, x.grad, *(p.grad.clone() for p in net.parameters())


@given(st.data())
def test_the_same_gradient_for_every_shape(data):
    stride = data.draw(st.integers(2, 4))
    kernel = data.draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    padding = data.draw(st.tuples(st.integers(0, 5), st.integers(0, 5)))
    size = [
        data.draw(st.integers(max(1, k - 2 * p), 21)) for k, p in zip(kernel, padding, strict=True)
    ]
    channels = data.draw(st.integers(1, 4))
    net = nn.Conv2d(channels, 3, kernel, stride, padding, bias=data.draw(st.booleans())).double()
    x = torch.rand(2, channels, *size, dtype=torch.float64)
    expected = answers(net, x)
    with cheap(net):
        assert "forward" in vars(net)
        found = answers(net, x)
    assert "forward" not in vars(net)
    assert torch.equal(found[0], expected[0])
    torch.testing.assert_close(found[1], expected[1], rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(found[2:], expected[2:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bf16", [False, True])
def test_the_numbers_of_a_network_are_those_of_before(bf16):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 8, 3)
    ).to(memory_format=torch.channels_last)
    x = torch.rand(2, 3, 40, 41).contiguous(memory_format=torch.channels_last)
    expected = answers(net, x, bf16)
    with cheap(net):
        found = answers(net, x, bf16)
    assert torch.equal(found[0], expected[0])
    scale = expected[1].abs().max()
    assert (found[1] - expected[1]).abs().max() < (2e-2 if bf16 else 1e-5) * scale
    for ours, theirs in zip(found[2:], expected[2:], strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    "net",
    [
        nn.Conv2d(3, 4, 3),
        nn.Conv2d(8, 4, 3, 2),
        nn.Conv2d(4, 4, 3, 2, groups=2),
        nn.Conv2d(3, 4, 3, 2, dilation=2),
        nn.Conv2d(3, 4, 3, (2, 1)),
        nn.Conv2d(3, 4, 3, 2, 1, padding_mode="reflect"),
        nn.Linear(3, 4),
    ],
)
def test_other_layers_are_left_alone(net):
    with cheap(net):
        assert "forward" not in vars(net)


def test_inside_a_hook_still_hears():
    net, heard = nn.Conv2d(3, 4, 3, 2), []
    net.register_forward_hook(lambda *_: heard.append(1))
    with cheap(net):
        net(torch.rand(1, 3, 8, 8, requires_grad=True))
    assert heard == [1]
    with pytest.raises(RuntimeError, match="channels"), cheap(net):
        net(torch.rand(1, 2, 8, 8, requires_grad=True))
    assert "forward" not in vars(net)
