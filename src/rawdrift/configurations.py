"""The paper's twelve static data models (Table 1), in names and words. Facts alone: no torch.

An ISP reference is one of these names, such a name with "-" in place of a step that is left out
("bi,-,ga", "bi,-,-") or of the demosaicing "ahd" ("ahd,s,me"), the path of an ISP file (.toml), or
a black box: libraw:OPTION=VALUE,..., command:PROGRAM {raw} ... {picture} or
import:package.module.factory:OPTION=VALUE,...
"""

import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from rawdrift.cfa import Pattern, is_bayer, quad
from rawdrift.checks import InputError, choose

DEMOSAICING = {"bi": "bilinear", "me": "Menon2007", "ma": "Malvar2004", "ahd": "AHD"}
SHARPENING = {"s": "sharpening filter", "u": "unsharp mask"}
DENOISING = {"me": "median", "ga": "Gaussian"}

LEFT_OUT = "-"

LIBRAW, COMMAND, IMPORT = "libraw", "command:", "import:"
_PLACES = r"\{(raw|picture)\b"  # of the files that a command reads and writes

CONFIGURATIONS = tuple(map(",".join, product(("bi", "me", "ma"), SHARPENING, DENOISING)))
"""In the order of Table 1; the paper's "bi,s,me" is bilinear, sharpening filter, median."""

_ALL = map(",".join, product(DEMOSAICING, (*SHARPENING, LEFT_OUT), (*DENOISING, LEFT_OUT)))
NAMES = (*CONFIGURATIONS, *(name for name in _ALL if name not in CONFIGURATIONS))
"""Also those without sharpening, denoising or both ("bi,s,-", "bi,-,-"), and those of AHD."""


def steps(name: str) -> tuple[str, str | None, str | None]:
    """Return the short names of demosaicing, sharpening and denoising; None for one left out.

    Raises InputError for an unknown name.
    """
    demosaicing, sharpening, denoising = check_name(name).split(",")
    return (
        demosaicing,
        None if sharpening == LEFT_OUT else sharpening,
        None if denoising == LEFT_OUT else denoising,
    )


def taking(cfa: Pattern, names: Sequence[str] = CONFIGURATIONS) -> tuple[str, ...]:
    """Return the names whose demosaicing takes a color filter array: Malvar's, Menon's and
    AHD take Bayer's and quad-Bayer's, bilinear all."""
    every = is_bayer(cfa) or quad(cfa) is not None
    return tuple(name for name in names if every or name.startswith("bi,"))


def in_words(name: str) -> str:
    """Return "bilinear, unsharp mask, no denoising" for "bi,u,-"; "" for what is not a name."""
    if name not in NAMES:
        return ""
    demosaicing, sharpening, denoising = steps(name)
    return ", ".join(
        (
            DEMOSAICING[demosaicing],
            SHARPENING[sharpening] if sharpening else "no sharpening",
            DENOISING[denoising] if denoising else "no denoising",
        )
    )


def position(name: str) -> int:
    """Return the place of a name, those of Table 1 first; others come after all of them."""
    return NAMES.index(name) if name in NAMES else len(NAMES)


def is_external(reference: str) -> bool:
    """Whether an ISP reference is a black box: LibRaw, a program or the user's own function."""
    return reference == LIBRAW or reference.startswith((f"{LIBRAW}:", COMMAND, IMPORT))


def kind_of(reference: str) -> str:
    """Return "libraw", "command" or "import", the kind of a black box."""
    return reference.partition(":")[0]


def is_file(reference: str) -> bool:
    """Whether an ISP reference is an ISP file."""
    return Path(reference).suffix == ".toml" and not is_external(reference)


def check_name(name: str, what: str = "ISP", others: Sequence[str] = ()) -> str:
    """Return a name, or one of `others`. Raises InputError for any other, with the choices."""
    if name in NAMES or name in others:
        return name
    try:
        return choose(what, name, (*CONFIGURATIONS, *others))
    except InputError as error:
        raise InputError(f'{error}; "-" leaves a step out, as in bi,-,ga') from None


def check(reference: str, others: Sequence[str] = ()) -> str:
    """Return an ISP reference. Raises InputError for an unknown name; `others` are valid too."""
    if is_file(reference) or is_external(reference):
        return reference
    try:
        return check_name(reference, others=others)
    except InputError as error:
        raise InputError(
            f"{error}; or give the path of a .toml file, libraw:OPTION=VALUE,..., "
            f"command:PROGRAM {{raw}} ... {{picture}}, or import:package.module.factory"
        ) from None


def label(reference: str) -> str:
    """What pages call the ISP of a reference: its configuration, the file's stem, the options of
    LibRaw, or the words of a command without folders, raw file and picture."""
    if is_file(reference):
        return Path(reference).stem
    if reference.startswith(COMMAND):
        # A folder beside the picture, as in --configdir {picture}.config, goes with its option.
        text = re.sub(r" --?[\w-]+ \{picture[^}]*\}\S+", "", reference.removeprefix(COMMAND))
        words = text.split()
        return " ".join(Path(word).name for word in words if not re.search(_PLACES, word))
    return reference


def file_name(reference: str) -> str:
    """Return the label of an ISP as a part of a file's name."""
    name = label(reference).replace(",", "-")
    return re.sub(r"[^\w.=+-]+", "-", name).strip("-") if is_external(reference) else name
