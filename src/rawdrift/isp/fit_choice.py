"""Which steps an ISP has: chosen by how well each set of them fits pictures."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift import configurations
from rawdrift.camera.camera import Camera
from rawdrift.cfa import PATTERNS, is_bayer
from rawdrift.checks import InputError
from rawdrift.isp.clipping import Clipping
from rawdrift.isp.fit_model import BORDER, ROUGH, Model, Pairs, Solution
from rawdrift.isp.gamma import Gamma
from rawdrift.isp.gaussian import GaussianDenoising
from rawdrift.isp.malvar import Malvar2004
from rawdrift.isp.median import MedianDenoising
from rawdrift.isp.norm_tone_curve import NormToneCurve
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.presets import static
from rawdrift.isp.resize import METHODS, Resize
from rawdrift.isp.saturation import Saturation
from rawdrift.isp.step import Step
from rawdrift.isp.tone_curve import ToneCurve
from rawdrift.isp.transfer_function import TransferFunction

Array = NDArray[np.float64]

_GAMMAS = (1.0, 1.4, 1.8, 2.2, 2.6)
_STANDARDS = ("srgb", "rec709")
_KNOTS = 17  # of a free tone curve
_FINALISTS = 3
_LIKELY = 12  # sets of steps, the best with a standard curve, that are tried with a free one
_CLIPPED = 1e-3  # share of the pixels from which on clipping can be seen
BETTER = 0.98  # of the error of simpler steps that others must stay below
_OTHER_ARRAY = 0.7  # of the error with the camera's pattern
_SINGULAR = 1e3  # condition of a matrix, from which on it loses a color
_FLAT = 0.01  # standard deviation of pictures in which there is nothing to fit


def choose(camera: Camera, pairs: Pairs, floor: float, factor: float = 1) -> tuple[Model, Solution]:
    """Choose demosaicing, sharpening, denoising and a standard tone curve, or else a free one.

    floor: root mean square error that the rounding of the pictures leaves. factor: by which they
    are resized; the method is chosen too.
    """
    sizes = [None] if factor == 1 else [Resize(factor, method) for method in METHODS]
    tones = starts(camera, pairs, sizes[0])
    sets = product(
        configurations.DEMOSAICING,
        (*configurations.SHARPENING, configurations.LEFT_OUT),
        (*configurations.DENOISING, configurations.LEFT_OUT),
    )
    names = configurations.taking(camera.cfa, [*map(",".join, sets)])
    ranked, trials = _trials(names, camera, *tones[0], pairs, floor, sizes)
    for tone, matrix in tones[1:]:
        isp = trials[0][0].isp.replace(gamma=tone)
        model = Model(isp, _numbers(isp))
        model.tensor("color_correction.matrix").copy_(torch.from_numpy(matrix))
        trials.append((model, model.solve(model.vector(), pairs, 4, ROUGH)))
    model, found = _best(trials, floor)
    found = model.solve(found.vector, pairs, 12, ROUGH)  # curves of dark places are slow
    if found.rms < floor:
        return model, found
    model, found = _with_clipping(model, found, camera, pairs)
    other = curved(model, pairs)
    assert other is not None
    bent = other.solve(other.vector(), pairs, 5, ROUGH)
    if bent.rms > BETTER * found.rms:
        return model, found
    tone, matrix = other.isp.steps["gamma"], other.tensor("color_correction.matrix").numpy()
    _, more = _trials(ranked[:_LIKELY], camera, tone, matrix, pairs, floor, sizes)
    clipped = [_with_clipping(*one, camera, pairs) for one in more]
    return _best([(other, bent), *clipped], floor)


def simple(camera: Camera, pairs: Pairs, factor: float = 1) -> tuple[Model, Solution]:
    """Bilinear demosaicing, a matrix and a free tone curve."""
    size = None if factor == 1 else Resize(factor, METHODS[0])
    isp = _sized(_isp("bi,-,-", camera, *starts(camera, pairs, size)[0]), size)
    model = curved(Model(isp, ["color_correction.matrix"]), pairs)
    assert model is not None
    return model, model.solve(model.vector(), pairs, 4, ROUGH)


def _best(trials: Sequence[tuple[Model, Solution]], floor: float) -> tuple[Model, Solution]:
    """The model that fits best; of those that leave the rounding alone, the smallest."""
    least = min(found.rms for _, found in trials)
    close = [one for one in trials if one[1].rms <= max(least, floor if least < floor else 0)]
    return min(close, key=lambda one: (len(one[1].vector), one[1].rms))


def _with_clipping(
    model: Model, found: Solution, camera: Camera, pairs: Pairs
) -> tuple[Model, Solution]:
    """The model with a mosaic that is clipped first, if that is better."""
    model.put(found.vector)
    isp = clipped_first(model.isp, camera)
    if isp is None:
        return model, found
    signal = isp.steps["black_level"](pairs.mosaics)
    if float((isp.steps["clipping"](signal) != signal).double().mean()) < _CLIPPED:
        return model, found
    other = Model(isp, _numbers(isp))
    clipped = other.solve(other.vector(), pairs, 4, ROUGH)
    return (other, clipped) if clipped.rms < BETTER * found.rms else (model, found)


def clipped_first(isp: Pipeline, camera: Camera) -> Pipeline | None:
    """The pipeline whose mosaic is clipped where the white balance of its color would exceed the
    range; None if it is clipped already, or is no Bayer mosaic."""
    if "clipping" in isp.steps or not is_bayer(camera.cfa):
        return None
    gains = np.abs(camera.white_balance)[[0, 1, 1, 2]]
    clipping = Clipping(camera.cfa, (gains.min() / gains).tolist())
    return isp.insert("clipping", clipping, after="black_level")


def _trials(
    names: Sequence[str],
    camera: Camera,
    tone: Step,
    matrix: Array,
    pairs: Pairs,
    floor: float,
    sizes: Sequence[Resize | None],
) -> tuple[list[str], list[tuple[Model, Solution]]]:
    """The sets of demosaicing, sharpening and denoising, the best first; and those that fit best,
    with resizing and numbers."""
    rough = []
    for name in names:
        isp = _sized(_isp(name, camera, tone, matrix), sizes[0])
        some = [n for n in ("color_correction.matrix", "gamma.gamma") if n in _numbers(isp)]
        model = Model(isp, some)
        rough.append((model.solve(model.vector(), pairs, 1 + len(some)).rms, name, isp))
    rough.sort(key=lambda one: one[0])
    trials: list[tuple[Model, Solution]] = []
    for (_, _, isp), size in product(rough[:_FINALISTS], sizes):
        isp = _sized(isp, size)
        model = Model(isp, _numbers(isp))
        trials.append((model, model.solve(model.vector(), pairs, 4, ROUGH)))
        if trials[-1][1].rms < floor:
            break
    return [name for _, name, _ in rough], trials


def informed(model: Model, found: Solution) -> Model:
    """The model whose demosaicing chooses by the matrix that was fitted, if it chooses by one."""
    demosaic = model.isp.steps["demosaic"]
    if "matrix" not in demosaic.options:
        return model
    model.put(found.vector)
    matrix = model.tensor("color_correction.matrix").tolist()
    options = {name: getattr(demosaic, name) for name in demosaic.options} | {"matrix": matrix}
    return Model(model.isp.replace(demosaic=type(demosaic)(**options)), model.names)


def improve(model: Model, found: Solution, pairs: Pairs) -> tuple[Model, Solution]:
    """Richer steps, if they are better on pictures that they were not fitted to: filters of all
    channels, demosaicing with kernels of its own, other tone curves, and saturation after them.

    Fitted to one half of the pairs, compared on the other.
    """
    half = len(pairs.mosaics) // 2
    if not half:
        return model, found
    first, second = pairs.of(slice(half)), pairs.of(slice(half, None))
    model.put(found.vector)
    fitted = model.solve(found.vector, first, 4, ROUGH)
    score = model.rms(fitted.vector, second)
    for more in (_colorful, _own_kernels, curved, _on_norm, _saturated):
        model.put(fitted.vector)
        trial = more(model, first)
        if trial is None:
            continue
        other = trial.solve(trial.vector(), first, 5, ROUGH)
        if (value := trial.rms(other.vector, second)) < BETTER * score:
            score, model, fitted = value, trial, other
    return model, fitted


def starts(camera: Camera, pairs: Pairs, size: Resize | None = None) -> list[tuple[Step, Array]]:
    """Tone curves with their least-squares matrices, the best first: the best gamma, and standards.

    size: of the pictures. Raises InputError if another Bayer pattern fits much better.
    """
    found = _matrices(camera, pairs, size)
    patterns = PATTERNS if is_bayer(camera.cfa) else ()
    others = {cfa: _matrices(replace(camera, cfa=cfa), pairs, size)[0] for cfa in patterns}
    better = [
        cfa for cfa, one in others.items() if one.error < _OTHER_ARRAY * found[0].error
    ]  # one of them with red and blue exchanged, which a matrix can do, too
    if better:
        cfa = max(better, key=lambda cfa: float(np.trace(others[cfa].matrix)))
        raise InputError(
            f"the mosaics seem to have the color filter array {cfa}, not {camera.cfa} as camera "
            f"{camera.name!r} says: the colors of the pictures follow from it much better; correct "
            f"the camera"
        )
    if np.linalg.cond(found[0].matrix) > _SINGULAR:
        raise InputError(
            "the pictures are gray or shades of one color, from which no colors can be fitted; "
            "give pictures in color"
        )
    gamma = next(one for one in found if isinstance(one.tone, Gamma))
    return [
        (one.tone, one.matrix) for one in found if one is gamma or not isinstance(one.tone, Gamma)
    ]


class _Start(NamedTuple):
    """A tone curve with its matrix, and their mean error."""

    error: float
    tone: Step
    matrix: Array


def _matrices(camera: Camera, pairs: Pairs, size: Resize | None) -> list[_Start]:
    """Tone curves with their least-squares matrices, the best first.

    Errors in linear light are weighted by the slope of the curve, which makes them errors of the
    picture.
    """
    x = pairs.mosaics
    for name, step in static("bi,-,-", camera).steps.items():
        if name not in ("white_balance", "color_correction", "gamma"):
            x = step(x)
    if size is not None:
        x = size(x)
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
    for name in (*map(str, _GAMMAS), *_STANDARDS):
        tone = TransferFunction(name) if name in _STANDARDS else Gamma(float(name))
        curve = tone(torch.from_numpy(grid).expand(1, 3, 1, -1))[0, 0, 0].numpy()
        slope = np.gradient(curve, grid)
        matrix, errors = np.empty((3, 3)), []
        for channel in range(3):
            y = truth[:, channel]
            inside = (y > 0.03) & (y < 0.97)
            linear = np.interp(y[inside], curve, grid)
            weight = np.minimum(np.interp(linear, grid, slope), 10.0)
            a, b = rows[inside] * weight[:, None], linear * weight
            if inside.sum() < 30 or np.linalg.cond(a) > 1e4:
                why = "nearly all values are clipped" if inside.sum() < 30 else "all show one color"
                raise InputError(
                    f"the pairs do not determine the colors: {why}; give pairs of scenes with "
                    f"several colors and tones"
                )
            matrix[channel] = np.linalg.lstsq(a, b, rcond=None)[0]
            errors.append(np.mean(np.abs(a @ matrix[channel] - b)))
        found.append(_Start(float(np.mean(errors)), tone, matrix))
    return sorted(found, key=lambda one: one.error)


def _colorful(model: Model, pairs: Pairs) -> Model | None:
    """The model with a filter of all channels in place of denoising."""
    before = model.isp.steps.get("denoise")
    if isinstance(before, MedianDenoising):
        return None
    given = _unchanged() if before is None else before.kernel
    isp = model.isp if before is None else model.isp.remove("denoise")
    after = "sharpen" if "sharpen" in isp.steps else "color_correction"
    isp = isp.insert("denoise", GaussianDenoising(given, channels="yuv"), after=after)
    return Model(isp, _same_numbers(model, isp))


def _unchanged() -> Tensor:
    """The kernel that leaves an image as it is."""
    kernel = torch.zeros(5, 5, dtype=torch.float64)
    kernel[2, 2] = 1
    return kernel


def _own_kernels(model: Model, pairs: Pairs) -> Model | None:
    """The model with linear demosaicing whose kernels are fitted, and a filter of all channels."""
    demosaic = model.isp.steps["demosaic"]
    if "cfa" not in demosaic.options or not is_bayer(demosaic.cfa):
        return None
    isp = model.isp.replace(demosaic=Malvar2004(demosaic.cfa))
    isp = isp.remove(*(name for name in ("sharpen", "denoise") if name in isp.steps))
    denoise = GaussianDenoising(_unchanged(), channels="yuv")
    isp = isp.insert("denoise", denoise, after="color_correction")
    return Model(isp, [*_same_numbers(model, isp), "demosaic.kernels"])


def curved(model: Model, pairs: Pairs) -> Model | None:
    """The model with a free tone curve that begins as its own."""
    tone = model.isp.steps["gamma"]
    if isinstance(tone, ToneCurve):
        return None
    inputs = _knots(model, pairs)
    outputs = _bent(tone, inputs)
    isp = model.isp.replace(gamma=ToneCurve(np.stack([inputs, outputs], axis=1).tolist()))
    return Model(isp, _same_numbers(model, isp))


def _on_norm(model: Model, pairs: Pairs) -> Model | None:
    """The model with a curve on the norm of the channels, before a standard tone curve."""
    inputs = _knots(model, pairs)
    linear, tone = inputs, model.isp.steps["gamma"]
    if isinstance(tone, ToneCurve):  # as sRGB shows it
        bright = _bent(tone, inputs)
        linear = np.where(bright > 0.04045, ((bright + 0.055) / 1.055) ** 2.4, bright / 12.92)
        tone = TransferFunction("srgb")
    curve = NormToneCurve(np.stack([inputs, np.maximum.accumulate(linear)], axis=1).tolist())
    isp = model.isp.replace(gamma=tone).insert("norm_curve", curve, before="gamma")
    return Model(isp, _same_numbers(model, isp))


def _saturated(model: Model, pairs: Pairs) -> Model | None:
    """The model with saturation after its tone curve: before it, it is a part of the matrix."""
    isp = model.isp.insert("saturation", Saturation(), after="gamma")
    return Model(isp, _same_numbers(model, isp))


def _same_numbers(model: Model, isp: Pipeline) -> list[str]:
    """The numbers of a pipeline that are fitted, of a model's steps the same ones."""
    kept = [n for n in _numbers(model.isp) if n not in model.names]
    names = [name for name in _numbers(isp) if name not in kept]
    return names + [name for name in model.names if name == "demosaic.kernels"]


def _bent(tone: Step, inputs: Array) -> Array:
    outputs = tone(torch.from_numpy(inputs).expand(1, 3, 1, -1))[0, 0, 0].clamp(0, 1)
    return np.maximum.accumulate(outputs.numpy())


def _knots(model: Model, pairs: Pairs) -> Array:
    """Inputs of a tone curve, more of them for dark tones, up to the brightest of the pairs."""
    x = pairs.mosaics
    for name, step in model.isp.steps.items():
        if name == "gamma":
            break
        x = step(x)
    top = max(1.0, float(np.quantile(x.numpy()[..., ::3, ::3], 0.9995)))
    return top * np.linspace(0, 1, _KNOTS) ** 2


def _isp(name: str, camera: Camera, tone: Step, matrix: Array) -> Pipeline:
    camera = replace(camera, color_matrix=tuple(map(tuple, matrix.tolist())))
    return static(name, camera).replace(gamma=deepcopy(tone))


def _sized(isp: Pipeline, size: Resize | None) -> Pipeline:
    if size is None:
        return isp
    isp = isp.remove("resize") if "resize" in isp.steps else isp
    return isp.insert("resize", size, after="gamma")


def _numbers(isp: Pipeline) -> list[str]:
    """The numbers that are fitted: not those that others can stand in for."""
    names = [f"{step}.{number}" for step, one in isp.steps.items() for number in one.numbers]
    return [name for name in names if name not in ("white_balance.gains", "demosaic.kernels")]
