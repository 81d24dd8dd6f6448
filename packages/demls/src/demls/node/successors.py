"""How is a successor group founded, so that a crash in between neither loses nor doubles anything?

Four transactions, in this order:

1. The intention: which group it will be, and all its invites. If nothing more happens there is no group; it is void.
2. The new group, whose charter names the state of the old one, and the members whose admission is agreed.
3. The word to the old group, with an invite for each member; its node says it again to whoever comes back.
4. The intention is forgotten.

After a crash between 2 and 4 the next start says the word with the same invites: once more, if 3 was done, which
changes nothing for anybody. Whoever asks again before that gets the group that was begun, not another one; and whoever
asks again after it is told that there is one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from demls.node.clock import now
from demls.node.core import Core, GroupMachine, Machine, is_group
from demls.node.errors import Refused
from demls.node.policies import Agreed
from demls.node.scope_task import ScopeTask
from demls.protocol.credential import Device
from demls.protocol.effects import Effects
from demls.protocol.errors import NotAMember, RequestRefused
from demls.protocol.policy import INVITE_LIFETIME_MAX
from demls.storage.store import Store
from demls.wire.charters import Predecessor
from demls.wire.ids import Address, Instant
from demls.wire.messages import InviteLink, decode_message, encode_message

log = logging.getLogger(__name__)

INTENDED = "successor:"
"""Settings that name, for an old group's scope, the successor that is being founded."""


class Home(Protocol):
    """What founding needs of its node."""

    store: Store
    core: Core
    scopes: dict[str, ScopeTask]

    def new_device(self, at: Instant) -> Device: ...
    async def open_scope(self, scope: str, machine: Machine, effects: Effects) -> ScopeTask: ...
    def published_more(self) -> None: ...


class Intention(msgspec.Struct, frozen=True, array_like=True):
    """A successor that is being founded: its scope, and an invite for each member."""

    scope: str
    links: dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class _Made:
    scope: str
    machine: GroupMachine
    effects: Effects
    links: dict[bytes, bytes]


async def found(home: Home, old: ScopeTask, settings: Agreed, members: Iterable[Address], relay: str) -> str:
    """Found a successor of ``old`` with ``members``, whom it tells; returns its scope. Raises RequestRefused, Refused.

    ``relay``: as invites name it. What was begun before and interrupted is finished instead.
    """
    begun = await _finish(home, old)
    if begun is not None:
        return begun
    named = tuple(members)
    before = await old.call(lambda machine, _: (_as_group(machine).predecessor_of(named), None))
    made = await asyncio.to_thread(_make, home, settings, before, relay)
    intention = msgspec.msgpack.encode(Intention(made.scope, made.links))
    await asyncio.to_thread(home.store.set_setting, INTENDED + old.scope, intention)
    await home.open_scope(made.scope, made.machine, made.effects)
    home.published_more()
    await _announce(home, old, made.links)
    return made.scope


async def resume(home: Home) -> None:
    """What a crash has interrupted: say the word of every successor that was founded, drop what never was."""
    for scope, old in list(home.scopes.items()):
        try:
            await _finish(home, old)
        except (Refused, RequestRefused) as problem:
            log.warning("The successor of %s is not announced: %s", scope[:8], problem)


async def _finish(home: Home, old: ScopeTask) -> str | None:
    """The successor of ``old`` that was founded and not announced yet: it is now."""
    stored = await asyncio.to_thread(home.store.setting, INTENDED + old.scope)
    if stored is None:
        return None
    intention = msgspec.msgpack.decode(stored, type=Intention)
    if intention.scope not in home.scopes:
        await asyncio.to_thread(home.store.set_setting, INTENDED + old.scope, None)
        return None
    await _announce(home, old, intention.links)
    return intention.scope


def _make(home: Home, settings: Agreed, before: Predecessor, relay: str) -> _Made:
    at = now()
    scope, machine, effects = home.core.create_group(
        name=settings.name,
        description=settings.description,
        policy=settings.policy,
        device=home.new_device(at),
        now=at,
        predecessor=before,
    )
    links = {}
    for member in before.founders:
        link, more = machine.invite(relay=relay, lifetime=INVITE_LIFETIME_MAX, now=at)
        links[member] = encode_message(link)
        effects = replace(
            more,
            changes=effects.changes + more.changes,
            outbound=effects.outbound + more.outbound,
            events=effects.events + more.events,
        )
    return _Made(scope, machine, effects, links)


async def _announce(home: Home, old: ScopeTask, encoded: Mapping[bytes, bytes]) -> None:
    links = {Address(member): decode_message(link, InviteLink) for member, link in encoded.items()}

    def announce(machine: Machine, at: Instant) -> tuple[None, Effects]:
        return None, _as_group(machine).announce_successor(links, at)

    try:
        await old.call(announce)
    except NotAMember:
        log.warning("The successor of %s cannot be announced there any more", old.scope[:8])
    await asyncio.to_thread(home.store.set_setting, INTENDED + old.scope, None)


def _as_group(machine: Machine) -> GroupMachine:
    if not is_group(machine):
        raise NotAMember("You are not a member of this group yet. Wait until its members have decided.")
    return machine
