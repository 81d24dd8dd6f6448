"""The node's HTTP and WebSocket API: what pages, terminals and bots talk to."""
