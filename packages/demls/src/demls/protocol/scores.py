"""What does the own node think of the others, and why? Peer scores (LIP-104 §Peer scoring).

Local by design: each node scores what it has seen itself, and what the chain certifies. A member is never scored for
what another did: every deed is bound to it by its signature or by a certificate. Scores follow the address, so leaving
and coming back changes nothing.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from demls.protocol import policy as bounds
from demls.protocol.events import ScoreChanged
from demls.protocol.records import Ledger
from demls.protocol.step import Step
from demls.wire.chain import Deed, DeedKind
from demls.wire.charters import Scoring
from demls.wire.ids import Address, Epoch


class Cause(StrEnum):
    """Why a score moves. The first four come with a proof; the next three the chain certifies."""

    BROKEN_COMMIT = "offered a broken commit"
    BROKEN_PROPOSAL = "offered a commit that does something else than was decided"
    MISBEHAVING = "offered a candidate against the rules"
    EQUIVOCATION = "signed two different things"
    COMMITTED = "committed the group's work"
    LOST_TURN = "led without a commit"
    UPHELD = "its emergency was decided yes"
    REJECTED = "its emergency was decided no"
    UNPROVEN = "accused somebody without proof"
    HEALED = "time went by without another fault"


_BY_CHAIN = {
    DeedKind.COMMITTED: Cause.COMMITTED,
    DeedKind.LOST_TURN: Cause.LOST_TURN,
    DeedKind.UPHELD: Cause.UPHELD,
}
_FAULTS = (
    Cause.BROKEN_COMMIT,
    Cause.BROKEN_PROPOSAL,
    Cause.MISBEHAVING,
    Cause.EQUIVOCATION,
    Cause.REJECTED,
    Cause.UNPROVEN,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One move of a score: ``key`` names the act, so that it counts once."""

    epoch: int
    cause: str
    points: int
    key: bytes


@dataclass(frozen=True, slots=True)
class Score:
    """A member's score with its newest moves, oldest first."""

    points: int
    history: tuple[Entry, ...] = ()


def points_of(cause: Cause, scoring: Scoring) -> int:
    """By how much a deed moves a score."""
    match cause:
        case Cause.BROKEN_COMMIT:
            return -scoring.broken_commit
        case Cause.BROKEN_PROPOSAL:
            return -scoring.broken_proposal
        case Cause.MISBEHAVING:
            return -scoring.misbehaving
        case Cause.EQUIVOCATION:
            return -scoring.equivocation
        case Cause.COMMITTED:
            return scoring.committed
        case Cause.LOST_TURN:
            return -scoring.lost_turn
        case Cause.UPHELD:
            return scoring.upheld
        case Cause.REJECTED | Cause.UNPROVEN:
            return -scoring.rejected
        case Cause.HEALED:
            return scoring.heal


class Scores:
    """The own node's scores of the members of one group, former ones included."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[Address, Score] = {Address(key): score for key, score in ledger.under(b"score/", Score)}
        self._least: int | None = None
        """The worst of all, computed when it is asked for."""

    def of(self, member: Address, scoring: Scoring) -> Score:
        """A member's score; nobody begins worse than another."""
        return self._known.get(member) or Score(scoring.start)

    def apply(self, member: Address, cause: Cause, key: bytes, epoch: Epoch, scoring: Scoring, step: Step) -> None:
        """Count a deed once; the score stays within bounds."""
        if self._count(member, cause, key, epoch, scoring, step):
            self._keep(member)

    def _count(self, member: Address, cause: Cause, key: bytes, epoch: Epoch, scoring: Scoring, step: Step) -> bool:
        """Says whether the score has moved; it is not written yet.

        Silence cannot be proven, so a lost turn never takes a score further down than halfway to the threshold.
        """
        score = self.of(member, scoring)
        if any(entry.key == key and entry.cause == cause for entry in score.history):
            return False
        moved = points_of(cause, scoring)
        least = scoring.threshold - bounds.SCORE_MAX
        if cause is Cause.LOST_TURN:
            least = min(score.points, (scoring.start + scoring.threshold) // 2)
        most = max(score.points, scoring.start) if cause is Cause.HEALED else 2 * scoring.start
        points = max(least, min(most, score.points + moved))
        if points == score.points and cause is Cause.HEALED:
            return False
        history = (*score.history, Entry(epoch, cause.value, points - score.points, key))
        self._known[member] = Score(points, _trimmed(history))
        step.tell(ScoreChanged(member, score.points, points, cause.value))
        return True

    def settle(
        self,
        deeds: Iterable[Deed],
        members: frozenset[Address],
        newcomers: Iterable[Address],
        epoch: Epoch,
        scoring: Scoring,
        step: Step,
    ) -> None:
        """A commit was settled: what the chain says about the epoch before, and healing of who was there. O(n)."""
        moved: dict[Address, None] = {}
        for deed in deeds:
            member = Address(deed.member_id)
            if self._count(member, *_chain_entry(deed), scoring, step):
                moved[member] = None
        for member in moved:
            self._keep(member)
        there = members - frozenset(newcomers)
        for member, score in [known for known in self._known.items() if known[0] in there]:
            if score.points >= scoring.start:
                continue
            if any(entry.epoch >= epoch - 1 and entry.cause in _FAULTS for entry in score.history):
                continue
            healed = min(scoring.start, score.points + scoring.heal)
            self._known[member] = replace(score, points=healed)
            self._keep(member)
        self._forget(members)

    def _keep(self, member: Address) -> None:
        self._least = None
        self._ledger.put(b"score/" + member, self._known[member])

    def _forget(self, members: frozenset[Address]) -> None:
        """Of those who left, the newest and worst are remembered."""
        former = [address for address in self._known if address not in members]
        if len(former) <= bounds.SCORES_OF_FORMER_MEMBERS_KEPT:
            return
        former.sort(key=lambda address: (self._known[address].points, address))
        for address in former[bounds.SCORES_OF_FORMER_MEMBERS_KEPT :]:
            del self._known[address]
            self._ledger.delete(b"score/" + address)

    def below(self, members: Container[Address], scoring: Scoring) -> list[Address]:
        """Members at the threshold or below it, worst first. O(1) while nobody is, else by those who have a score."""
        if self._least is None:
            self._least = min((score.points for score in self._known.values()), default=scoring.start)
        if self._least > scoring.threshold:
            return []
        bad = [a for a, score in self._known.items() if score.points <= scoring.threshold and a in members]
        return sorted(bad, key=lambda address: (self._known[address].points, address))


def _trimmed(history: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """The newest moves, and faults longer than others: as long as a fault is remembered it does not count again."""
    kept = list(history)
    while len(kept) > bounds.SCORE_HISTORY_KEPT:
        del kept[next((place for place, entry in enumerate(kept) if entry.cause not in _FAULTS), 0)]
    return tuple(kept)


def is_known(deed: Deed) -> bool:
    """Is it of a kind that this version knows?"""
    return deed.kind in _BY_CHAIN


def _chain_entry(deed: Deed) -> tuple[Cause, bytes, Epoch]:
    cause = _BY_CHAIN[DeedKind(deed.kind)]
    return cause, deed.epoch.to_bytes(8, "big"), Epoch(deed.epoch)
