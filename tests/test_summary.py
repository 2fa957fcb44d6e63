"""What the summary says of invented answers."""

import numpy as np
import pytest
import torch
from scipy import stats

import rawdrift as rd
from rawdrift.controls import synthesis
from rawdrift.controls.synthesis.analysis import headline, summarize
from rawdrift.controls.synthesis.grid import Grid, Material
from rawdrift.controls.synthesis.severity import matched_drops
from rawdrift.controls.synthesis.spec import Synthesis, SynthesisSpec
from rawdrift.data.dataset import RawDataset
from rawdrift.data.spec import Data
from rawdrift.data.splits import Split
from rawdrift.models.evaluate import Case
from rawdrift.models.spec import Task
from rawdrift.models.targets import Targets
from rawdrift.statistics.basics import wilson
from rawdrift.statistics.resampling import kendall_tau

N = 300
OWN = "bi,s,ga"


class Invented:
    """Records of a run whose answers are right but where a test says otherwise.

    wrong: (train, case key) -> images with a wrong answer. far: case key -> distance of views.
    """

    def __init__(self, trained=(OWN,), wrong=None, far=None, folds=3, groups=None, corruptions=()):
        labels = torch.arange(N) % 2
        self.data = RawDataset(
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
        self.material = Material(
            self.data,
            Targets.of(self.data, Task()),
            [Split(np.setdiff1d(order, test), test) for test in tests],
        )
        self.spec = SynthesisSpec(
            Data("synthetic-microscopy"),
            Synthesis(train=list(trained), folds=folds, corruptions=list(corruptions)),
        )
        self.cases = synthesis.cases(self.spec)
        self.records = []
        for train in trained:
            answers = {}
            for case in self.cases:
                answers[case.key] = labels.numpy().copy()
                answers[case.key][list((wrong or {}).get((train, case.key), ()))] ^= 1
            for fold, test in enumerate(tests):
                self.records.append(
                    {
                        "train": train,
                        "fold": fold,
                        "outcomes": {key: found[test].tolist() for key, found in answers.items()},
                        "distance": {
                            case.key: {
                                "dssim": (far or {}).get(case.key, 0.0),
                                "mse": (far or {}).get(case.key, 0.0) ** 2,
                            }
                            for case in self.cases
                        },
                        "device": "cpu", "precision": "32-true", "threads": 1, "torch": "2",
                        "seconds": 1.0, "finished": f"2026-11-22T21:40:0{fold}+00:00",
                    }
                )  # fmt: skip

    def summary(self, folder, failed=None, records=None):
        records = self.records if records is None else records
        return summarize(self.spec, self.material, self.cases, records, failed or {}, folder)

    def grid(self):
        return Grid(self.material, self.cases, self.spec.synthesis.train, self.records, 0)


def everywhere(train, images):
    return {(train, f"isp/{test}"): set(images) for test in rd.isp.CONFIGURATIONS}


def test_a_weak_pipeline_does_not_hide_the_drop_of_another(tmp_path):
    wrong = everywhere(OWN, range(136)) | everywhere("ma,u,me", range(20))
    wrong["ma,u,me", "isp/me,s,me"] = set(range(95))
    worst = Invented([OWN, "ma,u,me"], wrong).summary(tmp_path)["worst"]["isp"]
    assert (worst["train"], worst["test"]) == ("ma,u,me", "me,s,me")
    assert worst["is_drop"]
    assert worst["drop"] == pytest.approx(75 / 300)
    assert worst["low"] < 0.25 < worst["high"]
    assert [image["label"] != image["prediction"] for image in worst["images"]] == [True] * 6
    assert all((tmp_path / image["view"]).is_file() for image in worst["images"])


def test_no_drop_is_claimed_where_nothing_changes(tmp_path):
    found = Invented(wrong=everywhere(OWN, range(30))).summary(tmp_path)
    assert not found["worst"]["isp"]["is_drop"]
    assert found["worst"]["isp"]["drop"] == 0
    assert found["worst"].keys() == {"isp"}
    assert found["average_drops"]["isp"] == {"value": 0, "low": 0, "high": 0}
    assert found["average_drops"]["ratio"] is None
    assert found["matched"]["mean"] == pytest.approx(0.9)
    assert headline(found) == {"matched accuracy": 0.9, "average drop isp": 0}


def test_alike_images_of_a_group_count_as_fewer(tmp_path):
    wrong = {(OWN, "isp/me,s,me"): {i for i in range(N) if i // 30 in (0, 1)}}  # two patients
    alone = Invented(wrong=wrong).summary(tmp_path)["worst"]["isp"]
    groups = tuple(str(i // 30) for i in range(N))
    grouped = Invented(wrong=wrong, groups=groups).summary(tmp_path)["worst"]["isp"]
    assert alone["is_drop"]
    assert not grouped["is_drop"]
    assert grouped["low"] < alone["low"] < alone["drop"] == grouped["drop"]


def test_right_everywhere_is_not_certain(tmp_path):
    cell = Invented().summary(tmp_path)["cells"][0]
    assert cell["mean"] == 1
    assert (cell["low"], cell["high"]) == pytest.approx(wilson(1, N))


def test_many_comparisons_are_corrected(tmp_path):
    """Five images of 300 lost are a drop if asked once (p = 1/16), and six (1/32), but not of 41."""
    wrong = {(OWN, "isp/me,s,me"): set(range(6))}
    found = Invented(wrong=wrong, corruptions=["fog", "contrast"]).summary(tmp_path)
    cell = next(c for c in found["cells"] if (c["test"], c["kind"]) == ("me,s,me", "isp"))
    assert cell["p"] == pytest.approx(2**-5, abs=0.006)
    assert cell["p_holm"] > 0.4
    assert not found["worst"]["isp"]["is_drop"]


def test_recall_and_provenance(tmp_path):
    wrong = {(OWN, "isp/me,s,me"): set(range(0, 100, 2))}  # of class "a" alone
    found = Invented(wrong=wrong).summary(tmp_path)
    assert found["worst"]["isp"]["recall"] == [
        {"label": "a", "matched": 1.0, "drifted": pytest.approx(2 / 3)},
        {"label": "b", "matched": 1.0, "drifted": 1.0},
    ]
    assert found["created"] == "2026-11-22T21:40:02+00:00"
    assert (found["duration_s"], found["precision"], found["device"]) == (3.0, "32-true", "cpu")


def test_a_pipeline_with_a_failed_fold_is_left_out(tmp_path):
    invented = Invented([OWN, "ma,u,me"])
    rest = [r for r in invented.records if (r["train"], r["fold"]) != ("ma,u,me", 1)]
    failed = {"ma,u,me fold 2": "it diverged"}
    found = invented.summary(tmp_path, failed, rest)
    assert found["train"] == [OWN]
    assert found["failed"] == failed
    with pytest.raises(rd.InputError, match="no pipeline.*it diverged"):
        invented.summary(tmp_path, failed, [r for r in rest if r["fold"] == 0])


def test_rankings_order_and_agreement(tmp_path):
    trained = [OWN, "ma,u,me", "me,s,me"]
    wrong = {}
    for rank, train in enumerate(trained):  # on pipelines the first is best, on fog the last
        wrong |= everywhere(train, range(20 * rank))
        for severity in (1, 3, 5):
            wrong[train, f"corruption/fog/{severity}"] = set(range(20 * (4 - rank)))
    found = Invented(trained, wrong, corruptions=["fog"]).summary(tmp_path)
    assert [row["train"] for row in found["rankings"]["isp"]] == trained
    assert [row["train"] for row in found["rankings"]["corruption"]] == trained[::-1]
    assert found["rankings"]["isp"][0]["rank_low"] == found["rankings"]["isp"][0]["rank_high"] == 1
    assert found["agreement"]["value"] == -1
    orders = {(o["kind"], o["test"], o["severity"]): o["order"] for o in found["orders"]}
    assert orders["corruption", "fog", 3] == trained[::-1]
    assert orders["corruption", "identity", 0] == trained


def test_average_drops_by_kind_and_severity_and_their_ratio(tmp_path):
    wrong = {(OWN, f"isp/{name}"): set(range(15)) for name in rd.isp.CONFIGURATIONS if name != OWN}
    for severity, images in ((1, 15), (3, 60), (5, 105)):
        wrong[OWN, f"corruption/fog/{severity}"] = set(range(images))
    found = Invented(wrong=wrong, corruptions=["fog"]).summary(tmp_path)["average_drops"]
    assert found["isp"]["value"] == pytest.approx(0.05)
    assert found["corruption"]["value"] == pytest.approx(0.2)
    assert {s: d["value"] for s, d in found["severities"].items()} == pytest.approx(
        {1: 0.05, 3: 0.2, 5: 0.35}
    )
    assert found["ratio"]["value"] == pytest.approx(4)
    assert 1 < found["ratio"]["low"] < 4 < found["ratio"]["high"]


def test_corruptions_are_read_at_the_distance_of_the_pipelines():
    """A drop that grows linearly with the distance is the same at the same distance."""
    far = {f"isp/{name}": 0.03 * i for i, name in enumerate(rd.isp.CONFIGURATIONS) if name != OWN}
    far |= {f"corruption/fog/{s}": 0.1 * s for s in (1, 3)} | {"corruption/fog/5": 0.5}
    wrong = {(OWN, key): set(range(round(300 * distance))) for key, distance in far.items()}
    grid = Invented(wrong=wrong, far=far, corruptions=["fog"]).grid()
    isp, corruption, compared, pairs = matched_drops(grid, "dssim")
    assert (compared, pairs) == (11, 11)
    assert corruption[0] == pytest.approx(isp[0])
    near = {f"corruption/fog/{s}": 0.01 * s for s in (1, 3, 5)}
    grid = Invented(wrong=wrong, far=far | near, corruptions=["fog"]).grid()
    assert matched_drops(grid, "dssim")[2:] == (1, 11)  # of a distance that fog reaches
    assert matched_drops(Invented(wrong=wrong, far=far).grid(), "dssim") is None


def test_kendall_is_that_of_scipy():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 6, (2, 20, 12)).astype(float)
    expected = [stats.kendalltau(a, b).statistic for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(kendall_tau(one, other), expected, atol=1e-12)
    assert np.isnan(kendall_tau(np.ones(4), np.arange(4.0)))


def test_cases_are_known_by_their_keys():
    assert Case("isp", "bi,s,ga").key == "isp/bi,s,ga"
    assert Case("corruption", "fog", 3).key == "corruption/fog/3"
