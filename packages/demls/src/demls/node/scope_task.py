"""How does one scope live? One task: envelopes, requests and deadlines go through its worker, one step at a time.

A step persists before anything is published or told. If the storage fails, the machine in memory is ahead of the
disk: it is dropped, its work stands still with a sentence, and it is loaded again from what is durable.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from demls.api import models
from demls.node.clock import now
from demls.node.core import JoiningMachine, Machine
from demls.node.counters import Counters
from demls.node.errors import Refused
from demls.node.present import Connection
from demls.node.routing import Router, Subscribed
from demls.node.work import Act, CoreFailed, Outcome, Worker, still_sentence
from demls.protocol.effects import Effects
from demls.protocol.errors import BadSnapshot, RequestRefused
from demls.storage.errors import StorageError
from demls.storage.store import Store
from demls.transport.base import Delivery
from demls.wire.ids import Cursor, Instant, Topic

log = logging.getLogger(__name__)

T = TypeVar("T")

DELIVERIES_MAX = 1024
CALLS_MAX = 256
SLEEP_SECONDS_MAX = 30.0
"""The wall clock is looked at this often, whatever a suspended machine's timers do."""
PAUSE_SECONDS_MIN = 0.01
RETRY_SECONDS_MIN = 1.0
RETRY_SECONDS_MAX = 30.0


class Home(Protocol):
    """What a scope's task needs of its node."""

    store: Store
    router: Router
    counters: Counters
    batch_deliveries: int
    batch_ms: int

    def connection(self) -> Connection: ...
    def load(self, records: Mapping[bytes, bytes], at: Instant) -> tuple[Machine, Effects]: ...
    def published_more(self) -> None: ...
    def tell(self, scope: str, entries: tuple[models.TimelineEntry, ...], shown: models.Group | None) -> None: ...
    def adopt(self, joining: JoiningMachine, deadline: Instant | None) -> None: ...


@dataclass(frozen=True, slots=True)
class _Call:
    act: Act[Any]
    answer: asyncio.Future[Any]
    client_id: str | None
    text: str


class ScopeTask:
    """The life of one scope; ``run`` is its task. Belongs to the event loop."""

    def __init__(self, home: Home, worker: Worker, outcome: Outcome) -> None:
        """``outcome``: of the worker's first step, which is durable."""
        self.scope = worker.scope
        self.shown = outcome.shown
        self.failure = ""
        self.is_resting = False
        """Only shown, never run."""
        self._home = home
        self._worker = worker
        self._subscribed = Subscribed(home.router, self)
        self._calls: deque[_Call] = deque()
        self._deliveries: deque[Delivery] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._is_stopping = False
        self._must_show = False
        self._is_working = False
        self._retry_seconds = RETRY_SECONDS_MIN
        self._first = outcome

    @property
    def machine(self) -> Machine:
        """To be asked from outside for what never changes."""
        return self._worker.machine

    @property
    def is_idle(self) -> bool:
        return not (self._deliveries or self._is_working)

    async def offer(self, delivery: Delivery) -> None:
        """Queue an envelope; waits while too many are queued. One lost here is read again from the cursor."""
        while len(self._deliveries) >= DELIVERIES_MAX and not (self.failure or self._is_stopping):
            self._room.clear()
            await self._room.wait()
        if not (self.failure or self._is_stopping):
            self._deliveries.append(delivery)
            self._wake.set()

    async def call(self, act: Act[T], *, client_id: str | None = None, text: str = "") -> T:
        """Carry out ``act`` between two other steps; returns when what it caused is durable.

        ``client_id``: what the program calls the message ``text`` that ``act`` sends. Raises what ``act`` raises,
        AlreadySaid, Refused while the work stands still.
        """
        self._refuse_if_still()
        if len(self._calls) >= CALLS_MAX:
            raise Refused("This node has too much to do at the moment. Try again in a few seconds.", "busy")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._calls.append(_Call(act, answer, client_id, text))
        self._wake.set()
        return await answer

    def show_again(self) -> None:
        """Something outside the core changed how the scope looks."""
        self._must_show = True
        self._wake.set()

    def stop(self) -> None:
        """Ask ``run`` to end after the step it is at."""
        self._is_stopping = True
        self._wake.set()
        self._room.set()

    async def run(self) -> None:
        """Work until ``stop``. What it raises is a defect."""
        try:
            await self._begin(self._first)
            while not self._is_stopping:
                await self._wait()
                self._is_working = True
                try:
                    await self._work()
                except (StorageError, BadSnapshot) as problem:
                    await self._stand_still(still_sentence(problem))
                finally:
                    self._is_working = False
        finally:
            self._subscribed.stop()
            self._refuse_calls(Refused("The node is stopping. Try again when it runs.", "stopping"))
            self._is_stopping = True
            self._room.set()

    async def _begin(self, outcome: Outcome) -> None:
        cursors = await asyncio.to_thread(self._home.store.cursors, self.scope)
        self._subscribed.follow(outcome.topics, cursors)
        self._tell(outcome, is_first=True)

    async def _wait(self) -> None:
        if self._calls or self._deliveries or self._must_show or self._is_stopping:
            return
        self._wake.clear()
        seconds = SLEEP_SECONDS_MAX
        if self._worker.deadline is not None:
            seconds = min(seconds, max(PAUSE_SECONDS_MIN, (self._worker.deadline - now()) / 1000))
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _work(self) -> None:
        """One round: all waiting requests, a batch of envelopes, a tick if it is due."""
        if self._must_show:
            self._must_show = False
            shown = await asyncio.to_thread(self._worker.show, now(), self._home.connection())
            self._show(shown, ())
        for _ in range(len(self._calls)):
            await self._carry_out(self._calls.popleft())
        if self._deliveries:
            await self._take_in()
        deadline = self._worker.deadline
        if deadline is not None and deadline <= now() and not self._is_stopping:
            await self._done(await asyncio.to_thread(self._worker.tick, now(), self._home.connection()))

    async def _carry_out(self, call: _Call) -> None:
        if call.answer.cancelled():
            return
        try:
            answer, outcome = await asyncio.to_thread(
                self._worker.act, call.act, now(), self._home.connection(), client_id=call.client_id, text=call.text
            )
        except StorageError as problem:
            _answer(call, Refused(still_sentence(problem), "storage"))
            raise
        except (RequestRefused, Refused) as problem:
            _answer(call, problem)
            return
        except Exception:
            _answer(call, Refused("Something went wrong inside the node; its log says what.", "internal"))
            raise
        if outcome is not None:
            await self._done(outcome)
        if not call.answer.done():
            call.answer.set_result(answer)

    async def _take_in(self) -> None:
        count = min(len(self._deliveries), self._home.batch_deliveries)
        batch = [self._deliveries.popleft() for _ in range(count)]
        try:
            outcome = await asyncio.to_thread(
                self._worker.take_in, batch, self._home.batch_ms, now(), self._home.connection()
            )
        except CoreFailed as failure:
            log.exception("The core failed on an envelope of %s", self.scope[:8], exc_info=failure.__cause__)
            if failure.index is not None:
                self._home.counters.add("core_failures")
                del batch[failure.index]
            await self._reload()
            self._worker.is_careful = failure.index is None
            self._deliveries.extendleft(reversed(batch))  # without the one; the cursor moves past it with the next
            return
        self._deliveries.extendleft(reversed(batch[outcome.consumed :]))
        self._worker.is_careful = self._worker.is_careful and bool(self._deliveries)
        self._room.set()
        self._home.counters.add("envelopes_received", outcome.consumed)
        await self._done(outcome)

    async def _done(self, outcome: Outcome) -> None:
        """What follows a step that is durable: publish, then tell."""
        self._retry_seconds = RETRY_SECONDS_MIN
        self._tell(outcome)
        cursors: Mapping[Topic, Cursor] = {}
        if outcome.topics - self._subscribed.topics:
            cursors = await asyncio.to_thread(self._home.store.cursors, self.scope)
        given_up = self._subscribed.follow(outcome.topics, cursors)
        if given_up:
            await asyncio.to_thread(self._home.store.forget_topics, self.scope, given_up)

    def _tell(self, outcome: Outcome, *, is_first: bool = False) -> None:
        counters = self._home.counters
        counters.add("transactions")
        for reason, amount in outcome.rejected.items():
            counters.add("envelopes_rejected", amount, reason=reason)
        if outcome.has_outbound:
            self._home.published_more()
        for joining, deadline in outcome.new_scopes:
            self._home.adopt(joining, deadline)
        self._show(outcome.shown, outcome.entries, always=is_first)

    def _show(
        self, shown: models.Group | None, entries: tuple[models.TimelineEntry, ...], *, always: bool = False
    ) -> None:
        is_changed = always or shown != self.shown
        self.shown = shown
        self._home.tell(self.scope, entries, shown if is_changed else None)

    async def _stand_still(self, sentence: str) -> None:
        """Until the scope has been loaded again: nothing in, nothing out, nothing lost."""
        log.error("%s stands still: %s", self.scope[:8], sentence)
        self._home.counters.add("storage_failures")
        self.failure = sentence
        self._subscribed.stop()
        self._deliveries.clear()
        self._room.set()
        self._refuse_calls(Refused(sentence, "storage"))
        if self.shown is not None:
            sync = models.Sync(state="offline", sentence=sentence)
            self._show(self.shown.model_copy(update={"sync": sync}), ())
        while not self._is_stopping:
            self._wake.clear()
            try:
                async with asyncio.timeout(self._retry_seconds):
                    await self._wake.wait()
            except TimeoutError:
                pass
            else:
                continue
            self._retry_seconds = min(2 * self._retry_seconds, RETRY_SECONDS_MAX)
            try:
                self.failure = ""
                await self._reload()
            except (StorageError, BadSnapshot) as problem:
                self.failure = sentence
                log.warning("%s still stands still: %s", self.scope[:8], problem)
                continue
            log.info("%s goes on", self.scope[:8])
            return

    async def _reload(self) -> None:
        """Go on from what is durable, as if the node had been started again; subscriptions and queue stay."""
        worker, outcome = await asyncio.to_thread(load_worker, self._home, self.scope, self._home.connection())
        self._worker = worker
        await self._begin(outcome)

    def _refuse_if_still(self) -> None:
        if self.failure:
            raise Refused(self.failure, "storage")
        if self._is_stopping:
            raise Refused("The node is stopping. Try again when it runs.", "stopping")

    def _refuse_calls(self, problem: Refused) -> None:
        while self._calls:
            _answer(self._calls.popleft(), problem)


def resting_scope(home: Home, worker: Worker, sentence: str) -> ScopeTask:
    """A scope that is shown as it was and does nothing; ``sentence`` says why."""
    shown = worker.show(now(), Connection(False, False, sentence, is_resting=True))
    scope = ScopeTask(home, worker, Outcome(None, frozenset(), 0, False, (), shown, {}, ()))
    scope.failure, scope.is_resting = sentence, True
    return scope


def load_worker(home: Home, scope: str, connection: Connection) -> tuple[Worker, Outcome]:
    """A worker for what the store holds of ``scope``, after its first step. Raises BadSnapshot, StorageError."""
    at = now()
    machine, effects = home.load(home.store.records(scope), at)
    worker = Worker(scope, machine, home.store)
    return worker, worker.begin(effects, at, connection, anew=False)


def _answer(call: _Call, problem: Exception) -> None:
    if not call.answer.done():
        call.answer.set_exception(problem)
