"""A puppet: a component that remembers its events, answers as the test says, and is ready at once. And a host to run puppets in."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from smx.config.schema_mcp import LogSettings
from smx.effects import AnyEffect, Halt, Note
from smx.events import AnyEvent, Expired, Started, StopRequested
from smx.live.clock import Clock
from smx.live.host import Host
from smx.live.runner import Runner
from smx.live.timers import Timers

PATIENCE_S = 10.0
ORDER = "puppet order"  # a timer's name by which `order` makes the puppet say something
SILENT = LogSettings(file="/dev/null")
E = TypeVar("E")


class Puppet:
    """`react(event)` gives the effects; None: no reaction beyond the ready note and the orderly halt."""

    def __init__(self, react: Callable[[AnyEvent], list[AnyEffect]] | None = None, name: str = "puppet") -> None:
        self.name = name
        self.events: list[AnyEvent] = []
        self.runner: Runner
        self._react = react
        self._orders: list[AnyEffect] = []
        self._heard = threading.Condition()

    def step(self, event: AnyEvent, now: int) -> list[AnyEffect]:
        if isinstance(event, Expired) and event.timer == ORDER:
            orders, self._orders = self._orders, []
            return orders
        with self._heard:
            self.events.append(event)
            self._heard.notify_all()
        effects = self._react(event) if self._react is not None else []
        if isinstance(event, Started):
            return [*effects, Note("ready", (event.epoch,))]
        if isinstance(event, StopRequested):
            return [*effects, Halt("asked to stop")]
        return effects

    def order(self, *effects: AnyEffect) -> None:
        """Have the puppet order these effects in one step, now."""

        def poke() -> None:
            self._orders = list(effects)
            self.runner.deliver(Expired(ORDER, 0))

        self.runner.host.call(poke)

    def wait(self, kind: type[E], count: int = 1, match: Callable[[E], bool] = lambda event: True) -> list[E]:
        """The events of this class that `match` accepts, once there are `count` of them."""
        with self._heard:
            assert self._heard.wait_for(lambda: len(self.seen(kind, match)) >= count, PATIENCE_S), f"{kind.__name__} x {count}: {self.events}"
            return self.seen(kind, match)

    def seen(self, kind: type[E], match: Callable[[E], bool] = lambda event: True) -> list[E]:
        return [event for event in self.events if isinstance(event, kind) and match(event)]


Attach = Callable[[Runner], None]


@contextmanager
def hosted(*puppets: tuple[Puppet, Attach], spool: str = "", clock: Clock | None = None, log: LogSettings = SILENT) -> Iterator[Host]:
    """A running host with these puppets and their devices; stopped in order at the end."""
    host = Host(log, clock)
    for epoch, (puppet, attach) in enumerate(puppets, start=1000):
        puppet.runner = host.add(puppet, puppet.name, epoch, 7, spool)
        puppet.runner.attach(Timers(puppet.runner))
        attach(puppet.runner)
    host.start(PATIENCE_S)
    try:
        yield host
    except BaseException:
        host.kill()
        raise
    host.stop()


def nothing(runner: Runner) -> None:
    """No further devices."""


def wait_until(condition: Callable[[], bool]) -> None:
    """For what no event says: looked at every few milliseconds."""
    gate = threading.Event()
    for _ in range(int(PATIENCE_S / 0.005)):
        if condition():
            return
        gate.wait(0.005)
    raise AssertionError("it did not happen in time")
