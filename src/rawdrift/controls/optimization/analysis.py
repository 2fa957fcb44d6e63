"""What drift optimization found: the numbers and pictures that its report shows."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import rawdrift
from rawdrift import isp as isps
from rawdrift.checks import InputError
from rawdrift.controls.experiment import environment
from rawdrift.controls.material import Material, about
from rawdrift.controls.optimization import pictures
from rawdrift.controls.optimization.curves import Curves
from rawdrift.controls.optimization.learned import restore
from rawdrift.controls.optimization.spec import OptimizationSpec
from rawdrift.isp.yuv import Channels
from rawdrift.runs.spec import to_dict
from rawdrift.runs.store import Record
from rawdrift.statistics.basics import spread


def summarize(
    spec: OptimizationSpec,
    materials: Mapping[float, Material],
    records: Iterable[Record],
    failed: Mapping[str, str],
    folder: Path,
) -> dict[str, Any]:
    """Everything that the report shows, from the records of all units; also samples/*.png, and
    isps/*.toml, the learned ISPs as `isp.load` takes them.

    Intervals and p-values are of images, or of their groups; standard deviations of folds. A
    training that diverged or failed counts in no mean: `folds` says how many do.

    failed: reasons by the label of a unit.
    """
    what = spec.optimization
    same = what.same
    how: list[Record] = []
    found: dict[str, list[Any]] = defaultdict(list)
    metric = ""
    for intensity, material in materials.items():
        here = [record for record in records if record["intensity"] == intensity]
        if not here:
            continue
        how += here
        computed = [setting for setting in what.settings if setting not in same]
        curves = Curves(material, computed, here, spec.seed)
        metric = curves.metric
        at = {"intensity": intensity}
        table = list(curves.table())
        copies = [
            {**row, "setting": copy}
            for copy, of in same.items()
            for row in table
            if row["setting"] == of
        ]
        found["table"] += [{**at, **row} for row in (*table, *copies)]
        found["differences"] += [{**at, **row} for row in curves.differences()]
        found["curves"] += [{**at, **curve} for curve in _curves(here)]
        found["isps"] += [{**at, **isp} for isp in _isps(here, material, what.channels, folder)]
        found["violations"] += [{**at, **v} for v in _violations(here)]
        found["choices"] += [
            {**at, "fold": record["fold"], **record["choice"]}
            for record in here
            if record["choice"]
        ]
        found["diverged"] += [
            {**at, "setting": record["setting"], "fold": record["fold"], **record["diverged"]}
            for record in here
            if record["diverged"]
        ]
        views, gradients = pictures.write(here, material, folder, intensity)
        found["samples"] += [{**at, **view} for view in views]
        found["stages"] += [{**at, **stage} for stage in gradients]
    if not how:
        reasons = "; ".join(dict.fromkeys(failed.values()))
        raise InputError(f"nothing could be trained: {reasons}")
    summary = {
        "kind": "optimization",
        "version": rawdrift.__version__,
        "spec": to_dict(spec),
        "data": about(spec.data, next(iter(materials.values()))),
        "metric": metric,
        "settings": what.settings,
        "same": dict(same),
        "intensities": list(materials),
        "folds": what.folds,
        "epochs": spec.task.epochs,
        "failed": dict(failed),
        **{key: found[key] for key in KEYS},
        **environment(how),
    }
    strict: dict[str, Any] = _strict(summary)
    return strict


KEYS = (
    "table", "differences", "curves", "isps", "violations", "choices", "diverged", "samples",
    "stages",
)  # fmt: skip


def headline(summary: Mapping[str, Any]) -> dict[str, float]:
    """The few numbers by which runs are told apart."""
    return {
        f"{row['setting']} {row['intensity']:g} {summary['metric']}": row["mean"]
        for row in summary["table"]
    }


def _curves(records: Sequence[Record]) -> Iterator[dict[str, Any]]:
    """Of each setting, split and metric the mean and the standard deviation over folds, by epoch;
    `folds` holds the values of those that have come so far."""
    found: dict[tuple[str, str, str], dict[int, list[dict[str, Any]]]] = {}
    for record in records:
        for row in record["rows"]:
            metric = row["metric"]
            if metric == "diverged" or metric.startswith("recall:"):
                continue
            key = row["setting"], row["split"], metric
            found.setdefault(key, {}).setdefault(row["epoch"], []).append(row)
    for (setting, split, metric), epochs in found.items():
        yield {
            "setting": setting,
            "split": split,
            "metric": metric,
            "points": [
                {
                    "epoch": epoch,
                    "step": rows[0]["step"],
                    **spread([row["value"] for row in rows])._asdict(),
                    "folds": {str(row["fold"]): row["value"] for row in rows},
                }
                for epoch, rows in sorted(epochs.items())
            ],
        }


def _isps(
    records: Sequence[Record], material: Material, channels: Channels, folder: Path
) -> Iterator[dict[str, Any]]:
    """Of each learned ISP its parameters at the start and after each epoch, and the file that it is
    written to, unless it can't be an ISP any more."""
    for record in records:
        cameras = material.data.cameras
        for number, (camera, isp) in enumerate(zip(cameras, record["isps"], strict=False), 1):
            if isp["path"]:
                final = isp["path"][-1]["values"]
                pipeline = isps.parametrized(isp["configuration"], camera, channels)
                restore(pipeline, final)
                which = f"-camera{number}" if len(cameras) > 1 else ""
                name = f"isps/{record['setting']}-{record['intensity']:g}-fold{record['fold'] + 1}"
                try:
                    isps.save(pipeline, folder / f"{name}{which}.toml", camera)
                except InputError:
                    name = ""
                yield {
                    "setting": record["setting"],
                    "fold": record["fold"],
                    "camera": isp["camera"],
                    "file": f"{name}{which}.toml" if name else None,
                    "configuration": isp["configuration"],
                    "initial": isp["initial"],
                    "clipped": isp["clipped"],
                    "final": final,
                    "path": [
                        {key: at[key] for key in ("epoch", "step", "values", "clipped")}
                        for at in isp["path"]
                    ],
                }


def _violations(records: Sequence[Record]) -> Iterator[dict[str, Any]]:
    """Parameters that have left physics: since which epoch, what was wrong then, and whether they
    still are at the end."""
    for record in records:
        for isp in record["isps"]:
            first: dict[str, dict[str, Any]] = {}
            for at in isp["path"]:
                for violation in at["violations"]:
                    first.setdefault(
                        violation["parameter"],
                        {"epoch": at["epoch"], "step": at["step"], "what": violation["what"]},
                    )
            at_end = isp["path"][-1]["violations"] if isp["path"] else []
            last = {violation["parameter"]: violation["what"] for violation in at_end}
            for parameter, found in first.items():
                yield {
                    "setting": record["setting"],
                    "fold": record["fold"],
                    "camera": isp["camera"],
                    "parameter": parameter,
                    **found,
                    "at_end": last.get(parameter),
                }


def _strict(value: Any) -> Any:
    """With None for numbers that JSON has not: an interval of one group has no ends."""
    if isinstance(value, dict):
        return {key: _strict(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_strict(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
