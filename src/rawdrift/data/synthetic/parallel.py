"""Scenes on all of torch's threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch


def each(task: Callable[[int], None], count: int) -> None:
    """task(0) to task(count - 1), as many at a time as torch has threads.

    NumPy, SciPy and PyTorch let go of Python's lock while they work on an image. Each task has one
    thread for that: with more of torch's in each, they would wait for each other's.
    """
    # The C library of Linux returns an image's memory to the system when it is freed, and gets it
    # back page by page for the next image, until a block as large as this has been freed once.
    np.empty(31 * 2**20, np.uint8)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(task, range(count)))
    finally:
        torch.set_num_threads(threads)
