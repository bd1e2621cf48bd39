"""A VFS of SQLite on the simulated disk: the real library runs on it, with its journal, its WAL and its temporary files.

Deterministic: SQLite's random numbers (salts of the WAL, names of temporary files) come from `seed_random`, its clock stands still, nothing
sleeps. There is no shared memory: WAL needs locking_mode=EXCLUSIVE, as DEFEDB has it. As the VFS for Unix does, the first sync of a new
journal or WAL also syncs its directory, and an overwrite harms no octets beside it.

SQLite's random generator belongs to the whole process and is seeded by the default VFS. It is seeded anew before a simulated database is at
work, and given back to the system's randomness after it, so that real databases of the same process do not notice.
"""

import hashlib
from functools import cache
from itertools import count
from typing import Any, Final

import apsw

from sim.disk.errors import DiskError, PowerLoss
from sim.disk.filesystem import Disk

SECTOR_OCTETS: Final = 4096
TEMPORARY: Final = "/tmp"
JULIAN_DAY_MS: Final = 210_866_760_000_000  # 1970-01-01: the clock stands there
_SEED_NAME: Final = "smx-sim-seed"
_SEED_OCTETS: Final = 64  # SQLite asks for 44
_NUMBERS: Final = count()  # SQLite wants names; they reach nothing else
_NEW_JOURNALS: Final = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_WAL
_SHARED: Final = apsw.SQLITE_LOCK_SHARED
_RESERVED: Final = apsw.SQLITE_LOCK_RESERVED


class CheckpointFailed(BaseException):
    """An error within a checkpoint. SQLite keeps it to itself, for the commit that began the checkpoint is durable already.

    apsw raises what a method of a VFS raised, whatever SQLite made of it; so this is no apsw.Error, and Database knows what it means.
    Not told apart: a failed reading of the WAL within a checkpoint, which here fails the commit.
    """


class _Seed(apsw.VFS):
    """Gives a seed and nothing else; it is the default VFS for the moment in which SQLite asks for one."""

    def __init__(self) -> None:
        self.seed = b""
        super().__init__(_SEED_NAME, base="")

    def xRandomness(self, numbytes: int) -> bytes:  # noqa: N802
        return self.seed[:numbytes]


@cache
def _seed() -> _Seed:
    return _Seed()


def seed_random(seed: int | None) -> None:
    """Let SQLite's random numbers follow from `seed` from here on; None: from the system again."""
    if seed is not None:
        _seed().seed = hashlib.blake2b(b"%d" % seed, digest_size=_SEED_OCTETS).digest()
        default = apsw.vfs_names()[0]
        apsw.set_default_vfs(_SEED_NAME)
        apsw.randomness(0)
        apsw.randomness(1)  # now it asks
        apsw.set_default_vfs(default)
    else:
        apsw.randomness(0)


class SimulatedVfs(apsw.VFS):
    """One database's way to a disk.

    `dead`: its process or its machine is gone. What SQLite still asks for, while it clears up, seems to go well and is not done.
    """

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.dead = False
        self.temporary = 0
        self.failed = False  # by more than a full disk, since Database last asked: what follows is the closing, which keeps its errors to itself
        self.logs = 0  # open WALs: while there is one, the database itself is written by checkpoints only
        self.name = f"smx-sim-{next(_NUMBERS)}"
        super().__init__(self.name)

    @property
    def gone(self) -> bool:
        """Nothing is done any more."""
        return self.dead or self.disk.off

    # The methods have SQLite's names.

    def xOpen(self, name: Any, flags: list[int]) -> "SimulatedFile":  # type: ignore[override]  # noqa: N802
        try:
            path = self._temporary() if name is None else name.filename() if isinstance(name, apsw.URIFilename) else str(name)
            return SimulatedFile(self, path, flags)
        except (DiskError, PowerLoss) as error:
            raise self.failure(error, apsw.SQLITE_CANTOPEN) from None

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        if self.gone:
            return
        try:
            self.disk.unlink(filename)
            if syncdir:
                self.disk.sync_directory(_above(filename))
        except (DiskError, PowerLoss) as error:
            missing = isinstance(error, DiskError) and error.kind == "missing"
            raise self.failure(error, apsw.SQLITE_IOERR_DELETE_NOENT if missing else apsw.SQLITE_IOERR_DELETE) from None

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        return not self.gone and self.disk.exists(pathname)

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name

    def xRandomness(self, numbytes: int) -> bytes:  # noqa: N802
        return bytes(numbytes)

    def xSleep(self, microseconds: int) -> int:  # noqa: N802
        return microseconds

    def xCurrentTime(self) -> float:  # noqa: N802
        return JULIAN_DAY_MS / 86_400_000

    def xCurrentTimeInt64(self) -> int:  # noqa: N802
        return JULIAN_DAY_MS

    def xGetLastError(self) -> tuple[int, str]:  # noqa: N802
        return 0, ""

    def failure(self, error: DiskError | PowerLoss, code: int) -> BaseException:
        """The error as the VFS for Unix says it: a full disk is SQLITE_FULL only where octets are written."""
        if isinstance(error, PowerLoss):
            return error
        if error.no_space and code == apsw.SQLITE_IOERR_WRITE:
            return apsw.FullError(error.reason)
        self.failed = True
        if code == apsw.SQLITE_CANTOPEN:
            return apsw.CantOpenError(error.reason)
        failure = apsw.IOError(error.reason)
        failure.extendedresult = code  # type: ignore[attr-defined]
        return failure

    def _temporary(self) -> str:
        self.temporary += 1
        self.disk.make_directories(TEMPORARY)
        return f"{TEMPORARY}/sqlite-{self.temporary}"


class SimulatedFile:
    """An open file, known by its number. Locks are kept on the disk: two connections exclude each other as two processes do."""

    def __init__(self, vfs: SimulatedVfs, path: str, flags: list[int]) -> None:
        self._vfs = vfs
        self._disk = disk = vfs.disk
        self._path = path
        wanted = flags[0]
        self._fresh = False  # its name has never been synced
        if disk.exists(path):
            self._number = disk.open(path)
        elif wanted & apsw.SQLITE_OPEN_CREATE:
            self._number = disk.create(path)
            self._fresh = bool(wanted & _NEW_JOURNALS)
        else:
            raise DiskError("missing", path)
        self._transient = bool(wanted & apsw.SQLITE_OPEN_DELETEONCLOSE)
        self._is_database = bool(wanted & apsw.SQLITE_OPEN_MAIN_DB)
        self._is_log = bool(wanted & apsw.SQLITE_OPEN_WAL)
        self._written = False  # since its last sync
        vfs.logs += self._is_log
        flags[1] = wanted

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        if self._vfs.gone:
            return b""
        try:
            return self._disk.read(self._number, offset, amount)
        except (DiskError, PowerLoss) as error:
            raise self._vfs.failure(error, apsw.SQLITE_IOERR_READ) from None

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        if self._vfs.gone:
            return
        try:
            self._disk.write(self._number, offset, bytes(data))
            self._written = True
        except (DiskError, PowerLoss) as error:
            raise self._failed(error, apsw.SQLITE_IOERR_WRITE) from None

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        if self._vfs.gone:
            return
        try:
            self._disk.truncate(self._number, newsize)
        except (DiskError, PowerLoss) as error:
            raise self._failed(error, apsw.SQLITE_IOERR_TRUNCATE) from None

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self._vfs.gone:
            return
        try:
            self._disk.sync(self._number)
            if self._fresh:
                self._disk.sync_directory(_above(self._path))
                self._fresh = False
            self._written = False
        except (DiskError, PowerLoss) as error:
            raise self._failed(error, apsw.SQLITE_IOERR_FSYNC) from None

    def xFileSize(self) -> int:  # noqa: N802
        return 0 if self._vfs.gone else self._disk.size(self._number)

    def xClose(self) -> None:  # noqa: N802
        if self._vfs.gone:
            return
        self.xUnlock(apsw.SQLITE_LOCK_NONE)
        self._vfs.logs -= self._is_log
        if self._transient and self._disk.exists(self._path):
            self._disk.unlink(self._path)

    def xLock(self, level: int) -> None:  # noqa: N802
        """Shared by many, reserved by one beside them, exclusive to one alone."""
        if self._vfs.gone:
            return
        holders = self._disk.locks.setdefault(self._number, {})
        others = [held for holder, held in holders.items() if holder is not self]
        limit = {_SHARED: _RESERVED, _RESERVED: _SHARED}.get(level, 0)
        if any(held > limit for held in others):
            raise apsw.BusyError("locked")
        holders[self] = max(level, holders.get(self, 0))

    def xUnlock(self, level: int) -> None:  # noqa: N802
        holders = self._disk.locks.get(self._number, {})
        if level:
            holders[self] = level
        else:
            holders.pop(self, None)

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return any(level >= _RESERVED for level in self._disk.locks.get(self._number, {}).values())

    def xFileControl(self, op: int, ptr: int) -> bool:  # noqa: N802
        return False

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return int(apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE)

    def xSectorSize(self) -> int:  # noqa: N802
        return SECTOR_OCTETS

    def _failed(self, error: DiskError | PowerLoss, code: int) -> BaseException:
        """A WAL that is synced without having been written is synced by a checkpoint."""
        by_checkpoint = self._is_database or (self._is_log and not self._written and code == apsw.SQLITE_IOERR_FSYNC)
        if isinstance(error, DiskError) and self._vfs.logs and by_checkpoint and not self._vfs.failed:
            return CheckpointFailed()
        return self._vfs.failure(error, code)


def _above(path: str) -> str:
    return path.rpartition("/")[0] or "/"
