"""Members in one process, each with a real machine and a real engine: an in-memory network and a virtual clock.

The processor time of all members' machines is summed; what the network costs is left out. Cycles are searched for as
rarely as in a node. Members that are keys only
(``crowd.py``) say what their models say.
"""

from __future__ import annotations

import gc
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from crowd import Crowd
from demls.node.program import COLLECTION_EVERY
from demls.protocol import credential
from demls.protocol.credential import Device
from demls.protocol.effects import Effects
from demls.protocol.elections import is_due
from demls.protocol.engine import Engine
from demls.protocol.group import Group
from demls.protocol.joining import Joining
from demls.protocol.state import GroupState
from demls.protocol.views import GroupStatus
from demls.wire.ids import Address, Instant, Topic
from demls.wire.messages import Invite, Remove
from leaves import Leaves, device_of, new_engine
from written import Disk

SETTLE_MS_MAX = 300_000
_LEAVES_KEPT = 1024
_read_leaf = credential._read_leaf.__wrapped__


@dataclass
class Cost:
    """Of everything since it was last taken. Published: sealed and padded; written: by members with a disk."""

    cpu_ms: float = 0.0
    messages: int = 0
    size_bytes: int = 0
    received: int = 0
    received_bytes: int = 0
    written_bytes: int = 0


@dataclass
class Member:
    """One person: its machine, and the envelopes that are on their way to it."""

    number: int
    engine: Engine
    device: Device
    machine: Group | Joining | None = None
    deadline: Instant | None = None
    arriving: deque[tuple[Topic, bytes]] = field(default_factory=deque)
    spent: Cost = field(default_factory=Cost)
    cache: Any = field(default_factory=lambda: lru_cache(_LEAVES_KEPT)(_read_leaf))
    """Which bindings it has checked lately: each node remembers its own only."""

    is_away: bool = False
    disk: Disk | None = None
    """Where what follows from its steps is written; most benchmarks do without."""

    @property
    def address(self) -> Address:
        return self.device.address

    @property
    def group(self) -> Group | None:
        return self.machine.group if isinstance(self.machine, Joining) else self.machine

    @property
    def state(self) -> GroupState:
        group = self.group
        assert group is not None
        assert group._state is not None
        return group._state


def next_call(
    machine: Group | Joining, waiting: deque[tuple[Topic, bytes]], now: Instant, *, one_by_one: bool = False
) -> tuple[Callable[[], Effects], int]:
    """(what a node calls with what waits for it, how many envelopes that takes): all at once, if the machine can."""
    receive_many = getattr(machine, "receive_many", None)
    if one_by_one or receive_many is None:
        topic, payload = waiting[0]
        return lambda: machine.receive(topic, payload, now), 1
    together = list(waiting)
    return lambda: receive_many(together, now), len(together)


class People:
    """A group and the network between its members."""

    def __init__(
        self,
        leaves: Leaves,
        *,
        stewards: int,
        serves_for: int | None = None,
        crowd: Crowd | None = None,
        one_by_one: bool = False,
    ) -> None:
        """``one_by_one``: each vote arrives before the next is cast, and each envelope is taken in by itself."""
        gc.set_threshold(COLLECTION_EVERY)
        self.one_by_one = one_by_one
        self.start = leaves.start
        self.now = Instant(leaves.start + 60_000)
        self.cost = Cost()
        self.all: list[Member] = []
        self.crowd = crowd
        self.newcomers = 0
        self._log: dict[Topic, list[bytes]] = defaultdict(list)
        self._known: set[Topic] | None = None
        """While somebody acts: topics whose envelopes go out now. What is said in the next state waits."""
        self._held: list[tuple[Member, Topic, bytes]] = []
        for insider in leaves.insiders:
            member = Member(insider.number, insider.engine, insider.device)
            member.machine, effects = leaves.group_of(insider, stewards, self.now, serves_for=serves_for)
            member.deadline = effects.deadline
            self.all.append(member)

    def take_cost(self) -> Cost:
        """What was spent since the last time, by all and by each."""
        cost, self.cost = self.cost, Cost()
        for member in self.all:
            member.spent = Cost()
        return cost

    def members(self) -> list[Member]:
        """The whole ones that are in the group now and awake."""
        return [m for m in self.all if m.group and m.group.status is GroupStatus.MEMBER and not m.is_away]

    def size(self) -> int:
        """How many are in the group now, light ones too."""
        return len(self.members()[0].state.roster.seats)

    # --- What is measured ---------------------------------------------------------------------------------------

    def newcomer(self) -> Member:
        """Somebody with a key package to be invited by."""
        self.newcomers += 1
        number = 1_000_000 + self.newcomers
        engine = new_engine(number)
        member = Member(number, engine, device_of(number, engine, self.start))
        member.machine, effects = Joining.await_welcome(device=member.device, engine=engine, now=self.now)
        member.deadline = effects.deadline
        self.all.append(member)
        return member

    def add(self, newcomers: list[Member]) -> None:
        """Propose all of them, have everybody vote yes, and wait until they are members."""
        with_topics = [member.machine.topics() for member in newcomers if member.machine is not None]
        self._hold(with_topics)
        proposer = self.members()[-1]
        for newcomer in newcomers:
            assert isinstance(newcomer.machine, Joining)
            self.decide(proposer, Invite(newcomer.machine.key_package))
        self.settle(lambda: all(newcomer.group is not None for newcomer in newcomers))

    def remove(self, address: Address) -> None:
        """Propose it, have all others vote yes, and wait until it is out."""
        self._hold()
        before = self.size()
        proposer = next(member for member in reversed(self.members()) if member.address != address)
        self.decide(proposer, Remove(address), but=address)
        self.settle(lambda: self.size() < before)

    def refresh(self) -> None:
        """A member that does not lead asks for new keys; wait until everybody has merged the commit."""
        self._hold()
        first = self.members()[0].group
        assert first is not None
        leader = first.view(self.now).first_leader
        member = next(member for member in reversed(self.members()) if member.address != leader)
        group = member.group
        assert group is not None

        def keys() -> int:
            return next(one.keys_epoch or 0 for one in group.members() if one.address == member.address)

        before = keys()
        self.refresh_by(member)
        self.settle(lambda: keys() > before)

    def refresh_by(self, member: Member) -> None:
        """This member asks for new keys, and that is all."""
        group = member.group
        assert group is not None
        self._act(member, lambda: group.refresh_keys(self.now))

    def needs_election(self) -> bool:
        """Is the list of stewards used up?"""
        state = self.members()[0].state
        return is_due(state.state, state.epoch)

    def elect(self) -> None:
        """Nodes hold the election by themselves; wait until the new list is in everybody's state."""
        since = self.members()[0].state.state.stewards.since
        self.release()
        self.settle(lambda: self.members()[0].state.state.stewards.since > since)

    def newest_commit(self) -> tuple[int, int]:
        """(bytes of the newest settled commit, bytes of the Updates that came with it)."""
        state = self.members()[0].state
        settled = state.history.leaving(state.epoch - 1)
        assert settled is not None
        return len(settled.candidate.commit), sum(map(len, settled.candidate.updates))

    def chat(self, text: str) -> None:
        """The first member says something to all."""
        first = self.members()[0]
        group = first.group
        assert group is not None
        self._act(first, lambda: group.send(text, self.now))

    def decide(self, proposer: Member, change: Invite | Remove, *, but: Address | None = None) -> None:
        """Propose it, and have all whole members vote yes who may."""
        self.propose(proposer, change)
        self.vote(but)

    def propose(self, proposer: Member, change: Invite | Remove) -> None:
        """Propose it, and leave it at that."""
        group = proposer.group
        assert group is not None
        self._act(proposer, lambda: group.propose(change, self.now))

    def vote(self, but: Address | None = None) -> None:
        """All whole members say yes to all that is open to them."""
        for member in self.members():
            if member.address != but:
                self._vote(member)
            if self.one_by_one:
                self._deliver()
        self._deliver()

    def _vote(self, member: Member) -> None:
        group = member.group
        assert group is not None
        for proposal in group.view(self.now).proposals:
            if proposal.may_vote:
                vote = proposal.proposal_id
                self._step(member, lambda vote=vote: group.vote(vote, True, self.now))

    # --- The network --------------------------------------------------------------------------------------------

    def _hold(self, more: Iterable[Iterable[Topic]] = ()) -> None:
        """From now on, only what is said on topics of today goes out."""
        self.release()
        self._known = {topic for member in self.members() for topic in (member.machine or member.group).topics()}
        self._known.update(topic for topics in more for topic in topics)

    def release(self) -> None:
        """Publish what has waited."""
        self._known, held = None, self._held
        self._held = []
        for member, topic, payload in held:
            self._publish_one(member, topic, payload)
        self._deliver()

    def _act(self, member: Member, call: Callable[[], Effects]) -> None:
        self._step(member, call)
        self._deliver()

    def _step(self, member: Member, call: Callable[[], Effects]) -> None:
        assert member.machine is not None
        before = member.machine.topics()
        credential._read_leaf = member.cache
        began = time.process_time_ns()
        effects = call()
        spent = (time.process_time_ns() - began) / 1e6
        self.cost.cpu_ms += spent
        member.spent.cpu_ms += spent
        self._publish(member, effects)
        after = member.machine.topics()
        if after != before:  # whoever begins to listen gets what is there
            if self._known is not None and member.group is None:
                self._known |= after  # parts of its welcome
            for topic in after - before:
                member.arriving.extend((topic, payload) for payload in self._log[topic])

    def _publish(self, member: Member, effects: Effects) -> None:
        member.deadline = effects.deadline
        if member.disk is not None:
            written = member.disk.write(effects)
            member.spent.written_bytes += written
            self.cost.written_bytes += written
        for envelope in effects.outbound:
            self._publish_one(member, envelope.topic, envelope.payload)

    def _publish_one(self, member: Member, topic: Topic, payload: bytes) -> None:
        if self._known is not None and topic not in self._known:
            self._held.append((member, topic, payload))
            return
        self._count(member, payload)
        self.broadcast(topic, payload)
        group = member.group
        if self.crowd is not None and group is not None:
            for said in self.crowd.hear(member.address, group, topic, payload):
                self._count(None, said)
                self.broadcast(topic, said)

    def forget(self, *, everything: bool = False) -> None:
        """Drop what was said where nobody listens any more; ``everything``: whoever comes hears nothing of it."""
        if everything:
            self._log.clear()
        known = {topic for member in self.all if member.machine is not None for topic in member.machine.topics()}
        self._log = defaultdict(list, {topic: said for topic, said in self._log.items() if topic in known})

    def _count(self, member: Member | None, payload: bytes) -> None:
        for cost in (self.cost, member.spent) if member is not None else (self.cost,):
            cost.messages += 1
            cost.size_bytes += len(payload)

    def broadcast(self, topic: Topic, payload: bytes) -> None:
        """To everybody who listens, the sender too, as a relay does."""
        self._log[topic].append(payload)
        for other in self.all:
            if not other.is_away and other.machine is not None and topic in other.machine.topics():
                other.arriving.append((topic, payload))

    def _deliver(self) -> None:
        """Everything that is on its way, until nothing follows any more: all ways take equally long.

        What arrives at a member at one time is taken in together, as a node does with what waits for it.
        """
        while True:
            arrived = []
            for member in self.all:
                if member.arriving and member.machine is not None:
                    arrived.append((member, member.arriving))
                    member.arriving = deque()
            if not arrived:
                return
            for member, waiting in arrived:
                while waiting:
                    machine = member.machine
                    assert machine is not None
                    call, count = next_call(machine, waiting, self.now, one_by_one=self.one_by_one)
                    for _ in range(count):
                        member.spent.received += 1
                        member.spent.received_bytes += len(waiting.popleft()[1])
                    self._step(member, call)

    def settle(self, is_done: Callable[[], bool], most: int = SETTLE_MS_MAX) -> None:
        """Let time pass until it is done and everybody is in the same epoch."""
        end = self.now + most
        while not (self._agree() and is_done()):
            self.wait(end)

    def wait(self, end: int) -> None:
        """Let time pass until somebody has something to do."""
        awake = [member for member in self.all if not member.is_away and member.machine is not None]
        due = min((member.deadline for member in awake if member.deadline is not None), default=None)
        if due is None or due > end:
            raise RuntimeError("The group does not settle; this is a defect.")
        self.now = Instant(max(self.now, due))
        for member in awake:
            if member.deadline is not None and member.deadline <= self.now:
                machine = member.machine
                assert machine is not None
                self._step(member, lambda: machine.tick(self.now))  # noqa: B023 - called at once
        self._deliver()
        self.now = Instant(self.now + 1)

    def wake(self, duration: int = 20_000) -> None:
        """So long each is by itself: whoever was loaded asks around at first, and all were in the same moment."""
        end = self.now + duration
        for member in self.all:
            machine = member.machine
            while machine is not None and member.deadline is not None and member.deadline <= end:
                member.deadline = machine.tick(member.deadline).deadline
        self.now = Instant(end)

    def pass_time(self, duration: int) -> None:
        """So long, with all that becomes due in it."""
        end = self.now + duration
        while any(m.deadline is not None and m.deadline <= end for m in self.all if not m.is_away):
            self.wait(end)
        self.now = Instant(end)

    def _agree(self) -> bool:
        return len(Counter(member.state.epoch for member in self.members())) == 1
