"""In whole worlds, too, nothing depends on the short way that a message takes which is only counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from demls.protocol import group
from demls.simulation.run import simulate


@pytest.mark.parametrize("seed", [2, 3, 11])
def test_ending_a_call_after_what_is_only_counted_changes_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same transcript and the same records, whether everything is asked after each vote and statement or not."""
    quick = simulate(seed, members=5, engine="model", trace=True)
    monkeypatch.setattr(group, "count", lambda found, places, state, now: False)
    monkeypatch.setattr(group.Group, "_is_still", lambda self, message, step, turns: False)
    slow = simulate(seed, members=5, engine="model", trace=True)
    assert replace(quick, took=0.0) == replace(slow, took=0.0)
