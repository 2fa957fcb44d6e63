"""What a network answers under many tests: other pipelines, and common corruptions."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torchmetrics.functional.image import structural_similarity_index_measure

from rawdrift.corruptions import corrupt
from rawdrift.data.dataset import RawDataset
from rawdrift.isp.color import Channels
from rawdrift.tasks.metrics import outcome
from rawdrift.tasks.targets import Targets
from rawdrift.tasks.task import BATCH, views

SIMILAR = 16  # images whose views are compared, spread over those that are tested


class Case(NamedTuple):
    """One way to drift: the views of another pipeline, or the model's own views corrupted."""

    kind: Literal["isp", "corruption"]
    name: str
    severity: int = 0

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.name}" + (f"/{self.severity}" if self.severity else "")


class Answers(NamedTuple):
    """Answers to n images by the key of each test.

    outcomes: (n,) classes, or of masks (n, C, 3) counts of pixels; see `metrics.outcome`.
    distance: how far the test's views are from the matched ones, means over a few images:
        1 - SSIM (Wang et al. 2004) and the mean squared error, of values in [0, 1].
    """

    outcomes: dict[str, Tensor]
    distance: dict[str, dict[str, float]]


def evaluate(
    net: nn.Module,
    data: RawDataset,
    targets: Targets,
    indices: Tensor,
    own: str,
    tests: Sequence[Case],
    *,
    channels: Channels = "luma",
    table: str = "imagenet",
    seed: int = 0,
    device: torch.device | str = "cpu",
    on_batch: Callable[[], object] = lambda: None,
) -> Answers:
    """What `net` (view to logits) makes of these images under each test.

    Every raw image is read once and developed in all ways with shared work done once; corruptions
    are of the views of the pipeline `own`, with severities of `table`, and drawn from the seed and
    the image's number in the dataset. The network runs in float32.
    """
    net.eval().to(device)
    outcomes: dict[str, list[Tensor]] = {test.key: [] for test in tests}
    distances: dict[str, list[Tensor]] = {test.key: [] for test in tests}
    names = list(dict.fromkeys([own, *(test.name for test in tests if test.kind == "isp")]))
    compared = set(indices[:: max(1, len(indices) // SIMILAR)][:SIMILAR].tolist())
    with torch.inference_mode():
        for batch in indices.split(BATCH):
            truth = targets.values[batch].to(device)
            seeds = [(seed, index) for index in batch.tolist()]
            few = torch.tensor([index in compared for index in batch.tolist()])
            developed = dict(views(data, batch, names, channels, device))
            for test in tests:
                if test.kind == "isp":
                    view = developed[test.name]
                else:
                    view = corrupt(developed[own], test.name, test.severity, seeds, table)
                outcomes[test.key].append(outcome(net(view), truth).cpu())
                if few.any():
                    distances[test.key].append(_distances(view[few], developed[own][few]))
            on_batch()
    return Answers(
        {key: torch.cat(parts) for key, parts in outcomes.items()},
        {
            key: dict(zip(("dssim", "mse"), torch.cat(parts).mean(0).tolist(), strict=True))
            for key, parts in distances.items()
        },
    )


def _distances(view: Tensor, own: Tensor) -> Tensor:
    """1 - SSIM and the mean squared error of each image: (n, 2) float64."""
    if torch.equal(view, own):
        return torch.zeros(len(view), 2, dtype=torch.float64)
    # One by one: torchmetrics keeps five images for each of a batch. Its window needs some pixels.
    sigma = 1.5 if min(view.shape[-2:]) >= 16 else 0.5
    ssim: list[Any] = [
        structural_similarity_index_measure(a[None], b[None], data_range=1.0, sigma=sigma)
        for a, b in zip(view, own, strict=True)
    ]
    mse = (view - own).double().square().mean(dim=(1, 2, 3))
    return torch.stack([1 - torch.stack(ssim).double(), mse], dim=1).cpu()
