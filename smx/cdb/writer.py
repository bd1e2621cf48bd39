"""The content writer: puts message content into segments of this process's own, and says when it is durable (A1, A5, SX09).

Why so. A message that fits in memory is appended in one piece to the current segment; one Sync covers every message of
the moment (group commit, SX14). A larger one streams into a segment of its own, whose header is written at the end. A spare
segment is opened ahead, because a segment's name needs a directory sync before anything in it may be acknowledged.
The place of content is decided at once, even before the segment is open: its octets then wait here, within a bound.

A segment's life: opening -> ready (opened and named) -> retired (no more appends) -> sealed (file closed) -> told (each of
its transactions was answered: QMGR may remove it when nothing refers to it, A3).

Trouble: a full disk refuses the message concerned only (A10). A failed sync or device ends the process: no retry (I15).
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from smx import effects, events
from smx.cdb import format as cdb_format
from smx.cdb.segment import BEGIN, Entry, Segment
from smx.effects import AnyEffect
from smx.events import AnyEvent
from smx.ids import segment_id
from smx.messages import Content
from smx.smtp.facts import ContentFacts
from smx.units import MIB

STORE: Final = "cdb"
HELD_OCTETS_MAX: Final = 16 * MIB  # content that waits for its segment to open
LARGE_SEGMENTS_MAX: Final = 512  # large messages at a time: each needs a descriptor
_NOTHING: Final = ContentFacts()


class Progress(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What an event brought: transactions now durable (of those wanted), transactions that failed for lack of space (4yz), segments to tell QMGR Sealed for."""

    durable: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    sealed: tuple[int, ...] = ()


_NO_PROGRESS: Final = Progress()


class ContentWriter:
    """One process's writer. Methods append their effects to `out`; see the module for the order of calls."""

    def __init__(self, epoch: int, segment_octets: int, *, held_octets_max: int = HELD_OCTETS_MAX) -> None:
        self._epoch = epoch
        self._segment_octets = segment_octets
        self._held_octets_max = held_octets_max
        self._counter = 0
        self._segments: dict[int, Segment] = {}
        self._entries: dict[int, Entry] = {}
        self._wanted: dict[int, Entry] = {}
        self._current: Segment | None = None
        self._spare: Segment | None = None
        self._large = 0
        self._issued = 0  # Syncs issued
        self._done = 0  # Syncs completed
        self._directory_issued = 0
        self._directory_done = 0
        self._unnamed: list[tuple[int, Segment]] = []  # (the directory sync that names it, segment)
        self._doomed: list[int] = []
        self._told: list[int] = []
        self.held_octets = 0

    # --- asked by the owner ------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """The current segment may take acknowledged content."""
        return self._current is not None and self._current.opened and self._current.named

    def start(self, out: list[AnyEffect]) -> None:
        """Open the first segment and a spare one."""
        self._current = self._open(out, self._segment_octets)
        self._spare = self._open(out, self._segment_octets)

    def put(self, out: list[AnyEffect], transaction: int, pieces: Sequence[bytes], facts: ContentFacts = _NOTHING) -> Content | None:
        """Append content in one piece (A5). None: there is no space now, nothing was kept (A10)."""
        octets = sum(map(len, pieces))
        segment = self._place(out, cdb_format.HEADER_OCTETS + octets)
        if segment is None:
            return None
        checksum = 0
        for piece in pieces:
            checksum = zlib.crc32(piece, checksum)
        start = segment.end
        content = _content(segment.number, start + cdb_format.HEADER_OCTETS, octets, checksum, facts)
        entry = self._enter(transaction, segment, large=False)
        segment.end = content.offset + octets
        segment.unsynced[transaction] = (start, segment.end)
        self._append(out, segment, start, b"".join((cdb_format.content_header(transaction, content), *pieces)))
        if segment.opened:
            entry.cover = self._issued + 1
        return content

    def appended(self, segment: int) -> bool:
        """Whether what was put into this segment is where readers can see it: else no cut-through (A12)."""
        found = self._segments.get(segment)
        return found is not None and found.opened

    def want_sync(self, out: list[AnyEffect], transaction: int) -> bool:
        """Make this transaction's content durable; said by a Progress, or True: it is already."""
        entry = self._entries[transaction]
        assert entry.complete
        if self._durable(entry):
            return True
        entry.wanted = True
        self._wanted[transaction] = entry
        self._sync(out)
        return False

    def begin(self, out: list[AnyEffect], transaction: int, octets_expected: int = 0) -> bool:
        """Begin a large message in a segment of its own. False: too many at once, answer 452."""
        if self._large >= LARGE_SEGMENTS_MAX:
            return False
        overhead = BEGIN + cdb_format.HEADER_OCTETS
        segment = self._open(out, max(self._segment_octets, octets_expected + overhead))
        segment.end = overhead
        self._enter(transaction, segment, large=True)
        self._large += 1
        return True

    def extend(self, out: list[AnyEffect], transaction: int, data: bytes) -> bool:
        """The next octets of a large message. False: it failed for lack of space; abandon it."""
        entry = self._entries[transaction]
        assert entry.large
        assert not entry.complete
        segment = entry.segment
        if entry.failed or (not segment.opened and self.held_octets + len(data) > self._held_octets_max):
            return False
        entry.checksum = zlib.crc32(data, entry.checksum)
        entry.octets += len(data)
        start = segment.end
        segment.end += len(data)
        segment.unsynced[transaction] = (BEGIN, segment.end)
        self._append(out, segment, start, data)
        return True

    def finish(self, out: list[AnyEffect], transaction: int, facts: ContentFacts = _NOTHING) -> Content | None:
        """The end of a large message: its header is written. None: it failed for lack of space; abandon it."""
        entry = self._entries[transaction]
        assert entry.large
        assert not entry.complete
        if entry.failed:
            return None
        segment = entry.segment
        content = _content(segment.number, BEGIN + cdb_format.HEADER_OCTETS, entry.octets, entry.checksum, facts)
        segment.unsynced[transaction] = (BEGIN, segment.end)
        self._append(out, segment, BEGIN, cdb_format.content_header(transaction, content))
        entry.complete = True
        if segment.opened:
            entry.cover = self._issued + 1
        segment.retired = True
        return content

    def abandon(self, out: list[AnyEffect], transaction: int) -> tuple[int, ...]:
        """Refused or aborted before any Submit: a large message's segment is removed at once (A3). Counts as answered."""
        entry = self._entries.get(transaction)
        if entry is not None and entry.large:
            self._forget(transaction, entry)
            if not entry.segment.dead:
                self._discard(out, entry.segment)
            return self._take_told()
        return self.answered(out, transaction)

    def answered(self, out: list[AnyEffect], transaction: int) -> tuple[int, ...]:
        """The client has its answer, whatever it was. Returns the segments to tell QMGR Sealed for (A3)."""
        entry = self._entries.get(transaction)
        if entry is not None:
            self._forget(transaction, entry)
            self._settle(out, entry.segment)
        return self._take_told()

    def roll(self, out: list[AnyEffect]) -> tuple[int, ...]:
        """Retire the current segment if it holds anything, so that its space can come back. Returns segments to tell Sealed for."""
        current = self._current
        if current is not None and current.end > BEGIN and self._spare is not None:
            self._turn(out)
        return self._take_told()

    def close(self, out: list[AnyEffect]) -> tuple[int, ...]:
        """The process ends, nothing is put any more: each file is cut to its content, and one without content is removed, which QMGR need not hear of.

        Returns segments to tell Sealed for; one with an unanswered transaction is not among them.
        """
        self._current = self._spare = None
        for segment in list(self._segments.values()):
            segment.retired = True
            if segment.opened and segment.end == BEGIN:
                del self._segments[segment.number]
                out.append(effects.Remove(STORE, segment.number))
            elif segment.opened and not segment.sealed:
                segment.sealed = True
                out.append(effects.Seal(STORE, segment.number, segment.end))
                self._settle(out, segment)
        return self._take_told()

    def open_segments(self) -> tuple[int, ...]:
        """Every segment of ours that QMGR was not told to be sealed."""
        return tuple(self._segments)

    # --- told by the runtime -----------------------------------------------------------------------------------------

    def on_event(self, out: list[AnyEffect], event: AnyEvent) -> Progress:
        """Take a completion of the store "cdb"; other events are ignored."""
        handler = _HANDLERS.get(type(event))
        if handler is None or getattr(event, "store", STORE) != STORE:
            return _NO_PROGRESS
        failed: list[int] = []
        handler(self, out, event, failed)
        durable = self._take_durable()
        self._sync(out)
        if not (durable or failed or self._told):
            return _NO_PROGRESS
        return Progress(tuple(durable), tuple(failed), self._take_told())

    def _on_opened(self, out: list[AnyEffect], event: events.SegmentOpened, failed: list[int]) -> None:
        segment = self._segments.get(event.segment)
        if segment is None:
            out.append(effects.Remove(STORE, event.segment))  # abandoned before it was there
            return
        segment.opened = True
        self._append(out, segment, 0, cdb_format.segment_header(segment.number, self._epoch))
        for offset, data in segment.held:
            self.held_octets -= len(data)
            self._append(out, segment, offset, data)
        segment.held.clear()
        for transaction in segment.unsynced:
            if (entry := self._entries.get(transaction)) is not None and entry.complete:
                entry.cover = self._issued + 1
        self._unnamed.append((self._directory_issued + 1, segment))
        self._name(out)
        self._settle(out, segment)

    def _on_open_failed(self, out: list[AnyEffect], event: events.OpenFailed, failed: list[int]) -> None:
        if not event.no_space:
            out.append(effects.Halt(f"content segment {event.segment:016x} cannot be opened: {event.reason}"))
            return
        segment = self._segments.get(event.segment)
        if segment is None:
            return
        self._bury(out, segment, failed)

    def _on_directory_synced(self, out: list[AnyEffect], event: events.DirectorySynced, failed: list[int]) -> None:
        if event.token != self._directory_issued or self._directory_done == self._directory_issued:
            return
        self._directory_done = event.token
        waiting = []
        for needed, segment in self._unnamed:
            if needed <= self._directory_done:
                segment.named = True
                self._settle(out, segment)
            else:
                waiting.append((needed, segment))
        self._unnamed = waiting
        self._name(out)

    def _on_append_failed(self, out: list[AnyEffect], event: events.AppendFailed, failed: list[int]) -> None:
        if not event.no_space:
            out.append(effects.Halt(f"content segment {event.segment:016x} cannot be written: {event.reason}"))  # A10: EIO ends the process
            return
        segment = self._segments.get(event.segment)
        if segment is None:
            return
        if event.offset == 0:  # its header: nothing in it can be used
            self._bury(out, segment, failed)
            return
        for transaction, (start, end) in list(segment.unsynced.items()):
            if start <= event.offset < end:
                self._fail(transaction, failed)

    def _on_synced(self, out: list[AnyEffect], event: events.Synced, failed: list[int]) -> None:
        if event.token != self._issued or self._done == self._issued:
            return
        self._done = event.token
        out.extend(effects.Remove(STORE, number) for number in self._doomed)
        self._doomed.clear()
        for segment in list(self._segments.values()):
            if segment.cover == self._done:
                segment.unsynced = {t: extent for t, extent in segment.unsynced.items() if t in self._entries and not self._covered(t)}
                self._settle(out, segment)

    def _on_sync_failed(self, out: list[AnyEffect], event: events.SyncFailed, failed: list[int]) -> None:
        out.append(effects.Halt(f"content cannot be made durable: {event.reason}"))  # never retried (A10, I15)

    # --- within ------------------------------------------------------------------------------------------------------

    def _open(self, out: list[AnyEffect], octets: int) -> Segment:
        segment = Segment(segment_id(self._epoch, self._counter), octets)
        self._counter += 1
        self._segments[segment.number] = segment
        out.append(effects.OpenSegment(STORE, segment.number, octets))
        return segment

    def _place(self, out: list[AnyEffect], octets: int) -> Segment | None:
        """The segment in which `octets` have room, or None."""
        current = self._current
        assert current is not None or self._spare is not None or self._counter, "start() comes first"
        if octets + BEGIN > self._segment_octets:
            if self.held_octets + octets > self._held_octets_max:
                return None
            segment = self._open(out, octets + BEGIN)
            segment.retired = True
            return segment
        if current is None or current.end + octets > current.octets:
            if self._spare is None:  # the last one could not be opened: perhaps there is space again for the next message
                self._spare = self._open(out, self._segment_octets)
                return None
            current = self._turn(out)
        if not current.opened and self.held_octets + octets > self._held_octets_max:
            return None
        return current

    def _turn(self, out: list[AnyEffect]) -> Segment:
        """Retire the current segment; the spare takes its place and a new spare is opened."""
        spare = self._spare
        assert spare is not None
        retiring = self._current
        self._current = spare
        self._spare = self._open(out, self._segment_octets)
        if retiring is not None:
            retiring.retired = True
            self._settle(out, retiring)
        return spare

    def _enter(self, transaction: int, segment: Segment, *, large: bool) -> Entry:
        assert transaction not in self._entries, "a transaction has one content"
        entry = self._entries[transaction] = Entry(segment, large=large)
        segment.unanswered += 1
        return entry

    def _append(self, out: list[AnyEffect], segment: Segment, offset: int, data: bytes) -> None:
        if segment.opened:
            segment.dirty = True
            out.append(effects.Append(STORE, segment.number, offset, data))
        else:
            segment.held.append((offset, data))
            self.held_octets += len(data)

    def _name(self, out: list[AnyEffect]) -> None:
        """Sync the directory when a segment waits for it and no such sync is outstanding."""
        if self._unnamed and self._directory_done == self._directory_issued:
            self._directory_issued += 1
            out.append(effects.SyncDirectory(STORE, self._directory_issued))

    def _sync(self, out: list[AnyEffect]) -> None:
        """One Sync of all dirty segments, when somebody waits for one and none is outstanding (SX14)."""
        if self._done != self._issued or not any(entry.cover > self._issued for entry in self._wanted.values()):
            return
        self._issued += 1
        dirty = []
        for segment in self._segments.values():
            if segment.dirty:
                segment.dirty = False
                segment.cover = self._issued
                dirty.append(segment.number)
        out.append(effects.Sync(STORE, tuple(dirty), self._issued))

    def _durable(self, entry: Entry) -> bool:
        """A1: octets and name are on disk."""
        return 0 < entry.cover <= self._done and entry.segment.named

    def _covered(self, transaction: int) -> bool:
        return 0 < self._entries[transaction].cover <= self._done

    def _take_durable(self) -> list[int]:
        durable = [transaction for transaction, entry in self._wanted.items() if self._durable(entry)]
        for transaction in durable:
            del self._wanted[transaction]
        return durable

    def _take_told(self) -> tuple[int, ...]:
        if not self._told:
            return ()
        told = tuple(self._told)
        self._told.clear()
        return told

    def _settle(self, out: list[AnyEffect], segment: Segment) -> None:
        """Close a retired segment's file once nothing in it waits for a sync; tell of it once all in it are answered."""
        if not segment.retired or not segment.opened or segment.dead:
            return
        idle = segment.cover <= self._done and not (segment.dirty and segment.unanswered)
        if idle and not segment.sealed:
            segment.sealed = True
            segment.dirty = False
            out.append(effects.Seal(STORE, segment.number, segment.end))
        if segment.sealed and not segment.unanswered:
            segment.dead = True
            del self._segments[segment.number]
            self._told.append(segment.number)

    def _forget(self, transaction: int, entry: Entry) -> None:
        del self._entries[transaction]
        self._wanted.pop(transaction, None)
        entry.segment.unsynced.pop(transaction, None)
        entry.segment.unanswered -= 1
        if entry.large:
            self._large -= 1

    def _discard(self, out: list[AnyEffect], segment: Segment) -> None:
        """Remove a segment of our own that nobody was told of."""
        segment.dead = True
        del self._segments[segment.number]
        self._release_held(segment)
        if segment.cover > self._done:
            self._doomed.append(segment.number)  # when the Sync that names it has ended
        elif segment.opened:  # else when SegmentOpened arrives
            out.append(effects.Remove(STORE, segment.number))

    def _bury(self, out: list[AnyEffect], segment: Segment, failed: list[int]) -> None:
        """A segment that will never be usable: all in it fails for lack of space, and its file goes (A10, I10)."""
        self._discard(out, segment)
        if segment is self._current:
            self._current = None
        if segment is self._spare:
            self._spare = None
        for transaction, entry in list(self._entries.items()):
            if entry.segment is segment:
                self._fail(transaction, failed)

    def _release_held(self, segment: Segment) -> None:
        self.held_octets -= sum(len(data) for _, data in segment.held)
        segment.held.clear()

    def _fail(self, transaction: int, failed: list[int]) -> None:
        entry = self._entries.get(transaction)
        if entry is None or entry.failed:
            return
        entry.failed = True
        entry.cover = 0
        entry.segment.unsynced.pop(transaction, None)
        self._wanted.pop(transaction, None)
        failed.append(transaction)


_HANDLERS: Final[dict[type, Callable[[ContentWriter, list[AnyEffect], Any, list[int]], None]]] = {
    events.SegmentOpened: ContentWriter._on_opened,
    events.OpenFailed: ContentWriter._on_open_failed,
    events.DirectorySynced: ContentWriter._on_directory_synced,
    events.AppendFailed: ContentWriter._on_append_failed,
    events.Synced: ContentWriter._on_synced,
    events.SyncFailed: ContentWriter._on_sync_failed,
}


def _content(segment: int, offset: int, octets: int, checksum: int, facts: ContentFacts) -> Content:
    return Content(
        segment,
        offset,
        octets,
        checksum,
        header_octets=facts.header_octets,
        lines=facts.lines,
        longest_line=facts.line_octets_max,
        eight_bit=facts.eight_bit,
        utf8_headers=facts.utf8_headers,
        dot_lines=facts.dot_lines,
    )
