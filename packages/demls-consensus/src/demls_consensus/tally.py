"""How do the votes of a fixed electorate stand?"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, unique

from .decision import Silence, Verdict, decide_by
from .quorum import Share
from .votes import Choice


@unique
class Recorded(Enum):
    """What recording a choice did."""

    NEW = "new"
    """The voter had said nothing so far."""
    REPEATED = "repeated"
    """The voter had said just this: nothing changed."""
    EQUIVOCATION = "equivocation"
    """The voter has now said both: it counts as YES, and both its votes are evidence."""
    NOT_A_VOTER = "not a voter"
    """Refused; nothing changed."""


class Tally:
    """A running count over a fixed set of voters; `record` is O(1), and the order of calls never matters.

    A tally is a function of the set of (voter, choice) pairs. A voter with both choices counts as
    YES: were it voided, it could undo a decision by voting once more. Signatures are the caller's;
    `Session` keeps them.
    """

    __slots__ = ("_equivocators", "_needed", "_no", "_share", "_silence", "_voters", "_yes")

    def __init__(self, voters: Iterable[bytes], silence: Silence, *, share: Share = Share.TWO_THIRDS) -> None:
        """Start with no votes. A frozenset of voter ids is used as it is, anything else is copied.

        Raises ValueError when there are no voters.
        """
        self._voters = voters if isinstance(voters, frozenset) else frozenset(voters)
        if not self._voters:
            raise ValueError("An electorate has at least one voter.")
        self._silence = silence
        self._share = share
        self._needed = share.needed(len(self._voters))
        self._yes: set[bytes] = set()
        self._no: set[bytes] = set()
        self._equivocators: set[bytes] = set()

    def record(self, voter: bytes, choice: Choice) -> Recorded:
        """Take the vote of `voter`, whose signature the caller has checked."""
        if voter not in self._voters:
            return Recorded.NOT_A_VOTER
        same, other = (self._yes, self._no) if choice is Choice.YES else (self._no, self._yes)
        if voter in same:
            return Recorded.REPEATED
        same.add(voter)
        if voter in other:
            self._equivocators.add(voter)
            return Recorded.EQUIVOCATION
        return Recorded.NEW

    def verdict(self, *, deadline_passed: bool) -> Verdict:
        """Return what is decided now; O(1)."""
        return decide_by(
            len(self._voters),
            self._needed,
            yes=self.yes,
            no=self.no,
            silence=self._silence,
            deadline_passed=deadline_passed,
        )

    def holds(self, voter: bytes, choice: Choice) -> bool:
        """Say whether this vote has been recorded."""
        return voter in (self._yes if choice is Choice.YES else self._no)

    @property
    def n(self) -> int:
        """How many may vote."""
        return len(self._voters)

    @property
    def voters(self) -> frozenset[bytes]:
        """Who may vote."""
        return self._voters

    @property
    def silence(self) -> Silence:
        """What silence means at the deadline."""
        return self._silence

    @property
    def share(self) -> Share:
        """Which share of the voters must say YES."""
        return self._share

    @property
    def needed(self) -> int:
        """How many YES votes decide."""
        return self._needed

    @property
    def yes(self) -> int:
        """How many count as YES, equivocators among them."""
        return len(self._yes)

    @property
    def no(self) -> int:
        """How many said NO and nothing else."""
        return len(self._no) - len(self._equivocators)

    @property
    def silent(self) -> int:
        """How many have not voted."""
        return self.n - self.yes - self.no

    @property
    def equivocators(self) -> frozenset[bytes]:
        """Who signed both choices; O(number of them)."""
        return frozenset(self._equivocators)

    def __repr__(self) -> str:
        """Show the counts."""
        return f"Tally(n={self.n}, yes={self.yes}, no={self.no}, equivocators={len(self._equivocators)})"
