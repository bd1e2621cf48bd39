"""Poison: a message that crashes a process whenever that process has it in hand (F23), until QMGR sets it aside (A14).

qmgr    dies where it would tell SMTPC to deliver the message
smtpc   dies when it is told so, before it has done anything
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.process import PoisonedError
from smx.effects import AnyEffect, Tell
from smx.events import AnyEvent, Told
from smx.messages import AnyMessage, Deliver

if TYPE_CHECKING:
    from sim.process import Process

KINDS: Final = ("qmgr", "smtpc")


class Poison:
    """One message. `times`: how often it kills; 0: always."""

    def __init__(self, kind: str, transaction: int, times: int) -> None:
        assert kind in KINDS, f"{kind} cannot be poisoned"
        self.transaction = transaction
        self.kills = 0
        self._kind = kind
        self._times = times

    def infect(self, process: Process) -> None:
        """A process that may get it in hand."""
        if process.kind != self._kind:
            return
        if process.kind == "qmgr":
            process.overhear(Tell, self._on_tell)
            return
        step = process.component.step

        def poisoned(event: AnyEvent, now: int) -> list[AnyEffect]:
            if type(event) is Told:
                self._look(event.message)
            return step(event, now)

        process.replace_step(poisoned)

    def cure(self) -> None:
        """It kills nobody any more."""
        self._times = self.kills or -1

    def _on_tell(self, effect: Tell) -> None:
        self._look(effect.message)

    def _look(self, message: AnyMessage) -> None:
        if type(message) is Deliver and message.transaction == self.transaction and (not self._times or self.kills < self._times):
            self.kills += 1
            raise PoisonedError(self.transaction)
