"""Summary: how many cases of each section ended how."""

from collections.abc import Iterable

from conformance.outcome import OUTCOMES
from conformance.runner import Result


def counts(results: Iterable[Result]) -> dict[str, int]:
    """Outcome -> cases, in the order of OUTCOMES, without zeros."""
    found = dict.fromkeys(OUTCOMES, 0)
    for result in results:
        found[result.outcome] += 1
    return {outcome: number for outcome, number in found.items() if number}


def by_section(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Section -> its results; sections in the order of the RFCs."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.section, []).append(result)
    return {section: found[section] for section in sorted(found, key=section_key)}


def section_key(section: str) -> tuple[str, list[tuple[int, int, str]]]:
    """4.10 stands behind 4.2."""
    rfc, _, number = section.partition("/")
    return rfc, [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in number.split(".")]
