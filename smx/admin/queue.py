"""Queue tool: what operators ask of QMGR, as plain calls over an admin link. `smx queue`, `smx-mailq` and `smx-sendmail -q` use it."""

import os
import pwd
from collections.abc import Iterator
from types import TracebackType
from typing import Final

from smx.ids import id_text
from smx.live.admin_link import AdminLink, AdminUnreachableError
from smx.messages import AnyMessage, Filter, LimitsChanged, QueueChange, QueueChanged, QueueList, QueueListed, QueueRow, Status, StatusAsked

PAGE_ROWS: Final = 500
UNKNOWN_LIMIT: Final = "unknown_limit"
OUT_OF_BOUNDS: Final = "out_of_bounds"
CHANGE_TIMEOUT_S: Final = 120.0  # a change is answered when all of it is durable


class LimitError(Exception):
    """The limit was not changed; the text says why."""


class QueueTool:
    """Use as a context manager. Every method raises AdminUnreachableError when no QMGR answers."""

    def __init__(self, spool: str, timeout_s: float = CHANGE_TIMEOUT_S) -> None:
        self._link = AdminLink(spool, timeout=timeout_s)
        self._request = 0

    def __enter__(self) -> "QueueTool":
        self._link.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._link.__exit__(kind, error, trace)

    def rows(self, chosen: Filter, limit: int = 0) -> Iterator[QueueRow]:
        """The recipients that the filter takes, in order of (transaction, index); at most `limit`, 0: all. Read page by page."""
        after_transaction, after_index, count = 0, -1, 0
        while True:
            answer = self._ask(QueueList(self._next(), chosen, after_transaction, after_index, PAGE_ROWS))
            assert isinstance(answer, QueueListed), answer
            for row in answer.rows:
                yield row
                count += 1
                if count == limit:
                    return
            if not answer.more or not answer.rows:
                return
            after_transaction, after_index = answer.rows[-1].transaction, answer.rows[-1].index

    def change(self, verb: str, chosen: Filter, *, dry_run: bool, who: str) -> QueueChanged:
        """Apply a verb (retry, hold, release, remove, bounce); comes back when it is durable."""
        answer = self._ask(QueueChange(self._next(), verb, chosen, dry_run, who))
        assert isinstance(answer, QueueChanged), answer
        return answer

    def status(self) -> Status:
        answer = self._ask(StatusAsked(self._next()))
        assert isinstance(answer, Status), answer
        return answer

    def set_limit(self, name: str, value: int) -> Status:
        """Change a limit while QMGR runs (SX66). Raises LimitError."""
        answer = self._ask(LimitsChanged(self._next(), name, value))
        assert isinstance(answer, Status), answer
        figures = dict(answer.figures)
        if UNKNOWN_LIMIT in figures:
            raise LimitError(f"QMGR has no limit {name!r} that can be changed while it runs")
        if OUT_OF_BOUNDS in figures:
            raise LimitError(f"{name} must be from {figures['least']} to {figures['greatest']}, not {value}")
        return answer

    def _next(self) -> int:
        self._request += 1
        return self._request

    def _ask(self, message: AnyMessage) -> AnyMessage:
        return self._link.ask(message)


def who() -> str:
    """The operator's name for the audit note: the account that runs the tool, and the one that became it by sudo."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    before = os.environ.get("SUDO_USER", "")
    return f"{before} as {name}" if before and before != name else name


def shown(octets: bytes) -> str:
    """Octets of a peer as text for a terminal: nothing in it moves the cursor (F23)."""
    return printable(octets.decode("utf-8", "backslashreplace"))


def printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)


def queue_id(row: QueueRow) -> str:
    return id_text(row.transaction)


__all__ = ["AdminUnreachableError", "LimitError", "QueueTool", "printable", "queue_id", "shown", "who"]
