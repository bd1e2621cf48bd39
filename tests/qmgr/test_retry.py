"""When to try again, to warn, to give up (SX26, A15)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smx.config.schema_qmgr import RetrySettings
from smx.qmgr.retry import delay_us, expired, next_try, spread, warning_due
from smx.units import DAY, HOUR, MINUTE

RETRY = RetrySettings()


@pytest.mark.feature("SX26")
@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True), st.integers(0, 50))
def test_a_wait_lies_between_the_least_and_the_greatest(attempt: int, unit: float, jitter: int) -> None:
    retry = RetrySettings(jitter_percent=jitter)
    wait = delay_us(retry, attempt, unit)
    assert retry.min_us <= wait <= retry.max_us
    base = min(retry.min_us * 2 ** (attempt - 1), retry.max_us)
    assert abs(wait - base) <= base * jitter / 100 + 1


def test_what_fails_together_does_not_come_back_together() -> None:
    waits = {delay_us(RETRY, 8, spread(1, b"retry", number, 0, 8)) for number in range(1_000)}
    assert len(waits) > 990
    assert max(waits) - min(waits) > 20 * MINUTE


@pytest.mark.feature("SX26")
def test_the_last_attempt_is_made_at_the_expiry() -> None:
    arrived = 1_000 * DAY
    assert next_try(RETRY, arrived, arrived + 5 * DAY - HOUR, 30, 0.5) == arrived + 5 * DAY
    assert next_try(RETRY, arrived, arrived + 5 * DAY - MINUTE, 30, 0.5) == arrived + 5 * DAY + 4 * MINUTE
    assert next_try(RETRY, arrived, arrived + 6 * DAY, 30, 0.5) > arrived + 6 * DAY


@pytest.mark.parametrize(
    ("age", "attempts", "since_jump", "given_up"),
    [
        (5 * DAY, 2, True, True),
        (5 * DAY - 1, 2, True, False),
        (5 * DAY, 1, True, False),
        (5 * DAY, 2, False, False),
        (500 * DAY, 1, True, False),
    ],
)
def test_giving_up_needs_age_attempts_and_one_since_the_clock_jumped(age: int, attempts: int, since_jump: bool, given_up: bool) -> None:
    assert expired(RETRY, 1_000, 1_000 + age, attempts, since_jump=since_jump) is given_up


@pytest.mark.parametrize(
    ("age", "warned", "warn_us", "due"),
    [(4 * HOUR, False, 4 * HOUR, True), (4 * HOUR, True, 4 * HOUR, False), (HOUR, False, 4 * HOUR, False), (DAY, False, 0, False)],
)
def test_a_warning_is_due_once(age: int, warned: bool, warn_us: int, due: bool) -> None:
    assert warning_due(RetrySettings(warn_us=warn_us), 1_000, 1_000 + age, warned=warned) is due


def test_the_spread_depends_on_its_arguments_only() -> None:
    assert spread(1, b"a", 2) == spread(1, b"a", 2)
    assert len({spread(1, b"a", 2), spread(2, b"a", 2), spread(1, b"b", 2), spread(1, b"a", 3)}) == 4
    assert all(0 <= spread(seed, b"x") < 1 for seed in range(100))
