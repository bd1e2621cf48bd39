"""The content writer: where content lies, when it is durable, and what a full disk does (A1, A3, A5, A10, SX09, SX14)."""

import zlib
from collections.abc import Callable, Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smx import effects, events
from smx.cdb.format import HEADER_OCTETS, SEGMENT_HEADER_OCTETS, agrees, parse_content_header, parse_segment_header
from smx.cdb.writer import ContentWriter, Progress
from smx.effects import AnyEffect
from smx.events import AnyEvent
from smx.ids import segment_id
from smx.messages import Content
from smx.smtp.facts import ContentFacts
from tests.crash.disk import Disk

EPOCH = 5
SEGMENT_OCTETS = 4096


class Bench:
    """A writer on a disk. `hold`: completions that wait until `go` is called."""

    def __init__(self, segment_octets: int = SEGMENT_OCTETS, *, hold: bool = False) -> None:
        self.disk = Disk()
        self.writer = ContentWriter(EPOCH, segment_octets, held_octets_max=20_000)
        self.events: list[AnyEvent] = []
        self.orders: list[AnyEffect] = []
        self.durable: list[int] = []
        self.failed: list[int] = []
        self.sealed: list[int] = []
        self.hold = hold
        self.do(self.writer.start)

    def do(self, call: Callable[[list[AnyEffect]], object]) -> object:
        out: list[AnyEffect] = []
        result = call(out)
        self.carry_out(out)
        return result

    def carry_out(self, out: list[AnyEffect]) -> None:
        self.orders += out
        for effect in out:
            self.events += self.disk.apply(effect)
        if not self.hold:
            self.go()

    def go(self, count: int = 1 << 30) -> None:
        while self.events and count:
            count -= 1
            out: list[AnyEffect] = []
            self.note(self.writer.on_event(out, self.events.pop(0)))
            self.orders += out
            for effect in out:
                self.events += self.disk.apply(effect)

    def note(self, progress: Progress) -> None:
        self.durable += progress.durable
        self.failed += progress.failed
        self.sealed += progress.sealed

    def put(self, transaction: int, pieces: Sequence[bytes], facts: ContentFacts = ContentFacts()) -> Content | None:  # noqa: B008
        out: list[AnyEffect] = []
        content = self.writer.put(out, transaction, pieces, facts)
        self.carry_out(out)
        return content

    def want(self, transaction: int) -> None:
        if self.do(lambda out: self.writer.want_sync(out, transaction)):
            self.durable.append(transaction)

    def answered(self, transaction: int) -> None:
        out: list[AnyEffect] = []
        self.sealed += self.writer.answered(out, transaction)
        self.carry_out(out)

    def abandon(self, transaction: int) -> None:
        out: list[AnyEffect] = []
        self.sealed += self.writer.abandon(out, transaction)
        self.carry_out(out)

    def read(self, content: Content) -> bytes:
        (answer,) = self.disk.apply(effects.Read("cdb", 1, content.segment, content.offset, content.octets))
        assert isinstance(answer, events.Readout)
        return answer.data

    def count(self, kind: type[AnyEffect]) -> int:
        return sum(isinstance(order, kind) for order in self.orders)


def sound(disk: Disk, transaction: int, content: Content, data: bytes) -> bool:
    """The content and its header are there."""
    file = disk.names["cdb"].get(content.segment)
    if file is None:
        return False
    view = bytes(file.view())
    header = parse_content_header(view[content.offset - HEADER_OCTETS : content.offset])
    return header is not None and agrees(header, transaction, content) and view[content.offset : content.offset + content.octets] == data


@pytest.mark.feature("SX09")
def test_content_is_appended_in_one_piece_behind_its_header() -> None:
    bench = Bench()
    content = bench.put(1, [b"Received: x\r\n", b"\r\nhello\r\n"], ContentFacts(lines=3, header_octets=13, eight_bit=True, line_octets_max=11, dot_lines=2))
    assert content == Content(
        segment_id(EPOCH, 0), SEGMENT_HEADER_OCTETS + HEADER_OCTETS, 22, zlib.crc32(b"Received: x\r\n\r\nhello\r\n"), 13, 3, 11, eight_bit=True, dot_lines=2
    )
    assert sound(bench.disk, 1, content, b"Received: x\r\n\r\nhello\r\n")
    header = parse_segment_header(bytes(bench.disk.names["cdb"][content.segment].view()[:SEGMENT_HEADER_OCTETS]))
    assert header is not None
    assert header.epoch == EPOCH


def test_nothing_is_durable_before_octets_and_name_are_synced() -> None:
    bench = Bench(hold=True)
    content = bench.put(1, [b"hello\r\n"])
    assert content is not None
    bench.want(1)
    for _ in range(100):
        if not bench.events:
            break
        for image in bench.disk.crash_images():
            assert 1 not in bench.durable or sound(image, 1, content, b"hello\r\n")
        bench.go(1)
    assert bench.durable == [1]
    assert all(sound(image, 1, content, b"hello\r\n") for image in bench.disk.crash_images())


def test_content_in_a_segment_whose_name_is_not_durable_yet_is_not_durable() -> None:
    bench = Bench(hold=True)
    bench.put(1, [b"hello"])
    bench.want(1)
    bench.go(2)  # both segments are open
    names = [event for event in bench.events if isinstance(event, events.DirectorySynced)]
    bench.events = [event for event in bench.events if event not in names]
    assert any(isinstance(event, events.Synced) for event in bench.events)
    bench.go()
    assert bench.durable == []
    bench.events = [*names]
    bench.go()
    assert bench.durable == [1]


@pytest.mark.feature("SX14")
def test_one_sync_covers_every_message_of_the_moment() -> None:
    bench = Bench()
    bench.hold = True
    for transaction in range(1, 11):
        bench.put(transaction, [b"x" * 10])
        bench.want(transaction)
    assert bench.count(effects.Sync) == 1  # the first; nine wait for the next
    bench.go()
    assert bench.count(effects.Sync) == 2
    assert sorted(bench.durable) == list(range(1, 11))


def test_content_that_another_message_made_durable_needs_no_sync_of_its_own() -> None:
    bench = Bench()
    bench.put(1, [b"one"])
    bench.put(2, [b"two"])
    bench.want(2)
    syncs = bench.count(effects.Sync)
    bench.want(1)
    assert bench.durable == [2, 1]
    assert bench.count(effects.Sync) == syncs


def test_content_offered_for_cut_through_is_not_synced_until_it_is_wanted() -> None:
    bench = Bench()
    content = bench.put(1, [b"hello"])
    assert content is not None
    assert bench.writer.appended(content.segment)
    assert bench.count(effects.Sync) == 0
    bench.want(1)
    assert bench.durable == [1]


def test_before_the_segment_is_open_content_waits_and_cannot_be_read() -> None:
    bench = Bench(hold=True)
    content = bench.put(1, [b"hello"])
    assert content is not None
    assert not bench.writer.ready
    assert not bench.writer.appended(content.segment)
    assert bench.writer.held_octets > 5
    bench.go()
    assert bench.writer.ready
    assert bench.writer.held_octets == 0
    assert bench.read(content) == b"hello"


def test_memory_for_content_that_waits_is_bounded() -> None:
    bench = Bench(hold=True)
    placed = [bench.put(transaction, [bytes(1000)]) for transaction in range(1, 40)]
    assert None in placed
    assert bench.writer.held_octets <= 20_000


@pytest.mark.feature("SX13")
def test_a_full_segment_is_sealed_and_told_once_all_in_it_are_answered() -> None:
    bench = Bench()
    first = bench.put(1, [bytes(3000)])
    assert first is not None
    bench.want(1)
    second = bench.put(2, [bytes(3000)])
    assert second is not None
    assert second.segment == segment_id(EPOCH, 1)
    assert effects.Seal("cdb", first.segment, first.offset + 3000) in bench.orders
    assert bench.sealed == []
    bench.answered(1)
    assert bench.sealed == [first.segment]
    assert first.segment not in bench.writer.open_segments()
    assert effects.OpenSegment("cdb", segment_id(EPOCH, 2), SEGMENT_OCTETS) in bench.orders  # a spare ahead


def test_a_segment_with_an_unanswered_transaction_is_not_told() -> None:
    bench = Bench()
    bench.put(1, [bytes(1500)])
    bench.put(2, [bytes(1500)])
    bench.want(2)
    bench.put(3, [bytes(1500)])
    bench.answered(2)
    assert bench.sealed == []
    bench.answered(1)
    assert bench.sealed == [segment_id(EPOCH, 0)]


def test_a_segment_is_not_closed_while_a_sync_of_it_is_under_way() -> None:
    bench = Bench()
    bench.put(1, [bytes(3000)])
    bench.hold = True
    bench.want(1)
    bench.put(2, [bytes(3000)])
    bench.answered(1)
    assert bench.count(effects.Seal) == 0
    bench.go()
    assert bench.count(effects.Seal) == 1
    assert bench.sealed == [segment_id(EPOCH, 0)]


def test_roll_lets_an_idle_segment_go() -> None:
    bench = Bench()
    assert bench.do(bench.writer.roll) == ()
    assert bench.writer.open_segments() == (segment_id(EPOCH, 0), segment_id(EPOCH, 1))
    bench.put(1, [b"hello"])
    bench.want(1)
    bench.answered(1)
    assert bench.do(bench.writer.roll) == (segment_id(EPOCH, 0),)


def test_close_cuts_files_to_their_content_and_leaves_no_empty_one() -> None:
    bench = Bench()
    kept = bench.put(1, [b"hello"])
    assert kept is not None
    bench.want(1)
    bench.answered(1)
    assert bench.do(bench.writer.close) == (kept.segment,)
    assert {number: len(file.view()) for number, file in bench.disk.names["cdb"].items()} == {kept.segment: kept.offset + kept.octets}
    assert bench.writer.open_segments() == ()


def test_close_keeps_what_is_not_answered_and_does_not_tell_of_it() -> None:
    bench = Bench()
    content = bench.put(1, [b"hello"])
    assert content is not None
    bench.want(1)
    assert bench.do(bench.writer.close) == ()
    assert sound(bench.disk, 1, content, b"hello")
    assert bench.writer.open_segments() == (content.segment,)


def test_close_of_a_writer_that_wrote_nothing_leaves_nothing() -> None:
    bench = Bench()
    bench.do(bench.writer.close)
    assert not bench.disk.names["cdb"]


def test_content_larger_than_a_segment_gets_one_of_its_own() -> None:
    bench = Bench()
    content = bench.put(1, [bytes(10_000)])
    assert content is not None
    bench.want(1)
    assert bench.durable == [1]
    assert sound(bench.disk, 1, content, bytes(10_000))
    bench.answered(1)
    assert bench.sealed == [content.segment]


def large(bench: Bench, transaction: int, pieces: Sequence[bytes]) -> Content | None:
    assert bench.do(lambda out: bench.writer.begin(out, transaction))
    for piece in pieces:
        bench.do(lambda out, piece=piece: bench.writer.extend(out, transaction, piece))  # type: ignore[misc]
    out: list[AnyEffect] = []
    content = bench.writer.finish(out, transaction, ContentFacts(lines=9))
    bench.carry_out(out)
    return content


@pytest.mark.parametrize("hold", [False, True])
def test_a_large_message_streams_into_a_segment_of_its_own(hold: bool) -> None:
    bench = Bench(hold=hold)
    content = large(bench, 1, [b"abc" * 1000, b"def" * 1000])
    assert content is not None
    bench.want(1)
    bench.go()
    assert bench.durable == [1]
    assert sound(bench.disk, 1, content, b"abc" * 1000 + b"def" * 1000)
    assert content.checksum == zlib.crc32(b"abc" * 1000 + b"def" * 1000)
    assert all(sound(image, 1, content, b"abc" * 1000 + b"def" * 1000) for image in bench.disk.crash_images())
    bench.answered(1)
    assert bench.sealed == [content.segment]


@pytest.mark.parametrize("hold", [False, True])
def test_an_abandoned_large_message_leaves_nothing(hold: bool) -> None:
    bench = Bench(hold=hold)
    before = list(bench.writer.open_segments())
    bench.do(lambda out: bench.writer.begin(out, 1))
    bench.do(lambda out: bench.writer.extend(out, 1, bytes(5000)))
    bench.do(lambda out: bench.writer.abandon(out, 1))
    bench.go()
    assert bench.disk.segments("cdb") == before
    assert bench.writer.held_octets == 0
    assert bench.sealed == []


def test_a_segment_that_a_sync_names_is_removed_after_it() -> None:
    bench = Bench()
    content = large(bench, 1, [bytes(5000)])
    assert content is not None
    bench.hold = True
    bench.want(1)
    bench.do(lambda out: bench.writer.abandon(out, 1))
    assert content.segment in bench.disk.segments("cdb")
    bench.go()
    assert content.segment not in bench.disk.segments("cdb")
    assert bench.durable == []


def test_an_abandoned_small_message_leaves_dead_octets_and_no_reference() -> None:
    bench = Bench()
    bench.put(1, [bytes(3000)])
    bench.do(lambda out: bench.writer.abandon(out, 1))
    bench.put(2, [bytes(3000)])
    bench.want(2)
    assert bench.sealed == [segment_id(EPOCH, 0)]


def test_no_space_for_one_append_refuses_that_message_only() -> None:
    bench = Bench()
    bench.put(1, [b"first"])

    def full(effect: AnyEffect) -> list[AnyEvent] | None:
        if isinstance(effect, effects.Append):
            return [events.AppendFailed("cdb", effect.segment, effect.offset, no_space=True, reason="ENOSPC")]
        return None

    bench.disk.fail = full
    bench.hold = True
    bench.put(2, [b"second"])
    bench.disk.fail = None
    bench.put(3, [b"third"])
    for transaction in (1, 2, 3):
        if transaction != 2 or bench.events:
            bench.want(transaction)
    bench.go()
    assert bench.failed == [2]
    assert sorted(bench.durable) == [1, 3]


def test_a_segment_whose_header_finds_no_space_leaves_no_file_behind() -> None:
    """A10, I10: nothing in it can be used, and nobody was told of it."""
    bench = Bench()

    def full(effect: AnyEffect) -> list[AnyEvent] | None:
        if isinstance(effect, effects.Append) and effect.offset == 0:
            return [events.AppendFailed("cdb", effect.segment, 0, no_space=True, reason="ENOSPC")]
        return None

    bench.put(1, [bytes(3000)])
    bench.disk.fail = full
    bench.put(2, [bytes(3000)])  # into the spare; another one is opened, and its header fails
    bench.disk.fail = None
    opened = {order.segment for order in bench.orders if isinstance(order, effects.OpenSegment)}
    buried = segment_id(EPOCH, len(opened) - 1)
    assert effects.Remove("cdb", buried) in bench.orders


def test_no_space_for_a_segment_refuses_until_there_is_space_again() -> None:
    bench = Bench()
    full = [True]

    def no_space(effect: AnyEffect) -> list[AnyEvent] | None:
        if full[0] and isinstance(effect, effects.OpenSegment):
            return [events.OpenFailed("cdb", effect.segment, no_space=True, reason="ENOSPC")]
        return None

    bench.disk.fail = no_space
    assert bench.put(1, [bytes(3000)]) is not None
    assert bench.put(2, [bytes(3000)]) is not None  # the spare
    assert bench.put(3, [bytes(3000)]) is None
    assert bench.put(4, [bytes(3000)]) is None
    assert bench.put(5, [bytes(500)]) is not None  # fits into what is left
    full[0] = False
    assert bench.put(6, [bytes(3000)]) is None  # this attempt opens one
    assert bench.put(7, [bytes(3000)]) is not None
    bench.want(7)
    assert 7 in bench.durable
    assert not any(isinstance(order, effects.Halt) for order in bench.orders)


def test_content_that_waits_for_a_segment_that_cannot_be_opened_fails_for_lack_of_space() -> None:
    bench = Bench(hold=True)
    bench.disk.fail = lambda effect: (
        [events.OpenFailed("cdb", effect.segment, no_space=True, reason="ENOSPC")] if isinstance(effect, effects.OpenSegment) else None
    )
    bench.events = [events.OpenFailed("cdb", segment_id(EPOCH, number), no_space=True, reason="ENOSPC") for number in (0, 1)]
    assert bench.put(1, [b"hello"]) is not None
    bench.want(1)
    bench.go()
    assert bench.failed == [1]
    assert bench.writer.held_octets == 0
    bench.answered(1)
    assert bench.sealed == []


def test_a_large_message_without_space_fails_and_leaves_nothing() -> None:
    bench = Bench()
    bench.do(lambda out: bench.writer.begin(out, 1))
    bench.disk.fail = lambda effect: (
        [events.AppendFailed("cdb", effect.segment, effect.offset, no_space=True, reason="ENOSPC")] if isinstance(effect, effects.Append) else None
    )
    bench.do(lambda out: bench.writer.extend(out, 1, bytes(100)))
    assert bench.failed == [1]
    assert bench.do(lambda out: bench.writer.extend(out, 1, bytes(100))) is False
    assert bench.do(lambda out: bench.writer.finish(out, 1)) is None
    bench.do(lambda out: bench.writer.abandon(out, 1))
    assert len(bench.disk.segments("cdb")) == 2


@pytest.mark.parametrize(
    "event",
    [
        events.SyncFailed("cdb", 1, "EIO"),
        events.AppendFailed("cdb", segment_id(EPOCH, 0), 0, no_space=False, reason="EIO"),
        events.OpenFailed("cdb", segment_id(EPOCH, 0), no_space=False, reason="EIO"),
    ],
)
def test_a_failed_device_ends_the_process(event: AnyEvent) -> None:
    """I15: after a failed sync nothing is promised."""
    bench = Bench()
    out: list[AnyEffect] = []
    bench.writer.on_event(out, event)
    assert any(isinstance(order, effects.Halt) for order in out)


def test_events_of_other_stores_are_ignored() -> None:
    bench = Bench()
    out: list[AnyEffect] = []
    assert bench.writer.on_event(out, events.Synced("ibdb", 1)) == Progress()
    assert bench.writer.on_event(out, events.Expired("x", 1)) == Progress()
    assert out == []


class Writing(RuleBasedStateMachine):
    """Any order of calls and completions: what was said to be durable survives every crash, what is told sealed is over."""

    @initialize()
    def begin(self) -> None:
        self.bench = Bench(hold=True)
        self.next = 1
        self.live: dict[int, tuple[Content, bytes]] = {}
        self.streaming: dict[int, bytes] = {}
        self.over: dict[int, tuple[Content, bytes]] = {}

    @rule(octets=st.integers(0, 3900), wanted=st.booleans())
    def put(self, octets: int, wanted: bool) -> None:
        transaction, self.next = self.next, self.next + 1
        data = bytes([transaction % 255 + 1]) * octets
        content = self.bench.put(transaction, [data])
        if content is None:
            return
        self.live[transaction] = (content, data)
        if wanted:
            self.bench.want(transaction)

    @rule()
    def begin_large(self) -> None:
        transaction, self.next = self.next, self.next + 1
        if self.bench.do(lambda out: self.bench.writer.begin(out, transaction)):
            self.streaming[transaction] = b""

    @precondition(lambda self: self.streaming)
    @rule(octets=st.integers(1, 6000), data=st.data())
    def extend(self, octets: int, data: st.DataObject) -> None:
        transaction = data.draw(st.sampled_from(sorted(self.streaming)))
        piece = bytes([octets % 255 + 1]) * octets
        if self.bench.do(lambda out: self.bench.writer.extend(out, transaction, piece)):
            self.streaming[transaction] += piece
        else:
            self.bench.abandon(transaction)
            del self.streaming[transaction]

    @precondition(lambda self: self.streaming)
    @rule(data=st.data(), abandon=st.booleans())
    def end_large(self, data: st.DataObject, abandon: bool) -> None:
        transaction = data.draw(st.sampled_from(sorted(self.streaming)))
        octets = self.streaming.pop(transaction)
        if abandon:
            self.bench.abandon(transaction)
            return
        content = self.bench.do(lambda out: self.bench.writer.finish(out, transaction))
        assert isinstance(content, Content)
        self.live[transaction] = (content, octets)
        self.bench.want(transaction)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        transaction = data.draw(st.sampled_from(sorted(self.live)))
        self.over[transaction] = self.live.pop(transaction)
        self.bench.answered(transaction)

    @rule()
    def roll(self) -> None:
        self.bench.sealed += self.bench.do(self.bench.writer.roll)  # type: ignore[arg-type]

    @rule(count=st.integers(1, 4))
    def complete(self, count: int) -> None:
        self.bench.go(count)

    @invariant()
    def what_is_durable_survives(self) -> None:
        durable = {**self.live, **self.over}
        images = [self.bench.disk.kill_image(), *list(self.bench.disk.crash_images(max_subset=0))[:3]]
        for transaction in self.bench.durable:
            content, octets = durable[transaction]
            assert all(sound(image, transaction, content, octets) for image in images)

    @invariant()
    def what_is_told_is_over(self) -> None:
        assert len(set(self.bench.sealed)) == len(self.bench.sealed)
        assert not {content.segment for content, _ in self.live.values()} & set(self.bench.sealed)
        assert not set(self.bench.writer.open_segments()) & set(self.bench.sealed)

    def teardown(self) -> None:
        """In the end everything wanted is durable, and nothing stays behind."""
        if not hasattr(self, "bench"):
            return
        self.bench.go()
        for transaction in list(self.streaming):
            self.bench.abandon(transaction)
        for transaction in list(self.live):
            self.bench.answered(transaction)
        self.bench.go()
        self.bench.sealed += self.bench.do(self.bench.writer.roll)  # type: ignore[arg-type]
        self.bench.go()
        assert self.bench.writer.held_octets == 0
        assert set(self.bench.disk.segments("cdb")) == set(self.bench.writer.open_segments()) | set(self.bench.sealed)
        assert len(self.bench.writer.open_segments()) == 2


TestWriting = Writing.TestCase
TestWriting.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
