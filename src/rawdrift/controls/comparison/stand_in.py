"""A fitted ISP in place of a black box, whose steps nobody can switch."""

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift import files, progress
from rawdrift.camera.read import to_unit
from rawdrift.checks import InputError
from rawdrift.controls.comparison.result import StandIn
from rawdrift.controls.material import Material
from rawdrift.data.splits import Split
from rawdrift.isp import file
from rawdrift.isp.external import External, cache
from rawdrift.isp.fitting import fit
from rawdrift.isp.pipeline import Pipeline
from rawdrift.runs import codec

FITTED = 24
"""Images that a stand-in is fitted to, at most."""
_SHARE = 8  # of the tested images, at most one in so many is taken out of the test
_FORMAT = "1"


def hold_out(material: Material, seed: int) -> tuple[Material, NDArray[np.int64]]:
    """Return the material with some images in no test, and these images, sorted.

    They are images that no test uses anyway, if there are enough, or else taken from the tests, in
    whole groups.
    """
    rng = np.random.default_rng(seed)
    tested = material.tested
    idle = np.setdiff1d(np.arange(len(material.data)), tested)
    if len(idle) >= FITTED:
        return material, np.sort(rng.choice(idle, FITTED, replace=False))
    group = material.clusters(tested)
    sizes = np.bincount(group)
    most = min(FITTED, max(1, len(tested) // _SHARE))
    chosen: list[int] = []
    for one in rng.permutation(len(sizes)).tolist():
        if sizes[chosen].sum() >= most or len(chosen) == len(sizes) - 1:
            break
        chosen.append(one)
    held = tested[np.isin(group, chosen)]
    splits = [Split(one.train, np.setdiff1d(one.test, held)) for one in material.splits]
    return material._replace(splits=splits), np.sort(rng.permutation(held)[:FITTED])


def stand_in(box: External, material: Material, images: NDArray[np.int64], seed: int) -> StandIn:
    """Fit an ISP to the views of a black box of some images; it is kept in the user's cache.

    Where that is impossible, `why` of the result says so.
    """
    data = material.data
    mosaics = to_unit(data.mosaics[torch.from_numpy(images)], box.bit_depth)
    names = [data.images[i] for i in images.tolist()]
    path = cache().parent / "fits" / f"{_key(box, mosaics, seed)}.json"
    try:
        return codec.decode(path.read_bytes(), StandIn, str(path))
    except (OSError, InputError):
        pass
    groups = None if data.groups is None else [data.groups[i] for i in images.tolist()]
    try:
        with progress.step(f"fitting an ISP to {box.reference}"):
            found = fit(mosaics, box.views(mosaics, names), box.camera, groups, seed)
    except InputError as error:
        return StandIn(reference=box.reference, images=len(images), why=str(error))
    made = StandIn(
        reference=box.reference,
        images=len(images),
        isp=file.to_toml(found.isp, found.camera),
        psnr=found.psnr,
        delta_e=found.delta_e,
        warnings=[*found.warnings],
    )
    files.write(path, codec.encode(made))
    return made


def _key(box: External, mosaics: Tensor, seed: int) -> str:
    from rawdrift import __version__

    digest = hashlib.sha256(f"{_FORMAT} {__version__} {box.identity} {seed}".encode())
    digest.update(box.camera.to_toml().encode())
    digest.update(mosaics.contiguous().numpy().data)
    return digest.hexdigest()


def pipeline(made: StandIn) -> Pipeline | None:
    """Return the fitted ISP, None if there is none."""
    return file.from_toml(made.isp, made.reference)[1] if made.isp else None


class Rest:
    """What a stand-in leaves unexplained of a black box's views: their difference.

    It remembers the last mosaics, whose rest many ISPs need in turn.
    """

    def __init__(self, box: External, fitted: Pipeline):
        self.box, self.fitted = box, fitted
        self._last: tuple[Tensor, Tensor] | None = None

    def of(self, mosaics: Tensor) -> Tensor:
        """Return the rest (..., 3, H, W) of mosaics (..., H, W)."""
        if self._last is None or self._last[0] is not mosaics:
            source = mosaics.cpu()
            rest = self.box(source).float() - self.fitted(source).float()
            self._last = mosaics, rest.to(mosaics.device)
        return self._last[1]


class WithRest(Pipeline):
    """A pipeline to whose views (..., 3, H, W) the rest of a stand-in is added."""

    def __init__(self, isp: Pipeline, rest: Rest):
        super().__init__(isp.steps, isp.bit_depth)
        self._rest = rest

    def forward(self, mosaic: Tensor) -> Tensor:
        return (super().forward(mosaic) + self._rest.of(mosaic)).clamp(0, 1)
