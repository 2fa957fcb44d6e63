"""What is kept of a unit: its rows for results.csv, and what the page shows."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rawdrift.controls.forensics.chain import Chain
from rawdrift.controls.forensics.gradient_search import Found, SearchResult
from rawdrift.controls.forensics.sobol import Sensitivity
from rawdrift.controls.forensics.space import ParameterSpace
from rawdrift.controls.forensics.tolerance import Envelope
from rawdrift.controls.forensics.unit import Unit
from rawdrift.runs.store import Record


def search_record(unit: Unit, result: SearchResult, chain: Chain, space: ParameterSpace) -> Record:
    """Of the gradient search and its rivals. space: what they searched."""
    methods = {"gradient": result.gradient, **result.rivals}

    def features(found: Found) -> Any:
        setting = np.array(list(found.parameters.values()))
        return chain.exact(space, setting).features.tolist()

    return {
        "group": unit.group,
        "regularization": unit.regularization,
        "rows": list(_search_rows(unit, result, chain, methods)),
        "baseline": chain.baseline.metric,
        "methods": {name: vars(found) for name, found in methods.items()},
        "worst": result.worst.method,
        "warnings": list(result.warnings),
        "trajectory": [[v.start, v.loss, v.metric, v.distance] for v in result.trajectory],
        "features": {
            "default": chain.baseline.features.tolist(),
            "gradient": features(result.gradient),
            "worst": features(result.worst),
        },
    }


def sensitivity_record(unit: Unit, found: Sensitivity, samples: int, images: int) -> Record:
    """Of Sobol indices, from so many samples, and curves."""
    shared: dict[str, Any] = {"fold": unit.fold, "n": images}
    indices = [
        {**shared, "method": "sobol", "group": name, "metric": order, **index._asdict()}
        for name, of in found.indices.items()
        for order, index in (("first_order", of.first), ("total_order", of.total))
    ]
    curves = {
        name: [{"at": point.at, **point.metric._asdict()} for point in points]
        for name, points in found.curves.items()
    }
    shared |= {"method": "one-at-a-time", "metric": found.metric}
    points = [{**shared, "group": name, **point} for name, of in curves.items() for point in of]
    return {
        "rows": indices + points,
        "sensitivity": {
            "confidence": found.confidence,
            "variance": found.variance,
            "samples": samples,
            "evaluations": found.evaluations,
            "indices": {
                name: {order: index._asdict() for order, index in of._asdict().items()}
                for name, of in found.indices.items()
            },
            "curves": curves,
        },
    }


def envelope_record(
    unit: Unit, found: Envelope, signature: Mapping[str, Any], images: int
) -> Record:
    """Of an envelope, and its signature's content."""
    shared = {"fold": unit.fold, "method": "envelope", "n": images}
    rows = [
        {**shared, "group": name, "metric": "alone", "low": of.low, "high": of.high}
        for name, of in found.tolerances.items()
    ]
    rows += [
        {**shared, "group": name, "metric": "together", "low": low, "high": high}
        for name, (low, high) in found.box.items()
    ]
    return {"rows": rows, "signature": signature}


def _search_rows(
    unit: Unit, result: SearchResult, chain: Chain, methods: Mapping[str, Found]
) -> Iterator[dict[str, Any]]:
    shared = {
        "fold": unit.fold,
        "group": unit.group,
        "regularization": unit.regularization,
        "n": len(chain.truth),
    }
    default = {result.metric_name: result.baseline, "loss": chain.baseline.loss}
    for metric, value in default.items():
        yield {**shared, "method": "default", "metric": metric, "value": value}
    for method, found in methods.items():
        values = {
            result.metric_name: found.metric,
            "loss": found.loss,
            "distance": found.distance,
            "evaluations": found.evaluations,
            **found.parameters,
        }
        for metric, value in values.items():
            yield {**shared, "method": method, "metric": metric, "value": value}
