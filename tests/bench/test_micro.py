"""Micro-benchmarks of the parts that every message passes (pytest-benchmark): codec, messages, SMTP dialogue, the log, the active queue, recovery."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from smx import codec, effects, events
from smx.effects import AnyEffect
from smx.messages import AnyMessage, Content, Deliver, Delivered, Envelope, Host, Protocol, Recipient, Route, Submit, Verdict
from smx.qmgr.aq import ActiveQueue
from smx.qmgr.envelopes import Entry, Transaction
from smx.qmgr.ibdb import Ibdb
from smx.qmgr.records import Opened
from smx.qmgr.window import WindowLimits
from smx.smtp.requests import ContentEnd, Rcpt
from smx.smtp.server import ServerDialogue, ServerSettings
from smx.units import MIB, SECOND
from tests.bench.load import CONTENT
from tests.bench.report import show
from tests.crash.disk import Disk
from tests.qmgr.recovery_bench import Log, opened, recover

pytestmark = pytest.mark.bench
Benchmark = Callable[..., Any]  # the fixture of pytest-benchmark

ENVELOPE = Envelope(1 << 40, b"a@client.example", (Recipient(0, b"user@there.example"),), Content(1 << 30, 96, 4_300, 7, 200, 64, 68), 1_800_000_000_000_000)
ROUTE = Route("there.example", Protocol.SMTP, (Host("mx.there.example", ("192.0.2.1",), 25),))
MESSAGES: tuple[AnyMessage, ...] = (
    Submit(ENVELOPE, secured=True),
    Deliver(1, ENVELOPE.transaction, ROUTE, ENVELOPE.reverse_path, ENVELOPE.recipients, ENVELOPE.content),
    Delivered(1, (Verdict(0, 1, 250, b"2.0.0", b"taken", "mx.there.example [192.0.2.1]"),)),
)
RECOVERED = 10_000


def test_codec_encodes_a_record(benchmark: Benchmark) -> None:
    benchmark(codec.encode, 3, bytes(200), 7, 9)


def test_codec_decodes_a_record(benchmark: Benchmark) -> None:
    octets = codec.encode(3, bytes(200), 7, 9)
    assert isinstance(benchmark(codec.decode, octets, 0, 7, 9), codec.Record)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_encoded_and_decoded(benchmark: Benchmark, message: AnyMessage) -> None:
    encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(AnyMessage).decode
    assert benchmark(lambda: decode(encode(message))) == message


def test_smtp_dialogue_takes_a_message(benchmark: Benchmark) -> None:
    """MAIL, RCPT, DATA in one segment and 4 KiB of content, every request granted."""
    dialogue = ServerDialogue(ServerSettings(hostname=b"mx.example"))
    dialogue.greet()
    wanted: set[type] = set()

    def talk(*segments: bytes) -> None:
        for octets in segments:
            dialogue.receive(octets)
            while (request := dialogue.next_request()) is not None:
                wanted.add(type(request))
                if dialogue.pending is not None:
                    dialogue.accept()
            dialogue.data_to_send()

    talk(b"EHLO client.example\r\n")
    benchmark(talk, b"MAIL FROM:<a@client.example>\r\nRCPT TO:<user@there.example>\r\nDATA\r\n", CONTENT + b".\r\n")
    assert {Rcpt, ContentEnd} <= wanted


def test_ibdb_appends_and_flushes_a_group_of_one(benchmark: Benchmark) -> None:
    log = Ibdb(7, first=1, segment_octets=16 * MIB, segments_max=64)

    def settle(out: list[AnyEffect]) -> None:
        """Whatever is ordered is done at once."""
        while out:
            effect = out.pop(0)
            if isinstance(effect, effects.OpenSegment):
                log.on_event(out, events.SegmentOpened("ibdb", effect.segment))
            elif isinstance(effect, effects.SyncDirectory):
                log.on_event(out, events.DirectorySynced("ibdb", effect.token))
            elif isinstance(effect, effects.Sync):
                log.on_event(out, events.Synced("ibdb", effect.token))

    def append() -> None:
        out: list[AnyEffect] = []
        log.append(Opened(ENVELOPE.transaction, ENVELOPE), then=1)
        log.flush(out)
        settle(out)

    out: list[AnyEffect] = []
    log.start(out)
    settle(out)
    benchmark(append)
    assert log.durable == log.position


def test_aq_puts_an_entry_in_line_and_takes_it(benchmark: Benchmark) -> None:
    queue = ActiveQueue(8192, 40, 40, WindowLimits(5, 100, SECOND, SECOND))

    def pass_through() -> Entry:
        entry = Transaction(ENVELOPE).add(ENVELOPE.recipients[0], ENVELOPE.reverse_path)
        queue.admit(entry)
        queue.enqueue(entry, queue.destination("there.example"), ROUTE)
        _, (taken,) = queue.take(queue.destination("there.example"), 100)
        queue.leave(taken)
        return taken

    assert benchmark(pass_through).attempt == 0
    assert len(queue) == 0


def test_recovery_of_ten_thousand_envelopes(benchmark: Any) -> None:
    """The disk is a dictionary: what is measured is recovery's own work. Each round recovers what the round before has left."""
    disk = Disk()
    log = Log(disk, segment_octets=16 * MIB)
    for number in range(RECOVERED):
        log.append(opened(log.envelope(number + 1)), sync=False)
    log.append(opened(log.envelope(RECOVERED + 1)))
    epochs = iter(range(100, 200))

    def once() -> int:
        result = recover(disk, next(epochs), segment_octets=16 * MIB).result
        assert result is not None
        return len(result.transactions)

    assert benchmark.pedantic(once, rounds=3) == RECOVERED + 1
    if benchmark.stats is not None:
        show("recovery", [{"us a record": benchmark.stats.stats.min / RECOVERED * 1e6}])
