"""Drift synthesis beyond training on one machine: trained models, failures, masks, other executors."""

import json
import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

import nets
import rawdrift as rd
from rawdrift import report
from rawdrift.controls import synthesis
from rawdrift.controls.plan import plan
from rawdrift.controls.synthesis.spec import Synthesis, SynthesisSpec
from rawdrift.data.spec import Data
from rawdrift.models.spec import Task
from rawdrift.runs.executor import Compute

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
        synthesis.run(SPEC, tmp_path / kind, Compute(kind, workers, threads=1))
        runs[kind] = (tmp_path / kind / "results.csv").read_bytes()
    assert runs["inline"] == runs["processes"]
    assert not list((tmp_path / "processes/records").glob("*.ckpt"))


def test_a_run_that_was_killed_ends_with_the_same_results(tmp_path):
    run = tmp_path / "run"
    synthesis.run(SPEC, run)
    before = (run / "results.csv").read_bytes()
    (run / "records/bi-s-ga_fold0.json").unlink()
    (run / "results.csv").write_bytes(before[: len(before) // 2])  # within a line
    synthesis.run(SPEC, run)
    assert (run / "results.csv").read_bytes() == before


def test_a_trained_model_is_tested_without_training(tmp_path, monkeypatch):
    monkeypatch.setattr(synthesis, "train", None)
    task = Task(SPEC.task.model, checkpoint=checkpoint(tmp_path / "net.safetensors", 9))
    one = replace(SPEC.synthesis, train=["ma,u,me"])
    summary = synthesis.run(SynthesisSpec(SPEC.data, one, task), tmp_path / "run")
    assert not summary["trained_here"]
    assert (summary["train"], summary["folds"], summary["data"]["images"]) == (["ma,u,me"], 1, 18)
    assert len(summary["cells"]) == 12 + 2
    assert {cell["n"] for cell in summary["cells"]} == {18}
    assert all(cell["std"] is None for cell in summary["cells"])
    with pytest.raises(rd.InputError, match="the one pipeline whose views it was trained on"):
        SynthesisSpec(SPEC.data, SPEC.synthesis, task)


def test_a_unit_that_fails_does_not_stop_the_rest_and_is_tried_again(tmp_path, monkeypatch):
    train = synthesis.train

    def diverge(data, targets, indices, develop, *args, **kwargs):
        if type(develop.pipelines[0].denoise).__name__ == "MedianDenoising":
            raise rd.InputError("the training has diverged")
        return train(data, targets, indices, develop, *args, **kwargs)

    monkeypatch.setattr(synthesis, "train", diverge)
    summary = synthesis.run(SPEC, tmp_path / "run")
    assert summary["train"] == ["bi,s,ga"]
    assert summary["failed"] == {
        f"ma,u,me fold {fold}": "the training has diverged" for fold in (1, 2)
    }
    monkeypatch.setattr(synthesis, "train", train)
    summary = synthesis.run(SPEC, tmp_path / "run")
    assert summary["train"] == ["bi,s,ga", "ma,u,me"]
    assert summary["failed"] == {}

    monkeypatch.setattr(synthesis, "train", lambda *args, **kwargs: diverge(*args))
    only = replace(SPEC, synthesis=replace(SPEC.synthesis, train=["ma,u,me"]))
    with pytest.raises(rd.InputError, match="no pipeline.*: the training has diverged"):
        synthesis.run(only, tmp_path / "none")


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
    summary = synthesis.run(with_isps(path), run)
    assert summary["train"] == ["ma,u,me", "learned"]
    assert summary["test"] == [*rd.isp.CONFIGURATIONS, "learned"]
    assert list(summary["views"]["views"]) == summary["test"]
    value = {
        (cell["train"], cell["test"], cell["severity"]): (cell["mean"], cell["ssim"])
        for cell in summary["cells"]
    }
    for test in [(name, 0) for name in summary["test"]] + [("contrast", 5)]:
        assert value["learned", *test] == value["ma,u,me", *test]
    for train in summary["train"]:
        assert value[train, "learned", 0] == value[train, "ma,u,me", 0]
    assert report.write(run).is_file()

    rd.isp.save(rd.isp.static("ma,u,ga", camera), path, camera)
    with pytest.raises(rd.InputError, match="or an ISP file, since .* was begun"):
        synthesis.run(with_isps(path), run)


def test_isp_files_that_do_not_fit(tmp_path):
    for cfa, name in [("BGGR", "other"), ("RGGB", "bi,s,ga")]:
        camera = rd.Camera("camera", cfa)
        rd.isp.save(rd.isp.static("bi,s,ga", camera), tmp_path / f"{name}.toml", camera)
    with pytest.raises(
        rd.InputError, match=r"one camera \(BGGR, 16 bits\).*of .*\(RGGB, 16 bits\)"
    ):
        synthesis.run(with_isps(tmp_path / "other.toml", train=["other"]), tmp_path / "run")
    with pytest.raises(rd.InputError, match="two pipelines are called 'bi,s,ga'"):
        with_isps(tmp_path / "bi,s,ga.toml")
    with pytest.raises(rd.InputError, match="unknown pipeline in synthesis.train 'learned'.*other"):
        with_isps(tmp_path / "other.toml")
    with pytest.raises(rd.InputError, match="no.toml' is no file"):
        with_isps(tmp_path / "no.toml")
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
    summary = synthesis.run(spec, tmp_path / "run")
    assert (summary["metric"], summary["data"]["task"]) == ("iou", "segmentation")
    assert summary["data"]["groups"] == 2
    record = json.loads((tmp_path / "run/records/bi-s-ga_fold0.json").read_text())["record"]
    metrics = {row["metric"] for row in record["rows"]}
    assert metrics == {"iou", "dice", "image_iou", "image_dice"}
    cell = summary["cells"][0]
    pixels = torch.tensor(
        [
            json.loads((tmp_path / f"run/records/bi-s-ga_fold{fold}.json").read_text())["record"][
                "outcomes"
            ]["isp/bi,s,me"]
            for fold in (0, 1)
        ]
    ).sum(dim=(0, 1))[0]
    assert cell["mean"] == pytest.approx(float(pixels[0] / (pixels[1] + pixels[2] - pixels[0])))


def test_a_plan_says_what_is_left_and_changes_nothing(tmp_path, capsys):
    out = tmp_path / "run"
    before = plan(synthesis.DriftSynthesis, SPEC, out)
    assert not out.exists()
    assert (before.units, before.done) == (4, 0)
    assert before.about.startswith("18 images, each tested in 14 cases")
    assert before.seconds > 0
    assert not before.seen
    synthesis.run(SPEC, out)
    after = plan(synthesis.DriftSynthesis, SPEC, out)
    assert (after.units, after.done, after.seen) == (4, 4, True)
    text = "\n".join(after.lines(workers=2))
    assert re.search(r"4 units, 4 done, 0 to do", text)
    assert "about 0 min with 2 at a time" in text
