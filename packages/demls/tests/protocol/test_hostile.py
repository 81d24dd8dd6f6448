"""What others send cannot raise, cannot change what matters, and cannot make a node grow."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from demls.protocol import policy as bounds
from demls.protocol.channel import channel_of, joiner_channel, seal
from demls.protocol.contacts import ANSWERS_PER_HOUR_MAX, Fetching, Inbox
from demls.protocol.credential import binding_sentence
from demls.protocol.errors import BadInvite
from demls.protocol.events import MessagesMissing, Misbehaved, Reason, Rejected
from demls.protocol.group import SUPPORTED_EXTENSIONS
from demls.protocol.policy import PRESETS
from demls.protocol.requests import INVITE_LABEL
from demls.protocol.views import ProposalKind, ProposalStatus
from demls.wire.fields import STATED_PROPOSALS_MAX
from demls.wire.ids import Address, Instant, Topic
from demls.wire.messages import (
    Binding,
    Candidate,
    Invite,
    JoinRequest,
    KeyPackageRequest,
    Leave,
    Offer,
    PrivateMessage,
    Proposal,
    Remove,
    SettledCommit,
    Vote,
    invite_content,
)
from demls.wire.statements import StatementKind
from demls_consensus import wallet_sign
from hypothesis import given, settings
from hypothesis import strategies as st
from insider import Insider
from world import Person, World

ACK, LOCK = StatementKind.ACK, StatementKind.LOCK


@pytest.fixture
def world() -> World:
    world = World(3)
    world.group_of("alice", "bob", "carol", "mallory")
    return world


def matters(world: World, name: str) -> object:
    """What a hostile message may not change."""
    person = world.person(name)
    view = person.group.view(world.now)
    proposals = [(p.proposal_id, p.status, p.yes, p.no) for p in view.proposals]
    return view.epoch, view.authenticator, [m.address for m in person.group.members()], proposals, view.requests


def size(person: Person) -> tuple[int, int]:
    return len(person.records), sum(map(len, person.records.values()))


def refusals(world: World, name: str) -> list[Reason]:
    return [event.reason for event in world.person(name).events if isinstance(event, Rejected)]


# --- Bytes --------------------------------------------------------------------------------------------------------


def test_random_bytes_do_nothing(world: World) -> None:
    alice = world.person("alice")
    before, stored = matters(world, "alice"), dict(alice.records)

    @settings(max_examples=150)
    @given(st.sampled_from(sorted(alice.group.topics())), st.binary(max_size=400))
    def check(topic: Topic, payload: bytes) -> None:
        effects = alice.group.receive(topic, payload, world.now)
        assert [type(event) for event in effects.events] == [Rejected]
        assert effects.changes == effects.outbound == ()

    check()
    assert (matters(world, "alice"), alice.group.snapshot()) == (before, stored)


def test_envelopes_with_one_bit_changed_do_nothing(world: World) -> None:
    world.do("bob", lambda group: group.propose(Remove(world.person("mallory").address), world.now))
    world.do("bob", lambda group: group.send("hello", world.now))
    alice, dice = world.person("alice"), random.Random(5)
    world.deliver()
    before = matters(world, "alice"), alice.group.snapshot()
    for topic, queue in list(world.log.items()):
        for envelope in queue[-20:]:
            broken = bytearray(envelope.payload)
            broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
            effects = alice.group.receive(topic, bytes(broken), world.now)
            assert [type(event) for event in effects.events] == [Rejected]
    assert (matters(world, "alice"), alice.group.snapshot()) == before


def test_the_same_envelopes_again_do_nothing(world: World) -> None:
    world.do("bob", lambda group: group.propose(Remove(world.person("mallory").address), world.now))
    world.vote_on_everything("carol")
    world.do("bob", lambda group: group.send("hello", world.now))
    world.run(100)
    alice = world.person("alice")
    before, heard = matters(world, "alice"), alice.heard()
    for topic, queue in list(world.log.items()):
        for envelope in list(queue):
            world.apply(alice, alice.group.receive(topic, envelope.payload, world.now))
    assert matters(world, "alice") == before
    assert alice.heard() == heard


def test_an_envelope_of_more_than_the_largest_size_is_not_opened(world: World) -> None:
    alice = world.person("alice")
    effects = alice.group.receive(min(alice.group.topics()), bytes(bounds.ENVELOPE_BYTES_MAX + 1), world.now)
    assert [event.reason for event in effects.events if isinstance(event, Rejected)] == [Reason.UNREADABLE]


def test_an_envelope_on_a_foreign_topic_does_nothing(world: World) -> None:
    effects = world.person("alice").group.receive(Topic(bytes(32)), b"x", world.now)
    assert [type(event) for event in effects.events] == [Rejected]


def test_a_joining_an_inbox_and_a_fetching_refuse_bytes(world: World) -> None:
    joining = world.ask("fred", world.link("alice"))
    inbox, _ = Inbox.create(engine=world.person("bob").engine, now=world.now)
    contact = inbox.contact(world.person("bob").address, "Bob", "")
    fetching, _ = Fetching.ask(contact, engine=world.person("alice").engine, now=world.now)
    machines: list[Any] = [joining, inbox, fetching]
    places = [(machine, topic) for machine in machines for topic in (*machine.topics(), Topic(bytes(32)))]

    @settings(max_examples=150)
    @given(st.sampled_from(places), st.binary(max_size=300))
    def check(place: tuple[Any, Topic], payload: bytes) -> None:
        machine, topic = place
        effects = machine.receive(topic, payload, world.now)
        assert [type(event) for event in effects.events] == [Rejected]
        assert effects.outbound == ()

    check()
    assert fetching.key_package is None
    assert joining.group is None


def test_every_message_of_the_wire_on_every_channel_raises_nothing(world: World) -> None:
    """Also those that belong elsewhere: on the rendezvous, in an inbox, for a joiner."""
    world.ask("fred", world.link("alice"))
    world.do("bob", lambda group: group.propose(Remove(world.person("carol").address), world.now))
    world.run(100)
    mallory = Insider(world, "mallory")
    heard = mallory.overheard()
    fred = world.person("fred")
    assert fred.machine is not None
    fred_channel = joiner_channel(fred.machine.key_package)  # type: ignore[union-attr]
    before = matters(world, "alice")
    for payload in heard:
        for channel in (mallory.rendezvous, fred_channel):
            mallory.say(payload, channel)
    world.deliver()
    assert matters(world, "alice") == before
    assert not fred.is_member


# --- An insider's frames ------------------------------------------------------------------------------------------

Attack = Callable[[World, Insider], Iterator[Any]]


def target(world: World) -> Address:
    return world.person("carol").address


def bobs(world: World) -> Address:
    return world.person("bob").address


def forged_proposals(world: World, mallory: Insider) -> Iterator[Any]:
    yield mallory.proposal(Remove(target(world)), owner=bobs(world))  # signed by the wrong key
    yield mallory.proposal(Leave(), owner=bobs(world))
    yield mallory.proposal(Remove(target(world)), owner=b"x" * 20)  # by no member
    yield mallory.proposal(Remove(target(world)), epoch=999)
    yield mallory.proposal(Remove(target(world)), epoch=2**64 - 1)
    yield mallory.proposal(Remove(target(world)), group_id=bytes(32))
    yield mallory.proposal(Remove(target(world)), duration=0)
    yield mallory.proposal(Remove(target(world)), duration=2**64 - 1)
    yield mallory.proposal(Leave(), duration=30_000)
    yield mallory.proposal(Remove(b"x" * 20))  # of no member
    yield mallory.proposal(Invite(b"no key package"))
    yield replace(mallory.proposal(Remove(target(world))), signature=bytes(64))
    yield replace(mallory.proposal(Remove(target(world))), created_at=1)


def forged_votes(world: World, mallory: Insider) -> Iterator[Any]:
    proposal_id = world.proposals("alice")[0].proposal_id
    for voter in (target(world), bobs(world), world.person("alice").address, b"x" * 20):
        yield mallory.vote(proposal_id, True, voter)
    yield Vote(b"no vote")
    yield Vote(b"\x01" + bytes(200))
    yield mallory.vote(b"p" * 32, True, target(world))


def forged_statements(world: World, mallory: Insider) -> Iterator[Any]:
    for kind in (ACK, LOCK):
        for member in (target(world), bobs(world), world.person("alice").address, Address(b"x" * 20)):
            yield mallory.statement(kind, 0, b"c" * 32, member=member)
        yield mallory.statement(kind, 0, b"c" * 32, epoch=0)
        yield mallory.statement(kind, 0, b"c" * 32, head=bytes(32))
        yield mallory.statement(kind, 0, b"c" * 31)
        yield mallory.statement(kind, 2**64 - 1, b"c" * 32)
    yield mallory.statement(ACK, 0, b"c" * 32, kind=9)


def forged_offers(world: World, mallory: Insider) -> Iterator[Any]:
    fake = Candidate(b"commit", b"", b"", b"")
    for view in (0, 1, 2, 3, 17, 2**64 - 1):
        yield mallory.offer(fake, view)
        for name in ("alice", "bob", "carol"):
            yield mallory.offer(fake, view, leader=world.person(name).address)


def forged_settled(world: World, mallory: Insider) -> Iterator[Any]:
    world.admit("alice", "fred")
    mallory.turn()
    real = next(payload for payload in reversed(mallory.overheard()) if isinstance(payload, Offer)).candidate
    own = mallory.statement(LOCK, 0, real.id)
    fakes = [
        (real, (own,)),
        (real, (own,) * 3),
        (real, tuple(replace(own, member=member.address) for member in world.person("alice").group.members())),
        (Candidate(b"commit", b"", b"", b""), (own,)),
    ]
    for candidate, locks in fakes:
        yield SettledCommit.of(mallory.epoch, mallory.head, candidate, 0, locks, ())
        yield SettledCommit.of(mallory.epoch - 1, mallory.head, candidate, 0, locks, ())
        yield SettledCommit.of(mallory.epoch + 1, mallory.head, candidate, 0, locks, ())


def forged_digests(world: World, mallory: Insider) -> Iterator[Any]:
    alice = world.person("alice").address
    yield mallory.digest(alice, member=target(world))
    yield mallory.digest(alice, member=Address(b"x" * 20))
    yield mallory.digest(alice, epoch=2**64 - 1)
    yield mallory.digest(alice, epoch=0)
    yield mallory.digest(alice, view=2**64 - 1)
    yield mallory.digest(alice, [p.proposal_id for p in world.proposals("alice")] * 100)
    yield mallory.digest(alice, candidates=(b"c" * 32,) * 64, acked=b"\xff" * 1250, locked=b"\xff" * 1250)


def foreign_chat(world: World, mallory: Insider) -> Iterator[Any]:
    yield PrivateMessage(b"chat")
    for payload in mallory.overheard():
        if isinstance(payload, PrivateMessage):
            yield payload


ATTACKS: dict[str, Attack] = {
    "proposals": forged_proposals,
    "votes": forged_votes,
    "statements": forged_statements,
    "offers": forged_offers,
    "settled commits": forged_settled,
    "digests": forged_digests,
    "chat": foreign_chat,
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_insider_cannot_forge(attack: str, world: World) -> None:
    world.do("bob", lambda group: group.propose(Remove(world.person("carol").address), world.now))
    world.do("bob", lambda group: group.send("hello", world.now))
    world.deliver()
    mallory = Insider(world, "mallory")
    payloads = list(ATTACKS[attack](world, mallory))
    before = matters(world, "alice")
    heard = world.person("alice").heard()
    for payload in payloads:
        mallory.say(payload)
        world.deliver()
        assert matters(world, "alice") == before, payload
    assert world.person("alice").heard() == heard
    accused = {event.member for event in world.person("alice").events if isinstance(event, Misbehaved)}
    assert accused <= {mallory.address}, "others are accused by forged messages"


def test_a_genuine_candidate_is_not_settled_by_forged_locks(world: World) -> None:
    world.do("bob", lambda group: group.leave(world.now))
    world.hold = lambda person, envelope: envelope.sender in ("bob", "carol")  # no quorum is heard
    world.release(lambda person, envelope: False)
    world.do("alice", lambda group: group.propose(Remove(target(world)), world.now))
    world.run(3_000)
    mallory = Insider(world, "mallory")
    offers = [payload for payload in mallory.overheard() if isinstance(payload, Offer) and payload.head == mallory.head]
    if not offers:
        world.heal()
        world.hold = lambda person, envelope: envelope.sender in ("bob", "carol")
        world.run(3_000)
        offers = [p for p in mallory.overheard() if isinstance(p, Offer) and p.head == mallory.head]
    (offer, *_) = offers
    before = matters(world, "alice")
    own = mallory.statement(LOCK, 0, offer.candidate.id)
    everybody = [member.address for member in world.person("alice").group.members()]
    for locks in (
        (own,),
        (own,) * 4,
        tuple(replace(own, member=member) for member in everybody),
        tuple(replace(own, member=member, signature=bytes(64)) for member in everybody),
        tuple(mallory.statement(ACK, 0, offer.candidate.id, member=member) for member in everybody),
    ):
        mallory.say(SettledCommit.of(mallory.epoch, mallory.head, offer.candidate, 0, locks, offer.proposals))
        world.deliver()
        assert matters(world, "alice") == before
    assert Reason.FORGED in refusals(world, "alice")


def test_forged_settled_commits_leave_nothing_behind(world: World) -> None:
    mallory, alice = Insider(world, "mallory"), world.person("alice")
    own = mallory.statement(LOCK, 0, b"c" * 32)
    before = size(alice)
    proposals = tuple(mallory.proposal(Remove(bobs(world)), created_at=number) for number in range(50))
    for number in range(40):
        fake = Candidate(b"commit %d" % number, b"", b"", b"")
        locks = (replace(own, candidate=fake.id),)
        mallory.say(SettledCommit.of(mallory.epoch, mallory.head, fake, 0, locks, proposals))
    world.deliver()
    assert size(alice) == before
    assert not [p for p in world.proposals("alice") if p.kind is ProposalKind.REMOVE]


def test_a_forged_offer_brings_no_proposals(world: World) -> None:
    mallory = Insider(world, "mallory")
    proposals = tuple(mallory.proposal(Remove(bobs(world)), created_at=number) for number in range(50))
    fake = Candidate(b"commit", b"", b"", b"")
    for view in range(8):
        for name in ("alice", "bob", "carol"):
            leader = world.person(name).address
            mallory.say(mallory.offer(fake, view, leader=leader, proposals=proposals, signature=bytes(64)))
    world.deliver()
    assert not [p for p in world.proposals("alice") if p.kind is ProposalKind.REMOVE]


# --- Replays ------------------------------------------------------------------------------------------------------


def test_a_removal_that_was_committed_means_nothing_to_who_returned(world: World) -> None:
    world.do("alice", lambda group: group.propose(Remove(target(world)), world.now))
    world.vote_on_everything("bob", "mallory")
    world.run(20_000)
    assert not world.person("carol").is_member
    old = [payload for payload in Insider(world, "mallory").overheard() if isinstance(payload, Proposal | Vote | Offer)]
    world.admit("alice", "carol", "dave")
    mallory = Insider(world, "mallory")
    for _ in range(2):
        for payload in old:
            mallory.say(payload)
        world.run(60_000)
    names = {"alice", "bob", "carol", "dave", "mallory"}
    assert {person.name for person in world.members()} == names
    for name in names:
        assert not [p for p in world.proposals(name) if p.status in (ProposalStatus.OPEN, ProposalStatus.APPROVED)]


def test_a_leave_that_was_committed_means_nothing_to_who_returned(world: World) -> None:
    world.do("carol", lambda group: group.leave(world.now))
    world.run(20_000)
    assert not world.person("carol").is_member
    old = [payload for payload in Insider(world, "mallory").overheard() if isinstance(payload, Proposal)]
    world.admit("alice", "carol", "dave")
    mallory = Insider(world, "mallory")
    for payload in old:
        mallory.say(payload)
    world.run(60_000)
    assert {person.name for person in world.members()} == {"alice", "bob", "carol", "dave", "mallory"}


def test_a_removal_that_was_forgotten_cannot_be_brought_back(world: World) -> None:
    """Ended work is dropped only together with the electorate that could decide it again."""
    mallory = Insider(world, "mallory")
    for person in (mallory, Insider(world, "bob")):
        for number in range(8):
            person.say(person.proposal(Remove(target(world)), created_at=world.now + number))
    world.deliver()
    world.vote_on_everything("alice", "bob", "mallory")
    world.run(20_000)
    assert not world.person("carol").is_member
    old = [payload for payload in mallory.overheard() if isinstance(payload, Proposal | Vote)]
    for number in range(bounds.PAST_EPOCHS + 6):
        for insider in (Insider(world, "mallory"), Insider(world, "bob")):
            for serial in range(8):
                insider.say(insider.proposal(Remove(world.person("alice").address), created_at=world.now + serial))
        world.deliver()
        for name in ("alice", "bob", "mallory"):
            for p in world.proposals(name):
                if p.may_vote and p.kind is ProposalKind.REMOVE:
                    world.do(name, lambda group, it=p: group.vote(it.proposal_id, False, world.now))  # type: ignore[misc]
        world.deliver()
        world.admit("alice", f"guest {number}")
        world.do(f"guest {number}", lambda group: group.leave(world.now))
        world.run(20_000)
    world.admit("alice", "carol")
    mallory = Insider(world, "mallory")
    for payload in old:
        mallory.say(payload)
    world.run(60_000)
    assert world.person("carol").is_member
    assert "carol" in {world.name_of(member.address) for member in world.person("alice").group.members()}


def test_messages_of_a_former_member_under_its_old_keys_mean_nothing(world: World) -> None:
    mallory = Insider(world, "mallory")
    world.do("alice", lambda group: group.propose(Remove(mallory.address), world.now))
    world.vote_on_everything("bob", "carol")
    world.run(20_000)
    assert not world.person("mallory").is_member
    before = matters(world, "alice")
    alice = world.person("alice").address
    for payload in (
        mallory.proposal(Remove(target(world))),
        mallory.proposal(Leave()),
        mallory.statement(ACK, 0, b"c" * 32),
        mallory.digest(alice),
        mallory.offer(Candidate(b"c", b"", b"", b"")),
    ):
        mallory.say(payload)
    world.run(60_000)
    assert matters(world, "alice") == before


# --- Newcomers that do not fit ------------------------------------------------------------------------------------


def key_package(world: World, name: str, leaf: str | None = None, supported: Any = SUPPORTED_EXTENSIONS) -> bytes:
    """A key package of ``name`` with the leaf key of ``leaf``, correctly bound by the wallet."""
    person = world.person(name)
    device = replace(world.device(name))
    key = DEVICES.setdefault((id(world), leaf or name), device)
    sentence = binding_sentence(person.address, key.leaf_key, "laptop", Instant(world.now), Instant(world.now + 10**9))
    binding = Binding(world.now, world.now + 10**9, wallet_sign(person.wallet, sentence.encode()))
    bound = replace(device, leaf_key=key.leaf_key, leaf_private=key.leaf_private, binding=binding)
    package = person.engine.key_package(
        signature_private=bound.leaf_private,
        credential=bound.credential(),
        extensions=bound.extensions(),
        supported=supported,
    )
    return package.public.encoded


DEVICES: dict[tuple[int, str], Any] = {}


def test_a_key_package_that_lacks_what_the_group_requires_is_not_voted_on(world: World) -> None:
    package = key_package(world, "fred", supported=())
    with pytest.raises(BadInvite, match="does not fit this group"):
        world.do("bob", lambda group: group.propose(Invite(package), world.now))
    mallory = Insider(world, "mallory")
    mallory.say(mallory.proposal(Invite(package)))
    world.deliver()
    assert not [p for p in world.proposals("alice") if p.status is ProposalStatus.OPEN]


def test_two_newcomers_with_one_key_do_not_stop_the_group(world: World) -> None:
    """One is admitted; the other's invite is withdrawn, and other work goes on."""
    for name in ("fred", "gina"):
        package = key_package(world, name, leaf="fred")
        world.do("bob", lambda group, it=package: group.propose(Invite(it), world.now))  # type: ignore[misc]
    world.deliver()
    world.vote_on_everything("alice", "carol", "mallory")
    world.run(60_000)
    statuses = sorted(p.status for p in world.proposals("alice") if p.owner == bobs(world))
    assert statuses == [ProposalStatus.COMMITTED, ProposalStatus.WITHDRAWN]
    world.do("carol", lambda group: group.leave(world.now))
    world.run(60_000)
    assert not world.person("carol").is_member


def test_two_newcomers_with_one_key_are_not_missed_however_long_it_takes(world: World) -> None:
    world.hold = lambda person, envelope: person.name in ("carol", "mallory")
    for name in ("fred", "gina"):
        package = key_package(world, name, leaf="fred")
        world.do("bob", lambda group, it=package: group.propose(Invite(it), world.now))  # type: ignore[misc]
    world.vote_on_everything("alice", "bob")
    world.run(5 * bounds.MINUTE)  # approved by silence, and longer than anybody's patience
    world.heal()
    world.run(5 * bounds.MINUTE)
    statuses = sorted(p.status for p in world.proposals("alice") if p.owner == bobs(world))
    assert statuses == [ProposalStatus.COMMITTED, ProposalStatus.WITHDRAWN]


# --- Bounds -------------------------------------------------------------------------------------------------------


def test_a_member_has_a_bounded_number_of_open_proposals(world: World) -> None:
    mallory = Insider(world, "mallory")
    for number in range(3 * bounds.OPEN_PROPOSALS_PER_MEMBER_MAX):
        mallory.say(mallory.proposal(Remove(target(world)), created_at=number))
    world.deliver()
    assert len([p for p in world.proposals("alice") if p.owner == mallory.address]) == (
        bounds.OPEN_PROPOSALS_PER_MEMBER_MAX
    )
    assert Reason.LIMIT in refusals(world, "alice")


def test_a_member_opens_a_bounded_number_of_proposals_in_an_epoch(world: World) -> None:
    """Also if each is voted down before the next comes."""
    mallory = Insider(world, "mallory")
    opened = 0
    while opened < 2 * bounds.PROPOSALS_PER_MEMBER_AND_EPOCH_MAX:
        proposal = mallory.proposal(Remove(target(world)), created_at=opened)
        opened += 1
        mallory.say(proposal)
        world.deliver()
        for name in ("alice", "carol"):
            for p in world.proposals(name):
                if p.may_vote:
                    world.do(name, lambda group, it=p: group.vote(it.proposal_id, False, world.now))  # type: ignore[misc]
        world.deliver()
    owned = [p for p in world.proposals("alice") if p.owner == mallory.address]
    assert len(owned) == bounds.PROPOSALS_PER_MEMBER_AND_EPOCH_MAX


def test_votes_on_unknown_proposals_are_bounded_and_the_newest_are_kept(world: World) -> None:
    """Old votes of a member, said again by somebody else, cannot keep out its new ones."""
    bob = Insider(world, "bob")
    old = [bob.vote(bytes([number]) * 32, True) for number in range(1, 5 * bounds.EARLY_VOTES_PER_MEMBER_MAX)]
    mallory = Insider(world, "mallory")
    for vote in old:
        mallory.say(vote)
    world.deliver()
    world.hold = lambda person, envelope: person.name == "alice" and envelope.sender == "carol"
    world.do("carol", lambda group: group.propose(Remove(mallory.address), world.now))
    world.deliver()
    world.vote_on_everything("bob")
    world.heal()
    proposal = next(p for p in world.proposals("alice") if p.kind is ProposalKind.REMOVE)
    assert proposal.yes == 2
    assert size(world.person("alice"))[0] < 60


def test_no_request_is_lost_when_many_come_at_once() -> None:
    """More than one member may open votes on at a time: the rest waits its turn."""
    world = World(9)
    world.found("alice")
    guests = [f"guest {number}" for number in range(3 * bounds.OPEN_PROPOSALS_PER_MEMBER_MAX)]
    for guest in guests:
        world.ask(guest, world.link("alice"))
    for _ in range(12):
        world.run(5_000)
        world.vote_on_everything(*(person.name for person in world.members()))
    assert all(world.person(guest).is_member for guest in guests)


def test_requests_to_join_are_bounded(world: World) -> None:
    alice, mallory = world.person("alice"), Insider(world, "mallory")
    for person in world.people.values():
        person.online = person is alice
    mallory_engine = mallory.person.engine
    for issuer in ("mallory", "bob", "carol"):
        insider = Insider(world, issuer)
        for number in range(bounds.INVITES_PER_MEMBER_MAX + 8):
            package = key_package(world, f"guest {issuer} {number}")
            token = mallory_engine.random(16)
            expires = world.now + bounds.HOUR
            signature = insider.sign(INVITE_LABEL, invite_content(insider.group_id, token, expires, insider.address))
            mallory.say(JoinRequest(package, token, expires, insider.address, signature), mallory.rendezvous)
    world.deliver()
    waiting = [key for key in alice.records if key.startswith(b"request/")]
    tokens = [key for key in alice.records if key.startswith(b"token/")]
    assert len(waiting) <= bounds.REQUESTS_MAX
    assert len(tokens) <= 3 * bounds.INVITES_PER_MEMBER_MAX + 3  # of alice's own links
    open_invites = [p for p in world.proposals("alice") if p.kind is ProposalKind.INVITE and p.status == "open"]
    assert len(open_invites) <= bounds.OPEN_PROPOSALS_PER_MEMBER_MAX


def test_a_request_without_a_genuine_token_leaves_nothing(world: World) -> None:
    mallory, alice = Insider(world, "mallory"), world.person("alice")
    before = size(alice)
    for number in range(20):
        package = key_package(world, f"guest {number}")
        mallory.say(
            JoinRequest(package, bytes(16), world.now + bounds.HOUR, world.person("alice").address, bytes(64)),
            mallory.rendezvous,
        )
    world.deliver()
    assert size(alice) == before


def test_digests_are_answered_seldom(world: World) -> None:
    """A digest that is said again and again does not make others shout."""
    world.do("bob", lambda group: group.propose(Remove(world.person("carol").address), world.now))
    world.deliver()
    mallory = Insider(world, "mallory")
    wanted = mallory.digest(world.person("alice").address)
    published = world.published
    for _ in range(50):
        mallory.say(wanted)
    world.deliver()
    answers = world.published - published - 50
    assert 0 < answers <= 10


def test_settled_commits_are_said_again_seldom(world: World) -> None:
    mallory = Insider(world, "mallory")
    world.admit("alice", "fred")
    published = world.published
    old = mallory.digest(world.person("alice").address)
    for _ in range(50):
        mallory.say(old)
    world.deliver()
    assert world.published - published - 50 <= 4


def test_a_welcome_is_said_again_seldom(world: World) -> None:
    """A request of somebody who was admitted, said again by others, does not make members repeat a large welcome."""
    world.lose = lambda person, envelope: person.name == "fred"
    joining = world.ask("fred", world.link("alice"))
    world.run(5_000)
    world.vote_on_everything("alice", "bob", "carol", "mallory")
    world.run(60_000)
    assert not world.person("fred").is_member
    assert "fred" in {member.name for member in world.person("alice").group.members()}
    requests = world.log[Insider(world, "mallory").rendezvous.topic]
    said = next(envelope for envelope in reversed(requests) if envelope.sender == "fred")
    before = len(world.log[joiner_channel(joining.key_package).topic])
    for _ in range(30):
        world.publish(Insider(world, "mallory").rendezvous.topic, said.payload, "mallory")
    world.deliver()
    assert len(world.log[joiner_channel(joining.key_package).topic]) - before <= 8


def test_channels_and_settled_commits_of_old_epochs_are_dropped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the newest channels only is anything read; older ones serve to answer on, as long as there is an answer."""
    monkeypatch.setattr(bounds, "SETTLED_KEPT", 8)
    for number in range(bounds.CHANNELS_KEPT + 4):
        world.admit("alice", f"guest {number}")
        world.do(f"guest {number}", lambda group: group.leave(world.now))
        world.run(20_000)
    alice = world.person("alice")
    assert len(alice.group.topics()) == bounds.CHANNELS_KEPT + 3
    kept = {
        prefix: sum(key.startswith(prefix) for key in alice.records)
        for prefix in (b"channel/", b"back/", b"owners/", b"settled/")
    }
    newest = bounds.CHANNELS_KEPT + 1
    assert kept == {b"channel/": newest, b"back/": 9, b"owners/": newest, b"settled/": 8}


def test_ended_proposals_are_dropped() -> None:
    world = World(5)
    world.group_of("alice", "bob", "mallory")
    for number in range(12):
        mallory = Insider(world, "mallory")
        for serial in range(8):
            mallory.say(mallory.proposal(Remove(bobs(world)), created_at=serial))
        world.deliver()
        for name in ("alice", "bob"):
            for p in world.proposals(name):
                if p.may_vote:
                    world.do(name, lambda group, it=p: group.vote(it.proposal_id, False, world.now))  # type: ignore[misc]
        world.deliver()
        world.admit("alice", f"guest {number}")
        world.do(f"guest {number}", lambda group: group.leave(world.now))
        world.run(20_000)
    alice = world.person("alice")
    kept = len([key for key in alice.records if key.startswith(b"proposal/")])
    in_recent_epochs = 10 * (bounds.PAST_EPOCHS + 2)
    assert kept <= bounds.ENDED_PROPOSALS_KEPT + in_recent_epochs
    assert kept == len(world.proposals("alice"))


def test_an_inbox_answers_a_bounded_number_of_requests_an_hour(world: World) -> None:
    bob = world.person("bob")
    inbox, _ = Inbox.create(engine=bob.engine, now=world.now)
    inbox.devices = lambda now: world.device("bob")
    channel = channel_of(inbox.contact(bob.address, "Bob", "").inbox)
    for hour in range(2):
        now = Instant(world.now + hour * bounds.HOUR)
        answered = 0
        for number in range(ANSWERS_PER_HOUR_MAX + 10):
            request = seal(channel, KeyPackageRequest(bytes([hour, number]) * 16), bob.engine)
            answered += len(inbox.receive(channel.topic, request, now).outbound)
            inbox.take_new()
        assert answered == ANSWERS_PER_HOUR_MAX
    assert len(inbox.snapshot()) == 1


def test_the_same_request_to_an_inbox_is_answered_once(world: World) -> None:
    bob = world.person("bob")
    inbox, _ = Inbox.create(engine=bob.engine, now=world.now)
    inbox.devices = lambda now: world.device("bob")
    channel = channel_of(inbox.contact(bob.address, "Bob", "").inbox)
    request = seal(channel, KeyPackageRequest(bytes(32)), bob.engine)
    assert len(inbox.receive(channel.topic, request, world.now).outbound) == 1
    assert len(inbox.receive(channel.topic, request, world.now).outbound) == 0


def test_a_chat_counter_far_ahead_costs_little(world: World) -> None:
    """A member may count as it likes: gaps are ranges, and only the newest messages of them are asked for."""
    alice, mallory = world.person("alice"), world.person("mallory")
    world.do("mallory", lambda group: group.send("one", world.now))
    world.deliver()
    key = b"chat/sent"
    before = size(alice)[1]
    mallory.records[key] = b"\xcf" + (2**40).to_bytes(8, "big")
    world.restart("mallory")
    world.do("mallory", lambda group: group.send("two", world.now))
    world.deliver()
    assert alice.heard()[-2:] == ["one", "two"]
    assert size(alice)[1] < before + 20_000
    world.run(30 * 60_000)
    assert len(alice.told(MessagesMissing)) == 2


def test_however_much_is_going_on_digests_and_syncs_can_be_read() -> None:
    """Members together can have more open than a message states: the rest is left to the next one."""
    world = World(9)
    world.group_of("alice", "bob", "carol", "mallory", policy=PRESETS["day"])
    assert bounds.PROPOSALS_PER_MEMBER_AND_EPOCH_MAX * 4 * 3 > STATED_PROPOSALS_MAX
    state = world.person("alice").group
    for insider in (Insider(world, name) for name in ("bob", "carol", "mallory")):
        for serial in range(bounds.OPEN_PROPOSALS_PER_MEMBER_MAX):
            insider.say(insider.proposal(Remove(world.person("alice").address), created_at=serial, duration=bounds.DAY))
    world.deliver()
    assert len([p for p in state.view(world.now).proposals if p.status is ProposalStatus.OPEN]) == 24
    world.ask("fred", world.link("alice"))
    world.run(5_000)
    for name in ("alice", "bob", "carol"):
        for p in world.proposals(name):
            if p.kind is ProposalKind.INVITE and p.may_vote:
                world.do(name, lambda group, it=p: group.vote(it.proposal_id, True, world.now))  # type: ignore[misc]
    world.run(20_000)
    open_for_fred = [p for p in world.proposals("fred") if p.status is ProposalStatus.OPEN]
    assert len(open_for_fred) == 24
    assert not any(p.may_vote for p in open_for_fred)
