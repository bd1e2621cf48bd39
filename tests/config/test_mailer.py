"""The right-hand sides of the mailer table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smx.config.mailer import format_entry, parse_entry
from smx.config.schema_smar import MailerEntry

GOOD = [
    ("example.org", "[mx.example.net]:2525", MailerEntry("example.org", "host", "mx.example.net", 2525)),
    ("example.org", "[192.0.2.1]", MailerEntry("example.org", "host", "192.0.2.1", 25)),
    (".Example.org", "[2001:db8::1]:26", MailerEntry(".example.org", "host", "2001:db8::1", 26)),
    ("*", "Hub.example.net", MailerEntry("*", "mx", "hub.example.net", 25)),
    ("*", "hub.example.net:26", MailerEntry("*", "mx", "hub.example.net", 26)),
    ("a", "lmtp:unix:/run/lmtp", MailerEntry("a", "lmtp", path="/run/lmtp")),
    ("a", "lmtp:[127.0.0.1]:24", MailerEntry("a", "lmtp", "127.0.0.1", 24)),
    ("a", "local", MailerEntry("a", "local")),
    ("a", "error:5.1.1 no such user", MailerEntry("a", "error", code="5.1.1", text="no such user")),
    ("a", "ERROR:4.3.0 later", MailerEntry("a", "error", code="4.3.0", text="later")),
]
BAD = [
    ("example..org", "local", "domain"),
    ("a b", "local", "domain"),
    ("a", "", "expected"),
    ("a", "192.0.2.1:25", "brackets"),
    ("a", "[x", "expected"),
    ("a", "[x]25", "expected"),
    ("a", "x:0", "port"),
    ("a", "x:65536", "port"),
    ("a", "x:٣", "port"),
    ("a", "lmtp:[127.0.0.1]", "needs a port"),
    ("a", "lmtp:unix:run/lmtp", "absolute"),
    ("a", "error:2.0.0 fine", "enhanced code"),
    ("a", "error:5.1.1", "enhanced code"),
    ("a", "local:x", "nothing behind"),
]


@pytest.mark.parametrize(("pattern", "text", "entry"), GOOD)
def test_a_route_is_read_and_written(pattern: str, text: str, entry: MailerEntry) -> None:
    assert parse_entry(pattern, text) == entry
    assert parse_entry(pattern, format_entry(entry)) == entry


@pytest.mark.parametrize(("pattern", "text", "reason"), BAD)
def test_what_is_no_route_is_told(pattern: str, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_entry(pattern, text)


@given(st.text(), st.text())
def test_any_text_is_a_route_or_a_value_error(pattern: str, text: str) -> None:
    try:
        entry = parse_entry(pattern, text)
    except ValueError:
        return
    assert parse_entry(pattern, format_entry(entry)) == entry
