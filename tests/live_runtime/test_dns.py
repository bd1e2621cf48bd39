"""The stub resolver against name servers on loopback: what it takes for an answer, and how it gets by without one."""

import asyncio
import socket
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import dns.flags
import dns.message
import dns.rcode
import pytest

from smx.config.schema_smar import SmarSettings
from smx.effects import Query
from smx.events import Answered, DnsRecord
from smx.live.dns import Dns, Resolver, system_servers
from tests.live_runtime.fake_dns import FakeDns, serving
from tests.live_runtime.puppet import Puppet, hosted

T = TypeVar("T")
ZONE = {
    ("a.example", "A"): "a.example 300 A 192.0.2.1; a.example 300 A 192.0.2.2",
    ("a.example", "AAAA"): "/a.example 3600 SOA . . 1 2 3 4 120",
    ("six.example", "AAAA"): "six.example 300 AAAA 2001:db8::1",
    ("m.example", "MX"): "m.example 300 MX 20 B.Example.; m.example 300 MX 10 a.example.",
    ("null.example", "MX"): "null.example 300 MX 0 .",
    ("txt.example", "TXT"): 'txt.example 300 TXT "one " "two"',
    ("1.2.0.192.in-addr.arpa", "PTR"): "1.2.0.192.in-addr.arpa 300 PTR Host.Example.",
    ("alias.example", "A"): "alias.example 60 CNAME a.example.; a.example 300 A 192.0.2.1",
    ("far.example", "A"): "far.example 50 CNAME a.example.",
    ("far-none.example", "A"): "far-none.example 50 CNAME absent.example.",
    ("nodata.example", "MX"): "nodata.example 60 CNAME real.example./real.example 600 SOA . . 1 2 3 4 90",
    ("loop.example", "A"): "loop.example 60 CNAME loop2.example.",
    ("loop2.example", "A"): "loop2.example 60 CNAME loop.example.",
}


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def resolver(*servers: tuple[str, int], timeout: float = 10.0, retries: int = 2) -> Resolver:
    return Resolver(servers, timeout_us=int(timeout * 1_000_000), retries=retries)


async def ask(name: str, rrtype: str, *servers: FakeDns, timeout: float = 10.0) -> Answered:
    async with AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(serving(server))
        return await resolver(*(server.address for server in servers), timeout=timeout).ask(Query(5, name, rrtype))


def closed_port() -> tuple[str, int]:
    """A port on which nobody listens: it is bound and given back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return "127.0.0.1", probe.getsockname()[1]


@pytest.mark.feature("SX45")
@pytest.mark.parametrize(
    ("name", "rrtype", "status", "values", "ttl", "canonical"),
    [
        ("a.example", "A", "OK", ["192.0.2.1", "192.0.2.2"], 300, "a.example"),
        ("A.EXAMPLE", "A", "OK", ["192.0.2.1", "192.0.2.2"], 300, "a.example"),
        ("six.example", "AAAA", "OK", ["2001:db8::1"], 300, "six.example"),
        ("a.example", "AAAA", "NODATA", [], 120, "a.example"),
        ("absent.example", "A", "NXDOMAIN", [], 60, "absent.example"),
        ("null.example", "MX", "OK", [""], 300, "null.example"),
        ("txt.example", "TXT", "OK", ["one two"], 300, "txt.example"),
        ("1.2.0.192.in-addr.arpa", "PTR", "OK", ["host.example"], 300, "1.2.0.192.in-addr.arpa"),
        ("alias.example", "A", "OK", ["192.0.2.1"], 60, "a.example"),
        ("far.example", "A", "OK", ["192.0.2.1", "192.0.2.2"], 50, "a.example"),
        ("far-none.example", "A", "NXDOMAIN", [], 50, "absent.example"),
        ("nodata.example", "MX", "NODATA", [], 60, "real.example"),
        ("loop.example", "A", "TEMP", [], 0, ""),
    ],
)
def test_each_answer_becomes_an_event(name: str, rrtype: str, status: str, values: list[str], ttl: int, canonical: str) -> None:
    found = run(ask(name, rrtype, FakeDns(ZONE)))
    assert (found.request, found.status, found.ttl_us, found.name) == (5, status, ttl * 1_000_000, canonical)
    assert sorted(record.value for record in found.records) == values
    assert bool(found.reason) == (status == "TEMP")


def test_mx_records_have_preferences_and_hosts_in_lower_case() -> None:
    found = run(ask("m.example", "MX", FakeDns(ZONE)))
    assert set(found.records) == {DnsRecord(20, "b.example"), DnsRecord(10, "a.example")}


@pytest.mark.parametrize("name", ["a..example", "x" * 64 + ".example", ".".join(["x" * 60] * 5), "\\999.example"])
def test_what_cannot_be_a_name_does_not_exist_and_is_not_asked(name: str) -> None:
    server = FakeDns(ZONE)
    assert run(ask(name, "A", server)).status == "NXDOMAIN"
    assert server.asked == []


@pytest.mark.feature("SX45")
def test_a_dead_first_server_costs_nothing_when_its_host_says_so() -> None:
    async def work() -> None:
        async with serving(FakeDns(ZONE)) as alive:
            begun = time.monotonic()
            found = await resolver(closed_port(), alive.address, timeout=60).ask(Query(1, "a.example", "A"))
            assert found.status == "OK"
            assert time.monotonic() - begun < 5, "far less than the slice of one server"

    run(work())


@pytest.mark.feature("SX45")
def test_a_silent_first_server_costs_one_slice_once() -> None:
    async def work() -> None:
        silent = FakeDns(ZONE, lambda query, response, tcp: None)
        async with serving(silent), serving(FakeDns(ZONE)) as alive:
            stub = resolver(silent.address, alive.address, timeout=3)
            for _ in range(3):
                assert (await stub.ask(Query(1, "a.example", "A"))).status == "OK"
            assert len(silent.asked) == 1, "afterwards it is asked last"
            assert len(alive.asked) == 3

    run(work())


def test_a_late_answer_of_an_earlier_server_is_taken() -> None:
    async def work() -> None:
        slow = FakeDns(ZONE, lambda query, response, tcp: None)
        other = FakeDns(ZONE)

        def release(query: dns.message.Message, response: dns.message.Message, tcp: bool) -> None:
            slow.behaviour = None
            slow.repeat()

        other.behaviour = release
        async with serving(slow), serving(other):
            found = await resolver(slow.address, other.address, timeout=2, retries=0).ask(Query(1, "a.example", "A"))
            assert found.status == "OK"
            assert len(other.asked) == 1

    run(work())


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
def test_a_server_that_fails_is_not_waited_for(rcode: dns.rcode.Rcode) -> None:
    def fail(query: dns.message.Message, response: dns.message.Message, tcp: bool) -> dns.message.Message:
        failed = dns.message.make_response(query)
        failed.set_rcode(rcode)
        return failed

    broken = FakeDns(ZONE, fail)
    assert run(ask("a.example", "A", broken, FakeDns(ZONE), timeout=60)).status == "OK"
    alone = FakeDns(ZONE, fail)
    found = run(ask("a.example", "A", alone, timeout=60))
    assert (found.status, found.reason) == ("TEMP", f"127.0.0.1 says {dns.rcode.to_text(rcode)}")
    assert len(alone.asked) == 1


def test_when_nobody_answers_the_question_is_asked_again_and_then_given_up() -> None:
    silent = FakeDns(ZONE, lambda query, response, tcp: None)
    found = run(ask("a.example", "A", silent, timeout=1.2))
    assert found.status == "TEMP"
    assert len(silent.asked) == 3


def test_a_truncated_answer_is_asked_for_by_tcp() -> None:
    def truncate(query: dns.message.Message, response: dns.message.Message, tcp: bool) -> dns.message.Message:
        if not tcp:
            response.answer.clear()
            response.flags |= dns.flags.TC
        return response

    zone = {("big.example", "A"): "; ".join(f"big.example 300 A 192.0.2.{n}" for n in range(1, 200))}
    server = FakeDns(zone, truncate)
    found = run(ask("big.example", "A", server))
    assert len(found.records) == 199
    assert [how for _, _, how in server.asked] == ["udp", "tcp"]


def test_truncation_without_tcp_fails_over_to_the_next_server() -> None:
    def truncate(query: dns.message.Message, response: dns.message.Message, tcp: bool) -> dns.message.Message | None:
        response.flags |= dns.flags.TC
        return None if tcp else response

    assert run(ask("a.example", "A", FakeDns(ZONE, truncate), FakeDns(ZONE))).status == "OK"


def test_forged_and_broken_octets_are_no_answer() -> None:
    def garble(query: dns.message.Message, response: dns.message.Message, tcp: bool) -> bytes:
        return b"\x00" * 5

    def wrong_id(query: dns.message.Message, response: dns.message.Message, tcp: bool) -> dns.message.Message:
        response.id = query.id ^ 1
        return response

    def wrong_question(query: dns.message.Message, response: dns.message.Message, tcp: bool) -> dns.message.Message:
        other = dns.message.make_query("other.example", "A")
        other.id = query.id
        return dns.message.make_response(other)

    for behaviour in (garble, wrong_id, wrong_question):
        assert run(ask("a.example", "A", FakeDns(ZONE, behaviour), FakeDns(ZONE), timeout=1.2)).status == "OK"
        assert run(ask("a.example", "A", FakeDns(ZONE, behaviour), timeout=0.2)).status == "TEMP"


def test_a_server_without_edns_is_asked_without() -> None:
    def old(query: dns.message.Message, response: dns.message.Message, tcp: bool) -> dns.message.Message:
        if query.edns >= 0:
            refused = dns.message.make_response(query)
            refused.use_edns(-1)
            refused.set_rcode(dns.rcode.FORMERR)
            return refused
        return response

    server = FakeDns(ZONE, old)
    assert run(ask("a.example", "A", server)).status == "OK"
    assert len(server.asked) == 2


def test_closing_cancels_what_is_under_way_and_delivers_nothing() -> None:
    async def work() -> None:
        silent = FakeDns(ZONE, lambda query, response, tcp: None)
        async with serving(silent):
            stub = resolver(silent.address, timeout=60)
            answers: list[Answered] = []
            for request in range(50):
                stub.start(Query(request, "a.example", "A"), answers.append)
            async with asyncio.timeout(10):
                while len(silent.asked) < 50:
                    await asyncio.sleep(0)
                stub.close()
                await stub.wait_closed()
            assert answers == []

    run(work())


def test_many_questions_at_once_are_all_answered() -> None:
    async def work() -> None:
        async with serving(FakeDns(ZONE)) as server:
            stub = resolver(server.address, timeout=30)
            answers: list[Answered] = []
            done = asyncio.Event()

            def deliver(answered: Answered) -> None:
                answers.append(answered)
                if len(answers) == 200:
                    done.set()

            for request in range(200):
                stub.start(Query(request, "a.example", "A"), deliver)
            assert answers == [], "never at once: a component must not be re-entered"
            async with asyncio.timeout(20):
                await done.wait()
            assert {answered.request for answered in answers} == set(range(200))
            assert {answered.status for answered in answers} == {"OK"}

    run(work())


def test_without_a_configured_server_those_of_the_system_are_taken() -> None:
    assert Resolver((), timeout_us=1, retries=0)._servers == system_servers() != ()


def test_the_device_answers_queries_of_a_component() -> None:
    puppet = Puppet()
    settings = SmarSettings(nameserver=(closed_port(),), dns_timeout_us=5_000_000)
    with hosted((puppet, lambda runner: runner.attach(Dns(runner, settings)))):
        puppet.order(Query(3, "a.example", "A"))
        (answered,) = puppet.wait(Answered)
    assert (answered.request, answered.status, answered.reason) == (3, "TEMP", "127.0.0.1 does not answer")
