"""Cases against the whole of smx in the simulator: every role, and days that pass in a blink."""

import pytest

from conformance.case import CLIENT, NEXTHOP, QUEUE, RELAY, Case, catalogue
from conformance.outcome import FAIL, HARNESS, PASS, WARN
from tests.conformance.simulated import offers, run_case

CASES = {case.id: case for case in catalogue()}
DAYS = "rfc5321/4.5.4.1/gives-up-after-days"  # has a test of its own
SLOW = [case for case in CASES.values() if case.slow and case.id != DAYS]
OFFERED = offers()
ONE_OF_EACH = (
    "rfc5321/4.1.4/rcpt-before-mail",
    "rfc5321/4.5.2/leading-dots-survive",
    "rfc5321/5.1/lowest-preference-first",
    "rfc5321/4.4/relay-domain-for-an-outsider",
    "rfc5321/4.5.4.1/deferred-is-tried-again",
    "rfc5321/6.1/accepted-survives-kill",
    "rfc5321/6.1/accepted-is-delivered",
)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_case_of_each_role_passes_in_virtual_time(name: str) -> None:
    result = run_case(CASES[name], OFFERED)
    assert (result.outcome, result.reason) == (PASS, "")


@pytest.mark.parametrize("case", SLOW, ids=lambda case: case.id)
def test_no_slow_case_finds_a_broken_must(case: Case) -> None:
    result = run_case(case, OFFERED)
    assert result.outcome not in (FAIL, HARNESS), result.reason


def test_five_days_of_retries_pass_and_the_sender_is_told() -> None:
    result = run_case(CASES[DAYS], OFFERED)
    assert (result.outcome, result.reason) == (PASS, "")
    assert result.seconds > 4 * 86_400


def test_the_first_retry_comes_sooner_than_the_rfc_advises() -> None:
    result = run_case(CASES["rfc5321/4.5.4.1/waits-thirty-minutes"], OFFERED)
    assert result.outcome == WARN and "minutes" in result.reason


def test_a_run_is_the_same_each_time() -> None:
    first, second = (run_case(CASES["rfc5321/6.1/accepted-survives-kill"], OFFERED) for _ in range(2))
    assert first == second


def test_the_roles_beside_that_of_the_server_have_cases() -> None:
    assert {role for case in CASES.values() for role in case.roles} >= {CLIENT, NEXTHOP, RELAY, QUEUE}
