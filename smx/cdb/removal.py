"""Removal of content segments: which may go, and when (A3, I10).

Why so. Reference counts are recomputed by each QMGR from what it recovered, never stored: a stored count can be wrong. Only
QMGR removes segments. One may go when

    nothing is appended any more: its writer sealed it, or the writer is known dead, or its epoch is before QMGR's own;
    nothing refers to it: no transaction in memory or IBDB, no row of DEFEDB, no unanswered Submit;
    the records that closed the last references are durable (a reference released "after" a log position counts until then).

The owner calls `writer_gone` only when the process is dead *and* its link has ended: a Submit that was still under way counts.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from smx import effects
from smx.effects import AnyEffect
from smx.ids import epoch_of_segment

STORE: Final = "cdb"


class ContentReferences:
    """References of QMGR of `epoch` to content segments."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._counts: dict[int, int] = {}
        self._open: dict[int, None] = {}  # segments that a living writer may still append to
        self._gone: dict[int, None] = {}  # epochs of dead writers
        self._pending: deque[tuple[int, int, int]] = deque()  # (log position, segment, references)
        self._candidates: dict[int, None] = {}  # segments to look at in the next take()

    def restore(self, counts: Iterable[tuple[int, int]]) -> None:
        """The references that recovery counted."""
        for segment, references in counts:
            self.add(segment, references)

    def add(self, segment: int, references: int = 1) -> None:
        """Something refers to the segment: a transaction in memory, or a row."""
        found = self._counts.get(segment)
        if found is None:
            self._counts[segment] = references
            self._note_writer(segment)
        else:
            self._counts[segment] = found + references

    def release(self, segment: int, after: int = 0, references: int = 1) -> None:
        """Something no longer refers to it, once the log is durable up to position `after` (0: at once)."""
        if after:
            assert not self._pending or self._pending[-1][0] <= after, "log positions only grow"
            self._pending.append((after, segment, references))
        else:
            self._drop(segment, references)

    def synced(self, position: int) -> None:
        """The log is durable up to here."""
        pending = self._pending
        while pending and pending[0][0] <= position:
            _, segment, references = pending.popleft()
            self._drop(segment, references)

    def writing(self, epoch: int, segments: Iterable[int]) -> None:
        """A writer said on its new link which segments it has open. That it sealed others may have been lost with the old one (F24)."""
        said = dict.fromkeys(segments)
        for segment in list(self._open):
            if epoch_of_segment(segment) == epoch and segment not in said:
                self.sealed(segment)
        for segment in said:
            assert epoch_of_segment(segment) == epoch
            self._open[segment] = None
            self._counts.setdefault(segment, 0)

    def sealed(self, segment: int) -> None:
        """Its writer appends no more and has answered each transaction in it."""
        self._open.pop(segment, None)
        self._counts.setdefault(segment, 0)
        self._candidates[segment] = None

    def writer_gone(self, epoch: int) -> None:
        """The process of this epoch is dead and its link has ended."""
        self._gone[epoch] = None
        for segment in list(self._counts):
            if epoch_of_segment(segment) == epoch:
                self._open.pop(segment, None)
                self._candidates[segment] = None

    def discovered(self, segments: Iterable[int]) -> None:
        """Segments that lie in the store: those of dead writers go, even if nothing ever referred to them."""
        for segment in segments:
            if self._abandoned(segment):
                self._counts.setdefault(segment, 0)
                self._candidates[segment] = None

    def take(self, out: list[AnyEffect]) -> None:
        """Remove what may go."""
        for segment in self._candidates:
            if self._counts.get(segment) == 0 and segment not in self._open:
                del self._counts[segment]
                out.append(effects.Remove(STORE, segment))
        self._candidates.clear()

    def count(self, segment: int) -> int:
        """References now, the pending ones included."""
        return self._counts.get(segment, 0)

    def segments(self) -> tuple[int, ...]:
        """Every segment known, in order of first mention."""
        return tuple(self._counts)

    def sealed_segments(self) -> dict[int, int]:
        """Segments to which nothing is appended any more, with their references, where there are any."""
        return {segment: references for segment, references in self._counts.items() if references and segment not in self._open}

    def _drop(self, segment: int, references: int) -> None:
        left = self._counts[segment] - references
        assert left >= 0, f"segment {segment:016x} has {left} references"
        self._counts[segment] = left
        if left == 0:
            self._candidates[segment] = None

    def _note_writer(self, segment: int) -> None:
        if not self._abandoned(segment):
            self._open[segment] = None

    def _abandoned(self, segment: int) -> bool:
        epoch = epoch_of_segment(segment)
        return epoch < self._epoch or epoch in self._gone
