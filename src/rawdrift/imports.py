"""The user's own code, named as `import:package.module.name` wherever a name is accepted, and
programs, named as `command:PROGRAM ...` wherever an ISP is.

Code is imported, and a program run, only if the user names it in the same command or call. A name
that stands in a file (an ISP file, a spec) must be allowed with `allowing`.
"""

import ast
import hashlib
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from rawdrift.checks import InputError

PREFIX, COMMAND = "import:", "command:"
_REFERENCE = re.compile(r"import:\w+(?:\.\w+)+")
_allowed: ContextVar[frozenset[str]] = ContextVar("allowed", default=frozenset())


def is_import(name: object) -> bool:
    """Whether `name` has the form import:package.module.name."""
    return isinstance(name, str) and _REFERENCE.fullmatch(name) is not None


def references(value: object) -> set[str]:
    """Return every import in a text or in nested lists and mappings of texts, and every text that
    is a command."""
    if isinstance(value, str):
        return {value} if value.startswith(COMMAND) else set(_REFERENCE.findall(value))
    if isinstance(value, Mapping):
        return references([*value.keys(), *value.values()])
    if isinstance(value, Iterable):
        return set().union(*map(references, value))
    return set()


def checked(name: str) -> str:
    """Return an import or a command that is to be allowed. Raises InputError for any other name."""
    if not is_import(name) and not name.startswith(COMMAND):
        raise InputError(
            f"allow_import takes import:package.module.name, got {name!r}; for a program, it takes "
            f"command:PROGRAM ... as it is in the file"
        )
    return name


@contextmanager
def allowing(names: Iterable[str]) -> Iterator[None]:
    """Let files name these imports and commands inside the block, beside those that are allowed
    already."""
    given = {name if name.startswith((PREFIX, COMMAND)) else PREFIX + name for name in names}
    for name in sorted(given):
        checked(name)
    token = _allowed.set(_allowed.get() | given)
    try:
        yield
    finally:
        _allowed.reset(token)


def allowed() -> frozenset[str]:
    """What files may name here; pass it to `allowing` in another process."""
    return _allowed.get()


def check_allowed(names: Iterable[str], source: str) -> None:
    """Raise InputError unless every import and command that the file `source` names is allowed."""
    refused = sorted(set(names) - allowed())
    if refused:
        what = "a program to run" if refused[0].startswith(COMMAND) else "code to import"
        raise InputError(
            f"{source} names {what}, {', '.join(refused)}; if you trust it, allow it: "
            f"allow_import=[{refused[0]!r}]"
        )


def named(value: object, what: str) -> str:
    """Return a name as it is, and of a function or class its import:package.module.name.

    what: the field that holds it, for errors. Raises InputError for an object that can't be
    imported by its name: runs are resumed, and computed in other processes, by names alone.
    """
    if isinstance(value, str):
        return value
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if name is None or not callable(value):
        raise InputError(f"{what} must be a name, or a function or class, got {value!r}")
    reference = f"{PREFIX}{module}.{name}"
    importable = module != "__main__" and is_import(reference)
    if not importable or getattr(sys.modules.get(str(module)), name, None) is not value:
        raise InputError(
            f"{what} is {name} of {module}, which other processes can't import by this name; "
            f"expected one at the top level of a module of its own, such as mine.py"
        )
    return reference


def resolve(reference: str, what: str) -> Any:
    """Import the object that `import:package.module.name` names.

    Modules are looked for where Python finds them, then in the working folder. what: the field or
    argument that holds the reference, for errors. Raises InputError if there is no such object.
    """
    if not is_import(reference):
        raise InputError(f"{what} must have the form import:package.module.name, got {reference!r}")
    module_name, _, attribute = reference.removeprefix(PREFIX).rpartition(".")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)  # last, and for good: the module may import others when it is used
    try:
        with tracing(reference):
            module = import_module(module_name)
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{module_name}.".startswith(f"{missing}."):
            raise InputError(
                f"{what} {reference}: there is no module {module_name}; expected one that is "
                f"installed, or in {folder}"
            ) from None
        raise InputError(
            f"{what} {reference}: {module_name} can't be imported: {type(error).__name__}: {error}"
        ) from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        names = [name for name in vars(module) if not name.startswith("_")]
        raise InputError(
            f"{what} {reference}: {module_name} has no {attribute}; it has "
            f"{', '.join(names) or 'no names'}"
        ) from None


_TRACED: dict[str, set[Path]] = {}  # files that were used for a reference, by this process
_tracing: list[set[Path]] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    """Add the file of a module that is run, or that is read, to what is traced."""
    if not _tracing:
        return
    if event == "exec" and arguments[0].co_name == "<module>":
        name = arguments[0].co_filename
    elif event == "open" and isinstance(arguments[0], str | bytes) and _reads(*arguments[1:]):
        name = os.fsdecode(arguments[0])
        if not _is_read_for_own_code(sys._getframe(1)):
            return
    else:
        return
    for files in _tracing:
        files.add(Path(name).absolute())


def _reads(mode: str | None, flags: int) -> bool:
    if mode is None:
        return not flags & (os.O_WRONLY | os.O_RDWR)
    return "r" in mode and "+" not in mode


def _is_read_for_own_code(frame: FrameType | None) -> bool:
    """Whether the user's code reads a file, itself or by a function that it calls. Packages that
    are being imported read files of their own."""
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith("<frozen importlib") or name == __file__:
            return False
        if name[:1] != "<" and is_own(Path(name)):
            return True
        frame = frame.f_back
    return False


@contextmanager
def tracing(reference: str) -> Iterator[None]:
    """Note which files are run as modules or read inside, for the `checksum` of an import.

    They may be named by what is computed, which its source does not show: code that is read and
    executed, a configuration, weights.
    """
    if not _TRACED:
        sys.addaudithook(_note)
    _tracing.append(_TRACED.setdefault(reference, set()))
    try:
        yield
    finally:
        _tracing.pop()


def checksum(reference: str, what: str) -> str:
    """Return the SHA-256 of the user's own source files behind an import, or "" if there are none.

    These are the file of its module, of every module that it imports, anywhere in its code, and of
    what was run or read inside `tracing`, except those of Python, rawdrift and installed packages.
    Nothing more is imported for it.
    """
    resolve(reference, what)
    own: dict[str, Path] = {}
    todo = [reference.removeprefix(PREFIX)]
    while todo:
        *above, _ = parts = todo.pop().split(".")
        name, path = ".".join(parts), None
        if name not in own:
            path = _own_file(parts)
        if path is not None:
            own[name] = path
            todo += _imported_by(name, path)
        if above and ".".join(above) not in own:
            todo.append(".".join(above))
    used = {path.absolute() for path in own.values()} | _TRACED[reference]
    files = {file for path in used if (file := _on_disk(path)) and is_own(file)}
    # By the name of the file: that of the module is not known of what was run by its path.
    lines = {f"{path.name} {_sha256(path)}\n" for path in files}
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest() if lines else ""


def _on_disk(path: Path) -> Path | None:
    """Return the file of a path, the archive of what is in one, None if there is none."""
    return next((part for part in (path, *path.parents) if part.is_file()), None)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_NOT_OWN = [
    *map(Path, ("/proc", "/sys", "/dev", "/etc")),
    Path(__file__).parent,
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
]


def is_own(path: Path) -> bool:
    """Whether a file is the user's own: not of the system, Python, rawdrift or a package."""
    installed = {"site-packages", "dist-packages"} & {*path.parts}
    return not installed and not any(path.is_relative_to(folder) for folder in _NOT_OWN)


def _own_file(parts: Sequence[str]) -> Path | None:
    """Return the file of a module of the user's own; None for any other, or if there is none."""
    spec, folders = None, None
    for count in range(1, len(parts) + 1):
        name = ".".join(parts[:count])
        found = (f.find_spec(name, folders) for f in sys.meta_path if hasattr(f, "find_spec"))
        spec = next((spec for spec in found if spec is not None), None)
        if spec is None or (folders := spec.submodule_search_locations) is None:
            break
    if spec is None or spec.name != ".".join(parts) or not spec.has_location or not spec.origin:
        return None
    path = Path(spec.origin)
    return path if is_own(path) else None


def _imported_by(name: str, path: Path) -> Iterator[str]:
    """Yield the names of modules, and of things in modules, that a source file imports."""
    try:
        nodes = [*ast.walk(ast.parse(path.read_bytes()))]
    except (SyntaxError, ValueError):  # it is compiled
        return
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if function in ("import_module", "__import__"):
                yield str(node.args[0].value).lstrip(".")


def need(module: str, extra: str) -> Any:
    """Import a package of one of rawdrift's extras; InputError says how to install it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise InputError(
            f"the package {module} is missing; install rawdrift with its extra {extra}, "
            f'pip install "rawdrift[{extra}]"'
        ) from None
