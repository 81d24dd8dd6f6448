"""A world for tests: members in one process, an in-memory network, and a clock that only tests move."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from demls_consensus import wallet_address, wallet_sign
from demls_engine import Engine as RealEngine

from demls.protocol.credential import Device, binding_sentence
from demls.protocol.effects import Effects
from demls.protocol.engine import Engine
from demls.protocol.events import Event, MessageReceived
from demls.protocol.group import Group
from demls.protocol.joining import Joining
from demls.protocol.machines import load_machine
from demls.protocol.policy import DAY, PRESETS, MINUTE
from demls.wire.ids import Address, Duration, Instant, LeafKey, Topic
from demls.wire.messages import Binding, InviteLink, Policy

START = Instant(1_800_000_000_000)


def make_device(engine: Engine, wallet: bytes, name: str, now: Instant) -> Device:
    key = engine.signature_key()
    address = Address(wallet_address(wallet))
    issued, expires = now, Instant(now + 365 * DAY)
    leaf_key = LeafKey(key.public)
    sentence = binding_sentence(address, leaf_key, "laptop", issued, expires)
    binding = Binding(issued, expires, wallet_sign(wallet, sentence.encode()))
    return Device(address, name, "laptop", leaf_key, key.private, binding)


@dataclass
class Person:
    """One member's node, reduced to its machine and what was told and stored."""

    name: str
    engine: Engine
    wallet: bytes
    machine: Group | Joining | None = None
    records: dict[bytes, bytes] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    deadline: Instant | None = None
    read: dict[Topic, int] = field(default_factory=dict)
    online: bool = True

    @property
    def address(self) -> Address:
        return Address(wallet_address(self.wallet))

    @property
    def group(self) -> Group:
        group = self.machine.group if isinstance(self.machine, Joining) else self.machine
        assert group is not None, f"{self.name} is no member"
        return group

    @property
    def is_member(self) -> bool:
        return isinstance(self.machine, Group) or (self.machine is not None and self.machine.group is not None)

    def heard(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, MessageReceived)]


class World:
    """Envelopes are kept for ever, as a relay's log does; ``lose`` decides what a person never gets."""

    def __init__(self, seed: int = 1, engine: Callable[[bytes], Engine] = RealEngine) -> None:
        self.random = random.Random(seed)
        self.now = START
        self.log: dict[Topic, list[bytes]] = {}
        self.people: dict[str, Person] = {}
        self._make_engine = engine
        self.lose: Callable[[Person, bytes], bool] = lambda person, payload: False
        self.published = 0

    def person(self, name: str) -> Person:
        if name not in self.people:
            seed = self.random.randbytes(32)
            self.people[name] = Person(name, self._make_engine(seed), self.random.randbytes(32))
        return self.people[name]

    def device(self, name: str) -> Device:
        person = self.person(name)
        return make_device(person.engine, person.wallet, name, self.now)

    def apply(self, person: Person, effects: Effects) -> Effects:
        for change in effects.changes:
            if change.value is None:
                person.records.pop(change.key, None)
            else:
                person.records[change.key] = change.value
        for envelope in effects.outbound:
            self.log.setdefault(envelope.topic, []).append(envelope.payload)
            self.published += 1
        person.events.extend(effects.events)
        person.deadline = effects.deadline
        return effects

    def found(self, name: str, policy: Policy = PRESETS["quick"]) -> Group:
        person = self.person(name)
        group, effects = Group.create(
            name="friends", description="", policy=policy, device=self.device(name), engine=person.engine, now=self.now
        )
        person.machine = group
        self.apply(person, effects)
        return group

    def link(self, issuer: str) -> InviteLink:
        person = self.person(issuer)
        link, effects = person.group.invite(relay="memory", lifetime=Duration(60 * MINUTE), now=self.now)
        self.apply(person, effects)
        return link

    def ask(self, name: str, link: InviteLink) -> Joining:
        person = self.person(name)
        joining, effects = Joining.ask(link, device=self.device(name), engine=person.engine, now=self.now)
        person.machine = joining
        self.apply(person, effects)
        return joining

    def do(self, name: str, call: Callable[[Group], Effects]) -> Effects:
        person = self.person(name)
        return self.apply(person, call(person.group))

    def deliver(self) -> None:
        """Hand out everything that is under way, until nothing more follows."""
        moved = True
        while moved:
            moved = False
            for person in list(self.people.values()):
                if person.machine is None or not person.online:
                    continue
                for topic in sorted(person.machine.topics()):
                    queue = self.log.get(topic, [])
                    while person.read.get(topic, 0) < len(queue) and topic in person.machine.topics():
                        place = person.read.get(topic, 0)
                        person.read[topic] = place + 1
                        moved = True
                        if not self.lose(person, queue[place]):
                            self.apply(person, person.machine.receive(topic, queue[place], self.now))

    def run(self, milliseconds: int) -> None:
        """Let time pass; deadlines are kept exactly, and messages arrive at once."""
        end = self.now + milliseconds
        self.deliver()
        while True:
            waiting = [p.deadline for p in self.people.values() if p.deadline is not None and p.online and p.machine]
            due = min(waiting, default=Instant(end + 1))
            if due > end:
                break
            self.now = Instant(max(self.now, due))
            for person in self.people.values():
                if person.online and person.machine and person.deadline is not None and person.deadline <= self.now:
                    self.apply(person, person.machine.tick(self.now))
            self.deliver()
            self.now = Instant(self.now + 1)
        self.now = Instant(end)

    def restart(self, name: str) -> None:
        """Load a person's node from what was stored."""
        person = self.person(name)
        person.machine, effects = load_machine(dict(person.records), engine=person.engine, now=self.now)  # type: ignore[assignment]
        self.apply(person, effects)

    def vote_on_everything(self, *names: str, yes: bool = True) -> None:
        for name in names:
            for proposal in self.person(name).group.view(self.now).proposals:
                if proposal.may_vote:
                    self.do(name, lambda group, it=proposal: group.vote(it.proposal_id, yes, self.now))
                    self.deliver()

    def admit(self, issuer: str, newcomer: str) -> None:
        """The whole way of one person into the group, everybody voting yes."""
        self.ask(newcomer, self.link(issuer))
        self.run(5_000)
        members = [p.name for p in self.people.values() if p.is_member and p.group.status.value == "member"]
        self.vote_on_everything(*members)
        self.run(10_000)
        assert self.person(newcomer).is_member, f"{newcomer} was not admitted"
