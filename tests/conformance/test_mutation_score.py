"""The conformance suite against a reference and its mutants: each case passes on the one, and fails where a sentence that it is about is broken.

The whole table: `python -m tests.conformance.reference.score --json --all`.
"""

from functools import cache
from typing import Final

import pytest

from conformance.case import ROLES, SERVER, Case, catalogue
from conformance.outcome import INCONCLUSIVE, INFO, MAY, PASS, SKIP
from conformance.runner import Result
from tests.conformance.reference.mutants import mutants
from tests.conformance.reference.mutants.mutant import Mutant
from tests.conformance.reference.score import Bench, Score, measure, musts, summary, touching

SCORE_MIN: Final = 0.95
MUTANTS_MIN: Final = 150
SLICES: Final = 4
# Cases that say nothing about the reference, and why; besides those that need what its target file does not state.
NO_VERDICT: Final = {
    "rfc5321/7.3/off-means-252": (SKIP, "VRFY is on"),
    "rfc3030/2/rset-before-the-next-message": (INCONCLUSIVE, "a session is for one message"),
    "rfc5321/3.3/next-message-after-a-refusal": (INCONCLUSIVE, "a session is for one message"),
    "rfc6533/4/orcpt-that-is-not-valid": (SKIP, "reports are in ASCII"),
}
LACKS: Final = ("the target file does not state", "the target has no service")


@cache
def cases_of(role: str) -> tuple[Case, ...]:
    return tuple(case for case in catalogue() if case.roles[0] == role)


@cache
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("role", ROLES)
def test_every_case_passes_on_the_reference(role: str) -> None:
    wrong = {case.id: f"{result.outcome}: {result.reason}" for case in cases_of(role) if not is_good(case, result := bench().on_reference(case))}
    assert wrong == {}


def is_good(case: Case, result: Result) -> bool:
    """It passes, records a fact, or is left out for a stated reason."""
    if result.outcome == SKIP and result.reason.startswith(LACKS):
        return True
    return result.outcome in (PASS, INFO if case.level == MAY else PASS, NO_VERDICT.get(case.id, (PASS, ""))[0])


@pytest.mark.parametrize("number", range(SLICES))
def test_nearly_every_case_fails_on_a_mutant_that_breaks_its_sentence(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    score: Score = measure(catalogue()[number::SLICES], mutants(), bench(), names=())
    with capsys.disabled():
        print(f"\npart {number + 1} of {SLICES}: {summary(score)}", end="")
    assert score.share >= SCORE_MIN, score.survivors


@pytest.mark.parametrize("number", range(SLICES))
def test_every_mutant_is_found_by_a_case_about_its_sentence(number: int) -> None:
    missed = [mutant.name for mutant in mutants()[number::SLICES] if not found(mutant)]
    assert missed == []


def found(mutant: Mutant) -> bool:
    """Whether a case fails on it; those that share most with it are asked first."""
    cases = sorted((case for case in catalogue() if set(case.tests) & set(mutant.tests)), key=lambda case: len(case.tests))
    return any(bench().kills(case, mutant) for case in cases)


def test_there_are_enough_mutants_and_one_for_every_must_of_servers_that_is_tested() -> None:
    assert len(mutants()) >= MUTANTS_MIN
    lacking = [id_ for id_, has in musts(cases_of(SERVER), mutants()).items() if not has]
    assert lacking == []


def test_a_mutant_is_only_counted_for_the_sentences_it_breaks() -> None:
    case = cases_of(SERVER)[0]
    assert all(set(case.tests) & set(mutant.tests) for mutant in touching(case, mutants()))
