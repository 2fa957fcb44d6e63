"""Common corruptions (Hendrycks and Dietterich, ICLR 2019): noise, blur, fog, color and files.

corrupted = corrupt(views, "gaussian_noise", severity=3, seeds=range(len(views)))
"""

from rawdrift.corruptions.table import corrupt
from rawdrift.severities import LEVELS, NAMES, PAPER, TABLES

__all__ = ["LEVELS", "NAMES", "PAPER", "TABLES", "corrupt"]
