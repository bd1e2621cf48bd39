"""100,000 messages in the deferred queue: how soon after a start the first is delivered, what new mail feels of them, how much memory they take."""

import asyncio
import time
from pathlib import Path

import pytest

from smx.units import DAY, HOUR, MIB
from tests.bench import deferred_queue
from tests.bench.load import Sink, run, send
from tests.bench.report import percentile, show
from tests.bench.rig import Options, Rig

MESSAGES = 100_000
FIRST_DELIVERY_S_MAX = 10.0
LATENCY_RATIO_MAX = 2.0
RESIDENT_MAX = 150 * MIB
ROUNDS = 20
ROUND_MESSAGES = 100
SESSIONS = 5
NEW_MAIL = b"user%d@new.example"


def filled(rig: Rig, next_hop: int, *, due_in_us: int) -> None:
    now = time.time_ns() // 1000
    deferred_queue.fill(rig.config, rig.spool, MESSAGES, destination=f"[127.0.0.1]:{next_hop}", arrived_at=now - DAY, next_try=now + due_in_us)


def resident(rig: Rig) -> int:
    return rig.usage()["qmgr"].resident_max


async def latencies_ms(rigs: list[Rig]) -> list[list[float]]:
    """Of new mail, in turns, so that whatever else the machine does meets all alike."""
    found: list[list[float]] = [[] for _ in rigs]
    for _ in range(ROUNDS):
        for rig, latencies in zip(rigs, found, strict=True):
            sent = await send(rig.port, ROUND_MESSAGES, SESSIONS, NEW_MAIL)
            assert sent.accepted == ROUND_MESSAGES
            latencies += [latency * 1e3 for latency in sent.latencies_s]
    return found


@pytest.mark.bench
@pytest.mark.timeout(1800)
@pytest.mark.feature("SX18")
def test_restart_with_a_long_queue_delivers_within_seconds_and_in_bounded_memory(tmp_path: Path) -> None:
    async def measure() -> None:
        sink = Sink()
        port = await sink.start()
        with Rig(tmp_path / "full", Options(next_hop=port)) as rig:
            filled(rig, port, due_in_us=-HOUR)
            began = time.monotonic()
            await asyncio.to_thread(rig.start)
            greeted_s = time.monotonic() - began
            await sink.until(1)
            first_s = sink.first_at - began
            working_off = asyncio.create_task(sink.until(MESSAGES, timeout_s=1500))
            latencies = await send_meanwhile(rig, working_off)
            elapsed_s = sink.last_at - sink.first_at
            peak = resident(rig)
            await asyncio.to_thread(rig.wait, lambda: rig.deferred_in_memory() == 0)
            cpu = {name: used.cpu_s * 1e3 / MESSAGES for name, used in rig.usage().items()}
            await asyncio.to_thread(rig.stop)
        show(
            f"restart with {MESSAGES} deferred messages, all due",
            [
                {
                    "greeted s": greeted_s,
                    "first delivery s": first_s,
                    "deliveries/s": MESSAGES / elapsed_s,
                    "QMGR RSS max MiB": peak / MIB,
                    "new mail p50 ms": percentile(latencies, 50),
                    "new mail p95 ms": percentile(latencies, 95),
                }
            ],
        )
        show("CPU ms a message while it is worked off", [cpu])
        assert first_s < FIRST_DELIVERY_S_MAX
        assert peak < RESIDENT_MAX
        sink.stop()

    run(measure())


async def send_meanwhile(rig: Rig, working_off: "asyncio.Task[None]") -> list[float]:
    """A little new mail now and then; the milliseconds that its replies took."""
    latencies: list[float] = []
    while not working_off.done():
        sent = await send(rig.port, 20, 2, NEW_MAIL)
        latencies += [latency * 1e3 for latency in sent.latencies_s]
        await asyncio.wait([working_off], timeout=1.0)
    await working_off
    return latencies


@pytest.mark.bench
@pytest.mark.timeout(600)
@pytest.mark.feature("SX18")
def test_new_mail_does_not_feel_a_long_queue(tmp_path: Path) -> None:
    async def measure() -> None:
        sink = Sink()
        port = await sink.start()
        rows: list[dict[str, float | str]] = []
        seen: list[tuple[float, int]] = []
        for cut_through in ("cut_through = 0;", ""):
            options = Options(next_hop=port, qmgr=cut_through)
            with Rig(tmp_path / f"empty{len(rows)}", options) as empty, Rig(tmp_path / f"full{len(rows)}", options) as full:
                filled(full, port, due_in_us=12 * HOUR)
                for rig in (empty, full):
                    await asyncio.to_thread(rig.start)
                await latencies_ms([empty, full])
                alone, beside = await latencies_ms([empty, full])
                cached = full.figures()["cached"]
                memory = resident(full)
                for rig in (empty, full):
                    await asyncio.to_thread(rig.stop)
            assert cached > 0, "the queue is not there"
            ratio = percentile(beside, 95) / percentile(alone, 95)
            seen.append((ratio, memory))
            rows.append(
                {
                    "cut_through": "off" if cut_through else "on",
                    "empty p50 ms": percentile(alone, 50),
                    "empty p95 ms": percentile(alone, 95),
                    "full p50 ms": percentile(beside, 50),
                    "full p95 ms": percentile(beside, 95),
                    "ratio p95": ratio,
                    "QMGR RSS max MiB": memory / MIB,
                }
            )
        show(f"reply to the final dot, empty queue against {MESSAGES} deferred messages", rows)
        for ratio, memory in seen:
            assert ratio < LATENCY_RATIO_MAX
            assert memory < RESIDENT_MAX
        sink.stop()

    run(measure())
