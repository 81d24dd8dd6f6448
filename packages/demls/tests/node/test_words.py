"""Do people read whole sentences that say what is going on?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from demls.node import commands, present
from demls.node.errors import CannotStart, Refused
from demls.node.present import Connection
from demls.node.settings import config_text, read_settings, same_relay
from demls.node.timeline import Context, entry, rows
from demls.protocol import events
from demls.protocol.policy import PRESETS
from demls.protocol.views import ProposalKind, ProposalStatus, ProposalView, RoundView
from demls.storage.store import TimelineEntry
from demls.wire.ids import Address, CandidateId, Epoch, Instant, ProposalId

ME, BOB, CAROL = (Address(bytes([number]) * 20) for number in (1, 2, 3))
NAMES = {ME: "Alice", BOB: "Bob", CAROL: ""}
PROPOSAL = ProposalId(b"p" * 32)


def proposal(**changes: Any) -> ProposalView:
    fields: dict[str, Any] = {
        "proposal_id": PROPOSAL,
        "kind": ProposalKind.REMOVE,
        "subject": BOB,
        "subject_name": "Bob",
        "owner": ME,
        "sponsor": None,
        "opened_at": Instant(0),
        "deadline": Instant(30_000),
        "silence_is_yes": True,
        "voters": 6,
        "needed": 4,
        "yes": 1,
        "no": 0,
        "silent": 5,
        "my_vote": True,
        "may_vote": True,
        "status": ProposalStatus.OPEN,
        "reason": "",
        "epoch": None,
    }
    return ProposalView(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({}, "Passes with 4 of 6; silence counts as yes when the time is up."),
        ({"silence_is_yes": False}, "Passes with 4 of 6; without them it is rejected when the time is up."),
        ({"voters": 1, "needed": 1}, "You are the only member; your vote decides."),
        ({"kind": ProposalKind.LEAVE}, "Leaving needs no vote; it happens with the next commit."),
    ],
)
def test_a_rule_is_one_sentence(changes: dict[str, Any], rule: str) -> None:
    assert present.rule_sentence(proposal(**changes)) == rule


@pytest.mark.parametrize(
    ("status", "reason", "epoch", "result"),
    [
        (ProposalStatus.OPEN, "", None, ""),
        (
            ProposalStatus.APPROVED,
            "Approved by vote: 4 yes, 0 no, 2 silent of 6.",
            None,
            "Approved by vote: 4 yes, 0 no, 2 silent of 6. The next commit carries it out.",
        ),
        (ProposalStatus.REJECTED, "Rejected by vote.", None, "Rejected by vote."),
        (ProposalStatus.WITHDRAWN, "Bob left", None, "Withdrawn: Bob left."),
        (ProposalStatus.COMMITTED, "Approved by vote.", 7, "Approved by vote. Carried out by the commit of epoch 7."),
    ],
)
def test_a_result_says_why(status: ProposalStatus, reason: str, epoch: int | None, result: str) -> None:
    assert present.result_sentence(proposal(status=status, reason=reason, epoch=epoch)) == result


def test_a_round_names_whom_it_waits_for() -> None:
    view = RoundView(is_open=True, view=1, leader=ME, needed=3, heard=2, missing=(BOB, CAROL))
    sentence = present.round_sentence(view, NAMES.__getitem__)
    assert sentence.startswith("The commit round waits for Bob and 0x030303…: 2 of the 3")
    busy = RoundView(is_open=True, view=1, leader=ME, needed=3, heard=2, missing=())
    assert present.round_sentence(busy, NAMES.__getitem__).startswith(
        "Alice is committing what was approved (attempt 2)"
    )


@pytest.mark.parametrize(
    ("connection", "state"),
    [
        (Connection(True, True), "waiting"),
        (Connection(True, False), "catching up"),
        (Connection(False, False), "offline"),
        (Connection(True, True, "The disk is full."), "offline"),
    ],
)
def test_being_in_sync_is_answered_in_words(connection: Connection, state: str) -> None:
    shown = present.joining("scope", "Friends", None, connection)
    assert shown.sync.state == state
    assert shown.sync.sentence.endswith(".")


def test_every_preset_is_explained() -> None:
    for policy in PRESETS.values():
        assert all(sentence.endswith(".") for sentence in present.policy_sentences(policy))
    assert "30 seconds" in present.policy_sentences(PRESETS["quick"])[0]
    assert "1 day" in present.policy_sentences(PRESETS["day"])[0]


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (events.Settled(Epoch(2), CandidateId(b"c"), ME, (BOB,), (), ()), ["Bob joined (epoch 2)."]),
        (
            events.Settled(Epoch(3), CandidateId(b"c"), ME, (), (BOB,), (PROPOSAL,)),
            ["Bob was removed by vote (epoch 3)."],
        ),
        (events.Settled(Epoch(3), CandidateId(b"c"), ME, (), (CAROL,), ()), ["0x030303… left (epoch 3)."]),
        (events.Settled(Epoch(4), CandidateId(b"c"), BOB, (), (), ()), ["Bob made a commit (epoch 4)."]),
        (events.Settled(Epoch(4), CandidateId(b"c"), ME, (), (ME,), ()), []),
        (events.VoteRecorded(PROPOSAL, ME, False), ["Your vote to remove Bob: no. It is final."]),
        (events.VoteRecorded(PROPOSAL, BOB, False), []),
        (events.ProposalOpened(PROPOSAL, ME), ["You propose to remove Bob."]),
        (events.ProposalDecided(PROPOSAL, False, False, "Rejected."), ["Decided not to remove Bob. Rejected."]),
        (events.ProposalWithdrawn(PROPOSAL, "Bob left"), ["The proposal to remove Bob was withdrawn: Bob left."]),
        (events.RequestReceived(b"r", CAROL, "Carol", BOB), ["Carol asks to join, invited by Bob."]),
        (
            events.MessagesMissing(BOB, 3, 3),
            ["A message of Bob has not arrived yet; the other members are asked for it."],
        ),
        (events.Removed(Epoch(5), by_own_wish=True), ["You left (epoch 5)."]),
        (events.Misbehaved(BOB, "signed twice"), ["Bob broke a rule: signed twice."]),
        (events.Rejected(events.Reason.FORGED, "x"), []),
        (events.Joined(Epoch(0)), ["You founded this group."]),
    ],
)
def test_an_event_becomes_a_line_in_plain_words(event: events.Event, lines: list[str]) -> None:
    context = Context(ME, NAMES.__getitem__, {PROPOSAL: proposal()})
    made = rows("scope", [event], context, Instant(5))
    told = [entry(TimelineEntry(1, row.scope, row.at, row.kind, row.body)).text for row in made]
    assert told == lines


def test_a_message_from_the_future_is_shown_as_of_now() -> None:
    message = events.MessageReceived(b"m", BOB, Epoch(1), "hello", Instant(10**15), 0)
    context = Context(ME, NAMES.__getitem__, {})
    (row,) = rows("scope", [message], context, Instant(5))
    assert row.at == 5


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("hello", commands.Say("hello")),
        ("//hello", commands.Say("/hello")),
        ("/BAN 0x" + "Ab" * 20, commands.Ban(Address(b"\xab" * 20))),
        ("/ban " + "ab" * 20 + " ", commands.Ban(Address(b"\xab" * 20))),
        ("/leave", commands.Leave()),
        ("/help me", commands.Help()),
    ],
)
def test_a_slash_begins_a_command(text: str, command: commands.Command) -> None:
    assert commands.parse(text) == command


@pytest.mark.parametrize("text", ["/", "/ban", "/ban 12", "/ban a b", "/leave now", "/dance"])
def test_a_command_that_is_none_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(Refused, match=r"\.$|…; “/help” explains\.$"):
        commands.parse(text)


def test_settings_come_from_the_command_line_the_environment_the_file_and_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(config_text({"name": "Ann “\\” 🦊", "relay": "ws://file:1", "device": "file"}))
    monkeypatch.setenv("DEMLS_DEVICE", "environment")
    monkeypatch.setenv("DEMLS_RELAY", "ws://environment:1")
    found = read_settings(config, relay="ws://given:1", name=None)
    assert (found.name, found.device, found.relay, found.api_port) == (
        "Ann “\\” 🦊",
        "environment",
        "ws://given:1",
        7374,
    )
    monkeypatch.delenv("DEMLS_RELAY")
    for wrong in ("relay = 'http://x'", "nothing = 1", "api_port = 70000", "= broken", r'name = "a\u0007"'):
        config.write_text(wrong)
        with pytest.raises(CannotStart, match=r"config\.toml"):
            read_settings(config)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ws://localhost:1", "ws://127.0.0.1:1/", True),
        ("wss://Relay.example", "wss://relay.example:443", True),
        ("ws://relay.example", "wss://relay.example", False),
        ("ws://a:1", "ws://a:2", False),
        ("ws://[::1", "ws://[::1", True),
    ],
)
def test_two_texts_may_name_one_relay(one: str, other: str, same: bool) -> None:
    assert same_relay(one, other) is same
