"""Makes the helpers of this folder, and the world of the core's tests, importable by name."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in (Path(__file__).parent, Path(__file__).parents[1] / "protocol"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
