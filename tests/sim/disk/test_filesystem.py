"""The file system against a simple model, and its operations one by one."""

import errno
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.disk import ORDERED, STRICT, Disk, DiskError, Operation, Personality, PowerLoss
from sim.disk.errors import TEXTS
from sim.disk.octets import CHUNK, Octets
from tests.sim.disk.streams import Drawn

# --- octets --------------------------------------------------------------------------------------------------------------

EDGES = [0, 1, 511, 512, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK - 7]


@given(st.lists(st.tuples(st.sampled_from(["write", "resize", "copy"]), st.sampled_from(EDGES), st.sampled_from(EDGES)), max_size=12))
def test_octets_behave_like_a_bytearray_and_their_copies_go_their_own_way(steps: list[tuple[str, int, int]]) -> None:
    octets, model = Octets(), bytearray()
    kept: list[tuple[Octets, bytes]] = []
    for count, (step, one, other) in enumerate(steps, start=1):
        if step == "write":
            data = bytes([count]) * other
            model.extend(bytes(max(one - len(model), 0)))
            model[one : one + len(data)] = data
            octets.write(one, data)
        elif step == "resize":
            model = model[:one].ljust(one, b"\0")
            octets.resize(one)
        else:
            kept.append((octets, bytes(model)))
            octets = octets.copy()
        assert bytes(octets) == model
        assert octets.read(one, other) == model[one : one + other]
        assert octets.is_zero(one) == (not model[one:].strip(b"\0"))
    for octets, content in kept:
        assert bytes(octets) == content


def test_a_digest_tells_contents_apart_and_does_not_count_zeros_at_the_end() -> None:
    one, other = Octets(b"abc"), Octets(b"abc")
    assert one.digest() == other.digest()
    other.resize(10 * CHUNK)
    assert one.digest() == other.digest()
    other.write(5 * CHUNK, b"x")
    assert one.digest() != other.digest()
    other.write(5 * CHUNK, b"\0")
    assert one.digest() == other.digest()
    other.write(1, b"B")
    assert one.digest() != other.digest()


# --- against a model -----------------------------------------------------------------------------------------------------------

DIRECTORIES = ("/a", "/b")
PATHS = ("/a/x", "/a/y", "/b/x", "/b/y")
path = st.sampled_from(PATHS)
step = st.one_of(
    st.tuples(st.just("create"), path),
    st.tuples(st.just("write"), path, st.sampled_from((0, 3, 4000)), st.sampled_from((1, 5, 300))),
    st.tuples(st.just("truncate"), path, st.sampled_from((0, 2, 4100))),
    st.tuples(st.just("fallocate"), path, st.sampled_from((4, 5000))),
    st.tuples(st.just("sync"), path),
    st.tuples(st.just("rename"), path, path),
    st.tuples(st.just("unlink"), path),
    st.tuples(st.just("sync_directory"), st.sampled_from(DIRECTORIES)),
)
Step = tuple[Any, ...]
steps_of_a_run = st.lists(step, min_size=5, max_size=30)


class Model:
    """Files as byte strings, with what is visible and what is durable for certain."""

    def __init__(self, *, ordered: bool) -> None:
        self.ordered = ordered
        self.names = {path: [b"", b""] for path in ("/a/x", "/b/x")}  # path -> [visible, durable]
        self.durable = dict(self.names)
        self.moved: set[str] = set()  # paths of renames across directories: a sync of one directory may make a name in the other durable
        self.carried: list[tuple[list[bytes], bytes]] = []  # ORDERED: files that were renamed over others, and their content then

    def carry_out(self, step: Step, count: int) -> str:
        """The kind of error, or nothing."""
        operation, path, *arguments = step
        if operation == "sync_directory":
            self._sync_names(path)
            return ""
        if operation == "create":
            if path in self.names:
                return "exists"
            self.names[path] = [b"", b""]
            return ""
        if path not in self.names:
            return "missing"
        file = self.names[path]
        if operation == "rename":
            self._rename(path, arguments[0])
        elif operation == "unlink":
            del self.names[path]
        elif operation == "write":
            offset, octets = arguments
            file[0] = file[0][:offset].ljust(offset, b"\0") + bytes([count]) * octets + file[0][offset + octets :]
        elif operation == "truncate":
            file[0] = file[0][: arguments[0]].ljust(arguments[0], b"\0")
        elif operation == "fallocate":
            file[0] = file[0].ljust(arguments[0], b"\0")
        elif operation == "sync":
            if self.ordered:
                self._sync_names(path[:2])
            file[1] = file[0]
        return ""

    def _rename(self, old: str, new: str) -> None:
        if new == old:
            return
        file = self.names[old]
        if new in self.names:
            self.carried.append((file, file[0]))
        self.names[new] = self.names.pop(old)
        if new[:2] != old[:2]:
            self.moved |= {old, new}

    def _sync_names(self, directory: str) -> None:
        if self.ordered:
            self.durable = dict(self.names)
            for file, content in self.carried:
                file[1] = content
            self.carried = []
            return
        self.durable = {path: file for path, file in self.durable.items() if path[:2] != directory}
        self.durable.update({path: file for path, file in self.names.items() if path[:2] == directory})


def carry_out(disk: Disk, step: Step, count: int) -> str:
    """The kind of error, or nothing."""
    operation, *arguments = step
    if operation == "write":
        arguments[2] = bytes([count]) * arguments[2]
    try:
        getattr(disk, operation)(*arguments)
    except DiskError as error:
        return error.kind
    return ""


def contents(disk: Disk) -> dict[str, bytes]:
    return {path: disk.content(number) for path, number in disk.walk()}


def two_directories(personality: Personality, *files: str) -> Disk:
    disk = Disk(personality)
    for directory in DIRECTORIES:
        disk.mkdir(directory)
    for file in files:
        disk.create(file)
    disk.settle()
    return disk


@settings(max_examples=300, deadline=None)
@given(steps=steps_of_a_run, personality=st.sampled_from((STRICT, ORDERED)), seed=st.integers(0, 1000))
def test_what_is_seen_and_what_is_durable_is_what_the_model_says(steps: list[Step], personality: Personality, seed: int) -> None:
    disk, model = two_directories(personality, "/a/x", "/b/x"), Model(ordered=personality.ordered)
    earlier: list[tuple[Disk, bytes]] = []
    for count, one in enumerate(steps, start=1):
        assert carry_out(disk, one, count) == model.carry_out(one, count)
        assert contents(disk) == {path: file[0] for path, file in model.names.items()}
        if count % 5 == 0:
            earlier += [(other, other.digest(sizes=True)) for other in (disk.copy(), disk.worst(), disk.survivor(Drawn(seed)))]
    worst = contents(disk.worst())
    for path in set(PATHS) - (set() if model.ordered else model.moved):
        assert worst.get(path) == (model.durable[path][1] if path in model.durable else None)
    for other, digest in earlier:
        assert other.digest(sizes=True) == digest, "a copy changed when the disk went on"


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(step, max_size=10), personality=st.sampled_from((STRICT, ORDERED)), seed=st.integers(0, 1000))
def test_a_survivor_without_torn_writes_is_among_the_exhaustive_images(steps: list[Step], personality: Personality, seed: int) -> None:
    disk = two_directories(personality, "/a/x", "/b/x")
    for count, one in enumerate(steps, start=1):
        carry_out(disk, one, count)
    images = {image.digest() for image in disk.crash_images(max_subset=12)}
    told: list[str] = []
    disk.on_fault = lambda fault, _text: told.append(fault)
    survivor = disk.survivor(Drawn(seed))
    if not {"F3", "F4"} & set(told):
        assert survivor.digest() in images
    assert disk.digest() in images, "everything may have reached the disk"
    assert disk.worst().digest() in images


@settings(max_examples=100, deadline=None)
@given(steps=steps_of_a_run, personality=st.sampled_from((STRICT, ORDERED)), seed=st.integers(0, 1000))
def test_no_power_loss_takes_what_was_synced(steps: list[Step], personality: Personality, seed: int) -> None:
    disk = two_directories(personality, "/a/x", "/b/x")
    for count, one in enumerate(steps, start=1):
        carry_out(disk, one, count)
    for path in list(contents(disk)):
        disk.sync(path)
    for directory in DIRECTORIES:
        disk.sync_directory(directory)
    assert contents(disk.survivor(Drawn(seed))) == contents(disk)
    assert {image.digest(sizes=True) for image in disk.crash_images(torn=True, sizes=True)} == {disk.digest(sizes=True)}


@pytest.mark.parametrize("synced", ["/a", "/b", ""])
@pytest.mark.parametrize("personality", [STRICT, ORDERED])
def test_a_file_that_is_renamed_never_loses_both_of_its_names(personality: Personality, synced: str) -> None:
    disk = two_directories(personality, "/a/x", "/b/x")
    disk.write("/a/x", 0, b"moved")
    disk.sync("/a/x")
    disk.create("/b/y")
    disk.rename("/a/x", "/b/y")
    if synced:
        disk.sync_directory(synced)
    for image in disk.crash_images():
        found = contents(image)
        assert b"moved" in (found.get("/a/x"), found.get("/b/y"))
        if synced == "/a":
            assert "/a/x" not in found
        if synced == "/b" or personality is ORDERED:
            assert not synced or found["/b/y"] == b"moved"


# --- one by one ---------------------------------------------------------------------------------------------------------------------


def test_errors_say_what_the_operating_system_says() -> None:
    codes = {
        "no_space": errno.ENOSPC,
        "io": errno.EIO,
        "missing": errno.ENOENT,
        "exists": errno.EEXIST,
        "not_directory": errno.ENOTDIR,
        "is_directory": errno.EISDIR,
    }
    assert {kind: os.strerror(code).lower() for kind, code in codes.items()} == TEXTS


@pytest.mark.parametrize(
    ("operation", "arguments", "kind"),
    [
        ("create", ("/a/x",), "exists"),
        ("create", ("/none/x",), "missing"),
        ("create", ("/a/x/y",), "not_directory"),
        ("mkdir", ("/a",), "exists"),
        ("open", ("/a",), "is_directory"),
        ("open", ("/a/none",), "missing"),
        ("write", ("/a/none", 0, b"x"), "missing"),
        ("unlink", ("/a/none",), "missing"),
        ("unlink", ("/a",), "is_directory"),
        ("rename", ("/a/none", "/a/x"), "missing"),
        ("rename", ("/a/x", "/none/x"), "missing"),
        ("listdir", ("/a/x",), "not_directory"),
        ("listdir", ("/none",), "missing"),
        ("sync_directory", ("/none",), "missing"),
        ("sync", (999,), "missing"),
    ],
)
def test_wrong_calls_fail_as_they_do_on_a_real_disk_and_change_nothing(operation: str, arguments: tuple[object, ...], kind: str) -> None:
    disk = two_directories(STRICT)
    disk.create("/a/x")
    before = disk.digest(), disk.operations
    with pytest.raises(DiskError) as failed:
        getattr(disk, operation)(*arguments)
    assert failed.value.kind == kind
    assert (disk.digest(), disk.operations) == before


def test_every_operation_is_numbered_and_said_after_it_was_carried_out() -> None:
    disk = two_directories(STRICT)
    said: list[Operation] = []
    start = disk.operations

    def listen(operation: Operation) -> None:
        if operation.kind == "write":
            assert disk.content(operation.path) == b"abc"
        said.append(operation)

    disk.on_operation = listen
    number = disk.create("/a/x")
    disk.write(number, 0, b"abc")
    disk.sync(number)
    disk.rename("/a/x", "/b/y")
    disk.sync_directory("/b")
    disk.truncate(number, 1)
    disk.fallocate(number, 9)
    disk.unlink("/b/y")
    assert [(operation.kind, operation.path, operation.octets) for operation in said] == [
        ("create", "/a/x", 0),
        ("write", "/a/x", 3),
        ("sync", "/a/x", 3),
        ("rename", "/b/y", 0),
        ("sync_directory", "/b", 0),
        ("truncate", "/b/y", 1),
        ("fallocate", "/b/y", 9),
        ("unlink", "/b/y", 0),
    ]
    assert [operation.number for operation in said] == list(range(start + 1, start + 9))


def test_a_cut_comes_before_its_operation_and_leaves_the_disk_dead() -> None:
    disk = two_directories(STRICT)
    disk.create("/a/x")
    disk.cut_at(disk.operations + 2)
    disk.write("/a/x", 0, b"in time")
    with pytest.raises(PowerLoss):
        disk.write("/a/x", 0, b"too late")
    for call in (
        lambda: disk.read("/a/x", 0, 1),
        lambda: disk.size("/a/x"),
        lambda: disk.listdir("/a"),
        lambda: disk.create("/a/y"),
        lambda: disk.exists("/a/x"),
        lambda: disk.sync("/a/x"),
        disk.mark,
    ):
        with pytest.raises(PowerLoss):
            call()
    after = disk.copy()
    assert after.read("/a/x", 0, 20) == b"in time"
    assert contents(disk.worst()) == {}


def test_a_sync_covers_what_was_written_before_its_mark() -> None:
    disk = two_directories(STRICT)
    disk.create("/a/x")
    disk.write("/a/x", 0, b"one")
    mark = disk.mark()
    disk.write("/a/x", 3, b"two")
    disk.create("/a/y")
    disk.sync("/a/x", mark)
    disk.sync_directory("/a", mark)
    assert contents(disk.worst()) == {"/a/x": b"one"}
    assert disk.content("/a/x") == b"onetwo"


def test_names_are_listed_in_an_order_that_is_drawn() -> None:
    """F14."""
    orders = set()
    for seed in range(20):
        disk = Disk(choose=Drawn(seed))
        for name in "abcd":
            disk.create(f"/{name}")
        names = disk.listdir("/")
        assert sorted(names) == ["a", "b", "c", "d"]
        orders.add(tuple(names))
    assert len(orders) > 5


def test_nothing_but_a_sync_makes_a_file_durable() -> None:
    """F15."""
    disk = two_directories(STRICT)
    number = disk.create("/a/x")
    disk.write(number, 0, b"x")
    disk.sync_directory("/a")
    disk.close(number)
    assert contents(disk.worst()) == {"/a/x": b""}


# --- space -----------------------------------------------------------------------------------------------------------------------------


def test_space_is_counted_in_blocks_and_comes_back() -> None:
    disk = Disk(capacity=10 * CHUNK)
    disk.create("/x")
    disk.write("/x", 0, b"x")
    assert disk.free_octets == 9 * CHUNK
    disk.fallocate("/x", 4 * CHUNK)
    disk.write("/x", CHUNK, bytes(CHUNK))
    assert disk.free_octets == 6 * CHUNK
    disk.truncate("/x", CHUNK + 1)
    assert disk.free_octets == 8 * CHUNK
    disk.unlink("/x")
    assert disk.free_octets == 10 * CHUNK


def test_a_full_disk_takes_what_fits_and_preallocated_space_stays_usable() -> None:
    """F11, A10."""
    disk = Disk(capacity=10 * CHUNK)
    disk.create("/log")
    disk.fallocate("/log", 2 * CHUNK)
    disk.create("/x")
    with pytest.raises(DiskError, match="no space"):
        disk.write("/x", 0, b"x" * 9 * CHUNK)
    assert disk.content("/x") == b"x" * 8 * CHUNK
    disk.write("/log", 0, b"verdict")
    with pytest.raises(DiskError, match="no space"):
        disk.write("/log", 2 * CHUNK, b"verdict")
    with pytest.raises(DiskError, match="no space"):
        disk.fallocate("/log", 3 * CHUNK)
    disk.unlink("/x")
    disk.fallocate("/log", 3 * CHUNK)
    disk.occupied = 100 * CHUNK
    assert disk.free_octets == 0


def test_an_image_counts_its_own_space() -> None:
    disk = Disk(capacity=10 * CHUNK)
    disk.create("/x")
    disk.write("/x", 0, bytes(4 * CHUNK))
    disk.sync("/x")
    disk.create("/y")
    disk.write("/y", 0, bytes(4 * CHUNK))
    disk.sync_directory("/")
    assert disk.free_octets == 2 * CHUNK
    assert disk.worst().free_octets == 6 * CHUNK
