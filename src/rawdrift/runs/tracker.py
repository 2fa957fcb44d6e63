"""Log the records of a run to an experiment tracker."""

import hashlib
import os
import warnings
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from rawdrift.checks import InputError, choose
from rawdrift.runs.spec import flat, to_dict
from rawdrift.runs.store import Finished

KINDS = ("none", "mlflow")


class Tracker(Protocol):
    """Receives each finished unit, once or more often, and the end of the run."""

    def log(self, unit: str, finished: Finished[Any]) -> None: ...

    def finish(self, numbers: Mapping[str, float]) -> None: ...


def check_tracker(kind: str) -> None:
    """Raise InputError for an unknown tracker, and for one whose package is missing."""
    choose("tracker", kind, KINDS)
    if kind == "mlflow":
        _mlflow()


def tracker(kind: str, folder: Path, spec: Any) -> Tracker:
    """Return a tracker by name, for the run in `folder`."""
    check_tracker(kind)
    return Nothing() if kind == "none" else Mlflow(folder, spec)


class Nothing:
    """No tracker: everything is in the run folder anyway."""

    def log(self, unit: str, finished: Finished[Any]) -> None:
        pass

    def finish(self, numbers: Mapping[str, float]) -> None:
        pass


class Mlflow:
    """MLflow: a parent run with the spec as parameters, and a nested run for each unit.

    The server or store is MLFLOW_TRACKING_URI, else MLflow's default, a local SQLite file; the
    experiment is MLFLOW_EXPERIMENT_NAME, else "rawdrift". A resumed run finds its MLflow runs by
    their tags and logs no unit twice. If the server is lost half-way, the run continues; its
    records are logged when it is started again.

    Raises InputError if MLflow is not installed or its server can't be reached.
    """

    def __init__(self, folder: Path, spec: Any):
        # Fail soon if there is no server: somebody waits at the command line.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        client = _mlflow()
        from mlflow.exceptions import MlflowException

        self._error = MlflowException
        self._place = _digest(str(folder.resolve()))
        try:
            self._client = client()
            self._experiment = self._find_experiment()
            self._run = self._find("run", self._place) or self._begin(folder, spec)
        except MlflowException as error:
            raise InputError(
                f"MLflow can't be used ({_line(error)}); start the server that "
                f"MLFLOW_TRACKING_URI={os.environ.get('MLFLOW_TRACKING_URI', '')!r} names, or "
                f"leave the tracker out"
            ) from None

    def log(self, unit: str, finished: Finished[Any]) -> None:
        try:
            self._log(unit, finished)
        except self._error as error:
            warnings.warn(f"MLflow did not take {unit} ({_line(error)})", stacklevel=2)

    def finish(self, numbers: Mapping[str, float]) -> None:
        try:
            for name, value in numbers.items():
                self._client.log_metric(self._run, _key(name), value)
            self._client.set_terminated(self._run)
        except self._error as error:
            warnings.warn(f"MLflow did not take the end of the run ({_line(error)})", stacklevel=2)

    def _log(self, unit: str, finished: Finished[Any]) -> None:
        from mlflow.entities import Metric, Param

        record, environment = finished.record, finished.environment
        name = _digest(self._place + unit)
        held = self._find("unit", name)
        if held is not None and self._client.get_run(held).info.status == "FINISHED":
            return
        tags = {"mlflow.parentRunId": self._run, "rawdrift.unit": name}
        run = (
            held or self._client.create_run(self._experiment, run_name=unit, tags=tags).info.run_id
        )
        at = int(1000 * datetime.fromisoformat(environment.finished).timestamp())
        metrics = [
            Metric(_key(_name(row)), float(row["value"]), at, int(row.get("step", 0)))
            for row in record.rows
        ]
        params = [
            Param(key, str(value))
            for key, value in (*_fields(record), *_fields(environment))
            if isinstance(value, (str, int, float))
        ]
        for first in range(0, len(metrics), 1000):  # as many as MLflow takes at a time
            self._client.log_batch(run, metrics=metrics[first : first + 1000])
        self._client.log_batch(run, params=params)
        self._client.set_terminated(run)

    def _find_experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "rawdrift")
        held = self._client.get_experiment_by_name(name)
        if held is None:
            return str(self._client.create_experiment(name))
        return str(held.experiment_id)

    def _find(self, tag: str, value: str) -> str | None:
        wanted = f"tags.`rawdrift.{tag}` = '{value}'"
        found = self._client.search_runs([self._experiment], wanted, max_results=1)
        return str(found[0].info.run_id) if found else None

    def _begin(self, folder: Path, spec: Any) -> str:
        tags = {"rawdrift.run": self._place, "rawdrift.folder": str(folder.resolve())}
        run = self._client.create_run(self._experiment, run_name=folder.name, tags=tags)
        for key, value in flat(to_dict(spec)).items():
            self._client.log_param(run.info.run_id, key, str(value)[:6000])
        return str(run.info.run_id)


def _mlflow() -> Any:
    """Import the client of MLflow."""
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise InputError(
            'tracker mlflow needs the package mlflow: pip install "rawdrift[mlflow]", or leave '
            "the tracker out"
        ) from None
    return MlflowClient


def _fields(struct: msgspec.Struct) -> Iterable[tuple[str, Any]]:
    return msgspec.structs.asdict(struct).items()


# Columns that identify a unit, or say when and on how many images a value was measured.
_ASIDE = {"train", "setting", "intensity", "fold", "repeat", "epoch", "step", "value", "n"}


def _name(row: Mapping[str, Any]) -> str:
    """The name of a measurement, such as its test, severity and metric."""
    return "/".join(str(value) for key, value in row.items() if key not in _ASIDE and value)


def _key(name: str) -> str:
    """The name without characters that MLflow refuses."""
    return "".join(c if c.isalnum() or c in "_-./ " else "-" for c in name)


def _digest(text: str) -> str:
    """A text as characters that are safe in a filter."""
    return hashlib.sha256(text.encode()).hexdigest()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
