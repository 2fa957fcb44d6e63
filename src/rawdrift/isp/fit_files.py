"""Fit an ISP to raw files and their pictures in a folder with pairs.csv."""

import re
from collections import Counter
from pathlib import Path

import torch

from rawdrift import files
from rawdrift.camera.camera import Camera, Trust
from rawdrift.camera.read import read_raw
from rawdrift.checks import InputError
from rawdrift.isp.fitting import Answers, Fitted, fit
from rawdrift.isp.matching import read_picture

TABLE = "pairs.csv"
_COLUMNS = ("raw", "picture", "group")


def fit_files(
    root: str | Path, camera: Camera, trust: Trust | None = None, model: Answers | None = None
) -> Fitted:
    """Fit an ISP to the pairs of a folder; see `fit`.

    root: with pairs.csv, whose columns are raw and picture (paths relative to it), and optionally
    group. trust: see `read_raw`. model: see `fit`.

    Raises InputError for a wrong table, files that can't be read, and files of several sizes.
    """
    rows = _rows(Path(root))
    mosaics, pictures = [], []
    for row in rows:
        raw = read_raw(Path(root, row["raw"]), camera, trust)
        values = read_picture(Path(root, row["picture"])).values
        picture = torch.from_numpy(values.astype("float64")) / (
            255 if values.itemsize == 1 else 65535
        )
        mosaics.append(raw.mosaic)
        pictures.append(picture.permute(2, 0, 1))
        for what, all_of in (("raw", mosaics), ("picture", pictures)):
            if all_of[-1].shape != all_of[0].shape:
                raise InputError(
                    f"{row[what]} has the shape {tuple(all_of[-1].shape)}, but {rows[0][what]} "
                    f"{tuple(all_of[0].shape)}; give pairs of one size"
                )
    groups = [row["group"] for row in rows] if "group" in rows[0] else None
    try:
        return fit(torch.stack(mosaics), torch.stack(pictures), camera, groups, model=model)
    except InputError as error:
        # "picture 3 is ..." of a tensor is a file here.
        columns = {"picture": "picture", "mosaic": "raw"}
        text = re.sub(
            rf"\b({'|'.join(columns)}) (\d+)\b",
            lambda match: rows[int(match[2])][columns[match[1]]],
            str(error),
        )
        raise InputError(text) from None


def _rows(root: Path) -> list[dict[str, str]]:
    files.check_folder(root)
    path = root / TABLE
    if not path.is_file():
        raise InputError(
            f"{root} has no {TABLE}; expected a table with the columns raw, picture and, "
            f"optionally, group"
        )
    columns, rows = files.read_table(path)
    if not {"raw", "picture"} <= {*columns} <= {*_COLUMNS}:
        raise InputError(
            f"{path} has the columns {', '.join(columns)}, expected raw, picture and, "
            f"optionally, group"
        )
    if not rows:
        raise InputError(f"{path} names no pairs")
    for number, row in enumerate(rows, 1):
        if not all(row.get(column) for column in columns) or None in row:
            raise InputError(f"{path} has too few or too many cells in row {number} below its head")
    for column in ("raw", "picture"):
        twice = [name for name, n in Counter(row[column] for row in rows).items() if n > 1]
        if twice:
            raise InputError(
                f"{path} names {twice[0]} in several rows; expected each {column} once"
            )
    return rows
