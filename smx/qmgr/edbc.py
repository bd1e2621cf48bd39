"""EDBC, the envelope database cache: the soonest deferred rows of DEFEDB in memory, in order (SX18).

DEFEDB may hold far more rows than memory should. The cache holds every deferred row up to a key, the horizon, and no row beyond
it; keys are (next_try, transaction, index). What is stored with an earlier key enters the cache; what is later stays on disk.
When the cache overflows, its latest rows are dropped and the horizon comes back to the last one kept. When few rows are left and
the disk has more, the next ones are fetched.

A row that was taken from the cache, or whose change is on its way to the disk, is *out*: it lives elsewhere in memory and a
Fetched that still shows it is not believed (I11). This suffices because the store does its work in order: at a Fetched, each
change ordered before the Fetch has been said to be stored, and each later one is still out.

Costs: a row in or out is one bisection and one move of a list of small integers; rows from a Fetch go to the end as they come.
"""

from bisect import bisect_right, insort
from typing import Final

from smx.effects import Row

Key = tuple[int, int]  # (transaction, index)
_Order = tuple[int, int, int]  # (-next_try, -transaction, -index): the soonest stands last in the list

FETCH_ROWS_MAX: Final = 1_000
_EVERYTHING: Final = (1 << 63, 1 << 63, 1 << 63)
_NOTHING: Final = (-1, -1, -1)


def _order(row: Row) -> _Order:
    return (-row.next_try, -row.transaction, -row.index)


class Edbc:
    """At most `entries_max` rows. The owner carries out what `fetch` asks for and says everything that happens to rows."""

    def __init__(self, entries_max: int) -> None:
        self.entries_max = entries_max
        self._rows: dict[Key, Row] = {}
        self._order: list[_Order] = []  # may name rows that have left or moved: skipped when met
        self._out: set[Key] = set()
        self._horizon: tuple[int, int, int] = _NOTHING
        self._asked = False  # a Fetch is on its way
        self._void = False  # its answer does not connect to the horizon any more

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: Key) -> bool:
        return key in self._rows

    @property
    def out(self) -> int:
        """How many rows are out."""
        return len(self._out)

    @property
    def complete(self) -> bool:
        """Every deferred row that is not out is in the cache."""
        return self._horizon == _EVERYTHING

    def is_out(self, key: Key) -> bool:
        return key in self._out

    # --- rows leave and come back ---------------------------------------------------------------------------------

    def take(self, until: int) -> Row | None:
        """The soonest row with next_try <= `until`; it is out from now on."""
        while self._order:
            found = self._order[-1]
            row = self._rows.get((-found[1], -found[2]))
            if row is None or row.next_try != -found[0]:
                self._order.pop()
                continue
            if row.next_try > until:
                return None
            self._order.pop()
            self.leave((row.transaction, row.index))
            return row
        return None

    def leave(self, key: Key) -> None:
        """The recipient lives elsewhere in memory, or its row is about to be changed or deleted."""
        self._rows.pop(key, None)
        self._out.add(key)

    def stored(self, row: Row) -> None:
        """The row is on disk like this, and nowhere else in memory. `row.state` is 0."""
        self._out.discard((row.transaction, row.index))
        if (row.next_try, row.transaction, row.index) > self._horizon:
            return
        self._rows[row.transaction, row.index] = row
        insort(self._order, _order(row))
        if len(self._rows) > self.entries_max:
            self._overflow()
        elif len(self._order) > 2 * len(self._rows) + 64:
            self._tidy()

    def gone(self, key: Key) -> None:
        """The row is not deferred any more: deleted, held or quarantined."""
        self._out.discard(key)
        self._rows.pop(key, None)

    # --- the disk -------------------------------------------------------------------------------------------------

    def soonest(self) -> int | None:
        """next_try of the soonest row in the cache; None when there is none (which says nothing of the disk unless `complete`)."""
        while self._order:
            found = self._order[-1]
            row = self._rows.get((-found[1], -found[2]))
            if row is not None and row.next_try == -found[0]:
                return row.next_try
            self._order.pop()
        return None

    def fetch(self) -> tuple[tuple[int, int, int], int] | None:
        """(key to fetch after, limit) when the cache wants more from the disk and nothing was asked yet. The owner must ask now."""
        room = self.entries_max - len(self._rows)
        if self._asked or self.complete or 2 * room < self.entries_max:
            return None
        self._asked = True
        self._void = False
        return self._horizon, min(room, FETCH_ROWS_MAX)

    def fetched(self, rows: tuple[Row, ...], *, more: bool) -> None:
        """The answer: rows in order behind the key asked for. `more`: the disk has further ones."""
        assert self._asked
        self._asked = False
        if self._void:
            return
        fresh = [row for row in rows if (row.transaction, row.index) not in self._out]
        for row in fresh:
            self._rows[row.transaction, row.index] = row
        if rows:
            self._horizon = (rows[-1].next_try, rows[-1].transaction, rows[-1].index)
            orders = [_order(row) for row in reversed(fresh)]
            self._order[0:0] = orders
            if fresh and bisect_right(self._order, orders[-1]) != len(orders):
                self._order.sort()
        if not more:
            self._horizon = _EVERYTHING
        if len(self._rows) > self.entries_max:
            self._overflow()

    # --- bounds ---------------------------------------------------------------------------------------------------

    def _overflow(self) -> None:
        """Drop the latest quarter: the disk has them. What lies behind the last row kept is not in the cache any more."""
        self._tidy()
        drop = len(self._rows) - self.entries_max * 3 // 4
        for _, transaction, index in self._order[:drop]:
            del self._rows[-transaction, -index]
        del self._order[:drop]
        last = self._order[0]
        self._horizon = (-last[0], -last[1], -last[2])
        self._void = True

    def _tidy(self) -> None:
        """Forget places of rows that have left or moved."""
        self._order = sorted(_order(row) for row in self._rows.values())
