"""How do two relays hand each other what they keep? A process of its own, which a story can stop: a network in two.

``python -m demls.cli.bridge LOG URL LOG URL``: the two relays' log files, in which it finds the topics, and addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sqlite3
import sys
from pathlib import Path

from demls.cli.output import say
from demls.transport.relay_client import RelayTransport
from demls.wire.ids import Cursor, Topic

LOOK_SECONDS = 0.1
READY = "The bridge is ready between "


class Shore:
    """One of the two relays: its log is asked for topics, its transport for envelopes."""

    def __init__(self, log: Path, url: str) -> None:
        self._log = log
        self.transport = RelayTransport(url)

    async def look_for_topics(self) -> None:
        """For ever: subscribe to whatever topic appears in the log."""
        with contextlib.closing(sqlite3.connect(f"file:{self._log}?mode=ro", uri=True)) as database:
            while True:
                for (topic,) in database.execute("SELECT topic FROM topics").fetchall():
                    self.transport.subscribe(Topic(topic), Cursor(b""))
                await asyncio.sleep(LOOK_SECONDS)


async def carry(here: Shore, there: Shore, known: set[bytes]) -> None:
    """For ever: everything from here to there, unless it came from there."""
    while True:
        delivery = await here.transport.receive()
        mark = hashlib.sha256(delivery.topic + delivery.payload).digest()
        if mark not in known:
            known.add(mark)
            await there.transport.publish(delivery.topic, delivery.payload)


async def run(one: Shore, other: Shore) -> None:
    known: set[bytes] = set()
    await asyncio.gather(one.transport.start(), other.transport.start())
    say(f"{READY}{one.transport.status().where} and {other.transport.status().where}.")
    async with asyncio.TaskGroup() as tasks:
        for here, there in ((one, other), (other, one)):
            tasks.create_task(here.look_for_topics())
            tasks.create_task(carry(here, there, known))


def main() -> None:
    first, first_url, second, second_url = sys.argv[1:]
    asyncio.run(run(Shore(Path(first), first_url), Shore(Path(second), second_url)))


if __name__ == "__main__":
    main()
