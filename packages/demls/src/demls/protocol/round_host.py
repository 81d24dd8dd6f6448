"""What does a commit round ask of its group? The round knows views, statements and timers; meaning is its host's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from demls.protocol.checks import Verdict
from demls.protocol.step import Step
from demls.wire.ids import Address, CandidateId, View
from demls.wire.messages import Candidate, Proposal, VoteList
from demls.wire.statements import RoundStatement


@dataclass(frozen=True, slots=True)
class Mint:
    """A fresh candidate with what lets others judge it."""

    candidate: Candidate
    votes: tuple[VoteList, ...]
    proposals: tuple[Proposal, ...]


class Host(Protocol):
    """What a round asks of its group."""

    def has_work(self) -> bool:
        """Is there approved work here?"""

    def expects_more(self) -> bool:
        """Is something still being decided, so that it pays to wait before committing?"""

    def is_all_about(self, member: Address) -> bool:
        """Is the removal of ``member`` all the approved work there is? It cannot commit that itself."""

    def mint(self, view: View, step: Step) -> Mint | None:
        """A fresh candidate with all approved work that the own member may commit."""

    def judge(self, candidate: Candidate, *, fresh: bool, step: Step) -> Verdict:
        """Fresh: all checks. Otherwise, certified by others: only those that the candidate alone decides."""

    def learn(self, candidate: Candidate) -> None:
        """Read what a candidate does, so that it can be asked about by its id."""

    def forget(self, candidate: CandidateId) -> None:
        """The round holds this candidate no longer."""

    def minted_in(self, candidate: CandidateId) -> View | None:
        """The view in which a judged candidate was minted."""

    def choices(self, candidate: CandidateId) -> bytes:
        """The own votes on the entries of a judged candidate, for the ack."""

    def is_good(self, candidate: CandidateId, acks: Iterable[RoundStatement]) -> bool:
        """Do these acks, with the votes they carry, make a certificate that is no refusal of any entry?"""

    def quorum(self, candidate: CandidateId) -> int:
        """How many acks or locks a candidate needs; ``NIL``: how many end a phase."""

    def carry(self, candidate: CandidateId) -> tuple[tuple[VoteList, ...], tuple[Proposal, ...]]:
        """Votes and proposals of a candidate's entries, to send along when it is proposed again."""

    def lock(self, candidate: CandidateId) -> None:
        """The own member is locked on this candidate: its entries no longer change here."""

    def settle(self, candidate: Candidate, view: View, locks: tuple[RoundStatement, ...], step: Step) -> None:
        """Merge: the candidate has its certificate."""

    def say_statement(self, statement: RoundStatement, step: Step) -> None:
        """Say an own acknowledgement or lock where those listen who count it."""

    def sign(self, label: str, content: bytes) -> bytes: ...

    def verify(self, member: bytes, label: str, content: bytes, signature: bytes) -> bool: ...
