"""L5: no metastable state: when an overload and its cause are gone, goodput is back to 95 % of what it was (F40).

Goodput: first copies a second, in the phase "steady" before the trouble and in the phase "judged" after it. The world offers the same load in both.
"""

from typing import Final

from sim.duplicates import Outlook
from sim.facts import Arrived, Phase
from sim.ledger import Ledger, Pair
from sim.observer import Handlers, Violation, violate

SHARE_PERCENT: Final = 95
BEFORE: Final = "steady"
AFTER: Final = "judged"


class GoodputReturns:
    id = "L5"
    sentence = "after an overload goodput is back to at least 95 % of what it was"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._seen: set[Pair] = set()
        self._phase = Phase(0, "")
        self._phases: dict[str, Phase] = {}
        self._counts: dict[str, int] = {}
        self._lengths: dict[str, int] = {}
        self.handlers: Handlers = {Arrived: self._on_arrived, Phase: self._on_phase}

    def _on_phase(self, fact: Phase) -> None:
        self._end(fact.at)
        self._phase = self._phases[fact.name] = fact

    def _end(self, at: int) -> None:
        name = self._phase.name
        self._lengths[name] = self._lengths.get(name, 0) + at - self._phase.at

    def _on_arrived(self, fact: Arrived) -> None:
        pair = (fact.token, fact.recipient)
        if pair not in self._seen:
            self._seen.add(pair)
            self._counts[self._phase.name] = self._counts.get(self._phase.name, 0) + 1

    def finish(self, at: int) -> None:
        self._end(at)
        if BEFORE not in self._phases or AFTER not in self._phases:
            return
        before, after = self._rate(BEFORE), self._rate(AFTER)
        if after * 100 < before * SHARE_PERCENT:
            violate(self, at, f"goodput was {before:.2f} a second, and is {after:.2f}", self._phases[BEFORE], self._phases[AFTER])

    def _rate(self, phase: str) -> float:
        return self._counts.get(phase, 0) * 1e6 / max(1, self._lengths.get(phase, 0))
