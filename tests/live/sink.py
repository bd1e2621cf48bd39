"""Sink: scripted next hops on loopback, which remember what they took and when they were asked.

A taken message counts from the moment at which 250 to the final dot is handed to the socket: what the peer made of that is not the sink's to know.
"""

import asyncio
import time
from collections.abc import Callable

from msgspec import Struct

from tests.live.traffic import Copy, read_content

Script = Callable[["Asked"], bytes]  # the reply to RCPT, or to the dot


class Asked(Struct, frozen=True):
    """One RCPT. `times`: how often this pair was asked before. `at`: wall microseconds."""

    sender: str
    recipient: str
    times: int
    at: int


def accept(asked: Asked) -> bytes:
    return b"250 2.1.5 Ok"


def later_first(asked: Asked) -> bytes:
    """4yz to the first attempt."""
    return b"250 2.1.5 Ok" if asked.times else b"450 4.2.1 Come back later"


def never(asked: Asked) -> bytes:
    return b"550 5.1.1 No such user here"


def now_us() -> int:
    return time.time_ns() // 1000


class Sink:
    """One listening port. `delay_s` passes between the final dot and its reply; `on_dot(port of the peer)` is called when the dot was read."""

    def __init__(self, script: Script = accept, delay_s: float = 0.0, on_dot: Callable[[int], None] | None = None) -> None:
        self.script = script
        self.delay_s = delay_s
        self.on_dot = on_dot
        self.copies: list[Copy] = []
        self.asked: list[Asked] = []
        self.port = 0
        self._times: dict[tuple[str, str], int] = {}
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> int:
        """Listen, on the port of an earlier start when there was one. Gives the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port or self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    async def stop(self) -> None:
        """No more connections; those that are open are broken off."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._dialogue(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # the peer was killed, or the sink is stopped: both are the point of these tests
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _dialogue(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink.example ESMTP\r\n")
        sender, recipients = "", list[str]()
        while (line := await reader.readline()) and not writer.transport.is_closing():
            verb, _, rest = line.strip().partition(b" ")
            match verb.upper():
                case b"EHLO":
                    lines = [b"sink.example", b"PIPELINING", b"8BITMIME", b"ENHANCEDSTATUSCODES", b"SIZE 0"]
                    writer.write(b"".join(b"250%b%b\r\n" % (b" " if each is lines[-1] else b"-", each) for each in lines))
                case b"HELO" | b"NOOP":
                    writer.write(b"250 2.0.0 Ok\r\n")
                case b"MAIL":
                    sender, recipients = _path(rest), []
                    writer.write(b"250 2.1.0 Ok\r\n")
                case b"RCPT":
                    reply = self._ask(sender, _path(rest))
                    if reply.startswith(b"2"):
                        recipients.append(_path(rest))
                    writer.write(reply + b"\r\n")
                case b"DATA" if recipients:
                    writer.write(b"354 Go on\r\n")
                    await self._take(reader, writer, recipients)
                    recipients = []
                case b"DATA":
                    writer.write(b"554 5.5.1 No valid recipients\r\n")
                case b"RSET":
                    recipients = []
                    writer.write(b"250 2.0.0 Ok\r\n")
                case b"QUIT":
                    writer.write(b"221 2.0.0 Bye\r\n")
                    return
                case _:
                    writer.write(b"500 5.5.2 What?\r\n")

    def _ask(self, sender: str, recipient: str) -> bytes:
        times = self._times.get((sender, recipient), 0)
        self._times[sender, recipient] = times + 1
        asked = Asked(sender, recipient, times, now_us())
        self.asked.append(asked)
        return self.script(asked)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, recipients: list[str]) -> None:
        lines = []
        while (line := await reader.readline()) != b".\r\n":
            if not line.endswith(b"\n"):
                raise ConnectionResetError("the peer is gone within the content")
            lines.append(line[1:] if line.startswith(b".") else line)
        if self.on_dot is not None:
            self.on_dot(writer.get_extra_info("peername")[1])
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        writer.write(b"250 2.0.0 Taken\r\n")
        read = read_content(b"".join(lines))
        at = now_us()
        self.copies += [Copy(read.token, recipient, read.transaction, at, read.intact) for recipient in recipients]


def _path(argument: bytes) -> str:
    """The address in `FROM:<a@b> SIZE=1`."""
    return argument.partition(b"<")[2].partition(b">")[0].decode("utf-8", "backslashreplace")
