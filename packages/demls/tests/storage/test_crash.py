"""A process that commits is killed at any instant: what was acknowledged is there, and every batch is whole."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from demls.storage.store import Store
from demls.wire.ids import Topic

KEY = bytes(range(32))
RECORDS = 20
LARGE = random.Random(1).randbytes(60_000)

CHILD = textwrap.dedent(
    """
    import random
    import sys
    from pathlib import Path
    from demls.protocol.effects import Change, Outbound
    from demls.storage.store import Batch, Store, TimelineRow

    store = Store.open(Path(sys.argv[1]), bytes(range(32)))
    number = int(sys.argv[2])
    large = random.Random(1).randbytes(60_000)
    while True:
        number += 1
        value = b"%d" % number
        store.commit(
            Batch(
                "group",
                changes=[
                    *(Change(b"%d" % place, value.ljust(700)) for place in range(20)),
                    Change(b"large", value.ljust(20) + large[: number * 999 % 60_000] + value.ljust(20) + large),
                ],
                outbound=[Outbound(b"t" * 32, value)],
                cursors={b"t" * 32: value},
                timeline=[TimelineRow("group", number, "message", value)],
                drop_scopes=["group"] if number % 5 == 0 else [],
            )
        )
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()
    """
)


def run_and_kill(path: Path, start: int, seconds: float) -> int:
    """Let a child commit batches after ``start`` until it is killed; the last one that it acknowledged."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path), str(start)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child:
        acknowledged = int(child.stdout.readline() or start)  # it is under way
        time.sleep(seconds)  # the instant of death is what is being tested
        child.send_signal(signal.SIGKILL)
        lines = child.stdout.read().split("\n")[:-1]
    assert child.returncode == -signal.SIGKILL
    return int(lines[-1]) if lines else acknowledged


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_every_acknowledged_batch_survives_and_every_batch_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "data" / "demls.sqlite"
    chance = random.Random(1)
    last = 0
    for _ in range(6):
        acknowledged = run_and_kill(path, last, chance.uniform(0, 0.15))
        with Store.open(path, KEY) as store:
            timeline = [int(entry.body) for entry in store.timeline_after(0, 1_000_000)]
            last = timeline[-1]
            assert last in (acknowledged, acknowledged + 1), "one more may be durable than was acknowledged"
            assert timeline == list(range(1, last + 1))
            assert [int(entry.payload) for entry in store.outbox(1_000_000)] == timeline
            records = store.records("group")
            large = records.pop(b"large")
            assert large.endswith(LARGE)
            assert int(large[:20]) == int(large[-len(LARGE) - 20 : -len(LARGE)]) == last
            assert len(records) == RECORDS
            assert {int(value) for value in records.values()} == {last}
            assert store.cursors("group") == {Topic(b"t" * 32): b"%d" % last}
