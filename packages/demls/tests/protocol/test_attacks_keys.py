"""Attacks with keys to which nothing can be encrypted: who brought one into the tree would stop every commit."""

from __future__ import annotations

import pytest
from demls.protocol.errors import BadInvite
from demls.protocol.events import Reason, Rejected
from demls.protocol.joining import Joining
from demls.protocol.policy import MINUTE
from demls.protocol.state import GroupState
from demls.wire.messages import Invite, JoinRequest, Refresh, Remove
from demls_engine import Engine, MlsGroup
from forged import LOW_ORDER, forge_key_package, forge_update
from insider import Insider
from world import World

HONEST = ("alice", "bob", "carol")
KEYS = pytest.mark.parametrize("key", LOW_ORDER[:4], ids=bytes.hex)


@pytest.fixture
def world() -> World:
    world = World(3)
    world.group_of(*HONEST, "mallory")
    world.run(MINUTE)
    return world


def state(world: World, name: str) -> GroupState:
    return world.person(name).group._live()


def spoiled_package(world: World, name: str, **keys: bytes) -> bytes:
    """The key package of somebody who is bound by a wallet of its own and has put these keys into it."""
    device, engine = world.device(name), world.person(name).engine
    assert isinstance(engine, Engine)
    joining, _ = Joining.await_welcome(device=device, engine=engine, now=world.now)
    return forge_key_package(engine, device.leaf_private, joining.key_package, **keys)


def refusals(world: World, name: str) -> list[Reason]:
    return [event.reason for event in world.person(name).events if isinstance(event, Rejected)]


def assert_goes_on(world: World) -> None:
    """A removal is voted on and committed, which takes a path to everybody's keys."""
    epoch = world.person("alice").group.view(world.now).epoch
    mallory = world.person("mallory").address
    world.do("alice", lambda group: group.propose(Remove(mallory), world.now))
    world.vote_on_everything(*HONEST)
    world.run(MINUTE)
    views = [world.person(name).group.view(world.now) for name in HONEST]
    assert {view.epoch for view in views} == {epoch + 1}
    assert len({view.authenticator for view in views}) == 1
    assert not world.person("mallory").is_member


@KEYS
@pytest.mark.parametrize("which", ["init_key", "encryption_key"])
def test_an_invitation_of_such_a_key_is_refused_and_costs_nobody_a_vote(world: World, which: str, key: bytes) -> None:
    package = spoiled_package(world, "erin", **{which: key})
    mallory = Insider(world, "mallory")
    proposal = mallory.proposal(Invite(package), duration=state(world, "alice").charter.policy.invite.duration)
    mallory.say(proposal)
    mallory.say(mallory.vote(proposal.id, True))
    world.run(MINUTE)
    for name in HONEST:
        assert Reason.INVALID in refusals(world, name)
        assert all(view.proposal_id != proposal.id for view in world.proposals(name))
    with pytest.raises(BadInvite):
        world.do("bob", lambda group: group.propose(Invite(package), world.now))
    assert_goes_on(world)


@KEYS
def test_who_asks_to_join_with_such_a_key_is_put_to_no_vote(world: World, key: bytes) -> None:
    package, link = spoiled_package(world, "erin", encryption_key=key), world.link("mallory")
    mallory, before = Insider(world, "mallory"), world.proposals("alice")
    mallory.say(JoinRequest(package, link.token, link.expires, link.issuer, link.signature), mallory.rendezvous)
    world.run(MINUTE)
    for name in HONEST:
        assert Reason.INVALID in refusals(world, name)
        assert {view.proposal_id for view in world.proposals(name)} <= {view.proposal_id for view in before}
    assert_goes_on(world)


@KEYS
def test_an_update_to_such_a_key_is_refused_and_the_group_goes_on(world: World, key: bytes) -> None:
    mallory, mls = Insider(world, "mallory"), state(world, "mallory").mls
    engine = mallory.person.engine
    assert isinstance(engine, Engine)
    assert isinstance(mls, MlsGroup)
    update = forge_update(engine, mallory.record.leaf_private, mls, key)
    mallory.say(mallory.proposal(Refresh(update)))
    world.run(MINUTE)
    for name in HONEST:
        assert Reason.INVALID in refusals(world, name)
    assert_goes_on(world)
