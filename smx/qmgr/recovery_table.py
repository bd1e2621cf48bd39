"""The recovery table: what becomes of a recipient, given what IBDB and DEFEDB say about it (A4).

The table is data, one row a line; `decide` looks a pattern up and then applies what crosses it: content, quarantine, records of a newer
version, holds, expansion, crashes, moves and owed notifications. A test goes through every combination.

`opening`: IBDB has the envelope. `verdict`: the last one in IBDB, of attempt a. `row`: DEFEDB has a row; its attempt compared with a.
"""

from enum import IntEnum
from typing import Final

import msgspec


class LastVerdict(IntEnum):
    NONE = 0
    DEFERRED = 1
    FINAL = 2


class RowSeen(IntEnum):
    """With no verdict to compare with, a row counts as SAME."""

    NONE = 0
    OLDER = 1  # row attempt < a
    SAME = 2
    NEWER = 3  # row attempt > a


class ContentSeen(IntEnum):
    SOUND = 0
    DAMAGED = 1
    MISSING = 2


class Decision(IntEnum):
    QUEUE = 1  # for an attempt
    ROW = 2  # it lives in DEFEDB
    MOVED = 3  # it lives in DEFEDB, and IBDB does not know yet
    STORE = 4  # make or renew the row from the record
    HOLD = 5  # make or renew the row, held
    NOTIFY = 6  # closed, but a notification is owed
    DELETE = 7  # closed; delete the row
    CLOSE = 8  # closed
    IGNORE = 9  # stale
    QUARANTINE = 10  # set aside and report


LIVE: Final = frozenset((Decision.QUEUE, Decision.ROW, Decision.MOVED, Decision.STORE))
_YES, _NO, _ANY = (True,), (False,), (True, False)
_V, _R, _D = LastVerdict, RowSeen, Decision

# fmt: off
TABLE: Final = (
    # opening  verdict       row                                  decision       why, when it is corruption
    (_YES,     _V.NONE,      (_R.NONE,),                          _D.QUEUE,      ""),
    (_YES,     _V.NONE,      (_R.OLDER, _R.SAME, _R.NEWER),       _D.MOVED,      ""),
    (_YES,     _V.DEFERRED,  (_R.NONE,),                          _D.STORE,      ""),
    (_NO,      _V.DEFERRED,  (_R.NONE,),                          _D.QUARANTINE, "deferred, but neither the envelope nor a row is there"),
    (_ANY,     _V.DEFERRED,  (_R.SAME, _R.NEWER),                 _D.ROW,        ""),
    (_ANY,     _V.DEFERRED,  (_R.OLDER,),                         _D.STORE,      ""),
    (_ANY,     _V.FINAL,     (_R.OLDER, _R.SAME),                 _D.DELETE,     ""),
    (_ANY,     _V.FINAL,     (_R.NEWER,),                         _D.QUARANTINE, "a row of a later attempt than the final verdict"),
    (_YES,     _V.FINAL,     (_R.NONE,),                          _D.CLOSE,      ""),
    (_NO,      _V.NONE,      (_R.OLDER, _R.SAME, _R.NEWER),       _D.ROW,        ""),
    (_NO,      _V.FINAL,     (_R.NONE,),                          _D.IGNORE,     ""),
    (_NO,      _V.NONE,      (_R.NONE,),                          _D.IGNORE,     ""),
)
# fmt: on

_LOOKUP: Final = {(opening, verdict, row): (decision, why) for openings, verdict, rows, decision, why in TABLE for opening in openings for row in rows}


class Pattern(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """All that is known of a recipient after the log was read.

    `quarantined`: set aside earlier. `unknown`: a record of a newer version concerns it. `expanded`: an Expanded record replaced it.
    `crashed`: it was in hand at too many crashes (A14). `moved`: a Moved record says that DEFEDB took it over. `owed`: final, with a DSN to
    be written.
    """

    opening: bool
    verdict: LastVerdict
    row: RowSeen
    content: ContentSeen = ContentSeen.SOUND
    quarantined: bool = False
    unknown: bool = False
    held: bool = False
    expanded: bool = False
    crashed: bool = False
    moved: bool = False
    owed: bool = False


def decide(pattern: Pattern) -> tuple[Decision, str]:
    """The decision, and the reason when it is QUARANTINE."""
    if pattern.expanded:  # A7: never repeated, whatever else is said
        if pattern.owed:
            return _owed(pattern)
        return (Decision.CLOSE if pattern.row is RowSeen.NONE else Decision.DELETE), ""
    decision, why = _LOOKUP[pattern.opening, pattern.verdict, pattern.row]
    if pattern.moved and pattern.row is RowSeen.NONE and pattern.verdict is not LastVerdict.FINAL:
        return Decision.CLOSE, ""  # DEFEDB took it over and has since done with it
    if pattern.owed and decision in (Decision.CLOSE, Decision.DELETE, Decision.IGNORE):
        return _owed(pattern)
    if decision not in LIVE:
        return decision, why
    why = _why_quarantined(pattern)
    if why:
        return Decision.QUARANTINE, why
    if pattern.held:
        return Decision.HOLD, ""
    return decision, ""


def _owed(pattern: Pattern) -> tuple[Decision, str]:
    """A notification needs the envelope: from the opening, or from the row."""
    if pattern.opening or pattern.row is not RowSeen.NONE:
        return Decision.NOTIFY, ""
    return Decision.QUARANTINE, "a notification is owed, but neither the envelope nor a row is there"


def _why_quarantined(pattern: Pattern) -> str:
    if pattern.quarantined:
        return "set aside earlier"
    if pattern.unknown:
        return "a record of a newer version concerns it"  # A16
    if pattern.content is ContentSeen.DAMAGED:
        return "content damaged"  # A1
    if pattern.content is ContentSeen.MISSING:
        return "content missing"
    if pattern.crashed:
        return "in hand at too many crashes"  # A14
    return ""
