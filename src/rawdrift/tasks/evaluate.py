"""What a network answers under many tests: other pipelines, and common corruptions."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from rawdrift.corruptions import corrupt
from rawdrift.corruptions.neighborhood import blurred
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
    net.eval().to(device).to(memory_format=torch.channels_last)  # convolves faster
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
    # One by one: an image stays in the cache.
    similarity = torch.stack([ssim(a, b) for a, b in zip(view, own, strict=True)]).double()
    mse = (view - own).square().mean(dim=(1, 2, 3), dtype=torch.float64)
    return torch.stack([1 - similarity, mse], dim=1).cpu()


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004) of views (3, H, W), mean of pixels and channels.

    As torchmetrics has it, but that its Gaussian window is separated: four times as fast.
    """
    sigma = 1.5 if min(a.shape[-2:]) >= 16 else 0.5  # the window needs some pixels
    moments = torch.stack([a, b, a * a, b * b, a * b])
    mean_a, mean_b, aa, bb, ab = blurred(moments, sigma, truncate=3.5, border="reflect")
    squares, product = mean_a * mean_a + mean_b * mean_b, mean_a * mean_b
    brightness = (2 * product + 0.01**2) / (squares + 0.01**2)
    structure = (2 * (ab - product) + 0.03**2) / (aa + bb - squares + 0.03**2)
    similarity: Tensor = (brightness * structure).mean()
    return similarity
