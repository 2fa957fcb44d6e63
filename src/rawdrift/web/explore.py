"""What the page asks of raw files: each question is one typed message, and says all it needs."""

import json
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Condition, Lock
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import torch
from msgspec import Meta
from torch import Tensor

from rawdrift import files
from rawdrift.camera.camera import Camera, shipped
from rawdrift.cfa import layout
from rawdrift.checks import InputError, choose
from rawdrift.configurations import CONFIGURATIONS, NAMES, in_words, is_file, taking
from rawdrift.controls.evidence import Signature, check
from rawdrift.isp import file as isp_file
from rawdrift.isp import parts
from rawdrift.isp.defective_pixels import DefectivePixels
from rawdrift.isp.external import External
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.presets import static
from rawdrift.isp.step import Step, one_by_one
from rawdrift.web import sliders
from rawdrift.web.answers import Network
from rawdrift.web.boxes import Boxes, Pending, Picture, box_of
from rawdrift.web.folder import Folder
from rawdrift.web.frames import Frame, Frames

RAW_STAGE = "raw"
MOST_PIXELS = 4 << 20  # of a view
_LIFT = 1 / 2.2
_AT_ONCE = 1 << 21  # pixels of a frame that is measured whenever a slider moves
_ROUGH = 1 << 18  # of the reduced one that is measured until it rests
_NAMES = tuple(name for name in NAMES if "-" not in name)

Name = Annotated[str, Meta(max_length=4096)]
Count = Annotated[int, Meta(ge=0, le=1 << 20)]


class Browse(msgspec.Struct, forbid_unknown_fields=True):
    """What is in a folder?"""

    folder: Name = ""


class Open(msgspec.Struct, forbid_unknown_fields=True):
    """A raw file with camera and ISP. camera: "" for the file's own, or the folder's."""

    file: Name
    camera: Name = ""
    isp: Name = CONFIGURATIONS[0]
    signature: Name = ""


class Setting(Open):
    """The same with the sliders that were moved. stage: the step after which to look.

    exact: whether steps that measure a large frame must measure all of it, while slower.
    """

    values: Annotated[dict[Name, float], Meta(max_length=20_000)] = {}
    stage: Name = ""
    exact: bool = True


class View(Setting, kw_only=True):
    """Which part of the frame, in its pixels, reduced by which factor.

    lift: whether stages before the last are shown with a gamma of 2.2.
    """

    top: Count
    left: Count
    height: Count
    width: Count
    factor: Annotated[int, Meta(ge=1, le=1 << 16)] = 1
    lift: bool = True


class Pixel(Setting, kw_only=True):
    """What are the values at a pixel?"""

    row: Count
    column: Count


class Judge(Setting, kw_only=True):
    """What does the model answer around a pixel, and is the setting inside the envelope?"""

    row: Count
    column: Count


class Save(Setting, kw_only=True):
    """Save the setting as an ISP file of this name in a folder."""

    name: Annotated[str, Meta(max_length=100)]
    folder: Name = ""
    replace: bool = False


class Ready(NamedTuple):
    """A frame with the ISP at the setting that was asked for. base: without moved sliders.

    is_rough: whether the ISP has measured a reduced frame only.
    """

    frame: Frame
    base: Pipeline
    isp: Pipeline
    is_rough: bool = False


class Explorer:
    """Answers the page. network: of the user's, if there is one. boxes: references of the black
    boxes that may be run."""

    def __init__(self, folder: Folder, network: Network | None = None, boxes: Sequence[str] = ()):
        self.folder, self.network, self.boxes = folder, network, Boxes(boxes)
        self._frames = Frames()
        self._whole: OrderedDict[Any, Tensor] = OrderedDict()
        self._lock = Lock()
        self._viewing, self._calm = 0, Condition()

    def browse(self, ask: Browse) -> dict[str, Any]:
        return {
            **self.folder.listing(ask.folder),
            **self.folder.known(),
            "shipped": shipped(),
            "isp_names": [[name, in_words(name)] for name in _NAMES],
            "boxes": self.boxes.references,
            "network": self.network.title if self.network else "",
        }

    def open(self, ask: Open) -> dict[str, Any]:
        """Return what the page shows of a frame and its ISP beside the view."""
        frame, base = self._ready(Setting(ask.file, ask.camera, ask.isp))[:2]
        height, width = frame.mosaic.shape
        told = {
            "height": height,
            "width": width,
            "camera": frame.camera.name,
            "cfa": frame.camera.cfa,
            "bits": frame.camera.bit_depth,
            "largest_factor": frame.largest_factor,
            "notes": [self.clean(note) for note in frame.notes],
            "isp_names": [[n, in_words(n)] for n in taking(frame.camera.cfa, _NAMES)],
            "stages": [RAW_STAGE, *base.steps],
            "steps": sliders.of(base),
            "whole": [] if isinstance(base, External) else parts.need_all(base),
            "box": isinstance(base, External),
            "envelope": None,
        }
        if ask.signature:
            signature = Signature.load(self.folder.small(ask.signature))
            told["envelope"] = sliders.envelope(signature)
        return told

    def view(self, ask: View) -> tuple[dict[str, Any], bytes]:
        """Return a part of a view as bytes, plane by plane, and which part it is."""
        begun = time.perf_counter()
        frame, base, isp, is_rough = self._settled(ask)
        level = frame.level(ask.factor)
        height, width = level.shape
        rows = _within(ask.top, ask.height, ask.factor, height)
        columns = _within(ask.left, ask.width, ask.factor, width)
        size = (rows.stop - rows.start) * (columns.stop - columns.start)
        if size > MOST_PIXELS:
            raise InputError(f"a view has at most {MOST_PIXELS} pixels, got {size}; reduce it")
        last = list(isp.steps)[-1]
        stage = choose("stage", ask.stage or last, [RAW_STAGE, *isp.steps])
        picture = self._picture(frame, isp, ask) if stage == last else None
        if isinstance(picture, Pending):
            return {**picture._asdict(), "reference": _reference(isp)}, b""
        with torch.inference_mode(), self._first():
            if ask.factor > 1:
                names = [RAW_STAGE, *isp.steps]
                isp = _without_defects(isp)
                if stage in names[1:] and stage not in isp.steps:
                    stage = names[names.index(stage) - 1]
            if picture is not None:
                part = picture.part(ask.factor, rows, columns)
            else:
                part = self._part((frame, base, ask), level, isp, stage, rows, columns)
            if stage != last and ask.lift:
                part = part.clamp(0, 1) ** _LIFT
            pixels = _bytes(part)
        about = {
            "top": rows.start,
            "left": columns.start,
            "height": rows.stop - rows.start,
            "width": columns.stop - columns.start,
            "planes": 1 if part.ndim == 2 else 3,
            "factor": ask.factor,
            "rough": is_rough,
            "reference": _reference(isp),
            "ms": round(1000 * (time.perf_counter() - begun), 1),
        }
        return about, pixels

    def pixel(self, ask: Pixel) -> dict[str, Any]:
        """Return the values at a pixel: its digital number, and those after each step."""
        frame, base, isp, _ = self._settled(ask)
        height, width = frame.mosaic.shape
        if ask.row >= height or ask.column >= width:
            raise InputError(f"pixel {ask.row}, {ask.column} is outside of {height}x{width}")
        at = slice(ask.row, ask.row + 1), slice(ask.column, ask.column + 1)
        value = float(frame.mosaic[at])
        stages: list[tuple[str, list[float]]] = [(RAW_STAGE, [value])]
        picture = self._picture(frame, isp, ask)
        with torch.inference_mode():
            if isinstance(picture, Picture):
                stages.append((next(iter(isp.steps)), picture.part(1, *at).flatten().tolist()))
            for name in isp.steps if picture is None else ():
                part = self._part((frame, base, ask), frame.mosaic, isp, name, *at)
                stages.append((name, part.flatten().tolist()))
        places = layout(frame.camera.cfa)
        color = next(
            p.color
            for p in places.places
            if (p.row, p.column) == (ask.row % places.height, ask.column % places.width)
        )
        dn = round(value * (2**frame.camera.bit_depth - 1))
        return {"row": ask.row, "column": ask.column, "color": color, "dn": dn, "stages": stages}

    def judge(self, ask: Judge) -> dict[str, Any]:
        """Return what the network answers, and what the signature says of the setting."""
        frame, base, isp, _ = self._settled(ask)
        told: dict[str, Any] = {"answer": None, "verdict": None}
        if ask.signature:
            signature = Signature.load(self.folder.small(ask.signature))
            try:
                verdict = check(signature, frame.camera, isp=self._ready(ask).isp)
                lines = [str(one) for one in verdict.outside]
                told["verdict"] = {"inside": verdict.inside, "lines": lines}
            except InputError as error:
                told["verdict"] = {"inside": None, "lines": [self.clean(str(error))]}
        picture = self._picture(frame, isp, ask)
        if self.network is not None and not isinstance(picture, Pending):
            size = frame.mosaic.shape[0], frame.mosaic.shape[1]
            at = self.network.part(size, ask.row, ask.column)
            last = list(isp.steps)[-1]
            with torch.inference_mode():
                if picture is not None:
                    view = picture.part(1, *at)
                else:
                    view = self._part((frame, base, ask), frame.mosaic, isp, last, *at)
                told["answer"] = self.network.answer(view)
            told["answer"]["part"] = [at[0].start, at[1].start, *view.shape[-2:]]
        return told

    def save(self, ask: Save) -> dict[str, Any]:
        """Write the setting as an ISP file."""
        name = ask.name if ask.name.endswith(".toml") else f"{ask.name}.toml"
        if Path(name).name != name or name.startswith(".") or not name.isprintable():
            raise InputError(f"{name!r} can't name a file; give a plain name, such as mine.toml")
        folder = self.folder.folder(ask.folder)
        full = f"{ask.folder}/{name}" if ask.folder else name
        target = folder / name
        if target.is_symlink() or (target.exists() and not ask.replace):
            return {"saved": "", "exists": full}
        if target.exists() and "\n[isp]" not in files.read_text(target):
            raise InputError(f"{full} is no ISP file, and is not replaced; choose another name")
        frame, _, isp, _ = self._ready(ask)
        if reference := _reference(isp):
            raise InputError(f"a black box is saved as its reference: {reference}")
        text = isp_file.to_toml(isp, frame.camera, target.stem)
        files.write(target, text, replaces=ask.replace)
        return {"saved": full, "exists": ""}

    def clean(self, text: str) -> str:
        """Return a text that names files as the page does."""
        return text.replace(f"{self.folder.root}/", "").replace(str(self.folder.root), ".")

    def _ready(self, ask: Setting) -> Ready:
        camera, isp = None, None
        is_box = ask.isp in self.boxes.references
        if is_file(ask.isp) and not is_box:
            path = self.folder.small(ask.isp)
            camera, isp = _read_isp(path, *_state(path))
        elif ask.camera.endswith(".toml"):
            camera = _camera(self.folder.small(ask.camera))
        elif ask.camera:
            camera = Camera.load(choose("camera", ask.camera, shipped()))
        elif beside := self.folder.camera_beside(ask.file):
            camera = _camera(beside)
        frame = self._frames.open(self.folder.file(ask.file), camera)
        if is_box:
            isp = self.boxes.open(ask.isp, frame.camera)
        elif isp is None:
            isp = _static(choose("ISP", ask.isp, taking(frame.camera.cfa, _NAMES)), frame.camera)
        return Ready(frame, isp, sliders.at(isp, ask.values))

    def _picture(self, frame: Frame, isp: Pipeline, ask: Setting) -> Picture | Pending | None:
        """The view by a black box; None for another ISP."""
        return self.boxes.picture(frame, isp, ask.file) if isinstance(isp, External) else None

    @contextmanager
    def _first(self) -> Iterator[None]:
        """Do something that measuring a frame waits for."""
        with self._calm:
            self._viewing += 1
        try:
            yield
        finally:
            with self._calm:
                self._viewing -= 1
                self._calm.notify_all()

    def _calmly(self, strips: Iterator[Tensor]) -> Iterator[Tensor]:
        for strip in strips:
            yield strip
            with self._calm:
                self._calm.wait_for(lambda: not self._viewing, timeout=1)

    def _settled(self, ask: Setting) -> Ready:
        """The ISP whose steps have measured the frame: all of it, or a reduced one while that
        would hold up a view."""
        frame, base, isp, is_rough = self._ready(ask)
        if parts.need_all(isp):
            return Ready(frame, base, isp)
        names = list(isp.steps)
        for at, name in enumerate(names):
            if not parts.measures(isp.steps[name]):
                continue
            before = {n: v for n, v in ask.values.items() if n.partition(".")[0] in names[:at]}
            key = base, name, tuple(sorted(before.items()))
            with torch.inference_mode():
                found = frame.measured.get(key)
                if found is None and (ask.exact or frame.mosaic.numel() <= _AT_ONCE):
                    found = self._measure(frame, isp, name)
                    frame.measured[key] = found
                    ratio = found / _roughly(frame, isp, name)
                    frame.measured[base, name] = torch.where(ratio.isfinite(), ratio, 1.0)
                if found is None:
                    is_rough = True
                    # Reducing a frame changes what is measured about as it did at the last setting.
                    ratio = frame.measured.get((base, name), torch.ones(()))
                    found = _roughly(frame, isp, name) * ratio
                assert found is not None
                isp = parts.with_step(isp, name, isp.steps[name].settled(found))
        return Ready(frame, base, isp, is_rough)

    def _measure(self, frame: Frame, isp: Pipeline, name: str) -> Tensor:
        strips = parts.strips(isp, frame.mosaic, name)
        found = isp.steps[name].measure(self._calmly(strips))
        assert found is not None
        return found

    def _part(
        self,
        of: tuple[Frame, Pipeline, Setting],
        level: Tensor,
        isp: Pipeline,
        stage: str,
        rows: slice,
        columns: slice,
    ) -> Tensor:
        """Return a part of the result of a step; of one that needs the whole frame, out of that.

        A result of another size is shown where it lies in the frame, by the nearest pixel.
        """
        if stage == RAW_STAGE:
            return level[rows, columns]
        names = list(isp.steps)
        upto = [isp.steps[name] for name in names[: names.index(stage) + 1]]
        size = parts.size_after(upto, level.shape)
        down, across = (
            (torch.arange(part.start, part.stop) * 2 + 1) * new // (2 * old)
            for part, new, old in zip((rows, columns), size, level.shape, strict=True)
        )
        top, left = int(down[0]), int(across[0])
        wanted = slice(top, int(down[-1]) + 1), slice(left, int(across[-1]) + 1)
        if not set(parts.need_all(isp)).isdisjoint(names[: len(upto)]):
            part = self._out_of_whole(of, level, upto, stage)[..., *wanted]
        else:
            part = parts.develop(isp, level, *wanted, stage)
        if size == tuple(level.shape):
            return part
        return part.index_select(-2, down - top).index_select(-1, across - left)

    def _out_of_whole(
        self, of: tuple[Frame, Pipeline, Setting], level: Tensor, upto: list[Step], stage: str
    ) -> Tensor:
        """Return the whole result of steps, kept for the next parts of it."""
        frame, base, ask = of
        key = frame, level.shape, base, tuple(sorted(ask.values.items())), stage
        with self._lock:
            if key not in self._whole:
                for x in one_by_one(upto, level):
                    self._whole[key] = x
                while len(self._whole) > 2:
                    self._whole.popitem(last=False)
            return self._whole[key]


@lru_cache(maxsize=32)
def _static(name: str, camera: Camera) -> Pipeline:
    return static(name, camera)


def _camera(path: Path) -> Camera:
    return _read_camera(path, *_state(path))


def _state(path: Path) -> tuple[int, int, int]:
    """What changes if a file is written."""
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=8)
def _read_camera(path: Path, *state: int) -> Camera:
    del state
    return Camera.load(path)


@lru_cache(maxsize=8)
def _read_isp(path: Path, *state: int) -> tuple[Camera, Pipeline]:
    del state
    return isp_file.read(path)


def _within(start: int, length: int, factor: int, size: int) -> slice:
    """The pixels of a reduced frame that cover a part of the frame."""
    first = min(start // factor, size - 1)
    return slice(first, max(first + 1, min(-(-(start + length) // factor), size)))


def _roughly(frame: Frame, isp: Pipeline, name: str) -> Tensor:
    """What a step measures of the reduced frame."""
    level = frame.level(frame.factor_to(_ROUGH))
    found = isp.steps[name].measure(parts.strips(_without_defects(isp), level, name))
    assert found is not None
    return found


def _without_defects(isp: Pipeline) -> Pipeline:
    """A pipeline for a reduced mosaic, in which a listed defective pixel has no place."""
    steps = isp.steps
    left = {n: step for n, step in steps.items() if not isinstance(step, DefectivePixels)}
    return isp if len(left) == len(steps) else Pipeline(left, isp.bit_depth)


def _reference(isp: Pipeline) -> str:
    """The reference of a black box at its setting, "" for another ISP."""
    if not isinstance(isp, External):
        return ""
    box = box_of(isp)
    return box.program.named(box.settings())


def _bytes(part: Tensor) -> bytes:
    """Values in [0, 1], clipped, as bytes."""
    values: np.ndarray[Any, Any] = np.multiply(part.numpy(), np.float32(255), dtype=np.float32)
    np.clip(values, 0, 255, out=values)
    values += np.float32(0.5)
    return values.astype(np.uint8).tobytes()


def dumps(value: Any) -> str:
    """JSON for a header: ASCII alone."""
    return json.dumps(value, ensure_ascii=True)


def questions() -> Iterator[tuple[str, Any]]:
    """Yield the name of each question, of a method of `Explorer`, and its message."""
    yield from {
        "browse": Browse, "open": Open, "view": View, "pixel": Pixel, "judge": Judge, "save": Save,
    }.items()  # fmt: skip
