"""Views through JPEG files, by libjpeg."""

import numpy as np
import torch
from imagecodecs import jpeg8_decode, jpeg8_encode
from torch import Tensor


def compressed(views: Tensor, quality: int, subsampling: str) -> Tensor:
    """Return views (..., 3, H, W) in [0, 1] as JPEG files of 8 bits give them back."""
    pixels = (views.detach() * 255).round().to("cpu", torch.uint8).movedim(-3, -1)
    images = pixels.reshape(-1, *pixels.shape[-3:]).contiguous().numpy()
    decoded = [
        jpeg8_decode(jpeg8_encode(image.copy(), level=quality, subsampling=subsampling))
        for image in images
    ]
    together = torch.from_numpy(np.stack(decoded)).view(pixels.shape)
    return together.movedim(-1, -3).to(views) / 255
