"""What else does a bad member send? Other members' names, old messages, garbage, false questions, and too much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from demls.protocol.channel import joiner_channel, seal, unseal
from demls.protocol.effects import Outbound
from demls.protocol.inbound import ANSWER_LABEL
from demls.simulation.adversaries.mind import Mind, Parcel
from demls.simulation.network import Envelope
from demls.wire.fields import ENTRIES_MAX
from demls.wire.ids import Address
from demls.wire.messages import (
    Awake,
    Change,
    Digest,
    Dormant,
    Emergency,
    Invite,
    JoinAnswer,
    JoinRequest,
    Leave,
    Offer,
    Payload,
    PrivateMessage,
    Proposal,
    ProposalState,
    Remove,
    Settings,
    StewardElection,
    WelcomeBundle,
)
from demls.wire.statements import StatementKind
from demls.wire.violations import Violation

_SPAM = 10
_REPLAYED = 6
_GARBAGE_BYTES = 600


# --- In other names -------------------------------------------------------------------------------------------------


def forge(mind: Mind) -> list[Parcel]:
    """Votes, statements, offers, proposals and questions of an innocent member, signed with the own key."""
    innocents = mind.innocents()
    if not innocents:
        return []
    name = mind.dice.choice(innocents)
    state = mind.state
    made: list[Payload] = [mind.proposal(Leave(), owner=name), mind.proposal(Remove(mind.node.address), owner=name)]
    made += [
        mind.vote(item.proposal_id, yes=yes, voter=name) for item in state.governance.alive() for yes in (True, False)
    ]
    view = state.round.at.view
    for kind in StatementKind:
        for candidate in (b"", *state.round.candidates, mind.dice.randbytes(32)):
            made.append(mind.new_statement(candidate, view=view, member=name, kind=kind))
    made += [mind.signed_offer(replace(offer, leader=name)) for offer in state.round.offers.values()]
    made.append(mind.signed_digest(replace(_digest(mind), member=name)))
    chosen = mind.dice.sample(made, min(4, len(made)))
    mind.note(f"speaks as {mind.world.name_of(name)}")
    return [Parcel(payload) for payload in chosen]


# --- Old and broken messages ----------------------------------------------------------------------------------------


def replay(mind: Mind) -> list[Parcel]:
    """What others have said long ago, once more: as it was, or on the present channel."""
    heard = list(mind.heard)
    if not heard:
        return []
    chosen = mind.dice.sample(heard, min(_REPLAYED, len(heard)))
    parcels: list[Parcel] = []
    for envelope in chosen:
        channel = mind.node.channels.get(envelope.topic)
        payload = unseal(channel, envelope.payload, mind.node.engine) if channel is not None else None
        is_moved = payload is not None and mind.dice.random() < 0.5
        parcels.append(Parcel(payload if is_moved and payload is not None else envelope))
    mind.note(f"says {len(parcels)} old messages again")
    return parcels


def litter(mind: Mind) -> list[Parcel]:
    """Bytes that open with no key, sealed bytes that are no message, and messages cut short or with a bit changed."""
    state, dice = mind.state, mind.dice
    channel = dice.choice((state.channel, state.rendezvous))
    sealed = seal(channel, _digest(mind), mind.node.engine)
    bent = bytearray(sealed)
    bent[dice.randrange(len(bent))] ^= 1 << dice.randrange(8)
    junk = dice.randbytes(dice.randint(1, _GARBAGE_BYTES))
    inside = mind.node.engine.seal(channel.key, junk.ljust(256, b"\0"), channel.topic)
    sized = mind.node.engine.seal(channel.key, (len(junk).to_bytes(4, "big") + junk).ljust(1024, b"\0"), channel.topic)
    pieces = [junk, inside, sized, bytes(bent), sealed[: dice.randrange(len(sealed))], b""]
    messages: list[Payload] = [
        PrivateMessage(junk),
        PrivateMessage(bytes(1)),
        WelcomeBundle(junk, junk),
    ]
    parcels = [Parcel(piece, channel=channel) for piece in dice.sample(pieces, 3)]
    return [*parcels, Parcel(dice.choice(messages))]


# --- False questions ------------------------------------------------------------------------------------------------


def ask_falsely(mind: Mind) -> list[Parcel]:
    """Digests that state what is not held, by whom it is not, of another state, and many of them to one member."""
    asked, dice, state = mind.dice.choice(mind.innocents() or [mind.node.address]), mind.dice, mind.state
    true = replace(_digest(mind), asked=asked)
    unknown = tuple(ProposalState(dice.randbytes(32), b"\xff", b"\xff") for _ in range(dice.randint(1, 40)))
    false = (
        replace(true, proposals=unknown),
        replace(true, candidates=tuple(sorted(dice.randbytes(32) for _ in range(20)))),
        replace(true, acked=b"\xff" * 3, locked=b"\xff" * 3),
        replace(true, view=1 << 20),
        replace(true, epoch=max(0, state.epoch - 3)),
        replace(true, epoch=state.epoch + 5),
        replace(true, head=bytes(32)),
    )
    digest = mind.signed_digest(dice.choice(false))
    if dice.random() < 0.3:
        return [Parcel(digest, channel=state.rendezvous)]
    return [Parcel(digest)] * dice.choice((1, 1, 6))


def _digest(mind: Mind) -> Digest:
    """The shortest that it can state."""
    state = mind.state
    other = mind.dice.choice([seat.address for seat in state.roster.seats])
    return mind.signed_digest(
        Digest(
            state.epoch, state.state.head, state.round.at.view, mind.node.address, other, (), (), b"", b"", bytes(64)
        )
    )


# --- Newcomers ------------------------------------------------------------------------------------------------------


def mislead_newcomers(mind: Mind) -> list[Parcel]:
    """Who asks is told that it is refused, and gets welcomes that open nothing; its request is said again."""
    state, dice = mind.state, mind.dice
    packages = [request.key_package for request in state.requests.waiting.values()]
    packages += [item.change.key_package_bytes for item in state.governance.alive() if isinstance(item.change, Invite)]
    if not packages:
        return []
    package = dice.choice(packages)
    sentence = "Nobody here knows you."
    answer = JoinAnswer(sentence, mind.node.address, mind.sign(ANSWER_LABEL, sentence.encode() + package))
    welcome = WelcomeBundle(dice.randbytes(200), dice.randbytes(900))
    request = JoinRequest(package, dice.randbytes(16), mind.now + 60_000, mind.node.address, bytes(64))
    mind.note("misleads a newcomer")
    wrong: list[Payload] = [welcome, answer]
    parcels = [Parcel(payload, channel=joiner_channel(package)) for payload in wrong if dice.random() < 0.7]
    return [*parcels, Parcel(request, channel=state.rendezvous)]


def no_welcome(mind: Mind, outbound: Outbound) -> list[Parcel]:  # noqa: ARG001 - one form for all
    return []


def useless_welcome(mind: Mind, outbound: Outbound) -> list[Parcel]:
    """Newcomers get so many bytes that open with no key."""
    mind.note("sends a useless welcome")
    junk = mind.dice.randbytes(len(outbound.payload))
    return [Parcel(Envelope(0, mind.node.name, outbound.topic, junk))]


# --- Too much -------------------------------------------------------------------------------------------------------


def spam(mind: Mind) -> list[Parcel]:
    """As many proposals as there is room for, and some more."""
    mind.note(f"makes {_SPAM} proposals")
    return [Parcel(proposal) for proposal in _proposals(mind, _SPAM)]


def stuff(mind: Mind, payload: Payload) -> list[Parcel] | None:
    """The own offer carries as many proposals as it can that have nothing to do with it."""
    if not isinstance(payload, Offer) or not mind.is_own_round(payload):
        return None
    place = payload.head, payload.view, "stuffed"
    if place not in mind.offered:
        made = _proposals(mind, ENTRIES_MAX - len(payload.proposals) - 2)
        emergency = Emergency(Violation.EQUIVOCATION, mind.node.address, (mind.double_statement(),), ())
        accused = replace(emergency, target_member_id=mind.dice.choice([*mind.innocents(), mind.node.address]))
        made += [mind.proposal(emergency), mind.proposal(accused)]
        mind.offered[place] = replace(payload, proposals=(*payload.proposals, *made))
        mind.note(f"stuffs its offer with {len(made)} proposals")
    stuffed = mind.offered[place]
    return None if stuffed is None else [Parcel(replace(payload, proposals=stuffed.proposals))]


def _proposals(mind: Mind, count: int) -> list[Proposal]:
    """Removals, settings, dormancy of who is there, and what makes no sense."""
    dice, state = mind.dice, mind.state
    makers: tuple[Callable[[], Change], ...] = (
        lambda: Remove(dice.choice([seat.address for seat in state.roster.seats])),
        lambda: Remove(dice.randbytes(20)),
        lambda: Settings(state.charter.digest, f"spam {dice.randint(1, 999)}", "", state.charter.policy),
        lambda: Settings(dice.randbytes(32), "spam", "", state.charter.policy),
        lambda: Invite(dice.randbytes(300), mind.node.address),
        lambda: Dormant(dice.choice([seat.address for seat in state.roster.seats])),
        lambda: Awake(dice.choice([seat.address for seat in state.roster.seats])),
    )
    return [mind.proposal(dice.choice(makers)()) for _ in range(count)]


def elect_falsely(mind: Mind) -> list[Parcel]:
    """Lists of its own, for other rounds and epochs, without the innocent; and a yes to each."""
    dice, state = mind.dice, mind.state
    innocents = mind.innocents()
    listing = state.state.stewards.members
    own: tuple[Address, ...] = (mind.node.address, *(other.node.address for other in mind.accomplices()))
    due = state.elections.propose(state.state, dice.randint(0, 3))
    lists: list[StewardElection] = [
        StewardElection(own, state.epoch, 0, ()),
        StewardElection(own, state.epoch, dice.randint(0, 5), tuple(innocents)),
        StewardElection(tuple(listing) or own, state.epoch + 3, 0, ()),
    ]
    if due is not None:
        lists += [due, replace(due, excluded=(*due.excluded, *innocents[:1]))]
    proposal = mind.proposal(dice.choice(lists))
    mind.note("proposes a steward list")
    return [Parcel(proposal), Parcel(mind.vote(proposal.id, yes=True))]
