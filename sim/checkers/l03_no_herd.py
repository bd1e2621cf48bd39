"""L3: a destination that comes back is not run over, and its backlog drains at its share.

no herd   a dead destination is probed by one delivery at a time; once it lives, as many deliveries may be under way as slow start allows: the
          initial ones, and one more for each delivery that ended well since
share     the backlog is gone within the longest back-off, the longest wait between attempts, and RECIPIENT_US for each recipient
"""

from typing import Final

from sim.duplicates import Outlook
from sim.facts import Crashed, Healed, Noted, Ordered, Stopped
from sim.ledger import FINAL, Ledger
from sim.observer import Handlers, Violation, violate
from smx.units import SECOND

RECIPIENT_US: Final = SECOND


class NoHerd:
    id = "L3"
    sentence = "the backlog of a healed destination drains at its share of capacity, and without a herd"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._ledger = ledger
        self._dead: dict[str, Noted] = {}
        self._alive: dict[str, Noted] = {}  # came back, and slow start still counts
        self._good: dict[str, int] = {}  # deliveries that ended well since it came back
        self._orders: dict[int, tuple[Ordered, set[int]]] = {}  # delivery -> its recipients without verdict
        self._answered: set[int] = set()  # deliveries under way of which a recipient has a final verdict
        self._flying: dict[str, int] = {}
        self._of: dict[tuple[int, int], int] = {}  # (transaction, index) -> delivery
        self._waiting: dict[str, dict[tuple[int, int], Noted]] = {}  # destination -> deferred recipients
        self._where: dict[tuple[int, int], str] = {}  # the destination at which it waits
        self._healed: dict[str, tuple[Healed, int]] = {}  # destination -> and how large its backlog was
        self.handlers: Handlers = {
            Ordered: self._on_ordered,
            Crashed: self._on_ended,
            Stopped: self._on_ended,
            Healed: self._on_healed,
            "destination": self._on_destination,
            "verdict": self._on_verdict,
        }

    def _on_destination(self, fact: Noted) -> None:
        name, state, _ = fact.values
        if state == "dead":
            self._dead[name] = fact
            self._alive.pop(name, None)
        else:
            self._dead.pop(name, None)
            self._alive[name] = fact
            self._good[name] = 1  # the probe

    def _on_ordered(self, fact: Ordered) -> None:
        name = fact.destination
        flying = self._flying[name] = self._flying.get(name, 0) + 1
        self._orders[fact.delivery] = (fact, set(fact.indices))
        for index in fact.indices:
            self._of[fact.transaction, index] = fact.delivery
        dead, alive = self._dead.get(name), self._alive.get(name)
        if dead is not None and flying > 1:
            violate(self, fact.at, f"{flying} deliveries to {name}, which is dead, are under way", dead, fact)
        elif alive is not None:
            initial = self._ledger.limit("qmgr.smtpc.initial_connections", 0)
            if initial and flying > initial + self._good.get(name, 0):
                violate(self, fact.at, f"{flying} deliveries to {name}, which has just come back, are under way", alive, fact)

    def _on_verdict(self, fact: Noted) -> None:
        place = (fact.values[0], fact.values[1])
        if fact.values[3] in FINAL and (waited := self._where.pop(place, "")):
            del self._waiting[waited][place]
        order, left = self._orders.get(self._of.pop(place, -1), (None, set[int]()))
        if order is None:
            return
        name = order.destination
        if fact.values[3] in FINAL:
            self._answered.add(order.delivery)
        else:
            self._waiting.setdefault(self._where.setdefault(place, name), {})[place] = fact
        left.discard(place[1])
        if not left:
            del self._orders[order.delivery]
            self._flying[name] -= 1
            if name in self._alive and order.delivery in self._answered:
                self._good[name] += 1
            self._answered.discard(order.delivery)

    def _on_ended(self, fact: Crashed | Stopped) -> None:
        """A new QMGR knows nothing of the dead one's deliveries, nor of its windows."""
        if fact.process in ("qmgr", "power"):
            for state in (self._dead, self._alive, self._orders, self._answered, self._flying, self._of):
                state.clear()
            self._healed.clear()

    def _on_healed(self, fact: Healed) -> None:
        self._healed[fact.destination] = (fact, len(self._waiting.get(fact.destination, ())))

    def _lives(self, place: tuple[int, int]) -> bool:
        """It is in the queue; where nobody looked there: it was durable. What SMTPS gave up before (A12) waits for nothing."""
        queue, envelope = self._ledger.queue, self._ledger.envelopes.get(place[0])
        if queue is not None:
            return any((row.transaction, row.index) == place for row in queue.rows)
        return envelope is None or envelope.durable is not None

    def finish(self, at: int) -> None:
        limit = self._ledger.limit
        for name, (healed, backlog) in self._healed.items():
            waits = limit("qmgr.retry.dead_max", 0) * 11 // 10 + limit("qmgr.retry.max", 0)
            bound = waits + backlog * limit("L3.recipient", RECIPIENT_US)
            left = [fact for place, fact in self._waiting.get(name, {}).items() if fact.at < healed.at and self._lives(place)]
            if left and at - healed.at > bound:
                violate(
                    self, at, f"{len(left)} of {backlog} recipients of {name} still wait {(at - healed.at) // 1_000_000} s after it healed", healed, left[0]
                )
