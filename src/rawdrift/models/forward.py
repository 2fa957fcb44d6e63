"""The answers of a trained network, by the fastest way that gives its logits."""

from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.export import Dim, export
from torch.fx.experimental.optimization import fuse

from rawdrift import progress
from rawdrift.checks import InputError
from rawdrift.models import onnx_graph

TOLERANCE = 1e-5  # of logits: absolute, or relative to the largest if that is above 1
WORTH = 50_000_000  # pixels of views: with fewer to come, the seconds of an export don't pay

ONNX, FOLDED = "ONNX Runtime", "the network with folded batch normalization"
Pass = Callable[[Tensor], Tensor]


def forward_of(
    net: nn.Module,
    views: Tensor,
    pixels: float = 0,
    runtime: str = "auto",
    precision: str = "32",
) -> Pass:
    """Return a function of views (n, 3, H, W) of the same size that gives the logits of `net`.

    net: in evaluation mode, on the device of the views; its weights must stay as they are.
    views: examples, on which logits are compared.
    pixels: of all views that it will answer.
    runtime: "torch" is the network itself, "onnx" ONNX Runtime, on a CPU in float32. "auto" takes
        that where it pays and the logits are PyTorch's to 1e-5, or else the network with its batch
        normalization folded into the convolutions, or else the network itself.
    precision: of the network: "32", or "bf16", called under autocast, for which only the folded
        network's rounding differs.

    Raises InputError if ONNX Runtime is asked for and can't give these logits.
    """
    if runtime == "torch" or (runtime == "auto" and not pays(views, pixels)):
        return net
    if runtime == "onnx":
        if views.device.type != "cpu" or precision == "bf16":
            raise InputError(
                "task.runtime onnx computes in float32 on the CPU; choose auto for other devices "
                "and precisions"
            )
        return _checked(ONNX, net, views)
    for way in (FOLDED,) if precision == "bf16" else (ONNX, FOLDED):
        try:
            found = _checked(way, net, views)
        except InputError as reason:
            progress.note(f"the network runs in another way: {reason}")
        else:
            return _rounded(found, views) if precision == "bf16" else found
    return net


def differentiable(
    net: nn.Module, views: Tensor, pixels: float = 0, runtime: str = "auto"
) -> nn.Module:
    """Return a network with the logits of `net`, and with its gradient by the views, that is
    cheaper: `net` with its batch normalization folded, or itself. See `forward_of`."""
    if runtime == "torch" or not pays(views, pixels):
        return net
    try:
        folded = _checked(FOLDED, net, views)
    except InputError:
        return net
    return folded.requires_grad_(False) if isinstance(folded, nn.Module) else net


def pays(views: Tensor, pixels: float) -> bool:
    """Whether so many pixels of views on a CPU are worth preparing a network for."""
    return views.device.type == "cpu" and pixels >= WORTH


def _checked(way: str, net: nn.Module, views: Tensor) -> Pass:
    """Return a way to run the network. Raises InputError unless it gives its logits."""
    with torch.inference_mode(False), torch.no_grad():
        views = views.detach().float().clone()
        found = _WAYS[way](net, views)
        for count in {len(views), 1, min(3, len(views))}:
            # The clone is for networks that change their input.
            expected = net(views[:count].clone()).float()
            logits = found(views[:count].clone())
            allowed = TOLERANCE * max(1.0, float(expected.abs().max()))
            if logits.shape != expected.shape or not (logits - expected).abs().max() <= allowed:
                raise InputError(
                    f"the logits of {way} differ from PyTorch's by more than {allowed:.1g}"
                )
    return found


def _by_onnx(net: nn.Module, views: Tensor) -> Pass:
    onnx_graph.need()
    two = views[:1].expand(2, -1, -1, -1).contiguous()  # one image would be kept as one
    with onnx_graph.explained("the net can't be exported"):
        program = export(deepcopy(net), (two,), dynamic_shapes=({0: Dim("batch")},))
    return onnx_graph.session(onnx_graph.graph(program, "views").model_proto.SerializeToString())


def _folded(net: nn.Module, views: Tensor) -> Pass:
    with onnx_graph.explained("the net can't be traced"):
        folded: nn.Module = fuse(net)
    last = next((p for p in net.parameters() if p.ndim == 4), views)
    if last.is_contiguous(memory_format=torch.channels_last):
        folded = folded.to(memory_format=torch.channels_last)
    return folded


def _rounded(net: Pass, views: Tensor) -> Pass:
    """Return the network with its weights in bfloat16, to which autocast rounds them in each pass,
    if that changes nothing."""
    rounded = deepcopy(net)
    for module in rounded.modules() if isinstance(rounded, nn.Module) else ():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.to(torch.bfloat16)
    with (
        suppress(RuntimeError),
        torch.no_grad(),
        torch.autocast(views.device.type, torch.bfloat16),
    ):
        if torch.equal(rounded(views.clone()), net(views.clone())):
            return rounded
    return net


_WAYS = {ONNX: _by_onnx, FOLDED: _folded}
