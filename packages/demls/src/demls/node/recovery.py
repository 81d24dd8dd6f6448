"""How does a group help itself when its stewards do not commit? The layers of recovery as one sentence for people.

The stewards take turns by views (LIP-104 §Layer 1), new ones are elected (§Layer 2), and past the last steward every
member leads in turn (§Layer 3). All of it ends by itself, and the sentence with it.
"""

from __future__ import annotations

from collections.abc import Iterable

from demls.node.cards import NameOf
from demls.node.words import called, capital, counted, enumerated, listed
from demls.protocol.views import GroupStatus, GroupView, ProposalKind, ProposalStatus, ProposalView
from demls.wire.ids import Address


def recovery_sentence(view: GroupView, name_of: NameOf) -> str:
    """Who commits in whose place, and whether new stewards are being elected; empty while all is as it should be."""
    if view.status is not GroupStatus.MEMBER or view.is_halted:
        return ""
    instead = _instead(view, name_of)
    election = _election(view, is_told=bool(instead))
    sentence = "; ".join(filter(None, (instead, election)))
    return f"{capital(sentence)}." if sentence else ""


def _instead(view: GroupView, name_of: NameOf) -> str:
    """Who commits, if it is not the first steward's turn any more."""

    def name(address: Address) -> str:
        return called(address, name_of(address))

    at, stewards = view.round, frozenset(view.stewards)
    if not at.is_open:
        first = view.first_leader
        if first is None or not stewards or first in stewards:
            return ""
        return f"the stewards have let their turns pass; {name(first)}, a member, makes the next commit"
    if at.missing and at.short:
        return f"too few members are heard to make a commit, {waiting_words(at.missing, at.short, name_of)}"
    if at.leader is None:
        return ""
    leader = name(at.leader)
    if at.leader not in stewards:
        return f"the stewards are silent; {leader}, a member, commits in their place"
    if not at.passed:
        return ""
    if at.leader in at.passed or not stewards.issuperset(at.passed):
        return f"nobody whose turn came has made the commit so far; it is the turn of {leader}"
    have = "has" if len(at.passed) == 1 else "have"
    role = "backup steward" if at.leader == view.backup_steward else "next steward"
    return f"{listed(map(name, at.passed))} {have} not committed; {leader}, the {role}, does it instead"


def _election(view: GroupView, *, is_told: bool) -> str:
    """Whether there will be other stewards. ``is_told``: stewards have been spoken of."""
    elections = [one for one in view.proposals if one.kind is ProposalKind.ELECTION]
    others = "new ones" if is_told else "new stewards"
    if any(one.status is ProposalStatus.APPROVED for one in elections):
        return f"{others} are elected, and serve from the next commit on"
    going = [one.retry_round for one in elections if one.status is ProposalStatus.OPEN]
    if going:
        again = f" (round {max(going) + 1})" if max(going) else ""
        return f"the nodes are electing {others}{again}"
    if any(_was_last(one, view) for one in elections):
        tried = counted(view.policy.reelections_max + 1, "election")
        whom = "them" if is_told else "new stewards"
        return f"{tried} of {whom} came to nothing; the list goes round, and the next epoch brings another try"
    return ""


def _was_last(election: ProposalView, view: GroupView) -> bool:
    """Has the last election that the present epoch allows failed?"""
    is_present = election.opened_in == view.epoch and election.retry_round >= view.policy.reelections_max
    return is_present and election.status is ProposalStatus.REJECTED


def waiting_words(missing: Iterable[Address], short: int, name_of: NameOf) -> str:
    """For how many of whom a commit round waits: "waiting for 2 of: Ann, Ben, Cem"; empty if for nobody."""
    names = [called(one, name_of(one)) for one in missing]
    return f"waiting for {short} of: {enumerated(names)}" if names and short else ""
