"""How often a message makes the device wait: fewer syncs than messages, by group commit (SX14), and none at all with cut-through (SX24)."""

import asyncio
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.bench.load import Sink, run, send
from tests.bench.report import show
from tests.bench.rig import Options, Rig

SENDERS = 20
WARM_UP = 200
MESSAGES = 3_000
RECIPIENT = b"user%d@there.example"
WATCHED = ("smtps.mx.0", "qmgr")
STRACE = ("strace", "-f", "-y", "--seccomp-bpf", "-e", "trace=fdatasync,fsync", "-o")


def begun_syncs(trace: str, threads: dict[int, str]) -> Counter[tuple[str, str]]:
    """(process, store) of each sync that was begun."""
    found: Counter[tuple[str, str]] = Counter()
    for line in trace.splitlines():
        thread, _, call = line.partition(" ")
        if call.lstrip().startswith(("fdatasync(", "fsync(")):
            path = Path(call.partition("<")[2].partition(">")[0])
            found[threads.get(int(thread), "others"), path.parent.name if path.suffix else path.name] += 1
    return found


def threads_of(rig: Rig) -> dict[int, str]:
    return {int(task.name): name for name, pid in rig.pids().items() for task in Path(f"/proc/{pid}/task").iterdir()}


def state_of(directory: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in directory.iterdir()}


@pytest.mark.bench
@pytest.mark.timeout(300)
@pytest.mark.feature("SX14")
@pytest.mark.feature("SX12")
def test_a_message_costs_less_than_one_sync_and_defedb_is_not_written_when_all_goes_well(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: there is nobody to count the syncs")

    async def measure(cut_through: str) -> dict[str, float | str]:
        sink = Sink()
        options = Options(next_hop=await sink.start(), qmgr=f"cut_through = {cut_through};")
        trace = tmp_path / f"trace.{cut_through}"
        with Rig(tmp_path / cut_through, options) as rig:
            await asyncio.to_thread(rig.start, (*STRACE, str(trace)))
            await send(rig.port, WARM_UP, SENDERS, RECIPIENT)
            await sink.until(WARM_UP)
            before, untouched = begun_syncs(trace.read_text(), threads_of(rig)), state_of(rig.spool / "defedb")
            sent = await send(rig.port, MESSAGES, SENDERS, RECIPIENT)
            await sink.until(WARM_UP + MESSAGES)
            assert sent.accepted == MESSAGES
            await asyncio.to_thread(rig.wait, lambda: rig.figures()["transactions"] == 0)
            assert state_of(rig.spool / "defedb") == untouched
            counted = begun_syncs(trace.read_text(), threads_of(rig)) - before
            await asyncio.to_thread(rig.stop)
            log = (tmp_path / cut_through / "smx.log").read_text()
        sink.stop()
        assert '"note":"deferred"' not in log
        assert '"note":"spilled"' not in log
        by_process = {f"{process} {store}": counted[process, store] / MESSAGES for process, store in (("smtps.mx.0", "cdb"), ("qmgr", "ibdb"), ("qmgr", "cdb"))}
        total = sum(count for (process, _), count in counted.items() if process in WATCHED) / MESSAGES
        return {"cut_through": cut_through, **by_process, "all of both": total}

    rows = [run(measure(cut_through)) for cut_through in ("0", "1s")]
    show(f"syncs a message, {SENDERS} senders, relay to a sink", rows)
    for row in rows:
        assert float(row["all of both"]) < 1.0
