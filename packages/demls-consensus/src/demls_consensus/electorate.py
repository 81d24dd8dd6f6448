"""Who may vote, and with which key?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from .codec import VOTER_ID_BYTES, require_size
from .quorum import quorum

AnyVoter = TypeVar("AnyVoter", bound=bytes)


class Electorate(Mapping[bytes, bytes]):
    """The voters of a proposal: a frozen map from voter id (20 bytes) to the key that checks its votes.

    Build it once for each roster and give it to every ballot; it costs O(n) to make, O(1) to ask.
    For wallet signatures the key is the voter id itself. Raises ValueError when it is empty or an id
    has a wrong size.
    """

    __slots__ = ("_keys", "_voters")

    def __init__(self, keys: Mapping[AnyVoter, bytes]) -> None:
        """Copy `keys`."""
        if not keys:
            raise ValueError("An electorate has at least one voter.")
        for voter in keys:
            require_size("A voter id", voter, VOTER_ID_BYTES)
        self._keys: dict[bytes, bytes] = dict(keys.items())
        self._voters = frozenset(self._keys)

    @property
    def n(self) -> int:
        """How many vote."""
        return len(self._keys)

    @property
    def quorum(self) -> int:
        """How many are two thirds of the voters: so many YES votes are final unless the share is another."""
        return quorum(self.n)

    @property
    def voters(self) -> frozenset[bytes]:
        """The ids of the voters."""
        return self._voters

    def __getitem__(self, voter: bytes) -> bytes:
        """Return the key of `voter`; KeyError if it has no vote."""
        return self._keys[voter]

    def __contains__(self, voter: object) -> bool:
        """Say whether `voter` votes."""
        return voter in self._keys

    def __iter__(self) -> Iterator[bytes]:
        """Go through the voter ids."""
        return iter(self._keys)

    def __len__(self) -> int:
        """How many vote."""
        return len(self._keys)

    def __eq__(self, other: object) -> bool:
        """Two electorates are equal when voters and keys are."""
        return isinstance(other, Electorate) and self._keys == other._keys

    def __hash__(self) -> int:
        """Hash by the voter ids."""
        return hash(self._voters)

    def __repr__(self) -> str:
        """Say how many vote, not who."""
        return f"Electorate(n={self.n})"
