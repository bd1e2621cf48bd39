"""Outcomes: what a case can end with, how a broken oracle is graded, and how a script says so.

Three groups that are never mixed: verdicts on the target (pass, fail, warn, info), no verdict (skip, inconclusive), and trouble of our own or of
the set-up (setup-failure, dependency-failure, harness-error).
"""

from typing import Final, NoReturn

from msgspec import Struct

MUST: Final = "MUST"
MUST_NOT: Final = "MUST NOT"
SHOULD: Final = "SHOULD"
SHOULD_NOT: Final = "SHOULD NOT"
MAY: Final = "MAY"
LEVELS: Final = (MUST, MUST_NOT, SHOULD, SHOULD_NOT, MAY)

PASS: Final = "pass"
FAIL: Final = "fail"  # a MUST is broken
WARN: Final = "warn"  # a SHOULD is not followed
INFO: Final = "info"  # the RFC leaves it free: a fact
SKIP: Final = "skip"  # not offered, or the target file has not what it needs
INCONCLUSIVE: Final = "inconclusive"  # something legal came first, such as greylisting
SETUP: Final = "setup-failure"  # the known-good conversation of the group does not work
DEPENDENCY: Final = "dependency-failure"  # something this machine lacks
HARNESS: Final = "harness-error"  # a bug of the suite
OUTCOMES: Final = (PASS, FAIL, WARN, INFO, SKIP, INCONCLUSIVE, SETUP, DEPENDENCY, HARNESS)

_GRADES: Final = {MUST: FAIL, MUST_NOT: FAIL, SHOULD: WARN, SHOULD_NOT: WARN, MAY: INFO}


def graded(level: str) -> str:
    """The outcome of a broken oracle at this level."""
    return _GRADES[level]


class Verdict(Struct, frozen=True):
    outcome: str
    reason: str = ""


class EndOfCaseError(Exception):
    """A script ends before its last line. `outcome`: how, unless the level of the case decides."""

    outcome = ""

    def verdict(self, level: str) -> Verdict:
        return Verdict(self.outcome or graded(level), str(self))


class Broken(EndOfCaseError):  # noqa: N818 - what it says is about the target, not about us
    """An oracle does not hold: graded by the level of the case, or by its own."""

    def __init__(self, reason: str, level: str = "") -> None:
        super().__init__(reason)
        self.level = level

    def verdict(self, level: str) -> Verdict:
        return super().verdict(self.level or level)


class Inconclusive(EndOfCaseError):  # noqa: N818
    """Something that is legal here kept the case from coming to its point."""

    outcome = INCONCLUSIVE


class Skipped(EndOfCaseError):  # noqa: N818
    """Not offered, not configured."""

    outcome = SKIP


class MissingDependency(EndOfCaseError):  # noqa: N818
    """This machine lacks something that the case needs, such as a library or an address."""

    outcome = DEPENDENCY


def check(holds: object, reason: str, level: str = "") -> None:
    """An oracle: `reason` says what was seen, not what was hoped for. `level` when it is not that of the case."""
    if not holds:
        raise Broken(reason, level)


def skip(reason: str) -> NoReturn:
    """The target has not what the case is about."""
    raise Skipped(reason)


def inconclusive(reason: str) -> NoReturn:
    """Something legal kept the case from its point."""
    raise Inconclusive(reason)
