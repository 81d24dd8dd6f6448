"""How does a member come back that may not speak from its old leaf, or that nobody can help?

It says a request for a new leaf where everybody can read it, again and again, and waits for the welcome as a joiner
does. Until then it does nothing else: its old keys are gone, only the old leaf key is kept, to sign requests. What
people have (chat, names) stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from demls_consensus import faults

from demls.protocol import policy as bounds
from demls.protocol.channel import channel_of, joiner_channel, seal
from demls.protocol.credential import BINDING_EXTENSION, Device, binding_sentence
from demls.protocol.effects import Effects, Outbound
from demls.protocol.electorates import Electorate
from demls.protocol.engine import Engine
from demls.protocol.errors import NotAMember, RequestRefused, TooMuch
from demls.protocol.events import Event, JoinRefused, Reason, Rejected, SeatAsked
from demls.protocol.governance import PROPOSAL_LABEL
from demls.protocol.parts import Assembly
from demls.protocol.records import SCHEMA, Ledger
from demls.protocol.resync import renew_at, resync_sentence
from demls.protocol.state import GroupRecord, Standing
from demls.protocol.sync import Accepted, WelcomeRefused, open_welcome
from demls.wire.chain import Electorate as WireElectorate
from demls.wire.charters import Charter
from demls.wire.ids import Address, Duration, Epoch, GroupId, Instant, LeafKey, Topic
from demls.wire.messages import (
    Binding,
    ChangeRequest,
    JoinAnswer,
    Proposal,
    Resync,
    ResyncReason,
    WelcomeBundle,
    WelcomeOutline,
    WelcomePart,
    decode_message,
    encode_message,
)

Sign = Callable[[str], bytes]
"""Has the wallet sign a sentence (EIP-191): 65 bytes."""

MACHINE = "returning"
BOUND_FOR = Duration(365 * bounds.DAY)
ASK_AGAIN_FIRST = Duration(10 * bounds.SECOND)
ASK_AGAIN_MOST = Duration(10 * bounds.MINUTE)
UNVOUCHED_WAIT = Duration(2 * bounds.MINUTE)
"""So long a welcome by people unknown here waits for one that known members have certified."""

NEEDS_WALLET = "The wallet is needed to ask for a new seat; put its file back into the keystore and start the node."
_KEPT = (b"former", b"former-keys", b"unsent/")
"""What the member goes on with when it is back. Messages are counted anew: those of before are not said again to it."""


@dataclass(frozen=True, slots=True)
class ReturningRecord:
    """Everything that a returning member needs; it holds secrets.

    ``epoch`` and ``head``: the last state known; ``roster``: its members and their leaf keys.
    """

    schema: int
    machine: str
    group_id: bytes
    charter: bytes
    address: bytes
    name: str
    device: str
    old_leaf_key: bytes
    old_leaf_private: bytes
    leaf_key: bytes
    leaf_private: bytes
    binding: bytes
    key_package: bytes
    key_package_private: bytes
    epoch: int
    head: bytes
    roster: dict[bytes, bytes]
    reason: int
    generation: int
    request: bytes
    created_at: int
    asked_at: int
    asked: int
    began_at: int
    saved_at: int
    """When the backup was made, 0 if that is not known or not why."""
    refused: str = ""
    welcome: bytes = b""
    """One that waits, and since when."""
    welcomed_at: int = 0


class Returning:
    """One member on its way back into one group."""

    def __init__(self, record: ReturningRecord, ledger: Ledger, engine: Engine) -> None:
        self.record = record
        self.sign: Sign | None = None
        """The wallet, if it is at hand."""
        self._ledger = ledger
        self._engine = engine
        self._charter = decode_message(record.charter, Charter)
        self._channel = joiner_channel(record.key_package)
        self._assembly = Assembly(ledger, engine, record.key_package_private)
        self._answered = 0
        """When the question was asked to which there was an answer."""

    @classmethod
    def begin(
        cls, ledger: Ledger, *, sign: Sign, reason: ResyncReason, engine: Engine, now: Instant, saved_at: int = 0
    ) -> tuple[Returning, Effects]:
        """Give up the old leaf and ask for a new one; of the records in ``ledger`` those of the group are enough."""
        group = ledger.get(b"group", GroupRecord)
        key = engine.signature_key()
        leaf_key, address = LeafKey(key.public), Address(group.address)
        expires = Instant(now + BOUND_FOR)
        sentence = binding_sentence(address, leaf_key, group.device, now, expires)
        binding = Binding(now, expires, sign(sentence))
        device = Device(address, group.name, group.device, leaf_key, key.private, binding)
        package = engine.key_package(
            signature_private=device.leaf_private,
            credential=device.credential(),
            extensions={BINDING_EXTENSION: encode_message(binding)},
            supported=(bounds.POLICY_EXTENSION, BINDING_EXTENSION),
        )
        epoch, head, roster = _last_state(ledger)
        record = ReturningRecord(
            SCHEMA,
            MACHINE,
            group.group_id,
            group.charter,
            group.address,
            group.name,
            group.device,
            group.leaf_key,
            group.leaf_private,
            leaf_key,
            key.private,
            encode_message(binding),
            package.public.encoded,
            package.private,
            epoch,
            head,
            roster,
            reason,
            0,
            b"",
            now,
            now,
            0,
            now,
            saved_at,
        )
        kept = kept_of(ledger)
        ledger.delete_all(b"")
        for name, value in kept.items():
            ledger.put_bytes(name, value)
        returning = cls(record, ledger, engine)
        returning.sign = sign
        request = returning._renew(now)
        return returning, returning._effects([request], SeatAsked(Epoch(epoch), reason, saved_at))

    @classmethod
    def load(cls, ledger: Ledger, engine: Engine) -> tuple[Returning, Effects]:
        """Go on waiting after a restart."""
        returning = cls(ledger.get(b"returning", ReturningRecord), ledger, engine)
        return returning, returning._effects([])

    @classmethod
    def again(cls, ledger: Ledger, *, sign: Sign, engine: Engine, now: Instant) -> tuple[Returning, Effects]:
        """Records of somebody who waited already: whether the key package was used since is not known, so all anew."""
        record = ledger.get(b"returning", ReturningRecord)
        old = GroupRecord(
            SCHEMA,
            "group",
            record.group_id,
            record.address,
            record.name,
            record.device,
            record.old_leaf_key,
            record.old_leaf_private,
            record.binding,
            record.charter,
        )
        ledger.put(b"group", old)
        returning, effects = cls.begin(ledger, sign=sign, reason=ResyncReason(record.reason), engine=engine, now=now)
        returning._update(epoch=record.epoch, head=record.head, roster=record.roster, generation=record.generation)
        return returning, replace(effects, outbound=(returning._renew(now),))

    # --- What it is ---------------------------------------------------------------------------------------------

    @property
    def group_id(self) -> GroupId:
        return GroupId(self.record.group_id)

    @property
    def charter(self) -> Charter:
        return self._charter

    @property
    def own(self) -> Address:
        return Address(self.record.address)

    @property
    def waits_for(self) -> str:
        """Why it takes long, in a sentence; empty if it is only a matter of waiting."""
        if self.sign is None and self._needs_wallet_at() is None:
            return NEEDS_WALLET
        if (arriving := self._assembly.progress) is not None:
            return f"Your new seat is granted, and arriving: {arriving[0]} of {arriving[1]} parts are here."
        return self.record.refused

    def _needs_wallet_at(self) -> Instant | None:
        at = renew_at(Instant(self.record.created_at))
        return at if at > self.record.asked_at else None

    @property
    def unsent(self) -> int:
        """How many messages wait until it is back."""
        return sum(1 for _ in self._ledger.bytes_under(b"unsent/"))

    def topics(self) -> frozenset[Topic]:
        return frozenset({self._channel.topic, *self._assembly.channels()})

    def device_of(self) -> Device:
        """The new device."""
        record = self.record
        return Device(
            Address(record.address),
            record.name,
            record.device,
            LeafKey(record.leaf_key),
            record.leaf_private,
            decode_message(record.binding, Binding),
        )

    # --- What happens -------------------------------------------------------------------------------------------

    def receive(self, topic: Topic, payload: bytes, now: Instant) -> Effects | Accepted:
        """An answer, or the welcome: then what it admits to. Never raises on hostile input."""
        match self._assembly.unseal(self._channel, topic, payload):
            case WelcomePart() | WelcomeOutline() as piece:
                arrived = self._assembly.take(piece, now)
                if isinstance(arrived, WelcomeBundle):
                    return self._receive_welcome(arrived, now)
                return self._effects([*self._assembly.question(now)], *([arrived] if arrived is not None else []))
            case WelcomeBundle() as welcome:
                return self._receive_welcome(welcome, now)
            case JoinAnswer() as answer:
                return self._receive_answer(answer)
            case _:
                return self._effects([], Rejected(Reason.UNREADABLE, "an envelope for somebody else, or no welcome"))

    def _receive_answer(self, answer: JoinAnswer) -> Effects:
        """Why there is no seat yet. Anybody can say so who reads along, so each question gets one answer."""
        if answer.reason == self.record.refused or self._answered == self.record.asked_at:
            return self._effects([])
        self._answered = self.record.asked_at
        self._update(refused=answer.reason)
        return self._effects([], JoinRefused(answer.reason))

    def _receive_welcome(self, welcome: WelcomeBundle, now: Instant) -> Effects | Accepted:
        try:
            accepted = self._open(welcome)
        except WelcomeRefused as problem:
            return self._effects([], Rejected(Reason.INVALID, str(problem)))
        if self.is_vouched(accepted):
            return accepted
        if not self.record.welcome:
            self._update(welcome=encode_message(welcome), welcomed_at=now)
        return self._effects([])

    def _open(self, welcome: WelcomeBundle) -> Accepted:
        """Raises WelcomeRefused."""
        record = self.record
        accepted = open_welcome(welcome, record.key_package_private, self._engine, is_own_request=self._is_own_request)
        mls, given = accepted.mls, accepted.told.succession.reseated
        if (mls.group_id, accepted.charter.rendezvous) != (record.group_id, self._charter.rendezvous):
            raise WelcomeRefused("a welcome to another group than the own one")
        if mls.epoch <= record.epoch:
            raise WelcomeRefused("a welcome to an epoch that is over")
        if not any((one.member_id, one.epoch) == (record.address, mls.epoch) for one in given):
            raise WelcomeRefused("a welcome that gives the own member no new seat")
        if all(member.signature_key != record.leaf_key for member in mls.members()):
            raise WelcomeRefused("a welcome for another leaf than the own new one")
        return accepted

    def _is_own_request(self, proposal: Proposal) -> bool:
        """Is this a request of this node for the key package that it waits with?"""
        change, record = proposal.change.payload, self.record
        return (
            isinstance(change, Resync)
            and (proposal.owner, change.key_package_bytes) == (record.address, record.key_package)
            and self._engine.verify(record.old_leaf_key, PROPOSAL_LABEL, proposal.id, proposal.signature)
        )

    def is_vouched(self, accepted: Accepted) -> bool:
        """Have more members certified it than may be malicious, who were in the last state known, with their keys?"""
        now = {seat.address: seat.leaf_key for seat in accepted.told.roster}
        signers = set(accepted.settled.signers) - {self.record.address}
        known = [member for member in signers if self.record.roster.get(member) == now.get(member)]
        known = [member for member in known if member in self.record.roster]
        return len(known) > faults(max(1, len(self.record.roster)))

    def tick(self, now: Instant) -> Effects | Accepted:
        """Ask again, ever more rarely, with a fresh request before the old one expires."""
        record = self.record
        if record.welcome and now >= record.welcomed_at + UNVOUCHED_WAIT:
            try:
                return self._open(decode_message(record.welcome, WelcomeBundle))
            except WelcomeRefused as problem:
                self._update(welcome=b"")
                return self._effects([], Rejected(Reason.INVALID, str(problem)))
        question = self._assembly.question(now)
        if question:
            return self._effects([*question])
        ask_at = self._ask_at()
        if ask_at is None or now < ask_at:
            return self._effects([])
        if now >= renew_at(Instant(record.created_at)):
            if self.sign is None:
                self._update(asked_at=now)  # until the wallet is there, there is nothing to say
                return self._effects([], SeatAsked(Epoch(record.epoch), record.reason, record.saved_at, NEEDS_WALLET))
            return self._effects([self._renew(now)])
        self._update(asked=record.asked + 1, asked_at=now)
        return self._effects([self._said(decode_message(record.request, Proposal))])

    def use_wallet(self, sign: Sign, now: Instant) -> Effects:
        """The wallet is at hand: if a fresh request is due, make it."""
        self.sign = sign
        if now >= renew_at(Instant(self.record.created_at)):
            return self._effects([self._renew(now)])
        return self._effects([])

    def _ask_at(self) -> Instant | None:
        record = self.record
        due = renew_at(Instant(record.created_at))
        if self.sign is None and record.asked_at >= due:
            return None
        pause = min(ASK_AGAIN_MOST, ASK_AGAIN_FIRST * 2 ** min(max(record.asked - 1, 0), 16))
        return min(Instant(record.asked_at + pause), max(due, Instant(record.asked_at + 1)))

    def _renew(self, now: Instant) -> Outbound:
        """A request that is good for an hour, signed by the wallet and by the leaf that it replaces."""
        record = self.record
        assert self.sign is not None
        change = Resync(
            record.old_leaf_key,
            record.head,
            record.key_package,
            now + bounds.RESYNC_LIFETIME,
            record.reason,
            record.generation + 1,
            self._engine.random(16),
            bytes(65),
        )
        change = replace(change, wallet_signature=self.sign(resync_sentence(record.group_id, self.own, change)))
        unsigned = Proposal(record.group_id, record.epoch, record.address, ChangeRequest(change), now, 0, bytes(64))
        signature = self._engine.sign(record.old_leaf_private, PROPOSAL_LABEL, unsigned.id)
        proposal = replace(unsigned, signature=signature)
        self._update(
            request=encode_message(proposal),
            generation=record.generation + 1,
            created_at=now,
            asked_at=now,
            asked=max(1, record.asked),
            refused="",
        )
        return self._said(proposal)

    def _said(self, proposal: Proposal) -> Outbound:
        channel = channel_of(self._charter.rendezvous)
        return Outbound(channel.topic, seal(channel, proposal, self._engine))

    def _update(self, **fields: object) -> None:
        values = {name: getattr(self.record, name) for name in ReturningRecord.__slots__}
        self.record = ReturningRecord(**(values | fields))
        self._ledger.put(b"returning", self.record)

    def _effects(self, outbound: list[Outbound], *events: Event) -> Effects:
        times = [self._ask_at(), self._assembly.deadline()]
        if self.record.welcome:
            times.append(Instant(self.record.welcomed_at + UNVOUCHED_WAIT))
        deadline = min((time for time in times if time is not None), default=None)
        return Effects(self._ledger.drain(), tuple(outbound), events, deadline)

    # --- What the person says meanwhile -------------------------------------------------------------------------

    def keep_unsent(self, text: str) -> Effects:
        """Keep a message until the member is back. Raises RequestRefused."""
        if not text.strip():
            raise RequestRefused("There is nothing to send: the message is empty.")
        kept = [key for key, _ in self._ledger.bytes_under(b"unsent/")]
        if len(kept) >= bounds.UNSENT_MAX or len(text.encode(errors="replace")) > bounds.MESSAGE_BYTES_MAX:
            raise TooMuch("This is too much to keep until this node is back in the group; write again then.")
        number = 1 + max((int.from_bytes(key, "big") for key in kept), default=0)
        self._ledger.put(b"unsent/" + number.to_bytes(4, "big"), text)
        return self._effects([])

    def name_of(self, address: bytes) -> str:
        """What a former member called itself, as far as that is known here."""
        names = self._ledger.find(b"former", dict[bytes, str]) or {}
        return self.record.name if address == self.record.address else names.get(bytes(address), "")

    def goes_on_with(self) -> dict[bytes, bytes]:
        """The records of which the group goes on."""
        return {name: value for name, value in kept_of(self._ledger).items() if not name.startswith(b"unsent/")}

    def refuse(self) -> NotAMember:
        """What is answered to everything else that people ask for."""
        return NotAMember("This node waits for a new seat in this group; try again when it is back.")


def kept_of(ledger: Ledger) -> dict[bytes, bytes]:
    """The records that stay through a return."""
    return {key: value for key, value in ledger.snapshot().items() if key.startswith(_KEPT)}


def _last_state(ledger: Ledger) -> tuple[int, bytes, dict[bytes, bytes]]:
    """(epoch, head, members and their leaf keys) of the last state in the records; 0 and empty if there is none."""
    standing = ledger.find(b"standing", Standing)
    newest = max((key for key, _ in ledger.bytes_under(b"electorate/")), default=None)
    raw = None if newest is None else ledger.find_bytes(b"electorate/" + newest)
    if standing is None or raw is None:
        return 0, b"", {}
    electorate = Electorate.read(decode_message(raw, WireElectorate))
    return electorate.epoch, standing.head, {bytes(a): bytes(seat.leaf_key) for a, seat in electorate.seats.items()}
