"""Who comes while others go: newcomers hold the welcome for one another, and judge what is under way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from demls.protocol import policy as bounds
from demls.protocol.channel import joiner_channel, seal, unseal
from demls.protocol.items import Item
from demls.protocol.joining import Joining
from demls.protocol.policy import DAY, PRESETS
from demls.protocol.state import GroupState
from demls.protocol.views import GroupStatus, ProposalKind, ProposalStatus
from demls.wire.messages import JoinRequest, Leave, Payload, StewardElection, Vote, WelcomeBundle
from demls.wire.statements import RoundStatement
from demls_consensus import SignedVote
from insider import Insider
from world import Envelope, World, make_device

OLD = ("alice", "bob", "carol")
NEW = ("dave", "erin", "fred")
PATIENT = replace(PRESETS["day"], batch_window=5_000)


def state(world: World, name: str) -> GroupState:
    return world.person(name).group._live()


def welcomes(world: World, joining: Joining) -> list[str]:
    """Who has said a welcome for this joiner, in order."""
    channel = joiner_channel(joining.key_package)
    engine = world.person("dave").engine
    opened = [(e.sender, unseal(channel, e.payload, engine)) for e in world.log.get(channel.topic, [])]
    return [sender for sender, message in opened if isinstance(message, WelcomeBundle)]


def asked_once(world: World, name: str, joining: Joining) -> JoinRequest:
    rendezvous = Insider(world, "alice").rendezvous
    opened = (unseal(rendezvous, e.payload, world.person(name).engine) for e in world.log[rendezvous.topic])
    return next(m for m in opened if isinstance(m, JoinRequest) and m.key_package_bytes == joining.key_package)


@pytest.fixture
def changed() -> World:
    """In one commit bob and carol leave, dave, erin and fred come. Fred's welcome is lost, and alice goes away."""
    world = World(4)
    world.group_of(*OLD, policy=PATIENT)
    assert world.name_of(state(world, "alice").state.leaders[0]) == "alice"
    for name in NEW:
        world.ask(name, world.link("alice", 7 * DAY))
    world.run(20_000)
    world.hold = lambda person, envelope: person.name != envelope.sender and person.name in OLD
    for name in OLD:
        for proposal in world.proposals(name):
            if proposal.kind is ProposalKind.INVITE and proposal.may_vote:
                world.do(name, lambda group, it=proposal: group.vote(it.proposal_id, True, world.now))  # type: ignore[misc]
    for name in ("bob", "carol"):
        world.do(name, lambda group: group.leave(world.now))
    world.person("fred").online = False
    asked = world.log[Insider(world, "alice").rendezvous.topic]
    world.lose = lambda person, envelope: person.name in NEW and envelope in asked
    world.heal()
    world.run(8_000)
    assert {person.name for person in world.members()} == {"alice", "dave", "erin"}
    assert world.person("fred").address in {member.address for member in world.person("dave").group.members()}
    assert len({person.group.view(world.now).epoch for person in world.members()}) == 1
    world.person("alice").online = False
    world.person("fred").online = True
    world.lose = lambda person, envelope: person.name == "fred"
    world.deliver()
    world.lose = lambda person, envelope: False
    return world


def fred(world: World) -> Joining:
    joining = world.person("fred").machine
    assert isinstance(joining, Joining)
    return joining


# --- The welcome that everybody came with -----------------------------------------------------------------------------


@pytest.mark.parametrize("restart", [False, True], ids=["", "after a restart"])
def test_newcomers_hand_on_the_welcome_when_nobody_else_is_left(restart: bool, changed: World) -> None:
    world = changed
    assert set(welcomes(world, fred(world))) == {"alice"}
    if restart:
        for name in ("dave", "erin"):
            world.restart(name)
    world.run(5 * bounds.MINUTE)
    assert set(welcomes(world, fred(world))) & {"dave", "erin"}
    assert world.person("fred").is_member
    views = {world.person(name).group.view(world.now).authenticator for name in NEW}
    assert len(views) == 1
    world.do("fred", lambda group: group.send("here at last", world.now))
    world.run(1_000)
    assert world.person("dave").heard() == ["here at last"]


def test_a_welcome_is_held_until_those_that_it_is_for_were_heard(changed: World) -> None:
    world = changed
    world.run(5 * bounds.MINUTE)
    for name in NEW:
        world.do(name, lambda group: group.send("hello", world.now))
    world.run(1_000)
    assert not any(state(world, name).welcomes.is_sharing for name in ("dave", "erin"))


def test_it_is_forgotten_after_a_while(changed: World) -> None:
    world = changed
    world.person("fred").online = False
    before = welcomes(world, fred(world))
    assert state(world, "dave").welcomes.is_sharing
    world.run(bounds.WELCOME_LIFETIME + 1_000)
    said = asked_once(world, "dave", fred(world))
    rendezvous = Insider(world, "dave").rendezvous
    world.publish(rendezvous.topic, seal(rendezvous, said, world.person("fred").engine), "fred")
    world.run(10_000)
    assert welcomes(world, fred(world)) == before
    assert not any(b"welcomed" in world.person(name).records for name in ("dave", "erin"))


def test_a_key_package_of_a_stranger_in_a_members_name_gets_nothing(changed: World) -> None:
    """Also one that the member's own wallet has bound: the welcome is for the key that was admitted."""
    world = changed
    world.person("fred").online = False
    said = asked_once(world, "dave", fred(world))
    thief = world.person("mallory")
    device = make_device(thief.engine, world.person("fred").wallet, "fred", world.now)
    other, _ = Joining.await_welcome(device=device, engine=thief.engine, now=world.now)
    rendezvous = Insider(world, "dave").rendezvous
    for package in (other.key_package, b"no key package"):
        request = replace(said, key_package_bytes=package)
        world.publish(rendezvous.topic, seal(rendezvous, request, thief.engine), "mallory")
    world.run(10_000)
    assert welcomes(world, other) == []
    assert not [p for p in world.proposals("dave") if p.kind is ProposalKind.INVITE and p.status is ProposalStatus.OPEN]


def test_where_enough_members_stay_newcomers_hold_nothing() -> None:
    world = World(4)
    world.group_of(*(f"member {number}" for number in range(8)))
    world.admit("member 0", *NEW)
    assert not any(b"welcomed" in world.person(name).records for name in NEW)
    assert all(world.person(name).group.status is GroupStatus.MEMBER for name in NEW)


# --- A list that leaves out who has gone meanwhile --------------------------------------------------------------------


def opened(world: World, envelope: Envelope) -> Payload | None:
    alice = state(world, "alice")
    messages = (unseal(channel, envelope.payload, alice.engine) for channel in alice.channels.values())
    return next((message for message in messages if message is not None), None)


def elections(world: World, name: str) -> list[Item]:
    items = state(world, name).governance.items.values()
    return [item for item in items if isinstance(item.change, StewardElection)]


def is_vote_on_a_list(world: World, message: Payload | None) -> bool:
    voted_on = SignedVote.decode(message.signed_vote).proposal_id if isinstance(message, Vote) else b""
    return voted_on in {item.proposal_id for item in elections(world, "alice")}


def test_a_newcomer_knows_a_list_that_was_proposed_without_somebody_who_left_before_it_came() -> None:
    """Erin leaves, so the next list is without her; the commit that lets her go admits fred, who saw nothing of it."""
    world = World(3)
    world.group_of("alice", "bob", "carol", "dave", "erin", policy=replace(PRESETS["quick"], stewards_max=2))
    world.lose = lambda person, envelope: isinstance(opened(world, envelope), RoundStatement)
    world.do("bob", lambda group: group.change_settings(world.now, description="the list is used up"))
    world.vote_on_everything("alice", "carol", "dave")
    world.run(1_000)
    world.do("erin", lambda group: group.leave(world.now))  # its candidate is under way already
    world.ask("fred", world.link("alice"))
    world.run(1_000)
    world.vote_on_everything("alice", "bob", "carol", "dave")
    world.lose = lambda person, envelope: is_vote_on_a_list(world, opened(world, envelope))
    world.run(10_000)
    assert world.person("fred").is_member
    assert not world.person("erin").is_member
    (election,) = elections(world, "alice")
    assert [world.name_of(member) for member in election.change.excluded] == ["erin"]
    assert election.status is ProposalStatus.OPEN
    (mine,) = elections(world, "fred")
    assert mine.proposal == election.proposal
    assert not [item for item in state(world, "fred").governance.items.values() if isinstance(item.change, Leave)]
    world.lose = lambda person, envelope: False
    world.run(60_000)
    assert election.status is ProposalStatus.COMMITTED
    lists = {tuple(map(world.name_of, person.group.view(world.now).stewards)) for person in world.members()}
    assert len(lists) == 1
    assert "erin" not in lists.pop()


# --- What the welcome is made of --------------------------------------------------------------------------------------


def last_welcome(world: World, joining: Joining) -> WelcomeBundle:
    channel = joiner_channel(joining.key_package)
    engine = world.person("dave").engine
    opened = (unseal(channel, e.payload, engine) for e in world.log[channel.topic])
    return [message for message in opened if isinstance(message, WelcomeBundle)][-1]


def test_the_welcome_itself_does_not_grow_with_the_group() -> None:
    """The tree is beside it, sealed, so that anybody can say both again."""
    sizes = []
    for others in (1, 6):
        world = World(4)
        world.group_of("alice", *(f"member {number}" for number in range(others)))
        world.admit("alice", *(f"guest {number}" for number in range(others)))
        joining = world.ask("dave", world.link("alice"))
        world.run(2_000)
        world.vote_on_everything(*(person.name for person in world.members()))
        world.run(10_000)
        assert world.person("dave").is_member
        message = last_welcome(world, joining)
        sizes.append((len(message.welcome), len(message.bundle)))
    (few, small), (many, large) = sizes
    assert many - few < 32
    assert large > small + 10 * 200


def test_a_welcome_that_anybody_says_again_is_as_good_as_the_first() -> None:
    """A relay, or a stranger who has kept the bytes."""
    world = World(4)
    world.group_of(*OLD)
    joining = world.ask("dave", world.link("alice"))
    world.run(2_000)
    world.lose = lambda person, envelope: person.name == "dave"
    world.vote_on_everything(*OLD)
    world.run(4_000)
    assert not world.person("dave").is_member
    for name in OLD:
        world.person(name).online = False
    world.lose = lambda person, envelope: False
    topic = joiner_channel(joining.key_package).topic
    world.publish(topic, world.log[topic][0].payload, "a stranger")
    world.deliver()
    assert world.person("dave").is_member
