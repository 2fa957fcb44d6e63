"""Synthetic micrographs: blood smears as the microscope of Raw-Microscopy would record them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from rawdrift.camera.camera import Camera, Noise
from rawdrift.checks import choose
from rawdrift.data.dataset import RawDataset
from rawdrift.data.spec import Data
from rawdrift.data.synthetic import cells
from rawdrift.data.synthetic.expose import Shots, check_order, record, seeded
from rawdrift.data.synthetic.looks import LABELS, LOOKS
from rawdrift.data.synthetic.nuclei import NUCLEI, Rng
from rawdrift.data.synthetic.smear import Smear
from rawdrift.sensor import Sensor

# Levels, white balance and color matrix as published. The files' gain is not: their channels were
# rescaled one by one. So the synthetic sensor fills its 16 bits with the full well of that camera.
CAMERA = replace(
    Camera.load("raw-microscopy"),
    name="synthetic-microscopy",
    noise=Noise(gain=2.18, read_noise=1.4),
    provenance=(
        "Camera raw-microscopy, with the noise that the data sheet of the PCO edge 5.5 gives: full "
        "well of 30,000 electrons over 16 bits, read noise of 1.4 electrons rms"
    ),
)

# Images of each class in Raw-Microscopy: the proportions of Table 12 times its 940 images.
COUNTS = {
    "BAS": 18,
    "EOS": 54,
    "KSC": 163,
    "LYA": 30,
    "LYT": 230,
    "MON": 191,
    "NGB": 8,
    "NGS": 216,
    "UNC": 30,
}


def load(spec: Data) -> RawDataset:
    """Return the images that a spec describes."""
    return make(spec.images or 0, spec.size or 0, spec.seed or 0, bool(spec.balanced))


def make(images: int, size: int = 96, seed: int = 0, balanced: bool = False) -> RawDataset:
    """Return `images` raw mosaics of `size` x `size` pixels with labels and masks (white cell 1).

    The nine classes come as often as in Raw-Microscopy, so that a few hundred images hold all of
    them, or, balanced, all equally often. Image i of a seed is the same, however many are made.
    """
    check_order(images, size, seed)
    labels = _order(dict.fromkeys(LABELS, 1) if balanced else COUNTS, images, seed)
    classes = tuple(sorted(set(labels)))

    def shoot(i: int) -> Shots:
        rng = seeded(seed, 0, i)
        yield i, rng, *scene(labels[i], rng, size)

    return record(
        shoot,
        images,
        images,
        size,
        seed,
        CAMERA,
        Sensor(CAMERA),
        classes=classes,
        labels=torch.tensor([classes.index(label) for label in labels]),
    )


def scene(label: str, seed: int | Rng, size: int = 96) -> tuple[Tensor, Tensor]:
    """Return the light of one smear, and the place of its white cell.

    label: one of `LABELS`. seed: or the generator to draw from. size: pixels along a side.
    Returns linear RGB (3, size, size) float32 in [0, 1], and a mask (size, size) bool.
    """
    choose("white cell", label, LABELS)
    rng = np.random.default_rng(seed)
    smear = Smear(rng, size)
    if label == "KSC":
        cell = cells.smudge(smear)
    elif label == "UNC":  # between two kinds, and badly seen
        look, nucleus = rng.choice(tuple(LOOKS), 2, replace=False)
        cell = cells.white_cell(smear, LOOKS[look], NUCLEI[nucleus])
        cells.cover(smear, cell)
    else:
        cell = cells.white_cell(smear, LOOKS[label], NUCLEI[label])
    cells.red_cells(smear, cell)
    cells.platelets(smear, cell)
    return smear.light(), torch.from_numpy(cell.outline < 0)


def _order(shares: Mapping[str, int], images: int, seed: int) -> list[str]:
    """Return the labels of the images, whose first ones already follow the shares closely.

    Each label in turn is the one that lags behind its share the most; then nine at a time are
    shuffled, so that the next one can't be predicted.
    """
    lag, total = dict.fromkeys(shares, 0), sum(shares.values())
    turns = -(-images // len(shares))
    labels = []
    for turn in range(turns):
        dealt = []
        for _ in shares:
            for label, share in shares.items():
                lag[label] += share
            dealt.append(max(lag, key=lag.__getitem__))
            lag[dealt[-1]] -= total
        labels += [dealt[i] for i in seeded(seed, 1, turn).permutation(len(dealt))]
    return labels[:images]
