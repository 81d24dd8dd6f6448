"""How deep may Python recurse? No deeper than it can: a library of the wallet's raises the limit beyond the stack.

``py_ecc`` sets it to 100,000 when it is imported; then a request of 100,000 brackets ends the process in the JSON
parser instead of in an error. Nothing here needs more than Python's own limit.
"""

from __future__ import annotations

import sys

PYTHONS_OWN = 1000


def restore_limit() -> None:
    """Call it after all imports and before anything from outside is parsed."""
    sys.setrecursionlimit(PYTHONS_OWN)
