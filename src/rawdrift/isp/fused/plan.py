"""The numbers of kernels, from those of the steps that are fused. For every engine: no torch here.

Every stage is optional but demosaicing; a missing one is skipped. A step's class is known by its
name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from rawdrift.cfa import Pattern, offsets, sites_of_cell
from rawdrift.isp.constants import YUV_FROM_RGB

Array = np.ndarray[Any, Any]
GIVEN = "given"
"""In place of a demosaicing: the stages behind it, on a view."""


class CannotFuseError(Exception):
    """Says why a pipeline has to run step by step."""


class Layout(NamedTuple):
    """The steps and options of a pipeline, without its numbers."""

    demosaic: str
    sharpen: str | None
    denoise: str | None
    gamma: bool
    luma: bool  # whether sharpening and denoising act on Y alone
    cfa: Pattern
    black_cfa: Pattern | None  # that of the black level, if there is one
    white: float | None

    @property
    def filters(self) -> bool:
        """Whether there is sharpening or denoising."""
        return self.sharpen is not None or self.denoise is not None


class Numbers(NamedTuple):
    """The numbers of the kernels of every engine, float64 tensors or arrays; empty without such a
    stage."""

    black: Any  # (2, 2), by row and column parity
    span: Any  # (2, 2): white minus black, or ones
    kernels: Any  # of demosaicing
    color: Any  # (3, 3): white balance, then color correction
    sharpen: Any  # (3, 3): sharpening filter
    blur: Any  # (L,): the unsharp mask's Gaussian, center and one side
    amount: Any  # (): of the unsharp mask
    denoise: Any  # (5, 5)
    exponent: Any  # (): 1 / gamma


def numbers(layout: Layout, values: Mapping[str, Any], constant: Callable[[Array], Any]) -> Numbers:
    """The numbers of kernels.

    values: of the steps, by stage and name, such as "gamma.gamma": float64 tensors, which carry
    gradients back to them, or arrays. In place of its radius the unsharp mask has "sharpen.taps",
    those of its Gaussian. constant: makes such a tensor, or array, of an array.
    """
    none = constant(np.zeros(0))
    black, span = constant(np.zeros((2, 2))), constant(np.ones((2, 2)))
    if layout.black_cfa is not None:
        black = values["black_level.level"][_sites(layout.black_cfa)]
        span = span if layout.white is None else layout.white - black
    matrix, gains = values.get("color_correction.matrix"), values.get("white_balance.gains")
    if matrix is None:
        matrix = constant(np.eye(3))
    taps = values.get("sharpen.taps", none)
    return Numbers(
        black=black,
        span=span,
        kernels=values.get("demosaic.kernels", none),
        color=matrix if gains is None else matrix * gains,
        sharpen=values.get("sharpen.kernel", none),
        blur=taps[len(taps) // 2 :],
        amount=values.get("sharpen.amount", none),
        denoise=values.get("denoise.kernel", none),
        exponent=1 / values["gamma.gamma"] if layout.gamma else none,
    )


@cache
def _sites(cfa: Pattern) -> Array:
    return np.array(sites_of_cell(cfa))


def numbers_back(layout: Layout, values: Mapping[str, Array], of: Numbers) -> dict[str, Array]:
    """Gradients of the values that `numbers` takes from those of its result, all of them arrays."""
    found = {
        "demosaic.kernels": of.kernels,
        "sharpen.kernel": of.sharpen,
        "sharpen.amount": of.amount,
        "denoise.kernel": of.denoise,
    }
    if layout.black_cfa is not None:
        of_level = of.black if layout.white is None else of.black - of.span
        found["black_level.level"] = np.bincount(_sites(layout.black_cfa).ravel(), of_level.ravel())
    matrix, gains = (
        values.get(name) for name in ("color_correction.matrix", "white_balance.gains")
    )
    if matrix is not None:
        found["color_correction.matrix"] = of.color if gains is None else of.color * gains
    if gains is not None:
        found["white_balance.gains"] = (of.color * (np.eye(3) if matrix is None else matrix)).sum(0)
    if "sharpen.taps" in values:
        side = len(values["sharpen.taps"]) // 2  # the kernels' Gaussian may have more
        found["sharpen.taps"] = np.concatenate([np.zeros(side), of.blur[: side + 1]])
    if layout.gamma:
        found["gamma.gamma"] = -of.exponent / values["gamma.gamma"] ** 2
    return {name: found[name] for name in values if name in found}


# The plan of the engine on the CPU


@dataclass(frozen=True, eq=False)
class Plan:
    """The layout and the numbers of one pipeline, float64 where not said otherwise.

    One object for the same numbers, for as long as they are in use.
    """

    layout: Layout
    values: Mapping[str, Array]  # those that `numbers` took, and perhaps others
    black: Array  # (2, 2), by row and column parity
    span: Array  # (2, 2): white minus black, or ones
    chroma: Array  # (2,) int64: parity of the columns that are not green in even and in odd rows
    red_row: int  # parity of the rows with red
    kernels: Array  # of demosaicing
    color: Array  # (3, 3): white balance, then color correction
    planes: Array  # (P, 3): demosaiced colors to the P planes that are filtered
    sharpen: Array  # (3, 3)
    blur: Array  # (5,) or (9,): the unsharp mask's Gaussian, center and one side
    amount: float
    denoise: Array  # (5, 5)
    lines: Array  # (2, 5): along columns and rows where the kernel is their product, or zeros
    exponent: float


def plan(layout: Layout, values: Mapping[str, Array]) -> Plan:
    """The plan of these numbers, which are finite, see `numbers`; CannotFuseError where there is
    none."""
    these = numbers(layout, values, np.asarray)
    exponent = float(these.exponent) if layout.gamma else 1.0
    if not ((these.span > 0).all() and 0.02 <= exponent <= 50):
        raise CannotFuseError(
            "its gamma is not between 0.02 and 50, or a black level is not below the white level"
        )
    red, _, _, blue = offsets(layout.cfa)
    planes = YUV_FROM_RGB[: 1 if layout.luma else 3] if layout.filters else np.zeros((0, 3))
    denoise = these.denoise if these.denoise.size else np.zeros((5, 5))
    return Plan(
        layout=layout,
        values=values,
        black=these.black,
        span=these.span,
        chroma=np.array([red[1], blue[1]] if red[0] == 0 else [blue[1], red[1]], dtype=np.int64),
        red_row=red[0],
        kernels=these.kernels,
        color=these.color,
        planes=planes @ these.color,
        sharpen=these.sharpen if these.sharpen.size else np.zeros((3, 3)),
        blur=_padded(these.blur),
        amount=float(these.amount) if these.amount.size else 0.0,
        denoise=denoise,
        lines=_factors(denoise),
        exponent=exponent,
    )


def _padded(side: Array) -> Array:
    """One side of a Gaussian padded to five taps, or nine where it is wide."""
    if len(side) > 9:
        raise CannotFuseError("the radius of its unsharp mask is not below 2.125 pixels")
    return np.pad(side, (0, (5 if len(side) <= 5 else 9) - len(side)))


def _factors(kernel: Array) -> Array:
    """Two lines (2, 5) whose outer product is the kernel (5, 5), or zeros if there are none."""
    if not kernel.any():
        return np.zeros((2, 5))
    left, strength, right = np.linalg.svd(kernel)
    if strength[1] > 1e-9 * strength[0]:
        return np.zeros((2, 5))
    return np.stack([left[:, 0] * strength[0], right[0]])
