"""RCPT: which recipients are taken, from whom, and with which reply."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from smx.config.schema_smar import AliasesSettings, MailerEntry, MapSettings, SmarSettings
from smx.events import Told
from smx.messages import CheckRecipient, RecipientChecked
from smx.smar.check import REMEMBERED_US
from smx.smar.tables import ALIASES_MAP
from tests.smar.driver import Driver

SETTINGS = SmarSettings(
    hostname="mx.example.org",
    postmaster="postmaster@mx.example.org",
    local_domains=("example.org", "mx.example.org", "[127.0.0.1]", "xn--bcher-kva.example"),
    relay_domains=("example.net", ".below.example"),
    local_user_map="users",
    aliases=AliasesSettings(file="/etc/aliases"),
    mailertable=(MailerEntry("gone.example", "error", code="5.1.1", text="moved"), MailerEntry("tired.example", "error", code="4.2.1", text="later")),
    map=(MapSettings("users", "inline", entries=(("alice", ""), ("Bob", ""), ("a+b", ""), ("john doe", ""))),),
)
ALIASES = {"info": "alice", "sales@example.org": "bob", "list@far.example": "alice@example.org"}


def driver(settings: SmarSettings = SETTINGS, aliases: dict[str, str] | str = ALIASES) -> Driver:
    return Driver(settings, maps={ALIASES_MAP: aliases})


OK, UNKNOWN, DENIED, TEMP, NO_DOMAIN = (250, b"2.1.5"), (550, b"5.1.1"), (550, b"5.7.1"), (451, b"4.3.0"), (550, b"5.1.2")


@pytest.mark.feature("SX49")
@pytest.mark.parametrize(
    ("recipient", "stranger", "trusted"),
    [
        (b"alice@example.org", OK, OK),
        (b"ALICE@example.org", OK, OK),
        (b"alice+lists@example.org", OK, OK),
        (b"a+b@example.org", OK, OK),
        (b"a@example.org", UNKNOWN, UNKNOWN),
        (b"+alice@example.org", UNKNOWN, UNKNOWN),
        (b"carol@example.org", UNKNOWN, UNKNOWN),
        (b"carol+alice@example.org", UNKNOWN, UNKNOWN),
        (b'"john doe"@example.org', OK, OK),
        (b"alice%example.net@example.org", UNKNOWN, UNKNOWN),
        (b"info@example.org", OK, OK),
        (b"info+x@mx.example.org", OK, OK),
        (b"sales@example.org", OK, OK),
        (b"sales@mx.example.org", UNKNOWN, UNKNOWN),
        (b"postmaster", OK, OK),
        (b"Postmaster", OK, OK),
        (b"postmaster@example.org", OK, OK),
        (b"POSTMASTER@mx.example.org", OK, OK),
        (b"postmaster@elsewhere.example", DENIED, OK),
        (b"nodomain", (553, b"5.1.3"), (553, b"5.1.3")),
        (b"alice@[127.0.0.1]", OK, OK),
        (b"carol@[127.0.0.1]", UNKNOWN, UNKNOWN),
        (b"alice@[192.0.2.1]", DENIED, OK),
        (b"alice@[IPv6:2001:db8::1]", DENIED, OK),
        (b"alice@[nonsense]", NO_DOMAIN, NO_DOMAIN),
        (b"anyone@example.net", OK, OK),
        (b"anyone@sub.example.net", DENIED, OK),
        (b"anyone@x.below.example", OK, OK),
        (b"anyone@below.example", DENIED, OK),
        (b"anyone@elsewhere.example", DENIED, OK),
        (b"list@far.example", DENIED, OK),
        (b"x@gone.example", UNKNOWN, UNKNOWN),
        (b"x@tired.example", (450, b"4.2.1"), (450, b"4.2.1")),
        ("alice@bücher.example".encode(), OK, OK),
        ("carol@BÜCHER.example".encode(), UNKNOWN, UNKNOWN),
        ("x@bücher.org".encode(), DENIED, OK),
        (f"x@{'ü' * 70}.org".encode(), NO_DOMAIN, NO_DOMAIN),
    ],
    ids=lambda value: value.decode()[:40] if isinstance(value, bytes) else None,
)
def test_each_recipient_gets_its_reply(recipient: bytes, stranger: tuple[int, bytes], trusted: tuple[int, bytes]) -> None:
    smar = driver()
    assert smar.check(recipient) == stranger
    assert smar.check(recipient, may_relay=True) == trusted
    assert not smar.queries, "RCPT asks no DNS"


@pytest.mark.parametrize(
    ("recipient", "may_relay", "lasts"),
    [
        (b"anyone@example.net", False, True),  # of relay_domains
        (b"anyone@far.example", True, True),
        (b"anyone@far.example", False, False),  # a refusal
        (b"alice@example.org", True, False),  # one of the local users
        (b"x@gone.example", True, False),
        (b"x@tired.example", True, False),
        (b"someone@kept.example", True, False),  # another address there has a row of its own
        (b"postmaster", True, False),
    ],
)
def test_smtps_may_remember_what_is_true_for_a_whole_domain(recipient: bytes, may_relay: bool, lasts: bool) -> None:
    rows = (*SETTINGS.mailertable, MailerEntry("list@kept.example", "error", code="5.1.1", text="closed"))
    smar = driver(structs.replace(SETTINGS, mailertable=rows))
    smar.step(Told("smtps.mx.0", CheckRecipient(1, recipient, b"s@example.com", "192.0.2.9", may_relay=may_relay)))
    answer = smar.told[-1][1]
    assert isinstance(answer, RecipientChecked)
    assert (answer.cache_until, answer.domain) == ((smar.now + REMEMBERED_US, recipient.partition(b"@")[2]) if lasts else (0, b""))


def test_without_a_map_of_users_every_local_part_is_valid() -> None:
    smar = Driver(SmarSettings(local_domains=("example.org",)))
    assert smar.check(b"anybody@example.org") == OK
    assert smar.check(b"anybody@example.net") == DENIED


def test_an_alias_of_a_whole_foreign_address_is_valid_when_the_flag_local_domains_is_off() -> None:
    settings = SmarSettings(local_domains=("example.org",), aliases=AliasesSettings("/etc/aliases", ("localpart",)))
    smar = driver(settings)
    assert smar.check(b"list@far.example") == OK
    assert smar.check(b"info@far.example") == DENIED, "a key without domain is for local domains only"


def test_an_empty_delimiter_switches_details_off() -> None:
    users = (MapSettings("users", entries=(("alice", ""),)),)
    smar = Driver(SmarSettings(local_domains=("example.org",), local_user_map="users", map=users, recipient_delimiter=""))
    assert smar.check(b"alice+x@example.org") == UNKNOWN


def test_unreadable_aliases_defer_only_whom_nothing_else_knows() -> None:
    smar = driver(aliases="/etc/aliases: no such file")
    assert smar.check(b"alice@example.org") == OK
    assert smar.check(b"postmaster@example.org") == OK
    assert smar.check(b"info@example.org") == TEMP


def test_an_unreadable_map_of_users_defers() -> None:
    settings = SmarSettings(local_domains=("example.org",), local_user_map="users", map=(MapSettings("users", "file", "/etc/users"),))
    assert Driver(settings, maps={"users": "broken"}).check(b"alice@example.org") == TEMP
    assert Driver(settings, maps={"users": {"alice": ""}}).check(b"alice@example.org") == OK
    assert Driver(settings, maps={"users": {"alice": ""}}).check(b"bob@example.org") == UNKNOWN


def test_a_map_that_is_not_in_memory_is_asked_one_by_one() -> None:
    settings = SmarSettings(local_domains=("example.org",), local_user_map="users", map=(MapSettings("users", "passwd"),))
    smar = Driver(settings, maps={"users": {"alice": ""}})
    assert smar.check(b"alice+x@example.org") == OK
    assert smar.check(b"bob@example.org") == UNKNOWN
    del smar.maps["users"]
    assert smar.check(b"alice@example.org") == TEMP


@given(st.binary(max_size=40), st.binary(max_size=40), st.booleans())
def test_any_octets_get_a_reply(local: bytes, domain: bytes, may_relay: bool) -> None:
    code, enhanced = driver().check(local + b"@" + domain, may_relay=may_relay)
    assert str(code)[0] == chr(enhanced[0])
