"""The tree of a disk: numbered nodes, the names that lead to them, and the changes of names that are not durable yet.

Nodes may be shared with other trees (copies, crash images): a node is copied before it is changed, unless it is known to be `owned`.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

from sim.disk.errors import DiskError
from sim.disk.nodes import Change, Directory, File, Node, enter
from sim.disk.octets import Octets

ROOT: Final = 1
NODES_MIN: Final = 256  # so many nodes are kept before it is worth looking which of them nothing leads to any more
DIGEST_OCTETS: Final = 16

Place = str | int  # a path, or the number of a file


class Tree:
    """`changes`: of names, not durable yet, in order. `stale`: those of a failed sync, which no later one makes durable (F7)."""

    def __init__(self, nodes: dict[int, Node] | None = None, following: int = ROOT + 1) -> None:
        self.nodes: dict[int, Node] = {ROOT: Directory("/", {})} if nodes is None else nodes
        self.changes: list[Change] = []
        self.stale: list[Change] = []
        self.following = following  # the number of the next node
        self.sequence = 0  # of writes and changes
        self._owned: set[int] = set()
        self._directories: dict[str, int] = {}
        self._collect_at = max(NODES_MIN, 2 * len(self.nodes))

    def copy(self) -> "Tree":
        """The same, with what is pending."""
        other = Tree(self.nodes.copy(), self.following)
        self.share()
        other.changes, other.stale, other.sequence = self.changes.copy(), self.stale.copy(), self.sequence
        return other

    def share(self) -> None:
        """Somebody else has the nodes too from now on."""
        self._owned.clear()

    def tick(self) -> int:
        self.sequence += 1
        return self.sequence

    # --- looking up -----------------------------------------------------------------------------------------------------

    def find(self, path: str) -> int:
        """The number of what lies at `path`."""
        if path == "/":
            return ROOT
        directory, name = self.parent(path)
        number = self.directory(directory).names.get(name)
        if number is None:
            raise DiskError("missing", path)
        return number

    def parent(self, path: str) -> tuple[int, str]:
        """The number of the directory of a path, and the name in it."""
        above, _, name = path.rpartition("/")
        if not above:
            return ROOT, name
        number = self._directories.get(above)
        if number is None:
            number = self.find(above)
            self.directory(number)
            self._directories[above] = number  # directories are never removed
        return number, name

    def directory(self, number: int) -> Directory:
        node = self.nodes[number]
        if not isinstance(node, Directory):
            raise DiskError("not_directory", node.path)
        return node

    def is_directory(self, path: str) -> bool:
        try:
            return isinstance(self.nodes[self.find(path)], Directory)
        except DiskError:
            return False

    def file(self, place: Place) -> File:
        """A file to be read."""
        node = self.nodes.get(place if isinstance(place, int) else self.find(place))
        if not isinstance(node, File):
            raise DiskError("missing" if node is None else "is_directory", str(place))
        return node

    def walk(self, path: str) -> Iterator[tuple[str, int]]:
        """Every visible file below a directory: its path and number, in order of names."""
        if not self.is_directory(path):
            return
        prefix = path if path.endswith("/") else path + "/"
        for name, number in zip(*self.directory(self.find(path)).ordered(), strict=True):
            if isinstance(self.nodes[number], Directory):
                yield from self.walk(prefix + name)
            else:
                yield prefix + name, number

    def allocated(self) -> int:
        """Octets that visible files hold of the device."""
        files: dict[int, int] = {}
        waiting = [ROOT]
        while waiting:
            for number in self.directory(waiting.pop()).names.values():
                node = self.nodes[number]
                if isinstance(node, File):
                    files[number] = node.allocated
                else:
                    waiting.append(number)
        return sum(files.values())

    def digest(self, *, sizes: bool) -> bytes:
        parts: list[bytes] = []
        self._gather(ROOT, parts, sizes)
        return blake2b(b"".join(parts), digest_size=DIGEST_OCTETS).digest()

    def _gather(self, number: int, parts: list[bytes], sizes: bool) -> None:
        names, numbers = self.directory(number).ordered()
        parts.append("/".join(names).encode())
        nodes = self.nodes
        for child in numbers:
            node = nodes[child]
            if isinstance(node, File):
                parts.append(node.view.digest())
                if sizes:
                    parts.append(b"%d" % node.view.size)
            else:
                parts.append(b"(")
                self._gather(child, parts, sizes)
                parts.append(b")")

    # --- changing -------------------------------------------------------------------------------------------------------

    def add(self, node: Node) -> int:
        """A number for a new node."""
        number = self.following
        self.following += 1
        self.nodes[number] = node
        self._owned.add(number)
        return number

    def own(self, place: Place) -> File:
        """A file to be changed."""
        number = place if isinstance(place, int) else self.find(place)
        node = self.file(number)
        if number not in self._owned:
            node = self.nodes[number] = node.copy()
            self._owned.add(number)
        return node

    def change(self, entries: list[tuple[int, str, int]], *, needs: int = 0, carries: int = 0) -> int:
        """Change visible names; the number of the change, which is not durable yet."""
        for number, name, target in entries:
            directory = self._own_directory(number)
            if directory.names is directory.durable:
                directory.names = dict(directory.durable)
            directory.enter(name, target)
        number = self.tick()
        self.changes.append(Change(number, tuple(entries), needs, carries))
        return number

    def bring(self, path: str) -> int:
        """A new, empty file at this path, with the directories above it."""
        above = path.rpartition("/")[0]
        missing: list[str] = []
        while above and not self.is_directory(above):
            missing.append(above)
            above = above.rpartition("/")[0]
        for directory in reversed(missing):
            parent, name = self.parent(directory)
            self.change([(parent, name, self.add(Directory(directory, {})))])
        parent, name = self.parent(path)
        number = self.add(File(path, Octets()))
        self.change([(parent, name, number)])
        return number

    def _own_directory(self, number: int) -> Directory:
        directory = self.directory(number)
        if number not in self._owned:
            directory = self.nodes[number] = directory.copy()
            self._owned.add(number)
        return directory

    # --- making durable ---------------------------------------------------------------------------------------------------

    def commit_directory(self, directory: int, upto: int) -> None:
        """Make the changes of one directory durable, and what they cannot be durable without."""
        self._commit(self._needed([change for change in self.changes if change.number <= upto and _concerns(change, directory)]))

    def commit_all(self, upto: int) -> None:
        """Make all changes durable, as a journal does."""
        self._commit([change for change in self.changes if change.number <= upto])

    def fail_directory(self, directory: int, upto: int) -> None:
        """F7: these changes stay visible, and no later sync makes them durable."""
        failed = [change for change in self.changes if change.number <= upto and _concerns(change, directory)]
        self.changes = [change for change in self.changes if change not in failed]
        self.stale += failed

    def settle(self) -> None:
        """Whatever is visible is durable."""
        self._commit(sorted([*self.stale, *self.changes]))
        self.changes, self.stale = [], []
        for number, node in list(self.nodes.items()):
            if isinstance(node, File) and not node.clean:
                self.own(number).settle()

    def reachable(self) -> dict[int, Node]:
        """The nodes that a visible name, a durable one, or one that may still become durable leads to."""
        found: dict[int, Node] = {}
        waiting = [ROOT, *(target for change in [*self.stale, *self.changes] for _, _, target in change.entries if target)]
        while waiting:
            number = waiting.pop()
            if number not in found:
                node = found[number] = self.nodes[number]
                if isinstance(node, Directory):
                    waiting.extend(node.durable.values())
                    if node.names is not node.durable:
                        waiting.extend(node.names.values())
        return found

    def _needed(self, chosen: list[Change]) -> list[Change]:
        """The changes, those without which they cannot be durable, and earlier ones of the same names; not those whose need failed to become durable."""
        lost = {change.number for change in self.stale}
        numbers = {change.number for change in chosen if change.needs not in lost}
        names: set[tuple[int, str]] = set()
        needed: list[Change] = []
        for change in reversed(self.changes):
            places = {(directory, name) for directory, name, _ in change.entries}
            if change.number in numbers or not names.isdisjoint(places):
                needed.append(change)
                numbers.add(change.needs)
                names |= places
        needed.reverse()
        return needed

    def _commit(self, chosen: list[Change]) -> None:
        if not chosen:
            return
        durable: dict[int, dict[str, int]] = {}
        for change in chosen:
            if change.carries:
                self.own(change.carries).sync(change.number)
            for number, name, target in change.entries:
                if number not in durable:
                    durable[number] = dict(self.directory(number).durable)
                enter(durable[number], name, target)
        for number, names in durable.items():
            self._own_directory(number).durable = names
        numbers = {change.number for change in chosen}
        self.changes = [change for change in self.changes if change.number not in numbers]
        if self.stale:  # what was made durable over them cannot be undone by them
            places = {entry[:2] for change in chosen for entry in change.entries}
            self.stale = [change for change in self.stale if places.isdisjoint(entry[:2] for entry in change.entries)]
        self._collect()

    def _collect(self) -> None:
        """Forget nodes that nothing leads to any more."""
        if len(self.nodes) > self._collect_at:
            self.nodes = self.reachable()
            self._collect_at = max(NODES_MIN, 2 * len(self.nodes))


def _concerns(change: Change, directory: int) -> bool:
    return any(number == directory for number, _, _ in change.entries)
