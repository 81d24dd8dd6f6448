"""A world for tests: members in one process, an in-memory network, and a clock that only tests move."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from demls.protocol.credential import Device, binding_sentence
from demls.protocol.effects import Effects
from demls.protocol.engine import Engine
from demls.protocol.events import Event, MessageReceived
from demls.protocol.group import Group
from demls.protocol.joining import Joining
from demls.protocol.machines import load_machine
from demls.protocol.policy import DAY, MINUTE, PRESETS
from demls.protocol.views import GroupStatus, ProposalView
from demls.wire.charters import Policy
from demls.wire.ids import Address, Duration, Instant, LeafKey, Topic
from demls.wire.messages import Binding, InviteLink
from demls_consensus import wallet_address, wallet_sign
from demls_engine import Engine as RealEngine

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
    held: list[tuple[Topic, int]] = field(default_factory=list)
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
    def has_group(self) -> bool:
        return isinstance(self.machine, Group) or (self.machine is not None and self.machine.group is not None)

    @property
    def is_member(self) -> bool:
        """In the group now, not only once."""
        return self.has_group and self.group.status is GroupStatus.MEMBER

    def heard(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, MessageReceived)]

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


@dataclass(frozen=True)
class Envelope:
    payload: bytes
    sender: str


class World:
    """Envelopes are kept for ever, as a relay's log does; ``lose`` decides what a person never gets."""

    def __init__(self, seed: int = 1, engine: Callable[[bytes], Engine] = RealEngine) -> None:
        self.random = random.Random(seed)
        self.now = START
        self.log: dict[Topic, list[Envelope]] = {}
        self.people: dict[str, Person] = {}
        self._make_engine = engine
        self.lose: Callable[[Person, Envelope], bool] = lambda person, envelope: False
        self.hold: Callable[[Person, Envelope], bool] = lambda person, envelope: False
        """What a person gets only when ``release`` is called: a network that delays."""
        self.watch: Callable[[Person, Effects], None] = lambda person, effects: None
        self.published = 0
        self._inactive: set[str] = set()

    # --- People ---------------------------------------------------------------------------------------------------

    def person(self, name: str) -> Person:
        if name not in self.people:
            seed = self.random.randbytes(32)
            self.people[name] = Person(name, self._make_engine(seed), self.random.randbytes(32))
        return self.people[name]

    def device(self, name: str) -> Device:
        person = self.person(name)
        return make_device(person.engine, person.wallet, name, self.now)

    def members(self) -> list[Person]:
        """Who is in the group by its own account."""
        return [person for person in self.people.values() if person.is_member]

    def name_of(self, address: bytes) -> str:
        return next(person.name for person in self.people.values() if person.address == address)

    def apply(self, person: Person, effects: Effects) -> Effects:
        for change in effects.changes:
            if change.value is None:
                person.records.pop(change.key, None)
            else:
                person.records[change.key] = change.value
        self.watch(person, effects)
        for outbound in effects.outbound:
            self.publish(outbound.topic, outbound.payload, person.name)
        person.events.extend(effects.events)
        person.deadline = effects.deadline
        return effects

    def publish(self, topic: Topic, payload: bytes, sender: str) -> None:
        self.log.setdefault(topic, []).append(Envelope(payload, sender))
        self.published += 1

    def found(self, name: str, policy: Policy = PRESETS["quick"]) -> Group:
        person = self.person(name)
        group, effects = Group.create(
            name="friends", description="", policy=policy, device=self.device(name), engine=person.engine, now=self.now
        )
        person.machine = group
        self.apply(person, effects)
        return group

    def link(self, issuer: str, lifetime: int = 60 * MINUTE) -> InviteLink:
        person = self.person(issuer)
        link, effects = person.group.invite(relay="memory", lifetime=Duration(lifetime), now=self.now)
        self.apply(person, effects)
        return link

    def ask(self, name: str, link: InviteLink, device: Device | None = None) -> Joining:
        person = self.person(name)
        joining, effects = Joining.ask(link, device=device or self.device(name), engine=person.engine, now=self.now)
        person.machine = joining
        person.records, person.read, person.held = {}, {}, []
        self.apply(person, effects)
        return joining

    def do(self, name: str, call: Callable[[Group], Effects]) -> Effects:
        person = self.person(name)
        return self.apply(person, call(person.group))

    def restart(self, name: str) -> None:
        """Load a person's node from what was stored."""
        person = self.person(name)
        person.machine, effects = load_machine(dict(person.records), engine=person.engine, now=self.now)  # type: ignore[assignment]
        self.apply(person, effects)

    def proposals(self, name: str) -> tuple[ProposalView, ...]:
        return self.person(name).group.view(self.now).proposals

    def vote_on_everything(self, *names: str, yes: bool = True) -> None:
        self.deliver()
        for name in names:
            for proposal in self.proposals(name):
                still = next((p for p in self.proposals(name) if p.proposal_id == proposal.proposal_id), None)
                if still is not None and still.may_vote:
                    self.do(name, lambda group, it=proposal: group.vote(it.proposal_id, yes, self.now))  # type: ignore[misc]
                    self.deliver()

    def admit(self, issuer: str, *newcomers: str) -> None:
        """The whole way of some people into the group, everybody voting yes."""
        for newcomer in newcomers:
            self.ask(newcomer, self.link(issuer))
        self.run(5_000)
        self.vote_on_everything(*(person.name for person in self.members()))
        self.run(10_000)
        for newcomer in newcomers:
            assert self.person(newcomer).is_member, f"{newcomer} was not admitted"

    def group_of(self, *names: str, policy: Policy = PRESETS["quick"]) -> None:
        """The first founds a group and admits the others."""
        self.found(names[0], policy)
        if len(names) > 1:
            self.admit(names[0], *names[1:])

    # --- The network ----------------------------------------------------------------------------------------------

    def split(self, *sides: Iterable[str]) -> None:
        """Envelopes from another side are held back until ``heal``."""
        side = {name: number for number, names in enumerate(sides) for name in names}
        self.hold = lambda person, envelope: side.get(person.name) != side.get(envelope.sender)

    def heal(self) -> None:
        self.hold = lambda person, envelope: False
        self.release()

    def release(self, among: Callable[[Person, Envelope], bool] = lambda person, envelope: True) -> None:
        """Hand out what was held back."""
        for person in list(self.people.values()):
            later = []
            for topic, place in person.held:
                envelope = self.log[topic][place]
                if person.machine is None or not among(person, envelope):
                    later.append((topic, place))
                elif topic in person.machine.topics():
                    self.apply(person, person.machine.receive(topic, envelope.payload, self.now))
            person.held = later
        self.deliver()

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
                        if self.lose(person, queue[place]):
                            continue
                        if self.hold(person, queue[place]):
                            person.held.append((topic, place))
                            continue
                        self.apply(person, person.machine.receive(topic, queue[place].payload, self.now))

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
                    assert person.deadline is None or person.deadline > self.now, "a node that is busy with nothing"
            self.deliver()
            self.now = Instant(self.now + 1)
        self.now = Instant(end)
