"""
Your own folder, with tiles and groups
======================================

Labeled raw files in a folder, and large frames with masks: what rawdrift reads, what it reports,
and why images of one slide or one flight must stay together.
"""

# %%
# A folder with a manifest
# ------------------------
# Twelve photographs from above with masks of the cars, from three flights. ``manifest.csv`` says
# which mask and which flight belong to each; ``camera.toml`` serves all images.

import csv
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import tifffile

import rawdrift as rd
from rawdrift.data.describe import describe
from rawdrift.data.splits import k_fold

root = Path(tempfile.mkdtemp()) / "photos"
root.mkdir()
made = rd.data.load(rd.Data("synthetic-drone", images=12, size=160, seed=1))
made.cameras[0].save(root / "camera.toml")
with (root / "manifest.csv").open("w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["image", "mask", "group"])
    for i in range(12):
        tifffile.imwrite(root / f"{i:02}.tif", made.mosaics[i].numpy())
        tifffile.imwrite(root / f"{i:02}_mask.tif", made.masks[i].numpy())
        rows.writerow([f"{i:02}.tif", f"{i:02}_mask.tif", f"flight {i // 4}"])
print((root / "manifest.csv").read_text()[:110], "...")

# %%
# Look before you train
# ---------------------
# ``describe`` counts, and looks for what is wrong: unused bits, clipped pixels, near-duplicates,
# a camera that contradicts its files. ``rawdrift data describe --data.root photos`` prints the
# same.

found = describe(rd.data.frames(rd.Data(root=str(root))))
found

# %%
# Tiles
# -----
# Frames of any size are cut into tiles of one size. Every pixel is in a tile, and counts once:
# where tiles overlap, in the one where it lies farther from the edge. All tiles of a frame, and
# here of a flight, are one group.

data = rd.data.load(rd.Data(root=str(root), tile=64))
print(f"{len(data)} tiles of {len(set(data.groups))} groups")

fig, axes = plt.subplots(1, 2, figsize=(9.5, 4.7), layout="constrained")
view = rd.isp.static("bi,s,ga", made.cameras[0])(made.mosaics[0])
axes[0].imshow(view.permute(1, 2, 0))
axes[0].contour(made.masks[0], levels=[0.5], colors="#f97316", linewidths=1.2)
axes[0].set_title("a frame with its mask")
cut = rd.data.cut(view.mean(0).numpy(), 64)
axes[1].imshow(
    np.block([[np.pad(t, 2, constant_values=1) for t in row] for row in cut.reshape(3, 3, 64, 64)]),
    cmap="gray",
)
axes[1].set_title("its tiles of 64 pixels, the last ones flush with the edge")
for axis in axes:
    axis.axis("off")

# %%
# Why groups matter
# -----------------
# Photographs of a flight are alike. If tiles of one photograph are in training and in tests, the
# test asks for what was learned by heart. Folds keep groups whole, and intervals count groups,
# not tiles.

groups = np.array(data.groups)
for fold, split in enumerate(k_fold(data, 3, seed=0)):
    trained, tested = ({*groups[part].tolist()} for part in (split.train, split.test))
    print(f"fold {fold + 1}: trained on {sorted(trained)}, tested on {sorted(tested)}")

# %%
# From here: ``rawdrift synthesis --data.root photos --data.tile 64 --task.model unetplusplus
# ...`` trains and tests on them.
