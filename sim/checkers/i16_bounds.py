"""I16: memory, descriptors, queues and octets of a session stay under their limits. The world takes the samples; the first one beyond is objected to."""

from sim.duplicates import Outlook
from sim.facts import Bound
from sim.ledger import Ledger
from sim.observer import Handlers, Violation, violate


class BoundsKept:
    id = "I16"
    sentence = "memory, descriptors, queue lengths and octets of each session stay under the configured limits"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._objected: set[str] = set()
        self.handlers: Handlers = {Bound: self._on_bound}

    def _on_bound(self, fact: Bound) -> None:
        if fact.value > fact.limit and fact.name not in self._objected:
            self._objected.add(fact.name)
            violate(self, fact.at, f"{fact.name}: {fact.value}, and the limit is {fact.limit}", fact)

    def finish(self, at: int) -> None:
        pass
