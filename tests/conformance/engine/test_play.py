"""Play: verdicts, remarks, skips, and what a script may raise."""

import pytest

from conformance.case import CLIENT, SERVER, Case, Play, section
from conformance.context import Context
from conformance.dialogue import hello
from conformance.outcome import DEPENDENCY, FAIL, HARNESS, INCONCLUSIVE, INFO, MAY, MUST, PASS, SHOULD, SKIP, WARN, MissingDependency, check, inconclusive
from conformance.wire import Action, Remark, Script, Wait
from tests.conformance.memory import TARGET, Mta, run_case

case = section("rfc5321/4.1", SERVER)


def made(play: Play, level: str = MUST, **options: object) -> Case:
    play.__doc__ = "A sentence."
    return section("test/1", SERVER)("one", level, **options)(play)  # type: ignore[arg-type]


def outcome(play: Play, level: str = MUST, **options: object) -> tuple[str, str]:
    result = run_case(made(play, level, **options), TARGET, Mta(), {"PIPELINING": ""})
    return result.outcome, result.reason


@pytest.mark.parametrize(("level", "graded"), [(MUST, FAIL), (SHOULD, WARN), (MAY, INFO)])
def test_a_broken_oracle_is_graded_by_the_level_of_the_case(level: str, graded: str) -> None:
    def play(at: Context) -> Script:
        yield Wait(1)
        check(False, "seen")

    assert outcome(play, level) == (graded, "seen")


def test_an_oracle_may_have_a_level_of_its_own() -> None:
    def play(at: Context) -> Script:
        yield Wait(1)
        check(False, "seen", SHOULD)

    assert outcome(play) == (WARN, "seen")


def test_the_worst_remark_counts_and_does_not_end_the_case() -> None:
    def play(at: Context) -> Script:
        yield Remark("a fact", "info")
        yield Remark("not nice", "warn")
        yield Remark("plain")

    assert outcome(play) == (WARN, "not nice")


def test_what_ends_a_case_otherwise() -> None:
    def policy(at: Context) -> Script:
        yield Wait(1)
        inconclusive("450")

    def lacking(at: Context) -> Script:
        yield Wait(1)
        raise MissingDependency("no library")

    def bug(at: Context) -> Script:
        yield Wait(1)
        assert at.token == "", "a bug of the script"

    assert outcome(policy) == (INCONCLUSIVE, "450")
    assert outcome(lacking) == (DEPENDENCY, "no library")
    told, reason = outcome(bug)
    assert told == HARNESS and reason.startswith("AssertionError: a bug of the script")


@pytest.mark.parametrize(
    "need", ["extension:CHUNKING", "no-extension:PIPELINING", "control:kill", "policy:retry_s", "auth", "suite-tls", "service:submissions"]
)
def test_a_need_that_is_not_met_skips_with_the_reason(need: str) -> None:
    def play(at: Context) -> Script:
        raise AssertionError("must not run")
        yield

    told, reason = outcome(play, needs=(need,))
    assert told == SKIP and reason


@pytest.mark.parametrize("need", ["extension:PIPELINING", "delivery", "two-recipients", "unknown", "outsider", "relay-domain", "service:submission", "dns"])
def test_a_need_that_is_met_does_not_skip(need: str) -> None:
    def play(at: Context) -> Script:
        yield Wait(1)

    assert outcome(play, needs=(need,)) == (PASS, "")


def test_a_connection_that_was_seen_to_end_teaches_nothing_more() -> None:
    class Closing(Mta):
        def connected(self, connection: int, service: str, source: str) -> None:
            self.out.write(connection, b"220 hi\r\n")

        def received(self, connection: int, octets: bytes) -> None:
            if octets.startswith(b"EHLO"):
                self.out.write(connection, b"250 hi\r\n")
            else:
                self.out.shut(connection)

    def play(at: Context) -> Script:
        client = yield from hello(at)
        reply = yield from client.command("NOOP")
        check(reply.is_closed, "it did not close")
        yield from client.command("NOOP")

    result = run_case(made(play), TARGET, Closing(), {})
    assert (result.outcome, result.reason) == (INCONCLUSIVE, "the target had ended the connection (closed)")


def test_a_table_gives_a_case_for_each_row_and_rows_win_over_the_decorator() -> None:
    from typing import NamedTuple

    class Row(NamedTuple):
        id: str
        line: bytes
        level: str = ""

    @case.table((Row("a", b"X\r\n"), Row("b", b"Y", SHOULD)), MUST, prefix="row-", tests=("t",))
    def family(at: Context, row: Row) -> Script:
        """{line} is refused."""
        yield Remark(row.id, "info")

    assert [made.id for made in family] == ["rfc5321/4.1/row-a", "rfc5321/4.1/row-b"]
    assert [made.level for made in family] == [MUST, SHOULD]
    assert family[0].sentence == r"X\r\n is refused." and family[0].tests == ("t",)
    assert [run_case(made, TARGET, Mta(), {}).reason for made in family] == ["a", "b"]


def test_a_case_needs_a_sentence_and_a_good_slug() -> None:
    def play(at: Context) -> Script:
        yield Wait(1)

    with pytest.raises(AssertionError, match="no sentence"):
        case("x", MUST)(play)
    play.__doc__ = "Yes."
    with pytest.raises(AssertionError, match="a slug has"):
        case("a b", MUST)(play)


def test_two_roles_may_share_a_section() -> None:
    both = section("rfc5321/1", SERVER, CLIENT)
    assert both.roles == (SERVER, CLIENT)


def test_actions_are_all_in_the_transcript_table() -> None:
    assert Wait in Action.__args__ and len(Action.__args__) == 15
