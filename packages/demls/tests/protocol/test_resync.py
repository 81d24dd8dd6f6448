"""A member that cannot be brought back by answers comes back with a new leaf, and without a vote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from comeback import rejoin, request_of, restore, say_at_the_rendezvous, wallet_of
from demls.protocol import policy as bounds
from demls.protocol.channel import joiner_channel, seal
from demls.protocol.errors import NotAMember, RequestRefused
from demls.protocol.events import (
    JoinRefused,
    MessageReceived,
    MessagesMissing,
    Rejected,
    Removed,
    Returned,
    ScoreChanged,
    Settled,
)
from demls.protocol.governance import PROPOSAL_LABEL
from demls.protocol.group import Group, Remove
from demls.protocol.policy import DAY_POLICY, HOUR, MINUTE, SECOND
from demls.protocol.resync import barrier, is_due, limit_of, next_seat_at, reseated_after, resync_sentence
from demls.protocol.roster import Seat
from demls.protocol.views import GroupStatus, ProposalKind
from demls.wire.chain import Reseated
from demls.wire.ids import Address, Epoch, Instant
from demls.wire.messages import (
    ChangeRequest,
    JoinAnswer,
    Proposal,
    Resync,
)
from demls_consensus import wallet_sign
from hypothesis import given
from hypothesis import strategies as st
from leaves import address
from world import Person, World

FRIENDS = ("ann", "ben", "cem", "dia")


def friends(*names: str) -> World:
    world = World()
    world.group_of(*(names or FRIENDS))
    return world


def seat(world: World, name: str, of: str) -> Seat:
    found = world.person(name).group._live().roster.seat(world.person(of).address)
    assert found is not None
    return found


def epoch(world: World, name: str = "ann") -> int:
    return world.person(name).group.view(world.now).epoch


def asked(world: World, name: str = "ann") -> int:
    """How many requests this member holds."""
    return len(world.person(name).group._live().governance.resyncs)


def is_together(world: World) -> bool:
    return len({person.group.view(world.now).authenticator for person in world.members()}) == 1


# --- Coming back --------------------------------------------------------------------------------------------------


def test_a_member_comes_back_with_a_new_leaf_and_without_a_vote() -> None:
    world = friends()
    before, begun = seat(world, "ann", "dia"), epoch(world)
    rejoin(world, "dia")
    assert world.person("dia").group.status is GroupStatus.RETURNING
    with pytest.raises(NotAMember, match="new seat"):
        world.do("dia", lambda group: group.propose(Remove(world.person("ann").address), world.now))
    world.run(20_000)
    after = seat(world, "ann", "dia")
    assert after.leaf_key != before.leaf_key
    assert (after.since, after.device, after.name) == (before.since, before.device, before.name)
    assert epoch(world, "dia") == begun + 1
    (settled,) = [event for event in world.person("ann").told(Settled) if event.epoch == begun + 1]
    assert (settled.joined, settled.left, settled.reseated) == ((), (), (world.person("dia").address,))
    (returned,) = world.person("dia").told(Returned)
    assert returned.is_vouched
    assert is_together(world)
    world.do("dia", lambda group: group.send("here again", world.now))
    world.do("ann", lambda group: group.send("hello", world.now))
    world.deliver()
    assert "here again" in world.person("ben").heard()
    assert "hello" in world.person("dia").heard()
    assert not any(event.after < event.before for name in FRIENDS for event in world.person(name).told(ScoreChanged))


@pytest.mark.parametrize("away", [0, 3])
def test_what_was_said_before_a_member_is_back_is_neither_fetched_nor_told_as_lost(away: int) -> None:
    """It has read the first part, and cannot read what was said while it was away; neither is missing."""
    world = friends()
    backup = dict(world.person("dia").records)
    for name in ("ann", "ben", "ann"):
        world.do(name, lambda group: group.send("before", world.now))
        world.run(SECOND)
    if away:
        world.person("dia").online = False
        for _ in range(away):
            world.do("ann", lambda group: group.send("meanwhile", world.now))
        world.run(MINUTE)
        world.person("dia").online = True
        restore(world, "dia", backup)
    else:
        rejoin(world, "dia")
    world.run(20_000)
    dia = world.person("dia")
    assert dia.is_member
    begun = len(dia.events)
    world.do("ann", lambda group: group.send("after", world.now))
    world.run(2 * HOUR)
    world.restart("dia")
    world.run(2 * HOUR)
    world.do("ben", lambda group: group.send("long after", world.now))
    world.run(30 * MINUTE)
    assert [event.text for event in dia.events[begun:] if isinstance(event, MessageReceived)] == ["after", "long after"]
    assert not dia.told(MessagesMissing)
    assert dia.group.view(world.now).fetching == 0
    questions = [event for name in FRIENDS for event in world.person(name).told(Rejected)]
    assert not any("more messages than anybody can have missed" in event.detail for event in questions)


def test_what_is_missed_after_a_return_is_fetched() -> None:
    world = friends()
    world.do("ann", lambda group: group.send("before", world.now))
    world.deliver()
    rejoin(world, "dia")
    world.run(20_000)
    world.lose = lambda person, envelope: person.name == "dia"
    world.do("ann", lambda group: group.send("missed", world.now))
    world.run(SECOND)
    world.lose = lambda person, envelope: False
    world.do("ann", lambda group: group.send("heard", world.now))
    world.run(30 * MINUTE)
    assert sorted(world.person("dia").heard()[-2:]) == ["heard", "missed"]
    assert "before" in world.person("dia").heard()
    assert world.person("dia").group.view(world.now).fetching == 0


def test_whoever_waits_survives_a_restart_and_needs_the_wallet_after_an_hour_only() -> None:
    world = friends()
    world.split(("ann", "ben", "cem"), ("dia",))
    rejoin(world, "dia")
    world.restart("dia")
    world.run(2 * HOUR)
    assert "wallet" in world.person("dia").group.view(world.now).returning.waits_for
    before = world.published
    world.run(HOUR)
    assert world.published == before
    world.do("dia", lambda group: group.use_wallet(wallet_of(world.person("dia")), world.now))
    world.heal()
    world.run(MINUTE)
    assert world.person("dia").group.status is GroupStatus.MEMBER
    assert is_together(world)


def test_the_other_copy_is_told_that_its_seat_has_moved() -> None:
    world = friends()
    twin, effects = Group.load(dict(world.person("dia").records), engine=world.person("dia").engine, now=world.now)
    del effects
    rejoin(world, "dia")
    world.run(20_000)
    for topic in sorted(twin.topics()):
        for envelope in world.log.get(topic, []):
            for event in twin.receive(topic, envelope.payload, world.now).events:
                if isinstance(event, Removed):
                    assert event.is_moved
    assert twin.status is GroupStatus.MOVED


def test_a_stewards_place_ends_with_its_leaf() -> None:
    world = friends()
    stewards = world.person("ann").group.view(world.now).stewards
    name = world.name_of(stewards[0])
    other = next(one for one in FRIENDS if one != name)
    rejoin(world, name)
    world.run(60_000)
    assert world.person(name).is_member
    listed = world.person(other).group._live().state.stewards
    assert stewards[0] not in listed.active(world.person(other).group._live().roster.since()) or (
        listed.since == epoch(world, other)
    )
    assert {person.group._live().state.stewards for person in world.members()} == {listed}
    world.admit(other, "eve")  # the list proves itself to a joiner
    assert is_together(world)


def test_what_was_opened_before_is_decided_by_the_old_key() -> None:
    world = World()
    world.group_of(*FRIENDS, policy=DAY_POLICY)
    world.do("ann", lambda group: group.change_settings(world.now, description="new"))
    world.deliver()
    (card,) = [p for p in world.proposals("dia") if p.kind is ProposalKind.SETTINGS]
    world.do("dia", lambda group: group.vote(card.proposal_id, True, world.now))
    world.deliver()
    for name in ("dia", "cem"):
        rejoin(world, name)
        world.run(MINUTE)
        assert world.person(name).is_member
    seen = next(p for p in world.proposals("dia") if p.proposal_id == card.proposal_id)
    assert (seen.yes, seen.my_vote) == (2, True)
    other = next(p for p in world.proposals("cem") if p.proposal_id == card.proposal_id)
    assert not other.may_vote
    with pytest.raises(RequestRefused, match="new key"):
        world.do("cem", lambda group: group.vote(card.proposal_id, True, world.now))
    world.do("ben", lambda group: group.vote(card.proposal_id, True, world.now))
    world.run(20_000)
    assert world.person("cem").group.view(world.now).description == "new"


# --- Who may ask --------------------------------------------------------------------------------------------------


def resigned(world: World, name: str, proposal: Proposal, key: bytes | None = None, **fields: object) -> Proposal:
    """Another content, signed by this member's leaf key, or another."""
    person = world.person(name)
    private = key or person.group._live().device.leaf_private
    change = proposal.change.payload
    assert isinstance(change, Resync)
    changed = {k: v for k, v in fields.items() if k in Resync.__slots__}
    rest = {k: v for k, v in fields.items() if k not in changed}
    unsigned = replace(proposal, change=ChangeRequest(replace(change, **changed)), **rest)
    return replace(unsigned, signature=person.engine.sign(private, PROPOSAL_LABEL, unsigned.id))


def by_wallet(world: World, name: str, proposal: Proposal, wallet: Person, **fields: object) -> Proposal:
    """With a wallet's signature that fits."""
    made = resigned(world, name, proposal, **fields)
    change = made.change.payload
    assert isinstance(change, Resync)
    sentence = resync_sentence(made.group_id, Address(made.owner), change)
    return resigned(world, name, made, wallet_signature=wallet_sign(wallet.wallet, sentence.encode()))


Forged = Callable[[World, Proposal], Proposal]
FORGED: dict[str, Forged] = {
    "a thief of the device, with a wallet of its own": lambda world, it: by_wallet(
        world, "dia", it, world.person("eve")
    ),
    "a thief of the device, with an old signature of the wallet": lambda world, it: resigned(
        world, "dia", it, nonce=b"n" * 16
    ),
    "a thief of the wallet, with a leaf key of its own": lambda world, it: resigned(
        world, "dia", it, key=world.person("ann").group._live().device.leaf_private
    ),
    "another member in its name": lambda world, it: resigned(
        world, "ann", replace(it, owner=world.person("ann").address)
    ),
    "somebody else's leaf": lambda world, it: by_wallet(
        world, "dia", it, world.person("dia"), leaf_key=seat(world, "ann", "ben").leaf_key
    ),
    "a longer time": lambda world, it: by_wallet(world, "dia", it, world.person("dia"), expires=world.now + 2 * HOUR),
    "of another group": lambda world, it: by_wallet(world, "dia", it, world.person("dia"), group_id=b"g" * 32),
    "without a known reason": lambda world, it: by_wallet(world, "dia", it, world.person("dia"), reason=9),
    "with a key package of another": lambda world, it: by_wallet(
        world, "dia", it, world.person("dia"), key_package_bytes=package_of(world, "ann")
    ),
    "with no key package": lambda world, it: by_wallet(
        world, "dia", it, world.person("dia"), key_package_bytes=b"package"
    ),
    "from the future": lambda world, it: by_wallet(
        world, "dia", it, world.person("dia"), created_at=world.now + HOUR, expires=world.now + 2 * HOUR
    ),
}


def package_of(world: World, name: str) -> bytes:
    change = request_of(world, name).change.payload
    assert isinstance(change, Resync)
    return change.key_package_bytes


@pytest.mark.parametrize("case", FORGED)
def test_nobody_gets_a_seat_with(case: str) -> None:
    world = friends()
    world.person("eve")
    before, begun = seat(world, "ann", "dia"), epoch(world)
    forged = FORGED[case](world, request_of(world, "dia"))
    marks = {name: len(world.person(name).events) for name in FRIENDS}
    say_at_the_rendezvous(world, forged)
    world.run(20_000)
    for name in FRIENDS:
        new = world.person(name).events[marks[name] :]
        assert any(isinstance(event, Rejected) for event in new), name
        assert not any(isinstance(event, ScoreChanged) for event in new)
        assert not asked(world, name)
    assert (seat(world, "ann", "dia"), epoch(world)) == (before, begun)


def test_the_same_request_unchanged_is_carried_out() -> None:
    """Else nothing above would prove anything."""
    world = friends()
    begun = epoch(world)
    say_at_the_rendezvous(world, request_of(world, "dia"))
    world.run(20_000)
    assert epoch(world) == begun + 1
    assert world.person("dia").group.status is GroupStatus.MOVED


def test_a_request_is_good_for_one_seat_only() -> None:
    world = friends()
    request = request_of(world, "dia")
    rejoin(world, "dia")
    world.run(20_000)
    begun, own = epoch(world), seat(world, "ann", "dia")
    say_at_the_rendezvous(world, request)
    world.run(50 * MINUTE)
    assert (epoch(world), seat(world, "ann", "dia")) == (begun, own)
    assert not any(item.epoch is None for item in world.person("ann").group._live().governance.resyncs.values())


# --- How often ----------------------------------------------------------------------------------------------------


def test_a_member_gets_one_seat_an_hour_by_chain_time_and_a_joiner_knows() -> None:
    world = friends()
    rejoin(world, "dia")
    world.run(20_000)
    world.admit("ann", "eve")
    begun = epoch(world)
    rejoin(world, "dia")
    world.run(50 * MINUTE)
    assert world.person("dia").group.status is GroupStatus.RETURNING
    assert epoch(world) == begun
    assert "once an hour" in world.person("dia").group.view(world.now).returning.waits_for
    held = {person.group._live().state.reseated for person in world.members()}
    assert len(held) == 1
    assert world.person("eve").group._live().state.reseated
    rounds = [person.group._live().round.is_open for person in world.members()]
    assert not any(rounds)
    world.run(20 * MINUTE)
    assert world.person("dia").group.status is GroupStatus.MEMBER
    assert is_together(world)


def test_a_flood_of_requests_costs_nobody_but_its_sender() -> None:
    world = friends()
    rejoin(world, "dia")
    world.run(20_000)
    begun = epoch(world)
    for _ in range(30):
        say_at_the_rendezvous(world, request_of(world, "dia"))
        world.run(61_000)
        assert all(asked(world, name) <= bounds.RESYNCS_PER_MEMBER_MAX + 1 for name in FRIENDS)
    for _ in range(30):
        say_at_the_rendezvous(world, request_of(world, "dia"))
    assert all(asked(world, name) <= bounds.RESYNCS_PER_MEMBER_MAX + 1 for name in FRIENDS)
    assert epoch(world) == begun
    world.do("ann", lambda group: group.send("undisturbed", world.now))
    world.deliver()
    assert "undisturbed" in world.person("ben").heard()
    assert not any(event.after < event.before for name in FRIENDS for event in world.person(name).told(ScoreChanged))


def test_whoever_reads_along_cannot_fill_the_history_of_somebody_who_waits() -> None:
    """Anybody who knows the rendezvous knows where the answer is heard."""
    world = friends()
    world.split(("ann", "ben", "cem"), ("dia",))
    rejoin(world, "dia")
    dia = world.person("dia")
    (topic,) = dia.group.topics()
    channel = joiner_channel(dia.group._returning.record.key_package)  # type: ignore[union-attr]
    assert channel.topic == topic
    for number in range(120):
        said = seal(channel, JoinAnswer(f"Give me your wallet, {number}.", bytes(20), bytes(64)), dia.engine)
        world.apply(dia, dia.group.receive(topic, said, world.now))
        world.run(MINUTE)
    assert 1 <= len(dia.told(JoinRefused)) <= 20
    world.do("dia", lambda group: group.use_wallet(wallet_of(dia), world.now))
    world.heal()
    world.run(MINUTE)
    assert dia.group.status is GroupStatus.MEMBER


def test_two_at_once_come_back_one_after_the_other() -> None:
    world = friends("ann", "ben", "cem", "dia", "eve", "fay", "gus")
    begun = epoch(world)
    for name in ("fay", "gus"):
        rejoin(world, name)
    world.run(60_000)
    assert {world.person(name).group.status for name in ("fay", "gus")} == {GroupStatus.MEMBER}
    assert epoch(world) == begun + 2
    assert is_together(world)


def test_a_restored_backup_says_nothing_from_its_old_leaf() -> None:
    world = friends()
    backup = dict(world.person("dia").records)
    world.do("ann", lambda group: group.send("later", world.now))
    world.run(5_000)
    old = seat(world, "ann", "dia").leaf_key
    restore(world, "dia", backup)
    kept = world.person("dia").group.snapshot()
    assert not any(key.startswith(b"mls/") for key in kept)
    assert world.person("dia").records == kept
    world.run(20_000)
    assert seat(world, "ann", "dia").leaf_key != old
    assert world.person("dia").records == world.person("dia").group.snapshot()


# --- The rules ----------------------------------------------------------------------------------------------------

MEMBERS = tuple(address(number) for number in range(4))
moments = st.integers(0, 4 * HOUR)


@given(st.lists(st.tuples(st.sampled_from(MEMBERS), st.integers(1, 20 * MINUTE)), max_size=30))
def test_nobody_is_given_two_seats_within_an_hour(wishes: list[tuple[Address, int]]) -> None:
    """Whatever is asked, the chain's memory of the last hour is enough to say no."""
    known: tuple[Reseated, ...] = ()
    time, last, number = 1, {}, Epoch(0)
    for member, later in wishes:
        time, number = time + later, Epoch(number + 1)
        may = time >= next_seat_at(member, known)
        assert may == (member not in last or time >= last[member] + HOUR)
        known = reseated_after(known, [member] if may else [], number, Instant(time), MEMBERS)
        if may:
            last[member] = time
        assert [one.member_id for one in known] == sorted({one.member_id for one in known})
        assert all(one.time + HOUR > time for one in known)


@given(st.integers(1, 10_000))
def test_a_commit_gives_few_seats(n: int) -> None:
    assert limit_of(n) == 1 + n // 10


@given(moments, moments, moments, st.integers(-60_000, 60_000), st.integers(-60_000, 60_000))
def test_what_is_due_is_allowed_by_every_clock(created: int, now: int, last: int, leader: int, acker: int) -> None:
    change = Resync(b"k" * 32, b"", b"p", created + HOUR, 1, 1, b"n" * 16, bytes(65))
    proposal = Proposal(b"g" * 32, 1, MEMBERS[0], ChangeRequest(change), created, 0, bytes(64))
    known = (Reseated(MEMBERS[0], 1, last),)
    at = Instant(now + leader)
    if is_due(proposal, change, at, known):
        assert not barrier(proposal, change, at, known)
        assert now + acker >= next_seat_at(MEMBERS[0], known)
        assert now + acker < change.expires
