"""The clock of the simulator: channels are FIFO, everything else is ordered by a number of the tape."""

import itertools

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.environment import START, Channel, Environment

SIMULTANEOUS = 6


def schedule_of(ties: int) -> tuple[int, ...]:
    """In which order simultaneous calls of different channels come."""
    env = Environment(ties=ties)
    came: list[int] = []
    for number in range(SIMULTANEOUS):
        env.after(Channel(), 100, came.append, number)
    env.run()
    return tuple(came)


@settings(max_examples=50, deadline=None)
@given(ties=st.integers(0, 1 << 32), delays=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=2, max_size=40))
def test_a_channel_never_reorders_whatever_the_ties_and_delays(ties: int, delays: list[tuple[int, int]]) -> None:
    env = Environment(ties=ties)
    channels = [Channel(f"{number}") for number in range(4)]
    came: list[tuple[int, int]] = []
    for number, (channel, delay) in enumerate(delays):
        env.after(channels[channel], delay, lambda channel=channel, number=number: came.append((channel, number)))
    env.run()
    for channel in range(4):
        numbers = [number for of, number in came if of == channel]
        assert numbers == sorted(numbers)
    assert len(came) == len(delays)


def test_without_ties_the_order_is_that_of_creation() -> None:
    assert schedule_of(0) == tuple(range(SIMULTANEOUS))


def test_different_ties_order_simultaneous_calls_of_different_channels_differently() -> None:
    seen = {schedule_of(ties) for ties in range(1, 400)}
    assert len(seen) > 200
    firsts = {order[0] for order in seen}
    assert firsts == set(range(SIMULTANEOUS))


def test_every_pair_of_channels_is_seen_in_both_orders() -> None:
    orders = [schedule_of(ties) for ties in range(1, 60)]
    for one, other in itertools.combinations(range(SIMULTANEOUS), 2):
        assert {order.index(one) < order.index(other) for order in orders} == {True, False}


def test_the_order_of_two_channels_differs_from_instant_to_instant() -> None:
    env = Environment(ties=77)
    one, other = Channel(), Channel()
    came: list[str] = []
    for instant in range(40):
        env.after(one, instant, came.append, "1")
        env.after(other, instant, came.append, "2")
    env.run()
    pairs = {"".join(came[at : at + 2]) for at in range(0, 80, 2)}
    assert pairs == {"12", "21"}


def test_a_later_call_of_a_channel_is_not_due_before_an_earlier_one() -> None:
    env = Environment()
    channel = Channel()
    came: list[tuple[str, int]] = []
    env.after(channel, 500, lambda: came.append(("slow", env.now)))
    env.after(channel, 10, lambda: came.append(("fast", env.now)))
    env.run()
    assert came == [("slow", START + 500), ("fast", START + 500)]


def test_calls_on_no_channel_overtake() -> None:
    env = Environment()
    came: list[str] = []
    env.later(500, came.append, "slow")
    env.later(10, came.append, "fast")
    env.run()
    assert came == ["fast", "slow"]


def test_a_cancelled_call_does_not_come() -> None:
    env = Environment()
    came: list[str] = []
    handle = env.later(10, came.append, "cancelled")
    env.later(20, came.append, "kept")
    handle.cancel()
    env.run()
    assert came == ["kept"]
    assert handle.shut


def test_run_lets_time_pass_up_to_the_instant_and_no_further() -> None:
    env = Environment()
    came: list[int] = []
    for delay in (10, 20, 30):
        env.later(delay, came.append, delay)
    env.run(START + 20)
    assert (came, env.now) == ([10, 20], START + 20)
    env.run(START + 25)
    assert (came, env.now) == ([10, 20], START + 25)
    env.run()
    assert came == [10, 20, 30]


def test_stop_ends_the_run_behind_the_call_that_asked_for_it() -> None:
    env = Environment()
    came: list[int] = []
    env.later(10, env.stop)
    env.later(10, came.append, 1)
    env.run()
    assert (came, env.now) == ([], START + 10)
    env.run()
    assert came == [1]


@pytest.mark.parametrize("ties", [0, 5])
def test_processes_and_resources_of_simpy_see_the_same_clock(ties: int) -> None:
    env = Environment(ties=ties)
    core = simpy.Resource(env, 1)
    came: list[tuple[str, int]] = []

    def worker(name: str):  # type: ignore[no-untyped-def]
        with core.request() as request:
            yield request
            yield env.timeout(100)
            came.append((name, env.now - START))

    first = env.process(worker("first"))
    env.process(worker("second"))
    env.later(150, lambda: came.append(("call", env.now - START)))
    env.run(first)
    assert came == [("first", 100)]
    env.run()
    assert came == [("first", 100), ("call", 150), ("second", 200)]


def test_an_error_in_a_call_leaves_run() -> None:
    env = Environment()

    def fail() -> None:
        raise KeyError("x")

    env.later(1, fail)
    with pytest.raises(KeyError):
        env.run()


def test_step_takes_one_call() -> None:
    env = Environment()
    came: list[int] = []
    env.later(1, came.append, 1)
    env.later(2, came.append, 2)
    env.step()
    assert came == [1]
