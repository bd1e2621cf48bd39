"""Campaign: a steady load on a real smx while its processes are killed, then the judges.

The load goes on over every kill. A kill waits until its share of the messages was acknowledged, so that the kills are spread over the whole
load, then for its aim:

    aim             the moment                                                        who dies
    random          any, also while the MTA is not healthy                            one process, or two at once
    dot-submission  a client wrote the final dot                                      its SMTPS, or QMGR
    submission-250  `submitted` stands in the log                                     its SMTPS, or QMGR
    dot-verdict     `dot` stands in the log, or the sink has read it                  that SMTPC, QMGR, or the LDA
    recovery        QMGR is killed, and again when its successor notes `recovering`   QMGR, or MCP
    spill           a burst for a slow host fills AQ, and `spilled` stands in the log QMGR, or MCP

What a kill really hit is judged afterwards. When MCP was killed, `smx run` is started again.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec import Struct

from sim.checkers.i10_orphans import SPARES
from sim.eventlog import Line
from smx.messages import QueueRow
from tests.live.client import GaveUpError, Session, connect
from tests.live.installation import Installation, Layout, owner_of, to_host
from tests.live.judge import Kill
from tests.live.notifications import Bounce, read_bounce
from tests.live.sink import Sink, accept, later_first, never
from tests.live.traffic import FLAKY, NEVER, SENDER, SINK, SLOW, Attempt, Copy, Draft, Mix
from tests.live.watcher import Watcher

CLIENTS = 12
MESSAGES_A_SESSION = 12
AIM_TIMEOUT_S = 3.0
HEALTH_TIMEOUT_S = 60.0
DRAIN_TIMEOUT_S = 180.0
CLEAN_UP_TIMEOUT_S = 90.0
BURST = 10
AIMS = ("random", "dot-submission", "submission-250", "dot-verdict", "recovery", "spill", "random")
KINDS = ("smtps", "qmgr", "smar", "smtpc", "lda", "mcp")


class Size(Struct, frozen=True):
    messages: int
    kills: int
    seed: str


class Outcome(Struct):
    """What the judges get."""

    size: Size
    attempts: list[Attempt]
    copies: list[Copy]
    bounces: list[Bounce]
    kills: list[Kill]
    servers: dict[int, int]  # process id -> epoch of every process
    destinations: dict[str, str]  # domain -> how its destination's name ends; local domains are missing
    released: int  # recipients in quarantine that the operator released
    left: list[QueueRow]  # recipients in the queue at the end
    segments: list[str]  # content segments of the empty queue
    writers: list[int]  # epochs of the processes that write content, then
    deferred_rows: int
    stop_status: int
    seconds: float


def layout(ports: dict[str, int]) -> Layout:
    """Small stores, quick retries, two of each server process."""
    return Layout(
        mailertable=tuple((domain, to_host(port)) for domain, port in ports.items()),
        smtps_processes=2,
        smtpc_processes=2,
        qmgr="""aq_max_entries = 48; cut_through = 300ms;
    smtpc { initial_connections = 4; max_connections = 10; }
    retry { min = 1s; max = 2s; dead_min = 1s; dead_max = 2s; warn = 0; }""",
    )


PROCESSES = ("mcp", "qmgr", "smar", "lda", "smtpc.0", "smtpc.1", "smtps.mx.0", "smtps.mx.1")


class Campaign:
    """One run."""

    def __init__(self, directory: Path, size: Size, say: Callable[[str], None]) -> None:
        self._size = size
        self._say = say
        self._directory = directory
        self._mix = Mix(size.seed)
        self._random = random.Random(f"{size.seed}/kills")
        self._sinks = {
            SINK: Sink(accept, on_dot=self._on_sink_dot),
            SLOW: Sink(accept, delay_s=0.1, on_dot=self._on_sink_dot),
            FLAKY: Sink(later_first),
            NEVER: Sink(never),
        }
        self._attempts: list[Attempt] = []
        self._acknowledged = 0
        self._again: list[Draft] = []  # recipients of what was not acknowledged
        self._kills: list[Kill] = []
        self._strike: asyncio.Future[list[str]] | None = None  # waited for by an aimed kill: the processes that die
        self._dot_wanted = False
        self._sink_dot_wanted = False
        self._done = False

    async def run(self) -> Outcome:
        began = time.monotonic()
        ports = {domain: await sink.start() for domain, sink in self._sinks.items()}
        with Installation(self._directory, layout(ports)) as self._smx:
            self._watcher = Watcher(self._smx, PROCESSES)
            self._smx.start()
            watching = asyncio.create_task(self._watcher.run())
            try:
                await self._health()
                await self._load_and_kills(watching)
                return await self._settle(ports, began)
            finally:
                watching.cancel()
                for sink in self._sinks.values():
                    await sink.stop()

    async def _load_and_kills(self, watching: asyncio.Task[None]) -> None:
        clients = [asyncio.create_task(self._client()) for _ in range(CLIENTS)]
        killing = asyncio.create_task(self._kill_all())
        tasks = [*clients, killing]
        try:
            while not self._done:
                await asyncio.wait([*tasks, watching], timeout=0.1, return_when=asyncio.FIRST_EXCEPTION)
                for task in [*tasks, watching]:
                    if task.done():
                        task.result()  # raises what ended it
                self._done = killing.done() and self._acknowledged >= self._size.messages and not self._again
            await asyncio.wait_for(asyncio.gather(*clients), HEALTH_TIMEOUT_S)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- load

    async def _client(self) -> None:
        """Sessions one after the other, until the load is over."""
        while not self._done:
            try:
                session = await connect(self._smx.port)
            except GaveUpError:
                await asyncio.sleep(0.02)  # MCP is dead, or the server is stopping
                continue
            try:
                session.server = owner_of(session.port, self._smx.port, [pid for pid, _ in self._watcher.alive.values()])
                for _ in range(MESSAGES_A_SESSION):
                    if self._done:
                        break
                    await self._send_one(session)
                await session.quit()
            except GaveUpError:
                await asyncio.sleep(0.01)
            finally:
                session.close()

    async def _send_one(self, session: Session) -> None:
        if self._acknowledged >= self._size.messages and not self._again and self._strike is None:
            await asyncio.sleep(0.02)  # only kills are left: a trickle goes on
        await self._send(session, self._again.pop() if self._again else self._mix.draw())

    async def _send(self, session: Session, draft: Draft) -> None:
        attempt = Attempt(self._mix.token(), draft.recipients)
        self._attempts.append(attempt)
        try:
            put_off = await session.send(draft, attempt, self._on_client_dot)
        except GaveUpError:
            self._again.append(draft)
            raise
        if attempt.acked_at:
            self._acknowledged += 1
        if put_off:
            self._again.append(Draft(put_off, draft.octets))
            await asyncio.sleep(0.02)  # 4yz: SMAR or QMGR is being started again

    async def _burst(self) -> None:
        """Many recipients for a slow host at once, in sessions of their own."""

        async def one() -> None:
            session = None
            draft = self._mix.burst()
            try:
                session = await connect(self._smx.port)
                await self._send(session, draft)
            except GaveUpError:
                return  # the kill came first; what was lost of it goes into `_again`
            finally:
                if session is not None:
                    session.close()

        await asyncio.gather(*(one() for _ in range(BURST)))

    # --- kills

    async def _kill_all(self) -> None:
        for number in range(self._size.kills):
            while self._acknowledged < self._size.messages * number // self._size.kills:
                await asyncio.sleep(0.005)
            aim = AIMS[number % len(AIMS)]
            if aim != "random" or self._random.random() < 0.8:
                await self._health()
            if aim in ("dot-submission", "random"):
                await asyncio.sleep(self._random.random() * 0.3)
            await self._AIMED[aim](self)
            if number % 10 == 9:
                self._say(f"{number + 1} kills, {self._acknowledged} messages acknowledged, {len(self._attempts)} sent")

    async def _health(self) -> None:
        until = time.monotonic() + HEALTH_TIMEOUT_S
        while True:
            self._watcher.poll()
            if self._watcher.healthy:
                return
            assert time.monotonic() < until, f"not healthy again after {HEALTH_TIMEOUT_S} s: {self._watcher.alive} {self._smx.said()}"
            await asyncio.sleep(0.02)

    async def _at_random(self) -> None:
        kinds = self._random.sample(KINDS, 2 if self._random.random() < 0.3 else 1)
        victims = [self._random.choice(processes) for kind in kinds if (processes := self._watcher.of_kind(kind))]
        await self._kill("random", victims or ["mcp"])

    async def _at_dot(self) -> None:
        self._dot_wanted = True
        await self._when_struck("dot-submission", "qmgr")
        self._dot_wanted = False

    async def _at_submission(self) -> None:
        self._watcher.aim("submitted", lambda line: self._hit(self._one_of([self._watcher.server_of(line)] * 2 + ["qmgr"])))
        await self._when_struck("submission-250", "qmgr")

    async def _at_delivery(self) -> None:
        if self._random.random() < 0.5:
            self._sink_dot_wanted = True
        else:
            self._watcher.aim("dot", self._on_logged_dot)
        await self._when_struck("dot-verdict", "qmgr")
        self._sink_dot_wanted = False

    async def _in_recovery(self) -> None:
        await self._kill("random", ["qmgr"])
        again = ["qmgr"] if self._random.random() < 0.8 else ["mcp"]
        self._watcher.aim("recovering", lambda line: self._hit(again))
        await self._when_struck("recovery", "")

    async def _in_spill(self) -> None:
        self._watcher.aim("spilled", lambda line: self._hit(["qmgr"] if self._random.random() < 0.8 else ["mcp"]))
        burst = asyncio.create_task(self._burst())
        await self._when_struck("spill", "qmgr")
        await burst

    _AIMED: dict[str, Callable[["Campaign"], Awaitable[None]]] = {
        "random": _at_random,
        "dot-submission": _at_dot,
        "submission-250": _at_submission,
        "dot-verdict": _at_delivery,
        "recovery": _in_recovery,
        "spill": _in_spill,
    }

    async def _when_struck(self, aim: str, otherwise: str) -> None:
        """Wait until the aim is met; the kill itself falls in the very callback that saw it. If it is not met in time, kill `otherwise`."""
        self._aim = aim
        strike = self._strike = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait_for(strike, AIM_TIMEOUT_S)
        except TimeoutError:
            self._strike = None
            self._watcher.hold()
            if otherwise:
                await self._kill("random", [otherwise])
            return
        await self._after(strike.result())

    def _hit(self, victims: list[str]) -> None:
        """The moment is there."""
        strike = self._strike
        if strike is not None and not strike.done():
            self._strike = None
            self._dot_wanted = self._sink_dot_wanted = False
            self._strike_now(self._aim, victims)
            strike.set_result(victims)

    def _strike_now(self, aim: str, victims: list[str]) -> None:
        deaths = self._watcher.kill([victim for victim in dict.fromkeys(victims) if victim])
        if deaths:
            self._kills.append(Kill(len(self._kills), aim, deaths))

    async def _kill(self, aim: str, victims: list[str]) -> None:
        self._strike_now(aim, victims)
        await self._after(victims)

    async def _after(self, victims: list[str]) -> None:
        """MCP is started again when it was killed: nobody else does that."""
        if "mcp" in victims:
            assert self._smx.mcp is not None
            with contextlib.suppress(ProcessLookupError):
                self._smx.mcp.kill()
            await asyncio.to_thread(self._smx.mcp.wait, 10)
            self._smx.start()

    def _one_of(self, processes: list[str]) -> list[str]:
        return [self._random.choice([process for process in processes if process] or ["qmgr"])]

    def _on_client_dot(self, attempt: Attempt) -> None:
        if self._dot_wanted:
            self._hit(self._one_of([self._watcher.process_of_pid(attempt.server)] * 2 + ["qmgr"]))

    def _on_logged_dot(self, line: Line) -> None:
        self._hit(self._one_of([line.process, line.process, "qmgr", "lda"]))

    def _on_sink_dot(self, port: int) -> None:
        if self._sink_dot_wanted:
            sinks = [sink.port for sink in self._sinks.values()]
            pids = [pid for process, (pid, _) in self._watcher.alive.items() if process.startswith("smtpc")]
            owner = next((pid for sink in sinks if (pid := owner_of_peer(port, sink, pids))), 0)
            self._hit(self._one_of([self._watcher.process_of_pid(owner), self._watcher.process_of_pid(owner), "qmgr"]))

    # --- the end

    async def _settle(self, ports: dict[str, int], began: float) -> Outcome:
        self._say(f"{len(self._kills)} kills, {self._acknowledged} messages acknowledged; waiting for an empty queue")
        await self._health()
        released = await self._drain()
        left = await asyncio.to_thread(self._smx.queue)
        writers = [epoch for process, (_, epoch) in self._watcher.alive.items() if process.startswith(("qmgr", "smtps"))]
        await self._until(lambda: len(self._smx.content_segments()) <= SPARES * len(writers), CLEAN_UP_TIMEOUT_S)
        segments = self._smx.content_segments()
        status = await asyncio.to_thread(self._smx.stop)
        copies = [*self._smx.local_copies(), *(copy for sink in self._sinks.values() for copy in sink.copies)]
        bounces = [bounce for octets in self._smx.mail(SENDER) if (bounce := read_bounce(octets)) is not None]
        return Outcome(
            self._size,
            self._attempts,
            copies,
            bounces,
            self._kills,
            self._watcher.epochs,
            {domain: f":{port}" for domain, port in ports.items()},
            released,
            left or [],
            segments,
            writers,
            self._smx.deferred_rows(),
            status,
            time.monotonic() - began,
        )

    async def _drain(self) -> int:
        """Wait for an empty queue. Mail that was in hand at three crashes stays in quarantine (A14) until the operator lets it go: he does, once.

        Gives how many recipients he let go. What is left after all is for the judge.
        """
        released = 0

        def at_rest() -> bool:
            rows = self._smx.queue()
            return rows is not None and all(row.state == "quarantined" for row in rows)

        for _ in range(2):
            await self._until(at_rest, DRAIN_TIMEOUT_S)
            if released or not self._smx.queue():
                break
            released = await asyncio.to_thread(self._smx.change, "release", "quarantined")
        return released

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        """Until it holds, or for so long."""
        limit = time.monotonic() + timeout_s
        while not await asyncio.to_thread(condition) and time.monotonic() < limit:
            await asyncio.sleep(0.1)


def owner_of_peer(peer_port: int, sink_port: int, pids: list[int]) -> int:
    """Which process has the client's end of a connection to a sink."""
    return owner_of(sink_port, peer_port, pids)
