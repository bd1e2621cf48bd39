"""DEFEDB on the simulated disk: the real SQLite, repeatable, cut anywhere, full, failing."""

import pytest

from sim.disk import Disk, DrawnFaults, Faults, Operation, Planned, PlannedFaults, PowerLoss
from sim.disk.database import Database
from sim.disk.segments import make_spool
from smx.defedb.sqlite import DefedbError
from smx.effects import Census, Fetch, Find, Row, Store
from smx.events import Counted, Fetched, Found, Stored
from smx.units import KIB, MIB
from tests.sim.disk.streams import Drawn

FILE = "/spool/defedb/defedb.sqlite"


def row(transaction: int, octets: int = 10) -> Row:
    return Row(transaction, 0, 1, transaction, 0, "example.net", 5, b"e" * octets, b"r")


def store(transaction: int, octets: int = 10) -> Store:
    return Store(transaction, (row(transaction, octets),))


def new_disk(capacity: int = 1 << 40) -> Disk:
    disk = Disk(capacity=capacity)
    make_spool(disk, "/spool")
    return disk


def stored(disk: Disk) -> list[int]:
    """The transactions that a new process finds."""
    database = Database(disk, "/spool", reserve_octets=0)
    (found,) = database.apply(Find(1))
    database.abandon()
    assert isinstance(found, Found)
    return [row.transaction for row in found.rows]


def test_every_question_is_answered_by_the_real_engine() -> None:
    database = Database(new_disk(), "/spool")
    assert database.apply(Store(1, (row(1), row(2)))) == [Stored(1)]
    assert database.apply(Fetch(2, until=1, limit=10)) == [Fetched(2, (row(1),))]
    assert database.apply(Find(3)) == [Found(3, (row(1), row(2)))]
    assert database.apply(Census(4)) == [Counted(4, ((5, 2),), 2, 1)]
    database.close()


def test_a_commit_is_a_few_operations_and_one_sync() -> None:
    disk = new_disk()
    database = Database(disk, "/spool")
    database.apply(store(1))
    kinds: list[str] = []
    disk.on_operation = lambda operation: kinds.append(operation.kind)
    database.apply(store(2))
    assert (database.syncs_done, database.operations_done) == (1, len(kinds))
    assert kinds.count("sync") == 1
    database.apply(Census(3))
    assert (database.syncs_done, database.operations_done) == (0, 0)
    database.close()


def test_the_same_life_leaves_the_same_octets_whatever_else_the_process_does_with_sqlite() -> None:
    def life(*, beside: bool) -> tuple[bytes, list[Operation]]:
        disk = new_disk()
        operations: list[Operation] = []
        disk.on_operation = operations.append
        database = Database(disk, "/spool")
        for transaction in range(1, 10):
            database.apply(store(transaction, 3000))
            if beside:
                other = Database(new_disk(), "/spool")
                other.apply(store(1))
                other.close()
        database.close()
        return disk.digest(sizes=True), operations

    assert life(beside=False) == life(beside=True)


def test_what_the_death_of_a_process_leaves_is_what_it_had_written() -> None:
    disk = new_disk()
    database = Database(disk, "/spool")
    database.apply(store(1))
    before = disk.digest(sizes=True), disk.operations
    database.abandon()
    assert (disk.digest(sizes=True), disk.operations) == before
    assert stored(disk) == [1]


def test_an_orderly_end_puts_the_wal_into_the_database() -> None:
    disk = new_disk()
    database = Database(disk, "/spool", reserve_octets=0)
    database.apply(store(1))
    assert disk.exists(f"{FILE}-wal")
    database.close()
    assert disk.listdir("/spool/defedb") == ["defedb.sqlite"]
    assert stored(disk) == [1]


def test_a_power_loss_at_every_operation_of_the_first_commits_loses_no_acknowledged_one() -> None:
    disk = new_disk()
    database = Database(disk, "/spool", reserve_octets=0)
    database.apply(store(1))
    database.apply(store(2))
    database.abandon()
    cuts = 0
    for cut in range(1, disk.operations + 1):
        life = new_disk()
        life.cut_at(life.operations + cut)
        database = Database(life, "/spool", reserve_octets=0)
        acknowledged = []
        try:
            for transaction in (1, 2):
                database.apply(store(transaction))
                acknowledged.append(transaction)
        except PowerLoss:
            cuts += 1
        database.abandon()
        for image in (life.worst(), life.survivor(Drawn(cut)), life.survivor(Drawn(-cut))):
            found = stored(image)
            assert found in (acknowledged, [*acknowledged, len(acknowledged) + 1])
    assert cuts > 30


def test_two_processes_cannot_have_it_at_once() -> None:
    """F22."""
    disk = new_disk()
    one, other = Database(disk, "/spool"), Database(disk, "/spool")
    one.apply(store(1))
    with pytest.raises(DefedbError, match=r"(?i)locked|busy"):
        other.apply(Census(1))
    one.abandon()
    assert other.apply(Census(1)) == [Counted(1, ((5, 1),), 1, 1)]
    other.close()


def test_a_full_disk_is_said_and_deletions_use_the_reserve() -> None:
    """F11, A10."""
    disk = new_disk()
    database = Database(disk, "/spool", reserve_octets=MIB)
    for transaction in range(1, 20):
        assert database.apply(store(transaction, 3000)) == [Stored(transaction)]
    assert disk.size(f"{FILE}.reserve") == MIB
    disk.occupied = disk.free_octets
    (answer,) = database.apply(store(20, 64 * KIB))
    assert answer == Stored(20, no_space=True)
    assert database.apply(Store(21, (), ((1, 0), (2, 0)))) == [Stored(21)]
    assert disk.size(f"{FILE}.reserve") == 0
    disk.occupied = 0
    assert database.apply(store(22)) == [Stored(22)]
    assert disk.size(f"{FILE}.reserve") == MIB
    database.close()
    assert stored(disk) == [*range(3, 20), 22]


@pytest.mark.parametrize("answer", ["fail_clean", "fail_revert"])
def test_a_failed_sync_of_a_commit_is_said_and_the_connection_is_not_gone_on_with(answer: str) -> None:
    """F7, F8, I15."""
    disk = new_disk()
    database = Database(disk, "/spool")
    database.apply(store(1))
    disk.faults = PlannedFaults([Planned("sync", f"{FILE}-wal", answer)])
    (said,) = database.apply(store(2))
    assert isinstance(said, Stored)
    assert said.error
    assert not said.no_space
    with pytest.raises(DefedbError):
        database.apply(Census(1))
    database.abandon()
    disk.faults = None
    assert stored(disk.worst()) == [1]


class CheckpointsFail(Faults):
    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked = 0

    def on_write(self, path: str, offset: int, octets: int) -> str | None:
        self.asked += path == FILE
        return self.answer if path == FILE else None


@pytest.mark.parametrize("answer", ["no_space", "io"])
def test_a_failed_checkpoint_does_not_undo_the_commit_that_began_it(answer: str) -> None:
    """SQLite tries it again with each later commit; the WAL grows meanwhile."""
    disk = new_disk()
    database = Database(disk, "/spool", reserve_octets=0)
    database.apply(store(1))
    faults = disk.faults = CheckpointsFail(answer)
    count = 1
    while faults.asked < 3:
        count += 1
        assert database.apply(store(count, 60_000)) == [Stored(count)]
    disk.faults = None
    count += 1
    assert database.apply(store(count)) == [Stored(count)]
    assert disk.size(FILE) > 100 * KIB
    database.abandon()
    assert stored(disk.worst()) == list(range(1, count + 1))


def test_a_database_that_cannot_be_made_ends_the_process() -> None:
    """F11."""
    disk = new_disk()
    disk.faults = PlannedFaults([Planned("create", "/spool/defedb", "no_space")])
    database = Database(disk, "/spool")
    with pytest.raises(DefedbError, match="no space left on device"):
        database.apply(Census(1))
    database.abandon()


def test_a_failed_reading_ends_the_process() -> None:
    """F9."""
    disk = new_disk()
    database = Database(disk, "/spool")
    database.apply(store(1))
    database.close()
    disk.faults = PlannedFaults([Planned("read", FILE, "io", nth=2, times=0)])
    again = Database(disk, "/spool")
    with pytest.raises(DefedbError):
        again.apply(Find(1))
    again.abandon()


@pytest.mark.parametrize("seed", range(10))
def test_with_faults_of_every_kind_no_acknowledged_commit_is_lost(seed: int) -> None:
    """All but corruption and lies (F10, F13): those are no promise of SQLite."""
    disk = new_disk()
    disk.faults = DrawnFaults(Drawn(seed), {"F7": 20, "F8": 20, "F9": 10, "F11": 20}, below="/spool/defedb")
    acknowledged: list[int] = []
    transaction = 0
    for life in range(6):
        database = Database(disk, "/spool", reserve_octets=0)
        try:
            for _ in range(10):
                transaction += 1
                (said,) = database.apply(store(transaction, 9000))
                assert isinstance(said, Stored)
                if said.error:
                    break
                if not said.no_space:
                    acknowledged.append(transaction)
        except DefedbError:
            pass
        database.abandon()
        faults = disk.faults
        disk = disk.survivor(Drawn(100 * seed + life))
        assert set(acknowledged) <= set(stored(disk))
        disk.faults = faults
