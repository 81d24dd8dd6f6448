"""What is written down for people when something happens? Events become lines in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from demls.api import models
from demls.node import cards
from demls.node.cards import BY_NODES, Known, NameOf
from demls.node.policies import Agreed, differences
from demls.node.present import HALTED, frozen_sentence, successor_sentence
from demls.node.recovery import waiting_words
from demls.node.rejoining import MOVED, STRANDED, asking_sentence
from demls.node.words import called, capital, ended, listed, time_words, uncapital
from demls.protocol.events import (
    Event,
    Faulted,
    Frozen,
    Halted,
    Joined,
    JoinRefused,
    KeysRenewed,
    MessageReceived,
    MessagesDiffer,
    MessagesMissing,
    Misbehaved,
    ProposalDecided,
    ProposalHeld,
    ProposalOpened,
    ProposalWithdrawn,
    Removed,
    RequestReceived,
    Returned,
    ScoreChanged,
    SeatAsked,
    SettingsChanged,
    Settled,
    StewardsChanged,
    Stranded,
    SuccessorFounded,
    Unproven,
    VoteRecorded,
    Waiting,
    WentToAll,
)
from demls.protocol.scores import Cause
from demls.protocol.views import GroupView, ProposalKind, ProposalView
from demls.storage.store import TimelineEntry, TimelineRow
from demls.wire.ids import Address, Instant, ProposalId, address_text

Kind = Literal["message", "notice", "warning", "quiet"]


class Line(msgspec.Struct, frozen=True, array_like=True):
    """The body of a timeline row. Names are kept as they were."""

    text: str
    sender: bytes | None = None
    sender_name: str = ""
    is_mine: bool = False
    epoch: int | None = None
    proposal: bytes | None = None
    client_id: str | None = None
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """A line with its kind and time, before it has an id."""

    kind: Kind
    line: Line
    at: Instant | None = None
    """By the sender's clock; None: now."""


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of the group when its events are put into words.

    ``now``, ``before``: how the group is shown after the step and before it, None if it is not known. ``changes``:
    what settings proposals change. ``client_id``: what the program that sent an own message calls it.
    """

    me: Address
    name_of: NameOf
    proposals: Mapping[ProposalId, ProposalView]
    now: GroupView | None = None
    before: GroupView | None = None
    changes: Known = field(default_factory=dict)
    client_id: str | None = None
    is_asked: bool = True
    """The step is what the person asked for; else what comes of it, the node did by itself."""

    def name(self, address: Address) -> str:
        return called(address, self.name_of(address))

    def kind(self, proposal: ProposalId) -> ProposalKind | None:
        view = self.proposals.get(proposal)
        return None if view is None else view.kind

    def change(self, proposal: ProposalId) -> str:
        """What a proposal would do, in words that follow “to”."""
        view = self.proposals.get(proposal)
        if view is None:
            return f"carry out proposal {proposal.hex()[:8]}"
        if view.kind is ProposalKind.LEAVE:
            return f"let {'you' if view.subject == self.me else called(view.subject, view.subject_name)} leave"
        after = self.now.policy.dormant_after if self.now is not None else 0
        return uncapital(cards.title(view, after, self.name_of, self.changes.get(proposal, ()), self.me))


def rows(scope: str, events: Iterable[Event], context: Context, now: Instant) -> list[TimelineRow]:
    """The lines that ``events`` leave in the timeline of ``scope``."""
    events = list(events)
    missing = [event for event in events if isinstance(event, MessagesMissing)]
    told = [told for event in events if event not in missing for told in _tell(event, context)]
    if missing:
        told.append(Told("warning", Line(lost_sentence(missing, context.name_of, now))))
    return [
        TimelineRow(scope, Instant(min(now, one.at or now)), one.kind, msgspec.msgpack.encode(one.line)) for one in told
    ]


def entry(stored: TimelineEntry) -> models.TimelineEntry:
    """A stored line as the API gives it."""
    line = msgspec.msgpack.decode(stored.body, type=Line)
    kinds: dict[str, Kind] = {"message": "message", "warning": "warning", "quiet": "quiet"}
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
        client_id=line.client_id,
        late=line.is_late,
    )


def lost_sentence(missing: Sequence[MessagesMissing], name_of: NameOf, now: Instant) -> str:
    """What nobody could say again, in one sentence: how many, whose, and when they were written."""
    count = sum(gap.last - gap.first + 1 for gap in missing)
    senders = list(dict.fromkeys(gap.sender for gap in missing))
    whose = f" of {called(senders[0], name_of(senders[0]))}" if len(senders) == 1 else ""
    what = f"a message{whose}" if count == 1 else f"{count:,} messages{whose}"
    before = max((gap.before for gap in missing), default=0)
    after = min((gap.after for gap in missing), default=0)
    when = ""
    if before:
        until = time_words(min(before, now), now)
        when = f", from {time_words(min(after, now), now)} to {until}" if after else f", from before {until}"
    if any(gap.was_away for gap in missing):
        return f"You were away; {what} could not be recovered{when}."
    return f"{capital(what)} could not be recovered{when}."


def _tell(event: Event, context: Context) -> list[Told]:
    match event:
        case MessageReceived():
            is_mine = event.sender == context.me
            line = Line(
                event.text,
                event.sender,
                context.name_of(event.sender),
                is_mine,
                event.epoch,
                client_id=context.client_id if is_mine else None,
                is_late=event.is_late,
            )
            return [Told("message", line, event.at)]
        case MessagesDiffer(sender):
            who = context.name(sender)
            text = f"{who} has sent different messages to different members under one number. You see the one that came"
            return [Told("warning", Line(f"{text} first; ask {who} and the others what they read."))]
        case RequestReceived(request_id, address, name, sponsor):
            who, by = called(address, name), "" if sponsor is None else f", invited by {_you_or(sponsor, context)}"
            waiting = context.now.requests if context.now is not None else ()
            if any(one.request_id == request_id and one.needs_sponsor for one in waiting):
                text = f"{who} asks to join with an open link. There is no vote until a member answers for the person."
                return [Told("notice", Line(text))]
            return [Told("notice", Line(f"{who} asks to join{by}."))]
        case Settled():
            return _settled(event, context)
        case KeysRenewed(epoch, members):
            text = f"Your keys in this group were renewed (epoch {epoch})."
            return [Told("quiet", Line(text, epoch=epoch))] if context.me in members else []
        case Joined(epoch):
            text = f"You joined (epoch {epoch})." if epoch else "You founded this group."
            return [Told("notice", Line(text, epoch=epoch))]
        case JoinRefused(reason) if context.now is None:
            return [Told("warning", Line(f"You were not admitted. {ended(reason)}"))]
        case Removed(is_moved=True):
            return [Told("warning", Line(MOVED))]
        case SeatAsked(_, reason, saved_at, wait):
            return [Told("notice", Line(wait or asking_sentence(reason, saved_at)))]
        case Returned(epoch, _, is_vouched):
            text = f"You are back (epoch {epoch}). What was said in between was not readable here."
            doubt = (
                " Nobody whom this node knew has certified that: compare the authenticator with another member, by "
                "phone for example, before you trust this group."
            )
            return [
                Told("notice" if is_vouched else "warning", Line(text + ("" if is_vouched else doubt), epoch=epoch))
            ]
        case Stranded():
            return [Told("warning", Line(STRANDED))]
        case JoinRefused(reason) if context.now is not None:
            return [Told("warning", Line(f"You have no new seat yet. {ended(reason)}"))]
        case Removed(epoch, by_own_wish):
            if by_own_wish:
                return [Told("notice", Line(f"You left (epoch {epoch}).", epoch=epoch))]
            text = f"You were removed by vote (epoch {epoch}). You can read what was written before, nothing after."
            return [Told("warning", Line(text, epoch=epoch))]
        case Faulted(member, check, detail):
            text = f"{context.name(member)} offered a commit that breaks check {check} and was refused: {ended(detail)}"
            return [Told("warning", Line(text))]
        case Misbehaved(member, what):
            return [Told("warning", Line(f"{context.name(member)} broke a rule: {ended(what)}"))]
        case Unproven(member, proposal):
            text = f"{context.name(member)} accused somebody with proofs that do not hold; there is no vote on it."
            return [Told("warning", Line(text, proposal=proposal))]
    return _tell_of_governance(event, context) or _tell_of_proposal(event, context)


def _tell_of_governance(event: Event, context: Context) -> list[Told]:
    match event:
        case StewardsChanged(epoch, stewards, by_vote):
            return _stewards(epoch, stewards, by_vote, context)
        case SettingsChanged(epoch, charter):
            before, phrases = context.before, ""
            if before is not None:
                after = Agreed(charter.name, charter.description, charter.policy)
                phrases = ", ".join(one.phrase for one in differences(cards.agreed(before), after))
            what = f": {phrases}" if phrases else ""
            return [Told("notice", Line(f"The settings have changed{what} (epoch {epoch}).", epoch=epoch))]
        case SuccessorFounded(founder, name, link):
            known = context.before.successors if context.before is not None else ()
            if any((one.founder, one.link) == (founder, link) for one in known):
                return []  # the same word once more
            text = successor_sentence(founder, name, context.me, context.name_of, is_invited=bool(link))
            return [Told("notice", Line(text))]
        case Halted(epoch, double_signers):
            who = listed(_you_or(one, context) for one in double_signers) if double_signers else ""
            signed = f" Both commits of epoch {epoch} were signed by {who}." if who else ""
            return [Told("warning", Line(f"{HALTED}{signed}", epoch=epoch))]
        case ScoreChanged(member, before_points, after_points, cause):
            return _score(member, before_points, after_points, cause, context)
        case Frozen(is_on, until):
            return [Told("notice", Line(frozen_sentence(until) if is_on else _thawed(context)))]
        case ProposalHeld(proposal):
            return [Told("notice", Line(_held(proposal, context)))]
        case Waiting(missing, _, short):
            was_waiting = context.before is not None and bool(context.before.round.missing)
            if bool(missing) == was_waiting:
                return []  # the group's card says for whom now
            waiting = waiting_words(missing, short, context.name_of)
            text = f"The commit round is {waiting}." if waiting else "The commit round is waiting no longer."
            return [Told("quiet", Line(text))]
    return []


def _thawed(context: Context) -> str:
    held = context.before.held if context.before is not None else 0
    waited = "what has waited is opened now" if held else "nothing has waited for it"
    return f"The emergency is over; {waited}."


def _held(proposal: ProposalId, context: Context) -> str:
    waiting = context.now.waiting if context.now is not None else ()
    view = next((one for one in waiting if one.proposal_id == proposal), None)
    if view is not None and view.kind is ProposalKind.EMERGENCY:
        return "Your emergency waits until the commit that is due is made; it is opened then, by itself."
    return "Your proposal waits until the emergency is decided; it is opened then, by itself."


OWN_FAULTS = {
    Cause.REJECTED.value: "the members said no to what you accused somebody of",
    Cause.UNPROVEN.value: "you accused somebody with proofs that do not hold",
}
"""What costs the own member points without another line that says so."""


def _score(member: Address, before: int, after: int, cause: str, context: Context) -> list[Told]:
    """Only what matters to people: when it crosses the threshold, and what the own member has lost by accusing."""
    view = context.now or context.before
    if view is None:
        return []
    threshold = view.policy.scoring.threshold
    whose = "Your score" if member == context.me else f"The score of {context.name(member)}"
    if (before <= threshold) != (after <= threshold):
        where = f"has fallen to {after}, at the threshold of" if after <= threshold else f"is {after} again, above"
        return [Told("quiet", Line(f"{whose} {where} {threshold}: {ended(cause)}"))]
    if member == context.me and cause in OWN_FAULTS:
        return [Told("quiet", Line(f"{whose} has fallen from {before} to {after}: {OWN_FAULTS[cause]}."))]
    return []


def _stewards(epoch: int, stewards: Iterable[Address], by_vote: bool, context: Context) -> list[Told]:
    """Lists that are drawn anew without a choice are told only if they name others."""
    listed_now = list(stewards)
    before = context.before
    if not listed_now or (not by_vote and before is not None and set(before.stewards) == set(listed_now)):
        return []
    names = listed(_you_or(one, context) for one in listed_now)
    are = "is" if len(listed_now) == 1 and listed_now[0] != context.me else "are"
    what = "the only steward" if len(listed_now) == 1 else "the stewards"
    how = "elected" if by_vote else "drawn by lot"
    return [Told("quiet", Line(f"{capital(names)} {are} {what} now, {how} (epoch {epoch}).", epoch=epoch))]


def _tell_of_proposal(event: Event, context: Context) -> list[Told]:
    def tell(text: str, proposal: ProposalId) -> list[Told]:
        is_quiet = context.kind(proposal) in BY_NODES
        return [Told("quiet" if is_quiet else "notice", Line(text, proposal=proposal))]

    match event:
        case ProposalOpened(proposal, owner):
            kind = context.kind(proposal)
            if kind is ProposalKind.LEAVE:
                return tell(f"{capital(_you_or(owner, context))} will leave with the next commit.", proposal)
            if kind is ProposalKind.RESYNC:
                who = capital(_you_or(owner, context))
                text = f"{who} could not follow the group any more, and comes back with a new key; it needs no vote."
                return [Told("quiet", Line(text, proposal=proposal))]
            if kind in BY_NODES:
                return tell(f"The nodes vote whether to {context.change(proposal)}.", proposal)
            is_sponsored = kind is ProposalKind.INVITE and context.proposals[proposal].sponsor is not None
            if is_sponsored or kind is ProposalKind.EMERGENCY:
                return tell(f"The vote is open whether to {context.change(proposal)}.", proposal)
            verb = "propose" if owner == context.me else "proposes"
            who = capital(_you_or(owner, context))
            return tell(f"{who} {verb} to {context.change(proposal)}.", proposal)
        case VoteRecorded(proposal, voter, yes) if voter == context.me and context.kind(proposal) not in BY_NODES:
            answer = "yes" if yes else "no"
            if not context.is_asked:
                is_emergency = context.kind(proposal) is ProposalKind.EMERGENCY
                why = "It has checked the proofs." if is_emergency else "This was agreed before."
                text = f"Your node votes to {context.change(proposal)}: {answer}. {why}"
                return [Told("quiet", Line(text, proposal=proposal))]
            return tell(f"Your vote to {context.change(proposal)}: {answer}. It is final.", proposal)
        case WentToAll(proposal, _):
            return tell(
                f"The stewards have not decided whether to {context.change(proposal)}. Now all members may vote.",
                proposal,
            )
        case ProposalDecided(proposal, approved, _, reason):
            kind = context.kind(proposal)
            if kind in (ProposalKind.LEAVE, ProposalKind.RESYNC) or (kind in BY_NODES and approved):
                return []  # its commit is told
            verdict = "Decided" if approved else "Decided not"
            return tell(f"{verdict} to {context.change(proposal)}. {reason}".rstrip(), proposal)
        case ProposalWithdrawn(proposal, reason):
            if context.kind(proposal) is ProposalKind.RESYNC:
                return []  # its owner asks again
            return tell(f"The proposal to {context.change(proposal)} was withdrawn: {ended(reason)}", proposal)
    return []


def _settled(event: Settled, context: Context) -> list[Told]:
    """Own joining and leaving have events of their own."""
    views = [view for proposal in event.carried if (view := context.proposals.get(proposal)) is not None]
    carried = {view.subject: view for view in views if view.kind in _OF_MEMBERS}
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
    at_once = [one for one in left if one in carried and carried[one].kind is ProposalKind.EMERGENCY]
    by_wish = [one for one in left if one not in by_vote and one not in at_once]
    for people, singular, plural in (
        (joined, "joined", "joined"),
        (by_vote, "was removed by vote", "were removed by vote"),
        (at_once, "was removed at once", "were removed at once"),
        (by_wish, "left", "left"),
    ):
        if people:
            verb = singular if len(people) == 1 else plural
            tell(f"{listed(name(one) for one in people)} {verb}", people[0] if len(people) == 1 else None)
    told += [
        Told("quiet", Line(f"{text} {epoch}.", epoch=event.epoch, proposal=view.proposal_id))
        for view in views
        if (text := _presence(view, context))
    ]
    committer = capital(_you_or(event.committer, context))
    attempt = f" at attempt {event.view + 1}" if event.view else ""
    if not event.joined and not event.left and not views:
        tell(f"{committer} made a commit{attempt}", None)
    elif attempt:
        told.append(Told("quiet", Line(f"{committer} made the commit{attempt} {epoch}.", epoch=event.epoch)))
    return told


_OF_MEMBERS = (ProposalKind.INVITE, ProposalKind.REMOVE, ProposalKind.LEAVE, ProposalKind.EMERGENCY)


def _presence(view: ProposalView, context: Context) -> str:
    who = capital(_you_or(view.subject, context))
    are = "are" if view.subject == context.me else "is"
    match view.kind:
        case ProposalKind.DORMANT:
            return f"{who} {are} counted no longer, until heard again"
        case ProposalKind.AWAKE:
            return f"{who} {are} counted again"
        case ProposalKind.RESYNC:
            return f"{who} {are} back with a new key"
        case _:
            return ""


def _you_or(address: Address, context: Context) -> str:
    return "you" if address == context.me else context.name(address)
