"""Deferral: writes the rows of DEFEDB in batches, and keeps EDBC in step with the disk (A4, A8, A10, SX12, SX18).

    what                              row                              when it is stored
    deferral, its verdict durable     attempt, next_try                the recipient leaves memory; Moved, lazily (A4)
    overflow of AQ (A8)               attempt 0, next_try = now        the same
    retry that is deferred again      attempt + 1, next_try            the verdict's pin in IBDB is released
    final verdict of a row, durable   deleted                          the same, and the content's reference goes
    postponed, held, released ...     next_try, state                  nothing else

One Store is outstanding at a time; what comes meanwhile is the next batch: as with the log, load makes the batches larger, and no
timer is needed. Any error but a full disk ends the process.

A full disk (SQLITE_FULL) rolls back (A10): the recipients stay in IBDB and in memory, and rows are tried again later. Meanwhile

    deletions                         go on, in batches of their own, which may use DEFEDB's reserve
    a deferral whose time has come    is tried from memory: what is queued is still delivered
    a row that was only postponed     the same: what is on disk of it is as good

A key is in one batch at a time: what is on its way is out of EDBC, and nobody else touches what is out (I11).
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from smx.effects import Fetch, Find, Row, Store
from smx.events import Fetched, Found, Stored
from smx.limits import STORE_BATCH_ROWS_MAX
from smx.qmgr.edbc import Key
from smx.qmgr.envelopes import Entry, Place, Transaction
from smx.qmgr.records import Moved, Status
from smx.qmgr.rows import ROW_DEFERRED, ROW_QUARANTINED, ParkedRecipient, make_row
from smx.units import SECOND

if TYPE_CHECKING:
    from smx.qmgr.hub import Hub

STORE_AGAIN_US: Final = 10 * SECOND  # after a full disk
BATCHES_WAITING_MAX: Final = 2  # of rows that come from DEFEDB and go back there
LOOK_US: Final = SECOND  # between two looks at what waits in memory because of it
EVER: Final = 1 << 62  # a stamp behind all stamps


class Change(Struct):
    """One row to be written (`row` not None) or deleted. `entry`: its recipient in memory. `then`: called when it is stored."""

    key: Key
    segment: int
    row: Row | None
    entry: Entry | None = None
    then: Callable[[], None] | None = None
    spilled: bool = False
    postponed: bool = False  # nothing but the time of the next attempt changed


class Together(Struct):
    """Rows that change in one commit, or not at all. `before`: as they are on disk. `then(done=...)` is called at the end."""

    changes: list[Change]
    before: tuple[Row, ...]
    then: Callable[..., None]


class Deferral:
    """Owns all traffic with DEFEDB but that of the queue tools' listings."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._pending: deque[Change] = deque()  # rows to be written
        self._deletions: deque[Change] = deque()
        self._batch: list[Change] = []  # of the outstanding Store
        self._together: Together | None = None
        self._again_at = 0  # now at which refused rows are tried again; 0: none were refused
        self._deletions_again_at = 0  # the same for deletions
        self._look_at = 0  # now at which refused deferrals are looked at: is it time for the next attempt?
        self.spilling = 0  # recipients of new mail on their way to disk
        self._rest: dict[int, None] = {}  # transactions that have left memory: have they rows?

    @property
    def busy(self) -> bool:
        return bool(self._pending or self._deletions or self._batch or self._together)

    @property
    def behind(self) -> bool:
        """As much waits to be written as memory should hold: let no more rows come in that may have to go out again (I16)."""
        return len(self._pending) >= BATCHES_WAITING_MAX * self._hub.settings.spill_batch and not self._again_at

    @property
    def blocked_until(self) -> int:
        """now until which nothing can be done about a full disk; 0: it is not."""
        if not self._again_at:
            return self._deletions_again_at
        return self._again_at if self._hub.stopping else min(self._again_at, self._look_at)  # nothing is tried any more at a stop

    # --- orders -----------------------------------------------------------------------------------------------------

    def store(self, entry: Entry, next_try: int, *, state: int = ROW_DEFERRED, then: Callable[[], None] | None = None) -> None:
        """The recipient shall live in DEFEDB. It leaves memory when it does."""
        change = self._put(entry, self.row_of(entry, next_try, state))
        change.then = then

    def spill(self, entry: Entry, next_try: int) -> None:
        """It does not fit in AQ: the same, without an attempt (A8)."""
        hub = self._hub
        hub.aq.leave(entry)
        if not entry.deferred and hub.admission.spilled(1, hub.now):
            hub.gate.assess()
        change = self._put(entry, self.row_of(entry, next_try, ROW_DEFERRED))
        change.spilled = not entry.deferred
        self.spilling += change.spilled

    def delete(self, entry: Entry) -> None:
        """Its final verdict is durable: the row goes, then the recipient."""
        self._deletions.append(Change(entry.key, entry.transaction.content.segment, None, entry))

    def postpone(self, row: Row, next_try: int) -> None:
        """A due row whose destination takes nothing now: later, without an attempt."""
        self.change(msgspec.structs.replace(row, next_try=next_try)).postponed = True

    def quarantine_row(self, row: Row) -> None:
        """A row that cannot be read is kept, out of the way (I15)."""
        self.change(msgspec.structs.replace(row, state=ROW_QUARANTINED))

    def change(self, row: Row, then: Callable[[], None] | None = None) -> Change:
        """Write a row whose recipient is not in memory. It is out of EDBC until then."""
        self._hub.edbc.leave((row.transaction, row.index))
        change = Change((row.transaction, row.index), row.segment, row, None, then)
        self._pending.append(change)
        return change

    def change_together(self, rows: list[Row], before: tuple[Row, ...], then: Callable[..., None]) -> None:
        """Write rows whose recipients are not in memory, all of them in one commit. A full disk leaves them as they are. One order at a time."""
        assert self._together is None
        assert len(rows) <= STORE_BATCH_ROWS_MAX
        for row in rows:
            self._hub.edbc.leave((row.transaction, row.index))
        self._together = Together([Change((row.transaction, row.index), row.segment, row) for row in rows], before, then)

    def touches(self, transaction: int) -> bool:
        """A change of one of its rows is on its way."""
        together = self._together.changes if self._together is not None else ()
        return any(change.key[0] == transaction for changes in (self._batch, self._pending, self._deletions, together) for change in changes)

    def delete_row(self, row: Row) -> None:
        """Delete a row whose recipient is not in memory (recovery found it closed)."""
        self._hub.edbc.leave((row.transaction, row.index))
        self._deletions.append(Change((row.transaction, row.index), row.segment, None))

    def row_of(self, entry: Entry, next_try: int, state: int) -> Row:
        """The row of a recipient in memory."""
        verdict = entry.verdict
        code, enhanced, text, remote = (0, b"", b"", "") if verdict is None else (verdict.code, verdict.enhanced, verdict.text, verdict.remote)
        parked = ParkedRecipient(
            entry.recipient, entry.override, code, enhanced, text, remote, entry.warned, entry.crashes, expanded=not entry.expand, alone=entry.alone
        )
        transaction = entry.transaction
        return make_row(
            transaction.envelope_octets(),
            transaction.envelope,
            parked,
            attempt=entry.attempt,
            next_try=next_try,
            state=state,
            destination=entry.destination,
        )

    def _put(self, entry: Entry, row: Row) -> Change:
        if not entry.row:
            entry.row = True
            self._hub.references.add(row.segment)
        entry.place = Place.SETTLING
        self._hub.edbc.leave(entry.key)
        change = Change(entry.key, row.segment, row, entry)
        self._pending.append(change)
        return change

    # --- the disk ---------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """At the end of each step: the next batch, and what EDBC wants to read."""
        hub = self._hub
        if not self._pending:
            self._again_at = 0  # what was refused has been tried from memory
        if not self._batch and (self._pending or self._deletions or self._together is not None):
            self._batch = self._next_batch(min(hub.settings.spill_batch, STORE_BATCH_ROWS_MAX))
            if self._batch:
                rows = tuple([change.row for change in self._batch if change.row is not None])
                gone = tuple([change.key for change in self._batch if change.row is None])
                hub.effects.append(Store(hub.request(self._on_stored), rows, gone))
        if self._rest and not self._batch:
            transactions = tuple(self._rest)
            self._rest.clear()
            self._look(transactions, (0, -1))
        wanted = hub.edbc.fetch()
        if wanted is not None:
            (next_try, transaction, index), limit = wanted
            hub.effects.append(Fetch(hub.request(self._on_fetched), EVER, limit, next_try, transaction, index))

    def _next_batch(self, limit: int) -> list[Change]:
        """Deletions first: they make room."""
        if self._together is not None:
            return self._together.changes
        batch: list[Change] = []
        if self._hub.now >= self._deletions_again_at:
            self._deletions_again_at = 0
            while self._deletions and len(batch) < limit:
                batch.append(self._deletions.popleft())
        if self._hub.now >= self._again_at:
            self._again_at = 0
            while self._pending and len(batch) < limit:
                batch.append(self._pending.popleft())
        return batch

    def _on_fetched(self, event: Fetched) -> None:
        self._hub.edbc.fetched(event.rows, more=event.more)

    def _on_stored(self, event: Stored) -> None:
        hub = self._hub
        batch = self._batch
        self._batch = []
        if event.error or event.no_space:
            if not event.no_space:
                hub.halt(f"deferred envelopes cannot be stored: {event.error}")
                return
            self._refused(batch)
            return
        together = self._ended_together(batch)
        moved: dict[int, tuple[Transaction, list[tuple[int, int]]]] = {}
        for change in batch:
            hub.ibdb.release(change.key)
            if change.row is None:
                hub.edbc.gone(change.key)
                hub.references.release(change.segment)
            else:
                self._stored(change.row, change.entry, moved)
        for transaction, rows in moved.values():
            if transaction.recorded:
                hub.ibdb.append(Moved(transaction.id, tuple(rows)), lazy=True)
        self._left([change.entry for change in batch if change.row is None], [transaction for transaction, _ in moved.values()])
        spilled = sum(change.spilled for change in batch)
        if spilled:
            self.spilling -= spilled
            hub.note("spilled", spilled)
        for change in batch:
            if change.then is not None:
                change.then()
        if together is not None:
            together.then(done=True)

    def _ended_together(self, batch: list[Change]) -> Together | None:
        """The order whose batch this was, which is over."""
        together = self._together
        if together is None or together.changes is not batch:
            return None
        self._together = None
        return together

    def _refused(self, batch: list[Change]) -> None:
        """The disk is full (A10)."""
        hub = self._hub
        together = self._ended_together(batch)
        if together is not None:
            for row in together.before:
                self._on_disk(row)
            together.then(done=False)
            return
        hub.note("trouble", "defedb", "the disk is full: deferred recipients wait in the envelope log")
        rows = [change for change in batch if change.row is not None]
        self._deletions.extendleft(change for change in reversed(batch) if change.row is None)
        if not rows:
            self._deletions_again_at = hub.now + STORE_AGAIN_US
            return
        self._again_at = hub.now + STORE_AGAIN_US
        self._look_at = hub.now + LOOK_US
        self._pending.extendleft(reversed(rows))

    def try_from_memory(self) -> None:
        """While rows cannot be written, deferrals whose time has come are tried all the same (A10). Each one's next verdict supersedes its change."""
        hub = self._hub
        if not self._again_at or hub.now < self._look_at:
            return
        self._look_at = hub.now + LOOK_US
        stamp = hub.stamp
        waiting, self._pending = self._pending, deque()  # what is put off once more comes back into `_pending`
        for change in waiting:
            row = change.row
            if row is None or row.state != ROW_DEFERRED or row.next_try > stamp or not self._is_tried(change, row):
                self._pending.append(change)

    def _is_tried(self, change: Change, row: Row) -> bool:
        """Take a recipient whose row was refused into AQ. False: it cannot be, or there is no room."""
        dispatch = self._hub.dispatch
        if change.entry is not None and change.then is None and dispatch.again(change.entry):
            self.spilling -= change.spilled
            return True
        return change.postponed and dispatch.due(row)

    def _stored(self, row: Row, entry: Entry | None, moved: dict[int, tuple[Transaction, list[tuple[int, int]]]]) -> None:
        """A row is on disk; its recipient leaves memory."""
        hub = self._hub
        if entry is not None:
            transaction = entry.transaction
            hub.aq.leave(entry)
            transaction.drop(entry, Status.MOVED)
            moved.setdefault(transaction.id, (transaction, []))[1].append((row.index, row.attempt))
        self._on_disk(row)

    def _on_disk(self, row: Row) -> None:
        """The row is on disk like this, and its recipient nowhere in memory."""
        if row.state == ROW_DEFERRED:
            self._hub.edbc.stored(row)
            if self._hub.clock.wrong(row):
                self._hub.clock.look()
        else:
            self._hub.edbc.gone((row.transaction, row.index))

    def _left(self, gone: list[Entry | None], moved: list[Transaction]) -> None:
        """Recipients whose rows were deleted are over; transactions without recipients in memory leave it."""
        hub = self._hub
        for entry in gone:
            if entry is not None:
                entry.row = False
                hub.settlement.gone(entry)
        for transaction in moved:
            if not transaction.entries and hub.transactions.get(transaction.id) is transaction:
                hub.settlement.left(transaction)

    # --- is a transaction over? ---------------------------------------------------------------------------------------

    def look_for_rest(self, transaction: int) -> None:
        """Its last recipient in memory is over: note `closed` if no row of it is left."""
        self._rest[transaction] = None

    def _look(self, transactions: tuple[int, ...], after: Key) -> None:
        """Page through the rows of these transactions until one of each was seen."""

        def found(event: Found) -> None:
            seen = {row.transaction for row in event.rows}
            left = tuple([transaction for transaction in transactions if transaction not in seen])
            if event.more and left:
                self._look(left, (event.rows[-1].transaction, event.rows[-1].index))
                return
            for transaction in left:
                if transaction not in self._hub.transactions:
                    self._hub.note("closed", transaction)

        request = self._hub.request(found)
        self._hub.effects.append(Find(request, transactions, after_transaction=after[0], after_index=after[1]))
