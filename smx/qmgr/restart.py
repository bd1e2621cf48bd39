"""Restart: goes on with what recovery found (A2, A4, A6, I10, I14).

    recovered recipient        what is done
    QUEUE                      to AQ, or to disk when AQ is full
    STORE                      its row is stored; one that recovery quarantined because of its content: its sender is told first (A1)
    NOTIFY                     the notification that it owes is made
    DELETE                     its row is deleted
    NONE                       closed, or it lives in DEFEDB
    row without opening        stored again, or deleted

Content segments that nothing refers to are removed, but for those of writers that live: these seal what they do not use.
"""

from typing import TYPE_CHECKING

from smx.cdb.removal import ContentReferences
from smx.cdb.writer import ContentWriter
from smx.effects import Remove
from smx.ids import epoch_of_segment
from smx.messages import Verdict
from smx.qmgr.envelopes import Entry, Place, Transaction
from smx.qmgr.records import Opened, RecipientState, Status, VerdictRecord, verdict_of
from smx.qmgr.recovery import OwedRow, RecoveredRecipient, RecoveredTransaction, RecoveryResult, Todo
from smx.qmgr.rows import ROW_DEFERRED, ROW_HELD, ROW_QUARANTINED

if TYPE_CHECKING:
    from smx.qmgr.hub import Hub

_ROW_STATE = {Status.DEFERRED: ROW_DEFERRED, Status.HELD: ROW_HELD, Status.QUARANTINED: ROW_QUARANTINED}


def adopt(hub: "Hub", result: RecoveryResult, begun_at: int) -> None:
    """Take the result over. `begun_at`: when recovery began, by now."""
    hub.ibdb = result.ibdb
    hub.ibdb.owner = lambda number: _opened(hub, number)
    hub.references = ContentReferences(hub.epoch)
    hub.references.restore(result.references)
    hub.writer = ContentWriter(hub.epoch, hub.settings.cdb_segment_octets)
    hub.writer.start(hub.effects)
    fresh = {(transaction, index): reason for transaction, index, reason in result.quarantined}
    adopted = [_adopt_transaction(hub, recovered, fresh) for recovered in result.transactions]
    for row in result.rows:
        if row.gone:
            hub.deferral.delete_row(row.row)
        else:
            hub.deferral.change(row.row)
    for owed in result.owed:
        _adopt_owed(hub, owed)
    living = set(hub.links.epochs.values())
    hub.effects.extend(Remove("cdb", segment) for segment in result.orphans if epoch_of_segment(segment) not in living)
    hub.note("recovered", len(result.transactions), result.recipients, result.deferred, hub.now - begun_at)
    for transaction in adopted:
        hub.dispatch.enter(transaction)


def _opened(hub: "Hub", number: int) -> Opened | None:
    transaction = hub.transactions.get(number)
    return None if transaction is None or not transaction.recorded else transaction.opened()


def _adopt_transaction(hub: "Hub", recovered: RecoveredTransaction, fresh: dict[tuple[int, int], str]) -> Transaction:
    envelope = recovered.envelope
    transaction = Transaction(envelope)
    transaction.recorded = transaction.durable = True
    transaction.crashes, transaction.alone = recovered.crashes, recovered.alone
    transaction.expansions = recovered.expansions
    hub.transactions[transaction.id] = transaction
    children = {recipient.index for expanded in recovered.expansions for recipient in expanded.recipients}
    for found in recovered.recipients:
        index = found.recipient.index
        if found.todo == Todo.NONE:
            transaction.settled[index] = Status.MOVED if found.state.status == Status.MOVED else Status.CLOSED
            transaction.next_index = max(transaction.next_index, index + 1)
            continue
        entry = transaction.add(found.recipient, envelope.reverse_path if found.reverse_path is None else found.reverse_path)
        entry.expand = index not in children
        entry.crashes, entry.alone = recovered.crashes, recovered.alone
        _restore(entry, found.state)
        if entry.row:
            hub.edbc.leave(entry.key)  # I11: it lives here now, whatever its row says
        _go_on(hub, entry, found, fresh.get(entry.key, ""))
    return transaction


def _restore(entry: Entry, state: RecipientState) -> None:
    """What the log knew of it."""
    entry.attempt = state.attempt
    entry.row = state.stored
    entry.warned = state.warned
    if state.outcome:
        entry.verdict = Verdict(state.index, state.outcome, state.code, state.enhanced, state.text, state.remote)


def _go_on(hub: "Hub", entry: Entry, found: RecoveredRecipient, reason: str) -> None:
    state = found.state
    match found.todo:
        case Todo.STORE if reason.startswith("content"):
            hub.settlement.tell_and_set_aside(entry, reason)
        case Todo.STORE:
            if state.status == Status.DEFERRED:
                entry.record = _record_of(entry, state)
            else:
                entry.aside = state.text.decode("utf-8", "backslashreplace") if state.status == Status.QUARANTINED else ""
            hub.deferral.store(entry, state.next_try, state=_ROW_STATE[Status(state.status)])
        case Todo.NOTIFY:
            _owe(hub, entry, state)
        case Todo.DELETE:
            entry.place = Place.SETTLING
            hub.deferral.delete(entry)
        case _:
            assert found.todo == Todo.QUEUE


def _owe(hub: "Hub", entry: Entry, state: RecipientState) -> None:
    entry.record = _record_of(entry, state)
    hub.settlement.owed_before(entry, state.owed)


def _record_of(entry: Entry, state: RecipientState) -> VerdictRecord:
    """The verdict that the log has, as if it had been appended in this life."""
    return verdict_of(entry.transaction.id, state, stored=state.stored)


def _adopt_owed(hub: "Hub", owed: OwedRow) -> None:
    hub.edbc.leave((owed.row.transaction, owed.row.index))
    entry = hub.dispatch.revive(owed.row)
    if entry is not None:
        verdict = owed.verdict
        entry.attempt = verdict.attempt
        entry.verdict = Verdict(verdict.index, verdict.outcome, verdict.code, verdict.enhanced, verdict.text, verdict.remote)
        entry.record = verdict
        hub.settlement.owed_before(entry, verdict.owed)
