"""The spec of a comparison."""

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from rawdrift.checks import InputError, choose_literals, is_number, whole
from rawdrift.configurations import is_file, label
from rawdrift.controls.spec import Spec
from rawdrift.data.spec import PAIRS, Data
from rawdrift.models.spec import Task
from rawdrift.runs.spec import isp_reference


@dataclass(frozen=True)
class Comparison:
    """Two ISPs, and the drop of the metric that the second one must not reach.

    Args:
        before: the ISP whose views the network knows: a name such as "bi,s,ga", in which "-" leaves
            a step out as in "bi,-,-"; an ISP file (.toml), which has its own camera; or a black
            box, such as libraw or command:PROGRAM {raw} {picture}.
        after: the ISP that is to replace it.
        pairs: in place of both, and of data: a folder of pictures of the same scenes by two
            cameras, with a pairs.csv (before, after, label or mask, maybe group).
        margin: the drop that must not be reached. An ISP whose drop is shown to be smaller is
            non-inferior.
        alpha: the largest chance of calling an ISP non-inferior whose drop reaches the margin.
        folds: number of folds of the cross-validation, at least 2, by default 5: networks are
            trained on `before`. Not with task.checkpoint, and not for data with a column split.
        channels: what sharpening and denoising act on: "luma", as the authors' code, or "yuv".
        stop_early: test the images of task.checkpoint in random order, and stop as soon as the
            decision is known; it holds with the same alpha.
    """

    before: str | None = None
    after: str | None = None
    pairs: str | None = None
    margin: float = 0.02
    alpha: float = 0.05
    folds: int | None = None
    channels: Literal["luma", "yuv"] = "luma"
    stop_early: bool = False

    @property
    def references(self) -> tuple[str, str]:
        """The references before and after."""
        assert self.before is not None  # checked
        assert self.after is not None
        return self.before, self.after

    @property
    def labels(self) -> tuple[str, str]:
        """What pages call the ISPs: files by their stems, or by their paths if those agree."""
        if self.before is None:
            return "pictures before", "pictures after"
        before, after = map(label, self.references)
        return self.references if before == after else (before, after)

    @property
    def given(self) -> list[str]:
        """The references that there are: none with pairs."""
        return [one for one in (self.before, self.after) if one is not None]

    @property
    def files(self) -> list[str]:
        """The ISP files."""
        return [*filter(is_file, self.given)]

    def __post_init__(self) -> None:
        for name in ("before", "after"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, isp_reference(f"comparison.{name}", value))
        if self.before is not None and self.before == self.after:
            raise InputError(
                f"comparison.before and comparison.after are both {self.before}; there is nothing "
                f"to decide: name two ISPs"
            )
        for name, most in (("margin", 1.0), ("alpha", 0.5)):
            value = getattr(self, name)
            if not is_number(value) or not 0 < value < most:
                raise InputError(
                    f"comparison.{name} must be above 0 and below {most:g}, got {value!r}"
                )
            object.__setattr__(self, name, float(value))
        if self.folds is not None:
            whole("comparison.folds", self.folds, 2)
        choose_literals("comparison", self)


@dataclass(frozen=True)
class ComparisonSpec(Spec):
    """A whole comparison.

    Args:
        data: the raw images and their labels; not with comparison.pairs, which become data.
        comparison: the two ISPs, and the test.
        task: the task model, and its training on the views of `before`.
        seed: seed of everything that is random.
    """

    takes_pairs: ClassVar[bool] = True
    takes_repeats: ClassVar[bool] = False

    data: Data = field(default_factory=Data)
    comparison: Comparison = field(default_factory=Comparison)
    task: Task = field(default_factory=Task)
    seed: int = 0

    def __post_init__(self) -> None:
        if (pairs := self.comparison.pairs) is not None:
            if self.data != Data():
                raise InputError("comparison.pairs takes the place of data; leave one of them out")
            object.__setattr__(self, "data", Data(PAIRS, pairs))
            object.__setattr__(self, "comparison", replace(self.comparison, pairs=None))
        self._check_sides()
        super().__post_init__()
        if self.task.checkpoint is not None and self.comparison.folds is not None:
            raise InputError(
                "comparison.folds train networks, and task.checkpoint is used without training; "
                "give only one"
            )
        if self.comparison.stop_early and self.task.checkpoint is None:
            raise InputError(
                "comparison.stop_early saves tests of a trained network; give task.checkpoint, or "
                "leave it out: with folds, networks are trained before any image can be tested"
            )

    def _check_sides(self) -> None:
        """Raise InputError unless there are two ISPs, or pairs."""
        for name in ("before", "after"):
            is_given = getattr(self.comparison, name) is not None
            if self.data.name == PAIRS and is_given:
                raise InputError(
                    f"comparison.pairs are pictures already, so comparison.{name} develops "
                    f"nothing; leave it out"
                )
            if self.data.name != PAIRS and not is_given:
                raise InputError(
                    f"comparison.{name} is missing: name an ISP, such as bi,s,ga, or an ISP file; "
                    f"or give pictures in place of both: comparison.pairs"
                )


DEMO = ComparisonSpec(
    data=Data("synthetic-microscopy", images=240, size=48, balanced=True),
    comparison=Comparison("bi,s,ga", "ma,u,me", margin=0.1, folds=2),
    task=Task(epochs=8, lr=1e-3),
)
"""Two versions of a firmware of the synthetic microscope."""
