"""Training, by Lightning."""

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from rawdrift.checks import InputError
from rawdrift.data.dataset import RawDataset
from rawdrift.runs.spec import Task
from rawdrift.tasks import losses, models
from rawdrift.tasks.augment import augment
from rawdrift.tasks.resume import Resume, SafeFiles, identity
from rawdrift.tasks.targets import Targets
from rawdrift.tasks.task import Develop, Normalize


def train(
    data: RawDataset,
    targets: Targets,
    indices: Tensor,
    develop: Develop,
    task: Task,
    *,
    seed: int,
    on_epoch: Callable[[], object] = lambda: None,
    checkpoint: Path | None = None,
    checkpoint_every: float = 0.0,
) -> nn.Sequential:
    """Train the task model on the views of these images; returns view to logits, on the CPU.

    The mosaics stay as their files hold them and are developed batch by batch. The same seed, on
    the same machine and number of threads, gives the same network; torch's random state is left as
    it was.

    on_epoch: called once for each epoch.
    checkpoint: a file that holds the training as it was after an epoch, written when at least
        `checkpoint_every` seconds have passed since the last time. Where there is one of the same
        training, it carries on from there and gives the same network. The caller removes it, when
        what came of the training is kept.

    Raises InputError where model, weights or loss do not fit, and where the training diverges.
    """
    with _quiet(), _random_state(seed):
        net = nn.Sequential(
            Normalize.of(develop, data, indices),
            models.build(task.model, targets.outputs, task.weights, targets.kind, data.size),
        )
        loss = losses.build(task, targets, indices)
        batches = _Batches(data, targets, indices, task.batch_size, seed)
        training = _Training(develop, net, loss, task, len(batches) * task.epochs, seed)
        callbacks: list[L.Callback] = [_OnEpoch(on_epoch)]
        done = 0
        if checkpoint is not None:
            found = identity(
                (task, seed, indices.tolist()),
                net.state_dict(),
                develop.state_dict(),
                {"targets": targets.values[indices]},
            )
            resume = Resume(checkpoint, found, [batches.draws, training.draws], checkpoint_every)
            callbacks.append(resume)  # last: what has diverged is not kept
            done = resume.epochs_done()
        trainer = L.Trainer(
            max_epochs=task.epochs,
            accelerator="auto",
            devices=1,
            precision=resolve_precision(task.precision),  # type: ignore[arg-type]
            deterministic=True,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=callbacks,
            plugins=[SafeFiles()],
        )
        for _ in range(done):
            on_epoch()
        with _interrupts():
            trainer.fit(training, batches, ckpt_path=checkpoint if done else None)
    return net.eval().cpu()


def resolve_precision(name: str) -> str:
    """Lightning's name of the precision; "auto" is bfloat16 where the processor computes in it."""
    if name == "auto":
        if torch.cuda.is_available():
            has_bf16 = torch.cuda.is_bf16_supported()
        else:
            cpu = torch.cpu.get_capabilities()
            has_bf16 = cpu.get("avx512_bf16") or cpu.get("amx_bf16")
        name = "bf16" if has_bf16 else "32"
    return {"bf16": "bf16-mixed", "32": "32-true"}[name]


class _Training(L.LightningModule):
    def __init__(
        self,
        develop: Develop,
        net: nn.Module,
        loss: nn.Module,
        task: Task,
        steps: int,
        seed: int,
    ):
        super().__init__()
        self.develop = develop
        self.net = net.to(memory_format=torch.channels_last)
        self.loss = loss
        self.task = task
        self.steps = steps
        self.draws = torch.Generator().manual_seed(seed)

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        mosaics, camera_index, truth = batch
        views, moved = self.develop(mosaics, camera_index), truth if truth.ndim == 3 else None
        views, moved = augment(self.task.augment, views, moved, self.draws)
        views = views.contiguous(memory_format=torch.channels_last)
        loss: Tensor = self.loss(self.net(views), truth if moved is None else moved)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.net.parameters(), lr=self.task.lr)
        if self.task.schedule == "constant":
            return optimizer
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}


class _Batches:
    """Shuffled batches (mosaics, camera_index, targets) straight from memory, of even sizes.

    Even, because batch normalization learns nothing from a last batch of one image.
    """

    def __init__(
        self, data: RawDataset, targets: Targets, indices: Tensor, batch_size: int, seed: int
    ):
        self.data = data
        self.targets = targets
        self.indices = indices
        self.steps = max(1, min(-(-len(indices) // batch_size), len(indices) // 2))
        self.draws = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        order = self.indices[torch.randperm(len(self.indices), generator=self.draws)]
        for batch in order.tensor_split(self.steps):
            camera_index = self.data.camera_index[batch]
            yield self.data.mosaics[batch], camera_index, self.targets.values[batch]


class _OnEpoch(L.Callback):
    """Tells of each epoch, and stops a training that has diverged."""

    def __init__(self, tell: Callable[[], object]):
        self.tell = tell

    def on_train_epoch_end(self, trainer: L.Trainer, _: L.LightningModule) -> None:
        if not torch.isfinite(trainer.callback_metrics["loss"]):
            raise InputError("the training has diverged (its loss is not finite); lower --task.lr")
        self.tell()


@contextmanager
def _random_state(seed: int) -> Iterator[None]:
    """Torch's global random state seeded inside, and what Lightning sets globally set back."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


@contextmanager
def _interrupts() -> Iterator[None]:
    """Ctrl-C as Python knows it: Lightning exits with 1, which says something else here."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's notes on hardware and loaders: the progress bar is ours."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
