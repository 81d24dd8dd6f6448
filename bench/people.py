"""Members in one process, each with a real machine and a real engine: an in-memory network and a virtual clock.

The processor time of all members' machines is summed; what the network costs is left out.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from demls.protocol.credential import Device, binding_sentence
from demls.protocol.effects import Effects
from demls.protocol.engine import Engine
from demls.protocol.group import Group
from demls.protocol.joining import Joining
from demls.protocol.policy import DAY, QUICK
from demls.protocol.views import GroupStatus
from demls.wire.ids import Address, Instant, LeafKey, Topic
from demls.wire.messages import Binding, Invite, Remove
from demls_consensus import wallet_address, wallet_sign
from demls_engine import Engine as RealEngine

START = Instant(1_800_000_000_000)
SETTLE_MS_MAX = 120_000


@dataclass
class Cost:
    """Of everything since it was last taken."""

    cpu_ms: float = 0.0
    messages: int = 0
    size_bytes: int = 0


@dataclass
class Member:
    """One person: its machine, and the envelopes that are on their way to it."""

    number: int
    engine: Engine
    wallet: bytes
    machine: Group | Joining | None = None
    deadline: Instant | None = None
    arriving: deque[tuple[Topic, bytes]] = field(default_factory=deque)

    @property
    def address(self) -> Address:
        return Address(wallet_address(self.wallet))

    @property
    def group(self) -> Group | None:
        return self.machine.group if isinstance(self.machine, Joining) else self.machine

    def device(self, now: Instant) -> Device:
        """A fresh leaf with the wallet's binding."""
        key = self.engine.signature_key()
        leaf_key, expires = LeafKey(key.public), Instant(now + 365 * DAY)
        sentence = binding_sentence(self.address, leaf_key, "laptop", now, expires)
        binding = Binding(now, expires, wallet_sign(self.wallet, sentence.encode()))
        return Device(self.address, f"member {self.number}", "laptop", leaf_key, key.private, binding)


class People:
    """A group and the network between its members."""

    def __init__(self, *, one_by_one: bool = False) -> None:
        """``one_by_one``: each vote arrives before the next is cast, and each envelope is taken in by itself."""
        self.one_by_one = one_by_one
        self.now = START
        self.cost = Cost()
        self.all: list[Member] = []
        self._log: dict[Topic, list[bytes]] = defaultdict(list)
        founder = self._new()
        self._call(
            founder,
            lambda: Group.create(
                name="group",
                description="",
                policy=QUICK,
                device=founder.device(self.now),
                engine=founder.engine,
                now=self.now,
            ),
        )

    def take_cost(self) -> Cost:
        """What was spent since the last time."""
        cost, self.cost = self.cost, Cost()
        return cost

    def members(self) -> list[Member]:
        """Those who are in the group now."""
        return [member for member in self.all if member.group and member.group.status is GroupStatus.MEMBER]

    def epoch(self) -> int:
        """The newest that anybody is in."""
        return max(member.group.view(self.now).epoch for member in self.members() if member.group)

    # --- What is measured ---------------------------------------------------------------------------------------

    def newcomer(self) -> Member:
        """Somebody with a key package to be invited by."""
        member = self._new()
        self._call(
            member,
            lambda: Joining.await_welcome(device=member.device(self.now), engine=member.engine, now=self.now),
        )
        return member

    def add(self, newcomers: list[Member]) -> None:
        """Propose all of them, have everybody vote yes, and wait until they are members."""
        for newcomer in newcomers:
            assert isinstance(newcomer.machine, Joining)
            invite = Invite(newcomer.machine.key_package)
            self._decide(lambda group, invite=invite: group.propose(invite, self.now))
        self._settle(lambda: all(newcomer.group is not None for newcomer in newcomers))

    def remove(self, member: Member) -> None:
        """Propose it, have all others vote yes, and wait until it is out."""
        self._decide(lambda group: group.propose(Remove(member.address), self.now), but=member)
        self._settle(lambda: member not in self.members())

    def refresh(self) -> None:
        """A member that does not lead asks for new keys; wait until everybody has merged the commit."""
        first = self.members()[0].group
        assert first is not None
        leader = first.view(self.now).first_leader
        member = next(member for member in reversed(self.members()) if member.address != leader)
        group = member.group
        assert group is not None

        def keys() -> int:
            return next(one.keys_epoch or 0 for one in group.members() if one.address == member.address)

        before = keys()
        self._act(member, lambda: group.refresh_keys(self.now))
        self._settle(lambda: keys() > before)

    def newest_commit(self) -> tuple[int, int]:
        """(bytes of the newest settled commit, bytes of the Updates that came with it)."""
        group = self.members()[0].group
        assert group is not None
        state = group._state
        assert state is not None
        settled = state.history.leaving(state.epoch - 1)
        assert settled is not None
        return len(settled.candidate.commit), sum(map(len, settled.candidate.updates))

    def chat(self, text: str) -> None:
        """The first member says something to all."""
        first = self.members()[0]
        assert first.group is not None
        group = first.group
        self._act(first, lambda: group.send(text, self.now))

    def _decide(self, propose: Callable[[Group], Effects], but: Member | None = None) -> None:
        voters = [member for member in self.members() if member is not but]
        for place, member in enumerate(voters):
            group = member.group
            assert group is not None
            if place == 0:
                self._act(member, lambda group=group: propose(group))
                continue
            for proposal in group.view(self.now).proposals:
                if proposal.may_vote:
                    vote = proposal.proposal_id
                    self._step(member, lambda group=group, vote=vote: group.vote(vote, True, self.now))
            if self.one_by_one:
                self._deliver()
        self._deliver()

    # --- The network --------------------------------------------------------------------------------------------

    def _new(self) -> Member:
        number = len(self.all)
        seed = hashlib.sha256(number.to_bytes(4, "big")).digest()
        member = Member(number, RealEngine(seed), hashlib.sha256(seed).digest())
        self.all.append(member)
        return member

    def _call(self, member: Member, begin: Callable[[], tuple[Group | Joining, Effects]]) -> None:
        machine, effects = begin()
        member.machine = machine
        self._publish(member, effects)

    def _act(self, member: Member, call: Callable[[], Effects]) -> None:
        self._step(member, call)
        self._deliver()

    def _step(self, member: Member, call: Callable[[], Effects]) -> None:
        assert member.machine is not None
        before = member.machine.topics()
        began = time.process_time_ns()
        effects = call()
        self.cost.cpu_ms += (time.process_time_ns() - began) / 1e6
        self._publish(member, effects)
        for topic in member.machine.topics() - before:  # whoever begins to listen gets what is there
            member.arriving.extend((topic, payload) for payload in self._log[topic])

    def _publish(self, member: Member, effects: Effects) -> None:
        member.deadline = effects.deadline
        for envelope in effects.outbound:
            self.cost.messages += 1
            self.cost.size_bytes += len(envelope.payload)
            self._log[envelope.topic].append(envelope.payload)
            for other in self.all:
                if other.machine is not None and envelope.topic in other.machine.topics():
                    other.arriving.append((envelope.topic, envelope.payload))

    def _deliver(self) -> None:
        """Everything that is on its way, until nothing follows any more: all ways take equally long.

        What arrives at a member at one time is taken in together, as a node does with what waits for it.
        """
        while True:
            arrived = [(member, list(member.arriving)) for member in self.all if member.arriving and member.machine]
            if not arrived:
                return
            for member, envelopes in arrived:
                for _ in envelopes:
                    member.arriving.popleft()
                left = envelopes
                while left:
                    left = self._take_in(member, left)

    def _take_in(self, member: Member, envelopes: list[tuple[Topic, bytes]]) -> list[tuple[Topic, bytes]]:
        """One, or all of them; returns those that are left."""
        machine = member.machine
        if isinstance(machine, Group) and not self.one_by_one:
            self._step(member, lambda: machine.receive_many(envelopes, self.now))
            return []
        assert machine is not None
        self._step(member, lambda: machine.receive(*envelopes[0], self.now))
        if isinstance(machine, Joining) and machine.group is not None:
            member.machine = machine.group
        return envelopes[1:]

    def _settle(self, is_done: Callable[[], bool]) -> None:
        """Let time pass until it is done and everybody is in the same epoch."""
        end = self.now + SETTLE_MS_MAX
        while not (is_done() and self._agree()):
            due = min((member.deadline for member in self.all if member.deadline is not None), default=None)
            if due is None or due > end:
                raise RuntimeError("The group does not settle; this is a defect.")
            self.now = Instant(max(self.now, due))
            for member in self.all:
                if member.machine is not None and member.deadline is not None and member.deadline <= self.now:
                    machine = member.machine
                    self._step(member, lambda: machine.tick(self.now))  # noqa: B023 - called at once
            self._deliver()
            self.now = Instant(self.now + 1)

    def _agree(self) -> bool:
        return len({member.group.view(self.now).epoch for member in self.members() if member.group}) == 1
