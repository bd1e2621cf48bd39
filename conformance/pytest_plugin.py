"""Pytest plugin: the cases as tests, for another MTA's own test suite: `pytest -p conformance.pytest_plugin --smtp-target FILE`.

All chosen cases run once, together, when the first of them is asked for; each test then tells the verdict of its case: fail fails, warn, info and pass pass
(warn fails with --smtp-strict), skip and inconclusive skip, trouble of the set-up is an error.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

from conformance import expected, selection, target
from conformance.case import Case, catalogue
from conformance.outcome import INCONCLUSIVE, SKIP
from conformance.runner import Options, Result, repeat_line, run
from conformance.transcript import as_text

_NODE: Final = "conformance"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance", "SMTP conformance")
    group.addoption("--smtp-target", metavar="FILE", help="target file of the MTA under test")
    group.addoption("--smtp-only", metavar="WORDS", default="", help="only these cases: ids, sections, levels, roles, patterns; commas between")
    group.addoption("--smtp-exclude", metavar="WORDS", default="", help="all but these")
    group.addoption("--smtp-expected", metavar="FILE", help="expected-results file: what is known not to pass")
    group.addoption("--smtp-strict", action="store_true", help="a SHOULD that is not followed fails its test")
    group.addoption("--smtp-slow", action="store_true", help="also the cases that wait for minutes or longer")


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Adds the cases to what was found."""
    if config.getoption("--smtp-target"):
        suite = Suite.from_parent(session, name=_NODE)
        items.extend(suite.collect())


class Verdict(Exception):  # noqa: N818 - it is what a test ends with
    """A case that did not pass; the text is for people."""


class Suite(pytest.Collector):
    """The cases that were chosen, and what became of them."""

    def collect(self) -> Iterable["CaseItem"]:
        options = self.config.option
        try:
            cases = selection.select(catalogue(), selection.words([options.smtp_only]), selection.words([options.smtp_exclude]))
            self.subject = target.load(Path(options.smtp_target))
            self.expectations = expected.load(Path(options.smtp_expected)) if options.smtp_expected else ()
        except (selection.SelectionError, target.TargetError, expected.ExpectedError, OSError) as error:
            raise pytest.UsageError(str(error)) from error
        self.cases = cases
        self.results: dict[str, Result] = {}
        return [CaseItem.from_parent(self, name=case.id, case=case) for case in cases]

    def result(self, case: Case) -> Result:
        """Runs all cases when the first is asked for."""
        if not self.results:
            found = run(self.subject, self.cases, Options(slow=self.config.option.smtp_slow))
            self.results = {result.id: result for result in found.results}
        return self.results[case.id]


class CaseItem(pytest.Item):
    """A case as a test."""

    def __init__(self, *, case: Case, **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type]
        self.case: Final = case

    def runtest(self) -> None:
        suite = self.parent
        assert isinstance(suite, Suite)
        result = suite.result(self.case)
        if result.outcome in (SKIP, INCONCLUSIVE):
            pytest.skip(f"{result.outcome}: {result.reason}")
        judgement = expected.judge([result], suite.expectations, strict=self.config.option.smtp_strict)
        if judgement.status != expected.GOOD:
            raise Verdict("\n".join(self._lines(result, judgement)))

    def _lines(self, result: Result, judgement: expected.Judgement) -> Iterator[str]:
        yield f"{result.outcome}: {result.reason}"
        for _, entry in judgement.unexpected:
            yield f"expected is {entry.outcome}: {entry.reason}"
        yield f"{result.level}: {result.sentence}"
        yield result.link
        yield repeat_line(result, f"--target {self.config.option.smtp_target}")
        yield as_text(result.transcript)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        return str(excinfo.value)

    def reportinfo(self) -> tuple[Path, None, str]:
        return Path(self.config.option.smtp_target), None, self.case.id
