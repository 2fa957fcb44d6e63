"""A parser that says in one line what is wrong with the arguments, and helps without types."""

import re
from argparse import Action
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from rawdrift.checks import InputError


class Parser(ArgumentParser):
    """Raises an InputError that names the valid choices, instead of printing usage and exiting.

    commands: the parser of each command, by name.
    """

    commands: dict[str, "Parser"]

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.commands = {}

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        message = re.sub(r'Parser key "([\w.]+)":', r"\1:", message)
        message = re.sub(r"typing\.Literal\[(.*?)\]", r"choice of \1", message)
        message = re.sub(r"<class '(\w+)'>", r"\1", message)
        if "class_path" in message:
            message = (
                "class_path is not a field; a configuration gives the fields themselves and their "
                "values, as --print_config writes them"
            )
        elif re.search("unrecognized|not accept|not expected", message):
            command = re.search(r"Subcommand '(\w+)'", message)
            parser = self.commands.get(command[1], self) if command else self
            message += f"; expected one of {', '.join(parser.flags()) or 'its own arguments'}"
        raise InputError(message)

    def flags(self) -> list[str]:
        """Return the names of the flags of this command."""
        names = {name for action in self._actions for name in action.option_strings}
        aside = {"--help", "--version", "--print_config", "--print_shtab"}
        return sorted(n for n in names if n[:2] == "--" and n[-1] != "+" and n not in aside)


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
