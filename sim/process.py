"""Process: one component at work on a simulated machine: its inbox, its steps, and the table that says who carries out which effect.

What may happen: it is killed between any two effects, or paused for longer than every time-out; its events wait while it is busy; it halts.
What never happens: a step within a step; an effect out of order; code of a component that is dead.

A process whose steps cost nothing handles an event where it arises. One that is charged queues it, waits for a core when cores are shared,
and steps at the end of the service time. Both take what arises during a step right after it, in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

from simpy.resources.resource import Request, Resource

from sim.disk.errors import DiskError
from sim.environment import Channel
from smx.component import Component
from smx.defedb.sqlite import DefedbError
from smx.effects import AnyEffect, Halt, Note
from smx.events import AnyEvent, ClockJumped, Started, StopRequested
from smx.topology import kind_of
from smx.units import SECOND

if TYPE_CHECKING:
    from sim.dialogues import Dialogues
    from sim.host import Machine
    from sim.links import Links
    from sim.sockets import Sockets

EX_OK: Final = 0
EX_SOFTWARE: Final = 70
EX_TEMPFAIL: Final = 75
SIGSEGV: Final = 11
IN_ORDER: Final = "in order"
CRASHED: Final = "crashed"
UNPOWERED: Final = "unpowered"
DEVICE_ERRORS: Final = (DiskError, DefedbError)
JUMP_US: Final = 1 * SECOND  # a clock that is off by less is slewed, and nobody is told
GIVE_UP_US: Final = 1 * SECOND  # beyond the grace of a stop

Step = Callable[[AnyEvent, int], list[AnyEffect]]
Orders = dict[type[Any], Callable[[Any], None]]


class Guard(Protocol):
    """What an event in the inbox depends on: a connection or a timer. `shut`: it is gone, the event is dropped."""

    shut: bool


class Device(Protocol):
    """Carries out the effects of one family for one process."""

    def orders(self) -> Orders: ...

    def died(self, how: str) -> None:
        """The process has ended: nothing of it may come any more. `how`: IN_ORDER, CRASHED, or UNPOWERED: then nobody hears of it."""
        ...


class HaltOrderedError(Exception):
    """The component ordered Halt."""


class PoisonedError(Exception):
    """What is in hand makes this process crash (F23)."""

    def __init__(self, transaction: int) -> None:
        super().__init__(f"poisoned by {transaction}")
        self.transaction = transaction


class Process:
    """A component alive. `base`: its clock minus that of the environment; `ready`: it has said so."""

    def __init__(self, machine: Machine, component: Component, epoch: int, seed: int) -> None:
        world = machine.world
        self.machine: Machine = machine
        self.component = component
        self.name = component.name
        self.kind = kind_of(component.name)
        self.epoch = epoch
        self.alive = True
        self.ready = False
        self.stopping = False
        self.stopped_at = -1  # the clock stands still at this instant of the process (F28); -1: it goes
        self.base = machine.wall_offset
        self.wall_told = 0
        self.watched = world.watching
        self.poisoned_by = 0
        self.busy_us = 0
        self.on_end: Callable[[Process, int], None] = lambda _process, _status: None
        self.on_ready: Callable[[], None] = lambda: None
        self.flush: Callable[[], None] | None = None  # at the end of a step: what it transmitted
        self.hear: Callable[[AnyEvent], None] | None = None  # told of each event that is taken
        self.links: Links
        self.sockets: Sockets | None = None
        self.dialogues: Dialogues | None = None
        self._env = world.env
        self._world = world
        self._trace_step = world.trace.step
        self._note_fact = world.truth.note
        self._step: Step = component.step
        self._seed = seed
        self._busy = False
        self._paused = False
        self._inbox: deque[tuple[AnyEvent, Guard | None]] = deque()
        self._carry: Orders = {Halt: self._halt, Note: self.note}
        self._devices: list[Device] = []
        self._starts: list[Callable[[], None]] = []
        self._costs = world.costs
        self._cpu = Channel()
        self._serving: AnyEvent | None = None  # it is charged for, and its step comes at the end
        self._cores: Resource | None = machine.cores
        self._request: Request | None = None
        self.deliver = self._deliver if self._costs is None else self._queue

    # --- life ---------------------------------------------------------------------------------------------------------

    def attach(self, device: Device) -> None:
        self._carry.update(device.orders())
        self._devices.append(device)

    def overhear(self, effect: type[Any], listener: Callable[[Any], None]) -> None:
        """Tell `listener` of each effect of this class before it is carried out."""
        carry_out = self._carry[effect]

        def both(ordered: Any) -> None:
            listener(ordered)
            carry_out(ordered)

        self._carry[effect] = both

    def replace_step(self, step: Step) -> None:
        """Put something around the component's step."""
        self._step = step

    def at_start(self, function: Callable[[], None]) -> None:
        """Called once, behind Started."""
        self._starts.append(function)

    def start(self) -> None:
        self.deliver(Started(self.epoch, self._seed, 0))
        for function in self._starts:
            if self.alive:
                function()

    def now(self) -> int:
        """The clock that the component sees."""
        return self._env.now + self.base if self.stopped_at < 0 else self.stopped_at

    @property
    def paused(self) -> bool:
        """It gets no CPU."""
        return self._paused

    @property
    def idle(self) -> bool:
        """An event would be taken at once."""
        return not self._busy and not self._paused and self._costs is None

    @property
    def length(self) -> int:
        """Events that came and whose step has not been made yet."""
        return len(self._inbox) + (self._serving is not None)

    def waiting(self, kind: type[Any]) -> int:
        """Events of this class that came, and whose step has not been made yet."""
        return sum(1 for event, _ in self._inbox if type(event) is kind) + (type(self._serving) is kind)

    @property
    def stepping(self) -> bool:
        """Within a step and its effects."""
        return self._busy and self._costs is None

    def kill(self) -> None:
        """As SIGKILL: none of its code runs any more; what it wrote stays with the kernel."""
        self.end(-9, how="kill")

    def end(self, status: int, *, how: str = "") -> None:
        """The process is gone. `how`: the way it crashed; "" for an orderly end."""
        if not self.alive:
            return
        self.alive = False
        self._inbox.clear()
        self._release()
        self._world.process_ended(self, status, how)
        if self.dialogues is not None:
            self.dialogues.died()
        while self._devices:
            self._devices.pop().died(CRASHED if how else IN_ORDER)
        self.on_end(self, status)

    def vanish(self) -> None:
        """The machine has lost its power: nobody is told, nothing is closed."""
        self.alive = False
        self._inbox.clear()
        self._release()
        while self._devices:
            self._devices.pop().died(UNPOWERED)

    def stop(self, grace_us: int) -> None:
        """As SIGTERM. It has its grace and a second more."""
        if self.alive and not self.stopping:
            self.stopping = True
            self._env.later(grace_us + GIVE_UP_US, self._give_up)
            self.deliver(StopRequested(grace_us))

    def _give_up(self) -> None:
        if self.alive:
            self.end(EX_TEMPFAIL)

    def pause(self, for_us: int) -> None:
        """It gets no CPU (F20): events wait, its peers notice nothing but silence."""
        if self.alive and not self._paused:
            self._paused = True
            self._env.later(for_us, self._resume)

    def _resume(self) -> None:
        self._paused = False
        if self.alive and self._inbox and not self._busy:
            event, guard = self._inbox.popleft()
            if self._costs is not None:
                self._inbox.appendleft((event, guard))
                self._busy = True
                self._serve_next()
            elif guard is None or not guard.shut:
                self._deliver(event, guard)
            else:
                self._resume()

    def clock_changed(self) -> None:
        """The wall clock of the machine may have jumped (F26): the component is told when it is off by more than a second."""
        offset = self.machine.wall_offset - self.base
        if self.alive and abs(offset - self.wall_told) > JUMP_US:
            self.wall_told = offset
            self.note(Note("clock", (offset,)))
            self.deliver(ClockJumped(offset))

    # --- steps that cost nothing --------------------------------------------------------------------------------------

    def _deliver(self, event: AnyEvent, guard: Guard | None = None) -> None:
        """Take the event now, or behind the step that is under way."""
        if self._busy or self._paused or not self.alive:
            if self.alive:
                self._inbox.append((event, guard))
            return
        self._busy = True
        inbox = self._inbox
        try:
            self._take(event)
            while inbox and not self._paused:
                event, guard = inbox.popleft()
                if guard is None or not guard.shut:
                    self._take(event)
        except Exception as error:
            self._ended_by(error, event)
        self._busy = False

    def _take(self, event: AnyEvent) -> None:
        if self.watched:
            self._take_watched(event)
            return
        env = self._env
        if self.hear is not None:
            self.hear(event)
        effects = self._step(event, env.now + self.base)
        self._trace_step(env.now, self.name, event, effects)
        carry = self._carry
        rest = iter(effects)
        for effect in rest:
            carry[type(effect)](effect)
            if self.watched:  # from now on
                self._world.between(self, effect)
                if self.alive:
                    self._carry_watched(rest)
                return
        if self.flush is not None:
            self.flush()

    def _take_watched(self, event: AnyEvent) -> None:
        """The same with a look between any two effects: a fault may strike there, an effect may be tampered with."""
        if self.hear is not None:
            self.hear(event)
        ordered = self._step(event, self.now())
        self._trace_step(self._env.now, self.name, event, ordered)
        self._carry_watched(ordered)

    def _carry_watched(self, ordered: Iterable[AnyEffect]) -> None:
        world = self._world
        for original in ordered:
            for effect in (original,) if world.tamper is None else world.tampered(self.name, original):
                self._carry[type(effect)](effect)
                world.between(self, effect)
                if not self.alive:
                    return
        if self.flush is not None:
            self.flush()

    # --- steps that are charged ---------------------------------------------------------------------------------------

    def _queue(self, event: AnyEvent, guard: Guard | None = None) -> None:
        if not self.alive:
            return
        self._inbox.append((event, guard))
        if not self._busy and not self._paused:
            self._busy = True
            self._serve_next()

    def _serve_next(self) -> None:
        """Begin the service of the next event that is still wanted."""
        inbox = self._inbox
        while inbox and inbox[0][1] is not None and inbox[0][1].shut:
            inbox.popleft()
        if not inbox or self._paused:
            self._busy = False
        elif self._cores is None:
            self._serve()
        else:
            self._request = self._cores.request()
            self._request.callbacks.append(self._got_core)

    def _got_core(self, _request: object) -> None:
        if self.alive:
            self._serve()
        else:
            self._release()

    def _serve(self) -> None:
        assert self._costs is not None
        event, guard = self._inbox.popleft()
        self._serving = event
        cost = self._costs.of(self.kind, event)
        self.busy_us += cost
        self._env.after(self._cpu, cost, self._served, event, guard)

    def _served(self, event: AnyEvent, guard: Guard | None) -> None:
        self._serving = None
        if not self.alive:
            return
        self._release()
        if guard is None or not guard.shut:
            try:
                self._take(event)
            except Exception as error:
                self._ended_by(error, event)
        if self.alive:
            self._serve_next()

    def _release(self) -> None:
        """Give the core back."""
        if self._request is not None:
            assert self._cores is not None
            request, self._request = self._request, None
            if request.triggered:
                self._cores.release(request)
            else:
                request.cancel()

    # --- its own effects ----------------------------------------------------------------------------------------------

    def note(self, effect: Note) -> None:
        """Of the component, or of its runtime."""
        self._note_fact(self._env.now, self.name, self.epoch, effect)
        world = self._world
        if effect.name in world.note_hooks:
            world.noted(self, effect)
        if effect.name == "ready" and not self.ready:
            self.ready = True
            self.on_ready()

    def _halt(self, effect: Halt) -> None:
        if not self.stopping and self.name != "mcp":
            self.note(Note("halted", (effect.reason,)))
        raise HaltOrderedError(effect.reason)

    def _halted(self) -> None:
        """What was transmitted before still leaves."""
        if self.flush is not None:
            self.flush()
        self.end(EX_OK if self.stopping else EX_TEMPFAIL, how="" if self.stopping else "halt")

    def device_failed(self, error: Exception) -> None:
        """The disk failed in a way for which there is no event: the runtime ends the process."""
        self.note(Note("trouble", ("disk", str(error))))
        self.end(EX_SOFTWARE, how="halt")

    def spins(self, event: AnyEvent) -> None:
        """It does nothing but take this event, and no time passes."""
        self._ended_by(AssertionError("it arms a timer for the past again and again"), event)

    def _ended_by(self, error: Exception, event: AnyEvent) -> None:
        """What left a step or its effects. Anything unexpected is a bug of the component: the process dies of it, MCP sees status 70."""
        if isinstance(error, HaltOrderedError):
            self._halted()
        elif isinstance(error, DEVICE_ERRORS):
            self.device_failed(error)
        elif isinstance(error, PoisonedError):
            self.poisoned_by = error.transaction
            self.end(-SIGSEGV, how="poison")
        elif self.alive:
            self._world.bug(self, error, event)
            self.end(EX_SOFTWARE, how="bug")
