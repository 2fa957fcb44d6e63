"""Image signal processing: a raw mosaic becomes a view, differentiable in every number.

isp = static("ma,s,me", camera); view = isp(mosaic)
"""

from rawdrift.configurations import CONFIGURATIONS
from rawdrift.isp.black_level import BlackLevel
from rawdrift.isp.color import ColorCorrection, WhiteBalance
from rawdrift.isp.demosaic import Bilinear, Malvar2004, Menon2007
from rawdrift.isp.denoise import GaussianDenoising, MedianDenoising
from rawdrift.isp.engines import engine
from rawdrift.isp.gamma import Gamma
from rawdrift.isp.learned import load, save
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.presets import parametrized, static, views
from rawdrift.isp.sharpen import SharpeningFilter, UnsharpMask
from rawdrift.isp.step import Step

__all__ = [
    "CONFIGURATIONS",
    "Bilinear",
    "BlackLevel",
    "ColorCorrection",
    "Gamma",
    "GaussianDenoising",
    "Malvar2004",
    "MedianDenoising",
    "Menon2007",
    "Pipeline",
    "SharpeningFilter",
    "Step",
    "UnsharpMask",
    "WhiteBalance",
    "engine",
    "load",
    "parametrized",
    "save",
    "static",
    "views",
]
