"""How fast drift synthesis is beside the way of the paper's published code, all in one run.

    python -m benchmarks.synthesis [--images 100] [--size 256] [--cores N] [--only SECTION...]

That way: colour-demosaicing, scikit-image and SciPy develop, and `imagecorruptions` corrupts, one
image at a time in a DataLoader, in float32, for each test anew. On one core it is the processor's
time that counts, with no workers; on more it is the clock's, with a worker for each, and says
nothing while other programs compute. Needs `pip install ".[bench]"`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import rawdrift as rd
from benchmarks.corruptions import peer
from benchmarks.isp import resident
from benchmarks.ways import CAMERA, packages
from rawdrift.controls import experiment, synthesis
from rawdrift.controls.synthesis.spec import Synthesis, SynthesisSpec
from rawdrift.data import datasets
from rawdrift.data.dataset import RawDataset
from rawdrift.data.spec import Data
from rawdrift.models import networks
from rawdrift.models.chain import BATCH, Develop, Normalize
from rawdrift.models.evaluate import Case, evaluate
from rawdrift.models.spec import Task
from rawdrift.models.targets import Targets, targets_of
from rawdrift.models.train import train
from rawdrift.runs.compute import Compute

Rows = Iterator[tuple[str, str, str]]

OWN = "bi,s,ga"
CORES = os.cpu_count() or 1
EPOCHS = 8  # of a training: enough to be sure of most answers
SECTIONS = ("evaluation", "epoch", "processes", "memory")
CASES = [Case("isp", name) for name in rd.isp.CONFIGURATIONS] + [
    Case("corruption", name, severity) for name in rd.corruptions.PAPER for severity in (1, 3, 5)
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100, help="raw images, at least 10")
    parser.add_argument("--size", type=int, default=256, help="rows and columns of an image")
    parser.add_argument("--cores", type=int, default=CORES, help="threads, workers, processes")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="SECTION")
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        print(*driver_memory(options.memory))
        return
    torch.set_num_threads(options.cores)
    torch.manual_seed(0)
    images, size, cores = options.images, options.size, options.cores
    sections = {
        "evaluation": lambda: evaluation(images, size, cores),
        "epoch": lambda: epoch(images, size, cores),
        "processes": lambda: processes(images, size, cores),
        "memory": memory,
    }
    print(f"{images} images of {size}x{size}, {cores} of {CORES} cores", end="")
    print(f", other programs take {os.getloadavg()[0]:.1f} of them\n")
    print(f"{'':66s}{'found':>9s}{'wanted':>9s}")
    for section in options.only:
        for name, found, wanted in sections[section]():
            print(f"{name:66s}{found:>9s}{wanted:>9s}", flush=True)


def clock() -> float:
    """Seconds, of the processor where it is one thread that works."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def timed(call: Callable[[], object]) -> float:
    start = clock()
    call()
    return clock() - start


def dataset(images: int, size: int) -> tuple[RawDataset, Targets]:
    data = datasets.load(Data("synthetic-microscopy", images=images, size=size))
    return replace(data, cameras=(CAMERA,)), targets_of(data, Task())


published = cache(peer)


class Published(Dataset[tuple[Tensor, int]]):
    """(view (3, H, W), label) of each image as the paper's code makes them: alone, in NumPy."""

    def __init__(
        self, data: RawDataset, name: str, corruption: str = "identity", severity: int = 0
    ):
        self.data, self.name = data, name
        self.corruption, self.severity = corruption, severity

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        mosaic, label = self.data[index]
        view = packages(self.name, mosaic.numpy() / 65535)
        if self.corruption != "identity":
            pixels = np.rint(view * 255).astype(np.uint8)
            view = published()(pixels, self.corruption, self.severity) / 255
        return torch.from_numpy(view).movedim(-1, 0).float(), int(label)

    def batches(self, cores: int, shuffle: bool = False) -> DataLoader[tuple[Tensor, int]]:
        return DataLoader(self, BATCH, shuffle, num_workers=cores if cores > 1 else 0)


class Timed(nn.Module):
    """A network that counts its seconds."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net, self.seconds = net, 0.0

    def forward(self, x: Tensor) -> Tensor:
        start = clock()
        logits: Tensor = self.net(x)
        self.seconds += clock() - start
        return logits


def network(targets: Targets, size: int) -> Timed:
    """What training a ResNet18 gives; how good it is doesn't change its speed."""
    model = networks.build("resnet18", targets.outputs, size=(size, size))
    return Timed(nn.Sequential(Normalize.fixed("imagenet"), model).eval())


def evaluation(images: int, size: int, cores: int) -> Rows:
    """A trained network on twelve views and 33 corruptions of the images."""
    data, targets = dataset(images, size)
    indices = torch.arange(images)
    task = Task("resnet18", weights="none", epochs=EPOCHS, lr=1e-3, precision="32")
    trained = train(
        data, targets, indices, Develop.static(OWN, data.cameras, "luma"), task, seed=0
    ).eval()
    answers: dict[tuple[str, str], Tensor] = {}

    def ours(
        net: nn.Module, precision: str, runtime: str = "torch", indices: Tensor = indices
    ) -> None:
        ways: Any = {"precision": precision, "runtime": runtime}
        outcomes = evaluate(net, data, targets, indices, OWN, CASES, **ways).outcomes
        answers[precision, runtime] = torch.cat(list(outcomes.values()))

    def network() -> Timed:
        return Timed(deepcopy(trained)).eval()

    def theirs(net: nn.Module) -> None:
        with torch.no_grad():
            for case in CASES:
                made = (case.name,) if case.kind == "isp" else (OWN, case.name, case.severity)
                for views, _ in Published(data, *made).batches(cores):
                    net(views).argmax(1)

    ours(network(), "bf16", indices=indices[:2])  # compiles
    Published(data, OWN, "contrast", 1)[0]  # imports
    cells = len(CASES) * images
    net = network()
    theirs_took, theirs_net = timed(lambda: theirs(net)), net.seconds
    yield "tests of a ResNet18, the published way, ms an image", ms(theirs_took / cells), ""
    yield "  of which the network", ms(theirs_net / cells), ""
    for precision, name in (("32", "rawdrift"), ("bf16", "rawdrift, network in bfloat16")):
        net = network()
        took = timed(partial(ours, net, precision))
        rest = took - net.seconds
        yield f"tests of a ResNet18, {name}, ms an image", ms(took / cells), ""
        yield "  of which the network", ms(net.seconds / cells), ""
        yield "  times as fast, end to end", f"{theirs_took / took:.1f}x", "3x"
        yield "  all but the network alone", f"{(theirs_took - theirs_net) / rest:.1f}x", ""
        yield "  share of ISP, corruptions and distances", f"{100 * rest / took:.1f} %", "25 %"
        # Which answers in another way, and so can't be timed alone.
        took = timed(partial(ours, network().net, precision, "auto"))
        yield "  with task.runtime auto, ms an image", ms(took / cells), ""
        wanted = {"32": "3.5x", "bf16": "5.5x"}[precision]
        yield "  times as fast, end to end", f"{theirs_took / took:.1f}x", wanted
        changed = float((answers["32", "torch"] != answers[precision, "auto"]).double().mean())
        yield "  answers that differ from those of float32", f"{100 * changed:.2f} %", ""


def ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f}"


class Recalled(nn.Module):
    """Gives views that are in memory, (N, 3, H, W), for mosaics that hold the image's number."""

    def __init__(self, views: Tensor):
        super().__init__()
        self.views = views

    def forward(self, mosaics: Tensor, camera_index: Tensor) -> Tensor:
        return self.views[mosaics[:, 0, 0].long()]


def epoch(images: int, size: int, cores: int, epochs: int = 4) -> Rows:
    """Training on static views: developed batch by batch, from memory, and the published way."""
    data, targets = dataset(images, size)
    indices = torch.arange(images)
    task = Task("resnet18", weights="none", epochs=epochs, batch_size=BATCH, precision="32")
    develop = Develop.static(OWN, data.cameras, "luma")
    with torch.no_grad():
        views = develop(data.mosaics[indices], data.camera_index)
    numbers = indices.to(torch.uint16)[:, None, None].expand(-1, size, size)

    def seconds(develop: nn.Module, data: RawDataset) -> list[float]:
        ends = [clock()]
        train(data, targets, indices, develop, task, seed=0, on_epoch=lambda: ends.append(clock()))
        return np.diff(ends)[1:].tolist()  # the first begins with what is done once

    recalled = replace(data, mosaics=numbers)
    found = [(seconds(develop, data), seconds(Recalled(views), recalled)) for _ in range(2)]
    ours, in_memory = np.min(found, axis=(0, 2)).tolist()
    theirs = published_epoch(data, targets, cores)
    yield "an epoch on static views, developed batch by batch, s", f"{ours:.2f}", ""
    yield "an epoch on views in memory, s", f"{in_memory:.2f}", ""
    yield "an epoch the published way, s", f"{theirs:.2f}", ""
    yield "developing costs, of an epoch on views in memory", percent(ours / in_memory), "5 %"
    yield "times as fast as the published way", f"{theirs / ours:.2f}x", ""


def percent(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f} %"


def published_epoch(data: RawDataset, targets: Targets, cores: int) -> float:
    """Seconds of an epoch on views made by workers; the second of two."""
    net = network(targets, data.size[0]).train()
    optimizer = torch.optim.Adam(net.parameters())

    def once() -> None:
        for views, labels in Published(data, OWN).batches(cores, shuffle=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(views), labels).backward()
            optimizer.step()

    return [timed(once) for _ in range(2)][-1]


def processes(images: int, size: int, cores: int) -> Rows:
    """Four trainings with their tests, of one thread each: one by one, and in processes."""
    spec = SynthesisSpec(
        Data("synthetic-microscopy", images=images, size=size, balanced=True),
        Synthesis([OWN, "ma,u,me"], folds=2),
        Task("resnet18", epochs=2, precision="32"),
    )
    rd.isp.views(torch.rand(64, 64), CAMERA)  # compiles
    seconds = {}
    for compute in (
        Compute("inline", threads=1),
        Compute("processes", workers=cores, threads=1),
    ):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            synthesis.run(spec, Path(folder) / "run", compute)
            seconds[compute.kind] = time.perf_counter() - start
    ratio = f"{seconds['inline'] / seconds['processes']:.2f}x"
    yield f"four trainings in {cores} processes against one by one", ratio, "1.8x"


def memory() -> Rows:
    """The driver's peak with ten times the units."""
    few, many = (in_process("--memory", str(pipelines)) for pipelines in (1, 10))
    yield "driver's memory above its data while 4 units run, MiB", f"{few[0]:.1f}", ""
    yield "driver's memory while 40 units run", f"{many[0]:.1f}", "the same"
    yield "driver's memory until 4 units are summarized", f"{few[1]:.1f}", ""
    yield "driver's memory until 40 units are summarized", f"{many[1]:.1f}", ""


def in_process(*arguments: str) -> list[float]:
    """The numbers that this module prints in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.synthesis", *arguments]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [float(number) for number in found.splitlines()[-1].split()]


def driver_memory(pipelines: int, folds: int = 4, images: int = 4000) -> tuple[float, float]:
    """MiB that this process takes at most beyond its data, until all units are done and until they
    are summarized. The units answer at random, at once."""
    spec = SynthesisSpec(
        Data("synthetic-microscopy"),
        Synthesis(list(rd.isp.CONFIGURATIONS[:pipelines]), folds=folds),
        Task("resnet18", weights="none"),
    )
    number = torch.arange(images)
    data = RawDataset(
        torch.zeros(images, 32, 32, dtype=torch.uint16),
        tuple(map(str, number.tolist())),
        (CAMERA,),
        torch.zeros_like(number),
        classes=tuple("abcdefghi"),
        labels=number % 9,
    )
    peaks = []

    def answer(*arguments: Any) -> dict[str, Any]:
        """A record as `experiment.run` keeps it."""
        unit = arguments[-1]
        job, draws = synthesis.DriftSynthesis(spec), np.random.default_rng(0)
        test = job.material.splits[unit.fold].test
        row = {"train": unit.train, "fold": unit.fold, "metric": "accuracy", "n": len(test)}
        found = {case: draws.integers(0, 9, len(test)) for case in synthesis.cases(spec)}
        return {
            "inputs": job.inputs,
            "train": unit.train,
            "fold": unit.fold,
            "rows": [
                {
                    **row,
                    "test_kind": case.kind,
                    "test": case.name,
                    "severity": case.severity,
                    "value": float((answers == data.labels.numpy()[test]).mean()),
                }
                for case, answers in found.items()
            ],
            "outcomes": {case.key: answers.tolist() for case, answers in found.items()},
            "distance": {case.key: {"dssim": 0.1, "mse": 0.1} for case in found},
            "device": "cpu",
            "precision": "32",
            "threads": 1,
            "torch": torch.__version__,
            "finished": "2026-01-01T00:00:00+00:00",
            "seconds": 1.0,
        }

    def summarize(*arguments: Any) -> dict[str, Any]:
        peaks.append(resident("VmHWM"))
        return summary(*arguments)

    summary = synthesis.summarize
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(datasets, "load", lambda spec: data),
        patch.object(experiment, "_work", answer),
        patch.object(synthesis, "summarize", summarize),
    ):
        synthesis.DriftSynthesis(spec)  # imports
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what there is now
        before = resident("VmRSS")
        synthesis.run(spec, Path(folder) / "run")
        peaks.append(resident("VmHWM"))
    return (peaks[0] - before) / 2**20, (peaks[1] - before) / 2**20


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
