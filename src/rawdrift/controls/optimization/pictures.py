"""Pictures of a unit, as PNG in text: its views before and after, its stages and gradients."""

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rawdrift import files
from rawdrift.controls.material import Material
from rawdrift.controls.stages import stages
from rawdrift.isp.develop import encode, picture
from rawdrift.models.chain import Develop, Front
from rawdrift.runs.store import Record

SHOWN = 4  # images
MIDDLE = 256  # pixels of an image that are shown
BRIGHTEST = 0.999  # of the values of a stage, which is shown as white


def shown(material: Material, test: NDArray[np.int64]) -> list[int]:
    """The images that are shown: of different labels where there are any."""
    labels = material.data.labels
    if material.targets.kind == "segmentation" or labels is None:
        return [int(index) for index in test[:: max(1, len(test) // SHOWN)][:SHOWN]]
    firsts = {int(labels[index]): index for index in reversed(test.tolist())}
    return [firsts[label] for label in sorted(firsts)][:SHOWN]


def before(material: Material, test: NDArray[np.int64], front: Front) -> dict[str, Any]:
    """`images`, numbers of those that are shown, and `before`, their views."""
    indices = shown(material, test)
    return {"images": indices, "before": _views(material, indices, front)}


def after(
    material: Material, test: NDArray[np.int64], front: Front, net: nn.Module
) -> dict[str, Any]:
    """`after`, the views by the trained front, and of an ISP the `stages` of the first of them."""
    data, targets, _ = material
    indices = shown(material, test)
    found: dict[str, Any] = {"after": _views(material, indices, front)}
    if isinstance(front, Develop):
        index = indices[0]
        isp = front.isps[int(data.camera_index[index])]
        truth = targets.values[index : index + 1]
        mosaic = data.mosaics[torch.tensor([index])]
        found["stages"] = [
            {
                "name": name,
                **_scaled("view", _upright(stage.view[0]), scale=name != "gamma"),
                **_scaled("gradient", stage.magnitude[0]),
                "gradient_mean": float(stage.magnitude.mean()),
            }
            for name, stage in stages(isp, net, mosaic, truth).items()
        ]
    return found


def write(
    records: Iterable[Record], material: Material, folder: Path, intensity: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Write the pictures of the first fold to `folder`/samples; their names by image and setting,
    and by setting and stage."""
    data, targets, _ = material
    views: dict[int, dict[str, Any]] = {}
    gradients = []

    def put(name: str, png: str) -> str:
        path = f"samples/{intensity:g}/{name}.png"
        files.write(folder / path, base64.b64decode(png))
        return path

    for record in records:
        held = record.get("pictures")
        if held is None:
            continue
        setting = record["setting"]
        for number, index in enumerate(held["images"]):
            sample = views.setdefault(index, {"image": data.images[index], "views": {}})
            if targets.kind == "classification":
                sample["label"] = targets.names[int(targets.values[index])]
            sample["views"][setting] = {
                when: put(f"{setting}-{number}-{when}", held[when][number])
                for when in ("before", "after")
            }
        if "stages" in held:
            gradients.append(
                {
                    "setting": setting,
                    "image": data.images[held["images"][0]],
                    "stages": [
                        {
                            **stage,
                            "view": put(f"{setting}-stage-{stage['name']}", stage["view"]),
                            "gradient": put(
                                f"{setting}-gradient-{stage['name']}", stage["gradient"]
                            ),
                        }
                        for stage in held["stages"]
                    ],
                }
            )
    return list(views.values()), gradients


@torch.no_grad()
def _views(material: Material, indices: list[int], front: Front) -> list[str]:
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


def _upright(values: Tensor) -> Tensor:
    """With the sign changed of a color that is negative: white balance and color matrix may have
    signs that cancel."""
    planes = values.flatten(-2)
    return torch.where((planes.median(-1).values < 0)[..., None, None], -values, values)


def _scaled(key: str, values: Tensor, scale: bool = True) -> dict[str, Any]:
    """A picture, and the value that is shown as white in it."""
    white = _white(values) if scale else 1.0
    return {key: _png(values / white), f"{key}_white": white}


def _white(values: Tensor) -> float:
    magnitudes = values.abs().flatten()
    rank = max(1, round(BRIGHTEST * len(magnitudes)))
    return float(magnitudes.kthvalue(rank).values) or 1.0


def _png(view: Tensor) -> str:
    """(H, W), or (3 or 4, H, W), of whose 4 channels both greens are averaged."""
    if view.ndim == 2:
        view = view.expand(3, -1, -1)
    elif len(view) == 4:
        view = torch.stack([view[0], (view[1] + view[2]) / 2, view[3]])
    top, left = (max(0, (length - MIDDLE) // 2) for length in view.shape[-2:])
    middle = view[:, top : top + MIDDLE, left : left + MIDDLE].float().clamp(0, 1)
    return base64.b64encode(encode(picture(middle), bits=8)).decode()
