"""Which parameters of an ISP are learned, how fast, and what holds them: bounds and pulls."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError, choose
from rawdrift.configurations import is_external, is_file
from rawdrift.controls.forensics.axis import Axis
from rawdrift.controls.forensics.quantities import belongs, candidates, split
from rawdrift.controls.forensics.space import ParameterSpace
from rawdrift.controls.optimization.spec import Optimization, Pull
from rawdrift.isp import file
from rawdrift.isp.external import External
from rawdrift.isp.number import Number
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.similarity import ssim
from rawdrift.isp.yuv import Channels
from rawdrift.models.chain import Develop

LEAST = 0.01  # that a change is relative to: the black level may be nearly zero
Values = dict[str, Any]  # by name of the parameter: a number, or nested lists of them


def learnable(spec: Optimization, cameras: Sequence[Camera]) -> Develop:
    """Return an ISP for each camera, in which only the parameters to learn require gradients.

    Raises InputError if the ISP lacks a parameter that `spec.learn` names.
    """
    develop = parametrized(spec.isp, cameras, spec.channels)
    if spec.learn is None:
        return develop
    for isp in develop.isps:
        parameters = dict(isp.named_parameters())
        steps = [name for name, step in isp.steps.items() if step.numbers]
        for wanted in spec.learn:
            choose(f"parameter of {spec.isp} in optimization.learn", wanted, [*steps, *parameters])
        for name, parameter in parameters.items():
            parameter.requires_grad_(any(belongs(name, wanted) for wanted in spec.learn))
    return develop


def parametrized(isp: str, cameras: Sequence[Camera], channels: Channels) -> Develop:
    """Return a configuration for each camera, or the ISP of a file, with all numbers Parameters; or
    a black box, which has none."""
    if is_external(isp):
        return Develop.external(External(isp, cameras[0]), cameras)
    if is_file(isp):
        return Develop([file.load(isp, parametrized=True)])
    return Develop.parametrized(isp, cameras, channels)


def values(isp: Pipeline) -> Values:
    """Return the parameters of an ISP, in float64 to the last digit."""
    return {name: p.detach().cpu().tolist() for name, p in isp.named_parameters()}


def restore(isp: Pipeline, values: Values) -> None:
    """Give an ISP the parameters that `values` returned."""
    with torch.no_grad():
        for name, parameter in isp.named_parameters():
            parameter.copy_(torch.tensor(values[name], dtype=torch.float64))


def rates(develop: Develop, spec: Optimization, lr: float, black: Sequence[float]) -> Values:
    """Return the learning rate of each learned parameter.

    It is `lr`; with relative steps, `lr` times the size of the tensor (`Number.scale`): its root
    mean square, or the signal above the black level.

    black: the signal above the black level of each camera. Source of relative steps: Shazeer and
    Stern, "Adafactor: adaptive learning rates with sublinear memory cost", ICML 2018.
    """
    rate_of = {}
    for index, isp in enumerate(develop.isps):
        for name, parameter in isp.named_parameters():
            if not parameter.requires_grad:
                continue
            step, number, _ = split(name)
            scale = isp.steps[step].numbers[number].scale
            size = black[index] if scale == "signal" else 0.0
            size = size or float(parameter.detach().square().mean().sqrt())
            rate = lr * (size or 1.0) if spec.isp_steps == "relative" else lr
            rate_of[f"pipelines.{index}.{name}"] = rate
    return rate_of


class Side(NamedTuple):
    """One parameter, and its bounds, of its shape."""

    parameter: nn.Parameter
    low: Tensor
    high: Tensor


def box(develop: Develop, cameras: Sequence[Camera], bounds: str | Mapping[str, Any]) -> list[Side]:
    """Return the bounds of the parameters that are learned.

    Raises InputError if they leave out the start, or name what is not a learned parameter.
    """
    if bounds == "none":
        return []
    sides: list[Side] = []
    for isp, camera in zip(develop.isps, cameras, strict=True):
        try:
            axes = _axes(isp, bounds)
        except InputError as error:
            raise InputError(f"optimization.bounds, camera {camera.name!r}: {error}") from None
        parameters = dict(isp.named_parameters())
        side_of: dict[str, Side] = {}
        for axis in axes:
            step, quantity, index = split(axis.name)
            name = f"{step}.{quantity}"
            parameter = parameters.get(name)
            if parameter is None or not parameter.requires_grad:
                if isinstance(bounds, str):
                    continue
                if quantity in isp.steps[step].knobs():
                    raise InputError(
                        f"optimization.bounds: {axis.name} turns a parameter as a whole, but each "
                        f"of its numbers is learned; name one of {', '.join(parameters)}"
                    )
                raise InputError(
                    f"optimization.bounds names {axis.name}, which optimization.learn leaves out"
                )
            unbounded = torch.full_like(parameter, torch.inf).detach()
            side = side_of.setdefault(name, Side(parameter, -unbounded, unbounded))
            side.low[index], side.high[index] = axis.low, axis.high
        sides += side_of.values()
    return sides


def _axes(isp: Pipeline, bounds: str | Mapping[str, Any]) -> Sequence[Axis]:
    """The bounds of single numbers; by default, as far as their declarations let them drift."""
    if not isinstance(bounds, str):
        return ParameterSpace.around(isp, bounds).axes
    return [c.axis for c in candidates(isp).values() if c.drifts and isinstance(c.quantity, Number)]


@torch.no_grad()
def project(sides: Sequence[Side]) -> None:
    """Bring parameters that have left their bounds back to them."""
    for parameter, low, high in sides:
        parameter.clamp_(low.to(parameter), high.to(parameter))


def penalty(
    develop: Develop, spec: Optimization, cameras: Sequence[Camera]
) -> Callable[[Tensor, Tensor, Tensor], Tensor] | None:
    """Return the pull of `spec`, as `models.train.Course` takes it; None if nothing pulls."""
    pull: Pull = spec.pull
    if not (pull.camera or pull.views or pull.clipping):
        return None
    start = {name: p.detach().clone() for name, p in develop.named_parameters() if p.requires_grad}
    default = parametrized(spec.isp, cameras, spec.channels).requires_grad_(False)

    def change() -> Tensor:
        terms = []
        for name, parameter in develop.named_parameters():
            if name in start:
                held = start[name].to(parameter)
                terms.append(((parameter - held) / held.abs().max().clamp(min=LEAST)).square())
        return torch.cat([term.flatten() for term in terms]).mean().float()

    def total(mosaics: Tensor, camera_index: Tensor, views: Tensor) -> Tensor:
        pulled = views.new_zeros(())
        if pull.camera:
            pulled = pulled + pull.camera * change()
        if pull.views:
            with torch.no_grad():
                held = default.to(views.device)(mosaics, camera_index)
            pulled = pulled + pull.views * (1 - ssim(views.float(), held))
        if pull.clipping:
            pulled = pulled + pull.clipping * _excess(develop, mosaics, camera_index)
        return pulled

    return total


def _excess(develop: Develop, mosaics: Tensor, camera_index: Tensor) -> Tensor:
    """Return the mean square of how far the input of gamma lies outside [0, 1]."""
    total = mosaics.new_zeros((), dtype=torch.float32)
    for index, isp in enumerate(develop.isps):
        taken = mosaics if len(develop.isps) == 1 else mosaics[camera_index == index]
        if not len(taken):
            continue
        x = isp.checked(taken)
        for step in isp.steps.values():
            if step.stage == "gamma":
                break
            x = step(x)
        share = len(taken) / len(mosaics)
        total = total + share * (x - x.clamp(0, 1)).square().mean().float()
    return total
