"""Do people of the simulator come back from backups and lost states, also where bad members misuse that?"""

from __future__ import annotations

import pytest
from demls.simulation.adversaries import sabotage
from demls.simulation.run import simulate


def test_of_two_one_restores_a_backup_and_comes_back() -> None:
    outcome = simulate(13, members=2, engine="model")
    assert not outcome.promise, outcome.detail
    assert outcome.counts["restored backup"] >= 1
    assert outcome.counts["resync"] >= 1


def test_false_requests_for_seats_break_no_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sabotage, "_MIXTURES", (("false seats",),))
    monkeypatch.setattr(sabotage, "_DRAWN_SHARE", 0)
    outcome = simulate(105, members=5, engine="model")
    assert not outcome.promise, outcome.detail
    assert outcome.acts["false seats"] >= 10
