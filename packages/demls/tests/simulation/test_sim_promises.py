"""Each checker bites: a core in which one rule is broken on purpose does not get past it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from demls.protocol import commit_round, succession
from demls.protocol import policy as bounds
from demls.protocol.candidates import Candidates
from demls.protocol.commit_round import Round
from demls.protocol.governance import Governance
from demls.protocol.records import Ledger
from demls.protocol.repair import Repair
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.protocol.succession import Carried
from demls.protocol.validation import Verdict
from demls.simulation.faults import Faults
from demls.simulation.people import ACTS
from demls.simulation.run import Outcome, simulate
from demls.wire.chain import Succession
from demls.wire.ids import Address


def first_broken(seeds: Iterable[int], words: str = "", **how: Any) -> Outcome:
    """The first of these seeds that breaks a promise, in these words."""
    for seed in seeds:
        outcome = simulate(seed, engine="model", profile="plain", **how)
        if outcome.promise and words in outcome.detail:
            return outcome
    raise AssertionError("no seed broke a promise")


def test_a_quorum_of_one_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GroupState, "quorum", lambda self, candidate: 1)
    monkeypatch.setattr("demls.protocol.candidates.is_refusal", lambda *args, **kwargs: False)
    outcome = first_broken(range(1, 12), "differ in epoch", members=5)
    assert outcome.promise == "P1"
    assert outcome.transcript


def test_work_that_nobody_approved_is_no_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    def everything(self: Governance) -> list[Any]:
        return [item for item in self.items.values() if item.ended_at is None]

    monkeypatch.setattr(Governance, "approved", everything)
    monkeypatch.setattr(Candidates, "judge", lambda *args, **kwargs: Verdict.VALID)
    monkeypatch.setattr(Candidates, "is_good", lambda *args, **kwargs: True)
    assert first_broken(range(1, 6), members=4).promise == "P2"


def test_a_round_that_never_locks_makes_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, locks = Faults.stop, Round.can_lock
    lame = {phase: tuple(t for t in known if t.guard is not locks) for phase, known in commit_round._FROM.items()}

    def stop_and_break(self: Faults) -> None:
        """From healing on, nothing is locked."""
        stop(self)
        monkeypatch.setattr(commit_round, "_FROM", lame)

    monkeypatch.setattr(Faults, "stop", stop_and_break)
    assert first_broken(range(1, 6), members=4).promise == "P3"


def test_a_list_that_is_not_drawn_by_the_rule_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_name(pool: Iterable[Address], size: int, *_: object) -> tuple[Address, ...]:
        return tuple(sorted(pool)[:size])

    for module in ("succession", "stewards", "elections"):
        monkeypatch.setattr(f"demls.protocol.{module}.generate", by_name)
    assert first_broken(range(1, 6), "drawn by the rule", members=4).promise == "P2"


def test_an_election_that_nobody_voted_for_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    follow = succession.follow

    def elect(commit: Carried, **state: Any) -> Succession:
        """Whoever commits is the only steward."""
        listing = follow(commit, **state).stewards
        new = replace(listing, members=(commit.committer,), since=state["epoch"] + 1)
        return replace(follow(commit, **state), stewards=new)

    monkeypatch.setattr("demls.protocol.candidates.follow", elect)
    monkeypatch.setattr("demls.protocol.sync.is_genuine", lambda *_: True)
    assert first_broken(range(1, 6), members=4).promise == "P2"


def test_a_gap_that_is_not_named_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    talkative = tuple(replace(act, weight=lambda *_: 20.0) if act.name == "talk" else act for act in ACTS)
    monkeypatch.setattr("demls.simulation.people.ACTS", talkative)
    monkeypatch.setattr("demls.protocol.copies.Copies.between", lambda *_: [])  # so that nobody can say it again
    monkeypatch.setattr("demls.protocol.chat.Chat._tell", lambda *_: None)
    assert first_broken(range(1, 14), "does not know", members=3).promise == "P4"


def test_a_statement_that_is_not_durable_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    put = Ledger.put_bytes

    def forget(self: Ledger, key: bytes, value: bytes) -> None:
        put(self, key, value)
        if key.startswith(b"round/statement/"):
            self._dirty.pop(key, None)

    monkeypatch.setattr(Ledger, "put_bytes", forget)
    assert first_broken(range(1, 20), members=3).promise in ("P5", "P7")


def test_a_core_that_raises_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Repair, step: Step) -> None:
        raise ValueError("not my day")

    monkeypatch.setattr(Repair, "tick", fail)
    outcome = first_broken((1,), members=3)
    assert outcome.promise == "core"
    assert "not my day" in outcome.detail


def test_the_bounds_that_the_checkers_rely_on() -> None:
    assert bounds.CHANNELS_KEPT == 3
