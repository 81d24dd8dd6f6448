"""What does a change cost a member of a very large group?

    python bench large --members 10000 [--full 32] [--decided-by members stewards] [--budget SECONDS] [--json FILE]

All leaves are real keys and all who may vote do, acknowledge and lock; ``--full`` of the members are whole, among them
those who lead. Reported are ordinary members: the mean over those that neither lead nor propose. What the budget leaves
no time for is named under ``left_out``. See README.md.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from crowd import Crowd, speaking
from demls.protocol.policy import QUICK, STEWARDS_DECIDING_MIN
from demls.wire.charters import Deciders, Policy, Rule
from demls.wire.fields import ROSTER_MAX
from demls.wire.ids import Instant, Topic
from demls.wire.messages import Candidate, Invite, SettledCommit
from demls.wire.statements import RoundStatement, StatementKind
from demls_consensus import quorum
from leaves import START, Leaves, device_of, key_package, make, new_engine
from people import Cost, Member, People
from report import Result, add_arguments, publish, say
from written import Disk

STEWARDS = 16
MANY = 100
EPOCHS = 100
BUDGET_S = 600
FOR_LONG = 1_000_000
_SILENCE_MS = 31_000
_PROPOSALS_EACH = 8
_COMMITS = 8
"""So many are led at most in one group here, each by the next in the list, who has to be whole."""

_ORDINARY_LEAST = 3


def policy_of(decided_by: str, members: int) -> tuple[Policy, int]:
    """(policy, length of the steward list)."""
    if decided_by == "members":
        stewards = min(STEWARDS, members // 2)
        return replace(QUICK, stewards_min=1, stewards_max=stewards), stewards
    rule = Rule(QUICK.invite.duration, False, QUICK.invite.share, int(Deciders.STEWARDS))
    stewards = STEWARDS_DECIDING_MIN
    return replace(
        QUICK, stewards_min=stewards, stewards_max=stewards, invite=replace(rule, silence_is_yes=True), remove=rule
    ), stewards


def make_large(members: int, full: int, decided_by: str, batch: int = 100) -> Leaves:
    """With ``full`` whole members, of whom at least so many lead as there are commits."""
    policy, stewards = policy_of(decided_by, members)
    leading = min(STEWARDS, max(full // 2, min(_COMMITS, full - _ORDINARY_LEAST)), stewards)
    return make(members, policy=policy, leading=leading, ordinary=full - leading, batch=batch)


class Large:
    """One group in one mode of decision, and what is measured of it."""

    def __init__(self, members: int, full: int, decided_by: str, batch: int, budget_s: float) -> None:
        self.ends_at = time.process_time() + budget_s
        self.dearest_s = 0.0
        """Processor time of the dearest kind so far: nothing is begun for which less is left."""
        self.decided_by = decided_by
        self.full = full
        self.stewards, began = policy_of(decided_by, members)[1], time.process_time()
        self.leaves = make_large(members, full, decided_by, batch)
        self.result: Result = {
            "members": members,
            "full": full,
            "decided_by": decided_by,
            "stewards": self.stewards,
            "making": {"cpu_ms": round((time.process_time() - began) * 1000)},
            "left_out": [],
        }

    def begin(self, *, few: bool = False, stewards: int | None = None, serves_for: int | None = None) -> People:
        """The group in its first state; its nodes have just come up, with all that they have on their disks.

        ``few``: only the first two that lead and the last two whole members are there.
        """
        crowd = Crowd(self.leaves.lights, new_engine(0))
        insiders = self.leaves.insiders
        present = replace(self.leaves, insiders=[*insiders[:2], *insiders[-2:]]) if few else self.leaves
        people = People(present, stewards=stewards or self.stewards, serves_for=serves_for, crowd=crowd)
        for member in people.all:
            assert member.group is not None
            member.disk = Disk(member.group.snapshot())
        models = [member.address for member in people.all[1:]]  # the first leads
        crowd.follow(models[:1])
        return people

    def run(self, people: People, kind: str, act: Callable[[], None]) -> bool:
        """Do and measure it, if there is time left."""
        if not self._has_time_for(kind):
            return False
        say(f"{self.decided_by}: {kind}")
        people.take_cost()
        began, virtual, ran = time.monotonic(), people.now, time.process_time()
        act()
        took = time.monotonic() - began
        self.dearest_s = max(self.dearest_s, time.process_time() - ran)
        spent = [member.spent for member in self.ordinary(people)]
        self.result[kind] = _mean(spent) | {
            "published": people.cost.messages,
            "published_bytes": people.cost.size_bytes,
            "virtual_s": round((people.now - virtual) / 1000, 1),
            "wall_s": round(took, 1),
        }
        say(f"  {self.result[kind]['cpu_ms']:,.0f} ms for an ordinary member, {took:,.0f} s here")
        return True

    def _has_time_for(self, *kinds: str) -> bool:
        """If not, they are named as left out."""
        if time.process_time() + self.dearest_s <= self.ends_at:
            return True
        self.result["left_out"] += kinds
        return False

    def ordinary(self, people: People) -> list[Member]:
        """Whole members that neither lead, nor propose, nor joined just now."""
        listed = set(people.members()[0].state.state.stewards.members)
        inside = {insider.device.address for insider in self.leaves.insiders}
        plain = [m for m in people.members() if m.address in inside and m.address not in listed]
        return plain[:-1] or people.members()[1:-1]  # the last proposes

    # --- What is measured ---------------------------------------------------------------------------------------

    def measure(self, many: int, epochs: int) -> Result:
        """One group after the other: each is let go before the next is made, which takes gigabytes."""
        catch_up = f"catch_up_{epochs}"
        parts = (
            (("message", "add", "remove", f"add_{many}"), lambda: self._changes(many)),
            (("election",), self._election),
            ((catch_up,), lambda: self._catch_up(catch_up, epochs)),
            (("emergency",), self._trouble),
        )
        for kinds, measure in parts:
            if self._has_time_for(*kinds):
                measure()
            gc.collect()
        return self.result

    def _changes(self, many: int) -> None:
        people = self.begin()
        crowd = people.crowd
        assert crowd is not None
        self.run(people, "message", lambda: people.chat("hello, everybody"))
        newcomer = people.newcomer()
        newcomer.disk = Disk({})
        if self.run(people, "add", lambda: people.add([newcomer])):
            self._first_message(people, newcomer)
            self._restart(people)
        people.release()
        target = next(iter(crowd.lights), people.members()[-1].address)
        if self.run(people, "remove", lambda: people.remove(target)) and target in crowd.lights:
            crowd.remove(target)
        people.release()
        self.run(people, f"add_{many}", lambda: self._add_many(people, many))

    def _election(self) -> None:
        people = self.begin(serves_for=0)
        self.run(people, "election", people.elect)

    def _trouble(self) -> None:
        people = self.begin()
        self.run(people, "emergency", lambda: self._emergency(people))

    def _first_message(self, people: People, newcomer: Member) -> None:
        """Joining, from the welcome to the first message read, is all that the newcomer has done so far."""
        people.chat("welcome")
        self.result["join"] = _mean([newcomer.spent])

    def _emergency(self, people: People) -> None:
        """A light member whose word counts signs two statements in one view: the nodes find, accuse and remove it."""
        crowd = people.crowd
        assert crowd is not None
        first = people.members()[0]
        state = first.state
        culprit = next(light for light in list(crowd.lights)[1:] if light in state.committee.members)
        for said in (bytes([1]) * 32, bytes([2]) * 32):
            statement = RoundStatement(
                state.epoch, state.state.head, 0, said, b"", first.address, bytes(64), StatementKind.ACK
            )
            people.broadcast(state.channel.topic, crowd.seal(state.channel, crowd.state(culprit, statement)))
        before = people.size()
        people._deliver()
        people.settle(lambda: people.size() < before)
        crowd.remove(culprit)

    def _add_many(self, people: People, many: int) -> None:
        """Keys only, one whole. Where all decide nobody votes, and silence is consent; stewards vote on each."""
        engine = new_engine(2_000_000)
        devices = [device_of(2_000_000 + number, engine, START) for number in range(many)]
        proposers = list(reversed(people.members()))
        before = people.size()
        for number, device in enumerate(devices):
            proposer = proposers[number // _PROPOSALS_EACH % len(proposers)]
            people.propose(proposer, Invite(key_package(device, engine)[0]))
        if self.decided_by == "stewards":
            people.vote()
        people.settle(lambda: people.size() == before + many)

    def _restart(self, people: People) -> None:
        """One member's records read by a new process."""
        member = self.ordinary(people)[0]
        assert member.group is not None
        self.result["restart"] = in_new_process("restart", {"records": member.group.snapshot(), "now": people.now})

    def _catch_up(self, kind: str, epochs: int) -> None:
        """Two lead in turn while one sleeps through; what they have kept is handed to it, as when it comes back."""
        say(f"{self.decided_by}: {kind}")
        people = self.begin(few=True, stewards=2, serves_for=FOR_LONG)
        asleep = self.ordinary(people)[0]
        assert asleep.group is not None
        records = asleep.group.snapshot()
        history = _epochs(people, epochs, self.ends_at)
        told = in_new_process("catch_up", {"records": records, "now": people.now, "history": history})
        size = sum(len(payload) for _, payload in history)
        self.result[kind] = told | {"epochs": len(history), "bytes": size}


def _epochs(people: People, epochs: int, ends_at: float) -> list[tuple[Topic, bytes]]:
    """So many settled commits, one newcomer in each, as they are served to who is behind."""
    crowd = people.crowd
    assert crowd is not None
    people.crowd = None  # certificates are signed here: the rounds of those epochs are not what is measured
    engine = new_engine(3_000_000)
    history: list[tuple[Topic, bytes]] = []
    awake = people.members()[:2]
    for member in people.all:
        member.is_away = member not in awake
    for number in range(epochs):
        if time.process_time() > ends_at:
            break
        leader = next(m for m in awake if m.address == m.state.state.leaders[0])
        state = leader.state
        device = device_of(3_000_000 + number, engine, START)
        epoch, channel = state.epoch, state.channel
        offered = _offer(leader, Invite(key_package(device, engine)[0]), people)
        lock = RoundStatement(
            epoch, state.state.head, 0, offered.id, b"", leader.address, bytes(64), StatementKind.LOCK
        )
        heard = speaking(state)
        voters = [light for light in crowd.lights if light in heard]
        assert len(voters) >= quorum(len(heard)), "too few light members for a certificate; fewer have to be whole"
        locks = tuple(crowd.state(light, lock) for light in voters[: quorum(len(heard))])
        proposals = tuple(state.candidates.carry(offered.id)[1])
        settled = crowd.seal(channel, SettledCommit.of(epoch, state.state.head, offered, 0, locks, proposals))
        history.append((channel.topic, settled))
        for member in awake:
            member.arriving.clear()
            machine = member.machine
            assert machine is not None
            people._step(member, lambda m=machine, it=history[-1]: m.receive(*it, people.now))
            member.arriving.clear()
        assert all(member.state.epoch == epoch + 1 for member in awake)
    return history


def _offer(leader: Member, change: Invite, people: People) -> Candidate:
    """What the leader offers when silence has agreed to it: where stewards decide, after their time that of all."""
    group = leader.group
    assert group is not None
    people.propose(leader, change)
    people.vote()
    for _ in range(2):
        people.now = Instant(people.now + _SILENCE_MS)
        group.tick(people.now)
        people.now = Instant(people.now + 5_000)
        group.tick(people.now)
        if 0 in leader.state.round.offers:
            break
    return leader.state.round.offers[0].candidate


def in_new_process(what: str, told: dict[str, Any]) -> Result:
    """Measured by ``member.py`` in a process of its own: its time and memory."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "told"
        file.write_bytes(pickle.dumps(told))
        command = [sys.executable, str(Path(__file__).with_name("member.py")), what, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    return json.loads(done.stdout)


def _mean(spent: list[Cost]) -> Result:
    count = max(1, len(spent))
    sums = {name: sum(asdict(one)[name] for one in spent) / count for name in asdict(Cost())}
    return {
        "cpu_ms": round(sums["cpu_ms"], 1),
        "received": round(sums["received"]),
        "received_bytes": round(sums["received_bytes"]),
        "written_bytes": round(sums["written_bytes"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench large", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, nargs="+", default=[10_000], metavar="N")
    parser.add_argument("--full", type=int, default=32, metavar="M")
    parser.add_argument("--decided-by", nargs="+", choices=("members", "stewards"), default=["members", "stewards"])
    parser.add_argument("--many", type=int, default=MANY, metavar="A", help="newcomers in the large addition")
    parser.add_argument("--epochs", type=int, default=EPOCHS, metavar="E", help="to catch up over")
    parser.add_argument("--batch", type=int, default=100, metavar="B", help="members a commit while it is made")
    parser.add_argument(
        "--budget", type=float, default=BUDGET_S, metavar="SECONDS", help="of processor time, for one mode"
    )
    add_arguments(parser)
    arguments = parser.parse_args()
    if arguments.many > _PROPOSALS_EACH * arguments.full:
        parser.error(
            f"{arguments.many} newcomers need {-(-arguments.many // _PROPOSALS_EACH)} whole members to propose."
        )
    results = []
    for members in arguments.members:
        made = min(members, ROSTER_MAX - arguments.many - 1)  # room for who is added
        for decided_by in arguments.decided_by:
            large = Large(made, min(arguments.full, made), decided_by, arguments.batch, arguments.budget)
            results.append(large.measure(arguments.many, arguments.epochs))
    kinds = ("message", "add", "remove", "emergency", f"add_{arguments.many}", "election", "join", "restart")
    columns = [("members", lambda r: f"{r['members']:,}"), ("decided by", lambda r: r["decided_by"])]
    columns += [(f"{kind}\nms", lambda r, kind=kind: f"{r.get(kind, {}).get('cpu_ms', 0):,.1f}") for kind in kinds]
    publish("large", results, columns=columns, file=arguments.json)


if __name__ == "__main__":
    main()
