"""What goes wrong on a disk that runs: F7 to F11, F13, F16."""

from collections.abc import Callable

import pytest

from sim.disk import Disk, DiskError, DrawnFaults, Faults, Planned, PlannedFaults
from sim.disk.faults import OUTCOMES
from sim.disk.octets import CHUNK
from tests.sim.disk.streams import Calm, Drawn, Fixed


def contents(disk: Disk) -> dict[str, bytes]:
    return {path: disk.content(number) for path, number in disk.walk()}


def disk_with(content: bytes, *plan: Planned) -> Disk:
    disk = Disk()
    disk.create("/x")
    disk.write("/x", 0, content)
    disk.settle()
    disk.faults = PlannedFaults(plan)
    return disk


def told(disk: Disk) -> list[str]:
    ids: list[str] = []
    disk.on_fault = lambda fault, _text: ids.append(fault)
    return ids


def test_a_sync_that_failed_once_succeeds_later_without_what_it_lost() -> None:
    """F7."""
    disk = disk_with(b"old", Planned("sync", "/x", "fail_clean"))
    ids = told(disk)
    disk.write("/x", 0, b"new")
    with pytest.raises(DiskError, match="input/output error"):
        disk.sync("/x")
    assert disk.read("/x", 0, 3) == b"new", "the page cache has it"
    disk.sync("/x")
    assert contents(disk.worst()) == {"/x": b"old"}
    assert {contents(image)["/x"] for image in disk.crash_images()} == {b"old", b"new"}, "the page may have been written all the same"
    assert ids == ["F7"]


def test_a_page_that_is_written_again_takes_along_what_a_failed_sync_left_in_it() -> None:
    """F7: clean pages stay in the cache."""
    disk = disk_with(bytes(2 * CHUNK), Planned("sync", "/x", "fail_clean"))
    disk.write("/x", CHUNK - 1, b"ab")
    with pytest.raises(DiskError):
        disk.sync("/x")
    disk.write("/x", 0, b"c")
    disk.sync("/x")
    worst = contents(disk.worst())["/x"]
    assert (worst[0:1], worst[CHUNK - 1 : CHUNK + 1]) == (b"c", b"a\0")
    assert {contents(image)["/x"][CHUNK - 1 : CHUNK + 1] for image in disk.crash_images()} == {b"a\0", b"ab"}


def test_what_a_failed_sync_left_and_a_later_one_cut_off_does_not_come_back() -> None:
    disk = disk_with(b"", Planned("sync", "/x", "fail_clean"))
    disk.write("/x", 0, b"x" * 2 * CHUNK)
    with pytest.raises(DiskError):
        disk.sync("/x")
    disk.truncate("/x", CHUNK)
    disk.sync("/x")
    assert {len(contents(image)["/x"]) for image in disk.crash_images(sizes=True)} == {0, CHUNK}
    disk.truncate("/x", 0)
    disk.sync("/x")
    assert {contents(image)["/x"] for image in disk.crash_images(sizes=True)} == {b""}


def test_a_failed_sync_may_bring_the_old_content_back_at_once() -> None:
    """F8."""
    disk = disk_with(b"old", Planned("sync", "/x", "fail_revert"))
    ids = told(disk)
    disk.write("/x", 0, b"new")
    mark = disk.mark()
    disk.write("/x", 3, b"!")
    with pytest.raises(DiskError):
        disk.sync("/x", mark)
    assert disk.read("/x", 0, 4) == b"old!"
    disk.sync("/x")
    assert contents(disk.worst()) == {"/x": b"old!"}
    assert ids == ["F8"]


def test_names_of_a_failed_directory_sync_are_never_sure() -> None:
    """F7."""
    disk = disk_with(b"x", Planned("sync", "/", "fail_clean"))
    disk.create("/y")
    with pytest.raises(DiskError):
        disk.sync_directory("/")
    disk.sync_directory("/")
    assert [sorted(contents(image)) for image in disk.crash_images()] == [["/x"], ["/x", "/y"]]
    disk.unlink("/y")
    disk.create("/y")
    disk.sync_directory("/")
    assert [sorted(contents(image)) for image in disk.crash_images()] == [["/x", "/y"]]


def test_a_reading_may_fail() -> None:
    """F9."""
    disk = disk_with(b"abc", Planned("read", "/x", "io", nth=2))
    assert disk.read("/x", 0, 3) == b"abc"
    with pytest.raises(DiskError, match="input/output error"):
        disk.read("/x", 0, 3)
    assert disk.read("/x", 0, 3) == b"abc"


def test_corruption_is_silent_and_durable() -> None:
    """F10."""
    disk = disk_with(b"abcdef")
    ids = told(disk)
    disk.flip("/x", 1, 0x03)
    disk.misdirect("/x", 0, 4, 2)
    assert disk.read("/x", 0, 6) == b"aacdaa"
    assert contents(disk.worst()) == {"/x": b"aacdaa"}
    assert ids == ["F10", "F10"]


@pytest.mark.parametrize(("answer", "durable"), [("lost", b"." * 2 * CHUNK), ("misdirect", b"." * CHUNK + b"abc" + b"." * (CHUNK - 3))])
def test_a_write_may_be_lost_or_land_elsewhere_and_nobody_sees_it_before_the_next_start(answer: str, durable: bytes) -> None:
    """F10."""
    disk = disk_with(b"." * 2 * CHUNK, Planned("write", "/x", answer))
    disk.write("/x", 0, b"abc")
    disk.sync("/x")
    assert disk.read("/x", 0, 3) == b"abc"
    assert contents(disk.worst()) == {"/x": durable}


@pytest.mark.parametrize("operation", ["write", "sync", "close", "fallocate", "create"])
def test_a_full_disk_can_show_at_every_call(operation: str) -> None:
    """F11."""
    disk = disk_with(b"abc", Planned(operation, "/", "no_space"))
    ids = told(disk)
    calls: dict[str, Callable[[], object]] = {
        "write": lambda: disk.write("/x", 0, b"x"),
        "sync": lambda: disk.sync("/x"),
        "close": lambda: disk.close("/x"),
        "fallocate": lambda: disk.fallocate("/x", 9),
        "create": lambda: disk.create("/y"),
    }
    with pytest.raises(DiskError) as failed:
        calls[operation]()
    assert failed.value.no_space
    assert ids == ["F11"]
    calls[operation]()


def test_a_sync_may_be_ignored() -> None:
    """F13."""
    disk = disk_with(b"old", Planned("sync", "/x", "ignore"))
    ids = told(disk)
    disk.write("/x", 0, b"new")
    disk.sync("/x")
    assert contents(disk.worst()) == {"/x": b"old"}
    disk.sync("/x")
    assert contents(disk.worst()) == {"/x": b"new"}
    assert ids == ["F13"]


def test_a_spool_may_be_restored_from_an_old_backup() -> None:
    """F16."""
    disk = Disk()
    ids = told(disk)
    disk.mkdir("/spool")
    disk.create("/spool/old")
    disk.write("/spool/old", 0, b"then")
    disk.create("/other")
    backup = disk.copy()
    disk.write("/spool/old", 0, b"NOW!")
    disk.create("/spool/new")
    disk.write("/other", 0, b"kept")
    disk.restore(backup, "/spool")
    assert contents(disk) == contents(disk.worst()) == {"/spool/old": b"then", "/other": b"kept"}
    assert ids == ["F16"]


ASKED: dict[str, Callable[[Faults], str | None]] = {
    "write": lambda faults: faults.on_write("/x", 0, 1),
    "read": lambda faults: faults.on_read("/x", 0, 1),
    "sync": lambda faults: faults.on_sync("/x"),
    "close": lambda faults: faults.on_close("/x"),
    "name": lambda faults: faults.on_name("create", "/x"),
}


def test_drawn_faults_come_at_their_rates_and_never_from_calm_choices() -> None:
    rates = {"F7": 100, "F8": 50, "F9": 10, "F10": 20, "F11": 30, "F13": 40}
    for outcome in OUTCOMES:
        faults = DrawnFaults(Drawn(1), rates)
        calm = DrawnFaults(Calm(), dict.fromkeys(rates, 100))
        asked = ASKED[outcome.operation]
        answers = [asked(faults) for _ in range(4000)]
        assert 0.5 < answers.count(outcome.answer) / (4 * rates[outcome.fault]) < 1.5
        assert {asked(calm) for _ in range(10)} == {None}


def test_drawn_faults_keep_to_their_paths_and_never_hinder_a_removal() -> None:
    faults = DrawnFaults(Fixed(*[999] * 9), {"F11": 500}, below="/spool")
    assert faults.on_write("/m/bob", 0, 1) is None
    assert faults.on_name("unlink", "/spool/x") is None
    assert faults.on_write("/spool/x", 0, 1) == "no_space"
