"""Duplicates: for a crash, the exact set of recipients that may get a second copy (A13, A9).

A delivery is at risk from its final dot on until the verdict of each of its recipients is durable (`recorded`). What a death may repeat:

    who died     copies are possible of the deliveries that are at risk and
    power        all of them
    qmgr         were begun by this QMGR, also those whose dot an SMTPC that outlives it sends later
    mcp          the same: its children stop in order, all at once, so QMGR may record that a delivery was interrupted; that is no verdict
    smtpc.N      whose dot this process sent
    lda          go to the local Maildirs
    smtps, smar  none

A link between QMGR and an SMTPC that breaks while both live (F24) is like the death of that SMTPC, but that it may send the dot still.
"""

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from sim.facts import POWER, Crashed, Fact, FaultInjected, Noted, Ordered
from sim.ledger import Ledger, Place
from sim.observer import Handlers

ANYBODY: Final = -1  # the index of a recipient of which only the transaction is known: its lines were lost with the process that had them


class Order(Struct):
    """A delivery. `open`: the indices whose verdict is not durable; None: whose it is, is not known."""

    transaction: int
    qmgr: int
    destination: str
    attempt: int
    open: list[int] | None
    process: str = ""  # the SMTPC that has it; "": not known
    verdicts: dict[int, int] = {}  # index -> the attempt that ended with a verdict, not durable yet
    smtpc: tuple[str, int] | None = None  # who sent its dot, and his epoch


def is_local(destination: str) -> bool:
    """Whether deliveries to it go to the LDA."""
    return destination == "local" or "/" in destination


class Death(Struct):
    """Something that may repeat deliveries. `places`: what it may; `epoch`: of a dead QMGR whose deliveries may still send their dots, else 0."""

    fact: Crashed | FaultInjected
    places: list[Place]
    epoch: int = 0


class Outlook:
    """What is at risk now, and what crashes have put at risk so far. Told each fact in order of time, behind its ledger."""

    def __init__(self, ledger: Ledger, local: Callable[[str], bool] = is_local) -> None:
        self._ledger = ledger
        self._local = local
        self._orders: dict[int, dict[int, Order]] = {}  # transaction -> delivery -> order; a delivery's number is never used again
        self._interrupted: set[tuple[int, int, int]] = set()  # (transaction, index, QMGR's epoch): its latest verdict is no reply of the peer
        self._orphaned: set[int] = set()  # epochs of QMGR whose MCP is dead
        self._cut_off: dict[int, tuple[Death, list[Place]]] = {}  # delivery whose link broke before its dot was sent -> what that dot may repeat
        self._deaths: list[Death] = []
        self.handlers: Handlers = {
            Ordered: self._on_ordered,
            Crashed: self.crashed,
            FaultInjected: self._on_fault,
            "dot": self._on_dot,
            "verdict": self._on_verdict,
            "recorded": self._on_recorded,
            "closed": self._on_closed,
        }

    # --- questions --------------------------------------------------------------------------------------------------

    def at_risk(self) -> list[Place]:
        """What a power loss at this moment may repeat."""
        return self._places(lambda order: order.smtpc is not None)

    def deaths(self) -> list[tuple[Crashed | FaultInjected, frozenset[Place]]]:
        """Each crash with what it may repeat, by what is known now."""
        return [(death.fact, frozenset(death.places if not death.epoch else [*death.places, *self._of_epoch(death.epoch)])) for death in self._deaths]

    def risks(self) -> dict[Place, int]:
        """How many further copies the crashes so far may have made of each."""
        risks: dict[Place, int] = {}
        epochs: list[int] = []
        for death in self._deaths:
            places = death.places
            if death.epoch and death.epoch not in epochs:  # its deliveries are repeated once, whoever died with it
                epochs.append(death.epoch)
                places = [*places, *self._of_epoch(death.epoch)]
            for place in places:
                risks[place] = risks.get(place, 0) + 1
        return risks

    def _of_epoch(self, epoch: int) -> list[Place]:
        return self._places(lambda order: order.smtpc is not None and order.qmgr == epoch)

    def _places(self, wanted: Callable[[Order], bool]) -> list[Place]:
        places: dict[Place, None] = {}
        for orders in self._orders.values():
            for order in orders.values():
                if wanted(order):
                    places.update(dict.fromkeys(self._open(order)))
        return list(places)

    def _open(self, order: Order) -> list[Place]:
        transaction = order.transaction
        if order.open is not None:
            return [(transaction, index) for index in order.open]
        envelope = self._ledger.envelopes.get(transaction)
        indices = list(envelope.recipients) if envelope is not None else []
        return [(transaction, index) for index in indices or [ANYBODY]]

    # --- deaths -----------------------------------------------------------------------------------------------------

    def crashed(self, fact: Crashed) -> None:
        """A death. What is possible at once is counted at once."""
        kind = fact.process.partition(".")[0]
        qmgr = self._ledger.epochs.get("qmgr", 0)
        death = Death(fact, [])
        if kind == POWER:
            death.places = self._lights_out()
        elif kind == "qmgr":
            death.epoch = fact.epoch or qmgr
        elif kind == "mcp":
            death.epoch = qmgr
            self._orphaned.add(qmgr)
        elif kind == "smtpc":
            epoch = fact.epoch or self._ledger.epochs.get(fact.process, 0)
            death.places = self._places(lambda order: order.qmgr == qmgr and order.smtpc == (fact.process, epoch))
        elif kind == "lda":
            death.places = self._places(lambda order: order.qmgr == qmgr and order.smtpc is not None and self._may_be_local(order))
        self._deaths.append(death)

    def _may_be_local(self, order: Order) -> bool:
        return not order.destination or self._local(order.destination)

    def _lights_out(self) -> list[Place]:
        """Nobody is left to send a dot: what earlier deaths of QMGR may repeat is known now."""
        dead = []
        for death in self._deaths:
            if death.epoch:
                if death.epoch not in dead:
                    death.places += self._of_epoch(death.epoch)
                dead.append(death.epoch)
                death.epoch = 0
        places = self._places(lambda order: order.smtpc is not None and order.qmgr not in dead)
        self._orders.clear()
        return places

    def _on_fault(self, fact: FaultInjected) -> None:
        """F24: QMGR takes the deliveries for interrupted; the SMTPC goes on with them. The names of both stand in `place`, or in the text."""
        names = (fact.place or fact.text).split()
        if fact.fault != "F24" or "qmgr" not in names:
            return
        process = next((name for name in names if name.startswith("smtpc")), "")
        if not process:
            return
        qmgr = self._ledger.epochs.get("qmgr", 0)
        death = Death(fact, self._places(lambda order: order.qmgr == qmgr and order.smtpc is not None and order.smtpc[0] == process))
        self._deaths.append(death)
        for orders in self._orders.values():
            for delivery, order in orders.items():
                if order.qmgr == qmgr and order.smtpc is None and order.process in ("", process):
                    self._cut_off[delivery] = (death, self._open(order))

    # --- deliveries -------------------------------------------------------------------------------------------------

    def _on_ordered(self, fact: Ordered) -> None:
        order = Order(fact.transaction, fact.epoch, fact.destination, fact.attempt, list(fact.indices), fact.process)
        self._orders.setdefault(fact.transaction, {})[fact.delivery] = order

    def _on_dot(self, fact: Noted) -> None:
        delivery, transaction, _ = fact.values
        cut_off = self._cut_off.pop(delivery, None)
        if cut_off is not None:
            cut_off[0].places += cut_off[1]
        orders = self._orders.setdefault(transaction, {})
        order = orders.get(delivery)
        if order is None:
            order = orders[delivery] = Order(transaction, self._ledger.epochs.get("qmgr", 0), "", 0, None)
        order.smtpc = (fact.process, fact.epoch)

    def _on_verdict(self, fact: Noted) -> None:
        transaction, index, attempt, outcome, code, _, _ = fact.values
        key = (transaction, index, fact.epoch)
        if outcome == "deferred" and code == 0:
            self._interrupted.add(key)
        else:
            self._interrupted.discard(key)
        for order in self._orders.get(transaction, {}).values():
            if order.qmgr == fact.epoch and order.open is not None and index in order.open:
                order.verdicts.setdefault(index, attempt)

    def _on_recorded(self, fact: Noted) -> None:
        transaction, index, attempt = fact.values
        orders = self._orders.get(transaction)
        if orders is None or (fact.epoch in self._orphaned and (transaction, index, fact.epoch) in self._interrupted):
            return
        for delivery, order in list(orders.items()):
            if order.qmgr != fact.epoch or order.open is None or index not in order.open:
                continue
            if order.verdicts.get(index, attempt + 1) <= attempt or 0 < order.attempt <= attempt:
                order.open.remove(index)
                if not order.open:
                    del orders[delivery]
        if not orders:
            del self._orders[transaction]

    def _on_closed(self, fact: Noted) -> None:
        """Everything of it that this QMGR began is settled; also what was delivered before it was stored (A12)."""
        orders = self._orders.get(fact.values[0])
        if orders is not None:
            left = {delivery: order for delivery, order in orders.items() if order.qmgr != fact.epoch}
            if left:
                self._orders[fact.values[0]] = left
            else:
                del self._orders[fact.values[0]]


def may_repeat(facts: Iterable[Fact], at: int, process: str = POWER) -> frozenset[Place]:
    """(transaction, index) of the recipients of which a crash of `process` at `at` may make another copy, by what had happened until then.

    `facts` of one run in order of time. For `qmgr` and `mcp`: those whose dot was sent by then.
    """
    ledger = Ledger()
    outlook = Outlook(ledger)
    for fact in facts:
        if fact.at > at:
            break
        key = fact.name if isinstance(fact, Noted) else type(fact)
        for observer in (ledger, outlook):
            handler = observer.handlers.get(key)
            if handler is not None:
                handler(fact)
    outlook.crashed(Crashed(at, process, ledger.epochs.get(process, 0)))
    return outlook.deaths()[-1][1]
