"""How many votes decide?

Every number of the rule comes from here. Two sets of `quorum(n)` voters share at least
`faults(n) + 1` of them, so at least one honest voter stands in both (LIP-73 §3).
"""

from __future__ import annotations

from enum import Enum, unique


@unique
class Share(Enum):
    """Which share of the voters must say YES, ascending; the value is its number on the wire.

    Two thirds is the share of LIP-73 and the default everywhere. With up to `faults(n)` malicious
    voters, only two thirds, for every n, take a majority of the honest voters and can be reached by
    them without the others: below, a minority of the honest may be enough; above, the malicious can
    prevent a YES.
    """

    MORE_THAN_HALF = 1
    TWO_THIRDS = 2
    THREE_QUARTERS = 3
    ALL = 4

    @classmethod
    def from_code(cls, code: int) -> Share:
        """Return the share with this number on the wire; ValueError if there is none."""
        try:
            return cls(code)
        except ValueError:
            raise ValueError(f"The number of a share is 1, 2, 3 or 4, not {code}.") from None

    @property
    def code(self) -> int:
        """Its number on the wire, which never changes."""
        return self.value

    @property
    def label(self) -> str:
        """Its name for people: "two thirds"."""
        return self.name.lower().replace("_", " ")

    def words(self, n: int) -> str:
        """Say to people how many of `n` voters it takes: "4 of 6"; ValueError when there are no voters."""
        return f"{self.needed(n)} of {n}"

    def needed(self, n: int) -> int:
        """Return how many YES votes of `n` voters decide.

        For one or two voters that is all of them, whatever the share (LIP-73 §4 Liveness).
        Raises ValueError when there are no voters.
        """
        _require_voters(n)
        match self:
            case Share.MORE_THAN_HALF:
                return n // 2 + 1
            case Share.TWO_THIRDS:
                return (2 * n + 2) // 3
            case Share.THREE_QUARTERS:
                return (3 * n + 3) // 4
            case Share.ALL:
                return n


def quorum(n: int) -> int:
    """Return how many of `n` voters are a quorum: two thirds of them, ceil(2n/3).

    For one or two voters that is all of them (LIP-73 §4 Liveness). So many YES votes decide unless
    another `Share` is asked for.
    Raises ValueError when there are no voters.
    """
    return Share.TWO_THIRDS.needed(n)


def faults(n: int) -> int:
    """Return how many of `n` voters may be malicious without harm: floor((n - 1) / 3).

    Raises ValueError when there are no voters.
    """
    _require_voters(n)
    return (n - 1) // 3


def tolerated_noes(n: int, *, share: Share = Share.TWO_THIRDS) -> int:
    """Return the largest number of NO votes with which a YES is still possible: n - share.needed(n).

    Raises ValueError when there are no voters.
    """
    return n - share.needed(n)


def _require_voters(n: int) -> None:
    if n < 1:
        raise ValueError(f"An electorate has at least one voter, not {n}.")
