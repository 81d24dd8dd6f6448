"""The commit round by itself: one member's machine among made-up members, with a host that answers by table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest
from demls.protocol import policy as bounds
from demls.protocol.channel import channel_of
from demls.protocol.checks import Verdict
from demls.protocol.commit_round import NIL, TRANSITIONS, Mint, Phase, Round
from demls.protocol.committee import Committee
from demls.protocol.events import Misbehaved, Reason, Rejected
from demls.protocol.records import Ledger
from demls.protocol.roster import Roster
from demls.protocol.step import Step
from demls.wire.ids import Address, CandidateId, Duration, Epoch, Head, Instant, View
from demls.wire.messages import Candidate, Offer, Proposal, Vote
from demls.wire.statements import RoundStatement, StatementKind
from leaves import Leaf, address

ACK, LOCK = StatementKind.ACK, StatementKind.LOCK
HEAD = Head(bytes(32))
T0 = Duration(4_000)
WINDOW = Duration(300)
START = Instant(1_000_000)


def candidate(name: str) -> Candidate:
    return Candidate(name.encode(), b"", b"", b"")


X, Y = candidate("x"), candidate("y")


@dataclass
class FakeHost:
    """Answers by what a test sets. A signature is good if it is not ``BAD``."""

    q: int
    work: bool = False
    all_about: Address | None = None
    mints: Candidate | None = None
    fresh: dict[CandidateId, Verdict] = field(default_factory=dict)
    structure: dict[CandidateId, Verdict] = field(default_factory=dict)
    minted: dict[CandidateId, View] = field(default_factory=dict)
    refused: set[CandidateId] = field(default_factory=set)
    locked: list[CandidateId] = field(default_factory=list)
    settled: list[tuple[CandidateId, View, tuple[RoundStatement, ...]]] = field(default_factory=list)
    known: set[CandidateId] = field(default_factory=set)
    judged: list[CandidateId] = field(default_factory=list)
    round: Round | None = None

    def has_work(self) -> bool:
        return self.work

    def expects_more(self) -> bool:
        return True

    def is_all_about(self, member: Address) -> bool:
        return member == self.all_about

    def mint(self, view: View, step: Step) -> Mint | None:
        if self.mints is None:
            return None
        self.minted[self.mints.id] = view
        return Mint(self.mints, (), ())

    def judge(self, candidate: Candidate, *, fresh: bool, step: Step) -> Verdict:
        self.judged.append(candidate.id)
        return (self.fresh if fresh else self.structure).get(candidate.id, Verdict.VALID)

    def learn(self, candidate: Candidate) -> None:
        self.known.add(candidate.id)

    def forget(self, candidate: CandidateId) -> None:
        self.known.discard(candidate)

    def minted_in(self, candidate: CandidateId) -> View | None:
        return self.minted.get(candidate, View(0))

    def choices(self, candidate: CandidateId) -> bytes:
        return b"\x01"

    def is_good(self, candidate: CandidateId, acks: Iterable[RoundStatement]) -> bool:
        return candidate not in self.refused

    def quorum(self, candidate: CandidateId) -> int:
        return self.q

    def carry(self, candidate: CandidateId) -> tuple[tuple[Vote, ...], tuple[Proposal, ...]]:
        return (), ()

    def lock(self, candidate: CandidateId) -> None:
        self.locked.append(candidate)

    def settle(self, candidate: Candidate, view: View, locks: tuple[RoundStatement, ...], step: Step) -> None:
        self.settled.append((candidate.id, view, locks))
        assert self.round is not None
        self.round.close()

    def say_statement(self, statement: RoundStatement, step: Step) -> None:
        step.say(statement)

    def sign(self, label: str, content: bytes) -> bytes:
        return b"own".ljust(64, b".")

    def verify(self, member: bytes, label: str, content: bytes, signature: bytes) -> bool:
        return signature != BAD


BAD = b"bad".ljust(64, b".")
GOOD = b"good".ljust(64, b".")


class Table:
    """Member ``own`` of ``n`` at a table; member v leads view v. Time is moved by hand."""

    def __init__(self, n: int = 4, own: int = 3, inside: int | None = None, **host: object) -> None:
        """``inside``: so many of the first are the committee; all if None."""
        self.n, self.own, self.now = n, own, START
        self.roster = Roster([Leaf(number) for number in range(n)], Epoch(0), {})  # type: ignore[arg-type]
        self.committee = frozenset(address(number) for number in range(n if inside is None else inside))
        self.host = FakeHost(q=Committee(self.committee).q, **host)  # type: ignore[arg-type]
        self.ledger = Ledger()
        self.round = self._make(self.ledger)
        self.said: list[object] = []
        self.events: list[object] = []

    def _make(self, ledger: Ledger) -> Round:
        made = Round(
            self.host,
            ledger=ledger,
            group_id=bytes(32),
            epoch=Epoch(0),
            head=HEAD,
            committee=Committee(self.committee),
            leaders=tuple(address(number) for number in range(self.n)),
            own=address(self.own),
            batch_window=WINDOW,
            base_time=T0,
        )
        self.host.round = made
        return made

    def _step(self, *calls: object) -> None:
        step = Step(self.now, channel_of(bytes(32)))
        for call in calls:
            call(step)  # type: ignore[operator]
        self.round.advance(step)
        self.said += [payload for _, payload in step.said]
        self.events += step.events

    def go(self) -> None:
        self._step()

    def wait(self, milliseconds: int) -> None:
        """Let time pass, acting at each deadline."""
        end = Instant(self.now + milliseconds)
        while (due := self.round.deadline(self.now)) is not None and due <= end:
            self.now = due
            self._step(self.round.repeat)
        self.now = end

    def offer(self, number: int, body: Candidate, acks: Iterable[RoundStatement] = (), **fields: object) -> None:
        """The offer of view ``number``, by its leader."""
        made = Offer(0, HEAD, number, body, (), tuple(acks), address(number % self.n), GOOD, ())
        self.receive_offer(replace(made, **fields))  # type: ignore[arg-type]

    def receive_offer(self, offer: Offer) -> None:
        self._step(lambda step: self.round.receive_offer(offer, step))

    def statement(self, number: int, kind: StatementKind, view: int, body: Candidate | None) -> RoundStatement:
        named = body.id if body is not None else NIL
        return RoundStatement(0, HEAD, view, named, b"", address(number), GOOD, int(kind))

    def hear(self, said_as: StatementKind, view: int, body: Candidate | None, *numbers: int, **fields: object) -> None:
        for number in numbers:
            if self.round.is_settled:
                return
            said = replace(self.statement(number, said_as, view, body), **fields)  # type: ignore[arg-type]
            self._step(lambda step, said=said: self.round.receive_statement(said, step))  # type: ignore[misc]

    def acks(self, view: int, body: Candidate, *numbers: int) -> list[RoundStatement]:
        return [self.statement(number, ACK, view, body) for number in numbers]

    def restart(self) -> None:
        self.ledger = Ledger(self.ledger.snapshot())
        self.round = self._make(self.ledger)
        self.round.load(self.now)
        self._step(self.round.repeat)

    def own_statements(self) -> list[tuple[int, int, bytes]]:
        """(kind, view, candidate) of what was said, each once, in order."""
        said = [(s.kind, s.view, s.candidate) for s in self.said if isinstance(s, RoundStatement)]
        return list(dict.fromkeys(said))

    @property
    def phase(self) -> Phase:
        return self.round.at.phase

    @property
    def view(self) -> int:
        return self.round.at.view


def at(phase: Phase) -> Table:
    """A member in view 0 at some phase: it has seen the offer of X and, when locked, a quorum of acks for it."""
    table = Table(work=phase is not Phase.IDLE)
    if phase is Phase.IDLE:
        return table
    table.go()
    if phase is Phase.WAITING:
        return table
    table.offer(0, X)
    if phase is Phase.LOCKED:
        table.hear(ACK, 0, X, 0, 1)
    assert table.phase is phase
    return table


# --- Guards -------------------------------------------------------------------------------------------------------

GUARDS = {
    "idle, and nothing happens": (Phase.IDLE, lambda t: t.go(), Phase.IDLE, 0),
    "idle, one member of four acks (f + 1 are two)": (Phase.IDLE, lambda t: t.hear(ACK, 0, X, 0), Phase.IDLE, 0),
    "idle, two members of four ack": (Phase.IDLE, lambda t: t.hear(ACK, 0, X, 0, 1), Phase.WAITING, 0),
    "idle, an acceptable offer": (Phase.IDLE, lambda t: t.offer(0, X), Phase.ACKED, 0),
    "waiting, an acceptable offer": (Phase.WAITING, lambda t: t.offer(0, X), Phase.ACKED, 0),
    "waiting, an offer for the next view": (Phase.WAITING, lambda t: t.offer(1, X), Phase.WAITING, 0),
    "waiting, the time of the view is not over": (Phase.WAITING, lambda t: t.wait(T0 + WINDOW - 1), Phase.WAITING, 0),
    "waiting, the time of the view is over": (Phase.WAITING, lambda t: t.wait(T0 + WINDOW), Phase.ACKED, 0),
    "acked, a quorum acked the same": (Phase.ACKED, lambda t: t.hear(ACK, 0, X, 0, 1), Phase.LOCKED, 0),
    "acked, one is missing": (Phase.ACKED, lambda t: t.hear(ACK, 0, X, 0), Phase.ACKED, 0),
    "acked, however long one is missing": (
        Phase.ACKED,
        lambda t: (t.hear(ACK, 0, X, 0), t.wait(600_000)),
        Phase.ACKED,
        0,
    ),
    "acked, a quorum acked, but not the same": (Phase.ACKED, lambda t: t.hear(ACK, 0, None, 0, 1), Phase.ACKED, 0),
    "acked, and half a view time later": (
        Phase.ACKED,
        lambda t: (t.hear(ACK, 0, None, 0, 1), t.wait(T0 // 2)),
        Phase.LOCKED,
        0,
    ),
    "acked, a quorum of nil": (Phase.ACKED, lambda t: t.hear(ACK, 0, None, 0, 1, 2), Phase.LOCKED, 0),
    "locked, a quorum of nil locks": (Phase.LOCKED, lambda t: t.hear(LOCK, 0, None, 0, 1, 2), Phase.WAITING, 1),
    "locked, a quorum of locks of some kind": (Phase.LOCKED, lambda t: t.hear(LOCK, 0, None, 0, 1), Phase.LOCKED, 0),
    "locked, and half a view time later": (
        Phase.LOCKED,
        lambda t: (t.hear(LOCK, 0, None, 0, 1), t.wait(T0 // 2)),
        Phase.WAITING,
        1,
    ),
    "locked, fewer locks than a quorum, however long": (
        Phase.LOCKED,
        lambda t: (t.hear(LOCK, 0, None, 0), t.wait(600_000)),
        Phase.LOCKED,
        0,
    ),
}


@pytest.mark.parametrize("case", GUARDS)
def test_a_transition_is_taken_exactly_when_its_guard_holds(case: str) -> None:
    phase, cause, then, view = GUARDS[case]
    table = at(phase)
    cause(table)
    assert (table.phase, table.view) == (then, view)


def test_every_transition_of_the_table_is_among_the_cases() -> None:
    seen = {(phase, then) for phase, _, then, _ in GUARDS.values() if phase is not then}
    seen |= {(Phase.LOCKED, Phase.IDLE)}  # test_a_round_without_work_comes_to_rest_in_the_next_view
    seen |= {(Phase.ACKED, Phase.IDLE)}  # test_a_member_whose_work_is_gone_rests_if_nobody_else_is_there
    assert {(transition.phase, transition.to) for transition in TRANSITIONS} <= seen


def test_in_a_crowd_each_repeats_more_rarely_and_not_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "CROWD", 2)
    times = set()
    for own in range(8):
        table = Table(n=8, own=own, work=True)
        table.go()
        repeat_at = table.round.at.repeat_at
        assert repeat_at is not None
        assert START + 4 * bounds.REPEAT_EVERY <= repeat_at < START + 8 * bounds.REPEAT_EVERY
        times.add(repeat_at)
    assert len(times) > 6


def test_whose_word_does_not_count_goes_along_without_a_word() -> None:
    """It takes the candidate, locks with the others, goes on with them, and merges: and signs nothing."""
    table = Table(n=5, own=4, inside=4)
    table.offer(0, X)
    assert table.phase is Phase.ACKED
    table.hear(ACK, 0, X, 0, 1, 2)
    assert (table.phase, table.own_statements()) == (Phase.LOCKED, [])
    table.hear(LOCK, 0, None, 0, 1, 2)
    table.wait(T0 // 2)
    assert (table.view, table.phase) == (1, Phase.WAITING)
    table.wait(2 * T0)
    assert (table.phase, table.own_statements()) == (Phase.ACKED, [])
    table.hear(LOCK, 0, X, 3)
    assert not table.host.settled
    table.restart()
    table.hear(LOCK, 1, X, 0, 1, 2)
    assert [settled[0] for settled in table.host.settled] == [X.id]


def test_those_outside_the_committee_draw_nobody_into_a_higher_view() -> None:
    table = Table(n=8, own=0, inside=4, work=True)
    table.go()
    for number in (4, 5, 6, 7):
        table.round._heard(address(number), View(3))
    table.go()
    assert table.view == 0
    for number in (1, 2):
        table.round._heard(address(number), View(3))
    table.go()
    assert table.view == 3


def test_an_idle_round_asks_for_no_time() -> None:
    assert Table().round.deadline(START) is None


def test_a_round_without_work_comes_to_rest_in_the_next_view() -> None:
    table = Table()
    table.hear(ACK, 0, None, 0, 1, 2)
    table.wait(T0 + WINDOW)
    table.hear(LOCK, 0, None, 0, 1, 2)
    assert (table.phase, table.view) == (Phase.IDLE, 1)
    assert table.round.deadline(table.now) is None


def test_a_round_at_rest_goes_on_in_the_view_in_which_it_stopped() -> None:
    table = Table()
    table.hear(ACK, 0, None, 0, 1, 2)
    table.wait(T0 + WINDOW)
    table.hear(LOCK, 0, None, 0, 1, 2)
    table.host.work = True
    table.restart()
    assert (table.phase, table.view) == (Phase.WAITING, 1)


@pytest.mark.parametrize("view", [0, 1, 5, 12, 13, 40])
def test_view_times_grow_to_six_times_the_first(view: int) -> None:
    assert Table().round.view_time(view) == T0 * min(10 + 4 * view, 60) // 10


def test_no_deadline_lies_in_the_past() -> None:
    table = Table(own=0, work=True)  # leads view 0, and can mint nothing
    table.go()
    table.wait(1)
    for _ in range(50):
        due = table.round.deadline(table.now)
        assert due is not None
        assert due > table.now
        table.wait(due - table.now)


# --- Leading ------------------------------------------------------------------------------------------------------


def test_the_first_leader_waits_for_more_work_before_it_offers() -> None:
    table = Table(own=0, work=True, mints=X)
    table.go()
    table.wait(WINDOW - 1)
    assert not table.round.offers
    table.wait(1)
    assert table.round.offers[View(0)].candidate == X
    assert table.phase is Phase.ACKED


@pytest.mark.parametrize("window", [300, 5_000, 20_000])
def test_nobody_gives_up_a_view_while_its_leader_still_collects_work(window: int) -> None:
    table = Table(work=True)
    table.round._batch_window = Duration(window)
    table.go()
    table.wait(window)
    assert table.phase is Phase.WAITING
    table.offer(0, X)
    assert table.own_statements() == [(ACK, 0, X.id)]


def test_a_leader_proposes_the_best_candidate_again_with_its_certificate() -> None:
    table = Table(own=1, work=True, mints=Y)
    table.go()
    table.offer(0, X)
    table.hear(ACK, 0, X, 0, 2)
    table.hear(LOCK, 0, None, 0, 2, 3)
    offer = table.round.offers[View(1)]
    assert offer.candidate == X
    assert {ack.member for ack in offer.certificate} == {address(0), address(1), address(2)}
    assert {ack.view for ack in offer.certificate} == {0}


def test_a_leader_whose_removal_is_all_the_work_is_not_waited_for() -> None:
    table = Table(work=True, all_about=address(0))
    table.go()
    assert table.own_statements() == [(ACK, 0, NIL)]


def test_an_invalid_offer_is_not_waited_for() -> None:
    table = Table(work=True, fresh={X.id: Verdict.INVALID})
    table.go()
    table.offer(0, X)
    assert table.own_statements() == [(ACK, 0, NIL)]


def test_an_offer_that_is_not_acceptable_yet_is_acked_once_it_is() -> None:
    table = Table(work=True, fresh={X.id: Verdict.NOT_YET})
    table.go()
    table.offer(0, X)
    assert table.phase is Phase.WAITING
    table.host.fresh = {}
    table.go()
    assert table.own_statements() == [(ACK, 0, X.id)]


def test_a_fresh_offer_is_judged_once_a_call_and_anew_in_the_next() -> None:
    table = Table(work=True, fresh={X.id: Verdict.NOT_YET})
    table.go()
    table.offer(0, X)
    assert table.host.judged == [X.id]
    table.go()
    assert table.host.judged == [X.id, X.id]


def test_a_fresh_candidate_counts_only_in_the_view_in_which_it_was_minted() -> None:
    table = Table(work=True, minted={X.id: View(3)})
    table.go()
    table.offer(0, X)
    assert table.phase is Phase.WAITING


OFFERS = {
    "by somebody who does not lead the view": ({"leader": address(2)}, Reason.NOT_ENTITLED),
    "that its leader did not sign": ({"signature": BAD}, Reason.FORGED),
    "for a view far ahead": ({"view": 20, "leader": address(0)}, Reason.LIMIT),
}


@pytest.mark.parametrize("case", OFFERS)
def test_an_offer_is_refused(case: str) -> None:
    fields, reason = OFFERS[case]
    table = Table()
    table.offer(0, X, **fields)
    assert [event.reason for event in table.events if isinstance(event, Rejected)] == [reason]
    assert not table.round.offers
    assert table.ledger.snapshot() == {}


def test_of_two_offers_of_one_leader_in_one_view_the_first_counts() -> None:
    table = at(Phase.WAITING)
    table.offer(0, X)
    table.offer(0, Y)
    assert table.round.offers[View(0)].candidate == X
    assert table.own_statements() == [(ACK, 0, X.id)]


# --- Locks and certificates ---------------------------------------------------------------------------------------


def locked_on_x() -> Table:
    """Locked on X in view 0, now in view 1."""
    table = at(Phase.LOCKED)
    table.hear(LOCK, 0, None, 0, 1)
    table.wait(T0 // 2)
    assert (table.view, table.round.at.lock, table.round.at.lock_view) == (1, X.id, 0)
    return table


def test_the_lock_survives_a_change_of_view() -> None:
    table = locked_on_x()
    table.offer(1, Y, leader=address(1))
    table.host.minted[Y.id] = View(1)
    table.wait(T0 * 14 // 10)
    assert table.own_statements()[-1] == (ACK, 1, NIL)


def test_the_locked_candidate_may_be_acked_again_without_a_certificate() -> None:
    table = locked_on_x()
    table.host.minted[X.id] = View(1)
    table.offer(1, X)
    assert table.own_statements()[-1] == (ACK, 1, X.id)


def test_a_candidate_certified_since_the_lock_is_acked_in_its_place() -> None:
    table = locked_on_x()
    table.hear(ACK, 1, None, 0, 1, 2)
    table.wait(60_000)
    table.hear(LOCK, 1, None, 0, 1, 2)
    table.offer(2, Y, table.acks(1, Y, 0, 1, 2))
    assert table.own_statements()[-1] == (ACK, 2, Y.id)


def test_a_candidate_certified_before_the_lock_is_not_acked_in_its_place() -> None:
    table = Table(work=True)
    table.go()
    table.hear(LOCK, 1, None, 0, 2)
    table.host.minted[X.id] = View(1)
    table.offer(1, X)
    table.hear(ACK, 1, X, 0, 2)
    assert (table.round.at.lock, table.round.at.lock_view) == (X.id, 1)
    table.wait(T0)
    assert table.view == 2
    table.offer(2, Y, table.acks(0, Y, 0, 1, 2))
    table.wait(60_000)
    assert (ACK, 2, NIL) in table.own_statements()
    assert (ACK, 2, Y.id) not in table.own_statements()


def in_view_one() -> Table:
    table = Table(work=True)
    table.go()
    table.hear(ACK, 1, None, 0, 2)
    assert (table.view, table.phase) == (1, Phase.WAITING)
    return table


def test_a_certified_candidate_is_acked_against_the_own_view() -> None:
    """Rule 7b: then own votes no longer matter."""
    table = in_view_one()
    table.host.fresh[X.id] = Verdict.NOT_YET
    table.offer(1, X, table.acks(0, X, 0, 1, 2))
    assert table.own_statements() == [(ACK, 1, X.id)]


CERTIFICATES = {
    "too few acks": lambda t: t.acks(0, X, 0, 1),
    "one member three times": lambda t: t.acks(0, X, 0, 0, 0),
    "acks for another candidate": lambda t: t.acks(0, Y, 0, 1, 2),
    "one ack for another candidate": lambda t: [*t.acks(0, X, 0, 1), *t.acks(0, Y, 2)],
    "acks of the same view": lambda t: t.acks(1, X, 0, 1, 2),
    "acks of a later view": lambda t: t.acks(2, X, 0, 1, 2),
    "acks of two views": lambda t: [*t.acks(0, X, 0, 1), replace(t.acks(0, X, 2)[0], view=3)],
    "locks in their place": lambda t: [replace(ack, kind=int(LOCK)) for ack in t.acks(0, X, 0, 1, 2)],
    "a forged ack": lambda t: [*t.acks(0, X, 0, 1), replace(t.acks(0, X, 2)[0], signature=BAD)],
    "acks of another state": lambda t: [replace(ack, head=b"h" * 32) for ack in t.acks(0, X, 0, 1, 2)],
    "acks of another epoch": lambda t: [replace(ack, epoch=9) for ack in t.acks(0, X, 0, 1, 2)],
}


@pytest.mark.parametrize("case", CERTIFICATES)
def test_a_candidate_proposed_again_needs_a_whole_certificate(case: str) -> None:
    table = in_view_one()
    table.offer(1, X, CERTIFICATES[case](table))
    table.wait(60_000)
    assert table.own_statements()[:1] == [(ACK, 1, NIL)]


def test_a_certificate_that_refuses_an_entry_is_worth_nothing() -> None:
    table = in_view_one()
    table.host.refused = {X.id}
    table.offer(1, X, table.acks(0, X, 0, 1, 2))
    table.wait(60_000)
    assert table.own_statements()[:1] == [(ACK, 1, NIL)]


def test_a_certified_candidate_with_a_structural_fault_is_not_acked() -> None:
    table = in_view_one()
    table.host.structure[X.id] = Verdict.INVALID
    table.offer(1, X, table.acks(0, X, 0, 1, 2))
    assert table.own_statements()[:1] == [(ACK, 1, NIL)]


def test_a_quorum_of_acks_that_refuse_an_entry_locks_nothing() -> None:
    table = at(Phase.ACKED)
    table.host.refused = {X.id}
    table.hear(ACK, 0, X, 0, 1)
    table.wait(T0 // 2)
    assert table.own_statements() == [(ACK, 0, X.id), (LOCK, 0, NIL)]
    assert table.round.at.lock == table.round.at.best == NIL


def test_best_is_the_candidate_of_the_highest_view_with_a_quorum_of_acks() -> None:
    table = in_view_one()
    table.offer(0, X)
    table.hear(ACK, 0, X, 0, 1, 2)
    assert (table.round.at.best, table.round.at.best_view) == (X.id, 0)
    table.host.minted[Y.id] = View(2)
    table.offer(2, Y)
    table.hear(ACK, 2, Y, 0, 1, 2)
    assert (table.round.at.best, table.round.at.best_view) == (Y.id, 2)
    table.offer(1, X, table.acks(0, X, 0, 1, 2))
    table.hear(ACK, 1, X, 0, 1, 2)
    assert (table.round.at.best, table.round.at.best_view) == (Y.id, 2)


def test_a_quorum_of_locks_settles_from_whatever_view_and_phase() -> None:
    for phase in Phase:
        table = at(phase)
        table.offer(0, X)
        table.hear(LOCK, 0, X, 0, 1, 2)
        assert [(settled, view) for settled, view, _ in table.host.settled] == [(X.id, 0)], phase
        assert table.ledger.snapshot() == {}


def test_a_certificate_of_a_past_view_still_settles() -> None:
    table = locked_on_x()
    table.hear(ACK, 7, None, 0, 1)
    assert table.view == 7
    table.hear(LOCK, 0, X, 2)
    assert not table.host.settled  # own lock and one more; the others locked nil
    table = at(Phase.WAITING)
    table.offer(0, X)
    table.hear(ACK, 7, None, 0, 1)
    table.hear(LOCK, 0, X, 0, 1, 2)
    assert [(settled, view) for settled, view, _ in table.host.settled] == [(X.id, 0)]


def test_locks_for_unknown_bytes_settle_once_the_bytes_are_here() -> None:
    table = at(Phase.WAITING)
    table.hear(LOCK, 0, X, 0, 1, 2)
    assert not table.host.settled
    table.offer(0, X)
    assert [settled for settled, _, _ in table.host.settled] == [X.id]


NO_CERTIFICATES = {
    "one lock too few": lambda t: t.hear(LOCK, 0, X, 0, 1),
    "locks of two views": lambda t: (t.hear(LOCK, 0, X, 0, 1), t.hear(LOCK, 1, X, 2)),
    "one lock for another candidate": lambda t: (t.hear(LOCK, 0, X, 0, 1), t.hear(LOCK, 0, Y, 2)),
    "acks": lambda t: t.hear(ACK, 0, X, 0, 1, 2),
    "a forged lock": lambda t: (t.hear(LOCK, 0, X, 0, 1), t.hear(LOCK, 0, X, 2, signature=BAD)),
    "one member twice": lambda t: (t.hear(LOCK, 0, X, 0, 1), t.hear(LOCK, 0, X, 1, choices=b"\x01")),
}


@pytest.mark.parametrize("case", NO_CERTIFICATES)
def test_nothing_less_than_a_certificate_settles(case: str) -> None:
    table = Table(fresh={X.id: Verdict.NOT_YET}, refused={X.id})
    table.offer(0, X)
    NO_CERTIFICATES[case](table)
    assert not table.host.settled


# --- Views --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "members", "view"), [(4, 1, 0), (4, 2, 5), (7, 2, 0), (7, 3, 5), (3, 1, 5)])
def test_f_plus_one_members_in_higher_views_are_followed(n: int, members: int, view: int) -> None:
    table = Table(n=n, own=n - 1, work=True)
    table.go()
    for number in range(members):
        table.hear(ACK, 5 + number, None, number)
    assert table.view == view


@pytest.mark.parametrize("far", [bounds.VIEWS_AHEAD_MAX, bounds.VIEWS_AHEAD_MAX + 1, 1_000, 2**40])
def test_members_are_followed_however_far_ahead_they_are(far: int) -> None:
    table = Table(work=True)
    table.go()
    table.hear(ACK, far, None, 0)
    assert table.view == 0
    table.hear(ACK, far, None, 1)
    assert table.view == far


def test_forged_statements_of_far_views_move_nobody() -> None:
    table = Table(work=True)
    table.go()
    table.hear(ACK, 1_000, None, 0, 1, 2, signature=BAD)
    assert table.view == 0


def test_what_is_said_in_views_far_ahead_is_not_kept() -> None:
    table = Table()
    for view in range(bounds.VIEWS_AHEAD_MAX + 1, bounds.VIEWS_AHEAD_MAX + 200):
        table.hear(ACK, view, X, 0)
        table.hear(LOCK, view, X, 0)
    assert table.ledger.snapshot() == {}


def test_of_where_members_are_no_more_is_kept_than_there_are_members() -> None:
    table = Table()
    for view in range(200):
        table.hear(ACK, 1_000 * view, None, 0)
    assert table.view == 0
    assert table.round._gathered == {View(199_000): 1}


def test_what_is_said_in_views_far_behind_is_not_kept() -> None:
    table = Table(work=True)
    table.go()
    table.hear(ACK, 500, None, 0, 1)
    before = table.ledger.snapshot()
    for view in range(500 - bounds.VIEWS_BEHIND_MAX):
        table.hear(ACK, view, X, 0)
        table.hear(LOCK, view, X, 0)
    assert table.ledger.snapshot() == before


def test_a_round_that_never_settles_keeps_a_bounded_number_of_statements_and_offers() -> None:
    table = Table(work=True)
    table.go()
    for view in range(200):
        table.offer(view, candidate(f"candidate {view}"))
        table.hear(ACK, view, None, 0, 1, 2)
        table.wait(60_000)
        table.hear(LOCK, view, None, 0, 1, 2)
        assert table.view == view + 1
    views = bounds.VIEWS_BEHIND_MAX + bounds.VIEWS_AHEAD_MAX + 1
    keys = table.ledger.snapshot()
    assert len([key for key in keys if key.startswith(b"round/statement/")]) <= 2 * 4 * views
    assert len([key for key in keys if key.startswith(b"round/offer/")]) <= bounds.CANDIDATES_KEPT_MAX
    assert len(table.round.candidates) == len(table.host.known) <= bounds.CANDIDATES_KEPT_MAX


def test_the_locked_and_the_best_candidate_are_kept_whatever_is_offered() -> None:
    table = locked_on_x()
    for view in range(1, 100):
        table.offer(view, candidate(f"candidate {view}"))
        table.hear(ACK, view + 1, None, 0, 1)
    assert table.view == 100
    assert X.id in table.round.candidates
    assert X.id in table.host.known
    assert len(table.round.supporters(ACK, 0, X.id)) == 3  # the certificate for proposing it again
    table.restart()
    assert X.id in table.round.candidates
    assert len(table.round.supporters(ACK, 0, X.id)) == 3


# --- Misuse -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ACK, LOCK])
def test_two_statements_of_one_member_in_one_view_are_reported_and_the_first_is_kept(kind: StatementKind) -> None:
    table = Table()
    table.hear(kind, 0, X, 0)
    table.hear(kind, 0, Y, 0)
    accused = [event for event in table.events if isinstance(event, Misbehaved)]
    assert [(event.member, event.what) for event in accused] == [
        (address(0), "signed two different statements in one view")
    ]
    assert table.round.statements(kind, 0)[address(0)].candidate == X.id
    table.restart()
    assert table.round.statements(kind, 0)[address(0)].candidate == X.id


def test_a_statement_that_is_said_again_is_nothing_new_whatever_its_signature() -> None:
    table = Table()
    table.hear(ACK, 0, X, 0)
    before = table.ledger.snapshot()
    table.hear(ACK, 0, X, 0, signature=BAD)
    assert (table.ledger.snapshot(), table.events) == (before, [])


def test_a_forged_second_statement_accuses_nobody() -> None:
    table = Table()
    table.hear(ACK, 0, X, 0)
    table.hear(ACK, 0, Y, 0, signature=BAD)
    assert not [event for event in table.events if isinstance(event, Misbehaved)]


STATEMENTS = {
    "of no known kind": ({"kind": 3}, Reason.INVALID),
    "of kind zero": ({"kind": 0}, Reason.INVALID),
    "about half a candidate id": ({"candidate": bytes(16)}, Reason.INVALID),
    "that its member did not sign": ({"signature": BAD}, Reason.FORGED),
}


@pytest.mark.parametrize("case", STATEMENTS)
def test_a_statement_is_refused(case: str) -> None:
    fields, reason = STATEMENTS[case]
    table = Table()
    table.hear(ACK, 0, X, 0, **fields)
    assert [event.reason for event in table.events if isinstance(event, Rejected)] == [reason]
    assert table.ledger.snapshot() == {}


# --- Durability ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [Phase.ACKED, Phase.LOCKED])
def test_after_a_restart_nothing_different_is_signed_in_the_same_view(phase: Phase) -> None:
    table = at(phase)
    before = table.own_statements()
    table.host.fresh = {X.id: Verdict.INVALID}
    table.restart()
    table.offer(0, Y)
    table.wait(60_000)
    assert table.own_statements()[: len(before)] == before
    once = [(kind, view) for kind, view, _ in table.own_statements()]
    assert len(set(once)) == len(once)


def test_after_a_restart_a_leader_offers_the_same_candidate_in_the_same_view() -> None:
    table = Table(own=0, work=True, mints=X)
    table.go()
    table.wait(WINDOW)
    table.host.mints = Y
    table.restart()
    table.wait(3_000)
    assert {offer.candidate.id for offer in table.said if isinstance(offer, Offer)} == {X.id}


def test_after_a_restart_the_lock_and_what_it_is_on_are_known() -> None:
    table = locked_on_x()
    table.host.locked, table.host.known = [], set()
    table.restart()
    assert table.host.known == {X.id}  # before it is asked about by its id
    assert table.host.locked == [X.id]
    assert (table.round.at.lock, table.round.at.lock_view, table.round.at.best) == (X.id, 0, X.id)


def test_after_a_restart_a_phase_still_ends_half_a_view_after_the_quorum() -> None:
    table = at(Phase.ACKED)
    table.hear(ACK, 0, None, 0, 1)
    table.restart()
    table.restart()
    table.wait(T0 // 2)
    assert table.phase is Phase.LOCKED
    table.hear(LOCK, 0, None, 0, 1)
    table.restart()
    table.wait(T0 // 2)
    assert table.view == 1


@pytest.mark.parametrize("phase", [Phase.ACKED, Phase.LOCKED])
def test_a_member_whose_work_is_gone_rests_if_nobody_else_is_there(phase: Phase) -> None:
    table = Table(work=True)
    table.go()
    table.wait(T0 + WINDOW)
    if phase is Phase.LOCKED:
        table.hear(ACK, 0, None, 0, 1, 2)
    assert table.phase is phase
    if phase is Phase.ACKED:
        table.host.work = False
        table.go()
        assert (table.phase, table.view) == (Phase.IDLE, 0)
        assert table.round.deadline(table.now) is None
        before = table.own_statements()
        table.hear(ACK, 0, X, 0, 1)  # f + 1 others: it takes part again, with the ack it gave
        assert table.phase is Phase.ACKED
        table.go()
        assert table.own_statements() == before
    else:
        table.host.work = False
        table.go()
        assert table.phase is Phase.LOCKED  # the others are here, the view goes on to its end


@pytest.mark.parametrize("own", [0, 3])
def test_who_acked_what_is_refused_then_rests_beside_one_other(own: int) -> None:
    """The leader, and who took its offer: the work is gone, and one more of four is too few to go on."""
    table = Table(work=True, own=own, mints=X)
    table.go()
    if own:
        table.offer(0, X)
    else:
        table.wait(WINDOW)
    table.hear(ACK, 0, X, 3 - own)
    assert table.phase is Phase.ACKED
    table.host.work = False
    table.host.fresh[X.id] = Verdict.NOT_YET
    before = table.own_statements()
    table.go()
    assert (table.phase, table.view) == (Phase.IDLE, 0)
    assert table.round.deadline(table.now) is None
    table.hear(ACK, 0, X, 1)
    assert table.phase is Phase.LOCKED, "they are a quorum now, with the ack that it gave"
    assert table.own_statements()[: len(before)] == before


def test_who_acked_what_is_still_good_waits() -> None:
    table = Table()
    table.offer(0, X)
    table.hear(ACK, 0, X, 0)
    assert table.phase is Phase.ACKED


def test_a_restart_hurries_nobody() -> None:
    table = at(Phase.WAITING)
    for _ in range(5):
        table.wait(T0 + WINDOW - 1)
        table.restart()
    assert table.phase is Phase.WAITING


def test_own_statements_are_repeated_while_a_round_is_open() -> None:
    table = at(Phase.ACKED)
    table.said.clear()
    table.wait(3 * bounds.REPEAT_EVERY)
    said = [(s.kind, s.view, s.candidate) for s in table.said if isinstance(s, RoundStatement)]
    assert said == [(ACK, 0, X.id)] * 3
