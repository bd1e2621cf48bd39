"""MCP: the supervisor as a step machine. It starts what the configuration names, restarts what dies, stops in order; it never touches mail.

Job
    Bind every listening socket (the only act that may need root, SX02, SX03), give each launch an epoch that is durable before it (A11),
    start the sections in the reverse order of the file (SX06), keep them running (SX04, SX05), stop them in the order of the file.
State
    BINDING -> STARTING -> SERVING -> STOPPING, and for each process the states of `smx.mcp.process`.
Events and effects
    Started: Bind all. Bound/BindFailed: the first launches, or Halt with every reason. EpochSaved: Launch. Launched, Ready: on to the next
    section. Exited, LaunchFailed: back-off, dependants. Expired: a wait is over. StopRequested: TERM, later KILL, then Halt.
    QMGR is told ProcessGone for every process that ended, so that it may free the content that nobody writes any more (A3).
Strategies
    After each event one function, `_advance`, launches whatever nothing forbids; no event carries a plan of its own, so a lost or late
    step cannot leave the plan half done. A start waits for Ready where start_action says so, but never longer than start_timeout (SX07):
    an order that is bad for the processes slows the start and still converges. A process that died waits restart_min, twice as long after
    each further death up to restart_max (F19). When it has dependants these are ended, it starts only when every one of them is known
    dead (F22), and they start when it serves again.
    A process that is not ready in time is ended and started again, except QMGR: its recovery takes as long as its log is, and to end it
    would only begin it anew (F18).
Invariants
    Never two of one process. No QMGR beside a dependant of an earlier QMGR. Epochs rise with every launch (I8).
Failures
    A socket that cannot be bound ends MCP before anything runs. A process that survives KILL is left behind when MCP stops; it holds the
    lock of the spool, so that no other MCP can start beside it.
See also
    smx/mcp/plan.py (what runs), smx/mcp/process.py (one process), smx/live/supervisor.py (the runtime).
"""

from collections import deque
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Final

from smx.config.schema import Settings
from smx.effects import AnyEffect, Arm, Bind, Halt, Launch, Note, SaveEpoch, Signal, Tell
from smx.events import (
    AnyEvent,
    BindFailed,
    Bound,
    ClockJumped,
    EpochSaved,
    Exited,
    Expired,
    Launched,
    LaunchFailed,
    Linked,
    Ready,
    Started,
    StopRequested,
    Unlinked,
)
from smx.ids import next_epoch
from smx.mcp import plan
from smx.mcp.process import Process, State
from smx.messages import ProcessGone
from smx.units import SECOND

GONE_MAX: Final = 1_024  # dead processes remembered for QMGR; content of older ones is freed at QMGR's next start
TIMER_RESTART: Final = "restart"
TIMER_READY: Final = "ready"
TIMER_END: Final = "end"
TIMER_SECTION: Final = "section"


class Phase(IntEnum):
    BINDING = 0
    STARTING = 1
    SERVING = 2
    STOPPING = 3
    HALTED = 4


class Mcp:
    """The supervisor's machine. `Started.epoch` is MCP's own, already durable."""

    name: Final = "mcp"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.mcp
        self._listeners = {listener.name: listener for listener in plan.listeners(settings)}
        self._sections = plan.sections(settings)
        self._processes: dict[str, Process] = {}
        self._members: tuple[list[Process], ...] = tuple([] for _ in self._sections)
        for place, section in enumerate(self._sections):
            for name in section.processes:
                process = Process(name, len(self._processes), place)
                self._processes[name] = process
                self._members[place].append(process)
        self._numbered = list(self._processes.values())
        self._phase = Phase.BINDING
        self._unbound = dict.fromkeys(self._listeners)
        self._bind_failures: list[str] = []
        self._cursor = 0  # sections before and at it may be launched
        self._section_timed = -1  # the section whose wait is being timed
        self._stop_timeout_us = self._settings.stop_timeout_us
        self._own_epoch = 0
        self._epoch = 0  # the last one given
        self._wall_offset = 0
        self._saving: dict[int, Process] = {}
        self._qmgr_epoch = 0  # of the linked QMGR, 0: no link
        self._gone: deque[ProcessGone] = deque(maxlen=GONE_MAX)
        self._effects: list[AnyEffect] = []
        self._handlers: dict[type, Callable[..., None]] = {
            Started: self._on_started,
            ClockJumped: self._on_clock_jumped,
            StopRequested: self._on_stop_requested,
            Bound: self._on_bound,
            BindFailed: self._on_bind_failed,
            EpochSaved: self._on_epoch_saved,
            Launched: self._on_launched,
            LaunchFailed: self._on_launch_failed,
            Ready: self._on_ready,
            Exited: self._on_exited,
            Expired: self._on_expired,
            Linked: self._on_linked,
            Unlinked: self._on_unlinked,
        }

    def step(self, event: AnyEvent, now: int) -> list[AnyEffect]:
        effects = self._effects = []
        handler = self._handlers.get(type(event))
        if handler is not None and self._phase is not Phase.HALTED:
            handler(event, now)
            self._advance(now)
        return effects

    # --- the sockets ------------------------------------------------------------------------------------------------

    def _on_started(self, event: Started, now: int) -> None:
        self._own_epoch = self._epoch = event.epoch
        self._wall_offset = event.wall_offset
        self._note("started", event.epoch)
        for listener in self._listeners.values():
            self._effects.append(Bind(listener.name, listener.host, listener.port, listener.mode))
        if not self._unbound:
            self._phase = Phase.STARTING

    def _on_clock_jumped(self, event: ClockJumped, now: int) -> None:
        self._wall_offset = event.wall_offset

    def _on_bound(self, event: Bound, now: int) -> None:
        self._unbound.pop(event.listener, None)
        self._all_bound()

    def _on_bind_failed(self, event: BindFailed, now: int) -> None:
        listener = self._listeners[event.listener]
        where = listener.host if listener.mode else f"{listener.host} port {listener.port}"
        self._bind_failures.append(f"cannot listen on {where} ({listener.section}): {event.reason}")
        self._unbound.pop(event.listener, None)
        self._all_bound()

    def _all_bound(self) -> None:
        if self._unbound or self._phase is not Phase.BINDING:
            return
        if self._bind_failures:
            self._halt("; ".join(self._bind_failures))
        else:
            self._phase = Phase.STARTING

    # --- launching --------------------------------------------------------------------------------------------------

    def _advance(self, now: int) -> None:
        """Do all that nothing forbids."""
        if self._phase is Phase.STARTING:
            self._advance_start(now)
        if self._phase in (Phase.STARTING, Phase.SERVING):
            for process in self._numbered:
                if process.state is State.DOWN and self._may_launch(process):
                    self._save_epoch(process, now)
        elif self._phase is Phase.STOPPING:
            self._advance_stop(now)

    def _advance_start(self, now: int) -> None:
        """Move the cursor over the sections that are started."""
        while self._cursor < len(self._sections) and all(self._is_up(process) for process in self._members[self._cursor]):
            self._cursor += 1
        if self._cursor == len(self._sections):
            self._phase = Phase.SERVING
            self._note("ready", self._own_epoch)
        elif self._section_timed < self._cursor:
            self._section_timed = self._cursor
            self._effects.append(Arm(TIMER_SECTION, self._cursor, now + self._settings.start_timeout_us))

    def _is_up(self, process: Process) -> bool:
        return process.state is State.READY or (process.state is State.RUNNING and not self._sections[process.section].wait)

    def _may_launch(self, process: Process) -> bool:
        """Nothing that must be dead lives, and nothing that must come first is missing."""
        return process.section <= self._cursor and not process.wait_for and not any(self._holds(other, process) for other in self._numbered)

    def _holds(self, other: Process, process: Process) -> bool:
        """`process` restarts with `other`, which is not back yet. Of two that restart with each other the first in the order goes first."""
        if not other.failed or process.name not in self._sections[other.section].dependants:
            return False
        mutual = other.name in self._sections[process.section].dependants
        return not (mutual and process.failed and process.number < other.number)

    def _save_epoch(self, process: Process, now: int) -> None:
        self._epoch = next_epoch(self._epoch, (now + self._wall_offset) // SECOND)
        process.state = State.SAVING
        self._saving[self._epoch] = process
        self._effects.append(SaveEpoch(self._epoch))

    def _on_epoch_saved(self, event: EpochSaved, now: int) -> None:
        process = self._saving.pop(event.epoch, None)
        if process is None or process.state is not State.SAVING:
            return
        process.state = State.DOWN
        if self._may_launch(process):
            section = self._sections[process.section]
            process.state = State.LAUNCHING
            process.epoch = event.epoch
            process.launched_at = 0
            process.end_wanted = process.at_fault = False
            self._effects.append(Launch(process.name, section.kind, event.epoch, section.user, section.listeners))

    def _on_launched(self, event: Launched, now: int) -> None:
        process = self._processes[event.process]
        assert process.state is State.LAUNCHING, f"{process.name} was launched in state {process.state.name}"
        process.state = State.RUNNING
        process.pid = event.pid
        process.launched_at = now
        self._note("launched", process.name, event.pid, process.epoch)
        if process.end_wanted:
            self._end(process, now)
            return
        self._effects.append(Arm(TIMER_READY, process.number, now + self._settings.start_timeout_us))
        if not self._sections[process.section].wait:
            process.failed = False

    def _on_ready(self, event: Ready, now: int) -> None:
        process = self._processes[event.process]
        if process.state is State.RUNNING:
            process.state = State.READY
            process.failed = False

    # --- deaths -------------------------------------------------------------------------------------------------------

    def _on_launch_failed(self, event: LaunchFailed, now: int) -> None:
        process = self._processes[event.process]
        assert process.state is State.LAUNCHING, f"{process.name} could not be launched in state {process.state.name}"
        self._note("trouble", f"launch {process.name}", event.reason)
        self._dead(process, now, event.reason)

    def _on_exited(self, event: Exited, now: int) -> None:
        process = self._processes[event.process]
        if self._phase is Phase.STOPPING and not process.alive:
            return  # it was left behind and ended after all
        assert process.alive, f"{process.name} ended in state {process.state.name}"
        self._note("exited", process.name, event.pid, event.status)
        if process.name != "qmgr":
            gone = ProcessGone(process.name, process.epoch)
            self._gone.append(gone)
            if self._qmgr_epoch:
                self._effects.append(Tell("qmgr", gone))
        status = f"killed by signal {-event.status}" if event.status < 0 else f"exit status {event.status}"
        self._dead(process, now, status)

    def _dead(self, process: Process, now: int, reason: str) -> None:
        """It is known dead. Unless it was ended on purpose it comes back after a wait, and those who restart with it are ended (SX05)."""
        wanted = process.end_wanted or process.state >= State.ENDING
        process.state = State.DOWN
        for other in self._numbered:
            other.wait_for.discard(process.name)
        if self._phase is Phase.STOPPING or (wanted and not process.at_fault):
            return
        settings = self._settings
        delay = process.back_off(now, settings.restart_min_us, settings.restart_max_us, settings.restart_reset_us)
        process.state = State.WAITING
        process.restart_at = now + delay
        self._note("restarting", process.name, delay, reason)
        self._effects.append(Arm(TIMER_RESTART, process.number, process.restart_at))
        if not process.at_fault:
            process.failed = True
            for name in self._sections[process.section].dependants:
                dependant = self._processes[name]
                if dependant.alive:
                    process.wait_for.add(name)
                    self._end(dependant, now)

    def _end(self, process: Process, now: int) -> None:
        """TERM, and KILL when that does not help in time."""
        if process.state is State.LAUNCHING:
            process.end_wanted = True
        elif process.state in (State.RUNNING, State.READY):
            process.state = State.ENDING
            self._effects.append(Signal(process.name, "term"))
            self._effects.append(Arm(TIMER_END, process.number, now + self._stop_timeout_us))

    def _kill(self, process: Process, now: int) -> None:
        process.state = State.KILLED
        self._effects.append(Signal(process.name, "kill"))
        self._effects.append(Arm(TIMER_END, process.number, now + self._stop_timeout_us))

    # --- time ---------------------------------------------------------------------------------------------------------

    def _on_expired(self, event: Expired, now: int) -> None:
        if event.timer == TIMER_SECTION:
            self._on_section_late(event.of)
            return
        process = self._numbered[event.of]
        if event.timer == TIMER_RESTART:
            if process.state is State.WAITING and now >= process.restart_at:
                process.state = State.DOWN
        elif event.timer == TIMER_READY:
            self._on_not_ready(process, now)
        elif process.state is State.ENDING:
            self._kill(process, now)
        elif process.state is State.KILLED and self._phase is Phase.STOPPING:
            self._note("trouble", f"stop {process.name}", "it survives KILL and is left behind")
            process.state = State.DOWN

    def _on_section_late(self, place: int) -> None:
        """The start does not wait any longer for this section (SX07)."""
        if self._phase is Phase.STARTING and self._cursor == place:
            self._cursor += 1

    def _on_not_ready(self, process: Process, now: int) -> None:
        if process.state is not State.RUNNING or now < process.launched_at + self._settings.start_timeout_us:
            return
        process.failed = False  # its dependants need not wait for ever: it may be one of them that it waits for
        section = self._sections[process.section]
        if section.wait and section.kind != "qmgr":
            self._note("trouble", f"start {process.name}", "not ready in time, it is started again")
            process.at_fault = True
            self._end(process, now)

    # --- the stop -----------------------------------------------------------------------------------------------------

    def _on_stop_requested(self, event: StopRequested, now: int) -> None:
        """Asked once: in order, each section with TERM and KILL. Asked again: KILL to all."""
        if self._phase is Phase.STOPPING:
            for process in self._alive(self._numbered):
                if process.state is State.LAUNCHING:
                    process.end_wanted = True
                elif process.state is not State.KILLED:
                    self._kill(process, now)
            return
        self._note("stopping", "asked")
        self._phase = Phase.STOPPING
        if event.grace_us > 0:
            self._stop_timeout_us = min(self._stop_timeout_us, event.grace_us)
        for process in self._numbered:
            if not process.alive:
                process.state = State.DOWN

    def _advance_stop(self, now: int) -> None:
        """End the first section of the file that still lives (SX06)."""
        for members in reversed(self._members):
            alive = list(self._alive(members))
            for process in alive:
                self._end(process, now)
            if alive:
                return
        self._halt("stopped")

    def _alive(self, members: list[Process]) -> Iterator[Process]:
        return (process for process in members if process.alive)

    def _halt(self, reason: str) -> None:
        self._phase = Phase.HALTED
        self._note("halted", reason)
        self._effects.append(Halt(reason))

    # --- QMGR ---------------------------------------------------------------------------------------------------------

    def _on_linked(self, event: Linked, now: int) -> None:
        """Say again whatever a new link may have missed; QMGR frees by itself what is older than it (A3)."""
        if event.process != "qmgr":
            return
        self._qmgr_epoch = event.epoch
        self._gone = deque((gone for gone in self._gone if gone.epoch > event.epoch), GONE_MAX)
        self._effects += [Tell("qmgr", gone) for gone in self._gone]

    def _on_unlinked(self, event: Unlinked, now: int) -> None:
        if event.process == "qmgr":
            self._qmgr_epoch = 0

    def _note(self, name: str, *values: int | str) -> None:
        self._effects.append(Note(name, values))
