"""clock_jump: a clock that is set makes no mail old and no wait long (F26, A15, L1, I8)."""

import pytest

from sim.choices import Choices
from sim.facts import FaultInjected, Noted, Ordered
from sim.scenario import Scenario
from sim.studies.clock_jump import RETRY_MAX_US, JumpsAreNoAge
from sim.truth import Truth
from sim.world import World
from smx.units import HOUR, SECOND
from tests.sim.studies.runs import figures, markers

SEEDS = (1, 2, 4)


@pytest.mark.parametrize("seed", SEEDS)
def test_mail_for_hosts_that_are_well_goes_on_as_before(seed: int) -> None:
    found = figures("clock_jump", seed)
    assert found["jumps"] >= 1
    assert found["well p95 ms"] < 1_000


def test_jumps_either_way_with_restarts_behind_them_are_reached() -> None:
    reached = {marker for seed in SEEDS for marker in markers("clock_jump", seed)}
    assert {"a jump over the expiry", "a jump back by more than the longest wait", "put off before a jump, tried again behind it"} <= reached


def judged() -> JumpsAreNoAge:
    """The checker, behind an order at 1 s and a jump at 10 s."""
    checker = JumpsAreNoAge(World(Scenario(), Choices(0), truth=Truth(())))
    checker.handlers[Ordered](Ordered(1 * SECOND, 1, 1, 7, "d0.example", (0,)))
    checker.handlers[FaultInjected](FaultInjected(10 * SECOND, "F26"))
    return checker


@pytest.mark.parametrize(("ordered_again", "objections"), [(False, 1), (True, 0)])
def test_an_expiry_by_an_attempt_that_began_before_the_jump_would_be_objected_to(ordered_again: bool, objections: int) -> None:
    checker = judged()
    if ordered_again:
        checker.handlers[Ordered](Ordered(15 * SECOND, 1, 2, 7, "d0.example", (0,)))
    checker.handlers["verdict"](Noted(20 * SECOND, "qmgr", 1, "verdict", (7, 0, 3, "deferred", 450, b"", b"")))
    checker.handlers["recorded"](Noted(20 * SECOND, "qmgr", 1, "recorded", (7, 0, 3)))
    assert len(checker.violations) == objections


@pytest.mark.parametrize(("wait", "objections"), [(RETRY_MAX_US, 0), (30 * HOUR, 1)])
def test_a_wait_beyond_the_longest_one_would_be_objected_to(wait: int, objections: int) -> None:
    checker = judged()
    checker.handlers["deferred"](Noted(20 * SECOND, "qmgr", 1, "deferred", (7, 0, 3, 20 * SECOND + wait, b"")))
    assert len(checker.violations) == objections
