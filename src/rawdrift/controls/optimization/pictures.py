"""Pictures of a unit: its views before and after the training, and its stages with gradients.

They are made while the networks are there, kept in the unit's record, and written into the run
folder when all units are done.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from rawdrift.camera.read import to_unit
from rawdrift.controls.gallery import Gallery
from rawdrift.controls.material import Material
from rawdrift.controls.optimization.records import (
    OptimizationRecord,
    StagePictures,
)
from rawdrift.controls.optimization.result import (
    IntensityView,
    Masks,
    Sample,
    Stages,
    StageView,
    Views,
)
from rawdrift.controls.stages import stages
from rawdrift.controls.wholes import Wholes
from rawdrift.isp.develop import encode, picture
from rawdrift.isp.external import External
from rawdrift.isp.normalized_convolution import demosaicing
from rawdrift.models.chain import BATCH, Develop, Front, layout

SHOWN = 4  # images
MIDDLE = 256  # pixels of an image that are shown
BRIGHTEST = 0.999  # of the values of a stage, which is shown as white


def choose(material: Material, test: NDArray[np.int64]) -> list[int]:
    """Choose the images that are shown: of different labels where there are any; of frames of
    tiles, their first tiles."""
    labels = material.data.labels
    if labels is None:
        wholes = Wholes(material, test)
        each = [wholes.members(whole)[0] for whole in range(len(wholes.numbers))]
        return each[:: max(1, len(each) // SHOWN)][:SHOWN]
    firsts = {int(labels[index]): index for index in reversed(test.tolist())}
    return [firsts[label] for label in sorted(firsts)][:SHOWN]


@torch.no_grad()
def views(material: Material, indices: list[int], front: Front) -> list[bytes]:
    """Return the views that a network gets of these images, or of their frames, as PNG files."""
    data = material.data
    modes = [(module, module.training) for module in front.modules()]
    front.eval()

    def develop(images: Tensor) -> Tensor:
        developed: Tensor = front(data.mosaics[images], data.camera_index[images])
        return developed

    shown = _shown(material, indices, develop, MIDDLE // front.factor)
    for module, mode in modes:
        module.training = mode
    if front.factor == 2:  # raw, which is dark: all alike brightened, by what is the brightest
        white = _white(torch.cat([view.flatten() for view in shown]))
        shown = [view / white for view in shown]
    return [_png(view) for view in shown]


@torch.no_grad()
def masks(material: Material, indices: Sequence[int], front: Front, net: nn.Module) -> list[bytes]:
    """Return the answers to these images, or to their frames, as PNG files, if they are masks."""
    data, targets, _ = material
    device = next(net.parameters()).device

    def answer(images: Tensor) -> Any:
        views = front(data.mosaics[images].to(device), data.camera_index[images])
        return targets.masks(net(views.contiguous(memory_format=layout(net))))

    if not targets.of_pixels:
        return []
    return [_png(mask.cpu()) for mask in _shown(material, indices, answer)]


def _shown(
    material: Material,
    indices: Sequence[int],
    compute: Callable[[Tensor], Tensor],
    side: int = MIDDLE,
) -> list[Tensor]:
    """Return the middle of what is computed of images, `side` pixels wide; or all of what is
    computed of the tiles of their frames, reduced to `MIDDLE` pixels."""
    wholes = Wholes(material, np.arange(len(material.data)))
    pictures = []
    for index in indices:
        whole = wholes.holding(index)
        batches = torch.tensor(wholes.members(whole)).split(BATCH)
        parts = [part for batch in batches for part in compute(batch)]
        pictures.append(_fitted(wholes, wholes.joined(whole, parts), side))
    return pictures


def _fitted(wholes: Wholes, picture: Tensor, side: int = MIDDLE) -> Tensor:
    """Return the middle of a view (C, H, W) or a mask (H, W), or a smaller frame."""
    if wholes.tiling is None:
        return _middle(picture, side)
    step = -(-max(picture.shape[-2:]) // MIDDLE)
    if picture.ndim == 2:  # classes have no mean
        return picture[::step, ::step]
    return avg_pool2d(picture[None], step, ceil_mode=True)[0]


def through(material: Material, index: int, front: Front, net: nn.Module) -> list[StagePictures]:
    """Return the stages of an image on its way through the trained ISP; none without an ISP, and
    none of a black box, which has no gradients."""
    if not isinstance(front, Develop) or any(isinstance(isp, External) for isp in front.isps):
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
    wholes = Wholes(material, np.arange(len(data)))
    shown: dict[int, dict[str, Views]] = {}
    answers: dict[int, dict[str, Masks]] = {}
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
        for number, (first, last) in enumerate(zip(pictures.first, pictures.last, strict=True)):
            answers.setdefault(pictures.images[number], {})[setting] = Masks(
                gallery.write_png(f"{folder}-{number}-mask-first", first),
                gallery.write_png(f"{folder}-{number}-mask-last", last),
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

    samples = []
    for number, (index, views_of_image) in enumerate(shown.items()):
        whole = wholes.holding(index)
        mask, path = wholes.truth(whole), f"{intensity:g}/truth-{number}"
        truth = None if mask is None else gallery.write_png(path, _png(_fitted(wholes, mask)))
        samples.append(
            Sample(
                intensity=intensity,
                image=wholes.name(whole),
                label=targets.label(index),
                views=views_of_image,
                truth=truth,
                masks=answers.get(index, {}),
            )
        )
    return samples, rows


def in_less_light(
    materials: Mapping[float, Material], index: int, gallery: Gallery
) -> list[IntensityView]:
    """Write the raw colors of an image at each intensity, all in one scale, and each stretched."""
    raws = {}
    for intensity, material in materials.items():
        data = material.data
        camera = data.cameras[int(data.camera_index[index])]
        mosaic = to_unit(data.mosaics[index], camera.bit_depth)
        raws[intensity] = _middle(demosaicing(camera.cfa)(mosaic))
    white = max(float(raw.max()) for raw in raws.values()) or 1.0
    return [
        IntensityView(
            intensity,
            data.images[index],
            gallery.write(f"intensities/{intensity:g}", raw / white),
            gallery.write(
                f"intensities/{intensity:g}-stretched",
                (raw - raw.min()) / (raw.max() - raw.min()).clamp(min=1e-12),
            ),
        )
        for intensity, raw in raws.items()
    ]


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
    return encode(picture(_middle(view).float().clamp(0, 1)), bits=8)


def _middle(view: Tensor, side: int = MIDDLE) -> Tensor:
    top, left = (max(0, (length - side) // 2) for length in view.shape[-2:])
    return view[..., top : top + side, left : left + side]
