"""Training, by Lightning."""

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rawdrift.checks import InputError
from rawdrift.data.dataset import RawDataset
from rawdrift.tasks import models
from rawdrift.tasks.augment import flip_and_turn
from rawdrift.tasks.task import Develop, Normalize


def train(
    data: RawDataset,
    indices: Tensor,
    develop: Develop,
    *,
    model: str,
    weights: str,
    epochs: int,
    lr: float,
    schedule: str,
    batch_size: int,
    augment: bool,
    precision: str,
    seed: int,
    on_epoch: Callable[[], object] = lambda: None,
) -> nn.Sequential:
    """Train a classifier on the views of these images; returns view to logits, on the CPU.

    The mosaics stay as their files hold them and are developed batch by batch. The same seed, on
    the same machine and number of threads, gives the same network; torch's random state is left as
    it was.
    """
    assert data.labels is not None
    with _quiet(), _random_state(seed):
        net = nn.Sequential(
            Normalize.of(develop, data, indices), models.build(model, len(data.classes), weights)
        )
        batches = _Batches(data, indices, batch_size, seed)
        training = _Training(develop, net, augment, lr, schedule, len(batches) * epochs, seed)
        trainer = L.Trainer(
            max_epochs=epochs,
            accelerator="auto",
            devices=1,
            precision=resolve_precision(precision),  # type: ignore[arg-type]
            deterministic=True,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[_OnEpoch(on_epoch)],
        )
        with _interrupts():
            trainer.fit(training, batches)
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
        augment: bool,
        lr: float,
        schedule: str,
        steps: int,
        seed: int,
    ):
        super().__init__()
        self.develop = develop
        self.net = net.to(memory_format=torch.channels_last)
        self.augment = augment
        self.lr = lr
        self.schedule = schedule
        self.steps = steps
        self.draws = torch.Generator().manual_seed(seed)

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        mosaics, camera_index, labels = batch
        views = self.develop(mosaics, camera_index)
        if self.augment:
            views = flip_and_turn(views, self.draws)
        views = views.contiguous(memory_format=torch.channels_last)
        loss = F.cross_entropy(self.net(views), labels)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.net.parameters(), lr=self.lr)
        if self.schedule == "constant":
            return optimizer
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}


class _Batches:
    """Shuffled batches (mosaics, camera_index, labels) straight from memory, of even sizes.

    Even, because batch normalization learns nothing from a last batch of one image.
    """

    def __init__(self, data: RawDataset, indices: Tensor, batch_size: int, seed: int):
        self.data = data
        self.indices = indices
        self.steps = max(1, min(-(-len(indices) // batch_size), len(indices) // 2))
        self.draws = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        assert self.data.labels is not None
        order = self.indices[torch.randperm(len(self.indices), generator=self.draws)]
        for batch in order.tensor_split(self.steps):
            yield self.data.mosaics[batch], self.data.camera_index[batch], self.data.labels[batch]


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
