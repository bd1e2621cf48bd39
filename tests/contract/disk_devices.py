"""The two devices that carry out the effects on segments and Maildirs, behind one face: the simulated disk, and the live runtime on a real directory."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sim.disk import Disk, Faults, Operation
from sim.disk.deposits import Deposits as SimulatedDeposits
from sim.disk.segments import Segments as SimulatedSegments
from smx.effects import AnyEffect, CommitDeposit, ListStore, MeasureSpace, OpenSegment, Read, Scan, Sync, SyncDirectory
from smx.events import AnyEvent
from smx.live.deposits import Deposits
from smx.live.disk import Disk as RealDisk
from smx.live.readers import Readers
from smx.live.runner import Runner
from smx.live.segments import Segments
from tests.live_runtime.puppet import Puppet, hosted

COMPLETED = (OpenSegment, Sync, SyncDirectory, ListStore, Scan, Read, MeasureSpace, CommitDeposit)  # each has exactly one event
CODES = {"no_space": errno.ENOSPC, "io": errno.EIO}


class Device(Protocol):
    """`root`: the directory below which everything lies. `failing`: a call (fallocate, write, read, sync, rename) -> no_space or io.

    `synced`: the directories that were synced, in order.
    """

    root: str
    failing: dict[str, str]
    synced: list[str]

    def make_directory(self, path: str) -> None:
        """With those above it, as a process that is dead now may have done."""
        ...

    def do(self, *effects: AnyEffect) -> list[AnyEvent]:
        """Carry effects out in order; the events that they caused, the failures of appends among them."""
        ...

    def files(self, path: str) -> dict[str, bytes]:
        """What lies below a path: relative name -> content."""
        ...


class SimulatedDevice:
    root = "/spool"

    def __init__(self) -> None:
        self.failing: dict[str, str] = {}
        self.synced: list[str] = []
        self.disk = Disk(faults=_Failing(self.failing))
        self.disk.on_operation = self._look
        for store in ("cdb", "ibdb"):
            self.disk.make_directories(f"{self.root}/{store}")
        self._segments = SimulatedSegments(self.disk, self.root)
        self._deposits = SimulatedDeposits(self.disk)

    def _look(self, operation: Operation) -> None:
        if operation.kind == "sync_directory":
            self.synced.append(operation.path)

    def make_directory(self, path: str) -> None:
        self.disk.make_directories(path)

    def do(self, *effects: AnyEffect) -> list[AnyEvent]:
        events: list[AnyEvent] = []
        for effect in effects:
            device = self._segments if self._segments.handles(effect) else self._deposits
            events += device.apply(effect)
        return events

    def files(self, path: str) -> dict[str, bytes]:
        return {file[len(path) + 1 :]: self.disk.content(number) for file, number in self.disk.walk(path)}


class _Failing(Faults):
    def __init__(self, failing: Mapping[str, str]) -> None:
        self._failing = failing

    def on_write(self, path: str, offset: int, octets: int) -> str | None:
        return self._failing.get("write")

    def on_read(self, path: str, offset: int, octets: int) -> str | None:
        return self._failing.get("read")

    def on_sync(self, path: str) -> str | None:
        kind = self._failing.get("sync")
        return "fail_clean" if kind == "io" else kind

    def on_name(self, kind: str, path: str) -> str | None:
        return self._failing.get(kind)


class LiveDevice:
    def __init__(self, root: str, puppet: Puppet, disk: "_FailingDisk") -> None:
        self.root = root
        self.failing = disk.failing
        self.synced = disk.synced
        self._puppet = puppet
        self._fence = 1_000_000
        self._heard = len(puppet.events)

    def make_directory(self, path: str) -> None:
        os.makedirs(path)

    def do(self, *effects: AnyEffect) -> list[AnyEvent]:
        """Fences in each store's queue say when all is done."""
        self._fence += 2
        fences = (MeasureSpace("cdb", self._fence), MeasureSpace("ibdb", self._fence + 1))
        awaited = sum(isinstance(effect, COMPLETED) for effect in effects) + len(fences)
        kinds = tuple(COMPLETIONS)
        before = len(self._puppet.seen(object, lambda event: type(event).__name__ in kinds))
        self._puppet.order(*effects, *fences)
        self._puppet.wait(object, before + awaited, lambda event: type(event).__name__ in kinds)
        events = self._puppet.events[self._heard :]
        self._heard = len(self._puppet.events)
        return [event for event in events if getattr(event, "request", 0) not in (self._fence, self._fence + 1)]

    def files(self, path: str) -> dict[str, bytes]:
        return {str(file.relative_to(path)): file.read_bytes() for file in sorted(Path(path).rglob("*")) if file.is_file()}


COMPLETIONS = """SegmentOpened OpenFailed Synced SyncFailed DirectorySynced Listed Scanned Readout ReadFailed SpaceMeasured Deposited DepositFailed""".split()


class _FailingDisk(RealDisk):
    def __init__(self) -> None:
        self.failing: dict[str, str] = {}
        self.synced: list[str] = []

    def _check(self, call: str) -> None:
        kind = self.failing.get(call)
        if kind is not None:
            raise OSError(CODES[kind], os.strerror(CODES[kind]))

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        self._check("write")
        return super().pwrite(descriptor, data, offset)

    def pread(self, descriptor: int, octets: int, offset: int) -> bytes:
        self._check("read")
        return os.pread(descriptor, octets, offset)

    def fsync(self, descriptor: int) -> None:
        self._check("sync")
        os.fsync(descriptor)

    def fdatasync(self, descriptor: int) -> None:
        self._check("sync")
        os.fdatasync(descriptor)

    def sync_directory(self, path: str) -> None:
        super().sync_directory(path)
        self.synced.append(path)

    def fallocate(self, descriptor: int, offset: int, octets: int) -> None:
        self._check("fallocate")
        os.posix_fallocate(descriptor, offset, octets)

    def rename(self, old: str, new: str) -> None:
        self._check("rename")
        os.rename(old, new)


@contextmanager
def live_device(root: Path) -> Iterator[LiveDevice]:
    for store in ("cdb", "ibdb"):
        (root / store).mkdir()
    disk = _FailingDisk()
    puppet = Puppet()

    def attach(runner: Runner) -> None:
        runner.attach(Segments(runner, ("cdb", "ibdb"), disk))
        runner.attach(Readers(runner, disk))
        runner.attach(Deposits(runner, disk))

    with hosted((puppet, attach), spool=str(root)):
        yield LiveDevice(str(root), puppet, disk)
