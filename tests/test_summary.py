"""What the summary says of invented answers."""

import numpy as np
import pytest
import torch

import rawdrift as rd
from rawdrift.controls.summary import summarize
from rawdrift.data.dataset import RawDataset
from rawdrift.data.splits import Split
from rawdrift.runs.spec import Data, Synthesis, SynthesisSpec

N = 300


def summary(tmp_path, wrong, groups=None, folds=3):
    """wrong: (train, test) -> which of N images get a wrong answer; others get none."""
    trained = list(dict.fromkeys(train for train, _ in wrong))
    labels = torch.arange(N) % 2
    data = RawDataset(
        mosaics=torch.zeros(N, 8, 8, dtype=torch.uint16),
        images=tuple(map(str, range(N))),
        cameras=(rd.Camera(name="x", cfa="RGGB"),),
        camera_index=torch.zeros(N, dtype=torch.long),
        classes=("a", "b"),
        labels=labels,
        groups=groups,
    )
    order = np.random.default_rng(0).permutation(N)
    tests = [np.sort(part) for part in np.array_split(order, folds)]
    splits = [Split(np.setdiff1d(order, test), test) for test in tests]
    answers = {}
    for train in trained:
        for test in rd.isp.CONFIGURATIONS:
            answers[train, test] = labels.numpy().copy()
            answers[train, test][list(wrong.get((train, test), ()))] ^= 1
    records = [
        {
            "train": train,
            "fold": fold,
            "predictions": {t: answers[train, t][split.test].tolist() for t in rd.isp.CONFIGURATIONS},
            "device": "cpu", "precision": "32-true", "threads": 1, "torch": "2", "seconds": 1.0,
            "finished": f"2026-11-22T21:40:0{fold}+00:00",
        }
        for train in trained
        for fold, split in enumerate(splits)
    ]  # fmt: skip
    spec = SynthesisSpec(Data("synthetic-microscopy"), Synthesis(train=trained, folds=folds))
    return summarize(spec, data, splits, records, tmp_path)


def everywhere(train, images):
    return {(train, test): set(images) for test in rd.isp.CONFIGURATIONS}


def test_a_weak_pipeline_does_not_hide_the_drop_of_another(tmp_path):
    wrong = everywhere("bi,s,ga", range(136)) | everywhere("ma,u,me", range(20))
    wrong["ma,u,me", "me,s,me"] = set(range(95))
    worst = summary(tmp_path, wrong)["worst"]
    assert (worst["train"], worst["test"]) == ("ma,u,me", "me,s,me")
    assert worst["is_drop"]
    assert worst["drop"] == pytest.approx(75 / 300)
    assert worst["low"] < 0.25 < worst["high"]
    assert [image["label"] != image["prediction"] for image in worst["images"]] == [True] * 6


def test_no_drop_is_claimed_where_nothing_changes(tmp_path):
    found = summary(tmp_path, everywhere("bi,s,ga", range(30)))
    assert not found["worst"]["is_drop"]
    assert found["worst"]["drop"] == 0
    assert found["average_drop"] == {"mean": 0, "std": 0}
    assert found["matched"]["mean"] == pytest.approx(0.9)


def test_alike_images_of_a_group_count_as_fewer(tmp_path):
    wrong = everywhere("bi,s,ga", ())
    wrong["bi,s,ga", "me,s,me"] = {i for i in range(N) if i // 30 in (0, 1)}  # two patients of ten
    alone = summary(tmp_path, wrong)["worst"]
    grouped = summary(tmp_path, wrong, groups=tuple(str(i // 30) for i in range(N)))["worst"]
    assert alone["is_drop"]
    assert not grouped["is_drop"]
    assert grouped["low"] < alone["low"] < alone["drop"] == grouped["drop"]


def test_recall_and_provenance(tmp_path):
    wrong = everywhere("bi,s,ga", ())
    wrong["bi,s,ga", "me,s,me"] = set(range(0, 100, 2))  # of class "a" alone
    found = summary(tmp_path, wrong)
    recall = {(r["test"], r["label"]): r["value"] for r in found["recall"]}
    assert recall == {
        ("bi,s,ga", "a"): 1.0, ("bi,s,ga", "b"): 1.0,
        ("me,s,me", "a"): pytest.approx(2 / 3), ("me,s,me", "b"): 1.0,
    }  # fmt: skip
    assert found["created"] == "2026-11-22T21:40:02+00:00"
    assert (found["duration_s"], found["precision"], found["device"]) == (3.0, "32-true", "cpu")
