"""Dispatch: lets recipients into AQ, finds their route, puts them in line; sends to disk what does not fit (A8, SX16, SX17, L6).

    new mail, durable or cut through                 due rows of DEFEDB (EDBC)
           |                                                 |
           +--- no room in AQ: DEFEDB, next_try = now        +--- no room in AQ: they wait in EDBC
           |                                                 +--- destination dead or crowded: next_try moves on
        a route from SMAR, or its verdict, or an expansion
           |
           +--- destination dead or crowded: DEFEDB, next_try when there should be room again
           |
        in line

Recipients of one transaction and one domain are put in line together, so that one delivery can carry them (SX19).
When the overflow of a destination may try again follows from how fast the destination takes mail: each recipient that is sent away
gets the next free place in its time table, so that it is sent away once or twice, not again and again. The table is made for twice the
measured rate, and is not long: a destination that became faster than it was shall not stand idle while its mail waits.
"""

from typing import TYPE_CHECKING, Final

from smx.effects import Row
from smx.messages import Resolved, Route
from smx.qmgr.aq import Destination
from smx.qmgr.envelopes import Entry, Place, Transaction, Unresolved
from smx.qmgr.poison import is_suspect
from smx.qmgr.retry import spread
from smx.qmgr.routes import domain_of
from smx.qmgr.rows import RowError, read_row
from smx.units import MINUTE, SECOND

if TYPE_CHECKING:
    from smx.qmgr.hub import Hub

DUE_ROWS_MAX: Final = 256  # that one step takes from EDBC
OVERFLOW_WAIT_MIN_US: Final = SECOND
OVERFLOW_WAIT_MAX_US: Final = 10 * MINUTE
OVERFLOW_HOPE: Final = 2  # the table is made for so many times the rate
OVERFLOW_RATE: Final = 1_000.0  # recipients a second, while the rate is not known
PROBE_CROWD_US: Final = MINUTE  # rows of a dead destination come back within this time behind its probe


class Dispatch:
    """Between IQDB and EDBC on one side and AQ on the other."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub

    # --- new mail -------------------------------------------------------------------------------------------------

    def enter(self, transaction: Transaction) -> None:
        """Every recipient that is not under way yet goes to AQ, or to disk when AQ is full (A8)."""
        aq = self._hub.aq
        for entry in list(transaction.entries.values()):
            if entry.place == Place.INCOMING:
                if aq.room(deferred=False) > 0:
                    self._admit(entry)
                else:
                    self._hub.deferral.spill(entry, self._hub.stamp)

    def enter_cut(self, transaction: Transaction) -> bool:
        """The same for a message that is not durable: all of it, or nothing (False)."""
        if self._hub.aq.room(deferred=False) < len(transaction.entries):
            return False
        for entry in list(transaction.entries.values()):
            self._admit(entry)
        return True

    def _admit(self, entry: Entry) -> None:
        self._hub.aq.admit(entry)
        self._ask(entry)

    def again(self, entry: Entry) -> bool:
        """A recipient whose row cannot be written is tried from memory (A10). False: no room in AQ."""
        aq = self._hub.aq
        if not entry.counted:
            if aq.room(deferred=entry.deferred) <= 0:
                return False
            aq.admit(entry)
        entry.place = Place.INCOMING
        self._ask(entry)
        return True

    def _ask(self, entry: Entry) -> None:
        hub = self._hub
        transaction = entry.transaction
        if len(transaction.entries) > 1:
            if transaction.unresolved is None:
                transaction.unresolved = Unresolved()
            domain = domain_of(entry.recipient.address)
            transaction.unresolved.left[domain] = transaction.unresolved.left.get(domain, 0) + 1
        hub.routes.ask(entry)

    # --- due rows ---------------------------------------------------------------------------------------------------

    def refill(self) -> bool:
        """Take due rows into AQ. True: there may be more at once."""
        hub = self._hub
        stamp = hub.stamp
        for _ in range(DUE_ROWS_MAX):
            if hub.aq.room(deferred=True) <= 0 or hub.deferral.behind:
                return False
            row = hub.edbc.take(stamp)
            if row is None:
                return False
            self.due(row)
        return True

    def due(self, row: Row) -> bool:
        """A row that is out of EDBC shall be tried. False: no room in AQ."""
        hub = self._hub
        if hub.aq.room(deferred=True) <= 0:
            return False
        destination = hub.aq.destinations.get(row.destination)
        if destination is not None and self._closed(destination):
            hub.deferral.postpone(row, self._later(destination, row.transaction, row.index))
            return True
        entry = self.revive(row)
        if entry is not None:
            self._admit(entry)
        return True

    def revive(self, row: Row) -> Entry | None:
        """The recipient of a row that has left EDBC, in memory. None: the row cannot be read; it is quarantined."""
        hub = self._hub
        try:
            envelope, parked = read_row(row)
        except RowError as error:
            hub.note("quarantined", row.transaction, row.index, str(error))
            hub.deferral.quarantine_row(row)
            return None
        transaction = hub.transactions.get(row.transaction)
        if transaction is None:
            transaction = hub.transactions[row.transaction] = Transaction(envelope)
            transaction.durable = True
        entry = transaction.add(parked.recipient, envelope.reverse_path if parked.reverse_path is None else parked.reverse_path)
        entry.attempt = row.attempt
        entry.deferred = entry.row = True
        entry.expand = not parked.expanded
        entry.warned = parked.warned
        entry.crashes, entry.alone = parked.crashes, parked.alone
        entry.destination = row.destination
        return entry

    # --- routes -----------------------------------------------------------------------------------------------------

    def resolved(self, entry: Entry, answer: Resolved) -> None:
        """The route is known, or why there is none, or what the address stands for."""
        unresolved = entry.transaction.unresolved
        if unresolved is not None:
            _count_down(unresolved, domain_of(entry.recipient.address))
        if answer.verdict is not None:
            self._hub.settlement.attempted(entry, answer.verdict, 0, self._hub.now)
        elif answer.route is None:
            self._hub.expansion.expand(entry, answer)
        elif unresolved is None:
            self.queue(entry, answer.route)
        else:
            entry.place = Place.PARKED
            unresolved.parked.append((entry, answer.route))
        if unresolved is not None and unresolved.parked:
            self._release_parked(unresolved)

    def _release_parked(self, unresolved: Unresolved) -> None:
        """Put in line those whose domain has no other recipient waiting any more."""
        parked, unresolved.parked = unresolved.parked, []
        for entry, route in parked:
            if domain_of(entry.recipient.address) in unresolved.left:
                unresolved.parked.append((entry, route))
            elif entry.place == Place.PARKED:
                self.queue(entry, route)

    def queue(self, entry: Entry, route: Route, *, trial: bool = False) -> None:
        """Put an entry in line for a delivery. A suspect comes to the ward first, and from there for its `trial` (A14)."""
        hub = self._hub
        destination = hub.aq.destination(route.destination)
        entry.destination = destination.name
        if self._closed(destination):
            if entry.transaction.cut is not None:
                hub.submission.hindered(entry)
            else:
                hub.deferral.spill(entry, self._later(destination, *entry.key))
        elif is_suspect(entry.crashes) and not trial:
            hub.ward.admit(entry, route)
        else:
            hub.aq.enqueue(entry, destination, route)
            hub.scheduler.ready(destination)

    # --- destinations that take no more -------------------------------------------------------------------------------

    def _closed(self, destination: Destination) -> bool:
        return destination.window.dead_until > self._hub.now or self._hub.aq.crowded(destination)

    def _later(self, destination: Destination, transaction: int, index: int) -> int:
        """The stamp at which one more recipient of the destination may come."""
        hub = self._hub
        stamp = hub.stamp
        if destination.window.dead_until > hub.now:
            return destination.window.dead_until + hub.wall_offset + int(PROBE_CROWD_US * spread(hub.seed, b"probe", transaction, index))
        interval = int(SECOND / (max(destination.rate, 1.0) * OVERFLOW_HOPE if destination.rate else OVERFLOW_RATE))
        soonest = stamp + max(OVERFLOW_WAIT_MIN_US, destination.count * interval // 2)
        latest = stamp + min(OVERFLOW_WAIT_MAX_US, hub.retry.max_us)
        destination.cursor = min(max(destination.cursor, soonest) + interval, latest)
        return destination.cursor


def _count_down(unresolved: Unresolved, domain: bytes) -> None:
    """One recipient of the domain has its answer."""
    left = unresolved.left.get(domain, 0) - 1
    if left > 0:
        unresolved.left[domain] = left
    else:
        unresolved.left.pop(domain, None)
