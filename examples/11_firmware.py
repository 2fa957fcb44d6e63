"""
May the new firmware be released?
=================================

A camera gets a new firmware, and its ISP changes. Does the network that was validated with the
old one still hold? A comparison decides at a margin, and says which stage has the blame.
"""

# %%
# Two versions of an ISP
# ----------------------
# The new one has a stronger gamma, and sharpens by an unsharp mask. Each is a file.

import csv
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile

import rawdrift as rd

work = Path(tempfile.mkdtemp())
made = rd.data.load(rd.Data("synthetic-microscopy", images=720, size=32, balanced=True))
camera = made.cameras[0]
old = rd.isp.static("bi,s,ga", camera)
new = old.replace(sharpen=rd.isp.UnsharpMask(radius=1.0, amount=1.5), gamma=rd.isp.Gamma(2.6))
rd.isp.save(old, work / "firmware1.toml", camera)
rd.isp.save(new, work / "firmware2.toml", camera)

# %%
# The images: a folder of raw files with their labels, 240 of three kinds of white blood cells.

camera.save(work / "camera.toml")
with (work / "manifest.csv").open("w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["image", "label"])
    for i, label in enumerate(np.array(made.classes)[made.labels]):
        if label in ("EOS", "LYT", "NGS"):
            tifffile.imwrite(work / f"{i:03}.tif", made.mosaics[i].numpy())
            rows.writerow([f"{i:03}.tif", label])

# %%
# The decision
# ------------
# Networks are trained on the old views, and tested on both. ``accept`` would mean: a drop of 0.1
# or more is ruled out with at most 5 % chance of error. With a trained network, name it as
# ``task.checkpoint`` and nothing is trained.

(work / "small.py").write_text("""
from torch import nn

def net(outputs):
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(512, outputs),
    )
""")
spec = rd.ComparisonSpec(
    rd.Data(root=str(work)),
    rd.Comparison(
        before=str(work / "firmware1.toml"),
        after=str(work / "firmware2.toml"),
        margin=0.1,
        folds=2,
    ),
    rd.Task(model="import:small.net", epochs=15, lr=3e-3),
)
sys.path.insert(0, str(work))  # where the network is found
result = rd.run(spec, work / "run", page=False)
print(f"decision: {result.decision}")
print(f"drop: {result.drop.value:.3f}, from {result.drop.low:.3f} to {result.drop.high:.3f}")

# %%
# Who has the blame?
# ------------------
# Stages in which the two differ share the drop by their Shapley values: the average of what a
# stage costs over all orders in which stages could be replaced. The intervals hold together.

result.plot()

# %%

for stage in result.blame:
    print(f"{stage.stage:10} {stage.value:+.3f}  ({stage.before} -> {stage.after})")

# %%
# As a gate
# ---------
# ``rawdrift compare`` ends with the same decision as its exit code: 0 if the new ISP is
# non-inferior, 1 if that is not shown. "Not shown" is not "worse": it may take more images, and
# the page says how many.

print("exit code:", result.exit_code)
