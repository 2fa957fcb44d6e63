"""
Test a model of your own, without training
==========================================

You have a PyTorch model and raw files with labels. How many answers change if other processing
develops the same files, and is the loss more than chance? All it takes is the model's answers.
"""

# %%
# A model
# -------
# It stands for yours: a small network that was trained on the views of ``bi,s,ga``. From here on
# it is not changed.

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import rawdrift as rd

data = rd.data.load(rd.Data("synthetic-microscopy", images=720, size=32, balanced=True))
kinds = ["EOS", "LYT", "NGS"]
data = data.take(np.flatnonzero(np.isin(np.array(data.classes)[data.labels], kinds)))
labels = torch.tensor([kinds.index(data.classes[label]) for label in data.labels])
train, test = torch.arange(len(data)).split([90, len(data) - 90])
camera = data.cameras[0]
isp = rd.isp.static("bi,s,ga", camera)

torch.manual_seed(0)
net = nn.Sequential(
    nn.BatchNorm2d(3), nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
    nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 3),
)  # fmt: skip
adam, views = torch.optim.Adam(net.parameters(), 3e-3), isp(data.mosaics[train])
for _ in range(40):
    adam.zero_grad()
    nn.functional.cross_entropy(net(views), labels[train]).backward()
    adam.step()
net = net.eval()

# %%
# Its answers on twelve views of each test image
# ----------------------------------------------
# ``rd.isp.views`` shares the work of the twelve ISPs.

with torch.inference_mode():
    answers = {
        name: net(view).argmax(1).numpy()
        for name, view in rd.isp.views(data.mosaics[test], camera).items()
    }
truth, matched = labels[test].numpy(), answers["bi,s,ga"]
print(f"{len(test)} test images, {(matched == truth).mean():.1%} right on the matched views")

# %%
# Drops, with intervals that hold together
# ----------------------------------------
# One comparison needs one interval. The largest of eleven drops is chosen because it is large, so
# its interval must allow for the choice: ``largest_drop`` does.

others = {name: after for name, after in answers.items() if name != "bi,s,ga"}
drops = {name: rd.statistics.drop(truth, matched, after) for name, after in others.items()}
index, largest = rd.statistics.largest_drop(truth, matched, list(others.values()))
worst = list(others)[index]
print(f"largest drop: {largest.value:.3f} on {worst}, from {largest.low:.3f} to {largest.high:.3f}")

ordered = sorted(drops, key=lambda name: drops[name].value)
fig, axis = plt.subplots(figsize=(8, 4.2), layout="constrained")
for y, name in enumerate(ordered):
    interval, color = (largest, "#c2410c") if name == worst else (drops[name], "#0b6e69")
    axis.plot([interval.low, interval.high], [y, y], color=color, lw=3, alpha=0.45)
    axis.plot(interval.value, y, "o", color=color, ms=5)
axis.axvline(0, color="#94a3b8", lw=0.8)
axis.set_yticks(range(len(ordered)), ordered, family="monospace")
axis.tick_params(length=0)
axis.set_xlabel("drop of accuracy, with 95 % intervals; orange: allows for being the largest")
axis.spines[["top", "right", "left"]].set_visible(False)

# %%
# Which images?
# -------------
# Images that are right on the matched view and wrong on the worst one, in both.

lost = np.flatnonzero((matched == truth) & (answers[worst] != truth))[:6]
print(f"{((matched == truth) & (answers[worst] != truth)).sum()} images are lost on {worst}")
pair = rd.isp.views(data.mosaics[test[lost]], camera, ["bi,s,ga", worst])
fig, axes = plt.subplots(2, max(len(lost), 2), figsize=(9, 3.4), layout="constrained")
for row, (name, shown) in zip(axes, pair.items(), strict=True):
    for axis, image, which in zip(row, shown, lost, strict=False):
        axis.imshow(image.permute(1, 2, 0))
        axis.set_title(kinds[answers[name][which]], fontsize=10)
    row[0].set_ylabel(name, family="monospace")
for axis in axes.flat:
    axis.set(xticks=[], yticks=[])
fig.suptitle("the answers on both views", fontsize=11)

# %%
# On the command line the same test is ``rawdrift synthesis --task.checkpoint model.safetensors``,
# which also looks for mistakes in the setup first: normalization, the order of classes, another
# color filter array.
