"""Scenes on all of torch's threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch


def each(task: Callable[[int], None], count: int) -> None:
    """task(0) to task(count - 1), as many at a time as torch has threads.

    NumPy, SciPy and PyTorch let go of Python's lock while they work on an image. Until then, torch
    has one thread in each task: more would wait for those of the others.
    """
    # The C library of Linux gives an image's memory back to the system each time that one is
    # freed, and is given it anew, page by page, until it has seen a block as large as this freed.
    np.empty(31 * 2**20, np.uint8)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(task, range(count)))
    finally:
        torch.set_num_threads(threads)
