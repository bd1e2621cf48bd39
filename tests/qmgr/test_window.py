"""The window of one destination: slow start, shrinking, death and probe; never exceeded at any instant (SX20, I11)."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smx.qmgr.window import Ending, Window, WindowLimits

SLOW = WindowLimits(initial=2, maximum=8, dead_min_us=100, dead_max_us=800)


@pytest.mark.feature("SX20")
def test_each_success_allows_one_more_up_to_the_maximum() -> None:
    window = Window(WindowLimits(2, 5, 100, 800))
    seen = []
    for _ in range(5):
        window.began(0)
        window.ended(Ending.GOOD, 0, 0.0)
        seen.append(window.limit)
    assert seen == [3, 4, 5, 5, 5]


@pytest.mark.feature("SX20")
def test_a_busy_peer_gets_no_more_and_no_fewer() -> None:
    window = Window(SLOW)
    window.began(0)
    window.ended(Ending.BUSY, 0, 0.0)
    assert window.limit == 2


@pytest.mark.feature("SX20")
def test_a_cohort_of_failures_is_death_and_the_back_off_doubles_to_its_maximum() -> None:
    window = Window(SLOW)
    now = 0
    window.began(now)
    assert not window.ended(Ending.FAILED, now, 0.0)
    window.began(now)
    assert window.ended(Ending.FAILED, now, 0.0)
    waits = []
    for _ in range(5):
        assert window.dead
        assert not window.room(window.dead_until - 1)
        waits.append(window.dead_until - now)
        now = window.dead_until
        window.began(now)
        assert not window.room(now)  # the probe is alone
        assert window.ended(Ending.FAILED, now, 0.0)
    assert waits == [100, 200, 400, 800, 800]


@pytest.mark.feature("SX20")
def test_a_probe_that_succeeds_starts_slowly_again() -> None:
    window = Window(SLOW)
    for _ in range(2):
        window.began(0)
    for _ in range(2):
        window.ended(Ending.FAILED, 0, 0.0)
    window.began(window.dead_until)
    assert not window.ended(Ending.GOOD, window.dead_until, 0.0)
    assert (window.dead, window.limit) == (False, 2)


def test_an_interrupted_probe_says_nothing_of_the_destination() -> None:
    window = Window(WindowLimits(1, 1, 100, 800))
    window.began(0)
    assert window.ended(Ending.FAILED, 0, 0.0)
    window.began(200)
    assert not window.ended(Ending.UNKNOWN, 200, 0.0)
    assert window.dead
    assert window.room(200)


def test_a_success_between_failures_keeps_it_alive() -> None:
    window = Window(SLOW)
    for _ in range(50):
        window.began(0)
        window.ended(Ending.GOOD, 0, 0.0)
        window.began(0)
        assert not window.ended(Ending.FAILED, 0, 0.0)
    assert not window.dead


class Windows(RuleBasedStateMachine):
    """Whatever happens in whatever order, a window never lets more begin than it may."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = WindowLimits(3, 10, 1_000, 16_000)
        self.window = Window(self.limits)
        self.now = 1
        self.in_flight = 0
        self.bound = 10

    @precondition(lambda self: self.window.room(self.now))
    @rule()
    def begin(self) -> None:
        self.window.began(self.now)
        self.in_flight += 1
        assert self.in_flight <= self.limits.maximum
        assert not self.window.dead or self.in_flight == 1

    @precondition(lambda self: self.in_flight > 0)
    @rule(ending=st.sampled_from(Ending), spread=st.floats(0, 0.99))
    def end(self, ending: Ending, spread: float) -> None:
        self.window.ended(ending, self.now, spread)
        self.in_flight -= 1

    @rule(us=st.integers(1, 20_000))
    def wait(self, us: int) -> None:
        self.now += us

    @rule(initial=st.integers(1, 12), maximum=st.integers(1, 12))
    def change_limits(self, initial: int, maximum: int) -> None:
        self.limits.initial, self.limits.maximum = initial, maximum

    @invariant()
    def counts_agree(self) -> None:
        assert self.window.in_flight == self.in_flight
        assert 1 <= self.window.limit <= max(1, self.limits.maximum)

    @invariant()
    def never_stuck(self) -> None:
        """With nothing in flight there is room, at the latest when the back-off is over."""
        if self.in_flight == 0:
            assert self.window.room(max(self.now, self.window.dead_until))
            assert self.window.dead_until <= self.now + self.limits.dead_max_us * 11 // 10


TestWindows = Windows.TestCase
