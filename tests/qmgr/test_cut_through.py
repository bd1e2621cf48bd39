"""The cut-through table, every cell (A12, SX24)."""

import itertools

import pytest

from smx.qmgr.cut_through import TABLE, Part, Step, decide, part

COUNTS = [
    (total, delivered, failed, deferred)
    for total in range(1, 6)
    for delivered, failed, deferred in itertools.product(range(total + 1), repeat=3)
    if delivered + failed + deferred <= total
]


def expected(total: int, delivered: int, failed: int, deferred: int, late: bool) -> Step:
    """The rule in words, another way round."""
    if delivered == total:
        return Step.DELIVERED
    if total == failed == 1:
        return Step.FAILED
    if failed or deferred or late:
        return Step.SECURE
    return Step.WAIT


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("counts", COUNTS, ids=str)
def test_every_combination(counts: tuple[int, int, int, int], late: bool) -> None:
    assert decide(*counts, late=late) is expected(*counts, late)


def test_the_table_has_every_cell_that_can_occur_and_no_other() -> None:
    cells = set()
    for total, delivered, failed, deferred in COUNTS:
        flight = total - delivered - failed - deferred
        cells.add((part(delivered, total), part(failed, total), part(deferred, total), part(flight, total)))
    assert cells == set(TABLE)


def test_nothing_is_promised_while_anything_is_open_or_lost() -> None:
    for cell, step in TABLE.items():
        if step is Step.DELIVERED:
            assert cell == (Part.ALL, Part.NONE, Part.NONE, Part.NONE)
