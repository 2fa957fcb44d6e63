"""One stage of an ISP."""

from collections.abc import Iterable, Iterator, Mapping
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn

from rawdrift.camera.camera import Camera, check_camera
from rawdrift.cfa import Pattern
from rawdrift.checks import InputError
from rawdrift.isp.number import Knob, Number, Option

_SHOWN = 9  # numbers of a tensor that are printed

Kind = Literal["mosaic", "view"]


class Window(NamedTuple):
    """A part of a frame: its first row and column, and the height and width of the whole frame."""

    top: int
    left: int
    height: int
    width: int


class Step(nn.Module):
    """Base of every step: a small module from an image to an image, of any leading dimensions.

    A step declares its numbers and options, and what it takes and gives: a "mosaic" (..., H, W) or
    a "view" (..., 3, H, W). It is constructed from its required options, its numbers and its other
    options, by position in this order or by name.

    Numbers are kept in float64 and used in the image's precision, so that one step serves float32
    and float64 to the last digit. A number that is passed as an `nn.Parameter` stays that Parameter
    and is learned; any other becomes a buffer. Raises InputError for a number of another shape, not
    finite or outside its bounds.

    stage: the stage of the canonical pipeline that a step of rawdrift implements, by which faster
        engines know it; None for all others.
    """

    takes: ClassVar[Kind] = "view"
    gives: ClassVar[Kind] = "view"
    stage: ClassVar[str | None] = None
    numbers: ClassVar[Mapping[str, Number]] = {}
    options: ClassVar[Mapping[str, Option]] = {}

    _signature: ClassVar[Signature]

    if TYPE_CHECKING:  # numbers and options are set by name

        def __getattr__(self, name: str) -> Any: ...

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        names = [*cls.numbers, *cls.options]
        names += [knob for number in cls.numbers.values() for knob in number.knobs]
        for name in names:
            if names.count(name) > 1 or hasattr(Step, name) or name in ("name", "kind"):
                raise TypeError(
                    f"{cls.__name__}: {name!r} can't name a number, option or knob; it is taken"
                )
        cls._signature = _signature(cls)
        if cls.__init__ is Step.__init__:
            cls.__signature__ = cls._signature  # type: ignore[attr-defined]

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__()
        given = self._signature.bind(*args, **kwargs)
        given.apply_defaults()
        arguments = given.arguments
        for name, option in self.options.items():
            arguments[name] = option.checked(name, arguments[name])
            setattr(self, name, arguments[name])
        for name in self.numbers:
            value = arguments[name]
            self._keep(name, value(arguments) if callable(value) else value)
        self.setup()

    def setup(self) -> None:
        """Check and prepare what depends on several numbers or options, once all are in place."""

    @property
    def reach(self) -> int | None:
        """How many pixels to each side the result depends on at a pixel; None for a step that
        changes the size, measures the whole frame, or does not say."""
        return None

    def length_after(self, length: int) -> int:
        """Return the height or width of the result of a frame of this height or width."""
        return length

    def needs(self, start: int, stop: int, length: int) -> tuple[int, int] | None:
        """Return which rows of a frame, from and to, are needed for these rows of the result, and
        likewise for columns; None if all are. length: the frame's height or width."""
        reach = self.reach
        return None if reach is None else (max(start - reach, 0), min(stop + reach, length))

    def within(self, window: Window) -> "Step":
        """Return the step that does to a part of a frame, which begins with a whole cell of the
        pattern, what this one does to the frame. Only for steps with a `reach`."""
        return self

    def part(self, x: Tensor, window: Window, rows: slice, columns: slice) -> Tensor:
        """Return these rows and columns of the result, from the part of a frame that they need.
        Only for steps that change the size."""
        raise NotImplementedError

    def measure(self, parts: Iterable[Tensor]) -> Tensor | None:
        """Return all that the step has to know of the whole frame, of which these are the parts, in
        numbers above 0; None, without looking at any, for a step that measures nothing."""
        return None

    def settled(self, measured: Tensor) -> "Step":
        """Return the step with a `reach` that does what this one does to the measured frame."""
        return self

    @classmethod
    def of(cls, camera: Camera, *, parametrized: bool = False, **given: Any) -> Self:
        """Return the step with a camera's numbers and options, except for those given.

        parametrized: every number is an `nn.Parameter`. Raises InputError for a number that neither
        the camera nor a default gives.
        """
        check_camera(camera)
        declared: dict[str, Number | Option] = {**cls.options, **cls.numbers}
        fields = {name: d.camera for name, d in declared.items() if d.camera and name not in given}
        values = {name: getattr(camera, field) for name, field in fields.items()}
        values = {name: value for name, value in values.items() if value is not None} | given
        for name, number in cls.numbers.items():
            value = values.setdefault(name, number.default)
            if callable(value):
                value = values[name] = value(values)
            if value is None:
                raise InputError(
                    f"{cls.__name__}.{name} must be given; camera {camera.name!r} does not have it"
                )
            if parametrized:
                tensor = torch.as_tensor(value, dtype=torch.float64).clone()
                values[name] = nn.Parameter(tensor)
        return cls(**values)

    def cfa_after(self, cfa: Pattern | None) -> Pattern | None:
        """Return the color filter array of what the step gives, for one that takes this."""
        return cfa

    def element(self, number: str, index: tuple[int, ...]) -> str:
        """Return what readers call an element of a number."""
        return self.numbers[number].element(index, getattr(self, number).shape)

    def tensors(self) -> dict[str, Tensor]:
        """The numbers by name, in their order; Parameters or buffers."""
        return {name: getattr(self, name) for name in self.numbers}

    @classmethod
    def knobs(cls) -> dict[str, tuple[str, Knob]]:
        """The knobs of all numbers by name, each with the name of its number, in their order."""
        return {
            name: (number, knob)
            for number, declared in cls.numbers.items()
            for name, knob in declared.knobs.items()
        }

    def extra_repr(self) -> str:
        return "; ".join(self.shown_numbers())

    def shown_numbers(self) -> list[str]:
        """Return the numbers, with their units, and the options, each in a few words."""
        shown = []
        for name, value in self.tensors().items():
            values = value.detach().flatten().tolist()
            few = " ".join(f"{number:.4g}" for number in values)
            size = "x".join(map(str, value.shape))
            unit = f" {self.numbers[name].unit}" if self.numbers[name].unit else ""
            learned = " (learned)" if value.requires_grad else ""
            shown.append(
                f"{name} {few if len(values) <= _SHOWN else f'of {size} numbers'}{unit}{learned}"
            )
        options = ((name, getattr(self, name)) for name in self.options)
        return [*shown, *(f"{name} {value}" for name, value in options if value is not None)]

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def check(self, x: Tensor) -> None:
        """Raise ValueError unless `x` has the shape that the step takes."""
        if x.ndim < 2 or (self.takes == "view" and (x.ndim < 3 or x.shape[-3] != 3)):
            expected = "(..., H, W)" if self.takes == "mosaic" else "(..., 3, H, W)"
            raise ValueError(
                f"{type(self).__name__} takes a {self.takes} {expected}, got {tuple(x.shape)}"
            )

    def _keep(self, name: str, value: Any) -> None:
        """Keep a number: a Parameter as it is, anything else as a float64 buffer."""
        number = self.numbers[name]
        full = f"{type(self).__name__}.{name}"
        tensor = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
        values = tensor.detach()
        if not number.fits(values.shape):
            sizes = str(number.shape).replace("None", "any")
            raise InputError(f"{full} must have shape {sizes}, got {tuple(values.shape)}")
        if not torch.isfinite(values).all():
            raise InputError(f"{full} must be finite, got {values.tolist()}")
        if not all(map(number.allows, values.flatten().tolist())):
            raise InputError(f"{full} must be {number.bound}, got {values.tolist()}")
        limit = getattr(self, number.below) if number.below else None
        if limit is not None and not (values < limit).all():
            raise InputError(
                f"{full} must be below {number.below} {limit:g}, got {values.tolist()}"
            )
        if isinstance(tensor, nn.Parameter):
            self.register_parameter(name, tensor)
        else:
            self.register_buffer(name, values.to(torch.float64).clone())


def _signature(step: type[Step]) -> Signature:
    """The arguments of a step: required options, numbers, other options."""

    def argument(name: str, default: Any) -> Parameter:
        return Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=default)

    needed = [argument(n, Parameter.empty) for n, option in step.options.items() if option.required]
    rest = [argument(n, o.default) for n, o in step.options.items() if not o.required]
    numbers = [
        argument(name, Parameter.empty if number.default is None else number.default)
        for name, number in step.numbers.items()
    ]
    try:
        return Signature([*needed, *numbers, *rest])
    except ValueError:
        raise TypeError(
            f"{step.__name__}: declare the numbers without a default before those with one"
        ) from None


def one_by_one(steps: Iterable[Step], x: Tensor) -> Iterator[Tensor]:
    """Yield the result of each step in turn."""
    for step in steps:
        # A raw pixel has more digits than a half-precision float.
        with torch.autocast(x.device.type, enabled=False):
            x = step(x)
        yield x


class Part(Step):
    """A step on a part of a frame, for one that depends on where in the frame a pixel is.

    whole: the step, whose `at` takes a part and its window. Made by `Step.within`.
    """

    def __init__(self, whole: Step, window: Window):
        super().__init__()
        self.whole, self.window = whole, window
        self.takes, self.gives = whole.takes, whole.gives  # type: ignore[misc]

    def forward(self, x: Tensor) -> Tensor:
        part: Tensor = self.whole.at(x, self.window)
        return part
