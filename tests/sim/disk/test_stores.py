"""Segments and Maildirs on the simulated disk: syncs in two halves, and a power loss at every step."""

import subprocess
import sys

import pytest

from sim.disk import LYING, ORDERED, STRICT, Disk, Personality, Planned, PlannedFaults, PowerLoss
from sim.disk.deposits import Deposit, Deposits, delivered
from sim.disk.segments import Segments, make_spool
from smx.effects import Append, CommitDeposit, ListStore, OpenDeposit, OpenSegment, Read, Remove, Scan, Seal, Sync, SyncDirectory, WriteDeposit
from smx.events import Deposited, DepositFailed, DirectorySynced, Listed, ReadFailed, SegmentFile, Synced, SyncFailed
from smx.units import KIB
from tests.sim.disk.streams import Drawn

PERSONALITIES = pytest.mark.parametrize("personality", [STRICT, ORDERED], ids=lambda personality: personality.name)


def spool(personality: Personality = STRICT) -> tuple[Disk, Segments]:
    disk = Disk(personality)
    make_spool(disk, "/spool")
    return disk, Segments(disk, "/spool")


def listed(disk: Disk, store: str) -> list[int]:
    (event,) = Segments(disk, "/spool").apply(ListStore(store, 1))
    assert isinstance(event, Listed)
    return [file.segment for file in event.files]


@PERSONALITIES
def test_a_sync_covers_exactly_what_was_appended_before_it_began(personality: Personality) -> None:
    disk, segments = spool(personality)
    segments.apply(OpenSegment("ibdb", 1, 64))
    segments.apply(SyncDirectory("ibdb", 1))
    segments.apply(Append("ibdb", 1, 0, b"one"))
    ticket = segments.begin_sync(Sync("ibdb", (1,), 2))
    segments.apply(Append("ibdb", 1, 3, b"two"))
    assert disk.worst().content("/spool/ibdb/0000000000000001.ibdb").strip(b"\0") == b""
    assert segments.end_sync(ticket) == Synced("ibdb", 2)
    assert disk.worst().content("/spool/ibdb/0000000000000001.ibdb").strip(b"\0") == b"one"


def test_a_directory_sync_covers_exactly_the_names_that_were_there_when_it_began() -> None:
    disk, segments = spool()
    segments.apply(OpenSegment("cdb", 1, 64))
    ticket = segments.begin_sync(SyncDirectory("cdb", 1))
    segments.apply(OpenSegment("cdb", 2, 64))
    assert segments.end_sync(ticket) == DirectorySynced("cdb", 1)
    assert listed(disk.worst(), "cdb") == [1]


def test_a_segment_sealed_or_removed_while_its_sync_is_under_way_does_not_hinder_it() -> None:
    disk, segments = spool()
    segments.apply(OpenSegment("cdb", 1, 64))
    segments.apply(OpenSegment("cdb", 2, 64))
    segments.apply(SyncDirectory("cdb", 1))
    segments.apply(Append("cdb", 1, 0, b"content"))
    ticket = segments.begin_sync(Sync("cdb", (1, 2), 2))
    segments.apply(Seal("cdb", 1, 7))
    segments.apply(Remove("cdb", 2))
    assert segments.end_sync(ticket) == Synced("cdb", 2)
    assert disk.worst().content("/spool/cdb/0000000000000001.cdb").strip(b"\0") == b"content"
    (event,) = segments.apply(ListStore("cdb", 1))
    assert event == Listed("cdb", 1, (SegmentFile(1, 7),))


@pytest.mark.parametrize("segment", [1, 0xDEADBEEF, (1 << 56) - 1])
def test_a_new_process_finds_the_segments_of_the_old_one_and_has_none_open(segment: int) -> None:
    disk, segments = spool()
    segments.apply(OpenSegment("cdb", segment, 64))
    again = Segments(disk, "/spool")
    assert listed(disk, "cdb") == [segment]
    with pytest.raises(AssertionError, match="not open"):
        again.apply(Append("cdb", segment, 0, b"x"))


def test_a_failed_sync_and_a_failed_reading_are_said() -> None:
    """F7, F9."""
    disk, segments = spool()
    segments.apply(OpenSegment("ibdb", 1, 64))
    disk.faults = PlannedFaults([Planned("sync", "/spool/ibdb/", "fail_clean"), Planned("read", "/spool/ibdb", "io", times=2)])
    assert segments.apply(Sync("ibdb", (1,), 5)) == [SyncFailed("ibdb", 5, "input/output error")]
    assert segments.apply(Scan("ibdb", 6, 1, 0, 9)) == [ReadFailed(6, False, "input/output error")]
    assert segments.apply(Read("ibdb", 7, 1, 0, 9)) == [ReadFailed(7, False, "input/output error")]


# --- Maildirs ----------------------------------------------------------------------------------------------------------------

MESSAGE = b"Subject: x\r\n\r\n" + b"text\r\n" * 1000


def deposit(disk: Disk, *names: str) -> list[int]:
    """Deposit a message under each name, as one group; the numbers of those that were said to be durable."""
    deposits = Deposits(disk)
    group: list[Deposit] = []
    for number, name in enumerate(names):
        deposits.apply(OpenDeposit(number, "/m/bob", name))
        deposits.apply(WriteDeposit(number, MESSAGE[:100]))
        deposits.apply(WriteDeposit(number, MESSAGE[100:]))
        begun = deposits.begin_commit(CommitDeposit(number))
        assert isinstance(begun, Deposit)
        group.append(begun)
    return [event.deposit for event in deposits.end_commit(group) if isinstance(event, Deposited)]


@PERSONALITIES
def test_a_power_loss_at_every_step_leaves_a_message_whole_or_not_at_all(personality: Personality) -> None:
    done: list[int] = []
    cuts = 0
    while not done:
        cuts += 1
        disk = Disk(personality)
        disk.mkdir("/m")
        disk.settle()
        disk.cut_at(disk.operations + cuts)
        try:
            done = deposit(disk, "m1")
        except PowerLoss:
            done = []
        images = [*disk.crash_images(torn=True), *(disk.survivor(Drawn(seed)) for seed in range(30))]
        for image in images:
            assert delivered(image, "/m/bob") in ([("m1", MESSAGE)], [] if not done else [("m1", MESSAGE)])
    assert cuts == 14  # four directories, create, two writes, sync, three syncs of what was made and is above it, rename, sync: and then none is cut
    assert len(images) > 1


def test_a_group_shares_the_sync_of_its_directory() -> None:
    disk = Disk()
    deposit(disk, "warm")
    said: list[str] = []
    disk.on_operation = lambda operation: said.append(operation.kind)
    assert deposit(disk, "a", "b", "c") == [0, 1, 2]
    assert (said.count("sync"), said.count("rename"), said.count("sync_directory")) == (3, 3, 1 + 3)  # once a process: bob, m and the root
    deposits = Deposits(disk)
    deposits.apply(OpenDeposit(1, "/m/bob", "d"))
    begun = deposits.begin_commit(CommitDeposit(1))
    assert isinstance(begun, Deposit)
    assert deposits.syncs([begun]) == 2 + 3
    assert deposits.end_commit([begun]) == [Deposited(1)]
    assert deposits.syncs([begun]) == 2


@pytest.mark.parametrize(("operation", "path"), [("sync", "/m/bob/tmp/m1"), ("sync", "/m/bob/new"), ("close", "/m/bob/tmp/m1"), ("rename", "/m/bob/new")])
def test_a_step_that_fails_leaves_nothing_in_the_maildir(operation: str, path: str) -> None:
    """F7, F11."""
    disk = Disk()
    deposit(disk, "warm")
    disk.faults = PlannedFaults([Planned(operation, path, "no_space")])
    deposits = Deposits(disk)
    deposits.apply(OpenDeposit(1, "/m/bob", "m1"))
    deposits.apply(WriteDeposit(1, MESSAGE))
    (said,) = deposits.apply(CommitDeposit(1))
    assert isinstance(said, DepositFailed)
    assert said.no_space
    assert [path for path, _ in disk.walk("/m/bob")] == ["/m/bob/new/warm"]


def test_a_lying_disk_loses_a_message_that_was_said_to_be_durable() -> None:
    """F13."""
    disk = Disk(LYING)
    disk.mkdir("/m")
    disk.settle()
    assert deposit(disk, "m1") == [0]
    assert delivered(disk, "/m/bob") == [("m1", MESSAGE)]
    assert delivered(disk.worst(), "/m/bob") == []


# --- determinism ------------------------------------------------------------------------------------------------------------------

LIFE = """
from tests.sim.disk.streams import Drawn
from tests.sim.disk.test_stores import busy_life
print(" ".join(busy_life(seed).hex() for seed in range(5)))
"""


def busy_life(seed: int) -> bytes:
    """Segments, Maildirs and a database under drawn faults, through some power losses; the digest at the end."""
    from sim.disk import DrawnFaults
    from sim.disk.database import Database
    from smx.defedb.sqlite import DefedbError
    from smx.effects import Row, Store

    stream = Drawn(seed)
    disk = Disk(choose=stream)
    make_spool(disk, "/spool")
    for life in range(3):
        disk.faults = DrawnFaults(stream, {"F7": 10, "F9": 10, "F10": 10, "F11": 10})
        segments, deposits, database = Segments(disk, "/spool"), Deposits(disk), Database(disk, "/spool", reserve_octets=0)
        segments.apply(OpenSegment("cdb", life, 8 * KIB))
        try:
            for number in range(10):
                segments.apply(Append("cdb", life, 100 * number, b"%100d" % number))
                segments.apply(Sync("cdb", (life,), number))
                deposits.apply(OpenDeposit(number, "/m/bob", f"{life}.{number}"))
                deposits.apply(WriteDeposit(number, b"%100d" % number))
                deposits.apply(CommitDeposit(number))
                database.apply(Store(number, (Row(number, 0, 1, life, 0, "example.net", 1, b"e", b"r"),)))
        except (DefedbError, AssertionError):  # the database cannot be opened; the segment could not be opened
            pass
        database.abandon()
        disk = disk.survivor(stream)
    return disk.digest(sizes=True)


def test_the_same_seed_leaves_the_same_disk_under_any_hash_seed() -> None:
    def run(hash_seed: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", LIFE], env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": "."}, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    one = run("1")
    assert one == run("2")
    assert len(set(one.split())) == 5
