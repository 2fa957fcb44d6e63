"""What every control's result has, and how results are written and read. No torch."""

import inspect
import json
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from rawdrift import files
from rawdrift.checks import InputError, choose
from rawdrift.runs import codec
from rawdrift.statistics.basics import Interval
from rawdrift.text import Shown, brief, counted, frame

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

SUMMARY = "summary.json"


class Majority(msgspec.Struct, frozen=True):
    """The most frequent class, and its share of the images."""

    label: str
    share: float


class Split(msgspec.Struct, frozen=True):
    """Numbers of training and of test images of a fold."""

    train: int
    test: int


class Finding(msgspec.Struct, frozen=True):
    """A reason not to trust a test: it stands in place of the headline.

    kind: what was checked, see `controls.trust`. headline: a sentence. explanation: the evidence,
    and what to check.
    """

    kind: str
    headline: str
    explanation: str


class ClassScore(msgspec.Struct, frozen=True):
    """The answers to a class. n: its images. answered: images that were given this answer.

    recall, precision: with 95 % intervals; None without images, or without such answers.
    """

    label: str
    n: int
    answered: int
    recall: Interval | None
    precision: Interval | None


class Confusion(msgspec.Struct, frozen=True):
    """The answers of a model to its own views, by class. counts: by right class, then answer."""

    model: str
    counts: list[list[int]]
    classes: list[ClassScore]


class ClassChange(msgspec.Struct, frozen=True):
    """A class of n images: the shares that are recognized on matched and on worst views.

    lost: images that are right on the matched view and wrong on the worst; gained: the reverse.
    """

    label: str
    n: int
    matched: float
    worst: float
    lost: int
    gained: int


class Flipped(msgspec.Struct, frozen=True):
    """An image that is right on the matched view, and answered `answer` on the worst one.

    matched_view, view: paths of pictures; None of images that are not drawn.
    """

    image: str
    label: str
    answer: str
    matched_view: str | None = None
    view: str | None = None


class Flips(msgspec.Struct, frozen=True, kw_only=True):
    """The answers of a model to two views of the same images. matched, worst: names of the views.

    classes: those that have images. flipped: all images that are lost.
    """

    matched: str
    worst: str
    classes: list[ClassChange]
    flipped: list[Flipped]

    @property
    def n(self) -> int:
        """How many images there are."""
        return sum(one.n for one in self.classes)

    @property
    def gained(self) -> int:
        """How many images are wrong on the matched view, and right on the worst."""
        return sum(one.gained for one in self.classes)

    @property
    def drawn(self) -> list[Flipped]:
        """The images that have pictures."""
        return [one for one in self.flipped if one.view]


class Expected(msgspec.Struct, frozen=True):
    """The value of the metric that the user expects, and the measured one with 99 % interval."""

    value: float
    measured: Interval
    agrees: bool


class Alike(msgspec.Struct, frozen=True):
    """Images that are nearly the same and stand on both sides of a split, or in several groups.

    images: how many, of those `compared`. examples: sets of names.
    """

    images: int
    compared: int
    of_groups: bool
    examples: list[list[str]]


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """The images, classes and folds of an experiment in numbers.

    task: "classification" or "segmentation". classes: images by label. outputs: names of the
    network's outputs, in order. left_out: reasons by label. to_check: what to check about how files
    were read, and about names.
    groups: how many are tested, None without groups. majority: of the tested images, in
    classification alone. splits: of folds; a single one is that of the data, or without training.
    frames: how many the images were cut from as tiles; None if they were not.
    """

    name: str
    root: str | None
    fingerprint: str
    images: int
    height: int
    width: int
    task: str
    classes: dict[str, int]
    left_out: dict[str, str]
    groups: int | None
    cameras: list[str]
    majority: Majority | None
    splits: list[Split]
    outputs: list[str] = []
    to_check: list[str] = []
    frames: int | None = None

    @property
    def title(self) -> str:
        """What a page calls the data: a folder by its name."""
        folder = Path(self.root or "").name if self.name == "folder" else ""
        return folder or self.name

    @property
    def tested(self) -> int:
        """How many images are in a test."""
        return sum(split.test for split in self.splits)


class Result(msgspec.Struct, Shown, frozen=True, kw_only=True, tag_field="kind"):
    """What a control found: everything that its page, tables and figures show.

    Subclasses set `tag` to the name of their control.

    version: of rawdrift. spec: every setting, as plain values. metric: of the task, by which
    models are compared. failed: reasons by the label of a unit that failed.
    created, duration_s, device, precision, threads, torch: when and how units were computed.
    findings: why the test can't be trusted, if so. confusions: of each model on its own views;
    empty for masks. flips: what the worst views change; empty for masks. expected: see
    `Task.expected`. alike: near-duplicates, if there are any.
    """

    version: str
    spec: dict[str, Any]
    data: Dataset
    metric: str
    failed: dict[str, str]
    created: str
    duration_s: float
    device: str
    precision: str
    threads: str
    torch: str
    findings: list[Finding] = []
    confusions: list[Confusion] = []
    flips: list[Flips] = []
    expected: Expected | None = None
    alike: Alike | None = None

    @property
    def kind(self) -> str:
        """The name of the control that found it."""
        return str(self.__struct_config__.tag)

    @property
    def exit_code(self) -> int:
        """Of the command: 0, or 1 if some units failed, or if the control answers no."""
        return 1 if self.failed else 0

    def headline(self) -> dict[str, float]:
        """The few numbers by which runs are told apart."""
        raise NotImplementedError

    def rows(self) -> list[dict[str, Any]]:
        """The findings as a table: one dictionary a row, the same keys in each."""
        raise NotImplementedError

    def plot(self) -> "Figure":
        """Draw the main figure of the findings (Matplotlib)."""
        from rawdrift.controls import CONTROLS
        from rawdrift.report import style

        with style.drawing():
            return CONTROLS[self.kind].load_page().plot(self)

    def to_frame(self) -> "pandas.DataFrame":
        """Return `rows` as a pandas DataFrame. Raises InputError if pandas is not installed."""
        return frame(self.rows())

    def shown_title(self) -> str:
        images = counted(self.data.images, "image")
        return f"{self.kind} of {self.data.name}, {images}, by {self.metric}"

    def shown_rows(self) -> list[tuple[str, str]]:
        rows = [("check", finding.headline) for finding in self.findings]
        rows += [(name, brief(value)) for name, value in self.headline().items()]
        rows += [("failed units", str(len(self.failed)))] if self.failed else []
        return [*rows, ("computed", f"{self.created}, rawdrift {self.version}")]

    def save(self, path: str | Path) -> None:
        """Write the result as JSON; `load_result` reads it."""
        files.write(Path(path), codec.encode(self))


R = TypeVar("R", bound=Result)


def load_result(path: str | Path) -> Result:
    """Read the result of a run folder, or of a JSON file that `Result.save` wrote.

    Raises InputError if there is none, or if it is damaged or of another release.
    """
    from rawdrift import __version__
    from rawdrift.controls import CONTROLS

    path = Path(path)
    file = path / SUMMARY if path.is_dir() else path
    try:
        content = files.read_bytes(file)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{path} is not a finished run folder: it has no {SUMMARY}; give the folder of a run "
            f"that has ended, or start the same command again to let it end"
        ) from None
    head: dict[str, Any] = {}
    try:
        head = codec.decode(content, dict[str, Any], str(file))
        control = CONTROLS[choose(f"kind of run in {file}:", head.get("kind"), CONTROLS)]
        result: Result = codec.decode(content, control.load_result(), str(file))
        if result.version.split(".")[:2] != __version__.split(".")[:2]:
            raise InputError("another release")
        return result
    except InputError as error:
        raise InputError(_unreadable(error, str(file), head.get("version"))) from None


def _unreadable(error: InputError, file: str, version: object) -> str:
    """What is wrong with a result that can't be read, by the release that wrote it."""
    from rawdrift import __version__

    if version in (None, __version__):
        return f"{error}; restore it, or start the same command again to write it anew"
    return (
        f"{file} was written by rawdrift {version}, and {__version__} can't read it: its numbers "
        f"may mean something else; start the same command again in a new folder"
    )


def without_paths(result: R, folders: Iterable[Path]) -> R:
    """Return a result to be shared, whose texts went through `files.without_paths`."""
    clean = files.without_paths(folders, others=False)

    def cleaned(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {cleaned(key): cleaned(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [cleaned(part) for part in value]
        return clean(value) if isinstance(value, str) else value

    return msgspec.convert(cleaned(msgspec.to_builtins(result)), type(result))


def schema(control: str) -> dict[str, Any]:
    """Return the JSON Schema of a control's summary.json, which ships as result.schema.json."""
    from rawdrift.controls import CONTROLS

    name = choose("control", control, CONTROLS)
    made: dict[str, Any] = msgspec.json.schema(CONTROLS[name].load_result())
    for definition in made["$defs"].values():
        if "description" in definition:
            definition["description"] = inspect.cleandoc(definition["description"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def schema_file(control: str) -> tuple[Path, str]:
    """Return the path and the text of a control's result.schema.json; `make schemas` writes it."""
    from rawdrift.controls import CONTROLS

    module = CONTROLS[choose("control", control, CONTROLS)].load_result().__module__
    path = Path(inspect.getfile(import_module(module))).with_name("result.schema.json")
    return path, json.dumps(schema(control), indent=1) + "\n"


def to_builtins(value: Any) -> Mapping[str, Any]:
    """Return a struct as plain nested dictionaries and lists."""
    plain: Mapping[str, Any] = msgspec.to_builtins(value)
    return plain
