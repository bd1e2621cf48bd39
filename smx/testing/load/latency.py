"""Latency: a histogram of microseconds, exact to 0.8 %, of bounded size however many values there are.

Buckets have the width 1 up to 255 us, then double it with each power of two, 128 buckets each; minimum, maximum and mean are exact.
"""

from typing import Final

from msgspec import Struct

_BITS: Final = 7
_SUB: Final = 1 << _BITS
_VALUE_MAX: Final = (1 << 40) - 1  # twelve days


class Latency(Struct, frozen=True):
    """Figures in milliseconds; 0 when `count` is 0."""

    count: int = 0
    mean_ms: float = 0.0
    p50_ms: float = 0.0
    p90_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0


class Histogram:
    """`record` values, then ask for percentiles."""

    __slots__ = ("_buckets", "_greatest", "_total", "count")

    def __init__(self) -> None:
        self._buckets = [0] * (_index(_VALUE_MAX) + 1)
        self._greatest = 0
        self._total = 0
        self.count = 0

    def record(self, seconds: float) -> None:
        """Add a value; one below 0 counts as 0."""
        value = int(seconds * 1e6)
        if value > self._greatest:
            self._greatest = value
            if value > _VALUE_MAX:
                value = _VALUE_MAX
        elif value < 0:
            value = 0
        shift = value.bit_length() - 8
        self._buckets[value if shift <= 0 else (shift << 7) + (value >> shift)] += 1
        self._total += value
        self.count += 1

    def percentile(self, percent: float) -> float:
        """The microseconds that so many percent of the values do not exceed (nearest rank; the middle of its bucket)."""
        rank = max(1, -(-self.count * percent // 100))
        for index, number in enumerate(self._buckets):
            rank -= number
            if number and rank <= 0:
                return min(_middle(index), float(self._greatest))
        return 0.0

    def figures(self) -> Latency:
        """What is reported."""
        if not self.count:
            return Latency()
        p50, p90, p99 = (round(self.percentile(percent) / 1e3, 3) for percent in (50, 90, 99))
        return Latency(self.count, round(self._total / self.count / 1e3, 3), p50, p90, p99, self._greatest / 1e3)


def _index(value: int) -> int:
    shift = value.bit_length() - _BITS - 1
    return value if shift <= 0 else (shift << _BITS) + (value >> shift)


def _middle(index: int) -> float:
    if index < 2 * _SUB:
        return float(index)
    shift = index // _SUB - 1
    return ((index - (shift << _BITS)) << shift) + ((1 << shift) - 1) / 2
