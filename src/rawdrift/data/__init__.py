"""Raw images with their labels, and how they are split. Names are imported when first used."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from rawdrift.data.dataset import RawDataset
    from rawdrift.data.datasets import frames, load
    from rawdrift.data.spec import Data
    from rawdrift.data.tiles import cut, stitch

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "dataset": ["RawDataset"],
        "datasets": ["frames", "load"],
        "spec": ["Data"],
        "tiles": ["cut", "stitch"],
    },
)
