"""Host: one event loop with the components of one process: one of them (a child of MCP), or all (embedded mode).

Job         take events from the devices, run `step`, have the effects carried out, end when the components halt
State       the inbox (one FIFO for all runners: so every component and every link is FIFO), who is being stopped, the error that ended it
Strategies  An event that arrives while no step is under way is handled on the spot; one that arises during a step waits in the inbox and is
            handled right after it, before the loop turns. So `step` is never re-entered, and nothing of a connection can be in the
            inbox when its Close is carried out.
Failures    An exception that leaves a step or a device is a bug: nothing more is carried out, `run` raises it (style 13). Halt without a stop
            asked raises HaltedError. What was transmitted or told before Halt is still flushed, for at most a second.
See also    runner.py (the table of effects), embedded.py and child.py (who makes hosts)
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

from smx.component import Component
from smx.config.schema_mcp import LogSettings
from smx.effects import Note
from smx.events import AnyEvent, ClockJumped, Started, StopRequested
from smx.live.clock import Clock
from smx.live.eventlog import EventLog
from smx.live.links import Links
from smx.live.runner import HaltOrderedError, Runner
from smx.units import SECOND

CLOCK_CHECK_S: Final = 1.0
LINGER_S: Final = 1.0  # after Halt, for what was transmitted and told before
LINGER_STEP_S: Final = 0.002
CLOSING_TURNS: Final = 5
GIVE_UP_S: Final = 1.0  # beyond the grace of a stop
GRACE_US: Final = 10 * SECOND
START_TIMEOUT_S: Final = 30.0
LOG_TO_STDERR: Final = LogSettings(file="-", format="console", level="error")
_T = TypeVar("_T")


class HaltedError(Exception):
    """A component ended itself although nobody had asked it to: its reason says why (a failed sync, a lost store)."""

    def __init__(self, process: str, reason: str) -> None:
        super().__init__(f"{process} halted: {reason}")
        self.process = process
        self.reason = reason


class StopTimedOutError(Exception):
    """A component did not halt within the grace of a stop."""


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class Host:
    """Add components, attach devices to the runners, then `run`, or `start` and `stop` from another thread."""

    def __init__(self, log: LogSettings = LOG_TO_STDERR, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.loop = new_loop()
        self.log = EventLog(log, self.clock, self.loop)
        self.runners: list[Runner] = []
        self.stop_order: list[Runner] | None = None  # None: the reverse of the order in which they were added
        self.on_ready: Callable[[Runner], None] | None = None
        self.when_ready: Callable[[], None] | None = None  # all of them
        self.error: BaseException | None = None
        self._inbox: deque[tuple[Runner, AnyEvent]] = deque()
        self._running = False
        self._ended = False
        self._closing = False
        self._begins: list[Callable[[], None]] = []
        self._to_stop: list[Runner] | None = None
        self._stop_deadline = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._settled = threading.Event()  # ready, or ended
        self._thread: threading.Thread | None = None

    # --- before it runs

    def add(self, component: Component, process: str, epoch: int, seed: int, spool: str = "") -> Runner:
        """A runner for this component. Its devices are attached by the caller (assembly.py)."""
        runner = Runner(self, component, process, epoch, seed, spool)
        self.runners.append(runner)
        return runner

    def at_begin(self, function: Callable[[], None]) -> None:
        """Called once on the loop, after every component was Started and its devices began."""
        self._begins.append(function)

    # --- events

    def enqueue(self, runner: Runner, event: AnyEvent) -> None:
        """Handle the event now, or behind the step that is under way."""
        if self._running:
            self._inbox.append((runner, event))
        else:
            self._work(runner, event)

    def enqueue_together(self, events: Iterable[tuple[Runner, AnyEvent]]) -> None:
        """Handle these one behind the other; what they cause comes behind all of them."""
        self._inbox.extend(events)
        if not self._running and self._inbox:
            self._work(*self._inbox.popleft())

    def _work(self, runner: Runner, event: AnyEvent) -> None:
        """This event, then what is in the inbox."""
        inbox = self._inbox
        self._running = True
        try:
            while True:
                if runner.halted is None:
                    try:
                        runner.take(event)
                    except HaltOrderedError:
                        self._on_halt(runner)
                if not inbox:
                    break
                runner, event = inbox.popleft()
        except BaseException as error:  # a bug: kept, and raised by `run`; `_running` stays set, so that no step follows
            self.fail(error)
            return
        self._running = False

    def fail(self, error: BaseException) -> None:
        """End the host with this error. The first one counts."""
        if self.error is None:
            self.error = error
        self._running = True
        self._inbox.clear()
        self._end_soon()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task of a device; an exception in it is a bug and ends the host."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def became_ready(self, runner: Runner) -> None:
        """Said by a runner at its component's first note `ready`."""
        if self.on_ready is not None:
            self.on_ready(runner)
        if all(each.ready for each in self.runners):
            self._settled.set()
            if self.when_ready is not None:
                self.loop.call_soon(self.when_ready)

    # --- running

    def run(self) -> None:
        """Run until every component has halted. Raises what ended it otherwise."""
        self.loop.set_exception_handler(self._on_loop_trouble)
        self.loop.call_soon(self._begin)
        try:
            self.loop.run_forever()
        finally:
            self._close()
            self._ended = True
            self._settled.set()
        if self.error is not None:
            raise self.error

    def _begin(self) -> None:
        for runner in self.runners:
            runner.deliver(Started(runner.epoch, runner.seed, self.clock.wall_offset))
        try:
            for runner in self.runners:
                runner.start_devices()
            for function in self._begins:
                function()
        except Exception as error:
            self.fail(error)
            return
        self.loop.call_later(CLOCK_CHECK_S, self._check_clock)

    def _check_clock(self) -> None:
        self.loop.call_later(CLOCK_CHECK_S, self._check_clock)
        if self.clock.jumped():
            offset = self.clock.wall_offset
            for runner in self.runners:
                runner.note(Note("clock", (offset,)))
                runner.deliver(ClockJumped(offset))

    def _on_loop_trouble(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What asyncio would only log: an OSError of a transport is trouble from outside, everything else a bug of ours."""
        error = context.get("exception")
        if error is None or isinstance(error, OSError):
            self.runners[0].note(Note("trouble", ("event loop", f"{context.get('message')}: {error}")))
            return
        self.fail(error)

    # --- stopping

    @property
    def stopping(self) -> bool:
        """True once a stop was asked."""
        return self._to_stop is not None

    def request_stop(self, grace_us: int = GRACE_US) -> None:
        """Ask the components to stop, one after the other, in stop_order; asked twice, end at once."""
        if self._to_stop is not None:
            self._give_up()
            return
        self._to_stop = list(self.stop_order if self.stop_order is not None else reversed(self.runners))
        self._stop_deadline = self.clock.now() + grace_us
        self.loop.call_later(grace_us / 1e6 + GIVE_UP_S, self._give_up)
        self._stop_next()

    def _stop_next(self) -> None:
        assert self._to_stop is not None
        while self._to_stop and self._to_stop[0].halted is not None:
            self._to_stop.pop(0)
        if not self._to_stop:
            self._wind_down(self.loop.time() + LINGER_S)
            return
        runner = self._to_stop[0]
        runner.deliver(StopRequested(max(0, self._stop_deadline - self.clock.now())))

    def _on_halt(self, runner: Runner) -> None:
        for links in runner.devices(Links):
            links.hang_up()
        if self._to_stop and runner is self._to_stop[0]:
            self.loop.call_soon(self._stop_next)
            return
        assert runner.halted is not None
        runner.note(Note("halted", (runner.halted,)))
        self.error = self.error or HaltedError(runner.process, runner.halted)
        self._inbox.clear()
        for each in self.runners:
            each.halted = each.halted or "the host ended"
        self._wind_down(self.loop.time() + LINGER_S)

    def _wind_down(self, until: float) -> None:
        """End when the octets that were transmitted and told have left, at the latest at `until`."""
        if self.loop.time() < until and any(runner.unsent() for runner in self.runners):
            self.loop.call_later(LINGER_STEP_S, self._wind_down, until)
            return
        self._end_soon()

    def _give_up(self) -> None:
        late = [runner.process for runner in self.runners if runner.halted is None]
        if late:
            self.fail(StopTimedOutError(f"no orderly stop within the grace: {', '.join(late)}"))

    def _end_soon(self) -> None:
        if not self._closing:  # what is being closed has ended; a stop that comes from outside now must not cut the goodbyes short
            self.loop.stop()

    def discard(self) -> None:
        """Free what was attached to a host that will not run."""
        self._close()
        self._ended = True

    def _close(self) -> None:
        """Free everything; no component runs any more."""
        self._running = self._closing = True
        for runner in reversed(self.runners):
            runner.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            self.loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        for _ in range(CLOSING_TURNS):  # transports that were closed say goodbye
            self.loop.run_until_complete(asyncio.sleep(0))
        self.log.close()
        self.loop.close()

    # --- from another thread

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Run in a thread of its own; returns when every component is ready. Raises what ended the host before."""
        self._thread = threading.Thread(target=self._run_quietly, name="smx", daemon=True)
        self._thread.start()
        in_time = self._settled.wait(timeout_s)
        if self._ended:
            self._thread.join()
            assert self.error is not None, "the host ended before it was ready"
            raise self.error
        if not in_time:
            late = [runner.process for runner in self.runners if not runner.ready]
            self.kill()
            raise TimeoutError(f"not ready after {timeout_s} s: {', '.join(late)}")

    def _run_quietly(self) -> None:
        try:
            self.run()
        except BaseException as error:  # raised again by start or stop, in the caller's thread
            self.error = error

    def stop(self, grace_us: int = GRACE_US) -> None:
        """Stop in order and wait for the end. Raises what ended the host otherwise."""
        self._from_outside(self.request_stop, grace_us)
        self._join()
        if self.error is not None:
            raise self.error

    def kill(self) -> None:
        """End at once, without running any more code of the components: what a crash of the process does."""
        self._from_outside(self.fail, KilledError("killed"))
        self._join()

    def call(self, function: Callable[[], _T]) -> _T:
        """Run `function` on the loop's thread and give its result."""

        async def work() -> _T:
            return function()

        return asyncio.run_coroutine_threadsafe(work(), self.loop).result(START_TIMEOUT_S)

    def _from_outside(self, function: Callable[..., None], *arguments: Any) -> None:
        if not self._ended:
            try:
                self.loop.call_soon_threadsafe(function, *arguments)
            except RuntimeError:  # closed a moment ago
                assert self._settled.wait(LINGER_S)

    def _join(self) -> None:
        assert self._thread is not None, "not started"
        self._thread.join()


class KilledError(Exception):
    """The host was killed by `kill`."""
