"""Raw files to picture files."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift import files, imports
from rawdrift.camera.camera import Camera, Trust
from rawdrift.camera.read import read_raw
from rawdrift.checks import Failures, InputError, choose
from rawdrift.configurations import CONFIGURATIONS, check, file_name, is_external, is_file, taking
from rawdrift.isp import file
from rawdrift.isp.external import External
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.presets import views
from rawdrift.isp.yuv import Channels

FORMATS = ("png", "tiff")


CONTACT_SHEET = "_contact-sheet.png"
"""What the name of a raw file's contact sheet ends in, beside its pictures."""


class Developed(NamedTuple):
    """One view of a raw file: its ISP, and the picture, (H, W, 3) float32 in [0, 1].

    notes: what the user should know of how the file was read.
    """

    raw: Path
    name: str
    picture: NDArray[np.float32]
    notes: tuple[str, ...]


def plan(raws: Sequence[Path], name: str) -> tuple[str, ...]:
    """Return the references of the ISPs to develop with. name: one reference, or "all" twelve.

    Raises InputError for an unknown name, a missing file, and pictures of the same name.
    """
    names = CONFIGURATIONS if name == "all" else (check(name, others=["all"]),)
    stems: dict[str, Path] = {}
    for raw in raws:
        if not raw.is_file():
            raise InputError(
                f"raw file {raw} " + ("is a folder" if raw.is_dir() else "does not exist")
            )
        if raw.stem in stems:
            raise InputError(
                f"{stems[raw.stem]} and {raw} would give views of the same name; "
                f"develop them into different folders"
            )
        stems[raw.stem] = raw
    return names


def develop(
    raws: Iterable[Path],
    camera: Camera | None,
    names: Sequence[str],
    out: Path,
    failures: Failures,
    format: str = "png",
    channels: Channels | None = None,
    trust: Trust | None = None,
) -> Iterator[Developed]:
    """Develop raw files, one after the other, to 16-bit pictures `out/STEM_bi-s-me.png`.

    camera: of all files; None takes it from each file's own metadata (DNG).
    names: configurations, one black box, or one ISP file, which has its own camera and channels.
    trust: as in `read_raw`; an ISP file's own camera holds.
    failures: collects the files that can't be read; the others are developed.

    Raises InputError if two of the pictures would have one name, or the name of a raw file.

    Yields each view once it is written. Only one view is in memory at a time: demosaicing again for
    the next one costs little beside encoding it.
    """
    choose("format", format, FORMATS)
    isp: Pipeline | None = None
    if is_file(names[0]):
        if camera is not None or channels is not None:
            raise InputError(
                f"ISP file {names[0]} has its own camera and channels; leave out those given"
            )
        if trust == "file":
            raise InputError(
                f"ISP file {names[0]} was made for its own camera, so trust can't be file; correct "
                f"that camera in the ISP file"
            )
        camera, isp = file.read(names[0])
    targets = [_target(out, path, name, format) for path in raws for name in names]
    twice = [target for target, count in Counter(targets).items() if count > 1]
    sheets = [out / f"{path.stem}{CONTACT_SHEET}" for path in raws]
    written = {target.resolve() for target in (*targets, *sheets)}
    replaced = written & {path.resolve() for path in raws}
    if twice or replaced:
        raise InputError(
            f"{[*twice, *replaced][0]} would be written "
            + ("for several raw files of one name" if twice else "over a raw file")
            + "; develop them into different folders"
        )
    for path in raws:
        try:
            raw = read_raw(path, camera, trust)
            if raw.camera is None:
                raise InputError(f"{path} carries no camera metadata; give a camera")
        except (InputError, PermissionError) as error:
            failures.add(path, error)
            continue
        for name in taking(raw.camera.cfa, names) if len(names) > 1 else names:
            with torch.inference_mode():
                if is_external(name):
                    try:
                        with imports.allowing(imports.references(name)):
                            box = External(name, raw.camera)
                        view = box.views(raw.mosaic[None], [str(path)])[0]
                    except InputError as error:
                        failures.add(path, error)
                        continue
                elif isp is None:
                    view = views(raw.mosaic, raw.camera, [name], channels or "luma")[name]
                else:
                    view = isp(raw.mosaic)
                pixels = picture(view)
            files.write(_target(out, path, name, format), encode(pixels, format))
            yield Developed(path, name, pixels, raw.notes)


def _target(out: Path, raw: Path, name: str, format: str) -> Path:
    return out / f"{raw.stem}_{file_name(name)}.{format}"


def encode(picture: NDArray[np.float32], format: str = "png", bits: int = 16) -> bytes:
    """A picture in [0, 1], (H, W, 3) or gray (H, W), as a PNG or TIFF of 8 or 16 bits a channel,
    rounded to nearest."""
    import imagecodecs

    scaled = picture * np.float32(2**bits - 1)
    pixels = np.rint(scaled, out=scaled).astype(np.uint8 if bits == 8 else np.uint16, order="C")
    if format == "png":
        return bytes(imagecodecs.png_encode(pixels))
    from io import BytesIO

    import tifffile

    buffer = BytesIO()
    tifffile.imwrite(buffer, pixels, photometric="rgb", compression="zlib", predictor=True)
    return buffer.getvalue()


def picture(view: Tensor) -> NDArray[np.float32]:
    """A view (3, H, W) as a picture (H, W, 3)."""
    return view.permute(1, 2, 0).cpu().numpy()
