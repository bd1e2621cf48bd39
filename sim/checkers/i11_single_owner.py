"""I11: a recipient has one owner, and the limits of concurrency hold at every instant.

A delivery is under way from QMGR's order until each of its recipients has a verdict, or that QMGR is dead.
"""

from sim.duplicates import Outlook
from sim.facts import Crashed, Noted, Ordered, QueueSeen, Stopped
from sim.ledger import Ledger, Place
from sim.observer import Handlers, Violation, violate


class SingleOwner:
    id = "I11"
    sentence = "a recipient is in one place of the queue, and no more deliveries are under way than the limits allow"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._ledger = ledger
        self._owner: dict[Place, Ordered] = {}
        self._open: dict[int, set[int]] = {}  # delivery -> indices without verdict
        self._flying: dict[str, int] = {}  # destination -> deliveries under way
        self._attempts: dict[Place, Noted] = {}  # the latest verdict
        self.handlers: Handlers = {
            Ordered: self._on_ordered,
            Crashed: self._on_crashed,
            Stopped: self._on_stopped,
            QueueSeen: self._on_queue,
            "verdict": self._on_verdict,
        }

    def _on_ordered(self, fact: Ordered) -> None:
        for index in fact.indices:
            other = self._owner.get((fact.transaction, index))
            if other is not None and not self._ledger.lossy:
                violate(self, fact.at, f"recipient {index} is in two deliveries at once", other, fact)
            self._owner[fact.transaction, index] = fact
        self._open[fact.delivery] = set(fact.indices)
        flying = self._flying[fact.destination] = self._flying.get(fact.destination, 0) + 1
        if self._ledger.lossy:
            return
        for name, value in (("qmgr.smtpc.max_connections", flying), ("qmgr.smtpc.deliveries_max", len(self._open))):
            limit = self._ledger.limit(name, 0)
            if limit and value > limit:
                violate(self, fact.at, f"{value} deliveries are under way, {fact.destination} included, and {name} is {limit}", fact)

    def _on_verdict(self, fact: Noted) -> None:
        transaction, index, attempt = fact.values[:3]
        place = (transaction, index)
        before = self._attempts.get(place)
        if before is not None and before.epoch == fact.epoch and before.values[2] >= attempt and not self._ledger.lossy:
            violate(self, fact.at, f"recipient {index} ended attempt {attempt} twice", before, fact)
        self._attempts[place] = fact
        order = self._owner.pop(place, None)
        if order is None:
            return
        left = self._open.get(order.delivery)
        if left is not None:
            left.discard(index)
            if not left:
                del self._open[order.delivery]
                self._flying[order.destination] -= 1

    def _on_crashed(self, fact: Crashed) -> None:
        if fact.process in ("qmgr", "power"):
            self._forget()

    def _on_stopped(self, fact: Stopped) -> None:
        if fact.process == "qmgr":
            self._forget()

    def _forget(self) -> None:
        self._owner.clear()
        self._open.clear()
        self._flying.clear()

    def _on_queue(self, fact: QueueSeen) -> None:
        seen: set[Place] = set()
        for row in fact.rows:
            if (row.transaction, row.index) in seen:
                violate(self, fact.at, f"recipient {row.index} is in the queue twice", fact)
            seen.add((row.transaction, row.index))

    def finish(self, at: int) -> None:
        pass
