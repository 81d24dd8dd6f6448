"""The events socket: everything that happens, as it happens, and first what was missed since ``after``."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query, WebSocket
from pydantic import BaseModel
from starlette.websockets import WebSocketDisconnect

from demls.api.models import GroupNews, GroupsNews, NodeNews, TimelineNews
from demls.node.api.needs import NeedsService
from demls.node.errors import Refused
from demls.node.news import Subscription, TooManyReaders, TooSlow
from demls.node.service import Service

router = APIRouter()

MISSED_AT_ONCE = 500
GOING_AWAY = 1001
TRY_AGAIN = 1013

After = Annotated[int | None, Query(ge=0, lt=2**63)]


@router.websocket("/events")
async def events(socket: WebSocket, service: NeedsService, after: After = None) -> None:
    await socket.accept()
    try:
        with service.news.subscribe() as subscription:
            serving = asyncio.create_task(_serve(socket, service, subscription, after))
            listening = asyncio.create_task(_until_closed(socket))
            _, pending = await asyncio.wait((serving, listening), return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            if serving.done() and not serving.cancelled():
                serving.result()
                await socket.close(GOING_AWAY, "The node stops.")
    except TooSlow:
        await socket.close(TRY_AGAIN, "You were too slow; connect again with the id of the last line.")
    except TooManyReaders:
        await socket.close(TRY_AGAIN, "Too many clients are connected; close one of them.")
    except (WebSocketDisconnect, RuntimeError):
        return


async def _until_closed(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _serve(socket: WebSocket, service: Service, subscription: Subscription, after: int | None) -> None:
    """Subscribed before it reads what was missed, so nothing falls between; what came twice is told once."""
    newest = after or 0
    await _say(socket, NodeNews(node=service.info()))
    await _say(socket, GroupsNews(groups=await service.groups()))
    if after is not None:
        while missed := await service.timeline_after(newest, MISSED_AT_ONCE):
            for entry in missed:
                await _say(socket, TimelineNews(id=entry.id, entry=entry))
            newest = missed[-1].id
    for summary in await service.groups():
        with suppress(Refused):  # deleted in the meantime
            await _say(socket, GroupNews(group=await service.group(summary.id)))
    async for news in subscription:
        if isinstance(news, TimelineNews):
            if news.id <= newest:
                continue
            newest = news.id
        await _say(socket, news)


async def _say(socket: WebSocket, news: BaseModel) -> None:
    await socket.send_text(news.model_dump_json())
