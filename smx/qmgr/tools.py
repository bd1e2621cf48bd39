"""Tools: what operators see and change of the queue (SX65, BX11).

A listing merges two sources in order of (transaction, index): recipients in memory, and rows of DEFEDB page by page. A recipient in memory
hides its row, which is older. Nothing is held between pages: a queue of any length is listed in bounded memory.

    verb      recipients that wait, in memory                rows of DEFEDB
    retry     (they are about to be tried)                   next_try = now
    hold      taken out of line, a row in state held         state held
    release   -                                              held or quarantined: state deferred, next_try = now
    remove    closed with a record                           revived, then the same
    bounce    failed, the sender is told                     revived, then the same

Recipients that are in a delivery, or being written, are left alone: their number is not counted. Each change writes one audit note, and is
answered when all of it is durable.
"""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from smx.effects import Find, Row
from smx.events import Found
from smx.messages import Filter, Outcome, QueueChange, QueueChanged, QueueList, QueueListed, QueueRow, Verdict
from smx.qmgr.edbc import Key
from smx.qmgr.envelopes import Entry, Place
from smx.qmgr.rows import ROW_DEFERRED, ROW_HELD, ROW_QUARANTINED, RowError, read_row

if TYPE_CHECKING:
    from smx.qmgr.hub import Hub

PAGE_ROWS: Final = 1_000
ANSWER_ROWS_MAX: Final = 500  # a frame has a bound
REASON_OCTETS_MAX: Final = 200
STATE_TEXT: Final = {ROW_DEFERRED: "deferred", ROW_HELD: "held", ROW_QUARANTINED: "quarantined"}
VERBS: Final = ("retry", "hold", "release", "remove", "bounce")
WAITING: Final = (Place.QUEUED,)  # places in memory from which an operator may take a recipient
_RETURNED: Final = Verdict(-1, Outcome.FAILED, 0, b"5.7.0", b"returned by the postmaster")


class Selection:
    """A Filter, ready to be applied."""

    def __init__(self, given: Filter) -> None:
        self._given = given
        self._sender = pattern(given.sender)
        self._recipient = pattern(given.recipient)
        self._destination = pattern(given.destination)

    def takes(self, row: QueueRow) -> bool:
        given = self._given
        return (
            (not given.transaction or row.transaction == given.transaction)
            and (not given.state or row.state == given.state)
            and (not given.older_than or row.arrived_at < given.older_than)
            and (not given.younger_than or row.arrived_at > given.younger_than)
            and self._sender(row.reverse_path.decode("utf-8", "backslashreplace"))
            and self._recipient(row.recipient.decode("utf-8", "backslashreplace"))
            and self._destination(row.destination)
        )


def pattern(given: str) -> Callable[[str], bool]:
    """A shell pattern (`*`, `?`, `[a-z]`, `[!a]`) over a whole address, without regard to case; "" takes everything, `<>` the null address."""
    if not given:
        return lambda text: True
    if given == "<>":
        return lambda text: not text
    parts = re.split(r"(\*|\?|\[!?\]?[^\]]*\])", given)
    translated = []
    for part in parts:
        if part == "*":
            translated.append(".*")
        elif part == "?":
            translated.append(".")
        elif len(part) > 2 and part[0] == "[" and part[-1] == "]":
            inside = part[1:-1].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
            translated.append("[" + ("^" + inside[1:] if inside[0] == "!" else inside) + "]")
        else:
            translated.append(re.escape(part))
    try:
        compiled = re.compile("".join(translated), re.IGNORECASE | re.DOTALL)
    except re.error:
        return lambda text: text == given
    return lambda text: compiled.fullmatch(text) is not None


class Walk(Struct):
    """A pass over rows and recipients that a filter takes. `take` is called for each, in order; False ends the pass."""

    selection: Selection
    transactions: tuple[int, ...]
    take: Callable[[QueueRow, Row | None], bool]
    done: Callable[[bool], None]  # with True when it was ended before the end
    after: Key


class Tools:
    """Answers QueueList and QueueChange."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub

    # --- listing ------------------------------------------------------------------------------------------------------

    def listing(self, process: str, message: QueueList) -> None:
        """At most `limit` rows behind the given key."""
        rows: list[QueueRow] = []
        limit = max(1, min(message.limit, ANSWER_ROWS_MAX))

        def take(shown: QueueRow, row: Row | None) -> bool:
            if len(rows) == limit:
                return False
            rows.append(shown)
            return True

        def done(ended: bool) -> None:
            self._hub.tell(process, QueueListed(message.request, tuple(rows), ended))

        self._walk(message.filter, take, done, (message.after_transaction, message.after_index))

    # --- changing -----------------------------------------------------------------------------------------------------

    def change(self, process: str, message: QueueChange) -> None:
        """Apply a verb to whatever the filter takes."""
        if message.verb not in VERBS:
            self._hub.tell(process, QueueChanged(message.request, (), f"unknown verb {message.verb!r}: one of {', '.join(VERBS)}"))
            return
        rows: list[QueueRow] = []
        work = Work(self._hub, message)

        def take(shown: QueueRow, row: Row | None) -> bool:
            if work.apply(shown, row):
                work.total += 1
                if len(rows) < ANSWER_ROWS_MAX:
                    rows.append(shown)
            return True

        def answer() -> None:
            self._hub.tell(process, QueueChanged(message.request, tuple(rows), "", work.total))

        def done(ended: bool) -> None:
            if message.dry_run:
                answer()
                return
            self._hub.note("audit", message.who, message.verb, filter_text(message.filter), work.total)
            work.finish(answer)

        self._walk(message.filter, take, done, (0, -1))

    # --- the pass -----------------------------------------------------------------------------------------------------

    def _walk(self, given: Filter, take: Callable[[QueueRow, Row | None], bool], done: Callable[[bool], None], after: Key) -> None:
        transactions = (given.transaction,) if given.transaction else ()
        self._page(Walk(Selection(given), transactions, take, done, after))

    def _page(self, walk: Walk) -> None:
        def found(event: Found) -> None:
            self._merge(walk, event)

        request = self._hub.request(found)
        transaction, index = walk.after
        self._hub.effects.append(Find(request, walk.transactions, -1, transaction, index, PAGE_ROWS))

    def _merge(self, walk: Walk, page: Found) -> None:
        """Rows of one page and the recipients in memory that belong between them, in order."""
        end = (page.rows[-1].transaction, page.rows[-1].index) if page.more and page.rows else None
        merged: dict[Key, tuple[QueueRow, Row | None]] = {}
        for row in page.rows:
            key = (row.transaction, row.index)
            if key not in merged and not self._hub.edbc.is_out(key):
                merged[key] = (shown_row(row), row)
        for entry in self._entries(walk.transactions):
            key = entry.key
            if key > walk.after and (end is None or key <= end):
                merged[key] = (shown_entry(entry), None)
        for key in sorted(merged):
            shown, deferred = merged[key]
            if walk.selection.takes(shown) and not walk.take(shown, deferred):
                walk.done(True)
                return
        if end is None:
            walk.done(False)
            return
        walk.after = end
        self._page(walk)

    def _entries(self, transactions: tuple[int, ...]) -> Iterator[Entry]:
        known = self._hub.transactions
        for transaction in list(known.values()) if not transactions else [known[number] for number in transactions if number in known]:
            if not transaction.forgotten:
                for entry in transaction.entries.values():
                    if entry.place != Place.DONE and (entry.record is None or entry.record.outcome == Outcome.DEFERRED):
                        yield entry


class Work:
    """One QueueChange: what was ordered, and how much of it is not durable yet."""

    def __init__(self, hub: "Hub", message: QueueChange) -> None:
        self._hub = hub
        self._message = message
        self._left = 0  # rows on their way, and the log when records are
        self._closed = False  # records were appended
        self._answer: Callable[[], None] | None = None
        self.total = 0

    def apply(self, shown: QueueRow, row: Row | None) -> bool:
        """Change one recipient (with a dry run: say whether it would be changed)."""
        if row is not None:
            return self._change_row(row)
        transaction = self._hub.transactions.get(shown.transaction)
        entry = transaction.entries.get(shown.index) if transaction is not None else None
        return entry is not None and self._change_entry(entry)

    def finish(self, answer: Callable[[], None]) -> None:
        """Everything is ordered: answer when it is durable."""
        self._answer = answer
        self._left += 1
        if self._closed:
            self._hub.when_durable(self._stored)
        else:
            self._stored()

    def _stored(self) -> None:
        self._left -= 1
        if self._left == 0 and self._answer is not None:
            answer, self._answer = self._answer, None
            answer()

    def _change_entry(self, entry: Entry) -> bool:
        """Only what waits in line for a message that is ours."""
        verb = self._message.verb
        if entry.place not in WAITING or not entry.transaction.durable or verb in ("retry", "release"):
            return False
        if self._message.dry_run:
            return True
        self._hub.aq.withdraw(entry)
        if verb == "hold":
            self._left += 1
            self._hub.deferral.store(entry, self._hub.stamp, state=ROW_HELD, then=self._stored)
        else:
            self._close(entry)
        return True

    def _change_row(self, row: Row) -> bool:
        hub, verb = self._hub, self._message.verb
        if not _applies(verb, row.state):
            return False
        if self._message.dry_run:
            return True
        if verb in ("remove", "bounce"):
            hub.edbc.leave((row.transaction, row.index))
            entry = hub.dispatch.revive(row)
            if entry is None:
                return False
            self._close(entry)
            return True
        self._left += 1
        destination = hub.aq.destinations.get(row.destination)
        if verb == "retry" and destination is not None:
            destination.window.probe_now(hub.now)
        if verb == "hold":
            hub.deferral.change(msgspec.structs.replace(row, state=ROW_HELD), self._stored)
        else:
            hub.deferral.change(msgspec.structs.replace(row, state=ROW_DEFERRED, next_try=hub.stamp), self._stored)
        return True

    def _close(self, entry: Entry) -> None:
        settlement = self._hub.settlement
        if self._message.verb == "bounce":
            settlement.fail_now(entry, _RETURNED)
        else:
            settlement.remove(entry, self._message.who)
        self._closed = True


def _applies(verb: str, state: int) -> bool:
    if verb == "release":
        return state != ROW_DEFERRED
    if verb in ("retry", "hold"):
        return state == ROW_DEFERRED
    return True


def shown_entry(entry: Entry) -> QueueRow:
    """A recipient in memory as operators see it."""
    envelope = entry.transaction.envelope
    verdict = entry.verdict
    return QueueRow(
        envelope.transaction,
        entry.recipient.index,
        "active",
        entry.reverse_path,
        entry.recipient.address,
        entry.destination,
        envelope.arrived_at,
        0,
        entry.attempt,
        envelope.content.octets,
        b"" if verdict is None else verdict.text[:REASON_OCTETS_MAX],
        envelope.content.segment,
        envelope.content.offset,
        envelope.client,
    )


def shown_row(row: Row) -> QueueRow:
    """A row as operators see it; an unreadable one shows only its key."""
    state = STATE_TEXT.get(row.state, "quarantined")
    next_try = row.next_try if row.state == ROW_DEFERRED else 0
    try:
        envelope, parked = read_row(row)
    except RowError as error:
        return QueueRow(row.transaction, row.index, state, b"", b"", row.destination, 0, next_try, row.attempt, 0, str(error).encode(), row.segment)
    return QueueRow(
        row.transaction,
        row.index,
        state,
        envelope.reverse_path if parked.reverse_path is None else parked.reverse_path,
        parked.recipient.address,
        row.destination,
        envelope.arrived_at,
        next_try,
        row.attempt,
        envelope.content.octets,
        parked.text[:REASON_OCTETS_MAX],
        envelope.content.segment,
        envelope.content.offset,
        envelope.client,
    )


def filter_text(given: Filter) -> str:
    """A filter for the audit note: the fields that were given."""
    fields = zip(given.__struct_fields__, msgspec.structs.astuple(given), strict=True)
    return " ".join(f"{name}={value}" for name, value in fields if value) or "all"
