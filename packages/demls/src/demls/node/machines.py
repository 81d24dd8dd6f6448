"""Which machines does a node run? Those of ``demls.protocol``, with the real MLS engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from demls_engine import Engine

from demls.identity.device import bind_device
from demls.identity.wallet import Wallet
from demls.node import accusing
from demls.node.core import FetchingMachine, GroupMachine, InboxMachine, JoiningMachine, Machine
from demls.protocol.contacts import Fetching, Inbox
from demls.protocol.credential import Device
from demls.protocol.effects import Effects
from demls.protocol.group import Group, Invite, Remove
from demls.protocol.joining import Joining
from demls.protocol.machines import load_machine
from demls.wire.charters import Policy, Predecessor
from demls.wire.ids import Address, Instant, LeafKey
from demls.wire.messages import Contact, Emergency, InviteLink, ResyncReason


class RealCore:
    """The ``Core`` of a running node."""

    def __init__(self) -> None:
        self._engine = Engine()

    def device(self, wallet: Wallet, *, name: str, device: str, now: Instant) -> Device:
        """A fresh leaf key, bound to the wallet; each group gets one of its own."""
        key = self._engine.signature_key()
        leaf_key = LeafKey(key.public)
        return Device(
            address=wallet.address,
            name=name,
            device=device,
            leaf_key=leaf_key,
            leaf_private=key.private,
            binding=bind_device(wallet, leaf_key, device, now),
        )

    def create_group(
        self,
        *,
        name: str,
        description: str,
        policy: Policy,
        device: Device,
        now: Instant,
        predecessor: Predecessor | None = None,
    ) -> tuple[str, GroupMachine, Effects]:
        group, effects = Group.create(
            name=name,
            description=description,
            policy=policy,
            device=device,
            engine=self._engine,
            now=now,
            predecessor=predecessor,
        )
        return group.group_id.hex(), group, effects

    def ask(self, link: InviteLink, *, device: Device, now: Instant) -> tuple[JoiningMachine, Effects]:
        return Joining.ask(link, device=device, engine=self._engine, now=now)

    def create_inbox(self, now: Instant) -> tuple[InboxMachine, Effects]:
        return Inbox.create(engine=self._engine, now=now)

    def fetch(self, contact: Contact, now: Instant) -> tuple[FetchingMachine, Effects]:
        return Fetching.ask(contact, engine=self._engine, now=now)

    def load(self, records: Mapping[bytes, bytes], now: Instant) -> tuple[Machine, Effects]:
        return load_machine(records, engine=self._engine, now=now)

    def restored(
        self,
        records: Mapping[bytes, bytes],
        sign: Callable[[str], bytes],
        reason: ResyncReason,
        now: Instant,
        saved_at: int,
    ) -> tuple[GroupMachine, Effects]:
        return Group.restored(records, sign=sign, reason=reason, engine=self._engine, now=now, saved_at=saved_at)

    def propose_invite(self, group: GroupMachine, key_package: bytes, now: Instant) -> Effects:
        assert isinstance(group, Group)
        return group.propose(Invite(key_package), now)

    def propose_removal(self, group: GroupMachine, address: Address, now: Instant) -> Effects:
        assert isinstance(group, Group)
        return group.propose(Remove(address), now)

    def deadlock_of(self, group: GroupMachine) -> Emergency | None:
        assert isinstance(group, Group)
        return accusing.deadlock_of(group)

    def open_emergency(self, group: GroupMachine, emergency: Emergency, now: Instant) -> Effects:
        assert isinstance(group, Group)
        return accusing.open_emergency(group, emergency, now)
