"""What people read when they were away, have to come back, or have restored a backup."""

from __future__ import annotations

from typing import Any

import pytest
from demls.api.models import GroupState, TimelineEntry
from demls.node import present, rejoining
from demls.node.present import Connection
from demls.node.timeline import Context, entry, rows
from demls.protocol import events
from demls.protocol.policy import DAY
from demls.protocol.returning import NEEDS_WALLET
from demls.protocol.views import GroupStatus, ProposalKind, ProposalStatus, ReturningView
from demls.storage.store import TimelineEntry as Stored
from demls.wire.ids import Address, CandidateId, Epoch, Instant, View
from demls.wire.messages import ResyncReason
from sights import BOB, CAROL, ME, NAMES, PROPOSAL, card, group, proposal, shown

SAVED = 1_799_971_200_000
"""15 January 2027 by the clock of the world."""

UNTIL = (
    "it asks the group for a new seat, which needs no vote, and says nothing until it is there. "
    "What was said in between will not be readable here."
)
ASKING = [
    (ResyncReason.RESTORED_BACKUP, 0, f"This node was restored from a backup; {UNTIL}"),
    (ResyncReason.RESTORED_BACKUP, SAVED, f"This node was restored from a backup of 15 Jan 2027; {UNTIL}"),
    (ResyncReason.LOST_STATE, 0, f"This node has lost its keys of this group; {UNTIL}"),
    (ResyncReason.TOO_FAR_BEHIND, 0, f"This node has missed more of this group than anybody can tell it; {UNTIL}"),
    (ResyncReason.WISH, 0, f"You asked for a new seat in this group; {UNTIL}"),
]


def test_there_are_words_for_every_reason() -> None:
    assert {reason for reason, *_ in ASKING} == set(ResyncReason)


@pytest.mark.parametrize(("reason", "saved_at", "sentence"), ASKING)
def test_why_a_node_asks_for_a_new_seat(reason: ResyncReason, saved_at: int, sentence: str) -> None:
    assert rejoining.asking_sentence(reason, saved_at) == sentence
    (line,) = told(events.SeatAsked(Epoch(4), reason, saved_at))
    assert (line.kind, line.text) == ("notice", sentence)


def returning(**changes: Any) -> ReturningView:
    fields: dict[str, Any] = {"reason": ResyncReason.WISH, "since": Instant(0), "waits_for": "", "unsent": 0}
    return ReturningView(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({}, UNTIL),
        ({"unsent": 1}, f"{UNTIL} 1 of your messages goes out then."),
        ({"unsent": 2}, f"{UNTIL} 2 of your messages go out then."),
        ({"waits_for": NEEDS_WALLET}, f"{UNTIL} {NEEDS_WALLET}"),
        ({"waits_for": "Not yet.", "unsent": 3}, f"{UNTIL} Not yet. 3 of your messages go out then."),
    ],
)
def test_a_group_that_waits_for_its_seat_says_so(changes: dict[str, Any], end: str) -> None:
    seen = shown(status=GroupStatus.RETURNING, returning=returning(**changes))
    assert seen.rejoin == f"You asked for a new seat in this group; {end}"
    assert (seen.state, seen.can_rejoin, seen.stranded) == (GroupState.RETURNING, False, False)
    assert (seen.sync.state, seen.sync.sentence) == ("waiting", seen.rejoin)


def test_whoever_missed_too_much_is_told_what_to_do() -> None:
    seen = shown(is_stranded=True)
    assert seen.rejoin == (
        "This node has missed so much of this group that no member can help it any more. Ask the group for a new seat "
        "with “demls group rejoin”; it needs no vote."
    )
    assert (seen.can_rejoin, seen.stranded) == (True, True)
    assert (seen.sync.state, seen.sync.sentence) == ("waiting", seen.rejoin)
    (line,) = told(events.Stranded(Epoch(4)))
    assert (line.kind, line.text) == ("warning", seen.rejoin)


def test_a_backup_whose_wallet_is_away_says_what_it_waits_for() -> None:
    resting = Connection(True, True, rejoining.FROM_BACKUP, is_resting=True)
    seen = present.group("scope", group(), NAMES.__getitem__, resting)
    assert seen.can_rejoin
    assert seen.rejoin == (
        "This group comes from a restored backup. It may have gone on since, so nothing is sent from its old state; "
        "“demls group rejoin” asks the group for a new seat, as soon as the wallet is there."
    )
    broken = present.group("scope", group(), NAMES.__getitem__, Connection(True, True, "The disk is full."))
    assert (broken.rejoin, broken.can_rejoin) == ("", False)


def test_a_member_in_sync_hears_nothing_of_all_this() -> None:
    seen = shown()
    assert (seen.rejoin, seen.can_rejoin, seen.stranded, seen.fetching) == ("", False, False, "")


def test_the_copy_that_was_left_behind_says_where_the_group_goes_on() -> None:
    moved = (
        "This group goes on at another copy of your node, which has asked for its seat. You can read here what was "
        "written before."
    )
    (line,) = told(events.Removed(Epoch(5), by_own_wish=False, is_moved=True))
    assert (line.kind, line.text) == ("warning", moved)
    seen = shown(status=GroupStatus.MOVED, is_stranded=True)
    assert (seen.state, seen.sync.sentence, seen.rejoin) == (GroupState.MOVED, moved, "")


def test_whoever_is_back_is_told_whether_to_trust_it() -> None:
    (known,) = told(events.Returned(Epoch(9), Epoch(4), is_vouched=True))
    back = "You are back (epoch 9). What was said in between was not readable here."
    assert (known.kind, known.text, known.epoch) == ("notice", back, 9)
    (unknown,) = told(events.Returned(Epoch(9), Epoch(4), is_vouched=False))
    assert (unknown.kind, unknown.text) == (
        "warning",
        f"{back} Nobody whom this node knew has certified that: compare the authenticator with another member, by "
        "phone for example, before you trust this group.",
    )


def test_whoever_may_not_come_back_is_told_why() -> None:
    (line,) = told(events.JoinRefused("You are no longer in this group; ask a member for a new invite link"))
    assert (line.kind, line.text) == (
        "warning",
        "You have no new seat yet. You are no longer in this group; ask a member for a new invite link.",
    )
    (newcomer,) = told(events.JoinRefused("No."), now=None)
    assert newcomer.text == "You were not admitted. No."


def test_a_request_that_waits_for_the_wallet_says_so() -> None:
    (line,) = told(events.SeatAsked(Epoch(4), ResyncReason.WISH, 0, NEEDS_WALLET))
    assert line.text == (
        "The wallet is needed to ask for a new seat; put its file back into the keystore and start the node."
    )


def test_the_others_read_quietly_who_is_back() -> None:
    for member, sentence in ((BOB, "Bob is back with a new key (epoch 6)."), (ME, "You are back with a new key")):
        settled = events.Settled(
            *(Epoch(6), CandidateId(b"c"), CAROL),
            joined=(),
            left=(),
            carried=(PROPOSAL,),
            view=View(0),
            reseated=(member,),
        )
        subject = proposal(kind=ProposalKind.RESYNC, status=ProposalStatus.COMMITTED, subject=member)
        (line,) = told(settled, view=subject)
        assert line.kind == "quiet"
        assert line.text.startswith(sentence)


def test_a_request_for_a_seat_is_a_card_that_nobody_votes_on() -> None:
    seen = card(kind=ProposalKind.RESYNC, subject=BOB, may_vote=False, my_vote=None)
    assert not seen.may_vote
    assert "no vote" in seen.rule
    assert "Bob" in seen.title


# --- Messages that were missed ------------------------------------------------------------------------------------

NINE = 1_700_000_000_000


def missing(*gaps: tuple[Address, int, int, int, int, bool], now: int = NINE + DAY) -> TimelineEntry:
    context = Context(ME, NAMES.__getitem__, {}, group(), group())
    lost = [events.MessagesMissing(*gap) for gap in gaps]  # type: ignore[arg-type]
    (row,) = rows("scope", lost, context, Instant(now))
    return entry(Stored(1, row.scope, row.at, row.kind, row.body))


def test_what_one_stay_away_has_lost_is_one_sentence_whoever_said_it() -> None:
    one = missing((BOB, 1, 2, 0, 0, True), (CAROL, 1, 1, 0, 0, True))
    assert (one.kind, one.text) == ("warning", "You were away; 3 messages could not be recovered.")


def test_a_single_message_is_told_with_its_sender() -> None:
    assert missing((CAROL, 7, 7, 0, 0, True)).text == "You were away; a message of 0x030303… could not be recovered."
    assert missing((BOB, 7, 7, 0, 0, False)).text == "A message of Bob could not be recovered."


def test_dates_beyond_now_and_beyond_all_clocks_make_no_nonsense() -> None:
    """They are the senders' own."""
    now = NINE + DAY
    later = missing((BOB, 1, 1, NINE, now + 400 * DAY, False), now=now).text
    assert later == missing((BOB, 1, 1, NINE, now, False), now=now).text
    far = missing((BOB, 1, 1, 2**64 - 1, 2**64 - 1, False), now=now).text
    assert far == missing((BOB, 1, 1, now, now, False), now=now).text


def told(event: events.Event, view: Any = None, **known: Any) -> list[TimelineEntry]:
    views = {} if view is None else {PROPOSAL: view}
    context = Context(ME, NAMES.__getitem__, views, **{"now": group(), "before": group(), **known})
    made = rows("scope", [event], context, Instant(5))
    return [entry(Stored(1, row.scope, row.at, row.kind, row.body)) for row in made]
