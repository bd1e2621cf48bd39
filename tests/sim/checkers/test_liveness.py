"""L1 to L7: what happens in the end. Each checker is silent about a good history and objects to each bad one."""

import pytest

from sim.facts import Arrived, Configured, Crashed, Fact, FaultInjected, FaultsEnded, Healed, Phase, Stopped
from smx.units import MIB, MINUTE, SECOND
from tests.sim.checkers.history import (
    ALICE,
    BOB,
    HOST,
    OTHER,
    QMGR,
    SMTPS,
    T,
    accepted,
    arrived,
    deferred,
    envelope,
    judge,
    noted,
    order,
    power,
    queue,
    sent,
    verdict,
)

History = list[Fact]
RETRY = [Configured(0, "qmgr.retry.max", 60 * SECOND), Configured(0, "qmgr.retry.dead_max", 60 * SECOND), Configured(0, "L1.slack", 10 * SECOND)]
WINDOW = [Configured(0, "qmgr.smtpc.initial_connections", 2)]
DEAD, ALIVE = (noted(10, "qmgr", "destination", HOST, "dead", b"refused"), noted(50, "qmgr", "destination", HOST, "alive", ""))
WAITING = [*RETRY, *accepted(), *order(100, 1, 0, 1), verdict(110, 0, "deferred"), verdict(110, 1, "deferred"), deferred(110, 0), deferred(110, 1)]
POISON = "in hand at too many crashes"
GONE = [verdict(3 * SECOND, 0), verdict(3 * SECOND, 1)]
SLOW = FaultInjected(5, "F37", "hangs", "slow.example")


def in_hand(deaths: int) -> History:
    """So many QMGRs that died with T in hand."""
    return [
        fact
        for number in range(deaths)
        for fact in (noted(number, "qmgr", "begun", number, T, HOST, 1, 1, epoch=QMGR + number), Crashed(number, "qmgr", QMGR + number, "poison", T))
    ]


def copies(start: int, until: int, every: int, name: str) -> History:
    return [Arrived(at, f"{name}{at}", BOB, HOST) for at in range(start, until, every)]


def recovery(octets: int, elapsed: int) -> History:
    return [noted(1, "qmgr", "recovering", 3, octets), noted(2, "qmgr", "recovered", 1, 1, 1, elapsed)]


STEADY = [Phase(0, "steady"), *copies(1, 10 * SECOND, SECOND, "a")]

SILENT: dict[str, dict[str, History]] = {
    "L1": {
        "it leaves in time": [*WAITING, FaultsEnded(SECOND), verdict(60 * SECOND, 0), verdict(61 * SECOND, 1), queue(300 * SECOND)],
        "its time is not over": [*WAITING, FaultsEnded(SECOND), queue(60 * SECOND, (T, 1, BOB))],
        "held": [*WAITING, FaultsEnded(SECOND), queue(600 * SECOND, (T, 1, BOB), state="held")],
        "in quarantine": [*WAITING, FaultsEnded(SECOND), queue(600 * SECOND, (T, 1, BOB), state="quarantined")],
        "faults go on": [*WAITING, queue(600 * SECOND, (T, 1, BOB))],
        "it came late": [*RETRY, FaultsEnded(SECOND), *envelope(590 * SECOND), queue(600 * SECOND, (T, 1, BOB))],
    },
    "L2": {
        "small and quick": recovery(64 * 1024, SECOND),
        "large and slow": recovery(30 * MIB, 20 * SECOND),
        "the disk stalled": [FaultInjected(0, "F12"), *recovery(0, 20 * SECOND)],
    },
    "L3": {
        "one probe": [*WINDOW, DEAD, *order(20, 1, 0), verdict(30, 0), ALIVE, *order(60, 2, 1), *order(61, 3, 0, transaction=OTHER)],
        "another destination": [*WINDOW, DEAD, *order(20, 1, 0, destination="x"), *order(21, 2, 1, destination="x")],
        "the backlog drains": [
            *WAITING,
            Healed(SECOND, HOST),
            *order(2 * SECOND, 5, 0, 1),
            verdict(3 * SECOND, 0),
            verdict(3 * SECOND, 1),
            queue(900 * SECOND),
        ],
        "time is left": [*WAITING, Healed(SECOND, HOST), queue(20 * SECOND)],
        "a new QMGR knows nothing of it": [*WINDOW, DEAD, *order(20, 1, 0), power(25), *order(30, 2, 0), *order(31, 3, 1)],
    },
    "L4": {
        "after three crashes": [*in_hand(3), noted(99, "qmgr", "quarantined", T, 0, POISON, epoch=QMGR + 99)],
        "in recovery": [
            *(noted(number, "qmgr", "recovering", 1, 1, epoch=QMGR + number) for number in range(3)),
            noted(99, "qmgr", "quarantined", T, 0, POISON, epoch=QMGR + 99),
        ],
        "for another reason": [noted(99, "qmgr", "quarantined", T, 0, "the content is damaged or missing")],
    },
    "L5": {
        "as before": [
            Phase(0, "steady"),
            *copies(1, 10 * SECOND, SECOND, "a"),
            Phase(10 * SECOND, "trouble"),
            Phase(20 * SECOND, "judged"),
            *copies(20 * SECOND, 30 * SECOND, SECOND, "b"),
        ],
        "no such phases": copies(1, 10 * SECOND, SECOND, "a"),
    },
    "L6": {
        "quick": [SLOW, sent(10), arrived(SECOND)],
        "only the slow one is slow": [SLOW, sent(10, recipients=("x@slow.example",)), arrived(90 * SECOND, "x@slow.example")],
        "another fault": [SLOW, FaultInjected(6, "F12"), sent(10), arrived(90 * SECOND)],
        "a crash": [SLOW, power(8), sent(10), arrived(90 * SECOND)],
        "nothing is slow": [sent(10), arrived(90 * SECOND)],
    },
    "L7": {
        "in time": [noted(1, "smtps.mx.0", "stopping", "asked"), Stopped(20 * SECOND, "smtps.mx.0", SMTPS)],
        "killed": [
            noted(1, "smtps.mx.0", "stopping", "asked"),
            Crashed(2, "smtps.mx.0", SMTPS),
            noted(90 * SECOND, "smtps.mx.0", "started", SMTPS + 1, epoch=SMTPS + 1),
        ],
        "a power loss": [noted(1, "smtps.mx.0", "stopping", "asked"), power(2), queue(90 * SECOND)],
        "the disk stalled": [noted(1, "qmgr", "stopping", "asked"), FaultInjected(2, "F12"), Stopped(90 * SECOND, "qmgr", QMGR)],
    },
}

VIOLATIONS: dict[str, dict[str, History]] = {
    "L1": {
        "it never leaves": [*WAITING, FaultsEnded(SECOND), queue(300 * SECOND, (T, 1, BOB))],
        "an active one never leaves": [*WAITING, FaultsEnded(SECOND), queue(300 * SECOND, (T, 1, BOB), state="active")],
        "it leaves late": [*WAITING, FaultsEnded(SECOND), verdict(300 * SECOND, 0), queue(301 * SECOND)],
    },
    "L2": {
        "small and slow": recovery(64 * 1024, 20 * SECOND),
        "by its own measure": [Configured(0, "L2.a", 100), Configured(0, "L2.b_per_mib", 0), *recovery(MIB, 101)],
    },
    "L3": {
        "two probes": [DEAD, *order(20, 1, 0), *order(21, 2, 1)],
        "a herd": [*WINDOW, DEAD, ALIVE, *(fact for number in range(4) for fact in order(60, number, 0, transaction=T + number))],
        "the backlog stays": [*WAITING, Healed(SECOND, HOST), queue(900 * SECOND, (T, 1, BOB))],
    },
    "L4": {
        "too early": [*in_hand(2), noted(99, "qmgr", "quarantined", T, 0, POISON, epoch=QMGR + 99)],
        "the third time is not over": [*in_hand(2), noted(98, "qmgr", "begun", 98, T, HOST, 1, 1), noted(99, "qmgr", "quarantined", T, 0, POISON)],
        "never": in_hand(9),
    },
    "L5": {
        "half of it": [
            Phase(0, "steady"),
            *copies(1, 10 * SECOND, SECOND, "a"),
            Phase(10 * SECOND, "judged"),
            *copies(10 * SECOND, 20 * SECOND, 2 * SECOND, "b"),
        ],
        "copies of the same": [*STEADY, Phase(10 * SECOND, "judged"), *copies(1, 10 * SECOND, SECOND, "a")],
    },
    "L6": {
        "another one is slow": [SLOW, sent(10), arrived(90 * SECOND)],
        "by its own measure": [Configured(0, "L6.bound", 100), SLOW, sent(10, recipients=(ALICE,)), arrived(200, ALICE)],
    },
    "L7": {
        "too long": [noted(1, "smtps.mx.0", "stopping", "asked"), Stopped(40 * SECOND, "smtps.mx.0", SMTPS)],
        "never": [noted(1, "smtps.mx.0", "stopping", "asked"), queue(MINUTE)],
    },
}


def cases(table: dict[str, dict[str, History]]) -> list[object]:
    return [pytest.param(invariant, facts, id=f"{invariant}-{claim}") for invariant, rows in table.items() for claim, facts in rows.items()]


@pytest.mark.parametrize(("invariant", "facts"), cases(SILENT))
def test_a_good_history_is_no_violation(invariant: str, facts: History) -> None:
    assert judge(invariant, facts, end=max(20 * SECOND, facts[-1].at + 1) if invariant == "L5" else 0) == []


@pytest.mark.parametrize(("invariant", "facts"), cases(VIOLATIONS))
def test_a_bad_history_is_a_violation_with_the_facts_that_prove_it(invariant: str, facts: History) -> None:
    found = judge(invariant, facts, end=20 * SECOND if invariant == "L5" else 0)
    assert {violation.invariant for violation in found} == {invariant}
    assert all(violation.facts and violation.what and violation.render() for violation in found)
