"""
Forensics, envelope, signature and gate
=======================================

Which settings of the camera break a network, and within which is it safe? The search finds the
worst; the envelope states what is safe with 95 % confidence; the signature is that statement as a
file; and the gate asks the file about a new camera.
"""

# %%
# A network
# ---------
# It tells three kinds of white blood cells apart. 60 images train it, 180 are for forensics.

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

import rawdrift as rd

data = rd.data.load(rd.Data("synthetic-microscopy", images=720, size=32, balanced=True))
kinds = ["EOS", "LYT", "NGS"]
data = data.take(np.flatnonzero(np.isin(np.array(data.classes)[data.labels], kinds)))
labels = torch.tensor([kinds.index(data.classes[label]) for label in data.labels])
data = dataclasses.replace(data, classes=tuple(kinds), labels=labels)
training, test = data.take(range(60)), data.take(range(60, len(data)))
camera = data.cameras[0]
isp = rd.isp.static("bi,s,ga", camera)

torch.manual_seed(0)
net = nn.Sequential(
    nn.BatchNorm2d(3), nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
    nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 3),
)  # fmt: skip
adam, views = torch.optim.Adam(net.parameters(), 3e-3), isp(training.mosaics[:])
for _ in range(60):
    adam.zero_grad()
    nn.functional.cross_entropy(net(views), training.labels).backward()
    adam.step()
net = net.eval()

# %%
# What may drift
# --------------
# Two settings, each within a range: the gain of blue, and gamma.
# Left out, all steps drift by the ranges that they declare.

space = rd.forensics.ParameterSpace.around(
    isp,
    {
        "white_balance.gains[2]": 0.3,
        "gamma.gamma": (1.5, 3.0),
    },
)

# %%
# The worst setting
# -----------------
# The ISP is differentiable, so the search can climb. It uses half of the images; the other half
# measures the drop, which therefore holds although the setting was searched for.

found = rd.forensics.search(net, isp, test, space, restarts=2, steps=4, rivals=["random"])
found

# %%

found.plot()

# %%
# The envelope
# ------------
# How far may each setting go alone, and all together, with a drop of at most 0.1? The tests
# behind it are exact for any number of images. If there were too few, it would say how many it
# takes.

safe = rd.forensics.envelope(net, isp, test, space, max_drop=0.1, cameras=20)
safe.plot()

# %%

for name, tolerance in safe.tolerances.items():
    together = "{:.3g} to {:.3g}".format(*safe.box[name])
    print(f"{name:25} alone {tolerance.low:.3g} to {tolerance.high:.3g}, together {together}")

# %%
# The signature
# -------------
# The statement as a file: the network's and the data's hashes, the ranges, how they were tested,
# and a checksum.

folder = Path(tempfile.mkdtemp())
signature = rd.forensics.sign(safe, net, isp, test, camera)
signature.save(folder / "signature.json")

# %%
# The gate
# --------
# Two new cameras. ``rawdrift check signature.json --camera lot7.toml`` says the same, and its
# exit code, 0 or 1, decides on a build server.

red, green, blue = camera.white_balance
for name, gain, gamma in (("lot 7", 1.01, 2.2), ("lot 8", 1.01, 2.9)):
    new = dataclasses.replace(
        camera, name=name, white_balance=(red, green, blue * gain), gamma=gamma
    )
    verdict = rd.forensics.check(rd.forensics.Signature.load(folder / "signature.json"), new)
    print(name, "is", "inside" if verdict.inside else "outside")
    for reason in verdict.outside:
        print("  ", reason)
