"""The static data model from independent packages (NumPy, float64): what the ISP is held against.

Everything runs on the mosaic extended by mirror reflection, and is cropped at the end: the numbers
and borders of the twelve configurations, by colour-demosaicing, scikit-image and SciPy.
"""

import warnings

import numpy as np
from scipy import ndimage
from skimage.color import rgb2yuv, yuv2rgb
from skimage.filters import unsharp_mask

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # colour reports the optional packages that it misses
    import colour_demosaicing

MARGIN = 32  # even, so that the Bayer pattern stays; beyond the reach of every step together

DEMOSAICING = {
    "bi": colour_demosaicing.demosaicing_CFA_Bayer_bilinear,
    "ma": colour_demosaicing.demosaicing_CFA_Bayer_Malvar2004,
    "me": colour_demosaicing.demosaicing_CFA_Bayer_Menon2007,
}
SHARPEN = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], dtype=float)


def develop(name, mosaic, camera, channels="luma", linear=False):
    """The view (H, W, 3) of one mosaic (H, W); `linear` stops before gamma."""
    demosaicing, sharpening, denoising = name.split(",")
    x = np.pad(np.asarray(mosaic, dtype=np.float64), MARGIN, mode="reflect")
    x = black_level(x, camera)
    x = DEMOSAICING[demosaicing](x, camera.cfa)
    x = x * np.array(camera.white_balance)
    x = x @ np.array(camera.color_matrix).T
    yuv = rgb2yuv(x)
    for channel in range(1 if channels == "luma" else 3):
        y = yuv[..., channel]
        y = (
            ndimage.correlate(y, SHARPEN, mode="mirror")
            if sharpening == "s"
            else unsharp_mask(y, radius=1.0, amount=1.0, preserve_range=True)
        )
        y = (
            ndimage.median_filter(y, size=3, mode="mirror")
            if denoising == "me"
            else ndimage.gaussian_filter(y, sigma=0.5, mode="mirror")
        )
        yuv[..., channel] = y
    x = yuv2rgb(yuv)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    return x if linear else np.clip(x, 0, 1) ** (1 / camera.gamma)


def black_level(x, camera):
    """Site by site, by the letters of the pattern."""
    x = x.copy()
    red_row = camera.cfa.index("R") // 2
    for site, color in enumerate(camera.cfa):
        row, column = divmod(site, 2)
        index = {"R": 0, "B": 3}.get(color, 1 if row == red_row else 2)
        black = camera.black_level[index]
        scale = 1.0 if camera.white_level is None else camera.white_level - black
        x[row::2, column::2] = (x[row::2, column::2] - black) / scale
    return x
