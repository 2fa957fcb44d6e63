"""Black-box ISPs: LibRaw, any program, and the user's own function, each in processes of its own.

A program takes a mosaic as a file, and gives a picture as an array (3, H, W): uint8, uint16, or
float32 in [0, 1].
"""

import atexit
import inspect
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from importlib import metadata
from pathlib import Path
from threading import Event, Timer
from typing import IO, Any, ClassVar, Literal, NamedTuple, Self, get_args, get_origin

import numpy as np
import yaml
from numpy.typing import NDArray
from torch import Tensor

from rawdrift import files, imports
from rawdrift.camera.camera import Camera
from rawdrift.camera.write_dng import dng
from rawdrift.cfa import MONO, is_bayer
from rawdrift.checks import InputError, choose, is_number, numbers
from rawdrift.configurations import COMMAND, LIBRAW
from rawdrift.imports import PREFIX as IMPORT
from rawdrift.isp.worker import libraw_choices
from rawdrift.neighborhood import extend

LIBRAW_DEFAULTS: Mapping[str, Any] = {
    "use_camera_wb": True,
    "no_auto_bright": True,  # else each image is brightened by its own histogram
    "adjust_maximum_thr": 0.0,  # else each image is scaled by its own maximum
    "output_bps": 16,
    "user_flip": 0,
}
"""What rawdrift asks of LibRaw unless a reference states otherwise: the same for every image."""

_LIBRAW_SETTINGS: Mapping[str, float | str] = {
    "bright": 1.0,
    "exp_shift": 1.0,
    "exp_preserve_highlights": 0.0,
    "noise_thr": 0.0,
    "median_filter_passes": 0,
    "dcb_iterations": 0,
    "demosaic_algorithm": "AHD",
    "highlight_mode": "Clip",
    "fbdd_noise_reduction": "Off",
}
_LIBRAW_RANGES = {
    "bright": (0.25, 4.0),
    "exp_shift": (0.25, 8.0),
    "exp_preserve_highlights": (0.0, 1.0),
    "noise_thr": (0.0, 1000.0),
    "median_filter_passes": (0.0, 10.0),
    "dcb_iterations": (0.0, 10.0),
}
_WHOLE = ("median_filter_passes", "dcb_iterations", "user_black", "user_sat")
# LibRaw takes any value: beyond these it clips it, crashes, or gives a black or another picture.
_LIBRAW_LIMITS = {
    "bright": (0.001, 1000.0),
    "exp_shift": (0.25, 8.0),
    "exp_preserve_highlights": (0.0, 1.0),
    "noise_thr": (0.0, 1e6),
    "median_filter_passes": (0, 100),
    "dcb_iterations": (0, 100),
    "auto_bright_thr": (0.0, 1.0),
    "adjust_maximum_thr": (0.0, 1.0),
    "user_black": (0, 65535),
    "user_sat": (1, 65535),
}
# A view has the size of its mosaic, and lies as it does: masks are drawn on that.
_LIBRAW_ONE_OF: Mapping[str, tuple[Any, ...]] = {
    "half_size": (False,),
    "output_bps": (8, 16),
    "user_flip": (0,),
}
_PAIRS = ("gamma", "chromatic_aberration")
_LISTS = {"gamma": 2, "chromatic_aberration": 2, "user_wb": 4, "user_cblack": 4}
_LEAST = 22  # rows or columns that LibRaw takes
_MOST_LEVEL = 9  # of highlights, from 3 on rebuilt: more of white, or of color
_ALIASES = {"demosaic": "demosaic_algorithm"}
_WORKER = Path(__file__).with_name("worker.py")
_RAW = re.compile(r"\{raw(?:\+(\d+))?\}")
_PICTURE = re.compile(r"\{picture(?:\.(png|tif|tiff|jpg))?\}")
_SETTING = re.compile(r"\{(\w+)=([^{}]*)\}")
_MOST_IDLE = 16  # workers that wait
_QUOTED = 600  # characters of a program's output that an error quotes


class Session(ABC):
    """A process, or what starts one for each view. `stop` may be called from another thread."""

    @abstractmethod
    def develop(self, source: Path, folder: Path, timeout: float) -> NDArray[Any]:
        """Return the picture of a mosaic's file. folder: an empty one, to write in.

        Raises InputError, which says why there is no picture.
        """

    @abstractmethod
    def stop(self) -> None:
        """End the process that is running."""

    def close(self) -> None:
        """End everything."""
        self.stop()

    def release(self) -> None:
        """End, or wait for the next one who wants such a session."""
        self.close()


class Program(ABC):
    """What a reference names, for one camera.

    identity: the program with its version and options; views are cached by it.
    settings: its options that can drift, by name: numbers, and names of choices.
    ranges: where numbers usually lie, if that is known.
    border: mirrored pixels that the mosaic is extended by at each edge.
    suffix: of the mosaic's file.
    """

    identity: str
    settings: Mapping[str, float | str] = {}
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}
    border: int = 0
    suffix: ClassVar[str] = ".dng"

    def __init__(self, reference: str, camera: Camera):
        self.reference, self.camera = reference, camera

    def content(self, mosaic: Tensor) -> bytes:
        """Return the file of a mosaic (H, W), float32 in [0, 1]."""
        values = extend(mosaic, self.border, self.border).double().numpy()
        return dng(np.rint(values * (2**self.camera.bit_depth - 1)).astype(np.uint16), self.camera)

    def at(self, settings: Mapping[str, float | str]) -> Self:
        """Return the program with these in place of its own settings."""
        raise InputError("this program has no settings")

    def checked(self, name: str, value: float | str) -> float | str:
        """Return a value of a setting. Raises InputError for an impossible one."""
        return value

    def choices(self, name: str) -> list[str]:
        """Return what a setting may be, if it is a choice and they are known."""
        return []

    def named(self, settings: Mapping[str, float | str]) -> str:
        """Return the reference of the program with these in place of its own settings."""
        return self.reference

    @abstractmethod
    def session(self) -> Session:
        """Return a session for one thread."""


class LibRaw(Program):
    """LibRaw's own processing, by names of rawpy's parameters: libraw:demosaic=AHD,bright=1.2"""

    ranges = _LIBRAW_RANGES

    def __init__(self, reference: str, camera: Camera):
        super().__init__(reference, camera)
        if not (is_bayer(camera.cfa) or camera.cfa == MONO):
            raise InputError(
                f"{reference} develops Bayer and monochrome mosaics, but camera {camera.name!r} "
                f"has the color filter array {camera.cfa}; choose bi,s,ga or another of rawdrift's "
                f"own"
            )
        self.options = {**LIBRAW_DEFAULTS, **libraw_options(reference)}
        self.settings = {
            name: value if isinstance(value, str) else float(value)
            for name, value in {**_LIBRAW_SETTINGS, **self.options}.items()
            if name in _LIBRAW_SETTINGS
        }
        self._identify()

    def _identify(self) -> None:
        import rawpy

        library = ".".join(map(str, rawpy.libraw_version))
        version = f"LibRaw {library}, rawpy {metadata.version('rawpy')}"
        self.identity = f"{version} {json.dumps(self.options, sort_keys=True)}"

    def content(self, mosaic: Tensor) -> bytes:
        if min(mosaic.shape) < _LEAST:
            raise InputError(
                f"LibRaw develops mosaics of {_LEAST}x{_LEAST} pixels or more, got "
                f"{mosaic.shape[0]}x{mosaic.shape[1]}; give larger ones, or choose an ISP of "
                f"rawdrift's own"
            )
        return super().content(mosaic)

    def at(self, settings: Mapping[str, float | str]) -> Self:
        changed = {name: v for name, v in settings.items() if v != self.settings[name]}
        other = copy(self)
        other.options = self.options | {
            name: round(v) if name in _WHOLE and not isinstance(v, str) else v
            for name, v in changed.items()
        }
        other._identify()
        return other

    def checked(self, name: str, value: float | str) -> float | str:
        if isinstance(value, str):
            return str(libraw_value(name, value))
        libraw_value(name, round(value) if name in _WHOLE else value)
        return value

    def choices(self, name: str) -> list[str]:
        names = (one.name for one in libraw_choices().get(name, ()))
        return [choice for choice in names if _is_possible(name, choice)]

    def named(self, settings: Mapping[str, float | str]) -> str:
        options = libraw_options(self.reference)
        for name, value in settings.items():
            if value != self.settings[name]:
                options[name] = round(value) if name in _WHOLE else value  # type: ignore[arg-type]
        texts = (f"{name}={_option(value)}" for name, value in options.items())
        return ":".join(filter(None, (LIBRAW, ",".join(texts))))

    def session(self) -> Session:
        return _Worker.of({"libraw": True}, self.options)


class _Option(NamedTuple):
    """A parameter of a user's factory. kind: of its values, None if it is not declared."""

    kind: type | None
    choices: tuple[str, ...] = ()
    default: Any = inspect.Parameter.empty


_KINDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}


class Own(Program):
    """The user's own, import:package.module.factory: camera -> callable, mosaic (H, W) float32 in
    [0, 1] -> view (3, H, W) in [0, 1], tensors or arrays.

    import:package.module.factory:bright=1.2,mode=fast gives the factory's other parameters values.
    Those that are numbers, texts, or true or false can drift.
    """

    suffix = ".npy"

    def __init__(self, reference: str, camera: Camera):
        super().__init__(reference, camera)
        name, _, text = reference.removeprefix(IMPORT).partition(":")
        self.code = IMPORT + name
        self.factory = imports.resolve(self.code, "ISP")
        if not callable(self.factory):
            raise InputError(f"ISP {self.code} is not callable; expected a function of a camera")
        self.declared = _declared(self.factory)
        self.options: dict[str, Any] = {}
        for option, value in _stated(reference, text, "import:package.module.factory:bright=1.2"):
            choose(f"option of {self.code}", option, self.declared)
            if option in self.options:
                raise InputError(f"ISP {reference!r} states {option} twice; leave one out")
            self.options[option] = self._read(option, value)
        defaults = {name: one.default for name, one in self.declared.items()} | self.options
        missing = [name for name, value in defaults.items() if value is inspect.Parameter.empty]
        if missing:
            raise InputError(
                f"ISP {reference!r} needs {', '.join(missing)}; expected "
                f"{self.code}:{','.join(f'{name}=VALUE' for name in missing)}"
            )
        self.settings = {
            name: str(value).lower()
            if isinstance(value, bool)
            else value
            if isinstance(value, str)
            else float(value)
            for name, value in defaults.items()
            if isinstance(value, (bool, int, float, str))
        }
        self._make(self.options)

    def _read(self, name: str, text: str) -> Any:
        """Return the value of an option from text. Raises InputError for one of another kind."""
        kind, choices, _ = self.declared[name]
        if kind is str:
            what = f"{name} of {self.code}"
            return choose(what, _spelled(text, choices), choices) if choices else text
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        if kind is None:
            return json.loads(json.dumps(value, default=str))
        if kind is float and is_number(value):
            return float(value)
        if type(value) is not kind:
            raise InputError(f"{name} of {self.code} is {text!r}, expected {_KINDS[kind]}")
        return value

    def _make(self, options: Mapping[str, Any]) -> None:
        """Call the factory, as workers will. Raises InputError if it fails."""
        try:
            with imports.tracing(self.code):  # for the files that it reads
                self.factory(self.camera, **options)
        except Exception as error:
            stated = ", ".join(f"{name}={value}" for name, value in options.items())
            raise InputError(
                f"ISP {self.code} fails for camera {self.camera.name}"
                f"{stated and f' with {stated}'}: {type(error).__name__}: {error}"
            ) from error
        self.checksum = imports.checksum(self.code, "ISP")
        self._identify()

    def _identify(self) -> None:
        stated = f" {json.dumps(self.options, sort_keys=True)}" if self.options else ""
        self.identity = f"{self.code} {self.checksum}{stated}"

    def _with(self, settings: Mapping[str, float | str]) -> dict[str, Any]:
        """Return the options with these in place of the program's own settings."""
        changed = {name: v for name, v in settings.items() if v != self.settings[name]}
        kinds = {name: self.declared[name].kind for name in changed}
        return self.options | {
            name: round(float(v))
            if kinds[name] is int
            else v == "true"
            if kinds[name] is bool
            else v
            for name, v in changed.items()
        }

    def at(self, settings: Mapping[str, float | str]) -> Self:
        other = copy(self)
        other.options = self._with(settings)
        other._identify()
        return other

    def choices(self, name: str) -> list[str]:
        kind, choices, _ = self.declared[name]
        return ["false", "true"] if kind is bool else [*choices]

    def named(self, settings: Mapping[str, float | str]) -> str:
        texts = (f"{name}={_option(value)}" for name, value in self._with(settings).items())
        return ":".join(filter(None, (self.code, ",".join(texts))))

    def checked(self, name: str, value: float | str) -> float | str:
        value = self._read(name, value) if isinstance(value, str) else value
        value = str(value).lower() if isinstance(value, bool) else value
        self._make(self._with({name: value}))
        return value

    def content(self, mosaic: Tensor) -> bytes:
        from io import BytesIO

        buffer = BytesIO()
        np.save(buffer, mosaic.float().numpy())
        return buffer.getvalue()

    def session(self) -> Session:
        own = {"reference": self.code, "camera": self.camera.to_toml(), "folders": sys.path}
        return _Worker.of({"own": own, "identity": self.checksum}, self.options)


def _declared(factory: Any) -> dict[str, _Option]:
    """Return the parameters of a factory, beside the camera, that can be given by name."""
    try:
        signature = inspect.signature(factory, eval_str=True)
    except Exception:
        try:
            signature = inspect.signature(factory)
        except (TypeError, ValueError):  # of compiled code
            return {}
    declared = {}
    for name, parameter in [*signature.parameters.items()][1:]:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            continue
        note = parameter.annotation
        choices = tuple(map(str, get_args(note))) if get_origin(note) is Literal else ()
        kinds = [str] if choices else [note, type(parameter.default)]
        kind = next((k for k in kinds if isinstance(k, type) and k in _KINDS), None)
        declared[name] = _Option(kind, choices, parameter.default)
    return declared


class Command(Program):
    """Any program that turns a DNG into a PNG, TIFF or JPEG: command:PROGRAM {raw} ... {picture}

    {raw+64}: the mosaic with 64 mirrored pixels more at each edge, for programs that crop borders
    or refuse small images; the middle of the picture is used. {picture.tif}: its suffix, else .png.
    {NAME=VALUE}: an option with its value, which can drift.
    No shell is involved.
    """

    def __init__(self, reference: str, camera: Camera):
        super().__init__(reference, camera)
        text = reference.removeprefix(COMMAND)
        try:
            self.words = shlex.split(text)
        except ValueError as error:
            raise InputError(f"ISP {reference!r} can't be split into words: {error}") from None
        borders = _RAW.findall(text)
        if not borders or not _PICTURE.search(text):
            raise InputError(
                f"ISP {reference!r} must name the raw file and the picture to write; expected "
                f"command:PROGRAM {{raw}} ... {{picture}}, or {{raw+64}} for a mirrored border, "
                f"and {{picture.tif}}, .tiff, .jpg or .png for a kind of picture"
            )
        self.border = max(int(border or 0) for border in borders)
        program = shutil.which(self.words[0])
        if program is None:
            raise InputError(
                f"ISP {reference!r}: there is no program {self.words[0]!r}; install it, or give "
                f"its path"
            )
        self.words[0] = program
        self.template = self.words
        self.settings = {name: _number(value) for name, value in _SETTING.findall(text)}
        if {"raw", "picture"} & self.settings.keys():
            raise InputError(f"ISP {reference!r}: raw and picture take no value")
        self._identify()

    def _identify(self) -> None:
        self.words = [
            _SETTING.sub(lambda found: _text(self.settings[found[1]]), word)
            for word in self.template
        ]
        # Programs have no common way to tell their version: the content of their files is it.
        # `Path.is_file` raises an error for a word that is too long for a name.
        read = [files.sha256(w) for w in self.words if os.path.isfile(w)]  # noqa: PTH113
        self.identity = json.dumps([self.words, read])

    def at(self, settings: Mapping[str, float | str]) -> Self:
        other = copy(self)
        other.settings = {**self.settings, **settings}
        other._identify()
        return other

    def named(self, settings: Mapping[str, float | str]) -> str:
        values = {**self.settings, **settings}
        return _SETTING.sub(lambda at: f"{{{at[1]}={_text(values[at[1]])}}}", self.reference)

    def session(self) -> Session:
        return _Run(self.words)


def _is_possible(name: str, choice: str) -> bool:
    try:
        libraw_value(name, choice)
    except InputError:
        return False
    return True


def _option(value: Any) -> str:
    """An option as a reference states it."""
    if isinstance(value, float):
        return f"{value:.9g}"
    return f"({','.join(map(_option, value))})" if isinstance(value, (list, tuple)) else str(value)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def program(reference: str, camera: Camera) -> Program:
    """Return the program of a reference; nothing is run. Raises InputError if there is none.

    A command or import must be allowed; see `imports.allowing`.
    """
    imports.check_allowed(imports.references(reference), f"ISP {reference!r}")
    if reference.startswith(COMMAND):
        return Command(reference, camera)
    if reference.startswith(IMPORT):
        return Own(reference, camera)
    return LibRaw(reference, camera)


def _stated(reference: str, text: str, example: str) -> Iterator[tuple[str, str]]:
    """Yield the options that a reference states as name=value,... in text."""
    for part in filter(None, re.split(r",(?![^\[(]*[\])])", text)):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise InputError(
                f"ISP {reference!r}: {part!r} is no option; expected name=value, separated by "
                f"commas, as in {example}"
            )
        yield name, value


def _spelled(text: str, choices: Sequence[str]) -> str:
    """Return the choice that is the same in YAML, where Off is false, if there is one."""
    value = {"true": True, "false": False}.get(text)
    same = (choice for choice in choices if value is not None and yaml.safe_load(choice) is value)
    return text if text in choices else next(same, text)


def libraw_options(reference: str) -> dict[str, Any]:
    """Return the options of libraw:name=value,... by rawpy's names. Raises InputError."""
    import rawpy

    known = [n for n in inspect.signature(rawpy.Params).parameters if n != "bad_pixels_path"]
    text = reference.removeprefix(LIBRAW).removeprefix(":")
    options = {}
    for name, value in _stated(reference, text, "libraw:demosaic=AHD,bright=1.2"):
        name = choose("LibRaw option", _ALIASES.get(name, name), (*known, *_ALIASES))
        if name in options:
            raise InputError(f"ISP {reference!r} states {name} twice; leave one out")
        options[name] = libraw_value(name, value)
    return options


def libraw_value(name: str, value: Any) -> Any:
    """Return the value of an option, from text too. Raises InputError for one that LibRaw refuses.

    name: rawpy's, such as bright.
    """
    import rawpy

    enums = libraw_choices()
    if isinstance(value, str) and (name not in enums or value.isdigit()):
        try:
            value = yaml.safe_load(value.replace("(", "[").replace(")", "]"))
        except yaml.YAMLError:
            raise InputError(f"LibRaw option {name} is {value!r}, expected a value") from None
    if name in enums:
        return _choice(name, "Off" if value is False else value, enums[name])
    _check_kind(name, value)
    given: dict[str, Any] = {name: tuple(value) if name in _PAIRS else value}
    try:
        rawpy.Params(**given)
    except Exception as error:
        raise InputError(f"LibRaw option {name} can't be {value!r}: {error}") from None
    return value


def _choice(name: str, value: Any, choices: Any) -> str | int:
    """Return the name of a choice, of its name or number. Raises InputError for an unknown one."""
    import rawpy

    names = [one.name for one in choices]
    if isinstance(value, int) and name == "highlight_mode" and 0 <= value <= _MOST_LEVEL:
        return value
    text = next((one.name for one in choices if one.value == value), str(value))
    choice = choose(f"{name} of LibRaw", _spelled(text, names), names)
    if name == "demosaic_algorithm" and rawpy.DemosaicAlgorithm[choice].isSupported is False:
        raise InputError(
            f"this LibRaw was built without the demosaicing {choice}; choose another one"
        )
    return choice


def _check_kind(name: str, value: Any) -> None:
    """Raise InputError for a value that LibRaw does not take as it is meant."""
    import rawpy

    what = f"LibRaw option {name}"
    if name in _LISTS:
        numbers(what, value, _LISTS[name])
    elif name in _LIBRAW_ONE_OF:
        options = _LIBRAW_ONE_OF[name]
        if not any(value is option for option in options):
            raise InputError(f"{what} is {value!r}, expected {' or '.join(map(str, options))}")
    elif name in _LIBRAW_LIMITS:
        (low, high), is_whole = _LIBRAW_LIMITS[name], name in _WHOLE
        if not is_number(value) or not low <= value <= high or (is_whole and value % 1):
            raise InputError(
                f"{what} is {value!r}, expected a {'whole ' * is_whole}number from {low:g} to "
                f"{high:g}"
            )
    elif not isinstance(value, bool) and isinstance(
        inspect.signature(rawpy.Params).parameters[name].default, bool
    ):
        raise InputError(f"{what} is {value!r}, expected true or false")


class _Worker(Session):
    """A process of `worker.py`, started with the first mosaic, that waits for others afterwards."""

    _idle: ClassVar[list["_Worker"]] = []
    _lock: ClassVar[Any] = threading.Lock()

    @classmethod
    def of(cls, task: Mapping[str, Any], options: Mapping[str, Any]) -> "_Worker":
        """Return a worker that waits for this task, or a new one. options: of what it develops."""
        text = json.dumps(task)
        with cls._lock:
            # A forked process shares the pipes of its parent's workers, and must leave them alone.
            own = (one for one in cls._idle if one.task == text and one.owner == os.getpid())
            worker = next(own, None)
            if worker is not None:
                cls._idle.remove(worker)
        worker = worker or cls(text)
        worker.options = options
        return worker

    @classmethod
    def close_idle(cls) -> None:
        """End the workers of this process that wait."""
        with cls._lock:
            waiting, cls._idle[:] = [*cls._idle], []
        for worker in waiting:
            if worker.owner == os.getpid():
                worker.close()

    def release(self) -> None:
        if self.process is None or self.process.poll() is not None:
            self.close()
            return
        self.log.seek(0)
        self.log.truncate()
        with self._lock:
            self._idle.append(self)
            surplus = self._idle.pop(0) if len(self._idle) > _MOST_IDLE else None
        if surplus is not None and surplus.owner == os.getpid():
            surplus.close()

    def __init__(self, task: str):
        self.task, self.owner = task, os.getpid()
        self.options: Mapping[str, Any] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115, until `close`

    def develop(self, source: Path, folder: Path, timeout: float) -> NDArray[Any]:
        if self.process is None:
            self.process = _start(
                [sys.executable, "-P", str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            self._write(self.task)
        target = folder / "view.npy"
        expired = Event()

        def expire() -> None:
            expired.set()
            self.stop()

        timer = Timer(timeout, expire)
        timer.start()
        try:
            self._write(json.dumps([str(source), str(target), self.options]))
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
            code = None if line else self.process.wait()
        finally:
            timer.cancel()
        if expired.is_set():
            raise InputError(f"no view after {timeout:g} s{_end(self.log)}")
        if code is not None:
            raise InputError(f"the process ended with {_code(code)}{_end(self.log)}")
        reply = json.loads(line)
        if "error" in reply:
            raise InputError(f"{reply['error']}{_end(self.log)}")
        view: NDArray[Any] = np.load(target, allow_pickle=False)
        return view

    def _write(self, line: str) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:  # it has ended; the missing reply tells
            pass

    def stop(self) -> None:
        _kill(self.process)

    def close(self) -> None:
        self.stop()
        if self.process is not None:
            for pipe in (self.process.stdin, self.process.stdout):
                assert pipe is not None
                with suppress(BrokenPipeError):
                    pipe.close()
            self.process.wait()
        self.log.close()


atexit.register(_Worker.close_idle)


class _Run(Session):
    """A program that is started for each mosaic."""

    def __init__(self, words: Sequence[str]):
        self.words = words
        self.process: subprocess.Popen[bytes] | None = None

    def develop(self, source: Path, folder: Path, timeout: float) -> NDArray[Any]:
        from rawdrift.isp.matching import read_picture

        words = [_RAW.sub(lambda _: str(source), word) for word in self.words]
        target = folder / "picture.png"
        for word in words:
            if (suffix := _PICTURE.search(word)) and suffix[1]:
                target = target.with_suffix(f".{suffix[1]}")
        words = [_PICTURE.sub(lambda _: str(target), word) for word in words]
        with tempfile.TemporaryFile() as log:
            try:
                self.process = _start(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            except OSError as error:
                raise InputError(f"{words[0]} can't be started: {error.strerror}") from None
            try:
                code = self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                raise InputError(f"no picture after {timeout:g} s{_end(log)}") from None
            finally:
                self.stop()
                self.process.wait()
            if code:
                raise InputError(f"it ended with {_code(code)}{_end(log)}")
            written = [target] if target.is_file() else sorted(folder.iterdir())
            if len(written) != 1:
                raise InputError(f"it wrote no picture {target.name}{_end(log)}")
            try:
                return read_picture(written[0]).values.transpose(2, 0, 1)
            except InputError as error:
                reason = str(error).replace(str(written[0]), written[0].name)
                raise InputError(f"{reason}{_end(log)}") from None

    def stop(self) -> None:
        _kill(self.process)


def _start(words: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(words, start_new_session=True, **options)


def _kill(process: "subprocess.Popen[bytes] | None") -> None:
    """End a process with all that it has started, unless it has been waited for: until then the
    system gives its number to no other, also where it has ended and left children behind."""
    if process is None or process.returncode is not None:
        return
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _code(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def _end(log: IO[bytes]) -> str:
    """The end of a program's output, to append to an error."""
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - 4 * _QUOTED))
    text = log.read().decode("ascii", "replace").strip()[-_QUOTED:]
    text = "".join(c if c.isprintable() else " " for c in text.replace("\ufffd", "?"))
    return f"; its output ends: {text}" if text else "; it printed nothing"
