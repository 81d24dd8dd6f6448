"""How is a person reached who gave away a contact? Both sides: answering for key packages, and fetching one.

A contact is a secret from which an inbox channel is derived. Whoever has it can ask for a key package, which is made
fresh and used once; the welcome of a group that used it is awaited by a joining of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from demls.protocol import policy as bounds
from demls.protocol.channel import Channel, channel_of, seal, unseal
from demls.protocol.credential import CredentialRefused, Device, check_leaf
from demls.protocol.effects import Effects, Outbound
from demls.protocol.engine import Engine, EngineError
from demls.protocol.errors import BadSnapshot
from demls.protocol.events import Event, Reason, Rejected
from demls.protocol.joining import Joining
from demls.protocol.records import SCHEMA, Ledger
from demls.wire.ids import Duration, Instant, Topic
from demls.wire.links import new_contact
from demls.wire.messages import Contact, KeyPackageAnswer, KeyPackageRequest

MACHINE = "inbox"
ANSWERS_PER_HOUR_MAX = 30
_HOUR = Duration(3_600_000)


@dataclass(frozen=True, slots=True)
class InboxRecord:
    """``secret``: what contacts carry; ``answered``: when the newest requests were answered, and their replies."""

    schema: int
    machine: str
    secret: bytes
    answered: tuple[tuple[int, bytes], ...]


class Inbox:
    """The own inbox: hands out fresh key packages to those who have the contact."""

    def __init__(self, record: InboxRecord, ledger: Ledger, engine: Engine) -> None:
        self._record = record
        self._ledger = ledger
        self._engine = engine
        self._channel = channel_of(record.secret)
        self._new: list[tuple[Joining, Effects]] = []
        self.devices: Callable[[Instant], Device] | None = None
        """Makes a device for a group not known yet; set by the node, which has the wallet."""

    @classmethod
    def create(cls, *, engine: Engine, now: Instant) -> tuple[Inbox, Effects]:  # noqa: ARG003 - one form for all
        ledger = Ledger()
        record = InboxRecord(SCHEMA, MACHINE, engine.random(32), ())
        ledger.put(b"inbox", record)
        inbox = cls(record, ledger, engine)
        return inbox, inbox._effects([])

    @classmethod
    def load(
        cls,
        records: Mapping[bytes, bytes],
        *,
        engine: Engine,
        now: Instant,  # noqa: ARG003 - one form for all machines
    ) -> tuple[Inbox, Effects]:
        """Raises BadSnapshot."""
        ledger = Ledger(records)
        record = ledger.get(b"inbox", InboxRecord)
        if record.schema != SCHEMA or record.machine != MACHINE:
            raise BadSnapshot("The inbox was stored by another version of demls; update, or restore a backup.")
        return cls(record, ledger, engine), Effects()

    def contact(self, address: bytes, name: str, relay: str) -> Contact:
        """What to give away to be reached."""
        return new_contact(address, name, self._record.secret, relay)

    def topics(self) -> frozenset[Topic]:
        return frozenset({self._channel.topic})

    def snapshot(self) -> dict[bytes, bytes]:
        return self._ledger.snapshot()

    def take_new(self) -> list[tuple[Joining, Effects]]:
        """Joinings begun by the last ``receive``: to be stored before its own effects are."""
        new, self._new = self._new, []
        return new

    def receive(self, topic: Topic, payload: bytes, now: Instant) -> Effects:
        """A request for a key package. Never raises on hostile input."""
        message = None
        if topic == self._channel.topic and len(payload) <= bounds.ENVELOPE_BYTES_MAX:
            message = unseal(self._channel, payload, self._engine)
        if not isinstance(message, KeyPackageRequest):
            return self._effects([], Rejected(Reason.UNREADABLE, "an envelope in the inbox that asks for nothing"))
        recent = tuple((at, reply) for at, reply in self._record.answered if at > now - _HOUR)
        if any(reply == message.reply for _, reply in recent):
            return self._effects([], Rejected(Reason.STALE, "a request for a key package that was answered"))
        if len(recent) >= ANSWERS_PER_HOUR_MAX:
            return self._effects([], Rejected(Reason.LIMIT, "too many requests for key packages"))
        if self.devices is None:
            return self._effects([], Rejected(Reason.LIMIT, "no wallet at hand for a key package"))
        joining, effects = Joining.await_welcome(device=self.devices(now), engine=self._engine, now=now)
        self._new.append((joining, effects))
        self._record = InboxRecord(SCHEMA, MACHINE, self._record.secret, (*recent, (now, message.reply)))
        self._ledger.put(b"inbox", self._record)
        reply = channel_of(message.reply)
        answer = seal(reply, KeyPackageAnswer(joining.key_package), self._engine)
        return self._effects([Outbound(reply.topic, answer)])

    def tick(self, now: Instant) -> Effects:  # noqa: ARG002 - nothing here waits for time
        return Effects()

    def _effects(self, outbound: list[Outbound], *events: Event) -> Effects:
        return Effects(self._ledger.drain(), tuple(outbound), events, None)


class Fetching:
    """Asking a contact for a key package. Not durable: who asked waits for it, or asks again."""

    def __init__(self, contact: Contact, reply: Channel, engine: Engine) -> None:
        self._contact = contact
        self._reply = reply
        self._engine = engine
        self.key_package: bytes | None = None

    @classmethod
    def ask(
        cls,
        contact: Contact,
        *,
        engine: Engine,
        now: Instant,  # noqa: ARG003 - one form for all machines
    ) -> tuple[Fetching, Effects]:
        secret = engine.random(32)
        inbox = channel_of(contact.inbox)
        request = seal(inbox, KeyPackageRequest(secret), engine)
        return cls(contact, channel_of(secret), engine), Effects(outbound=(Outbound(inbox.topic, request),))

    def topics(self) -> frozenset[Topic]:
        return frozenset({self._reply.topic})

    def receive(self, topic: Topic, payload: bytes, now: Instant) -> Effects:
        """Accepts only a key package whose wallet binding is of the contact's own address."""
        message = unseal(self._reply, payload, self._engine) if topic == self._reply.topic else None
        if not isinstance(message, KeyPackageAnswer):
            return Effects(events=(Rejected(Reason.UNREADABLE, "no answer to a request for a key package"),))
        try:
            package = self._engine.parse_key_package(message.key_package_bytes)
            credential = check_leaf(package.credential, package.signature_key, package.extensions, now)
        except (EngineError, CredentialRefused) as problem:
            return Effects(events=(Rejected(Reason.INVALID, f"an unusable key package: {problem}"),))
        if credential.address != self._contact.address:
            return Effects(events=(Rejected(Reason.FORGED, "a key package of another wallet than the contact's"),))
        self.key_package = message.key_package_bytes
        return Effects()

    def tick(self, now: Instant) -> Effects:  # noqa: ARG002 - its caller keeps the time
        return Effects()
