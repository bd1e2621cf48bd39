"""Ward: recipients that were in hand at two crashes in a row are tried one transaction at a time (A14, poison.py).

    route known, a suspect          waits here; it counts in AQ, and its place is PARKED
    the first one                   GATHER_US for the others: the least suspected one of all shall come first
    nobody is on trial              the least suspected transaction is put in line as any other: it is on trial
    the trial's verdict             it is over: the next one
    SUSPECT_PATIENCE_US without     the next one comes, too: a slow host does no harm to QMGR

Mail that is not suspected goes on meanwhile.
"""

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from smx.limits import SUSPECT_PATIENCE_US
from smx.messages import Route
from smx.qmgr.envelopes import Entry, Place
from smx.units import SECOND

if TYPE_CHECKING:
    from smx.qmgr.hub import Hub


GATHER_US: Final = SECOND


class Patient(Struct):
    """A suspect that waits."""

    entry: Entry
    route: Route


class Ward:
    """Owns the suspects that wait. Bounded by AQ."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._waiting: dict[int, list[Patient]] = {}  # by transaction
        self._trial: list[Entry] = []
        self._until = 0  # now up to which the trial may keep others waiting

    def __len__(self) -> int:
        """Transactions that wait for their trial."""
        return len(self._waiting)

    def admit(self, entry: Entry, route: Route) -> None:
        """A suspect has its route."""
        entry.place = Place.PARKED
        if not self._waiting and not self._trial:
            self._until = self._hub.now + GATHER_US
        self._waiting.setdefault(entry.transaction.id, []).append(Patient(entry, route))

    @property
    def next_at(self) -> int:
        """now at which the next trial begins at the latest; 0: nobody waits."""
        return self._until if self._waiting else 0

    def pump(self) -> None:
        """At the end of each step: the next trial."""
        self._end()
        while self._waiting and self._hub.now >= self._until:
            self._begin(self._waiting.pop(min(self._waiting, key=self._suspicion)))
            self._end()

    def _begin(self, patients: list[Patient]) -> None:
        self._trial = [patient.entry for patient in patients]
        self._until = self._hub.now + SUSPECT_PATIENCE_US
        for patient in patients:
            self._hub.dispatch.queue(patient.entry, patient.route, trial=True)

    def _end(self) -> None:
        """Is the trial over? It may have come to no delivery: its destination is dead."""
        if self._trial and not any(_in_hand(entry) for entry in self._trial):
            self._trial = []
            self._until = self._hub.now

    def _suspicion(self, number: int) -> tuple[int, int, int]:
        """Order of the trials: whoever was alone at fewer crashes comes first, so that no storm of kills hits the same one."""
        entry = self._waiting[number][0].entry
        return entry.alone, entry.crashes, number


def _in_hand(entry: Entry) -> bool:
    return entry.place in (Place.QUEUED, Place.FLIGHT)
