"""I3: no phantom. What was submitted and never answered may arrive (RFC 1047), never half of it, and nothing that its sender was told is refused.

A refusal is 4yz or 5yz to the content. Two exceptions: 421 says that nobody knows (A9), and a delivery that had begun before the refusal (A12).
"""

from sim.duplicates import Outlook
from sim.facts import Arrived, Noted
from sim.ledger import Ledger
from sim.observer import Handlers, Violation, violate


class NoPhantom:
    id = "I3"
    sentence = "nothing is delivered that was not submitted, and never half of a message"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._ledger = ledger
        self._begun: dict[int, Noted] = {}  # transaction -> its latest delivery
        self.handlers: Handlers = {Arrived: self._on_arrived, "begun": self._on_begun}

    def _on_begun(self, fact: Noted) -> None:
        self._begun[fact.values[1]] = fact

    def _on_arrived(self, fact: Arrived) -> None:
        sending = self._ledger.sendings.get(fact.token)
        if sending is None:
            violate(self, fact.at, f"{fact.token or 'a message without token'} arrived at {fact.host} and its final dot was never sent", fact)
            return
        if fact.fault == "short":
            violate(self, fact.at, f"only the beginning of {fact.token} arrived at {fact.host}", sending.submitted, fact)
        refused = sending.refused
        begun = self._begun.get(fact.transaction)
        if refused is not None and refused.code != 421 and begun is not None and begun.at > refused.at:
            violate(self, fact.at, f"{fact.token} was refused with {refused.code}, and delivered afterwards", refused, begun, fact)

    def finish(self, at: int) -> None:
        pass
