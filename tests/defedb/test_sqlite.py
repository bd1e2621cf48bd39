"""DEFEDB in SQLite: it does what the dictionary model does, loses no commit, and fails honestly (A4, A10, A16, SX12, SX18)."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from smx.defedb.sqlite import _CENSUS, _FIND_IN_SEGMENT, APPLICATION_ID, SCHEMA_VERSION, DefedbError, SqliteDefedb
from smx.effects import Census, Fetch, Find, Row, Store
from smx.events import Counted, Fetched, Found, Stored
from tests.crash.disk import Disk


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "defedb.sqlite")


@pytest.fixture
def db(path: str) -> Iterator[SqliteDefedb]:
    database = SqliteDefedb(path)
    yield database
    database.close()


def row(transaction: int, index: int = 0, *, next_try: int = 100, state: int = 0, attempt: int = 1, segment: int = 1, envelope: bytes = b"e") -> Row:
    return Row(transaction, index, attempt, next_try, state, "example.net", segment, envelope, b"recipient %d" % index)


def rows_of(answer: object) -> tuple[Row, ...]:
    assert isinstance(answer, Fetched | Found)
    return answer.rows


class Comparison(RuleBasedStateMachine):
    """Any sequence of effects has the same answers as the dictionary model of the crash tests."""

    @initialize()
    def begin(self) -> None:
        self.db = SqliteDefedb(":memory:", sync_directory=lambda: None)
        self.model = Disk()

    keys = st.tuples(st.integers(1, 4), st.integers(0, 2))
    some_rows = st.lists(st.builds(row, st.integers(1, 4), st.integers(0, 2), next_try=st.integers(0, 5), state=st.integers(0, 2), segment=st.integers(1, 3)))
    envelope = st.binary(min_size=1, max_size=2)

    @rule(rows=some_rows, gone=st.lists(keys, max_size=3), envelope=envelope)
    def store(self, rows: list[Row], gone: list[tuple[int, int]], envelope: bytes) -> None:
        rows = [Row(r.transaction, r.index, r.attempt, r.next_try, r.state, r.destination, r.segment, envelope, r.recipient) for r in rows]
        effect = Store(1, tuple({(r.transaction, r.index): r for r in rows}.values()), tuple(gone))
        assert [self.db.perform(effect)] == self.model.apply(effect)

    @rule(until=st.integers(0, 6), limit=st.integers(1, 5), after=st.tuples(st.integers(-1, 5), st.integers(0, 4), st.integers(-1, 2)))
    def fetch(self, until: int, limit: int, after: tuple[int, int, int]) -> None:
        effect = Fetch(2, until, limit, *after)
        assert [self.db.perform(effect)] == self.model.apply(effect)

    @rule(transactions=st.lists(st.integers(1, 5), max_size=3), state=st.integers(-1, 2), after=keys, limit=st.integers(1, 5), segment=st.integers(0, 3))
    def find(self, transactions: list[int], state: int, after: tuple[int, int], limit: int, segment: int) -> None:
        effect = Find(3, tuple(transactions), state, *after, limit, segment)
        assert [self.db.perform(effect)] == self.model.apply(effect)

    @rule()
    def census(self) -> None:
        assert [self.db.perform(Census(4))] == self.model.apply(Census(4))

    def teardown(self) -> None:
        if hasattr(self, "db"):
            self.db.close()


TestComparison = Comparison.TestCase
TestComparison.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@pytest.mark.feature("SX12")
def test_a_stored_row_is_there_after_a_restart(path: str) -> None:
    db = SqliteDefedb(path)
    big = (1 << 63) - 1
    stored = Row(big, 3, 7, 1_700_000_000_000_000, 0, "ex\u00e4mple.net", 1 << 55, bytes(range(256)), b"")
    assert db.perform(Store(1, (stored,))) == Stored(1)
    db.close()
    again = SqliteDefedb(path)
    assert rows_of(again.perform(Find(1, (big,)))) == (stored,)
    again.close()


def unsynced() -> None:
    raise OSError("input/output error")


def test_an_empty_database_whose_name_cannot_be_made_durable_is_made_anew(path: str) -> None:
    """Found by crash_storm, seed 6667: the next process found the file, its sync said yes, rows were stored, and a power loss took file and rows."""
    with pytest.raises(DefedbError, match="durable"):
        SqliteDefedb(path, sync_directory=unsynced)
    assert not os.path.exists(path)
    assert not os.path.exists(path + "-wal")


def test_a_database_with_rows_is_kept_whatever_becomes_of_the_sync_of_its_directory(path: str) -> None:
    db = SqliteDefedb(path)
    db.perform(Store(1, (row(1),)))
    db.close()
    with pytest.raises(DefedbError, match="durable"):
        SqliteDefedb(path, sync_directory=unsynced)
    again = SqliteDefedb(path)
    assert rows_of(again.perform(Find(1, (1,)))) == (row(1),)
    again.close()


@pytest.mark.feature("SX12")
def test_a_commit_survives_the_death_of_the_process(path: str) -> None:
    child = os.fork()
    if child == 0:
        try:
            SqliteDefedb(path).perform(Store(1, (row(1), row(1, 1))))
        finally:
            os._exit(0)  # nothing is closed
    os.waitpid(child, 0)
    db = SqliteDefedb(path)
    assert len(rows_of(db.perform(Find(1)))) == 2
    db.close()


def test_what_was_due_comes_soonest_first_in_pages(db: SqliteDefedb) -> None:
    db.perform(Store(1, tuple(row(t, next_try=1000 - t) for t in range(1, 101))))
    seen: list[int] = []
    after = (-1, 0, -1)
    while True:
        answer = db.perform(Fetch(1, 2000, 7, *after))
        assert isinstance(answer, Fetched)
        seen += [r.next_try for r in answer.rows]
        if not answer.more:
            break
        last = answer.rows[-1]
        after = (last.next_try, last.transaction, last.index)
    assert seen == sorted(seen)
    assert len(seen) == 100


def test_held_and_quarantined_rows_are_never_due(db: SqliteDefedb) -> None:
    db.perform(Store(1, (row(1), row(2, state=1), row(3, state=2))))
    assert [r.transaction for r in rows_of(db.perform(Fetch(1, 1000, 10)))] == [1]
    assert [r.transaction for r in rows_of(db.perform(Find(1, state=2)))] == [3]


def test_the_envelope_is_stored_once_and_goes_with_the_last_row(db: SqliteDefedb, path: str) -> None:
    db.perform(Store(1, tuple(row(1, index, envelope=b"E" * 100_000) for index in range(50))))
    assert os.path.getsize(path) + os.path.getsize(path + "-wal") < 1_000_000
    db.perform(Store(2, (), tuple((1, index) for index in range(49))))
    assert rows_of(db.perform(Find(1)))[0].envelope == b"E" * 100_000
    db.perform(Store(3, (), ((1, 49),)))
    assert db._rows("SELECT count(*) FROM envelope", ()) == [(0,)]


@pytest.mark.feature("SX18")
def test_due_rows_are_found_by_the_index(db: SqliteDefedb) -> None:
    assert "USING INDEX due (state=? AND" in db.plan()
    assert "SCAN r" not in db.plan()
    assert "TEMP B-TREE" not in db.plan()


def test_rows_of_a_content_segment_are_found_by_the_index(db: SqliteDefedb) -> None:
    plan = db.plan(_FIND_IN_SEGMENT)
    assert "USING INDEX place (segment=? AND" in plan
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan
    assert "USING COVERING INDEX place" in db.plan(_CENSUS)


def test_a_database_of_an_earlier_smx_gets_the_index_when_it_is_opened(path: str) -> None:
    SqliteDefedb(path).close()
    raw = apsw.Connection(path)
    raw.execute("DROP INDEX place")
    raw.close()
    again = SqliteDefedb(path)
    assert "USING INDEX place" in again.plan(_FIND_IN_SEGMENT)
    again.close()


@pytest.mark.feature("SX18")
def test_a_hundred_thousand_rows_are_stored_and_fetched_in_seconds(db: SqliteDefedb) -> None:
    start = time.monotonic()
    for base in range(0, 100_000, 500):
        batch = tuple(row((1 << 61) + base + n, next_try=(base + n) * 7919 % 100_000, segment=base, envelope=b"e" * 200) for n in range(500))
        assert db.perform(Store(1, batch)) == Stored(1)
    fetched = db.perform(Fetch(1, 1 << 60, 1000))
    assert isinstance(fetched, Fetched)
    assert [r.next_try for r in fetched.rows] == list(range(1000))
    counted = db.perform(Census(1))
    assert isinstance(counted, Counted)
    assert (counted.rows, len(counted.segments), counted.soonest) == (100_000, 200, 0)
    assert time.monotonic() - start < 30  # about 2 s on two slow cores


def test_a_full_disk_rolls_back_and_is_tried_again(path: str) -> None:
    """A10: no space is no error; the rows that were there stay."""
    db = SqliteDefedb(path, max_pages=40)
    transaction = 0
    while True:
        transaction += 1
        answer = db.perform(Store(transaction, tuple(row(transaction, index, envelope=bytes(5000)) for index in range(5))))
        if answer != Stored(transaction):
            break
    assert answer == Stored(transaction, no_space=True)
    found = rows_of(db.perform(Find(1)))
    assert len(found) == 5 * (transaction - 1)
    assert db.perform(Store(1, (), tuple((r.transaction, r.index) for r in found))) == Stored(1)
    assert db.perform(Store(2, (row(transaction),))) == Stored(2)
    db.close()


class _FullOnce:
    """Stands for the connection's cursor: the next BEGIN finds the disk full."""

    def __init__(self, db: SqliteDefedb, times: int) -> None:
        self.execute = db._execute
        self.times = times

    def __call__(self, statement: str, *bindings: object) -> object:
        if statement.startswith("BEGIN") and self.times:
            self.times -= 1
            raise apsw.FullError("database or disk is full")
        return self.execute(statement, *bindings)


def test_the_reserve_is_given_up_for_deletions_and_taken_again(path: str) -> None:
    db = SqliteDefedb(path, reserve_octets=100_000)
    assert os.path.getsize(path + ".reserve") == 100_000
    db.perform(Store(1, (row(1), row(2))))
    db._execute = _FullOnce(db, 1)
    assert db.perform(Store(2, (row(3),))) == Stored(2, no_space=True)
    assert os.path.getsize(path + ".reserve") == 100_000
    db._execute = _FullOnce(db, 1)
    assert db.perform(Store(3, (), ((1, 0),))) == Stored(3)
    assert os.path.getsize(path + ".reserve") == 0
    assert db.perform(Store(4, (), ((2, 0),))) == Stored(4)
    assert os.path.getsize(path + ".reserve") == 100_000
    db._execute = _FullOnce(db, 2)
    assert db.perform(Store(5, (), ((2, 0),))) == Stored(5, no_space=True)
    db.close()


def test_a_device_error_closes_the_connection(db: SqliteDefedb) -> None:
    class Broken:
        def __call__(self, statement: str, *bindings: object) -> object:
            raise apsw.IOError("disk I/O error")

    db._execute = Broken()
    answer = db.perform(Store(1, (row(1),)))
    assert isinstance(answer, Stored)
    assert "I/O" in answer.error
    with pytest.raises(apsw.ConnectionClosedError):
        db._connection.cursor()
    with pytest.raises(DefedbError):
        db.perform(Census(1))


def test_a_newer_schema_is_refused_with_a_clear_message(path: str) -> None:
    SqliteDefedb(path).close()
    raw = apsw.Connection(path)
    raw.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    raw.close()
    with pytest.raises(DefedbError, match=f"newer smx: schema version {SCHEMA_VERSION + 1}, known up to {SCHEMA_VERSION}"):
        SqliteDefedb(path)


def test_the_version_stands_in_the_first_octets_of_the_file(path: str) -> None:
    SqliteDefedb(path).close()
    octets = Path(path).read_bytes()[:100]
    assert int.from_bytes(octets[60:64], "big") == SCHEMA_VERSION
    assert int.from_bytes(octets[68:72], "big") == APPLICATION_ID


def test_a_file_of_somebody_else_is_refused(path: str) -> None:
    raw = apsw.Connection(path)
    raw.execute("CREATE TABLE theirs (x)")
    raw.close()
    with pytest.raises(DefedbError, match="no DEFEDB of smx"):
        SqliteDefedb(path)


def test_a_file_that_is_no_database_is_refused(path: str) -> None:
    Path(path).write_bytes(b"From: nobody\r\n" * 200)
    with pytest.raises(DefedbError):
        SqliteDefedb(path)


def test_a_second_process_cannot_open_it(db: SqliteDefedb, path: str) -> None:
    with pytest.raises(DefedbError, match="locked"):
        SqliteDefedb(path)


def test_every_commit_is_synced_and_no_shared_memory_is_used(db: SqliteDefedb, path: str) -> None:
    db.perform(Store(1, (row(1),)))
    assert db._pragma("synchronous") == 2
    assert db._rows("PRAGMA journal_mode", ()) == [("wal",)]
    assert db._rows("PRAGMA locking_mode", ()) == [("exclusive",)]
    assert not os.path.exists(path + "-shm")


def test_the_name_of_the_file_is_made_durable(path: str) -> None:
    synced = []
    SqliteDefedb(path, sync_directory=lambda: synced.append(os.path.exists(path))).close()
    assert synced == [True]
