"""How kernels are compiled: parts of them in two ways, and whole tasks, which are kept on disk."""

import gc
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
from numba import njit, types

# Only tasks are called from Python: everything else is compiled without wrappers.
_PART: dict[str, Any] = {
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
if numba.version_info[:2] == (0, 68):
    # And without machine code of its own, in half the time. This reaches into Numba, and so is only
    # done with what it is tested with.
    from rawdrift.isp.fused.parts import PartCompiler

    _PART["pipeline_class"] = PartCompiler
# Nor do they count references to their arrays, which would cost more than a row of a filter.
_BORROWING: dict[str, Any] = {"_nrt": False, **_PART}


def _part(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """For all integers alike: not compiled again for each constant that it is called with."""

    def compiled(function: Callable[..., Any]) -> Any:
        part: Any = njit(**options)(function)
        template = part.get_call_template
        part.get_call_template = lambda args, kws: template(
            [types.unliteral(kind) for kind in args],  # type: ignore[no-untyped-call]
            {name: types.unliteral(kind) for name, kind in kws.items()},  # type: ignore[no-untyped-call]
        )
        return part

    return compiled


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
    loaded = False

    def call(*arguments: Any) -> bool:
        nonlocal loaded
        if loaded:
            return compiled(*arguments)
        with _uncollected():
            sane = compiled(*arguments)
        loaded = True
        return sane

    return call


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector.

    What Numba loads with its first kernel makes it look through all of torch several times, in a
    fifth of the time of loading.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
