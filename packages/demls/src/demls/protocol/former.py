"""Who was here before, under which name, and with which keys did they sign?"""

from __future__ import annotations

from demls.protocol import policy as bounds
from demls.protocol.records import Ledger
from demls.protocol.roster import Roster
from demls.wire.ids import Address, LeafKey

_NAMES, _KEYS = b"former", b"former-keys"


class Former:
    """Those who have left, for who reads on: the newest few hundred."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.names: dict[Address, str] = {}
        self._keys: dict[LeafKey, Address] = {}
        """Whoever came and left again has signed with several; the newest last."""
        self.load()

    def load(self) -> None:
        """Take over what is in the records, besides what is known."""
        names = self._ledger.find(_NAMES, dict[bytes, str]) or {}
        self.names |= {Address(address): name for address, name in names.items()}
        keys = self._ledger.find(_KEYS, dict[bytes, bytes]) or {}
        self._keys |= {LeafKey(key): Address(address) for key, address in keys.items()}

    def remember(self, before: Roster, member: Address) -> None:
        """``member`` left the state with this roster."""
        seat = before.seat(member)
        if seat is None:
            return
        self.names[member] = seat.name
        self._keys.pop(seat.leaf_key, None)
        self._keys[seat.leaf_key] = member
        while len(self.names) > bounds.FORMER_NAMES_KEPT:
            del self.names[next(iter(self.names))]
        while len(self._keys) > bounds.FORMER_NAMES_KEPT:
            del self._keys[next(iter(self._keys))]
        self._ledger.put(_NAMES, {bytes(address): name for address, name in self.names.items()})
        self._ledger.put(_KEYS, {bytes(key): bytes(address) for key, address in self._keys.items()})

    def keys_of(self, member: bytes) -> list[LeafKey]:
        """The leaf keys that a member has had, the newest first."""
        return [key for key, owner in reversed(self._keys.items()) if owner == member]
