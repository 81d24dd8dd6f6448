"""What follows from a commit: everybody computes the same, and a joiner can check it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from demls.protocol import policy as bounds
from demls.protocol.policy import DAY_POLICY, QUICK
from demls.protocol.roster import Roster
from demls.protocol.stewards import StewardList, generate, is_genuine, is_settled, leaders, list_size
from demls.protocol.succession import Carried, follow
from demls.wire.chain import Deed, LostTurn, Succession
from demls.wire.charters import Policy
from demls.wire.ids import Address, Epoch, Head, View
from demls.wire.messages import (
    Awake,
    Change,
    Dormant,
    Remove,
    Settings,
    StewardElection,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from leaves import GROUP, Leaf, address

NONE: frozenset[Address] = frozenset()


FIRST = Epoch(0)
FOUNDED = StewardList((address(0),), FIRST, FIRST)


@dataclass
class Chain:
    """A group as the chain tells it: one commit after the other."""

    policy: Policy = QUICK
    epoch: Epoch = FIRST
    since: dict[Address, Epoch] = field(default_factory=lambda: {address(0): Epoch(0)})
    stewards: StewardList = FOUNDED
    lost: tuple[LostTurn, ...] = ()
    deeds: tuple[Deed, ...] = ()
    dormant: frozenset[Address] = NONE
    departed_pools: dict[Epoch, tuple[frozenset[Address], frozenset[Address]]] = field(default_factory=dict)

    @property
    def roster(self) -> Roster:
        leaves = [Leaf(member[0] - 1) for member in self.since]
        return Roster(leaves, self.epoch, self.since, self.dormant)

    @property
    def leaders(self) -> tuple[Address, ...]:
        return leaders(
            self.stewards, self.roster, self.epoch, Head(bytes(self.epoch % 256 for _ in "x" * 32)), self.lost
        )

    @property
    def pool(self) -> frozenset[Address]:
        return frozenset(member for member, joined in self.since.items() if is_settled(joined, self.epoch))

    def follows(
        self,
        *changes: Change,
        added: tuple[Address, ...] = (),
        removed: tuple[Address, ...] = (),
        view: int = 0,
        order: list[Address] | None = None,
    ) -> Succession:
        elected = next((change for change in changes if isinstance(change, StewardElection)), None)
        pool, dormant = self.departed_pools[Epoch(elected.election_epoch)] if elected else (NONE, NONE)
        leading = self.leaders
        since = {member: self.since[member] for member in order} if order else self.since
        roster = Roster([Leaf(member[0] - 1) for member in since], self.epoch, since, self.dormant)
        return follow(
            Carried(
                changes,
                frozenset(removed),
                frozenset(added),
                leading[view % len(leading)],
                View(view),
                pool,
                dormant,
            ),
            epoch=self.epoch,
            roster=roster,
            stewards=self.stewards,
            lost=self.lost,
            deeds=self.deeds,
            leaders=leading,
            policy=self.policy,
            group_id=GROUP,
        )

    def commit(self, *changes: Change, **how: Any) -> Succession:
        """The next epoch."""
        self.departed_pools[self.epoch] = (self.pool, self.pool & self.dormant)
        made = self.follows(*changes, **how)
        self.epoch = Epoch(self.epoch + 1)
        for member in how.get("removed", ()):
            del self.since[member]
        self.since |= dict.fromkeys(how.get("added", ()), self.epoch)
        for change in changes:
            if isinstance(change, Settings):
                self.policy = change.policy
        self.stewards = StewardList.read(made.stewards)
        self.lost, self.deeds, self.dormant = made.lost, made.deeds, frozenset(map(Address, made.dormant))
        return made

    def election(self, retry_round: int = 0, excluded: tuple[Address, ...] = ()) -> StewardElection:
        """The only valid list for the present epoch."""
        pool = self.pool - self.dormant - frozenset(excluded)
        size = list_size(len(pool), self.policy.stewards_min, self.policy.stewards_max)
        return StewardElection(
            generate(pool, size, self.epoch, retry_round, GROUP), self.epoch, retry_round, tuple(sorted(excluded))
        )


def grown(n: int, policy: Policy = QUICK) -> Chain:
    """A group of ``n``, all settled, whose list has just been drawn."""
    chain = Chain(policy)
    chain.commit(added=tuple(address(number) for number in range(1, n)))
    chain.commit()
    return chain


# --- Random histories ---------------------------------------------------------------------------------------------


def next_step(chain: Chain, dice: random.Random, waiting: list[StewardElection]) -> dict[str, Any]:
    """Something that a commit of this state may do."""
    members = sorted(chain.since)
    committer = chain.leaders[(view := dice.choice([0, 0, 0, 1, 2, 5])) % len(chain.leaders)]
    changes: list[Change] = []
    removed: tuple[Address, ...] = ()
    added: tuple[Address, ...] = ()
    what = dice.randrange(6)
    awake = [member for member in members if member not in chain.dormant]
    others = [member for member in members if member != committer]
    if what == 0 and len(members) < 9:
        free = [address(number) for number in range(9) if address(number) not in chain.since]
        added = tuple(dice.sample(free, min(len(free), dice.randrange(1, 3))))
    elif what == 1 and len(awake) > 2:
        removed = (dice.choice(others),)
        if len(set(awake) - set(removed)) == 0:
            removed = ()
        changes += [Remove(member) for member in removed]
    elif what == 2 and 2 * (len(members) - len(chain.dormant | {address(99)})) >= len(members) and len(awake) > 1:
        changes.append(Dormant(dice.choice([member for member in awake if member != committer])))
    elif what == 3 and chain.dormant:
        changes.append(Awake(dice.choice(sorted(chain.dormant))))
    elif what == 4 and waiting:
        elected = waiting[-1]
        is_in_time = chain.epoch <= elected.election_epoch + bounds.PAST_EPOCHS
        if is_in_time and chain.stewards.since <= elected.election_epoch:
            changes.append(elected)
    if chain.pool - chain.dormant and dice.random() < 0.5:
        excluded = tuple(sorted(dice.sample(sorted(chain.pool), dice.randrange(0, 2))))
        election = chain.election(dice.randrange(3), excluded)
        if election.proposed_stewards:
            waiting.append(election)
    return {"changes": changes, "added": added, "removed": removed, "view": view}


@settings(max_examples=120)
@given(st.randoms(use_true_random=False), st.integers(1, 4), st.integers(0, 3))
def test_whatever_happens_the_list_is_genuine_and_everybody_knows_it(
    dice: random.Random, stewards_min: int, more: int
) -> None:
    """Joins, leaves, returns, dormancy, elections and lost views in any order."""
    chain = Chain(replace(QUICK, stewards_min=stewards_min, stewards_max=stewards_min + more))
    waiting: list[StewardElection] = []
    for _ in range(30):
        done = next_step(chain, dice, waiting)
        how = {key: done[key] for key in ("added", "removed", "view")}
        shuffled = list(chain.since)
        dice.shuffle(shuffled)
        chain.departed_pools[chain.epoch] = (chain.pool, chain.pool & chain.dormant)
        others = chain.follows(*done["changes"], order=shuffled, **how)
        made = chain.commit(*done["changes"], **how)
        assert made == others
        holds(chain)


def holds(chain: Chain) -> None:
    roster, listed = chain.roster, chain.stewards
    assert is_genuine(listed, chain.since, GROUP)
    assert listed.since <= chain.epoch
    active = listed.active(chain.since)
    assert all(is_settled(chain.since[member], listed.election_epoch) for member in active)
    assert len(set(listed.members)) == len(listed.members)
    assert listed.rotated(chain.epoch, roster), "somebody on the list counts"
    order = chain.leaders
    assert sorted(order) == sorted(roster.counted)
    behind = {Address(turn.member_id) for turn in chain.lost}
    assert behind <= roster.counted
    place = len(order) - len(behind)
    assert set(order[place:]) == behind
    assert all(chain.epoch - turn.epoch <= bounds.TURNS_LOST_FOR for turn in chain.lost)
    assert len({turn.member_id for turn in chain.lost}) == len(chain.lost)
    assert chain.dormant <= set(chain.since)
    assert roster.n >= 1


# --- The list -----------------------------------------------------------------------------------------------------


def test_a_list_goes_on_until_each_of_its_stewards_had_an_epoch() -> None:
    chain = grown(4)
    drawn = chain.stewards
    assert (len(drawn.members), drawn.since) == (4, 2)
    for _ in range(3):
        chain.commit()
        assert chain.stewards == drawn
    chain.commit()
    assert (chain.stewards.since, chain.stewards.election_epoch) == (6, 6)


@pytest.mark.parametrize(("n", "is_renewed"), [(2, True), (3, True), (4, False), (6, False)])
def test_a_used_up_list_is_drawn_anew_by_itself_only_where_there_is_no_choice(n: int, is_renewed: bool) -> None:
    chain = grown(n, replace(QUICK, stewards_max=3))
    while not chain.stewards.is_exhausted(Epoch(chain.epoch + 1)):
        chain.commit()
    before = chain.stewards
    chain.commit()
    assert (chain.stewards != before) == is_renewed
    assert (chain.stewards.since == chain.epoch) == is_renewed
    assert chain.stewards.is_exhausted(chain.epoch) != is_renewed


def test_a_list_without_anybody_left_is_drawn_anew_in_a_group_of_any_size() -> None:
    chain = grown(6, replace(QUICK, stewards_max=2))
    for _ in range(2):
        gone = chain.stewards.active(chain.since)
        view = next(view for view, member in enumerate(chain.leaders) if member not in gone)
        chain.commit(*map(Remove, gone), removed=gone, view=view)
        assert chain.stewards.since == chain.epoch
        assert len(chain.stewards.members) == 2
        holds(chain)


def test_a_list_whose_last_steward_falls_asleep_is_drawn_anew() -> None:
    chain = grown(6, replace(QUICK, stewards_max=1))
    (only,) = chain.stewards.active(chain.since)
    view = next(view for view, member in enumerate(chain.leaders) if member != only)
    chain.commit(Dormant(only), view=view)
    assert only not in chain.stewards.members
    assert chain.stewards.excluded == (only,)
    holds(chain)


def test_newcomers_alone_are_settled_in_at_once() -> None:
    """All who were settled leave in the commit that admits others."""
    chain = grown(2)
    first, second = chain.leaders
    chain.commit(Remove(second), removed=(second,), added=(address(5),))
    chain.commit(Remove(first), removed=(first,), view=chain.leaders.index(address(5)))
    assert chain.stewards.members == (address(5),)
    holds(chain)


def test_an_elected_list_serves_from_the_commit_that_carries_it() -> None:
    chain = grown(6, replace(QUICK, stewards_max=2))
    chain.commit()
    chain.commit()
    election = chain.election(1)
    chain.commit()  # a later epoch than the one it was opened in
    chain.commit(election)
    assert chain.stewards.members == election.proposed_stewards
    assert (chain.stewards.since, chain.stewards.election_epoch, chain.stewards.retry_round) == (
        chain.epoch,
        election.election_epoch,
        1,
    )
    holds(chain)


def test_an_elected_steward_that_has_left_since_is_no_steward() -> None:
    chain = grown(6, replace(QUICK, stewards_max=3))
    election = chain.election()
    gone = Address(election.proposed_stewards[0])
    view = next(view for view, member in enumerate(chain.leaders) if member != gone)
    chain.commit(Remove(gone), removed=(gone,), view=view)
    chain.commit(added=(gone,))
    chain.commit(election)
    assert chain.stewards.active(chain.since) == election.proposed_stewards[1:]
    holds(chain)


def test_an_elected_list_of_which_nobody_is_left_is_drawn_anew() -> None:
    """Its only steward leaves in the commit that would install it."""
    chain = grown(5, replace(QUICK, stewards_max=1))
    election = chain.election()
    (gone,) = map(Address, election.proposed_stewards)
    view = next(view for view, member in enumerate(chain.leaders) if member != gone)
    chain.commit(Remove(gone), election, removed=(gone,), view=view)
    holds(chain)


def test_the_size_of_the_next_list_is_that_of_new_settings() -> None:
    chain = grown(3)
    while not chain.stewards.is_exhausted(Epoch(chain.epoch + 1)):
        chain.commit()
    chain.commit(Settings(bytes(32), "friends", "", replace(DAY_POLICY, stewards_min=3, stewards_max=3)))
    assert len(chain.stewards.members) == 3
    chain.commit(Settings(bytes(32), "friends", "", replace(DAY_POLICY, stewards_min=1, stewards_max=2)))
    while not chain.stewards.is_exhausted(chain.epoch):
        chain.commit()
    assert len(chain.stewards.members) == 3, "more members than stewards: there is a choice"


# --- Turns --------------------------------------------------------------------------------------------------------


def test_who_led_the_views_before_the_commit_lost_its_turn() -> None:
    chain = grown(5)
    order = chain.leaders
    chain.commit(view=2)
    assert {turn.member_id for turn in chain.lost} == set(order[:2])
    assert {turn.epoch for turn in chain.lost} == {chain.epoch - 1}
    assert chain.leaders[-2:] == tuple(a for a in chain.leaders if a in order[:2])


def test_who_commits_has_its_turn_again() -> None:
    chain = grown(4)
    late = chain.leaders[0]
    chain.commit(view=1)
    assert chain.leaders[-1] == late
    chain.commit(view=3)
    assert late not in {turn.member_id for turn in chain.lost}
    assert len(chain.lost) == 3


def test_a_round_through_everybody_costs_the_committer_nothing() -> None:
    chain = grown(4)
    first = chain.leaders[0]
    chain.commit(view=4)
    assert {turn.member_id for turn in chain.lost} == set(chain.since) - {first}


def test_a_lost_turn_is_forgotten_in_time() -> None:
    chain = grown(4)
    late = chain.leaders[0]
    chain.commit(view=1)
    for number in range(bounds.TURNS_LOST_FOR - 1):
        chain.commit()
        assert chain.leaders[-1] == late, number
    chain.commit()
    assert chain.lost == ()


def test_who_leaves_or_falls_asleep_leads_no_more_and_has_lost_no_turn() -> None:
    for asleep in (False, True):
        chain = grown(5)
        late = chain.leaders[0]
        chain.commit(view=1)
        chain.commit(Dormant(late)) if asleep else chain.commit(Remove(late), removed=(late,))
        assert chain.lost == ()
        assert late not in chain.leaders


# --- Dormancy -----------------------------------------------------------------------------------------------------


def test_who_leaves_and_comes_back_is_awake() -> None:
    chain = grown(5)
    sleeper = chain.leaders[-1]
    chain.commit(Dormant(sleeper))
    assert chain.dormant == {sleeper}
    chain.commit(Remove(sleeper), removed=(sleeper,))
    assert chain.dormant == NONE
    chain.commit(added=(sleeper,))
    assert chain.roster.counted == set(chain.since)


def test_who_wakes_up_counts_and_leads() -> None:
    chain = grown(5)
    sleeper = chain.leaders[-1]
    chain.commit(Dormant(sleeper))
    assert (chain.roster.n, chain.roster.q) == (4, 3)
    chain.commit(Awake(sleeper))
    assert (chain.roster.n, chain.roster.q) == (5, 4)
    assert sleeper in chain.leaders
