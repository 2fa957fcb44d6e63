"""Image signal processing: a raw mosaic becomes a view, differentiable in every number.

isp = static("ma,s,me", camera); view = isp(mosaic)
"""

from typing import TYPE_CHECKING

import lazy_loader

from rawdrift.configurations import CONFIGURATIONS

if TYPE_CHECKING:
    from rawdrift.isp.ahd import AHD
    from rawdrift.isp.bilinear import Bilinear
    from rawdrift.isp.black_level import BlackLevel
    from rawdrift.isp.chart_files import fit_charts
    from rawdrift.isp.chart_fit import ChartFit, fit_chart
    from rawdrift.isp.clipping import Clipping
    from rawdrift.isp.color_correction import ColorCorrection
    from rawdrift.isp.defective_pixels import DefectivePixels
    from rawdrift.isp.engines import engine
    from rawdrift.isp.external import External
    from rawdrift.isp.file import load, open, save  # noqa: A004
    from rawdrift.isp.fitting import Fitted, fit
    from rawdrift.isp.gamma import Gamma
    from rawdrift.isp.gaussian import GaussianDenoising
    from rawdrift.isp.hue import Hue
    from rawdrift.isp.jpeg import JPEG
    from rawdrift.isp.lens_shading import LensShading
    from rawdrift.isp.linearization import Linearization
    from rawdrift.isp.malvar import Malvar2004
    from rawdrift.isp.matching import Match, Matches, match, match_files
    from rawdrift.isp.median import MedianDenoising
    from rawdrift.isp.menon import Menon2007
    from rawdrift.isp.norm_tone_curve import NormToneCurve
    from rawdrift.isp.normalized_convolution import NormalizedConvolution
    from rawdrift.isp.number import Drift, Knob, Number, Option, absolute, relative
    from rawdrift.isp.pipeline import Pipeline
    from rawdrift.isp.presets import parametrized, static, views
    from rawdrift.isp.quad_bayer import Binning, Remosaic
    from rawdrift.isp.radial_shading import RadialShading
    from rawdrift.isp.resize import Resize
    from rawdrift.isp.saturation import Saturation
    from rawdrift.isp.shades_of_gray import ShadesOfGray
    from rawdrift.isp.sharpening_filter import SharpeningFilter
    from rawdrift.isp.step import Step
    from rawdrift.isp.tone_curve import ToneCurve
    from rawdrift.isp.transfer_function import TransferFunction
    from rawdrift.isp.unsharp_mask import UnsharpMask
    from rawdrift.isp.white_balance import WhiteBalance

# Imported when first used: to develop by a named ISP needs no torch. A module of the same name as a
# function would replace it.
__getattr__, _, _names = lazy_loader.attach(
    __name__,
    submod_attrs={
        "ahd": ["AHD"],
        "bilinear": ["Bilinear"],
        "black_level": ["BlackLevel"],
        "chart_files": ["fit_charts"],
        "chart_fit": ["ChartFit", "fit_chart"],
        "clipping": ["Clipping"],
        "color_correction": ["ColorCorrection"],
        "defective_pixels": ["DefectivePixels"],
        "engines": ["engine"],
        "external": ["External"],
        "file": ["load", "open", "save"],
        "fitting": ["Fitted", "fit"],
        "gamma": ["Gamma"],
        "gaussian": ["GaussianDenoising"],
        "hue": ["Hue"],
        "jpeg": ["JPEG"],
        "lens_shading": ["LensShading"],
        "linearization": ["Linearization"],
        "malvar": ["Malvar2004"],
        "matching": ["Match", "Matches", "match", "match_files"],
        "median": ["MedianDenoising"],
        "menon": ["Menon2007"],
        "norm_tone_curve": ["NormToneCurve"],
        "normalized_convolution": ["NormalizedConvolution"],
        "number": ["Drift", "Knob", "Number", "Option", "absolute", "relative"],
        "pipeline": ["Pipeline"],
        "presets": ["parametrized", "static", "views"],
        "quad_bayer": ["Binning", "Remosaic"],
        "radial_shading": ["RadialShading"],
        "resize": ["Resize"],
        "saturation": ["Saturation"],
        "shades_of_gray": ["ShadesOfGray"],
        "sharpening_filter": ["SharpeningFilter"],
        "step": ["Step"],
        "tone_curve": ["ToneCurve"],
        "transfer_function": ["TransferFunction"],
        "unsharp_mask": ["UnsharpMask"],
        "white_balance": ["WhiteBalance"],
    },
)
__all__ = sorted([*_names, "CONFIGURATIONS"])


def __dir__() -> list[str]:
    return __all__
