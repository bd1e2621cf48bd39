"""Copying: moves the content of one transaction to a segment of QMGR's own, so that the old segment can go (A3).

    READ     the content, chunk by chunk; its checksum must agree                  damaged: quarantined, not copied (A1)
    WRITE    into a segment of ours, synced                                        no space: given up, the copy is dead octets
    LOOK     the rows of the transaction, as they are now                          in use: given up
    STORE    all its rows, in one commit: they name the copy
    RECORD   Relocated, synced
    over     the references to the old segment are released

What may be moved: a transaction whose recipients are rows only, none of them out (EDBC), or one that lives in memory and in IBDB only and has
no delivery in flight. One that is split between memory and rows comes later: it soon is one of the two. While rows are being stored they are
out, so nobody takes them into memory; what is read of the old content meanwhile holds a reference of its own.

Why this order. All rows of a transaction share one envelope, and each names the segment that it counts against: they change together or not
at all. The record covers an opening that the log may still have although its recipients have moved on. A crash between the two leaves rows
that are newer than the opening; both contents are there, and recovery believes the rows (recovery_judge.placed).

Not supported: a transaction with more rows than one commit takes (STORE_BATCH_ROWS_MAX): its segment stays until it is over.

    crash                 opening    rows    what recovery finds
    before STORE          old        old     as before; the copy has no reference
    STORE, no RECORD      old        new     the copy; the old content has no reference
    RECORD                new        new     the same
"""

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from smx.cdb.reader import ContentReader
from smx.cdb.writer import Progress
from smx.effects import Find, Row
from smx.events import Found, ReadFailed, Readout
from smx.limits import STORE_BATCH_ROWS_MAX
from smx.messages import Content
from smx.qmgr.envelopes import Place, Transaction
from smx.qmgr.records import Relocated, Status
from smx.qmgr.rows import ROW_QUARANTINED, RowError, envelope_octets, read_row
from smx.smtp.facts import ContentFacts

if TYPE_CHECKING:
    from smx.qmgr.hub import Hub

DAMAGED: str = "the content is damaged or missing"


class End(IntEnum):
    """How a copy ended."""

    MOVED = 1  # or nothing was left to move
    BUSY = 2  # in use; perhaps another time
    DAMAGED = 3  # its recipients are quarantined
    NO_SPACE = 4
    UNREADABLE = 5  # the device failed, or a row cannot be read


class Copy(Struct):
    """The copy in the making. `new` None: not written, or not to be used."""

    transaction: int
    old: Content
    then: Callable[[End], None]
    reader: ContentReader
    pieces: list[bytes]
    new: Content | None = None


class Copier:
    """Copies one content at a time."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._copy: Copy | None = None

    @property
    def busy(self) -> bool:
        return self._copy is not None

    def copy(self, transaction: int, content: Content, then: Callable[[End], None]) -> None:
        """Move the content of a transaction; `then` says how it ended."""
        assert self._copy is None
        self._copy = Copy(transaction, content, then, ContentReader(content), [])
        known = self._hub.transactions.get(transaction)
        if known is not None and not self._movable(known, content):
            self._end(End.BUSY)
        else:
            self._read(self._copy)

    def _end(self, end: End) -> None:
        copy = self._copy
        assert copy is not None
        self._copy = None
        copy.then(end)

    # --- read and write -----------------------------------------------------------------------------------------------

    def _read(self, copy: Copy) -> None:
        hub = self._hub
        reader = copy.reader

        def completed(event: Readout | ReadFailed) -> None:
            if isinstance(event, ReadFailed):
                if event.missing:
                    self._look(copy)
                else:
                    hub.note("trouble", "cdb", f"content to be copied cannot be read: {event.reason}")
                    self._end(End.UNREADABLE)
                return
            copy.pieces.append(reader.take(event.data))
            if not reader.done:
                self._read(copy)
            elif reader.intact:
                self._write(copy)
            else:
                self._look(copy)

        effect = reader.next(hub.request(completed))
        if effect is None:
            self._write(copy)  # content without octets
        else:
            hub.effects.append(effect)

    def _write(self, copy: Copy) -> None:
        hub = self._hub
        copy.new = hub.writer.put(hub.effects, copy.transaction, copy.pieces, _facts(copy.old))
        copy.pieces.clear()
        if copy.new is None:
            self._end(End.NO_SPACE)
        elif hub.writer.want_sync(hub.effects, copy.transaction):
            self._look(copy)

    def progress(self, progress: Progress) -> None:
        """The content writer got on."""
        copy = self._copy
        if copy is None:
            return
        if copy.transaction in progress.durable:
            self._look(copy)
        elif copy.transaction in progress.failed:
            self._drop(copy, End.NO_SPACE)

    def _drop(self, copy: Copy, end: End) -> None:
        """The copy will not be used."""
        self._answered(copy)
        self._end(end)

    def _answered(self, copy: Copy) -> None:
        """The writer need not keep the copy's segment open for us."""
        hub = self._hub
        if copy.new is not None:
            for segment in hub.writer.answered(hub.effects, copy.transaction):
                hub.references.sealed(segment)

    # --- switch -------------------------------------------------------------------------------------------------------

    def _look(self, copy: Copy) -> None:
        """The rows as they are now: each change ordered before is stored when they are found."""
        hub = self._hub

        def found(event: Found) -> None:
            if event.more:
                self._drop(copy, End.UNREADABLE)  # more rows than one commit holds
            elif copy.new is None:
                self._quarantine(copy, event.rows)
            else:
                self._switch(copy, copy.new, event.rows)

        hub.effects.append(Find(hub.request(found), (copy.transaction,), limit=STORE_BATCH_ROWS_MAX))

    def _switch(self, copy: Copy, new: Content, rows: tuple[Row, ...]) -> None:
        hub = self._hub
        transaction = hub.transactions.get(copy.transaction)
        if transaction is None and not rows:
            self._drop(copy, End.MOVED)  # over meanwhile
        elif self._in_use(copy, transaction, rows):
            self._drop(copy, End.BUSY)
        elif transaction is not None:
            hub.references.add(new.segment)
            self._answered(copy)
            transaction.envelope = msgspec.structs.replace(transaction.envelope, content=new)
            transaction.packed = b""
            self._record(copy, new, 1)
        else:
            self._store(copy, new, rows)

    def _in_use(self, copy: Copy, transaction: Transaction | None, rows: tuple[Row, ...]) -> bool:
        hub = self._hub
        if hub.deferral.touches(copy.transaction):
            return True
        if transaction is not None:
            return bool(rows) or not self._movable(transaction, copy.old)
        return any(row.segment != copy.old.segment or hub.edbc.is_out((row.transaction, row.index)) for row in rows)

    def _movable(self, transaction: Transaction, content: Content) -> bool:
        """It lives in memory and in IBDB only, and nothing is read of its content."""
        return (
            transaction.durable
            and transaction.recorded
            and transaction.content == content
            and Status.MOVED not in transaction.settled.values()
            and not any(entry.row or entry.place == Place.FLIGHT for entry in transaction.entries.values())
        )

    def _store(self, copy: Copy, new: Content, rows: tuple[Row, ...]) -> None:
        hub = self._hub
        try:
            envelope, _ = read_row(rows[0])
        except RowError as error:
            hub.note("trouble", "defedb", str(error))
            self._drop(copy, End.UNREADABLE)
            return
        octets = envelope_octets(msgspec.structs.replace(envelope, content=new))
        hub.references.add(new.segment, len(rows))
        self._answered(copy)

        def stored(*, done: bool) -> None:
            if done:
                self._record(copy, new, len(rows))
            else:
                hub.references.release(new.segment, references=len(rows))
                self._end(End.NO_SPACE)

        changed = [msgspec.structs.replace(row, segment=new.segment, envelope=octets) for row in rows]
        hub.deferral.change_together(changed, rows, stored)

    def _record(self, copy: Copy, new: Content, references: int) -> None:
        """The last step: when it is durable, nothing needs the old content for this transaction."""
        self._hub.ibdb.append(Relocated(copy.transaction, new), (self._recorded, (copy, references)))

    def _recorded(self, made: tuple[Copy, int]) -> None:
        copy, references = made
        self._hub.references.release(copy.old.segment, references=references)
        self._end(End.MOVED)

    # --- damage -------------------------------------------------------------------------------------------------------

    def _quarantine(self, copy: Copy, rows: tuple[Row, ...]) -> None:
        """Set aside who waits for damaged content, as a delivery would have done (A1). Who is under way finds it out by itself."""
        hub = self._hub
        transaction = hub.transactions.get(copy.transaction)
        for entry in list(transaction.entries.values()) if transaction is not None and transaction.durable else ():
            if entry.place == Place.QUEUED:
                hub.aq.withdraw(entry)
                hub.settlement.quarantine(entry, DAMAGED)
        for row in rows:
            key = (row.transaction, row.index)
            if row.state != ROW_QUARANTINED and row.segment == copy.old.segment and not hub.edbc.is_out(key):
                hub.edbc.leave(key)
                revived = hub.dispatch.revive(row)
                if revived is not None:
                    hub.settlement.quarantine(revived, DAMAGED)
        self._end(End.DAMAGED)


def _facts(content: Content) -> ContentFacts:
    return ContentFacts(
        content.octets,
        content.header_octets,
        content.lines,
        content.longest_line,
        content.eight_bit,
        content.utf8_headers,
        content.dot_lines,
    )
