"""Macros in right-hand sides: parts of the recipient's address in aliases and in the mailer table; whatever a peer writes there, it stays one part (SX51)."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from smx.config.mailer import parse_entry
from smx.config.mailer_macros import macros_in
from smx.config.schema_smar import AliasesSettings, MailerEntry, SmarSettings
from smx.errors import FormatError
from smx.messages import Protocol
from smx.smar.aliases import parse
from smx.smar.tables import ALIASES_MAP
from smx.smtp.address import quoted
from smx.smtp.grammar import parse_mailbox
from tests.smar.driver import Driver, Zone

pytestmark = pytest.mark.feature("SX51")

ZONE: Zone = {("relay.a.example", "A"): ("192.0.2.1",), ("b.example.hub.example", "A"): ("192.0.2.2",), ("mx.hub.example", "A"): ("192.0.2.3",)}


def aliased(file: str, recipient: bytes, flags: tuple[str, ...] = ("local_domains", "localpart")) -> tuple[bytes, ...] | tuple[int, bytes]:
    """What the alias of this recipient expands to, or its refusal."""
    entries, problems = parse(file)
    assert not problems
    settings = SmarSettings(hostname="example.org", local_domains=("example.org", "example.net"), aliases=AliasesSettings("/etc/aliases", flags))
    resolved = Driver(settings, maps={ALIASES_MAP: {entry.name: entry.targets for entry in entries}}).resolve(recipient)
    return resolved.expansion or ((resolved.verdict.code, resolved.verdict.enhanced) if resolved.verdict is not None else ())


def routed(*rows: tuple[str, str]) -> Driver:
    table = tuple(parse_entry(pattern, text) for pattern, text in rows)
    return Driver(SmarSettings(hostname="mx.example.org", local_domains=("example.org",), mailertable=table), ZONE)


@pytest.mark.parametrize(
    ("file", "recipient", "members"),
    [
        ("sales: ${user}-${detail}@crm.example", b"sales+eu@example.org", (b"sales-eu@crm.example",)),
        ("sales: ${user}-${detail}@crm.example", b"sales@example.org", (b"sales-@crm.example",)),
        ("sales: ${address}", b"sales+eu@example.net", ()),  # itself: no alias at all
        ("all: archive, \\${address}", b"all+x@example.net", (b"archive@example.net", b"all+x@example.net")),
        ("info: info@${domain}.hub.example", b"info@example.net", (b"info@example.net.hub.example",)),
        ("log: ${detail}.log", b"log+web@example.org", (b"web.log@example.org",)),
        ("log: ${detail}, \\root", b"log+a+b@example.org", (b"a+b@example.org", b"root@example.org")),
        ('copy: "${address}"@store.example', b"copy+1@example.org", (b'"copy+1@example.org"@store.example',)),
        ("a b: x", b'"a b"@example.org', (b"x@example.org",)),
        ("Case: ${USER}@x.example", b"CASE+Y@example.org", (b"CASE@x.example",)),
        ("one: two+${detail}\ntwo: ${user}.${detail}@x.example", b"one+q@example.org", (b"two.q@x.example",)),
    ],
)
def test_aliases_name_parts_of_the_address(file: str, recipient: bytes, members: tuple[bytes, ...]) -> None:
    file = file.replace("a b:", '"a b":')
    assert aliased(file, recipient) == members


def test_an_alias_that_needs_a_detail_has_no_user_without_one() -> None:
    assert aliased("log: ${detail}@logs.example", b"log@example.org") == (550, b"5.1.1")


def test_an_address_that_grows_too_long_has_no_user() -> None:
    assert aliased("log: ${detail}${detail}${detail}@logs.example", b"log+" + b"x" * 90 + b"@example.org") == (550, b"5.1.1")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a: ${nothing}@b.example", "${nothing} cannot stand here"),
        ("a: ${user", "${user cannot stand here"),
        ("a: x@${user}.example", "${user} cannot stand here; expected one of ${domain}"),
        ("${user}: x", "a name has no macros"),
    ],
)
def test_a_wrong_macro_in_the_aliases_is_told_with_its_line(file: str, text: str) -> None:
    entries, problems = parse("good: x\n" + file)
    assert [entry.name for entry in entries] == ["good"]
    ((line, problem),) = problems
    assert line == 2
    assert text in problem


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60))
def test_what_a_peer_writes_stays_one_address(local: str) -> None:
    """Commas, quotes, at signs, macros: the expansion has one member, and it can be sent."""
    recipient = quoted(local.encode()) + b"@far.example"
    file = f"{recipient.decode().lower()}: x${{user}}y${{detail}}@b.example"
    try:
        parse_mailbox(recipient)
    except FormatError:
        assume(False)
    entries, problems = parse(file)
    assume(entries and not problems)  # some of these cannot be the name of an alias: "#" begins a comment
    members = aliased(file, recipient, flags=())
    assert len(members) == 1
    (member,) = members
    assert isinstance(member, bytes)
    mailbox = parse_mailbox(member)
    assert mailbox.domain == b"b.example"
    assert mailbox.local_part.startswith(b"x")


# --- the mailer table


def test_hosts_name_the_domain() -> None:
    driver = routed((".a.example", "[relay.a.example]:2525"), ("b.example", "[${domain}.hub.example]"), ("*", "[mx.hub.example]"))
    assert driver.hosts(b"x@b.example") == [("b.example.hub.example", ("192.0.2.2",))]
    assert driver.resolve(b"x@b.example").cache_until > 0, "it is the same for every local part"
    assert driver.hosts(b"x@c.example") == [("mx.hub.example", ("192.0.2.3",))]


def test_a_literal_makes_no_host_name() -> None:
    assert routed(("*", "[${domain}.hub.example]")).refusal(b"x@[192.0.2.9]") == (450, b"4.3.5")


def test_paths_name_user_and_domain() -> None:
    driver = routed(("lists.example", "lmtp:unix:/run/${domain}/${user}"))
    resolved = driver.resolve(b"Dev+subscribe@lists.example")
    assert resolved.route is not None
    assert (resolved.route.protocol, resolved.route.hosts[0].addresses) == (Protocol.LMTP, ("/run/lists.example/dev",))
    assert resolved.cache_until == 0, "another local part goes another way"


@pytest.mark.parametrize("local", [b'"../x"', b'"a/b"', b'".."', b'".hidden"', b'"a b"', b'"a\\\\/b"', b'""', b"x" * 63 + b"/"])
def test_no_address_leaves_the_directory_of_a_path(local: bytes) -> None:
    driver = routed(("lists.example", "lmtp:unix:/run/lists/${user}"))
    assert driver.refusal(local + b"@lists.example") == (550, b"5.1.1")


def test_a_refusal_names_the_address_in_visible_ascii() -> None:
    driver = routed(("old.example", "error:5.1.6 ${address} is now ${user}@new.example"))
    verdict = driver.resolve("jörg+x@old.example".encode()).verdict
    assert verdict is not None
    assert (verdict.enhanced, verdict.text) == (b"5.1.6", b"j\\xf6rg+x@old.example is now j\\xf6rg@new.example")
    assert driver.check(b"a@old.example") == (550, b"5.1.6")


@pytest.mark.parametrize("text", ["[${user}.example]", "${detail}:25", "[${domain]", "lmtp:unix:/run/${detail}", "lmtp:[${address}]:24", "error:5.1.1 ${x}"])
def test_a_macro_in_the_wrong_place_is_refused_by_the_checker(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected"):
        parse_entry("a.example", text)


def test_the_macros_of_a_text_are_found_in_either_case() -> None:
    assert macros_in("${USER} and ${detail}, ${user}") == {"user", "detail"}
    assert parse_entry("a", "lmtp:unix:/x/${user}") == MailerEntry("a", "lmtp", path="/x/${user}")
