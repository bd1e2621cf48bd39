"""A dictionary disk: what is pending and what is durable, octet by octet and name by name, for tests and crash enumeration.

What may happen at a crash: any subset of the appends that no Sync covered survives (F1, F2), the last of them possibly torn (F3); any
subset of the creations and removals that no SyncDirectory covered survives (F5, F6). What never happens: a covered append or name is
lost or changed (that is corruption, made by `flip`), a commit of DEFEDB is torn (SQLite promises that, and has its own tests).
Preallocated octets that were never written read as zeros.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import combinations
from typing import Any, TypeVar

import msgspec

from smx import effects, events
from smx.effects import AnyEffect, Row
from smx.events import AnyEvent

Event = AnyEvent
T = TypeVar("T")


class File:
    """An inode: octets that are durable, and appends that are not yet."""

    def __init__(self, octets: int) -> None:
        self.durable = bytearray(octets)
        self.pending: list[tuple[int, bytes]] = []
        self._view: bytearray | None = None
        self._digest = b""  # of the durable octets, when known

    def view(self) -> bytearray:
        """What a reader sees now."""
        if not self.pending:
            return self.durable
        if self._view is None:
            self._view = bytearray(self.durable)
            for offset, data in self.pending:
                write(self._view, offset, data)
        return self._view

    def append(self, offset: int, data: bytes) -> None:
        view = self.view()
        if view is self.durable:
            view = bytearray(view)
        self.pending.append((offset, data))
        write(view, offset, data)
        self._view = view

    def sync(self) -> None:
        if self.pending:
            self.durable = self.view()  # never changed in place: survivors of other crashes share it
            self.pending = []
            self._view = None
            self._digest = b""

    def cut(self, octets: int) -> None:
        """Give the preallocated tail back."""
        self.durable = self.durable[:octets]
        self._digest = b""
        if self._view is not None:
            del self._view[octets:]

    def digest(self) -> bytes:
        """Tells durable contents apart; the zeros of a tail do not count."""
        if not self._digest:
            self._digest = blake2b(bytes(self.durable).rstrip(b"\0"), digest_size=16).digest()
        return self._digest

    def survivor(self, kept: Sequence[tuple[int, bytes]]) -> "File":
        """The file after a crash at which these appends survived."""
        file = File(0)
        file.durable, file._digest = self.durable, self._digest
        if kept:
            file.durable, file._digest = bytearray(self.durable), b""
            for offset, data in kept:
                write(file.durable, offset, data)
        return file


def write(octets: bytearray, offset: int, data: bytes) -> None:
    if len(octets) < offset:
        octets.extend(bytes(offset - len(octets)))
    octets[offset : offset + len(data)] = data


class Disk:
    """Stores of segments, and the rows of DEFEDB. `fail`: called with each effect; events it returns replace what would have happened."""

    def __init__(self) -> None:
        self.names: dict[str, dict[int, File]] = {"ibdb": {}, "cdb": {}}
        self.durable_names: dict[str, dict[int, File]] = {"ibdb": {}, "cdb": {}}
        self.changes: list[tuple[str, int, File | None]] = []  # names made (a file) or removed (None), not yet durable
        self.rows: dict[tuple[int, int], Row] = {}
        self.free = 1 << 40
        self.fail: Callable[[AnyEffect], Sequence[Event] | None] | None = None
        self.syncs = 0

    # --- effects ------------------------------------------------------------------------------------------------------

    def apply(self, effect: AnyEffect) -> list[Event]:
        """Carry an effect out; effects that are no business of a disk are ignored."""
        handler = _HANDLERS.get(type(effect))
        if handler is None:
            return []
        if self.fail is not None:
            failed = self.fail(effect)
            if failed is not None:
                return list(failed)
        answers: list[Event] = handler(self, effect)
        return answers

    def _open(self, e: effects.OpenSegment) -> list[Event]:
        if e.segment in self.names[e.store]:
            return [events.OpenFailed(e.store, e.segment, no_space=False, reason="exists")]
        file = File(e.octets)
        self.names[e.store][e.segment] = file
        self.changes.append((e.store, e.segment, file))
        return [events.SegmentOpened(e.store, e.segment)]

    def _sync_directory(self, e: effects.SyncDirectory) -> list[Event]:
        self.durable_names[e.store] = dict(self.names[e.store])
        self.changes = [change for change in self.changes if change[0] != e.store]
        return [events.DirectorySynced(e.store, e.token)]

    def _append(self, e: effects.Append) -> list[Event]:
        file = self.names[e.store].get(e.segment)
        if file is None:
            return [events.AppendFailed(e.store, e.segment, e.offset, no_space=False, reason="no such segment")]
        file.append(e.offset, e.data)
        return []

    def _sync(self, e: effects.Sync) -> list[Event]:
        self.syncs += 1
        for segment in e.segments:
            if (file := self.names[e.store].get(segment)) is not None:
                file.sync()
        return [events.Synced(e.store, e.token)]

    def _seal(self, e: effects.Seal) -> list[Event]:
        if (file := self.names[e.store].get(e.segment)) is not None:
            file.cut(e.octets)
        return []

    def _remove(self, e: effects.Remove) -> list[Event]:
        if self.names[e.store].pop(e.segment, None) is not None:
            self.changes.append((e.store, e.segment, None))
        return []

    def _list(self, e: effects.ListStore) -> list[Event]:
        files = tuple(events.SegmentFile(segment, len(file.view())) for segment, file in sorted(self.names[e.store].items()))
        return [events.Listed(e.store, e.request, files)]

    def _scan(self, e: effects.Scan) -> list[Event]:
        file = self.names[e.store].get(e.segment)
        if file is None:
            return [events.ReadFailed(e.request, missing=True, reason="no such segment")]
        view = file.view()
        return [events.Scanned(e.store, e.request, bytes(view[e.offset : e.offset + e.octets]), end=e.offset + e.octets >= len(view))]

    def _read(self, e: effects.Read) -> list[Event]:
        file = self.names[e.store].get(e.segment)
        if file is None or len(file.view()) < e.offset + e.octets:
            return [events.ReadFailed(e.request, missing=True, reason="no such octets")]
        return [events.Readout(e.request, bytes(file.view()[e.offset : e.offset + e.octets]))]

    def _measure(self, e: effects.MeasureSpace) -> list[Event]:
        return [events.SpaceMeasured(e.request, self.free)]

    def _store(self, e: effects.Store) -> list[Event]:
        for row in e.rows:
            self.rows[row.transaction, row.index] = row
        envelopes = {row.transaction: row.envelope for row in e.rows}
        if envelopes:  # one envelope a transaction: the last one counts
            for key, row in self.rows.items():
                if row.transaction in envelopes and row.envelope != envelopes[row.transaction]:
                    self.rows[key] = msgspec.structs.replace(row, envelope=envelopes[row.transaction])
        for transaction, index in e.gone:
            self.rows.pop((transaction, index), None)
        return [events.Stored(e.request)]

    def _fetch(self, e: effects.Fetch) -> list[Event]:
        after = (e.after_next_try, e.after_transaction, e.after_index)
        due = sorted((row.next_try, row.transaction, row.index) for row in self.rows.values() if row.state == 0 and row.next_try <= e.until)
        due = [key for key in due if key > after]
        rows = tuple(self.rows[transaction, index] for _, transaction, index in due[: e.limit])
        return [events.Fetched(e.request, rows, more=len(due) > e.limit)]

    def _find(self, e: effects.Find) -> list[Event]:
        after = (e.after_transaction, e.after_index)
        keys = [
            key
            for key, row in sorted(self.rows.items())
            if key > after and (not e.transactions or row.transaction in e.transactions) and e.state in (-1, row.state) and e.segment in (0, row.segment)
        ]
        return [events.Found(e.request, tuple(self.rows[key] for key in keys[: e.limit]), more=len(keys) > e.limit)]

    def _census(self, e: effects.Census) -> list[Event]:
        counts: dict[int, int] = {}
        for row in self.rows.values():
            counts[row.segment] = counts.get(row.segment, 0) + 1
        soonest = min((row.next_try for row in self.rows.values() if row.state == 0), default=0)
        return [events.Counted(e.request, tuple(sorted(counts.items())), len(self.rows), soonest)]

    # --- questions ------------------------------------------------------------------------------------------------------

    def segments(self, store: str) -> list[int]:
        """Segments with a name now."""
        return sorted(self.names[store])

    def key(self) -> tuple[object, ...]:
        """Equal for disks that a machine cannot tell apart after a crash (of a disk without anything pending)."""
        files = tuple((store, segment, file.digest()) for store, names in sorted(self.durable_names.items()) for segment, file in sorted(names.items()))
        return files, tuple(self.rows[key] for key in sorted(self.rows))

    # --- crashes --------------------------------------------------------------------------------------------------------

    def kill_image(self) -> "Disk":
        """The disk after the death of the process alone: the kernel keeps everything."""
        return self._survivor([(file, list(file.pending)) for file in self._files()], self.changes)

    def crash_images(self, max_subset: int = 4, *, torn: bool = False) -> Iterator["Disk"]:
        """Every disk that a power loss may leave. `torn`: also with the last surviving append cut short."""
        appends = [(file, append) for file in self._files() for append in file.pending]
        for kept in subsets(appends, max_subset):
            for names in subsets(self.changes, max_subset):
                yield self._survivor(_by_file(kept), names)
            if torn and kept:
                file, (offset, data) = kept[-1]
                for length in sorted({1, len(data) // 2, len(data) - 1} - {0, len(data)}):
                    yield self._survivor(_by_file([*kept[:-1], (file, (offset, data[:length]))]), self.changes)

    def flip(self, store: str, segment: int, offset: int, mask: int = 0xFF) -> None:
        """Corrupt one octet, durably (F10)."""
        file = self.names[store][segment]
        file.sync()
        octets = bytearray(file.durable)
        octets[offset] ^= mask
        file.durable = octets
        file._digest = b""

    def _files(self) -> list[File]:
        """Every inode with a name, or with one that may come back."""
        found: dict[int, File] = {}
        for store in self.names:
            for file in [*self.durable_names[store].values(), *self.names[store].values()]:
                found[id(file)] = file
        for _, _, change in self.changes:
            if change is not None:
                found[id(change)] = change
        return list(found.values())

    def _survivor(self, kept: Sequence[tuple[File, Sequence[tuple[int, bytes]]]], changes: Sequence[tuple[str, int, File | None]]) -> "Disk":
        appends = {id(file): pieces for file, pieces in kept}
        disk = Disk()
        disk.rows = dict(self.rows)
        disk.free = self.free
        for store, names in self.durable_names.items():
            survivors = dict(names)
            for changed, segment, made in changes:
                if changed != store:
                    continue
                if made is None:
                    survivors.pop(segment, None)
                else:
                    survivors[segment] = made
            for segment, inode in survivors.items():
                disk.names[store][segment] = disk.durable_names[store][segment] = inode.survivor(appends.get(id(inode), ()))
        return disk


def subsets(items: Sequence[T], all_up_to: int) -> Iterator[list[T]]:
    """Every subset in order; of more than `all_up_to` items: none, every prefix, all, and all but one."""
    if len(items) <= all_up_to:
        for size in range(len(items) + 1):
            for chosen in combinations(items, size):
                yield list(chosen)
        return
    for length in range(len(items) + 1):
        yield list(items[:length])
    for omitted in range(len(items)):
        yield [*items[:omitted], *items[omitted + 1 :]]


def _by_file(kept: Sequence[tuple[File, tuple[int, bytes]]]) -> list[tuple[File, list[tuple[int, bytes]]]]:
    grouped: dict[int, tuple[File, list[tuple[int, bytes]]]] = {}
    for file, append in kept:
        grouped.setdefault(id(file), (file, []))[1].append(append)
    return list(grouped.values())


_HANDLERS: dict[type, Callable[[Disk, Any], list[Event]]] = {
    effects.OpenSegment: Disk._open,
    effects.SyncDirectory: Disk._sync_directory,
    effects.Append: Disk._append,
    effects.Sync: Disk._sync,
    effects.Seal: Disk._seal,
    effects.Remove: Disk._remove,
    effects.ListStore: Disk._list,
    effects.Scan: Disk._scan,
    effects.Read: Disk._read,
    effects.MeasureSpace: Disk._measure,
    effects.Store: Disk._store,
    effects.Fetch: Disk._fetch,
    effects.Find: Disk._find,
    effects.Census: Disk._census,
}
