"""The chain from mosaics through an ISP to a frozen net, and the score of its answers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from rawdrift import inputs, progress
from rawdrift.checks import InputError, choose
from rawdrift.controls.forensics.fit import check_fit
from rawdrift.controls.forensics.objectives import MeanLoss, SoftOverlap
from rawdrift.controls.forensics.samples import Samples, read
from rawdrift.controls.forensics.space import ParameterSpace, Vector
from rawdrift.data.dataset import RawDataset
from rawdrift.isp.external import External
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.similarity import ssim
from rawdrift.models.chain import layout
from rawdrift.models.classification import Classification
from rawdrift.models.forward import forward_of
from rawdrift.models.input_gradient import cheap
from rawdrift.models.losses import CrossEntropy
from rawdrift.models.segmentation import Segmentation
from rawdrift.models.targets import Targets
from rawdrift.statistics.basics import Interval
from rawdrift.statistics.estimates import estimate
from rawdrift.statistics.guarantees import DropTest
from rawdrift.statistics.measures import Array, Outcomes

Distance = Literal["l2", "ssim"]
BATCH = 64  # images in the net, at most
PIXELS = 2**19  # of a batch on a CPU: the activations of the net then stay in its cache
CACHED = 2**28  # bytes of default views that are cached
PASSES = 500  # of all images, about what an analysis takes


class Score(NamedTuple):
    """The score of one setting.

    loss, metric: of all images. distance: between its views and the default ones, mean over images.
    See `Chain`. features: (N, K), see `measures`.
    outcomes: (N, ...), see `Targets.outcome`.
    """

    loss: float
    metric: float
    distance: float
    features: Array
    outcomes: Outcomes


class Slope(NamedTuple):
    """The score of a setting with the gradient of loss - regularization * distance, (D,)."""

    score: Score
    gradient: Vector


class Chain:
    """Mosaics, an ISP with the numbers of a setting, and a net from view to logits.

    net: (n, 3, H, W) to (n, C), or for masks (n, C, H, W). It is run in evaluation mode, and left
        unchanged. data: see `Samples`; they are held in memory.
    metric: "accuracy", "balanced_accuracy" or "macro_f1"; for masks "iou" or "dice"; or
        "import:package.module.name", see `measures.resolve`. None: the first one.
    loss: (logits, targets) to a number, whose mean over images is the loss. None: cross entropy;
        for masks 1 - IoU of soft masks, or Dice, which follows the metric; see `SoftOverlap`.
    distance: "l2", the root mean square over the values of a view; "ssim", 1 - SSIM (Wang et al.
        2004). Neither grows with the size of the image.
    targets: the right answers of the images, of any kind of task. None: classes or masks as the
        data have them.
    runtime: what runs the net where no gradient is asked for, see `forward_of`.

    Raises InputError if net, data and metric do not fit together.
    """

    def __init__(
        self,
        net: nn.Module,
        isp: Pipeline,
        data: RawDataset | Samples,
        metric: str | None = None,
        loss: nn.Module | None = None,
        distance: str = "l2",
        targets: Targets | None = None,
        runtime: str = "auto",
    ):
        inputs.network(net, isp)
        choose("distance", distance, get_args(Distance))
        self.net, self.isp, self.distance = net, isp, distance
        self.layout = layout(net)
        self.mosaics, self.truth, self.clusters = read(data, targets)
        numbered = map(str, range(len(self.truth)))
        self.names = data.images if isinstance(data, RawDataset) else tuple(numbered)
        self.broken = ""  # the last image whose logits were not finite
        self.device = next((v.device for v in isp.state_dict().values()), torch.device("cpu"))
        of_pixels = self.truth.ndim == 3 if targets is None else targets.of_pixels
        self.loss: MeanLoss | SoftOverlap = MeanLoss(loss or CrossEntropy()).to(self.device)
        few = PIXELS // self.mosaics[0].numel() if self.device.type == "cpu" else BATCH
        self.batches = torch.arange(len(self.truth)).split(max(1, min(BATCH, few)))
        self._default: dict[int, Tensor] = {}  # views by batch, if there is room for all
        self.asked = 0  # passes of all images through the net; see `per_step`
        outputs, temperature = self._outputs(targets)
        if targets is None:
            kind = Segmentation if self.truth.ndim == 3 else Classification
            targets = kind(tuple(map(str, range(outputs))), self.truth)
        self.targets, self.answers = targets, targets.truth
        self.metric, self.measure = next(iter(targets.measures_by(metric).items()))
        with self._evaluating():
            view = self._default_view(
                self.batches[0], self.mosaics[self.batches[0]].to(self.device)
            )
            view = view.float().contiguous(memory_format=self.layout)
            self.forward = forward_of(net, view, PASSES * self.mosaics.numel(), runtime)
        if of_pixels and loss is None:
            self.loss = SoftOverlap(self.metric, temperature)
        self.baseline = self.score(None)

    @property
    def ascends(self) -> bool:
        """Whether the ISP has gradients; a black box has none."""
        return not isinstance(self.isp, External)

    @property
    def per_step(self) -> int:
        """How many passes a gradient counts for. A loss that is no mean needs its sums before."""
        return 4 if self.loss.pooled and len(self.batches) > 1 else 3

    def score(self, space: ParameterSpace | None, setting: Vector | None = None) -> Score:
        """The score of a setting; without one, of the ISP as it is."""
        with torch.inference_mode():
            values = {} if space is None or setting is None else self._values(space, setting)
            parts = [self._part(batch, values, far=bool(values)) for batch in self.batches]
        self._count(1)
        return self._total(parts, space, setting)

    def exact(self, space: ParameterSpace, setting: Vector) -> Score:
        """The score of the static pipeline that has the numbers of a setting."""
        static = space.pipeline(self.isp, setting)
        with torch.inference_mode():
            parts = [self._part(batch, {}, isp=static, far=True) for batch in self.batches]
        self._count(1)
        return self._total(parts, space, setting)

    def slope(self, space: ParameterSpace, setting: Vector, regularization: float) -> Slope:
        """The score of a setting, and the direction in which it gets worse."""
        theta = torch.from_numpy(space.clip(setting)).to(self.device).requires_grad_()
        gradient = torch.zeros_like(theta)
        slopes = self._slopes(space, setting)
        parts = []
        for batch in self.batches:
            with torch.enable_grad():
                values = space.values(self.isp, theta)
                sums, far, outcomes = self._part(batch, values, far=True)
                share = len(batch) / len(self.truth)
                objective = (sums * slopes).sum() if slopes is not None else self.loss(sums) * share
                # A distance without weight is computed, but has no part in the gradient.
                if regularization > 0:
                    objective = objective - regularization * share * far
            if objective.requires_grad:
                (part,) = torch.autograd.grad(objective, theta, allow_unused=True)
                gradient += 0 if part is None else part
            parts.append((sums.detach(), far.detach(), outcomes))
        self._count(self.per_step)
        if not torch.isfinite(gradient).all():
            raise InputError(f"the net's gradient is not finite at {space.named(setting)}")
        return Slope(self._total(parts, space, setting), gradient.cpu().numpy())

    def _count(self, passes: int) -> None:
        self.asked += passes
        progress.count("evaluation", passes)

    def take(self, images: NDArray[np.int64]) -> "Chain":
        """Return the chain with some of the images (n,)."""
        part = copy(self)
        part.mosaics, part.truth = self.mosaics[images], self.truth[images]
        part.names = tuple(self.names[i] for i in images)
        part.clusters = np.unique(self.clusters[images], return_inverse=True)[1]
        part.batches = torch.arange(len(images)).split(len(self.batches[0]))
        part.targets = self.targets.take(torch.from_numpy(images))
        part.answers, part._default, part.asked = part.targets.truth, {}, 0
        part.baseline = part.score(None)
        return part

    def drop_test(self) -> DropTest:
        """Return the test of how much the metric drops from that of the camera's own setting."""
        limits, right = self.measure.limits, self.targets.right_outcomes()
        return DropTest(
            self.measure,
            self.baseline.features,
            None if limits is None else limits.least(right, self.answers),
            self.clusters,
        )

    def interval(self, features: Array, confidence: float) -> Interval:
        """Return the metric of answers with these features (N, K) to the images, with its
        two-sided interval."""
        if int(self.clusters.max()) == 0:
            raise InputError(
                "all images are of one group, so nothing can be said about other groups; "
                "give images of several groups"
            )
        return estimate(self.measure, features, self.clusters).interval(confidence)

    def check_baseline(self) -> None:
        """Raise InputError if the model is no better than a constant answer: it can't get worse."""
        constant = 0.0
        answers = self.targets.constant_outcomes()
        if answers is not None:
            features = self.measure.features(answers, self.answers)
            constant = float(np.nanmax(self.measure.of(features.sum(-2))))
        if not self.baseline.metric > constant:
            raise InputError(
                f"the net reaches {self.metric} {self.baseline.metric:.3f} on the camera's own "
                f"views, no more than an answer that ignores the image ({constant:.3f}): there "
                f"is nothing to lose; check the net, its normalization and the labels"
            )

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Put the net into evaluation mode inside: batch normalization keeps its statistics.

        Its gradient by the views is the cheap one.
        """
        with self._evaluating(), cheap(self.net):
            yield

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        modes = [(module, module.training) for module in self.net.modules()]
        self.net.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training

    def _values(self, space: ParameterSpace, setting: Vector) -> dict[str, Tensor]:
        return space.values(self.isp, torch.from_numpy(space.clip(setting)).to(self.device))

    def _slopes(self, space: ParameterSpace, setting: Vector) -> Tensor | None:
        """The slopes of a pooled loss by its sums, if these are of several batches."""
        if not (self.loss.pooled and len(self.batches) > 1):
            return None
        with torch.inference_mode():
            values = self._values(space, setting)
            sums = sum(self._part(batch, values, far=False)[0] for batch in self.batches)
        total = torch.as_tensor(sums).clone().requires_grad_()
        (slopes,) = torch.autograd.grad(self.loss(total), total)
        return slopes

    def _part(
        self,
        batch: Tensor,
        values: Mapping[str, Tensor],
        *,
        far: bool,
        isp: Pipeline | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Sums of the loss, distance and outcomes (n, ...) of a batch. far: whether to compute the
        distance."""
        mosaics, truth = self.mosaics[batch].to(self.device), self.truth[batch].to(self.device)
        developed = functional_call(isp or self.isp, dict(values), (mosaics,))
        with self.frozen():
            # The clone is for nets that change their input; they convolve faster channels-last.
            views = developed.float().clone(memory_format=self.layout)
            logits = (self.forward if torch.is_inference_mode_enabled() else self.net)(views)
        distance = torch.zeros((), device=self.device)
        if far:
            distance = _distance(developed, self._default_view(batch, mosaics), self.distance)
        sums = self.loss.sums(logits, truth)
        is_finite = torch.isfinite(logits).flatten(1).all(1)
        if not is_finite.all():
            self.broken = self.names[int(batch[int(is_finite.int().argmin())])]
            sums = torch.full_like(sums, torch.nan)
        return sums, distance, self.targets.outcomes_of(logits.detach(), batch).cpu()

    def _default_view(self, batch: Tensor, mosaics: Tensor) -> Tensor:
        first = int(batch[0])
        if first in self._default:
            return self._default[first]
        with torch.inference_mode(False), torch.no_grad():
            view: Tensor = self.isp(mosaics.clone())
        if 12 * self.mosaics.numel() <= CACHED:
            self._default[first] = view
        return view

    def _total(
        self,
        parts: Sequence[tuple[Tensor, Tensor, Tensor]],
        space: ParameterSpace | None,
        setting: Vector | None,
    ) -> Score:
        share = [len(batch) / len(self.truth) for batch in self.batches]
        loss = float(self.loss(torch.stack([part[0].double() for part in parts]).sum(0)))
        far = sum(float(part[1]) * n for part, n in zip(parts, share, strict=True))
        outcomes = torch.cat([part[2] for part in parts]).numpy()
        features = self.measure.features(outcomes, self.answers)
        metric = float(self.measure.of(features.sum(0)))
        where = "the camera's own setting"
        if space is not None and setting is not None:
            where = str(space.named(setting))
        if not np.isfinite(loss):
            image = f"answers image {self.broken!r} with NaN or infinity"
            raise InputError(f"the net {image} at {where}; expected finite logits")
        if not np.isfinite(metric):
            raise InputError(f"the metric {self.metric} is {metric} at {where}; expected a number")
        return Score(loss, metric, far, features, outcomes)

    def _outputs(self, targets: Targets | None) -> tuple[int, float]:
        """The number of channels of the logits, and an eighth of the mean by which the highest
        one is above the next, or a single one beside 0; of two images."""
        with torch.inference_mode(), self.frozen():
            view = self.isp(self.mosaics[:2].to(self.device)).float()
            loss = getattr(self.loss, "loss", self.loss)
            outputs = check_fit(self.net, loss, view, self.truth.to(self.device), targets)
            logits = self.net(view.clone()).float()
            try:
                self.net(view.clone(memory_format=self.layout))
            except RuntimeError:  # such as a net that flattens by `view`
                self.layout = torch.contiguous_format
            margin = logits.abs() if outputs == 1 else logits.topk(2, dim=1).values.diff(dim=1)
            return outputs, max(float(margin.abs().mean()) / 8, 1e-6)


def _distance(view: Tensor, default: Tensor, kind: str) -> Tensor:
    """The mean distance over the images of a batch. Where views are equal, its slope is 0."""
    if kind == "l2":
        square = (view - default).square().mean(dim=(1, 2, 3))
        return square.clamp(min=1e-14).sqrt().sub(1e-7).clamp(min=0).mean()
    similarity = torch.stack([ssim(a, b) for a, b in zip(view, default, strict=True)]).mean()
    return (1 - similarity).clamp(min=0)
