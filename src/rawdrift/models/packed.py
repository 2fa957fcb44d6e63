"""Networks for answers in bfloat16 on the CPU, with convolutions as oneDNN computes them fastest.

A convolution of PyTorch brings its weights into oneDNN's order again in every pass, which takes
longer than the rest of it for few images. These keep the order, and they also add the other branch
of a residual block and rectify, while their sums are still in registers.
"""

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

_ADD = {operator.add, operator.iadd, torch.add}
_RELU = {F.relu, torch.relu}


class _Convolution(nn.Module):
    """What a convolution makes of x, plus `other`, and then rectified, if that is asked for."""

    def __init__(self, convolution: nn.Conv2d, rectifies: bool, size: torch.Size | None):
        super().__init__()
        one, self.rectifies = convolution, rectifies
        self.numbers = (one.padding, one.stride, one.dilation, one.groups)
        self.bias = None if one.bias is None else one.bias.detach()
        order = torch.ops.mkldnn._reorder_convolution_weight
        self.weight: Tensor = order(one.weight.detach(), *self.numbers, size)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        run: Any = torch.ops.mkldnn._convolution_pointwise
        given = (self.weight, self.bias, *self.numbers)
        if other is None:
            made: Tensor = run(x, *given, "relu" if self.rectifies else "none", [], "")
        else:
            last = "relu" if self.rectifies else None
            made = run.binary(x, other, *given, "add", 1.0, last, [], "")
        return made


def packed(net: fx.GraphModule, views: Tensor) -> fx.GraphModule:
    """Change a network in bfloat16, in evaluation mode, so that it only answers, without gradients.

    views: (n, 3, H, W) like those to come, for which weights are ordered. Sums are rounded later
    than in the network as it was. Raises RuntimeError or AttributeError where PyTorch can't do
    this.
    """
    modules, graph = dict(net.named_modules()), net.graph
    ShapeProp(net).propagate(views.bfloat16())

    def rectifies(node: fx.Node) -> bool:
        if node.op == "call_module":
            return type(modules.get(str(node.target))) is nn.ReLU
        return node.op == "call_function" and node.target in _RELU

    for number, node in enumerate(list(graph.nodes)):
        convolution: Any = modules.get(str(node.target)) if node.op == "call_module" else None
        if type(convolution) is not nn.Conv2d or not _is_plain(convolution):
            continue
        replaced, inputs = [node], list(node.args)
        following = _only_user(node)
        other = _added(following, node)
        if following is not None and other is not None:
            replaced.append(following)
            inputs.append(other)
            following = _only_user(following)
        rectified = following is not None and rectifies(following)
        if following is not None and rectified:
            replaced.append(following)
        name = f"convolution_{number}"
        net.add_submodule(name, _Convolution(convolution, rectified, _shape(node.args[0])))
        with graph.inserting_before(replaced[-1]):
            new = graph.call_module(name, tuple(inputs))
        new.meta = replaced[-1].meta
        replaced[-1].replace_all_uses_with(new)
        for old in reversed(replaced):
            graph.erase_node(old)
    net.delete_all_unused_submodules()
    net.recompile()
    return net


def _is_plain(convolution: nn.Conv2d) -> bool:
    return convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _added(node: fx.Node | None, one: fx.Node) -> fx.Node | None:
    """What a node adds to another one, if it does just that."""
    if node is None or node.op != "call_function" or node.target not in _ADD or node.kwargs:
        return None
    others = [given for given in node.args if given is not one]
    if len(others) != 1 or not isinstance(others[0], fx.Node):
        return None
    return others[0] if _shape(others[0]) == _shape(one) else None


def _shape(node: Any) -> torch.Size | None:
    return getattr(node.meta.get("tensor_meta"), "shape", None)
