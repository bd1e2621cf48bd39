"""Syncs: fewer than messages, none of DEFEDB while all goes well, and always before the 250 (SX12, SX14, I2)."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.live.client import connect
from tests.live.installation import Installation, Layout, to_host
from tests.live.sink import Sink
from tests.live.systemcalls import COMMAND, calls, replies, syncs_by_store, too_early
from tests.live.traffic import Attempt, Draft, Mix

HOST = "host.example"
SENDERS = 20
TIMEOUT_S = 60.0

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed (make tools installs it)")


async def send(installation: Installation, mix: Mix, messages: int) -> int:
    """In one session; how many were acknowledged."""
    session = await connect(installation.port)
    taken = 0
    try:
        for _ in range(messages):
            attempt = Attempt(mix.token(), (f"a@{HOST}",))
            await session.send(Draft(attempt.recipients, 900), attempt, lambda attempt: None)
            taken += bool(attempt.acked_at)
    finally:
        session.close()
    return taken


def relay(directory: Path, messages: int, *, cut_through: str, prefix: tuple[str, ...] = (), look: Callable[[Installation], None] | None = None) -> None:
    """SENDERS clients at once send `messages` in all to a sink that takes each; returns when all have arrived and smx has stopped in order.

    `look` is called before the first and behind the last message.
    """
    mix = Mix("syncs")

    async def scenario() -> None:
        sink = Sink()
        layout = Layout(
            mailertable=((HOST, to_host(await sink.start())),),
            qmgr=f"cut_through = {cut_through};",
            level="info",
            ibdb_segment="1MiB",
        )
        with Installation(directory, layout) as installation:
            installation.start(prefix)
            await asyncio.to_thread(installation.wait_ready)
            if look is not None:
                look(installation)
            waiting: list[Awaitable[int]] = [send(installation, mix, messages // SENDERS) for _ in range(SENDERS)]
            assert sum(await asyncio.gather(*waiting)) == messages
            await installation.until(lambda: len(sink.copies) == messages, TIMEOUT_S, "not delivered")
            await installation.until(installation.is_empty, TIMEOUT_S, "the queue is not empty")
            if look is not None:
                look(installation)
            assert await asyncio.to_thread(installation.stop) == 0
        await sink.stop()

    asyncio.run(scenario())


@pytest.mark.feature("SX12")
@pytest.mark.parametrize("cut_through", ["0", "1s"])
def test_a_run_in_which_all_goes_well_writes_nothing_to_defedb(tmp_path: Path, cut_through: str) -> None:
    seen: list[dict[str, tuple[int, int]]] = []

    def look(installation: Installation) -> None:
        files = (installation.spool / "defedb").iterdir()
        seen.append({path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in files})

    relay(tmp_path, 200, cut_through=cut_through, look=look)
    before, after = seen
    assert before == after
    assert "defedb.sqlite" in before


@needs_strace
@pytest.mark.feature("SX14")
def test_twenty_senders_cost_fewer_syncs_than_messages(tmp_path: Path) -> None:
    """SMTPS and QMGR together, without cut-through: each message needs two syncs, and shares them."""
    messages = 600
    trace = tmp_path / "trace"
    relay(tmp_path / "smx", messages, cut_through="0", prefix=(*COMMAND[:-1], "trace=fdatasync,fsync", "-o", str(trace)))
    syncs = syncs_by_store(trace.read_text())
    print(f"{messages} messages of {SENDERS} senders: {dict(syncs)}")
    assert 0 < syncs["cdb"] + syncs["ibdb"] < messages


@needs_strace
@pytest.mark.feature("SX14")
def test_with_cut_through_what_is_delivered_at_once_costs_no_syncs_of_its_own(tmp_path: Path) -> None:
    messages = 200
    trace = tmp_path / "trace"
    relay(tmp_path / "smx", messages, cut_through="5s", prefix=(*COMMAND[:-1], "trace=fdatasync,fsync", "-o", str(trace)))
    syncs = syncs_by_store(trace.read_text())
    print(f"{messages} messages of {SENDERS} senders by cut-through: {dict(syncs)}")
    assert syncs["cdb"] + syncs["ibdb"] < messages // 10


@needs_strace
@pytest.mark.timeout(180)
@pytest.mark.parametrize("cut_through", ["0", "1s"])
def test_no_250_comes_before_its_syncs_in_the_trace_of_the_system_calls(tmp_path: Path, cut_through: str) -> None:
    messages = 200
    trace = tmp_path / "trace"
    relay(tmp_path / "smx", messages, cut_through=cut_through, prefix=(*COMMAND, "-o", str(trace)))
    text = trace.read_text()
    found = replies(calls(text))
    assert len(found) == messages
    if cut_through == "0":
        assert not any(reply.delivered for reply in found)
    assert too_early(text) == []
