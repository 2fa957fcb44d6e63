"""The report draws what a summary says, all of it, and nothing from elsewhere."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html import unescape
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread, imsave

from rawdrift import report
from rawdrift.checks import InputError
from rawdrift.configurations import CONFIGURATIONS
from rawdrift.report import style
from rawdrift.report.contact_sheet import fit

TWELVE = list(CONFIGURATIONS)
CLASSES = {"neutrophil": 176, "lymphocyte": 54, "eosinophil": 39, "monocyte": 30}


def make_run(
    run: Path, train=("bi,s,ga", "ma,u,me"), folds=3, fall=0.12, labels=CLASSES, pictures=4
):
    """A run folder as a synthesis leaves it; its numbers are invented, but agree with each other.

    fall: how far the last training pipeline falls on me,s,me.
    """
    rng = np.random.default_rng(0)
    n = sum(labels.values())
    first, second, *_ = labels

    def spread(value: float) -> float | None:
        return None if folds == 1 else value

    cells, ranking = [], []
    for i, row in enumerate(train):
        matched = 0.815 + 0.02 * rng.random()
        means = {}
        for test in TWELVE:
            drop = 0 if test == row else 0.03 * rng.random()
            means[test] = matched - (fall if (test, i) == ("me,s,me", len(train) - 1) else drop)
        for test, mean in means.items():
            half = 1.96 * np.sqrt(mean * (1 - mean) / n)
            cells.append(
                {
                    **{"train": row, "test": test, "mean": mean, "folds": folds, "n": n},
                    **{"std": spread(0.004 + 0.03 * rng.random())},
                    **{"low": mean - half, "high": mean + half},
                }
            )
        worst = min(TWELVE, key=means.__getitem__)
        others = np.mean([means[test] for test in TWELVE if test != row])
        ranking.append(
            {
                **{"train": row, "mean": np.mean(list(means.values())), "std": spread(0.021)},
                **{"matched": matched, "drop": matched - others},
                **{"worst_test": worst, "worst": means[worst]},
            }
        )
    ranking = sorted(ranking, key=lambda entry: -entry["mean"])
    ranking = [{"rank": i, **entry} for i, entry in enumerate(ranking, start=1)]
    mean = {(cell["train"], cell["test"]): cell["mean"] for cell in cells}
    row, test = train[-1], "me,s,me"
    images = []
    for i in range(pictures):
        image = {"image": f"images/{i:03}.tiff", "label": second, "prediction": first}
        image |= {"matched_prediction": second if i else first}
        view = rng.random((24, 24, 3)) ** 0.5
        for kind, key in (("matched", "matched_view"), ("drifted", "view")):
            image[key] = f"samples/{i}-{kind}.png"
            (run / "samples").mkdir(parents=True, exist_ok=True)
            imsave(run / image[key], view if kind == "matched" else view**2)
        images.append(image)
    summary = {
        **{"kind": "synthesis", "version": "0.1.0", "created": "2026-11-22T21:40:00+00:00"},
        "spec": {
            "data": {"name": "folder", "root": "/data/wbc", "limit": None},
            "synthesis": {"train": list(train), "folds": folds},
            "task": {"model": "resnet18", "epochs": 15, "lr": 1e-4, "batch_size": 32},
            "seed": 0,
        },
        "data": {
            **{"name": "folder", "root": "/data/wbc", "images": n, "height": 120, "width": 120},
            **{
                "classes": labels,
                "left_out": {"basophil": "1 image: too few for 3 folds"},
                "groups": None,
            },
            **{"cameras": ["lab-cam"], "majority": {"label": first, "share": 0.589}},
        },
        **{"metric": "accuracy", "train": list(train), "test": TWELVE, "folds": folds},
        **{"cells": cells, "ranking": ranking},
        "best": {test: max(train, key=lambda row: mean[row, test]) for test in TWELVE},
        "average_drop": {"mean": 0.0213, "std": spread(0.0104)},
        "matched": {"mean": 0.8226, "std": spread(0.0197)},
        "worst": {
            **{"train": row, "test": test, "mean": mean[row, test], "matched": mean[row, row]},
            **{"drop": (drop := mean[row, row] - mean[row, test]), "images": images},
            **{"low": drop - 0.04, "high": drop + 0.04, "is_drop": drop > 0.04},
        },
        "recall": [
            {"train": row, "test": test, "label": label, "value": rng.random()}
            for test in (row, test)
            for label in labels
        ],
        **{
            "duration_s": 312.0,
            "device": "cpu",
            "precision": "bf16-mixed",
            "threads": "2",
            "torch": "2.15",
        },
    }
    summary = json.loads(json.dumps(summary, default=float))
    (run / "summary.json").write_text(json.dumps(summary))
    (run / "results.csv").write_text("train,test,fold,metric,value\n")
    return summary


def text_of(page: str) -> str:
    """What a reader sees: no tags, no style, entities resolved, white space collapsed."""
    page = re.sub(r"<(style|svg)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def change(run: Path, **fields: object) -> None:
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | fields))


RUNS = {
    "one row, one fold": {"train": ["bi,s,ga"], "folds": 1},
    "two rows, three folds": {"train": ["bi,s,ga", "ma,u,me"], "folds": 3},
    "twelve rows, five folds": {"train": TWELVE, "folds": 5},
}


@pytest.fixture(autouse=True)
def coarse_png(monkeypatch):
    """Encoding fine pictures would be most of these tests' time; those of `written` are fine."""
    monkeypatch.setattr(style, "_DPI", 30)


@pytest.fixture(scope="module", params=RUNS)
def written(request, tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    summary = make_run(run, **RUNS[request.param])
    assert report.write(run) == run / "report.html"
    return run, summary, (run / "report.html").read_text()


def test_every_number_of_the_summary_is_in_the_page(written):
    _, summary, page = written
    text = text_of(page)
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", page, flags=re.DOTALL)
    rows = [[text_of(cell).strip() for cell in re.findall(r"<td.*?</td>", row)] for row in rows]

    def three(value: float | None) -> str:
        return "\N{EN DASH}" if value is None else f"{value:.3f}"

    for cell in summary["cells"]:
        interval = f"{cell['low']:.3f}\N{EN DASH}{cell['high']:.3f}"
        line = [cell["train"], cell["test"], three(cell["mean"]), three(cell["std"]), interval]
        assert [*line, str(cell["folds"]), str(cell["n"])] in rows
    for entry in summary["ranking"]:
        line = [str(entry["rank"]), entry["train"]]
        line += [three(entry[key]) for key in ("mean", "std", "matched", "drop")]
        line += [entry["worst_test"], three(entry["worst"])]
        assert line in [row[:8] for row in rows]
    for key in ("average_drop", "matched"):
        spread = summary[key]["std"]
        shown = three(summary[key]["mean"]) + ("" if spread is None else f" ± {three(spread)}")
        assert shown in text
    worst = summary["worst"]
    assert f"{worst['train']} → {worst['test']}, drop {worst['drop']:.3f}" in text
    for label, count in summary["data"]["classes"].items():
        assert [label, str(count)] in [row[:2] for row in rows]
    recall = {(entry["test"], entry["label"]): entry["value"] for entry in summary["recall"]}
    for label in CLASSES:
        values = [recall[test, label] for test in (worst["train"], worst["test"])]
        assert [label, str(CLASSES[label]), *map(three, values)] in rows
    facts = (
        "0.589",
        "basophil (1 image: too few for 3 folds)",
        "299 raw mosaics of 120 \N{MULTIPLICATION SIGN} 120 pixels",
        "lab-cam",
    )
    provenance = ("rawdrift 0.1.0", "22 November 2026, 21:40 UTC", "5 min 12 s", "cpu, bf16-mixed")
    settings = ("model: resnet18", "lr: 0.0001", "limit: null", "root: /data/wbc")
    for fact in (*facts, *provenance, *settings):
        assert fact in text


def test_heatmap_holds_every_name_and_mean(written):
    run, summary, _ = written
    texts = [element.text for element in svg_texts(run / "figures/heatmap.svg")]
    assert set(summary["train"]) | set(TWELVE) <= set(texts)
    for cell in summary["cells"]:
        assert f"{cell['mean']:.2f}" in texts
    ranks = {"1", "2", "3"}.intersection(texts)
    assert len(ranks) == (min(3, len(summary["train"])) if len(summary["train"]) > 1 else 0)


def svg_texts(path: Path) -> list[ElementTree.Element]:
    return list(ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text"))


def test_figures_are_whole_svg_and_png(written):
    run, _, _ = written
    assert {path.name for path in (run / "figures").iterdir()} == {
        f"{name}.{kind}" for name in ("heatmap", "ranking", "worst-pair") for kind in ("svg", "png")
    }
    for path in (run / "figures").glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    for path in (run / "figures").glob("*.png"):
        height, width, channels = imread(path).shape
        assert channels == 4
        assert width == style.WIDTH * 200
        assert 200 < height < 1.2 * width


def test_page_needs_nothing_from_elsewhere(written):
    _, _, page = written
    own = re.sub(r"data:image/png;base64,[\w+/=\s]*", "data:image/png;base64,", page)
    assert not re.search(r"https?:|//[a-z]|@import|<script|<link|<iframe|javascript:", own)
    links = set(re.findall(r'(?:\bhref|\bsrc|xlink:href)="([^"]*)"', page))
    outside = {link for link in links if not link.startswith(("#", "data:image/png;base64,"))}
    figures = {f"figures/{name}" for name in ("heatmap", "ranking", "worst-pair")}
    assert outside == {"results.csv", "summary.json"} | {
        f"{figure}.{kind}" for figure in figures for kind in ("svg", "png")
    }
    assert set(re.findall(r"url\((.)", page)) <= {"#"}


def test_inlined_figures_share_no_id_and_miss_none(written):
    _, _, page = written
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]*)', page)) <= set(ids)


def test_same_record_same_bytes(tmp_path):
    found = []
    for name in ("a", "b"):
        run = tmp_path / name
        make_run(run)
        report.write(run)
        paths = [run / "report.html", *sorted((run / "figures").iterdir())]
        found.append([path.read_bytes() for path in paths])
    assert found[0] == found[1]


HOSTILE = ("<script>alert(1)</script>", "$\\frac{a_1}$ & \"b'", "白血球\n\x07", "_x")


def test_hostile_labels_are_text_everywhere(tmp_path):
    labels = dict(zip(HOSTILE, (40, 30, 20, 10), strict=True))
    summary = make_run(tmp_path, labels=labels)
    for i, image in enumerate(summary["worst"]["images"]):
        image.update(label=HOSTILE[i % 4], prediction=HOSTILE[(i + 1) % 4], image=HOSTILE[0])
    data = summary["data"] | {"name": HOSTILE[0], "root": HOSTILE[1], "left_out": {HOSTILE[0]: 2}}
    spec = {HOSTILE[0]: {HOSTILE[0]: HOSTILE[0]}}
    change(tmp_path, worst=summary["worst"], data=data, spec=spec, device=HOSTILE[0])
    page = report.write(tmp_path).read_text()
    assert "<script" not in page
    assert "alert(1)&lt;/script&gt;" in page
    for path in (tmp_path / "figures").glob("*.svg"):
        assert "<script" not in path.read_text()
    captions = [element.text for element in svg_texts(tmp_path / "figures/worst-pair.svg")]
    assert "✗ 白血球" in captions
    assert "✗ $\\frac{a_1}$ & \"b'" in captions


def test_own_names_of_pipelines_are_drawn_without_the_glossary(tmp_path):
    names_of_cameras = ["$phone_1$", "a very long name of a pipeline indeed", "c"]
    summary = make_run(tmp_path)
    cell = summary["cells"][0]
    cells = [cell | {"train": "c", "test": test} for test in names_of_cameras]
    entry = summary["ranking"][0] | {"train": "c", "worst_test": "$phone_1$"}
    worst = summary["worst"] | {"train": "c", "test": "$phone_1$"}
    change(tmp_path, train=["c"], test=names_of_cameras, cells=cells, ranking=[entry], worst=worst)
    page = report.write(tmp_path).read_text()
    assert "A pipeline is named by" not in page
    texts = [element.text for element in svg_texts(tmp_path / "figures/heatmap.svg")]
    assert "$phone_1$" in texts
    assert "a very long nam…e indeed" in texts


def test_headline_says_what_fell(tmp_path):
    make_run(tmp_path, fall=0.12)
    text = text_of(report.write(tmp_path).read_text())
    assert "Trained on ma,u,me and tested on me,s,me , accuracy falls from 0.83 to 0.71." in text
    assert "worst of 22 pairs" in text


@pytest.mark.parametrize(
    ("fall", "headline"),
    [
        (0.02, "No drop in accuracy was found beyond chance."),
        (-0.01, "No drop in accuracy was found."),
    ],
)
def test_headline_says_when_nothing_fell(tmp_path, fall, headline):
    make_run(tmp_path, fall=fall)
    text = text_of(report.write(tmp_path).read_text())
    assert headline in text
    assert "falls from" not in text
    if fall < 0:
        assert "drop \N{MINUS SIGN}0.010" in text


def test_warnings_only_where_they_are_due(tmp_path):
    sound, weak = tmp_path / "sound", tmp_path / "weak"
    make_run(sound)
    summary = make_run(weak, folds=2, labels={"a": 30, "b": 20})
    majority = {"label": "a", "share": 0.95}
    change(weak, data=summary["data"] | {"majority": majority})
    assert 'class="warning"' not in report.write(sound).read_text()
    text = text_of(report.write(weak).read_text())
    for warning in ("Only 2 folds.", "About 25 test images a fold.", "No better than guessing."):
        assert warning in text


def test_segmentation_without_classes_and_pictures(tmp_path):
    summary = make_run(tmp_path)
    data = summary["data"] | {"classes": {}, "majority": None, "left_out": {}, "groups": "flight"}
    cells = [cell | {"low": None, "high": None} for cell in summary["cells"]]
    worst = summary["worst"] | {"images": []}
    change(tmp_path, metric="iou", data=data, cells=cells, worst=worst, recall=None)
    page = report.write(tmp_path).read_text()
    assert "IoU falls from" in page
    assert not (tmp_path / "figures/worst-pair.svg").exists()
    assert "flight; none stands on both sides" in page


def test_nothing_to_compare(tmp_path):
    summary = make_run(tmp_path, train=["bi,s,ga"], folds=1)
    own = [cell for cell in summary["cells"] if cell["test"] == "bi,s,ga"]
    entry = summary["ranking"][0] | {"drop": None}
    fields = {"test": ["bi,s,ga"], "cells": own, "ranking": [entry], "best": {}}
    change(tmp_path, **fields, worst=None, average_drop=None)
    text = text_of(report.write(tmp_path).read_text())
    assert "No pair of different pipelines was compared." in text


def test_a_folder_that_is_no_finished_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere is not a finished run folder: it has no"):
        report.write(tmp_path / "nowhere")
    (tmp_path / "summary.json").write_text('{"kind": ')
    with pytest.raises(InputError, match=r"is not a finished run folder: .* damaged.*start the"):
        report.write(tmp_path)
    (tmp_path / "summary.json").write_text('{"kind": "horoscope"}')
    with pytest.raises(InputError, match=r"unknown kind of run .*'horoscope'.*synthesis"):
        report.write(tmp_path)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"cells": []}, "no number for bi,s,ga tested on bi,s,me"),
        ({"cells": [{"train": "bi,s,ga"}]}, "an entry of its 'cells' lacks 'test'"),
        ({"folds": "three"}, "its 'folds' is 'three'"),
        ({"matched": {"mean": 0.8}}, "an entry of its 'matched' lacks 'std'"),
    ],
)
def test_a_damaged_summary_is_refused(tmp_path, fields, complaint):
    make_run(tmp_path)
    change(tmp_path, **fields)
    with pytest.raises(InputError, match=complaint):
        report.write(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_pictures_are_read_from_the_run_alone(tmp_path):
    run = tmp_path / "run"
    summary = make_run(run)
    imsave(tmp_path / "secret.png", np.zeros((4, 4, 3)))
    summary["worst"]["images"][0]["view"] = "../secret.png"
    change(run, worst=summary["worst"])
    with pytest.raises(InputError, match="outside the run folder"):
        report.write(run)
    summary["worst"]["images"][0]["view"] = "samples/gone.png"
    change(run, worst=summary["worst"])
    with pytest.raises(InputError, match=r"its picture samples/gone\.png is missing"):
        report.write(run)


def test_report_changes_no_setting_of_matplotlib(tmp_path):
    before = dict(matplotlib.rcParams)
    make_run(tmp_path)
    report.write(tmp_path)
    assert dict(matplotlib.rcParams) == before


def test_report_and_its_import_cost_no_torch():
    heavy = {"torch", "lightning", "matplotlib.pyplot"}
    code = f"import sys, rawdrift.report; print({heavy} & {{*sys.modules}})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


# Contact sheets


def flat(height: int, width: int, keys=TWELVE) -> dict[str, np.ndarray]:
    """Views of one color each, by which they are found again on the sheet."""
    return {
        name: np.full((height, width, 3), ((i + 1) / 16, 0.25, 0.5)) for i, name in enumerate(keys)
    }


def boxes(path: Path, views: dict[str, np.ndarray]) -> dict[str, tuple[int, int, int, int]]:
    """Where the views stand on a sheet: top, left, height, width."""
    sheet = packed(np.round(imread(path)[..., :3] * 255))
    found = {}
    for name, view in views.items():
        rows, columns = np.nonzero(sheet == packed(np.floor(view[0, 0] * 255.999)))
        top, left = rows.min(), columns.min()
        found[name] = (top, left, rows.max() - top + 1, columns.max() - left + 1)
    return found


def packed(colors: np.ndarray) -> np.ndarray:
    return colors @ np.array([65536, 256, 1])


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((24, 24), (480, 480)),
        ((120, 90), (480, 360)),
        ((256, 200), (512, 400)),
        ((480, 300), (480, 300)),
        ((600, 900), (320, 480)),
    ],
)
def test_sheet_is_three_rows_of_four_views_large_enough(tmp_path, size, shown):
    path = tmp_path / "new" / "sheet.png"
    views = flat(*size)
    report.contact_sheet(dict(reversed(views.items())), path)
    found = boxes(path, views)
    assert {box[2:] for box in found.values()} == {shown}
    tops, lefts = (sorted({box[axis] for box in found.values()}) for axis in (0, 1))
    assert (len(tops), len(lefts)) == (3, 4)
    for i, name in enumerate(TWELVE):
        assert found[name][:2] == (tops[i // 4], lefts[i % 4])


def test_every_view_has_ink_of_a_label_below(tmp_path):
    path = tmp_path / "sheet.png"
    views = flat(24, 24, [*TWELVE, "own $name_1$"])
    report.contact_sheet(views, path, title="A title, $not$ mathematics")
    sheet = imread(path)[..., :3]
    for top, left, height, width in boxes(path, views).values():
        assert sheet[top + height + 4 : top + height + 50, left : left + width].min() < 0.5
    assert sheet[:60].min() < 0.5


def test_sheet_of_fewer_views_is_narrower(tmp_path):
    views = flat(24, 24, ["ma,u,me", "bi,s,ga"])
    report.contact_sheet(views, tmp_path / "sheet.png")
    found = boxes(tmp_path / "sheet.png", views)
    assert found["bi,s,ga"][1] < found["ma,u,me"][1]
    assert imread(tmp_path / "sheet.png").shape[1] < 1100


def test_sheet_is_deterministic(tmp_path):
    for name in ("a.png", "b.png"):
        report.contact_sheet(flat(24, 24, TWELVE[:3]), tmp_path / name, title="t")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("views", "complaint"),
    [
        ({}, "at least one view"),
        ({"a": np.zeros((3, 8, 8))}, r"'a' must have the shape \(H, W, 3\), got \(3, 8, 8\)"),
        ({"a": np.full((8, 8, 3), np.nan)}, "not finite"),
    ],
)
def test_sheet_refuses_what_is_no_view(tmp_path, views, complaint):
    with pytest.raises(ValueError, match=complaint):
        report.contact_sheet(views, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()


def test_fit_enlarges_by_squares_and_reduces_by_averages():
    view = np.random.default_rng(0).random((6, 9, 3))
    large = fit(view, 40)
    assert large.shape == (24, 36, 3)
    np.testing.assert_array_equal(large[::4, ::4], view)
    np.testing.assert_allclose(fit(large, 9), view)
    assert fit(view, 8).shape == (5, 8, 3)
    np.testing.assert_allclose(fit(view, 4).mean((0, 1)), view.mean((0, 1)))
    np.testing.assert_allclose(fit(np.ones((101, 77, 3)), 48), 1)
    assert fit(np.ones((101, 77, 3)), 48).max() <= 1
