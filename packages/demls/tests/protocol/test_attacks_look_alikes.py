"""Who asks to join is led into a group that looks like the one it was invited to: what that takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from demls.protocol.channel import joiner_channel, seal, unseal
from demls.protocol.credential import parse_credential
from demls.protocol.events import Rejected
from demls.protocol.group import Group
from demls.protocol.joining import Joining
from demls.protocol.policy import MINUTE, PRESETS
from demls.protocol.sync import build_sync, told_with
from demls.wire.chain import Deed, DeedKind, Succession, succession_hash
from demls.wire.ids import View
from demls.wire.messages import (
    Invite,
    JoinRequest,
    Sync,
    Told,
    WelcomeBundle,
    encode_message,
)
from insider import Insider
from world import World, make_device


class Chosen:
    """An engine whose next random numbers are chosen: what a founder needs who wants the id of another group."""

    def __init__(self, engine: Any, *numbers: bytes) -> None:
        self._engine = engine
        self._numbers = list(numbers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def random(self, count: int) -> bytes:
        return self._numbers.pop(0) if self._numbers else bytes(self._engine.random(count))


class LookAlike:
    """A group of alice, bob, carol and mallory, and the one that mallory has founded under its name."""

    def __init__(self) -> None:
        self.real = World(3)
        self.real.group_of("alice", "bob", "carol", "mallory", policy=PRESETS["day"])
        self.fake = World(8)
        for name in ("mallory", "dave"):
            self.fake.person(name).wallet = self.real.person(name).wallet
            self.fake.person(name).engine = self.real.person(name).engine

    def key_package_of(self, name: str) -> bytes:
        """The one by which somebody was admitted: every member has seen it."""
        mallory = Insider(self.real, "mallory")
        engine = mallory.person.engine
        said = (unseal(mallory.rendezvous, e.payload, engine) for e in self.real.log[mallory.rendezvous.topic])
        return next(
            message.key_package_bytes
            for message in said
            if isinstance(message, JoinRequest)
            and parse_credential(engine.parse_key_package(message.key_package_bytes).credential).name == name
        )

    def found(self, *friends: str, dummies: tuple[bytes, ...] = ()) -> None:
        """Mallory founds a group with the true one's id, and admits its own wallets, and others by old key packages."""
        real = self.real.person("mallory").group._live()
        mallory = self.fake.person("mallory")
        mallory.machine, effects = Group.create(
            name=real.charter.name,
            description="",
            policy=real.charter.policy,
            device=self.fake.device("mallory"),
            engine=Chosen(mallory.engine, real.group_id, real.charter.rendezvous),
            now=self.fake.now,
        )
        self.fake.apply(mallory, effects)
        packages = []
        for name in friends:
            person = self.fake.person(name)
            person.machine, effects = Joining.await_welcome(
                device=self.fake.device(name), engine=person.engine, now=self.fake.now
            )
            self.fake.apply(person, effects)
            packages.append(person.machine.key_package)
        for package in (*packages, *dummies):
            self.invite(package)
            self.agree()

    def agree(self) -> None:
        self.fake.vote_on_everything(*(person.name for person in self.fake.members()))
        self.fake.run(30_000)

    def invite(self, package: bytes) -> None:
        self.fake.do("mallory", lambda group: group.propose(Invite(package), self.fake.now))

    def lead_away(self, issuer: str) -> Joining:
        """Dave uses a link of ``issuer``; mallory admits him to its own group and sends that welcome first."""
        joining = self.real.ask("dave", self.real.link(issuer))
        self.real.person("dave").online = False
        self.invite(joining.key_package)
        self.agree()
        channel = joiner_channel(joining.key_package)
        engine = self.real.person("mallory").engine
        said = (unseal(channel, e.payload, engine) for e in self.fake.log.get(channel.topic, []))
        (welcome, *_) = [message for message in said if isinstance(message, WelcomeBundle)]
        dave = self.real.person("dave")
        self.real.apply(dave, joining.receive(channel.topic, seal(channel, welcome, engine), self.real.now))
        return joining


@pytest.fixture
def alike() -> LookAlike:
    return LookAlike()


def test_a_group_of_the_same_id_without_who_made_the_link_is_not_joined(alike: LookAlike) -> None:
    alike.found("eve")
    assert alike.lead_away("bob").group is None
    refusals = [event.detail for event in alike.real.person("dave").events if isinstance(event, Rejected)]
    assert refusals == ["a welcome by people of whom none made the invite link"]


def test_the_link_of_a_founder_cannot_be_led_away(alike: LookAlike) -> None:
    """Nobody ever added it to the group, so there is no key package of it that somebody could add elsewhere."""
    with pytest.raises(StopIteration):
        alike.key_package_of("alice")
    alike.found("eve", dummies=(alike.key_package_of("bob"),))
    assert alike.lead_away("alice").group is None


def test_a_group_in_which_the_maker_of_the_link_cannot_speak_is_taken_for_the_true_one(alike: LookAlike) -> None:
    """With two wallets and the key package by which bob came: bob is in its tree, and nothing in it is said by him."""
    alike.found("eve", dummies=(alike.key_package_of("bob"),))
    joining = alike.lead_away("bob")
    assert joining.group is not None
    bob = alike.real.person("bob")
    seen = joining.group.view(alike.real.now)
    assert bob.address in {member.address for member in joining.group.members()}
    assert seen.authenticator != bob.group.view(alike.real.now).authenticator
    alike.real.run(10 * MINUTE)
    alike.fake.run(10 * MINUTE)
    state = joining.group._live()
    assert state.presence.heard_at(bob.address) in (None, state.settled_at)
    locks = state.history.leaving(state.epoch - 1)
    assert locks is not None
    assert bob.address not in locks.signers
    assert joining.group.view(alike.real.now).introducer == bob.address, "its person is told that bob was not heard"


def test_who_made_the_link_is_heard_at_once_in_the_true_group() -> None:
    world = World(3)
    world.group_of("alice", "bob", "carol")
    joining = world.ask("dave", world.link("bob"))
    world.run(1_000)
    world.vote_on_everything("alice", "bob", "carol")
    world.run(10_000)
    assert joining.group is not None
    assert joining.group.view(world.now).introducer is None


def test_a_group_with_somebody_whose_wallet_has_not_bound_its_key_is_not_joined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All its members look away when carol's address is admitted under a key of the stranger's own."""
    world = World(8)
    world.group_of("alice", "bob")
    with monkeypatch.context() as lax:
        for place in ("admission", "requests", "validation", "sync", "wishes"):
            lax.setattr(f"demls.protocol.{place}.check_leaf", lambda identity, *_: parse_credential(identity))
        carol = make_device(world.person("eve").engine, world.person("eve").wallet, "carol", world.now)
        world.ask("eve", world.link("alice"), replace(carol, address=world.person("carol").address))
        world.run(5_000)
        world.vote_on_everything("alice", "bob")
        world.run(10_000)
    assert world.person("carol").address in {member.address for member in world.person("alice").group.members()}
    world.ask("dave", world.link("alice"))
    world.run(5_000)
    world.vote_on_everything("alice", "bob", "eve")
    world.run(10_000)
    assert not world.person("dave").is_member
    refusals = [event.detail for event in world.person("dave").events if isinstance(event, Rejected)]
    assert any(detail.startswith("A member of the group is not who it says") for detail in refusals)


@pytest.mark.parametrize("deed", [Deed(b"s" * 20, 0, 2**32 - 2), Deed(b"s" * 20, 2**64 - 1, DeedKind.LOST_TURN)])
def test_a_group_that_tells_deeds_nobody_can_have_done_is_not_joined(
    deed: Deed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its members agree on them; found by the fuzzer, whose joiner did not survive the first of the two."""

    def with_deed(follows: Succession) -> Succession:
        return replace(follows, deeds=(deed,))

    def lie(state: Any, governance: Any, group_id: Any, time: Any, _: bytes) -> Sync:
        alice = world.person("alice").group._state
        assert alice is not None
        follows = alice.candidates.follow_own(alice.candidates.work_for(alice.own, time), View(0), time)
        assert follows is not None
        return build_sync(state, governance, group_id, time, succession_hash(encode_message(with_deed(follows))))

    def tell(*about: Any) -> Told:
        told = told_with(*about)
        return replace(told, succession=with_deed(told.succession))

    monkeypatch.setattr("demls.protocol.state.build_sync", lie)
    monkeypatch.setattr("demls.protocol.settling.told_with", tell)
    world = World(8)
    world.group_of("alice")
    world.ask("dave", world.link("alice"))
    world.run(5_000)
    world.vote_on_everything("alice")
    world.run(10_000)
    assert not world.person("dave").is_member
    refusals = [event.detail for event in world.person("dave").events if isinstance(event, Rejected)]
    assert "The sync tells deeds that nobody can have done." in refusals
