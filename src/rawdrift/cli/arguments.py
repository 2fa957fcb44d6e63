"""A parser that says in one line what is wrong with the arguments, and helps without types."""

import re
from argparse import Action
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from rawdrift.checks import InputError, choose, closest


class Parser(ArgumentParser):
    """Raises an InputError that names the valid choices, instead of printing usage and exiting.

    commands: the parser of each command, by name.
    """

    commands: dict[str, "Parser"]

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.commands = {}

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        message = " ".join(message.split())
        message = re.sub(r'Parser key "([\w.]+)":', r"\1:", message)
        message = re.sub(r"typing\.Literal\[(.*?)\]", r"choice of \1", message)
        message = re.sub(r"<class '(\w+)'>", r"\1", message)
        if "class_path" in message:
            message = (
                "class_path is not a field; a configuration gives the fields themselves and their "
                "values, as --print_config writes them"
            )
        elif re.search("unrecognized|not accept|not expected", message):
            message += self._instead(message)
        elif found := re.match(r"argument (\S+): invalid choice: '(.*?)' \(.*? '(.*)'\)", message):
            choose(found[1], found[2], found[3].split("', '"))
        elif found := re.match(r'expected "([\w.]+)" to be one of', message):
            *commands, last = found[1].split(".")
            names = "; ".join(_commands(self._of(commands)))
            message = f"{last.upper()} is missing; choose one of {names}"
        elif found := re.match("the following arguments are required: (.*)", message):
            missing = ", ".join(map(self._shown, found[1].split(", ")))
            message = f"{missing} is missing; --help says what to give"
        elif found := re.match(r"([\w.]+): (.*) (?:Got|Given) value: (.*)", message):
            message = _of_another_type(found[1], found[2], found[3])
        raise InputError(message)

    def _instead(self, message: str) -> str:
        """What to write instead of a flag or field that is not there."""
        command = re.search(r"Subcommand '(\w+)'", message)
        flags = (self.commands.get(command[1], self) if command else self).flags()
        wrong = re.search(r"arguments: --([^\s=]+)|(?:option|key) '([\w.]+)'", message)
        if wrong and (close := closest(f"--{wrong[1] or wrong[2]}", flags)):
            return f"; did you mean {close}?"
        return f"; expected one of {', '.join(flags) or 'its own arguments'}"

    def _shown(self, name: str) -> str:
        """An argument as the user writes it, "--out" of develop.out."""
        *commands, last = name.split(".")
        action = next((a for a in self._of(commands)._actions if a.dest == last), None)
        if action is None:
            return last
        return action.option_strings[0] if action.option_strings else str(action.metavar)

    def _of(self, commands: Sequence[str]) -> ArgumentParser:
        """The parser of a command below this one; itself if it is that of the command."""
        parser: ArgumentParser = self
        for command in commands:
            parser = _commands(parser).get(command, parser)
        return parser

    def flags(self) -> list[str]:
        """Return the names of the flags of this command."""
        names = {name for action in self._actions for name in action.option_strings}
        aside = {"--help", "--version", "--print_config", "--print_shtab"}
        return sorted(n for n in names if n[:2] == "--" and n[-1] != "+" and n not in aside)


def _commands(parser: ArgumentParser) -> Mapping[str, ArgumentParser]:
    """The parsers of the commands of one."""
    return next((a.choices for a in parser._actions if isinstance(a.choices, Mapping)), {})


_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "list": "a list",
    "dict": "names with values, such as {name: 1}",
    "NoneType": "null",
}


def _of_another_type(field: str, expected: str, value: str) -> str:
    """What to say of a value of another type than those that jsonargparse names."""
    types = dict.fromkeys(re.findall(r"Expected an? (.*?)(?=\.| - | Given|$)", expected))
    words = [_TYPES.get(kind, kind.replace("choice of", "one of")) for kind in types]
    if not words:
        return f"{field}: {expected}, got {value}"
    hint = ""
    if "list" in types and "[" not in value:
        hint = f"; write \"['{value}']\""
    return f"{field} must be {' or '.join(words)}, got {value}{hint}"


class _Help(DefaultHelpFormatter):
    """Shows each field with its text and, unless that tells it, the default.

    Texts say what values are allowed, so that types would only repeat them. Hidden: `--data` and
    the like, which take no value, and `--FIELD+`, which adds to a list.
    """

    def add_argument(self, action: Action) -> None:
        if not _is_part(action):
            super().add_argument(action)

    def _format_action_invocation(self, action: Action) -> str:
        text = super()._format_action_invocation(action)
        return re.sub(r", --[\w.]+\+.*", "", text).replace(",null}", "}")

    def _get_type_str(self, action: Action) -> None:
        return None

    def _expand_help(self, action: Action) -> str:
        text = super()._expand_help(action)
        match = re.search(r" \(default: (.*)\)$", text, flags=re.DOTALL)
        if match is None:
            return text
        said, default = text[: match.start()], match[1]
        is_told = default in ("null", "False", "[]") or "by default" in said
        return said if is_told else text


def _is_part(action: Action) -> bool:
    """Whether an action stands for a part of the spec, whose fields have actions of their own."""
    return type(action).__name__ == "_ActionConfigLoad"


def command(description: str, usage: str | None = None) -> Parser:
    return Parser(
        description=description,
        usage=usage,
        formatter_class=_Help,
        allow_abbrev=False,
        default_env=False,
    )
