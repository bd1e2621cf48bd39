"""Octets: the content of a file in chunks that versions of it share, so that a crash image costs what differs and no more.

A chunk is an immutable bytes of CHUNK octets. Chunks behind the last one of the list are zeros, so a preallocated file costs nothing.
The digest of each chunk is kept until the chunk is replaced: the digest of an image costs the chunks that no image before had.
"""

from hashlib import blake2b
from typing import Final

CHUNK: Final = 4096
_ZERO: Final = bytes(CHUNK)
_DIGEST_OCTETS: Final = 16
_ZERO_DIGEST: Final = bytes(_DIGEST_OCTETS)


class Octets:
    """A sequence of octets of a given size. Whoever shares one must not change it; `copy` is cheap."""

    __slots__ = ("_chunks", "_digests", "_whole", "size")

    def __init__(self, content: bytes = b"") -> None:
        self.size = 0
        self._chunks: list[bytes] = []
        self._digests: list[bytes | None] = []
        self._whole = b""  # the digest of all, when known
        if content:
            self.write(0, content)

    def copy(self) -> "Octets":
        other = Octets.__new__(Octets)
        other.size = self.size
        other._chunks = self._chunks.copy()
        other._digests = self._digests.copy()
        other._whole = self._whole
        return other

    def read(self, offset: int, octets: int) -> bytes:
        """Up to `octets`; fewer at the end."""
        octets = min(octets, self.size - offset)
        if octets <= 0:
            return b""
        index, start = divmod(offset, CHUNK)
        chunks = self._chunks
        if start + octets <= CHUNK:
            return chunks[index][start : start + octets] if index < len(chunks) else bytes(octets)
        last = (offset + octets - 1) // CHUNK + 1
        found = b"".join(chunks[index:last])
        missing = start + octets - len(found)
        if missing > 0:
            found += bytes(missing)
        return found[start : start + octets]

    def write(self, offset: int, data: bytes) -> None:
        """What lies between the end and `offset` becomes zeros; without data only the size grows."""
        end = offset + len(data)
        if end > self.size:
            self.size = end
        if not data:
            return
        self._whole = b""
        index, start = divmod(offset, CHUNK)
        self._grow(-(-end // CHUNK))
        if start + len(data) <= CHUNK:
            self._replace(index, start, data)
            return
        taken = CHUNK - start
        self._replace(index, start, data[:taken])
        while taken < len(data):
            index += 1
            self._replace(index, 0, data[taken : taken + CHUNK])
            taken += CHUNK

    def resize(self, size: int) -> None:
        """Cut, or grow by zeros."""
        if size < self.size:
            self._whole = b""
            count = -(-size // CHUNK)
            del self._chunks[count:], self._digests[count:]
            rest = size - (count - 1) * CHUNK
            if self._chunks and len(self._chunks) == count and rest < CHUNK:
                self._replace(count - 1, rest, bytes(CHUNK - rest))
        self.size = size

    def digest(self) -> bytes:
        """Tells contents apart; zeros at the end do not count."""
        if not self._whole:
            digests = self._digests
            for index, known in enumerate(digests):
                if known is None:
                    chunk = self._chunks[index]
                    digests[index] = _ZERO_DIGEST if chunk == _ZERO else blake2b(chunk, digest_size=_DIGEST_OCTETS).digest()
            self._whole = blake2b(b"".join(digests).rstrip(b"\0"), digest_size=_DIGEST_OCTETS).digest()  # type: ignore[arg-type]
        return self._whole

    def is_zero(self, start: int) -> bool:
        """Nothing but zeros from `start` on."""
        first = start // CHUNK
        return all(chunk is _ZERO or not chunk.strip(b"\0") for chunk in self._chunks[first + 1 :]) and not (
            first < len(self._chunks) and self._chunks[first][start - first * CHUNK :].strip(b"\0")
        )

    def __bytes__(self) -> bytes:
        return self.read(0, self.size)

    def _grow(self, count: int) -> None:
        missing = count - len(self._chunks)
        if missing > 0:
            self._chunks.extend([_ZERO] * missing)
            self._digests.extend([_ZERO_DIGEST] * missing)

    def _replace(self, index: int, start: int, data: bytes) -> None:
        """`data` does not cross the end of the chunk."""
        if len(data) < CHUNK:
            old = self._chunks[index]
            data = b"".join((old[:start], data, old[start + len(data) :]))
        self._chunks[index] = data
        self._digests[index] = None
