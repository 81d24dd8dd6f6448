"""The typed async client of a node's API: what bots, bridges and the command line use.

async with Client.connect(folder) as node:
    async for message in node.messages(group):
        if message.text == "ping" and not message.is_mine:
            await node.send(group, "pong")
"""

from demls.client.client import Client
from demls.client.errors import ClientError, NodeNotRunning, NodeUnreachable, RefusedByNode

__all__ = ["Client", "ClientError", "NodeNotRunning", "NodeUnreachable", "RefusedByNode"]
