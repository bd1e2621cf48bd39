"""DEFEDB in SQLite: deferred and held recipients, one durable commit a Store (SX12, A4).

Why so. SQLite through apsw: the real library runs live and, through a VFS given by name, on a simulated disk.
`locking_mode=EXCLUSIVE` before `journal_mode=WAL` needs no shared memory; `synchronous=FULL` loses no acknowledged commit once the
directory has been synced after creation. The envelope is stored once a transaction, each recipient is a row of a few octets, and
the index on (state, next_try) makes "what is due" a scan of exactly what is returned.

Trouble: SQLITE_FULL rolls the batch back and is said as `no_space`: the recipients stay in IBDB and it is tried again. A batch that
only deletes may use the reserve (A10). Every other device error closes the connection: end the process and recover; never go on with it.
A new database that cannot be finished is removed again: no later sync of a name that a failed one has touched can be trusted (A2), so the next
process makes the file anew. The same goes for one without rows whose directory cannot be synced; one with rows had a durable name before.
Called by the runtime in one worker thread; the only module of DEFEDB that does I/O.
"""

import contextlib
import json
import os
from collections.abc import Callable
from typing import Any, Final, Protocol

import apsw

from smx.effects import Census, Fetch, Find, Row, Store
from smx.events import Counted, Fetched, Found, Stored

SCHEMA_VERSION: Final = 1
APPLICATION_ID: Final = 0x736D7864  # "smxd", at offset 68 of the file; the version at offset 60 (A16)
RESERVE_OCTETS: Final = 4 * 1024 * 1024

_SCHEMA: Final = """
CREATE TABLE envelope (
    tid      INTEGER PRIMARY KEY,              -- transaction
    octets   BLOB NOT NULL                     -- opaque here: QMGR's
) STRICT;
CREATE TABLE recipient (
    tid      INTEGER NOT NULL,
    number   INTEGER NOT NULL,                 -- index of the recipient in its transaction
    attempt  INTEGER NOT NULL,
    next_try INTEGER NOT NULL,                 -- stamp, microseconds
    state    INTEGER NOT NULL,                 -- 0 deferred, 1 held, 2 quarantined
    destination TEXT NOT NULL,
    segment  INTEGER NOT NULL,                 -- of the content, for reference counts
    octets   BLOB NOT NULL,
    PRIMARY KEY (tid, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX due ON recipient (state, next_try, tid, number);
"""
_PLACE_INDEX: Final = "CREATE INDEX IF NOT EXISTS place ON recipient (segment, tid, number)"  # a database of an earlier smx has none

_UPSERT_ENVELOPE: Final = "INSERT INTO envelope VALUES (?, ?) ON CONFLICT (tid) DO UPDATE SET octets = excluded.octets WHERE octets != excluded.octets"
_UPSERT: Final = """
INSERT INTO recipient VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tid, number) DO UPDATE SET attempt = excluded.attempt, next_try = excluded.next_try,
    state = excluded.state, destination = excluded.destination, segment = excluded.segment, octets = excluded.octets
"""
_DELETE: Final = "DELETE FROM recipient WHERE tid = ? AND number = ?"
_DELETE_ENVELOPE: Final = "DELETE FROM envelope WHERE tid = ? AND NOT EXISTS (SELECT 1 FROM recipient WHERE recipient.tid = envelope.tid)"
_COLUMNS: Final = "r.tid, r.number, r.attempt, r.next_try, r.state, r.destination, r.segment, e.octets, r.octets"
_FROM: Final = "FROM recipient AS r JOIN envelope AS e ON e.tid = r.tid"
_FETCH: Final = f"""
SELECT {_COLUMNS} FROM recipient AS r INDEXED BY due JOIN envelope AS e ON e.tid = r.tid
WHERE r.state = 0 AND r.next_try <= ? AND (r.next_try, r.tid, r.number) > (?, ?, ?) ORDER BY r.next_try, r.tid, r.number LIMIT ?
"""
_FIND: Final = f"SELECT {_COLUMNS} {_FROM} WHERE (r.tid, r.number) > (?, ?) AND (? < 0 OR r.state = ?) ORDER BY r.tid, r.number LIMIT ?"
_FIND_SOME: Final = f"""
SELECT {_COLUMNS} {_FROM} WHERE r.tid IN (SELECT value FROM json_each(?)) AND (? = 0 OR r.segment = ?) AND (r.tid, r.number) > (?, ?) AND (? < 0 OR r.state = ?)
ORDER BY r.tid, r.number LIMIT ?
"""
_FIND_IN_SEGMENT: Final = f"""
SELECT {_COLUMNS} {_FROM} WHERE r.segment = ? AND (r.tid, r.number) > (?, ?) AND (? < 0 OR r.state = ?) ORDER BY r.tid, r.number LIMIT ?
"""
_CENSUS: Final = "SELECT segment, count(*) FROM recipient GROUP BY segment ORDER BY segment"
_SOONEST: Final = "SELECT next_try FROM recipient INDEXED BY due WHERE state = 0 ORDER BY next_try LIMIT 1"


class DefedbError(Exception):
    """The database cannot be used: a newer version, another file, or a device error. The connection is closed."""


class Reserve(Protocol):
    """Space that is kept aside beside the database, for deletions on a full disk (A10)."""

    def release(self) -> bool:
        """Give it up; True when space was given back."""
        ...

    def restore(self) -> None:
        """Take the space again, if there is any."""
        ...


class SqliteDefedb:
    """One open database. `sync_directory`: makes the file's name durable, or raises OSError; by default fsync of its folder.

    `discard`: removes the file. `reserve_octets`: of a reserve on the real file system; on another one (`vfs`) the caller brings the `reserve`.
    """

    def __init__(
        self,
        path: str,
        *,
        vfs: str = "",
        sync_directory: Callable[[], None] | None = None,
        reserve_octets: int = 0,
        max_pages: int = 0,
        reserve: Reserve | None = None,
        discard: Callable[[], None] | None = None,
    ) -> None:
        self._path = path
        self._discard = discard or (lambda: os.unlink(path))
        self._fresh = False  # nobody has ever stored anything in it
        self._reserve = _FileReserve(path + ".reserve", reserve_octets) if reserve_octets and not vfs else reserve
        try:
            self._connection = apsw.Connection(path, vfs=vfs or None)
        except apsw.Error as error:
            raise DefedbError(f"{path} cannot be opened: {error}") from error
        self._execute: Callable[..., Any] = self._connection.cursor().execute
        try:
            self._prepare(sync_directory or (lambda: _sync_directory(os.path.dirname(path) or ".")), max_pages)
        except apsw.Error as error:
            self._give_up()
            raise DefedbError(f"{path} cannot be opened: {error}") from error
        except DefedbError:
            self._give_up()
            raise

    def perform(self, effect: Store | Fetch | Find | Census) -> Stored | Fetched | Found | Counted:
        """Carry out one effect. Raises DefedbError when a reading fails; a failed Store says so in its Stored."""
        if isinstance(effect, Store):
            return self.store(effect)
        if isinstance(effect, Fetch):
            return self.fetch(effect)
        if isinstance(effect, Find):
            return self.find(effect)
        return self.census(effect)

    def store(self, effect: Store) -> Stored:
        """One transaction: all of it is durable, or none."""
        try:
            try:
                self._commit(effect)
            except apsw.FullError:
                self._rollback()
                if effect.rows or self._reserve is None or not self._reserve.release():
                    return Stored(effect.request, no_space=True)
                return self._store_on_reserve(effect)
        except apsw.Error as error:
            self.close()
            return Stored(effect.request, error=f"{type(error).__name__}: {error}")
        if self._reserve is not None:
            self._reserve.restore()
        return Stored(effect.request)

    def fetch(self, effect: Fetch) -> Fetched:
        """What is due, soonest first."""
        bindings = (effect.until, effect.after_next_try, effect.after_transaction, effect.after_index, effect.limit + 1)
        rows = self._select(_FETCH, bindings)
        return Fetched(effect.request, rows[: effect.limit], more=len(rows) > effect.limit)

    def find(self, effect: Find) -> Found:
        """Rows in order of key."""
        after = (effect.after_transaction, effect.after_index, effect.state, effect.state, effect.limit + 1)
        if effect.transactions:
            rows = self._select(_FIND_SOME, (json.dumps(effect.transactions), effect.segment, effect.segment, *after))
        elif effect.segment:
            rows = self._select(_FIND_IN_SEGMENT, (effect.segment, *after))
        else:
            rows = self._select(_FIND, after)
        return Found(effect.request, rows[: effect.limit], more=len(rows) > effect.limit)

    def census(self, effect: Census) -> Counted:
        """Rows a content segment; the earliest next_try."""
        segments = tuple((int(segment), int(rows)) for segment, rows in self._rows(_CENSUS, ()))
        soonest = self._rows(_SOONEST, ())
        return Counted(effect.request, segments, sum(rows for _, rows in segments), int(soonest[0][0]) if soonest else 0)

    def close(self) -> None:
        """Close; safe to call twice."""
        with contextlib.suppress(apsw.Error):  # what was committed is durable; what was not is meant to go
            self._connection.close(True)

    def plan(self, statement: str = _FETCH) -> str:
        """SQLite's plan for a statement, for tests and people."""
        count = statement.count("?")
        return "\n".join(str(row[3]) for row in self._rows(f"EXPLAIN QUERY PLAN {statement}", (0,) * count))

    # --- within ------------------------------------------------------------------------------------------------------

    def _prepare(self, sync_directory: Callable[[], None], max_pages: int) -> None:
        execute = self._execute
        execute("PRAGMA locking_mode = EXCLUSIVE")  # before WAL: then no shared memory is needed
        application, version = self._pragma("application_id"), self._pragma("user_version")
        self._fresh = application == 0 and version == 0 and not self._rows("SELECT name FROM sqlite_master LIMIT 1", ())
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA wal_autocheckpoint = 1000")
        if max_pages:
            execute(f"PRAGMA max_page_count = {max_pages}")
        if self._fresh:
            execute("BEGIN IMMEDIATE")
            execute(_SCHEMA)
            execute(f"PRAGMA application_id = {APPLICATION_ID}")
            execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            execute("COMMIT")
        elif application != APPLICATION_ID:
            raise DefedbError(f"{self._path} is no DEFEDB of smx")
        elif version > SCHEMA_VERSION:  # A16
            raise DefedbError(f"{self._path} was written by a newer smx: schema version {version}, known up to {SCHEMA_VERSION}")
        with contextlib.suppress(apsw.FullError):  # it is only faster with it
            execute(_PLACE_INDEX)
        try:
            sync_directory()
        except OSError as error:
            self._fresh = not self._rows("SELECT tid FROM recipient LIMIT 1", ())
            raise DefedbError(f"{self._path}: its name cannot be made durable: {error}") from error

    def _give_up(self) -> None:
        """It cannot be used; why not is said by who calls this."""
        try:
            self.close()
        finally:
            if self._fresh:
                with contextlib.suppress(OSError):
                    self._discard()

    def _pragma(self, name: str) -> int:
        return int(self._rows(f"PRAGMA {name}", ())[0][0])

    def _commit(self, effect: Store) -> None:
        execute, many = self._execute, self._connection.cursor().executemany
        execute("BEGIN IMMEDIATE")
        envelopes = {row.transaction: row.envelope for row in effect.rows}
        if effect.rows:
            many(_UPSERT_ENVELOPE, envelopes.items())
            many(_UPSERT, map(_values, effect.rows))
        if effect.gone:
            many(_DELETE, effect.gone)
            transactions = {transaction: None for transaction, _ in effect.gone}
            many(_DELETE_ENVELOPE, ((transaction,) for transaction in transactions))
        execute("COMMIT")

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            self._execute("ROLLBACK")

    def _store_on_reserve(self, effect: Store) -> Stored:
        try:
            self._commit(effect)
        except apsw.FullError:
            self._rollback()
            return Stored(effect.request, no_space=True)
        return Stored(effect.request)

    def _rows(self, statement: str, bindings: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            return list(self._execute(statement, bindings))
        except apsw.Error as error:
            self.close()
            raise DefedbError(f"{self._path}: {type(error).__name__}: {error}") from error

    def _select(self, statement: str, bindings: tuple[Any, ...]) -> tuple[Row, ...]:
        return tuple(Row(*row) for row in self._rows(statement, bindings))


class _FileReserve:
    """The octets of a file on the same file system."""

    def __init__(self, path: str, octets: int) -> None:
        self._path = path
        self._octets = octets
        self._held = False
        self.restore()

    def release(self) -> bool:
        if not self._held:
            return False
        os.truncate(self._path, 0)
        self._held = False
        return True

    def restore(self) -> None:
        if self._held:
            return
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._octets)
            self._held = True
        except OSError:  # no space, or a file system without preallocation: then there is no reserve
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)


def _values(row: Row) -> tuple[int | str | bytes, ...]:
    return row.transaction, row.index, row.attempt, row.next_try, row.state, row.destination, row.segment, row.recipient


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
