"""The looks of white cells in a blood smear under a Wright-Giemsa stain, as numbers.

Their names are those of Raw-Microscopy: BAS basophil, EOS eosinophil, KSC smudge cell or debris,
LYA and LYT atypical and typical lymphocyte, MON monocyte, NGB and NGS band and segmented
neutrophil, UNC unclassifiable cell.
"""

from typing import NamedTuple

import numpy as np

Range = tuple[float, float]

# Optical density in R, G, B of a unit of each dye. Orange is the absorption of blue by hemoglobin
# and densely bound eosin; purple is azure and eosin together on chromatin (Romanowsky effect).
DYES = np.array(
    [
        [0.02, 0.30, 0.85],  # orange
        [0.04, 0.95, 0.40],  # eosin
        [0.95, 0.50, 0.10],  # azure
        [0.62, 1.05, 0.34],  # purple
    ],
    dtype=np.float32,
)


class Look(NamedTuple):
    """The look of a kind of white cell. Each cell is drawn uniformly from the ranges.

    radius: of the cell. cytoplasm, grain: their orange, eosin, azure and purple at full depth.
    grains: number of granules; grain_radius: micrometers; grain_strength: amount of dye in them;
    over_nucleus: share of a granule that is visible over the nucleus. chromatin: purple of the
    nucleus; clumps: their contrast, and size in micrometers. vacuoles: their number. ragged: how
    far the outline strays, micrometers.
    """

    radius: Range
    cytoplasm: tuple[float, float, float, float]
    grain: tuple[float, float, float, float]
    grains: Range
    grain_radius: Range
    grain_strength: Range
    over_nucleus: float
    chromatin: Range
    clumps: tuple[float, float]
    vacuoles: Range
    ragged: float = 0.0


LOOKS = {
    "NGS": Look(
        radius=(5.7, 7.2),
        cytoplasm=(0.01, 0.10, 0.015, 0.045),
        grain=(0.02, 0.10, 0.0, 0.16),
        grains=(90, 240),
        grain_radius=(0.16, 0.28),
        grain_strength=(0.5, 2.0),
        over_nucleus=0.15,
        chromatin=(0.95, 1.45),
        clumps=(0.22, 0.8),
        vacuoles=(0, 1.3),
    ),
    "LYT": Look(
        radius=(4.0, 6.6),
        cytoplasm=(0.0, 0.01, 0.27, 0.02),
        grain=(0.0, 0.1, 0.1, 0.3),
        grains=(0, 6),
        grain_radius=(0.2, 0.3),
        grain_strength=(0.5, 1.5),
        over_nucleus=0.0,
        chromatin=(1.0, 1.5),
        clumps=(0.20, 1.3),
        vacuoles=(0, 0.5),
    ),
    "MON": Look(
        radius=(6.0, 8.9),
        cytoplasm=(0.05, 0.05, 0.18, 0.05),
        grain=(0.0, 0.08, 0.0, 0.16),
        grains=(60, 200),
        grain_radius=(0.12, 0.22),
        grain_strength=(0.4, 1.5),
        over_nucleus=0.1,
        chromatin=(0.62, 1.0),
        clumps=(0.26, 0.7),
        vacuoles=(0, 9),
    ),
    "EOS": Look(
        radius=(5.6, 7.4),
        cytoplasm=(0.05, 0.10, 0.03, 0.03),
        grain=(0.46, 0.36, 0.0, 0.0),
        grains=(60, 220),
        grain_radius=(0.38, 0.56),
        grain_strength=(0.5, 1.2),
        over_nucleus=0.2,
        chromatin=(0.85, 1.3),
        clumps=(0.22, 0.9),
        vacuoles=(0, 1.3),
    ),
    "BAS": Look(
        radius=(5.0, 7.0),
        cytoplasm=(0.0, 0.06, 0.05, 0.07),
        grain=(0.0, 0.06, 0.2, 0.66),
        grains=(15, 110),
        grain_radius=(0.34, 0.62),
        grain_strength=(0.35, 1.25),
        over_nucleus=0.8,
        chromatin=(0.55, 0.9),
        clumps=(0.15, 1.2),
        vacuoles=(0, 4),
    ),
}
LOOKS["NGB"] = LOOKS["NGS"]  # except for its nucleus
LOOKS["LYA"] = Look(
    radius=(6.0, 8.6),
    cytoplasm=(0.0, 0.02, 0.30, 0.03),
    grain=(0.0, 0.1, 0.1, 0.3),
    grains=(0, 14),
    grain_radius=(0.2, 0.3),
    grain_strength=(0.5, 1.5),
    over_nucleus=0.0,
    chromatin=(0.75, 1.15),
    clumps=(0.26, 1.0),
    vacuoles=(0, 4),
    ragged=0.45,
)
LABELS = tuple(sorted([*LOOKS, "KSC", "UNC"]))
