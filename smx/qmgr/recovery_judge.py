"""Judging one transaction at recovery: the table applied to each recipient, and what QMGR has to do (A4, A14).

Input: what the log says (a FoldedTransaction), the rows of DEFEDB, what its content looks like, and how often it was in hand at a crash.
Output: a transaction for QMGR, rows to store or delete, what to report, and the records that carry all of it into the new
segment, so that a crash before QMGR has done it loses nothing.
"""

from collections.abc import Hashable, Mapping
from enum import IntEnum
from typing import Final

import msgspec

from smx.effects import Row
from smx.messages import Envelope, Recipient
from smx.qmgr import records
from smx.qmgr.poison import Suspicion
from smx.qmgr.records import FINAL_OUTCOMES, AnyRecord, RecipientState, Status
from smx.qmgr.recovery_fold import FoldedRecipient, FoldedTransaction
from smx.qmgr.recovery_table import ContentSeen, Decision, LastVerdict, Pattern, RowSeen, decide
from smx.qmgr.rows import ROW_DEFERRED, ROW_HELD, ROW_QUARANTINED, RowError, make_row, read_row


class Todo(IntEnum):
    """What QMGR does with a recovered recipient."""

    NONE = 0  # closed, or it lives in DEFEDB (status MOVED)
    QUEUE = 1  # an attempt
    STORE = 2  # make its row from `state` (DEFERRED, HELD, QUARANTINED); then it lives in DEFEDB
    NOTIFY = 3  # closed, but a DSN is owed
    DELETE = 4  # closed; delete its row


class RecoveredRecipient(msgspec.Struct, frozen=True, gc=False, array_like=True):
    recipient: Recipient
    todo: int
    state: RecipientState
    reverse_path: bytes | None = None


class RecoveredTransaction(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Pinned in the log under its number, until QMGR releases it. `expansions`: to be repeated in a copy."""

    envelope: Envelope
    recipients: tuple[RecoveredRecipient, ...]
    crashes: int = 0
    expansions: tuple[records.Expanded, ...] = ()
    alone: int = 0


class RecoveredRow(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A recipient without an opening: store this row again, or delete it. Pinned under (transaction, index)."""

    row: Row
    gone: bool = False


class OwedRow(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Closed, but a DSN is owed; the row has the envelope and stays until the Notified record is durable."""

    row: Row
    verdict: records.VerdictRecord


class Judgement(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What is to be done about one transaction. `copies`: (record, key) for the new segment."""

    transaction: RecoveredTransaction | None = None
    rows: tuple[RecoveredRow, ...] = ()
    owed: tuple[OwedRow, ...] = ()
    quarantined: tuple[tuple[int, int, str], ...] = ()  # (transaction, index, reason), to be reported
    copies: tuple[tuple[AnyRecord, Hashable], ...] = ()


_TODO: Final = {
    Decision.QUEUE: (Todo.QUEUE, Status.QUEUED),
    Decision.ROW: (Todo.NONE, Status.MOVED),
    Decision.MOVED: (Todo.NONE, Status.MOVED),
    Decision.STORE: (Todo.STORE, Status.DEFERRED),
    Decision.HOLD: (Todo.STORE, Status.HELD),
    Decision.QUARANTINE: (Todo.STORE, Status.QUARANTINED),
    Decision.NOTIFY: (Todo.NOTIFY, Status.CLOSED),
    Decision.DELETE: (Todo.DELETE, Status.CLOSED),
    Decision.CLOSE: (Todo.NONE, Status.CLOSED),
    Decision.IGNORE: (Todo.NONE, Status.CLOSED),
}


def judge(number: int, folded: FoldedTransaction, rows: Mapping[int, Row], content: ContentSeen, suspected: Suspicion) -> Judgement:
    """Apply the table. `rows`: those of this transaction, by index; `suspected`: crashes of recovery itself while deciding about it."""
    case = _Case(number, folded, rows, content, folded.crashes.plus(suspected))
    envelope = folded.envelope or _envelope_of_rows(folded, rows)
    if envelope is not None:
        case.opened(envelope)
    for index, found in folded.recipients.items():
        if envelope is None or found.recipient is None:
            case.loose(index, found)
    case.begun_rows(opening=envelope is not None)
    return Judgement(case.transaction, tuple(case.rows_again), tuple(case.owed), tuple(case.reports), tuple(case.copies))


def placed(folded: FoldedTransaction, rows: Mapping[int, Row]) -> None:
    """Content is copied in this order: rows, then the record. Where the opening names another place than the rows, the rows are newer (copying.py)."""
    row = next(iter(rows.values()), None)
    if row is None or folded.envelope is None or row.segment == folded.envelope.content.segment:
        return
    try:
        content = read_row(row)[0].content
    except RowError:
        return  # it is judged as a row that cannot be read
    folded.envelope = msgspec.structs.replace(folded.envelope, content=content)


class _Case:
    """The judgement in the making."""

    def __init__(self, number: int, folded: FoldedTransaction, rows: Mapping[int, Row], content: ContentSeen, crashes: Suspicion) -> None:
        self.number = number
        self.folded = folded
        self.rows = rows
        self.content = content
        self.crashes = crashes
        self.transaction: RecoveredTransaction | None = None
        self.rows_again: list[RecoveredRow] = []
        self.owed: list[OwedRow] = []
        self.reports: list[tuple[int, int, str]] = []
        self.copies: list[tuple[AnyRecord, Hashable]] = []

    def opened(self, envelope: Envelope) -> None:
        """Recipients of an opening: the transaction goes to QMGR when anything is left to do."""
        recipients = []
        for index, found in self.folded.recipients.items():
            if found.recipient is None:
                continue
            decision, why = decide(self._pattern(index, found, opening=True))
            todo, status = _TODO[decision]
            if decision is Decision.QUARANTINE:
                self._report(index, found, why)
            recipients.append(RecoveredRecipient(found.recipient, todo, self._state(index, found, status, why), found.reverse_path))
        if all(recovered.todo == Todo.NONE for recovered in recipients):
            return
        expansions, crashes = tuple(self.folded.expansions), self.folded.crashes  # who came through this step is no longer suspected of it
        self.transaction = RecoveredTransaction(envelope, tuple(recipients), crashes.crashes, expansions, crashes.alone)
        states = tuple(recovered.state for recovered in recipients if recovered.todo != Todo.QUEUE or recovered.state.warned)
        self.copies.append((records.Opened(self.number, envelope, states, expansions, crashes.crashes, crashes.alone), self.number))

    def loose(self, index: int, found: FoldedRecipient) -> None:
        """A recipient without an opening: all that may be left is to bring its row up to date."""
        decision, why = decide(self._pattern(index, found, opening=False))
        row = self.rows.get(index)
        if decision is Decision.QUARANTINE:
            self._report(index, found, why)
            if row is not None:
                self._again(found, msgspec.structs.replace(row, state=ROW_QUARANTINED), why)
        elif row is None:
            return
        elif decision is Decision.STORE:
            self._again(found, _renewed(row, found.state), "")
        elif decision is Decision.HOLD:
            self._again(found, msgspec.structs.replace(_renewed(row, found.state) if found.verdict else row, state=ROW_HELD), "")
        elif decision is Decision.DELETE:
            self.rows_again.append(RecoveredRow(row, gone=True))
            self._keep(found, "")
        elif decision is Decision.NOTIFY:
            self.owed.append(OwedRow(row, records.verdict_of(self.number, found.state, stored=True)))
            self._keep(found, "")

    def begun_rows(self, *, opening: bool) -> None:
        """Rows that were in hand at the crash, or that an unreadable record concerns (A14, A16)."""
        for index, row in self.rows.items():
            if index in self.folded.recipients and (opening or self.folded.recipients[index].verdict):
                continue
            if self.folded.unknown:
                self._set_row_aside(row, "a record of a newer version concerns it")
            elif index in self.folded.begun and not opening:
                self._count_crash(row)

    def _count_crash(self, row: Row) -> None:
        try:
            envelope, parked = read_row(row)
        except RowError as error:
            self._set_row_aside(row, str(error))
            return
        crashes = self.crashes.plus(Suspicion(parked.crashes, parked.alone))
        if crashes.poison:
            self._set_row_aside(row, "in hand at too many crashes")
            return
        parked = msgspec.structs.replace(parked, crashes=crashes.crashes, alone=crashes.alone)
        again = make_row(row.envelope, envelope, parked, attempt=row.attempt, next_try=row.next_try, state=row.state, destination=row.destination)
        self.rows_again.append(RecoveredRow(again))

    def _set_row_aside(self, row: Row, why: str) -> None:
        if row.state == ROW_QUARANTINED:
            return
        self.reports.append((self.number, row.index, why))
        self.rows_again.append(RecoveredRow(msgspec.structs.replace(row, state=ROW_QUARANTINED)))
        self.copies.append((records.Quarantined(self.number, (row.index,), why), (self.number, row.index)))

    def _again(self, found: FoldedRecipient, row: Row, why: str) -> None:
        self.rows_again.append(RecoveredRow(row))
        self._keep(found, why)

    def _keep(self, found: FoldedRecipient, why: str) -> None:
        """What the log knew must survive until the row is changed."""
        index = found.state.index
        key = (self.number, index)
        if found.expanded:
            self.copies.append((records.Expanded(self.number, index, ()), key))
        if found.verdict and not (found.expanded and not found.state.owed):
            self.copies.append((records.verdict_of(self.number, found.state, stored=True), key))
        if found.held:
            self.copies.append((records.Held(self.number, (index,)), key))
        if why:
            self.copies.append((records.Quarantined(self.number, (index,), why), key))

    def _report(self, index: int, found: FoldedRecipient, why: str) -> None:
        if not found.quarantined:
            self.reports.append((self.number, index, why))

    def _pattern(self, index: int, found: FoldedRecipient, *, opening: bool) -> Pattern:
        row = self.rows.get(index)
        verdict = LastVerdict.NONE
        if found.verdict and found.state.outcome:
            verdict = LastVerdict.FINAL if found.state.outcome in FINAL_OUTCOMES else LastVerdict.DEFERRED
        elif found.verdict:
            verdict = LastVerdict.FINAL if found.closed else LastVerdict.DEFERRED
        return Pattern(
            opening,
            verdict,
            _row_seen(row, verdict, found.state.attempt),
            self.content if opening else ContentSeen.SOUND,
            quarantined=bool(found.quarantined),
            unknown=self.folded.unknown,
            held=found.held,
            expanded=found.expanded,
            crashed=self.crashes.poison,
            moved=found.moved,
            owed=bool(found.state.owed),
        )

    def _state(self, index: int, found: FoldedRecipient, status: Status, why: str) -> RecipientState:
        """The state that the new opening states for a recipient."""
        row = self.rows.get(index)
        attempt = found.state.attempt if row is None else max(found.state.attempt, row.attempt)
        stored = row is not None
        text = why.encode() if status is Status.QUARANTINED else found.state.text
        if status is Status.QUARANTINED and found.quarantined:
            text = found.quarantined.encode("utf-8", "backslashreplace")
        outcome = found.state.outcome if found.verdict else 0
        if status is Status.QUARANTINED and outcome in FINAL_OUTCOMES:
            outcome = 0  # it contradicts the row: what is set aside must not look closed the next time
        if status is Status.CLOSED and outcome not in FINAL_OUTCOMES:
            outcome = 0  # DEFEDB took it over and has done with it: it must not look deferred the next time
        return msgspec.structs.replace(found.state, status=int(status), attempt=attempt, stored=stored, text=text, outcome=outcome)


def _row_seen(row: Row | None, verdict: LastVerdict, attempt: int) -> RowSeen:
    if row is None:
        return RowSeen.NONE
    if verdict is LastVerdict.NONE or row.attempt == attempt:
        return RowSeen.SAME
    return RowSeen.OLDER if row.attempt < attempt else RowSeen.NEWER


def _envelope_of_rows(folded: FoldedTransaction, rows: Mapping[int, Row]) -> Envelope | None:
    """An expansion of a recipient that lives in DEFEDB: the envelope of its new recipients stands in the row (A7)."""
    if folded.expansions:
        for row in rows.values():
            try:
                return read_row(row)[0]
            except RowError:
                continue
    return None


def _renewed(row: Row, state: RecipientState) -> Row:
    """The row with the verdict that had not reached it. A row that cannot be read is set aside as it is."""
    try:
        envelope, parked = read_row(row)
    except RowError:
        return msgspec.structs.replace(row, state=ROW_QUARANTINED)
    parked = msgspec.structs.replace(
        parked, code=state.code, enhanced=state.enhanced, text=state.text, remote=state.remote, warned=parked.warned or state.warned, crashes=0, alone=0
    )
    state_of_row = row.state if row.state == ROW_HELD else ROW_DEFERRED
    return make_row(row.envelope, envelope, parked, attempt=state.attempt, next_try=state.next_try, state=state_of_row, destination=row.destination)
