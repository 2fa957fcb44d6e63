"""Common corruptions (Hendrycks and Dietterich, ICLR 2019): noise, blur, fog, color and files.

corrupted = corrupt(views, "gaussian_noise", severity=3, seeds=range(len(views)))

They follow the code that made CIFAR-10-C and ImageNet-C, including its borders, except that they
take images of any shape and do not round to 8 bits (the published data are cut to whole levels, and
so half a level darker), and that frost grows from random numbers instead of being cut from
photographs. The package `imagecorruptions` has the same corruptions, except for its own elastic
transform.

A corruption of your own is a function with the decorator `corruption`, which states its severities;
import:package.module.name names it wherever the name of a corruption is accepted.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from rawdrift.corruptions.apply import corrupt
    from rawdrift.corruptions.declaration import Corruption, corruption
    from rawdrift.corruptions.table import LEVELS, NAMES, PAPER, TABLES

__getattr__, __dir__, __all__ = lazy_loader.attach(  # names need no torch
    __name__,
    submod_attrs={
        "apply": ["corrupt"],
        "declaration": ["Corruption", "corruption"],
        "table": ["LEVELS", "NAMES", "PAPER", "TABLES"],
    },
)
