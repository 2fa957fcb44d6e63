"""
The ISP in a plain training loop
================================

Every number of a parametrized ISP is an ``nn.Parameter``. It can stand in front of a network and
be learned with it, in an ordinary loop: no settings file, no run folder, just two PyTorch
modules.
"""

# %%
# Raw files
# ---------
# Micrographs of three kinds of white blood cells in a twentieth of the usual light; half of them
# for training.

import copy

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import rawdrift as rd

data = rd.data.load(
    rd.Data("synthetic-microscopy", images=720, size=32, balanced=True, intensity=0.05)
)
kinds = ["EOS", "LYT", "NGS"]
data = data.take(np.flatnonzero(np.isin(np.array(data.classes)[data.labels], kinds)))
mosaics = data.mosaics[:].float() / 65535
labels = torch.tensor([kinds.index(data.classes[label]) for label in data.labels])
train, test = torch.arange(len(data)).chunk(2)
print(f"{len(train)} images for training, {len(test)} for tests")

# %%
# The ISP learns, too
# -------------------
# The ISP's numbers are of very different size: a gain is near 2, a black level near 0.0001. Each
# tensor gets a learning rate relative to its own size, as drift optimization does.

torch.manual_seed(0)
net = nn.Sequential(
    nn.BatchNorm2d(3),
    nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(),
    nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
    nn.Conv2d(32, 32, 3, 2, 1), nn.ReLU(),
    nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 3),
)  # fmt: skip


def fit(isp, learn):
    """Train a copy of the network behind an ISP; return loss and test accuracy by epoch."""
    model, history = copy.deepcopy(net), []
    groups = [{"params": model.parameters(), "lr": 2e-3}]
    if learn:
        groups += [
            {"params": [p], "lr": 5e-3 * float(p.detach().square().mean().sqrt())}
            for p in isp.parameters()
        ]
    adam, draws = torch.optim.Adam(groups), torch.Generator().manual_seed(0)
    for _ in range(12):
        losses = []
        for batch in train[torch.randperm(len(train), generator=draws)].split(20):
            loss = nn.functional.cross_entropy(model(isp(mosaics[batch])), labels[batch])
            adam.zero_grad()
            loss.backward()
            adam.step()
            losses.append(loss.item())
        with torch.inference_mode():
            model.eval()
            right = model(isp(mosaics[test])).argmax(1) == labels[test]
            model.train()
        history.append((np.mean(losses), right.float().mean()))
    return np.array(history)


camera = data.cameras[0]
learned = rd.isp.parametrized("bi,s,ga", camera)
curves = {
    "frozen ISP": fit(rd.isp.static("bi,s,ga", camera), learn=False),
    "learned ISP": fit(learned, learn=True),
}

# %%
# Look
# ----
# Same network, same batches; only the ISP differs.

fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for (name, curve), color in zip(curves.items(), ("#64748b", "#0b6e69"), strict=True):
    axes[0].plot(curve[:, 0], color=color, label=name)
    axes[1].plot(curve[:, 1], color=color)
axes[0].set(xlabel="epoch", ylabel="training loss")
axes[1].set(xlabel="epoch", ylabel="test accuracy", ylim=(0, 1))
axes[0].legend(frameon=False)
for axis in axes:
    axis.spines[["top", "right"]].set_visible(False)

# %%
# What did it learn?
# ------------------
# The numbers are those of a camera, so they can be read. The learned ISP is saved as a file, and
# is accepted wherever an ISP is named, also in ``rawdrift develop``.

before = dict(rd.isp.static("bi,s,ga", camera).named_buffers())
for name, value in learned.named_parameters():
    change = (value.detach() - before[name]).abs().max() / before[name].abs().max()
    print(f"{name:26} changed by up to {change:6.1%} of its largest number")

# %%
# Two single trainings show how it is done, not which is better: other seeds may turn the order.
# ``rawdrift optimization`` compares them with folds, seeds and intervals.
