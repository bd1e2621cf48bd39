"""World: one run: a machine with the real MTA on it, the network and the DNS around it, clients and hosts, what goes wrong, and who judges it.

    outcome = World(scenario, Choices(seed)).run()

The order of a run: the machine is installed and switched on; strikes and clients come at their times; at `calm_at_us` every fault ends; when no
client has anything left to do and the queue is empty the run settles and ends, at the latest at `limit_us`. Then the checkers give their verdict.

For studies: `tamper` changes the effects of a process, `on_boundary` is called between any two effects, `mark` says that a rare state was
reached, `at` calls anything at any time, `when_idle` is asked when nothing is left to do (True: it has found something). What is outside
(clients, hosts, the truth) lives in no process and survives every crash.
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sim import costs, gauges
from sim.choices import Choices
from sim.disk import PERSONALITIES, Disk, DrawnFaults, Operation, PowerLoss
from sim.disk.faults import Faults
from sim.dns import ZoneTable
from sim.durability import Durability
from sim.environment import START, Environment
from sim.facts import POWER, Bound, Crashed, FaultEnded, FaultInjected, FaultsEnded, Leftovers, Ordered, QueueSeen, Sent250, Stopped
from sim.host import Machine
from sim.mailboxes import Mailboxes
from sim.names import MapTables
from sim.network import Network
from sim.observer import Violation
from sim.queue_tool import QueueTool
from sim.scenario import ADDRESS, Scenario
from sim.strikes import Strikes
from sim.trace import Trace
from sim.truth import Truth
from smx.component import Component
from smx.effects import AnyEffect, Note, Tell
from smx.events import AnyEvent, SyncFailed
from smx.factory import make_component
from smx.messages import Deliver, QueueRow
from smx.units import MILLISECOND, SECOND

if TYPE_CHECKING:
    from sim.process import Process

LOOK_US: Final = 1 * SECOND  # how often the world looks whether anything is left to do
LOOKS_A_SAMPLE: Final = 5
ASK_US: Final = 10 * MILLISECOND
ASK_TURNS_MAX: Final = 500
GARBAGE: Final = 50_000  # objects until a collection; Python's own 700 costs a tenth of the time
TIE_SEEDS: Final = 1 << 32
BUG: Final = "BUG"
FAILED_SYNCS: Final = ("F7", "F8")
FULL: Final = "F11"
RUNNING_FAULTS: Final = (*FAILED_SYNCS, "F9", "F10", FULL, "F13", "F16")  # of a disk that has power

Tamper = Callable[[str, AnyEffect], list[AnyEffect]]


class Outcome(msgspec.Struct, frozen=True):
    """Of a run. `figures`: numbers by name; `markers`: rare states that were reached; `bugs`: tracebacks of components that raised."""

    digest: str
    events: int
    violations: tuple[Violation, ...]
    figures: dict[str, float]
    markers: tuple[str, ...]
    bugs: tuple[str, ...] = ()
    ended_at_us: int = 0  # after the start
    finished: bool = True  # False: `limit_us` came first


class World:
    """One run. Attributes may be used by whoever prepares it: env, choices, trace, truth, network, zone, maps, machine."""

    def __init__(self, scenario: Scenario, choices: Choices, trace: Trace | None = None, truth: Truth | None = None, *, start: int = START) -> None:
        self.scenario = scenario
        self.choices = choices
        self.trace = trace or Trace()
        self.truth = truth if truth is not None else Truth()
        self.env = Environment(start, choices.stream("ties").below(TIE_SEEDS))
        self.started_at = self.env.now
        self.trace.started_at = self.env.now
        self.costs = costs.Costs(costs.load(), scenario.times.scale) if scenario.times.scale else None
        self.network = Network(self.env, choices.stream("network"), self.trace, scenario.weather)
        self.zone = ZoneTable(self.env, choices.stream("dns"), self.trace)
        self.maps = MapTables(self.env, choices.stream("maps"), {"smar.aliases": (), **scenario.maps})
        self.make_component: Callable[[str, bytes], Component] = make_component
        self.when_idle: Callable[[], bool] = bool
        self.markers: dict[str, None] = {}
        self.bugs: list[str] = []
        self.note_hooks: dict[str, list[Callable[[Process, Note], None]]] = {}
        self.calm = not scenario.calm_at_us
        self.ended_at = 0
        self.finished = False
        self._tamper: Tamper | None = None
        self._on_boundary: Callable[[str, AnyEffect], None] | None = None
        self.strikes = Strikes(self)
        self.watching = False
        self._serials = 0
        self._looks = 0
        self._samples = self.truth.wants(Bound)
        self._failed_sync = "F7"
        self._clients: list[Callable[[], bool]] = []
        self._on_calm: list[Callable[[], None]] = []
        self._reports_orders = self.truth.wants(Ordered)
        self._durability = Durability(self) if self.truth.wants(Sent250) else None
        self.machine = Machine(self, scenario.settings, self._make_disk(), ADDRESS)
        self.mailboxes = Mailboxes(self)
        self.queue_tool = QueueTool(self.machine)
        self.truth.configured(scenario.settings.qmgr, scenario.settings.mcp.restart_max_us, self.env.now)

    def _make_disk(self) -> Disk:
        scenario = self.scenario
        return Disk(PERSONALITIES[scenario.personality], self.choices.stream("listing"), capacity=scenario.disk_octets)

    def _disk_faults(self) -> Faults | None:
        per_mille = self.scenario.disk_faults
        if not per_mille or self.calm_now:
            return None
        return DrawnFaults(self.choices.stream("disk"), per_mille, self.scenario.settings.spool)

    @property
    def calm_now(self) -> bool:
        """The faults have ended."""
        return self.calm and bool(self.scenario.calm_at_us)

    # --- preparing ----------------------------------------------------------------------------------------------------

    def at(self, after_us: int, call: Callable[..., object], *arguments: Any) -> None:
        """Call so long after now; before the run: after the start."""
        self.env.later(after_us, call, *arguments)

    def add_client(self, is_done: Callable[[], bool]) -> None:
        """The run goes on until `is_done` says True."""
        self._clients.append(is_done)

    def at_calm(self, call: Callable[[], None]) -> None:
        """Call when the faults end: a host becomes well."""
        self._on_calm.append(call)

    def on_note(self, name: str, call: Callable[[Process, Note], None]) -> None:
        """Call at each note of this name, when it is carried out."""
        self.note_hooks.setdefault(name, []).append(call)

    def mark(self, name: str) -> None:
        """A rare state was reached."""
        self.markers.setdefault(name)

    def next_serial(self) -> int:
        self._serials += 1
        return self._serials

    @property
    def tamper(self) -> Tamper | None:
        """(process, effect) -> the effects that are carried out instead."""
        return self._tamper

    @tamper.setter
    def tamper(self, tamper: Tamper | None) -> None:
        self._tamper = tamper
        self.watch()

    @property
    def on_boundary(self) -> Callable[[str, AnyEffect], None] | None:
        """Called between any two effects, with the process and the effect that was carried out."""
        return self._on_boundary

    @on_boundary.setter
    def on_boundary(self, call: Callable[[str, AnyEffect], None] | None) -> None:
        self._on_boundary = call
        self.watch()

    def watch(self) -> None:
        """Decide whether somebody looks between the effects."""
        self.watching = self._tamper is not None or self._on_boundary is not None or self.strikes.counting
        for process in self.machine.processes.values():
            process.watched = self.watching or process.stopped_at >= 0

    # --- running ------------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """All of it."""
        thresholds = gc.get_threshold()
        gc.set_threshold(GARBAGE, *thresholds[1:])  # a run makes many values and few cycles
        try:
            self.begin()
            self.go_on(self.started_at + self.scenario.limit_us)
            return self.finish()
        finally:
            self.dispose()
            gc.set_threshold(*thresholds)

    def dispose(self) -> None:
        """Nobody needs the world any more. SQLite would keep it: an open database belongs to the library, not to Python's garbage collector."""
        for process in self.machine.processes.values():
            process.vanish()

    def begin(self) -> None:
        """Install, switch on, and make the strikes known."""
        self.machine.install()
        self.machine.disk.faults = self._disk_faults()
        self.machine.power_on()
        self.strikes.begin()
        if self.scenario.calm_at_us:
            self.env.later(self.scenario.calm_at_us, self.end_faults)
        self.env.later(LOOK_US, self._look)

    def go_on(self, until: int) -> None:
        """Let time pass, up to this instant or the end of the run. A power loss inside an operation of the disk is caught here."""
        while True:
            try:
                self.env.run(until)
                return
            except PowerLoss:
                self.mark("power failed inside an operation")
                self.machine.power_loss()

    def end_faults(self) -> None:
        """The liveness phase: everything outside is well from now on."""
        if self.calm_now:
            return
        self.calm = True
        self.trace.record(self.env.now, "world", "faults end")
        self.strikes.end()
        self.network.calm()
        self.zone.calm()
        self.maps.calm()
        self.machine.device.calm()
        self.machine.disk.faults = None
        self.machine.disk.occupied = 0
        self.machine.link_slow_us = self.machine.timer_grain_us = 0
        self.machine.descriptors_max = self.machine.forks_fail = 0
        for call in self._on_calm:
            call()
        self.truth.observe(FaultsEnded(self.env.now))

    def _look(self) -> None:
        """Is anything left to do?"""
        self._looks += 1
        if self._samples and self._looks % LOOKS_A_SAMPLE == 0:
            self._sample()
        if self.calm and all(is_done() for is_done in self._clients) and self.machine.on and self.queue_tool.is_empty() and not self.when_idle():
            self.finished = True
            self.ended_at = self.env.now
            self.env.later(self.scenario.settle_us, self.env.stop)
        else:
            self.env.later(LOOK_US, self._look)

    def _sample(self) -> None:
        """What is bounded, as it is now (I16)."""
        for bound in gauges.look(self):
            self.truth.observe(bound)

    def finish(self) -> Outcome:
        """What is left is reported, and the checkers decide."""
        now = self.env.now
        self.mailboxes.scan(self.machine.disk)
        if self.truth.wants(QueueSeen) and (rows := self._ask_queue()) is not None:
            self.truth.observe(QueueSeen(now, rows))
        if self.truth.wants(Leftovers):
            self._report_leftovers(now)
        violations = list(self.truth.finish(now))
        violations += [Violation(BUG, "no component raises an exception", now, bug.strip().rpartition("\n")[2], ()) for bug in self.bugs]
        return Outcome(
            digest=self.trace.digest,
            events=self.trace.events,
            violations=tuple(violations),
            figures=self.figures(),
            markers=tuple(sorted(self.markers)),
            bugs=tuple(self.bugs),
            ended_at_us=(self.ended_at or now) - self.started_at,
            finished=self.finished,
        )

    def _ask_queue(self) -> tuple[QueueRow, ...] | None:
        """All that is queued; None when QMGR does not say so in time."""
        self.queue_tool.begin_listing()
        for _ in range(ASK_TURNS_MAX):
            rows = self.queue_tool.listing()
            if rows is not None:
                return rows
            self.go_on(self.env.now + ASK_US)
        return None

    def _report_leftovers(self, now: int) -> None:
        machine = self.machine
        writers = [process for process in machine.processes.values() if process.alive and process.kind in ("smtps", "qmgr")]
        files = tuple(path.rpartition("/")[2] for path, _ in machine.disk.walk(f"{machine.spool}/cdb"))
        self.truth.observe(Leftovers(now, files, tuple(process.epoch for process in writers)))

    def figures(self) -> dict[str, float]:
        """Numbers of the run until now."""
        machine = self.machine
        return {
            "seconds": (self.env.now - self.started_at) / SECOND,
            "calls": self.env.calls,
            "syncs": machine.device.syncs,
            "disk_operations": machine.disk.operations,
            "power_losses": machine.power_losses,
            "connections": self.network.counts.connections,
        }

    # --- what processes and devices say -------------------------------------------------------------------------------

    def tampered(self, process: str, effect: AnyEffect) -> list[AnyEffect]:
        return [effect] if self._tamper is None else self._tamper(process, effect)

    def between(self, process: Process, effect: AnyEffect) -> None:
        """An effect was carried out, the next one was not."""
        if self._on_boundary is not None:
            self._on_boundary(process.name, effect)
        if self.strikes.counting:
            self.strikes.count(process)

    def noted(self, process: Process, effect: Note) -> None:
        for hook in self.note_hooks[effect.name]:
            hook(process, effect)

    def born(self, process: Process) -> None:
        """A process was made."""
        self.trace.record(self.env.now, process.name, "begins", process.epoch)
        if process.kind == "qmgr" and self._reports_orders:
            process.overhear(Tell, self._on_tell)
        self.strikes.born(process)

    def _on_tell(self, effect: Tell) -> None:
        message = effect.message
        if type(message) is Deliver:
            qmgr = self.machine.processes["qmgr"]
            indices = tuple(recipient.index for recipient in message.recipients)
            self.truth.observe(Ordered(self.env.now, qmgr.epoch, message.delivery, message.transaction, message.route.destination, indices))

    def process_ended(self, process: Process, status: int, how: str) -> None:
        self.trace.record(self.env.now, process.name, "ends", (status, how))
        if how:
            self.truth.observe(Crashed(self.env.now, process.name, process.epoch, how, process.poisoned_by))
        else:
            self.truth.observe(Stopped(self.env.now, process.name, process.epoch))

    def power_lost(self) -> None:
        self.trace.record(self.env.now, "machine", "power loss")
        self.truth.observe(Crashed(self.env.now, POWER, 0, "power"))

    def survivor(self, disk: Disk) -> Disk:
        """What the power loss left."""
        left = disk.survivor(self.choices.stream("crash"))
        left.faults = self._disk_faults()
        left.occupied = disk.occupied
        self.trace.record(self.env.now, "disk", "survivor", left.digest())
        self.mailboxes.scan(left)
        return left

    def bug(self, process: Process, error: Exception, event: AnyEvent) -> None:
        """A component raised: that is always a violation."""
        text = "".join(traceback.format_exception(error))
        self.bugs.append(f"{process.name} at {type(event).__name__}\n{text}")

    def sync_failed(self, process: Process, event: SyncFailed) -> None:
        """The component is told so now."""
        self.truth.observe(FaultInjected(self.env.now, self._failed_sync, event.reason, event.store, process.name, process.epoch))

    def on_operation(self, operation: Operation) -> None:
        self.trace.record(self.env.now, "disk", operation.kind, (operation.path, operation.offset, operation.octets))

    def on_disk_fault(self, fault: str, text: str) -> None:
        self.trace.record(self.env.now, "disk", fault, text)
        self.mark(f"{fault} happened")
        if fault in FAILED_SYNCS:
            self._failed_sync = fault
        if fault in RUNNING_FAULTS:
            self.truth.observe(FaultInjected(self.env.now, fault, text))
            if fault == FULL:  # it was one operation: the disk is not full
                self.truth.observe(FaultEnded(self.env.now, fault))

    def fault(self, fault: str, text: str, place: str = "") -> None:
        """A fault was injected by the world."""
        self.trace.record(self.env.now, "fault", fault, text)
        self.truth.observe(FaultInjected(self.env.now, fault, text, place))

    def fault_over(self, fault: str, place: str = "") -> None:
        self.trace.record(self.env.now, "fault", f"{fault} over", place)
        self.truth.observe(FaultEnded(self.env.now, fault, place))


def run(scenario: Scenario, seed: int = 0, prepare: Callable[[World], None] | None = None) -> Outcome:
    """One run of a scenario with a seed. `prepare`: adds clients and hosts to the world."""
    world = World(scenario, Choices(seed))
    if prepare is not None:
        prepare(world)
    return world.run()
