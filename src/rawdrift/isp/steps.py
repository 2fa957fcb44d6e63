"""The table of rawdrift's steps, by the names that ISP files give them."""

from rawdrift.isp.bilinear import Bilinear
from rawdrift.isp.black_level import BlackLevel
from rawdrift.isp.color_correction import ColorCorrection
from rawdrift.isp.gamma import Gamma
from rawdrift.isp.gaussian import GaussianDenoising
from rawdrift.isp.malvar import Malvar2004
from rawdrift.isp.median import MedianDenoising
from rawdrift.isp.menon import Menon2007
from rawdrift.isp.sharpening_filter import SharpeningFilter
from rawdrift.isp.step import Step
from rawdrift.isp.unsharp_mask import UnsharpMask
from rawdrift.isp.white_balance import WhiteBalance

STEPS: dict[str, type[Step]] = {
    step.__name__: step
    for step in (
        BlackLevel,
        Bilinear,
        Malvar2004,
        Menon2007,
        WhiteBalance,
        ColorCorrection,
        SharpeningFilter,
        UnsharpMask,
        MedianDenoising,
        GaussianDenoising,
        Gamma,
    )
}
