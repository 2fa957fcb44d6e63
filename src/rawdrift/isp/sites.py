"""Where a mosaic measures each color."""

from typing import NamedTuple

import torch
from torch import Tensor

from rawdrift.cfa import PATTERNS, Bayer, Pattern, is_bayer, layout, offsets, pattern, sites_of_cell
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


def of_cell(cfa: Pattern) -> Tensor:
    """Return `sites_of_cell` as a tensor (height, width)."""
    return torch.tensor(sites_of_cell(cfa))


def tiled(cell: Tensor, height: int, width: int) -> Tensor:
    """Return the numbers of a cell for a mosaic of this size."""
    rows, columns = cell.shape
    return cell.repeat(-(-height // rows), -(-width // columns))[:height, :width]


def check_numbers(name: str, numbers: Tensor, cfa: Pattern) -> None:
    """Raise InputError unless there is a number for each site of the pattern."""
    sites = layout(cfa).sites
    if len(numbers) != len(sites):
        raise InputError(
            f"{name} must have {len(sites)} numbers, of {', '.join(sites)} of {cfa}, got "
            f"{len(numbers)}"
        )
