"""I8: ids are never used twice, whatever happens to clocks, processes and backups (A11)."""

from sim.duplicates import Outlook
from sim.facts import Fact, Noted, Ordered, Promised
from sim.ledger import Ledger
from sim.observer import Handlers, Violation, violate
from smx.ids import id_text


class IdsUnique:
    id = "I8"
    sentence = "transactions, sessions, deliveries and epochs have ids that nothing else ever had"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._seen: dict[tuple[str, int], Fact] = {}
        self._latest: dict[str, Noted] = {}  # process -> its latest start
        self.handlers: Handlers = {
            Promised: self._on_promised,
            Ordered: self._on_ordered,
            "submitted": self._on_submitted,
            "session": self._on_session,
            "started": self._on_started,
        }

    def _claim(self, kind: str, number: int, fact: Fact) -> None:
        before = self._seen.setdefault((kind, number), fact)
        if before is not fact:
            name = id_text(number) if kind in ("transaction", "session", "reply") else str(number)
            violate(self, fact.at, f"the {kind} id {name} was used before", before, fact)

    def _on_submitted(self, fact: Noted) -> None:
        self._claim("transaction", fact.values[0], fact)

    def _on_session(self, fact: Noted) -> None:
        self._claim("session", fact.values[0], fact)

    def _on_ordered(self, fact: Ordered) -> None:
        self._claim("delivery", fact.delivery, fact)

    def _on_promised(self, fact: Promised) -> None:
        if fact.transaction:
            self._claim("reply", fact.transaction, fact)

    def _on_started(self, fact: Noted) -> None:
        self._claim("epoch", fact.epoch, fact)
        before = self._latest.get(fact.process)
        if before is not None and before.epoch > fact.epoch:
            violate(self, fact.at, f"{fact.process} started in epoch {fact.epoch}, after epoch {before.epoch}", before, fact)
        self._latest[fact.process] = fact

    def finish(self, at: int) -> None:
        pass
