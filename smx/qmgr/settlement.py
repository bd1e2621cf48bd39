"""Settlement: what becomes of a recipient when an attempt has ended (A4, A13, A15, SX26).

    verdict                        record                                        then, when the record is durable
    delivered, relayed             VerdictRecord, final                          closed: its row goes, its content may go
      and a DSN is due             VerdictRecord, final, DSN owed                the notifier's record closes it (A6)
    deferred                       VerdictRecord, deferred, next_try             a row in DEFEDB
    deferred, and expired          as failed
    failed, a DSN is due           VerdictRecord, final, DSN owed                the notifier's record closes it
    failed, nobody may be told     VerdictRecord, dropped                        closed
    content damaged                the notifier's record tells the sender and    a row in quarantine
                                   quarantines it; or Quarantined alone

A verdict's record joins the next group at once; nobody waits for it (A13). For a message that is not durable yet (cut-through), the
same records become states in the one record that opens it (A12): `conclude` decides, its caller writes.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from smx.messages import Outcome, Verdict
from smx.qmgr.dsn import Action, Kind
from smx.qmgr.envelopes import Entry, Place, Transaction
from smx.qmgr.notifications import Fate, addressee, fate_of
from smx.qmgr.records import Closing, Quarantined, Status, VerdictRecord
from smx.qmgr.retry import expired, next_try, spread, warning_due
from smx.qmgr.rows import ROW_QUARANTINED

if TYPE_CHECKING:
    from smx.qmgr.hub import Hub

Then = Callable[[Entry], None]

OUTCOME_TEXT: Final = {
    Outcome.DELIVERED: "delivered",
    Outcome.RELAYED: "relayed",
    Outcome.DEFERRED: "deferred",
    Outcome.FAILED: "failed",
    Outcome.EXPANDED: "expanded",
}
_FATE_ACTION: Final = {Fate.DELIVERED: Action.DELIVERED, Fate.RELAYED: Action.RELAYED, Fate.EXPANDED: Action.EXPANDED, Fate.LISTED: Action.DELIVERED}


class Settlement:
    """Takes verdicts; writes records; closes recipients and transactions."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub

    # --- an attempt has ended ---------------------------------------------------------------------------------------

    def attempted(self, entry: Entry, verdict: Verdict, protocol: int, began_at: int) -> None:
        """One attempt for one recipient has ended; `protocol` 0: it came to no delivery."""
        hub = self._hub
        entry.attempt += 1
        entry.verdict = verdict
        transaction = entry.transaction
        if entry.crashes:  # an attempt that ended was no poison (A14)
            entry.crashes = entry.alone = transaction.crashes = transaction.alone = 0
        outcome = OUTCOME_TEXT[Outcome(verdict.outcome)]
        hub.note("verdict", transaction.id, entry.recipient.index, entry.attempt, outcome, verdict.code, verdict.text, verdict.remote)
        since_jump = began_at > hub.jumped_at
        if transaction.forgotten:
            hub.submission.ended_unwanted(entry)
        elif transaction.cut is not None:
            hub.submission.ended_early(entry, protocol, since_jump=since_jump)
        elif damaged(verdict):
            self.quarantine(entry, "the content is damaged or missing")
        else:
            record, then = self.conclude(entry, protocol, since_jump=since_jump)
            self.write(entry, record, then)

    def write(self, entry: Entry, record: VerdictRecord, then: Then) -> None:
        """Append a recipient's record; `then` when it is durable. A recipient with a row holds the record until the row has followed (A4)."""
        self._hub.ibdb.append(record, (then, entry), entry.key if entry.row else None)

    def conclude(self, entry: Entry, protocol: int, *, since_jump: bool) -> tuple[VerdictRecord, Then]:
        """Decide what the latest verdict means. The record is the caller's to write."""
        verdict = entry.verdict
        assert verdict is not None
        if verdict.outcome == Outcome.FAILED:
            return self._fail(entry, Outcome.FAILED)
        if verdict.outcome == Outcome.DEFERRED:
            if expired(self._hub.retry, entry.transaction.envelope.arrived_at, self._hub.stamp, entry.attempt, since_jump=since_jump):
                entry.verdict = msgspec.structs.replace(verdict, text=b"delivery time expired; the last attempt: " + verdict.text)
                return self._fail(entry, Closing.EXPIRED)
            return self._defer(entry)
        return self._deliver(entry, verdict.outcome, fate_of(verdict.outcome, protocol))

    def _deliver(self, entry: Entry, outcome: int, fate: Fate) -> tuple[VerdictRecord, Then]:
        to = self._addressee(entry, fate)
        if to:
            return self._owe(entry, outcome, Kind.DELIVERED, _FATE_ACTION[fate], to), self._owed
        self._hub.aq.leave(entry)
        entry.place = Place.SETTLING
        return self._record(entry, outcome), self.closed

    def _fail(self, entry: Entry, outcome: int) -> tuple[VerdictRecord, Then]:
        to = self._addressee(entry, Fate.FAILED)
        if to:
            return self._owe(entry, outcome, Kind.FAILED, Action.FAILED, to), self._owed
        reason = "null reverse-path" if not entry.reverse_path else "not asked for"
        self._hub.note("unbounced", *entry.key, reason)
        entry.place = Place.SETTLING
        return self._record(entry, Closing.DROPPED), self.closed

    def _defer(self, entry: Entry) -> tuple[VerdictRecord, Then]:
        hub = self._hub
        retry = hub.retry
        stamp = hub.stamp
        arrived_at = entry.transaction.envelope.arrived_at
        unit = spread(hub.seed, b"retry", *entry.key, entry.attempt)
        at = next_try(retry, arrived_at, stamp, entry.attempt, unit)
        verdict = entry.verdict
        assert verdict is not None
        hub.note("deferred", *entry.key, entry.attempt, at, verdict.text)
        if warning_due(retry, arrived_at, stamp, warned=entry.warned):
            self._warn(entry)
        entry.place = Place.SETTLING
        return self._record(entry, Outcome.DEFERRED, at=at), self._deferred

    def _warn(self, entry: Entry) -> None:
        """Tell the sender of the delay. The row remembers it; a crash before may lose the warning, which is optional anyway."""
        entry.warned = True
        to = self._addressee(entry, Fate.DELAYED)
        if to:
            self._hub.notifier.add(entry, Kind.DELAYED, Action.DELAYED, to)

    # --- operators, aliases, damage -----------------------------------------------------------------------------------

    def fail_now(self, entry: Entry, verdict: Verdict) -> None:
        """It failed for good without an attempt: an operator returns it, or an alias cannot be followed."""
        entry.verdict = verdict
        record, then = self._fail(entry, Outcome.FAILED)
        self.write(entry, record, then)

    def remove(self, entry: Entry, who: str) -> None:
        """An operator removes it; nobody is told."""
        self._hub.note("removed", *entry.key, who)
        entry.place = Place.SETTLING
        self.write(entry, self._record(entry, Closing.REMOVED), self.closed)

    def expanded(self, entry: Entry, fate: Fate) -> tuple[VerdictRecord, Then]:
        """Others take its place (A7). With NOTIFY=SUCCESS the sender hears of it: the record owes that. It is the caller's to write."""
        entry.verdict = Verdict(entry.recipient.index, Outcome.EXPANDED, 0, b"2.0.0", b"")
        to = self._addressee(entry, fate)
        if to:
            return self._owe(entry, Outcome.EXPANDED, Kind.DELIVERED, _FATE_ACTION[fate], to), self._owed
        self._hub.aq.leave(entry)
        entry.place = Place.SETTLING
        return self._record(entry, Outcome.EXPANDED), self.closed

    def quarantine(self, entry: Entry, reason: str) -> None:
        """Set it aside; its sender is told once (A1)."""
        self._hub.note("quarantined", *entry.key, reason)
        self.tell_and_set_aside(entry, reason)

    def tell_and_set_aside(self, entry: Entry, reason: str) -> None:
        """Write that it is quarantined, with the notification if there is one; then its row."""
        to = self._addressee(entry, Fate.FAILED)
        entry.verdict = Verdict(entry.recipient.index, Outcome.FAILED, 0, b"5.3.0", b"the message was damaged while it was stored here")
        if to:
            entry.place = Place.NOTIFYING
            self._hub.notifier.add(entry, Kind.FAILED, Action.FAILED, to, quarantine=reason)
            return
        entry.place = Place.SETTLING
        entry.aside = reason
        record = Quarantined(entry.transaction.id, (entry.recipient.index,), reason)
        self._hub.ibdb.append(record, (self._quarantined, entry), entry.key if entry.row else None)

    # --- recovered ----------------------------------------------------------------------------------------------------

    def owed_before(self, entry: Entry, kind: int) -> None:
        """A crash came between its verdict and the notification of it."""
        verdict = entry.verdict
        assert verdict is not None
        if kind == Kind.FAILED:
            action, fate = Action.FAILED, Fate.FAILED
        else:
            relayed = {Outcome.RELAYED: Action.RELAYED, Outcome.EXPANDED: Action.EXPANDED}
            action, fate = relayed.get(Outcome(verdict.outcome), Action.DELIVERED), Fate.DELIVERED
        to = self._addressee(entry, fate)
        if to:
            entry.place = Place.NOTIFYING
            self._hub.notifier.add(entry, kind, action, to)
        else:
            self.write(entry, self._record(entry, Closing.DROPPED), self.closed)

    # --- records ------------------------------------------------------------------------------------------------------

    def _addressee(self, entry: Entry, fate: Fate) -> bytes:
        recipient = entry.recipient
        double_bounce_to = self._hub.settings.double_bounce_to.encode()
        server = entry.transaction.envelope.server
        return addressee(fate, recipient.notify, entry.reverse_path, recipient.address, double_bounce_to, server=server)

    def _owe(self, entry: Entry, outcome: int, kind: Kind, action: Action, to: bytes) -> VerdictRecord:
        entry.place = Place.NOTIFYING
        self._hub.notifier.add(entry, kind, action, to)
        return self._record(entry, outcome, owed=kind)

    def _record(self, entry: Entry, outcome: int, *, at: int = 0, owed: int = 0) -> VerdictRecord:
        verdict = entry.verdict
        transaction, index = entry.key
        stored = entry.row or outcome == Outcome.DEFERRED
        if verdict is None or (outcome in (Outcome.DELIVERED, Outcome.RELAYED) and not owed):
            record = VerdictRecord(transaction, index, entry.attempt, outcome, stored=stored)
        else:
            record = VerdictRecord(transaction, index, entry.attempt, outcome, at, verdict.code, verdict.enhanced, verdict.text, verdict.remote, stored, owed)
        entry.record = record
        return record

    # --- records are durable ------------------------------------------------------------------------------------------

    def _recorded(self, entry: Entry) -> None:
        self._hub.note("recorded", *entry.key, entry.attempt)

    def _owed(self, entry: Entry) -> None:
        """Its verdict is durable; the notifier closes it."""
        self._recorded(entry)

    def _deferred(self, entry: Entry) -> None:
        self._recorded(entry)
        record = entry.record
        assert record is not None
        self._hub.deferral.store(entry, record.next_try)

    def _quarantined(self, entry: Entry) -> None:
        self._hub.deferral.store(entry, 0, state=ROW_QUARANTINED)

    def closed(self, entry: Entry) -> None:
        """Its final record is durable: nothing of it need be kept but that record, as long as there is a row."""
        self._recorded(entry)
        self.close(entry)

    def close(self, entry: Entry) -> None:
        if entry.row:
            self._hub.deferral.delete(entry)
        else:
            self.gone(entry)

    # --- recipients and transactions leave ----------------------------------------------------------------------------

    def gone(self, entry: Entry) -> None:
        """The recipient is over, in every store."""
        self._hub.aq.leave(entry)
        transaction = entry.transaction
        transaction.drop(entry, Status.CLOSED)
        if not transaction.entries:
            self.left(transaction)

    def left(self, transaction: Transaction) -> None:
        """No recipient of it is in memory any more: all are over, or rows."""
        hub = self._hub
        assert not transaction.entries
        del hub.transactions[transaction.id]
        if transaction.recorded:
            hub.ibdb.release(transaction.id)
            hub.references.release(transaction.content.segment)
        hub.submission.over(transaction)
        if Status.MOVED in transaction.settled.values():
            return
        if transaction.recorded and len(transaction.settled) >= transaction.next_index:
            hub.note("closed", transaction.id)
        else:
            hub.deferral.look_for_rest(transaction.id)


def damaged(verdict: Verdict) -> bool:
    """SMTPC found the content damaged or missing (A1)."""
    return verdict.code == 0 and verdict.enhanced == b"4.3.0" and verdict.text[:7].lower() == b"content"
