"""Figures: what the suite has and covers, and how the MTAs of a matrix fared, as Markdown that a document keeps between two markers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from conformance.case import ROLES, Case
from conformance.ledger import KINDS, coverage, load
from conformance.outcome import LEVELS, OUTCOMES

BEGIN: Final = "<!-- figures: made by `smx-conformance figures` -->"
END: Final = "<!-- end of figures -->"


class Column(Struct, frozen=True):
    """An MTA of the matrix."""

    name: str
    version: str
    date: str


class Matrix(Struct, frozen=True):
    """`cases`: id -> name of the MTA -> outcome."""

    targets: tuple[Column, ...]
    cases: dict[str, dict[str, str]]


def markdown(cases: Sequence[Case], matrix: Matrix | None = None) -> str:
    """Cases by role and level, the ledger by RFC, and the matrix by MTA."""
    parts = [_cases(cases), _ledger(cases)]
    if matrix is not None:
        parts.append(_fared(matrix))
    return "\n\n".join(parts)


def placed(text: str, figures: str) -> str:
    """A document with other figures between its markers. ValueError: it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"there is no {BEGIN} with {END} behind it")
    return f"{before}{BEGIN}\n{figures}\n{END}{after}"


def _cases(cases: Sequence[Case]) -> str:
    rows = [[role, *_by_level([case for case in cases if case.roles[0] == role])] for role in ROLES]
    return _table(["role", *LEVELS, "all", "slow"], [*rows, ["all", *_by_level(cases)]])


def _by_level(cases: Sequence[Case]) -> list[object]:
    found = Counter(case.level for case in cases)
    return [*(found[level] for level in LEVELS), len(cases), sum(case.slow for case in cases)]


def _ledger(cases: Sequence[Case]) -> str:
    rows = [
        [f"{row.rfc} {row.title}", row.sentences, row.entries, row.tested, *(row.reasons.get(kind, 0) for kind in KINDS), row.missing]
        for row in coverage(load(), cases).rows
    ]
    sums = [sum(int(str(row[column])) for row in rows) for column in range(1, len(rows[0]))]
    return _table(["RFC", "sentences", "entries", "tested", *KINDS, "missing"], [*rows, ["all", *sums]])


def _fared(matrix: Matrix) -> str:
    rows = []
    for target in matrix.targets:
        found = Counter(outcomes[target.name] for outcomes in matrix.cases.values() if target.name in outcomes)
        rows.append([target.name, target.version, target.date[:10], *(found[outcome] for outcome in OUTCOMES[:6]), sum(found[name] for name in OUTCOMES[6:])])
    return _table(["MTA", "version", "date", *OUTCOMES[:6], "not run"], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
