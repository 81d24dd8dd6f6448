"""A tiny core with the real one's shape, so that the shell is tested apart: groups of anybody who asks, no secrets."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from demls.identity.wallet import Wallet
from demls.node.desk import Desk
from demls.node.machines import RealCore
from demls.node.node import Node
from demls.node.person import Me
from demls.node.settings import Settings
from demls.protocol.credential import Device
from demls.protocol.effects import Change, Effects, Outbound
from demls.protocol.errors import BadSnapshot, RequestRefused, UnknownMember, UnknownProposal
from demls.protocol.events import (
    Joined,
    MessageReceived,
    ProposalOpened,
    Reason,
    Rejected,
    RequestReceived,
    Settled,
)
from demls.protocol.policy import QUICK, fault_of
from demls.protocol.views import (
    GroupStatus,
    GroupView,
    MemberView,
    ProposalKind,
    ProposalStatus,
    ProposalView,
    RoundView,
    SuccessorView,
)
from demls.storage.errors import DiskFull
from demls.storage.store import Store
from demls.transport.memory import MemoryHub, MemoryTransport
from demls.wire.charters import Policy, Predecessor
from demls.wire.ids import Address, CandidateId, Epoch, GroupId, Instant, ProposalId, Topic, View
from demls.wire.links import new_contact, new_invite
from demls.wire.messages import Contact, InviteLink, encode_message

sys.path.insert(0, str(Path(__file__).parent))

NO_ROUND = RoundView(
    is_open=False, view=0, leader=None, needed=0, heard=0, missing=(), short=0, leader_is_steward=False
)


def topic_of(secret: bytes) -> Topic:
    return Topic(hashlib.sha256(b"fake" + secret).digest())


class FakeGroup:
    """Messages are "say|address|text", requests to join "join|address" and are granted at once by every member."""

    fails_to_announce = False

    def __init__(self, group_id: bytes, name: str, me: Address, members: list[bytes], epoch: int = 0) -> None:
        self.group_id = GroupId(group_id)
        self.name = name
        self.me = me
        self.people = members
        self.epoch = epoch
        self.status = GroupStatus.MEMBER
        self.proposals: dict[bytes, ProposalView] = {}
        self.ticks = 0
        self.policy: Policy = QUICK
        self.successors: list[SuccessorView] = []

    def topics(self) -> frozenset[Topic]:
        return frozenset({topic_of(self.group_id)})

    def _effects(self, *events: Any, out: bytes | None = None, deadline: Any = None) -> Effects:
        state = b"|".join([b"group", self.name.encode(), self.me, bytes([self.epoch]), *self.people])
        outbound = () if out is None else (Outbound(topic_of(self.group_id), out),)
        changes = (Change(b"state", state.hex().encode()), Change(b"id", self.group_id))
        return Effects(changes, outbound, tuple(events), deadline)

    def receive(self, topic: Topic, payload: bytes, now: Any) -> Effects:
        word, _, rest = payload.partition(b"|")
        if word == b"boom":
            raise RuntimeError("a defect of the core")
        if word == b"say" and rest[:20] != self.me:
            return self._effects(self._message(rest[:20], rest[21:], now))
        if word == b"join" and rest not in self.people:
            self.people.append(rest)
            self.epoch += 1
            settled = Settled(Epoch(self.epoch), CandidateId(b"c" * 32), self.me, (Address(rest),), (), (), View(0))
            return self._effects(
                RequestReceived(rest, Address(rest), "", self.me), settled, out=b"welcome|" + rest + bytes([self.epoch])
            )
        if word == b"tick":
            return self._effects(deadline=now)
        return Effects(events=(Rejected(Reason.UNREADABLE, "fake"),))

    def tick(self, now: Any) -> Effects:
        self.ticks += 1
        return self._effects(self._message(self.me, b"tick", now))

    def _message(self, sender: bytes, text: bytes, now: Any) -> MessageReceived:
        return MessageReceived(b"m", Address(sender), Epoch(self.epoch), text.decode(), now, 0)

    def send(self, text: str, now: Any) -> Effects:
        if text == "misuse":
            raise ValueError("a defect of the core")
        return self._effects(self._message(self.me, text.encode(), now), out=b"say|" + self.me + b"|" + text.encode())

    def vote(self, proposal_id: bytes, yes: bool, now: Any) -> Effects:
        if proposal_id not in self.proposals:
            raise UnknownProposal("There is no such proposal.")
        return self._effects()

    def to_bind(self, now: Any) -> None:
        return None

    def refresh_keys(self, now: Any, binding: Any = None) -> Effects:
        return self._effects()

    def leave(self, now: Any) -> Effects:
        self.status = GroupStatus.LEFT
        return self._effects()

    def predecessor_of(self, members: Any) -> Predecessor:
        return Predecessor(self.group_id, self.epoch, b"h" * 32, tuple(sorted(members)))

    def announce_successor(self, links: Any, now: Any) -> Effects:
        if self.fails_to_announce:
            raise DiskFull("The disk is full.")
        self.successors.append(SuccessorView(self.me, "", ""))
        notice = b"".join(b"%b%b" % (member, encode_message(link)) for member, link in sorted(links.items()))
        return self._effects(out=b"successor|" + notice)

    def change_settings(self, now: Any, *, name: Any, description: Any, policy: Any) -> Effects:
        self.name, self.policy = name, policy
        return self._effects()

    def invite(self, *, relay: str, lifetime: int, now: int, is_open: bool = False) -> tuple[InviteLink, Effects]:
        link = new_invite(
            group_id=self.group_id,
            group_name=self.name,
            rendezvous=b"r" * 32,
            relay=relay,
            token=b"" if is_open else b"t" * 16,
            expires=now + lifetime,
            issuer=self.me,
            signature=b"s" * 64,
        )
        return link, self._effects()

    def sponsor(self, request_id: bytes, now: Any) -> Effects:
        return self._effects()

    dismiss = sponsor

    def remove(self, address: Address, now: Any) -> Effects:
        if address not in self.people:
            raise UnknownMember("There is no such member.")
        proposal_id = ProposalId(hashlib.sha256(address).digest())
        self.proposals[proposal_id] = ProposalView(
            proposal_id=proposal_id,
            kind=ProposalKind.REMOVE,
            subject=address,
            subject_name="",
            owner=self.me,
            sponsor=None,
            opened_at=now,
            deadline=now + 30_000,
            silence_is_yes=True,
            voters=len(self.people),
            needed=2,
            yes=1,
            no=0,
            silent=len(self.people) - 1,
            my_vote=True,
            may_vote=True,
            status=ProposalStatus.OPEN,
            reason="",
            epoch=None,
            decided_by_stewards=False,
            stewards=(),
            retry_round=0,
            settings=None,
            violation=None,
            removes=False,
        )
        return self._effects(ProposalOpened(proposal_id, self.me))

    def name_of(self, address: Address) -> str:
        return "me" if address == self.me else ""

    def members(self) -> tuple[MemberView, ...]:
        return tuple(
            MemberView(
                address=Address(one),
                name=self.name_of(Address(one)),
                device="device",
                leaf=leaf,
                is_self=one == self.me,
                is_steward=True,
                is_epoch_steward=leaf == 0,
                removal_pending=False,
                is_dormant=False,
                lost_turn=False,
                score=100,
                score_history=(),
                keys_epoch=Epoch(0),
                keys_at=Instant(1),
            )
            for leaf, one in enumerate(self.people)
        )

    def view(self, now: Any) -> GroupView:
        return GroupView(
            group_id=self.group_id,
            name=self.name,
            description="",
            preset="quick",
            status=self.status,
            epoch=Epoch(self.epoch),
            authenticator=b"a" * 32,
            own_address=self.me,
            stewards=(self.me,),
            epoch_steward=self.me,
            backup_steward=None,
            members=len(self.people),
            proposals=tuple(self.proposals.values()),
            requests=(),
            round=NO_ROUND,
            policy=self.policy,
            charter_digest=b"d" * 32,
            counted=len(self.people),
            stewards_until=Epoch(self.epoch),
            is_halted=False,
            successors=tuple(self.successors),
            frozen_until=None,
            held=0,
        )


class FakeJoining:
    def __init__(self, group_id: bytes, name: str, me: Address) -> None:
        self.scope = group_id.hex()
        self.group_name = name
        self.group: FakeGroup | None = None
        self.refused: str | None = None
        self.arriving: tuple[int, int] | None = None
        self._id = group_id
        self._me = me

    def topics(self) -> frozenset[Topic]:
        return frozenset({topic_of(self._id)})

    def changes(self) -> tuple[Change, ...]:
        state = b"|".join([b"joining", self.group_name.encode(), self._me])
        return (Change(b"state", state.hex().encode()), Change(b"id", self._id))

    def receive(self, topic: Topic, payload: bytes, now: Any) -> Effects:
        if payload[:8] == b"welcome|" and payload[8:28] == self._me:
            epoch = payload[28]
            self.group = FakeGroup(self._id, self.group_name, self._me, [self._me], epoch)
            return self.group._effects(Joined(Epoch(epoch)))
        return Effects()

    def tick(self, now: Any) -> Effects:
        return Effects()


class FakeInbox:
    devices: Callable[[Any], Device]

    def topics(self) -> frozenset[Topic]:
        return frozenset({topic_of(b"inbox")})

    def receive(self, topic: Topic, payload: bytes, now: Any) -> Effects:
        return Effects()

    def tick(self, now: Any) -> Effects:
        return Effects()

    def contact(self, address: Address, name: str, relay: str) -> Contact:
        return new_contact(address, name, b"i" * 32, relay)

    def take_new(self) -> list[Any]:
        return []


class FakeCore:
    def __init__(self) -> None:
        self.unreadable = ""

    def device(self, wallet: Wallet, *, name: str, device: str, now: Any) -> Any:
        return wallet.address

    def create_group(
        self, *, name: str, description: str, policy: Any, device: Any, now: Any, predecessor: Any = None
    ) -> Any:
        if fault_of(policy):
            raise RequestRefused(f"This policy cannot work. {fault_of(policy)}")
        about = name.encode() + (predecessor.group_id if predecessor is not None else b"")
        group = FakeGroup(hashlib.sha256(about).digest(), name, device, [device])
        group.policy = policy
        return group.group_id.hex(), group, group._effects()

    def ask(self, link: InviteLink, *, device: Any, now: Any) -> Any:
        joining = FakeJoining(link.group_id, link.group_name, device)
        ask = Outbound(topic_of(link.group_id), b"join|" + device)
        return joining, Effects(joining.changes(), (ask,))

    def create_inbox(self, now: Any) -> Any:
        return FakeInbox(), Effects(changes=(Change(b"state", b"inbox".hex().encode()),))

    def fetch(self, contact: Contact, now: Any) -> Any:
        raise NotImplementedError

    def load(self, records: Any, now: Any) -> Any:
        if self.unreadable and records.get(b"id", b"").hex() == self.unreadable:
            raise BadSnapshot("The stored state was written by another version.")
        word, *parts = bytes.fromhex(records[b"state"].decode()).split(b"|")
        if word == b"inbox":
            return FakeInbox(), Effects()
        if word == b"joining":
            return FakeJoining(records[b"id"], parts[0].decode(), Address(parts[1])), Effects()
        group = FakeGroup(records[b"id"], parts[0].decode(), Address(parts[1]), parts[3:], parts[2][0])
        return group, Effects()

    def propose_invite(self, group: FakeGroup, key_package: bytes, now: Any) -> Effects:
        return group._effects()

    def propose_removal(self, group: FakeGroup, address: Address, now: Any) -> Effects:
        return group.remove(address, now)

    def deadlock_of(self, group: FakeGroup) -> Any:
        return None

    def open_emergency(self, group: FakeGroup, emergency: Any, now: Any) -> Effects:
        return group._effects()


class TellingNode(Node):
    """A node that lets a test wait for what it tells."""

    changed: asyncio.Event

    def tell(self, *arguments: Any) -> None:
        super().tell(*arguments)
        self.changed.set()


class TellingHub(MemoryHub):
    changed: asyncio.Event

    def add(self, topic: Topic, payload: bytes) -> None:
        super().add(topic, payload)
        self.changed.set()


class World:
    """Nodes with fake cores in one process, each with a store of its own, over a hub that keeps history."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.changed = asyncio.Event()
        self.hub = TellingHub()
        self.hub.changed = self.changed
        self.transports: dict[str, MemoryTransport] = {}

    def wallet(self, name: str) -> Wallet:
        return Wallet(hashlib.sha256(name.encode()).digest())

    async def until(self, claim: Callable[[], Any], seconds: float = 20.0) -> Any:
        """The first true answer of ``claim``, asked again whenever a node tells something."""
        async with asyncio.timeout(seconds):
            while True:
                self.changed.clear()
                if answer := claim():
                    return answer
                await self.changed.wait()

    @asynccontextmanager
    async def node(
        self, name: str, *, unreadable: str = "", has_wallet: bool = True, is_real: bool = False, **settings: Any
    ) -> AsyncIterator[Desk]:
        """A running node; its files stay when it stops. ``unreadable``: a scope that cannot be loaded.

        ``is_real``: with the real core and engine.
        """
        core: Any = RealCore() if is_real else FakeCore()
        core.unreadable = unreadable
        transport = self.transports[name] = self.hub.endpoint()
        wallet: Future[Wallet] = Future()
        wallet.set_result(self.wallet(name))
        me = Me(self.wallet(name).address, (lambda: wallet) if has_wallet else None, name=name, device="device 1")
        store = Store.open(self.folder / name / "demls.sqlite", hashlib.sha256(name.encode()).digest())
        node = TellingNode(
            store=store,
            transport=transport,
            core=core,
            bind=core.device,
            me=me,
            settings=Settings(name=name, **settings),
        )
        node.changed = self.changed
        try:
            await node.start()
            yield Desk(node)
        finally:
            await node.stop()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
