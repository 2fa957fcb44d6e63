"""What we claim is true as often as we say: a few data sets of each claim of benchmarks/coverage.py."""

import math

import pytest
from benchmarks.coverage import CLAIMS, measure, table


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
