"""How fast the common corruptions are beside `imagecorruptions`, and that they agree, in one run.

    python -m benchmarks.corruptions [--size 256] [--count 16] [--repeat 5] [--cores N] [NAME ...]

The fastest run of a batch on all cores; with `--cores 1`, CPU time. The peer takes the batch's
images one by one, on one core; of glass blur, which takes it most of a second, one image. Needs
`pip install ".[bench]"`. The peer was written for older NumPy and scikit-image: `peer` gives it the
names that they no longer have.
"""

import argparse
import os
import sys
import time
import types
from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
import scipy.ndimage
import torch

import rawdrift as rd

SEVERITIES = (1, 3, 5)
FIXED = ("contrast", "brightness", "saturate", "gaussian_blur", "defocus_blur", "zoom_blur",
         "pixelate", "jpeg_compression")  # fmt: skip


def peer() -> Callable[[np.ndarray, str, int], np.ndarray]:
    """The package's function of an (H, W, 3) uint8 image, a name and a severity."""
    stub: Any = types.ModuleType("pkg_resources")
    stub.resource_filename = lambda package, path: str(files(package.partition(".")[0]) / path)
    sys.modules.setdefault("pkg_resources", stub)
    sys.modules.setdefault("scipy.ndimage.interpolation", scipy.ndimage)
    vars(np).setdefault("float_", np.float64)
    from imagecorruptions import corrupt, corruptions

    smooth = corruptions.gaussian

    def gaussian(image: Any, sigma: Any, multichannel: bool = False, **options: Any) -> Any:
        return smooth(image, sigma, channel_axis=-1 if multichannel else None, **options)

    corruptions.gaussian = gaussian
    return lambda image, name, severity: corrupt(image, severity, name)


def scene(size: int) -> np.ndarray:
    """(size, size, 3) uint8: disks of all sizes and colors on a ramp, with grain."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size
    image = np.stack([0.3 + 0.4 * x, 0.6 - 0.3 * y, 0.5 + 0.2 * x * y], -1)
    for _ in range(60):
        inside = np.hypot(y - rng.random(), x - rng.random()) < rng.exponential(0.06)
        image[inside] = rng.random(3)
    return np.uint8((image + rng.normal(0, 0.02, image.shape)).clip(0, 1) * 255)


def best(calls: Sequence[Callable[[], object]], repeat: int, cores: int) -> np.ndarray:
    """Milliseconds of the fastest of some calls, after one that warms up; of each in turn, so that
    all meet the same machine."""
    clock = time.process_time if cores == 1 else time.perf_counter
    times = np.empty((repeat + 1, len(calls)))
    for row in times:
        for k, call in enumerate(calls):
            start = clock()
            call()
            row[k] = clock() - start
    return 1e3 * times[1:].min(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=rd.corruptions.NAMES[1:], metavar="NAME")
    parser.add_argument("--size", type=int, default=256, help="rows and columns of an image")
    parser.add_argument("--count", type=int, default=16, help="images of a batch")
    parser.add_argument("--repeat", type=int, default=5, help="runs, of which the fastest counts")
    parser.add_argument(
        "--cores", type=int, default=os.cpu_count() or 1, help="that take the images of a batch"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.cores)
    cv2.setNumThreads(1)
    published = peer()
    image = scene(options.size)
    views = (torch.from_numpy(image).movedim(-1, 0).float() / 255).repeat(options.count, 1, 1, 1)
    severities = ", ".join(map(str, SEVERITIES))
    print(f"{options.count} of {options.size}x{options.size}, severities {severities} together, in")
    print("milliseconds; and for each severity the mean of both images, and of |difference| where")
    print("nothing is drawn\n")
    print(f"{'':18s} {'numpy':>8s} {'rawdrift':>8s} {'ratio':>6s}")

    def theirs(count: int, name: str, severity: int) -> np.ndarray:
        return [published(image, name, severity) for _ in range(count)].pop()

    def ours(count: int, name: str, severity: int) -> torch.Tensor:
        return rd.corruptions.corrupt(views[:count], name, severity, range(count))

    for name in options.names:
        spent = np.zeros(2)
        told = []
        count = 1 if name == "glass_blur" else options.count
        for severity in SEVERITIES:
            calls = [partial(make, count, name, severity) for make in (theirs, ours)]
            spent += best(calls, options.repeat, options.cores)
            told.append(agreement(calls[0]() / 255.0, calls[1]()[0].movedim(0, -1).numpy(), name))
        if count < options.count:
            told.append("of one image")
        print(f"{name:18s} {spent[0]:8.1f} {spent[1]:8.2f} {spent[0] / spent[1]:6.1f}  ", end="")
        print("   ".join(told), flush=True)


def agreement(theirs: np.ndarray, ours: np.ndarray, name: str) -> str:
    """Means of both, and the mean absolute difference where nothing is drawn."""
    means = f"{theirs.mean():.3f} {ours.mean():.3f}"
    return f"{means}; {np.abs(theirs - ours).mean():.4f}" if name in FIXED else means


if __name__ == "__main__":
    main()
