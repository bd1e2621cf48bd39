"""I9: log discipline (A2). What recovery reads is history up to the torn tail, with every acknowledged commit, and damage is told from a torn tail.

corrupt, without cause    damage below the durable offset although nothing damaged the disk
silent                    octets that count were damaged, recovery ended, and nobody said so
forgotten                 recovery found fewer recipients than were durable and open when QMGR died
"""

from typing import Final

from sim.duplicates import Outlook
from sim.facts import Crashed, FaultInjected, Noted
from sim.ledger import Ledger, words
from sim.observer import Handlers, Violation, violate

DAMAGING: Final = frozenset(("F7", "F8", "F9", "F10", "F13", "F16"))
LOG: Final = "ibdb"


class LogDiscipline:
    id = "I9"
    sentence = "recovery reads every acknowledged commit; damage below the durable offset is reported, and what follows it is still read"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._ledger = ledger
        self._open: dict[int, set[int]] = {}  # durable transaction -> recipients that were never tried
        self._before: dict[int, set[int]] = {}  # transaction that is not durable -> recipients that were tried already (A12)
        self._silent: list[FaultInjected] = []  # damage that must be reported
        self._died: Crashed | None = None  # QMGR, and it has not recovered yet
        self._tampered = False  # an operator changed the queue
        self.handlers: Handlers = {
            FaultInjected: self._on_fault,
            Crashed: self._on_crashed,
            "durable": self._on_durable,
            "verdict": self._on_end,
            "expanded": self._on_end,
            "removed": self._on_end,
            "quarantined": self._on_quarantined,
            "unbounced": self._on_end,
            "closed": self._on_closed,
            "audit": self._on_audit,
            "damaged": self._on_damaged,
            "trouble": self._on_reported,
            "halted": self._on_reported,
            "recovered": self._on_recovered,
        }

    # --- what is open ---------------------------------------------------------------------------------------------------

    def _on_durable(self, fact: Noted) -> None:
        envelope = self._ledger.envelopes.get(fact.values[0])
        if envelope is not None:
            self._open[envelope.id] = set(envelope.recipients) - self._before.pop(envelope.id, set())

    def _on_end(self, fact: Noted) -> None:
        self._close(fact.values[0], fact.values[1])

    def _close(self, transaction: int, index: int) -> None:
        indices = self._open.get(transaction)
        if indices is None:
            self._before.setdefault(transaction, set()).add(index)
            return
        indices.discard(index)

    def _on_closed(self, fact: Noted) -> None:
        self._open.pop(fact.values[0], None)

    def _on_audit(self, fact: Noted) -> None:
        self._tampered = True

    # --- crash and recovery ---------------------------------------------------------------------------------------------

    def _on_crashed(self, fact: Crashed) -> None:
        if fact.process in ("qmgr", "power") and self._died is None:
            self._died = fact

    def _on_recovered(self, fact: Noted) -> None:
        died, self._died = self._died, None
        for fault in self._silent:
            violate(self, fact.at, f"the log was damaged ({fault.text or fault.place}), and recovery says nothing of it", fault, fact)
        self._silent.clear()
        if died is None or self._tampered or self._ledger.lossy or self._ledger.unsafe or not self._ledger.families.isdisjoint(DAMAGING):
            return
        _, recipients, deferred, _ = fact.values
        expected = sum(map(len, self._open.values()))
        if recipients + deferred < expected:
            violate(self, fact.at, f"{expected} recipients were durable and never tried, and recovery found {recipients + deferred}", died, fact)

    # --- damage -----------------------------------------------------------------------------------------------------------

    def _on_fault(self, fact: FaultInjected) -> None:
        if fact.must_show and LOG in fact.place:
            self._silent.append(fact)

    def _on_damaged(self, fact: Noted) -> None:
        self._silent.clear()
        store, _, _, _, reason = fact.values
        causeless = self._ledger.families.isdisjoint(DAMAGING)
        if causeless and store == LOG and words(reason).startswith("corrupt"):
            violate(self, fact.at, f"corruption of the log without a cause: {words(reason)}", fact)

    def _on_quarantined(self, fact: Noted) -> None:
        self._silent.clear()
        self._close(fact.values[0], fact.values[1])

    def _on_reported(self, fact: Noted) -> None:
        self._silent.clear()

    def finish(self, at: int) -> None:
        pass
