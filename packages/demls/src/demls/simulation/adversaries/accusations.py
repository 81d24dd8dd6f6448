"""How does a bad member accuse? With nothing, with what it made up, with what is true of others, and too often.

``FALSE`` is the list of false cases against innocent members; each gives the kind of violation with what shall show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from demls_consensus import Choice, SignedVote

from demls.protocol.commit_round import OFFER_LABEL
from demls.protocol.electorates import VOTE_LABEL
from demls.protocol.views import ProposalStatus
from demls.simulation.adversaries.mind import Mind, Parcel
from demls.wire.fields import PROOFS_MAX
from demls.wire.ids import Address, ProposalId
from demls.wire.messages import Emergency, Offer
from demls.wire.statements import DoubleStatement, DoubleVote, FaultyOffer, Proof, RoundStatement, StatementKind
from demls.wire.violations import Violation

_REMOVAL = Violation.SCORE_BELOW_THRESHOLD
_CHECKS = ("V01", "V02", "V03", "V05", "V10", "V12")


# --- False cases against innocent members ---------------------------------------------------------------------------


def _nothing(mind: Mind, target: Address) -> tuple[Proof, ...]:  # noqa: ARG001 - one form for all
    return ()


def _in_its_name(mind: Mind, target: Address) -> tuple[Proof, ...]:
    """Two statements in the name of the target, signed by whoever accuses."""
    view = mind.state.round.at.view
    one, two = (mind.new_statement(mind.dice.randbytes(32), view=view, member=target) for _ in range(2))
    return (Proof(DoubleStatement(one, two)),)


def _half_genuine(mind: Mind, target: Address) -> tuple[Proof, ...]:
    """What the target has really said, and another thing that it has not."""
    said = _said_by(mind, target)
    if not said:
        return _in_its_name(mind, target)
    other = mind.signed_statement(replace(said[0], candidate=mind.dice.randbytes(32)))
    return (Proof(DoubleStatement(said[0], other)),)


def _unlike(mind: Mind, target: Address) -> tuple[Proof, ...]:
    """Two things that the target has really said, in two views, or as an ack and as a lock, or the same again."""
    said = _said_by(mind, target)
    return (Proof(DoubleStatement(said[0], said[-1])),) if said else ()


def _of_another(mind: Mind, target: Address) -> tuple[Proof, ...]:  # noqa: ARG001 - one form for all
    """What a bad member has done, shown as the target's."""
    known = [proof for _, proof in mind.gang.proofs.values()]
    return (mind.dice.choice(known),) if known and mind.dice.random() < 0.5 else (mind.double_statement(),)


def _signed_anew(mind: Mind, target: Address) -> tuple[Proof, ...]:
    """What a bad member has done, with the target's name in it."""
    proof = mind.double_statement().payload
    assert isinstance(proof, DoubleStatement)
    one, two = replace(proof.first, member=target), replace(proof.second, member=target)
    is_signed = mind.dice.random() < 0.5
    return (Proof(DoubleStatement(*map(mind.signed_statement, (one, two)) if is_signed else (one, two))),)


def _of_later(mind: Mind, target: Address) -> tuple[Proof, ...]:
    """In an epoch to come, whose keys nobody knows."""
    proof = _signed_anew(mind, target)[0].payload
    assert isinstance(proof, DoubleStatement)
    epoch = mind.state.epoch + mind.dice.choice((1, 2, 50))
    both = (mind.signed_statement(replace(said, epoch=epoch)) for said in (proof.first, proof.second))
    return (Proof(DoubleStatement(*both)),)


def _of_before(mind: Mind, target: Address) -> tuple[Proof, ...]:
    """In an epoch long past, whose keys nobody keeps."""
    proof = _signed_anew(mind, target)[0].payload
    assert isinstance(proof, DoubleStatement)
    both = (mind.signed_statement(replace(said, epoch=0)) for said in (proof.first, proof.second))
    return (Proof(DoubleStatement(*both)),)


def _both_votes(mind: Mind, target: Address) -> tuple[Proof, ...]:
    """A vote that the target has cast, and its opposite by whoever accuses."""
    for item in mind.state.governance.items.values():
        for (voter, choice), vote in item.votes.items():
            if voter == target:
                opposite = Choice.NO if choice is Choice.YES else Choice.YES
                forged = SignedVote.cast(
                    item.proposal_id, target, opposite, mind.now, lambda content: mind.sign(VOTE_LABEL, content)
                )
                return (Proof(DoubleVote(item.proposal.epoch, vote.encode(), forged.encode())),)
    return _in_its_name(mind, target)


def _sound_offer(mind: Mind, target: Address) -> tuple[Proof, ...]:
    """An offer that the target has really made, of which it is said that it breaks a check."""
    offers = [offer for offer in mind.state.round.offers.values() if offer.leader == target]
    if not offers:
        return _made_up_offer(mind, target)
    check = mind.dice.choice(_CHECKS)
    return tuple(Proof(_faulty(offer, offer.signature, check)) for offer in offers)


def _made_up_offer(mind: Mind, target: Address) -> tuple[Proof, ...]:
    state, check = mind.state, mind.dice.choice(_CHECKS)
    unsigned = FaultyOffer(
        state.epoch, state.state.head, state.round.at.view, mind.dice.randbytes(32), target, bytes(64), check
    )
    signature = mind.sign(OFFER_LABEL, unsigned.content(state.group_id))
    return (Proof(replace(unsigned, signature=signature)),)


def _by_accomplice(mind: Mind, target: Address) -> tuple[Proof, ...]:
    """One of two who conspire has signed as the target, beside what it has signed itself."""
    other = mind.dice.choice(mind.accomplices() or [mind])
    return (*_in_its_name(other, target), other.double_statement())


def _faulty(offer: Offer, signature: bytes, check: str) -> FaultyOffer:
    return FaultyOffer(offer.epoch, offer.head, offer.view, offer.candidate.id, offer.leader, signature, check)


def _said_by(mind: Mind, target: Address) -> list[RoundStatement]:
    views = range(mind.state.round.at.view + 1)
    held = (mind.state.round.statements(kind, view).get(target) for view in views for kind in StatementKind)
    return [statement for statement in held if statement is not None]


FALSE: dict[str, Callable[[Mind, Address], tuple[Proof, ...]]] = {
    "nothing": _nothing,
    "statements in its name": _in_its_name,
    "a statement signed anew": _half_genuine,
    "statements that go together": _unlike,
    "what another did": _of_another,
    "what another did, in its name": _signed_anew,
    "what it will do": _of_later,
    "what it did long ago": _of_before,
    "both votes": _both_votes,
    "a sound offer": _sound_offer,
    "an offer made up": _made_up_offer,
    "what an accomplice signed": _by_accomplice,
}

_KINDS = (_REMOVAL, _REMOVAL, _REMOVAL, *Violation)


def accuse_falsely(mind: Mind) -> list[Parcel]:
    """An emergency against an innocent member, on which the accuser says yes."""
    innocents = mind.innocents()
    if not innocents:
        return []
    name, target = mind.dice.choice(sorted(FALSE)), mind.dice.choice(innocents)
    proofs = FALSE[name](mind, target)
    mind.note(f"accuses {mind.world.name_of(target)} with {name}")
    return _claim(mind, Emergency(mind.dice.choice(_KINDS), target, proofs[:PROOFS_MAX], ()))


def frame(mind: Mind) -> list[Parcel]:
    """With an accomplice: what it has really done and what it has not, against an innocent; the other says yes."""
    innocents, accomplices = mind.innocents(), mind.accomplices()
    if not innocents or not accomplices:
        return []
    other, target = mind.dice.choice(accomplices), mind.dice.choice(innocents)
    mind.note(f"frames {mind.world.name_of(target)} together with {other.node.name}")
    proofs = (*_by_accomplice(mind, target), *FALSE[mind.dice.choice(sorted(FALSE))](mind, target))
    parcels = _claim(mind, Emergency(_REMOVAL, target, proofs[:PROOFS_MAX], ()))
    return [*parcels, Parcel(other.vote(mind.gang.claims[-1], yes=True))]


def _claim(mind: Mind, emergency: Emergency) -> list[Parcel]:
    proposal = mind.proposal(emergency)
    mind.gang.claims.append(proposal.id)
    return [Parcel(proposal), Parcel(mind.vote(proposal.id, yes=True))]


def declare_deadlock(mind: Mind) -> list[Parcel]:
    """Nil acks of too few, of one, of another state, or of everybody in another's handwriting."""
    state, view = mind.state, mind.state.round.at.view
    genuine = tuple(state.round.statements(StatementKind.ACK, view).values())
    own = mind.new_statement(b"", view=view)
    forged = tuple(mind.new_statement(b"", view=view, member=seat.address) for seat in state.roster.seats)
    stale = tuple(mind.signed_statement(replace(ack, head=bytes(32))) for ack in forged)
    stuck = mind.dice.choice((genuine, (own,), (own,) * 5, forged, stale))
    mind.note("declares a deadlock")
    return [Parcel(mind.proposal(Emergency(Violation.DEADLOCK, b"", (), stuck)))]


# --- True cases -----------------------------------------------------------------------------------------------------


def accuse_truly(mind: Mind) -> list[Parcel]:
    """Another bad member, with true proofs: it has done it, or does it for this."""
    accomplices = mind.accomplices()
    known = {who for who, _ in mind.gang.proofs.values()}
    if accomplices and mind.dice.random() < 0.5:
        other = mind.dice.choice(accomplices)
        target, proofs = other.node.address, [other.double_statement()]
    elif known & mind.state.roster.addresses - {mind.node.address}:
        target = mind.dice.choice(sorted(known & mind.state.roster.addresses - {mind.node.address}))
        proofs = [proof for who, proof in mind.gang.proofs.values() if who == target][:PROOFS_MAX]
    else:
        return []
    mind.note(f"accuses {mind.world.name_of(target)} with true proofs")
    proposal = mind.proposal(Emergency(_REMOVAL, target, tuple(proofs), ()))
    return [Parcel(proposal), Parcel(mind.vote(proposal.id, yes=True))]


def keep_frozen(mind: Mind) -> list[Parcel]:
    """As many emergencies as it can open at once, each with a true proof against a bad member: nothing else goes on."""
    made = []
    for guilty in (mind, *mind.accomplices()):
        for kind in (Violation.EQUIVOCATION, _REMOVAL):
            if kind is _REMOVAL and mind.dice.random() < 0.8:
                continue  # for then it would soon be out
            made.append(mind.proposal(Emergency(kind, guilty.node.address, (guilty.double_statement(),), ())))
    mind.note(f"opens {len(made)} emergencies at once")
    return [Parcel(proposal) for proposal in made]


def accuse_again(mind: Mind) -> list[Parcel]:
    """What was decided, or is, is brought up in a new emergency, with the same proofs; some of it of another epoch."""
    items = [item for item in mind.state.governance.items.values() if isinstance(item.change, Emergency)]
    if not items:
        return []
    old = mind.dice.choice(items)
    assert isinstance(old.change, Emergency)
    kinds = old.change.violation_type, Violation.EQUIVOCATION, _REMOVAL
    again = replace(old.change, violation_type=mind.dice.choice(kinds))
    epoch = max(0, mind.state.epoch - mind.dice.choice((0, 0, 1, 4)))
    mind.note(f"brings up {old.proposal_id.hex()[:6]} again")
    return [Parcel(mind.proposal(again, epoch=epoch)), Parcel(old.proposal)]


# --- Votes ----------------------------------------------------------------------------------------------------------


def vote_falsely(mind: Mind) -> list[Parcel]:
    """Yes to every false accusation, no to every true one."""
    votes = [(proposal_id, True) for proposal_id in list(mind.gang.claims)[-8:]]
    votes += [(proposal_id, False) for proposal_id in _true_cases(mind)]
    return [Parcel(mind.vote(proposal_id, yes=yes)) for proposal_id, yes in votes]


def _true_cases(mind: Mind) -> Iterable[ProposalId]:
    for item in mind.state.governance.items.values():
        if isinstance(item.change, Emergency) and item.status is ProposalStatus.OPEN:
            yield item.proposal_id
