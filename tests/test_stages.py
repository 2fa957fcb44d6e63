"""Stage by stage through a pipeline: the views of its steps, and gradients by each."""

import pytest
import torch

import rawdrift as rd
from planted import CAMERA, planted
from rawdrift.controls.stages import stages


def moved(isp, net, truth, start, value):
    """The loss of what the steps from `start` on make of a stage's value."""
    *_, view = [value, *(stage for _, stage in isp.stages(value, skip=start))]
    return torch.nn.functional.cross_entropy(net(view), truth)


@pytest.mark.parametrize("name", ["bi,s,ga", "ma,u,me"])
def test_stages_are_those_of_the_trace_and_gradients_those_of_small_moves(name):
    net, data, _ = planted("brightness", images=4, size=16)
    mosaics = torch.stack([mosaic for mosaic, _ in data]).double()
    truth = torch.tensor([label for _, label in data])
    net.at = net.at.double()
    isp = rd.isp.static(name, CAMERA).double()
    found = stages(isp, net.double(), mosaics, truth)
    view, trace = isp.trace(mosaics)
    assert list(found) == ["raw", *trace]
    assert torch.equal(found["gamma"].view, view)
    generator = torch.Generator().manual_seed(0)
    for number, (_, stage) in enumerate(found.items()):
        assert stage.magnitude.shape == mosaics.shape
        assert not stage.view.requires_grad
        direction = torch.randn(stage.view.shape, generator=generator, dtype=torch.float64)
        step = 1e-7 * direction
        change = moved(isp, net, truth, number, stage.view + step)
        change -= moved(isp, net, truth, number, stage.view - step)
        slope = float((stage.gradient * direction).sum())
        assert float(change) / 2e-7 == pytest.approx(slope, rel=1e-3, abs=1e-7)


def test_leverage_is_a_move_of_one_percent_of_the_range_in_the_worst_direction():
    net, data, _ = planted("brightness", images=2, size=16)
    isp = rd.isp.static("bi,s,ga", CAMERA)
    truth = torch.tensor([label for _, label in data])
    stage = stages(isp, net, torch.stack([mosaic for mosaic, _ in data]), truth)["gamma"]
    low, high = torch.quantile(stage.view.flatten(), torch.tensor([0.01, 0.99]))
    worst = 0.01 * (high - low) * stage.gradient.sign()
    assert stage.leverage == pytest.approx(float((worst * stage.gradient).sum()), rel=1e-4)
    assert stage.leverage > 0
