"""A blur of light that was measured through a color filter array, within the pixels of a site."""

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from rawdrift.cfa import Pattern, layout
from rawdrift.checks import InputError
from rawdrift.neighborhood import NO_BLUR, extend

_LEAST = 1e-12  # variances below it are 0, where a square root has no slope
_CENTERED, _STEPS = 1e-13, 100  # pixels, of the mean of weights; until it is there


@final
class SiteBlur:
    """A Gaussian blur within the pixels of one site of a color filter array, of any period.

    A blurred pixel x is the mean of the site's pixels y around it, weighted by

        w(y) = exp(-|y - x - m|**2 / (2 sigma**2)),  with m such that sum_y w(y) (y - x) = 0

    so that flat light stays flat and a ramp stays a ramp, however unevenly the pixels are spread.
    Where they are a lattice, as in Bayer's array, m is 0. The weights reach 4 sigma or farther. At
    the borders the order of the cells is mirrored.

    sigma: standard deviation in pixels, (), above 0. weights: (K, K, 2R + 1, 2S + 1), for each of
    the K pixels of a cell: of each of them, R cells above to R below, S to the left to S to the
    right. Pixels are (..., K, N, M), by their place in the cell and by cells.
    """

    def __init__(self, sigma: Tensor, site: int, cfa: Pattern):
        self.cell = layout(cfa)[:2]
        self.cfa = cfa
        self.places = [(p.row, p.column) for p in layout(cfa).places if p.site == site]
        self.weights = self._weights(sigma.double().clamp(min=NO_BLUR))

    def _weights(self, sigma: Tensor) -> Tensor:
        offsets = []
        for size, at in zip(self.cell, zip(*self.places, strict=True), strict=True):
            # As far as `gaussian_taps` in a lattice; else there must be pixels on every side.
            reach = int(4 * float(sigma.detach()) / size + (0.5 if len(at) == 1 else 1))
            place = torch.tensor(at, device=sigma.device)
            steps = size * torch.arange(-reach, reach + 1, device=sigma.device)
            offsets.append((place - place[:, None])[..., None] + steps)
        down, right = offsets[0][..., :, None], offsets[1][..., None, :]
        far = torch.stack(torch.broadcast_tensors(down, right), -1).double()
        shape, far = far.shape[:-1], far.flatten(1, -2)  # (K, n, 2)
        fall = -0.5 * far.square().sum(-1) / sigma**2

        def share(tilt: Tensor) -> Tensor:
            return (fall + (far @ tilt[..., None])[..., 0]).softmax(-1)

        def better(tilt: Tensor) -> Tensor:
            """Newton's next step to the tilt (K, 2) that is m / sigma**2, of a convex problem."""
            weights = share(tilt)
            mean = (weights[..., None] * far).sum(1)
            with torch.no_grad():
                curvature = torch.einsum("kn,kna,knb->kab", weights, far, far)
                curvature = curvature - mean[:, :, None] * mean[:, None, :]
                inverse = torch.linalg.inv(curvature + _LEAST * torch.eye(2).to(curvature))
            step: Tensor = (inverse @ mean[..., None])[..., 0]
            length: Tensor = torch.linalg.vector_norm(step.detach(), dim=-1, keepdim=True)
            return tilt - step / length.clamp(min=1)

        with torch.no_grad():
            tilt = fall.new_zeros(len(fall), 2)
            for _ in range(_STEPS):
                if float((share(tilt)[..., None] * far).sum(1).abs().max()) < _CENTERED:
                    break
                tilt = better(tilt)
        weights: Tensor = share(better(tilt)).view(shape)
        return weights

    def gather(self, x: Tensor) -> Tensor:
        """Return the site's pixels of a mosaic (..., H, W). Cells that the lower or right border
        cuts are completed by those two above or to the left."""
        if any(have < 2 * size for have, size in zip(x.shape[-2:], self.cell, strict=True)):
            raise InputError(
                f"a blur needs two cells of {self.cfa} or more, {2 * self.cell[0]}x"
                f"{2 * self.cell[1]} pixels, got {x.shape[-2]}x{x.shape[-1]}"
            )
        for axis, size in zip((-2, -1), self.cell, strict=True):
            lines = torch.arange(-(-x.shape[axis] // size) * size, device=x.device)
            x = x.index_select(axis, torch.where(lines < x.shape[axis], lines, lines - 2 * size))
        height, width = self.cell
        return torch.stack([x[..., r::height, c::width] for r, c in self.places], -3)

    def scatter(self, pixels: Tensor, x: Tensor) -> None:
        """Put the site's pixels into a mosaic (..., H, W)."""
        for k, (row, column) in enumerate(self.places):
            target = x[..., row :: self.cell[0], column :: self.cell[1]]
            target[...] = pixels[..., k, : target.shape[-2], : target.shape[-1]]

    def __call__(self, light: Tensor) -> Tensor:
        """Return the blurred pixels."""
        rows, columns = (size // 2 for size in self.weights.shape[-2:])
        wide = extend(light, rows, columns)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            mean = F.conv2d(wide.reshape(-1, *wide.shape[-3:]), self.weights.to(wide))
        return mean.view(light.shape)

    def taken(self, noise: Tensor) -> Tensor:
        """Return the part of white noise that the blur B takes, L noise with L L' = 1 - B B'.

        Borders are periodic.
        """
        sizes = self.weights.shape[-2:]
        lines = (
            torch.fft.fftfreq(noise.shape[-2], dtype=torch.float64),
            torch.fft.rfftfreq(noise.shape[-1], dtype=torch.float64),
        )
        waves = []
        for size, frequencies in zip(sizes, lines, strict=True):
            cells = torch.arange(size) - size // 2
            waves.append(torch.exp(2j * torch.pi * frequencies[:, None] * cells).to(noise.device))
        transfer = torch.einsum("jkab,na,mb->nmjk", self.weights.to(waves[0]), *waves)
        left = torch.eye(len(self.places)).to(transfer) - transfer @ transfer.mH
        spectrum = torch.fft.rfft2(noise)
        spectrum = torch.einsum("nmjk,...knm->...jnm", _factor(left).to(spectrum), spectrum)
        filtered: Tensor = torch.fft.irfft2(spectrum, s=noise.shape[-2:])
        return filtered


def _factor(covariance: Tensor) -> Tensor:
    """Return Cholesky's L of L L* = covariance (..., K, K), which may be singular."""
    columns = []
    for k in range(covariance.shape[-1]):
        pivot = covariance[..., 0, 0].real
        column = covariance[..., :, 0] * (root(pivot) / pivot.clamp(min=_LEAST))[..., None]
        columns.append(F.pad(column, (k, 0)))
        rest = column[..., 1:]
        covariance = covariance[..., 1:, 1:] - rest[..., :, None] * rest[..., None, :].conj()
    return torch.stack(columns, -1)


def root(variance: Tensor) -> Tensor:
    """Return the standard deviation; where a variance is 0 or less, 0 without a slope."""
    return torch.where(variance > _LEAST, variance, _LEAST).sqrt() * (variance > _LEAST)
