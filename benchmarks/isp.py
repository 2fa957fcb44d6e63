"""How fast the ISP is, beside its peers and the machine's own limits, all in one run.

    python -m benchmarks.isp [--size 1024] [--repeat 7] [--only SECTION...] [--figure isp.svg]

Prints tables of megapixels a second, and what was wanted beside what was found; ratios within one
run are what counts, because machines differ and are noisy. Needs `pip install
".[bench]"`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

import rawdrift as rd
from benchmarks.figure import draw
from benchmarks.ways import CAMERA, best, demosaicing_alone, developed, learning, packages
from rawdrift.compiled import LINE, exact, task
from rawdrift.isp.fused.power import clipped_power, power_line, power_of
from rawdrift.machine import for_each

MODES = ("forward", "forward+backward")
CORES = os.cpu_count() or 1
BATCH = 8
SECTIONS = ("speeds", "cores", "limits", "others", "views", "frame", "first", "memory", "training")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1024, help="rows and columns of the mosaic")
    parser.add_argument("--repeat", type=int, default=7, help="runs, of which the fastest counts")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="SECTION")
    parser.add_argument("--figure", type=Path, help="draw the speeds to this file (SVG, PNG)")
    parser.add_argument("--memory", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        print(extra_memory(*options.memory))
        return

    torch.set_num_threads(1)
    size, repeat, only = options.size, options.repeat, options.only
    one = speeds(size, repeat) if "speeds" in only or options.figure else {}
    if one:
        table("One core, megapixels/s", one)
        scale(size, repeat)
    if "cores" in only:
        torch.set_num_threads(CORES)
        table(f"All cores ({CORES}), megapixels/s", speeds(size, repeat))
        torch.set_num_threads(1)
    bound = limits(size, repeat) if "limits" in only or options.figure else None
    if options.figure:
        draw(one, bound, options.figure)
    rows = targets(one, size, repeat, bound, only)
    print(f"\n{'':56s}{'found':>9s}{'wanted':>9s}{'great':>9s}")
    for name, found, wanted, great in rows:
        print(f"{name:56s}{found:>9s}{wanted:>9s}{great:>9s}", flush=True)


def targets(
    one: dict[str, dict[str, float]],
    size: int,
    repeat: int,
    bound: float | None,
    only: list[str],
) -> Iterator[tuple[str, str, str, str]]:
    """What is measured, found, wanted and great."""
    if one:
        name, ratio = min(
            ((name, speed["fused"] / speed["packages"]) for name, speed in one.items()),
            key=lambda pair: pair[1],
        )
        yield f"fused against packages, the least ({name})", f"{ratio:.1f}x", "25x", "40x"
        name, ratio = min(
            ((name, speed["fused f+b"] / speed["steps f+b"]) for name, speed in one.items()),
            key=lambda pair: pair[1],
        )
        yield f"forward+backward against steps, the least ({name})", f"{ratio:.1f}x", "10x", "20x"
    if bound:
        isp, x = rd.isp.static("bi,s,ga", CAMERA), mosaic(size, size)
        speed = size**2 / 1e6 / best(lambda: developed("fused", isp, x), 4 * repeat)
        yield "time of bi,s,ga against the machine's bound", f"{bound / speed:.2f}", "2.5", "1.6"
    if "others" in only:
        yield from others(size, repeat)
    if "cores" in only:
        ratios = learning_on_cores(size, repeat)
        limit, after, batch = (ratios.pop(key) for key in ("alone", "after PyTorch", "batch"))
        name, ratio = min(ratios.items(), key=lambda one: one[1])
        what = f"forward+backward, {CORES} cores against one"
        yield f"{what}, the least of bi ({name})", f"{ratio:.2f}x", "1.8x", "1.95x"
        # Its threads are still looking for work, for some milliseconds.
        yield f"{what}, after a sum by PyTorch", f"{after:.2f}x", "", ""
        yield f"{what}, a batch of {BATCH} quarters of {size}x{size}", f"{batch:.2f}x", "", ""
        yield f"arithmetic alone, {CORES} cores against one", f"{limit:.2f}x", "", ""
    if "views" in only:
        yield (
            "time of twelve views against twelve calls",
            f"{views(size, repeat):.2f}",
            "0.55",
            "0.45",
        )
    if "frame" in only:
        name = f"20 megapixels, {CORES} cores against one"
        yield name, f"{frame():.2f}x", "1.8x", "1.9x"
    if "first" in only:
        for name in ("bi,s,ga", "ma,u,me", "me,s,ga"):
            with tempfile.TemporaryDirectory() as folder:
                cold = first_call(name, folder)
                warm = min(first_call(name, folder) for _ in range(repeat))
            yield f"first call of {name}, compiling", f"{cold:.1f} s", "10 s", ""
            yield f"first call of {name} in later processes", f"{warm:.2f} s", "0.50 s", ""
    if "memory" in only and Path("/proc/self/clear_refs").exists():
        for mode in MODES:
            for engine in ("fused", "eager"):
                found = in_process("--memory", engine, mode, "ma,u,me")
                wanted = ("1", "0.25") if (engine, mode) == ("fused", MODES[1]) else ("", "")
                yield f"peak extra memory of {mode}, {engine}, in views", f"{found:.2f}", *wanted
    if "training" in only:
        yield from training()


def mosaic(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def speeds(size: int, repeat: int) -> dict[str, dict[str, float]]:
    """Megapixels a second, by configuration and way."""
    x = mosaic(size, size)
    words = (x * 65535).to(torch.int32).to(torch.uint16)
    found = {}
    for name in rd.isp.CONFIGURATIONS:
        isp, learned = rd.isp.static(name, CAMERA), rd.isp.parametrized(name, CAMERA)
        ways = {
            "fused": (lambda isp=isp: developed("fused", isp, x), 4 * repeat),
            "fused 16 bit": (lambda isp=isp: developed("fused", isp, words), repeat),
            "steps": (lambda isp=isp: developed("eager", isp, x), 2),
            "fused f+b": (lambda isp=learned: learning("fused", isp, x), 2),
            "steps f+b": (lambda isp=learned: learning("eager", isp, x), 2),
        }
        if torch.get_num_threads() == 1:  # the packages have no threads
            ways["packages"] = (lambda name=name: packages(name, x.double().numpy()), 2)
        found[name] = {way: size**2 / 1e6 / best(*call) for way, call in ways.items()}
    return found


def table(title: str, found: dict[str, dict[str, float]]) -> None:
    ways = list(next(iter(found.values())))
    print(f"\n{title}\n{'':8s}" + "".join(f"{way:>16s}" for way in ways))
    for name, speed in found.items():
        cells = [f"{speed[way]:.1f}" for way in ways]
        for way in ("packages", "steps"):
            if way in speed:
                cells[ways.index(way)] += f" ({speed['fused'] / speed[way]:.0f}x)"
        ratio = speed["fused f+b"] / speed["steps f+b"]
        cells[ways.index("steps f+b")] += f" ({ratio:.1f}x)"
        print(f"{name:8s}" + "".join(f"{cell:>16s}" for cell in cells), flush=True)


def scale(size: int, repeat: int) -> None:
    """Bilinear demosaicing alone, one of seven steps, by other packages."""
    for name, call in demosaicing_alone(mosaic(size, size)).items():
        speed = size**2 / 1e6 / best(call, repeat)
        print(f"for scale, bilinear demosaicing alone by {name}: {speed:.0f}")


_SOME = 4096  # numbers, which stay in the first level of the cache


@exact
def _by_tables(out, x, power, times):  # type: ignore[no-untyped-def]
    for _ in range(times):
        for i in range(0, len(x), LINE):
            power_line(out, i, x, x, i, power.tables)  # of 2 * x


@exact
def _by_polynomials(out, x, power, times):  # type: ignore[no-untyped-def]
    for _ in range(times):
        for i in range(len(x)):
            out[i] = clipped_power(x[i], power.taps)


@task
def _powers(out, x, power, times):  # type: ignore[no-untyped-def]
    if power.is_tabled:
        _by_tables(out, x, power, times)
    else:
        _by_polynomials(out, x, power, times)


def powers(times: int) -> None:
    """Arithmetic alone: so many times the powers of some numbers in the cache."""
    some = mosaic(_SOME).numpy()
    _powers(np.empty_like(some), some, power_of(1 / 2.2), times)


def limits(size: int, repeat: int) -> float:
    """The machine's own, megapixels/s: copying 16 bytes a pixel, then three powers in the cache."""
    source, target = mosaic(size, size).numpy(), np.zeros((3, size, size), np.float32)

    def copy() -> None:
        target[:] = source

    copying = best(copy, 4 * repeat) / size**2
    powering = 3 * best(lambda: powers(10000), repeat) / (10000 * _SOME)
    bound = 1e-6 / (copying + powering)
    print(
        f"\nLimits of one core, megapixels/s: copy of 4 bytes in, 12 out {1e-6 / copying:.0f}, ",
        end="",
    )
    print(f"three powers {1e-6 / powering:.0f}, one after the other {bound:.0f}")
    return bound


class Saturation(rd.isp.Step):
    """A step as a user writes one: colors farther from gray."""

    numbers = {"factor": rd.isp.Number(default=1.2)}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gray = x.mean(-3, keepdim=True)
        return gray + self.factor.to(x) * (x - gray)


def others(size: int, repeat: int) -> Iterator[tuple[str, str, str, str]]:
    """Pipelines other than the canonical one, of `bi,s,ga`: two steps less, and a step more."""
    x = mosaic(size, size)
    own = Saturation(torch.nn.Parameter(torch.tensor(1.2, dtype=torch.float64)))
    for mode, call, make in (
        (MODES[0], developed, rd.isp.static),
        (MODES[1], learning, rd.isp.parametrized),
    ):
        isp = make("bi,s,ga", CAMERA)
        pipelines = {
            "canonical": (isp, x),
            "fewer": (isp.remove("sharpen", "denoise"), x),
            "more": (isp.insert("own", own, after="gamma"), x),
            "alone": (own, isp(x).detach()),
        }
        calls = {name: partial(call, "auto", *given) for name, given in pipelines.items()}
        rounds = [{name: best(call, 1) for name, call in calls.items()} for _ in range(2 * repeat)]
        time = {name: min(seconds[name] for seconds in rounds) for name in calls}
        ratio = time["fewer"] / time["canonical"]
        yield f"{mode} without sharpening and denoising", f"{ratio:.2f}", "1.00", ""
        ratio = time["more"] / (time["canonical"] + time["alone"])
        yield f"{mode} with an own step, of the sum", f"{ratio:.2f}", "1.05", ""


def views(size: int, repeat: int) -> float:
    """Time of all twelve views at a time, against that of twelve calls."""
    x = mosaic(size, size)
    isps = [rd.isp.static(name, CAMERA) for name in rd.isp.CONFIGURATIONS]
    single = best(lambda: [developed("fused", isp, x) for isp in isps], repeat)
    with rd.isp.engine("fused"):
        return best(lambda: rd.isp.views(x, CAMERA), repeat) / single


def learning_on_cores(size: int, repeat: int) -> dict[str, float]:
    """How many times as fast gradients are with all cores as with one, for a gradient of the view
    that is there; right after an operation of PyTorch; of a batch; and arithmetic alone, the
    machine's limit.
    """
    x = mosaic(size, size)
    grad = mosaic(3, size, size)
    few, few_grads = mosaic(BATCH, size // 2, size // 2), mosaic(BATCH, 3, size // 2, size // 2)

    def learning_from(isp: torch.nn.Module, x: torch.Tensor = x, grad: torch.Tensor = grad) -> None:
        with rd.isp.engine("fused"):
            isp(x.detach().requires_grad_()).backward(grad)

    isps = {
        name: rd.isp.parametrized(name, CAMERA)
        for name in rd.isp.CONFIGURATIONS
        if name.startswith("bi,")
    }
    calls = {name: partial(learning_from, isp) for name, isp in isps.items()}
    calls["batch"] = partial(learning_from, isps["bi,s,ga"], few, few_grads)
    calls["after PyTorch"] = partial(learning, "fused", isps["bi,s,ga"], x)
    calls["alone"] = lambda: for_each(
        lambda _: not powers(20000), range(CORES), torch.get_num_threads()
    )
    seconds = {(name, threads): float("inf") for name in calls for threads in (1, CORES)}
    for name, threads in list(seconds) * 4 * repeat:  # all in turn
        torch.set_num_threads(threads)
        spent = best(calls[name], 2, time.perf_counter)
        seconds[name, threads] = min(seconds[name, threads], spent)
    torch.set_num_threads(1)
    return {name: seconds[name, 1] / seconds[name, CORES] for name in calls}


def frame() -> float:
    """How many times as fast all cores develop a frame of 20 megapixels as one does."""
    words = torch.randint(0, 65536, (3648, 5472), dtype=torch.int32).to(torch.uint16)
    isp, seconds = rd.isp.static("ma,u,me", CAMERA), {}
    for threads in (1, CORES):
        torch.set_num_threads(threads)
        seconds[threads] = best(lambda: developed("fused", isp, words), 7)
    torch.set_num_threads(1)
    return seconds[1] / seconds[CORES]


def first_call(name: str, cache: str) -> float:
    """Processor's seconds of the first call in a new process, with this folder of kernels."""
    code = f"""
import time, torch, rawdrift as rd
torch.set_num_threads(1)
isp, x = rd.isp.static({name!r}, rd.Camera.load("raw-drone")), torch.rand(64, 64)
start = time.process_time()
isp(x)
print(time.process_time() - start)"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(found.stdout)


def in_process(*arguments: str) -> float:
    """The number that this module prints in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.isp", *arguments]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def extra_memory(engine: str, mode: str, name: str) -> float:
    """Peak memory of this process while it develops 32 mosaics of 256x256, in sizes of the view.

    Beyond mosaics, views and their gradients.
    """
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


def training() -> Iterator[tuple[str, str, str, str]]:
    """The ISP's share of a step that trains a ResNet18 on 32 views of 256x256, on one core."""
    from torchvision.models import resnet18

    model = resnet18(num_classes=10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, labels = mosaic(32, 256, 256), torch.arange(32) % 10
    static, learned = rd.isp.static("bi,s,ga", CAMERA), rd.isp.parametrized("bi,s,ga", CAMERA)
    view = static(x)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(view), labels).backward()
        optimizer.step()

    def develop_and_back() -> None:
        learned(x).backward(view)

    shares = {
        "forward, static": best(lambda: developed("auto", static, x), 7),
        "forward+backward, parametrized": best(develop_and_back, 3),
    }
    for kind in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == torch.bfloat16):
            seconds = best(step, 2)
        for name, isp in shares.items():
            share = f"{100 * isp / (isp + seconds):.1f} %"
            yield f"share of a {str(kind)[6:]} step: {name}", share, "5 %", "2 %"


if __name__ == "__main__":
    main()
