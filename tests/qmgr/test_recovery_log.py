"""Reading the log: no damage makes it raise or invent, and everything below the durable offset that is sound is read (A2, I9)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smx import codec, effects
from smx.qmgr import records
from smx.qmgr.ibdb import Ibdb
from smx.qmgr.records import AnyRecord, Header, Offset, Oldest, Quarantined, Unknown, encode_record, kind_of
from smx.qmgr.recovery_log import LogReader
from smx.qmgr.recovery_scan import Found, Gap, SegmentScan
from tests.crash.disk import Disk
from tests.qmgr.recovery_bench import Log, opened, recover, verdict

SEGMENT_OCTETS = 1024
Entry = tuple[int, int, int, AnyRecord | Unknown]  # segment, offset, end, record


def write_log(groups: list[list[int]], *, unsynced: int = 0) -> Disk:
    """A log of groups of records (each number: how long its text is); the last `unsynced` groups have no Sync yet."""
    disk = Disk()
    ibdb = Ibdb(7, first=1, segment_octets=SEGMENT_OCTETS, segments_max=1000)
    serial = 0
    out: list[effects.AnyEffect] = []
    ibdb.start(out)

    def carry_out(sync: bool) -> None:
        nonlocal out
        while out:
            events = [event for effect in out if sync or not isinstance(effect, effects.Sync) for event in disk.apply(effect)]
            out = []
            for event in events:
                ibdb.on_event(out, event)
                ibdb.flush(out)

    carry_out(True)
    for number, group in enumerate(groups):
        for length in group:
            serial += 1
            ibdb.append(Quarantined(serial, (), "x" * length), key=serial)
        ibdb.flush(out)
        carry_out(number < len(groups) - unsynced)
    return disk


def read(segments: dict[int, bytes], page: int = 300) -> tuple[list[tuple[int, AnyRecord | Unknown]], LogReader]:
    accepted: list[tuple[int, AnyRecord | Unknown]] = []
    reader = LogReader(lambda segment, record: accepted.append((segment, record)))
    for segment, octets in sorted(segments.items()):
        reader.open(segment, len(octets))
        for start in range(0, max(1, len(octets)), page):
            reader.page(octets[start : start + page], last=start + page >= len(octets))
    reader.finish()
    return accepted, reader


def entries(disk: Disk) -> list[Entry]:
    """Every record that was written, with its extent."""
    found: list[Entry] = []
    for segment, file in sorted(disk.names["ibdb"].items()):
        octets, offset, sequence = bytes(file.view()), 0, 0
        while isinstance(record := codec.decode(octets, offset, segment, sequence), codec.Record):
            found.append((segment, record.offset, record.end, records.decode_record(record.kind, record.payload)))
            offset, sequence = record.end, sequence + 1
    return found


def octets_of(disk: Disk) -> dict[int, bytes]:
    return {segment: bytes(file.view()) for segment, file in disk.names["ibdb"].items()}


def durable(entry: Entry) -> tuple[int, int]:
    """The position that a record proves to have been durable."""
    segment, offset, _, record = entry
    if isinstance(record, Offset):
        return segment, min(record.durable, offset)
    return (record.previous, record.previous_durable) if isinstance(record, Header) else (0, 0)


groups = st.lists(st.lists(st.integers(0, 120), min_size=1, max_size=5), min_size=1, max_size=12)
pages = st.integers(1, 400)


@given(groups, pages, st.integers(0, 3))
@settings(deadline=None)
def test_an_undamaged_log_is_read_whole_in_pages_of_any_size(lengths: list[list[int]], page: int, unsynced: int) -> None:
    disk = write_log(lengths, unsynced=unsynced)
    accepted, reader = read(octets_of(disk), page)
    written = entries(disk)
    assert accepted == [(segment, record) for segment, _, _, record in written]
    assert reader.damages == []
    assert reader.end == (written[-1][0], written[-1][2])
    assert sum(isinstance(record, Quarantined) for _, record in accepted) == sum(map(len, lengths))


@given(groups, pages, st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), min_size=1, max_size=4))
@settings(deadline=None, max_examples=150)
def test_whatever_octets_are_flipped_all_sound_records_below_the_durable_offset_are_read(
    lengths: list[list[int]], page: int, flips: list[tuple[int, int]]
) -> None:
    disk = write_log(lengths)
    written = entries(disk)
    damaged = {segment: bytearray(octets) for segment, octets in octets_of(disk).items()}
    flipped = []
    for where, mask in flips:
        segment, offset, end, _ = written[where % len(written)]
        at = offset + where // len(written) % (end - offset)
        damaged[segment][at] ^= mask
        flipped.append((segment, at))
    sound = [e for e in written if bytes(damaged[e[0]][e[1] : e[2]]) == octets_of(disk)[e[0]][e[1] : e[2]]]
    known = max(map(durable, sound), default=(0, 0))
    accepted, reader = read({segment: bytes(octets) for segment, octets in damaged.items()}, page)
    history = [(segment, record) for segment, _, _, record in sound]
    assert is_subsequence(accepted, history), "it invents or reorders"
    must = [(segment, record) for segment, offset, _, record in sound if (segment, offset) < known]
    assert is_subsequence(must, accepted), "a sound record below the durable offset was not read"
    if len(sound) < len(written):
        assert reader.damages


@given(groups, st.integers(1, 4), pages, st.data())
@settings(deadline=None, max_examples=100)
def test_any_torn_tail_ends_the_log_and_no_acknowledged_record_is_lost(lengths: list[list[int]], unsynced: int, page: int, data: st.DataObject) -> None:
    disk = write_log(lengths, unsynced=unsynced)
    images = list(disk.crash_images(max_subset=3, torn=True))
    image = images[data.draw(st.integers(0, len(images) - 1))]
    acknowledged = [(segment, record) for segment, _, _, record in entries(next(iter(disk.crash_images())))]
    accepted, _ = read(octets_of(image), page)
    written = [(segment, record) for segment, _, _, record in entries(disk)]
    assert accepted == written[: len(accepted)], "what is read is a prefix of what was written"
    assert accepted[: len(acknowledged)] == acknowledged


def test_a_header_that_knows_nothing_durable_of_the_previous_segment_proves_nothing() -> None:
    """Three segments within one unsynced stretch: the first part is lost, the rest survived. All of it is behind the end."""
    disk = write_log([[10], [120] * 15], unsynced=1)
    segments = [segment for segment in disk.segments("ibdb") if disk.names["ibdb"][segment].pending]
    assert len(segments) >= 3
    octets = octets_of(disk)
    first = disk.names["ibdb"][segments[0]]
    octets[segments[0]] = bytes(first.durable)
    accepted, reader = read(octets)
    assert [record.transaction for _, record in accepted if isinstance(record, Quarantined)] == [1]
    assert all(not damage.corrupt for damage in reader.damages)


def is_subsequence(part: list[tuple[int, AnyRecord | Unknown]], whole: list[tuple[int, AnyRecord | Unknown]]) -> bool:
    rest = iter(whole)
    return all(any(item == other for other in rest) for item in part)


@given(st.binary(max_size=600), pages)
@settings(deadline=None)
def test_garbage_is_no_history(octets: bytes, page: int) -> None:
    accepted, reader = read({3: octets}, page)
    assert accepted == []
    assert bool(reader.damages) == bool(octets.strip(b"\0"))


@given(groups, st.integers(0, 1 << 20), st.binary(min_size=1, max_size=80))
@settings(deadline=None)
def test_recovery_never_raises_whatever_is_written_over_the_log(lengths: list[list[int]], where: int, octets: bytes) -> None:
    disk = write_log(lengths)
    segments = disk.segments("ibdb")
    file = disk.names["ibdb"][segments[where % len(segments)]]
    disk.apply(effects.Append("ibdb", segments[where % len(segments)], where % len(file.view()), octets))
    done = recover(disk)
    assert done.result is not None or "newer" in done.halted


def test_a_record_inside_a_damaged_record_is_not_taken_for_one() -> None:
    """I3: a peer may choose octets of a reply text; they must not become an envelope when the record around them is damaged."""
    inner = codec.encode(kind_of(records.Stopped()), encode_record(records.Stopped()), 5, 1)
    outer = codec.encode(24, encode_record(Quarantined(7, (), "x" * 50)) + inner + b"x", 5, 0)
    after = codec.encode(24, encode_record(Quarantined(8, (), "")), 5, 1)
    for page in (1, 7, 1000):
        octets = bytearray(outer + after + bytes(50))
        octets[40] ^= 1
        scan = SegmentScan(5, len(octets))
        items = []
        for start in range(0, len(octets), page):
            items += scan.page(bytes(octets[start : start + page]), last=start + page >= len(octets))
        assert [type(item) for item in items] == [Gap, Found]
        assert items[1] == Found(24, encode_record(Quarantined(8, (), "")), len(outer), len(outer) + len(after))


def test_a_damaged_length_that_points_at_a_later_record_skips_nothing() -> None:
    sound = [codec.encode(24, b"payload %d" % n, 5, n) for n in range(5)]
    octets = bytearray(b"".join(sound))
    octets[len(sound[0]) + 4] += len(sound[2]) + len(sound[3])  # the second record says it ends where the fifth begins
    items = SegmentScan(5, len(octets)).page(bytes(octets), last=True)
    assert [item.payload for item in items if isinstance(item, Found)] == [b"payload 0", b"payload 2", b"payload 3", b"payload 4"]


def test_a_gap_says_where_it_is_and_keeps_its_octets() -> None:
    first, second = (codec.encode(24, b"payload %d" % n, 5, n) for n in range(2))
    junk = b"junk" * 10
    scan = SegmentScan(5, 1000)
    items = scan.page(first + junk + second + bytes(100), last=True)
    assert items[1] == Gap(len(first), len(first) + 40, codec.Fault.MAGIC, junk)
    assert [item.payload for item in items if isinstance(item, Found)] == [b"payload 0", b"payload 1"]


def test_zeros_in_the_middle_are_a_gap_and_zeros_at_the_end_are_none() -> None:
    """F4: the size was extended, the data is missing."""
    first, second, third = (codec.encode(24, b"payload %d" % n, 5, n) for n in range(3))
    scan = SegmentScan(5, 1000)
    items = scan.page(first + bytes(len(second)) + third + bytes(500), last=True)
    assert [type(item) for item in items] == [Found, Gap, Found]


def test_a_segment_or_a_repeated_record_of_another_place_is_no_history() -> None:
    """F10: a misdirected write."""
    mine, foreign, old = codec.encode(24, b"mine", 5, 0), codec.encode(24, b"foreign", 6, 1), codec.encode(24, b"old", 5, 0)
    scan = SegmentScan(5, 1000)
    items = scan.page(mine + foreign + old + codec.encode(24, b"next", 5, 1), last=True)
    assert [item.payload for item in items if isinstance(item, Found)] == [b"mine", b"next"]


@pytest.mark.feature("SX15")
@given(
    st.lists(st.tuples(st.sampled_from(["open", "deliver", "close group"]), st.booleans()), min_size=1, max_size=25),
    st.integers(0, 1 << 20),
    st.integers(0, 255),
)
@settings(deadline=None, max_examples=60)
def test_after_any_life_and_any_crash_every_acknowledged_envelope_is_there_and_nobody_else(life: list[tuple[str, bool]], choice: int, mask: int) -> None:
    """I1, I3, I6 on the level of the log: opened and synced is queued; closed and synced is not; nothing else appears."""
    disk = Disk()
    log = Log(disk)
    opened_at, closed_at = {}, {}
    synced = 0
    open_now = []
    sync_possible = True
    for step, (what, sync) in enumerate(life):
        sync_possible = sync_possible and sync  # the Sync that is under way stays so until the crash
        if what == "open":
            envelope = log.envelope(step + 1)
            opened_at[envelope.transaction] = step
            open_now.append(envelope)
            log.append(opened(envelope), sync=sync_possible)
        elif what == "deliver" and open_now:
            envelope = open_now.pop(choice % len(open_now))
            closed_at[envelope.transaction] = step
            log.append(verdict(envelope, 1, stored=False), sync=sync_possible)
        elif sync_possible:
            log.close_group()
        if sync_possible:
            synced = step + 1
    images = list(disk.crash_images(max_subset=2, torn=True))
    image = images[choice % len(images)]
    done = recover(image)
    found = {key[0] for key in done.todos()}
    assert found <= set(opened_at), "a phantom"
    for transaction, at in opened_at.items():
        closed = closed_at.get(transaction)
        if closed is not None and closed < synced:
            assert transaction not in found, "delivered again"
        elif closed is None and at < synced:
            assert transaction in found, "lost"


def two_lives(*, durable: int, epoch: int = 8, offset: int = 60) -> tuple[dict[int, bytes], list[int]]:
    """Segment 1 has three records; segment 2 was begun when all of it could be read, and is durable. Also where the records of segment 1 end."""
    ends = []
    first = bytearray()
    earlier: list[AnyRecord] = [Header(1, 1, 7, 0, 0, 0, 1), Quarantined(1, (), "one"), Quarantined(2, (), "two")]
    for sequence, record in enumerate(earlier):
        first += codec.encode(kind_of(record), encode_record(record), 1, sequence)
        ends.append(len(first))
    second = bytearray()
    later: list[AnyRecord] = [Header(1, 2, epoch, 1, len(first), durable, 1), Quarantined(1, (), "again"), Offset(offset), Quarantined(3, (), "three")]
    for sequence, record in enumerate(later):
        second += codec.encode(kind_of(record), encode_record(record), 2, sequence)
    return {1: bytes(first) + bytes(100), 2: bytes(second) + bytes(100)}, ends


@pytest.mark.parametrize("lost", [0, 1], ids=["the last record", "the last two"])
def test_what_a_killed_process_had_not_synced_may_be_gone_though_a_recovery_has_read_it(lost: int) -> None:
    """Found by crash_storm, seed 64. QMGR is killed with unsynced octets, which its successor reads from the kernel and goes on behind; then the
    power fails, and they are gone. That was reported as corruption of the log; it is a torn end, and what lies behind it is history.
    """
    log, ends = two_lives(durable=ends_durable(lost))
    start = ends[1 - lost]
    accepted, reader = read({1: log[1][:start] + bytes(len(log[1]) - start), 2: log[2]})
    assert [(damage.segment, damage.offset, damage.corrupt, damage.reason) for damage in reader.damages] == [(1, start, False, "torn end: short")]
    assert [record.reason for _, record in accepted if isinstance(record, Quarantined)] == ["one", "again", "three"][lost:]


def ends_durable(lost: int) -> int:
    """What was known durable of segment 1: all but the records that get lost."""
    _, ends = two_lives(durable=0)
    return ends[1 - lost]


@pytest.mark.parametrize(("known", "epoch"), [(2, 8), (0, 7)], ids=["it was known durable", "one process wrote both"])
def test_what_was_durable_and_is_gone_is_corruption(known: int, epoch: int) -> None:
    """The other side: a later segment proves its own process's earlier ones durable, and a header says what was known to be."""
    _, ends = two_lives(durable=0)
    log, _ = two_lives(durable=ends[known], epoch=epoch)
    _, reader = read({1: log[1][: ends[1]] + bytes(len(log[1]) - ends[1]), 2: log[2]})
    assert [(damage.segment, damage.corrupt) for damage in reader.damages] == [(1, True)]


def test_the_same_when_one_recovery_after_another_was_killed() -> None:
    """Found by crash_storm, seed 24: what the first of three recoveries had written was lost after the third had begun."""
    log, ends = two_lives(durable=0, offset=0)
    third = bytearray()
    records: list[AnyRecord] = [Header(1, 3, 9, 2, len(log[2]) - 100, 60, 1), Offset(40), Quarantined(4, (), "four")]
    for sequence, record in enumerate(records):
        third += codec.encode(kind_of(record), encode_record(record), 3, sequence)
    accepted, reader = read({1: log[1][: ends[0]] + bytes(len(log[1]) - ends[0]), 2: log[2], 3: bytes(third) + bytes(100)})
    assert [(damage.segment, damage.offset, damage.corrupt) for damage in reader.damages] == [(1, ends[0], False)]
    assert [record.reason for _, record in accepted if isinstance(record, Quarantined)] == ["again", "three", "four"]


def test_damage_in_segments_that_are_superseded_is_none() -> None:
    """Found by crash_storm, seed 7954: a power loss brings a removed segment back, torn as it was, and not the one behind it."""
    log, ends = two_lives(durable=0)
    third = bytearray()
    for sequence, record in enumerate(list[AnyRecord]([Header(1, 3, 9, 2, len(log[2]) - 100, 60, 1), Oldest(3), Quarantined(4, (), "four")])):
        third += codec.encode(kind_of(record), encode_record(record), 3, sequence)
    accepted, reader = read({1: log[1][: ends[0]] + bytes(len(log[1]) - ends[0] - 4) + b"torn", 3: bytes(third) + bytes(100)})
    assert reader.damages == []
    assert [record.reason for _, record in accepted if isinstance(record, Quarantined)] == ["four"]
