"""There is one valid list for an epoch, a round and a pool: any other is refused before anybody votes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from council import GROUP, Council, address, roster
from demls.protocol import policy as bounds
from demls.protocol.elections import Elections, is_due
from demls.protocol.events import Reason, Rejected
from demls.protocol.items import Item
from demls.protocol.policy import QUICK
from demls.protocol.roster import Roster
from demls.protocol.stewards import StewardList, generate, list_size, settled_pool
from demls.protocol.validation import State
from demls.protocol.views import ProposalStatus
from demls.wire.chain import LostTurn
from demls.wire.charters import Charter
from demls.wire.ids import Address, Epoch, Head, Instant
from demls.wire.messages import (
    Invite,
    Leave,
    Proposal,
    Remove,
    StewardElection,
)

POLICY = replace(QUICK, stewards_min=1, stewards_max=2, reelections_max=2)


class Booth(Council):
    """Six settled members in epoch 5, whose list of two is used up; members 6 and later have just joined."""

    def __init__(self, *newcomers: int, dormant: tuple[int, ...] = (), **policy: Any) -> None:
        super().__init__(n=6, policy=replace(POLICY, **policy))
        self.elections = Elections(self.governance, GROUP)
        self.lost: tuple[LostTurn, ...] = ()
        self.stewards_now = StewardList((address(0), address(1)), Epoch(3), Epoch(3))
        self.enter(roster(*range(6), *newcomers, epoch=5, returned=newcomers, dormant=dormant), 5)

    def fault_of(self, proposal: Proposal) -> tuple[Reason, str] | None:
        change = proposal.change.payload
        return self.elections.fault_of(proposal, change) if isinstance(change, StewardElection) else None

    def obstacle(self, item: Item) -> str:
        if not isinstance(item.change, StewardElection):
            return ""
        return self.elections.obstacle(item, item.change, self.stewards_now, self.epoch, self.policy)

    def enter(self, members: Roster, epoch: int) -> None:
        self.members, self.epoch = members, Epoch(epoch)
        self.settle(members, epoch)

    @property
    def state(self) -> State:
        electorate = self.governance.electorates.get(self.epoch)
        assert electorate is not None
        return State(
            self.epoch,
            Head(bytes(32)),
            self.now,
            self.members,
            self.stewards_now,
            (),
            self.lost,
            (),
            Charter(1, "demls", "friends", "", bytes(32), self.policy),
            electorate,
            len(settled_pool(self.members.since(), self.epoch) & self.members.counted),
            bytes(32),
        )

    def listed(self, retry_round: int = 0, without: Iterable[int] = (), epoch: int = 5) -> tuple[Address, ...]:
        pool = {address(number) for number in range(6)} - set(map(address, without))
        return generate(pool, list_size(len(pool), 1, self.policy.stewards_max), Epoch(epoch), retry_round, GROUP)

    def election(self, retry_round: int = 0, without: Iterable[int] = (), **fields: Any) -> StewardElection:
        excluded = tuple(sorted(map(address, without)))
        sound = StewardElection(self.listed(retry_round, without), 5, retry_round, excluded)
        return replace(sound, **fields)

    def open(self, election: StewardElection, owner: int = 0, epoch: int = 5, serial: int = 0) -> Item | None:
        return self.receive(self.proposal(election, owner=owner, epoch=epoch, serial=serial))

    def refusals(self) -> list[tuple[Reason, str]]:
        return [(event.reason, event.detail) for event in self.events if isinstance(event, Rejected)]

    def decide(self, change: Remove | Leave | Invite, owner: int = 0, *yes: int) -> Item:
        """A proposal with these YES votes."""
        proposal = self.proposal(change, owner=owner, epoch=5, serial=9)
        item = self.receive(proposal)
        assert item is not None
        self.vote(proposal, *((number, True) for number in yes))
        return item

    def opinion(self, item: Item) -> bool | None:
        assert isinstance(item.change, StewardElection)
        return self.elections.opinion(item.change, self.state)

    def next_round(self) -> int | None:
        due = self.elections.next_round(self.state, self.policy)
        return None if due is None else due[0]

    def reject(self, election: StewardElection, serial: int = 0) -> Item:
        item = self.open(election, serial=serial)
        assert item is not None
        self.vote(item.proposal, *((number, False) for number in range(1, 5)))
        assert item.status is ProposalStatus.REJECTED
        return item


# --- The one valid list -------------------------------------------------------------------------------------------


def test_the_valid_list_is_opened() -> None:
    booth = Booth(6)
    for number, retry_round in enumerate(range(3)):
        assert booth.open(booth.election(retry_round), serial=number) is not None
    assert booth.refusals() == []


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "of another epoch": ({"election_epoch": 4}, "another epoch than its own"),
    "of a later epoch": ({"election_epoch": 6}, "another epoch than its own"),
    "of a round beyond the policy's": ({"retry_round": 3}, "a round beyond the policy's"),
    "of another round": ({"retry_round": 1}, "another list than the only valid one"),
    "of one steward too few": ({"proposed_stewards": Booth().listed()[:1]}, "another list than the only valid one"),
    "of one steward too many": (
        {"proposed_stewards": generate(map(address, range(6)), 3, Epoch(5), 0, GROUP)},
        "another list than the only valid one",
    ),
    "in another order": ({"proposed_stewards": Booth().listed()[::-1]}, "another list than the only valid one"),
    "with a newcomer": (
        {"proposed_stewards": generate(map(address, range(7)), 2, Epoch(5), 0, GROUP)},
        "another list than the only valid one",
    ),
    "with a stranger": (
        {"proposed_stewards": (address(0), Address(b"s" * 20))},
        "another list than the only valid one",
    ),
    "that leaves out a stranger": ({"excluded": (b"s" * 20,)}, "leaves out others than settled members"),
    "that leaves out a newcomer": ({"excluded": (address(6),)}, "leaves out others than settled members"),
    "that leaves out somebody twice": ({"excluded": (address(1),) * 2}, "leaves out others than settled members"),
    "that leaves out some in another order": (
        {"excluded": (address(2), address(1))},
        "leaves out others than settled members",
    ),
    "that leaves out somebody it does not say": (
        {"proposed_stewards": Booth().listed(without=(int(Booth().listed()[0][0]) - 1,))},
        "another list than the only valid one",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_list_is_refused(case: str) -> None:
    booth = Booth(6)
    fields, why = FAULTS[case]
    election = replace(booth.election(), **fields)
    if case == "with a newcomer" and election == booth.election():
        pytest.skip("the newcomer would not be on it")
    assert booth.open(election) is None
    ((reason, detail),) = booth.refusals()
    assert (reason, why in detail) == (Reason.INVALID, True), detail


def test_a_dormant_member_is_on_no_list_and_need_not_be_left_out() -> None:
    asleep = int(Booth().listed()[0][0]) - 1
    booth = Booth(dormant=(asleep,))
    assert booth.open(booth.election()) is None
    assert booth.open(booth.election(proposed_stewards=booth.listed(without=(asleep,))), serial=1) is not None


# --- Removals that are under way ----------------------------------------------------------------------------------


def test_a_list_that_leaves_somebody_out_waits_until_the_removal_is_known_to_be_decided() -> None:
    booth = Booth()
    election = booth.election(without=(3,))
    assert booth.open(election) is None
    assert [reason for reason, _ in booth.refusals()] == [Reason.STALE]
    (held,) = booth.elections.release()
    assert booth.elections.held == {}
    assert booth.receive(held) is None
    booth.decide(Remove(address(3)), 0, 0, 1, 2, 4)
    (again,) = booth.elections.release()
    assert booth.receive(again) is not None


SINCE_GONE = {"who is out": roster(0, 1, 2, 4, 5, 6, epoch=6, returned=(6,))}
SINCE_GONE["who is out and in again"] = roster(0, 1, 2, 3, 4, 5, 6, epoch=6, returned=(3, 6))


@pytest.mark.parametrize("case", SINCE_GONE)
def test_a_newcomer_judges_a_list_that_leaves_out(case: str) -> None:
    """It never saw the removal, only that the chain has carried one: whoever sat there then does not sit there now."""
    booth = Booth()
    members = SINCE_GONE[case]
    booth.enter(members, 6)
    assert not booth.governance.items, "nothing is known of how it came to that"
    item = booth.open(booth.election(without=(3,)))
    assert item is not None
    assert booth.elections.held == {}
    assert booth.open(booth.election(without=(4,)), serial=1) is None, "and of nobody else"
    assert booth.open(booth.election(without=(3, 4)), serial=2) is None
    assert booth.opinion(item) is True


def test_consent_by_silence_leaves_nobody_out_for_it_may_be_undone() -> None:
    booth = Booth()
    removal = booth.decide(Remove(address(3)), 0, 0, 1)
    booth.wait(30_000)
    assert removal.status is ProposalStatus.APPROVED
    assert booth.open(booth.election(without=(3,))) is None
    proposed = booth.elections.propose(booth.state, 0)
    assert proposed == booth.election()


@pytest.mark.parametrize("change", [Leave(), Remove(address(3))])
def test_a_list_is_proposed_without_those_who_are_decided_to_go(change: Leave | Remove) -> None:
    booth = Booth()
    booth.decide(change, 3, *range(6))
    election = booth.elections.propose(booth.state, 1)
    assert election == booth.election(1, without=(3,))
    assert booth.open(election) is not None


def test_only_a_few_lists_of_one_member_wait() -> None:
    booth = Booth()
    for without in ((1,), (2,), (3,), (4,)):
        for owner in (0, 5):
            booth.open(booth.election(without=without), owner=owner)
    assert [len(kept) for kept in booth.elections.held.values()] == [bounds.ELECTIONS_HELD_PER_MEMBER] * 2
    excluded = {election.change.payload.excluded for election in booth.elections.release()}  # type: ignore[union-attr]
    assert excluded == {(address(3),), (address(4),)}, "the newest"


# --- Votes --------------------------------------------------------------------------------------------------------


def opened(booth: Booth, election: StewardElection, serial: int = 0) -> Item:
    item = booth.open(election, serial=serial)
    assert item is not None
    return item


def test_a_node_says_yes_to_the_valid_list_when_it_is_due() -> None:
    booth = Booth()
    assert booth.opinion(opened(booth, booth.election())) is True


def test_a_node_says_no_to_a_list_that_nobody_needs() -> None:
    booth = Booth()
    booth.stewards_now = StewardList((address(0), address(1)), Epoch(4), Epoch(4))
    item = opened(booth, booth.election())
    assert booth.opinion(item) is False
    booth.stewards_now = StewardList((address(0), address(1)), Epoch(6), Epoch(4))
    assert booth.opinion(item) is False, "there is a newer list"


def test_a_node_says_no_to_a_list_with_somebody_who_is_decided_to_go() -> None:
    booth = Booth()
    item = opened(booth, booth.election())
    going = int(booth.listed()[0][0]) - 1
    booth.decide(Leave(), going)
    assert booth.opinion(item) is False


def test_a_node_waits_to_hear_how_the_round_before_ended() -> None:
    booth = Booth()
    item = opened(booth, booth.election(1))
    assert booth.opinion(item) is None
    booth.wait(100_000)
    assert booth.opinion(item) is None, "however long it takes"


def test_a_node_says_yes_to_the_next_round_as_soon_as_the_one_before_is_rejected() -> None:
    booth = Booth()
    item = opened(booth, booth.election(1))
    booth.reject(booth.election(), serial=1)
    assert booth.opinion(item) is True


def test_a_node_says_no_to_the_next_round_if_the_one_before_is_approved() -> None:
    booth = Booth()
    item = opened(booth, booth.election(1))
    booth.vote(opened(booth, booth.election(), serial=1).proposal, *((number, True) for number in range(4)))
    assert booth.opinion(item) is False


# --- When -----------------------------------------------------------------------------------------------------------

DUE: dict[str, tuple[StewardList, tuple[int, ...], dict[str, Any], bool]] = {
    "a list that is used up": (StewardList((address(0), address(1)), Epoch(3), Epoch(3)), (), {}, True),
    "one epoch before": (StewardList((address(0), address(1)), Epoch(4), Epoch(4)), (), {}, False),
    "a list whose stewards all lost their turns": (
        StewardList((address(0), address(1)), Epoch(4), Epoch(4)),
        (0, 1),
        {},
        True,
    ),
    "a list with one steward whose turn is not lost": (
        StewardList((address(0), address(1)), Epoch(4), Epoch(4)),
        (0, 2),
        {},
        False,
    ),
    "as many stewards as members": (
        StewardList((address(0), address(1)), Epoch(3), Epoch(3)),
        (),
        {"stewards_max": 6},
        False,
    ),
}


@pytest.mark.parametrize("case", DUE)
def test_an_election_is_due_for(case: str) -> None:
    stewards, lost, policy, due = DUE[case]
    booth = Booth(**policy)
    booth.stewards_now = stewards
    booth.lost = tuple(LostTurn(address(number), 4) for number in lost)
    assert is_due(booth.state, Epoch(5)) is due
    assert booth.next_round() == (0 if due else None)


def test_rounds_follow_one_another_until_the_policy_says_stop() -> None:
    booth = Booth()
    for retry_round in range(3):
        assert booth.next_round() == retry_round
        booth.reject(booth.election(retry_round), serial=retry_round)
    assert booth.next_round() is None
    booth.enter(roster(*range(6), epoch=6), 6)
    assert booth.next_round() == 0, "in the next epoch it begins anew"


def test_the_next_round_is_due_from_the_end_of_the_one_before() -> None:
    booth = Booth()
    booth.wait(500)
    booth.reject(booth.election())
    assert booth.elections.next_round(booth.state, booth.policy) == (1, booth.now)


def test_there_is_no_other_round_while_one_is_open_or_approved() -> None:
    booth = Booth()
    item = opened(booth, booth.election())
    assert booth.next_round() is None
    booth.vote(item.proposal, *((number, True) for number in range(4)))
    assert item.status is ProposalStatus.APPROVED
    assert booth.next_round() is None


# --- Obstacles ------------------------------------------------------------------------------------------------------


def test_a_list_comes_to_nothing_when_there_is_a_newer_one() -> None:
    booth = Booth()
    item = opened(booth, booth.election())
    booth.stewards_now = StewardList((address(0),), Epoch(6), Epoch(5))
    booth.enter(roster(*range(6), epoch=6), 6)
    assert (item.status, item.reason) == (ProposalStatus.WITHDRAWN, "There is a newer steward list.")


def test_a_list_comes_to_nothing_when_the_number_of_stewards_was_changed() -> None:
    booth = Booth()
    item = opened(booth, booth.election())
    booth.policy = replace(booth.policy, stewards_max=3)
    booth.enter(roster(*range(6), epoch=6), 6)
    assert (item.status, item.reason) == (ProposalStatus.WITHDRAWN, "The group's settings have changed since.")


def test_a_list_comes_to_nothing_when_it_is_not_decided_in_time() -> None:
    booth = Booth()
    item = opened(booth, booth.election())
    for epoch in range(6, 6 + bounds.PAST_EPOCHS):
        booth.enter(roster(*range(6), epoch=epoch), epoch)
        assert item.status is ProposalStatus.OPEN
    booth.enter(roster(*range(6), epoch=9), 9)
    assert item.reason == "It was not decided in time; the next election follows."


def test_other_changes_of_the_settings_do_not_matter_to_a_list() -> None:
    booth = Booth()
    item = opened(booth, booth.election())
    booth.policy = replace(booth.policy, batch_window=7)
    booth.enter(roster(*range(6), epoch=6), 6)
    assert item.status is ProposalStatus.OPEN
    assert Instant(booth.now) == item.first_seen
