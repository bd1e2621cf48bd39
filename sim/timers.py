"""Timers: Arm and Disarm on simulated time. They never fire early; they may fire late, and several at once (F27).

A component that arms a timer for the past in each of its steps would never let time pass. That is a bug of it, and it is ended for it.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from sim.environment import Handle
from sim.process import Orders, Process
from smx.effects import Arm, Disarm
from smx.events import Expired

SPINS_MAX: Final = 1_000  # how often in a row one timer may fire at one instant
FIRED_MAX: Final = 1_024  # timers that may wait in the inbox


class Timers:
    """The armed timers of one process, by (timer, of)."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._machine = process.machine
        self._env = process.machine.world.env
        self._handles: dict[tuple[str, int], Handle] = {}
        self._fired: deque[tuple[str, int]] = deque()
        self._latest: tuple[tuple[str, int], int] | None = None  # what fired last, and when
        self._spins = 0

    def orders(self) -> Orders:
        return {Arm: self.arm, Disarm: self.disarm}

    def died(self, how: str) -> None:
        for handle in self._handles.values():
            handle.shut = True
        self._handles.clear()

    def arm(self, effect: Arm) -> None:
        key = (effect.timer, effect.of)
        earlier = self._handles.get(key)
        if earlier is not None:
            earlier.shut = True
        self._schedule(key, effect.at)

    def disarm(self, effect: Disarm) -> None:
        handle = self._handles.pop((effect.timer, effect.of), None)
        if handle is not None:
            handle.shut = True

    def _schedule(self, key: tuple[str, int], at: int) -> None:
        delay = max(at - self._process.now(), 0)
        grain = self._machine.timer_grain_us
        if grain:
            delay += -(self._env.now + delay) % grain
        self._handles[key] = self._env.later(delay, self._fire, key, at)

    def _forget(self, key: tuple[str, int]) -> None:
        """It fired long ago; unless it was armed again since."""
        handle = self._handles.get(key)
        if handle is not None and handle.done:
            del self._handles[key]

    def _fire(self, key: tuple[str, int], at: int) -> None:
        process = self._process
        if not process.alive:
            return
        if at > process.now():  # its clock stood still meanwhile
            self._schedule(key, at)
            return
        latest = (key, self._env.now)
        if latest != self._latest:
            self._latest, self._spins = latest, 0
        self._spins += 1
        if self._spins > SPINS_MAX:
            process.spins(Expired(*key))
            return
        handle = self._handles[key]
        handle.done = True
        if process.idle:
            del self._handles[key]
        else:  # it stays, so that Disarm finds it while it waits in the inbox
            self._fired.append(key)
            if len(self._fired) > FIRED_MAX:
                self._forget(self._fired.popleft())
        process.deliver(Expired(*key), handle)
