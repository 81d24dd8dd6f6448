"""How is a group shown to people? The core's views become the API's models, the rules become sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from demls.api import models
from demls.protocol.policy import DAY, HOUR, MINUTE, PRESETS, SECOND
from demls.protocol.views import (
    GroupStatus,
    GroupView,
    MemberView,
    ProposalKind,
    ProposalStatus,
    ProposalView,
    RoundView,
)
from demls.wire.ids import Address, address_text
from demls.wire.messages import Policy, Rule

SHORT_ID_DIGITS = 8

NameOf = Callable[[Address], str]


@dataclass(frozen=True, slots=True)
class Connection:
    """What the node knows of its relay when a group is shown."""

    is_connected: bool
    is_caught_up: bool
    failure: str = ""
    """Why this group's work stands still on this node; empty if it does not."""


def called(address: Address, name: str) -> str:
    """How sentences name somebody."""
    return name or f"{address_text(address)[:8]}…"


def person(address: Address, name_of: NameOf) -> models.Person:
    return models.Person(address=address_text(address), name=name_of(address))


def group(scope: str, view: GroupView, name_of: NameOf, connection: Connection) -> models.Group:
    def some(address: Address | None) -> models.Person | None:
        return None if address is None else person(address, name_of)

    return models.Group(
        id=scope,
        name=view.name,
        description=view.description,
        state=models.GroupState(view.status.value),
        preset=view.preset,
        policy=policy_sentences(PRESETS[view.preset]) if view.preset in PRESETS else [],
        epoch=view.epoch,
        authenticator=view.authenticator.hex(),
        members=view.members,
        stewards=[person(address, name_of) for address in view.stewards],
        epoch_steward=some(view.epoch_steward),
        backup_steward=some(view.backup_steward),
        proposals=[proposal(one, name_of) for one in view.proposals],
        requests=[
            models.JoinRequest(
                id=one.request_id.hex(),
                person=models.Person(address=address_text(one.address), name=one.name),
                sponsor=some(one.sponsor),
                received_at=one.received_at,
            )
            for one in view.requests
        ],
        round=commit_round(view.round, name_of),
        sync=sync(view, name_of, connection),
    )


def joining(scope: str, name: str, refused: str | None, connection: Connection) -> models.Group:
    """A group that was asked for admission and has not answered, or has refused."""
    if refused is None:
        state, sentence = models.GroupState.ASKING, "You have asked to join. The members decide; nothing to do for now."
    else:
        state, sentence = models.GroupState.REFUSED, f"You were not admitted. {_ended(refused)}"
    return models.Group(
        id=scope,
        name=name,
        description="",
        state=state,
        preset="",
        policy=[],
        epoch=0,
        authenticator="",
        members=0,
        stewards=[],
        epoch_steward=None,
        backup_steward=None,
        proposals=[],
        requests=[],
        round=models.Round(open=False, view=0, leader=None, needed=0, heard=0, missing=[], sentence=""),
        sync=_trouble(connection) or models.Sync(state="waiting", sentence=sentence),
    )


def summary(shown: models.Group, last_entry: models.TimelineEntry | None) -> models.GroupSummary:
    open_ones = [one for one in shown.proposals if one.status == "open"]
    return models.GroupSummary(
        id=shown.id,
        name=shown.name,
        state=shown.state,
        members=shown.members,
        open_proposals=len(open_ones),
        my_votes_needed=sum(1 for one in open_ones if one.may_vote and one.my_vote is None),
        last_entry=last_entry,
    )


def members(views: Iterable[MemberView], backup_steward: str | None) -> list[models.Member]:
    return [
        models.Member(
            address=address_text(one.address),
            name=one.name,
            device=one.device,
            role=_role(one, backup_steward),
            is_me=one.is_self,
            removal_pending=one.removal_pending,
        )
        for one in views
    ]


def proposal(view: ProposalView, name_of: NameOf) -> models.Proposal:
    who = called(view.subject, view.subject_name)
    titles = {
        ProposalKind.INVITE: f"Admit {who}",
        ProposalKind.REMOVE: f"Remove {who}",
        ProposalKind.LEAVE: f"{who} leaves",
    }
    return models.Proposal(
        id=view.proposal_id.hex(),
        short_id=view.proposal_id.hex()[:SHORT_ID_DIGITS],
        kind=view.kind.value,
        title=titles[view.kind],
        subject=models.Person(address=address_text(view.subject), name=view.subject_name),
        asked_by=person(view.owner, name_of),
        sponsor=None if view.sponsor is None else person(view.sponsor, name_of),
        opened_at=view.opened_at,
        deadline=view.deadline,
        silence_is_yes=view.silence_is_yes,
        rule=rule_sentence(view),
        voters=view.voters,
        needed=view.needed,
        yes=view.yes,
        no=view.no,
        silent=view.silent,
        my_vote=view.my_vote,
        may_vote=view.may_vote,
        status=view.status.value,
        result=result_sentence(view),
        epoch=view.epoch,
    )


def rule_sentence(view: ProposalView) -> str:
    """What decides this proposal, and what happens if nobody does anything."""
    if view.kind is ProposalKind.LEAVE:
        return "Leaving needs no vote; it happens with the next commit."
    if view.voters == 1:
        return "You are the only member; your vote decides."
    count = f"Passes with {view.needed} of {view.voters}"
    if view.silence_is_yes:
        return f"{count}; silence counts as yes when the time is up."
    return f"{count}; without them it is rejected when the time is up."


def result_sentence(view: ProposalView) -> str:
    """How it ended and why; empty while it is open. The core's reasons are whole sentences."""
    match view.status:
        case ProposalStatus.OPEN:
            return ""
        case ProposalStatus.APPROVED:
            return _joined(view.reason or "Approved.", "The next commit carries it out.")
        case ProposalStatus.REJECTED:
            return view.reason or "Rejected."
        case ProposalStatus.WITHDRAWN:
            return f"Withdrawn: {_ended(view.reason)}" if view.reason else "Withdrawn."
        case ProposalStatus.COMMITTED:
            carried = "Carried out." if view.epoch is None else f"Carried out by the commit of epoch {view.epoch}."
            return _joined(view.reason, carried)


def commit_round(view: RoundView, name_of: NameOf) -> models.Round:
    return models.Round(
        open=view.is_open,
        view=view.view,
        leader=None if view.leader is None else person(view.leader, name_of),
        needed=view.needed,
        heard=view.heard,
        missing=[person(address, name_of) for address in view.missing],
        sentence=round_sentence(view, name_of),
    )


def round_sentence(view: RoundView, name_of: NameOf) -> str:
    """What the commit round is doing; empty while none is under way."""
    if not view.is_open:
        return ""
    if view.missing:
        return (
            f"The commit round waits for {listed(called(one, name_of(one)) for one in view.missing)}: "
            f"{view.heard} of the {view.needed} needed members have answered."
        )
    who = "A steward" if view.leader is None else called(view.leader, name_of(view.leader))
    attempt = f" (attempt {view.view + 1})" if view.view else ""
    return f"{who} is committing what was approved{attempt}: {view.heard} of {view.needed} have answered."


def sync(view: GroupView, name_of: NameOf, connection: Connection) -> models.Sync:
    """Am I in sync?"""
    past = {
        GroupStatus.REMOVED: "You were removed from this group; you can read what was written before.",
        GroupStatus.LEFT: "You left this group; you can read what was written before.",
        GroupStatus.CLOSED: "This group is closed: its last member left.",
    }
    if view.status in past:
        return models.Sync(state="waiting", sentence=past[view.status])
    trouble = _trouble(connection)
    if trouble is not None:
        return trouble
    if view.round.is_open and view.round.missing:
        return models.Sync(state="waiting", sentence=round_sentence(view.round, name_of))
    return models.Sync(state="in sync", sentence=f"You are in sync, in epoch {view.epoch}.")


def policy_sentences(policy: Policy) -> list[str]:
    """What the group has agreed."""
    return [
        f"Who is admitted: {_rule_words(policy.invite)}",
        f"Who is removed: {_rule_words(policy.remove)}",
        "Leaving needs no vote.",
        f"{policy.stewards_min} to {policy.stewards_max} stewards take turns in making the commits; all members check.",
    ]


def duration_words(milliseconds: int) -> str:
    """A duration in the largest unit that divides it."""
    for unit, word in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second")):
        if milliseconds >= unit and milliseconds % unit == 0:
            count = milliseconds // unit
            return f"{count} {word}" + ("s" if count != 1 else "")
    return f"{milliseconds} milliseconds"


def listed(names: Iterable[str], most: int = 5) -> str:
    """Names in a sentence; more than ``most`` are counted."""
    names = list(names)
    if len(names) > most:
        names = [*names[:most], f"{len(names) - most} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _rule_words(rule: Rule) -> str:
    silence = "then, with more than two members, silence counts as yes" if rule.silence_is_yes else "silence is no yes"
    return f"two thirds of the members vote yes within {duration_words(rule.duration)}; {silence}."


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


def _ended(reason: str) -> str:
    reason = reason.strip()
    return reason if reason.endswith((".", "!", "?")) else f"{reason}."


def _joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
