"""How fast the disk is, printed: it bounds how many crashes can be looked at (make bench)."""

from collections.abc import Callable
from time import perf_counter

import pytest

from sim.disk import Disk
from sim.disk.database import Database
from sim.disk.segments import Segments, make_spool
from smx.effects import Append, Census, OpenSegment, Row, Store, Sync, SyncDirectory
from smx.units import KIB, SECOND

pytestmark = pytest.mark.bench


def rate(name: str, work: Callable[[], int], least: int) -> None:
    """The best of three runs; `work` says how many things it did."""
    best = 0.0
    for _ in range(3):
        start = perf_counter()
        count = work()
        best = max(best, count / (perf_counter() - start))
    print(f"\n{name}: {best:,.0f} a second")
    assert best > least / 10, "far from what was measured once; a slow machine is allowed for"


def spool_with_mail() -> tuple[Disk, Segments]:
    """Some segments, a DEFEDB with rows, and three groups under way in the log."""
    disk = Disk()
    make_spool(disk, "/spool")
    segments = Segments(disk, "/spool")
    for store, numbers in (("cdb", range(1, 5)), ("ibdb", range(1, 3))):
        for number in numbers:
            segments.apply(OpenSegment(store, number, 64 * KIB))
            segments.apply(Append(store, number, 0, bytes(range(256)) * 100))
        segments.apply(Sync(store, tuple(numbers), 1))
        segments.apply(SyncDirectory(store, 2))
    database = Database(disk, "/spool", reserve_octets=0)
    database.apply(Store(1, tuple(Row(number, 0, 1, SECOND, 0, "example.net", 1, bytes(200), bytes(100)) for number in range(20))))
    database.abandon()
    return disk, segments


def test_operations() -> None:
    _, segments = spool_with_mail()

    def work() -> int:
        for token in range(5000):
            segments.apply(Append("ibdb", 2, 20 * token, b"x" * 150))
            segments.apply(Sync("ibdb", (2,), token))
        return 5000

    rate("appends of 150 octets, each synced", work, 60_000)


def test_crash_images_of_the_log_alone() -> None:
    disk, segments = spool_with_mail()
    seen: set[bytes] = set()
    offset = 30_000

    def work() -> int:
        nonlocal offset
        images = 0
        for _ in range(300):
            for _ in range(3):
                segments.apply(Append("ibdb", 2, offset % 60_000, b"%150d" % offset))
                offset += 150
            for image in disk.crash_images(torn=True):
                seen.add(image.digest())
                images += 1
            segments.apply(Sync("ibdb", (2,), 1))
        return images

    rate("crash images with digest, three appends unsynced", work, 40_000)


def test_crash_images_with_the_real_sqlite_opened_on_each() -> None:
    disk, _ = spool_with_mail()

    def work() -> int:
        for _ in range(300):
            database = Database(disk.worst(), "/spool", reserve_octets=0)
            database.apply(Census(1))
            database.abandon()
        return 300

    rate("crash images with SQLite recovered, opened and asked", work, 4_000)


def test_commits_of_sqlite() -> None:
    disk, _ = spool_with_mail()
    database = Database(disk, "/spool", reserve_octets=0)

    def work() -> int:
        for number in range(500):
            database.apply(Store(1, (Row(number, 0, 1, SECOND, 0, "example.net", 1, bytes(200), bytes(100)),)))
        return 500

    rate("commits of one row", work, 6_000)
    database.abandon()
