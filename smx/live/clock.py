"""Clock: the time that components see, which never runs back, and the wall clock beside it (architecture 1, F26).

`now` is the wall clock at process start plus the monotonic time since, in microseconds. A wall clock that jumps later
does not move it: the difference is told to the components as ClockJumped, and only stamps add it.
"""

import time
from collections.abc import Callable
from typing import Final

from smx.units import SECOND

JUMP_US: Final = 1 * SECOND  # a smaller difference is slewing, and nobody is told


class Clock:
    """The clock of a process. Both sources count nanoseconds; tests pass their own."""

    def __init__(self, wall_ns: Callable[[], int] = time.time_ns, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._base_ns = wall_ns() - monotonic_ns()
        self.wall_offset = 0  # wall = now + wall_offset, microseconds

    def now(self) -> int:
        return (self._base_ns + self._monotonic_ns()) // 1000

    def jumped(self) -> bool:
        """True when the wall clock differs from now + wall_offset by more than a second; `wall_offset` is then the new difference."""
        offset = self._wall_ns() // 1000 - self.now()
        if abs(offset - self.wall_offset) <= JUMP_US:
            return False
        self.wall_offset = offset
        return True
