"""Expected: what an owner knows of their MTA: a file of cases that do not pass, with the reason; and the exit status of a run.

    [[expected]]
    id = "rfc5321/4.1.1.6/vrfy-*"       # an id, or a pattern with * and ?
    outcome = "warn"
    reason = "addresses are not told to strangers"

A case that ends as its entry says is no trouble. One that ends otherwise is, also when it passes: the entry is then out of date.
"""

import tomllib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from conformance.outcome import DEPENDENCY, FAIL, HARNESS, INCONCLUSIVE, OUTCOMES, SETUP, SKIP, WARN
from conformance.runner import Result

GOOD: Final = 0
BAD: Final = 1  # a fail, a warning under --strict, or something unexpected
BROKEN: Final = 3  # a harness error
NOT_RUN: Final = 4  # set-up or dependency failures


class Expectation(Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    outcome: str
    reason: str


class ExpectedFile(Struct, frozen=True, forbid_unknown_fields=True):
    expected: tuple[Expectation, ...] = ()


class ExpectedError(ValueError):
    """The file cannot be used."""


class Judgement(Struct, frozen=True):
    """`unexpected`: (result, what was expected); `unused`: entries that no case of the run fits."""

    status: int
    unexpected: tuple[tuple[Result, Expectation], ...]
    troubles: tuple[Result, ...]
    unused: tuple[Expectation, ...]


def load(path: Path) -> tuple[Expectation, ...]:
    """Raises ExpectedError, OSError."""
    try:
        found = msgspec.convert(tomllib.loads(path.read_text()), ExpectedFile).expected
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ExpectedError(f"{path}: {error}") from error
    for entry in found:
        if entry.outcome not in OUTCOMES or not entry.reason.strip():
            raise ExpectedError(f"{path}: {entry.id}: it needs an outcome of {', '.join(OUTCOMES)}, and a reason")
    return found


def judge(results: Sequence[Result], expectations: Sequence[Expectation] = (), *, strict: bool = False) -> Judgement:
    """The exit status of a run, and why."""
    unexpected, troubles, used = [], [], set()
    for result in results:
        entry = next((entry for entry in expectations if fnmatchcase(result.id, entry.id)), None)
        if entry is not None:
            used.add(entry.id)
        if entry is not None and result.outcome not in (SKIP, INCONCLUSIVE, SETUP, DEPENDENCY, HARNESS):
            if result.outcome != entry.outcome:
                unexpected.append((result, entry))
        elif result.outcome in (FAIL, HARNESS, SETUP, DEPENDENCY) or (strict and result.outcome == WARN):
            troubles.append(result)
    unused = tuple(entry for entry in expectations if entry.id not in used)
    return Judgement(_status([result.outcome for result in troubles], bool(unexpected)), tuple(unexpected), tuple(troubles), unused)


def _status(outcomes: Sequence[str], is_surprised: bool) -> int:
    if HARNESS in outcomes:
        return BROKEN
    if is_surprised or FAIL in outcomes or WARN in outcomes:
        return BAD
    return NOT_RUN if outcomes else GOOD
