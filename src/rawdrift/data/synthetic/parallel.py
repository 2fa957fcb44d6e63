"""Draw scenes in all of torch's threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch


def each(task: Callable[[int], None], count: int) -> None:
    """Run task(0) to task(count - 1), as many at a time as torch has threads.

    NumPy, SciPy and PyTorch release Python's lock while they work on an image. Each task gets one
    thread of torch: with more in each, tasks would wait for each other.
    """
    # The C library of Linux returns the memory of an image to the system and gets it back page by
    # page for the next image, until a block of this size has been freed once.
    np.empty(31 * 2**20, np.uint8)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(task, range(count)))
    finally:
        torch.set_num_threads(threads)
