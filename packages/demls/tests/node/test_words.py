"""Do people read whole sentences that say what is going on?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from demls.api.models import PolicyChange, RuleChange
from demls.api.models import TimelineEntry as Line
from demls.node import cards, commands, policies, present
from demls.node.errors import CannotStart, Refused
from demls.node.present import Connection
from demls.node.recovery import waiting_words
from demls.node.settings import config_text, read_settings, same_relay
from demls.node.timeline import Context, entry, rows
from demls.node.words import time_words
from demls.protocol import events
from demls.protocol.policy import COUNCIL, DAY, DAY_POLICY, PRESETS, SCORING
from demls.protocol.scores import Cause
from demls.protocol.views import (
    MemberView,
    ProposalKind,
    ProposalStatus,
    ProposalView,
    RequestView,
    ScoreEntry,
    SuccessorView,
)
from demls.storage.store import TimelineEntry
from demls.wire.charters import Charter, Rule
from demls.wire.ids import Address, CandidateId, Epoch, Instant, View
from demls.wire.links import invite_text, new_invite
from demls.wire.statements import FaultyOffer, Proof
from demls.wire.violations import Violation
from demls_consensus import Share
from sights import (
    BOB,
    CAROL,
    FRIENDS,
    ME,
    NAMES,
    NOON,
    PROPOSAL,
    card,
    commit_round,
    group,
    member_view,
    proposal,
    shown,
)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({}, "Passes with 4 of 6 votes, two thirds of the members; silence counts as yes at 12:00:30."),
        (
            {"silence_is_yes": False},
            "Passes with 4 of 6 votes, two thirds of the members; without them it is rejected at 12:00:30.",
        ),
        (
            {"deadline": NOON + DAY},
            "Passes with 4 of 6 votes, two thirds of the members; silence counts as yes at 12:00 on 16 January.",
        ),
        (
            {"decided_by_stewards": True, "voters": 64, "needed": 43},
            "Passes with 43 of 64 votes, two thirds of the stewards; "
            "what they have not decided at 12:00:30 goes to all members.",
        ),
        (
            {"needed": 5},
            "Passes with 5 of 6 votes, three quarters of the members; silence counts as yes at 12:00:30.",
        ),
        (
            {"kind": ProposalKind.ELECTION, "silence_is_yes": False, "retry_round": 1},
            "Passes with 4 of 6 votes, two thirds of the members; without them it is rejected at 12:00:30. "
            "Nodes vote on this by themselves. It was tried once before.",
        ),
        ({"voters": 2, "needed": 2}, "Passes with 2 of 2 votes; silence counts as yes at 12:00:30."),
        ({"voters": 1, "needed": 1}, "One member decides."),
        ({"kind": ProposalKind.LEAVE}, "Leaving needs no vote; it happens with the next commit."),
        (
            {"kind": ProposalKind.EMERGENCY, "silence_is_yes": False},
            "Passes with 4 of 6 votes, two thirds of the members; without them it is rejected at 12:00:30.",
        ),
    ],
)
def test_a_rule_is_said_in_words(changes: dict[str, Any], rule: str) -> None:
    assert card(**changes).rule == rule


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"kind": ProposalKind.INVITE}, "Admit Bob"),
        ({}, "Remove Bob"),
        ({"kind": ProposalKind.LEAVE}, "Bob leaves"),
        ({"kind": ProposalKind.DORMANT}, "Count Bob no longer: not heard for 14 days"),
        ({"kind": ProposalKind.AWAKE}, "Count Bob again: heard once more"),
        (
            {"kind": ProposalKind.ELECTION, "stewards": (BOB, ME, CAROL)},
            "Elect the stewards Bob, Alice and 0x030303…, in this order",
        ),
        ({"kind": ProposalKind.ELECTION, "stewards": (BOB,)}, "Elect Bob as the only steward"),
        (
            {"kind": ProposalKind.EMERGENCY, "violation": Violation.EQUIVOCATION, "removes": True},
            "Remove Bob at once: has signed two different things",
        ),
        (
            {"kind": ProposalKind.EMERGENCY, "violation": Violation.BROKEN_COMMIT},
            "Note that Bob has offered a broken commit",
        ),
        (
            {"kind": ProposalKind.EMERGENCY, "violation": Violation.DEADLOCK},
            "Note that the stewards have not committed for a whole round",
        ),
    ],
)
def test_a_title_says_what_would_change(changes: dict[str, Any], title: str) -> None:
    assert card(**changes).title == title


def charter(name: str = "Friends", description: str = "", **policy: Any) -> Charter:
    return Charter(1, "demls", name, description, bytes(32), replace(DAY_POLICY, **policy))


THREE_QUARTERS = Rule(DAY, False, Share.THREE_QUARTERS.code)


@pytest.mark.parametrize(
    ("after", "title", "first"),
    [
        (
            charter("Enemies", remove=THREE_QUARTERS),
            "Rename the group to “Enemies”, removals need three quarters",
            ("name", "Name", "Friends", "Enemies"),
        ),
        (
            charter(remove=THREE_QUARTERS, dormant_after=0),
            "Change the settings: removals need three quarters, every member always counts",
            ("remove.share", "Removals, share", "two thirds", "three quarters"),
        ),
        (
            charter(invite=Rule(2 * DAY, False), stewards_max=9),
            "Change the settings: votes on admissions last 2 days, silence on admissions is no yes, at most 9 stewards",
            ("invite.duration_ms", "Admissions, time to vote", "1 day", "2 days"),
        ),
        (charter(description="We read."), "Change the description", ("description", "Description", "", "We read.")),
        (
            replace(charter(), policy=replace(COUNCIL, preset="day")),
            "Change the settings: the stewards decide admissions, the stewards decide removals, "
            "votes on removals last 2 days, at least 64 stewards, 1 more change",
            ("invite.decided_by", "Admissions, decided by", "the members", "the stewards"),
        ),
        (
            charter(batch_window=0, delivery_time=1500, reelections_max=1, stewards_min=2, dormant_after=DAY),
            "Change the settings: at least 2 stewards, commits wait 0 milliseconds for more, "
            "what is sent is expected within 1500 milliseconds, elections are tried again at most once, 1 more change",
            ("stewards_min", "Fewest stewards", "1", "2"),
        ),
        (charter(), "Change the settings", None),
    ],
)
def test_a_settings_card_says_what_differs(after: Charter, title: str, first: tuple[str, str, str, str] | None) -> None:
    shown = card(kind=ProposalKind.SETTINGS, settings=after)
    assert shown.title == title
    found = [(one.field, one.label, one.before, one.after) for one in shown.differences]
    assert found[:1] == ([] if first is None else [first])


def test_a_settings_card_that_was_carried_out_remembers_what_differed() -> None:
    view = proposal(kind=ProposalKind.SETTINGS, settings=charter("Enemies"))
    known = {PROPOSAL: cards.what_changes(view, FRIENDS, {})}
    done = replace(view, status=ProposalStatus.COMMITTED, epoch=Epoch(4))
    now = policies.Agreed("Enemies", "", DAY_POLICY)
    assert cards.proposal(done, now, NAMES.__getitem__, known).title == "Rename the group to “Enemies”"
    assert cards.proposal(done, now, NAMES.__getitem__).title == "Change the settings"


def test_nobody_is_asked_for_a_vote_that_nodes_cast_by_themselves() -> None:
    shown = card(kind=ProposalKind.ELECTION, my_vote=None, may_vote=True, stewards=(BOB,))
    assert (shown.by_nodes, shown.may_vote, shown.stewards[0].name) == (True, False, "Bob")
    assert card(my_vote=None, may_vote=True).may_vote


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
        (ProposalStatus.NOTED, "Approved by vote.", None, "Approved by vote. It is noted; there is nothing to commit."),
        (ProposalStatus.WITHDRAWN, "Bob left", None, "Withdrawn: Bob left."),
        (ProposalStatus.COMMITTED, "Approved by vote.", 7, "Approved by vote. Carried out by the commit of epoch 7."),
    ],
)
def test_a_result_says_why(status: ProposalStatus, reason: str, epoch: int | None, result: str) -> None:
    assert cards.result_sentence(proposal(status=status, reason=reason, epoch=epoch)) == result


@pytest.mark.parametrize(
    ("changes", "waiting", "sentence"),
    [
        ({"is_open": False}, "", ""),
        (
            {},
            "",
            "Alice is committing what was approved (attempt 2). 2 of the 3 needed members have answered.",
        ),
        (
            {"missing": (BOB, CAROL, ME), "short": 2, "view": 0},
            "waiting for 2 of: Bob, 0x030303…, Alice",
            "Alice is committing what was approved. The commit round is waiting for 2 of: Bob, 0x030303…, Alice.",
        ),
        (
            {"leader": BOB, "leader_is_steward": False},
            "",
            "The stewards are silent; Bob commits in their place. 2 of the 3 needed members have answered.",
        ),
        (
            {"leader": None},
            "",
            "A commit of what was approved is under way (attempt 2). 2 of the 3 needed members have answered.",
        ),
    ],
)
def test_a_round_says_who_commits_and_for_whom_it_waits(changes: dict[str, Any], waiting: str, sentence: str) -> None:
    shown = present.commit_round(commit_round(**changes), NAMES.__getitem__)
    assert (shown.waiting, shown.sentence) == (waiting, sentence)


def test_whom_a_round_waits_for_is_counted_when_they_are_many() -> None:
    many = tuple(Address(bytes([number]) * 20) for number in range(12))
    words = waiting_words(many, 5, lambda address: f"M{address[0]}")
    assert words == "waiting for 5 of: M0, M1, M2, M3, M4, M5, M6, M7, M8, M9, 2 more"


def test_stewards_are_shown_in_the_order_of_turns() -> None:
    seen = shown()
    assert [one.name for one in seen.stewards] == ["Bob", "", "Alice"]
    assert seen.stewards_sentence == (
        "Bob, 0x030303… and Alice take turns, in this order; the list serves until epoch 7."
    )
    assert (seen.members, seen.counted, seen.dormant) == (4, 3, 1)
    used_up = shown(epoch=Epoch(8)).stewards_sentence
    assert used_up.endswith("the list is used up since epoch 7 and goes round until there is a new one.")
    alone = shown(stewards=(ME,), epoch_steward=ME, backup_steward=None)
    assert alone.stewards_sentence.startswith("Alice is the only steward;")
    assert shown(stewards=(), epoch_steward=None, stewards_until=None).stewards_sentence == ""


def test_a_halted_group_says_so_everywhere() -> None:
    seen = shown(is_halted=True)
    assert "successor" in seen.halted
    assert seen.sync.state == "waiting"
    assert present.summary(seen, None).halted
    assert not shown().halted


def test_successors_and_strangers_are_shown_with_what_to_do() -> None:
    link = new_invite(
        group_id=b"g" * 32,
        group_name="Friends II",
        rendezvous=bytes(32),
        relay="ws://x",
        token=bytes(16),
        expires=1,
        issuer=BOB,
        signature=bytes(64),
    )
    seen = shown(
        successors=(
            SuccessorView(BOB, "Friends II", invite_text(link)),
            SuccessorView(CAROL, "", ""),
            SuccessorView(ME, "", ""),
            SuccessorView(BOB, "x", "damaged"),
        ),
        requests=(
            RequestView(b"r" * 32, CAROL, "Carol", BOB, Instant(0), needs_sponsor=True),
            RequestView(b"s" * 32, CAROL, "Carol", BOB, Instant(0), needs_sponsor=False),
        ),
    )
    first, second, own, damaged = seen.successors
    assert (first.invited, first.group, first.name) == (True, (b"g" * 32).hex(), "Friends II")
    assert first.sentence == "Bob founded “Friends II”, a group that goes on from this one; you are invited."
    assert second.sentence.endswith("you are not invited.")
    assert own.sentence == "You founded a group that goes on from this one."
    assert not damaged.invited
    stranger, known = seen.requests
    assert stranger.needs_sponsor
    assert stranger.sentence.endswith("There is no vote until a member answers for the person.")
    assert known.sentence == "Carol asks to join, with an invite link of Bob. The vote opens by itself."
    assert present.summary(seen, None).requests == 1


def test_members_carry_what_a_group_knows_of_them() -> None:
    (member,) = present.members([member_view(is_dormant=True, lost_turn=True)], None, SCORING)
    assert (member.dormant, member.lost_turn, len(member.remarks)) == (True, True, 2)


PROOF = Proof(FaultyOffer(4, bytes(32), 0, bytes(32), bytes(ME), "V10", bytes(64)))
BROKEN = ScoreEntry(Epoch(4), Cause.BROKEN_COMMIT.value, -50)


@pytest.mark.parametrize(
    ("view", "sentence"),
    [
        (member_view(), "Bob has 100 points, as every newcomer has."),
        (member_view(is_self=True), "You have 100 points, as every newcomer has."),
        (
            member_view(BROKEN, ScoreEntry(Epoch(5), "committed the group's work", 10), score=62),
            "Bob has 62 points; a newcomer has 100. Since then: offered a broken commit in epoch 4: -50; "
            "committed the group's work in epoch 5: +10; what is longer ago, and time without a fault: +2.",
        ),
        (
            member_view(BROKEN, replace(BROKEN, epoch=Epoch(6)), score=0),
            "Bob has 0 points; a newcomer has 100. Since then: offered a broken commit twice, last in epoch 6: -100.",
        ),
    ],
)
def test_a_score_is_explained(view: MemberView, sentence: str) -> None:
    (member,) = present.members([view], None, SCORING)
    assert (member.score, member.score_sentence) == (view.score, sentence)
    assert [move.points for move in member.score_history] == [move.points for move in view.score_history]


def test_whose_link_was_used_and_is_not_heard_is_named_until_it_is() -> None:
    assert shown(introducer=BOB).introduction == (
        "Bob, whose link you used, was not heard here yet. Until then compare the authenticator with Bob, by phone for "
        "example, before you trust this group."
    )
    assert shown(introducer=CAROL).introduction.startswith("0x030303…, whose link you used,")
    assert not shown().introduction
    assert not present.joining("scope", "Friends", None, None, Connection(True, True)).introduction


def test_a_frozen_group_says_what_waits_and_until_when() -> None:
    seen = shown(frozen_until=Instant(NOON + 600_000), held=2)
    assert (seen.frozen_until, seen.held) == (NOON + 600_000, 2)
    assert seen.frozen == (
        "An emergency is being decided: elections and other proposals wait until it is, at the latest until 12:10:00. "
        "Chat, open votes and leaving go on. 2 proposals wait so far."
    )
    assert not shown().frozen


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
    shown = present.joining("scope", "Friends", None, None, connection)
    assert shown.sync.state == state
    assert shown.sync.sentence.endswith(".")


def test_every_preset_is_explained() -> None:
    for policy in PRESETS.values():
        assert all(sentence.endswith(".") for sentence in policies.sentences(policy))
        assert policies.shown(policy).preset == policy.preset
    assert "30 seconds" in policies.sentences(PRESETS["quick"])[0]
    assert "1 day" in policies.sentences(PRESETS["day"])[0]
    assert "two thirds of the stewards" in policies.sentences(PRESETS["council"])[0]
    assert "64 stewards take turns" in policies.sentences(PRESETS["council"])[4]
    assert "14 days" in policies.sentences(PRESETS["day"])[6]


def test_a_policy_is_changed_field_by_field() -> None:
    change = PolicyChange.model_validate(
        {"invite": {"share": "all", "decided_by": "stewards"}, "remove": {"duration_ms": 5, "silence_is_yes": True}}
        | {"stewards_min": 64, "stewards_max": 70, "batch_window_ms": 1, "delivery_time_ms": 2}
        | {"reelections_max": 3, "dormant_after_ms": 0}
        | {"emergency": {"duration_ms": 7}, "scoring": {"threshold": 20, "broken_commit": 60}}
    )
    made = policies.changed(DAY_POLICY, change)
    assert made == replace(
        DAY_POLICY,
        preset="custom",
        invite=Rule(DAY, True, Share.ALL.code, 2),
        remove=Rule(5, True),
        stewards_min=64,
        stewards_max=70,
        batch_window=1,
        delivery_time=2,
        reelections_max=3,
        dormant_after=0,
        emergency=Rule(7, False),
        scoring=replace(DAY_POLICY.scoring, threshold=20, broken_commit=60),
    )
    back = PolicyChange(invite=RuleChange(share="two thirds", decided_by="members"))
    assert policies.changed(replace(DAY_POLICY, preset="custom", invite=made.invite), back) == DAY_POLICY
    assert policies.changed(replace(DAY_POLICY, preset="theirs"), PolicyChange()).preset == "theirs"


def settled(epoch: int, *, committer: Address = ME, view: int = 0, **people: Any) -> events.Settled:
    fields = {"joined": (), "left": (), "carried": ()} | people
    return events.Settled(Epoch(epoch), CandidateId(b"c"), committer, view=View(view), **fields)


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (settled(2, joined=(BOB,)), ["Bob joined (epoch 2)."]),
        (
            settled(3, left=(BOB,), carried=(PROPOSAL,)),
            ["Bob was removed by vote (epoch 3)."],
        ),
        (settled(3, left=(CAROL,)), ["0x030303… left (epoch 3)."]),
        (settled(4, committer=BOB), ["Bob made a commit (epoch 4)."]),
        (settled(4, committer=BOB, view=2), ["Bob made a commit at attempt 3 (epoch 4)."]),
        (
            settled(4, committer=BOB, view=1, joined=(CAROL,)),
            ["0x030303… joined (epoch 4).", "Bob made the commit at attempt 2 (epoch 4)."],
        ),
        (settled(4, left=(ME,)), []),
        (events.VoteRecorded(PROPOSAL, ME, False), ["Your vote to remove Bob: no. It is final."]),
        (events.VoteRecorded(PROPOSAL, BOB, False), []),
        (events.ProposalOpened(PROPOSAL, ME), ["You propose to remove Bob."]),
        (events.ProposalDecided(PROPOSAL, False, False, "Rejected."), ["Decided not to remove Bob. Rejected."]),
        (events.ProposalWithdrawn(PROPOSAL, "Bob left"), ["The proposal to remove Bob was withdrawn: Bob left."]),
        (events.RequestReceived(b"r", CAROL, "Carol", BOB), ["Carol asks to join, invited by Bob."]),
        (
            events.MessagesMissing(BOB, 3, 3, Instant(0), Instant(0), was_away=False),
            ["A message of Bob could not be recovered."],
        ),
        (events.Removed(Epoch(5), by_own_wish=True), ["You left (epoch 5)."]),
        (events.Misbehaved(BOB, "signed twice", PROOF), ["Bob broke a rule: signed twice."]),
        (events.Rejected(events.Reason.FORGED, "x"), []),
        (
            events.Faulted(BOB, "V10", "it removes other leaves than was decided", PROOF),
            ["Bob offered a commit that breaks check V10 and was refused: it removes other leaves than was decided."],
        ),
        (events.Joined(Epoch(0)), ["You founded this group."]),
        (
            events.StewardsChanged(Epoch(6), (BOB, ME), True),
            ["Bob and you are the stewards now, elected (epoch 6)."],
        ),
        (events.StewardsChanged(Epoch(6), (BOB,), False), ["Bob is the only steward now, drawn by lot (epoch 6)."]),
        (events.StewardsChanged(Epoch(6), (CAROL, ME, BOB), False), []),
        (
            events.SettingsChanged(Epoch(6), charter("Enemies", remove=THREE_QUARTERS)),
            ["The settings have changed: rename the group to “Enemies”, removals need three quarters (epoch 6)."],
        ),
        (
            events.SuccessorFounded(BOB, "Friends II", "demls:invite:x"),
            ["Bob founded “Friends II”, a group that goes on from this one; you are invited."],
        ),
        (
            events.Halted(Epoch(4), (BOB, CAROL)),
            [f"{present.HALTED} Both commits of epoch 4 were signed by Bob and 0x030303…."],
        ),
        (
            events.Frozen(True, Instant(NOON)),
            [
                "An emergency is being decided: elections and other proposals wait until it is, at the latest until "
                "12:00:00. Chat, open votes and leaving go on."
            ],
        ),
        (events.Frozen(False, Instant(NOON)), ["The emergency is over; nothing has waited for it."]),
        (
            events.ProposalHeld(PROPOSAL),
            ["Your proposal waits until the emergency is decided; it is opened then, by itself."],
        ),
        (
            events.Unproven(BOB, PROPOSAL),
            ["Bob accused somebody with proofs that do not hold; there is no vote on it."],
        ),
        (
            events.ScoreChanged(BOB, 50, 0, Cause.BROKEN_COMMIT.value),
            ["The score of Bob has fallen to 0, at the threshold of 0: offered a broken commit."],
        ),
        (
            events.ScoreChanged(ME, 0, 10, Cause.COMMITTED.value),
            ["Your score is 10 again, above 0: committed the group's work."],
        ),
        (events.ScoreChanged(BOB, 100, 50, Cause.BROKEN_COMMIT.value), []),
        (events.Waiting((BOB, CAROL), 3, 1), ["The commit round is waiting for 1 of: Bob, 0x030303…."]),
        (events.Waiting((), 3, 0), []),
    ],
)
def test_an_event_becomes_a_line_in_plain_words(event: events.Event, lines: list[str]) -> None:
    assert [line.text for line in told(event, proposal())] == lines


NINE = 1_700_000_000_000


@pytest.mark.parametrize(
    ("gaps", "sentence"),
    [
        ([(BOB, 3, 3, 0, 0, False)], "A message of Bob could not be recovered."),
        ([(BOB, 3, 1_006, 0, 0, True)], "You were away; 1,004 messages of Bob could not be recovered."),
        (
            [(BOB, 2, 3, NINE, NINE + 60_000, True), (CAROL, 9, 20, NINE - 1, NINE + 120_000, False)],
            "You were away; 14 messages could not be recovered, from {from} to {to}.",
        ),
        ([(BOB, 2, 2, 0, NINE, False)], "A message of Bob could not be recovered, from before {from}."),
    ],
)
def test_all_that_a_stay_away_has_lost_is_one_line(gaps: list[tuple[Any, ...]], sentence: str) -> None:
    missing = [events.MessagesMissing(*gap) for gap in gaps]
    context = Context(ME, NAMES.__getitem__, {}, group(), group())
    (row,) = rows("scope", missing, context, Instant(NINE + 600_000))
    line = entry(TimelineEntry(1, row.scope, row.at, row.kind, row.body))
    times = {"from": time_words(NINE - 1 if "{to}" in sentence else NINE, NINE), "to": time_words(NINE + 120_000, NINE)}
    assert (line.kind, line.text) == ("warning", sentence.format(**times))


def test_a_late_message_says_so_and_a_sender_of_two_texts_is_named() -> None:
    late = events.MessageReceived(b"i", BOB, Epoch(1), "hi", Instant(3), 1, is_late=True)
    assert [line.late for line in told(late, proposal())] == [True]
    (line,) = told(events.MessagesDiffer(BOB, 4), proposal())
    assert line.text == (
        "Bob has sent different messages to different members under one number. You see the one that came first; "
        "ask Bob and the others what they read."
    )


def test_people_see_that_messages_are_being_fetched() -> None:
    assert shown(fetching=0).fetching == ""
    assert shown(fetching=1).fetching == "A message is being fetched."
    assert shown(fetching=3).fetching == "3 messages are being fetched."


def told(event: events.Event, view: ProposalView, **known: Any) -> list[Line]:
    context = Context(ME, NAMES.__getitem__, {PROPOSAL: view}, **{"now": group(), "before": group(), **known})
    made = rows("scope", [event], context, Instant(5))
    return [entry(TimelineEntry(1, row.scope, row.at, row.kind, row.body)) for row in made]


def test_an_emergency_is_told_with_what_was_proven() -> None:
    view = proposal(kind=ProposalKind.EMERGENCY, violation=Violation.EQUIVOCATION, removes=True)
    what = "remove Bob at once: has signed two different things"
    (opened,) = told(events.ProposalOpened(PROPOSAL, ME), view)
    assert (opened.kind, opened.text) == ("notice", f"The vote is open whether to {what}.")
    (voted,) = told(events.VoteRecorded(PROPOSAL, ME, True), view, is_asked=False)
    assert voted.text == f"Your node votes to {what}: yes. It has checked the proofs."
    (gone,) = told(settled(3, left=(BOB,), carried=(PROPOSAL,)), view)
    assert gone.text == "Bob was removed at once (epoch 3)."
    mine = proposal(kind=ProposalKind.EMERGENCY, violation=Violation.SCORE_BELOW_THRESHOLD, removes=True, subject=ME)
    (about_me,) = told(events.ProposalDecided(PROPOSAL, True, False, "Approved."), mine)
    assert about_me.text == (
        "Decided to remove you at once: have broken the rules so often that your score is at the threshold. Approved."
    )


ELECTION = proposal(kind=ProposalKind.ELECTION, stewards=(BOB, ME))
DORMANT = proposal(kind=ProposalKind.DORMANT)


@pytest.mark.parametrize(
    ("event", "view", "lines"),
    [
        (
            events.ProposalOpened(PROPOSAL, BOB),
            ELECTION,
            ["The nodes vote whether to elect the stewards Bob and Alice, in this order."],
        ),
        (events.VoteRecorded(PROPOSAL, ME, True), ELECTION, []),
        (events.ProposalDecided(PROPOSAL, True, False, "Approved."), ELECTION, []),
        (
            events.ProposalDecided(PROPOSAL, False, False, "Rejected."),
            ELECTION,
            ["Decided not to elect the stewards Bob and Alice, in this order. Rejected."],
        ),
        (settled(6, carried=(PROPOSAL,)), ELECTION, []),
        (
            events.ProposalOpened(PROPOSAL, BOB),
            DORMANT,
            ["The nodes vote whether to count Bob no longer: not heard for 14 days."],
        ),
        (settled(6, carried=(PROPOSAL,)), DORMANT, ["Bob is counted no longer, until heard again (epoch 6)."]),
        (
            settled(7, carried=(PROPOSAL,)),
            proposal(kind=ProposalKind.AWAKE, subject=ME),
            ["You are counted again (epoch 7)."],
        ),
    ],
)
def test_what_nodes_do_by_themselves_is_told_quietly(event: events.Event, view: ProposalView, lines: list[str]) -> None:
    found = told(event, view)
    assert [line.text for line in found] == lines
    assert {line.kind for line in found} <= {"quiet"}


def test_a_settings_proposal_is_told_with_what_it_changes() -> None:
    view = proposal(kind=ProposalKind.SETTINGS, settings=charter("Enemies"))
    changes = {PROPOSAL: cards.what_changes(view, FRIENDS, {})}
    (line,) = told(events.ProposalOpened(PROPOSAL, BOB), view, changes=changes)
    assert (line.kind, line.text) == ("notice", "Bob proposes to rename the group to “Enemies”.")
    (unknown,) = told(events.SettingsChanged(Epoch(6), charter("Enemies")), view, before=None)
    assert unknown.text == "The settings have changed (epoch 6)."
    assert told(settled(6, carried=(PROPOSAL,)), view) == []


def test_waiting_is_told_when_it_begins_and_when_it_ends() -> None:
    stuck = group(round=commit_round(missing=(BOB,), short=1))
    assert told(events.Waiting((BOB, CAROL), 3, 1), DORMANT, before=stuck) == []
    (line,) = told(events.Waiting((), 3, 0), DORMANT, before=stuck)
    assert (line.kind, line.text) == ("quiet", "The commit round is waiting no longer.")


def test_a_vote_that_the_node_casts_by_itself_is_told_as_its_own() -> None:
    view = proposal(kind=ProposalKind.INVITE)
    (line,) = told(events.VoteRecorded(PROPOSAL, ME, True), view, is_asked=False)
    assert (line.kind, line.text) == ("quiet", "Your node votes to admit Bob: yes. This was agreed before.")


def test_a_successor_that_is_announced_once_more_is_told_once() -> None:
    event = events.SuccessorFounded(BOB, "Friends II", "demls:invite:x")
    known = group(successors=(SuccessorView(BOB, "Friends II", "demls:invite:x"),))
    assert told(event, DORMANT, before=known) == []
    assert told(replace(event, link="demls:invite:y"), DORMANT, before=known)


def test_a_stranger_is_told_with_what_has_to_be_done() -> None:
    waiting = group(requests=(RequestView(b"r", CAROL, "Carol", BOB, Instant(0), needs_sponsor=True),))
    (line,) = told(events.RequestReceived(b"r", CAROL, "Carol", BOB), DORMANT, now=waiting)
    assert line.text == (
        "Carol asks to join with an open link. There is no vote until a member answers for the person."
    )


def test_an_own_message_carries_what_its_program_calls_it() -> None:
    (mine,) = told(events.MessageReceived(b"m", ME, Epoch(1), "hello", Instant(1), 0), DORMANT, client_id="a1")
    (other,) = told(events.MessageReceived(b"m", BOB, Epoch(1), "hello", Instant(1), 0), DORMANT, client_id="a1")
    assert (mine.client_id, other.client_id) == ("a1", None)


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


def test_the_odds_of_a_group_are_said_where_something_is_drawn() -> None:
    assert policies.shown(COUNCIL, 64).odds == []
    shown = policies.shown(COUNCIL, 10_000)
    assert {(one.of, one.drawn) for one in shown.odds} == {("stewards", 64), ("committee", 256)}
    said = " ".join(shown.sentences)
    assert "How likely 64 of 10000 stewards decide alone" in said
    assert "33 %: 3 in 10^8." in said
    assert "10 %: 1 in 10^25; 20 %: 2 in 10^7; 25 %: 0.11 %" in said
    assert [policies.chance_words(one) for one in (0.0, 1.0, 0.5, 9.6e-5)] == ["never", "always", "50 %", "1 in 10^4"]


def test_how_much_of_a_large_welcome_is_here_is_told() -> None:
    shown = present.joining("scope", "Friends", None, (30, 120), Connection(True, True))
    assert shown.sync.share == 0.25
    assert "30 of 120 parts" in shown.sync.sentence
    assert present.joining("scope", "Friends", None, None, Connection(True, True)).sync.share is None
