"""Try a checkpoint with other inputs: those that a common mistake would have withheld from it.

A network that was trained on other numbers than it gets here answers better if it gets them: with
another normalization, another color filter array, the bits of the container that are in use, or the
views of another pipeline. Its first batch normalization also remembers the mean and the variance of
what it was trained on.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rawdrift import progress
from rawdrift.camera.read import to_unit
from rawdrift.cfa import Pattern, is_bayer
from rawdrift.controls.material import Material
from rawdrift.data.plausible import unused_bits
from rawdrift.models import networks
from rawdrift.models.chain import Develop, Normalize, layout
from rawdrift.models.evaluate import AT_ONCE
from rawdrift.models.spec import Task
from rawdrift.statistics import estimate
from rawdrift.statistics.resampling import clusters

PIXELS, FEWEST, MOST = 2**20, 24, 64  # of the images that are tried
GAIN = 0.03
"""The gain from which on another input is better, if it is no chance."""
CONFIDENCE = 0.99
"""With which all gains together are no chance."""
DIVERGENCE = 0.3
"""The divergence of the input of the first batch normalization from what it remembers, in nats,
from which on the input is another; trained networks have less than 0.05 on what they know."""
CLOSER = 0.1  # the divergence of an input that fits, relative to the present one
SAME = 0.05  # by how much divergences of inputs that are known equally well differ
_FEW_GROUPS = 8  # fewer count as images

Kind = Literal["given", "normalization", "cfa", "bits", "pipeline"]


class Trial(NamedTuple):
    """An input and what a checkpoint makes of it.

    name: of the other normalization, pattern or pipeline, or the number of bits. value: of the
    metric on `images`. low: bound of the gain over the given input, which holds for all trials
    together. divergence: see `DIVERGENCE`; None without a batch normalization. std: of the
    normalized input, over pixels, mean over channels. numbers: mean and std of a normalization.
    """

    kind: Kind
    name: str
    value: float
    low: float
    divergence: float | None
    std: float
    images: int
    numbers: list[list[float]] | None = None


class Tried(NamedTuple):
    """The trial of the given input, and the better one if there is any."""

    given: Trial
    better: Trial | None


class _Input(NamedTuple):
    """What a network may get. prepare: mosaics (n, H, W) float32 in [0, 1] to mosaics."""

    kind: Kind
    name: str
    develop: Develop
    normalize: Normalize
    prepare: Callable[[Tensor], Tensor] = lambda mosaics: mosaics


def tried(material: Material, task: Task, views: Mapping[str, Develop], seed: int) -> Tried:
    """Try the checkpoint of a task with the inputs of common mistakes.

    views: the matched ones, then those of other pipelines, by name.
    """
    data, targets, _ = material
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = networks.load_checkpoint(task, targets, data.size).to(device)
    normalize, inner = net[0], net[1]
    assert isinstance(normalize, Normalize)  # `load_checkpoint` puts it first
    inner.to(memory_format=layout(inner))
    images = _some(material)
    inputs = list(_inputs(material, images, normalize, views))
    what = "trying the checkpoint with other inputs"
    rows = [
        _answers(material, images, one, inner, device)
        for one in progress.over(inputs, what, "input")
    ]
    part = targets.take(images)
    measure = next(iter(part.measures.values()))
    features = measure.features(np.stack([row[0] for row in rows]), part.truth)
    names = None if data.groups is None else [data.groups[i] for i in images.tolist()]
    if names is None or len(set(names)) < _FEW_GROUPS:
        names = [str(i) for i in range(len(images))]
    values = estimate(measure, features, clusters(len(images), names))
    low, _ = (values[1:] - values[:1]).simultaneous(2 * CONFIDENCE - 1, seed)
    trials = [
        Trial(
            one.kind, one.name, float(value), float(bound), divergence, std, len(images),
            [one.normalize.mean.tolist(), one.normalize.std.tolist()]
            if one.kind == "normalization" else None,
        )
        for one, value, bound, (_, divergence, std) in zip(
            inputs, values.values, [0.0, *low], rows, strict=True
        )
    ]  # fmt: skip
    return Tried(trials[0], _better(trials[0], trials[1:]))


def _better(given: Trial, others: list[Trial]) -> Trial | None:
    """Return the trial with the best answers, if they are better than the given input's."""

    def is_better(trial: Trial) -> bool:
        if given.divergence is not None and (trial.divergence or 0.0) > given.divergence + SAME:
            return False  # the network knows the given input better: something else is wrong
        if trial.low > 0 and trial.value - given.value >= GAIN:
            return True
        if trial.kind == "pipeline" or given.divergence is None or trial.divergence is None:
            return False
        closer = trial.divergence < CLOSER * given.divergence
        return given.divergence > DIVERGENCE and closer and trial.value >= given.value

    # Of equal ones that with the input that the network knows best.
    def rank(trial: Trial) -> tuple[float, float]:
        return trial.value, -(trial.divergence or 0.0)

    return max(filter(is_better, others), key=rank, default=None)


def _some(material: Material) -> Tensor:
    """Choose some images, evenly over labels."""
    data, targets, _ = material
    height, width = data.size
    most = min(len(data), max(FEWEST, min(MOST, PIXELS // (height * width))))
    labels = targets.values.numpy() if targets.of_classes else np.zeros(len(data))
    order = np.argsort(labels, kind="stable")
    chosen = order[np.linspace(0, len(data) - 1, most).round().astype(int)]
    return torch.from_numpy(np.sort(chosen))


def _inputs(
    material: Material, images: Tensor, given: Normalize, views: Mapping[str, Develop]
) -> Iterator[_Input]:
    """Yield the given input, then the others."""
    data = material.data
    names = iter(views)
    own, develop = (name := next(names)), views[name]
    yield _Input("given", own, develop, given)
    of_views = Normalize.of(develop, data, images)
    for name, other in (
        ("none", Normalize.fixed("none")),
        ("imagenet", Normalize.fixed("imagenet")),
        ("views", of_views),
    ):
        if not _equal(other, given):
            yield _Input("normalization", name, develop, other)
    if len(data.cameras) == 1:
        cfa = data.cameras[0].cfa
        for pattern, shift in _shifts(cfa):
            yield _Input("cfa", pattern, develop, given, _shifted(shift))
        for unused in unused_bits(data):
            factor = (2**unused.of - 1) / (2**unused.bits - 1)
            yield _Input("bits", str(unused.bits), develop, given, _brightened(factor))
    for name in names:
        yield _Input("pipeline", name, views[name], given)


def _equal(one: Normalize, other: Normalize) -> bool:
    return torch.allclose(one.mean, other.mean.cpu(), atol=0.01) and torch.allclose(
        one.std, other.std.cpu(), rtol=0.02
    )


def _shifts(cfa: Pattern) -> Iterator[tuple[Pattern, tuple[int, int]]]:
    """Yield the other Bayer patterns, and by how much their mosaics are moved to have this one."""
    if not is_bayer(cfa):
        return
    for row, column in ((0, 1), (1, 0), (1, 1)):
        cell = "".join(cfa[2 * ((i + row) % 2) + (j + column) % 2] for i in (0, 1) for j in (0, 1))
        yield cell, (row, column)


def _shifted(shift: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    return lambda mosaics: mosaics.roll(shift, (-2, -1))


def _brightened(factor: float) -> Callable[[Tensor], Tensor]:
    return lambda mosaics: (factor * mosaics).clamp(max=1)


def _answers(
    material: Material, images: Tensor, one: _Input, net: nn.Module, device: str
) -> tuple[NDArray[np.int64], float | None, float]:
    """Return the outcomes of the images, the divergence of the input, and its deviation."""
    data, targets, _ = material
    develop, normalize = one.develop.to(device), one.normalize.to(device)
    norm = next((m for m in net.modules() if isinstance(m, nn.BatchNorm2d)), None)
    at_norm: list[Tensor] = []
    at_input: list[Tensor] = []
    hook = None
    if norm is not None:
        hook = norm.register_forward_pre_hook(lambda _, x: at_norm.append(_moments(x[0])))
    outcomes = []
    with torch.inference_mode():
        for batch in images.split(AT_ONCE):
            cameras = data.camera_index[batch]
            mosaics = torch.stack(
                [
                    one.prepare(to_unit(data.mosaics[i], data.cameras[c].bit_depth))
                    for i, c in zip(batch.tolist(), cameras.tolist(), strict=True)
                ]
            )
            x = normalize(develop(mosaics.to(device), cameras).float())
            at_input.append(_moments(x))
            logits = net(x.contiguous(memory_format=layout(net)))
            outcomes.append(targets.outcomes_of(logits.float(), batch).cpu())
    if hook is not None:
        hook.remove()
    mean, square = torch.stack(at_input).mean(0)
    std = float((square - mean**2).clamp(min=0).sqrt().mean())
    remembered = None if norm is None else (norm.running_mean, norm.running_var)
    divergence = None
    if at_norm and remembered and remembered[0] is not None and remembered[1] is not None:
        divergence = _divergence(torch.stack(at_norm).mean(0), remembered[0], remembered[1])
    return torch.cat(outcomes).numpy(), divergence, std


def _moments(x: Tensor) -> Tensor:
    """Return mean and mean square of the channels of (N, C, H, W), (2, C)."""
    return torch.stack([x.float().mean((0, 2, 3)), x.float().square().mean((0, 2, 3))])


def _divergence(moments: Tensor, own_mean: Tensor, own_variance: Tensor) -> float:
    """Return the divergence of normal distributions (Kullback-Leibler), median over channels."""
    mean, variance = moments[0], moments[1] - moments[0] ** 2
    ratio = (variance / own_variance.clamp(min=1e-12)).clamp(min=1e-12)
    shift = (mean - own_mean) ** 2 / own_variance.clamp(min=1e-12)
    return float(((shift + ratio - 1 - ratio.log()) / 2).median())
