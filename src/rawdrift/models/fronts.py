"""Fronts without an ISP of rawdrift: packed raw values, and a network in place of the ISP."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rawdrift.camera.camera import Camera
from rawdrift.camera.read import to_unit
from rawdrift.cfa import is_bayer, offsets
from rawdrift.checks import InputError
from rawdrift.imports import need
from rawdrift.isp.black_level import BlackLevel
from rawdrift.isp.engines import engine
from rawdrift.isp.normalized_convolution import demosaicing
from rawdrift.isp.pipeline import Pipeline
from rawdrift.models.chain import Develop, Front, Normalize
from rawdrift.models.networks import Padded
from rawdrift.neighborhood import extend


class Packed(Front):
    """Raw values without ISP: mosaics (N, H, W) to (N, channels, H / 2, W / 2).

    The black level is subtracted. An odd size is extended by a mirrored line.

    channels: 3 (R, the mean of both G, and B of each 2x2 cell), or 4 (R, G in red rows, G in blue
        rows, and B).
    """

    factor = 2
    least_std = 2.0**-16  # raw values of little light vary by little

    def __init__(self, cameras: Sequence[Camera], channels: int = 3):
        super().__init__()
        self.channels = channels
        self.cameras = tuple(cameras)
        for camera in cameras:
            if not is_bayer(camera.cfa):
                raise InputError(
                    f"raw values are packed from Bayer cells, but camera {camera.name!r} has the "
                    f"color filter array {camera.cfa}; leave out the setting direct"
                )
        self.black_levels = nn.ModuleList(
            BlackLevel(camera.cfa, camera.black_level, camera.white_level) for camera in cameras
        )

    def forward(self, mosaics: Tensor, camera_index: Tensor) -> Tensor:
        height, width = mosaics.shape[-2:]
        cells = mosaics.new_empty(
            len(mosaics), 4, (height + 1) // 2, (width + 1) // 2, dtype=torch.float32
        )
        for index, (camera, black_level) in enumerate(
            zip(self.cameras, self.black_levels, strict=True)
        ):
            of_camera = camera_index == index
            x = black_level(to_unit(mosaics[of_camera], camera.bit_depth))
            x = extend(x, height % 2, width % 2)[..., height % 2 :, width % 2 :]
            sites = [x[..., row::2, column::2] for row, column in offsets(camera.cfa)]
            cells[of_camera] = torch.stack(sites, dim=-3).to(cells)
        if self.channels == 4:
            return cells
        red, green, other_green, blue = cells.unbind(dim=1)
        return torch.stack([red, (green + other_green) / 2, blue], dim=1)


class _StepByStep(Develop):
    """Pipelines that are never fused: the last bits of their views, which a training of a network
    from scratch amplifies, are the same in every release."""

    def forward(self, mosaics: Tensor, camera_index: Tensor) -> Tensor:
        with engine("eager"):
            return super().forward(mosaics, camera_index)


class NeuralISP(Front):
    """A small U-Net++ (Zhou et al. 2018) in place of the ISP, as in the authors' third way of
    processing: mosaics (N, H, W) to views (N, 3, H, W) in [0, 1].

    Its input is the mosaic without its black level, demosaiced bilinearly and normalized. The
    encoder is the first two stages of a ResNet18, by segmentation-models-pytorch.
    """

    def __init__(self, cameras: Sequence[Camera]):
        super().__init__()
        self.develop = _StepByStep(
            [
                Pipeline(
                    {
                        "black_level": BlackLevel(c.cfa, c.black_level, c.white_level),
                        "demosaic": demosaicing(c.cfa),
                    },
                    c.bit_depth,
                )
                for c in cameras
            ]
        )
        self.normalize = Normalize.fixed("none")
        smp = need("segmentation_models_pytorch", "models")
        self.net = Padded(
            smp.UnetPlusPlus(
                "resnet18",
                encoder_depth=3,
                encoder_weights=None,
                decoder_channels=(64, 32, 16),
                classes=3,
            )
        )

    def forward(self, mosaics: Tensor, camera_index: Tensor) -> Tensor:
        raw = self.normalize(self.develop(mosaics, camera_index))
        views: Tensor = self.net(raw).float()
        return views.sigmoid()


class Upsampled(nn.Module):
    """A network whose logits (N, C, h, w) are interpolated bilinearly to the size of the masks."""

    def __init__(self, net: nn.Module, size: tuple[int, int]):
        super().__init__()
        self.net = net
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.size
        logits = self.net(x).float()
        whole = (2 * logits.shape[-2], 2 * logits.shape[-1])
        logits = F.interpolate(logits, whole, mode="bilinear", align_corners=False)
        return logits[..., :height, :width]


def widen(net: nn.Module) -> None:
    """Let a network for R, G and B take R, G, G and B, with the same logits where both G are equal.

    The weights of its first convolution are changed in place. Raises InputError if that does not
    have three channels.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            if module.in_channels != 3 or module.groups != 1:
                break
            with torch.no_grad():
                red, green, blue = module.weight.unbind(dim=1)
                module.weight = nn.Parameter(
                    torch.stack([red, green / 2, green / 2, blue], dim=1).clone()
                )
            module.in_channels = 4
            return
    raise InputError(
        "optimization.direct_channels 4 needs a network that begins with a convolution of three "
        "channels; choose 3"
    )
