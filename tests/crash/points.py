"""Crash points: a workload is cut after every effect; every disk that a power loss could leave there is recovered and judged.

An image is judged by what the world outside was told: each promise must come true in the next life (I1, I2), nothing may appear that
was not sent (I3), a copy only where a verdict was not recorded (I6), one bounce (I7), no garbage left (I10), recovery before delivery (I14).
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from smx import effects as fx
from smx import messages as msg
from smx.units import MINUTE, SECOND
from tests.crash.disk import Disk
from tests.crash.machine import DOMAIN, WASTE_MAX, power_on
from tests.crash.outside import Client, Mail, Outside
from tests.crash.world import World

SUBSET_MAX = 4
LIFE_US = MINUTE  # long enough for every retry, and for idle segments to be given back
EXPANSIONS = {f"list@{DOMAIN}": (f"alice@{DOMAIN}", f"bob@{DOMAIN}")}
DISK_EFFECTS = (fx.OpenSegment, fx.SyncDirectory, fx.Append, fx.Sync, fx.Seal, fx.Remove, fx.Store)

Tamper = Callable[[World], Callable[[str, fx.AnyEffect], list[fx.AnyEffect]]]


@dataclass(frozen=True)
class Workload:
    name: str
    mails: tuple[Mail, ...]
    cut_through: bool = False
    waste_max: int = WASTE_MAX
    life_us: int = LIFE_US  # of the first life


class ViolationError(AssertionError):
    """An invariant is broken: its id, a sentence, and where the machine was cut."""


@dataclass
class Search:
    """What one search has seen; `images` counts the distinct (disk, truth) pairs that were recovered."""

    workload: Workload
    tamper: Tamper | None = None
    nested_every: int = 0  # cut the recovery of each n-th image too; 0: of none
    images: int = 0
    nested_images: int = 0
    boundaries: int = 0
    seen: set[object] = field(default_factory=set)
    reached: set[str] = field(default_factory=set)

    def run(self) -> "Search":
        """Runs the workload once, judging at every boundary; then the calm end of the run itself."""
        outside, disk = Outside(), Disk()
        world = self._power_on(disk, outside, life=1)
        last_truth: object = None

        def boundary(process: str, effect: fx.AnyEffect) -> None:
            nonlocal last_truth
            truth = outside.key()
            if truth == last_truth and not isinstance(effect, DISK_EFFECTS):
                return
            last_truth = truth
            self.boundaries += 1
            self._mark(world, outside)
            where = f"{self.workload.name}: cut after {process} {effect!r:.120}"
            self._judge_images(disk, outside, recorded(world), where)

        world.on_boundary = boundary
        for mail in self.workload.mails:
            world.dial("smtps.mx:0", Client(outside, mail))
        world.run(horizon_us=self.workload.life_us)
        self._calm_end(world, outside)
        return self

    def _power_on(self, disk: Disk, outside: Outside, *, life: int, trouble: bool = True) -> World:
        world = power_on(disk, outside, life=life, cut_through=self.workload.cut_through, trouble=trouble, waste_max=self.workload.waste_max)
        if self.tamper is not None and life == 1:
            world.tamper = self.tamper(world)
        world.on_note = lambda note: self._drop(outside, note)
        return world

    def _drop(self, outside: Outside, note: fx.Note) -> None:
        """A failure that nobody is told, with a record, keeps the promise as well (I1). Such workloads have one message."""
        if note.name == "unbounced":
            mail = self.workload.mails[0]
            outside.dropped.add((mail.token, mail.recipients[note.values[1]]))

    def _judge_images(self, disk: Disk, outside: Outside, closed: frozenset[tuple[int, int]], where: str) -> None:
        for image in disk.crash_images(max_subset=SUBSET_MAX):
            key = (image_key(image), outside.key())
            if key in self.seen:
                continue
            self.seen.add(key)
            self.images += 1
            self._judge(image, outside.copy(), closed, where)

    def _judge(self, image: Disk, outside: Outside, closed: frozenset[tuple[int, int]], where: str, *, life: int = 2) -> None:
        before = outside.copy()
        world = self._power_on(image, outside, life=life, trouble=False)
        if self.nested_every and life == 2 and self.images % self.nested_every == 0:
            self._cut_recovery(world, image, before, closed, where)
        world.run(horizon_us=LIFE_US)
        judge(world, before, outside, closed, where)

    def _cut_recovery(self, world: World, image: Disk, before: Outside, closed: frozenset[tuple[int, int]], where: str) -> None:
        """I14: a crash inside recovery, then recovery, is judged like recovery."""

        def boundary(_process: str, effect: fx.AnyEffect) -> None:
            if not isinstance(effect, DISK_EFFECTS) or any(note.name == "recovered" for _, note in world.notes):
                return
            for again in image.crash_images(max_subset=2):
                key = ("again", image_key(again), before.key())
                if key not in self.seen:
                    self.seen.add(key)
                    self.nested_images += 1
                    self._judge(again, before.copy(), closed, f"{where}, and in recovery after {effect!r:.100}", life=3)

        world.on_boundary = boundary

    def _mark(self, world: World, outside: Outside) -> None:
        """Markers of rare states: the search is only worth its name if it was there."""
        names = {note.name for _, note in world.notes}
        if outside.submitted - outside.promised - outside.refused:
            self.reached.add("between dot and 250")
        if outside.arrived and "recorded" not in names:
            self.reached.add("arrived, verdict not recorded")
        for marker in ("deferred", "bounced", "expanded", "closed", "relocated"):
            if marker in names:
                self.reached.add(marker)

    def _calm_end(self, world: World, outside: Outside) -> None:
        where = f"{self.workload.name}: no crash"
        for (token, recipient), count in sorted(outside.arrived.items()):
            require(count == 1, "I6", f"{count} copies of {token} for {recipient} without a fault", where)
        require(not world.halted, "I15", f"halted: {world.halted}", where)


def image_key(disk: Disk) -> bytes:
    """Equal for disks with equal octets, names and rows."""
    digest = hashlib.blake2b(digest_size=16)
    for store, files in sorted(disk.names.items()):
        for segment, file in sorted(files.items()):
            view = file.view()
            digest.update(f"{store} {segment} {len(view)} ".encode())
            digest.update(view)
    for row in sorted(disk.rows.items()):
        digest.update(repr(row).encode())
    return digest.digest()


def recorded(world: World) -> frozenset[tuple[int, int]]:
    """(transaction, index) whose final verdict was synced: no copy may arrive any more."""
    final: set[tuple[int, int, int]] = set()
    done: set[tuple[int, int]] = set()
    for _, note in world.notes:
        values = note.values
        if note.name == "verdict" and values[3] in ("delivered", "relayed", "failed"):
            final.add(values[:3])
        elif note.name == "recorded" and values in final:
            done.add(values[:2])
    return frozenset(done)


def require(holds: bool, invariant: str, sentence: str, where: str) -> None:
    if not holds:
        raise ViolationError(f"{invariant}: {sentence}\n  {where}")


def judge(world: World, before: Outside, after: Outside, closed: frozenset[tuple[int, int]], where: str) -> None:
    """All invariants at the end of a healthy next life."""
    require(not world.halted, "I15", f"the next life halted: {world.halted}", where)
    for token, recipient in sorted(before.promised):
        for final in EXPANSIONS.get(recipient, (recipient,)):
            done = after.arrived[token, final] or after.bounces[token, final] or (token, final) in after.dropped
            require(bool(done), "I1", f"{token} for {final} was promised and is gone", where)
    sent = {(token, final) for token, recipient in before.submitted for final in EXPANSIONS.get(recipient, (recipient,))}
    for key in sorted(after.arrived):
        require(key in sent, "I3", f"{key} arrived and was never sent", where)
        again = after.arrived[key] - before.arrived[key]
        require(again <= 1, "I6", f"{key} arrived {again} times in one life without a fault", where)
    for key in sorted(after.bounces):
        again = after.bounces[key] - before.bounces[key]
        require(again <= 1, "I7", f"{again} bounces for {key} in one life", where)
    _judge_notes(world, closed, where)
    _judge_rest(world, where)


def _judge_notes(world: World, closed: frozenset[tuple[int, int]], where: str) -> None:
    names = [note.name for _, note in world.notes]
    require("recovered" in names, "I14", "recovery did not end", where)
    if "begun" in names:
        require(names.index("recovered") < names.index("begun"), "I14", "delivery began before recovery ended", where)
    for _, note in world.notes:
        if note.name == "verdict":
            require((note.values[0], note.values[1]) not in closed, "I6", f"{note.values[:2]} was recorded as done and went out again", where)


def _judge_rest(world: World, where: str) -> None:
    """I10: with an empty queue nothing of the mail is left on disk."""
    rows = queue(world)
    require(not rows, "I1", f"still queued although every host is healthy: {rows}", where)
    left = sorted(set(world.disk.names["cdb"]) - world.unsealed)
    require(not left, "I10", f"content without envelope: segments {left}", where)


def queue(world: World) -> tuple[msg.QueueRow, ...]:
    """What QMGR says is queued, as the queue tool would ask it."""
    answers: list[msg.QueueListed] = []
    original = world.tamper

    def listen(process: str, effect: fx.AnyEffect) -> list[fx.AnyEffect]:
        if isinstance(effect, fx.Tell) and isinstance(effect.message, msg.QueueListed):
            answers.append(effect.message)
        return original(process, effect)

    world.tamper = listen
    world.tell("admin.1", "qmgr", msg.QueueList(1, msg.Filter()))
    world.run()
    world.tamper = original
    assert answers, "no answer to QueueList"
    return answers[-1].rows


# --- workloads ---------------------------------------------------------------------------------------------------------

KINDS: dict[str, tuple[str, ...]] = {
    # outcome       one recipient, and two of the same kind
    "local": (f"alice@{DOMAIN}", f"bob@{DOMAIN}"),
    "relayed": ("a@sink.example", "b@sink.example"),
    "deferred": ("a@later.example", "b@later.example"),
    "failed": ("a@never.example", "b@never.example"),
    "down": ("a@down.example",),
    "expanded": (f"list@{DOMAIN}",),
}


# A deferred message shares its segment with a larger one that is gone: it is copied out of it (A3).
RELOCATED = Workload(
    "relocated", (Mail("t1", ("a@later.example",)), Mail("t2", ("a@sink.example",), body="Hello.\r\n" * 200)), waste_max=0, life_us=70 * SECOND
)


def workloads() -> Iterator[Workload]:
    """One and two messages over the outcomes, one or two recipients, with and without cut-through."""
    for cut_through in (False, True):
        suffix = "+cut" if cut_through else ""
        for kind, recipients in KINDS.items():
            yield Workload(f"{kind}{suffix}", (Mail("t1", recipients[:1]),), cut_through)
        yield Workload(f"two of local{suffix}", (Mail("t1", KINDS["local"]),), cut_through)
        yield Workload(f"two of failed{suffix}", (Mail("t1", KINDS["failed"]),), cut_through)
        yield Workload(f"relayed and failed{suffix}", (Mail("t1", ("a@sink.example", "a@never.example")),), cut_through)
        yield Workload(f"local and deferred{suffix}", (Mail("t1", (f"alice@{DOMAIN}", "a@later.example")),), cut_through)
        yield Workload(f"two messages{suffix}", (Mail("t1", (f"alice@{DOMAIN}",)), Mail("t2", ("a@sink.example",))), cut_through)
        yield Workload(f"deferred beside failed{suffix}", (Mail("t1", ("a@later.example",)), Mail("t2", ("a@never.example",))), cut_through)
    yield Workload("success notice", (Mail("t1", (f"alice@{DOMAIN}",), parameters="NOTIFY=SUCCESS,FAILURE"),))
    yield RELOCATED
    yield Workload("failed from null", (Mail("t1", (f"alice@{DOMAIN}", "a@never.example"), sender=""),))
