"""L1: once everything is well, every queued recipient leaves within its schedule, or expires with a DSN.

Bound: the longest wait between two attempts with its jitter, the longest back-off of a destination and the minute within which others come back
behind its probe, and slack for recovery and restarts, counted from the beginning of the liveness phase or from when the recipient came, whichever
is later. A wall clock that is set back adds nothing: what waits then waits no longer than that (F26). Nor do time-outs that run when the faults
end: who is waited for in vain hangs up then. Held mail and mail in quarantine wait for people.
"""

from typing import Final

from sim.duplicates import Outlook
from sim.facts import Crashed, Noted, QueueSeen
from sim.ledger import Ledger, Place
from sim.observer import Handlers, Violation, violate
from smx.units import MINUTE

SLACK_US: Final = MINUTE
PROBE_CROWD_US: Final = MINUTE
WAITING: Final = ("held", "quarantined")
CLOCKS: Final = frozenset(("F26", "F28"))  # stamps and times do not agree then
ATTEMPTS_MIN: Final = 2


class QueueDrains:
    id = "L1"
    sentence = "when the faults have ended every queued recipient leaves within its schedule bound, or expires with a DSN"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._ledger = ledger
        self._open: dict[Place, Noted] = {}
        self._put_off: dict[Place, Noted] = {}  # its verdict was "deferred", and nobody has said yet when it is tried again
        self.handlers: Handlers = {
            Crashed: self._on_crashed,
            "recipient": self._on_recipient,
            "recorded": self._on_recorded,
            "verdict": self._on_verdict,
            "deferred": self._on_deferred,
            "removed": self._on_gone,
            "quarantined": self._on_gone,
            "expanded": self._on_gone,
            "audit": self._on_audit,
        }

    @property
    def bound(self) -> int:
        """Microseconds."""
        limit = self._ledger.limit
        longest = limit("qmgr.retry.max", 0) * (100 + limit("qmgr.retry.jitter_percent", 0)) // 100
        return longest + limit("qmgr.retry.dead_max", 0) * 11 // 10 + PROBE_CROWD_US + limit("mcp.restart_max", 0) + limit("L1.slack", SLACK_US)

    def _on_recipient(self, fact: Noted) -> None:
        self._open[fact.values[0], fact.values[1]] = fact

    def _on_verdict(self, fact: Noted) -> None:
        """The last one, unless `deferred` follows."""
        place = (fact.values[0], fact.values[1])
        came = self._open.pop(place, None)
        if fact.values[3] == "deferred":
            self._put_off[place] = fact
        if came is not None and self._ledger.ended is not None:
            self._judge(came, fact)

    def _judge(self, came: Noted, left: Noted) -> None:
        since = max(came.at, self._ledger.healed_at())
        if left.at - since > self.bound and not self._ledger.lossy and left.values[3] != "deferred":
            violate(self, left.at, f"it took {(left.at - since) // 1_000_000} s to be {left.values[3]}, more than {self.bound // 1_000_000}", came, left)

    def _on_deferred(self, fact: Noted) -> None:
        place = (fact.values[0], fact.values[1])
        envelope = self._ledger.envelopes.get(place[0])
        self._open[place] = envelope.submitted if envelope is not None else fact
        self._put_off.pop(place, None)
        wait, least = fact.values[3] - fact.at, self._ledger.limit("qmgr.retry.min", 0)
        if 0 <= wait < least and not self._ledger.lossy and self._ledger.families.isdisjoint(CLOCKS):
            violate(self, fact.at, f"it is to be tried again after {wait} us, sooner than {least}", fact)

    def _on_recorded(self, fact: Noted) -> None:
        """A verdict is durable: one of "deferred" behind which there is no further attempt is an expiry."""
        last = self._put_off.pop((fact.values[0], fact.values[1]), None)
        envelope = self._ledger.envelopes.get(fact.values[0])
        if last is None or envelope is None or self._ledger.lossy:
            return
        attempts, least = last.values[2], self._ledger.limit("qmgr.retry.attempts_min", ATTEMPTS_MIN)
        if attempts < least:
            violate(self, fact.at, f"it is given up after {attempts} attempts, fewer than {least}", envelope.submitted, last, fact)
        age, give_up = last.at - envelope.submitted.at, self._ledger.limit("qmgr.retry.give_up", 0)
        if age < give_up and self._ledger.families.isdisjoint(CLOCKS):
            violate(self, fact.at, f"it is given up after {age // 1_000_000} s, earlier than {give_up // 1_000_000}", envelope.submitted, last, fact)

    def _on_crashed(self, fact: Crashed) -> None:
        """What QMGR was about to say of the verdict nobody hears."""
        if fact.process in ("qmgr", "power"):
            self._put_off.clear()

    def _on_gone(self, fact: Noted) -> None:
        self._open.pop((fact.values[0], fact.values[1]), None)
        self._put_off.pop((fact.values[0], fact.values[1]), None)

    def _on_audit(self, fact: Noted) -> None:
        """An operator has held or released something: its time is his affair."""
        self._open.clear()
        self._put_off.clear()

    def finish(self, at: int) -> None:
        ledger = self._ledger
        queue: QueueSeen | None = ledger.queue
        if ledger.ended is None or queue is None:
            return
        for row in queue.rows:
            envelope = ledger.envelopes.get(row.transaction)
            since = max(ledger.healed_at(), envelope.submitted.at if envelope is not None else 0)
            if row.state not in WAITING and queue.at - since > self.bound:
                facts = (ledger.ended, envelope.submitted) if envelope is not None else (ledger.ended,)
                violate(self, queue.at, f"{row.recipient!r} is still {row.state} after {(queue.at - since) // 1_000_000} s without faults", *facts, queue)
