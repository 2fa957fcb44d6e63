"""The command line: build a spec, call a control, show the result.

Exit codes: 0 done, 1 a check said no or some units failed, 2 bad input, 70 a fault of ours; and as
shells have it, 130 stopped by SIGINT, 141 by a reader that stopped reading, 143 by SIGTERM. Each
command imports what it needs, so that --help is instant.
"""

import os
import re
import shlex
import signal
import sys
import threading
import traceback
from ast import literal_eval
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace

from rawdrift import imports
from rawdrift.checks import InputError, choose
from rawdrift.cli import cameras, controls, data, isp, parser, web
from rawdrift.controls import CONTROLS, commands, presets
from rawdrift.controls.control import Control
from rawdrift.runs.spec import read_spec, spec_parts


def _completion(args: Namespace) -> int:
    shell = choose("SHELL", args.shell, parser.SHELLS)
    script: str = parser.build().get_completion_script(f"shtab-{shell}")
    print(re.sub(r"'Expected type: .*' (\d+ \d+); }", r"'' \1; }", script))
    return 0


_COMMANDS = {
    **controls.COMMANDS,
    **cameras.COMMANDS,
    **data.COMMANDS,
    **isp.COMMANDS,
    **web.COMMANDS,
    "completion": _completion,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. argv: the arguments without the program's name."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, TextIOWrapper):  # names that the locale can't write
        sys.stdout.reconfigure(errors="backslashreplace")
    debug = "--debug" in arguments
    try:
        # An import that the user names in this command is allowed wherever it stands.
        with _terminable(), imports.allowing(_imports(arguments)):
            try:
                args = _parse([argument for argument in arguments if argument != "--debug"])
            except SystemExit as done:  # --help, --version, --print_config
                return int(done.code or 0)
            given = args[args.command]
            if args.command in commands():
                return controls.run_control(commands()[args.command], given)
            return _COMMANDS[args.command](given)
    except SystemExit as error:
        return _fail(f"code of yours ended the program: sys.exit({error.code!r})", debug)
    except InputError as error:
        return _fail(str(error), debug)
    except KeyboardInterrupt as stop:
        print("rawdrift: stopped; the same command resumes from here", file=sys.stderr)
        return 143 if isinstance(stop, _Terminated) else 130
    except BrokenPipeError:  # the reader of our output has stopped reading
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        own = _own_frame(error)
        if own:
            return _fail(f"code of yours fails, {own}: {type(error).__name__}: {error}", debug)
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            return _fail("there is not enough memory; use fewer or smaller images at a time", debug)
        if isinstance(error, OSError) and error.strerror:
            where = f"{error.filename}: " if error.filename else ""
            expected = "expected a place to read or write with room and permission"
            if isinstance(error, IsADirectoryError):
                expected = "expected a file"
            return _fail(f"{where}{error.strerror}; {expected}", debug)
        traceback.print_exc()
        print("rawdrift: this is a bug of rawdrift; please report it", file=sys.stderr)
        return 70


class _Terminated(KeyboardInterrupt):
    """SIGTERM."""


@contextmanager
def _terminable() -> Iterator[None]:
    """End on SIGTERM as on Ctrl-C: what was begun is cleaned up, and worker processes end.

    Also on a SIGINT that a shell's background jobs would ignore.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise _Terminated

    before = {
        sign: signal.signal(sign, handler)
        for sign, handler in (
            (signal.SIGTERM, stop),
            (signal.SIGINT, signal.default_int_handler),
        )
    }
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _own_frame(error: Exception) -> str:
    """Return the innermost line of the user's own code that an error passed through, or ""."""
    frames = [
        f"{frame.filename}, line {frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_file() and imports.is_own(Path(frame.filename))
    ]
    return frames[-1] if frames else ""


def _imports(arguments: Sequence[str]) -> set[str]:
    """Return the imports that the command names. InputError for a wrong --allow_import."""
    flag = "--allow_import"
    for before, argument in pairwise(["", *arguments]):
        if before == flag or argument.startswith(f"{flag}="):
            imports.checked(argument.removeprefix(f"{flag}="))
    return imports.references([arguments, *map(_values, arguments)])


def _values(argument: str) -> Any:
    """Return what an argument, or the part behind its "=", is as YAML, such as a list."""
    values = []
    for text in {argument, argument.partition("=")[2]}:
        with suppress(yaml.YAMLError, ValueError, RecursionError):
            values.append(yaml.safe_load(text))
    return values


def _parse(arguments: list[str]) -> Namespace:
    reader = parser.build(only=next(iter(arguments), ""))
    _check_not_empty(arguments)
    parts = {part for control in CONTROLS.values() for part in spec_parts(control.spec)}
    for argument in arguments:
        name = argument.removeprefix("--").partition("=")[0]
        if argument.startswith("--") and name in parts and arguments[0] != "verify":
            raise InputError(f"--{name} takes no value; give its fields, as --{name}.FIELD VALUE")
    try:
        args: Namespace = reader.instantiate(reader.parse_args(_with_presets(arguments)))
        return args
    except (TypeError, UnicodeDecodeError) as error:  # a config file with odd content
        raise InputError(f"the configuration can't be read: {error}") from None


def _check_not_empty(arguments: Sequence[str]) -> None:
    """Raise InputError for an empty argument, as an unset variable of a shell leaves it."""
    for before, argument in pairwise(["", *arguments]):
        flag, equals, value = argument.partition("=")
        if not argument.strip():
            flag = before if before.startswith("--") and "=" not in before else "an argument"
        elif not (flag.startswith("--") and equals and not value.strip()):
            continue
        raise InputError(f"{flag} is empty; expected a value, or leave it out")


def _with_presets(arguments: Sequence[str]) -> list[str]:
    """Replace the name of each preset by its file."""
    found = list(arguments)
    control = commands().get(arguments[0]) if arguments else None
    if control is None:
        return found
    for i, argument in enumerate(arguments):
        if argument.startswith("--config="):
            found[i] = f"--config={_config(control, argument.removeprefix('--config='))}"
        elif argument == "--config" and i + 1 < len(arguments):
            found[i + 1] = _config(control, arguments[i + 1])
    return found


def _config(control: Control, name: str) -> str:
    """Return the path of a configuration file or preset."""
    path = presets.find(control, name)
    read_spec(path, control.spec)
    return str(path)


def _fail(message: str, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    message = re.sub(
        r"allow it: allow_import=\[(.+)\]",
        lambda at: f"add --allow_import {shlex.quote(literal_eval(at[1]))}",
        " ".join(message.split()),
    )
    print(f"rawdrift: error: {message}", file=sys.stderr)
    return 2
