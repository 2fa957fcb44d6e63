"""Test a network on many kinds of views: of other pipelines, and with common corruptions."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rawdrift import progress
from rawdrift.corruptions.apply import corrupt
from rawdrift.data.dataset import RawDataset
from rawdrift.isp.develop import encode
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.similarity import ssim
from rawdrift.isp.yuv import Channels
from rawdrift.models.case import Case
from rawdrift.models.chain import BATCH, Front, check_finite, layout, views
from rawdrift.models.classification import Classification
from rawdrift.models.forward import Pass, forward_of
from rawdrift.models.precision import check_precision
from rawdrift.models.quick import Quick, quick_of
from rawdrift.models.targets import Targets

SIMILAR = 16  # the number of images whose views are compared, spread over those that are tested
AT_ONCE = 8  # images per pass on a CPU, so that the activations stay in its cache
LEARNED = 2  # images of each case in which errors of bfloat16 are seen, before any is answered


class Answers(NamedTuple):
    """Answers to n images by the key of each case.

    outcomes: (n,) classes, or (n, C, 3) pixels of masks; see `Targets.outcome`.
    masks: answers that are masks, as PNG files (see `Targets.masks`); empty if they are none.
    distance: from the matched views to those of the case, means over a few images: "dssim", 1 -
        SSIM (Wang et al. 2004), and "mse", the mean squared error of values in [0, 1].
    """

    outcomes: dict[str, Tensor]
    masks: dict[str, list[bytes]]
    distance: dict[str, dict[str, float]]


def evaluate(
    net: nn.Module,
    data: RawDataset,
    targets: Targets,
    indices: Tensor,
    own: str,
    cases: Sequence[Case],
    *,
    channels: Channels = "luma",
    isps: Mapping[str, Pipeline] | None = None,
    table: str = "imagenet",
    precision: str = "32",
    runtime: str = "auto",
    seed: int = 0,
    device: torch.device | str = "cpu",
    on_batch: Callable[[], object] = lambda: None,
) -> Answers:
    """Return the answers of `net` (view to logits) to these images in each case.

    Every raw image is read once, and work that pipelines have in common is done once. Corruptions
    are applied to the views of the pipeline `own`, with severities of `table`; their randomness
    depends on the seed and the image's number in the dataset.

    isps: pipelines by name, beside the configurations.
    precision: of the network alone: "32", or "bf16", bfloat16 mixed precision.
    runtime: of the network, see `forward_of`, and `Quick` for classes in float32.
    on_batch: called after each batch of images.
    """
    check_precision(precision, device)
    isps = {name: pipeline.to(device) for name, pipeline in (isps or {}).items()}
    net.eval().to(device).to(memory_format=layout(net))
    outcomes: dict[str, list[Tensor]] = {case.key: [] for case in cases}
    masks: dict[str, list[bytes]] = {}
    distances: dict[str, list[Tensor]] = {case.key: [] for case in cases}
    names = list(dict.fromkeys([own, *(case.name for case in cases if case.kind == "isp")]))
    compared = set(indices[:: max(1, len(indices) // SIMILAR)][:SIMILAR].tolist())
    tests = len(indices.split(BATCH)) * len(cases)
    answers: Pass | None = None
    with torch.inference_mode(), progress.step("testing", tests, "test") as step:
        for batch in indices.split(BATCH):
            seeds = [(seed, index) for index in batch.tolist()]
            measured = torch.tensor([index in compared for index in batch.tolist()])
            developed = dict(views(data, batch, names, channels, device, isps))
            for case in cases:
                if case.kind == "isp":
                    view = developed[case.name]
                else:
                    view = corrupt(developed[own], case.name, case.severity, seeds, table)
                if answers is None:
                    pixels = len(indices) * len(cases) * view[0, 0].numel()
                    answers = _answers_of(net, targets, view[:AT_ONCE], pixels, runtime, precision)
                if isinstance(answers, Quick) and not outcomes[case.key]:
                    answers.learn(view[:LEARNED])
                logits = logits_of(answers, view, precision)
                check_finite(
                    logits,
                    [data.images[i] for i in batch.tolist()],
                    f"developed as {case.name}" if case.kind == "isp" else f"with {case.name}",
                )
                outcomes[case.key].append(targets.outcomes_of(logits, batch).cpu())
                drawn = targets.masks(logits)
                if drawn is not None:
                    files = [encode(mask, bits=8) for mask in drawn.cpu().numpy()]
                    masks.setdefault(case.key, []).extend(files)
                if measured.any():
                    pair = view[measured], developed[own][measured]
                    distances[case.key].append(_distances(*pair))
                step.advance()
            on_batch()
    return Answers(
        {key: torch.cat(parts) for key, parts in outcomes.items()},
        masks,
        {
            key: dict(zip(("dssim", "mse"), torch.cat(parts).mean(0).tolist(), strict=True))
            for key, parts in distances.items()
        },
    )


def _answers_of(
    net: nn.Module, targets: Targets, views: Tensor, pixels: float, runtime: str, precision: str
) -> Pass:
    if precision == "32" and isinstance(targets, Classification):
        quick = quick_of(net, views, pixels, runtime)
        if quick is not None:
            return quick
    return forward_of(net, views, pixels, runtime, precision)


def logits_of(net: Pass, views: Tensor, precision: str = "32") -> Tensor:
    """Return the logits of views (n, 3, H, W), float32; on a CPU, some at a time."""
    parts = views.split(AT_ONCE if views.device.type == "cpu" else len(views))
    with torch.autocast(views.device.type, torch.bfloat16, enabled=precision == "bf16"):
        return torch.cat([net(part) for part in parts]).float()


def answer(
    front: Front,
    net: nn.Module,
    data: RawDataset,
    targets: Targets,
    indices: Tensor,
    loss: nn.Module | None = None,
) -> tuple[Tensor, float]:
    """Return the outcomes (see `Targets.outcome`) of front and network, and the mean loss.

    Both must be in evaluation mode and on one device; they run in full precision.
    """
    device = next(net.parameters()).device
    outcomes, total = [], 0.0
    with torch.inference_mode(), torch.autocast(device.type, enabled=False):
        for batch in indices.split(BATCH):
            truth = targets.values[batch].to(device)
            views = front(data.mosaics[batch].to(device), data.camera_index[batch])
            logits = net(views.contiguous(memory_format=layout(net)))
            check_finite(logits, [data.images[i] for i in batch.tolist()], "developed")
            outcomes.append(targets.outcomes_of(logits, batch).cpu())
            total += 0.0 if loss is None else float(loss(logits, truth)) * len(batch)
    return torch.cat(outcomes), total / len(indices)


def _distances(view: Tensor, own: Tensor) -> Tensor:
    """Return 1 - SSIM and the mean squared error of each image, (n, 2) float64."""
    if torch.equal(view, own):
        return torch.zeros(len(view), 2, dtype=torch.float64)
    # One by one: an image stays in the cache.
    similar = torch.stack([ssim(a, b) for a, b in zip(view, own, strict=True)]).double()
    mse = (view - own).square().mean(dim=(1, 2, 3), dtype=torch.float64)
    return torch.stack([1 - similar, mse], dim=1).cpu()
