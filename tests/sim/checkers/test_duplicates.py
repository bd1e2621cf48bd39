"""The set that a crash may duplicate, at every moment of a message's life (A13)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.duplicates import may_repeat
from sim.facts import POWER, Crashed, Fact, FaultInjected
from sim.truth import Truth
from tests.sim.checkers.history import ALICE, BOB, HOST, QMGR, SMTPC, T, accepted, arrived, calm, delivery, dot, judge, noted, order, recorded, verdict

BOBS = frozenset({(T, 1)})
NOBODY: frozenset[tuple[int, int]] = frozenset()
LIFE: list[Fact] = [*accepted(), *order(200, 2, 1), dot(210, 2), arrived(220), verdict(230, 1), recorded(240, 1)]


@pytest.mark.parametrize(
    ("at", "places"),
    [(199, NOBODY), (205, NOBODY), (210, BOBS), (220, BOBS), (230, BOBS), (239, BOBS), (240, NOBODY), (900, NOBODY)],
)
@pytest.mark.parametrize("process", [POWER, "qmgr", "smtpc.0", "mcp"])
def test_a_recipient_is_at_risk_from_the_dot_until_its_verdict_is_synced(process: str, at: int, places: frozenset[tuple[int, int]]) -> None:
    assert may_repeat(LIFE, at, process) == places


@pytest.mark.parametrize("process", ["smtps.mx.0", "smar", "smtpc.1", "lda"])
def test_the_death_of_somebody_else_repeats_nothing(process: str) -> None:
    assert may_repeat(LIFE, 220, process) == NOBODY


@pytest.mark.parametrize("destination", ["local", "lmtp:/run/lda"])
def test_the_death_of_the_lda_may_repeat_what_goes_to_it(destination: str) -> None:
    facts = [*accepted(), *order(200, 2, 0, destination=destination), dot(210, 2)]
    assert may_repeat(facts, 220, "lda") == {(T, 0)}


def test_of_a_delivery_to_several_only_those_without_a_synced_verdict_are_at_risk() -> None:
    facts = [*accepted(), *order(200, 2, 0, 1), dot(210, 2), verdict(220, 0), verdict(221, 1), recorded(230, 0)]
    assert may_repeat(facts, 225) == {(T, 0), (T, 1)}
    assert may_repeat(facts, 235) == BOBS


def test_an_attempt_is_not_settled_by_the_record_of_an_earlier_one() -> None:
    first = [*accepted(), *order(100, 1, 1), dot(110, 1), verdict(120, 1, "deferred", code=450)]
    facts = [*first, *order(200, 2, 1, attempt=2), dot(210, 2), recorded(215, 1, 1), verdict(230, 1, attempt=2), recorded(240, 1, 2)]
    assert may_repeat(facts, 220) == BOBS
    assert may_repeat(facts, 250) == NOBODY


def test_what_was_delivered_before_it_was_stored_is_settled_when_it_is_closed() -> None:
    facts = [*accepted()[:6], *order(21, 1, 0, 1), dot(22, 1), verdict(24, 0), verdict(24, 1), noted(25, "qmgr", "closed", T)]
    assert may_repeat(facts, 24) == {(T, 0), (T, 1)}
    assert may_repeat(facts, 25) == NOBODY


def test_a_delivery_of_a_dead_qmgr_counts_when_its_dot_is_sent_later() -> None:
    facts = [*accepted(), *order(200, 2, 1), Crashed(205, "qmgr", QMGR), dot(210, 2), arrived(220), arrived(500)]
    assert judge("I6", facts) == []
    assert judge("I6", [fact for fact in facts if not isinstance(fact, Crashed)])


@pytest.mark.parametrize("dot_at", [205, 215])
@pytest.mark.parametrize(("place", "violations"), [("smtpc.0 qmgr", 0), ("smtps.mx.0 qmgr", 1), ("smtpc.0 smar", 1)])
def test_a_broken_link_is_like_a_death_of_the_smtpc_that_goes_on(dot_at: int, place: str, violations: int) -> None:
    interrupted = [verdict(211, 1, "deferred", code=0), recorded(212, 1)]
    broken: list[Fact] = [FaultInjected(210, "F24", "a link breaks", place), *interrupted]
    sent: list[Fact] = [dot(dot_at, 2)]
    facts = [*accepted(), *order(200, 2, 1), *(sent + broken if dot_at < 210 else broken + sent), arrived(220), arrived(500)]
    assert len(judge("I6", facts)) == violations


def test_each_crash_explains_one_copy() -> None:
    truth = Truth(["I6"])
    again = [*order(300, 3, 1, epoch=QMGR + 1), dot(310, 3)]
    for fact in [*LIFE[:-1], Crashed(250, POWER, 0, "power"), *again, Crashed(320, POWER, 0, "power"), Crashed(330, POWER, 0, "power")]:
        truth.observe(fact)
    assert truth.outlook.risks() == {(T, 1): 2}
    assert [len(places) for _, places in truth.outlook.deaths()] == [1, 1, 0]


def test_qmgr_and_mcp_dying_together_explain_one_copy() -> None:
    truth = Truth(["I6"])
    for fact in [*LIFE[:-2], Crashed(250, "qmgr", QMGR), Crashed(251, "mcp"), Crashed(252, POWER, 0, "power")]:
        truth.observe(fact)
    assert truth.outlook.risks() == {(T, 1): 1}


def test_the_death_of_an_smtpc_concerns_its_own_deliveries_only() -> None:
    other = noted(2, "smtpc.1", "started", SMTPC + 1, epoch=SMTPC + 1)
    facts = [other, *accepted(), *order(200, 1, 0), *order(200, 2, 1), dot(210, 1), noted(211, "smtpc.1", "dot", 2, T, HOST, epoch=SMTPC + 1)]
    assert may_repeat(facts, 220, "smtpc.0") == {(T, 0)}
    assert may_repeat(facts, 220, "smtpc.1") == BOBS


@given(st.integers(0, 300))
def test_what_may_be_repeated_is_what_the_checker_lets_pass(at: int) -> None:
    """`may_repeat` and I6 agree: a further copy after a power loss is a violation unless it was foretold."""
    facts = [*accepted(), *delivery(100, 1, 0, ALICE), *delivery(200, 2, 1, BOB)]
    foretold = may_repeat(facts, at)
    for index, recipient in enumerate((ALICE, BOB)):
        had = [fact for fact in facts if fact.at <= at]
        copies = sum(type(fact).__name__ == "Arrived" and getattr(fact, "recipient", "") == recipient for fact in had)
        if copies:
            history: list[Fact] = [*had, Crashed(at, POWER, 0, "power"), arrived(1000, recipient)]
            assert bool(judge("I6", history)) is ((T, index) not in foretold)


def test_a_calm_run_puts_nothing_at_risk() -> None:
    assert may_repeat(calm(), 10**9) == NOBODY
