"""Sink: a next hop that takes everything, unless it is told to misbehave, and counts what came how often.

    sink = Sink(SinkOptions(target=Target("127.0.0.1", 0)))
    await sink.start()
    ...                                  # deliver to sink.target
    await sink.until(1000)               # messages
    await sink.stop()
    sink.report()

Job         listen, count; know each copy (token and recipient) so that a second one is told from the first
Strategies  A message counts from the moment at which its 2yz is handed to the transport. `on_rcpt` may give another reply than the usual one, or b"";
            `on_dot` is called when the end of a content was read, `on_message` when a message is taken.
Not supported  A durable store: what is kept is not synced, because this is no MTA.
See also    sink_session.py (one connection), keep.py, ledger.py
"""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from smx.testing.load.faults import SERVER_STAGES, Dice, Fault
from smx.testing.load.keep import make_keeper, text
from smx.testing.load.ledger import Check, check, pair
from smx.testing.load.message import token_of
from smx.testing.load.options import SinkOptions
from smx.testing.load.report import SinkReport
from smx.testing.load.sink_session import SinkSession
from smx.testing.load.tally import STAGES, named
from smx.testing.load.target import Target

BACKLOG: Final = 1024
GREYLIST_MAX: Final = 100_000  # triplets that are remembered; the oldest go first
WATCH_S: Final = 0.1
_now = time.monotonic

OnRcpt = Callable[[bytes, bytes], bytes]  # sender, recipient -> a reply without CRLF
OnDot = Callable[[int], None]  # port of the peer, 0 on a UNIX socket
OnMessage = Callable[[bytes, list[bytes], bytes], None]  # sender, recipients, content


class Sink:
    """`target` is where it listens, with the real port once it is started."""

    def __init__(self, options: SinkOptions, on_rcpt: OnRcpt | None = None, on_dot: OnDot | None = None, on_message: OnMessage | None = None) -> None:
        self.options = options
        self.target = options.target
        self.on_rcpt = on_rcpt
        self.on_dot = on_dot
        self.hostname = options.hostname.encode()
        self.offers = tuple(b"SIZE %d" % options.size_max if name == "SIZE" else name.encode() for name in options.extensions)
        self.messages = 0
        self.octets = 0
        self.replies: dict[str, dict[bytes, int]] = {stage: {} for stage in STAGES}
        self.faults: dict[str, int] = {}
        self.copies: dict[str, int] = {}  # token and recipient -> how often
        self.first_at = 0.0  # monotonic time of the first message
        self.last_at = 0.0
        self.heard_at = 0.0  # the last octets of anybody; 0: nobody came yet
        self.sessions: dict[SinkSession, None] = {}
        self.connections = 0
        self.connections_peak = 0
        self.keeper = make_keeper(options.keep)
        self.needs_whole = self.keeper.whole or on_message is not None  # else the head of a content is enough
        self._ended = asyncio.Event()
        self._on_message = on_message
        self._copies = 0
        self._untold = 0
        self._dice = {stage: self._dice_of(stage) for stage in SERVER_STAGES}
        self._seen: dict[tuple[str, bytes, bytes], float] = {}
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._server: asyncio.Server | None = None
        self._cpu = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def _dice_of(self, stage: str) -> Dice:
        return Dice((fault for fault in self.options.faults if fault.stage == stage), random.Random(f"{self.options.seed}/{stage}"))

    # --- life

    async def start(self) -> None:
        """Listen. OSError when that cannot be."""
        loop = asyncio.get_running_loop()
        target = self.options.target
        if target.path:
            self._server = await loop.create_unix_server(lambda: SinkSession(self), target.path, backlog=BACKLOG)
        else:
            self._server = await loop.create_server(lambda: SinkSession(self), target.host, target.port, backlog=BACKLOG)
            self.target = Target(target.host, self._server.sockets[0].getsockname()[1])
        self._cpu = time.process_time()
        self._look()

    def close(self) -> None:
        """No more connections; those that are open are broken off. Again is harmless."""
        if self._watch is not None:
            self._watch.cancel()
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for session in list(self.sessions):
                session.abort()
            self.keeper.close()

    async def stop(self) -> None:
        """Close, and let the loop see it."""
        self.close()
        await asyncio.sleep(0)

    async def until(self, messages: int, timeout_s: float = 60.0) -> None:
        """Wait until so many messages were taken. TimeoutError."""
        if self.messages < messages:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((messages, future))
            async with asyncio.timeout(timeout_s):
                await future

    def _look(self) -> None:
        """Flush what is kept, and see whether it is over."""
        self.keeper.flush()
        idle = self.options.idle_s
        if idle and self.heard_at and _now() - self.heard_at >= idle:
            self.end()
        self._watch = asyncio.get_running_loop().call_later(WATCH_S, self._look)

    def end(self) -> None:
        """It is enough: `wait_end` is told."""
        self._ended.set()

    async def wait_end(self, timeout_s: float) -> bool:
        """Wait for the end: so many messages came as were asked for, nothing came for too long, or `end` was called. False: not yet."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    # --- said by sessions

    def fault(self, stage: str) -> Fault | None:
        """What goes wrong at this stage now, if anything."""
        dice = self._dice[stage]
        fault = dice.roll() if dice else None
        if fault is not None:
            self.count_fault(fault.name)
        return fault

    def count_fault(self, name: str) -> None:
        """One of these happened."""
        self.faults[name] = self.faults.get(name, 0) + 1

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """A task that is kept until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def came(self, session: SinkSession) -> bool:
        """A connection; False: there are too many."""
        self.heard_at = _now()
        self.connections += 1
        full = 0 < self.options.connections_max <= len(self.sessions)
        self.sessions[session] = None
        if not full:
            self.connections_peak = max(self.connections_peak, len(self.sessions))
        return not full

    def is_new(self, client: str, sender: bytes, recipient: bytes) -> bool:
        """Greylisting: whether these three have to come again later."""
        key = (client, sender, recipient)
        now = _now()
        first = self._seen.setdefault(key, now)
        if len(self._seen) > GREYLIST_MAX:
            del self._seen[next(iter(self._seen))]
        return now - first < self.options.greylist_s

    def take(self, sender: bytes, recipients: list[bytes], octets: int, content: bytes, *, more: bool = False) -> None:
        """A message is ours. `content`: unstuffed; its head is enough unless `needs_whole`. `more`: the message counts already."""
        if not more:
            self.messages += 1
            self.octets += octets
        self.last_at = self.heard_at
        if not self.first_at:
            self.first_at = self.last_at
        self._copies += len(recipients)
        token = token_of(content) if self.options.tokens else b""
        if token:
            copies = self.copies
            for recipient in recipients:
                name = pair(text(token), text(recipient))
                copies[name] = copies.get(name, 0) + 1
        else:
            self._untold += len(recipients)
        self.keeper.add(token, sender, recipients, octets, content)
        if self._on_message is not None:
            self._on_message(sender, recipients, content)
        if self._waiting:
            self._wake()
        if 0 < self.options.messages <= self.messages:
            self.end()

    def _wake(self) -> None:
        for messages, future in self._waiting:
            if messages <= self.messages and not future.done():
                future.set_result(None)
        self._waiting = [row for row in self._waiting if not row[1].done()]

    # --- figures

    def check(self, promises: list[str]) -> Check:
        """Compare with the pairs of a ledger."""
        return check(promises, self.copies)

    def report(self, found: Check | None = None) -> SinkReport:
        """The figures so far."""
        elapsed_s = self.last_at - self.first_at
        return SinkReport(
            target=self.target.text,
            elapsed_s=round(elapsed_s, 6),
            messages=self.messages,
            copies=self._copies,
            distinct=len(self.copies),
            duplicates=self._copies - self._untold - len(self.copies),
            untold=self._untold,
            octets=self.octets,
            connections=self.connections,
            connections_peak=self.connections_peak,
            messages_per_s=round((self.messages - 1) / elapsed_s, 3) if elapsed_s else 0.0,
            cpu_s=round(time.process_time() - self._cpu, 6),
            replies=named(self.replies),
            faults=self.faults,
            check=found,
        )
