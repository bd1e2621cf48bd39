"""Reading content in chunks, with the checksum that was taken when it was accepted (I5).

The user asks for a chunk with `next`, passes it on when it arrives, and after the last one looks at `intact` before it
commits itself (sends the final dot): damaged content is never delivered as if it were whole.
"""

import zlib
from typing import Final

from smx.effects import Read
from smx.limits import CONTENT_CHUNK_OCTETS
from smx.messages import Content

STORE: Final = "cdb"


class ContentReader:
    """One pass over one content. `upto` > 0 reads only so many octets (the header section): then nothing is verified."""

    def __init__(self, content: Content, *, chunk: int = CONTENT_CHUNK_OCTETS, upto: int = 0) -> None:
        self._content = content
        self._chunk = chunk
        self._end = min(upto, content.octets) if upto else content.octets
        self._at = 0
        self._checksum = 0

    @property
    def done(self) -> bool:
        """All octets were taken."""
        return self._at >= self._end

    @property
    def intact(self) -> bool:
        """All octets were taken and have the checksum of acceptance."""
        return self._at == self._content.octets and self._checksum == self._content.checksum

    def next(self, request: int) -> Read | None:
        """The effect that reads the next chunk, or None when there is none. One is outstanding at a time."""
        left = self._end - self._at
        if left <= 0:
            return None
        return Read(STORE, request, self._content.segment, self._content.offset + self._at, min(left, self._chunk))

    def take(self, data: bytes) -> bytes:
        """The chunk that arrived; returns it."""
        self._checksum = zlib.crc32(data, self._checksum)
        self._at += len(data)
        assert self._at <= self._end
        return data
