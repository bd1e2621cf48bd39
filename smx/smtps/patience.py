"""Patience: waits of equal length with one timer for all of them, so that no wait costs a timer of its own.

Because every wait has the same length, the one that began first ends first: the dict of Python, which keeps the order of insertion, is the queue.
"""

from collections.abc import Callable
from typing import Final

from smx.effects import AnyEffect, Arm


class Patience:
    """Keys that wait for an answer. `begin`, then `end` when it came; `expired` gives those for which it did not come in time."""

    def __init__(self, emit: Callable[[AnyEffect], None], timer: str, wait_us: int) -> None:
        self._emit: Final = emit
        self._timer: Final = timer
        self._wait_us: Final = wait_us
        self._deadlines: Final[dict[int, int]] = {}
        self._armed = False

    def __len__(self) -> int:
        return len(self._deadlines)

    def begin(self, key: int, now: int) -> None:
        """`key` waits from now on; a wait of it that had begun before is over."""
        self._deadlines.pop(key, None)
        self._deadlines[key] = now + self._wait_us
        if not self._armed:
            self._arm(now + self._wait_us)

    def end(self, key: int) -> None:
        """`key` waits no longer. The timer stays: it is checked when it fires (one Arm for many waits)."""
        self._deadlines.pop(key, None)

    def expired(self, now: int) -> list[int]:
        """The timer fired: the keys whose time is over, which wait no longer; it is armed again for the next one."""
        self._armed = False
        over: list[int] = []
        for key, deadline in self._deadlines.items():
            if deadline > now:
                self._arm(deadline)
                break
            over.append(key)
        for key in over:
            del self._deadlines[key]
        return over

    def _arm(self, at: int) -> None:
        self._armed = True
        self._emit(Arm(self._timer, 0, at))
