"""The address grammar: positive cases with their negative twins, sizes, and round trips."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smx.errors import FormatError
from smx.messages import Notify
from smx.smtp.address import NULL_MAILBOX, POSTMASTER, Mailbox
from smx.smtp.grammar import (
    notify_value,
    orcpt_in_ascii,
    parse_address_literal,
    parse_domain,
    parse_envid,
    parse_forward_path,
    parse_mailbox,
    parse_notify,
    parse_orcpt,
    parse_parameters,
    parse_reverse_path,
    parse_size,
    xtext_decode,
    xtext_encode,
)

GOOD_PATHS = [
    # path                                     local part         domain
    (b"<a@b>", b"a", b"b"),
    (b"<John.Smith@Example.ORG>", b"John.Smith", b"example.org"),
    (b"<!#$%&'*+-/=?^_`{|}~@x.y>", b"!#$%&'*+-/=?^_`{|}~", b"x.y"),
    (b"<1@1.2>", b"1", b"1.2"),
    (b"<a@a-b.c--d>", b"a", b"a-b.c--d"),
    (b'<"a"@b>', b"a", b"b"),
    (b'<"a b"@b>', b"a b", b"b"),
    (b'<"a\\"b"@b>', b'a"b', b"b"),
    (b'<"a\\\\b"@b>', b"a\\b", b"b"),
    (b'<"\\a"@b>', b"a", b"b"),
    (b'<"a@b>c"@d>', b"a@b>c", b"d"),
    (b'<"Joe\\,Smith"@b>', b"Joe,Smith", b"b"),
    (b'<"."@b>', b".", b"b"),
    (b'<""@b>', b"", b"b"),
    (b"<@x.org:a@b>", b"a", b"b"),
    (b"<@x.org,@y.org:a@b>", b"a", b"b"),
    (b'<@x.org:"q r"@b>', b"q r", b"b"),
    (b"<a@[192.0.2.1]>", b"a", b"[192.0.2.1]"),
    (b"<a@[001.2.03.255]>", b"a", b"[1.2.3.255]"),
    (b"<a@[IPv6:2001:DB8::1]>", b"a", b"[IPv6:2001:db8::1]"),
    (b"<a@[ipv6:2001:db8:0:0:0:0:0:1]>", b"a", b"[IPv6:2001:db8::1]"),
    (b"<a@[IPv6:::]>", b"a", b"[IPv6:::]"),
    (b"<a@[IPv6:::ffff:192.0.2.1]>", b"a", b"[IPv6:::ffff:c000:201]"),
    (b"<a@[IPv6:1:2:3:4:5:6:192.0.2.1]>", b"a", b"[IPv6:1:2:3:4:5:6:c000:201]"),
    (b"<a@[X-tag:any.thing@all]>", b"a", b"[x-tag:any.thing@all]"),
    (b"<" + b"l" * 64 + b"@b>", b"l" * 64, b"b"),
    (b"<" + b"l" * 65 + b"@b>", b"l" * 65, b"b"),  # RFC 5321 4.5.3.1.1 is a minimum
    (b"<" + b"l" * 252 + b"@b>", b"l" * 252, b"b"),
    (b"<a@" + b"d" * 63 + b".org>", b"a", b"d" * 63 + b".org"),
    (b"<a@" + b".".join([b"d" * 49] * 5) + b".ab>", b"a", b".".join([b"d" * 49] * 5) + b".ab"),  # a path of 256 octets
]

BAD_PATHS = [
    b"",
    b"a@b",
    b"<a@b",
    b"<a>",
    b"<@b>",
    b"<a@>",
    b"<a@@b>",
    b"<a b@c>",
    b"< a@b>",
    b"<a@b >",
    b"<.a@b>",
    b"<a.@b>",
    b"<a..b@c>",
    b"<a@.b>",
    b"<a@b.>",
    b"<a@b..c>",
    b"<a@-b>",
    b"<a@b->",
    b"<a@b_c>",
    b"<a@b,c>",
    b"<a(c)@b>",
    b"<a@b(c)>",
    b"<a;b@c>",
    b'<"a@b>',
    b'<a"b"@c>',
    b'<"a"b@c>',
    b'<"a"."b"@c>',
    b'<"a\\"@b>',
    b'<"a\x01"@b>',
    b'<"a\\\x01"@b>',
    b"<a\x00@b>",
    b"<a\x7f@b>",
    b"<\xc3\xa9@b>",
    b"<a@\xc3\xa9>",
    b'<"\xc3\xa9"@b>',
    b"<@x.org a@b>",
    b"<@x.org:>",
    b"<@x.org,a@b>",
    b"<@x.org,@y.org,a@b>",
    b"<x.org:a@b>",
    b"<@[192.0.2.1:a@b>",
    b"<" + b"@x," * 30 + b"@x:a@b>",
    b"<a@[192.0.2.256]>",
    b"<a@[192.0.2]>",
    b"<a@[192.0.2.1.1]>",
    b"<a@[0192.0.2.1]>",
    b"<a@[192.0.2.1>",
    b"<a@[]>",
    b"<a@[IPv6:1:2:3:4:5:6:7]>",
    b"<a@[IPv6:1:2:3:4:5:6:7:8:9]>",
    b"<a@[IPv6:1::2::3]>",
    b"<a@[IPv6:1:2:3:4:5:6:7::]>",
    b"<a@[IPv6:::1%eth0]>",
    b"<a@[IPv6:12345::]>",
    b"<a@[IPv6:1:2:3:4:5::192.0.2.1]>",
    b"<a@[tag]>",
    b"<a@[tag:]>",
    b"<a@[tag-:x]>",
    b"<a@[tag:x y]>",
    b"<a@[tag:x\\y]>",
    b"<" + b"l" * 253 + b"@b>",
    b"<a@" + b"d" * 64 + b".org>",
    b"<a@" + b".".join([b"d" * 49] * 5) + b".abc>",
]


@pytest.mark.parametrize(("path", "local_part", "domain"), GOOD_PATHS)
def test_a_good_path_becomes_a_canonical_mailbox(path: bytes, local_part: bytes, domain: bytes) -> None:
    mailbox, rest = parse_reverse_path(path + b" SIZE=1")
    assert (mailbox.local_part, mailbox.domain, rest) == (local_part, domain, b" SIZE=1")
    assert parse_forward_path(path) == (mailbox, b"")
    assert parse_forward_path(mailbox.path) == (mailbox, b"")


@pytest.mark.feature("SX72")
@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_bad_path_is_a_format_error(path: bytes) -> None:
    for parse in (parse_reverse_path, parse_forward_path):
        with pytest.raises(FormatError):
            parse(path)


def test_the_null_path_is_a_reverse_path_only() -> None:
    assert parse_reverse_path(b"<>") == (NULL_MAILBOX, b"")
    assert (NULL_MAILBOX.is_null, NULL_MAILBOX.path, NULL_MAILBOX.address) == (True, b"<>", b"")
    with pytest.raises(FormatError):
        parse_forward_path(b"<>")


@pytest.mark.parametrize("path", [b"<Postmaster>", b"<postmaster>", b"<POSTMASTER>"])
def test_postmaster_needs_no_domain_as_a_forward_path(path: bytes) -> None:
    assert parse_forward_path(path + b" NOTIFY=NEVER") == (POSTMASTER, b" NOTIFY=NEVER")
    assert POSTMASTER.path == b"<postmaster>"
    with pytest.raises(FormatError):
        parse_reverse_path(path)
    with pytest.raises(FormatError):
        parse_forward_path(b"<hostmaster>")


UTF8_GOOD = ["<\u00e9@b>", "<a@\u00e9xample.org>", '<"\u00e9 x"@b>', "<\u7528\u6237@\u4f8b\u5b50.\u6d4b\u8bd5>", "<@\u00e9.org:a@b>", "<a@xn--xample-9ua.org>"]
UTF8_BAD = [
    b"<\xff@b>",
    b"<a@\xff>",
    b"<\xc2\x80@b>",
    b'<"\xc2\x80"@b>',
    "<a@\u3002b>".encode(),
    "<a@\u00e9_x>".encode(),
    "<a@x_y.\u00e9>".encode(),
    "<a@\u00e9\u2003b>".encode(),
]


@pytest.mark.parametrize("path", UTF8_GOOD)
def test_utf8_is_taken_with_the_flag_only(path: str) -> None:
    octets = path.encode()
    mailbox, rest = parse_forward_path(octets, smtputf8=True)
    assert rest == b""
    assert parse_forward_path(mailbox.path, smtputf8=True) == (mailbox, b"")
    assert mailbox.ascii_only == mailbox.address.isascii()
    if not path.isascii():
        with pytest.raises(FormatError):
            parse_forward_path(octets)


@pytest.mark.parametrize("path", UTF8_BAD)
def test_bad_utf8_is_refused_with_the_flag_too(path: bytes) -> None:
    with pytest.raises(FormatError):
        parse_forward_path(path, smtputf8=True)


ATEXT = "abcXYZ019!#$%&'*+-/=?^_`{|}~"
labels = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,8}[A-Za-z0-9])?", fullmatch=True)
domains = st.lists(labels, min_size=1, max_size=4).map(lambda parts: ".".join(parts).encode())
dot_strings = st.lists(st.text(ATEXT, min_size=1, max_size=6), min_size=1, max_size=4).map(lambda parts: ".".join(parts).encode())
quoted_contents = st.text([chr(code) for code in range(32, 127)], max_size=20).map(str.encode)
literals = st.one_of(
    st.ip_addresses(v=4).map(lambda address: f"[{address}]".encode()),
    st.ip_addresses(v=6)
    .filter(lambda address: address.exploded.count("0000") > 1 or "::" not in str(address))
    .map(lambda address: f"[IPv6:{address.exploded}]".encode()),
)


@given(st.one_of(dot_strings, quoted_contents), st.one_of(domains, literals))
def test_mailboxes_survive_the_round_trip(local_part: bytes, domain: bytes) -> None:
    canonical = parse_domain(domain)
    mailbox = Mailbox(local_part, canonical)
    assert parse_mailbox(mailbox.address) == mailbox
    assert parse_reverse_path(mailbox.path) == (mailbox, b"")
    assert parse_domain(canonical) == canonical


@given(st.text([chr(code) for code in range(32, 127)], max_size=15), st.data())
def test_all_quoted_forms_of_a_local_part_are_equal(content: str, data: st.DataObject) -> None:
    needed = '"\\'
    escaped = "".join("\\" + character if character in needed or data.draw(st.booleans()) else character for character in content)
    assert parse_mailbox(f'"{escaped}"@x.org'.encode()) == Mailbox(content.encode(), b"x.org")


@given(st.binary(max_size=80), st.booleans())
def test_arbitrary_octets_are_a_mailbox_or_a_format_error(octets: bytes, smtputf8: bool) -> None:
    for parse in (parse_reverse_path, parse_forward_path):
        try:
            mailbox, _ = parse(b"<" + octets + b">", smtputf8=smtputf8)
        except FormatError:
            continue
        assert len(mailbox.path) <= 256
        assert b"\r" not in mailbox.path
        assert b"\n" not in mailbox.path


@given(st.lists(st.sampled_from([b"<", b">", b"@", b":", b",", b'"', b"\\", b".", b"[", b"]", b"IPv6:", b"a", b"1", b"-", b" ", b"\xc3\xa9"]), max_size=20))
def test_shuffled_pieces_of_addresses_never_raise_anything_else(pieces: list[bytes]) -> None:
    for smtputf8 in (False, True):
        try:
            mailbox, _ = parse_forward_path(b"".join(pieces), smtputf8=smtputf8)
        except FormatError:
            continue
        assert parse_forward_path(mailbox.path, smtputf8=smtputf8) == (mailbox, b"")


@pytest.mark.parametrize(("octets", "canonical"), [(b"Example.ORG", b"example.org"), (b"localhost", b"localhost"), (b"[127.0.0.1]", b"[127.0.0.1]")])
def test_a_domain_or_literal_is_canonical(octets: bytes, canonical: bytes) -> None:
    assert parse_domain(octets) == canonical


@pytest.mark.parametrize("octets", [b"", b".", b"a.", b"a b", b"a_b", b"[1.2.3.4", b"1.2.3.4]", b"a" * 64, b"a." * 127 + b"bb", b"\xc3\xa9"])
def test_what_is_no_domain_is_a_format_error(octets: bytes) -> None:
    with pytest.raises(FormatError):
        parse_domain(octets)
    with pytest.raises(FormatError):
        parse_address_literal(octets)


@pytest.mark.parametrize(
    ("octets", "parameters"),
    [
        (b"", []),
        (b" SIZE=1", [(b"SIZE", b"1")]),
        (b" size=1 Body=8BITMIME SMTPUTF8", [(b"SIZE", b"1"), (b"BODY", b"8BITMIME"), (b"SMTPUTF8", None)]),
        (b" X-y=a+3Db;c", [(b"X-Y", b"a+3Db;c")]),
    ],
)
def test_parameters_are_read(octets: bytes, parameters: list[tuple[bytes, bytes | None]]) -> None:
    assert parse_parameters(octets) == parameters


@pytest.mark.parametrize("octets", [b"SIZE=1", b" ", b"  SIZE=1", b" SIZE=", b" =1", b" -x=1", b" a=b=c", b" a=\x01", b" a=\xc3\xa9", b" _=1", b" a=1" * 17])
def test_bad_parameters_are_a_format_error(octets: bytes) -> None:
    with pytest.raises(FormatError):
        parse_parameters(octets)


@pytest.mark.parametrize(
    ("value", "flags"),
    [(b"NEVER", Notify.NEVER), (b"success", Notify.SUCCESS), (b"SUCCESS,FAILURE,DELAY", Notify.SUCCESS | Notify.FAILURE | Notify.DELAY)],
)
def test_notify_is_read_and_written(value: bytes, flags: Notify) -> None:
    assert parse_notify(value) == flags
    assert notify_value(flags) == value.upper()


@pytest.mark.parametrize("value", [None, b"", b"NEVER,DELAY", b"DELAY,NEVER", b"SUCCESS,", b",", b"SOMETIMES", b"SUCCESS FAILURE"])
def test_bad_notify_is_a_format_error(value: bytes | None) -> None:
    with pytest.raises(FormatError):
        parse_notify(value)


@pytest.mark.parametrize("value", [None, b"", b"a=b", b"+3d", b"+1", b"a b", b"+00", b"x" * 101])
def test_bad_envid_is_a_format_error(value: bytes | None) -> None:
    with pytest.raises(FormatError):
        parse_envid(value)
    assert parse_envid(b"QQ+2B314159") == b"QQ+2B314159"


@pytest.mark.parametrize(
    "value", [None, b"", b"rfc822", b"rfc822;", b";a@b", b"rf c;a", b"rfc822;a=b", b"rfc822;a\xc3\xa9", b"utf-8;\xff", b"rfc822;" + b"x" * 500]
)
def test_bad_orcpt_is_a_format_error(value: bytes | None) -> None:
    with pytest.raises(FormatError):
        parse_orcpt(value)


@pytest.mark.parametrize("value", [b"rfc822;Bob@Example.COM", b"x400;+2FS=", b"utf-8;\xc3\xa9@b", b"utf-8;\\x{E9}@b"])
def test_orcpt_is_kept_as_it_is(value: bytes) -> None:
    if value == b"x400;+2FS=":
        with pytest.raises(FormatError):
            parse_orcpt(value)
    else:
        assert parse_orcpt(value) == value


def test_a_utf8_orcpt_has_an_ascii_form() -> None:
    assert orcpt_in_ascii("utf-8;\u00e9@b".encode()) == b"utf-8;\\x{E9}@b"
    assert orcpt_in_ascii(b"rfc822;a@b") == b"rfc822;a@b"


@pytest.mark.parametrize("value", [None, b"", b"-1", b"1.5", b"1k", b"1" * 21])
def test_bad_size_is_a_format_error(value: bytes | None) -> None:
    with pytest.raises(FormatError):
        parse_size(value)
    assert parse_size(b"0012") == 12


@given(st.binary(max_size=40))
def test_xtext_survives_the_round_trip(octets: bytes) -> None:
    assert xtext_decode(xtext_encode(octets)) == octets
