"""Which votes are open, and how much room may they take?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from .decision import Verdict
from .early import EarlyVotes
from .errors import Reason
from .intake import Accepted, Kept, Refused, take_in
from .schemes import SignatureScheme
from .session import Ballot, Session
from .votes import SignedVote

_DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class BookLimits:
    """Every bound of a `Book`; all are whole numbers of zero or more.

    sessions_total_max, sessions_per_owner_max: open sessions. electorate_size_max: voters of one.
    duration_ms_max: time to vote on one. early_votes_per_voter_max, early_votes_total_max,
    early_vote_age_ms_max: votes whose proposal is not known yet. closed_ids_max: how many closed
    proposal ids are remembered, the newest ones.
    """

    sessions_total_max: int = 1024
    sessions_per_owner_max: int = 32
    electorate_size_max: int = 100_000
    duration_ms_max: int = 30 * _DAY_MS
    early_votes_per_voter_max: int = 32
    early_votes_total_max: int = 65_536
    early_vote_age_ms_max: int = 10 * 60 * 1000
    closed_ids_max: int = 65_536

    def __post_init__(self) -> None:
        """Refuse negative bounds."""
        for field in fields(self):
            if getattr(self, field.name) < 0:
                raise ValueError(f"{field.name} is not negative.")


class Book:
    """The open sessions of one group, bounded in every direction.

    A session stays until `close`: nothing that others send evicts it, what does not fit is refused.
    Votes that overtake their proposal wait for it. Not thread-safe; the caller owns the time.
    """

    __slots__ = ("_closed", "_early", "_limits", "_per_owner", "_scheme", "_sessions")

    def __init__(
        self,
        scheme: SignatureScheme,
        limits: BookLimits | None = None,
        *,
        sessions: Iterable[Session] = (),
        closed: Iterable[bytes] = (),
    ) -> None:
        """Start with the `sessions` (see `Session.replay`) and `closed` ids of an earlier book, or none.

        Raises ValueError when a proposal id is there twice. Limits bind what is opened later.
        """
        self._scheme = scheme
        self._limits = limits or BookLimits()
        self._sessions: dict[bytes, Session] = {}
        self._per_owner: dict[bytes, int] = {}
        self._closed: dict[bytes, None] = {}
        self._early = EarlyVotes(
            per_voter_max=self._limits.early_votes_per_voter_max,
            total_max=self._limits.early_votes_total_max,
            age_ms_max=self._limits.early_vote_age_ms_max,
        )
        for proposal_id in closed:
            self._remember_closed(proposal_id)
        for session in sessions:
            if session.ballot.proposal_id in self._sessions or session.ballot.proposal_id in self._closed:
                raise ValueError("A proposal id is used twice.")
            self._insert(session)

    @property
    def limits(self) -> BookLimits:
        """The bounds of this book."""
        return self._limits

    @property
    def closed(self) -> tuple[bytes, ...]:
        """The remembered ids of closed sessions, oldest first."""
        return tuple(self._closed)

    @property
    def early_count(self) -> int:
        """How many votes wait for their proposal."""
        return len(self._early)

    def __len__(self) -> int:
        """How many sessions are open."""
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        """Go through the open sessions in the order in which they were opened."""
        return iter(self._sessions.values())

    def get(self, proposal_id: bytes) -> Session | None:
        """Return the open session of a proposal, or None."""
        return self._sessions.get(proposal_id)

    def open(self, ballot: Ballot) -> Session | Refused:
        """Open a session and hand it the votes that waited for it, or refuse it for lack of room.

        The early votes may decide it at once, and may hold equivocations: look at `verdict` and
        `evidence` of the returned session.
        """
        reason = self._why_not(ballot)
        if reason is not None:
            return Refused(reason)
        session = Session(ballot)
        self._insert(session)
        self._early.expire(ballot.opened_at_ms)
        unchecked: list[SignedVote] = []
        for early in self._early.take(ballot.proposal_id):
            if ballot.electorate.get(early.vote.voter) == early.key:
                session.admit(early.vote)
            else:
                unchecked.append(early.vote)
        session.receive_batch(unchecked, self._scheme)
        return session

    def close(self, proposal_id: bytes) -> Session:
        """Take a session out, whatever its verdict, and remember its id; KeyError if it is not open."""
        session = self._sessions.pop(proposal_id)
        owner = session.ballot.owner
        self._per_owner[owner] -= 1
        if not self._per_owner[owner]:
            del self._per_owner[owner]
        self._remember_closed(proposal_id)
        return session

    def receive(self, vote: SignedVote | bytes, known_voters: Mapping[bytes, bytes], now_ms: int) -> Accepted | Refused:
        """Check and count one vote from the network, or let it wait; O(1), never raises on hostile input.

        known_voters: voter id to key, of everybody who could vote on a proposal that is not known
        here yet (as a rule the roster of now); an open session asks its own electorate.
        """
        return self.receive_batch((vote,), known_voters, now_ms)[0]

    def receive_batch(
        self, votes: Sequence[SignedVote | bytes], known_voters: Mapping[bytes, bytes], now_ms: int
    ) -> list[Accepted | Refused]:
        """Do what `receive` does for many votes, on any proposals, with one batch of signature checks."""
        self._early.expire(now_ms)

        def screen(vote: SignedVote) -> Accepted | Refused | bytes:
            session = self._sessions.get(vote.proposal_id)
            return self._screen_early(vote, known_voters) if session is None else session.screen(vote)

        def admit(vote: SignedVote, key: bytes) -> Accepted | Refused:
            session = self._sessions.get(vote.proposal_id)
            return self._early.add(vote, key, now_ms) if session is None else session.admit(vote)

        return take_in(votes, self._scheme, screen=screen, admit=admit)

    def next_deadline_ms(self, now_ms: int) -> int | None:
        """Return the nearest deadline after `now_ms` that can still decide something; O(open sessions)."""
        return min(
            (
                session.ballot.deadline_ms
                for session in self
                if session.ballot.deadline_ms > now_ms and session.verdict(now_ms) is Verdict.PENDING
            ),
            default=None,
        )

    def _why_not(self, ballot: Ballot) -> Reason | None:
        limits = self._limits
        checks = (
            (ballot.proposal_id in self._sessions, Reason.ALREADY_OPEN),
            (ballot.proposal_id in self._closed, Reason.CLOSED),
            (ballot.electorate.n > limits.electorate_size_max, Reason.ELECTORATE_LIMIT),
            (ballot.duration_ms > limits.duration_ms_max, Reason.DURATION_LIMIT),
            (self._per_owner.get(ballot.owner, 0) >= limits.sessions_per_owner_max, Reason.OWNER_LIMIT),
            (len(self._sessions) >= limits.sessions_total_max, Reason.SESSION_LIMIT),
        )
        return next((reason for applies, reason in checks if applies), None)

    def _screen_early(self, vote: SignedVote, known_voters: Mapping[bytes, bytes]) -> Accepted | Refused | bytes:
        if vote.proposal_id in self._closed:
            return Refused(Reason.CLOSED)
        key = known_voters.get(vote.voter)
        if key is None:
            return Refused(Reason.NOT_A_VOTER)
        return Accepted(vote, Kept.REPEATED) if self._early.holds(vote) else key

    def _insert(self, session: Session) -> None:
        self._sessions[session.ballot.proposal_id] = session
        self._per_owner[session.ballot.owner] = self._per_owner.get(session.ballot.owner, 0) + 1

    def _remember_closed(self, proposal_id: bytes) -> None:
        self._closed[proposal_id] = None
        while len(self._closed) > self._limits.closed_ids_max:
            del self._closed[next(iter(self._closed))]
