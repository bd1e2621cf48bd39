"""Scale: simulated time along the picture. A run has bursts of microseconds and waits of minutes; on an even scale one of both is invisible.

So a gap between two neighbouring happenings takes room by its logarithm: order and closeness stay visible, waits become short.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

UNIT_US: Final = 5.0  # a gap of this length counts about 0.7, a hundred times as long 4.6


class Scale:
    """From microseconds after the start to [0, 1]."""

    def __init__(self, instants: Iterable[int]) -> None:
        self.instants: Final[list[int]] = sorted({0, *instants})
        places = [0.0]
        for before, after in zip(self.instants, self.instants[1:], strict=False):
            places.append(places[-1] + math.log1p((after - before) / UNIT_US))
        whole = places[-1] or 1.0
        self.places: Final[list[float]] = [place / whole for place in places]

    def __call__(self, at: int) -> float:
        """Between two instants evenly."""
        number = bisect_right(self.instants, at) - 1
        if number >= len(self.instants) - 1:
            return self.places[-1]
        number = max(number, 0)
        share = (at - self.instants[number]) / (self.instants[number + 1] - self.instants[number])
        return self.places[number] + max(share, 0.0) * (self.places[number + 1] - self.places[number])

    def instant(self, place: float) -> int:
        """The inverse: what time it is there."""
        number = min(max(bisect_right(self.places, place) - 1, 0), max(len(self.places) - 2, 0))
        if len(self.places) < 2:
            return self.instants[0]
        width = self.places[number + 1] - self.places[number]
        share = (place - self.places[number]) / width if width else 0.0
        return round(self.instants[number] + share * (self.instants[number + 1] - self.instants[number]))
