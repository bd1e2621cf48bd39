"""Envelopes in memory: transactions and those of their recipients that are not only a row of DEFEDB.

A recipient that waits for another attempt is no object here: its row says everything, and it is made again when it is due.
So memory follows the active queue and what is about to be written, not the length of the queue (I16). `Place` says where a
recipient in memory is; it is in exactly one place at a time (I11).
"""

from enum import IntEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from smx.messages import Content, Envelope, Outcome, Recipient, Route, Verdict
from smx.qmgr.records import Expanded, Opened, RecipientState, Status, VerdictRecord
from smx.qmgr.rows import envelope_octets

if TYPE_CHECKING:
    from smx.qmgr.aq import Job


class Place(IntEnum):
    """Where a recipient in memory is."""

    INCOMING = 0  # IQDB: accepted or offered, not yet durable
    RESOLVING = 1  # AQ: waits for a route
    PARKED = 2  # AQ: has a route, waits for others of its transaction and domain
    QUEUED = 3  # AQ: waits for a delivery
    FLIGHT = 4  # AQ: in a delivery
    SETTLING = 5  # its verdict, expansion or row is being written
    NOTIFYING = 6  # over, but a notification is being made, whose record will close it (A6)
    DONE = 7  # over; nothing of it was written yet (cut-through), or nothing will be


class Entry(Struct):
    """One recipient in memory. `attempt` counts the attempts that have ended; `verdict` is the latest one's."""

    transaction: "Transaction"
    recipient: Recipient
    reverse_path: bytes
    attempt: int = 0
    place: Place = Place.INCOMING
    deferred: bool = False  # came from DEFEDB: counts against that share of AQ (SX17)
    row: bool = False  # a row of it was stored, or is about to be
    expand: bool = True  # an alias may still be followed (A7)
    warned: bool = False  # the sender knows of the delay
    counted: bool = False  # AQ counts it
    crashes: int = 0  # since its last verdict, see poison.py (A14)
    alone: int = 0
    destination: str = ""
    verdict: Verdict | None = None
    record: VerdictRecord | None = None  # the latest one appended in this life
    job: "Job | None" = None  # of AQ, while QUEUED
    aside: str = ""  # why it is quarantined, once that was appended

    @property
    def key(self) -> tuple[int, int]:
        return (self.transaction.id, self.recipient.index)

    @property
    def override(self) -> bytes | None:
        """The reverse-path that replaces the envelope's, None when none does."""
        return self.reverse_path if self.reverse_path != self.transaction.envelope.reverse_path else None


class Cut(Struct):
    """What cut-through has seen so far (A12). `ended`: recipients with a verdict, in order."""

    delivered: int = 0
    failed: int = 0
    deferred: int = 0
    late: bool = False  # its deadline has passed, or something else forbids to wait
    asked: bool = False  # Secure was said
    ended: list[tuple[Entry, int, bool]] = []  # (entry, protocol, since_jump)


class Unresolved(Struct):
    """Recipients of one transaction that wait for routes: how many of each domain, and those that have one and wait for the others."""

    left: dict[bytes, int] = {}
    parked: list[tuple[Entry, Route]] = []


class Transaction:
    """A transaction with recipients in memory.

    `entries` holds these, by index; `settled` the Status of those that have left memory in this life: CLOSED or MOVED.
    """

    __slots__ = (
        "abort_asked",
        "alone",
        "crashes",
        "cut",
        "durable",
        "entries",
        "envelope",
        "expansions",
        "forgotten",
        "id",
        "next_index",
        "owner",
        "packed",
        "recorded",
        "settled",
        "unresolved",
    )

    def __init__(self, envelope: Envelope) -> None:
        self.id = envelope.transaction
        self.envelope = envelope
        self.entries: dict[int, Entry] = {}
        self.settled: dict[int, Status] = {}
        self.expansions: tuple[Expanded, ...] = ()
        self.crashes = 0  # in hand at so many crashes, see poison.py (A14)
        self.alone = 0
        self.next_index = 0  # of the next recipient that an expansion adds
        self.owner = ""  # the SMTPS process that waits for Submitted
        self.cut: Cut | None = None  # its content is not synced, and it may never need to be (A12)
        self.recorded = False  # IBDB has an opening of it, appended at least
        self.durable = False  # it is ours, whatever happens
        self.abort_asked = False  # SMTPS waits for Aborted
        self.forgotten = False  # aborted: only deliveries in hand keep it
        self.packed = b""  # the envelope as rows hold it
        self.unresolved: Unresolved | None = None  # with several recipients only

    @property
    def content(self) -> Content:
        return self.envelope.content

    def add(self, recipient: Recipient, reverse_path: bytes) -> Entry:
        """One more recipient."""
        assert recipient.index not in self.entries, "a recipient is in two places (I11)"
        entry = Entry(self, recipient, reverse_path)
        self.entries[recipient.index] = entry
        if recipient.index >= self.next_index:
            self.next_index = recipient.index + 1
        return entry

    def drop(self, entry: Entry, status: Status) -> None:
        """The recipient leaves memory."""
        del self.entries[entry.recipient.index]
        self.settled[entry.recipient.index] = status

    def envelope_octets(self) -> bytes:
        """The envelope as rows hold it, made once."""
        if not self.packed:
            self.packed = envelope_octets(self.envelope)
        return self.packed

    def opened(self) -> Opened:
        """All that is known of it now, as one record: for copying forward (A3), and when an alias is followed late."""
        known = {recipient.index for recipient in self.envelope.recipients}
        known.update(recipient.index for expanded in self.expansions for recipient in expanded.recipients)
        states = [RecipientState(index, status, stored=status == Status.MOVED) for index, status in self.settled.items() if index in known]
        states += [state for entry in self.entries.values() if (state := state_of(entry)) is not None]
        return Opened(self.id, self.envelope, tuple(states), self.expansions, self.crashes, self.alone)


def state_of(entry: Entry) -> RecipientState | None:
    """A recipient's state for an opening; None: simply queued for its first attempt.

    MOVED is said only of a row that is on disk for sure: a recipient that came from there. One whose row is on its way is still QUEUED.
    """
    record = entry.record
    index = entry.recipient.index
    if entry.aside:
        return RecipientState(index, Status.QUARANTINED, entry.attempt, text=entry.aside.encode(), stored=entry.row)
    if record is not None:
        return recorded_state(record, warned=entry.warned)
    if entry.deferred:
        return RecipientState(index, Status.MOVED, entry.attempt, stored=True)
    if entry.place == Place.FLIGHT:
        return RecipientState(index, Status.IN_FLIGHT, entry.attempt, stored=entry.row, warned=entry.warned)
    if entry.attempt or entry.row or entry.warned:
        return RecipientState(index, Status.QUEUED, entry.attempt, stored=entry.row, warned=entry.warned)
    return None


def recorded_state(record: VerdictRecord, *, warned: bool) -> RecipientState:
    """The same as a VerdictRecord, inside an opening."""
    return RecipientState(
        record.index,
        Status.DEFERRED if record.outcome == Outcome.DEFERRED else Status.CLOSED,
        record.attempt,
        record.next_try,
        record.code,
        record.enhanced,
        record.text,
        record.remote,
        record.stored,
        record.owed,
        warned,
        record.outcome,
    )
