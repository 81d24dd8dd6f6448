"""What does a bad member know, and what can it sign? Its keys, what it has heard, and who is in it with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from demls_consensus import Choice, SignedVote

from demls.protocol.channel import Channel
from demls.protocol.commit_round import NIL, OFFER_LABEL, ROUND_LABEL
from demls.protocol.continuity import DIGEST_LABEL
from demls.protocol.electorates import VOTE_LABEL
from demls.protocol.governance import PROPOSAL_LABEL
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.simulation.network import Envelope
from demls.simulation.nodes import Node
from demls.simulation.world import World
from demls.wire.ids import Address, CandidateId, ProposalId, View
from demls.wire.messages import Candidate, Change, ChangeRequest, Digest, Offer, Payload, Proposal, Vote
from demls.wire.statements import DoubleStatement, Proof, RoundStatement, StatementKind

HEARD_MAX = 120
"""So many of the newest envelopes a bad member remembers, to say them again."""
PROOFS_MAX = 40
CLAIMS_MAX = 60


@dataclass(frozen=True, slots=True)
class Parcel:
    """What goes out: to all, or ``only`` to some; after ``delay`` ms; by default where the node speaks.

    Bytes are published as they are, an envelope once more where it was.
    """

    payload: Payload | Envelope | bytes
    only: frozenset[str] | None = None
    delay: int = 0
    channel: Channel | None = None


@dataclass(slots=True)
class Gang:
    """What all bad members of a world share."""

    minds: dict[str, Mind] = field(default_factory=dict)
    may_act: Callable[[Node], bool] = lambda node: False  # noqa: ARG005 - nobody, until the world says who
    counts_as_yes: set[tuple[ProposalId, Address]] = field(default_factory=set)
    """Votes that count as YES, although the voter's own node knows nothing of them."""
    claims: deque[ProposalId] = field(default_factory=lambda: deque(maxlen=CLAIMS_MAX))
    """False accusations that were made."""
    proofs: dict[bytes, tuple[Address, Proof]] = field(default_factory=dict)
    """True proofs: the act and who has done it."""


class Mind:
    """One bad member: its strategies, its keys as its state holds them, and what it has heard and made up."""

    def __init__(self, world: World, node: Node, names: tuple[str, ...], gang: Gang) -> None:
        self.world = world
        self.node = node
        self.names = names
        self.gang = gang
        self.dice: Random = world.dice(f"mind {node.name}")
        self.heard: deque[Envelope] = deque(maxlen=HEARD_MAX)
        self.offered: dict[tuple[bytes, int, str], Offer | None] = {}
        """What it offers in a view in place of what its node offers, by strategy."""

    @property
    def state(self) -> GroupState:
        state = self.node.state
        assert state is not None
        return state

    @property
    def now(self) -> int:
        return self.world.now_of(self.node)

    def note(self, what: str) -> None:
        """For the transcript."""
        for watcher in self.world.watchers:
            watcher.noted(self.node.name, f"(bad) {what}")

    # --- Others -------------------------------------------------------------------------------------------------

    def innocents(self) -> list[Address]:
        """The other members that are not bad, of the own epoch."""
        return [a for a in self._others() if not self.world.node_of(a).is_adversary]

    def accomplices(self) -> list[Mind]:
        """The others of the own epoch that act badly, too."""
        found = (self.gang.minds.get(self.world.name_of(address)) for address in self._others())
        return [mind for mind in found if mind is not None and mind.is_acting]

    def _others(self) -> list[Address]:
        return [seat.address for seat in self.state.roster.seats if seat.address != self.node.address]

    @property
    def is_acting(self) -> bool:
        return self.node.is_up and self.node.state is not None and self.gang.may_act(self.node)

    def halves(self) -> tuple[frozenset[str], frozenset[str]]:
        """The other members in two halves, the same for a whole epoch."""
        names = sorted(self.world.name_of(seat.address) for seat in self.state.roster.seats)
        self.world.dice(f"halves {self.node.name} {self.state.epoch}").shuffle(names)
        middle = len(names) // 2
        return frozenset(names[:middle]), frozenset(names[middle:])

    # --- What it signs ------------------------------------------------------------------------------------------

    def sign(self, label: str, content: bytes) -> bytes:
        return self.node.engine.sign(self.state.device.leaf_private, label, content)

    def is_own_round(self, payload: RoundStatement | Offer) -> bool:
        """About the round that it is in: there it can sign what it likes."""
        author = payload.member if isinstance(payload, RoundStatement) else payload.leader
        return (author, payload.head) == (self.node.address, self.state.state.head)

    def statement(self, like: RoundStatement, candidate: bytes) -> RoundStatement:
        """The statement about another candidate."""
        choices = self.state.round._host.choices(CandidateId(candidate)) if candidate else b""
        is_ack = like.kind == StatementKind.ACK
        return self.signed_statement(replace(like, candidate=candidate, choices=choices if is_ack else b""))

    def signed_statement(self, unsigned: RoundStatement) -> RoundStatement:
        """With the own key, whoever is named in it."""
        return replace(unsigned, signature=self.sign(ROUND_LABEL, unsigned.content(self.state.group_id)))

    def new_statement(
        self, candidate: bytes, *, view: int, member: bytes | None = None, kind: StatementKind = StatementKind.ACK
    ) -> RoundStatement:
        state = self.state
        by = member if member is not None else self.node.address
        return self.signed_statement(
            RoundStatement(state.epoch, state.state.head, view, candidate, b"", by, bytes(64), int(kind))
        )

    def double_statement(self) -> Proof:
        """A true proof against itself: two statements in a view that nobody is in, of now or of an epoch before."""
        view, state = self.dice.randint(1_000, 1 << 20), self.state
        seat = state.roster.seat(self.node.address)
        since = seat.since if seat is not None else state.epoch
        epoch = self.dice.choice((state.epoch, state.epoch, state.epoch, since, self.dice.randint(since, state.epoch)))
        made = (self.new_statement(self.dice.randbytes(32), view=view) for _ in range(2))
        return Proof(DoubleStatement(*(self.signed_statement(replace(one, epoch=epoch)) for one in made)))

    def signed_offer(self, unsigned: Offer) -> Offer:
        return replace(unsigned, signature=self.sign(OFFER_LABEL, unsigned.content(self.state.group_id)))

    def signed_digest(self, unsigned: Digest) -> Digest:
        return replace(unsigned, signature=self.sign(DIGEST_LABEL, unsigned.content(self.state.group_id)))

    def proposal(self, change: Change, *, owner: bytes | None = None, epoch: int | None = None) -> Proposal:
        """With the own key, whoever is named as its owner."""
        state = self.state
        electorate = state.governance.electorates.get(state.epoch)
        assert electorate is not None
        duration, by = electorate.rule(change).duration, owner if owner is not None else self.node.address
        opened = state.epoch if epoch is None else epoch
        unsigned = Proposal(state.group_id, opened, by, ChangeRequest(change), self.now, duration, bytes(64))
        return replace(unsigned, signature=self.sign(PROPOSAL_LABEL, unsigned.id))

    def vote(self, proposal_id: ProposalId, *, yes: bool, voter: bytes | None = None) -> Vote:
        """With the own key, whoever is named as the voter."""
        choice, by = Choice.YES if yes else Choice.NO, voter if voter is not None else self.node.address
        signed = SignedVote.cast(proposal_id, by, choice, self.now, lambda content: self.sign(VOTE_LABEL, content))
        if yes and by == self.node.address:
            self.gang.counts_as_yes.add((proposal_id, self.node.address))
        return Vote(signed.encode())

    # --- What it makes up ---------------------------------------------------------------------------------------

    def other_offer(self, offer: Offer, strategy: str, make: Callable[[Mind, Offer], Candidate | None]) -> Offer | None:
        """Another offer for the same view, always the same; None if there is none to be made."""
        place = offer.head, offer.view, strategy
        if place not in self.offered:
            candidate = make(self, offer)
            self.offered[place] = None if candidate is None else self.signed_offer(replace(offer, candidate=candidate))
        return self.offered[place]

    def genuine_candidate(self, view: int) -> Candidate | None:
        """Another sound candidate of all approved work, by the own core."""
        fresh = self.state.candidates.mint(View(view), Step(self.world.now_of(self.node), self.state.channel))
        return fresh.candidate if fresh is not None else None

    def other_candidate(self, statement: RoundStatement) -> bytes:
        """Something else that could be said in this view."""
        known = [bytes(NIL), *sorted(self.state.round.candidates)]
        others = [candidate for candidate in known if candidate != statement.candidate]
        return self.dice.choice(others) if others else bytes(NIL)
