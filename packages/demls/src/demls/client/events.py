"""How does a client follow what happens, without gaps, across lost connections and restarts of the node?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from pydantic import TypeAdapter
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

from demls.api.models import GroupNews, GroupsNews, News, NodeNews, TimelineNews
from demls.client.errors import NodeNotRunning, RefusedByNode

if TYPE_CHECKING:
    from demls.client.address import Address

AnyNews = TimelineNews | GroupNews | GroupsNews | NodeNews

PAUSE_SECONDS_MIN = 0.1
PAUSE_SECONDS_MAX = 5.0
MESSAGE_BYTES_MAX = 16 * 1024 * 1024

_NEWS: TypeAdapter[AnyNews] = TypeAdapter(News)


async def read_events(locate: Callable[[], Address], after: int | None) -> AsyncIterator[AnyNews]:
    """All news, for ever. Raises RefusedByNode if the token is refused."""
    pause = PAUSE_SECONDS_MIN
    while True:
        try:
            address = locate()
            query = "" if after is None else f"?after={after}"
            async with connect(
                f"ws{address.url.removeprefix('http')}/api/v1/events{query}",
                additional_headers={"authorization": f"Bearer {address.token}"},
                max_size=MESSAGE_BYTES_MAX,
                proxy=None,
            ) as socket:
                async for text in socket:
                    news = _NEWS.validate_json(text)
                    if isinstance(news, TimelineNews):
                        after = news.id
                    elif isinstance(news, GroupsNews) and after is None:
                        # From now on: so after a lost connection nothing since now is missed.
                        after = max((one.last_id for one in news.groups), default=0)
                    pause = PAUSE_SECONDS_MIN
                    yield news
        except InvalidStatus as refused:
            if refused.response.status_code in (401, 403, 421):
                sentence = "The node does not accept this client's token. It stands in api.token of the data folder."
                raise RefusedByNode(refused.response.status_code, "wrong-token", sentence) from None
        except (OSError, InvalidHandshake, WebSocketException, NodeNotRunning):
            pass
        await asyncio.sleep(pause)
        pause = min(2 * pause, PAUSE_SECONDS_MAX)
