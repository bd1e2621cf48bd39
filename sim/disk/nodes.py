"""Nodes: files and directories, each with what is visible and what is durable, and what lies between the two in order.

A node may be shared by many disks (crash images of one run); a disk copies a node before it changes it. Durable octets and names are never
changed in place.
"""

from itertools import pairwise
from typing import NamedTuple

from sim.disk.octets import CHUNK, Octets


class Write(NamedTuple):
    """One unsynced change of a file, numbered over the whole disk. `data` None: cut to `offset`; b"": grow to `offset` at least.

    `resizes`: it changes no octet but zeros at the end.
    """

    number: int
    offset: int
    data: bytes | None
    resizes: bool = False


class Change(NamedTuple):
    """One unsynced change of names: all of `entries` at once. An entry: directory, name, what it leads to from now on (0: to nothing).

    `needs`: the number of a change without which this one cannot be durable. `carries`: the file whose data goes along (ORDERED), or 0.
    """

    number: int
    entries: tuple[tuple[int, str, int], ...]
    needs: int = 0
    carries: int = 0


class File:
    """`view` is what a reader sees; it is the durable octets themselves when nothing lies between."""

    __slots__ = ("_private", "allocated", "diverged", "durable", "path", "pending", "stale", "view")

    def __init__(self, path: str, durable: Octets) -> None:
        self.path = path  # where it lay last
        self.durable = durable
        self.view = durable
        self.pending: list[Write] = []
        self.stale: list[Write] = []  # of a failed sync: in the page cache, clean, never written again (F7)
        self.diverged = False  # a sync of everything pending does not make the view durable
        self.allocated = -(-durable.size // CHUNK) * CHUNK
        self._private = False  # nobody shares `view`

    def copy(self) -> "File":
        other = File.__new__(File)
        other.path = self.path
        other.durable = self.durable
        other.view = self.view
        other.pending = self.pending.copy()
        other.stale = self.stale.copy()
        other.diverged = self.diverged
        other.allocated = self.allocated
        other._private = self._private = False
        return other

    def write(self, write: Write) -> None:
        self.show(write)
        self.pending.append(write)

    def show(self, write: Write) -> None:
        """Only in the view."""
        if not self._private:
            self.view = self.view.copy()
            self._private = True
        apply(self.view, write)

    def sync(self, upto: int) -> None:
        """Make the writes numbered up to `upto` durable, and with them what the page cache holds in the same pages."""
        done, rest = self._split(upto)
        if not done:
            return
        if rest or self.diverged:
            touched = {page for write in done for page in _pages(write)}
            along = [write for write in self.stale if not touched.isdisjoint(_pages(write))]
            end = min((write.offset for write in done if write.data is None), default=1 << 62)  # what was cut off cannot come back
            self.stale = [write for write in self.stale if touched.isdisjoint(_pages(write)) and write.offset < end]
            self.durable = self.durable.copy()
            for write in sorted([*along, *done]):
                apply(self.durable, write)
        else:
            self.durable = self.view
            self._private = False
        self.pending = rest

    def fail_clean(self, upto: int) -> None:
        """F7: the writes stay visible, and are never written unless their page is written again."""
        done, self.pending = self._split(upto)
        self.stale += [piece for write in done for piece in _by_page(write)]
        self.diverged = True

    def fail_revert(self, upto: int) -> None:
        """F8: the writes are gone at once."""
        _, self.pending = self._split(upto)
        self._reload()

    def settle(self) -> None:
        """Everything visible is durable."""
        self.durable = self.view
        self._private = False
        self.pending, self.stale, self.diverged = [], [], False

    def corrupt(self, offset: int, data: bytes) -> None:
        """Change durable octets (F10); seen at once where nothing is written over them."""
        self.durable = self.durable.copy()
        self.durable.write(offset, data)
        self._reload()

    def share(self) -> Octets:
        """The visible octets, for somebody to keep as they are."""
        self._private = False
        return self.view

    @property
    def clean(self) -> bool:
        return self.view is self.durable

    def _reload(self) -> None:
        """See what the device has, below what the page cache holds of it."""
        self.view, self._private = self.durable, False
        for write in sorted([*self.stale, *self.pending]):
            self.show(write)

    def _split(self, upto: int) -> tuple[list[Write], list[Write]]:
        pending = self.pending
        if not pending or pending[-1].number <= upto:
            return pending, []
        count = next(index for index, write in enumerate(pending) if write.number > upto)
        return pending[:count], pending[count:]


class Directory:
    """Names lead to the numbers of nodes. `names` is what is visible; the owner changes it in place, `durable` never."""

    __slots__ = ("_ordered", "durable", "names", "path")

    def __init__(self, path: str, durable: dict[str, int]) -> None:
        self.path = path
        self.durable = durable
        self.names = durable
        self._ordered: tuple[tuple[str, ...], tuple[int, ...]] | None = None

    def copy(self) -> "Directory":
        other = Directory(self.path, self.durable)
        other.names = dict(self.names)
        return other

    def enter(self, name: str, number: int) -> None:
        """Let a visible name lead to `number`; 0 takes it away."""
        self._ordered = None
        if number:
            self.names[name] = number
        else:
            del self.names[name]

    def ordered(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """The visible names in order, and the numbers in the same order."""
        if self._ordered is None:
            names = tuple(sorted(self.names))
            self._ordered = names, tuple(self.names[name] for name in names)
        return self._ordered


Node = File | Directory


def apply(octets: Octets, write: Write) -> None:
    if write.data is None:
        octets.resize(min(write.offset, octets.size))
    else:
        octets.write(write.offset, write.data)


def _pages(write: Write) -> range:
    """The pages that a write touches; a change of size touches none."""
    return range(write.offset // CHUNK, -(-(write.offset + len(write.data)) // CHUNK)) if write.data else range(0)


def _by_page(write: Write) -> list[Write]:
    """The same write, page by page."""
    data = write.data
    if not data:
        return [write]
    cuts = [0, *(page * CHUNK - write.offset for page in _pages(write)[1:]), len(data)]
    return [write._replace(offset=write.offset + start, data=data[start:end]) for start, end in pairwise(cuts)]


def enter(names: dict[str, int], name: str, target: int) -> None:
    """Let a name lead to `target`; 0 takes it away."""
    if target:
        names[name] = target
    else:
        names.pop(name, None)
