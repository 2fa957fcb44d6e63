"""The page of drift optimization says what its result does, whatever is missing in it."""

import json
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imsave
from msgspec import structs

import rawdrift
import rawdrift as rd
from pages import HOSTILE, no_figures, svg_texts, text_of
from rawdrift.checks import InputError
from rawdrift.controls import result as results
from rawdrift.controls.forensics.quantities import labels
from rawdrift.controls.optimization import page
from rawdrift.controls.optimization.result import (
    Choice,
    Clipped,
    Curve,
    Difference,
    Diverged,
    LearnedISP,
    Moment,
    OptimizationResult,
    PathPoint,
    Point,
    Reached,
    Row,
    Sample,
    Stages,
    StageView,
    Views,
    Violation,
)
from rawdrift.controls.run import write_page
from rawdrift.isp.presets import kinds
from rawdrift.report import style

STEPS = (4, 8, 12)
STAGES = ("raw", "black_level", "demosaic", "gamma")
LEARNED = ("frozen", "learned", "direct", "static-best")
ENDS = {"frozen": 0.5, "learned": 0.7, "direct": 0.6, "neural": 0.4, "static-best": 0.55}
FRONTS = ("frozen", "learned", "static-best")


def invented(run, settings=LEARNED, intensities=(0.05, 1.0), folds=3, masks=False, **fields):
    """A result in which a setting ends at `ENDS`, and at other intensities than the first all 0.1
    higher, with its pictures in `run`/samples."""
    metric = "iou" if masks else "accuracy"
    ends = {(i, s): ENDS[s] + 0.1 * (i != intensities[0]) for i in intensities for s in settings}
    _picture(run, "samples/own.png", 0.4)
    result = OptimizationResult(
        version=rawdrift.__version__,
        spec={"optimization": {"settings": list(settings), "isp": "bi,s,ga", "bounds": "none"}},
        data=results.Dataset(
            name="cells",
            root=None,
            task="segmentation" if masks else "classification",
            fingerprint="f00",
            images=300,
            height=8,
            width=10,
            groups=None,
            classes={} if masks else {"BAS": 200, "EOS": 100},
            left_out={},
            cameras=["scope"],
            majority=None if masks else results.Majority("BAS", 0.35),
            splits=[results.Split(200, 100)] * folds,
        ),
        metric=metric,
        settings=list(settings),
        same={},
        failed={},
        intensities=list(intensities),
        folds=folds,
        repeats=2,
        epochs=len(STEPS),
        table=[_row(i, s, end, folds) for (i, s), end in ends.items()],
        differences=[
            difference(i, when, one, other, ends[i, one], ends[i, other])
            for i in intensities
            for when in ("final", "mean")
            for one, other in combinations(settings, 2)
        ],
        curves=[
            Curve(intensity=i, setting=s, split=split, metric=m, points=_points(end, folds))
            for (i, s), end in ends.items()
            for split, m in (("train", "loss"), ("test", metric))
        ],
        isps=[_isp(i, fold) for i in intensities for fold in range(folds) if "learned" in settings],
        labels=labels(kinds("bi,u,ga")),
        units={"black_level.level": "of full scale"},
        choices=[
            Choice(
                intensity=i,
                fold=fold,
                chosen="bi,s,me",
                metric=metric,
                images=12,
                validation={"bi,s,me": 0.625, "bi,s,ga": None},
            )
            for i in intensities
            for fold in range(folds)
            if "static-best" in settings
        ],
        violations=[],
        diverged=[],
        samples=[
            Sample(
                intensity=i,
                image=f"cell-{n}",
                label=None if masks else "BAS",
                views={s: _views(run, s, i, n) for s in settings},
            )
            for i in intensities
            for n in range(2)
        ],
        stages=[
            Stages(intensity=i, setting=s, image="cell-0", stages=_stages(s))
            for i in intensities
            for s in settings
            if s in FRONTS
        ],
        created="2026-11-22T21:40:00+00:00",
        duration_s=75.0,
        device="cpu",
        precision="32",
        threads="1",
        torch="2.9",
    )
    return structs.replace(result, **fields)


def _row(intensity, setting, end, folds):
    std = 0.031 if folds > 1 else None
    never = Reached(mean=None, std=None, reached=0, folds=[None] * folds)
    return Row(
        intensity=intensity,
        setting=setting,
        folds=folds,
        trainings=2 * folds,
        epochs=3,
        mean=end - 0.1,
        std=0.123,
        std_over_folds=std,
        std_over_steps=0.234,
        low=end - 0.2,
        high=end,
        final=Moment(mean=end, std=std, epoch=3, step=12),
        best=Moment(mean=end + 0.004, std=std, epoch=3, step=12),
        steps_to_90=Reached(mean=9.0, std=std, reached=folds, folds=[9] * folds),
        steps_to_90_of_best=never,
    )


def difference(intensity, when, one, other, of_first, of_second):
    value = of_first - of_second
    certain = abs(value) > 0.15
    return Difference(
        intensity=intensity,
        when=when,
        first=one,
        second=other,
        of_first=of_first,
        of_second=of_second,
        value=value,
        low=value - 0.05,
        high=value + 0.04,
        n=300,
        of_seeds=True,
        p=0.0004 if certain else 0.21,
        p_all=0.0008 if certain else 0.42,
        is_difference=certain,
    )


def _points(end, folds):
    std = 0.03 if folds > 1 else None
    values = [end - 0.1 * (2 - epoch) for epoch in range(len(STEPS))]
    return [
        Point(epoch=e + 1, step=step, mean=v, std=std, folds={str(f): v for f in range(folds)})
        for e, (step, v) in enumerate(zip(STEPS, values, strict=True))
    ]


def _isp(intensity, fold):
    values = {
        "black_level.level": [0.0, 0.0, 0.0, 0.0],
        "demosaic.kernels": [[[0.0, 0.5], [0.5, 0.0]]] * 3,
        "white_balance.gains": [1.5, 1.0, 2.0],
        "sharpen.amount": 0.5,
        "denoise.kernel": [0.25, 0.5, 0.25],
        "gamma.gamma": 2.2,
    }
    final = {**values, "gamma.gamma": 1.875 + fold / 64, "denoise.kernel": [0.3, 0.4, 0.3]}
    return LearnedISP(
        intensity=intensity,
        setting="learned",
        fold=fold,
        camera="scope",
        configuration="bi,s,ga",
        file="isps/learned.toml",
        initial=values,
        final=final,
        clipped=Clipped(0.01, 0.0),
        path=[
            PathPoint(epoch=e + 1, step=s, values=final, clipped=Clipped(0.2, 0.1))
            for e, s in enumerate(STEPS)
        ],
    )


def _stages(setting):
    return [
        StageView(
            name=name,
            view="samples/own.png",
            view_white=0.25,
            gradient="samples/own.png",
            gradient_white=2.0,
            gradient_mean=0.0625 if setting == "learned" else 0.5,
        )
        for name in STAGES
    ]


def _views(run, setting, intensity, number):
    """All are alike before, and only a learned one changes."""
    if setting != "learned":
        return Views("samples/own.png", "samples/own.png")
    after = f"samples/{intensity:g}-{number}.png"
    _picture(run, after, 0.9 - number / 10)
    return Views("samples/own.png", after)


def _picture(run: Path, name: str, level: float) -> None:
    (run / name).parent.mkdir(parents=True, exist_ok=True)
    imsave(run / name, np.full((4, 5, 3), level))


def change(item, **fields):
    return structs.replace(item, **fields)


def written(run: Path, result: OptimizationResult) -> str:
    """The page of a stored result, with its figures."""
    result.save(run / "summary.json")
    return write_page(run).read_text()


def text(run: Path, result: OptimizationResult) -> str:
    """The text of the page, which is written without its figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rawdrift.report.page.draw", no_figures)
        return text_of(written(run, result))


@pytest.fixture(autouse=True)
def coarse_png(monkeypatch):
    monkeypatch.setattr(style, "_DPI", 20)


def lines(result: OptimizationResult) -> list[str]:
    return list(page.lines(result, Path("run")))


def test_headline_tells_gains_losses_and_none(tmp_path):
    result = invented(tmp_path)
    assert lines(result)[0] == (
        "Learning the ISP with the task takes accuracy from 0.50 to 0.70 at intensity 0.05 and "
        "from 0.60 to 0.80 at intensity 1."
    )

    def headline(*changes: tuple[float, float, bool]) -> str:
        """With other differences of learned at these intensities."""
        changed = []
        for each in result.differences:
            for intensity, value, certain in changes:
                if (each.intensity, each.first, each.second) == (intensity, "frozen", "learned"):
                    each = with_gain(each, value, certain)
            changed.append(each)
        return lines(change(result, differences=changed))[0]

    none, loss = (1.0, 0.01, False), (1.0, -0.2, True)
    ruled_out = "(a gain of more than 0.070 and a loss of more than 0.030 are ruled out)"
    shown = f"shows no gain or loss of accuracy beyond chance at intensity 1 {ruled_out}"
    assert headline(none).endswith(f"from 0.50 to 0.70 at intensity 0.05; it {shown}.")
    assert headline(loss).endswith("0.05; it lowers it from 0.60 to 0.40 at intensity 1.")
    none_in_the_dark = (0.05, 0.01, False)
    assert headline(loss, none_in_the_dark).startswith(
        "Learning the ISP with the task lowers accuracy from 0.60 to 0.40 at intensity 1; it shows"
    )
    for start in ("Learning the ISP with the task shows no", f"; it {shown}."):
        assert start in headline(none, none_in_the_dark)


def with_gain(each, value, certain):
    """The difference, frozen less learned, with another gain of learned."""
    low, high = -value - 0.06, -value + 0.04
    of_second = each.of_first + value
    return change(
        each, of_second=of_second, value=-value, low=low, high=high, is_difference=certain
    )


def of_learned(result, final, overall=None, **fields):
    """The result with other gains of learned in the end and over all epochs."""
    gains = {"final": final, "mean": overall or final}
    changed = [
        change(with_gain(each, *gains[each.when]), **fields)
        if (each.first, each.second) == ("frozen", "learned")
        else each
        for each in result.differences
    ]
    return change(result, differences=changed)


def test_no_gain_in_the_end_does_not_hide_a_loss_over_all_epochs(tmp_path):
    result = invented(tmp_path, ("frozen", "learned"), (1.0,))
    result = of_learned(result, (-0.01, False), (-0.028, True))
    assert lines(result)[0].endswith("are ruled out), but over all epochs together it loses 0.028.")
    shown = text(tmp_path, result)
    assert "it loses 0.010, which may be chance" in shown
    assert "Over all epochs together, it loses 0.028 (" in shown
    assert "Here the learned one loses 0.028 at intensity 1, with a standard deviation" in shown


@pytest.mark.parametrize("value", [0.0, 4e-5, -4e-5, 0.0004, -0.0004, 0.004, -0.028, 0.5, -0.5])
@pytest.mark.parametrize("certain", [True, False])
def test_sentences_read_well_at_every_value(value, certain, tmp_path):
    result = of_learned(invented(tmp_path, ("frozen", "learned"), (1.0,)), (value, certain))
    shown = "\n".join([*lines(result), text(tmp_path, result)])
    assert not re.search(r"[-\N{MINUS SIGN}+]0\.0+\b|(gains|loses) 0\.0+\b", shown)
    assert not re.search(r"(gains|loses|takes|lowers) [-\N{MINUS SIGN}]", shown)
    assert not re.search(r"from (\S+) to \1 ", shown) or abs(value) < 5e-5
    assert "no difference" not in shown
    if not certain:
        assert re.search("(are|is) ruled out", lines(result)[0])


def test_a_single_seed_is_told_in_the_sentence_that_compares(tmp_path):
    result = change(invented(tmp_path), repeats=1)
    single = change(result, differences=[change(d, of_seeds=False) for d in result.differences])
    assert lines(single)[0] == (
        "With one training of each fold, learning the ISP with the task takes accuracy from 0.50 "
        "to 0.70 at intensity 0.05 and from 0.60 to 0.80 at intensity 1; another seed could give "
        "another order."
    )
    shown = text(tmp_path, single)
    assert "but not other seeds: each fold was trained once" in shown
    assert "set task.repeats to 3 or more" in shown
    assert "another seed" not in text(tmp_path, change(invented(tmp_path), folds=3))
    alone = change(invented(tmp_path, ("direct", "neural")), repeats=1)
    assert lines(alone)[0].endswith(
        "with one training of each fold; another seed could give another order."
    )


def test_differences_are_turned_to_what_learned_gains(tmp_path):
    # The result holds frozen less learned, -0.2 (-0.25 to -0.16).
    shown = text(tmp_path, invented(tmp_path))
    assert "ends at 0.700 and frozen at 0.500: it gains 0.200 (" in shown
    assert "(0.160\N{EN DASH}0.250; p < 0.001)" in shown.replace("\N{NO-BREAK SPACE}", " ")
    assert lines(invented(tmp_path))[1] == (
        "at intensity 0.05, accuracy in the end: learned 0.700 ± 0.031, direct 0.600 ± 0.031, "
        "static-best 0.550 ± 0.031, frozen 0.500 ± 0.031"
    )


def test_the_papers_claim_is_told_beside_what_was_found(tmp_path):
    result = invented(tmp_path)
    shown = text(tmp_path, result)
    std = {row.setting: f"{row.std:.3f}" for row in result.at(0.05)}
    assert "The paper finds up to 25 % more accuracy" in shown
    found = re.search(
        r"Here the learned one gains (\S+) at intensity 0.05, with [^.]*?of (\S+)", shown
    )
    assert found
    assert float(found[1]) > 0
    assert f"standard deviation of {std['learned']} against {std['frozen']}" in shown


def test_page_holds_the_numbers_of_the_record(tmp_path):
    violation = Violation(
        intensity=0.05,
        setting="learned",
        fold=1,
        camera="scope",
        parameter="black_level.level",
        epoch=1,
        step=4,
        what="R: -0.0103 is below zero",
        at_end=None,
    )
    page = written(tmp_path, invented(tmp_path, violations=[violation]))
    rows = {
        tuple(text_of(cell).strip() for cell in re.findall(r"<td.*?</td>", row))
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", page, flags=re.DOTALL)
    }
    learned = ["0.05", "learned", "0.600", "0.500\N{EN DASH}0.700", "0.123", "0.031", "0.234", "6"]
    assert tuple(learned) in rows
    assert (
        "1",
        "direct",
        "0.700",
        "0.031",
        "0.704",
        "0.031",
        "12",
        "9",
        "0",
        "\N{EN DASH}",
        "0 of 6",
    ) in rows
    minus = "\N{MINUS SIGN}"
    assert (
        "0.05", "in the end", "frozen", "learned", f"{minus}0.200", f"{minus}0.250 to {minus}0.160",
        "< 0.001", "< 0.001", "300",
    ) in rows  # fmt: skip
    assert ("1", "2", "1", "gamma", "", "2.200", "1.891") in rows
    assert ("0.05", "3", "1", "bi,s,me", "12", "0.62", "\N{EN DASH}") in rows
    assert (
        "0.05", "2", "1", "black level", "4", f"R: {minus}0.0103 is below zero", "back within physics",
    ) in rows  # fmt: skip
    shown = text_of(page)
    for fact in (
        "1 of 6 learned ISPs have had numbers", "but none in the end: black level in 1",
        "frozen and static-best, intensity 0.05", "learned, intensity 1", "mean 0.062",
        "frozen = learned, before = direct = static-best", "learned, after", "cell-1, BAS",
        "300 raw mosaics of 8 \N{MULTIPLICATION SIGN} 10 pixels", "1 min 15 s, all trainings added up",
        "“Best” is optimistic",
    ):  # fmt: skip
        assert fact in shown
    for name in ("learning", "losses", "differences", "parameters-1", "kernels-1"):
        assert f'download="{name}.svg"' in page
        assert (tmp_path / f"figures/{name}.png").is_file()
    tables = {"settings", "learning", "differences", "parameters", "violations", "choices"}
    assert {path.stem for path in (tmp_path / "tables").iterdir()} == tables


def test_figures_label_every_curve_and_parameter(tmp_path):
    written(tmp_path, invented(tmp_path))
    curves = svg_texts(tmp_path / "figures/learning.svg")
    for name in LEARNED:
        assert curves.count(name) == 2
    assert {"Intensity 0.05", "Intensity 1"} <= set(curves)
    shown = set(svg_texts(tmp_path / "figures/parameters-1.svg"))
    assert {"black level R", "white balance gain B", "sharpen amount", "gamma"} <= shown
    assert not any("kernel" in text for text in shown)


CASES = {
    "one fold": {"folds": 1},
    "one intensity": {"intensities": (1.0,)},
    "one setting": {"settings": ("learned",)},
    "no ISP": {"settings": ("direct", "neural")},
    "masks": {"masks": True, "intensities": (1.0,)},
    "four intensities": {"intensities": (0.01, 0.05, 0.1, 1.0), "settings": ("frozen", "direct")},
}


@pytest.mark.parametrize("case", CASES)
def test_every_run_reads(tmp_path, case):
    shown = text_of(written(tmp_path, invented(tmp_path, **CASES[case])))
    assert not re.search(r"\b(None|nan|NaN|inf|Undefined)\b", shown)
    for path in (tmp_path / "figures").glob("*.svg"):
        assert not set(svg_texts(path)) & {"None", "nan", "NaN"}
    for path in (tmp_path / "tables").iterdir():
        assert not re.search(r"\b(None|nan)\b", path.read_text())
    assert ("IoU" in shown) == (case == "masks")


def test_all_diverged_but_one(tmp_path):
    result = invented(tmp_path, folds=2)
    gone = [s for s in LEARNED if s != "frozen"]
    diverged = [
        Diverged(intensity=i, setting=s, fold=f, epoch=2, after_step=4, why="loss is NaN")
        for i in (0.05, 1.0)
        for s in LEARNED
        for f in (0, 1)
        if (i, s, f) != (1.0, "frozen", 0)
    ]
    table = [
        change(row, folds=1, trainings=1)
        for row in result.table
        if (row.intensity, row.setting) == (1.0, "frozen")
    ]
    curves = [change(curve, points=curve.points[:1]) for curve in result.curves]
    result = change(result, diverged=diverged, table=table, differences=[], curves=curves)
    page = written(tmp_path, result)
    shown = text_of(page).replace("loss is NaN", "")
    assert "15 trainings diverged." in shown
    assert "learned at intensity 0.05, fold 2, in epoch 2 after 4 steps" in shown
    assert "Without a result: learned, direct and static-best." in shown
    assert "The only setting with a result is frozen: at intensity 1, accuracy 0.60." in shown
    assert "At intensity 0.05, no training finished." in shown
    assert (
        "Not of all trainings. Failed and diverged trainings are left out of frozen at 1" in shown
    )
    assert not re.search(r"\b(None|nan|NaN)\b", shown)
    assert all(f"<b>{name}</b> at intensity" in page for name in gone)
    assert "No training finished." in text(tmp_path, change(result, table=[]))


def test_failed_units_and_a_setting_that_is_another_are_told(tmp_path):
    result = invented(tmp_path)
    copies = [change(c, setting="frozen-matched") for c in result.curves if c.setting == "frozen"]
    result = change(
        result,
        failed={"learned at 1 fold 2": "out of memory"},
        same={"frozen-matched": "frozen"},
        settings=[*result.settings, "frozen-matched"],
        table=[*result.table, change(result.table[0], setting="frozen-matched")],
        curves=[*result.curves, *copies],
    )
    shown = text_of(written(tmp_path, result))
    assert "learned at 1 fold 2: out of memory" in shown
    assert "frozen-matched is the same as frozen here" in shown
    curves = svg_texts(tmp_path / "figures/learning.svg")
    assert "frozen-matched" not in curves


def test_caveats(tmp_path):
    few = invented(tmp_path, folds=2)
    majority = results.Majority("BAS", 0.65)
    splits = [change(few.data.splits[0], test=45)] * 2
    few = change(few, data=change(few.data, splits=splits, groups=4, majority=majority))
    shown = text(tmp_path, few)
    for caveat in (
        "Only 2 folds.", "Only 90 images.", "Only 4 groups.", "Only 3 epochs.",
        "No better than guessing. Always answering “BAS” would be right 0.65",
        "frozen, direct and static-best at intensity 0.05; frozen and static-best at intensity 1.",
    ):  # fmt: skip
        assert caveat in shown
    assert "Only 2 folds" not in text(tmp_path, invented(tmp_path))


def test_learned_isps_that_can_not_be_files_are_told(tmp_path):
    result = invented(tmp_path)
    result = change(result, isps=[change(isp, file=None) for isp in result.isps])
    assert "None of the learned ISPs can be saved as an ISP file" in text(tmp_path, result)


def test_hostile_names_are_text(tmp_path):
    hostile = HOSTILE[0]
    result = invented(tmp_path, intensities=(1.0,))
    data = change(
        result.data,
        name=hostile,
        classes=dict.fromkeys(HOSTILE, 75),
        majority=results.Majority(hostile, 0.35),
    )
    sample = change(result.samples[0], image=hostile, label=HOSTILE[2])
    stages = change(result.stages[0])
    stages.stages[0] = change(stages.stages[0], name=hostile)
    diverged = Diverged(intensity=1.0, setting=hostile, fold=0, epoch=1, after_step=0, why=hostile)
    result = change(
        result,
        data=data,
        samples=[sample, *result.samples[1:]],
        failed={hostile: hostile},
        diverged=[diverged],
    )
    result.save(tmp_path / "summary.json")
    content = (tmp_path / "summary.json").read_text()
    (tmp_path / "summary.json").write_text(content.replace('"direct"', json.dumps(hostile)))
    page = write_page(tmp_path).read_text()
    assert "<script" not in page
    assert "alert(1)&lt;/script&gt;" in page
    assert all("<script" not in path.read_text() for path in tmp_path.glob("figures/*.svg"))


def test_same_record_same_bytes(tmp_path):
    runs = [tmp_path / name for name in "ab"]
    for run in runs:
        run.mkdir()
        written(run, invented(run, ("learned", "static-best"), (1.0,), 1))
    paths = [path.relative_to(runs[0]) for path in runs[0].rglob("*.*")]
    assert len(paths) > 20
    assert all((runs[0] / path).read_bytes() == (runs[1] / path).read_bytes() for path in paths)


def test_damaged_results_are_refused(tmp_path):
    invented(tmp_path).save(tmp_path / "summary.json")
    content = json.loads((tmp_path / "summary.json").read_text())
    del content["table"][0]["std_over_steps"]
    (tmp_path / "summary.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"damaged.*`std_over_steps` - at `\$.table\[0\]`"):
        write_page(tmp_path)
    del content["curves"]
    content["table"] = []
    (tmp_path / "summary.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="damaged.*`curves`"):
        rd.load_result(tmp_path)


def test_pictures_of_other_folders_are_refused(tmp_path):
    result = invented(tmp_path)
    result.samples[0].views["frozen"] = Views("samples/own.png", "../secret.png")
    with pytest.raises(InputError, match="is outside of"):
        text(tmp_path, result)
