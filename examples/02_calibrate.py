"""
A camera from dark and flat frames
==================================

How many electrons is a digital number? Photon transfer (EMVA 1288) measures it without a data
sheet: light comes in photons, so the variance of a flat frame grows with its mean, and the slope
is the gain. All it takes are a few dark frames and two flat frames at each of several exposures.
"""

# %%
# Take the frames
# ---------------
# Here a simulated sensor takes them, with a gain of 4.2 DN per electron and 3.5 electrons of read
# noise. With a camera of your own: cap on the lens for the dark frames, an evenly lit white
# sheet, out of focus, for the flat ones.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import tifffile
import torch

import rawdrift as rd
from rawdrift.camera.calibrate import calibrate
from rawdrift.camera.camera import Noise

true = rd.Camera(
    "lab",
    "RGGB",
    black_level=(0.0156,) * 4,
    white_level=1.0,
    white_balance=(1.9, 1.0, 1.6),
    noise=Noise(gain=4.2, read_noise=3.5),
)
sensor = rd.sensor.Sensor(true)
draws = torch.Generator().manual_seed(0)
folder = Path(tempfile.mkdtemp())


def shoot(name, light):
    """Take a frame of an evenly lit field and write it as a 16-bit TIFF."""
    frame = sensor.digital(torch.full((3, 160, 160), light), draws)
    tifffile.imwrite(folder / name, frame.numpy())
    return folder / name


dark = [shoot(f"dark_{i}.tif", 0.0) for i in range(4)]
exposures = (0.02, 0.1, 0.2, 0.35, 0.5, 0.65, 0.9)
flat = [shoot(f"flat_{light}_{i}.tif", light) for light in exposures for i in range(2)]

# %%
# Measure
# -------
# Only the color filter array and the saturation must be known. On the command line: ``rawdrift
# cameras fit --dark dark_*.tif --flat flat_*.tif --cfa RGGB --out lab.toml``.

found = calibrate(dark, flat, rd.Camera("lab", "RGGB", white_level=1.0))
print(found.text())

# %%
# Look at the photon transfer curve
# ---------------------------------
# A point is a color site at an exposure. They lie on one line, whose slope is the gain. Exposures
# above 70 % of saturation are left out: there the line bends.

gain = found.camera.noise.gain
fig, axis = plt.subplots(figsize=(7, 4.2), layout="constrained")
for level, used in zip(found.flats, found.used, strict=True):
    signal = level.mean - found.dark.mean
    axis.plot(signal[used], level.variance[used], "o", color="#0b6e69", ms=5)
    axis.plot(signal[~used], level.variance[~used], "o", color="#0b6e69", mfc="none", ms=5)
line = np.linspace(0, 60000, 2)
axis.plot(line, found.dark.variance.mean() + gain * line, color="#c2410c", lw=1.2, zorder=0)
axis.set(xlabel="signal above black (DN)", ylabel="variance in time (DN²)")
axis.set_title(f"slope {gain:.3f} DN/e⁻, simulated with {true.noise.gain}")
axis.spines[["top", "right"]].set_visible(False)

# %%
# Use it
# ------
# The camera file holds what was measured and where it comes from. With a gain, rawdrift can
# simulate less light, and forensics can let exposure and noise drift.

found.camera.save(folder / "lab.toml")
print((folder / "lab.toml").read_text())
