"""DEFEDB device: Store, Fetch, Find and Census in one worker thread, in order; the database is opened by the first of them.

Failures    A Store says what went wrong in its Stored. A database that cannot be opened or read ends the process (DefedbError): it is never
            gone on with (reliability: what a file system promises).
"""

import os
from typing import Final

from smx.config.schema import spool_path
from smx.defedb.sqlite import RESERVE_OCTETS, SqliteDefedb
from smx.effects import Census, Fetch, Find, Store
from smx.events import Counted, Fetched, Found, Stored
from smx.live.device import Orders
from smx.live.runner import Runner
from smx.live.worker import Worker

FILE_NAME: Final = "defedb.sqlite"
MODE: Final = 0o600


class Defedb:
    """The database below the spool of `runner`."""

    def __init__(self, runner: Runner, *, reserve_octets: int = RESERVE_OCTETS) -> None:
        self._path = f"{spool_path(runner.spool, 'defedb')}/{FILE_NAME}"
        self._reserve_octets = reserve_octets
        self._worker = Worker(runner, "defedb")
        self._database: SqliteDefedb | None = None  # touched by the thread only

    def orders(self) -> Orders:
        return {Store: self.perform, Fetch: self.perform, Find: self.perform, Census: self.perform}

    def perform(self, effect: Store | Fetch | Find | Census) -> None:
        self._worker.do(lambda: self._perform(effect))

    def _perform(self, effect: Store | Fetch | Find | Census) -> Stored | Fetched | Found | Counted:
        if self._database is None:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE))  # SQLite would take the umask's word for it
            self._database = SqliteDefedb(self._path, reserve_octets=self._reserve_octets)
        return self._database.perform(effect)

    def close(self) -> None:
        self._worker.do(self._close)
        self._worker.close()

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
