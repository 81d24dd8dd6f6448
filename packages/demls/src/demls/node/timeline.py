"""What is written down for people when something happens? Events become lines in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from demls.api import models
from demls.node.present import called, listed
from demls.protocol.events import (
    Event,
    Joined,
    JoinRefused,
    MessageReceived,
    MessagesMissing,
    Misbehaved,
    ProposalDecided,
    ProposalOpened,
    ProposalWithdrawn,
    Removed,
    RequestReceived,
    Settled,
    VoteRecorded,
)
from demls.protocol.views import ProposalKind, ProposalView
from demls.storage.store import TimelineEntry, TimelineRow
from demls.wire.ids import Address, Instant, ProposalId, address_text

Kind = Literal["message", "notice", "warning"]


class Line(msgspec.Struct, frozen=True, array_like=True):
    """The body of a timeline row. Names are kept as they were."""

    text: str
    sender: bytes | None = None
    sender_name: str = ""
    is_mine: bool = False
    epoch: int | None = None
    proposal: bytes | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A line with its kind and time, before it has an id."""

    kind: Kind
    line: Line
    at: Instant | None = None
    """By the sender's clock; None: now."""


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of the group when its events are put into words."""

    me: Address
    name_of: Callable[[Address], str]
    proposals: Mapping[ProposalId, ProposalView]

    def name(self, address: Address) -> str:
        return called(address, self.name_of(address))

    def change(self, proposal: ProposalId) -> str:
        """What a proposal would do, in words that follow “to”."""
        view = self.proposals.get(proposal)
        if view is None:
            return f"carry out proposal {proposal.hex()[:8]}"
        who = "you" if view.subject == self.me else called(view.subject, view.subject_name)
        return {
            ProposalKind.INVITE: f"admit {who}",
            ProposalKind.REMOVE: f"remove {who}",
            ProposalKind.LEAVE: f"let {who} leave",
        }[view.kind]


def rows(scope: str, events: Iterable[Event], context: Context, now: Instant) -> list[TimelineRow]:
    """The lines that ``events`` leave in the timeline of ``scope``."""
    return [
        TimelineRow(scope, Instant(min(now, told.at or now)), told.kind, msgspec.msgpack.encode(told.line))
        for event in events
        for told in _tell(event, context)
    ]


def entry(stored: TimelineEntry) -> models.TimelineEntry:
    """A stored line as the API gives it."""
    line = msgspec.msgpack.decode(stored.body, type=Line)
    kinds: dict[str, Kind] = {"message": "message", "warning": "warning"}
    return models.TimelineEntry(
        id=stored.id,
        group=stored.scope,
        at=stored.at,
        kind=kinds.get(stored.kind, "notice"),
        sender=None if line.sender is None else models.Person(address=address_text(line.sender), name=line.sender_name),
        is_mine=line.is_mine,
        text=line.text,
        epoch=line.epoch,
        proposal=None if line.proposal is None else line.proposal.hex(),
    )


def _tell(event: Event, context: Context) -> list[Told]:
    match event:
        case MessageReceived():
            line = Line(
                event.text, event.sender, context.name_of(event.sender), event.sender == context.me, event.epoch
            )
            return [Told("message", line, event.at)]
        case MessagesMissing(sender, first, last):
            count = last - first + 1
            what = (
                f"A message of {context.name(sender)} has"
                if count == 1
                else (f"{count} messages of {context.name(sender)} have")
            )
            return [Told("warning", Line(f"{what} not arrived yet; the other members are asked for it."))]
        case RequestReceived(_, address, name, sponsor):
            by = "" if sponsor is None else f", invited by {_you_or(sponsor, context)}"
            return [Told("notice", Line(f"{called(address, name)} asks to join{by}."))]
        case Settled():
            return _settled(event, context)
        case Joined(epoch):
            text = f"You joined (epoch {epoch})." if epoch else "You founded this group."
            return [Told("notice", Line(text, epoch=epoch))]
        case JoinRefused(reason):
            return [Told("warning", Line(f"You were not admitted. {_ended(reason)}"))]
        case Removed(epoch, by_own_wish):
            if by_own_wish:
                return [Told("notice", Line(f"You left (epoch {epoch}).", epoch=epoch))]
            text = f"You were removed by vote (epoch {epoch}). You can read what was written before, nothing after."
            return [Told("warning", Line(text, epoch=epoch))]
        case Misbehaved(member, what):
            return [Told("warning", Line(f"{context.name(member)} broke a rule: {_ended(what)}"))]
    return _tell_of_proposal(event, context)


def _tell_of_proposal(event: Event, context: Context) -> list[Told]:
    def notice(text: str, proposal: ProposalId) -> list[Told]:
        return [Told("notice", Line(text, proposal=proposal))]

    match event:
        case ProposalOpened(proposal, owner):
            view = context.proposals.get(proposal)
            if view is not None and view.kind is ProposalKind.LEAVE:
                return notice(f"{_capital(_you_or(owner, context))} will leave with the next commit.", proposal)
            if view is not None and view.sponsor is not None:
                return notice(f"The vote is open whether to {context.change(proposal)}.", proposal)
            verb = "propose" if owner == context.me else "proposes"
            who = _capital(_you_or(owner, context))
            return notice(f"{who} {verb} to {context.change(proposal)}.", proposal)
        case VoteRecorded(proposal, voter, yes) if voter == context.me:
            answer = "yes" if yes else "no"
            return notice(f"Your vote to {context.change(proposal)}: {answer}. It is final.", proposal)
        case ProposalDecided(proposal, approved, _, reason):
            view = context.proposals.get(proposal)
            if view is not None and view.kind is ProposalKind.LEAVE:
                return []
            verdict = "Decided" if approved else "Decided not"
            return notice(f"{verdict} to {context.change(proposal)}. {reason}".rstrip(), proposal)
        case ProposalWithdrawn(proposal, reason):
            return notice(f"The proposal to {context.change(proposal)} was withdrawn: {_ended(reason)}", proposal)
    return []


def _settled(event: Settled, context: Context) -> list[Told]:
    """Own joining and leaving have events of their own."""
    carried = {
        view.subject: view for proposal in event.carried if (view := context.proposals.get(proposal)) is not None
    }
    epoch = f"(epoch {event.epoch})"
    told: list[Told] = []

    def name(address: Address) -> str:
        view = carried.get(address)
        return called(address, context.name_of(address) or (view.subject_name if view else ""))

    def tell(text: str, address: Address | None) -> None:
        view = carried.get(address) if address is not None else None
        proposal = view.proposal_id if view else None
        told.append(Told("notice", Line(f"{text} {epoch}.", epoch=event.epoch, proposal=proposal)))

    joined = [address for address in event.joined if address != context.me]
    left = [address for address in event.left if address != context.me]
    by_vote = [one for one in left if one in carried and carried[one].kind is ProposalKind.REMOVE]
    by_wish = [one for one in left if one not in by_vote]
    for people, singular, plural in (
        (joined, "joined", "joined"),
        (by_vote, "was removed by vote", "were removed by vote"),
        (by_wish, "left", "left"),
    ):
        if people:
            verb = singular if len(people) == 1 else plural
            tell(f"{listed(name(one) for one in people)} {verb}", people[0] if len(people) == 1 else None)
    if not event.joined and not event.left:
        tell(f"{_capital(_you_or(event.committer, context))} made a commit", None)
    return told


def _you_or(address: Address, context: Context) -> str:
    return "you" if address == context.me else context.name(address)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _ended(reason: str) -> str:
    reason = reason.strip()
    return reason if reason.endswith((".", "!", "?")) else f"{reason}."
