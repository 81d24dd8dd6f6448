"""Whose group is it, and what is left of it once the own member is out? How its records begin and end."""

from __future__ import annotations

from dataclasses import dataclass

from demls.protocol.credential import Device
from demls.protocol.engine import Engine, MlsGroup
from demls.protocol.errors import BadSnapshot
from demls.protocol.records import SCHEMA, Ledger
from demls.protocol.state import GroupRecord, GroupState
from demls.protocol.views import GroupStatus
from demls.wire.charters import Charter
from demls.wire.ids import Address, GroupId, LeafKey
from demls.wire.messages import Binding, decode_message, encode_message

MACHINE = "group"


@dataclass(frozen=True, slots=True)
class Ended:
    """What is left of a group that the own member is no longer in: no key, no state."""

    schema: int
    machine: str
    group_id: bytes
    address: bytes
    charter: bytes
    status: GroupStatus
    epoch: int


def check_schema(schema: int, machine: str) -> None:
    """Can records of this version be read? Raises BadSnapshot."""
    if schema != SCHEMA or machine != MACHINE:
        raise BadSnapshot("This group was stored by another version of demls; update, or restore a backup.")


def new_state(
    ledger: Ledger, engine: Engine, device: Device, group_id: GroupId, charter: Charter, mls: MlsGroup
) -> GroupState:
    """A group's state at its beginning, with the record of whose it is."""
    record = GroupRecord(
        SCHEMA,
        MACHINE,
        group_id,
        device.address,
        device.name,
        device.device,
        device.leaf_key,
        device.leaf_private,
        encode_message(device.binding),
        encode_message(charter),
    )
    ledger.put(b"group", record)
    state = GroupState(ledger=ledger, engine=engine, device=device, group_id=group_id, charter=charter, mls=mls)
    state.mls_changed = True
    return state


def device_of(record: GroupRecord) -> Device:
    """The own device, with its leaf key."""
    return Device(
        Address(record.address),
        record.name,
        record.device,
        LeafKey(record.leaf_key),
        record.leaf_private,
        decode_message(record.binding, Binding),
    )
