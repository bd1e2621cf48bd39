"""Gate: measures what admission rests on, and tells every SMTPS when the decision changes (SX23, SX25).

Space is measured every few seconds, and at once when something failed for lack of it. While the door is not open the decision is
made anew each second; else it is made when space was measured, when mail overflows, and when a submission finds no room.
"""

from functools import partial
from typing import TYPE_CHECKING, Final

from smx.effects import MeasureSpace
from smx.events import SpaceMeasured
from smx.messages import Admission, AdmissionState
from smx.qmgr.admission import REASON_TEXT
from smx.units import SECOND

if TYPE_CHECKING:
    from smx.qmgr.hub import Hub

MEASURE_US: Final = 5 * SECOND
PATIENCE_US: Final = 2 * SECOND  # that the log may be without a spare segment before mail is refused
STORES: Final = ("cdb", "ibdb")


class Gate:
    """Pushes Admission. `tick_at` is when `tick` wants to be called next."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._measure_at = 0
        self._assess_at = 0
        self._roomy_at = 0
        self._said = (AdmissionState.OPEN, 0, 0, 0)  # what the linked SMTPS know

    @property
    def tick_at(self) -> int:
        """now; 0: at once."""
        if self._hub.admission.state is AdmissionState.OPEN:
            return self._measure_at
        return min(self._measure_at, self._assess_at)

    @property
    def roomy(self) -> bool:
        """The envelope log has a spare segment, or had one a moment ago: the next one takes that long to open."""
        now = self._hub.now
        if self._hub.ibdb.roomy:
            self._roomy_at = now
            return True
        return now - self._roomy_at < PATIENCE_US

    def start(self) -> None:
        """Recovery has ended."""
        self._roomy_at = self._hub.now
        self.measure()

    def tick(self) -> None:
        """A timer, or a reason to look."""
        if self._hub.now >= self._measure_at:
            self.measure()
        self.assess()

    def measure(self) -> None:
        """Ask how much space there is."""
        hub = self._hub
        self._measure_at = hub.now + MEASURE_US
        for store in STORES:
            hub.effects.append(MeasureSpace(store, hub.request(partial(self._measured, store))))

    def assess(self) -> None:
        """Decide anew; say so when it changed."""
        hub = self._hub
        self._assess_at = hub.now + SECOND
        admission = hub.admission
        changed = admission.assess(hub.now, roomy=self.roomy, incoming=hub.submission.incoming)
        said = (admission.state, admission.rate, admission.largest_octets, self._offers)
        if changed or said != self._said:
            if said[0] is not self._said[0]:
                hub.note("throttled", admission.state.name.lower(), REASON_TEXT[admission.reason])
            self._said = said
            for process in hub.links.servers():
                self.tell(process)

    def tell(self, process: str) -> None:
        """The decision in force, for one SMTPS. The rate is shared among them."""
        hub = self._hub
        admission = hub.admission
        rate = max(1, admission.rate // max(1, len(hub.links.servers()))) if admission.state is AdmissionState.SLOW else 0
        hub.tell(process, Admission(admission.state, rate, block_octets=admission.largest_octets, cut_through_recipients_max=self._offers))

    @property
    def _offers(self) -> int:
        """The most recipients of a message that may be offered before it is stored (A12); 0 while nobody is there to deliver it."""
        hub = self._hub
        return hub.settings.cut_through_recipients_max if hub.cut_through_us and hub.scheduler.at_work else 0

    def _measured(self, store: str, event: SpaceMeasured) -> None:
        self._hub.admission.measured(store, event.octets_free, event.descriptors_free)
        self.assess()
