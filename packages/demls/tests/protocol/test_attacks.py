"""Attacks on the design that other files do not try: what is stolen, restored, watched, or admitted as a ghost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from demls.protocol import policy as bounds
from demls.protocol.channel import unseal
from demls.protocol.credential import Device
from demls.protocol.events import Misbehaved
from demls.protocol.policy import PRESETS
from demls.protocol.state import GroupState
from demls.protocol.views import ProposalKind, ProposalStatus
from demls.wire.messages import Emergency, Remove
from demls.wire.statements import DoubleStatement, Proof, StatementKind
from insider import Insider
from world import World, make_device

FOUR = ("alice", "bob", "carol", "mallory")


@pytest.fixture
def world() -> World:
    world = World(3)
    world.group_of(*FOUR)
    world.run(1_000)
    return world


def state(world: World, name: str) -> GroupState:
    return world.person(name).group._live()


def score(world: World, by: str, of: str) -> int:
    scoring = state(world, by).charter.policy.scoring
    return state(world, by).scores.of(world.person(of).address, scoring).points


def stolen_wallet(world: World, victim: str, name: str) -> Device:
    """A device of the thief, bound by the victim's wallet."""
    thief = world.person(name)
    return make_device(thief.engine, world.person(victim).wallet, victim, world.now)


# --- A stolen wallet --------------------------------------------------------------------------------------------------


def test_the_thief_of_a_wallet_gets_no_second_seat_where_the_owner_is(world: World) -> None:
    device = stolen_wallet(world, "carol", "thief")
    world.ask("thief", world.link("alice"), device)
    world.run(10_000)
    assert not [p for p in world.proposals("bob") if p.kind is ProposalKind.INVITE and p.status is ProposalStatus.OPEN]
    assert not world.person("thief").is_member
    assert world.person("carol").is_member


def test_the_thief_of_a_wallet_cannot_speak_for_the_owner(world: World) -> None:
    """Votes, statements and proposals are checked with the leaf key, which the wallet has bound and cannot replace."""
    insider = Insider(world, "mallory")
    carol = world.person("carol").address
    world.do("alice", lambda group: group.change_settings(world.now, description="to vote on"))
    world.deliver()
    proposal = next(p for p in world.proposals("alice") if p.kind is ProposalKind.SETTINGS)
    thief = make_device(world.person("mallory").engine, world.person("carol").wallet, "carol", world.now)
    insider.record = replace(insider.record, leaf_private=thief.leaf_private)
    insider.say(insider.vote(proposal.proposal_id, False, voter=carol))
    insider.say(insider.statement(StatementKind.ACK, 0, b"x" * 32, member=carol))
    insider.say(insider.proposal(Remove(world.person("bob").address), owner=carol))
    world.deliver()
    seen = next(p for p in world.proposals("alice") if p.proposal_id == proposal.proposal_id)
    assert (seen.yes, seen.no) == (1, 0)
    assert not [p for p in world.proposals("alice") if p.kind is ProposalKind.REMOVE]
    assert score(world, "alice", "carol") == 100


# --- A stolen device key ----------------------------------------------------------------------------------------------


def test_the_thief_of_a_device_key_votes_as_that_member_once_and_twice_is_proof(world: World) -> None:
    thief = Insider(world, "carol")
    world.do("alice", lambda group: group.change_settings(world.now, description="to vote on"))
    world.deliver()
    proposal = next(p for p in world.proposals("alice") if p.kind is ProposalKind.SETTINGS)
    thief.say(thief.vote(proposal.proposal_id, True))
    world.deliver()
    assert next(p for p in world.proposals("alice") if p.proposal_id == proposal.proposal_id).yes == 2
    thief.say(thief.vote(proposal.proposal_id, False))
    world.deliver()
    accused = [event.member for event in world.person("alice").events if isinstance(event, Misbehaved)]
    assert accused == [world.person("carol").address]


# --- A restored backup ------------------------------------------------------------------------------------------------


def test_a_restored_copy_that_speaks_again_is_proof_against_its_person_and_forks_nothing(world: World) -> None:
    """Carol's data folder is copied before a vote; copy and original vote differently."""
    copy = dict(world.person("carol").records)
    world.do("alice", lambda group: group.change_settings(world.now, description="once"))
    world.deliver()
    proposal = next(p for p in world.proposals("carol") if p.kind is ProposalKind.SETTINGS)
    world.do("carol", lambda group: group.vote(proposal.proposal_id, True, world.now))
    kept, world.person("carol").records = world.person("carol").records, copy
    again = Insider(world, "carol")
    world.person("carol").records = kept
    again.say(again.vote(proposal.proposal_id, False))
    world.deliver()
    assert score(world, "alice", "carol") == 0
    world.run(60_000)
    there = [name for name in FOUR if world.person(name).is_member]
    assert there == ["alice", "bob", "mallory"]
    assert len({world.person(name).group.view(world.now).authenticator for name in there}) == 1


# --- The rendezvous ---------------------------------------------------------------------------------------------------


def test_at_the_rendezvous_a_former_member_reads_requests_and_nothing_of_the_group(world: World) -> None:
    mallory = Insider(world, "mallory")
    world.do("alice", lambda group: group.propose(Remove(mallory.address), world.now))
    world.vote_on_everything("bob", "carol")
    world.run(10_000)
    assert not world.person("mallory").is_member
    before = {topic: len(queue) for topic, queue in world.log.items()}
    world.do("alice", lambda group: group.send("now we can talk", world.now))
    world.do("bob", lambda group: group.change_settings(world.now, description="without mallory"))
    world.vote_on_everything("alice", "carol")
    world.run(20_000)
    read = [
        unseal(channel, envelope.payload, mallory.person.engine)
        for channel in (*mallory.channels.values(), mallory.rendezvous)
        for envelope in world.log.get(channel.topic, [])[before.get(channel.topic, 0) :]
    ]
    assert [message for message in read if message is not None] == []


# --- Admissions -------------------------------------------------------------------------------------------------------


def test_a_ghost_can_be_removed_and_the_person_asks_again(world: World) -> None:
    """Erin is admitted and never gets a welcome that opens; the group goes on, and gives the seat back."""
    world.lose = lambda person, envelope: person.name == "erin"
    world.ask("erin", world.link("alice"))
    world.run(5_000)
    world.vote_on_everything("alice", "bob", "carol")
    world.run(10_000)
    ghost = world.person("erin").address
    assert ghost in {member.address for member in world.person("alice").group.members()}
    world.do("alice", lambda group: group.propose(Remove(ghost), world.now))
    world.vote_on_everything("bob", "carol", "mallory")
    world.run(20_000)
    assert ghost not in {member.address for member in world.person("alice").group.members()}
    world.lose = lambda person, envelope: False
    world.admit("alice", "erin")


# --- Floods -----------------------------------------------------------------------------------------------------------


def test_many_refused_emergencies_leave_little_behind(world: World) -> None:
    bob = Insider(world, "bob")
    sizes = []
    for number in range(60):
        change = Emergency(4, world.person("carol").address, (), ())
        bob.say(bob.proposal(change, duration=PRESETS["quick"].emergency.duration, created_at=number))
        if number in (9, 59):
            world.deliver()
            sizes.append(len(world.person("alice").records))
    assert sizes[1] - sizes[0] <= 2
    assert not [p for p in world.proposals("alice") if p.kind is ProposalKind.EMERGENCY]


def test_a_score_is_not_grown_by_being_accused_wrongly_often(world: World) -> None:
    """An accuser that lies loses, the accused neither wins nor loses, whatever the number."""
    bob = Insider(world, "bob")
    carol = world.person("carol").address
    for number in range(bounds.SCORE_HISTORY_KEPT + 8):
        change = Emergency(101, carol, (bad_proof(bob, carol, number),), ())
        bob.say(bob.proposal(change, created_at=number))
    world.deliver()
    assert score(world, "alice", "carol") == 100
    assert score(world, "alice", "bob") == -bounds.SCORE_MAX
    assert len(state(world, "alice").scores.of(bob.address, state(world, "alice").charter.policy.scoring).history) <= 32


def bad_proof(insider: Insider, target: bytes, number: int) -> Proof:
    made = (insider.statement(StatementKind.ACK, number, bytes([byte]) * 32, member=target) for byte in (1, 2))
    return Proof(DoubleStatement(*made))


# --- A successor that nobody asked for --------------------------------------------------------------------------------


def test_a_successor_is_an_offer_to_people_and_changes_nothing(world: World) -> None:
    other = World(9)
    other.found("mallory")
    link = other.link("mallory", lifetime=3_600_000)
    before = {name: world.person(name).group.view(world.now).authenticator for name in FOUR}
    carol = world.person("carol").address
    for _ in range(bounds.SUCCESSORS_MAX + 4):
        world.do("mallory", lambda group: group.announce_successor({carol: link}, world.now))
    world.run(5_000)
    assert {name: world.person(name).group.view(world.now).authenticator for name in FOUR} == before
    assert len(world.person("carol").group.view(world.now).successors) <= bounds.SUCCESSORS_MAX
    assert world.person("carol").is_member
