"""Stores: the effects on segments, DEFEDB and Maildirs of one process, carried out on the simulated disk and given their time.

Reads and appends go to the page cache: at once. What waits for the device goes, as live, through one queue for each store of a process: syncs, and
what must stay in order with them (removals, lists). A sync covers what was appended before its effect, and no more; while it is under way the
next group forms. A full or broken disk answers as sim.disk says; an error for which the contract has no event ends the process, as live.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from sim.disk.database import Database
from sim.disk.deposits import Deposit, Deposits
from sim.disk.errors import PowerLoss
from sim.disk.segments import Segments
from sim.environment import Channel
from sim.process import DEVICE_ERRORS, IN_ORDER, Orders, Process
from smx.effects import (
    Append,
    Census,
    CommitDeposit,
    DropDeposit,
    Effect,
    Fetch,
    Find,
    ListStore,
    MeasureSpace,
    OpenDeposit,
    OpenSegment,
    Read,
    Remove,
    Scan,
    Seal,
    Store,
    Sync,
    SyncDirectory,
    WriteDeposit,
)
from smx.events import AnyEvent, Deposited, SpaceMeasured, SyncFailed
from smx.units import MIB

CACHED_SCAN_US: Final = 20

Finish = Callable[[Any], Iterable[AnyEvent]]  # ends a job: gives its events
Begin = Callable[[Any], tuple[int, Finish, Any]]  # begins a job: the syncs it costs, what ends it, and with what


class Worker:
    """One queue of work for the device, first in, first out. A job says how many syncs it costs, and gives the events of its end."""

    __slots__ = ("_jobs", "_process", "_running")

    def __init__(self, process: Process) -> None:
        self._process = process
        self._jobs: deque[tuple[Begin, Any]] = deque()
        self._running = False

    def do(self, begin: Begin, argument: Any) -> None:
        """`begin` is called when it is the job's turn: (syncs, what ends it, with what). Without syncs it ends at once."""
        if self._running:
            self._jobs.append((begin, argument))
        else:
            self._start(begin, argument)

    @property
    def idle(self) -> bool:
        return not self._running

    def _start(self, begin: Begin, argument: Any) -> None:
        self._running = True
        while True:
            syncs, finish, what = begin(argument)
            if syncs:
                self._process.machine.device.work(syncs, self._end, finish, what)
                return
            self._say(finish(what))
            if not self._jobs or not self._process.alive:
                break
            begin, argument = self._jobs.popleft()
        self._running = False

    def _end(self, finish: Finish, what: Any) -> None:
        process = self._process
        if not process.alive:
            return
        try:
            self._say(finish(what))
        except DEVICE_ERRORS as error:
            process.device_failed(error)
        if self._jobs and process.alive:
            begin, argument = self._jobs.popleft()
            try:
                self._start(begin, argument)
            except DEVICE_ERRORS as error:
                process.device_failed(error)
        else:
            self._running = False

    def _say(self, events: Iterable[AnyEvent]) -> None:
        deliver = self._process.deliver
        for event in events:
            deliver(event)


class SegmentStores:
    """IBDB and CDB, as one process sees them."""

    def __init__(self, process: Process) -> None:
        machine = process.machine
        self._process = process
        self._machine = machine
        self._segments = Segments(machine.disk, machine.spool)
        self._apply = self._segments.apply
        self._deliver = process.deliver
        self._workers: dict[str, Worker] = {}
        self._scans = Channel("scans")

    def orders(self) -> Orders:
        return {
            Append: self._at_once,
            OpenSegment: self._at_once,
            Read: self._at_once,
            Scan: self._scan,
            Seal: self._at_once,
            Sync: self._sync,
            SyncDirectory: self._sync,
            Remove: self._in_turn,
            ListStore: self._in_turn,
            MeasureSpace: self._measure,
        }

    def died(self, how: str) -> None:
        self._workers.clear()

    def _at_once(self, effect: Effect) -> None:
        for event in self._apply(effect):
            self._deliver(event)

    def _scan(self, effect: Scan) -> None:
        """A reading of recovery: it waits for the device."""
        events = self._apply(effect)
        octets = sum(len(event.data) for event in events if hasattr(event, "data"))
        delay = CACHED_SCAN_US + octets * self._machine.times.scan_us_per_mib // MIB
        self._machine.world.env.after(self._scans, delay, self._say, events)

    def _say(self, events: Iterable[AnyEvent]) -> None:
        for event in events:
            self._deliver(event)

    def _worker(self, store: str) -> Worker:
        worker = self._workers.get(store)
        if worker is None:
            worker = self._workers[store] = Worker(self._process)
        return worker

    def _sync(self, effect: Sync | SyncDirectory) -> None:
        ticket = self._segments.begin_sync(effect)
        self._worker(effect.store).do(self._begin_sync, (len(effect.segments) if type(effect) is Sync else 1, ticket))

    def _begin_sync(self, job: tuple[int, Any]) -> tuple[int, Finish, Any]:
        return max(job[0], 1), self._end_sync, job[1]

    def _end_sync(self, ticket: Any) -> Iterable[AnyEvent]:
        event = self._segments.end_sync(ticket)
        if type(event) is SyncFailed:
            self._machine.world.sync_failed(self._process, event)
        return (event,)

    def _in_turn(self, effect: Effect) -> None:
        self._worker(effect.store).do(self._begin_apply, effect)  # type: ignore[attr-defined]

    def _begin_apply(self, effect: Effect) -> tuple[int, Finish, Any]:
        return 0, self._apply, effect

    def _measure(self, effect: MeasureSpace) -> None:
        self._worker(effect.store).do(self._begin_measure, effect)

    def _begin_measure(self, effect: MeasureSpace) -> tuple[int, Finish, Any]:
        return 0, self._measured, effect

    def _measured(self, effect: MeasureSpace) -> Iterable[AnyEvent]:
        free = self._machine.descriptors_free(self._process)
        for event in self._apply(effect):
            yield msgspec.structs.replace(event, descriptors_free=free) if type(event) is SpaceMeasured else event


class Defedb:
    """The database of deferred mail: the real one, on this disk. Its commits take the time of the syncs that they made."""

    def __init__(self, process: Process) -> None:
        machine = process.machine
        self._database = Database(machine.disk, machine.spool)
        self._worker = Worker(process)

    def orders(self) -> Orders:
        return dict.fromkeys((Store, Fetch, Find, Census), self._perform)

    def died(self, how: str) -> None:
        if how != IN_ORDER:
            self._database.abandon()
            return
        try:
            self._database.close()
        except PowerLoss:
            self._database.abandon()
            raise

    def _perform(self, effect: Store | Fetch | Find | Census) -> None:
        self._worker.do(self._begin, effect)

    def _begin(self, effect: Store | Fetch | Find | Census) -> tuple[int, Finish, Any]:
        events = self._database.apply(effect)
        return self._database.syncs_done, _same, events


class Maildirs:
    """Deposits of the LDA. Commits that come while one is under way form the next group."""

    def __init__(self, process: Process) -> None:
        machine = process.machine
        self._process = process
        self._world = machine.world
        self._machine = machine
        self._deposits = Deposits(machine.disk)
        self._worker = Worker(process)
        self._waiting: list[CommitDeposit] = []
        self._places: dict[int, tuple[str, str]] = {}

    def orders(self) -> Orders:
        return {OpenDeposit: self._open, WriteDeposit: self._apply, DropDeposit: self._drop, CommitDeposit: self._commit}

    def died(self, how: str) -> None:
        self._waiting.clear()

    def _apply(self, effect: Effect) -> None:
        for event in self._deposits.apply(effect):
            self._process.deliver(event)

    def _open(self, effect: OpenDeposit) -> None:
        self._places[effect.deposit] = (effect.directory, effect.name)
        self._apply(effect)

    def _drop(self, effect: DropDeposit) -> None:
        self._places.pop(effect.deposit, None)
        self._apply(effect)

    def _commit(self, effect: CommitDeposit) -> None:
        self._waiting.append(effect)
        if len(self._waiting) == 1:
            self._worker.do(self._begin, None)

    def _begin(self, _: None) -> tuple[int, Finish, Any]:
        waiting, self._waiting = self._waiting, []
        group: list[Deposit] = []
        failed: list[AnyEvent] = []
        for effect in waiting:
            begun = self._deposits.begin_commit(effect)
            if isinstance(begun, Deposit):
                group.append(begun)
            else:
                failed.append(begun)
        return self._deposits.syncs(group) if group else 0, self._end, (group, failed)

    def _end(self, ended: tuple[list[Deposit], list[AnyEvent]]) -> Iterable[AnyEvent]:
        group, failed = ended
        for event in [*failed, *(self._deposits.end_commit(group) if group else ())]:
            place = self._places.pop(event.deposit, None)
            if type(event) is Deposited and place is not None:
                self._world.mailboxes.deposited(*place)
            yield event


def _same(events: Iterable[AnyEvent]) -> Iterable[AnyEvent]:
    return events


def attach(process: Process, *, ibdb: bool = False, deposits: bool = False) -> None:
    """The stores that a process of this kind has."""
    if deposits:
        process.attach(Maildirs(process))
        return
    process.attach(SegmentStores(process))
    if ibdb:
        process.attach(Defedb(process))
