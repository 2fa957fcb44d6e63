"""Train a task model and, if it is learned too, the front that makes its views.

A plain loop of PyTorch. A training that was killed resumes from its checkpoint file and ends with
the same bits as one that was never interrupted.
"""

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rawdrift import files, progress
from rawdrift.checks import InputError
from rawdrift.data.dataset import RawDataset
from rawdrift.models import networks
from rawdrift.models.augment import augment
from rawdrift.models.chain import Front, Normalize, layout
from rawdrift.models.fronts import Upsampled, widen
from rawdrift.models.input_gradient import cheap
from rawdrift.models.precision import check_precision, resolve_precision
from rawdrift.models.spec import Task
from rawdrift.models.targets import Targets

Follow = Callable[[Front, nn.Module, nn.Module], dict[str, Any]]


class DivergedError(InputError):
    """The loss or the parameters of a training are no longer finite."""


@dataclass
class Course:
    """How a front is learned together with its network, and the record of its training.

    lr: learning rates of the front's parameters at the start, by name. Parameters without a rate
        are not learned.
    schedule: of these rates: "cosine" or "constant".
    running: normalize the network's input by running statistics of its views, instead of by fixed
        statistics of the views before the training.
    penalty: a term of the loss: (mosaics, camera_index, views) to a number.
    after_step: called after each step of the optimizer.
    follow: called after each epoch with (front, net, loss), in evaluation mode and without
        gradients; returns plain values for the history.
    history: one entry for each finished epoch: `epoch`, `step` (optimizer steps so far), `losses`
        of its steps, `train` (scores of the training images, as answered during the epoch), and
        what `follow` returned.
    """

    lr: Mapping[str, float] = field(default_factory=dict)
    schedule: str = "constant"
    running: bool = False
    penalty: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    after_step: Callable[[], object] = lambda: None
    follow: Follow = lambda *_: {}
    history: list[dict[str, Any]] = field(default_factory=list)


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
    """Train the task model on the views of these images; return view to logits, on the CPU.

    Mosaics are developed batch by batch. The same seed gives the same network to the last bit, on
    the same machine with the same number of threads. Order and augmentation of the images depend
    on the seed alone, not on the front. Torch's random state and settings are left as they were.

    on_epoch: called once for each epoch, also for those that a checkpoint holds.
    checkpoint: file for the state of the training, written after an epoch if at least
        `checkpoint_every` seconds have passed since the last time. If it holds this training, the
        training resumes from there. The caller removes the file.
    course: how the parameters of `develop` are learned, in place; its history grows.

    Raises InputError if model, weights or loss don't fit, DivergedError if the training diverges.
    """
    with seeded(seed):
        net = network(data, targets, indices, develop, task, course is not None and course.running)
        loss = targets.loss(task, indices)
        training = _Training(data, targets, indices, develop, net, loss, task, seed, course)
        identity = training.identity(seed) if checkpoint else ""
        state = _read(checkpoint, identity) if checkpoint else None
        epochs_done = state["epoch"] if state else 0
        for _ in range(epochs_done):
            on_epoch()
        if state:
            training.restore(state)
        saved = time.monotonic()
        try:
            with (
                _deterministic(),
                cheap(net),
                progress.step("training", task.epochs, "epoch", epochs_done) as step,
            ):
                for epoch in range(epochs_done + 1, task.epochs + 1):
                    training.epoch(step)
                    on_epoch()
                    training.follow(epoch)
                    if checkpoint and time.monotonic() - saved >= checkpoint_every:
                        training.save(checkpoint, identity, epoch)
                        saved = time.monotonic()
        finally:
            training.modules.cpu()
    return net.eval()


def network(
    data: RawDataset,
    targets: Targets,
    indices: Tensor,
    develop: Front,
    task: Task,
    running: bool,
) -> nn.Sequential:
    """Return the untrained network from views of `develop` to logits of the size of the targets.

    Its weights are drawn from torch's random state, the same for every front. running: see
    `Course`.
    """
    height, width = (-(-length // develop.factor) for length in data.size)
    first = (
        nn.BatchNorm2d(develop.channels, affine=False)
        if running
        else Normalize.of(develop, data, indices)
    )
    size = (height, width)
    net = networks.build(
        task.model, targets.outputs, task.weights, size, targets.logits_shape(size)
    )
    if develop.channels == 4:
        widen(net)
    if develop.factor == 2 and targets.of_pixels:
        net = Upsampled(net, data.size)
    return nn.Sequential(first, net)


def shuffled(indices: Tensor, batch_size: int, draws: torch.Generator) -> tuple[Tensor, ...]:
    """Split indices (n,) in random order into batches of at most `batch_size`, of even sizes.

    Even, because batch normalization learns nothing from a last batch of a single image: from two
    images on, a batch has at least two, so three may be one batch though `batch_size` is two.
    """
    order = indices[torch.randperm(len(indices), generator=draws)]
    return order.tensor_split(_steps(len(indices), batch_size))


def _steps(images: int, batch_size: int) -> int:
    return max(1, min(-(-images // batch_size), images // 2))


class _Training:
    """A training under way: what a step changes, and how it is saved and restored."""

    def __init__(
        self,
        data: RawDataset,
        targets: Targets,
        indices: Tensor,
        develop: Front,
        net: nn.Sequential,
        loss: nn.Module,
        task: Task,
        seed: int,
        course: Course | None,
    ):
        self.data, self.targets, self.indices = data, targets, indices
        self.task, self.course = task, course
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.mixed = resolve_precision(task.precision) == "bf16"
        check_precision(task.precision, self.device)
        self.develop, self.net, self.loss = develop, net, loss
        self.modules = nn.ModuleDict({"develop": develop, "net": net, "loss": loss})
        self.modules.to(self.device)
        self.net.to(memory_format=layout(net))
        self.optimizer = torch.optim.Adam(net.parameters(), lr=task.lr)
        by_rate: dict[float, list[nn.Parameter]] = {}
        for name, rate in (course.lr if course else {}).items():
            by_rate.setdefault(rate, []).append(develop.get_parameter(name))
        for rate, parameters in by_rate.items():
            self.optimizer.add_param_group({"params": parameters, "lr": rate, "start_lr": rate})
        self.learned = [p for parameters in by_rate.values() for p in parameters]
        self.steps = task.epochs * _steps(len(indices), task.batch_size)
        self.steps_done = 0
        self.scheduler = None
        if task.schedule == "cosine":
            self.scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, self.steps)
        self.order_draws = torch.Generator().manual_seed(seed)
        self.view_draws = torch.Generator().manual_seed(seed)
        self.order = indices  # of the images in this epoch
        self.losses: list[Tensor] = []  # of the steps of this epoch
        self.outcomes: list[Tensor] = []

    def epoch(self, progress: progress.Step) -> None:
        """Train on every image once."""
        batches = shuffled(self.indices, self.task.batch_size, self.order_draws)
        self.order, self.losses, self.outcomes = torch.cat(batches), [], []
        for batch in batches:
            self.step(batch)
            progress.advance(1 / len(batches))
        finite = all(bool(torch.isfinite(p).all()) for p in self.modules.parameters())
        if not (finite and torch.isfinite(self.losses[-1])):
            raise DivergedError("the training has diverged (its loss is not finite); lower task.lr")
        progress.values.append(float(torch.stack(self.losses).mean()))
        progress.remark = f"loss {progress.values[-1]:.3f}"

    def step(self, batch: Tensor) -> None:
        """Train on one batch of images."""
        mosaics = self.data.mosaics[batch].to(self.device)
        camera_index = self.data.camera_index[batch].to(self.device)
        truth = self.targets.values[batch].to(self.device)
        # Without a cache, gradients of a weight that is used twice add up in float32.
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.mixed, cache_enabled=False
        ):
            loss = self.loss_of(mosaics, camera_index, truth)
        self.optimizer.zero_grad()
        loss.backward()
        share = 1.0
        if self.course is not None and self.course.schedule == "cosine":
            share = (1 + math.cos(math.pi * self.steps_done / self.steps)) / 2
        for group in self.optimizer.param_groups[1:]:
            group["lr"] = group["start_lr"] * share
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()
        self.steps_done += 1
        if self.course is not None:
            self.course.after_step()
        if not all(bool(torch.isfinite(p).all()) for p in self.learned):  # the ISP may not bear it
            raise DivergedError(
                "the training has diverged (what is learned before the network is not finite); "
                "lower its learning rate"
            )

    def loss_of(self, mosaics: Tensor, camera_index: Tensor, truth: Tensor) -> Tensor:
        """Return the loss of a batch, with the penalty of the course."""
        developed = self.develop(mosaics, camera_index)
        draws = self.view_draws
        if self.course is not None:  # how many numbers a step draws depends on the size of views
            step_seed = int(torch.randint(2**62, (), generator=draws))
            draws = torch.Generator().manual_seed(step_seed)
        masks = truth if truth.ndim == 3 else None
        views, masks = augment(self.task.augment, developed, masks, draws)
        truth = truth if masks is None else masks
        logits = self.net(views.contiguous(memory_format=layout(self.net)))
        loss: Tensor = self.loss(logits, truth)
        self.losses.append(loss.detach())
        if self.course is not None:
            self.outcomes.append(self.targets.outcome(logits.detach(), truth))
            if self.course.penalty is not None:
                with torch.autocast(self.device.type, enabled=False):
                    loss = loss + self.course.penalty(mosaics, camera_index, developed)
        return loss

    def follow(self, epoch: int) -> None:
        """Add the epoch to the history of the course."""
        if self.course is None:
            return
        scores = self.targets.scores(torch.cat(self.outcomes).cpu(), self.order)
        modes = [(module, module.training) for module in self.modules.modules()]
        self.modules.eval()
        with torch.no_grad():
            followed = self.course.follow(self.develop, self.net, self.loss)
        for module, mode in modes:  # a user's network may have frozen parts
            module.training = mode
        losses = torch.stack(self.losses).tolist()
        entry = {"epoch": epoch, "step": self.steps_done, "losses": losses, "train": scores}
        self.course.history.append({**entry, **followed})

    def identity(self, seed: int) -> str:
        """Return the SHA-256 of everything that the numbers of the training depend on."""
        course = self.course and (dict(self.course.lr), self.course.schedule, self.course.running)
        machine = torch.__version__, torch.get_num_threads(), self.device.type
        settings = self.task, seed, self.indices.tolist(), course, machine
        digest = hashlib.sha256(repr(settings).encode())
        state = self.modules.state_dict() | {"targets": self.targets.values[self.indices]}
        for name, tensor in state.items():
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def save(self, path: Path, identity: str, epoch: int) -> None:
        """Write the state after an epoch, whole or not at all."""
        state = {
            "identity": identity,
            "epoch": epoch,
            "steps": self.steps_done,
            "modules": self.modules.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler and self.scheduler.state_dict(),
            "history": self.course.history if self.course else [],
            "draws": [self.order_draws.get_state(), self.view_draws.get_state()],
            "cpu": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state() if self.device.type == "cuda" else None,
        }
        files.write(path, lambda file: torch.save(state, file))

    def restore(self, state: dict[str, Any]) -> None:
        """Return to the state that `save` has written."""
        self.steps_done = state["steps"]
        self.modules.load_state_dict(state["modules"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        if self.course is not None:
            self.course.history[:] = state["history"]
        for generator, drawn in zip(
            (self.order_draws, self.view_draws), state["draws"], strict=True
        ):
            generator.set_state(drawn)
        torch.set_rng_state(state["cpu"])
        if state["cuda"] is not None:
            torch.cuda.set_rng_state(state["cuda"])


def _read(checkpoint: Path, identity: str) -> dict[str, Any] | None:
    """Return the state in a checkpoint, or None if it is not of this training."""
    try:
        state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        return state if state["identity"] == identity else None
    except Exception:  # missing, or damaged in any way: the training starts anew
        return None


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's random state inside; restore it afterwards."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


@contextmanager
def _deterministic() -> Iterator[None]:
    """Use only deterministic algorithms of torch inside; restore its settings afterwards."""
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # else cuBLAS is not deterministic
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark
        if workspace is None:
            os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
        else:
            os.environ["CUBLAS_WORKSPACE_CONFIG"] = workspace
