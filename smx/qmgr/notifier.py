"""Notifier: makes DSNs and queues them (A6, I7, SX27, SX28).

A notice is about recipients of one transaction who share a fate and an addressee. What is added in one step, or while the notice waits
for its turn, goes into one DSN. Then, a bounded number at a time:

    WAITING -> READING    the octets that are returned, from CDB
            -> SYNCING    the DSN is composed, put into a content segment of ours, made durable
            -> RECORDING  one record closes the recipients and opens the DSN
            -> over       the DSN is an ordinary transaction with a null reverse-path; the recipients are closed

No crash loses or doubles it: before that record is durable, recovery finds the verdicts that owe it; after it, it finds the DSN.
When the disk has no room for the DSN, the notice waits and tries again; its recipients stay in memory and in IBDB (A10).
"""

from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from smx.cdb.reader import ContentReader
from smx.cdb.writer import Progress
from smx.events import ReadFailed, Readout
from smx.messages import Body, Content, Envelope, Outcome, Recipient, Ret
from smx.qmgr.dsn import Action, Kind, Notification, Report, compose, quoted_octets
from smx.qmgr.envelopes import Entry, Transaction
from smx.qmgr.notifications import DOUBLE_BOUNCE, OUR_OWN
from smx.qmgr.records import Notified, Opened, Quarantined, VerdictRecord
from smx.qmgr.rows import ROW_QUARANTINED
from smx.units import SECOND

if TYPE_CHECKING:
    from smx.qmgr.hub import Hub

NOTICES_MAX: Final = 32  # at a time: each may hold a chunk of content in memory
RECIPIENTS_MAX: Final = 1_000  # that one DSN tells of
AGAIN_US: Final = 10 * SECOND  # after a full disk

_Key = tuple[int, int, bytes, str]


class Notice(Struct):
    """A DSN in the making. `entries` are closed by it; `warned`: indices that it tells of without closing them."""

    key: _Key
    kind: Kind
    to: bytes
    envelope: Envelope
    own: bool  # its parameters are the sender's own, not a list's
    double: bool  # a double bounce (SX28)
    quarantine: str  # why the recipients are set aside afterwards; "": they are not
    attempt: int = 0
    reports: list[Report] = []
    entries: list[Entry] = []
    warned: list[int] = []
    reader: ContentReader | None = None
    pieces: list[bytes] = []
    dsn: int = 0  # transaction id
    content: Content | None = None
    smtputf8: bool = False
    eight_bit: bool = False


class Notifier:
    """Owns the notices."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._waiting: dict[_Key, Notice] = {}
        self._line: deque[Notice] = deque()  # the same, in order
        self._active = 0
        self._syncing: dict[int, Notice] = {}  # by DSN id
        self._stalled: list[Notice] = []
        self.again_at = 0  # now at which the stalled ones are tried again; 0: there are none

    @property
    def busy(self) -> bool:
        """Something is under way, or can go on."""
        return bool(self._active or self._line)

    def add(self, entry: Entry, kind: Kind | int, action: Action, to: bytes, *, quarantine: str = "") -> None:
        """Tell `to` what became of a recipient. But for a delay, the entry stays in memory until the notifier closes it."""
        transaction = entry.transaction
        key = (transaction.id, int(kind), to, quarantine)
        notice = self._waiting.get(key)
        if notice is None or len(notice.reports) >= RECIPIENTS_MAX:
            own = entry.reverse_path == transaction.envelope.reverse_path
            notice = Notice(key, Kind(kind), to, transaction.envelope, own, not entry.reverse_path, quarantine)
            self._hub.references.add(notice.envelope.content.segment)
            self._waiting[key] = notice
            self._line.append(notice)
        notice.reports.append(self._report(entry, action))
        notice.attempt = max(notice.attempt, entry.attempt)
        if kind == Kind.DELAYED:
            notice.warned.append(entry.recipient.index)
        else:
            notice.entries.append(entry)

    def _report(self, entry: Entry, action: Action) -> Report:
        hub = self._hub
        verdict = entry.verdict
        assert verdict is not None
        until = entry.transaction.envelope.arrived_at + hub.retry.give_up_us if action is Action.DELAYED else 0
        orcpt = entry.recipient.orcpt
        return Report(entry.recipient.address, action, verdict.code, verdict.enhanced, verdict.text, verdict.remote, orcpt, hub.stamp, until)

    # --- reading ----------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """At the end of each step: begin what may begin."""
        hub = self._hub
        if self.again_at and hub.now >= self.again_at:
            self.again_at = 0
            stalled, self._stalled = self._stalled, []
            for notice in stalled:
                self._compose(notice)
        while self._line and self._active < NOTICES_MAX and not self._stalled:
            notice = self._line.popleft()
            if self._waiting.get(notice.key) is notice:
                del self._waiting[notice.key]
            self._active += 1
            octets = 0 if notice.quarantine else quoted_octets(notice.kind, self._ret(notice), notice.envelope.content)
            if octets:
                notice.reader = ContentReader(notice.envelope.content, upto=octets)
                self._read(notice)
            else:
                self._compose(notice)

    def _read(self, notice: Notice) -> None:
        reader = notice.reader
        assert reader is not None

        def completed(event: Readout | ReadFailed) -> None:
            if isinstance(event, ReadFailed):
                self._hub.note("trouble", "cdb", f"content to be returned cannot be read: {event.reason}")
                notice.pieces.clear()
                notice.reader = None
                self._compose(notice)
                return
            notice.pieces.append(reader.take(event.data))
            if reader.done:
                self._compose(notice)
            else:
                self._read(notice)

        effect = reader.next(self._hub.request(completed))
        assert effect is not None
        self._hub.effects.append(effect)

    # --- writing ----------------------------------------------------------------------------------------------------

    def _compose(self, notice: Notice) -> None:
        hub = self._hub
        envelope = notice.envelope
        composed = compose(
            Notification(
                notice.kind,
                envelope.transaction,
                notice.attempt,
                hub.seed,
                hub.settings.hostname,
                notice.to,
                hub.stamp,
                envelope.arrived_at,
                tuple(notice.reports),
                b"".join(notice.pieces),
                envelope.content if notice.reader is not None else None,
                envelope.envid if notice.own else b"",
                self._ret(notice),
                min([*notice.warned, *(entry.recipient.index for entry in notice.entries)]),
            )
        )
        notice.dsn = hub.links.own_transaction()
        notice.content = hub.writer.put(hub.effects, notice.dsn, (composed.message,), composed.facts)
        if notice.content is None:
            self._stall(notice)
            return
        notice.smtputf8 = composed.smtputf8
        notice.eight_bit = composed.facts.eight_bit
        self._syncing[notice.dsn] = notice
        if hub.writer.want_sync(hub.effects, notice.dsn):
            self._record(self._syncing.pop(notice.dsn))

    def _ret(self, notice: Notice) -> int:
        return notice.envelope.ret if notice.own else Ret.NONE

    def _stall(self, notice: Notice) -> None:
        self._stalled.append(notice)
        self.again_at = self._hub.now + AGAIN_US

    def progress(self, progress: Progress) -> None:
        """The content writer got on."""
        hub = self._hub
        for segment in progress.sealed:
            hub.references.sealed(segment)
        for dsn in progress.failed:
            notice = self._syncing.pop(dsn, None)
            if notice is not None:
                for segment in hub.writer.answered(hub.effects, dsn):
                    hub.references.sealed(segment)
                self._stall(notice)
        for dsn in progress.durable:
            notice = self._syncing.pop(dsn, None)
            if notice is not None:
                self._record(notice)

    # --- recording --------------------------------------------------------------------------------------------------

    def _record(self, notice: Notice) -> None:
        """The DSN's content is durable: one record closes the recipients and opens the DSN (A6)."""
        hub = self._hub
        assert notice.content is not None
        recipient = Recipient(0, notice.to)
        body = Body.EIGHT_BIT if notice.eight_bit else Body.SEVEN_BIT
        server = DOUBLE_BOUNCE if notice.double else OUR_OWN
        envelope = Envelope(notice.dsn, b"", (recipient,), notice.content, hub.stamp, body=body, smtputf8=notice.smtputf8, server=server)
        transaction = Transaction(envelope)
        transaction.add(recipient, b"")
        transaction.recorded = True
        hub.transactions[notice.dsn] = transaction
        hub.references.add(notice.content.segment)
        for segment in hub.writer.answered(hub.effects, notice.dsn):
            hub.references.sealed(segment)
        original = notice.envelope.transaction
        kind = notice.kind.name.lower()
        hub.note("bounced", original, kind, notice.dsn, len(notice.reports), notice.to)
        hub.submission.note_envelope(envelope)
        indices = [entry.recipient.index for entry in notice.entries]
        opened = Opened(notice.dsn, envelope)
        if notice.quarantine:
            hub.ibdb.append(Notified(original, (), opened, tuple(indices)), None, notice.dsn)
            for entry in notice.entries:
                entry.aside = notice.quarantine
            hub.ibdb.append(Quarantined(original, tuple(indices), notice.quarantine), (self._recorded, (notice, transaction)))
        else:
            closing = tuple([_closing(entry) for entry in notice.entries])
            record = Notified(original, closing, opened, tuple(notice.warned))
            hub.ibdb.append(record, (self._recorded, (notice, transaction)), notice.dsn)

    def _recorded(self, made: tuple[Notice, Transaction]) -> None:
        notice, transaction = made
        hub = self._hub
        self._active -= 1
        hub.references.release(notice.envelope.content.segment)
        for entry in notice.entries:
            if notice.quarantine:
                hub.deferral.store(entry, 0, state=ROW_QUARANTINED)
            else:
                hub.settlement.close(entry)
        hub.submission.became_durable(transaction)


def _closing(entry: Entry) -> VerdictRecord:
    """The entry's final record without what it owed."""
    record = entry.record
    assert record is not None
    assert record.outcome != Outcome.DEFERRED
    settled = VerdictRecord(
        record.transaction, record.index, record.attempt, record.outcome, 0, record.code, record.enhanced, record.text, record.remote, record.stored
    )
    entry.record = settled
    return settled
