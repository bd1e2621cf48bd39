"""SQLite's settings as known-good and known-bad: what keeps every acknowledged commit is never caught, what does not is caught.

So the disk is not too kind and not too cruel, and the checker sees a lost commit.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import apsw
import pytest

from sim.disk import LYING, ORDERED, STRICT, Disk, Personality, PowerLoss
from sim.disk.vfs import SimulatedVfs, seed_random
from tests.sim.disk.streams import Drawn

COMMITS = 4
SURVIVORS = 6  # drawn ones, at each cut, beside the exhaustive ones
FOLDER = "/db"
FILE = "/db/test.sqlite"


@dataclass(frozen=True)
class Setting:
    journal: str
    synchronous: str
    checkpoint_pages: int = 1000

    def __str__(self) -> str:
        return f"{self.journal}+{self.synchronous}{'' if self.checkpoint_pages == 1000 else ' with checkpoints'}"


WAL_FULL = Setting("WAL", "FULL")
WAL_CHECKPOINTS = Setting("WAL", "FULL", checkpoint_pages=2)
WAL_NORMAL = Setting("WAL", "NORMAL")
DELETE_EXTRA = Setting("DELETE", "EXTRA")
DELETE_FULL = Setting("DELETE", "FULL")
WAL_OFF = Setting("WAL", "OFF")
DELETE_OFF = Setting("DELETE", "OFF")


class Connection:
    """An open database with these settings."""

    def __init__(self, disk: Disk, setting: Setting) -> None:
        self._vfs = SimulatedVfs(disk)
        seed_random(disk.operations)
        self._connection = apsw.Connection(FILE, vfs=self._vfs.name)
        self.execute = self._connection.cursor().execute
        if setting.journal == "WAL":
            self.execute("PRAGMA locking_mode = EXCLUSIVE")  # with it a journal is not removed, but overwritten and synced
        self.execute(f"PRAGMA journal_mode = {setting.journal}")
        self.execute(f"PRAGMA synchronous = {setting.synchronous}")
        self.execute(f"PRAGMA wal_autocheckpoint = {setting.checkpoint_pages}")

    def abandon(self) -> None:
        self._vfs.dead = True
        try:
            self._connection.close(True)
        except apsw.Error:
            pass
        finally:
            seed_random(None)


def prepared(personality: Personality, setting: Setting) -> Disk:
    """A database with an empty table, all of it durable."""
    disk = Disk(personality)
    disk.make_directories(FOLDER)
    connection = Connection(disk, setting)
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, filling BLOB)")
    connection.abandon()
    disk.settle()
    return disk


def commit(disk: Disk, setting: Setting) -> int:
    """How many commits were acknowledged before the power failed."""
    acknowledged = 0
    connection = None
    try:
        connection = Connection(disk, setting)
        for number in range(1, COMMITS + 1):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO t VALUES (?, ?)", (number, bytes([number]) * 2500))
            connection.execute("COMMIT")
            acknowledged += 1
    except PowerLoss:
        pass
    finally:
        if connection is not None:
            connection.abandon()
    return acknowledged


def survivors(disk: Disk, cut: int, *, remains: bool) -> Iterator[Disk]:
    if not remains:
        disk.removed = ()
    yield from disk.crash_images(max_subset=3, torn=True, sizes=True)
    for seed in range(SURVIVORS):
        yield disk.survivor(Drawn(1000 * cut + seed))


def trouble(disk: Disk, setting: Setting, acknowledged: int) -> str:
    """What is wrong with the database after the power loss; nothing: all is well."""
    connection = Connection(disk, setting)
    try:
        verdict = connection.execute("PRAGMA integrity_check").fetchall()
        rows = [number for (number,) in connection.execute("SELECT n FROM t ORDER BY n")]
        filled = connection.execute("SELECT count(*) FROM t WHERE filling != CAST(zeroblob(0) AS BLOB) AND length(filling) != 2500").fetchall()
    except apsw.Error as error:
        return f"damaged: {error}"
    finally:
        connection.abandon()
    if verdict != [("ok",)] or filled != [(0,)]:
        return f"damaged: {verdict}"
    if rows not in (list(range(1, acknowledged + 1)), list(range(1, acknowledged + 2))):
        return f"lost: {acknowledged} were acknowledged, {rows} are there"
    return ""


@dataclass
class Verdict:
    cuts: int = 0
    images: int = 0
    caught: str = ""


def search(personality: Personality, setting: Setting, *, remains: bool = True) -> Verdict:
    """Cuts at every operation until something is caught. `remains`: octets of removed files may show up where data is missing."""
    verdict = Verdict()
    ground = prepared(personality, setting)
    seen: set[tuple[bytes, int]] = set()
    while True:
        verdict.cuts += 1
        disk = ground.copy()
        disk.cut_at(disk.operations + verdict.cuts)
        acknowledged = commit(disk, setting)
        for image in survivors(disk, verdict.cuts, remains=remains):
            key = image.digest(sizes=True), acknowledged
            if key not in seen:
                seen.add(key)
                verdict.images += 1
                verdict.caught = trouble(image, setting, acknowledged)
                if verdict.caught:
                    return verdict
        if not disk.off:
            return verdict


@pytest.mark.parametrize("personality", [STRICT, ORDERED], ids=lambda personality: personality.name)
@pytest.mark.parametrize("setting", [WAL_FULL, WAL_CHECKPOINTS, DELETE_EXTRA], ids=str)
def test_good_settings_lose_nothing_wherever_the_power_fails(setting: Setting, personality: Personality) -> None:
    verdict = search(personality, setting, remains=setting.journal == "WAL")
    assert verdict.caught == ""
    assert verdict.cuts > 20
    assert verdict.images > 100


def test_a_journal_is_fooled_by_what_an_older_one_left_on_the_device_and_a_wal_is_not() -> None:
    """F4: the header of a removed journal is valid; the frames of an older WAL have another salt."""
    assert search(STRICT, DELETE_EXTRA).caught


@pytest.mark.parametrize(
    ("setting", "expected"),
    [(WAL_NORMAL, "lost"), (DELETE_FULL, "lost"), (WAL_OFF, ""), (DELETE_OFF, "")],
    ids=str,
)
@pytest.mark.parametrize("personality", [STRICT, ORDERED], ids=lambda personality: personality.name)
def test_bad_settings_are_caught(setting: Setting, expected: str, personality: Personality) -> None:
    """DELETE without EXTRA: the removal of the journal is not durable, so it comes back and undoes the commit (F6)."""
    verdict = search(personality, setting)
    assert verdict.caught, f"nothing found in {verdict.images} images"
    assert verdict.caught.startswith(expected)


def test_a_lying_disk_is_caught() -> None:
    """F13: with the best of settings."""
    assert search(LYING, WAL_FULL).caught
