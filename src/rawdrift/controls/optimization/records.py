"""What is kept of a unit: its measurements, and the ISP on its way."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rawdrift.controls.optimization.physics import violations
from rawdrift.controls.optimization.unit import Unit

History = Sequence[Mapping[str, Any]]  # see `tasks.course.Course`


def rows(
    unit: Unit, settings: Sequence[str], history: History, diverged: Mapping[str, Any] | None
) -> Iterator[dict[str, Any]]:
    """The measurements after each epoch, once for each of the settings that the unit stands for;
    recalls after the last one alone. Of a training that has diverged also the row `diverged`."""
    for setting in settings:
        where = {**unit._asdict(), "setting": setting}
        for entry in history:
            at = {**where, "epoch": entry["epoch"], "step": entry["step"]}
            mean = sum(entry["losses"]) / len(entry["losses"])
            train = {"loss": mean, **entry["train"]}
            for split, found in (("train", train), ("test", entry["test"])):
                for metric, value in found.items():
                    if metric.startswith("recall:") and entry is not history[-1]:
                        continue
                    yield {**at, "split": split, "metric": metric, "value": value}
        if diverged is not None:
            at = {**where, "epoch": diverged["epoch"], "step": diverged["after_step"]}
            yield {**at, "split": "train", "metric": "diverged", "value": 1}


def isp_record(
    index: int,
    camera: str,
    configuration: str,
    start: Mapping[str, Any],
    history: History,
    signal: list[float],
) -> dict[str, Any]:
    """The ISP of the camera of this index: its parameters at the start and, where it is learned,
    after each epoch, with those that have left physics, and what it clips.

    start: as an entry of `settings.states`.
    """
    return {
        "camera": camera,
        "configuration": configuration,
        "initial": start["values"],
        "clipped": start["clipped"],
        "path": [
            {
                "epoch": entry["epoch"],
                "step": entry["step"],
                **entry["isps"][index],
                "violations": [
                    found._asdict()
                    for found in violations(start["values"], entry["isps"][index]["values"], signal)
                ],
            }
            for entry in history
            if entry["isps"]
        ],
    }
