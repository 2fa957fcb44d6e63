"""Draw the cells of a blood smear, and what lies between them.

They are cartoons, but white cells differ in what a hematologist looks at: size, shape of the
nucleus, color of the cytoplasm, and size and color of the granules.
"""

import math
from typing import NamedTuple

import numpy as np

from rawdrift.data.synthetic.looks import Look, Range
from rawdrift.data.synthetic.nuclei import Nucleus, Rng, distance_to, remains
from rawdrift.data.synthetic.smear import Array, Smear
from rawdrift.data.synthetic.texture import hypot


class Cell(NamedTuple):
    """x, y, radius: micrometers. outline: signed distance to it, (H, W), negative inside."""

    x: float
    y: float
    radius: float
    outline: Array


def white_cell(smear: Smear, look: Look, nucleus: Nucleus) -> Cell:
    """Draw a white cell near the center."""
    rng = smear.rng
    x, y = (min(max(rng.normal(0, 0.9), -2), 2) for _ in range(2))
    radius = rng.uniform(*look.radius)
    u, v = smear.oval(x, y)
    outline = hypot(u, v) - radius
    if look.ragged:
        outline += look.ragged * smear.texture(2.6)
    body = smear.inside(outline)

    core = np.maximum(distance_to(nucleus(rng, radius), u, v), outline + 0.25)  # stays in its cell
    covered = smear.inside(core)
    depth = 1 - np.exp(np.minimum(core, 0) / 0.45)
    contrast, size = look.clumps
    clumps = np.clip(1 + contrast * smear.texture(size), 0.5, 1.4)
    chromatin = covered * (0.45 + 0.55 * depth) * clumps
    smear.stain((0.0, 0.0, 0.12, 1.0), chromatin * rng.uniform(*look.chromatin))

    # Like a fried egg: flat, and a little denser at the rim.
    dome = np.clip(-outline / radius, 0, 1) ** 0.3
    rim = np.exp(-(((outline + 0.4) / 0.45) ** 2))
    mottled = np.clip(1 + 0.18 * smear.texture(0.9), 0.3, None)
    cytoplasm = body * (0.25 + 0.75 * dome + 0.45 * rim) * mottled * (1 - 0.5 * covered)
    grains = smear.grains(_whole(rng, look.grains), look.grain_radius, x, y, 0.97 * radius)
    grains = np.tanh(grains) * body * (1 - (1 - look.over_nucleus) * covered)
    holes = smear.grains(_whole(rng, look.vacuoles), (0.25, 0.65), x, y, 0.9 * radius)
    kept = 1 - 0.75 * np.minimum(holes, 1)
    smear.stain(look.cytoplasm, cytoplasm * kept * rng.uniform(0.7, 1.35))
    smear.stain(look.grain, grains * kept * rng.uniform(*look.grain_strength))
    smear.thickness += body * dome
    return Cell(x, y, radius, outline)


def smudge(smear: Smear) -> Cell:
    """Draw the remains of a white cell that burst, or a heap of debris of about that size."""
    rng = smear.rng
    x, y = (min(max(rng.normal(0, 0.9), -2), 2) for _ in range(2))
    debris = rng.random() < 0.3
    radius = rng.uniform(2.5, 5.0) if debris else rng.uniform(4.5, 8.0)
    u, v = smear.oval(x, y)
    torn = 0.09 * radius * (smear.texture(2.4) + 0.5 * smear.texture(0.9))
    outline = distance_to(remains(rng, radius, pieces=7 if debris else 4), u, v) + torn
    soft = rng.uniform(0.25, 0.5) if debris else rng.uniform(0.5, 1.1)
    body = 1 / (1 + np.exp(np.clip(outline / soft, -20, 20)))
    strands = np.clip(1 + 0.28 * smear.texture(1.5) + 0.22 * smear.texture(0.5), 0.2, None)
    if debris:
        grains = np.tanh(smear.grains(60, (0.2, 0.5), x, y, 1.3 * radius))
        smear.stain((0.0, 0.06, 0.16, 0.12), body * strands * rng.uniform(0.6, 1.6))
        smear.stain((0.0, 0.0, 0.05, 0.5), grains * body * rng.uniform(0.3, 1.3))
    else:
        smear.stain((0.0, 0.05, 0.07, 0.75), body * strands * rng.uniform(0.5, 1.25))
    return Cell(x, y, radius, outline - soft)


def cover(smear: Smear, cell: Cell) -> None:
    """Cover a cell with precipitated dye, and put the lens out of focus: nobody could name it."""
    rng = smear.rng
    specks = smear.grains(int(rng.uniform(0, 40)), (0.15, 0.5), cell.x, cell.y, 1.4 * cell.radius)
    smear.stain((0.0, 0.1, 0.25, 0.6), np.tanh(specks))
    veil = 1 / (1 + np.exp(np.clip(cell.outline + smear.texture(3.0), -20, 20)))
    smear.stain((0.02, 0.08, 0.10, 0.12), veil * rng.uniform(0.2, 2.0))
    smear.defocus = rng.uniform(0.1, 0.5)


def red_cells(smear: Smear, white: Cell) -> None:
    """Draw biconcave disks that crowd around the white cell, and give way to it."""
    rng = smear.rng
    hemoglobin = rng.uniform(0.85, 1.15)
    for _ in range(int(rng.uniform(14, 60) * smear.area)):
        x, y = (rng.uniform(-smear.field / 2 - 2, smear.field / 2 + 2) for _ in range(2))
        radius = rng.normal(3.6, 0.22)
        near, crowd = rng.uniform(0.55, 1.0), rng.uniform(0.6, 1.05)
        if math.dist((x, y), (white.x, white.y)) < white.radius + near * radius:
            continue
        if any(math.dist((x, y), (a, b)) < crowd * (radius + r) for a, b, r in smear.red):
            continue
        smear.red.append((x, y, radius))
        window = smear.window(x, y, 1.35 * radius)
        u, v = smear.oval(x, y, window)
        q = (u * u + v * v) / radius**2
        # Thickness in micrometers as in Evans and Fung, Microvascular Research 4, 1972, except
        # for the pallor in the middle, which differs from cell to cell once they are dried.
        pallor = rng.uniform(0.1, 1.3)
        depth = np.sqrt(np.clip(1 - q, 0, None)) * (pallor + 7.83 * q - 4.39 * q * q)
        depth *= smear.inside(0.3 - white.outline[window])
        smear.stain((0.105, 0.115, 0.0, 0.008), depth * hemoglobin, window)
        smear.thickness[window] += 0.4 * depth


def platelets(smear: Smear, white: Cell) -> None:
    """Draw small disks with purple grains between the cells, and specks of precipitated dye."""
    rng = smear.rng
    cells = [(white.x, white.y, white.radius), *smear.red]
    for _ in range(int(rng.poisson(2.5 * smear.area))):
        x, y = (rng.uniform(-smear.field / 2, smear.field / 2) for _ in range(2))
        radius = rng.uniform(0.8, 1.5)
        if any(math.dist((x, y), (a, b)) < 0.9 * r + radius for a, b, r in cells):
            continue
        body = smear.inside(hypot(smear.x - x, smear.y - y) - radius)
        grains = np.tanh(smear.grains(14, (0.2, 0.35), x, y, 0.8 * radius))
        smear.stain((0.0, 0.05, 0.12, 0.10), body)
        smear.stain((0.0, 0.0, 0.0, 0.35), grains * body)
    specks = smear.grains(
        int(rng.poisson(1.5 * smear.area)), (0.12, 0.3), 0.0, 0.0, smear.field / 2
    )
    smear.stain((0.0, 0.0, 0.2, 0.8), specks)


def _whole(rng: Rng, between: Range) -> int:
    return int(rng.uniform(*between))
