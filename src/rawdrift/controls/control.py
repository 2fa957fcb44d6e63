"""What makes a folder a control."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Page(Protocol):
    """A control's module `page`: what a person reads, from the result alone.

    It may also have `compare(runs, out)`, which sets several runs side by side and returns the
    path of that page.
    """

    def write(self, run: Path, result: Any) -> str:
        """Draw figures/ and tables/ into the run folder; return the page as HTML."""

    def plot(self, result: Any) -> "Figure":
        """The main figure of the findings."""

    def lines(self, result: Any, run: Path) -> Iterable[str]:
        """The findings in a few lines, for a terminal."""


@dataclass(frozen=True)
class Control:
    """A control of drift: a folder of rawdrift.controls, or a package of the user's own.

    name: of the field of its spec that holds its own settings, of its results, and, unless
    `command` says another, of its command.
    spec: a frozen dataclass, the experiment whole. demo: one for `rawdrift demo`.
    experiment, result: "module:Class", subclasses of `Experiment` and `Result`. page: a module,
    see `Page`. They are imported when they are first used.
    description, help: of its command. presets: a folder of YAML files that `--config` takes by
    name. export: "module:function", of `rawdrift export`.
    """

    name: str
    spec: type
    experiment: str
    result: str
    page: str
    description: str
    help: str
    demo: Any = None
    presets: Path | None = None
    export: str | None = None
    command: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "command", self.command or self.name)

    def load_experiment(self) -> Any:
        """Import the subclass of `Experiment`."""
        return load(self.experiment)

    def load_result(self) -> Any:
        """Import the subclass of `Result`."""
        return load(self.result)

    def load_page(self) -> Page:
        page: Any = import_module(self.page)
        return page  # type: ignore[no-any-return]

    def load_compare(self) -> Callable[[Sequence[str | Path], str | Path | None], Path] | None:
        return getattr(self.load_page(), "compare", None)


def load(reference: str) -> Any:
    """Import what "module:name" says."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)
