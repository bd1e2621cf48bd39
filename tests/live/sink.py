"""Sink: scripted next hops on loopback, which remember what they took and when they were asked.

A taken message counts from the moment at which 250 to the final dot is handed to the socket: what the peer made of that is not the sink's to know.
"""

import time
from collections.abc import Callable

from msgspec import Struct

from smx.testing.load import sink as load
from smx.testing.load.faults import Fault
from smx.testing.load.options import SinkOptions
from smx.testing.load.target import Target
from tests.live.traffic import Copy, read_content

EXTENSIONS = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE")
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
        self._sink: load.Sink | None = None

    async def start(self, port: int = 0) -> int:
        """Listen, on the port of an earlier start when there was one. Gives the port."""
        faults = (Fault("delay", "dot", 1.0, self.delay_s),) if self.delay_s else ()
        options = SinkOptions(target=Target("127.0.0.1", port or self.port), extensions=EXTENSIONS, faults=faults, tokens=False)
        self._sink = load.Sink(options, self._on_rcpt, self.on_dot, self._on_message)
        await self._sink.start()
        self.port = self._sink.target.port
        return self.port

    async def stop(self) -> None:
        """No more connections; those that are open are broken off."""
        if self._sink is not None:
            await self._sink.stop()

    def _on_rcpt(self, sender: bytes, recipient: bytes) -> bytes:
        pair = (_text(sender), _text(recipient))
        times = self._times.get(pair, 0)
        self._times[pair] = times + 1
        asked = Asked(*pair, times, now_us())
        self.asked.append(asked)
        return self.script(asked)

    def _on_message(self, sender: bytes, recipients: list[bytes], content: bytes) -> None:
        read = read_content(content)
        at = now_us()
        self.copies += [Copy(read.token, _text(recipient), read.transaction, at, read.intact) for recipient in recipients]


def _text(address: bytes) -> str:
    return address.decode("utf-8", "backslashreplace")
