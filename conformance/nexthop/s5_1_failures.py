"""What the DNS does not say (RFC 5321 5.1): failures that return the mail, and failures that keep it."""

from typing import Final, NamedTuple

from conformance.case import NEXTHOP, section
from conformance.client.steps import IDLE_S, SOON_S, brought
from conformance.context import Context
from conformance.dialogue import attempt, submit
from conformance.outcome import MAY, MUST, SHOULD, check, inconclusive
from conformance.visit import accept_any, listen, notification, queries, receive, zone
from conformance.wire import Control, Script, Step, Wait

case = section("rfc5321/5.1", NEXTHOP, needs=("dns",))

BACK: Final = {"MX": ["10 back"], "A": ["{back}"]}
Zone = dict[str, dict[str, list[str]] | str]


def full(table: Zone) -> Zone:
    """With the host that takes what comes back."""
    return {"back": BACK, **table}


class Row(NamedTuple):
    """What the zone says; mail goes to `label`."""

    id: str
    table: Zone
    label: str = ""
    tests: tuple[str, ...] = ()
    level: str = ""


def error(at: Context, label: str) -> Step[None]:
    """The recipient is refused at once, or a notification comes."""
    reply = yield from attempt(at, at.remote_at(label))
    if 200 <= reply.code < 300:
        check((yield from notification(at)) is not None, "no notification came back")
    elif 400 <= reply.code < 500:
        inconclusive(f"the recipient is put off: {reply}")


LOST: Final = (
    Row("nxdomain", {"@": {"A": ["{mx}"]}}, "nowhere", ("5321-5.1-3", "5321-5.1-1")),
    Row("cname-to-nxdomain", {"alias": {"CNAME": ["nowhere"]}, "@": {"A": ["{mx}"]}}, "alias", ("5321-5.1-3", "5321-5.1-n2")),
    Row("no-records-at-all", {"d": {"TXT": ['"nothing here"']}}, "d", ("5321-5.1-5",)),
    Row("mx-without-address", {"d": {"MX": ["10 m"]}, "m": {"TXT": ['"no address"']}}, "d", ("5321-5.1-5",)),
    Row("mx-does-not-exist", {"d": {"MX": ["10 m", "20 n"]}}, "d", ("5321-5.1-5",)),
)


@case.table(LOST, MUST, prefix="error-")
def is_an_error(at: Context, row: Row) -> Script:
    """A domain of which nothing can be used ({id}) is an error: the mail is returned, or refused at once."""
    yield from zone(at, full(row.table))
    yield from error(at, row.label)


KEPT: Final = (
    Row("servfail", {"d": "!SERVFAIL"}, "d", ("5321-5.1-4",)),
    Row("refused", {"d": "!REFUSED"}, "d", ("5321-5.1-4",)),
    Row("timeout", {"d": "!TIMEOUT"}, "d", ("5321-5.1-4",)),
    Row("mx-servfail-with-address", {"d": {"MX": ["!SERVFAIL"], "A": ["{mx}"]}}, "d", ("5321-5.1-4", "5321-5.1-6")),
    Row("mx-timeout-with-address", {"d": {"MX": ["!TIMEOUT"], "A": ["{mx}"]}}, "d", ("5321-5.1-4", "5321-5.1-6")),
    Row("address-servfail", {"d": {"MX": ["10 m"]}, "m": "!SERVFAIL"}, "d", ("5321-5.1-4",)),
    Row("address-timeout", {"d": {"MX": ["10 m"]}, "m": "!TIMEOUT"}, "d", ("5321-5.1-4",)),
    Row("implicit-address-servfail", {"d": {"A": ["!SERVFAIL"], "AAAA": ["!SERVFAIL"]}}, "d", ("5321-5.1-4",)),
    Row("cname-servfail", {"d": {"CNAME": ["e"]}, "e": "!SERVFAIL"}, "d", ("5321-5.1-4",)),
)


@case.table(KEPT, MUST, prefix="kept-on-")
def kept(at: Context, row: Row) -> Script:
    """When the DNS gives no answer for now ({id}), the mail is kept (or put off at RCPT): nobody is told, and no other address is used."""
    yield from zone(at, full(row.table))
    reply = yield from attempt(at, at.remote_at(row.label))
    check(reply.code < 500, f"the recipient is refused for good: {reply}")
    check((yield from notification(at, timeout_s=SOON_S)) is None, "its sender got a notification at once")
    check((yield from accept_any(at, timeout_s=IDLE_S)) is None, "it went to an address that the DNS did not give as that of an MX")


@case("tried-again-after-a-failure-of-the-dns", MUST, tests=("5321-5.1-4",), needs=("control:flush",), alone=True)
def again(at: Context) -> Script:
    """What was kept because of SERVFAIL is delivered once the DNS answers."""
    yield from zone(at, full({"d": "!SERVFAIL"}))
    reply = yield from attempt(at, at.remote_at("d"))
    if reply.code != 250:
        inconclusive(f"the recipient is put off: {reply}")
    yield Wait(1.0)
    yield from zone(at, full({"d": {"MX": ["10 m"]}, "m": {"A": ["{mx}"]}}))
    yield Control("flush")
    visit = yield from accept_any(at)
    if visit is None:
        yield Control("flush")
        visit = yield from accept_any(at)
    check(visit is not None, "it was not tried again")
    assert visit is not None
    brought((yield from visit.serve(idle_s=IDLE_S)))


USED: Final = (
    Row("one-mx-without-address", {"d": {"MX": ["10 m", "20 n"]}, "n": {"A": ["{mx}"]}}, "d", ("5321-5.1-10",)),
    Row("one-mx-servfail", {"d": {"MX": ["10 m", "20 n"]}, "m": "!SERVFAIL", "n": {"A": ["{mx}"]}}, "d", ("5321-5.1-10",)),
    Row("last-mx-without-address", {"d": {"MX": ["10 n", "20 m"]}, "n": {"A": ["{mx}"]}}, "d", ("5321-5.1-13",)),
    Row("aaaa-servfail", {"d": {"MX": ["10 m"]}, "m": {"A": ["{mx}"], "AAAA": ["!SERVFAIL"]}}, "d", (), MAY),
    Row("implicit-aaaa-empty", {"d": {"A": ["{mx}"]}}, "d", ("5321-5.1-n3",)),
)


@case.table(USED, MUST, prefix="used-with-")
def used(at: Context, row: Row) -> Script:
    """What the DNS does give is used, though it does not give all ({id})."""
    yield from zone(at, full(row.table))
    yield from submit(at, at.remote_at(row.label))
    visit = yield from accept_any(at)
    check(visit is not None, "it did not come")
    assert visit is not None
    brought((yield from visit.serve(idle_s=IDLE_S)))


@case("address-is-not-used-beside-mx", MUST, tests=("5321-5.1-6",))
def address_not_used(at: Context) -> Script:
    """Where the MX hosts take no connections, the address of the domain itself is not used."""
    yield from zone(at, full({"d": {"MX": ["10 m"], "A": ["{mx}"]}, "m": {"A": ["{dead}"]}}))
    yield from submit(at, at.remote_at("d"))
    check((yield from accept_any(at, timeout_s=1.5)) is None, "it went to the address of a domain that has an MX")


@case("address-is-not-used-beside-useless-mx", MUST, tests=("5321-5.1-6", "5321-5.1-5"))
def address_not_used_for_useless(at: Context) -> Script:
    """Where no MX host has an address, the address of the domain itself is not used: it is an error."""
    yield from zone(at, full({"d": {"MX": ["10 m"], "A": ["{mx}"]}}))
    yield from error(at, "d")
    check((yield from accept_any(at, timeout_s=0.3)) is None, "it went to the address of a domain that has an MX")


@case("mx-is-asked-first", MUST, tests=("5321-5.1-n1", "5321-5.1-1"))
def mx_first(at: Context) -> Script:
    """MX records are asked for, and before any address of the domain."""
    yield from listen("mx")
    yield from submit(at)
    brought((yield from receive(at, idle_s=IDLE_S)))
    asked = [query.rrtype for query in (yield from queries(at)) if query.name == at.domain]
    check("MX" in asked, f"the DNS was asked for {asked}")
    addresses = [asked.index(rrtype) for rrtype in ("A", "AAAA") if rrtype in asked]
    check(not addresses or asked.index("MX") < min(addresses), f"the DNS was asked for {asked}", SHOULD)


@case("dns-answer-with-tcp", MUST, tests=("5321-5.1-13", "5321-5.1-1"))
def many_records(at: Context) -> Script:
    """An answer of many MX records that does not fit into a datagram is read whole: the best of them is used."""
    hosts = [f"{10 + number} host-with-a-rather-long-name-{number}" for number in range(1, 40)]
    yield from zone(at, full({"d": {"MX": [*hosts, "5 mx"]}, "mx": {"A": ["{mx}"]}}))
    yield from submit(at, at.remote_at("d"))
    visit = yield from accept_any(at)
    check(visit is not None, "it did not come to the best of forty MX hosts")
    assert visit is not None
    brought((yield from visit.serve(idle_s=IDLE_S)))
