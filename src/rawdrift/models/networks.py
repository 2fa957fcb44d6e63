"""Networks from a view (N, 3, H, W) to logits: (N, C) of the image, or (N, C, H, W) of its pixels.

C is the number of classes; binary masks need one channel only. Networks come from torchvision,
segmentation-models-pytorch, timm or the user.
"""

from difflib import get_close_matches
from pathlib import Path

import torch
from torch import Tensor, nn

from rawdrift import files, imports
from rawdrift.checks import InputError, choose
from rawdrift.models.chain import Normalize
from rawdrift.models.spec import MODELS, Task
from rawdrift.models.targets import Targets
from rawdrift.models.weights import load, read
from rawdrift.neighborhood import extend

Size = tuple[int, int]  # height and width
Head = tuple[str, ...]  # what the names of the last layer's weights begin with


def build(
    name: str,
    outputs: int,
    weights: str = "none",
    size: Size = (64, 64),
    logits_shape: tuple[int, ...] | None = None,
) -> nn.Module:
    """Return a network with `outputs` channels. Weights that are not loaded are drawn from torch's
    random state.

    name: see `Task.model`.
    weights: "none"; "imagenet", downloaded by the package that the network is from; or the path of
        a .safetensors or state-dict file of this network. A head for another number of classes is
        not loaded. For U-Net++ the file may hold its encoder alone, a ResNet34.
    size: height and width of the views. logits_shape: of the logits of one view, by default
        (outputs,); it is checked for networks of timm and of the user.

    Raises InputError if the network or its weights are not available or don't fit.
    """
    family, _, rest = name.partition(":")
    head: Head = ()
    if family == "timm":
        net, head = _from_timm(rest, outputs, weights, size)
    elif family == "import":
        if weights == "imagenet":
            raise InputError(f"there are no ImageNet weights for {name}; load them in its factory")
        net = _imported(name, outputs)
    elif name == "unetplusplus":
        net, head = _unetplusplus(outputs, weights)
    else:
        net, head = _resnet(choose("task.model", name, MODELS), outputs, weights)
    if weights not in ("none", "imagenet"):
        state = read(Path(weights))
        if name == "unetplusplus" and "conv1.weight" in state:
            body = {key: t for key, t in state.items() if not key.startswith("fc.")}
            load(net.get_submodule("encoder"), body, weights)
        else:
            load(net, state, weights, head)
    if family in ("timm", "import"):
        _check_shape(name, net, size, logits_shape or (outputs,))
    return Padded(net) if name == "unetplusplus" else net


def load_checkpoint(task: Task, targets: Targets, size: Size = (64, 64)) -> nn.Sequential:
    """Return the trained network of `task.checkpoint`: view in [0, 1] to logits, evaluation mode.

    Its input is normalized as `task.normalize` says, or as a file of rawdrift holds it. Raises
    InputError if the file can't be read safely, or is not of this network for these classes.
    """
    if task.checkpoint is None:
        raise InputError("task.checkpoint is missing; give the file of a trained network")
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are overwritten
        net = build(task.model, targets.outputs, size=size, logits_shape=targets.logits_shape(size))
    inner = net.net if isinstance(net, Padded) else net
    state = read(Path(task.checkpoint))
    normalize = Normalize.fixed(task.normalize or "none")
    if {"0.mean", "0.std"} <= set(state):  # rawdrift has written it
        if task.normalize not in (None, "none"):
            raise InputError(
                f"{task.checkpoint} holds the normalization of its network; leave out "
                f"task.normalize"
            )
        normalize = Normalize(state["0.mean"], state["0.std"])
    try:
        load(inner, state, task.checkpoint)
    except InputError as error:
        raise InputError(
            f"{error} (task.model {task.model} for {targets.outputs} classes: "
            f"{', '.join(targets.names)})"
        ) from None
    return nn.Sequential(normalize, net).eval()


def fingerprint(task: Task, targets: Targets, size: Size = (64, 64)) -> str:
    """Identify the weights that a training starts from or the checkpoint, and the user's own code.

    Raises InputError if they can't be used, before anything is trained.
    """
    if task.checkpoint is not None:
        load_checkpoint(task, targets, size)
        start = files.sha256(task.checkpoint)
    else:
        if task.weights != "none" or not task.model.startswith("resnet"):
            with torch.random.fork_rng(devices=[]):
                build(task.model, targets.outputs, task.weights, size, targets.logits_shape(size))
        named = task.weights in ("none", "imagenet")
        start = task.weights if named else files.sha256(task.weights)
    own = {"task.model": task.model, "task.metric": task.metric}
    return start + "".join(
        imports.checksum(name, field) for field, name in own.items() if imports.is_import(name)
    )


class Padded(nn.Module):
    """A network that halves its input five times, for views of any size.

    The input is mirrored at its edges up to multiples of 32, and the logits are cropped.
    """

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        down, right = -height % 32, -width % 32
        if not (down or right):
            return self.net(x)  # type: ignore[no-any-return]
        above, left = down // 2, right // 2
        x = extend(x, down - above, right - left)[..., down % 2 :, right % 2 :]
        logits: Tensor = self.net(x.contiguous(memory_format=torch.channels_last))
        return logits[..., above : above + height, left : left + width]


def _resnet(name: str, outputs: int, weights: str) -> tuple[nn.Module, Head]:
    """A ResNet (He et al. 2016) of torchvision."""
    from torchvision import models  # takes seconds to import

    net: nn.Module = models.get_model(name, num_classes=outputs)
    if weights == "imagenet":
        enum = models.get_model_weights(name).IMAGENET1K_V1
        try:
            state = enum.get_state_dict(progress=False, check_hash=True)
        except OSError as error:
            raise _offline(error, enum.url) from None
        load(net, state, weights, ("fc.",))
    return net, ("fc.",)


def _unetplusplus(outputs: int, weights: str) -> tuple[nn.Module, Head]:
    """U-Net++ (Zhou et al. 2018) of segmentation-models-pytorch with a ResNet34 encoder, to which
    alone ImageNet weights belong."""
    smp = imports.need("segmentation_models_pytorch", "models")
    encoder_weights = "imagenet" if weights == "imagenet" else None
    try:
        net: nn.Module = smp.UnetPlusPlus(
            "resnet34", encoder_weights=encoder_weights, classes=outputs
        )
    except OSError as error:
        settings = smp.encoders.encoders["resnet34"]["pretrained_settings"]["imagenet"]
        url = f"https://huggingface.co/{settings['repo_id']}/resolve/main/model.safetensors"
        raise _offline(error, url) from None
    return net, ("segmentation_head.",)


def _from_timm(name: str, outputs: int, weights: str, size: Size) -> tuple[nn.Module, Head]:
    """Any network of timm, for views of this size."""
    timm = imports.need("timm", "models")
    if not timm.is_model(name):
        close = get_close_matches(name, timm.list_models())
        hint = f"did you mean {', '.join(close)}?" if close else "see timm.list_models()"
        raise InputError(f"timm has no model {name!r}; {hint}")
    try:
        config = timm.models.get_pretrained_cfg(name)
    except RuntimeError as error:  # NAME.TAG with a tag that the network doesn't have
        raise InputError(f"timm has no model {name!r}: {error}") from None
    # Transformers with a fixed grid of patches must know the size of the views.
    options = {"img_size": size} if config.fixed_input_size else {}
    pretrained = weights == "imagenet"
    if pretrained and not config.has_weights:
        raise InputError(f"timm has no pretrained weights of {name}; choose task.weights none")
    try:
        net: nn.Module = timm.create_model(
            name, pretrained=pretrained, num_classes=outputs, **options
        )
    except OSError as error:
        raise _offline(error, f"https://huggingface.co/{config.hf_hub_id}") from None
    except (AssertionError, TypeError, ValueError) as error:
        raise InputError(
            f"timm can't build {name} for views of {size[0]}x{size[1]} pixels: {error}"
        ) from None
    heads = config.classifier
    return net, tuple(f"{h}." for h in ((heads,) if isinstance(heads, str) else heads or ()))


def _imported(name: str, outputs: int) -> nn.Module:
    """The network that the user's function makes for this number of outputs."""
    factory = imports.resolve(name, "task.model")
    if not callable(factory):
        raise InputError(
            f"task.model {name} is of type {type(factory).__name__}; expected a function that "
            f"takes the number of output channels and returns a network"
        )
    try:
        net = factory(outputs)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"task.model {name} fails for {outputs} output channels: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(net, nn.Module):
        raise InputError(
            f"task.model {name} returns {type(net).__name__}, expected a torch.nn.Module"
        )
    return net


def _offline(error: OSError, url: str) -> InputError:
    return InputError(
        f"ImageNet weights can't be downloaded ({error}); fetch {url} on another machine and give "
        f"the file as task.weights"
    )


def _check_shape(name: str, net: nn.Module, size: Size, logits_shape: tuple[int, ...]) -> None:
    """Raise InputError unless the logits of a view have the shape that the task needs."""
    expected = (1, *logits_shape)
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
            f"task.model {name} returns {shape} for a view of shape (1, 3, {size[0]}, {size[1]}), "
            f"expected {expected}"
        )
    for module, training in modes:
        module.training = training
