"""The pictures of a drift optimization run, as its page arranges and holds them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rawdrift.controls.optimization.result import OptimizationResult, Sample, StageView
from rawdrift.report import pictures, style


class ImageViews(NamedTuple):
    """The views of an image, one for each column, as data URIs. label: None for masks."""

    name: str
    label: str | None
    shown: list[str]


class ViewTable(NamedTuple):
    """Images at an intensity, a row each; columns are settings before or after the training."""

    intensity: float
    columns: list[str]
    images: list[ImageViews]


def views(result: OptimizationResult, run: Path) -> list[ViewTable]:
    """Return the views at each intensity.

    Settings with the same views share a column: learned begins as frozen.
    """
    tables = []
    for intensity in result.intensities:
        samples = [sample for sample in result.samples if sample.intensity == intensity]
        if not samples:
            continue
        columns: dict[tuple[str, ...], list[str]] = {}  # names by views of all images
        for name in result.settings:
            if not all(name in sample.views for sample in samples):
                continue
            pairs = [sample.views[name] for sample in samples]
            before = tuple(
                pictures.data_uri(run, pair.before, sample.truth)
                for pair, sample in zip(pairs, samples, strict=True)
            )
            after = tuple(
                pictures.data_uri(run, pair.after, sample.truth, _last(sample, name))
                for pair, sample in zip(pairs, samples, strict=True)
            )
            if before == after:
                columns.setdefault(after, []).append(name)
            else:
                columns.setdefault(before, []).append(f"{name}, before")
                columns.setdefault(after, []).append(f"{name}, after")
        images = [
            ImageViews(sample.image, sample.label, [column[i] for column in columns])
            for i, sample in enumerate(samples)
        ]
        if columns:
            names = [" = ".join(same) for same in columns.values()]
            tables.append(ViewTable(intensity, names, images))
    return tables


def _last(sample: Sample, setting: str) -> str | None:
    return sample.masks[setting].last if setting in sample.masks else None


class StageCell(NamedTuple):
    """A stage and its gradient, as data URIs, with their scales in words."""

    name: str
    view: str
    gradient: str
    white: str
    mean: str


class StageRow(NamedTuple):
    """An image on its way through the ISP of these settings."""

    settings: list[str]
    intensity: float
    image: str
    stages: Sequence[StageCell]


def stages(result: OptimizationResult, run: Path) -> list[StageRow]:
    """Return the stages at each intensity. Settings with the same stages share a row."""
    rows: dict[tuple[float, str, tuple[StageCell, ...]], StageRow] = {}
    for entry in result.stages:
        cells = tuple(_cell(stage, run) for stage in entry.stages)
        key = entry.intensity, entry.image, cells
        row = rows.setdefault(key, StageRow([], entry.intensity, entry.image, cells))
        row.settings.append(entry.setting)
    return list(rows.values())


def _cell(stage: StageView, run: Path) -> StageCell:
    return StageCell(
        stage.name.replace("_", " "),
        pictures.data_uri(run, stage.view),
        pictures.data_uri(run, stage.gradient),
        _short(stage.view_white),
        _short(stage.gradient_mean),
    )


def _short(value: float | None) -> str:
    """Write a number with two significant digits."""
    if value is None:
        return style.number(None, 0)
    return f"{value:.2g}".replace("-", "\N{MINUS SIGN}")
