"""Deposits: messages on their way into Maildirs on the simulated disk, for one process: tmp/, sync, rename into new/, sync of the directory.

The steps, their order and what is left after a failure are those of the live runtime (tests/contract). Commits come in two halves, so that
those that wait together become one group. What the death of a process leaves in tmp/ stays there, as on a real disk.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from sim.disk.errors import DiskError
from sim.disk.filesystem import Disk
from smx.effects import CommitDeposit, DropDeposit, OpenDeposit, WriteDeposit
from smx.events import AnyEvent, Deposited, DepositFailed

PARTS: Final = ("tmp", "new", "cur")
MISSING: Final = ("missing", "not_directory")
SYNCS_ALONE: Final = 2  # of a commit that no other shares: the file and new/


class Deposit:
    """One message. `error`: the first that happened."""

    __slots__ = ("directory", "error", "file", "name", "number", "octets")

    def __init__(self, number: int, directory: str, name: str) -> None:
        self.number = number
        self.directory = directory
        self.name = name
        self.file = 0
        self.octets = 0
        self.error: DiskError | None = None

    @property
    def in_tmp(self) -> str:
        return f"{self.directory}/tmp/{self.name}"

    @property
    def in_new(self) -> str:
        return f"{self.directory}/new/{self.name}"


class Deposits:
    """Carries out the effects on Maildirs."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._open: dict[int, Deposit] = {}
        self._unsynced: dict[str, None] = {}  # directories that got new entries, or may have got them from a process that died
        self._sound: dict[str, None] = {}  # Maildirs that are complete, and directories whose names this process syncs

    def apply(self, effect: object) -> list[AnyEvent]:
        """Carry an effect out; CommitDeposit with all its steps, as a group of its own."""
        match effect:
            case OpenDeposit():
                self._begin(effect)
            case WriteDeposit():
                self._write(effect)
            case DropDeposit():
                self._discard(self._open.pop(effect.deposit))
            case CommitDeposit():
                begun = self.begin_commit(effect)
                return self.end_commit([begun]) if isinstance(begun, Deposit) else [begun]
            case _:
                raise KeyError(type(effect))
        return []

    def begin_commit(self, effect: CommitDeposit) -> Deposit | DepositFailed:
        """A deposit that waits for its steps, or the failure that it had before."""
        deposit = self._open.pop(effect.deposit)
        if deposit.error is not None:
            self._discard(deposit)
            return _failed(deposit, deposit.error)
        return deposit

    def end_commit(self, group: Sequence[Deposit]) -> list[AnyEvent]:
        """The steps of a group: sync each file, then directories that are new, rename all, sync each new/ once."""
        disk = self._disk
        for deposit in group:
            self._attempt([deposit], lambda deposit=deposit: self._sync_file(deposit))  # type: ignore[misc]
        for path in sorted(self._unsynced):
            self._attempt(group, lambda path=path: self._sync_made(path))  # type: ignore[misc]
        for deposit in group:
            self._attempt([deposit], lambda deposit=deposit: disk.rename(deposit.in_tmp, deposit.in_new))  # type: ignore[misc]
        for directory in sorted({deposit.directory for deposit in group}):
            members = [deposit for deposit in group if deposit.directory == directory]
            self._attempt(members, lambda directory=directory: disk.sync_directory(f"{directory}/new"))  # type: ignore[misc]
        return [self._outcome(deposit) for deposit in group]

    def syncs(self, group: Sequence[Deposit]) -> int:
        """How many syncs the commit of this group will ask for."""
        return len(group) + len(self._unsynced) + len({deposit.directory for deposit in group})

    def _begin(self, effect: OpenDeposit) -> None:
        deposit = self._open[effect.deposit] = Deposit(effect.deposit, effect.directory, effect.name)
        try:
            if effect.create and (effect.directory not in self._sound or not self._disk.is_directory(f"{effect.directory}/tmp")):
                self._make_maildir(effect.directory)
            deposit.file = self._disk.create(deposit.in_tmp)
        except DiskError as error:
            deposit.error = error

    def _write(self, effect: WriteDeposit) -> None:
        deposit = self._open[effect.deposit]
        if deposit.error is None:
            try:
                self._disk.write(deposit.file, deposit.octets, effect.data)
                deposit.octets += len(effect.data)
            except DiskError as error:
                deposit.error = error

    def _make_maildir(self, directory: str) -> None:
        """Whatever is missing of it. Its name, and those of the directories above it, are durable with the next commit."""
        missing: list[str] = []
        above: list[str] = []
        path = directory
        while path:
            (above if self._disk.is_directory(path) else missing).append(path)
            path = path.rpartition("/")[0]
        for path in [*reversed(missing), *(f"{directory}/{part}" for part in PARTS)]:
            if not self._disk.is_directory(path):
                self._disk.mkdir(path)
            self._unsynced[_parent(path)] = None
        for path in above:
            if path not in self._sound:
                self._unsynced[_parent(path)] = None
                self._sound[path] = None
        self._sound[directory] = None

    def _discard(self, deposit: Deposit) -> None:
        if deposit.file:
            self._remove(deposit.in_tmp)

    def _remove(self, path: str) -> None:
        """Of a deposit that comes to nothing; what cannot be removed from tmp/ is removed by the reader of the Maildir one day."""
        if self._disk.exists(path):
            try:
                self._disk.unlink(path)
            except DiskError:
                return

    def _attempt(self, deposits: Sequence[Deposit], work: Callable[[], None]) -> None:
        """Do something for those of the deposits that are still well; an error is theirs."""
        well = [deposit for deposit in deposits if deposit.error is None]
        if not well:
            return
        try:
            work()
        except DiskError as error:
            for deposit in well:
                deposit.error = error

    def _sync_file(self, deposit: Deposit) -> None:
        self._disk.sync(deposit.file)
        self._disk.close(deposit.file)

    def _sync_made(self, path: str) -> None:
        self._disk.sync_directory(path)
        self._unsynced.pop(path)

    def _outcome(self, deposit: Deposit) -> AnyEvent:
        if deposit.error is None:
            return Deposited(deposit.number)
        self._remove(deposit.in_tmp)
        self._remove(deposit.in_new)
        self._sound.pop(deposit.directory, None)
        return _failed(deposit, deposit.error)


def delivered(disk: Disk, directory: str) -> list[tuple[str, bytes]]:
    """What is in new/ of a Maildir: names and contents, in order of names. Of a survivor: what lasted."""
    return list(_messages(disk, f"{directory}/new"))


def _messages(disk: Disk, folder: str) -> Iterator[tuple[str, bytes]]:
    for path, number in disk.walk(folder):
        yield path.rpartition("/")[2], disk.content(number)


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def _failed(deposit: Deposit, error: DiskError) -> DepositFailed:
    return DepositFailed(deposit.number, error.no_space, error.reason, error.kind in MISSING)
