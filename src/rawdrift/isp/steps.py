"""The table of rawdrift's steps in their usual order, by the names that ISP files give them."""

from rawdrift.isp.ahd import AHD
from rawdrift.isp.bilinear import Bilinear
from rawdrift.isp.black_level import BlackLevel
from rawdrift.isp.clipping import Clipping
from rawdrift.isp.color_correction import ColorCorrection
from rawdrift.isp.defective_pixels import DefectivePixels
from rawdrift.isp.gamma import Gamma
from rawdrift.isp.gaussian import GaussianDenoising
from rawdrift.isp.hue import Hue
from rawdrift.isp.jpeg import JPEG
from rawdrift.isp.lens_shading import LensShading
from rawdrift.isp.linearization import Linearization
from rawdrift.isp.malvar import Malvar2004
from rawdrift.isp.median import MedianDenoising
from rawdrift.isp.menon import Menon2007
from rawdrift.isp.norm_tone_curve import NormToneCurve
from rawdrift.isp.normalized_convolution import NormalizedConvolution
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

STEPS: dict[str, type[Step]] = {
    step.__name__: step
    for step in (
        Linearization,
        DefectivePixels,
        BlackLevel,
        LensShading,
        RadialShading,
        Clipping,
        Binning,
        Remosaic,
        NormalizedConvolution,
        Bilinear,
        Malvar2004,
        Menon2007,
        AHD,
        WhiteBalance,
        ShadesOfGray,
        ColorCorrection,
        Saturation,
        Hue,
        SharpeningFilter,
        UnsharpMask,
        MedianDenoising,
        GaussianDenoising,
        NormToneCurve,
        Gamma,
        ToneCurve,
        TransferFunction,
        Resize,
        JPEG,
    )
}
