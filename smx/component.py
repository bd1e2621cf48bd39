"""Component: the one shape that every process's step machine has (architecture 1)."""

from typing import Protocol

from smx.effects import AnyEffect
from smx.events import AnyEvent


class Component(Protocol):
    """A pure step machine: no clock, no I/O, no randomness. The runtime calls `step` and carries the effects out in order."""

    @property
    def name(self) -> str:
        """The process name: `qmgr`, `smtps.mx.0`, ..."""
        ...

    def step(self, event: AnyEvent, now: int) -> list[AnyEffect]:
        """Take one fact at time `now` (microseconds, never running back); give orders. Never re-entered."""
        ...
