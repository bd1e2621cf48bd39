"""I1: what was acknowledged is accounted for.

    evidence for (message, recipient)           who says it
    delivered, relayed                          the host or Maildir that took it
    returned                                    the DSN that arrived; or one that is itself still accounted for
    expanded                                    `expanded`, and each of the new recipients is accounted for
    still queued                                the queue, as QMGR shows it at the end
    dropped with a record                       `unbounced`, where nobody may be told (NOTIFY, null reverse-path)
    set aside, removed                          `quarantined`, `removed`

Returned and delivered at once is a violation too, but for recipients whose copy a crash or a lost reply left in doubt, and for those that were set
aside, of which the sender was told, and that an operator released.
"""

from sim.duplicates import Outlook
from sim.facts import Noted, Promised
from sim.ledger import Envelope, Ledger, Pair, Place, same_address, words
from sim.observer import Handlers, Violation, violate
from smx.messages import Notify

DEPTH_MAX = 16  # of aliases behind aliases and notifications of notifications


class NoLoss:
    id = "I1"
    sentence = "each recipient covered by a 250 is delivered, returned, queued, expanded, set aside or dropped with a record: exactly one of them"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._ledger = ledger
        self._outlook = outlook
        self._promised: list[Promised] = []
        self._over: set[Place] = set()  # quarantined, removed
        self._dropped: dict[Place, Noted] = {}
        self._damages: list[Noted] = []
        self._queued: set[Place] = set()
        self.handlers: Handlers = {
            Promised: self._promised.append,
            "quarantined": self._on_over,
            "removed": self._on_over,
            "unbounced": self._on_dropped,
            "damaged": self._damages.append,
        }

    def _on_over(self, fact: Noted) -> None:
        self._over.add((fact.values[0], fact.values[1]))

    def _on_dropped(self, fact: Noted) -> None:
        self._dropped[fact.values[0], fact.values[1]] = fact

    def finish(self, at: int) -> None:
        ledger = self._ledger
        if ledger.unsafe or self._reported_damage:
            return
        if ledger.queue is not None:
            self._queued = {(row.transaction, row.index) for row in ledger.queue.rows}
        for promised in self._promised:
            sending = ledger.sendings.get(promised.token)
            if sending is None:
                continue
            for recipient in sending.submitted.recipients:
                if not self._found(promised, recipient):
                    facts = self._life(promised, recipient)
                    violate(self, at, f"{promised.token} for {recipient} was acknowledged and is gone", sending.submitted, promised, *facts)
        self._judge_returned()

    @property
    def _reported_damage(self) -> bool:
        """What a damaged disk took is not lost in silence (A1, A2): which envelope it was, nobody can say any more."""
        return not self._ledger.families.isdisjoint(("F9", "F10")) and any(words(fact.values[4]).startswith(("corrupt", "missing")) for fact in self._damages)

    # --- evidence -----------------------------------------------------------------------------------------------------

    def _found(self, promised: Promised, recipient: str) -> bool:
        if self._settled((promised.token, recipient)):
            return True
        envelope = self._ledger.envelopes.get(promised.transaction)
        if envelope is None:  # delivered before it was stored, or its lines were lost
            return self._in_queue(promised.transaction, recipient)
        return any(self._safe(promised.token, envelope, index, DEPTH_MAX) for index in envelope.indices(recipient))

    def _settled(self, pair: Pair) -> bool:
        return pair in self._ledger.arrivals or pair in self._ledger.failures

    def _in_queue(self, transaction: int, recipient: str) -> bool:
        queue = self._ledger.queue
        rows = queue.rows if queue is not None else ()
        return any(row.transaction == transaction and same_address(row.recipient.decode("utf-8", "backslashreplace"), recipient) for row in rows)

    def _safe(self, token: str, envelope: Envelope, index: int, depth: int) -> bool:
        place = (envelope.id, index)
        if place in self._queued or place in self._over or self._settled((token, envelope.recipients.get(index, ""))):
            return True
        if place in self._dropped:
            return self._may_drop(envelope, index)
        if not depth:
            return False
        children = envelope.children(index)
        if children:
            return all(self._safe(token, envelope, child, depth - 1) for child in children)
        return any(self._notice_safe(token, notification, depth - 1) for notification in self._ledger.notifications.get(envelope.id, ()))

    def _notice_safe(self, token: str, notification: int, depth: int) -> bool:
        """The DSN is under way, or nobody can be told any more. One that arrived was counted by what it said."""
        envelope = self._ledger.envelopes.get(notification)
        if envelope is None:
            return False
        return notification in self._ledger.told or any(self._safe(token, envelope, index, depth) for index in envelope.recipients)

    def _may_drop(self, envelope: Envelope, index: int) -> bool:
        """RFC 3461 4.1, RFC 5321 4.5.5: nobody is to be told, by the client's own words where they are known."""
        if self._ledger.is_notification(envelope.id):
            return True
        sending = self._ledger.sendings.get(self._ledger.token_of.get(envelope.id, ""))
        sender = sending.submitted.sender if sending is not None else envelope.sender
        notify = envelope.notify.get(index, 0)
        if sending is not None and index < len(sending.submitted.notify) and index not in envelope.parents:
            notify = sending.submitted.notify[index]
        return not sender or bool(notify & Notify.NEVER) or (notify != Notify.DEFAULT and not notify & Notify.FAILURE)

    def _life(self, promised: Promised, recipient: str) -> list[Noted]:
        envelope = self._ledger.envelopes.get(promised.transaction)
        if envelope is None:
            return []
        drops = [drop for index in envelope.indices(recipient) if (drop := self._dropped.get((envelope.id, index))) is not None]
        return [envelope.submitted, *([envelope.durable] if envelope.durable else []), *drops, *([envelope.closed] if envelope.closed else [])]

    def _judge_returned(self) -> None:
        ledger = self._ledger
        risks: dict[Place, int] | None = None
        for pair, bounces in ledger.failures.items():
            arrivals = ledger.arrivals.get(pair)
            if not arrivals or pair in ledger.lost_replies:
                continue
            risks = self._outlook.risks() if risks is None else risks
            if any(place in risks or place in self._over for arrival in arrivals for place in self._doubtful(arrival.transaction, pair[1])):
                continue
            violate(self, bounces[0].at, f"{pair[0]} for {pair[1]} was delivered and reported as failed", arrivals[0], bounces[0])

    def _doubtful(self, transaction: int, recipient: str) -> list[Place]:
        return [*self._ledger.places(transaction, recipient), (transaction, -1)]
