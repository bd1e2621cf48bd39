"""Scheduler: builds deliveries and hands them to SMTPC (SX19, SX20, L6).

    which destination   the next one in the ring of its SMTPC that has something in line and room in its window
    which recipients    those of one transaction, as many as one delivery may carry, new and deferred mail in turn (aq.py)
    which SMTPC         all deliveries of a destination go to one process, so that its window is the window: the process whose name,
                        hashed with the destination's, is highest; when a process comes or goes only its own destinations move

A destination stands in a ring only while it can use a turn: whoever changes that says `ready`. So a turn costs O(1), and a destination
that is slow costs nothing. A dead one has nothing in line: its mail waits in DEFEDB until the probe is due (dispatch.py).

When the link to an SMTPC is lost, its deliveries end as deferred, attempt counted: it may have crashed on one of them (A14, F23).
"""

import zlib
from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from smx.limits import SESSION_IDLE_TIMEOUT_US
from smx.messages import Deliver, Delivered, Outcome, Ret, Route, Verdict
from smx.qmgr.aq import Destination
from smx.qmgr.envelopes import Entry, Place
from smx.qmgr.poison import is_suspect
from smx.qmgr.records import Begun
from smx.qmgr.retry import spread
from smx.qmgr.window import Ending
from smx.units import SECOND

if TYPE_CHECKING:
    from smx.qmgr.hub import Hub

KEEP_US: Final = SECOND  # a session is kept so long when nothing is in line for it: the next message may be on its way (SX21)
RECIPIENTS_FRAME_MAX: Final = 1_000  # more may not fit in one message to SMTPC (limits.FRAME_PAYLOAD_OCTETS_MAX)
DELIVERY_BITS: Final = 24  # deliveries are numbered within an epoch
LOST: Final = Verdict(-1, Outcome.DEFERRED, 0, b"4.3.0", b"the delivery was interrupted")


class Delivery(Struct):
    """One Deliver that was not answered yet. `began_at` is by now."""

    number: int
    destination: Destination
    carrier: "Carrier"
    entries: list[Entry]
    protocol: int
    began_at: int
    dot: bool = False  # a copy may exist


class Carrier(Struct):
    """A linked SMTPC. `ring` holds destinations that can use a turn."""

    name: str
    sessions_max: int
    in_flight: int
    ring: deque[Destination]


class Scheduler:
    """Owns the deliveries under way."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._carriers: dict[str, Carrier] = {}
        self.deliveries: dict[int, Delivery] = {}
        self._number = 0

    # --- processes ------------------------------------------------------------------------------------------------

    @property
    def at_work(self) -> bool:
        """Somebody is there to deliver."""
        return bool(self._carriers)

    def capacity(self, process: str, sessions_max: int) -> None:
        """An SMTPC said how much it can do; from now on it gets work."""
        found = self._carriers.get(process)
        if found is not None:
            found.sessions_max = sessions_max
            return
        self._carriers[process] = Carrier(process, sessions_max, 0, deque())
        self._reassign()
        self._hub.gate.assess()

    def unlinked(self, process: str) -> None:
        """An SMTPC is gone, and with it what became of its deliveries."""
        if self._carriers.pop(process, None) is None:
            return
        self._reassign()
        self._hub.gate.assess()
        for delivery in [delivery for delivery in self.deliveries.values() if delivery.carrier.name == process]:
            self.interrupt(delivery)

    def interrupt(self, delivery: Delivery) -> None:
        """Nobody will say how it ended."""
        self._finish(delivery, Ending.UNKNOWN)
        for entry in delivery.entries:
            self._hub.settlement.attempted(entry, LOST, delivery.protocol, delivery.began_at)

    def _reassign(self) -> None:
        """Distribute the destinations anew over the processes that are linked."""
        for carrier in self._carriers.values():
            carrier.ring.clear()
        for destination in self._hub.aq.destinations.values():
            destination.ready = False
            destination.carrier = ""
            self.ready(destination)

    def _carrier_of(self, destination: Destination) -> Carrier | None:
        carrier = self._carriers.get(destination.carrier)
        if carrier is None and self._carriers:
            key = b"%d/%s/" % (self._hub.seed, destination.name.encode("utf-8", "backslashreplace"))
            destination.carrier = max(self._carriers, key=lambda name: (zlib.crc32(key + name.encode()), name))
            carrier = self._carriers[destination.carrier]
        return carrier

    # --- turns ----------------------------------------------------------------------------------------------------

    def ready(self, destination: Destination) -> None:
        """The destination may be able to use a turn now."""
        if destination.ready or not destination.jobs or not destination.window.room(self._hub.now):
            return
        carrier = self._carrier_of(destination)
        if carrier is not None:
            destination.ready = True
            carrier.ring.append(destination)

    def pump(self) -> None:
        """Begin every delivery that may begin."""
        hub = self._hub
        for carrier in self._carriers.values():
            ring = carrier.ring
            while ring and carrier.in_flight < carrier.sessions_max and len(self.deliveries) < hub.deliveries_max:
                destination = ring.popleft()
                destination.ready = False
                if destination.jobs and destination.window.room(hub.now):
                    self._begin(destination, carrier)
                    self.ready(destination)

    def _begin(self, destination: Destination, carrier: Carrier) -> None:
        hub = self._hub
        route, entries = hub.aq.take(destination, min(hub.recipients_max, RECIPIENTS_FRAME_MAX))
        destination.window.began(hub.now)
        carrier.in_flight += 1
        self._number += 1
        number = (hub.epoch << DELIVERY_BITS) + self._number
        transaction = entries[0].transaction
        for entry in entries:
            assert entry.place == Place.QUEUED
            entry.place = Place.FLIGHT
        self.deliveries[number] = Delivery(number, destination, carrier, entries, route.protocol, hub.now)
        if transaction.cut is None:
            suspect = any(is_suspect(entry.crashes) for entry in entries)
            hub.ibdb.append(Begun(transaction.id, tuple(entry.recipient.index for entry in entries), suspect), lazy=True)  # A14
        hub.note("begun", number, transaction.id, destination.name, len(entries), entries[0].attempt + 1)
        hub.tell_late(carrier.name, self._deliver(number, route, entries, destination))

    def _deliver(self, number: int, route: Route, entries: list[Entry], destination: Destination) -> Deliver:
        envelope = entries[0].transaction.envelope
        reverse_path = entries[0].reverse_path
        own = reverse_path == envelope.reverse_path  # else a list: its parameters are not the sender's (RFC 3461 5.2.7.1 (b))
        return Deliver(
            number,
            envelope.transaction,
            route,
            reverse_path,
            tuple([entry.recipient for entry in entries]),
            envelope.content,
            envelope.envid if own else b"",
            envelope.ret if own else Ret.NONE,
            envelope.body,
            envelope.smtputf8,
            SESSION_IDLE_TIMEOUT_US if destination.jobs else KEEP_US,
        )

    # --- results --------------------------------------------------------------------------------------------------

    def dot_sent(self, number: int) -> None:
        delivery = self.deliveries.get(number)
        if delivery is not None:
            delivery.dot = True

    def delivered(self, result: Delivered) -> None:
        """A delivery ended. A result that nobody waits for (of an interrupted delivery) is ignored."""
        delivery = self.deliveries.get(result.delivery)
        if delivery is None:
            return
        settlement = self._hub.settlement
        dead = self._finish(delivery, _ending(result))
        verdicts = {verdict.index: verdict for verdict in result.verdicts}
        for entry in delivery.entries:
            verdict = verdicts.get(entry.recipient.index, LOST)
            settlement.attempted(entry, verdict, delivery.protocol, delivery.began_at)
        if dead:
            self._died(delivery.destination, result.verdicts[0] if result.verdicts else LOST)

    def _finish(self, delivery: Delivery, ending: Ending) -> bool:
        """Account for its end. True: the destination is dead."""
        hub = self._hub
        del self.deliveries[delivery.number]
        delivery.carrier.in_flight -= 1
        destination = delivery.destination
        hub.aq.landed(destination, len(delivery.entries))
        window = destination.window
        was_dead = window.dead
        unit = 0.0
        if ending is Ending.FAILED:
            unit = spread(hub.seed, b"dead", zlib.crc32(destination.name.encode("utf-8", "backslashreplace")), window.backoff_us)
        dead = window.ended(ending, hub.now, unit)
        if was_dead and not window.dead:
            hub.note("destination", destination.name, "alive", "")
        if ending is not Ending.FAILED:
            destination.measure(len(delivery.entries), hub.now)
        if not dead:
            self.ready(destination)
        return dead

    # --- dead destinations ----------------------------------------------------------------------------------------

    def _died(self, destination: Destination, verdict: Verdict) -> None:
        """What is in line has waited for the connection that failed: it was their attempt too."""
        hub = self._hub
        hub.note("destination", destination.name, "dead", verdict.text)
        for entry in hub.aq.drain(destination):
            hub.settlement.attempted(entry, verdict, 0, hub.now)


def _ending(result: Delivered) -> Ending:
    if not result.connected:
        return Ending.FAILED
    if all(verdict.outcome == Outcome.DEFERRED for verdict in result.verdicts):
        return Ending.BUSY
    return Ending.GOOD
