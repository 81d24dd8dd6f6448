"""How does a bad member misuse requests for new seats? Floods of its own, in other names, old ones, changed ones."""

from __future__ import annotations

from dataclasses import replace

from demls.protocol.governance import PROPOSAL_LABEL
from demls.protocol.policy import HOUR
from demls.protocol.records import Ledger
from demls.protocol.resync import resync_sentence
from demls.protocol.returning import Returning
from demls.simulation.adversaries.mind import Mind, Parcel
from demls.wire.ids import Address, Instant
from demls.wire.messages import ChangeRequest, Proposal, Resync, ResyncReason, decode_message

_FLOOD = 4
_GENUINE_SHARE = 0.15
"""So often one of its own is not spoilt: then it really gets a new seat, and this node of it is out."""


def ask_for_seats(mind: Mind) -> list[Parcel]:
    """Requests that nobody may carry out, or not so often, on the rendezvous and on the channel."""
    state, dice = mind.state, mind.dice
    own = _own(mind)
    change = own.change.payload
    assert isinstance(change, Resync)
    made = [_spoilt(mind, own, change, number) for number in range(_FLOOD)]
    if dice.random() < _GENUINE_SHARE:
        made.append(own)
    for name in mind.innocents()[:2]:
        seat = state.roster.seat(name)
        assert seat is not None
        made.append(_signed(mind, replace(own, owner=name), replace(change, leaf_key=seat.leaf_key)))
    old = [item.proposal for item in state.governance.resyncs.values()]
    made += dice.sample(old, min(2, len(old)))
    channels = [state.rendezvous, None]
    return [Parcel(proposal, channel=dice.choice(channels)) for proposal in made]


def _own(mind: Mind) -> Proposal:
    """A genuine request of its own, which its node does not know about."""
    records = {key: value for key, value in mind.node.records.items() if not key.startswith(b"mls/")}
    returning, _ = Returning.begin(
        Ledger(records), sign=mind.node.sign, reason=ResyncReason.WISH, engine=mind.node.engine, now=Instant(mind.now)
    )
    return decode_message(returning.record.request, Proposal)


def _spoilt(mind: Mind, own: Proposal, change: Resync, number: int) -> Proposal:
    match number % 4:
        case 0:  # the wallet has signed another one
            return _signed(mind, own, replace(change, nonce=mind.dice.randbytes(16)))
        case 1:  # long past, or far ahead
            at = max(0, mind.now + mind.dice.choice((-2, 2)) * HOUR)
            return _signed(mind, replace(own, created_at=at), replace(change, expires=at + HOUR))
        case 2:  # good for a day
            return _signed(mind, own, replace(change, expires=mind.now + 24 * HOUR))
        case _:  # for a leaf that it has not
            return _signed(mind, own, replace(change, leaf_key=mind.dice.randbytes(32)))


def _signed(mind: Mind, proposal: Proposal, change: Resync) -> Proposal:
    """With its own leaf key and its own wallet, whoever is named."""
    signed = change
    if change.nonce == proposal.change.payload.nonce:  # type: ignore[union-attr]
        sentence = resync_sentence(proposal.group_id, Address(proposal.owner), change)
        signed = replace(change, wallet_signature=mind.node.sign(sentence))
    unsigned = replace(proposal, change=ChangeRequest(signed))
    return replace(unsigned, signature=mind.sign(PROPOSAL_LABEL, unsigned.id))
