"""Drift forensics against planted weaknesses, brute force and laws over all configurations."""

import warnings
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from skimage.color import rgb2yuv, yuv2rgb
from torch import nn
from torch.func import functional_call
from torchmetrics.functional.image import structural_similarity_index_measure

import rawdrift as rd
from planted import CAMERA, ISP, RANGES, Threshold, brightness, planted
from rawdrift.controls.forensics import gradient_search, joint, methods, tolerance
from rawdrift.controls.forensics.chain import Chain
from rawdrift.data.dataset import RawDataset
from rawdrift.statistics import Interval, estimate, measures
from rawdrift.statistics.guarantees import lost_and_won

from conftest import random_camera, random_mosaic

KINDS = ("brightness", "hue", "high frequencies")
IRRELEVANT = {
    "brightness": ("color_correction.hue", "sharpen.strength"),
    "hue": ("sharpen.strength",),
    "high frequencies": ("color_correction.hue",),
}
space_of = rd.forensics.ParameterSpace.around
SPACE = space_of(ISP, RANGES)


@pytest.fixture(scope="module", params=KINDS)
def case(request):
    return request.param, planted(request.param)


@pytest.fixture(scope="module")
def bright():
    return planted("brightness", images=40)


def turned(setting):
    """ISP with the three numbers of `RANGES` in steps made anew, without rawdrift.forensics."""
    gamma, hue, strength = setting
    kernel = np.array(rd.isp.SharpeningFilter.numbers["kernel"].default)
    delta = np.zeros((3, 3))
    delta[1, 1] = 1
    angle = np.deg2rad(hue)
    columns = rgb2yuv(np.array(CAMERA.color_matrix).T)
    y, u, v = columns.T
    rotated = np.stack(
        [y, u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)], axis=-1
    )
    return ISP.replace(
        gamma=rd.isp.Gamma(gamma),
        color_correction=rd.isp.ColorCorrection(yuv2rgb(rotated).T.tolist()),
        sharpen=rd.isp.SharpeningFilter((delta + strength * (kernel - delta)).tolist()),
    )


def right(net, isp, data):
    """Which images are right, (N,)."""
    mosaics = torch.stack([mosaic for mosaic, _ in data])
    labels = torch.tensor([label for _, label in data])
    with torch.no_grad():
        return (net(isp(mosaics)).argmax(1) == labels).double().numpy()


# Search


def test_the_search_finds_the_planted_parameter_and_the_worst_of_brute_force(case):
    _, (net, data, parameter) = case
    found = rd.forensics.search(net, ISP, data, SPACE, restarts=2, steps=10, rivals=())
    default = SPACE.named(SPACE.default)
    assert abs(found.parameters[parameter] - default[parameter]) > 0.1
    moved = [name for name, value in found.parameters.items() if value != default[name]]
    if len(moved) == 1:
        assert moved == [parameter]
    grid = product(
        *(np.linspace(a, b, n) for a, b, n in zip(SPACE.low, SPACE.high, (9, 3, 9), strict=True))
    )
    worst = min(right(net, turned(setting), data).mean() for setting in grid)
    assert found.metric <= worst + 0.02
    assert found.metric == pytest.approx(
        right(net, turned(found.parameters.values()), data).mean(), abs=1e-12
    )
    assert found.baseline == right(net, ISP, data).mean()
    assert found.worst == found.gradient


def test_rivals_get_as_many_evaluations(bright):
    found = rd.forensics.search(bright.net, ISP, bright.data, SPACE, restarts=2, steps=4)
    assert set(found.rivals) == {"random", "cma-es"}
    for rival in found.rivals.values():
        assert rival.evaluations == found.gradient.evaluations
        assert rival.parts["probes"] == found.gradient.parts["probes"]
        assert found.worst.metric <= rival.metric <= found.baseline
    one = SPACE.only(["gamma"])  # fewer axes than CMA-ES asks for
    found = rd.forensics.search(bright.net, ISP, bright.data, one, restarts=1, steps=4)
    assert found.rivals["cma-es"].metric == pytest.approx(found.metric, abs=0.05)


@pytest.mark.parametrize("distance", ["l2", "ssim"])
@pytest.mark.parametrize("regularization", [0.0, 1.0])
def test_every_visit_tells_its_distance(bright, distance, regularization):
    found = rd.forensics.search(
        bright.net, ISP, bright.data, SPACE, restarts=2, steps=2, rivals=(),
        regularization=regularization, distance=distance,
    )  # fmt: skip
    chain = Chain(bright.net, ISP, bright.data, distance=distance)
    tried = Counter(visit.part for visit in found.trajectory)
    assert (tried["probes"], tried["refinement"]) == (9, 9)
    assert 3 * (tried["ascents"] + tried["cma-es"]) >= found.gradient.evaluations - 18
    for visit in found.trajectory:
        score = chain.exact(SPACE, visit.setting)
        assert (visit.distance > 1e-6) == (visit.setting != SPACE.default).any()
        assert visit.distance == pytest.approx(score.distance, abs=1e-6)
        assert visit.metric == pytest.approx(score.metric)
    (legend,) = found.plot().legends
    names = {text.get_text() for text in legend.get_texts()}
    assert names == {*tried, "the ISP as it is", "lowest"}


@settings(max_examples=3)
@given(st.integers(0, 10**6))
def test_bounds_are_never_left(seed):
    rng = np.random.default_rng(seed)
    width = rng.uniform(0.01, 0.9, 3)
    space = space_of(
        ISP,
        {
            "gamma.gamma": (2.2 - width[0], 2.2 + width[1]),
            "white_balance.gains": float(width[2]),
            "denoise.radius": (0.2, 0.5),  # the default at the edge
        },
    )
    net, data, _ = planted("brightness", images=8, size=8)
    found = rd.forensics.search(net, ISP, data, space, restarts=2, steps=2, seed=seed)
    tried = [visit.setting for visit in found.trajectory]
    for one in (found.gradient, *found.rivals.values()):
        tried.append(np.array([*one.parameters.values()]))
    tried += [*space.draw(20, rng), *space.at(rng.uniform(-1, 2, (20, len(space))))]
    for setting in tried:
        assert np.all((space.low <= setting) & (setting <= space.high))
        for name, value in space.named(setting).items():
            step, _, quantity = name.partition(".")
            if quantity == "gamma":
                assert float(space.pipeline(ISP, setting).steps[step].gamma) == value


def test_a_search_repeats_and_leaves_the_net_as_it_was(bright):
    class Normalized(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(3)
            self.drop = nn.Dropout(0.5)
            self.net = deepcopy(bright.net)
            self.net.at = nn.Parameter(self.net.at)

        def forward(self, view):
            return self.net(self.drop(self.norm(view)))

    net = Normalized().train()
    net.drop.eval()  # the user's own choice stays too
    before = {name: value.clone() for name, value in net.state_dict().items()}
    isp = rd.isp.parametrized("bi,s,ga", CAMERA)
    runs = [
        rd.forensics.search(net, isp, bright.data, SPACE, restarts=2, steps=3, seed=3)
        for _ in range(2)
    ]
    assert runs[0].gradient == runs[1].gradient
    assert runs[0].rivals == runs[1].rivals
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.norm.training
    assert not net.drop.training
    assert net.net.at.grad is None
    assert all(number.grad is None for number in isp.parameters())
    default = rd.isp.static("bi,s,ga", CAMERA).state_dict()
    assert all(torch.equal(value, default[name]) for name, value in isp.state_dict().items())


@pytest.mark.parametrize("distance", ["l2", "ssim"])
def test_regularization_trades_the_metric_for_distance(bright, distance):
    found = [
        rd.forensics.search(
            bright.net, ISP, bright.data, SPACE, regularization=weight, distance=distance,
            restarts=1, steps=4, rivals=("random",), parameters=["gamma", "sharpen.strength"],
        )
        for weight in (0.0, 1e6)
    ]  # fmt: skip
    free, held = found
    assert free.metric < free.baseline
    assert free.distance > 0
    assert held.metric == held.baseline == held.rivals["random"].metric
    assert held.distance == 0
    assert set(free.parameters) == {"gamma.gamma", "sharpen.strength"}


def test_distances_are_per_pixel(bright):
    setting = np.array([1.7, 10.0, 0.5])
    big = [(mosaic.repeat(2, 2), label) for mosaic, label in bright.data]
    chains = {kind: Chain(bright.net, ISP, bright.data, distance=kind) for kind in ("l2", "ssim")}
    mosaics = torch.stack([mosaic for mosaic, _ in bright.data])
    views, default = turned(setting)(mosaics), ISP(mosaics)
    l2 = (views - default).flatten(1).norm(dim=1).mean() / (3 * 24 * 24) ** 0.5
    assert chains["l2"].score(SPACE, setting).distance == pytest.approx(float(l2), rel=1e-4)
    ssim = structural_similarity_index_measure(views, default, data_range=1.0)
    assert chains["ssim"].score(SPACE, setting).distance == pytest.approx(1 - float(ssim), rel=1e-4)
    larger = Chain(bright.net, ISP, big).score(SPACE, setting).distance
    assert larger == pytest.approx(chains["l2"].score(SPACE, setting).distance, rel=0.02)


def test_a_net_that_changes_its_input_changes_no_distance(bright):
    class Wiping(Threshold):
        def forward(self, view):
            return super().forward(view.clone()) + 0 * view.zero_().sum()

    net = Wiping(brightness, bright.net.at, bright.net.steepness)
    found = [
        rd.forensics.search(n, ISP, bright.data, SPACE, regularization=0.1, restarts=1, steps=2)
        for n in (bright.net, net)
    ]
    assert found[0].distance > 0
    assert found[0].gradient == found[1].gradient
    assert found[0].rivals == found[1].rivals


def test_the_gradient_of_the_chain_is_that_of_differences(bright):
    data = [(mosaic.double(), label) for mosaic, label in bright.data]
    chain = Chain(bright.net, ISP, data, loss=nn.CrossEntropyLoss())
    setting = np.array([2.0, 5.0, 0.8])
    slope = chain.slope(SPACE, setting, regularization=0.7).gradient

    def objective(at):
        score = chain.score(SPACE, at)
        return score.loss - 0.7 * score.distance

    for axis, step in enumerate((1e-2, 1e-1, 1e-2)):
        more, less = setting.copy(), setting.copy()
        more[axis] += step
        less[axis] -= step
        expected = (objective(more) - objective(less)) / (2 * step)
        assert slope[axis] == pytest.approx(expected, rel=0.02, abs=1e-4)


class Steps(nn.Module):
    """A net without slopes, which is wrong on the way to the bounds of gamma, not at them."""

    def __init__(self, data, low=0.04, high=0.16):
        super().__init__()
        self.usual = brightness(ISP(torch.stack([mosaic for mosaic, _ in data]))).mean()
        self.low, self.high = low, high

    def forward(self, view):
        seen = brightness(view)
        x = (seen - seen.mean()).sign()
        moved = (seen.mean() / self.usual - 1).abs()
        x = torch.where((moved > self.low) & (moved < self.high), -x, x)
        return torch.stack([-x, x], dim=1)


def test_a_rival_that_finds_worse_is_told(bright, monkeypatch):
    monkeypatch.setitem(methods.METHODS, "gradient", lambda trial, steps: None)
    monkeypatch.setattr(gradient_search, "probe", lambda trial: None)
    net, gamma = Steps(bright.data), SPACE.only(["gamma"])
    found = rd.forensics.search(
        net, ISP, bright.data, gamma, restarts=1, steps=10, rivals=["random"]
    )
    assert found.gradient.metric == found.baseline
    assert found.worst.method == "random"
    assert any("restarts" in warning for warning in found.warnings)


def test_bounds_that_no_slope_leads_to_are_found(bright):
    class Flat(Threshold):
        def forward(self, view):
            return super().forward(view).sign()

    net = Flat(brightness, bright.net.at, 1.0)
    found = rd.forensics.search(net, ISP, bright.data, SPACE, restarts=1, steps=1, rivals=())
    assert found.metric <= 0.5 < found.baseline
    assert found.parameters["gamma.gamma"] in RANGES["gamma.gamma"]


# Envelope and sensitivity


@pytest.fixture(scope="module")
def enveloped(case):
    kind, (net, data, parameter) = case
    found = rd.forensics.envelope(net, ISP, data, SPACE, max_drop=0.1, cameras=30)
    return kind, net, data, parameter, found


def test_the_edges_of_the_envelope_are_those_of_brute_force(enveloped):
    kind, net, data, parameter, found = enveloped
    axis = SPACE.names.index(parameter)
    baseline = right(net, ISP, data)
    assert found.baseline.value == baseline.mean()
    directions = 6  # two ends of three axes, less those that reach their bound
    directions -= sum(
        by == "space" for one in found.tolerances.values() for by in (one.by_low, one.by_high)
    )
    for end in ("low", "high"):
        default, bound = SPACE.default[axis], getattr(SPACE, end)[axis]
        expected = default
        for reach in tolerance.REACH:
            setting = SPACE.default
            setting[axis] += reach * (bound - default)
            correct = right(net, turned(setting), data)
            lost, won = (baseline > correct).sum(), (correct > baseline).sum()
            if lost_and_won(int(lost), int(won), 80, 0.1) > 0.05 / directions:
                break
            expected = setting[axis]
        edge = getattr(found.tolerances[parameter], end)
        assert edge == pytest.approx(expected, rel=1e-9)
        assert 0 < (edge - default) / (bound - default) < 1
        assert getattr(found.tolerances[parameter], f"by_{end}") == "drop"
    for name in IRRELEVANT[kind]:
        free = found.tolerances[name]
        assert (free.low, free.high, free.by_low, free.by_high) == (*RANGES[name], "space", "space")


@pytest.mark.parametrize(
    ("edges", "scale"),
    [([0.5] * 8, 0.5), ([0.9**i for i in range(1, 9)], 0.5), ([0.5**i for i in range(1, 9)], 0.0)],
)
def test_a_joint_box_withstood_the_last_attack_on_it(monkeypatch, edges, scale):
    """Attacks find settings that lose too much beyond an edge, which recedes with each or not."""
    attacked, default = [], SPACE.default

    def attacks(chain, space, box, rng, attempt):
        attacked.append(box.high)
        yield box.high

    def holds(setting):
        edge = edges[len(attacked) - 1]
        return bool((setting <= default + edge * (SPACE.high - default)).all())

    class Scores:
        """A chain whose metric is 1 at settings that hold, and else 0."""

        baseline = SimpleNamespace(metric=1.0)

        def ask(self, space, setting, order):
            metric = float(not attacked or holds(setting))
            return SimpleNamespace(holds=lambda condition: condition(metric))

    monkeypatch.setattr(joint, "_attacks", attacks)
    box = joint._build(Scores(), SPACE, joint.Box(SPACE.low, SPACE.high), 0.1, None)
    found = ((box.high - default) / (SPACE.high - default)).min()
    assert found == pytest.approx(scale, abs=0.1)
    if scale:
        assert (box.high == attacked[-1]).all()
        assert holds(box.high)
    else:
        assert (box.low == default).all()
        assert (box.high == default).all()


def test_nothing_in_the_joint_box_loses_more(enveloped):
    _, net, data, _, found = enveloped
    baseline = right(net, ISP, data).mean()
    grid = [np.linspace(*bounds, 4) for bounds in found.box.values()]
    drops = [baseline - right(net, turned(setting), data).mean() for setting in product(*grid)]
    assert max(drops) <= 0.1
    assert 0 < found.scale <= 1
    for name, (low, high) in found.box.items():
        alone = found.tolerances[name]
        assert RANGES[name][0] <= low <= alone.default <= high <= RANGES[name][1]
        assert alone.low - 1e-12 <= low
        assert high <= alone.high + 1e-12
    checked = found.validation
    assert checked.violations / checked.cameras == checked.share.value <= 1 - found.confidence
    assert checked.share.low <= checked.share.value <= checked.share.high
    assert (checked.corners, checked.strength, checked.held_out) == (8, 3, 64)
    one = found.claims()[1]
    assert one.startswith("of cameras drawn uniformly from this box, at most ")
    assert one.endswith("% lose more than 0.1, with 95 % confidence")
    five = structs.replace(checked, cameras=5, violations=0, share=Interval(0.0, 0.0, 1.0))
    one = structs.replace(found, validation=five).claims()[1]
    assert one.endswith("is not stated: 5 were drawn, which is too few to bound it")


def test_sobol_indices_and_curves_show_what_matters(case):
    kind, (net, data, parameter) = case
    found = rd.forensics.sensitivity(net, ISP, data, SPACE, samples=32, points=3)
    total = {name: sobol.total for name, sobol in found.indices.items()}
    assert max(total, key=lambda name: total[name].value) == parameter
    assert total[parameter].low > 0.1
    for name in IRRELEVANT[kind]:
        assert abs(total[name].value) < 0.06
        assert abs(found.indices[name].first.value) < 0.06
    for number, axis in enumerate(SPACE.axes):
        curve = found.curves[axis.name]
        assert [point.at for point in curve] == pytest.approx([axis.low, axis.default, axis.high])
        for point in curve:
            setting = SPACE.default
            setting[number] = point.at
            assert point.metric.value == right(net, turned(setting), data).mean()
            assert 0 <= point.metric.low <= point.metric.value <= point.metric.high <= 1
    assert found.curves[parameter][0].metric.low < found.curves[parameter][0].metric.high


@pytest.mark.parametrize("wrong", [0, 8])  # the variance of many 0.8s is not 0, in floats
def test_a_metric_that_nothing_changes_has_indices_of_zero(bright, wrong):
    space = space_of(ISP, {"black_level.level": (0.0199, 0.0201)})
    data = [(mosaic, abs(int(i < wrong) - label)) for i, (mosaic, label) in enumerate(bright.data)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = rd.forensics.sensitivity(bright.net, ISP, data, space, samples=4, points=2)
    assert found.variance == 0
    assert all(sobol.total == Interval(0, 0, 0) for sobol in found.indices.values())


def test_groups_are_resampled_and_few_of_them_are_told(bright):
    mosaics = torch.stack([mosaic for mosaic, _ in bright.data])
    data = RawDataset(
        mosaics,
        tuple(f"{i}.tif" for i in range(40)),
        (CAMERA,),
        torch.zeros(40, dtype=torch.long),
        classes=("dark", "bright"),
        labels=torch.tensor([label for _, label in bright.data]),
        groups=tuple(f"slide-{i // 4}" for i in range(40)),
    )
    space = SPACE.only(["gamma.gamma"])
    found = rd.forensics.envelope(bright.net, ISP, data, space, cameras=5, metric="macro_f1")
    assert (found.images, found.groups, found.metric) == (40, 10, "macro_f1")
    assert found.is_empty
    assert found.claims() == []
    assert found.needed > 10
    assert "10 groups of images are too few to sign anything" in found.warnings[0]
    assert f"it takes {found.needed} groups of images" in found.warnings[0]
    own = found.tolerances["gamma.gamma"]
    assert own.low == own.high == own.default == found.box["gamma.gamma"][0]
    with pytest.raises(rd.InputError, match="nothing can be signed: 10 groups"):
        rd.forensics.sign(found, bright.net, ISP, data, CAMERA)
    alone = rd.forensics.envelope(bright.net, ISP, bright.data, space, cameras=5, max_drop=0.3)
    assert alone.groups == 40
    assert alone.warnings == ()


def test_images_that_build_a_box_are_of_many_small_classes_and_never_the_only_one():
    chain = SimpleNamespace(
        clusters=np.arange(201),
        answers=np.append(np.arange(200) // 2, 100),  # two images of each class, and one of another
        targets=SimpleNamespace(of_classes=True),
    )
    building, others = joint._halves(chain, np.random.default_rng(0))
    assert len(building) == 40
    assert len(np.unique(chain.answers[building])) == 40
    assert 200 in others


@pytest.mark.parametrize("axes", range(1, 20))
def test_corners_are_all_or_any_so_many_axes_take_all_of_theirs(axes):
    box = joint.Box(np.zeros(axes + 1), np.append(np.ones(axes), 0.0))
    corners, strength = joint.corners_of(box)
    assert len(np.unique(corners, axis=0)) == len(corners) == min(2**axes, 256)
    assert strength == (axes if axes <= 8 else 4 if axes <= 17 else 3)
    rng = np.random.default_rng(0)
    for _ in range(20):
        some = corners[:, rng.permutation(axes)[: min(strength, 4)]]
        counts = np.unique(some, axis=0, return_counts=True)[1]
        assert (len(counts), len(set(counts))) == (2 ** some.shape[1], 1)


def test_segmentation(bright):
    """Pixels above a brightness: masks of files, 0 and 255, and of one logit."""
    mosaics = torch.from_numpy(np.stack([random_mosaic(i, 16, 16) for i in range(80)])).float()

    class Pixels(nn.Module):
        def forward(self, view):
            return 20 * (view.mean(1, keepdim=True) - 0.72)

    masks = (Pixels()(ISP(mosaics)).squeeze(1) > 0).to(torch.uint8) * 255
    data = list(zip(mosaics, masks, strict=True))
    found = rd.forensics.search(Pixels(), ISP, data, SPACE, restarts=1, steps=6, rivals=())
    assert found.metric_name == "iou"
    assert found.baseline == 1
    assert found.metric < 0.8
    space = SPACE.only(["gamma"])
    safe = rd.forensics.envelope(
        Pixels(), ISP, data, space, max_drop=0.15, cameras=5, metric="dice"
    )
    alone = safe.tolerances["gamma.gamma"]
    assert alone.low < 2.2 < alone.high
    assert (alone.by_low, alone.by_high) == ("drop", "drop")
    assert safe.validation.worst_drop <= 0.15


def test_an_interval_of_iou_is_the_same_on_page_and_signature_and_around_its_value():
    class Pixels(nn.Module):
        def forward(self, view):
            return 20 * (view.mean(1, keepdim=True) - 0.72)

    mosaics = torch.from_numpy(np.stack([random_mosaic(i, 16, 16) for i in range(40)])).float()
    masks = (Pixels()(ISP(mosaics + 0.02)).squeeze(1) > 0).to(torch.uint8)
    data = list(zip(mosaics, masks, strict=True))
    signed = rd.forensics.envelope(Pixels(), ISP, data, SPACE.only(["gamma"]), cameras=5).baseline
    answers = (Pixels()(ISP(mosaics)).squeeze(1) > 0).numpy()
    hit, either = (
        f(answers, masks.numpy() > 0).sum((1, 2)) for f in (np.logical_and, np.logical_or)
    )
    assert signed.value == pytest.approx(hit.sum() / either.sum())
    assert signed.low < signed.value < signed.high
    iou = measures.segmentation(256)["iou"]
    outcomes = np.stack([hit, answers.sum((1, 2)), masks.numpy().sum((1, 2))], -1)[:, None]
    shown = estimate(iou, iou.features(outcomes, np.zeros(40)), np.arange(40)).interval()
    assert signed == shown


# Parameter spaces


@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
def test_every_configuration_has_a_documented_default_for_every_step(name):
    camera = random_camera(3)
    isp = rd.isp.parametrized(name, camera)
    space = space_of(isp)
    steps = {axis.split(".")[0] for axis in space.names}
    assert steps == set(isp.steps) - ({"denoise"} if name.endswith("me") else set())
    theta = torch.from_numpy(space.default).requires_grad_()
    values = space.values(isp, theta)
    for full, value in values.items():
        assert torch.allclose(value, isp.state_dict()[full], rtol=1e-12, atol=1e-12), full
    mosaic = random_mosaic(0, 16, 18)
    view = functional_call(isp, values, (mosaic,))
    (gradient,) = torch.autograd.grad(view.square().mean(), theta)
    assert torch.isfinite(gradient).all()
    rng = np.random.default_rng(0)
    for setting in space.draw(3, rng):
        drifted = space.pipeline(isp, setting)
        assert not any(number.requires_grad for number in drifted.parameters())
        with torch.no_grad():
            values = space.values(isp, torch.from_numpy(setting))
            assert torch.equal(drifted(mosaic), functional_call(isp, values, (mosaic,)))


def test_spaces_are_named_by_parameters_and_written_down():
    space = space_of(ISP, {"gamma.gamma": (1.6, 2.8), "white_balance.gains": 0.2})
    assert space.names == ["gamma.gamma", *(f"white_balance.gains[{i}]" for i in range(3))]
    assert space.low == pytest.approx([1.6, 1.52, 0.8, 1.28])
    assert space.high == pytest.approx([2.8, 2.28, 1.2, 1.92])
    assert rd.forensics.ParameterSpace.from_dict(space.to_dict()) == space
    assert space.only(["white_balance"]).names == space.names[1:]
    for part in space.parts:
        assert set(space.only([part]).names) == {n for n in space.names if n.startswith(part)}
    with pytest.raises(rd.InputError, match="unknown step.*'gama' .did you mean 'gamma'"):
        space.only(["gama"])
    matrix = space_of(ISP, {"sharpen.kernel": 0.1})
    assert len(matrix) == 9  # its zeros drift by a tenth of the largest
    assert matrix.low[0] == pytest.approx(-0.5)
    shipped = space_of(rd.isp.static("bi,s,ga", rd.Camera.load("raw-microscopy")))
    assert shipped.low[0] == 0  # black level


def test_physical_knobs_do_what_they_are_called():
    mosaic = random_mosaic(1, 16, 16)
    linear = ISP.remove("gamma", "sharpen", "denoise")

    def develop(isp, **numbers):
        ranges = {name.replace("__", "."): (-400.0, 400.0) for name in numbers}
        ranges |= {n: (0, 9) for n in ranges if n.endswith(("strength", "saturation"))}
        ranges |= {n: (0.1, 9) for n in ranges if n.endswith("radius")}
        space = space_of(isp, ranges)
        return space.pipeline(isp, np.array([*numbers.values()]))

    gray = develop(linear, color_correction__saturation=0.0)(mosaic)
    assert torch.allclose(gray[0], gray[1])
    assert torch.allclose(gray[0], gray[2])
    assert gray[0].numpy() == pytest.approx(
        rgb2yuv(linear(mosaic).permute(1, 2, 0).numpy())[..., 0]
    )
    around = develop(linear, color_correction__hue=360.0)(mosaic)
    assert torch.allclose(around, linear(mosaic))
    half = develop(linear, color_correction__hue=180.0)(mosaic)
    negative = develop(linear, color_correction__saturation=1.0, color_correction__hue=-180.0)
    assert torch.allclose(half, negative(mosaic))
    assert torch.allclose(half + linear(mosaic), 2 * gray)
    off = develop(ISP, sharpen__strength=0.0, denoise__strength=0.0)
    assert torch.allclose(off(mosaic), ISP.remove("sharpen", "denoise")(mosaic))
    taps = np.exp(-0.5 * (np.arange(-2, 3) / 0.9) ** 2)
    wide = develop(ISP, denoise__radius=0.9).denoise.kernel.numpy()
    assert wide == pytest.approx(np.outer(taps, taps) / taps.sum() ** 2, abs=1e-9)
    nearest = develop(ISP, demosaic__strength=0.0).demosaic(mosaic)
    assert torch.count_nonzero(nearest) <= mosaic.numel()  # each sample at its own site alone


SENSORS = {
    "read noise": (rd.camera.camera.Noise(20.0, 3.0), None),
    "dark current and row noise": (
        rd.camera.camera.Noise(20.0, 3.0, dark_current=30.0, row_noise=5.0),
        None,
    ),
    "few bits": (rd.camera.camera.Noise(40.0, 2.0), 10),
}
EXPOSURES = (
    {"exposure": 0.25},
    {"exposure": 0.7},
    {"gain": 0.6},
    {"gain": 1.5},
    {"read_noise": 6.0},
    {"psf_sigma": 1.5},
    {"exposure": 0.5, "gain": 1.4, "read_noise": 2.0, "psf_sigma": 1.0},
)


@pytest.mark.parametrize("electrons", [4.0, 60.0, 900.0])
@pytest.mark.parametrize("setting", EXPOSURES, ids=str)
@pytest.mark.parametrize("sensor", SENSORS)
def test_frames_of_other_settings_have_the_noise_of_real_ones(sensor, setting, electrons):
    """Of a flat field: mean, variance, and covariance of neighbors within a row and a column."""
    noise, bits = SENSORS[sensor]
    camera = rd.Camera(name="flat", cfa="RGGB", black_level=(0.05,) * 4, noise=noise, adc_bits=bits)
    t, gain = setting.get("exposure", 1.0), setting.get("gain", 1.0)
    read = (noise.read_noise**2 + setting.get("read_noise", 0.0) ** 2) ** 0.5
    other = replace(camera, noise=replace(noise, gain=gain * noise.gain, read_noise=read))

    def frame(camera, light, seed):
        full = 0.95 * 65535 / camera.noise.gain  # electrons
        irradiance = torch.full((3, 2000, 24), light / full)  # many rows, which share noise
        return rd.sensor.Sensor(camera)(irradiance, torch.Generator().manual_seed(seed))

    def moments(x):
        x = x.double() / (noise.gain / 65535)
        d = x - x.mean()
        beside, below = (d[:, 2:] * d[:, :-2]).mean(), (d[2:] * d[:-2]).mean()
        return float(x.mean()), float(x.var()), float(beside), float(below)

    real = moments(frame(other, t * electrons, 1))
    made = moments(rd.forensics.SensorSettings(camera, **setting)(frame(camera, electrons, 2)))
    assert made[0] == pytest.approx(real[0], abs=0.05 * real[1] ** 0.5 + 0.1)
    assert made[1] == pytest.approx(real[1], rel=0.1)
    for one, another in zip(made[2:], real[2:], strict=True):
        assert one == pytest.approx(another, abs=0.06 * real[1])


def test_sensor_settings_leave_the_frame_and_blur_within_a_color():
    camera = rd.Camera(
        name="flat", cfa="RGGB", black_level=(0.05,) * 4, noise=rd.camera.camera.Noise(20.0)
    )
    step = rd.forensics.SensorSettings
    frame = rd.sensor.Sensor(camera)(torch.rand(3, 64, 64), torch.Generator().manual_seed(0))
    assert torch.allclose(step(camera)(frame.double()), frame.double(), atol=1e-12)
    point = torch.full((64, 64), 0.05, dtype=torch.float64)
    point[32, 32] = 0.5  # of red: its neighbors in red are two pixels away
    spread = step(camera, psf_sigma=4.0)(point) - 0.05
    at = torch.arange(64).double() - 32
    assert float(spread.sum()) == pytest.approx(0.45, rel=0.01)
    near = spread[16:49, 16:49].sum(1)
    assert float((near * at[16:49] ** 2).sum() / near.sum()) == pytest.approx(16, rel=0.15)
    assert float(spread[1::2].abs().max()) < 1e-4


def test_the_noise_of_an_image_is_its_own_in_every_batch():
    camera = rd.Camera(
        name="flat", cfa="RGGB", black_level=(0.05,) * 4, noise=rd.camera.camera.Noise(20.0, 3.0)
    )
    frames = rd.sensor.Sensor(camera)(
        torch.full((5, 3, 16, 12), 0.01), torch.Generator().manual_seed(0)
    )
    darker = rd.forensics.SensorSettings(camera, exposure=0.5, psf_sigma=1.0)
    made = darker(frames)
    assert torch.allclose(darker(frames[3]), made[3], atol=1e-7)
    assert torch.allclose(darker(frames[[4, 1]]), made[[4, 1]], atol=1e-7)
    noise = (made - made.mean((1, 2), keepdim=True)).flatten(1)
    assert float((torch.corrcoef(noise) - torch.eye(5)).abs().max()) < 0.4
    other = rd.forensics.SensorSettings(camera, exposure=0.5, psf_sigma=1.0, seed=1)
    assert not torch.allclose(other(frames), made, atol=1e-4)


def test_sensor_settings_have_the_slope_of_differences():
    camera = rd.Camera(
        name="flat", cfa="RGGB", black_level=(0.05,) * 4,
        noise=rd.camera.camera.Noise(20.0, 3.0, row_noise=2.0),
    )  # fmt: skip
    frame = rd.sensor.Sensor(camera)(torch.rand(3, 12, 14), torch.Generator().manual_seed(0))
    numbers = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.6, 0.9, 2, 1.1)]

    def develop(*values):
        step = rd.forensics.SensorSettings(camera)
        named = dict(zip(("exposure", "gain", "read_noise", "psf_sigma"), values, strict=True))
        return functional_call(step, named, (frame.double(),)).square().mean()

    assert torch.autograd.gradcheck(develop, numbers)


def test_light_can_not_be_added_to_a_frame():
    camera = rd.Camera(name="flat", cfa="RGGB", noise=rd.camera.camera.Noise(20.0, 3.0))
    with pytest.raises(rd.InputError, match=r"exposure must be above 0 and at most 1, got \[?1\.5"):
        rd.forensics.SensorSettings(camera, exposure=1.5)
    isp = rd.forensics.with_sensor(ISP, camera)
    with pytest.raises(rd.InputError, match=r"exposure must be above 0 and at most 1.* 0\.5 to 2"):
        space_of(isp, {"sensor.exposure": (0.5, 2)})
    for ranges in (None, {"sensor.exposure": 0.5}):
        space = space_of(isp, ranges).only(["sensor.exposure"])
        assert (space.low.item(), space.high.item()) == (0.5, 1.0)


def test_sensor_settings_are_axes_as_all_others(bright):
    camera = rd.Camera(
        name="lab", cfa="RGGB", black_level=(0.02,) * 4, noise=rd.camera.camera.Noise(20.0, 3.0)
    )
    isp = rd.forensics.with_sensor(ISP, camera)
    assert [n for n in space_of(isp).names if n.startswith("sensor.")] == [
        f"sensor.{name}" for name in ("exposure", "gain", "read_noise", "psf_sigma")
    ]
    space = space_of(isp, {"sensor.exposure": 0.5, "sensor.read_noise": (0, 20)})
    found = rd.forensics.search(bright.net, isp, bright.data, space, restarts=1, steps=6, rivals=())
    assert found.parameters["sensor.exposure"] != 1
    assert found.metric < found.baseline


# Bad input


class Broken(nn.Module):
    """Right on the camera's own views; on darker ones, NaN."""

    def __init__(self, net, at):
        super().__init__()
        self.net, self.at = net, at

    def forward(self, view):
        return torch.where(view.mean() < self.at, torch.nan, self.net(view))


def test_nan_of_a_drifted_view_is_told_with_its_setting_and_a_run_goes_on(bright):
    mean = float(ISP(torch.stack([mosaic for mosaic, _ in bright.data])).mean())
    net = Broken(bright.net, 0.9 * mean).train()
    with pytest.raises(
        rd.InputError, match=r"answers image '\d+' with NaN or infinity at .*gamma\.gamma"
    ):
        rd.forensics.search(net, ISP, bright.data, SPACE, restarts=1, steps=8)
    assert net.training
    found = rd.forensics.search(bright.net, ISP, bright.data, SPACE, restarts=1, steps=1)
    assert found.baseline == 1


class Viewing(nn.Module):
    """A net that flattens its hidden layer by `view`, which takes one memory layout alone."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, view):
        return self.net(view.view(len(view), -1).reshape(view.shape))


def test_a_net_that_flattens_by_view_is_searched_like_any_other(bright):
    one, other = (
        rd.forensics.search(net, ISP, bright.data, SPACE, restarts=1, steps=1)
        for net in (bright.net, Viewing(bright.net))
    )
    assert (one.parameters, one.metric) == (other.parameters, other.metric)


def test_a_metric_that_is_nowhere_defined_is_told(bright, tmp_path, monkeypatch):
    (tmp_path / "odd_metric.py").write_text("def none(outcomes, truth): return truth / 0 * 0")
    monkeypatch.syspath_prepend(tmp_path)
    name = "import:odd_metric.none"
    with np.errstate(all="ignore"), pytest.raises(rd.InputError, match=f"{name} is nan at the cam"):
        rd.forensics.search(bright.net, ISP, bright.data, SPACE, metric=name)


def test_a_broken_mosaic_is_named_and_not_blamed_on_the_net(bright):
    data = [(mosaic.clone(), target) for mosaic, target in bright.data]
    data[3][0][1, 2] = torch.nan
    with pytest.raises(
        rd.InputError, match=r"1 of \d+ mosaics hold NaN or infinity, first image 3"
    ):
        rd.forensics.search(bright.net, ISP, data, SPACE)


def constant(view):
    return torch.tensor([[1.0, 0.0]]).expand(len(view), 2)


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, view):
        return self.function(view)


BAD_NETS = {
    "one class": (lambda v: v.mean((1, 2, 3))[:, None], r"\(2, 1\).*expected \(2, C\)"),
    "masks for labels": (lambda v: v, r"expected \(2, C\) with C at least 2"),
    "a tuple": (lambda v: (v, v), "tuple"),
    "fails": (lambda v: v @ torch.zeros(3, 3), "the net fails on views of shape"),
    "NaN": (lambda v: constant(v) * torch.nan, "NaN or infinity of the camera's own views"),
    "constant": (constant, "nothing to lose"),
    "answers": (lambda v: constant(v).long(), "torch.int64, expected logits"),
}


@pytest.mark.parametrize("name", BAD_NETS)
@pytest.mark.parametrize("control", ["search", "envelope", "sensitivity"])
def test_nets_that_do_not_fit(name, control, bright):
    function, message = BAD_NETS[name]
    with pytest.raises(rd.InputError, match=message):
        getattr(rd.forensics, control)(Function(function), ISP, bright.data, SPACE)


BAD_SPACES = {
    "unknown": ({"gamma.gama": 0.1}, "did you mean 'gamma.gamma'"),
    "a part": ({"gama": 0.1}, "did you mean 'gamma.gamma'"),
    "a step": ({"gamma": 0.1}, "gamma.gamma"),
    "of another configuration": ({"sharpen.radius": 0.1}, "sharpen.strength"),
    "no element": ({"white_balance.gains[3]": 0.1}, "white_balance.gains"),
    "empty": ({"gamma.gamma": (2.2, 2.2)}, "is empty"),
    "upside down": ({"gamma.gamma": (2.8, 1.6)}, "is empty"),
    "zero width": ({"gamma.gamma": 0.0}, "half-width of gamma.gamma must be a number above 0"),
    "negative width": ({"gamma.gamma": -0.1}, "above 0, got -0.1"),
    "relative to zero": ({"color_correction.hue": 0.1}, "give a pair"),
    "elsewhere": ({"gamma.gamma": (1.0, 2.0)}, r"leaves out its value in this ISP, 2\.2"),
    "impossible": ({"gamma.gamma": (0.0, 3.0)}, "must be above 0"),
    "negative": ({"color_correction.saturation": (-1.0, 3.0)}, "must be at least 0"),
    "NaN": ({"gamma.gamma": (1.0, float("nan"))}, "a pair"),
    "three": ({"gamma.gamma": (1.0, 2.0, 3.0)}, "a pair"),
    "text": ({"gamma.gamma": "wide"}, "a pair"),
    "nothing": ({}, "at least one axis"),
}


@pytest.mark.parametrize("name", BAD_SPACES)
def test_spaces_that_can_not_be(name):
    ranges, message = BAD_SPACES[name]
    with pytest.raises(rd.InputError, match=message):
        space_of(ISP, ranges)


OTHERS = {
    "configuration": (rd.isp.static("ma,u,ga", CAMERA), "unknown parameter.*'sharpen.strength'"),
    "camera": (
        rd.isp.static("bi,s,ga", replace(CAMERA, gamma=1.8)),
        r"around another ISP: gamma\.gamma is 2\.2 there and 1\.8 here",
    ),
    "no pipeline": (nn.Identity(), "must be a Pipeline"),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("control", ["search", "envelope", "sensitivity"])
def test_a_space_is_of_its_own_pipeline(name, control, bright):
    isp, message = OTHERS[name]
    with pytest.raises(rd.InputError, match=message):
        getattr(rd.forensics, control)(bright.net, isp, bright.data, SPACE)


BAD_ARGUMENTS = {
    "metric": ("search", {"metric": "f1"}, "macro_f1"),
    "net": ("search", {"net": brightness}, "must be an nn.Module .*got function"),
    "space": ("search", {"space": RANGES}, r"ParameterSpace\.around"),
    "seed": ("search", {"seed": -1}, "seed must be a whole number from 0 on"),
    "loss": ("search", {"loss": nn.CrossEntropyLoss(reduction="none")}, "must be one number"),
    "loss of others": ("search", {"loss": nn.CTCLoss()}, "the loss fails on logits of shape"),
    "mask metric": ("search", {"metric": "iou"}, "accuracy"),
    "distance": ("search", {"distance": "l1"}, "l2; ssim"),
    "regularization": ("search", {"regularization": -1.0}, "at least 0"),
    "parameters": ("search", {"parameters": ["gama"]}, "gamma.gamma"),
    "restarts": ("search", {"restarts": 0}, "restarts"),
    "rival": ("search", {"rivals": ["grid"]}, "random; cma-es"),
    "max_drop": ("envelope", {"max_drop": 0.0}, "max_drop must be above 0"),
    "confidence": ("envelope", {"confidence": 95}, "confidence must be above 0.5 and below 1"),
    "cameras": ("envelope", {"cameras": 0}, "cameras"),
    "samples": ("sensitivity", {"samples": 10}, "power of 2"),
    "points": ("sensitivity", {"points": 1}, "points"),
    "shares": ("sensitivity", {"confidence": 95}, "confidence must be above 0.5"),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_arguments_that_can_not_be(name, bright):
    control, arguments, message = BAD_ARGUMENTS[name]
    given = {"net": bright.net, "isp": ISP, "data": bright.data, "space": SPACE, **arguments}
    with pytest.raises(rd.InputError, match=message):
        getattr(rd.forensics, control)(**given)


def of_two_sizes(data):
    return [data[0], (torch.zeros(8, 8), 1)]


BAD_DATA = {
    "one image": (lambda data: data[:1], "at least 2 images"),
    "two sizes": (of_two_sizes, "of one size"),
    "views": (lambda data: [(m.expand(3, 24, 24), t) for m, t in data], r"must be \(H, W\)"),
    "real targets": (lambda data: [(m, float(t)) for m, t in data], "whole numbers"),
    "negative targets": (lambda data: [(m, t - 1) for m, t in data], "at least 0"),
    "more classes": (lambda data: [(m, t + 1) for m, t in data], "C at least 3"),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_data_that_can_not_be(name, bright):
    change, message = BAD_DATA[name]
    with pytest.raises(rd.InputError, match=message):
        rd.forensics.search(bright.net, ISP, change(bright.data), SPACE)
