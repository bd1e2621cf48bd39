"""Growth: what a message costs when there is more of something: queued mail, recipients, destinations, sessions.

    python -m tests.bench.growth [--only queue,recipients,destinations,sessions] [--queue-max 1000000] [--out DIRECTORY]

Load is smx-loadgen, the next hop smx-sink, cut-through off: every message is stored. Long queues are written into the spool before the start. The
queues of all sizes are up at the same time and get their loads in turns, so that whatever else the machine does meets all alike.
Writes OUT/growth.json, OUT/growth.svg and the tables in docs/performance.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from smx.testing.dns import FakeDns
from smx.units import DAY, HOUR, MIB
from tests.bench import deferred_queue, growth_report
from tests.bench.peers import OUT, PAGE, machine
from tests.bench.rig import Options, Rig, Usage
from tests.live.installation import free_port

QUEUES: Final = (1_000, 10_000, 100_000, 1_000_000)
RECIPIENTS: Final = (1, 10, 100, 1_000)
DESTINATIONS: Final = (1, 10, 100, 1_000, 10_000)
SESSIONS: Final = (1, 10, 100, 500, 1_000, 2_000)
ROUNDS: Final = 5
ROUND_MESSAGES: Final = 1_000
RECIPIENTS_IN_ALL: Final = 5_000
MESSAGES: Final = 5_000
STORED: Final = "cut_through = 0;"
UNLIMITED: Final = "sessions_max = 5000; recipients_max = 2000;"
DUE: Final = 100_000  # rows that are all due at the start
_LOADGEN: Final = "from smx.cli.loadgen import main; raise SystemExit(main())"
_SINK: Final = "from smx.cli.sink import main; raise SystemExit(main())"

Row = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    store = out / "growth.json"
    record: dict[str, Any] = json.loads(store.read_text()) if store.exists() else {}
    record |= {"date": time.strftime("%Y-%m-%d"), "machine": machine()}
    chosen = [name for name in options.only.split(",") if name] or list(TRIALS)
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix=f"smx-growth-{name}-") as directory:
            record[name] = TRIALS[name](Path(directory), options.queue_max)
        store.write_text(json.dumps(record, indent=1) + "\n")
    growth_report.write(record, PAGE, out / "growth.svg")
    return 0


# --- trials


def queue(directory: Path, largest: int) -> list[Row]:
    """By messages in the deferred queue, none of them due: start, memory, cost of new mail. Then a start at which all are due."""
    sizes = [size for size in QUEUES if size <= largest]
    rows: list[Row] = [{"queued": size} for size in sizes]
    with ExitStack() as stack, sink() as next_hop:
        rigs = []
        for size, row in zip(sizes, rows, strict=True):
            rig = stack.enter_context(Rig(directory / str(size), Options(next_hop=next_hop, qmgr=STORED)))
            fill(rig, size, next_hop, due_in_us=12 * HOUR)
            began = time.monotonic()
            rig.start()
            row["start_s"] = time.monotonic() - began
            load(rig, 200)
            rigs.append(rig)
        before = [rig.usage() for rig in rigs]
        elapsed = [0.0] * len(rigs)
        for _ in range(ROUNDS):
            for index, rig in enumerate(rigs):
                elapsed[index] += load(rig, ROUND_MESSAGES, "--sessions", "20", "--keep")
        for index, (rig, row) in enumerate(zip(rigs, rows, strict=True)):
            row |= cost(before[index], rig.usage(), ROUNDS * ROUND_MESSAGES) | {"messages_per_s": ROUNDS * ROUND_MESSAGES / elapsed[index]}
            say("queue", row)
        for rig in rigs:
            rig.stop()
    return [*rows, due(directory / "due", min(DUE, largest))]


def due(directory: Path, size: int) -> Row:
    """All rows are due at the start: seconds until the first one is delivered, counted from the order to start."""
    with tempfile.TemporaryDirectory() as kept:
        arrived = Path(kept) / "arrived"
        with sink("--keep", f"jsonl:{arrived}") as next_hop, Rig(directory, Options(next_hop=next_hop, qmgr=STORED)) as rig:
            fill(rig, size, next_hop, due_in_us=-HOUR)
            began = time.monotonic()
            rig.start()
            rig.wait(lambda: arrived.exists() and arrived.stat().st_size > 0)
            row: Row = {"queued": size, "first_delivery_s": time.monotonic() - began}
    say("queue", row)
    return row


def recipients(directory: Path, largest: int) -> list[Row]:
    """By recipients of a message, all of one destination."""
    rows: list[Row] = []
    for count in RECIPIENTS:
        messages = max(20, RECIPIENTS_IN_ALL // count)
        with sink() as next_hop, Rig(directory / str(count), Options(next_hop=next_hop, qmgr=STORED, smtps=UNLIMITED)) as rig:
            rows.append({"recipients": count} | once(rig, messages, count, "--recipients", str(count), "--users", "100000", "--to", "u%d@there.example"))
        say("recipients", rows[-1])
    return rows


def destinations(directory: Path, largest: int) -> list[Row]:
    """By destinations, found by MX records; each has its own connections."""
    rows: list[Row] = []
    for count in DESTINATIONS:
        zone = {f"d{number}.example": {"MX": ["10 mx.example"]} for number in range(count + 1)} | {"mx.example": {"A": ["127.0.0.1"]}}
        with sink() as next_hop, FakeDns(zone) as dns:
            routes = f'nameserver = {{ "{dns.nameserver}" }}; smtp_port = {next_hop};'
            with Rig(directory / str(count), Options(next_hop=next_hop, qmgr=STORED, routes=routes)) as rig:
                rows.append({"destinations": count} | once(rig, max(MESSAGES, count), 1, "--domains", str(count), "--to", "u%d@d%d.example"))
        say("destinations", rows[-1])
    return rows


def sessions(directory: Path, largest: int) -> list[Row]:
    """By sessions at a time, each kept open."""
    rows: list[Row] = []
    for count in SESSIONS:
        with sink() as next_hop, Rig(directory / str(count), Options(next_hop=next_hop, qmgr=STORED, smtps=UNLIMITED)) as rig:
            rows.append({"sessions": count} | once(rig, max(MESSAGES, 4 * count), 1, "--sessions", str(count), "--keep"))
        say("sessions", rows[-1])
    return rows


TRIALS: Final = {"queue": queue, "recipients": recipients, "destinations": destinations, "sessions": sessions}


# --- parts of a trial


def once(rig: Rig, messages: int, recipients_each: int, *words: str) -> Row:
    """Start, warm up, load, stop. Costs are by recipient."""
    rig.start()
    load(rig, 200)
    before = rig.usage()
    elapsed = load(rig, messages, *(words if "--sessions" in words else ("--sessions", "20", "--keep", *words)))
    row = cost(before, rig.usage(), messages * recipients_each) | {
        "messages_per_s": messages / elapsed,
        "recipients_per_s": messages * recipients_each / elapsed,
    }
    rig.stop()
    return row


def load(rig: Rig, messages: int, *words: str) -> float:
    """Send so many messages; seconds until the last one has been delivered."""
    began = time.perf_counter()
    sent = subprocess.run(
        [sys.executable, "-c", _LOADGEN, f"127.0.0.1:{rig.port}", "--messages", str(messages), "--json", *words], capture_output=True, check=False
    )
    assert sent.returncode == 0, f"not every message was taken: {sent.stderr.decode()[-500:]} {sent.stdout.decode()[-2000:]}"
    rig.wait(lambda: rig.figures()["transactions"] == 0, every_s=0.02)
    return time.perf_counter() - began


@contextmanager
def sink(*words: str) -> Iterator[int]:
    """A next hop; its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", _SINK, f"127.0.0.1:{port}", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def fill(rig: Rig, size: int, next_hop: int, *, due_in_us: int) -> None:
    now = time.time_ns() // 1000
    deferred_queue.fill(rig.config, rig.spool, size, destination=f"[127.0.0.1]:{next_hop}", arrived_at=now - DAY, next_try=now + due_in_us)


def cost(before: dict[str, Usage], after: dict[str, Usage], count: int) -> Row:
    """CPU microseconds for each of `count`, all processes together and QMGR alone; memory of QMGR and of SMTPS."""
    spent = {name: (after[name].cpu_s - before[name].cpu_s) * 1e6 / count for name in after if name in before}
    smtps = next(used for name, used in after.items() if name.startswith("smtps"))
    return {"cpu_us": sum(spent.values()), "qmgr_us": spent["qmgr"], "qmgr_mb": after["qmgr"].resident / MIB, "smtps_mb": smtps.resident / MIB}


def say(trial: str, row: Row) -> None:
    print(trial, {name: round(value, 2) if isinstance(value, float) else value for name, value in row.items()}, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth")
    parser.add_argument("--only", default="", help=f"some of {','.join(TRIALS)}")
    parser.add_argument("--queue-max", type=int, default=QUEUES[-1], help="the longest queue: 1000, 10000, 100000 or 1000000")
    parser.add_argument("--out", default=str(OUT))
    return parser


if __name__ == "__main__":
    sys.exit(main())
