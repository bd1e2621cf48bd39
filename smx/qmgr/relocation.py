"""Relocation: gives content segments up that are mostly dead: what lives in them is copied together (A3, SX09).

One deferred message would hold a segment of many megabytes for days. Nothing is done about it as long as there is room:

    held    octets of all sealed content segments             a list of the store, every ROUND_US
    live    octets in them that something refers to           looked up by segment in memory and in DEFEDB; remembered until half of a
                                                              segment's references are gone
    given up while   held > 2 * live + cdb_waste_max          cdb_waste_max counts as 0 while the disk has less than slow_free
    which            the one with most dead octets, of those at least half dead

So a server without a backlog, or with one that fits into cdb_waste_max, never reads a row for it; one with a large backlog has at most about
twice the octets on disk that it needs. Each octet copied gives at least one octet back.

Bounds: one message at a time, RELOCATION_RATE_OCTETS a second, a page of rows every PAGE_US. Messages above RELOCATION_OCTETS_MAX are not
copied, nor is anything else out of their segment: most of them have a segment of their own, which goes with them.
While the log has no spare segment or DEFEDB cannot be written nothing is moved: rows and records are needed for it.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from smx.cdb.format import HEADER_OCTETS
from smx.cdb.writer import Progress
from smx.effects import Find, ListStore
from smx.events import Found, Listed
from smx.limits import RELOCATION_OCTETS_MAX, RELOCATION_RATE_OCTETS
from smx.messages import Content
from smx.qmgr.copying import Copier, End
from smx.qmgr.envelopes import Transaction
from smx.qmgr.rows import RowError, read_row
from smx.units import MILLISECOND, SECOND

if TYPE_CHECKING:
    from smx.qmgr.hub import Hub

ROUND_US: Final = 30 * SECOND
PAGE_US: Final = 50 * MILLISECOND
PAGE_ROWS: Final = 256
CONTENTS_MAX: Final = 10_000  # of one segment that are looked at; with more of them it is not mostly dead
ROOM_AGAIN_US: Final = 30 * SECOND


class Seen(Struct):
    """What was found in a segment: its references then, the octets that live."""

    references: int
    live: int


class Look(Struct):
    """A segment that is being looked at. `contents`: by transaction, as many as were found yet."""

    segment: int
    octets: int  # of the file
    then: Callable[["Look"], None]
    contents: dict[int, Content] = {}
    live: int = 0

    @property
    def full(self) -> bool:
        """More than half of it lives, or it cannot be given up."""
        return 2 * self.live > self.octets

    def take(self, transaction: int, content: Content) -> None:
        if transaction not in self.contents:
            self.contents[transaction] = content
            self.live += content.octets + HEADER_OCTETS
            if content.octets > RELOCATION_OCTETS_MAX or len(self.contents) > CONTENTS_MAX:
                self.keep()

    def keep(self) -> None:
        self.live = max(self.live, self.octets)


class Relocation:
    """Owns the rounds. `next_at`: now at which `pump` has something to do; 0: it waits for a completion."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._copier = Copier(hub)
        self.waste_max_octets = hub.settings.cdb_waste_max_octets
        self.next_at = 0
        self._octets: dict[int, int] = {}  # sealed segments and the sizes of their files
        self._seen: dict[int, Seen] = {}
        self._unseen: deque[int] = deque()  # of this round, to be looked at
        self._memory: dict[int, list[Transaction]] = {}  # who had its content there when the round began
        self._done: set[int] = set()  # given up in this round, whether it worked or not
        self._next: Callable[[], None] = self._list
        self._victim = 0
        self._left: deque[tuple[int, Content]] = deque()  # to be copied out of the victim
        self._copied = 0
        self._copied_octets = 0

    @property
    def busy(self) -> bool:
        """Content is being copied together: let the segment that it goes to stay open."""
        return self._copier.busy or bool(self._left)

    def start(self) -> None:
        """Recovery has ended."""
        self.next_at = self._hub.now + ROUND_US

    def pump(self) -> None:
        """At the end of a step, when `next_at` has come."""
        hub = self._hub
        if hub.deferral.blocked_until or not hub.ibdb.roomy:
            self.next_at = hub.now + ROOM_AGAIN_US
            return
        self.next_at = 0
        self._next()

    def progress(self, progress: Progress) -> None:
        """The content writer got on."""
        self._copier.progress(progress)

    def _soon(self, what: Callable[[], None], us: int) -> None:
        self._next = what
        self.next_at = self._hub.now + us

    def _rest(self) -> None:
        self._memory.clear()
        self._soon(self._list, ROUND_US)

    # --- a round: what is there? ----------------------------------------------------------------------------------------

    def _list(self) -> None:
        hub = self._hub
        if hub.references.sealed_segments():
            hub.effects.append(ListStore("cdb", hub.request(self._listed)))
        else:
            self._rest()

    def _listed(self, event: Listed) -> None:
        sealed = self._hub.references.sealed_segments()
        self._octets = {file.segment: file.octets for file in event.files if file.segment in sealed}
        self._seen = {segment: seen for segment, seen in self._seen.items() if segment in self._octets}
        self._done.clear()
        if sum(self._octets.values()) <= self._allowance:
            self._rest()
            return
        for transaction in self._hub.transactions.values():
            self._memory.setdefault(transaction.content.segment, []).append(transaction)
        self._unseen.extend(segment for segment in self._octets if self._is_stale(segment))
        self._look_at_next()

    @property
    def _allowance(self) -> int:
        admission = self._hub.admission
        return 0 if admission.free_octets < admission.limits.slow_free_octets else self.waste_max_octets

    def _is_stale(self, segment: int) -> bool:
        """It was not looked at, or has lost half of its references since."""
        seen = self._seen.get(segment)
        return seen is None or 2 * self._hub.references.count(segment) <= seen.references

    def _look_at_next(self) -> None:
        if self._unseen:
            segment = self._unseen.popleft()
            self._look(Look(segment, self._octets[segment], self._looked))
        else:
            self._choose()

    def _looked(self, look: Look) -> None:
        self._seen[look.segment] = Seen(self._hub.references.count(look.segment), min(look.live, look.octets))
        self._soon(self._look_at_next, PAGE_US)

    # --- looking ------------------------------------------------------------------------------------------------------

    def _look(self, look: Look) -> None:
        """Find everything that lives in a segment; enough is enough."""
        for transaction in self._memory.get(look.segment, ()):
            if transaction.content.segment == look.segment and self._hub.transactions.get(transaction.id) is transaction:
                look.take(transaction.id, transaction.content)
        self._page(look, (0, -1))

    def _page(self, look: Look, after: tuple[int, int]) -> None:
        hub = self._hub

        def found(event: Found) -> None:
            for row in event.rows:
                if row.transaction not in look.contents:
                    try:
                        look.take(row.transaction, read_row(row)[0].content)
                    except RowError:
                        look.keep()
            if event.more and not look.full:
                last = event.rows[-1]
                self._soon(partial(self._page, look, (last.transaction, last.index)), PAGE_US)
            else:
                look.then(look)

        transaction, index = after
        hub.effects.append(Find(hub.request(found), after_transaction=transaction, after_index=index, limit=PAGE_ROWS, segment=look.segment))

    # --- giving up ----------------------------------------------------------------------------------------------------

    def _choose(self) -> None:
        """The next victim, if there is need for one."""
        references, seen = self._hub.references, self._seen
        octets = {segment: size for segment, size in self._octets.items() if references.count(segment)}
        held = sum(octets.values())
        live = sum(seen[segment].live for segment in octets if segment in seen)
        dead = {segment: size - seen[segment].live for segment, size in octets.items() if segment in seen and segment not in self._done}
        victims = [segment for segment, size in dead.items() if 2 * size >= octets[segment]]
        if held <= 2 * live + self._allowance or not victims:
            self._rest()
            return
        victim = max(victims, key=lambda segment: (dead[segment], segment))
        self._done.add(victim)
        self._look(Look(victim, octets[victim], self._give_up))

    def _give_up(self, look: Look) -> None:
        self._seen[look.segment] = Seen(self._hub.references.count(look.segment), min(look.live, look.octets))
        self._victim = look.segment
        self._copied = self._copied_octets = 0
        if not look.full:
            self._left.extend(look.contents.items())
        self._copy_next()

    def _copy_next(self) -> None:
        if self._left:
            transaction, content = self._left.popleft()
            self._copier.copy(transaction, content, partial(self._ended, content))
            return
        if self._copied:
            self._hub.note("relocated", self._victim, self._copied, self._copied_octets)
        self._soon(self._choose, PAGE_US)

    def _ended(self, content: Content, end: End) -> None:
        wait = MILLISECOND
        match end:
            case End.MOVED:
                self._copied += 1
                self._copied_octets += content.octets
                wait += content.octets * SECOND // RELOCATION_RATE_OCTETS
            case End.BUSY:
                pass
            case End.DAMAGED | End.UNREADABLE:
                self._seen[self._victim] = Seen(self._hub.references.count(self._victim), self._octets[self._victim])  # it stays: look elsewhere
            case End.NO_SPACE:
                self._left.clear()
        self._soon(self._copy_next, wait)
