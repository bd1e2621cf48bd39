"""Report: puts the judges' questions to the outcome of a campaign, and prints what they found."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from sim.checkers import SENTENCES
from sim.duplicates import is_local
from sim.eventlog import LIVE, Line
from sim.facts import Leftovers, QueueSeen
from tests.live import eventlog, judge
from tests.live.campaign import Outcome
from tests.live.traffic import LOCAL, NEVER
from tests.live.windows import WINDOWS, strikes


class Findings(Struct, frozen=True):
    """Everything that must be empty, by name, and the table that is printed."""

    objections: dict[str, list[str]]
    windows: dict[str, int]
    kills: int
    in_hand: int
    table: str

    @property
    def in_hand_percent(self) -> int:
        return 100 * self.in_hand // max(1, self.kills)


def examine(outcome: Outcome, log: Path) -> Findings:
    """All judges. The log is read once more, as a whole."""
    lines, damaged_lines = eventlog.read(log)
    end = max(lines[-1].at, *(copy.at for copy in outcome.copies)) + 1 if lines else 0
    truth = judge.judge(lines, outcome.kills, _goes_to(outcome), judge.outside(outcome.attempts, outcome.copies, outcome.bounces, end))
    truth.observe(QueueSeen(end, tuple(outcome.left)))
    truth.observe(Leftovers(end, tuple(outcome.segments), tuple(outcome.writers), outcome.deferred_rows))
    violations = truth.finish(end)
    doubled = [pair for pair, copies in truth.ledger.arrivals.items() if len(copies) > 1]
    unexplained = [violation for violation in violations if violation.invariant == "I6"]
    found_strikes = strikes(lines, outcome.kills, outcome.attempts, outcome.servers)
    windows = Counter(window for strike in found_strikes for window in strike.windows)
    in_hand = sum(strike.in_hand for strike in found_strikes)
    objections: dict[str, list[object]] = {
        **{f"{id}: {SENTENCES[id]}": [violation.what for violation in violations if violation.invariant == id] for id in LIVE},
        "returned although nobody refused it": list(judge.returned(outcome.bounces, lambda address: address.endswith(f"@{NEVER}"))),
        "recipients left in the queue": [f"{row.state} {row.recipient!r} {row.reason!r}" for row in outcome.left],
        "damage found by recovery, or mail set aside": [line for line in lines if line.note in ("damaged", "quarantined") and not _is_legal(line)],
    }
    found = {name: [str(each) for each in objects] for name, objects in objections.items()}
    sizes = [len(places) for _, places in truth.outlook.deaths()]
    recovered = [line.number("elapsed") for line in lines if line.note == "recovered"]
    rows: list[tuple[str, object]] = [
        ("seed", outcome.size.seed),
        ("seconds", round(outcome.seconds)),
        ("messages acknowledged", sum(attempt.acked_at > 0 for attempt in outcome.attempts)),
        ("messages sent and not acknowledged", sum(attempt.dot_at > 0 and not attempt.acked_at for attempt in outcome.attempts)),
        ("recipients acknowledged", sum(len(attempt.recipients) for attempt in outcome.attempts if attempt.acked_at)),
        ("copies arrived", len(outcome.copies)),
        ("notifications arrived", len(outcome.bounces)),
        ("kills", len(outcome.kills)),
        ("  of two at once", sum(len(kill.deaths) > 1 for kill in outcome.kills)),
        ("  by process", _counts(Counter(death.kind for kill in outcome.kills for death in kill.deaths))),
        ("  with mail in hand", f"{in_hand} ({100 * in_hand // max(1, len(outcome.kills))} %)"),
        *((f"  in the window {window}", windows[window]) for window in WINDOWS),
        ("duplicates seen", len(doubled)),
        ("  of them predicted", len(doubled) - len(unexplained)),
        ("mean size of the predicted set", f"{sum(sizes) / max(1, len(sizes)):.2f}"),
        ("largest predicted set", max(sizes, default=0)),
        ("recipients set aside after three crashes, released", outcome.released),
        ("recoveries", len(recovered)),
        ("longest recovery, ms", max(recovered, default=0) // 1000),
        ("log lines", len(lines)),
        ("log lines damaged", damaged_lines),
        ("exit status of the orderly stop", outcome.stop_status),
        *((name, len(objects)) for name, objects in found.items()),
    ]
    table = "\n".join(f"  {name[:70]:<70} {value}" for name, value in rows)
    return Findings(found, {window: windows[window] for window in WINDOWS}, len(outcome.kills), in_hand, table)


def _goes_to(outcome: Outcome) -> Callable[[str, str], bool]:
    def goes_to(destination: str, address: str) -> bool:
        domain = address.rpartition("@")[2]
        if domain in (LOCAL, f"mx.{LOCAL}"):
            return is_local(destination)
        return destination.endswith(outcome.destinations[domain])

    return goes_to


def _is_legal(line: Line) -> bool:
    """What a storm of kills may bring about: mail that was in hand at three deaths of QMGR (A14; L4 looks at these)."""
    return line.note == "quarantined" and judge.POISON in line.text("reason")


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


def complain(findings: Findings) -> str:
    """The first few objections of each kind, for a failure's text; empty when there are none."""
    texts = []
    for name, objects in findings.objections.items():
        if objects:
            texts.append(f"{name}: {len(objects)}\n" + "\n".join(f"    {each[:400]}" for each in objects[:5]))
    return "\n".join(texts)
