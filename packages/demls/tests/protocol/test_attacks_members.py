"""Attacks of members, each as it was told: votes that nobody cast, ids taken beforehand, candidates wrapped anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest
from demls.protocol.channel import joiner_channel, seal, unseal
from demls.protocol.electorates import VOTE_LABEL
from demls.protocol.events import Faulted, JoinRefused, KeysRenewed, Misbehaved, ScoreChanged, Settled
from demls.protocol.policy import MINUTE, PRESETS, SCORING
from demls.protocol.scores import Cause
from demls.protocol.state import GroupState
from demls.protocol.sync import BUNDLE_DATA
from demls.protocol.views import ProposalKind, ProposalStatus
from demls.wire.chain import Electorate, Seat, StewardListing, Succession, succession_hash
from demls.wire.ids import Address, ProposalId
from demls.wire.messages import (
    Candidate,
    Emergency,
    Invite,
    JoinAnswer,
    JoinerBundle,
    Leave,
    Offer,
    Payload,
    Remove,
    SettledCommit,
    Sync,
    Told,
    Vote,
    VoteList,
    WelcomeBundle,
    decode_message,
    encode_message,
)
from demls.wire.statements import DoubleVote, Proof, RoundStatement, StatementKind
from demls.wire.violations import Violation
from demls_consensus import Choice, SignedVote
from insider import Insider
from world import Envelope, Person, World

ACK, LOCK = StatementKind.ACK, StatementKind.LOCK
FOUR = ("alice", "bob", "carol", "mallory")
HONEST = FOUR[:3]


def group(policy: str = "day", *names: str) -> World:
    world = World(3)
    world.found("alice", PRESETS[policy])
    world.admit("alice", "bob")
    world.admit("alice", *(names or ("carol", "mallory")))
    world.run(10_000)
    return world


@pytest.fixture
def world() -> World:
    """Four members under a policy in which removals take votes."""
    return group()


def state(world: World, name: str) -> GroupState:
    return world.person(name).group._live()


def address(world: World, name: str) -> Address:
    return world.person(name).address


def ban(world: World, name: str, other: str) -> ProposalId:
    world.do(name, lambda group: group.propose(Remove(address(world, other)), world.now))
    world.deliver()
    return next(p.proposal_id for p in world.proposals(name) if p.subject == address(world, other))


def describe(world: World, name: str, text: str) -> ProposalId:
    world.do(name, lambda group: group.change_settings(world.now, description=text))
    world.deliver()
    return next(p.proposal_id for p in world.proposals(name) if p.kind is ProposalKind.SETTINGS and p.my_vote)


def vote(world: World, proposal_id: ProposalId, yes: bool, *names: str) -> None:
    for name in names:
        world.do(name, lambda group: group.vote(proposal_id, yes, world.now))
        world.deliver()


def tally(world: World, proposal_id: bytes, name: str = "alice") -> tuple[int, int, int]:
    seen = next(p for p in world.proposals(name) if p.proposal_id == proposal_id)
    return seen.yes, seen.no, seen.voters


def names(world: World) -> list[str]:
    return sorted(person.name for person in world.members())


def order(world: World) -> list[str]:
    return [world.name_of(member) for member in state(world, "alice").state.leaders]


def opened(world: World, payload: bytes) -> Payload | None:
    alice = state(world, "alice")
    messages = (unseal(channel, payload, alice.engine) for channel in alice.channels.values())
    return next((message for message in messages if message is not None), None)


def blamed(world: World, *watching: str) -> set[str]:
    """Whom these members have heard to be at fault."""
    events = [event for name in watching for event in world.person(name).events]
    return {world.name_of(event.member) for event in events if isinstance(event, Faulted | Misbehaved)}


def scores(world: World) -> dict[tuple[str, str], int]:
    def points(by: str, of: str) -> int:
        return state(world, by).scores.of(address(world, of), SCORING).points

    return {(by, of): points(by, of) for by in names(world) for of in names(world)}


def is_one_group(world: World) -> bool:
    return len({person.group.view(world.now).authenticator for person in world.members()}) == 1


# --- Votes and ids ----------------------------------------------------------------------------------------------------


def test_two_yes_votes_of_invented_voters_remove_nobody(world: World) -> None:
    """One message with two votes that the sender made itself; also under the names of members, and again and again."""
    mallory = Insider(world, "mallory")
    proposal = mallory.proposal(Remove(address(world, "carol")), duration=PRESETS["day"].remove.duration)
    mallory.say(proposal)
    engine = mallory.person.engine
    made: list[Vote] = []
    for number, voter in enumerate((b"x" * 20, b"y" * 20, address(world, "alice"), address(world, "bob"))):
        key = engine.signature_key()
        signed = SignedVote.cast(
            proposal.id,
            voter,
            Choice.YES,
            world.now + number,
            lambda content, private=key.private: engine.sign(private, VOTE_LABEL, content),  # type: ignore[misc]
        )
        made.append(Vote(signed.encode()))
    made += [mallory.vote(proposal.id, True)] * 3
    for said in made:
        mallory.say(said)
    fake = Candidate(b"commit", b"", b"", b"")
    size = len(FOUR)
    everybody = VoteList(
        proposal.id, mallory.epoch, 1, bytes([(1 << size) - 1]), (world.now,) * size, os.urandom(64 * size)
    )
    for view in range(4):
        mallory.say(mallory.offer(fake, view, proposals=(proposal,), votes=(everybody,)))
        mallory.say(mallory.offer(fake, view, proposals=(proposal,), votes=(replace(everybody, voters=b"\xff"),)))
    world.run(60 * MINUTE)
    for name in HONEST:
        assert tally(world, proposal.id, name) == (1, 0, 4)
    assert names(world) == sorted(FOUR)


def test_a_vote_on_what_one_half_was_shown_decides_nothing_in_the_other(world: World) -> None:
    """Two changes with all in common that a sender can choose: what they are about makes them two proposals."""
    mallory = Insider(world, "mallory")
    common = {"created_at": world.now, "duration": PRESETS["day"].remove.duration}
    shown = [mallory.proposal(Remove(address(world, name)), **common) for name in ("carol", "bob")]
    assert shown[0].id != shown[1].id
    for proposal, friend in zip(shown, ("alice", "carol"), strict=True):
        world.hold = lambda person, envelope, friend=friend: person.name not in (friend, "mallory")  # type: ignore[misc]
        mallory.say(proposal)
        world.deliver()
        vote(world, proposal.id, True, friend)
        mallory.say(mallory.vote(proposal.id, True))
    world.heal()
    world.run(10 * MINUTE)
    for name in HONEST:
        assert [tally(world, proposal.id, name)[0] for proposal in shown] == [2, 2]
    assert names(world) == sorted(FOUR)


def test_a_leave_cannot_be_used_up_by_somebody_else_beforehand(world: World) -> None:
    mallory = Insider(world, "mallory")
    for moment in range(-3, 4):
        for epoch in range(mallory.epoch, mallory.epoch + 3):
            mallory.say(
                mallory.proposal(Leave(), owner=address(world, "carol"), created_at=world.now + moment, epoch=epoch)
            )
    world.deliver()
    world.do("carol", lambda group: group.leave(world.now))
    world.run(20_000)
    assert names(world) == ["alice", "bob", "mallory"]


def test_a_flood_of_proposals_pushes_nothing_out_that_is_open(world: World) -> None:
    proposal_id = describe(world, "alice", "under way")
    for name in ("mallory", "bob"):
        insider = Insider(world, name)
        for number in range(150):
            insider.say(insider.proposal(Remove(address(world, "carol")), created_at=number, duration=86_400_000))
        world.deliver()
    vote(world, proposal_id, True, "bob", "carol")
    world.run(MINUTE)
    assert {world.person(name).group.view(world.now).description for name in FOUR} == {"under way"}


def test_a_second_vote_on_a_newcomer_that_fails_does_not_end_the_first(world: World) -> None:
    joining = world.ask("erin", world.link("alice"))
    world.run(15_000)
    (first,) = [p for p in world.proposals("alice") if p.subject == address(world, "erin")]
    mallory = Insider(world, "mallory")
    again = mallory.proposal(Invite(joining.key_package), duration=PRESETS["day"].invite.duration)
    mallory.say(again)
    mallory.say(mallory.vote(again.id, False))
    world.deliver()
    vote(world, ProposalId(again.id), False, "bob")
    assert next(p.status for p in world.proposals("alice") if p.proposal_id == again.id) is ProposalStatus.REJECTED
    vote(world, first.proposal_id, True, *HONEST)
    world.run(20_000)
    assert world.person("erin").is_member


@pytest.mark.parametrize("first", ["the vote", "the emergency"])
def test_a_removal_by_vote_and_one_by_emergency_are_one_change(first: str, world: World) -> None:
    """Approved in one order by some, in the other by others: one of them is carried, the other withdrawn by all."""
    proposal_id = ban(world, "alice", "mallory")
    mallory = Insider(world, "mallory")
    for byte in (1, 2):
        mallory.say(mallory.statement(ACK, 0, bytes([byte]) * 32))
    world.deliver()
    (emergency,) = [p for p in world.proposals("alice") if p.kind is ProposalKind.EMERGENCY]
    both = [proposal_id, emergency.proposal_id]
    world.hold = lambda person, envelope: person.name != envelope.sender
    for name in HONEST:
        for it in both if (first == "the vote") is (name != "bob") else both[::-1]:
            if not (name == "alice" and it == proposal_id):
                world.do(name, lambda group, it=it: group.vote(it, True, world.now))  # type: ignore[misc]
    world.heal()
    world.run(MINUTE)
    assert names(world) == sorted(HONEST)
    assert is_one_group(world)
    for name in HONEST:
        ends = {p.proposal_id: p.status for p in world.proposals(name) if p.proposal_id in both}
        assert sorted(ends.values()) == [ProposalStatus.COMMITTED, ProposalStatus.WITHDRAWN]
    assert len({next(p.status for p in world.proposals(name) if p.proposal_id == proposal_id) for name in HONEST}) == 1


# --- Rounds -----------------------------------------------------------------------------------------------------------


def test_no_member_can_force_a_round_when_nothing_is_decided(world: World) -> None:
    before = world.person("alice").group.view(world.now)
    known = scores(world)
    mallory = Insider(world, "mallory")
    fake = Candidate(b"commit", b"", b"", b"")
    for view in range(8):
        mallory.say(mallory.offer(fake, view))
        mallory.say(mallory.statement(ACK, view, b""))
        mallory.say(mallory.statement(LOCK, view, b""))
    world.run(5 * MINUTE)
    for name in HONEST:
        view_now = world.person(name).group.view(world.now)
        assert (view_now.epoch, view_now.authenticator, view_now.round.is_open) == (
            before.epoch,
            before.authenticator,
            False,
        )
        assert not any(member.lost_turn for member in world.person(name).group.members())
    assert {pair: points for pair, points in scores(world).items() if pair[1] != "mallory"} == {
        pair: points for pair, points in known.items() if pair[1] != "mallory"
    }


def test_what_is_approved_while_a_commit_is_under_way_makes_nobody_guilty(world: World) -> None:
    """The last vote comes between candidate and certificate: the commit stands, the rest comes with the next."""
    known = scores(world)
    first, second = describe(world, "alice", "one"), ban(world, "bob", "mallory")
    vote(world, second, True, "carol")
    world.lose = lambda person, envelope: isinstance(opened(world, envelope.payload), RoundStatement)
    vote(world, first, True, "bob", "carol")
    world.run(10_000)
    assert world.person("alice").group.view(world.now).round.is_open
    vote(world, second, True, "alice")
    world.lose = lambda person, envelope: False
    world.run(MINUTE)
    assert names(world) == sorted(HONEST)
    assert is_one_group(world)
    settled = [event for event in world.person("bob").told(Settled) if isinstance(event, Settled)]
    assert {first, second} <= {proposal_id for event in settled[-2:] for proposal_id in event.carried}
    assert blamed(world, *HONEST) == set()
    assert all(points >= known[pair] for pair, points in scores(world).items())


Wrap = Callable[[Insider, Offer], list[Offer]]


def under_another_name(thief: Insider, real: Offer) -> list[Offer]:
    """The same bytes, by another leader, in other views, signed by the thief."""
    fresh = replace(real, signature=bytes(64))
    return [
        thief.offer(real.candidate, view, leader=leader, votes=real.votes, proposals=real.proposals)
        for view in range(4)
        for leader in (thief.address, fresh.leader)
    ]


def with_other_parts(thief: Insider, real: Offer) -> list[Offer]:
    """The true commit beside other welcomes, keys and syncs, or a foreign commit beside the true ones."""
    candidates = [
        replace(real.candidate, welcome=b"w"),
        replace(real.candidate, joiner_key=b"k" * 32),
        replace(real.candidate, sync=b"s"),
        replace(real.candidate, commit=real.candidate.commit[:-1] + b"\0"),
    ]
    copies = [replace(real, candidate=candidate) for candidate in candidates]
    return [*copies, *(thief.offer(candidate, real.view, leader=real.leader) for candidate in candidates)]


def with_other_work(thief: Insider, real: Offer) -> list[Offer]:
    """The true offer with its proposals and votes left out, or with others."""
    other = thief.proposal(Remove(real.leader), duration=PRESETS["day"].remove.duration)
    return [
        replace(real, proposals=(), votes=()),
        replace(real, proposals=(other,), votes=()),
        replace(real, votes=real.votes[::-1]),
        replace(real, view=real.view + 1),
    ]


WRAPPED: dict[str, Wrap] = {
    "under another name": under_another_name,
    "with other parts": with_other_parts,
    "with other work": with_other_work,
}


@pytest.mark.parametrize("case", WRAPPED)
def test_a_candidate_wrapped_anew_neither_splits_the_group_nor_harms_its_author(case: str, world: World) -> None:
    """Everybody sees the altered copies before the original, which settles in its view all the same."""
    leader = order(world)[0]
    assert leader != "mallory"
    known = scores(world)
    joining = world.ask("erin", world.link("alice"))
    world.run(15_000)
    (invite,) = [p for p in world.proposals("alice") if p.subject == address(world, "erin")]
    world.hold = lambda person, envelope: (
        person.name not in (leader, "mallory") and isinstance(opened(world, envelope.payload), Offer)
    )
    vote(world, invite.proposal_id, True, *HONEST)
    world.run(2_000)
    mallory = Insider(world, "mallory")
    real = next(p for p in mallory.overheard() if isinstance(p, Offer) and p.head == mallory.head)
    world.hold = lambda person, envelope: (
        envelope.sender == leader and person.name != leader and isinstance(opened(world, envelope.payload), Offer)
    )
    for wrapped in WRAPPED[case](mallory, real):
        mallory.say(wrapped)
    world.deliver()
    world.heal()
    world.run(2 * MINUTE)
    assert names(world) == ["alice", "bob", "carol", "erin", "mallory"]
    assert joining.group is not None
    assert is_one_group(world)
    assert blamed(world, *HONEST) <= {"mallory"}
    assert all(
        points >= known[pair]
        for pair, points in scores(world).items()
        if pair in known and pair[1] != "mallory" and pair[0] != "mallory"
    )


def test_an_offer_that_somebody_said_without_its_votes_before_still_lands_in_its_view(world: World) -> None:
    """The leader's signature does not cover them; those count that make the certificate, whoever has shown others."""
    leader = order(world)[0]
    world.ask("erin", world.link("alice"))
    world.run(15_000)
    (invite,) = [p for p in world.proposals("alice") if p.subject == address(world, "erin")]
    world.hold = lambda person, envelope: (
        person.name not in (leader, "mallory") and isinstance(opened(world, envelope.payload), Offer)
    )
    vote(world, invite.proposal_id, True, *HONEST)
    world.run(1_000)
    mallory = Insider(world, "mallory")
    real = next(p for p in mallory.overheard() if isinstance(p, Offer) and p.head == mallory.head)
    world.hold = lambda person, envelope: (
        envelope.sender == leader and person.name != leader and isinstance(opened(world, envelope.payload), Offer)
    )
    for stripped in (replace(real, votes=()), replace(real, votes=(), proposals=())):
        mallory.say(stripped)
    world.deliver()
    world.heal()
    world.run(MINUTE)
    assert world.person("erin").is_member
    settled = [event for event in world.person("bob").told(Settled) if isinstance(event, Settled)][-1]
    assert (world.name_of(settled.committer), settled.view) == (leader, 0)
    assert not any(member.lost_turn for member in world.person("bob").group.members())


def test_what_an_offer_brings_besides_what_its_candidate_names_is_not_taken(world: World) -> None:
    """The leader's signature does not cover the proposals that come along, so anybody can put some in."""
    leader = order(world)[0]
    world.ask("erin", world.link("alice"))
    world.run(15_000)
    (invite,) = [p for p in world.proposals("alice") if p.subject == address(world, "erin")]
    world.hold = lambda person, envelope: (
        person.name not in (leader, "mallory") and isinstance(opened(world, envelope.payload), Offer)
    )
    vote(world, invite.proposal_id, True, *HONEST)
    world.run(1_000)
    mallory = Insider(world, "mallory")
    real = next(p for p in mallory.overheard() if isinstance(p, Offer) and p.head == mallory.head)
    world.hold = lambda person, envelope: (
        envelope.sender == leader and person.name != leader and isinstance(opened(world, envelope.payload), Offer)
    )
    duration = world.person("bob").group.view(world.now).policy.remove.duration
    extra = mallory.proposal(Remove(address(world, "alice")), created_at=world.now, duration=duration)
    mallory.say(replace(real, proposals=(*real.proposals, extra)))
    world.deliver()
    world.heal()
    world.run(MINUTE)
    assert world.person("erin").is_member
    known = [world.person(name).group._live().governance.items for name in HONEST]
    assert not any(extra.id in items for items in known)


# --- What newcomers are and get ---------------------------------------------------------------------------------------


def seal_mine(insider: Insider, settled: SettledCommit) -> WelcomeBundle:
    """A welcome with this commit in its bundle, under the key that all members know."""
    seat = Seat(insider.address, 0, insider.record.leaf_key, 0)
    electorate = Electorate(insider.epoch, (seat,), (insider.address,), PRESETS["quick"])
    follows = Succession(StewardListing((insider.address,), 0, 0, 0, (), ()), (), (), ())
    told = Told(electorate, follows, (), (), ())
    content = encode_message(JoinerBundle(b"tree", settled, told))
    key = settled.candidate.joiner_key
    return WelcomeBundle(settled.candidate.welcome, insider.person.engine.seal(key, content, BUNDLE_DATA))


def test_a_sync_that_is_said_to_members_changes_nothing(world: World) -> None:
    """Other stewards, other members, another policy: members take their state from the chain alone."""
    joining = world.ask("erin", world.link("alice"))
    world.run(15_000)
    world.vote_on_everything(*HONEST)
    world.run(20_000)
    mallory = Insider(world, "mallory")
    channel = joiner_channel(joining.key_package)
    engine = mallory.person.engine
    welcome = next(m for m in (unseal(channel, e.payload, engine) for e in world.log[channel.topic]) if m is not None)
    assert isinstance(welcome, WelcomeBundle)
    kept = next(payload for payload in reversed(mallory.overheard()) if isinstance(payload, Offer))
    assert kept.candidate.welcome == welcome.welcome
    sync = decode_message(kept.candidate.sync, Sync)
    listed = StewardListing((mallory.address,), 0, 0, 0, (), ())
    others = Succession(listed, (), (), ())
    mine = encode_message(replace(sync, succession=succession_hash(encode_message(others))))
    before = {name: world.person(name).group.view(world.now) for name in HONEST}
    candidate = replace(kept.candidate, sync=mine)
    own = mallory.statement(LOCK, 0, candidate.id)
    for epoch in (sync.epoch, mallory.epoch):
        settled = SettledCommit.of(epoch, mallory.head, candidate, 0, (own,), ())
        for said in (settled, seal_mine(mallory, settled), welcome):
            for where in (mallory.channel, mallory.rendezvous, channel):
                mallory.say(said, where)
    world.run(10_000)
    for name in HONEST:
        now = world.person(name).group.view(world.now)
        assert (now.epoch, now.stewards, now.authenticator) == (
            before[name].epoch,
            before[name].stewards,
            before[name].authenticator,
        )


def test_who_takes_a_stewards_leaf_has_neither_its_place_nor_its_score() -> None:
    world = group("quick")
    for number in range(3):
        describe(world, "alice", f"a longer list {number}")
        world.vote_on_everything(*FOUR)
        world.run(5_000)
    steward = next(name for name in order(world) if name not in ("alice", "bob"))
    assert address(world, steward) in world.person("alice").group.view(world.now).stewards
    insider = Insider(world, steward)
    for number in range(2):
        change = Emergency(Violation.EQUIVOCATION, address(world, "alice"), (), ())
        insider.say(insider.proposal(change, created_at=number))
    world.do(steward, lambda group: group.leave(world.now))
    leaf = next(m.leaf for m in world.person("alice").group.members() if m.address == address(world, steward))
    world.run(20_000)
    world.admit("alice", "erin")
    (erin,) = [m for m in world.person("alice").group.members() if m.address == address(world, "erin")]
    assert erin.leaf == leaf
    assert (erin.score, erin.lost_turn) == (SCORING.start, False)
    for person in world.members():
        view = person.group.view(world.now)
        assert address(world, "erin") not in view.stewards
        assert address(world, "erin") not in (view.epoch_steward, view.backup_steward)


def test_a_forged_no_keeps_nobody_out_who_is_admitted(world: World) -> None:
    """Anybody at the rendezvous can say no in the group's name: the joiner asks less often, a welcome still counts."""
    joining = world.ask("erin", world.link("alice"))
    world.run(15_000)
    mallory = Insider(world, "mallory")
    channel = joiner_channel(joining.key_package)
    world.publish(
        channel.topic,
        seal(channel, JoinAnswer("Go away.", address(world, "alice"), bytes(64)), mallory.person.engine),
        "mallory",
    )
    world.deliver()
    assert world.person("erin").told(JoinRefused)
    world.vote_on_everything(*HONEST)
    world.run(20_000)
    assert world.person("erin").is_member


# --- Emergencies ------------------------------------------------------------------------------------------------------


def accuse(world: World, by: str, culprit: Insider, number: int) -> None:
    """Of an act that was never shown before."""
    accuser = Insider(world, by)
    votes = [culprit.vote(number.to_bytes(32, "big"), yes).signed_vote for yes in (True, False)]
    proof = Proof(DoubleVote(culprit.epoch, votes[0], votes[1]))
    change = Emergency(Violation.EQUIVOCATION, culprit.address, (proof,), ())
    accuser.say(accuser.proposal(change, duration=PRESETS["quick"].emergency.duration, created_at=world.now + number))
    world.deliver()


def test_what_a_former_member_signs_with_its_old_keys_freezes_nothing() -> None:
    world = group("quick", "carol", "dave", "mallory")
    mallory = Insider(world, "mallory")
    proposal_id = ban(world, "alice", "mallory")
    accuse(world, "bob", mallory, 0)  # one is open when it goes, and is withdrawn
    vote(world, proposal_id, True, "bob", "carol", "dave")
    world.run(40_000)
    assert not world.person("mallory").is_member
    before = state(world, "alice").scores.of(address(world, "bob"), SCORING).points
    for number in range(1, 6):
        accuse(world, "bob", mallory, number)
        for name in ("alice", "carol", "dave"):
            assert world.person(name).group.view(world.now).frozen_until is None
        world.run(20_000)
    assert state(world, "alice").scores.of(address(world, "bob"), SCORING).points == before


def test_two_who_work_together_delay_what_others_want_and_cannot_stop_it() -> None:
    """One breaks rules ever anew, the other accuses it each time; and with the old keys when the first was removed."""
    world = group("quick", "carol", "dave", "mallory")
    mallory = Insider(world, "mallory")
    done: list[str] = []
    number = 0
    for second in range(240):
        if world.person("alice").group.view(world.now).frozen_until is None:
            accuse(world, "bob", mallory, number)
            number += 1
        here = world.person("alice").group.view(world.now).description
        if here and here not in done:
            done.append(here)
        settings = [p for p in world.proposals("alice") if p.kind is ProposalKind.SETTINGS]
        if not any(p.status in (ProposalStatus.OPEN, ProposalStatus.APPROVED) for p in settings) and second % 40 == 5:
            world.do("alice", lambda group, it=second: group.change_settings(world.now, description=f"wish {it}"))  # type: ignore[misc]
        for name in ("alice", "carol", "dave"):
            for p in world.proposals(name):
                if p.kind is ProposalKind.SETTINGS and p.may_vote:
                    world.do(name, lambda group, it=p: group.vote(it.proposal_id, True, world.now))  # type: ignore[misc]
        world.run(1_000)
    assert not world.person("mallory").is_member, "the first act was enough"
    assert len(done) >= 3
    assert is_one_group(world)
    honest = {pair: points for pair, points in scores(world).items() if pair[1] in ("alice", "carol", "dave")}
    assert min(honest.values()) >= SCORING.start - SCORING.lost_turn
    assert scores(world)["alice", "bob"] <= 2 * SCORING.start, "praise has an end"


def test_a_leader_that_shows_its_broken_commits_to_one_member_stops_nothing(world: World) -> None:
    """What bob says of it is true, and nobody else can confirm it."""
    views = [view for view in range(12) if order(world)[view % 4] == "mallory"]
    mallory = Insider(world, "mallory")

    def is_hidden(person: Person, envelope: Envelope) -> bool:
        message = opened(world, envelope.payload)
        is_mine = isinstance(message, Offer) and message.leader == mallory.address
        return is_mine and person.name in ("alice", "carol")

    world.lose = is_hidden
    proposal_id = describe(world, "alice", "goes on")
    others_offers = world.lose
    world.lose = lambda person, envelope: (
        others_offers(person, envelope)
        or (envelope.sender != "mallory" and isinstance(opened(world, envelope.payload), Offer))
    )
    vote(world, proposal_id, True, "bob", "carol")
    for number, view in enumerate(views):
        mallory.say(mallory.offer(Candidate(b"no commit %d" % number, b"", b"", b""), view))
    world.run(3 * MINUTE)
    world.lose = is_hidden
    world.run(30 * MINUTE)
    assert blamed(world, "bob") == {"mallory"}
    assert blamed(world, "alice", "carol") == set()
    assert world.person("alice").group.view(world.now).description == "goes on"
    for name in HONEST:
        moves = [e for e in world.person(name).told(ScoreChanged) if isinstance(e, ScoreChanged) and e.after < e.before]
        assert {e.cause for e in moves if e.member != mallory.address} <= {Cause.LOST_TURN.value}


# --- What some know and others do not ---------------------------------------------------------------------------------


def test_what_is_held_by_some_is_not_decided_by_the_silence_that_its_owner_counts() -> None:
    """The emergency has not reached alice, so her removal of dave is open there, and held at all others."""
    world = group("quick", "carol", "dave", "mallory")
    mallory = Insider(world, "mallory")
    world.hold = lambda person, envelope: person.name == "alice" and envelope.sender != "alice"
    for byte in (1, 2):
        mallory.say(mallory.statement(ACK, 0, bytes([byte]) * 32))
    world.run(10_000)
    assert world.person("carol").group.view(world.now).frozen_until is not None
    proposal_id = ban(world, "alice", "dave")
    assert proposal_id not in {p.proposal_id for p in world.proposals("carol")}
    world.heal()
    world.run(20_000)
    assert not world.person("mallory").is_member
    vote(world, proposal_id, False, "bob", "carol")
    world.run(5 * MINUTE)
    assert names(world) == ["alice", "bob", "carol", "dave"]
    assert is_one_group(world)


def test_a_commit_handed_on_without_its_proposals_is_kept_whole(world: World) -> None:
    """Who was away then needs them: without them nobody can tell what follows from the commit."""
    world.person("carol").online = False
    world.do("bob", lambda group: group.refresh_keys(world.now))
    mallory = Insider(world, "mallory")

    def lost(person: Person, envelope: Envelope) -> bool:
        heard = unseal(mallory.channel, envelope.payload, mallory.person.engine)
        is_lock = isinstance(heard, RoundStatement) and heard.kind == LOCK
        return person.name == "bob" and (is_lock or isinstance(heard, SettledCommit))

    world.lose = lost
    world.run(5_000)
    settled = mallory.person.group._live().history.leaving(mallory.epoch)
    assert settled is not None
    assert settled.proposals
    assert world.person("bob").group.view(world.now).epoch == mallory.epoch
    world.lose = lambda person, envelope: False
    for name in ("alice", "mallory"):
        world.person(name).online = False
    mallory.say(replace(settled, proposals=()))
    world.deliver()
    kept = world.person("bob").group._live().history.leaving(mallory.epoch)
    assert kept is not None
    assert kept.proposals == settled.proposals
    assert world.person("bob").told(KeysRenewed)
    world.person("carol").online = True
    world.run(MINUTE)
    assert world.person("carol").group.view(world.now).epoch == mallory.epoch + 1
