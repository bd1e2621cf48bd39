"""Judges of a campaign: the checkers of the simulator, on what clients, sinks and Maildirs know and on the event log (sim.eventlog).

A component's `dot` is flushed to the log before the octets of its step go to the socket (smx/live/runner.py), so a kill -9 cannot hide a copy.
Other lines of the last loop turn are lost with a killed process: where a delivery's order or recipients are, the set of what may be repeated
(sim.duplicates) becomes larger, never smaller.
"""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from sim.eventlog import LIVE, GoesTo, Line, facts
from sim.facts import Arrived, Bounced, Crashed, Fact, Promised, Refused, Submitted
from sim.truth import Truth
from smx.ids import id_number
from tests.live.notifications import Bounce
from tests.live.traffic import Attempt, Copy

Pair = tuple[str, str]  # token, recipient
POISON = "crashes"  # in the reason of a quarantine that a storm of kills may bring about (A14)


class Death(Struct, frozen=True):
    """A process that was killed. `at`: wall microseconds, right before the signal."""

    process: str
    epoch: int
    at: int

    @property
    def kind(self) -> str:
        return self.process.partition(".")[0]


class Kill(Struct, frozen=True):
    """One strike of the campaign: one process, or several at once."""

    number: int
    aim: str
    deaths: tuple[Death, ...]

    @property
    def at(self) -> int:
        return self.deaths[0].at

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(death.kind for death in self.deaths)


def judge(lines: Iterable[Line], kills: Iterable[Kill], goes_to: GoesTo, others: Iterable[Fact] = (), ids: Iterable[str] = LIVE) -> Truth:
    """All facts of a run, seen by the checkers that a log can feed. The end of the run is not judged yet."""
    truth = Truth(ids, lossy=True)
    deaths = [Crashed(death.at, death.process, death.epoch) for kill in kills for death in kill.deaths]
    for fact in facts(lines, deaths, goes_to, others):
        truth.observe(fact)
    return truth


def outside(attempts: Sequence[Attempt], copies: Iterable[Copy], bounces: Iterable[Bounce], end: int = 0) -> list[Fact]:
    """What clients, sinks and Maildirs know. When a notification arrived is not known: it counts as the last thing, at `end`.

    The time of a file is that of the kernel's last tick: it may lie before the dot, which was sent before all the same.
    """
    found: list[Fact] = []
    sent_at = {attempt.token: attempt.dot_at for attempt in attempts}
    for attempt in attempts:
        if attempt.dot_at:
            found.append(Submitted(attempt.dot_at, attempt.token, attempt.sender, attempt.recipients))
        if attempt.acked_at:
            found.append(Promised(attempt.acked_at, attempt.token, number_of(attempt.transaction)))
        elif attempt.dot_at and attempt.code >= 400:
            found.append(Refused(attempt.ended_at, attempt.token, attempt.recipients, "dot", attempt.code))
    for copy in copies:
        at = max(copy.at, sent_at.get(copy.token, 0))
        found.append(Arrived(at, copy.token, copy.recipient, "", number_of(copy.transaction), None, "" if copy.intact else "the checksum differs"))
    for bounce in bounces:
        sender = bounce.reverse_path.strip("<>")
        found += [Bounced(end, bounce.token, one.recipient, one.action, bounce.message_id, "", sender, bounce.complaints) for one in bounce.recipients]
        if not bounce.recipients:
            found.append(Bounced(end, bounce.token, "", "", bounce.message_id, "", sender, bounce.complaints))
    return found


def number_of(transaction: str) -> int:
    """0 for what is no id."""
    try:
        return id_number(transaction)
    except ValueError:
        return 0


def returned(bounces: Iterable[Bounce], rightly: Callable[[str], bool]) -> list[Pair]:
    """Failures that were reported although nobody refused the recipient: what the sinks of a campaign do is no business of a checker."""
    return [(bounce.token, one.recipient) for bounce in bounces for one in bounce.recipients if one.action == "failed" and not rightly(one.recipient)]
