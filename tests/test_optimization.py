"""Drift optimization: laws over settings, results, resumption, and what it refuses."""

import csv
import json
import shutil
from dataclasses import replace

import msgspec
import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

import rawdrift as rd
from pages import text_of
from rawdrift.cli import main
from rawdrift.controls.optimization import experiment as control
from rawdrift.controls.optimization import learned
from rawdrift.controls.optimization.experiment import DriftOptimization
from rawdrift.controls.optimization.physics import clipped, violations
from rawdrift.controls.optimization.records import OptimizationRecord
from rawdrift.controls.optimization.spec import SETTINGS, Optimization, OptimizationSpec, Pull
from rawdrift.controls.run import write_page
from rawdrift.data.dataset import RawDataset
from rawdrift.data.spec import Data
from rawdrift.isp.presets import kinds
from rawdrift.models import train as training
from rawdrift.models.augment import augment
from rawdrift.models.chain import Develop
from rawdrift.models.fronts import NeuralISP, Packed, Upsampled, widen
from rawdrift.models.spec import Task
from rawdrift.models.train import Course
from rawdrift.report.pictures import read_picture
from rawdrift.runs.compute import Compute

from conftest import random_camera, random_mosaic, write_folder

SPEC = OptimizationSpec(
    Data("synthetic-microscopy", images=18, size=32, balanced=True),
    Optimization(["frozen", "learned"], intensities=[1.0], folds=2),
    Task("import:nets.blocks", epochs=2, batch_size=5, lr=1e-2, precision="32"),
)


def spec(task=(), data=None, **optimization):
    return replace(
        SPEC,
        data=data or SPEC.data,
        task=replace(SPEC.task, **dict(task)),
        optimization=replace(SPEC.optimization, **optimization),
    )


def rows(run):
    with (run / "results.csv").open() as file:
        return list(csv.DictReader(file))


def record(run, unit):
    content = json.loads((run / f"records/{unit}.json").read_text())
    return msgspec.convert(content["finished"]["record"], OptimizationRecord)


def curve(run, setting, metric="loss"):
    wanted = (setting, metric)
    return [r["value"] for r in rows(run) if (r["setting"], r["metric"]) == wanted]


def test_the_command_compares_all_settings_at_each_intensity(tmp_path, capsys):
    config = tmp_path / "config.yaml"
    settings = ["frozen", "learned", "direct", "static-best", "frozen-matched"]
    content = {
        "data": {"name": "synthetic-microscopy", "images": 18, "size": 32, "balanced": True},
        "optimization": {"settings": settings, "intensities": [0.05, 1], "folds": 2},
        "task": {"epochs": 1, "lr": 0.01},
    }
    config.write_text(yaml.safe_dump(content))
    run = tmp_path / "run"
    command = ["optimization", "--config", str(config), "--out", str(run)]
    assert main([*command, "--task.model", "import:nets.blocks"]) == 0
    shown = capsys.readouterr().out
    assert f"report: {run / 'report.html'}" in shown
    found = rows(run)
    assert list(found[0]) == [
        "setting",
        "intensity",
        "fold",
        "epoch",
        "step",
        "split",
        "metric",
        "value",
    ]
    assert {r["intensity"] for r in found} == {"0.05", "1.0"}
    assert {r["setting"] for r in found} == set(SETTINGS) - {"neural"}
    assert {r["split"] for r in found} == {"train", "test"}
    assert curve(run, "frozen") == curve(run, "frozen-matched")
    assert not list((run / "records").glob("frozen-matched*"))

    result = rd.load_result(run)
    assert result.same == {"frozen-matched": "frozen"}
    assert len(result.table) == 2 * 5
    for row in result.table:
        values = [
            float(r["value"])
            for r in found
            if (r["setting"], float(r["intensity"])) == (row.setting, row.intensity)
            and (r["split"], r["metric"]) == ("test", "accuracy")
        ]
        assert row.mean == pytest.approx(sum(values) / 2)
        assert row.low <= row.mean <= row.high
        assert row.final.mean == row.best.mean
    pairs = 2 * 2 * 6  # intensities, final and mean, of four settings
    assert len(result.differences) == pairs
    assert all(d.p <= d.p_all <= 1 for d in result.differences)
    assert len(result.choices) == 4
    for choice in result.choices:
        assert set(choice.validation) == set(rd.isp.CONFIGURATIONS)
        assert choice.validation[choice.chosen] == max(choice.validation.values())
    assert {entry.setting for entry in result.stages} == {"frozen", "learned", "static-best"}
    for entry in result.stages:
        assert [stage.name for stage in entry.stages][::7] == ["raw", "gamma"]
    pictures = [p for s in result.samples for v in s.views.values() for p in (v.before, v.after)]
    assert len(pictures) == 2 * 4 * 4 * 2
    dark, full = sorted(result.less_light, key=lambda light: light.intensity)
    assert (dark.intensity, full.intensity) == tuple(sorted(result.intensities))
    for light, brightest in ((dark, dark.intensity / full.intensity), (full, 1)):
        shown, stretched = (read_picture(run, p) for p in (light.view, light.stretched))
        assert (stretched.min(), stretched.max()) == (0, 1)
        assert shown.max() == pytest.approx(brightest, abs=0.25)
        pictures += [light.view, light.stretched]
    assert all((run / p).read_bytes().startswith(b"\x89PNG") for p in pictures)
    means = {(row["intensity"], row["setting"]): row["mean"] for row in result.rows()}
    assert means == {(row.intensity, row.setting): row.mean for row in result.table}
    assert len(result.plot().axes) == 2


def test_frozen_stays_learned_moves_and_without_a_rate_is_frozen(tmp_path):
    for name, lr in (("free", 0.01), ("held", 0.0)):
        rd.run(spec(isp_lr=lr), tmp_path / name)
    free, held = tmp_path / "free", tmp_path / "held"
    assert curve(held, "learned") == curve(held, "frozen") == curve(free, "frozen")
    assert curve(free, "learned") != curve(free, "frozen")
    assert record(free, "frozen_1_fold0").isps == []
    one = record(free, "learned_1_fold0").isps[0]
    camera = DriftOptimization(spec()).material.data.cameras[0]
    assert one.initial == learned.values(rd.isp.parametrized("bi,s,ga", camera))
    for name, start in one.initial.items():
        assert one.path[-1].values[name] != start, name
    still = record(held, "learned_1_fold0").isps[0]
    assert all(at.values == still.initial for at in still.path)


def test_all_settings_see_the_same_images_moved_alike_and_begin_with_the_same_weights(
    tmp_path, monkeypatch
):
    seen, begun = [], []
    true_augment, true_network = training.augment, training.network

    def spy(kind, views, masks, generator):
        seen[-1].append((generator.get_state().tolist(), len(views)))
        return true_augment(kind, views, masks, generator)

    def network(*args):
        net = true_network(*args)
        begun.append([p.tolist() for p in net[1].parameters()])
        seen.append([])
        return net

    monkeypatch.setattr(training, "augment", spy)
    monkeypatch.setattr(training, "network", network)
    settings = ["frozen", "learned", "direct", "neural"]
    one = spec({"augment": "strong", "epochs": 1}, settings=settings, normalization="running")
    experiment = DriftOptimization(one)
    for unit in experiment.units:
        if unit.fold == 0:
            experiment.compute(unit, "cpu", tmp_path / unit.name, lambda: None)
    assert len(seen) == 4
    assert all(len(draws) == 2 for draws in seen)
    assert seen.count(seen[0]) == 4
    assert begun.count(begun[0]) == 4


@pytest.mark.parametrize("kind", ["weak", "strong"])
def test_masks_of_another_size_move_with_the_views(kind):
    views = torch.nn.functional.interpolate(random_mosaic(0, 6, 6, (4, 1)), (24, 24))
    masks = (255 * views[:, 0]).to(torch.uint8).repeat_interleave(2, -1).repeat_interleave(2, -2)
    moved, others = augment(kind, views, masks, torch.Generator().manual_seed(3))
    alike = ((255 * moved[:, 0]).to(torch.uint8).float() - others[:, ::2, ::2].float()).abs() < 5
    assert alike.double().mean() > (0.6 if kind == "strong" else 0.9999)


def test_bounds_are_never_left(tmp_path):
    bounds = {"white_balance.gains": 0.01, "gamma.gamma": [2.15, 2.25]}
    what = {"isp_lr": 0.1, "bounds": bounds, "settings": ["learned"]}
    rd.run(spec(**what), tmp_path / "run")
    touched = set()
    for fold in (0, 1):
        isp = record(tmp_path / "run", f"learned_1_fold{fold}").isps[0]
        start = isp.initial["white_balance.gains"]
        for at in isp.path:
            assert 2.15 <= at.values["gamma.gamma"] <= 2.25
            touched.add(at.values["gamma.gamma"])
            for gain, held in zip(at.values["white_balance.gains"], start, strict=True):
                assert abs(gain - held) <= 0.01 * abs(held) * (1 + 1e-12)
    assert touched & {2.15, 2.25}


@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
def test_default_bounds_hold_every_number_that_is_learned(name):
    cameras = random_camera(1), random_camera(2)
    develop = learned.learnable(Optimization(isp=name), cameras)
    starts = [learned.values(isp) for isp in develop.isps]
    sides = learned.box(develop, cameras, "default")
    assert {id(side.parameter) for side in sides} == {id(p) for p in develop.parameters()}
    for parameter, low, high in sides:
        assert (low <= parameter).all()
        assert (parameter <= high).all()
        assert (low < high).all()
        with torch.no_grad():
            parameter += 100
    learned.project(sides)
    assert all((side.parameter == side.high).all() for side in sides)
    for isp, start in zip(develop.isps, starts, strict=True):
        learned.restore(isp, start)
        assert learned.values(isp) == start


def test_what_is_not_to_be_learned_stays(tmp_path):
    rd.run(spec(settings=["learned"], learn=["white_balance", "gamma.gamma"]), tmp_path / "run")
    isp = record(tmp_path / "run", "learned_1_fold0").isps[0]
    moved = {n for n, v in isp.final.items() if v != isp.initial[n]}
    assert moved == {"white_balance.gains", "gamma.gamma"}


def test_pull_holds_the_isp_near_the_camera_and_its_views(tmp_path):
    free, held, alike = (
        _distance(tmp_path / name, pull)
        for name, pull in (
            ("free", Pull()), ("held", Pull(camera=1e4)), ("alike", Pull(views=1e4)),
        )
    )  # fmt: skip
    assert held < 0.5 * free
    assert alike != free


def _distance(run, pull):
    task = {"epochs": 4, "augment": "none"}
    rd.run(spec(task, settings=["learned"], isp_lr=0.02, pull=pull), run)
    isp = record(run, "learned_1_fold0").isps[0]
    start, end = (
        torch.cat([torch.tensor(x).flatten() for name, x in v.items() if "black" not in name])
        for v in (isp.initial, isp.final)
    )
    return float((start - end).norm())


def test_pull_to_views_has_no_slope_at_the_camera_and_is_differentiable_after_inference():
    camera = random_camera(3)
    what = Optimization(pull=Pull(views=1.0))
    develop = learned.learnable(what, [camera])
    penalty = learned.penalty(develop, what, [camera])
    mosaics, index = random_mosaic(0, 20, 20, (2,)).float(), torch.zeros(2, dtype=torch.long)
    with torch.inference_mode():
        assert float(penalty(mosaics, index, develop(mosaics, index))) == pytest.approx(0, abs=1e-5)
    with torch.no_grad():
        develop.isps[0].gamma.gamma += 0.5
    value = penalty(mosaics, index, develop(mosaics, index))
    value.backward()
    assert value > 1e-3
    assert develop.isps[0].gamma.gamma.grad > 0


def test_what_was_trained_is_kept_where_it_is_asked_for(tmp_path):
    run = tmp_path / "run"
    rd.run(spec(settings=["learned"], save_networks=True), run)
    held = load_file(run / "networks/learned_1_fold1.safetensors")
    end = record(run, "learned_1_fold1").isps[0].final
    assert held["front.pipelines.0.gamma.gamma"].item() == end["gamma.gamma"]
    assert held["net.1.5.weight"].shape == (9, 4)
    assert len(list((run / "networks").iterdir())) == 2


def test_what_was_trained_is_exported_and_answers_as_the_run_did(tmp_path, capsys):
    run, path = tmp_path / "run", tmp_path / "model.onnx"
    one = spec(settings=["learned", "direct"], save_networks=True, normalization="running")
    rd.run(one, run)
    options = ["--allow_import", "import:nets.blocks", "--out"]
    assert main(["export", str(run), "learned-1-fold2", *options, str(path)]) == 0
    assert "logits are those of PyTorch" in capsys.readouterr().out
    material = DriftOptimization(one).materials[1.0]
    test = material.splits[1].test
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    mosaics = material.data.mosaics[torch.from_numpy(test)].numpy() / np.float32(65535)
    (logits,) = session.run(["logits"], {"mosaic": mosaics})
    answered = record(run, "learned_1_fold1").history[-1].outcomes
    assert logits.argmax(1).tolist() == answered
    other = tmp_path / "other.onnx"
    for name, out, message in (
        ("learned-1-fold3", other, "learned-1-fold1"),
        ("direct-1-fold1", other, "no ISP of rawdrift"),
        ("learned-1-fold1", path, "exists already"),
        ("learned-1-fold1", tmp_path / "model.bin", ".onnx"),
    ):
        assert main(["export", str(run), name, *options, str(out)]) == 2
        assert message in capsys.readouterr().err
    shutil.rmtree(run / "networks")
    assert main(["export", str(run), "learned-1-fold1", *options, str(other)]) == 2
    assert "save_networks" in capsys.readouterr().err
    assert main(["export", str(tmp_path), "learned-1-fold1", *options, str(other)]) == 2
    assert "is not a run folder: it has no spec.yaml" in capsys.readouterr().err


def test_running_normalization_follows_the_isp_and_frozen_matched_has_it_too(tmp_path):
    settings = ["frozen", "learned", "frozen-matched"]
    one = spec(settings=settings, normalization="running", isp_lr=0.0)
    run = tmp_path / "run"
    assert rd.run(one, run).same == {}
    assert curve(run, "learned") == curve(run, "frozen-matched") != curve(run, "frozen")


@pytest.mark.parametrize("kind", ["killed", "processes"])
def test_the_same_bytes_after_a_kill_and_from_processes(kind, tmp_path, monkeypatch):
    one = spec({"epochs": 3}, isp_lr=0.01, normalization="running", pull=Pull(views=0.1))
    rd.run(one, tmp_path / "whole", Compute(threads=1))
    other = tmp_path / "other"
    if kind == "processes":
        rd.run(one, other, Compute("processes", 2, threads=1))
    else:
        monkeypatch.setattr(control, "CHECKPOINT_EVERY", 0.0)
        told, train = [], control.train

        def killed(*args, on_epoch, **kwargs):
            def stop():
                told.append(1)
                if len(told) == 9:  # in the last epoch of the third unit, the first that learns
                    raise KeyboardInterrupt
                on_epoch()

            return train(*args, on_epoch=stop, **kwargs)

        monkeypatch.setattr(control, "train", killed)
        with pytest.raises(KeyboardInterrupt):
            rd.run(one, other, Compute(threads=1))
        assert list((other / "records").glob("*.ckpt"))
        rd.run(one, other, Compute(threads=1))
        assert len(told) == 9 + 3 + 3  # of its three epochs two were kept
    assert (other / "results.csv").read_bytes() == (tmp_path / "whole/results.csv").read_bytes()
    first, second = (record(run, "learned_1_fold0").isps for run in (tmp_path / "whole", other))
    assert first == second


@pytest.mark.parametrize("name", ["gamma.gamma", "sharpen.radius"])
def test_a_diverged_training_is_recorded_and_never_as_a_number(name, tmp_path, monkeypatch):
    train = control.train

    def diverge(*args, course, **kwargs):
        develop = args[3]

        def after_step():
            if course.history and isinstance(develop, Develop) and course.lr:
                with torch.no_grad():
                    develop.isps[0].get_parameter(name).fill_(torch.nan)

        course.after_step = after_step
        return train(*args, course=course, **kwargs)

    monkeypatch.setattr(control, "train", diverge)
    one = spec(isp="bi,u,ga")
    result = rd.run(one, tmp_path / "run")
    assert result.failed == {}
    found = [r for r in rows(tmp_path / "run") if r["setting"] == "learned"]
    assert [(r["epoch"], r["split"]) for r in found if r["metric"] == "diverged"] == [
        ("2", "train")
    ] * 2
    assert {r["epoch"] for r in found if r["metric"] != "diverged"} == {"1"}
    assert [row.setting for row in result.table] == ["frozen"]
    assert [(d.setting, d.epoch) for d in result.diverged] == [("learned", 2)] * 2
    assert result.differences == []
    assert rd.load_result(tmp_path / "run") == result
    assert rd.run(one, tmp_path / "run") == result


OWN_STEP = """
from rawdrift.isp import Number, Step

class Lift(Step):
    numbers = {"amount": Number(default=1.0), "map": Number(shape=(4, 4), default=[[1.0] * 4] * 4)}

    def forward(self, x):
        return x * self.amount.to(x) * self.map.mean().to(x)
"""


def test_the_isp_of_a_file_with_a_step_of_ones_own_is_learned(tmp_path, monkeypatch):
    (tmp_path / "own_lift.py").write_text(OWN_STEP)
    monkeypatch.syspath_prepend(tmp_path)
    from own_lift import Lift

    camera = DriftOptimization(spec()).material.data.cameras[0]
    isp = rd.isp.static("bi,u,ga", camera).remove("denoise")
    path, run, allowed = tmp_path / "own.toml", tmp_path / "run", ["import:own_lift.Lift"]
    rd.isp.save(isp.insert("lift", Lift.of(camera), before="gamma"), path, camera)
    one = spec(isp=str(path), isp_lr=0.01, bounds="default", pull=Pull(views=0.1))
    with pytest.raises(rd.InputError, match="names code to import"):
        rd.run(one, run)
    result = rd.run(one, run, allow_import=allowed)
    assert curve(run, "learned") != curve(run, "frozen")
    for learnt in result.isps:
        loaded = rd.isp.load(run / learnt.file, allow_import=allowed)
        assert {n: v.tolist() for n, v in loaded.state_dict().items()} == learnt.final
        assert learnt.final["lift.amount"] != 1
        assert abs(learnt.final["lift.amount"] - 1) <= 0.2
    page = text_of(write_page(run).read_text())
    assert "The ISP own starts at the values of its file" in page
    assert "lift amount" in page
    rd.isp.save(isp, path, camera)
    with pytest.raises(rd.InputError, match="an ISP file.* changed since"):
        rd.run(one, run)


OWN_METRIC = """
import numpy as np

def of_the_first_class(outcomes, truth):
    return np.where(truth == 0, outcomes == truth, np.nan)

def of_none(outcomes, truth):
    return np.full(len(truth), np.nan)
"""


def test_settings_are_compared_by_the_users_own_metric(tmp_path, monkeypatch):
    (tmp_path / "own_metric.py").write_text(OWN_METRIC)
    monkeypatch.syspath_prepend(tmp_path)
    one = spec({"metric": "import:own_metric.of_the_first_class", "epochs": 1})
    result = rd.run(one, tmp_path / "run")
    assert result.metric == "import:own_metric.of_the_first_class"
    material = DriftOptimization(one).material
    for row in result.table:
        right = []
        for fold, split in enumerate(material.splits):
            answers = record(tmp_path / "run", f"{row.setting}_1_fold{fold}").history[0].outcomes
            first = material.targets.truth[split.test] == 0
            right.append(np.mean(np.array(answers)[first] == 0))
        assert row.mean == np.mean(right)
    undefined = spec({"metric": "import:own_metric.of_none", "epochs": 1})
    with pytest.raises(rd.InputError, match=r"of_none of frozen at intensity 1 is not defined"):
        rd.run(undefined, tmp_path / "undefined")


@pytest.mark.parametrize("channels", [3, 4])
def test_masks_are_segmented_in_every_setting(channels, tmp_path):
    one = OptimizationSpec(
        Data("synthetic-drone", images=24, size=33 if channels == 3 else 32),
        Optimization(
            ["frozen", "learned", "direct"], intensities=[0.25], folds=2, direct_channels=channels
        ),
        Task(
            "import:nets.pixels",
            kind="segmentation", loss="cross_entropy", epochs=2, batch_size=8, precision="32",
            lr=0.1,
        ),
    )  # fmt: skip
    result = rd.run(one, tmp_path / "run")
    assert result.metric == "iou"
    assert {row.setting for row in result.table} == {"frozen", "learned", "direct"}
    assert result.data.groups == 2
    assert {sample.label for sample in result.samples} == {None}

    def mask(name):
        return read_picture(tmp_path / "run", name)[..., 0]

    for sample in result.samples:
        assert mask(sample.truth).shape == (one.data.size, one.data.size)
        assert set(sample.masks) == {"frozen", "learned", "direct"}
        for masks in sample.masks.values():
            assert set(np.unique(mask(masks.last))) <= {0.0, 1.0}
    pairs = [m for sample in result.samples for m in sample.masks.values()]
    assert any((mask(m.first) != mask(m.last)).any() for m in pairs)  # it learns meanwhile
    assert result.less_light == []  # at one intensity


def test_several_cameras_have_an_isp_each_of_their_own(tmp_path):
    labels = [
        {"image": f"{i}.tif", "label": "ab"[i % 2], "camera": f"c{i // 6}.toml"} for i in range(12)
    ]
    root = write_folder(tmp_path / "data", labels, dark=("a",))
    for i in range(2):
        replace(random_camera(i, "RGGB"), name=f"c{i}").save(root / f"c{i}.toml")
    one = spec(
        {"model": "import:nets.blocks"},
        data=Data("folder", str(root)),
        settings=["learned"],
    )
    result = rd.run(one, tmp_path / "run")
    assert [isp.camera for isp in result.isps] == ["c0", "c1"] * 2
    first, second = result.isps[:2]
    assert first.initial != second.initial
    for isp in (first, second):
        assert isp.final["white_balance.gains"] != isp.initial["white_balance.gains"]
        loaded = rd.isp.load(tmp_path / "run" / isp.file)
        for name, value in isp.final.items():
            assert loaded.state_dict()[name].tolist() == value


BAD = [
    ({"settings": ["learnt"]}, "unknown setting .*'learnt'.*did you mean 'learned'"),
    ({"settings": []}, "optimization.settings is empty"),
    ({"settings": ["frozen", "frozen"]}, "must not repeat a value"),
    ({"intensities": [0.02]}, "optimization.intensities must be among 0.01, 0.05"),
    ({"isp": "bi,s"}, "unknown optimization.isp"),
    ({"isp_lr": -1}, "isp_lr must be a number of at least 0"),
    ({"direct_channels": 5}, "must be 3 or 4"),
    ({"normalization": "batch"}, "choose one of fixed; running"),
    ({"bounds": "tight"}, "choose one of none; default"),
]


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_impossible_fields_are_refused(fields, message):
    with pytest.raises(rd.InputError, match=message):
        Optimization(**fields)


UNFIT = [
    ({"learn": ["gama"]}, "did you mean 'gamma'"),
    ({"bounds": {"gamma.gamma": [1.0, 2.0]}}, "gamma.gamma, 1 to 2, leaves out its value"),
    ({"bounds": {"color_correction.hue": [-10, 10]}}, "turns a parameter as a whole"),
    ({"bounds": {"gamma.gama": 0.1}}, "unknown parameter of this pipeline"),
    ({"bounds": {"gamma.gamma": 0.1}, "learn": ["denoise"]}, "learn leaves out"),
    ({"learn": ["sharpen.radius"]}, "parameter of bi,s,ga in optimization.learn"),
]


@pytest.mark.parametrize(("fields", "message"), UNFIT)
def test_what_does_not_fit_the_isp_is_refused_before_anything_is_trained(fields, message, tmp_path):
    with pytest.raises(rd.InputError, match=message):
        rd.run(spec(**fields), tmp_path / "run")


def test_an_intensity_that_the_data_cannot_give_is_refused(tmp_path, capsys):
    root = write_folder(
        tmp_path / "data", [{"image": f"{i}.tif", "label": "ab"[i % 2]} for i in range(8)]
    )
    command = ["optimization", "--data.root", str(root), "--out", str(tmp_path / "run")]
    assert (
        main([*command, "--optimization.intensities", "[0.05]", "--optimization.folds", "2"]) == 2
    )
    error = capsys.readouterr().err
    assert "optimization.intensities names 0.05, which the data can't give" in error
    with pytest.raises(rd.InputError, match="name them in optimization.intensities"):
        OptimizationSpec(replace(SPEC.data, intensity=0.5))


def test_gradients_are_finite_near_black_and_white_and_autocast_leaves_them(monkeypatch):
    camera = rd.Camera("dim", "RGGB", black_level=(0.1,) * 4, white_balance=(2.0, 1.0, 1.5))
    mosaics = torch.stack(
        [torch.full((12, 12), value) for value in (0.0, 0.1, 0.1 + 1e-7, 0.5, 1.0)]
    )
    index = torch.zeros(5, dtype=torch.long)
    weights = torch.linspace(-1, 1, 3)[:, None, None]
    found = {}
    for autocast in (False, True):
        develop = Develop.parametrized("bi,s,ga", [camera], "luma")
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            views = develop(mosaics, index)
        (views * weights).square().sum().backward()
        found[autocast] = {n: p.grad for n, p in develop.named_parameters()}
    for name, gradient in found[False].items():
        assert gradient.isfinite().all(), name
        assert gradient.abs().max() > 0, name
        assert torch.equal(gradient, found[True][name]), name


def test_parameters_that_leave_physics_are_named():
    camera = rd.Camera.load(
        "raw-microscopy"
    )  # whose white balance and matrix have signs that cancel
    isp = rd.isp.parametrized("bi,u,ga", camera)
    start = learned.values(isp)
    assert list(violations(kinds("bi,u,ga"), start, start, [0.1] * 4)) == []
    changed = {
        "black_level.level": [0.2, 0, -0.01, 0],
        "white_balance.gains": [0.6567, 1.9673, 3.5304],
        "color_correction.matrix": [[1.0, 1, 1], [1, 1, 1], [1, 1, 1]],
        "demosaic.kernels": torch.tensor(start["demosaic.kernels"]).mul(2).tolist(),
        "denoise.kernel": torch.tensor(start["denoise.kernel"]).mul(0.5).tolist(),
        "sharpen.radius": -0.1,
        "gamma.gamma": 0.1,
    }
    assert set(changed) | {"sharpen.amount"} == set(start)
    for name, value in changed.items():
        found = list(violations(kinds("bi,u,ga"), start, {**start, name: value}, [0.1] * 4))
        assert {v.parameter for v in found} == {name}, name
    mirrored = [[2.0338, 0, 0], [0, 2, 0], [0, 0, 2]]  # by the sign of the camera's determinant
    assert list(
        violations(
            kinds("bi,u,ga"), start, {**start, "color_correction.matrix": mirrored}, [0.1] * 4
        )
    )


@pytest.mark.parametrize("size", [(12, 14), (11, 13)])
def test_packed_raw_is_the_mosaic_without_black_level_by_color(size):
    cameras = tuple(random_camera(i, cfa) for i, cfa in enumerate(("RGGB", "GBRG")))
    mosaics = random_mosaic(2, *size, (4,)).float()
    index = torch.tensor([0, 1, 0, 1])
    four, three = (Packed(cameras, channels)(mosaics, index) for channels in (4, 3))
    assert four.shape == (4, 4, 6, 7)
    for i, camera in enumerate((cameras[0], cameras[1])):
        isp = rd.isp.static("bi,s,ga", camera)
        x = isp.black_level(mosaics[i])
        red = (0, 0) if i == 0 else (1, 0)
        there = x[red[0] :: 2, red[1] :: 2]
        assert torch.allclose(four[i, 0, : there.shape[0], : there.shape[1]], there)
        blue = x[1 - red[0] :: 2, 1 - red[1] :: 2]
        assert torch.allclose(three[i, 2, : blue.shape[0], : blue.shape[1]], blue)
    assert torch.equal(three[:, 1], (four[:, 1] + four[:, 2]) / 2)


def test_a_network_for_four_channels_answers_as_the_one_for_three():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Flatten())
    view = torch.rand(2, 3, 8, 8)
    before = net(view)
    widen(net)
    assert torch.allclose(net(view[:, [0, 1, 1, 2]]), before, atol=1e-6)
    with pytest.raises(rd.InputError, match="begins with a convolution of three channels"):
        widen(nn.Sequential(nn.Flatten(), nn.Linear(3, 2)))
    assert Upsampled(nn.Conv2d(3, 2, 1), (15, 16))(torch.rand(1, 3, 8, 8)).shape == (1, 2, 15, 16)


def test_a_neural_isp_makes_views_and_is_learned():
    camera = random_camera(4, "RGGB")
    data = RawDataset(
        random_mosaic(0, 24, 24, (6,)).float(), tuple("abcdef"), (camera,),
        torch.zeros(6, dtype=torch.long), ("x", "y"), torch.arange(6) % 2,
    )  # fmt: skip
    front = NeuralISP([camera])
    before = [p.detach().clone() for p in front.parameters()]
    with torch.no_grad():
        views = front.eval()(data.mosaics, data.camera_index)
    assert views.shape == (6, 3, 24, 24)
    assert views.min() >= 0
    assert views.max() <= 1
    from rawdrift.models.targets import targets_of

    course = Course({name: 1e-2 for name, _ in front.named_parameters()}, running=True)
    task = replace(SPEC.task, epochs=1)
    training.train(
        data, targets_of(data, task), torch.arange(6), front, task, seed=0, course=course
    )
    moved = [not torch.equal(a, b) for a, b in zip(before, front.parameters(), strict=True)]
    assert sum(moved) > len(moved) / 2


def test_a_plan_costs_little_and_changes_nothing(tmp_path):
    one = spec(settings=["frozen", "static-best"], folds=2)
    found = rd.plan(one, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert (found.units, found.done) == (4, 0)
    experiment = DriftOptimization(one)
    assert experiment.steps(experiment.units[-1]) == 13 * 2


def test_the_choice_of_static_best_carries_on_after_a_kill(tmp_path, monkeypatch):
    one = spec({"epochs": 1}, settings=["static-best"])
    whole = rd.run(one, tmp_path / "whole", Compute(threads=1))
    trained, train = [], control.train

    def killed(*args, **kwargs):
        trained.append(1)
        if len(trained) == 6:
            raise KeyboardInterrupt
        return train(*args, **kwargs)

    monkeypatch.setattr(control, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        rd.run(one, tmp_path / "run", Compute(threads=1))
    again = rd.run(one, tmp_path / "run", Compute(threads=1))
    assert len(trained) == 1 + 2 * 13
    assert again.choices == whole.choices
    assert not list((tmp_path / "run/records").glob("*.scores"))


def test_static_best_needs_images_to_validate_on(tmp_path):
    one = OptimizationSpec(
        Data("synthetic-drone", images=24, size=32),
        Optimization(["static-best"], intensities=[1.0], folds=2),
        Task("import:nets.pixels", kind="segmentation", loss="cross_entropy", epochs=1),
    )
    with pytest.raises(rd.InputError, match="inner validation needs two groups"):
        rd.run(one, tmp_path / "run")


def test_pull_from_clipping_is_the_mean_square_of_the_excess_over_all_cameras():
    cameras = random_camera(3), random_camera(4)
    what = Optimization(isp="me,u,me", pull=Pull(clipping=2.0))
    develop = learned.learnable(what, cameras)
    with torch.no_grad():
        for isp in develop.isps:
            isp.white_balance.gains *= 3
    penalty = learned.penalty(develop, what, cameras)
    mosaics = random_mosaic(0, 20, 20, (5,)).float()
    index = torch.tensor([0, 1, 1, 0, 1])
    linear = torch.stack(
        [develop.isps[i].trace(m)[1]["denoise"] for i, m in zip(index, mosaics, strict=True)]
    )
    excess = torch.where(linear < 0, linear, torch.relu(linear - 1))
    value = penalty(mosaics, index, develop(mosaics, index))
    expected = 2 * float(excess.detach().square().mean())
    assert float(value.detach()) == pytest.approx(expected, rel=1e-5)
    assert expected > 0.01
    value.backward()
    assert all(isp.white_balance.gains.grad.abs().max() > 0 for isp in develop.isps)


def test_what_is_clipped_is_counted_on_the_views_of_each_camera():
    cameras = random_camera(3, "RGGB"), random_camera(4, "RGGB")
    mosaics = random_mosaic(0, 20, 20, (6,)).float()
    data = RawDataset(mosaics, tuple("abcdef"), cameras, torch.tensor([0, 1, 1, 0, 1, 0]))
    develop = learned.learnable(Optimization(isp="bi,s,me"), cameras)
    for camera, images in ((0, [0, 3]), (1, [1, 2])):
        with torch.no_grad():
            views = develop.isps[camera](mosaics[images])
        found = clipped(develop.isps[camera], data, torch.tensor([0, 1, 2, 3]), camera)
        assert found["black"] == pytest.approx(float((views == 0).double().mean()))
        assert found["white"] == pytest.approx(float((views == 1).double().mean()))
        assert sum(found.values()) > 0
