"""How long does a change take, over a network with delay and loss, until the members are in the new epoch?

    python bench latency --members 10 100 1000 10000 [--decided-by members] [--json FILE] [--runs R]

The simulator's network: 50 to 300 ms delay, 1 % of the deliveries lost. A member reads one message after the other, and
each step takes as long as its processor time was when it was measured here. Somebody proposes to add a newcomer,
everybody who may votes yes as soon as it has read that. Above 100 members some are whole, the others say what these do.
See README.md.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from statistics import mean, median

from crowd import Crowd, speaking
from demls.protocol import credential
from demls.protocol.effects import Effects
from demls.protocol.joining import Joining
from demls.simulation.clock import Clock
from demls.simulation.network import Envelope, Network
from demls.simulation.scenario import Weather
from demls.wire.ids import Instant, ProposalId
from demls.wire.messages import Invite
from large import make_large, policy_of
from leaves import START, Leaves, device_of, new_engine
from people import Member, next_call
from report import Result, add_arguments, publish, say

NETWORK = Weather(loss=0.01, repeats=0.0, delay_least=50, delay_most=300, stragglers=0.0)
ALL_WHOLE_MAX = 100
FULL = 24
SHARE = 0.95
RUNS = 3
LASTS_AT_MOST_MS = 300_000
_LARGE = 1_000


@dataclass
class Node:
    """A whole member on the simulated network: busy until its measured work is done."""

    member: Member
    inbox: deque[Envelope] = field(default_factory=deque)
    free_at: float = 0.0
    is_planned: bool = False
    entered_at: int | None = None


class Timed:
    """One group on one network, for one change."""

    def __init__(self, leaves: Leaves, stewards: int, seed: int) -> None:
        self.clock = Clock()
        self.clock.now = Instant(START + 60_000)
        self.network = Network(self.clock, Random(seed), has_history=False)
        self.network.weather = NETWORK
        self.crowd = Crowd(leaves.lights, new_engine(0))
        self.epoch = leaves.epoch
        self.votes: list[int] = []
        self.nodes: list[Node] = []
        for insider in leaves.insiders:
            member = Member(insider.number, insider.engine, insider.device)
            member.machine, effects = leaves.group_of(insider, stewards, self.clock.now)
            self._connect(Node(member), effects)
        state = self.nodes[0].member.state
        asked = frozenset(state.state.stewards.members)
        if speaking(state) != state.roster.counted:
            asked |= speaking(state)
        self.crowd.follow([node.member.address for node in self.nodes], asked)

    def add(self) -> Result:
        """Propose to add somebody; what it took, from the proposal and from the last vote that was needed."""
        engine = new_engine(1_000_001)
        newcomer = Member(1_000_001, engine, device_of(1_000_001, engine, START))
        newcomer.machine, effects = Joining.await_welcome(device=newcomer.device, engine=engine, now=self.clock.now)
        self._connect(Node(newcomer), effects)
        inside = self.nodes[:-1]
        began, proposer = self.clock.now, inside[-1]
        invite = Invite(newcomer.machine.key_package)
        group = proposer.member.group
        assert group is not None
        self._do(proposer, lambda: group.propose(invite, self.clock.now))
        item = next(iter(proposer.member.state.governance.items.values()))
        needed = item.tally.needed
        weights = {id(node): 1 + self.crowd.twins_of(node.member.address) for node in inside}
        wanted = SHARE * sum(weights.values())

        def arrived() -> float:
            return sum(weights[id(node)] for node in inside if node.entered_at is not None)

        self.clock.run(began + LASTS_AT_MOST_MS, lambda: arrived() >= wanted)
        if arrived() < wanted:
            raise RuntimeError("The group does not settle; this is a defect.")
        return {
            "from_proposal_ms": self.clock.now - began,
            "from_last_vote_ms": self.clock.now - sorted(self.votes)[needed - 1],
            "cpu_ms": round(mean(node.member.spent.cpu_ms for node in inside), 1),
        }

    # --- Nodes --------------------------------------------------------------------------------------------------

    def _connect(self, node: Node, effects: Effects) -> None:
        name = str(node.member.number)
        self.network.connect(name, lambda envelope: self._arrive(node, envelope))
        self.nodes.append(node)
        self._after(node, effects)

    def _arrive(self, node: Node, envelope: Envelope) -> bool:
        node.inbox.append(envelope)
        self._plan(node, self.clock.now)
        return True

    def _plan(self, node: Node, when: float) -> None:
        if not node.is_planned:
            node.is_planned = True
            self.clock.at(math.ceil(max(when, node.free_at)), lambda: self._work(node))

    def _work(self, node: Node) -> None:
        """Read what is there, as far as the time goes."""
        node.is_planned = False
        while node.inbox and node.free_at < self.clock.now + 1:
            machine = node.member.machine
            assert machine is not None
            waiting = deque((envelope.topic, envelope.payload) for envelope in node.inbox)
            call, count = next_call(machine, waiting, self.clock.now)
            for _ in range(count):
                node.inbox.popleft()
            self._do(node, call)
        if node.inbox:
            self._plan(node, node.free_at)

    def _do(self, node: Node, call: Callable[[], Effects]) -> None:
        credential._read_leaf = node.member.cache
        began = time.process_time_ns()
        effects = call()
        spent = (time.process_time_ns() - began) / 1e6
        node.member.spent.cpu_ms += spent
        node.free_at = max(node.free_at, self.clock.now) + spent
        self._after(node, effects)

    def _after(self, node: Node, effects: Effects) -> None:
        """Publish, when the step has ended; listen; wake at the deadline; vote if asked."""
        member, when = node.member, math.ceil(max(node.free_at, self.clock.now))
        name, group = str(member.number), member.group
        if effects.outbound:
            self.clock.at(when, lambda: self._publish(node, effects))
        assert member.machine is not None
        self.network.subscribe(name, member.machine.topics())
        member.deadline = effects.deadline
        if effects.deadline is not None:
            self.clock.at(effects.deadline, lambda at=effects.deadline: self._tick(node, at))
        if group is None:
            return
        if node.entered_at is None and member.state.epoch > self.epoch:
            node.entered_at = when
        if effects.events:
            for proposal in group.view(self.clock.now).proposals:
                if proposal.may_vote:
                    self._vote(node, proposal.proposal_id)

    def _vote(self, node: Node, proposal: ProposalId) -> None:
        group = node.member.group
        assert group is not None
        self._do(node, lambda: group.vote(proposal, True, self.clock.now))
        voters = 1 + self.crowd.twins_of(node.member.address)
        self.votes.extend([math.ceil(node.free_at)] * voters)

    def _publish(self, node: Node, effects: Effects) -> None:
        group = node.member.group
        for envelope in effects.outbound:
            self.network.publish(str(node.member.number), envelope.topic, envelope.payload)
            if group is not None:
                for said in self.crowd.hear(node.member.address, group, envelope.topic, envelope.payload):
                    self.network.publish("light members", envelope.topic, said)

    def _tick(self, node: Node, at: int) -> None:
        machine = node.member.machine
        if node.member.deadline == at and machine is not None:
            self._do(node, lambda: machine.tick(self.clock.now))


def measure(size: int, full: int, decided_by: str, runs: int) -> Result:
    """The median of several runs."""
    whole = size if size <= ALL_WHOLE_MAX else min(full, size)
    stewards = policy_of(decided_by, size)[1]
    leaves = make_large(size, whole, decided_by)
    found = []
    for number in range(runs):
        say(f"{size} members, run {number + 1} of {runs}")
        found.append(Timed(leaves, stewards, number).add())
    add = {name: round(median(one[name] for one in found), 1) for name in found[0]}
    return {"members": size, "whole": whole, "decided_by": decided_by, "runs": runs, "add": add}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench latency", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, nargs="+", default=[10, 100, 1_000, 9_999], metavar="N")
    parser.add_argument("--full", type=int, default=FULL, metavar="M", help="whole members above 100")
    parser.add_argument("--decided-by", nargs="+", choices=("members", "stewards"), default=["members"])
    add_arguments(parser)
    arguments = parser.parse_args()
    results = [
        measure(size, arguments.full, decided_by, arguments.runs or (RUNS if size <= _LARGE else 1))
        for size in arguments.members
        for decided_by in arguments.decided_by
    ]
    columns = [("members", lambda r: f"{r['members']:,}"), ("decided by", lambda r: r["decided_by"])]
    columns += [
        (name.replace("_", " "), lambda r, name=name: f"{r['add'][name]:,.0f}")
        for name in ("from_last_vote_ms", "from_proposal_ms", "cpu_ms")
    ]
    publish("latency", results, columns=columns, file=arguments.json)


if __name__ == "__main__":
    main()
