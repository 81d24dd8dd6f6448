"""A group does not wait for ever for members that are gone, and counts them again when they come back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from council import address, roster
from demls.protocol.events import Settled
from demls.protocol.policy import HOUR, MINUTE, PRESETS, SECOND
from demls.protocol.presence import Presence
from demls.protocol.records import Ledger
from demls.protocol.views import GroupView, MemberView, ProposalKind, ProposalStatus, ProposalView
from demls.wire.ids import Instant
from demls.wire.messages import Awake, Dormant, Remove
from insider import Insider
from world import World

SLEEPY = replace(PRESETS["day"], dormant_after=HOUR)
EVERYBODY = ("alice", "bob", "carol", "dave", "erin")


@pytest.fixture
def world() -> World:
    world = World(5)
    world.group_of("alice", "bob", policy=SLEEPY)
    world.admit("alice", *EVERYBODY[2:])
    return world


def talk(world: World, milliseconds: int) -> None:
    """Time goes by, and whoever is there says something now and then."""
    for _ in range(milliseconds // (10 * MINUTE)):
        world.run(10 * MINUTE)
        for person in world.members():
            if person.online:
                world.do(person.name, lambda group: group.send("still here", world.now))
        world.deliver()


def view(world: World, name: str) -> GroupView:
    return world.person(name).group.view(world.now)


def member(world: World, name: str, seen_by: str = "alice") -> MemberView:
    return next(m for m in world.person(seen_by).group.members() if m.name == name)


def dormant(world: World, seen_by: str = "alice") -> set[str]:
    return {m.name for m in world.person(seen_by).group.members() if m.is_dormant}


def votes(world: World, kind: ProposalKind, seen_by: str = "alice") -> list[ProposalView]:
    return [p for p in world.proposals(seen_by) if p.kind is kind]


def put_to_sleep(world: World, *names: str) -> None:
    """One after the other: it takes two thirds of those who count to agree that somebody does not."""
    for number, name in enumerate(names, 1):
        world.person(name).online = False
        talk(world, 80 * MINUTE)
        for person in world.members():
            if person.online:
                assert dormant(world, person.name) == set(names[:number]), person.name


def test_a_member_that_is_gone_for_long_is_counted_no_longer(world: World) -> None:
    assert (view(world, "alice").members, view(world, "alice").counted) == (5, 5)
    put_to_sleep(world, "erin")
    assert (view(world, "alice").members, view(world, "alice").counted) == (5, 4)
    (proposal,) = votes(world, ProposalKind.DORMANT)
    assert (proposal.status, proposal.subject_name, proposal.no) == (ProposalStatus.COMMITTED, "erin", 0)
    assert member(world, "erin").is_dormant
    assert not member(world, "erin").is_steward
    assert not world.person("alice").told(Settled)[-1].left  # type: ignore[attr-defined]


def test_the_group_goes_on_without_those_who_sleep(world: World) -> None:
    """Of five, two are gone: four of five would have to agree; of the three that count two do."""
    put_to_sleep(world, "dave", "erin")
    assert view(world, "alice").counted == 3
    world.do("alice", lambda group: group.propose(Remove(world.person("carol").address), world.now))
    world.vote_on_everything("bob")
    world.run(20 * SECOND)
    assert not world.person("carol").is_member
    world.admit("alice", "fred")
    assert dormant(world, "fred") == {"dave", "erin"}
    assert view(world, "fred").counted == 3


def test_who_comes_back_is_counted_again(world: World) -> None:
    put_to_sleep(world, "erin")
    world.person("erin").online = True
    world.run(2 * MINUTE)
    for name in EVERYBODY:
        assert dormant(world, name) == set(), name
        assert view(world, name).counted == 5
    (proposal,) = votes(world, ProposalKind.AWAKE)
    assert (proposal.status, proposal.voters, proposal.subject_name) == (ProposalStatus.COMMITTED, 4, "erin")


def test_who_comes_back_after_a_restart_is_counted_again(world: World) -> None:
    put_to_sleep(world, "erin")
    world.person("erin").online = True
    world.restart("erin")
    for name in EVERYBODY[:4]:
        world.restart(name)
    world.run(2 * MINUTE)
    assert dormant(world) == set()
    assert len({view(world, name).authenticator for name in EVERYBODY}) == 1


def test_who_comes_back_does_not_decide_what_was_opened_while_it_slept(world: World) -> None:
    put_to_sleep(world, "erin")
    world.do("alice", lambda group: group.propose(Remove(world.person("dave").address), world.now))
    world.deliver()
    (proposal,) = votes(world, ProposalKind.REMOVE)
    assert proposal.voters == 4


def test_two_hours_of_silence_make_nobody_dormant_who_is_there(world: World) -> None:
    """In a group in which nobody says anything, everybody is silent; that is no reason."""
    epoch = view(world, "alice").epoch
    world.run(3 * HOUR)
    assert dormant(world) == set()
    assert view(world, "alice").epoch == epoch


def test_at_least_half_of_the_members_stay_counted(world: World) -> None:
    put_to_sleep(world, "dave", "erin")
    world.person("carol").online = False
    talk(world, 3 * HOUR)
    assert dormant(world) == dormant(world, "bob") == {"dave", "erin"}
    assert view(world, "alice").counted == 3
    mallory = Insider(world, "bob")
    mallory.say(mallory.proposal(Dormant(world.person("carol").address), duration=SLEEPY.election.duration))
    world.deliver()
    assert not [p for p in votes(world, ProposalKind.DORMANT) if p.subject_name == "carol"]


def test_a_whole_group_that_was_asleep_wakes_up(world: World) -> None:
    put_to_sleep(world, "dave", "erin")
    for name in ("dave", "erin"):
        world.person(name).online = True
    world.run(5 * MINUTE)
    assert dormant(world) == set()
    assert len({view(world, name).authenticator for name in EVERYBODY}) == 1


def test_one_member_alone_cannot_wake_another(world: World) -> None:
    put_to_sleep(world, "erin")
    mallory = Insider(world, "dave")
    proposal = mallory.proposal(Awake(world.person("erin").address), duration=SLEEPY.election.duration)
    mallory.say(proposal)
    mallory.say(mallory.vote(proposal.id, True))
    world.run(HOUR // 4)
    assert [p.status for p in votes(world, ProposalKind.AWAKE)] == [ProposalStatus.REJECTED]
    assert dormant(world) == {"erin"}


def test_who_was_heard_by_one_member_only_is_counted_again_in_the_end(world: World) -> None:
    """The others hear it later than the vote on it lasts."""
    put_to_sleep(world, "erin")
    world.person("erin").online = True
    world.lose = lambda person, envelope: envelope.sender == "erin" and person.name not in ("alice", "erin")
    world.run(HOUR // 2)
    assert dormant(world) == {"erin"}
    world.lose = lambda person, envelope: False
    talk(world, HOUR)
    assert dormant(world) == set()


def test_what_a_sleeper_says_makes_no_quorum() -> None:
    """It is heard, and that is all: its vote decides nothing before it is counted again."""
    world = World(5)
    world.group_of("alice", "bob", policy=SLEEPY)
    world.admit("alice", *EVERYBODY[2:])
    put_to_sleep(world, "erin")
    world.do("alice", lambda group: group.propose(Remove(world.person("dave").address), world.now))
    world.deliver()
    (removal,) = votes(world, ProposalKind.REMOVE)
    world.person("erin").online = True
    erin = Insider(world, "erin")
    world.hold = lambda person, envelope: envelope.sender == "erin" or person.name == "erin"
    erin.turn()
    alice = Insider(world, "alice")
    erin.say(erin.vote(removal.proposal_id, True), alice.channel)
    world.heal()
    world.deliver()
    (removal,) = votes(world, ProposalKind.REMOVE)
    assert (removal.yes, removal.voters) == (1, 4)


def test_a_member_that_was_heard_is_not_made_dormant(world: World) -> None:
    talk(world, 2 * HOUR)
    mallory = Insider(world, "erin")
    proposal = mallory.proposal(Dormant(world.person("bob").address), duration=SLEEPY.election.duration)
    mallory.say(proposal)
    world.run(HOUR // 4)
    (seen,) = votes(world, ProposalKind.DORMANT)
    assert (seen.status, seen.yes) == (ProposalStatus.REJECTED, 0)
    assert dormant(world) == set()


def test_nobody_is_asked_about_sleep_by_hand(world: World) -> None:
    with pytest.raises(Exception, match="Nodes open this kind of vote by themselves"):
        world.person("alice").group.propose(Dormant(world.person("bob").address), world.now)


def test_a_group_without_the_rule_waits_for_everybody() -> None:
    world = World(5)
    world.group_of("alice", "bob", policy=replace(SLEEPY, dormant_after=0))
    world.admit("alice", *EVERYBODY[2:])
    world.person("erin").online = False
    talk(world, 3 * HOUR)
    assert dormant(world) == set()
    assert not votes(world, ProposalKind.DORMANT)


# --- What one node has heard --------------------------------------------------------------------------------------


def at(now: int) -> Instant:
    return Instant(now)


def test_newcomers_count_as_heard_when_they_come() -> None:
    presence = Presence(Ledger())
    presence.enter(roster(0, 1), at(1_000))
    assert presence.heard_at(address(1)) == 1_000
    presence.enter(roster(0, 1, 2, epoch=1, returned=(2,)), at(9_000))
    assert (presence.heard_at(address(1)), presence.heard_at(address(2))) == (1_000, 9_000)
    presence.enter(roster(0, 2, epoch=2), at(9_500))
    assert presence.heard_at(address(1)) is None


def test_the_longest_silent_comes_first_and_nobody_counts_itself() -> None:
    presence, members = Presence(Ledger()), roster(*range(5), dormant=(4,))
    presence.enter(members, at(0))
    presence.note(address(1), members, at(500), HOUR)
    presence.note(address(3), members, at(HOUR), HOUR)
    assert presence.silent(members, address(0), at(HOUR + 500), HOUR) == [address(2), address(1)]
    assert presence.silent(members, address(0), at(HOUR - 1), HOUR) == []
    assert presence.silent(members, address(0), at(9 * HOUR), 0) == []


def test_a_node_has_no_opinion_on_who_was_not_heard_lately_and_is_not_overdue() -> None:
    presence, members = Presence(Ledger()), roster(*range(3))
    presence.enter(members, at(0))
    opinions = [presence.opinion_dormant(address(1), at(now), HOUR) for now in (0, HOUR // 2 - 1, HOUR // 2, HOUR)]
    assert opinions == [False, False, None, True]
    assert presence.opinion_dormant(address(9), at(HOUR), HOUR) is False
    assert presence.opinion_dormant(address(1), at(9 * HOUR), 0) is False


def test_time_does_not_go_back_for_what_was_heard() -> None:
    presence, members = Presence(Ledger()), roster(*range(3))
    presence.enter(members, at(5_000))
    presence.note(address(1), members, at(4_000), HOUR)
    assert presence.heard_at(address(1)) == 5_000
    presence.note(address(9), members, at(6_000), HOUR)
    assert presence.heard_at(address(9)) is None


def test_what_was_heard_is_known_after_a_restart_to_a_sixteenth() -> None:
    ledger, members = Ledger(), roster(*range(3))
    presence = Presence(ledger)
    presence.enter(members, at(0))
    for now in range(0, HOUR, MINUTE):
        presence.note(address(1), members, at(now), HOUR)
    again = Presence(Ledger(ledger.snapshot()))
    known = again.heard_at(address(1))
    assert known is not None
    assert HOUR - 2 * MINUTE - HOUR // 16 <= known <= HOUR - MINUTE


def test_a_sleeper_that_is_heard_has_come_back_once() -> None:
    presence, members = Presence(Ledger()), roster(*range(3), dormant=(1,))
    presence.enter(members, at(0))
    for now in (5_000, 6_000):
        presence.note(address(1), members, at(now), HOUR)
    presence.note(address(2), members, at(5_000), HOUR)
    assert presence.returned == {address(1): 5_000}
    presence.enter(roster(*range(3), epoch=1), at(7_000))
    assert presence.returned == {}
