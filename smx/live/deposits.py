"""Deposits: messages on their way into Maildirs: tmp/, sync, rename into new/, sync of the directory.

State       the open deposits; the commits that wait for the thread
Strategies  Writing goes to the page cache, on the loop. Commits are done in groups by one thread: sync each file, rename all, then sync each new/
            once. The writing of all files of a group is begun before the first is waited for: one commit of the file system's journal then serves
            several, where each would need its own. A Maildir that has to be made is made at OpenDeposit. One that exists is trusted only after
            this process has looked at it: an earlier one may have died half-way through making it, or before its name was durable. So what is
            missing of it is made, and it and the directories above it are synced with the first commit into it.
Failures    The first error of a deposit is kept and said when it is committed; nothing of it is left in new/, and its file in tmp/ is removed.
            What a crash leaves in tmp/ is removed by whoever reads the Maildir, after 36 hours, as is the custom.
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

from smx.effects import CommitDeposit, DropDeposit, OpenDeposit, WriteDeposit
from smx.events import Deposited, DepositFailed
from smx.live.device import Orders
from smx.live.disk import Disk, is_full, reason
from smx.live.runner import Runner
from smx.live.worker import Worker

FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700
CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
PARTS: Final = ("tmp", "new", "cur")
MISSING: Final = (errno.ENOENT, errno.ENOTDIR)
SOUND_MAX: Final = 10_000  # paths; beyond it all are looked at again
_T = TypeVar("_T")


class Deposit:
    """One message. `error`: the first that happened."""

    __slots__ = ("descriptor", "directory", "error", "name", "number", "octets")

    def __init__(self, number: int, directory: str, name: str) -> None:
        self.number = number
        self.directory = directory
        self.name = name
        self.descriptor = -1
        self.octets = 0
        self.error: OSError | None = None

    @property
    def in_tmp(self) -> str:
        return f"{self.directory}/tmp/{self.name}"

    @property
    def in_new(self) -> str:
        return f"{self.directory}/new/{self.name}"

    def failed(self) -> DepositFailed:
        """What is said of it in the end."""
        assert self.error is not None
        return DepositFailed(self.number, is_full(self.error), reason(self.error), self.error.errno in MISSING)


class Deposits:
    """Carries out the effects on Maildirs for one component."""

    def __init__(self, runner: Runner, disk: Disk | None = None) -> None:
        self._runner = runner
        self._disk = disk or Disk()
        self._worker = Worker(runner, "deposits")
        self._open: dict[int, Deposit] = {}
        self._committed: SimpleQueue[Deposit] = SimpleQueue()  # from the loop to the thread
        self._made: SimpleQueue[str] = SimpleQueue()  # directories that got new entries
        self._unsynced: set[str] = set()  # those of them that the thread has not synced yet
        self._sound: set[str] = set()  # Maildirs that are complete, and directories whose names this process syncs

    def orders(self) -> Orders:
        return {OpenDeposit: self.open, WriteDeposit: self.write, CommitDeposit: self.commit, DropDeposit: self.drop}

    def close(self) -> None:
        self._worker.close()
        for deposit in self._open.values():
            self._discard(deposit)
        self._open.clear()

    def open(self, effect: OpenDeposit) -> None:
        deposit = Deposit(effect.deposit, effect.directory, effect.name)
        self._open[effect.deposit] = deposit
        try:
            if effect.create and effect.directory not in self._sound:
                self._make_maildir(deposit.directory)
            try:
                deposit.descriptor = self._disk.open(deposit.in_tmp, CREATE, FILE_MODE)
            except FileNotFoundError:
                if not effect.create:
                    raise
                self._make_maildir(deposit.directory)
                deposit.descriptor = self._disk.open(deposit.in_tmp, CREATE, FILE_MODE)
        except OSError as error:
            deposit.error = error

    def write(self, effect: WriteDeposit) -> None:
        deposit = self._open[effect.deposit]
        if deposit.error is None:
            try:
                self._disk.write_all(deposit.descriptor, effect.data, deposit.octets)
                deposit.octets += len(effect.data)
            except OSError as error:
                deposit.error = error

    def commit(self, effect: CommitDeposit) -> None:
        deposit = self._open.pop(effect.deposit)
        if deposit.error is not None:
            self._discard(deposit)
            self._runner.deliver(deposit.failed())
            return
        self._committed.put(deposit)
        self._worker.do(self._commit_waiting)

    def drop(self, effect: DropDeposit) -> None:
        self._discard(self._open.pop(effect.deposit))

    def _discard(self, deposit: Deposit) -> None:
        if deposit.descriptor >= 0:
            self._disk.close(deposit.descriptor)
            self._remove(deposit.in_tmp)

    def _remove(self, path: str) -> None:
        """Of a deposit that comes to nothing. What cannot be removed from tmp/ is removed by the reader of the Maildir one day."""
        with suppress(OSError):
            self._disk.unlink(path)

    def _make_maildir(self, directory: str) -> None:
        """Whatever is missing of it. Its name, and those of the directories above it, are durable with the next commit."""
        if len(self._sound) >= SOUND_MAX:
            self._sound.clear()
        missing: list[str] = []
        above: list[str] = []
        path = directory
        while path != (parent := os.path.dirname(path)):
            (above if os.path.isdir(path) else missing).append(path)
            path = parent
        for path in [*reversed(missing), *(f"{directory}/{part}" for part in PARTS)]:
            with suppress(FileExistsError):
                self._disk.mkdir(path, DIRECTORY_MODE)
            self._made.put(os.path.dirname(path))
        for path in above:
            if path not in self._sound:
                self._made.put(os.path.dirname(path))
                self._sound.add(path)
        self._sound.add(directory)

    # --- in the thread

    def _commit_waiting(self) -> None:
        """Everything that waits, as one group; a later job then finds nothing. Each deposit has its own outcome."""
        group = _drained(self._committed)
        self._unsynced.update(_drained(self._made))
        for deposit in group:
            with suppress(OSError):  # a hint: what is wrong is said by the sync
                self._disk.begin_writing(deposit.descriptor)
        for deposit in group:
            self._attempt([deposit], partial(self._sync_file, deposit))
        for path in sorted(self._unsynced):
            self._attempt(group, partial(self._sync_made, path))
        for deposit in group:
            self._attempt([deposit], partial(self._disk.rename, deposit.in_tmp, deposit.in_new))
        for directory in sorted({deposit.directory for deposit in group}):
            members = [deposit for deposit in group if deposit.directory == directory]
            self._attempt(members, partial(self._disk.sync_directory, f"{directory}/new"))
        for deposit in group:
            if deposit.error is None:
                self._worker.say(Deposited(deposit.number))
            else:
                self._remove(deposit.in_tmp)
                self._remove(deposit.in_new)
                self._sound.discard(deposit.directory)
                self._worker.say(deposit.failed())

    def _attempt(self, deposits: list[Deposit], work: Callable[[], None]) -> None:
        """Do something for those of the deposits that are still well; an error is theirs."""
        well = [deposit for deposit in deposits if deposit.error is None]
        if not well:
            return
        try:
            work()
        except OSError as error:
            for deposit in well:
                deposit.error = error

    def _sync_file(self, deposit: Deposit) -> None:
        try:
            self._disk.fsync(deposit.descriptor)
        finally:
            self._disk.close(deposit.descriptor)

    def _sync_made(self, path: str) -> None:
        with suppress(PermissionError):  # what we may not read, no process of ours has changed
            self._disk.sync_directory(path)
        self._unsynced.discard(path)


def _drained(queue: "SimpleQueue[_T]") -> list[_T]:
    items: list[_T] = []
    with suppress(Empty):
        while True:
            items.append(queue.get_nowait())
    return items
