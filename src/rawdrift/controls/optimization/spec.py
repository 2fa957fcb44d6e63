"""The spec of drift optimization."""

from dataclasses import dataclass, field
from typing import Literal

from rawdrift.checks import (
    InputError,
    choose,
    choose_literals,
    distinct,
    is_number,
    not_negative,
    whole,
)
from rawdrift.configurations import is_external
from rawdrift.controls.spec import Spec
from rawdrift.data.spec import INTENSITIES, Data
from rawdrift.models.spec import Task
from rawdrift.runs.spec import isp_reference

SETTINGS = {
    "frozen": "the ISP at the camera's values",
    "learned": "the ISP learned with the network",
    "direct": "no ISP: raw packed to half the size",
    "neural": "a small U-Net++ as the ISP",
    "static-best": "the best of the twelve by inner validation",
    "frozen-matched": "frozen, normalized as learned is",
}


@dataclass(frozen=True)
class Pull:
    """Weights of the terms of the loss that hold a learned ISP near the camera's values.

    Args:
        camera: weight of the mean square of the changes of its parameters, each relative to the
            largest number of its tensor, or to 0.01 where that is more.
        views: weight of 1 - SSIM between its views and those at the camera's values.
        clipping: weight of the mean square by which values go below 0 or above 1 before gamma clips
            them, and their gradient with them.
    """

    camera: float = 0.0
    views: float = 0.0
    clipping: float = 0.0

    def __post_init__(self) -> None:
        for name in ("camera", "views", "clipping"):
            not_negative(f"optimization.pull.{name}", getattr(self, name))


@dataclass(frozen=True)
class Optimization:
    """Drift optimization: fixed and learned ISPs before a network, in low and full light.

    Args:
        settings: settings to compare: "frozen", the ISP at the camera's values; "learned", the same
            ISP learned with the network; "direct", the raw mosaic packed to half its size;
            "neural", a small U-Net++ as the ISP; "static-best", the best of the twelve static
            pipelines by inner validation, which trains thirteen times; "frozen-matched", frozen
            with the normalization of learned.
        intensities: light intensities to compare, each one of 0.01, 0.05, 0.1, 0.25, 0.5, 0.75 or
            1.
        folds: number of folds of the cross-validation, at least 2, by default 5. Not for data with
            a column split, whose test images are held out instead.
        isp: configuration of the ISP, such as "bi,s,ga", or an ISP file (.toml) of the data's one
            camera, whose numbers then stand for the camera's values. Or a black box (libraw:...,
            command:..., import:...), as which frozen is computed; it can't be learned.
        channels: what sharpening and denoising of a configuration act on: "luma", as the authors'
            code, or "yuv".
        learn: parameters that are learned, such as "gamma.gamma", or whole steps, such as
            "white_balance"; by default all.
        isp_lr: learning rate of the ISP's parameters at the start; by default that of the network,
            as in the authors' code. 0 leaves them where they are.
        isp_steps: "relative", each parameter's rate is isp_lr times the root mean square of its
            tensor, and for the black level times the signal; or "absolute", isp_lr, as in the
            authors' code, by which a black level moves past a faint signal at once.
        isp_schedule: schedule of that rate: "cosine" lets it fall to zero, "constant" keeps it; by
            default that of the network.
        bounds: bounds of the ISP's parameters: "none"; "default", as far as drift forensics lets
            them drift; or by the names of parameters, or of their elements, such as
            "white_balance.gains[0]", a pair of numbers or the half-width relative to the value.
        pull: weights of penalties on leaving the camera's values and on clipping.
        normalization: normalization of the views of learned: "fixed", the statistics of the views
            at the camera's values, as of frozen; or "running", those of the batch, which follow the
            ISP, as in the authors' code.
        direct_channels: channels that direct gives: 3, the greens averaged, or 4.
        save_networks: keep what each unit has trained, the network and what stands before it, in
            networks/ of the run folder (.safetensors).
    """

    settings: list[str] = field(default_factory=lambda: ["frozen", "learned", "direct"])
    intensities: list[float] = field(default_factory=lambda: [0.01, 1.0])
    folds: int | None = None
    isp: str = "bi,s,ga"
    channels: Literal["luma", "yuv"] = "luma"
    learn: list[str] | None = None
    isp_lr: float | None = None
    isp_steps: Literal["relative", "absolute"] = "relative"
    isp_schedule: Literal["cosine", "constant"] | None = None
    bounds: str | dict[str, float | list[float]] = "none"
    pull: Pull = field(default_factory=Pull)
    normalization: Literal["fixed", "running"] = "fixed"
    direct_channels: Literal[3, 4] = 3
    save_networks: bool = False

    def __post_init__(self) -> None:
        for name in ("settings", "intensities"):
            distinct(f"optimization.{name}", getattr(self, name), least=1)
        for setting in self.settings:
            choose("setting in optimization.settings", setting, SETTINGS)
        for intensity in self.intensities:
            if not is_number(intensity) or intensity not in INTENSITIES:
                raise InputError(
                    f"optimization.intensities must be among {', '.join(map(str, INTENSITIES))}, "
                    f"got {intensity!r}"
                )
        object.__setattr__(self, "intensities", [float(i) for i in self.intensities])
        if self.folds is not None:
            whole("optimization.folds", self.folds, 2)
        object.__setattr__(self, "isp", isp_reference("optimization.isp", self.isp))
        needs = [s for s in self.settings if s in ("learned", "frozen-matched")]
        if is_external(self.isp) and needs:
            raise InputError(
                f"optimization.isp {self.isp!r} is a black box, which can't be learned; leave "
                f"{' and '.join(needs)} out of optimization.settings, or choose a configuration"
            )
        choose_literals("optimization", self)
        if self.learn == []:
            raise InputError("optimization.learn is empty; name a parameter, or leave it out")
        if self.isp_lr is not None:
            not_negative("optimization.isp_lr", self.isp_lr)
        if self.isp_schedule is not None:
            choose("optimization.isp_schedule", self.isp_schedule, ("cosine", "constant"))
        if isinstance(self.bounds, str):
            choose("optimization.bounds", self.bounds, ("none", "default"))
        if self.direct_channels not in (3, 4):
            raise InputError(
                f"optimization.direct_channels must be 3 or 4, got {self.direct_channels!r}"
            )

    @property
    def same(self) -> dict[str, str]:
        """Settings that are another one to the last bit, by their names, and that one."""
        both = {"frozen", "frozen-matched"} <= set(self.settings)
        return {"frozen-matched": "frozen"} if both and self.normalization == "fixed" else {}


@dataclass(frozen=True)
class OptimizationSpec(Spec):
    """A whole drift optimization experiment.

    Args:
        data: the raw images and their labels or masks.
        optimization: what is compared.
        task: the task model and its training.
        seed: seed of everything that is random.
    """

    data: Data
    optimization: Optimization = field(default_factory=Optimization)
    task: Task = field(default_factory=Task)
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data.intensity != 1.0:
            raise InputError(
                f"data.intensity is {self.data.intensity}, but drift optimization compares "
                f"intensities: name them in optimization.intensities"
            )
        if self.task.checkpoint is not None:
            raise InputError(
                "task.checkpoint is tested as it is, but drift optimization trains; start from it "
                "as task.weights"
            )


DEMO = OptimizationSpec(
    data=Data("synthetic-microscopy", images=240, size=48),
    optimization=Optimization(settings=["frozen", "learned"], intensities=[0.05], folds=2),
    task=Task(epochs=6, lr=1e-3),
)
