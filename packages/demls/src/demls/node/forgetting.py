"""When does a node forget what was said? As the person has set it: lines of the history and copies of messages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from demls.node.clock import now
from demls.node.core import Machine, is_group
from demls.node.errors import Refused
from demls.node.scope_task import ScopeTask
from demls.protocol.effects import Effects
from demls.protocol.errors import RequestRefused
from demls.protocol.policy import DAY
from demls.storage.store import Store
from demls.wire.ids import Instant

LOOK_SECONDS = 3_600
ROWS_AT_ONCE = 1_000


async def forget_old(store: Store, scopes: Mapping[str, ScopeTask], days: int) -> None:
    """Delete everything that was said more than ``days`` days ago, rows and copies."""
    before = Instant(now() - days * DAY)
    while await asyncio.to_thread(store.forget_timeline_before, before, ROWS_AT_ONCE) == ROWS_AT_ONCE:
        pass

    def forget(machine: Machine, at: Instant) -> tuple[None, Effects | None]:
        return None, machine.forget_messages(before, at) if is_group(machine) else None

    for scope in list(scopes.values()):
        with contextlib.suppress(RequestRefused, Refused):  # no longer a member, or it stands still: the next time
            await scope.call(forget)


async def forget_forever(store: Store, scopes: Mapping[str, ScopeTask], days: int) -> None:
    """``forget_old`` now and every hour; never if ``days`` is 0."""
    while days:
        await forget_old(store, scopes, days)
        await asyncio.sleep(LOOK_SECONDS)
