"""L7: a shutdown, or a reload, ends in bounded time. That it makes no duplicates is I6's: an orderly stop explains none."""

from typing import Final

from sim.duplicates import Outlook
from sim.facts import POWER, Crashed, FaultInjected, Noted, Stopped
from sim.ledger import Ledger
from sim.observer import Handlers, Violation, violate
from smx.units import SECOND

BOUND_US: Final = 30 * SECOND  # the grace of a stop is 25 s


class ShutdownEnds:
    id = "L7"
    sentence = "shutdown and reload end in bounded time, without duplicates"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._ledger = ledger
        self._stopping: dict[str, Noted] = {}
        self._stalled: list[FaultInjected] = []
        self.handlers: Handlers = {
            Stopped: self._on_stopped,
            Crashed: self._on_crashed,
            FaultInjected: self._on_fault,
            "stopping": self._on_stopping,
            "started": self._on_started,
        }

    def _on_stopping(self, fact: Noted) -> None:
        self._stopping.setdefault(fact.process, fact)

    def _on_stopped(self, fact: Stopped) -> None:
        self._over(fact.process, fact.at)

    def _on_started(self, fact: Noted) -> None:
        """A new one runs: the old one is gone."""
        self._over(fact.process, fact.at)

    def _on_crashed(self, fact: Crashed) -> None:
        if fact.process == POWER:
            self._stopping.clear()
        else:
            self._over(fact.process, fact.at)

    def _on_fault(self, fact: FaultInjected) -> None:
        if fact.fault in ("F12", "F20"):
            self._stalled.append(fact)

    def _over(self, process: str, at: int) -> None:
        stopping = self._stopping.pop(process, None)
        if stopping is not None:
            self._judge(stopping, at)

    def _judge(self, stopping: Noted, at: int) -> None:
        took = at - stopping.at
        stalled = any(fault.at >= stopping.at for fault in self._stalled)
        if took > self._ledger.limit("L7.bound", BOUND_US) and not stalled:
            violate(self, at, f"{stopping.process} is stopping since {took // SECOND} s", stopping)

    def finish(self, at: int) -> None:
        for stopping in self._stopping.values():
            self._judge(stopping, at)
