"""Which votes wait for a proposal that has not arrived yet?"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import Reason
from .intake import Accepted, Kept, Refused
from .votes import Choice, SignedVote


@dataclass(frozen=True, slots=True)
class EarlyVote:
    """A vote whose signature fitted `key` when it came, at `received_at_ms`."""

    vote: SignedVote
    key: bytes
    received_at_ms: int


_Slot = tuple[bytes, bytes, Choice]


class EarlyVotes:
    """A bounded waiting room. Only verified votes enter it, so nobody fills the room of another.

    A voter with `per_voter_max` waiting votes loses its own oldest one. When `total_max` votes wait,
    further ones are refused. A vote older than `age_ms_max` is dropped. All operations are O(1) for
    each vote that enters or leaves.
    """

    __slots__ = ("_age_ms_max", "_by_proposal", "_by_voter", "_per_voter_max", "_total_max", "_waiting")

    def __init__(self, *, per_voter_max: int, total_max: int, age_ms_max: int) -> None:
        """Start empty."""
        self._per_voter_max = per_voter_max
        self._total_max = total_max
        self._age_ms_max = age_ms_max
        self._waiting: dict[_Slot, EarlyVote] = {}
        self._by_voter: dict[bytes, dict[_Slot, None]] = {}
        self._by_proposal: dict[bytes, dict[_Slot, None]] = {}

    def __len__(self) -> int:
        """How many votes wait."""
        return len(self._waiting)

    def holds(self, vote: SignedVote) -> bool:
        """Say whether the voter's same choice on the same proposal waits already."""
        return _slot(vote) in self._waiting

    def add(self, vote: SignedVote, key: bytes, now_ms: int) -> Accepted | Refused:
        """Let a vote wait whose signature fits `key`."""
        slot = _slot(vote)
        if slot in self._waiting:
            return Accepted(vote, Kept.REPEATED)
        own = self._by_voter.get(vote.voter, {})
        if len(own) >= self._per_voter_max:
            if not own:
                return Refused(Reason.EARLY_LIMIT)
            self._remove(next(iter(own)))
        if len(self._waiting) >= self._total_max:
            return Refused(Reason.EARLY_LIMIT)
        self._waiting[slot] = EarlyVote(vote, key, now_ms)
        self._by_voter.setdefault(vote.voter, {})[slot] = None
        self._by_proposal.setdefault(vote.proposal_id, {})[slot] = None
        return Accepted(vote, Kept.EARLY)

    def take(self, proposal_id: bytes) -> list[EarlyVote]:
        """Remove and return what waited for this proposal, in order of arrival."""
        return [self._remove(slot) for slot in list(self._by_proposal.get(proposal_id, ()))]

    def expire(self, now_ms: int) -> None:
        """Drop votes that have waited too long."""
        while self._waiting:
            slot, oldest = next(iter(self._waiting.items()))
            if now_ms - oldest.received_at_ms <= self._age_ms_max:
                return
            self._remove(slot)

    def _remove(self, slot: _Slot) -> EarlyVote:
        proposal_id, voter, _ = slot
        for index, name in ((self._by_voter, voter), (self._by_proposal, proposal_id)):
            del index[name][slot]
            if not index[name]:
                del index[name]
        return self._waiting.pop(slot)


def _slot(vote: SignedVote) -> _Slot:
    return vote.proposal_id, vote.voter, vote.choice
