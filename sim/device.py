"""Device: the time of a machine's disk: syncs wait for each other, take what a draw says, and may stall for seconds (F12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sim.environment import Channel

if TYPE_CHECKING:
    from sim.choices import Stream
    from sim.costs import Times
    from sim.environment import Environment


class Device:
    """`times.syncs_at_once` syncs are worked on at a time, each ending in order of its own queue."""

    def __init__(self, env: Environment, stream: Stream, times: Times) -> None:
        self._env = env
        self._stream = stream
        self._low, self._high = times.sync_min_us, times.sync_max_us
        self._free_at = [0] * max(times.syncs_at_once, 1)
        self._channels = [Channel(f"disk {number}") for number in range(len(self._free_at))]
        self.syncs = 0
        self.busy_us = 0  # of what was ordered
        self.jobs = 0  # groups of syncs that were ordered
        self.waiting = 0  # of them, those that are not finished
        self.sojourn_us = 0  # of those that are finished: from the order to the end
        self._stalled_until = 0

    def work(self, syncs: int, call: Callable[..., object], *arguments: Any) -> None:
        """Call when so many syncs, one after the other, are done."""
        now, free_at = self._env.now, self._free_at
        place = free_at.index(min(free_at)) if len(free_at) > 1 else 0
        service = self._low * syncs if self._low == self._high else sum(self._stream.between(self._low, self._high) for _ in range(syncs))
        self.syncs += syncs
        self.jobs += 1
        self.waiting += 1
        self.busy_us += service
        begin = max(now, free_at[place], self._stalled_until)
        free_at[place] = begin + service
        self._env.after(self._channels[place], begin + service - now, self._finished, now, call, arguments)

    @property
    def worked_us(self) -> int:
        """How long it has been busy until now: `busy_us` without what is still to be done. Of all places together."""
        now = self._env.now
        return self.busy_us - sum(free_at - now for free_at in self._free_at if free_at > now)

    def stall(self, for_us: int) -> None:
        """Nothing is finished for so long (F12)."""
        self._stalled_until = max(self._stalled_until, self._env.now + for_us)

    def calm(self) -> None:
        self._stalled_until = 0

    def _finished(self, since: int, call: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        wait = self._stalled_until - self._env.now
        if wait > 0:
            self._env.later(wait, self._finished, since, call, arguments)
            return
        self.waiting -= 1
        self.sojourn_us += self._env.now - since
        call(*arguments)
