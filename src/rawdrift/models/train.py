"""Training, by Lightning."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from rawdrift.data.dataset import RawDataset
from rawdrift.models import build as models
from rawdrift.models import losses, metrics
from rawdrift.models.augment import augment
from rawdrift.models.batches import Batches
from rawdrift.models.chain import Front, Normalize
from rawdrift.models.course import Course, DivergedError
from rawdrift.models.fronts import Upsampled, widen
from rawdrift.models.input_gradient import cheap
from rawdrift.models.isolation import interrupts, quiet, random_state
from rawdrift.models.resume import Resume, SafeFiles, identity
from rawdrift.models.spec import Task
from rawdrift.models.targets import Targets


def train(
    data: RawDataset,
    targets: Targets,
    indices: Tensor,
    develop: Front,
    task: Task,
    *,
    seed: int,
    on_epoch: Callable[[], object] = lambda: None,
    checkpoint: Path | None = None,
    checkpoint_every: float = 0.0,
    course: Course | None = None,
) -> nn.Sequential:
    """Train the task model on the views of these images; returns view to logits, on the CPU.

    The mosaics stay as their files hold them and are developed batch by batch. The same seed, on
    the same machine and number of threads, gives the same network; torch's random state is left as
    it was. Order and augmentation of the images are drawn from the seed alone, whatever stands
    before the network.

    on_epoch: called once for each epoch.
    checkpoint: a file that holds the training as it was after an epoch, written when at least
        `checkpoint_every` seconds have passed since the last time. Where there is one of the same
        training, it carries on from there and gives the same network. The caller removes it, when
        what came of the training is kept.
    course: how the parameters of `develop`, which are changed in place, are learned too; its
        history grows.

    Raises InputError where model, weights or loss do not fit, and DivergedError.
    """
    with quiet(), random_state(seed):
        net = network(data, targets, indices, develop, task, course is not None and course.running)
        loss = losses.build(task, targets, indices)
        batches = Batches(data, targets, indices, task.batch_size, seed)
        training = _Training(develop, net, loss, task, len(batches) * task.epochs, seed, course)
        callbacks: list[L.Callback] = [_OnEpoch(on_epoch)]
        if course is not None:
            callbacks.append(_Follow(course, targets, batches))
        done = 0
        if checkpoint is not None:
            found = identity(
                (task, seed, indices.tolist(), *([course.identity] if course else [])),
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
        with interrupts(), cheap(net):
            trainer.fit(training, batches, ckpt_path=checkpoint if done else None)
    develop.cpu()
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


def network(
    data: RawDataset,
    targets: Targets,
    indices: Tensor,
    develop: Front,
    task: Task,
    running: bool,
) -> nn.Sequential:
    """Views of `develop` to logits of the size of the targets; the same weights for every front."""
    height, width = (-(-length // develop.factor) for length in data.size)
    size = (height, width)
    first = (
        nn.BatchNorm2d(develop.channels, affine=False)
        if running
        else Normalize.of(develop, data, indices)
    )
    net = models.build(task.model, targets.outputs, task.weights, targets.kind, size)
    if develop.channels == 4:
        widen(net)
    if develop.factor == 2 and targets.kind == "segmentation":
        net = Upsampled(net, data.size)
    return nn.Sequential(first, net)


class _Training(L.LightningModule):
    def __init__(
        self,
        develop: Front,
        net: nn.Module,
        loss: nn.Module,
        task: Task,
        steps: int,
        seed: int,
        course: Course | None,
    ):
        super().__init__()
        self.develop = develop
        self.net = net.to(memory_format=torch.channels_last)
        self.loss = loss
        self.task = task
        self.steps = steps
        self.draws = torch.Generator().manual_seed(seed)
        self.course = course
        self.losses: list[Tensor] = []  # of the steps of this epoch
        self.outcomes: list[Tensor] = []
        self.learned: list[nn.Parameter] = []  # of what stands before the network

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        mosaics, camera_index, truth = batch
        developed = self.develop(mosaics, camera_index)
        views, moved = augment(
            self.task.augment, developed, truth if truth.ndim == 3 else None, self._draws()
        )
        truth = truth if moved is None else moved
        logits = self.net(views.contiguous(memory_format=torch.channels_last))
        loss: Tensor = self.loss(logits, truth)
        self.log("loss", loss)
        if self.course is not None:
            self.losses.append(loss.detach())
            self.outcomes.append(metrics.outcome(logits.detach(), truth))
            if self.course.penalty is not None:
                with torch.autocast(loss.device.type, enabled=False):
                    loss = loss + self.course.penalty(mosaics, camera_index, developed)
        return loss

    def _draws(self) -> torch.Generator:
        """Those of a step: with a course they are its own, so that the next step's do not depend on
        how many it takes, which the size of the views decides."""
        if self.course is None:
            return self.draws
        seed = int(torch.randint(2**62, (), generator=self.draws))
        return torch.Generator().manual_seed(seed)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        share = 1.0
        if self.course is not None and self.course.schedule == "cosine":
            share = (1 + math.cos(math.pi * self.global_step / self.steps)) / 2
        for group in optimizer.param_groups[1:]:
            group["lr"] = group["begins"] * share

    def on_train_batch_end(self, *_: Any) -> None:
        if self.course is None:
            return
        self.course.after_step()
        if not all(bool(torch.isfinite(p).all()) for p in self.learned):  # steps may not bear it
            raise DivergedError(
                "the training has diverged (what is learned before the network is not finite); "
                "lower its learning rate"
            )

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.net.parameters(), lr=self.task.lr)
        by_rate: dict[float, list[nn.Parameter]] = {}
        for name, rate in (self.course.lr if self.course else {}).items():
            by_rate.setdefault(rate, []).append(self.develop.get_parameter(name))
        self.learned = [p for parameters in by_rate.values() for p in parameters]
        for rate, parameters in by_rate.items():
            optimizer.add_param_group({"params": parameters, "lr": rate, "begins": rate})
        if self.task.schedule == "constant":
            return optimizer
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}


class _OnEpoch(L.Callback):
    """Tells of each epoch, and stops a training that has diverged."""

    def __init__(self, tell: Callable[[], object]):
        self.tell = tell

    def on_train_epoch_end(self, trainer: L.Trainer, training: L.LightningModule) -> None:
        finite = all(bool(torch.isfinite(p).all()) for p in training.parameters())
        if not (finite and torch.isfinite(trainer.callback_metrics["loss"])):
            raise DivergedError(
                "the training has diverged (its loss is not finite); lower --task.lr"
            )
        self.tell()


class _Follow(L.Callback):
    """Keeps the history of a course, also through a kill."""

    def __init__(self, course: Course, targets: Targets, batches: Batches):
        self.course = course
        self.targets = targets
        self.batches = batches

    def on_train_epoch_end(self, trainer: L.Trainer, training: L.LightningModule) -> None:
        assert isinstance(training, _Training)
        outcomes = torch.cat(training.outcomes).cpu()
        entry = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "losses": torch.stack(training.losses).tolist(),
            "train": metrics.over_set(outcomes, self.targets, self.batches.order),
        }
        training.losses, training.outcomes = [], []
        modes = [(module, module.training) for module in training.modules()]  # some may be frozen
        training.eval()
        with torch.no_grad():
            told = self.course.follow(training.develop, training.net, training.loss)
        for module, mode in modes:
            module.training = mode
        self.course.history.append({**entry, **told})

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.course.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.course.history[:] = state_dict["history"]
