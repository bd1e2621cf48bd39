"""Segments: the append-only files of IBDB and CDB on the simulated disk, for one process.

The events are those of the live runtime, effect by effect (tests/contract). Syncs come in two halves, so that time can pass between them and
what is appended meanwhile is not covered. A failure that no event can say (of Seal, Remove, ListStore) leaves as DiskError: the process ends.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from sim.disk.errors import DiskError
from sim.disk.filesystem import Disk
from smx.config.schema import spool_path
from smx.effects import Append, ListStore, MeasureSpace, OpenSegment, Read, Remove, Scan, Seal, Sync, SyncDirectory
from smx.events import (
    AnyEvent,
    AppendFailed,
    DirectorySynced,
    Listed,
    OpenFailed,
    ReadFailed,
    Readout,
    Scanned,
    SegmentFile,
    SegmentOpened,
    SpaceMeasured,
    Synced,
    SyncFailed,
)

STORES: Final = ("ibdb", "cdb")
FOLDERS: Final = ("ibdb", "cdb", "defedb", "run")
_DIGITS: Final = 16


def make_spool(disk: Disk, spool: str) -> None:
    """The directories of a spool, durable: what `smx init` leaves."""
    for folder in FOLDERS:
        disk.make_directories(spool_path(spool, folder))
    disk.settle()


def file_name(store: str, segment: int) -> str:
    return f"{segment:016x}.{store}"


def segment_of(store: str, name: str) -> int | None:
    """The number in a file name; None for a file that is no segment of the store."""
    digits, dot, suffix = name.partition(".")
    if not dot or suffix != store or len(digits) != _DIGITS:
        return None
    try:
        segment = int(digits, 16)
    except ValueError:
        return None
    return segment if file_name(store, segment) == name else None


class Ticket(NamedTuple):
    """A sync that is under way. `files`: those that were open when it began; `closed`: paths of the others; `upto`: what it covers."""

    effect: Sync | SyncDirectory
    files: tuple[int, ...]
    closed: tuple[str, ...]
    upto: int


class Segments:
    """Carries out the effects on segments. Which are open for appending is forgotten with the process."""

    def __init__(self, disk: Disk, spool: str) -> None:
        self._disk = disk
        self._spool = spool
        self._folders: dict[str, str] = {}
        self._open: dict[tuple[str, int], int] = {}
        self._handlers: dict[type[Any], Callable[[Any], list[AnyEvent]]] = {
            Append: self._append,
            OpenSegment: self._open_segment,
            Sync: self._sync,
            SyncDirectory: self._sync,
            Seal: self._seal,
            Remove: self._remove,
            ListStore: self._list,
            Scan: self._scan,
            Read: self._read,
            MeasureSpace: self._measure,
        }

    def apply(self, effect: object) -> list[AnyEvent]:
        """Carry an effect out. KeyError for one that is no business of segments."""
        return self._handlers[type(effect)](effect)

    def handles(self, effect: object) -> bool:
        return type(effect) in self._handlers

    def begin_sync(self, effect: Sync | SyncDirectory) -> Ticket:
        """What has been written up to now will be covered."""
        if isinstance(effect, SyncDirectory):
            return Ticket(effect, (), (), self._disk.mark())
        files: list[int] = []
        closed: list[str] = []
        for segment in effect.segments:
            number = self._open.get((effect.store, segment))
            if number is None:
                closed.append(self._path(effect.store, segment))
            else:
                files.append(number)
        return Ticket(effect, tuple(files), tuple(closed), self._disk.mark())

    def end_sync(self, ticket: Ticket) -> AnyEvent:
        """Make exactly that durable."""
        effect = ticket.effect
        try:
            if isinstance(effect, SyncDirectory):
                self._disk.sync_directory(self._folder(effect.store), ticket.upto)
                return DirectorySynced(effect.store, effect.token)
            for number in ticket.files:
                self._disk.sync(number, ticket.upto)
            for path in ticket.closed:
                if self._disk.exists(path):  # removed: nothing of it has to last
                    self._disk.sync(path, ticket.upto)
        except DiskError as error:
            return SyncFailed(effect.store, effect.token, error.reason)
        return Synced(effect.store, effect.token)

    def _sync(self, effect: Sync | SyncDirectory) -> list[AnyEvent]:
        return [self.end_sync(self.begin_sync(effect))]

    def _open_segment(self, effect: OpenSegment) -> list[AnyEvent]:
        path = self._path(effect.store, effect.segment)
        try:
            number = self._disk.create(path)
        except DiskError as error:
            return [OpenFailed(effect.store, effect.segment, error.no_space, error.reason)]
        try:
            self._disk.fallocate(number, effect.octets)
        except DiskError as error:
            self._disk.unlink(path)
            return [OpenFailed(effect.store, effect.segment, error.no_space, error.reason)]
        self._open[effect.store, effect.segment] = number
        return [SegmentOpened(effect.store, effect.segment)]

    def _append(self, effect: Append) -> list[AnyEvent]:
        number = self._open.get((effect.store, effect.segment))
        assert number is not None, f"append to {effect.store} segment {effect.segment:x}, which is not open"
        try:
            self._disk.write(number, effect.offset, effect.data)
        except DiskError as error:
            return [AppendFailed(effect.store, effect.segment, effect.offset, error.no_space, error.reason)]
        return []

    def _seal(self, effect: Seal) -> list[AnyEvent]:
        number = self._open.pop((effect.store, effect.segment), None)
        assert number is not None, f"seal of {effect.store} segment {effect.segment:x}, which is not open"
        self._disk.truncate(number, effect.octets)
        self._disk.close(number)
        return []

    def _remove(self, effect: Remove) -> list[AnyEvent]:
        number = self._open.pop((effect.store, effect.segment), None)
        if number is not None:
            self._disk.close(number)
        try:
            self._disk.unlink(self._path(effect.store, effect.segment))
        except DiskError as error:
            if error.kind != "missing":  # gone already: no error
                raise
        return []

    def _list(self, effect: ListStore) -> list[AnyEvent]:
        folder = self._folder(effect.store)
        files: list[SegmentFile] = []
        for name in self._disk.listdir(folder):
            segment = segment_of(effect.store, name)
            if segment is not None:
                files.append(SegmentFile(segment, self._disk.size(f"{folder}/{name}")))
        files.sort(key=lambda file: file.segment)
        return [Listed(effect.store, effect.request, tuple(files))]

    def _scan(self, effect: Scan) -> list[AnyEvent]:
        try:
            number = self._disk.open(self._path(effect.store, effect.segment))
            data = self._disk.read(number, effect.offset, effect.octets)
        except DiskError as error:
            return [_read_failed(effect.request, error)]
        end = effect.offset + len(data) >= self._disk.size(number)
        return [Scanned(effect.store, effect.request, data, end)]

    def _read(self, effect: Read) -> list[AnyEvent]:
        try:
            data = self._disk.read(self._path(effect.store, effect.segment), effect.offset, effect.octets)
        except DiskError as error:
            return [_read_failed(effect.request, error)]
        if len(data) < effect.octets:
            return [ReadFailed(effect.request, True, "the segment ends before")]
        return [Readout(effect.request, data)]

    def _measure(self, effect: MeasureSpace) -> list[AnyEvent]:
        self._disk.mark()  # the machine is on
        return [SpaceMeasured(effect.request, self._disk.free_octets)]

    def _folder(self, store: str) -> str:
        folder = self._folders.get(store)
        if folder is None:
            folder = self._folders[store] = spool_path(self._spool, store)
        return folder

    def _path(self, store: str, segment: int) -> str:
        return f"{self._folder(store)}/{file_name(store, segment)}"


def _read_failed(request: int, error: DiskError) -> ReadFailed:
    if error.kind == "missing":
        return ReadFailed(request, True, "no such segment")
    return ReadFailed(request, False, error.reason)
