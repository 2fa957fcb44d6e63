"""Fit an ISP to a camera's own pictures: the steps and numbers that turn these mosaics into them.

A least-squares matrix for each of a few tone curves gives a start (in the spirit of Gong and
Finlayson 2018). A few Levenberg-Marquardt steps with each demosaicing, sharpening and denoising
choose among them, and more of them finish. Errors are those of the pictures' own values, so that
pixels that the ISP clips count as clipped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from rawdrift import configurations, progress
from rawdrift.camera.camera import Camera, check_camera
from rawdrift.cfa import is_bayer
from rawdrift.checks import InputError
from rawdrift.isp.align import Offset, align
from rawdrift.isp.color_difference import ciede2000, lab
from rawdrift.isp.gamma import Gamma
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.presets import static
from rawdrift.isp.step import Step
from rawdrift.isp.tone_curve import ToneCurve
from rawdrift.isp.transfer_function import TransferFunction
from rawdrift.text import Shown, brief

Array = NDArray[np.float64]
Vector = NDArray[np.float64]

BORDER = 6  # pixels at each edge that are not compared: programs treat edges as they like
_GAMMAS = (1.0, 1.4, 1.8, 2.2, 2.6)
_KNOTS = 17  # of a free tone curve
_SMALL, _LARGE = 40, 84  # pixels across of what is fitted of each picture, while choosing and after
_FEW = 8  # pictures while choosing
_FINALISTS = 4
_ROUNDING = 2e-3  # root mean square that rounding to 8 bits may leave
_SCALED = 0.005  # of a picture's gain: more is no rounding
_TONES = 32
_FLAT = 0.01  # standard deviation of pictures in which there is nothing to fit
_COVERED = 0.9  # share of the tones from 0 to 1 below which to warn


@dataclass(frozen=True)
class Fitted(Shown):
    """An ISP that was fitted to pictures, and how well it makes the pictures that were held out.

    isp: the pipeline. camera: that it was fitted for, for `rd.isp.save`.
    psnr: in dB, of the held-out pictures as they were given: rounding to 8 bits alone is 58.9 dB.
    delta_e, delta_e_95: CIEDE2000, its median and 95th percentile.
    residual: root mean square error in units of full scale, by where: "all", "edges", "flat",
        "highlights", "shadows".
    gains: by which each picture seems to have been multiplied before its tone curve.
    offset: of the picture's first pixel in the mosaic, (rows, columns).
    held_out: numbers of the pictures that were not fitted.
    errors: standard error of each number that was fitted, by name, as the number.
    tones: the share of 32 ranges of tones, from 0 to 1, in which the fitted pictures have values.
    coverage: the share of their values in each of these ranges.
    sample: the held-out picture with the largest error, as it was given and as fitted, (3, h, w).
    warnings: what a reader must know.
    """

    isp: Pipeline
    camera: Camera
    psnr: float
    delta_e: float
    delta_e_95: float
    residual: Mapping[str, float]
    gains: tuple[float, ...]
    offset: Offset
    held_out: tuple[int, ...]
    errors: Mapping[str, Any]
    tones: float
    coverage: tuple[float, ...]
    sample: tuple[Tensor, Tensor]
    warnings: tuple[str, ...]

    def shown_title(self) -> str:
        return f"Fitted: {self.isp.shown_title()}"

    def shown_rows(self) -> list[tuple[str, str]]:
        return [
            (f"PSNR of {len(self.held_out)} held-out pictures", f"{self.psnr:.1f} dB"),
            ("CIEDE2000, median and 95 %", f"{self.delta_e:.2f}, {self.delta_e_95:.2f}"),
            *((f"error, {where}", brief(value)) for where, value in self.residual.items()),
            ("picture begins at (row, column)", f"{self.offset[0]}, {self.offset[1]}"),
            ("gains of pictures", f"{min(self.gains):.4f} to {max(self.gains):.4f}"),
            ("tones covered", f"{100 * self.tones:.0f} %"),
            *((name, kinds) for name, kinds, _ in self.isp.shown_rows()),
            *(("warning", warning) for warning in self.warnings),
        ]


class _Pairs(NamedTuple):
    """Parts of mosaics (n, h, w), and of the pictures of the same places (n, 3, h, w), float64."""

    mosaics: Tensor
    pictures: Tensor


class _Model(nn.Module):
    """A pipeline whose numbers are set from a vector."""

    def __init__(self, isp: Pipeline, names: Sequence[str]):
        super().__init__()
        self.isp, self.names = isp, list(names)

    def forward(self, mosaics: Tensor) -> Tensor:
        x = mosaics
        for step in self.isp.steps.values():
            x = step(x)
        return x

    def start(self) -> Vector:
        """The numbers as they are: all of a tensor, but of a kernel all without the middle one."""
        return np.concatenate([_free(name, _tensor(self.isp, name)) for name in self.names])

    def values(self, vector: Vector) -> dict[str, Tensor]:
        found, at = {}, 0
        for name in self.names:
            tensor = _tensor(self.isp, name)
            count = len(_free(name, tensor))
            found[f"isp.{name}"] = _whole(name, tensor, vector[at : at + count])
            at += count
        return found

    def views(self, vector: Vector, mosaics: Tensor) -> Tensor:
        with torch.no_grad():
            views: Tensor = functional_call(self, self.values(vector), (mosaics,))
            return views.clamp(0, 1)

    def keep(self, vector: Vector) -> None:
        for name, value in self.values(vector).items():
            _tensor(self.isp, name.removeprefix("isp.")).copy_(value)


def fit(
    mosaics: Tensor,
    pictures: Tensor,
    camera: Camera,
    groups: Sequence[object] | None = None,
    seed: int = 0,
) -> Fitted:
    """Fit the steps and numbers of an ISP to pictures of these raw mosaics.

    mosaics: (N, H, W) in [0, 1]. pictures: of the same scenes, (N, 3, H, W) in [0, 1], or smaller
        ones if they were cropped; a crop or shift of whole pixels is found.
    camera: whose color filter array and white level hold, and whose other numbers are the start.
        White balance and matrix can't be told apart, so the gains stay the camera's.
    groups: of the pairs, N names; a fourth of the groups is held out and measures the fit.
    seed: of what is held out, and of the parts of pictures that are fitted.

    Raises InputError for pictures of other scenes, turned or mirrored ones, and pairs that do not
    determine the colors.
    """
    check_camera(camera)
    if not is_bayer(camera.cfa):
        raise InputError(f"fit takes Bayer mosaics, but camera {camera.name!r} has {camera.cfa}")
    mosaics, pictures = _checked(mosaics, pictures)
    found = align(mosaics, pictures, camera)
    rng = np.random.default_rng(seed)
    fitted, held = _split(len(mosaics), groups, rng)
    cut = _cut(mosaics, pictures, found)
    few = fitted[np.linspace(0, len(fitted) - 1, min(_FEW, len(fitted))).round().astype(int)]
    small, large = _parts(cut, few, _SMALL, rng), _parts(cut, fitted, _LARGE, rng)
    starts = _starts(camera, small)
    with progress.step("choosing the steps of the ISP"):
        model, vector = _choose(camera, starts, small)
    gains = np.ones(len(mosaics))
    with progress.step("fitting the numbers of the ISP"):
        vector, errors = _solve(model, vector, large, 10)
        if _rms(model, vector, large) > _ROUNDING:
            model, vector, errors = _with_curve(model, vector, errors, large)
        gains = _gains(model, vector, cut)
        if abs(gains / np.median(gains) - 1).max() > _SCALED:
            for _ in range(2):
                cut = _Pairs(_scaled(cut.mosaics, camera, gains / np.median(gains)), cut.pictures)
                scaled = _parts(cut, fitted, _LARGE, np.random.default_rng(seed))
                vector, errors = _solve(model, vector, scaled, 5)
                gains = gains * _gains(model, vector, cut)
    model.keep(vector)
    views = model.views(vector, cut.mosaics[held])[..., BORDER:-BORDER, BORDER:-BORDER]
    truth = cut.pictures[held][..., BORDER:-BORDER, BORDER:-BORDER]
    colors = ciede2000(*(lab(part.movedim(1, -1).numpy()) for part in (views, truth)))
    counts = torch.histc(cut.pictures[fitted], _TONES, 0, 1)
    tones = float((counts > 8).double().mean())
    worst = int((views - truth).square().mean((1, 2, 3)).argmax())
    return Fitted(
        isp=model.isp,
        camera=camera,
        psnr=float(-10 * np.log10(max(float((views - truth).square().mean()), 1e-20))),
        delta_e=float(np.median(colors)),
        delta_e_95=float(np.quantile(colors, 0.95)),
        residual=_residual(views, truth),
        gains=tuple((gains / np.median(gains)).tolist()),
        offset=found,
        held_out=tuple(held.tolist()),
        errors=_named(model, errors),
        tones=tones,
        coverage=tuple((counts / counts.sum()).tolist()),
        sample=(truth[worst], views[worst]),
        warnings=tuple(_warnings(tones, gains, set(fitted.tolist()) == set(held.tolist()))),
    )


def _checked(mosaics: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
    for name, tensor, form in (
        ("mosaics", mosaics, "(N, H, W)"),
        ("pictures", pictures, "(N, 3, H, W)"),
    ):
        size = len(form.split(","))
        if (
            not isinstance(tensor, Tensor)
            or tensor.ndim != size
            or (size == 4 and tensor.shape[1] != 3)
        ):
            shape = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise InputError(f"{name} must be a tensor {form}, got {shape}")
        if not tensor.is_floating_point() or not bool(((tensor >= 0) & (tensor <= 1)).all()):
            raise InputError(f"{name} must be floating point in [0, 1]; divide by full scale")
    if len(mosaics) != len(pictures) or not len(mosaics):
        raise InputError(
            f"there are {len(mosaics)} mosaics and {len(pictures)} pictures; expected one picture "
            f"for each mosaic, and at least one"
        )
    return mosaics.detach().cpu().double(), pictures.detach().cpu().double()


def _split(
    count: int, groups: Sequence[object] | None, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pairs that are fitted, and a fourth of the groups, held out; of one group, all twice."""
    names = list(range(count)) if groups is None else list(groups)
    if len(names) != count:
        raise InputError(
            f"there are {count} pairs, but {len(names)} groups; give each pair its own"
        )
    _, numbers = np.unique([str(name) for name in names], return_inverse=True)
    most = int(numbers.max()) + 1
    if most == 1:
        return np.arange(count), np.arange(count)
    chosen = rng.permutation(most)[: max(1, most // 4)]
    is_held = np.isin(numbers, chosen)
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)


def _cut(mosaics: Tensor, pictures: Tensor, offset: Offset) -> _Pairs:
    """The places that mosaics and pictures share, from a first pixel of the same CFA phase."""
    rows, columns = (max(0, start) + max(0, start) % 2 for start in offset)
    height, width = (
        min(m, p + start)
        for m, p, start in zip(mosaics.shape[1:], pictures.shape[2:], offset, strict=True)
    )
    if min(height - rows, width - columns) < 4 * BORDER:
        raise InputError(
            f"mosaics and pictures share {height - rows}x{width - columns} pixels, expected at "
            f"least {4 * BORDER} in each direction"
        )
    top, left = rows - offset[0], columns - offset[1]
    return _Pairs(
        mosaics[:, rows:height, columns:width],
        pictures[:, :, top : top + height - rows, left : left + width - columns],
    )


def _parts(pairs: _Pairs, chosen: NDArray[np.int64], size: int, rng: np.random.Generator) -> _Pairs:
    """A part of each chosen pair, at places of the same CFA phase."""
    height, width = (min(size, length) for length in pairs.mosaics.shape[1:])
    mosaics, pictures = [], []
    for index in chosen.tolist():
        top, left = (
            2 * int(rng.integers(0, (full - part) // 2 + 1))
            for full, part in zip(pairs.mosaics.shape[1:], (height, width), strict=True)
        )
        mosaics.append(pairs.mosaics[index, top : top + height, left : left + width])
        pictures.append(pairs.pictures[index, :, top : top + height, left : left + width])
    return _Pairs(torch.stack(mosaics), torch.stack(pictures))


def _tone(name: str) -> Step:
    return TransferFunction(name) if name in ("srgb", "rec709") else Gamma(float(name))


def _starts(camera: Camera, pairs: _Pairs) -> list[tuple[str, Array]]:
    """Tone curves with their least-squares matrices, the best first: the best gamma, and standards.

    Errors in linear light are weighted by the slope of the curve, which makes them errors of the
    picture.
    """
    steps = [*static("bi,-,-", camera).steps.items()]
    x = pairs.mosaics
    for name, step in steps:
        if name in ("white_balance", "color_correction", "gamma", "tone_curve"):
            continue
        x = step(x)
    gains = torch.tensor(camera.white_balance, dtype=torch.float64)
    colors = (x * gains[:, None, None])[..., BORDER:-BORDER, BORDER:-BORDER]
    rows = colors.movedim(1, -1).reshape(-1, 3).numpy()
    truth = (
        pairs.pictures[..., BORDER:-BORDER, BORDER:-BORDER].movedim(1, -1).reshape(-1, 3).numpy()
    )
    if truth.std(axis=0).min() < _FLAT:
        raise InputError(
            "the pairs do not determine the ISP: their pictures are flat; give pairs of scenes "
            "with several colors and tones"
        )
    grid = np.linspace(0, 1, 4097)
    found = []
    for name in (*map(str, _GAMMAS), "srgb", "rec709"):
        curve = _tone(name)(torch.from_numpy(grid).expand(1, 3, 1, -1))[0, 0, 0].numpy()
        slope = np.gradient(curve, grid)
        matrix, errors = np.empty((3, 3)), []
        for channel in range(3):
            y = truth[:, channel]
            inside = (y > 0.03) & (y < 0.97)
            linear = np.interp(y[inside], curve, grid)
            weight = np.minimum(np.interp(linear, grid, slope), 10.0)
            a, b = rows[inside] * weight[:, None], linear * weight
            if inside.sum() < 30 or np.linalg.cond(a) > 1e4:
                raise InputError(
                    "the pairs do not determine the colors: "
                    + (
                        "nearly all values are clipped"
                        if inside.sum() < 30
                        else "all show one color"
                    )
                    + "; give pairs of scenes with several colors and tones"
                )
            matrix[channel] = np.linalg.lstsq(a, b, rcond=None)[0]
            errors.append(np.mean(np.abs(a @ matrix[channel] - b)))
        found.append((float(np.mean(errors)), name, matrix))
    found.sort(key=lambda one: one[0])
    gammas = [one for one in found if one[1] not in ("srgb", "rec709")][:1]
    standards = [one for one in found if one[1] in ("srgb", "rec709")]
    return [
        (name, matrix) for _, name, matrix in sorted(gammas + standards, key=lambda one: one[0])
    ]


def _isp(name: str, camera: Camera, tone: str, matrix: Array) -> Pipeline:
    camera = replace(camera, color_matrix=tuple(map(tuple, matrix.tolist())), tone_curve=None)
    isp = static(name, camera)
    return isp.replace(gamma=_tone(tone))


def _choose(
    camera: Camera, starts: Sequence[tuple[str, Array]], pairs: _Pairs
) -> tuple[_Model, Vector]:
    """Choose demosaicing, sharpening, denoising and tone curve, in rounds of ever fewer."""
    names = [
        ",".join(parts)
        for parts in product(
            configurations.DEMOSAICING,
            (*configurations.SHARPENING, "-"),
            (*configurations.DENOISING, "-"),
        )
    ]
    tone, matrix = starts[0]
    rough = []
    for name in names:
        model = _Model(
            _isp(name, camera, tone, matrix), ["color_correction.matrix", *_of_tone(tone)]
        )
        vector, _ = _solve(model, model.start(), pairs, 1)
        rough.append((_rms(model, vector, pairs), name))
    rough.sort()
    finals = []
    for _, name in rough[: 2 * _FINALISTS]:
        isp = _isp(name, camera, tone, matrix)
        model = _Model(isp, _numbers(isp))
        vector, _ = _solve(model, model.start(), pairs, 3)
        finals.append((_rms(model, vector, pairs), name, model, vector))
    finals.sort(key=lambda one: one[0])
    best = finals[: _FINALISTS // 2]
    for tone, matrix in starts[1:]:
        isp = _isp(finals[0][1], camera, tone, matrix)
        model = _Model(isp, _numbers(isp))
        vector, _ = _solve(model, model.start(), pairs, 3)
        best.append((0.0, finals[0][1], model, vector))
    done = []
    for _, _, model, vector in best:
        vector, _ = _solve(model, vector, pairs, 5)
        done.append((_rms(model, vector, pairs) * (1 + 1e-3 * len(vector)), model, vector))
    _, model, vector = min(done, key=lambda one: one[0])
    return model, vector


def _of_tone(tone: str) -> list[str]:
    return [] if tone in ("srgb", "rec709") else ["gamma.gamma"]


def _numbers(isp: Pipeline) -> list[str]:
    """The numbers that are fitted: not those that others can stand in for."""
    names = [f"{step}.{number}" for step, one in isp.steps.items() for number in one.numbers]
    return [name for name in names if name not in ("white_balance.gains", "demosaic.kernels")]


def _with_curve(
    model: _Model, vector: Vector, errors: Vector, pairs: _Pairs
) -> tuple[_Model, Vector, Vector]:
    """The model with a free tone curve, if that is better on pictures that it was not fitted to."""
    model.keep(vector)
    steps = model.isp.steps
    inputs = np.linspace(0, 1, _KNOTS) ** 2
    outputs = steps["gamma"](torch.from_numpy(inputs).expand(1, 3, 1, -1))[0, 0, 0].numpy()
    curve = ToneCurve(np.stack([inputs, outputs], axis=1).tolist())
    isp = model.isp.replace(gamma=curve)
    other = _Model(isp, _numbers(isp))
    half = len(pairs.mosaics) // 2
    first, second = (_Pairs(*(part[s] for part in pairs)) for s in (slice(half), slice(half, None)))
    if not half:
        return model, vector, errors
    trial, _ = _solve(other, other.start(), first, 4)
    if _rms(other, trial, second) > 0.98 * _rms(model, vector, second):
        return model, vector, errors
    vector, errors = _solve(other, trial, pairs, 8)
    return other, vector, errors


def _solve(model: _Model, vector: Vector, pairs: _Pairs, rounds: int) -> tuple[Vector, Vector]:
    """Return the vector after Levenberg-Marquardt steps, and its standard errors."""
    truth = _inner(pairs.pictures)

    def error(at: Vector) -> Tensor:
        try:
            return _inner(model.views(at, pairs.mosaics)) - truth
        except (InputError, ValueError):
            return torch.full_like(truth, torch.inf)

    now = error(vector)
    cost, damping, normal = float(now.square().sum()), 1e-4, np.eye(len(vector))
    for _ in range(rounds):
        columns = []
        for index in range(len(vector)):
            step = 1e-5 * max(1.0, abs(vector[index]))
            moved = vector.copy()
            moved[index] += step
            columns.append((error(moved) - now).flatten() / step)
        jacobian = torch.stack(columns)
        normal = (jacobian @ jacobian.T).numpy()
        slope = (jacobian @ now.flatten()).numpy()
        before = cost
        while damping < 1e6:
            scaled = normal + damping * np.diag(np.diag(normal) + 1e-9 * np.trace(normal))
            trial = vector - np.linalg.solve(scaled, slope)
            after = error(trial)
            value = float(after.square().sum())
            if value < cost:
                vector, now, cost, damping = trial, after, value, max(damping / 10, 1e-9)
                break
            damping *= 10
        if before - cost < 1e-7 * before:
            break
    variance = cost / max(now.numel() - len(vector), 1)
    inverse = np.linalg.pinv(normal + 1e-12 * np.trace(normal) * np.eye(len(vector)))
    return vector, np.sqrt(np.abs(np.diag(inverse)) * variance)


def _rms(model: _Model, vector: Vector, pairs: _Pairs) -> float:
    error = _inner(model.views(vector, pairs.mosaics)) - _inner(pairs.pictures)
    return float(error.square().mean().sqrt())


def _inner(views: Tensor) -> Tensor:
    return views[..., BORDER:-BORDER, BORDER:-BORDER]


def _gains(model: _Model, vector: Vector, pairs: _Pairs) -> Vector:
    """The factor of linear light that fits each picture best, to first order, twice."""
    places = model.names.index("color_correction.matrix")
    start = sum(len(_free(n, _tensor(model.isp, n))) for n in model.names[:places])
    gains = np.ones(len(pairs.mosaics))
    for index in range(len(gains)):
        one = _Pairs(*(part[index : index + 1] for part in pairs))
        truth = _inner(one.pictures)
        for _ in range(3):
            views = []
            for gain in (gains[index], gains[index] * 1.001):
                scaled = vector.copy()
                scaled[start : start + 9] *= gain
                views.append(_inner(model.views(scaled, one.mosaics)))
            slope = (views[1] - views[0]) / (gains[index] * 0.001)
            far = slope.square().sum()
            if far > 0:
                gains[index] += float((slope * (truth - views[0])).sum() / far)
    return gains


def _scaled(mosaics: Tensor, camera: Camera, gains: Vector) -> Tensor:
    """Mosaics with the signal above the black level multiplied."""
    black = float(np.mean(camera.black_level))
    return black + (mosaics - black) * torch.from_numpy(gains)[:, None, None]


def _tensor(isp: Pipeline, name: str) -> Tensor:
    step, _, number = name.partition(".")
    return isp.steps[step].tensors()[number].detach()


def _free(name: str, tensor: Tensor) -> Vector:
    """The free numbers of a tensor: a kernel's middle follows from its sum, a curve has outputs."""
    values = tensor.double().numpy()
    if name.endswith(".kernel"):
        return np.delete(values.ravel(), values.size // 2)
    if name.endswith(".points"):
        return np.array(values[:, 1])
    return np.array(values.ravel())


def _whole(name: str, tensor: Tensor, free: Vector) -> Tensor:
    """The tensor of free numbers."""
    values = tensor.double().numpy().copy()
    if name.endswith(".kernel"):
        middle = values.sum() - free.sum()
        return torch.from_numpy(np.insert(free, values.size // 2, middle).reshape(values.shape))
    if name.endswith(".points"):
        values[:, 1] = free
        return torch.from_numpy(values)
    return torch.from_numpy(free.reshape(values.shape).copy())


def _named(model: _Model, errors: Vector) -> dict[str, Any]:
    """The standard errors by name; of a kernel's middle, as of its other numbers together."""
    found, at = {}, 0
    for name in model.names:
        tensor = _tensor(model.isp, name)
        part = errors[at : at + len(_free(name, tensor))]
        at += len(part)
        found[name] = part.tolist()
    return found


def _residual(views: Tensor, truth: Tensor) -> dict[str, float]:
    error = (views - truth).square().mean(1)
    gray = truth.mean(1)
    detail = gray.diff(dim=-1).abs()[..., :-1, :] + gray.diff(dim=-2).abs()[..., :-1]
    error, gray = error[..., :-1, :-1], gray[..., :-1, :-1]
    limit = detail.quantile(0.9) if detail.numel() < 2**24 else detail.flatten()[::16].quantile(0.9)
    places = {
        "all": torch.ones_like(gray, dtype=torch.bool),
        "edges": detail > limit,
        "flat": detail <= limit,
        "highlights": gray > 0.8,
        "shadows": gray < 0.2,
    }
    return {
        name: float(error[place].mean().sqrt()) for name, place in places.items() if place.any()
    }


def _warnings(tones: float, gains: Vector, same: bool) -> list[str]:
    found = []
    if same:
        found.append("all pairs are of one group, so that the fit is measured on what was fitted")
    if tones < _COVERED:
        found.append(
            f"the pictures cover {100 * tones:.0f} % of the tones only; for others the ISP may be "
            f"wrong: add pairs of darker, brighter or more colorful scenes"
        )
    spread = gains / np.median(gains)
    if abs(spread - 1).max() > _SCALED:
        found.append(
            f"the pictures seem to be multiplied by factors of their own, {spread.min():.3f} to "
            f"{spread.max():.3f}, as by automatic brightness, which no ISP file can hold: switch "
            f"it off"
        )
    return found
