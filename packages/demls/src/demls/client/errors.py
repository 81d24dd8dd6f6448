"""What a client raises: whole sentences that say what to do next.

::

    ClientError
    ├── NodeNotRunning      no node runs in this data folder
    ├── NodeUnreachable     the node does not answer at its address
    └── RefusedByNode       the node says no; ``code`` is for programs
"""

from __future__ import annotations


class ClientError(Exception):
    """Root of what clients raise on purpose."""


class NodeNotRunning(ClientError):
    """Start the node with ``demls node``."""


class NodeUnreachable(ClientError):
    """Check that the node is running, then try again."""


class RefusedByNode(ClientError):
    """Do what the sentence says. ``status`` is HTTP's."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
