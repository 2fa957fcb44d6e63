"""Predict whole frames of any size by tiles."""

import numpy as np
import torch
from torch import Tensor, nn

from rawdrift.checks import InputError
from rawdrift.data.tiles import PERIOD, SIZE, cut, period, stitch
from rawdrift.models.evaluate import AT_ONCE


def predict(
    net: nn.Module, isp: nn.Module, mosaic: Tensor, tile: int = SIZE, stride: int | None = None
) -> Tensor:
    """Return the logits (C, H, W) of a whole frame, predicted by tiles.

    net: views (n, 3, H, W) to logits (n, C, H, W), in evaluation mode. isp: mosaics (n, H, W) to
    views, such as one of `rawdrift.isp`. mosaic: (H, W), as `isp` takes it. tile, stride: pixels,
    as in `Data`: each pixel is taken from the tile in which it lies farther from the edge.

    Raises InputError if the network's logits are not one for each pixel of a tile.
    """
    if net.training:
        raise InputError("net is in training mode, expected evaluation mode: call net.eval()")
    device = next((value.device for value in net.state_dict().values()), torch.device("cpu"))
    repeat = next((period(str(step.cfa)) for step in isp.modules() if hasattr(step, "cfa")), PERIOD)
    tiles = torch.from_numpy(cut(mosaic.cpu().numpy(), tile, stride, repeat))
    logits = []
    with torch.inference_mode():
        for part in tiles.split(AT_ONCE):
            answer = net(isp(part.to(device)).float())
            if answer.ndim != 4 or answer.shape[-2:] != (tile, tile):
                raise InputError(
                    f"net gives logits {tuple(answer.shape)} for {len(part)} tiles of {tile}x"
                    f"{tile} pixels, expected (n, classes, {tile}, {tile}): only answers of pixels "
                    f"can be stitched together"
                )
            logits.append(answer.float().cpu().numpy())
    return torch.from_numpy(stitch(np.concatenate(logits), mosaic.shape, stride, repeat))
