"""The page of drift optimization says what its summary does, whatever is missing in it."""

import json
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imsave

from rawdrift import report
from rawdrift.checks import InputError
from rawdrift.report import style
from test_report import HOSTILE, no_figures, svg_texts, text_of

STEPS = (4, 8, 12)
STAGES = ("raw", "black_level", "demosaic", "gamma")
LEARNED = ("frozen", "learned", "direct", "static-best")
ENDS = {"frozen": 0.5, "learned": 0.7, "direct": 0.6, "neural": 0.4, "static-best": 0.55}
FRONTS = ("frozen", "learned", "static-best")


def invented(run: Path, settings=LEARNED, intensities=(0.05, 1.0), folds=3, masks=False):
    """A summary in which a setting ends at `ENDS`, and at other intensities than the first all
    0.1 higher, with its pictures in `run`/samples."""
    metric = "iou" if masks else "accuracy"
    summary = {
        "kind": "optimization",
        "version": "0.1.0",
        "spec": {"optimization": {"settings": list(settings), "isp": "bi,s,ga", "bounds": "none"}},
        "data": {
            "name": "cells", "root": None, "task": "segmentation" if masks else "classification",
            "fingerprint": "f00", "images": 300, "height": 8, "width": 10, "groups": None,
            "classes": None if masks else {"BAS": 200, "EOS": 100}, "left_out": {},
            "cameras": ["scope"],
            "majority": None if masks else {"label": "BAS", "share": 0.35},
            "splits": [{"train": 200, "test": 100}] * folds,
        },
        "metric": metric, "settings": list(settings), "same": {}, "failed": {},
        "intensities": list(intensities), "folds": folds, "epochs": len(STEPS),
        "violations": [], "diverged": [],
        "created": "2026-11-22T21:40:00+00:00", "duration_s": 75.0, "device": "cpu",
        "precision": "32", "threads": "1", "torch": "2.9",
    }  # fmt: skip
    ends = {(i, s): ENDS[s] + 0.1 * (i != intensities[0]) for i in intensities for s in settings}
    summary["table"] = [_row(i, s, end, folds) for (i, s), end in ends.items()]
    summary["differences"] = [
        difference(i, when, one, other, ends[i, one] - ends[i, other])
        for i in intensities
        for when in ("final", "mean")
        for one, other in combinations(settings, 2)
    ]
    summary["curves"] = [
        {"intensity": i, "setting": s, "split": split, "metric": m, "points": _points(end, folds)}
        for (i, s), end in ends.items()
        for split, m in (("train", "loss"), ("test", metric))
    ]
    summary["isps"] = [
        _isp(i, fold) for i in intensities for fold in range(folds) if "learned" in settings
    ]
    summary["choices"] = [
        {"intensity": i, "fold": fold, "chosen": "bi,s,me", "metric": metric, "images": 12,
         "validation": {"bi,s,me": 0.625, "bi,s,ga": None}}
        for i in intensities for fold in range(folds) if "static-best" in settings
    ]  # fmt: skip
    _picture(run, "samples/own.png", 0.4)
    summary["samples"] = [
        {"intensity": i, "image": f"cell-{n}", **({} if masks else {"label": "BAS"}),
         "views": {s: _views(run, s, i, n) for s in settings}}
        for i in intensities for n in range(2)
    ]  # fmt: skip
    summary["stages"] = [
        {"intensity": i, "setting": s, "image": "cell-0", "stages": [
            {"name": name, "view": "samples/own.png", "view_white": 0.25,
             "gradient": "samples/own.png", "gradient_white": 2.0,
             "gradient_mean": 0.0625 if s == "learned" else 0.5}
            for name in STAGES]}
        for i in intensities for s in settings if s in FRONTS
    ]  # fmt: skip
    return summary


def _row(intensity: float, setting: str, end: float, folds: int) -> dict:
    std = 0.031 if folds > 1 else None
    found = {"mean": end, "std": std, "epoch": 3, "step": 12}
    return {
        "intensity": intensity, "setting": setting, "folds": folds, "epochs": 3,
        "mean": end - 0.1, "std": 0.123, "std_over_folds": std, "std_over_steps": 0.234,
        "low": end - 0.2, "high": end, "final": found, "best": found | {"mean": end + 0.004},
        "steps_to_90": {"mean": 9.0, "std": std, "reached": folds, "folds": [9] * folds},
        "steps_to_90_of_best": {"mean": None, "std": None, "reached": 0, "folds": [None] * folds},
    }  # fmt: skip


def difference(intensity: float, when: str, one: str, other: str, value: float) -> dict:
    certain = abs(value) > 0.15
    return {
        "intensity": intensity, "when": when, "first": one, "second": other, "value": value,
        "low": value - 0.05, "high": value + 0.04, "n": 300, "p": 0.0004 if certain else 0.21,
        "p_holm": 0.0008 if certain else 0.42, "is_difference": certain,
    }  # fmt: skip


def _points(end: float, folds: int) -> list[dict]:
    return [
        {"epoch": e + 1, "step": step, "mean": end - 0.1 * (2 - e),
         "std": 0.03 if folds > 1 else None,
         "folds": {str(f): end - 0.1 * (2 - e) for f in range(folds)}}
        for e, step in enumerate(STEPS)
    ]  # fmt: skip


def _isp(intensity: float, fold: int) -> dict:
    values = {
        "black_level.level": [0.0, 0.0, 0.0, 0.0],
        "demosaic.kernels": [[[0.0, 0.5], [0.5, 0.0]]] * 3,
        "white_balance.gains": [1.5, 1.0, 2.0],
        "sharpen.amount": 0.5,
        "denoise.kernel": [0.25, 0.5, 0.25],
        "gamma.gamma": 2.2,
    }
    final = {**values, "gamma.gamma": 1.875 + fold / 64, "denoise.kernel": [0.3, 0.4, 0.3]}
    return {
        "intensity": intensity, "setting": "learned", "fold": fold, "camera": "scope",
        "configuration": "bi,s,ga", "file": "isps/learned.toml", "initial": values, "final": final,
        "clipped": {"black": 0.01, "white": 0.0},
        "path": [
            {"epoch": e + 1, "step": s, "values": final, "clipped": {"black": 0.2, "white": 0.1}}
            for e, s in enumerate(STEPS)
        ],
    }  # fmt: skip


def _views(run: Path, setting: str, intensity: float, number: int) -> dict[str, str]:
    """All are alike before, and only a learned one changes."""
    if setting != "learned":
        return dict.fromkeys(("before", "after"), "samples/own.png")
    after = f"samples/{intensity:g}-{number}.png"
    _picture(run, after, 0.9 - number / 10)
    return {"before": "samples/own.png", "after": after}


def _picture(run: Path, name: str, level: float) -> None:
    (run / name).parent.mkdir(parents=True, exist_ok=True)
    imsave(run / name, np.full((4, 5, 3), level))


def store(run: Path, summary: dict) -> Path:
    (run / "summary.json").write_text(json.dumps(summary, allow_nan=False))
    return run


def told(run: Path, summary: dict) -> str:
    """The text of the page, which is written without its figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rawdrift.controls.optimization.page.draw", no_figures)
        return text_of(report.write(store(run, summary)).read_text())


@pytest.fixture(autouse=True)
def coarse_png(monkeypatch):
    monkeypatch.setattr(style, "_DPI", 20)


def headline(summary: dict) -> str:
    return report.words(summary, Path("run"))[0]


def test_headline_tells_gains_losses_and_none(tmp_path):
    summary = invented(tmp_path)
    assert headline(summary) == (
        "Learning the ISP with the task takes accuracy from 0.50 to 0.70 at intensity 0.05 and "
        "from 0.60 to 0.80 at intensity 1."
    )

    def learned(intensity: float, value: float, certain: bool) -> None:
        for found in summary["differences"]:
            if (found["intensity"], found["first"], found["second"]) == (
                intensity, "frozen", "learned",
            ):  # fmt: skip
                found.update(value=-value, is_difference=certain)

    learned(1.0, 0.2, False)
    assert headline(summary).endswith("; at intensity 1 nothing is gained beyond chance.")
    learned(1.0, -0.2, True)
    assert "0.05; it costs: from 0.60 to 0.80 at intensity 1." in headline(summary)
    learned(0.05, 0.2, False)
    assert headline(summary).startswith("Learning the ISP with the task costs accuracy: from 0.60")
    learned(1.0, 0.2, False)
    assert headline(summary) == (
        "Learning the ISP with the task gains no accuracy beyond chance at intensity 0.05 or 1."
    )


def test_differences_are_turned_to_what_learned_gains(tmp_path):
    # The record holds frozen less learned, -0.2 (-0.25 to -0.16).
    text = told(tmp_path, invented(tmp_path))
    assert "ends at 0.700 and frozen at 0.500: a difference of 0.200 (" in text
    assert "(0.160\N{EN DASH}0.250; p < 0.001)" in text.replace("\N{NO-BREAK SPACE}", " ")
    lines = report.words(invented(tmp_path), tmp_path)
    assert lines[1] == (
        "at intensity 0.05, accuracy in the end: learned 0.700 ± 0.031, direct 0.600 ± 0.031, "
        "static-best 0.550 ± 0.031, frozen 0.500 ± 0.031"
    )


def test_the_papers_claim_is_told_beside_what_was_found(tmp_path):
    text = told(tmp_path, invented(tmp_path))
    table = {(r["intensity"], r["setting"]): r for r in invented(tmp_path)["table"]}
    one, other = (f"{table[0.05, name]['std']:.3f}" for name in ("learned", "frozen"))
    assert "The paper finds up to 25 % more accuracy" in text
    found = re.search(
        r"Here the learned one gains (\S+) at intensity 0.05, with [^.]*?of (\S+)", text
    )
    assert found
    assert float(found[1]) > 0
    assert f"standard deviation of {one} against {other}" in text


def test_page_holds_the_numbers_of_the_record(tmp_path):
    summary = invented(tmp_path)
    summary["violations"] = [
        {"intensity": 0.05, "setting": "learned", "fold": 1, "camera": "scope",
         "parameter": "black_level.level", "epoch": 1, "step": 4,
         "what": "R: -0.0103 is below zero", "at_end": None}
    ]  # fmt: skip
    page = report.write(store(tmp_path, summary)).read_text()
    rows = {
        tuple(text_of(cell).strip() for cell in re.findall(r"<td.*?</td>", row))
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", page, flags=re.DOTALL)
    }
    learned = ["0.05", "learned", "0.600", "0.500\N{EN DASH}0.700", "0.123", "0.031", "0.234", "3"]
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
        "0 of 3",
    ) in rows
    minus = "\N{MINUS SIGN}"
    assert (
        "0.05", "in the end", "frozen", "learned", f"{minus}0.200", f"{minus}0.250 to {minus}0.160",
        "< 0.001", "< 0.001", "300",
    ) in rows  # fmt: skip
    assert ("1", "2", "gamma", "2.200", "1.891") in rows
    assert ("0.05", "3", "bi,s,me", "12", "0.62", "\N{EN DASH}") in rows
    assert (
        "0.05", "2", "black level", "4", f"R: {minus}0.0103 is below zero", "back within physics",
    ) in rows  # fmt: skip
    text = text_of(page)
    for fact in (
        "1 of 6 learned ISPs have had numbers", "but none in the end: black level in 1",
        "frozen and static-best, intensity 0.05", "learned, intensity 1", "mean 0.062",
        "frozen = learned, before = direct = static-best", "learned, after", "cell-1, BAS",
        "300 raw mosaics of 8 \N{MULTIPLICATION SIGN} 10 pixels", "1 min 15 s, all trainings added up",
        "“Best” is optimistic",
    ):  # fmt: skip
        assert fact in text
    for name in ("learning", "losses", "differences", "parameters-1", "kernels-1"):
        assert f'href="figures/{name}.svg"' in page
        assert (tmp_path / f"figures/{name}.png").is_file()
    tables = {"settings", "learning", "differences", "parameters", "violations", "choices"}
    assert {path.stem for path in (tmp_path / "tables").iterdir()} == tables


def test_figures_label_every_curve_and_parameter(tmp_path):
    report.write(store(tmp_path, invented(tmp_path)))
    curves = [element.text for element in svg_texts(tmp_path / "figures/learning.svg")]
    for name in LEARNED:
        assert curves.count(name) == 2
    assert {"Intensity 0.05", "Intensity 1"} <= set(curves)
    shown = {element.text for element in svg_texts(tmp_path / "figures/parameters-1.svg")}
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
    page = report.write(store(tmp_path, invented(tmp_path, **CASES[case]))).read_text()
    text = text_of(page)
    assert not re.search(r"\b(None|nan|NaN|inf|Undefined)\b", text)
    for path in (tmp_path / "figures").glob("*.svg"):
        assert not {e.text for e in svg_texts(path)} & {"None", "nan", "NaN"}
    for path in (tmp_path / "tables").iterdir():
        assert not re.search(r"\b(None|nan)\b", path.read_text())
    assert ("IoU" in text) == (case == "masks")


def test_all_diverged_but_one(tmp_path):
    summary = invented(tmp_path, folds=2)
    gone = [s for s in LEARNED if s != "frozen"]
    summary["diverged"] = [
        {"intensity": i, "setting": s, "fold": f, "epoch": 2, "after_step": 4, "why": "loss is NaN"}
        for i in (0.05, 1.0) for s in LEARNED for f in (0, 1) if (i, s, f) != (1.0, "frozen", 0)
    ]  # fmt: skip
    summary["table"] = [
        row | {"folds": 1, "low": None, "high": None}
        for row in summary["table"]
        if (row["intensity"], row["setting"]) == (1.0, "frozen")
    ]
    summary["differences"] = []
    for curve in summary["curves"]:
        curve["points"] = curve["points"][:1]
    page = report.write(store(tmp_path, summary)).read_text()
    text = text_of(page).replace("loss is NaN", "")
    assert "15 trainings diverged." in text
    assert "learned at intensity 0.05, fold 2, in epoch 2 after 4 steps" in text
    assert "Without a result: learned, direct and static-best." in text
    assert "The only setting with a result is frozen: at intensity 1, accuracy 0.60." in text
    assert "At intensity 0.05, no training came to its end." in text
    assert "Not of all folds. Failed and diverged trainings are left out of frozen at 1" in text
    assert not re.search(r"\b(None|nan|NaN)\b", text)
    assert all(f"<b>{name}</b> at intensity" in page for name in gone)
    summary["table"] = []
    assert "No training came to its end." in told(tmp_path, summary)


def test_failed_units_and_a_setting_that_is_another_are_told(tmp_path):
    summary = invented(tmp_path)
    summary["failed"] = {"learned at 1 fold 2": "out of memory"}
    summary["same"] = {"frozen-matched": "frozen"}
    summary["settings"].append("frozen-matched")
    summary["table"].append(summary["table"][0] | {"setting": "frozen-matched"})
    summary["curves"] += [
        curve | {"setting": "frozen-matched"}
        for curve in summary["curves"]
        if curve["setting"] == "frozen"
    ]
    text = text_of(report.write(store(tmp_path, summary)).read_text())
    assert "learned at 1 fold 2: out of memory" in text
    assert "frozen-matched is the same as frozen here" in text
    curves = [element.text for element in svg_texts(tmp_path / "figures/learning.svg")]
    assert "frozen-matched" not in curves


def test_caveats(tmp_path):
    few = invented(tmp_path, folds=2)
    few["data"] |= {"images": 90, "groups": 4, "majority": {"label": "BAS", "share": 0.65}}
    text = told(tmp_path, few)
    for caveat in (
        "Only 2 folds.", "Only 90 images.", "Only 4 groups.", "Only 3 epochs.",
        "No better than guessing. Always answering “BAS” would be right 0.65",
        "frozen, direct and static-best at intensity 0.05; frozen and static-best at intensity 1.",
    ):  # fmt: skip
        assert caveat in text
    assert "Only 2 folds" not in told(tmp_path, invented(tmp_path))


def test_hostile_names_are_text(tmp_path):
    summary = invented(tmp_path, intensities=(1.0,))
    hostile = HOSTILE[0]
    summary["data"] |= {"name": hostile, "classes": dict.fromkeys(HOSTILE, 75)}
    summary["data"]["majority"]["label"] = hostile
    summary["samples"][0] |= {"image": hostile, "label": HOSTILE[2]}
    summary["stages"][0]["stages"][0]["name"] = hostile
    summary["failed"] = {hostile: hostile}
    summary["diverged"] = [
        {"intensity": 1.0, "setting": hostile, "fold": 0, "epoch": 1, "after_step": 0,
         "why": hostile}
    ]  # fmt: skip
    text = json.dumps(summary).replace('"direct"', json.dumps(hostile))
    page = report.write(store(tmp_path, json.loads(text))).read_text()
    assert "<script" not in page
    assert "alert(1)&lt;/script&gt;" in page
    assert all("<script" not in path.read_text() for path in tmp_path.glob("figures/*.svg"))


def test_same_record_same_bytes(tmp_path):
    runs = [tmp_path / name for name in "ab"]
    for run in runs:
        run.mkdir()
        report.write(store(run, invented(run, ("learned", "static-best"), (1.0,), 1)))
    paths = [path.relative_to(runs[0]) for path in runs[0].rglob("*.*")]
    assert len(paths) > 20
    assert all((runs[0] / path).read_bytes() == (runs[1] / path).read_bytes() for path in paths)


def test_damaged_records_and_comparisons_are_refused(tmp_path):
    summary = invented(tmp_path)
    with pytest.raises(InputError, match=r"damaged, it lacks 'curves'"):
        report.write(store(tmp_path, {k: v for k, v in summary.items() if k != "curves"}))
    summary["table"][0].pop("std_over_steps")
    with pytest.raises(InputError, match=r"entry of its 'table' lacks 'std_over_steps'"):
        report.write(store(tmp_path, summary))
    store(tmp_path, invented(tmp_path))
    with pytest.raises(InputError, match=r"only runs of drift synthesis can be compared"):
        report.compare([tmp_path, tmp_path])


def test_pictures_of_other_folders_are_refused(tmp_path):
    summary = invented(tmp_path)
    summary["samples"][0]["views"]["frozen"]["after"] = "../secret.png"
    with pytest.raises(InputError, match="outside the run folder"):
        told(tmp_path, summary)
