"""Drift synthesis beyond training on one machine: trained models, failures, masks, other executors."""

import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

import nets
import rawdrift as rd
from rawdrift.controls.run import write_page
from rawdrift.controls.synthesis import experiment
from rawdrift.controls.synthesis.spec import Synthesis, SynthesisSpec
from rawdrift.corruptions import NAMES
from rawdrift.data.spec import Data
from rawdrift.models.case import Case
from rawdrift.models.spec import Task
from rawdrift.report.pictures import read_picture
from rawdrift.runs.compute import Compute
from rawdrift.runs.store import Store

SPEC = SynthesisSpec(
    Data("synthetic-microscopy", images=18, size=32, balanced=True),
    Synthesis(["bi,s,ga", "ma,u,me"], folds=2, corruptions=["contrast"], severities=[1, 5]),
    Task("import:nets.blocks", epochs=1, batch_size=8, lr=1e-2, precision="32"),
)


def checkpoint(path, classes):
    torch.manual_seed(1)
    save_file(nets.blocks(classes).state_dict(), path)
    return str(path)


def test_processes_give_the_bytes_of_one_after_the_other(tmp_path):
    runs = {}
    for kind in ("inline", "processes"):
        workers = 2 if kind == "processes" else None
        rd.run(SPEC, tmp_path / kind, Compute(kind, workers, threads=1))
        runs[kind] = (tmp_path / kind / "results.csv").read_bytes()
    assert runs["inline"] == runs["processes"]
    assert not list((tmp_path / "processes/records").glob("*.ckpt"))


def test_a_run_that_was_killed_ends_with_the_same_results(tmp_path):
    run = tmp_path / "run"
    rd.run(SPEC, run)
    before = (run / "results.csv").read_bytes()
    (run / "records/bi-s-ga_fold0.json").unlink()
    (run / "results.csv").write_bytes(before[: len(before) // 2])  # within a line
    rd.run(SPEC, run)
    assert (run / "results.csv").read_bytes() == before


def test_a_trained_model_is_tested_without_training(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "train", None)
    task = Task(SPEC.task.model, checkpoint=checkpoint(tmp_path / "net.safetensors", 9))
    one = replace(SPEC.synthesis, train=["ma,u,me"])
    result = rd.run(SynthesisSpec(SPEC.data, one, task), tmp_path / "run")
    assert not result.trained_here
    assert (result.train, result.folds, result.data.images) == (["ma,u,me"], 1, 18)
    assert len(result.cells) == 12 + 2
    assert {cell.n for cell in result.cells} == {18}
    assert all(cell.std is None for cell in result.cells)
    with pytest.raises(rd.InputError, match="the one pipeline whose views it was trained on"):
        SynthesisSpec(SPEC.data, SPEC.synthesis, task)


def test_a_unit_that_fails_does_not_stop_the_rest_and_is_tried_again(tmp_path, monkeypatch):
    train = experiment.train

    def diverge(data, targets, indices, develop, *args, **kwargs):
        if type(develop.pipelines[0].denoise).__name__ == "MedianDenoising":
            raise rd.InputError("the training has diverged")
        return train(data, targets, indices, develop, *args, **kwargs)

    monkeypatch.setattr(experiment, "train", diverge)
    result = rd.run(SPEC, tmp_path / "run")
    assert result.train == ["bi,s,ga"]
    assert result.failed == {f"ma,u,me fold {fold}": "the training has diverged" for fold in (1, 2)}
    monkeypatch.setattr(experiment, "train", train)
    result = rd.run(SPEC, tmp_path / "run")
    assert result.train == ["bi,s,ga", "ma,u,me"]
    assert result.failed == {}

    monkeypatch.setattr(experiment, "train", lambda *args, **kwargs: diverge(*args))
    only = replace(SPEC, synthesis=replace(SPEC.synthesis, train=["ma,u,me"]))
    with pytest.raises(rd.InputError, match="no pipeline.*: the training has diverged"):
        rd.run(only, tmp_path / "none")


def with_isps(*paths, train=("ma,u,me", "learned")):
    of = Synthesis(
        list(train), folds=2, corruptions=["contrast"], severities=[5], isps=[*map(str, paths)]
    )
    return replace(SPEC, synthesis=of)


def test_an_isp_file_is_trained_on_and_tested_as_the_twelve_are(tmp_path):
    """A file with the numbers of one of the twelve gives what that one gives."""
    camera = rd.Camera.load("raw-microscopy")
    path, run = tmp_path / "learned.toml", tmp_path / "run"
    rd.isp.save(rd.isp.parametrized("ma,u,me", camera), path, camera)
    result = rd.run(with_isps(path), run)
    assert result.train == ["ma,u,me", "learned"]
    assert result.test == [*rd.isp.CONFIGURATIONS, "learned"]
    views = result.views
    assert list(views.views) == result.test
    assert list(views.tested) == result.corruptions
    assert sorted([*views.tested, *views.others]) == sorted(NAMES[1:])
    names = [*views.views.values(), *views.tested.values(), *views.others.values()]
    assert len({read_picture(run, name).tobytes() for name in names}) == len(names) - 1

    def numbers(train, case):
        cell = result.cell(train, case)
        return cell.mean, cell.ssim

    for case in result.cases():
        assert numbers("learned", case) == numbers("ma,u,me", case)
    for train in result.train:
        assert numbers(train, Case("isp", "learned")) == numbers(train, Case("isp", "ma,u,me"))
    assert write_page(run).is_file()

    rd.isp.save(rd.isp.static("ma,u,ga", camera), path, camera)
    with pytest.raises(rd.InputError, match="an ISP file.* have changed since .* was begun"):
        rd.run(with_isps(path), run)


def test_pipelines_without_steps_and_files_are_named_in_train(tmp_path):
    camera = rd.Camera.load("raw-microscopy")
    path, run = tmp_path / "plain.toml", tmp_path / "run"
    rd.isp.save(rd.isp.static("bi,-,-", camera), path, camera)
    of = Synthesis(["bi,-,-", str(path)], folds=2, corruptions=[])
    assert of.train == ["bi,-,-", "plain"]
    assert of.isps == ["bi,-,-", str(path)]
    assert Synthesis(of.train, folds=2, corruptions=[], isps=of.isps) == of  # as in spec.yaml
    result = rd.run(replace(SPEC, synthesis=of), run)
    assert result.test == [*rd.isp.CONFIGURATIONS, "bi,-,-", "plain"]
    for case in result.cases():
        cells = [result.cell(train, case) for train in of.train]
        assert cells[0].mean == cells[1].mean
    with pytest.raises(
        rd.InputError, match="unknown pipeline in synthesis.train 'bi,-,x'.*step out"
    ):
        Synthesis(["bi,-,x"])


def test_isp_files_that_do_not_fit(tmp_path):
    for cfa, name in [("BGGR", "other"), ("RGGB", "bi,s,ga")]:
        camera = rd.Camera("camera", cfa)
        rd.isp.save(rd.isp.static("bi,s,ga", camera), tmp_path / f"{name}.toml", camera)
    with pytest.raises(
        rd.InputError, match=r"one camera \(BGGR, 16 bits\).*of .*\(RGGB, 16 bits\)"
    ):
        rd.run(with_isps(tmp_path / "other.toml", train=["other"]), tmp_path / "run")
    with pytest.raises(rd.InputError, match="two pipelines are called 'bi,s,ga'"):
        with_isps(tmp_path / "bi,s,ga.toml")
    with pytest.raises(rd.InputError, match="unknown pipeline in synthesis.train 'learned'.*other"):
        with_isps(tmp_path / "other.toml")
    with pytest.raises(rd.InputError, match="no.toml' is not a file"):
        with_isps(tmp_path / "no.toml")
    with pytest.raises(rd.InputError, match="black boxes stand in synthesis.isps"):
        Synthesis(["bi,s,ga"], test=["libraw:demosaic=AHD"])
    assert not (tmp_path / "run").exists()


def test_masks_are_segmented(tmp_path):
    spec = SynthesisSpec(
        Data("synthetic-drone", images=24, size=32),
        Synthesis(["bi,s,ga"], folds=2, corruptions=["brightness"], severities=[3]),
        Task(
            "import:nets.pixels",
            kind="segmentation", loss="cross_entropy", epochs=1, batch_size=8, precision="32",
        ),
    )  # fmt: skip
    result = rd.run(spec, tmp_path / "run")
    assert (result.metric, result.data.task) == ("iou", "segmentation")
    assert result.data.groups == 2
    kind = experiment.DriftSynthesis
    store = Store(tmp_path / "run", spec, kind.columns, kind.record)
    records = [store.read(f"bi-s-ga_fold{fold}").record for fold in (0, 1)]
    metrics = {row["metric"] for row in records[0].rows}
    assert metrics == {"iou", "dice", "image_iou", "image_dice"}
    pixels = [torch.tensor(record.outcomes["isp/bi,s,me"]) for record in records]
    shared, found, there = torch.cat(pixels).sum(0)[0].tolist()
    assert result.cells[0].mean == pytest.approx(shared / (found + there - shared))
    for _, worst in result.worst.items():
        for image in worst.images:
            truth = read_picture(tmp_path / "run", image.truth) > 0
            for mask, score in (
                (image.matched_mask, image.matched_score),
                (image.mask, image.score),
            ):
                answer = read_picture(tmp_path / "run", mask) > 0
                if score is None:
                    assert not (truth | answer).any()
                else:
                    assert score == pytest.approx((truth & answer).sum() / (truth | answer).sum())


def test_a_plan_says_what_is_left_and_changes_nothing(tmp_path, capsys):
    out = tmp_path / "run"
    before = rd.plan(SPEC, out)
    assert not out.exists()
    assert (before.units, before.done) == (4, 0)
    assert before.about.startswith("18 images, each tested in 14 cases")
    assert before.seconds > 0
    assert not before.seen
    rd.run(SPEC, out)
    after = rd.plan(SPEC, out)
    assert (after.units, after.done, after.seen) == (4, 4, True)
    text = "\n".join(after.lines(workers=2))
    assert re.search(r"4 units, 4 done, 0 to do", text)
    assert "about 0 min with 2 at a time" in text


def test_models_are_compared_by_a_metric_of_the_users_own(tmp_path, monkeypatch):
    """Its values are those of its function's mean over images; its range is not known."""
    (tmp_path / "mine.py").write_text(
        "def worth(outcomes, truth): return 3.0 * (outcomes == truth)"
    )
    monkeypatch.chdir(tmp_path)
    task = replace(SPEC.task, metric="import:mine.worth")
    result = rd.run(replace(SPEC, task=task), tmp_path / "run")
    assert result.metric == "import:mine.worth"
    for cell in result.cells:
        assert cell.mean == pytest.approx(3 * cell.further["accuracy"])
    page = write_page(tmp_path / "run").read_text()
    assert "worth" in page
    assert rd.load_result(tmp_path / "run") == result


def test_a_grid_of_nothing_but_the_own_views_is_refused():
    with pytest.raises(rd.InputError, match=r"nothing is tested but bi,s,ga.*synthesis\.test"):
        rd.Synthesis(train=["bi,s,ga"], test=["bi,s,ga"], corruptions=[])
