"""I5: content integrity. Whoever says Arrived has compared the octets (sim.contents); this objects to every difference."""

from sim.duplicates import Outlook
from sim.facts import Arrived
from sim.ledger import Ledger
from sim.observer import Handlers, Violation, violate


class ContentIntact:
    id = "I5"
    sentence = "the octets that arrive are the octets that were sent, behind our trace fields"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._ledger = ledger
        self.handlers: Handlers = {Arrived: self._on_arrived}

    def _on_arrived(self, fact: Arrived) -> None:
        if fact.fault:
            sending = self._ledger.sendings.get(fact.token)
            violate(self, fact.at, f"{fact.token} was altered on the way to {fact.host}: {fact.fault}", *((sending.submitted,) if sending else ()), fact)

    def finish(self, at: int) -> None:
        pass
