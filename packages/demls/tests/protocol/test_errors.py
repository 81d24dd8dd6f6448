"""What people ask for and cannot have is refused with a whole sentence, and nothing has changed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from demls.protocol import errors
from demls.protocol.errors import (
    BadInvite,
    BadSnapshot,
    DemlsError,
    NotAMember,
    RequestRefused,
    TooMuch,
    UnknownMember,
    UnknownProposal,
)
from demls.protocol.group import Group
from demls.protocol.joining import Joining
from demls.protocol.machines import load_machine
from demls.protocol.policy import DAY, MINUTE, OPEN_PROPOSALS_PER_MEMBER_MAX, PRESETS
from demls.protocol.views import ProposalStatus
from demls.wire.ids import Duration, ProposalId
from demls.wire.messages import Invite, Leave, Remove
from world import World

Ask = Callable[[World, Group], Any]


def create(world: World, name: str, description: str = "") -> Any:
    alice = world.person("alice")
    return Group.create(
        name=name,
        description=description,
        policy=PRESETS["quick"],
        device=world.device("alice"),
        engine=alice.engine,
        now=world.now,
    )


def a_proposal(world: World, status: str) -> ProposalId:
    return next(p.proposal_id for p in world.proposals("alice") if p.status == status)


def expired_link(world: World, group: Group) -> Any:
    link = world.link("alice")
    late = world.now + 2 * DAY
    return Joining.ask(link, device=world.device("gina"), engine=world.person("gina").engine, now=late)  # type: ignore[arg-type]


def key_package(world: World, name: str) -> bytes:
    device = world.device(name)
    joining, _ = Joining.await_welcome(device=device, engine=world.person(name).engine, now=world.now)
    return joining.key_package


def broken_key_package(world: World) -> bytes:
    raw = bytearray(key_package(world, "gina"))
    raw[-1] ^= 1
    return bytes(raw)


MISUSE: dict[str, tuple[type[RequestRefused], Ask]] = {
    "a group without a name": (RequestRefused, lambda w, g: create(w, "  ")),
    "a group with a long name": (RequestRefused, lambda w, g: create(w, "x" * 321)),
    "a group with a long description": (RequestRefused, lambda w, g: create(w, "x", "y" * 2001)),
    "a group whose name is no text": (RequestRefused, lambda w, g: create(w, "\ud800")),
    "removing a stranger": (UnknownMember, lambda w, g: g.propose(Remove(b"x" * 20), w.now)),
    "removing oneself": (RequestRefused, lambda w, g: g.propose(Remove(w.person("alice").address), w.now)),
    "removing somebody twice": (RequestRefused, lambda w, g: g.propose(Remove(w.person("dave").address), w.now)),
    "leaving twice": (RequestRefused, lambda w, g: (w.do("alice", lambda it: it.leave(w.now)), g.leave(w.now))),
    "inviting rubbish": (BadInvite, lambda w, g: g.propose(Invite(b"rubbish"), w.now)),
    "inviting with a broken key package": (BadInvite, lambda w, g: g.propose(Invite(broken_key_package(w)), w.now)),
    "inviting a member": (RequestRefused, lambda w, g: g.propose(Invite(key_package(w, "bob")), w.now)),
    "voting on nothing": (UnknownProposal, lambda w, g: g.vote(ProposalId(bytes(32)), True, w.now)),
    "voting twice": (RequestRefused, lambda w, g: g.vote(a_proposal(w, "open"), False, w.now)),
    "voting on what is over": (UnknownProposal, lambda w, g: g.vote(a_proposal(w, "committed"), False, w.now)),
    "sending nothing": (RequestRefused, lambda w, g: g.send(" \n", w.now)),
    "sending too much": (RequestRefused, lambda w, g: g.send("x" * 32_769, w.now)),
    "sending what is no text": (RequestRefused, lambda w, g: g.send("\ud800", w.now)),
    "a link for ever": (RequestRefused, lambda w, g: g.invite(relay="", lifetime=Duration(91 * DAY), now=w.now)),
    "a link for no time": (RequestRefused, lambda w, g: g.invite(relay="", lifetime=Duration(0), now=w.now)),
    "sponsoring nobody": (UnknownProposal, lambda w, g: g.sponsor(bytes(32), w.now)),
    "dismissing nobody": (UnknownProposal, lambda w, g: g.dismiss(bytes(32), w.now)),
    "joining with an old link": (BadInvite, expired_link),
}


@pytest.fixture
def world() -> World:
    world = World(11)
    world.found("alice", PRESETS["day"])
    world.admit("alice", "bob")
    world.admit("alice", "carol", "dave")
    world.do("alice", lambda group: group.propose(Remove(world.person("dave").address), world.now))
    world.deliver()
    return world


def is_a_sentence(text: str) -> bool:
    """It begins with a capital letter, an address or the name of somebody."""
    begins_well = text[0].isupper() or text.startswith(("0x", "bob"))
    return begins_well and text.endswith(".") and len(text.split()) > 3 and "  " not in text


@pytest.mark.parametrize("case", MISUSE)
def test_misuse_is_refused_with_a_sentence(case: str, world: World) -> None:
    kind, ask = MISUSE[case]
    with pytest.raises(RequestRefused) as refused:
        ask(world, world.person("alice").group)
    assert type(refused.value) is kind
    assert is_a_sentence(str(refused.value)), str(refused.value)


@pytest.mark.parametrize("case", [case for case in MISUSE if case not in ("leaving twice", "joining with an old link")])
def test_what_was_refused_has_changed_nothing(case: str, world: World) -> None:
    group = world.person("alice").group
    before = group.snapshot()
    with pytest.raises(RequestRefused):
        MISUSE[case][1](world, group)
    assert group.snapshot() == before


def test_too_many_open_proposals_are_refused_with_a_sentence(world: World) -> None:
    for number in range(OPEN_PROPOSALS_PER_MEMBER_MAX):
        package = key_package(world, f"guest {number}")
        world.do("bob", lambda group, it=package: group.propose(Invite(it), world.now))  # type: ignore[misc]
    with pytest.raises(TooMuch) as refused:
        world.do("bob", lambda group: group.propose(Invite(key_package(world, "erin")), world.now))
    assert is_a_sentence(str(refused.value))
    world.do("bob", lambda group: group.leave(world.now))
    world.run(MINUTE)
    assert not world.person("bob").is_member, "leaving needs no vote, and no room among what does"


def test_whoever_joined_later_may_not_vote_on_older_work(world: World) -> None:
    world.ask("erin", world.link("alice"))
    world.run(1_000)
    for name in ("alice", "bob", "carol"):
        for p in world.proposals(name):
            if p.kind == "invite" and p.may_vote:
                world.do(name, lambda group, it=p: group.vote(it.proposal_id, True, world.now))  # type: ignore[misc]
                world.deliver()
    world.run(20_000)
    older = next(p for p in world.proposals("erin") if p.kind == "remove")
    assert not older.may_vote
    with pytest.raises(RequestRefused, match="You joined after this proposal was opened"):
        world.do("erin", lambda group: group.vote(older.proposal_id, True, world.now))


AFTER: dict[str, Ask] = {
    "say": lambda w, g: g.send("hello", w.now),
    "vote": lambda w, g: g.vote(ProposalId(bytes(32)), True, w.now),
    "propose": lambda w, g: g.propose(Leave(), w.now),
    "leave": lambda w, g: g.leave(w.now),
    "invite": lambda w, g: g.invite(relay="", lifetime=Duration(DAY), now=w.now),
    "sponsor": lambda w, g: g.sponsor(bytes(32), w.now),
    "dismiss": lambda w, g: g.dismiss(bytes(32), w.now),
}


@pytest.mark.parametrize("case", AFTER)
def test_who_is_out_is_told_so_whatever_is_asked(case: str, world: World) -> None:
    world.do("bob", lambda group: group.leave(world.now))
    world.run(20_000)
    group = world.person("bob").group
    with pytest.raises(NotAMember, match=r"^You are no longer in this group; join it again with an invite link\.$"):
        AFTER[case](world, group)
    assert group.members() == ()
    assert group.topics() == frozenset()
    assert group.tick(world.now).changes == ()
    assert group.view(world.now).status == "left"


def test_stored_state_that_cannot_be_read_is_refused(world: World) -> None:
    engine = world.person("alice").engine
    records = dict(world.person("alice").records)
    mls = [key for key in records if key.startswith(b"mls/")]
    broken: dict[str, dict[bytes, bytes]] = {
        "nothing": {},
        "strangers": {b"x": b"y"},
        "another schema": records | {b"group": records[b"group"].replace(b"\x01", b"\x63", 1)},
        "a damaged group": records | {b"group": b"\xc1"},
        "no standing": {key: value for key, value in records.items() if key != b"standing"},
        "no keys": {key: value for key, value in records.items() if key not in mls},
        "a damaged end": {b"ended": b"\xc1"},
        "a damaged joining": {b"joining": b"\xc1"},
        "a damaged inbox": {b"inbox": b"\xc1"},
    }
    for case, damaged in broken.items():
        with pytest.raises(BadSnapshot) as refused:
            load_machine(damaged, engine=engine, now=world.now)
        assert is_a_sentence(str(refused.value)), case


def test_every_error_is_in_the_tree_at_the_head_of_its_module() -> None:
    tree = errors.__doc__ or ""
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, DemlsError):
            assert name in tree
            assert kind.__doc__


def test_proposals_have_only_known_ends(world: World) -> None:
    assert {status.value for status in ProposalStatus} == {
        "open",
        "approved",
        "rejected",
        "committed",
        "withdrawn",
        "noted",
    }
