"""I1 to I8: what the world outside can see. Each checker is silent about a good history and objects to each bad one."""

import pytest

from sim.facts import Bounced, Crashed, Fact, FaultInjected, Promised, Refused, ReplyLost, Sent250
from sim.observer import Violation
from smx.messages import Notify
from tests.sim.checkers.history import (
    ALICE,
    BOB,
    DSN,
    DSN2,
    OTHER,
    QMGR,
    SAM,
    SESSION,
    SMTPS,
    T,
    accepted,
    arrived,
    bounced,
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
    sent,
    verdict,
    without,
)

History = list[Fact]
FAILED = [*accepted(), *delivery(100, 1, 0, ALICE), *order(200, 2, 1), verdict(230, 1, "failed", code=550), recorded(240, 1)]
LIST = "list@lab.example"
POSTMASTER = "postmaster@lab.example"
EXPANDED = [
    *accepted(recipients=(LIST,)),
    noted(50, "qmgr", "expanded", T, 0, LIST.encode(), ALICE.encode()),
    noted(50, "qmgr", "recipient", T, 1, ALICE.encode(), b"", 0),
    noted(50, "qmgr", "expanded", T, 0, LIST.encode(), BOB.encode()),
    noted(50, "qmgr", "recipient", T, 2, BOB.encode(), b"", 0),
    verdict(60, 0, "expanded"),
]
CORRUPT = noted(300, "qmgr", "damaged", "ibdb", 1, 64, 100, "corrupt: checksum")
NEXT = QMGR + 100
RESTARTED = noted(500, "qmgr", "started", NEXT, epoch=NEXT)


def again(at: int, *indices: int, recipient: str = BOB) -> History:
    """A second attempt by the next QMGR, with its copy."""
    number = at
    return [RESTARTED, *order(at, number, *indices, epoch=NEXT), dot(at + 10, number), arrived(at + 20, recipient)]


UNSETTLED: History = [*accepted(), *delivery(100, 1, 0, ALICE), *order(200, 2, 1), dot(210, 2), arrived(220)]
CUT: History = [sent(), *envelope(20), *order(21, 1, 0), dot(22, 1), arrived(23, ALICE), verdict(24, 0), verdict(24, 1)]

SILENT: dict[str, dict[str, History]] = {
    "I1": {
        "delivered": calm(),
        "returned": [*FAILED, *notified(250), bounced(300)],
        "the notification is still queued": [*FAILED, *notified(250), queue(400, (DSN, 0, SAM))],
        "the sender cannot be told, and a double bounce says so": [
            *FAILED,
            *notified(250),
            *notified(300, DSN, DSN2, POSTMASTER),
            bounced(400, SAM, about=DSN),
        ],
        "the double bounce failed too": [*FAILED, *notified(250), verdict(300, 0, "failed", transaction=DSN), noted(300, "qmgr", "unbounced", DSN, 0, "null")],
        "still queued": [*accepted(), *delivery(100, 1, 0, ALICE), queue(400, (T, 1, BOB))],
        "expanded": [*EXPANDED, arrived(100, ALICE), arrived(110, BOB)],
        "expanded, and one is queued": [*EXPANDED, arrived(100, ALICE), queue(110, (T, 2, BOB))],
        "nobody may be told": [*accepted(notify=Notify.NEVER), arrived(100, ALICE), noted(100, "qmgr", "unbounced", T, 1, "not asked for")],
        "there is nobody to tell": [*accepted(sender=""), arrived(100, ALICE), noted(100, "qmgr", "unbounced", T, 1, "null reverse-path")],
        "only success was asked for": [*accepted(notify=Notify.SUCCESS), arrived(100, ALICE), noted(100, "qmgr", "unbounced", T, 1, "not asked for")],
        "quarantined": [*accepted(), arrived(100, ALICE), noted(100, "qmgr", "quarantined", T, 1, "in hand at too many crashes")],
        "removed": [*accepted(), arrived(100, ALICE), noted(100, "qmgr", "removed", T, 1, "operator")],
        "refused": [sent(), Refused(40, "t1", (ALICE, BOB), "dot", 451)],
        "never answered": [sent(), *envelope(20), power(25)],
        "damage that was reported": [*accepted(), FaultInjected(200, "F10"), CORRUPT],
        "a copy was in doubt when it was returned": [*UNSETTLED, power(230), *notified(600), bounced(700)],
        "the reply was lost before it was returned": [*UNSETTLED, ReplyLost(230, "t1", BOB, "sink.example"), *notified(600), bounced(700)],
    },
    "I2": {
        "stored": [*accepted(), Sent250(42, "smtps.mx.0", T, True)],
        "not looked at": [*accepted(), Sent250(42, "smtps.mx.0", T)],
        "delivered before it was stored": [*CUT, noted(25, "smtps.mx.0", "accepted", SESSION, T, 2, 100)],
    },
    "I3": {
        "delivered": calm(),
        "never answered, and delivered": [sent(), arrived(90)],
        "421 leaves it open": [sent(), *envelope(20), Refused(40, "t1", (ALICE,), "dot", 421), *order(50, 1, 0), arrived(90)],
        "begun before it was refused": [sent(), *envelope(20), *order(30, 1, 0), Refused(40, "t1", (ALICE,), "dot", 451), arrived(90)],
    },
    "I4": {
        "to those who were accepted": calm(),
        "a domain in other letters": [sent(), arrived(90, "bob@SINK.example")],
        "to what an alias became": [*EXPANDED, arrived(100, ALICE), arrived(110, BOB)],
        "a list with an owner": [*EXPANDED, arrived(100, ALICE, sender="owner@lab.example")],
        "a notification": [bounced(300)],
    },
    "I5": {"as it was sent": calm()},
    "I6": {
        "once": calm(),
        "a power loss before the verdict was synced": [*UNSETTLED, power(230), *again(600, 1), verdict(630, 1, epoch=NEXT), recorded(640, 1, epoch=NEXT)],
        "a verdict that was not synced": [*UNSETTLED, verdict(225, 1), power(230), *again(600, 1)],
        "two crashes, three copies": [*UNSETTLED, power(230), *again(600, 1), Crashed(630, "power", 0, "power"), *again(700, 1)],
        "QMGR was killed": [*UNSETTLED, Crashed(230, "qmgr", QMGR), *again(600, 1)],
        "SMTPC was killed": [*UNSETTLED, Crashed(230, "smtpc.0"), verdict(240, 1, "deferred", code=0), *order(600, 6, 1, attempt=2), dot(610, 6), arrived(620)],
        "the reply was lost": [*UNSETTLED, ReplyLost(230, "t1", BOB, "sink.example"), verdict(240, 1, "deferred", code=0), arrived(620)],
        "deferred and tried again": [
            *accepted(),
            *order(50, 1, 1),
            dot(60, 1),
            verdict(70, 1, "deferred", code=450),
            recorded(80, 1),
            deferred(80, 1),
            *order(90, 2, 1),
        ],
        "a notification in a crash": [*FAILED, *notified(250), *order(260, 9, 0, transaction=DSN), dot(270, 9, DSN), bounced(280), power(290), bounced(900)],
    },
    "I7": {
        "told once": [*FAILED, *notified(250), bounced(300)],
        "two copies of one notification": [*FAILED, bounced(300), bounced(400)],
        "a delay and then a failure": [*FAILED, bounced(300, kind="delayed", number=1), bounced(400, number=2)],
        "a double bounce": [*FAILED, *notified(250), *notified(300, DSN, DSN2, POSTMASTER)],
        "each recipient": [*FAILED, bounced(300, ALICE), bounced(300, BOB, number=2)],
    },
    "I8": {
        "each its own": [*envelope(20), *envelope(20, OTHER), noted(1, "smtps.mx.0", "session", SESSION, "c", "mx"), *order(30, 1, 0), *order(31, 2, 1)],
        "a later epoch": [noted(1, "qmgr", "started", QMGR), RESTARTED],
    },
}

VIOLATIONS: dict[str, dict[str, History]] = {
    "I1": {
        "gone": [*accepted(), *delivery(100, 1, 0, ALICE), queue(400)],
        "gone, and never in the log": [*without(accepted(), "submitted", "recipient"), arrived(100, ALICE)],
        "failed, and nobody was told": FAILED,
        "the notification told of somebody else": [*FAILED, *notified(250), bounced(300, "carol@sink.example")],
        "dropped although the sender wants to know": [*accepted(), arrived(100, ALICE), noted(100, "qmgr", "unbounced", T, 1, "not asked for")],
        "one of those whom the alias became is gone": [*EXPANDED, arrived(100, ALICE)],
        "delivered and returned": [*calm(), *notified(300), bounced(400)],
        "damage that nobody reported": [*accepted(), FaultInjected(200, "F10"), queue(300)],
        "a torn end explains nothing": [*accepted(), FaultInjected(200, "F10"), noted(300, "qmgr", "damaged", "ibdb", 1, 64, 9, "torn end: short"), queue(400)],
    },
    "I2": {
        "not on the disk": [*accepted(), Sent250(42, "smtps.mx.0", T, False)],
        "before it was stored": without(accepted(), "durable"),
        "before all were delivered": [*CUT[:-1], noted(25, "smtps.mx.0", "accepted", SESSION, T, 2, 100)],
        "QMGR knows nothing of it": [noted(25, "smtps.mx.0", "accepted", SESSION, T, 2, 100)],
    },
    "I3": {
        "never sent": [arrived(90)],
        "without token": [arrived(90, token="")],
        "half of it": [sent(), arrived(90, fault="short")],
        "refused and delivered": [sent(), *envelope(20), Refused(40, "t1", (ALICE,), "dot", 451), *order(50, 1, 0), arrived(90)],
    },
    "I4": {
        "to somebody else": [sent(), arrived(90, "carol@sink.example")],
        "to another local part": [sent(), arrived(90, "BOB@sink.example")],
        "to whom no alias names": [*EXPANDED, arrived(90, "carol@sink.example")],
        "another reverse-path": [*accepted(), arrived(90, sender="eve@sink.example")],
        "null became somebody": [*accepted(sender=""), arrived(90, sender=SAM)],
        "somebody became null": [*accepted(), arrived(90, sender="")],
        "a notification that can bounce": [bounced(300, sender=POSTMASTER)],
    },
    "I5": {
        "altered": [sent(), arrived(90, fault="octet 7 differs")],
        "cut": [sent(), arrived(90, fault="short")],
    },
    "I6": {
        "without a fault": [*calm(), arrived(300)],
        "three copies and one crash": [*UNSETTLED, power(230), *again(600, 1), verdict(630, 1, epoch=NEXT), recorded(640, 1, epoch=NEXT), arrived(700)],
        "the verdict was synced": [*UNSETTLED, verdict(225, 1), recorded(226, 1), power(230), arrived(700)],
        "done, and goes out again": [*UNSETTLED, verdict(225, 1), recorded(226, 1), power(230), RESTARTED, *order(600, 6, 1, epoch=NEXT)],
        "somebody else was killed": [*UNSETTLED, Crashed(230, "smar"), arrived(700)],
        "another delivery was at risk": [*calm(), *envelope(300, OTHER), *order(310, 9, 0, transaction=OTHER), dot(320, 9, OTHER), power(330), arrived(700)],
        "an orderly stop": [*UNSETTLED, noted(225, "qmgr", "stopping", "asked"), verdict(230, 1, "deferred", code=0), recorded(240, 1), arrived(700)],
        "a notification": [*FAILED, *notified(250), bounced(280), bounced(900)],
    },
    "I7": {
        "told twice": [*FAILED, bounced(300), bounced(400, number=2)],
        "to nobody": [*FAILED, *notified(250, to="")],
        "a failed double bounce": [*FAILED, *notified(250), *notified(300, DSN, DSN2, POSTMASTER), *notified(400, DSN2, OTHER, SAM)],
        "a failed double bounce of null mail": [
            *accepted(sender=""),
            *notified(250, to=POSTMASTER),
            *notified(300, DSN, DSN2, POSTMASTER),
        ],
        "a delay of a notification": [*FAILED, *notified(250), *notified(300, DSN, DSN2, SAM, kind="delayed")],
        "in spite of NEVER": [*accepted(notify=Notify.NEVER), bounced(300)],
        "not as RFC 3464 says": [
            Bounced(300, "t1", BOB, "failed", "<x@y>", SAM, "", ("status is missing",)),
        ],
    },
    "I8": {
        "a transaction": [*envelope(20), *envelope(90)],
        "a session": [noted(at, "smtps.mx.0", "session", SESSION, "c", "mx") for at in (1, 2)],
        "a delivery": [*order(30, 1, 0), *order(31, 1, 1)],
        "an epoch": [noted(1, "qmgr", "started", QMGR), noted(2, "smar", "started", QMGR, epoch=QMGR)],
        "an epoch that goes back": [noted(1, "smtps.mx.0", "started", SMTPS), noted(2, "smtps.mx.0", "started", 5, epoch=5)],
        "two clients were told the same id": [*accepted(), sent(50, "t2"), Promised(60, "t2", T)],
    },
}


def cases(table: dict[str, dict[str, History]]) -> list[object]:
    return [pytest.param(invariant, facts, id=f"{invariant}-{claim}") for invariant, rows in table.items() for claim, facts in rows.items()]


@pytest.mark.parametrize(("invariant", "facts"), cases(SILENT))
def test_a_good_history_is_no_violation(invariant: str, facts: History) -> None:
    assert judge(invariant, facts) == []


@pytest.mark.parametrize(("invariant", "facts"), cases(VIOLATIONS))
def test_a_bad_history_is_a_violation_with_the_facts_that_prove_it(invariant: str, facts: History) -> None:
    found: list[Violation] = judge(invariant, facts)
    assert {violation.invariant for violation in found} == {invariant}
    assert all(violation.facts and violation.what and violation.render() for violation in found)
