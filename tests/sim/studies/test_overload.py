"""overload: when it is over it is over (F40, L5)."""

import pytest

from sim.facts import Arrived, Phase
from sim.truth import Truth
from smx.units import SECOND
from tests.sim.studies.runs import figures, markers


@pytest.mark.parametrize(("seed", "what"), [(1, "the disk was saturated"), (2, "the CPU was saturated")])
def test_goodput_returns_after_the_machine_was_saturated(seed: int, what: str) -> None:
    found = figures("overload", seed)
    assert what in markers("overload", seed)
    assert found["goodput judged"] >= 0.95 * found["goodput steady"]
    assert found["judged dot to 250 p50 ms"] < 2 * found["steady dot to 250 p50 ms"]


def test_in_the_overload_replies_take_much_longer() -> None:
    found = figures("overload", 2)
    assert found["overload dot to 250 p50 ms"] > 10 * found["steady dot to 250 p50 ms"]
    assert found["attempts of impatient clients"] > 0


def test_a_goodput_that_stays_low_would_be_objected_to() -> None:
    truth = Truth(["L5"])
    truth.observe(Phase(0, "steady"))
    for number in range(20):
        truth.observe(Arrived(number, f"a{number}", "x@y", "h"))
    truth.observe(Phase(10 * SECOND, "overload"))
    truth.observe(Phase(20 * SECOND, "judged"))
    for number in range(18):
        truth.observe(Arrived(20 * SECOND + number, f"b{number}", "x@y", "h"))
    assert [violation.invariant for violation in truth.finish(30 * SECOND)] == ["L5"]
