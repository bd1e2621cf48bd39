"""Database: DEFEDB as one QMGR process has it, the real SQLite on the simulated disk."""

from contextlib import suppress
from typing import Final

from sim.disk.errors import DiskError
from sim.disk.filesystem import Disk
from sim.disk.vfs import CheckpointFailed, SimulatedVfs, seed_random
from smx.config.schema import spool_path
from smx.defedb.sqlite import RESERVE_OCTETS, DefedbError, SqliteDefedb
from smx.effects import Census, Fetch, Find, Store
from smx.events import AnyEvent, Stored

FILE_NAME: Final = "defedb.sqlite"


class Database:
    """Opened by the first effect. Exactly one of `close` and `abandon` ends it."""

    def __init__(self, disk: Disk, spool: str, *, reserve_octets: int = RESERVE_OCTETS) -> None:
        self.syncs_done = 0  # by the last call
        self.operations_done = 0
        self._disk = disk
        self._path = f"{spool_path(spool, 'defedb')}/{FILE_NAME}"
        self._reserve_octets = reserve_octets
        self._vfs = SimulatedVfs(disk)
        self._engine: SqliteDefedb | None = None

    def apply(self, effect: Store | Fetch | Find | Census) -> list[AnyEvent]:
        """Carry an effect out. DefedbError when the database cannot be opened or read: the process ends."""
        self._disk.mark()  # the machine is on
        syncs, operations = self._disk.syncs, self._disk.operations
        seed_random(operations)
        self._vfs.failed = False
        try:
            if self._engine is None:
                self._engine = self._opened()
            return [self._engine.perform(effect)]
        except CheckpointFailed:
            return [Stored(effect.request)]  # only commits begin checkpoints, when they are done
        finally:
            seed_random(None)
            self.syncs_done = self._disk.syncs - syncs
            self.operations_done = self._disk.operations - operations

    def close(self) -> None:
        """The orderly end of the process: what is in the WAL goes into the database."""
        if self._engine is not None:
            with suppress(CheckpointFailed):  # the WAL has everything
                self._engine.close()
            self._engine = None

    def abandon(self) -> None:
        """The process or the machine died: nothing is written any more, and its locks are gone."""
        self._vfs.dead = True
        self._disk.locks.clear()
        self.close()

    def _opened(self) -> SqliteDefedb:
        folder = self._path.rpartition("/")[0]
        try:
            if not self._disk.exists(self._path):
                self._disk.create(self._path)  # as the live runtime does, for the sake of the file's mode
            return SqliteDefedb(
                self._path,
                vfs=self._vfs.name,
                sync_directory=lambda: self._sync_directory(folder),
                reserve=DiskReserve(self._disk, self._path + ".reserve", self._reserve_octets) if self._reserve_octets else None,
                discard=lambda: self._disk.unlink(self._path),
            )
        except (CheckpointFailed, DiskError) as error:
            raise DefedbError(f"{self._path} cannot be opened: {error}") from error

    def _sync_directory(self, folder: str) -> None:
        try:
            self._disk.sync_directory(folder)
        except DiskError as error:
            raise OSError(error.reason) from error


class DiskReserve:
    """The reserve of A10 on the simulated disk; see smx.defedb.sqlite.Reserve."""

    def __init__(self, disk: Disk, path: str, octets: int) -> None:
        self._disk = disk
        self._path = path
        self._octets = octets
        self._held = False
        self.restore()

    def release(self) -> bool:
        if not self._held:
            return False
        self._disk.truncate(self._path, 0)
        self._held = False
        return True

    def restore(self) -> None:
        if self._held:
            return
        if not self._disk.exists(self._path):
            self._disk.create(self._path)
        try:
            self._disk.fallocate(self._path, self._octets)
            self._held = True
        except DiskError:  # no space: then there is no reserve
            self._disk.truncate(self._path, 0)
