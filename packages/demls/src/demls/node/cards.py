"""What does a proposal card say? What would change, by which rule it is decided, how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from demls_consensus import Share

from demls.api import models
from demls.node.policies import Agreed, Changed, differences, share_name
from demls.node.proofs import SHORT_ID_DIGITS, VIOLATIONS, proof_sentence
from demls.node.words import (
    called,
    capital,
    counted,
    duration_words,
    ended,
    joined,
    listed,
    points_words,
    time_words,
    times_words,
)
from demls.protocol.views import GroupView, ProposalKind, ProposalStatus, ProposalView
from demls.wire.charters import Policy, Rule
from demls.wire.ids import Address, Instant, ProposalId, address_text
from demls.wire.messages import Emergency
from demls.wire.violations import Violation

PHRASES_MAX = 4

NameOf = Callable[[Address], str]
Known = Mapping[ProposalId, tuple[Changed, ...]]
"""What settings proposals change, of those that were seen while they were open."""

BY_NODES = frozenset({ProposalKind.ELECTION, ProposalKind.DORMANT, ProposalKind.AWAKE})
"""Nothing to choose: nodes vote by themselves (LIP-104 §Consensus types, steward election)."""

NOTHING_KNOWN: Known = MappingProxyType({})


def person(address: Address, name_of: NameOf) -> models.Person:
    return models.Person(address=address_text(address), name=name_of(address))


def agreed(view: GroupView) -> Agreed:
    return Agreed(view.name, view.description, view.policy)


def proposal(
    view: ProposalView, now: Agreed, name_of: NameOf, known: Known = NOTHING_KNOWN, me: bytes = b""
) -> models.Proposal:
    """``now``: the group's settings. ``me``: whom an emergency calls “you”."""
    changes = what_changes(view, now, known)
    share = _share(view, now.policy)
    return models.Proposal(
        id=view.proposal_id.hex(),
        short_id=view.proposal_id.hex()[:SHORT_ID_DIGITS],
        kind=view.kind.value,
        title=title(view, now.policy.dormant_after, name_of, changes),
        subject=models.Person(address=address_text(view.subject), name=view.subject_name),
        asked_by=person(view.owner, name_of),
        sponsor=None if view.sponsor is None else person(view.sponsor, name_of),
        opened_at=view.opened_at,
        deadline=view.deadline,
        decided_by="stewards" if view.decided_by_stewards else "members",
        share=share_name(share.code),
        silence_is_yes=view.silence_is_yes,
        by_nodes=view.kind in BY_NODES,
        rule=rule_sentence(view, share),
        voters=view.voters,
        needed=view.needed,
        yes=view.yes,
        no=view.no,
        silent=view.silent,
        my_vote=view.my_vote,
        may_vote=view.may_vote and view.kind not in BY_NODES,
        status=view.status.value,
        result=result_sentence(view),
        epoch=view.epoch,
        stewards=[person(address, name_of) for address in view.stewards],
        retry_round=view.retry_round,
        differences=[one.shown for one in changes],
        violation="" if view.violation is None else VIOLATIONS[view.violation],
        removes=view.removes,
        emergency=None if view.emergency is None else emergency(view, view.emergency, now.policy, name_of, me),
    )


def what_changes(view: ProposalView, now: Agreed, known: Known) -> tuple[Changed, ...]:
    """Of a settings proposal; empty if it was carried out and nobody remembers what was before."""
    if view.settings is None:
        return ()
    if view.status in (ProposalStatus.OPEN, ProposalStatus.APPROVED) or view.proposal_id not in known:
        after = view.settings
        return differences(now, Agreed(after.name, after.description, after.policy))
    return known[view.proposal_id]


def title(
    view: ProposalView, dormant_after: int, name_of: NameOf, changes: tuple[Changed, ...], me: bytes = b""
) -> str:
    """What would change; with a small first letter it follows “to”. ``me``: whom to call “you”."""
    who = "you" if view.subject == me else called(view.subject, view.subject_name)
    match view.kind:
        case ProposalKind.INVITE:
            return f"Admit {who}"
        case ProposalKind.REMOVE:
            return f"Remove {who}"
        case ProposalKind.LEAVE:
            return f"{who} leaves"
        case ProposalKind.RESYNC:
            return f"Give {who} a new seat"
        case ProposalKind.ELECTION:
            names = [called(address, name_of(address)) for address in view.stewards]
            if len(names) == 1:
                return f"Elect {names[0]} as the only steward"
            return f"Elect the stewards {listed(names)}, in this order"
        case ProposalKind.SETTINGS:
            return _settings_title(changes)
        case ProposalKind.EMERGENCY:
            return _emergency_title(view, who)
        case ProposalKind.DORMANT:
            return f"Count {who} no longer: not heard for {duration_words(dormant_after) if dormant_after else 'long'}"
        case ProposalKind.AWAKE:
            return f"Count {who} again: heard once more"


def _emergency_title(view: ProposalView, who: str) -> str:
    what = "" if view.violation is None else VIOLATIONS[view.violation]
    if view.violation is Violation.DEADLOCK:
        return f"Note that {what}"
    if who == "you":
        what = what.replace("has ", "have ", 1).replace("its ", "your ", 1)
    return f"Remove {who} at once: {what}" if view.removes else f"Note that {who} {what}"


def emergency(
    view: ProposalView, asked: Emergency, policy: Policy, name_of: NameOf, me: bytes = b""
) -> models.Emergency:
    """Who accuses whom of what, with which proofs, and what comes of a yes and of a no."""
    is_deadlock = view.violation is Violation.DEADLOCK
    what = "" if view.violation is None else VIOLATIONS[view.violation]
    who = "you" if view.subject == me else called(view.subject, view.subject_name)
    if who == "you":
        what = what.replace("has ", "have ", 1).replace("its ", "your ", 1)
    accuser = "You" if view.owner == me else called(view.owner, name_of(view.owner))
    accuse = "accuse" if accuser == "You" else "accuses"
    sentence = f"{accuser} {accuse} {who}: {who} {what}." if not is_deadlock else f"{accuser} {_says(accuser)} {what}."
    cost = f"{accuser} {'lose' if accuser == 'You' else 'loses'} {points_words(policy.scoring.rejected)}"
    nodes_vote_at = Instant(view.opened_at + (view.deadline - view.opened_at) // 2)
    return models.Emergency(
        accuser=person(view.owner, name_of),
        accused=None if is_deadlock else models.Person(address=address_text(view.subject), name=view.subject_name),
        violation=what,
        proofs=[proof_sentence(one, capital(who), is_me=who == "you") for one in asked.proofs] or [_stuck(asked)],
        removes=view.removes,
        confirmed=view.is_confirmed,
        nodes_vote_at=nodes_vote_at,
        node_votes=view.may_vote and view.is_confirmed and (is_deadlock or view.subject != me),
        sentence=capital(sentence),
        yes=_meaning_of_yes(view, who, is_deadlock=is_deadlock),
        no=_meaning_of_no(view, who, cost, is_deadlock=is_deadlock),
        nodes=_nodes_sentence(view, nodes_vote_at, me),
    )


def _says(accuser: str) -> str:
    return "say that" if accuser == "You" else "says that"


def _stuck(asked: Emergency) -> str:
    views = {ack.view + 1 for ack in asked.stuck}
    attempt = f" at attempt {min(views)}" if views else ""
    return f"{counted(len(asked.stuck), 'member')} signed that no commit came{attempt}, past the last steward."


def _meaning_of_yes(view: ProposalView, who: str, *, is_deadlock: bool) -> str:
    if is_deadlock:
        return "It is noted. Nothing else changes: members lead in turn already."
    if view.removes:
        return f"{capital(who)} {'go' if who == 'you' else 'goes'} at once, with a commit that waits for nothing else."
    stay = "stay a member" if who == "you" else "stays a member"
    return f"It is noted, and every node scores it. {capital(who)} {stay}."


def _meaning_of_no(view: ProposalView, who: str, cost: str, *, is_deadlock: bool) -> str:
    if is_deadlock:
        return f"It is not noted, and {cost}."
    stay = "stay" if who == "you" else "stays"
    again = ", and nodes do not ask about the same acts again" if view.removes else ""
    return f"{capital(who)} {stay}{again}. {capital(cost)}."


def _nodes_sentence(view: ProposalView, at: Instant, me: bytes) -> str:
    """What nodes do by themselves while it is open; empty afterwards."""
    if view.status is not ProposalStatus.OPEN:
        return ""
    rule = (
        f"You may vote before: from {time_words(at, view.opened_at)} on, nodes that have confirmed all proofs say yes "
        "for people who have not voted."
    )
    if view.subject == me and view.violation is not Violation.DEADLOCK:
        return joined(rule, "Yours never does, since it is about you.")
    if view.is_confirmed:
        return joined(rule, "Yours has confirmed them.")
    return joined(rule, "Yours could not confirm them, so it leaves the vote to you.")


def _settings_title(changes: tuple[Changed, ...]) -> str:
    if not changes:
        return "Change the settings"
    phrases = [one.phrase for one in changes]
    if len(phrases) > PHRASES_MAX:
        phrases = [*phrases[:PHRASES_MAX], counted(len(phrases) - PHRASES_MAX, "more change")]
    words = ", ".join(phrases)
    is_deed = changes[0].shown.field in ("name", "description")
    return capital(words) if is_deed else f"Change the settings: {words}"


def _share(view: ProposalView, policy: Policy) -> Share:
    """The share by which it is decided, which may have been agreed anew since it was opened."""
    present = Share.from_code(_rule(view, policy).share)
    if not view.voters:
        return present
    fitting = (one for one in (present, Share.TWO_THIRDS, *Share) if one.needed(view.voters) == view.needed)
    return next(fitting, present)


def _rule(view: ProposalView, policy: Policy) -> Rule:
    match view.kind:
        case ProposalKind.INVITE:
            return policy.invite
        case ProposalKind.REMOVE:
            return policy.remove
        case ProposalKind.SETTINGS:
            return policy.settings
        case ProposalKind.EMERGENCY:
            return policy.emergency
        case _:
            return policy.election


def rule_sentence(view: ProposalView, share: Share = Share.TWO_THIRDS) -> str:
    """What decides this proposal, and what happens if nobody does anything."""
    if view.kind is ProposalKind.RESYNC:
        return "A new seat needs no vote: the member's wallet and its old key have both signed for it."
    if view.kind is ProposalKind.LEAVE:
        return "Leaving needs no vote; it happens with the next commit."
    who = "steward" if view.decided_by_stewards else "member"
    if view.voters == 1:
        return f"One {who} decides."
    share_words = f", {share.label} of the {who}s" if view.voters > 2 else ""
    count = f"Passes with {view.needed} of {view.voters} votes{share_words}"
    at = time_words(view.deadline, view.opened_at)
    what = f"silence counts as yes at {at}" if view.silence_is_yes else f"without them it is rejected at {at}"
    if view.decided_by_stewards:
        what = f"what they have not decided at {at} goes to all members"
    by_nodes = "Nodes vote on this by themselves." if view.kind in BY_NODES else ""
    tried = f"It was tried {times_words(view.retry_round)} before." if view.retry_round else ""
    return joined(f"{count}; {what}.", by_nodes, tried)


def result_sentence(view: ProposalView) -> str:
    """How it ended and why; empty while it is open. The core's reasons are whole sentences."""
    match view.status:
        case ProposalStatus.OPEN:
            return ""
        case ProposalStatus.APPROVED:
            return joined(view.reason or "Approved.", "The next commit carries it out.")
        case ProposalStatus.REJECTED:
            return view.reason or "Rejected."
        case ProposalStatus.NOTED:
            return joined(view.reason, _noted(view))
        case ProposalStatus.WITHDRAWN:
            return f"Withdrawn: {ended(view.reason)}" if view.reason else "Withdrawn."
        case ProposalStatus.COMMITTED:
            if view.removes and view.epoch is not None:
                gone = f"{called(view.subject, view.subject_name)} went with the commit of epoch {view.epoch}."
                return joined(view.reason, gone)
            carried = "Carried out." if view.epoch is None else f"Carried out by the commit of epoch {view.epoch}."
            return joined(view.reason, carried)


def _noted(view: ProposalView) -> str:
    if view.violation in (None, Violation.DEADLOCK):
        return "It is noted; there is nothing to commit."
    who = called(view.subject, view.subject_name)
    return f"It is noted: {who} stays a member, with a lower score. There is nothing to commit."
