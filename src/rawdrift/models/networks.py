"""Where networks come from: torchvision, segmentation-models-pytorch, timm, or the user.

Each is given as (network, what the names of its last layer begin with).
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

from rawdrift.checks import InputError
from rawdrift.models import weights as files
from rawdrift.neighborhood import extend

Size = tuple[int, int]
Head = tuple[str, ...]


def need(module: str, extra: str = "models") -> Any:
    """A package of an extra, or an InputError that says how to install it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise InputError(
            f"the package {module} is missing; install rawdrift with its extra {extra}, "
            f'pip install "rawdrift[{extra}]"'
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


def resnet(name: str, outputs: int, weights: str) -> tuple[nn.Module, Head]:
    """By torchvision (He et al. 2016)."""
    from torchvision import models  # seconds of import that other commands need not pay

    net: nn.Module = models.get_model(name, num_classes=outputs)
    if weights == "imagenet":
        enum = models.get_model_weights(name).IMAGENET1K_V1
        try:
            state = enum.get_state_dict(progress=False, check_hash=True)
        except OSError as error:
            raise _offline(error, enum.url) from None
        files.load(net, state, weights, ("fc.",))
    return net, ("fc.",)


def unetplusplus(outputs: int, weights: str) -> tuple[nn.Module, Head]:
    """U-Net++ (Zhou et al. 2018) with a ResNet34 encoder, by segmentation-models-pytorch; with
    "imagenet" the encoder is a trained one."""
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
    return net, ("segmentation_head.",)


def from_timm(name: str, outputs: int, weights: str, size: Size) -> tuple[nn.Module, Head]:
    """Any network of timm, for views of this size."""
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


def imported(path: str, outputs: int) -> nn.Module:
    """The user's own: what the function "package.module.factory" makes."""
    try:
        net = factory(path)(outputs)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path}({outputs}) failed: {type(error).__name__}: {error}") from error
    if not isinstance(net, nn.Module):
        raise InputError(f"{path}({outputs}) gave {type(net).__name__}, expected a torch.nn.Module")
    return net


def factory(path: str) -> Callable[[int], Any]:
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
    found = getattr(module, attribute, None)
    if not callable(found):
        has = [name for name, value in vars(module).items() if inspect.isroutine(value)]
        raise InputError(
            f"task.model import:{path}: {module_name} has no function {attribute}; expected one "
            f"that takes the number of classes; it has {', '.join(has) or 'no functions'}"
        )
    return found  # type: ignore[no-any-return]


def _offline(error: OSError, url: str) -> InputError:
    return InputError(
        f"ImageNet weights can't be downloaded ({error}); fetch {url} on another machine and give "
        f"the file as task.weights"
    )
