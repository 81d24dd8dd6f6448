"""Where is a large record cut, so that most of its pieces stay the same when a little of it changes?

Where a piece ends follows from the bytes at its end alone (content-defined chunking), so whatever is put in or taken
out changes the pieces around it, and the cuts behind are the same again. Large records are mostly keys, addresses and
digests, whose bytes are as good as random: a pair of bytes that ends a piece (one of 256, then 64 of 256) is found
every kilobyte, by a search that takes less than 1 ms a megabyte. Where there is none (text, zeros, what somebody made
up so), a piece ends at its greatest length.
"""

from __future__ import annotations

import re

LARGE_BYTES = 16 * 1024
"""A record of more bytes is kept in pieces."""

PIECE_BYTES_MIN = 3 * 1024
PIECE_BYTES_MAX = 8 * 1024
"""On the average a piece has 4 KB, a page of the file. Smaller ones make longer lists of names (24 B each), larger ones
take more along that has not changed; from half to twice as much, the bytes written differ by less than 10 %."""

_END = re.compile(rb"\x97[\x00-\x3f]", re.DOTALL)


def cut(record: bytes) -> list[bytes]:
    """The pieces of ``record`` in their order, PIECE_BYTES_MIN to PIECE_BYTES_MAX long; the last may be shorter."""
    pieces = []
    begin, size = 0, len(record)
    while begin < size:
        most = min(begin + PIECE_BYTES_MAX, size)
        found = _END.search(record, begin + PIECE_BYTES_MIN, most)
        end = found.end() if found else most
        pieces.append(record[begin:end])
        begin = end
    return pieces
