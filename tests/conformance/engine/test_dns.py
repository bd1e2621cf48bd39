"""The suite's name server: what it answers, over both transports."""

import asyncio

import dns.asyncquery
import dns.message
import dns.rcode
import pytest

from conformance.dns import Server, Zones
from conformance.wire import Query, Record

RECORDS = (
    Record("x.dest.test", "MX", "10 a.x.dest.test."),
    Record("x.dest.test", "MX", "20 b.x.dest.test."),
    Record("a.x.dest.test", "A", "127.9.0.2"),
    Record("alias.x.dest.test", "CNAME", "a.x.dest.test."),
    Record("loop.x.dest.test", "CNAME", "loop.x.dest.test."),
    Record("dangling.x.dest.test", "CNAME", "nowhere.x.dest.test."),
    Record("bad.x.dest.test", "*", "!SERVFAIL"),
    Record("half.x.dest.test", "MX", "!SERVFAIL"),
    Record("half.x.dest.test", "A", "127.9.0.3"),
    Record("silent.x.dest.test", "*", "!TIMEOUT"),
    Record("*.wild.x.dest.test", "MX", "5 a.x.dest.test."),
    Record("deep.under.x.dest.test", "A", "127.9.0.4"),
)


def zones() -> Zones:
    made = Zones()
    made.replace("x.dest.test", RECORDS)
    return made


def ask(name: str, rrtype: str, table: Zones | None = None) -> str:
    octets = (table or zones()).answer(dns.message.make_query(name, rrtype).to_wire(), tcp=False)
    if not octets:
        return "silence"
    message = dns.message.from_wire(octets)
    data = sorted(item.to_text().lower() for rrset in message.answer for item in rrset)
    return " ".join([dns.rcode.to_text(message.rcode()), *data])


@pytest.mark.parametrize(
    ("name", "rrtype", "answer"),
    [
        ("x.dest.test", "MX", "NOERROR 10 a.x.dest.test. 20 b.x.dest.test."),
        ("X.Dest.TEST", "MX", "NOERROR 10 a.x.dest.test. 20 b.x.dest.test."),
        ("x.dest.test", "A", "NOERROR"),
        ("a.x.dest.test", "A", "NOERROR 127.9.0.2"),
        ("alias.x.dest.test", "A", "NOERROR 127.9.0.2 a.x.dest.test."),
        ("alias.x.dest.test", "MX", "NOERROR a.x.dest.test."),
        ("alias.x.dest.test", "CNAME", "NOERROR a.x.dest.test."),
        ("dangling.x.dest.test", "A", "NOERROR nowhere.x.dest.test."),
        ("loop.x.dest.test", "A", "NOERROR loop.x.dest.test."),
        ("bad.x.dest.test", "MX", "SERVFAIL"),
        ("half.x.dest.test", "MX", "SERVFAIL"),
        ("half.x.dest.test", "A", "NOERROR 127.9.0.3"),
        ("silent.x.dest.test", "A", "silence"),
        ("any.wild.x.dest.test", "MX", "NOERROR 5 a.x.dest.test."),
        ("under.x.dest.test", "A", "NOERROR"),
        ("nowhere.x.dest.test", "A", "NXDOMAIN"),
        ("elsewhere.test", "MX", "NXDOMAIN"),
    ],
)
def test_answers(name: str, rrtype: str, answer: str) -> None:
    assert ask(name, rrtype) == answer


def test_a_zone_replaces_only_what_is_below_its_name() -> None:
    table = zones()
    table.replace("y.dest.test", [Record("y.dest.test", "A", "127.9.0.9")])
    table.replace("x.dest.test", [Record("x.dest.test", "A", "127.9.0.8")])
    assert ask("x.dest.test", "MX", table) == "NOERROR"
    assert ask("a.x.dest.test", "A", table) == "NXDOMAIN"
    assert ask("y.dest.test", "A", table) == "NOERROR 127.9.0.9"
    assert table.queries("x.dest.test") == (Query("x.dest.test", "MX"), Query("a.x.dest.test", "A"))


def test_a_long_answer_is_truncated_over_udp_and_whole_over_tcp() -> None:
    async def both() -> tuple[int, int]:
        table = Zones()
        table.replace("x.test", [Record("x.test", "MX", f"{number} host-with-a-long-name-{number}.x.test.") for number in range(60)])
        server = Server(table)
        await server.start("127.0.0.1", 0)
        try:
            query = dns.message.make_query("x.test", "MX", use_edns=False)
            over_tcp = await dns.asyncquery.tcp(query, "127.0.0.1", port=server.port, timeout=5)
            over_udp = await dns.asyncquery.udp(query, "127.0.0.1", port=server.port, timeout=5)
        finally:
            await server.stop()
        return len(over_tcp.answer[0]), over_udp.flags & dns.flags.TC

    assert asyncio.run(both()) == (60, dns.flags.TC)
