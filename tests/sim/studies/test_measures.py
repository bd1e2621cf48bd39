"""Percentiles, batch means, delays."""

import math
import random

import pytest

from sim.facts import Crashed, Noted, Ordered
from sim.peers.mail import Mail
from sim.studies.measures import Delay, Delays, Estimate, UnderWay, batch_means, percentile, within
from sim.truth import Truth

CONTENT = Mail("t1", ("a@x", "b@x")).content


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (1, 1), (50, 50), (95, 95), (99, 99), (100, 100)])
def test_percentiles_are_by_nearest_rank(percent: int, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == value
    assert percentile([], percent) == 0


def test_the_interval_of_batch_means_holds_the_mean_about_95_times_in_100() -> None:
    stream = random.Random(1)
    held = 0
    for _ in range(300):
        values = []
        level = 0.0
        for _ in range(1_000):
            level = 0.5 * level + stream.gauss(0, 1)  # neighbours depend on each other
            values.append(10 + level)
        held += batch_means(values).holds(10)
    assert 0.90 <= held / 300 <= 0.99


def test_too_little_to_say() -> None:
    assert math.isnan(batch_means([1.0, 3.0]).half)
    assert batch_means([1.0, 3.0]).mean == 2.0
    assert Estimate(10, 1).holds(11)
    assert not Estimate(10, 1).holds(11.5)
    assert Estimate(10, 1).holds(11.5, 0.05)


def test_delays_count_first_copies_and_know_arrivals_before_the_promise() -> None:
    truth = Truth(())
    delays = Delays(truth)
    truth.submitted("t1", "s@x", ("a@x", "b@x"), CONTENT, 100)
    assert (delays.open, delays.underway) == (1, 2)
    truth.arrived("h", CONTENT, ["a@x"], 130)
    truth.arrived("h", CONTENT, ["a@x"], 140)
    truth.promised("t1", "250 2.0.0 fine", 150)
    truth.arrived("h", CONTENT, ["b@x"], 190)
    assert (delays.open, delays.underway) == (0, 0)
    assert delays.promises == [Delay(100, 50)]
    assert delays.arrivals == [Delay(100, 30, "a@x"), Delay(100, 90, "b@x")]
    assert delays.handovers == [Delay(150, -20, "a@x"), Delay(150, 40, "b@x")]
    assert within(delays.arrivals, 100, 101, lambda recipient: recipient == "b@x") == [90]
    assert within(delays.arrivals, 101, 200) == []


def test_a_delivery_is_under_way_until_its_last_verdict_or_a_crash() -> None:
    truth = Truth(())
    flying = UnderWay(truth, "d")
    truth.observe(Ordered(1, 1, 5, 9, "d", (0, 1)))
    truth.observe(Ordered(1, 1, 6, 8, "other", (0,)))
    truth.observe(Noted(2, "qmgr", 1, "verdict", (9, 0, 1, "delivered", 250, b"", b"")))
    assert (flying.now, flying.most) == (1, 1)
    truth.observe(Noted(2, "qmgr", 1, "verdict", (9, 1, 1, "deferred", 450, b"", b"")))
    assert flying.now == 0
    truth.observe(Ordered(3, 1, 7, 9, "d", (1,)))
    truth.observe(Crashed(4, "qmgr", 1))
    assert (flying.now, flying.most) == (0, 1)
