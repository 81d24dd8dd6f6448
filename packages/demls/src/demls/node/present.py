"""How is a group shown to people? The core's views become the API's models, the rules become sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from demls.api import models
from demls.node import cards, keys, policies
from demls.node.cards import NOTHING_KNOWN, Known, NameOf, person
from demls.node.proofs import case_against, proven_sentences
from demls.node.recovery import recovery_sentence, waiting_words
from demls.node.rejoining import MOVED, rejoin_sentence
from demls.node.words import called, capital, counted, ended, joined, listed, time_words, times_words
from demls.protocol.policy import SCORE_HISTORY_KEPT
from demls.protocol.views import (
    GroupStatus,
    GroupView,
    MemberView,
    ProposalKind,
    ProposalStatus,
    ProposalView,
    RequestView,
    RoundView,
    ScoreEntry,
    SuccessorView,
)
from demls.wire.charters import Scoring
from demls.wire.ids import Address, Instant, address_text
from demls.wire.links import BadLink, parse_invite
from demls.wire.violations import Violation

HALTED = (
    "Governance rests: two different commits of one epoch were certified, so nobody can be admitted or removed any "
    "more. You can still talk; whoever founds a successor group lets people go on there."
)


@dataclass(frozen=True, slots=True)
class Connection:
    """What the node knows of its relay when a group is shown."""

    is_connected: bool
    is_caught_up: bool
    failure: str = ""
    """Why this group's work stands still on this node; empty if it does not."""
    is_resting: bool = False
    """It comes from a backup and is only shown."""


def group(
    scope: str, view: GroupView, name_of: NameOf, connection: Connection, known: Known = NOTHING_KNOWN
) -> models.Group:
    def some(address: Address | None) -> models.Person | None:
        return None if address is None else person(address, name_of)

    now = cards.agreed(view)
    return models.Group(
        id=scope,
        name=view.name,
        description=view.description,
        state=models.GroupState(view.status.value),
        preset=view.preset,
        policy=policies.shown(view.policy, view.counted),
        epoch=view.epoch,
        authenticator=view.authenticator.hex(),
        members=view.members,
        counted=view.counted,
        dormant=max(0, view.members - view.counted),
        stewards=[person(address, name_of) for address in in_turn(view)],
        epoch_steward=some(view.epoch_steward),
        backup_steward=some(view.backup_steward),
        stewards_until=view.stewards_until,
        stewards_sentence=stewards_sentence(view, name_of),
        proposals=[cards.proposal(one, now, name_of, known, view.own_address) for one in view.proposals],
        requests=[_request(one, name_of) for one in view.requests],
        round=commit_round(view.round, name_of),
        sync=sync(view, name_of, connection),
        halted=HALTED if view.is_halted else "",
        frozen=freeze_sentence(view),
        frozen_until=view.frozen_until,
        held=view.held,
        waiting=[_held(one, view, name_of) for one in view.waiting],
        recovery=recovery_sentence(view, name_of),
        deadlocked=is_deadlocked(view),
        introduction=introduction_sentence(view, name_of),
        rejoin=rejoin_sentence(view) or (connection.failure if connection.is_resting else ""),
        can_rejoin=view.is_stranded or connection.is_resting,
        stranded=view.is_stranded,
        fetching=fetching_sentence(view.fetching),
        successors=[_successor(one, view.own_address, name_of) for one in view.successors],
    )


def fetching_sentence(count: int) -> str:
    """That the history is not whole yet; empty if nothing is missing."""
    if not count:
        return ""
    return "A message is being fetched." if count == 1 else f"{count:,} messages are being fetched."


def introduction_sentence(view: GroupView, name_of: NameOf) -> str:
    """Who has to be heard before this is known to be the group that one was invited to; empty if nobody."""
    if view.introducer is None:
        return ""
    who = called(view.introducer, name_of(view.introducer))
    return (
        f"{who}, whose link you used, was not heard here yet. Until then compare the authenticator with {who}, "
        "by phone for example, before you trust this group."
    )


def frozen_sentence(until: Instant | None) -> str:
    """What waits while an emergency is decided; empty if none is."""
    if until is None:
        return ""
    at = time_words(until, until)
    return (
        f"An emergency is being decided: elections and other proposals wait until it is, at the latest until {at}. "
        "Chat, open votes and leaving go on."
    )


def freeze_sentence(view: GroupView) -> str:
    """Why something waits, what, and until when at most; empty if nothing does."""
    if view.frozen_until is None:
        return ""
    mine = sum(1 for one in view.waiting if one.owner == view.own_address)
    own = "" if not mine else ", yours" if mine == view.held == 1 else f", {mine} of them yours"
    are = "waits" if view.held == 1 else "wait"
    so_far = f"{counted(view.held, 'proposal')} {are} so far{own}." if view.held else ""
    return joined(frozen_sentence(view.frozen_until), so_far)


def _held(one: ProposalView, view: GroupView, name_of: NameOf) -> models.Held:
    changes = cards.what_changes(one, cards.agreed(view), NOTHING_KNOWN)
    is_mine = one.owner == view.own_address
    who = "You propose" if is_mine else f"{called(one.owner, name_of(one.owner))} proposes"
    for_what = "the commit that is due" if one.kind is ProposalKind.EMERGENCY else "the emergency to be decided"
    return models.Held(
        id=one.proposal_id.hex(),
        kind=one.kind.value,
        title=cards.title(one, view.policy.dormant_after, name_of, changes),
        asked_by=person(one.owner, name_of),
        is_mine=is_mine,
        sentence=f"{who} it; it waits for {for_what}, and is opened then by itself.",
    )


def is_deadlocked(view: GroupView) -> bool:
    """Have all stewards had their turns in the round under way, although enough are heard, and is nobody asked yet?"""
    is_heard = view.round.is_open and not view.round.short
    has_passed = is_heard and bool(view.stewards) and frozenset(view.stewards) <= set(view.round.passed)
    is_asked = any(one.violation is Violation.DEADLOCK and one.status is ProposalStatus.OPEN for one in view.proposals)
    return has_passed and not is_asked


def in_turn(view: GroupView) -> list[Address]:
    """The stewards in the order of turns, the epoch steward first."""
    listed_ = list(view.stewards)
    if view.epoch_steward not in listed_:
        return listed_
    start = listed_.index(view.epoch_steward)
    return listed_[start:] + listed_[:start]


def stewards_sentence(view: GroupView, name_of: NameOf) -> str:
    """Who makes the commits, and for how long; empty if there is nobody to name."""
    names = [called(address, name_of(address)) for address in in_turn(view)]
    if not names or view.stewards_until is None:
        return ""
    who = f"{names[0]} is the only steward" if len(names) == 1 else f"{listed(names)} take turns, in this order"
    if view.epoch <= view.stewards_until:
        return f"{who}; the list serves until epoch {view.stewards_until}."
    return f"{who}; the list is used up since epoch {view.stewards_until} and goes round until there is a new one."


def _request(view: RequestView, name_of: NameOf) -> models.JoinRequest:
    who = called(view.address, view.name)
    by = "" if view.sponsor is None else f", with an invite link of {called(view.sponsor, name_of(view.sponsor))}"
    rest = (
        " that is open to anybody. There is no vote until a member answers for the person."
        if view.needs_sponsor
        else ". The vote opens by itself."
    )
    return models.JoinRequest(
        id=view.request_id.hex(),
        person=models.Person(address=address_text(view.address), name=view.name),
        sponsor=None if view.sponsor is None else person(view.sponsor, name_of),
        received_at=view.received_at,
        needs_sponsor=view.needs_sponsor,
        sentence=f"{who} asks to join{by}{rest}",
    )


def _successor(view: SuccessorView, me: Address, name_of: NameOf) -> models.Successor:
    try:
        group_id = parse_invite(view.link).group_id.hex() if view.link else None
    except BadLink:
        group_id = None
    return models.Successor(
        founder=person(view.founder, name_of),
        name=view.name,
        invited=group_id is not None,
        group=group_id,
        sentence=successor_sentence(view.founder, view.name, me, name_of, is_invited=group_id is not None),
    )


def successor_sentence(founder: Address, name: str, me: Address, name_of: NameOf, *, is_invited: bool) -> str:
    """What a notice of a successor group says."""
    what = f"“{name}”, a group that goes on from this one" if name else "a group that goes on from this one"
    if founder == me:
        return f"You founded {what}."
    who = called(founder, name_of(founder))
    return f"{who} founded {what}; you are {'invited' if is_invited else 'not invited'}."


def joining(
    scope: str, name: str, refused: str | None, arriving: tuple[int, int] | None, connection: Connection
) -> models.Group:
    """A group that was asked for admission and has not answered, or has refused, or whose welcome is ``arriving``."""
    if arriving is not None:
        received, parts = arriving
        state = models.GroupState.ASKING
        sentence = f"You are admitted. What you need to read along is arriving: {received} of {parts} parts are here."
    elif refused is None:
        state, sentence = models.GroupState.ASKING, "You have asked to join. The members decide; nothing to do for now."
    else:
        state, sentence = models.GroupState.REFUSED, f"You were not admitted. {ended(refused)}"
    return models.Group(
        id=scope,
        name=name,
        description="",
        state=state,
        preset="",
        policy=None,
        epoch=0,
        authenticator="",
        members=0,
        counted=0,
        dormant=0,
        stewards=[],
        epoch_steward=None,
        backup_steward=None,
        stewards_until=None,
        stewards_sentence="",
        proposals=[],
        requests=[],
        round=commit_round(_NO_ROUND, lambda _: ""),
        sync=_trouble(connection)
        or models.Sync(
            state="waiting", sentence=sentence, share=None if arriving is None else arriving[0] / arriving[1]
        ),
        halted="",
        frozen="",
        frozen_until=None,
        held=0,
        waiting=[],
        recovery="",
        deadlocked=False,
        introduction="",
        rejoin="",
        can_rejoin=False,
        stranded=False,
        fetching="",
        successors=[],
    )


def summary(shown: models.Group, last_entry: models.TimelineEntry | None, last_id: int = 0) -> models.GroupSummary:
    open_ones = [one for one in shown.proposals if one.status == "open"]
    return models.GroupSummary(
        id=shown.id,
        name=shown.name,
        state=shown.state,
        members=shown.members,
        open_proposals=len(open_ones),
        my_votes_needed=sum(1 for one in open_ones if one.may_vote and one.my_vote is None),
        last_entry=last_entry,
        last_id=last_id,
        requests=sum(1 for one in shown.requests if one.needs_sponsor),
        halted=bool(shown.halted),
        frozen=bool(shown.frozen),
    )


def members(
    views: Iterable[MemberView],
    backup_steward: str | None,
    scoring: Scoring,
    proposals: Sequence[ProposalView] = (),
    now: Instant | None = None,
) -> list[models.Member]:
    """``proposals``: of the group, to know what is being decided about somebody already.

    ``now``: to say how old keys are.
    """
    return [_member(one, backup_steward, scoring, proposals, now) for one in views]


def _member(
    view: MemberView,
    backup_steward: str | None,
    scoring: Scoring,
    proposals: Sequence[ProposalView],
    now: Instant | None,
) -> models.Member:
    case = case_against(view, proposals, scoring)
    accusation: Literal["", "remove", "note"] = ""
    if case.emergency is not None:
        is_removal = case.emergency.violation_type == Violation.SCORE_BELOW_THRESHOLD
        accusation = "remove" if is_removal else "note"
    return models.Member(
        address=address_text(view.address),
        name=view.name,
        device=view.device,
        role=_role(view, backup_steward),
        is_me=view.is_self,
        removal_pending=view.removal_pending,
        dormant=view.is_dormant,
        lost_turn=view.lost_turn,
        remarks=[*_remarks(view), *keys.remarks(view, now)],
        score=view.score,
        score_history=[
            models.ScoreMove(cause=move.cause, points=move.points, epoch=move.epoch, after=after)
            for move, after in zip(view.score_history, _course(view, scoring.start), strict=True)
        ],
        score_sentence=score_sentence(view, scoring.start),
        proofs=proven_sentences(view),
        accusation=accusation,
        accusation_sentence=case.sentence if view.proven and not view.is_self else "",
        keys_epoch=view.keys_epoch,
        keys_at=view.keys_at,
        keys_sentence=keys.sentence(view, now),
    )


def _course(view: MemberView, start: int) -> list[int]:
    """How much the score was after each move: from a newcomer's on, or back from now if moves have been forgotten.

    The points that come back with time have no move, so it is only about right.
    """
    points = [move.points for move in view.score_history]
    begin = start if len(points) < SCORE_HISTORY_KEPT else view.score - sum(points)
    return list(accumulate(points, initial=begin))[1:]


def score_sentence(view: MemberView, start: int) -> str:
    """Why does somebody have this score? Moves of one cause are told together, in the order in which they began."""
    who = "You have" if view.is_self else f"{called(view.address, view.name)} has"
    causes: dict[str, list[ScoreEntry]] = {}
    for move in view.score_history:
        causes.setdefault(move.cause, []).append(move)
    told = [_moves_words(cause, moves) for cause, moves in causes.items()]
    rest = view.score - start - sum(move.points for move in view.score_history)
    told += [f"what is longer ago, and time without a fault: {rest:+d}"] if rest else []
    if not told:
        return f"{who} {view.score} points, as every newcomer has."
    return f"{who} {view.score} points; a newcomer has {start}. Since then: {'; '.join(told)}."


def _moves_words(cause: str, moves: list[ScoreEntry]) -> str:
    points = sum(move.points for move in moves)
    often = f" {times_words(len(moves))}, last" if len(moves) > 1 else ""
    return f"{cause}{often} in epoch {moves[-1].epoch}: {points:+d}"


def _remarks(view: MemberView) -> list[str]:
    remarks = ["counted no longer until heard again"] if view.is_dormant else []
    return [*remarks, "lost its turn, leads last for a while"] if view.lost_turn else remarks


_NO_ROUND = RoundView(False, 0, None, 0, 0, (), 0, leader_is_steward=False)


def commit_round(view: RoundView, name_of: NameOf) -> models.Round:
    return models.Round(
        open=view.is_open,
        view=view.view,
        leader=None if view.leader is None else person(view.leader, name_of),
        leader_is_steward=view.leader_is_steward,
        needed=view.needed,
        heard=view.heard,
        missing=[person(address, name_of) for address in view.missing],
        short=view.short,
        waiting=waiting_words(view.missing, view.short, name_of) if view.is_open else "",
        sentence=round_sentence(view, name_of),
    )


def round_sentence(view: RoundView, name_of: NameOf) -> str:
    """What the commit round is doing; empty while none is under way."""
    if not view.is_open:
        return ""
    waiting = waiting_words(view.missing, view.short, name_of)
    heard = (
        f"The commit round is {waiting}."
        if waiting
        else f"{view.heard} of the {view.needed} needed members have answered."
    )
    attempt = f" (attempt {view.view + 1})" if view.view else ""
    if view.leader is None:
        return f"A commit of what was approved is under way{attempt}. {heard}"
    who = called(view.leader, name_of(view.leader))
    if view.leader_is_steward:
        return f"{capital(who)} is committing what was approved{attempt}. {heard}"
    return f"The stewards are silent; {who} commits in their place. {heard}"


def sync(view: GroupView, name_of: NameOf, connection: Connection) -> models.Sync:
    """Am I in sync?"""
    past = {
        GroupStatus.REMOVED: "You were removed from this group; you can read what was written before.",
        GroupStatus.LEFT: "You left this group; you can read what was written before.",
        GroupStatus.CLOSED: "This group is closed: its last member left.",
        GroupStatus.MOVED: MOVED,
    }
    if view.status in past:
        return models.Sync(state="waiting", sentence=past[view.status])
    trouble = _trouble(connection)
    if trouble is not None:
        return trouble
    waiting = rejoin_sentence(view)
    if waiting:
        return models.Sync(state="waiting", sentence=waiting)
    if view.is_halted:
        return models.Sync(state="waiting", sentence=HALTED)
    if view.round.is_open and view.round.missing:
        return models.Sync(state="waiting", sentence=round_sentence(view.round, name_of))
    return models.Sync(state="in sync", sentence=f"You are in sync, in epoch {view.epoch}.")


def _trouble(connection: Connection) -> models.Sync | None:
    if connection.failure:
        return models.Sync(state="offline", sentence=connection.failure)
    if not connection.is_connected:
        return models.Sync(
            state="offline",
            sentence="The relay cannot be reached. What you send is kept and goes out when it is back.",
        )
    if not connection.is_caught_up:
        return models.Sync(state="catching up", sentence="Reading what happened while this node was away.")
    return None


def _role(
    view: MemberView, backup_steward: str | None
) -> Literal["epoch steward", "backup steward", "steward", "member"]:
    if view.is_epoch_steward:
        return "epoch steward"
    if address_text(view.address) == backup_steward:
        return "backup steward"
    return "steward" if view.is_steward else "member"
