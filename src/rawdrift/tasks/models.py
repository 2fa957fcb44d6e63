"""Networks from a view (N, 3, H, W) to logits: (N, C) of the image, or (N, C, H, W) of its pixels.

C is the number of classes; one channel is enough for binary masks.
"""

import inspect
import sys
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rawdrift.checks import InputError, choose
from rawdrift.isp.neighborhood import extend
from rawdrift.runs.spec import MODELS, Task
from rawdrift.tasks import weights as files
from rawdrift.tasks.targets import Kind, Targets
from rawdrift.tasks.task import Normalize

Size = tuple[int, int]


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
    if family == "timm":
        net, head = _timm(rest, outputs, weights, size)
    elif family == "import":
        if weights == "imagenet":
            raise InputError(f"no ImageNet weights are known of {name}; let its factory load them")
        net, head = _own(rest, outputs), ()
    elif name == "unetplusplus":
        net, head = _unetplusplus(outputs, weights), ("segmentation_head.",)
    else:
        net, head = _resnet(choose("task.model", name, MODELS), outputs, weights), ("fc.",)
    if weights not in ("none", "imagenet"):
        state = files.read(Path(weights))
        encoder = getattr(net, "encoder", None) if name == "unetplusplus" else None
        if encoder is not None and "conv1.weight" in state:
            files.load(encoder, {k: v for k, v in state.items() if k[:3] != "fc."}, weights)
        else:
            files.load(net, state, weights, head)
    if family in ("timm", "import"):
        _check_shape(name, net, outputs, kind, size)
    return Padded(net) if name == "unetplusplus" else net


def load_checkpoint(task: Task, targets: Targets, size: Size = (64, 64)) -> nn.Sequential:
    """The trained network of `task.checkpoint`, ready to use: view in [0, 1] to logits.

    Its input is normalized as `task.normalize` says. Raises InputError where the file can't be read
    safely, or is not of this network for these classes.
    """
    if task.checkpoint is None:
        raise InputError("task.checkpoint is missing; give the file of a trained network")
    with torch.random.fork_rng(devices=[]):  # what is drawn is overwritten
        net = build(task.model, targets.outputs, kind=targets.kind, size=size)
    inner = net.net if isinstance(net, Padded) else net
    try:
        files.load(inner, files.read(Path(task.checkpoint)), task.checkpoint)
    except InputError as error:
        raise InputError(
            f"{error} (task.model {task.model} for {targets.outputs} classes: "
            f"{', '.join(targets.names)})"
        ) from None
    return nn.Sequential(Normalize.fixed(task.normalize or "none"), net).eval()


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
        source = inspect.getsourcefile(_factory(task.model.removeprefix("import:")))
        found += files.checksum(source) if source else ""
    return found


def need(module: str) -> Any:
    """A package of the extra "models", or an InputError that says how to install it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise InputError(
            f"the package {module} is missing; install rawdrift with its extra models, "
            f'pip install "rawdrift[models]"'
        ) from None


class Padded(nn.Module):
    """A network that halves its input five times, for every size: its input is mirrored at the
    edges up to a multiple of 32, and what was added is cut off again."""

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


def _resnet(name: str, outputs: int, weights: str) -> nn.Module:
    from torchvision import models  # seconds of import that other commands need not pay

    net: nn.Module = models.get_model(name, num_classes=outputs)
    if weights == "imagenet":
        enum = models.get_model_weights(name).IMAGENET1K_V1
        try:
            state = enum.get_state_dict(progress=False, check_hash=True)
        except OSError as error:
            raise _offline(error, enum.url) from None
        files.load(net, state, weights, ("fc.",))
    return net


def _unetplusplus(outputs: int, weights: str) -> nn.Module:
    smp = need("segmentation_models_pytorch")
    encoder_weights = "imagenet" if weights == "imagenet" else None
    try:
        net: nn.Module = smp.UnetPlusPlus(
            "resnet34", encoder_weights=encoder_weights, classes=outputs
        )
    except OSError as error:
        settings = smp.encoders.encoders["resnet34"]["pretrained_settings"]["imagenet"]
        url = f"https://huggingface.co/{settings['repo_id']}/resolve/main/model.safetensors"
        raise _offline(error, url) from None
    return net


def _timm(name: str, outputs: int, weights: str, size: Size) -> tuple[nn.Module, tuple[str, ...]]:
    timm = need("timm")
    if not timm.is_model(name):
        close = get_close_matches(name, timm.list_models())
        hint = f"did you mean {', '.join(close)}?" if close else "see timm.list_models()"
        raise InputError(f"timm has no model {name!r}; {hint}")
    try:
        config = timm.models.get_pretrained_cfg(name)
    except RuntimeError as error:  # a tag, NAME.TAG, that is not the network's
        raise InputError(f"timm has no model {name!r}: {error}") from None
    # Transformers of a fixed grid of patches are told the size that they are for.
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


def _own(path: str, outputs: int) -> nn.Module:
    factory = _factory(path)
    try:
        net = factory(outputs)
    except Exception as error:
        raise InputError(f"{path}({outputs}) failed: {type(error).__name__}: {error}") from error
    if not isinstance(net, nn.Module):
        raise InputError(f"{path}({outputs}) gave {type(net).__name__}, expected a torch.nn.Module")
    return net


def _factory(path: str) -> Callable[[int], Any]:
    """The function that "package.module.factory" names; also in the folder of the command."""
    module_name, _, attribute = path.rpartition(".")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)  # last, and kept: the module may import others when it is used
    try:
        module = import_module(module_name)
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{module_name}.".startswith(f"{missing}."):
            raise InputError(
                f"task.model import:{path}: there is no module {module_name}; expected one that is "
                f"installed, or in {folder}"
            ) from None
        raise InputError(
            f"{module_name} can't be imported: {type(error).__name__}: {error}"
        ) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        has = [name for name, value in vars(module).items() if inspect.isroutine(value)]
        raise InputError(
            f"task.model import:{path}: {module_name} has no function {attribute}; expected one "
            f"that takes the number of classes; it has {', '.join(has) or 'no functions'}"
        )
    return factory  # type: ignore[no-any-return]


def _check_shape(name: str, net: nn.Module, outputs: int, kind: Kind, size: Size) -> None:
    """Whether the network makes of one view what its kind should."""
    expected = (1, outputs) if kind == "classification" else (1, outputs, *size)
    training = net.training
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
    net.train(training)


def _offline(error: OSError, url: str) -> InputError:
    return InputError(
        f"ImageNet weights can't be downloaded ({error}); fetch {url} on another machine and give "
        f"the file as task.weights"
    )
