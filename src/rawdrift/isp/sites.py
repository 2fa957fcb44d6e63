"""Where a mosaic measures each color."""

from typing import NamedTuple

import torch
from torch import Tensor

from rawdrift.cfa import PATTERNS, Bayer, is_bayer, offsets, pattern
from rawdrift.checks import InputError
from rawdrift.isp.number import Option


def _bayer(name: str, value: object) -> str:
    cfa = pattern(value, name)
    if not is_bayer(cfa):
        raise InputError(
            f"{name} is {cfa}, expected a Bayer pattern ({', '.join(PATTERNS)}); "
            f"all others are demosaiced by normalized convolution: choose one of bi,s,me bi,s,ga "
            f"bi,u,me bi,u,ga, in synthesis for both train and test"
        )
    return cfa


BAYER_OPTION = Option(camera="cfa", check=_bayer)
CFA_OPTION = Option(camera="cfa", check=lambda name, value: pattern(value, name))


class Sites(NamedTuple):
    """Where each color is measured: (H, W) booleans."""

    red: Tensor
    green_in_red_rows: Tensor
    green_in_blue_rows: Tensor
    blue: Tensor

    @classmethod
    def of(cls, pattern: Bayer, mosaic: Tensor) -> "Sites":
        height, width = mosaic.shape[-2:]
        cells = torch.zeros(4, 2, 2, dtype=torch.bool, device=mosaic.device)
        for cell, at in zip(cells, offsets(pattern), strict=True):
            cell[at] = True
        return cls(*cells.repeat(1, (height + 1) // 2, (width + 1) // 2)[:, :height, :width])
