"""Join the ledger with the cases: what is tested, what is not and why, what is missing. Coverage is computed here and never written down by hand."""

from collections import Counter
from collections.abc import Iterable

import msgspec
from rich.table import Table

from conformance.ledger.entry import KINDS, RFCS, TITLES, CaseLike, Entry

_RANK = {"MUST": 0, "MUST NOT": 0, "SHOULD": 1, "SHOULD NOT": 1, "MAY": 2}


class Line(msgspec.Struct, frozen=True):
    """One entry with the ids of the cases that test it."""

    id: str
    section: str
    level: str
    party: str
    cases: tuple[str, ...]
    reason: str
    paraphrase: str


class Row(msgspec.Struct, frozen=True):
    """One RFC. sentences: those with a key word. entries = tested + untested by reason + missing, when no entry has both a case and a reason."""

    rfc: int
    title: str
    sentences: int
    entries: int
    tested: int
    reasons: dict[str, int]
    missing: int


class Coverage(msgspec.Struct, frozen=True):
    rows: tuple[Row, ...]
    entries: tuple[Line, ...]


def coverage(entries: Iterable[Entry], cases: Iterable[CaseLike]) -> Coverage:
    """A row for each RFC that has entries here, in the order of the ledger, and a line for each entry."""
    entries = tuple(entries)
    tests = _tests(cases)
    lines = tuple(Line(e.id, e.section, e.level, e.party, tests.get(e.id, ()), e.reason, e.paraphrase) for e in entries)
    rows = (_row(rfc, [entry for entry in entries if entry.rfc == rfc], tests) for rfc in RFCS)
    return Coverage(tuple(row for row in rows if row.entries), lines)


def missing(entries: Iterable[Entry], cases: Iterable[CaseLike]) -> tuple[str, ...]:
    """The ids of entries with neither a case nor a reason: none when the suite is complete."""
    tests = _tests(cases)
    return tuple(entry.id for entry in entries if not entry.reason and entry.id not in tests)


def contradictions(entries: Iterable[Entry], cases: Iterable[CaseLike]) -> tuple[str, ...]:
    """The ids of entries that have a reason not to be tested and yet are."""
    tests = _tests(cases)
    return tuple(entry.id for entry in entries if entry.reason and entry.id in tests)


def unknown(entries: Iterable[Entry], cases: Iterable[CaseLike]) -> tuple[str, ...]:
    """Ids that cases name and no entry has."""
    known = {entry.id for entry in entries}
    return tuple(sorted(set(_tests(cases)) - known))


def overgraded(entries: Iterable[Entry], cases: Iterable[CaseLike]) -> tuple[str, ...]:
    """The ids of cases whose level is stricter than that of every entry they test: they would call a fail what the RFC does not demand."""
    levels = {entry.id: entry.level for entry in entries}
    found = ((case, [_RANK[levels[name]] for name in case.tests if name in levels]) for case in cases)
    return tuple(case.id for case, ranks in found if ranks and _RANK[case.level] < min(ranks))


def as_json(result: Coverage) -> str:
    """An object with `rfcs` and `entries`; each entry has id, section, level, party, cases, reason, paraphrase."""
    return msgspec.json.format(msgspec.json.encode({"rfcs": result.rows, "entries": result.entries})).decode()


def as_table(result: Coverage) -> Table:
    """A line for each RFC and one for all."""
    table = Table(title="Ledger: what the RFCs ask for and what is tested")
    table.add_column("RFC", justify="right")
    table.add_column("title")
    for name in ("sentences", "entries", "tested", *KINDS, "missing"):
        table.add_column(name, justify="right")
    for row in result.rows:
        table.add_row(str(row.rfc), row.title, *_numbers([row]), end_section=row is result.rows[-1])
    table.add_row("", "all", *_numbers(result.rows))
    return table


def _numbers(rows: Iterable[Row]) -> tuple[str, ...]:
    rows = tuple(rows)
    counts = [sum(getattr(row, name) for row in rows) for name in ("sentences", "entries", "tested")]
    counts += [sum(row.reasons.get(kind, 0) for row in rows) for kind in KINDS]
    return tuple(map(str, (*counts, sum(row.missing for row in rows))))


def _row(rfc: int, entries: list[Entry], tests: dict[str, tuple[str, ...]]) -> Row:
    sentences = {(entry.section, entry.number) for entry in entries if not entry.number.startswith("n")}
    tested = sum(entry.id in tests for entry in entries)
    reasons = Counter(entry.kind for entry in entries if entry.reason and entry.id not in tests)
    absent = sum(not entry.reason and entry.id not in tests for entry in entries)
    return Row(rfc, TITLES[rfc], len(sentences), len(entries), tested, dict(reasons), absent)


def _tests(cases: Iterable[CaseLike]) -> dict[str, tuple[str, ...]]:
    """The ids of the cases of each entry, sorted."""
    found: dict[str, set[str]] = {}
    for case in cases:
        for entry in case.tests:
            found.setdefault(entry, set()).add(case.id)
    return {entry: tuple(sorted(ids)) for entry, ids in found.items()}
