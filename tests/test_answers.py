"""What is decided before all images are asked is what all of them decide."""

from collections import Counter
from copy import deepcopy
from itertools import product
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

import rawdrift as rd
from planted import ISP, RANGES, planted
from rawdrift.controls.forensics.answers import Answers
from rawdrift.controls.forensics.chain import Chain
from rawdrift.controls.forensics.gradient_search import search_chain
from rawdrift.models import precision
from rawdrift.models import quick as models_quick
from rawdrift.models.forward import WORTH, differentiable
from rawdrift.models.packed import packed
from rawdrift.models.quick import Quick, quick_of
from rawdrift.statistics import DropTest, measures

SPACE = rd.forensics.ParameterSpace.around(ISP, RANGES)
METRICS = {"accuracy": False, "balanced_accuracy": False, "accuracy of groups": True}


class Table:
    """In place of a chain: classes (n,) that are right, that a net gave before, and gives after."""

    def __init__(self, rng, name):
        n = int(rng.integers(6, 12))
        self.measure = measures.classification(2)[name.split()[0]]
        self.answers = self.truth = rng.permutation(np.arange(n) % 2)
        before, self.after = (
            np.where(rng.random(n) < share, 1 - self.truth, self.truth)
            for share in rng.uniform(0, 0.5, 2)
        )
        features = self.measure.features(before, self.truth)
        self.baseline = SimpleNamespace(features=features, metric=self.metric(features))
        self.clusters = np.arange(n) // (2 if METRICS[name] else 1)
        least = self.measure.limits.least(self.truth, self.truth)
        self.test = DropTest(self.measure, features, least, self.clusters)
        self.times, self.asked = np.zeros(n, dtype=int), 0.0

    def metric(self, features):
        return float(self.measure.of(features.sum(0)))

    def values(self, space, setting):
        return {}

    def outcomes(self, batch, values, where):
        self.times[batch] += 1
        return torch.from_numpy(self.after)[batch]

    def metric_of(self, features, where):
        return self.metric(features)

    def ask(self, rng):
        order = torch.from_numpy(rng.permutation(len(self.truth)))
        return Answers(self, SPACE, SPACE.default, order.split(int(rng.integers(1, 4))))


@pytest.mark.parametrize("name", METRICS)
def test_the_least_p_value_is_that_of_brute_force(name):
    rng = np.random.default_rng(0)
    for _ in range(40):
        table, margin = Table(rng, name), rng.uniform(0.05, 0.6)
        after = table.measure.features(table.after, table.truth)
        seen = rng.random(len(after)) < rng.uniform(0.3, 1)
        left = np.flatnonzero(~seen)[:6]
        seen = ~np.isin(np.arange(len(after)), left)
        p_values = []
        for answers in product((0, 1), repeat=len(left)):
            whole = table.after.copy()
            whole[left] = answers
            p_values.append(table.test.p_value(table.measure.features(whole, table.truth), margin))
        least = table.test.least_p(np.where(seen[:, None], after, 0), seen, margin)
        assert least == pytest.approx(min(p_values), abs=1e-8)
        assert least <= min(p_values)


@pytest.mark.parametrize("name", METRICS)
def test_decisions_are_those_of_all_images_and_none_is_asked_twice(name):
    rng = np.random.default_rng(1)
    stopped = 0
    for _ in range(150):
        table, margin = Table(rng, name), rng.uniform(0.05, 0.6)
        after = table.measure.features(table.after, table.truth)
        p_value, metric = table.test.p_value(after, margin), table.metric(after)
        answers = table.ask(rng)
        for level in sorted(rng.uniform(0, 1, 3) ** 2):  # a question may come back with another one
            assert answers.rules_out(table.test, margin, level) == (p_value <= level)
        stopped += int(not table.times.all())
        for bound in (*rng.uniform(0, 1, 2), metric):
            assert answers.holds(lambda x, bound=bound: x >= bound) == (metric >= bound)
            assert answers.holds(lambda x, bound=bound: x > bound) == (metric > bound)
        assert table.times.max() == 1
        assert table.asked == pytest.approx(table.times.mean())
    assert stopped > 10


def test_of_a_metric_whose_wholes_depend_on_answers_nothing_is_known_early():
    truth = np.arange(10) % 2
    f1 = measures.classification(2)["macro_f1"]
    features = f1.features(truth, truth)
    test = DropTest(f1, features, f1.limits.least(truth, truth), np.arange(10))
    assert test.least_p(features, np.arange(10) < 9, 0.1) == 0
    assert test.least_p(features, np.ones(10, dtype=bool), 0.1) == test.p_value(features, 0.1)


@pytest.fixture
def asks_all(monkeypatch):
    """A function that lets decisions wait for all images from then on."""

    def start():
        least_p, bounds = DropTest.least_p, Answers._bounds
        monkeypatch.setattr(
            DropTest, "least_p",
            lambda self, x, seen, margin: least_p(self, x, seen, margin) if seen.all() else 0.0,
        )  # fmt: skip
        monkeypatch.setattr(
            Answers, "_bounds",
            lambda self: bounds(self) if self._seen.all() else (-np.inf, np.inf),
        )  # fmt: skip

    return start


@pytest.mark.parametrize(
    ("kind", "metric"), [("brightness", "accuracy"), ("high frequencies", "balanced_accuracy")]
)
def test_an_envelope_is_that_of_all_images(kind, metric, asks_all):
    net, data, _ = planted(kind, images=100, size=12)

    def envelope():
        return rd.forensics.envelope(
            net, ISP, data, SPACE, metric=metric, max_drop=0.2, cameras=10,
            parameters=["gamma", "sharpen"],
        )  # fmt: skip

    early = envelope()
    asks_all()
    late = envelope()
    assert early.evaluations < late.evaluations
    assert early.validation.cameras
    assert msgspec.structs.replace(early, evaluations=late.evaluations) == late


@pytest.mark.parametrize("regularization", [0.0, 1.0])
def test_a_random_search_that_leaves_settings_early_finds_the_same(regularization, asks_all):
    net, data, _ = planted("brightness", images=60, size=12)

    def search():
        chain = Chain(net, ISP, data)
        found = search_chain(chain, SPACE, regularization, 2, 4, ["random"])
        return chain.asked, found

    (few, early), _, (many, late) = search(), asks_all(), search()
    assert few < many
    assert early.gradient == late.gradient
    random, same = early.rivals["random"], late.rivals["random"]
    assert (random.parameters, random.metric) == (same.parameters, same.metric)
    assert random.parts == same.parts


def test_searches_of_one_chain_evaluate_nothing_twice(monkeypatch):
    net, data, _ = planted("brightness", images=40, size=12)
    chain, asked = Chain(net, ISP, data), Counter()

    def counting(name):
        method = getattr(Chain, name)

        def counted(self, batch, values, *more, **named):
            if torch.is_inference_mode_enabled() or name == "outcomes":  # and not for a gradient
                setting = tuple(value.numpy().tobytes() for value in values.values())
                asked.update((name, setting, id(named.get("isp")), i) for i in batch.tolist())
            return method(self, batch, values, *more, **named)

        return counted

    for name in ("_part", "outcomes"):
        monkeypatch.setattr(Chain, name, counting(name))
    first = search_chain(chain, SPACE, 0.0, 1, 4, ["random"])
    once = chain.asked
    second = search_chain(chain, SPACE, 1.0, 1, 4, ["random"])
    assert max(asked.values()) == 1
    assert chain.asked - once < 0.6 * once  # probes and random settings are the same
    alone = search_chain(Chain(net, ISP, data), SPACE, 1.0, 1, 4, ["random"])
    assert (second.gradient, second.rivals) == (alone.gradient, alone.rivals)
    assert first.gradient.metric <= second.gradient.metric


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(8, 4)
        self.body(8 * torch.rand(4, 3, 9, 9) - 2)
        self.eval()

    def forward(self, x):
        return self.head(self.body(x).mean((-2, -1)))


def test_gradients_are_those_of_the_network_without_batch_normalization_and_weights():
    net, views = Net(), torch.rand(5, 3, 16, 16)
    folded = differentiable(net, views, WORTH)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert not any(weight.requires_grad for weight in folded.parameters())
    assert all(weight.requires_grad for weight in net.parameters())
    slopes = []
    for one in (net, folded):
        views.requires_grad_()
        (slope,) = torch.autograd.grad(one(views)[:, 1].sum(), views)
        slopes.append(slope)
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-6)
    assert differentiable(net, views, WORTH, "torch") is net
    assert differentiable(net, views) is net  # for few views, it does not pay


def test_classes_in_bfloat16_are_those_of_the_network():
    net, asked = Net(), []
    with torch.no_grad():  # so that no class is far above all others
        views = 2 * torch.rand(1500, 3, 1, 1) * torch.rand(1500, 3, 16, 16)
        net.head.bias -= net(views).mean(0)
    half = deepcopy(net).to(torch.bfloat16)

    def exact(views):
        asked.append(len(views))
        return net(views)

    quick = Quick(exact, lambda views: half(views.bfloat16()).float())
    with torch.inference_mode():
        quick.learn(views[:20])
        assert quick.error > 1e-4
        classes, expected = quick(views).argmax(1), net(views).argmax(1)
        wrong = half(views.bfloat16()).argmax(1) != expected
    assert torch.equal(classes, expected)
    assert wrong.any()  # without the doubt
    assert asked[0] == 20
    assert wrong.sum() <= asked[1] < 1400


def test_larger_errors_than_were_seen_leave_more_doubt():
    net = Net()
    quick = Quick(net, lambda views: net(views) + 0.01)
    views = torch.rand(6, 3, 16, 16)
    with torch.inference_mode():
        quick.learn(views)
        before = quick.error
        quick.half = lambda views: torch.full((len(views), 4), torch.nan)
        assert torch.equal(quick(views), net(views))  # what is no number is doubted
        assert quick.error == before
        quick.half = lambda views: torch.zeros(len(views), 4)
        logits = net(views)
        assert torch.equal(quick(views), logits)
        largest = logits.abs().amax(1)
        spread = (logits.amax(1) - logits.amin(1)) / largest.clamp(min=float(largest.mean()))
        assert quick.error == pytest.approx(float(spread.max()))


def test_one_image_of_small_logits_leaves_no_doubt_about_the_others():
    asked = []

    def exact(logits):
        asked.append(len(logits))
        return logits

    error = torch.tensor([0.01, -0.01, 0.0])
    quick = Quick(exact, lambda logits: logits + error)
    large = torch.tensor([[5.0, 4.0, 0.0], [1.0, 4.0, 3.0], [2.0, 0.0, 6.0], [0.0, 5.0, 4.5]])
    quick.learn(torch.cat([large, torch.tensor([[0.01, 0.0, 0.02]])]))
    quick(large)
    assert asked == [5]
    quick(torch.tensor([[5.0, 4.95, 0.0]]))  # the difference may be wrong by 0.1
    assert asked == [5, 1]


def test_a_network_that_is_in_doubt_answers_in_float32_alone():
    net, halved = Net(), []

    def half(views):
        halved.append(len(views))
        return net(views)

    quick = Quick(net, half)
    quick.error = 1.0  # so that nothing is sure
    views = torch.rand(96, 3, 16, 16)
    with torch.inference_mode():
        for part in views.split(32):
            assert torch.equal(quick(part), net(part))
    assert halved == [32, 32]


def test_bfloat16_is_for_many_views_and_not_for_those_who_want_the_network():
    net, views = Net(), torch.rand(4, 3, 16, 16)
    assert quick_of(net, views, 0, "auto") is None
    assert quick_of(net, views, WORTH, "torch") is None
    if torch.cpu.get_capabilities().get("amx_bf16"):
        quick = quick_of(net, views, WORTH, "auto")
        with torch.inference_mode():
            assert torch.equal(quick(views).argmax(1), net(views).argmax(1))


@pytest.mark.parametrize("has", [{}, {"avx512_bf16": True}, {"amx_bf16": True}])
def test_bfloat16_where_it_is_slow_is_said_once(monkeypatch, capsys, has):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    precision._say_slow.cache_clear()
    for name in ("32", "auto", "bf16", "bf16"):
        precision.check_precision(name, "cpu")
    assert capsys.readouterr().out.count("no instructions for bfloat16") == (not has)
    assert precision.resolve_precision("auto") == ("bf16" if has else "32")
    assert precision.resolve_precision("bf16") == "bf16"


class Residual(nn.Module):
    """Convolutions with all that may follow them."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(True))
        self.a = nn.Conv2d(16, 16, 3, 1, 1, bias=False)
        self.b = nn.Conv2d(16, 16, 1)
        self.grouped = nn.Conv2d(16, 16, (3, 5), 1, (2, 4), dilation=2, groups=4)
        self.named = nn.Conv2d(16, 16, 3, padding="same")
        self.mirrored = nn.Conv2d(16, 16, 3, 1, 1, padding_mode="reflect")
        self.to_one = nn.Conv2d(16, 1, 1)
        self.head = nn.Linear(16, 4)

    def forward(self, views):
        x = self.first(views)
        y = self.a(x)
        y += self.b(x)  # both are convolutions
        x = torch.relu(y)
        x = x + self.a(x)  # the same again, and no relu
        twice = self.grouped(x)
        x = nn.functional.relu(twice) + twice  # of which two are made
        x = torch.add(self.named(x), x, alpha=2) + self.mirrored(x)
        x = x + self.to_one(x)  # of another shape
        x = nn.functional.relu(self.b(x) + 0.5)
        return self.head(x.mean((2, 3)))


def test_packed_convolutions_add_and_rectify():
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("no bfloat16 in oneDNN on this processor")
    torch.manual_seed(0)
    net, views = Residual().eval(), torch.rand(5, 3, 33, 40)
    with torch.no_grad():
        half = deepcopy(differentiable(net, views, WORTH)).to(torch.bfloat16)
        ready = packed(deepcopy(half), views)
        for some in (views, views[:1], torch.rand(7, 3, 33, 40)):
            expected = net(some)
            found, plain = ready(some.bfloat16()), half(some.bfloat16())
            error = (found - expected).abs().max()
            assert error <= 2 * (plain - expected).abs().max() + 1e-3
    modules = dict(ready.named_modules())
    fused = [node for node in ready.graph.nodes if str(node.target).startswith("convolution_")]
    assert len(fused) == 7
    assert sum(len(node.args) == 2 for node in fused) == 2  # an addition
    assert sum(modules[node.target].rectifies for node in fused) == 2


class InPlace(Residual):
    """What a convolution was given is changed before its result is added."""

    def forward(self, views):
        x = self.first(views)
        y = self.b(x)
        x.mul_(100)
        return self.head((self.mirrored(x) + y).mean((2, 3)))


@pytest.mark.parametrize(("net", "is_packed"), [(Residual, True), (InPlace, False)])
def test_packed_convolutions_are_taken_where_their_error_is_no_larger(net, is_packed, monkeypatch):
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("no bfloat16 in oneDNN on this processor")
    monkeypatch.setattr(models_quick, "is_faster", lambda *_: True)
    torch.manual_seed(0)
    made = []
    monkeypatch.setattr(
        models_quick, "packed", lambda *given: made.append(packed(*given)) or made[0]
    )
    views = torch.rand(6, 3, 33, 40)
    quick = quick_of(net().eval(), views, WORTH, "auto")
    asked = []
    made[0].register_forward_pre_hook(lambda *_: asked.append(1))
    with torch.inference_mode():
        quick.half(views)
    assert bool(asked) == is_packed


class FixesItsType(nn.Module):
    def forward(self, x):
        if x.dtype != torch.float32:
            raise TypeError("float32 only")
        return x.mean((2, 3))


def test_a_network_that_refuses_bfloat16_is_asked_in_float32(monkeypatch):
    monkeypatch.setattr(models_quick, "is_faster", lambda *_: True)
    assert quick_of(FixesItsType().eval(), torch.rand(2, 3, 8, 8), WORTH, "auto") is None
