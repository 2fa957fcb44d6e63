"""Small real inputs, made here: mosaics with edges and texture, cameras, raw files, manifests."""

import csv
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, settings
from PIL import Image

from rawdrift.camera.camera import Camera
from rawdrift.cfa import PATTERNS
from rawdrift.controls import run

# Two test processes on two cores: more threads each would only be in each other's way.
torch.set_num_threads(1)
os.environ.setdefault("MPLBACKEND", "agg")
if not torch.cuda.is_available():
    # Triton's interpreter runs its kernels on the CPU. It asks when it is first imported.
    os.environ.setdefault("TRITON_INTERPRET", "1")

# Drawing a page takes longer than these small runs; tests that want one call `write_page`.
run._draw = lambda out: None

settings.register_profile(
    "default",
    deadline=None,
    derandomize=True,
    max_examples=6,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("default")


def random_camera(seed, cfa=None):
    """A plausible camera with numbers of its own in every field."""
    rng = np.random.default_rng(seed)
    return Camera(
        name=f"camera-{seed}",
        cfa=cfa or PATTERNS[rng.integers(4)],
        black_level=rng.uniform(0, 0.1, 4).tolist(),
        white_level=None if rng.random() < 0.5 else float(rng.uniform(0.8, 1)),
        white_balance=rng.uniform(0.5, 3, 3).tolist(),
        color_matrix=(np.eye(3) + rng.normal(0, 0.4, (3, 3))).tolist(),
        gamma=float(rng.uniform(1, 3)),
    )


def random_mosaic(seed, height, width, batch=()):
    """Float64 in [0, 1]: noise on a bright disk on a dark ground, so that edges and flats exist."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    disk = np.hypot(y - height / 2, x - width / 3) < min(height, width) / 3
    return torch.from_numpy(
        np.clip(0.2 + 0.5 * disk + rng.normal(0, 0.1, (*batch, height, width)), 0, 1)
    )


@pytest.fixture
def camera():
    return random_camera(7, "RGGB")


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """A function that writes a module of the user's, name and text, into the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    names = []

    def write(name, text):
        sys.modules.pop(name, None)
        names.append(name)
        (tmp_path / f"{name}.py").write_text(text)
        return tmp_path

    yield write
    for name in names:
        sys.modules.pop(name, None)


def write_folder(root: Path, rows, size=(40, 40), seed=0, camera=True, dark=()):
    """A manifest folder: 16-bit TIFFs, a class being a brightness, with `rows` as its manifest."""
    rng = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    for row in rows:
        level = 20000 if row.get("label") in dark else 45000
        mosaic = np.clip(rng.normal(level, 2000, size), 0, 65535).astype(np.uint16)
        tifffile.imwrite(root / row["image"], mosaic)
        if "mask" in row:
            tifffile.imwrite(root / row["mask"], (mosaic > level).astype(np.uint8) * 255)
    with (root / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    if camera:
        Camera(name="test-cam", cfa="RGGB").save(root / "camera.toml")
    return root


def published_microscopy(root: Path, above="microscopy", scales=(100,), brightness=30000):
    """Raw-Microscopy in small: 46 images of 9 classes, one class of too few, one excluded image."""
    base = root / above
    (base / "labels").mkdir(parents=True)
    classes = ["BAS", "EOS", "KSC", "LYA", "LYT", "MON", "NGB", "NGS", "UNC"]
    lines = [f"cell-{name}-{i} {name}" for i in range(5) for name in classes]
    lines += [f"cell-PMO-{i} PMO" for i in range(4)]
    lines += ["Ma190c_lame3_zone13_composite_Mcropped_2 LYT", "cell-MON-5 MON"]
    (base / "labels/Ma190c_annotations.dat").write_text("\n".join(lines) + "\n")
    rng = np.random.default_rng(0)
    for scale in scales:
        folder = base / f"images/raw_scale{scale:03d}"
        folder.mkdir(parents=True)
        for line in lines:
            pixels = rng.integers(0, 2**16, (16, 16)).astype(np.uint16)
            pixels[0, 0] = round(brightness * scale / 100)
            tifffile.imwrite(folder / f"{line.split()[0]}.tiff", pixels)
    return base


def published_drone(root: Path, above="drone", scales=(100,)):
    """Raw-Drone in small: seven tiles of three photographs, the last without a car."""
    base = root / above
    names = [f"{p:02d}_{t:05d}" for p in range(3) for t in range(2)] + ["02_00002"]
    (base / "masks_tiles_256").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in names:
        mask = (rng.random((16, 16)) < 0.3) & (name != names[-1])
        Image.fromarray(mask).save(base / f"masks_tiles_256/{name}.png")
        for scale in scales:
            folder = base / f"images_tiles_256/raw_scale{scale:03d}"
            folder.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 2**16 * scale // 100, (16, 16)).astype(np.uint16)
            tifffile.imwrite(folder / f"{name}.tif", pixels)
    return base
