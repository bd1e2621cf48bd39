"""IBDB: group commit, rolling, removal and copying forward (A2, A3, A10, SX10, SX13, SX14)."""

from collections.abc import Callable

import pytest

from smx import codec, effects, events
from smx.effects import AnyEffect
from smx.events import AnyEvent
from smx.messages import Content, Envelope, Outcome, Recipient
from smx.qmgr.ibdb import Before, Ibdb
from smx.qmgr.records import AnyRecord, Begun, Header, Offset, Oldest, Opened, Unknown, VerdictRecord, decode_record
from tests.crash.disk import Disk

SEGMENT_OCTETS = 2048


def opened(transaction: int, text: bytes = b"") -> Opened:
    return Opened(transaction, Envelope(transaction, b"from@example.org", (Recipient(0, b"to@example.net"),), Content(1, 96, 10, 0), 1, envid=text))


def verdict(transaction: int) -> VerdictRecord:
    return VerdictRecord(transaction, 0, 1, Outcome.DELIVERED, stored=False)


class Bench:
    """A log on a disk; `hold` keeps completions back."""

    def __init__(self, *, segments_max: int = 4, before: Before | None = None) -> None:
        self.disk = Disk()
        self.ibdb = Ibdb(7, first=1, segment_octets=SEGMENT_OCTETS, segments_max=segments_max, before=before)
        self.events: list[AnyEvent] = []
        self.orders: list[AnyEffect] = []
        self.thens: list[object] = []
        self.hold = False
        self.watch: Callable[[AnyEffect], None] = lambda effect: None
        self.carry_out(self.ibdb.start)

    def carry_out(self, call: Callable[[list[AnyEffect]], object]) -> None:
        out: list[AnyEffect] = []
        call(out)
        self.orders += out
        self.apply(out)
        if not self.hold:
            self.go()

    def apply(self, out: list[AnyEffect]) -> None:
        for effect in out:
            self.watch(effect)
            self.events += self.disk.apply(effect)

    def go(self, count: int = 1 << 30) -> None:
        while self.events and count:
            count -= 1
            out: list[AnyEffect] = []
            self.thens += self.ibdb.on_event(out, self.events.pop(0))
            self.ibdb.flush(out)
            self.orders += out
            self.apply(out)

    def append(self, record: AnyRecord, then: object = None, key: object = None, *, lazy: bool = False) -> int:
        position = self.ibdb.append(record, then, key, lazy=lazy)
        self.carry_out(self.ibdb.flush)
        return position

    def count(self, kind: type[object]) -> int:
        return sum(isinstance(order, kind) for order in self.orders)

    def log(self, disk: Disk | None = None) -> list[tuple[int, AnyRecord | Unknown]]:
        """All valid records, by segment, up to the first octets that are none."""
        found: list[tuple[int, AnyRecord | Unknown]] = []
        for segment, file in sorted((disk or self.disk).names["ibdb"].items()):
            octets, offset, sequence = bytes(file.view()), 0, 0
            while isinstance(record := codec.decode(octets, offset, segment, sequence), codec.Record):
                found.append((segment, decode_record(record.kind, record.payload)))
                offset, sequence = record.end, sequence + 1
        return found

    def mail(self, disk: Disk | None = None) -> list[AnyRecord | Unknown]:
        return [record for _, record in self.log(disk) if not isinstance(record, Header | Offset | Oldest)]


@pytest.mark.feature("SX14")
def test_one_sync_covers_all_records_of_a_step_and_at_most_one_is_outstanding() -> None:
    bench = Bench()
    bench.hold = True
    for transaction in range(1, 4):
        bench.ibdb.append(opened(transaction), transaction)
    bench.carry_out(bench.ibdb.flush)
    assert (bench.count(effects.Append), bench.count(effects.Sync)) == (1, 1)
    for transaction in range(4, 10):
        bench.append(opened(transaction), transaction)
    assert bench.count(effects.Sync) == 1
    bench.go()
    assert bench.count(effects.Sync) == 2
    assert bench.thens == list(range(1, 10))


@pytest.mark.feature("SX10")
def test_a_record_is_said_to_be_durable_only_when_every_crash_keeps_it() -> None:
    bench = Bench()
    bench.hold = True
    for transaction in range(1, 60):
        bench.append(opened(transaction), transaction, key=transaction)
        bench.go(1)
        for image in bench.disk.crash_images(max_subset=2):
            kept = {record.transaction for record in bench.mail(image) if isinstance(record, Opened)}
            assert kept >= set(bench.thens)
    bench.go()
    assert bench.thens == list(range(1, 60))
    assert len(bench.ibdb.segments) > 1


def test_each_group_begins_with_the_offset_known_to_be_durable() -> None:
    bench = Bench()
    bench.append(opened(1))
    bench.append(opened(2))
    bench.ibdb.append(opened(3))
    bench.append(opened(4))
    kinds = [type(record).__name__ for _, record in bench.log()]
    assert kinds == ["Header", "Opened", "Offset", "Opened", "Offset", "Opened", "Opened"]
    offsets = [record.durable for _, record in bench.log() if isinstance(record, Offset)]
    assert offsets == sorted(offsets)
    assert all(offset > 0 for offset in offsets)


def test_an_idle_log_closes_its_last_group_once() -> None:
    bench = Bench()
    bench.append(opened(1))
    bench.carry_out(bench.ibdb.close_group)
    last = bench.log()[-1][1]
    assert isinstance(last, Offset)
    size = len(bench.log())
    for _ in range(5):
        bench.carry_out(bench.ibdb.close_group)
    assert len(bench.log()) == size
    assert not bench.disk.names["ibdb"][1].pending


def test_a_lazy_record_waits_for_no_sync_but_survives_the_process() -> None:
    bench = Bench()
    bench.append(opened(1))
    syncs = bench.count(effects.Sync)
    position = bench.append(Begun(1, (0,)), lazy=True)
    assert bench.count(effects.Sync) == syncs
    assert bench.ibdb.durable < position
    assert Begun(1, (0,)) in bench.mail(bench.disk.kill_image())
    bench.carry_out(bench.ibdb.close_group)
    assert bench.ibdb.durable == position


def test_records_before_the_first_segment_is_open_wait_for_it() -> None:
    bench = Bench.__new__(Bench)
    bench.disk, bench.events, bench.orders, bench.thens, bench.hold = Disk(), [], [], [], True
    bench.watch = lambda effect: None
    bench.ibdb = Ibdb(7, first=1, segment_octets=SEGMENT_OCTETS, segments_max=4)
    bench.carry_out(bench.ibdb.start)
    bench.append(opened(1), "one")
    assert bench.count(effects.Append) == 0
    bench.go()
    assert bench.thens == ["one"]


@pytest.mark.feature("SX13")
def test_old_segments_go_oldest_first_when_nothing_in_them_counts() -> None:
    bench = Bench(segments_max=100)
    for transaction in range(1, 101):
        bench.append(opened(transaction), key=transaction)
    assert len(bench.ibdb.segments) > 5
    segments = list(bench.ibdb.segments)
    for transaction in range(100, 1, -1):
        bench.append(verdict(transaction))
        bench.ibdb.release(transaction)
    assert bench.disk.segments("ibdb")[0] == 1  # transaction 1 still holds the oldest
    bench.append(verdict(1))
    bench.ibdb.release(1)
    bench.append(Begun(1, (0,)))
    removed = [order.segment for order in bench.orders if isinstance(order, effects.Remove)]
    assert removed == sorted(removed)
    assert set(segments[:-1]) <= set(removed)
    assert len(bench.disk.segments("ibdb")) <= 3


def test_no_segment_is_removed_before_the_log_says_durably_that_it_does_not_count() -> None:
    """F6: a removed file may come back; the log must know better."""
    bench = Bench(segments_max=100)
    removed = []

    def watch(effect: AnyEffect) -> None:
        if isinstance(effect, effects.Remove):
            removed.append(effect.segment)
            image = next(iter(bench.disk.crash_images(max_subset=0)))
            said = [record.segment for _, record in bench.log(image) if isinstance(record, Oldest)]
            said += [record.oldest for _, record in bench.log(image) if isinstance(record, Header)]
            assert max(said) > effect.segment

    bench.watch = watch
    for transaction in range(1, 200):
        bench.append(opened(transaction), key=transaction)
        bench.append(verdict(transaction))
        bench.ibdb.release(transaction)
    assert removed


def test_a_record_that_waits_for_a_segment_is_not_covered_by_the_sync_of_those_before_it() -> None:
    bench = Bench()
    while bench.ibdb._end < SEGMENT_OCTETS - 300:
        bench.append(opened(1), key=1)
    bench.disk.fail = lambda effect: [] if isinstance(effect, effects.OpenSegment) else None  # the answer takes its time
    bench.ibdb._spare = None
    bench.ibdb.append(opened(2), "fits", key=2)
    bench.ibdb.append(opened(3, bytes(1000)), "waits", key=3)
    bench.carry_out(bench.ibdb.flush)
    assert bench.thens == ["fits"]


@pytest.mark.feature("SX13")
def test_an_opening_that_lags_is_copied_forward_with_its_current_state() -> None:
    bench = Bench(segments_max=3)
    asked = []

    def owner(transaction: int) -> Opened | None:
        asked.append(transaction)
        return opened(transaction, b"copy")

    bench.ibdb.owner = owner
    bench.append(opened(1), key=1)
    for transaction in range(2, 200):
        bench.append(opened(transaction), key=transaction)
        bench.append(verdict(transaction))
        bench.ibdb.release(transaction)
    assert set(asked) == {1}
    assert len(bench.disk.segments("ibdb")) <= 6
    assert opened(1, b"copy") in bench.mail()
    for image in bench.disk.crash_images(max_subset=0):
        assert any(isinstance(record, Opened) and record.transaction == 1 for record in bench.mail(image))


def test_copies_are_made_in_bounded_steps() -> None:
    bench = Bench(segments_max=3)
    bench.ibdb.owner = lambda transaction: opened(transaction, b"copy")
    for transaction in range(1, 30):
        bench.append(opened(transaction), key=transaction)
    before = len(bench.orders)
    bench.append(opened(99))
    appended = sum(len(order.data) for order in bench.orders[before:] if isinstance(order, effects.Append))
    assert appended < 64 * 200


def test_a_segment_is_sealed_at_its_end_when_it_is_durable() -> None:
    bench = Bench()
    for transaction in range(1, 40):
        bench.append(opened(transaction), key=transaction)
    seals = [order for order in bench.orders if isinstance(order, effects.Seal)]
    headers = [record for _, record in bench.log() if isinstance(record, Header)]
    assert [(seal.segment, seal.octets) for seal in seals] == [(header.previous, header.previous_octets) for header in headers[1:]][: len(seals)]
    assert seals


def test_nothing_is_ever_appended_beyond_the_preallocated_octets() -> None:
    bench = Bench()
    for transaction in range(1, 100):
        bench.append(opened(transaction))
    assert all(order.offset + len(order.data) <= SEGMENT_OCTETS for order in bench.orders if isinstance(order, effects.Append))


def test_a_record_larger_than_a_segment_gets_a_larger_segment() -> None:
    bench = Bench()
    bench.append(opened(1), key=1)
    bench.append(opened(2, bytes(10_000)), "large", key=2)
    bench.append(opened(3), "after", key=3)
    assert bench.thens == ["large", "after"]
    assert [record.transaction for record in bench.mail() if isinstance(record, Opened)] == [1, 2, 3]
    headers = [record for _, record in bench.log() if isinstance(record, Header)]
    assert headers[-1].previous == 1 or len(headers) > 2


def test_without_space_for_a_spare_verdicts_go_on_and_new_mail_is_refused() -> None:
    """A10."""
    bench = Bench()
    bench.append(opened(1))
    bench.disk.fail = lambda effect: (
        [events.OpenFailed("ibdb", effect.segment, no_space=True, reason="ENOSPC")] if isinstance(effect, effects.OpenSegment) else None
    )
    assert bench.ibdb.roomy
    transaction = 1
    while bench.ibdb.roomy:
        transaction += 1
        bench.append(opened(transaction), transaction)
    for number in range(3):
        bench.append(verdict(1), f"verdict {number}")
    assert bench.thens[-1] == "verdict 2"
    for number in range(100):
        bench.append(verdict(1), number + 1000)
    assert bench.thens[-1] != 1099  # the rest waits in memory
    bench.disk.fail = None
    bench.carry_out(bench.ibdb.close_group)
    assert bench.ibdb.roomy
    assert bench.thens[-1] == 1099
    assert not any(isinstance(order, effects.Halt) for order in bench.orders)


@pytest.mark.parametrize(
    "event",
    [
        events.SyncFailed("ibdb", 1, "EIO"),
        events.AppendFailed("ibdb", 1, 0, no_space=True, reason="ENOSPC"),
        events.AppendFailed("ibdb", 1, 0, no_space=False, reason="EIO"),
        events.OpenFailed("ibdb", 2, no_space=False, reason="EIO"),
    ],
)
def test_a_failed_device_ends_the_process(event: AnyEvent) -> None:
    """I15: no retry."""
    bench = Bench()
    out: list[AnyEffect] = []
    assert bench.ibdb.on_event(out, event) == []
    assert any(isinstance(order, effects.Halt) for order in out)


def test_events_of_other_stores_are_ignored() -> None:
    bench = Bench()
    out: list[AnyEffect] = []
    assert bench.ibdb.on_event(out, events.Synced("cdb", 1)) == []
    assert bench.ibdb.on_event(out, events.Expired("x", 0)) == []
    assert out == []


def test_the_header_names_the_previous_segment_its_length_and_the_oldest_that_counts() -> None:
    bench = Bench(before=Before((3, 4), previous=4, octets=500, durable=300, oldest=3))
    bench.append(opened(1))
    header = bench.log()[0][1]
    assert header == Header(1, 1, 7, 4, 500, 300, 3)


def test_superseded_segments_of_earlier_processes_are_removed_when_that_is_durable() -> None:
    bench = Bench(before=Before((3, 4), previous=4, octets=500, durable=300, oldest=3))
    bench.append(opened(1))
    assert bench.count(effects.Remove) == 0
    bench.hold = True
    bench.ibdb.supersede()
    bench.carry_out(bench.ibdb.flush)
    assert bench.count(effects.Remove) == 0
    bench.go()
    assert [order.segment for order in bench.orders if isinstance(order, effects.Remove)] == [3, 4]


def test_releasing_an_unknown_key_is_no_error() -> None:
    bench = Bench()
    bench.ibdb.release(12345)
    bench.append(VerdictRecord(1, 0, 2, Outcome.DELIVERED), key=(1, 0))
    bench.ibdb.release((1, 0))
    bench.ibdb.release((1, 0))


@pytest.mark.bench
def test_appending_costs_microseconds() -> None:
    import time

    bench = Bench.__new__(Bench)
    bench.disk, bench.events, bench.orders, bench.thens, bench.hold = Disk(), [], [], [], False
    bench.watch = lambda effect: None
    bench.ibdb = Ibdb(7, first=1, segment_octets=16 << 20, segments_max=4)
    bench.carry_out(bench.ibdb.start)
    record = opened(1)
    start = time.perf_counter()
    out: list[AnyEffect] = []
    for transaction in range(20_000):
        bench.ibdb.append(record, transaction, transaction)
        bench.ibdb.release(transaction)
        if transaction % 10 == 0:
            bench.ibdb.flush(out)
            out.clear()
    assert (time.perf_counter() - start) / 20_000 < 100e-6
