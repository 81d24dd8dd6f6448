"""In a large group a committee acknowledges commits: drawn from the chain, and nobody else's word counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from demls.protocol import policy as bounds
from demls.protocol.channel import Channel, floor_of, seal, unseal
from demls.protocol.committee import Committee, committee_of
from demls.protocol.events import Reason, Rejected, Settled
from demls.protocol.policy import QUICK, SECOND
from demls.wire.ids import Address, Topic
from demls.wire.messages import CertifiedCommit, Offer, Payload, Remove, SettledCommit
from demls.wire.statements import RoundStatement, StatementKind
from hypothesis import given, settings
from hypothesis import strategies as st
from insider import Insider
from leaves import address
from world import Envelope, Person, World

POLICY = replace(QUICK, ack_limit=6, committee=4, stewards_max=2, batch_window=0)
NAMES = ("alice", "bob", "carol", "dave", "erin", "fred", "gina", "hank", "iris")

LARGE = ("jack", "kate", "liam", "mona", "nina", "owen", "pete")


@pytest.fixture
def world() -> World:
    """Nine members; four are drawn, and the stewards are in it."""
    world = World(21)
    world.group_of(*NAMES, policy=POLICY)
    return world


@pytest.fixture
def large() -> World:
    """Sixteen members, of whom some hear nothing of what the committee says."""
    world = World(23)
    world.group_of(*NAMES, policy=POLICY)
    world.admit("alice", *LARGE)
    return world


def committee(world: World) -> frozenset[Address]:
    seen = {person.group._live().committee.members for person in world.members()}
    (members,) = seen
    return members


def outside(world: World) -> list[Person]:
    return [person for person in world.members() if person.address not in committee(world)]


def remove(world: World, name: str) -> None:
    """Everybody but its target votes, and it is committed."""
    by = next(person.name for person in world.members() if person.name != name)
    world.do(by, lambda group: group.propose(Remove(world.person(name).address), world.now))
    world.vote_on_everything(*(person.name for person in world.members() if person.name not in (by, name)))
    world.run(20 * SECOND)


def settled(world: World, name: str) -> list[SettledCommit]:
    state = world.person(name).group._live()
    kept = (state.history.leaving(epoch) for epoch in range(state.epoch))
    return [commit for commit in kept if commit is not None]


# --- The draw ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(7, 60), st.integers(4, 6), st.binary(min_size=32, max_size=32), st.integers(0, 5))
def test_a_committee_follows_from_the_chain_alone(n: int, size: int, before: bytes, stewards: int) -> None:
    members = [address(number) for number in range(n)]
    listed = members[:stewards]
    policy = replace(QUICK, ack_limit=6, committee=size)
    drawn = committee_of(members, listed, before, policy)
    assert drawn == committee_of(frozenset(reversed(members)), reversed(listed), before, policy)
    assert drawn.is_drawn
    assert drawn.members <= set(members)
    assert set(listed) <= drawn.members
    assert bounds.committee_size(policy, n) <= drawn.n <= bounds.committee_size(policy, n) + stewards
    assert 3 * drawn.q >= 2 * drawn.n
    assert drawn.f < drawn.n / 3


def test_another_state_before_draws_another_committee() -> None:
    members = [address(number) for number in range(60)]
    policy = replace(QUICK, ack_limit=6, committee=6)
    assert len({committee_of(members, (), bytes([byte]) * 32, policy).members for byte in range(8)}) == 8


@pytest.mark.parametrize(
    ("limit", "size", "members", "drawn"),
    [
        (0, 0, 1000, 0),
        (0, 0, 1001, 256),
        (0, 0, 10000, 256),
        (0, 512, 10000, 512),
        (6, 4, 6, 0),
        (6, 4, 7, 4),
        (6, 4, 40, 20),
        (6, 4, 10000, 256),
    ],
)
def test_a_small_committee_is_for_small_groups(limit: int, size: int, members: int, drawn: int) -> None:
    assert bounds.committee_size(replace(QUICK, ack_limit=limit, committee=size), members) == drawn


def test_nobody_who_is_no_member_is_in_a_committee() -> None:
    everybody = [address(number) for number in range(9)]
    assert committee_of(everybody[:5], everybody, bytes(32), POLICY) == Committee(frozenset(everybody[:5]))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"committee": 3}, "has 4 to 4096 members"),
        ({"ack_limit": 6, "committee": 7}, "not more than the number"),
        ({"ack_limit": 20000}, "at the latest in groups of more than 10000"),
        ({"committee": 5000}, "4 to 4096"),
    ],
)
def test_a_committee_that_cannot_be_is_refused_with_a_sentence(fields: dict[str, int], sentence: str) -> None:
    assert sentence in bounds.fault_of(replace(QUICK, **fields))


# --- The round --------------------------------------------------------------------------------------------------------


def test_only_the_committee_acknowledges_and_everybody_merges(world: World) -> None:
    before = world.person("alice").group._live()
    members, quorum, epoch = committee(world), before.committee.q, before.epoch
    assert 4 <= len(members) <= 6 < len(before.roster.seats)
    remove(world, "iris")
    (commit,) = [commit for commit in settled(world, "alice") if commit.epoch == epoch]
    signers = set(commit.signers)
    assert (len(signers), signers <= members) == (quorum, True)
    insider = Insider(world, "alice")
    said = [message for message in insider.overheard() if isinstance(message, RoundStatement)]
    spoke = {message.member for message in said if message.epoch == epoch}
    assert spoke <= members
    assert len(spoke) >= quorum
    assert len({person.group.view(world.now).authenticator for person in world.members()}) == 1


def test_each_epoch_has_a_committee_of_its_own(world: World) -> None:
    seen = {committee(world)}
    for name in ("iris", "hank"):
        remove(world, name)
        seen.add(committee(world))
    assert len(seen) == 3


def test_the_draw_uses_the_state_before_the_parent(world: World) -> None:
    """So the committee is known before the commit that leads to its state is made."""
    state = world.person("alice").group._live()
    head, roster = state.state.head, state.roster
    remove(world, "iris")
    after = world.person("alice").group._live()
    counted = roster.counted - {world.person("iris").address}
    assert after.state.before == head
    listed = after.state.stewards.rotated(after.epoch, after.roster)
    assert after.committee == committee_of(counted, listed, head, POLICY)


def test_a_group_that_grows_over_the_limit_and_shrinks_again() -> None:
    world = World(22)
    world.group_of(*NAMES[:6], policy=POLICY)
    assert committee(world) == {person.address for person in world.members()}
    world.admit("bob", "gina")
    assert len(committee(world)) < 7
    world.admit("gina", "hank")
    remove(world, "hank")
    remove(world, "gina")
    assert committee(world) == {person.address for person in world.members()}
    assert len(world.members()) == 6


def test_a_restarted_node_knows_its_committee(world: World) -> None:
    members = committee(world)
    for name in NAMES:
        world.restart(name)
    assert committee(world) == members
    remove(world, "iris")
    assert len(world.members()) == 8


def test_who_was_away_follows_the_certificates_of_committees(world: World) -> None:
    (away, *_) = outside(world)
    away.online = False
    for name in [name for name in ("iris", "hank", "gina") if name != away.name][:2]:
        remove(world, name)
    away.online = True
    world.run(60 * SECOND)
    assert len({person.group.view(world.now).authenticator for person in world.members()}) == 1
    assert away.is_member


def test_a_commit_needs_two_thirds_of_the_committee_whoever_else_is_there(world: World) -> None:
    members = [person for person in world.members() if person.address in committee(world)]
    state = members[0].group._live()
    gone = members[: len(members) - state.committee.q + 1]
    by, *others = [person.name for person in world.members() if person not in gone]
    speaking = [person.name for person in members if person not in gone]
    target = outside(world)[-1]
    world.do(by, lambda group: group.propose(Remove(target.address), world.now))
    world.deliver()
    for person in gone:
        person.online = False
    world.vote_on_everything(*(name for name in others if name != target.name))
    world.run(90 * SECOND)
    assert target.is_member
    waiting = world.person(speaking[0]).group.view(world.now).round.missing
    assert set(waiting) <= committee(world)
    assert {person.address for person in gone} <= set(waiting)
    for person in gone:
        person.online = True
    world.run(90 * SECOND)
    assert not target.is_member


def is_offer(world: World, person: Person, envelope: Envelope) -> bool:
    channels = Insider(world, person.name).channels.values() if person.is_member else ()
    both = (where for channel in channels for where in (channel, floor_of(channel)))
    opened = (unseal(channel, envelope.payload, person.engine) for channel in both)
    return any(isinstance(payload, Offer) for payload in opened)


def test_a_member_outside_the_committee_leads_when_all_stewards_are_silent(world: World) -> None:
    """The committee keeps its quorum; nobody but those outside it offers anything."""
    names = {person.name for person in outside(world)}
    state = world.person("alice").group._live()
    epoch = state.epoch
    inside = [world.name_of(member) for member in committee(world)]

    def is_mute(person: Person, envelope: Envelope) -> bool:
        return envelope.sender in inside and person.name != envelope.sender and is_offer(world, person, envelope)

    world.lose = is_mute
    last = max(outside(world), key=lambda person: state.state.leaders.index(person.address))
    assert names & hearing(world) - {last.name}
    remove(world, last.name)
    world.run(120 * SECOND)
    (commit,) = [commit for commit in settled(world, inside[0]) if commit.epoch == epoch]
    committers = [
        e.committer for e in world.person(inside[0]).events if isinstance(e, Settled) and e.epoch == epoch + 1
    ]
    assert world.name_of(committers[0]) in names
    assert commit.view > 0


# --- The floor --------------------------------------------------------------------------------------------------------


def hearing(world: World) -> set[str]:
    return {p.name for p in world.members() if p.group._live().places.hears_committee(p.address)}


def deaf(world: World) -> list[Person]:
    return [person for person in world.members() if person.name not in hearing(world)]


def floor(world: World) -> Topic:
    state = world.person("alice").group._live()
    assert state.places.floor is not None
    return state.places.floor.topic


def said(world: World, person: Person, channel: Channel) -> list[Payload]:
    opened = (unseal(channel, one.payload, person.engine) for one in world.log[channel.topic])
    return [payload for payload in opened if payload is not None]


def test_a_committee_speaks_where_it_and_the_next_leaders_listen(large: World) -> None:
    assert {person.name for person in large.members() if floor(large) in person.group.topics()} == hearing(large)
    state = large.person("alice").group._live()
    assert state.committee.members <= {large.person(name).address for name in hearing(large)}
    assert deaf(large)
    main, stage, quorum = state.channel, state.places.floor, state.committee.q
    assert stage is not None
    remove(large, min(person.name for person in deaf(large)))
    spoken, told = said(large, large.person("alice"), stage), said(large, large.person("alice"), main)
    assert any(isinstance(one, RoundStatement) for one in spoken)
    assert not any(isinstance(one, RoundStatement) for one in told)
    (certified,) = [one for one in told if isinstance(one, CertifiedCommit)]
    assert len(certified.signatures) == quorum
    assert len({person.group.view(large.now).authenticator for person in large.members()}) == 1


def test_if_the_leader_does_not_tell_it_the_next_does(large: World) -> None:
    """Whatever the first to tell says is lost, but not its offer."""
    teller: list[str] = []

    def is_lost(person: Person, envelope: Envelope) -> bool:
        if not isinstance(unseal(channel, envelope.payload, person.engine), CertifiedCommit):
            return False
        teller.append(envelope.sender)
        return envelope.sender == teller[0]

    channel = large.person("alice").group._live().channel
    large.lose = is_lost
    remove(large, min(person.name for person in deaf(large)))
    assert len(set(teller)) == 2
    assert len({person.group.view(large.now).epoch for person in large.members()}) == 1


def test_who_lacks_the_candidate_asks_the_committee(large: World) -> None:
    away = deaf(large)[0]
    channel = large.person("alice").group._live().channel
    lost: list[Payload] = []

    def is_lost(person: Person, envelope: Envelope) -> bool:
        if person is not away or lost:
            return False
        payload = unseal(channel, envelope.payload, person.engine)
        lost.extend([payload] if isinstance(payload, Offer) else [])
        return isinstance(payload, Offer)

    large.lose = is_lost
    remove(large, max(person.name for person in deaf(large)))
    large.run(30 * SECOND)
    assert lost
    assert len({person.group.view(large.now).authenticator for person in large.members()}) == 1


def test_who_does_not_hear_the_committee_cannot_say_for_whom_it_waits(large: World) -> None:
    """And is no reason to believe that it hears nobody."""
    state = deaf(large)[0].group._live()
    assert (state.missing(), state.short()) == ((), 0)


def forged_certificates(world: World, name: str) -> dict[str, CertifiedCommit]:
    """Of the candidate that is being offered, by an insider outside the committee."""
    state, insider = world.person(name).group._live(), Insider(world, name)
    (candidate,) = state.round.candidates
    everybody = state.committee.bitmap(state.committee.members)
    own = insider.statement(StatementKind.LOCK, 0, candidate).signature
    place = (state.epoch, state.state.head, 0, candidate)
    return {
        "signed by one for all": CertifiedCommit(*place, everybody, (own,) * state.committee.n),
        "signed by nobody": CertifiedCommit(*place, b"", (own,)),
        "with bits beyond the committee": CertifiedCommit(*place, b"\xff" * 1250, (own,) * state.committee.n),
        "with fewer signatures than signers": CertifiedCommit(*place, everybody, (own,)),
        "of a view far away": CertifiedCommit(*place[:2], 1 << 60, candidate, everybody, (own,) * state.committee.n),
    }


def test_a_certificate_that_the_committee_did_not_sign_settles_nothing(large: World) -> None:
    """Nor does it silence those who have a genuine one to tell."""
    liar, victim = deaf(large)[0], deaf(large)[1]
    target = max(person.name for person in large.members() if person not in (liar, victim))
    state = large.person("alice").group._live()
    epoch, stage, channel = state.epoch, state.places.floor, state.channel
    assert stage is not None
    mute = [True]
    large.lose = lambda person, one: mute[0] and unseal(stage, one.payload, person.engine) is not None
    remove(large, target)
    assert victim.group._live().epoch == epoch
    forged = forged_certificates(large, liar.name)
    for name, message in forged.items():
        before = len(victim.told(Rejected))  # type: ignore[attr-defined]
        large.apply(victim, victim.group.receive(channel.topic, seal(channel, message, liar.engine), large.now))
        assert victim.group._live().epoch == epoch, name
        assert [event.reason for event in victim.told(Rejected)[before:]] == [Reason.FORGED], name  # type: ignore[attr-defined]
    mute[0] = False
    large.run(60 * SECOND)
    for message in forged.values():
        Insider(large, liar.name).say(message, channel)
    large.run(60 * SECOND)
    (reached,) = {person.group._live().epoch for person in large.members()}
    assert reached > epoch


def test_on_the_floor_only_the_round_is_spoken_of(large: World) -> None:
    mallory = Insider(large, deaf(large)[0].name)
    stage = floor_of(mallory.channel)
    mallory.say(CertifiedCommit(mallory.epoch, mallory.head, 0, bytes(32), b"", (bytes(64),)), stage)
    large.deliver()
    refused = [e.detail for e in large.person(min(hearing(large))).told(Rejected)]  # type: ignore[attr-defined]
    assert "a message that does not belong where the committee speaks" in refused


# --- Hostile ----------------------------------------------------------------------------------------------------------


def test_the_ack_of_a_member_outside_the_committee_is_refused_and_counts_for_nothing(world: World) -> None:
    stranger = outside(world)[0]
    mallory = Insider(world, stranger.name)
    scores = [one.score for one in world.person("alice").group.members()]
    mallory.say(mallory.statement(StatementKind.ACK, 0, b""))
    mallory.say(mallory.statement(StatementKind.LOCK, 0, bytes(32)))
    world.deliver()
    for person in world.members():
        current = person.group._live().round
        assert all(stranger.address not in current.statements(kind, 0) for kind in StatementKind)
        if person is not stranger:
            refused = [event for event in person.told(Rejected) if event.reason is Reason.NOT_ENTITLED]  # type: ignore[attr-defined]
            assert len(refused) == 2
    assert [one.score for one in world.person("alice").group.members()] == scores


def test_locks_of_members_outside_the_committee_are_no_certificate(world: World) -> None:
    """As many locks as a quorum, with good signatures, of members whose word does not count."""
    (away, *liars) = [Insider(world, person.name) for person in outside(world)]
    behind = away.person
    behind.online = False
    epoch = behind.group._live().epoch
    target = "iris" if behind.name != "iris" else "hank"
    inside = min({world.name_of(member) for member in committee(world)} - {target})
    remove(world, target)
    (commit,) = [one for one in settled(world, inside) if one.epoch == epoch]
    made = tuple(one.statement(StatementKind.LOCK, commit.view, commit.candidate.id) for one in liars)
    genuine = commit.certificate.statements()
    for locks in (made, genuine[:-1] + made, genuine[:-1]):
        forged = SettledCommit.of(commit.epoch, commit.head, commit.candidate, commit.view, locks, commit.proposals)
        receive_settled(behind, forged, world)
        assert behind.group._live().epoch == epoch
        assert behind.told(Rejected)[-1].detail == "a settled commit without its certificate"  # type: ignore[attr-defined]
    receive_settled(behind, commit, world)
    assert behind.group._live().epoch == epoch + 1


def receive_settled(person: Person, commit: SettledCommit, world: World) -> None:
    channel = person.group._live().channel
    world.apply(person, person.group.receive(channel.topic, seal(channel, commit, person.engine), world.now))
