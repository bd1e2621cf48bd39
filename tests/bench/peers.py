"""Peers: smx beside other mail servers, in one run and in turns, so that whatever else the machine does meets all alike.

    python -m tests.bench.peers [--rounds 5] [--trials accept,kept] [--peers smx,postfix] [--kit DIRECTORY] [--out DIRECTORY] [--report]

Each round goes through all trials, each trial through all servers, beginning with another one each time. Figures of one round are pairs.
Writes OUT/peers.json (every run), OUT/peers.svg, and the table in docs/performance.md. `--report` only makes the table and the chart anew.
The kit's own README says what must be installed (root, Debian); it is looked for in $PEERS_KIT, then beside the project.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tests.bench import peers_report
from tests.bench.peers_plan import BUILT, COMPILED, OURS, PEERS, TRIALS, VARIANTS, Peer, Trial

ROOT: Final = Path(__file__).resolve().parents[2]
KIT: Final = ROOT.parent / "shared" / "bench" / "peers"
OUT: Final = ROOT / "docs" / "performance"
PAGE: Final = ROOT / "docs" / "performance.md"
RUN_TIMEOUT_S: Final = 600
KEPT: Final = (
    "msgs_per_s accept_msgs_per_s cpu_ms_per_msg cpu_user_s cpu_sys_s peak_pss_mb peak_rss_mb peak_procs disk_flushes_per_msg disk_kb_per_msg m s size d "
    "queued_ok queued arrived complete dot_ms accept_ms arrival_ms accept_same_conn_ms session_ms not_arrived_in_5s restart_s all_delivered_s "
    "delivered_distinct lost duplicates still_queued queued_before_kill fill_msgs_per_s start_s version error".split()
)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    store = out / "peers.json"
    if not options.report:
        driver = Path(options.kit) / "run_peer.sh"
        if not driver.exists():
            print(f"there is no {driver}: say --kit, or set PEERS_KIT", file=sys.stderr)
            return 69
        peers = [peer for peer in _chosen(options.peers, PEERS) if peer.name != COMPILED or BUILT.exists()]
        measure(driver, options.rounds, _chosen(options.trials, TRIALS), peers, store)
    peers_report.write(json.loads(store.read_text()), PAGE, out / "peers.svg")
    return 0


def measure(driver: Path, rounds: int, trials: Sequence[Trial], peers: Sequence[Peer], store: Path) -> None:
    """Run everything; what is known so far is stored after each run, so that a run that is broken off is not lost."""
    record: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "machine": machine(), "rounds": rounds, "runs": []}
    for number, trial, peer in order(rounds, trials, peers):
        answer = run(driver, trial, peer)
        record["runs"].append({"round": number, "trial": trial.name, "peer": peer.name, **answer})
        store.write_text(json.dumps(record, indent=0) + "\n")
        print(f"{number} {trial.name:<9} {peer.name:<18} {peers_report.figure(answer, trial.figure) or answer.get('error')} {trial.unit}", flush=True)


def order(rounds: int, trials: Sequence[Trial], peers: Sequence[Peer]) -> Iterator[tuple[int, Trial, Peer]]:
    """(round, trial, peer), each round beginning with the next peer."""
    for number in range(1, rounds + 1):
        for trial in trials:
            taking = [peer for peer in peers if peer.name in trial.peers]
            first = number % max(1, len(taking))
            for peer in taking[first:] + taking[:first]:
                yield number, trial, peer


def run(driver: Path, trial: Trial, peer: Peer) -> dict[str, Any]:
    """One call of the driver: what it answered, or `error`."""
    options = {"s": 20, **trial.options, **trial.special.get(peer.name, {})}
    words = [str(driver), peer.script, trial.mode, *(f"{name}={value}" for name, value in options.items())]
    try:
        done = subprocess.run(words, env={**os.environ, **dict(peer.environment)}, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {RUN_TIMEOUT_S} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        return {"error": (done.stderr.strip() or "no answer")[-300:]}
    answer = json.loads(lines[-1])
    return {name: answer[name] for name in KEPT if name in answer}


def machine() -> str:
    """What the figures were measured on, in a line."""
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), platform.machine()
    )
    return f"{os.cpu_count()} cores {model}, Linux {platform.release().partition('-')[0]}, Python {platform.python_version()}"


def _chosen(names: str, table: Sequence[Any]) -> list[Any]:
    wanted = [name.strip() for name in names.split(";" if ";" in names else ",") if name.strip()]
    unknown = [name for name in wanted if all(row.name != name for row in table)]
    if unknown:
        raise SystemExit(f"not known: {', '.join(unknown)}; one of {'; '.join(row.name for row in table)}")
    return [row for row in table if not wanted or row.name in wanted or (row.name in VARIANTS and OURS in wanted)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials", default="", help=f"some of {', '.join(trial.name for trial in TRIALS)}")
    parser.add_argument("--peers", default="", help=f"some of {', '.join(peer.name for peer in PEERS)}")
    parser.add_argument("--kit", default=os.environ.get("PEERS_KIT", str(KIT)))
    parser.add_argument("--out", default=str(OUT))
    parser.add_argument("--report", action="store_true", help="only the table and the chart, from what was measured before")
    return parser


if __name__ == "__main__":
    sys.exit(main())
