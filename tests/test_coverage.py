"""What we claim is true as often as we say: a few data sets of each claim of benchmarks/coverage.py."""

import math

import numpy as np
import pytest
from benchmarks.coverage import CLAIMS, Weak, measure, table

from rawdrift.controls.forensics import tolerance
from rawdrift.controls.forensics.joint import nothing


@pytest.mark.parametrize("number", range(len(CLAIMS)), ids=[claim.what for claim in CLAIMS])
def test_claims_hold_as_often_as_promised(number):
    claim = CLAIMS[number]
    runs = max(10, claim.runs // 80)
    chance = 4 * math.sqrt(claim.promised * (1 - claim.promised) / runs)
    assert measure(number, runs).share >= claim.promised - chance


def test_the_table_names_every_claim_once():
    assert len({claim.what for claim in CLAIMS}) == len(CLAIMS)
    rows = [measure(number, 3) for number in (0, 1)]
    assert len([*table(rows)]) == 2 + len(rows)


@pytest.mark.parametrize("fails", [0.05, 0.3, 1.0])
def test_envelopes_are_not_timid(monkeypatch, fails):
    """With 1000 images and one axis, its ends lose at least 40 % of what is allowed on average."""
    monkeypatch.setattr(tolerance, "joint_box", lambda chain, test, space, *rest: nothing(space))
    weak, losses = Weak((1000,), 1, (fails,), right=0.95), []
    for seed in range(20):
        chain = weak.draw(np.random.default_rng(seed))
        safe = tolerance.envelope_of(chain, weak.space, 0.02, cameras=1).tolerances["x0"]
        losses.append(weak.loss(np.array([[safe.low], [safe.high]])))
    assert np.mean(losses) >= 0.4 * 0.02
