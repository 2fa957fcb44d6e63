"""Image signal processing: a raw mosaic becomes a view, differentiable in every number.

isp = static("ma,s,me", camera); view = isp(mosaic)
"""

from rawdrift.configurations import CONFIGURATIONS
from rawdrift.isp.bilinear import Bilinear
from rawdrift.isp.black_level import BlackLevel
from rawdrift.isp.color_correction import ColorCorrection
from rawdrift.isp.engines import engine
from rawdrift.isp.file import load, open, save  # noqa: A004
from rawdrift.isp.gamma import Gamma
from rawdrift.isp.gaussian import GaussianDenoising
from rawdrift.isp.malvar import Malvar2004
from rawdrift.isp.match import Match, Matches, match, match_files
from rawdrift.isp.median import MedianDenoising
from rawdrift.isp.menon import Menon2007
from rawdrift.isp.number import Drift, Knob, Number, Option, absolute, relative
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.presets import parametrized, static, views
from rawdrift.isp.sharpening_filter import SharpeningFilter
from rawdrift.isp.step import Step
from rawdrift.isp.unsharp_mask import UnsharpMask
from rawdrift.isp.white_balance import WhiteBalance

__all__ = [
    "CONFIGURATIONS",
    "Bilinear",
    "BlackLevel",
    "ColorCorrection",
    "Drift",
    "Gamma",
    "GaussianDenoising",
    "Knob",
    "Malvar2004",
    "Match",
    "Matches",
    "MedianDenoising",
    "Menon2007",
    "Number",
    "Option",
    "Pipeline",
    "SharpeningFilter",
    "Step",
    "UnsharpMask",
    "WhiteBalance",
    "absolute",
    "engine",
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
