"""Workloads: the distributions are those of the docstring, the calm tape gives the least, and nothing is drawn from anywhere else."""

from collections import Counter

import pytest

from sim.choices import Choices, Stream, Tape
from sim.workload import (
    MEASURED,
    MEASURED_CUMULATIVE,
    ONE_OR_TWO,
    SMALL,
    TINY,
    WORKDAY,
    Arrivals,
    Burst,
    Destination,
    Diurnal,
    OnOff,
    Poisson,
    Recipients,
    Workload,
    body_of,
    dealt,
    zipf,
)
from smx.units import HOUR, SECOND

COUNT = 4_000


def _stream(seed: int = 1) -> Stream:
    return Choices(seed).stream("workload")


def _calm() -> Stream:
    return Choices.replay(Tape()).stream("workload")


def test_sizes_follow_the_measured_distribution() -> None:
    stream = _stream()
    sizes = [MEASURED.draw(stream) for _ in range(COUNT)]
    for octets, share in MEASURED_CUMULATIVE.items():
        assert sum(size < octets for size in sizes) / COUNT == pytest.approx(share, abs=0.03)


def test_most_messages_have_one_recipient_and_some_have_many() -> None:
    stream = _stream()
    counts = Counter(Recipients().draw(stream) for _ in range(COUNT))
    assert counts[1] / COUNT == pytest.approx(0.8, abs=0.03)
    assert counts[2] > counts[3] > counts[5]
    assert 10 < max(counts) <= 20
    assert {ONE_OR_TWO.draw(stream) for _ in range(100)} == {1, 2}


def test_the_first_domain_is_the_most_wanted_one() -> None:
    stream = _stream()
    counts = Counter(zipf(stream, 10) for _ in range(COUNT))
    assert counts[0] / counts[1] == pytest.approx(2, rel=0.25)
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.4)


@pytest.mark.parametrize(
    ("arrivals", "mean_us", "tolerance"),
    [
        (Burst(), 0, 0.0),
        (Burst(5), 5, 0.01),
        (Poisson(SECOND), SECOND, 0.1),
        (OnOff(busy_mean_us=10_000, quiet_mean_us=0, busy_us=SECOND, quiet_us=SECOND), 20_000, 0.35),
        (Diurnal(mean_us=100 * SECOND, hour=8), 100 * SECOND, 0.15),
    ],
)
def test_arrivals_come_in_order_and_at_their_rate(arrivals: Arrivals, mean_us: int, tolerance: float) -> None:
    times = arrivals.times(_stream(), COUNT)
    assert times == sorted(times)
    assert len(times) == COUNT
    assert times[-1] / COUNT == pytest.approx(mean_us, rel=tolerance)


def test_bursts_are_burstier_than_poisson() -> None:
    def dispersion(arrivals: Arrivals) -> float:
        times = arrivals.times(_stream(), COUNT)
        bins = Counter(at * 400 // (times[-1] + 1) for at in times)
        counts = [bins[number] for number in range(400)]
        mean = sum(counts) / 400
        return sum((count - mean) ** 2 for count in counts) / 400 / mean

    assert dispersion(Poisson()) == pytest.approx(1, abs=0.3)
    assert dispersion(OnOff()) > 3


def test_a_day_has_a_shape() -> None:
    times = Diurnal(mean_us=30 * SECOND, hour=0).times(_stream(), 2 * 2_880)
    hours = Counter(at // HOUR % 24 for at in times)
    assert hours[9] > 4 * hours[2]
    assert len(WORKDAY) == 24


def test_the_calm_tape_gives_the_least_of_everything() -> None:
    workload = Workload((Destination("lab.example"), Destination("other.example")), OnOff(), TINY)
    mails = workload.mails(_calm(), 3)
    assert [at for at, _ in mails] == [0, 0, 0]
    assert [mail.recipients for _, mail in mails] == [("a@lab.example",)] * 3
    assert Diurnal().times(_calm(), 2) == [0, 0]


def test_messages_have_different_tokens_bodies_and_recipients() -> None:
    workload = Workload((Destination("lab.example"), Destination("other.example")), flags=(200, 200, 100, 200, 200))
    mails = [mail for _, mail in workload.mails(_stream(), 300)]
    assert len({mail.token for mail in mails}) == 300
    assert all(len(set(mail.recipients)) == len(mail.recipients) for mail in mails)
    assert {mail.parameters for mail in mails} == {"", "NOTIFY=NEVER", "NOTIFY=SUCCESS,FAILURE"}
    assert any(mail.sender == "" for mail in mails)
    assert all(mail.mail_parameters for mail in mails if not mail.body.isascii())
    assert workload.mails(_stream(), 20) == workload.mails(_stream(), 20)
    assert workload.mails(_stream(), 20) != workload.mails(_stream(2), 20)


def test_bodies_have_about_the_size_that_was_asked_for_and_whole_lines() -> None:
    for octets in (1, 100, 3_000, 70_560, 200_000):
        body = body_of(octets, 17)
        assert body.endswith(b"\r\n")
        assert abs(len(body) - octets) < 70
    assert body_of(500, 1) != body_of(500, 2)
    assert max(SMALL.draw(_stream(seed)) for seed in range(300)) <= SMALL.most


def test_messages_are_dealt_turn_by_turn() -> None:
    mails = Workload((Destination("lab.example"),)).mails(_stream(), 7)
    hands = dealt(mails, 3)
    assert [len(hand) for hand in hands] == [3, 2, 2]
    assert sorted(token for hand in hands for _, mail in hand for token in [mail.token]) == [f"t{number}" for number in range(7)]
