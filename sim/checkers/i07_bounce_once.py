"""I7: at most one failure DSN for each recipient, and none to the null reverse-path (RFC 5321 4.5.5, RFC 3461 6.1).

Told apart by what a DSN is about (its Message-ID says it): several DSNs about one message that all fail are as many failures of one mailbox. Who
stands in an envelope twice may fail twice. Copies of one and the same DSN are duplicates (I6), not this. A failure that the sender asked not to
hear of, or that comes of a delivery, is I1's.
"""

from sim.duplicates import Outlook
from sim.facts import Bounced, Noted
from sim.ledger import Ledger, about, words
from sim.observer import Handlers, Violation, violate
from smx.messages import Notify


class BounceOnce:
    id = "I7"
    sentence = "at most one failure notification for each message and recipient, none to the null reverse-path, none of a notification to its sender"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._ledger = ledger
        self._told: dict[tuple[str, int, str, str], dict[str, Bounced]] = {}  # by Message-ID
        self._notices: dict[int, Noted] = {}  # by their own transaction
        self.handlers: Handlers = {Bounced: self._on_bounced, "bounced": self._on_notified}

    def _on_notified(self, fact: Noted) -> None:
        original, kind, notification, _, to = fact.values
        if not to:
            violate(self, fact.at, "a notification is queued to the null reverse-path", fact)
        before = self._notices.get(original)
        if before is not None and words(kind) == "failed":
            envelope = self._ledger.envelopes.get(before.values[0])
            if envelope is not None and not envelope.sender:
                violate(self, fact.at, "the failure of a double bounce is reported once more", envelope.submitted, before, fact)
        elif before is not None:
            violate(self, fact.at, f"a notification of the kind {words(kind)} is queued about a notification", before, fact)
        self._notices[notification] = fact

    def _on_bounced(self, fact: Bounced) -> None:
        if fact.complaints:
            violate(self, fact.at, f"the notification {fact.message_id} breaks RFC 3464: {'; '.join(fact.complaints)}", fact)
        if fact.kind != "failed" or not fact.token:
            return
        transaction = about(fact.message_id)
        told = self._told.setdefault((fact.token, transaction, fact.recipient, fact.to), {})
        told.setdefault(fact.message_id, fact)
        envelope = self._ledger.envelopes.get(transaction)
        if len(told) > max(envelope.places(fact.recipient) if envelope is not None else 0, 1):
            violate(self, fact.at, f"the failure of {fact.token} for {fact.recipient} is reported {len(told)} times", *told.values())
        sending = self._ledger.sendings.get(fact.token)
        if sending is None:
            return
        for recipient, notify in zip(sending.submitted.recipients, sending.submitted.notify, strict=False):
            if recipient == fact.recipient and notify & Notify.NEVER:
                violate(self, fact.at, f"the failure of {fact.token} for {fact.recipient} is reported in spite of NOTIFY=NEVER", sending.submitted, fact)

    def finish(self, at: int) -> None:
        pass
