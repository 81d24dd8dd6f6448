"""Does a member that waits for a new seat stand whatever reaches it? Frames, real welcomes, and made-up groups."""

from __future__ import annotations

import dataclasses
from functools import cache
from random import Random

from demls.protocol import policy as bounds
from demls.protocol.channel import seal
from demls.protocol.continuity import first_head
from demls.protocol.credential import Device
from demls.protocol.errors import RequestRefused
from demls.protocol.group import Group
from demls.protocol.parts import outline_of, part_of
from demls.protocol.records import Ledger
from demls.protocol.returning import ReturningRecord
from demls.protocol.views import GroupStatus
from demls.wire.chain import Electorate, Reseated, Seat, StewardListing, Succession
from demls.wire.charters import Charter
from demls.wire.ids import Address, Instant
from demls.wire.messages import (
    Frame,
    JoinAnswer,
    Proposal,
    Sync,
    Told,
    WelcomeBundle,
    WelcomePart,
    decode_message,
    encode_message,
)
from demls_consensus import wallet_sign
from demls_engine import Engine as RealEngine
from founder import (
    FORGED_KINDS,
    FORGED_REQUEST,
    FORGED_TOLD,
    Guest,
    ages_of,
    forged,
    founded,
    go_on,
)
from judge import Broken
from mutation import mutate_bytes, mutate_message
from network import decoded, new_device
from scene import returning_channel, scene
from script import Act, mutate_script, read, write

_WAIT_MAX_MS = 400 * bounds.DAY

SEALED, RAW, WAIT, OWN, RESTART = range(5)


class Return:
    """The victim of the scene after it has asked for a new seat."""

    def __init__(self, records: dict[bytes, bytes], now: Instant) -> None:
        self.engine = RealEngine(b"e" * 32)
        self.records = dict(records)
        self.now = now
        self.group, effects = Group.load(self.records, engine=self.engine, now=now)
        self.channel = returning_channel(records)
        self.take(effects)

    def take(self, effects) -> None:
        for change in effects.changes:
            if change.value is None:
                self.records.pop(change.key, None)
            else:
                self.records[change.key] = change.value

    @property
    def is_waiting(self) -> bool:
        return self.group.status is GroupStatus.RETURNING

    def receive(self, payload: bytes) -> None:
        self.take(self.group.receive(self.channel.topic, payload, self.now))

    def say(self, message) -> None:
        self.receive(seal(self.channel, message, self.engine))

    def wait(self, milliseconds: int) -> None:
        self.now = Instant(self.now + min(milliseconds, _WAIT_MAX_MS))
        self.take(self.group.tick(self.now))

    def restart(self) -> None:
        if self.group.snapshot() != self.records:
            raise Broken("the changes do not add up to the snapshot")
        self.group.view(self.now)
        self.group, effects = Group.load(self.records, engine=self.engine, now=self.now)
        self.take(effects)

    def own(self, what: int) -> None:
        """What the person does meanwhile."""
        try:
            match what % 3:
                case 0:
                    self.take(self.group.send("text", self.now))
                case 1:
                    self.take(self.group.use_wallet(_sign, self.now))
                case _:
                    self.take(self.group.leave(self.now))
        except RequestRefused:
            pass

    def finish(self) -> None:
        """Whatever came of it: what is kept can be loaded and shown, and goes on."""
        self.restart()
        if not self.is_waiting:
            go_on(self.group, self.engine, self.now)


def _sign(sentence: str) -> bytes:
    return wallet_sign(scene().victim_wallet, sentence.encode())


def _record(records: dict[bytes, bytes]) -> ReturningRecord:
    return Ledger(records).get(b"returning", ReturningRecord)


# --- Frames, and the welcome that it waits for --------------------------------------------------------------------


def attack_returning(data: bytes) -> None:
    """Frames and raw bytes for somebody who waits for a new seat, and what its person does."""
    at = Return(scene().returning, scene().now)
    for act in read(data):
        if not at.is_waiting:
            break
        match act.kind % 5:
            case 0:
                message = decoded(act.data, Frame)
                if message is not None:
                    at.say(message.payload)
            case 1:
                at.receive(act.data)
            case 2:
                at.wait(int.from_bytes(act.data[:5], "big"))
            case 3:
                at.own(act.data[0] if act.data else 0)
            case _:
                at.restart()
    at.finish()


def returning_seeds() -> list[bytes]:
    answer = encode_message(Frame(JoinAnswer("No.", bytes(20), bytes(64))))
    welcomes = [Act(SEALED, frame) for frame in scene().returned]
    own = [Act(OWN, bytes([what])) for what in range(3)]
    others = [Act(SEALED, frame) for frame in scene().one_of_each]
    return [
        *(write([*own, welcome]) for welcome in welcomes),
        *(write([*own, *_in_parts(frame)]) for frame in scene().returned),
        write([*own, Act(SEALED, answer), _wait(bounds.HOUR), *own, Act(RESTART), *welcomes]),
        write([*others, *welcomes]),
        write([_wait(bounds.DAY), Act(RAW, bytes(64)), Act(RESTART), _wait(bounds.DAY)]),
    ]


def _in_parts(frame: bytes) -> list[Act]:
    """A welcome as an outline, with its parts, some of them twice, and a restart in between."""
    welcome = decode_message(frame, Frame).payload
    assert isinstance(welcome, WelcomeBundle)
    outline = outline_of(welcome, Address(bytes(20)))
    parts = [WelcomePart(outline.bundle, n, part_of(welcome, n)) for n in range(len(outline.parts))]
    payloads = [outline, WelcomePart(outline.bundle, 0, b"another"), *parts, *parts]
    acts = [Act(SEALED, encode_message(Frame(payload))) for payload in payloads]
    return [*acts[:2], Act(RESTART), _wait(bounds.MINUTE), *acts[2:]]


def _wait(milliseconds: int) -> Act:
    return Act(WAIT, milliseconds.to_bytes(5, "big"))


def mutate_returning(generator: Random, data: bytes, others: list[bytes]) -> bytes:
    def act(generator: Random, act: Act, others: list[bytes]) -> Act:
        if act.kind % 5 == SEALED:
            return Act(act.kind, mutate_message(generator, act.data, others, Frame))
        return Act(act.kind, mutate_bytes(generator, act.data, others))

    return mutate_script(generator, data, others, act)


# --- Welcomes to look-alikes of its group -------------------------------------------------------------------------

KNOWN = FORGED_KINDS
"""Kind of the step that says: the founder was in the last state that the guest knew."""


@cache
def _look_alike() -> tuple[Device, Guest, Guest]:
    """The hostile founder; its guest, and the same guest who knows it from before."""
    device = new_device(RealEngine(b"l" * 32), b"\5" * 32, "founder", scene().now)
    records = scene().returning
    record = _record(records)

    def guest(roster: dict[bytes, bytes]) -> Guest:
        ledger = Ledger(records)
        ledger.put(b"returning", dataclasses.replace(record, epoch=0, roster=roster))
        return Guest(
            record.group_id,
            Address(record.address),
            record.key_package,
            ledger.snapshot(),
            Seat(record.address, 1, record.old_leaf_key, 0),
            decode_message(record.request, Proposal),
        )

    both = {record.address: record.old_leaf_key, bytes(device.address): device.leaf_key}
    return device, guest(record.roster), guest(both)


def attack_look_alike(data: bytes) -> None:
    """A welcome that verifies, to a group of the same name that somebody founded for this guest alone."""
    device, stranger, acquainted = _look_alike()
    acts = {act.kind % (FORGED_KINDS + 1): act.data for act in read(data)}
    guest = acquainted if KNOWN in acts else stranger
    at = Return(guest.records, scene().now)
    welcome = forged(acts, device, guest, at.engine)
    if welcome is None:
        return
    at.say(welcome)
    if at.is_waiting:
        at.restart()
        at.wait(3 * bounds.MINUTE)
    at.finish()


def look_alike_seeds() -> list[bytes]:
    device, guest, _ = _look_alike()
    now, record = scene().now, _record(guest.records)
    charter = decode_message(record.charter, Charter)
    seat = Seat(device.address, 0, device.leaf_key, 0)
    electorate = Electorate(0, (seat,), (device.address,), charter.policy)
    listed = StewardListing((device.address,), 0, 0, 0, (guest.address,), ())
    given = Reseated(guest.address, 1, now)
    follows = Succession(listed, (), (), (), (given,), ages_of(device.address, guest.address))
    sync = Sync(guest.group_id, 0, first_head(guest.group_id), bytes(32), bytes(32), (), now, (), bytes(32))
    plain = Told(electorate, follows, (), (), ())
    twice = dataclasses.replace(
        plain, succession=dataclasses.replace(follows, reseated=(given, given, Reseated(device.address, 0, 0)))
    )
    other = dataclasses.replace(charter, name="others")
    return [
        write([*founded(said, sync), Act(FORGED_TOLD, encode_message(told)), *flags])
        for said, told in ((charter, plain), (charter, twice), (other, plain))
        for flags in ([], [Act(KNOWN)], [Act(FORGED_REQUEST)], [Act(KNOWN), Act(FORGED_REQUEST)])
    ]
