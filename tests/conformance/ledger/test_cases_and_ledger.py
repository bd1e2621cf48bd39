"""The catalogue of cases against the ledger: each names entries that exist, that are to be tested, and at a level that they bear out."""

from collections.abc import Callable

from conformance.case import catalogue
from conformance.ledger import contradictions, coverage, load, missing, overgraded, unknown


def test_every_entry_that_a_case_names_exists() -> None:
    assert unknown(load(), catalogue()) == ()


def test_no_entry_has_both_a_case_and_a_reason_to_have_none() -> None:
    assert contradictions(load(), catalogue()) == ()


def test_no_case_is_stricter_than_all_the_entries_that_it_tests() -> None:
    assert overgraded(load(), catalogue()) == ()


def test_every_entry_is_tested_or_has_a_reason_or_is_reported_as_missing(record_property: Callable[[str, object], None]) -> None:
    absent = missing(load(), catalogue())
    rows = coverage(load(), catalogue()).rows
    record_property("entries without case and without reason", len(absent))
    assert sum(row.missing for row in rows) == len(absent)
    assert all(row.entries == row.tested + sum(row.reasons.values()) + row.missing for row in rows)
