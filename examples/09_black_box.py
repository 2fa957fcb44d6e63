"""
A black-box ISP, and an ISP fitted to it
========================================

The ISP that made your pictures is often not open: a camera's firmware, a vendor's library.
rawdrift takes it as it is, and can fit an ISP of its own steps to its pictures. That one has
gradients, can be searched, learned and signed.
"""

# %%
# A black box
# -----------
# LibRaw stands for it here: rawdrift writes each mosaic as a DNG, and LibRaw develops it. Any
# program will do: ``command:rawtherapee-cli -q -n -b16 -Y -o {picture} -c {raw+64}``.

import matplotlib.pyplot as plt
import torch

import rawdrift as rd

data = rd.data.load(rd.Data("synthetic-drone", images=12, size=96, seed=2))
camera = data.cameras[0]
mosaics = data.mosaics[:].float() / 65535
box = rd.isp.open("libraw:demosaic=LINEAR", camera)
pictures = box(data.mosaics[:])
print(box)

# %%
# Which of ours comes nearest?
# ----------------------------
# Before fitting: the twelve ISPs of the paper with the camera's numbers, by PSNR.

ours = rd.isp.views(mosaics, camera)
psnr = {name: float(-10 * (view - pictures).square().mean().log10()) for name, view in ours.items()}
nearest = max(psnr, key=psnr.get)
print(f"nearest: {nearest} with {psnr[nearest]:.1f} dB, farthest: {min(psnr.values()):.1f} dB")

# %%
# Fit
# ---
# It chooses the steps and fits their numbers with three fourths of the pairs; the rest measures
# the fit. On the command line: ``rawdrift isp fit PAIRS --camera lab.toml --out fitted.toml``.

fitted = rd.isp.fit(mosaics, pictures, camera)
fitted

# %%
# How close is it?
# ----------------
# On a picture that was not fitted. Differences are shown five times as strong.

which = fitted.held_out[0]
top, left = fitted.offset
with torch.inference_mode():
    near, fit = ours[nearest][which], fitted.isp(mosaics[which])
black_box = pictures[which]
fig, axes = plt.subplots(2, 3, figsize=(9, 6.2), layout="constrained")
for column, (name, view) in zip(
    axes.T, {"black box": black_box, nearest: near, "fitted": fit}.items(), strict=True
):
    column[0].imshow(view.permute(1, 2, 0).clip(0, 1))
    column[1].imshow((0.5 + 5 * (view - black_box)).permute(1, 2, 0).clip(0, 1))
    column[0].set_title(name)
for axis in axes.flat:
    axis.set(xticks=[], yticks=[])
axes[1, 0].set_ylabel("difference")

# %%
# The fitted ISP is a pipeline like any other: ``rd.isp.save(fitted.isp, "fitted.toml",
# fitted.camera)``. It is as good as the pictures are: tones that they don't cover are not known,
# and ``fitted.warnings`` says so.

print(fitted.warnings or "no warnings")
