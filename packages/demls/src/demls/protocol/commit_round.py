"""How do the members agree on the next commit, and never fork? One round for one state.

One leader a view offers a candidate; members (in a large group, a committee of them) acknowledge it, lock it on a
quorum of acknowledgements, and merge it on a quorum of locks, the certificate. The lock survives view changes, so no
two candidates of one state can both get a certificate while fewer than a third of those whose word counts sign twice.
This module knows views, statements and timers; what a candidate means is asked of its ``Host`` (``round_host.py``).

The transitions and timers are literal data (``TRANSITIONS``, ``TIMERS``); the documentation's diagram is made of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from demls.protocol import policy as bounds
from demls.protocol.checks import Verdict
from demls.protocol.committee import Committee
from demls.protocol.events import Misbehaved, Reason
from demls.protocol.lots import lot, paced
from demls.protocol.records import Ledger
from demls.protocol.round_host import Host, Mint
from demls.protocol.step import Step
from demls.wire.ids import Address, CandidateId, Duration, Epoch, Head, Instant, View
from demls.wire.messages import Candidate, Offer, decode_message, encode_message
from demls.wire.statements import DoubleStatement, Proof, RoundStatement, StatementKind

ROUND_LABEL = "demls round"
OFFER_LABEL = "demls offer"
NIL = CandidateId(b"")
_KINDS = {int(kind): kind for kind in StatementKind}
_STEPS_MAX = 256
"""Transitions in one call; a round moves at most a few, so more is a defect."""


class Phase(StrEnum):
    IDLE = "idle"
    WAITING = "waiting"
    ACKED = "acked"
    LOCKED = "locked"


@dataclass(slots=True)
class Position:
    """Where the own member stands; durable before anything that follows from it is sent."""

    view: int = 0
    phase: Phase = Phase.IDLE
    lock: bytes = NIL
    lock_view: int = -1
    best: bytes = NIL
    best_view: int = -1
    entered_at: int = 0
    acks_at: int | None = None
    locks_at: int | None = None
    repeat_at: int | None = None
    opened_at: int | None = None


@dataclass(slots=True)
class Said:
    """What was said of one kind in one view: by whom, and how many named which candidate."""

    by_member: dict[Address, RoundStatement] = field(default_factory=dict)
    named: dict[CandidateId, int] = field(default_factory=dict)

    def add(self, statement: RoundStatement) -> None:
        """The first statement of its member."""
        candidate = CandidateId(statement.candidate)
        self.by_member[Address(statement.member)] = statement
        self.named[candidate] = self.named.get(candidate, 0) + 1


_NOTHING = Said()


@dataclass(frozen=True, slots=True)
class Timer:
    """``when`` in words, for the table; ``at``: the time by which something is due without a message, None if never."""

    phases: tuple[Phase, ...]
    when: str
    does: str
    at: Callable[[Round], int | None]


@dataclass(frozen=True, slots=True)
class Transition:
    """``when`` is the guard in words, for the diagram."""

    phase: Phase
    when: str
    guard: Callable[[Round, Step], bool]
    action: Callable[[Round, Step], None]
    to: Phase


class Round:
    """The commit round of one state."""

    def __init__(
        self,
        host: Host,
        *,
        ledger: Ledger,
        group_id: bytes,
        epoch: Epoch,
        head: Head,
        committee: Committee,
        leaders: tuple[Address, ...],
        own: Address,
        batch_window: Duration,
        base_time: Duration,
        members: int = 0,
    ) -> None:
        """``members``: how many there are, those included whose acknowledgements do not count."""
        self._host = host
        self._ledger = ledger
        self._group_id = group_id
        self.epoch = epoch
        self.head = head
        self._committee = committee
        self._crowd = committee.n if own in committee.members else max(members, committee.n)
        """So many say again what they have stated, or ask, at the pace of the own member."""
        self._speaks = own in committee.members
        """Do the own acknowledgements count? Else the member goes through the phases without a word."""
        self._unsaid: dict[StatementKind, tuple[int, bytes]] = {}
        """Of such a member: in which view it would have stated what, the last time."""
        self._leaders = leaders
        self._own = own
        self._batch_window = batch_window
        self.base_time = base_time
        self.at = Position()
        self.offers: dict[View, Offer] = {}
        self.candidates: dict[CandidateId, Candidate] = {}
        self._acks: dict[View, Said] = {}
        self._locks: dict[View, Said] = {}
        self._reached: dict[Address, View] = {}
        """The highest view in which a member was heard."""
        self._gathered: dict[View, int] = {}
        """How many others have this view as their highest; only views of somebody."""
        self._followed = -1
        """The highest view that f + 1 others have reached."""
        self._verdicts: dict[CandidateId, Verdict] = {}
        """Of the fresh offers that were judged since ``advance`` began: nothing changes them until it ends."""
        self.is_settled = False
        self._may_settle = True

    # --- Life ---------------------------------------------------------------------------------------------------

    def load(self, now: Instant) -> None:
        """Go on where the ledger says; timers of the phase start again, so a restart hurries nobody."""
        self.at = self._ledger.find(b"round/position", Position) or Position()
        for _, raw in self._ledger.bytes_under(b"round/offer/"):
            offer = decode_message(raw, Offer)
            self.offers[View(offer.view)] = offer
            self.candidates[offer.candidate.id] = offer.candidate
            self._host.learn(offer.candidate)
        for _, raw in self._ledger.bytes_under(b"round/statement/"):
            self.keep(decode_message(raw, RoundStatement), raw)
        if self.at.phase is not Phase.IDLE:
            self.at.entered_at = self.at.repeat_at = now
            self.at.acks_at = now if self._is_heard(StatementKind.ACK, self.at.view) else None
            self.at.locks_at = now if self._is_heard(StatementKind.LOCK, self.at.view) else None
        if self.at.lock:
            self._host.lock(CandidateId(self.at.lock))

    def close(self) -> None:
        """The state is over: nothing of its round is needed any more."""
        self.is_settled = True
        self._ledger.delete_all(b"round/")

    def _save(self) -> None:
        self._ledger.put(b"round/position", self.at)

    # --- Inputs -------------------------------------------------------------------------------------------------

    def admits(self, offer: Offer, step: Step, *, is_signed: bool = False) -> bool:
        """Is this a genuine offer of the leader of some view of this state, and not a second, different one?"""
        view = View(offer.view)
        if not self._is_near(view):
            step.refuse(Reason.LIMIT, "an offer for a view far away")
        elif offer.leader != self.leader(view):
            step.refuse(Reason.NOT_ENTITLED, "an offer by a member that does not lead its view")
        elif view in self.offers and self.offers[view].candidate.id != offer.candidate.id:
            step.refuse(Reason.STALE, "a second offer in one view")
        elif not is_signed and not self._host.verify(
            offer.leader, OFFER_LABEL, offer.content(self._group_id), offer.signature
        ):
            step.refuse(Reason.FORGED, "an offer that its leader did not sign")
        else:
            return True
        return False

    def receive_offer(self, offer: Offer, step: Step, raw: bytes = b"", *, is_signed: bool = False) -> None:
        """A leader's offer for some view; the first counts. ``raw``: its bytes; ``is_signed``: that was verified."""
        if View(offer.view) not in self.offers and self.admits(offer, step, is_signed=is_signed):
            self._take_offer(offer, raw)
            self._heard(Address(offer.leader), View(offer.view))

    def replace_offer(self, offer: Offer) -> None:
        """The same offer, with votes that the one kept lacks: this is the one to repeat."""
        known = self.offers.get(View(offer.view))
        if known is not None and known.signature == offer.signature and known.candidate.id == offer.candidate.id:
            self.offers[View(offer.view)] = offer
            self._ledger.put_bytes(_offer_key(View(offer.view)), encode_message(offer))

    def _take_offer(self, offer: Offer, raw: bytes = b"") -> None:
        view = View(offer.view)
        self._may_settle = True
        self.offers[view] = offer
        self.candidates[offer.candidate.id] = offer.candidate
        self._host.learn(offer.candidate)
        self._ledger.put_bytes(_offer_key(view), raw or encode_message(offer))
        newest = {self.offers[v].candidate.id: v for v in sorted(self.offers)}
        kept = {newest.get(CandidateId(self.at.lock)), newest.get(CandidateId(self.at.best)), view}
        spare = [v for v in sorted(self.offers) if v not in kept]
        for old in spare[: max(0, len(self.offers) - bounds.CANDIDATES_KEPT_MAX)]:
            self._ledger.delete(_offer_key(old))
            dropped = self.offers.pop(old).candidate.id
            if all(other.candidate.id != dropped for other in self.offers.values()):
                self.candidates.pop(dropped, None)
                self._host.forget(dropped)

    def receive_statement(
        self, statement: RoundStatement, step: Step, raw: bytes = b"", *, is_signed: bool = False
    ) -> bool:
        """A member's ack or lock in some view of this state. Says whether it was new. O(1).

        ``raw``: its canonical bytes, if they are at hand; ``is_signed``: its member, which counts, has signed it.
        """
        kind, view, member = _KINDS.get(statement.kind), View(statement.view), Address(statement.member)
        if kind is None:
            step.refuse(Reason.INVALID, "a round statement of no known kind")
            return False
        if not self._is_near(view):
            self._note_far(statement, step)
            return False
        known = self.statements(kind, view).get(member)
        if known is not None and _content(known) == _content(statement):
            return False
        if len(statement.candidate) not in (0, 32):
            step.refuse(Reason.INVALID, "a round statement about no candidate id")
            return False
        if not is_signed and not self._host.verify(
            member, ROUND_LABEL, statement.content(self._group_id), statement.signature
        ):
            step.refuse(Reason.FORGED, "a round statement that its member did not sign")
            return False
        if known is not None:
            if known.candidate != statement.candidate:
                proof = Proof(DoubleStatement(known, statement))
                step.tell(Misbehaved(member, "signed two different statements in one view", proof))
            return False
        self.keep(statement, raw)
        self._note_quorums(kind, view, step)
        return True

    def _note_far(self, statement: RoundStatement, step: Step) -> None:
        """Of a view far ahead only the number is kept: f + 1 members there are followed, however far it is."""
        member, view = Address(statement.member), View(statement.view)
        if view > max(self.at.view, self._reached.get(member, View(-1))) and self._host.verify(
            member, ROUND_LABEL, statement.content(self._group_id), statement.signature
        ):
            self._heard(member, view)
        step.refuse(Reason.LIMIT, "a round statement for a view far away")

    def keep(self, statement: RoundStatement, raw: bytes = b"") -> None:
        """Count a member's first statement of its kind in a view, and write it; ``raw``: its bytes, if at hand."""
        self._ledger.put_bytes(_statement_key(statement), raw or encode_message(statement))
        self._may_settle = True
        view = View(statement.view)
        views = self._acks if statement.kind == StatementKind.ACK else self._locks
        if view not in views:
            views[view] = Said()
        views[view].add(statement)
        self._heard(Address(statement.member), view)

    def _heard(self, member: Address, view: View) -> None:
        before = self._reached.get(member)
        if before is not None and view <= before:
            return
        self._reached[member] = view
        if member == self._own or member not in self._committee.members:
            return
        self._gathered[view] = self._gathered.get(view, 0) + 1
        if before is not None:
            self._gathered[before] -= 1
            if not self._gathered[before]:
                del self._gathered[before]
        if view > self._followed:
            self._followed = self._common_view()

    def _common_view(self) -> int:
        """The highest view that f + 1 others have reached, -1 if they have reached none."""
        others = 0
        for view in sorted(self._gathered, reverse=True):
            others += self._gathered[view]
            if others > self._committee.f:
                return view
        return -1

    def _is_near(self, view: View) -> bool:
        return self.at.view - bounds.VIEWS_BEHIND_MAX <= view <= self.at.view + bounds.VIEWS_AHEAD_MAX

    # --- What is known ------------------------------------------------------------------------------------------

    def count(self, kind: StatementKind, view: int, candidate: bytes) -> int:
        """How many statements of this kind here name this candidate."""
        return self._said(kind, view).named.get(CandidateId(candidate), 0)

    @property
    def is_judging(self) -> bool:
        """Does an offer wait here to become acceptable? Then every vote may matter."""
        return self.at.phase in (Phase.IDLE, Phase.WAITING) and View(self.at.view) in self.offers

    def is_still(self, statement: RoundStatement, coming: int = 0) -> bool:
        """Could nothing follow from this statement, just kept (``coming`` 1: once it is)? Of two members, it may."""
        if self._committee.n == 2 or statement.view != self.at.view or self._followed > self.at.view or self.is_settled:
            return False
        if statement.kind == StatementKind.ACK and self.at.phase is Phase.LOCKED:
            return self.at.best_view == self.at.view and self.at.acks_at is not None
        is_asked = self.at.phase in (Phase.ACKED, Phase.LOCKED)
        return is_asked and len(self.statements(_KINDS[statement.kind], statement.view)) + coming < self._committee.q

    def leader(self, view: int) -> Address:
        return self._leaders[view % len(self._leaders)]

    def _said(self, kind: StatementKind, view: int) -> Said:
        return (self._acks if kind is StatementKind.ACK else self._locks).get(View(view), _NOTHING)

    def statements(self, kind: StatementKind, view: int) -> dict[Address, RoundStatement]:
        return self._said(kind, view).by_member

    def supporters(self, kind: StatementKind, view: int, candidate: bytes) -> tuple[RoundStatement, ...]:
        """Statements of one view for one candidate, by member."""
        held = self.statements(kind, view)
        return tuple(held[member] for member in sorted(held) if held[member].candidate == candidate)

    def _is_quorum_of_nil(self, kind: StatementKind, view: int) -> bool:
        return self._said(kind, view).named.get(NIL, 0) >= self._host.quorum(NIL)

    def view_time(self, view: int) -> Duration:
        """T(v) = T0 * min(1 + 0.4 v, 6)."""
        return Duration(self.base_time * min(10 + 4 * view, 60) // 10)

    @property
    def is_open(self) -> bool:
        return self.at.phase is not Phase.IDLE

    def heard(self) -> frozenset[Address]:
        """Members that have spoken in the own view or a later one."""
        return frozenset(member for member, view in self._reached.items() if view >= self.at.view)

    def _is_heard(self, kind: StatementKind, view: int) -> bool:
        """Are there a quorum of acks, or locks, of any kind?"""
        return len(self.statements(kind, view)) >= self._host.quorum(NIL)

    def _note_quorums(self, kind: StatementKind, view: View, step: Step) -> None:
        if view == self.at.view:
            if kind is StatementKind.ACK and self.at.acks_at is None and self._is_heard(kind, view):
                self.at.acks_at = step.now
            if kind is StatementKind.LOCK and self.at.locks_at is None and self._is_heard(kind, view):
                self.at.locks_at = step.now
        if kind is StatementKind.ACK and view > self.at.best_view:
            best = self._good_candidate(view, step)
            if best is not None:
                self.at.best, self.at.best_view = best, view
                self._save()

    def _good_candidate(self, view: int, step: Step) -> CandidateId | None:
        """The candidate with a good quorum of acks in ``view``, if its bytes are here."""
        named = self._said(StatementKind.ACK, view).named
        for candidate in sorted(named):
            body = self.candidates.get(candidate)  # there is none of nil
            if body is None or named[candidate] < self._host.quorum(candidate):
                continue
            is_sound = self._host.judge(body, fresh=False, step=step) is Verdict.VALID
            if is_sound and self._host.is_good(candidate, self.supporters(StatementKind.ACK, view, candidate)):
                return candidate
        return None

    # --- Moving -------------------------------------------------------------------------------------------------

    def advance(self, step: Step) -> None:
        """Do everything that is due: settle, skip, lead, and move through the phases."""
        self._verdicts.clear()
        for _ in range(_STEPS_MAX):
            if self.is_settled or self._settle(step):
                return
            self._skip(step)
            self._lead(step)
            due = next((transition for transition in _FROM[self.at.phase] if transition.guard(self, step)), None)
            if due is None:
                return
            self.at.phase = due.to
            due.action(self, step)
            self._save()
        raise AssertionError("a commit round does not come to rest")

    def _settle(self, step: Step) -> bool:
        """q locks of one view for one candidate whose bytes are here.

        Looked for only after a lock or an offer came in; of two members, what settles depends on the work too.
        """
        if not self._may_settle and self._committee.n != 2:
            return False
        self._may_settle = False
        for view, said in self._locks.items():
            for candidate, count in said.named.items():
                body = self.candidates.get(candidate)  # there is none of nil
                if body is not None and count >= self._host.quorum(candidate):
                    self._host.settle(body, view, self.supporters(StatementKind.LOCK, view, candidate), step)
                    return True
        return False

    def _skip(self, step: Step) -> None:
        """f + 1 members are in higher views: enter the highest that so many have reached."""
        if self._followed > self.at.view:
            self._enter(View(self._followed), step)
            self.at.phase = Phase.WAITING
            self._save()

    def _enter(self, view: View, step: Step) -> None:
        self.at.view = view
        self.at.entered_at = step.now
        self.at.acks_at = self.at.locks_at = None
        self.at.repeat_at = self._repeat_after(step.now)
        self.at.opened_at = self.at.opened_at or step.now
        self._forget_statements()
        for kind in StatementKind:
            self._note_quorums(kind, view, step)

    def _forget_statements(self) -> None:
        """Drop what was said in views long past, but for the certificate of the best candidate."""
        oldest = self.at.view - bounds.VIEWS_BEHIND_MAX
        for views in (self._acks, self._locks):
            for view in [view for view in views if view < oldest and view != self.at.best_view]:
                for statement in views.pop(view).by_member.values():
                    self._ledger.delete(_statement_key(statement))

    def _lead(self, step: Step) -> None:
        """Offer the best candidate, or a fresh one once the batch window is over."""
        view = View(self.at.view)
        if self.at.phase is not Phase.WAITING or self.leader(view) != self._own or view in self.offers:
            return
        if self.at.best:
            candidate = self.candidates.get(CandidateId(self.at.best))
            if candidate is None:
                return
            acks = self.supporters(StatementKind.ACK, self.at.best_view, self.at.best)
            votes, proposals = self._host.carry(candidate.id)
            self._offer(Mint(candidate, votes, proposals), acks, step)
        elif step.now >= self._batch_end() or not self._host.expects_more():
            fresh = self._host.mint(view, step)
            if fresh is not None:
                self._offer(fresh, (), step)

    def _batch_end(self) -> Instant:
        return Instant(self.at.entered_at + (self._batch_window if self.at.view == 0 else 0))

    def _offer_end(self) -> Instant:
        """So long members wait for the offer of the own view: its leader has the batch window and the view's time."""
        return Instant(self._batch_end() + self.view_time(self.at.view))

    def _offer(self, mint: Mint, acks: tuple[RoundStatement, ...], step: Step) -> None:
        unsigned = Offer(
            self.epoch, self.head, self.at.view, mint.candidate, mint.votes, acks, self._own, bytes(64), mint.proposals
        )
        offer = replace(unsigned, signature=self._host.sign(OFFER_LABEL, unsigned.content(self._group_id)))
        self._take_offer(offer)
        step.say(offer)

    def _state(self, kind: StatementKind, candidate: bytes, choices: bytes, step: Step) -> None:
        """Sign and send the own ack or lock of this view; there is at most one of each."""
        if self._stated(kind) is not None:
            return
        if not self._speaks:
            self._unsaid[kind] = self.at.view, candidate
            return
        unsigned = RoundStatement(
            self.epoch, self.head, self.at.view, candidate, choices, self._own, bytes(64), int(kind)
        )
        signature = self._host.sign(ROUND_LABEL, unsigned.content(self._group_id))
        statement = RoundStatement(
            self.epoch, self.head, self.at.view, candidate, choices, self._own, signature, int(kind)
        )
        self.keep(statement)
        self._note_quorums(kind, View(self.at.view), step)
        self._host.say_statement(statement, step)

    def _stated(self, kind: StatementKind) -> bytes | None:
        """What the own member has stated in this view, or would have."""
        own = self.statements(kind, self.at.view).get(self._own)
        view, unsaid = self._unsaid.get(kind, (-1, NIL))
        return own.candidate if own is not None else unsaid if view == self.at.view else None

    # --- Guards and actions of the transitions ------------------------------------------------------------------

    def may_start(self, step: Step) -> bool:
        """Approved work, a best candidate, an acceptable offer, or f + 1 members in this view."""
        return self._has_reason() or self.is_acceptable(step)

    def _has_reason(self) -> bool:
        return bool(self.at.best) or self._followed >= self.at.view or self._host.has_work()

    def is_pointless(self, step: Step) -> bool:
        """The work is gone, the ack is nil, of an own offer or of one no longer good, and too few others are here."""
        if self._has_reason():
            return False
        acked, offer = self._stated(StatementKind.ACK), self.offers.get(View(self.at.view))
        if offer is None or offer.certificate or offer.candidate.id != acked:
            return acked == NIL
        return offer.leader == self._own or self._judge_fresh(offer.candidate, step) is not Verdict.VALID

    def pause(self, step: Step) -> None:  # noqa: ARG002 - actions have one form
        self.at.opened_at = None

    def start(self, step: Step) -> None:
        self._enter(View(self.at.view), step)

    def is_acceptable(self, step: Step) -> bool:
        """Rule of the ack: fresh and valid and not against the own lock, or certified since the own lock."""
        offer = self.offers.get(View(self.at.view))
        if offer is None or self._stated(StatementKind.ACK) is not None:
            return False
        candidate = offer.candidate.id
        if not offer.certificate:
            if self.at.lock not in (NIL, candidate):
                return False
            verdict = self._judge_fresh(offer.candidate, step)
            return verdict is Verdict.VALID and self._host.minted_in(candidate) == self.at.view
        certified = self._certified_view(offer, step)
        if certified is None or (self.at.lock != candidate and self.at.lock_view > certified):
            return False
        return self._host.judge(offer.candidate, fresh=False, step=step) is Verdict.VALID

    def _judge_fresh(self, candidate: Candidate, step: Step) -> Verdict:
        """Once in a call of ``advance``, however many guards ask."""
        if candidate.id not in self._verdicts:
            self._verdicts[candidate.id] = self._host.judge(candidate, fresh=True, step=step)
        return self._verdicts[candidate.id]

    def _certified_view(self, offer: Offer, step: Step) -> View | None:
        """The earlier view in which the offer's certificate shows a good quorum of acks for it."""
        candidate, acks = offer.candidate.id, {}
        for ack in offer.certificate:
            about = (ack.epoch, ack.head, ack.view, ack.candidate, ack.kind)
            if about != (self.epoch, self.head, offer.certificate[0].view, candidate, StatementKind.ACK):
                return None
            acks[Address(ack.member)] = ack
        view = View(offer.certificate[0].view)
        if view >= offer.view or len(acks) < self._host.quorum(candidate):
            return None
        held = self.statements(StatementKind.ACK, view)
        for member, ack in acks.items():
            if held.get(member) != ack and not self._host.verify(
                member, ROUND_LABEL, ack.content(self._group_id), ack.signature
            ):
                return None
        if self._host.judge(offer.candidate, fresh=False, step=step) is not Verdict.VALID:
            return None
        return view if self._host.is_good(candidate, acks.values()) else None

    def ack_candidate(self, step: Step) -> None:
        """Acknowledge the offer. Of a fresh candidate the ack carries the own votes; of a certified one it does not.

        Consent is proven by the certificate then, and the own votes no longer matter: did they count again in each
        view, some members could stay locked on what the others, knowing more votes, never find good (rule of the ack).
        """
        offer = self.offers[View(self.at.view)]
        choices = b"" if offer.certificate else self._host.choices(offer.candidate.id)
        self._state(StatementKind.ACK, offer.candidate.id, choices, step)

    def is_hopeless(self, step: Step) -> bool:
        """This view can bring nothing: its time is over, its offer is invalid, or its leader may not do the work.

        Or the own ack was given before a rest.
        """
        if self._stated(StatementKind.ACK) is not None:
            return True
        if step.now >= self._offer_end():
            return True
        leader, offer = self.leader(self.at.view), self.offers.get(View(self.at.view))
        if offer is not None and offer.certificate:
            return self._host.judge(offer.candidate, fresh=False, step=step) is Verdict.INVALID
        if offer is not None:
            return self._judge_fresh(offer.candidate, step) is Verdict.INVALID
        return not self.at.best and self._host.is_all_about(leader)

    def ack_nil(self, step: Step) -> None:
        self._state(StatementKind.ACK, NIL, b"", step)

    def can_lock(self, step: Step) -> bool:
        return self._good_candidate(self.at.view, step) is not None

    def lock_candidate(self, step: Step) -> None:
        candidate = self._good_candidate(self.at.view, step)
        assert candidate is not None
        self.at.lock, self.at.lock_view = candidate, self.at.view
        self.at.best, self.at.best_view = candidate, self.at.view
        self._host.lock(candidate)
        self._save()
        self._state(StatementKind.LOCK, candidate, b"", step)

    def must_lock_nil(self, step: Step) -> bool:
        """A quorum of nil acks, or half a view time since a quorum of acks of any kind."""
        return self._is_over(self.at.acks_at, step) or self._is_quorum_of_nil(StatementKind.ACK, self.at.view)

    def lock_nil(self, step: Step) -> None:
        self._state(StatementKind.LOCK, NIL, b"", step)

    def must_go_on(self, step: Step) -> bool:
        """A quorum of nil locks, or half a view time since a quorum of locks of any kind."""
        return self._is_over(self.at.locks_at, step) or self._is_quorum_of_nil(StatementKind.LOCK, self.at.view)

    def _is_over(self, since: int | None, step: Step) -> bool:
        return since is not None and step.now >= since + self.view_time(self.at.view) // 2

    def goes_on_idle(self, step: Step) -> bool:
        return self.must_go_on(step) and not self.at.best and not self._host.has_work()

    def next_view(self, step: Step) -> None:
        self._enter(View(self.at.view + 1), step)

    def rest(self, step: Step) -> None:
        self._enter(View(self.at.view + 1), step)
        self.at.opened_at = None

    # --- Time ---------------------------------------------------------------------------------------------------

    def repeat(self, step: Step) -> bool:
        """Say the own statements (and offer) of this view again if it is time. Says whether it did."""
        if not self.is_open or self.at.repeat_at is None or step.now < self.at.repeat_at:
            return False
        self.at.repeat_at = self._repeat_after(step.now)
        self._save()
        offer = self.offers.get(View(self.at.view))
        if offer is not None and offer.leader == self._own:
            step.say(offer)
        for kind in StatementKind:
            statement = self.statements(kind, self.at.view).get(self._own)
            if statement is not None:
                self._host.say_statement(statement, step)
        return True

    def _repeat_after(self, now: Instant) -> int:
        """Every 2 s, in a view that lasts more rarely; of more than 64 members each more rarely, not all at once."""
        waited = min(Duration((now - self.at.entered_at) // 8), bounds.REPEAT_MOST)
        pace = paced(max(bounds.REPEAT_EVERY, waited), self._crowd)
        return now + pace + lot(self.head + self.at.view.to_bytes(8, "big"), self._own, self._crowd, pace)

    def deadline(self, now: Instant) -> Instant | None:
        """When to call ``advance`` next although nothing arrives; what was due by ``now`` has been done."""
        if not self.is_open or self.is_settled:
            return None
        due = (timer.at(self) for timer in TIMERS if self.at.phase in timer.phases)
        return min((Instant(time) for time in due if time is not None and time > now), default=None)

    def repeats_at(self) -> int | None:
        return self.at.repeat_at

    def leads_at(self) -> int | None:
        """When the own member, leading, stops waiting for more work."""
        is_leading = self.leader(self.at.view) == self._own and View(self.at.view) not in self.offers
        return self._batch_end() if is_leading else None

    def gives_up_at(self) -> int | None:
        return self._offer_end()

    def locks_nil_at(self) -> int | None:
        return None if self.at.acks_at is None else self.at.acks_at + self.view_time(self.at.view) // 2

    def goes_on_at(self) -> int | None:
        return None if self.at.locks_at is None else self.at.locks_at + self.view_time(self.at.view) // 2


_OPEN = (Phase.WAITING, Phase.ACKED, Phase.LOCKED)

TIMERS: tuple[Timer, ...] = (
    Timer(
        _OPEN,
        "every 2 s, in long views up to 16 s, in large groups more rarely",
        "repeat the own statements and offer, ask one member what is missing",
        Round.repeats_at,
    ),
    Timer(
        (Phase.WAITING,),
        "the batch window after entering view 0, at once in later views or when nothing else is being decided",
        "the leader offers a candidate",
        Round.leads_at,
    ),
    Timer((Phase.WAITING,), "the batch window and the view's time after entering it", "ack nil", Round.gives_up_at),
    Timer((Phase.ACKED,), "half a view time after q acks of any kind", "lock nil", Round.locks_nil_at),
    Timer((Phase.LOCKED,), "half a view time after q locks of any kind", "the next view", Round.goes_on_at),
)
"""What is due by time alone. A view lasts T0 * min(1 + 0.4 v, 6), T0 twice the delivery time, at least 4 s."""

TRANSITIONS: tuple[Transition, ...] = (
    Transition(
        Phase.IDLE, "there is work, or f+1 members are in this view", Round.may_start, Round.start, Phase.WAITING
    ),
    Transition(
        Phase.WAITING, "the leader's candidate is acceptable", Round.is_acceptable, Round.ack_candidate, Phase.ACKED
    ),
    Transition(
        Phase.WAITING, "the view's time is over, or it can bring nothing", Round.is_hopeless, Round.ack_nil, Phase.ACKED
    ),
    Transition(Phase.ACKED, "q good acks for one candidate", Round.can_lock, Round.lock_candidate, Phase.LOCKED),
    Transition(
        Phase.ACKED, "q nil acks, or half a view time after q acks", Round.must_lock_nil, Round.lock_nil, Phase.LOCKED
    ),
    Transition(
        Phase.ACKED, "the work is gone, and fewer than f+1 others are here", Round.is_pointless, Round.pause, Phase.IDLE
    ),
    Transition(Phase.LOCKED, "the view is over and there is no work", Round.goes_on_idle, Round.rest, Phase.IDLE),
    Transition(
        Phase.LOCKED,
        "q nil locks, or half a view time after q locks",
        Round.must_go_on,
        Round.next_view,
        Phase.WAITING,
    ),
    Transition(
        Phase.LOCKED,
        "the work is gone, and fewer than f+1 others are here",
        Round.is_pointless,
        Round.pause,
        Phase.IDLE,
    ),
)
"""Settling (q locks of one view for one candidate) comes before all of them, in any phase and from any view."""

_FROM = {phase: tuple(transition for transition in TRANSITIONS if transition.phase is phase) for phase in Phase}


def _content(statement: RoundStatement) -> tuple[int | bytes, ...]:
    """All that it says: two statements with the same may still differ in their signatures."""
    about = statement.epoch, statement.head, statement.view
    return (*about, statement.kind, statement.candidate, statement.choices, statement.member)


def _offer_key(view: int) -> bytes:
    return b"round/offer/" + view.to_bytes(8, "big")


def _statement_key(statement: RoundStatement) -> bytes:
    return b"round/statement/" + bytes([statement.kind]) + statement.view.to_bytes(8, "big") + statement.member
