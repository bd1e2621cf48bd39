"""Draws: distributions as people write them on a command line, drawn from a seeded random stream.

Sizes and numbers of recipients     4096   uniform:1KiB-64KiB   lognormal:4KiB:1.2[:1MiB]   mix:4KiB=70,64KiB=30
Users and domains                   100 (in turn)   uniform:100   zipf:100[:1.1]
"""

import math
import random
from collections.abc import Callable
from itertools import accumulate, count
from typing import Final

from msgspec import Struct

Sampler = Callable[[], int]
CUT_FACTOR: Final = 100  # a lognormal draw is cut at so many times the median when no maximum is given
SERIES_MAX: Final = 1_000_000
SIGMA_MAX: Final = 10.0


class Draw(Struct, frozen=True):
    """A distribution of whole numbers. Which fields count depends on the kind: fixed, uniform, lognormal, mix; series, zipf (1..high)."""

    kind: str
    low: int = 1
    high: int = 1
    median: int = 1
    sigma: float = 0.0
    values: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()

    @property
    def least(self) -> int:
        """The smallest number that can come."""
        return min(self.values) if self.kind == "mix" else self.low

    @property
    def most(self) -> int:
        """The largest number that can come."""
        return max(self.values) if self.kind == "mix" else self.high

    def sampler(self, stream: random.Random) -> Sampler:
        """A function that draws the next number."""
        low, high = self.low, self.high
        match self.kind:
            case "uniform":
                return lambda: stream.randint(low, high)
            case "lognormal":
                mu, sigma = math.log(self.median), self.sigma
                return lambda: min(high, max(low, round(stream.lognormvariate(mu, sigma))))
            case "mix":
                return _weighted(stream, self.values, self.weights)
            case "series":
                numbers = count()
                return lambda: low + next(numbers) % high
            case "zipf":
                return _weighted(stream, range(1, high + 1), [rank**-self.sigma for rank in range(1, high + 1)])
            case _:
                return lambda: low


def _weighted(stream: random.Random, values: "range | tuple[int, ...]", weights: "list[float] | tuple[float, ...]") -> Sampler:
    sums = list(accumulate(weights))
    return lambda: stream.choices(values, cum_weights=sums)[0]


def fixed(number: int) -> Draw:
    """Always this number."""
    return Draw("fixed", number, number)


def parse_draw(text: str, number: Callable[[str], int]) -> Draw:
    """A distribution of sizes or counts, of at least 1; `number` reads one number. ValueError says what was expected."""
    kind, colon, rest = text.partition(":")
    if not colon:
        return fixed(_positive(number(text)))
    match kind:
        case "uniform":
            low, dash, high = rest.partition("-")
            if not dash:
                raise ValueError(f"expected uniform:LOW-HIGH, not {text!r}")
            draw = Draw("uniform", _positive(number(low)), _positive(number(high)))
            if draw.low > draw.high:
                raise ValueError(f"the lower end of {text!r} is above the upper end: swap them")
            return draw
        case "lognormal":
            return _lognormal(text, rest, number)
        case "mix":
            return _mix(text, rest, number)
    raise ValueError(f"no distribution is called {kind!r}: expected a number, uniform:LOW-HIGH, lognormal:MEDIAN:SIGMA[:MAX] or mix:VALUE=WEIGHT,...")


def _lognormal(text: str, rest: str, number: Callable[[str], int]) -> Draw:
    parts = rest.split(":")
    if len(parts) not in (2, 3):
        raise ValueError(f"expected lognormal:MEDIAN:SIGMA[:MAX], not {text!r}")
    median = _positive(number(parts[0]))
    high = _positive(number(parts[2])) if len(parts) == 3 else median * CUT_FACTOR
    if high < median:
        raise ValueError(f"the maximum of {text!r} is below its median")
    return Draw("lognormal", 1, high, median, _real(parts[1], "SIGMA", 0.0, SIGMA_MAX))


def _mix(text: str, rest: str, number: Callable[[str], int]) -> Draw:
    values, weights = [], []
    for part in rest.split(","):
        value, equals, weight = part.partition("=")
        if not equals:
            raise ValueError(f"expected mix:VALUE=WEIGHT,VALUE=WEIGHT..., not {text!r}")
        values.append(_positive(number(value)))
        weights.append(_real(weight, "WEIGHT", 0.0, 1e9))
    if not any(weights):
        raise ValueError(f"one weight of {text!r} has to be above 0")
    return Draw("mix", values=tuple(values), weights=tuple(weights))


def parse_series(text: str) -> Draw:
    """Numbers 1..N of users or domains: `N` one after the other, `uniform:N`, `zipf:N[:EXPONENT]`. ValueError says what was expected."""
    kind, colon, rest = text.partition(":")
    name, _, exponent = rest.partition(":")
    if not colon:
        return Draw("series", 1, _within(text))
    match kind:
        case "uniform" if not exponent:
            return Draw("uniform", 1, _within(name))
        case "zipf":
            return Draw("zipf", 1, _within(name), sigma=_real(exponent or "1", "EXPONENT", 0.0, SIGMA_MAX))
    raise ValueError(f"expected N, uniform:N or zipf:N[:EXPONENT], not {text!r}")


def gaps(kind: str, rate: float, stream: random.Random) -> Callable[[], float]:
    """Seconds between arrivals: `poisson` (exponential gaps, the arrivals of many independent senders) or `constant`."""
    if kind == "constant":
        gap = 1.0 / rate
        return lambda: gap
    return lambda: stream.expovariate(rate)


def _positive(number: int) -> int:
    if number < 1:
        raise ValueError(f"{number} is too small: expected 1 or more")
    return number


def _within(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= SERIES_MAX:
        raise ValueError(f"expected a number from 1 to {SERIES_MAX}, not {text!r}")
    return int(text)


def _real(text: str, name: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"expected a number for {name}, not {text!r}") from None
    if not low <= value <= high:
        raise ValueError(f"{name} {text} is out of range: expected {low:g} to {high:g}")
    return value
