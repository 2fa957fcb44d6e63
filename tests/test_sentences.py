"""Sentences with numbers read well at every value."""

import re
from itertools import product
from types import SimpleNamespace

import pytest

from rawdrift.controls import caveats
from rawdrift.controls.forensics.page import drop_in_words
from rawdrift.controls.forensics.result import Envelope, Tolerance, Validation
from rawdrift.controls.optimization import findings
from rawdrift.controls.synthesis import page as synthesis
from rawdrift.report import style
from rawdrift.statistics import Interval

TINY = 1e-7
VALUES = (-1.0, -0.5, -0.0004, -TINY, -0.0, 0.0, TINY, 0.0004, 0.0005, 0.03, 0.241, 1.0)
BAD = (
    r"[-\N{MINUS SIGN}]0\.0+\b(?!\d)",  # less than nothing, by nothing
    r"(gains|loses|by|than) (a \w+ of more than )?0\.0+(?!\d)",
    r"(drops|falls|rises) by [-\N{MINUS SIGN}]",
    r"\bfrom (\S+) to \1(?![\d.])",
    r"\b(All|Only|all) 1\b",
    r"\b1 (images|groups|units|folds|epochs|searches|corners)\b",
    r"\bnan\b|\bNone\b|\binf\b|  ",
)


def reads_well(sentence):
    for bad in BAD:
        assert not re.search(bad, sentence), (bad, sentence)


INTERVALS = [
    Interval(value, low, high)
    for low, value, high in product(VALUES, repeat=3)
    if low <= value <= high
]


@pytest.mark.parametrize("metric", ["accuracy", "iou", "macro_f1"])
def test_what_the_worst_setting_costs(metric):
    for drop in [*INTERVALS, Interval(0.1, None, None)]:
        result = SimpleNamespace(metric=metric, worst=SimpleNamespace(drop=drop), confidence=0.95)
        reads_well(drop_in_words(result))


def test_what_a_setting_gains():
    for interval in [*INTERVALS, Interval(0.1, None, None)]:
        for p, certain in product((0.0, 0.0004, 0.0005, 0.049, 1.0), (True, False)):
            change = findings.Gain(1.0, 0.5, 0.5 + interval.value, interval, p, certain, True)
            reads_well(findings.verdict(change))


def test_the_largest_of_all_drops():
    for interval, matched, is_drop in product(INTERVALS, (0.2415, 0.5, 1.0), (True, False)):
        if is_drop and interval.low <= 0:
            continue
        value = interval.value
        worst = SimpleNamespace(
            drop=value, low=interval.low, high=interval.high, matched=matched,
            mean=matched - value, is_drop=is_drop,
        )  # fmt: skip
        if value > 1e-6:  # less is no drop of any metric
            reads_well(synthesis._largest(worst))


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_few_of_anything(count):
    majority = SimpleNamespace(share=0.5, label="a")
    result = SimpleNamespace(metric="accuracy", data=SimpleNamespace(majority=majority))
    for caveat in (
        *caveats.few_groups(count),
        *caveats.few_folds(count, "settings"),
        *caveats.few_images(result, count),
    ):
        reads_well(" ".join(caveat))


def test_bounds_still_hold_as_they_are_written():
    for value in (0.0, 0.03, 0.0300001, 0.12345, 0.9999, 1.0, TINY):
        assert value <= float(style.at_most(value)) + 2e-9 < value + 0.001 + 4e-9


@pytest.mark.parametrize(
    ("axes", "drop", "share"), [(1, -0.0, 0.0), (2, -TINY, 0.0123), (9, 0.02, 1.0)]
)
def test_what_an_envelope_states(axes, drop, share):
    names = [f"x{i}" for i in range(axes)]
    validation = Validation(
        10, 0, Interval(0.0, 0.0, share), drop, 2**axes, axes, drop, dict.fromkeys(names, 1.0), 80
    )
    envelope = Envelope(
        metric="accuracy", baseline=Interval(0.9, 0.8, 1.0), max_drop=0.02, confidence=0.95,
        axes=(), tolerances={name: Tolerance(1, 0, 2, "drop", "space") for name in names},
        box=dict.fromkeys(names, (0.5, 1.5)), scale=0.5, validation=validation, level=0.025,
        seed=0, images=100, groups=100, needed=90, evaluations=10, warnings=(),
    )  # fmt: skip
    for claim in envelope.claims():
        reads_well(claim)
