"""
Develop a DNG, stage by stage
=============================

An ISP is a chain of steps from raw numbers to a picture. Here a small DNG is written, read and
developed, and every step shows what it does. With a raw file of your own, begin at "Read".
"""

# %%
# Write a raw file
# ----------------
# A synthetic street from above, seen by the camera of the dataset Raw-Drone. Any DNG will do in
# its place.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

import rawdrift as rd
from rawdrift.camera.write_dng import dng

folder = Path(tempfile.mkdtemp())
data = rd.data.load(rd.Data("synthetic-drone", images=10, size=192, seed=3))
(folder / "street.dng").write_bytes(dng(data.mosaics[0].numpy(), data.cameras[0]))

# %%
# Read
# ----
# A DNG brings its camera: color filter array, black level, white balance, color matrix. Other raw
# files need a camera file: ``rd.read_raw("shot.tif", camera=rd.Camera.load("lab.toml"))``.

raw = rd.read_raw(folder / "street.dng")
raw.camera

# %%
# Develop
# -------
# ``ma,s,me`` is Malvar's demosaicing, the sharpening filter and the median. The ISP is a PyTorch
# module; ``trace`` also gives the result of every step.

isp = rd.isp.static("ma,s,me", raw.camera)
view, stages = isp.trace(raw.mosaic)
isp

# %%
# Look at every stage
# -------------------
# Until gamma, values are proportional to light and look dark. Before demosaicing there is one
# number a pixel: the mosaic of the color filters shows as a fine pattern.

fig, axes = plt.subplots(2, 4, figsize=(11, 5.9), layout="constrained")
shown = {"raw": raw.mosaic, **stages}
for axis, (name, stage) in zip(axes.flat, shown.items(), strict=True):
    if stage.ndim == 2:
        axis.imshow(stage, cmap="gray", vmin=0, vmax=0.5)
    else:
        axis.imshow(stage.permute(1, 2, 0).clip(0, 1))
    axis.set_title(name.replace("_", " "))
    axis.axis("off")

# %%
# Twelve ISPs, one raw file
# -------------------------
# The same file through all twelve ISPs of the paper: a model sees twelve different pictures. The
# difference to the first is shown five times as strong.

views = rd.isp.views(raw.mosaic, raw.camera)
first = views["bi,s,me"]
fig, axes = plt.subplots(2, 6, figsize=(11, 4.1), layout="constrained")
for axis, (name, other) in zip(axes.flat, views.items(), strict=True):
    part = (0.5 + 5 * (other - first))[:, 60:130, 60:130]
    axis.imshow(part.permute(1, 2, 0).clip(0, 1))
    axis.set_title(name, fontsize=10)
    axis.axis("off")
