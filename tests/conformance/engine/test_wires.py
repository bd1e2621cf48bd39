"""One case on both wires: on sockets against a whole smx, in memory against its SMTPS component, and against a server that is wrong."""

import pytest

from conformance.case import SERVER, Case, catalogue, section
from conformance.context import Context
from conformance.dialogue import hello
from conformance.oracle import expect
from conformance.outcome import FAIL, MUST, PASS
from conformance.runner import run
from conformance.target import Delivery, Mail, Sources, Target
from conformance.transcript import EVENT, Entry
from conformance.wire import Now, Script
from smx.testing.server import Server
from tests.conformance.engine.smx_server import SmxServer
from tests.conformance.memory import TARGET, Mta, World, run_case

ORDER = [case for case in catalogue() if case.section == "rfc5321/4.1.4" and SERVER in case.roles and not (case.needs or case.slow)][:8]


@pytest.fixture
def target(smx_server: object) -> Target:
    mta = smx_server(local_domains=("local.test",))  # type: ignore[operator]
    assert isinstance(mta, Server)
    return Target(
        name="smx",
        hostname="mx.example.org",
        services={"smtp": f"127.0.0.1:{mta.port}"},
        mail=Mail(local_domain="local.test", recipients=("alice@local.test",)),
        delivery=Delivery(maildir=f"{mta.maildirs}/%u"),
        sources=Sources(),
    )


@pytest.mark.parametrize("case", ORDER, ids=lambda case: case.slug)
def test_a_case_passes_in_memory_against_the_component(case: Case) -> None:
    result = run_case(case, TARGET, SmxServer())
    assert (result.outcome, result.reason) == (PASS, "")


def test_the_same_cases_pass_on_sockets_with_the_same_words(target: Target) -> None:
    found = run(target, ORDER)
    assert {result.id: result.outcome for result in found.results} == dict.fromkeys((case.id for case in ORDER), PASS)
    assert found.extensions["PIPELINING"] == ""
    for result in found.results:
        in_memory = run_case(next(case for case in ORDER if case.id == result.id), TARGET, SmxServer())
        assert [line(entry) for entry in result.transcript if entry.arrow != EVENT] == [line(entry) for entry in in_memory.transcript if entry.arrow != EVENT]


def line(entry: Entry) -> str:
    """What does not depend on names and tokens."""
    return entry.arrow + entry.text[:4]


class Yes(Mta):
    """Says yes to everything."""

    def connected(self, connection: int, service: str, source: str) -> None:
        self.out.write(connection, b"220 yes\r\n")

    def received(self, connection: int, octets: bytes) -> None:
        self.out.write(connection, b"250 yes\r\n" * octets.count(b"\n"))


def test_a_server_that_says_yes_to_everything_fails() -> None:
    case = section("rfc5321/4.1.4", SERVER)

    @case("rcpt-first", MUST)
    def rcpt_first(at: Context) -> Script:
        """RCPT before MAIL is refused."""
        client = yield from hello(at)
        expect((yield from client.command(f"RCPT TO:<{at.recipient}>")), "503 5yz", "RCPT before MAIL")

    result = run_case(rcpt_first, TARGET, Yes())
    assert (result.outcome, result.reason) == (FAIL, "RCPT before MAIL: 250 yes; wanted 503 5yz")
    assert run_case(rcpt_first, TARGET, SmxServer()).outcome == PASS


def test_five_minutes_pass_at_once_in_memory() -> None:
    case = section("rfc5321/4.5.3.2.7", SERVER)

    @case("waits-five-minutes", MUST, slow=True)
    def waits(at: Context) -> Script:
        """A server waits at least five minutes for the next command."""
        client = yield from hello(at)
        began: float = yield Now()
        early = yield from client.silence(299.0)
        expect((yield from client.reply(60.0)), "421")
        ended: float = yield Now()
        assert early == b""
        assert 299.0 < ended - began < 360.0

    world = World(SmxServer())
    assert run_case(waits, TARGET, world).outcome == PASS
    assert world.now > 1_290.0
