"""A joiner believes nothing that does not prove itself, and asks until it gets an answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest
from demls.protocol.candidates import JOINER_EXTENSION
from demls.protocol.channel import channel_of, joiner_channel, seal, unseal
from demls.protocol.contacts import Fetching, Inbox
from demls.protocol.credential import Device
from demls.protocol.events import Joined, JoinRefused, Reason, Rejected, RequestReceived
from demls.protocol.joining import ASK_AGAIN_FIRST, ASK_AGAIN_MOST, Joining
from demls.protocol.policy import DAY, HOUR, MINUTE, PRESETS
from demls.protocol.sync import BUNDLE_DATA, build_sync, seal_bundle
from demls.wire.chain import Electorate, KeyAge, Seat, StewardListing, Succession, electorate_hash, succession_hash
from demls.wire.ids import Instant
from demls.wire.messages import (
    Candidate,
    Contact,
    Invite,
    JoinAnswer,
    JoinerBundle,
    JoinerSecrets,
    JoinRequest,
    KeyPackageAnswer,
    KeyPackageRequest,
    PastElectorate,
    Remove,
    SettledCommit,
    Sync,
    Told,
    WelcomeBundle,
    decode_message,
    encode_message,
)
from demls.wire.statements import RoundStatement, StatementKind
from insider import Insider
from world import World


@dataclass
class Waiting:
    """Dave was admitted, and the welcome is on its way to him."""

    world: World
    joining: Joining
    welcome: WelcomeBundle
    settled: SettledCommit
    """The commit that admits, as the members hold it."""

    def receive(self, welcome: WelcomeBundle) -> list[Any]:
        channel = joiner_channel(self.joining.key_package)
        sealed = seal(channel, welcome, self.world.person("alice").engine)
        return list(self.joining.receive(channel.topic, sealed, self.world.now).events)

    @property
    def key(self) -> bytes:
        return self.settled.candidate.joiner_key

    def open(self) -> JoinerBundle:
        """What is in the bundle."""
        plain = self.world.person("alice").engine.unseal(self.key, self.welcome.bundle, BUNDLE_DATA)
        assert plain is not None
        return decode_message(plain, JoinerBundle)

    def sealed(self, content: JoinerBundle, key: bytes | None = None) -> WelcomeBundle:
        """The welcome with another bundle."""
        engine = self.world.person("alice").engine
        return replace(self.welcome, bundle=engine.seal(key or self.key, encode_message(content), BUNDLE_DATA))

    def with_settled(self, **fields: Any) -> WelcomeBundle:
        content = self.open()
        return self.sealed(replace(content, settled=replace(content.settled, **fields)))


@pytest.fixture
def waiting() -> Waiting:
    return admitted(World(8))


def admitted(world: World, name: str = "dave") -> Waiting:
    world.group_of("alice", "bob", "carol")
    joining = world.ask(name, world.link("alice"))
    world.person(name).online = False
    world.run(1_000)
    world.vote_on_everything("alice", "bob", "carol")
    world.run(10_000)
    channel = joiner_channel(joining.key_package)
    engine = world.person("alice").engine
    welcome = unseal(channel, world.log[channel.topic][-1].payload, engine)
    assert isinstance(welcome, WelcomeBundle)
    state = world.person("alice").group._state
    assert state is not None
    settled = state.history.leaving(state.epoch - 1)
    assert settled is not None
    return Waiting(world, joining, welcome, settled)


def test_a_genuine_welcome_makes_a_member(waiting: Waiting) -> None:
    events = waiting.receive(waiting.welcome)
    assert [type(event) for event in events] == [Joined]
    group, alice = waiting.joining.group, waiting.world.person("alice").group
    assert group is not None
    now = waiting.world.now
    assert group.view(now).authenticator == alice.view(now).authenticator
    assert group.view(now).stewards == alice.view(now).stewards


def standing(records: dict[bytes, bytes]) -> dict[str, Any]:
    kept: dict[str, Any] = msgspec.msgpack.decode(records[b"standing"])
    return {name: kept[name] for name in ("head", "time", "stewards", "lost", "dormant")}


def test_who_reads_along_at_the_rendezvous_learns_nothing_from_a_welcome(waiting: Waiting) -> None:
    """The channel's key follows from the joiner's request, which whoever had a link once can read."""
    sent = encode_message(waiting.welcome)
    candidate = waiting.settled.candidate
    hidden = (
        candidate.joiner_key,
        candidate.sync,
        candidate.commit,
        *waiting.settled.signatures,
    )
    assert not [piece for piece in hidden if piece in sent]


def test_a_joiner_is_in_the_same_state_as_the_others(waiting: Waiting) -> None:
    """Head, chain time and steward list, and who joined when."""
    waiting.receive(waiting.welcome)
    assert waiting.joining.group is not None
    mine, alice = waiting.joining.group.snapshot(), waiting.world.person("alice").records
    assert standing(mine) == standing(alice)
    assert mine[b"since"] == alice[b"since"]


def settled_with(**fields: Any) -> Callable[[Waiting], WelcomeBundle]:
    return lambda w: w.with_settled(**fields)


def candidate_with(**fields: Any) -> Callable[[Waiting], WelcomeBundle]:
    return lambda w: w.with_settled(candidate=replace(w.open().settled.candidate, **fields))


def with_sync(**fields: Any) -> Callable[[Waiting], WelcomeBundle]:
    """Another sync, both in the bundle and in the certificate, as a forger would do."""
    return forged_sync(lambda sync: replace(sync, **fields))


def forged_sync(change: Callable[[Sync], Sync]) -> Callable[[Waiting], WelcomeBundle]:
    def build(w: Waiting) -> WelcomeBundle:
        sync = encode_message(change(decode_message(w.settled.candidate.sync, Sync)))
        return candidate_with(sync=sync)(w)

    return build


def told_with(change: Callable[[Told], Told]) -> Callable[[Waiting], WelcomeBundle]:
    """Something else is told than the certified sync names."""

    def build(w: Waiting) -> WelcomeBundle:
        content = w.open()
        return w.sealed(replace(content, told=change(content.told)))

    return build


def forged(change: Callable[[Told], Told]) -> Callable[[Waiting], WelcomeBundle]:
    """Something else is told, and the sync names it."""

    def build(w: Waiting) -> WelcomeBundle:
        content = w.open()
        told, candidate = change(content.told), content.settled.candidate
        sync = replace(decode_message(candidate.sync, Sync), **names_of(told))
        settled = replace(content.settled, candidate=replace(candidate, sync=encode_message(sync)))
        return w.sealed(replace(content, told=told, settled=settled))

    return build


def names_of(told: Told) -> dict[str, Any]:
    return {
        "electorate": electorate_hash(encode_message(told.electorate)),
        "succession": succession_hash(encode_message(told.succession)),
        "electorates": tuple(PastElectorate(o.epoch, electorate_hash(encode_message(o))) for o in told.electorates),
    }


def with_listing(told: Told, **fields: Any) -> Told:
    succession = told.succession
    return replace(told, succession=replace(succession, stewards=replace(succession.stewards, **fields)))


def listing_with(**fields: Any) -> Callable[[Waiting], WelcomeBundle]:
    return forged(lambda told: with_listing(told, **fields))


def locks(change: Callable[[Waiting, tuple[RoundStatement, ...]], Any]) -> Callable[[Waiting], WelcomeBundle]:
    """With other locks, of which the bundle tells members and signatures."""

    def build(w: Waiting) -> WelcomeBundle:
        other = change(w, w.settled.certificate.statements())
        return w.with_settled(
            signers=tuple(lock.member for lock in other), signatures=tuple(lock.signature for lock in other)
        )

    return build


def other_groups(w: Waiting) -> WelcomeBundle:
    return admitted(World(9)).welcome


def tampered_tree(w: Waiting) -> WelcomeBundle:
    content = w.open()
    tree = bytearray(content.ratchet_tree)
    tree[len(tree) // 2] ^= 1
    return w.sealed(replace(content, ratchet_tree=bytes(tree)))


REFUSED: dict[str, Callable[[Waiting], WelcomeBundle]] = {
    "for somebody else's key package": other_groups,
    "that is garbled": lambda w: replace(w.welcome, welcome=w.welcome.welcome[:-1] + b"\x00"),
    "that is no welcome": lambda w: replace(w.welcome, welcome=b"welcome"),
    "whose bundle is sealed with another key": lambda w: w.sealed(w.open(), b"k" * 32),
    "whose bundle is garbled": lambda w: replace(w.welcome, bundle=w.welcome.bundle[:-1] + b"\x00"),
    "with another tree": tampered_tree,
    "with a sync of another group": with_sync(group_id=b"g" * 32),
    "with a sync of another epoch": with_sync(epoch=7),
    "with a sync of another state": with_sync(head=b"h" * 32),
    "with other members than its sync names": told_with(
        lambda told: replace(told, electorate=replace(told.electorate, seats=told.electorate.seats[:-1]))
    ),
    "with other stewards than its sync names": told_with(lambda told: with_listing(told, members=(b"s" * 20,))),
    "with a past that its sync does not name": told_with(
        lambda told: replace(told, electorates=(*told.electorates, replace(told.electorate, epoch=77)))
    ),
    "with an epoch that it tells twice": told_with(
        lambda told: replace(told, electorates=(*told.electorates, *told.electorates[:1]))
    ),
    "with a sync of other members": forged(
        lambda told: replace(told, electorate=replace(told.electorate, seats=(Seat(b"m" * 20, 0, b"k" * 32, 0),)))
    ),
    "with a sync with the members of another epoch": forged(
        lambda told: replace(told, electorate=replace(told.electorate, epoch=told.electorate.epoch + 1))
    ),
    "with a sync with other stewards": listing_with(members=(b"s" * 20,)),
    "with a sync with stewards in another order": forged(
        lambda told: with_listing(told, members=told.succession.stewards.members[::-1])
    ),
    "with a sync with no stewards": listing_with(members=()),
    "with a sync with stewards of another round": listing_with(retry_round=1),
    "with a sync that leaves out a steward": forged(
        lambda told: with_listing(told, members=told.succession.stewards.members[1:])
    ),
    "with a sync that calls a stranger dormant": forged(
        lambda told: replace(told, succession=replace(told.succession, dormant=(b"s" * 20,)))
    ),
    "with a sync of another time": with_sync(time=1),
    "with a certificate of another epoch": settled_with(epoch=0),
    "with a certificate of another state": settled_with(head=b"h" * 32),
    "with a certificate of another view": settled_with(view=3),
    "with a certificate of another commit": candidate_with(commit=b"c"),
    "with a certificate of another sync": candidate_with(sync=b"s"),
    "with one lock": locks(lambda w, held: held[:1]),
    "with one lock twice": locks(lambda w, held: held[:1] * 2),
    "with a lock that nobody signed": locks(lambda w, held: (held[0], replace(held[1], signature=bytes(64)))),
    "with a lock of a stranger": locks(lambda w, held: (held[0], replace(held[1], member=b"x" * 20))),
    "with acks for locks": locks(
        lambda w, held: tuple(Insider(w.world, n).statement(StatementKind.ACK, 0, b"") for n in ("alice", "bob"))
    ),
    "with fewer signatures than signers": lambda w: w.with_settled(signatures=w.settled.signatures[:1]),
    "with more signatures than signers": lambda w: w.with_settled(signatures=w.settled.signatures * 2),
    "with the joiner's own lock": locks(
        lambda w, held: (held[0], replace(held[1], member=w.world.person("dave").address))
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_welcome_is_refused(case: str, waiting: Waiting) -> None:
    before = waiting.joining.snapshot()
    events = waiting.receive(REFUSED[case](waiting))
    assert [event.reason for event in events] == [Reason.INVALID]
    assert waiting.joining.group is None
    assert waiting.joining.snapshot() == before


def test_a_genuine_welcome_still_counts_after_forged_ones(waiting: Waiting) -> None:
    for build in REFUSED.values():
        waiting.receive(build(waiting))
    assert [type(event) for event in waiting.receive(waiting.welcome)] == [Joined]


def test_a_welcome_to_another_group_than_the_one_asked_is_refused() -> None:
    """Somebody who saw the key package admits it to a group of its own."""
    world = World(8)
    world.group_of("alice", "bob")
    joining = world.ask("dave", world.link("alice"))
    world.person("dave").online = False
    world.found("mallory")
    world.do("mallory", lambda group: group.propose(Invite(joining.key_package), world.now))
    world.run(10_000)
    assert len(world.person("mallory").group.members()) == 2
    world.person("dave").online = True
    world.deliver()
    assert not world.person("dave").is_member
    refusals = [event for event in world.person("dave").events if isinstance(event, Rejected)]
    assert refusals[-1].detail == "a welcome to another group than the one asked"


def test_a_stale_welcome_leads_to_the_present(waiting: Waiting) -> None:
    """It was on its way for some epochs: the joiner catches up from there."""
    world = waiting.world
    world.admit("alice", "erin")
    world.do("bob", lambda group: group.leave(world.now))
    world.run(20_000)
    world.person("dave").online = True
    world.run(10_000)
    dave, alice = world.person("dave").group, world.person("alice").group
    assert dave.view(world.now).epoch == alice.view(world.now).epoch
    assert dave.view(world.now).authenticator == alice.view(world.now).authenticator


def test_the_next_member_sends_the_welcome_if_the_first_does_not(waiting: Waiting) -> None:
    world = World(10)
    world.group_of("alice", "bob", "carol")
    joining = world.ask("dave", world.link("bob"))
    world.run(1_000)
    world.lose = lambda person, envelope: person.name == "dave" and envelope.sender == "alice"
    world.vote_on_everything("alice", "bob", "carol")
    world.run(2_000)
    assert joining.group is None
    world.run(20_000)
    assert world.person("dave").is_member


def test_a_joiner_whose_welcome_was_lost_asks_again_and_gets_it() -> None:
    world = World(10)
    world.group_of("alice", "bob", "carol")
    world.ask("dave", world.link("bob"))
    world.run(1_000)
    world.lose = lambda person, envelope: person.name == "dave"
    world.vote_on_everything("alice", "bob")
    world.run(100_000)
    assert not world.person("dave").is_member
    world.lose = lambda person, envelope: False
    world.run(HOUR)
    assert world.person("dave").is_member


def test_a_joiner_asks_again_ever_more_rarely_and_not_for_ever() -> None:
    world = World(10)
    world.found("alice")
    link = world.link("alice", DAY)
    person = world.person("dave")
    joining, effects = Joining.ask(link, device=world.device("dave"), engine=person.engine, now=world.now)
    pauses, now = [], world.now
    while effects.deadline is not None:
        pauses.append(effects.deadline - now)
        now = effects.deadline
        effects = joining.tick(now)
        assert len(effects.outbound) == 1
    assert pauses[0] == ASK_AGAIN_FIRST
    assert pauses == sorted(pauses)
    assert pauses[-1] == ASK_AGAIN_MOST
    assert now <= link.expires + ASK_AGAIN_MOST


def test_a_joining_goes_on_after_a_restart() -> None:
    world = World(10)
    world.group_of("alice", "bob")
    world.ask("dave", world.link("alice"))
    world.restart("dave")
    world.run(1_000)
    world.restart("dave")
    world.vote_on_everything("alice", "bob")
    world.run(10_000)
    assert world.person("dave").is_member
    world.restart("dave")
    world.do("dave", lambda group: group.send("here", world.now))
    world.deliver()
    assert world.person("alice").heard() == ["here"]


def test_an_answer_is_told_once_and_makes_asking_rare() -> None:
    """Anybody who reads along at the rendezvous could have sent it."""
    world = World(10)
    joining = joining_of(world)
    channel = joiner_channel(joining.key_package)
    engine = world.person("alice").engine
    answer = seal(channel, JoinAnswer("Sorry, no.", bytes(20), bytes(64)), engine)
    effects = joining.receive(channel.topic, answer, world.now)
    assert effects.events == (JoinRefused("Sorry, no."),)
    assert effects.deadline == joining.asked_at + ASK_AGAIN_MOST
    assert joining.refused == "Sorry, no."
    assert not joining.receive(channel.topic, answer, world.now).events


def joining_of(world: World) -> Joining:
    world.group_of("alice", "bob")
    return world.ask("dave", world.link("alice"))


def test_a_request_is_put_to_one_vote_however_often_and_late_it_comes() -> None:
    world = World(10)
    world.group_of("alice", "bob", "carol")
    joining = joining_of_dave(world)
    world.run(1_000)
    world.vote_on_everything("alice", "bob", yes=False)
    world.run(1_000)
    insider = Insider(world, "carol")
    request = world.log[insider.rendezvous.topic][-1]
    for _ in range(3):
        world.publish(insider.rendezvous.topic, request.payload, "dave")
        world.run(30_000)
        for name in ("alice", "bob", "carol"):
            invites = [p for p in world.proposals(name) if p.subject == world.person("dave").address]
            assert len(invites) == 1, name
    assert joining.group is None


def joining_of_dave(world: World) -> Joining:
    return world.ask("dave", world.link("alice"))


def test_a_member_that_gets_a_request_after_its_vote_opens_no_other() -> None:
    world = World(10)
    world.group_of("alice", "bob", "carol")
    link = world.link("alice")
    topic = channel_of(link.rendezvous).topic
    held = []

    def hold(person: Any, envelope: Any) -> bool:
        is_request = envelope in world.log.get(topic, [])
        if person.name == "carol" and is_request:
            held.append(envelope)
        return person.name == "carol" and is_request

    world.hold = hold
    world.ask("dave", link)
    world.run(1_000)
    world.vote_on_everything("alice", "bob", yes=False)
    world.run(1_000)
    world.heal()
    assert held
    world.run(60_000)
    invites = [p for p in world.proposals("carol") if p.subject == world.person("dave").address]
    assert [p.status for p in invites] == ["rejected"]


def test_the_next_leader_opens_the_vote_if_the_first_is_away() -> None:
    world = World(10)
    world.group_of("alice", "bob", "carol")
    world.person("alice").online = False
    world.ask("dave", world.link("bob"))
    world.run(2_000)
    assert not [p for p in world.proposals("bob") if p.status == "open"]
    world.run(10_000)
    assert [p.kind for p in world.proposals("bob") if p.status == "open"] == ["invite"]
    assert [p.kind for p in world.proposals("carol") if p.status == "open"] == ["invite"]


@pytest.mark.parametrize(("act", "opened"), [("sponsor", 1), ("dismiss", 0)])
def test_a_member_may_sponsor_or_dismiss_a_request_at_once(act: str, opened: int) -> None:
    world = World(10)
    world.group_of("alice", "bob", "carol")
    world.person("alice").online = False
    world.ask("dave", world.link("bob"))
    world.deliver()
    (request,) = world.person("carol").group.view(world.now).requests
    assert (request.name, request.sponsor) == ("dave", world.person("bob").address)
    world.do("carol", lambda group: getattr(group, act)(request.request_id, world.now))
    assert world.person("carol").group.view(world.now).requests == ()
    assert len([p for p in world.proposals("carol") if p.status == "open"]) == opened


@pytest.mark.parametrize("field", ["token", "expires", "issuer"])
def test_a_token_is_bound_to_its_issuer_and_its_end(field: str) -> None:
    world = World(10)
    world.group_of("alice", "bob")
    link = world.link("alice")
    changed = {"token": bytes(16), "expires": link.expires + 1, "issuer": world.person("bob").address}[field]
    world.ask("dave", replace(link, **{field: changed}))
    world.run(10_000)
    assert not [event for event in world.person("alice").events if isinstance(event, RequestReceived)][1:]
    assert "This invite link does not bear the present key of its maker; ask for a new one." in {
        event.detail for event in world.person("alice").events if isinstance(event, Rejected)
    }


def led_away(seats: Callable[[World, Insider], tuple[Seat, ...]], signers: tuple[str, ...]) -> Joining:
    """Mallory admits dave by a commit of its own, with a sync and a certificate that it made up."""
    world = World(10)
    world.group_of("alice", "bob", "carol", "mallory")
    joining = world.ask("dave", world.link("alice"))
    world.person("dave").online = False
    mallory = Insider(world, "mallory")
    engine = mallory.person.engine
    records = {key[4:]: value for key, value in mallory.person.records.items() if key.startswith(b"mls/")}
    mls = engine.load_group(records)
    electorate = Electorate(mallory.epoch, seats(world, mallory), (mallory.address,), PRESETS["quick"])
    ages = tuple(KeyAge(person.address, 0, 0) for person in sorted(world.people.values(), key=lambda one: one.address))
    ages = tuple(age for age in ages if age.member_id != world.person("eve").address)
    follows = Succession(StewardListing((mallory.address,), 0, 0, 0, (), ()), (), (), (), ages)
    state = (mallory.group_id, mallory.epoch, mallory.head)
    told = Told(electorate, follows, (), (), ())
    names = names_of(told)
    sync = encode_message(Sync(*state, names["electorate"], names["succession"], (), world.now, (), bytes(32)))
    key = bytes(32)
    secrets = encode_message(JoinerSecrets(key, hashlib.sha256(sync).digest()))
    built = mls.propose_commit(adds=[joining.key_package], group_info_extensions={JOINER_EXTENSION: secrets})
    mls.merge(built.staged)
    candidate = Candidate(built.commit, built.welcome or b"", key, sync)
    locks = tuple(
        mallory.statement(StatementKind.LOCK, 0, candidate.id, member=world.person(name).address) for name in signers
    )
    settled = SettledCommit.of(mallory.epoch, mallory.head, candidate, 0, locks, ())
    channel = joiner_channel(joining.key_package)
    welcome = seal(channel, seal_bundle(mls, settled, told, engine), engine)
    joining.receive(channel.topic, welcome, world.now)
    return joining


def seat(mallory: Insider, address: bytes, leaf: int = 3) -> Seat:
    """Somebody's seat with mallory's key."""
    return Seat(address, leaf, mallory.record.leaf_key, 0)


MADE_UP: dict[str, tuple[Callable[[World, Insider], tuple[Seat, ...]], tuple[str, ...]]] = {
    "gives another member mallory's key": (
        lambda world, mallory: (seat(mallory, world.person("bob").address, 1), seat(mallory, mallory.address)),
        ("bob", "mallory"),
    ),
    "names somebody twice": (lambda world, mallory: (seat(mallory, mallory.address),) * 2, ("mallory",)),
    "names nobody of the group": (
        lambda world, mallory: (seat(mallory, world.person("eve").address, 0),),
        ("eve",),
    ),
}


@pytest.mark.parametrize("case", MADE_UP)
def test_one_member_cannot_lead_a_joiner_away_with_a_roster_that(case: str) -> None:
    assert led_away(*MADE_UP[case]).group is None


def test_one_member_cannot_lead_a_joiner_away_with_a_roster_that_leaves_others_out() -> None:
    assert led_away(lambda world, mallory: (seat(mallory, mallory.address),), ("mallory",)).group is None


def test_a_joiner_can_judge_what_a_member_that_lags_behind_has_opened() -> None:
    world = World(10)
    world.group_of("alice", "bob", "carol", "dave")
    world.person("bob").online = False
    world.admit("alice", "erin")
    world.admit("alice", "fred")
    world.do("bob", lambda group: group.leave(world.now))
    assert world.person("bob").group.view(world.now).epoch + 2 == world.person("fred").group.view(world.now).epoch
    world.run(30_000)
    assert [p.status for p in world.proposals("fred") if p.kind == "leave"] == ["committed"]
    world.person("bob").online = True
    world.run(10_000)
    assert not world.person("bob").is_member


OTHER_PAST: dict[str, Callable[[Sync], tuple[PastElectorate, ...]]] = {
    "past epochs": lambda sync: tuple(replace(known, hash=bytes(32)) for known in sync.electorates),
    "an epoch that is still to come": lambda sync: (*sync.electorates, PastElectorate(sync.epoch + 7, bytes(32))),
}


@pytest.mark.parametrize("case", OTHER_PAST)
def test_one_leader_cannot_make_up_for_a_joiner(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The members who acknowledge the commit that admits it know better, and the next leader tells the truth."""
    world = World(10)
    world.group_of("alice", "bob", policy=PRESETS["day"])
    world.admit("alice", "carol", "dave")
    made: list[Sync] = []

    def lie(*told: Any) -> Sync:
        sync = build_sync(*told)
        made.append(sync)
        return replace(sync, electorates=OTHER_PAST[case](sync)) if len(made) == 1 else sync

    monkeypatch.setattr("demls.protocol.state.build_sync", lie)
    world.admit("bob", "erin")
    world.run(60_000)
    mine, bobs = (world.person(name).records for name in ("erin", "bob"))
    electorates = {key: raw for key, raw in mine.items() if key.startswith(b"electorate/")}
    assert electorates.items() <= bobs.items()


# --- Contacts -----------------------------------------------------------------------------------------------------


def inbox_of(world: World, name: str) -> tuple[Inbox, Contact]:
    person = world.person(name)
    inbox, _ = Inbox.create(engine=person.engine, now=world.now)
    inbox.devices = lambda now: world.device(name)
    return inbox, inbox.contact(person.address, name, "memory")


def test_a_contact_leads_into_a_group() -> None:
    world = World(10)
    world.group_of("alice", "bob")
    inbox, contact = inbox_of(world, "dave")
    fetching, effects = Fetching.ask(contact, engine=world.person("alice").engine, now=world.now)
    (asked,) = effects.outbound
    answer = inbox.receive(asked.topic, asked.payload, world.now)
    ((joining, begun),) = inbox.take_new()
    assert inbox.take_new() == []
    (replied,) = answer.outbound
    fetching.receive(replied.topic, replied.payload, world.now)
    assert fetching.key_package == joining.key_package
    dave = world.person("dave")
    dave.machine = joining
    world.apply(dave, begun)
    package = fetching.key_package
    assert package is not None
    world.do("alice", lambda group: group.propose(Invite(package), world.now))
    world.vote_on_everything("bob")
    world.run(10_000)
    assert dave.is_member


def test_every_fetched_key_package_is_a_fresh_one() -> None:
    world = World(10)
    inbox, contact = inbox_of(world, "dave")
    channel = channel_of(contact.inbox)
    for number in range(3):
        request = seal(channel, KeyPackageRequest(bytes([number]) * 32), world.person("alice").engine)
        inbox.receive(channel.topic, request, world.now)
    packages = {joining.key_package for joining, _ in [*inbox.take_new()]}
    assert len(packages) == 3


def reply(world: World, fetching: Fetching, key_package: bytes, secret: bytes) -> list[Any]:
    channel = channel_of(secret)
    sealed = seal(channel, KeyPackageAnswer(key_package), world.person("alice").engine)
    return list(fetching.receive(channel.topic, sealed, world.now).events)


def key_package(world: World, name: str, device: Device | None = None) -> bytes:
    joining, _ = Joining.await_welcome(
        device=device or world.device(name), engine=world.person(name).engine, now=world.now
    )
    return joining.key_package


def test_only_a_key_package_of_the_contacts_own_wallet_is_taken() -> None:
    world = World(10)
    inbox, contact = inbox_of(world, "dave")
    fetching, effects = Fetching.ask(contact, engine=world.person("alice").engine, now=world.now)
    (asked,) = effects.outbound
    request = unseal(channel_of(contact.inbox), asked.payload, world.person("dave").engine)
    assert isinstance(request, KeyPackageRequest)
    device = world.device("dave")
    cases = {
        "of another wallet": (key_package(world, "mallory"), Reason.FORGED),
        "that is none": (b"key package", Reason.INVALID),
        "without the wallet's word": (
            key_package(world, "dave", replace(device, binding=replace(device.binding, signature=bytes(65)))),
            Reason.INVALID,
        ),
    }
    for case, (package, reason) in cases.items():
        assert [event.reason for event in reply(world, fetching, package, request.reply)] == [reason], case
        assert fetching.key_package is None
    own = key_package(world, "dave")
    assert reply(world, fetching, own, request.reply) == []
    assert fetching.key_package == own
    assert inbox.topics() != fetching.topics()


def test_an_inbox_goes_on_after_a_restart_and_answers_nothing_twice() -> None:
    world = World(10)
    inbox, contact = inbox_of(world, "dave")
    channel = channel_of(contact.inbox)
    engine = world.person("dave").engine
    request = seal(channel, KeyPackageRequest(bytes(32)), engine)
    inbox.receive(channel.topic, request, world.now)
    again, _ = Inbox.load(inbox.snapshot(), engine=engine, now=world.now)
    again.devices = inbox.devices
    assert again.topics() == inbox.topics()
    assert again.receive(channel.topic, request, world.now).outbound == ()
    later = Instant(world.now + 2 * HOUR)
    assert len(again.receive(channel.topic, seal(channel, KeyPackageRequest(b"n" * 32), engine), later).outbound) == 1


def test_an_inbox_without_a_wallet_at_hand_answers_nothing() -> None:
    world = World(10)
    inbox, contact = inbox_of(world, "dave")
    inbox.devices = None
    channel = channel_of(contact.inbox)
    request = seal(channel, KeyPackageRequest(bytes(32)), world.person("dave").engine)
    effects = inbox.receive(channel.topic, request, world.now)
    assert effects.outbound == effects.changes == ()


def test_work_in_flight_is_known_to_a_joiner_with_its_votes() -> None:
    world = World(12)
    world.found("alice", PRESETS["day"])
    world.admit("alice", "bob")
    world.admit("alice", "carol", "dave")
    world.do("alice", lambda group: group.propose(Remove(world.person("dave").address), world.now))
    world.do("bob", lambda group: group.leave(world.now))
    world.run(MINUTE)
    world.ask("erin", world.link("alice"))
    world.run(1_000)
    for name in ("alice", "carol", "dave"):
        for p in world.proposals(name):
            if p.kind == "invite" and p.may_vote:
                world.do(name, lambda group, it=p: group.vote(it.proposal_id, True, world.now))  # type: ignore[misc]
    world.run(MINUTE)
    (mine,) = [p for p in world.proposals("erin") if p.kind == "remove"]
    (theirs,) = [p for p in world.proposals("alice") if p.kind == "remove"]
    assert (mine.yes, mine.no, mine.voters) == (theirs.yes, theirs.no, theirs.voters) == (1, 0, 3)
    world.do("carol", lambda group: group.vote(theirs.proposal_id, True, world.now))
    world.run(MINUTE)
    assert not world.person("dave").is_member
    assert [m.name for m in world.person("erin").group.members()] == [
        m.name for m in world.person("alice").group.members()
    ]


def test_a_request_for_a_key_package_under_another_name_is_nobodys(waiting: Waiting) -> None:
    insider = Insider(waiting.world, "carol")
    insider.say(JoinRequest(b"rubbish", bytes(16), 1, insider.address, bytes(64)), insider.rendezvous)
    waiting.world.deliver()
    assert [e for e in waiting.world.person("alice").events if isinstance(e, Rejected)]
