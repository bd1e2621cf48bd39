"""Recovery as a whole: transcripts of what lies on disk and what QMGR gets (A1-A4, A6, A7, A14, A16, SX10, SX11, SX13, SX15)."""

import time

import msgspec
import pytest

from smx import codec, effects, events
from smx.cdb.format import HEADER_OCTETS
from smx.effects import AnyEffect
from smx.ids import segment_id
from smx.messages import Content, Outcome, Recipient
from smx.qmgr import records, recovery_judge
from smx.qmgr import recovery as recovery_module
from smx.qmgr.poison import Suspicion
from smx.qmgr.records import LOG_VERSION, Closing, Expanded, Held, Moved, Notified, Opened, Quarantined, Released, Relocated, VerdictRecord
from smx.qmgr.recovery import ASIDE_BIT, Todo
from smx.qmgr.rows import ROW_HELD, ROW_QUARANTINED, read_row
from tests.crash.disk import Disk
from tests.qmgr.recovery_bench import Log, opened, recover, row, store, verdict

DELIVERED, DEFERRED, FAILED = Outcome.DELIVERED, Outcome.DEFERRED, Outcome.FAILED


def test_an_empty_spool_recovers_to_an_empty_queue() -> None:
    done = recover(Disk())
    assert done.result is not None
    assert done.todos() == {}
    assert done.result.recipients == 0
    assert done.notes("recovering") == [(0, 0)]
    assert not done.notes("damaged")


@pytest.mark.feature("SX10")
def test_an_accepted_envelope_is_queued_again() -> None:
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1, recipients=2)
    log.append(opened(envelope))
    done = recover(disk)
    assert done.result is not None
    (transaction,) = done.result.transactions
    assert transaction.envelope == envelope
    assert done.todos() == {(envelope.transaction, 0): Todo.QUEUE, (envelope.transaction, 1): Todo.QUEUE}
    assert done.result.recipients == 2
    assert done.result.references == ((envelope.content.segment, 1),)


@pytest.mark.feature("SX11")
def test_a_recorded_delivery_is_not_repeated() -> None:
    disk = Disk()
    log = Log(disk)
    one, two = log.envelope(1, recipients=2), log.envelope(2)
    log.append(opened(one), opened(two))
    log.append(verdict(one, 1), verdict(two, 1, stored=False))
    done = recover(disk)
    assert done.todos() == {(one.transaction, 1): Todo.QUEUE}


# Each row of the table, through the whole of recovery: (records behind the opening, row, what QMGR is told)
TABLE: dict[str, tuple[list[tuple[str, int, int]], int | None, Todo]] = {
    "first attempt": ([], None, Todo.QUEUE),
    "spilled": ([], 0, Todo.NONE),
    "deferred, row lost": ([("verdict", 1, DEFERRED)], None, Todo.STORE),
    "deferred, row there": ([("verdict", 1, DEFERRED)], 1, Todo.NONE),
    "deferred, row newer": ([("verdict", 1, DEFERRED)], 2, Todo.NONE),
    "deferred again, row old": ([("verdict", 2, DEFERRED)], 1, Todo.STORE),
    "final, row old": ([("verdict", 2, DELIVERED)], 1, Todo.DELETE),
    "final, row of the same attempt": ([("verdict", 1, Closing.REMOVED)], 1, Todo.DELETE),
    "final, row newer": ([("verdict", 1, DELIVERED)], 2, Todo.STORE),
    "final, no row": ([("verdict", 1, DELIVERED)], None, Todo.NONE),
    "expired": ([("verdict", 3, Closing.EXPIRED)], None, Todo.NONE),
    "dropped": ([("verdict", 1, Closing.DROPPED)], None, Todo.NONE),
}


@pytest.mark.feature("SX15")
@pytest.mark.parametrize("case", TABLE, ids=str)
def test_a_row_of_the_table_with_an_opening(case: str) -> None:
    steps, attempt, todo = TABLE[case]
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1, recipients=2)  # the second recipient keeps the opening alive
    log.append(opened(envelope))
    for _, at, outcome in steps:
        log.append(verdict(envelope, at, outcome))
    if attempt is not None:
        store(disk, row(envelope, attempt))
    done = recover(disk)
    assert done.todos().get((envelope.transaction, 0), Todo.NONE) == todo
    assert done.todos()[envelope.transaction, 1] == Todo.QUEUE
    quarantined = case == "final, row newer"
    assert done.notes("quarantined") == ([(envelope.transaction, 0, "a row of a later attempt than the final verdict")] if quarantined else [])


LOOSE: dict[str, tuple[list[tuple[str, int, int]], int | None, str, str]] = {
    "deferred, no row": ([("verdict", 1, DEFERRED)], None, "", "deferred, but neither"),
    "deferred, row there": ([("verdict", 2, DEFERRED)], 2, "", ""),
    "deferred, row old": ([("verdict", 2, DEFERRED)], 1, "store 0", ""),
    "final, row old": ([("verdict", 2, DELIVERED)], 1, "delete", ""),
    "final, row newer": ([("verdict", 1, DELIVERED)], 2, "store 2", "later attempt"),
    "final, no row": ([("verdict", 1, DELIVERED)], None, "", ""),
    "only a row": ([], 1, "", ""),
}


@pytest.mark.feature("SX15")
@pytest.mark.parametrize("case", LOOSE, ids=str)
def test_a_row_of_the_table_without_an_opening(case: str) -> None:
    steps, attempt, what, why = LOOSE[case]
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1)
    for _, at, outcome in steps:
        log.append(verdict(envelope, at, outcome))
    if attempt is not None:
        store(disk, row(envelope, attempt))
    done = recover(disk)
    assert done.todos() == {}
    assert done.rows() == ({(envelope.transaction, 0): what} if what else {})
    reports = done.notes("quarantined")
    assert bool(reports) == bool(why)
    assert all(why in str(report[2]) for report in reports)
    again = recover(disk, 101)
    assert again.rows() == done.rows()


def test_a_row_that_a_verdict_had_not_reached_is_renewed() -> None:
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1)
    log.append(verdict(envelope, 3, DEFERRED))
    store(disk, row(envelope, 2))
    result = recover(disk).result
    assert result is not None
    (again,) = result.rows
    assert (again.row.attempt, again.row.next_try) == (3, 15_000_000)
    _, parked = read_row(again.row)
    assert (parked.code, parked.enhanced, parked.text, parked.remote) == (451, b"4.2.1", b"later", "mx")


def test_deferred_mail_that_moved_is_neither_queued_nor_stored_again() -> None:
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1)
    log.append(opened(envelope), verdict(envelope, 1, DEFERRED))
    store(disk, row(envelope, 1))
    log.append(Moved(envelope.transaction, ((0, 1),)))
    done = recover(disk)
    assert done.todos() == {}
    assert done.result is not None
    assert done.result.deferred == 1
    assert done.result.soonest == 1_000_000
    assert done.result.references == ((envelope.content.segment, 1),)


def test_a_recipient_that_defedb_has_done_with_stays_done_while_others_hold_the_opening() -> None:
    """Its final verdict and its row went before the crash; Moved says that IBDB is not to be asked."""
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1, recipients=2)
    log.append(opened(envelope), verdict(envelope, 1, DEFERRED))
    log.append(Moved(envelope.transaction, ((0, 1),)))
    done = recover(disk)
    assert done.todos() == {(envelope.transaction, 1): Todo.QUEUE}


@pytest.mark.parametrize("closings", [0, 1, 2])
def test_a_notification_closes_and_opens_in_one_step(closings: int) -> None:
    """A6: at no crash is a bounce lost or made twice."""
    disk = Disk()
    log = Log(disk)
    failed, dsn = log.envelope(1, recipients=2), log.envelope(2)
    log.append(opened(failed))
    verdicts = tuple(verdict(failed, 1, FAILED, index=index, stored=False) for index in range(closings))
    log.append(Notified(failed.transaction, verdicts, opened(dsn), warned=(1,)), sync=False)
    for image in disk.crash_images(torn=True):
        done = recover(image)
        told = (dsn.transaction, 0) in done.todos()
        left = [key for key in done.todos() if key[0] == failed.transaction]
        assert len(left) == (2 - closings if told else 2)
        if told and closings < 2:
            assert done.result is not None
            states = {r.recipient.index: r.state for t in done.result.transactions if t.envelope == failed for r in t.recipients}
            assert states[1].warned


def test_an_owed_notification_is_told_until_it_is_written() -> None:
    disk = Disk()
    log = Log(disk)
    envelope, later = log.envelope(1), log.envelope(2)
    log.append(opened(envelope), verdict(envelope, 1, DELIVERED, stored=False, owed=2))
    store(disk, row(later, 1))
    log.append(verdict(later, 2, FAILED, owed=3))
    done = recover(disk)
    assert done.todos() == {(envelope.transaction, 0): Todo.NOTIFY}
    assert done.rows() == {(later.transaction, 0): "owed"}
    assert done.result is not None
    assert done.result.owed[0].verdict.owed == 3
    assert done.result.transactions[0].recipients[0].state.owed == 2
    again = recover(disk, 101)
    assert again.view() == done.view()


def test_an_expansion_is_never_repeated() -> None:
    """A7."""
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1)
    children = (Recipient(1, b"a@example.net"), Recipient(2, b"b@example.net"))
    log.append(opened(envelope))
    log.append(Expanded(envelope.transaction, 0, children, b"owner@example.org"))
    log.append(VerdictRecord(envelope.transaction, 1, 1, DELIVERED, stored=False))
    for epoch in (100, 101):
        done = recover(disk, epoch)
        assert done.todos() == {(envelope.transaction, 2): Todo.QUEUE}
        assert done.result is not None
        recipients = {r.recipient.index: r for r in done.result.transactions[0].recipients}
        assert recipients[2].recipient == children[1]
        assert recipients[2].reverse_path == b"owner@example.org"
        assert recipients[0].reverse_path is None


def test_an_expansion_that_owes_a_success_notification_says_so() -> None:
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1)
    log.append(opened(envelope))
    log.append(
        Expanded(envelope.transaction, 0, (Recipient(1, b"a@example.net"),)), VerdictRecord(envelope.transaction, 0, 1, Outcome.EXPANDED, stored=False, owed=1)
    )
    for epoch in (100, 101):
        assert recover(disk, epoch).todos() == {(envelope.transaction, 0): Todo.NOTIFY, (envelope.transaction, 1): Todo.QUEUE}


def test_a_deferred_recipient_that_expands_is_opened_anew_and_its_row_goes() -> None:
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1, recipients=2)
    store(disk, row(envelope, 1, index=0), row(envelope, 1, index=1))
    bare = msgspec.structs.replace(envelope, recipients=envelope.recipients[:1])
    expanded = Expanded(envelope.transaction, 0, (Recipient(2, b"a@example.net"),), attempt=1)
    log.append(Opened(envelope.transaction, bare, expansions=(expanded,)))
    done = recover(disk)
    assert done.todos() == {(envelope.transaction, 0): Todo.DELETE, (envelope.transaction, 2): Todo.QUEUE}
    assert done.rows() == {}


def test_a_new_opening_does_not_forget_a_verdict_of_a_recipient_that_it_does_not_hold() -> None:
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1, recipients=2)
    store(disk, row(envelope, 1, index=1))
    log.append(verdict(envelope, 2, DELIVERED, index=1))
    log.append(opened(msgspec.structs.replace(envelope, recipients=envelope.recipients[:1])))
    done = recover(disk)
    assert done.todos() == {(envelope.transaction, 0): Todo.QUEUE}
    assert done.rows() == {(envelope.transaction, 1): "delete"}


def test_held_mail_is_stored_as_held_and_released_mail_is_queued() -> None:
    disk = Disk()
    log = Log(disk)
    one, two, three = log.envelope(1), log.envelope(2), log.envelope(3)
    log.append(opened(one), opened(two))
    log.append(Held(one.transaction, (0,)), Held(two.transaction, (0,)), Released(two.transaction, (0,)))
    store(disk, row(three, 1))
    log.append(Held(three.transaction, (0,)))
    done = recover(disk)
    assert done.todos() == {(one.transaction, 0): Todo.STORE, (two.transaction, 0): Todo.QUEUE}
    assert done.rows() == {(three.transaction, 0): f"store {ROW_HELD}"}
    assert done.result is not None
    assert done.result.transactions[0].recipients[0].state.status == records.Status.HELD
    assert recover(disk, 101).view() == done.view()


def test_quarantined_mail_stays_quarantined_and_is_reported_once() -> None:
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1)
    log.append(opened(envelope), Quarantined(envelope.transaction, (0,), "an operator"))
    done = recover(disk)
    assert done.todos() == {(envelope.transaction, 0): Todo.STORE}
    assert done.result is not None
    state = done.result.transactions[0].recipients[0].state
    assert (state.status, state.text) == (records.Status.QUARANTINED, b"an operator")
    assert done.notes("quarantined") == []
    assert recover(disk, 101).view() == done.view()


def test_relocated_content_is_read_where_it_is_now() -> None:
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1)
    log.append(opened(envelope))
    moved = log.writer.put([], log.epoch << 31, [b"x"])  # only for its segment's number
    assert moved is not None
    elsewhere = msgspec.structs.replace(envelope.content, segment=segment_id(1, 7))
    disk.names["cdb"][elsewhere.segment] = disk.names["cdb"].pop(envelope.content.segment)
    log.append(Relocated(envelope.transaction, elsewhere))
    done = recover(disk)
    assert done.todos() == {(envelope.transaction, 0): Todo.QUEUE}
    assert done.result is not None
    assert done.result.transactions[0].envelope.content == elsewhere


# --- content (A1) --------------------------------------------------------------------------------------------------------


def test_missing_content_is_quarantined_and_reported() -> None:
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1)
    log.append(opened(envelope))
    del disk.names["cdb"][envelope.content.segment]
    done = recover(disk)
    assert done.todos() == {(envelope.transaction, 0): Todo.STORE}
    assert done.notes("quarantined") == [(envelope.transaction, 0, "content missing")]
    assert done.notes("damaged")[0][:2] == ("cdb", envelope.content.segment)


def test_damaged_content_headers_are_quarantined() -> None:
    disk = Disk()
    log = Log(disk)
    one, two, three = log.envelope(1), log.envelope(2), log.envelope(3)
    foreign = msgspec.structs.replace(three, content=msgspec.structs.replace(two.content, checksum=three.content.checksum))
    log.append(opened(one), opened(two), opened(foreign))
    disk.flip("cdb", one.content.segment, one.content.offset - HEADER_OCTETS + 20)
    done = recover(disk)
    assert done.todos() == {(one.transaction, 0): Todo.STORE, (two.transaction, 0): Todo.QUEUE, (three.transaction, 0): Todo.STORE}
    assert sorted(done.notes("quarantined")) == [(one.transaction, 0, "content damaged"), (three.transaction, 0, "content damaged")]


def test_content_that_nothing_refers_to_is_freed_unless_its_writer_may_live() -> None:
    disk = Disk()
    log = Log(disk)
    used = log.envelope(1)
    log.append(opened(used))
    for segment in (segment_id(30, 0), segment_id(200, 0)):
        disk.apply(effects.OpenSegment("cdb", segment, 10))
    result = recover(disk, 100).result
    assert result is not None
    assert segment_id(30, 0) in result.orphans
    assert segment_id(200, 0) not in result.orphans  # of a process launched after this QMGR
    assert used.content.segment not in result.orphans


def test_missing_content_of_deferred_rows_is_reported_without_reading_them() -> None:
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1)
    store(disk, row(envelope, 1))
    del disk.names["cdb"][envelope.content.segment]
    done = recover(disk)
    assert done.notes("damaged") == [("cdb", envelope.content.segment, 0, 0, "missing; 1 references to it")]
    assert not any(isinstance(order, effects.Find | effects.Fetch) for order in done.orders)


# --- the log's end and its damage (A2, I9) ----------------------------------------------------------------------------------


def test_a_torn_tail_ends_the_log_and_is_kept_aside() -> None:
    disk = Disk()
    log = Log(disk)
    one, two = log.envelope(1), log.envelope(2)
    log.append(opened(one))
    log.append(opened(two), sync=False)
    (segment,) = disk.segments("ibdb")[-2:-1]
    file = disk.names["ibdb"][segment]
    offset, data = file.pending[-1]
    image = next(iter(disk.crash_images()))
    torn = image.names["ibdb"][segment].durable
    torn[offset : offset + len(data) - 3] = data[:-3]
    done = recover(image)
    assert done.todos() == {(one.transaction, 0): Todo.QUEUE}
    ((store_name, found, at, octets, reason),) = done.notes("damaged")
    assert (store_name, found) == ("ibdb", segment)
    assert isinstance(at, int)
    assert at >= offset
    assert isinstance(octets, int)
    assert octets > 0
    assert str(reason).startswith("torn end")
    aside = [number for number in image.segments("ibdb") if number >= ASIDE_BIT]
    assert len(aside) == 1
    record = codec.decode(bytes(image.names["ibdb"][aside[0]].view()), 0, aside[0], 0)
    assert isinstance(record, codec.Record)
    kept = records.decode_record(record.kind, record.payload)
    assert isinstance(kept, records.Aside)
    assert kept.data in bytes(torn)
    again = recover(image, 101)
    assert again.todos() == done.todos()
    assert again.notes("damaged") == []


def test_corruption_below_the_durable_offset_is_quarantined_and_what_follows_is_read() -> None:
    disk = Disk()
    log = Log(disk)
    envelopes = [log.envelope(number) for number in range(1, 6)]
    for envelope in envelopes:
        log.append(opened(envelope))
    log.close_group()
    segment = disk.segments("ibdb")[0]
    octets = bytes(disk.names["ibdb"][segment].view())
    disk.flip("ibdb", segment, octets.index(b"r3.0@example.net"))
    done = recover(disk)
    assert done.todos() == {(e.transaction, 0): Todo.QUEUE for e in envelopes if e is not envelopes[2]}
    ((_, _, _, _, reason),) = done.notes("damaged")
    assert reason == "corrupt: crc"


def test_with_the_closing_record_even_the_last_group_is_known_to_have_been_durable() -> None:
    disk = Disk()
    log = Log(disk)
    one, two = log.envelope(1), log.envelope(2)
    log.append(opened(one))
    log.append(opened(two))
    segment = disk.segments("ibdb")[0]
    octets = bytes(disk.names["ibdb"][segment].view())
    unclosed = disk.kill_image()
    unclosed.flip("ibdb", segment, octets.index(b"r2.0@example.net"))
    assert str(recover(unclosed).notes("damaged")[0][4]).startswith("torn end")  # the known limit
    log.close_group()
    disk.flip("ibdb", segment, octets.index(b"r2.0@example.net"))
    assert recover(disk).notes("damaged")[0][4] == "corrupt: crc"


def test_a_record_of_an_unknown_kind_quarantines_its_transaction_only() -> None:
    """A16."""
    disk = Disk()
    log = Log(disk)
    one, two, three = log.envelope(1), log.envelope(2), log.envelope(3)
    log.append(opened(one), opened(two))
    store(disk, row(three, 1))
    for transaction in (one.transaction, three.transaction):
        log.ibdb._put(77, msgspec.msgpack.encode([77, transaction, "news"]), None, None, lazy=False, copy=False)
    log.append(verdict(two, 1, DEFERRED))
    done = recover(disk)
    assert done.todos() == {(one.transaction, 0): Todo.STORE, (two.transaction, 0): Todo.STORE}
    assert done.rows() == {(three.transaction, 0): f"store {ROW_QUARANTINED}"}
    why = "a record of a newer version concerns it"
    assert sorted(done.notes("quarantined")) == [(one.transaction, 0, why), (three.transaction, 0, why)]
    assert recover(disk, 101).todos() == done.todos()


def test_a_newer_log_is_refused_with_a_clear_message() -> None:
    disk = Disk()
    Log(disk).append(records.Stopped())
    segment = disk.segments("ibdb")[0]
    header = records.Header(LOG_VERSION + 1, segment, 50)
    octets = codec.encode(records.kind_of(header), records.encode_record(header), segment, 0)
    disk.names["ibdb"][segment].durable[: len(octets)] = octets
    done = recover(disk)
    assert "newer smx: log version 2, known up to 1" in done.halted


def test_a_newer_framing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    monkeypatch.setattr(codec, "VERSION", 2)
    octets = codec.encode(1, b"x", 1, 0)
    monkeypatch.undo()
    disk.apply(effects.OpenSegment("ibdb", 1, 1000))
    disk.apply(effects.Append("ibdb", 1, 0, octets))
    assert "newer smx: its framing is not known" in recover(disk).halted


def test_a_log_that_cannot_be_read_ends_the_process() -> None:
    disk = Disk()
    Log(disk).append(records.Stopped())
    disk.fail = lambda effect: [events.ReadFailed(effect.request, missing=False, reason="EIO")] if isinstance(effect, effects.Scan) else None
    assert "EIO" in recover(disk).halted


def test_without_space_for_a_segment_recovery_ends_the_process_and_loses_nothing() -> None:
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1)
    log.append(opened(envelope))
    disk.fail = lambda effect: [events.OpenFailed("ibdb", effect.segment, no_space=True, reason="ENOSPC")] if isinstance(effect, effects.OpenSegment) else None
    assert "no space" in recover(disk).halted
    disk.fail = None
    assert recover(disk, 101).todos() == {(envelope.transaction, 0): Todo.QUEUE}


def test_without_space_for_the_next_segment_it_does_not_wait_for_ever_either() -> None:
    """Found by crash_storm, seed 20854: the first segment was there, what is open did not fit into it, and nobody opened another one."""
    disk = Disk()
    log = Log(disk)
    envelopes = [log.envelope(number) for number in range(1, 60)]
    for envelope in envelopes:
        log.append(opened(envelope))
    opening: list[int] = []

    def fail(effect: effects.AnyEffect) -> list[events.AnyEvent] | None:
        if not isinstance(effect, effects.OpenSegment):
            return None
        opening.append(effect.segment)
        return [events.OpenFailed("ibdb", effect.segment, no_space=True, reason="ENOSPC")] if len(opening) > 1 else None

    disk.fail = fail
    assert "no space" in recover(disk).halted
    disk.fail = None
    assert recover(disk, 101).todos() == {(envelope.transaction, 0): Todo.QUEUE for envelope in envelopes}


def test_a_removed_segment_that_comes_back_is_ignored_and_removed_again() -> None:
    """F6: the delivery recorded in a segment that is gone must not be undone by an opening that is back."""
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1)
    log.append(opened(envelope))
    first = log.ibdb.segments[0]
    other = log.envelope(2)
    while len(log.ibdb.segments) < 3:
        log.append(verdict(other, 1, stored=False))
    log.append(verdict(envelope, 1, stored=False))
    ghost = disk.names["ibdb"][first]
    assert recover(disk, 100).todos() == {}
    disk.names["ibdb"][first] = ghost.survivor(())
    done = recover(disk, 101)
    assert done.todos() == {}
    assert first not in disk.segments("ibdb")
    assert effects.Remove("ibdb", first) in done.orders


def test_a_segment_that_is_missing_is_reported() -> None:
    disk = Disk()
    log = Log(disk)
    for number in range(1, 150):
        log.append(opened(log.envelope(number)))
    segments = disk.segments("ibdb")
    del disk.names["ibdb"][segments[1]]
    done = recover(disk)
    assert [note[:3] for note in done.notes("damaged")] == [("ibdb", segments[1], 0)]
    assert 50 < len(done.todos()) < 149


@pytest.mark.feature("SX13")
def test_recovery_leaves_one_segment_and_a_spare_and_never_writes_to_an_old_one() -> None:
    disk = Disk()
    log = Log(disk)
    envelopes = [log.envelope(number) for number in range(1, 150)]
    for envelope in envelopes:
        log.append(opened(envelope))
    for envelope in envelopes[1:]:
        log.append(verdict(envelope, 1, stored=False))
    old = disk.segments("ibdb")
    assert len(old) > 3
    done = recover(disk)
    assert done.todos() == {(envelopes[0].transaction, 0): Todo.QUEUE}
    written = {order.segment for order in done.orders if isinstance(order, effects.Append)}
    assert not written & set(old)
    assert len(disk.segments("ibdb")) == 2
    assert min(disk.segments("ibdb")) > max(old)


# --- crashes in recovery, and recovery again (I14, A14) -----------------------------------------------------------------------


def mixture(disk: Disk) -> None:
    """A queue with one of everything."""
    log = Log(disk)
    e = [log.envelope(number, recipients=2) for number in range(8)]
    log.append(opened(e[0]), opened(e[1]), opened(e[2]))
    log.append(verdict(e[0], 1, index=0, stored=False), verdict(e[1], 1, DEFERRED))
    store(disk, row(e[1], 1), row(e[3], 1), row(e[4], 1), row(e[5], 2), row(e[6], 1))
    log.append(Moved(e[1].transaction, ((0, 1),)), verdict(e[3], 2, DELIVERED), verdict(e[4], 2, DEFERRED), verdict(e[5], 1, DELIVERED))
    log.append(Expanded(e[2].transaction, 1, (Recipient(2, b"x@example.net"),)), Held(e[2].transaction, (0,)))
    log.append(verdict(e[6], 2, FAILED, owed=1), records.Begun(e[0].transaction, (1,)), opened(e[7]), sync=False)


@pytest.mark.feature("SX15")
def test_recover_twice_is_recover_once() -> None:
    disk = Disk()
    mixture(disk)
    first = recover(disk, 100)
    assert len(first.todos()) > 4
    assert len(first.rows()) == 4
    second = recover(disk, 101)
    third = recover(disk, 102)
    assert second.view() == first.view()
    assert third.view() == first.view()


@pytest.mark.feature("SX15")
def test_a_crash_at_any_effect_of_recovery_then_recovery_gives_the_same() -> None:
    """Every effect boundary, and at each every disk that a power loss may leave there."""
    base = Disk()
    mixture(base)
    images = 0
    for start in [base.kill_image(), *base.crash_images(max_subset=1, torn=True)]:
        wanted = recover(start.kill_image(), 100).view()
        total = len(recover(start.kill_image(), 100).orders)
        for cut in range(total):
            disk = start.kill_image()
            seen = [0]

            def power(effect: AnyEffect, seen: list[int] = seen, cut: int = cut) -> bool:
                seen[0] += 1
                return seen[0] > cut

            recover(disk, 100, each=power)
            tried: set[object] = set()
            for image in disk.crash_images(max_subset=2, torn=True):
                if (key := image.key()) in tried:
                    continue
                tried.add(key)
                images += 1
                again = recover(image, 101)
                assert again.view() == wanted, f"cut at {cut}"
                assert not [note for note in again.notes("damaged") if str(note[4]).startswith("corrupt")], "what was set aside once is no corruption"
    assert images > 100


def test_what_an_earlier_recovery_set_aside_stays_aside_when_its_log_went_on() -> None:
    """The header of its segment says where the old log ended; octets behind that are neither history nor corruption."""
    disk = Disk()
    log = Log(disk)
    one, two = log.envelope(1), log.envelope(2)
    log.append(opened(one))
    log.append(opened(two), sync=False)
    image = list(disk.crash_images(max_subset=1, torn=True))[-2]  # half of it survived
    appended = [False]

    def power(effect: AnyEffect) -> bool:
        """All is written again, and nothing is removed yet."""
        appended[0] = appended[0] or (isinstance(effect, effects.Append) and effect.segment < ASIDE_BIT)
        return appended[0] and isinstance(effect, effects.Remove)

    recover(image, 100, each=power)
    assert 1 in image.segments("ibdb")
    done = recover(image.kill_image(), 101)
    assert done.todos() == {(one.transaction, 0): Todo.QUEUE}
    assert not [note for note in done.notes("damaged") if str(note[4]).startswith("corrupt")]


def test_open_records_hold_their_new_segment_until_they_are_released() -> None:
    disk = Disk()
    log = Log(disk)
    one, two = log.envelope(1), log.envelope(2)
    log.append(opened(one), verdict(two, 2, DELIVERED))
    store(disk, row(two, 1))
    again = Log(disk, 60)  # its recovery copied both
    other = again.envelope(3)
    for _ in range(300):
        again.append(verdict(other, 1, stored=False))
    done = recover(disk)
    assert done.todos() == {(one.transaction, 0): Todo.QUEUE}
    assert done.rows() == {(two.transaction, 0): "delete"}


def test_recovery_of_a_recovery_that_died_gives_the_same_however_often() -> None:
    """F18: the restart storm. Some may be suspected of it (A14) and set aside; nobody is lost or comes back."""
    disk = Disk()
    mixture(disk)
    wanted = recover(disk.kill_image(), 100)
    total = len(wanted.orders)
    for epoch in range(100, 140):
        left = [epoch * 7 % total]

        def power(effect: AnyEffect, left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] < 0

        recover(disk, epoch, each=power)
        disk = disk.kill_image()
    done = recover(disk, 200)
    aside = {(report[0], report[1]) for report in done.notes("quarantined")}
    for was, now in ((wanted.todos(), done.todos()), (wanted.rows(), done.rows())):
        assert set(now) >= set(was)
        assert all(key in aside for key in now if now[key] != was.get(key))


def begun(disk: Disk, log: Log, *numbers: int) -> None:
    log.append(*(records.Begun(number, (0,)) for number in numbers), sync=False)


@pytest.mark.parametrize("lives", [1, 2, 3, 4])
def test_an_envelope_in_hand_at_three_crashes_is_quarantined_and_the_others_go_on(lives: int) -> None:
    """A14, L4."""
    disk = Disk()
    log = Log(disk)
    poison, other = log.envelope(1), log.envelope(2)
    log.append(opened(poison), opened(other))
    done = None
    for life in range(lives):
        log = Log(disk, 60 + life)
        begun(disk, log, poison.transaction, other.transaction)
        log.append(verdict(other, life + 1, DEFERRED, stored=False), sync=False)
        disk = disk.kill_image()
    done = recover(disk)
    assert done.todos()[other.transaction, 0] == Todo.STORE
    assert done.result is not None
    state = {t.envelope.transaction: t for t in done.result.transactions}[poison.transaction]
    if lives < 3:
        assert done.todos()[poison.transaction, 0] == Todo.QUEUE
        assert state.crashes == lives
    else:
        assert state.recipients[0].state.status == records.Status.QUARANTINED


def test_deferred_mail_in_hand_at_crashes_is_counted_in_its_row() -> None:
    disk = Disk()
    log = Log(disk)
    one, two = log.envelope(1), log.envelope(2)
    store(disk, row(one, 1, crashes=1), row(two, 1, crashes=2, alone=1))
    log.append(records.Begun(one.transaction, (0,)), records.Begun(two.transaction, (0,), suspect=True), sync=False)
    done = recover(disk.kill_image())
    assert done.rows() == {(one.transaction, 0): "store 0", (two.transaction, 0): f"store {ROW_QUARANTINED}"}
    assert done.result is not None
    assert read_row(done.result.rows[0].row)[1].crashes == 2
    assert done.notes("quarantined") == [(two.transaction, 0, "in hand at too many crashes")]


@pytest.mark.parametrize("removed", [False, True])
def test_where_rows_and_opening_name_different_places_the_rows_are_believed(*, removed: bool) -> None:
    """A3: content was copied and the rows say so; the crash came before the record. The old content may be gone with its last reference."""
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1, recipients=2)
    copied = msgspec.structs.replace(envelope.content, segment=segment_id(31, 0))
    for names in (disk.names, disk.durable_names):
        names["cdb"][copied.segment] = names["cdb"][envelope.content.segment]
    store(disk, row(msgspec.structs.replace(envelope, content=copied), 1))
    log.append(opened(envelope))
    if removed:
        disk.apply(effects.Remove("cdb", envelope.content.segment))
    done = recover(disk)
    assert done.result is not None
    assert done.todos() == {(envelope.transaction, 1): Todo.QUEUE}
    assert done.result.transactions[0].envelope.content == copied
    assert dict(done.result.references) == {copied.segment: 2}
    again = recover(disk.kill_image(), 200)
    assert again.result is not None
    assert again.result.transactions[0].envelope.content == copied


def test_an_orderly_end_suspects_nobody() -> None:
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1)
    log.append(opened(envelope))
    for life in range(4):
        log = Log(disk, 60 + life)
        begun(disk, log, envelope.transaction)
        log.append(records.Stopped())
    done = recover(disk)
    assert done.todos() == {(envelope.transaction, 0): Todo.QUEUE}
    assert done.result is not None
    assert done.result.transactions[0].crashes == 0


def test_an_envelope_that_kills_recovery_itself_is_found_and_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A14: Begun(recovery step); first its whole batch is suspected, then each one alone."""
    disk = Disk()
    log = Log(disk)
    envelopes = [log.envelope(number) for number in range(1, 6)]
    log.append(*map(opened, envelopes))
    poison = envelopes[2].transaction
    judge = recovery_judge.judge

    def dies(number: int, folded: object, rows: object, content: object, suspected: Suspicion) -> object:
        assert number != poison or suspected.poison, "poison"
        return judge(number, folded, rows, content, suspected)  # type: ignore[arg-type]

    monkeypatch.setattr(recovery_module, "judge", dies)
    for epoch in (100, 101, 102):
        with pytest.raises(AssertionError, match="poison"):
            recover(disk, epoch)
        disk = disk.kill_image()
    done = recover(disk, 103)
    assert done.notes("quarantined") == [(poison, 0, "in hand at too many crashes")]
    assert done.todos() == {(e.transaction, 0): Todo.STORE if e.transaction == poison else Todo.QUEUE for e in envelopes}


def test_each_kill_of_a_storm_during_recovery_hits_another_suspect_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A14: the first one suspects the whole batch; then each is decided alone, the least suspected one before the others."""
    disk = Disk()
    log = Log(disk)
    envelopes = [log.envelope(number) for number in range(1, 6)]
    log.append(*map(opened, envelopes))
    hit: list[int] = []

    def killed(number: int, *_: object) -> object:
        hit.append(number)
        raise AssertionError("killed")

    judge = recovery_judge.judge
    monkeypatch.setattr(recovery_module, "judge", killed)
    for epoch in range(100, 106):
        with pytest.raises(AssertionError, match="killed"):
            recover(disk, epoch)
        disk = disk.kill_image()
    assert sorted(hit[1:]) == [envelope.transaction for envelope in envelopes]
    monkeypatch.setattr(recovery_module, "judge", judge)
    done = recover(disk, 200)
    assert not done.notes("quarantined")
    assert done.todos() == {(envelope.transaction, 0): Todo.QUEUE for envelope in envelopes}


# --- size ------------------------------------------------------------------------------------------------------------------------


def test_deferred_rows_are_counted_and_not_read() -> None:
    """The time to the first delivery does not grow with the backlog in DEFEDB."""
    disk = Disk()
    log = Log(disk)
    envelope = log.envelope(1)
    template = row(envelope, 1)
    for number in range(100_000):
        disk.rows[number + 1, 0] = msgspec.structs.replace(template, transaction=number + 1)
    log.append(opened(envelope))
    start = time.monotonic()
    done = recover(disk)
    assert done.result is not None
    assert done.result.deferred == 100_000
    assert done.todos() == {(envelope.transaction, 0): Todo.QUEUE}
    assert time.monotonic() - start < 10
    asked = [order for order in done.orders if isinstance(order, effects.Find)]
    assert [order.transactions for order in asked] == [(envelope.transaction,)]


def test_the_log_is_read_in_pages_and_closed_mail_takes_no_memory() -> None:
    disk = Disk()
    log = Log(disk, segment_octets=2 << 20)
    content = log.content(1 << 32)
    envelope = msgspec.structs.replace(log.envelope(1), content=content)
    last = msgspec.structs.replace(envelope, transaction=(1 << 32) + 5001)
    for base in range(0, 5000, 100):
        some = [msgspec.structs.replace(envelope, transaction=(1 << 32) + base + n) for n in range(1, 101)]
        log.append(*map(opened, some), *(verdict(e, 1, stored=False) for e in some))
    log.append(opened(last))
    done = recover(disk)
    scans = [order for order in done.orders if isinstance(order, effects.Scan) and order.store == "ibdb"]
    assert max(scan.octets for scan in scans) <= 256 * 1024
    assert len(scans) > 4
    assert [key[0] for key in done.todos()] == [last.transaction]
    begun_records = [order for order in done.orders if isinstance(order, effects.Find)]
    assert begun_records == []


def test_many_open_transactions_are_decided_in_batches() -> None:
    disk = Disk()
    log = Log(disk, segment_octets=1 << 20)
    first = log.envelope(1)
    transactions = [(1 << 32) + n for n in range(1, 1001)]
    for start in range(0, 1000, 50):
        log.append(
            *(opened(msgspec.structs.replace(first, transaction=n, content=Content(segment_id(30, 0), 96, 10, 0))) for n in transactions[start : start + 50])
        )
    store(disk, *(msgspec.structs.replace(row(first, 1), transaction=n) for n in transactions[::2]))
    done = recover(disk, segment_octets=1 << 20)
    assert done.result is not None
    assert len(done.result.transactions) == 1000  # their content is missing: all are set aside, none is lost
    assert len([order for order in done.orders if isinstance(order, effects.Find)]) == 4
