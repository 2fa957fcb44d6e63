"""Numbers that steps and kernels share. No torch."""

import numpy as np

# BT.470 YUV as in skimage.color; its inverse is computed, as there.
YUV_FROM_RGB = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.14714119, -0.28886916, 0.43601035],
        [0.61497538, -0.51496512, -0.10001026],
    ]
)
RGB_FROM_YUV = np.linalg.inv(YUV_FROM_RGB)

# One step of a 16-bit file: below it the slope of gamma's power, infinite at zero, is held.
SLOPE_FLOOR = 2.0**-16
