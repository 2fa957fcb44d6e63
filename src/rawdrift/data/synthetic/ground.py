"""The ground of a piece of an aerial photograph: patches of materials, one over the other."""

from collections.abc import Iterable
from functools import reduce

import numpy as np

from rawdrift.data.synthetic.floats import remainder
from rawdrift.data.synthetic.materials import MATERIALS
from rawdrift.data.synthetic.shapes import Window, inside
from rawdrift.data.synthetic.texture import Array, Rng, texture
from rawdrift.data.synthetic.things import Patch

_STEP = 8  # pixels between those that tell where a patch may be
_SCALES = (6.0, 1.5, 0.4)  # of broad, mid and fine texture, meters


class Ground:
    """All lengths in meters; u, v: of its pixels along and across the roads, (H, W).

    albedo: reflectance (3, H, W), of a meadow until something is laid over it. noise: broad, mid
    and fine texture, and grain: from pixel to pixel.
    """

    def __init__(self, u: Array, v: Array, gsd: float, rng: Rng):
        self.u, self.v, self.gsd = u, v, gsd
        rows, columns = (((np.arange(n) + 0.5) * gsd).astype(np.float32) for n in u.shape)
        self.noise = [texture(rng, rows, columns, scale) for scale in _SCALES]
        self.grain = rng.standard_normal(u.shape, dtype=np.float32)
        broad, mid, fine = self.noise
        self._turns = np.clip(0.5 + 0.5 * mid + 0.4 * broad, 0, 1)
        self._strays = float((0.7 * mid + 0.5 * fine).min())  # ragged edges, outwards at most
        self._reach = [(float(at.min()) - 1, float(at.max()) + 1) for at in (u, v)]
        self._materials: dict[str, Array] = {}  # as far as there are any here
        self.albedo = self._material("meadow").copy()

    def near(self, patches: Iterable[Patch]) -> list[Patch]:
        """What of patches may be seen here."""
        (left, right), (near, far) = self._reach
        return [
            patch
            for patch in patches
            if patch.u[0] <= right
            and patch.u[1] >= left
            and patch.v[0] <= far
            and patch.v[1] >= near
        ]

    def lay(self, patch: Patch) -> None:
        """Put a patch on the ground."""
        window = self._about(patch)
        if window is None:
            return
        distance = self.outside(patch, window)
        if patch.dash:
            period, long = patch.dash
            along = remainder(self.u[window] - patch.u[0], period)
            np.maximum(distance, np.abs(along - long / 2) - long / 2, out=distance)
        _, mid, fine = (layer[window] for layer in self.noise)
        if patch.ragged:
            distance += patch.ragged * (0.7 * mid + 0.5 * fine)
        cover = inside(distance, self.gsd)
        if patch.material == "paint":  # worn
            cover *= np.clip(0.75 + 0.25 * mid + 0.2 * fine, 0.1, 1)
        rows, columns = (np.flatnonzero(cover.any(axis=axis)) for axis in (1, 0))
        if len(rows):
            there = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            below = self.albedo[:, *window][:, *there]
            material = self._material(patch.material)[:, *window][:, *there]
            below += cover[there] * (patch.tint * material - below)

    def outside(self, patch: Patch, window: Window) -> Array:
        """How far points of a window are outside of a patch; negative inside."""
        deepest = -min(patch.u[1] - patch.u[0], patch.v[1] - patch.v[0]) / 2
        edges = []
        for at, (begin, end), (low, high) in zip(
            (self.u, self.v), (patch.u, patch.v), self._reach, strict=True
        ):
            # An edge of which no point is nearer than that is the nearest one of none.
            if begin - low > deepest:
                edges.append(begin - at[window])
            if high - end > deepest:
                edges.append(at[window] - end)
        distance: Array = reduce(np.maximum, edges)
        return distance.astype(self.v.dtype, copy=False)  # whichever edges count

    def _about(self, patch: Patch) -> Window | None:
        """Rows and columns that a patch may cover, from a look at every eighth; None if none."""
        there = self.outside(patch, (slice(None, None, _STEP), slice(None, None, _STEP)))
        near = there < 2 * _STEP * self.gsd - patch.ragged * self._strays
        rows, columns = (np.flatnonzero(near.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return None
        return (
            slice(max(0, (rows[0] - 1) * _STEP), (rows[-1] + 1) * _STEP + 1),
            slice(max(0, (columns[0] - 1) * _STEP), (columns[-1] + 1) * _STEP + 1),
        )

    def _material(self, name: str) -> Array:
        """Reflectance (3, H, W) of ground that is all of one material."""
        if name not in self._materials:
            kind = MATERIALS[name]
            broad, mid, fine = self.noise
            contrast = 1 + kind.broad * broad + kind.mid * mid + kind.fine * fine
            contrast += kind.grain * self.grain
            if kind.rows:
                period, depth = kind.rows
                contrast += depth * np.sin((2 * np.pi / period) * (self.v + 0.05 * mid))
            np.maximum(contrast, 0.05, out=contrast)
            made = np.empty((3, *contrast.shape), np.float32)
            for plane, color, other in zip(made, kind.color, kind.other, strict=True):
                np.multiply(self._turns, other - color, out=plane)
                plane += color
                plane *= contrast
            self._materials[name] = made
        return self._materials[name]
