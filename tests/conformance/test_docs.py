"""What stands under docs/ about the suite agrees with the suite: the matrix, the readings of others' fails, what smx is expected to fail, the figures."""

import re
from pathlib import Path
from typing import Final

import msgspec
import pytest

from conformance import target as target_file
from conformance.case import ROLES, catalogue
from conformance.expected import load as load_expected
from conformance.ledger import by_id, load, missing
from conformance.outcome import FAIL, HARNESS, INFO, OUTCOMES, PASS, SKIP, WARN
from conformance.profiles import NAMES
from conformance.report.figures import BEGIN, END, Column, Matrix, markdown, placed
from conformance.selection import select

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGES: Final = DOCS / "conformance" / "matrix"
MANUAL: Final = DOCS / "conformance.md"
READ_BY_HAND: Final = ("postfix", "exim")
MACHINE: Final = re.compile(r"/(?:work|tmp|root|home|var/tmp)/")


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fail that was held against the sentence. `verdict`: the fail is right, or the case was mended and fails no more."""

    mta: str
    case: str
    sentence: str
    verdict: str
    why: str


CASES: Final = {case.id: case for case in catalogue()}
MATRIX: Final = msgspec.json.decode((DOCS / "conformance" / "matrix.json").read_bytes(), type=Matrix)
READINGS: Final = msgspec.json.decode((DOCS / "conformance" / "readings.json").read_bytes(), type=list[Reading])
EXPECTED: Final = load_expected(DOCS / "conformance" / "expected-smx.toml")


def ended(mta: str, *outcomes: str) -> set[str]:
    return {name for name, found in MATRIX.cases.items() if found.get(mta) in outcomes}


def test_the_matrix_has_every_profile_with_its_version_and_date() -> None:
    assert {target.name for target in MATRIX.targets} == set(NAMES)
    assert all(re.search(r"\d", target.version) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]+Z", target.date) for target in MATRIX.targets)


def test_the_matrix_knows_only_cases_of_the_catalogue_and_outcomes_of_the_suite() -> None:
    assert set(MATRIX.cases) - set(CASES) == set()
    assert {outcome for found in MATRIX.cases.values() for outcome in found.values()} <= set(OUTCOMES) - {HARNESS}
    assert len(MATRIX.cases) >= 500


@pytest.mark.parametrize("target", MATRIX.targets, ids=lambda target: target.name)
def test_every_mta_was_judged_not_only_started(target: Column) -> None:
    assert len(ended(target.name, PASS)) >= 500


def test_smx_fails_nothing_and_its_warnings_are_those_that_are_explained() -> None:
    assert ended("smx", FAIL) == set()
    assert ended("smx", WARN) <= {entry.id for entry in EXPECTED}


def test_each_entry_of_the_expected_results_means_a_case() -> None:
    for entry in EXPECTED:
        assert select(list(CASES.values()), [entry.id])
        assert entry.outcome == WARN, f"{entry.id}: a fail is to be mended, not to be expected"


@pytest.mark.parametrize("mta", READ_BY_HAND)
def test_each_fail_has_been_read_against_its_sentence(mta: str) -> None:
    right = {reading.case for reading in READINGS if reading.mta == mta and reading.verdict == "right"}
    assert right == ended(mta, FAIL)


def test_what_was_mended_does_not_fail_any_more() -> None:
    assert [reading.case for reading in READINGS if reading.verdict == "mended" and reading.case in ended(reading.mta, FAIL)] == []


@pytest.mark.parametrize("reading", READINGS, ids=lambda reading: f"{reading.mta}-{reading.case}")
def test_a_reading_names_a_case_a_sentence_that_it_tests_and_why(reading: Reading) -> None:
    assert reading.verdict in ("right", "mended")
    assert reading.mta in NAMES
    assert reading.case in CASES
    assert reading.sentence in by_id()
    assert reading.sentence in CASES[reading.case].tests
    assert len(reading.why.split()) >= 5 and reading.why.endswith(".")


def test_each_cell_that_went_wrong_leads_to_its_transcript() -> None:
    index = (PAGES / "index.html").read_text()
    links = set(re.findall(r'class="o (\S+)"><a href="case/([^"#]+)#([^"]+)"', index))
    bad = [outcome for found in MATRIX.cases.values() for outcome in found.values() if outcome not in (PASS, INFO, SKIP)]
    assert sum(outcome not in (PASS, INFO, SKIP) for outcome, _, _ in links) == len(bad)
    pages = {page: (PAGES / "case" / page).read_text() for _, page, _ in links}
    assert all(f'<h2 id="{mta}">' in pages[page] for _, page, mta in links)
    assert {path.name for path in (PAGES / "case").iterdir()} == set(pages)


def test_nothing_of_the_machine_that_ran_it_is_in_the_pages() -> None:
    files = [*DOCS.joinpath("conformance").glob("*.*"), *PAGES.rglob("*.html"), MANUAL]
    assert [path.name for path in files if MACHINE.search(path.read_text())] == []
    assert (DOCS / "conformance" / "matrix.json").stat().st_size < 2_000_000
    assert sum(path.stat().st_size for path in PAGES.rglob("*.*")) < 5_000_000


def test_every_sentence_of_rfc_5321_is_tested_or_has_a_reason() -> None:
    assert missing(load(5321), CASES.values()) == ()


def test_every_role_has_cases_five_hundred_in_all() -> None:
    assert len(CASES) >= 500
    assert all(sum(role in case.roles for case in CASES.values()) >= 40 for role in ROLES)


def test_the_figures_of_the_manual_are_those_of_the_suite() -> None:
    text = MANUAL.read_text()
    assert placed(text, markdown(tuple(CASES.values()), MATRIX)) == text, "say make docs"


def test_figures_need_their_markers() -> None:
    assert placed(f"a\n{BEGIN}\nold\n{END}\nb", "new") == f"a\n{BEGIN}\nnew\n{END}\nb"
    with pytest.raises(ValueError, match="there is no"):
        placed("a", "new")


def test_the_manual_links_to_what_there_is() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", MANUAL.read_text())
    assert "conformance/matrix/index.html" in links
    assert [link for link in links if not (DOCS / link).exists()] == []


def test_the_target_file_of_the_manual_can_be_used(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(name = .*?)```", MANUAL.read_text(), re.DOTALL)
    assert example is not None
    path = tmp_path / "target.toml"
    path.write_text(example[1])
    assert target_file.load(path).services
