"""dns_outage: a DNS that fails for minutes puts mail off and returns none (F41, L1)."""

import pytest

from sim.facts import Bounced
from sim.studies.dns_outage import NothingReturned
from tests.sim.studies.runs import figures, markers, silent


@pytest.mark.parametrize("seed", [0, 4, 5])
def test_all_mail_leaves_and_none_is_returned(seed: int) -> None:
    assert silent("dns_outage", seed).outcome.figures["messages"] > 50


def test_what_cannot_be_routed_waits_and_comes_within_its_schedule() -> None:
    found = figures("dns_outage", 0)  # SERVFAIL, answers live for a minute
    assert found["put off"] > 100
    assert found["last arrival after the end, s"] < 90
    assert "put off by the DNS" in markers("dns_outage", 0)


def test_answers_that_are_kept_carry_mail_over_the_outage() -> None:
    found = figures("dns_outage", 4)  # SERVFAIL, answers live for an hour
    assert found["put off"] == 0
    assert found["meanwhile p95 ms"] < 1_000
    assert "went by the cache" in markers("dns_outage", 4)


def test_a_report_of_a_failure_would_be_objected_to() -> None:
    checker = NothingReturned()
    checker.handlers[Bounced](Bounced(5, "t1", "a@d0.example", "delayed", "<x>"))
    assert checker.violations == []
    checker.handlers[Bounced](Bounced(6, "t1", "a@d0.example", "failed", "<x>"))
    assert [violation.invariant for violation in checker.violations] == ["L1"]
