"""Common corruptions (Hendrycks and Dietterich, ICLR 2019): noise, blur, fog, color and files.

corrupted = corrupt(views, "gaussian_noise", severity=3, seeds=range(len(views)))

They follow the code that made CIFAR-10-C and ImageNet-C, its borders included, but that they take
images of any shape and do not round to 8 bits (the published data are cut to whole levels, and so
half a level darker). Frost, which needs pictures, snow and spatter are left out. The package
`imagecorruptions` has the same but for an elastic transform of its own.
"""

from rawdrift.corruptions.table import corrupt
from rawdrift.severities import LEVELS, NAMES, PAPER, TABLES

__all__ = ["LEVELS", "NAMES", "PAPER", "TABLES", "corrupt"]
