"""Which votes have overtaken their proposal? A few of each member are kept until it comes."""

from __future__ import annotations

from collections.abc import Callable, Container

from demls_consensus import Choice, SignedVote

from demls.protocol import policy as bounds
from demls.protocol.ballots import Ballot
from demls.protocol.events import Reason
from demls.protocol.roster import Roster
from demls.protocol.step import Step
from demls.wire.ids import Address, ProposalId


class EarlyVotes:
    """Votes on proposals that are not known here yet; each was proven to be a present member's own."""

    def __init__(self, is_signed: Callable[[bytes, SignedVote], bool]) -> None:
        """``is_signed(key, vote)``: is it the signature of that key?"""
        self._is_signed = is_signed
        self._kept: dict[Address, dict[tuple[ProposalId, Choice], SignedVote]] = {}

    def keep(self, vote: SignedVote, roster: Roster, step: Step, is_foreseen: Callable[[bytes], bool]) -> bool:
        """Says whether it was new. ``is_foreseen(key)``: is it known that this key has signed it?"""
        seat = roster.seat(vote.voter)
        if seat is None:
            step.refuse(Reason.NOT_ENTITLED, "a vote by no member")
            return False
        kept = self._kept.setdefault(seat.address, {})
        if not (is_foreseen(seat.leaf_key) or self._is_signed(seat.leaf_key, vote)):
            step.refuse(Reason.FORGED, "a vote that its voter did not sign")
            return False
        if len(kept) >= bounds.EARLY_VOTES_PER_MEMBER_MAX:
            del kept[next(iter(kept))]  # else old votes, said again by others, would keep out the new ones
        about = ProposalId(vote.proposal_id), vote.choice
        is_new = about not in kept
        step.is_known = step.is_known or not is_new
        kept[about] = vote
        return is_new

    def take(self, ballot: Ballot) -> list[SignedVote]:
        """Those in a ballot that is known now."""
        abouts = [(ballot.ballot_id, choice) for choice in Choice]
        taken = (votes.pop(about, None) for votes in self._kept.values() for about in abouts)
        return [vote for vote in taken if vote is not None]

    def count(self, ballot: Ballot) -> None:
        """Count them in a ballot that is made up for that; they are kept."""
        for voter, kept in self._kept.items():
            for choice in Choice:
                if (ballot.ballot_id, choice) in kept:
                    ballot.tally.record(voter, choice)

    def retain(self, members: Container[Address]) -> None:
        """Forget those of everybody else."""
        self._kept = {voter: kept for voter, kept in self._kept.items() if voter in members}
