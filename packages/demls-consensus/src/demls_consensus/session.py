"""How does the vote on one proposal stand, and which signed votes prove it?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from .certificate import Certificate
from .codec import PROPOSAL_ID_BYTES, VOTER_ID_BYTES, require_size, require_time
from .decision import Silence, Verdict
from .electorate import Electorate
from .errors import Reason
from .evidence import Equivocation
from .intake import Accepted, Kept, Refused, take_in
from .quorum import Share
from .schemes import SignatureScheme
from .tally import Recorded, Tally
from .votes import Choice, SignedVote


@dataclass(frozen=True, slots=True)
class Ballot:
    """What is fixed about the vote on one proposal from the start.

    proposal_id: 32 bytes, the digest of all that is voted on. owner: 20 bytes, who proposed it.
    opened_at_ms: the local time at which the proposal was received; duration_ms: how long from then.
    The deadline is thus a duration from receipt, never a clock time that somebody else wrote.
    share: which share of the electorate must say YES.
    Raises ValueError for fields out of range.
    """

    proposal_id: bytes
    owner: bytes
    electorate: Electorate
    opened_at_ms: int
    duration_ms: int
    silence: Silence
    share: Share = field(default=Share.TWO_THIRDS, kw_only=True)

    def __post_init__(self) -> None:
        """Check sizes."""
        require_size("A proposal id", self.proposal_id, PROPOSAL_ID_BYTES)
        require_size("An owner id", self.owner, VOTER_ID_BYTES)
        if self.duration_ms < 0:
            raise ValueError(f"A duration is not negative: {self.duration_ms}.")
        require_time("The opening time", self.opened_at_ms)
        require_time("The deadline", self.deadline_ms)

    @property
    def deadline_ms(self) -> int:
        """From this local time on the deadline has passed."""
        return self.opened_at_ms + self.duration_ms


class Session:
    """The votes on one proposal, as signed bytes, with their tally.

    Its state is a function of the ballot and of the set of votes, so `Session.replay` of the kept
    votes in any order restores it. At most two votes a voter are kept. Late votes are taken like
    any others: whether the deadline has passed enters `verdict` only.
    """

    __slots__ = ("_ballot", "_signed", "_tally")

    def __init__(self, ballot: Ballot) -> None:
        """Open a session without votes."""
        self._ballot = ballot
        self._tally = Tally(ballot.electorate.voters, ballot.silence, share=ballot.share)
        self._signed: dict[tuple[bytes, Choice], bytes] = {}

    @classmethod
    def replay(cls, ballot: Ballot, votes: Iterable[SignedVote]) -> Session:
        """Restore a session from `votes` that it once accepted; signatures are not checked again.

        Raises ValueError if a vote cannot have been accepted for this ballot.
        """
        session = cls(ballot)
        for vote in votes:
            session.admit(vote)
        return session

    @property
    def ballot(self) -> Ballot:
        """What is voted on, by whom, until when."""
        return self._ballot

    @property
    def tally(self) -> Tally:
        """The counts, to read: a choice recorded into it directly would have no signature."""
        return self._tally

    def receive(self, vote: SignedVote | bytes, scheme: SignatureScheme) -> Accepted | Refused:
        """Check and count one vote from the network; O(1), never raises on hostile input."""
        return self.receive_batch((vote,), scheme)[0]

    def receive_batch(self, votes: Sequence[SignedVote | bytes], scheme: SignatureScheme) -> list[Accepted | Refused]:
        """Check and count votes from the network, signatures in one batch; results in the same order."""
        return take_in(votes, scheme, screen=self.screen, admit=lambda vote, _: self.admit(vote))

    def screen(self, vote: SignedVote) -> Accepted | Refused | bytes:
        """Return what is known of a vote without its signature, or the key that must have made that."""
        if vote.proposal_id != self._ballot.proposal_id:
            return Refused(Reason.WRONG_PROPOSAL)
        key = self._ballot.electorate.get(vote.voter)
        if key is None:
            return Refused(Reason.NOT_A_VOTER)
        return Accepted(vote, Kept.REPEATED) if self._tally.holds(vote.voter, vote.choice) else key

    def admit(self, vote: SignedVote) -> Accepted:
        """Count a vote whose signature the caller has checked with the electorate's key.

        Raises ValueError when the vote is for another proposal or not of a voter.
        """
        match self.screen(vote):
            case Refused(reason):
                raise ValueError(f"This vote cannot be admitted: {reason.value}.")
            case Accepted() as repeated:
                return repeated
            case _:
                return self._count(vote)

    def verdict(self, now_ms: int) -> Verdict:
        """Return what is decided at the local time `now_ms`; O(1)."""
        return self._tally.verdict(deadline_passed=now_ms >= self._ballot.deadline_ms)

    def certificate(self) -> Certificate | None:
        """Return a certificate of YES by votes, or None as long as there are too few; O(n log n)."""
        if self._tally.yes < self._tally.needed:
            return None
        yes = (SignedVote.decode(data) for (_, choice), data in self._signed.items() if choice is Choice.YES)
        return Certificate.collect(self._ballot.proposal_id, yes, self._tally.n, share=self._tally.share)

    def evidence(self) -> list[Equivocation]:
        """Return the proof against each equivocator, ascending by voter."""
        return [self._evidence(voter) for voter in sorted(self._tally.equivocators)]

    def signed(self, voter: bytes, choice: Choice) -> bytes | None:
        """Return the kept bytes of a vote, as they answer somebody who lacks it."""
        return self._signed.get((voter, choice))

    def votes(self) -> Iterator[SignedVote]:
        """Go through the kept votes, ascending by voter, NO before YES."""
        for voter, choice in sorted(self._signed, key=lambda key: (key[0], key[1].value)):
            yield SignedVote.decode(self._signed[voter, choice])

    def _count(self, vote: SignedVote) -> Accepted:
        recorded = self._tally.record(vote.voter, vote.choice)
        self._signed[vote.voter, vote.choice] = vote.encode()
        if recorded is Recorded.EQUIVOCATION:
            return Accepted(vote, Kept.EQUIVOCATION, self._evidence(vote.voter))
        return Accepted(vote, Kept.NEW)

    def _evidence(self, voter: bytes) -> Equivocation:
        yes, no = self._signed[voter, Choice.YES], self._signed[voter, Choice.NO]
        return Equivocation(SignedVote.decode(yes), SignedVote.decode(no))
