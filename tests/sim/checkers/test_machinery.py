"""I9 to I16: what goes on inside. Each checker is silent about a good history and objects to each bad one."""

from collections.abc import Callable

import pytest

from sim.facts import Bound, Compared, Crashed, Fact, FaultEnded, FaultInjected, Leftovers, Refused, Stopped
from sim.facts import Configured as Limit
from tests.sim.checkers.history import (
    ALICE,
    BOB,
    DSN,
    OTHER,
    QMGR,
    SESSION,
    SMTPS,
    T,
    accepted,
    calm,
    deferred,
    delivery,
    dot,
    envelope,
    judge,
    noted,
    notified,
    order,
    power,
    queue,
    recorded,
    segment,
    verdict,
)

History = list[Fact]
NEXT = QMGR + 100
LATER = noted(600, "qmgr", "durable", T, epoch=NEXT)
STARTED = noted(500, "qmgr", "started", NEXT, epoch=NEXT)


def recovered(at: int, recipients: int = 0, rows: int = 0) -> Fact:
    return noted(at, "qmgr", "recovered", 1, recipients, rows, 1000, epoch=NEXT)


def damaged(at: int, store: str = "ibdb", reason: str = "corrupt: checksum") -> Fact:
    return noted(at, "qmgr", "damaged", store, 1, 64, 100, reason, epoch=NEXT)


def flipped(at: int, place: str) -> FaultInjected:
    return FaultInjected(at, "F10", "an octet flips", place, must_show=True)


IBDB, CDB = "/spool/ibdb/0000000000000001.ibdb", "/spool/cdb/0000000000000001.cdb"
FILES = (segment(QMGR, 7), segment(SMTPS, 1), segment(SMTPS, 2))

SILENT: dict[str, dict[str, History]] = {
    "I9": {
        "everything is found": [*accepted(), power(300), STARTED, recovered(510, 2)],
        "the other's verdict is a record without a row": [*accepted(), verdict(100, 1, "deferred", code=450), power(300), recovered(510, 1)],
        "some of it in DEFEDB": [*accepted(), verdict(100, 1, "deferred", code=450), deferred(100, 1), power(300), STARTED, recovered(510, 1, 1)],
        "what is done need not be found": [*accepted(), *delivery(100, 1, 0, ALICE), power(300), STARTED, recovered(510, 1)],
        "what was delivered before it was stored": [*envelope(20), verdict(25, 0), noted(30, "qmgr", "durable", T), power(300), recovered(510, 1)],
        "what has expired": [*accepted(), verdict(100, 1, "deferred", attempt=9, code=450), *notified(101), power(300), recovered(510, 1)],
        "an operator did something": [*accepted(), noted(90, "qmgr", "audit", "root", "bounce", "", 2), power(300), recovered(510)],
        "quarantined in recovery": [*accepted(), power(300), noted(505, "qmgr", "quarantined", T, 1, "why", epoch=NEXT), recovered(510, 1)],
        "a torn end": [power(300), damaged(505, reason="torn end: checksum"), recovered(510)],
        "damage is reported": [flipped(300, IBDB), power(301), damaged(505), recovered(510)],
        "a stop in order": [*accepted(), Stopped(300, "qmgr", QMGR), STARTED, recovered(510)],
    },
    "I10": {
        "spares are left": [queue(900), Leftovers(901, FILES, (QMGR, SMTPS), 0, 100, 200)],
        "the queue is not empty": [queue(900, (T, 1, BOB)), Leftovers(901, (segment(7, 1),), (QMGR,), 1)],
        "content that the disk lost": [flipped(1, CDB), damaged(2, "cdb", "missing; 1 references to it")],
    },
    "I11": {
        "one after the other": calm(),
        "tried again": [*order(1, 1, 0), verdict(2, 0, "deferred"), *order(3, 2, 0), verdict(4, 0, attempt=2)],
        "a crash between": [*order(1, 1, 0), Crashed(2, "qmgr", QMGR), *order(3, 2, 0, epoch=NEXT)],
        "a stop between": [*order(1, 1, 0), Stopped(2, "qmgr", QMGR), *order(3, 2, 0, epoch=NEXT)],
        "as many as may be": [Limit(0, "qmgr.smtpc.max_connections", 2), *order(1, 1, 0), *order(2, 2, 1), verdict(3, 0), *order(4, 3, 0, transaction=OTHER)],
        "each once": [queue(9, (T, 0, ALICE), (T, 1, BOB), (OTHER, 0, ALICE))],
    },
    "I14": {
        "after recovery": [STARTED, recovered(510), *envelope(520, epoch=NEXT), *order(530, 1, 0, epoch=NEXT)],
        "the same": [Compared(1, "recovery again", True)],
    },
    "I15": {
        "it ends itself": [
            FaultInjected(50, "F7", "EIO", IBDB, "qmgr", QMGR),
            Crashed(51, "qmgr", QMGR, "halt"),
            STARTED,
            noted(600, "qmgr", "durable", T, epoch=NEXT),
        ],
        "another process goes on": [FaultInjected(50, "F8", "EIO", CDB, "smtps.mx.0", SMTPS), noted(60, "qmgr", "durable", T)],
        "full, and 452": [FaultInjected(50, "F11", "", "/spool"), Refused(60, "t1", (), "mail", 452, "4.3.1 Insufficient system storage")],
        "full, and no such user": [FaultInjected(50, "F11", "", "/spool"), Refused(60, "t1", (ALICE,), "rcpt", 550, "5.1.1 No such user")],
        "no longer full": [FaultInjected(50, "F11", "", "/spool"), FaultEnded(55, "F11", "/spool"), Refused(60, "t1", (), "mail", 552, "5.3.1 storage")],
        "killed from outside": [Crashed(1, "qmgr", QMGR), power(2)],
        "damage is reported": [flipped(1, CDB), noted(2, "qmgr", "quarantined", T, 0, "the content is damaged or missing")],
    },
    "I16": {"within": [Bound(1, "descriptors", 10, 10)]},
}

VIOLATIONS: dict[str, dict[str, History]] = {
    "I9": {
        "a commit is forgotten": [*accepted(), power(300), STARTED, recovered(510, 1)],
        "one of a message that was tried for the other": [*accepted(), verdict(100, 1, "deferred", code=450), deferred(100, 1), power(300), recovered(510)],
        "a notification is forgotten": [*notified(20), noted(30, "qmgr", "durable", DSN), power(300), recovered(510)],
        "corrupt without a cause": [power(300), damaged(505), recovered(510)],
        "damage is not reported": [flipped(300, IBDB), power(301), STARTED, recovered(510)],
        "killed, and forgotten": [*accepted(), Crashed(300, "qmgr", QMGR), recovered(510)],
    },
    "I10": {
        "the segment of somebody dead": [queue(900), Leftovers(901, (*FILES, segment(7, 1)), (QMGR, SMTPS))],
        "one segment too many": [queue(900), Leftovers(901, (*FILES, segment(SMTPS, 3)), (QMGR, SMTPS))],
        "rubbish": [queue(900), Leftovers(901, ("rubbish",), (QMGR, SMTPS))],
        "rows": [queue(900), Leftovers(901, FILES, (QMGR, SMTPS), rows=1)],
        "space": [queue(900), Leftovers(901, FILES, (QMGR, SMTPS), 0, 300, 200)],
        "an envelope without content": [damaged(2, "cdb", "missing; 1 references to it")],
        "content that nothing damaged": [noted(2, "qmgr", "quarantined", T, 0, "the content is damaged or missing")],
    },
    "I11": {
        "twice in flight": [*order(1, 1, 0), *order(2, 2, 0)],
        "too many to one destination": [Limit(0, "qmgr.smtpc.max_connections", 1), *order(1, 1, 0), *order(2, 2, 1)],
        "too many in all": [Limit(0, "qmgr.smtpc.deliveries_max", 1), *order(1, 1, 0), *order(2, 2, 1, destination="other.example")],
        "twice in the queue": [queue(9, (T, 0, ALICE), (T, 0, ALICE))],
        "an attempt ends twice": [*order(1, 1, 0), verdict(2, 0), verdict(3, 0)],
    },
    "I14": {
        "a delivery in recovery": [STARTED, *order(505, 1, 0, epoch=NEXT), recovered(510)],
        "mail is taken in recovery": [STARTED, *envelope(505, epoch=NEXT), recovered(510)],
        "something else": [Compared(1, "recovery again", False, "one row more")],
    },
    "I15": {
        "250 after a failed sync": [FaultInjected(50, "F7", "EIO", CDB, "smtps.mx.0", SMTPS), noted(60, "smtps.mx.0", "accepted", SESSION, T, 2, 100)],
        "durable after a failed sync": [FaultInjected(50, "F8", "EIO", IBDB, "qmgr", QMGR), noted(60, "qmgr", "durable", T)],
        "a verdict is recorded": [FaultInjected(50, "F7", "EIO", IBDB, "qmgr", QMGR), recorded(60, 1)],
        "full, and refused for good": [FaultInjected(50, "F11", "", "/spool"), Refused(60, "t1", (), "mail", 552, "5.3.1 Insufficient storage")],
        "damage in silence": [flipped(1, CDB), recorded(2, 1)],
        "a bug": [Crashed(1, "qmgr", QMGR, "bug")],
        "it ends itself, and nobody knows why": [Crashed(1, "qmgr", QMGR, "halt")],
    },
    "I16": {
        "beyond": [Bound(1, "descriptors", 11, 10)],
        "one of many": [Bound(1, "descriptors", 1, 10), Bound(2, "session 5", 70_000, 65_536), Bound(3, "session 5", 80_000, 65_536)],
    },
}


def cases(table: dict[str, dict[str, History]]) -> list[object]:
    return [pytest.param(invariant, facts, id=f"{invariant}-{claim}") for invariant, rows in table.items() for claim, facts in rows.items()]


@pytest.mark.parametrize(("invariant", "facts"), cases(SILENT))
def test_a_good_history_is_no_violation(invariant: str, facts: History) -> None:
    assert judge(invariant, facts) == []


@pytest.mark.parametrize(("invariant", "facts"), cases(VIOLATIONS))
def test_a_bad_history_is_a_violation_with_the_facts_that_prove_it(invariant: str, facts: History) -> None:
    found = judge(invariant, facts)
    assert {violation.invariant for violation in found} == {invariant}
    assert all(violation.facts and violation.what and violation.render() for violation in found)


@pytest.mark.parametrize("fault", ["F16", "F13"])
def test_what_the_disk_itself_took_is_not_laid_at_the_door_of_the_mta(fault: str) -> None:
    """A lying disk after a power loss, a restored backup: loss and duplicates are theirs."""
    history: History = [*accepted(), FaultInjected(50, fault), power(60), queue(900)]
    for invariant in ("I1", "I6", "I9"):
        assert judge(invariant, history) == []


def test_a_log_with_holes_excuses_what_its_holes_may_hide() -> None:
    """Of a live run the last lines of a killed process are lost."""
    holes: list[Callable[[], History]] = [
        lambda: [noted(25, "smtps.mx.0", "accepted", SESSION, T, 2, 100), Crashed(30, "qmgr", QMGR)],
        lambda: [*order(1, 1, 0), *order(2, 2, 0), dot(3, 2)],
    ]
    for invariant, history in zip(("I2", "I11"), holes, strict=True):
        assert judge(invariant, history(), lossy=True) == []
    assert judge("I2", [*envelope(1), noted(25, "smtps.mx.0", "accepted", SESSION, T, 2, 100)], lossy=True)
