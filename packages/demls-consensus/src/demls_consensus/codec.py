"""How do bytes become fields, and back, in one way only?

Integers are big-endian and of fixed width, variable fields carry their length, nothing may
follow the last field. So an encoding that decodes re-encodes to the same bytes.
"""

from .errors import Malformed

PROPOSAL_ID_BYTES = 32
VOTER_ID_BYTES = 20
SIGNATURE_BYTES_MAX = 255
TIME_MS_MAX = 2**64 - 1


def prefixed(*fields: bytes) -> bytes:
    """Join `fields`, each behind its length as two bytes, so that no two lists give the same bytes."""
    return b"".join(len(field).to_bytes(2, "big") + field for field in fields)


def require_size(name: str, value: bytes, size: int) -> None:
    """Raise ValueError unless `value` is `size` bytes long."""
    if len(value) != size:
        raise ValueError(f"{name} has {size} bytes, not {len(value)}.")


def require_time(name: str, value_ms: int) -> None:
    """Raise ValueError unless `value_ms` fits the 64 bits that a time has on the wire."""
    if not 0 <= value_ms <= TIME_MS_MAX:
        raise ValueError(f"{name} is a whole number of milliseconds in 64 bits, not {value_ms}.")


class Reader:
    """A cursor over foreign bytes; every way in which they can end too early or too late is `Malformed`."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        """Start at the first byte of `data`."""
        self._data = data
        self._at = 0

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        if size > self.remaining:
            raise Malformed(f"{size} bytes expected, {self.remaining} left.")
        start, self._at = self._at, self._at + size
        return self._data[start : self._at]

    def number(self, size: int) -> int:
        """Return the next `size` bytes as an unsigned big-endian number."""
        return int.from_bytes(self.take(size), "big")

    def expect(self, value: bytes, what: str) -> None:
        """Skip `value`, which must come next."""
        if self.take(len(value)) != value:
            raise Malformed(f"This is no {what} of a version that is known here.")

    def end(self) -> None:
        """Refuse trailing bytes."""
        if self.remaining:
            raise Malformed(f"{self.remaining} bytes too many.")
