"""Random schedules of one round: the rules survive them, and seeds are known that break a core without one of them."""

from __future__ import annotations

import os

import pytest
from demls.simulation.ablations import without
from demls.simulation.storms import storm

SEEDS = int(os.environ.get("DEMLS_STORMS", "20"))

BREAKS = {
    "a quorum": (1, "P1"),
    "the second phase": (95, "P3"),
    "the override": (33, "P3"),
    "canonical content": (4, "P7"),
    "members as leaders": (1, "P3"),
    "durable statements": (14, "P5"),
}
"""The first seed that breaks a promise without the rule. The others are broken by the tales alone."""


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_a_storm_breaks_nothing(seed: int) -> None:
    assert storm(seed) is None


@pytest.mark.parametrize("name", BREAKS)
def test_a_storm_breaks_a_core_without_the_rule(name: str) -> None:
    seed, promise = BREAKS[name]
    with without(name):
        broken = storm(seed)
    assert broken is not None
    assert broken.promise == promise
    assert storm(seed) is None


def test_the_same_seed_is_the_same_storm() -> None:
    with without("the second phase"):
        assert str(storm(95)) == str(storm(95))
