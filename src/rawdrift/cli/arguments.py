"""A parser that says in one line what is wrong with the arguments."""

import re
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

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


def command(description: str) -> Parser:
    return Parser(description=description, allow_abbrev=False, default_env=False)
