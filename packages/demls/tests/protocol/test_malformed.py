"""Whatever a malicious leader offers: every honest member refuses it by its number, and nobody is named wrongly."""

from __future__ import annotations

from typing import TypeVar

import pytest
from bad_leader import Scene, both, invite, own_wish, removal, settings, wish, with_a_leave
from demls.protocol.checks import Check, Verdict
from demls.protocol.events import Reason, Rejected
from demls.wire.messages import Candidate
from malformed import CASES, Case, sound

T = TypeVar("T")
FEW = list({case.check: case for case in reversed(CASES)}.values())
"""One for each check."""


def named(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: f"{case.check.value} {case.name}")


def begin(case: Case, size: int = 4) -> tuple[Scene, Candidate]:
    """The bad leader's turn has come, and this is what it offers."""
    scene = Scene(size, case.place)
    case.going_on(scene)
    candidate = case.make(scene)
    if case.reads is not None:
        scene.read_as(candidate, case.reads(scene))
    scene.world.run(case.wait)
    scene.mark()
    return scene, candidate


def numbers(case: Case, scene: Scene) -> dict[str, str]:
    """Which check finds it, at each of the honest."""
    own = scene.leaders[1] if case.stolen else ""
    unsure = scene.leaders[-case.accomplice] if case.accomplice else ""
    return {name: Check.STAGES.value if name == own else case.check.value for name in scene.honest if name != unsure}


def of_all(scene: Scene, found: dict[str, list[T]]) -> dict[str, list[T]]:
    """At the others, nothing."""
    return {name: found.get(name, []) for name in scene.honest}


def check_refused(case: Case, scene: Scene, candidate: Candidate, who: str) -> None:
    """By all the honest, by its number alone; ``who`` signed the offer."""
    if case.verdict is Verdict.INVALID:
        found = numbers(case, scene).items()
        assert scene.refused() == of_all(scene, {name: [check] for name, check in found})
        assert scene.named() == of_all(scene, {name: [(who, check)] for name, check in found})
    else:
        assert scene.findings(candidate) == {(case.check, Verdict.NOT_YET)}
        assert not any(scene.refused().values())
        assert not any(scene.named().values())
    assert not scene.acked(candidate)


def check_goes_on(case: Case, scene: Scene, candidate: Candidate, who: str) -> None:
    """What was decided is done, everybody is together, and nobody else was ever named."""
    epoch = scene.insider.epoch
    scene.go_on()
    assert scene.is_together()
    assert scene.world.members()[0].group.view(scene.world.now).epoch > epoch
    assert not scene.acked(candidate)
    is_fault = case.verdict is Verdict.INVALID
    found = numbers(case, scene).items() if is_fault else ()
    assert scene.named() == of_all(scene, {name: [(who, check)] for name, check in found})


@named(CASES)
def test_what_a_bad_leader_offers_is_refused_by_all(case: Case) -> None:
    scene, candidate = begin(case)
    scene.offer(candidate, case.place, shows_votes=case.shows_votes)
    check_refused(case, scene, candidate, scene.bad)
    check_goes_on(case, scene, candidate, scene.bad)


@named(FEW)
def test_it_is_the_same_in_a_group_of_five(case: Case) -> None:
    scene, candidate = begin(case, size=5)
    scene.offer(candidate, case.place, shows_votes=case.shows_votes)
    check_refused(case, scene, candidate, scene.bad)
    check_goes_on(case, scene, candidate, scene.bad)


@named(CASES)
def test_a_copy_names_whoever_signed_it(case: Case) -> None:
    """The bad leader never says it; the next one does, under a forged name and then in its own view."""
    scene, candidate = begin(case)
    copier, view = scene.leaders[case.place + 1], case.place + 1
    scene.offer(candidate, case.place, by=copier, leader=scene.insider.address)
    for name in scene.honest:
        told = [event.reason for event in scene.told(scene.world.person(name)) if isinstance(event, Rejected)]
        assert told == [Reason.FORGED]
    scene.offer(candidate, view, by=copier)
    scene.world.run(20_000)
    check_goes_on(case, scene, candidate, copier)


def test_a_sound_candidate_of_a_later_view_is_not_acknowledged_now() -> None:
    """The bad leader leads view 4 as well; minted for that view, all before it would have lost their turns."""
    scene = Scene()
    removal(scene)
    candidate = sound(scene, view=4)
    scene.mark()
    scene.offer(candidate, 0)
    assert scene.findings(candidate) == {None}
    assert not any(scene.named().values())
    scene.go_on()
    assert not scene.acked(candidate)
    assert not any(scene.named().values())
    assert scene.is_together()


def test_a_sound_candidate_lands() -> None:
    """The builder's own: else nothing above would prove anything."""
    for going_on in (removal, invite, both, settings, with_a_leave, wish, own_wish):
        scene = Scene()
        going_on(scene)
        candidate = sound(scene)
        scene.mark()
        scene.offer(candidate, 0)
        assert scene.acked(candidate)
        assert not any(scene.refused().values())
        epochs = {person.group.view(scene.world.now).epoch for person in scene.world.members()}
        assert max(epochs) == scene.insider.epoch + 1


def test_every_check_has_a_case() -> None:
    assert {case.check for case in CASES} == set(Check)
    assert len({(case.check, case.name) for case in CASES}) == len(CASES)
