"""What the conformance record claims and no other test shows: short stories, each for one or a few of its rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from demls.protocol import policy as bounds
from demls.protocol.channel import joiner_channel, unseal
from demls.protocol.errors import RequestRefused
from demls.protocol.events import Joined, JoinRefused, MessageReceived, ProposalDecided, Rejected, Settled
from demls.protocol.group import GroupRecord
from demls.protocol.joining import Joining
from demls.protocol.policy import DAY, MINUTE, POLICY_EXTENSION, PRESETS
from demls.protocol.records import Ledger
from demls.protocol.requests import Requests
from demls.protocol.roster import Roster
from demls.protocol.views import GroupStatus, ProposalKind, ProposalStatus
from demls.wire.charters import Charter, Rule
from demls.wire.ids import Address, Epoch, Instant, ProposalId
from demls.wire.messages import (
    Invite,
    Leave,
    Offer,
    Proposal,
    Remove,
    SettledCommit,
    Vote,
    WelcomeBundle,
    decode_message,
)
from insider import Insider
from msgspec.msgpack import decode
from world import Envelope, Person, World


@pytest.fixture
def four() -> World:
    world = World(21)
    world.group_of("alice", "bob", policy=PRESETS["day"])
    world.admit("alice", "carol", "dave")
    return world


def address(world: World, name: str) -> Address:
    return world.person(name).address


def ban(world: World, name: str, other: str) -> ProposalId:
    world.do(name, lambda group: group.propose(Remove(address(world, other)), world.now))
    world.deliver()
    return next(p.proposal_id for p in world.proposals(name) if p.subject == address(world, other))


def names(world: World) -> set[str]:
    return {person.name for person in world.members()}


def epochs(world: World) -> set[int]:
    return {person.group.view(world.now).epoch for person in world.members()}


def leaf(world: World, name: str) -> int:
    return next(m.leaf for m in world.person("alice").group.members() if m.address == address(world, name))


def payloads(world: World, name: str) -> list[object]:
    return list(Insider(world, name).overheard())


# --- Founding and joining -----------------------------------------------------------------------------------------


def test_a_founder_is_alone_in_epoch_0_and_its_steward() -> None:
    world = World(1)
    view = world.found("alice").view(world.now)
    assert (view.status, view.epoch, view.members) == (GroupStatus.MEMBER, 0, 1)
    assert view.stewards == (address(world, "alice"),)
    assert view.epoch_steward == address(world, "alice")
    assert not view.round.is_open
    assert [type(event) for event in world.person("alice").events] == [Joined]


def test_everybody_holds_the_welcome_before_it_is_sent_and_one_sends_it() -> None:
    """The candidate that admits somebody carries its welcome, so whoever acknowledged it can hand it out."""
    world = World(2)
    world.group_of("alice", "bob", "carol")
    joining = world.ask("dave", world.link("bob"))
    world.run(1_000)
    world.vote_on_everything("alice", "bob", "carol")
    world.run(1_000)
    topic = joiner_channel(joining.key_package)
    sent = [
        (envelope.sender, unseal(topic, envelope.payload, world.person("alice").engine))
        for envelope in world.log[topic.topic]
    ]
    welcomes = [(sender, message) for sender, message in sent if isinstance(message, WelcomeBundle)]
    assert len(welcomes) == 1
    sender, bundle = welcomes[0]
    settled = next(e for e in world.person("carol").told(Settled) if address(world, "dave") in e.joined)
    assert isinstance(settled, Settled)
    assert world.name_of(settled.committer) == sender
    for name in ("alice", "bob", "carol"):
        kept = [raw for key, raw in world.person(name).records.items() if key.startswith(b"settled/")]
        assert any(decode_message(raw, SettledCommit).candidate.welcome == bundle.welcome for raw in kept)
    offers = [p for p in payloads(world, "carol") if isinstance(p, Offer)]
    assert any(offer.candidate.welcome == bundle.welcome for offer in offers)


def test_a_welcome_that_comes_again_does_nothing_to_a_member() -> None:
    world = World(3)
    world.group_of("alice", "bob")
    joining = world.ask("carol", world.link("alice"))
    channel = joiner_channel(joining.key_package)
    world.run(1_000)
    world.vote_on_everything("alice", "bob")
    world.run(10_000)
    carol = world.person("carol")
    assert carol.is_member
    before = carol.group.view(world.now), dict(carol.records)
    assert carol.machine is not None
    for envelope in world.log[channel.topic]:
        effects = carol.machine.receive(channel.topic, envelope.payload, world.now)
        assert not effects.changes
    assert (carol.group.view(world.now), dict(carol.records)) == before


def test_no_node_votes_by_itself_on_who_comes() -> None:
    """A request opens a vote, and nobody's node answers it; each admission is voted, also the first."""
    world = World(4)
    world.found("alice")
    world.ask("bob", world.link("alice"))
    world.run(MINUTE)
    (proposal,) = [p for p in world.proposals("alice") if p.kind is ProposalKind.INVITE]
    assert (proposal.yes, proposal.no) == (0, 0)
    assert names(world) == {"alice"}


def test_a_request_is_kept_by_all_until_somebody_can_open_its_vote() -> None:
    """Also over the restart of who keeps it."""
    world = World(5)
    world.group_of("alice", "bob", policy=PRESETS["day"])
    world.admit("alice", "carol", "dave")
    world.person("alice").online = False
    world.ask("erin", world.link("bob"))
    world.deliver()
    for name in ("bob", "carol", "dave"):
        view = world.person(name).group.view(world.now)
        if view.epoch_steward == address(world, name):
            continue  # it has opened the vote already
        (request,) = view.requests
        assert request.address == address(world, "erin")
        world.restart(name)
        assert world.person(name).group.view(world.now).requests == (request,)
    world.run(20_000)
    world.vote_on_everything("bob", "carol", "dave")
    world.run(MINUTE)
    assert world.person("erin").is_member


def test_a_request_is_kept_for_three_epochs_and_at_most_thirty_days(four: World) -> None:
    four.person("alice").online = False
    four.ask("erin", four.link("bob"))
    four.deliver()
    keeper = next(person for person in four.members() if any(key.startswith(b"request/") for key in person.records))
    epoch = keeper.group.view(four.now).epoch
    for epochs_later, passed, kept in ((0, 0, 1), (3, 30 * DAY, 1), (4, 0, 0), (0, 30 * DAY + 1, 0)):
        requests = Requests(
            Ledger(keeper.records), keeper.engine, keeper.group.group_id, keeper.engine.parse_key_package
        )
        requests.settle(Roster.empty(), Epoch(epoch + epochs_later), Instant(four.now + passed))
        assert len(requests.waiting) == kept


def test_a_request_survives_whoever_opened_its_vote(four: World) -> None:
    four.ask("erin", four.link("bob"))
    four.run(1_000)
    (invite,) = [p for p in four.proposals("bob") if p.kind is ProposalKind.INVITE and p.status is ProposalStatus.OPEN]
    four.do(four.name_of(invite.owner), lambda group: group.leave(four.now))
    four.run(MINUTE)
    four.vote_on_everything(*(person.name for person in four.members()))
    four.run(MINUTE)
    assert four.person("erin").is_member or four.person("erin").told(JoinRefused)


# --- Decisions ----------------------------------------------------------------------------------------------------


def test_of_two_members_one_no_decides() -> None:
    world = World(6)
    world.group_of("alice", "bob")
    world.ask("carol", world.link("alice"))
    world.run(1_000)
    for name, yes in (("alice", True), ("bob", False)):
        world.vote_on_everything(name, yes=yes)
    world.run(10 * MINUTE)
    decided = world.person("bob").told(ProposalDecided)
    assert isinstance(decided[-1], ProposalDecided)
    assert not decided[-1].approved
    assert names(world) == {"alice", "bob"}
    assert epochs(world) == {1}
    assert world.person("carol").told(JoinRefused)


def test_a_decision_outlives_the_epoch_it_was_opened_in(four: World) -> None:
    """A vote on the channel of the epoch before still counts: it is bound to the proposal, not to an epoch."""
    proposal_id = ban(four, "alice", "dave")
    four.hold = lambda person, envelope: person.name == "carol"
    four.do("dave", lambda group: group.send("still here", four.now))
    four.ask("erin", four.link("alice"))
    four.run(1_000)
    for name in ("alice", "bob", "dave"):
        invite = next(p for p in four.proposals(name) if p.kind is ProposalKind.INVITE)
        four.do(name, lambda group, it=invite: group.vote(it.proposal_id, True, four.now))  # type: ignore[misc]
        four.deliver()
    four.run(10_000)
    assert four.person("alice").group.view(four.now).epoch == 3
    assert four.person("carol").group.view(four.now).epoch == 2
    four.do("carol", lambda group: group.vote(proposal_id, True, four.now))  # in epoch 2
    four.deliver()
    card = next(p for p in four.proposals("alice") if p.proposal_id == proposal_id)
    assert (card.yes, card.status) == (2, ProposalStatus.OPEN)
    four.heal()
    four.do("bob", lambda group: group.vote(proposal_id, True, four.now))
    four.run(MINUTE)
    assert names(four) == {"alice", "bob", "carol", "erin"}


def test_a_lost_vote_is_repaired_by_whoever_has_it(four: World) -> None:
    """It comes with the candidate, or from the member that is asked what is missing."""
    proposal_id = ban(four, "alice", "dave")
    four.lose = lambda person, envelope: person.name == "carol" and envelope.sender == "bob"
    four.do("bob", lambda group: group.vote(proposal_id, True, four.now))
    four.deliver()
    assert next(p for p in four.proposals("carol") if p.proposal_id == proposal_id).yes == 1
    four.do("carol", lambda group: group.vote(proposal_id, True, four.now))
    four.run(MINUTE)
    assert names(four) == {"alice", "bob", "carol"}


def test_a_proposal_that_nobody_else_received_is_decided_by_the_others_too() -> None:
    """Silence is consent for who proposed it; the others learn of it with the candidate, and may still say no."""
    world = World(7)
    world.group_of("alice", "bob")
    world.admit("alice", "carol", "dave")
    world.lose = lambda person, envelope: envelope.sender == "alice"
    ban(world, "alice", "dave")
    world.run(25_000)
    world.run(6_000)
    world.lose = lambda person, envelope: False
    world.run(4_000)
    for name in ("bob", "carol"):
        card = next(p for p in world.proposals(name) if p.kind is ProposalKind.REMOVE)
        assert card.status is ProposalStatus.OPEN
        world.do(name, lambda group, it=card: group.vote(it.proposal_id, False, world.now))  # type: ignore[misc]
    world.run(5 * MINUTE)
    assert names(world) == {"alice", "bob", "carol", "dave"}
    assert not [p for p in world.proposals("alice") if p.status is ProposalStatus.APPROVED]


@pytest.mark.parametrize("clock", [1, 2**47], ids=["in 1970", "in the far future"])
def test_the_time_that_a_voter_writes_enters_no_rule(clock: int, four: World) -> None:
    proposal_id = ban(four, "alice", "dave")
    four.do("bob", lambda group: group.vote(proposal_id, True, Instant(clock)))
    four.do("carol", lambda group: group.vote(proposal_id, True, four.now))
    four.run(MINUTE)
    assert names(four) == {"alice", "bob", "carol"}


def test_one_member_cannot_outvote_two() -> None:
    world = World(8)
    world.group_of("alice", "bob", "carol")
    ban(world, "alice", "carol")
    world.vote_on_everything("bob", "carol", yes=False)
    world.run(10 * MINUTE)
    assert names(world) == {"alice", "bob", "carol"}


# --- Commits ------------------------------------------------------------------------------------------------------


def test_after_a_commit_of_somebody_else_the_stewards_come_first_again(four: World) -> None:
    """Whoever leads after silent stewards does so for one commit."""
    four.person("alice").online = False
    ban(four, "bob", "dave")
    four.vote_on_everything("carol", "dave")
    four.run(MINUTE)
    settled = four.person("bob").told(Settled)[-1]
    assert isinstance(settled, Settled)
    assert settled.committer != address(four, "alice")
    four.person("alice").online = True
    four.run(MINUTE)
    for name in ("alice", "bob", "carol"):
        view = four.person(name).group.view(four.now)
        assert view.round.view == 0
        assert view.epoch_steward in view.stewards
        assert view.round.leader in (None, view.epoch_steward)
    ban(four, "bob", "carol")
    four.vote_on_everything("alice", "carol")
    four.run(MINUTE)
    settled = four.person("bob").told(Settled)[-1]
    assert isinstance(settled, Settled)
    assert settled.committer == view.epoch_steward


def test_more_work_than_one_commit_takes_goes_into_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    four = World(9)
    four.group_of("alice", "bob")
    four.admit("alice", "carol", "dave")
    monkeypatch.setattr(bounds, "CANDIDATE_ENTRIES_MAX", 3)
    newcomers = [f"guest {number}" for number in range(5)]
    for name in newcomers:
        person = four.person(name)
        device = four.device(name)
        person.machine, effects = Joining.await_welcome(device=device, engine=person.engine, now=four.now)
        four.apply(person, effects)
        package = person.machine.key_package
        four.do("alice", lambda group, it=package: group.propose(Invite(it), four.now))  # type: ignore[misc]
    four.run(2 * MINUTE)  # all are approved at one moment, by silence
    assert names(four) == {"alice", "bob", "carol", "dave", *newcomers}
    assert len(epochs(four)) == 1
    admitted = [len(e.joined) for e in four.person("alice").told(Settled) if isinstance(e, Settled)]
    assert max(admitted) == 3


def test_a_removal_and_other_work_go_into_one_commit(four: World) -> None:
    before = four.person("alice").group.view(four.now).epoch
    four.ask("erin", four.link("alice"))
    four.run(100)
    ban(four, "alice", "dave")
    four.vote_on_everything("bob", "alice", "carol")
    four.run(MINUTE)
    assert names(four) == {"alice", "bob", "carol", "erin"}
    assert epochs(four) <= {before + 1, before + 2}


def test_a_commit_that_only_removes_is_told_with_who_left_and_why(four: World) -> None:
    proposal_id = ban(four, "alice", "dave")
    four.vote_on_everything("bob", "carol")
    four.run(MINUTE)
    for name in ("alice", "bob", "carol"):
        settled = four.person(name).told(Settled)[-1]
        assert isinstance(settled, Settled)
        assert (settled.joined, settled.left) == ((), (address(four, "dave"),))
        assert settled.carried == (proposal_id,)


def test_chat_goes_on_while_approved_work_waits_for_its_commit(four: World) -> None:
    """Proposals stand in the commit that carries them, so MLS never has a pending one that would block chat."""
    ban(four, "alice", "dave")
    four.vote_on_everything("bob")
    four.split(("alice", "bob", "carol"), ("dave",))
    for name in ("bob", "dave"):
        four.person(name).online = False
    four.do("carol", lambda group: group.vote(four.proposals("carol")[0].proposal_id, True, four.now))
    four.run(10_000)
    assert four.person("alice").group.view(four.now).round.is_open
    four.do("carol", lambda group: group.send("we wait", four.now))
    four.deliver()
    assert "we wait" in four.person("alice").heard()


# --- Leaves that change hands -------------------------------------------------------------------------------------


def test_an_open_removal_does_not_hit_who_takes_the_leaf(four: World) -> None:
    place = leaf(four, "dave")
    proposal_id = ban(four, "alice", "dave")
    dave = Insider(four, "dave")
    dave.say(dave.proposal(Leave()))
    four.run(20_000)
    four.admit("alice", "erin")
    assert leaf(four, "erin") == place
    card = next(p for p in four.proposals("bob") if p.proposal_id == proposal_id)
    assert card.status is ProposalStatus.WITHDRAWN
    old = [p for p in payloads(four, "bob") if isinstance(p, Proposal | Vote)]
    bob = Insider(four, "bob")
    for payload in (*old, bob.vote(proposal_id, True)):
        bob.say(payload)
    four.run(MINUTE)
    assert names(four) == {"alice", "bob", "carol", "erin"}


def test_who_left_and_came_back_can_leave_again(four: World) -> None:
    for _ in range(2):
        four.do("dave", lambda group: group.leave(four.now))
        four.run(20_000)
        assert names(four) == {"alice", "bob", "carol"}
        assert len(epochs(four)) == 1
        four.admit("alice", "dave")
    assert names(four) == {"alice", "bob", "carol", "dave"}


def test_whoever_is_voted_on_may_leave_without_waiting_for_the_vote(four: World) -> None:
    ban(four, "alice", "dave")
    four.do("dave", lambda group: group.leave(four.now))
    four.run(20_000)
    assert names(four) == {"alice", "bob", "carol"}


def test_a_leave_is_nobody_elses_to_state(four: World) -> None:
    """It names no target: its owner is who goes, and the owner's leaf key signs it."""
    bob = Insider(four, "bob")
    four.do("dave", lambda group: group.leave(four.now))
    (leave,) = [p for p in payloads(four, "bob") if isinstance(p, Proposal) and p.owner == address(four, "dave")]
    four.run(20_000)
    four.admit("alice", "dave")
    bob.turn()
    bob.say(leave)
    four.run(MINUTE)
    assert names(four) == {"alice", "bob", "carol", "dave"}


# --- Time ---------------------------------------------------------------------------------------------------------


def test_a_group_can_be_joined_long_after_its_members_bindings_have_expired(four: World) -> None:
    four.run(20_000)
    four.now = Instant(four.now + 400 * DAY)
    four.admit("alice", "erin")
    assert names(four) == {"alice", "bob", "carol", "dave", "erin"}


def test_a_member_that_missed_a_commit_is_told_and_brought_back(four: World) -> None:
    lost: list[Envelope] = []

    def lose(person: Person, envelope: Envelope) -> bool:
        if person.name == "dave" and envelope.sender != "dave":
            lost.append(envelope)
            return True
        return False

    four.lose = lose
    four.admit("alice", "erin")
    assert lost
    four.lose = lambda person, envelope: False
    four.run(10_000)
    four.do("dave", lambda group: group.send("am I behind?", four.now))
    four.run(10_000)
    assert len(epochs(four)) == 1
    assert "am I behind?" in four.person("erin").heard() + four.person("alice").heard()
    assert four.person("dave").told(Settled)


def test_an_own_message_is_told_once_and_not_received_again(four: World) -> None:
    four.do("alice", lambda group: group.send("hello", four.now))
    four.run(5_000)
    for person in four.members():
        heard = [e for e in person.told(MessageReceived) if isinstance(e, MessageReceived)]
        assert [(e.text, e.sender) for e in heard] == [("hello", address(four, "alice"))]


# --- What the group agreed on -------------------------------------------------------------------------------------


BEYOND: dict[str, dict[str, Any]] = {
    "no steward": {"stewards_min": 0},
    "fewer stewards at most than at least": {"stewards_min": 5, "stewards_max": 4},
    "too many stewards": {"stewards_max": bounds.STEWARDS_MAX + 1},
    "a vote of years": {"remove": Rule(bounds.DURATION_MAX + 1, False)},
    "an endless batch window": {"batch_window": bounds.BATCH_WINDOW_MAX + 1},
    "an endless delivery": {"delivery_time": bounds.DELIVERY_TIME_MAX + 1},
}


@pytest.mark.parametrize("case", BEYOND)
def test_policies_beyond_all_bounds_found_no_group(case: str) -> None:
    with pytest.raises(RequestRefused, match="This policy cannot work"):
        World(10).found("alice", replace(PRESETS["day"], **BEYOND[case]))


def test_a_group_with_a_policy_beyond_all_bounds_is_not_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its founder runs a program that knows no bounds; who is admitted does not follow."""
    world = World(10)
    with monkeypatch.context() as patched:
        patched.setattr(bounds, "fault_of", lambda policy: "")
        world.found("alice", replace(PRESETS["quick"], **BEYOND["too many stewards"]))
    world.ask("bob", world.link("alice"))
    world.run(1_000)
    world.vote_on_everything("alice")
    world.run(10_000)
    assert len(world.person("alice").group.members()) == 2
    assert not world.person("bob").is_member
    refusals = [event.detail for event in world.person("bob").told(Rejected) if isinstance(event, Rejected)]
    assert "The group's policy or time is beyond all bounds." in refusals


def test_the_charter_is_the_same_for_all_members(four: World) -> None:
    """It stands in the MLS group's context, so members of one epoch cannot have different ones."""
    charters = {decode(person.records[b"group"], type=GroupRecord).charter for person in four.members()}
    assert len(charters) == 1
    (charter,) = charters
    assert decode_message(charter, Charter).policy == PRESETS["day"]
    for person in four.members():
        mls = person.engine.load_group(
            {key.removeprefix(b"mls/"): value for key, value in person.group.snapshot().items() if key[:4] == b"mls/"}
        )
        assert mls.context_extensions() == {POLICY_EXTENSION: charter}
