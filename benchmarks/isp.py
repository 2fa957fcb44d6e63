"""How fast the ISP is, beside its peers and the machine's own limits, all in one run.

    python -m benchmarks.isp [--size 1024] [--repeat 7] [--figure isp.png]

Prints tables of megapixels a second; ratios between columns of one run are what counts, because
machines differ and are noisy. Needs the test extra (colour-demosaicing, scikit-image, SciPy);
shows OpenCV where it is installed.
"""

import argparse
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import rawdrift as rd

CAMERA = rd.Camera.load("raw-drone")
MODES = ("forward", "forward+backward")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1024, help="rows and columns of the mosaic")
    parser.add_argument("--repeat", type=int, default=7, help="runs, of which the fastest counts")
    parser.add_argument("--figure", type=Path, default=Path("isp.png"))
    parser.add_argument(
        "--memory", nargs=3, metavar=("ENGINE", "MODE", "ISP"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.memory:
        print(extra_memory(*options.memory))
        return

    cores = os.cpu_count() or 1
    one = speeds(options.size, options.repeat, threads=1)
    table("One core, megapixels/s", one)
    table(f"All cores ({cores}), megapixels/s", speeds(options.size, options.repeat, cores))
    limits(one["bi,s,ga"]["fused"], options.size, options.repeat)
    twelve(options.size, options.repeat)
    frame(cores)
    memory()
    figure(one, options.figure)


def best(call: Callable[[], object], repeat: int) -> float:
    """Seconds of the fastest of some calls, after one that warms up."""
    call()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def speeds(size: int, repeat: int, threads: int) -> dict[str, dict[str, float]]:
    """Megapixels a second, by configuration and way."""
    torch.set_num_threads(threads)
    x = torch.rand(size, size, generator=torch.Generator().manual_seed(0))
    words = (x * 65535).to(torch.int32).to(torch.uint16)
    found = {}
    for name in rd.isp.CONFIGURATIONS:
        isp, learned = rd.isp.static(name, CAMERA), rd.isp.parametrized(name, CAMERA)
        ways = {
            "fused": (lambda isp=isp: developed("fused", isp, x), repeat),
            "fused 16 bit": (lambda isp=isp: developed("fused", isp, words), repeat),
            "steps": (lambda isp=isp: developed("eager", isp, x), 2),
            "fused f+b": (lambda isp=learned: learning("fused", isp, x), 2),
            "steps f+b": (lambda isp=learned: learning("eager", isp, x), 2),
        }
        if threads == 1:  # the packages have no threads
            ways["packages"] = (lambda name=name: packages(name, x.double().numpy()), 2)
        opencv = opencv_demosaicing(name, words.numpy(), threads)
        if opencv:
            ways["OpenCV demosaicing"] = (opencv, repeat)
        found[name] = {way: size**2 / 1e6 / best(*call) for way, call in ways.items()}
    return found


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


def opencv_demosaicing(name: str, words: np.ndarray, threads: int) -> Callable[[], object] | None:
    """OpenCV's fastest demosaicing alone, of 16-bit integers: one of seven steps, for scale."""
    try:
        import cv2
    except ImportError:
        return None
    cv2.setNumThreads(threads)
    return lambda: cv2.cvtColor(words, cv2.COLOR_BayerRGGB2RGB)


def limits(fused: float, size: int, repeat: int) -> None:
    """The machine's own: copying 16 bytes a pixel, and three powers a pixel that stay in cache."""
    from numba import njit

    from rawdrift.isp.fused.power import power

    @njit
    def powers(out, x, e):  # type: ignore[no-untyped-def]
        for i in range(len(x)):
            out[i] = power(x[i], e)

    torch.set_num_threads(1)
    source, target = np.random.rand(size, size).astype(np.float32), np.zeros((3, size, size), "f4")
    some, result, e = source.reshape(-1)[:8192], np.empty(8192, np.float32), np.float32(1 / 2.2)

    def copy() -> None:
        target[:] = source

    copying = best(copy, repeat) / size**2
    powering = 3 * best(lambda: [powers(result, some, e) for _ in range(100)], repeat) / 819200
    bound = 1e-6 / (copying + powering)
    print("\nLimits of one core, megapixels/s")
    print(f"copy of 4 bytes in, 12 out: {1e-6 / copying:.0f}; three powers: {1e-6 / powering:.0f}")
    print(
        f"both, one after the other: {bound:.0f}; bi,s,ga takes {bound / fused:.2f} times as long"
    )


def twelve(size: int, repeat: int) -> None:
    """All twelve views at a time, against twelve calls."""
    torch.set_num_threads(1)
    x = torch.rand(size, size)
    isps = [rd.isp.static(name, CAMERA) for name in rd.isp.CONFIGURATIONS]
    single = best(lambda: [developed("fused", isp, x) for isp in isps], repeat)
    with rd.isp.engine("fused"):
        views = best(lambda: rd.isp.views(x, CAMERA), repeat)
    print(f"\nTwelve views: {views / single:.2f} of the time of twelve single calls")


def frame(cores: int) -> None:
    """A frame of 20 megapixels on all cores, against one."""
    words = torch.randint(0, 65536, (3648, 5472), dtype=torch.int32).to(torch.uint16)
    isp, seconds = rd.isp.static("ma,u,me", CAMERA), {}
    for threads in (1, cores):
        torch.set_num_threads(threads)
        seconds[threads] = best(lambda: developed("fused", isp, words), 5)
    print(f"\n20 megapixels, ma,u,me: {seconds[1]:.3f} s on one core, ", end="")
    print(f"{seconds[1] / seconds[cores]:.2f} times as fast on {cores}")


def memory() -> None:
    """Peak memory over mosaic and view, in view batches, each in its own process."""
    if not Path("/proc/self/clear_refs").exists():
        return
    print("\nPeak memory beyond mosaic and view, in sizes of the view (32 x 3 x 256 x 256)")
    for mode in MODES:
        for engine in ("fused", "eager"):
            command = [sys.executable, "-m", "benchmarks.isp", "--memory", engine, mode, "ma,u,me"]
            found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            print(f"{mode:18s} {engine:6s} {float(found):.2f}")


def extra_memory(engine: str, mode: str, name: str) -> float:
    """Peak memory of this process while it develops a batch, over that of mosaic and view."""
    torch.set_num_threads(1)
    isp = rd.isp.parametrized(name, CAMERA)
    call = developed if mode == "forward" else learning
    call(engine, isp, torch.rand(32, 16, 16))  # what is loaded once
    x = torch.rand(32, 256, 256)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what there is now
    before = resident("VmRSS")
    call(engine, isp, x)
    after = resident("VmHWM")
    view = x.nbytes * 3
    gradients = view + x.nbytes if mode != "forward" else 0  # of view and mosaic
    return max(0, after - before - view - gradients) / view


def resident(field: str) -> int:
    """Bytes of this process in memory, now (VmRSS) or at most (VmHWM). Linux."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) * 1024


def table(title: str, found: dict[str, dict[str, float]]) -> None:
    ways = list(next(iter(found.values())))
    print(f"\n{title}\n{'':8s}" + "".join(f"{way:>20s}" for way in ways))
    for name, speed in found.items():
        cells = [f"{speed[way]:.1f}" for way in ways]
        for way in ("packages", "steps"):
            if way in speed:
                cells[ways.index(way)] += f" ({speed['fused'] / speed[way]:.0f}x)"
        ratio = speed["fused f+b"] / speed["steps f+b"]
        cells[ways.index("steps f+b")] += f" ({ratio:.1f}x)"
        print(f"{name:8s}" + "".join(f"{cell:>20s}" for cell in cells))


def figure(found: dict[str, dict[str, float]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ways = [way for way in ("packages", "steps", "fused") if way in next(iter(found.values()))]
    fig, axes = plt.subplots(figsize=(9, 3.5), layout="constrained")
    for i, way in enumerate(ways):
        at = np.arange(len(found)) + (i - 1) * 0.27
        axes.bar(at, [speed[way] for speed in found.values()], 0.27, label=way)
    axes.set_xticks(np.arange(len(found)), list(found), rotation=45)
    axes.set(yscale="log", ylabel="megapixels/s, one core", title="Developing a raw mosaic")
    axes.legend()
    fig.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
