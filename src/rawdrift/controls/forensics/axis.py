"""An axis of a parameter space, as spaces, results and pages use it. No torch."""

from dataclasses import dataclass

from rawdrift.checks import InputError, is_number


@dataclass(frozen=True)
class Axis:
    """One number that drifts: from `low` to `high`, and `default` as the ISP has it.

    name: "gamma.gamma"; "white_balance.gains[0]" of a tensor's elements; "color_correction.hue" of
    what turns a tensor as a whole. label: the name for readers, "white balance gain R".
    """

    name: str
    default: float
    low: float
    high: float
    unit: str = ""
    label: str = ""

    def __post_init__(self) -> None:
        for value in (self.default, self.low, self.high):
            if not is_number(value):
                raise InputError(f"{self.name} must have finite numbers, got {value!r}")
        if not self.low < self.high:
            raise InputError(
                f"the interval of {self.name} is empty: {self.low:g} to {self.high:g}; give two "
                f"numbers that differ, the lower one first"
            )
        if not self.low <= self.default <= self.high:
            raise InputError(
                f"the interval of {self.name}, {self.low:g} to {self.high:g}, leaves out its value "
                f"in this ISP, {self.default:g}; give one around it"
            )
