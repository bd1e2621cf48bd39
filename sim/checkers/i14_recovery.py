"""I14: recovery twice is recovery once, a crash in it changes nothing, and nothing is delivered or taken before it has ended.

The comparisons are made by who has power over the world (a study); here they are judged. The order of notes is judged in every run.
"""

from sim.duplicates import Outlook
from sim.facts import Compared, Noted, Ordered
from sim.ledger import Ledger
from sim.observer import Handlers, Violation, violate


class RecoveryIdempotent:
    id = "I14"
    sentence = "recovering twice is recovering once, and nothing is delivered before recovery has ended"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._recovering: dict[int, Noted] = {}  # epoch of QMGR -> its start, until it has recovered
        self.handlers: Handlers = {
            Compared: self._on_compared,
            Ordered: self._on_early,
            "started": self._on_started,
            "recovered": self._on_recovered,
            "submitted": self._on_early,
            "begun": self._on_early,
        }

    def _on_compared(self, fact: Compared) -> None:
        if not fact.equal:
            violate(self, fact.at, f"{fact.what} gives something else: {fact.difference}", fact)

    def _on_started(self, fact: Noted) -> None:
        if fact.process == "qmgr":
            self._recovering[fact.epoch] = fact

    def _on_recovered(self, fact: Noted) -> None:
        self._recovering.pop(fact.epoch, None)

    def _on_early(self, fact: Noted | Ordered) -> None:
        started = self._recovering.get(fact.epoch)
        if started is not None:
            what = fact.name if isinstance(fact, Noted) else "order"
            violate(self, fact.at, f"`{what}` before recovery ended", started, fact)

    def finish(self, at: int) -> None:
        pass
