"""Load: senders and a sink on loopback that cost little themselves: asyncio protocols that look for the few octets that matter.

A sender pipelines MAIL, RCPT and DATA, then sends the content; `latency` is the time from its final dot to the reply.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from msgspec import Struct

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
    """What senders saw: replies to the final dot, and the seconds each of them took."""

    codes: list[bytes]
    latencies_s: list[float]

    @property
    def accepted(self) -> int:
        return self.codes.count(b"250")


class Sender(asyncio.Protocol):
    """One session; `recipients` gives the next message's recipient, or b"" when there is no more."""

    def __init__(self, recipients: Callable[[], bytes], sent: Sent, content: bytes = CONTENT) -> None:
        self._recipients = recipients
        self._sent = sent
        self._content = content + b".\r\n"
        self._transport: asyncio.Transport
        self._on_line: Callable[[bytes], None] = self._greeted
        self._rest = b""
        self._dot_at = 0.0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        for line in lines:
            if line[3:4] != b"-":
                self._on_line(line)

    def _greeted(self, line: bytes) -> None:
        self._on_line = self._answered
        self._transport.write(b"EHLO client.example\r\n")

    def _answered(self, line: bytes) -> None:
        """The reply to EHLO or to a message: the next one."""
        recipient = self._recipients()
        if recipient:
            self._on_line = self._in_envelope
            self._transport.write(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<%b>\r\nDATA\r\n" % recipient)
        else:
            self._on_line = lambda line: None
            self._transport.write(b"QUIT\r\n")

    def _in_envelope(self, line: bytes) -> None:
        if line.startswith(b"354"):
            self._on_line = self._dotted
            self._transport.write(self._content)
            self._dot_at = time.perf_counter()
        elif not line.startswith(b"250"):
            self._sent.codes.append(line[:3])
            self._transport.close()

    def _dotted(self, line: bytes) -> None:
        self._sent.latencies_s.append(time.perf_counter() - self._dot_at)
        self._sent.codes.append(line[:3])
        self._answered(line)


async def send(port: int, messages: int, sessions: int, recipient: bytes, content: bytes = CONTENT) -> Sent:
    """Send so many messages over so many sessions at a time. `%d` in the recipient becomes the number of the message."""
    numbers = iter(range(messages))

    def next_recipient() -> bytes:
        number = next(numbers, None)
        return b"" if number is None else recipient.replace(b"%d", b"%d" % number)

    sent = Sent([], [])
    loop = asyncio.get_running_loop()
    senders = [(await loop.create_connection(lambda: Sender(next_recipient, sent, content), "127.0.0.1", port))[1] for _ in range(sessions)]
    async with asyncio.timeout(SESSION_TIMEOUT_S):
        await asyncio.gather(*(sender.ended for sender in senders))
    return sent


class Sink:
    """A next hop that takes everything. `taken` counts messages; `first_at` is the monotonic time of the first one."""

    def __init__(self) -> None:
        self.taken = 0
        self.first_at = 0.0
        self.last_at = 0.0
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> int:
        self._server = await asyncio.get_running_loop().create_server(lambda: _SinkSession(self), "127.0.0.1", port)
        return cast("int", self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def until(self, taken: int, timeout_s: float = SESSION_TIMEOUT_S) -> None:
        """Wait until so many messages were taken."""
        async with asyncio.timeout(timeout_s):
            while self.taken < taken:
                await asyncio.sleep(0.01)


class _SinkSession(asyncio.Protocol):
    _OFFERS = b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"
    _REPLIES = {b"EHLO": _OFFERS, b"MAIL": b"250 2.1.0 ok\r\n", b"RCPT": b"250 2.1.5 ok\r\n", b"DATA": b"354 go on\r\n", b"RSET": b"250 2.0.0 ok\r\n"}

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._transport: asyncio.Transport
        self._in_content = False
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"220 sink.example ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._in_content:
            self._content()
        else:
            self._commands()

    def _content(self) -> None:
        end = self._buffer.find(b"\r\n.\r\n")
        if end >= 0:
            self._in_content = False
            self._buffer = self._buffer[end + 5 :]
            sink = self._sink
            sink.taken += 1
            sink.last_at = time.monotonic()
            sink.first_at = sink.first_at or sink.last_at
            self._transport.write(b"250 2.0.0 taken\r\n")
            self._commands()

    def _commands(self) -> None:
        replies = []
        while b"\r\n" in self._buffer and not self._in_content:
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            verb = line[:4].upper()
            replies.append(self._REPLIES.get(verb, b"221 2.0.0 bye\r\n"))
            self._in_content = verb == b"DATA"
        self._transport.write(b"".join(replies))
        if self._in_content and self._buffer:
            self._content()
