"""What does a bad member do in the commit round? It says other things, to others, later, or nothing."""

from __future__ import annotations

from dataclasses import replace

from demls_consensus import Choice, SignedVote

from demls.protocol.commit_round import NIL
from demls.simulation.adversaries.mind import Mind, Parcel
from demls.wire.ids import CandidateId, Epoch, ProposalId
from demls.wire.messages import Candidate, Offer, Payload, SettledCommit, Vote
from demls.wire.statements import RoundStatement, StatementKind


def silent(mind: Mind, payload: Payload) -> list[Parcel] | None:  # noqa: ARG001 - one form for all
    return []


def equivocate(mind: Mind, payload: Payload) -> list[Parcel] | None:
    """Two genuine candidates in one view, to different halves."""
    if not isinstance(payload, Offer) or payload.certificate or not mind.is_own_round(payload):
        return None
    other = mind.other_offer(payload, "equivocate", lambda mind, offer: mind.genuine_candidate(offer.view))
    if other is None:
        return None
    one, two = mind.halves()
    return [Parcel(payload, one), Parcel(other, two)]


def sign_twice(mind: Mind, payload: Payload) -> list[Parcel] | None:
    """Different acks and locks to different members."""
    if not isinstance(payload, RoundStatement) or not mind.is_own_round(payload):
        return None
    one, two = mind.halves()
    return [Parcel(payload, one), Parcel(mind.statement(payload, mind.other_candidate(payload)), two)]


def withhold(mind: Mind, payload: Payload) -> list[Parcel] | None:
    """Offers, acks and locks are released late, or to a few at first."""
    if not isinstance(payload, Offer | RoundStatement):
        return None
    one, _ = mind.halves()
    first = [Parcel(payload, one)] if mind.dice.random() < 0.3 else []
    return [*first, Parcel(payload, None, mind.dice.randint(2_000, 40_000))]


def vote_both_ways(mind: Mind, payload: Payload) -> list[Parcel] | None:
    if not isinstance(payload, Vote):
        return None
    vote = SignedVote.decode(payload.signed_vote)
    if vote.voter != mind.node.address:
        return None
    other = mind.vote(ProposalId(vote.proposal_id), yes=vote.choice is Choice.NO)
    mind.gang.counts_as_yes.add((ProposalId(vote.proposal_id), mind.node.address))
    one, two = mind.halves()
    return [Parcel(payload, one), Parcel(other, two)]


def vote_late(mind: Mind, payload: Payload) -> list[Parcel] | None:
    """The own votes come when the others have stopped waiting, or about then, and to a few first."""
    if not isinstance(payload, Vote) or SignedVote.decode(payload.signed_vote).voter != mind.node.address:
        return None
    one, _ = mind.halves()
    first = [Parcel(payload, one)] if mind.dice.random() < 0.3 else []
    return [*first, Parcel(payload, None, mind.dice.choice((7_900, 8_050, 29_900, 30_100, 90_000)))]


def refuse(mind: Mind, payload: Payload) -> list[Parcel] | None:
    """Never acknowledge anything."""
    if isinstance(payload, RoundStatement) and payload.member == mind.node.address:
        return []
    return None


def ack_nil(mind: Mind, payload: Payload) -> list[Parcel] | None:
    """Nothing is ever good enough."""
    if not isinstance(payload, RoundStatement) or not mind.is_own_round(payload):
        return None
    return [Parcel(mind.statement(payload, NIL))]


def falsify(mind: Mind, payload: Payload) -> list[Parcel] | None:
    """Serve settled commits that are stale, not certified, or certified by nobody but itself."""
    if isinstance(payload, SettledCommit):
        return [Parcel(false) for false in _false_commits(mind, payload)]
    if isinstance(payload, RoundStatement) and payload.kind == StatementKind.LOCK and mind.is_own_round(payload):
        body = mind.state.round.candidates.get(CandidateId(payload.candidate))
        if body is not None:
            locks = (payload,) * mind.state.committee.q
            early = SettledCommit.of(payload.epoch, payload.head, body, payload.view, locks, ())
            return [Parcel(payload), Parcel(early)]
    return None


def _false_commits(mind: Mind, settled: SettledCommit) -> list[SettledCommit]:
    body = settled.candidate
    other = Candidate(body.commit[:-1] + bytes([body.commit[-1] ^ 1]), body.welcome, body.joiner_key, body.sync)
    made = [
        replace(settled, candidate=other),
        replace(settled, signers=settled.signers[:1], signatures=settled.signatures[:1]),
    ]
    stale = mind.state.history.leaving(Epoch(settled.epoch - 1))
    return made if stale is None else [*made, stale]


def rewrap(mind: Mind, payload: Payload) -> list[Parcel] | None:
    """Another's offer is heard: it is sent on without what proves it, and offered in the own name."""
    if not isinstance(payload, Offer) or payload.leader == mind.node.address:
        return None
    if payload.head != mind.state.state.head:
        return None
    bare = replace(payload, votes=(), proposals=())
    uncertified = replace(payload, certificate=())
    mine = mind.signed_offer(replace(payload, leader=mind.node.address, certificate=()))
    views = range(payload.view, payload.view + len(mind.state.state.leaders))
    own = next((view for view in views if mind.state.round.leader(view) == mind.node.address), payload.view)
    again = mind.signed_offer(replace(payload, leader=mind.node.address, view=own, certificate=()))
    return [Parcel(mind.dice.choice((bare, uncertified, mine, again, again)))]
