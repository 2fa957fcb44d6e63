"""Files of weights, which are read without running code that they may hold."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from rawdrift import files
from rawdrift.checks import InputError


def read(path: Path) -> Mapping[str, Tensor]:
    """Return the tensors of a .safetensors or state-dict file by name.

    Whole pickled modules, TorchScript and exported programs are refused, since they hold code.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
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
    state = state.get("state_dict", state) if isinstance(state, Mapping) else state
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(f"weights {path} hold no state dict: expected names with tensors")
    return state


def save(net: nn.Module, path: Path) -> None:
    """Write the state dict of a network as a .safetensors file, whole or not at all.

    For what `train` or `load_checkpoint` returned it includes the normalization of the input, so
    the file serves as `task.checkpoint`.
    """
    from safetensors.torch import save as to_bytes

    state = net.state_dict()
    copies = {name: t.detach().cpu().contiguous().clone() for name, t in state.items()}
    files.write(path, to_bytes(copies))


def load(
    net: nn.Module, state: Mapping[str, Tensor], source: str, head: tuple[str, ...] = ()
) -> None:
    """Load a state dict into a network. Its names may share a prefix, such as "module.".

    head: what the names of the last layer begin with. A head that is missing, or is for another
        number of classes, is not loaded.
    source: the file, for errors. Raises InputError if anything else doesn't fit.
    """
    own = net.state_dict()
    state = _without_prefix(state, [name for name in own if not name.startswith(head)])
    body = {
        name: tensor
        for name, tensor in state.items()
        if not (name.startswith(head) and name in own and own[name].shape != tensor.shape)
    }
    wrong = [name for name in own if name not in body and not name.startswith(head)]
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
    net.load_state_dict(body, strict=False)


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


def _without_prefix(state: Mapping[str, Tensor], names: Sequence[str]) -> Mapping[str, Tensor]:
    """Cut the one prefix behind which `state` has all of `names`, if there is exactly one."""
    if not names:  # a network without weights
        return state
    ends = [name.removesuffix(names[0]) for name in state if name.endswith("." + names[0])]
    prefixes = [end for end in ends if all(end + name in state for name in names)]
    if names[0] in state or len(prefixes) != 1:
        return state
    prefix = prefixes[0]
    return {name[len(prefix) :]: t for name, t in state.items() if name.startswith(prefix)}
