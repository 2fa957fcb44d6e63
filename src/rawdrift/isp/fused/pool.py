"""The threads of the fused CPU engine."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

Item = TypeVar("Item")


def for_each(work: Callable[[Item], bool], items: Iterable[Item]) -> bool:
    """Call `work` on all items with as many threads as torch has, this one among them.

    False, perhaps before the end, if one call returned it. Kernels release the GIL; Numba's own
    threads would end a process that is forked while they exist, as workers of a DataLoader are.
    """
    todo = list(items)
    threads = min(torch.get_num_threads(), len(todo))
    left = iter(todo)  # shared: each thread takes the next item when it is free

    def take() -> bool:
        return all(work(item) for item in left)

    if threads == 1:
        return take()
    others = [_pool(threads - 1).submit(take) for _ in range(threads - 1)]
    done = take()
    return all(other.result() for other in others) and done


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="rawdrift")


# A forked process has the pool's object but not its threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
