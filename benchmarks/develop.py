"""How fast raw files become pictures beside LibRaw, whole commands with reading and writing.

    python -m benchmarks.develop [--files 8] [--megapixels 20] [--runs 3]

`rawdrift develop` runs as a user runs it, with the start of the program measured alone; LibRaw's
AHD with an uncompressed TIFF runs through rawpy and tifffile, with a process for each core. The
frames are a texture with the noise of a camera. Each figure is the fastest of several runs, and
pictures are removed before the next: the first gigabytes that a virtual machine writes since its
start cost several times what later ones do. Seconds of the clock say nothing while other programs
compute; those of the processor, over the cores, are the least that the command can take.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

import rawdrift as rd
from rawdrift.camera.write_dng import dng

CORES = os.cpu_count() or 1
CAMERA = "raw-drone"
_PEER = """
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
import rawpy, tifffile
out = Path(sys.argv[1])
def one(path):
    with rawpy.imread(path) as raw:
        pixels = raw.postprocess(demosaic_algorithm=rawpy.DemosaicAlgorithm.AHD, output_bps=16)
    tifffile.imwrite(out / f"{Path(path).stem}.tif", pixels, photometric="rgb")
with ProcessPoolExecutor(int(sys.argv[2])) as pool:
    list(pool.map(one, sys.argv[3:]))
"""
# A process counts the memory of the one that started it, which is why a small one starts commands.
_LAUNCHER = """
import os, subprocess, sys, time
begun = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
print(time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


class Cost(NamedTuple):
    """Of a command: seconds of the clock and of the processor, and the most memory in GB."""

    clock: float
    processor: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=8, help="raw files to develop")
    parser.add_argument("--megapixels", type=float, default=20, help="of each")
    parser.add_argument("--runs", type=int, default=3, help="of each command")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        report(Path(folder), options.files, options.megapixels, options.runs)


def report(folder: Path, files: int, megapixels: float, runs: int) -> None:
    frames = [frame(folder / f"{i}.dng", megapixels, i) for i in range(files)]
    small = frame(folder / "small.dng", 0.4, 0)
    print(f"{files} frames of {megapixels:g} megapixels on {CORES} cores", end="")
    print(f", other programs take {os.getloadavg()[0]:.1f} of them\n")
    print(f"{'':46s}{'clock':>9s}{'processor':>11s}{'memory':>9s}{'megapixels/s':>14s}")
    for isp in ("bi,s,ga", "all"):
        developing(folder, [small], "tiff", 1, isp)  # whatever must be compiled is now on disk
    start = developing(folder, [small], "tiff", runs)
    row("rawdrift develop small.dng", start)
    out = folder / "libraw"
    peer = cost([sys.executable, "-c", _PEER, str(out), str(CORES), *map(str, frames)], out, runs)
    row("LibRaw AHD to TIFF", peer, files * megapixels)
    for kind in ("tiff", "png"):
        own = developing(folder, frames, kind, runs)
        row(f"rawdrift develop --format {kind}", own, files * megapixels)
        print(
            f"{'':4s}without the start: {files * megapixels / (own.clock - start.clock):.0f}",
            end="",
        )
        print(f" megapixels/s, LibRaw's time over it: {peer.clock / own.clock:.1f}")
    every = developing(folder, frames[:1], "tiff", runs, "all")
    row("rawdrift develop --isp all, one frame", every)


def frame(path: Path, megapixels: float, seed: int) -> Path:
    """A DNG of 4:3 with a smooth texture, photon noise and read noise."""
    height = 2 * round((megapixels * 1e6 * 3 / 4) ** 0.5 / 2)
    width = 2 * round(height * 4 / 3 / 2)
    rng = np.random.default_rng(seed)
    row, column = np.ogrid[:height, :width]
    light = 9000 + 6000 * np.sin(row / 37 + seed) * np.cos(column / 23)
    noisy = 4096 + light + rng.standard_normal((height, width), np.float32) * np.sqrt(light)
    path.write_bytes(dng(noisy.astype(np.uint16), rd.Camera.load(CAMERA)))
    return path


def developing(
    folder: Path, frames: list[Path], format: str, runs: int, isp: str = "bi,s,ga"
) -> Cost:
    out = folder / "rawdrift"
    command = ["develop", *map(str, frames), "--camera", CAMERA, "--isp", isp, "--trust", "camera"]
    command += ["--format", format, "--out", str(out)]
    return cost([sys.executable, "-m", "rawdrift", *command], out, runs)


def cost(command: list[str], out: Path, runs: int) -> Cost:
    """The cost of a command in the fastest of its runs; all that it starts counts.

    out: the folder that it writes, made empty before each run and removed after it.
    """
    costs = []
    for _ in range(runs):
        out.mkdir()
        run = [sys.executable, "-c", _LAUNCHER, *command]
        found = subprocess.run(run, capture_output=True, text=True, check=False)
        if found.returncode:
            raise SystemExit(f"{command} ended with {found.returncode}: {found.stderr}")
        clock, processor, memory = map(float, found.stdout.split())
        costs.append(Cost(clock, processor, memory / 1e6))
        shutil.rmtree(out)
    return min(costs)


def row(name: str, spent: Cost, megapixels: float | None = None) -> None:
    rate = "" if megapixels is None else f"{megapixels / spent.clock:.0f}"
    numbers = f"{spent.clock:7.1f} s{spent.processor:9.1f} s{spent.memory:6.2f} GB{rate:>14s}"
    print(f"{name:46s}{numbers}", flush=True)


if __name__ == "__main__":
    main()
