"""The fuzz targets with a few inputs each, the same ones every time; ``fuzz/run.py`` is for the millions."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from demls.protocol.events import (
    Event,
    KeysRenewed,
    MessageReceived,
    MessagesMissing,
    Rejected,
    Removed,
    Settled,
    Stranded,
)
from demls.protocol.repair import Repair
from demls.protocol.step import Step
from demls.protocol.stranding import Stranding
from demls.wire.messages import Frame, NothingKept, Proposal, Refresh, Resync, decode_message
from demls.wire.talk import ChatPlaces, ChatQuestion, SaidAgain

FUZZ = Path(__file__).parents[4] / "fuzz"
INPUTS = 200
FEWER = {
    **{"group": 120, "group-flood": 26, "group-raw": 60, "joining": 60, "returning": 40, "look-alike": 40},
    **{"inbox": 40, "keyfile": 60},
}
"""Where an input takes milliseconds. All seeds are among them."""

sys.path.insert(0, str(FUZZ))
TARGETS = importlib.import_module("targets").TARGETS
Judge = importlib.import_module("judge").Judge


@pytest.mark.parametrize("name", TARGETS)
def test_the_law_of_each_target_holds_for_its_seeds_and_for_changes_of_them(name: str) -> None:
    target = TARGETS[name]
    judge = Judge(name, target)
    data = b""

    def one(changed: bytes) -> None:
        nonlocal data
        data = changed
        judge.judge(changed)

    try:
        judge.loop(target.seeds(), one, inputs=FEWER.get(name, INPUTS))
    except BaseException:
        print(f"The input, {len(data)} bytes: {data.hex()}")
        raise


def test_made_up_welcomes_are_good_enough_to_be_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what lies behind the first check would never be reached."""
    founder = importlib.import_module("founder")
    joined: list[object] = []
    monkeypatch.setattr(founder, "_go_on", lambda group, *_: joined.append(group))
    seeds = founder.welcome_seeds()
    for seed in seeds:
        founder.attack_welcome(seed)
    assert len(joined) >= len(seeds) / 2


REACHED = {
    "a member is given a new seat": lambda event: isinstance(event, Settled) and bool(event.reseated),
    "the own seat has moved": lambda event: isinstance(event, Removed) and event.is_moved,
    "nobody keeps what the own node missed": lambda event: isinstance(event, Stranded),
    "keys are renewed": lambda event: isinstance(event, KeysRenewed),
    "a message is missing": lambda event: isinstance(event, MessagesMissing),
    "a message is said again": lambda event: isinstance(event, MessageReceived) and event.is_recovered,
    "an Update is looked into": lambda event: isinstance(event, Rejected) and "an Update leaves" in event.detail,
    "a request for a seat is looked into": lambda event: isinstance(event, Rejected) and "not there" in event.detail,
}


def test_made_up_messages_are_good_enough_to_get_past_the_first_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a victim tells its person shows how far the insiders' scripts come."""
    told: list[Event] = []
    target = TARGETS["group"]
    seeds = target.seeds()
    tell, refuse = Step.tell, Step.refuse
    monkeypatch.setattr(Step, "tell", lambda step, event: (told.append(event), tell(step, event)))
    monkeypatch.setattr(Step, "refuse", lambda step, *why: (told.append(Rejected(*why)), refuse(step, *why)))
    for seed in seeds:
        target.check(seed)
    missing = [name for name, is_it in REACHED.items() if not any(map(is_it, told))]
    assert not missing


def test_every_kind_of_message_and_change_is_among_the_scripts() -> None:
    frames = [decode_message(frame, Frame).payload for frame in importlib.import_module("scene").scene().one_of_each]
    changes = {type(frame.change.payload) for frame in frames if isinstance(frame, Proposal)}
    assert {NothingKept, ChatQuestion, SaidAgain, ChatPlaces} <= {type(frame) for frame in frames}
    assert {Resync, Refresh} <= changes


def test_questions_and_answers_about_messages_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """With good signatures they come to the heart of the handler, or the insiders would ask in vain."""
    genuine: list[str] = []
    is_genuine = Repair._is_genuine

    def note(repair: Repair, kind: str, *rest: Any) -> bool:
        found = is_genuine(repair, kind, *rest)
        genuine.extend([kind] if found else [])
        return found

    monkeypatch.setattr(Repair, "_is_genuine", note)
    answered: list[object] = []
    answer = Stranding.answer
    monkeypatch.setattr(Stranding, "answer", lambda *given: (answered.append(given), answer(*given)))
    for seed in TARGETS["group"].seeds():
        TARGETS["group"].check(seed)
    assert set(genuine) == {"question", "places"}
    assert answered


def test_whoever_waits_for_a_new_seat_gets_it_from_its_group_and_from_a_look_alike() -> None:
    returners = importlib.import_module("returners")
    came: list[bool] = []

    class Watched(returners.Return):
        def finish(self) -> None:
            came.append(not self.is_waiting)
            super().finish()

    for attack, seeds in (
        (returners.attack_returning, returners.returning_seeds()),
        (returners.attack_look_alike, returners.look_alike_seeds()),
    ):
        came.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(returners, "Return", Watched)
            for seed in seeds:
                attack(seed)
        assert sum(came) >= len(seeds) / 2


def test_the_fuzzer_runs_over_all_targets_in_a_few_seconds() -> None:
    command = [sys.executable, str(FUZZ / "run.py"), "--seconds", "5"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stdout[-4_000:] + run.stderr[-4_000:]
    assert f"{len(TARGETS)} targets" in run.stdout
    assert "0 failures" in run.stdout
