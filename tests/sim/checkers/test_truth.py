"""Truth: facts reach those who want them, once; a fork has the same past."""

import pytest

from sim.checkers import REGISTRY, SENTENCES, make
from sim.duplicates import Outlook
from sim.eventlog import LIVE, NOT_APPLICABLE
from sim.facts import AnyFact, Bound, Crashed, Fact, Noted, Phase, ReplyLost, Spoke
from sim.ledger import Ledger
from sim.observer import Observer, Violation
from sim.truth import Truth
from smx.config.schema_qmgr import QmgrSettings
from smx.effects import Note
from smx.notes import NOTES
from tests.sim.checkers.history import ALICE, BOB, QMGR, SAM, T, arrived, calm, sent

CONTENT = b"X-Token: t1\r\n\r\nHello.\r\n"
RECEIVED = b"Received: from c\r\n\tby mx with ESMTP id 0123456789BC;\r\n\tdate\r\n"


def test_there_is_a_checker_for_each_invariant() -> None:
    assert list(REGISTRY) == [*(f"I{number}" for number in range(1, 17)), *(f"L{number}" for number in range(1, 8))]
    assert all(len(sentence) > 20 for sentence in SENTENCES.values())
    assert [checker.id for checker in make(Ledger(), Outlook(Ledger()), ["L1", "I2"])] == ["I2", "L1"]
    with pytest.raises(KeyError, match="no checker has the id I99"):
        Truth(["I99"])


def test_a_log_feeds_a_checker_or_it_is_said_why_not() -> None:
    assert sorted([*LIVE, *NOT_APPLICABLE]) == sorted(REGISTRY)


def test_checkers_read_notes_that_exist_and_facts_that_are_declared() -> None:
    declared = set(AnyFact.__args__)
    truth = Truth()
    observers: list[Observer] = [truth.ledger, truth.outlook, truth.ledger.dialogues, *truth.checkers]
    for observer in observers:
        for key in observer.handlers:
            assert key in NOTES if isinstance(key, str) else key in declared, (observer, key)


def test_a_calm_run_breaks_nothing() -> None:
    truth = Truth()
    for fact in calm():
        truth.observe(fact)
    assert truth.finish(10_000) == []


def test_only_what_somebody_reads_is_wanted() -> None:
    truth = Truth(["I16"])
    assert truth.wants(Bound)
    assert not truth.wants(Spoke)
    assert not truth.wants(Phase)
    assert truth.wants_note("submitted")
    assert not truth.wants_note("dns")
    assert Truth(["I13"]).wants(Spoke)
    keeping = Truth(["I16"], keep=True)
    assert keeping.wants(Phase)
    assert keeping.wants_note("dns")
    assert not keeping.wants(Spoke)


def test_a_note_is_a_fact_only_where_it_is_read() -> None:
    truth = Truth(["I16"], keep=True)
    truth.note(5, "smar", 7, Note("dns", ("a", "MX", "ok")))
    assert truth.facts == [Noted(5, "smar", 7, "dns", ("a", "MX", "ok"))]
    silent = Truth(["I8"])
    silent.note(5, "smar", 7, Note("dns", ("a", "MX", "ok")))
    silent.note(6, "smar", 7, Note("started", (7,)))
    silent.note(7, "lda", 7, Note("started", (7,)))
    assert [violation.at for violation in silent.violations] == [7]


def test_what_clients_and_hosts_report_is_judged() -> None:
    truth = Truth(["I1", "I3", "I4", "I5"])
    truth.submitted("t1", SAM, [ALICE, BOB], CONTENT, 10)
    truth.promised("t1", b"250 2.0.0 0123456789BC queued", 20)
    truth.refused("t2", [BOB], "rcpt", 550, "5.1.1 No", 21)
    truth.arrived("sink", RECEIVED + CONTENT, [BOB], 30, SAM)
    truth.arrived("maildir", b"Return-Path: <sam@client.example>\r\n" + RECEIVED + CONTENT, [ALICE], 31)
    assert truth.finish(40) == []
    truth.arrived("sink", RECEIVED + CONTENT.replace(b"Hello", b"Hallo"), [BOB], 50, "")
    assert [violation.invariant for violation in truth.violations] == ["I4", "I5"]


def test_a_lost_reply_explains_a_copy() -> None:
    for lost in (True, False):
        truth = Truth(["I6"], keep=True)
        truth.observe(sent())
        arrival = truth.arrived("sink", RECEIVED + CONTENT, [BOB], 30, SAM)
        if lost:
            truth.reply_lost(arrival, 31)
            assert ReplyLost(31, "t1", BOB, "sink") in (truth.facts or [])
        truth.arrived("sink", RECEIVED + CONTENT, [BOB], 40, SAM)
        assert bool(truth.finish(50)) is not lost


def test_a_fork_has_the_same_past_and_another_future() -> None:
    truth = Truth(["I1", "I6"], keep=True)
    for fact in calm()[:-4]:
        truth.observe(fact)
    fork = truth.fork()
    assert fork.facts == truth.facts
    assert fork.facts is not truth.facts
    for fact in calm()[-4:]:
        truth.observe(fact)
    assert truth.finish(10_000) == []
    fork.observe(arrived(9_000))
    fork.observe(arrived(9_001))
    assert [violation.invariant for violation in fork.finish(10_000)] == ["I6"]


def test_the_numbers_of_the_configuration_are_facts() -> None:
    truth = Truth(["I11"])
    truth.configured(QmgrSettings(), 5_000_000)
    assert truth.ledger.limit("qmgr.smtpc.max_connections", 0) == QmgrSettings().smtpc.max_connections
    assert truth.ledger.limit("mcp.restart_max", 0) == 5_000_000
    assert truth.ledger.limit("unheard-of", 7) == 7


def test_violations_come_in_order_of_time_and_can_be_read() -> None:
    facts: list[Fact] = [Crashed(9, "qmgr", QMGR, "bug"), Bound(3, "descriptors", 2, 1)]
    truth = Truth()
    for fact in facts:
        truth.observe(fact)
    found: list[Violation] = truth.finish(10)
    assert [violation.invariant for violation in found] == ["I16", "I15"]
    assert found[0].render().splitlines()[:2] == [
        "I16 broken at 0.000003 s: descriptors: 2, and the limit is 1",
        f"  I16: {SENTENCES['I16']}",
    ]
    assert truth.ledger.token(T) == ""
