"""Reading the whole log: what is history, what is damage, where the log ends (A2, I9).

A position is (segment, offset). The highest position known durable grows with every Offset record and every Header read. A gap below it
is corruption: its octets are quarantined and what follows is history. A gap at or above it ends the log, unless a later record
says that it was durable after all; so records behind a gap wait until that is decided. A Header of a later segment states how long the
previous one was when the log went on: what lies behind that was set aside by an earlier recovery, or was never acknowledged.

A Header of another process was written by a recovery, which read what its dead predecessor had written, synced or not: a kill keeps what was
not, a power loss that follows may take it. So a gap behind what had been known durable until then is a torn end, though later segments
are durable: that recovery wrote again, into its own segment, whatever counts.

Damage in segments that an Oldest record has superseded is none: they were removed, and a power loss has brought them back (F6).
"""

from collections.abc import Callable
from typing import Final

import msgspec

from smx.codec import Fault
from smx.qmgr.records import AnyRecord, Header, Offset, Oldest, Unknown, decode_record, encode_record
from smx.qmgr.recovery_scan import GAP_OCTETS_MAX, Found, Gap, SegmentScan

Position = tuple[int, int]
_START: Final[Position] = (0, 0)


class Damage(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A stretch that is not part of the history. `corrupt`: it was durable once; else it is the torn end, set aside."""

    segment: int
    offset: int
    octets: int
    reason: str
    data: bytes
    corrupt: bool


class LogReader:
    """Takes segments in ascending order, each in pages; gives the records of the history to `accept(segment, record)`."""

    def __init__(self, accept: Callable[[int, AnyRecord | Unknown], None]) -> None:
        self._accept = accept
        self._scan = SegmentScan(0, 0)
        self._durable: Position = _START
        self._end: Position = _START  # behind the last record of the history
        self._sizes: dict[int, int] = {}  # segment -> end of its last valid record
        self._opened: dict[int, None] = {}
        self._missing: dict[int, int] = {}  # segments that a header names and that are not there -> their valid length
        self._last_gap: Position = _START
        self._oldest = 0  # segments before it do not count
        self._epoch = 0  # of the process that wrote the segments up to here
        self._unsure: tuple[Position, Position] = (_START, _START)  # between these an earlier recovery may have read what was not durable
        self._doubtful: list[tuple[Position, AnyRecord | Unknown | Gap, int]] = []  # from the first open gap on
        self.damages: list[Damage] = []
        self.octets = 0

    @property
    def end(self) -> Position:
        """Where the history ends: segment and valid length."""
        return self._end

    @property
    def durable(self) -> int:
        """How far the last segment of the history was known durable."""
        return min(self._durable[1], self._end[1]) if self._durable[0] == self._end[0] else 0

    def open(self, segment: int, octets: int) -> None:
        """The next segment begins."""
        self._scan = SegmentScan(segment, octets)
        self._opened[segment] = None

    def page(self, data: bytes, *, last: bool) -> None:
        """The next octets of the segment."""
        self.octets += len(data)
        for item in self._scan.page(data, last=last):
            if isinstance(item, Gap):
                self._on_gap(self._scan.segment, item)
            else:
                self._on_record(self._scan.segment, item)

    def finish(self) -> None:
        """No segment follows: what is still doubtful lies behind the end of the log."""
        self._set_aside(_START)
        self.damages = [damage for damage in self.damages if damage.segment >= self._oldest]
        for segment, octets in self._missing.items():  # its name was durable before it was used: no crash explains this
            self.damages.append(Damage(segment, 0, octets, "corrupt: missing", b"", corrupt=True))

    def empty(self, segment: int) -> bool:
        """Whether no valid record was found in a segment."""
        return segment not in self._sizes

    def _on_record(self, segment: int, found: Found) -> None:
        record = decode_record(found.kind, found.payload)
        self._sizes[segment] = found.end
        position = (segment, found.offset)
        if type(record) is Header:
            self._on_header(segment, record)
            self._epoch = record.epoch
        elif type(record) is Offset:
            self._grow((segment, min(record.durable, found.offset)))
        if self._doubtful:
            self._doubtful.append((position, record, found.end))
        else:
            self._take(segment, record, found.end)

    def _on_gap(self, segment: int, gap: Gap) -> None:
        position = self._last_gap = (segment, gap.offset)
        if position < self._durable:
            self._quarantine(segment, gap)
        else:
            self._doubtful.append((position, gap, gap.end))

    def _on_header(self, segment: int, header: Header) -> None:
        """The log went on here from (previous, previous_octets)."""
        if not header.previous:
            return
        joint = (header.previous, header.previous_octets)
        self._set_aside(joint)
        known = self._sizes.get(header.previous, 0) if header.previous in self._opened else -1
        if known < 0:
            if header.previous >= header.oldest:
                self._missing[header.previous] = header.previous_octets
        elif known < header.previous_octets and self._last_gap != (header.previous, known):
            self._on_gap(header.previous, Gap(known, header.previous_octets, Fault.SHORT))
        self._grow((header.previous, min(header.previous_durable, header.previous_octets)))
        if header.epoch != self._epoch:
            self._unsure = (self._durable, (segment, 0))

    def _grow(self, durable: Position) -> None:
        """More is known to have been durable: gaps below are corruption, and what follows them is history again."""
        if durable <= self._durable or not durable[1]:  # nothing of that segment durable: says nothing of earlier ones either
            return
        self._durable = durable
        doubtful = self._doubtful
        taken = 0
        for position, item, end in doubtful:
            if isinstance(item, Gap):
                if position >= durable:
                    break
                self._quarantine(position[0], item)
            else:
                self._take(position[0], item, end)
            taken += 1
        del doubtful[:taken]

    def _take(self, segment: int, record: AnyRecord | Unknown, end: int) -> None:
        self._end = (segment, end)
        if type(record) is Oldest:
            self._oldest = record.segment
            self._missing = {number: octets for number, octets in self._missing.items() if number >= record.segment}
        self._accept(segment, record)

    def _quarantine(self, segment: int, gap: Gap) -> None:
        since, until = self._unsure
        self.damages.append(_damage(segment, gap, corrupt=not since <= (segment, gap.offset) < until))

    def _set_aside(self, since: Position) -> None:
        """What is doubtful from this position on is not history."""
        dropped = [entry for entry in self._doubtful if entry[0] >= since]
        if not dropped:
            return
        self._doubtful = [entry for entry in self._doubtful if entry[0] < since]
        behind: dict[int, list[tuple[int, int, bytes]]] = {}
        for (segment, offset), item, end in dropped:
            if isinstance(item, Gap):
                self.damages.append(_damage(segment, item, corrupt=False))
            else:
                behind.setdefault(segment, []).append((offset, end, b"" if isinstance(item, Unknown) else encode_record(item)))
        for segment, records in behind.items():
            octets = sum(end - offset for offset, end, _ in records)
            data = b"".join(data for _, _, data in records)[:GAP_OCTETS_MAX]
            self.damages.append(Damage(segment, records[0][0], octets, f"{len(records)} records behind the torn end", data, corrupt=False))


def _damage(segment: int, gap: Gap, *, corrupt: bool) -> Damage:
    reason = f"{'corrupt' if corrupt else 'torn end'}: {gap.fault.name.lower()}"
    return Damage(segment, gap.offset, gap.end - gap.offset, reason, gap.data, corrupt)
