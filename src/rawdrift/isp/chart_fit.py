"""Fit a camera's colors to a color chart: white balance, a matrix that keeps white, a tone curve.

With x the raw color of a patch above black, its color in linear sRGB is tone(matrix gains x). The
gray patches give the gains. The matrix is the one with the least color differences, each measured
by the metric that CIEDE2000 is near the reference, and its rows sum to 1. The tone curve is that of
sRGB times an exposure; if the gray patches tell better, the exposure changes with the tone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift import progress
from rawdrift.camera.camera import Camera, Illuminant, check_camera
from rawdrift.camera.colorimetry import encoded
from rawdrift.cfa import layout, sampled
from rawdrift.checks import InputError
from rawdrift.isp.color_chart import CLASSIC, Array, Regions, from_lab
from rawdrift.isp.color_difference import ciede2000, lab, linear_lab
from rawdrift.isp.presets import static
from rawdrift.text import Shown

_CLIPPED = 0.01  # share of the pixels of a patch at saturation from which it is left out
_TRIMMED = 0.1  # of the pixels of a patch at each end, which are not averaged
_LEAST, _GRAYS = 12, 3  # patches
_GRAY = 5.0  # chroma up to which a reference is gray
_OUTLIER = 2.0  # Delta E from which a patch counts less
_UNEVEN, _SIGNIFICANT = 0.02, 4.0  # change of the light over half the chart; standard errors
_CURVED = 0.7  # error of the gray patches with a free curve, over that with a constant exposure
_VISIBLE = 0.3  # L* of the gray patches, below which the exposure is constant
_OTHER, _POOR = 10.0, 5.0  # median Delta E of what is no chart, and of what to warn about
_KNOTS = 40
_TINY = 1e-6
_STEP = 1e-5
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]


class UnlikeReferencesError(InputError):
    """The patches don't look like the references, in their order. difference: median Delta E."""

    def __init__(self, message: str, difference: float):
        super().__init__(message)
        self.difference = difference


@dataclass(frozen=True)
class Patch:
    """A patch of the chart. reference, view: gamma-encoded sRGB, as it should be and as the camera
    shows it, in [0, 1]. delta_e: CIEDE2000 between the two. left_out: why it was not fitted, or "".
    """

    name: str
    reference: tuple[float, ...]
    view: tuple[float, ...]
    delta_e: float
    left_out: str


@dataclass(frozen=True)
class ChartFit(Shown):
    """A camera whose colors were fitted to a chart.

    camera: with white balance, color matrix and tone curve. patches: of the chart.
    errors: standard errors of `white_balance` (3,) and `color_matrix` (3, 3), from leaving out each
        patch in turn (jackknife): of noise, of the references and of what a matrix can't do.
    exposure: by which the light was multiplied, so that the chart looks as its references.
    grays: (input, output) of the tone curve at each gray patch that was fitted.
    light: change of the illumination that was found, as the ratio of the last row of patches to the
        first one, and of the last column to the first one; 1 if it was even.
    notes: what a reader must know.
    """

    camera: Camera
    patches: tuple[Patch, ...]
    errors: Mapping[str, Array]
    exposure: float
    grays: tuple[tuple[float, float], ...]
    light: tuple[float, float]
    notes: tuple[str, ...]

    @property
    def delta_e(self) -> Array:
        """CIEDE2000 of the patches that were fitted (N,)."""
        return np.array([patch.delta_e for patch in self.patches if not patch.left_out])

    def shown_title(self) -> str:
        return f"Camera {self.camera.name}, fitted to a color chart"

    def shown_rows(self) -> list[tuple[str, str]]:
        return [
            ("white balance", _pairs(self.camera.white_balance, self.errors["white_balance"])),
            *(
                ("color matrix", _pairs(row, error))
                for row, error in zip(
                    self.camera.color_matrix, self.errors["color_matrix"], strict=True
                )
            ),
            ("exposure", f"{self.exposure:.4g}"),
            ("CIEDE2000", _summary(self.delta_e)),
            *(
                (
                    patch.name,
                    f"{patch.delta_e:.2f}" + f", left out: {patch.left_out}" * bool(patch.left_out),
                )
                for patch in self.patches
            ),
            *(("note", note) for note in self.notes),
        ]


def _pairs(values: Sequence[float], errors: Array) -> str:
    return "  ".join(f"{v:.4f} +- {e:.4f}" for v, e in zip(values, errors, strict=True))


def _summary(delta_e: Array) -> str:
    return (
        f"mean {delta_e.mean():.2f}, median {np.median(delta_e):.2f}, largest {delta_e.max():.2f}"
    )


class _Chart(NamedTuple):
    """What was measured and what should be, of patches that can be fitted.

    raw: (N, 3) above black. target: (N, 3) linear sRGB. labs: (N, 3) of the references. metrics:
    (N, 3, 3) that turn a difference of L*a*b* into one whose length is that of CIEDE2000.
    gray: (N,). places: (N, 2) from -1 to 1.
    """

    raw: Array
    target: Array
    labs: Array
    metrics: Array
    gray: Mask
    places: Array

    def only(self, kept: Mask | Index) -> "_Chart":
        parts: list[Any] = [part[kept] for part in self]
        return _Chart(*parts)


class _Tone(NamedTuple):
    """Linear light in, linear light out: times a factor that changes with the logarithm of light.

    light, factor: (K,), logarithms, at the gray patches from dark to bright.
    """

    light: Array
    factor: Array

    def __call__(self, x: Array) -> Array:
        at = np.log(np.maximum(x, _TINY))
        curve: Array = x * np.exp(np.interp(at, self.light, self.factor))
        return curve

    def inverse(self, y: Array) -> Array:
        inputs = np.geomspace(_TINY, 16, 4096)
        outputs = np.maximum.accumulate(self(inputs))
        below = y < outputs[0]
        found: Array = np.where(below, y / np.exp(self.factor[0]), np.interp(y, outputs, inputs))
        return found


_EVEN = _Tone(np.zeros(1), np.zeros(1))


class _Colors(NamedTuple):
    """gains: (3,), with the exposure. matrix: (..., 3, 3), whose rows sum to 1."""

    gains: Array
    matrix: Array

    def linear(self, raw: Array, tone: _Tone) -> Array:
        return tone(raw * self.gains @ self.matrix.swapaxes(-1, -2))


def fit_chart(
    mosaic: Tensor,
    camera: Camera,
    regions: Regions,
    references: Mapping[str, Sequence[float] | Array] | None = None,
    flat: Tensor | None = None,
) -> ChartFit:
    """Fit white balance, color matrix and tone curve to a raw image of a color chart.

    mosaic: (H, W) in [0, 1]. camera: whose color filter array, levels, linearization and shading
        hold. regions: of the patches, see `color_chart.grid` and `color_chart.rectangles`.
    references: linear sRGB of each patch by name, see `color_chart.from_lab` and `decoded`; by
        default the classic 24 patches. flat: a raw image of an evenly colored board in the chart's
        place, (H, W): divides the light out. Without it, a change of the light along a plane is
        found, if it is significant, from how bright all patches are.

    Patches with clipped pixels are left out, and outliers count less.

    Raises InputError for regions, references and frames that don't fit together, too few patches,
    and patches that don't look like the references in any order, or only in another one.
    """
    check_camera(camera)
    colors = layout(camera.cfa).planes
    if len(colors) != 3:
        raise InputError(f"camera {camera.name!r} has no colors, which a color chart measures")
    wanted = _references(references)
    if missing := [name for name in wanted if name not in regions.names]:
        raise InputError(
            f"the chart has {len(regions.names)} regions, and none of: {', '.join(missing)}; "
            f"expected one for each of the {len(wanted)} references"
        )
    if unknown := [name for name in regions.names if name not in wanted]:
        raise InputError(
            f"there is no reference for the regions {', '.join(unknown)}; known are "
            f"{', '.join(wanted)}"
        )
    if regions.labels.shape != tuple(mosaic.shape):
        raise InputError(
            f"the regions are of a frame {regions.labels.shape}, the mosaic is "
            f"{tuple(mosaic.shape)}; expected the same"
        )
    target = np.array([wanted[name] for name in regions.names])
    labs = linear_lab(target)
    raw, clipped = _measure(mosaic, camera, regions, flat)
    gray = np.hypot(labs[:, 1], labs[:, 2]) < _GRAY
    whole = _Chart(raw, target, labs, _metrics(labs), gray, regions.places)
    limited = ((target == 0) | (target == 1)).any(axis=1) & ~gray
    reasons = {
        "clipped": clipped,
        "at or below black": (raw <= 0).any(axis=1),
        "its reference is at the limit of sRGB": limited,
    }
    left_out = np.select([*reasons.values()], [*reasons], "").tolist()
    usable = np.array([not why for why in left_out])
    _check_enough(usable, gray, regions.names, clipped)
    chart = whole.only(usable)
    _check_order(whole, usable, regions.names)
    notes = []
    light = np.zeros(2)
    if flat is None:
        light, chart = _evened(chart)
        if light.any():
            notes.append(
                f"the light changes by {100 * np.expm1(2 * light[0]):+.0f} % from the first row of "
                f"patches to the last and by {100 * np.expm1(2 * light[1]):+.0f} % from the first "
                f"column to the last, which was divided out; a flat frame tells it better"
            )
    tone, curved = _tone(chart)
    found = _solve(chart, tone)
    with progress.step("estimating errors"):
        errors = _jackknife(chart, tone, found)
    exposure = float(found.gains[1])
    fitted = _camera(camera, found, tone, len(chart.raw))
    shown = raw / np.exp(regions.places @ light)[:, None]
    patches = _patches(fitted, shown, target, regions.names, left_out)
    notes += _notes(patches, target, regions.names, curved, camera)
    balanced = chart.raw[chart.gray] * (found.gains / exposure)
    levels = (balanced @ found.matrix.T).mean(axis=1)
    heights = encoded(chart.target[chart.gray]).mean(axis=1)
    return ChartFit(
        camera=fitted,
        patches=patches,
        errors=errors,
        exposure=exposure,
        grays=tuple(sorted(zip(levels.tolist(), heights.tolist(), strict=True))),
        light=(float(np.exp(2 * light[0])), float(np.exp(2 * light[1]))),
        notes=tuple(notes),
    )


def of_two(fits: Sequence[ChartFit], temperatures: Sequence[float]) -> Camera:
    """Return the camera of the first chart that also holds the colors of both illuminants.

    temperatures: correlated color temperatures in kelvin of the light of each chart. See
    `Camera.at`. Raises InputError for temperatures that are alike.
    """
    illuminants = tuple(
        Illuminant(temperature, one.camera.white_balance, one.camera.color_matrix)
        for one, temperature in zip(fits, temperatures, strict=True)
    )
    return replace(fits[0].camera, illuminants=illuminants)


def _references(given: Mapping[str, Sequence[float] | Array] | None) -> dict[str, Array]:
    if given is None:
        return {name: from_lab(np.array(value)) for name, value in CLASSIC.items()}
    wanted = {name: np.asarray(value, float) for name, value in given.items()}
    for name, value in wanted.items():
        if value.shape != (3,) or not np.isfinite(value).all():
            raise InputError(f"the reference of {name!r} must be 3 finite numbers, got {value}")
    return wanted


def _measure(
    mosaic: Tensor, camera: Camera, regions: Regions, flat: Tensor | None
) -> tuple[Array, Mask]:
    """Return the color of each patch above black (N, 3), and whether pixels of it are clipped."""
    frame = _corrected(mosaic, camera)
    if flat is not None:
        if flat.shape != mosaic.shape:
            raise InputError(
                f"the flat frame has the shape {tuple(flat.shape)}, the chart "
                f"{tuple(mosaic.shape)}; expected the same"
            )
        frame = frame / _relative(_corrected(flat, camera), camera, regions)
    values = mosaic.double().numpy()
    planes = layout(camera.cfa).planes
    letters_of = _letters(camera)
    raw = np.zeros((len(regions.names), 3))
    unchanged = {}  # pixels by patch and plane
    for number, name in enumerate(regions.names):
        rows, columns = np.nonzero(regions.labels == number)
        letters = letters_of[rows % len(letters_of), columns % len(letters_of[0])]
        for plane, color in enumerate(planes):
            here = letters == color
            if not here.any():
                raise InputError(f"the region of {name!r} has no {color} pixel; make it larger")
            pixels = np.sort(frame[rows[here], columns[here]])
            cut = int(_TRIMMED * len(pixels))
            raw[number, plane] = pixels[cut : len(pixels) - cut].mean()
            unchanged[number, plane] = values[rows[here], columns[here]]
    limit = 1.0 if camera.white_level is None else camera.white_level
    if np.median([np.ptp(pixels) for pixels in unchanged.values()]) > 0:
        # Where there is noise, half of a patch at the frame's maximum is saturated, too.
        shares = [(pixels == values.max()).mean() for pixels in unchanged.values()]
        limit = min(limit, values.max()) if max(shares) > 0.5 else limit
    clipped = np.zeros(len(regions.names), bool)
    for (number, _), pixels in unchanged.items():
        clipped[number] |= (pixels >= limit).mean() > _CLIPPED
    return raw, clipped


def _letters(camera: Camera) -> NDArray[np.str_]:
    height, width, _, _, places = layout(camera.cfa)
    cell = np.empty((height, width), "U1")
    for _, row, column, color in places:
        cell[row, column] = color
    return cell


def _corrected(mosaic: Tensor, camera: Camera) -> Array:
    """Return the mosaic after all steps before demosaicing."""
    x = mosaic.double()
    for name, step in static("bi,-,-", camera).steps.items():
        if name == "demosaic":
            break
        x = step(x)
    return x.numpy()


def _relative(flat: Array, camera: Camera, regions: Regions) -> Array:
    """Return the light on each pixel, smoothed by site, over its mean on the chart."""
    from scipy.ndimage import gaussian_filter

    light = np.empty_like(flat)
    held = regions.labels >= 0
    (_, part), *_ = sampled(flat, camera.cfa)
    sigma = max(part.shape) / 64
    for (_, source), (_, target) in zip(
        sampled(flat, camera.cfa), sampled(light, camera.cfa), strict=True
    ):
        target[:] = gaussian_filter(source, sigma, mode="nearest")
    for (_, target), (_, inside) in zip(
        sampled(light, camera.cfa), sampled(held, camera.cfa), strict=True
    ):
        lit = target[inside]
        if lit.size and lit.min() < 0.05 * lit.mean():
            raise InputError(
                "the flat frame is dark in places; expected an evenly colored board in the "
                "chart's place and light, that covers all of it"
            )
        target[~inside] = 1  # where nothing is measured
        if lit.size:
            target[inside] = lit / lit.mean()
    return light


def _check_enough(usable: Mask, gray: Mask, names: Sequence[str], clipped: Mask) -> None:
    left = [name for name, cut in zip(names, clipped, strict=True) if cut]
    why = f" ({', '.join(left)} are clipped: expose less)" if left else ""
    for kind, count, least in (
        ("patches", usable.sum(), _LEAST),
        ("gray patches", (usable & gray).sum(), _GRAYS),
    ):
        if count < least:
            raise InputError(
                f"{count} of {len(names)} {kind} can be used{why}; expected at least {least}"
                if kind == "patches"
                else f"{count} {kind} can be used{why}; expected at least {least}"
            )


def _metrics(labs: Array) -> Array:
    """Return matrices R with |R d| = Delta E_00 of references and colors that differ by a small d.

    CIEDE2000 is smooth there, so that its square is a quadratic form, found by polarization.
    """
    step = 0.25
    unit = np.eye(3) * step

    def squares(change: Array) -> Array:
        return ciede2000(labs, labs + change) ** 2

    forms = np.empty((len(labs), 3, 3))
    for i in range(3):
        for j in range(3):
            forms[:, i, j] = (squares(unit[i] + unit[j]) - squares(unit[i] - unit[j])) / 4
    values, vectors = np.linalg.eigh((forms + forms.swapaxes(1, 2)) / 2 / step**2)
    metric: Array = np.sqrt(np.maximum(values, 1e-4))[:, :, None] * vectors.swapaxes(1, 2)
    return metric


def _solve(chart: _Chart, tone: _Tone, start: _Colors | None = None) -> _Colors:
    """Return gains, by the gray patches, and the matrix, by all: each for the other, in turns."""
    matrix = np.eye(3) if start is None else start.matrix
    wanted = tone.inverse(chart.target)
    gains = np.ones(3)
    for _ in range(12):
        # A matrix that keeps white hardly changes grays, so that this converges at once.
        balanced = wanted[chart.gray] @ np.linalg.inv(matrix).T
        gains = balanced.sum(axis=0) / chart.raw[chart.gray].sum(axis=0)
        before, matrix = matrix, _matrix(chart, gains, tone, matrix)
        if abs(matrix - before).max() < 1e-7:
            break
    return _Colors(gains, matrix)


def _matrix(chart: _Chart, gains: Array, tone: _Tone, start: Array) -> Array:
    from scipy.optimize import least_squares  # which takes a while to import

    def whole(free: Array) -> Array:
        rows = free.reshape(*free.shape[:-1], 3, 2)
        return np.stack([rows[..., 0], 1 - rows.sum(axis=-1), rows[..., 1]], axis=-1)

    def residuals(free: Array) -> Array:
        """Of one set of free numbers (6,), or of several at once (K, 6)."""
        linear = _Colors(gains, whole(free)).linear(chart.raw, tone)
        difference = linear_lab(linear) - chart.labs
        weighted: Array = (chart.metrics @ difference[..., None])[..., 0]
        return weighted.reshape(*free.shape[:-1], -1)

    def slopes(free: Array) -> Array:
        both = residuals(np.concatenate([free + step, free - step]))
        return (both[:6] - both[6:]).T / (2 * _STEP)

    step = _STEP * np.eye(6)
    solved = least_squares(
        residuals, start[:, [0, 2]].ravel(), slopes, loss="soft_l1", f_scale=_OUTLIER, xtol=1e-9
    )
    return whole(solved.x)


def _evened(chart: _Chart) -> tuple[Array, _Chart]:
    """Return the change of the light's logarithm down and across, if significant, and the chart
    without it."""
    light, errors, flat = np.zeros(2), np.zeros(2), chart
    for _ in range(6):
        found = _solve(flat, _EVEN)
        more, errors = _plane(flat, found.linear(flat.raw, _EVEN))
        light = light + more
        flat = chart._replace(raw=chart.raw / np.exp(chart.places @ light)[:, None])
        if abs(more).max() < 1e-4:
            break
    if not ((abs(light) > _UNEVEN) & (abs(light) > _SIGNIFICANT * errors)).any():
        return np.zeros(2), chart
    return light, flat


def _plane(chart: _Chart, linear: Array) -> tuple[Array, Array]:
    """Return how the logarithm of the light's excess changes down and across, and its errors."""
    from scipy.optimize import least_squares  # which takes a while to import

    bright = chart.target @ _LUMINANCE
    log = np.log(np.maximum(linear @ _LUMINANCE, _TINY) / bright)
    weight = np.sqrt(bright)  # dark patches also hold flare
    terms = np.column_stack([np.ones(len(log)), chart.places]) * weight[:, None]
    solved = least_squares(
        lambda plane: terms @ plane - weight * log, np.zeros(3), loss="soft_l1", f_scale=0.05
    )
    left = float((solved.fun**2).sum()) / (len(log) - 3)
    errors = np.sqrt(left * np.diag(np.linalg.inv(terms.T @ terms)))
    return solved.x[1:], errors[1:]


def _tone(chart: _Chart) -> tuple[_Tone, bool]:
    """Return the tone curve, and whether the exposure changes with the tone.

    The gray patches choose, each predicted from the others, by the error in L*.
    """
    tone, curved = _EVEN, False
    for _ in range(4):
        found = _solve(chart, tone)
        light = (chart.raw * found.gains @ found.matrix.T)[chart.gray].mean(axis=1)
        wanted = chart.target[chart.gray].mean(axis=1)
        order = np.argsort(light)
        light, wanted = light[order], wanted[order]
        if not curved:
            if len(light) < 4:
                break
            constant = _misses(_by_constant, light, wanted)
            free = _misses(_by_curve, light, wanted)
            if constant < _VISIBLE or free > _CURVED * constant:
                break
        curved = True
        rising = np.maximum.accumulate(wanted)
        keep = np.append(True, np.diff(light) > 1e-3 * light[1:])
        tone = _Tone(np.log(light[keep]), np.log(rising[keep] / light[keep]))
    return tone, curved


def _misses(guess: Callable[..., float], light: Array, wanted: Array) -> float:
    """Return the mean error in L* of each gray patch as predicted from the others."""
    numbers = np.arange(len(light))
    guessed = [guess(light, wanted, k, numbers != k) for k in numbers.tolist()]
    return float(abs(np.cbrt(guessed) - np.cbrt(wanted)).mean() * 116)


def _by_constant(light: Array, wanted: Array, k: int, others: Mask) -> float:
    return float(light[k] * wanted[others].sum() / light[others].sum())


def _by_curve(light: Array, wanted: Array, k: int, others: Mask) -> float:
    tone = _Tone(np.log(light[others]), np.log(wanted[others] / light[others]))
    return float(tone(light[k : k + 1])[0])


def _jackknife(chart: _Chart, tone: _Tone, found: _Colors) -> dict[str, Array]:
    """Return standard errors of white balance and matrix, from leaving out each patch in turn."""
    count = len(chart.raw)
    balances, matrices = [], []
    for k in range(count):
        kept = np.arange(count) != k
        one = _solve(chart.only(kept), tone, found)
        balances.append(one.gains / one.gains[1])
        matrices.append(one.matrix)
    # Without a color patch the gains hardly change: their errors are those of the gray patches.
    grays = int(chart.gray.sum())
    share = {"white_balance": (grays - 1) / grays, "color_matrix": (count - 1) / count}
    return {
        name: np.sqrt(share[name] * ((np.array(all_of) - np.mean(all_of, axis=0)) ** 2).sum(axis=0))
        for name, all_of in (("white_balance", balances), ("color_matrix", matrices))
    }


def _camera(camera: Camera, found: _Colors, tone: _Tone, patches: int) -> Camera:
    """Return the camera with the colors found. patches: how many were fitted."""
    exposure = float(found.gains[1])
    # To where the curve reaches 1; beyond, ToneCurve stays there.
    top = float(tone.inverse(np.ones(1))[0])
    inputs = top * np.linspace(0, 1, _KNOTS) ** 3
    outputs = np.maximum.accumulate(encoded(tone(inputs)).clip(0, 1))
    provenance = (
        f"white balance, color matrix and tone curve from {patches} patches of a color chart"
    )
    return replace(
        camera,
        white_balance=tuple((found.gains / exposure).tolist()),
        color_matrix=tuple(map(tuple, found.matrix.tolist())),
        tone_curve=tuple(zip((inputs / exposure).tolist(), outputs.tolist(), strict=True)),
        saturation=None,
        hue=None,
        illuminants=None,
        provenance="; ".join(part for part in (camera.provenance, provenance) if part),
    )


def _patches(
    camera: Camera,
    raw: Array,
    target: Array,
    names: Sequence[str],
    left_out: Sequence[str],
) -> tuple[Patch, ...]:
    """Return the patches as the camera's own pipeline shows them."""
    x = torch.from_numpy(raw.T.copy())[:, None]
    after = False
    for name, step in static("bi,-,-", camera).steps.items():
        x = step(x).contiguous() if after else x
        after = after or name == "demosaic"
    view = x[:, 0].T.clamp(0, 1).numpy()
    reference = encoded(target)
    differences = ciede2000(lab(view), lab(reference))
    return tuple(
        Patch(
            name,
            tuple(reference[k].tolist()),
            tuple(view[k].tolist()),
            float(differences[k]),
            left_out[k],
        )
        for k, name in enumerate(names)
    )


def _notes(
    patches: Sequence[Patch], target: Array, names: Sequence[str], curved: bool, camera: Camera
) -> list[str]:
    notes = []
    if left := [f"{patch.name} ({patch.left_out})" for patch in patches if patch.left_out]:
        notes.append(f"left out: {', '.join(left)}")
    beyond = abs(target - target.clip(0, 1)).max(axis=1)
    if outside := [name for name, by in zip(names, beyond, strict=True) if by > 1e-3]:
        notes.append(f"no sRGB picture can show the reference of: {', '.join(outside)}")
    if curved:
        notes.append("the gray patches don't follow the light, so the tone curve follows them")
    median = float(np.median([patch.delta_e for patch in patches]))
    if median > _POOR:
        notes.append(
            f"the colors differ much from their references (median Delta E {median:.1f}): check "
            f"the regions, the references and the light"
        )
    if camera.white_level is None:
        notes.append(
            f"camera {camera.name!r} states no white level: pixels that clip below full scale may "
            f"have been missed"
        )
    return notes


_ORDERS: Mapping[str, Callable[[Index], Index]] = {
    "as given": lambda grid: grid,
    "turned by 180 degrees": lambda grid: grid[::-1, ::-1],
    "mirrored left to right": lambda grid: grid[:, ::-1],
    "mirrored top to bottom": lambda grid: grid[::-1],
}


def _check_order(chart: _Chart, usable: Mask, names: Sequence[str]) -> None:
    """Raise UnlikeReferencesError for patches that look like them in another order, or in none."""
    numbers = np.arange(len(names))
    orders = {"as given": numbers}
    if len(names) == 24:
        orders = {how: change(numbers.reshape(4, 6)).ravel() for how, change in _ORDERS.items()}
    differences = {}
    weight = 1 / (chart.target @ _LUMINANCE + 0.02)[:, None]  # about the slope of lightness
    for how, order in orders.items():
        kept = usable[order]
        raw, target, weights = chart.raw[order][kept], chart.target[kept], weight[kept]
        matrix = np.linalg.lstsq(raw * weights, target * weights, rcond=None)[0]
        differences[how] = float(np.median(ciede2000(linear_lab(raw @ matrix), chart.labs[kept])))
    best = min(differences, key=lambda how: differences[how])
    own = differences["as given"]
    if best != "as given" and own > _POOR and differences[best] < 0.6 * own:
        raise UnlikeReferencesError(
            f"the chart is {best}: so, the median Delta E is {differences[best]:.1f} and not "
            f"{own:.1f}; give its corners, or its regions, in the order of the references",
            own,
        )
    if own > _OTHER:
        raise UnlikeReferencesError(
            f"the patches don't look like their references (median Delta E {own:.1f}); expected "
            f"the chart of the references, upright, with its regions where it is in the frame",
            own,
        )
