"""The report draws what a result says, all of it, and nothing from elsewhere."""

import csv
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread, imsave
from msgspec.structs import replace

from invented import OWN, Invented, everywhere, of_checkpoint
from pages import HOSTILE, no_figures, svg_texts, text_of
from rawdrift.checks import InputError
from rawdrift.cli import main
from rawdrift.configurations import CONFIGURATIONS
from rawdrift.controls.result import Majority, load_result
from rawdrift.controls.run import write_page
from rawdrift.controls.synthesis.page import changes, compare, lines
from rawdrift.report import panels, style, whole
from rawdrift.report.contact_sheet import contact_sheet, fit
from rawdrift.report.tables import Column, Table, span, to_csv, to_latex
from rawdrift.statistics import Interval, Spread

TWELVE = list(CONFIGURATIONS)
CORRUPTIONS = ["gaussian_noise", "fog"]


def invented(trained=(OWN, "ma,u,me"), corruptions=CORRUPTIONS, folds=3, lost=95, groups=None):
    """The last pipeline loses `lost` of 300 images on me,s,me; all lose with severity."""
    wrong = {}
    for i, train in enumerate(trained):
        wrong |= everywhere(train, range(20 + 3 * i))
        for name in corruptions:
            for severity in (1, 3, 5):
                wrong[train, f"corruption/{name}/{severity}"] = range(20 + (9 + i) * severity)
    wrong[trained[-1], "isp/me,s,me"] = range(lost)
    far = {f"isp/{name}": 0.03 * i for i, name in enumerate(TWELVE)}
    far |= {f"corruption/{name}/{s}": 0.06 * s for name in corruptions for s in (1, 3, 5)}
    return Invented(trained, wrong, far, folds, groups, corruptions)


RUNS = {
    "one": lambda: invented([OWN], ["fog"], folds=2),
    "two": invented,
    "twelve": lambda: invented(TWELVE, []),
    "checkpoint": lambda: of_checkpoint(invented([OWN])),
}


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Run folders as a synthesis leaves them, by name; made when first asked for."""
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            RUNS[name]().write(made[name])
        return made[name]

    return get


@pytest.fixture
def a_run(folders, tmp_path):
    """A fresh copy of the run of two pipelines."""
    return shutil.copytree(folders("two"), tmp_path / "run")


def change(run: Path, **fields: object) -> None:
    """Give other values to fields of a run's result."""
    replace(load_result(run), **fields).save(run / "summary.json")


def change_worst(run: Path, kind: str, **fields: object) -> None:
    worst = load_result(run).worst
    change(run, worst=replace(worst, **{kind: replace(getattr(worst, kind), **fields)}))


def change_data(run: Path, **fields: object) -> None:
    change(run, data=replace(load_result(run).data, **fields))


def told(run: Path) -> str:
    """The text of a run's page, which is written without its figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rawdrift.report.page.draw", no_figures)
        return text_of(write_page(run).read_text())


@pytest.fixture(autouse=True)
def coarse_png(monkeypatch):
    """Encoding fine pictures would be most of these tests' time; one test looks at their size."""
    monkeypatch.setattr(style, "_DPI", 20)


@pytest.fixture(scope="module", params=RUNS)
def written(request, folders, tmp_path_factory):
    run = shutil.copytree(folders(request.param), tmp_path_factory.mktemp("written") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "_DPI", 20)
        assert write_page(run) == run / "report.html"
    return run, load_result(run), (run / "report.html").read_text()


def three(value: float | None) -> str:
    if value is None:
        return "\N{EN DASH}"
    return f"{value:.3f}".replace("-", "\N{MINUS SIGN}") if round(value, 3) else "0.000"


def test_every_number_of_the_result_is_in_the_page(written):
    _, result, page = written
    text = text_of(page)
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", page, flags=re.DOTALL)
    rows = {tuple(text_of(c).strip() for c in re.findall(r"<td.*?</td>", row)) for row in rows}
    starts = {row[:n] for row in rows for n in (7, 8)}

    for cell in result.cells:
        line = [cell.train, cell.test, str(cell.severity or "\N{EN DASH}"), three(cell.mean)]
        line += [span(cell.low, cell.high, 3)]
        line += [three(cell.std)] if result.folds > 1 else []
        line += [three(cell.drop)]
        line += [three(None) if cell.drop is None else span(cell.drop_low, cell.drop_high, 3)]
        assert tuple(line) in starts
    several = len(result.train) > 1
    for _, ranking in result.rankings.items():
        for entry in ranking:
            line = [str(entry.rank), span(entry.rank_low, entry.rank_high, 0)]
            line += [entry.train, three(entry.mean), span(entry.low, entry.high, 3)]
            line += [three(value) for value in (entry.std, entry.matched, entry.drop)]
            assert (tuple(line) in starts) == several
    for order in result.orders if several else ():
        assert any(row[0] == "1" and order.order[0] in row[1:] for row in rows if row)
        assert order.test.replace("_", " ") in text or order.test == "identity"
    for _, drop in result.average_drops.items():
        assert f"{three(drop.value)} {span(drop.low, drop.high, 3)}" in text
    for same in result.severity_matched.values():
        if same and same.ratio:
            ratio = same.ratio
            assert f"{ratio.value:.1f} times ({span(ratio.low, ratio.high, 1)})" in text
    for _, worst in result.worst.items():
        assert f"a drop of {three(worst.drop)} ({span(worst.low, worst.high, 3)};" in text
    for flips in result.flips:
        for one in flips.classes:
            line = (one.label, "150", three(one.matched), three(one.worst))
            assert (*line, str(one.lost), str(one.gained)) in rows
        lost, gained = len(flips.flipped), flips.gained
        assert f"{lost} are right with {flips.matched} and wrong" in text or lost < 2
        assert f"and {gained} the other way round" in text
    facts = (
        "300 raw mosaics of 8 \N{MULTIPLICATION SIGN} 8 pixels",
        f"rawdrift {result.version}",
        "22 November 2026, 21:40 UTC",
        "cpu, 32",
        "model: resnet18",
        result.data.fingerprint,
    )
    for fact in facts:
        assert fact in text


def test_kendalls_tau_is_told(a_run):
    change(a_run, agreement=Interval(0.515, -0.25, 0.75))
    assert "is 0.52 (\N{MINUS SIGN}0.25 to 0.75): 1 is the same order" in told(a_run)
    change(a_run, agreement=None)
    assert "Kendall" not in told(a_run)


def test_heatmap_holds_every_name_value_rank_and_star(written):
    run, result, _ = written
    texts = svg_texts(run / "figures/heatmap.svg")
    names = [*result.train, *TWELVE, *(c.replace("_", " ") for c in result.corruptions)]
    assert set(names) <= set(texts)
    assert ("Corruptions, severity 3" in texts) == ("identity" in texts)
    values = [f"{cell.mean:.2f}" for cell in result.cells if cell.severity in (0, 3)]
    if result.corruptions:
        values += [f"{result.own(train).mean:.2f}" for train in result.train]
    shown = [f"0{text}" for text in texts if re.fullmatch(r"\.\d\d", text)]
    shown += [text for text in texts if re.fullmatch(r"\d\.\d\d", text)]
    assert not Counter(values) - Counter(shown)  # the key holds numbers too
    ranks = sum(text in ("1", "2", "3") for text in texts)
    kinds, several = len(result.rankings.items()), len(result.train) > 1
    assert ranks == (min(3, len(result.train)) * kinds + 1 if several else 0)


def test_figures_and_tables_are_those_of_the_run(written):
    run, result, _ = written
    several, corrupted = len(result.train) > 1, bool(result.corruptions)
    figures = {"heatmap", "views", "worst-isp", "ranking" if several else "losses"}
    tables = {"measurements", "drops", "splits", "recall-1", "flipped-1"}
    if several:
        tables |= {"ranking-isp", "order-isp"}
    if corrupted:
        figures |= {"severities", "drops", "heatmap-severities", "worst-corruption"}
        tables |= {"recall-2", "flipped-2"}
    if several and corrupted:
        tables |= {"ranking-corruption", *(f"order-corruption-{s}" for s in (1, 3, 5))}
    for folder, names, kinds in (("figures", figures, "svg png"), ("tables", tables, "csv tex")):
        found = {path.name for path in (run / folder).iterdir()}
        assert found == {f"{name}.{kind}" for name in names for kind in kinds.split()}
    for path in (run / "figures").glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg")


def test_pictures_are_fine_enough_for_print(folders, tmp_path, monkeypatch):
    run = shutil.copytree(folders("one"), tmp_path / "run")
    monkeypatch.setattr(style, "_DPI", 200)
    write_page(run)
    height, width, _ = imread(run / "figures/heatmap.png").shape
    assert width == style.WIDTH * 200
    assert 200 < height < width


def test_page_needs_nothing_from_elsewhere(written):
    run, _, page = written
    own = re.sub(r"data:[\w/+-]+;base64,[\w+/=\s]*", "data:", page)
    assert not re.search(r"https?:|//[a-z]|@import|<script|<link|<iframe|javascript:", own)
    links = set(re.findall(r'(?:\bhref|\bsrc|xlink:href)="([^"]*)"', page))
    assert all(link.startswith(("#", "data:")) for link in links)
    saved = set(re.findall(r'<a download="([^"]*)"', page))
    there = {"results.csv", "summary.json"}
    assert saved >= there | {p.name for p in (run / "figures").glob("*.svg")}
    assert set(re.findall(r"url\((.)", page)) <= {"#"}


def test_inlined_figures_share_no_id_and_miss_none(written):
    _, _, page = written
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]*)', page)) <= set(ids)


def test_same_record_same_bytes_and_no_setting_of_matplotlib_changed(folders, tmp_path):
    runs = [shutil.copytree(folders("one"), tmp_path / name) for name in "ab"]
    before = dict(matplotlib.rcParams)
    for run in runs:
        write_page(run)
    assert dict(matplotlib.rcParams) == before
    paths = [path.relative_to(runs[0]) for path in runs[0].rglob("*.*")]
    assert all((runs[0] / path).read_bytes() == (runs[1] / path).read_bytes() for path in paths)


def test_hostile_labels_are_text_everywhere(a_run):
    result = load_result(a_run)
    images = [
        replace(image, label=HOSTILE[i % 4], prediction=HOSTILE[(i + 1) % 4], image=HOSTILE[0])
        for i, image in enumerate(result.worst.isp.images)
    ]
    change_worst(a_run, "isp", images=images)
    flips = result.flips[0]
    classes = [replace(one, label=HOSTILE[i]) for i, one in enumerate(flips.classes)]
    flipped = [replace(one, label=HOSTILE[0], answer=HOSTILE[1]) for one in flips.flipped]
    change_data(
        a_run,
        name=HOSTILE[0],
        root=HOSTILE[1],
        left_out={HOSTILE[0]: "2"},
        classes=dict.fromkeys(HOSTILE, 75),
        majority=Majority(HOSTILE[0], 0.99),
    )
    change(
        a_run,
        spec={HOSTILE[0]: {HOSTILE[0]: HOSTILE[0]}},
        device=HOSTILE[0],
        views=replace(result.views, image=HOSTILE[0]),
        failed={HOSTILE[0]: HOSTILE[0]},
        flips=[replace(flips, classes=classes, flipped=flipped)],
    )
    page = write_page(a_run).read_text()
    assert "<script" not in page
    assert "alert(1)&lt;/script&gt;" in page
    for path in (a_run / "figures").glob("*.svg"):
        assert "<script" not in path.read_text()
    captions = svg_texts(a_run / "figures/worst-isp.svg")
    assert "✗ 白血球" in captions
    assert "✗ $\\frac{a_1}$ & \"b'" in captions
    assert r"\$\textbackslash{}frac\{a\_1\}\$ \& " in (a_run / "tables/recall-1.tex").read_text()


def test_own_names_of_pipelines_are_drawn_without_the_glossary(a_run):
    long = "a very long name of a pipeline indeed"
    text = (a_run / "summary.json").read_text().replace("ma,u,me", "$own_1$")
    (a_run / "summary.json").write_text(text.replace("bi,s,me", long))
    page = write_page(a_run).read_text()
    assert "A pipeline is named by" not in page
    texts = svg_texts(a_run / "figures/heatmap.svg")
    assert {"$own_1$", "a very long n…indeed"} <= set(texts)


def test_headline_says_what_fell(a_run):
    text = told(a_run)
    fell = "Trained on ma,u,me and tested on me,s,me, accuracy falls from 0.923 to 0.683, for one"
    assert f"{fell} training of each fold." in text
    assert "Changed: demosaicing: Malvar2004 to Menon2007; sharpening: unsharp mask to" in text
    assert "Changed: gaussian noise 5, std 0.38." in text


@pytest.mark.parametrize(
    ("drop", "headline"),
    [
        (0.02, "No change of pipeline is shown to cost accuracy; a drop of more than"),
        (-0.01, "No change of pipeline is shown to cost accuracy; a drop of more than"),
    ],
)
def test_headline_says_when_no_pipeline_costs_anything(a_run, drop, headline):
    change_worst(a_run, "isp", drop=drop, low=drop - 0.04, high=drop + 0.04, is_drop=False)
    change_worst(a_run, "corruption", test="fog", matched=0.93, is_drop=True)
    text = told(a_run)
    assert headline in text
    assert "falls from" not in text
    assert f"a drop of {three(drop)}" in text


def test_a_folder_is_called_by_its_name(a_run):
    data = load_result(a_run).data
    for root, title in (("/data/cells", "cells"), (".", "folder"), (None, "folder")):
        assert replace(data, name="folder", root=root).title == title
    assert replace(data, name="raw-drone", root="/data").title == "raw-drone"


def test_a_model_that_was_not_trained_here_has_its_own_story(folders, tmp_path):
    text = told(shutil.copytree(folders("checkpoint"), tmp_path / "run"))
    tested = "Tested on me,s,me, this model\N{RIGHT SINGLE QUOTATION MARK}s accuracy falls from "
    assert re.search(tested + r"0\.93\d to 0\.68\d\.", text)
    assert "What other pipelines cost this model" in text
    assert "The model was tested as it is on all 300 images" in text
    for word in ("Ranking", "over folds", "Only 1", "trainings"):
        assert word not in text


def test_failed_units_are_named_at_the_top(a_run):
    spec = load_result(a_run).spec
    spec["synthesis"]["train"].append("me,u,ga")
    change(a_run, spec=spec, failed={"me,u,ga fold 2": "the loss is not a number"})
    text = told(a_run)
    assert "1 unit failed. Without all of their folds, me,u,ga is left out" in text
    assert "me,u,ga fold 2: the loss is not a number" in text
    assert text.index("unit failed") < text.index("Matched accuracy")


def test_warnings_only_where_they_are_due(a_run):
    assert "Only" not in told(a_run).replace("Only you know", "")
    change(a_run, folds=2)
    (split, *_) = load_result(a_run).data.splits
    splits = [replace(split, test=25)] * 2
    change_data(a_run, majority=Majority("a", 0.95), splits=splits, groups=4)
    text = told(a_run)
    for warning in ("Only 2 folds.", "Only 50 images.", "Only 4 groups.", "No better than guess"):
        assert warning in text


def test_a_large_drop_of_too_few_groups_is_not_put_down_to_chance(a_run):
    change_worst(a_run, "corruption", is_drop=False, p_all=0.3)
    assert "which is not shown to be more than chance" in told(a_run)
    change_data(a_run, groups=8)  # 2 of 2**8 permutations differ as much
    text = told(a_run)
    assert "which so few groups cannot tell from chance" in text
    assert "which is not shown to be more than chance" not in text
    assert "No drop, however large, could be claimed" in text


def test_the_terminal_tells_average_and_largest_drops(a_run):
    result = load_result(a_run)
    one, other = lines(result, a_run)
    drop, worst = result.average_drops.isp, result.worst.isp
    assert one == (
        f"on other pipelines, the average drop of accuracy is {three(drop.value)} "
        f"({span(drop.low, drop.high, 3)}); the largest drop shown, "
        f"{three(worst.drop)} ({span(worst.low, worst.high, 3)}), from 0.923 to 0.683, is "
        f"that of a model of ma,u,me on me,s,me; for one training of each fold"
    )
    assert "is that of a model of ma,u,me on gaussian noise 5; for one training" in other
    change_worst(a_run, "isp", is_drop=False)
    line = next(lines(load_result(a_run), a_run))
    assert re.search(
        "which is not shown to be more than chance; .* ruled out.*; for one training",
        line,
    )


def test_segmentation_speaks_of_iou_and_shows_no_answers(a_run):
    result = load_result(a_run)
    cells = [replace(cell, further={"dice": 0.875}) for cell in result.cells]
    change(a_run, metric="iou", cells=cells, flips=[])
    change_data(a_run, task="segmentation", classes={}, majority=None, groups=30)
    for kind, worst in result.worst.items():
        images = [
            replace(image, label=None, prediction=None, matched_prediction=None, score=0.4375)
            for image in worst.images
        ]
        change_worst(a_run, kind, images=images)
    text = told(a_run)
    assert "IoU falls from" in text
    assert "IoU 0.44" in text
    assert not re.search("accuracy|answering|✓|✗|Recall|majority", text, flags=re.IGNORECASE)
    assert "30; intervals count groups, and no group is on both sides" in text
    assert "0.875" in (a_run / "tables/measurements.csv").read_text()


def test_what_is_not_known_is_said(a_run):
    result = load_result(a_run)
    unknown = {"low": None, "high": None}
    change(
        a_run,
        cells=[replace(cell, std=None, psnr=None, **unknown) for cell in result.cells],
        average_drops=replace(result.average_drops, isp=Interval(0.1, None, None), ratio=None),
        severity_matched={"dssim": None, "mse": None},
        matched=Spread(0.9, None),
    )
    text = told(a_run)
    assert "0.100 no interval" in text
    assert "no ratio: the drop on other pipelines is not clearly above zero" in text
    assert "no corruption changes views as much as another pipeline does" in text
    assert not re.search(r"\b(nan|None|inf)\b", text)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"cells": []}, "no number for bi,s,ga tested on isp/"),
        ({"cells": [{"train": "bi,s,ga"}]}, r"damaged: .*missing required field `kind` - .*cells"),
        ({"folds": "three"}, r"Expected `int`, got `str` - at `\$.folds`"),
        ({"matched": {"mean": 0.8}}, "missing required field `std`"),
        ({"worst": {}}, "missing required field `isp`"),
    ],
)
def test_a_damaged_summary_is_refused(a_run, fields, complaint):
    content = json.loads((a_run / "summary.json").read_text())
    (a_run / "summary.json").write_text(json.dumps(content | fields))
    with pytest.raises(InputError, match=complaint):
        write_page(a_run)
    assert not (a_run / "report.html").exists()


def test_pictures_are_read_from_the_run_alone(a_run, tmp_path):
    imsave(tmp_path / "secret.png", np.zeros((4, 4, 3)))
    (a_run / "samples/text.png").write_text("no picture")
    views = load_result(a_run).views
    for name, complaint in (
        ("../secret.png", "is outside of"),
        ("samples/gone.png", r"its picture samples/gone\.png is missing"),
        ("samples/text.png", r"its picture samples/text\.png can't be read"),
    ):
        change(a_run, views=replace(views, views={"bi,s,me": name}))
        with pytest.raises(InputError, match=complaint):
            told(a_run)


def test_files_in_pages_are_of_the_run_alone(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "run").mkdir()
    for path in ("../secret.txt", str(tmp_path / "secret.txt"), "x\0"):
        with pytest.raises(InputError, match="is outside of"):
            whole.link(tmp_path / "run", path)


def test_results_and_pages_cost_no_torch():
    heavy = {"torch", "matplotlib.pyplot"}
    modules = "rawdrift.controls.synthesis.page, rawdrift.controls.synthesis.result"
    code = f"import sys, {modules}; print({heavy} & {{*sys.modules}})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_changes_are_told_step_by_step(folders):
    worst = replace(load_result(folders("two")).worst.isp, train="bi,s,ga", test="me,s,me")
    assert changes(worst) == ["demosaicing: bilinear to Menon2007", "denoising: Gaussian to median"]
    assert changes(replace(worst, test="own")) == []
    assert changes(replace(worst, kind="corruption")) == []


def test_titles_of_narrow_panels_stand_apart_and_on_the_figure():
    cells = {(0, 0): panels.Cell(0.5)}
    titles = "Corruptions, severity 1", "Corruptions, severity 3"
    shown = [panels.Panel(title, ["fog"], cells, {}) for title in titles]
    for first in (shown[0], shown[0]._replace(columns=TWELVE)):
        with style.drawing():
            figure = panels.draw(
                ["bi,s,ga"], [first, shown[1]], panels.scale([0.5], [], "Accuracy")
            )
            figure.draw_without_rendering()
        boxes = [
            text.get_window_extent()
            for axes in figure.axes
            for text in axes.texts
            if text.get_text() in titles
        ]
        assert boxes[0].x1 < boxes[1].x0
        assert boxes[1].x1 < figure.bbox.x1


# Tables


def test_measurements_are_whole_in_csv(written):
    run, result, _ = written
    with (run / "tables/measurements.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(result.cells)
    for row, cell in zip(rows, result.cells, strict=True):
        assert (row["train"], row["test"]) == (cell.train, cell.test)
        assert float(row["accuracy"]) == cell.mean
        assert float(row["accuracy_low"]) == cell.low
        assert row["drop_high"] == str("" if cell.drop_high is None else cell.drop_high)


def test_tables_are_latex_of_booktabs():
    columns = [Column("name", "Name"), Column("x", "x in %", 2), Column("x", "95", 2)]
    table = Table("t", "A_table", columns, [["a_b", -0.125, (-1.0, 0.5)], ["c", None, None]])
    lines = to_latex(table).splitlines()
    assert lines[2:] == [
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"Name & x in \% & 95 \\",
        r"\midrule",
        r"a\_b & $-$0.12 & $-$1.00 to 0.50 \\",
        r"c & -- & -- \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    assert to_csv(table).splitlines() == ["name,x,x_low,x_high", "a_b,-0.125,-1.0,0.5", "c,,,"]
    assert r"\begin{longtable}" in to_latex(table._replace(rows=table.rows * 30))


def test_small_p_values_and_shared_ranks():
    assert Column("p_all", "p", 3).show(0.0004) == "< 0.001"
    assert Column("p_all", "p", 3).show(0.04) == "0.040"
    assert style.p_value(0.0004) == "p < 0.001".replace(" ", "\N{NO-BREAK SPACE}")
    assert style.p_value(0.04) == "p = 0.040".replace(" ", "\N{NO-BREAK SPACE}")
    assert span(1.0, 2.5, 0) == "1\N{EN DASH}2.5"
    assert span(None, None, 3) == "not known"


# Comparisons


def test_two_runs_side_by_side(folders, a_run, tmp_path, capsys, monkeypatch):
    first = shutil.copytree(folders("two"), tmp_path / "first")
    result = load_result(a_run)
    result.spec["task"]["lr"] = 0.5
    cells = [replace(cell, mean=cell.mean - 0.25) for cell in result.cells]
    change(a_run, cells=cells, spec=result.spec)
    monkeypatch.setattr("rawdrift.report.page.draw", no_figures)
    assert main(["report", str(first), str(a_run)]) == 0
    assert f"comparison: {a_run / 'compare.html'}" in capsys.readouterr().out
    page = (a_run / "compare.html").read_text()
    text = text_of(page)
    assert re.search(r"task\.lr ?0\.0001 ?0\.5", text)
    assert "task.model" not in text
    assert "B and A tested the same images in the same folds" in text
    assert "not paired" not in text
    texts = svg_texts(a_run / "figures/difference-B-A.svg")
    shared = [t for t in texts if re.fullmatch(r"\N{MINUS SIGN}0?\.25", t)]
    assert len(shared) >= 2 * (12 + 2 * 3)
    assert "<script" not in page
    assert not re.search(r"https?:|//[a-z]", page)


def test_runs_of_other_images_are_not_paired(folders, a_run, tmp_path):
    change_data(a_run, fingerprint="other")
    runs = [folders("two"), a_run, folders("checkpoint")]
    page = compare(runs, tmp_path / "new")
    assert page == tmp_path / "new/compare.html"
    text = text_of(page.read_text())
    assert "B is not paired with A: other images." in text
    assert "C is not paired with A: trained here against tested as it is." in text
    assert (tmp_path / "new/figures/difference-C-A.svg").exists()


def test_runs_that_share_nothing_have_no_differences(a_run, folders, tmp_path):
    change(a_run, metric="iou")
    page = compare([folders("two"), a_run], tmp_path / "new")
    assert "The runs share no measurement" in text_of(page.read_text())
    assert not (tmp_path / "new/figures").exists()


def test_a_comparison_takes_several_runs(folders, capsys):
    run = folders("two")
    with pytest.raises(InputError, match="a comparison takes 2 to 8 runs, got 1"):
        compare([run])
    assert main(["report", str(run), "--out", "x"]) == 2
    assert "--out is for the comparison of several runs" in capsys.readouterr().err


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
        ((600, 900), (320, 724)),  # with a part at 1:1
    ],
)
def test_sheet_is_three_rows_of_four_views_large_enough(tmp_path, size, shown):
    path = tmp_path / "new" / "sheet.png"
    views = flat(*size)
    contact_sheet(dict(reversed(views.items())), path)
    found = boxes(path, views)
    assert {box[2:] for box in found.values()} == {shown}
    tops, lefts = (sorted({box[axis] for box in found.values()}) for axis in (0, 1))
    assert (len(tops), len(lefts)) == (3, 4)
    for i, name in enumerate(TWELVE):
        assert found[name][:2] == (tops[i // 4], lefts[i % 4])


def test_every_view_has_ink_of_a_label_below(tmp_path):
    path = tmp_path / "sheet.png"
    views = flat(24, 24, [*TWELVE, "own $name_1$"])
    contact_sheet(views, path, title="A title, $not$ mathematics")
    sheet = imread(path)[..., :3]
    for top, left, height, width in boxes(path, views).values():
        assert sheet[top + height + 4 : top + height + 50, left : left + width].min() < 0.5
    assert sheet[:60].min() < 0.5


def test_sheet_of_fewer_views_is_narrower(tmp_path):
    views = flat(24, 24, ["ma,u,me", "bi,s,ga"])
    contact_sheet(views, tmp_path / "sheet.png")
    found = boxes(tmp_path / "sheet.png", views)
    assert found["bi,s,ga"][1] < found["ma,u,me"][1]
    assert imread(tmp_path / "sheet.png").shape[1] < 1100


def test_sheet_is_deterministic(tmp_path):
    for name in ("a.png", "b.png"):
        contact_sheet(flat(24, 24, TWELVE[:3]), tmp_path / name, title="t")
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
        contact_sheet(views, tmp_path / "sheet.png")
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
