"""Pictures of a unit: its views before and after the training, and its stages with gradients.

They are made while the networks are there, kept in the unit's record, and written into the run
folder when all units are done.
"""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rawdrift.controls.gallery import Gallery
from rawdrift.controls.material import Material
from rawdrift.controls.optimization.records import (
    OptimizationRecord,
    StagePictures,
)
from rawdrift.controls.optimization.result import Sample, Stages, StageView, Views
from rawdrift.controls.stages import stages
from rawdrift.isp.develop import encode, picture
from rawdrift.models.chain import Develop, Front

SHOWN = 4  # images
MIDDLE = 256  # pixels of an image that are shown
BRIGHTEST = 0.999  # of the values of a stage, which is shown as white


def choose(material: Material, test: NDArray[np.int64]) -> list[int]:
    """Choose the images that are shown: of different labels where there are any."""
    labels = material.data.labels
    if labels is None:
        return [int(index) for index in test[:: max(1, len(test) // SHOWN)][:SHOWN]]
    firsts = {int(labels[index]): index for index in reversed(test.tolist())}
    return [firsts[label] for label in sorted(firsts)][:SHOWN]


@torch.no_grad()
def views(material: Material, indices: list[int], front: Front) -> list[bytes]:
    """Return the views that a network gets of these images, as PNG files."""
    data = material.data
    taken = torch.tensor(indices)
    modes = [(module, module.training) for module in front.modules()]
    front.eval()
    developed = front(data.mosaics[taken], data.camera_index[taken])
    for module, mode in modes:
        module.training = mode
    if front.factor == 2:  # raw, which is dark: all alike brightened, by what is the brightest
        developed = developed / _white(developed)
    return [_png(view) for view in developed]


def through(material: Material, index: int, front: Front, net: nn.Module) -> list[StagePictures]:
    """Return the stages of an image on its way through the trained ISP; none without an ISP."""
    if not isinstance(front, Develop):
        return []
    data, targets, _ = material
    isp = front.isps[int(data.camera_index[index])]
    truth = targets.values[index : index + 1]
    pictures = []
    for name, stage in stages(isp, net, data.mosaics[torch.tensor([index])], truth).items():
        view, gradient = _upright(stage.view[0]), stage.magnitude[0]
        view_white = 1.0 if name == "gamma" else _white(view)
        gradient_white = _white(gradient)
        pictures.append(
            StagePictures(
                name=name,
                view=_png(view / view_white),
                view_white=view_white,
                gradient=_png(gradient / gradient_white),
                gradient_white=gradient_white,
                gradient_mean=float(stage.magnitude.mean()),
            )
        )
    return pictures


def write(
    records: Iterable[OptimizationRecord], material: Material, gallery: Gallery
) -> tuple[list[Sample], list[Stages]]:
    """Write the pictures that the records of an intensity hold.

    Returns their paths by image and setting, and by setting and stage.
    """
    data, targets, _ = material
    shown: dict[int, dict[str, Views]] = {}
    rows = []
    intensity = 0.0
    for record in records:
        pictures, setting, intensity = record.pictures, record.setting, record.intensity
        if pictures is None:
            continue
        folder = f"{intensity:g}/{setting}"
        for number, index in enumerate(pictures.images):
            shown.setdefault(index, {})[setting] = Views(
                gallery.write_png(f"{folder}-{number}-before", pictures.before[number]),
                gallery.write_png(f"{folder}-{number}-after", pictures.after[number]),
            )
        if pictures.stages:
            views = [
                StageView(
                    name=stage.name,
                    view=gallery.write_png(f"{folder}-stage-{stage.name}", stage.view),
                    view_white=stage.view_white,
                    gradient=gallery.write_png(f"{folder}-gradient-{stage.name}", stage.gradient),
                    gradient_white=stage.gradient_white,
                    gradient_mean=stage.gradient_mean,
                )
                for stage in pictures.stages
            ]
            image = data.images[pictures.images[0]]
            rows.append(Stages(intensity=intensity, setting=setting, image=image, stages=views))

    samples = [
        Sample(
            intensity=intensity, image=data.images[index], label=targets.label(index), views=views
        )
        for index, views in shown.items()
    ]
    return samples, rows


def _upright(values: Tensor) -> Tensor:
    """Change the sign of a color that is negative: white balance and color matrix may have signs
    that cancel."""
    planes = values.flatten(-2)
    return torch.where((planes.median(-1).values < 0)[..., None, None], -values, values)


def _white(values: Tensor) -> float:
    magnitudes = values.abs().flatten()
    rank = max(1, round(BRIGHTEST * len(magnitudes)))
    return float(magnitudes.kthvalue(rank).values) or 1.0


def _png(view: Tensor) -> bytes:
    """Return the middle of a view (H, W) or (3 or 4, H, W) as a PNG; of 4 channels, both greens are
    averaged."""
    if view.ndim == 2:
        view = view.expand(3, -1, -1)
    elif len(view) == 4:
        view = torch.stack([view[0], (view[1] + view[2]) / 2, view[3]])
    top, left = (max(0, (length - MIDDLE) // 2) for length in view.shape[-2:])
    middle = view[:, top : top + MIDDLE, left : left + MIDDLE].float().clamp(0, 1)
    return encode(picture(middle), bits=8)
