"""A relay that is killed has kept every envelope that it accepted."""

from __future__ import annotations

import asyncio
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from demls.transport.relay_log import RelayLog
from demls.wire.ids import Topic

TOPIC = Topic(b"t" * 32)
CHILD = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from demls.transport.relay_log import RelayLog
    from demls.transport.relay_server import RelayServer

    async def main():
        with RelayLog.open(Path(sys.argv[1])) as log:
            async with RelayServer(log, port=0) as relay:
                print(relay.url, flush=True)
                await asyncio.Event().wait()

    asyncio.run(main())
    """
)


@pytest.mark.processes
async def test_what_a_killed_relay_accepted_is_in_its_log(relays: Any, tmp_path: Path) -> None:
    path = tmp_path / "log" / "relay.sqlite"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, str(path), stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    async with asyncio.timeout(60):
        url = (await child.stdout.readline()).decode().strip()
        transport = await relays.transport(url)
        accepted: set[bytes] = set()
        enough = asyncio.Event()

        async def publish(payload: bytes) -> None:
            await transport.publish(TOPIC, payload)
            accepted.add(payload)
            if len(accepted) >= 500:
                enough.set()

        publishing = [asyncio.create_task(publish(b"%d" % number + bytes(500))) for number in range(5_000)]
        await enough.wait()
        child.kill()
        await child.wait()
        await transport.close()
        await asyncio.wait(publishing)
    for task in publishing:
        task.exception()
    with RelayLog.open(path) as log:
        kept = {frame[1:] for _, frame in log.page(TOPIC, 0, 1_000_000, 1 << 40)}
    assert len(accepted) >= 500
    assert accepted <= kept
