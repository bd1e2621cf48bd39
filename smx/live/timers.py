"""Timers: Arm and Disarm on the event loop's own heap.

A timer that the loop fires early (uvloop counts milliseconds) is armed again for the rest: Expired never comes before `at`.
"""

from asyncio import TimerHandle
from typing import Final

from smx.effects import Arm, Disarm
from smx.events import Expired
from smx.live.device import Orders
from smx.live.runner import Runner

GRAIN_S: Final = 0.0005  # added when the rest is armed again, so that one more round suffices


class Timers:
    """The armed timers of one component, by (timer, of)."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._handles: dict[tuple[str, int], TimerHandle] = {}

    def orders(self) -> Orders:
        return {Arm: self.arm, Disarm: self.disarm}

    def close(self) -> None:
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()

    def arm(self, effect: Arm) -> None:
        key = (effect.timer, effect.of)
        earlier = self._handles.get(key)
        if earlier is not None:
            earlier.cancel()
        wait_us = effect.at - self._runner.clock.now()
        self._handles[key] = self._runner.loop.call_later(wait_us / 1e6 if wait_us > 0 else 0.0, self._fire, key, effect.at)

    def disarm(self, effect: Disarm) -> None:
        handle = self._handles.pop((effect.timer, effect.of), None)
        if handle is not None:
            handle.cancel()

    def _fire(self, key: tuple[str, int], at: int) -> None:
        early_us = at - self._runner.clock.now()
        if early_us > 0:
            self._handles[key] = self._runner.loop.call_later(early_us / 1e6 + GRAIN_S, self._fire, key, at)
            return
        del self._handles[key]
        self._runner.deliver(Expired(*key))
