"""The configurations of Table 1, and those without some of their steps, static and parametrized."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby

import torch
from torch import Tensor

from rawdrift import configurations, inputs
from rawdrift.camera.camera import Camera, check_camera
from rawdrift.cfa import PATTERNS, Pattern, is_bayer, quad
from rawdrift.configurations import CONFIGURATIONS, NAMES
from rawdrift.isp.ahd import AHD
from rawdrift.isp.bilinear import Bilinear
from rawdrift.isp.black_level import BlackLevel
from rawdrift.isp.color_correction import ColorCorrection
from rawdrift.isp.defective_pixels import DefectivePixels
from rawdrift.isp.fused import engine
from rawdrift.isp.gamma import Gamma
from rawdrift.isp.gaussian import GaussianDenoising
from rawdrift.isp.hue import Hue
from rawdrift.isp.lens_shading import LensShading
from rawdrift.isp.linearization import Linearization
from rawdrift.isp.malvar import Malvar2004
from rawdrift.isp.median import MedianDenoising
from rawdrift.isp.menon import Menon2007
from rawdrift.isp.normalized_convolution import NormalizedConvolution
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.quad_bayer import Remosaic
from rawdrift.isp.radial_shading import RadialShading
from rawdrift.isp.saturation import Saturation
from rawdrift.isp.sharpening_filter import SharpeningFilter
from rawdrift.isp.step import Step
from rawdrift.isp.tone_curve import ToneCurve
from rawdrift.isp.unsharp_mask import UnsharpMask
from rawdrift.isp.white_balance import WhiteBalance
from rawdrift.isp.yuv import Channels

_DEMOSAICING: dict[str, type[Step]] = {
    "bi": Bilinear,
    "me": Menon2007,
    "ma": Malvar2004,
    "ahd": AHD,
}
_SHARPENING: dict[str, type[Step]] = {"s": SharpeningFilter, "u": UnsharpMask}
_DENOISING: dict[str, type[Step]] = {"me": MedianDenoising, "ga": GaussianDenoising}


# The steps that a camera may need, by its fields, in the usual order among the others.
OF_CAMERA: dict[str, type[Step]] = {
    "linearization": Linearization,
    "defective_pixels": DefectivePixels,
    "shading": LensShading,
    "radial_shading": RadialShading,
    "saturation": Saturation,
    "hue": Hue,
    "tone_curve": ToneCurve,
}
_ORDER = (
    "linearization",
    "defective_pixels",
    "black_level",
    "shading",
    "radial_shading",
    "remosaic",
    "demosaic",
    "white_balance",
    "color_correction",
    "saturation",
    "hue",
    "sharpen",
    "denoise",
    "gamma",
    "tone_curve",
)


def static(name: str, camera: Camera, channels: Channels = "luma") -> Pipeline:
    """Return the static data model (eq. 11) of one of `CONFIGURATIONS`, with a camera's numbers.

    name: "-" leaves a step out, as in "bi,-,ga" and "bi,-,-". A camera that states more, such as
    lens shading, adds its steps in the usual order; its tone curve stands in place of gamma.
    channels: what sharpening and denoising act on, Y alone or all of YUV.
    """
    return _pipeline(name, camera, channels, parametrized=False)


def parametrized(name: str, camera: Camera, channels: Channels = "luma") -> Pipeline:
    """Return the parametrized data model (eq. 14), whose every number is an `nn.Parameter`.

    `named_parameters()`: black_level.level (4,), demosaic.kernels, white_balance.gains (3,),
    color_correction.matrix (3, 3), sharpen.kernel (3, 3) or sharpen.radius and sharpen.amount,
    denoise.kernel (5, 5) of the Gaussian, gamma.gamma. All float64.
    """
    return _pipeline(name, camera, channels, parametrized=True)


def views(
    mosaic: Tensor,
    camera: Camera,
    names: Sequence[str] = CONFIGURATIONS,
    channels: Channels = "luma",
) -> dict[str, Tensor]:
    """Return the views (..., 3, H, W) of a mosaic (..., H, W) by configuration.

    Work that configurations share is done once.
    """
    check_camera(camera)
    inputs.mosaic(mosaic)
    # Neighbors share the most steps; those of a group have the same stages.
    ordered = sorted(set(map(configurations.check_name, names)), key=_stages)
    views: dict[str, Tensor] = {}
    for _, group in groupby(ordered, key=lambda name: _stages(name)[:-1]):
        isps = {name: _shared(name, camera, channels, mosaic.device) for name in group}
        views |= _together(isps, mosaic)
    return {name: views[name] for name in names}


def _stages(name: str) -> tuple[str, bool, bool, int]:
    """The demosaicing, whether there is sharpening and denoising, and the place among `NAMES`."""
    demosaicing, sharpening, denoising = configurations.steps(name)
    return demosaicing, sharpening is None, denoising is None, configurations.position(name)


@lru_cache(maxsize=2 * len(NAMES))
def _shared(name: str, camera: Camera, channels: Channels, device: torch.device) -> Pipeline:
    """A static pipeline that nobody changes: twelve take as long to make as a view."""
    return static(name, camera, channels).to(device)


def _together(isps: dict[str, Pipeline], mosaic: Tensor) -> dict[str, Tensor]:
    """Views by pipelines of the same demosaicing and the same stages."""
    first = next(iter(isps.values()))
    fast = engine.develop(
        [list(isp.steps.values()) for isp in isps.values()], mosaic, first.bit_depth
    )
    if fast is not None:
        return dict(zip(isps, fast, strict=True))
    # Walk them as a tree, keeping only the stages on the way to the view at hand.
    path: list[tuple[type[Step], Tensor]] = []
    views = {}
    for name, isp in isps.items():
        classes = [type(step) for step in isp.steps.values()]
        shared = 0
        while shared < len(path) and path[shared][0] is classes[shared]:
            shared += 1
        del path[shared:]
        stages = isp.stages(path[-1][1] if path else isp.checked(mosaic), skip=shared)
        path += [(cls, stage) for cls, (_, stage) in zip(classes[shared:], stages, strict=True)]
        views[name] = path[-1][1]
    return views


def configuration(steps: Mapping[str, Step]) -> str | None:
    """Return the name of a pipeline with these steps in this order, or None if it has none.

    Steps that a camera adds may be among them.
    """
    classes = [(name, type(step)) for name, step in steps.items()]
    added = [name for name, step in classes if OF_CAMERA.get(name) is step]
    cfa = next((step.cfa for step in steps.values() if "cfa" in step.options), PATTERNS[0])
    names = (name for name in NAMES if [*kinds(name, added, cfa).items()] == classes)
    return next(names, None)


def kinds(
    name: str, added: Collection[str] = (), cfa: Pattern = PATTERNS[0]
) -> dict[str, type[Step]]:
    """Return the classes of a configuration's steps, by the steps' names.

    added: the fields of a camera that need a step more. cfa: of the camera. Bilinear demosaicing of
    others than Bayer's is normalized convolution; for the other ones, a quad-Bayer mosaic is
    first made a Bayer one.
    """
    demosaicing, sharpening, denoising = configurations.steps(name)
    classes = (
        BlackLevel,
        WhiteBalance,
        ColorCorrection,
        _SHARPENING[sharpening] if sharpening else None,
        _DENOISING[denoising] if denoising else None,
        Gamma,
    )
    steps = {str(step.stage): step for step in classes if step is not None}
    steps["demosaic"] = _DEMOSAICING[demosaicing]
    if steps["demosaic"] is Bilinear and not is_bayer(cfa):
        steps["demosaic"] = NormalizedConvolution
    elif quad(cfa):
        steps["remosaic"] = Remosaic
    if "tone_curve" in added:
        del steps["gamma"]
    steps |= {name: OF_CAMERA[name] for name in added}
    return {name: steps[name] for name in _ORDER if name in steps}


def _pipeline(name: str, camera: Camera, channels: Channels, parametrized: bool) -> Pipeline:
    check_camera(camera)
    added = [field for field in OF_CAMERA if getattr(camera, field) is not None]
    steps = {}
    at = camera
    for step_name, kind in kinds(name, added, camera.cfa).items():
        options = {"channels": channels} if "channels" in kind.options else {}
        step = steps[step_name] = kind.of(at, parametrized=parametrized, **options)
        if (cfa := step.cfa_after(at.cfa)) and cfa != at.cfa:
            at = replace(at, cfa=cfa)
    return Pipeline(steps, camera.bit_depth)
