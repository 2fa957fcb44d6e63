"""The decision about a release: two ISPs, the stages between them, and their blame."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from msgspec import structs
from safetensors.torch import save_file

import nets
import rawdrift as rd
from rawdrift.camera.camera import Noise, Optics
from rawdrift.cli import main
from rawdrift.controls.comparison import stand_in
from rawdrift.controls.comparison.analysis import _blame, _interactions, _remedies
from rawdrift.controls.comparison.other_sensor import difference
from rawdrift.controls.comparison.sides import Between, Side, Stage, side
from rawdrift.controls.run import write_page
from rawdrift.isp.develop import encode
from rawdrift.isp.external import External
from rawdrift.statistics import estimate, measures
from rawdrift.statistics.sequential import blocks

from conftest import write_folder

CAMERA = rd.Camera("lab", "RGGB", black_level=(0.01,) * 4, white_balance=(1.8, 1.0, 1.5))


def between(before, after):
    return Between(Side([before], None), Side([after], None))


def test_stages_are_the_steps_that_differ():
    before, after = (rd.isp.static(name, CAMERA) for name in ("bi,s,ga", "ma,s,me"))
    between_two = between(before, after)
    assert [stage.name for stage in between_two.stages] == ["demosaic", "denoise"]
    assert between_two.stages[0].before == "Bilinear"
    x = torch.rand(2, 8, 8)
    numbers = torch.zeros(2, dtype=torch.int64)
    for coalition, name in enumerate(["bi,s,ga", "ma,s,ga", "bi,s,me", "ma,s,me"]):
        views = between_two.develop(coalition)(x, numbers)
        assert torch.equal(views, rd.isp.static(name, CAMERA)(x))


def test_steps_of_one_side_alone_and_another_order_are_stages():
    before = rd.isp.static("bi,s,ga", CAMERA)
    after = before.insert("saturation", rd.isp.Saturation(1.3), after="color_correction")
    after = after.remove("sharpen")
    between_two = between(before, after)
    assert {stage.name for stage in between_two.stages} == {"sharpen", "saturation"}
    assert "none" in {stage.after for stage in between_two.stages}
    names = [*between_two.develop(3).isps[0].steps]
    assert names == [*after.steps]
    swapped = before.reorder(
        [
            "black_level",
            "demosaic",
            "white_balance",
            "color_correction",
            "denoise",
            "sharpen",
            "gamma",
        ]
    )
    order = between(before, swapped)
    assert [stage.name for stage in order.stages] == ["order of steps"]
    assert [*order.develop(1).isps[0].steps] == [*swapped.steps]


def test_many_stages_are_at_most_eight_and_end_as_after():
    before = rd.isp.static("bi,s,ga", CAMERA)
    other = rd.Camera(
        "new", "RGGB", black_level=(0.02,) * 4, white_balance=(1.7, 1.0, 1.4), gamma=2.0,
        color_matrix=((1.1, -0.1, 0), (0, 1, 0), (0, 0, 1)), saturation=1.2, hue=3.0,
        radial_shading=(0.1,),
    )  # fmt: skip
    after = rd.isp.static("ma,u,me", other)
    between_two = between(before, after)
    assert len(between_two.stages) == 8
    last = between_two.develop(255).isps[0]
    x = torch.rand(1, 8, 8)
    assert torch.equal(last(x), after(x))
    assert torch.equal(between_two.develop(0).isps[0](x), before(x))


def test_the_same_isp_is_nothing_to_decide():
    isp = rd.isp.static("bi,s,ga", CAMERA)
    with pytest.raises(rd.InputError, match="the same ISP"):
        between(isp, rd.isp.static("bi,s,ga", CAMERA))


STAGES = [Stage(name, (name,), "", "") for name in ("one", "two", "three")]


def levels(values, images=400, seed=0):
    """Estimates of accuracies (8,) of the same images, nested: an image that is right in one ISP is
    right in all better ones."""
    luck = np.random.default_rng(seed).random(images)
    truth = np.zeros(images, np.int64)
    outcomes = (luck >= np.array(values)[:, None]).astype(np.int64)
    measure = measures.classification(2)["accuracy"]
    return estimate(measure, measure.features(outcomes, truth), np.arange(images))


def test_blame_is_the_shapley_value_and_adds_up_to_the_drop():
    rng = np.random.default_rng(0)
    found = levels(rng.uniform(0.4, 0.9, 8))
    value = found.values
    blame = {one.stage: one for one in _blame(found, STAGES, 0)}
    assert sum(one.value for one in blame.values()) == pytest.approx(
        value[0] - value[-1], abs=1e-12
    )
    orders = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    added = np.zeros(3)
    for order in orders:
        state = 0
        for stage in order:
            added[stage] += (value[state] - value[state | 1 << stage]) / len(orders)
            state |= 1 << stage
    for i, stage in enumerate(STAGES):
        one = blame[stage.name]
        assert one.value == pytest.approx(added[i], abs=1e-12)
        assert one.low <= one.value <= one.high


def test_a_planted_stage_gets_the_blame_and_is_the_remedy():
    for seed in range(20):
        values = [0.9 - 0.15 * (state >> 1 & 1) - 0.01 * (state & 1) for state in range(8)]
        found = levels(values, seed=seed)
        best = _blame(found, STAGES, 0)[0]
        assert best.stage == "two"
        assert best.low > 0
        remedy = _remedies(found, STAGES, found[0] - found[-1], 0)[0]
        assert remedy.stage == "two"
        assert remedy.share == pytest.approx(0.93, abs=0.12)


def test_two_stages_that_harm_only_together_share_the_blame_and_interact():
    values = [0.9 - 0.2 * (state & 3 == 3) for state in range(8)]
    found = levels(values)
    blame = {one.stage: one.value for one in _blame(found, STAGES, 0)}
    assert blame["one"] == pytest.approx(blame["two"], abs=1e-9)
    assert blame["three"] == 0
    first = _interactions(found, STAGES, 0)[0]
    assert {first.one, first.other} == {"one", "two"}
    assert first.is_clear
    assert first.value == pytest.approx(found.values[0] - found.values[-1])


def test_without_a_change_no_blame_is_beyond_its_interval():
    for one in _blame(levels([0.8] * 8), STAGES, 0):
        assert one.value == 0
        assert one.low < 0 < one.high


# The control.

TASK = [
    "--task.model", "import:nets.blocks", "--task.epochs", "12", "--task.batch_size", "8",
    "--task.lr", "0.03", "--task.precision", "32",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rows = [{"image": f"{i}.tif", "label": "ab"[i % 2], "group": str(i % 15)} for i in range(60)]
    return write_folder(
        tmp_path_factory.mktemp("compare") / "data", rows, size=(32, 32), dark=("a",)
    )


def command(folder, out, *more):
    return [
        "compare", "--data.root", str(folder), "--comparison.before", "bi,s,ga", *TASK,
        "--comparison.folds", "2", "--out", str(out), *more,
    ]  # fmt: skip


def test_a_harmless_change_is_released_and_a_tiny_margin_is_undecided(folder, tmp_path, capsys):
    run = tmp_path / "run"
    after = ["--comparison.after", "bi,s,-", "--comparison.margin", "0.5"]
    assert main([*command(folder, run, *after), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["decision"] == "non-inferior"
    assert printed["drop"]["value"] == pytest.approx(sum(b["value"] for b in printed["blame"]))
    page = (run / "report.html").read_text()
    assert "Non-inferior: bi,s,- in place of bi,s,ga" in page
    result = rd.load_result(run)
    assert [one.stage for one in result.blame] == ["denoise"]
    images = [structs.replace(one, matched_score=1.0, score=1.0) for one in result.images]
    groups = [structs.replace(one, drop=0.0) for one in result.groups]
    kept = structs.replace(result, lost=0, won=0, images=images, groups=groups)
    kept.save(run / "summary.json")
    page = write_page(run).read_text()
    assert "No image loses" in page
    assert "lose most" not in page
    assert "Lost and won</h2><p>None" in page
    small = ["--comparison.after", "bi,s,-", "--comparison.margin", "0.001"]
    assert main(command(folder, tmp_path / "other", *small)) == 1
    assert "are too few" in capsys.readouterr().out
    assert rd.load_result(tmp_path / "other").decision == "undecided"


def test_a_camera_that_darkens_is_inferior_and_its_stage_is_named(folder, tmp_path, capsys):
    camera = rd.Camera.load(folder / "camera.toml")
    isp = rd.isp.static("bi,s,ga", camera)
    dark = isp.replace(gamma=rd.isp.Gamma(0.4))
    rd.isp.save(dark, tmp_path / "firmware.toml", camera)
    more = ["--comparison.after", str(tmp_path / "firmware.toml"), "--comparison.margin", "0.02"]
    assert main(command(folder, tmp_path / "run", *more)) == 1
    result = rd.load_result(tmp_path / "run")
    assert result.after == "firmware"
    assert [one.stage for one in result.blame] == ["gamma"]
    assert result.decision == "inferior"
    assert "blame of gamma" in capsys.readouterr().out
    assert len(result.groups) == 8
    assert result.lost > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--comparison.after", "bi,s,ga"], "nothing to decide"),
        ([], "comparison.after is missing"),
        (["--comparison.after", "xx"], "choose one of"),
        (["--comparison.after", "bi,-,ga", "--comparison.margin", "1.5"], "margin must be above 0"),
        (["--comparison.after", "bi,-,ga", "--task.repeats", "3"], "task.repeats"),
    ],
)
def test_wrong_input_is_one_line(folder, tmp_path, capsys, change, message):
    assert main(command(folder, tmp_path / "run", *change)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_cameras_with_another_cfa_are_refused(folder, tmp_path, capsys):
    camera = rd.Camera("other", "GBRG")
    rd.isp.save(rd.isp.static("bi,s,ga", camera), tmp_path / "other.toml", camera)
    after = ["--comparison.after", str(tmp_path / "other.toml")]
    assert main(command(folder, tmp_path / "run", *after)) == 2
    assert "GBRG" in capsys.readouterr().err


def test_early_stopping_ends_with_the_first_decision_and_tests_fewer_images(tmp_path, capsys):
    rows = [{"image": f"{i}.tif", "label": "ab"[i % 2]} for i in range(80)]
    data = write_folder(tmp_path / "data", rows, size=(32, 32), dark=("a",))
    images = rd.data.load(rd.Data(root=str(data)))
    sums = rd.isp.static("bi,s,ga", images.cameras[0])(images.mosaics[:]).mean((2, 3)).sum(1)
    middle = float(sums[0::2].mean() + sums[1::2].mean()) / 2
    net = nets.mean(2)
    with torch.no_grad():
        net[2].weight.copy_(torch.tensor([[-9.0] * 3, [9.0] * 3]))
        net[2].bias.copy_(torch.tensor([9.0, -9.0]) * middle)
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    early = [
        "compare", "--data.root", str(data), "--task.model", "import:nets.mean",
        "--task.checkpoint", str(tmp_path / "net.safetensors"), "--comparison.before", "bi,s,ga",
        "--comparison.after", "ma,s,ga", "--comparison.margin", "0.2",
        "--comparison.stop_early", "true", "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    assert main(early) == 0, capsys.readouterr()
    result = rd.load_result(tmp_path / "run")
    assert result.stopped.images < result.stopped.of == 80
    assert f"Only {result.stopped.images} images" in (tmp_path / "run/report.html").read_text()
    assert f"known after {result.stopped.images} of 80 images" in capsys.readouterr().out


def test_stopping_early_needs_a_trained_network(folder, tmp_path, capsys):
    more = ["--comparison.after", "ma,s,ga", "--comparison.stop_early", "true"]
    assert main(command(folder, tmp_path / "run", *more)) == 2
    assert "task.checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "macro_f1"])
def test_an_early_decision_at_the_margin_is_seldom_wrong(metric):
    rng = np.random.default_rng(0)
    runs = 40 if metric != "macro_f1" else 4
    truth = np.repeat([0, 1], [90, 60])
    wrong = 0
    for run in range(runs):
        after = np.where(rng.random(150) < 0.1, 1 - truth, truth)
        decision = rd.statistics.accept(
            truth, truth, after, 0.1, metric=metric, stop_early=True, seed=run
        ).decision
        wrong += decision == "accept"
    assert wrong <= 0.05 * runs + 2 * (0.05 * runs) ** 0.5 + 1


@pytest.mark.parametrize("groups", [None, [i // 4 for i in range(240)]])
def test_blocks_hold_every_image_once_and_every_class(groups):
    labels = np.arange(240) % 3
    clusters = np.arange(240) if groups is None else np.array(groups)
    found = blocks(labels, clusters, seed=1)
    assert sorted(np.concatenate(found).tolist()) == [*range(240)]
    assert all({*labels[block].tolist()} == {0, 1, 2} for block in found)
    for block in found:  # whole groups
        assert np.isin(np.flatnonzero(np.isin(clusters, clusters[block])), block).all()
    again = blocks(labels, clusters, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


def test_early_stopping_saves_images_where_nothing_changes():
    truth = np.arange(600) % 2
    found = rd.statistics.accept(truth, truth, truth, 0.05, stop_early=True)
    assert found.decision == "accept"
    assert found.used < 120
    worse = np.where(np.arange(600) % 3 == 0, 1 - truth, truth)
    found = rd.statistics.accept(truth, truth, worse, 0.05, stop_early=True)
    assert found.decision == "reject"
    assert found.used < 300


def test_a_dry_run_says_how_many_images_the_margin_takes(folder, tmp_path, capsys):
    after = ["--comparison.after", "libraw", "--comparison.margin", "0.1", "--dry_run"]
    assert main(command(folder, tmp_path / "run", *after)) == 0
    printed = capsys.readouterr().out
    assert "groups that non-inferiority at the margin 0.1 takes" in printed
    assert "(there are 13)" in printed  # an ISP is fitted to two
    assert not (tmp_path / "run").exists()


def test_a_black_box_is_one_stage():
    two = Between(*(side(one, [CAMERA], "luma") for one in ("bi,s,ga", "libraw")))
    assert [stage.name for stage in two.stages] == ["unexplained"]
    assert [*two.develop(1).isps[0].steps] == ["libraw"]
    assert "libraw" in two.stages[0].after or "Black" in two.stages[0].after


# Another sensor.

NOISY = replace(CAMERA, name="old", noise=Noise(5.0, read_noise=3.0), optics=Optics(0.5))


def test_a_sensor_is_moved_as_far_as_the_cameras_state_it():
    other = replace(
        NOISY, name="new", noise=Noise(10.0, read_noise=5.0), optics=Optics(1.0),
        black_level=(0.03,) * 4,
    )  # fmt: skip
    found = difference(NOISY, other, seed=0)
    assert [text.split(" ")[0] for text in found.moved] == ["shot", "read", "point", "black"]
    assert found.not_moved == []
    flat = torch.full((64, 64), 0.5, dtype=torch.float64)
    moved = difference(NOISY, replace(other, optics=NOISY.optics), seed=0).step(flat)
    assert float(moved.mean()) == pytest.approx(0.5 + 0.02, abs=2e-4)
    electrons = (0.5 - 0.01) * 65535 / 10  # of the new sensor
    added = 10**2 * (electrons / 2 + 5**2 - 3**2 * (1 / 2) ** 2) / 65535**2
    assert float(moved.var()) == pytest.approx(added, rel=0.1)
    back = difference(other, NOISY, seed=0)
    assert back.moved == ["black level 0.03 to 0.01 of full scale"]
    assert [text.split(":")[0] for text in back.not_moved] == [
        "shot noise",
        "read noise",
        "point spread",
    ]
    silent = difference(CAMERA, other, seed=0)
    assert silent.not_moved[0] == "noise: not stated by lab"


def test_a_sensor_is_a_stage_with_the_black_level_that_it_needs():
    other = replace(NOISY, black_level=(0.03,) * 4, noise=Noise(9.0, read_noise=3.0))
    before, after = (Side([rd.isp.static("bi,s,ga", c)], c) for c in (NOISY, other))
    sensor = difference(NOISY, other, seed=0)
    two = Between(before, after, sensor)
    assert [stage.name for stage in two.stages] == ["sensor"]
    assert "electrons at white" in two.stages[0].after
    x = torch.rand(2, 16, 16)
    steps = [*two.develop(1).isps[0].steps]
    assert steps[0] == "sensor"
    assert torch.equal(two.develop(1).isps[0](x), after.pipelines[0](sensor.step(x.clone())))


# Black boxes.


class Fit:
    """What a fit gives: nearly the second pipeline of the test."""

    def __init__(self, mosaics, pictures, camera, groups, seed):
        self.isp = rd.isp.static("ma,s,ga", camera).replace(gamma=rd.isp.Gamma(2.1))
        self.camera, self.psnr, self.delta_e, self.warnings = camera, 40.0, 0.5, ()
        self.groups, self.count = groups, len(mosaics)


@pytest.mark.parametrize("which", ["before", "after"])
def test_of_a_black_box_the_fitted_isp_has_stages_and_the_rest_is_unexplained(
    folder, tmp_path, capsys, monkeypatch, which
):
    monkeypatch.setenv("RAWDRIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stand_in, "fit", Fit)
    other = "after" if which == "before" else "before"
    run = tmp_path / "run"
    options = {f"--comparison.{which}": "libraw", f"--comparison.{other}": "bi,s,ga"}
    arguments = [
        "compare", "--data.root", str(folder), *(x for pair in options.items() for x in pair),
        "--comparison.folds", "2", *TASK, "--out", str(run),
    ]  # fmt: skip
    assert main(arguments) in (0, 1), capsys.readouterr().err
    result = rd.load_result(run)
    assert result.stages == ["demosaic", "gamma", "unexplained"]
    assert sum(one.value for one in result.blame) == pytest.approx(result.drop.value, abs=1e-12)
    assert result.stand_ins[0].images == 8  # two of 15 groups
    assert result.data.tested == 52
    page = (run / "report.html").read_text()
    assert "is a black box. In its place stands an ISP" in page
    data = rd.data.load(rd.Data(root=str(folder)))
    box, isp = External("libraw", data.cameras[0]), rd.isp.static("ma,s,ga", data.cameras[0])
    x = data.mosaics[:2]
    views = stand_in.WithRest(isp, stand_in.Rest(box, isp))(x)
    assert torch.allclose(views, box(x), atol=1e-6)


def test_without_a_fit_a_black_box_is_one_stage_and_the_page_says_why(
    folder, tmp_path, capsys, monkeypatch
):
    def flat(*_):
        raise rd.InputError("their pictures are flat")

    monkeypatch.setenv("RAWDRIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stand_in, "fit", flat)
    more = ["--comparison.after", "libraw"]
    assert main(command(folder, tmp_path / "run", *more)) in (0, 1), capsys.readouterr().err
    result = rd.load_result(tmp_path / "run")
    assert result.stages == ["unexplained"]
    assert result.stand_ins[0].why == "their pictures are flat"
    assert "No ISP could be fitted" in (tmp_path / "run/report.html").read_text()


# Pictures.


def paired(folder, root, before, after):
    """Write the pictures of a folder by two pipelines with their pairs.csv."""
    data = rd.data.load(rd.Data(root=str(folder)))
    rows = ["before,after,label,group"]
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
    for i, row in enumerate(data.rows):
        for name, isp in (("a", before), ("b", after)):
            view = rd.isp.static(isp, data.cameras[0])(data.mosaics[i : i + 1])[0]
            (root / f"{name}/{i}.png").write_bytes(
                encode(np.ascontiguousarray(view.permute(1, 2, 0)))
            )
        rows.append(f"a/{i}.png,b/{i}.png,{row.label},{row.group}")
    (root / "pairs.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.mark.parametrize(("after", "margin"), [("ma,s,-", 0.3), ("bi,-,-", 0.01)])
def test_pictures_by_two_pipelines_lead_to_the_decision_of_their_raw_images(
    folder, tmp_path, capsys, after, margin
):
    pairs = paired(folder, tmp_path / "pairs", "bi,s,ga", after)
    more = ["--comparison.folds", "2", "--comparison.margin", str(margin), *TASK, "--json"]
    raw = [
        "--data.root",
        str(folder),
        "--comparison.before",
        "bi,s,ga",
        "--comparison.after",
        after,
    ]
    found = []
    for name, given in (("raw", raw), ("shown", ["--comparison.pairs", str(pairs)])):
        code = main(["compare", *given, *more, "--out", str(tmp_path / name)])
        printed = capsys.readouterr()
        found.append((code, json.loads(printed.out)))
    (code, one), (other_code, other) = found
    assert code == other_code
    assert one["decision"] == other["decision"]
    for name in ("value", "low", "high"):
        assert one["drop"][name] == pytest.approx(other["drop"][name], abs=0.05)
    assert one["data"]["groups"] == other["data"]["groups"] == 15
    page = (tmp_path / "shown/report.html").read_text()
    assert "Pictures come without raw data" in page
    assert "pairs of pictures" in page
    again = ["compare", "--comparison.pairs", str(pairs), *more, "--out", str(tmp_path / "shown")]
    assert main(again) == code  # resumed
    evidence = str(tmp_path / "shown.zip")
    assert main(["evidence", str(tmp_path / "shown"), "--out", evidence]) == 0
    verify = ["verify", evidence, "--data", str(pairs), "--recompute", "1"]
    assert main([*verify, "--allow_import", "import:nets.blocks"]) == 0, capsys.readouterr().out
    assert "computed again, fold 1 is the same" in capsys.readouterr().out


def test_a_dry_run_of_pairs_reads_a_few(folder, tmp_path, capsys):
    pairs = paired(folder, tmp_path / "pairs", "bi,s,ga", "ma,s,ga")
    plan = ["compare", "--comparison.pairs", str(pairs), *TASK, "--out", str(tmp_path / "run")]
    assert main([*plan, "--dry_run"]) == 0
    assert "60 pairs of pictures" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("a/0.png,", "a/none.png,"), "a/none.png"),
        (("a/0.png,", "b/0.png,"), "before and after"),
        (("label", "tag"), "expected before, after and label or mask"),
        (("label", "labels"), "'labels' seems to be 'label'"),
        (("group", "patient_id"), "did you mean 'group'"),
        (("before", "old"), "'old' seems to be 'before'"),
        (("size", ""), "expected pairs of one size"),
    ],
)
def test_wrong_pairs_are_one_line(folder, tmp_path, capsys, change, message):
    root = paired(folder, tmp_path / "pairs", "bi,s,ga", "ma,s,ga")
    table = root / "pairs.csv"
    if change[0] == "size":
        (root / "b/0.png").write_bytes(encode(np.zeros((32, 40, 3), np.float32)))
    table.write_text(table.read_text().replace(*change, 1))
    run = ["compare", "--comparison.pairs", str(root), *TASK, "--out", str(tmp_path / "run")]
    code, said = main(run), capsys.readouterr()
    if "did you mean" in message:  # not needed
        assert message in said.err + said.out
        return
    assert code == 2
    assert message in said.err
    assert said.err.count("\n") == 1 or "reading" in said.err


@pytest.mark.parametrize(
    "more",
    [
        ["--comparison.before", "bi,s,ga"],
        ["--data.root", "."],
        ["--data.tile", "16"],
    ],
)
def test_pairs_take_the_place_of_isps_and_data(folder, tmp_path, capsys, more):
    given = ["--comparison.pairs", str(tmp_path), *more, "--out", str(tmp_path / "run")]
    assert main(["compare", *given]) == 2
    assert "leave" in capsys.readouterr().err
    other = ["synthesis", "--data.name", "pairs", "--data.root", str(tmp_path), "--out", "x"]
    assert main(other) == 2
    assert "pictures, not raw images" in capsys.readouterr().err
