"""What a removed member, the thief of a device key, of a wallet, and of both can still do, line by line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from demls.protocol.channel import channel_of, joiner_channel, seal, unseal
from demls.protocol.credential import Device, binding_sentence
from demls.protocol.group import Group
from demls.protocol.joining import Joining
from demls.protocol.policy import PRESETS, SCORING
from demls.protocol.requests import INVITE_LABEL
from demls.protocol.state import GroupState
from demls.protocol.sync import WelcomeRefused, open_welcome
from demls.protocol.views import GroupStatus, ProposalKind, ProposalStatus
from demls.wire.charters import Predecessor
from demls.wire.ids import LeafKey
from demls.wire.messages import (
    Binding,
    Emergency,
    InviteLink,
    JoinRequest,
    Leave,
    Remove,
    WelcomeBundle,
    invite_content,
)
from demls.wire.statements import DoubleStatement, Proof, StatementKind
from demls.wire.violations import Violation
from demls_consensus import wallet_sign
from insider import Insider
from world import World, make_device

ACK = StatementKind.ACK
FOUR = ("alice", "bob", "carol", "mallory")
HONEST = FOUR[:3]


@pytest.fixture
def world() -> World:
    world = World(3)
    world.found("alice", PRESETS["day"])
    world.admit("alice", "bob")
    world.admit("alice", "carol", "mallory")
    world.run(10_000)
    return world


@pytest.fixture
def removed(world: World) -> Insider:
    """Mallory as it was when it was voted out, and is no longer."""
    mallory = Insider(world, "mallory")
    remove(world, "mallory")
    return mallory


def state(world: World, name: str) -> GroupState:
    return world.person(name).group._live()


def score(world: World, by: str, of: str) -> int:
    return state(world, by).scores.of(world.person(of).address, SCORING).points


def proposals(world: World, kind: ProposalKind) -> list[ProposalStatus]:
    return [p.status for p in world.proposals("alice") if p.kind is kind]


def names(world: World) -> list[str]:
    return sorted(person.name for person in world.members())


def remove(world: World, name: str) -> None:
    address = world.person(name).address
    world.do("alice", lambda group: group.propose(Remove(address), world.now))
    world.deliver()
    for other in FOUR:
        for p in world.proposals(other):
            if other != name and p.kind is ProposalKind.REMOVE and p.may_vote:
                world.do(other, lambda group, it=p: group.vote(it.proposal_id, True, world.now))  # type: ignore[misc]
    world.run(20_000)
    assert address not in {member.address for member in world.person("alice").group.members()}


def describe(world: World, name: str, text: str) -> bytes:
    world.do(name, lambda group: group.change_settings(world.now, description=text))
    world.deliver()
    return next(p.proposal_id for p in world.proposals(name) if p.kind is ProposalKind.SETTINGS and p.yes == 1)


def tally(world: World, proposal_id: bytes) -> tuple[int, int, int]:
    seen = next(p for p in world.proposals("alice") if p.proposal_id == proposal_id)
    return seen.yes, seen.no, seen.voters


def stolen_wallet(world: World, victim: str) -> Device:
    """A device of a stranger, bound by the victim's wallet."""
    return make_device(world.person("thief").engine, world.person(victim).wallet, victim, world.now)


def stolen_device(world: World, victim: str) -> Group:
    """A copy of the victim's node: its state with all keys."""
    copy, _ = Group.load(dict(world.person(victim).records), engine=world.person("thief").engine, now=world.now)
    return copy


# --- A removed member -------------------------------------------------------------------------------------------------


def test_a_removed_member_votes_on_nothing_that_was_open_when_it_went(world: World) -> None:
    mallory = Insider(world, "mallory")
    proposal_id = describe(world, "bob", "with or without mallory")
    remove(world, "mallory")
    for channel in mallory.channels.values():
        mallory.say(mallory.vote(proposal_id, False), channel)
    world.run(1_000)
    assert tally(world, proposal_id) == (1, 0, 3)


def test_a_vote_that_a_removed_member_has_cast_counts_no_more(world: World) -> None:
    proposal_id = describe(world, "bob", "with or without mallory")
    world.do("mallory", lambda group: group.vote(proposal_id, False, world.now))  # type: ignore[arg-type]
    world.deliver()
    assert tally(world, proposal_id) == (1, 1, 4)
    remove(world, "mallory")
    assert tally(world, proposal_id) == (1, 0, 3)


def test_a_removed_member_reads_nothing_that_is_said_after_it_and_is_read_for_some_epochs(world: World) -> None:
    """Messages of the epoch in which it was in may come late, so they are read; after three epochs they are not."""
    copy = stolen_device(world, "mallory")
    remove(world, "mallory")
    heard = []
    for number in range(6):
        for outbound in copy.send(f"after {number} epochs", world.now).outbound:
            world.publish(outbound.topic, outbound.payload, "mallory")
        world.do("alice", lambda group, it=number: group.send(f"without mallory {it}", world.now))  # type: ignore[misc]
        describe(world, "alice", f"commit {number}")
        world.vote_on_everything("bob", "carol")
        world.run(10_000)
    for topic, queue in list(world.log.items()):
        for envelope in queue:
            heard += list(copy.receive(topic, envelope.payload, world.now).events)
    assert not [event for event in heard if "without mallory" in getattr(event, "text", "")]
    late = [text for text in world.person("bob").heard() if text.startswith("after")]
    assert "after 0 epochs" in late
    assert "after 4 epochs" not in late


def test_what_a_removed_member_signs_is_no_act_of_a_later_epoch(world: World, removed: Insider) -> None:
    alice = Insider(world, "alice")
    stale = replace(removed.statement(ACK, 0, b"x" * 32), epoch=alice.epoch, head=alice.head)
    removed.head, removed.epoch = alice.head, alice.epoch
    for said in (stale, removed.statement(ACK, 0, b"x" * 32), removed.proposal(Leave())):
        removed.say(said, alice.channel)  # if somebody inside gave it the new channel
    before = world.person("alice").group.view(world.now)
    world.run(60_000)
    after = world.person("alice").group.view(world.now)
    assert (after.epoch, after.authenticator, after.round) == (before.epoch, before.authenticator, before.round)
    assert not [p for p in world.proposals("alice") if p.owner == removed.address and p.status is ProposalStatus.OPEN]


def test_an_invite_link_that_a_removed_member_has_signed_admits_nobody(world: World) -> None:
    link = world.link("mallory")
    remove(world, "mallory")
    world.ask("friend", link)
    world.run(30_000)
    assert ProposalStatus.OPEN not in proposals(world, ProposalKind.INVITE)
    assert not world.person("friend").is_member


def test_a_removed_member_that_watches_the_rendezvous_sees_who_asks_and_opens_no_welcome(
    world: World, removed: Insider
) -> None:
    world.ask("erin", world.link("alice"))
    world.run(10_000)
    world.vote_on_everything(*HONEST)
    world.run(10_000)
    assert world.person("erin").is_member
    engine = removed.person.engine
    said = (unseal(removed.rendezvous, e.payload, engine) for e in world.log[removed.rendezvous.topic])
    packages = {message.key_package_bytes for message in said if isinstance(message, JoinRequest)}
    erin = next(p for p in packages if engine.parse_key_package(p).credential == world.device("erin").credential())
    channel = joiner_channel(erin)
    bundles = [unseal(channel, e.payload, engine) for e in world.log[channel.topic]]
    mine, _ = Joining.await_welcome(device=stolen_wallet(world, "mallory"), engine=engine, now=world.now)
    for bundle in bundles:
        assert isinstance(bundle, WelcomeBundle)
        with pytest.raises(WelcomeRefused):
            open_welcome(bundle, mine._record.key_package_private, engine)


def test_a_removed_member_offers_no_other_group(world: World) -> None:
    copy = stolen_device(world, "mallory")
    remove(world, "mallory")
    other = World(9)
    other.found("mallory")
    link = other.link("mallory")
    for outbound in copy.announce_successor({world.person("carol").address: link}, world.now).outbound:
        world.publish(outbound.topic, outbound.payload, "mallory")
    world.run(1_000)
    for name in HONEST:
        assert world.person(name).group.view(world.now).successors == ()


def test_who_was_removed_comes_back_by_a_vote_alone(world: World, removed: Insider) -> None:
    world.ask("mallory", world.link("alice"))
    world.run(20_000)
    assert ProposalStatus.OPEN in proposals(world, ProposalKind.INVITE)
    world.vote_on_everything(*HONEST, yes=False)
    world.run(20_000)
    assert names(world) == sorted(HONEST)


# --- The thief of a device key ----------------------------------------------------------------------------------------


def test_the_thief_of_a_device_can_take_its_owner_out_of_the_group(world: World) -> None:
    """Leaving needs no vote, so whoever holds the leaf key can say it; the person asks again with a new key."""
    thief = Insider(world, "carol")
    thief.say(thief.proposal(Leave()))
    world.run(20_000)
    assert world.person("carol").group.status is GroupStatus.LEFT
    world.admit("alice", "carol")


def test_the_thief_of_a_device_can_cost_its_owner_score(world: World) -> None:
    thief, bob = Insider(world, "carol"), world.person("bob").address
    forged = tuple(thief.statement(ACK, 0, bytes([byte]) * 32, member=bob) for byte in (1, 2))
    change = Emergency(Violation.EQUIVOCATION, bob, (Proof(DoubleStatement(*forged)),), ())
    thief.say(thief.proposal(change, duration=PRESETS["day"].emergency.duration))
    world.run(1_000)
    assert score(world, "alice", "carol") == SCORING.start - SCORING.rejected
    assert score(world, "alice", "bob") >= SCORING.start


def test_the_thief_of_a_device_reads_and_writes_as_its_owner(world: World) -> None:
    copy = stolen_device(world, "carol")
    for outbound in copy.send("trust me", world.now).outbound:
        world.publish(outbound.topic, outbound.payload, "thief")
    world.run(1_000)
    assert "trust me" in world.person("bob").heard()


def test_a_link_that_the_thief_of_a_device_signs_leads_to_a_vote_and_no_further(world: World) -> None:
    thief = Insider(world, "carol")
    link = world.link("alice")
    token, expires = b"t" * 16, link.expires
    content = invite_content(thief.group_id, token, expires, thief.address)
    mine = replace(link, token=token, issuer=thief.address, signature=thief.sign(INVITE_LABEL, content))
    world.ask("friend", mine)
    world.run(20_000)
    assert ProposalStatus.OPEN in proposals(world, ProposalKind.INVITE)
    assert not world.person("friend").is_member


def test_the_key_of_a_device_alone_is_not_heard_without_the_groups_channel(world: World) -> None:
    """Everything is sealed with the channel of an epoch, which the leaf's signature key does not give."""
    thief = Insider(world, "carol")
    guess = channel_of(b"g" * 32)
    before = world.person("alice").group.snapshot()
    said = seal(guess, thief.proposal(Leave()), thief.person.engine)
    for topic in world.person("alice").group.topics():
        world.publish(topic, said, "thief")
    world.run(10_000)
    assert world.person("carol").is_member
    assert world.person("alice").group.snapshot() == before


def test_a_device_key_binds_no_other_key_to_the_address(world: World) -> None:
    """A binding takes the wallet: one that the leaf key has signed is none, wherever it is shown."""
    thief = world.person("thief")
    key = thief.engine.signature_key()
    carol = world.device("carol")
    leaf_key = LeafKey(key.public)
    sentence = binding_sentence(carol.address, leaf_key, "laptop", world.now, world.now + 10**9)  # type: ignore[arg-type]
    by_leaf = Insider(world, "carol").sign("demls binding", sentence.encode())
    by_thief = wallet_sign(thief.wallet, sentence.encode())
    other = World(9)
    other.found("alice", PRESETS["day"])
    for signature in (by_leaf + b"\x1b", by_thief):
        binding = Binding(other.now, other.now + 10**9, signature)
        device = replace(carol, leaf_key=leaf_key, leaf_private=key.private, binding=binding)
        other.ask("thief", other.link("alice"), device)
        other.run(20_000)
        assert not [p for p in other.proposals("alice") if p.kind is ProposalKind.INVITE]


def test_a_stolen_device_key_is_worth_nothing_after_its_owner_came_back_with_a_new_one(world: World) -> None:
    thief = Insider(world, "carol")
    remove(world, "carol")
    world.admit("alice", "carol")
    proposal_id = describe(world, "alice", "whose carol?")
    thief.channels[thief.epoch] = Insider(world, "alice").channel  # even if somebody gave it the present channel
    thief.say(thief.vote(proposal_id, False))
    thief.say(thief.proposal(Leave()))
    thief.say(thief.proposal(Leave(), epoch=Insider(world, "alice").epoch))
    world.run(10_000)
    assert tally(world, proposal_id) == (1, 0, 4)
    assert world.person("carol").is_member


# --- The thief of a wallet --------------------------------------------------------------------------------------------


def test_the_thief_of_a_wallet_is_admitted_by_a_vote_where_the_owner_is_not_and_keeps_the_owner_out(
    world: World,
) -> None:
    world.ask("thief", world.link("alice"), stolen_wallet(world, "dave"))
    world.run(20_000)
    world.vote_on_everything(*FOUR)
    world.run(20_000)
    assert world.person("dave").address in {member.address for member in world.person("alice").group.members()}
    world.ask("dave", world.link("alice"))
    world.run(20_000)
    assert ProposalStatus.OPEN not in proposals(world, ProposalKind.INVITE)
    assert not world.person("dave").is_member
    remove(world, "dave")
    world.admit("alice", "dave")


def test_the_thief_of_a_wallet_with_a_link_is_let_into_a_successor_group_that_names_the_address() -> None:
    """Nodes admit by themselves whom the charter names, and it names addresses: the wallet is the person."""
    new = World(8)
    new.person("carol")
    alice = new.person("alice")
    before = Predecessor(b"g" * 32, 3, b"h" * 32, (new.person("carol").address,))
    alice.machine, effects = Group.create(
        name="friends again",
        description="",
        policy=PRESETS["day"],
        device=new.device("alice"),
        engine=alice.engine,
        now=new.now,
        predecessor=before,
    )
    new.apply(alice, effects)
    link: InviteLink = new.link("alice")
    new.ask("stranger", link)
    new.run(20_000)
    assert not new.person("stranger").is_member
    new.ask("thief", new.link("alice"), stolen_wallet(new, "carol"))
    new.run(20_000)
    assert new.person("thief").is_member
    assert new.person("thief").machine is not None
    assert new.person("carol").address in {member.address for member in alice.group.members()}


# --- The thief of both ------------------------------------------------------------------------------------------------


def test_the_thief_of_both_is_one_voice_and_comes_back_by_a_vote_alone(world: World) -> None:
    thief = Insider(world, "carol")
    proposal_id = describe(world, "alice", "one voice")
    for _ in range(3):
        thief.say(thief.vote(proposal_id, True))
    world.ask("thief", world.link("alice"), stolen_wallet(world, "carol"))
    world.run(20_000)
    assert tally(world, proposal_id) == (2, 0, 4)
    assert ProposalStatus.OPEN not in proposals(world, ProposalKind.INVITE), "no second seat"
    remove(world, "carol")
    world.ask("thief", world.link("alice"), stolen_wallet(world, "carol"))
    world.run(20_000)
    assert ProposalStatus.OPEN in proposals(world, ProposalKind.INVITE)
    world.vote_on_everything("alice", "bob", yes=False)
    world.run(20_000)
    assert not world.person("thief").is_member
