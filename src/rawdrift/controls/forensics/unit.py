"""A unit of drift forensics, and the groups of parameters that are searched."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from rawdrift.controls.forensics.space import ParameterSpace

ALL, EACH = "all", "each"


class Unit(NamedTuple):
    """One search, or what is done once for the first fold's model."""

    kind: str  # search, sensitivity or envelope
    fold: int
    group: str = ALL
    regularization: float = 0.0

    @property
    def name(self) -> str:
        parts = [self.kind, f"fold{self.fold}"]
        if self.kind == "search":
            parts += [re.sub(r"[^\w.]", "-", self.group), f"{self.regularization:g}"]
        return "_".join(parts)

    @property
    def label(self) -> str:
        of = f" of {self.group}, λ {self.regularization:g}," if self.kind == "search" else ""
        return f"{self.kind}{of} fold {self.fold + 1}"


def groups_of(
    names: Sequence[str], space: ParameterSpace, steps: Sequence[str]
) -> dict[str, ParameterSpace]:
    """What is searched, by name. steps: of the ISP, in order."""
    drifting = {name.partition(".")[0] for name in space.names}
    found = {}
    for name in names:
        if name == ALL:
            found[ALL] = space
        elif name == EACH:
            found |= {step: space.only([step]) for step in steps if step in drifting}
        else:
            found[name] = space.only([name])
    return found
