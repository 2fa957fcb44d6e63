"""Networks from a view (N, 3, H, W) to logits (N, classes)."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from rawdrift.checks import InputError, choose
from rawdrift.runs.spec import MODELS

_HEAD = "fc."


def build(name: str, classes: int, weights: str = "none") -> nn.Module:
    """A classifier with `classes` outputs, drawn from torch's random state where not loaded.

    weights: "none"; "imagenet", downloaded by torchvision; or the path of a .safetensors or
    state-dict file of the same network. A head for another number of classes is left out of it.
    Raises InputError where the weights can't be had or do not fit.
    """
    from torchvision import models  # seconds of import that other commands need not pay

    choose("task.model", name, MODELS)
    net: nn.Module = models.resnet18(num_classes=classes)
    if weights != "none":
        _load(net, _imagenet(models) if weights == "imagenet" else _file(Path(weights)), weights)
    return net


def fingerprint(name: str, weights: str) -> str:
    """What identifies the weights that `build` starts from; raises where they can't be used."""
    if weights != "none":
        with torch.random.fork_rng(devices=[]):
            build(name, 2, weights)
    if weights in ("none", "imagenet"):
        return weights
    return hashlib.sha256(Path(weights).read_bytes()).hexdigest()


def _imagenet(models: object) -> Mapping[str, Tensor]:
    enum = models.ResNet18_Weights.IMAGENET1K_V1  # type: ignore[attr-defined]
    try:
        state: Mapping[str, Tensor] = enum.get_state_dict(progress=False, check_hash=True)
    except OSError as error:
        raise InputError(
            f"ImageNet weights can't be downloaded ({error}); fetch {enum.url} on another machine "
            f"and give the file as task.weights"
        ) from None
    return state


def _file(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both loaders raise many kinds on a broken file
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"weights {path} can't be read ({reason}); expected .safetensors or a torch state dict"
        ) from None
    state = state.get("state_dict", state) if isinstance(state, Mapping) else state
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(f"weights {path} hold no state dict: expected names with tensors")
    return state


def _load(net: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    own = net.state_dict()
    body = {
        name: tensor
        for name, tensor in state.items()
        if not (name.startswith(_HEAD) and name in own and own[name].shape != tensor.shape)
    }
    wrong = [n for n in own if n not in body and not n.startswith(_HEAD)]
    wrong += [n for n in body if n not in own or own[n].shape != body[n].shape]
    if wrong:
        raise InputError(
            f"weights {source} do not fit the network: {len(wrong)} tensors are missing, unknown "
            f"or of another shape, the first {wrong[0]!r}"
        )
    net.load_state_dict(body, strict=False)
