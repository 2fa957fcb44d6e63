"""Networks from a view (N, 3, H, W) to logits: (N, C) of the image, or (N, C, H, W) of its pixels.

C is the number of classes; one channel is enough for binary masks.
"""

import inspect
from pathlib import Path

import torch
from torch import Tensor, nn

from rawdrift.checks import InputError, choose
from rawdrift.files import write
from rawdrift.models import networks
from rawdrift.models import weights as files
from rawdrift.models.chain import Normalize
from rawdrift.models.networks import Head, Padded, Size
from rawdrift.models.spec import MODELS, Task
from rawdrift.models.targets import Kind, Targets

_NORMALIZATION = ("0.mean", "0.std")  # names in a file of `save`


def build(
    name: str,
    outputs: int,
    weights: str = "none",
    kind: Kind = "classification",
    size: Size = (64, 64),
) -> nn.Module:
    """A network with `outputs` channels, drawn from torch's random state where not loaded.

    name: as `Task.model`.
    weights: "none"; "imagenet", downloaded by the package that the network is from; or the path of
    a .safetensors or state-dict file of the same network. A head for another number of classes is
    left out of it. U-Net++ also takes those of its encoder alone, a ResNet34.
    kind, size: what the network is for, and height and width of the views.

    Raises InputError where the network or its weights can't be had or do not fit.
    """
    family, _, rest = name.partition(":")
    head: Head = ()
    if family == "timm":
        net, head = networks.from_timm(rest, outputs, weights, size)
    elif family == "import":
        if weights == "imagenet":
            raise InputError(f"no ImageNet weights are known of {name}; let its factory load them")
        net = networks.imported(rest, outputs)
    elif name == "unetplusplus":
        net, head = networks.unetplusplus(outputs, weights)
    else:
        net, head = networks.resnet(choose("task.model", name, MODELS), outputs, weights)
    if weights not in ("none", "imagenet"):
        state = files.read(Path(weights))
        if name == "unetplusplus" and "conv1.weight" in state:
            body = {key: t for key, t in state.items() if not key.startswith("fc.")}
            files.load(net.get_submodule("encoder"), body, weights)
        else:
            files.load(net, state, weights, head)
    if family in ("timm", "import"):
        _check_shape(name, net, outputs, kind, size)
    return Padded(net) if name == "unetplusplus" else net


def load_checkpoint(task: Task, targets: Targets, size: Size = (64, 64)) -> nn.Sequential:
    """The trained network of `task.checkpoint`, ready to use: view in [0, 1] to logits.

    Its input is normalized as `task.normalize` says, or as a file of `save` holds it. Raises
    InputError where the file can't be read safely, or is not of this network for these classes.
    """
    if task.checkpoint is None:
        raise InputError("task.checkpoint is missing; give the file of a trained network")
    with torch.random.fork_rng(devices=[]):  # what is drawn is overwritten
        net = build(task.model, targets.outputs, kind=targets.kind, size=size)
    inner = net.net if isinstance(net, Padded) else net
    state = files.read(Path(task.checkpoint))
    normalize = Normalize.fixed(task.normalize or "none")
    if set(_NORMALIZATION) <= set(state):
        if task.normalize not in (None, "none"):
            raise InputError(
                f"{task.checkpoint} holds the normalization of its network; leave out "
                f"task.normalize"
            )
        normalize = Normalize(*(state[name] for name in _NORMALIZATION))
    try:
        files.load(inner, state, task.checkpoint)
    except InputError as error:
        raise InputError(
            f"{error} (task.model {task.model} for {targets.outputs} classes: "
            f"{', '.join(targets.names)})"
        ) from None
    return nn.Sequential(normalize, net).eval()


def save(net: nn.Sequential, path: Path) -> None:
    """Write what `train` or `load_checkpoint` returned as a .safetensors file for
    `task.checkpoint`: the network, and the normalization of its input."""
    from safetensors.torch import save as to_bytes

    state = {name: tensor.detach().cpu().clone() for name, tensor in net.state_dict().items()}
    write(path, to_bytes({name: tensor.contiguous() for name, tensor in state.items()}))


def fingerprint(task: Task, targets: Targets, size: Size = (64, 64)) -> str:
    """What identifies what a training starts from, or the checkpoint, and the user's own code.

    Raises InputError where they can't be used, before anything is trained.
    """
    if task.checkpoint is not None:
        load_checkpoint(task, targets, size)
        found = files.checksum(task.checkpoint)
    else:
        if task.weights != "none" or not task.model.startswith("resnet"):
            with torch.random.fork_rng(devices=[]):
                build(task.model, targets.outputs, task.weights, targets.kind, size)
        named = task.weights in ("none", "imagenet")
        found = task.weights if named else files.checksum(task.weights)
    if task.model.startswith("import:"):
        source = inspect.getsourcefile(networks.factory(task.model.removeprefix("import:")))
        found += files.checksum(source) if source else ""
    return found


def _check_shape(name: str, net: nn.Module, outputs: int, kind: Kind, size: Size) -> None:
    """Whether the network makes of one view what its kind should."""
    expected = (1, outputs) if kind == "classification" else (1, outputs, *size)
    modes = [(module, module.training) for module in net.modules()]  # some may be frozen
    net.eval()
    try:
        with torch.no_grad():
            logits = net(torch.zeros(1, 3, *size))
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"task.model {name} fails on a view of shape (1, 3, {size[0]}, {size[1]}): {reason}"
        ) from error
    shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if shape != expected:
        raise InputError(
            f"task.model {name} makes {shape} of a view of shape (1, 3, {size[0]}, {size[1]}), "
            f"expected {expected} for {kind} with {outputs} outputs"
        )
    for module, training in modes:
        module.training = training
