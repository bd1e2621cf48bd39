"""Locating the target host (RFC 5321 5.1)."""

from conformance.case import NEXTHOP, section
from conformance.context import Context
from conformance.dialogue import attempt, submit
from conformance.oracle import expect
from conformance.outcome import MUST, check
from conformance.visit import accept, accept_any, listen, notification, unlisten, zone
from conformance.wire import Script

case = section("rfc5321/5.1", NEXTHOP, needs=("dns",))


@case(
    "lowest-preference-first",
    MUST,
    tests=(
        "5321-5.1-13",
        "5321-5.1-n4",
        "5321-5.1-n1",
    ),
)
def lowest_first(at: Context) -> Script:
    """Of several MX hosts the one with the lowest number is tried first."""
    yield from zone(at, {"@": {"MX": ["20 b", "10 a"]}, "a": {"A": ["{a}"]}, "b": {"A": ["{b}"]}})
    yield from listen("a", "b")
    yield from submit(at)
    visit = yield from accept(at, "a", "b")
    check(visit.host == "a", "it went to the MX host with preference 20 before that with 10")
    yield from visit.serve()


@case("next-host-when-the-first-refuses", MUST, tests=("5321-5.1-10",))
def next_host(at: Context) -> Script:
    """When the first MX host does not take connections, the next one is tried."""
    yield from zone(at, {"@": {"MX": ["10 a", "20 b"]}, "a": {"A": ["{a}"]}, "b": {"A": ["{b}"]}})
    yield from unlisten("a")
    yield from listen("b")
    yield from submit(at)
    visit = yield from accept_any(at, "b")
    check(visit is not None, "it did not try the second MX host")
    assert visit is not None
    yield from visit.serve()


@case("implicit-mx", MUST, tests=("5321-5.1-n3",))
def implicit_mx(at: Context) -> Script:
    """A domain without MX records but with an address is its own mail host."""
    yield from zone(at, {"@": {"A": ["{mx}"]}})
    yield from submit(at)
    visit = yield from accept_any(at)
    check(visit is not None, "it did not go to the address of the domain")
    assert visit is not None
    yield from visit.serve()


@case("no-such-domain-is-returned", MUST, tests=("5321-5.1-3",))
def no_such_domain(at: Context) -> Script:
    """Mail to a domain that does not exist is returned to the sender (or refused at once)."""
    reply = yield from attempt(at, at.remote_at("nowhere"))
    if expect(reply, "250 5yz", "mail to a domain that does not exist").code == 250:
        check((yield from notification(at)) is not None, "no notification came back")


null = section("rfc7505/3", NEXTHOP, needs=("dns",))


@null(
    "null-mx",
    MUST,
    tests=(
        "7505-3-n1",
        "7505-4.1-n1",
    ),
)
def null_mx(at: Context) -> Script:
    """A domain with a null MX takes no mail: no connection is tried, even if it has an address, and the mail is returned."""
    yield from zone(at, {"n": {"MX": ["0 ."], "A": ["{mx}"]}, "@": {"MX": ["10 mx"]}, "mx": {"A": ["{mx}"]}, "back": {"MX": ["10 back"], "A": ["{back}"]}})
    reply = yield from attempt(at, at.remote_at("n"))
    if expect(reply, "250 5yz", "mail to a domain with a null MX").code == 250:
        check((yield from notification(at)) is not None, "no notification came back")
    check((yield from accept_any(at, timeout_s=0.5)) is None, "it connected to the address of a domain with a null MX")
