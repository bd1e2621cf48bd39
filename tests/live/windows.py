"""Windows: at which moments of a message's life the kills of a campaign fell, by the event log and the clients' own clocks.

    window          begins with                         ends with                           whose death counts
    dot-submission  the client wrote the final dot      `submitted`                         its SMTPS, QMGR, MCP
    submission-250  `submitted`                         `accepted`, `refused`, `vanished`   its SMTPS, QMGR, MCP
    dot-verdict     `dot`                               `verdict`                           that SMTPC, QMGR, MCP
    recovery        `recovering`                        `recovered`                         QMGR, MCP
    spill           `spilled`                           SPILL_US later                      QMGR, MCP

`spilled` is noted when a batch is on disk; the batches of a burst follow each other, so a death right behind the note falls between two of them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct

from sim.eventlog import Line
from smx.ids import SESSION_BITS, id_number
from tests.live.judge import Kill
from tests.live.traffic import Attempt

WINDOWS = ("dot-submission", "submission-250", "dot-verdict", "recovery", "spill")
SPILL_US = 100_000


class Strike(Struct, frozen=True):
    """What a kill hit, by the log and the clients' own clocks."""

    number: int
    windows: frozenset[str]
    in_hand: bool


class Scene:
    """The state of the MTA at a moment of the log, as far as the windows need it."""

    def __init__(self) -> None:
        self._unanswered: dict[str, int] = {}  # transaction -> epoch of the SMTPS that has its client
        self._live: dict[str, bool] = {}  # transaction -> durable
        self._dots: dict[str, dict[int, int]] = defaultdict(dict)  # transaction -> delivery -> epoch of the SMTPC
        self._recovering: set[int] = set()
        self._spilled_at: dict[int, int] = {}
        self.submitted: dict[str, int] = {}  # sender -> at

    def on_line(self, line: Line) -> None:
        values = line.values
        transaction = values.get("transaction", "")
        match line.note:
            case "submitted":
                self._unanswered[transaction] = id_number(values["session"]) >> SESSION_BITS
                self._live[transaction] = False
                self.submitted.setdefault(values["sender"], line.at)
            case "durable":
                self._live[transaction] = True
            case "accepted" | "refused" | "vanished":
                self._unanswered.pop(transaction, None)
            case "closed":
                self._live.pop(transaction, None)
                self._dots.pop(transaction, None)
            case "dot":
                self._dots[transaction][values["delivery"]] = line.epoch
            case "verdict":
                self._dots.pop(transaction, None)
            case "recovering":
                self._recovering = {line.epoch}
                self._unanswered.clear()
                self._dots.clear()
            case "recovered":
                self._recovering.clear()
                self._live = {name: True for name, durable in self._live.items() if durable}
            case "spilled":
                self._spilled_at[line.epoch] = line.at

    def windows(self, kill: Kill) -> set[str]:
        """All but dot-submission, which the clients know."""
        queue = bool(kill.kinds & {"qmgr", "mcp"})
        epochs = {death.epoch for death in kill.deaths}
        found = set()
        if (queue and self._unanswered) or epochs & set(self._unanswered.values()):
            found.add("submission-250")
        if any((queue or set(dots.values()) & epochs) for dots in self._dots.values() if dots):
            found.add("dot-verdict")
        if self._recovering and (queue or self._recovering & epochs):
            found.add("recovery")
        if queue and any(kill.at - at <= SPILL_US for at in self._spilled_at.values()):
            found.add("spill")
        return found

    @property
    def in_hand(self) -> bool:
        return bool(self._live or self._dots)


def strikes(lines: Iterable[Line], kills: Iterable[Kill], attempts: Iterable[Attempt], pids: Mapping[int, int]) -> list[Strike]:
    """What each kill hit. `pids`: process id -> epoch of the SMTPS processes."""
    scene = Scene()
    waiting = sorted(kills, key=lambda kill: kill.at)
    tried = sorted((attempt for attempt in attempts if attempt.dot_at), key=lambda attempt: attempt.dot_at)
    found: list[tuple[Kill, set[str], bool]] = []
    for line in lines:
        while waiting and waiting[0].at < line.at:
            kill = waiting.pop(0)
            found.append((kill, scene.windows(kill), scene.in_hand))
        scene.on_line(line)
    found += [(kill, scene.windows(kill), scene.in_hand) for kill in waiting]
    return [_with_clients(kill, windows, in_hand, tried, scene.submitted, pids) for kill, windows, in_hand in found]


def _with_clients(kill: Kill, windows: set[str], in_hand: bool, tried: list[Attempt], submitted: Mapping[str, int], pids: Mapping[int, int]) -> Strike:
    """Add what the clients know: dots that were written and not submitted when the process died."""
    queue = bool(kill.kinds & {"qmgr", "mcp"})
    epochs = {death.epoch for death in kill.deaths}
    for attempt in tried:
        if attempt.dot_at > kill.at:
            break
        if attempt.ended_at and attempt.ended_at < kill.at:
            continue
        in_hand = True
        concerned = queue or pids.get(attempt.server, 0) in epochs
        if concerned and not attempt.acked_at and submitted.get(attempt.sender, kill.at + 1) > kill.at:
            windows.add("dot-submission")
    return Strike(kill.number, frozenset(windows), in_hand)
