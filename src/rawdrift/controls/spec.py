"""What the specs of all controls share."""

from typing import ClassVar

from rawdrift.checks import whole
from rawdrift.data.spec import Data
from rawdrift.models.spec import Task

FOLDS = 5  # by default, of the cross-validation


class Spec:
    """A whole experiment: data, task and seed, beside the settings of its control.

    Each control's spec is a frozen dataclass with these fields.
    """

    data: Data
    task: Task
    seed: int
    takes_pairs: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.data.check_root()
        if not self.takes_pairs:
            self.data.check_raw()
        whole("seed", self.seed, 0)
