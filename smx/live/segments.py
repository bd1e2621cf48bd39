"""Segments: the append-only files of IBDB and CDB on a real file system.

Strategies  Appends are pwrite(2) on the loop: they go to the page cache. Everything that waits for the device (syncs), and everything that must
            stay in order with it (seals, removals, lists), is done by one thread per store, one hop for each group (architecture 7).
            A descriptor is closed by that thread too, behind the syncs that use it.
Failures    A full disk is said as no_space (A10). A failed sync is said once and never tried again by this module (I15). A removal or seal that
            fails for another reason than a missing file ends the process.
"""

import os
from collections.abc import Callable
from typing import Any, Final

from smx.config.schema import spool_path
from smx.effects import Append, ListStore, MeasureSpace, Remove, Seal, Sync, SyncDirectory
from smx.effects import OpenSegment as Open
from smx.events import AppendFailed, DirectorySynced, Listed, OpenFailed, SegmentFile, SegmentOpened, SpaceMeasured, Synced, SyncFailed
from smx.live.device import Orders
from smx.live.disk import Disk, is_full, reason
from smx.live.runner import Runner
from smx.live.worker import Worker

FILE_MODE: Final = 0o640  # readers are in the group (SX09)
CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
REOPEN: Final = os.O_RDWR | os.O_CLOEXEC
_DIGITS: Final = 16


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


class OneStore:
    """One directory of segments, the descriptors that are open for appending, and the thread."""

    def __init__(self, runner: Runner, store: str, disk: Disk) -> None:
        self.store = store
        self.directory = spool_path(runner.spool, store)
        self.descriptors: dict[int, int] = {}
        self._disk = disk
        self._deliver = runner.deliver
        self._worker = Worker(runner, store)

    def path(self, segment: int) -> str:
        return f"{self.directory}/{file_name(self.store, segment)}"

    def open(self, effect: Open) -> None:
        path = self.path(effect.segment)
        try:
            descriptor = self._disk.open(path, CREATE, FILE_MODE)
        except OSError as error:
            self._deliver(OpenFailed(self.store, effect.segment, is_full(error), reason(error)))
            return
        try:
            self._disk.fallocate(descriptor, 0, effect.octets)
        except OSError as error:
            self._disk.close(descriptor)
            self._disk.unlink(path)
            self._deliver(OpenFailed(self.store, effect.segment, is_full(error), reason(error)))
            return
        self.descriptors[effect.segment] = descriptor
        self._deliver(SegmentOpened(self.store, effect.segment))

    def append(self, effect: Append) -> None:
        descriptor = self.descriptors.get(effect.segment)
        assert descriptor is not None, f"append to {self.store} segment {effect.segment:x}, which is not open"
        try:
            self._disk.write_all(descriptor, effect.data, effect.offset)
        except OSError as error:
            self._deliver(AppendFailed(self.store, effect.segment, effect.offset, is_full(error), reason(error)))

    def sync(self, effect: Sync) -> None:
        disk = self._disk
        descriptors = [self.descriptors.get(segment) for segment in effect.segments]
        closed = [self.path(segment) for segment, descriptor in zip(effect.segments, descriptors, strict=True) if descriptor is None]

        def job() -> Synced | SyncFailed:
            try:
                for descriptor in descriptors:
                    if descriptor is not None:
                        disk.fdatasync(descriptor)
                for path in closed:
                    _sync_closed(disk, path)
            except OSError as error:
                return SyncFailed(self.store, effect.token, reason(error))
            return Synced(self.store, effect.token)

        self._worker.do(job)

    def sync_directory(self, effect: SyncDirectory) -> None:
        def job() -> DirectorySynced | SyncFailed:
            try:
                self._disk.sync_directory(self.directory)
            except OSError as error:
                return SyncFailed(self.store, effect.token, reason(error))
            return DirectorySynced(self.store, effect.token)

        self._worker.do(job)

    def seal(self, effect: Seal) -> None:
        descriptor = self.descriptors.pop(effect.segment, None)
        assert descriptor is not None, f"seal of {self.store} segment {effect.segment:x}, which is not open"
        self._disk.ftruncate(descriptor, effect.octets)
        self._worker.do(lambda: self._disk.close(descriptor))

    def remove(self, effect: Remove) -> None:
        descriptor = self.descriptors.pop(effect.segment, None)
        path = self.path(effect.segment)

        def job() -> None:
            if descriptor is not None:
                self._disk.close(descriptor)
            try:
                self._disk.unlink(path)
            except FileNotFoundError:
                return  # gone already: no error

        self._worker.do(job)

    def list(self, effect: ListStore) -> None:
        def job() -> Listed:
            files: list[SegmentFile] = []
            for name in self._disk.listdir(self.directory):
                segment = segment_of(self.store, name)
                if segment is not None and (octets := _size(self._disk, f"{self.directory}/{name}")) is not None:
                    files.append(SegmentFile(segment, octets))
            files.sort(key=lambda file: file.segment)
            return Listed(self.store, effect.request, tuple(files))

        self._worker.do(job)

    def measure(self, effect: MeasureSpace) -> None:
        self._worker.do(lambda: SpaceMeasured(effect.request, self._disk.free_octets(self.directory), self._disk.free_descriptors()))

    def close(self) -> None:
        self._worker.close()
        for descriptor in self.descriptors.values():
            self._disk.close(descriptor)
        self.descriptors.clear()


class Segments:
    """Carries out the effects on segments that write; `stores` are the names that the component may use."""

    def __init__(self, runner: Runner, stores: tuple[str, ...], disk: Disk | None = None) -> None:
        self.disk = disk or Disk()
        self.stores = {store: OneStore(runner, store, self.disk) for store in stores}

    def orders(self) -> Orders:
        return {
            Append: self._append,
            Open: self._in_store(OneStore.open),
            Sync: self._in_store(OneStore.sync),
            SyncDirectory: self._in_store(OneStore.sync_directory),
            Seal: self._in_store(OneStore.seal),
            Remove: self._in_store(OneStore.remove),
            ListStore: self._in_store(OneStore.list),
            MeasureSpace: self._in_store(OneStore.measure),
        }

    def close(self) -> None:
        for store in self.stores.values():
            store.close()

    def _append(self, effect: Append) -> None:
        self.stores[effect.store].append(effect)

    def _in_store(self, method: Callable[[OneStore, Any], None]) -> Callable[[Any], None]:
        """`method` of the store that the effect names."""
        return lambda effect: method(self.stores[effect.store], effect)


def _sync_closed(disk: Disk, path: str) -> None:
    """Sync a segment that is not open for appending any more."""
    try:
        descriptor = disk.open(path, REOPEN)
    except FileNotFoundError:
        return  # removed: nothing of it has to last
    try:
        disk.fdatasync(descriptor)
    finally:
        disk.close(descriptor)


def _size(disk: Disk, path: str) -> int | None:
    try:
        return disk.file_size(path)
    except FileNotFoundError:
        return None  # removed by its writer meanwhile
