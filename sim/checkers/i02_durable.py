"""I2: 250 means durable, or delivered. Judged at the instant of the 250: by what the world saw on the disk, and by the log's own order of notes."""

from sim.duplicates import Outlook
from sim.facts import Crashed, Noted, Sent250
from sim.ledger import DELIVERED, Ledger
from sim.observer import Handlers, Violation, violate


class DurableAt250:
    id = "I2"
    sentence = "when the last octet of a 250 is handed to the socket, a power loss still leaves envelope and content, or all is delivered"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._ledger = ledger
        self._delivered: dict[int, set[int]] = {}  # transaction that is not durable -> its recipients that are delivered
        self._doubtful: dict[int, Noted] = {}  # answered, and nothing in the log says that it is durable
        self.handlers: Handlers = {
            Sent250: self._on_sent,
            Crashed: self._on_crashed,
            "accepted": self._on_accepted,
            "verdict": self._on_verdict,
            "durable": self._on_durable,
        }

    def _on_sent(self, fact: Sent250) -> None:
        if fact.durable is False and "F13" not in self._ledger.families:
            envelope = self._ledger.envelopes.get(fact.transaction)
            violate(self, fact.at, "250 was said for what a power loss would take away", *((envelope.submitted,) if envelope else ()), fact)

    def _on_verdict(self, fact: Noted) -> None:
        transaction, index, _, outcome = fact.values[:4]
        envelope = self._ledger.envelopes.get(transaction)
        if outcome in DELIVERED and envelope is not None and envelope.durable is None:
            self._delivered.setdefault(transaction, set()).add(index)

    def _on_accepted(self, fact: Noted) -> None:
        transaction = fact.values[1]
        envelope = self._ledger.envelopes.get(transaction)
        if envelope is not None:
            if envelope.durable is not None:
                return
            delivered = self._delivered.pop(transaction, ())
            if all(index in delivered for index in envelope.recipients):
                return
        if self._ledger.lossy:
            self._doubtful[transaction] = fact
        else:
            violate(self, fact.at, "250 was said, and QMGR had neither stored nor delivered it", *((envelope.submitted,) if envelope else ()), fact)

    def _on_durable(self, fact: Noted) -> None:
        self._doubtful.pop(fact.values[0], None)

    def _on_crashed(self, fact: Crashed) -> None:
        """The log of a killed QMGR lacks its last lines."""
        if not fact.process.startswith(("smt", "smar", "lda")):
            self._doubtful.clear()

    def finish(self, at: int) -> None:
        for fact in self._doubtful.values():
            violate(self, fact.at, "250 was said, and QMGR had neither stored nor delivered it", fact)
