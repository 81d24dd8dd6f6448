"""Which votes are open, and how much room may they take?"""

import dataclasses
import hashlib
from typing import Any

import pytest
from demls_consensus import (
    Accepted,
    Book,
    BookLimits,
    Choice,
    Electorate,
    Kept,
    Reason,
    Refused,
    Session,
    Share,
    Silence,
    Verdict,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def proposal(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(4, "big")).digest()


def book(kit: Any, **limits: int) -> Book:
    return Book(kit.scheme(), BookLimits(**limits))


def outcome(result: Accepted | Refused) -> Kept | Reason:
    return result.kept if isinstance(result, Accepted) else result.reason


def opened(result: Session | Refused) -> Session:
    assert isinstance(result, Session)
    return result


def test_votes_reach_the_session_of_their_proposal(kit: Any) -> None:
    shelf = book(kit)
    one = opened(shelf.open(kit.ballot(4, proposal=proposal(1))))
    two = opened(shelf.open(kit.ballot(4, proposal=proposal(2))))
    results = shelf.receive_batch(
        [kit.vote(0, proposal=proposal(1)), kit.vote(0, Choice.NO, proposal=proposal(2))], kit.electorate(4), 0
    )
    assert [outcome(result) for result in results] == [Kept.NEW, Kept.NEW]
    assert (one.tally.yes, one.tally.no, two.tally.yes, two.tally.no) == (1, 0, 0, 1)
    assert list(shelf) == [one, two]
    assert shelf.get(proposal(2)) is two
    assert shelf.get(proposal(3)) is None


def test_an_open_session_asks_its_own_electorate(kit: Any) -> None:
    shelf = book(kit)
    opened(shelf.open(kit.ballot(4)))
    assert outcome(shelf.receive(kit.vote(3), {}, 0)) is Kept.NEW
    assert outcome(shelf.receive(kit.vote(4), kit.electorate(9), 0)) is Reason.NOT_A_VOTER


def test_the_owner_limit_refuses_and_evicts_nobody(kit: Any) -> None:
    shelf = book(kit, sessions_per_owner_max=2)
    first = [opened(shelf.open(kit.ballot(4, proposal=proposal(number), owner=1))) for number in range(2)]
    assert shelf.open(kit.ballot(4, proposal=proposal(2), owner=1)) == Refused(Reason.OWNER_LIMIT)
    other = opened(shelf.open(kit.ballot(4, proposal=proposal(2), owner=2)))
    assert list(shelf) == [*first, other]
    shelf.close(proposal(0))
    opened(shelf.open(kit.ballot(4, proposal=proposal(3), owner=1)))


def test_the_total_limit_refuses_and_evicts_nobody(kit: Any) -> None:
    shelf = book(kit, sessions_total_max=3)
    sessions = [opened(shelf.open(kit.ballot(4, proposal=proposal(n), owner=n))) for n in range(3)]
    assert shelf.open(kit.ballot(4, proposal=proposal(3), owner=3)) == Refused(Reason.SESSION_LIMIT)
    assert list(shelf) == sessions
    assert len(shelf) == 3


def test_the_electorate_and_the_duration_are_bounded(kit: Any) -> None:
    shelf = book(kit, electorate_size_max=4, duration_ms_max=500)
    assert shelf.open(kit.ballot(5)) == Refused(Reason.ELECTORATE_LIMIT)
    assert shelf.open(kit.ballot(4, duration_ms=501)) == Refused(Reason.DURATION_LIMIT)
    opened(shelf.open(kit.ballot(4, duration_ms=500)))


def test_a_proposal_id_is_used_once(kit: Any) -> None:
    shelf = book(kit)
    opened(shelf.open(kit.ballot(4)))
    assert shelf.open(kit.ballot(3)) == Refused(Reason.ALREADY_OPEN)
    shelf.close(kit.proposal)
    assert shelf.open(kit.ballot(4)) == Refused(Reason.CLOSED)
    assert outcome(shelf.receive(kit.vote(0), kit.electorate(4), 0)) is Reason.CLOSED
    assert shelf.early_count == 0


def test_closed_ids_are_remembered_up_to_their_bound_newest_first(kit: Any) -> None:
    shelf = book(kit, closed_ids_max=2)
    for number in range(3):
        opened(shelf.open(kit.ballot(4, proposal=proposal(number))))
        shelf.close(proposal(number))
    assert shelf.closed == (proposal(1), proposal(2))
    assert len(shelf) == 0


def test_closing_what_is_not_open_is_an_error_of_the_caller(kit: Any) -> None:
    with pytest.raises(KeyError):
        book(kit).close(kit.proposal)


def test_early_votes_wait_and_may_decide_at_once(kit: Any) -> None:
    scheme = kit.scheme()
    shelf = Book(scheme)
    for vote in (kit.vote(0), kit.vote(1), kit.vote(2), kit.vote(1, Choice.NO)):
        assert outcome(shelf.receive(vote.encode(), kit.electorate(4), 0)) is Kept.EARLY
    assert outcome(shelf.receive(kit.vote(1), kit.electorate(4), 0)) is Kept.REPEATED
    assert shelf.early_count == 4
    session = opened(shelf.open(kit.ballot(4)))
    assert session.verdict(0) is Verdict.YES_BY_VOTES
    assert [evidence.voter for evidence in session.evidence()] == [kit.voter(1)]
    assert shelf.early_count == 0
    assert scheme.checked == 4


def test_early_votes_count_only_with_the_key_of_the_electorate(kit: Any) -> None:
    shelf = book(kit)
    for index in range(3):
        shelf.receive(kit.vote(index), kit.electorate(3), 0)
    changed = {kit.voter(0): b"another key", kit.voter(1): kit.key(1), kit.voter(5): kit.key(5)}
    ballot = dataclasses.replace(kit.ballot(3), electorate=Electorate(changed))
    session = opened(shelf.open(ballot))
    assert list(session.votes()) == [kit.vote(1)]


def test_nobody_fills_the_waiting_room_of_another(kit: Any) -> None:
    shelf = book(kit, early_votes_per_voter_max=2)
    forged = [dataclasses.replace(kit.vote(0, proposal=proposal(n)), signature=b"forged") for n in range(9)]
    assert {outcome(result) for result in shelf.receive_batch(forged, kit.electorate(4), 0)} == {Reason.BAD_SIGNATURE}
    assert outcome(shelf.receive(kit.vote(8), kit.electorate(4), 0)) is Reason.NOT_A_VOTER
    assert shelf.early_count == 0


def test_a_voter_with_too_many_early_votes_loses_its_own_oldest(kit: Any) -> None:
    shelf = book(kit, early_votes_per_voter_max=2)
    shelf.receive(kit.vote(1, proposal=proposal(0)), kit.electorate(4), 0)
    for number in range(3):
        assert outcome(shelf.receive(kit.vote(0, proposal=proposal(number)), kit.electorate(4), 0)) is Kept.EARLY
    assert shelf.early_count == 3
    assert list(opened(shelf.open(kit.ballot(4, proposal=proposal(0)))).votes()) == [kit.vote(1, proposal=proposal(0))]
    assert opened(shelf.open(kit.ballot(4, proposal=proposal(2)))).tally.yes == 1


def test_the_waiting_room_is_bounded_in_total(kit: Any) -> None:
    shelf = book(kit, early_votes_total_max=3)
    results = [outcome(shelf.receive(kit.vote(index), kit.electorate(9), 0)) for index in range(5)]
    assert results == [Kept.EARLY] * 3 + [Reason.EARLY_LIMIT] * 2
    assert shelf.early_count == 3


def test_the_waiting_room_can_be_closed(kit: Any) -> None:
    shelf = book(kit, early_votes_per_voter_max=0)
    assert outcome(shelf.receive(kit.vote(0), kit.electorate(4), 0)) is Reason.EARLY_LIMIT


def test_early_votes_are_dropped_when_they_are_too_old(kit: Any) -> None:
    shelf = book(kit, early_vote_age_ms_max=100)
    shelf.receive(kit.vote(0), kit.electorate(4), 0)
    shelf.receive(kit.vote(1), kit.electorate(4), 60)
    shelf.receive(b"", kit.electorate(4), 100)
    assert shelf.early_count == 2
    shelf.receive(b"", kit.electorate(4), 101)
    assert shelf.early_count == 1
    assert opened(shelf.open(kit.ballot(4, opened_at_ms=161))).tally.yes == 0


def test_each_session_decides_by_the_share_of_its_ballot(kit: Any) -> None:
    shelf = book(kit)
    for share in Share:
        opened(shelf.open(kit.ballot(10, proposal=proposal(share.code), opened_at_ms=0, share=share)))
    votes = [kit.vote(index, proposal=proposal(share.code)) for index in range(7) for share in Share]
    shelf.receive_batch(votes, kit.electorate(10), 0)
    yes, pending = Verdict.YES_BY_VOTES, Verdict.PENDING
    assert [session.verdict(0) for session in shelf] == [yes, yes, pending, pending]
    for share in (Share.MORE_THAN_HALF, Share.TWO_THIRDS):
        shelf.close(proposal(share.code))
    shelf.receive(kit.vote(9, Choice.NO, proposal=proposal(Share.ALL.code)), kit.electorate(10), 0)
    assert [session.verdict(0) for session in shelf] == [pending, Verdict.NO_BY_VOTES]
    assert shelf.next_deadline_ms(0) == 500


def test_the_next_deadline_is_the_nearest_that_can_still_decide(kit: Any) -> None:
    shelf = book(kit)
    assert shelf.next_deadline_ms(0) is None
    for number, duration_ms in enumerate((300, 200, 100)):
        ballot = kit.ballot(3, proposal=proposal(number), opened_at_ms=0, duration_ms=duration_ms)
        opened(shelf.open(ballot))
    assert shelf.next_deadline_ms(0) == 100
    assert shelf.next_deadline_ms(100) == 200
    shelf.receive_batch([kit.vote(index, proposal=proposal(1)) for index in range(2)], kit.electorate(3), 0)
    assert shelf.next_deadline_ms(100) == 300
    assert shelf.next_deadline_ms(300) is None


def test_a_book_goes_on_where_an_earlier_one_stopped(kit: Any) -> None:
    shelf = book(kit)
    kept = opened(shelf.open(kit.ballot(4, proposal=proposal(1), owner=3)))
    shelf.receive(kit.vote(0, proposal=proposal(1)), kit.electorate(4), 0)
    opened(shelf.open(kit.ballot(4, proposal=proposal(2))))
    shelf.close(proposal(2))
    restored = Book(
        kit.scheme(),
        BookLimits(sessions_per_owner_max=1),
        sessions=[Session.replay(kept.ballot, kept.votes())],
        closed=shelf.closed,
    )
    assert [list(session.votes()) for session in restored] == [list(kept.votes())]
    assert restored.open(kit.ballot(4, proposal=proposal(2))) == Refused(Reason.CLOSED)
    assert restored.open(kit.ballot(4, proposal=proposal(3), owner=3)) == Refused(Reason.OWNER_LIMIT)
    for sessions, closed in (([kept, kept], ()), ([kept], (proposal(1),))):
        with pytest.raises(ValueError, match="twice"):
            Book(kit.scheme(), sessions=sessions, closed=closed)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.sampled_from(list(Choice))), max_size=40), st.data())
@settings(deadline=None, max_examples=60)
def test_whether_votes_overtake_their_proposal_never_matters(
    kit: Any, drawn: list[tuple[int, int, Choice]], data: st.DataObject
) -> None:
    votes = [kit.vote(voter, choice, proposal=proposal(number)) for voter, number, choice in drawn]
    ballots = [
        kit.ballot(5, proposal=proposal(number), silence=silence, share=share)
        for number, (silence, share) in enumerate(
            zip([Silence.COUNTS_AS_YES, Silence.COUNTS_FOR_NOTHING] * 2, Share, strict=True)
        )
    ]
    orderly, disorderly = book(kit), book(kit)
    for ballot in ballots:
        orderly.open(ballot)
    orderly.receive_batch(votes, kit.electorate(5), 0)
    for event in data.draw(st.permutations([*votes, *ballots])):
        if event in ballots:
            disorderly.open(event)
        else:
            disorderly.receive(event, kit.electorate(5), 0)
    for ballot in ballots:
        one, other = orderly.get(ballot.proposal_id), disorderly.get(ballot.proposal_id)
        assert one is not None
        assert other is not None
        assert list(one.votes()) == list(other.votes())
        assert one.verdict(ballot.deadline_ms) is other.verdict(ballot.deadline_ms)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_garbage_never_raises(kit: Any, garbage: bytes) -> None:
    assert shelf_is_empty_after(book(kit), garbage, kit)
    assert shelf_is_empty_after(book(kit), b"\x01" + kit.proposal + kit.voter(0) + garbage, kit)


def shelf_is_empty_after(shelf: Book, garbage: bytes, kit: Any) -> bool:
    return isinstance(shelf.receive(garbage, kit.electorate(4), 0), Refused) and shelf.early_count == 0


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(BookLimits)])
def test_every_limit_is_zero_or_more(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        BookLimits(**{name: -1})
