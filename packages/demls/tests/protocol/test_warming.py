"""Who adds members in a large group warms its cold path of the tree, too."""

from __future__ import annotations

import pytest
from demls.protocol import policy as bounds
from world import World

NAMES = ("alice", "bob", "carol", "dave", "erin")


def committed_with_path(world: World) -> bool:
    """Did the newest commit renew the keys of its committer?"""
    state = world.person("alice").group._live()
    settled = state.history.leaving(state.epoch - 1)
    assert settled is not None
    renewed = [age.member_id for age in state.state.keys if age.epoch == state.epoch]
    newcomers = [seat.address for seat in state.roster.seats if seat.since == state.epoch]
    return set(renewed) > set(newcomers)


@pytest.mark.parametrize(
    ("least", "cold", "has_path"),
    [
        pytest.param(5, 0, True, id="a large group with a cold tree"),
        pytest.param(5, 1 << 20, False, id="a large group with a warm tree"),
        pytest.param(6, 0, False, id="a small group"),
    ],
)
def test_an_addition_has_a_path_if_that_is_worth_it(
    least: int, cold: int, has_path: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(9)
    world.group_of(*NAMES)
    monkeypatch.setattr(bounds, "WARMED_ABOVE_MIN", least)
    monkeypatch.setattr(bounds, "COLD_PATH_BYTES", cold)
    world.admit("alice", "fred")
    assert committed_with_path(world) is has_path
    views = [person.group.view(world.now) for person in world.members()]
    assert len({(view.epoch, view.authenticator) for view in views}) == 1
    ages = {person.group._live().state.keys for person in world.members()}
    assert len(ages) == 1, "the newcomer is told the same ages of keys as the others know"


def test_a_small_group_does_not_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial costs as much as a commit."""
    world = World(9)
    world.group_of(*NAMES)
    state = world.person("alice").group._live()
    monkeypatch.setattr(bounds, "COLD_PATH_BYTES", 0)
    assert not state.candidates._is_cold()
    assert state.candidates._is_cold() is False
    monkeypatch.setattr(bounds, "WARMED_ABOVE_MIN", 0)
    assert state.candidates._is_cold() is False, "found out once a state"
