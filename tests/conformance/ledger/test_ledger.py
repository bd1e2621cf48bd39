"""The ledger by itself: the form of its entries, and that each has cases or a reason."""

import re
from collections import Counter

import msgspec
import pytest
from rich.console import Console

from conformance.ledger import (
    KINDS,
    RFCS,
    Entry,
    as_json,
    as_table,
    by_id,
    contradictions,
    coverage,
    faults,
    load,
    missing,
    overgraded,
    unknown,
)


class Case(msgspec.Struct, frozen=True):
    id: str
    tests: tuple[str, ...]
    level: str = "MUST"


GOOD = Entry("5321-4.1.1.4-5", "MUST NOT", "server", "LF dot LF is not the end", "0123456789abcdef")
BAD = [
    ("id", {"id": "5321-4..1-5"}),
    ("id", {"id": "5321-4.1-0"}),
    ("id", {"id": "5321-4.1-5aa"}),
    ("level", {"level": "SHALL"}),
    ("party", {"party": "user"}),
    ("paraphrase", {"paraphrase": ""}),
    ("paraphrase", {"paraphrase": "two\nlines"}),
    ("fingerprint", {"fingerprint": "0123"}),
    ("reason", {"reason": "too hard: really"}),
    ("reason", {"reason": "policy"}),
]


@pytest.mark.parametrize("rfc", RFCS)
def test_every_entry_is_well_formed_and_in_the_file_of_its_rfc(rfc: int) -> None:
    entries = load(rfc)
    assert entries
    assert [(entry.id, faults(entry)) for entry in entries if faults(entry)] == []
    assert {entry.rfc for entry in entries} == {rfc}


def test_every_id_is_unique() -> None:
    assert [entry for entry, count in Counter(entry.id for entry in load()).items() if count > 1] == []


def test_several_entries_of_a_sentence_are_lettered_from_a_and_a_single_one_is_not() -> None:
    letters: dict[str, str] = {}
    for entry in load():
        stem = f"{entry.rfc}-{entry.section}-{entry.number}"
        letters[stem] = letters.get(stem, "") + (entry.id.removeprefix(stem) or "-")
    assert {stem: found for stem, found in letters.items() if found not in ("-", "ab", "abc", "abcd")} == {}


def test_numbers_of_a_section_follow_each_other_without_a_gap() -> None:
    seen: dict[tuple[int, str, bool], list[int]] = {}
    for entry in load():
        numbers = seen.setdefault((entry.rfc, entry.section, entry.number.startswith("n")), [])
        number = int(entry.number.lstrip("n"))
        if number not in numbers:
            numbers.append(number)
    assert [(key, numbers) for key, numbers in seen.items() if sorted(numbers) != list(range(1, len(numbers) + 1))] == []


def test_a_reason_that_names_another_entry_names_one_that_exists() -> None:
    sentences = {f"{entry.rfc}-{entry.section}-{entry.number}" for entry in load()}
    known = sentences | set(by_id())
    for entry in load():
        for name in re.findall(r"(?<![\w.])(?:[A-Z]|\d+)(?:\.\d+)*-n?\d+[a-z]?(?![\w-])", entry.reason):
            other = re.search(r"RFC (\d+) (?:\S+ )*?" + re.escape(name), entry.reason)
            assert f"{other[1] if other else entry.rfc}-{name}" in known, (entry.id, name)


def test_the_form_of_a_good_entry_has_no_fault() -> None:
    assert faults(GOOD) == ()
    assert (GOOD.rfc, GOOD.section, GOOD.number, GOOD.kind) == (5321, "4.1.1.4", "5", "")


@pytest.mark.parametrize(("fault", "change"), BAD)
def test_each_fault_of_form_is_named(fault: str, change: dict[str, str]) -> None:
    assert faults(msgspec.structs.replace(GOOD, **change)) == (fault,)


def test_an_rfc_that_the_ledger_lacks_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        load(821)


ENTRIES = (
    GOOD,
    Entry("5321-4.1.1.4-6a", "MUST", "server", "one", "0" * 16),
    Entry("5321-4.1.1.4-6b", "MAY", "server", "two", "0" * 16, "policy: the site's choice"),
    Entry("2920-3.2-1", "MUST", "server", "three", "1" * 16, "untestable: not seen"),
)
CASES = (Case("b", ("5321-4.1.1.4-5",)), Case("a", ("5321-4.1.1.4-5", "5321-4.1.1.4-6b", "5321-9-9")))


def test_an_entry_is_missing_if_it_has_neither_case_nor_reason() -> None:
    assert missing(ENTRIES, CASES) == ("5321-4.1.1.4-6a",)
    assert missing(ENTRIES, ()) == ("5321-4.1.1.4-5", "5321-4.1.1.4-6a")


def test_an_entry_with_both_case_and_reason_contradicts_itself() -> None:
    assert contradictions(ENTRIES, CASES) == ("5321-4.1.1.4-6b",)


def test_an_id_that_only_a_case_knows_is_unknown() -> None:
    assert unknown(ENTRIES, CASES) == ("5321-9-9",)


@pytest.mark.parametrize(
    ("level", "tests", "too_strict"),
    [
        ("MUST", ("5321-4.1.1.4-5",), False),
        ("MUST", ("5321-4.1.1.4-6b",), True),
        ("SHOULD", ("5321-4.1.1.4-6b",), True),
        ("MAY", ("5321-4.1.1.4-6b",), False),
        ("MUST", ("5321-4.1.1.4-6b", "5321-4.1.1.4-6a"), False),
        ("MUST", (), False),
    ],
)
def test_a_case_is_overgraded_if_all_its_entries_ask_for_less(level: str, tests: tuple[str, ...], too_strict: bool) -> None:
    assert overgraded(ENTRIES, (Case("a", tests, level),)) == (("a",) if too_strict else ())


def test_coverage_counts_each_entry_once_in_the_row_of_its_rfc() -> None:
    rows = coverage(ENTRIES, CASES).rows
    assert [(row.rfc, row.sentences, row.entries, row.tested, row.reasons, row.missing) for row in rows] == [
        (5321, 2, 3, 2, {}, 1),
        (2920, 1, 1, 0, {"untestable": 1}, 0),
    ]


def test_the_json_of_coverage_has_an_object_for_each_entry() -> None:
    decoded = msgspec.json.decode(as_json(coverage(ENTRIES, CASES)))
    assert decoded["entries"][0] == {
        "id": "5321-4.1.1.4-5",
        "section": "4.1.1.4",
        "level": "MUST NOT",
        "party": "server",
        "cases": ["a", "b"],
        "reason": "",
        "paraphrase": "LF dot LF is not the end",
    }
    assert len(decoded["entries"]) == len(ENTRIES)
    assert [row["rfc"] for row in decoded["rfcs"]] == [5321, 2920]


def test_the_table_of_coverage_has_a_line_for_each_rfc_and_the_sum() -> None:
    console = Console(width=200, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(as_table(coverage(load(), ())))
    lines = captured.get().splitlines()
    assert all(any(f" {rfc} " in line for line in lines) for rfc in RFCS)
    numbers = re.findall(r"\d+", lines[-2])
    _, entries, tested, *reasons, absent = map(int, numbers)
    assert (entries, tested) == (len(load()), 0)
    assert sum(reasons) + absent == entries
    assert len(reasons) == len(KINDS)
