"""
Figure 2 of the paper, on data of your own
==========================================

Networks are trained on the views of some ISPs and tested on those of all twelve, and on common
corruptions. The paper's Figure 2 shows this grid for white blood cells. Here it is drawn for a
folder of your own.
"""

# %%
# The folder
# ----------
# Ninety raw files of three kinds of cells stand for yours. With a folder of your own, leave this
# out.

import csv
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile

import rawdrift as rd

work = Path(tempfile.mkdtemp())
made = rd.data.load(rd.Data("synthetic-microscopy", images=270, size=32, balanced=True))
made.cameras[0].save(work / "camera.toml")
with (work / "manifest.csv").open("w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["image", "label"])
    for i, label in enumerate(np.array(made.classes)[made.labels]):
        if label in ("EOS", "LYT", "NGS"):
            tifffile.imwrite(work / f"{i:03}.tif", made.mosaics[i].numpy())
            rows.writerow([f"{i:03}.tif", label])

# %%
# The network
# -----------
# A function of the number of outputs, in a file. ``--task.model resnet18`` needs no file; this
# one trains in seconds.

(work / "small.py").write_text("""
from torch import nn

def net(outputs):
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(512, outputs),
    )
""")

# %%
# The experiment
# --------------
# Two ISPs to train on, two folds: four trainings, each tested on fifteen kinds of pictures. The
# same on the command line: ``rawdrift synthesis --data.root cells --synthesis.train
# "['bi,s,ga','ma,u,me']" --synthesis.folds 2 ... --out runs/cells``.

spec = rd.SynthesisSpec(
    rd.Data(root=str(work)),
    rd.Synthesis(
        train=["bi,s,ga", "ma,u,me"],
        folds=2,
        corruptions=["gaussian_noise", "gaussian_blur", "contrast"],
        severities=[3],
    ),
    rd.Task(model="import:small.net", epochs=25, lr=3e-3),
)
sys.path.insert(0, str(work))  # where the network is found
result = rd.run(spec, work / "run", page=False)
result

# %%
# The figure
# ----------
# Rows: the ISP of training. Columns: the ISP of the test, then corruptions. Along a row only the
# processing differs.

result.plot()

# %%
# In numbers
# ----------
# Every cell is a row of a table. ``report.html`` in the run folder says, with intervals that hold
# for all comparisons together, which drops are shown, and which only may be there: with ninety
# images and one training of each kind, few are.

frame = result.to_frame()
frame.head()
