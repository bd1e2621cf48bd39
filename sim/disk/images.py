"""Images: the disks that a power loss may leave, one drawn from a stream or all of them, under the personality of the disk.

An image shares with the disk and with other images whatever does not differ: it is a table of nodes, of which only those that unsynced writes
or names made different are its own. Nothing of the running disk is changed; both go on independently.

Exhaustive enumeration: every subset of the unsynced writes times every subset of the unsynced changes of names, when there are at most
`max_subset` of either; of more: none, every prefix, all, and all but one. With `torn` also the last surviving write cut short, or without its
beginning. Changes of a size alone are not varied, unless `sizes`: they do not show in digests without sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from sim.disk.faults import Stream
from sim.disk.nodes import Change, Directory, File, Node, Write, apply, enter
from sim.disk.octets import Octets
from sim.disk.tree import Tree

if TYPE_CHECKING:
    from sim.disk.filesystem import Disk

SECTOR: Final = 512
T = TypeVar("T")


class Part(NamedTuple):
    """An unsynced write and the file it belongs to."""

    write: Write
    file: int


class Ground:
    """What is durable for certain, and what is not, at one moment of a disk."""

    def __init__(self, disk: Disk) -> None:
        tree = disk.tree
        tree.share()
        self.disk = disk
        self.nodes: dict[int, Node] = {}
        self.parts: list[Part] = []
        self.changes = sorted([*tree.stale, *tree.changes])
        self._states: dict[tuple[Part, ...], File] = {}
        for number, node in tree.reachable().items():
            self.nodes[number] = self._durable(number, node)
        self.parts.sort()

    def _durable(self, number: int, node: Node) -> Node:
        if isinstance(node, Directory):
            return node if node.names is node.durable else Directory(node.path, node.durable)
        if node.clean:
            return node
        self.parts.extend(Part(write, number) for write in node.stale)
        self.parts.extend(Part(write, number) for write in node.pending)
        return File(node.path, node.durable)

    def image(self, kept: Iterable[Part], names: dict[int, Node]) -> Disk:
        """The disk on which these writes survived, in order; `names`: the directories that differ."""
        nodes = self.nodes.copy()
        nodes.update(self.files(kept))
        nodes.update(names)
        return self.disk.sibling(Tree(nodes, self.disk.tree.following))

    def files(self, kept: Iterable[Part]) -> dict[int, Node]:
        """The files that these writes change."""
        groups: dict[int, list[Part]] = {}
        for part in kept:
            groups.setdefault(part.file, []).append(part)
        return {number: self._state(number, tuple(parts)) for number, parts in groups.items()}

    def _state(self, number: int, parts: tuple[Part, ...]) -> File:
        state = self._states.get(parts)
        if state is None:
            ground = self.nodes[number]
            assert isinstance(ground, File)
            octets = ground.durable.copy()
            for part in parts:
                apply(octets, part.write)
            state = self._states[parts] = File(ground.path, octets)
        return state

    def directories(self, changes: Iterable[Change]) -> dict[int, Node]:
        """The directories as these changes leave them."""
        names: dict[int, dict[str, int]] = {}
        for change in changes:
            for number, name, target in change.entries:
                if number not in names:
                    directory = self.nodes[number]
                    assert isinstance(directory, Directory)
                    names[number] = dict(directory.durable)
                enter(names[number], name, target)
        return {number: Directory(self.nodes[number].path, entries) for number, entries in names.items()}

    def carried(self, changes: Iterable[Change]) -> set[Part]:
        """Writes that survive because a surviving rename takes them along (ORDERED)."""
        carriers = [change for change in changes if change.carries]
        return {part for change in carriers for part in self.parts if part.file == change.carries and part.write.number < change.number}

    def in_order(self, kept: Sequence[Part]) -> bool:
        """What extends a file survives as a prefix (ORDERED)."""
        chosen = set(kept)
        sizes: dict[int, int] = {}
        short: set[int] = set()
        for part in self.parts:
            ground = self.nodes[part.file]
            assert isinstance(ground, File)
            size = sizes.get(part.file, ground.durable.size)
            end = part.write.offset + len(part.write.data or b"")
            if part.write.data is None or end <= size:
                continue
            sizes[part.file] = end
            if part.write.resizes:
                continue  # preallocated: no data is missing
            if part not in chosen:
                short.add(part.file)
            elif part.file in short:
                return False
        return True


def worst(disk: Disk) -> Disk:
    """F1: all unsynced state is gone."""
    return Ground(disk).image((), {})


def crash_images(disk: Disk, max_subset: int, *, torn: bool, sizes: bool) -> Iterator[Disk]:
    """All of them, lazily; the same disk may come more than once (compare digests)."""
    ground = Ground(disk)
    ordered = disk.personality.ordered
    varied = [part for part in ground.parts if sizes or not part.write.resizes]
    fixed = [part for part in ground.parts if not sizes and part.write.resizes]
    listings = [(ground.directories(names), ground.carried(names)) for names in name_sets(ground.changes, max_subset, ordered=ordered)]
    for kept in subsets(varied, max_subset):
        if ordered and not ground.in_order(kept):
            continue
        whole = sorted([*kept, *fixed]) if fixed else kept
        for directories, carried in listings:
            if carried <= set(whole):
                yield ground.image(whole, directories)
        if torn and kept and listings:
            directories, carried = listings[-1]
            for piece in pieces(kept[-1].write):
                others = [*kept[:-1], *fixed]
                if carried <= set(others):
                    yield ground.image(sorted([*others, Part(piece, kept[-1].file)]), directories)


def subsets(items: Sequence[T], all_up_to: int) -> Iterator[list[T]]:
    """Every subset in order; of more than `all_up_to` items: none, every prefix, all, and all but one. All of them is the last of the former."""
    if len(items) <= all_up_to:
        for size in range(len(items) + 1):
            for chosen in combinations(items, size):
                yield list(chosen)
        return
    for omitted in range(len(items)):
        yield [*items[:omitted], *items[omitted + 1 :]]
    for length in range(len(items) + 1):
        yield list(items[:length])


def name_sets(changes: Sequence[Change], max_subset: int, *, ordered: bool) -> Iterator[list[Change]]:
    """Sets of changes that may survive together; all of them come last."""
    if ordered:
        for length in range(len(changes) + 1):
            yield list(changes[:length])
        return
    unsynced = {change.number for change in changes}
    for chosen in subsets(changes, max_subset):
        numbers = {change.number for change in chosen}
        if all(change.needs in numbers or change.needs not in unsynced for change in chosen):
            yield chosen


def pieces(write: Write) -> Iterator[Write]:
    """What may be left of a write that was under way (F3)."""
    data = write.data or b""
    for length in sorted({1, len(data) // 2, len(data) - 1}):
        if 0 < length < len(data):
            yield write._replace(data=data[:length])
    if len(data) > 1:
        yield write._replace(offset=write.offset + len(data) // 2, data=data[len(data) // 2 :])


# --- one image, drawn ---------------------------------------------------------------------------------------------------


def survivor(disk: Disk, stream: Stream) -> Disk:
    """One image. The calm draw is that everything had reached the disk; then nothing (F1), any subset (F2), or what was done first."""
    ground = Ground(disk)
    drawing = _Drawing(ground, stream)
    mode = stream.below(4)
    if mode == 0:
        return ground.image(ground.parts, ground.directories(ground.changes))
    if mode == 1:
        drawing.say("F1")
        image = ground.image((), {})
    elif mode == 2:
        image = drawing.subset()
    else:
        image = drawing.prefix()
    for fault in sorted(drawing.faults):
        disk.tell_fault(fault, "power loss")
    return image


class _Drawing:
    """Draws what survives, and remembers which faults that are."""

    def __init__(self, ground: Ground, stream: Stream) -> None:
        self.ground = ground
        self.stream = stream
        self.ordered = ground.disk.personality.ordered
        self.faults: set[str] = set()

    def say(self, fault: str) -> None:
        self.faults.add(fault)

    def subset(self) -> Disk:
        """F2, F3, F4, F5, F6."""
        names = self._names()
        carried = self.ground.carried(names)
        kept: list[Part] = []
        short: set[int] = set()  # files that grow no more (ORDERED)
        sizes: dict[int, int] = {}
        for part in self.ground.parts:
            ground = self.ground.nodes[part.file]
            assert isinstance(ground, File)
            size = sizes.get(part.file, ground.durable.size)
            end = part.write.offset + len(part.write.data or b"")
            extends = bool(part.write.data) and end > size
            sizes[part.file] = max(size, end)
            if part in carried:
                kept.append(part)
                continue
            if self.ordered and extends and part.file in short:
                continue
            left = self._left(part.write, extends=extends and not self.ordered)
            if left is not part.write and extends:
                short.add(part.file)
            if left is not None:
                kept.append(Part(left, part.file))
        return self.ground.image(kept, self.ground.directories(names))

    def prefix(self) -> Disk:
        """What was done first survives, the last of it torn."""
        items: list[Part | Change] = sorted([*self.ground.parts, *self.ground.changes], key=_number)
        done = items[: len(items) - self.stream.below(len(items) + 1)]
        names = [item for item in done if isinstance(item, Change)]
        kept = [item for item in done if isinstance(item, Part)]
        if len(done) < len(items):
            self.say("F2")
            following = items[len(done)]
            if isinstance(following, Part) and following.write.data:
                kept.append(Part(self._torn(following.write), following.file))
        return self.ground.image(sorted({*kept, *self.ground.carried(names)}), self.ground.directories(names))

    def _names(self) -> list[Change]:
        changes = self.ground.changes
        if self.ordered:
            kept = changes[: len(changes) - self.stream.below(len(changes) + 1)]
        else:
            unsynced = {change.number for change in changes}
            numbers: set[int] = set()
            for change in changes:
                if not self.stream.below(2) and (change.needs in numbers or change.needs not in unsynced):
                    numbers.add(change.number)
            kept = [change for change in changes if change.number in numbers]
        chosen = {change.number for change in kept}
        for change in changes:
            if change.number not in chosen:
                self.say("F6" if all(target == 0 for _, _, target in change.entries) else "F5")
        return kept

    def _left(self, write: Write, *, extends: bool) -> Write | None:
        """What is left of a write; `write` itself when it is whole."""
        outcome = self.stream.below(2 if not write.data else 4)
        if outcome == 0:
            return write
        self.say("F2")
        if outcome == 2:
            return self._torn(write)
        return self._extended(write) if extends and write.data else None

    def _torn(self, write: Write) -> Write:
        """F3: cut at an octet, cut at a sector, or begun at a sector."""
        assert write.data
        self.say("F3")
        length = len(write.data)
        kind = self.stream.below(3)
        if kind == 0:
            return write._replace(data=write.data[: self.stream.below(length)])
        first = SECTOR - write.offset % SECTOR
        cuts = [*range(first, length, SECTOR)] or [length // 2]
        cut = cuts[self.stream.below(len(cuts))]
        if kind == 1:
            return write._replace(data=write.data[:cut])
        return write._replace(offset=write.offset + cut, data=write.data[cut:])

    def _extended(self, write: Write) -> Write | None:
        """F4: the size is there, the data is not; zeros, or what a removed file left on the device."""
        assert write.data
        kind = self.stream.below(3)
        if kind == 0:
            return None
        self.say("F4")
        removed = self.ground.disk.removed
        if kind == 1 or not removed:
            return write._replace(offset=write.offset + len(write.data), data=b"")
        octets: Octets = removed[self.stream.below(len(removed))]
        return write._replace(data=octets.read(write.offset, len(write.data)).ljust(len(write.data), b"\0"))


def _number(item: Part | Change) -> int:
    return item.write.number if isinstance(item, Part) else item.number
