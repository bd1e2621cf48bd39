"""L6: one slow destination does not delay the others: what is promised for them arrives within a stated bound.

Judged only while nothing else is wrong: every fault of the run is a slow or dead destination (`place`: its host or domain).
"""

from typing import Final

from sim.duplicates import Outlook
from sim.facts import Arrived
from sim.ledger import Ledger
from sim.observer import Handlers, Violation, violate
from smx.units import SECOND

BOUND_US: Final = 30 * SECOND
SLOW: Final = frozenset(("F36", "F37", "F38", "F39"))


class SlowIsAlone:
    id = "L6"
    sentence = "one slow destination does not delay the others beyond a stated bound"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._ledger = ledger
        self._late: list[Arrived] = []
        self.handlers: Handlers = {Arrived: self._on_arrived}

    def _on_arrived(self, fact: Arrived) -> None:
        sending = self._ledger.sendings.get(fact.token)
        if sending is not None and fact.at - sending.submitted.at > self._ledger.limit("L6.bound", BOUND_US):
            self._late.append(fact)

    def finish(self, at: int) -> None:
        ledger = self._ledger
        if not ledger.faults or not ledger.families <= SLOW or ledger.crashes:
            return
        slow = [fault.place for fault in ledger.faults]
        for fact in self._late:
            if fact.host in slow or any(fact.recipient.endswith("@" + place) for place in slow):
                continue
            sending = ledger.sendings[fact.token]
            seconds = (fact.at - sending.submitted.at) // SECOND
            violate(self, fact.at, f"{fact.token} for {fact.recipient} took {seconds} s although its host is well", ledger.faults[0], sending.submitted, fact)
