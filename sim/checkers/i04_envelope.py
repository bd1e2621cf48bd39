"""I4: deliveries go to accepted recipients, or to what the log says an alias became (A7); the reverse-path stays what it was.

An alias with an owner changes the reverse-path of its own recipients, nothing else does, and nothing changes the null reverse-path. A DSN has the null one.
"""

from sim.duplicates import Outlook
from sim.facts import Arrived, Bounced
from sim.ledger import Ledger, same_address
from sim.observer import Handlers, Violation, violate


class EnvelopeKept:
    id = "I4"
    sentence = "deliveries go to accepted recipients or their declared expansion, and the reverse-path is not altered"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._ledger = ledger
        self.handlers: Handlers = {Arrived: self._on_arrived, Bounced: self._on_bounced}

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

    def _on_bounced(self, fact: Bounced) -> None:
        if fact.sender:
            violate(self, fact.at, f"a notification came with the reverse-path <{fact.sender}>", fact)

    def finish(self, at: int) -> None:
        pass
