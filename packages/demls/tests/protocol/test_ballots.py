"""Stewards decide, and what they leave open goes to all: two ballots, and no vote moves from one to the other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from council import KEYS, NOW, Council, ballot, roster
from demls.protocol import policy as bounds
from demls.protocol.ballots import ballot_of_all
from demls.protocol.channel import booth_of, unseal
from demls.protocol.errors import RequestRefused
from demls.protocol.events import Reason, Rejected, WentToAll
from demls.protocol.policy import DAY, DAY_POLICY, HOUR, MINUTE, PRESETS, SECOND
from demls.protocol.views import ProposalKind, ProposalStatus, ProposalView
from demls.wire.charters import Deciders, Policy, Rule
from demls.wire.ids import Address, CandidateId
from demls.wire.messages import Digest, Entry, Invite, Proposal, Vote, VoteBundle
from demls_consensus import Certificate, Choice, SignedVote
from hypothesis import given, settings
from hypothesis import strategies as st
from insider import Insider
from leaves import address
from world import World

STEWARDS = int(Deciders.STEWARDS)
POLICY = replace(DAY_POLICY, invite=Rule(HOUR, True, 2, STEWARDS))
INVITE = Invite(b"x" * 20)
COUNCIL = PRESETS["council"]


def opened(policy: Policy = POLICY, n: int = 5) -> tuple[Council, Proposal]:
    """Of five members, four are stewards; 0 is none."""
    council = Council(n=n, policy=policy, stewards=tuple(range(1, n)))
    proposal = council.proposal(INVITE)
    council.receive(proposal)
    return council, proposal


# --- What two ballots come to -----------------------------------------------------------------------------------------

Y, N = True, False
CASES: dict[str, tuple[tuple[bool | None, ...], tuple[bool | None, ...], tuple[str, str, str]]] = {
    # votes of 1 to 4 as stewards, of 0 to 4 among all; at once, after the first deadline, after the second
    "nobody votes": ((), (), ("open", "open", "approved")),
    "three stewards say yes": ((Y, Y, Y), (), ("approved", "approved", "approved")),
    "two stewards say no": ((N, N), (), ("rejected", "rejected", "rejected")),
    "two stewards say yes": ((Y, Y), (), ("open", "open", "approved")),
    "one steward says no": ((N,), (), ("open", "open", "approved")),
    "all say yes": ((), (Y, Y, Y, Y), ("approved", "approved", "approved")),
    "all say no": ((), (N, N), ("open", "rejected", "rejected")),
    "stewards refuse what all approve": ((N, N), (Y, Y, Y, Y), ("approved", "approved", "approved")),
    "stewards approve what all refuse": ((Y, Y, Y), (N, N, N, N, N), ("approved", "approved", "approved")),
    "stewards refuse and all are silent": ((N, N), (), ("rejected", "rejected", "rejected")),
}


@pytest.mark.parametrize("case", CASES)
def test_two_ballots_come_to(case: str) -> None:
    stewards, everybody, outcomes = CASES[case]
    council, proposal = opened()
    council.vote(proposal, *((number, yes) for number, yes in enumerate(stewards, 1) if yes is not None))
    council.vote_of_all(proposal, *((number, yes) for number, yes in enumerate(everybody) if yes is not None))
    seen = [council.status(proposal).value]
    for _ in range(2):
        council.wait(HOUR)
        seen.append(council.status(proposal).value)
    assert tuple(seen) == outcomes


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.booleans()), max_size=10), st.randoms())
def test_the_order_of_votes_does_not_matter(votes: list[tuple[bool, int, bool]], dice: object) -> None:
    outcomes = set()
    for _ in range(2):
        council, proposal = opened()
        for of_all, number, yes in votes:
            (council.vote_of_all if of_all else council.vote)(proposal, (number, yes))
        states = []
        for _ in range(3):
            item = council.governance.items[proposal.id]
            states.append((item.status, item.by_silence, item.place, item.reason))
            council.wait(HOUR)
        outcomes.add(tuple(states))
        dice.shuffle(votes)  # type: ignore[attr-defined]
    assert len(outcomes) == 1


def test_people_are_told_when_it_goes_to_all_and_a_restart_remembers() -> None:
    council, proposal = opened()
    council.vote(proposal, (1, True))
    council.wait(HOUR)
    assert [event for event in council.events if isinstance(event, WentToAll)] == [
        WentToAll(proposal.id, NOW + 2 * HOUR)
    ]
    council.vote_of_all(proposal, (0, False))
    council.restart(roster(*range(5)))
    item = council.governance.items[proposal.id]
    assert (item.place, item.tally.n, item.tally.no, item.ballots[0].tally.yes) == (1, 5, 1, 1)
    council.wait(HOUR)
    assert council.status(proposal) is ProposalStatus.APPROVED


def test_a_late_refusal_of_the_stewards_undoes_consent_by_silence_until_the_lock() -> None:
    council, proposal = opened()
    council.wait(2 * HOUR)
    assert council.status(proposal) is ProposalStatus.APPROVED
    council.vote(proposal, (1, False), (2, False))
    assert council.status(proposal) is ProposalStatus.REJECTED
    assert "of the stewards" in council.governance.items[proposal.id].reason


def test_the_certificate_says_which_electorate_has_decided() -> None:
    council, proposal = opened()
    council.vote(proposal, (1, True), (2, True), (3, True))
    of_stewards = council.governance.certificate(council.governance.items[proposal.id])
    other, same = opened()
    other.vote_of_all(same, (0, True), (1, True), (2, True), (3, True))
    of_all = other.governance.certificate(other.governance.items[same.id])
    assert of_stewards is not None
    assert of_all is not None
    assert (of_stewards.proposal_id, of_all.proposal_id) == (proposal.id, ballot_of_all(proposal.id))
    assert of_stewards.hash != of_all.hash


# --- Hostile ----------------------------------------------------------------------------------------------------------


def test_an_ordinary_members_vote_does_not_count_among_the_stewards() -> None:
    council, proposal = opened()
    council.vote(proposal, (0, True))
    item = council.governance.items[proposal.id]
    assert item.ballots[0].tally.yes == 0
    assert [event.reason for event in council.events if isinstance(event, Rejected)] == [Reason.NOT_ENTITLED]


@pytest.mark.parametrize("to_all", [True, False])
def test_a_vote_cannot_be_moved_from_one_ballot_to_the_other(to_all: bool) -> None:
    council, proposal = opened()
    names = (proposal.id, ballot_of_all(proposal.id))
    source, target = names if to_all else names[::-1]
    said = SignedVote.decode(ballot(proposal, 1, True, ballot_id=source).signed_vote)
    moved = SignedVote(target, said.voter, said.choice, said.time_ms, said.signature)
    council.do(lambda step: council.governance.receive_vote(Vote(moved.encode()), step))
    item = council.governance.items[proposal.id]
    assert not any(one.votes for one in item.ballots)
    assert [event.reason for event in council.events if isinstance(event, Rejected)] == [Reason.FORGED]


def test_a_vote_that_overtakes_its_proposal_lands_in_its_own_ballot() -> None:
    council = Council(n=5, policy=POLICY, stewards=(1, 2, 3, 4))
    proposal = council.proposal(INVITE)
    council.vote(proposal, (1, True))
    council.vote_of_all(proposal, (0, False), (1, False))
    council.receive(proposal)
    first, last = council.governance.items[proposal.id].ballots
    assert [set(one.votes) for one in (first, last)] == [
        {(address(1), Choice.YES)},
        {(address(0), Choice.NO), (address(1), Choice.NO)},
    ]
    assert KEYS[0] is not KEYS[1]


def test_too_few_stewards_decide_nothing_alone() -> None:
    """Of eight settled members, six have to be stewards."""
    for stewards, ballots in ((5, 1), (6, 2)):
        council = Council(n=8, policy=POLICY, stewards=tuple(range(stewards)))
        proposal = council.proposal(INVITE)
        council.receive(proposal)
        assert len(council.governance.items[proposal.id].ballots) == ballots
    assert bounds.stewards_deciding_min(10_000) == 48


# --- In a group -------------------------------------------------------------------------------------------------------


@pytest.fixture
def world() -> World:
    """Alice, bob, carol and dave are stewards; erin has just come."""
    world = World(12)
    world.group_of("alice", "bob", "carol", "dave", policy=COUNCIL)
    world.do("alice", lambda group: group.change_settings(world.now, name="the council"))
    world.vote_on_everything("bob", "carol", "dave")
    world.run(20 * SECOND)
    world.admit("alice", "erin")
    return world


def asked(world: World) -> ProposalView:
    world.ask("fred", world.link("alice"))
    world.run(SECOND)
    return seen(world, "alice")


def seen(world: World, name: str) -> ProposalView:
    return next(p for p in world.proposals(name) if p.kind is ProposalKind.INVITE and p.subject_name == "fred")


def vote(world: World, proposal: ProposalView, *names: str, yes: bool = True) -> None:
    for name in names:
        world.do(name, lambda group: group.vote(proposal.proposal_id, yes, world.now))
        world.deliver()


def booth(world: World) -> bytes:
    return booth_of(Insider(world, "alice").channel).topic


def bundles(world: World) -> list[VoteBundle]:
    insider = Insider(world, "alice")
    return [message for message in insider.overheard() if isinstance(message, VoteBundle)]


def test_ordinary_members_do_not_listen_to_the_stewards_votes(world: World) -> None:
    invite = asked(world)
    hears = {person.name: booth(world) in person.group.topics() for person in world.members()}
    assert hears == {"alice": True, "bob": True, "carol": True, "dave": True, "erin": False}
    vote(world, invite, "alice", "bob")
    assert (seen(world, "carol").yes, seen(world, "erin").yes) == (2, 0)
    said = [unseal(booth_of(Insider(world, "bob").channel), one.payload, world.person("bob").engine)
            for one in world.log[booth(world)]]  # fmt: skip
    assert len(said) == 2
    assert all(isinstance(message, Vote) for message in said)


def test_ordinary_members_learn_the_decision_and_check_it_themselves(world: World) -> None:
    invite, before = asked(world), len(bundles(world))
    vote(world, invite, "alice", "bob", "carol")
    after = seen(world, "erin")
    assert after.status in (ProposalStatus.APPROVED, ProposalStatus.COMMITTED)
    assert after.reason.startswith("Approved by vote of the stewards: 3 yes")
    world.run(20 * SECOND)
    assert world.person("fred").is_member
    assert len(bundles(world)) <= before + 1


def test_one_steward_tells_the_others_what_was_refused(world: World) -> None:
    invite, before = asked(world), len(bundles(world))
    vote(world, invite, "alice", "bob", yes=False)
    world.run(30 * SECOND)
    assert {seen(world, name).status for name in ("alice", "carol", "erin")} == {ProposalStatus.REJECTED}
    assert len(bundles(world)) == before + 1
    world.run(3 * DAY)
    assert not world.person("fred").is_member


def test_the_next_steward_tells_it_if_the_first_is_silent(world: World) -> None:
    invite = asked(world)
    order = [world.name_of(member) for member in world.person("alice").group._live().state.leaders]
    first = next(name for name in order if name in ("alice", "bob", "carol", "dave"))
    others = [name for name in ("alice", "bob", "carol", "dave") if name != first]
    world.person(first).online = False
    vote(world, invite, *others[:2], yes=False)
    assert seen(world, "erin").status is ProposalStatus.OPEN
    world.run(10 * SECOND)
    assert seen(world, "erin").status is ProposalStatus.REJECTED


def test_all_decide_what_the_stewards_leave_open(world: World) -> None:
    invite = asked(world)
    vote(world, invite, "bob", yes=False)
    world.run(DAY)
    (carried,) = [one for one in world.person("erin").group._live().governance.items.values() if one.place]
    assert carried.ballots[-1].vote_of(Address(world.person("bob").address)) is False, "bob need not say it again"
    vote(world, seen(world, "erin"), "alice", "carol", "dave", "erin")
    world.run(20 * SECOND)
    assert world.person("fred").is_member
    assert seen(world, "erin").reason.startswith("Approved by vote of all members: 4 yes, 1 no")


def test_silence_of_all_counts_as_the_policy_says(world: World) -> None:
    asked(world)
    world.run(2 * DAY + MINUTE)
    assert world.person("fred").is_member


def test_a_steward_cannot_vote_before_and_an_ordinary_member_not_yet(world: World) -> None:
    invite = asked(world)
    with pytest.raises(RequestRefused, match="all members do if they leave it undecided"):
        world.person("erin").group.vote(invite.proposal_id, True, world.now)


def test_who_joins_while_all_vote_follows(world: World) -> None:
    asked(world)
    world.run(DAY)
    world.do("alice", lambda group: group.change_settings(world.now, name="the small council"))
    world.ask("gina", world.link("bob"))
    world.run(SECOND)
    gina = next(p for p in world.proposals("alice") if p.subject_name == "gina")
    vote(world, gina, "alice", "bob", "carol")
    world.run(MINUTE)
    assert world.person("gina").is_member
    for name in ("alice", "bob", "carol", "dave"):
        vote(world, seen(world, name), name)
    world.run(MINUTE)
    assert world.person("fred").is_member
    assert len({person.group.view(world.now).authenticator for person in world.members()}) == 1


def test_votes_of_others_make_no_certificate_of_the_stewards(world: World) -> None:
    """A leader whose offer shows votes of an ordinary member in the place of a steward's is not followed."""
    invite = asked(world)
    erin = Insider(world, "erin")
    erin.say(erin.vote(invite.proposal_id, True), booth_of(erin.channel))
    world.deliver()
    vote(world, invite, "alice", "bob")
    assert seen(world, "carol").yes == 2
    erin.say(VoteBundle((erin.vote(invite.proposal_id, True),)))
    world.deliver()
    world.run(20 * SECOND)
    assert {seen(world, name).status for name in ("carol", "erin")} == {ProposalStatus.OPEN}
    assert not world.person("fred").is_member


def test_a_certificate_of_the_wrong_electorate_approves_nothing(world: World) -> None:
    """The votes of one ballot make no certificate of the other, nor do votes of members that are no stewards."""
    invite = asked(world)
    voters = [Insider(world, name) for name in ("alice", "bob", "carol", "erin")]
    state = world.person("dave").group._live()
    item = state.governance.items[invite.proposal_id]

    def is_shown(ballot_id: bytes, *insiders: Insider) -> bool:
        votes = [SignedVote.decode(one.vote(ballot_id, True).signed_vote) for one in insiders]
        votes.sort(key=lambda one: one.voter)
        state.candidates._shown[NOBODYS] = {item.proposal_id: votes}
        certificate = Certificate(ballot_id, tuple(votes))
        return state.candidates._is_shown(NOBODYS, Entry(item.proposal_id, certificate.hash))

    alice, bob, carol, erin = voters
    assert is_shown(item.proposal_id, alice, bob, carol)
    assert is_shown(ballot_of_all(item.proposal_id), *voters)
    assert not is_shown(item.proposal_id, alice, bob, erin)
    assert not is_shown(item.proposal_id, alice, bob)
    assert not is_shown(ballot_of_all(item.proposal_id), alice, bob, carol)
    assert not is_shown(ballot_of_all(ballot_of_all(item.proposal_id)), *voters)


NOBODYS = CandidateId(bytes(32))


def test_stewards_compare_among_themselves_and_others_say_nothing_of_it(world: World) -> None:
    """A vote that one of them has missed is asked for and said again where only they listen."""
    invite = asked(world)
    main, stand = Insider(world, "alice").channel, booth_of(Insider(world, "alice").channel)
    before = len(world.log[main.topic])
    lost = [True]
    world.lose = lambda person, one: lost[0] and person.name == "carol" and one.sender == "bob"
    vote(world, invite, "bob")
    lost[0] = False
    assert seen(world, "carol").yes == 0
    world.run(60 * SECOND)
    assert seen(world, "carol").yes == 1
    engine = world.person("alice").engine
    said = [unseal(stand, one.payload, engine) for one in world.log[stand.topic]]
    assert any(isinstance(message, Digest) for message in said)
    aloud = [unseal(main, one.payload, engine) for one in world.log[main.topic][before:]]
    assert not any(isinstance(message, Digest | Vote) for message in aloud)


def test_only_votes_belong_where_stewards_vote(world: World) -> None:
    asked(world)
    mallory = Insider(world, "dave")
    mallory.say(VoteBundle((mallory.vote(bytes(32), True),)), booth_of(mallory.channel))
    world.deliver()
    details = {event.detail for event in world.person("alice").told(Rejected)}  # type: ignore[attr-defined]
    assert "a message that does not belong where stewards decide" in details


# --- The switch -------------------------------------------------------------------------------------------------------


def test_a_vote_on_the_settings_lets_the_stewards_decide_and_another_takes_it_back() -> None:
    world = World(13)
    world.group_of("alice", "bob", "carol", "dave", "erin", policy=replace(DAY_POLICY, stewards_max=2))
    state = world.person("erin").group._live()
    assert len(state.state.stewards.members) <= 2
    world.do("alice", lambda group: group.change_settings(world.now, policy=COUNCIL))
    world.vote_on_everything("bob", "carol", "dave", "erin")
    world.run(MINUTE)
    assert len(world.person("erin").group._live().state.electorate.stewards) >= 4, "the list of two is too short now"
    invite = asked(world)
    assert invite.decided_by_stewards
    back = replace(COUNCIL, preset="ours", invite=DAY_POLICY.invite, remove=DAY_POLICY.remove)
    world.do("alice", lambda group: group.change_settings(world.now, policy=back))
    world.deliver()
    for name in ("bob", "carol", "dave", "erin"):
        for now in (p for p in world.proposals(name) if p.kind is ProposalKind.SETTINGS and p.may_vote):
            vote(world, now, name)
    world.run(MINUTE)
    assert seen(world, "erin").decided_by_stewards, "what was opened before is decided as it was then"
    world.ask("gina", world.link("bob"))
    world.run(SECOND)
    gina = next(p for p in world.proposals("erin") if p.subject_name == "gina")
    assert (gina.decided_by_stewards, gina.voters) == (False, 5)
