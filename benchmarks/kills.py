"""Kill runs at random instants, start them again, and compare with undisturbed runs.

    python -m benchmarks.kills [--kills 100] [--seed 0] [--controls synthesis ...]

Small experiments of the controls run inline and in two processes. A run is killed (SIGKILL) after a
random part of the time that the undisturbed one took, a few times over, and is then left to end.
results.csv and everything in summary.json but times must be the same. Exits with 1 if they differ.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SETTINGS = {
    "synthesis": "--synthesis.train ['bi,s,ga','ma,u,me'] --synthesis.folds 2 "
    "--synthesis.corruptions [fog] --synthesis.severities [1]",
    "forensics": "--forensics.folds 2 --forensics.models 1 --forensics.groups [all] "
    "--forensics.regularizations [0] --forensics.restarts 1 --forensics.steps 2 "
    "--forensics.samples 2 --forensics.cameras 2 --forensics.max_drop 0.05 --forensics.rivals []",
    "optimization": "--optimization.settings [frozen,learned] --optimization.intensities [1.0] "
    "--optimization.folds 2",
    "compare": "--comparison.before bi,s,ga --comparison.after ma,s,ga --comparison.folds 2",
}
DATA = (
    "--data.name synthetic-microscopy --data.images 60 --data.size 32 --data.balanced true "
    "--task.model import:benchmarks.kills.network "
    "--task.epochs 10 --task.lr 1e-2 --task.precision 32 --task.batch_size 16"
)
TIMES = ("created", "duration_s")


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill and resume runs.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--controls", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    args = parser.parse_args()
    ways = [(control, compute) for control in args.controls for compute in ("inline", "processes")]
    draws, kills, differing = random.Random(args.seed), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        whole = {way: _undisturbed(Path(folder), *way) for way in ways}
        while kills < args.kills:
            for way in ways:
                out = Path(folder) / "killed"
                shutil.rmtree(out, ignore_errors=True)
                took, expected = whole[way]
                count = min(draws.randint(1, 4), max(args.kills - kills, 1))
                for _ in range(count):
                    _killed(_command(*way, out), draws.uniform(0.1, 1.0) * took)
                _run(_command(*way, out))
                kills, same = kills + count, _findings(out) == expected
                differing += not same
                print(*way, f"{count} kills:", "same" if same else "DIFFERS", flush=True)
                if kills >= args.kills:
                    break
    print(f"{kills} kills, {differing} runs differ")
    sys.exit(differing > 0)


def network(classes: int) -> Any:
    """Return a network that is trained in little time."""
    from torch import nn

    layers = nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(4)
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.1), nn.Linear(128, classes))


def words(control: str) -> list[str]:
    """Return a small experiment of a control as arguments."""
    return f"{control} {SETTINGS[control]} {DATA} --threads 1".split()


def _command(control: str, compute: str, out: Path) -> list[str]:
    how = ["--compute", "processes", "--workers", "2"] if compute == "processes" else []
    return [sys.executable, "-m", "rawdrift.cli", *words(control), *how, "--out", str(out)]


def _undisturbed(folder: Path, control: str, compute: str) -> tuple[float, Any]:
    """Return how long a run takes, and what it finds."""
    out = folder / f"{control}-{compute}"
    started = time.monotonic()
    _run(_command(control, compute, out))
    return time.monotonic() - started, _findings(out)


def _run(command: list[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode not in (0, 1):  # 1: a comparison decides against the change
        sys.exit(f"{' '.join(command)}\nended with {ended.returncode}: {ended.stderr}")


def _killed(command: list[str], after: float) -> None:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)


def _findings(out: Path) -> Any:
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    return (out / "results.csv").read_bytes(), {k: v for k, v in summary.items() if k not in TIMES}


if __name__ == "__main__":
    main()
