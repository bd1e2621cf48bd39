"""Depth "queue": the real QMGR recovers on an image, with the real SQLite, in the smallest loop there is: no network, no time, no other process.

must hold          recovery ends; whoever was covered by a 250 and has no final verdict is found again (I1, I2, A4); whoever's verdict was
                   recorded is not (I6); recover twice = once, and a crash at any operation inside recovery, then recovery = recovery (I14)
"""

from collections import deque
from hashlib import blake2b
from typing import Any, Final

import msgspec

from sim.disk import Disk, DiskError, Operation
from sim.disk.database import Database
from sim.disk.segments import Segments
from sim.environment import START
from sim.facts import Fact, Noted, Promised
from sim.images.result import Found, Result
from sim.images.scene import Boundary, Life, settings_of
from sim.images.seen import Seen, chosen
from smx import effects, messages
from smx.config.schema_qmgr import QmgrSettings
from smx.events import AnyEvent, Linked, Started, Told
from smx.qmgr.machine import Qmgr
from smx.units import DAY, SECOND

SPOOL: Final = "/spool"
FOLDERS: Final = ("/spool/ibdb", "/spool/cdb", "/spool/defedb")
TOOL: Final = "admin.1"
NESTED_SUBSET_MAX: Final = 2
STEPS_MAX: Final = 20_000
FINAL: Final = ("delivered", "relayed", "failed", "expanded", "expired", "removed", "dropped")
AFTER_US: Final = DAY  # after the first life: its epochs are past
DATABASE: Final = (effects.Store, effects.Fetch, effects.Find, effects.Census)
SILENT: Final = (effects.Arm, effects.Disarm)

Key = tuple[int, int]  # transaction, recipient index


class Recovered(msgspec.Struct, frozen=True):
    """What QMGR has in its queue when it is ready, and the disk as it was behind each operation until then."""

    keys: frozenset[Key]
    states: tuple[tuple[int, int, str], ...]
    disk: Disk
    inside: tuple[Disk, ...]
    trouble: str = ""


class Recoveries:
    """Recovers QMGR on disks."""

    def __init__(self, settings: QmgrSettings) -> None:
        self._settings = settings

    def recover(self, disk: Disk, life: int, *, record: bool = False) -> Recovered:
        """Run QMGR on this disk, which it changes, until it is ready and has listed its queue. `record`: keep the disks inside recovery."""
        inside: list[Disk] = []
        if record:
            disk.on_operation = lambda operation: _keep(inside, disk, operation)
        epoch = (START + AFTER_US) // SECOND + life
        qmgr = Qmgr(self._settings)
        segments, database = Segments(disk, SPOOL), Database(disk, SPOOL)
        waiting: deque[AnyEvent] = deque((Started(epoch, 1, START),))
        ready = False
        trouble = ""
        try:
            for _ in range(STEPS_MAX):
                if not waiting:
                    trouble = "" if ready else "recovery waits for nothing"
                    break
                for effect in qmgr.step(waiting.popleft(), START + AFTER_US):
                    if type(effect) in DATABASE:
                        waiting.extend(database.apply(effect))  # type: ignore[arg-type]
                    elif type(effect) is effects.Note:
                        if effect.name == "ready":
                            ready = True
                            disk.on_operation = None
                            waiting.append(Linked(TOOL, 1))
                            waiting.append(Told(TOOL, messages.QueueList(1, messages.Filter())))
                    elif type(effect) is effects.Tell:
                        if type(effect.message) is messages.QueueListed:
                            return Recovered(*_keys(effect.message.rows), disk, tuple(inside))
                    elif type(effect) is effects.Halt:
                        return Recovered(frozenset(), (), disk, tuple(inside), f"halted: {effect.reason}")
                    elif type(effect) not in SILENT:
                        waiting.extend(segments.apply(effect))
        except DiskError as error:
            trouble = f"the disk failed: {error}"
        finally:
            disk.on_operation = None
            database.abandon()
        return Recovered(frozenset(), (), disk, tuple(inside), trouble or "recovery does not end")


def _keep(inside: list[Disk], disk: Disk, operation: Operation) -> None:
    if operation.kind != "close":
        inside.append(disk.copy())


def _keys(rows: tuple[messages.QueueRow, ...]) -> tuple[frozenset[Key], tuple[tuple[int, int, str], ...]]:
    return frozenset((row.transaction, row.index) for row in rows), tuple(sorted((row.transaction, row.index, row.state) for row in rows))


class Ledger:
    """What the first life's notes say of each recipient, fact by fact: who must be found again, who must not."""

    def __init__(self) -> None:
        self.wanted: frozenset[Key] = frozenset()  # covered by a 250, without a final verdict
        self.done: frozenset[Key] = frozenset()  # its final verdict was recorded
        self.parents: dict[Key, Key] = {}  # recipients of an expansion -> whose place they take
        self._accepted: set[int] = set()
        self._open: set[Key] = set()
        self._next: dict[int, int] = {}
        self._verdicts: set[tuple[int, int, int]] = set()
        self._handlers = {
            "recipient": self._recipient,
            "accepted": self._accept,
            "verdict": self._verdict,
            "recorded": self._recorded,
            "expanded": self._expanded,
        }

    def read(self, facts: list[Fact]) -> None:
        """The next facts."""
        changed = False
        for fact in facts:
            if type(fact) is Noted and (handler := self._handlers.get(fact.name)) is not None:
                handler(fact.values)
                changed = True
            elif type(fact) is Promised and fact.transaction:
                self._accepted.add(fact.transaction)
                changed = True
        if changed:
            self.wanted = frozenset(key for key in self._open if key[0] in self._accepted)

    def _recipient(self, values: tuple[int, ...]) -> None:
        self._open.add((values[0], values[1]))
        self._next[values[0]] = max(self._next.get(values[0], 0), values[1] + 1)

    def _accept(self, values: tuple[int, ...]) -> None:
        self._accepted.add(values[1])

    def _verdict(self, values: tuple[Any, ...]) -> None:
        if values[3] in FINAL:
            self._open.discard((values[0], values[1]))
            self._verdicts.add((values[0], values[1], values[2]))

    def _recorded(self, values: tuple[int, ...]) -> None:
        if values in self._verdicts:
            self.done |= {(values[0], values[1])}

    def _expanded(self, values: tuple[int, ...]) -> None:
        """Said before it is durable: until then its source is found again instead."""
        number = values[0]
        source, child = (number, values[1]), (number, self._next[number])
        self._open.discard(source)
        self._open.add(child)
        self.parents[child] = source
        self._next[number] += 1

    def missing(self, keys: frozenset[Key]) -> frozenset[Key]:
        """Who is not among these, and should be."""
        missing = self.wanted - keys
        return frozenset(key for key in missing if self.parents.get(key) not in keys) if missing else missing


class Queue:
    """Judges the images of one workload. `every`: only each so-many-th new one; `nested_every`: of how many of those recovery is cut, and repeated."""

    def __init__(self, result: Result, seen: Seen, *, max_subset: int, torn: bool, every: int = 1, nested_every: int = 0) -> None:
        self._result = result
        self._seen = seen
        self._max_subset = max_subset
        self._torn = torn
        self._every = every
        self._nested_every = nested_every
        self._known: dict[bytes, Recovered] = {}

    def run(self, life: Life) -> None:
        """All boundaries of a first life that has ended."""
        self._recoveries = Recoveries(settings_of(life.workload).qmgr)
        self._life = life
        self._known.clear()
        ledger = Ledger()
        facts, read = life.world.truth.facts, 0
        assert facts is not None
        for boundary in life.boundaries:
            ledger.read(facts[read : boundary.facts])
            read = boundary.facts
            if boundary.operation is not None and not boundary.operation.path.startswith(FOLDERS):
                continue
            self._result.boundaries += 1
            known: dict[bytes, None] = {}
            for image in boundary.disk.crash_images(self._max_subset, torn=self._torn):
                digest = digest_of(image)
                if digest not in known:
                    known[digest] = None
                    self._judge(boundary, image, digest, ledger)
            for digest in [digest for digest in self._known if digest not in known]:
                del self._known[digest]

    def _judge(self, boundary: Boundary, image: Disk, digest: bytes, ledger: Ledger) -> None:
        """An image that was there at the boundary before is not recovered again, but what must hold of it may be more by now."""
        recovered = self._known.get(digest)
        if recovered is None:
            if not chosen(digest, self._every) or not self._seen.is_new(digest):
                return
            self._result.images += 1
            nested = bool(self._nested_every) and self._result.images % self._nested_every == 0
            recovered = self._known[digest] = self._recoveries.recover(image, 1, record=nested)
            if nested:
                self._again(recovered, boundary.where)
        if recovered.trouble:
            self._object("I14", recovered.trouble, boundary.where)
            return
        if missing := ledger.missing(recovered.keys):
            self._object("I1", f"not found again: {_text(missing)}", boundary.where)
        if not recovered.keys.isdisjoint(ledger.done):
            self._object("I6", f"recorded as done, and queued again: {_text(recovered.keys & ledger.done)}", boundary.where)

    def _again(self, first: Recovered, where: str) -> None:
        """I14. Recovery of what each moment of recovery leaves, and of what it has left in the end."""
        seen: set[bytes] = set()
        for number, disk in enumerate((*first.inside, first.disk)):
            for image in disk.crash_images(NESTED_SUBSET_MAX):
                digest = digest_of(image)
                if digest in seen:
                    continue
                seen.add(digest)
                if self._seen.is_new(digest):
                    self._result.nested_images += 1
                second = self._recoveries.recover(image, 2)
                if second.trouble or second.keys != first.keys:
                    difference = second.trouble or f"{_text(first.keys ^ second.keys)} differ"
                    self._object("I14", f"crash behind operation {number} of recovery, then recovery: {difference}", where)

    def _object(self, rule: str, what: str, where: str) -> None:
        name = self._life.workload.name
        self._result.found.append(Found(rule, what, f"{name}: cut {where}", name, self._life.seed))


def digest_of(disk: Disk) -> bytes:
    """Of what QMGR finds."""
    tree = disk.tree
    parts: list[bytes] = []
    for folder in FOLDERS:
        names, numbers = tree.directory(tree.find(folder)).ordered()
        parts.append("/".join(names).encode())
        parts.extend([tree.file(number).view.digest() for number in numbers])
    return blake2b(b"".join(parts), digest_size=16).digest()


def _text(keys: frozenset[Key]) -> str:
    return ", ".join(f"{number:x}/{index}" for number, index in sorted(keys))
