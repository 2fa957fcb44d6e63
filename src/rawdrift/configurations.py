"""The paper's twelve static data models (Table 1), in names and words. Facts alone: no torch.

An ISP reference is one of these names, or the path of an ISP file (.toml).
"""

from collections.abc import Iterable
from pathlib import Path

from rawdrift.checks import InputError, choose

DEMOSAICING = {"bi": "bilinear", "me": "Menon2007", "ma": "Malvar2004"}
SHARPENING = {"s": "sharpening filter", "u": "unsharp mask"}
DENOISING = {"me": "median", "ga": "Gaussian"}

CONFIGURATIONS = tuple(
    f"{dm},{sh},{dn}" for dm in DEMOSAICING for sh in SHARPENING for dn in DENOISING
)
"""In the order of Table 1; the paper's "bi,s,me" is bilinear, sharpening filter, median."""


def in_words(name: str) -> str:
    """Return "bilinear, unsharp mask, median" for "bi,u,me"; "" for a name not in Table 1."""
    if name not in CONFIGURATIONS:
        return ""
    demosaicing, sharpening, denoising = name.split(",")
    return f"{DEMOSAICING[demosaicing]}, {SHARPENING[sharpening]}, {DENOISING[denoising]}"


def position(name: str) -> int:
    """Return the place of a configuration in Table 1; other names come after all of them."""
    return CONFIGURATIONS.index(name) if name in CONFIGURATIONS else len(CONFIGURATIONS)


def is_file(reference: str) -> bool:
    """Whether an ISP reference is an ISP file, and no configuration."""
    return Path(reference).suffix == ".toml"


def check(reference: str, others: Iterable[str] = ()) -> str:
    """Return an ISP reference. Raises InputError for an unknown name; `others` are valid too."""
    if is_file(reference):
        return reference
    try:
        return choose("ISP", reference, (*CONFIGURATIONS, *others))
    except InputError as error:
        raise InputError(f"{error}; or give the path of a .toml file") from None


def label(reference: str) -> str:
    """What pages call the ISP of a reference: its configuration, or the file's stem."""
    return Path(reference).stem if is_file(reference) else reference
