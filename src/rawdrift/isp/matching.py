"""Which ISP made these pictures? Pipelines ranked by how well they reproduce pictures of raw files.

Each pipeline develops the raw files, its views are rounded as the pictures are and, if a picture is
a JPEG, compressed with its quantization tables; then they are compared with the picture.
"""

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rawdrift import configurations, inputs, plots, progress, text
from rawdrift.camera import pixels
from rawdrift.camera.camera import Camera, Trust, check_camera
from rawdrift.camera.read import read_raw
from rawdrift.cfa import layout
from rawdrift.checks import InputError, whole
from rawdrift.isp import file
from rawdrift.isp.color_difference import ciede2000, lab
from rawdrift.isp.external import External
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.presets import views
from rawdrift.isp.yuv import Channels
from rawdrift.text import counted

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

ROUNDING = 20 * np.log10(255)
"""PSNR in dB at a root mean square difference of one level of 8 bits: as close as two programs
that round the same view."""
_BLOCK = 16  # pixels of a JPEG with subsampled color
_SIDE, _MARGIN = 1024, 16  # of the middle that is compared; of its border that is not
_TILES = 4  # in a row and in a column of a picture
_COLORS = 1 << 14  # pixels of a picture whose color difference is computed
_FEW = 3  # pictures, from which on they are the units of intervals
_EXPECTED = "expected an RGB picture of 8 or 16 bits as PNG, TIFF or JPEG"
_SUFFIXES = {".png", ".tif", ".tiff", ".jpg", ".jpeg"}

Array = NDArray[Any]


class Jpeg(NamedTuple):
    """How a JPEG was compressed: its quantization tables, and its chroma subsampling (Pillow's)."""

    tables: Mapping[int, Sequence[int]]
    sampling: int


class Picture(NamedTuple):
    """A picture (H, W, 3), uint8 or uint16, and how it was compressed if it is a JPEG."""

    values: Array
    jpeg: Jpeg | None = None


@dataclass(frozen=True)
class Match:
    """How well an ISP reproduces the pictures: means over pictures, with 95 % intervals.

    psnr: in dB, in which rounding counts, so that equal pictures of 8 bits have 58.9 dB. delta_e:
    CIEDE2000. equal: share of values that are exactly the same. gain: by which its views were
    multiplied. Intervals are None for a single picture.
    """

    isp: str
    psnr: float
    psnr_low: float | None
    psnr_high: float | None
    delta_e: float
    delta_e_low: float | None
    delta_e_high: float | None
    equal: float
    gain: float = 1.0


@dataclass(frozen=True)
class Matches:
    """ISPs by how well they reproduce the pictures, the best first.

    pictures: how many. explained: PSNR in dB, down to which rounding and JPEG explain a difference.
    fits: whether the best reaches it. level: the ISPs that can't be told from the best, by the 95 %
    interval of the difference in PSNR over pictures (of fewer than 3: over their tiles, and then
    for these pictures alone). jpeg: whether there are JPEGs. brighter: where none fits, the gain of
    the best and the PSNR that it would have with it, if that is better.
    """

    ranking: tuple[Match, ...]
    pictures: int
    explained: float
    level: tuple[str, ...]
    jpeg: bool = False
    brighter: tuple[float, float] | None = None

    @property
    def best(self) -> Match:
        """The first of the ranking."""
        return self.ranking[0]

    @property
    def fits(self) -> bool:
        """Whether the best one explains the pictures."""
        return self.best.psnr >= self.explained

    @property
    def apart(self) -> bool:
        """Whether the best is told from all others."""
        return not self.level

    def answer(self) -> list[str]:
        """Return the answer in sentences."""
        best, causes = self.best, "rounding and JPEG explain" if self.jpeg else "rounding explains"
        of = counted(self.pictures, "picture")
        if not self.fits:
            lines = [
                f"none of the {len(self.ranking)} ISPs made the {of}: {best.isp} comes nearest "
                f"with {best.psnr:.1f} dB, and {causes} no less than {self.explained:.1f} dB; "
                f"check the camera's numbers, and whether the pictures were scaled, toned or "
                f"compressed before"
            ]
            if self.brighter:
                gain, psnr = self.brighter
                lines.append(
                    f"with all views of {best.isp} multiplied by {gain:.3g} it would be "
                    f"{psnr:.1f} dB: try it with a free gain"
                )
            return lines
        lines = [
            f"{best.isp} reproduces the {of} best: {best.psnr:.1f} dB, as close as {causes} "
            f"(from {self.explained:.1f} dB), with {100 * best.equal:.1f} % of values equal"
        ]
        if self.level:
            lines.append(
                f"it can't be told from {', '.join(self.level)} by these pictures; give more, or "
                f"some with finer detail"
            )
        elif len(self.ranking) > 1:
            second = self.ranking[1]
            lines.append(
                f"the next, {second.isp}, reaches {second.psnr:.1f} dB: they are told apart"
            )
        return lines

    def rows(self) -> list[dict[str, Any]]:
        """Return one dictionary an ISP, the best first."""
        return [{"rank": rank, **asdict(match)} for rank, match in enumerate(self.ranking, 1)]

    def to_frame(self) -> "pandas.DataFrame":
        """Return `rows` as a pandas DataFrame. Raises InputError if pandas is not installed."""
        return text.frame(self.rows())

    def plot(self) -> "Figure":
        """Draw the PSNR of each ISP with its 95 % interval (Matplotlib)."""
        ends = [(match.psnr_low, match.psnr_high) for match in self.ranking]
        names, values = zip(*((match.isp, match.psnr) for match in self.ranking), strict=True)
        return plots.intervals("PSNR [dB]", names, values, ends)

    def _table(self) -> tuple[list[str], list[list[str]]]:
        def span(low: float | None, high: float | None, digits: int) -> str:
            if low is None or high is None:
                return ""
            return f"{max(0, low):.{digits}f} to {high:.{digits}f}"

        head = ["ISP", "PSNR [dB]", "95 % interval", "CIEDE2000", "95 % interval", "equal values"]
        head += ["gain"] * any(match.gain != 1 for match in self.ranking)
        rows = [
            [
                match.isp,
                f"{match.psnr:.1f}",
                span(match.psnr_low, match.psnr_high, 1),
                f"{match.delta_e:.2f}",
                span(match.delta_e_low, match.delta_e_high, 2),
                f"{100 * match.equal:.1f} %",
                f"{match.gain:.3f}",
            ][: len(head)]
            for match in self.ranking
        ]
        return head, rows

    def __str__(self) -> str:
        return "\n".join([*text.table(*self._table()), "", *self.answer()])

    def _repr_html_(self) -> str:
        return text.html("", *self._table(), self.answer())


def match(
    mosaics: Tensor | Sequence[Tensor],
    pictures: Tensor | Sequence[Tensor],
    camera: Camera,
    isps: Mapping[str, Pipeline] | Sequence[str | Path] = (),
    *,
    channels: Channels = "luma",
    gain: bool = False,
) -> Matches:
    """Rank the known ISPs by how well they reproduce pictures of these raw mosaics.

    These are the twelve, those without some of their steps, and `isps`.

    mosaics: (N, H, W), or (H, W) each. pictures: of the same scenes and sizes, (N, 3, H, W) or
        (3, H, W) each: uint8, uint16, or floating point in [0, 1], which is rounded to 8 bits.
    camera: of the mosaics. isps: ISP files, or pipelines by name, to rank too.
    channels: what sharpening and denoising act on.
    gain: multiply the views of each ISP by the factor that fits best, one for all pictures.

    Of large pictures, the middle 1024x1024 pixels are compared. Raises InputError for pictures that
    do not fit the mosaics.
    """
    check_camera(camera)
    mosaics, pictures = list(mosaics), list(pictures)
    if len(mosaics) != len(pictures) or not mosaics:
        raise InputError(
            f"there are {len(mosaics)} mosaics and {len(pictures)} pictures; expected one picture "
            f"for each mosaic, and at least one"
        )
    shots = [
        (mosaic, camera, Picture(_values(picture, f"picture {index}")), f"picture {index}")
        for index, (mosaic, picture) in enumerate(zip(mosaics, pictures, strict=True))
    ]
    return _rank(shots, _own(isps, shots[0][1]), channels, gain)


def match_files(
    raws: str | Path,
    pictures: str | Path,
    camera: Camera | None = None,
    isps: Mapping[str, Pipeline] | Sequence[str | Path] = (),
    *,
    channels: Channels = "luma",
    gain: bool = False,
    images: int = 16,
    trust: Trust | None = None,
) -> Matches:
    """Rank the known ISPs by how well they reproduce pictures in files; see `match`.

    raws, pictures: a file each, or folders, in which a picture has the name of its raw file, or
    this name, "_" and anything. camera: by default camera.toml in the folder, or that of each file.
    images: the largest number of pairs that are compared, spread over all by name.
    trust: see `read_raw`.
    """
    raws, pictures = Path(raws), Path(pictures)
    own = raws / "camera.toml"
    if camera is None and own.is_file():
        camera = Camera.load(own)
    whole("images", images, 1)
    found = pairs(raws, pictures)
    places = np.linspace(0, len(found) - 1, min(images, len(found))).round().astype(int)
    shots = []
    chosen = [found[place] for place in places.tolist()]
    for path, picture_path in progress.over(chosen, "reading", "pair"):
        raw = read_raw(path, camera, trust)
        if raw.camera is None:
            raise InputError(
                f"{path} carries no camera metadata; give a camera, or put a camera.toml into the "
                f"folder of raw files"
            )
        shots.append((raw.mosaic, raw.camera, read_picture(picture_path), str(picture_path)))
    return _rank(shots, _own(isps, shots[0][1]), channels, gain)


def pairs(raws: Path, pictures: Path) -> list[tuple[Path, Path]]:
    """Return each raw file with its picture, in the order of names; see `match_files`."""
    for path in (raws, pictures):
        if not path.exists():
            raise InputError(f"{path} does not exist; give a file, or a folder of files")
    if raws.is_file() and pictures.is_file():
        return [(raws, pictures)]
    by_stem = _by_stem(_files(pictures, _SUFFIXES))
    sources = [path for path in _files(raws) if pictures not in path.parents]
    found: dict[str, tuple[Path, Path]] = {}
    for raw in sources:
        stems = [raw.stem] if raw.stem in by_stem else []
        stems = stems or [stem for stem in by_stem if stem.startswith(f"{raw.stem}_")]
        for stem in stems:
            others = [*by_stem[stem], *(by_stem[s][0] for s in stems if s != stem)]
            if len(others) > 1:
                raise InputError(
                    f"{others[0]} and {others[1]} are both pictures of {raw}; give a folder with "
                    f"one picture of each raw file"
                )
            if stem in found:
                raise InputError(
                    f"{found[stem][0]} and {raw} both belong to {by_stem[stem][0]}; give a folder "
                    f"with the raw files alone"
                )
            found[stem] = raw, by_stem[stem][0]
    if not found:
        raise InputError(
            f"no file of {raws} has the name of a picture in {pictures}; expected pairs such as "
            f"001.dng and 001.jpg"
        )
    return [found[stem] for stem in sorted(found)]


def read_picture(path: Path) -> Picture:
    """Return a picture from a file; its pixels lie as they are stored. Raises InputError."""
    kind = pixels.kind(path, "picture", _EXPECTED)
    try:
        if kind == "PNG":
            return Picture(_rgb(pixels.png(path, indices=True), path))
        if kind == "TIFF":
            return Picture(_rgb(pixels.tiff_image(path, _EXPECTED), path))
        if kind == "JPEG":
            return _jpeg(path)
    except (InputError, PermissionError):
        raise
    except Exception as error:  # decoders raise whatever they like on broken files
        raise InputError(
            f"picture {path} can't be decoded ({pixels.reason(error)}); {_EXPECTED}"
        ) from error
    raise InputError(f"picture {path} can't be decoded; {_EXPECTED}")


def _jpeg(path: Path) -> Picture:
    from PIL import Image, JpegImagePlugin

    with Image.open(path, formats=["JPEG"]) as image:
        tables = {index: list(table) for index, table in image.quantization.items()}  # type: ignore[attr-defined]
        sampling = JpegImagePlugin.get_sampling(image)
        values = _rgb(np.asarray(image), path)
    return Picture(values, Jpeg(tables, sampling))


def _rgb(values: Array, path: Path) -> Array:
    """Return the colors of a picture without a channel that is opaque everywhere."""
    if values.ndim == 3 and values.shape[2] == 4 and (values[..., 3] == values[0, 0, 3]).all():
        values = values[..., :3]
    if values.ndim != 3 or values.shape[2] != 3 or values.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"picture {path} holds {values.dtype} values of shape {values.shape}; {_EXPECTED}"
        )
    return values


def _values(picture: Tensor, what: str) -> Array:
    """Return a picture in memory as (H, W, 3) whole numbers."""
    if not isinstance(picture, Tensor):
        raise InputError(f"{what} must be a torch.Tensor (3, H, W), got {type(picture).__name__}")
    if picture.ndim != 3 or picture.shape[0] != 3:
        last = picture.ndim == 3 and picture.shape[2] == 3
        hint = "; its colors come last: give picture.permute(2, 0, 1)" if last else ""
        raise InputError(f"{what} must have shape (3, H, W), got {tuple(picture.shape)}{hint}")
    if picture.is_floating_point():
        if not bool(((picture >= 0) & (picture <= 1)).all()):
            raise InputError(
                f"{what} must be in [0, 1], got values from {float(picture.min()):.4g} to "
                f"{float(picture.max()):.4g}; give uint8 as it is, or divide by 255"
            )
        picture = (picture * 255).round().to(torch.uint8)
    if picture.dtype not in (torch.uint8, torch.uint16):
        raise InputError(f"{what} must be uint8, uint16 or floating point, got {picture.dtype}")
    array: Array = picture.detach().cpu().numpy().transpose(1, 2, 0)
    return array


def _files(root: Path, suffixes: Iterable[str] = ()) -> list[Path]:
    if root.is_file():
        return [root]
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return [path for path in files if not suffixes or path.suffix.lower() in suffixes]


def _by_stem(paths: Iterable[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in paths:
        found.setdefault(path.stem, []).append(path)
    return found


def _own(
    isps: Mapping[str, Pipeline] | Sequence[str | Path], camera: Camera
) -> dict[str, Pipeline]:
    """Return the user's own ISPs by name. camera: for which black boxes are opened."""
    if isinstance(isps, Mapping):
        own = dict(isps)
    else:
        paths = [str(isp) for isp in isps]
        known = [path for path in paths if path in configurations.NAMES]
        own = {configurations.label(p): file.open(p, camera) for p in paths if p not in known}
        if len(own) + len(known) < len(paths):
            raise InputError(f"two ISPs have the same name: {', '.join(paths)}; rename one")
    for name in own:
        if name in configurations.NAMES:
            raise InputError(f"{name!r} names one of the known ISPs; rename yours")
    return own


Shot = tuple[Tensor, Camera, Picture, str]


class _Compared(NamedTuple):
    """An ISP's view beside a picture: mean squared errors in units of full scale, of all values
    and of tiles; share of equal values; color difference; products for the gain."""

    mse: float
    tiles: Array
    equal: float
    delta_e: float
    products: tuple[float, float]
    explained: float


def _rank(
    shots: Sequence[Shot], own: Mapping[str, Pipeline], channels: Channels, gain: bool
) -> Matches:
    compared = _compare(shots, own, channels, {})
    gains = {name: _gain(of) for name, of in compared.items()}
    used: Mapping[str, float] = {}
    if gain:
        used, compared = gains, _compare(shots, own, channels, gains)
    psnr = {name: _psnr([one.mse for one in of], shots) for name, of in compared.items()}
    order = sorted(psnr, key=lambda name: -float(psnr[name].mean()))
    best = order[0]
    explained = float(np.mean([min(ROUNDING, one.explained) for one in compared[best]]))
    brighter = None
    if not gain and psnr[best].mean() < explained:
        better = _compare(shots, own, channels, gains, only=best)[best]
        level = float(_psnr([one.mse for one in better], shots).mean())
        brighter = (gains[best], level) if level > psnr[best].mean() + 1 else None
    return Matches(
        ranking=tuple(_match(name, psnr[name], compared[name], used) for name in order),
        pictures=len(shots),
        explained=explained,
        level=tuple(
            name
            for name in order[1:]
            if not _is_apart(psnr[best] - psnr[name], compared[best], compared[name], shots)
        ),
        jpeg=any(picture.jpeg for _, _, picture, _ in shots),
        brighter=brighter,
    )


def _match(
    name: str, psnr: Array, compared: Sequence[_Compared], gains: Mapping[str, float]
) -> Match:
    delta_e = np.array([one.delta_e for one in compared])
    equal = float(np.mean([one.equal for one in compared]))
    return Match(name, *_interval(psnr), *_interval(delta_e), equal, gains.get(name, 1.0))


def _compare(
    shots: Sequence[Shot],
    own: Mapping[str, Pipeline],
    channels: Channels,
    gains: Mapping[str, float],
    only: str | None = None,
) -> dict[str, list[_Compared]]:
    """Compare the views by each ISP with each picture."""
    found: dict[str, list[_Compared]] = {}
    isps = len(configurations.NAMES) + len(own) if only is None else 1
    with progress.step("comparing", len(shots) * isps, "view") as step:
        for shot in shots:
            picture, margin, developed = _developed(shot, own, channels, only)
            colors = _lab(_inner(picture.values, margin))
            for name, view in developed:
                view = (view * gains.get(name, 1.0)).clamp(0, 1)
                one = _compare_one(view.permute(1, 2, 0).double().numpy(), picture, margin, colors)
                found.setdefault(name, []).append(one)
                step.advance()
    return found


def _developed(
    shot: Shot, own: Mapping[str, Pipeline], channels: Channels, only: str | None
) -> tuple[Picture, int, Iterator[tuple[str, Tensor]]]:
    """Return the middle of a picture, the width of its border that is not compared, and the views
    (3, h, w) of it by name."""
    mosaic, camera, picture, what = shot
    inputs.mosaic(mosaic, f"the mosaic of {what}")
    if mosaic.ndim != 2:
        raise InputError(f"the mosaic of {what} must be (H, W), got {tuple(mosaic.shape)}")
    size, shape = tuple(mosaic.shape), picture.values.shape[:2]
    if size != shape:
        turned = " (turned by 90 degrees?)" if size == shape[::-1] else ""
        raise InputError(
            f"{what} has {shape[0]}x{shape[1]} pixels, but its raw file {size[0]}x{size[1]}"
            f"{turned}; expected pictures of the full size, neither cropped, scaled nor turned"
        )
    # The mosaic's part keeps its pattern and the JPEG's blocks.
    height, width = layout(camera.cfa)[:2]
    cells = math.lcm(_BLOCK, height), math.lcm(_BLOCK, width)
    starts = [max(0, (n - _SIDE) // 2 // c * c) for n, c in zip(size, cells, strict=True)]
    part = tuple(slice(start, start + _SIDE) for start in starts)
    mosaic = mosaic[part].detach().cpu()
    picture = picture._replace(values=picture.values[part])
    known = configurations.taking(camera.cfa, configurations.NAMES)
    names = [name for name in known if only in (None, name)]
    isps = {name: isp for name, isp in own.items() if only in (None, name)}

    def develop() -> Iterator[tuple[str, Tensor]]:
        with torch.inference_mode():
            for demosaicing in configurations.DEMOSAICING:
                group = [name for name in names if name.startswith(f"{demosaicing},")]
                yield from views(mosaic, camera, group, channels).items()
            for name, isp in isps.items():
                if isinstance(isp, External):
                    yield name, isp.of(camera).views(mosaic[None], [what])[0]
                else:
                    yield name, isp(mosaic)

    return picture, _MARGIN if max(size) > _SIDE else 0, develop()


def _compare_one(view: Array, picture: Picture, margin: int, colors: Array) -> _Compared:
    """Compare a view (H, W, 3) in [0, 1] without its border. colors: of the picture."""
    values, jpeg = picture
    most = np.iinfo(values.dtype).max
    rounded = np.rint(view * most).astype(values.dtype)
    ours = rounded if jpeg is None else _compressed(rounded, jpeg)
    view, rounded, ours, values = (_inner(part, margin) for part in (view, rounded, ours, values))
    error = (ours.astype(np.float64) - values) / most
    squares = np.square(error).mean(axis=2)
    tiles = [
        float(tile.mean())
        for rows in np.array_split(squares, _TILES, axis=0)
        for tile in np.array_split(rows, _TILES, axis=1)
        if tile.size
    ]
    target = values / most
    inner = (view > 0) & (view < 1) & (values > 0) & (values < most)
    change = (ours.astype(np.float64) - rounded) / most
    lost = float(np.square(change).mean())
    return _Compared(
        mse=float(squares.mean()),
        tiles=np.array(tiles),
        equal=float((ours == values).mean()),
        delta_e=float(ciede2000(_lab(ours), colors).mean()),
        products=(float((view * target)[inner].sum()), float(np.square(view)[inner].sum())),
        explained=-10 * np.log10(lost) if lost else np.inf,
    )


def _inner(values: Array, margin: int) -> Array:
    return values[margin : len(values) - margin, margin : values.shape[1] - margin]


def _lab(values: Array) -> Array:
    """The colors of pixels of a picture (H, W, 3), evenly spread, (n, 3)."""
    flat = values.reshape(-1, 3)
    return lab(flat[:: -(-len(flat) // _COLORS)] / np.iinfo(values.dtype).max)


def _compressed(picture: Array, jpeg: Jpeg) -> Array:
    """A picture after a JPEG of these tables."""
    from PIL import Image

    buffer = io.BytesIO()
    tables = {index: list(table) for index, table in jpeg.tables.items()}
    # Pillow calls an unknown subsampling -1 and takes no such one.
    known = {"subsampling": jpeg.sampling} if jpeg.sampling >= 0 else {}
    Image.fromarray(picture).save(buffer, "JPEG", qtables=tables, **known)
    with Image.open(buffer) as image:
        return np.array(image)


def _gain(compared: Sequence[_Compared]) -> float:
    """The factor on the views that comes nearest to the pictures, by least squares."""
    product, square = np.sum([one.products for one in compared], axis=0)
    return float(product / square) if square > 0 and product > 0 else 1.0


def _psnr(mse: Sequence[float] | Array, shots: Sequence[Shot]) -> Array:
    """PSNR in dB of each picture (or its tiles), in which rounding counts."""
    most = np.array([np.iinfo(picture.values.dtype).max for _, _, picture, _ in shots], dtype=float)
    errors = np.array(mse, dtype=float)
    floor = (1 / most**2 / 12).reshape(-1, *[1] * (errors.ndim - 1))
    decibels: Array = -10 * np.log10(errors + floor)
    return decibels


def _interval(values: Array) -> tuple[float, float | None, float | None]:
    """The mean, and its 95 % interval by Student's t; None for a single value."""
    mean = float(values.mean())
    if len(values) < 2:
        return mean, None, None
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def _is_apart(
    difference: Array, best: Sequence[_Compared], other: Sequence[_Compared], shots: Sequence[Shot]
) -> bool:
    """Whether the 95 % interval of the difference in PSNR is above 0; see `Matches.level`."""
    if len(difference) < _FEW:
        one, two = (_psnr(np.array([c.tiles for c in of]), shots).ravel() for of in (best, other))
        difference = one - two
    low = _interval(difference)[1]
    return low is not None and low > 0
