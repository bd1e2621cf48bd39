"""AQ, the active queue: what may be delivered now, by destination, bounded (SX16), fair (SX17, L6).

Every recipient that waits for a route, for its turn, or for the end of its delivery counts against `entries_max`. A part of it
is kept for new mail and a part for deferred mail, so that a large backlog does not stall new mail, nor the other way round.
A destination may hold no more than what is free: one slow destination gets half of the queue at most, two get a third each, and
there is always room for the next (dynamic thresholds, as in switches with shared memory).

Within a destination, recipients of one transaction with one reverse-path form a job: what one delivery can carry (SX19). New and
deferred jobs take turns. The order between destinations is the scheduler's: a ring.

Every operation is O(1), amortised, but `withdraw`, which operators use, and `forget_idle`.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from smx.messages import Route
from smx.qmgr.envelopes import Entry, Place
from smx.qmgr.window import Window, WindowLimits
from smx.units import SECOND

DESTINATIONS_MAX: Final = 10_000  # that are remembered although nothing is queued for them

_JobKey = int | tuple[int, bytes]


class Job(Struct):
    """Recipients of one transaction, of one reverse-path, for one destination. `entries` is in order of arrival, never empty."""

    key: _JobKey
    destination: "Destination"
    route: Route
    deferred: bool
    entries: list[Entry]


class Destination:
    """A destination: its window, its jobs, and how fast it takes mail."""

    __slots__ = ("carrier", "count", "cursor", "deferred", "finished", "flying", "jobs", "measured_at", "name", "new", "rate", "ready", "turn", "window")

    def __init__(self, name: str, limits: WindowLimits) -> None:
        self.name = name
        self.window = Window(limits)
        self.new: deque[Job] = deque()
        self.deferred: deque[Job] = deque()
        self.jobs: dict[_JobKey, Job] = {}
        self.count = 0  # entries in the jobs
        self.flying = 0  # entries of deliveries under way
        self.turn = False  # the deferred jobs' turn
        self.ready = False  # it stands in a ring of the scheduler
        self.carrier = ""  # the SMTPC that serves it
        self.cursor = 0  # stamp up to which its overflow is planned (see dispatch.py)
        self.finished = 0  # recipients finished since `measured_at`
        self.measured_at = 0
        self.rate = 0.0  # recipients a second that it takes when there are enough; 0: not known

    @property
    def idle(self) -> bool:
        return not self.jobs and self.window.in_flight == 0

    def measure(self, recipients: int, now: int) -> None:
        """Recipients were finished: keep the rate, averaged over some seconds. Only while more are in line: else it says what came, not what it can take."""
        if not self.jobs:
            self.measured_at = 0
        elif not self.measured_at:
            self.finished = 0
            self.measured_at = now
        else:
            self.finished += recipients
            elapsed = now - self.measured_at
            if elapsed >= SECOND:
                rate = self.finished * SECOND / elapsed
                self.rate = (self.rate + rate) / 2 if self.rate else rate
                self.finished = 0
                self.measured_at = now


class ActiveQueue:
    """The active queue. The owner asks `room` before it lets an entry in with `admit`, and says `leave` when it is out again."""

    def __init__(self, entries_max: int, new_share_percent: int, deferred_share_percent: int, limits: WindowLimits) -> None:
        self.entries_max = entries_max
        self.new_share_percent = new_share_percent
        self.deferred_share_percent = deferred_share_percent
        self.limits = limits
        self.new_count = 0
        self.deferred_count = 0
        self.destinations: dict[str, Destination] = {}

    def __len__(self) -> int:
        return self.new_count + self.deferred_count

    # --- the bound ------------------------------------------------------------------------------------------------

    def room(self, *, deferred: bool) -> int:
        """How many more entries of this kind may come in."""
        free = self.entries_max - self.new_count - self.deferred_count
        if deferred:
            share = self.entries_max - self.entries_max * self.new_share_percent // 100 - self.deferred_count
        else:
            share = self.entries_max - self.entries_max * self.deferred_share_percent // 100 - self.new_count
        return max(0, min(free, share))

    def admit(self, entry: Entry) -> None:
        """Count it in."""
        assert not entry.counted
        assert self.room(deferred=entry.deferred) > 0, "an entry came into a full active queue (I16)"
        entry.counted = True
        if entry.deferred:
            self.deferred_count += 1
        else:
            self.new_count += 1

    def leave(self, entry: Entry) -> None:
        """Count it out, if it was counted in."""
        if entry.counted:
            entry.counted = False
            if entry.deferred:
                self.deferred_count -= 1
            else:
                self.new_count -= 1

    # --- destinations ---------------------------------------------------------------------------------------------

    def destination(self, name: str) -> Destination:
        """The destination of this name, new when it is not known."""
        found = self.destinations.get(name)
        if found is None:
            if len(self.destinations) >= 2 * DESTINATIONS_MAX:
                self.forget_idle()
            found = self.destinations[name] = Destination(name, self.limits)
        return found

    def crowded(self, destination: Destination) -> bool:
        """The destination holds as much, in line and under way, as is left for all others: let no more of it in (L6)."""
        return destination.count + destination.flying > self.entries_max - len(self)

    def forget_idle(self) -> None:
        """Forget living destinations that have nothing queued; dead ones only when that is not enough: their back-off is worth something."""
        idle = [destination for destination in self.destinations.values() if destination.idle]
        living = [destination for destination in idle if not destination.window.dead]
        for destination in living if len(self.destinations) - len(living) < DESTINATIONS_MAX else idle:
            del self.destinations[destination.name]

    # --- jobs -----------------------------------------------------------------------------------------------------

    def enqueue(self, entry: Entry, destination: Destination, route: Route) -> None:
        """Put an admitted entry in line. It joins the job of its transaction when there is one."""
        assert entry.counted
        transaction = entry.transaction
        key: _JobKey = transaction.id
        if entry.reverse_path != transaction.envelope.reverse_path:
            key = (transaction.id, entry.reverse_path)
        job = destination.jobs.get(key)
        if job is None:
            job = Job(key, destination, route, entry.deferred, [entry])
            destination.jobs[key] = job
            (destination.deferred if entry.deferred else destination.new).append(job)
        else:
            job.entries.append(entry)
        entry.job = job
        entry.place = Place.QUEUED
        entry.destination = destination.name
        destination.count += 1

    def take(self, destination: Destination, recipients_max: int) -> tuple[Route, list[Entry]]:
        """The entries of the next delivery: of one job, at most `recipients_max`. The destination has a job; `landed` says that the delivery ended."""
        new, deferred = destination.new, destination.deferred
        line = deferred if deferred and (destination.turn or not new) else new
        destination.turn = line is new
        job = line[0]
        entries = job.entries
        if len(entries) > recipients_max:
            job.entries = entries[recipients_max:]
            entries = entries[:recipients_max]
        else:
            line.popleft()
            del destination.jobs[job.key]
        for entry in entries:
            entry.job = None
        destination.count -= len(entries)
        destination.flying += len(entries)
        return job.route, entries

    def landed(self, destination: Destination, entries: int) -> None:
        """A delivery of so many entries has ended."""
        destination.flying -= entries
        assert destination.flying >= 0

    def drain(self, destination: Destination) -> list[Entry]:
        """Everything queued for the destination, taken out of line (but still counted)."""
        entries = [entry for job in destination.jobs.values() for entry in job.entries]
        for entry in entries:
            entry.job = None
        destination.jobs.clear()
        destination.new.clear()
        destination.deferred.clear()
        destination.count = 0
        return entries

    def withdraw(self, entry: Entry) -> None:
        """Take one entry out of line (but still counted)."""
        job = entry.job
        assert job is not None
        entry.job = None
        job.entries.remove(entry)
        destination = job.destination
        destination.count -= 1
        if not job.entries:
            del destination.jobs[job.key]
            (destination.deferred if job.deferred else destination.new).remove(job)

    def queued(self) -> Iterator[Entry]:
        """All entries in line, by destination."""
        for destination in self.destinations.values():
            for job in destination.jobs.values():
                yield from job.entries
