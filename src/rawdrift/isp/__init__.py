"""Image signal processing: a raw mosaic becomes a view, differentiable in every number.

isp = static("ma,s,me", camera); view = isp(mosaic)
"""

from rawdrift.configurations import CONFIGURATIONS
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
from rawdrift.isp.fit import Fitted, fit
from rawdrift.isp.gamma import Gamma
from rawdrift.isp.gaussian import GaussianDenoising
from rawdrift.isp.hue import Hue
from rawdrift.isp.jpeg import JPEG
from rawdrift.isp.lens_shading import LensShading
from rawdrift.isp.linearization import Linearization
from rawdrift.isp.malvar import Malvar2004
from rawdrift.isp.match import Match, Matches, match, match_files
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

__all__ = [
    "AHD",
    "CONFIGURATIONS",
    "JPEG",
    "Bilinear",
    "Binning",
    "BlackLevel",
    "ChartFit",
    "Clipping",
    "ColorCorrection",
    "DefectivePixels",
    "Drift",
    "External",
    "Fitted",
    "Gamma",
    "GaussianDenoising",
    "Hue",
    "Knob",
    "LensShading",
    "Linearization",
    "Malvar2004",
    "Match",
    "Matches",
    "MedianDenoising",
    "Menon2007",
    "NormToneCurve",
    "NormalizedConvolution",
    "Number",
    "Option",
    "Pipeline",
    "RadialShading",
    "Remosaic",
    "Resize",
    "Saturation",
    "ShadesOfGray",
    "SharpeningFilter",
    "Step",
    "ToneCurve",
    "TransferFunction",
    "UnsharpMask",
    "WhiteBalance",
    "absolute",
    "engine",
    "fit",
    "fit_chart",
    "fit_charts",
    "load",
    "match",
    "match_files",
    "open",
    "parametrized",
    "relative",
    "save",
    "static",
    "views",
]
