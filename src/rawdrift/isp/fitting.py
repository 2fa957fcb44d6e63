"""Fit an ISP to a camera's own pictures: the steps and numbers that turn these mosaics into them.

A least-squares matrix for each of a few tone curves gives a start (in the spirit of Gong and
Finlayson 2018). A few Levenberg-Marquardt steps with each demosaicing, sharpening and denoising
choose among them, and more of them finish. Richer tone curves must be better on pictures that they
were not fitted to. Errors are those of the pictures' own values, so that pixels that the ISP clips
count as clipped.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from math import ceil, lcm
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from rawdrift import progress
from rawdrift.camera.camera import Camera, check_camera
from rawdrift.cfa import MONO, layout
from rawdrift.checks import InputError
from rawdrift.isp.align import LIKELY, Offset, align
from rawdrift.isp.color_difference import ciede2000, lab
from rawdrift.isp.fit_choice import BETTER, choose, clipped_first, improve, informed, simple
from rawdrift.isp.fit_model import (
    BORDER,
    CONVERGED,
    ROUGH,
    Model,
    Pairs,
    Solution,
    Vector,
    inner,
    shares,
)
from rawdrift.isp.jpeg import JPEG
from rawdrift.isp.norm_tone_curve import NormToneCurve
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.presets import static
from rawdrift.isp.radial_shading import RadialShading
from rawdrift.isp.resize import Resize
from rawdrift.isp.similarity import ssim
from rawdrift.isp.sites import tiled
from rawdrift.isp.tone_curve import ToneCurve
from rawdrift.neighborhood import correlate
from rawdrift.text import Shown, brief

Answers = Callable[[Tensor], Tensor]  # of a task model: views (n, 3, h, w) to outputs (n, ...)

_SMALL, _LARGE = 40, 64  # pixels across of what is fitted of each picture, while choosing and after
_LARGEST = 128  # pixels across of what choices between digits are seen in
_MANY = 80  # numbers, from which on smaller parts suffice for the time there is
_FEW = 8  # pictures while choosing
_WIDEST = 512  # pixels of a part, which resized pictures may need
_ROUNDING = {8: 1.3e-3, 16: 1e-4}  # root mean square error that these bits may leave
_FOREIGN = 5e-3  # root mean square error from which on the last digits of numbers say nothing
_SCALED = 0.005  # of a picture's gain: more is no rounding
_EXACT = 5e-4  # of it, where gains are known to vary
_VARIED = 0.05  # of it: more than what steps that are not known yet make it seem
_EXPLAINED = 0.8  # of the error that gains must leave less of
_PLACE = 9  # pixels
_TIMES = 3  # that gains are corrected, each to first order
_UNSURE = 0.5  # of the root mean square error, which a gain seen in it must exceed
_EQUAL = 1.0001  # times the least error is as good
_STATED = 1.001  # of the error with any levels that stated ones must stay below
_FEW_DECIMALS = (3, 4)  # of a level that is not in whole DN
_DECIMALS = (9, 8, 7, 6, 5)  # of one that is, in a file
_CONVERTERS = (8, 10, 12, 14, 16)  # bits
_SHADED = 0.9  # of the error without shading that it must stay below
_TONES = 32
_COVERED = 0.9  # share of the tones from 0 to 1 below which to warn
_BELOW = 0.05  # share of values below black, from which on it is doubtful
_DETERMINED = 0.01  # of a tensor's largest number: a wider 95 % interval is told
_BLOCK = 8  # of a JPEG
_QUALITIES = (50, 60, 70, 75, 80, 85, 90, 92, 95)
_FRAME = ("linearization", "defective_pixels", "shading", "radial_shading")
_LOCAL = 8  # pixels around over which an error of tone is averaged


@dataclass(frozen=True)
class Fitted(Shown):
    """An ISP that was fitted to pictures, and how well it makes the pictures that were held out.

    isp: the pipeline. camera: that it was fitted for, for `rd.isp.save`.
    psnr: in dB, of the held-out pictures as they were given: rounding to 8 bits alone is 58.9 dB.
    delta_e, delta_e_95: CIEDE2000, its median and 95th percentile. ssim: of luma.
    residual: root mean square error in units of full scale, by where: "all", "edges", "flat",
        "highlights", "shadows"; "local tone": of means over 17x17 pixels; "grain": of what is finer
        than 3x3 pixels in flat places, where noise reduction acts.
    grain: of the pictures in these places, as a share of the fitted ones': less than 1 is noise
        that the program removes and the ISP does not.
    gains: by which each picture seems to have been multiplied before its tone curve.
    offset: of the picture's first pixel in the mosaic, (rows, columns).
    held_out: numbers of the pictures that were not fitted.
    errors: standard error of each number that was fitted, by name, as the number; 0: not fitted.
    undetermined: the numbers whose 95 % interval is wider than 1 % of the largest of its tensor,
        by name with the half width of that interval as a share; only their effect together is
        determined.
    tones: the share of 32 ranges of tones, from 0 to 1, in which the fitted pictures have values.
    coverage: the share of their values in each of these ranges.
    sample: the held-out picture with the largest error, as it was given and as fitted, (3, h, w).
    answers: how many answers of a task model differ between given and fitted held-out pictures,
        and of how many; None without a model.
    warnings: what a reader must know.
    """

    isp: Pipeline
    camera: Camera
    psnr: float
    delta_e: float
    delta_e_95: float
    ssim: float
    residual: Mapping[str, float]
    grain: float
    gains: tuple[float, ...]
    offset: Offset
    held_out: tuple[int, ...]
    errors: Mapping[str, Any]
    undetermined: Mapping[str, float]
    tones: float
    coverage: tuple[float, ...]
    sample: tuple[Tensor, Tensor]
    answers: tuple[int, int] | None
    warnings: tuple[str, ...]

    def shown_title(self) -> str:
        return f"Fitted: {self.isp.shown_title()}"

    def shown_rows(self) -> list[tuple[str, str]]:
        return [
            (f"PSNR of {len(self.held_out)} held-out pictures", f"{self.psnr:.1f} dB"),
            ("CIEDE2000, median and 95 %", f"{self.delta_e:.2f}, {self.delta_e_95:.2f}"),
            ("SSIM", f"{self.ssim:.4f}"),
            *((f"error, {where}", brief(value)) for where, value in self.residual.items()),
            ("grain of the pictures, to that of the ISP", f"{self.grain:.2f}"),
            ("picture begins at (row, column)", f"{self.offset[0]}, {self.offset[1]}"),
            ("gains of pictures", f"{min(self.gains):.4f} to {max(self.gains):.4f}"),
            ("tones covered", f"{100 * self.tones:.0f} %"),
            *([("answers that differ", "{} of {}".format(*self.answers))] if self.answers else []),
            *((name, kinds) for name, kinds, _ in self.isp.shown_rows()),
            *(
                ("not determined alone", f"{name} to {100 * share:.1g} %" if share < 1 else name)
                for name, share in self.undetermined.items()
            ),
            *(("warning", warning) for warning in self.warnings),
        ]


def fit(
    mosaics: Tensor,
    pictures: Tensor,
    camera: Camera,
    groups: Sequence[object] | None = None,
    seed: int = 0,
    model: Answers | None = None,
) -> Fitted:
    """Fit the steps and numbers of an ISP to pictures of these raw mosaics.

    mosaics: (N, H, W) in [0, 1]. pictures: of the same scenes, (N, 3, H, W) in [0, 1], or smaller
        ones if they were cropped; a crop or shift of whole pixels is found, and a size that all of
        a view was resized to.
    camera: whose color filter array and white level hold, and whose other numbers are the start.
        White balance and matrix can't be told apart, so the gains stay the camera's.
    groups: of the pairs, N names; a fourth of the groups is held out and measures the fit.
    seed: of what is held out, and of the parts of pictures that are fitted.
    model: a task model, whose answers to given and fitted pictures are compared: (n, classes), or
        (n, classes, h, w); one output is a logit.

    Raises InputError for pictures of other scenes, turned or mirrored ones, and pairs that do not
    determine the colors.
    """
    check_camera(camera)
    if camera.cfa == MONO:
        raise InputError(
            f"fit takes mosaics of colors, but camera {camera.name!r} is monochrome: there is "
            f"neither demosaicing nor a matrix to fit"
        )
    mosaics, pictures = _checked(mosaics, pictures)
    offset, factor, similarity = align(mosaics, pictures, camera)
    rng = np.random.default_rng(seed)
    fitted, held = _split(len(mosaics), groups, rng)
    prepared, plain = _prepared(mosaics, camera)
    whole = _Whole(prepared, pictures, offset, factor, plain)
    few = fitted[np.linspace(0, len(fitted) - 1, min(_FEW, len(fitted))).round().astype(int)]
    floor = _ROUNDING[8 if _is_8_bit(pictures) else 16]
    with progress.step("choosing the steps of the ISP"):
        some = whole.parts(few, _SMALL, np.random.default_rng(seed))
        whole.vary(*simple(plain, some, factor))
        chosen, found = choose(plain, whole.parts(few, _SMALL, rng), floor, factor)
    with progress.step("fitting the numbers of the ISP"):
        chosen = whole.clip(chosen, found, fitted)
        small = whole.parts(fitted, _SMALL, rng)
        enough = ROUGH if found.rms > _FOREIGN else CONVERGED
        for _ in range(2):
            before, chosen = chosen, informed(chosen, found)
            found = chosen.solve(found.vector, small, 6, enough)
            if chosen is before:
                break
        if enough == CONVERGED and not whole.varies:  # which hides the last digits
            large = whole.parts(fitted, _LARGEST, rng)
            most = _full_scale(mosaics)
            chosen, found = _stated_levels(chosen, found, small, large, plain, most)
        whole_isp = _complete(chosen.isp, camera, None)
        _, jpeg = _compressed(whole_isp, mosaics, pictures, offset, fitted)
        if found.rms > floor and not jpeg:  # whose errors richer steps would follow
            chosen, found = improve(chosen, found, small)
        chosen = informed(chosen, found)
        size = _LARGE if len(found.vector) < _MANY else _SMALL
        large = whole.parts(fitted, size, np.random.default_rng(seed))
        found = chosen.solve(found.vector, large, 6, enough)
        for _ in range(3):
            if not whole.correct(chosen, found):
                break
            large = whole.parts(fitted, size, np.random.default_rng(seed))
            found = chosen.solve(found.vector, large, 6, enough)
    typical = float(np.median(whole.gains))
    gains = whole.gains / typical
    chosen.tensor("color_correction.matrix").mul_(typical)
    isp = _complete(chosen.isp, camera, whole.shading)
    isp, jpeg = _compressed(isp, mosaics, pictures, offset, fitted)
    views, truth = _shared(isp, mosaics, pictures, offset, held)
    views, truth = (part[..., BORDER:-BORDER, BORDER:-BORDER] for part in (views, truth))
    colors = ciede2000(*(lab(part.movedim(1, -1).numpy()) for part in (views, truth)))
    counts = torch.histc(pictures[fitted], _TONES, 0, 1)
    tones = float((counts > 8).double().mean())
    worst = int((views - truth).square().mean((1, 2, 3)).argmax())
    residual, grain = _residual(views, truth)
    errors, undetermined = _errors(chosen, found)
    same = set(fitted.tolist()) == set(held.tolist())
    return Fitted(
        isp=isp,
        camera=camera,
        psnr=float(-10 * np.log10(max(float((views - truth).square().mean()), 1e-20))),
        delta_e=float(np.median(colors)),
        delta_e_95=float(np.quantile(colors, 0.95)),
        ssim=float(ssim(views, truth).mean()),
        residual=residual,
        grain=grain,
        gains=tuple(gains.tolist()),
        offset=offset,
        held_out=tuple(held.tolist()),
        errors=errors,
        undetermined=undetermined,
        tones=tones,
        coverage=tuple((counts / counts.sum()).tolist()),
        sample=(truth[worst], views[worst]),
        answers=_answers(model, *_shared(isp, mosaics, pictures, offset, held)),
        warnings=(
            *_warnings(similarity, _below_black(prepared, plain), tones, gains, same),
            *(_of_jpeg(moved=any(x % _BLOCK for x in offset)) if jpeg else ()),
            *(() if jpeg else _of_intervals(isp, found.rms > floor)),
        ),
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


def _is_8_bit(pictures: Tensor) -> bool:
    steps = pictures[..., ::5, ::5] * 255
    return bool(((steps - steps.round()).abs() < 1e-4).all())


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


def _prepared(mosaics: Tensor, camera: Camera) -> tuple[Tensor, Camera]:
    """Mosaics after the steps that know places or raw levels, and the camera without them."""
    steps = static("bi,-,-", camera).steps
    x = mosaics
    for name in ("linearization", "defective_pixels"):
        if name in steps:
            x = steps[name](x)
    black = steps["black_level"]
    zero = -black(torch.zeros_like(x[:1]))  # where the signal begins
    for name in ("shading", "radial_shading"):
        if name in steps:
            span = 1 if black.white is None else black.white
            x = _shaded(x, zero * span, steps[name])
    plain = replace(
        camera,
        **dict.fromkeys((*_FRAME, "saturation", "hue", "tone_curve")),  # type: ignore[arg-type]
    )
    return x, plain


def _shaded(mosaics: Tensor, black: Tensor, shading: Callable[[Tensor], Tensor]) -> Tensor:
    return black + shading(mosaics - black)


class _Axis(NamedTuple):
    """How parts of pairs lie along one axis: from low to high of the mosaic in steps of unit."""

    low: int
    high: int
    unit: int
    length: int
    ratio: Fraction
    offset: int

    def part(self, rng: np.random.Generator) -> tuple[slice, slice]:
        """A part of the mosaic, and the same one of the picture."""
        room = (self.high - self.low - self.length) // self.unit
        first = self.low + self.unit * int(rng.integers(0, room + 1))
        start, end = (int(self.ratio * x) - self.offset for x in (first, first + self.length))
        return slice(first, first + self.length), slice(start, end)


def _axis(period: int, pixels: int, given: int, offset: int, factor: float, size: int) -> _Axis:
    """period: of the CFA. pixels, given: of the mosaic and of the picture."""
    ratio = Fraction(max(round(factor * pixels), 1), pixels) if factor != 1 else Fraction(1)
    unit = lcm(ratio.denominator, period)
    first, last = max(0, offset), min(int(ratio * pixels), given + offset)
    low, high = -(-first / ratio // unit) * unit, int(last / ratio)
    step = ratio.denominator
    wanted = max(round(size / float(ratio) ** 0.5), ceil(4 * BORDER / ratio))
    length = min(ceil(wanted / step), (high - low) // step) * step
    if length > max(_WIDEST, 2 * size):
        raise InputError(
            f"the pictures are resized by {float(ratio):.4g}, so that pixels of both meet only "
            f"every {step}: resize by a simpler factor, such as 1/2"
        )
    if length * ratio < 4 * BORDER:
        raise InputError(
            f"mosaics and pictures share {last - first} pixels of the pictures' height or width, "
            f"expected at least {4 * BORDER}"
        )
    return _Axis(low, high, unit, length, ratio, offset)


class _Whole:
    """Whole pairs, and what is corrected on whole mosaics: gains of pictures, and shading."""

    def __init__(
        self, mosaics: Tensor, pictures: Tensor, offset: Offset, factor: float, camera: Camera
    ):
        self.mosaics, self.pictures = mosaics, pictures
        self.offset, self.factor, self.camera = offset, factor, camera
        self.black = _levels(static("bi,-,-", camera), mosaics)
        self.gains: Vector = np.ones(len(mosaics))
        self.varies = False  # whether they are fitted with the numbers
        self.shading: RadialShading | None = None

    def corrected(self) -> Tensor:
        """The mosaics with their gains and shading."""
        signal = (self.mosaics - self.black) * torch.from_numpy(self.gains)[:, None, None]
        if self.shading is not None:
            signal = self.shading(signal)
        return self.black + signal

    def parts(self, chosen: NDArray[np.int64], size: int, rng: np.random.Generator) -> Pairs:
        """A part of each chosen pair, at places of the same CFA phase, and of whole pixels in both.

        size: pixels across, of resized pictures between those of the mosaic and of the picture.
        """
        axes = [
            _axis(*one, self.factor, size)
            for one in zip(
                layout(self.camera.cfa)[:2],
                self.mosaics.shape[1:],
                self.pictures.shape[2:],
                self.offset,
                strict=True,
            )
        ]
        corrected = self.corrected()
        mosaics, pictures = [], []
        for index in chosen.tolist():
            own, given = zip(*(axis.part(rng) for axis in axes), strict=True)
            mosaics.append(corrected[index][own])
            pictures.append(self.pictures[index][:, *given])
        rows, columns = mosaics[0].shape
        black = self.black[:rows, :columns] if self.varies else None
        return Pairs(torch.stack(mosaics), torch.stack(pictures), black)

    def clip(self, model: Model, found: Solution, chosen: NDArray[np.int64]) -> Model:
        """The model with a mosaic that is clipped first, if that is better for whole pictures: few
        parts have bright places."""
        model.put(found.vector)
        isp = clipped_first(model.isp, self.camera)
        if isp is None:
            return model
        other = Model(isp, model.names)
        mosaics = self.corrected()[chosen]
        costs = []
        for one in (model, other):
            views, truth = _overlap(
                one.views(found.vector, mosaics), self.pictures[chosen], self.offset
            )
            costs.append(float((inner(views) - inner(truth)).square().sum()))
        return other if costs[1] < BETTER * costs[0] else model

    def vary(self, model: Model, found: Solution) -> None:
        """See whether gains vary: whether they explain most of what means of places differ by,
        where steps that the model lacks change little."""
        for _ in range(_TIMES):
            response, error = (avg_pool2d(x, _PLACE) for x in self._response(model, found))
            gains = _gains(response, error)
            rest = error - response * _of_images(gains - 1)
            varies = (
                abs(gains / np.median(gains) - 1).max() > _VARIED
                and rest.norm() < _EXPLAINED * error.norm()
            )
            if not self.varies and not varies:
                return
            self.varies, self.gains = True, self.gains * gains

    def correct(self, model: Model, found: Solution) -> bool:
        """Correct gains, and then shading, by what they would change of the pictures, to first
        order. Returns whether there was anything to correct."""
        changed = False
        if self.varies:
            model.put(found.vector)
            self.black = _levels(model.isp, self.mosaics)
        least = max(_EXACT if self.varies else _SCALED, _UNSURE * found.rms)
        for _ in range(_TIMES):
            response, error = self._response(model, found)
            gains = _gains(response, error)
            gains /= 1 if self.varies else np.median(gains)  # which is a factor of the matrix
            if abs(gains - 1).max() <= least:
                break
            self.gains, changed = self.gains * gains, True
            error = error - response * _of_images(gains - 1)
        return self._shade(response, error) or changed

    def _response(self, model: Model, found: Solution) -> tuple[Tensor, Tensor]:
        """By how much views rise with the light, and what they lack of the pictures."""
        mosaics = self.corrected()
        brighter = self.black + 1.001 * (mosaics - self.black)
        truths, views = [], []
        for x in (mosaics, brighter):
            view, truth = _overlap(model.views(found.vector, x), self.pictures, self.offset)
            views.append(inner(view))
            truths.append(inner(truth))
        return (views[1] - views[0]) / 0.001, truths[0] - views[0]

    def _shade(self, response: Tensor, error: Tensor) -> bool:
        """Add two terms of radial shading, if they explain errors."""
        terms = []
        size = self.mosaics.shape[1:]
        for k in range(2):
            gain = RadialShading([0.0] * k + [1.0])(torch.ones(size, dtype=torch.float64)) - 1
            gain = gain.expand(1, 3, *size)
            gain = gain if self.factor == 1 else Resize(self.factor)(gain)
            gain, _ = _overlap(gain, self.pictures[:1], self.offset)
            terms.append((response * inner(gain)).flatten())
        columns, target = torch.stack(terms, 1), error.flatten()
        factors = torch.linalg.lstsq(columns, target[:, None]).solution[:, 0]
        rest = (target - columns @ factors).square().mean().sqrt()
        if rest > _SHADED * target.square().mean().sqrt() or not torch.isfinite(factors).all():
            return False
        before = self.shading.coefficients if self.shading is not None else torch.zeros(2)
        self.shading = RadialShading(before + factors)
        return True


def _levels(isp: Pipeline, mosaics: Tensor) -> Tensor:
    """The black level of each pixel, (H, W)."""
    black = isp.steps["black_level"]
    return tiled(black.level[black.sites], *mosaics.shape[-2:]).clone()


def _gains(response: Tensor, error: Tensor) -> Vector:
    """Gains of pictures that explain errors best, to first order."""
    return (1 + shares(response, error)).clip(0.5, 2)


def _of_images(numbers: Vector) -> Tensor:
    return torch.from_numpy(numbers)[:, None, None, None]


def _stated_levels(
    model: Model, found: Solution, pairs: Pairs, large: Pairs, camera: Camera, most: int
) -> tuple[Model, Solution]:
    """Black levels as people state them, if that fits as well: in whole DN or with few decimals,
    the same for all sites, or the camera's, or else each site its own.

    Where demosaicing chooses between directions that are equally smooth, the last digit decides,
    which only shows in large parts.

    large: pairs with more of each picture. most: the largest DN.
    """
    if "black_level.level" not in model.names:
        return model, found
    model.put(found.vector)
    level = model.tensor("black_level.level")
    fitted = level.clone()
    rest = Model(model.isp, [name for name in model.names if name != "black_level.level"])
    start = rest.vector()

    def solved(levels: Tensor) -> Solution:
        rest.put(start)
        level.copy_(levels)
        return rest.solve(start, pairs, 3)

    def best(choices: Sequence[tuple[Tensor, Solution]]) -> tuple[Tensor, Solution]:
        """The first of those that fit equally well."""
        errors = []
        for levels, found in choices:
            level.copy_(levels)
            errors.append(rest.rms(found.vector, large))
        return choices[next(i for i, e in enumerate(errors) if e <= _EQUAL * min(errors))]

    def stated(levels: Tensor) -> tuple[Tensor, Solution]:
        found = solved(levels)
        whole = (levels * most).round() / most
        choices = [levels.round(decimals=digits) for digits in _FEW_DECIMALS]
        choices += [whole, *(whole.round(decimals=digits) for digits in _DECIMALS)]
        chosen, _ = best([(levels, found) for levels in choices])
        return chosen, solved(chosen)

    own = level.new_tensor(camera.black_level)
    mean = fitted.mean().expand(len(fitted))

    def candidates() -> Iterator[tuple[Tensor, Solution]]:
        yield best([(own, solved(own)), stated(mean)])
        yield stated(fitted)

    for levels, solution in candidates():
        if solution.rms <= _STATED * found.rms:
            level.copy_(levels)
            rest.put(solution.vector)
            return rest, solution
    model.put(found.vector)
    return model, found


def _full_scale(mosaics: Tensor) -> int:
    """The largest DN of the converter; of 16 bits, if values lie between."""
    for bits in _CONVERTERS:
        most: int = 2**bits - 1
        values = mosaics * most
        if bool(((values - values.round()).abs() < 0.01).all()):
            break
    return most


def _complete(isp: Pipeline, camera: Camera, shading: RadialShading | None) -> Pipeline:
    """The pipeline with the steps on whole mosaics that the camera states, and fitted shading."""
    steps = static("bi,-,-", camera).steps
    for name in ("linearization", "defective_pixels"):
        if name in steps:
            isp = isp.insert(name, steps[name], before="black_level")
    last = "black_level"
    for name in ("shading", "radial_shading"):
        if name in steps:
            isp = isp.insert(name, steps[name], after=last)
            last = name
    if shading is not None:
        isp = isp.insert("fitted_shading", shading, after=last)
    return isp


def _overlap(views: Tensor, pictures: Tensor, offset: Offset) -> tuple[Tensor, Tensor]:
    """What views of whole mosaics and pictures share: (N, 3, h, w) each."""
    own, given = [], []
    for start, size, length in zip(offset, views.shape[-2:], pictures.shape[-2:], strict=True):
        first, last = max(0, start), min(size, start + length)
        own.append(slice(first, last))
        given.append(slice(first - start, last - start))
    return views[..., own[0], own[1]], pictures[..., given[0], given[1]]


def _shared(
    isp: Pipeline, mosaics: Tensor, pictures: Tensor, offset: Offset, chosen: NDArray[np.int64]
) -> tuple[Tensor, Tensor]:
    """The views by an ISP of chosen mosaics in [0, 1], and the pictures of the same places."""
    with torch.no_grad():
        return _overlap(isp(mosaics[chosen]).clamp(0, 1), pictures[chosen], offset)


def _compressed(
    isp: Pipeline, mosaics: Tensor, pictures: Tensor, offset: Offset, chosen: NDArray[np.int64]
) -> tuple[Pipeline, bool]:
    """The pipeline with a JPEG in the end, and True, if that explains the pictures better.

    The blocks of a JPEG begin where the picture does.
    """
    if min(offset) < 0:
        return isp, False
    few = chosen[:_FEW]
    views, truth = _shared(isp, mosaics, pictures, offset, few)

    def rms(jpeg: JPEG | None) -> float:
        error = inner((jpeg(views) if jpeg else views) - truth)
        return float(error.square().mean().sqrt())

    before = rms(None)
    if before < _ROUNDING[8]:
        return isp, False
    tried = {
        (quality, subsampling): rms(JPEG(quality=quality, subsampling=subsampling))
        for quality, subsampling in product(_QUALITIES, ("420", "422", "444"))
    }
    best = min(tried, key=tried.__getitem__)
    for quality in range(max(1, best[0] - 9), min(100, best[0] + 9) + 1):
        tried[quality, best[1]] = rms(JPEG(quality=quality, subsampling=best[1]))
    best = min(tried, key=tried.__getitem__)
    if tried[best] > 0.9 * before:
        return isp, False
    jpeg = JPEG(quality=best[0], subsampling=best[1])
    return isp.insert("jpeg", jpeg, after=list(isp.steps)[-1]), True


def _errors(model: Model, found: Solution) -> tuple[dict[str, Any], dict[str, float]]:
    """Standard errors by name, and the numbers with a wide interval; see `Fitted`."""
    errors, wide = {}, {}
    for name, part in model.parts(found.errors()).items():
        errors[name] = model.full(name, part).tolist()
        share = 1.96 * float(part.max()) / max(float(model.tensor(name).abs().max()), 1e-12)
        if share > _DETERMINED:
            wide[name] = share
    return errors, wide


def _residual(views: Tensor, truth: Tensor) -> tuple[dict[str, float], float]:
    """Root mean square errors by where, and the ratio of the grain; see `Fitted`."""
    change = views - truth
    error = change.square().mean(1)
    gray = truth.mean(1)
    detail = (gray - correlate(gray, gray.new_full((3, 3), 1 / 9))).abs()
    detail = correlate(detail, gray.new_full((3, 3), 1 / 9))
    flat = detail <= detail.flatten()[:: max(1, detail.numel() // 2**20)].quantile(0.9)
    places = {
        "all": torch.ones_like(flat),
        "edges": ~flat,
        "flat": flat,
        "highlights": gray > 0.8,
        "shadows": gray < 0.2,
    }
    residual = {
        name: float(error[place].mean().sqrt()) for name, place in places.items() if place.any()
    }
    line = gray.new_full((2 * _LOCAL + 1,), 1 / (2 * _LOCAL + 1))
    local = correlate(correlate(change, line[None]), line[:, None])
    residual["local tone"] = float(local.square().mean().sqrt())
    own, given = (x - correlate(x, x.new_full((3, 3), 1 / 9)) for x in (views, truth))
    own, given = (x[flat[:, None].expand_as(x)] for x in (own, given))
    residual["grain"] = float((own - given).square().mean().sqrt())
    ratio = given.std() / own.std().clamp(min=1e-12)
    return residual, float(ratio)


def _answers(model: Answers | None, views: Tensor, truth: Tensor) -> tuple[int, int] | None:
    """How many answers differ, and of how many pictures or pixels."""
    if model is None:
        return None
    answers = []
    with torch.no_grad():
        for pictures in (views, truth):
            outputs = model(pictures.float())
            answers.append(outputs.argmax(1) if outputs.shape[1] > 1 else outputs[:, 0] > 0)
    differ = answers[0] != answers[1]
    return int(differ.sum()), differ.numel()


def _below_black(mosaics: Tensor, camera: Camera) -> float:
    """The share of values below the lowest black level that a camera states."""
    return float((mosaics < min(camera.black_level)).double().mean())


def _warnings(
    similarity: float, below: float, tones: float, gains: Vector, same: bool
) -> list[str]:
    found = []
    if below > _BELOW:
        found.append(
            f"{100 * below:.0f} % of the mosaics' values lie below the black level that the camera "
            f"states: check it, since a start that is far off may end in another ISP"
        )
    if similarity < LIKELY:
        found.append(
            f"the edges of pictures and mosaics correlate by {similarity:.2f} only: check that "
            f"they show the same scenes"
        )
    if same:
        found.append("all pairs are of one group, so that the fit is measured on what was fitted")
    if tones < _COVERED:
        found.append(
            f"the pictures cover {100 * tones:.0f} % of the tones only; for others the ISP may be "
            f"wrong: add pairs of darker, brighter or more colorful scenes"
        )
    if abs(gains - 1).max() > _SCALED:
        found.append(
            f"the pictures seem to be multiplied by factors of their own, {gains.min():.3f} to "
            f"{gains.max():.3f}, as by automatic brightness. No ISP file can hold them, so that "
            f"PSNR and all other errors include them: switch it off"
        )
    return found


def _of_intervals(isp: Pipeline, differs: bool) -> Iterator[str]:
    """What intervals of numbers leave out. differs: whether errors are more than rounding."""
    reasons = ["the pictures differ from those of the ISP by more than rounding"] if differs else []
    if any(isinstance(step, ToneCurve | NormToneCurve) for step in isp.steps.values()):
        reasons.append(
            "a free tone curve comes near the true one only, and hides a wrong black level"
        )
    if reasons:
        yield f"numbers are less certain than their intervals say: {'; '.join(reasons)}"


def _of_jpeg(moved: bool) -> Iterator[str]:
    """What to know of an ISP fitted to JPEGs. moved: their blocks are not those of the view."""
    yield (
        "the pictures are JPEGs, whose losses are not random: the numbers of the other steps are "
        "less certain than their intervals say; give PNG or TIFF pictures to find them"
    )
    if moved:
        yield (
            "the blocks of the JPEGs begin elsewhere than those of the whole mosaic, so that the "
            "ISP's JPEG is another one of the same quality"
        )
