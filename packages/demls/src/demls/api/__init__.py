"""The shapes of the node's API: what the node serves and its clients read."""
