"""Random schedules of one round: the rules survive them, and seeds are known that break a core without one of them."""

from __future__ import annotations

import os

import pytest
from demls.simulation.ablations import without
from demls.simulation.storms import storm

SEEDS = int(os.environ.get("DEMLS_STORMS", "20"))

BREAKS = {
    "a quorum": "P1",
    "the override": "P3",
    "canonical content": "P7",
    "members as leaders": "P3",
    "durable statements": "P5",
}
"""Which promise a storm breaks without the rule. The other rules are shown to be needed by the tales alone."""

TRIES = 400


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_a_storm_breaks_nothing(seed: int) -> None:
    assert storm(seed) is None


@pytest.mark.parametrize("name", BREAKS)
def test_a_storm_breaks_a_core_without_the_rule(name: str) -> None:
    """Which seed it is changes with the core; that there is one, and that it is harmless with the rule, does not."""
    for seed in range(1, TRIES):
        with without(name):
            broken = storm(seed)
        if broken is not None and broken.promise == BREAKS[name]:
            break
    else:
        pytest.fail(f"{TRIES} storms break nothing without {name}")
    assert storm(seed) is None


def test_the_same_seed_is_the_same_storm() -> None:
    with without("the second phase"):
        assert str(storm(95)) == str(storm(95))
