"""Who votes on a proposal, in which ballot, and what do the ballots come to?

Where all members decide there is one ballot. Where stewards do there are two: the stewards', and if they leave it
undecided until its end, one of all members of the proposal's epoch. A vote names its ballot, so none can be moved
from one to the other, and a certificate of votes says which electorate has decided. Silence decides only among all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from demls_consensus import Certificate, Choice, Share, SignedVote, Silence, Tally, Verdict, tolerated_noes

from demls.protocol.electorates import Electorate
from demls.protocol.roster import Roster
from demls.wire.framing import digest
from demls.wire.ids import Address, Instant, ProposalId
from demls.wire.messages import Proposal


@dataclass(slots=True)
class Ballot:
    """``ballot_id``: what its votes name; ``deadline``: from when on its silence is judged, or the next one begins."""

    ballot_id: ProposalId
    tally: Tally
    deadline: Instant
    votes: dict[tuple[Address, Choice], SignedVote] = field(default_factory=dict)

    def vote_of(self, voter: Address) -> bool | None:
        """How a member voted, None if it did not; whoever signed both counts as YES."""
        if (voter, Choice.YES) in self.votes:
            return True
        return False if (voter, Choice.NO) in self.votes else None

    def certificate(self) -> Certificate | None:
        """The decision certificate, if as many as decide have voted YES."""
        voters = self.tally.voters
        votes = [vote for (voter, _), vote in sorted(self.votes.items(), key=lambda kv: kv[0][0]) if voter in voters]
        return Certificate.collect(self.ballot_id, votes, len(voters), share=self.tally.share)

    def is_decided(self) -> bool:
        """By votes alone, one way or the other?"""
        return self.tally.verdict(deadline_passed=False) is not Verdict.PENDING

    def would_decide(self, voted: Iterable[tuple[Address, Choice]]) -> bool:
        """Do these votes by themselves decide it?"""
        tally = Tally(self.tally.voters, self.tally.silence, share=self.tally.share)
        for voter, choice in voted:
            tally.record(voter, choice)
        return tally.verdict(deadline_passed=False) is not Verdict.PENDING


Ballots = tuple[Ballot, ...]
"""One, or two: the stewards', and that of all members."""


def ballot_of_all(proposal_id: bytes) -> ProposalId:
    """What votes name in the ballot of all members that follows on one of the stewards."""
    return ProposalId(digest(b"demls ballot of all 1", proposal_id))


def ballots_of(
    proposal: Proposal, electorate: Electorate, roster: Roster, first_seen: Instant, latest: int
) -> Ballots | None:
    """The ballots on a proposal of that electorate, of those who are still in and counted; None if nobody is.

    ``latest``: in which epoch one has to have been in at the latest.
    """
    change = proposal.change.payload
    rule = electorate.rule(change)
    share = Share.from_code(rule.share)

    everybody = roster.present(electorate.epoch, electorate.seats, latest)
    if not everybody:
        return None
    silence = Silence.COUNTS_AS_YES if rule.silence_is_yes else Silence.COUNTS_FOR_NOTHING
    end = Instant(first_seen + proposal.duration)
    if not electorate.is_for_stewards(change):
        return (Ballot(proposal.id, Tally(everybody, silence, share=share), end),)
    stewards = everybody.intersection(electorate.stewards)
    last = Ballot(ballot_of_all(proposal.id), Tally(everybody, silence, share=share), Instant(end + proposal.duration))
    if not stewards:  # what they may have refused shall not come about by silence
        return (Ballot(last.ballot_id, Tally(everybody, Silence.COUNTS_FOR_NOTHING, share=share), last.deadline),)
    return Ballot(proposal.id, Tally(stewards, Silence.COUNTS_FOR_NOTHING, share=share), end), last


def judge(ballots: Ballots, now: Instant) -> tuple[int, Verdict]:
    """(the place of the ballot that counts now, what it comes to).

    A YES by votes is final in either ballot. Else the stewards' NO holds; and if they leave it open until their ballot
    ends, it is for all members.
    """
    last = len(ballots) - 1
    for place, ballot in enumerate(ballots if last else ()):  # of one alone, the last line says all
        if ballot.tally.verdict(deadline_passed=False).is_yes:
            return place, Verdict.YES_BY_VOTES
    for place, ballot in enumerate(ballots[:last]):
        if ballot.tally.verdict(deadline_passed=False).is_no:
            return place, Verdict.NO_BY_VOTES
        if now < ballot.deadline:
            return place, Verdict.PENDING
    return last, ballots[last].tally.verdict(deadline_passed=now >= ballots[last].deadline)


def recounted(old: Ballots, new: Ballots) -> Ballots:
    """The votes of before, counted among those who decide now."""
    kept = []
    for ballot in new:
        before = next((one for one in old if one.ballot_id == ballot.ballot_id), None)
        if before is not None and before.tally.voters == ballot.tally.voters:
            ballot = before  # noqa: PLW2901 - nothing has changed
        elif before is not None:
            ballot.votes = before.votes
            for voter, choice in before.votes:
                ballot.tally.record(voter, choice)
        kept.append(ballot)
    return tuple(kept)


def votes_that_show(ballots: Ballots) -> list[SignedVote]:
    """The votes that make a proposal what it is, by voter.

    Where stewards decide, members that are none need only those of the certificate, if there is one.
    """
    if len(ballots) > 1:
        certificate = next(filter(None, (ballot.certificate() for ballot in ballots)), None)
        if certificate is not None:
            return list(certificate.votes)
    return [
        vote
        for ballot in ballots
        for (voter, _), vote in sorted(ballot.votes.items(), key=lambda kv: kv[0][0])
        if voter in ballot.tally.voters
    ]


def is_for(ballots: Ballots, place: int, now_at: int, member: bytes) -> bool:
    """Are the votes of the ballot at ``place`` for this member too, while the one ``now_at`` counts?

    Those of the stewards' ballot are for others when it is decided, or has gone to all.
    """
    ballot = ballots[place]
    return place == len(ballots) - 1 or now_at > place or member in ballot.tally.voters or ballot.is_decided()


def refused_by_acks(ballot: Ballot, noes: int) -> bool:
    """Of the stewards' ballot: do so many NOs that acks carry leave no room for a YES?"""
    return noes > tolerated_noes(ballot.tally.n, share=ballot.tally.share)


def decision_sentence(ballots: Ballots, place: int, verdict: Verdict) -> str:
    """Why it is decided as it is, for people; empty while it is not."""
    tally = ballots[place].tally
    who = "" if len(ballots) == 1 else " of the stewards" if place == 0 else " of all members"
    counts = f"{tally.yes} yes, {tally.no} no, {tally.silent} silent of {tally.n}"
    match verdict:
        case Verdict.YES_BY_VOTES:
            return f"Approved by vote{who}: {counts}."
        case Verdict.YES_BY_SILENCE:
            return f"Approved because silence counts as yes: {counts}."
        case Verdict.NO_BY_VOTES:
            return f"Rejected by vote{who}: {counts}."
        case Verdict.NO_BY_SILENCE:
            return f"Rejected because too few said yes in time: {counts}."
        case Verdict.PENDING:
            return ""
