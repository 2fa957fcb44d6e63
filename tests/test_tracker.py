"""Records in an experiment tracker, on a real server and in a local store."""

import contextlib
import csv
import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

import rawdrift as rd
from rawdrift.controls.optimization.spec import Optimization, OptimizationSpec
from rawdrift.controls.synthesis.spec import SynthesisSpec
from rawdrift.data.spec import Data
from rawdrift.models.spec import Task
from rawdrift.runs.store import Environment, Finished, Record
from rawdrift.runs.tracker import tracker

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own

SPEC = SynthesisSpec(data=Data("synthetic-microscopy", images=20, size=32))


class Measured(Record, frozen=True, kw_only=True):
    train: str
    fold: int


def row(kind, test, severity, value):
    names = {"test_kind": kind, "test": test, "severity": severity}
    return {**names, "metric": "accuracy", "value": value}


RECORD = Finished(
    Measured(
        train="bi,s,ga",
        fold=1,
        precision="32",
        rows=[row("isp", "ma,u,me", 0, 0.75), row("corruption", "fog", 3, 0.5)],
    ),
    Environment(
        inputs=[],
        device="cpu",
        threads=1,
        torch="2",
        finished="2026-01-02T03:04:05+00:00",
        seconds=1.0,
    ),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/store.db"]
    command += ["--default-artifact-root", str(folder)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + 120
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{uri}/health") as answer:
            if answer.status == 200:
                break
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline
    yield uri
    os.killpg(process.pid, 9)
    process.wait()


@pytest.fixture(params=[pytest.param("server", marks=pytest.mark.slow), "store"])
def client(request, tmp_path, monkeypatch):
    if request.param == "server":
        uri = request.getfixturevalue("server")
    else:
        uri = f"sqlite:///{tmp_path}/store.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    return mlflow.MlflowClient(uri)


def runs(client, name):
    return client.search_runs([client.get_experiment_by_name(name).experiment_id])


@pytest.mark.slow
def test_records_are_logged_once_however_often_a_run_goes_on(client, request, tmp_path):
    for _ in range(2):
        logged = tracker("mlflow", tmp_path / "it's a run", SPEC)
        logged.log("bi-s-ga_fold1", RECORD)
        logged.log("bi-s-ga_fold1", RECORD)
    logged.finish({"average drop": 0.25})
    found = {run.info.run_name: run for run in runs(client, request.node.name)}
    whole, unit = found["it's a run"], found["bi-s-ga_fold1"]
    assert len(runs(client, request.node.name)) == 2
    assert whole.data.params["data.name"] == "synthetic-microscopy"
    assert whole.data.params["task.epochs"] == str(SPEC.task.epochs)
    assert whole.data.metrics == {"average drop": 0.25}
    assert whole.info.status == unit.info.status == "FINISHED"
    assert unit.data.tags["mlflow.parentRunId"] == whole.info.run_id
    assert unit.data.params["fold"] == "1"
    assert unit.data.metrics == {"isp/ma-u-me/accuracy": 0.75, "corruption/fog/3/accuracy": 0.5}
    moments = client.get_metric_history(unit.info.run_id, "isp/ma-u-me/accuracy")
    assert [m.timestamp for m in moments] == [1767323045000]


def test_a_course_of_training_is_logged_by_step(client, request, tmp_path):
    spec = OptimizationSpec(
        Data("synthetic-microscopy", images=18, size=32, balanced=True),
        Optimization(["learned"], intensities=[1.0], folds=2),
        Task("import:nets.blocks", epochs=2, batch_size=5, precision="32"),
    )
    result = rd.run(spec, tmp_path / "run", tracking="mlflow")
    found = {run.info.run_name: run for run in runs(client, request.node.name)}
    assert set(found) == {"run", "learned_1_fold0", "learned_1_fold1"}
    assert found["run"].data.params["optimization.settings"] == "['learned']"
    told = found["run"].data.metrics
    assert told == result.headline()
    unit = found["learned_1_fold0"]
    assert unit.data.params["setting"] == "learned"
    history = client.get_metric_history(unit.info.run_id, "test/accuracy")
    with (tmp_path / "run/results.csv").open() as file:
        rows = [
            (int(row["step"]), float(row["value"]))
            for row in csv.DictReader(file)
            if (row["fold"], row["split"], row["metric"]) == ("0", "test", "accuracy")
        ]
    assert sorted((at.step, at.value) for at in history) == rows
    assert len(rows) == 2


def test_a_server_that_is_not_there_is_told_of(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(rd.InputError, match="MLflow can't be used.*start the server that"):
        tracker("mlflow", tmp_path, SPEC)


def test_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(rd.InputError, match=r"pip install \"rawdrift\[mlflow\]\""):
        tracker("mlflow", tmp_path, SPEC)


def test_no_tracker_is_the_default_and_others_are_unknown(tmp_path):
    tracker("none", tmp_path, SPEC).log("unit", RECORD)
    with pytest.raises(rd.InputError, match="unknown tracker 'wandb'.*none; mlflow"):
        tracker("wandb", tmp_path, SPEC)
