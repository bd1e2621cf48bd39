"""Depth "log": the reading of the envelope log on an image, by the real scan, reader, fold and judgement of smx.qmgr.recovery_*, without QMGR.

must hold          each record that was durable is history, in order, and nothing else is (A2, I9): a prefix of what was written
                   whoever was open behind the last of them is open, nobody else (A4)
                   damage is called corruption exactly where octets were changed below a durable offset, and what follows is read (I9, I15)
                   the judgement gives QMGR each open recipient once, and quarantines nobody
"""

from bisect import bisect_left
from collections import OrderedDict
from typing import Final

from sim.disk import Disk
from sim.disk.images import pieces
from sim.images.history import Entry, History, Key, Position, Reading, is_whole_in, states
from sim.images.result import Found, Result
from sim.images.seen import Seen
from sim.images.snapshot import LogReading, Taken
from sim.images.survivors import Cuts, Files, LogGround
from smx import codec
from smx.qmgr.poison import INNOCENT
from smx.qmgr.records import Header, Quarantined, decode_record
from smx.qmgr.recovery_fold import FoldedTransaction
from smx.qmgr.recovery_judge import Todo, judge
from smx.qmgr.recovery_log import Damage
from smx.qmgr.recovery_table import ContentSeen

SNAPSHOTS_MAX: Final = 32
FOLDER: Final = "/spool/ibdb"


class LogJudge:
    """Reads and judges images of one log."""

    def __init__(self, history: History, result: Result, seen: Seen, *, name: str = "", seed: int = 0) -> None:
        self.history = history
        self.result = result
        self._seen = seen
        self._name = name
        self._seed = seed
        self._snapshots: OrderedDict[tuple[int, tuple[int, ...]], LogReading] = OrderedDict()

    def boundary(self, disk: Disk, count: int, where: str, *, max_subset: int, cuts: Cuts = pieces) -> int:
        """Every image that a power loss may leave when `count` records have been written. How many of these are durable for certain."""
        ground = LogGround(disk, FOLDER)
        self.result.boundaries += 1
        start = self._durable(ground.pending(), count)
        for files, digest in ground.images(max_subset, cuts):
            if self._seen.is_new(digest):
                self.judge(files, count, start, where)
        return start

    def forget(self) -> None:
        """The history goes on from an image: what is known of it counts no more."""
        self._snapshots.clear()

    def _durable(self, pending: dict[int, int], count: int) -> int:
        """So many records are durable for certain, from the first one on."""
        return min([count, *(bisect_left(self.history.entries, position, key=_position) for position in pending.items())])

    def judge(self, files: Files, count: int, start: int, where: str, *, rotten: Position | None = None) -> None:
        """Read one image. Entries before `start` are known to be whole in it. `rotten`: the record in which octets were changed (F10)."""
        self.result.images += 1
        entries = self.history.entries
        last, first = start, next(iter(files), 0)
        while last < count and (is_whole_in(files, entries[last]) or entries[last].segment < first):  # whole, or removed
            last += 1
        if last < count:
            self.result.mark("torn end")
        snapshot = self._snapshot(files, last, start) if last and rotten is None else None
        if snapshot is not None and not self._goes_on(files, last, count):
            reading = snapshot.copy()
            go_on(reading, files, entries[last - 1].segment, entries[last - 1].end)
            if reading.taken:
                self._object("I9", _difference(reading.taken, []), where)
            if not snapshot.judged:
                snapshot.judged = True
                self._compare_open(snapshot, last, where)
        else:
            reading = read(files)
            expected = self.history.expected(files, count=count)
            self._compare(reading, expected, where)
            if rotten is None and not expected.damaged and len(expected.taken) < start - self._gone(files, start):
                self._object("I9", f"{start} records were durable, {len(expected.taken)} are history", where)
        self._compare_damage(reading.reader.damages, rotten, where)

    def _gone(self, files: Files, start: int) -> int:
        """How many of the durable records lay in segments that were removed, or that count no more."""
        oldest = oldest_of(files)
        return sum(entry.segment not in files or entry.segment < oldest for entry in self.history.entries[:start])

    def _goes_on(self, files: Files, last: int, count: int) -> bool:
        """Whether the history goes on behind a record that is not whole: a later one says that it was durable."""
        entries = self.history.entries
        return last < count and any(states(entry) > entries[last].position and is_whole_in(files, entry) for entry in entries[last + 1 : count])

    # --- what images have in common -------------------------------------------------------------------------------------

    def _snapshot(self, files: Files, last: int, start: int) -> LogReading | None:
        """The reading up to the end of so many records, which are whole. Their history is judged once. None: it has to be read from the start."""
        entries = self.history.entries
        end = entries[last - 1]
        names = tuple(files) if self.history.lost else tuple(segment for segment in files if segment <= end.segment)
        snapshot = self._snapshots.get((last, names))
        if snapshot is not None:
            return snapshot
        if (
            end.segment not in files
            or oldest_of(files) > names[0]
            or any(entry.segment not in files for entry in entries[start:last] if entry.segment > names[0])
        ):
            return None
        before = next((number for number in range(last - 1, 0, -1) if (number, names) in self._snapshots), 0)
        if before:
            snapshot = self._snapshots[before, names].copy()
            advance(snapshot, files, entries[before - 1].segment, entries[before - 1].end, end.segment, end.end)
            if snapshot.taken != [(entry.segment, entry.record) for entry in entries[before:last] if entry.segment >= names[0]]:
                return None
            snapshot.note_changes(self._snapshots[before, names])
        else:
            snapshot = read(files, upto=(end.segment, end.end))
            expected = self.history.expected(files, count=last)
            if expected.damaged or snapshot.taken != [(entries[number].segment, entries[number].record) for number in expected.taken]:
                return None
        self._snapshots[last, names] = snapshot
        if len(self._snapshots) > SNAPSHOTS_MAX:
            self._snapshots.popitem(last=False)
        return snapshot

    # --- judging --------------------------------------------------------------------------------------------------------

    def _compare(self, reading: LogReading, expected: Reading, where: str) -> None:
        entries = self.history.entries
        taken = [(entries[number].segment, entries[number].record) for number in expected.taken]
        if reading.taken != taken:
            self._object("I9", _difference(reading.taken, taken), where)
        elif not expected.damaged:  # who is open without those records is their matter
            self._compare_open(reading, expected.taken[-1] + 1 if expected.taken else 0, where)

    def _compare_open(self, reading: LogReading, count: int, where: str) -> None:
        """Who is open when so many records are history."""
        fold = reading.finished()
        found = open_in(fold.transactions)
        wanted = self.history.entries[count - 1].open if count else frozenset()
        if found != wanted:
            self._object("A4", f"open: {_keys(wanted - found)} missing, {_keys(found - wanted)} too many", where)
        else:
            changed = reading.changed
            self._judge_open(
                fold.transactions if changed is None else {number: fold.transactions[number] for number in changed & fold.transactions.keys()}, where
            )

    def _compare_damage(self, damages: list[Damage], rotten: Position | None, where: str) -> None:
        if rotten is None:
            for damage in damages:
                if damage.corrupt:
                    self._object("I9", f"corruption is reported where none is: {damage.segment:x}/{damage.offset}", where)
        elif not any(damage.segment == rotten[0] and damage.offset <= rotten[1] < damage.offset + damage.octets for damage in damages):
            self._object("I15", f"damage at {rotten[0]:x}/{rotten[1]} is not reported", where)

    def _judge_open(self, transactions: dict[int, FoldedTransaction], where: str) -> None:
        for number, folded in transactions.items():
            if folded.envelope is None:
                continue
            judgement = judge(number, folded, {}, ContentSeen.SOUND, INNOCENT)
            aside = any(found.quarantined for found in folded.recipients.values())
            if judgement.quarantined and not aside and not folded.crashes.poison:
                self._object("A4", f"transaction {number:x}: {judgement.quarantined}", where)
            recovered = judgement.transaction
            open_now = {found.recipient.index for found in recovered.recipients if found.todo != Todo.NONE} if recovered is not None else set()
            wanted = {index for _, index in open_in({number: folded})}
            if open_now != wanted:
                self._object("A4", f"transaction {number:x}: QMGR gets {sorted(open_now)} of {sorted(wanted)}", where)
            if any(type(record) is Quarantined for record, _ in judgement.copies):
                self._object("A4", f"transaction {number:x} is set aside", where)

    def _object(self, rule: str, what: str, where: str) -> None:
        self.result.found.append(Found(rule, what, f"{self._name}, seed {self._seed}: {where}", self._name, self._seed))


def _position(entry: Entry) -> tuple[int, int]:
    return entry.segment, entry.offset


def read(files: Files, upto: tuple[int, int] | None = None) -> LogReading:
    """The reading of a log, as recovery does it; `upto`: only up to this octet of this segment, to be continued."""
    reading = LogReading()
    oldest = oldest_of(files)
    for segment, octets in files.items():
        if segment < oldest:
            continue
        reading.reader.open(segment, octets.size)
        if upto is not None and segment == upto[0]:
            reading.reader.page(octets.read(0, upto[1]), last=False)
            return reading
        reading.reader.page(octets.read(0, octets.size), last=True)
    reading.reader.finish()
    return reading


def advance(reading: LogReading, files: Files, segment: int, offset: int, last: int, end: int) -> None:
    """More of a log: from this octet of this segment up to that of that one."""
    reader = reading.reader
    reading.resize(files[segment].size)
    for number, octets in files.items():
        if segment <= number <= last:
            if number > segment:
                reader.open(number, octets.size)
            first = offset if number == segment else 0
            stop = end if number == last else octets.size
            reader.page(octets.read(first, stop - first), last=number != last)


def go_on(reading: LogReading, files: Files, segment: int, offset: int) -> None:
    """The rest of a log."""
    reader = reading.reader
    octets = files[segment]
    reading.resize(octets.size)
    reader.page(octets.read(offset, octets.size - offset), last=True)
    for following, octets in files.items():
        if following > segment:
            reader.open(following, octets.size)
            reader.page(octets.read(0, octets.size), last=True)
    reader.finish()


def oldest_of(files: Files) -> int:
    """What only older segments say does not count: a removed file may have come back (F6)."""
    oldest = 0
    for segment, octets in files.items():
        found = codec.decode(octets.read(0, 512), 0, segment, 0)
        if isinstance(found, codec.Record):
            header = decode_record(found.kind, found.payload)
            if isinstance(header, Header) and header.oldest > oldest:
                oldest = header.oldest
    return oldest


def open_in(transactions: dict[int, FoldedTransaction]) -> frozenset[Key]:
    """Recipients that the log holds: known, and neither closed nor moved to DEFEDB."""
    return frozenset(
        (number, index)
        for number, folded in transactions.items()
        if folded.envelope is not None
        for index, found in folded.recipients.items()
        if found.recipient is not None and not found.moved and (not found.closed or found.state.owed)
    )


def _difference(found: list[Taken], wanted: list[Taken]) -> str:
    for number, (one, other) in enumerate(zip(found, wanted, strict=False)):
        if one != other:
            return f"record {number} of the history is {one!r:.200}, it must be {other!r:.200}"
    return f"{len(found)} records are history, it must be {len(wanted)}: first {(found + wanted)[min(len(found), len(wanted))]!r:.200}"


def _keys(keys: frozenset[Key]) -> list[str]:
    return [f"{number:x}/{index}" for number, index in sorted(keys)]
