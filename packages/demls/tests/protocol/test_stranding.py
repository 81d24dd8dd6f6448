"""When does a node believe that nobody can help it any more? Each threshold from both sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from demls.protocol import policy as bounds
from demls.protocol.asking import Asking
from demls.protocol.events import Reason, Rejected, Stranded
from demls.protocol.policy import MINUTE
from demls.protocol.state import GroupState
from demls.protocol.step import Step
from demls.protocol.stranding import NOTHING_KEPT_LABEL, Stranding
from demls.wire.ids import Address, Epoch, Instant
from demls.wire.messages import Digest, NothingKept
from world import World

SEVEN = ("ann", "ben", "cem", "dia", "eve", "fay", "gus")


class Behind:
    """The first of some members, whom the others tell that they keep nothing from its epoch on."""

    def __init__(self, count: int) -> None:
        self.world = World()
        self.names = SEVEN[:count]
        self.world.group_of(*self.names)
        self.state = self.state_of(self.names[0])
        self.stranding = Stranding(self.state, Asking(self.state))
        self.begun = self.now = Instant(self.world.now + MINUTE)
        self.told: list[Stranded] = []
        self.refused: list[Reason] = []

    def in_epoch(self, epoch: int) -> None:
        """The first goes on to another epoch."""
        self.state.channels[Epoch(epoch)] = self.state.channel
        self.state.state = replace(self.state.state, epoch=Epoch(epoch))

    def state_of(self, name: str) -> GroupState:
        return self.world.person(name).group._live()

    def notice(self, name: str, **changes: Any) -> NothingKept:
        """Signed by this member, whatever it says."""
        state = self.state_of(name)
        says = NothingKept(self.state.epoch, self.state.own, self.state.epoch + 5, state.own, bytes(64))
        says = replace(says, **changes)
        return replace(says, signature=state.sign(NOTHING_KEPT_LABEL, says.content(self.state.group_id)))

    def hear(self, notice: NothingKept, after: int = 0) -> list[object]:
        """What the node says when a notice has come, and the time that has gone by since."""
        step = self._step(after)
        self.stranding.receive(notice, step)
        return self._act(step)

    def wait(self, after: int) -> list[object]:
        return self._act(self._step(after))

    def _step(self, after: int) -> Step:
        self.now = Instant(self.begun + after)
        return Step(self.now, self.state.channel)

    def _act(self, step: Step) -> list[object]:
        self.stranding.act(step)
        self.told += [event for event in step.events if isinstance(event, Stranded)]
        self.refused += [event.reason for event in step.events if isinstance(event, Rejected)]
        return [payload for _, payload in step.said]

    @property
    def is_stranded(self) -> bool:
        return self.stranding.is_stranded


# --- How many have to say so --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("members", "enough"), [(2, 1), (3, 1), (4, 2), (6, 2), (7, 3)])
def test_more_members_have_to_say_so_than_may_be_malicious(members: int, enough: int) -> None:
    behind = Behind(members)
    others = behind.names[1:]
    for name in others[: enough - 1]:
        behind.hear(behind.notice(name))
        behind.hear(behind.notice(name, oldest=behind.state.epoch + 6))  # saying it twice makes it no truer
        assert not behind.is_stranded
    behind.hear(behind.notice(others[enough - 1]))
    assert behind.is_stranded
    assert [event.epoch for event in behind.told] == [behind.state.epoch]


def test_people_are_told_once() -> None:
    behind = Behind(4)
    for name in behind.names[1:]:
        behind.hear(behind.notice(name))
    behind.wait(bounds.STRANDED_AFTER)
    assert len(behind.told) == 1
    assert behind.stranding.deadline() is None


def test_whoever_counts_no_longer_does_not_count_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many may be malicious is a share of those who count; sleepers are not among them."""
    behind = Behind(4)
    seat = behind.state.roster.seat
    sleeping = {behind.state_of(name).own for name in ("ben", "cem")}

    def with_sleepers(member: bytes) -> Any:
        found = seat(member)
        return replace(found, dormant=True) if found is not None and found.address in sleeping else found

    monkeypatch.setattr(behind.state.roster, "seat", with_sleepers)
    behind.hear(behind.notice("ben"))
    behind.hear(behind.notice("cem"))
    behind.hear(behind.notice("dia"))
    assert not behind.is_stranded
    behind.wait(bounds.STRANDED_AFTER)
    assert behind.is_stranded


# --- What counts --------------------------------------------------------------------------------------------------

BEHIND_NOTHING: dict[str, dict[str, int]] = {
    "of an earlier epoch": {"epoch": -1},
    "of a later epoch": {"epoch": 1},
    "that keeps the end of this epoch": {"oldest": -5},
    "that keeps the ends of all epochs": {"oldest": -6},
}


@pytest.mark.parametrize("case", BEHIND_NOTHING)
def test_a_notice_says_nothing(case: str) -> None:
    behind = Behind(3)
    right = behind.notice("ben")
    shifted = {name: getattr(right, name) + by for name, by in BEHIND_NOTHING[case].items()}
    assert behind.hear(behind.notice("ben", **shifted)) == []
    assert behind.stranding.deadline() is None
    behind.wait(bounds.STRANDED_AFTER)
    assert not behind.is_stranded


def test_the_first_epoch_after_the_own_one_is_too_late_already() -> None:
    behind = Behind(3)
    behind.hear(behind.notice("ben", oldest=behind.state.epoch + 1))
    assert behind.is_stranded


def test_what_is_said_to_somebody_else_says_nothing() -> None:
    behind = Behind(3)
    behind.hear(behind.notice("ben", asked_by=behind.state_of("cem").own))
    assert behind.stranding.deadline() is None


def test_what_its_member_did_not_sign_is_refused() -> None:
    behind = Behind(3)
    for forged in (
        replace(behind.notice("ben"), member=behind.state_of("cem").own),
        replace(behind.notice("ben"), oldest=behind.state.epoch + 6),
        replace(behind.notice("ben"), signature=bytes(64)),
    ):
        assert behind.hear(forged) == []
    assert behind.refused == [Reason.FORGED] * 3
    assert behind.stranding.deadline() is None


# --- Strangers, and time ------------------------------------------------------------------------------------------


def stranger(behind: Behind) -> NothingKept:
    return behind.notice("ben", member=b"n" * 20)


def test_strangers_are_never_enough_but_make_it_ask() -> None:
    behind = Behind(3)
    for number in range(20):
        said = behind.hear(behind.notice("ben", member=bytes([number]) * 20))
        assert len([one for one in said if isinstance(one, Digest)]) == (2 if number == 0 else 0)
    assert not behind.is_stranded


def test_it_asks_its_own_members_once_a_minute() -> None:
    behind = Behind(4)
    times = (1, MINUTE - 1, MINUTE, MINUTE + 1, 2 * MINUTE - 1, 2 * MINUTE)
    asked = [bool(behind.hear(stranger(behind))), *(bool(behind.wait(after)) for after in times)]
    assert asked == [True, False, False, True, False, False, True]


def test_it_asks_one_after_the_other() -> None:
    behind = Behind(4)
    said = behind.hear(stranger(behind))
    for minute in (1, 2):
        said += behind.wait(minute * MINUTE)
    assert len({one.asked for one in said if isinstance(one, Digest)}) == 3


def test_ten_minutes_of_silence_decide() -> None:
    behind = Behind(4)
    behind.hear(stranger(behind))
    behind.wait(bounds.STRANDED_AFTER - 1)
    assert not behind.is_stranded
    behind.wait(bounds.STRANDED_AFTER)
    assert behind.is_stranded


def test_the_silence_is_counted_from_the_first_notice() -> None:
    behind = Behind(4)
    behind.hear(stranger(behind))
    behind.hear(behind.notice("ben"), 9 * MINUTE)
    assert not behind.is_stranded
    behind.wait(10 * MINUTE)
    assert behind.is_stranded


@pytest.mark.parametrize(("later", "is_stranded"), [(-1, True), (0, True), (1, False)])
def test_a_member_heard_since_ends_it(later: int, is_stranded: bool) -> None:
    behind = Behind(4)
    behind.hear(stranger(behind))
    behind.state.heard_at = Instant(behind.begun + later)
    behind.wait(bounds.STRANDED_AFTER)
    assert behind.is_stranded is is_stranded
    assert behind.stranding.deadline() is None


def test_after_that_everything_begins_anew() -> None:
    behind = Behind(4)
    behind.hear(behind.notice("ben"))
    behind.state.heard_at = Instant(behind.begun + 1)
    behind.wait(2)
    behind.hear(behind.notice("cem"), 3)
    assert not behind.is_stranded  # two of three in all, but not since somebody was heard
    behind.hear(behind.notice("ben"), 4)
    assert behind.is_stranded


def test_in_another_epoch_it_is_forgotten() -> None:
    behind = Behind(3)
    behind.hear(behind.notice("ben"))
    assert behind.is_stranded
    behind.in_epoch(behind.state.epoch + 1)
    behind.wait(1)
    assert not behind.is_stranded
    assert behind.stranding.deadline() is None


def test_when_it_has_something_to_do_is_said() -> None:
    behind = Behind(4)
    assert behind.stranding.deadline() is None
    behind.hear(stranger(behind))
    assert behind.stranding.deadline() == behind.begun + MINUTE
    behind.wait(9 * MINUTE + 30_000)
    assert behind.stranding.deadline() == behind.begun + bounds.STRANDED_AFTER


# --- What is told to others ---------------------------------------------------------------------------------------


def answers(behind: Behind, after: int, member: bytes = b"a" * 20, epoch: int = 0) -> list[NothingKept]:
    step = behind._step(after)
    behind.stranding.answer(Address(member), Epoch(epoch), step)
    assert all(channel == behind.state.rendezvous for channel, _ in step.said)
    return [payload for _, payload in step.said if isinstance(payload, NothingKept)]


def test_each_member_is_answered_every_half_minute_at_most() -> None:
    behind = Behind(3)
    assert len(answers(behind, 0)) == 1
    assert answers(behind, bounds.NOTHING_KEPT_EVERY - 1) == []
    assert len(answers(behind, bounds.NOTHING_KEPT_EVERY - 1, b"b" * 20)) == 1
    assert len(answers(behind, bounds.NOTHING_KEPT_EVERY)) == 1
    assert answers(behind, bounds.NOTHING_KEPT_EVERY + 1) == []


def test_who_was_answered_is_forgotten_again() -> None:
    behind = Behind(3)
    for number in range(50):
        answers(behind, 0, bytes([number]) * 20)
    answers(behind, bounds.NOTHING_KEPT_EVERY)
    assert len(behind.stranding._told) == 1


def test_an_answer_names_the_first_epoch_whose_end_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    behind = Behind(3)
    behind.in_epoch(7)
    kept: set[int] = set()
    monkeypatch.setattr(behind.state.history, "leaving", lambda epoch: epoch if epoch in kept else None)
    (nothing,) = answers(behind, 0)
    assert nothing.oldest == behind.state.epoch
    kept |= {3, 4}
    (some,) = answers(behind, MINUTE)
    assert (some.epoch, some.oldest, some.asked_by, some.member) == (0, 3, b"a" * 20, behind.state.own)
    content = some.content(behind.state.group_id)
    own_key = behind.state.device.leaf_key
    assert behind.state.engine.verify(own_key, NOTHING_KEPT_LABEL, content, some.signature)


def test_what_one_says_the_other_believes() -> None:
    """Both halves fit: a notice as it is made is a notice as it is read."""
    behind = Behind(3)
    teller = behind.state_of("ben")
    step = behind._step(0)
    Stranding(teller, Asking(teller)).answer(behind.state.own, behind.state.epoch, step)
    ((_, notice),) = step.said
    assert isinstance(notice, NothingKept)
    assert notice.oldest == behind.state.epoch  # of one epoch all have everything, so it means nothing
    behind.hear(notice)
    assert not behind.is_stranded
    behind.hear(behind.notice("ben", oldest=notice.oldest + 1))
    assert behind.is_stranded
