"""Who acts for a member that is keys only, when it has to do what a whole one does: lead, join, ask for new keys?

All members of a group have the same state but for few things: whose it is, which leaf is the own, the leaf's key, and
the private keys on the path from that leaf. Every one of those was made here, with a key package or with the path of
whoever committed. So the records of a whole member become those of any other, and its machine is an ordinary one that
is loaded from them. It commits from that member's own leaf with that leaf's own key, and the tree warms up as if all
were whole; but only while it acts does it take time and memory.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import msgspec
from demls.protocol.credential import Device
from demls.protocol.group import Group
from demls.protocol.state import GroupRecord
from demls.wire.ids import Address, Instant
from demls.wire.messages import encode_message
from leaves import encryption_keys, new_engine
from people import Member

_RECORD = b"group"
_MLS = b"mls/"
_ABOUT, _MANIFEST = b"\xffabout", b"\xffmanifest"
_OWN_LEAF, _KEY_PAIRS = b"own_leaf_index", b"epoch_key_pairs"
"""Where the engine keeps what a leaf has for itself (``state.rs`` and ``storage.rs`` of ``demls-engine``)."""

_SIZE = b"\x20"
"""Before each key: it has 32 bytes."""

_PAIR = 66
_NUMBERS = 5_000_000


class StandIns:
    """Members for a time, and the private keys that they need.

    ``leaf_keys``: (public, private) of the leaves that came with a key package.
    """

    def __init__(self, leaf_keys: dict[Address, tuple[bytes, bytes]]) -> None:
        self._leaf_keys = {address: _pair(keys) for address, keys in leaf_keys.items()}
        self._path_keys: dict[bytes, None] = {}
        """Pairs as the engine writes them: of all paths so far, and of the leaves that came with them."""
        self._made = 0

    def joined(self, address: Address, package: tuple[bytes, bytes]) -> None:
        """A newcomer, with its key package."""
        self._leaf_keys[address] = _pair(encryption_keys(package))

    def learn(self, member: Member) -> None:
        """Keep the private keys that a whole member has now; it may have made some of them."""
        group = member.group
        assert group is not None
        epoch, leaf = member.state.epoch, member.state.mls.own_leaf
        records = group.snapshot()
        pairs = records[_pairs_key(records, epoch, leaf)]
        at = len(pairs) % _PAIR  # behind their number
        self._path_keys |= dict.fromkeys(pairs[begin : begin + _PAIR] for begin in range(at, len(pairs), _PAIR))

    def make(self, source: Member, device: Device, now: Instant) -> Member:
        """A whole member that is ``device``, in the state of ``source``. What it says when it comes up is held back."""
        group, seat = source.group, source.state.roster.seat(device.address)
        assert group is not None
        assert seat is not None
        self._made += 1
        number = _NUMBERS + self._made
        member = Member(number, new_engine(number), device)
        records = group.snapshot()
        keys = {**self._path_keys, self._leaf_keys[device.address]: None}
        mls = _mls_of(records, source, device, seat.leaf, list(keys))
        others = {key: value for key, value in records.items() if not key.startswith(_MLS)}
        record = msgspec.msgpack.encode(_record_of(records, device))
        member.machine, effects = Group.load(others | mls | {_RECORD: record}, engine=member.engine, now=now)
        member.deadline = effects.deadline
        return member


def _record_of(records: dict[bytes, bytes], device: Device) -> GroupRecord:
    record = msgspec.msgpack.decode(records[_RECORD], type=GroupRecord)
    return replace(
        record,
        address=device.address,
        name=device.name,
        device=device.device,
        leaf_key=device.leaf_key,
        leaf_private=device.leaf_private,
        binding=encode_message(device.binding),
    )


def _mls_of(
    records: dict[bytes, bytes], source: Member, device: Device, leaf: int, pairs: list[bytes]
) -> dict[bytes, bytes]:
    """The MLS state of another leaf."""
    mls = {key: value for key, value in records.items() if key.startswith(_MLS)}
    (own_leaf,) = (key for key in mls if _OWN_LEAF in key)
    before = source.state.mls.own_leaf
    name = _pairs_key(records, source.state.epoch, before).removesuffix(_varint(before))
    mls = {key: value for key, value in mls.items() if _KEY_PAIRS not in key}
    mls[name + _varint(leaf)] = _varint(len(pairs)) + b"".join(pairs)
    mls[own_leaf] = _varint(leaf)
    theirs = source.device.leaf_private
    assert mls[_MLS + _ABOUT].count(theirs) == 1
    mls[_MLS + _ABOUT] = mls[_MLS + _ABOUT].replace(theirs, device.leaf_private)
    del mls[_MLS + _MANIFEST]
    mls[_MLS + _MANIFEST] = _manifest_of({key[len(_MLS) :]: value for key, value in mls.items()})
    return mls


def _pairs_key(records: dict[bytes, bytes], epoch: int, leaf: int) -> bytes:
    """Where the key pairs of an epoch and a leaf stand."""
    end = _varint(epoch) + _varint(leaf)
    (found,) = (key for key in records if key.startswith(_MLS) and _KEY_PAIRS in key and key.endswith(end))
    return found


def _pair(keys: tuple[bytes, bytes]) -> bytes:
    return b"".join(_SIZE + key for key in keys)


def _manifest_of(mls: dict[bytes, bytes]) -> bytes:
    """What the engine binds the parts of a state together with."""
    whole = hashlib.sha256()
    for key in sorted(mls):
        whole.update(len(key).to_bytes(8, "big") + key + hashlib.sha256(mls[key]).digest())
    return whole.digest()


def _varint(value: int) -> bytes:
    """As postcard writes a number: seven bits a byte, the lowest first."""
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
