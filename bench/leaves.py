"""How does a large group come to be in seconds? All leaves are real keys; only some of its members are whole.

One founder adds everybody, in batches without a path, and nobody votes on it: what is measured is what the group does
from then on. Each leaf has a key and a wallet's binding of its own. ``Insider``: a member with its MLS state, of which
a ``Group`` is made. The others can sign (``crowd.py``) and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from demls.protocol.channel import SECRET_BYTES
from demls.protocol.credential import Device, binding_sentence
from demls.protocol.effects import Effects
from demls.protocol.electorates import Electorate as ReadElectorate
from demls.protocol.engine import Engine, MlsGroup
from demls.protocol.group import SUPPORTED_EXTENSIONS, Group
from demls.protocol.policy import CHARTER_VERSION, DAY, POLICY_EXTENSION
from demls.protocol.profile import DEMLS
from demls.protocol.records import Ledger
from demls.protocol.roster import Roster
from demls.protocol.stewards import StewardList, generate
from demls.protocol.sync import Accepted
from demls.wire.chain import Electorate, KeyAge, Seat, Succession
from demls.wire.charters import Charter, Policy
from demls.wire.ids import Address, Epoch, GroupId, Instant, LeafKey
from demls.wire.messages import (
    Binding,
    Candidate,
    SettledCommit,
    Sync,
    Told,
    WelcomeBundle,
    encode_message,
)
from demls.wire.statements import RoundStatement, StatementKind
from demls_consensus import wallet_address, wallet_sign
from demls_engine import Engine as RealEngine

START = Instant(1_800_000_000_000)
GROUP_ID = GroupId(hashlib.sha256(b"demls bench").digest())
FIRST_EPOCH = 96
"""So many empty commits come first, that a list of stewards can be used up already."""

_SETTLED_IN = Epoch(2)
"""The steward list is drawn for this epoch, from those who joined before it: from all."""


def device_of(number: int, engine: Engine, now: Instant) -> Device:
    """A fresh leaf with its wallet's binding; the wallet follows from the number, the leaf key from the engine."""
    wallet = hashlib.sha256(b"wallet" + number.to_bytes(4, "big")).digest()
    key, address, expires = engine.signature_key(), Address(wallet_address(wallet)), Instant(now + 365 * DAY)
    leaf_key = LeafKey(key.public)
    sentence = binding_sentence(address, leaf_key, "laptop", now, expires)
    binding = Binding(now, expires, wallet_sign(wallet, sentence.encode()))
    return Device(address, f"member {number}", "laptop", leaf_key, key.private, binding)


def new_engine(number: int) -> Engine:
    """The engine of a member, whose results follow from its number."""
    return RealEngine(hashlib.sha256(b"engine" + number.to_bytes(4, "big")).digest())


@dataclass
class Insider:
    """A member with everything that it has: its engine, its leaf and its MLS state (as bytes, to begin from again)."""

    number: int
    engine: Engine
    device: Device
    mls: dict[bytes, bytes]


@dataclass
class Leaves:
    """A group just made. ``order``: all addresses as the steward list has them; the first insiders lead first.

    ``leaf_keys``: with which secrets are encrypted to the lights' leaves, as ``encryption_keys`` gives them.
    """

    charter: Charter
    start: Instant
    epoch: Epoch
    insiders: list[Insider]
    lights: list[Device]
    order: tuple[Address, ...]
    seats: tuple[Seat, ...]
    leaf_keys: dict[Address, tuple[bytes, bytes]]

    def group_of(
        self, insider: Insider, stewards: int, now: Instant, *, serves_for: int | None = None
    ) -> tuple[Group, Effects]:
        """A new machine of this member, in the first state.

        ``serves_for``: after so many epochs the list of stewards needs an election; None: after each had its turn.
        """
        since = self.epoch - stewards + (stewards if serves_for is None else serves_for)
        listing = StewardList(self.order[:stewards], Epoch(since), _SETTLED_IN).listing()
        before = tuple(sorted(self.seats, key=lambda seat: seat.leaf))
        ages = tuple(
            KeyAge(seat.address, self.epoch, self.start) for seat in sorted(before, key=lambda seat: seat.address)
        )
        head = hashlib.sha256(b"head").digest()
        first = self.order[0]
        lock = RoundStatement(self.epoch - 1, head, 0, bytes(32), b"", first, bytes(64), StatementKind.LOCK)
        way_back = hashlib.sha256(b"way back").digest()[:SECRET_BYTES]
        electorate = Electorate(self.epoch - 1, before, (), self.charter.policy)
        told = Told(electorate, Succession(listing, (), (), (), (), ages), (), (), ())
        sync = Sync(GROUP_ID, self.epoch - 1, head, bytes(32), bytes(32), (), self.start, (), way_back)
        settled = SettledCommit.of(self.epoch - 1, head, Candidate(b"made", b"", b"", b""), 0, (lock,), ())
        mls = insider.engine.load_group(insider.mls)
        roster = Roster(mls.members(), self.epoch, {})
        read = (ReadElectorate.read(electorate),)
        accepted = Accepted(mls, self.charter, sync, told, settled, WelcomeBundle(b"-", b"-"), read, roster)
        return Group.from_welcome(accepted, device=insider.device, engine=insider.engine, now=now, ledger=Ledger())


def make(
    members: int, *, policy: Policy, leading: int, ordinary: int, batch: int = 100, start: Instant = START
) -> Leaves:
    """A group of so many. ``leading``: insiders that lead the first views, in this order; ``ordinary``: other insiders.

    Who is an insider follows from the keys: the first in the order of the steward list, and the last.
    """
    shared = new_engine(0)
    numbers = range(1, members + 1)
    engines = {number: new_engine(number) for number in numbers} if leading + ordinary >= members else {}
    devices = {}
    for number in numbers:
        devices[number] = device_of(number, engines.get(number, shared), start)
    by_address = {device.address: number for number, device in devices.items()}
    order = generate(by_address, members, _SETTLED_IN, 0, GROUP_ID)
    inside = [by_address[address] for address in order[:leading]]
    inside += [by_address[address] for address in order[max(leading, members - ordinary) :]]
    for number in inside:
        engines.setdefault(number, new_engine(number))
    charter = Charter(CHARTER_VERSION, DEMLS.name, "group", "", hashlib.sha256(b"rendezvous").digest(), policy, ())
    founder = inside[0]
    mls = engines[founder].create_group(
        group_id=GROUP_ID,
        signature_private=devices[founder].leaf_private,
        credential=devices[founder].credential(),
        extensions=devices[founder].extensions(),
        supported=SUPPORTED_EXTENSIONS,
        context_extensions={POLICY_EXTENSION: encode_message(charter)},
    )
    for _ in range(FIRST_EPOCH):
        mls.merge(mls.propose_commit().staged)
    chosen = set(inside)
    lights = [number for number in numbers if number not in chosen]
    leaf_keys: dict[Address, tuple[bytes, bytes]] = {}
    for begin in range(0, len(lights), batch):
        leaf_keys |= _add(mls, [devices[number] for number in lights[begin : begin + batch]], shared)
    states = _add_insiders(mls, inside[1:], devices, engines)
    states[founder] = mls.snapshot()
    leaves = {member.signature_key: member.leaf for member in mls.members()}
    seats = tuple(
        Seat(device.address, leaves[device.leaf_key], device.leaf_key, 1, False) for device in devices.values()
    )
    return Leaves(
        charter,
        start,
        Epoch(mls.epoch),
        [Insider(number, engines[number], devices[number], states[number]) for number in inside],
        [devices[number] for number in lights],
        order,
        seats,
        leaf_keys,
    )


def key_package(device: Device, engine: Engine) -> tuple[bytes, bytes]:
    """(public, private)."""
    package = engine.key_package(
        signature_private=device.leaf_private,
        credential=device.credential(),
        extensions=device.extensions(),
        supported=SUPPORTED_EXTENSIONS,
    )
    return package.public.encoded, package.private


def encryption_keys(package: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """(public, private) of the leaf in a key package: 32 bytes each.

    The public one stands behind version, suite and init key (RFC 9420 §10); the engine writes the private one last.
    """
    public, private = package
    return public[38:70], private[-32:]


def _add(mls: MlsGroup, devices: Sequence[Device], engine: Engine) -> dict[Address, tuple[bytes, bytes]]:
    """Returns the encryption keys of the leaves."""
    packages = {device.address: key_package(device, engine) for device in devices}
    mls.merge(mls.propose_commit(adds=[public for public, _ in packages.values()]).staged)
    return {address: encryption_keys(package) for address, package in packages.items()}


def _add_insiders(
    mls: MlsGroup, inside: list[int], devices: dict[int, Device], engines: dict[int, Engine]
) -> dict[int, dict[bytes, bytes]]:
    """All in one commit, so that each reads one welcome and no commits."""
    if not inside:
        return {}
    packages = {number: key_package(devices[number], engines[number]) for number in inside}
    candidate = mls.propose_commit(adds=[public for public, _ in packages.values()])
    mls.merge(candidate.staged)
    assert candidate.welcome is not None
    tree = mls.ratchet_tree()
    return {
        number: engines[number].open_welcome(candidate.welcome, private).join(tree).snapshot()
        for number, (_, private) in packages.items()
    }
