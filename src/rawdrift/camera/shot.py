"""A raw file with its camera, and what to do where the two disagree. No torch."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from rawdrift.camera.camera import Camera, Trust
from rawdrift.camera.decode import Decoded, decode, normalize
from rawdrift.checks import InputError, choose

_SHADING = ("shading", "radial_shading")
APART = 0.01  # of the file's range: levels that differ by more are a mistake, or not this camera's


class Shot(NamedTuple):
    """A raw file as its camera explains it.

    mosaic: (H, W) uint16 DN of `bits` bits, or float32 in [0, 1]. camera: None if neither the user
    nor the file gives one. notes: what the user should know.
    """

    mosaic: NDArray[Any]
    bits: int
    camera: Camera | None
    notes: tuple[str, ...] = ()


def read(path: Path, camera: Camera | None = None, trust: Trust | None = None) -> Shot:
    """Read a raw file. camera: by default the one that its metadata describe.

    trust: which of "camera" and "file" holds if they contradict each other in the color filter
    array, black level or white level; None refuses another color filter array, and notes levels
    that lie apart, of which the camera's hold. Raises InputError.
    """
    if trust is not None:
        choose("trust", trust, ("camera", "file"))
    decoded = decode(path, colors=camera is None)
    described = Camera.described_by(decoded.metadata, path)
    notes = decoded.notes
    if camera is None:
        camera = described
    else:
        camera, contradictions = _agreed(camera, decoded, described, trust, path)
        notes += contradictions
    bits = camera.bit_depth if camera else decoded.bits
    return Shot(normalize(decoded, bits, path), bits, camera, notes)


def _agreed(
    camera: Camera, decoded: Decoded, described: Camera | None, trust: Trust | None, path: Path
) -> tuple[Camera, tuple[str, ...]]:
    """Return the camera that holds, and what its file says otherwise."""
    stated: dict[str, Any] = {} if decoded.cfa is None else {"cfa": decoded.cfa}
    apart = APART
    notes: tuple[str, ...] = ()
    if described is not None:
        fields = [field for field in _SHADING if getattr(described, field) is not None]
        if missing := [field for field in fields if getattr(camera, field) is None]:
            notes = (f"it states {', '.join(missing)}, which camera {camera.name!r} does not",)
        scale = (2**described.bit_depth - 1) / (2**camera.bit_depth - 1)
        black = tuple(scale * level for level in described.black_level)
        white = None if described.white_level is None else scale * described.white_level
        stated |= {"black_level": black, "white_level": white}
        apart *= (scale if white is None else white) - min(black)
    other = {name: value for name, value in stated.items() if _differs(camera, name, value, apart)}
    if not other:
        return camera, notes
    told = " and ".join(
        f"{name} {_shown(getattr(camera, name))}, but the file {_shown(value)}"
        for name, value in other.items()
    )
    if "cfa" in other and trust is None:
        raise InputError(
            f"{path}: camera {camera.name!r} says {told}; correct the camera, or say which one "
            f'holds: trust "camera" or "file"'
        )
    holds = "file" if trust == "file" else "camera"
    note = f"camera {camera.name!r} says {told}; the {holds} holds"
    return (replace(camera, **other) if holds == "file" else camera), (*notes, note)


def _differs(camera: Camera, name: str, value: Any, apart: float) -> bool:
    own = getattr(camera, name)
    if name == "cfa":
        return bool(own != value)
    if own is None or value is None:  # without a white level, nothing is rescaled: no contradiction
        return False
    if name == "black_level" and len(own) != len(value):  # of another pattern
        return True
    pairs = zip(own, value, strict=True) if name == "black_level" else [(own, value)]
    return any(abs(a - b) > apart for a, b in pairs)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(f"{level:.4g}" for level in value) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
