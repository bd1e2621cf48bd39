"""Folding the history into one state a transaction (A3, A4, A7, A14).

Records are applied in order. What is closed for good, and what DEFEDB took over, is forgotten at once, so memory holds only what is open.
A transaction without an opening is one whose recipients live in DEFEDB, with verdicts that may not have reached their rows.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from smx.messages import Envelope, Outcome, Recipient
from smx.qmgr import records
from smx.qmgr.poison import INNOCENT, Suspicion
from smx.qmgr.records import FINAL_OUTCOMES, AnyRecord, RecipientState, Status, Unknown


class FoldedRecipient:
    """What the log says of one recipient."""

    __slots__ = ("expanded", "held", "moved", "quarantined", "recipient", "reverse_path", "segment", "state", "verdict")

    def __init__(self, recipient: Recipient | None, index: int, segment: int) -> None:
        self.recipient = recipient
        self.reverse_path: bytes | None = None
        self.state = RecipientState(index, Status.QUEUED)
        self.verdict = False  # `state` comes from a verdict
        self.held = False
        self.quarantined = ""  # the reason
        self.moved = False
        self.expanded = False
        self.segment = segment  # of the last record that concerns it

    @property
    def closed(self) -> bool:
        return self.state.status == Status.CLOSED


class FoldedTransaction:
    """What the log says of one transaction. `envelope` None: no opening. `begun`: index -> whether it was tried as a suspect."""

    __slots__ = ("begun", "crashes", "envelope", "expansions", "recipients", "segment", "unknown")

    def __init__(self) -> None:
        self.envelope: Envelope | None = None
        self.recipients: dict[int, FoldedRecipient] = {}
        self.expansions: list[records.Expanded] = []
        self.begun: dict[int, bool] = {}
        self.crashes = INNOCENT
        self.unknown = False
        self.segment = 0  # of the opening


class Fold:
    """The open state of all transactions in the log."""

    def __init__(self) -> None:
        self.transactions: dict[int, FoldedTransaction] = {}
        self.suspects: dict[int, Suspicion] = {}  # transactions that recovery was deciding about when it died
        self.unknown_records = 0  # that concern no transaction that can be told
        self._deciding: tuple[int, ...] = ()
        self._recovering = False  # a recovery has begun, and has not ended
        self._counted: list[bool] = []  # in hand before it, and copied by it with this crash counted: as a suspect?
        self._epoch = 0
        self._oldest = 0

    def apply(self, segment: int, record: AnyRecord | Unknown) -> None:
        """The next record of the history."""
        handler = _HANDLERS.get(type(record))
        if handler is not None:
            handler(self, segment, record)

    def finish(self) -> None:
        """The history ends: who was in hand is suspected once more (A14)."""
        self._crashed()
        in_hand = [transaction for transaction in self.transactions.values() if transaction.begun]
        alone = _alone(in_hand, self._counted)
        for transaction in in_hand:
            transaction.crashes = transaction.crashes.plus(Suspicion(1, int(transaction is alone)))

    # --- the log's own ---------------------------------------------------------------------------------------------

    def _on_header(self, segment: int, record: records.Header) -> None:
        if record.epoch != self._epoch:
            self._epoch = record.epoch
            self._crashed()
        self._on_oldest(segment, records.Oldest(record.oldest))

    def _on_oldest(self, segment: int, record: records.Oldest) -> None:
        """What only older segments say does not count any more."""
        if record.segment <= self._oldest:
            return
        self._oldest = record.segment
        for number, transaction in list(self.transactions.items()):
            if transaction.envelope is not None and transaction.segment < record.segment:
                transaction.envelope = None
            transaction.recipients = {i: r for i, r in transaction.recipients.items() if r.segment >= record.segment}
            if not transaction.recipients and not transaction.begun and not transaction.unknown:
                del self.transactions[number]

    def _on_recovery_begun(self, segment: int, record: records.RecoveryBegun) -> None:
        self._deciding = record.transactions
        self._recovering = True

    def _on_recovery_ended(self, segment: int, record: records.RecoveryEnded) -> None:
        """What was in hand before was counted by that recovery."""
        self._deciding = ()
        self._recovering = False
        self._counted.clear()
        self.suspects.clear()
        self._forget_begun()

    def _on_stopped(self, segment: int, record: records.Stopped) -> None:
        self._forget_begun()

    def _crashed(self) -> None:
        once = Suspicion(1, int(len(self._deciding) == 1))
        for transaction in self._deciding:
            self.suspects[transaction] = self.suspects.get(transaction, INNOCENT).plus(once)
        self._deciding = ()

    def _forget_begun(self) -> None:
        for number, transaction in list(self.transactions.items()):
            transaction.begun.clear()
            self._settle(number, transaction)

    # --- mail --------------------------------------------------------------------------------------------------------

    def _on_opened(self, segment: int, record: records.Opened) -> None:
        """An opening, or a copy of one, replaces what was known of the recipients in it; others live in DEFEDB."""
        self.suspects.pop(record.transaction, None)  # an earlier recovery came through its step
        earlier = self.transactions.get(record.transaction)
        if earlier is not None and earlier.begun and self._recovering:
            self._counted.append(any(earlier.begun.values()))
        transaction = self.transactions[record.transaction] = FoldedTransaction()
        transaction.envelope = record.envelope
        transaction.crashes = Suspicion(record.crashes, record.alone)
        transaction.segment = segment
        for recipient in record.envelope.recipients:
            transaction.recipients[recipient.index] = FoldedRecipient(recipient, recipient.index, segment)
        for expanded in record.expansions:
            self._expand(transaction, segment, expanded)
        for state in record.states:
            found = transaction.recipients.get(state.index)
            if found is not None:
                _assume(found, state)
        if earlier is not None:
            transaction.unknown = earlier.unknown
            for index, kept in earlier.recipients.items():
                transaction.recipients.setdefault(index, kept)
        self._settle(record.transaction, transaction)

    def _on_verdict(self, segment: int, record: records.VerdictRecord) -> None:
        transaction, found = self._recipient(record.transaction, record.index, segment)
        transaction.begun.pop(record.index, None)
        transaction.crashes = INNOCENT  # an attempt that ended was no poison
        final = record.outcome in FINAL_OUTCOMES
        warned = found.state.warned
        found.state = RecipientState(
            record.index,
            Status.CLOSED if final else Status.DEFERRED,
            record.attempt,
            record.next_try,
            record.code,
            record.enhanced,
            record.text,
            record.remote,
            stored=record.stored or found.state.stored,
            owed=record.owed,
            warned=warned,
            outcome=record.outcome,
        )
        found.verdict = True
        found.moved = False
        self._settle(record.transaction, transaction)

    def _on_moved(self, segment: int, record: records.Moved) -> None:
        transaction = self.transactions.get(record.transaction)
        if transaction is None:
            return
        for index, attempt in record.rows:
            found = transaction.recipients.get(index)
            if found is not None and not found.closed and found.state.attempt <= attempt:
                found.moved = True
                found.held = False
                found.state = msgspec.structs.replace(found.state, status=Status.MOVED, stored=True)
        self._settle(record.transaction, transaction)

    def _on_expanded(self, segment: int, record: records.Expanded) -> None:
        transaction, _ = self._recipient(record.transaction, record.index, segment)
        self._expand(transaction, segment, record)
        self._settle(record.transaction, transaction)

    def _on_notified(self, segment: int, record: records.Notified) -> None:
        """One record, one step (A6): the DSN is open and its subjects are closed, or neither."""
        self._on_opened(segment, record.opened)
        for verdict in record.verdicts:
            self._on_verdict(segment, verdict)
        transaction = self.transactions.get(record.transaction)
        if transaction is not None:
            for index in record.warned:
                if (found := transaction.recipients.get(index)) is not None:
                    found.state = msgspec.structs.replace(found.state, warned=True)

    def _on_begun(self, segment: int, record: records.Begun) -> None:
        transaction = self.transactions.get(record.transaction)
        if transaction is None:
            transaction = self.transactions[record.transaction] = FoldedTransaction()
        for index in record.indices:
            transaction.begun[index] = record.suspect

    def _on_held(self, segment: int, record: records.Held) -> None:
        for index in record.indices:
            self._recipient(record.transaction, index, segment)[1].held = True

    def _on_released(self, segment: int, record: records.Released) -> None:
        for index in record.indices:
            self._recipient(record.transaction, index, segment)[1].held = False
        self._settle(record.transaction, self.transactions[record.transaction])

    def _on_quarantined(self, segment: int, record: records.Quarantined) -> None:
        for index in record.indices:
            self._recipient(record.transaction, index, segment)[1].quarantined = record.reason or "set aside"

    def _on_relocated(self, segment: int, record: records.Relocated) -> None:
        transaction = self.transactions.get(record.transaction)
        if transaction is not None and transaction.envelope is not None:
            transaction.envelope = msgspec.structs.replace(transaction.envelope, content=record.content)

    def _on_unknown(self, segment: int, record: Unknown) -> None:
        if not record.transaction:
            self.unknown_records += 1
            return
        self.transactions.setdefault(record.transaction, FoldedTransaction()).unknown = True

    # --- within --------------------------------------------------------------------------------------------------------

    def _recipient(self, number: int, index: int, segment: int) -> tuple[FoldedTransaction, FoldedRecipient]:
        """The state to change; made when the log has no opening for it."""
        transaction = self.transactions.get(number)
        if transaction is None:
            transaction = self.transactions[number] = FoldedTransaction()
        found = transaction.recipients.get(index)
        if found is None:
            found = transaction.recipients[index] = FoldedRecipient(None, index, segment)
        found.segment = segment
        return transaction, found

    def _expand(self, transaction: FoldedTransaction, segment: int, record: records.Expanded) -> None:
        """A7: done once; a second record of the same expansion changes nothing."""
        source = transaction.recipients.get(record.index)
        if source is None:
            source = transaction.recipients[record.index] = FoldedRecipient(None, record.index, segment)
        if source.expanded:
            return
        source.expanded = True
        source.verdict = True
        source.state = RecipientState(record.index, Status.CLOSED, record.attempt, stored=source.state.stored, outcome=Outcome.EXPANDED)
        transaction.begun.pop(record.index, None)
        transaction.expansions.append(record)
        inherited = record.reverse_path if record.reverse_path is not None else source.reverse_path
        for recipient in record.recipients:
            found = transaction.recipients[recipient.index] = FoldedRecipient(recipient, recipient.index, segment)
            found.reverse_path = inherited

    def _settle(self, number: int, transaction: FoldedTransaction) -> None:
        """Forget what is closed for good, and the envelope when nobody needs it."""
        if transaction.unknown:
            return
        if transaction.envelope is not None:
            for found in transaction.recipients.values():
                if found.quarantined or found.held or found.state.owed or not (found.closed or found.moved):
                    return
            transaction.envelope = None
            transaction.expansions.clear()
        transaction.recipients = {i: r for i, r in transaction.recipients.items() if not _forgettable(r)}
        if not transaction.recipients and not transaction.begun:
            del self.transactions[number]


def _alone(in_hand: list[FoldedTransaction], counted: list[bool]) -> FoldedTransaction | None:
    """Which of those in hand at a crash nothing else excuses: the only one, or the only suspect (A14). `counted`: others, and whether suspects."""
    suspects = [transaction for transaction in in_hand if any(transaction.begun.values())]
    if len(in_hand) == 1 and not counted:
        return in_hand[0]
    return suspects[0] if len(suspects) == 1 and not any(counted) else None


def _forgettable(found: FoldedRecipient) -> bool:
    """Without an opening: nothing in DEFEDB can contradict it."""
    if found.held or found.quarantined:
        return False
    return (
        found.moved
        or (found.closed and not found.state.stored and not found.state.owed)
        or (found.recipient is None and not found.verdict and not found.expanded)
    )


def _assume(found: FoldedRecipient, state: RecipientState) -> None:
    """The state that an opening states for a recipient."""
    found.state = state
    status = state.status
    if status == Status.IN_FLIGHT:
        found.state = msgspec.structs.replace(state, status=Status.QUEUED)
    elif status == Status.HELD:
        found.held = True
    elif status == Status.QUARANTINED:
        found.quarantined = state.text.decode("utf-8", "backslashreplace") or "set aside"
    elif status == Status.MOVED:
        found.moved = True
    found.verdict = state.outcome != 0 or status in (Status.DEFERRED, Status.CLOSED)
    if found.state.status in (Status.HELD, Status.QUARANTINED):
        final = state.outcome in FINAL_OUTCOMES
        after = Status.CLOSED if final else Status.DEFERRED if state.outcome else Status.QUEUED
        found.state = msgspec.structs.replace(found.state, status=after)
    if state.outcome == Outcome.EXPANDED:
        found.expanded = True


_HANDLERS: Final[dict[type, Callable[[Fold, int, Any], None]]] = {
    records.Header: Fold._on_header,
    records.Oldest: Fold._on_oldest,
    records.RecoveryBegun: Fold._on_recovery_begun,
    records.RecoveryEnded: Fold._on_recovery_ended,
    records.Stopped: Fold._on_stopped,
    records.Opened: Fold._on_opened,
    records.VerdictRecord: Fold._on_verdict,
    records.Moved: Fold._on_moved,
    records.Expanded: Fold._on_expanded,
    records.Notified: Fold._on_notified,
    records.Begun: Fold._on_begun,
    records.Held: Fold._on_held,
    records.Released: Fold._on_released,
    records.Quarantined: Fold._on_quarantined,
    records.Relocated: Fold._on_relocated,
    Unknown: Fold._on_unknown,
}
