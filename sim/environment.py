"""Environment: SimPy's clock in integer microseconds, with channels that are FIFO and a seeded order among the rest.

SimPy orders simultaneous events by their creation, so that a study would only ever see one schedule. Here events of *different* channels that
fall on the same instant come in an order that a number of the choice tape decides (`ties`; 0 is the order of creation, the calm choice), while
events of one channel never overtake each other: not at one instant, and not across instants either, because a later one is never due earlier.

The hot path is a callback with its arguments in a heap (`after`, `later`): no generator, no SimPy Event. SimPy's own events, processes and
resources run on the same heap and see the same clock.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final, cast

import simpy
from simpy.core import EmptySchedule

from smx.units import SECOND

START: Final = 1_700_000_000 * SECOND  # of a simulated clock: late in 2023
FOR_EVER: Final = 1 << 62
TIE_BITS: Final = 20
_URGENT_TIE: Final = -1
_SIMPY_TIE: Final = 1 << TIE_BITS
_MIX: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1
_SHIFT: Final = 64 - TIE_BITS


def mixed(number: int) -> int:
    """64 bits that look drawn, from a number (splitmix64)."""
    number = (number + _MIX) & _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)


class Channel:
    """Events in order: one direction of a link or connection, a queue of a disk. `last`: when its latest event is due."""

    __slots__ = ("last", "name", "salt")

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.last = 0
        self.salt = 0  # 0: not used yet


class Handle:
    """A call that is due. After `cancel` it does not come; `shut` tells."""

    __slots__ = ("arguments", "call", "done", "shut")

    def __init__(self, call: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self.call = call
        self.arguments = arguments
        self.done = False  # for whoever made it
        self.shut = False

    def cancel(self) -> None:
        self.shut = True


class Environment(simpy.Environment):
    """`now` is in microseconds. `ties`: what orders simultaneous events of different channels; 0: their creation."""

    now: int = 0  # shadows SimPy's property: an attribute is read much faster

    def __init__(self, start: int = START, ties: int = 0) -> None:
        super().__init__(start)
        self.now = start
        self.calls = 0  # that were made: the length of a run
        self._ties = ties
        self._number = 0
        self._stopped = False
        self._heap = cast("list[tuple[int, int, int, Any]]", self._queue)  # the same list: due, tie, number, what

    def channel(self, name: str = "") -> Channel:
        return Channel(name)

    def after(self, channel: Channel, delay_us: int, call: Callable[..., object], *arguments: Any) -> Handle:
        """Call in `delay_us`, and not before what was put on the channel earlier."""
        at = self.now + delay_us
        if at < channel.last:
            at = channel.last
        else:
            channel.last = at
        self._number = number = self._number + 1
        tie = 0
        if self._ties:
            if not channel.salt:
                channel.salt = mixed(self._ties + number)
            tie = (((at ^ channel.salt) * _MIX) & _MASK) >> _SHIFT
        handle = Handle(call, arguments)
        heappush(self._heap, (at, tie, number, handle))
        return handle

    def later(self, delay_us: int, call: Callable[..., object], *arguments: Any) -> Handle:
        """Call in `delay_us`; on no channel, so that it may overtake everything: a timer, a thought of a client, a fault."""
        at = self.now + delay_us
        self._number = number = self._number + 1
        tie = (((at ^ (self._ties + number * _MIX)) * _MIX) & _MASK) >> _SHIFT if self._ties else 0
        handle = Handle(call, arguments)
        heappush(self._heap, (at, tie, number, handle))
        return handle

    def stop(self) -> None:
        """End `run` after the call that is being made."""
        self._stopped = True

    def run(self, until: Any = None) -> Any:
        """Until the instant `until` (everything due then included), until `stop`, or until nothing is left. A SimPy event as in SimPy."""
        if isinstance(until, simpy.Event):
            return super().run(until)
        end = FOR_EVER if until is None else until
        queue = self._heap
        self._stopped = False
        while queue and not self._stopped:
            entry = heappop(queue)
            if entry[0] > end:
                heappush(queue, entry)
                break
            item = entry[3]
            if type(item) is Handle:
                if not item.shut:
                    self.now = self._now = entry[0]
                    self.calls += 1
                    item.call(*item.arguments)
            else:
                self.now = self._now = entry[0]
                self._fire(item)
        if until is not None and not self._stopped and self.now < end:
            self.now = self._now = end
        return None

    def step(self) -> None:
        """One event, as SimPy has it."""
        if not self._heap:
            raise EmptySchedule
        at, _, _, item = heappop(self._heap)
        self.now = self._now = at
        if type(item) is not Handle:
            self._fire(item)
        elif not item.shut:
            self.calls += 1
            item.call(*item.arguments)

    def schedule(self, event: Any, priority: Any = 1, delay: Any = 0) -> None:
        """Of SimPy's own events: in order of creation among themselves, behind the channels."""
        self._number += 1
        heappush(self._heap, (self.now + int(delay), _SIMPY_TIE if priority > 0 else _URGENT_TIE, self._number, event))

    def _fire(self, event: Any) -> None:
        callbacks, event.callbacks = event.callbacks, None
        for callback in callbacks:
            callback(event)
        if not event._ok and not hasattr(event, "_defused"):
            raise event._value
