"""History: what one life wrote into the envelope log, record by record, and what an image of that log must give when it is read.

This is a second opinion on A2 and on the meaning of records, kept as simple as the rules are stated, so that it can be compared with what
smx.qmgr.recovery_* say:

    the history of an image    all records in order, up to the first that is not whole; a record that is not whole below an offset that a whole
                               record calls durable is corruption: it is left out, reported, and the history goes on behind it
    who is open                recipients of openings that have no final verdict, were not moved to DEFEDB, and are not older than what counts
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from sim.disk.octets import Octets
from smx import codec
from smx.qmgr import records
from smx.qmgr.records import FINAL_OUTCOMES, AnyRecord, Status, Unknown, decode_record

ASIDE_BIT: Final = 1 << 62  # in the numbers of segments that are no part of the log
Key = tuple[int, int]  # transaction, recipient index
Position = tuple[int, int]  # segment, offset


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A record as it was written."""

    segment: int
    offset: int
    octets: bytes
    record: AnyRecord | Unknown
    open: frozenset[Key]  # who is open behind it, when everything up to here is history

    @property
    def end(self) -> int:
        return self.offset + len(self.octets)

    @property
    def position(self) -> Position:
        return self.segment, self.offset


class Reading(msgspec.Struct, gc=False):
    """What an image must give: which entries (by number) are history, and where damage in it begins that must be reported."""

    taken: list[int]
    damaged: list[Position]


class History:
    """Grows with each write. `entries`: in the order in which they were written."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.lost: list[Entry] = []  # by power losses: no history, but parts of them may lie on the disk
        self._book = Book()

    def write(self, segment: int, offset: int, octets: bytes) -> None:
        """An append of whole records."""
        at = 0
        while at < len(octets):
            found = codec.decode(octets, at, segment)
            assert isinstance(found, codec.Record), f"what is appended to segment {segment:x} at {offset + at} is no record: {found}"
            record = decode_record(found.kind, found.payload)
            self._book.apply(segment, record)
            self.entries.append(Entry(segment, offset + at, octets[at : found.end], record, self._book.open))
            at = found.end

    def keep(self, count: int) -> None:
        """Only so many entries are history: the rest was lost in a power loss."""
        if count == len(self.entries):
            return
        self.lost += self.entries[count:]
        del self.entries[count:]
        self._book = Book()
        for entry in self.entries:
            self._book.apply(entry.segment, entry.record)

    def expected(self, files: dict[int, Octets], *, count: int, start: int = 0) -> Reading:
        """What must be read from these segments, when `count` entries had been written; entries before `start` are known to be whole."""
        entries = self.entries
        oldest = self._oldest(files)
        whole = [entry.segment in files for entry in entries[:start]]
        whole += [is_whole_in(files, entries[number]) for number in range(start, count)]
        stated = self._stated(whole, files) if not all(whole) else (0, 0)
        reading = Reading([], [])
        gap = 0  # the segment of the gap that the entry before belongs to
        beyond = self.beyond(files, oldest)
        for number, is_whole in enumerate(whole):
            entry = entries[number]
            if entry.segment < oldest or (not is_whole and entry.segment not in files and entry.segment < beyond):
                continue
            if is_whole:
                reading.taken.append(number)
                gap = 0
            elif gap == entry.segment:
                continue  # the same stretch: its beginning decides
            elif entry.position < stated:
                reading.damaged.append(entry.position)
                gap = entry.segment
            else:
                break
        return reading

    def beyond(self, files: dict[int, Octets], oldest: int = 0) -> int:
        """Segments before this one count no more: an Oldest record says so. They were removed, or will be."""
        beyond = oldest
        for entry in self.entries:
            if type(entry.record) is records.Oldest and entry.record.segment > beyond and is_whole_in(files, entry):
                beyond = entry.record.segment
        return beyond

    def _oldest(self, files: dict[int, Octets]) -> int:
        """The oldest segment that counts, as the headers say."""
        oldest = 0
        for entry in self.entries:
            if type(entry.record) is records.Header and entry.record.oldest > oldest and is_whole_in(files, entry):
                oldest = entry.record.oldest
        return oldest

    def _stated(self, whole: Sequence[bool], files: dict[int, Octets]) -> Position:
        """The highest position that a whole record calls durable."""
        stated = max((states(entry) for entry, is_whole in zip(self.entries, whole, strict=False) if is_whole), default=(0, 0))
        return max([stated, *(states(entry) for entry in self.lost if is_whole_in(files, entry))])


def is_whole_in(files: dict[int, Octets], entry: Entry) -> bool:
    """Whether it lies in an image as it was written."""
    file = files.get(entry.segment)
    return file is not None and file.read(entry.offset, len(entry.octets)) == entry.octets


def states(entry: Entry) -> Position:
    """What it calls durable."""
    record = entry.record
    if type(record) is records.Offset and record.durable:
        return entry.segment, min(record.durable, entry.offset)
    if type(record) is records.Header and record.previous and (durable := min(record.previous_durable, record.previous_octets)):
        return record.previous, durable
    return 0, 0


class Book:
    """Who is open, record by record. `open`: (transaction, index)."""

    def __init__(self) -> None:
        self.open: frozenset[Key] = frozenset()
        self._segments: dict[int, int] = {}  # transaction -> the segment of its opening, while anybody in it is open
        self._known: dict[int, set[int]] = {}  # transaction -> recipients that its opening and its expansions name
        self._attempts: dict[Key, int] = {}
        self._closed: set[Key] = set()
        self._oldest = 0

    def apply(self, segment: int, record: AnyRecord | Unknown) -> None:
        """The next record."""
        handler = _RULES.get(type(record))
        if handler is not None:
            handler(self, segment, record)

    def _header(self, segment: int, record: records.Header) -> None:
        self._drop_older(record.oldest)

    def _drop(self, segment: int, record: records.Oldest) -> None:
        self._drop_older(record.segment)

    def _drop_older(self, oldest: int) -> None:
        if oldest > self._oldest:
            self._oldest = oldest
            for transaction in [number for number, segment in self._segments.items() if segment < oldest]:
                self._forget(transaction)

    def _opened(self, segment: int, record: records.Opened) -> None:
        number = record.transaction
        self._forget(number)
        self._segments[number] = segment
        known = self._known[number] = {recipient.index for recipient in record.envelope.recipients}
        done = set()
        for expanded in record.expansions:
            done.add(expanded.index)
            known |= {recipient.index for recipient in expanded.recipients}
        for state in record.states:
            self._attempts[number, state.index] = state.attempt
            if state.status == Status.CLOSED or state.status == Status.MOVED:
                done.add(state.index)
                if state.status == Status.CLOSED:
                    self._closed.add((number, state.index))
            if state.owed:
                done.discard(state.index)
        self._change(number, add={index for index in known if index not in done})

    def _verdict(self, segment: int, record: records.VerdictRecord) -> None:
        number, index = record.transaction, record.index
        if index not in self._known.get(number, ()):
            return
        self._attempts[number, index] = record.attempt
        if record.outcome in FINAL_OUTCOMES:
            self._closed.add((number, index))
        else:
            self._closed.discard((number, index))
        if record.outcome in FINAL_OUTCOMES and not record.owed:
            self._change(number, remove={index})
        else:
            self._change(number, add={index})

    def _moved(self, segment: int, record: records.Moved) -> None:
        number = record.transaction
        gone = {i for i, attempt in record.rows if (number, i) not in self._closed and self._attempts.get((number, i), 0) <= attempt}
        self._change(number, remove=gone)

    def _expanded(self, segment: int, record: records.Expanded) -> None:
        number = record.transaction
        known = self._known.get(number)
        if known is None or (number, record.index) in self._closed:
            return
        self._closed.add((number, record.index))
        children = {recipient.index for recipient in record.recipients}
        known |= children
        self._change(number, add=children, remove={record.index})

    def _notified(self, segment: int, record: records.Notified) -> None:
        self._opened(segment, record.opened)
        for verdict in record.verdicts:
            self._verdict(segment, verdict)

    def _change(self, number: int, *, add: set[int] | None = None, remove: set[int] | None = None) -> None:
        """When nobody of a transaction is open any more, the log forgets it."""
        if number not in self._known:
            return
        if add:
            self.open |= {(number, index) for index in add}
        if remove:
            self.open -= {(number, index) for index in remove}
        if not any(key[0] == number for key in self.open):
            self._forget(number)

    def _forget(self, number: int) -> None:
        self._segments.pop(number, None)
        for index in self._known.pop(number, ()):
            self._closed.discard((number, index))
            self._attempts.pop((number, index), None)
        self.open = frozenset(key for key in self.open if key[0] != number)


_RULES: Final[dict[type, Callable[[Book, int, Any], None]]] = {
    records.Header: Book._header,
    records.Oldest: Book._drop,
    records.Opened: Book._opened,
    records.VerdictRecord: Book._verdict,
    records.Moved: Book._moved,
    records.Expanded: Book._expanded,
    records.Notified: Book._notified,
}
