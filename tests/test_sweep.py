"""Drift forensics as an experiment: the command, its run folder, resume, executors, bad input."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
import tifffile
import torch
from safetensors.torch import save_file

import rawdrift as rd
from pages import no_figures, text_of
from planted import CAMERA, ISP, planted
from rawdrift.camera.read import to_unit
from rawdrift.cli import main
from rawdrift.controls import CONTROLS
from rawdrift.controls.comparison.spec import ComparisonSpec
from rawdrift.controls.forensics import kept
from rawdrift.controls.forensics.experiment import DriftForensics
from rawdrift.controls.forensics.records import SensitivityRecord
from rawdrift.controls.forensics.result import ForensicsResult, Sensitivity, Sobol
from rawdrift.controls.forensics.spec import Forensics, ForensicsSpec
from rawdrift.controls.optimization.spec import OptimizationSpec
from rawdrift.controls.run import write_page
from rawdrift.controls.synthesis.spec import Synthesis, SynthesisSpec
from rawdrift.data.spec import Data
from rawdrift.models import networks
from rawdrift.models.spec import Task
from rawdrift.report import style
from rawdrift.runs.compute import Compute
from rawdrift.statistics import Interval

NETS = """
import torch
from torch import nn

def pixels(classes):
    return nn.Conv2d(3, classes, 3, padding=1)

def wider(classes):
    return nn.Sequential(nn.Conv2d(3, 8, 7, padding=3), nn.ReLU(), nn.Conv2d(8, classes, 7, padding=3))

def blocks(classes):
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(4, classes))

def look(classes):
    from planted import Threshold, brightness
    return Threshold(brightness, 0.0, 100.0)

def broken(classes):
    class Broken(nn.Module):
        def forward(self, view):
            logits = 0 * view.mean((1, 2, 3))[:, None] + torch.tensor([0.0, 1.0])
            return logits / 0 if len(view) > 1 else logits
    return Broken()

def hits(outcomes, truth):
    return (outcomes == truth).astype(float)

def constant(classes):
    class Constant(nn.Module):
        def forward(self, view):
            return 0 * view.mean((1, 2, 3))[:, None] + torch.tensor([0.0, 1.0])
    return Constant()
"""
SETTINGS = Forensics(
    folds=2, space={"gamma.gamma": 0.3, "white_balance.gains": 0.3}, groups=["all", "gamma"],
    regularizations=[0, 10], restarts=1, steps=2, samples=2, cameras=3, max_drop=0.8,
    metric="macro_f1",
)  # fmt: skip
TASK = Task("import:sweep_nets.blocks", epochs=12, batch_size=8, lr=3e-2, precision="32")


@pytest.fixture(autouse=True)
def nets(tmp_path, monkeypatch):
    """A module with small networks, found here and in other processes."""
    (tmp_path / "sweep_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")


def cells(tmp_path, count=40):
    """A folder of mosaics whose class is their brightness, with a net that looks at nothing else:
    its path, and the checkpoint's."""
    net, data, _ = planted("brightness", count, 16)
    root = tmp_path / "cells"
    root.mkdir()
    lines = ["image,label"]
    for number, (mosaic, label) in enumerate(data):
        pixels = np.rint(mosaic.numpy() * 65535).astype(np.uint16)
        tifffile.imwrite(root / f"{number}.tif", pixels)
        lines.append(f"{number}.tif,{'dark' if label == 0 else 'light'}")
    (root / "manifest.csv").write_text("\n".join(lines))
    CAMERA.save(root / "camera.toml")
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    return root, tmp_path / "net.safetensors"


def rows(run):
    with (run / "results.csv").open() as file:
        return list(csv.DictReader(file))


def result_of(run) -> ForensicsResult:
    return rd.load_result(run)


def strict(path):
    def refuse(text):
        raise AssertionError(f"{text} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_a_users_own_model_from_the_command_to_a_checked_signature(tmp_path, capsys):
    root, checkpoint = cells(tmp_path)
    run = tmp_path / "run"
    command = [
        "forensics", "--data.name", "folder", "--data.root", str(root),
        "--task.model", "import:sweep_nets.look", "--task.checkpoint", str(checkpoint),
        "--forensics.space", "{gamma.gamma: [1.6, 2.8], color_correction.hue: [-10, 10]}",
        "--forensics.regularizations", "[0, 100]", "--forensics.restarts", "2",
        "--forensics.steps", "4", "--forensics.samples", "4", "--forensics.max_drop", "0.2",
        "--forensics.cameras", "10", "--out", str(run),
    ]  # fmt: skip
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "worst setting found: accuracy falls from" in told
    assert "Too few images to keep some from the search" in told
    result = result_of(run)
    assert (result.trained_here, result.models, result.tested) == (False, 1, [40])
    assert result.groups == ["all", "color_correction", "gamma"]
    by = {(s.group, s.regularization): s for s in result.searches}
    assert by["gamma", 0].drop.value > 0.3  # the planted weakness
    assert by["color_correction", 0].drop.value < 0.1
    assert by["all", 100].distance <= by["all", 0].distance
    total = {name: index.total.value for name, index in result.sensitivity.indices.items()}
    assert total["gamma.gamma"] > 0.5 > 0.2 > total["color_correction.hue"]

    signature = rd.forensics.Signature.load(run / "signature.json").content
    task = Task("import:sweep_nets.look", checkpoint=str(checkpoint))
    data = DriftForensics(ForensicsSpec(Data(root=str(root)), task=task))
    net = networks.load_checkpoint(task, data.material.targets)
    assert signature["model"]["sha256"] == rd.forensics.fingerprint(net)
    assert signature["data"]["sha256"] == data.setup.test_data(0).fingerprint()
    assert signature["tolerances"]["color_correction.hue"]["by_high"] == "space"
    assert signature["tolerances"]["gamma.gamma"]["by_high"] == "drop"

    own, other = root / "camera.toml", tmp_path / "other.toml"
    replace(CAMERA, gamma=2.75).save(other)
    assert main(["check", str(run / "signature.json"), "--camera", str(own)]) == 0
    assert main(["check", str(run / "signature.json"), "--camera", str(other)]) == 1
    assert "gamma.gamma is 2.75" in capsys.readouterr().out

    found = {(r["group"], r["regularization"], r["method"], r["metric"]): r for r in rows(run)}
    worst = result.worst.setting
    value = found["all", "0.0", worst.method, "gamma.gamma"]["value"]
    assert float(value) == pytest.approx(worst.parameters["gamma.gamma"])
    assert {"total_order", "first_order"} <= {r["metric"] for r in rows(run)}
    assert {"alone", "together"} <= {r["metric"] for r in rows(run)}


def test_an_isp_file_is_what_drifts_and_is_signed(tmp_path, capsys):
    root, checkpoint = cells(tmp_path)
    isp = rd.isp.parametrized("bi,s,ga", CAMERA)
    with torch.no_grad():
        isp.steps["gamma"].gamma.mul_(1.05)
        isp.steps["sharpen"].kernel.add_(0.01)
    rd.isp.save(isp, tmp_path / "learned.toml", CAMERA)
    run, signature = tmp_path / "run", str(tmp_path / "run" / "signature.json")
    command = [
        "forensics", "--data.root", str(root), "--task.model", "import:sweep_nets.look",
        "--task.checkpoint", str(checkpoint), "--forensics.isp", str(tmp_path / "learned.toml"),
        "--forensics.space", "{gamma.gamma: 0.2}", "--forensics.groups", "[all]",
        "--forensics.regularizations", "[0]", "--forensics.restarts", "1", "--forensics.steps", "2",
        "--forensics.samples", "0", "--forensics.max_drop", "0.2", "--forensics.cameras", "3",
        "--forensics.rivals", "[]", "--out", str(run),
    ]  # fmt: skip
    assert main(command) == 0
    content = rd.forensics.Signature.load(signature).content
    assert content["isp"]["configuration"] == "bi,s,ga"
    assert content["isp"]["numbers"]["gamma.gamma"] == pytest.approx(1.05 * CAMERA.gamma)
    assert content["isp"]["numbers"]["sharpen.kernel"] == isp.steps["sharpen"].kernel.tolist()
    assert result_of(run).isp == "learned"
    assert "learned (of a file)" in text_of((run / "report.html").read_text())
    assert main(["check", signature, "--isp", str(tmp_path / "learned.toml")]) == 0
    rd.isp.save(rd.isp.static("bi,s,ga", CAMERA), tmp_path / "other.toml", CAMERA)
    assert main(["check", signature, "--isp", str(tmp_path / "other.toml")]) == 1
    assert "sharpen.kernel" in capsys.readouterr().out
    rd.isp.save(isp, tmp_path / "learned.toml", CAMERA)  # the same bytes: goes on
    assert main(command) == 0
    rd.isp.save(rd.isp.static("bi,s,ga", CAMERA), tmp_path / "learned.toml", CAMERA)
    assert main(command) == 2
    assert "an ISP file" in capsys.readouterr().err
    turned = replace(CAMERA, cfa="BGGR" if CAMERA.cfa != "BGGR" else "RGGB")
    rd.isp.save(rd.isp.static("bi,s,ga", turned), tmp_path / "learned.toml", turned)
    assert main([*command[:-1], str(tmp_path / "another")]) == 2
    assert "is for one camera" in capsys.readouterr().err


class Finished(NamedTuple):
    """A run that was computed inline, by one thread."""

    run: Path
    spec: ForensicsSpec
    result: ForensicsResult


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    (folder / "sweep_nets.py").write_text(NETS)
    root, _ = cells(folder, 64)
    spec = ForensicsSpec(Data(root=str(root)), SETTINGS, TASK)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        result = rd.run(spec, folder / "run", Compute(threads=1))
    return Finished(folder / "run", spec, result)


def test_a_run_folder_has_what_it_should(finished):
    run, spec, result = finished
    assert len(list((run / "records").glob("search_*.json"))) == 2 * 2 * 2
    assert not list((run / "records").glob("*.ckpt"))
    assert {p.name for p in (run / "models").glob("*.safetensors")} == {
        "fold0.safetensors", "fold1.safetensors"
    }  # fmt: skip
    assert result == result_of(run)
    assert strict(run / "summary.json")["kind"] == "forensics"
    rd.forensics.Signature.load(run / "signature.json")
    assert result.failed == {}
    assert [[f.fold for f in search.folds] for search in result.searches] == [[0, 1]] * 4
    for search in result.searches:
        assert search.metric.low <= search.metric.value <= search.metric.high
        for fold, found in enumerate(search.folds):
            shown = [
                float(r["value"]) for r in rows(run)
                if (r["fold"], r["group"], r["method"], r["metric"])
                == (str(fold), search.group, "gradient", "macro_f1")
                and float(r["regularization"]) == search.regularization
            ]  # fmt: skip
            assert shown == [found.gradient.metric]
    # The kept network is what the signature speaks of, and is used like any of the user's own.
    experiment = DriftForensics(spec)
    content = rd.forensics.Signature.load(run / "signature.json").content
    task = replace(TASK, checkpoint=str(run / "models/fold0.safetensors"))
    net = networks.load_checkpoint(task, experiment.material.targets)
    assert rd.forensics.fingerprint(net) == content["model"]["sha256"]
    isp, data = experiment.setup.isp, experiment.setup.test_data(0)
    space, held = experiment.setup.space, experiment.setup.halves[0].held_out
    found = rd.forensics.search(net, isp, data.take(held), space, metric="macro_f1", steps=1)
    assert found.baseline == pytest.approx(result.baseline.by_fold[0])
    assert (result.baseline.n, result.baseline.held_out) == (32, True)


def test_a_result_is_a_table_and_a_figure(finished):
    result = finished.result
    table = result.rows()
    methods = {(row["group"], row["regularization"], row["method"]) for row in table}
    assert len(methods) == 2 * 3 + 2  # rivals search the first group alone
    assert len(table) == 2 * len(methods)
    assert all(row.keys() == table[0].keys() for row in table)
    for row in table:
        if row["group"] == "gamma":
            own = {axis.name: axis.default for axis in result.space}
            assert row["white_balance.gains[0]"] == own["white_balance.gains[0]"]
        assert row["value"] <= row["default"]
    assert result.headline()["worst macro_f1"] == result.worst.metric.value
    assert len(result.plot().axes) == 2  # a panel for each regularization


def test_a_line_names_what_matters_most_where_anything_does(finished):
    experiment = DriftForensics(finished.spec)
    totals = {"gamma.gamma": 0.2, "white_balance.gains[0]": 0.7}
    for share, told in (
        (1, "white balance gain R matters most"),
        (0, "the same at every setting"),
    ):
        shares = {name: Interval(share * value, None, None) for name, value in totals.items()}
        indices = {name: Sobol(first=index, total=index) for name, index in shares.items()}
        sensitivity = Sensitivity(
            metric="accuracy", confidence=0.95, variance=0.1 * share, samples=2, indices=indices,
            curves={}, evaluations=2,
        )  # fmt: skip
        record = SensitivityRecord(rows=[], precision="32", fold=0, sensitivity=sensitivity)
        line = experiment.line(record)
        assert line == f"fold 1/2, sensitivity: {told}"


def test_the_first_search_of_a_model_costs_its_training_too(finished):
    experiment = DriftForensics(finished.spec)
    for fold, split in enumerate(experiment.material.splits):
        first, again = [unit for unit in experiment.units if unit.fold == fold][:2]
        assert (first.group, first.regularization, again.regularization) == ("all", 0, 10)
        images = len(split.train) / len(experiment.setup.tests[fold])
        more = experiment.cost(first) - experiment.cost(again)
        assert more == pytest.approx(3 * TASK.epochs * images)


def test_a_network_is_exported_with_the_isp_that_was_attacked(finished, tmp_path, capsys):
    path, allow = tmp_path / "model.pt2", ["--allow_import", "import:sweep_nets.blocks"]
    command = ["export", str(finished.run), "fold1", "--out", str(path), *allow]
    assert main(command) == 0
    printed = capsys.readouterr().out
    setup = DriftForensics(finished.spec).setup
    net = setup.models[1].get(finished.run)
    assert f"sha256: {rd.forensics.fingerprint(net)}" in printed
    assert "configuration: bi,s,ga" in printed
    mosaics = to_unit(setup.test_data(1).mosaics[:3], setup.camera.bit_depth)
    with torch.inference_mode():
        logits = torch.export.load(path).module()(mosaics)
        torch.testing.assert_close(logits, net(setup.isp(mosaics).float()), atol=1e-4, rtol=1e-4)
    command[command.index("fold1")], command[4] = "fold7", str(tmp_path / "other.pt2")
    assert main(command) == 2
    assert "choose one of fold0; fold1" in capsys.readouterr().err


def test_a_normalization_beside_the_files_own_is_refused(finished):
    path = str(finished.run / "models/fold0.safetensors")
    task = replace(TASK, checkpoint=path, normalize="imagenet")
    with pytest.raises(rd.InputError, match="holds the normalization of its network"):
        networks.load_checkpoint(task, DriftForensics(finished.spec).material.targets)


def test_processes_give_the_bytes_of_one_after_the_other(finished, tmp_path):
    compute = Compute("processes", workers=2, threads=1)
    rd.run(finished.spec, tmp_path / "run", compute)
    before = (finished.run / "results.csv").read_bytes()
    assert (tmp_path / "run/results.csv").read_bytes() == before


def test_a_run_that_was_killed_ends_with_the_same_results_and_trains_nothing_again(
    finished, tmp_path, monkeypatch
):
    run = shutil.copytree(finished.run, tmp_path / "run")
    before = (run / "results.csv").read_bytes()
    for unit in ("search_fold1_all_0", "envelope_fold0"):
        (run / f"records/{unit}.json").unlink()
    (run / "results.csv").write_bytes(before[: len(before) // 2])  # within a line
    monkeypatch.setattr(kept, "train", None)
    again = rd.run(finished.spec, run, Compute(threads=1))
    assert (run / "results.csv").read_bytes() == before
    for key in ("searches", "worst", "sensitivity", "pictures", "envelope"):
        assert getattr(again, key) == getattr(finished.result, key)
    for key in ("model_sha256", "data_sha256"):
        assert getattr(again.signature, key) == getattr(finished.result.signature, key)


def test_a_training_that_fails_is_tried_once_and_does_not_stop_the_rest(
    finished, tmp_path, monkeypatch
):
    train, tried = kept.train, []

    def diverge(data, targets, indices, *args, **kwargs):
        tried.append(tuple(indices.tolist()))
        if tried[0] == tried[-1]:
            raise rd.InputError("the training has diverged")
        return train(data, targets, indices, *args, **kwargs)

    monkeypatch.setattr(kept, "train", diverge)
    spec = replace(finished.spec, forensics=replace(SETTINGS, rivals=[], samples=0))
    result = rd.run(spec, tmp_path / "run")
    assert len(tried) == 2
    assert len(result.failed) == 4 + 1  # searches and envelope of the first fold
    assert set(result.failed.values()) == {"the training has diverged"}
    assert result.signature is result.envelope is None
    assert [[f.fold for f in search.folds] for search in result.searches] == [[1]] * 4
    monkeypatch.setattr(kept, "train", train)
    result = rd.run(spec, tmp_path / "run")
    assert result.failed == {}
    assert result.envelope.metric == "macro_f1"


def test_a_metric_of_ones_own_is_searched_shown_and_signed(tmp_path):
    root, checkpoint = cells(tmp_path, 16)
    replace(CAMERA, adc_bits=16).save(root / "camera.toml")  # the dark images use 14 of the bits
    settings = replace(
        SETTINGS, metric="import:sweep_nets.hits", groups=["gamma"], regularizations=[0]
    )
    task = Task("import:sweep_nets.look", checkpoint=str(checkpoint))
    spec = ForensicsSpec(Data(root=str(root)), settings, task)
    own = rd.run(spec, tmp_path / "own")
    known = replace(settings, metric="accuracy")
    accuracy = rd.run(replace(spec, forensics=known), tmp_path / "known")
    assert own.metric == "import:sweep_nets.hits"
    assert own.worst.setting == accuracy.worst.setting
    assert own.worst.drop == accuracy.worst.drop
    signature = rd.forensics.Signature.load(tmp_path / "own/signature.json")
    assert signature.content["metric"] == own.metric
    assert "hits is" in text_of(write_page(tmp_path / "own").read_text())


def test_masks_are_searched_too(tmp_path):
    spec = ForensicsSpec(
        Data("synthetic-microscopy", images=24, size=32),
        replace(
            SETTINGS, metric="dice", groups=["each"], regularizations=[0], images=8,
            models=1, samples=0, envelope=False,
        ),
        Task(
            "import:sweep_nets.wider",
            kind="segmentation", loss="cross_entropy", epochs=40, batch_size=8, lr=3e-2,
            precision="32",
        ),
    )  # fmt: skip
    result = rd.run(spec, tmp_path / "run")
    assert (result.metric, result.data.task) == ("dice", "segmentation")
    assert (result.models, result.tested) == (1, [8])
    assert result.groups == ["white_balance", "gamma"]
    assert result.signature is result.envelope is result.sensitivity is None
    image = result.pictures.images[0]
    assert image.label is image.prediction is None
    assert image.matched_score > image.score
    assert not (tmp_path / "run/signature.json").exists()


def test_the_sensor_drifts_where_it_is_asked_to():
    settings = replace(SETTINGS, sensor=True, space={"sensor.exposure": 0.5, "gamma.gamma": 0.2})
    data = Data("synthetic-drone", images=24, size=32)
    task = replace(TASK, kind="segmentation", model="import:sweep_nets.pixels")
    asked = ForensicsSpec(data, replace(settings, metric="iou", groups=["all"]), task)
    assert DriftForensics(asked).setup.space.names == ["sensor.exposure", "gamma.gamma"]
    with pytest.raises(rd.InputError, match=r"sensor\.exposure"):
        DriftForensics(replace(asked, forensics=replace(asked.forensics, sensor=False)))


def test_few_images_are_of_all_labels():
    data = Data("synthetic-microscopy", images=90, size=32, balanced=True)
    experiment = DriftForensics(ForensicsSpec(data, replace(SETTINGS, images=9), TASK))
    for fold, split in enumerate(experiment.material.splits):
        data = experiment.setup.test_data(fold)
        assert len(data) == 9
        assert sorted(data.labels.tolist()) == list(range(9))
        assert set(experiment.setup.tests[fold]) <= set(split.test.tolist())
        assert data.images == tuple(
            experiment.material.data.images[i] for i in experiment.setup.tests[fold]
        )


def test_a_plan_says_what_is_left_and_changes_nothing(finished, tmp_path):
    before = rd.plan(finished.spec, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert (before.units, before.done, before.seen) == (2 * 2 * 2 + 2, 0, False)
    assert before.about.startswith(
        "axes: 4; groups of parameters: 2; regularizations: 2; models: 2"
    )
    assert before.seconds > 0
    after = rd.plan(finished.spec, finished.run)
    assert (after.units, after.done, after.seen) == (10, 10, True)


SPACE = "--forensics.space"
BAD = {
    "unknown parameter": ([SPACE, "{gama.gamma: 0.2}"], "gama.gamma"),
    "empty interval": ([SPACE, "{gamma.gamma: [2.8, 1.6]}"], "interval of gamma.gamma is empty"),
    "own value left out": ([SPACE, "{gamma.gamma: [1.1, 1.2]}"], "leaves out its value"),
    "no space": ([SPACE, "{}"], "forensics.space must be"),
    "no pair": ([SPACE, "{gamma.gamma: [1, 2, 3]}"], "must be a pair"),
    "unknown metric": (["--forensics.metric", "iou"], "accuracy; balanced_accuracy; macro_f1"),
    "misspelt group": (
        ["--forensics.groups", "[gama]"],
        "unknown name in forensics.groups 'gama' (did you mean 'gamma'?); choose one of all; each; ",
    ),
    "unknown group": (["--forensics.groups", "[denoise_it]"], "denoise"),
    "unknown rival": (["--forensics.rivals", "[grid]"], "random; cma-es"),
    "negative weight": (["--forensics.regularizations", "[-1]"], "must be at least 0"),
    "no weight": (["--forensics.regularizations", "[]"], "regularizations is empty"),
    "twice": (["--forensics.groups", "[all, all]"], "must not repeat a value"),
    "more models than folds": (
        ["--forensics.models", "9"],
        "forensics.models must be at most forensics.folds (5)",
    ),
    "no power of two": (["--forensics.samples", "12"], "power of 2"),
    "max_drop": (["--forensics.max_drop", "0"], "max_drop must be above 0"),
    "pipeline": (["--forensics.isp", "xx"], "bi,s,me"),
    "NaN": (["--task.model", "import:sweep_nets.broken"], "NaN or infinity"),
    "a net for others": (
        ["--task.model", "import:sweep_nets.pixels"],
        "expected logits of shape (1, 2)",
    ),
}


@pytest.mark.parametrize(("flags", "told"), BAD.values(), ids=BAD)
def test_bad_input_is_told_in_one_line(tmp_path, capsys, flags, told):
    root, checkpoint = cells(tmp_path, 12)
    if flags[0] == "--task.model":
        save_file({"none": torch.zeros(1)} if "pixels" in flags[1] else {}, checkpoint)
    model = ["--task.model", "import:sweep_nets.look", "--task.checkpoint", str(checkpoint)]
    of_data = ["--data.name", "folder", "--data.root", str(root)]
    few = ["--forensics.groups", "[all]", "--forensics.regularizations", "[0]"]
    out = ["--out", str(tmp_path / "run")]
    assert main(["forensics", *of_data, *model, *few, *flags, *out]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("rawdrift: error: ")
    assert told in error


def test_a_net_that_guesses_gets_a_page_that_says_so_first_and_no_envelope(tmp_path, capsys):
    root, checkpoint = cells(tmp_path, 12)
    save_file({}, checkpoint)
    net = ["--task.model", "import:sweep_nets.constant", "--task.checkpoint", str(checkpoint)]
    few = ["--forensics.groups", "[gamma]", "--forensics.steps", "1", "--forensics.samples", "0"]
    run, of = tmp_path / "run", ["--data.name", "folder", "--data.root", str(root)]
    few += ["--forensics.regularizations", "[0]", "--forensics.restarts", "1"]
    assert main(["forensics", *of, *net, *few, "--out", str(run)]) == 1
    result, page = result_of(run), text_of((run / "report.html").read_text())
    assert result.findings[-1].kind == "guessing"
    assert result.envelope is None is result.signature
    assert "Check this first" in page
    assert "The model is not shown to be better than guessing" in page
    assert "there is nothing to lose" in page  # why there is no envelope
    assert "check first: The model is not shown to be better" in capsys.readouterr().out


def test_images_of_two_cameras_are_refused(tmp_path):
    root, checkpoint = cells(tmp_path, 4)
    replace(CAMERA, gamma=2.0).save(root / "other.toml")
    lines = (root / "manifest.csv").read_text().splitlines()
    cameras = ["camera", "camera.toml", "camera.toml", "other.toml", "other.toml"]
    whole = [f"{line},{camera}" for line, camera in zip(lines, cameras, strict=True)]
    (root / "manifest.csv").write_text("\n".join(whole))
    task = Task("import:sweep_nets.look", checkpoint=str(checkpoint))
    with pytest.raises(rd.InputError, match="forensics takes the data of one camera, got those of"):
        DriftForensics(ForensicsSpec(Data(root=str(root)), task=task))


def test_sobol_intervals_are_those_of_the_seed_alone():
    net, data, _ = planted("brightness", 12, 16)
    space = rd.forensics.ParameterSpace.around(ISP, {"gamma.gamma": 0.2, "sharpen.strength": 0.5})
    np.random.seed(1)
    one = rd.forensics.sensitivity(net, ISP, data, space, samples=4, points=2)
    np.random.seed(2)
    assert rd.forensics.sensitivity(net, ISP, data, space, samples=4, points=2) == one


def test_the_demo_ends_with_all_reports_and_a_signature(tmp_path, monkeypatch, capsys):
    synthesis = SynthesisSpec(
        Data("synthetic-microscopy", images=20, size=32, balanced=True),
        Synthesis(train=["bi,s,ga"], folds=2, corruptions=["fog"], severities=[3]),
        Task("import:sweep_nets.blocks", epochs=1, precision="32"),
    )
    root, checkpoint = cells(tmp_path)
    task = Task("import:sweep_nets.look", checkpoint=str(checkpoint))
    demo = replace(CONTROLS["forensics"].demo.forensics, cameras=2)
    forensics = ForensicsSpec(Data(root=str(root)), demo, task)
    settings = CONTROLS["optimization"].demo.optimization
    optimization = OptimizationSpec(synthesis.data, settings, synthesis.task)
    pair = CONTROLS["comparison"].demo.comparison
    comparison = ComparisonSpec(synthesis.data, pair, synthesis.task)
    for name, spec in (
        ("synthesis", synthesis), ("forensics", forensics), ("optimization", optimization),
        ("comparison", comparison),
    ):  # fmt: skip
        monkeypatch.setitem(CONTROLS, name, replace(CONTROLS[name], demo=spec))
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert f"report: {out / 'report.html'}" in told
    assert f"report: {out / 'forensics/report.html'}" in told
    assert f"report: {out / 'optimization/report.html'}" in told
    assert f"report: {out / 'comparison/report.html'}" in told
    assert "worst setting found: accuracy falls from" in told
    assert "Too few images to keep some from the search" in told
    assert f"rawdrift check {out / 'forensics/signature.json'}" in told
    rd.forensics.Signature.load(out / "forensics/signature.json")
    tests = {(row["test_kind"], row["test"]) for row in rows(out)}
    assert len(tests) == 12 + 1


@pytest.fixture
def a_run(finished, tmp_path, monkeypatch):
    """A copy of the finished run, whose page is written without its figures."""
    monkeypatch.setattr("rawdrift.report.page.draw", no_figures)
    return shutil.copytree(finished.run, tmp_path / "a_run")


def told(run, **fields):
    """The text of a run's page, with some fields of its result changed."""
    msgspec.structs.replace(result_of(run), **fields).save(run / "summary.json")
    return text_of(write_page(run).read_text())


def test_the_page_has_all_figures_and_tables_and_is_the_same_every_time(finished):
    run, _, result = finished
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "_DPI", 20)
        page = write_page(run).read_text()
        assert main(["report", str(run)]) == 0
    assert (run / "report.html").read_text() == page
    names = {path.stem for path in (run / "figures").glob("*.svg")}
    assert names == {
        "confusion",
        "regularization", "distance", "samples", "stages", "trajectory", "methods", "sobol",
        "curves", "envelope",
    }  # fmt: skip
    assert {path.stem for path in (run / "figures").glob("*.png")} == names
    assert page.count("<svg") == len(names) - 1  # the samples are pictures of the page itself
    with (run / "tables/searches.csv").open() as file:
        table = list(csv.DictReader(file))
    for row, search in zip(table, result.searches, strict=True):
        assert float(row["macro_f1"]) == search.metric.value
        assert float(row["distance"]) == search.distance
    with (run / "tables/envelope.csv").open() as file:
        table = {row["parameter"]: row for row in csv.DictReader(file)}
    for name, box in result.envelope.box.items():
        together = (table[name]["together_low"], table[name]["together_high"])
        assert tuple(map(float, together)) == box
    text = text_of(page)
    assert f"take the macro F1 of these models from {result.baseline.metric.value:.3f} to" in text
    assert "rawdrift check signature.json --camera other.toml" in text
    assert result.signature.model_sha256 in text
    assert "--task.checkpoint models/fold0.safetensors" in text
    largest_is_worst = result.farthest.metric.value <= result.lowest.metric.value
    assert ("The largest change is not the worst" in text) != largest_is_worst
    for stage in ("raw", "black level", "demosaic", "white balance", "gamma"):
        assert stage in text


def test_what_weakens_a_run_is_told(a_run):
    result = result_of(a_run)
    assert "Another method found" not in told(a_run)
    warning = "random found a worse setting (macro_f1 0.1) than the gradient"
    change, compared = msgspec.structs.replace, len(result.compared())
    searches = [
        change(
            search,
            folds=[change(f, warnings=[warning] * (len(f.methods) > 1)) for f in search.folds],
        )
        for search in result.searches
    ]
    text = told(
        a_run,
        searches=searches,
        failed={"search of gamma, λ 0, fold 1": "it broke", "envelope fold 1": "it broke"},
    )
    assert f"Another method found a worse setting in {compared} of {compared} searches" in text
    assert warning in text
    assert "2 units failed" in text
    assert "search of gamma, λ 0, fold 1 and 1 more: it broke" in text
    assert "Only 32 test images of a model" in text
    assert "Only 2 samples for the Sobol indices" in text
    nothing = Interval(0.0, 0.0, 0.0)
    worst = change(result.worst, metric=result.baseline.metric, drop=nothing)
    headline = "No setting was found that is shown to cost these models macro F1"
    assert headline in told(a_run, worst=worst)


def test_a_run_without_envelope_sensitivity_rivals_and_intervals_has_a_page(a_run):
    result, change = result_of(a_run), msgspec.structs.replace

    def alone(search):
        folds = [
            change(fold, methods={"gradient": fold.gradient}, warnings=[]) for fold in search.folds
        ]
        return change(search, folds=folds)

    def unknown(search):
        ends = dict.fromkeys(("low", "high"))
        return change(
            search, metric=change(search.metric, **ends), drop=change(search.drop, **ends)
        )

    baseline = change(result.baseline, metric=Interval(result.baseline.metric.value, None, None))
    text = told(
        a_run, signature=None, envelope=None, sensitivity=None, baseline=baseline,
        worst=unknown(result.worst), searches=[alone(unknown(search)) for search in result.searches],
    )  # fmt: skip
    for gone in ("What is safe", "The signature", "What matters", "random search"):
        assert gone not in text
    assert "What the search finds" in text
    assert "Stage by stage" not in told(a_run, pictures=None)


def test_an_envelope_without_a_signature_has_a_page(a_run):
    """As that of a black box, with which no other camera can be compared."""
    text = told(a_run, signature=None)
    assert "What is safe" in text
    assert "ignature has" not in text
    assert "The signature" not in text


def test_names_from_the_data_are_escaped_and_pictures_of_other_folders_refused(a_run):
    pictures, change = result_of(a_run).pictures, msgspec.structs.replace
    image = change(pictures.images[0], image="<script>x</script>", label="<b>bold</b>")
    told(a_run, pictures=change(pictures, images=[image, *pictures.images[1:]]))
    page = (a_run / "report.html").read_text()
    assert "<script>" not in page
    assert "<b>bold</b>" not in page
    first, *others = pictures.stages
    first = change(first, default=change(first.default, view="../secret.png"))
    with pytest.raises(rd.InputError, match="is outside of"):
        told(a_run, pictures=change(pictures, stages=[first, *others]))


@pytest.mark.parametrize("field", ["searches", "worst", "space", "model_file"])
def test_a_damaged_summary_is_told(a_run, field):
    path = a_run / "summary.json"
    summary = strict(path)
    del summary[field]
    path.write_text(json.dumps(summary))
    with pytest.raises(rd.InputError, match=f"damaged: .*`{field}`"):
        write_page(a_run)


def test_runs_of_forensics_are_not_compared(a_run, capsys):
    page = a_run / "report.html"
    page.write_text("as it was")
    assert main(["report", str(a_run), str(a_run)]) == 2
    assert "can't be compared" in capsys.readouterr().err
    assert page.read_text() == "as it was"
