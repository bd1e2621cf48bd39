"""I10: no envelope without content, no content without envelope once the queue is empty and one clean-up has passed; the space comes back."""

from collections.abc import Iterable
from typing import Final

from sim.duplicates import Outlook
from sim.facts import Leftovers, Noted
from sim.ledger import Ledger, words
from sim.observer import Handlers, Violation, violate
from smx.ids import SEGMENT_BITS

SPARES: Final = 2  # segments that a living writer keeps open: the current one, and one ahead
DAMAGING: Final = frozenset(("F8", "F9", "F10", "F13", "F16"))


def orphans(files: Iterable[str], writers: Iterable[int]) -> list[str]:
    """Content segments of an empty queue that are not the open ones of a living writer (`writers`: their epochs)."""
    left: dict[int, list[str]] = {}
    foreign = []
    living = set(writers)
    for name in sorted(files):
        digits, dot, suffix = name.partition(".")
        try:
            epoch = int(digits, 16) >> SEGMENT_BITS
        except ValueError:
            epoch = -1
        if epoch not in living or (dot + suffix) != ".cdb":
            foreign.append(name)
        else:
            left.setdefault(epoch, []).append(name)
    return foreign + [name for names in left.values() for name in names[:-SPARES]]


class NoOrphans:
    id = "I10"
    sentence = "no envelope without content, no content without envelope, and the space of an empty queue is the baseline"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._ledger = ledger
        self._left: Leftovers | None = None
        self.handlers: Handlers = {Leftovers: self._on_leftovers, "damaged": self._on_damaged, "quarantined": self._on_quarantined}

    def _on_leftovers(self, fact: Leftovers) -> None:
        self._left = fact

    def _on_damaged(self, fact: Noted) -> None:
        if fact.values[0] == "cdb" and self._causeless:
            violate(self, fact.at, f"an envelope without content: {words(fact.values[4])}", fact)

    def _on_quarantined(self, fact: Noted) -> None:
        if "content" in words(fact.values[2]) and self._causeless:
            violate(self, fact.at, f"an envelope without content: {words(fact.values[2])}", fact)

    @property
    def _causeless(self) -> bool:
        return self._ledger.families.isdisjoint(DAMAGING)

    def finish(self, at: int) -> None:
        left, queue = self._left, self._ledger.queue
        if left is None or (queue is not None and queue.rows):
            return
        foreign = orphans(left.files, left.writers)
        if foreign:
            violate(self, at, f"the queue is empty, and content is left: {', '.join(foreign[:5])}", left)
        if left.rows:
            violate(self, at, f"the queue is empty, and DEFEDB has {left.rows} rows", left)
        if left.baseline and left.octets > left.baseline:
            violate(self, at, f"the queue is empty, and the spool takes {left.octets} octets, more than {left.baseline}", left)
