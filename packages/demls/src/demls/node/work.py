"""What does one step of a machine do? It calls the core, writes all that follows in one transaction, says what to show.

Runs on a worker thread, one step of a scope at a time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from demls.api import models
from demls.node import cards, present, timeline
from demls.node.cards import NOTHING_KNOWN, Known
from demls.node.core import JoiningMachine, Machine, is_group, is_inbox, is_joining, takes_many
from demls.node.memory import give_back
from demls.node.present import Connection
from demls.node.sent import Sent
from demls.protocol.effects import Change, Effects, Outbound
from demls.protocol.errors import DemlsError
from demls.protocol.events import Event, Rejected
from demls.protocol.views import GroupView
from demls.storage.store import Batch, Store, TimelineEntry, TimelineRow
from demls.transport.base import Delivery
from demls.wire.ids import Address, Cursor, Instant, Topic, address_text

log = logging.getLogger(__name__)

T = TypeVar("T")
Act = Callable[[Machine, Instant], tuple[T, Effects | None]]
"""What somebody asks of a machine: an answer, and what follows from it; None if it was only a question."""


TOGETHER_MAX = 64
"""So many waiting envelopes are given to the core at once; between two such calls the time is looked at."""


class CoreFailed(Exception):
    """The core raised on delivery number ``index`` of a batch: a defect, never the sender's right.

    None: on one of several that were taken in together, so it is not known which; take them in one by one.
    """

    def __init__(self, index: int | None) -> None:
        super().__init__(index)
        self.index = index


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step that is now durable leaves to be published and told."""

    deadline: Instant | None
    topics: frozenset[Topic]
    consumed: int
    has_outbound: bool
    entries: tuple[models.TimelineEntry, ...]
    shown: models.Group | None
    rejected: dict[str, int]
    new_scopes: tuple[tuple[JoiningMachine, Instant | None], ...]


@dataclass(slots=True)
class _Gathered:
    changes: dict[bytes, bytes | None] = field(default_factory=dict)
    outbound: list[Outbound] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    cursors: dict[Topic, Cursor] = field(default_factory=dict)
    deadline: Instant | None = None
    new: list[tuple[JoiningMachine, Effects]] = field(default_factory=list)
    client_id: str | None = None
    is_asked: bool = False

    def add(self, effects: Effects) -> None:
        self.changes.update((change.key, change.value) for change in effects.changes)
        self.outbound += effects.outbound
        self.events += effects.events
        self.deadline = effects.deadline


class Worker:
    """One scope's machine and how its steps are carried out. Not reentrant."""

    def __init__(self, scope: str, machine: Machine, store: Store, *, deadline: Instant | None = None) -> None:
        self.scope = scope
        self.machine = machine
        self.store = store
        self.deadline = deadline
        self.is_careful = False
        """Is one envelope taken in at a time, because the core failed on one of several?"""
        self._sent = Sent(scope, store)
        self._before: GroupView | None = None
        """How the group was shown after the last step."""
        self._changes: Known = NOTHING_KNOWN

    def begin(self, effects: Effects, now: Instant, connection: Connection, *, anew: bool) -> Outcome:
        """The first step: what making or loading the machine caused. ``anew``: nothing older of the scope counts."""
        gathered = _Gathered(deadline=self.deadline)
        gathered.add(effects)
        return self._finish(gathered, 0, now, connection, anew=anew)

    def act(
        self, act: Act[T], now: Instant, connection: Connection, *, client_id: str | None = None, text: str = ""
    ) -> tuple[T, Outcome | None]:
        """Carry out what somebody asked for. What ``act`` raises passes through; then nothing has changed.

        ``client_id``: what the program calls the message ``text`` that ``act`` sends. Raises AlreadySaid, Refused.
        """
        if client_id is not None:
            self._sent.check(client_id, text)
        gathered = _Gathered(deadline=self.deadline, client_id=client_id, is_asked=True)
        answer, effects = act(self.machine, now)
        if effects is None:
            return answer, None
        self._add(effects, gathered)
        outcome = self._finish(gathered, 0, now, connection)
        if client_id is not None:
            self._sent.add(client_id, text)
        return answer, outcome

    def take_in(self, deliveries: Sequence[Delivery], time_ms: int, now: Instant, connection: Connection) -> Outcome:
        """Take envelopes in, for ``time_ms`` at most (but one at least). Raises CoreFailed."""
        gathered = _Gathered(deadline=self.deadline)
        until = time.monotonic() + time_ms / 1000
        consumed = 0
        while consumed < len(deliveries):
            together = deliveries[consumed : consumed + self._together()]
            try:
                effects = self._receive(together, now)
            except Exception as problem:
                raise CoreFailed(consumed if len(together) == 1 else None) from problem
            self._add(effects, gathered)
            gathered.cursors.update((delivery.topic, delivery.cursor) for delivery in together)
            consumed += len(together)
            if time.monotonic() >= until:
                break
        return self._finish(gathered, consumed, now, connection)

    def _together(self) -> int:
        return TOGETHER_MAX if takes_many(self.machine) and not self.is_careful else 1

    def _receive(self, deliveries: Sequence[Delivery], now: Instant) -> Effects:
        machine = self.machine
        if takes_many(machine):
            return machine.receive_many([(delivery.topic, delivery.payload) for delivery in deliveries], now)
        return machine.receive(deliveries[0].topic, deliveries[0].payload, now)

    def tick(self, now: Instant, connection: Connection) -> Outcome:
        gathered = _Gathered(deadline=self.deadline)
        self._add(self.machine.tick(now), gathered)
        return self._finish(gathered, 0, now, connection)

    def show(self, now: Instant, connection: Connection) -> models.Group | None:
        """How the scope looks to people; None if it is none of their business."""
        machine = self.machine
        if is_group(machine):
            view = self._before = machine.view(now)
            self._learn(view)
            return present.group(self.scope, view, machine.name_of, connection, self._changes)
        if is_joining(machine) and (machine.group_name or machine.refused is not None):
            return present.joining(self.scope, machine.group_name, machine.refused, machine.arriving, connection)
        return None

    def _learn(self, view: GroupView) -> None:
        """What settings proposals change can only be told while it has not changed yet."""
        agreed = cards.agreed(view)
        self._changes = {
            one.proposal_id: cards.what_changes(one, agreed, self._changes)
            for one in view.proposals
            if one.settings is not None
        }

    def _add(self, effects: Effects, gathered: _Gathered) -> None:
        gathered.add(effects)
        machine = self.machine
        if is_joining(machine) and machine.group is not None:
            self.machine = machine.group
        elif is_inbox(machine):
            gathered.new += machine.take_new()

    def _finish(
        self, gathered: _Gathered, consumed: int, now: Instant, connection: Connection, *, anew: bool = False
    ) -> Outcome:
        new_scopes = self._write_new_scopes(gathered.new)
        rows = self._rows(gathered, now)
        batch = Batch(
            scope=self.scope,
            changes=[Change(key, value) for key, value in gathered.changes.items()],
            outbound=gathered.outbound,
            cursors=gathered.cursors,
            timeline=rows,
            drop_scopes=(self.scope,) if anew else (),
        )
        ids: tuple[int, ...] = ()
        if batch.changes or batch.outbound or batch.cursors or batch.timeline or anew:
            ids = self.store.commit(batch).timeline_ids
            give_back(batch.changes)
        self.deadline = gathered.deadline
        rejected: dict[str, int] = {}
        for event in gathered.events:
            if isinstance(event, Rejected):
                rejected[event.reason.value] = rejected.get(event.reason.value, 0) + 1
                log.debug("%s: refused an envelope (%s): %s", self.scope[:8], event.reason.value, event.detail)
        return Outcome(
            deadline=gathered.deadline,
            topics=self.machine.topics(),
            consumed=consumed,
            has_outbound=bool(gathered.outbound) or any(effects.outbound for _, effects in gathered.new),
            entries=tuple(
                timeline.entry(TimelineEntry(number, row.scope, row.at, row.kind, row.body))
                for number, row in zip(ids, rows, strict=True)
            ),
            shown=self.show(now, connection),
            rejected=rejected,
            new_scopes=new_scopes,
        )

    def _write_new_scopes(
        self, new: list[tuple[JoiningMachine, Effects]]
    ) -> tuple[tuple[JoiningMachine, Instant | None], ...]:
        """Each in a transaction of its own, before the inbox's: after a crash between them the inbox asks again."""
        written = []
        for joining, effects in new:
            if self.store.records(joining.scope):
                continue
            self.store.commit(Batch(scope=joining.scope, changes=effects.changes, outbound=effects.outbound))
            written.append((joining, effects.deadline))
        return tuple(written)

    def _rows(self, gathered: _Gathered, now: Instant) -> list[TimelineRow]:
        events = gathered.events
        if not events:
            return []
        machine = self.machine
        if is_group(machine):
            view = machine.view(now)
            self._learn(view)
            context = timeline.Context(
                me=view.own_address,
                name_of=machine.name_of,
                proposals={one.proposal_id: one for one in view.proposals},
                now=view,
                before=self._before,
                changes=self._changes,
                client_id=gathered.client_id,
                is_asked=gathered.is_asked,
            )
            return timeline.rows(self.scope, events, context, now)
        return timeline.rows(self.scope, events, _NOBODY, now)


_NOBODY = timeline.Context(me=Address(b""), name_of=lambda address: address_text(address)[:8], proposals={})


def still_sentence(problem: DemlsError) -> str:
    """What people are told while a scope's work stands still."""
    return f"{problem} This group's work goes on by itself when that is done."
