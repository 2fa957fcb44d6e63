"""Files of weights, read without running what they may hold."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from rawdrift import files
from rawdrift.checks import InputError


def read(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a .safetensors or state-dict file, by name.

    Everything else is refused, since it would be code: whole pickled modules, TorchScript and
    exported programs.
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
                f"model is at hand, torch.save(model.state_dict(), 'model.pt'), and say which "
                f"network it is with task.model"
            ) from None
        raise InputError(
            f"weights {path} can't be read ({reason}); expected .safetensors or a torch state dict"
        ) from None
    state = state.get("state_dict", state) if isinstance(state, Mapping) else state
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(f"weights {path} hold no state dict: expected names with tensors")
    return state


def save(net: nn.Module, path: Path) -> None:
    """Write the state dict to `path`.safetensors, whole or not at all."""
    from safetensors.torch import save

    state = {name: t.detach().cpu().contiguous() for name, t in net.state_dict().items()}
    files.write(path.with_name(f"{path.name}.safetensors"), save(state))


def load(
    net: nn.Module, state: Mapping[str, Tensor], source: str, head: tuple[str, ...] = ()
) -> None:
    """Load a state dict, whose names may all follow a prefix, such as "module.".

    head: what the names of the last layer begin with. A head that is missing, or for another number
    of classes, is left as it was drawn. Raises InputError where the rest does not fit.
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
    """SHA-256 of a net's class and of every tensor of its state."""
    digest = hashlib.sha256(kind(net).encode())
    for name, value in net.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def kind(net: nn.Module) -> str:
    """Module and name of a net's class."""
    return f"{type(net).__module__}.{type(net).__qualname__}"


def checksum(path: str) -> str:
    """SHA-256 of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _without_prefix(state: Mapping[str, Tensor], names: Sequence[str]) -> Mapping[str, Tensor]:
    """What follows the prefix of all of `names`, where there is exactly one such prefix."""
    if not names:  # a network that has learned nothing
        return state
    ends = [name.removesuffix(names[0]) for name in state if name.endswith("." + names[0])]
    prefixes = [end for end in ends if all(end + name in state for name in names)]
    if names[0] in state or len(prefixes) != 1:
        return state
    prefix = prefixes[0]
    return {name[len(prefix) :]: t for name, t in state.items() if name.startswith(prefix)}
