"""Which machine do these records belong to? Loading whatever a scope of the store holds."""

from __future__ import annotations

from collections.abc import Mapping

from demls_consensus import Malformed

from demls.protocol.contacts import Inbox
from demls.protocol.effects import Effects
from demls.protocol.engine import Engine, EngineError
from demls.protocol.errors import BadSnapshot
from demls.protocol.group import Group
from demls.protocol.joining import Joining
from demls.wire.ids import Instant


def load_machine(
    records: Mapping[bytes, bytes], *, engine: Engine, now: Instant
) -> tuple[Group | Joining | Inbox, Effects]:
    """The machine whose records these are. Raises BadSnapshot."""
    try:
        if b"group" in records or b"ended" in records or b"returning" in records:
            return Group.load(records, engine=engine, now=now)
        if b"joining" in records:
            return Joining.load(records, engine=engine, now=now)
        if b"inbox" in records:
            return Inbox.load(records, engine=engine, now=now)
    except (KeyError, ValueError, Malformed, EngineError) as problem:
        raise BadSnapshot("The stored records are damaged; restore a backup.") from problem
    raise BadSnapshot("The stored records belong to nothing this version knows; update demls.")
