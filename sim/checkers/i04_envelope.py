"""I4: deliveries go to accepted recipients, or to what the log says an alias became (A7); the reverse-path stays what it was.

Nobody that an alias stands for is handed out before that is on record. An alias with an owner changes the reverse-path of its own recipients, nothing
else does, and nothing changes the null reverse-path. A DSN has the null one.
"""

from sim.duplicates import Outlook
from sim.facts import Arrived, Bounced, Crashed, Noted, Ordered
from sim.ledger import Ledger, Place, same_address
from sim.observer import Handlers, Violation, violate


class EnvelopeKept:
    id = "I4"
    sentence = "deliveries go to accepted recipients or their declared expansion, and the reverse-path is not altered"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._ledger = ledger
        self._expanding: dict[Place, Noted] = {}  # aliases that were followed, and the record of it is not durable yet
        self.handlers: Handlers = {
            Arrived: self._on_arrived,
            Bounced: self._on_bounced,
            Crashed: self._on_crashed,
            Ordered: self._on_ordered,
            "expanded": self._on_expansion,
            "recorded": self._on_recorded,
        }

    def _on_arrived(self, fact: Arrived) -> None:
        sending = self._ledger.sendings.get(fact.token)
        if sending is None:
            return  # I3
        submitted = sending.submitted
        accepted = any(same_address(fact.recipient, recipient) for recipient in submitted.recipients)
        if not accepted and not self._expanded(fact):
            violate(self, fact.at, f"{fact.token} arrived for {fact.recipient}, whom its envelope does not name", submitted, fact)
        sender = fact.sender
        if sender is not None and not same_address(sender, submitted.sender) and (accepted or not submitted.sender):
            violate(self, fact.at, f"the reverse-path of {fact.token} was <{submitted.sender}> and arrived as <{sender}>", submitted, fact)

    def _expanded(self, fact: Arrived) -> bool:
        envelope = self._ledger.envelopes.get(fact.transaction)
        if envelope is None:
            return False
        return any(index in envelope.parents for index in envelope.indices(fact.recipient))

    def _on_expansion(self, fact: Noted) -> None:
        self._expanding[fact.values[0], fact.values[1]] = fact

    def _on_recorded(self, fact: Noted) -> None:
        self._expanding.pop((fact.values[0], fact.values[1]), None)

    def _on_crashed(self, fact: Crashed) -> None:
        """What the next QMGR finds in the log is on record."""
        if fact.process in ("qmgr", "power"):
            self._expanding.clear()

    def _on_ordered(self, fact: Ordered) -> None:
        """A7: an expansion is on record before anybody in it is handed out."""
        if not self._expanding or self._ledger.lossy:
            return
        envelope = self._ledger.envelopes.get(fact.transaction)
        for index in fact.indices if envelope is not None else ():
            assert envelope is not None
            parent, _ = envelope.parents.get(index, (-1, 0))
            expanded = self._expanding.get((fact.transaction, parent))
            if expanded is not None:
                violate(self, fact.at, f"recipient {index} is handed out before it is on record that {parent} stands for it", expanded, fact)

    def _on_bounced(self, fact: Bounced) -> None:
        if fact.sender:
            violate(self, fact.at, f"a notification came with the reverse-path <{fact.sender}>", fact)

    def finish(self, at: int) -> None:
        pass
