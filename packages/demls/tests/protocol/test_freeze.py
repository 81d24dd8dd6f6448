"""What waits for an emergency, how long, and what becomes of it? The partial freeze."""

from __future__ import annotations

from dataclasses import replace

import pytest
from demls.protocol import policy as bounds
from demls.protocol.channel import unseal
from demls.protocol.events import Frozen, ProposalHeld, Reason, Rejected, Settled
from demls.protocol.policy import MINUTE, PRESETS, SCORING
from demls.protocol.state import GroupState
from demls.protocol.views import GroupView, ProposalKind, ProposalStatus
from demls.wire.ids import Instant
from demls.wire.messages import Change, Emergency, Leave, Remove, Settings, StewardElection
from demls.wire.statements import DoubleVote, Proof, RoundStatement, StatementKind
from demls.wire.violations import Violation
from hypothesis import given, settings
from hypothesis import strategies as st
from insider import Insider
from world import World

ACK = StatementKind.ACK
FOUR = ("alice", "bob", "carol", "mallory")
HONEST = FOUR[:3]
GENTLE = replace(PRESETS["quick"], scoring=replace(SCORING, equivocation=20))
"""A policy under which one double vote is an offence, and no reason for a removal."""

SLOW = replace(GENTLE, emergency=replace(GENTLE.emergency, duration=8 * MINUTE))


@pytest.fixture
def world() -> World:
    world = World(3)
    world.group_of(*FOUR, policy=GENTLE)
    world.run(1_000)
    return world


@pytest.fixture
def slow() -> World:
    world = World(3)
    world.group_of(*FOUR, policy=SLOW)
    world.run(1_000)
    return world


def state(world: World, name: str) -> GroupState:
    return world.person(name).group._live()


def view(world: World, name: str = "alice") -> GroupView:
    return world.person(name).group.view(world.now)


def is_frozen(world: World, name: str = "alice") -> bool:
    return view(world, name).frozen_until is not None


def statuses(world: World, kind: ProposalKind, name: str = "alice") -> list[ProposalStatus]:
    return [p.status for p in world.proposals(name) if p.kind is kind]


def open_emergency(world: World, by: str = "bob", against: str = "mallory", number: int = 0) -> bytes:
    """A single violation, proven by a vote both ways on something; its id."""
    culprit, accuser = Insider(world, against), Insider(world, by)
    votes = [culprit.vote(number.to_bytes(32, "big"), yes).signed_vote for yes in (True, False)]
    change = Emergency(
        Violation.EQUIVOCATION, culprit.address, (Proof(DoubleVote(culprit.epoch, votes[0], votes[1])),), ()
    )
    duration = state(world, "alice").charter.policy.emergency.duration
    said = accuser.proposal(change, duration=duration, created_at=world.now + number)
    accuser.say(said)
    world.deliver()
    return said.id


def stuck(world: World, by: str) -> None:
    """The group's nil acks make another emergency, that anybody may open."""
    insider = Insider(world, by)
    acks = tuple(Insider(world, name).statement(ACK, 9, b"") for name in HONEST)
    duration = state(world, "alice").charter.policy.emergency.duration
    insider.say(insider.proposal(Emergency(Violation.DEADLOCK, b"", (), acks), duration=duration))
    world.deliver()


def vote(world: World, yes: bool, *names: str, kind: type[Change] = Emergency) -> None:
    for name in names:
        items = [item for item in state(world, name).governance.items.values() if isinstance(item.change, kind)]
        for item in items:
            may = state(world, name).governance.vote_of(item, world.person(name).address) is None
            if item.status is ProposalStatus.OPEN and may:
                world.do(name, lambda group, it=item: group.vote(it.proposal_id, yes, world.now))  # type: ignore[misc]
    world.deliver()


def describe(world: World, name: str, text: str = "held") -> None:
    world.do(name, lambda group: group.change_settings(world.now, description=text))
    world.deliver()


# --- What waits, and what goes on -------------------------------------------------------------------------------------


def test_an_emergency_freezes_everybody(world: World) -> None:
    open_emergency(world)
    for name in FOUR:
        assert is_frozen(world, name)
        assert [event.is_on for event in world.person(name).told(Frozen)] == [True]  # type: ignore[attr-defined]
        assert view(world, name).frozen_until == world.now + bounds.FREEZE_MAX


def test_an_own_proposal_waits_and_is_not_lost(world: World) -> None:
    open_emergency(world)
    describe(world, "alice")
    assert len(world.person("alice").told(ProposalHeld)) == 1
    assert (view(world).held, view(world, "bob").held) == (1, 0)
    assert statuses(world, ProposalKind.SETTINGS) == []
    vote(world, True, *HONEST)
    assert not is_frozen(world)
    assert statuses(world, ProposalKind.SETTINGS) == [ProposalStatus.OPEN]
    assert statuses(world, ProposalKind.SETTINGS, "bob") == [ProposalStatus.OPEN]
    assert world.proposals("alice")[0].my_vote is True
    vote(world, True, "bob", "carol", kind=Settings)
    world.run(10_000)
    assert {view(world, name).description for name in FOUR} == {"held"}


def held_changes(world: World) -> dict[str, Change]:
    alice = state(world, "alice")
    return {
        "a removal": Remove(world.person("carol").address),
        "settings": Settings(alice.charter.digest, "other", "", alice.charter.policy),
        "an election": StewardElection((world.person("bob").address,), alice.epoch, 0, ()),
    }


@pytest.mark.parametrize("case", ["a removal", "settings", "an election"])
def test_what_others_propose_meanwhile_waits(case: str, world: World) -> None:
    bob = Insider(world, "bob")
    open_emergency(world)
    said = bob.proposal(held_changes(world)[case])
    bob.say(said)
    world.deliver()
    for name in ("alice", "carol"):
        assert said.id not in state(world, name).governance.items
        assert view(world, name).held == 1
    vote(world, True, *HONEST)
    assert view(world).held == 0
    if case != "an election":  # which is refused for what it is, as it would have been before
        assert state(world, "alice").governance.items[said.id].status is ProposalStatus.OPEN


def test_a_request_to_join_is_put_to_the_vote_afterwards_and_once(world: World) -> None:
    open_emergency(world)
    world.ask("dave", world.link("alice"))
    world.run(10_000)
    assert statuses(world, ProposalKind.INVITE).count(ProposalStatus.OPEN) == 0
    vote(world, True, *HONEST)
    world.run(5_000)
    assert statuses(world, ProposalKind.INVITE).count(ProposalStatus.OPEN) == 1
    vote(world, True, *HONEST, kind=type(next(iter(invites(world)))))
    world.run(10_000)
    assert world.person("dave").is_member


def invites(world: World) -> list[Change]:
    items = state(world, "alice").governance.items.values()
    return [item.change for item in items if item.effect[0] == "add" and item.status is ProposalStatus.OPEN]


def test_chat_votes_and_leaves_go_on(world: World) -> None:
    describe(world, "alice", "open before")
    open_emergency(world)
    world.do("bob", lambda group: group.send("can you hear me", world.now))
    world.deliver()
    assert "can you hear me" in world.person("carol").heard()
    vote(world, True, "bob", "carol", kind=Settings)
    assert statuses(world, ProposalKind.SETTINGS) == [ProposalStatus.APPROVED]
    world.do("carol", lambda group: group.leave(world.now))
    world.deliver()
    assert statuses(world, ProposalKind.LEAVE) == [ProposalStatus.APPROVED]
    epoch = view(world).epoch
    world.run(5_000)
    assert view(world).epoch == epoch, "what was decided is committed afterwards"
    vote(world, True, *HONEST)
    world.run(10_000)
    assert view(world).description == "open before"
    assert not world.person("carol").is_member


def test_a_round_that_is_under_way_is_finished(world: World) -> None:
    describe(world, "alice", "under way")
    world.hold = lambda person, envelope: envelope.sender == "carol" and person.name != "carol"
    world.person("mallory").online = False
    vote(world, True, "bob", "carol", kind=Settings)
    world.hold = lambda person, envelope: False
    world.release()
    world.run(2_000)
    open_emergency(world)
    world.run(20_000)
    assert view(world).description == "under way"


# --- How it ends ------------------------------------------------------------------------------------------------------


def decided_yes(world: World) -> None:
    vote(world, True, *HONEST)


def decided_no(world: World) -> None:
    vote(world, False, *HONEST)


def expired(world: World) -> None:
    world.person("carol").online = world.person("mallory").online = False
    world.run(SLOW.emergency.duration + 1_000)


ENDS = {
    "it is decided yes": (decided_yes, ProposalStatus.NOTED),
    "it is decided no": (decided_no, ProposalStatus.REJECTED),
    "its time is up": (expired, ProposalStatus.REJECTED),
}


@pytest.mark.parametrize("restart", [False, True], ids=["", "after a restart"])
@pytest.mark.parametrize("case", ENDS)
def test_it_ends_when(case: str, restart: bool, slow: World) -> None:
    open_emergency(slow)
    describe(slow, "alice")
    if restart:
        for name in ("alice", "bob"):
            slow.restart(name)
        assert is_frozen(slow)
        assert view(slow).held == 1
    end, status = ENDS[case]
    end(slow)
    assert statuses(slow, ProposalKind.EMERGENCY) == [status]
    for name in ("alice", "bob"):
        assert not is_frozen(slow, name)
        assert statuses(slow, ProposalKind.SETTINGS, name) == [ProposalStatus.OPEN]
        assert not state(slow, name).emergencies.waiting()


def test_it_ends_when_the_accused_is_gone_and_the_epoch_with_it(slow: World) -> None:
    hard = World(3)
    hard.group_of(*FOUR, policy=replace(SLOW, scoring=SCORING))
    hard.hold = lambda person, envelope: envelope.sender in ("bob", "carol") and person.name != envelope.sender
    hard.do("mallory", lambda group: group.leave(hard.now))
    hard.run(2_000)
    mallory = Insider(hard, "mallory")
    for byte in (1, 2):
        mallory.say(mallory.statement(ACK, 7, bytes([byte]) * 32))
    hard.deliver()
    assert is_frozen(hard)
    describe(hard, "alice")
    hard.heal()
    hard.run(3_000)
    assert statuses(hard, ProposalKind.EMERGENCY) == [ProposalStatus.WITHDRAWN]
    assert not hard.person("mallory").is_member
    assert not is_frozen(hard)
    assert not view(hard).held


def test_it_ends_after_ten_minutes_however_many_emergencies_follow_one_another(slow: World) -> None:
    open_emergency(slow)
    describe(slow, "alice")
    began = slow.now
    slow.person("carol").online = slow.person("mallory").online = False
    slow.run(5 * MINUTE)
    stuck(slow, "bob")
    assert view(slow).frozen_until == began + bounds.FREEZE_MAX, "they share one freeze"
    slow.run(4 * MINUTE)
    assert is_frozen(slow), "the second is still open"
    slow.run(MINUTE + 1)
    assert ProposalStatus.OPEN in statuses(slow, ProposalKind.EMERGENCY)
    assert not is_frozen(slow)
    assert statuses(slow, ProposalKind.SETTINGS) == [ProposalStatus.OPEN]


def test_several_emergencies_share_one_freeze(world: World) -> None:
    open_emergency(world)
    stuck(world, "carol")
    assert len(statuses(world, ProposalKind.EMERGENCY)) == 2
    assert len(world.person("alice").told(Frozen)) == 1
    vote(world, True, *HONEST)
    assert [event.is_on for event in world.person("alice").told(Frozen)] == [True, False]  # type: ignore[attr-defined]


def is_statement(world: World, payload: bytes) -> bool:
    alice = state(world, "alice")
    messages = (unseal(channel, payload, alice.engine) for channel in alice.channels.values())
    return any(isinstance(message, RoundStatement) for message in messages)


def test_work_that_was_held_up_is_committed_before_the_next_freeze(world: World) -> None:
    """The freeze has lifted, work is approved, its commit is on the way: the next emergency waits for it."""
    describe(world, "alice", "owed")
    first = open_emergency(world)
    world.lose = lambda person, envelope: is_statement(world, envelope.payload)
    vote(world, True, "bob", "carol", kind=Settings)
    vote(world, True, *HONEST)
    world.run(3_000)
    second = open_emergency(world, number=1)
    for name in HONEST:
        assert state(world, name).governance.items[first].status is ProposalStatus.NOTED
        assert second in [held.id for held in state(world, name).emergencies.waiting()]
        assert second not in state(world, name).governance.items
        assert view(world, name).round.is_open
        assert not is_frozen(world, name)
    world.lose = lambda person, envelope: False
    world.run(4_000)
    for name in HONEST:
        assert view(world, name).description == "owed"
        assert state(world, name).governance.items[second].status is ProposalStatus.OPEN
        assert is_frozen(world, name)
        told = [type(event) for event in world.person(name).events if isinstance(event, Frozen | Settled)]
        assert told[-4:] == [Frozen, Frozen, Settled, Frozen], "on and off, the commit, and on again"
    world.run(GENTLE.emergency.duration // 2 + 1_000)
    for name in HONEST:
        assert state(world, name).governance.items[second].status is ProposalStatus.NOTED
        assert not is_frozen(world, name)


# --- Bounds -----------------------------------------------------------------------------------------------------------


def test_a_bounded_number_of_proposals_of_each_member_is_held(world: World) -> None:
    open_emergency(world)
    bob = Insider(world, "bob")
    for number in range(bounds.FROZEN_PROPOSALS_PER_MEMBER_MAX + 5):
        bob.say(bob.proposal(Remove(world.person("carol").address), created_at=number))
    world.deliver()
    assert view(world).held == bounds.FROZEN_PROPOSALS_PER_MEMBER_MAX
    refused = [event for event in world.person("alice").events if isinstance(event, Rejected)]
    assert Reason.LIMIT in [event.reason for event in refused]
    carol = Insider(world, "carol")
    carol.say(carol.proposal(Remove(world.person("bob").address)))
    world.deliver()
    assert view(world).held == bounds.FROZEN_PROPOSALS_PER_MEMBER_MAX + 1, "others have room"


def test_the_same_proposal_is_held_once(world: World) -> None:
    open_emergency(world)
    bob = Insider(world, "bob")
    said = bob.proposal(Remove(world.person("carol").address))
    for _ in range(3):
        bob.say(said)
    world.deliver()
    assert view(world).held == 1


def test_nothing_is_held_in_the_name_of_another_or_of_nobody(world: World) -> None:
    open_emergency(world)
    bob = Insider(world, "bob")
    for owner in (world.person("carol").address, b"n" * 20):
        bob.say(bob.proposal(Remove(world.person("alice").address), owner=owner))
    world.deliver()
    assert view(world).held == 0


def test_a_member_cannot_keep_the_group_frozen_with_one_old_fault(world: World) -> None:
    """Each emergency needs an act that was not decided on; the same again is refused before it freezes anything."""
    open_emergency(world)
    vote(world, True, *HONEST)
    for number in range(5):
        culprit, bob = Insider(world, "mallory"), Insider(world, "bob")
        votes = [culprit.vote(bytes(32), yes).signed_vote for yes in (True, False)]
        proofs = (Proof(DoubleVote(culprit.epoch, votes[0], votes[1])),)
        change = Emergency(Violation.EQUIVOCATION, culprit.address, proofs, ())
        bob.say(bob.proposal(change, created_at=world.now + 50 + number))
        world.deliver()
        assert not is_frozen(world)


def test_nodes_vote_yes_on_what_they_have_confirmed_and_leave_people_time_before(world: World) -> None:
    open_emergency(world)
    world.run(14_000)
    assert [p.yes for p in world.proposals("alice") if p.kind is ProposalKind.EMERGENCY] == [0]
    world.run(2_000)
    assert statuses(world, ProposalKind.EMERGENCY) == [ProposalStatus.NOTED]


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["describe", "leave", "say", "restart", "yes", "no", "run"]), max_size=8))
def test_whatever_happens_meanwhile_nothing_is_lost_and_the_freeze_ends(acts: list[str]) -> None:
    world = World(3)
    world.group_of(*FOUR, policy=GENTLE)
    world.run(1_000)
    open_emergency(world)
    wished = False
    for act in acts:
        match act:
            case "describe" if not wished and ProposalKind.SETTINGS not in [p.kind for p in world.proposals("alice")]:
                describe(world, "alice")
                wished = True
            case "leave" if world.person("mallory").is_member and not statuses(world, ProposalKind.LEAVE):
                world.do("mallory", lambda group: group.propose(Leave(), world.now))
            case "say":
                world.do("bob", lambda group: group.send("still here", world.now))
            case "restart":
                world.restart("alice")
            case "yes" | "no":
                vote(world, act == "yes", "bob")
            case "run":
                world.run(5_000)
            case _:
                pass
        world.deliver()
    world.run(31_000)
    vote(world, True, "bob", "carol", kind=Settings)
    world.run(60_000)
    assert not any(is_frozen(world, name) for name in HONEST)
    assert all(not state(world, name).emergencies.waiting() for name in HONEST)
    assert Instant(0) < world.now
    if wished:
        assert {view(world, name).description for name in HONEST} == {"held"}
