"""Which cases are chosen, what is expected of them, and the exit status; the target file."""

from pathlib import Path

import pytest

from conformance import expected, selection, target
from conformance.case import Case, catalogue
from conformance.expected import BAD, BROKEN, GOOD, NOT_RUN, Expectation, ExpectedError, judge
from conformance.ledger import load, unknown
from conformance.needs import is_known
from conformance.outcome import DEPENDENCY, FAIL, HARNESS, INCONCLUSIVE, INFO, PASS, SETUP, SKIP, WARN
from conformance.runner import Result
from conformance.selection import SelectionError, select


def case(name: str, level: str = "MUST", *roles: str) -> Case:
    section, _, slug = name.rpartition("/")
    return Case(slug, section, level, roles or ("server",), "A sentence.", lambda at: iter(()))  # type: ignore[arg-type,return-value]


CASES = (
    case("rfc5321/4.1/a"),
    case("rfc5321/4.1.1/a"),
    case("rfc5321/4.1.1/b", "SHOULD"),
    case("rfc5321/4.10/a", "MUST NOT", "relay"),
    case("rfc1870/3/a", "MUST", "client", "relay"),
)


@pytest.mark.parametrize(
    ("only", "exclude", "chosen"),
    [
        ("", "", "01234"),
        ("rfc5321", "", "0123"),
        ("rfc5321/4.1", "", "012"),
        ("rfc5321/4.1.1/b", "", "2"),
        ("*/a", "", "0134"),
        ("server", "", "012"),
        ("relay", "", "34"),
        ("MUST", "", "014"),
        ("MUST-NOT,SHOULD", "", "23"),
        ("server,MUST", "", "01"),
        ("server,client,MUST,rfc1870,rfc5321/4.1.1", "", "14"),
        ("", "server,rfc1870", "3"),
        ("rfc5321", "SHOULD", "013"),
    ],
)
def test_words_choose_cases(only: str, exclude: str, chosen: str) -> None:
    assert select(CASES, selection.words([only]), selection.words([exclude])) == [CASES[int(number)] for number in chosen]


def test_a_word_that_means_nothing_is_refused() -> None:
    with pytest.raises(SelectionError, match="no case is meant by 'rfc9999'"):
        select(CASES, ["rfc9999"])


def result(outcome: str, name: str = "rfc5321/4.1/a") -> Result:
    section = name.rpartition("/")[0]
    return Result(name, section, "MUST", ("server",), "A sentence.", (), "", 1, outcome, "because", 0.0)


@pytest.mark.parametrize(
    ("outcomes", "strict", "status"),
    [
        ((PASS, INFO, SKIP, INCONCLUSIVE, WARN), False, GOOD),
        ((PASS, WARN), True, BAD),
        ((PASS, FAIL), False, BAD),
        ((FAIL, HARNESS), False, BROKEN),
        ((PASS, SETUP), False, NOT_RUN),
        ((PASS, DEPENDENCY), False, NOT_RUN),
        ((SETUP, FAIL), False, BAD),
        ((), False, GOOD),
    ],
)
def test_exit_status(outcomes: tuple[str, ...], strict: bool, status: int) -> None:
    assert judge([result(outcome) for outcome in outcomes], strict=strict).status == status


@pytest.mark.parametrize(
    ("outcome", "wanted", "status"),
    [(FAIL, FAIL, GOOD), (WARN, WARN, GOOD), (PASS, FAIL, BAD), (FAIL, WARN, BAD), (SKIP, FAIL, GOOD), (HARNESS, FAIL, BROKEN)],
)
def test_an_expected_result_is_no_trouble_and_an_unexpected_pass_is(outcome: str, wanted: str, status: int) -> None:
    entry = Expectation("rfc5321/4.1/*", wanted, "known")
    assert judge([result(outcome)], [entry], strict=True).status == status


def test_an_expectation_without_a_case_is_told() -> None:
    entry = Expectation("rfc1/*", FAIL, "known")
    assert judge([result(PASS)], [entry]).unused == (entry,)


def test_the_expected_file_needs_an_outcome_and_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "expected.toml"
    path.write_text('[[expected]]\nid = "a"\noutcome = "warn"\nreason = "so it is"\n')
    assert expected.load(path) == (Expectation("a", WARN, "so it is"),)
    for bad in ('outcome = "bad"\nreason = "r"', 'outcome = "warn"\nreason = " "', 'outcome = "warn"', "x = ["):
        path.write_text(f'[[expected]]\nid = "a"\n{bad}\n')
        with pytest.raises(ExpectedError):
            expected.load(path)


def test_every_case_of_the_suite_has_needs_that_exist_and_tests_sentences_that_exist() -> None:
    cases = catalogue()
    assert [(one.id, need) for one in cases for need in one.needs if not is_known(need)] == []
    assert unknown(load(), cases) == ()


def test_a_target_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "target.toml"
    text = 'name = "x"\nhostname = "mx.x.test"\n[services]\nsmtp = "127.0.0.1:25"\n[mail]\nlocal_domain = "x.test"\nrecipients = ["a@x.test"]\n'
    path.write_text(text)
    read = target.load(path)
    assert read.recipient == "a@x.test" and read.dns.listen == "" and read.limits.parallel == 8
    for bad in (
        text + "colour = 1\n",
        text.replace("a@x.test", "a"),
        text.replace('["a@x.test"]', "[]"),
        "x = [",
        text + '[delivery]\nmbox = "a"\nmaildir = "b"\n',
    ):
        path.write_text(bad)
        with pytest.raises(target.TargetError):
            target.load(path)
