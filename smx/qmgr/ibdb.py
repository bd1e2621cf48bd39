"""IBDB, the log of envelopes: appends records, makes them durable by groups, removes old segments (A2, A3, A10, SX10, SX13, SX14).

Job. Take records from QMGR; write them at the end of each step in one Append; keep at most one Sync outstanding, so that what
arrives meanwhile forms the next group; say which records are durable. Open a spare segment ahead; go on in it when one is full;
let the oldest segment go when nothing in it counts any more.

State. The current segment and its end, the spare, the chain of older segments with their pins. A *pin* is a key (a transaction, or a
(transaction, index) for a recipient that lives in DEFEDB) under which a record was appended and whose content is not yet
durably superseded; it holds its segment. A pin in a segment that lags too far is copied forward: the owner is asked for the current
state, which is appended; when that is durable the pin moves.

Group. The first record that is written after more became known to be durable is preceded by an Offset record, which states it (A2).
An idle log closes its last group with one.

Removal. Oldest first. An Oldest record says what counts no more; files are removed when it is durable, so a file that comes back
after a power loss is ignored. Nothing waits for it.

Failures. No space for a spare: `roomy` turns False, records go into what is left, then wait in memory until a spare opens. Every failed
append or sync ends the process: no retry (A10, I15).
"""

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Final

import msgspec

from smx import codec, effects, events
from smx.effects import AnyEffect
from smx.events import AnyEvent
from smx.qmgr.records import LOG_VERSION, AnyRecord, Header, Offset, Oldest, Opened, encode_record, kind_of

STORE: Final = "ibdb"
COPIES_PER_FLUSH_MAX: Final = 64  # openings that one step copies forward
_HEADER_OCTETS_MAX: Final = 128  # of the header record with its framing
_OFFSET_OCTETS_MAX: Final = 64  # of an Offset record with its framing
_OVERHEAD: Final = _HEADER_OCTETS_MAX + _OFFSET_OCTETS_MAX


class Before(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What the log consisted of before this process: its segments, in order; the last one with sound records, that one's valid
    length and how far it was known durable; the oldest segment that counts (0: the first of this process).
    """

    segments: tuple[int, ...] = ()
    previous: int = 0
    octets: int = 0
    durable: int = 0
    oldest: int = 0


class _Spare:
    __slots__ = ("named", "number", "octets", "opened")

    def __init__(self, number: int, octets: int) -> None:
        self.number = number
        self.octets = octets
        self.opened = False
        self.named = False


class Ibdb:
    """The log of one QMGR. Recovery makes it, fills it with the open records, and hands it over."""

    def __init__(self, epoch: int, *, first: int, segment_octets: int, segments_max: int, before: Before | None = None) -> None:
        before = before or Before()
        self.owner: Callable[[int], Opened | None] = lambda transaction: None
        self._epoch = epoch
        self._segment_octets = segment_octets
        self._segments_max = segments_max
        self._next = first
        self._first = first
        self._older = before.segments  # of earlier processes: removed by supersede()
        self._oldest = before.oldest or first  # the durable truth, repeated in each header
        # the current segment; 0: none yet
        self._current = before.previous
        self._size = 0
        self._end = before.octets
        self._sequence = 0
        self._chunk = bytearray()  # encoded, not yet appended
        self._chunk_at = 0
        self._durable_offset = before.durable
        self._stated = before.durable  # by the last Offset record of this segment
        self._closed_end = 0  # where the closing Offset record ended
        self._spare: _Spare | None = None
        self._short = False  # the last spare could not be opened
        # positions count records
        self.position = 0
        self.durable = 0
        self._written = 0
        self._waiting: deque[tuple[int, int, bytes, Hashable, bool]] = deque()  # records that wait for a segment
        self._thens: deque[tuple[int, Any]] = deque()
        # syncs
        self._dirty: dict[int, None] = {}
        self._urgent = False  # a record that is not lazy waits for a Sync
        self._token = 0
        self._directory_token = 0
        self._covering: tuple[int, int, int] | None = None  # what the outstanding Sync covers: position, segment, offset
        # segments of this process, and what holds them
        self._chain: deque[int] = deque()
        self._pins: dict[int, dict[Hashable, None]] = {}
        self._where: dict[Hashable, int] = {}
        self._retired: deque[tuple[int, int, int]] = deque()  # (position, segment, end), to seal when durable
        self._sealed: dict[int, None] = {}
        self._copies: deque[tuple[int, Hashable]] = deque()
        self._copying: dict[Hashable, tuple[int, int]] = {}  # key -> (position, segment) of its copy; segment 0 while it waits
        self._removals: deque[tuple[int, int, tuple[int, ...]]] = deque()  # (position, oldest, segments)
        self._orders: list[AnyEffect] = []

    # --- asked by the owner ------------------------------------------------------------------------------------------

    def start(self, out: list[AnyEffect]) -> None:
        """Open the first segment. Records may be appended at once; they wait for it."""
        assert self._spare is None
        self._open_spare(self._segment_octets)
        self._give(out)

    def append(self, record: AnyRecord, then: Any = None, key: Hashable = None, *, lazy: bool = False) -> int:
        """Put a record into the next group; returns its position.

        `then`: any value, handed back by `on_event` when the record is durable. `key`: pins the record's segment until release(key).
        `lazy`: the record needs no Sync of its own; it becomes durable with whatever follows.
        """
        return self._put(kind_of(record), encode_record(record), then, key, lazy=lazy, copy=False)

    def release(self, key: Hashable) -> None:
        """What `key` protected is durably superseded (A3). An unknown key is no error."""
        segment = self._where.pop(key, None)
        if segment is not None:
            del self._pins[segment][key]
        self._copying.pop(key, None)

    def flush(self, out: list[AnyEffect]) -> None:
        """At the end of each step: append what was put, sync when no Sync is outstanding, copy forward, remove (SX14)."""
        if len(self._chain) > self._segments_max:
            self._copy_forward()
        if self._chain and self._chain[0] != self._current:
            self._retire_oldest()
        self._cut()
        self._give(out)
        if self._urgent and self._covering is None and self._dirty:
            self._sync(out)

    def close_group(self, out: list[AnyEffect]) -> None:
        """On an idle timer: state that the last group is durable (A2); make lazy records durable; try again to open a spare."""
        if self._short and self._spare is None:
            self._open_spare(self._wanted_octets())
        if self._covering is None and not self._waiting and self._size:
            if self._written > self.durable:
                self._urgent = True
            elif self._durable_offset != self._stated and self._end != self._closed_end and self._end + _OFFSET_OCTETS_MAX <= self._size:
                self._state()
                self._closed_end = self._end
                self._urgent = True
        self.flush(out)

    def supersede(self) -> int:
        """Every open record of earlier processes was appended again: their segments go when this is durable. Returns the position."""
        position = self.append(Oldest(self._first))
        self._removals.append((position, self._first, self._older))
        self._older = ()
        return position

    @property
    def roomy(self) -> bool:
        """False: no spare segment could be opened: refuse new mail; verdicts are still written into what is left (A10)."""
        return not self._short

    @property
    def starved(self) -> bool:
        """Records wait for a segment, and none could be opened."""
        return bool(self._waiting) and self._spare is None

    @property
    def segments(self) -> tuple[int, ...]:
        """The segments that this process wrote and that still count."""
        return tuple(self._chain)

    @property
    def next_segment(self) -> int:
        """The number of the next segment to be opened."""
        return self._next

    # --- told by the runtime -----------------------------------------------------------------------------------------

    def on_event(self, out: list[AnyEffect], event: AnyEvent) -> list[Any]:
        """Take a completion of the store "ibdb"; returns the `then` values of records that became durable, in order."""
        handler = _HANDLERS.get(type(event))
        if handler is None or getattr(event, "store", STORE) != STORE:
            return []
        durable = self.durable
        handler(self, out, event)
        self._give(out)
        if self.durable == durable:
            return []
        thens = []
        while self._thens and self._thens[0][0] <= self.durable:
            thens.append(self._thens.popleft()[1])
        return thens

    def _on_opened(self, out: list[AnyEffect], event: events.SegmentOpened) -> None:
        spare = self._spare
        if spare is not None and spare.number == event.segment:
            spare.opened = True
            self._short = False
            self._directory_token += 1
            out.append(effects.SyncDirectory(STORE, self._directory_token))

    def _on_open_failed(self, out: list[AnyEffect], event: events.OpenFailed) -> None:
        if not event.no_space:
            out.append(effects.Halt(f"envelope log segment {event.segment:016x} cannot be opened: {event.reason}"))
        elif self._spare is not None and self._spare.number == event.segment:
            self._spare = None
            self._short = True

    def _on_directory_synced(self, out: list[AnyEffect], event: events.DirectorySynced) -> None:
        spare = self._spare
        if spare is not None and spare.opened and event.token == self._directory_token:
            spare.named = True
            self._drain()

    def _on_append_failed(self, out: list[AnyEffect], event: events.AppendFailed) -> None:
        out.append(effects.Halt(f"envelope log segment {event.segment:016x} cannot be written: {event.reason}"))

    def _on_synced(self, out: list[AnyEffect], event: events.Synced) -> None:
        if self._covering is None or event.token != self._token:
            return
        self.durable, segment, offset = self._covering
        self._covering = None
        if segment == self._current:
            self._durable_offset = offset
        self._move_pins()
        while self._retired and self._retired[0][0] <= self.durable and self._retired[0][1] not in self._dirty:
            _, retired, end = self._retired.popleft()
            self._sealed[retired] = None
            out.append(effects.Seal(STORE, retired, end))
        while self._removals and self._removals[0][0] <= self.durable:
            _, self._oldest, segments = self._removals.popleft()
            out.extend(effects.Remove(STORE, number) for number in segments)

    def _on_sync_failed(self, out: list[AnyEffect], event: events.SyncFailed) -> None:
        out.append(effects.Halt(f"the envelope log cannot be made durable: {event.reason}"))

    # --- records -------------------------------------------------------------------------------------------------------

    def _put(self, kind: int, payload: bytes, then: Any, key: Hashable, *, lazy: bool, copy: bool) -> int:
        self.position += 1
        if then is not None:
            self._thens.append((self.position, then))
        if not lazy:
            self._urgent = True
        if self._waiting or not self._write(self.position, kind, payload, key, copy=copy):
            self._waiting.append((self.position, kind, payload, key, copy))
        return self.position

    def _write(self, position: int, kind: int, payload: bytes, key: Hashable, *, copy: bool) -> bool:
        """Encode a record into the current segment, or the next one. False: no segment is ready."""
        octets = codec.HEADER_OCTETS + len(payload)
        if self._end + octets + _OFFSET_OCTETS_MAX > self._size and not self._turn(octets + _OVERHEAD):
            return False
        if self._durable_offset != self._stated:
            self._state()
        self._encode(kind, payload)
        self._written = position
        if copy:
            if key in self._copying:
                self._copying[key] = (position, self._current)
        elif key is not None and key not in self._where:
            self._where[key] = self._current
            self._pins[self._current][key] = None
        return True

    def _encode(self, kind: int, payload: bytes) -> None:
        data = codec.encode(kind, payload, self._current, self._sequence)
        self._sequence += 1
        self._chunk += data
        self._end += len(data)

    def _state(self) -> None:
        """Begin a group: the Offset record (A2)."""
        record = Offset(self._durable_offset)
        self._stated = self._durable_offset
        self._encode(kind_of(record), encode_record(record))

    def _drain(self) -> None:
        """Write what waited for a segment."""
        waiting = self._waiting
        while waiting:
            position, kind, payload, key, copy = waiting[0]
            if not self._write(position, kind, payload, key, copy=copy):
                return
            waiting.popleft()

    # --- segments ------------------------------------------------------------------------------------------------------

    def _turn(self, octets: int) -> bool:
        """Go on in the spare segment. False: none is ready, or it is too small (then one that is not gets opened)."""
        spare = self._spare
        if spare is None or not spare.named:
            return False
        if spare.octets < octets:
            self._orders.append(effects.Remove(STORE, spare.number))
            self._open_spare(octets)
            return False
        self._cut()
        if self._size:
            self._retired.append((self._written, self._current, self._end))
        header = Header(LOG_VERSION, spare.number, self._epoch, self._current, self._end, self._durable_offset, self._oldest)
        self._current, self._size, self._end, self._sequence = spare.number, spare.octets, 0, 0
        self._chunk_at = self._durable_offset = self._stated = self._closed_end = 0
        self._chain.append(self._current)
        self._pins[self._current] = {}
        self._encode(kind_of(header), encode_record(header))
        self._open_spare(self._segment_octets)
        return True

    def _open_spare(self, octets: int) -> None:
        self._spare = _Spare(self._next, octets)
        self._next += 1
        self._orders.append(effects.OpenSegment(STORE, self._spare.number, octets))

    def _wanted_octets(self) -> int:
        waiting = codec.HEADER_OCTETS + len(self._waiting[0][2]) + _OVERHEAD if self._waiting else 0
        return max(self._segment_octets, waiting)

    def _cut(self) -> None:
        """Order the Append of what was encoded."""
        if self._chunk:
            self._orders.append(effects.Append(STORE, self._current, self._chunk_at, bytes(self._chunk)))
            self._dirty[self._current] = None
            self._chunk.clear()
        self._chunk_at = self._end

    def _give(self, out: list[AnyEffect]) -> None:
        if self._orders:
            out.extend(self._orders)
            self._orders.clear()

    def _sync(self, out: list[AnyEffect]) -> None:
        self._token += 1
        self._covering = (self._written, self._current, self._end)
        out.append(effects.Sync(STORE, tuple(self._dirty), self._token))
        self._dirty.clear()
        self._urgent = bool(self._waiting)

    # --- removal ---------------------------------------------------------------------------------------------------------

    def _retire_oldest(self) -> None:
        """Old segments that nothing holds: say so in the log, remove them when that is durable (A3)."""
        if self._older:
            return  # recovery has not superseded the earlier ones yet: oldest first
        gone = []
        while self._chain[0] != self._current and self._chain[0] in self._sealed and not self._pins[self._chain[0]]:
            segment = self._chain.popleft()
            del self._pins[segment], self._sealed[segment]
            gone.append(segment)
        if gone:
            oldest = self._chain[0]
            position = self._put(kind_of(_OLDEST), encode_record(Oldest(oldest)), None, None, lazy=True, copy=False)
            self._removals.append((position, oldest, tuple(gone)))

    def _copy_forward(self) -> None:
        """Append again the oldest openings that hold a segment back, some at each step (A3)."""
        asked = copied = 0
        for key in list(self._pins[self._chain[0]]):
            if asked == COPIES_PER_FLUSH_MAX:
                break
            if isinstance(key, int) and key not in self._copying:
                asked += 1
                record = self.owner(key)
                if record is not None:
                    self._copying[key] = (self.position + 1, 0)
                    position = self._put(kind_of(record), encode_record(record), None, key, lazy=True, copy=True)
                    self._copies.append((position, key))
                    copied += 1
        if copied:
            self._orders.append(effects.Note("copied", (self._chain[0], copied)))

    def _move_pins(self) -> None:
        """Copies that became durable: their pins move to where the copies are."""
        while self._copies and self._copies[0][0] <= self.durable:
            position, key = self._copies.popleft()
            found, segment = self._copying.get(key, (0, 0))
            if found == position and key in self._where:
                del self._copying[key]
                del self._pins[self._where[key]][key]
                self._where[key] = segment
                self._pins[segment][key] = None


_OLDEST: Final = Oldest(0)
_HANDLERS: Final[dict[type, Callable[[Ibdb, list[AnyEffect], Any], None]]] = {
    events.SegmentOpened: Ibdb._on_opened,
    events.OpenFailed: Ibdb._on_open_failed,
    events.DirectorySynced: Ibdb._on_directory_synced,
    events.AppendFailed: Ibdb._on_append_failed,
    events.Synced: Ibdb._on_synced,
    events.SyncFailed: Ibdb._on_sync_failed,
}
