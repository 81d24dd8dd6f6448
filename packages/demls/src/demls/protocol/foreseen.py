"""What can be found out about many messages at once, before each is taken in its turn?

Who has signed what: a batch of signatures costs about half of as many single ones, with the same verdicts (ZIP 215).
Nothing is decided here. A verdict counts only for the key under which it was found, so whatever changes while the
messages are taken in turn, each means just what it would mean alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from demls_consensus import Malformed, SignedVote

from demls.protocol.commit_round import ROUND_LABEL
from demls.protocol.electorates import VOTE_LABEL
from demls.wire.ids import Address
from demls.wire.messages import Vote
from demls.wire.statements import RoundStatement, StatementKind

if TYPE_CHECKING:
    from demls.protocol.state import GroupState
    from demls.wire.alike import Read

_KINDS = {int(kind): kind for kind in StatementKind}


class Foreseen:
    """What was found out about the messages that are waiting now; they are told apart by identity."""

    def __init__(self) -> None:
        self._waiting: list[object] = []
        """Keeps the messages alive, so that an identity means one message."""
        self._signed: dict[int, bytes] = {}
        self._votes: dict[int, SignedVote] = {}

    def clear(self) -> None:
        self._waiting.clear()
        self._signed.clear()
        self._votes.clear()

    def has_signed(self, message: object, key: bytes) -> bool:
        """Is it known that this key has signed the message? False: not known, so verify it."""
        return self._signed.get(id(message)) == key

    def vote_of(self, message: Vote) -> SignedVote:
        """The vote in a message. Raises Malformed."""
        known = self._votes.get(id(message))
        return known if known is not None else self._read(message)

    def _read(self, message: Vote) -> SignedVote:
        vote = SignedVote.decode(message.signed_vote)
        self._waiting.append(message)
        self._votes[id(message)] = vote
        return vote

    def look(self, messages: Iterable[Read], state: GroupState) -> None:
        """Verify together what will be verified in all likelihood."""
        self.clear()
        items: list[tuple[bytes, str, bytes, bytes]] = []
        whose: list[tuple[object, bytes]] = []
        locks: Counter[tuple[int, bytes]] = Counter()
        for read in messages:
            match read.payload:
                case Vote() as message:
                    found = self._vote(message, state)
                    if found is not None:
                        key, vote = found
                        items.append((key, VOTE_LABEL, vote.content, vote.signature))
                        whose.append((message, key))
                case RoundStatement() as statement:
                    key_of = self._key_of(statement, state)
                    if key_of is not None and not self._is_spare(statement, state, locks):
                        items.append((key_of, ROUND_LABEL, read.content, statement.signature))
                        whose.append((statement, key_of))
        if len(items) < 2:
            return
        for (said, key), holds in zip(whose, state.engine.verify_batch(items), strict=True):
            if holds:
                self._waiting.append(said)
                self._signed[id(said)] = key

    def _vote(self, message: Vote, state: GroupState) -> tuple[bytes, SignedVote] | None:
        try:
            vote = self._read(message)
        except Malformed:
            return None
        place = state.governance.find(vote.proposal_id)
        if place is None:
            seat = state.roster.seat(vote.voter)
            return (seat.leaf_key, vote) if seat is not None else None
        item, ballot = place
        if ballot is None or (Address(vote.voter), vote.choice) in ballot.votes or item.is_closed:
            return None
        key = state.governance.electorates.leaf_key_of(vote.voter, item.proposal.epoch)
        return (key, vote) if key is not None and vote.voter in ballot.tally.voters else None

    @staticmethod
    def _is_spare(statement: RoundStatement, state: GroupState, locks: Counter[tuple[int, bytes]]) -> bool:
        """Is it a lock that will come too late, since a certificate of those before it ends the state?

        ``locks``: how many there are with those before it, by view and candidate; this one is counted, too.
        """
        if statement.kind != StatementKind.LOCK or statement.candidate not in state.round.candidates:
            return False
        about = statement.view, statement.candidate
        if about not in locks:
            locks[about] = state.round.count(StatementKind.LOCK, *about)
        locks[about] += 1
        return locks[about] > state.committee.q

    @staticmethod
    def _key_of(statement: RoundStatement, state: GroupState) -> bytes | None:
        current = state.round
        if (statement.epoch, statement.head) != (current.epoch, current.head) or state.is_halted:
            return None
        seat, kind = state.roster.seat(statement.member), _KINDS.get(statement.kind)
        if seat is None or kind is None or Address(statement.member) in current.statements(kind, statement.view):
            return None
        return seat.leaf_key
