"""Who tells the other members what the stewards have decided?

Members that are no stewards do not read along while stewards vote. When a stewards' ballot is decided by votes, or
left undecided, the first steward in the order of leaders says those votes to all, and each next one a while later if
nobody did. So everybody knows which work there is, also when the stewards fall silent then, and nothing that they have
refused comes to be by the silence of the others.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from demls_consensus import Choice, Malformed, SignedVote

from demls.protocol import policy as bounds
from demls.protocol.ballots import Ballot
from demls.protocol.items import Item
from demls.protocol.step import Step
from demls.wire.ids import Address, Instant, ProposalId
from demls.wire.messages import Vote, VoteBundle

if TYPE_CHECKING:
    from demls.protocol.state import GroupState

_Outcome = tuple[ProposalId, bool]
"""A proposal, and whether its stewards' ballot is decided by votes."""


class Announcing:
    """What one node says about stewards' ballots; nothing of it is durable, a restart begins anew."""

    def __init__(self, state: GroupState) -> None:
        self._state = state
        self._since: dict[_Outcome, Instant] = {}
        self._said: set[_Outcome] = set()
        self._seen: tuple[int, bytes] | None = None
        self._due: dict[_Outcome, Instant] = {}

    def heard(self, bundle: VoteBundle) -> None:
        """Somebody has said it: what these votes show, this node need not say."""
        voted: dict[bytes, set[tuple[Address, Choice]]] = {}
        for message in bundle.votes:
            try:
                vote = SignedVote.decode(message.signed_vote)
            except Malformed:
                continue
            voted.setdefault(vote.proposal_id, set()).add((Address(vote.voter), vote.choice))
        for ballot_id, votes in voted.items():
            found = self._state.governance.find(ballot_id)
            item, ballot = found if found is not None else (None, None)
            if item is None or ballot is None or len(item.ballots) == 1:
                continue
            genuine = votes & ballot.votes.keys()
            if ballot.would_decide(genuine) or genuine == ballot.votes.keys():
                self._said.add((item.proposal_id, ballot.is_decided()))
                self._seen = None

    def is_news(self, item: Item) -> bool:
        """Is it still to be told how the stewards' ballot on this has ended, perhaps by the own member? O(1)."""
        if len(item.ballots) == 1 or self._state.own not in item.ballots[0].tally.voters or not _is_over(item):
            return False
        return (item.proposal_id, item.ballots[0].is_decided()) not in self._said

    def act(self, step: Step) -> None:
        """Say what is due now."""
        self._look(step.now)
        for outcome, at in list(self._due.items()):
            if step.now < at:
                continue
            del self._due[outcome]
            self._said.add(outcome)
            ballot = self._state.governance.items[outcome[0]].ballots[0]
            votes = _telling(ballot)
            if votes:
                step.say(VoteBundle(tuple(Vote(vote.encode()) for vote in votes)))

    def deadline(self) -> Instant | None:
        return min(self._due.values(), default=None)

    def _look(self, now: Instant) -> None:
        """Which ballots are over, of those in which the own member has a vote?"""
        governance = self._state.governance
        seen = governance.changes, self._state.state.head  # whose turn it is changes with the state
        if seen == self._seen:
            return
        if self._seen is None or self._seen[1] != seen[1]:
            self._due = {}
        self._seen = seen
        own = self._state.own
        over = {
            (item.proposal_id, item.ballots[0].is_decided()): item
            for item in governance.items.values()
            if len(item.ballots) > 1 and not item.is_closed and own in item.ballots[0].tally.voters and _is_over(item)
        }
        self._said = {outcome for outcome in self._said if outcome[0] in governance.items}
        self._since = {outcome: self._since.get(outcome, now) for outcome in over}
        self._due = {
            outcome: self._due[outcome] if outcome in self._due else self._turn(self._since[outcome], item.ballots[0])
            for outcome, item in over.items()
            if outcome not in self._said
        }

    def _turn(self, since: Instant, ballot: Ballot) -> Instant:
        """When it is up to this node: one place later for each voter before it in the order of leaders, O(place)."""
        before = takewhile(lambda member: member != self._state.own, self._state.state.leaders)
        rank = sum(member in ballot.tally.voters for member in before)
        return Instant(since + rank * bounds.TAKEOVER_AFTER)


def _is_over(item: Item) -> bool:
    return item.place > 0 or item.ballots[0].is_decided()


def _telling(ballot: Ballot) -> list[SignedVote]:
    """As few votes as show how it ended."""
    certificate = ballot.certificate()
    if certificate is not None:
        return list(certificate.votes)
    is_refused = ballot.is_decided()
    return [
        vote
        for (voter, choice), vote in sorted(ballot.votes.items(), key=lambda kv: (kv[0][0], kv[0][1].value))
        if voter in ballot.tally.voters and (choice is Choice.NO or not is_refused)
    ]
