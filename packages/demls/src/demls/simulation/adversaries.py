"""How do bad members behave? Small strategies over what their node says, which they change, sign again and address.

A bad member runs an honest core with its real leaf key; what it says is opened on its way out, and the first strategy
that is concerned decides what goes out instead, to whom and when. At most f members of an epoch are bad at a time:
whoever was cast beyond that behaves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from demls_consensus import Choice, SignedVote

from demls.protocol.channel import Channel, seal
from demls.protocol.commit_round import NIL, OFFER_LABEL, ROUND_LABEL
from demls.protocol.effects import Outbound
from demls.protocol.governance import VOTE_LABEL
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.simulation.nodes import Node
from demls.simulation.world import World
from demls.wire.ids import Address, CandidateId, Epoch, ProposalId, View
from demls.wire.messages import (
    Candidate,
    Offer,
    Payload,
    PrivateMessage,
    Proposal,
    RoundStatement,
    SettledCommit,
    StatementKind,
    Vote,
)


@dataclass(frozen=True, slots=True)
class Parcel:
    """What goes out: to all, or ``only`` to some; after ``delay`` ms."""

    payload: Payload
    only: frozenset[str] | None = None
    delay: int = 0


class Mind:
    """One bad member: its strategies, its keys as its state holds them, and what it has made up."""

    def __init__(self, world: World, node: Node, names: tuple[str, ...]) -> None:
        self.world = world
        self.node = node
        self.names = names
        self.dice: Random = world.dice(f"mind {node.name}")
        self.both_ways: set[tuple[ProposalId, Address]] = set()
        """On what it has signed a yes and a no."""
        self._others: dict[tuple[bytes, int], Offer] = {}

    @property
    def state(self) -> GroupState:
        state = self.node.state
        assert state is not None
        return state

    def sign(self, label: str, content: bytes) -> bytes:
        return self.node.engine.sign(self.state.device.leaf_private, label, content)

    def is_own_round(self, payload: RoundStatement | Offer) -> bool:
        """About the round that it is in: there it can sign what it likes."""
        author = payload.member if isinstance(payload, RoundStatement) else payload.leader
        return (author, payload.head) == (self.node.address, self.state.state.head)

    def halves(self) -> tuple[frozenset[str], frozenset[str]]:
        """The other members in two halves, the same for a whole epoch."""
        names = sorted(self.world.name_of(seat.address) for seat in self.state.roster.seats)
        self.world.dice(f"halves {self.node.name} {self.state.epoch}").shuffle(names)
        middle = len(names) // 2
        return frozenset(names[:middle]), frozenset(names[middle:])

    def statement(self, like: RoundStatement, candidate: bytes) -> RoundStatement:
        choices = self.state.round._host.choices(CandidateId(candidate)) if candidate else b""
        is_ack = like.kind == StatementKind.ACK
        unsigned = replace(like, candidate=candidate, choices=choices if is_ack else b"")
        return replace(unsigned, signature=self.sign(ROUND_LABEL, unsigned.content(self.state.group_id)))

    def other_offer(self, offer: Offer) -> Offer | None:
        """Another genuine candidate for the same view."""
        place = offer.head, offer.view
        if place not in self._others:
            step = Step(self.world.clock.now, self.state.channel)
            fresh = self.state.candidates.mint(View(offer.view), step)
            if fresh is None:
                return None
            unsigned = replace(offer, candidate=fresh.candidate, votes=fresh.votes, proposals=fresh.proposals)
            signature = self.sign(OFFER_LABEL, unsigned.content(self.state.group_id))
            self._others[place] = replace(unsigned, signature=signature)
        return self._others[place]

    def other_candidate(self, statement: RoundStatement) -> bytes:
        """Something else that could be said in this view."""
        known = [bytes(NIL), *sorted(self.state.round.candidates)]
        others = [candidate for candidate in known if candidate != statement.candidate]
        return self.dice.choice(others) if others else bytes(NIL)


Strategy = Callable[[Mind, Payload], "list[Parcel] | None"]
"""What goes out in place of a payload; None: this strategy does not care."""


def _silent(mind: Mind, payload: Payload) -> list[Parcel] | None:  # noqa: ARG001 - one form for all
    return []


def _equivocate(mind: Mind, payload: Payload) -> list[Parcel] | None:
    """Two genuine candidates in one view, to different halves."""
    if not isinstance(payload, Offer) or payload.certificate or not mind.is_own_round(payload):
        return None
    other = mind.other_offer(payload)
    if other is None:
        return None
    one, two = mind.halves()
    return [Parcel(payload, one), Parcel(other, two)]


def _sign_twice(mind: Mind, payload: Payload) -> list[Parcel] | None:
    """Different acks and locks to different members."""
    if not isinstance(payload, RoundStatement) or not mind.is_own_round(payload):
        return None
    one, two = mind.halves()
    return [Parcel(payload, one), Parcel(mind.statement(payload, mind.other_candidate(payload)), two)]


def _withhold(mind: Mind, payload: Payload) -> list[Parcel] | None:
    """Offers, acks and locks are released late, or to a few at first."""
    if not isinstance(payload, Offer | RoundStatement):
        return None
    one, _ = mind.halves()
    first = [Parcel(payload, one)] if mind.dice.random() < 0.3 else []
    return [*first, Parcel(payload, None, mind.dice.randint(2_000, 40_000))]


def _vote_both_ways(mind: Mind, payload: Payload) -> list[Parcel] | None:
    if not isinstance(payload, Vote):
        return None
    vote = SignedVote.decode(payload.signed_vote)
    if vote.voter != mind.node.address:
        return None
    choice = Choice.NO if vote.choice is Choice.YES else Choice.YES
    other = SignedVote.cast(
        vote.proposal_id, vote.voter, choice, mind.world.clock.now, lambda content: mind.sign(VOTE_LABEL, content)
    )
    mind.both_ways.add((ProposalId(vote.proposal_id), mind.node.address))
    one, two = mind.halves()
    return [Parcel(payload, one), Parcel(Vote(other.encode()), two)]


def _refuse(mind: Mind, payload: Payload) -> list[Parcel] | None:
    """Never acknowledge anything."""
    if isinstance(payload, RoundStatement) and payload.member == mind.node.address:
        return []
    return None


def _ack_nil(mind: Mind, payload: Payload) -> list[Parcel] | None:
    """Nothing is ever good enough."""
    if not isinstance(payload, RoundStatement) or not mind.is_own_round(payload):
        return None
    return [Parcel(mind.statement(payload, NIL))]


def _falsify(mind: Mind, payload: Payload) -> list[Parcel] | None:
    """Serve settled commits that are stale, not certified, or certified by nobody but itself."""
    if isinstance(payload, SettledCommit):
        return [Parcel(false) for false in _false_commits(mind, payload)]
    if isinstance(payload, RoundStatement) and payload.kind == StatementKind.LOCK and mind.is_own_round(payload):
        body = mind.state.round.candidates.get(CandidateId(payload.candidate))
        if body is not None:
            locks = (payload,) * mind.state.roster.q
            early = SettledCommit(payload.epoch, payload.head, body, payload.view, locks, ())
            return [Parcel(payload), Parcel(early)]
    return None


def _false_commits(mind: Mind, settled: SettledCommit) -> list[SettledCommit]:
    body = settled.candidate
    other = Candidate(body.commit[:-1] + bytes([body.commit[-1] ^ 1]), body.welcome, body.joiner_key, body.sync)
    made = [replace(settled, candidate=other), replace(settled, locks=settled.locks[:1])]
    stale = mind.state.history.leaving(Epoch(settled.epoch - 1))
    return made if stale is None else [*made, stale]


STRATEGIES: dict[str, Strategy] = {
    "silent": _silent,
    "equivocating leader": _equivocate,
    "double signing": _sign_twice,
    "withholding": _withhold,
    "voting both ways": _vote_both_ways,
    "refusing to ack": _refuse,
    "acking nil": _ack_nil,
    "false history": _falsify,
}

_MIXTURES: tuple[tuple[str, ...], ...] = (
    ("silent",),
    ("equivocating leader", "double signing", "voting both ways"),
    ("equivocating leader", "withholding"),
    ("double signing", "false history"),
    ("withholding",),
    ("voting both ways", "refusing to ack"),
    ("voting both ways", "acking nil", "equivocating leader"),
    ("false history", "double signing", "equivocating leader"),
)


class Sabotage:
    """All bad members of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.acts = 0
        self.is_on = False
        dice = world.dice("adversaries")
        cast = dice.sample(list(world.nodes.values())[: world.scenario.members], world.scenario.adversaries)
        self.minds = {node.name: Mind(world, node, dice.choice(_MIXTURES)) for node in cast}
        self.both_ways: set[tuple[ProposalId, Address]] = set()
        for mind in self.minds.values():
            mind.both_ways = self.both_ways
        for node in cast:
            node.is_adversary = True
        if cast:
            world.sabotage = self.replace
            world.is_bad = self.may_act

    def is_silent(self, node: Node) -> bool:
        mind = self.minds.get(node.name)
        return self.is_on and mind is not None and "silent" in mind.names

    def may_act(self, node: Node) -> bool:
        """Is it one of the first f of those cast who are in its epoch?"""
        state = node.state
        if not self.is_on or state is None:
            return False
        bad = [name for name, mind in self.minds.items() if mind.node.address in state.roster.addresses]
        return node.name in bad[: state.roster.f]

    def replace(self, node: Node, outbound: Outbound, payload: Payload | None) -> bool:
        """Send what the strategies say instead. Says whether one of them was concerned."""
        if payload is None or isinstance(payload, PrivateMessage | Proposal) or not self.may_act(node):
            return False
        mind, channel = self.minds[node.name], node.channels[outbound.topic]
        for name in mind.names:
            parcels = STRATEGIES[name](mind, payload)
            if parcels is not None:
                self.acts += 1
                for parcel in parcels:
                    self._send(mind, channel, parcel, name)
                return True
        return False

    def _send(self, mind: Mind, channel: Channel, parcel: Parcel, name: str) -> None:
        world, node = self.world, mind.node
        sealed = seal(channel, parcel.payload, node.engine)
        if parcel.only is not None or parcel.delay:
            kind = type(parcel.payload).__name__.lower()
            to = f" to {' '.join(sorted(parcel.only))}" if parcel.only is not None else ""
            later = f" in {parcel.delay / 1000:.1f} s" if parcel.delay else ""
            for watcher in world.watchers:
                watcher.noted(node.name, f"({name}) sends {kind}{to}{later}")
        if parcel.delay:
            world.clock.after(
                parcel.delay, lambda: world.network.publish(node.name, channel.topic, sealed, parcel.only)
            )
        else:
            world.network.publish(node.name, channel.topic, sealed, parcel.only)
