"""How is a WebSocket ended that may have ended already?

CPython's socket transports fail with an AttributeError (``None.call_soon``) when they are aborted after they were
closed with bytes still to send and have sent them since. Neither asyncio nor websockets guards against it.
"""

from __future__ import annotations

from websockets.asyncio.connection import Connection


def abort(connection: Connection) -> None:
    """Drop the TCP connection at once; harmless if it has ended."""
    try:
        connection.transport.abort()
    except AttributeError as problem:
        if not is_second_end(problem):
            raise


def is_second_end(problem: AttributeError) -> bool:
    """Whether ``problem`` is no more than the end of a connection that had ended."""
    return problem.obj is None and problem.name == "call_soon"
