"""Distributions: the same seed draws the same, each has the shape that it says, and what cannot be read is refused with a reason."""

import random
import statistics
from collections import Counter

import pytest

from smx.config.text import parse_number, parse_size
from smx.testing.load.draws import Draw, gaps, parse_draw, parse_series

TEXTS = ("4KiB", "uniform:10-20", "lognormal:8KiB:1.5", "mix:1KiB=70,64KiB=30")
SERIES = ("100", "uniform:100", "zipf:100", "zipf:100:1.3")


def drawn(draw: Draw, seed: str = "1", count: int = 5_000) -> list[int]:
    sample = draw.sampler(random.Random(seed))
    return [sample() for _ in range(count)]


@pytest.mark.parametrize("text", TEXTS)
def test_a_seed_draws_the_same_again_and_stays_within_the_bounds(text: str) -> None:
    draw = parse_draw(text, parse_size)
    values = drawn(draw)
    assert values == drawn(draw)
    assert draw.least <= min(values) <= max(values) <= draw.most
    assert draw.kind == "fixed" or values != drawn(draw, seed="2")


@pytest.mark.parametrize("text", SERIES)
def test_a_series_gives_every_number_from_one_on_and_no_other(text: str) -> None:
    assert set(drawn(parse_series(text), count=20_000)) == set(range(1, 101))


def test_shapes_are_what_they_are_called() -> None:
    assert set(drawn(parse_draw("4KiB", parse_size))) == {4096}
    assert abs(statistics.mean(drawn(parse_draw("uniform:10-20", parse_number))) - 15) < 0.2
    assert 0.9 < statistics.median(drawn(parse_draw("lognormal:8KiB:1.5", parse_size))) / 8192 < 1.1
    assert 0.67 < Counter(drawn(parse_draw("mix:1KiB=70,64KiB=30", parse_size)))[1024] / 5_000 < 0.73
    assert drawn(parse_series("3"), count=7) == [1, 2, 3, 1, 2, 3, 1]
    zipf = Counter(drawn(parse_series("zipf:100"), count=20_000))
    assert 1.6 < zipf[1] / zipf[2] < 2.4


def test_a_lognormal_draw_is_cut_at_its_maximum() -> None:
    assert max(drawn(parse_draw("lognormal:8KiB:3:16KiB", parse_size))) == 16384


def test_arrivals_come_at_their_rate_evenly_or_by_chance() -> None:
    constant, poisson = gaps("constant", 200.0, random.Random("1")), gaps("poisson", 200.0, random.Random("1"))
    assert {constant() for _ in range(10)} == {0.005}
    drawn_gaps = [poisson() for _ in range(20_000)]
    assert abs(statistics.mean(drawn_gaps) * 200 - 1) < 0.03
    assert abs(statistics.stdev(drawn_gaps) * 200 - 1) < 0.03  # an exponential's deviation is its mean


REFUSED = (
    ("0", "too small"),
    ("10MB", "did you mean 10MiB"),
    ("normal:1:2", "no distribution is called 'normal'"),
    ("uniform:5", "expected uniform:LOW-HIGH"),
    ("uniform:9-5", "swap them"),
    ("lognormal:4096", "expected lognormal:MEDIAN:SIGMA"),
    ("lognormal:4096:x", "expected a number for SIGMA"),
    ("lognormal:4096:11", "out of range"),
    ("lognormal:4096:1:10", "below its median"),
    ("mix:1,2", "expected mix:VALUE=WEIGHT"),
    ("mix:1=0", "above 0"),
)


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_a_size_that_cannot_be_read_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_draw(text, parse_size)


@pytest.mark.parametrize(
    ("text", "why"), [("0", "1 to"), ("x", "1 to"), ("9999999", "1 to"), ("pareto:5", "zipf:N"), ("zipf:5:x", "EXPONENT"), ("uniform:5:1", "expected N")]
)
def test_a_series_that_cannot_be_read_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_series(text)
