"""slow_destination: one destination that hangs is alone with that (L6)."""

import pytest

from sim.studies.slow_destination import BOUND_US, STUDY
from smx.units import MILLISECOND
from tests.sim.studies.runs import figures, markers, silent

SEEDS = (1, 2, 4)  # 1 and 4: the queue is smaller than the window; deliveries under way filled it, and the others waited for 19 s


@pytest.mark.parametrize("seed", SEEDS)
def test_no_message_for_another_destination_is_beyond_the_bound(seed: int) -> None:
    found = figures("slow_destination", seed)
    assert found["others meanwhile p100 ms"] * MILLISECOND <= BOUND_US
    assert found["slow meanwhile p50 ms"] > 10 * found["others meanwhile p95 ms"]


def test_the_median_of_the_others_does_not_notice() -> None:
    found = figures("slow_destination", 2)
    assert found["others meanwhile p50 ms"] < 2 * found["others before p50 ms"]
    assert found["others after p50 ms"] < 2 * found["others before p50 ms"]


def test_deliveries_to_it_stay_in_its_window_and_fill_it() -> None:
    found = figures("slow_destination", 2)
    assert found["deliveries to it at most"] == found["window"]
    assert "the slow destination filled its window" in markers("slow_destination", 2)


def test_its_backlog_leaves_when_it_is_well_again() -> None:
    assert silent("slow_destination", 1).outcome.ended_at_us > 0
    assert {"rate", "seconds"} == set(STUDY.options)
