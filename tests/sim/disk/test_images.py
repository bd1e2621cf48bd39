"""What a power loss may leave, fault by fault and personality by personality."""

from collections.abc import Callable

import pytest

from sim.disk import LYING, ORDERED, STRICT, Disk, Personality
from sim.disk.images import SECTOR, subsets
from sim.disk.octets import CHUNK
from tests.sim.disk.streams import Calm, Drawn, Fixed

EVERYTHING, NOTHING, SUBSET, PREFIX = range(4)  # the first choice of a survivor
SEEDS = range(400)


def contents(disk: Disk) -> dict[str, bytes]:
    return {path: disk.content(number) for path, number in disk.walk()}


def disk_with(content: bytes, personality: Personality = STRICT) -> Disk:
    disk = Disk(personality)
    disk.create("/x")
    disk.write("/x", 0, content)
    disk.settle()
    return disk


def left(disk: Disk, name: str = "/x") -> set[bytes | None]:
    """What many survivors have of a file."""
    return {contents(disk.survivor(Drawn(seed))).get(name) for seed in SEEDS}


def images(disk: Disk, *, torn: bool = False, sizes: bool = False) -> list[dict[str, bytes]]:
    return [contents(image) for image in disk.crash_images(torn=torn, sizes=sizes)]


def test_the_calm_choice_is_that_everything_had_reached_the_disk() -> None:
    disk = disk_with(b"aaaa")
    disk.write("/x", 1, b"b")
    disk.create("/y")
    assert contents(disk.survivor(Calm())) == contents(disk)


def test_all_that_is_unsynced_may_be_gone() -> None:
    """F1."""
    disk = disk_with(b"aaaa")
    disk.write("/x", 0, b"b")
    disk.unlink("/x")
    disk.create("/y")
    assert contents(disk.survivor(Fixed(NOTHING))) == contents(disk.worst()) == {"/x": b"aaaa"}


@pytest.mark.parametrize("personality", [STRICT, ORDERED, LYING])
def test_any_subset_of_writes_within_a_file_may_survive(personality: Personality) -> None:
    """F2: also out of order."""
    disk = disk_with(b"....", personality)
    for offset in range(3):
        disk.write("/x", offset, b"ABC"[offset : offset + 1])
    expected = {bytes(a + b + c) + b"." for a in (b".", b"A") for b in (b".", b"B") for c in (b".", b"C")}
    assert {image["/x"] for image in images(disk)} == expected
    assert left(disk) == expected


def test_writes_of_different_files_survive_independently() -> None:
    """F2."""
    disk = disk_with(b".")
    disk.create("/y")
    disk.sync_directory("/")
    disk.write("/x", 0, b"X")
    disk.write("/y", 0, b"Y")
    assert {(image["/x"], image["/y"]) for image in images(disk)} == {(b".", b""), (b"X", b""), (b".", b"Y"), (b"X", b"Y")}


def test_a_write_may_be_torn_at_any_octet_and_at_sectors() -> None:
    """F3."""
    size = 3 * SECTOR + 10
    disk = disk_with(bytes(size))
    disk.write("/x", 0, b"x" * size)
    lengths = {len(content.rstrip(b"\0")) for content in left(disk) if content is not None and not content.startswith(b"\0")}
    assert {0, size} <= lengths | {0}
    assert len(lengths) > 10, "cut at octets"
    assert {SECTOR, 2 * SECTOR, 3 * SECTOR} <= lengths, "cut at sectors"
    assert any(content is not None and content.startswith(bytes(SECTOR)) and content.endswith(b"x") for content in left(disk)), "the beginning is missing"
    torn = {image["/x"] for image in images(disk, torn=True)} - {image["/x"] for image in images(disk)}
    assert {len(content.rstrip(b"\0")) for content in torn} == {1, size // 2, size - 1, size}


def test_a_size_may_be_there_without_its_data_unless_names_and_sizes_are_ordered() -> None:
    """F4: zeros, or what a removed file left behind."""
    for personality, possible in ((STRICT, True), (ORDERED, False)):
        disk = disk_with(b"", personality)
        disk.create("/old")
        disk.write("/old", 0, b"secret")
        disk.settle()
        disk.unlink("/old")
        disk.write("/x", 0, b"newest")
        found = left(disk)
        assert (bytes(6) in found) == possible
        assert (b"secret" in found) == possible
        assert {b"", b"newest"} <= found


def test_preallocated_octets_are_zeros_whatever_was_removed_before() -> None:
    disk = disk_with(b"secret")
    disk.unlink("/x")
    disk.create("/x")
    disk.fallocate("/x", 6)
    disk.sync("/x")
    disk.sync_directory("/")
    disk.write("/x", 0, b"abc")
    assert not any(b"secret" in (content or b"") for content in left(disk))


def test_what_extends_a_file_survives_in_order_where_sizes_are_ordered() -> None:
    disk = disk_with(b"", ORDERED)
    for count, piece in enumerate((b"A", b"B", b"C")):
        disk.write("/x", count, piece)
    assert {image["/x"] for image in images(disk)} == {b"", b"A", b"AB", b"ABC"} == left(disk)


@pytest.mark.parametrize(("personality", "expected"), [(STRICT, {"", "a", "b", "ab"}), (ORDERED, {"", "a", "ab"})])
def test_names_become_durable_in_any_order_or_in_order(personality: Personality, expected: set[str]) -> None:
    """F5."""
    disk = Disk(personality)
    disk.create("/a")
    disk.create("/b")
    assert {"".join(image.listdir("/")) for image in disk.crash_images()} == expected
    assert {"".join(disk.survivor(Drawn(seed)).listdir("/")) for seed in SEEDS} == expected


def test_a_removed_file_may_come_back_until_its_directory_is_synced() -> None:
    """F6."""
    disk = disk_with(b"x")
    disk.unlink("/x")
    told: list[str] = []
    disk.on_fault = lambda fault, _text: told.append(fault)
    assert left(disk) == {None, b"x"}
    assert set(told) == {"F1", "F2", "F6"}
    disk.sync_directory("/")
    assert left(disk) == {None}


def test_a_directory_that_is_not_durable_takes_what_lies_in_it_along() -> None:
    disk = Disk()
    disk.mkdir("/m")
    disk.create("/m/x")
    disk.sync("/m/x")
    disk.sync_directory("/m")
    assert contents(disk.worst()) == {}
    disk.sync_directory("/")
    assert contents(disk.worst()) == {"/m/x": b""}


@pytest.mark.parametrize(("personality", "both"), [(STRICT, True), (ORDERED, False)])
def test_a_rename_within_a_directory_is_atomic_and_between_directories_never_loses_the_file(personality: Personality, both: bool) -> None:
    disk = disk_with(b"new", personality)
    disk.create("/y")
    disk.write("/y", 0, b"old")
    disk.mkdir("/d")
    disk.settle()
    disk.rename("/x", "/y")
    assert images(disk) == [{"/x": b"new", "/y": b"old"}, {"/y": b"new"}]
    disk.sync_directory("/")
    disk.rename("/y", "/d/y")
    expected = [{"/y": b"new"}, {"/d/y": b"new"}, *([{"/d/y": b"new", "/y": b"new"}] if both else [])]
    assert sorted(images(disk), key=str) == sorted(expected, key=str)


def test_the_ordered_one_takes_the_data_along_when_a_file_is_renamed_over_another() -> None:
    """The custom of writing a file anew without a sync: safe here, and not under STRICT."""
    for personality, safe in ((STRICT, False), (ORDERED, True)):
        disk = disk_with(b"old", personality)
        disk.create("/new")
        disk.write("/new", 0, b"new")
        disk.rename("/new", "/x")
        found = {image["/x"] for image in images(disk)} | left(disk)
        assert (found == {b"old", b"new"}) == safe
        assert {b"old", b"new"} <= found


def test_the_ordered_one_makes_all_names_durable_by_any_sync() -> None:
    disk = disk_with(b"x", ORDERED)
    disk.create("/y")
    disk.sync("/x")
    assert contents(disk.worst()) == {"/x": b"x", "/y": b""}


def test_the_lying_one_says_that_it_synced_and_may_lose_all() -> None:
    """F13."""
    disk = disk_with(b"old", LYING)
    disk.write("/x", 0, b"new")
    disk.create("/y")
    disk.sync("/x")
    disk.sync_directory("/")
    assert contents(disk.worst()) == {"/x": b"old"}
    assert contents(disk) == {"/x": b"new", "/y": b""}


def test_sizes_are_varied_only_when_asked() -> None:
    disk = disk_with(b"abc" + bytes(9))
    disk.truncate("/x", 3)
    assert images(disk) == [{"/x": b"abc"}]
    assert {image["/x"] for image in images(disk, sizes=True)} == {b"abc", b"abc" + bytes(9)}
    assert left(disk) == {b"abc", b"abc" + bytes(9)}
    disk.truncate("/x", 2)  # this one takes an octet away, so it is always varied
    assert {image["/x"][:3] for image in images(disk)} == {b"ab", b"abc"}


def test_of_many_parts_prefixes_all_and_all_but_one_are_taken() -> None:
    assert list(subsets("ab", 2)) == [[], ["a"], ["b"], ["a", "b"]]
    assert list(subsets("abc", 2)) == [["b", "c"], ["a", "c"], ["a", "b"], [], ["a"], ["a", "b"], ["a", "b", "c"]]


def test_an_image_goes_its_own_way() -> None:
    disk = disk_with(b"a" * 2 * CHUNK)
    disk.write("/x", 0, b"b")
    one, other = disk.worst(), disk.survivor(Calm())
    before = disk.digest(), other.digest()
    one.write("/x", 0, b"c")
    one.create("/y")
    one.settle()
    assert (disk.digest(), other.digest()) == before
    assert contents(one)["/x"].startswith(b"ca")


@pytest.mark.parametrize("how", [Disk.worst, Disk.copy, lambda disk: disk.survivor(Calm())], ids=["worst", "copy", "survivor"])
def test_images_of_images_can_be_taken(how: Callable[[Disk], Disk]) -> None:
    """A crash within recovery (F18)."""
    disk = disk_with(b"one")
    image = how(disk)
    image.write("/x", 0, b"two")
    again = how(image)
    assert contents(again)["/x"] in (b"one", b"two")
    image.sync("/x")
    assert contents(image.worst()) == {"/x": b"two"}


def test_the_same_choices_leave_the_same_disk() -> None:
    def run(seed: int) -> list[bytes]:
        disk = disk_with(b"a" * 5000)
        for count in range(20):
            disk.write("/x", count * 300, b"b" * 200)
            disk.create(f"/{count}")
        return [disk.survivor(Drawn(seed)).digest(sizes=True), disk.digest(sizes=True)]

    assert run(3) == run(3)
    assert len({run(seed)[0] for seed in range(30)}) > 20
