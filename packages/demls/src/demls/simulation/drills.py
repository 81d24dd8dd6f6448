"""The shortest counter-examples to simpler rules, as stories of small groups that a rule of the round must survive.

Each story is one schedule, built by hand: with the rules as they are it ends well, and without the rule that it is
about a promise breaks (``ablations.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from demls.protocol import settling
from demls.protocol.candidates import Candidates
from demls.protocol.commit_round import Phase
from demls.protocol.governance import Governance
from demls.protocol.items import Item
from demls.protocol.policy import MINUTE, SECOND
from demls.protocol.requests import Requests
from demls.protocol.round_host import Mint
from demls.protocol.step import Step
from demls.protocol.stewards import generate, settled_pool
from demls.protocol.sync import told_with
from demls.protocol.validation import State
from demls.protocol.views import ProposalStatus
from demls.simulation.drill import BY_SILENCE, BY_VOTES, Drill, Fate
from demls.simulation.world import Broken
from demls.wire.chain import Succession, succession_hash
from demls.wire.charters import Policy
from demls.wire.ids import Address, Epoch, Instant, View
from demls.wire.messages import (
    Change,
    Offer,
    Payload,
    Proposal,
    Remove,
    Settings,
    SettledCommit,
    Sync,
    Told,
    Vote,
    encode_message,
)
from demls.wire.statements import RoundStatement, StatementKind

ACK, LOCK = StatementKind.ACK, StatementKind.LOCK
ARRIVES, IS_LOST, WAITS = Fate.ARRIVES, Fate.IS_LOST, Fate.WAITS


@dataclass(frozen=True, slots=True)
class Tale:
    """``refutes``: the simpler rule that it is the counter-example to."""

    name: str
    refutes: str
    members: int
    play: Callable[[Drill], None]
    policy: Policy = BY_VOTES


def run_tale(tale: Tale) -> Broken | None:
    """Which promise does it break? None if it ends well."""
    drill = Drill(tale.members, tale.policy)
    with drill.patches:
        try:
            tale.play(drill)
            drill.end()
        except Broken as broken:
            drill.look.breaks(broken.promise, broken.detail)
    return drill.look.broken


def _renamed(drill: Drill, name: str) -> Change:
    """Other settings: a change that concerns no member."""
    charter = drill.state(drill.leaders[1]).charter
    return Settings(charter.digest, name, "", charter.policy)


def _votes_get_lost(sender: str, receiver: str, message: Payload) -> Fate:  # noqa: ARG001 - one form for all
    return IS_LOST if isinstance(message, Vote) else ARRIVES


def _is_of_round(message: Payload) -> bool:
    return not isinstance(message, Proposal | Vote)


def _is_offer(message: Payload, view: int) -> bool:
    return isinstance(message, Offer) and message.view == view


def _is_said(message: Payload, drill: Drill, name: str, kind: StatementKind) -> bool:
    """Is it this member's statement, whoever passes it on?"""
    if not isinstance(message, RoundStatement):
        return False
    return (message.member, message.kind) == (drill.world.nodes[name].address, kind)


# --- The phases ------------------------------------------------------------------------------------------------------


def _one_way_loss(drill: Drill) -> None:
    """Four of five acknowledge; only one of them gets all four acks, and nothing that it says gets out."""
    *_, lone = leaders = drill.leaders
    blind = leaders[1]

    def rules(sender: str, receiver: str, message: Payload) -> Fate:
        if sender == lone and _is_of_round(message):
            return IS_LOST
        return IS_LOST if receiver == blind and _is_offer(message, 0) else ARRIVES

    drill.world.rules = rules
    drill.decide(leaders, _renamed(drill, "others"))
    drill.run(MINUTE)


def _hide_the_first(drill: Drill, first: str, blind: str, late: frozenset[str] = frozenset()) -> None:
    """What the first leader locks is not heard, and ``blind`` never sees its candidate certified.

    The next candidate does not reach those in ``late``.
    """

    def rules(sender: str, receiver: str, message: Payload) -> Fate:
        if _is_said(message, drill, first, LOCK) or (sender == first and isinstance(message, SettledCommit)):
            return IS_LOST
        if receiver == blind and (_is_offer(message, 0) or _is_said(message, drill, first, ACK)):
            return IS_LOST
        return IS_LOST if receiver in late and _is_offer(message, 1) else ARRIVES

    drill.world.rules = rules


def _one_merges_alone(drill: Drill) -> None:
    """The first leader gets all locks and merges; nobody hears it, and the next leader never saw its candidate."""
    first, blind, *rest = drill.leaders
    _hide_the_first(drill, first, blind)
    drill.decide([blind, *rest, first], _renamed(drill, "others"))
    drill.run(MINUTE)


def _restart_with_a_lock(drill: Drill) -> None:
    """The same, and the two that are locked restart before they see the next candidate."""
    first, blind, *rest = drill.leaders
    _hide_the_first(drill, first, blind, frozenset(rest))
    drill.decide([blind, *rest, first], _renamed(drill, "others"))
    drill.until(lambda: all(drill.at(name).view == 1 for name in (blind, *rest)))
    drill.restart(*rest)
    _hide_the_first(drill, first, blind)
    drill.run(MINUTE)


def _refused_after_the_lock(drill: Drill) -> None:
    """Two are locked on an admission; then the others learn of votes against it and refuse it by their own view."""
    first, _, third, blind = drill.leaders
    guest = next(name for name, node in drill.world.nodes.items() if not node.is_member)

    def rules(sender: str, receiver: str, message: Payload) -> Fate:  # noqa: ARG001 - one form for all
        if isinstance(message, Vote):
            return WAITS
        if receiver == blind and _is_offer(message, 0):
            return IS_LOST
        is_ack = receiver in (third, blind) and _is_said(message, drill, first, ACK)
        return IS_LOST if is_ack else ARRIVES

    drill.world.rules = rules
    drill.ask(guest, first)
    drill.until(lambda: bool(drill.state(blind).governance.is_deciding()))
    proposal_id = drill.open_id(blind)
    for name in (third, blind):
        drill.vote(name, proposal_id, yes=False)
    drill.until(lambda: all(drill.at(name).phase is Phase.LOCKED for name in drill.leaders))
    assert [bool(drill.at(name).lock) for name in drill.leaders] == [True, True, False, False]
    drill.world.release()
    drill.run(MINUTE)


# --- Who leads, and what ----------------------------------------------------------------------------------------------


def _silent_steward(drill: Drill) -> None:
    """The only steward says nothing any more."""
    steward, *others = drill.leaders
    drill.corrupt(steward)
    drill.decide(others, _renamed(drill, "others"))
    drill.run(MINUTE)


def _two_orders(drill: Drill) -> None:
    """Two changes are proposed at once; half the members hear of one first, half of the other."""
    one, two, three, four = drill.leaders

    def rules(sender: str, receiver: str, message: Payload) -> Fate:
        is_crossing = {sender, receiver} not in ({one, three}, {two, four})
        return WAITS if isinstance(message, Proposal | Vote) and is_crossing else ARRIVES

    drill.world.rules = rules
    first = drill.propose(one, _renamed(drill, "others"))
    drill.run(1 * SECOND)
    second = drill.propose(two, Remove(drill.world.nodes[four].address))
    drill.run(1 * SECOND)
    drill.world.release()
    drill.run(1 * SECOND)
    for proposal_id in (first, second):
        for name in drill.leaders:
            drill.vote(name, proposal_id, yes=True)
    drill.run(MINUTE)


def _two_candidates(drill: Drill) -> None:
    """A bad leader offers one candidate to each half, and signs for both; the halves cannot hear each other."""
    bad, *honest = drill.leaders
    halves = honest[:2], honest[2:]
    drill.corrupt(bad)

    def rules(sender: str, receiver: str, message: Payload) -> Fate:
        is_cut = sender != bad and {sender, receiver} not in map(set, halves)
        return IS_LOST if is_cut and _is_of_round(message) else ARRIVES

    drill.world.rules = rules
    drill.decide(honest, _renamed(drill, "others"))
    drill.until(lambda: 0 in drill.state(bad).round.offers)
    state = drill.state(bad)
    offer = state.round.offers[View(0)]
    other = state.candidates.mint(View(0), Step(drill.world.clock.now, state.channel))
    assert isinstance(other, Mint)
    assert other.candidate.id != offer.candidate.id
    made = offer, drill.sign_offer(bad, replace(offer, candidate=other.candidate))
    for half, each in zip(halves, made, strict=True):
        drill.say(bad, each, half)
        for kind in StatementKind:
            drill.say(bad, drill.statement(bad, kind, 0, each.candidate.id), half)
    drill.run(MINUTE)


def _lost_refusals(drill: Drill) -> None:
    """Three of four vote against an admission, and the votes get lost; each hears of silence at the deadline."""
    guest = next(name for name, node in drill.world.nodes.items() if not node.is_member)
    drill.world.rules = _votes_get_lost
    drill.ask(guest, drill.leaders[0])
    drill.until(lambda: all(drill.state(name).governance.is_deciding() for name in drill.leaders))
    proposal_id = drill.open_id(drill.leaders[0])
    for name in drill.leaders[1:]:
        drill.vote(name, proposal_id, yes=False)
    drill.run(MINUTE)


def _censorship(drill: Drill) -> None:
    """The steward commits every change of settings, and never a certain removal."""
    bad, *others = drill.leaders
    node, work_for = drill.world.nodes[bad], Candidates.work_for
    node.is_adversary = True

    def settings_only(self: Candidates, member: Address, now: Instant) -> list[Item]:
        work = work_for(self, member, now)
        is_bad = member == node.address
        return [item for item in work if isinstance(item.change, Settings)] if is_bad else work

    drill.patch(Candidates, "work_for", settings_only)
    victim = drill.world.nodes[others[-1]]
    drill.decide([*others[:-1], bad], Remove(victim.address))
    end = drill.world.clock.now + MINUTE
    while victim.is_member and drill.world.clock.now < end:
        epoch = drill.state(others[0]).epoch
        drill.run(2 * SECOND)
        drill.decide([*others, bad], _renamed(drill, f"friends of epoch {epoch}"))
        drill.until(lambda before=epoch: drill.state(others[0]).epoch > before, MINUTE)  # type: ignore[misc]
    if victim.is_member:
        drill.look.breaks("P3", "a removal was approved for a minute, and other work was committed all the time")


def _other_list_for_joiners(drill: Drill) -> None:
    """A leader admits somebody, and tells the joiner of another steward list than the members have."""
    drill.decide(drill.leaders, _renamed(drill, "with stewards"))
    drill.run(MINUTE)
    drill.line_up()
    bad, *others = drill.leaders
    node, mint = drill.world.nodes[bad], Candidates.mint
    node.is_adversary = True
    false: dict[bytes, Succession] = {}

    def mint_falsely(self: Candidates, view: View, step: Step) -> Mint | None:
        if self._own_address != node.address:
            return mint(self, view, step)
        honest = self._make_sync

        def make_sync(time: Instant, _: bytes) -> Sync:
            work = drill.state(bad).candidates.work_for(node.address, step.now)
            follows = drill.state(bad).candidates.follow_own(work, view, time)
            assert follows is not None
            other = _with_another_list(drill, bad, follows)
            name = succession_hash(encode_message(other))
            false[name] = other
            return honest(time, name)

        self._make_sync = make_sync
        try:
            return mint(self, view, step)
        finally:
            self._make_sync = honest

    def tell_falsely(sync: Sync, ended: State, governance: Governance, requests: Requests, follows: Succession) -> Told:
        told = told_with(sync, ended, governance, requests, follows)
        is_own = governance is drill.state(bad).governance
        return replace(told, succession=false[sync.succession]) if is_own and sync.succession in false else told

    drill.patch(Candidates, "mint", mint_falsely)
    drill.patch(settling, "told_with", tell_falsely)
    guest = next(name for name, outside in drill.world.nodes.items() if not outside.is_member)
    drill.ask(guest, others[0])
    drill.until(lambda: all(drill.state(name).governance.is_deciding() for name in drill.leaders))
    proposal_id = drill.open_id(others[0])
    for name in drill.leaders:
        drill.vote(name, proposal_id, yes=True)
    drill.run(MINUTE)


def _with_another_list(drill: Drill, name: str, follows: Succession) -> Succession:
    """A list that was really drawn, only in another round."""
    state, listing = drill.state(name), follows.stewards
    epoch, size = Epoch(listing.election_epoch), len(listing.members)
    pool = settled_pool(state.roster.since(), epoch)
    drawn = (generate(pool, size, epoch, number, state.group_id) for number in range(1, 16))
    number, members = next((n, m) for n, m in enumerate(drawn, 1) if m != listing.members)
    return replace(follows, stewards=replace(listing, members=members, retry_round=number))


# --- Time, other branches --------------------------------------------------------------------------------------------


def _a_lone_third(drill: Drill) -> None:
    """One of three is cut off, and at the deadline it has heard nothing against what the two others refuse."""
    lone, *others = drill.leaders
    guest = next(name for name, node in drill.world.nodes.items() if not node.is_member)
    drill.ask(guest, lone)
    drill.until(lambda: all(drill.state(name).governance.is_deciding() for name in drill.leaders))
    drill.world.rules = lambda sender, receiver, _: ARRIVES if (sender == lone) == (receiver == lone) else IS_LOST
    proposal_id, epoch = drill.open_id(lone), drill.state(lone).epoch
    for name in others:
        drill.vote(name, proposal_id, yes=False)
    drill.decide(others, _renamed(drill, "the two of us"))
    drill.run(MINUTE)
    assert drill.state(lone).governance.items[proposal_id].status is not ProposalStatus.REJECTED
    assert all(drill.state(name).epoch > epoch for name in others)
    drill.end()
    if drill.world.nodes[guest].is_member:
        drill.look.breaks("P2", "one has admitted whom two of three refused")


def _a_covering_candidate(drill: Drill) -> None:
    """One has merged alone; the next leader, who never saw that, offers the same work and more."""
    first, blind, *rest = drill.leaders
    _hide_the_first(drill, first, blind)
    drill.decide([blind, *rest, first], _renamed(drill, "others"))
    drill.run(1 * SECOND)
    drill.decide([blind, *rest], Remove(drill.world.nodes[rest[-1]].address))
    drill.until(lambda: 1 in drill.state(blind).round.offers)
    state = drill.state(blind)
    assert drill.state(first).epoch > state.epoch
    assert len(state.candidates.entries(state.round.offers[View(1)].candidate.id)) == 2
    drill.run(MINUTE)


def _released_late(drill: Drill) -> None:
    """A leader's candidate, acks and locks arrive ten seconds late, when the others are a view further."""
    late, *others = drill.leaders
    is_late, epoch = True, drill.state(late).epoch

    def rules(sender: str, receiver: str, message: Payload) -> Fate:  # noqa: ARG001 - one form for all
        return WAITS if is_late and sender == late and _is_of_round(message) else ARRIVES

    drill.world.rules = rules
    drill.decide(others, _renamed(drill, "others"))
    drill.run(10 * SECOND)
    assert all(drill.state(name).epoch > epoch for name in others)
    is_late = False
    drill.world.release()
    drill.run(MINUTE)


def _a_false_branch(drill: Drill) -> None:
    """Somebody comes back, and a bad member tells of a commit of approved work that was never chosen."""
    bad, away, *others = drill.leaders
    drill.corrupt(bad)
    drill.world.rules = lambda sender, receiver, _: IS_LOST if away in (sender, receiver) and sender != bad else ARRIVES
    drill.decide([*others, bad], _renamed(drill, "others"))
    drill.until(lambda: 0 in drill.state(bad).round.offers)
    state = drill.state(bad)
    body = state.round.offers[View(0)].candidate
    proposals = tuple(item.proposal for item in state.governance.approved())
    for kind in StatementKind:
        locks = (drill.statement(bad, kind, 0, body.id),) * 3
        drill.say(bad, SettledCommit.of(state.epoch, state.state.head, body, 0, locks, proposals), [away])
    drill.run(MINUTE)
    if drill.state(away).epoch != state.epoch:
        drill.look.breaks("P1", "who came back has followed a commit without a certificate")


TALES: tuple[Tale, ...] = (
    Tale("a lone third", "silence and time settle", 3, _a_lone_third, BY_SILENCE),
    Tale(
        "a covering candidate",
        "more work is a better candidate, and what was merged is rolled back",
        4,
        _a_covering_candidate,
    ),
    Tale("released late", "the best candidate of a window wins", 7, _released_late),
    Tale("a false branch", "a commit of approved work proves itself", 4, _a_false_branch),
    Tale("one-way loss", "one phase is enough: merge on a quorum of acks", 5, _one_way_loss),
    Tale("one merges alone", "a lock may be forgotten when the view changes", 4, _one_merges_alone),
    Tale("restart with a lock", "acks and locks need not be durable", 4, _restart_with_a_lock),
    Tale(
        "refused after the lock",
        "the own view decides on certified candidates too",
        4,
        _refused_after_the_lock,
        BY_SILENCE,
    ),
    Tale("silent steward", "only stewards lead", 4, _silent_steward),
    Tale("two orders", "work stands in the order in which it came", 4, _two_orders),
    Tale("two candidates", "a simple majority is enough", 5, _two_candidates),
    Tale("lost refusals", "votes need not travel in acks", 4, _lost_refusals, BY_SILENCE),
    Tale("censorship", "a leader may leave out what it likes", 4, _censorship),
    Tale("another list for joiners", "what a joiner is told needs no check", 4, _other_list_for_joiners),
)
