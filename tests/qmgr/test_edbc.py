"""EDBC over a table on disk: in order, bounded, complete, and nobody is in two places (SX18, I11)."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smx.effects import Row
from smx.qmgr.edbc import Edbc


def row(number: int, next_try: int, *, attempt: int = 1) -> Row:
    return Row(number, 0, attempt, next_try, 0, "x.example", 1, b"", b"")


class Table:
    """DEFEDB, as far as Fetch goes."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = {(one.transaction, one.index): one for one in rows}

    def fetch(self, after: tuple[int, int, int], limit: int) -> tuple[tuple[Row, ...], bool]:
        keys = sorted((one.next_try, one.transaction, one.index) for one in self.rows.values())
        keys = [key for key in keys if key > after]
        return tuple(self.rows[transaction, index] for _, transaction, index in keys[:limit]), len(keys) > limit


def refill(edbc: Edbc, table: Table) -> None:
    while (wanted := edbc.fetch()) is not None:
        rows, more = table.fetch(*wanted)
        edbc.fetched(rows, more=more)


@pytest.mark.feature("SX18")
def test_times_are_honoured_with_a_backlog_far_larger_than_the_cache() -> None:
    table = Table([row(number, (number * 7919) % 10_007) for number in range(1, 5_000)])
    edbc = Edbc(64)
    taken = []
    refill(edbc, table)
    while (found := edbc.take(20_000)) is not None:
        assert len(edbc) <= 64
        taken.append(found.next_try)
        del table.rows[found.transaction, found.index]
        edbc.gone((found.transaction, found.index))
        refill(edbc, table)
    assert len(taken) == 4_999
    assert taken == sorted(taken)


def test_a_row_stored_before_the_horizon_is_found_although_the_cache_was_filled_earlier() -> None:
    table = Table([row(number, 100 + number) for number in range(1, 200)])
    edbc = Edbc(16)
    refill(edbc, table)
    early = row(1_000, 50)
    edbc.leave((1_000, 0))
    table.rows[1_000, 0] = early
    edbc.stored(early)
    assert edbc.soonest() == 50
    assert edbc.take(60) == early


def test_nothing_is_taken_before_its_time() -> None:
    edbc = Edbc(16)
    refill(edbc, Table([row(1, 100)]))
    assert edbc.take(99) is None
    assert edbc.soonest() == 100
    assert edbc.take(100) is not None


class Cache(RuleBasedStateMachine):
    """The cache, the disk, and a Fetch and Stores that take time but keep their order."""

    def __init__(self) -> None:
        super().__init__()
        self.edbc = Edbc(8)
        self.disk = Table([])
        self.hand: dict[int, Row] = {}  # taken, nothing ordered yet
        self.orders: list[tuple[str, object]] = []  # to the disk, in order
        self.done: list[tuple[str, object]] = []  # answers on their way, in order
        self.on_way: set[int] = set()
        self.number = 0
        self.now = 0

    @rule(next_try=st.integers(0, 60))
    def store_new(self, next_try: int) -> None:
        self.number += 1
        self.edbc.leave((self.number, 0))
        self.on_way.add(self.number)
        self.orders.append(("store", row(self.number, self.now + next_try)))

    @rule()
    def take(self) -> None:
        found = self.edbc.take(self.now)
        if found is not None:
            assert found.transaction not in self.hand
            assert found.transaction not in self.on_way
            assert self.disk.rows[found.transaction, 0] == found
            self.hand[found.transaction] = found

    @precondition(lambda self: self.hand)
    @rule(data=st.data(), wait=st.integers(0, 60))
    def defer_again(self, data: st.DataObject, wait: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.hand)))
        del self.hand[number]
        self.on_way.add(number)
        self.orders.append(("store", row(number, self.now + wait)))

    @precondition(lambda self: self.hand)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.hand)))
        del self.hand[number]
        self.on_way.add(number)
        self.orders.append(("delete", number))

    @rule()
    def ask(self) -> None:
        wanted = self.edbc.fetch()
        if wanted is not None:
            self.orders.append(("fetch", wanted))

    @precondition(lambda self: self.orders)
    @rule()
    def disk_works(self) -> None:
        kind, what = self.orders.pop(0)
        if kind == "store":
            assert isinstance(what, Row)
            self.disk.rows[what.transaction, 0] = what
            self.done.append((kind, what))
        elif kind == "delete":
            assert isinstance(what, int)
            del self.disk.rows[what, 0]
            self.done.append((kind, what))
        else:
            assert isinstance(what, tuple)
            self.done.append((kind, self.disk.fetch(*what)))

    @precondition(lambda self: self.done)
    @rule()
    def answer(self) -> None:
        kind, what = self.done.pop(0)
        if kind == "store":
            assert isinstance(what, Row)
            self.on_way.discard(what.transaction)
            self.edbc.stored(what)
        elif kind == "delete":
            assert isinstance(what, int)
            self.on_way.discard(what)
            self.edbc.gone((what, 0))
        else:
            assert isinstance(what, tuple)
            self.edbc.fetched(what[0], more=what[1])

    @rule(us=st.integers(0, 30))
    def wait(self, us: int) -> None:
        self.now += us

    @invariant()
    def bounded(self) -> None:
        assert len(self.edbc) <= 8
        assert self.edbc.out == len(self.hand) + len(self.on_way)

    @invariant()
    def soonest_is_soonest(self) -> None:
        """No row that is at rest on disk is sooner than the cache's soonest, unless the cache is empty and knows that it has to ask."""
        if self.orders or self.done:
            return
        rest = [one.next_try for one in self.disk.rows.values() if one.transaction not in self.hand]
        soonest = self.edbc.soonest()
        if soonest is None:
            assert not rest or not self.edbc.complete
        else:
            assert soonest == min(rest)

    def teardown(self) -> None:
        """Everything that is left comes out, in order, once."""
        while self.orders or self.done:
            if self.orders:
                self.disk_works()
            else:
                self.answer()
        seen = []
        for _ in range(10_000):
            refill(self.edbc, self.disk)
            found = self.edbc.take(1 << 40)
            if found is None:
                break
            seen.append(found)
            del self.disk.rows[found.transaction, 0]
            self.edbc.gone((found.transaction, 0))
        assert [one.next_try for one in seen] == sorted(one.next_try for one in seen)
        assert {one.transaction for one in self.disk.rows.values()} == set(self.hand)


Cache.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestCache = Cache.TestCase
