"""The recovery table: every combination of what IBDB and DEFEDB may say, crossed with everything else (A4)."""

from itertools import product

import pytest

from smx.qmgr.recovery_table import ContentSeen, Decision, LastVerdict, Pattern, RowSeen, decide

V, R, D, C = LastVerdict, RowSeen, Decision, ContentSeen
LIVE = {D.QUEUE, D.ROW, D.MOVED, D.STORE}
ROW = {D.ROW, D.MOVED}

# The table of the rules, cell by cell: what each line says about each cell it covers.
EXPECTED = {
    # opening verdict row
    (True, V.NONE, R.NONE): D.QUEUE,
    (True, V.NONE, R.OLDER): D.MOVED,
    (True, V.NONE, R.SAME): D.MOVED,
    (True, V.NONE, R.NEWER): D.MOVED,
    (True, V.DEFERRED, R.NONE): D.STORE,
    (True, V.DEFERRED, R.OLDER): D.STORE,
    (True, V.DEFERRED, R.SAME): D.ROW,
    (True, V.DEFERRED, R.NEWER): D.ROW,
    (True, V.FINAL, R.NONE): D.CLOSE,
    (True, V.FINAL, R.OLDER): D.DELETE,
    (True, V.FINAL, R.SAME): D.DELETE,
    (True, V.FINAL, R.NEWER): D.QUARANTINE,
    (False, V.NONE, R.NONE): D.IGNORE,
    (False, V.NONE, R.OLDER): D.ROW,
    (False, V.NONE, R.SAME): D.ROW,
    (False, V.NONE, R.NEWER): D.ROW,
    (False, V.DEFERRED, R.NONE): D.QUARANTINE,
    (False, V.DEFERRED, R.OLDER): D.STORE,
    (False, V.DEFERRED, R.SAME): D.ROW,
    (False, V.DEFERRED, R.NEWER): D.ROW,
    (False, V.FINAL, R.NONE): D.IGNORE,
    (False, V.FINAL, R.OLDER): D.DELETE,
    (False, V.FINAL, R.SAME): D.DELETE,
    (False, V.FINAL, R.NEWER): D.QUARANTINE,
}
BOOL = (False, True)
ALL = [Pattern(o, v, r, c, *flags) for (o, v, r), c, flags in product(EXPECTED, C, product(BOOL, repeat=7))]


@pytest.mark.feature("SX15")
@pytest.mark.parametrize(("opening", "verdict", "row"), EXPECTED, ids=lambda value: str(getattr(value, "name", value)))
def test_each_cell_of_the_table(opening: bool, verdict: LastVerdict, row: RowSeen) -> None:
    assert decide(Pattern(opening, verdict, row))[0] == EXPECTED[opening, verdict, row]


def test_all_combinations_are_covered() -> None:
    assert len(EXPECTED) == 2 * 3 * 4
    assert len(ALL) == 24 * 3 * 2**7
    for pattern in ALL:
        decision, why = decide(pattern)
        assert isinstance(decision, Decision)
        assert bool(why) == (decision is D.QUARANTINE), pattern


def expected(p: Pattern) -> Decision:
    """What every combination must give, said a second time and independently: first what ends a recipient, then what may hold it."""
    base = EXPECTED[p.opening, p.verdict, p.row]
    known = p.opening or p.row is not R.NONE
    if p.expanded:
        ended = D.DELETE if p.row is not R.NONE else D.CLOSE
        return ended if not p.owed else D.NOTIFY if known else D.QUARANTINE
    if p.moved and p.row is R.NONE and p.verdict is not V.FINAL:
        return D.CLOSE
    if base in {D.CLOSE, D.DELETE, D.IGNORE}:
        return base if not p.owed else D.NOTIFY if known else D.QUARANTINE
    if base is D.QUARANTINE or p.quarantined or p.unknown or p.crashed or p.content is not C.SOUND:
        return D.QUARANTINE
    return D.HOLD if p.held else base


def test_every_combination_has_its_outcome() -> None:
    for pattern in ALL:
        assert decide(pattern)[0] == expected(pattern), pattern


def test_nobody_who_is_live_is_ever_closed() -> None:
    """I1: only a final verdict, an expansion, or DEFEDB's own word ends a recipient."""
    for pattern in ALL:
        decision, _ = decide(pattern)
        if decision in {D.CLOSE, D.DELETE, D.IGNORE}:
            ended = pattern.verdict is V.FINAL or pattern.expanded or (pattern.moved and pattern.row is R.NONE)
            assert ended or (not pattern.opening and pattern.verdict is V.NONE and pattern.row is R.NONE), pattern


def test_nobody_whose_verdict_was_final_is_tried_again() -> None:
    """I6: a recorded delivery is never repeated."""
    for pattern in ALL:
        if pattern.verdict is V.FINAL or pattern.expanded:
            assert decide(pattern)[0] not in LIVE | {D.HOLD}, pattern


def test_nothing_damaged_or_dangerous_goes_out() -> None:
    """A1, A14, A16: content that is not sound, unknown records and poison keep a recipient from delivery."""
    for pattern in ALL:
        if pattern.content is not C.SOUND or pattern.unknown or pattern.crashed or pattern.quarantined or pattern.held:
            assert decide(pattern)[0] not in LIVE, pattern


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ({"content": C.DAMAGED}, "damaged"),
        ({"content": C.MISSING}, "missing"),
        ({"unknown": True}, "newer version"),
        ({"crashed": True}, "crashes"),
        ({"quarantined": True}, "earlier"),
    ],
)
def test_the_reason_says_why(flags: dict[str, bool], word: str) -> None:
    decision, why = decide(Pattern(True, V.NONE, R.NONE, **flags))  # type: ignore[arg-type]
    assert decision is D.QUARANTINE
    assert word in why
