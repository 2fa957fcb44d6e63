"""The task models of a forensics run: trained once, and kept in the run folder."""

from dataclasses import replace
from pathlib import Path

import torch
from filelock import FileLock
from torch import nn

from rawdrift import files
from rawdrift.checks import InputError
from rawdrift.controls.material import Material, training_seed
from rawdrift.controls.training import CHECKPOINT_EVERY, seconds_of_training
from rawdrift.isp.pipeline import Pipeline
from rawdrift.models import networks, weights
from rawdrift.models.chain import Develop, layout
from rawdrift.models.spec import Task
from rawdrift.models.train import train


class Kept:
    """A fold's task model, or the user's own.

    The first process that needs it trains it on the fold's training images and writes its file;
    from then on it is read from there.
    """

    def __init__(self, material: Material, fold: int, isp: Pipeline, task: Task, seed: int):
        self.material = material
        self.fold = fold
        self.develop = Develop([isp])
        self.task = task
        self.seed = seed
        self._failed: InputError | None = None

    @property
    def name(self) -> str:
        """The path of its file within the run folder, or of the user's own checkpoint."""
        return self.task.checkpoint or f"models/fold{self.fold}.safetensors"

    def get(self, folder: Path) -> nn.Module:
        """Return the network of the run in `folder`: view to logits, in evaluation mode.

        It is read from the file even if it has just been trained, so that numbers are the same.
        """
        path = Path(self.name)
        if self.task.checkpoint is None:
            path = folder / self.name
            files.make_folder(path.parent)
            with FileLock(path.with_name(f".{path.stem}.lock")):
                if self._failed is not None:  # it would fail again
                    raise self._failed
                if not path.is_file():
                    self._train(path, folder / "records" / f"train_{path.stem}.ckpt")
        task = replace(self.task, weights="none", checkpoint=str(path))
        net = networks.load_checkpoint(task, self.material.targets, self.material.data.size)
        return net.to(memory_format=layout(net))

    def _train(self, path: Path, checkpoint: Path) -> None:
        data, targets, splits = self.material
        try:
            net = train(
                data,
                targets,
                torch.from_numpy(splits[self.fold].train),
                self.develop,
                self.task,
                seed=training_seed(self.seed, self.fold),
                checkpoint=checkpoint,
                checkpoint_every=CHECKPOINT_EVERY,
            )
        except InputError as error:
            self._failed = error
            raise
        weights.save(net, path, targets.names)
        checkpoint.unlink(missing_ok=True)

    def measure(self) -> tuple[nn.Module, float]:
        """Return a network like it, and about how many seconds its training takes."""
        if self.task.checkpoint is not None:
            data = self.material.data
            return networks.load_checkpoint(self.task, self.material.targets, data.size), 0.0
        return seconds_of_training(self.material, self.fold, self.develop, self.task)
