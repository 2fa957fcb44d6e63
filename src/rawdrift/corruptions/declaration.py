"""The declaration of a corruption: a function of views with its severities."""

from collections.abc import Callable, Mapping
from functools import cache, update_wrapper
from inspect import signature
from typing import TYPE_CHECKING, Any

from rawdrift.checks import InputError, choose, is_number
from rawdrift.corruptions.table import CORRUPTIONS, LEVELS, TABLES
from rawdrift.imports import is_import, resolve

if TYPE_CHECKING:
    from torch import Tensor

    from rawdrift.corruptions.streams import Streams

Constants = Mapping[str, tuple[float, ...]]


class Corruption:
    """A function that corrupts views, with its constants at severities 1 to 5.

    function: takes views (N, 3, H, W) in [0, 1], N random streams and its constants by name, and
        returns views of the same shape and type. Values outside of [0, 1] are clipped later. It
        draws only from the streams (`rawdrift.corruptions.streams`), a stream for each image.
    tables: the five values of each constant, by the name of the table (`TABLES`).
    fills: whether it is one of rawdrift's kernels instead, which draw nothing: it takes an image
        (3, H, W), of any values, and fills another one, NumPy arrays of one type, with what is not
        clipped. True if it saw that the image lies in [0, 1]. It may run in several threads.
    """

    def __init__(
        self, function: "Callable[..., Any]", tables: Mapping[str, Constants], fills: bool = False
    ):
        update_wrapper(self, function)
        self.function, self.tables, self.fills = function, tables, fills
        parameters = [*signature(function).parameters][2:]
        for table, constants in tables.items():
            choose("table of severities", table, TABLES)
            if set(constants) != set(parameters):
                raise InputError(
                    f"the corruption {function.__name__} takes the constants {parameters}, but its "
                    f"table {table} gives {list(constants)}"
                )
            for name, values in constants.items():
                if len(values) != len(LEVELS) or not all(map(is_number, values)):
                    raise InputError(
                        f"{name} of the corruption {function.__name__} must be 5 numbers, one for "
                        f"each severity, got {values!r}"
                    )

    def __call__(self, views: "Tensor", streams: "Streams", **constants: float) -> "Tensor":
        """Corrupt views with given constants."""
        if self.fills:
            # Here, since the names of corruptions are read without PyTorch.
            from rawdrift.corruptions.kernels import each

            return each(self.function, views, **constants)
        corrupted: Tensor = self.function(views, streams, **constants)
        return corrupted

    def constants(self, table: str, severity: int) -> dict[str, float]:
        """Return the constants of a severity. InputError if the corruption has no such table."""
        if choose("table of severities", table, TABLES) not in self.tables:
            raise InputError(
                f"the corruption {self.function.__name__} has no severities in the table {table}; "
                f"it has {', '.join(self.tables) or 'none'}"
            )
        if type(severity) is not int or severity not in LEVELS:
            valid = "; ".join(map(str, LEVELS))
            raise InputError(f"unknown severity {severity!r}; choose one of {valid}")
        return {name: values[severity - 1] for name, values in self.tables[table].items()}


def corruption(**tables: Constants) -> "Callable[[Callable[..., Tensor]], Corruption]":
    """Declare a function as a corruption, with the constants of each table.

    @corruption(small={"offset": (0.05, 0.1, 0.15, 0.2, 0.3)}, imagenet={"offset": (...)})
    def brightness(views, streams, offset): ...
    """
    return lambda function: Corruption(function, tables)


def filling(**tables: Constants) -> "Callable[[Callable[..., bool]], Corruption]":
    """The same, of a kernel: see `Corruption`."""
    return lambda function: Corruption(function, tables, fills=True)


def find(name: str) -> Corruption:
    """Return the corruption of that name, or the one that `import:package.module.name` names."""
    if name in CORRUPTIONS:
        return _own(name)
    if not is_import(name):
        choose("corruption", name, [*CORRUPTIONS, "import:package.module.name"])
    corruption = resolve(name, "corruption")
    if not isinstance(corruption, Corruption):
        raise InputError(
            f"{name} is not a corruption; expected a function with the decorator "
            f"rawdrift.corruptions.corruption, which states its severities"
        )
    return corruption


@cache
def _own(name: str) -> Corruption:
    corruption: Corruption = resolve(CORRUPTIONS[name], "corruption")
    return corruption
