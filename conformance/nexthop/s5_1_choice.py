"""Which of several hosts and addresses (RFC 5321 5.1): order, equal preferences, the next one when one fails, and the target itself among them."""

from typing import Final, NamedTuple

from conformance.case import NEXTHOP, section
from conformance.client.steps import IDLE_S, SOON_S, brought
from conformance.context import Context
from conformance.dialogue import attempt, submit
from conformance.nexthop.s5_1_failures import Row, Zone, full
from conformance.outcome import MAY, MUST, SHOULD, check, inconclusive, skip
from conformance.visit import BREAK, DROP, Answer, accept, accept_any, listen, notification, queries, receive, unlisten, zone
from conformance.wire import Script, Step

case = section("rfc5321/5.1", NEXTHOP, needs=("dns",))
BOTH: Final[Zone] = {"@": {"MX": ["10 a", "20 b"]}, "a": {"A": ["{a}"]}, "b": {"A": ["{b}"]}}


def both(at: Context) -> Step[None]:
    """Two MX hosts, a before b; both take connections."""
    yield from zone(at, full(BOTH))
    yield from listen("a", "b")


class Order(NamedTuple):
    """MX records, in the order in which the DNS gives them; `first`: where the mail goes."""

    id: str
    records: tuple[str, ...]
    first: str


ORDERS: Final = (
    Order("best-last", ("30 c", "20 b", "10 a"), "a"),
    Order("numbers-not-text", ("9 b", "100 a", "10 c"), "b"),
    Order("zero", ("1 a", "0 b"), "b"),
    Order("largest", ("65535 a", "65534 b"), "b"),
    Order("twice-the-same-host", ("20 a", "10 b", "5 a"), "a"),
)


@case.table(ORDERS, MUST, prefix="order-", tests=("5321-5.1-13", "5321-5.1-n4"))
def order(at: Context, row: Order) -> Script:
    """Of MX records {records} the host `{first}` is tried first."""
    yield from zone(at, full({"@": {"MX": list(row.records)}, "a": {"A": ["{a}"]}, "b": {"A": ["{b}"]}, "c": {"A": ["{c}"]}}))
    yield from listen("a", "b", "c")
    yield from submit(at)
    visit = yield from accept(at, "a", "b", "c")
    check(visit.host == row.first, f"it went to {visit.host}")
    yield from visit.serve(idle_s=IDLE_S)


@case("equal-preference-both", MUST, tests=("5321-5.1-14",))
def equal(at: Context) -> Script:
    """Of two MX hosts of equal preference each is tried first by some of sixteen messages."""
    yield from zone(at, full({"@": {"MX": ["10 a", "10 b"]}, "a": {"A": ["{a}"]}, "b": {"A": ["{b}"]}}))
    yield from listen("a", "b")
    seen: list[str] = []
    while len(seen) < 16 and len(set(seen)) < 2:
        yield from submit(at, at.remote_at("", f"r{len(seen)}"))
        visit = yield from accept(at, "a", "b")
        yield from visit.serve(idle_s=0.1)
        yield from visit.drop()
        seen.append(visit.host)
    check(len(set(seen)) == 2, f"sixteen times it went to {seen[0]}")


@case("all-in-turn", MUST, tests=("5321-5.1-10", "5321-5.1-12", "5321-5.1-13"))
def in_turn(at: Context) -> Script:
    """With four MX hosts of which three take no connections, the fourth one gets the message."""
    yield from zone(at, full({"@": {"MX": ["10 a", "20 b", "30 c", "40 mx"]}, **{label: {"A": [f"{{{label}}}"]} for label in ("a", "b", "c", "mx")}}))
    yield from submit(at)
    visit = yield from accept_any(at)
    check(visit is not None, "it did not come to the fourth host")
    assert visit is not None
    brought((yield from visit.serve(idle_s=IDLE_S)))


@case("all-addresses-of-a-host", MUST, tests=("5321-5.1-10", "5321-5.1-12"))
def all_addresses(at: Context) -> Script:
    """With a host of two addresses of which one takes no connections, the other one gets the message."""
    yield from zone(at, full({"@": {"MX": ["10 m"]}, "m": {"A": ["{dead}", "{mx}"]}}))
    yield from submit(at)
    visit = yield from accept_any(at)
    check(visit is not None, "it did not come to the second address")
    assert visit is not None
    brought((yield from visit.serve(idle_s=IDLE_S)))


@case("all-addresses-before-the-next-host", MUST, tests=("5321-5.1-10", "5321-5.1-13"))
def addresses_first(at: Context) -> Script:
    """Both addresses of the better host are tried before the next host."""
    yield from zone(at, full({"@": {"MX": ["10 m", "20 n"]}, "m": {"A": ["{dead}", "{a}"]}, "n": {"A": ["{b}"]}}))
    yield from listen("a", "b")
    yield from submit(at)
    visit = yield from accept(at, "a", "b")
    check(visit.host == "a", "it went to the second host before the second address of the first one")
    yield from visit.serve(idle_s=IDLE_S)


@case("address-order-is-kept", MAY, tests=("5321-5.1-15",))
def address_order(at: Context) -> Script:
    """A fact: whether the first of several addresses of a host is tried first (resolvers may have turned them round)."""
    yield from zone(at, full({"@": {"MX": ["10 m"]}, "m": {"A": ["{a}", "{b}", "{c}"]}}))
    yield from listen("a", "b", "c")
    yield from submit(at)
    visit = yield from accept(at, "a", "b", "c")
    yield from visit.serve(idle_s=IDLE_S)
    check(visit.host == "a", f"the address number {'abc'.index(visit.host) + 1} was tried first")


class Failure(NamedTuple):
    """What the first host does, before it has taken anything."""

    id: str
    replies: dict[str, Answer]
    level: str = ""


NEXT: Final = (
    Failure("dropped", {"CONNECT": DROP}),
    Failure("broken", {"CONNECT": BREAK}),
    Failure("greeting-421", {"CONNECT": "421 4.3.2 Busy"}),
    Failure("greeting-450", {"CONNECT": "450 4.3.2 Busy"}),
    Failure("ehlo-421", {"EHLO": "421 4.3.2 Busy"}),
    Failure("dropped-at-ehlo", {"EHLO": DROP}, SHOULD),
    Failure("mail-421", {"MAIL": "421 4.3.2 Busy"}, SHOULD),
    Failure("mail-450", {"MAIL": "450 4.3.2 Busy"}, MAY),
    Failure("rcpt-450", {"RCPT": "450 4.2.1 Greylisted"}, MAY),
    Failure("dot-450", {"DOT": "450 4.2.1 Later"}, MAY),
    Failure("greeting-554", {"CONNECT": "554 5.3.2 Not here"}, MAY),
)


@case.table(NEXT, SHOULD, prefix="next-host-after-", tests=("5321-5.1-10", "5321-5.1-12"))
def next_host(at: Context, row: Failure) -> Script:
    """When the first host puts it off ({id}), the second one is tried in the same attempt."""
    yield from both(at)
    yield from submit(at)
    first = yield from accept(at, "a")
    yield from first.serve(replies=row.replies, idle_s=IDLE_S)
    visit = yield from accept_any(at, "b", timeout_s=2.0)
    check(visit is not None, "it did not come to the second host at once")
    assert visit is not None
    yield from visit.serve(idle_s=IDLE_S)


REFUSED: Final = (
    Failure("mail-550", {"MAIL": "550 5.7.1 No"}),
    Failure("rcpt-550", {"RCPT": "550 5.1.1 No"}),
    Failure("data-554", {"DATA": "554 5.7.1 No"}),
    Failure("dot-554", {"DOT": "554 5.6.0 No"}),
)


@case.table(REFUSED, SHOULD, prefix="no-next-host-after-", tests=("5321-4.2.1-2",))
def no_next_host(at: Context, row: Failure) -> Script:
    """What the first host refused for good ({id}) is not offered to the second one: it is returned."""
    yield from both(at)
    yield from submit(at)
    first = yield from accept(at, "a")
    yield from first.serve(replies=row.replies, idle_s=IDLE_S)
    check((yield from notification(at)) is not None, "no notification came back")
    check((yield from accept_any(at, "b", timeout_s=IDLE_S)) is None, "it went to the second host after a refusal for good")


@case("accepted-by-the-first-is-not-brought-to-the-second", MUST, tests=("5321-5.1-10",))
def once(at: Context) -> Script:
    """A message that the first host took is not brought to the second one."""
    yield from both(at)
    yield from submit(at)
    brought((yield from receive(at, "a", idle_s=IDLE_S)))
    check((yield from accept_any(at, "b", timeout_s=0.5)) is None, "it went to the second host as well")


@case("no-host-takes-connections", SHOULD, tests=("5321-4.2.1-1",))
def none_takes(at: Context) -> Script:
    """Where no host takes connections the message is kept."""
    yield from zone(at, full(BOTH))
    yield from unlisten("a", "b")
    yield from submit(at)
    check((yield from notification(at, timeout_s=SOON_S)) is None, "its sender got a notification at once")


# --- names that lead to names


CNAMES: Final = (
    Row("to-mx", {"alias": {"CNAME": ["real"]}, "real": {"MX": ["10 mx"]}, "mx": {"A": ["{mx}"]}}, "alias", ("5321-5.1-n2",)),
    Row("to-address", {"alias": {"CNAME": ["real"]}, "real": {"A": ["{mx}"]}}, "alias", ("5321-5.1-n2", "5321-5.1-n3")),
    Row("chain", {"alias": {"CNAME": ["two"]}, "two": {"CNAME": ["three"]}, "three": {"MX": ["10 mx"]}, "mx": {"A": ["{mx}"]}}, "alias", ("5321-5.1-n2",)),
    Row("mx-to-cname", {"d": {"MX": ["10 m"]}, "m": {"CNAME": ["real"]}, "real": {"A": ["{mx}"]}}, "d", (), MAY),
    Row("wildcard-mx", {"*.w": {"MX": ["10 mx"]}, "mx": {"A": ["{mx}"]}}, "any.w", ("5321-5.1-13",)),
    Row("below-the-domain", {"deep.er": {"MX": ["10 mx"]}, "mx": {"A": ["{mx}"]}}, "deep.er", ("5321-5.1-1",)),
)


@case.table(CNAMES, MUST, prefix="name-")
def names(at: Context, row: Row) -> Script:
    """The name `{label}` leads to a host ({id}), and the mail goes there."""
    yield from zone(at, full(row.table))
    yield from submit(at, at.remote_at(row.label))
    visit = yield from accept_any(at)
    check(visit is not None, "it did not come")
    assert visit is not None
    brought((yield from visit.serve(idle_s=IDLE_S)))


@case("cname-circle", MAY)
def circle(at: Context) -> Script:
    """A fact: whether mail to names that lead to each other is returned at once."""
    yield from zone(at, full({"one": {"CNAME": ["two"]}, "two": {"CNAME": ["one"]}}))
    reply = yield from attempt(at, at.remote_at("one"))
    if reply.code == 250:
        check((yield from notification(at, timeout_s=3.0)) is not None, "it is kept")


@case("no-mx-no-search-above", MUST, tests=("5321-5.1-1", "5321-5.1-3"))
def not_above(at: Context) -> Script:
    """A name that does not exist is not looked for elsewhere: mail to `x.d` does not go to the MX of `d`."""
    yield from zone(at, full({"d": {"MX": ["10 mx"]}, "mx": {"A": ["{mx}"]}}))
    reply = yield from attempt(at, at.remote_at("x.d"))
    if reply.code == 250:
        check((yield from notification(at)) is not None, "no notification came back")
    check((yield from accept_any(at, timeout_s=IDLE_S)) is None, "it went to the MX of the domain above")


# --- the target among the hosts


class Self(NamedTuple):
    """`me`: the host name of the target."""

    id: str
    records: tuple[str, ...]
    tests: tuple[str, ...]


SELF: Final = (
    Self("worse-than-all", ("10 mx", "20 ME"), ("5321-5.1-21", "5321-5.1-18")),
    Self("in-the-middle", ("10 mx", "20 ME", "30 c"), ("5321-5.1-17", "5321-5.1-19", "5321-5.1-21")),
    Self("equal-to-the-second", ("10 mx", "20 c", "20 ME"), ("5321-5.1-17", "5321-5.1-19")),
)


def with_me(at: Context, records: tuple[str, ...]) -> Step[None]:
    """The domain `d` has these MX records; the target is known by its name and by its address."""
    if at.target.policy.get("ignores_itself"):
        skip("the target is set up not to look for itself among MX hosts")
    me = at.target.hostname + "."
    own = at.target.services["smtp"].rpartition(":")[0].strip("[]") or "127.0.0.1"
    mx = [record.replace("ME", me) for record in records]
    yield from zone(at, full({"d": {"MX": mx}, "mx": {"A": ["{mx}"]}, "c": {"A": ["{c}"]}, me: {"A": [own]}}))
    yield from listen("c")


@case.table(SELF, MUST, prefix="itself-")
def itself(at: Context, row: Self) -> Script:
    """With the target itself among the MX hosts ({id}) only those are used that are better: `mx` gets the message."""
    yield from with_me(at, row.records)
    yield from submit(at, at.remote_at("d"))
    visit = yield from accept_any(at, "mx", "c")
    check(visit is not None, "it went to no host at all")
    assert visit is not None
    check(visit.host == "mx", "it went to a host that is no better than itself")
    brought((yield from visit.serve(idle_s=IDLE_S)))


@case("itself-is-the-limit", MUST, tests=("5321-5.1-19", "5321-5.1-18"))
def limit(at: Context) -> Script:
    """Hosts that are no better than the target itself are not used, even if the better ones take no connections."""
    yield from with_me(at, ("10 mx", "20 ME", "30 c"))
    yield from unlisten("mx")
    yield from submit(at, at.remote_at("d"))
    check((yield from accept_any(at, "c", timeout_s=1.5)) is None, "it went to a host that is worse than itself")


@case("itself-is-the-best", MUST, tests=("5321-5.1-20", "5321-5.1-18", "5321-5.1-19"))
def best(at: Context) -> Script:
    """Where the target itself is the best MX host, and does not know the domain, nothing is left: the message is returned, or refused."""
    yield from with_me(at, ("10 ME", "20 c"))
    reply = yield from attempt(at, at.remote_at("d"))
    if 200 <= reply.code < 300:
        mail = yield from notification(at)
        check((yield from accept_any(at, "c", timeout_s=IDLE_S)) is None, "it went to a host that is worse than itself")
        check(mail is not None, "no notification came back")


# --- addresses


@case("ipv6-address-that-leads-nowhere", MUST, tests=("5321-5.1-10",))
def dead_ipv6(at: Context) -> Script:
    """A host with an IPv6 address that leads nowhere and an IPv4 address gets the message by the latter."""
    yield from zone(at, full({"@": {"MX": ["10 m"]}, "m": {"AAAA": ["100::1"], "A": ["{mx}"]}}))
    yield from submit(at)
    visit = yield from accept_any(at, timeout_s=60.0)
    check(visit is not None, "it did not come")
    assert visit is not None
    brought((yield from visit.serve(idle_s=IDLE_S)))


@case("ipv6-host-then-ipv4-host", MUST, tests=("5321-5.1-10",))
def dead_ipv6_host(at: Context) -> Script:
    """A host that has an IPv6 address only, which leads nowhere, does not keep the mail from the next host."""
    yield from zone(at, full({"@": {"MX": ["10 m", "20 mx"]}, "m": {"AAAA": ["100::1"]}, "mx": {"A": ["{mx}"]}}))
    yield from submit(at)
    visit = yield from accept_any(at, timeout_s=60.0)
    check(visit is not None, "it did not come")
    assert visit is not None
    brought((yield from visit.serve(idle_s=IDLE_S)))


literals = section("rfc5321/4.1.3", NEXTHOP, needs=("dns",))


@literals("address-literal", SHOULD)
def literal(at: Context) -> Script:
    """Mail to an address literal goes to that address, and no MX record is asked for. A target may refuse literals."""
    (address,) = yield from listen("mx")
    reply = yield from attempt(at, f"rcpt@[{address}]")
    if reply.code != 250:
        inconclusive(f"the target does not take it: {reply}")
    visit = yield from accept_any(at)
    check(visit is not None, "it did not come")
    assert visit is not None
    brought((yield from visit.serve(idle_s=IDLE_S)))
    check(visit.mails[0].recipients == [f"rcpt@[{address}]"], f"it said {visit.of('RCPT')}")
    asked = [query for query in (yield from queries(at)) if address in query.name]
    check(not asked, f"the DNS was asked for {asked}", MAY)


null = section("rfc7505/3", NEXTHOP, needs=("dns",))


@null("null-mx-beside-others", MAY)
def null_beside(at: Context) -> Script:
    """A fact: whether a null MX beside another MX, which must not be published, keeps mail from the other one."""
    yield from zone(at, full({"n": {"MX": ["0 .", "10 mx"]}, "mx": {"A": ["{mx}"]}}))
    reply = yield from attempt(at, at.remote_at("n"))
    check(reply.code == 250, f"it is refused: {reply}")
    visit = yield from accept_any(at, timeout_s=2.0)
    check(visit is not None, "the other host is not used")
    assert visit is not None
    yield from visit.serve(idle_s=IDLE_S)


@null("null-mx-by-cname", MUST, tests=("7505-3-n1",))
def null_by_cname(at: Context) -> Script:
    """A name that leads by CNAME to a domain with a null MX takes no mail either."""
    yield from zone(at, full({"alias": {"CNAME": ["n"]}, "n": {"MX": ["0 ."], "A": ["{mx}"]}}))
    reply = yield from attempt(at, at.remote_at("alias"))
    if reply.code == 250:
        check((yield from notification(at)) is not None, "no notification came back")
    check((yield from accept_any(at, timeout_s=IDLE_S)) is None, "it connected to the address of a domain with a null MX")
