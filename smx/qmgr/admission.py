"""Admission: may SMTPS take mail now, and how fast? (SX23, SX25, A8, A10)

    state    because                                          what SMTPS does
    CLOSED   the disk has less than min_free (A10)            452 4.3.1 at MAIL, nothing is written
             the envelope log has no spare segment
             too much incoming mail waits in memory (IQDB)
    SLOW     recipients overflow from AQ to disk too fast     at most `rate` messages a second
             the disk has less than slow_free
             few descriptors are left
    OPEN     none of these

The length of the queue is no reason: a long queue is what the disk is for (A8). The rate starts at half of what came in when the
trouble began, and is halved each second while it lasts; then it doubles each second until it reaches what came in before, and
the door is open again. Reopening needs an eighth more space than closing, so that the state does not flutter.
"""

from enum import IntEnum
from typing import Final

from msgspec import Struct

from smx.messages import AdmissionState
from smx.units import GIB, SECOND

_UNKNOWN: Final = 1 << 62  # free octets that were not measured yet


class Reason(IntEnum):
    """Why the door is not open; the text stands in the log."""

    NONE = 0
    DISK = 1
    LOG = 2
    INCOMING = 3
    SPILL = 4
    SPACE_LOW = 5
    DESCRIPTORS = 6


REASON_TEXT: Final = {
    Reason.NONE: "",
    Reason.DISK: "free disk space is below min_free",
    Reason.LOG: "the envelope log has no spare segment",
    Reason.INCOMING: "too much incoming mail waits in memory",
    Reason.SPILL: "recipients overflow from the active queue to disk",
    Reason.SPACE_LOW: "free disk space is low",
    Reason.DESCRIPTORS: "few descriptors are left",
}


class AdmissionLimits(Struct):
    """What may change while QMGR runs (SX66)."""

    min_free_octets: int
    slow_free_octets: int
    spill_rate_max: int  # recipients a second; 0: no limit
    descriptors_min: int
    incoming_max: int  # recipients


class Measures(Struct):
    """What the decision rests on."""

    free_octets: int
    descriptors_free: int
    roomy: bool
    incoming: int
    spilling: bool


class AdmissionControl:
    """Counts what comes in and what overflows, second by second, and decides. `state`, `reason` and `rate` are in force now."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self.limits = limits
        self.state = AdmissionState.OPEN
        self.reason = Reason.NONE
        self.rate = 0  # messages a second, of all SMTPS processes together
        self.descriptors_free = -1  # not measured
        self._free: dict[str, int] = {}  # by store
        self._second = 0
        self._accepted = 0  # messages in this second
        self._accepted_before = 0  # and in the one before
        self._spilled = 0  # recipients
        self._spilled_before = 0
        self._peak = 0  # what came in a second when the trouble began
        self._paced_at = 0  # the second in which the rate was last changed

    @property
    def free_octets(self) -> int:
        """The least that any store has; a very large number before it was measured."""
        return min(self._free.values(), default=_UNKNOWN)

    @property
    def largest_octets(self) -> int:
        """The largest message that leaves min_free untouched, as a power of two; 0: any."""
        spare = self.free_octets - self.limits.min_free_octets
        if spare >= GIB:
            return 0
        return 1 << max(spare.bit_length() - 1, 0)

    def measured(self, store: str, free_octets: int, descriptors_free: int) -> None:
        self._free[store] = free_octets
        self.descriptors_free = descriptors_free

    def accepted(self, now: int) -> None:
        """A message came in."""
        self._turn(now // SECOND)
        self._accepted += 1

    def spilled(self, recipients: int, now: int) -> bool:
        """Recipients overflowed to disk. True when the limit of this second was just passed: assess now."""
        self._turn(now // SECOND)
        self._spilled += recipients
        return 0 < self.limits.spill_rate_max < self._spilled <= self.limits.spill_rate_max + recipients

    def assess(self, now: int, *, roomy: bool, incoming: int) -> bool:
        """Decide anew. True when something changed that SMTPS must know."""
        self._turn(now // SECOND)
        before = (self.state, self.rate, self.reason)
        limits = self.limits
        spilling = 0 < limits.spill_rate_max < max(self._spilled, self._spilled_before)
        measures = Measures(self.free_octets, self.descriptors_free, roomy, incoming, spilling)
        closed = _closed_by(limits, measures, self.reason)
        slow = Reason.NONE if closed else _slowed_by(limits, measures, self.reason)
        if closed:
            self.state, self.reason, self.rate = AdmissionState.CLOSED, closed, 0
        elif slow:
            self._slow_down(slow)
        elif self.state is not AdmissionState.OPEN:
            self._speed_up()
        return (self.state, self.rate, self.reason) != before

    # --- the rate -------------------------------------------------------------------------------------------------

    def _slow_down(self, reason: Reason) -> None:
        if self.state is not AdmissionState.SLOW:
            self._peak = max(self._accepted, self._accepted_before, 2)
            self.rate = self._peak // 2
            self._paced_at = self._second
        elif self._second > self._paced_at:
            self.rate = max(1, self.rate // 2)
            self._paced_at = self._second
        self.state, self.reason = AdmissionState.SLOW, reason

    def _speed_up(self) -> None:
        if self._second > self._paced_at or self.state is AdmissionState.CLOSED:
            self.rate *= 2
            self._paced_at = self._second
        if self.rate >= self._peak or self.state is AdmissionState.CLOSED:
            self.state, self.reason, self.rate = AdmissionState.OPEN, Reason.NONE, 0

    def _turn(self, second: int) -> None:
        if second == self._second:
            return
        follows = second == self._second + 1
        self._accepted_before = self._accepted if follows else 0
        self._spilled_before = self._spilled if follows else 0
        self._accepted = self._spilled = 0
        self._second = second


def _closed_by(limits: AdmissionLimits, measures: Measures, earlier: Reason) -> Reason:
    """Why no mail may be taken; NONE: it may. An earlier reason holds until there is clear room."""
    floor = limits.min_free_octets + (limits.min_free_octets // 8 if earlier is Reason.DISK else 0)
    if measures.free_octets < floor:
        return Reason.DISK
    if not measures.roomy:
        return Reason.LOG
    ceiling = limits.incoming_max * 3 // 4 if earlier is Reason.INCOMING else limits.incoming_max
    if measures.incoming >= ceiling:
        return Reason.INCOMING
    return Reason.NONE


def _slowed_by(limits: AdmissionLimits, measures: Measures, earlier: Reason) -> Reason:
    """Why mail may be taken slowly only; NONE: at any rate."""
    if measures.spilling:
        return Reason.SPILL
    floor = limits.slow_free_octets + (limits.slow_free_octets // 8 if earlier is Reason.SPACE_LOW else 0)
    if measures.free_octets < floor:
        return Reason.SPACE_LOW
    if 0 <= measures.descriptors_free < limits.descriptors_min:
        return Reason.DESCRIPTORS
    return Reason.NONE
