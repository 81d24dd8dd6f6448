"""Bad members act in every way that is known, and whoever looks on notices what that must never bring about."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from demls.protocol import policy as bounds
from demls.protocol.effects import Effects
from demls.protocol.emergencies import Emergencies
from demls.protocol.events import (
    Event,
    Faulted,
    Frozen,
    Misbehaved,
    ProposalOpened,
    ScoreChanged,
    Settled,
    Unproven,
)
from demls.protocol.evidence import Court
from demls.protocol.scores import Cause
from demls.protocol.views import ProposalStatus
from demls.simulation.adversaries import candidates, sabotage
from demls.simulation.adversaries.accusations import FALSE
from demls.simulation.adversaries.candidates import FAULTS, Workshop
from demls.simulation.adversaries.mind import Mind, Parcel
from demls.simulation.adversaries.sabotage import STRATEGIES
from demls.simulation.innocence import Innocence
from demls.simulation.inside import held_by
from demls.simulation.limits import Limits
from demls.simulation.run import Life
from demls.simulation.scenario import Scenario
from demls.simulation.world import Broken, Watcher, World
from demls.wire.ids import Address, CandidateId, Epoch, Instant, ProposalId, View
from demls.wire.messages import Candidate, Change, Emergency, Leave, Offer, Remove
from demls.wire.statements import DoubleVote, Proof
from demls.wire.violations import Violation

QUIET = replace(bounds.QUICK, batch_window=5_000)
"""A leader waits for more work, so that commits carry several things."""
PROPOSAL = ProposalId(b"p" * 32)

SETS: dict[str, tuple[str, ...]] = {
    "leaders": ("equivocating leader", "false history", "voting both ways", "replays"),
    "faulty": ("faulty candidates", "double signing", "false votes", "misled newcomers"),
    "stuffing": ("stuffed offers", "late votes", "acking nil", "forged names", "garbage", "false questions"),
    "accusers": ("re-wrapped offers", "refusing to ack", "false accusations", "framing", "bogus deadlocks"),
    "freezing": ("withholding", "true accusations", "endless emergencies", "old accusations", "proposal spam"),
    "silent": ("silent",),
    "elections": ("bogus elections", "useless welcomes"),
    "seats": ("false seats",),
}


def live(*names: str, seed: int = 3, minutes: int = 5, to_the_end: bool = False) -> Life:
    """Some minutes of a group of seven, of whom two follow these strategies; or until each has acted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sabotage, "_MIXTURES", (names,))
        patch.setattr(sabotage, "_DRAWN_SHARE", 0.0)
        patch.setattr(sabotage, "_PAUSES", (2_000,))
        drawn = Scenario.draw(seed, "model", 7)
        life = Life(replace(drawn, adversaries=2, policy=QUIET, pace=4_000))
        life._found()
        life.sabotage.start()
        life.people.live()
        end = life.world.clock.now + minutes * bounds.MINUTE
        while life.world.clock.now < end and (to_the_end or life.sabotage.acts.keys() != set(names)):
            life.world.clock.run(life.world.clock.now + 5_000)
        return life


@pytest.mark.parametrize("names", SETS.values(), ids=SETS)
def test_every_strategy_acts(names: tuple[str, ...]) -> None:
    """And no promise breaks meanwhile: whoever looks on would raise."""
    acted: set[str] = set()
    for seed in range(4, 10):
        if acted != set(names):
            acted |= live(*names, seed=seed, minutes=3).sabotage.acts.keys()
    assert acted == set(names)


def test_the_sets_hold_every_strategy() -> None:
    assert {name for names in SETS.values() for name in names} == STRATEGIES.keys()
    assert {name for names in sabotage._MIXTURES for name in names} <= STRATEGIES.keys()


def test_every_fault_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader makes all that it can, another goes out in each view; whoever looks on would raise if one counted."""
    made: set[str] = set()

    def make_all(mind: Mind, offer: Offer) -> Candidate | None:
        shop = Workshop(mind, offer)
        found = {name: fault(shop) for name, fault in FAULTS.items()} if shop.work else {}
        good = {name: it for name, it in found.items() if it is not None and it.id != offer.candidate.id}
        made.update(good)
        return mind.dice.choice([it for name, it in sorted(good.items())]) if good else None

    monkeypatch.setattr(candidates, "_faulty", make_all)
    for seed in range(3, 12):
        if made != FAULTS.keys():
            live("faulty candidates", seed=seed, minutes=2, to_the_end=True)
    assert made == FAULTS.keys()


# --- Innocent members ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def group() -> Life:
    """A group of seven in which two do only what a test says."""
    life = live(minutes=1, to_the_end=True)
    life.people.is_resting = True
    life.world.clock.run(life.world.clock.now + 2 * bounds.MINUTE)
    return life


@pytest.mark.parametrize("name", FALSE)
def test_a_false_case_is_never_voted_on(group: Life, name: str) -> None:
    """Innocence would raise; and nobody honest knows it as one to vote on."""
    world, mind = group.world, next(mind for mind in group.sabotage.minds.values() if mind.is_acting)
    target = mind.innocents()[0]
    emergency = Emergency(Violation.SCORE_BELOW_THRESHOLD, target, FALSE[name](mind, target), ())
    proposal = mind.proposal(emergency)
    group.sabotage._say(mind, [Parcel(proposal), Parcel(mind.vote(proposal.id, yes=True))], "a test")
    world.clock.run(world.clock.now + 5_000)
    honest = [node.state for node in world.members() if not node.is_adversary and node.state is not None]
    assert honest
    assert all(proposal.id not in state.governance.items for state in honest)


def test_a_court_that_checks_no_signature_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Court, "_fault_of_signature", lambda *_: None)
    with pytest.raises(Broken, match=r"P7: .* lets members vote on an emergency"):
        live("false accusations", to_the_end=True)


def test_work_that_waits_for_one_emergency_after_another_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Emergencies, "must_wait", lambda *_: False)
    monkeypatch.setattr(bounds, "FREEZE_MAX", 40_000)

    def some_lives() -> None:
        for seed in range(3, 12):
            live("endless emergencies", seed=seed, minutes=6, to_the_end=True)

    with pytest.raises(Broken, match=r"P6: .* waits again before"):
        some_lives()


# --- Whoever looks on -----------------------------------------------------------------------------------------------


@pytest.fixture
def world() -> World:
    """Ann has founded a group, ben is honest, too; cem is bad."""
    made = World(Scenario.draw(1, "model", 4))
    for name in ("ann", "ben", "cem"):
        made.add(name)
    made.found("ann")
    made.nodes["cem"].is_adversary = True
    return made


def see(watcher: Watcher, world: World, *events: Event, who: str = "ann") -> None:
    watcher.stepped(world.nodes[who], Effects(events=events), None)


def settled(world: World, *left: str) -> Settled:
    gone = tuple(world.nodes[name].address for name in left)
    return Settled(Epoch(1), CandidateId(bytes(32)), gone[0], (), gone, (PROPOSAL,), View(0))


def carrying(monkeypatch: pytest.MonkeyPatch, change: Change, subject: Address) -> None:
    """What every proposal is from now on."""
    case = change, subject, subject, Epoch(0), 0
    monkeypatch.setattr("demls.simulation.innocence.change_of", lambda *_: case)


def test_an_emergency_against_an_innocent_member_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ben, cem = world.nodes["ben"].address, world.nodes["cem"].address
    carrying(monkeypatch, Emergency(Violation.SCORE_BELOW_THRESHOLD, cem, (), ()), cem)
    see(Innocence(world), world, ProposalOpened(PROPOSAL, ben))
    carrying(monkeypatch, Emergency(Violation.SCORE_BELOW_THRESHOLD, ben, (), ()), ben)
    see(Innocence(world), world, ProposalOpened(PROPOSAL, cem), who="cem")
    with pytest.raises(Broken, match="P7: ann lets members vote on an emergency by cem against ben"):
        see(Innocence(world), world, ProposalOpened(PROPOSAL, cem))


def test_an_innocent_member_that_is_out_without_a_vote_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ben, cem = world.nodes["ben"].address, world.nodes["cem"].address
    gone = settled(world, "ben")
    for change in (Remove(ben), Leave()):
        carrying(monkeypatch, change, ben)
        see(Innocence(world), world, ProposalOpened(gone.carried[0], ben), gone)
    carrying(monkeypatch, Emergency(Violation.SCORE_BELOW_THRESHOLD, cem, (), ()), cem)
    see(Innocence(world), world, settled(world, "cem"))
    with pytest.raises(Broken, match="P7: ben is out"):
        see(Innocence(world), world, settled(world, "ben"))


def test_a_score_that_falls_for_nothing_is_noticed(world: World) -> None:
    ben, cem = world.nodes["ben"].address, world.nodes["cem"].address

    def moved(after: int, cause: Cause, member: Address = ben) -> ScoreChanged:
        return ScoreChanged(member, 100, after, cause.value)

    for harmless in (
        moved(50, Cause.LOST_TURN),
        moved(110, Cause.COMMITTED),
        moved(0, Cause.EQUIVOCATION, cem),
    ):
        see(Innocence(world), world, harmless)
    for cause in (Cause.BROKEN_COMMIT, Cause.BROKEN_PROPOSAL, Cause.MISBEHAVING, Cause.EQUIVOCATION, Cause.UNPROVEN):
        with pytest.raises(Broken, match="P7: ann's score of ben falls to 90"):
            see(Innocence(world), world, moved(90, cause))
    with pytest.raises(Broken, match="for lost turns alone"):
        see(Innocence(world), world, moved(49, Cause.LOST_TURN))


def test_a_rejected_emergency_costs_only_who_opened_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, watcher = world.nodes["ann"].address, Innocence(world)
    rejected = ScoreChanged(ann, 100, 50, Cause.REJECTED.value)
    carrying(monkeypatch, Emergency(Violation.SCORE_BELOW_THRESHOLD, world.nodes["cem"].address, (), ()), ann)
    see(watcher, world, ProposalOpened(PROPOSAL, ann))
    see(watcher, world, rejected)
    with pytest.raises(Broken, match="for an emergency that it never opened"):
        see(watcher, world, rejected)


def test_an_innocent_member_that_is_accused_is_noticed(world: World) -> None:
    proof = Proof(DoubleVote(0, b"yes", b"no"))
    ben, cem = world.nodes["ben"].address, world.nodes["cem"].address
    see(Innocence(world), world, Misbehaved(cem, "", proof), Faulted(cem, "V01", "", proof), Unproven(cem, PROPOSAL))
    for event in (Misbehaved(ben, "", proof), Faulted(ben, "V01", "", proof), Unproven(ben, PROPOSAL)):
        with pytest.raises(Broken, match="P7: ann accuses ben"):
            see(Innocence(world), world, event)


def frozen(world: World, length: int = bounds.FREEZE_MAX) -> Frozen:
    return Frozen(True, Instant(world.clock.now + length))


def test_a_freeze_that_does_not_end_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Broken, match="P6: ann means to wait"):
        see(Limits(world), world, frozen(world, bounds.FREEZE_MAX + 1))
    monkeypatch.setattr(Emergencies, "is_frozen", lambda *_: True)
    watcher = Limits(world)
    see(watcher, world, frozen(world))
    world.clock.run(world.clock.now + bounds.FREEZE_MAX - 1)
    see(watcher, world)
    world.clock.run(world.clock.now + 1)
    with pytest.raises(Broken, match="P6: ann waits for emergencies since 600000 ms"):
        see(watcher, world)


def test_a_freeze_before_what_the_last_one_held_up_is_committed_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ben, thawed = world.nodes["ben"].address, Frozen(False, Instant(0))
    work = SimpleNamespace(change=Remove(ben), proposal_id=PROPOSAL, status=ProposalStatus.APPROVED)
    state = world.nodes["ann"].state
    assert state is not None
    monkeypatch.setattr(state.governance, "approved", lambda: [work])
    monkeypatch.setitem(state.governance.items, PROPOSAL, work)
    monkeypatch.setattr("demls.simulation.limits.held_by", lambda state: ())
    see(Limits(world), world, frozen(world), thawed, settled(world, "ben"), frozen(world))
    with pytest.raises(Broken, match="P6: ann waits again"):
        see(Limits(world), world, frozen(world), thawed, frozen(world))


def test_what_is_held_is_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    state = world.nodes["ann"].state
    assert state is not None
    counted = list(held_by(state))
    assert len({what for what, _, _ in counted}) == len(counted) - 1
    assert all(count <= most for _, count, most in counted)
    monkeypatch.setattr("demls.simulation.limits.held_by", lambda state: [("stones", 9, 8)])
    with pytest.raises(Broken, match="P6: ann holds 9 stones, at most 8"):
        see(Limits(world), world)
