"""Clock: what becomes of the times of next attempts when the wall clock is set back (F26, L1).

`next_try` is a stamp of the wall clock, for it has to outlast the process. When that clock is set back by a day, every deferred recipient would
wait a day longer. So after a jump, and at every start (the clock may have been set while nobody ran), rows whose next attempt lies further ahead
than any wait can be get a new time, spread over the longest wait of the schedule. A clock that is set forward makes rows due early: that harms nobody (A15).

They are looked for on disk, behind the last stamp that can be right, a page at a time, each when the one before has been written again. Rows
that are out are being changed anyway: `wrong` looks at each time that is written, and has the search done again.
"""

from typing import TYPE_CHECKING, Final

from smx.effects import Fetch, Row
from smx.events import Fetched
from smx.qmgr.retry import spread
from smx.units import MINUTE, SECOND

if TYPE_CHECKING:
    from smx.qmgr.hub import Hub

PAGE_ROWS_MAX: Final = 1_000
AHEAD_US: Final = 5 * SECOND  # further ahead than the longest wait: a clock that is slewed, not set
EVER: Final = 1 << 62
CROWD_US: Final = MINUTE  # dispatch.PROBE_CROWD_US, which is added to the pause of a dead destination


class Clock:
    """Part of QMGR. `look` begins a search, `pump` goes on with it."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._after: tuple[int, int, int] | None = None  # the key behind which the search goes on; None: nothing is searched
        self._asked = False
        self._again = False

    @property
    def longest_us(self) -> int:
        """No row is ever given a longer wait."""
        retry = self._hub.retry
        return max(retry.max_us, retry.dead_max_us + retry.dead_max_us // 5 + CROWD_US)

    @property
    def latest(self) -> int:
        """The last stamp that can be right."""
        return self._hub.stamp + self.longest_us + AHEAD_US

    def wrong(self, row: Row) -> bool:
        """A row that was stored has a time that cannot be right: it was reckoned before the clock was set."""
        return row.next_try > self.latest

    def look(self) -> None:
        """Search all rows."""
        if self._after is None:
            self._after = (self.latest, 0, -1)
        else:
            self._again = True

    def pump(self) -> None:
        """At the end of each step: the next page, when nothing of the last one waits any more."""
        hub = self._hub
        if self._after is None or self._asked or hub.deferral.busy:
            return
        self._asked = True
        hub.effects.append(Fetch(hub.request(self._on_fetched), EVER, PAGE_ROWS_MAX, *self._after))

    def _on_fetched(self, event: Fetched) -> None:
        hub = self._hub
        self._asked = False
        for row in event.rows:
            self._after = (row.next_try, row.transaction, row.index)
            if not hub.edbc.is_out((row.transaction, row.index)):
                wait = int(hub.retry.max_us * spread(hub.seed, b"clock", row.transaction, row.index))
                hub.deferral.postpone(row, hub.stamp + wait)
        if not event.more:
            self._after = None
            if self._again:
                self._again = False
                self.look()
