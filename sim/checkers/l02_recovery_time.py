"""L2: recovery takes at most a + b times the octets of the log. a and b are published here; a world may set its own ("L2.a", "L2.b_per_mib")."""

from typing import Final

from sim.duplicates import Outlook
from sim.facts import Noted
from sim.ledger import Ledger
from sim.observer import Handlers, Violation, violate
from smx.units import MIB, SECOND

A_US: Final = 2 * SECOND
B_US_PER_MIB: Final = SECOND
STALLS: Final = frozenset(("F12", "F20"))  # time that passes is not recovery's then


class RecoveryTime:
    id = "L2"
    sentence = "recovery takes at most a + b x octets of the log"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._ledger = ledger
        self._recovering: dict[int, Noted] = {}  # epoch -> note
        self.handlers: Handlers = {"recovering": self._on_recovering, "recovered": self._on_recovered}

    def _on_recovering(self, fact: Noted) -> None:
        self._recovering[fact.epoch] = fact

    def _on_recovered(self, fact: Noted) -> None:
        began = self._recovering.pop(fact.epoch, None)
        if began is None or not self._ledger.families.isdisjoint(STALLS):
            return
        octets, elapsed = began.values[1], fact.values[3]
        bound = self._ledger.limit("L2.a", A_US) + self._ledger.limit("L2.b_per_mib", B_US_PER_MIB) * octets // MIB
        if elapsed > bound:
            violate(self, fact.at, f"recovery of {octets} octets took {elapsed} us, more than {bound}", began, fact)

    def finish(self, at: int) -> None:
        pass
