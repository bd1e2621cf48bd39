"""Survivors: what a power loss may leave of one directory, the envelope log's: its segments as octets, without a disk around them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Final

from sim.disk import Disk
from sim.disk.images import Ground, Part, name_sets, pieces, subsets
from sim.disk.nodes import Change, Directory, File, Write
from sim.disk.octets import Octets
from sim.disk.segments import segment_of

Files = dict[int, Octets]  # segment -> octets, in order of segments
Cuts = Callable[[Write], Iterable[Write]]
ASIDE_BIT: Final = 1 << 62
STORE: Final = "ibdb"


class LogGround:
    """What is durable of the log, and what is not, at one moment of a disk."""

    def __init__(self, disk: Disk, folder: str) -> None:
        self._ground = Ground(disk)
        self._number = disk.tree.find(folder)
        changes = [change for change in self._ground.changes if any(number == self._number for number, _, _ in change.entries)]
        directory = self._ground.nodes[self._number]
        assert isinstance(directory, Directory)
        files = {*directory.durable.values(), *(target for change in changes for number, _, target in change.entries if number == self._number)}
        self._parts = [part for part in self._ground.parts if part.file in files]
        self._changes = changes
        self._ordered = disk.personality.ordered
        self._tables: dict[tuple[int, ...], dict[int, int]] = {}

    def pending(self) -> dict[int, int]:
        """Segment -> the first octet that is not durable, for those that have any."""
        first: dict[int, int] = {}
        for part in self._parts:
            write = part.write
            if write.data:
                segment = segment_of(STORE, self._ground.nodes[part.file].path.rpartition("/")[2])
                if segment is not None and segment < ASIDE_BIT:
                    first[segment] = min(write.offset, first.get(segment, write.offset))
        return first

    def images(self, max_subset: int, cuts: Cuts = pieces) -> Iterator[tuple[Files, bytes]]:
        """Every subset of what is not durable, and the last write of each cut short in the ways that `cuts` says; with a digest."""
        varied = [part for part in self._parts if not part.write.resizes]
        fixed = [part for part in self._parts if part.write.resizes]
        tables = [self._table(names) for names in name_sets(self._changes, max_subset, ordered=self._ordered)]
        for kept in subsets(varied, max_subset):
            if self._ordered and not self._ground.in_order(kept):
                continue
            whole = self._ground.files(sorted([*kept, *fixed]) if fixed else kept)
            for table in tables:
                yield self._image(table, whole)
            if kept and tables:
                last = kept[-1]
                for piece in cuts(last.write):
                    yield self._image(tables[-1], self._ground.files(sorted([*kept[:-1], *fixed, Part(piece, last.file)])))

    def _table(self, names: Iterable[Change]) -> dict[int, int]:
        """Segment -> number of its file."""
        changed = self._ground.directories(names).get(self._number, self._ground.nodes[self._number])
        assert isinstance(changed, Directory)
        found = {}
        for name, number in changed.durable.items():
            segment = segment_of(STORE, name)
            if segment is not None and segment < ASIDE_BIT:
                found[segment] = number
        return dict(sorted(found.items()))

    def _image(self, table: dict[int, int], changed: Mapping[int, object]) -> tuple[Files, bytes]:
        files: Files = {}
        digests = []
        for segment, number in table.items():
            node = changed.get(number) or self._ground.nodes[number]
            assert isinstance(node, File)
            octets = files[segment] = node.durable
            digests.append(segment.to_bytes(8, "little"))
            digests.append(octets.digest())
        return files, blake2b(b"".join(digests), digest_size=16).digest()


def files_of(disk: Disk, folder: str) -> Files:
    """The segments of a disk without anything pending."""
    found = {}
    for path, number in disk.walk(folder):
        segment = segment_of(STORE, path.rpartition("/")[2])
        if segment is not None and segment < ASIDE_BIT:
            found[segment] = disk.tree.file(number).view
    return found


def digest_of(files: Files) -> bytes:
    return blake2b(b"".join(segment.to_bytes(8, "little") + octets.digest() for segment, octets in files.items()), digest_size=16).digest()
