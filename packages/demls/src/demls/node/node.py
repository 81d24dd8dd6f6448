"""How does a node live? It opens its data folder, runs one task for each scope, and stops as a whole."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

from demls.api import models
from demls.api.version import release
from demls.identity.errors import IdentityError
from demls.node import successors, timeline
from demls.node.clock import now
from demls.node.connection import ConnectionWatch
from demls.node.core import Core, InboxMachine, JoiningMachine, Machine, is_group, is_inbox
from demls.node.counters import Counters
from demls.node.errors import NodeError, Refused
from demls.node.forgetting import forget_forever
from demls.node.news import NewsHub
from demls.node.outbox import Outbox
from demls.node.person import BindDevice, Me
from demls.node.present import Connection, summary
from demls.node.rejoining import FROM_BACKUP
from demls.node.routing import Router
from demls.node.scope_task import ScopeTask, load_worker, resting_scope
from demls.node.settings import Settings
from demls.node.work import Outcome, Worker
from demls.protocol.credential import Device
from demls.protocol.effects import Effects
from demls.protocol.errors import BadSnapshot, RequestRefused
from demls.storage.store import BACKUP_SETTING, Store
from demls.transport.base import Transport
from demls.wire.ids import Instant, address_text
from demls.wire.messages import ResyncReason

log = logging.getLogger(__name__)

INBOX = "inbox"
RESTING = "resting:"
"""Settings that name the scopes of a restored backup that have not been joined again."""
SUMMARIES_PAUSE_SECONDS = 0.1
LAST_LINES = 50
"""So many are looked through for the last that is not quiet."""


class NodeCrashed(NodeError):
    """A task of the node ended with a defect; the log says which. Start the node again and report it."""


class Node:
    """Everything between the API and the core, except for what people ask (that is ``Desk``).

    Belongs to one event loop. Give it an open store and a transport that has not been started; it closes both.
    """

    def __init__(
        self, *, store: Store, transport: Transport, core: Core, bind: BindDevice, me: Me, settings: Settings
    ) -> None:
        self.store = store
        self.transport = transport
        self.core = core
        self.me = me
        self.settings = settings
        self.router = Router(transport)
        self.counters = Counters()
        self.news = NewsHub()
        self.batch_deliveries = settings.batch_deliveries
        self.batch_ms = settings.batch_ms
        self.scopes: dict[str, ScopeTask] = {}
        self.unreadable: dict[str, str] = {}
        """Scopes whose stored state could not be loaded, and why."""
        self.last_entries: dict[str, models.TimelineEntry] = {}
        """By scope, the newest line that is not quiet."""
        self.last_ids: dict[str, int] = {}
        """By scope, the id of the newest line, quiet ones counted."""
        self.watch = ConnectionWatch(transport, lambda: all(one.is_idle for one in self.scopes.values()))
        self._bind = bind
        self._outbox = Outbox(store, transport, self.counters)
        self._tasks: set[asyncio.Task[None]] = set()
        self._scope_tasks: dict[str, asyncio.Task[None]] = {}
        self._summaries = asyncio.Event()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_stopping = False
        self._stranded: set[str] = set()
        """Scopes for which a new seat was asked since this node runs."""

    async def start(self) -> None:
        """Load what is stored and begin to work. Raises StorageError."""
        await asyncio.to_thread(self._rest_what_a_backup_brought)
        for scope in await asyncio.to_thread(self.store.scopes):
            try:
                await self._load(scope)
            except BadSnapshot as problem:
                log.exception("The stored state of %s cannot be read", scope[:8])
                self.unreadable[scope] = str(problem)
        if INBOX not in self.scopes:
            inbox, effects = await asyncio.to_thread(self.core.create_inbox, now())
            self.prepare(inbox)
            await self.open_scope(INBOX, inbox, effects)
        for scope in [name for name, task in self.scopes.items() if task.is_resting and self.me.has_wallet]:
            await self.rejoin(scope, ResyncReason.RESTORED_BACKUP)
        await self.transport.start()
        await successors.resume(self)
        self._spawn("deliveries", self.router.deliver_forever())
        self._spawn("outbox", self._outbox.run())
        self._spawn("connection", self.watch.run(self._connection_changed))
        self._spawn("summaries", self._tell_summaries())
        self._spawn("forgetting", forget_forever(self.store, self.scopes, self.settings.history_days))

    async def stop(self) -> None:
        """Let every step that has begun end, then close everything. Harmless when repeated."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self.news.close()
        for scope in self.scopes.values():
            scope.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._scope_tasks.values(), *self._tasks, return_exceptions=True)
        await self.transport.close()
        await asyncio.to_thread(self.store.close)
        if not self._ended.done():
            self._ended.set_result(None)

    async def wait_ended(self) -> None:
        """Returns after ``stop``; raises NodeCrashed as soon as a task has failed."""
        await asyncio.shield(self._ended)

    def crash(self, what: str, problem: BaseException) -> None:
        """End the node because of a defect or because it cannot go on."""
        log.critical("The node stops because %s failed", what, exc_info=problem)
        if not self._ended.done():
            sentence = f"The node has stopped because {what} failed ({type(problem).__name__}: {problem}). "
            self._ended.set_exception(NodeCrashed(f"{sentence}Nothing confirmed is lost; its log says more."))

    def crash_soon(self, problem: BaseException) -> None:
        """``crash``, because of the wallet, from another thread."""
        self._ended.get_loop().call_soon_threadsafe(self.crash, "the opening of the wallet", problem)

    # Scopes

    async def _load(self, scope: str) -> None:
        for stored in await asyncio.to_thread(self.store.timeline, scope, None, LAST_LINES):
            self._note_line(scope, timeline.entry(stored))
        if await asyncio.to_thread(self.store.setting, RESTING + scope) is None:
            self._run(*await asyncio.to_thread(load_worker, self, scope, self.connection()))
            return
        machine, _ = await asyncio.to_thread(self.load, self.store.records(scope), now())
        self.scopes[scope] = resting_scope(self, Worker(scope, machine, self.store), FROM_BACKUP)

    async def rejoin(self, scope: str, reason: ResyncReason) -> None:
        """Ask a group for a new seat with what is stored of it. Raises BadSnapshot, Refused, IdentityError."""
        records = await asyncio.to_thread(self.store.records, scope)
        if not records.keys() & {b"group", b"returning"}:
            return  # a request to join, or a group that was left: there is no seat
        saved = await asyncio.to_thread(self.store.setting, RESTING + scope)
        saved_at = int(saved or b"0")
        core, sign = self.core, self.me.sign
        try:
            machine, effects = await asyncio.to_thread(core.restored, records, sign, reason, now(), saved_at)
        except (BadSnapshot, IdentityError, NodeError) as problem:
            log.warning("%s cannot be joined again: %s", scope[:8], problem)
            return
        await self.open_scope(scope, machine, effects)

    def _rejoin_stranded(self, scope: str) -> None:
        """No member can help this node any more: ask for a new seat, once, if the wallet is there."""

        def act(machine: Machine, at: Instant) -> tuple[None, Effects]:
            assert is_group(machine)
            return None, machine.rejoin(self.me.sign, ResyncReason.TOO_FAR_BEHIND, at)

        async def ask() -> None:
            task = self.scopes.get(scope)
            if task is not None:
                with contextlib.suppress(RequestRefused, Refused, IdentityError):
                    await task.call(act)

        if self.me.has_wallet and scope not in self._stranded:
            self._stranded.add(scope)
            self._spawn(f"rejoining {scope[:8]}", ask())

    def _rest_what_a_backup_brought(self) -> None:
        """The original may have gone on: from now on its groups are only shown, until they have a new seat."""
        saved_at = self.store.setting(BACKUP_SETTING)
        if saved_at is not None:
            for scope in self.store.scopes():
                if scope != INBOX:
                    self.store.set_setting(RESTING + scope, saved_at)
            self.store.set_setting(BACKUP_SETTING, None)

    async def open_scope(self, scope: str, machine: Machine, effects: Effects) -> ScopeTask:
        """Make a new machine durable and run it, in the place of an old one of the same name. Raises StorageError."""
        old, task = self.scopes.pop(scope, None), self._scope_tasks.pop(scope, None)
        if old is not None and task is not None:
            old.stop()
            await task
        worker = Worker(scope, machine, self.store)
        outcome = await asyncio.to_thread(worker.begin, effects, now(), self.connection(), anew=True)
        await asyncio.to_thread(self.store.set_setting, RESTING + scope, None)
        self.unreadable.pop(scope, None)
        return self._run(worker, outcome)

    async def close_scope(self, scope: str) -> None:
        """Stop a scope's task; what is stored stays."""
        self.scopes.pop(scope).stop()
        task = self._scope_tasks.pop(scope, None)
        if task is not None:
            await task
        self.last_entries.pop(scope, None)
        self.last_ids.pop(scope, None)
        self._summaries.set()

    def adopt(self, joining: JoiningMachine, deadline: Instant | None) -> None:
        """Run a machine that an inbox made; it is durable already."""
        worker = Worker(joining.scope, joining, self.store, deadline=deadline)
        shown = worker.show(now(), self.connection())
        self._run(worker, Outcome(deadline, joining.topics(), 0, True, (), shown, {}, ()))

    def load(self, records: Mapping[bytes, bytes], at: Instant) -> tuple[Machine, Effects]:
        machine, effects = self.core.load(records, at)
        if is_inbox(machine):
            self.prepare(machine)
        if is_group(machine) and b"returning" in records and self.me.has_wallet:
            more = machine.use_wallet(self.me.sign, at)
            effects = Effects(effects.changes + more.changes, more.outbound, effects.events, more.deadline)
        return machine, effects

    def prepare(self, inbox: InboxMachine) -> None:
        inbox.devices = self.new_device if self.me.has_wallet else None

    def new_device(self, at: Instant) -> Device:
        """A device for one group; waits for the wallet, so for worker threads only."""
        return self.me.device(self._bind, at)

    def connection(self) -> Connection:
        return Connection(self.watch.is_connected, self.watch.is_caught_up)

    def published_more(self) -> None:
        self._outbox.wake()

    # Telling

    def tell(self, scope: str, entries: tuple[models.TimelineEntry, ...], shown: models.Group | None) -> None:
        for entry in entries:
            self.news.tell(models.TimelineNews(id=entry.id, entry=entry))
            self._note_line(scope, entry)
        if shown is not None:
            self.news.tell(models.GroupNews(group=shown))
            if shown.stranded:
                self._rejoin_stranded(scope)
        if entries or shown is not None:
            self._summaries.set()

    def _note_line(self, scope: str, entry: models.TimelineEntry) -> None:
        self.last_ids[scope] = entry.id
        if entry.kind != "quiet":
            self.last_entries[scope] = entry

    def summaries(self) -> list[models.GroupSummary]:
        """All groups, the one with the newest line first, quiet ones not counted."""
        shown = [one.shown for one in self.scopes.values() if one.shown is not None]
        all_summaries = [summary(one, self.last_entries.get(one.id), self.last_ids.get(one.id, 0)) for one in shown]
        return sorted(all_summaries, key=lambda one: -one.last_entry.id if one.last_entry else 0)

    def info(self) -> models.NodeInfo:
        status = self.watch.status()
        return models.NodeInfo(
            version=release(),
            me=models.Person(address=address_text(self.me.address), name=self.me.name),
            relay=models.Relay(
                where=self.settings.relay,
                connected=status.connected,
                since=status.since,
                sentence="Connected to the relay." if status.connected else status.reason,
            ),
            wallet_imported=self.settings.wallet_imported,
        )

    async def _tell_summaries(self) -> None:
        while True:
            await self._summaries.wait()
            self._summaries.clear()
            self.news.tell(models.GroupsNews(groups=self.summaries()))
            await asyncio.sleep(SUMMARIES_PAUSE_SECONDS)

    def _connection_changed(self) -> None:
        for scope in self.scopes.values():
            scope.show_again()
        self.news.tell(models.NodeNews(node=self.info()))

    # Tasks

    def _run(self, worker: Worker, outcome: Outcome) -> ScopeTask:
        scope = ScopeTask(self, worker, outcome)
        self.scopes[scope.scope] = scope
        self._scope_tasks[scope.scope] = self.watched(f"the work of {scope.scope[:8]}", scope.run())
        return scope

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = self.watched(f"the task “{name}”", work)
        self._tasks.add(task)

    def watched(self, what: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task whose failure ends the node."""
        task = asyncio.create_task(work)

        def check(done: asyncio.Task[None]) -> None:
            if not done.cancelled() and (problem := done.exception()) is not None:
                self.crash(what, problem)

        task.add_done_callback(check)
        return task
