"""Open loop: latency counts from the instant at which a message was due, whether or not anybody was free to send it."""

import asyncio

import pytest

from smx.testing.load.faults import Fault
from smx.testing.load.generator import Generator
from smx.testing.load.options import LoadOptions, SinkOptions
from smx.testing.load.sink import Sink
from tests.testing.load.rig import ANYWHERE, exchange

DELAY_S = 0.01
SLOW = {"faults": (Fault("delay", "dot", 1.0, DELAY_S),)}  # a server of at most 100 messages a second in one session


def test_a_server_that_is_too_slow_cannot_hide_it() -> None:
    """30 messages, one due every 2 ms, each served in 10: the last one is due at 60 ms and done at 300."""
    load = {"messages": 30, "sessions": 1, "keep": 0}
    opened, _ = exchange({**load, "rate": 500.0, "arrivals": "constant"}, SLOW)
    closed, _ = exchange(load, SLOW)
    assert opened.acknowledged == closed.acknowledged == 30
    whole, wait = opened.latency["whole"], opened.latency["wait"]
    assert whole.max_ms >= 30 * DELAY_S * 1e3 - 60
    assert whole.p50_ms >= 100
    assert wait.count == 30
    assert whole.max_ms >= wait.max_ms >= whole.max_ms - 100
    assert closed.latency["whole"].p50_ms < 100  # the same server, asked only when it is ready
    assert closed.latency["wait"].count == 0


def test_messages_that_were_due_and_never_begun_are_counted() -> None:
    sent, _ = exchange({"messages": 0, "duration_s": 0.2, "sessions": 1, "rate": 1_000.0, "arrivals": "constant"}, SLOW)
    assert sent.acknowledged == sent.begun <= 21
    assert 198 <= sent.begun + sent.unstarted <= 201


def test_a_server_that_is_fast_enough_is_sent_no_faster_than_asked() -> None:
    sent, _ = exchange({"messages": 40, "sessions": 10, "rate": 200.0, "arrivals": "constant"})
    assert sent.acknowledged == 40
    assert sent.elapsed_s >= 40 / 200
    assert sent.mode == "open"
    assert sent.unstarted == 0


@pytest.mark.parametrize("rate", [0.0, 300.0])
def test_a_duration_ends_it(rate: float) -> None:
    sent, taken = exchange({"messages": 0, "duration_s": 0.2, "sessions": 3, "keep": 0, "rate": rate})
    assert 0.2 <= sent.elapsed_s < 2.0
    assert sent.acknowledged == sent.begun == taken.distinct > 0


def test_sizes_recipients_and_addresses_depend_on_the_seed_alone_whatever_the_timing() -> None:
    def kept(**more: object) -> list[tuple[bytes, int]]:
        found: list[tuple[bytes, int]] = []
        load = {"messages": 20, **more}
        exchange(load, None, on_message=lambda sender, recipients, content: found.append((b" ".join(recipients), len(content))))
        return sorted(found)

    from smx.testing.load.draws import parse_draw, parse_series

    drawn = {"size": parse_draw("lognormal:2000:1", int), "recipients": parse_draw("uniform:1-3", int), "users": parse_series("zipf:50")}
    first = kept(**drawn)
    assert kept(**drawn, rate=2_000.0, keep=0) == first
    assert kept(**drawn, seed="other") != first


def test_stopping_lets_what_is_under_way_finish_and_aborting_does_not() -> None:
    async def run(*, abort: bool) -> tuple[int, int, int]:
        sink = Sink(SinkOptions(target=ANYWHERE, faults=(Fault("delay", "dot", 1.0, 0.1),)))
        await sink.start()
        generator = Generator(LoadOptions(target=sink.target, sessions=2))
        running = asyncio.ensure_future(generator.run())
        async with asyncio.timeout(10):
            while not sink.replies["data"]:
                await asyncio.sleep(0.001)
            (generator.abort if abort else generator.stop)()
            report = await running
        await sink.stop()
        return report.begun, report.acknowledged, report.errors.get("aborted", 0)

    assert asyncio.run(run(abort=False)) == (2, 2, 0)
    assert asyncio.run(run(abort=True)) == (2, 0, 2)
