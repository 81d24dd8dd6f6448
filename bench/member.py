"""How long does a fresh process take to be a member again, and how much memory does it need? For ``large.py``."""

from __future__ import annotations

import json
import pickle
import sys
import time
from pathlib import Path

from demls.node.memory import give_back
from demls.protocol.group import Group
from leaves import new_engine
from written import Disk


def resident() -> int:
    """Bytes of memory in use by this process; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)


def main() -> None:
    what, file = sys.argv[1], Path(sys.argv[2])
    empty = resident()
    told = pickle.loads(file.read_bytes())
    engine = new_engine(1)
    began = time.process_time_ns()
    group, _ = Group.load(told["records"], engine=engine, now=told["now"])
    spent = time.process_time_ns() - began
    written = 0
    if what == "catch_up":
        disk = Disk(told["records"])
        spent = 0
        for topic, payload in told["history"]:
            began = time.process_time_ns()
            effects = group.receive(topic, payload, told["now"])
            spent += time.process_time_ns() - began
            written += disk.write(effects)
            give_back(effects.changes)
    size = sum(map(len, told["records"].values()))
    state = group._state
    assert state is not None
    del told
    result = {
        "cpu_ms": round(spent / 1e6, 1),
        "records_bytes": size,
        "memory_bytes": resident(),
        "memory_before_bytes": empty,
        "epoch": state.epoch,
    }
    print(json.dumps(result | ({"written_bytes": written} if written else {})))


if __name__ == "__main__":
    main()
