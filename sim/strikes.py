"""Strikes: carries the faults of a scenario out, each at its time, behind a note, or on the boundary behind an exact effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sim.facts import FaultInjected
from sim.poison import Poison
from sim.scenario import Strike
from smx.effects import Note
from smx.units import SECOND

if TYPE_CHECKING:
    from sim.process import Process
    from sim.world import World

DESCRIPTORS_OWN: Final = 16  # of a process, beside its connections
STRAY_QMGR: Final = "second qmgr"


class Strikes:
    """`counting`: a strike waits for an exact effect, so somebody has to look between them."""

    def __init__(self, world: World) -> None:
        self.counting = False
        self._world = world
        self._armed: list[tuple[Strike, list[int]]] = []  # with the effects that are left
        self._ended = False
        self._noted: Note | None = None  # what the strike that strikes now waited for
        self._poisons: list[Poison] = []
        self._carry: dict[str, Callable[[Strike], None]] = {
            "power": self._power,
            "kill": self._kill,
            "pause": self._pause,
            "stop_mta": self._stop_mta,
            "jump": self._jump,
            "freeze": self._freeze,
            "coalesce": self._coalesce,
            "stall": self._stall,
            "full": self._full,
            "cut_link": self._cut_link,
            "slow_link": self._slow_link,
            "descriptors": self._descriptors,
            "no_fork": self._no_fork,
            "second_qmgr": self._second_qmgr,
            "partition": self._partition,
            "break_map": self._break_map,
            "poison": self._poison,
            "cut_disk": self._cut_disk,
        }

    def begin(self) -> None:
        """Make the strikes of the scenario known to clock and notes."""
        for strike in self._world.scenario.strikes:
            assert strike.kind in self._carry, f"no such strike: {strike.kind}"
            if strike.note:
                self._await_note(strike)
            else:
                self._world.env.later(strike.at_us, self._due, strike)
        self._look()

    def end(self) -> None:
        """The faults have ended: what has not struck yet never will."""
        self._ended = True
        self._armed.clear()
        for poison in self._poisons:
            poison.cure()
        self._look()

    def strike(self, strike: Strike, note: Note | None = None) -> None:
        """Now. `note`: what it waited for."""
        self._noted = note
        self._world.trace.record(self._world.env.now, "strike", strike.kind, (strike.target, strike.amount))
        self._world.mark(f"strike {strike.kind}")
        self._carry[strike.kind](strike)

    # --- when ---------------------------------------------------------------------------------------------------------

    def _await_note(self, strike: Strike) -> None:
        seen = [0]

        def hook(process: Process, note: Note) -> None:
            if self._ended or (strike.by and process.name != strike.by):
                return
            seen[0] += 1
            if seen[0] != strike.nth:
                return
            if strike.at_us or strike.effects < 0:
                self._world.env.later(strike.at_us, self._due, strike, note)
            else:
                self._arm(strike)

        self._world.on_note(strike.note, hook)

    def _due(self, strike: Strike, note: Note | None = None) -> None:
        if self._ended:
            return
        if strike.effects < 0:
            self.strike(strike, note)
        else:
            self._arm(strike)

    def _arm(self, strike: Strike) -> None:
        self._armed.append((strike, [strike.effects]))
        self._look()

    def _look(self) -> None:
        self.counting = bool(self._armed)
        self._world.watch()

    def count(self, process: Process) -> None:
        """An effect of this process was carried out. A strike may have others carried out, so that this is called within itself."""
        for armed in list(self._armed):
            strike, left = armed
            if left[0] < 0 or (strike.by and strike.by != process.name):
                continue
            left[0] -= 1
            if left[0] < 0:
                self._armed = [other for other in self._armed if other is not armed]
                self._look()
                self.strike(strike)

    # --- what ---------------------------------------------------------------------------------------------------------

    def _power(self, strike: Strike) -> None:
        machine = self._world.machine
        if not machine.on:
            return
        self._mark_recovery()
        machine.power_loss(strike.amount or 2 * SECOND)

    def _kill(self, strike: Strike) -> None:
        process = self._world.machine.processes.get(strike.target)
        if process is not None and process.alive:
            self._world.trace.record(self._world.env.now, "fault", "F17", process.name)
            if process.name == "qmgr":
                self._mark_recovery()
            process.kill()

    def _mark_recovery(self) -> None:
        qmgr = self._world.machine.processes.get("qmgr")
        if qmgr is not None and qmgr.alive and not qmgr.ready:
            self._world.mark("crash in recovery")

    def _pause(self, strike: Strike) -> None:
        process = self._world.machine.processes.get(strike.target)
        if process is not None and process.alive:
            self._world.fault("F20", f"{process.name} gets no CPU for {strike.amount} us")
            process.pause(strike.amount)

    def _stop_mta(self, strike: Strike) -> None:
        machine = self._world.machine
        machine.stop()
        self._world.env.later(strike.amount, self._start_again)

    def _start_again(self) -> None:
        if self._world.machine.running:
            self._world.env.later(SECOND, self._start_again)
        else:
            self._world.machine.start()

    def _jump(self, strike: Strike) -> None:
        self._world.fault("F26", f"the wall clock jumps by {strike.amount} us")
        self._world.machine.jump_clock(strike.amount)

    def _freeze(self, strike: Strike) -> None:
        self._world.fault("F28", f"the clocks stand still for {strike.amount} us")
        self._world.machine.stop_clock(strike.amount)

    def _coalesce(self, strike: Strike) -> None:
        self._world.fault("F27", f"timers are rounded up to {strike.amount} us")
        self._world.machine.timer_grain_us = strike.amount

    def _stall(self, strike: Strike) -> None:
        self._world.fault("F12", f"no sync ends for {strike.amount} us", self._world.machine.spool)
        self._world.machine.device.stall(strike.amount)
        self._world.env.later(strike.amount, self._world.fault_over, "F12", self._world.machine.spool)

    def _full(self, strike: Strike) -> None:
        disk = self._world.machine.disk
        self._world.fault("F11", "the disk is full", self._world.machine.spool)
        disk.occupied += disk.free_octets
        self._world.env.later(strike.amount, self._not_full)

    def _not_full(self) -> None:
        self._world.machine.disk.occupied = 0
        self._world.fault_over("F11", self._world.machine.spool)

    def _cut_link(self, strike: Strike) -> None:
        ends = strike.target.split()
        for link in list(self._world.machine.links):
            if link.up and (not ends or sorted(ends) == sorted((link.one.owner.name, link.other.owner.name))):
                names = f"{link.one.owner.name} {link.other.owner.name}"
                self._world.fault("F24", f"the link {names} breaks", names)
                if link.one.sent or link.other.sent:
                    self._world.mark("frames lost with a link")
                link.cut()

    def _slow_link(self, strike: Strike) -> None:
        self._world.fault("F24", f"frames take {strike.amount} us longer")
        self._world.machine.link_slow_us = strike.amount

    def _descriptors(self, strike: Strike) -> None:
        amount = strike.amount
        if amount:  # what is open stays open
            amount = max(amount, *(DESCRIPTORS_OWN + len(process.sockets or ()) for process in self._world.machine.processes.values()), 0)
        self._world.fault("F21", f"{amount} descriptors a process")
        self._world.machine.descriptors_max = amount

    def _no_fork(self, strike: Strike) -> None:
        self._world.fault("F21", f"{strike.amount} forks fail")
        self._world.machine.forks_fail = strike.amount

    def _second_qmgr(self, strike: Strike) -> None:
        machine = self._world.machine
        self._world.fault("F22", "a second QMGR is started")
        if machine.queue_held:
            self._world.trace.record(self._world.env.now, STRAY_QMGR, "refused", "the queue is in use")
            self._world.mark("second QMGR refused")

    def _partition(self, strike: Strike) -> None:
        hosts = tuple(strike.target.split())
        for host in hosts:
            self._world.truth.observe(FaultInjected(self._world.env.now, "F38", "partition", host))
        self._world.network.partition(hosts)
        if strike.amount:
            self._world.env.later(strike.amount, self._heal, hosts)

    def _heal(self, hosts: tuple[str, ...]) -> None:
        self._world.network.heal(hosts)
        for host in hosts:
            self._world.fault_over("F38", host)

    def _break_map(self, strike: Strike) -> None:
        self._world.fault("F21", f"the map {strike.target} cannot be read")
        self._world.maps.break_map(strike.target)
        self._world.env.later(strike.amount, self._world.maps.calm)

    def _poison(self, strike: Strike) -> None:
        assert self._noted is not None and self._noted.name == "submitted", "a poison waits for the note `submitted`"
        poison = Poison(strike.target, self._noted.values[0], strike.amount)
        self._poisons.append(poison)
        for process in self._world.machine.processes.values():
            poison.infect(process)

    def born(self, process: Process) -> None:
        """A process was made: what is poisoned will kill it too."""
        for poison in self._poisons:
            poison.infect(process)

    def _cut_disk(self, strike: Strike) -> None:
        disk = self._world.machine.disk
        disk.cut_at(disk.operations + max(strike.amount, 1))
