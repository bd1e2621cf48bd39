"""Reports: what SMTPC says to QMGR; results that had to wait for its link are said only to the QMGR that ordered them (its epoch)."""

from collections import deque
from typing import Final

from smx import limits
from smx.effects import AnyEffect, Tell
from smx.messages import Delivered

QMGR: Final = "qmgr"
UNSAID_MAX: Final = limits.DELIVERIES_MAX  # results that wait for a link to their QMGR


class Reports:
    """`epoch` is that of the QMGR that is linked, 0: none is."""

    def __init__(self) -> None:
        self.epoch = 0
        self._unsaid: deque[tuple[int, Delivered]] = deque(maxlen=UNSAID_MAX)  # (epoch of its QMGR, result)

    def say(self, epoch: int, delivered: Delivered, effects: list[AnyEffect]) -> None:
        """A result for the QMGR of this epoch: now, or when its link comes back."""
        if self.epoch == epoch:
            effects.append(Tell(QMGR, delivered))
        elif self.epoch == 0:
            self._unsaid.append((epoch, delivered))

    def say_unsaid(self, effects: list[AnyEffect]) -> None:
        """A QMGR is linked: say what has waited for this one; another one counts it as deferred already."""
        effects.extend(Tell(QMGR, delivered) for epoch, delivered in self._unsaid if epoch == self.epoch)
        self._unsaid.clear()
