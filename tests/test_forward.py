"""What runs a network in tests gives the network's own logits, or is not taken."""

import copy

import pytest
import torch
from torch import nn

import rawdrift as rd
from rawdrift.models import forward, networks
from rawdrift.models.forward import WORTH, forward_of

VIEWS = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class Own(nn.Module):
    """Two convolutions with batch normalization whose statistics are not those of a new one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.second, self.last = nn.Conv2d(8, 8, 3), nn.Linear(8, 4)
        self.norm(8 * torch.rand(4, 8, 9, 9) - 2)
        self.eval()

    def forward(self, x):
        x = self.norm(self.first(x)).relu()
        return self.last(self.second(x).mean((-2, -1)))


class Odd(Own):
    """Its answers depend on values, which no exported graph can follow."""

    def forward(self, x):
        return super().forward(x if x.max() > 0.5 else -x)


class Noisy(Own):
    """Never answers the same twice."""

    def forward(self, x):
        return super().forward(x + torch.rand_like(x))


def resnet():
    torch.manual_seed(0)
    return networks.build("resnet18", 3).eval()


@pytest.mark.parametrize(("net", "runtime"), [(Own(), "onnx"), (resnet(), "auto")])
def test_logits_are_those_of_the_network(net, runtime):
    before = copy.deepcopy(net.state_dict())
    run = forward_of(net, VIEWS, WORTH, runtime)
    assert not isinstance(run, nn.Module)
    with torch.inference_mode():
        for count in (1, 2, 5):
            views = torch.rand(count, 3, 32, 32).contiguous(memory_format=torch.channels_last)
            expected = net(views)
            torch.testing.assert_close(run(views), expected, rtol=1e-5, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_bfloat16_folds_batch_normalization():
    net = Own()
    run = forward_of(net, VIEWS, WORTH, "auto", "bf16")
    assert isinstance(run, nn.Module)
    assert run is not net
    assert not any(isinstance(module, nn.BatchNorm2d) for module in run.modules())
    assert run.second.weight.dtype == torch.bfloat16
    folded = forward._WAYS[forward.FOLDED](net, VIEWS)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(run(VIEWS), folded(VIEWS))
        torch.testing.assert_close(run(VIEWS), net(VIEWS), rtol=0.03, atol=0.03)


def test_weights_that_a_network_uses_itself_are_not_rounded():
    class Weighed(Own):
        def forward(self, x):
            return super().forward(x) + self.last.weight.sum()

    run = forward_of(Weighed(), VIEWS, WORTH, "auto", "bf16")
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(run(VIEWS), forward._WAYS[forward.FOLDED](Weighed(), VIEWS)(VIEWS))


@pytest.mark.parametrize("net", [Odd(), Noisy()], ids=["odd", "noisy"])
def test_a_network_that_no_graph_reproduces_runs_itself(net):
    assert forward_of(net, VIEWS, WORTH) is net
    with pytest.raises(rd.InputError, match=r"can't be exported|differ from PyTorch's"):
        forward_of(net, VIEWS, runtime="onnx")


def test_few_views_and_torch_run_the_network_itself():
    net = Own()
    assert forward_of(net, VIEWS, WORTH - 1) is net
    assert forward_of(net, VIEWS, WORTH, "torch") is net


def test_onnx_is_refused_where_it_does_not_compute():
    with pytest.raises(rd.InputError, match=r"task\.runtime onnx computes in float32 on the CPU"):
        forward_of(Own(), VIEWS, 0, "onnx", "bf16")


def test_without_onnx_runtime_the_folded_network_answers(monkeypatch):
    def missing():
        raise rd.InputError("not installed")

    monkeypatch.setattr(forward.onnx_graph, "need", missing)
    run = forward_of(Own(), VIEWS, WORTH)
    assert isinstance(run, nn.Module)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in run.modules())
    with pytest.raises(rd.InputError, match="not installed"):
        forward_of(Own(), VIEWS, 0, "onnx")


def test_networks_of_any_kind_have_a_runtime():
    assert rd.Task(runtime="onnx").runtime == "onnx"
    with pytest.raises(rd.InputError, match=r"task\.runtime"):
        rd.Task(runtime="tensorrt")
