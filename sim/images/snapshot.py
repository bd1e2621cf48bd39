"""Snapshot: a reading of the log that has come to a certain octet, to be continued many times, each time with the octets of another image.

The images of one boundary share what is durable. The real reader is fed page by page (256 KiB live); here the durable octets are its first page,
and what differs the next one: what both give together is the reading of the image. Only what the reader keeps between two pages is copied.
"""

from typing import Any

from smx.qmgr.records import AnyRecord, Unknown
from smx.qmgr.recovery_fold import Fold, FoldedRecipient, FoldedTransaction
from smx.qmgr.recovery_log import LogReader

Taken = tuple[int, AnyRecord | Unknown]


class LogReading:
    """The log as recovery reads it: `taken`: the records of the history since the snapshot; the fold of all of them; damages."""

    __slots__ = ("_shared", "changed", "fold", "judged", "reader", "taken")

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.fold = Fold()
        self.reader = LogReader(self._accept)
        self.judged = False  # who is open when the log ends here
        self.changed: set[int] | None = None  # transactions that differ from those of a snapshot that was judged; None: there is none
        self._shared = False  # the fold is that of the snapshot too

    def _accept(self, segment: int, record: AnyRecord | Unknown) -> None:
        if self._shared:
            self.fold = _copy_fold(self.fold)
            self._shared = False
        self.taken.append((segment, record))
        self.fold.apply(segment, record)

    def finished(self) -> Fold:
        """The fold when the log ends here."""
        fold = _copy_fold(self.fold)
        fold.finish()
        return fold

    def copy(self) -> "LogReading":
        """The same, to go on from here; with nothing taken yet."""
        other = LogReading.__new__(LogReading)
        other.taken = []
        other.fold = self.fold
        other._shared = True
        other.judged = False
        other.changed = None
        reader = other.reader = _shallow(self.reader)
        reader._accept = other._accept
        scan = reader._scan = _shallow(reader._scan)
        scan._gap_data = scan._gap_data.copy()
        reader._sizes = reader._sizes.copy()
        reader._opened = reader._opened.copy()
        reader._missing = reader._missing.copy()
        reader._doubtful = reader._doubtful.copy()
        reader.damages = reader.damages.copy()
        return other

    def note_changes(self, before: "LogReading") -> None:
        """What was taken since that snapshot is all that differs from it."""
        if before.judged or before.changed is not None:
            changed = set() if before.judged else set(before.changed or ())
            for _, record in self.taken:
                changed.add(getattr(record, "transaction", 0))
                changed.update(verdict.transaction for verdict in getattr(record, "verdicts", ()))
            self.changed = changed

    def resize(self, octets: int) -> None:
        """The segment that is being read has this size."""
        self.reader._scan._octets = octets


def _shallow(thing: Any) -> Any:
    other = thing.__class__.__new__(thing.__class__)
    other.__dict__.update(thing.__dict__)
    return other


def _copy_fold(fold: Fold) -> Fold:
    other: Fold = _shallow(fold)
    other.transactions = {number: _copy_transaction(transaction) for number, transaction in fold.transactions.items()}
    other.suspects = fold.suspects.copy()
    other._counted = fold._counted.copy()
    return other


def _copy_transaction(transaction: FoldedTransaction) -> FoldedTransaction:
    other = FoldedTransaction.__new__(FoldedTransaction)
    other.envelope = transaction.envelope
    other.recipients = {index: _copy_recipient(found) for index, found in transaction.recipients.items()}
    other.expansions = transaction.expansions.copy()
    other.begun = transaction.begun.copy()
    other.crashes = transaction.crashes
    other.unknown = transaction.unknown
    other.segment = transaction.segment
    return other


def _copy_recipient(found: FoldedRecipient) -> FoldedRecipient:
    other = FoldedRecipient.__new__(FoldedRecipient)
    other.recipient = found.recipient
    other.reverse_path = found.reverse_path
    other.state = found.state
    other.verdict = found.verdict
    other.held = found.held
    other.quarantined = found.quarantined
    other.moved = found.moved
    other.expanded = found.expanded
    other.segment = found.segment
    return other
