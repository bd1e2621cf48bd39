"""Window: how many deliveries to one destination may be under way at once (SX20, I11).

Slow start: a destination that nobody spoke to yet gets `initial` connections; each one that succeeds allows one more, up to
`maximum`. A connection that cannot be made takes one away. When as many fail in a row as the window was wide when the first of
them failed (a cohort), the destination is dead: nothing is sent until a back-off has passed, and then one delivery alone, the
probe. The back-off doubles with each failed probe; a probe that succeeds starts again with `initial`, so that the backlog of
a healed destination comes in no herd (F39, L3).

Only connections count, not what the peer says of a message: a peer that answers 4yz to everything is alive. It gets no more
connections for that, and no fewer.
"""

from enum import IntEnum

from msgspec import Struct


class Ending(IntEnum):
    """What a delivery says about its destination."""

    GOOD = 1  # spoken to, and at least one recipient got a final answer
    BUSY = 2  # spoken to, but everything was put off
    FAILED = 3  # no host could be spoken to
    UNKNOWN = 4  # our own side ended it


class WindowLimits(Struct):
    """Shared by all windows, and changed while they are in use (SX66). Times in microseconds."""

    initial: int
    maximum: int
    dead_min_us: int
    dead_max_us: int


class Window:
    """The window of one destination. Its owner asks `room`, says `began`, and says `ended` once for each `began`."""

    __slots__ = ("_cohort", "_failures", "_limit", "_limits", "backoff_us", "dead_until", "in_flight")

    def __init__(self, limits: WindowLimits) -> None:
        self._limits = limits
        self._limit = limits.initial
        self._failures = 0  # in a row
        self._cohort = 0  # how many of them make the destination dead
        self.in_flight = 0
        self.dead_until = 0  # now at which it may be probed; 0: alive
        self.backoff_us = 0

    @property
    def limit(self) -> int:
        """How many may be under way now, were the destination's back-off over."""
        return 1 if self.dead_until else max(1, min(self._limit, self._limits.maximum))

    @property
    def dead(self) -> bool:
        """No delivery has succeeded since a cohort failed."""
        return self.dead_until != 0

    def probe_now(self, now: int) -> None:
        """An operator knows better: the back-off is over."""
        self.dead_until = min(self.dead_until, now)

    def room(self, now: int) -> bool:
        """May one more delivery begin?"""
        if self.dead_until:
            return now >= self.dead_until and self.in_flight == 0
        return self.in_flight < self._limit and self.in_flight < self._limits.maximum

    def began(self, now: int) -> None:
        assert self.room(now), "a delivery began outside the window (I11)"
        self.in_flight += 1

    def ended(self, ending: Ending, now: int, spread: float) -> bool:
        """A delivery ended. True: the destination is dead, again or from now on. `spread` in [0, 1) moves the probe."""
        assert self.in_flight > 0
        self.in_flight -= 1
        if ending is Ending.FAILED:
            return self._failed(now, spread)
        if ending is Ending.UNKNOWN:
            return False
        self._failures = 0
        if self.dead_until:
            self.dead_until = self.backoff_us = 0
            self._limit = self._limits.initial
        elif ending is Ending.GOOD and self._limit < self._limits.maximum:
            self._limit += 1
        return False

    def _failed(self, now: int, spread: float) -> bool:
        if self.dead_until > now:
            return False  # one that had begun before the destination died
        if self.dead_until:
            self._bury(now, spread)
            return True
        if self._failures == 0:
            self._cohort = self.limit
        self._failures += 1
        self._limit = max(1, self._limit - 1)
        if self._failures < self._cohort:
            return False
        self._bury(now, spread)
        return True

    def _bury(self, now: int, spread: float) -> None:
        """Dead until a back-off has passed: doubled each time, lengthened by up to a tenth so that probes do not march in step."""
        self.backoff_us = min(max(self.backoff_us * 2, self._limits.dead_min_us), self._limits.dead_max_us)
        self.dead_until = now + self.backoff_us + int(self.backoff_us * spread / 10)
        self._failures = 0
        self._limit = self._limits.initial
