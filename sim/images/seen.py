"""Seen: which images have been counted. Bounded: when it is full, what is new is recovered all the same, and counted no more (never twice)."""

from array import array
from typing import Final

OCTETS: Final = 8  # of a digest that are compared
ENTRIES_MAX: Final = 4_000_000  # about 400 MB


class Seen:
    """Remembers digests."""

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._digests: set[int] = set()
        self._entries_max = entries_max

    def is_new(self, digest: bytes) -> bool:
        """Whether this one comes for the first time, for certain. Remembers it."""
        digests = self._digests
        number = int.from_bytes(digest[:OCTETS], "little")
        if number in digests or len(digests) >= self._entries_max:
            return False
        digests.add(number)
        return True

    def add(self, numbers: "array[int]") -> int:
        """Remember what another one has seen; how many of them are new."""
        before = len(self._digests)
        for number in numbers:
            if len(self._digests) >= self._entries_max:
                break
            self._digests.add(number)
        return len(self._digests) - before

    def numbers(self) -> "array[int]":
        """All that is remembered, in order."""
        return array("Q", sorted(self._digests))

    @property
    def full(self) -> bool:
        return len(self._digests) >= self._entries_max

    def __len__(self) -> int:
        return len(self._digests)


def chosen(digest: bytes, every: int) -> bool:
    """One digest in so many, the same ones in each search."""
    assert len(digest) >= OCTETS + 4
    return every <= 1 or int.from_bytes(digest[OCTETS : OCTETS + 4], "little") % every == 0
