"""The records of units: their rows for results.csv, and what the analysis needs of them."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import asdict

from rawdrift.controls.forensics.result import Envelope, FoldSearch, Sensitivity, Visited
from rawdrift.runs.store import Record, Row


class Features(msgspec.Struct, frozen=True):
    """Features (N, K) of the answers, from which the metric follows; see `Measure`."""

    default: list[list[float]]
    gradient: list[list[float]]
    worst: list[list[float]]


class SearchRecord(Record, frozen=True, kw_only=True, tag_field="kind", tag="search"):
    """The search of a group of parameters in one fold.

    outcomes, worst_outcomes: (n, ...) of the fold's images with the camera's own setting, and with
    the worst one, see `Targets.outcome`.
    """

    group: str
    regularization: float
    search: FoldSearch
    trajectory: list[Visited]
    features: Features
    outcomes: list[Any]
    worst_outcomes: list[Any]

    @property
    def fold(self) -> int:
        """The number of the fold."""
        return self.search.fold


class SensitivityRecord(Record, frozen=True, kw_only=True, tag_field="kind", tag="sensitivity"):
    """Sobol indices and curves of the model of a fold."""

    fold: int
    sensitivity: Sensitivity


class EnvelopeRecord(Record, frozen=True, kw_only=True, tag_field="kind", tag="envelope"):
    """The envelope of the model of a fold. signature: the content of its file, if it is signed."""

    fold: int
    envelope: Envelope
    signature: dict[str, Any] | None


ForensicsRecord = SearchRecord | SensitivityRecord | EnvelopeRecord


def search_rows(shared: Row, metric: str, loss: float, search: FoldSearch) -> Iterator[Row]:
    """The numbers of a search by method, of the images searched with. shared: group, regularization
    and n. loss: before."""
    numbers = {"default": {metric: search.default, "loss": loss}} | {
        method: {
            metric: found.metric,
            "loss": found.loss,
            "distance": found.distance,
            "evaluations": found.evaluations,
            **found.parameters,
        }
        for method, found in search.methods.items()
    }
    for method, values in numbers.items():
        for name, value in values.items():
            row = {"fold": search.fold, "method": method, "metric": name, "value": value}
            yield shared | row


def sensitivity_rows(shared: Row, sensitivity: Sensitivity) -> Iterator[Row]:
    """Sobol indices, then points of curves, by axis. shared: fold and n."""
    for name, sobol in sensitivity.indices.items():
        for order, index in (("first_order", sobol.first), ("total_order", sobol.total)):
            yield {**shared, "group": name, "method": "sobol", "metric": order, **asdict(index)}
    for name, points in sensitivity.curves.items():
        for point in points:
            yield {
                **shared,
                "group": name,
                "method": "one-at-a-time",
                "metric": sensitivity.metric,
                "at": point.at,
                **asdict(point.metric),
            }


def envelope_rows(shared: Row, envelope: Envelope) -> Iterator[Row]:
    """The interval of every axis alone, then together with all others. shared: fold and n."""
    alone = {name: (t.low, t.high) for name, t in envelope.tolerances.items()}
    for metric, intervals in (("alone", alone), ("together", envelope.box)):
        for name, (low, high) in intervals.items():
            yield {
                **shared,
                "group": name,
                "method": "envelope",
                "metric": metric,
                "low": low,
                "high": high,
            }
