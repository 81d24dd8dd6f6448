"""How does a command talk to the running node? It connects, asks and disconnects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from demls.api.models import GroupSummary, Member
    from demls.client import Client

T = TypeVar("T")


def ask(folder: Path | None, question: Callable[[Client], Awaitable[T]]) -> T:
    """The answer of the node that runs in ``folder``. Raises ClientError."""
    import asyncio  # noqa: PLC0415 (commands start faster)

    from demls.client import Client  # noqa: PLC0415

    async def talk() -> T:
        async with Client.connect(folder) as node:
            return await question(node)

    return asyncio.run(talk())


async def find_group(node: Client, named: str) -> GroupSummary:
    """The group with this name, id or beginning of an id. Raises ClientError."""
    from demls.client import ClientError  # noqa: PLC0415

    groups = await node.groups()
    exact = [one for one in groups if named in (one.id, one.name)]
    low = named.lower()
    found = exact or [one for one in groups if one.id.startswith(low) or one.name.lower().startswith(low)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ClientError(f"Several groups are called “{named}”. Give an id; “demls group list” shows them.")
    raise ClientError(f"You have no group “{named}”. “demls group list” shows your groups.")


def address_of(members: list[Member], named: str) -> str:
    """The address of the member with this name or address. Raises ClientError."""
    from demls.client import ClientError  # noqa: PLC0415

    low = named.lower().removeprefix("0x")
    found = [one for one in members if named == one.name or one.address.removeprefix("0x").lower().startswith(low)]
    exact = [one for one in found if one.name == named or one.address.removeprefix("0x").lower() == low]
    found = exact or found
    if len(found) == 1:
        return found[0].address
    if found:
        raise ClientError(f"Several members are called “{named}”. Give an address; “demls group members” shows them.")
    raise ClientError(f"There is no member “{named}”. “demls group members” shows who is in the group.")
