"""Networks from a view (N, 3, H, W) to logits: (N, C) of the image, or (N, C, H, W) of its pixels.

C is the number of classes; binary masks need one channel only. Networks come from torchvision,
segmentation-models-pytorch, timm or the user.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from rawdrift import files, imports, inputs
from rawdrift.checks import InputError, choose
from rawdrift.models.chain import Normalize, layout
from rawdrift.models.classification import Classification
from rawdrift.models.segmentation import Segmentation
from rawdrift.models.spec import MODELS, Task
from rawdrift.models.targets import Targets, class_order
from rawdrift.models.weights import classes, from_hub, load, published, read
from rawdrift.neighborhood import extend

Size = tuple[int, int]  # height and width
Head = tuple[str, ...]  # what the names of the last layer's weights begin with


def build(
    name: str,
    outputs: int,
    weights: str = "none",
    size: Size = (64, 64),
    logits_shape: tuple[int, ...] | None = None,
    to_train: bool = True,
) -> nn.Module:
    """Return a network with `outputs` channels. Weights that are not loaded are drawn from torch's
    random state.

    name: see `Task.model`.
    weights: "none"; "imagenet", downloaded by the package that the network is from; or the path of
        a .safetensors or state-dict file of this network. A head for another number of classes is
        not loaded. For U-Net++ the file may hold its encoder alone, a ResNet34.
    size: height and width of the views. logits_shape: of the logits of one view, by default
        (outputs,); it is checked for networks of timm and of the user. to_train: whether the
        network is to be trained, which is tried with these.

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
    if family in ("timm", "import"):
        _fit(name, net, size, logits_shape or (outputs,), to_train)
    if weights not in ("none", "imagenet"):
        state = read(Path(weights))
        if name == "unetplusplus" and "conv1.weight" in state:
            load(net.get_submodule("encoder"), _body(state), weights)
        else:
            load(net, state, weights, head)
    return Padded(net) if name == "unetplusplus" else net


def answering(task: Task) -> nn.Module:
    """Return the network of `task.checkpoint`, from view in [0, 1] to logits, without any data.

    Raises InputError if it can't be read, or if neither the file nor task.classes says what its
    outputs are.
    """
    names = class_order(task)
    pixels = task.kind == "segmentation" or task.model == "unetplusplus"
    if names is None and not (pixels and task.mask == "binary"):
        raise InputError(
            f"{task.checkpoint} does not say what its outputs are; name them in task.classes"
        )
    kind = Segmentation if pixels else Classification
    return load_checkpoint(task, kind(names or ("object",), torch.zeros(1, dtype=torch.long)))


def load_checkpoint(task: Task, targets: Targets, size: Size = (64, 64)) -> nn.Sequential:
    """Return the trained network of `task.checkpoint`: view in [0, 1] to logits, evaluation mode.

    Its input is normalized as `task.normalize` says, or as a file of rawdrift holds it. Raises
    InputError if the file can't be read safely, or is not of this network for these classes.
    """
    if task.checkpoint is None:
        raise InputError("task.checkpoint is missing; give the file of a trained network")
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are overwritten
        shape = targets.logits_shape(size)
        net = build(task.model, targets.outputs, size=size, logits_shape=shape, to_train=False)
    inner = net.net if isinstance(net, Padded) else net
    stored = classes(Path(task.checkpoint))
    if stored and stored != targets.names:
        raise InputError(
            f"{task.checkpoint} is a network for {', '.join(stored)}, but the classes here are "
            f"{', '.join(targets.names)}"
        )
    state = read(Path(task.checkpoint))
    normalize = Normalize.fixed(task.normalize or "none")
    own = [name for name in state if name == "0.mean" or name.endswith(".0.mean")]
    if len(own) == 1 and "0.mean" not in inner.state_dict():  # rawdrift has written it
        mean, std = (state.get(own[0].removesuffix("mean") + part) for part in ("mean", "std"))
        state = {name: t for name, t in state.items() if t is not mean and t is not std}
        if mean is None or std is None or not (mean.isfinite().all() and (std > 0).all()):
            raise InputError(
                f"{task.checkpoint} holds {own[0]} without a usable standard deviation beside it"
            )
        if task.normalize not in (None, "none"):
            raise InputError(
                f"{task.checkpoint} holds the normalization of its network; leave out "
                f"task.normalize"
            )
        normalize = Normalize(mean.flatten(), std.flatten())
    try:
        load(inner, state, task.checkpoint)
    except InputError as error:
        raise InputError(
            f"{error} (task.model {task.model} for {targets.outputs} classes: "
            f"{', '.join(targets.names)}; if the network has others, name its outputs in "
            f"task.classes)"
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
    own = {"task.model": task.model, "task.metric": task.metric, "task.kind": task.kind}
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
        url = models.get_model_weights(name).IMAGENET1K_V1.url
        try:
            file = published(url)
        except OSError as error:
            raise _offline(error, url) from None
        load(net, read(file), str(file), ("fc.",))
    return net, ("fc.",)


def _unetplusplus(outputs: int, weights: str) -> tuple[nn.Module, Head]:
    """U-Net++ (Zhou et al. 2018) of segmentation-models-pytorch with a ResNet34 encoder, to which
    alone ImageNet weights belong."""
    smp = imports.need("segmentation_models_pytorch", "models")
    net: nn.Module = smp.UnetPlusPlus("resnet34", encoder_weights=None, classes=outputs)
    if weights == "imagenet":
        source = smp.encoders.encoders["resnet34"]["pretrained_settings"]["imagenet"]
        try:
            file = from_hub(source["repo_id"], "model.safetensors", source["revision"])
        except OSError as error:
            raise _offline(error, _on_hub(source["repo_id"])) from None
        load(net.get_submodule("encoder"), _body(read(file)), str(file))
    return net, ("segmentation_head.",)


def _body(resnet: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a ResNet without those of its last layer."""
    return {name: tensor for name, tensor in resnet.items() if not name.startswith("fc.")}


def _on_hub(repository: str) -> str:
    return f"https://huggingface.co/{repository}/resolve/main/model.safetensors"


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
    options: dict[str, Any] = {"img_size": size} if config.fixed_input_size else {}
    if weights == "imagenet":
        if not config.has_weights:
            raise InputError(f"timm has no pretrained weights of {name}; choose task.weights none")
        if not config.hf_hub_id:
            raise InputError(
                f"timm has the weights of {name} on no hub that gives their checksum; download "
                f"{config.url} and give the file as task.weights"
            )
        try:
            file = from_hub(config.hf_hub_id, config.hf_hub_filename or "model.safetensors")
        except OSError as error:
            raise _offline(error, _on_hub(config.hf_hub_id)) from None
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": str(file)}}
    try:
        net: nn.Module = timm.create_model(name, num_classes=outputs, **options)
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
        with imports.tracing(name):
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
    empty = [n for n, t in chain(net.named_parameters(), net.named_buffers()) if t.is_meta]
    if empty:
        raise InputError(
            f"task.model {name} returns a network with {len(empty)} tensors on the meta device, "
            f"which hold no numbers, the first {empty[0]!r}; make it on the CPU"
        )
    return net


def _offline(error: OSError, url: str) -> InputError:
    return InputError(
        f"ImageNet weights can't be downloaded ({error}); fetch {url} on another machine and give "
        f"the file as task.weights"
    )


def _fit(
    name: str, net: nn.Module, size: Size, logits_shape: tuple[int, ...], to_train: bool
) -> None:
    """Try a network as it will be used, and adapt how it is called.

    In a test it answers to views one by one; with `to_train`, it also learns from a batch of two.
    Networks whose output holds the logits (see `logits_of`) return these alone from now on, and one
    that fails on views whose channels are last in memory gets them otherwise (see `layout`).

    Raises InputError if it fails, or if logits have another shape than a view needs.
    """
    for images, train in ((1, False), (2, True))[: 1 + to_train]:
        views = torch.zeros(images, 3, *size)
        use = " in training" if train else ""
        what = f"task.model {name}{use} fails on views of shape {tuple(views.shape)}"
        try:
            output = _answer(net, views, train)
        except Exception:
            net.contiguous_views = True  # type: ignore[assignment]
            try:
                output = _answer(net, views, train)
            except Exception as error:
                reason = str(error).strip().split("\n")[0] or type(error).__name__
                raise InputError(f"{what}: {reason}") from error
        if not isinstance(output, Tensor):
            output = logits_of(output)
            net.register_forward_hook(_only_logits)
        expected = (images, *logits_shape)
        if not isinstance(output, Tensor) or tuple(output.shape) != expected:
            shape = tuple(output.shape) if isinstance(output, Tensor) else _described(output)
            raise InputError(
                f"task.model {name} returns {shape}{use} for views of shape "
                f"{tuple(views.shape)}, expected logits of shape {expected}"
            )
        inputs.logits(output, f"task.model {name}")
        if train and not output.requires_grad:
            raise InputError(
                f"task.model {name} can't be trained: its logits depend on no parameter that "
                f"has a gradient"
            )


def _answer(net: nn.Module, views: Tensor, train: bool) -> object:
    """Return the output of a network, which is left as it was, as is torch's random state."""
    if any(map(is_lazy, chain(net.parameters(), net.buffers()))):  # made by the first call
        with _unchanged(net), torch.no_grad():
            net.eval()(views)
    net.to(memory_format=layout(net))
    views = views.contiguous(memory_format=layout(net))
    with torch.random.fork_rng(devices=[]), _unchanged(net), torch.set_grad_enabled(train):
        if not train:
            net.eval()
        output = net(views)
        logits = logits_of(output)
        if train and isinstance(logits, Tensor) and logits.requires_grad:
            learned = [p for p in net.parameters() if p.requires_grad]
            torch.autograd.grad(logits.sum(), learned, allow_unused=True)
    net.to(memory_format=torch.contiguous_format)
    return output


@contextmanager
def _unchanged(net: nn.Module) -> Iterator[None]:
    """Restore the modes of a network, of which some may be frozen, and its buffers at the end."""
    modes = [(module, module.training) for module in net.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in net.buffers() if not is_lazy(buffer)]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


def logits_of(output: object) -> object:
    """Return the logits in the output of a network, or the output if it holds none.

    Networks of torchvision return a dictionary with "out", or in training a named tuple with
    logits; those of timm in training a tuple with the logits first; and those of Hugging Face an
    object with logits.
    """
    if isinstance(output, Mapping):
        return next((output[key] for key in ("logits", "out") if key in output), output)
    if isinstance(getattr(output, "logits", None), Tensor):
        return output.logits  # type: ignore[attr-defined]
    if isinstance(output, tuple | list) and output and isinstance(output[0], Tensor):
        return output[0]
    return output


def _only_logits(module: nn.Module, inputs: object, output: object) -> object:
    return logits_of(output)


def _described(output: object) -> str:
    keys = f" with {', '.join(map(repr, output))}" if isinstance(output, Mapping) else ""
    return f"a {type(output).__name__}{keys}"
