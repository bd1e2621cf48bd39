"""A recorded run: a load with deferrals and notifications on a real smx whose processes record themselves, and in the middle of it a kill -9 or some."""

import asyncio
import os
import signal
from pathlib import Path

from msgspec import Struct

from tests.live.client import GaveUpError, connect
from tests.live.installation import Installation, Layout, to_host
from tests.live.sink import Sink, accept, later_first, never
from tests.live.traffic import FLAKY, LOCAL, NEVER, SENDER, SINK, Attempt, Draft

CLIENTS = 8
MESSAGES_A_SESSION = 25
BODY_OCTETS = 400
TURN = ((LOCAL,), (SINK,), (LOCAL,), (FLAKY,), (SINK,), (LOCAL,), (SINK,), (LOCAL,), (FLAKY,), (SINK, LOCAL), (LOCAL,), (SINK,), (SINK, NEVER))
TIMEOUT_S = 60.0
LAYOUT = Layout(qmgr="retry { min = 1s; max = 2s; dead_min = 1s; dead_max = 2s; warn = 0; }", smtpc_processes=2)


class Run(Struct):
    """What came of it. `directory` holds the recordings."""

    directory: Path
    acknowledged: int
    deferrals: int
    notifications: int
    killed: tuple[str, ...]
    stop_status: int


class Load:
    """Sends messages until so many were acknowledged; kills one process after the other on the way."""

    def __init__(self, smx: Installation, messages: int, kills: tuple[str, ...]) -> None:
        self._smx = smx
        self._messages = messages
        self._kills = list(kills)
        self._kills_in_all = len(kills)
        self._tokens = 0
        self.acknowledged = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(self._client())

    @property
    def _done(self) -> bool:
        return self.acknowledged >= self._messages

    async def _client(self) -> None:
        while not self._done:
            try:
                session = await connect(self._smx.port)
            except GaveUpError:
                await asyncio.sleep(0.02)  # SMTPS is being started again
                continue
            try:
                for _ in range(MESSAGES_A_SESSION):
                    if self._done:
                        break
                    attempt, draft = self._draw()
                    await session.send(draft, attempt, lambda attempt: None)
                    self.acknowledged += attempt.code == 250
                    self._kill_when_due()
                    if attempt.code != 250:
                        await asyncio.sleep(0.02)  # 4yz: a process is being started again
                await session.quit()
            except GaveUpError:
                await asyncio.sleep(0.02)
            finally:
                session.close()

    def _draw(self) -> tuple[Attempt, Draft]:
        domains = TURN[self._tokens % len(TURN)]
        self._tokens += 1
        recipients = tuple(f"user{self._tokens % 10}@{domain}" for domain in domains)
        return Attempt(f"R{self._tokens:06d}", recipients), Draft(recipients, BODY_OCTETS)

    def _kill_when_due(self) -> None:
        done = self._kills_in_all - len(self._kills)
        if self._kills and self.acknowledged * (self._kills_in_all + 1) >= self._messages * (done + 1):
            os.kill(self._smx.pids()[self._kills.pop(0)], signal.SIGKILL)


async def record(directory: Path, messages: int, kills: tuple[str, ...]) -> Run:
    """The run, to its orderly end."""
    sinks = {SINK: Sink(accept), FLAKY: Sink(later_first), NEVER: Sink(never)}
    table = [(domain, to_host(await sink.start())) for domain, sink in sinks.items()]
    layout = Layout(mailertable=tuple(table), qmgr=LAYOUT.qmgr, smtpc_processes=LAYOUT.smtpc_processes)
    recordings = directory / "recordings"
    try:
        with Installation(directory, layout) as smx:
            smx.start(options=("--record", str(recordings)))
            await asyncio.to_thread(smx.wait_ready)
            load = Load(smx, messages, kills)
            await load.run()
            await smx.until(smx.is_empty, TIMEOUT_S, "the queue is not empty")
            status = await asyncio.to_thread(smx.stop)
            return Run(recordings, load.acknowledged, len(smx.notes("deferred")), len(smx.mail(SENDER)), kills, status)
    finally:
        for sink in sinks.values():
            await sink.stop()
