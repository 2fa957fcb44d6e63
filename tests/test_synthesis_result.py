"""The result of invented answers."""

import numpy as np
import pytest
from scipy import stats

import rawdrift as rd
from invented import OWN, Invented, N, everywhere
from rawdrift.controls.synthesis.severity import matched_drops
from rawdrift.models.case import Case
from rawdrift.statistics import Interval, kendall_tau


def test_a_weak_pipeline_does_not_hide_the_drop_of_another(tmp_path):
    wrong = everywhere(OWN, range(136)) | everywhere("ma,u,me", range(20))
    wrong["ma,u,me", "isp/me,s,me"] = set(range(95))
    worst = Invented([OWN, "ma,u,me"], wrong).write(tmp_path).worst.isp
    assert (worst.train, worst.test) == ("ma,u,me", "me,s,me")
    assert worst.is_drop
    assert worst.drop == pytest.approx(75 / 300)
    assert worst.low < 0.25 < worst.high
    assert [image.label != image.prediction for image in worst.images] == [True] * 6
    assert all((tmp_path / image.view).is_file() for image in worst.images)


def test_no_drop_is_claimed_where_nothing_changes():
    result = Invented(wrong=everywhere(OWN, range(30))).result()
    assert not result.worst.isp.is_drop
    assert result.worst.isp.drop == 0
    assert result.worst.corruption is None
    bound = 3.87 / (N + 3.87)  # t of 299, squared: what no image shows may still be in others
    assert result.average_drops.isp == Interval(
        0, pytest.approx(-bound, 0.01), pytest.approx(bound, 0.01)
    )
    assert result.average_drops.ratio is None
    assert result.matched.mean == pytest.approx(0.9)
    assert result.headline() == {"matched accuracy": 0.9, "average drop isp": 0}


def test_alike_images_of_a_group_count_as_fewer():
    wrong = {(OWN, "isp/me,s,me"): {i for i in range(N) if i // 30 in (0, 1)}}  # two patients
    alone = Invented(wrong=wrong).result().worst.isp
    groups = tuple(str(i // 30) for i in range(N))
    grouped = Invented(wrong=wrong, groups=groups).result().worst.isp
    assert alone.is_drop
    assert not grouped.is_drop
    assert grouped.low < alone.low < alone.drop == grouped.drop


def test_right_everywhere_is_not_certain():
    cell = Invented().result().cells[0]
    assert cell.mean == 1
    assert (cell.low, cell.high) == (pytest.approx(N / (N + 3.87), abs=2e-4), 1)


def test_many_comparisons_are_corrected():
    """Six images of 300 lost are a drop if asked once, but not of 41."""
    wrong = {(OWN, "isp/me,s,me"): set(range(6))}
    result = Invented(wrong=wrong, corruptions=["fog", "contrast"]).result()
    cell = result.cell(OWN, Case("isp", "me,s,me"))
    assert 2**-5 < cell.p < 0.05
    assert cell.p_all > 0.4
    assert not result.worst.isp.is_drop


@pytest.mark.parametrize("lost", [*range(6, 26, 2), 60])
def test_a_drop_is_shown_if_and_only_if_its_interval_lies_above_zero(lost):
    wrong = {(OWN, "isp/me,s,me"): set(range(lost)), (OWN, "isp/bi,s,me"): set(range(4, 9))}
    result = Invented(wrong=wrong, corruptions=["fog", "contrast"]).result()
    worst = result.worst.isp
    assert worst.is_drop == (worst.low > 0) == (worst.p_all < 0.05)
    assert worst.low <= worst.drop <= worst.high <= worst.most
    for cell in result.cells:
        assert not cell.is_drop or cell.drop_low > 0


def test_flips_and_provenance(tmp_path):
    """All lost images are listed, and pictures of some; images that are gained are counted."""
    always = {5}  # of class "b", and right on the worst view alone
    wrong = everywhere(OWN, always) | {(OWN, "isp/me,s,me"): set(range(0, 100, 2))}  # class "a"
    result = Invented(wrong=wrong).write(tmp_path)
    (flips,) = result.flips
    assert (flips.matched, flips.worst, flips.n, flips.gained) == (OWN, "me,s,me", N, 1)
    a, b = flips.classes
    assert (a.label, a.n, a.matched, a.worst, a.lost) == ("a", 150, 1.0, pytest.approx(2 / 3), 50)
    assert (b.label, b.matched, b.worst, b.lost, b.gained) == ("b", 149 / 150, 1.0, 0, 1)
    assert {one.image for one in flips.flipped} == {f"{i}" for i in range(0, 100, 2)}
    assert {(one.label, one.answer) for one in flips.flipped} == {("a", "b")}
    assert len(flips.drawn) == 12
    assert all(
        (tmp_path / path).is_file() for o in flips.drawn for path in (o.matched_view, o.view)
    )
    assert result.created == "2026-11-22T21:40:02+00:00"
    assert (result.duration_s, result.precision, result.device) == (3.0, "32", "cpu")


def test_a_pipeline_with_a_failed_fold_is_left_out():
    invented = Invented([OWN, "ma,u,me"])
    rest = [u for u in invented.units if (u.record.train, u.record.fold) != ("ma,u,me", 1)]
    failed = {"ma,u,me fold 2": "it diverged"}
    result = invented.result(failed, rest)
    assert result.train == [OWN]
    assert result.failed == failed
    assert result.duration_s == 3.0  # of the others
    with pytest.raises(rd.InputError, match="no pipeline.*it diverged"):
        invented.result(failed, [unit for unit in rest if unit.record.fold == 0])


def test_rankings_order_and_agreement():
    trained = [OWN, "ma,u,me", "me,s,me"]
    wrong = {}
    for rank, train in enumerate(trained):  # on pipelines the first is best, on fog the last
        wrong |= everywhere(train, range(20 * rank))
        for severity in (1, 3, 5):
            wrong[train, f"corruption/fog/{severity}"] = set(range(20 * (4 - rank)))
    result = Invented(trained, wrong, corruptions=["fog"]).result()
    assert [entry.train for entry in result.rankings.isp] == trained
    assert [entry.train for entry in result.rankings.corruption] == trained[::-1]
    assert result.rankings.isp[0].rank_low == result.rankings.isp[0].rank_high == 1
    assert result.agreement.value == -1
    orders = {(o.kind, o.test, o.severity): o.order for o in result.orders}
    assert orders["corruption", "fog", 3] == trained[::-1]
    assert orders["corruption", "identity", 0] == trained


def test_average_drops_by_kind_and_severity_and_their_ratio():
    wrong = {(OWN, f"isp/{name}"): set(range(15)) for name in rd.isp.CONFIGURATIONS if name != OWN}
    for severity, images in ((1, 15), (3, 60), (5, 105)):
        wrong[OWN, f"corruption/fog/{severity}"] = set(range(images))
    drops = Invented(wrong=wrong, corruptions=["fog"]).result().average_drops
    assert drops.isp.value == pytest.approx(0.05)
    assert drops.corruption.value == pytest.approx(0.2)
    by_severity = {severity: drop.value for severity, drop in drops.severities.items()}
    assert by_severity == pytest.approx({1: 0.05, 3: 0.2, 5: 0.35})
    assert drops.ratio.value == pytest.approx(4)
    assert 1 < drops.ratio.low < 4 < drops.ratio.high


def test_corruptions_are_read_at_the_distance_of_the_pipelines():
    """A drop that grows linearly with the distance is the same at the same distance."""
    far = {f"isp/{name}": 0.03 * i for i, name in enumerate(rd.isp.CONFIGURATIONS) if name != OWN}
    far |= {f"corruption/fog/{s}": 0.1 * s for s in (1, 3)} | {"corruption/fog/5": 0.5}
    wrong = {(OWN, key): set(range(round(300 * distance))) for key, distance in far.items()}
    grid = Invented(wrong=wrong, far=far, corruptions=["fog"]).grid()
    isp, corruption, compared, pairs = matched_drops(grid, "dssim")
    assert (compared, pairs) == (11, 11)
    assert corruption.values == pytest.approx(isp.values)
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


def test_rows_are_the_cells_one_by_one():
    result = Invented(corruptions=["fog"]).result()
    rows = result.rows()
    assert len(rows) == 12 + 3
    assert all(row.keys() == rows[0].keys() for row in rows)
    assert rows[0]["mean"] == result.cells[0].mean
    assert rows[0]["macro_f1"] == result.cells[0].further["macro_f1"]


def test_cells_are_found_by_pipeline_and_case():
    result = Invented([OWN, "ma,u,me"], corruptions=["fog"]).result()
    assert [result.cell("ma,u,me", case).case for case in result.cases()] == result.cases()
    assert result.cases("corruption") == [Case("corruption", "fog", s) for s in (1, 3, 5)]
    assert result.own(OWN).drop is None
    assert result.cell(OWN, Case("corruption", "fog", 1)).drop == 0
    with pytest.raises(rd.InputError, match="no number for bi,s,ga tested on isp/other"):
        result.cell(OWN, Case("isp", "other"))


def test_the_main_figure_is_drawn():
    width, height = Invented(corruptions=["fog"]).result().plot().get_size_inches()
    assert width > height > 1
