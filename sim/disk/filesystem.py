"""The disk of one machine: a file system by paths, with a page cache that a power loss takes away and faults that its personality allows.

Synchronous and without time: who runs it charges time. Without randomness: choices come from streams. Every operation that changes something
is numbered, said after it was carried out, and can be the one before which the power fails. A file may be named by its path or by the number
that `create` and `open` return; a number stays good when the name is gone.

What may and may not happen is stated in sim.disk.personality (power losses) and sim.disk.faults (a running disk).
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from sim.disk import images
from sim.disk.errors import DiskError, PowerLoss
from sim.disk.faults import Faults, Stream, fault_id
from sim.disk.nodes import Directory, File, Write
from sim.disk.octets import CHUNK, Octets
from sim.disk.personality import STRICT, Personality
from sim.disk.tree import Place, Tree

CAPACITY_OCTETS: Final = 1 << 40
REMOVED_MAX: Final = 4  # removed files whose octets may show up again where data is missing (F4)
_NEVER: Final = 1 << 62


class Operation(NamedTuple):
    """A change that was carried out. `octets`: written, or the new size."""

    number: int
    kind: str
    path: str
    offset: int
    octets: int


class Disk:
    """`choose`: for the order of names in a listing (F14); without it they come sorted. `capacity` and `occupied` (by others) may be changed at any time."""

    def __init__(
        self,
        personality: Personality = STRICT,
        choose: Stream | None = None,
        faults: Faults | None = None,
        capacity: int = CAPACITY_OCTETS,
    ) -> None:
        self.personality = personality
        self.choose = choose
        self.faults = faults
        self.capacity = capacity
        self.occupied = 0
        self.operations = 0
        self.syncs = 0
        self.on_operation: Callable[[Operation], None] | None = None
        self.on_fault: Callable[[str, str], None] | None = None
        self.off = False
        self.removed: tuple[Octets, ...] = ()
        self.tree = Tree()
        self._cut = _NEVER
        self._used: int | None = 0  # allocated octets; None: to be counted
        self.locks: dict[int, dict[object, int]] = {}  # of SQLite's files, by number and holder

    # --- files --------------------------------------------------------------------------------------------------------

    def create(self, path: str) -> int:
        """A new, empty file."""
        self._begin()
        directory, name = self.tree.parent(path)
        if name in self.tree.directory(directory).names:
            raise DiskError("exists", path)
        self._check_name("create", path)
        number = self.tree.add(File(path, Octets()))
        self.tree.change([(directory, name, number)])
        self._done("create", path, 0, 0)
        return number

    def open(self, path: str) -> int:
        """The number of an existing file."""
        self._alive()
        number = self.tree.find(path)
        self.tree.file(number)
        return number

    def close(self, place: Place) -> None:
        """Says late errors (F11); makes nothing durable (F15)."""
        self._alive()
        if self.faults is not None:
            file = self.tree.file(place)
            if (answer := self.faults.on_close(file.path)) is not None:
                raise self._fault("close", answer, file.path)

    def exists(self, path: str) -> bool:
        self._alive()
        try:
            self.tree.find(path)
        except DiskError:
            return False
        return True

    def is_directory(self, path: str) -> bool:
        self._alive()
        return self.tree.is_directory(path)

    def size(self, place: Place) -> int:
        self._alive()
        return self.tree.file(place).view.size

    def read(self, place: Place, offset: int, octets: int) -> bytes:
        """Up to `octets`, fewer only at the end of the file."""
        self._alive()
        file = self.tree.file(place)
        if self.faults is not None and (answer := self.faults.on_read(file.path, offset, octets)) is not None:
            raise self._fault("read", answer, file.path)
        return file.view.read(offset, octets)

    def write(self, place: Place, offset: int, data: bytes) -> None:
        """Into the page cache. On a full disk as much is written as fits, and no_space is said."""
        self._begin()
        file = self.tree.own(place)
        answer = None if self.faults is None else self.faults.on_write(file.path, offset, len(data))
        if answer in ("no_space", "io"):
            raise self._fault("write", answer, file.path)
        end = offset + len(data)
        if end > file.allocated and not self._allocate(file, end):
            fitting = file.allocated - offset
            if fitting > 0:
                file.write(Write(self.tree.tick(), offset, data[:fitting]))
                self._done("write", file.path, offset, fitting)
            raise DiskError("no_space", file.path)
        write = Write(self.tree.tick(), offset, data)
        if answer is None:
            file.write(write)
        else:  # F10
            self._fault("write", answer, file.path)
            file.show(write)
            file.diverged = True
            if answer == "misdirect":
                file.pending.append(Write(write.number, offset - CHUNK if offset >= CHUNK else offset + CHUNK, data))
        self._done("write", file.path, offset, len(data))

    def truncate(self, place: Place, octets: int) -> None:
        """Set the size; growing allocates nothing."""
        self._begin()
        file = self.tree.own(place)
        self._check_name("truncate", file.path)
        cuts = octets < file.view.size
        file.write(Write(self.tree.tick(), octets, None if cuts else b"", not cuts or file.view.is_zero(octets)))
        if octets < file.allocated:
            self._give_back(file, -(-octets // CHUNK) * CHUNK)
        self._done("truncate", file.path, 0, octets)

    def fallocate(self, place: Place, octets: int) -> None:
        """Have space for `octets`, and that size at least; the new octets are zeros."""
        self._begin()
        file = self.tree.own(place)
        self._check_name("fallocate", file.path)
        if octets > file.allocated and not self._allocate(file, octets):
            raise DiskError("no_space", file.path)
        if octets > file.view.size:
            file.write(Write(self.tree.tick(), octets, b"", resizes=True))
        self._done("fallocate", file.path, 0, octets)

    def sync(self, place: Place, upto: int = _NEVER) -> None:
        """Make what was written durable: all, or what was written before `mark` gave `upto`."""
        self._begin()
        file = self.tree.own(place)
        answer = None if self.faults is None else self.faults.on_sync(file.path)
        error = None if answer is None else self._fault("sync", answer, file.path)
        if self.personality.syncs and answer != "ignore":
            if answer is None:
                file.sync(upto)
                if self.personality.ordered:
                    self.tree.commit_all(upto)
            elif answer == "fail_revert":
                file.fail_revert(upto)
            else:
                file.fail_clean(upto)
        self._done("sync", file.path, 0, file.view.size)
        self.syncs += 1
        if error is not None and answer != "ignore":
            raise error

    # --- names --------------------------------------------------------------------------------------------------------

    def rename(self, old: str, new: str) -> None:
        """Atomic for observers; replaces a file of the new name. Only files."""
        self._begin()
        number = self.open(old)
        source, old_name = self.tree.parent(old)
        target, new_name = self.tree.parent(new)
        self._check_name("rename", new)
        if old == new:
            return
        replaced = self.tree.directory(target).names.get(new_name, 0)
        carries = number if replaced and self.personality.ordered else 0
        if replaced:
            self._note_removal(replaced)
        file = self.tree.own(number)
        if source == target or self.personality.ordered:
            self.tree.change([(target, new_name, number), (source, old_name, 0)], carries=carries)
        else:
            gained = self.tree.change([(target, new_name, number)])
            self.tree.change([(source, old_name, 0)], needs=gained)
        file.path = new
        self._done("rename", new, 0, 0)

    def unlink(self, path: str) -> None:
        self._begin()
        number = self.open(path)
        directory, name = self.tree.parent(path)
        self._check_name("unlink", path)
        self._note_removal(number)
        self.tree.change([(directory, name, 0)])
        self._done("unlink", path, 0, 0)

    def mkdir(self, path: str) -> None:
        self._begin()
        directory, name = self.tree.parent(path)
        if name in self.tree.directory(directory).names:
            raise DiskError("exists", path)
        self._check_name("mkdir", path)
        self.tree.change([(directory, name, self.tree.add(Directory(path, {})))])
        self._done("mkdir", path, 0, 0)

    def make_directories(self, path: str) -> None:
        """This directory and those above it that are missing."""
        if not self.is_directory(path):
            self.make_directories(path.rpartition("/")[0] or "/")
            self.mkdir(path)

    def listdir(self, path: str) -> list[str]:
        """The names in a directory, in an order that is nobody's promise (F14)."""
        self._alive()
        names = list(self.tree.directory(self.tree.find(path)).ordered()[0])
        choose = self.choose
        if choose is not None:
            for index in range(len(names) - 1):
                other = index + choose.below(len(names) - index)
                names[index], names[other] = names[other], names[index]
        return names

    def sync_directory(self, path: str, upto: int = _NEVER) -> None:
        """Make the names in a directory durable: all, or those of before `mark` gave `upto`."""
        self._begin()
        directory = self.tree.find(path)
        self.tree.directory(directory)
        answer = None if self.faults is None else self.faults.on_sync(path)
        error = None if answer is None else self._fault("sync", answer, path)
        if self.personality.syncs and answer != "ignore":
            if answer is not None:
                self.tree.fail_directory(directory, upto)
            elif self.personality.ordered:
                self.tree.commit_all(upto)
            else:
                self.tree.commit_directory(directory, upto)
        self._done("sync_directory", path, 0, 0)
        self.syncs += 1
        if error is not None and answer != "ignore":
            raise error

    def mark(self) -> int:
        """What is written after this is not covered by a sync `upto` it."""
        self._alive()
        return self.tree.sequence

    # --- space --------------------------------------------------------------------------------------------------------

    @property
    def free_octets(self) -> int:
        return max(self.capacity - self.occupied - self._in_use(), 0)

    def _in_use(self) -> int:
        if self._used is None:
            self._used = self.tree.allocated()
        return self._used

    def _allocate(self, file: File, end: int) -> bool:
        """Extend what the file holds of the device up to `end`, or as far as there is space."""
        wanted = -(-end // CHUNK) * CHUNK
        free = self.free_octets // CHUNK * CHUNK
        gained = min(wanted - file.allocated, free)
        file.allocated += gained
        self._used = self._in_use() + (gained if self._used is not None else 0)
        return file.allocated == wanted

    def _give_back(self, file: File, allocated: int) -> None:
        used = self._in_use()
        self._used = used - (file.allocated - allocated)
        file.allocated = allocated

    # --- crashes and corruption ---------------------------------------------------------------------------------------

    def cut_at(self, number: int | None) -> None:
        """The power fails before operation `number` is carried out. None: it does not."""
        self._cut = _NEVER if number is None else number

    def power_off(self) -> None:
        """From now on every call raises PowerLoss."""
        self.off = True
        self._cut = 0

    def survivor(self, stream: Stream) -> "Disk":
        """What a power loss leaves, drawn from the stream (F1 to F6)."""
        return images.survivor(self, stream)

    def crash_images(self, max_subset: int = 4, *, torn: bool = False, sizes: bool = False) -> Iterator["Disk"]:
        """Every disk that a power loss may leave, up to combinations of more than `max_subset` parts; see sim.disk.images."""
        return images.crash_images(self, max_subset, torn=torn, sizes=sizes)

    def worst(self) -> "Disk":
        """What a power loss leaves for certain: all unsynced state is gone (F1)."""
        return images.worst(self)

    def copy(self) -> "Disk":
        """A disk in the same state, with what is pending; without its hooks and faults, and switched on."""
        return self.sibling(self.tree.copy())

    def sibling(self, tree: Tree) -> "Disk":
        """A disk of the same kind with this tree. Operations are counted on: SQLite's salts must differ from life to life."""
        other = Disk.__new__(Disk)
        other.__dict__.update(self.__dict__)
        other.faults = other.on_operation = other.on_fault = None
        other.off, other._cut = False, _NEVER
        other.tree, other._used, other.locks = tree, None, {}
        return other

    def settle(self) -> None:
        """Everything is durable: as after an orderly shutdown, or an installation."""
        self.tree.settle()

    def restore(self, backup: "Disk", path: str) -> None:
        """F16: the tree below `path` is what it was when `backup` was copied, durably."""
        for old, _ in self.walk(path):
            directory, name = self.tree.parent(old)
            self.tree.change([(directory, name, 0)])
        self._used = None
        for old, number in backup.walk(path):
            file = self.tree.own(self.tree.bring(old))
            file.durable = file.view = backup.tree.file(number).view
            file.settle()
            file.allocated = -(-file.view.size // CHUNK) * CHUNK
        self.settle()
        self.tell_fault("F16", path)

    def flip(self, place: Place, offset: int, mask: int = 0xFF) -> None:
        """F10: change durable bits of one octet."""
        file = self.tree.own(place)
        octet = file.durable.read(offset, 1)
        file.corrupt(offset, bytes([octet[0] ^ mask]))
        self.tell_fault("F10", f"{file.path} octet {offset}")

    def misdirect(self, place: Place, offset: int, to: int, octets: int) -> None:
        """F10: durable octets are found at another place too."""
        file = self.tree.own(place)
        file.corrupt(to, file.durable.read(offset, octets))
        self.tell_fault("F10", f"{file.path} octets {offset} at {to}")

    # --- questions ----------------------------------------------------------------------------------------------------

    def walk(self, path: str = "/") -> Iterator[tuple[str, int]]:
        """Every visible file below a directory: its path and number, in order of names. Nobody's reading: also when the power is off."""
        return self.tree.walk(path)

    def content(self, place: Place) -> bytes:
        """All visible octets of a file, read by nobody: without faults, also when the power is off."""
        return bytes(self.tree.file(place).view)

    def durable_content(self, place: Place) -> bytes:
        return bytes(self.tree.file(place).durable)

    def digest(self, *, sizes: bool = False) -> bytes:
        """Equal for disks with equal names and octets. Zeros at the end of a file do not count, unless `sizes`."""
        return self.tree.digest(sizes=sizes)

    # --- within -------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self.operations + 1 >= self._cut:
            self.power_off()
            raise PowerLoss

    def _alive(self) -> None:
        if self.off:
            raise PowerLoss

    def _done(self, kind: str, path: str, offset: int, octets: int) -> None:
        self.operations += 1
        if self.on_operation is not None:
            self.on_operation(Operation(self.operations, kind, path, offset, octets))

    def _check_name(self, kind: str, path: str) -> None:
        if self.faults is not None and (answer := self.faults.on_name(kind, path)) is not None:
            raise self._fault("name", answer, path)

    def _fault(self, operation: str, answer: str, path: str) -> DiskError:
        self.tell_fault(fault_id(operation, answer), f"{operation} {answer} {path}")
        return DiskError("no_space" if answer == "no_space" else "io", path)

    def tell_fault(self, fault: str, text: str) -> None:
        """Say that a fault of the catalogue was injected here."""
        if self.on_fault is not None:
            self.on_fault(fault, text)

    def _note_removal(self, number: int) -> None:
        file = self.tree.own(number)
        self.removed = (*self.removed[1 - REMOVED_MAX :], file.share())
        if self._used is not None:
            self._used -= file.allocated
