"""Load: the generator and the sink of smx.testing.load as the measurements use them: on loopback, every latency kept.

`latency` is the time from the final dot of a message to its reply. Sessions are kept and pipeline.
"""

from collections.abc import Coroutine
from typing import Any, TypeVar

from msgspec import Struct

from smx.testing.load import sink as load_sink
from smx.testing.load.draws import Draw, fixed
from smx.testing.load.generator import Generator
from smx.testing.load.job import Job
from smx.testing.load.options import LoadOptions, SinkOptions
from smx.testing.load.target import Target

CONTENT = b"Subject: bench\r\nFrom: a@client.example\r\n\r\n" + b"The quick brown fox jumps over the lazy dog, again and again.....\r\n" * 61
SESSION_TIMEOUT_S = 120.0
_T = TypeVar("_T")


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """On a loop like that of smx: uvloop where it is installed."""
    from smx.live.host import new_loop

    loop = new_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


class Sent(Struct):
    """What senders saw: how many messages were accepted, and the seconds each reply to a dot took."""

    accepted: int
    latencies_s: list[float]


async def send(port: int, messages: int, sessions: int, recipient: bytes, octets: int = len(CONTENT)) -> Sent:
    """Send so many messages over so many sessions at a time. `%d` in the recipient becomes the number of the message."""
    latencies_s: list[float] = []

    def note(job: Job, now: float) -> None:
        latencies_s.append(now - job.dot_at)

    options = LoadOptions(
        target=Target("127.0.0.1", port),
        messages=messages,
        sessions=sessions,
        keep=0,
        to=recipient.decode(),
        users=Draw("series", 1, messages),
        size=fixed(octets),
        timeout_s=SESSION_TIMEOUT_S,
    )
    report = await Generator(options, on_acknowledged=note).run()
    return Sent(report.acknowledged, latencies_s)


class Sink:
    """A next hop that takes everything. `taken` counts messages; `first_at` is the monotonic time of the first one."""

    def __init__(self) -> None:
        self._sink: load_sink.Sink

    async def start(self, port: int = 0) -> int:
        extensions = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES")
        self._sink = load_sink.Sink(SinkOptions(target=Target("127.0.0.1", port), tokens=False, extensions=extensions))
        await self._sink.start()
        return self._sink.target.port

    def stop(self) -> None:
        self._sink.close()

    async def until(self, taken: int, timeout_s: float = SESSION_TIMEOUT_S) -> None:
        """Wait until so many messages were taken."""
        await self._sink.until(taken, timeout_s)

    @property
    def taken(self) -> int:
        return self._sink.messages

    @property
    def first_at(self) -> float:
        return self._sink.first_at

    @property
    def last_at(self) -> float:
        return self._sink.last_at
