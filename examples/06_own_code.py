"""
A step, a corruption and a dataset of your own
==============================================

What rawdrift lacks, you add: each in one file that is named where a built-in name would be, as
``import:module.name``. The file declares what it needs, and everything else follows: files, drift
ranges, learning, signatures.
"""

# %%
# Three files
# -----------
# They go into a folder that Python finds. *A step*: lateral chromatic aberration, red and blue
# shifted against green. Its number has a unit, a default and a range by which it drifts.

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

import rawdrift as rd

work = Path(tempfile.mkdtemp())

(work / "aberration.py").write_text('''
from typing import final

import torch
import torch.nn.functional as F
from rawdrift.isp import Number, Step, absolute

@final
class Aberration(Step):
    """Red and blue moved along the rows by shift and -shift pixels. View kept."""

    numbers = {"shift": Number(default=0.0, unit="px", drift=absolute(1.0))}

    def forward(self, x):
        self.check(x)
        flat = x.reshape(-1, *x.shape[-3:])
        moved = [self.moved(flat[:, c : c + 1], sign) for c, sign in enumerate((1, 0, -1))]
        return torch.cat(moved, 1).reshape(x.shape)

    def moved(self, plane, sign):
        place = torch.eye(2, 3).to(plane)[None].repeat(len(plane), 1, 1)
        place[:, 0, 2] = sign * 2 * self.shift.to(plane) / plane.shape[-1]
        grid = F.affine_grid(place, plane.shape, align_corners=False)
        return F.grid_sample(plane, grid, padding_mode="reflection", align_corners=False)
''')

# %%
# *A corruption*: a shadow at one side. Its severities are declared; random numbers come from the
# streams alone.

(work / "shadow.py").write_text('''
import torch
from rawdrift.corruptions import corruption

@corruption(imagenet={"depth": (0.2, 0.35, 0.5, 0.65, 0.8)})
def shadow(views, streams, depth):
    """A shadow that deepens from left to right."""
    ramp = torch.linspace(0, 1, views.shape[-1]).to(views)
    return views * (1 - depth * ramp)
''')

# %%
# *A dataset*: a function of the spec that returns mosaics, cameras and labels.

(work / "rings.py").write_text('''
import torch
from rawdrift import Camera
from rawdrift.data import RawDataset

def rings(spec):
    """Rings and disks on a gray ground; spec.images of them."""
    count = spec.images or 40
    draws = torch.Generator().manual_seed(spec.seed or 0)
    y, x = torch.meshgrid(*[torch.arange(40.0)] * 2, indexing="ij")
    labels = torch.arange(count) % 2
    center = 20 + 4 * torch.randn(2, count, 1, 1, generator=draws)
    radius = ((y - center[0]) ** 2 + (x - center[1]) ** 2).sqrt()
    shape = (radius < 10) & ((labels[:, None, None] == 0) | (radius > 6))
    mosaics = 0.25 + 0.3 * shape + 0.03 * torch.randn(count, 40, 40, generator=draws)
    return RawDataset(
        mosaics.clamp(0, 1), tuple(f"ring {i}" for i in range(count)),
        (Camera("rings", "RGGB"),), torch.zeros(count, dtype=torch.long),
        classes=("disk", "ring"), labels=labels,
    )
''')
(work / "net.py").write_text("""
from torch import nn

def small(outputs):
    return nn.Sequential(
        nn.Conv2d(3, 12, 5, 2), nn.ReLU(), nn.Conv2d(12, 24, 3, 2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(216, outputs),
    )
""")

# %%
# Use them
# --------
# The step goes into a pipeline, and with it into a file.

sys.path.insert(0, str(work))  # where Python finds them
from aberration import Aberration  # noqa: E402

data = rd.data.load(rd.Data("import:rings.rings", images=40))
camera = data.cameras[0]
isp = rd.isp.static("bi,s,ga", camera)
lens = isp.insert("aberration", Aberration(1.5), after="demosaic")
rd.isp.save(lens, work / "lens.toml", camera)

view, aberrant = isp(data.mosaics[1:2]), lens(data.mosaics[1:2])
shadowed = rd.corruptions.corrupt(view, "import:shadow.shadow", severity=4, seeds=[0])
fig, axes = plt.subplots(1, 3, figsize=(8.4, 3), layout="constrained")
for axis, (name, picture) in zip(
    axes, {"bi,s,ga": view, "own step": aberrant, "own corruption": shadowed}.items(), strict=True
):
    axis.imshow(picture[0].permute(1, 2, 0))
    axis.set_title(name)
    axis.axis("off")

# %%
# All in one experiment
# ---------------------
# A file that names code is refused unless the same call names it, too: ``allow_import``.
# Otherwise a file from somebody else could run what it likes.

spec = rd.SynthesisSpec(
    rd.Data("import:rings.rings", images=60),
    rd.Synthesis(
        train=["bi,s,ga"],
        folds=2,
        test=["bi,s,ga", "ma,s,ga"],
        isps=[str(work / "lens.toml")],
        corruptions=["import:shadow.shadow"],
        severities=[1, 4],
    ),
    rd.Task(model="import:net.small", epochs=20, lr=3e-3),
)
sys.path.insert(0, str(work))
result = rd.run(spec, work / "run", page=False, allow_import=["import:aberration.Aberration"])
result.plot()

# %%
# And its gradient
# ----------------
# Autograd goes through the step, so forensics can search its number and optimization can learn
# it.

sys.path.insert(0, str(work))
learned = rd.isp.load(
    work / "lens.toml", parametrized=True, allow_import=["import:aberration.Aberration"]
)
learned(data.mosaics[:4]).square().mean().backward()
print("d / d shift:", float(learned.aberration.shift.grad))
