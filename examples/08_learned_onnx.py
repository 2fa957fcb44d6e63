"""
A learned ISP as ONNX
=====================

An ISP that was learned together with a network is only useful if both can be deployed. One file
takes raw numbers and gives logits; it needs neither rawdrift nor PyTorch.
"""

# %%
# Learn
# -----
# White balance, color matrix and gamma are learned with a small network; the other numbers stay
# the camera's. (:doc:`The training loop <12_training_loop>` has its own example.)

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import torch
from torch import nn

import rawdrift as rd

data = rd.data.load(rd.Data("synthetic-microscopy", images=270, size=32, balanced=True))
kinds = ["EOS", "LYT", "NGS"]
data = data.take(np.flatnonzero(np.isin(np.array(data.classes)[data.labels], kinds)))
labels = torch.tensor([kinds.index(data.classes[label]) for label in data.labels])
mosaics = data.mosaics[:].float() / 65535
camera = data.cameras[0]

torch.manual_seed(0)
isp = rd.isp.parametrized("bi,-,-", camera)
net = nn.Sequential(
    nn.BatchNorm2d(3), nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
    nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 3),
)  # fmt: skip
adam = torch.optim.Adam(
    [
        {"params": net.parameters(), "lr": 3e-3},
        {"params": [isp.white_balance.gains, isp.color_correction.matrix], "lr": 5e-3},
        {"params": [isp.gamma.gamma], "lr": 1e-2},
    ]
)
losses = []
for _ in range(60):
    adam.zero_grad()
    loss = nn.functional.cross_entropy(net(isp(mosaics)), labels)
    loss.backward()
    adam.step()
    losses.append(loss.item())
print(f"loss {losses[0]:.2f} to {losses[-1]:.2f}")
for name in ("white_balance.gains", "gamma.gamma"):
    print(name, dict(isp.named_parameters())[name].detach().numpy().round(3))

# %%
# Export
# ------
# The file is written only if its logits are those of PyTorch, on images that you give. It
# describes itself.

path = Path(tempfile.mkdtemp()) / "cells.onnx"
about = rd.models.deploy.to_onnx(isp, net.eval(), path, mosaics[:8], camera=camera, classes=kinds)
print(f"{path.name}: {path.stat().st_size / 1024:.0f} KB; {', '.join(about)}")

# %%
# Use it without PyTorch
# ----------------------
# Raw numbers in, logits out. rawdrift is not imported by what runs here: NumPy and ONNX Runtime
# are enough.

session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
(logits,) = session.run(None, {"mosaic": mosaics.numpy()[:8]})
with torch.inference_mode():
    same = net(isp(mosaics[:8])).numpy()
print("largest difference to PyTorch:", float(abs(logits - same).max()))

fig, axes = plt.subplots(2, 4, figsize=(8.5, 4.6), layout="constrained")
for axis, mosaic, scores, label in zip(axes.flat, mosaics, logits, labels, strict=False):
    axis.imshow(mosaic, cmap="gray")
    share = np.exp(scores) / np.exp(scores).sum()
    axis.set_title(f"{kinds[label]}: {kinds[share.argmax()]} {share.max():.0%}", fontsize=10)
    axis.axis("off")
fig.suptitle("raw mosaics, their labels, and the answers of the file", fontsize=11)

# %%
# These are images of the training, so the answers say nothing of new ones. The confidence is the
# network's own and not calibrated.
