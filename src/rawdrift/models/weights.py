"""Files of weights, which are read without running code that they may hold."""

import hashlib
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from rawdrift import files, imports, progress
from rawdrift.checks import InputError

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Keys under which checkpoints hold a state dict; where several hold one, the first counts."""

_OF_INPUT = re.compile(
    r"^[^.]*(norm|preproc|transform|input)[^.]*\.|(^|\.)(mean|std|var|mu|sigma)$"
)
"""Names of what may process the input of a network."""


def read(path: Path) -> Mapping[str, Tensor]:
    """Return the tensors of a .safetensors or state-dict file by name.

    Whole pickled modules, TorchScript and exported programs are refused, since they hold code, and
    so are tensors without usable numbers: quantized, sparse, or on the meta device.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # kinds of tensors that are refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both loaders raise many kinds on a broken file
        reason = str(error).strip().split("\n")[0]
        if any(word in reason for word in ("Weights only load failed", "TorchScript", "data.pkl")):
            raise InputError(
                f"weights {path} hold more than tensors (a whole module, TorchScript or an "
                f"exported program), which could run anyone's code; save the state dict where the "
                f"model is at hand, torch.save(model.state_dict(), 'model.pt'), and name the "
                f"network with task.model"
            ) from None
        raise InputError(
            f"weights {path} can't be read ({reason}); expected .safetensors or a torch state dict"
        ) from None
    state = _state_dict(content, path)
    for name, tensor in state.items():
        if tensor.is_meta:
            flaw = "is on the meta device and holds no numbers; save it from a model with weights"
        elif tensor.is_quantized:
            flaw = f"is quantized ({tensor.dtype}); save the model before it is quantized"
        elif tensor.layout != torch.strided:
            flaw = f"is sparse ({tensor.layout}); save it as a dense tensor"
        else:
            continue
        raise InputError(f"weights {path}: tensor {name!r} {flaw}")
    return state


def _state_dict(content: object, path: Path) -> Mapping[str, Tensor]:
    """Return the state dict that a checkpoint is, or holds under a key."""
    if _is_state_dict(content):
        return {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not isinstance(content, Mapping):
        raise InputError(
            f"weights {path} hold a {type(content).__name__}; expected a state dict, which has "
            f"names with tensors"
        )
    inside = [key for key, value in content.items() if _holds_one(value)]
    named = [key for key in WRAPPERS if key in inside]
    if named or len(inside) == 1:
        return _state_dict(content[[*named, *inside][0]], path)
    keys = ", ".join(f"{key!r} ({type(value).__name__})" for key, value in content.items())
    wanted = "several hold one; name the" if inside else "none holds one; expected a"
    raise InputError(
        f"weights {path} hold no state dict of their own but the keys {keys[:300]}, of which "
        f"{wanted} state dict under one of {', '.join(WRAPPERS)}"
    )


def _holds_one(content: object, depth: int = 2) -> bool:
    return _is_state_dict(content) or (
        depth > 0
        and isinstance(content, Mapping)
        and any(_holds_one(content.get(key), depth - 1) for key in WRAPPERS)
    )


def _is_state_dict(content: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether it has names with tensors. State that a module adds of its own is no tensor."""
    return (
        isinstance(content, Mapping)
        and all(
            isinstance(name, str) and (isinstance(value, Tensor) or name.endswith("_extra_state"))
            for name, value in content.items()
        )
        and any(isinstance(value, Tensor) for value in content.values())
    )


def published(url: str) -> Path:
    """Return the file of weights at a URL of PyTorch, downloaded unless it is in the cache.

    Its name ends with the first digits of its SHA-256, which is compared before the file is read.
    Raises OSError if it can't be downloaded, InputError if it is another file.
    """
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    prefix = file.stem.rpartition("-")[2]
    if not file.exists():
        files.make_folder(file.parent)
        torch.hub.download_url_to_file(url, str(file), prefix, progress=False)
    return _same(file, prefix, url)


def from_hub(repository: str, name: str, revision: str | None = None) -> Path:
    """Return a file of weights on the Hugging Face Hub, downloaded unless it is in the cache.

    The cache names a file by its SHA-256, which is compared before the file is read. repository:
    "owner/name", or "owner/name@revision". Raises OSError if the file can't be downloaded,
    InputError if it is another file.
    """
    hub = imports.need("huggingface_hub", "models")
    repository, _, tag = repository.partition("@")
    options = {"filename": name, "revision": revision or tag or None}
    file = Path(hub.hf_hub_download(repository, **options))
    digest = file.resolve().name
    if not re.fullmatch("[0-9a-f]{64}", digest):  # the cache has copies in place of links
        digest = str(hub.get_hf_file_metadata(hub.hf_hub_url(repository, **options)).etag)
    return _same(file, digest, f"{repository}/{name}")


def _same(file: Path, prefix: str, source: str) -> Path:
    if not files.sha256(file).startswith(prefix):
        raise InputError(
            f"{file} is not the published {source}: its SHA-256 does not begin with {prefix}; "
            f"delete it to download it again"
        )
    return file


def classes(path: Path) -> tuple[str, ...] | None:
    """Return the names of the outputs that a file of ours holds; None if it holds none."""
    if path.suffix != ".safetensors":
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            names = json.loads((file.metadata() or {}).get("classes", "null"))
    except (SafetensorError, ValueError):  # `read` says what is wrong with the file
        return None
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if is_list else None


def save(net: nn.Module, path: Path, classes: Sequence[str] = ()) -> None:
    """Write the state dict of a network as a .safetensors file, whole or not at all.

    classes: names of its outputs, which the file holds too.

    For what `train` or `load_checkpoint` returned it includes the normalization of the input, so
    the file serves as `task.checkpoint`.
    """
    from safetensors.torch import save as to_bytes

    state = net.state_dict()
    copies = {name: t.detach().cpu().contiguous().clone() for name, t in state.items()}
    metadata = {"classes": json.dumps(list(classes))} if classes else None
    files.write(path, to_bytes(copies, metadata))


def load(
    net: nn.Module, state: Mapping[str, Tensor], source: str, head: tuple[str, ...] = ()
) -> None:
    """Load a state dict into a network. Its names may share a prefix, such as "module.", beside
    which other tensors are ignored.

    head: what the names of the last layer begin with. A head that is missing, or is for another
        number of classes, is not loaded.
    source: the file, for errors. Raises InputError if anything else doesn't fit.
    """
    own = {name: t for name, t in net.state_dict().items() if isinstance(t, Tensor)}
    # Files of early releases of PyTorch have no counters, which only count.
    optional = (*head, *(name for name in own if name.endswith("num_batches_tracked")))
    needed = {name: t.shape for name, t in own.items() if not name.startswith(optional)}
    state = _of_network(state, needed, source)
    body = {
        name: tensor
        for name, tensor in state.items()
        if not (name.startswith(head) and name in own and own[name].shape != tensor.shape)
    }
    wrong = [name for name in own if name not in body and not name.startswith(optional)]
    wrong += [n for n in body if n not in own or own[n].shape != body[n].shape]
    if wrong:
        first = wrong[0]
        has, wants = (
            f"of shape {tuple(s[first].shape)}" if first in s else "missing" for s in (state, own)
        )
        raise InputError(
            f"weights {source} do not fit the network: {len(wrong)} tensors are missing, unknown "
            f"or of another shape, the first {first!r}: {has} in the file, {wants} in the network"
        )
    learned = {name for name, _ in net.named_parameters()}
    for name, tensor in body.items():
        flaw = _flaw(tensor, own[name], name in learned)
        if flaw:
            raise InputError(f"weights {source}: tensor {name!r} {flaw}")
    net.load_state_dict(body, strict=False)


def _flaw(tensor: Tensor, own: Tensor, learned: bool) -> str:
    """Return why a network can't take a tensor in the place of its own, or "".

    learned: whether it is a parameter, which must be floating point. What is not finite in the
    network's own, such as a mask of -inf, need not be finite.
    """
    if tensor.is_complex() != own.is_complex() or (
        learned and own.is_floating_point() and not tensor.is_floating_point()
    ):
        return f"is {tensor.dtype}, expected {own.dtype}; quantized weights can't be used"
    converted = tensor.to(own.dtype)
    if not own.is_floating_point() and not own.is_complex():
        equal = torch.equal(converted.to(tensor.dtype), tensor)
        return "" if equal else f"is {tensor.dtype} and not exact as {own.dtype}"
    wrong = ~torch.isfinite(converted) & torch.isfinite(own.to(converted.device))
    if not bool(wrong.any()):
        return ""
    values = tensor[wrong] if tensor.ndim else tensor
    return (
        f"has {int(wrong.sum())} of {wrong.numel()} values that are not finite as {own.dtype}, the "
        f"first {float(values.flatten()[0]):g}; the training that wrote it may have diverged"
    )


def fingerprint(net: nn.Module) -> str:
    """Return the SHA-256 of a network's class and of every tensor of its state."""
    digest = hashlib.sha256(kind(net).encode())
    for name, value in net.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def kind(net: nn.Module) -> str:
    """Return module and name of a network's class."""
    return f"{type(net).__module__}.{type(net).__qualname__}"


def _of_network(
    state: Mapping[str, Tensor], needed: Mapping[str, torch.Size], source: str
) -> Mapping[str, Tensor]:
    """Return the tensors of a network, which stand alone or behind one prefix.

    needed: names and shapes of those that it can't do without. What stands beside the prefix, such
    as the weights of a loss, is not the network's, and is said to be ignored. Raises InputError if
    tensors of other values fit behind several prefixes.
    """
    if not needed or next(iter(needed)) in state:
        return state
    last = "." + next(iter(needed))
    ends = [name.removesuffix(last[1:]) for name in state if name.endswith(last)]
    ends = [end for end in ends if all(end + name in state for name in needed)]
    fitting = [e for e in ends if all(state[e + name].shape == s for name, s in needed.items())]
    prefix, *others = fitting or ends or [""]
    if any(not torch.equal(state[e + n], state[prefix + n]) for e in others for n in needed):
        raise InputError(
            f"weights {source} hold the network several times, as {', '.join((prefix, *others))}; "
            f"save the one that you mean, such as {{name.removeprefix({prefix!r}): tensor for "
            f"name, tensor in state.items() if name.startswith({prefix!r})}}"
        )
    own = {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}
    beside = [name for name in state if not name.startswith(prefix)]
    if of_input := [name for name in beside if _OF_INPUT.search(name)]:
        return own | {name: state[name] for name in of_input}  # is not dropped in silence
    if beside:
        shown = ", ".join(beside[:3]) + f" and {len(beside) - 3} more" * (len(beside) > 3)
        _say_once(f"weights {source}: ignored, since it is beside the network: {shown}")
    return own


@lru_cache
def _say_once(line: str) -> None:
    progress.say(line)
