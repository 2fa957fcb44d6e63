"""How kernels are compiled: parts of them in two ways, and whole tasks, which are kept on disk."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

from rawdrift.isp.fused.parts import PartCompiler, for_all_integers

# Only tasks are called from Python: everything else is compiled without wrappers, and without
# machine code of its own.
_PART: dict[str, Any] = {
    "pipeline_class": PartCompiler,
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
# Nor do they count references to their arrays, which would cost more than a row of a filter.
_BORROWING: dict[str, Any] = {"_nrt": False, **_PART}


def _part(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    return lambda function: for_all_integers(njit(**options)(function))


allocating = _part(**_PART)
"""A part that makes arrays, or calls such a part."""

exact = _part(**_BORROWING)
"""A part of a kernel that rounds every operation, as the steps do."""

fast = _part(fastmath={"contract"}, **_BORROWING)
"""A part of a kernel that may contract a * b + c to one fused operation."""

inlined = njit(fastmath={"contract"}, forceinline=True, **_BORROWING)
"""The same, made anew for each place it is called at, with the constants it is called with."""

summing = _part(fastmath={"contract", "reassoc", "nsz"}, **_BORROWING)
"""A part of a kernel that may also add up in another order: one sum in each lane of SIMD."""

# Numba keeps what it compiled for as long as the file of the task is unchanged, and doesn't look at
# the parts. The name that it is kept under says their state.
_SOURCES = sorted(Path(__file__).parent.glob("*.py"))
_STATE = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:16]


def task(function: Callable[..., bool]) -> Callable[..., bool]:
    """A kernel that Python calls. It runs without the GIL.

    It is kept beside this file, or for the user where that can't be written, or not at all.
    """
    function.__qualname__ += f"-{_STATE}"
    compiled: Callable[..., bool]
    try:
        compiled = njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no folder to write to
        compiled = njit(nogil=True, error_model="numpy")(function)
    return compiled
