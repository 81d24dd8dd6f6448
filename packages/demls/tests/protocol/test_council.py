"""Where stewards decide, only their votes count, and all others are told so."""

from __future__ import annotations

import pytest
from demls.protocol.errors import RequestRefused
from demls.protocol.events import WentToAll
from demls.protocol.policy import DAY, PRESETS, SECOND
from demls.protocol.views import ProposalKind, ProposalStatus, ProposalView
from demls.wire.messages import Remove
from insider import Insider
from world import World

COUNCIL = PRESETS["council"]
STEWARDS = ("alice", "bob", "carol", "gina", "hank", "iris")


@pytest.fixture
def world() -> World:
    """Six are stewards; dave and erin have just come."""
    world = World(12)
    world.group_of(*STEWARDS, policy=COUNCIL)
    world.do("alice", lambda group: group.change_settings(world.now, name="the council"))
    world.vote_on_everything(*STEWARDS[1:])
    world.run(20 * SECOND)
    world.admit("alice", "dave", "erin")
    assert stewards(world) == set(STEWARDS)
    return world


def stewards(world: World) -> set[str]:
    return {member.name for member in world.person("dave").group.members() if member.is_steward}


def asked(world: World) -> ProposalView:
    world.ask("fred", world.link("dave"))
    world.run(SECOND)
    return seen(world, "alice")


def seen(world: World, name: str) -> ProposalView:
    return next(p for p in world.proposals(name) if p.kind is ProposalKind.INVITE and p.subject_name == "fred")


def test_four_of_six_stewards_admit_somebody_to_a_group_of_eight(world: World) -> None:
    invite = asked(world)
    assert (invite.decided_by_stewards, invite.voters, invite.needed) == (True, 6, 4)
    world.vote_on_everything(*STEWARDS[:4])
    world.run(20 * SECOND)
    assert world.person("fred").is_member
    assert len({person.group.view(world.now).authenticator for person in world.members()}) == 1


def test_the_votes_of_others_are_refused_with_a_sentence(world: World) -> None:
    invite = asked(world)
    assert not seen(world, "dave").may_vote
    with pytest.raises(RequestRefused, match="The stewards decide this kind of proposal"):
        world.person("dave").group.vote(invite.proposal_id, True, world.now)


def test_the_votes_of_others_do_not_count_whatever_they_send(world: World) -> None:
    invite = asked(world)
    for name in ("dave", "erin"):
        insider = Insider(world, name)
        insider.say(insider.vote(invite.proposal_id, False))
    world.deliver()
    world.vote_on_everything(*STEWARDS[:4])
    assert (seen(world, "carol").no, seen(world, "carol").yes) == (0, 4)
    world.run(20 * SECOND)
    assert world.person("fred").is_member


def test_three_stewards_keep_somebody_out(world: World) -> None:
    invite = asked(world)
    for name in ("alice", "carol", "iris"):
        world.do(name, lambda group: group.vote(invite.proposal_id, False, world.now))
        world.deliver()
    world.run(20 * SECOND)
    assert seen(world, "erin").status is ProposalStatus.REJECTED
    assert not world.person("fred").is_member


def test_who_is_no_steward_may_propose_and_the_stewards_decide(world: World) -> None:
    asked(world)
    (request,) = [p for p in world.proposals("erin") if p.subject_name == "fred"]
    assert request.status is ProposalStatus.OPEN
    assert request.silent == 6


def test_stewards_decide_on_removals_too(world: World) -> None:
    world.do("dave", lambda group: group.propose(Remove(world.person("erin").address), world.now))
    world.deliver()
    removal = next(p for p in world.proposals("alice") if p.kind is ProposalKind.REMOVE)
    assert (removal.decided_by_stewards, removal.voters, removal.yes, removal.needed) == (True, 6, 0, 4)
    world.vote_on_everything(*STEWARDS[:4])
    world.run(20 * SECOND)
    assert not world.person("erin").is_member


def test_settings_are_decided_by_all(world: World) -> None:
    world.do("dave", lambda group: group.change_settings(world.now, name="the small council"))
    world.deliver()
    settings = next(p for p in world.proposals("alice") if p.kind is ProposalKind.SETTINGS and p.status == "open")
    assert (settings.decided_by_stewards, settings.voters, settings.yes, settings.needed) == (False, 8, 1, 6)


def test_the_commit_takes_a_quorum_of_all_members_whoever_decides(world: World) -> None:
    """Four stewards can admit somebody, and cannot do it in secret: two thirds of the members have to be there."""
    asked(world)
    for name in ("dave", "erin", "iris"):
        world.person(name).online = False
    world.vote_on_everything(*STEWARDS[:4])
    world.run(60 * SECOND)
    assert not world.person("fred").is_member
    for name in ("dave", "erin", "iris"):
        world.person(name).online = True
    world.run(60 * SECOND)
    assert world.person("fred").is_member


def test_what_the_stewards_leave_open_is_for_all_and_then_silence_counts(world: World) -> None:
    asked(world)
    assert not seen(world, "dave").may_vote
    world.run(DAY - 2 * SECOND)
    assert seen(world, "dave").decided_by_stewards
    world.run(3 * SECOND)
    for name in ("alice", "dave"):
        after = seen(world, name)
        assert (after.status, after.decided_by_stewards, after.voters) == (ProposalStatus.OPEN, False, 8)
        assert after.may_vote
        assert world.person(name).told(WentToAll)
    world.run(DAY)
    assert world.person("fred").is_member
