"""How does somebody become a member? The joiner's side: ask, wait for the welcome, verify it, go on as a group.

A joining is a machine like a group and lives in the same scope of the store: when the welcome is accepted, the same
call's changes delete the joining's records and write the group's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from demls.protocol.channel import channel_of, joiner_channel, seal
from demls.protocol.credential import Device
from demls.protocol.effects import Effects, Outbound
from demls.protocol.engine import Engine
from demls.protocol.errors import BadInvite, BadSnapshot
from demls.protocol.events import Event, JoinRefused, Reason, Rejected
from demls.protocol.group import SUPPORTED_EXTENSIONS, Group
from demls.protocol.parts import Assembly
from demls.protocol.records import SCHEMA, Ledger
from demls.protocol.sync import Accepted, WelcomeRefused, open_welcome
from demls.wire.framing import digest
from demls.wire.ids import Address, Duration, Instant, LeafKey, Topic
from demls.wire.messages import (
    Binding,
    InviteLink,
    JoinAnswer,
    JoinRequest,
    WelcomeBundle,
    WelcomeOutline,
    WelcomePart,
    decode_message,
    encode_message,
)

MACHINE = "joining"
ASK_AGAIN_FIRST = Duration(10_000)
ASK_AGAIN_MOST = Duration(3_600_000)


@dataclass(frozen=True, slots=True)
class JoiningRecord:
    """Everything of a joining; ``link`` is empty when a contact was invited. It holds secrets."""

    schema: int
    machine: str
    link: bytes
    key_package: bytes
    key_package_private: bytes
    address: bytes
    name: str
    device: str
    leaf_key: bytes
    leaf_private: bytes
    binding: bytes
    asked_at: int
    asked: int
    refused: str


class Joining:
    """One attempt to become a member of one group."""

    def __init__(self, record: JoiningRecord, ledger: Ledger, engine: Engine) -> None:
        self._record = record
        self._ledger = ledger
        self._engine = engine
        self._link = decode_message(record.link, InviteLink) if record.link else None
        self._channel = joiner_channel(record.key_package)
        self._assembly = Assembly(ledger, engine, record.key_package_private)
        self.group: Group | None = None

    @classmethod
    def ask(cls, link: InviteLink, *, device: Device, engine: Engine, now: Instant) -> tuple[Joining, Effects]:
        """Ask the group of an invite link to admit us. Raises BadInvite."""
        if link.expires <= now:
            raise BadInvite("This invite link has expired; ask for a new one.")
        joining = cls._begin(encode_message(link), device, engine, now)
        return joining, joining._effects([joining._request()])

    @classmethod
    def await_welcome(cls, *, device: Device, engine: Engine, now: Instant) -> tuple[Joining, Effects]:
        """Wait for the welcome of a group that fetched our key package through our contact."""
        joining = cls._begin(b"", device, engine, now)
        return joining, joining._effects([])

    @classmethod
    def _begin(cls, link: bytes, device: Device, engine: Engine, now: Instant) -> Joining:
        package = engine.key_package(
            signature_private=device.leaf_private,
            credential=device.credential(),
            extensions=device.extensions(),
            supported=SUPPORTED_EXTENSIONS,
        )
        record = JoiningRecord(
            SCHEMA,
            MACHINE,
            link,
            package.public.encoded,
            package.private,
            device.address,
            device.name,
            device.device,
            device.leaf_key,
            device.leaf_private,
            encode_message(device.binding),
            now,
            1,
            "",
        )
        ledger = Ledger()
        ledger.put(b"joining", record)
        return cls(record, ledger, engine)

    @classmethod
    def load(
        cls,
        records: Mapping[bytes, bytes],
        *,
        engine: Engine,
        now: Instant,  # noqa: ARG003 - one form for all machines
    ) -> tuple[Joining, Effects]:
        """Go on waiting after a restart. Raises BadSnapshot."""
        ledger = Ledger(records)
        record = ledger.get(b"joining", JoiningRecord)
        if record.schema != SCHEMA or record.machine != MACHINE:
            raise BadSnapshot("This request was stored by another version of demls; update, or ask again.")
        joining = cls(record, ledger, engine)
        return joining, joining._effects([])

    # --- What it is ---------------------------------------------------------------------------------------------

    @property
    def scope(self) -> str:
        """Where its records belong: the group's id if it is known, else a name of its own, in hexadecimal."""
        if self._link is not None:
            return self._link.group_id.hex()
        return digest(b"demls joining 1", self._record.key_package).hex()

    @property
    def group_name(self) -> str:
        return self._link.group_name if self._link is not None else ""

    @property
    def key_package(self) -> bytes:
        """The public key package to hand out."""
        return self._record.key_package

    @property
    def refused(self) -> str | None:
        """Why a member's node said no, in a sentence; a welcome may still come."""
        return self._record.refused or None

    @property
    def asked_at(self) -> Instant:
        return Instant(self._record.asked_at)

    @property
    def arriving(self) -> tuple[int, int] | None:
        """(received, of) parts of a large welcome that is on its way; None if none is."""
        return self._assembly.progress if self.group is None else None

    def topics(self) -> frozenset[Topic]:
        if self.group is not None:
            return self.group.topics()
        return frozenset({self._channel.topic, *self._assembly.channels()})

    def snapshot(self) -> dict[bytes, bytes]:
        return self._ledger.snapshot()

    # --- What the network and the time bring --------------------------------------------------------------------

    def receive(self, topic: Topic, payload: bytes, now: Instant) -> Effects:
        """A welcome or an answer. Never raises on hostile input; after the welcome, use ``group``."""
        if self.group is not None:
            return self.group.receive(topic, payload, now)
        match self._assembly.unseal(self._channel, topic, payload):
            case WelcomePart() | WelcomeOutline() as piece:
                arrived = self._assembly.take(piece, now)
                if isinstance(arrived, WelcomeBundle):
                    return self._receive_welcome(arrived, now)
                return self._effects([*self._assembly.question(now)], *([arrived] if arrived is not None else []))
            case WelcomeBundle() as welcome:
                return self._receive_welcome(welcome, now)
            case JoinAnswer() as answer:
                if answer.reason == self._record.refused:
                    return self._effects([])
                self._update(refused=answer.reason)
                return self._effects([], JoinRefused(answer.reason))
            case _:
                return self._effects([], Rejected(Reason.UNREADABLE, "an envelope for somebody else, or no welcome"))

    def _receive_welcome(self, welcome: WelcomeBundle, now: Instant) -> Effects:
        try:
            accepted = open_welcome(welcome, self._record.key_package_private, self._engine)
        except WelcomeRefused as problem:
            return self._effects([], Rejected(Reason.INVALID, str(problem)))
        link = self._link
        if link is not None and (accepted.mls.group_id, accepted.charter.rendezvous) != (
            link.group_id,
            link.rendezvous,
        ):
            return self._effects([], Rejected(Reason.INVALID, "a welcome to another group than the one asked"))
        if link is not None and not self._knows_issuer(link, accepted):
            return self._effects([], Rejected(Reason.INVALID, "a welcome by people of whom none made the invite link"))
        record = self._record
        device = Device(
            Address(record.address),
            record.name,
            record.device,
            LeafKey(record.leaf_key),
            record.leaf_private,
            decode_message(record.binding, Binding),
        )
        self.group, effects = Group.from_welcome(
            accepted,
            device=device,
            engine=self._engine,
            now=now,
            ledger=self._ledger,
            introducer=Address(link.issuer) if link is not None else None,
        )
        return effects

    def _knows_issuer(self, link: InviteLink, accepted: Accepted) -> bool:
        """Was the member whose link was used there before, with that key or with a new seat?

        Who knows a key package of its can still put it there; so its person is told until the member is heard.
        """
        return any(seat.address == link.issuer for seat in accepted.told.roster)

    def tick(self, now: Instant) -> Effects:
        """Ask again, ever more rarely; even after a refusal, since anybody who reads along could have sent that."""
        if self.group is not None:
            return self.group.tick(now)
        question = self._assembly.question(now)
        deadline = self._deadline()
        if deadline is None or now < deadline:
            return self._effects([*question])
        self._update(asked=self._record.asked + 1, asked_at=now)
        return self._effects([*question, self._request()])

    def _deadline(self) -> Instant | None:
        if self._link is None or self._record.asked_at >= self._link.expires:
            return None
        is_refused = bool(self._record.refused)
        pause = ASK_AGAIN_MOST if is_refused else min(ASK_AGAIN_MOST, ASK_AGAIN_FIRST * 4 ** (self._record.asked - 1))
        return Instant(self._record.asked_at + pause)

    # --- Making effects -----------------------------------------------------------------------------------------

    def _request(self) -> Outbound:
        link = self._link
        assert link is not None
        request = JoinRequest(self._record.key_package, link.token, link.expires, link.issuer, link.signature)
        channel = channel_of(link.rendezvous)
        return Outbound(channel.topic, seal(channel, request, self._engine))

    def _update(self, **fields: object) -> None:
        values = {name: getattr(self._record, name) for name in JoiningRecord.__slots__}
        self._record = JoiningRecord(**(values | fields))
        self._ledger.put(b"joining", self._record)

    def _effects(self, outbound: list[Outbound], *events: Event) -> Effects:
        times = (time for time in (self._deadline(), self._assembly.deadline()) if time is not None)
        return Effects(self._ledger.drain(), tuple(outbound), events, min(times, default=None))
