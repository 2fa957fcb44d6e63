"""What the specs of all controls share."""

from typing import ClassVar

from rawdrift.checks import InputError, whole
from rawdrift.data.spec import Data
from rawdrift.models.spec import Task

FOLDS = 5  # by default, of the cross-validation


class Spec:
    """A whole experiment: data, task and seed, beside the settings of its control.

    Each control's spec is a frozen dataclass with these fields. takes_pairs, takes_repeats: whether
    it takes pairs of pictures, and several trainings of a fold.
    """

    data: Data
    task: Task
    seed: int
    takes_pairs: ClassVar[bool] = False

    takes_repeats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.data.check_root()
        if self.task.repeats > 1 and not self.takes_repeats:
            raise InputError(
                f"task.repeats is {self.task.repeats}, but this control compares no trainings: it "
                f"tests one network for each fold; leave task.repeats at 1"
            )
        if not self.takes_pairs:
            self.data.check_raw()
        whole("seed", self.seed, 0)
