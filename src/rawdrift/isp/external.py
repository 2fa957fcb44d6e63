"""Black-box ISPs as pipelines: no numbers and no gradients, but views like any other's.

Views are computed in parallel, in processes of their own, and cached on disk by content: the
mosaic, the camera, and the program with its version and options.
"""

import hashlib
import math
import os
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift import files, progress
from rawdrift.camera.camera import Camera, check_camera
from rawdrift.checks import InputError, choose
from rawdrift.configurations import kind_of
from rawdrift.isp.engines import cores
from rawdrift.isp.number import Number, absolute
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.programs import Program, Session, program
from rawdrift.isp.step import Kind, Step

TIMEOUT = 120.0
"""Seconds that a program has for a view, unless the environment's RAWDRIFT_TIMEOUT says more."""

_FORMAT = b"1"  # of what is cached
_DEPTHS = {"uint8": 255, "uint16": 65535}


class _Declared(dict[str, Number]):
    """Declarations of numbers, which copies of a step share."""

    def __deepcopy__(self, memo: object) -> Self:
        return self


@final
class BlackBox(Step):
    """A program in place of all steps: mosaic (..., H, W) to view (..., 3, H, W) in [0, 1].

    reference: libraw:..., command:... or import:..., see `rawdrift.configurations`. camera: that
    the mosaics are of; a file for the program states all its numbers.
    """

    takes: ClassVar[Kind] = "mosaic"
    gives: ClassVar[Kind] = "view"

    def __init__(self, reference: str, camera: Camera):
        check_camera(camera)
        super().__init__()
        self.reference, self.camera = reference, camera
        self.program: Program = program(reference, camera)
        self.choices: dict[str, list[str]] = {}
        options = {n: v for n, v in self.program.settings.items() if not hasattr(self, n)}
        self.choices |= {name: [v] for name, v in options.items() if isinstance(v, str)}
        declared = {name: Number(drift=absolute(0.0)) for name in options}
        self.numbers = _Declared(declared)  # type: ignore[misc]
        for name, value in options.items():
            self._keep(name, 0.0 if isinstance(value, str) else value)

    def choose(self, name: str, choices: Sequence[str]) -> None:
        """Let a setting be one of these choices, by their place in this order.

        Raises InputError unless its own choice is among them.
        """
        choose("option with choices", name, self.choices)
        names = [str(self.program.checked(name, choice)) for choice in choices]
        own = str(self.program.settings[name])
        if own not in names or len(set(names)) < max(len(names), 2):
            raise InputError(
                f"the choices of {name} must be two or more, each once, with {own}, which the ISP "
                f"has; got {list(choices)}"
            )
        self.choices[name] = names
        label = ", ".join(f"{place} {choice}" for place, choice in enumerate(names))
        number = Number(least=0, most=len(names) - 1, label=f"{name.replace('_', ' ')} ({label})")
        self.numbers = _Declared({**self.numbers, name: number})  # type: ignore[misc]
        self._keep(name, float(names.index(own)))

    def settings(self) -> dict[str, float | str]:
        """The program's settings that the numbers stand for."""
        values = {name: float(tensor) for name, tensor in self.tensors().items()}
        return {
            name: self.choices[name][round(value)]
            if name in self.choices
            else float(f"{value:.9g}")
            for name, value in values.items()
        }

    def extra_repr(self) -> str:
        return self.reference

    def shown_numbers(self) -> list[str]:
        return [self.reference]

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        images = x.detach().to("cpu", torch.float32).reshape(-1, *x.shape[-2:])
        if len(images) == 1:
            views = self.views(images, ["the mosaic"])
        else:
            views = self.views(images, [f"mosaic {i} of the batch" for i in range(len(images))])
        return views.to(x).reshape(*x.shape[:-2], *views.shape[1:])

    def views(self, mosaics: Tensor, names: Sequence[str]) -> Tensor:
        """Return the views (N, 3, H, W) float32 of mosaics (N, H, W) float32 in [0, 1].

        names: of the mosaics, for errors. Raises InputError, naming the first mosaic that the
        program fails with, or is too slow for, or whose picture has another size or bit depth.
        """
        size = tuple(mosaics.shape[1:])
        program, settings = self.program, self.settings()
        if any(value != program.settings[name] for name, value in settings.items()):
            program = program.at(settings)
        contents = [program.content(mosaic) for mosaic in mosaics]
        keys = [self._key(program, content) for content in contents]
        pictures = {key: _cached(key, size) for key in keys}
        # Of the endless settings of a search, views are not kept.
        is_kept = all(
            value == self.program.settings[name] or isinstance(value, str)
            for name, value in settings.items()
        )
        todo = {
            key: (content, name)
            for key, content, name in zip(keys, contents, names, strict=True)
            if pictures[key] is None
        }
        for key, picture in self._develop(program, todo).items():
            pictures[key] = cut = self._cut(picture, size, todo[key][1])
            if is_kept:
                _keep(key, cut)
        kinds = {key: str(p.dtype) for key, p in pictures.items() if p is not None}
        views = []
        for key, name in zip(keys, names, strict=True):
            if kinds[key] != kinds[keys[0]]:
                raise InputError(
                    f"{self.reference} gives {kinds[key]} for {name}, but {kinds[keys[0]]} for "
                    f"{names[0]}; expected pictures of one bit depth"
                )
            view = torch.from_numpy(np.asarray(pictures[key], np.float32))
            views.append(view / _DEPTHS.get(kinds[key], 1))
        return torch.stack(views)

    def _key(self, program: Program, content: bytes) -> str:
        digest = hashlib.sha256(_FORMAT)
        digest.update(f"{program.identity}\n{self.camera.to_toml()}\n".encode())
        digest.update(content)
        return digest.hexdigest()

    def _develop(
        self, program: Program, todo: Mapping[str, tuple[bytes, str]]
    ) -> dict[str, NDArray[Any]]:
        """Develop files by key, as many at a time as there are cores. todo: content and name."""
        if not todo:
            return {}
        timeout = _timeout()
        sessions: list[Session] = []
        own, stopped = threading.local(), threading.Event()

        def develop(key: str) -> NDArray[Any]:
            if not hasattr(own, "session"):
                own.session = program.session()
                sessions.append(own.session)
            if stopped.is_set():
                raise InputError("stopped")
            with tempfile.TemporaryDirectory(prefix="rawdrift-") as folder:
                source = Path(folder, f"raw{program.suffix}")
                source.write_bytes(todo[key][0])
                out = Path(folder, "out")
                out.mkdir()
                picture: NDArray[Any] = own.session.develop(source, out, timeout)
                return picture

        pool = ThreadPoolExecutor(min(len(todo), cores()))
        try:
            futures = {pool.submit(develop, key): key for key in todo}
            ready = as_completed(futures)
            done = {}
            for future in progress.over(
                ready, f"developing by {self.reference}", "view", len(todo)
            ):
                try:
                    done[futures[future]] = future.result()
                except InputError as error:
                    name = todo[futures[future]][1]
                    raise InputError(f"{self.reference} fails with {name}: {error}") from None
            pool.shutdown()
            while sessions:
                sessions.pop().release()
            return done
        finally:
            stopped.set()
            for session in sessions:
                session.stop()
            pool.shutdown(cancel_futures=True)
            for session in sessions:
                session.close()

    def _cut(self, picture: NDArray[Any], size: tuple[int, ...], name: str) -> NDArray[Any]:
        """Return the middle of a picture, checked. InputError for another size or depth."""
        border = self.program.border
        if picture.ndim != 3 or picture.shape[0] != 3:
            raise InputError(
                f"{self.reference} gives shape {picture.shape} for {name}, expected "
                f"(3, {size[0]}, {size[1]})"
            )
        more = [have - want for have, want in zip(picture.shape[1:], size, strict=True)]
        if any(extra < 0 or extra % 2 or extra > 2 * border for extra in more):
            raise InputError(
                f"{self.reference} gives a picture of {picture.shape[1]}x{picture.shape[2]} pixels "
                f"for {name} of {size[0]}x{size[1]}; expected the same size: if the program crops "
                f"borders, {{raw+64}} gives it a mosaic extended by 64 mirrored pixels"
            )
        top, left = more[0] // 2, more[1] // 2
        picture = picture[:, top : top + size[0], left : left + size[1]]
        if picture.dtype == np.float32:
            if not (np.isfinite(picture).all() and picture.min() >= 0 and picture.max() <= 1):
                raise InputError(
                    f"{self.reference} gives values from {picture.min():.9g} to "
                    f"{picture.max():.9g} for {name}, expected [0, 1]"
                )
        elif str(picture.dtype) not in _DEPTHS:
            raise InputError(
                f"{self.reference} gives {picture.dtype} values for {name}, expected 8 or 16 bits"
            )
        return np.ascontiguousarray(picture)


@final
class External(Pipeline):
    """A black box as a pipeline, of one camera. It has no numbers, and can't be saved."""

    def __init__(self, reference: str, camera: Camera):
        super().__init__({kind_of(reference): BlackBox(reference, camera)}, camera.bit_depth)
        self.reference, self.camera = reference, camera

    def shown_title(self) -> str:
        return f"Black box {self.reference}, camera {self.camera.name}"

    @property
    def identity(self) -> str:
        """The program with its version and options, and the code of the user's own."""
        return self._box.program.identity

    @property
    def _box(self) -> BlackBox:
        (box,) = self.steps.values()
        assert isinstance(box, BlackBox)
        return box

    @property
    def options(self) -> list[str]:
        """The options that can drift, such as "libraw:bright"."""
        return [f"{kind_of(self.reference)}:{name}" for name in self._box.numbers]

    def choose(self, name: str, choices: Sequence[str]) -> None:
        """Let an option be one of these choices in a parameter space; see `BlackBox.choose`."""
        self._box.choose(name, choices)

    def check_option(self, name: str, value: float) -> None:
        """Raise InputError unless an option, "libraw.bright", can have a value."""
        option = name.partition(".")[2]
        if option not in self._box.choices:
            self._box.program.checked(option, value)

    def of(self, camera: Camera) -> "External":
        """Return the same program for another camera."""
        return self if camera == self.camera else External(self.reference, camera)

    def views(self, mosaics: Tensor, names: Sequence[str]) -> Tensor:
        """Return the views (N, 3, H, W) of mosaics (N, H, W); errors name them."""
        return self._box.views(self.checked(mosaics).to("cpu", torch.float32), names)


def cache() -> Path:
    """The folder of cached views, which may be removed at any time: RAWDRIFT_CACHE, or one in the
    user's cache folder."""
    import pooch

    return Path(os.environ.get("RAWDRIFT_CACHE") or pooch.os_cache("rawdrift")) / "views"


def _timeout() -> float:
    """The seconds that a program has. Raises InputError for a text that is no number above 0."""
    text = os.environ.get("RAWDRIFT_TIMEOUT") or str(TIMEOUT)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise InputError(
            f"the environment's RAWDRIFT_TIMEOUT is {text!r}, expected the seconds that a program "
            f"has for a view, such as 300"
        )
    return min(seconds, threading.TIMEOUT_MAX)


def _keep(key: str, picture: NDArray[Any]) -> None:
    """Cache a view. Raises InputError if that can't be written."""
    try:
        try:
            files.write(_path(key), partial(np.save, arr=picture))
        except FileNotFoundError:  # its folder was removed meanwhile
            files.write(_path(key), partial(np.save, arr=picture))
    except (OSError, InputError) as error:
        reason = getattr(error, "strerror", None) or error  # NumPy gives no reason of the system's
        raise InputError(
            f"views can't be cached in {cache()}: {reason}; make room there, or set the "
            f"environment's RAWDRIFT_CACHE to a folder that can be written to"
        ) from None


def _path(key: str) -> Path:
    return cache() / key[:2] / f"{key}.npy"


def _cached(key: str, size: tuple[int, ...]) -> NDArray[Any] | None:
    """Return a view that was computed before, None if there is none, or no whole one."""
    try:
        picture: NDArray[Any] = np.load(_path(key), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return picture if picture.shape == (3, *size) else None
