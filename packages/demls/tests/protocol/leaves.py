"""Leaves of a tree that does not exist: members by number, for tests without MLS and without signatures."""

from __future__ import annotations

from dataclasses import dataclass

from demls.wire.ids import Address, GroupId
from demls.wire.messages import Credential, encode_message

GROUP = GroupId(b"g" * 32)


def address(number: int) -> Address:
    return Address(bytes([number + 1]) * 20)


@dataclass
class Leaf:
    """Leaf ``leaf`` of the tree is member ``leaf``."""

    leaf: int

    @property
    def signature_key(self) -> bytes:
        return bytes([self.leaf]) * 32

    @property
    def credential(self) -> bytes:
        return encode_message(Credential(address(self.leaf), "laptop", f"member {self.leaf}"))

    @property
    def extensions(self) -> dict[int, bytes]:
        return {}
