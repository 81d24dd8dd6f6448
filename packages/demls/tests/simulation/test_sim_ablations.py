"""Every rule of the round is needed: without it a promise breaks, in a story where it is kept with it."""

from __future__ import annotations

import pytest
from demls.cli.main import app
from demls.protocol.commit_round import _FROM, Round
from demls.protocol.profile import DEMLS, PROFILES
from demls.simulation.ablations import ABLATIONS, SEEDS, Ablation, search, shown_by, without
from demls.simulation.drills import TALES, Tale, run_tale
from typer.testing import CliRunner

BY_NAME = {tale.name: tale for tale in TALES}
WITH_TALE = [ablation for ablation in ABLATIONS.values() if ablation.tale]
WITH_SEED = [ablation for ablation in ABLATIONS.values() if ablation.seed is not None]

COUNTER_EXAMPLES = {
    "a lone third": "A",
    "a covering candidate": "B",
    "released late": "C",
    "a false branch": "D",
    "one-way loss": "E",
    "refused after the lock": "F",
    "two orders": "G",
    "silent steward": "H",
    "two candidates": "I",
}
"""The shortest counter-examples to simpler rules; the other tales are of rules that had been kept by argument alone."""


def called(tale: Tale) -> str:
    return f"{COUNTER_EXAMPLES.get(tale.name, '-')}, {tale.name}: refutes that {tale.refutes}"


@pytest.mark.parametrize("tale", TALES, ids=called)
def test_the_rules_survive(tale: Tale) -> None:
    assert run_tale(tale) is None


def test_every_counter_example_has_its_tale() -> None:
    assert COUNTER_EXAMPLES.keys() <= BY_NAME.keys()
    assert {ablation.tale for ablation in WITH_TALE} <= BY_NAME.keys()
    assert len(BY_NAME) == len(TALES)


@pytest.mark.parametrize("ablation", WITH_TALE, ids=lambda ablation: ablation.name)
def test_without_the_rule_the_promise_breaks(ablation: Ablation) -> None:
    with without(ablation.name):
        broken = run_tale(BY_NAME[ablation.tale])
    assert broken is not None
    assert broken.promise == ablation.promise


@pytest.mark.parametrize("ablation", WITH_SEED, ids=lambda ablation: ablation.name)
def test_without_the_rule_a_seed_fails_that_passes_with_it(ablation: Ablation) -> None:
    """Which promise breaks first in a random life may be another than in the tale."""
    broken = shown_by(ablation.name)
    assert broken is not None, f"none of {SEEDS} lives needs {ablation.name}"
    assert broken.transcript


def test_enough_rules_are_needed_in_random_lives() -> None:
    assert len(WITH_SEED) >= 15


def test_a_random_life_breaks_a_promise_without_the_rule() -> None:
    """Storms show the same by fixed seeds; lives are drawn anew whenever the simulator learns something."""
    broken = search("durable statements", range(1, 40))
    assert broken is not None
    assert broken.transcript


def test_a_rule_is_switched_off_from_the_command_line() -> None:
    result = CliRunner().invoke(app, ["simulate", "--seeds", "2", "--members", "5", "--without", "a quorum"])
    assert result.exit_code == 1
    assert "breaks P" in result.output
    unknown = CliRunner().invoke(app, ["simulate", "--seeds", "1", "--without", "everything"])
    assert "There is no rule “everything” to switch off: say one of a quorum" in unknown.output


def test_an_ablation_ends_with_its_context() -> None:
    before = Round._settle, Round.is_acceptable, dict(_FROM), dict(PROFILES)
    for name in ABLATIONS:
        with without(name):
            pass
    assert (Round._settle, Round.is_acceptable, dict(_FROM), dict(PROFILES)) == before
    assert PROFILES[DEMLS.name] is DEMLS
