"""Which rules does the round need? Each can be switched off here, and then a promise breaks.

An ablation patches the core while a context lasts: ``with without("the second phase"): simulate(7)``. ``tale`` is the
story (``drills.py``) in which its promise breaks for certain; most break in random seeds too (``search``).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from demls.protocol import candidates, settling, sync
from demls.protocol.candidates import Candidates
from demls.protocol.checks import Verdict
from demls.protocol.commit_round import _FROM, NIL, Phase, Round
from demls.protocol.committee import Committee
from demls.protocol.duties import Duties
from demls.protocol.items import Item
from demls.protocol.profile import DEMLS, PROFILES
from demls.protocol.roster import Roster
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.protocol.stewards import StewardList
from demls.protocol.validation import Content, Finding, check_consent, check_content
from demls.simulation import ablations_group as group
from demls.simulation.run import Outcome, simulate
from demls.wire.chain import LostTurn
from demls.wire.ids import Address, Duration, Epoch, Head, Instant, View
from demls.wire.messages import (
    Proposal,
    SettledCommit,
)
from demls.wire.statements import Locks, StatementKind

Patches = Iterable[tuple[object, Any, object]]
"""(where, name, what stands there instead)"""


@dataclass(frozen=True, slots=True)
class Ablation:
    """``off``: what is switched off; ``promise``: what breaks first; ``tale``: where it surely does."""

    name: str
    off: str
    promise: str
    tale: str
    patches: Callable[[], Patches]
    members: int | None = None
    """Of random groups in which it shows soonest."""
    profile: str = "plain"
    """Of their worlds."""
    seed: int | None = None
    """One of 1 to 500 that, with these members in this profile, breaks a promise without the rule: tried first."""


SEEDS = 500
"""In so many random lives every rule that has a seed shows that it is needed."""


@contextmanager
def without(name: str) -> Iterator[Ablation]:
    """The core lacks this rule as long as the context lasts; for one process, and one at a time."""
    ablation = ABLATIONS[name]
    with ExitStack() as stack:
        for place, attribute, value in ablation.patches():
            if isinstance(place, dict):
                stack.enter_context(patch.dict(place, {attribute: value}))
            else:
                stack.enter_context(patch.object(place, attribute, value))
        yield ablation


def run_without(
    name: str,
    seeds: Iterable[int],
    *,
    members: int | None = None,
    engine: str | None = "model",
    profile: str | None = None,
    trace: bool = False,
) -> Generator[Outcome]:
    """Random seeds without the rule, one after the other; by default in the profile and size of the rule."""
    with without(name) as ablation:
        members, profile = members or ablation.members, profile or ablation.profile
        for seed in seeds:
            yield simulate(seed, members=members, engine=engine, profile=profile, trace=trace)


def search(name: str, seeds: Iterable[int], members: int | None = None) -> Outcome | None:
    """The first of these random seeds that breaks a promise without the rule; None if none does."""
    outcomes = run_without(name, seeds, members=members)
    with closing(outcomes):
        return next((outcome for outcome in outcomes if outcome.promise), None)


def shown_by(name: str, upto: int = SEEDS) -> Outcome | None:
    """A random life that breaks a promise without the rule and keeps all with it; None if no seed from 1 on does.

    The stored seed is tried first. Lives are drawn anew when the core says one message more or fewer, so it may have
    become another one.
    """
    ablation = ABLATIONS[name]
    first = () if ablation.seed is None else (ablation.seed,)
    for seed in (*first, *range(1, upto + 1)):
        [without_it] = run_without(name, [seed])
        if without_it.promise.startswith("P"):
            with_it = simulate(seed, members=ablation.members, engine="model", profile=ablation.profile)
            if not with_it.promise:
                return without_it
    return None


# --- The second phase -------------------------------------------------------------------------------------------------


def _settle_on_acks(self: Round, step: Step) -> bool:
    for view, said in self._acks.items():
        for candidate, count in said.named.items():
            body = self.candidates.get(candidate)
            if body is not None and count >= self._host.quorum(candidate):
                self._host.settle(body, view, self.supporters(StatementKind.ACK, view, candidate), step)
                return True
    return False


def _is_certified_by_acks(locks: Locks, *, quorum: int, **_: object) -> bool:
    """Acks, whose votes do not stand in a certificate, are taken as they come."""
    return len(set(locks.signers)) >= quorum


def _second_phase() -> Patches:
    yield Round, "_settle", _settle_on_acks
    yield settling, "is_certified", _is_certified_by_acks
    yield sync, "is_certified", _is_certified_by_acks


# --- Locks ------------------------------------------------------------------------------------------------------------


def _own_view_decides(self: Round, step: Step) -> bool:
    if not _IS_ACCEPTABLE(self, step):
        return False
    offer = self.offers[View(self.at.view)]
    return self._judge_fresh(offer.candidate, step) is Verdict.VALID


def _override() -> Patches:
    of_waiting = tuple(
        replace(transition, guard=_own_view_decides) if transition.guard is _IS_ACCEPTABLE else transition
        for transition in _FROM[Phase.WAITING]
    )
    yield Round, "is_acceptable", _own_view_decides
    yield _FROM, Phase.WAITING, of_waiting


def _enter_without_lock(self: Round, view: View, step: Step) -> None:
    _ENTER(self, view, step)
    self.at.lock, self.at.lock_view = NIL, -1


def _load_without_own(self: Round, now: Instant) -> None:
    """What the own member said and is locked on is forgotten; what others said is not."""
    _LOAD(self, now)
    for said in (*self._acks.values(), *self._locks.values()):
        own = said.by_member.pop(self._own, None)
        if own is not None:
            said.named[own.candidate] -= 1  # type: ignore[index]
    self.at.lock, self.at.lock_view = NIL, -1
    if self.at.phase is not Phase.IDLE:
        self.at.phase = Phase.WAITING


_IS_ACCEPTABLE, _ENTER, _LOAD = Round.is_acceptable, Round._enter, Round.load


# --- Who leads --------------------------------------------------------------------------------------------------------


def _stewards_only(
    stewards: StewardList, roster: Roster, epoch: Epoch, head: Head, lost: tuple[LostTurn, ...]
) -> tuple[Address, ...]:
    return stewards.rotated(epoch, roster) or DEMLS.leaders(stewards, roster, epoch, head, lost)


def _rank(self: Duties) -> int | None:
    order = self._state.state.leaders
    return order.index(self._state.own) if self._state.own in order else None


def _members_lead() -> Patches:
    yield PROFILES, DEMLS.name, replace(DEMLS, leaders=_stewards_only)
    yield Duties, "_rank", _rank


# --- Content ----------------------------------------------------------------------------------------------------------


def _no_patience(*args: Any) -> Finding | None:
    content, items, approved, _, *others = args
    return check_consent(content, items, approved, Duration(1 << 50), *others)


def _as_stated(*args: Any) -> Finding | None:
    content, items, current, _ = args

    def stated(content: Content, _: tuple[Proposal, ...]) -> bytes | None:
        return content.sync.succession if content.sync is not None else None

    return check_content(content, items, current, stated)


def _any_acks(*_: object, **__: object) -> bool:
    return True


def _majority(n: int) -> int:
    return n // 2 + 1


def _believe(state: GroupState, settled: SettledCommit, step: Step) -> bool:
    """Every commit of this state that holds known work."""
    for proposal in settled.proposals:
        state.governance.receive_proposal(proposal, step, solicited=True)
    return state.candidates.prepare(settled.candidate)


def _one(*_: object) -> int:
    return 1


def _alone() -> Patches:
    yield GroupState, "quorum", _one
    yield settling, "is_certified", _any_acks
    yield sync, "is_certified", _any_acks


def _two_thirds() -> Patches:
    yield Committee, "q", property(lambda self: _majority(self.n))
    yield settling, "quorum", _majority
    yield sync, "quorum", _majority


_ALL = (
    Ablation(
        "a quorum", "every member settles by itself what its own view approves", "P1", "a lone third", _alone, 4, seed=1
    ),
    Ablation(
        "certificates of history",
        "who comes back follows every commit of approved work",
        "P1",
        "a false branch",
        lambda: [(settling, "_is_genuine", _believe)],
        5,
        seed=10,
    ),
    Ablation(
        "the second phase",
        "a quorum of acks settles; a member that has fewer acknowledges again in the next view",
        "P1",
        "one-way loss",
        _second_phase,
        5,
        seed=4,
    ),
    Ablation(
        "the override",
        "the own view decides on candidates that a quorum has acknowledged, too",
        "P3",
        "refused after the lock",
        _override,
        7,
        "harsh",
        seed=7,
    ),
    Ablation("members as leaders", "only stewards lead", "P3", "silent steward", _members_lead, 7, "harsh", seed=3),
    Ablation(
        "canonical content",
        "work stands in the order in which it came to each member",
        "P7",
        "two orders",
        lambda: [(Item, "order", lambda self: (self.first_seen, self.proposal_id))],
        4,
        seed=2,
    ),
    Ablation("two thirds", "more than half of the members make a quorum", "P1", "two candidates", _two_thirds, 5),
    Ablation(
        "the lock",
        "the lock is forgotten when the view changes",
        "P1",
        "one merges alone",
        lambda: [(Round, "_enter", _enter_without_lock)],
        4,
    ),
    Ablation(
        "durable statements",
        "a restart forgets the own acks, locks and lock",
        "P1",
        "restart with a lock",
        lambda: [(Round, "load", _load_without_own)],
        4,
        seed=4,
    ),
    Ablation(
        "votes in acks",
        "any quorum of acks locks, whatever votes the acks carry",
        "P2",
        "lost refusals",
        lambda: [(Candidates, "is_good", _any_acks)],
        4,
    ),
    Ablation(
        "patience",
        "a leader may leave out approved work for ever",
        "P3",
        "censorship",
        lambda: [(candidates, "check_consent", _no_patience)],
    ),
    Ablation(
        "the succession compared",
        "a joiner is told whatever stewards the committer likes",
        "P1",
        "another list for joiners",
        lambda: [(candidates, "check_content", _as_stated)],
    ),
    Ablation(
        "durable first",
        "a step's messages leave before it is written",
        "P5",
        "",
        group.durable_first,
        4,
        "harsh",
        seed=3,
    ),
    Ablation("both is yes", "who signed a yes and a no counts as neither", "P2", "", group.both_is_yes, 5, seed=40),
    Ablation(
        "the list drawn again", "nodes vote for any steward list", "P2", "", group.list_recomputed, 7, "harsh", seed=8
    ),
    Ablation("a token once", "a request may be put to the vote again and again", "P2", "", group.token_once, 4, seed=4),
    Ablation("the skip", "nobody follows f + 1 members into a later view", "P3", "", group.skip, 5, "harsh"),
    Ablation("proofs", "any accusation is put to the vote", "P7", "", group.proofs, 4, "harsh", seed=10),
    Ablation(
        "a fair freeze", "one emergency may follow the other without a pause", "P6", "", group.fair_freeze, 7, seed=10
    ),
    Ablation("an end of freezes", "a freeze lasts as long as its emergency", "P6", "", group.freeze_ends, 4, seed=18),
    Ablation("gaps named", "a gap that stays open is forgotten", "P4", "", group.gaps_named, 4, "harsh"),
    Ablation("room for others", "a member may open any number of proposals", "P6", "", group.room, 7, "harsh"),
    Ablation("repair", "nobody asks for what is missing", "P3", "", group.repair, 4, seed=4),
    Ablation("history", "who is behind is told nothing", "P3", "", group.history, 4, seed=3),
    Ablation("generations", "how many messages were sent is not durable", "P4", "", group.generations, 4, "harsh"),
)

ABLATIONS = {ablation.name: ablation for ablation in _ALL}
