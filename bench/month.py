"""What does a month of changes cost an ordinary member of a very large group?

    python bench month --members 10000 [--months 1] [--a-day 3 3 1] [--whole 1] [--budget SECONDS] [--json FILE]

Policy ``council``: 64 stewards decide, a committee acknowledges. Stewards commit in their turn, each from its own leaf,
so that the tree, cold in the beginning, warms up as theirs would. Reported are ordinary members, of which ``--whole``
run all the time: each change by itself, the mean over the month, and day by day; a profile of one day more tells where
the time of a change goes. For groups of more than 200 members: smaller ones renew keys by themselves, which those that
are keys only do not. See README.md.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import math
import pstats
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from statistics import fmean, median

from crowd import Crowd
from demls.protocol.policy import COUNCIL, DAY, MINUTE, STEWARDS_DECIDING_MIN
from demls.wire.fields import ROSTER_MAX
from demls.wire.ids import Address
from demls.wire.messages import Invite, Remove
from leaves import START, device_of, key_package, make, new_engine
from people import Member, People
from report import Result, add_arguments, publish, say
from stand_in import StandIns
from where import by_part, share_out, watch
from written import Disk

DAYS = 30
"""Of a month."""

A_DAY = {"remove": 3, "add": 3, "refresh": 1}
KINDS = (*A_DAY, "election")
BUDGET_S = 1_000
_NEWCOMERS = 2_000_000
_UP_BEFORE, _DONE_AFTER = MINUTE, MINUTE
"""A stand-in comes up so long before the change; so long after the merge all that follows still counts for it."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one change, or the time until the next, has cost one ordinary member.

    ``hears_committee``: it was in a drawn committee, or one of the next to lead, who listen there too.
    """

    day: int
    number: int
    kind: str
    hears_committee: bool
    commit_bytes: int
    cpu_ms: float
    received: int
    received_bytes: int
    written_bytes: int


MEASURES = ("cpu_ms", "received", "received_bytes", "written_bytes")


class Month:
    """One group over its months."""

    def __init__(self, members: int, whole: int, budget_s: float) -> None:
        self.ends_at = time.process_time() + budget_s
        self.stewards = min(STEWARDS_DECIDING_MIN, members)
        # Somebody leaves before the first newcomer comes: the group is never larger than it began.
        leaves = make(min(members, ROSTER_MAX), policy=COUNCIL, leading=0, ordinary=whole)
        self.crowd = Crowd(leaves.lights, new_engine(0))
        self.people = People(leaves, stewards=self.stewards, crowd=self.crowd)
        for member in self.people.all:
            assert member.group is not None
            member.disk = Disk(member.group.snapshot())
        self.chance = random.Random(members)
        self.day = 0
        self.spent: list[Spent] = []
        self._noted = 0
        self._newcomers = 0
        self._stand_ins = StandIns(leaves.leaf_keys)
        self._standing_in: list[Member] = []
        self._wishing: Member | None = None
        """Who wants new keys next."""

    # --- Time ---------------------------------------------------------------------------------------------------

    def play(self, days: int, a_day: dict[str, int]) -> int:
        """So many days, or until the budget is used up; returns how many were whole."""
        self.people.release()
        for day in range(days):
            if not self._play_day(day, a_day):
                return day
            today = [one for one in self.spent if one.day == day]
            removals = [one.received_bytes for one in today if one.kind == "remove"]
            say(f"day {day + 1}: {fmean(removals or [0]) / 1000:,.0f} KB for a removal, {time.process_time():,.0f} s")
        return days

    def _play_day(self, day: int, a_day: dict[str, int]) -> bool:
        """Is it played to its end?"""
        acts = {"add": self._add, "remove": self._remove, "refresh": self._refresh}
        changes = in_turns(a_day)
        self.day = day
        self.people.take_cost()
        for place, kind in enumerate(changes):
            if time.process_time() > self.ends_at:
                return False
            self._rest_until(START + day * DAY + (place + 1) * DAY // (len(changes) + 1))
            self._change(kind, acts[kind])
            if self.people.needs_election():
                self._change("election", lambda _: self.people.elect())
        self._rest_until(START + (day + 1) * DAY)
        return True

    def _rest_until(self, at: int) -> None:
        """Nothing is changed until then: what the members cost all the same is a kind of its own."""
        gc.collect(1)  # what stand-ins left behind is no work of a member
        self._hear_all()
        self.people.pass_time(max(0, at - _UP_BEFORE - self.people.now))
        self._note("rest", frozenset(), 0)

    def _change(self, kind: str, act: Callable[[Member], None]) -> None:
        """Whose turn it is commits it; ``act`` returns in the epoch after."""
        people = self.people
        leader = self._seat(people.members()[0].state.state.leaders[0])
        if kind == "refresh":
            self._wishing = self._seat(self._anybody())
        self.crowd.follow([leader.address])
        if kind != "election":  # which begins as soon as somebody is there
            people.pass_time(_UP_BEFORE)
        people.take_cost()  # of the coming up
        state, epoch = people.members()[0].state, people.members()[0].state.epoch
        is_drawn = state.committee.is_drawn
        hearing = frozenset(m.address for m in people.members() if is_drawn and state.places.hears_committee(m.address))
        act(leader)
        people.pass_time(_DONE_AFTER)
        assert people.members()[0].state.epoch == epoch + 1
        self._note(kind, hearing, people.newest_commit()[0])
        if leader not in self._standing_in:
            self._stand_ins.learn(leader)
        for member in list(self._standing_in):
            self._let_go(member)
        self._wishing = None
        people.forget()

    def _note(self, kind: str, hearing: frozenset[Address], commit_bytes: int) -> None:
        """What was spent since the last time goes to this kind."""
        self._noted += 1
        for member in self._ordinary():
            cost = member.spent
            self.spent.append(
                Spent(
                    self.day,
                    self._noted,
                    kind,
                    member.address in hearing,
                    commit_bytes,
                    cost.cpu_ms,
                    cost.received,
                    cost.received_bytes,
                    cost.written_bytes,
                )
            )
        self.people.take_cost()

    def _ordinary(self) -> list[Member]:
        """Whole members that are no stewards; where all are, those that do not lead."""
        always = [member for member in self.people.members() if member not in self._standing_in]
        listed = set(always[0].state.state.stewards.members)
        return [member for member in always if member.address not in listed] or always[-1:]

    def _hear_all(self) -> None:
        """People talk: all members count as heard now, so that none is taken for dormant. What they say is left out."""
        for member in self.people.members():
            state = member.state
            state.presence._heard.update(dict.fromkeys(state.roster.addresses, self.people.now))

    # --- Who acts -----------------------------------------------------------------------------------------------

    def _seat(self, address: Address) -> Member:
        """That member as a whole one."""
        whole = next((member for member in self.people.members() if member.address == address), None)
        if whole is not None:
            return whole
        source = next(member for member in self.people.members() if member not in self._standing_in)
        member = self._stand_ins.make(source, self.crowd.lights[address], self.people.now)
        self.crowd.remove(address)
        self._standing_in.append(member)
        self.people.all.append(member)
        self._hear_all()
        return member

    def _let_go(self, member: Member) -> None:
        """From now on it is keys only again."""
        self._stand_ins.learn(member)
        self._standing_in.remove(member)
        self.people.all.remove(member)
        self.crowd.add(member.device)

    def _anybody(self) -> Address:
        return self.chance.choice(list(self.crowd.lights))

    # --- What they do -------------------------------------------------------------------------------------------

    def _add(self, leader: Member) -> None:
        """Proposed by the leader, as all is here; the newcomer asks around like anybody who has joined just now."""
        people = self.people
        self._newcomers += 1
        engine = new_engine(_NEWCOMERS + self._newcomers)
        device = device_of(_NEWCOMERS + self._newcomers, engine, people.now)
        package = key_package(device, engine)
        before = people.size()
        people.decide(leader, Invite(package[0]))
        people.settle(lambda: people.size() > before)
        self.crowd.add(device)
        self._stand_ins.joined(device.address, package)
        self._seat(device.address)

    def _remove(self, leader: Member) -> None:
        people, target = self.people, self._anybody()
        before = people.size()
        people.decide(leader, Remove(target))
        people.settle(lambda: people.size() < before)
        self.crowd.remove(target)

    def _refresh(self, leader: Member) -> None:
        people, epoch = self.people, leader.state.epoch
        assert self._wishing is not None
        people.refresh_by(self._wishing)
        people.settle(lambda: leader.state.epoch > epoch)

    def parts(self, plain: float, a_day: dict[str, int]) -> dict[str, float]:
        """Where the ``plain`` ms of a change go, as a profiler has it of one day more."""
        profile, self.ends_at = cProfile.Profile(builtins=True), math.inf
        noted, ordinary = len(self.spent), {member.address for member in self._ordinary()}
        watch(self.people, lambda member: member.address in ordinary and member not in self._standing_in, profile)
        self._play_day(self.day + 1, a_day)
        del self.spent[noted:]  # the profiler makes everything slower
        shares = by_part(pstats.Stats(profile), len(ordinary) * sum(a_day.values()))
        parts = share_out(plain, shares)
        return {part: round(ms, 1) for part, ms in sorted(parts.items(), key=lambda one: -one[1])}

    # --- What comes out -----------------------------------------------------------------------------------------

    def result(self) -> Result:
        kinds = {kind: [one for one in self.spent if one.kind == kind] for kind in KINDS}
        changes = [one for kind in A_DAY for one in kinds[kind]]
        found = {kind: summary(spent) for kind, spent in kinds.items() if spent}
        groups = {
            "changes": changes,
            "outside": [one for one in changes if not one.hears_committee],
            "inside": [one for one in changes if one.hears_committee],
        }
        found |= {name: summary(spent) for name, spent in groups.items() if spent}
        later = {kind: [one for one in spent if one.day >= DAYS] for kind, spent in kinds.items()}
        if any(later.values()):
            found["later"] = {kind: summary(spent) for kind, spent in later.items() if spent}
        return found | {"days": [self._day(day) for day in range(self.day + 1)], "total": self._total()}

    def _day(self, day: int) -> Result:
        """Means of its changes, and the sum of the rest, for one member."""
        today = [one for one in self.spent if one.day == day]
        return {"day": day + 1} | {
            kind: {measure: mean(today, kind, measure) for measure in (*MEASURES, "commit_bytes")}
            for kind in KINDS
            if any(one.kind == kind for one in today)
        }

    def _total(self) -> Result:
        """All of the time, for one member, the rest too."""
        count = len(self._ordinary())
        return {
            name: {measure: rounded(sum(getattr(one, measure) for one in spent) / count) for measure in MEASURES}
            for name, spent in (("all", self.spent), ("rest", [one for one in self.spent if one.kind == "rest"]))
        }


def in_turns(a_day: dict[str, int]) -> list[str]:
    """The changes of a day, the kinds by turns."""
    rounds = zip_longest(*([kind] * count for kind, count in a_day.items()))
    return [kind for one in rounds for kind in one if kind is not None]


def mean(spent: Iterable[Spent], kind: str, measure: str) -> float:
    return rounded(fmean(getattr(one, measure) for one in spent if one.kind == kind))


def rounded(value: float) -> float:
    return round(value, 1) if value < 1000 else round(value)


def summary(spent: Sequence[Spent]) -> Result:
    """Over the changes and the ordinary members."""
    result: Result = {"count": len({one.number for one in spent})}
    for measure in (*MEASURES, "commit_bytes"):
        values = [getattr(one, measure) for one in spent]
        result[measure] = {
            "mean": rounded(fmean(values)),
            "median": rounded(median(values)),
            "max": rounded(max(values)),
        }
    return result


def measure(members: int, months: float, a_day: dict[str, int], whole: int, budget_s: float) -> Result:
    began = time.process_time()
    month = Month(members, whole, budget_s)
    made = time.process_time()
    days = round(months * DAYS)
    played = month.play(days, a_day)
    result = month.result()
    return {
        "members": members,
        "whole": whole,
        "stewards": month.stewards,
        "a_day": a_day,
        "days_planned": days,
        "days_played": played,
        "making": {"cpu_ms": round((made - began) * 1000)},
        "playing": {"cpu_ms": round((time.process_time() - made) * 1000)},
        **result,
        "parts_ms": month.parts(result["changes"]["cpu_ms"]["mean"], a_day),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench month", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, nargs="+", default=[10_000], metavar="N")
    parser.add_argument("--months", type=float, default=1, metavar="M", help="of 30 days; a part of one too")
    parser.add_argument(
        "--a-day",
        type=int,
        nargs=len(A_DAY),
        default=list(A_DAY.values()),
        metavar=tuple(A_DAY),
        help="so many of each change a day",
    )
    parser.add_argument("--whole", type=int, default=1, metavar="W", help="ordinary members that are measured")
    parser.add_argument("--budget", type=float, default=BUDGET_S, metavar="S", help="processor time of one size")
    add_arguments(parser)
    arguments = parser.parse_args()
    a_day = dict(zip(A_DAY, arguments.a_day, strict=True))
    results = [measure(size, arguments.months, a_day, arguments.whole, arguments.budget) for size in arguments.members]
    columns: list[tuple[str, Callable[[Result], str]]] = [("members", lambda result: f"{result['members']:,}")]
    for kind in (*A_DAY, "changes"):
        columns += [
            (f"{kind}\nms", lambda result, kind=kind: f"{result[kind]['cpu_ms']['mean']:,.0f}"),
            ("\nKB", lambda result, kind=kind: f"{result[kind]['received_bytes']['mean'] / 1000:,.0f}"),
        ]
    publish("month", results, columns=columns, file=arguments.json)


if __name__ == "__main__":
    main()
