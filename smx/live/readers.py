"""Readers: Read and Scan of segments, whoever writes them.

Strategies  Up to READ_ON_LOOP_OCTETS are read on the loop: content that is delivered soon after it came is in the page cache. More goes through a
            thread of its own, so that it does not wait behind syncs. A few descriptors are kept, and closed when unused for a while, so that
            a removed segment gives its space back.
"""

import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from smx.config.schema import spool_path
from smx.effects import Read, Scan
from smx.events import AnyEvent, ReadFailed, Readout, Scanned
from smx.live.device import Orders
from smx.live.disk import Disk, reason
from smx.live.runner import Runner
from smx.live.segments import file_name
from smx.live.worker import Worker
from smx.units import KIB

READ_ON_LOOP_OCTETS: Final = 256 * KIB
DESCRIPTORS_MAX: Final = 32
IDLE_S: Final = 5.0
OPEN_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC


class Readers:
    """Carries out the effects that read. The cache of descriptors is used on the loop only; the thread opens its own."""

    def __init__(self, runner: Runner, disk: Disk | None = None) -> None:
        self._runner = runner
        self._disk = disk or Disk()
        self._worker = Worker(runner, "read")
        self._descriptors: OrderedDict[str, int] = OrderedDict()  # by path, the least recently used first
        self._used = False  # since the last sweep
        self._sweeping = False

    def orders(self) -> Orders:
        return {Read: self.read, Scan: self.scan}

    def close(self) -> None:
        self._worker.close()
        self._close_all()

    def read(self, effect: Read) -> None:
        def use(descriptor: int) -> AnyEvent:
            data = self._read_exactly(descriptor, effect.octets, effect.offset)
            if len(data) < effect.octets:
                return ReadFailed(effect.request, True, "the segment ends before")
            return Readout(effect.request, data)

        self._run(effect, use)

    def scan(self, effect: Scan) -> None:
        def use(descriptor: int) -> AnyEvent:
            data = self._read_exactly(descriptor, effect.octets, effect.offset)
            end = effect.offset + len(data) >= self._disk.size(descriptor)
            return Scanned(effect.store, effect.request, data, end)

        self._run(effect, use)

    def _run(self, effect: Read | Scan, use: Callable[[int], AnyEvent]) -> None:
        path = f"{spool_path(self._runner.spool, effect.store)}/{file_name(effect.store, effect.segment)}"
        if effect.octets > READ_ON_LOOP_OCTETS:
            self._worker.do(lambda: self._once(path, effect.request, use))
            return
        self._runner.deliver(_attempt(effect.request, lambda: use(self._kept(path))))

    def _once(self, path: str, request: int, use: Callable[[int], AnyEvent]) -> AnyEvent:
        def attempt() -> AnyEvent:
            descriptor = self._disk.open(path, OPEN_FLAGS)
            try:
                return use(descriptor)
            finally:
                self._disk.close(descriptor)

        return _attempt(request, attempt)

    def _read_exactly(self, descriptor: int, octets: int, offset: int) -> bytes:
        """`octets` from `offset`, fewer only at the end of the file."""
        data = self._disk.pread(descriptor, octets, offset)
        while 0 < len(data) < octets and (more := self._disk.pread(descriptor, octets - len(data), offset + len(data))):
            data += more
        return data

    def _kept(self, path: str) -> int:
        """A descriptor of the segment, from the cache when it is there."""
        self._used = True
        descriptor = self._descriptors.get(path)
        if descriptor is not None:
            self._descriptors.move_to_end(path)
            return descriptor
        descriptor = self._disk.open(path, OPEN_FLAGS)
        self._descriptors[path] = descriptor
        if len(self._descriptors) > DESCRIPTORS_MAX:
            self._disk.close(self._descriptors.popitem(last=False)[1])
        if not self._sweeping:
            self._sweeping = True
            self._runner.loop.call_later(IDLE_S, self._sweep)
        return descriptor

    def _sweep(self) -> None:
        """Close what nobody used; while reading goes on, only what was removed."""
        if not self._used:
            self._close_all()
            self._sweeping = False
            return
        self._used = False
        for path in [path for path, descriptor in self._descriptors.items() if not os.fstat(descriptor).st_nlink]:
            self._disk.close(self._descriptors.pop(path))
        self._runner.loop.call_later(IDLE_S, self._sweep)

    def _close_all(self) -> None:
        while self._descriptors:
            self._disk.close(self._descriptors.popitem()[1])


def _attempt(request: int, work: Callable[[], AnyEvent]) -> AnyEvent:
    try:
        return work()
    except FileNotFoundError:
        return ReadFailed(request, True, "no such segment")
    except OSError as error:
        return ReadFailed(request, False, reason(error))
