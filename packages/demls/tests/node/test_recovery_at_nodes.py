"""Does a group say how it helps itself while its stewards do not commit, and stop saying so when they do again?"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from demls.node import present
from demls.node.accusing import deadlock_of, open_emergency
from demls.node.present import Connection
from demls.protocol.channel import unseal
from demls.protocol.errors import RequestRefused
from demls.protocol.policy import QUICK
from demls.protocol.views import ProposalKind, ProposalStatus
from demls.wire.ids import Instant
from demls.wire.messages import Offer

sys.path.insert(0, str(Path(__file__).parents[1] / "protocol"))

from world import World

FIVE = ("alice", "bob", "carol", "dave", "erin")
SECOND = 1000


def of(world: World, name: str) -> tuple[str, bool]:
    """What this member's node says of recovery, and whether it could report a deadlock."""
    group = world.person(name).group
    shown = present.group("g", group.view(world.now), group.name_of, Connection(True, True))
    return shown.recovery, shown.deadlocked


def is_offer(world: World, payload: bytes) -> bool:
    state = world.person("alice").group._live()
    found = (unseal(channel, payload, state.engine) for channel in state.channels.values())
    return any(isinstance(message, Offer) for message in found)


def until(world: World, claim: Callable[[], object], seconds: int = 300) -> None:
    for _ in range(2 * seconds):
        if claim():
            return
        world.run(SECOND // 2)
    raise AssertionError


def decide(world: World, *names: str, description: str) -> None:
    """Work that these members agree to, so that a round begins."""
    world.do(names[0], lambda group: group.change_settings(world.now, description=description))
    world.deliver()
    for name in names[1:]:
        for card in world.proposals(name):
            if card.kind is ProposalKind.SETTINGS and card.may_vote:
                world.do(name, lambda group, one=card: group.vote(one.proposal_id, True, world.now))  # type: ignore[misc]
    world.deliver()


def test_a_silent_steward_is_replaced_by_the_backup_and_then_by_a_member() -> None:
    world = World(5)
    world.group_of(*FIVE, policy=replace(QUICK, stewards_max=2))
    decide(world, *FIVE, description="zero")  # the first list is used up
    until(world, lambda: len(world.person("alice").group.view(world.now).stewards) == 2)
    world.run(60 * SECOND)
    view = world.person("alice").group.view(world.now)
    first, backup = (world.name_of(one) for one in (view.epoch_steward, view.backup_steward) if one is not None)
    present_ones = [name for name in FIVE if name not in (first, backup)]
    assert of(world, present_ones[0]) == ("", False)

    world.hold = lambda person, envelope: envelope.sender == first or is_offer(world, envelope.payload)
    decide(world, *[name for name in FIVE if name != first], description="one")
    speaker = present_ones[0]
    until(world, lambda: of(world, speaker)[0].startswith(f"{first.title()} has not committed; {backup}, the"))
    until(world, lambda: of(world, speaker)[0].startswith("The stewards are silent; "))
    sentence, is_deadlocked = of(world, speaker)
    assert ", a member, commits in their place" in sentence
    assert is_deadlocked

    world.heal()
    until(world, lambda: world.person(speaker).group.view(world.now).description == "one")
    until(world, lambda: of(world, speaker) == ("", False))


def test_a_deadlock_is_shown_with_what_the_members_have_signed_and_noted() -> None:
    world = World(3)
    world.group_of(*FIVE[:4])
    world.run(SECOND)
    alice = world.person("alice").group
    assert deadlock_of(alice) is None
    world.hold = lambda _, envelope: is_offer(world, envelope.payload)
    decide(world, *FIVE[:4], description="one")
    until(world, lambda: of(world, "alice")[1])
    emergency = deadlock_of(alice)
    assert emergency is not None
    world.do("alice", lambda group: open_emergency(group, emergency, world.now))
    world.deliver()
    assert not of(world, "alice")[1]
    for name in FIVE[:4]:
        (card,) = [one for one in world.proposals(name) if one.kind is ProposalKind.EMERGENCY]
        assert card.status is ProposalStatus.OPEN
    with pytest.raises(RequestRefused, match="being decided already"):
        open_emergency(alice, emergency, world.now)
    with pytest.raises(RequestRefused, match="cannot be opened now: an emergency about what is being decided"):
        open_emergency(alice, emergency, Instant(world.now + 1))
    until(
        world,
        lambda: any(
            one.kind is ProposalKind.EMERGENCY and one.status is ProposalStatus.NOTED for one in world.proposals("bob")
        ),
    )
    world.heal()
    until(world, lambda: world.person("bob").group.view(world.now).description == "one")
    assert deadlock_of(alice) is None
