"""What time is it? The one place where the node reads the clock."""

from __future__ import annotations

import time

from demls.wire.ids import Instant


def now() -> Instant:
    return Instant(time.time_ns() // 1_000_000)
