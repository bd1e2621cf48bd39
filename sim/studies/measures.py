"""Measures: what studies make of the facts of a run: delays of messages, percentiles, means with their confidence, levels sampled over time.

Delays count from the instant at which the client sent the final dot. Only the first copy of a message for a recipient counts; a message that was
sent again, under a new token, is another one.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from sim.facts import POWER, Arrived, Crashed, Noted, Ordered, Promised, Submitted
from sim.observer import Handlers
from sim.truth import Truth
from smx.units import MILLISECOND

STUDENT: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093)
"""Quantiles of Student's t for 95 %, two-sided, of 1, 2, 3 ... degrees of freedom; 1.96 beyond."""
BATCHES: Final = 10


class Delay(msgspec.Struct, frozen=True, gc=False):
    """From the dot to the 250 (`recipient` ""), or to the arrival at a recipient. `sent` is an instant, `took` microseconds."""

    sent: int
    took: int
    recipient: str = ""


class Delays:
    """Listens to a truth from now on."""

    def __init__(self, truth: Truth) -> None:
        self.promises: Final[list[Delay]] = []
        self.arrivals: Final[list[Delay]] = []  # in order of arrival
        self.handovers: Final[list[Delay]] = []  # from the 250 to the arrival, which may come first; `sent` is the instant of the 250
        self.open = 0  # messages between their dot and their 250
        self.underway = 0  # recipients between the dot and their arrival
        self._sent: dict[str, Submitted] = {}
        self._promised: dict[str, int] = {}
        self._early: dict[str, list[Arrived]] = {}  # arrived before their promise
        self._seen: set[tuple[str, str]] = set()
        self.handlers: Handlers = {Submitted: self._on_submitted, Promised: self._on_promised, Arrived: self._on_arrived}
        truth.attend(self)

    def _on_submitted(self, fact: Submitted) -> None:
        self._sent[fact.token] = fact
        self.open += 1
        self.underway += len(fact.recipients)

    def _on_promised(self, fact: Promised) -> None:
        sent = self._sent.get(fact.token)
        if sent is not None:
            self._promised[fact.token] = fact.at
            self.promises.append(Delay(sent.at, fact.at - sent.at))
            self.open -= 1
            for arrived in self._early.pop(fact.token, ()):
                self.handovers.append(Delay(fact.at, arrived.at - fact.at, arrived.recipient))

    def _on_arrived(self, fact: Arrived) -> None:
        sent = self._sent.get(fact.token)
        pair = (fact.token, fact.recipient)
        if sent is None or pair in self._seen:
            return
        self._seen.add(pair)
        self.underway -= 1
        self.arrivals.append(Delay(sent.at, fact.at - sent.at, fact.recipient))
        promised = self._promised.get(fact.token)
        if promised is None:
            self._early.setdefault(fact.token, []).append(fact)
        else:
            self.handovers.append(Delay(promised, fact.at - promised, fact.recipient))


class UnderWay:
    """Deliveries to one destination that QMGR has ordered and of which a recipient has no verdict yet. `most`: the highest `now` so far."""

    def __init__(self, truth: Truth, destination: str) -> None:
        self.now = 0
        self.most = 0
        self._destination = destination
        self._left: dict[int, set[int]] = {}  # delivery -> indices without verdict
        self._of: dict[tuple[int, int], int] = {}
        self.handlers: Handlers = {Ordered: self._on_ordered, Crashed: self._on_crashed, "verdict": self._on_verdict}
        truth.attend(self)

    def _on_ordered(self, fact: Ordered) -> None:
        if fact.destination != self._destination:
            return
        self._left[fact.delivery] = set(fact.indices)
        self._of.update({(fact.transaction, index): fact.delivery for index in fact.indices})
        self.now += 1
        self.most = max(self.most, self.now)

    def _on_verdict(self, fact: Noted) -> None:
        delivery = self._of.pop((fact.values[0], fact.values[1]), None)
        if delivery is not None:
            left = self._left[delivery]
            left.discard(fact.values[1])
            if not left:
                del self._left[delivery]
                self.now -= 1

    def _on_crashed(self, fact: Crashed) -> None:
        if fact.process in ("qmgr", POWER):
            self._left.clear()
            self._of.clear()
            self.now = 0


def within(delays: Iterable[Delay], begin: int, end: int, of: Callable[[str], bool] = bool) -> list[int]:
    """The delays of what was sent from `begin` on and before `end`, to the recipients that `of` chooses."""
    return [delay.took for delay in delays if begin <= delay.sent < end and of(delay.recipient)]


def percentile(values: Sequence[int], percent: float) -> float:
    """By nearest rank; 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return float(ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)])


def percentiles(name: str, delays: Sequence[int], *wanted: int) -> dict[str, float]:
    """Figures in milliseconds: {"others p50 ms": 3.2, ...}."""
    return {f"{name} p{percent} ms": percentile(delays, percent) / MILLISECOND for percent in wanted or (50, 95)}


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """A mean, and half of its confidence interval of 95 %; `half` is NaN when there is too little to say."""

    mean: float
    half: float

    def holds(self, value: float, slack: float = 0.0) -> bool:
        """Whether the value lies in the interval, made wider by a share of the mean."""
        return abs(value - self.mean) <= self.half + slack * abs(self.mean)


def batch_means(values: Sequence[float], batches: int = BATCHES) -> Estimate:
    """Of observations that depend on their neighbours, in their order: the means of long batches hardly do (Law, Simulation modeling and analysis)."""
    size = len(values) // batches
    if size == 0:
        return Estimate(sum(values) / len(values) if values else math.nan, math.nan)
    means = [sum(values[number * size : (number + 1) * size]) / size for number in range(batches)]
    return of_means(means)


def of_means(means: Sequence[float]) -> Estimate:
    """Of means that are independent: one a batch."""
    count = len(means)
    mean = sum(means) / count
    if count < 2:
        return Estimate(mean, math.nan)
    variance = sum((value - mean) ** 2 for value in means) / (count - 1)
    quantile = STUDENT[count - 2] if count - 2 < len(STUDENT) else 1.96
    return Estimate(mean, quantile * math.sqrt(variance / count))


def watch(world: Any, every_us: int, begin_us: int, end_us: int, look: Callable[[], None]) -> None:
    """Call `look` so often, from `begin_us` to `end_us` after the start."""

    def again() -> None:
        look()
        if world.env.now - world.started_at + every_us <= end_us:
            world.env.later(every_us, again)

    world.at(begin_us, again)
