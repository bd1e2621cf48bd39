"""Messages a second, and CPU milliseconds a message by process: accepted only, relayed, delivered locally; 20 sessions, 4 KiB."""

import asyncio
import time
from pathlib import Path

import pytest
from msgspec import Struct

from tests.bench.load import CONTENT, Sink, run, send
from tests.bench.report import show
from tests.bench.rig import LOCAL, Options, Rig, spent_ms

SESSIONS = 20
WARM_UP = 500
MESSAGES = 4_000
CPU_MS_MAX = 1.0  # of a relayed message, all processes together: 0.4 to 0.5 on a quiet machine; another load makes it dearer
NOBODY = 9  # a port on which nobody listens: the destination is dead, mail for it waits in DEFEDB


class Way(Struct, frozen=True):
    """One thing to measure."""

    name: str
    cut_through: str
    domain: str
    embedded: bool = False


WAYS = (
    Way("accept only", "0", "nowhere.example"),
    Way("relay", "0", "there.example"),
    Way("relay", "1s", "there.example"),
    Way("local Maildir", "0", LOCAL),
    Way("local Maildir", "1s", LOCAL),
    Way("relay, embedded", "0", "there.example", embedded=True),
    Way("relay, embedded", "1s", "there.example", embedded=True),
)


async def measure(way: Way, directory: Path) -> dict[str, float | str]:
    sink = Sink()
    port = await sink.start()
    options = Options(next_hop=NOBODY if way.name == "accept only" else port, qmgr=f"cut_through = {way.cut_through};")
    recipient = b"user@" + way.domain.encode()
    with Rig(directory, options) as rig:
        await asyncio.to_thread(rig.start, embedded=way.embedded)

        async def until_delivered(messages: int) -> None:
            if way.domain == LOCAL:
                await asyncio.to_thread(rig.wait, lambda: rig.delivered_locally() >= messages, every_s=0.05)
            elif way.name != "accept only":
                await sink.until(messages)

        await send(rig.port, WARM_UP, SESSIONS, recipient)
        await until_delivered(WARM_UP)
        before, own, began = rig.usage(), time.process_time(), time.perf_counter()
        sent = await send(rig.port, MESSAGES, SESSIONS, recipient)
        accepted_s = time.perf_counter() - began
        await until_delivered(WARM_UP + MESSAGES)
        elapsed_s = time.perf_counter() - began
        after = rig.usage()
        assert sent.accepted == MESSAGES
        await asyncio.to_thread(rig.stop)
    sink.stop()
    spent = spent_ms(before, after, MESSAGES)
    return {
        "way": way.name,
        "cut_through": way.cut_through,
        "accepted/s": MESSAGES / accepted_s,
        "delivered/s": MESSAGES / elapsed_s if way.name != "accept only" else "",
        **{f"{name.partition('.')[0]} ms": cost for name, cost in spent.items() if not way.embedded and name != "mcp"},
        "all ms": sum(spent.values()),
        "senders and sink ms": (time.process_time() - own) * 1e3 / MESSAGES,
    }


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_throughput_and_what_a_message_costs(tmp_path: Path) -> None:
    assert 4_000 < len(CONTENT) < 4_300
    rows = [run(measure(way, tmp_path / str(number))) for number, way in enumerate(WAYS)]
    show(f"throughput, {SESSIONS} sessions, {len(CONTENT)} octets; CPU milliseconds a message", rows)
    for row in rows:
        if row["way"] == "relay":
            assert float(row["all ms"]) < CPU_MS_MAX
