"""Recovery: from what lies on disk to a queue that can be served (A1-A4, A14, A16, SX15, I9, I10, I14).

Job. Read the log, fold it, join it with DEFEDB and CDB, decide by the table, write everything that is still open into a new
segment, make that durable, and only then give the result: delivery starts after it. Nothing is written to an old segment; a crash at
any point is followed by another recovery that comes to the same result.

Steps
    list      segments of IBDB and CDB; rows a content segment (Census)
    headers   refuse a newer version (A16); which segments count at all
    read      all that counts, in pages of 256 KiB, into the fold
    aside     damaged octets into a segment of their own, for people
    open      the new segment
    decide    in batches: RecoveryBegun (durable: a crash here is counted, A14); rows by Find; content headers; the table; copies
    end       RecoveryEnded and Oldest durable; old segments removed

Content. Its header (64 octets) is read for every open envelope: this proves that the reference means what lies there. The whole checksum is
verified at delivery, which reads all octets anyway. Deferred rows are not read: only the existence of their segments is checked,
so the time to the first delivery does not grow with the number of deferred recipients.

Failures. A failed read of the log, a failed sync, no space even for one segment: Halt; MCP starts the next QMGR.
"""

from collections.abc import Generator, Iterable
from typing import Final

from smx import codec, effects, events
from smx.cdb.format import HEADER_OCTETS, CdbVersionError, agrees, parse_content_header
from smx.effects import AnyEffect, Note, Row
from smx.events import AnyEvent, SegmentFile
from smx.ids import epoch_of_segment
from smx.messages import Content
from smx.qmgr.ibdb import Before, Ibdb
from smx.qmgr.poison import INNOCENT
from smx.qmgr.records import LOG_VERSION, Aside, Header, RecoveryBegun, RecoveryEnded, decode_record, encode_record, kind_of
from smx.qmgr.recovery_fold import Fold
from smx.qmgr.recovery_judge import Judgement, OwedRow, RecoveredRecipient, RecoveredRow, RecoveredTransaction, Todo, judge, placed
from smx.qmgr.recovery_log import Damage, LogReader
from smx.qmgr.recovery_scan import is_blank
from smx.qmgr.recovery_table import ContentSeen

__all__ = ["OwedRow", "RecoveredRecipient", "RecoveredRow", "RecoveredTransaction", "Recovery", "RecoveryResult", "Todo"]

IBDB: Final = "ibdb"
CDB: Final = "cdb"
PAGE_OCTETS: Final = 256 * 1024
BATCH: Final = 256  # transactions decided between two RecoveryBegun records
FIND_LIMIT: Final = 1000
ASIDE_BIT: Final = 1 << 62  # in the number of a segment that keeps damaged octets; no log segment ever gets so far
ASIDE_SEGMENTS_MAX: Final = 16  # the oldest are removed beyond
ASIDE_OCTETS_MAX: Final = 4 * 1024 * 1024  # kept of one recovery's damage

_LOG_EVENTS: Final = (events.SegmentOpened, events.OpenFailed, events.DirectorySynced, events.AppendFailed, events.Synced, events.SyncFailed)
_Wait = tuple[list[AnyEffect], int]  # effects, and how many completions to wait for
_Steps = Generator[_Wait, list[AnyEvent], None]


class RecoveryResult:
    """What QMGR goes on with."""

    def __init__(self, ibdb: Ibdb) -> None:
        self.ibdb = ibdb
        self.transactions: list[RecoveredTransaction] = []
        self.rows: list[RecoveredRow] = []
        self.owed: list[OwedRow] = []
        self.references: tuple[tuple[int, int], ...] = ()  # (content segment, rows and open transactions)
        self.orphans: tuple[int, ...] = ()  # content segments of dead writers that nothing refers to: remove them
        self.quarantined: list[tuple[int, int, str]] = []
        self.damages: list[Damage] = []
        self.deferred = 0  # rows of DEFEDB
        self.soonest = 0  # stamp of the earliest, 0: none
        self.recipients = 0  # to be queued


class Recovery:
    """Feed it every completion of a store or of DEFEDB until it returns the result. Nothing else runs meanwhile."""

    def __init__(self, epoch: int, segment_octets: int, segments_max: int) -> None:
        self._epoch = epoch
        self._segment_octets = segment_octets
        self._segments_max = segments_max
        self._steps = self._run()
        self._collected: list[AnyEvent] = []
        self._wanted = 0
        self._until = 0  # a position of the log that must be durable before going on
        self._ibdb: Ibdb | None = None
        self._result: RecoveryResult | None = None
        self._halted = False
        self._request = 0
        # between the steps
        self._fold = Fold()
        self._damages: list[Damage] = []
        self._first = 1  # number of the new segment
        self._files: dict[int, int] = {}  # log segments that count -> octets
        self._content: dict[int, int] = {}  # content segments -> octets
        self._counts: dict[int, int] = {}  # content segment -> references
        self._rows = 0
        self._soonest = 0

    # --- asked by QMGR -------------------------------------------------------------------------------------------------

    def start(self, out: list[AnyEffect]) -> None:
        """Begin."""
        self._advance(out, None)

    def on_event(self, out: list[AnyEffect], event: AnyEvent) -> RecoveryResult | None:
        """Take a completion; the result when recovery has ended."""
        if self._halted:
            return None
        if self._ibdb is not None and isinstance(event, _LOG_EVENTS):
            self._on_log_event(out, event)
        else:
            self._collected.append(event)
            if len(self._collected) >= self._wanted:
                self._advance(out, self._collected)
        return self._result

    # --- driving the steps -----------------------------------------------------------------------------------------------

    def _on_log_event(self, out: list[AnyEffect], event: AnyEvent) -> None:
        ibdb = self._ibdb
        assert ibdb is not None
        ibdb.on_event(out, event)
        ibdb.flush(out)
        self._halt_without_space(out)
        if any(isinstance(effect, effects.Halt) for effect in out):
            self._halted = True
        elif self._until and ibdb.durable >= self._until:
            self._until = 0
            self._advance(out, [])

    def _halt_without_space(self, out: list[AnyEffect]) -> None:
        """A10: without a segment for what is open nothing can be promised, and nobody opens another one before recovery has ended."""
        if self._ibdb is not None and self._ibdb.starved:
            out.append(effects.Halt("no space for the envelope log"))

    def _advance(self, out: list[AnyEffect], answers: list[AnyEvent] | None) -> None:
        """Go on until there is something to wait for."""
        self._collected = []
        while True:
            try:
                ordered, self._wanted = next(self._steps) if answers is None else self._steps.send(answers)
            except StopIteration:
                return
            out.extend(ordered)
            self._halt_without_space(out)
            if any(isinstance(effect, effects.Halt) for effect in out):
                self._halted = True
                return
            if self._wanted or self._until:
                return
            answers = []

    def _until_durable(self, position: int, ordered: list[AnyEffect]) -> _Steps:
        """Wait until the log is durable up to a position."""
        ibdb = self._ibdb
        assert ibdb is not None
        ibdb.flush(ordered)
        if ibdb.durable < position:
            self._until = position
            yield ordered, 0
        elif ordered:
            yield ordered, 0

    def _next_request(self) -> int:
        self._request += 1
        return self._request

    # --- the steps -----------------------------------------------------------------------------------------------------------

    def _run(self) -> _Steps:
        yield from self._list()
        yield from self._headers()
        reader = LogReader(self._fold.apply)
        yield from self._read(reader)
        self._fold.finish()
        yield from self._keep_aside()
        yield from self._open(reader)
        assert self._ibdb is not None
        result = RecoveryResult(self._ibdb)
        yield from self._decide_all(result)
        yield from self._end(result)

    def _list(self) -> _Steps:
        answers = yield (
            [effects.ListStore(IBDB, self._next_request()), effects.ListStore(CDB, self._next_request()), effects.Census(self._next_request())],
            3,
        )
        for answer in answers:
            if isinstance(answer, events.Listed) and answer.store == IBDB:
                self._files = {file.segment: file.octets for file in sorted(answer.files, key=_number)}
            elif isinstance(answer, events.Listed):
                self._content = {file.segment: file.octets for file in sorted(answer.files, key=_number)}
            else:
                assert isinstance(answer, events.Counted), answer
                self._counts, self._rows, self._soonest = dict(answer.segments), answer.rows, answer.soonest
        log = {segment: octets for segment, octets in self._files.items() if segment < ASIDE_BIT}
        yield [Note("recovering", (len(log), sum(log.values())))], 0

    def _headers(self) -> _Steps:
        """A16, and which segments count: a removed file may have come back with a power loss (F6)."""
        oldest = 0
        for segment in [number for number in self._files if number < ASIDE_BIT]:
            (answer,) = yield [effects.Scan(IBDB, self._next_request(), segment, 0, 512)], 1
            if isinstance(answer, events.ReadFailed):
                yield [effects.Halt(f"envelope log segment {segment:016x} cannot be read: {answer.reason}")], 0
            assert isinstance(answer, events.Scanned)
            found = codec.decode(answer.data, 0, segment, 0)
            if isinstance(found, codec.Damage):
                if found.fault is codec.Fault.VERSION:
                    yield [effects.Halt(f"envelope log segment {segment:016x} was written by a newer smx: its framing is not known")], 0
                continue
            header = decode_record(found.kind, found.payload)
            if isinstance(header, Header):
                if header.version > LOG_VERSION:
                    why = f"was written by a newer smx: log version {header.version}, known up to {LOG_VERSION}"
                    yield [effects.Halt(f"envelope log segment {segment:016x} {why}")], 0
                oldest = max(oldest, header.oldest)
        stale = [number for number in self._files if number < oldest]
        for number in stale:
            del self._files[number]
        yield [effects.Remove(IBDB, number) for number in stale], 0

    def _read(self, reader: LogReader) -> _Steps:
        spares = []
        for segment, octets in self._files.items():
            if segment >= ASIDE_BIT:
                continue
            reader.open(segment, octets)
            offset, empty = 0, True
            while True:
                (answer,) = yield [effects.Scan(IBDB, self._next_request(), segment, offset, PAGE_OCTETS)], 1
                if isinstance(answer, events.ReadFailed):
                    yield [effects.Halt(f"envelope log segment {segment:016x} cannot be read: {answer.reason}")], 0
                assert isinstance(answer, events.Scanned)
                offset += len(answer.data)
                empty = empty and is_blank(answer.data)
                reader.page(answer.data, last=answer.end)
                if answer.end:
                    break
            if empty:
                spares.append(segment)  # opened ahead and never used
        reader.finish()
        self._first = max((number for number in self._files if number < ASIDE_BIT), default=0) + 1
        for number in spares:
            del self._files[number]
        self._damages = reader.damages
        notes: list[AnyEffect] = [Note("damaged", (IBDB, d.segment, d.offset, d.octets, d.reason)) for d in reader.damages]
        if self._fold.unknown_records:
            notes.append(Note("trouble", ("unknown records of the envelope log", str(self._fold.unknown_records))))
        yield [*(effects.Remove(IBDB, number) for number in spares), *notes], 0

    def _keep_aside(self) -> _Steps:
        """Damaged octets are kept for people, in a segment that is no part of the log (A2)."""
        kept = [number for number in self._files if number >= ASIDE_BIT]
        for number in kept:
            del self._files[number]
        damages = [damage for damage in self._damages if damage.data]
        if not damages:
            return
        yield [effects.Remove(IBDB, number) for number in kept[: max(0, len(kept) + 1 - ASIDE_SEGMENTS_MAX)]], 0
        segment = ASIDE_BIT | self._first
        data = bytearray()
        for sequence, damage in enumerate(damages):
            record = Aside(damage.segment, damage.offset, damage.octets, damage.reason, damage.data)
            if len(data) < ASIDE_OCTETS_MAX:
                data += codec.encode(kind_of(record), encode_record(record), segment, sequence)
        (answer,) = yield [effects.OpenSegment(IBDB, segment, len(data))], 1
        if isinstance(answer, events.OpenFailed):
            yield [Note("trouble", ("damaged octets could not be kept", answer.reason))], 0
            return
        answers = yield (
            [effects.Append(IBDB, segment, 0, bytes(data)), effects.SyncDirectory(IBDB, ASIDE_BIT), effects.Sync(IBDB, (segment,), ASIDE_BIT)],
            2,
        )
        for failed in answers:
            if isinstance(failed, events.AppendFailed) and failed.no_space:
                yield [Note("trouble", ("damaged octets could not be kept", failed.reason)), effects.Remove(IBDB, segment)], 0
                return
            if isinstance(failed, events.AppendFailed | events.SyncFailed):
                yield [effects.Halt(f"damaged octets could not be kept: {failed.reason}")], 0
        yield [effects.Seal(IBDB, segment, len(data))], 0

    def _open(self, reader: LogReader) -> _Steps:
        """The new segment, whose header says where the old log ended (A2)."""
        previous, octets = reader.end
        before = Before(tuple(self._files), previous, octets, reader.durable, min(self._files, default=0))
        self._ibdb = Ibdb(self._epoch, first=self._first, segment_octets=self._segment_octets, segments_max=self._segments_max, before=before)
        ordered: list[AnyEffect] = []
        self._ibdb.start(ordered)
        yield ordered, 0

    def _decide_all(self, result: RecoveryResult) -> _Steps:
        """Those that were being decided when an earlier recovery died come first, one by one, the least suspected ones before the others (A14)."""
        fold = self._fold
        suspects = [number for number in fold.suspects if number in fold.transactions]
        suspects.sort(key=lambda number: (fold.suspects[number].alone, fold.suspects[number].crashes))
        for number in suspects:
            yield from self._decide(result, [number])
            fold.suspects.pop(number)
        others = [number for number in fold.transactions if number not in suspects]
        for start in range(0, len(others), BATCH):
            yield from self._decide(result, others[start : start + BATCH])

    def _decide(self, result: RecoveryResult, numbers: list[int]) -> _Steps:
        ibdb = result.ibdb
        yield from self._until_durable(ibdb.append(RecoveryBegun(tuple(numbers))), [])
        rows: dict[int, dict[int, Row]] = {number: {} for number in numbers}
        if self._rows:
            yield from self._find(numbers, rows)
            for number in numbers:
                placed(self._fold.transactions[number], rows[number])
        seen: dict[int, ContentSeen] = {}
        yield from self._look_at_content(numbers, seen)
        ordered: list[AnyEffect] = []
        for number in numbers:
            folded = self._fold.transactions.pop(number)
            suspected = self._fold.suspects.get(number, INNOCENT)
            self._enter(result, judge(number, folded, rows[number], seen.get(number, ContentSeen.SOUND), suspected), ordered)
        ibdb.flush(ordered)
        yield ordered, 0

    def _find(self, numbers: list[int], rows: dict[int, dict[int, Row]]) -> _Steps:
        after_transaction, after_index = 0, -1
        wanted = tuple(numbers)
        while True:
            ask = effects.Find(self._next_request(), wanted, after_transaction=after_transaction, after_index=after_index, limit=FIND_LIMIT)
            (answer,) = yield [ask], 1
            assert isinstance(answer, events.Found), answer
            for row in answer.rows:
                rows[row.transaction][row.index] = row
            if not answer.more:
                return
            after_transaction, after_index = answer.rows[-1].transaction, answer.rows[-1].index

    def _look_at_content(self, numbers: Iterable[int], seen: dict[int, ContentSeen]) -> _Steps:
        """Read the header in front of each open envelope's content."""
        asked: dict[int, tuple[int, Content]] = {}
        ordered: list[AnyEffect] = []
        for number in numbers:
            envelope = self._fold.transactions[number].envelope
            if envelope is None:
                continue
            content = envelope.content
            if self._content.get(content.segment, -1) < content.offset + content.octets or content.offset < HEADER_OCTETS:
                seen[number] = ContentSeen.MISSING
                continue
            request = self._next_request()
            asked[request] = (number, content)
            ordered.append(effects.Scan(CDB, request, content.segment, content.offset - HEADER_OCTETS, HEADER_OCTETS))
        if not ordered:
            return
        answers = yield ordered, len(ordered)
        for answer in answers:
            assert isinstance(answer, events.Scanned | events.ReadFailed), answer
            number, content = asked[answer.request]
            seen[number] = _content_seen(answer, number, content)

    def _enter(self, result: RecoveryResult, judgement: Judgement, ordered: list[AnyEffect]) -> None:
        for record, key in judgement.copies:
            result.ibdb.append(record, key=key, lazy=True)
        if judgement.transaction is not None:
            result.transactions.append(judgement.transaction)
            segment = judgement.transaction.envelope.content.segment
            self._counts[segment] = self._counts.get(segment, 0) + 1
            result.recipients += sum(recipient.todo == Todo.QUEUE for recipient in judgement.transaction.recipients)
        result.rows.extend(judgement.rows)
        result.owed.extend(judgement.owed)
        result.quarantined.extend(judgement.quarantined)
        ordered.extend(Note("quarantined", report) for report in judgement.quarantined)

    def _end(self, result: RecoveryResult) -> _Steps:
        """Everything open is in the new segment: the old ones may go, delivery may start."""
        ibdb = result.ibdb
        ibdb.append(RecoveryEnded())
        yield from self._until_durable(ibdb.supersede(), [])
        missing = [segment for segment in self._counts if segment not in self._content]
        notes: list[AnyEffect] = [Note("damaged", (CDB, segment, 0, 0, f"missing; {self._counts[segment]} references to it")) for segment in missing]
        result.references = tuple(self._counts.items())
        result.orphans = tuple(s for s in self._content if epoch_of_segment(s) < self._epoch and not self._counts.get(s))
        result.damages = self._damages
        result.deferred = self._rows
        result.soonest = self._soonest
        self._result = result
        if notes:
            yield notes, 0


def _content_seen(answer: events.Scanned | events.ReadFailed, number: int, content: Content) -> ContentSeen:
    if isinstance(answer, events.ReadFailed):
        return ContentSeen.MISSING if answer.missing else ContentSeen.DAMAGED
    try:
        header = parse_content_header(answer.data)
    except CdbVersionError:  # A16: not ours to judge
        return ContentSeen.DAMAGED
    if header is None or not agrees(header, number, content):
        return ContentSeen.DAMAGED
    return ContentSeen.SOUND


def _number(file: SegmentFile) -> int:
    return file.segment
