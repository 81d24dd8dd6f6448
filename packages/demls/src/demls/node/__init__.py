"""The node: the asyncio shell around the protocol core, with no protocol rules of its own."""
