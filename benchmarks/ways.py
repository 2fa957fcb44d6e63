"""The ways to develop a mosaic that are compared, and how calls are timed."""

import time
import warnings
from collections.abc import Callable

import numpy as np
import torch

import rawdrift as rd

CAMERA = rd.Camera.load("raw-drone")


def best(
    call: Callable[[], object], repeat: int, clock: Callable[[], float] | None = None
) -> float:
    """Seconds of the fastest of some calls, after one that warms up.

    clock: by default on one thread the processor's, which other processes lengthen less.
    """
    if clock is None:
        clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    call()
    times = []
    for _ in range(repeat):
        start = clock()
        call()
        times.append(clock() - start)
    return min(times)


def developed(engine: str, isp: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad(), rd.isp.engine(engine):
        return isp(x)


def learning(engine: str, isp: torch.nn.Module, x: torch.Tensor) -> None:
    """Forward and backward, to the mosaic and every parameter."""
    with rd.isp.engine(engine):
        isp(x.detach().requires_grad_()).sum().backward()


def packages(name: str, x: np.ndarray) -> np.ndarray:
    """The same view (H, W, 3) by colour-demosaicing, scikit-image and SciPy, with their borders."""
    from scipy import ndimage
    from skimage.color import rgb2yuv, yuv2rgb
    from skimage.filters import unsharp_mask

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # colour reports the optional packages that it misses
        import colour_demosaicing as cd

    demosaicing, sharpening, denoising = name.split(",")
    x = x.copy()
    for site, black in enumerate(CAMERA.black_level):  # an RGGB camera
        x[site // 2 :: 2, site % 2 :: 2] -= black
    rgb = {
        "bi": cd.demosaicing_CFA_Bayer_bilinear,
        "ma": cd.demosaicing_CFA_Bayer_Malvar2004,
        "me": cd.demosaicing_CFA_Bayer_Menon2007,
    }[demosaicing](x, CAMERA.cfa)
    yuv = rgb2yuv(rgb * np.array(CAMERA.white_balance) @ np.array(CAMERA.color_matrix).T)
    y = yuv[..., 0]
    if sharpening == "s":
        y = ndimage.correlate(y, np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0.0]]), mode="mirror")
    else:
        y = unsharp_mask(y, radius=1.0, amount=1.0, preserve_range=True)
    if denoising == "me":
        y = ndimage.median_filter(y, size=3, mode="mirror")
    else:
        y = ndimage.gaussian_filter(y, sigma=0.5, mode="mirror")
    yuv[..., 0] = y
    return np.clip(yuv2rgb(yuv), 0, 1) ** (1 / CAMERA.gamma)


def demosaicing_alone(x: torch.Tensor) -> dict[str, Callable[[], object]]:
    """One of our seven steps, as other packages that are installed do it: for scale."""
    found: dict[str, Callable[[], object]] = {}
    try:
        import cv2
    except ImportError:
        pass
    else:
        cv2.setNumThreads(torch.get_num_threads())
        words = (x * 65535).to(torch.int32).numpy().astype(np.uint16)
        found["OpenCV, 16 bit"] = lambda: cv2.cvtColor(words, cv2.COLOR_BayerRGGB2RGB)
    try:
        import kornia
    except ImportError:
        pass
    else:
        cfa = kornia.color.CFA.BG  # it names the square in the second row and column
        found["kornia"] = lambda: kornia.color.raw_to_rgb(x[None, None], cfa)
    return found
