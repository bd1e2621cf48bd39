"""The cases that last for hours and days, against the whole of smx in the simulator; and all of the roles relay and queue."""

import pytest

from conformance.case import QUEUE, RELAY, Case, catalogue
from conformance.outcome import FAIL, HARNESS, INFO, PASS, SKIP, WARN
from tests.conformance.simulated import offers, run_case

OFFERED = offers()
CASES = catalogue()
SLOW = [case for case in CASES if case.slow]
ON_THE_WAY = [case for case in CASES if not case.slow and {RELAY, QUEUE} & set(case.roles)]


@pytest.mark.parametrize("case", SLOW, ids=lambda case: case.id)
def test_no_slow_case_finds_a_broken_must(case: Case) -> None:
    result = run_case(case, OFFERED)
    assert result.outcome not in (FAIL, HARNESS), result.reason


@pytest.mark.parametrize("case", ON_THE_WAY, ids=lambda case: case.id)
def test_a_relay_and_queue_case_comes_to_its_point(case: Case) -> None:
    result = run_case(case, OFFERED)
    assert result.outcome in (PASS, INFO, WARN, SKIP), result.reason
