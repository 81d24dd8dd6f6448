"""Who accuses whom, what has to be shown, what follows? Emergencies in whole groups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from demls.protocol import policy as bounds
from demls.protocol.channel import unseal
from demls.protocol.emergencies import UNPROVEN
from demls.protocol.errors import RequestRefused, UnknownMember
from demls.protocol.events import Faulted, Misbehaved, Reason, Rejected, Unproven
from demls.protocol.items import Item
from demls.protocol.policy import PRESETS, SCORING
from demls.protocol.scores import Cause
from demls.protocol.state import GroupState
from demls.protocol.views import ProposalKind, ProposalStatus
from demls.wire.ids import Address
from demls.wire.messages import Candidate, Emergency, Offer, encode_message
from demls.wire.statements import DoubleStatement, DoubleVote, FaultyOffer, Proof, RoundStatement, StatementKind
from demls.wire.violations import Violation
from insider import Insider
from world import World

ACK, LOCK = StatementKind.ACK, StatementKind.LOCK
BELOW = Violation.SCORE_BELOW_THRESHOLD
FOUR = ("alice", "bob", "carol", "mallory")
SEVEN = ("alice", "bob", "carol", "dave", "erin", "frank", "mallory")


def group(*names: str, seed: int = 3) -> World:
    world = World(seed)
    world.group_of(*names)
    world.run(1_000)
    return world


@pytest.fixture
def world() -> World:
    return group(*FOUR)


def state(world: World, name: str) -> GroupState:
    return world.person(name).group._live()


def others(world: World, name: str) -> list[str]:
    return [person.name for person in world.members() if person.name != name]


def score(world: World, by: str, of: str) -> int:
    return state(world, by).scores.of(world.person(of).address, SCORING).points


def scores(world: World, of: str) -> set[int]:
    return {score(world, name, of) for name in others(world, of)}


def emergencies(world: World, name: str, *statuses: ProposalStatus) -> list[Item]:
    found = [item for item in state(world, name).governance.items.values() if isinstance(item.change, Emergency)]
    return [item for item in found if not statuses or item.status in statuses]


def vote(world: World, yes: bool, *names: str) -> None:
    """These members vote on every open emergency."""
    for name in names:
        for item in emergencies(world, name, ProposalStatus.OPEN):
            world.do(name, lambda group, it=item: group.vote(it.proposal_id, yes, world.now))  # type: ignore[misc]
    world.deliver()


def double_statement(insider: Insider, said_as: StatementKind = ACK, view: int = 0) -> DoubleStatement:
    return DoubleStatement(*(insider.statement(said_as, view, bytes([byte]) * 32) for byte in (1, 2)))


def double_vote(insider: Insider, proposal_id: bytes = b"p" * 32) -> DoubleVote:
    first, second = (insider.vote(proposal_id, yes).signed_vote for yes in (True, False))
    return DoubleVote(insider.epoch, first, second)


def accuse(
    accuser: Insider, violation: int, target: bytes, *acts: DoubleStatement | DoubleVote | FaultyOffer
) -> Emergency:
    """Says it to the group, in the accuser's name."""
    change = Emergency(violation, target, tuple(map(Proof, acts)), ())
    accuser.say(accuser.proposal(change, duration=PRESETS["quick"].emergency.duration))
    accuser.world.deliver()
    return change


def refusals(world: World, name: str) -> list[str]:
    return [event.detail for event in world.person(name).events if isinstance(event, Rejected)]


def broken_offer(leader: Insider, view: int, number: int) -> Offer:
    """An offer of bytes that are no commit, signed by their leader."""
    return leader.offer(Candidate(b"no commit %d" % number, b"", b"", b""), view)


def order(world: World) -> list[str]:
    return [world.name_of(member) for member in state(world, "alice").state.leaders]


def open_round(world: World, name: str, description: str = "something") -> None:
    """Work that all agree to, so that a round begins."""
    world.do(name, lambda group: group.change_settings(world.now, description=description))
    world.deliver()
    for other in others(world, name):
        for item in state(world, other).governance.items.values():
            if item.status is ProposalStatus.OPEN and not isinstance(item.change, Emergency):
                world.do(other, lambda group, it=item: group.vote(it.proposal_id, True, world.now))  # type: ignore[misc]


# --- From a fault to a removal --------------------------------------------------------------------------------------


def says_yes_and_no(world: World, name: str) -> None:
    insider = Insider(world, name)
    world.do("alice", lambda group: group.change_settings(world.now, description="both ways"))
    world.deliver()
    proposal = next(p for p in world.proposals("alice") if p.kind is ProposalKind.SETTINGS)
    for yes in (True, False):
        insider.say(insider.vote(proposal.proposal_id, yes))
    world.deliver()


def acks_two_candidates(world: World, name: str) -> None:
    insider = Insider(world, name)
    for said in (double_statement(insider).first, double_statement(insider).second):
        insider.say(said)
    world.deliver()


def offers_two_broken_commits(world: World, name: str) -> None:
    """In the views that it leads, one after the other; nobody else's offers get through before."""
    insider = Insider(world, name)
    led = [view for view in range(20) if order(world)[view % len(order(world))] == name][:2]
    world.hold = lambda person, envelope: envelope.sender != name and is_offer(world, envelope.payload)
    open_round(world, "alice")
    for number, view in enumerate(led):
        insider.say(broken_offer(insider, view, number))
    for _ in range(100):
        world.run(5_000)
        if emergencies(world, "alice"):
            break
    world.heal()


def is_offer(world: World, payload: bytes) -> bool:
    alice = state(world, "alice")
    opened = (unseal(channel, payload, alice.engine) for channel in alice.channels.values())
    return any(isinstance(message, Offer) for message in opened)


FALLS = {
    "who votes both ways": says_yes_and_no,
    "who acknowledges two candidates": acks_two_candidates,
    "who leads with two broken commits": offers_two_broken_commits,
}


@pytest.mark.parametrize("names", [FOUR, SEVEN], ids=["of four", "of seven"])
@pytest.mark.parametrize("case", FALLS)
def test_falling_to_the_threshold_leads_by_itself_to_a_vote_and_a_removal(case: str, names: tuple[str, ...]) -> None:
    world = group(*names)
    FALLS[case](world, "mallory")
    world.run(120_000)
    assert not world.person("mallory").is_member
    assert sorted(person.name for person in world.members()) == sorted(names[:-1])
    least = SCORING.start - len(names) * SCORING.lost_turn
    assert all(score(world, name, other) >= least for name in names[:-1] for other in names[:-1])
    assert len({world.person(name).group.view(world.now).authenticator for name in names[:-1]}) == 1


def test_the_accuser_is_rewarded_by_the_chain_when_the_removal_is_committed(world: World) -> None:
    acks_two_candidates(world, "mallory")
    (item,) = emergencies(world, "bob")
    accuser = world.name_of(item.proposal.owner)
    before = score(world, "carol", accuser)
    world.run(60_000)
    causes = [e.cause for e in state(world, "carol").scores.of(world.person(accuser).address, SCORING).history]
    assert Cause.UPHELD.value in causes
    assert score(world, "carol", accuser) >= before + SCORING.upheld


def test_the_accused_cannot_stop_it(world: World) -> None:
    acks_two_candidates(world, "mallory")
    vote(world, False, "mallory")
    world.run(60_000)
    assert not world.person("mallory").is_member


def test_the_members_can_stop_it_and_the_accuser_pays(world: World) -> None:
    acks_two_candidates(world, "mallory")
    (item,) = emergencies(world, "bob")
    accuser = world.name_of(item.proposal.owner)
    before = score(world, "mallory", accuser)
    vote(world, False, *(name for name in others(world, accuser) if name != "mallory"))
    world.run(5_000)
    assert [item.status for item in emergencies(world, "bob")] == [ProposalStatus.REJECTED]
    assert score(world, "mallory", accuser) == before - SCORING.rejected
    world.run(600_000)
    assert len(emergencies(world, "bob")) == 1, "it is not opened again"
    assert world.person("mallory").is_member


def test_after_a_no_it_takes_a_new_act_to_ask_again(world: World) -> None:
    acks_two_candidates(world, "mallory")
    vote(world, False, "alice", "bob", "carol")
    for name in ("alice", "bob"):
        world.restart(name)
    world.run(60_000)
    assert len(emergencies(world, "bob")) == 1
    insider = Insider(world, "mallory")
    for statement in (double_statement(insider, LOCK).first, double_statement(insider, LOCK).second):
        insider.say(statement)
    world.run(1_000)
    assert len(emergencies(world, "bob")) == 2
    world.run(60_000)
    assert not world.person("mallory").is_member


def test_an_emergency_that_too_few_said_yes_to_in_time_costs_nobody() -> None:
    """In a group of four with one member away and one accused, two are not enough, and nobody is to blame."""
    world = group(*FOUR)
    world.person("carol").online = False
    acks_two_candidates(world, "mallory")
    world.run(60_000)
    assert [item.status for item in emergencies(world, "bob")] == [ProposalStatus.REJECTED]
    assert min(score(world, "bob", "alice"), score(world, "alice", "bob")) >= SCORING.start
    assert world.person("mallory").is_member


# --- What has to be shown -------------------------------------------------------------------------------------------


def test_an_emergency_with_proofs_that_hold_is_voted_on(world: World) -> None:
    mallory = Insider(world, "mallory")
    accuse(Insider(world, "bob"), Violation.EQUIVOCATION, mallory.address, double_statement(mallory))
    for name in FOUR:
        (item,) = emergencies(world, name)
        assert item.status is ProposalStatus.OPEN


def unproven(world: World) -> dict[str, Emergency]:
    """Emergencies that bob might try against carol, who has done nothing."""
    mallory, bob, carol = (Insider(world, name) for name in ("mallory", "bob", "carol"))
    honest = carol.statement(ACK, 0, b"x" * 32)
    forged = replace(mallory.statement(ACK, 0, b"y" * 32), member=carol.address)
    target = carol.address

    def one(*acts: DoubleStatement | DoubleVote | FaultyOffer, violation: int = Violation.EQUIVOCATION) -> Emergency:
        return Emergency(violation, target, tuple(map(Proof, acts)), ())

    wrapped = bob.offer(Candidate(b"carol's commit", b"", b"", b""))
    offer = FaultyOffer(
        wrapped.epoch, wrapped.head, wrapped.view, wrapped.candidate.id, target, wrapped.signature, "V01"
    )
    return {
        "another member's double statement": one(double_statement(mallory)),
        "another member's double vote": one(double_vote(mallory)),
        "a forged second statement": one(DoubleStatement(honest, forged)),
        "the same statement twice": one(DoubleStatement(honest, honest)),
        "an offer that the accuser wrapped itself": one(offer, violation=Violation.BROKEN_COMMIT),
        "a good proof beside one about somebody else": one(double_statement(carol), double_statement(mallory)),
        "one small fault for a removal": one(double_statement(mallory), violation=BELOW),
        "another violation than is shown": one(double_statement(carol), violation=Violation.BROKEN_COMMIT),
        "a proof from the future": one(replace(double_vote(carol), epoch=99)),
        "a group that is not stuck": Emergency(Violation.DEADLOCK, b"", (), (bob.statement(ACK, 9, b""),)),
    }


UNPROVEN_CASES = [
    "another member's double statement",
    "another member's double vote",
    "a forged second statement",
    "the same statement twice",
    "an offer that the accuser wrapped itself",
    "a good proof beside one about somebody else",
    "one small fault for a removal",
    "another violation than is shown",
    "a proof from the future",
    "a group that is not stuck",
]


@pytest.mark.parametrize("case", UNPROVEN_CASES)
def test_an_emergency_is_refused_before_any_vote_and_costs_its_sender(case: str, world: World) -> None:
    change = unproven(world)[case]
    bob = Insider(world, "bob")
    before = {name: scores(world, name) for name in FOUR}
    said = bob.proposal(change, duration=30_000)
    for _ in range(3):
        bob.say(said)
    Insider(world, "mallory").say(said)  # said again by somebody else it counts no more
    world.deliver()
    for name in ("alice", "carol", "mallory"):
        assert not emergencies(world, name)
        assert UNPROVEN in refusals(world, name)
        assert [event.member for event in world.person(name).told(Unproven)][:1] == [bob.address]
        assert score(world, name, "bob") == min(before["bob"]) - SCORING.rejected
        assert world.person(name).group.view(world.now).frozen_until is None
    assert {name: scores(world, name) for name in ("alice", "carol", "mallory")} == {
        name: before[name] for name in ("alice", "carol", "mallory")
    }


def test_who_accuses_in_another_name_harms_nobody(world: World) -> None:
    mallory, carol = Insider(world, "mallory"), world.person("carol").address
    change = Emergency(Violation.EQUIVOCATION, world.person("bob").address, (Proof(double_statement(mallory)),), ())
    mallory.say(mallory.proposal(change, owner=carol))
    world.deliver()
    assert {score(world, name, "carol") for name in ("alice", "bob")} == {SCORING.start}
    assert not emergencies(world, "alice")


REFUSED = {
    "silence": Emergency(Violation.CENSORSHIP_INACTIVITY, b"c" * 20, (), ()),
    "nothing known": Emergency(77, b"c" * 20, (), ()),
    "nobody": Emergency(Violation.EQUIVOCATION, b"", (), ()),
    "a member without a proof": Emergency(BELOW, b"c" * 20, (), ()),
}


@pytest.mark.parametrize("case", REFUSED)
def test_there_is_no_emergency_about(case: str, world: World) -> None:
    bob = Insider(world, "bob")
    bob.say(bob.proposal(REFUSED[case], duration=30_000))
    world.deliver()
    assert not emergencies(world, "alice")
    assert world.person("alice").group.view(world.now).frozen_until is None


def test_one_act_counts_once_in_whichever_form_it_is_shown(world: World) -> None:
    gentle = World(3)
    gentle.group_of(*FOUR, policy=replace(PRESETS["quick"], scoring=replace(SCORING, equivocation=30)))
    mallory = Insider(gentle, "mallory")
    act = double_statement(mallory)
    for statement in (act.first, act.second, act.second, act.first):
        mallory.say(statement)
    gentle.deliver()
    assert scores(gentle, "mallory") == {70}
    for shown in (act, DoubleStatement(act.second, act.first)):
        accuse(Insider(gentle, "bob"), Violation.EQUIVOCATION, mallory.address, shown)
        gentle.run(40_000)
    assert scores(gentle, "mallory") <= {70, 72}
    assert [item.status for item in emergencies(gentle, "alice")] == [ProposalStatus.NOTED]
    causes = [e.cause for e in state(gentle, "alice").scores.of(gentle.person("bob").address, SCORING).history]
    assert causes.count(Cause.UPHELD.value) == 1, "and it is rewarded once"


# --- What cannot be judged here -------------------------------------------------------------------------------------


def faulty(world: World, leader: Insider, *views: int) -> list[FaultyOffer]:
    made = [broken_offer(leader, view, number) for number, view in enumerate(views)]
    return [FaultyOffer(o.epoch, o.head, o.view, o.candidate.id, o.leader, o.signature, "V01") for o in made]


def judge(world: World, proofs: Iterable[FaultyOffer], *names: str) -> None:
    """As if these nodes had been offered the candidates."""
    for name in names:
        for proof in proofs:
            state(world, name).court.judged(proof.head, proof.candidate, proof.check)  # type: ignore[arg-type]


def test_a_proof_that_cannot_be_judged_here_is_held_and_taken_up_later(world: World) -> None:
    mallory = Insider(world, "mallory")
    proofs = faulty(world, mallory, 0, 4)
    judge(world, proofs, "bob")
    accuse(Insider(world, "bob"), BELOW, mallory.address, *proofs)
    assert not emergencies(world, "alice")
    assert score(world, "alice", "bob") == SCORING.start, "it costs nothing"
    assert world.person("alice").group.view(world.now).frozen_until is None
    judge(world, proofs, "alice")
    world.do("alice", lambda group: group.tick(world.now))
    assert [item.status for item in emergencies(world, "alice")] == [ProposalStatus.OPEN]


def test_only_a_few_unconfirmed_emergencies_of_one_member_are_held(world: World) -> None:
    mallory = Insider(world, "mallory")
    proofs = faulty(world, mallory, 0, 4)
    for number in range(10):
        bob = Insider(world, "bob")
        change = Emergency(BELOW, mallory.address, tuple(map(Proof, proofs)), ())
        bob.say(bob.proposal(change, duration=30_000, created_at=number))
    world.deliver()
    held = state(world, "alice").emergencies.release_unconfirmed()
    assert len(held) == bounds.ELECTIONS_HELD_PER_MEMBER


def test_who_cannot_confirm_it_follows_a_quorum_that_has() -> None:
    """Five have judged the candidates, two have not: enough have seen it for the others to go along."""
    world = group(*SEVEN)
    mallory = Insider(world, "mallory")
    proofs = faulty(world, mallory, 0, 7)
    judge(world, proofs, "alice", "bob", "carol", "dave", "erin")
    accuse(Insider(world, "bob"), BELOW, mallory.address, *proofs)
    assert not emergencies(world, "frank")
    world.run(90_000)
    assert not world.person("mallory").is_member
    assert world.person("frank").is_member
    assert scores(world, "bob") == {score(world, "frank", "bob")}


def test_an_accusation_that_too_few_can_confirm_stops_no_work() -> None:
    """A leader shows broken candidates to one member only; that one's accusation fails, and everything goes on."""
    world = group(*FOUR)
    mallory = Insider(world, "mallory")
    proofs = faulty(world, mallory, 0, 4)
    judge(world, proofs, "bob")
    accuse(Insider(world, "bob"), BELOW, mallory.address, *proofs)
    world.person("mallory").online = False
    world.run(40_000)
    assert [item.status for item in emergencies(world, "bob")] == [ProposalStatus.REJECTED]
    open_round(world, "alice", "goes on")
    world.run(60_000)
    assert score(world, "bob", "bob") >= SCORING.start
    assert {world.person(name).group.view(world.now).description for name in FOUR[:3]} == {"goes on"}


# --- Nobody pays for another ----------------------------------------------------------------------------------------


def test_old_offers_that_are_said_again_accuse_who_says_them(world: World) -> None:
    """Every candidate is broken once its epoch is over. Who made it in time is not to blame for that."""
    open_round(world, "alice", "one")
    world.run(20_000)
    mallory = Insider(world, "mallory")
    carol_or_other = [p for p in mallory.overheard() if isinstance(p, Offer)][-1]
    maker = world.name_of(carol_or_other.leader)
    before = scores(world, maker)
    view = order(world).index("mallory")
    world.hold = lambda person, envelope: envelope.sender != "mallory" and is_offer(world, envelope.payload)
    open_round(world, "alice", "two")
    mallory.say(mallory.offer(carol_or_other.candidate, view))
    world.run(60_000)
    faults = [event for name in others(world, "mallory") for event in world.person(name).told(Faulted)]
    assert {event.member for event in faults} == {mallory.address}  # type: ignore[attr-defined]
    old = carol_or_other
    framed = FaultyOffer(old.epoch, old.head, old.view, old.candidate.id, old.leader, old.signature, "V01")
    accuse(mallory, Violation.BROKEN_COMMIT, old.leader, framed)
    assert not emergencies(world, "bob", ProposalStatus.OPEN)
    world.heal()
    world.run(30_000)
    assert min(scores(world, maker)) >= min(before) - SCORING.lost_turn


def test_two_who_conspire_cannot_make_a_third_guilty() -> None:
    """Whatever the two say, sign or repeat: without carol's own signature nothing is proven against her."""
    world = group(*SEVEN)
    one, two, carol = Insider(world, "mallory"), Insider(world, "frank"), Insider(world, "carol")
    open_round(world, "alice", "one")
    world.run(2_000)
    said = [p for p in one.overheard() if isinstance(p, RoundStatement) and p.member == carol.address]
    assert said
    honest = said[-1]
    for number, friend in enumerate((one, two)):
        for wrong in (
            replace(honest, candidate=b"f" * 32),
            replace(honest, candidate=b""),
            replace(friend.statement(ACK, honest.view, b"f" * 32), member=carol.address),
            friend.statement(ACK, honest.view, b"f" * 32, member=carol.address),
        ):
            friend.say(wrong)
            accuse(friend, Violation.EQUIVOCATION, carol.address, DoubleStatement(honest, wrong))
        bad = broken_offer(friend, number, number)
        friend.say(replace(bad, leader=carol.address))
        friend.say(friend.vote(b"p" * 32, yes=bool(number), voter=carol.address))
    world.run(60_000)
    assert min(scores(world, "carol")) >= SCORING.start
    assert world.person("carol").is_member
    for name in ("alice", "bob", "dave", "erin"):
        accused = [event.member for event in world.person(name).events if isinstance(event, Misbehaved | Faulted)]
        assert carol.address not in accused


def test_what_was_said_once_costs_once_however_often_others_repeat_it(world: World) -> None:
    acks_two_candidates(world, "mallory")
    before = {name: scores(world, name) for name in FOUR}
    for queue in list(world.log.values()):
        for envelope in list(queue)[-40:]:
            for topic in world.person("alice").group.topics():
                world.person("alice").group.receive(topic, envelope.payload, world.now)
    assert {name: scores(world, name) for name in FOUR} == before


def test_losing_a_round_costs_nothing_and_one_silence_costs_one_turn() -> None:
    world = group(*FOUR)
    first = order(world)[0]
    actor = next(name for name in FOUR if name != first)
    world.hold = lambda person, envelope: envelope.sender == first and is_offer(world, envelope.payload)
    open_round(world, actor, "without the first")
    world.run(40_000)
    world.heal()
    world.run(10_000)
    for name in others(world, first):
        address = world.person(first).address
        causes = [entry.cause for entry in state(world, name).scores.of(address, SCORING).history]
        assert causes.count(Cause.LOST_TURN.value) == 1
        assert set(causes) <= {Cause.LOST_TURN.value, Cause.COMMITTED.value}


# --- A group that is stuck ------------------------------------------------------------------------------------------


def nil_acks(world: World, view: int, *names: str) -> tuple[RoundStatement, ...]:
    return tuple(Insider(world, name).statement(ACK, view, b"") for name in names)


def deadlock(world: World, by: str, stuck: tuple[RoundStatement, ...], number: int = 0) -> None:
    insider = Insider(world, by)
    insider.say(
        insider.proposal(Emergency(Violation.DEADLOCK, b"", (), stuck), duration=30_000, created_at=world.now + number)
    )
    world.deliver()


def test_a_deadlock_is_a_quorum_of_nil_acks_past_the_last_steward_and_changes_nothing(world: World) -> None:
    before = [state(world, name).state for name in FOUR]
    deadlock(world, "bob", nil_acks(world, len(order(world)) - 1, "alice", "bob", "carol"))
    assert [item.status for item in emergencies(world, "alice")] == [ProposalStatus.OPEN]
    world.run(60_000)
    assert [item.status for item in emergencies(world, "alice")] == [ProposalStatus.NOTED]
    assert [state(world, name).state for name in FOUR] == before, "order and quorum follow from the chain"


NOT_STUCK = {
    "too few members": (3, ("alice", "bob")),
    "one member three times": (3, ("bob", "bob", "bob")),
}


@pytest.mark.parametrize("case", NOT_STUCK)
def test_a_deadlock_is_not_proven_by(case: str, world: World) -> None:
    view, names = NOT_STUCK[case]
    deadlock(world, "bob", nil_acks(world, view, *names))
    assert not emergencies(world, "alice")
    assert score(world, "alice", "bob") == SCORING.start - SCORING.rejected


def test_a_deadlock_needs_every_steward_to_have_had_its_turn(world: World) -> None:
    open_round(world, "alice", "a longer list")
    world.run(20_000)
    assert len(state(world, "alice").state.stewards.members) == len(FOUR)
    before = score(world, "alice", "bob")
    deadlock(world, "bob", nil_acks(world, 2, "alice", "bob", "carol"))
    assert not emergencies(world, "alice")
    assert score(world, "alice", "bob") == before, "it is no lie, only too early"
    deadlock(world, "bob", nil_acks(world, 3, "alice", "bob", "carol"))
    assert emergencies(world, "alice")


def test_one_deadlock_is_decided_at_a_time_and_a_late_one_has_no_effect(world: World) -> None:
    stuck = nil_acks(world, 3, "alice", "bob", "carol")
    for number in range(3):
        deadlock(world, "bob", stuck, number)
        deadlock(world, "carol", stuck, number)
    assert len(emergencies(world, "alice")) == 1
    world.run(60_000)
    deadlock(world, "carol", stuck, 9)
    assert [item.status for item in emergencies(world, "alice")] == [ProposalStatus.NOTED]
    open_round(world, "alice", "unstuck")
    world.run(20_000)
    deadlock(world, "carol", stuck, 10)
    assert len(emergencies(world, "alice")) == 1
    assert min(scores(world, "carol")) >= SCORING.start, "who is late has done nothing wrong"


# --- What people may ask for ------------------------------------------------------------------------------------------


def test_people_accuse_whom_their_node_can_prove_guilty() -> None:
    world = World(3)
    world.group_of(*FOUR, policy=replace(PRESETS["quick"], scoring=replace(SCORING, equivocation=40)))
    world.run(1_000)
    alice, mallory = world.person("alice"), world.person("mallory").address
    refused = {"no proof that mallory broke a rule": mallory, "cannot accuse yourself": alice.address}
    for words, member in refused.items():
        with pytest.raises(RequestRefused, match=words):
            alice.group.accuse(member, world.now)
    with pytest.raises(UnknownMember):
        alice.group.accuse(Address(bytes(20)), world.now)
    with pytest.raises(RequestRefused, match="There is no deadlock to be shown"):
        alice.group.report_deadlock(world.now)
    says_yes_and_no(world, "mallory")
    assert not emergencies(world, "alice")
    world.do("alice", lambda group: group.accuse(mallory, world.now))
    world.deliver()
    (item,) = emergencies(world, "bob", ProposalStatus.OPEN)
    assert (item.proposal.owner, item.change.target_member_id) == (alice.address, mallory)
    assert state(world, "bob").governance.vote_of(item, alice.address), "the own yes is said with it"
    with pytest.raises(RequestRefused, match="have decided, or are deciding"):
        alice.group.accuse(mallory, world.now)
    world.run(60_000)
    assert [item.status for item in emergencies(world, "bob")] == [ProposalStatus.NOTED]


@pytest.mark.parametrize("preset", PRESETS)
def test_by_no_policy_silence_is_consent_to_an_emergency(preset: str) -> None:
    policy = PRESETS[preset]
    assert not bounds.fault_of(policy)
    silent = replace(policy, emergency=replace(policy.emergency, silence_is_yes=True))
    assert bounds.fault_of(silent) == "Silence is no consent to an emergency."


# --- At once --------------------------------------------------------------------------------------------------------


def test_what_an_emergency_decides_is_committed_without_the_batch_window() -> None:
    world = World(3)
    world.group_of(*FOUR, policy=replace(PRESETS["quick"], batch_window=60_000, invite=PRESETS["quick"].invite))
    if len(world.members()) < len(FOUR):
        world.run(120_000)
    acks_two_candidates(world, "mallory")
    vote(world, True, "alice", "bob", "carol")
    world.run(3_000)
    assert not world.person("mallory").is_member


def test_the_removal_goes_with_other_approved_work_into_one_commit(world: World) -> None:
    says_yes_and_no(world, "mallory")
    for name in ("bob", "carol"):
        item = next(p for p in world.proposals(name) if p.kind is ProposalKind.SETTINGS)
        world.do(name, lambda group, it=item: group.vote(it.proposal_id, True, world.now))  # type: ignore[misc]
    epoch = world.person("alice").group.view(world.now).epoch
    world.run(60_000)
    view = world.person("alice").group.view(world.now)
    assert (view.epoch, view.description) == (epoch + 1, "both ways")
    assert not world.person("mallory").is_member


def test_a_proof_survives_a_restart(world: World) -> None:
    acks_two_candidates(world, "mallory")
    epoch = state(world, "bob").epoch
    before = state(world, "bob").emergencies.case_against(world.person("mallory").address, epoch, SCORING)
    world.restart("bob")
    after = state(world, "bob").emergencies.case_against(world.person("mallory").address, epoch, SCORING)
    assert list(map(encode_message, after)) == list(map(encode_message, before))
    assert before


def test_a_settled_commit_that_carries_an_emergency_is_followed_by_who_never_heard_of_it(world: World) -> None:
    world.person("carol").online = False
    acks_two_candidates(world, "mallory")
    world.person("carol").online = True
    world.lose = lambda person, envelope: person.name == "carol"
    vote(world, True, "alice", "bob", "mallory")
    world.lose = lambda person, envelope: False
    world.run(60_000)
    assert not world.person("mallory").is_member
    assert world.person("carol").is_member
    assert Reason.FORGED not in [e.reason for e in world.person("carol").events if isinstance(e, Rejected)]
