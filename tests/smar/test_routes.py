"""Next hops: MX records (RFC 5321 5.1, RFC 7505), literals, the mailer table, LMTP, and the order of all rules."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from smx import limits
from smx.config.schema_smar import AliasesSettings, DnsCacheSettings, MailerEntry, MapSettings, SmarSettings
from smx.effects import Query
from smx.events import Answered, DnsRecord, Linked, Listening, Started, Told
from smx.messages import Outcome, Protocol, Resolve, Resolved
from smx.smar.machine import Smar
from smx.smar.tables import ALIASES_MAP
from smx.units import MINUTE, SECOND
from tests.smar.driver import Driver, Zone

SETTINGS = SmarSettings(hostname="mx.example.org", local_domains=("example.org",), lmtp_socket="/run/lda")

ZONE: Zone = {
    ("plain.example", "MX"): ("20 backup.example", "10 main.example"),
    ("main.example", "A"): ("192.0.2.1", "192.0.2.2"),
    ("main.example", "AAAA"): ("2001:db8::1",),
    ("backup.example", "A"): ("192.0.2.3",),
    ("bare.example", "A"): ("192.0.2.4",),
    ("null.example", "MX"): ("0 ",),
    ("nullish.example", "MX"): ("0 ", "10 main.example"),
    ("empty.example", "TXT"): ("x",),
    ("temp.example", "MX"): "TEMP",
    ("addressless.example", "MX"): ("10 nowhere.example",),
    ("doubtful.example", "MX"): ("10 nowhere.example", "20 unsure.example"),
    ("unsure.example", "A"): "TEMP",
    ("lame.example", "MX"): ("10 unsure.example", "20 backup.example"),
    ("six.example", "MX"): ("10 six-host.example",),
    ("six-host.example", "AAAA"): ("2001:db8::6",),
    ("backed.example", "MX"): ("10 main.example", "20 mx.example.org", "20 equal.example", "30 backup.example"),
    ("ours.example", "MX"): ("10 MX.example.org".lower(), "20 backup.example"),
    ("equal.example", "A"): ("192.0.2.20",),
    ("mx.example.org", "A"): ("192.0.2.25",),
    ("by-address.example", "MX"): ("10 main.example", "20 alias-of-us.example", "20 equal.example"),
    ("alias-of-us.example", "A"): ("192.0.2.25",),
    ("twice.example", "MX"): ("30 main.example", "10 main.example", "20 backup.example"),
    ("relay.example", "A"): ("192.0.2.9",),
}
MAIN = ("main.example", ("192.0.2.1", "192.0.2.2", "2001:db8::1"))
BACKUP = ("backup.example", ("192.0.2.3",))


@pytest.mark.feature("SX46")
@pytest.mark.parametrize(
    ("domain", "hosts"),
    [
        (b"plain.example", [MAIN, BACKUP]),
        (b"PLAIN.example", [MAIN, BACKUP]),
        (b"bare.example", [("bare.example", ("192.0.2.4",))]),
        (b"nullish.example", [MAIN]),
        (b"lame.example", [BACKUP]),
        (b"six.example", [("six-host.example", ("2001:db8::6",))]),
        (b"backed.example", [MAIN]),
        (b"by-address.example", [MAIN]),
        (b"twice.example", [MAIN, BACKUP]),
        (b"[192.0.2.7]", [("[192.0.2.7]", ("192.0.2.7",))]),
        (b"[IPv6:2001:DB8::7]", [("[ipv6:2001:db8::7]", ("2001:db8::7",))]),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else "",
)
def test_each_domain_leads_to_its_hosts(domain: bytes, hosts: list[tuple[str, tuple[str, ...]]]) -> None:
    smar = Driver(SETTINGS, ZONE)
    smar.step(Listening("smtps.mx:0", "192.0.2.25", 25))
    assert smar.hosts(b"user@" + domain) == hosts


@pytest.mark.feature("SX46")
@pytest.mark.parametrize(
    ("domain", "refusal"),
    [
        (b"absent.example", (550, b"5.1.2")),
        (b"temp.example", (451, b"4.4.3")),
        (b"null.example", (556, b"5.1.10")),
        (b"empty.example", (550, b"5.4.4")),
        (b"addressless.example", (550, b"5.4.4")),
        (b"doubtful.example", (451, b"4.4.3")),
        (b"ours.example", (554, b"5.4.6")),
        (b"mx.example.org", (554, b"5.4.6")),
        (b"[192.0.2.25]", (554, b"5.4.6")),
        (b"[nonsense]", (550, b"5.1.2")),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else "",
)
def test_each_dead_end_has_its_code(domain: bytes, refusal: tuple[int, bytes]) -> None:
    smar = Driver(SETTINGS, ZONE)
    smar.step(Listening("smtps.mx:0", "192.0.2.25", 25))
    assert smar.refusal(b"user@" + domain) == refusal


def test_the_verdict_says_whether_it_is_for_good() -> None:
    smar = Driver(SETTINGS, ZONE)
    outcomes = [verdict.outcome for domain in (b"absent.example", b"temp.example") if (verdict := smar.resolve(b"user@" + domain).verdict)]
    assert outcomes == [Outcome.FAILED, Outcome.DEFERRED]


def test_an_address_of_another_port_is_not_this_host() -> None:
    smar = Driver(SETTINGS, ZONE)
    smar.step(Listening("smtps.submission:0", "192.0.2.25", 587))
    smar.step(Listening("smtps.mx:0", "0.0.0.0", 25))
    assert smar.hosts(b"user@by-address.example")[0] == MAIN
    assert len(smar.hosts(b"user@by-address.example")) == 3


OTHERS = (("127.0.0.1", 2525), ("0.0.0.0", 25), ("::", 25))


@pytest.mark.feature("SX46")
@pytest.mark.parametrize("address", ["192.0.2.25", "2001:DB8::25"])
def test_an_mx_under_another_name_that_points_at_a_listen_socket_is_this_host(address: str) -> None:
    """RFC 5321 5.1: what is not better is dropped, and when nothing is left mail would come back (5.4.6)."""
    zone = ZONE | {("alias-of-us.example", "A"): ("192.0.2.25",), ("alias-of-us.example", "AAAA"): ("2001:db8::25",)}
    zone[("only-us.example", "MX")] = ("5 alias-of-us.example",)
    smar = Driver(replace(SETTINGS, own_addresses=(*OTHERS, (address, 25))), zone)
    assert smar.hosts(b"user@by-address.example") == [MAIN]
    assert smar.refusal(b"user@only-us.example") == (554, b"5.4.6")
    assert len(Driver(replace(SETTINGS, own_addresses=OTHERS), zone).hosts(b"user@by-address.example")) == 3


@pytest.mark.feature("SX46")
def test_a_server_on_another_port_of_our_address_is_another_host() -> None:
    """Such as the sinks of a laboratory: all on 127.0.0.1."""
    rows = (MailerEntry("sink.example", "host", "127.0.0.1", 2526), MailerEntry("us.example", "host", "127.0.0.1", 2525))
    smar = Driver(replace(SETTINGS, own_addresses=OTHERS, mailertable=rows), ZONE | {("lab.example", "A"): ("127.0.0.1",)})
    assert smar.hosts(b"user@sink.example") == [("127.0.0.1", ("127.0.0.1",))]
    assert smar.hosts(b"user@lab.example") == [("lab.example", ("127.0.0.1",))]
    assert smar.refusal(b"user@us.example") == (554, b"5.4.6")
    smar.step(Listening("smtps", "127.0.0.1", 25))  # what the runtime found for 0.0.0.0
    assert smar.refusal(b"user@lab.example") == (554, b"5.4.6")
    assert smar.hosts(b"user@sink.example") == [("127.0.0.1", ("127.0.0.1",))]


def test_hosts_of_equal_preference_are_drawn_anew_each_time_and_not_remembered() -> None:
    zone: Zone = {("many.example", "MX"): ("5 first.example", *(f"10 h{n}.example" for n in range(3))), ("first.example", "A"): ("192.0.2.1",)}
    zone |= {(f"h{n}.example", "A"): (f"192.0.2.{n + 10}",) for n in range(3)}
    smar = Driver(SETTINGS, zone)
    orders = Counter(tuple(name for name, _ in smar.hosts(b"user@many.example")) for _ in range(600))
    assert {order[0] for order in orders} == {"first.example"}
    assert len(orders) == 6, "every order occurs"
    assert min(orders.values()) > 60, "and none is rare"
    assert smar.resolve(b"user@many.example").cache_until == 0
    assert len(smar.queries) == 1 + 4 * 2, "the answers are remembered all the same"


def test_the_same_seed_draws_the_same_order() -> None:
    zone: Zone = {("many.example", "MX"): tuple(f"10 h{n}.example" for n in range(5)), **{(f"h{n}.example", "A"): ("192.0.2.1",) for n in range(5)}}
    orders = [[Driver(SETTINGS, zone, seed=seed).hosts(b"user@many.example") for _ in range(3)] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_the_number_of_hosts_is_bounded() -> None:
    zone: Zone = {("many.example", "MX"): tuple(f"{n} h{n}.example" for n in range(90)), **{(f"h{n}.example", "A"): ("192.0.2.1",) for n in range(90)}}
    smar = Driver(SETTINGS, zone)
    assert [name for name, _ in smar.hosts(b"user@many.example")] == [f"h{n}.example" for n in range(limits.MX_HOSTS_MAX)]


def test_a_cname_of_the_domain_is_taken_for_the_domain_itself() -> None:
    """RFC 5321 5.1: the implicit MX is the name behind the CNAME."""
    smar = Smar(SETTINGS)
    smar.step(Started(1, 1), 0)
    smar.step(Linked("qmgr", 1), 0)
    (query,) = smar.step(Told("qmgr", Resolve(1, b"u@www.example")), 0)
    assert query == Query(1, "www.example", "MX")
    first, second = smar.step(Answered(1, "NODATA", ttl_us=SECOND, name="real.example"), 0)
    assert (first, second) == (Query(2, "real.example", "A"), Query(3, "real.example", "AAAA"))
    assert smar.step(Answered(2, "OK", (DnsRecord(0, "192.0.2.1"),), SECOND), 0) == []
    (tell,) = smar.step(Answered(3, "NODATA"), 0)
    resolved = tell.message  # type: ignore[union-attr]
    assert isinstance(resolved, Resolved)
    assert resolved.route is not None
    assert (resolved.route.destination, resolved.route.hosts[0].name) == ("www.example", "real.example")


# --- how long QMGR may remember -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipient", "remembered"),
    [
        (b"u@plain.example", 5 * MINUTE),
        (b"u@null.example", 5 * MINUTE),
        (b"u@absent.example", 5 * MINUTE),
        (b"u@temp.example", 0),
        (b"u@example.org", 0),
        (b"u@lame.example", 5 * SECOND),
    ],
)
def test_qmgr_is_told_how_long_the_answer_is_true_for_the_domain(recipient: bytes, remembered: int) -> None:
    smar = Driver(SETTINGS, ZONE)
    resolved = smar.resolve(recipient)
    assert resolved.cache_until == (smar.now + remembered if remembered else 0)
    assert resolved.domain == (recipient[2:] if remembered else b"")


def test_a_local_domain_is_remembered_only_when_all_its_local_parts_go_the_same_way() -> None:
    plain = SmarSettings(hostname="example.org", postmaster="postmaster@example.org", local_domains=("example.org", "example.net"))
    assert Driver(plain).resolve(b"u@example.org").cache_until > 0
    assert Driver(plain).resolve(b"u@example.net").cache_until == 0, "its postmaster goes elsewhere"
    users = SmarSettings(
        hostname="example.org",
        postmaster="postmaster@example.org",
        local_domains=("example.org",),
        local_user_map="u",
        map=(MapSettings("u", entries=(("u", ""),)),),
    )
    assert Driver(users).resolve(b"u@example.org").cache_until == 0


# --- local, literals, mailer table ------------------------------------------------------------------------------------------------


@pytest.mark.feature("SX53")
def test_local_mail_goes_to_the_lmtp_socket() -> None:
    route = Driver(SETTINGS).resolve(b"user+detail@example.org").route
    assert route is not None
    assert (route.destination, route.protocol) == ("local", Protocol.LMTP)
    assert (route.hosts[0].addresses, route.hosts[0].port) == (("/run/lda",), 0)


TABLE = (
    MailerEntry("host.example", "host", "relay.example", 2525),
    MailerEntry("host25.example", "host", "relay.example", 25),
    MailerEntry("address.example", "host", "192.0.2.8", 25),
    MailerEntry("address6.example", "host", "2001:db8::8", 26),
    MailerEntry("localhost.example", "host", "localhost", 2525),
    MailerEntry("mx.example", "mx", "plain.example", 25),
    MailerEntry("mx26.example", "mx", "plain.example", 26),
    MailerEntry("socket.example", "lmtp", path="/run/other"),
    MailerEntry("lmtp.example", "lmtp", "127.0.0.1", 24),
    MailerEntry("lda.example", "local"),
    MailerEntry("refused.example", "error", code="5.7.1", text="not here"),
    MailerEntry("broken.example", "host", "absent.example", 25),
    MailerEntry("broken-mx.example", "mx", "null.example", 25),
    MailerEntry("unsure-mx.example", "host", "unsure.example", 25),
    MailerEntry("self.example", "host", "mx.example.org", 25),
    MailerEntry("self-other-port.example", "host", "mx.example.org", 26),
    MailerEntry("chosen@plain.example", "host", "relay.example", 2525),
    MailerEntry(".sub.example", "host", "192.0.2.100", 25),
    MailerEntry(".deep.sub.example", "host", "192.0.2.101", 25),
    MailerEntry("x.deep.sub.example", "host", "192.0.2.102", 25),
    MailerEntry("example.org", "local"),
)


@pytest.mark.feature("SX52")
@pytest.mark.parametrize(
    ("recipient", "destination", "protocol", "addresses", "port"),
    [
        (b"u@host.example", "[relay.example]:2525", Protocol.SMTP, ("192.0.2.9",), 2525),
        (b"u@host25.example", "[relay.example]", Protocol.SMTP, ("192.0.2.9",), 25),
        (b"u@address.example", "[192.0.2.8]", Protocol.SMTP, ("192.0.2.8",), 25),
        (b"u@address6.example", "[2001:db8::8]:26", Protocol.SMTP, ("2001:db8::8",), 26),
        (b"u@localhost.example", "[localhost]:2525", Protocol.SMTP, ("127.0.0.1",), 2525),
        (b"u@mx.example", "plain.example", Protocol.SMTP, MAIN[1], 25),
        (b"u@mx26.example", "plain.example:26", Protocol.SMTP, MAIN[1], 26),
        (b"u@socket.example", "lmtp:/run/other", Protocol.LMTP, ("/run/other",), 0),
        (b"u@lmtp.example", "lmtp:127.0.0.1:24", Protocol.LMTP, ("127.0.0.1",), 24),
        (b"u@lda.example", "local", Protocol.LMTP, ("/run/lda",), 0),
        (b"u@self-other-port.example", "[mx.example.org]:26", Protocol.SMTP, ("192.0.2.25",), 26),
        (b"Chosen@plain.example", "[relay.example]:2525", Protocol.SMTP, ("192.0.2.9",), 2525),
        (b"other@plain.example", "plain.example", Protocol.SMTP, MAIN[1], 25),
        (b"u@a.sub.example", "[192.0.2.100]", Protocol.SMTP, ("192.0.2.100",), 25),
        (b"u@deep.sub.example", "[192.0.2.100]", Protocol.SMTP, ("192.0.2.100",), 25),
        (b"u@a.deep.sub.example", "[192.0.2.101]", Protocol.SMTP, ("192.0.2.101",), 25),
        (b"u@x.deep.sub.example", "[192.0.2.102]", Protocol.SMTP, ("192.0.2.102",), 25),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else "",
)
def test_each_row_of_the_mailer_table_leads_to_its_route(recipient: bytes, destination: str, protocol: Protocol, addresses: tuple[str, ...], port: int) -> None:
    route = Driver(replace(SETTINGS, mailertable=TABLE), ZONE).resolve(recipient).route
    assert route is not None
    assert (route.destination, route.protocol) == (destination, protocol)
    assert (route.hosts[0].addresses, route.hosts[0].port) == (addresses, port)


@pytest.mark.feature("SX52")
@pytest.mark.parametrize(
    ("recipient", "refusal"),
    [
        (b"u@refused.example", (550, b"5.7.1")),
        (b"u@broken.example", (451, b"4.3.5")),
        (b"u@broken-mx.example", (451, b"4.3.5")),
        (b"u@unsure-mx.example", (451, b"4.4.3")),
        (b"u@self.example", (554, b"5.4.6")),
    ],
)
def test_a_row_that_leads_nowhere_is_our_fault_and_the_mail_waits(recipient: bytes, refusal: tuple[int, bytes]) -> None:
    assert Driver(replace(SETTINGS, mailertable=TABLE), ZONE).refusal(recipient) == refusal


def test_the_row_for_everything_spares_local_domains_and_takes_literals() -> None:
    smar = Driver(replace(SETTINGS, mailertable=(MailerEntry("*", "host", "192.0.2.99", 25), MailerEntry(".org", "host", "192.0.2.98", 25))), ZONE)
    destinations = [route.destination for name in (b"example.org", b"far.org", b"plain.example", b"[192.0.2.7]") if (route := smar.resolve(b"u@" + name).route)]
    assert destinations == ["local", "[192.0.2.98]", "[192.0.2.99]", "[192.0.2.99]"]
    assert not smar.queries


# --- the order of the rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.feature("SX51")
def test_the_rules_are_asked_in_the_documented_order() -> None:
    """Each setting takes the rule away that matched before it; the next one decides."""
    alias = AliasesSettings("/etc/aliases", ("localpart",))
    users = (MapSettings("users", entries=(("other", ""),)),)
    all_rules = SmarSettings(
        hostname="mx.example.org",
        local_domains=("plain.example",),
        aliases=alias,
        local_user_map="users",
        map=users,
        mailertable=(MailerEntry("plain.example", "host", "192.0.2.50", 25), MailerEntry("*", "host", "192.0.2.51", 25)),
    )
    maps: dict[str, dict[str, str] | str | None] = {ALIASES_MAP: {"u@plain.example": "v@far.example"}}

    def outcome(settings: SmarSettings) -> str:
        resolved = Driver(settings, ZONE, maps).resolve(b"u@plain.example")
        if resolved.expansion:
            return resolved.expansion[0].decode()
        return resolved.route.destination if resolved.route else resolved.verdict.enhanced.decode() if resolved.verdict else ""

    settings, seen = all_rules, [outcome(all_rules)]
    for change in (
        {"aliases": AliasesSettings()},
        {"mailertable": (MailerEntry("*", "host", "192.0.2.51", 25),)},
        {"local_user_map": ""},
        {"local_domains": ()},
        {"mailertable": ()},
    ):
        settings = replace(settings, **change)
        seen.append(outcome(settings))
    assert seen == ["v@far.example", "[192.0.2.50]", "5.1.1", "local", "[192.0.2.51]", "plain.example"]


# --- any answers ------------------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a.example", "b.example", "mx.example.org", ""])
MX_ANSWERS = st.one_of(
    st.sampled_from(["TEMP", "NODATA", "NXDOMAIN"]),
    st.lists(st.tuples(st.integers(0, 3), NAMES), min_size=1, max_size=6).map(lambda rows: tuple(f"{p} {n}" for p, n in rows)),
)
ADDRESS_ANSWERS = st.one_of(st.sampled_from(["TEMP", "NODATA", "NXDOMAIN"]), st.just(("192.0.2.1",)), st.just(("192.0.2.25",)))


@given(MX_ANSWERS, ADDRESS_ANSWERS, ADDRESS_ANSWERS)
def test_whatever_the_dns_says_no_route_leads_back_here_and_nothing_better_is_lost(
    mx: str | tuple[str, ...], a: str | tuple[str, ...], b: str | tuple[str, ...]
) -> None:
    zone: Zone = {("d.example", "MX"): mx, ("a.example", "A"): a, ("b.example", "A"): b, ("mx.example.org", "A"): ("192.0.2.25",), ("d.example", "A"): a}
    smar = Driver(SETTINGS, zone)
    smar.step(Listening("smtps.mx:0", "192.0.2.25", 25))
    resolved = smar.resolve(b"u@d.example")
    assert (resolved.route is None) != (resolved.verdict is None)
    if resolved.route is not None:
        for host in resolved.route.hosts:
            assert host.name != "mx.example.org"
            assert host.addresses
            assert "192.0.2.25" not in host.addresses
    temporary = "TEMP" in (mx, a, b)
    assert resolved.verdict is None or resolved.verdict.outcome == Outcome.FAILED or temporary, "only trouble defers"


def test_the_cache_keeps_answers_within_its_bounds_and_no_longer() -> None:
    cache = DnsCacheSettings(entries_max=16, ttl_min_us=5 * SECOND, ttl_max_us=30 * SECOND, negative_ttl_us=10 * SECOND)
    smar = Driver(replace(SETTINGS, dns_cache=cache), {("a.example", "A"): ("192.0.2.1",), ("t.example", "MX"): "TEMP"})
    smar.resolve(b"u@a.example")
    asked = len(smar.queries)
    smar.now += 9 * SECOND
    smar.resolve(b"u@a.example")
    assert len(smar.queries) == asked
    smar.now += 2 * SECOND
    smar.resolve(b"u@a.example")
    assert smar.queries[asked:] == [("a.example", "MX"), ("a.example", "AAAA")], "what does not exist is asked again first"
    smar.resolve(b"u@t.example")
    smar.resolve(b"u@t.example")
    assert smar.queries.count(("t.example", "MX")) == 1
    for n in range(100):
        smar.resolve(b"u@x%d.example" % n)
    assert len(smar.smar._cache) == 16
