"""What a node refuses, beside what the core refuses: whole sentences that say what to do.

NodeError
├── Refused             what was asked for is not possible now
│   └── NoSuchGroup         this node has no such group
└── CannotStart         the node cannot run with this data folder, port or password
"""

from __future__ import annotations


class NodeError(Exception):
    """Root of what the node raises on purpose. The text is a sentence for people."""


class Refused(NodeError):
    """Do what the sentence says and ask again. ``code`` is for programs."""

    def __init__(self, sentence: str, code: str = "refused") -> None:
        super().__init__(sentence)
        self.code = code


class NoSuchGroup(Refused):
    """List the groups again."""

    def __init__(self) -> None:
        super().__init__("This node has no such group. List the groups again; it may be deleted.", "no-such-group")


class CannotStart(NodeError):
    """Do what the sentence says and start the node again."""
