"""The memory and the threads of kernels on the CPU."""

import ctypes
import math
import os
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any, TypeVar

import numpy as np

from rawdrift.compiled import LINE

Array = np.ndarray[Any, Any]
Item = TypeVar("Item")


# A new page costs more than what is written to it: first use of a view's memory takes as long as
# bilinear demosaicing with all that follows, or three times as long in small pages. So the memory
# of a view that is gone waits for the next view of its size.

_WAITING = 2**28  # bytes at most that wait
_SIZES = 4  # of blocks that wait, such as those of views and of the gradients of mosaics
_LENT = 2**30  # bytes at most that are lent; those of further views go back to the system
_MOST = 64  # arrays that they are lent to
_waiting: dict[int, list[Array]] = {}  # by bytes, the size given back last at the end


def empty(*shape: int, dtype: type[np.floating[Any]] = np.float32) -> Array:
    """A new array that begins a line of the cache.

    Keep the array itself: its memory may be lent again once only NumPy's views of it are left.
    """
    _take_back()
    size = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        block = _waiting[size].pop()
    except (KeyError, IndexError):
        whole = np.empty(size + 4 * LINE, np.uint8)  # NumPy asks for huge pages, PyTorch doesn't
        block = whole[-whole.ctypes.data % (4 * LINE) :][:size]
    lent: Array = np.ndarray(shape, dtype, block)
    if len(_loans) < _MOST and size + _bytes(loan.block for loan in [*_loans.values()]) <= _LENT:
        loan = _Loan(lent, _returned.append)
        loan.block = block
        _loans[id(loan)] = loan
    return lent


class _Loan(weakref.ref[Array]):
    """Of a block to an array."""

    __slots__ = ("block",)
    block: Array


_loans: dict[int, _Loan] = {}
# Of arrays that nobody has any more. A function of Python's in place of `append` might be where
# Ctrl+C arrives, and would lose it.
_returned: deque[Any] = deque()


def _take_back() -> None:
    """Let what was returned wait. Other threads may do the same at the same time."""
    while _returned:
        try:
            loan = _returned.popleft()
        except IndexError:
            break
        block = _loans.pop(id(loan)).block
        blocks = _waiting.pop(block.nbytes, [])
        blocks.append(block)
        _waiting[block.nbytes] = blocks  # behind the others
        for oldest, blocks in [*_waiting.items()]:
            while blocks and sum(map(_bytes, [*_waiting.values()])) > _WAITING:
                del blocks[-1:]
            if not blocks or len(_waiting) > _SIZES:
                _waiting.pop(oldest, None)


def _bytes(blocks: Iterable[Array]) -> int:
    return sum(block.nbytes + 4 * LINE for block in blocks)


def for_each(work: Callable[[Item], bool], items: Iterable[Item], threads: int) -> bool:
    """Call `work` on all items with so many threads, this one among them.

    False, perhaps before the end, if one call returned it. Kernels release the GIL; Numba's own
    threads would end a process that is forked while they exist, as workers of a DataLoader are.
    """
    todo = list(items)
    threads = min(threads, len(todo))
    left = iter(todo)  # shared: each thread takes the next item when it is free

    def take() -> bool:
        return all(work(item) for item in left)

    if threads <= 1:
        return take()
    team = openmp()
    if team:
        return _together(take, team, threads)
    others = [_pool(threads - 1).submit(take) for _ in range(threads - 1)]
    try:
        done = take()
    finally:
        wait(others)  # also after an error or Ctrl+C: they write to memory that is then lent again
    return all(other.result() for other in others) and done


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="rawdrift")


# The threads of PyTorch's OpenMP wait for their next work in a loop, for milliseconds after every
# operation, on the cores that other threads then want. So they are the ones that get the work.

_is_forked = False  # a child has OpenMP's record of threads, but not the threads, and would wait


def openmp() -> int:
    """The address of `GOMP_parallel`, by which PyTorch's threads get work. 0 if PyTorch is not
    there or has another OpenMP, or if this process is a child without these threads."""
    return 0 if _is_forked or "torch" not in sys.modules else _address()


@cache
def _address() -> int:
    try:
        function = ctypes.CDLL(sys.modules["torch"]._C.__file__).GOMP_parallel
    except (OSError, AttributeError):  # another OpenMP, or none
        return 0
    return ctypes.cast(function, ctypes.c_void_p).value or 0


_Member = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_Parallel = ctypes.CFUNCTYPE(None, _Member, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)


def _together(take: Callable[[], bool], team: int, threads: int) -> bool:
    """Call `take` in so many threads of OpenMP, this one among them. team: see `openmp`."""
    results: list[bool] = []
    failures: list[BaseException] = []

    def member(_: object) -> None:
        try:
            results.append(take())
        except BaseException as failure:
            failures.append(failure)

    _Parallel(team)(_Member(member), None, threads, 0)
    if failures:
        raise failures[0]
    return all(results)


def _after_fork() -> None:
    global _is_forked
    _is_forked = True
    _pool.cache_clear()
    if _address.cache_info().currsize:  # PyTorch would wait for these threads, too
        sys.modules["torch"].set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
