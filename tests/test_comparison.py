"""The decision about a release: two ISPs, the stages between them, and their blame."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import nets
import rawdrift as rd
from rawdrift.camera.camera import Noise
from rawdrift.cli import main
from rawdrift.controls.comparison.analysis import _blame, _interactions, _remedies
from rawdrift.controls.comparison.sides import Between, Side, Stage, not_moved, side
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
    assert "(there are 15)" in printed
    assert not (tmp_path / "run").exists()


def test_a_black_box_is_one_stage():
    two = Between(*(side(one, [CAMERA], "luma") for one in ("bi,s,ga", "libraw")))
    assert [stage.name for stage in two.stages] == ["unexplained"]
    assert [*two.develop(1).isps[0].steps] == ["libraw"]
    assert "libraw" in two.stages[0].after or "Black" in two.stages[0].after


def test_a_sensor_that_the_raw_files_are_not_of_is_named():
    other = replace(CAMERA, noise=Noise(5.0), black_level=(0.02,) * 4)
    before, after = (Side([rd.isp.static("bi,s,ga", c)], c) for c in (CAMERA, other))
    assert not_moved(before, after, [CAMERA]) == ["noise", "black level"]
    assert not_moved(after, before, [other]) == ["black level"]
    assert not_moved(before, Side(before.pipelines, None), [CAMERA]) == []
