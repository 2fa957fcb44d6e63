"""Trainings that carry on after a kill, with the numbers of one that was never interrupted."""

import hashlib
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from rawdrift import files

_KEY = "rawdrift"


class Resume(L.Callback):
    """Saves a training after an epoch, whole or not at all, and takes it up from there.

    identity: what the training is of; the file of any other one is passed over.
    generators: whose states belong to the training, beside torch's own.
    every: seconds between two savings, at least.
    """

    def __init__(
        self, path: Path, identity: str, generators: Iterable[torch.Generator], every: float
    ):
        self.path = path
        self.identity = identity
        self.generators = list(generators)
        self.every = every
        self.saved = time.monotonic()
        self.held: dict[str, Any] | None = None

    def epochs_done(self) -> int:
        """How many epochs the file holds of this training; 0 where there is none."""
        try:
            checkpoint = torch.load(self.path, map_location="cpu", weights_only=True)
            held: dict[str, Any] = checkpoint[_KEY]
            return int(held["epochs"]) if held["identity"] == self.identity else 0
        except Exception:  # missing, or damaged in any way: the training begins anew
            return 0

    def on_train_epoch_end(self, trainer: L.Trainer, _: L.LightningModule) -> None:
        if time.monotonic() - self.saved >= self.every:
            trainer.save_checkpoint(self.path)
            self.saved = time.monotonic()

    def on_save_checkpoint(
        self, trainer: L.Trainer, _: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[_KEY] = {
            "identity": self.identity,
            "epochs": trainer.current_epoch + 1,
            "generators": [generator.get_state() for generator in self.generators],
            "cpu": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        }

    def on_load_checkpoint(
        self, _: L.Trainer, __: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.held = checkpoint[_KEY]

    def on_train_start(self, _: L.Trainer, __: L.LightningModule) -> None:
        # Not while loading: what Lightning does in between may draw.
        if self.held is None:
            return
        for generator, state in zip(self.generators, self.held["generators"], strict=True):
            generator.set_state(state.cpu())
        torch.set_rng_state(self.held["cpu"].cpu())
        if self.held["cuda"] is not None:
            torch.cuda.set_rng_state(self.held["cuda"].cpu())
        self.held = None


class SafeFiles(TorchCheckpointIO):
    """Checkpoints that are whole or absent, and hold tensors and plain values, never code."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write it in one atomic step."""
        files.write(Path(path), lambda file: torch.save(checkpoint, file))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read it without running what it may hold."""
        held: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
        return held


def identity(settings: object, *states: Mapping[str, Tensor]) -> str:
    """SHA-256 of all that the numbers of a training depend on."""
    machine = torch.__version__, torch.get_num_threads(), torch.cuda.is_available()
    digest = hashlib.sha256(repr((settings, machine)).encode())
    for state in states:
        for name, tensor in state.items():
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
