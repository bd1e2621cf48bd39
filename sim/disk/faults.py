"""Faults of a disk that runs (F7 to F11, F13): asked at each operation whether it shall go wrong, and how.

Faults of a power loss (F1 to F6) are made by sim.disk.images, random order of names (F14) by the disk, an old backup (F16) by its
`restore`. F12, stalls, are time, and the disk has none. F15, a close that does not sync, is how every disk is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol


class Stream(Protocol):
    """Choices for one purpose: `below(n)` is in [0, n), and 0 is the calm choice."""

    def below(self, n: int) -> int: ...


class Faults:
    """The calm disk: each answer None means that the operation goes well. The other answers stand in OUTCOMES."""

    def on_write(self, path: str, offset: int, octets: int) -> str | None:
        """no_space (F11), io; misdirect (F10): the octets land a chunk away; lost (F10): they are never written."""
        return None

    def on_read(self, path: str, offset: int, octets: int) -> str | None:
        """io (F9)."""
        return None

    def on_sync(self, path: str) -> str | None:
        """Of a file or a directory. fail_clean (F7), fail_revert (F8), ignore (F13), no_space (F11)."""
        return None

    def on_close(self, path: str) -> str | None:
        """no_space (F11), io."""
        return None

    def on_name(self, kind: str, path: str) -> str | None:
        """`kind`: create, rename, unlink, mkdir, fallocate, truncate. no_space (F11), io."""
        return None


@dataclass(frozen=True)
class Outcome:
    """A way in which an operation goes wrong."""

    fault: str  # id in the catalogue of faults
    operation: str
    answer: str


OUTCOMES: Final = (
    Outcome("F7", "sync", "fail_clean"),
    Outcome("F8", "sync", "fail_revert"),
    Outcome("F9", "read", "io"),
    Outcome("F10", "write", "misdirect"),
    Outcome("F10", "write", "lost"),
    Outcome("F11", "write", "no_space"),
    Outcome("F11", "sync", "no_space"),
    Outcome("F11", "close", "no_space"),
    Outcome("F11", "name", "no_space"),
    Outcome("F13", "sync", "ignore"),
)


def fault_id(operation: str, answer: str) -> str:
    """The id in the catalogue; a plain device error has none of its own and counts as F9."""
    return next((outcome.fault for outcome in OUTCOMES if (outcome.operation, outcome.answer) == (operation, answer)), "F9")


class DrawnFaults(Faults):
    """Faults by a choice stream. `per_mille`: fault id -> how many of a thousand operations of its kind; `below`: only paths that begin so."""

    def __init__(self, stream: Stream, per_mille: Mapping[str, int], below: str = "/") -> None:
        self._stream = stream
        self._below = below
        self._rows: dict[str, list[tuple[int, str]]] = {}
        for outcome in OUTCOMES:
            rate = per_mille.get(outcome.fault, 0)
            if rate:
                self._rows.setdefault(outcome.operation, []).append((rate, outcome.answer))

    def on_write(self, path: str, offset: int, octets: int) -> str | None:
        return self._draw("write", path)

    def on_read(self, path: str, offset: int, octets: int) -> str | None:
        return self._draw("read", path)

    def on_sync(self, path: str) -> str | None:
        return self._draw("sync", path)

    def on_close(self, path: str) -> str | None:
        return self._draw("close", path)

    def on_name(self, kind: str, path: str) -> str | None:
        return None if kind == "unlink" else self._draw("name", path)  # giving space back needs none

    def _draw(self, operation: str, path: str) -> str | None:
        rows = self._rows.get(operation)
        if rows is None or not path.startswith(self._below):
            return None
        drawn = self._stream.below(1000) - 1000
        for rate, answer in rows:
            drawn += rate
            if drawn >= 0:
                return answer
        return None


@dataclass
class Planned:
    """The `nth` operation (from 1) on a path that begins with `below` goes wrong by `answer`. `times` 0: and all after it."""

    operation: str  # write, read, sync, close, name
    below: str
    answer: str
    nth: int = 1
    times: int = 1
    seen: int = 0

    def take(self) -> str | None:
        self.seen += 1
        hit = self.seen >= self.nth and (not self.times or self.seen < self.nth + self.times)
        return self.answer if hit else None


class PlannedFaults(Faults):
    """Faults by a plan, for tests and transcripts."""

    def __init__(self, plan: Sequence[Planned]) -> None:
        self.plan = list(plan)

    def on_write(self, path: str, offset: int, octets: int) -> str | None:
        return self._look("write", path)

    def on_read(self, path: str, offset: int, octets: int) -> str | None:
        return self._look("read", path)

    def on_sync(self, path: str) -> str | None:
        return self._look("sync", path)

    def on_close(self, path: str) -> str | None:
        return self._look("close", path)

    def on_name(self, kind: str, path: str) -> str | None:
        return self._look("name", path) or self._look(kind, path)

    def _look(self, operation: str, path: str) -> str | None:
        for planned in self.plan:
            if planned.operation == operation and path.startswith(planned.below):
                answer = planned.take()
                if answer is not None:
                    return answer
        return None
