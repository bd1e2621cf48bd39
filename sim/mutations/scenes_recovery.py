"""The scene in which recovery is compared with itself: once, twice, and cut short (I14).

At a power loss a copy of what is left is taken, and the real QMGR recovers on it beside the run, one effect after the other and without time: once;
again, after all that it had not synced is gone; and once more after the power failed between any two of its effects. What is queued afterwards
must be the same each time.
"""

from collections import deque
from typing import Final

from sim.choices import Choices
from sim.disk import Disk
from sim.disk.database import Database
from sim.disk.segments import Segments
from sim.facts import Compared
from sim.mutations.scenes import MIXED, SLOW_DISK, scene, world_of
from sim.mutations.scenes_process import SLOW
from sim.peers.script import LATER, Script
from sim.scenario import Strike
from sim.trace import Trace
from sim.truth import Truth
from sim.world import World
from smx import messages as msg
from smx.config.schema import process_settings
from smx.effects import Append, Census, Fetch, Find, ListStore, MeasureSpace, Note, OpenSegment, Read, Remove, Scan, Seal, Store, Sync, SyncDirectory, Tell
from smx.events import AnyEvent, Linked, Started, Told
from smx.messages import QueueRow
from smx.qmgr.machine import Qmgr
from smx.units import MILLISECOND, SECOND

SEGMENTS: Final = (OpenSegment, SyncDirectory, Append, Sync, Seal, Remove, ListStore, Scan, Read, MeasureSpace)
ROWS: Final = (Store, Fetch, Find, Census)
ADMIN: Final = "admin.1"
EPOCH: Final = 1_800_000_000
EFFECTS_MAX: Final = 10_000


class Bench:
    """One QMGR on a disk of its own. `left`: how many effects are carried out before the power fails."""

    def __init__(self, world: World, disk: Disk, epoch: int, left: int = EFFECTS_MAX) -> None:
        self.disk = disk
        self.rows: list[QueueRow] = []
        self.effects = 0
        self.recovered_at = 0  # effects until then
        self._now = world.env.now
        self._left = left
        self._qmgr = Qmgr(process_settings(world.scenario.settings, "qmgr"))  # type: ignore[arg-type]
        self._segments = Segments(disk, world.machine.spool)
        self._database = Database(disk, world.machine.spool)
        self._inbox: deque[AnyEvent] = deque([Started(epoch, 1, 0)])

    def run(self) -> "Bench":
        """Until it has nothing left to do, or no power."""
        try:
            while self._inbox and self._left > 0:
                self._step(self._inbox.popleft())
            if self.recovered_at and self._left > 0 and not self.rows:
                self._inbox += (Linked(ADMIN, 1), Told(ADMIN, msg.QueueList(1, msg.Filter(), 0, -1, 1000)))
                while self._inbox:
                    self._step(self._inbox.popleft())
        finally:
            self._database.abandon()
        return self

    def _step(self, event: AnyEvent) -> None:
        for effect in self._qmgr.step(event, self._now):
            if self._left <= 0:
                return
            self._left -= 1
            self.effects += 1
            if isinstance(effect, SEGMENTS):
                self._inbox += self._segments.apply(effect)
            elif isinstance(effect, ROWS):
                self._inbox += self._database.apply(effect)
            elif isinstance(effect, Note):
                self.recovered_at = self.effects if effect.name == "ready" else self.recovered_at
            elif isinstance(effect, Tell) and isinstance(effect.message, msg.QueueListed):
                self.rows += effect.message.rows

    @property
    def queue(self) -> tuple[tuple[int, int, bytes, str, int], ...]:
        """What is queued, and how."""
        return tuple(sorted((row.transaction, row.index, row.recipient, row.state, row.attempts) for row in self.rows))


@scene
def _recovery_compared(choices: Choices, trace: Trace, truth: Truth) -> World:
    """Recovery once, twice and cut short must find the same (I14)."""
    drawn = choices.stream("scene")
    strike = Strike(kind="power", note="durable", nth=2 + drawn.below(9), effects=drawn.below(20), amount=200 * MILLISECOND)
    late = Script(acts={"rcpt": (LATER,) * 3}, always=SLOW.always)
    world = world_of(choices, trace, truth, strike, scripts=(SLOW, late, late), mails=MIXED, times=SLOW_DISK, calm_at_us=15 * SECOND)
    survivor = world.survivor

    def survived(disk: Disk) -> Disk:
        left = survivor(disk)
        compare(world, left)
        return left

    world.survivor = survived  # type: ignore[method-assign]
    return world


def compare(world: World, disk: Disk) -> None:
    """Say whether the recoveries agree."""
    once = Bench(world, disk.copy(), EPOCH).run()
    again = Bench(world, once.disk.worst(), EPOCH + 10).run()
    _compared(world, "recovering twice", once, again)
    luck = world.choices.stream("images")
    for cut in range(1, once.recovered_at + 1):
        short = Bench(world, disk.copy(), EPOCH, cut).run()
        for left in (short.disk.worst(), short.disk.survivor(luck), short.disk.survivor(luck)):
            _compared(world, f"a crash behind effect {cut} of recovery", once, Bench(world, left, EPOCH + 10).run())


def _compared(world: World, what: str, once: Bench, other: Bench) -> None:
    equal = once.queue == other.queue
    lost = [row for row in once.queue if row not in other.queue][:2]
    world.truth.observe(Compared(world.env.now, what, equal, "" if equal else f"{len(once.queue)} and {len(other.queue)} recipients; not found: {lost}"))
