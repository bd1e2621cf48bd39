"""Machine: one computer of the simulated world: disk, clocks, processes, and what keeps MCP running as init does.

May happen      a power loss at any instant: every process is dropped, none of its code runs, the disk keeps what sim.disk says; after a while the
                power comes back and MCP starts from what the disk holds. A wall clock that jumps either way (F26), or stands still (F28).
Never happens   a step of a component after its death; an MCP beside another one, or beside children of an earlier one (they hold the spool's lock).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from simpy.resources.resource import Resource

from sim import stores
from sim.device import Device
from sim.dialogues import Dialogues
from sim.disk.errors import DiskError
from sim.disk.segments import make_spool
from sim.facts import Spoke
from sim.links import Link, Links
from sim.names import Names
from sim.process import Process
from sim.sockets import Sockets
from sim.strikes import DESCRIPTORS_OWN
from sim.supervision import Supervision, read_epoch, save_epoch
from sim.timers import Timers
from smx.component import Component
from smx.config.schema import Settings, process_settings
from smx.ids import next_epoch
from smx.mcp import plan
from smx.units import MILLISECOND, SECOND

if TYPE_CHECKING:
    from sim.disk import Disk
    from sim.environment import Handle
    from sim.world import World

INIT_RETRY_US: Final = 100 * MILLISECOND  # how often a starting MCP looks whether the lock of the spool is free
INIT_RESTART_US: Final = 1 * SECOND  # after an MCP that ended
CLOCK_CHECK_US: Final = 1 * SECOND
OFF_US: Final = 2 * SECOND
SEED_BITS: Final = 63
MCP: Final = "mcp"


class Machine:
    """`address`: its IP address. `disk` is another object after each power loss."""

    def __init__(self, world: World, settings: Settings, disk: Disk, address: str) -> None:
        scenario = world.scenario
        self.world = world
        self.settings = settings
        self.address = address
        self.spool = settings.spool
        self.disk = disk
        self.times = scenario.times
        self.wall_offset = scenario.wall_offset_us
        self.timer_grain_us = 0
        self.descriptors_max = 0  # of each process; 0: never exhausted
        self.forks_fail = 0  # so many of the next ones
        self.link_slow_us = 0
        self.cores = Resource(world.env, scenario.times.cores) if scenario.times.cores else None
        self.device = Device(world.env, world.choices.stream("disk-time"), scenario.times)
        self.processes: dict[str, Process] = {}
        self.links: list[Link] = []
        self.listeners: dict[str, tuple[str, int]] = {}
        self.on = False
        self.power_losses = 0
        self.last_epoch = 0
        self._stream = world.choices.stream("machine")
        self._parts: dict[str, bytes] = {}
        self._supervisions: list[Supervision] = []
        self._pid = 100
        self._stopped = False
        self._starting: Handle | None = None

    # --- power --------------------------------------------------------------------------------------------------------

    def install(self) -> None:
        """A new spool, durable."""
        make_spool(self.disk, self.spool)
        self.disk.make_directories(f"{self.spool}/mcp")
        self.disk.make_directories(self.settings.lda.maildirs.partition("%")[0].rstrip("/") or "/")
        self.disk.settle()

    def power_on(self) -> None:
        if self.on:
            return
        self.on = True
        self.device = Device(self.world.env, self.world.choices.stream("disk-time"), self.times)
        self.world.network.start_machine(self.address)
        self.world.trace.record(self.world.env.now, "machine", "power on")
        self.disk.on_operation = self.world.on_operation
        self.disk.on_fault = self.world.on_disk_fault
        if self.times.writeback_us:
            self.world.env.later(self.times.writeback_us, self._write_back, self.disk)
        self._init_later(0)

    def power_loss(self, off_us: int = OFF_US) -> None:
        """Now. Every process is gone with all that was not synced; the power comes back after `off_us`."""
        if not self.on:
            return
        self.on = False
        self.power_losses += 1
        world = self.world
        world.power_lost()
        for process in self.processes.values():
            process.vanish()
        self.processes.clear()
        self.links.clear()
        self._supervisions.clear()
        world.network.kill_machine(self.address)
        for host, port in self.listeners.values():
            if world.network.listens(host, port):
                world.network.unlisten(host, port)
        self.listeners.clear()
        self.disk.power_off()
        self.disk = world.survivor(self.disk)
        world.env.later(off_us, self.power_on)

    def _write_back(self, disk: Disk) -> None:
        """What the kernel does in the background, for this life of the machine."""
        if self.disk is disk:
            disk.settle()
            self.world.env.later(self.times.writeback_us, self._write_back, disk)

    def is_on(self, supervision: Supervision) -> bool:
        """Whether this life of the machine still goes on."""
        return supervision in self._supervisions

    # --- init ---------------------------------------------------------------------------------------------------------

    def _init(self) -> None:
        """Start MCP as soon as nobody holds the lock of the spool."""
        mcp = self.processes.get(MCP)
        if not self.on or self._stopped or (mcp is not None and mcp.alive):
            return
        if self.running:
            self._init_later(INIT_RETRY_US)
            return
        self._supervisions.clear()
        for host, port in self.listeners.values():  # nobody holds the sockets any more
            self.world.network.unlisten(host, port)
        self.listeners.clear()
        try:
            epoch = next_epoch(read_epoch(self.disk, self.spool), (self.world.env.now + self.wall_offset) // SECOND)
            save_epoch(self.disk, self.spool, epoch)
        except DiskError:
            self._init_later(INIT_RESTART_US)
            return
        process = self.make_process(MCP, epoch, ())
        process.on_end = self._mcp_ended
        process.start()

    def _init_later(self, after_us: int) -> None:
        """One start is due at a time."""
        if self._starting is not None:
            self._starting.cancel()
        self._starting = self.world.env.later(after_us, self._init)

    def _mcp_ended(self, process: Process, status: int) -> None:
        if not self._stopped:
            self._init_later(INIT_RESTART_US)

    def stop(self) -> None:
        """As `systemctl stop`: MCP ends everything in order and is not started again."""
        self._stopped = True
        mcp = self.processes.get(MCP)
        if mcp is not None and mcp.alive:
            mcp.stop(self.settings.mcp.stop_timeout_us * (2 * len(self.settings.order) + 1))

    def start(self) -> None:
        """After `stop`."""
        self._stopped = False
        if self.on:
            self._init_later(0)
        else:
            self.power_on()

    @property
    def running(self) -> bool:
        """Some process lives, or is about to."""
        return any(process.alive for process in self.processes.values()) or not all(supervision.empty for supervision in self._supervisions)

    # --- processes ----------------------------------------------------------------------------------------------------

    def make_process(self, name: str, epoch: int, listeners: tuple[str, ...]) -> Process:
        """With the devices that its kind has."""
        return self.adopt(self.world.make_component(name, self._settings_of(name)), epoch, listeners)

    def adopt(self, component: Component, epoch: int, listeners: tuple[str, ...] = ()) -> Process:
        """A process for this component."""
        process = Process(self, component, epoch, self._stream.below(1 << SEED_BITS))
        self.processes[process.name] = process
        process.attach(Timers(process))
        process.attach(Links(process))
        handed = tuple((listener, *self.listeners[listener]) for listener in listeners)
        match process.kind:
            case "mcp":
                supervision = Supervision(process)
                self._supervisions.append(supervision)
                process.attach(supervision)
            case "qmgr":
                stores.attach(process, ibdb=True)
            case "smar":
                process.attach(Names(process))
            case "smtps" | "smtpc":
                process.attach(Sockets(process, handed))
                stores.attach(process)
            case "lda":
                process.attach(Sockets(process, handed))
                stores.attach(process, deposits=True)
        self.world.born(process)
        if process.sockets is not None and self.world.truth.wants(Spoke):
            process.dialogues = Dialogues(process)
        return process

    def _settings_of(self, name: str) -> bytes:
        """Its part of the configuration, encoded once."""
        section = plan.section_of_process(name)
        octets = self._parts.get(section)
        if octets is None:
            part = self.settings if name == MCP else process_settings(self.settings, section)
            octets = self._parts[section] = msgspec.msgpack.encode(part)
        return octets

    @property
    def queue_held(self) -> bool:
        """A QMGR lives and holds the lock on the queue (F22)."""
        qmgr = self.processes.get("qmgr")
        return qmgr is not None and qmgr.alive

    def somebody_ended(self) -> None:
        self.links = [link for link in self.links if link.up]

    def next_pid(self) -> int:
        self._pid += 1
        return self._pid

    def new_link(self, one: Process, other: Process) -> Link:
        link = Link(self, one, other)
        self.links.append(link)
        return link

    def link_latency(self) -> int:
        times = self.times
        if times.link_max_us == times.link_min_us:
            return times.link_min_us + self.link_slow_us
        return self._stream.between(times.link_min_us, times.link_max_us) + self.link_slow_us

    def descriptors_free(self, process: Process) -> int:
        """-1: nobody counts them."""
        if not self.descriptors_max:
            return -1
        used = DESCRIPTORS_OWN + (len(process.sockets) if process.sockets is not None else 0)
        return max(self.descriptors_max - used, 0)

    # --- clocks -------------------------------------------------------------------------------------------------------

    def jump_clock(self, by_us: int) -> None:
        """The wall clock is set (F26). Processes see it within a second."""
        self.wall_offset += by_us
        self.world.env.later(CLOCK_CHECK_US, self._check_clocks)

    def stop_clock(self, for_us: int) -> None:
        """The clocks of all processes stand still (F28): timers wait, stamps repeat. Then they go on from there, and the wall clock is right at once."""
        for process in self.processes.values():
            if process.stopped_at < 0:
                process.stopped_at = process.now()
                process.watched = True
        self.world.env.later(for_us, self._go_on)

    def _go_on(self) -> None:
        for process in self.processes.values():
            if process.stopped_at >= 0:
                process.base = process.stopped_at - self.world.env.now
                process.stopped_at = -1
                process.watched = self.world.watching
        self.world.env.later(CLOCK_CHECK_US, self._check_clocks)

    def _check_clocks(self) -> None:
        for process in list(self.processes.values()):
            process.clock_changed()
