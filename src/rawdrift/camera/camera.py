"""A camera: the numbers that its raw files and its ISP need."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import tomli_w

from rawdrift import files, plots
from rawdrift.camera.optional import OPTIONAL, Matrix
from rawdrift.cfa import Pattern, layout, pattern
from rawdrift.checks import InputError, choose, is_number, numbers, positive
from rawdrift.text import Shown, brief, frame

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

T = TypeVar("T")
Trust = Literal["camera", "file"]  # which one holds where they contradict each other

ALIKE = 0.02  # of a temperature: illuminants that differ by less can't be interpolated

_MAX_CHARACTERS = 1 << 18
_LONG_KEY = re.compile(r"""(?<![\w"'-])(?:[\w"'-]++\s*+\.\s*+){20}""")
_SHIPPED = resources.files("rawdrift.camera") / "files"


@dataclass(frozen=True)
class Noise:
    """Photon transfer of the sensor at its base gain (EMVA 1288); unknown numbers are None.

    gain: DN of the container per photoelectron. read_noise: electrons rms. dark_current: electrons
    that a pixel collects without light in one frame, mean. row_noise: electrons rms that the pixels
    of a row share. full_well: electrons that a pixel can hold.
    """

    gain: float
    read_noise: float | None = None
    dark_current: float | None = None
    row_noise: float | None = None
    full_well: float | None = None

    def __post_init__(self) -> None:
        positive("noise.gain", self.gain)
        for name in ("read_noise", "dark_current", "row_noise"):
            value = getattr(self, name)
            if value is not None and not (is_number(value) and value >= 0):
                raise InputError(f"noise.{name} must be at least 0 electrons, got {value!r}")
        if self.full_well is not None:
            positive("noise.full_well", self.full_well)


@dataclass(frozen=True)
class Optics:
    """Gaussian point spread function. psf_sigma: its standard deviation in pixels."""

    psf_sigma: float

    def __post_init__(self) -> None:
        positive("optics.psf_sigma", self.psf_sigma)


@dataclass(frozen=True)
class Illuminant:
    """A camera's colors in one light. temperature: correlated color temperature in kelvin.

    white_balance, color_matrix: as those of the camera.
    """

    temperature: float
    white_balance: tuple[float, ...]
    color_matrix: Matrix

    def __post_init__(self) -> None:
        positive("illuminants.temperature", self.temperature)
        object.__setattr__(self, "white_balance", numbers("white_balance", self.white_balance, 3))
        if not all(gain > 0 for gain in self.white_balance):
            raise InputError(
                f"the white_balance of illuminants must be above 0, got {self.white_balance}"
            )
        object.__setattr__(self, "color_matrix", _matrix(self.color_matrix))


@dataclass(frozen=True)
class Camera(Shown):
    """A camera's calibration. Raw values x = DN / (2**bit_depth - 1) are in [0, 1], full scale 1.

    name: of the camera, any text.
    cfa: pattern of the first pixels: a Bayer one, "MONO", "XTRANS", or the rows of a cell that
        repeats, see `rawdrift.cfa`.
    black_level: of R, G in red rows, G in blue rows, B, or of the sites of another pattern; one
        number serves all; in units of full scale.
    white_level: saturation in units of full scale. With it, black level correction rescales to
        (x - black) / (white - black); with None, it only subtracts (eq. 15).
    white_balance: gain of red, green, blue (eq. 18).
    color_matrix: camera RGB to output RGB (eq. 20).
    gamma: the view is the linear image to the power 1 / gamma (eq. 29).
    bit_depth: bits of the file's container, 1 to 16.
    adc_bits: bits of the analog-to-digital converter, if fewer: left-justified in the container.
    provenance: where the numbers come from.
    linearization: points (input, output) of the sensor's coding, in units of full scale.
    defective_pixels: (row, column) of each, from 0.
    shading: maps of gains, (4, M, N) by site as the black level, over the whole frame.
    radial_shading: coefficients of r**2, r**4, ... of the gain toward the corners.
    saturation, hue: of the view; a factor, and an angle in degrees.
    tone_curve: points (input, output), in place of gamma.
    illuminants: the colors in two lights, between which `at` interpolates.
    noise, optics: the sensor's physics, if known.

    Raises InputError if a number is impossible.
    """

    name: str
    cfa: Pattern
    black_level: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    white_level: float | None = None
    white_balance: tuple[float, ...] = (1.0, 1.0, 1.0)
    color_matrix: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    gamma: float = 2.2
    bit_depth: int = 16
    adc_bits: int | None = None
    provenance: str = ""
    linearization: Matrix | None = None
    defective_pixels: tuple[tuple[int, int], ...] | None = None
    shading: tuple[Matrix, ...] | None = None
    radial_shading: tuple[float, ...] | None = None
    saturation: float | None = None
    hue: float | None = None
    tone_curve: Matrix | None = None
    illuminants: tuple[Illuminant, ...] | None = None
    noise: Noise | None = None
    optics: Optics | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise InputError(f"camera name must be a text, got {self.name!r}")
        object.__setattr__(self, "cfa", pattern(self.cfa))
        black = _levels(self.black_level, layout(self.cfa).sites)
        if not all(0 <= level < 1 for level in black):
            raise InputError(
                f"black_level must be in units of full scale, 0 to below 1, got {list(black)}; "
                f"divide levels in DN by 2**bit_depth - 1"
            )
        if self.white_level is not None and not (
            is_number(self.white_level) and max(black) < self.white_level <= 1
        ):
            raise InputError(
                f"white_level must be above the black level and at most 1 (full scale), "
                f"got {self.white_level!r}"
            )
        positive("gamma", self.gamma)
        if type(self.bit_depth) is not int or not 1 <= self.bit_depth <= 16:
            raise InputError(f"bit_depth must be 1 to 16, got {self.bit_depth!r}")
        if self.adc_bits is not None and (
            type(self.adc_bits) is not int or not 1 <= self.adc_bits <= self.bit_depth
        ):
            raise InputError(
                f"adc_bits must be 1 to bit_depth, which is {self.bit_depth}, got {self.adc_bits!r}"
            )
        for name, check in OPTIONAL.items():
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, check(name, value))
        sites = layout(self.cfa).sites
        if self.shading is not None and len(self.shading) != len(sites):
            raise InputError(
                f"shading must be {len(sites)} maps, of {', '.join(sites)}, got {len(self.shading)}"
            )
        # Lists are welcome, but are stored as tuples, which can't be changed.
        object.__setattr__(self, "black_level", black)
        object.__setattr__(self, "white_balance", numbers("white_balance", self.white_balance, 3))
        object.__setattr__(self, "color_matrix", _matrix(self.color_matrix))
        if self.illuminants is not None:
            object.__setattr__(self, "illuminants", _two(self.illuminants))

    def at(self, temperature: float) -> Self:
        """Return the camera in light of a correlated color temperature in kelvin.

        The matrix is interpolated between those of `illuminants` by the inverse of the temperature,
        as a DNG's ForwardMatrix is; so are the logarithms of the gains, which is exact for narrow
        filters in the light of a black body (Wien). Beyond the two, the nearer one holds.
        Raises InputError without illuminants.
        """
        positive("temperature", temperature)
        if self.illuminants is None:
            raise InputError(
                f"camera {self.name!r} states no illuminants, so that its colors at a temperature "
                f"are unknown; fit them to a chart in each of two lights"
            )
        one, other = self.illuminants
        share = (1 / temperature - 1 / one.temperature) / (
            1 / other.temperature - 1 / one.temperature
        )
        share = min(max(share, 0.0), 1.0)
        gains = zip(one.white_balance, other.white_balance, strict=True)
        rows = zip(one.color_matrix, other.color_matrix, strict=True)
        return replace(
            self,
            white_balance=tuple(a ** (1 - share) * b**share for a, b in gains),
            color_matrix=tuple(
                tuple((1 - share) * a + share * b for a, b in zip(*pair, strict=True))
                for pair in rows
            ),
        )

    def shown_title(self) -> str:
        return f"Camera {self.name}"

    def shown_rows(self) -> list[tuple[str, str]]:
        depth = f"{self.bit_depth} bits" + (f", {self.adc_bits} used" if self.adc_bits else "")
        rows = [
            ("cfa", self.cfa),
            ("container", depth),
            ("black level", f"{brief(self.black_level)} of full scale"),
            ("white level", f"{brief(self.white_level)} of full scale" if self.white_level else ""),
            ("white balance", brief(self.white_balance)),
            ("color matrix", "; ".join(map(brief, self.color_matrix))),
            ("gamma", brief(self.gamma)),
        ]
        if self.noise is not None:
            units = {"gain": "DN per electron", "row_noise": "electrons rms"}
            units |= {"read_noise": "electrons rms"}
            for name, value in asdict(self.noise).items():
                unit = units.get(name, "electrons")
                rows.append((name.replace("_", " "), f"{value:.6g} {unit}" if value else ""))
        if self.optics is not None:
            rows.append(("point spread", f"sigma {self.optics.psf_sigma:.6g} px"))
        rows.append(("provenance", self.provenance))
        return [(name, value) for name, value in rows if value]

    def to_frame(self) -> "pandas.DataFrame":
        """Return the fields as a pandas DataFrame of one row. InputError without pandas."""
        return frame([asdict(self)])

    def plot(self) -> "Figure":
        """Draw black level, white balance, color matrix and gamma (Matplotlib)."""
        names = ("black_level", "white_balance", "color_matrix", "gamma")
        values = {name.replace("_", " "): getattr(self, name) for name in names}
        return plots.panels(self.shown_title(), values)

    @classmethod
    def load(cls, name: str | Path) -> Self:
        """Return a shipped camera by its name, or the camera of a file by its path (.toml)."""
        if Path(name).suffix == ".toml":
            return cls.from_toml(_read_text(Path(name)), source=str(name))
        try:
            choose("camera", str(name), shipped())
        except InputError as error:
            raise InputError(f"{error}; or give the path of a .toml file") from None
        return cls.from_toml((_SHIPPED / f"{name}.toml").read_text("utf-8"), source=str(name))

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Return the camera of a raw file's own metadata (DNG and others that rawpy decodes)."""
        from rawdrift.camera.decode import decode  # torch-free, but rawpy is not for every user

        camera = cls.described_by(decode(Path(path)).metadata, path)
        if camera is None:
            raise InputError(f"{path} carries no camera metadata; give a camera file (.toml)")
        return camera

    @classmethod
    def described_by(cls, metadata: Mapping[str, Any] | None, path: str | Path) -> Self | None:
        """Return the camera that the metadata of a raw file describe, None if it has none.

        metadata: fields of this class, noise and illuminants as mappings. Raises InputError if they
        are impossible.
        """
        if metadata is None:
            return None
        noise, lights = metadata.get("noise"), metadata.get("illuminants")
        try:
            parts = {
                "noise": None if noise is None else Noise(**noise),
                "illuminants": lights and [Illuminant(**light) for light in lights],
            }
            return cls(**{**metadata, **parts})
        except InputError as error:
            raise InputError(f"{path} has impossible metadata: {error}") from None

    def save(self, path: str | Path) -> None:
        """Write a camera file (.toml), from which `load` returns an equal camera."""
        files.check_suffix("path", Path(path), ".toml", "a camera file")
        files.write(Path(path), self.to_toml())

    def to_toml(self) -> str:
        """Return the text of the camera file."""
        table = {key: value for key, value in asdict(self).items() if value is not None}
        for section in ("noise", "optics"):
            if section in table:
                table[section] = {k: v for k, v in table[section].items() if v is not None}
        return toml(table)

    @classmethod
    def from_toml(cls, text: str, source: str) -> Self:
        """Return the camera of a file's text, without the steps of an ISP that it may hold.

        source: what errors call the file.
        """
        table = read_toml(text, source)
        table.pop("isp", None)
        try:
            for section, kind in (("noise", Noise), ("optics", Optics)):
                if section in table:
                    table[section] = _build(kind, table[section], f"[{section}] field")
            if isinstance(lights := table.get("illuminants"), list):
                table["illuminants"] = [
                    _build(Illuminant, one, "[[illuminants]] field") for one in lights
                ]
            return _build(cls, table, "camera field")
        except InputError as error:
            raise InputError(f"{source}: {error}") from None


def _matrix(rows: object) -> Matrix:
    if not isinstance(rows, (list, tuple)) or len(rows) != 3:
        raise InputError(f"color_matrix must be 3 rows of 3 numbers, got {rows!r}")
    return tuple(numbers("color_matrix row", row, 3) for row in rows)


def _two(illuminants: Sequence[Illuminant]) -> tuple[Illuminant, ...]:
    """Check the two illuminants of a camera."""
    if not isinstance(illuminants, (list, tuple)) or len(illuminants) != 2:
        raise InputError(f"illuminants must be two, got {illuminants!r}")
    one, other = (1 / illuminant.temperature for illuminant in illuminants)
    if abs(one - other) < ALIKE * max(one, other):
        raise InputError(
            f"the two illuminants have the temperatures {1 / one:g} K and {1 / other:g} K, "
            f"expected two lights that differ, such as 2856 K and 6504 K"
        )
    return tuple(illuminants)


def _levels(value: object, sites: Sequence[str]) -> tuple[float, ...]:
    """Return the black levels of all sites. One number, or the same for four, serves all."""
    levels = [value] if is_number(value) else value
    if isinstance(levels, (list, tuple)) and len(levels) in (1, 4) and len({*levels}) == 1:
        levels = [levels[0]] * len(sites)
    if isinstance(levels, (list, tuple)) and len(levels) != len(sites):
        raise InputError(
            f"black_level must be {len(sites)} finite numbers, of {', '.join(sites)}, or one for "
            f"all, got {value!r}"
        )
    return numbers("black_level", levels, len(sites))


def check_camera(camera: object) -> None:
    """Raise InputError unless it is a `Camera`."""
    if isinstance(camera, Camera):
        return
    load = (
        f"rd.Camera.load({str(camera)!r})" if isinstance(camera, str | Path) else "rd.Camera.load"
    )
    raise InputError(
        f"camera must be a rawdrift.Camera, got {camera!r}; load one by its name or file: {load}"
    )


def shipped() -> list[str]:
    """Return the names of the cameras that come with the package."""
    return sorted(
        Path(file.name).stem for file in _SHIPPED.iterdir() if file.name.endswith(".toml")
    )


def toml(table: Mapping[str, Any]) -> str:
    """Return a table as TOML, each row of numbers on its own line."""
    numbers = re.compile(r"\[\n([^\[\]\"]*),\n *\]")  # in strings, a line break is escaped
    return numbers.sub(lambda row: f"[{' '.join(row[1].split())}]", tomli_w.dumps(table))


def read_toml(text: str, source: str) -> dict[str, Any]:
    """Return the table of a camera or ISP file. source: what errors call it."""
    # Keys of very many parts take time with the square of their number.
    if len(text) > _MAX_CHARACTERS or _LONG_KEY.search(text):
        raise InputError(f"{source} is not a camera file: it is too large or too deep")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of a number of thousands of digits
        raise InputError(f"{source} is not a camera file: {error}") from None


def _read_text(path: Path) -> str:
    try:
        return files.read_text(path)
    except FileNotFoundError:
        raise InputError(f"camera file {path} does not exist") from None
    except UnicodeDecodeError:
        raise InputError(f"camera file {path} is not text in UTF-8") from None


def _build(kind: type[T], table: Any, what: str) -> T:
    if not isinstance(table, Mapping):
        raise InputError(f"{what}s must be a table, got {table!r}")
    defaults = {field.name: field.default for field in fields(kind)}  # type: ignore[arg-type]
    for key in table:
        choose(what, key, defaults)
    missing = [name for name in defaults if defaults[name] is MISSING and name not in table]
    if missing:
        several = len(missing) > 1
        raise InputError(
            f"{what}{'s' * several} {' and '.join(missing)} {'are' if several else 'is'} missing"
        )
    try:
        return kind(**table)
    except TypeError as error:
        raise InputError(f"{what}s have a value of another type: {error}") from None
