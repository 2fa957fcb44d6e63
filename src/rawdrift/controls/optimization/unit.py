"""A unit of drift optimization: a setting, an intensity and a fold."""

from typing import NamedTuple


class Unit(NamedTuple):
    """One training, tested after each epoch."""

    setting: str
    intensity: float
    fold: int

    @property
    def name(self) -> str:
        return f"{self.setting}_{self.intensity:g}_fold{self.fold}"

    @property
    def label(self) -> str:
        return f"{self.setting} at {self.intensity:g} fold {self.fold + 1}"
