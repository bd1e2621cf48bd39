"""Reading one segment of the log page by page: records, and the gaps between them (A2).

Memory: the pages' octets are dropped as records are taken; what is kept is at most one incomplete record. A gap is a stretch
that holds no record; after it, reading goes on at the next valid record of this segment with a later sequence. Where a damaged
record says it ends is looked at first: so octets inside it that look like a record (a peer may choose some of them) are
not taken for one. Zeros up to the end of the file are the preallocated tail and no gap.
"""

from typing import Final

import msgspec

from smx import codec

GAP_OCTETS_MAX: Final = 64 * 1024  # of a gap's octets that are kept for people
_ZEROS: Final = bytes(1024 * 1024)  # longer than a page


def is_blank(octets: bytes) -> bool:
    """Nothing but zeros, as in a preallocated tail: found out a hundred times faster than by looking for something else. At most 1 MiB at a time."""
    return _ZEROS.startswith(octets)


class Found(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A record at `offset`, which ends before `end`."""

    kind: int
    payload: bytes
    offset: int
    end: int


class Gap(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """No record from `offset` to `end`; `data`: the first octets."""

    offset: int
    end: int
    fault: codec.Fault
    data: bytes = b""


class SegmentScan:
    """Takes the octets of a segment in order."""

    def __init__(self, segment: int, octets: int) -> None:
        self.segment = segment
        self.end = 0  # behind the last record
        self._octets = octets
        self._buffer = b""
        self._base = 0  # offset of the buffer's first octet
        self._expected = 0  # sequence
        self._fault: codec.Fault | None = None  # of the open gap
        self._gap_at = 0
        self._gap_end = 0  # behind its last octet that is not zero
        self._gap_data = bytearray()
        self._wait_at = -1  # in a gap: a candidate that is not complete yet
        self._hint = -1  # in a gap: where the damaged record says it ends

    def page(self, data: bytes, *, last: bool) -> list[Found | Gap]:
        """What these octets complete. `last`: nothing follows."""
        self._buffer += data
        items: list[Found | Gap] = []
        at = 0
        while True:
            step = self._search(at, items, last=last) if self._fault else self._record(at, items, last=last)
            if step is None:
                break
            at = step
        if self._fault is not None:
            at = self._skipped(at, last=last)
        self._base += at
        self._buffer = self._buffer[at:]
        if last and self._fault is not None and self._gap_end > self._gap_at:
            items.append(Gap(self._gap_at, self._gap_end, self._fault, bytes(self._gap_data)))
        return items

    def _record(self, at: int, items: list[Found | Gap], *, last: bool) -> int | None:
        """Take the record at `at`; the next place, or None: more octets are needed, or there are none."""
        left = len(self._buffer) - at
        if left == 0:
            return None
        found = codec.decode(self._buffer, at, self.segment, self._expected, base=self._base)
        if isinstance(found, codec.Record):
            self._take(found, items)
            return found.end - self._base
        if found.fault is codec.Fault.SHORT and not last and self._may_come(at):
            return None
        whole = found.fault is codec.Fault.CRC and codec.announces(self._buffer, at, self.segment, self._room(at))
        self._hint = self._base + at + codec.announced_octets(self._buffer, at) if whole else -1
        self._fault = found.fault
        self._gap_at = self._gap_end = self._base + at
        self._gap_data.clear()
        return at

    def _search(self, at: int, items: list[Found | Gap], *, last: bool) -> int | None:
        """In a gap: look for the next valid record at `at` or behind."""
        if self._hint >= 0:
            candidate = self._hint - self._base
            found = codec.decode(self._buffer, candidate, self.segment, base=self._base)
            if isinstance(found, codec.Damage) and found.fault is codec.Fault.SHORT and not last:
                self._wait_at = at
                return None
            self._hint = -1
            if isinstance(found, codec.Record) and found.sequence == self._expected + 1:  # else it is the length that is damaged
                return self._end_gap(at, found, items)
        if is_blank(self._buffer):
            return None
        candidate = self._buffer.find(codec.MAGIC, max(at, self._gap_at + 1 - self._base))
        while candidate >= 0:
            if len(self._buffer) - candidate < codec.HEADER_OCTETS or codec.announces(self._buffer, candidate, self.segment, self._room(candidate)):
                found = codec.decode(self._buffer, candidate, self.segment, base=self._base)
                if isinstance(found, codec.Record) and found.sequence >= self._expected:
                    return self._end_gap(at, found, items)
                if isinstance(found, codec.Damage) and found.fault is codec.Fault.SHORT and not last:
                    self._lose(at, candidate)
                    self._wait_at = candidate
                    return None
            candidate = self._buffer.find(codec.MAGIC, candidate + 1)
        self._wait_at = -1
        return None

    def _end_gap(self, at: int, found: codec.Record, items: list[Found | Gap]) -> int:
        """A valid record behind the gap."""
        self._lose(at, found.offset - self._base)
        assert self._fault is not None
        items.append(Gap(self._gap_at, found.offset, self._fault, bytes(self._gap_data)))
        self._fault = None
        self._take(found, items)
        return found.end - self._base

    def _skipped(self, at: int, *, last: bool) -> int:
        """How much of the buffer an open gap has used up; the rest may yet hold a record."""
        if self._wait_at >= 0:
            kept, self._wait_at = self._wait_at, -1
            return kept
        kept = len(self._buffer) if last else max(at, len(self._buffer) - 1)
        self._lose(at, kept)
        return kept

    def _take(self, found: codec.Record, items: list[Found | Gap]) -> None:
        self._expected = found.sequence + 1
        self.end = found.end
        items.append(Found(found.kind, found.payload, found.offset, found.end))

    def _lose(self, start: int, end: int) -> None:
        """Octets of the open gap."""
        lost = self._buffer[start:end]
        if not is_blank(lost):
            self._gap_end = self._base + start + len(lost.rstrip(b"\0"))
        if len(self._gap_data) < GAP_OCTETS_MAX:
            self._gap_data += self._buffer[start : min(end, start + GAP_OCTETS_MAX - len(self._gap_data))]

    def _room(self, at: int) -> int:
        return self._octets - self._base - at

    def _may_come(self, at: int) -> bool:
        if len(self._buffer) - at < codec.HEADER_OCTETS:
            return True
        return codec.announces(self._buffer, at, self.segment, self._room(at))
