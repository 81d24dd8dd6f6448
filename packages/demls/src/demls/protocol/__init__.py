"""LIP-104 without I/O: bytes and the time go in, effects come out."""
