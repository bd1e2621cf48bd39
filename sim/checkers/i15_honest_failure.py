"""I15: a failure is admitted.

after a failed sync        that process says no 250, records nothing, and notes nothing as durable any more: it ends itself
while the disk is full     new mail gets 4yz: not 250 for what is not stored (I2), not 5yz for a lack of space
damaged content            somebody reports it
a process that ends itself has a cause from outside; a bug is none, and a full disk is none either once it serves (A10)
"""

from typing import Final

from sim.duplicates import Outlook
from sim.facts import Crashed, FaultEnded, FaultInjected, Noted, Refused
from sim.ledger import Ledger
from sim.observer import Handlers, Violation, violate

FAILED_SYNC: Final = ("F7", "F8")
FULL: Final = "F11"
DISK: Final = frozenset(("F6", "F7", "F8", "F9", "F10", "F11", "F13", "F16", "F25"))  # what may make a process end itself
OTHER: Final = frozenset(("F21", "F22"))
SPACE: Final = ("5.3.1", "4.3.1", "storage")  # in a reply about a lack of space
TAKEN: Final = ("accepted", "durable", "recorded")


class HonestFailure:
    id = "I15"
    sentence = "after a failed sync no further 250; a full disk means 4yz; damage is reported; no process ends itself without a cause"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._ledger = ledger
        self._failed: dict[tuple[str, int], FaultInjected] = {}  # (process, epoch) whose sync failed
        self._full: dict[str, FaultInjected] = {}  # place -> since when
        self._silent: list[FaultInjected] = []
        self._ready: set[tuple[str, int]] = set()  # (process, epoch) that serves
        self._single = False  # one operation found no space: that may be a sync
        self.handlers: Handlers = {
            FaultInjected: self._on_fault,
            FaultEnded: self._on_fault_ended,
            Crashed: self._on_crashed,
            Refused: self._on_refused,
            "ready": self._on_ready,
            **dict.fromkeys(TAKEN, self._on_taken),
            **dict.fromkeys(("damaged", "quarantined", "trouble", "halted"), self._on_reported),
        }

    def _on_fault(self, fact: FaultInjected) -> None:
        if fact.fault in FAILED_SYNC:
            self._failed[fact.process, fact.epoch] = fact
        elif fact.fault == FULL:
            self._full[fact.place] = fact
            self._single = self._single or not fact.place
        if fact.must_show and "ibdb" not in fact.place:
            self._silent.append(fact)

    def _on_fault_ended(self, fact: FaultEnded) -> None:
        if fact.fault == FULL:
            self._full.pop(fact.place, None)

    def _on_taken(self, fact: Noted) -> None:
        failed = self._failed.get((fact.process, fact.epoch))
        if failed is not None:
            violate(self, fact.at, f"{fact.process} notes `{fact.name}` after its sync had failed", failed, fact)

    def _on_refused(self, fact: Refused) -> None:
        if self._full and fact.code >= 500 and any(word in fact.text for word in SPACE):
            violate(self, fact.at, f"the disk is full, and {fact.token} is refused for good: {fact.code} {fact.text}", *self._full.values(), fact)

    def _on_ready(self, fact: Noted) -> None:
        self._ready.add((fact.process, fact.epoch))

    def _on_crashed(self, fact: Crashed) -> None:
        if fact.how == "bug":
            violate(self, fact.at, f"{fact.process} ended by an error of its own", fact)
        elif fact.how == "halt":
            causes = self._ledger.families & (DISK | OTHER)
            if not causes:
                violate(self, fact.at, f"{fact.process} ended itself without a cause", fact)
            elif causes == {FULL} and not self._single and (fact.process, fact.epoch) in self._ready:
                violate(self, fact.at, f"{fact.process} ended itself for want of space", *self._full.values(), fact)

    def _on_reported(self, fact: Noted) -> None:
        self._silent.clear()

    def finish(self, at: int) -> None:
        for fault in self._silent:
            violate(self, at, f"damage was never reported: {fault.text or fault.place}", fault)
