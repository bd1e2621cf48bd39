"""Trace fields: the grammar of RFC 5321 4.4, dates, protocol names, the loop check."""

import datetime
import email.utils
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smx.smtp.data import Census
from smx.smtp.trace import Stamp, delivered_to_field, loops, protocol_name, received_field, return_path_field, rfc5322_date

STAMP = Stamp(b"client.example.org", "192.0.2.1", b"mx.example.net", b"ESMTPS", b"k3Qz0001", 1_700_000_000_123_456)

FULL = (
    b"Received: from client.example.org (host.example.org [192.0.2.1])\r\n"
    b"\tby mx.example.net (using TLSv1.3)\r\n"
    b"\twith ESMTPS id k3Qz0001\r\n"
    b"\tfor <b@example.net>;\r\n"
    b"\tTue, 14 Nov 2023 22:13:20 +0000\r\n"
)


def test_a_received_field_has_all_clauses_in_their_order() -> None:
    stamp = msgspec.structs.replace(STAMP, client_name=b"host.example.org", recipient=b"b@example.net", tls=b"TLSv1.3")
    assert received_field(stamp) == FULL


@pytest.mark.parametrize(
    ("address", "tcp_info"),
    [("192.0.2.1", b" ([192.0.2.1])"), ("2001:db8::1", b" ([IPv6:2001:db8::1])"), ("", b"")],
)
def test_the_address_of_the_connection_is_a_literal(address: str, tcp_info: bytes) -> None:
    stamp = Stamp(b"x", address, b"mx", b"SMTP", b"1", 0)
    assert received_field(stamp) == b"Received: from x" + tcp_info + b"\r\n\tby mx with SMTP id 1;\r\n\tThu, 01 Jan 1970 00:00:00 +0000\r\n"


def test_without_one_recipient_there_is_no_for_clause() -> None:
    """RFC 5321 7.2."""
    assert b"for <" not in received_field(STAMP)


def test_a_received_field_is_one_header_field_and_one_hop() -> None:
    field = received_field(STAMP)
    census = Census()
    census.add(field + b"\r\n")
    facts = census.facts()
    assert (facts.hops, facts.header_octets, facts.bare) == (1, len(field), False)
    assert facts.line_octets_max <= 78
    assert re.fullmatch(rb"Received: from \S+ \([^)]+\)\r\n\tby \S+ with \S+ id \S+;\r\n\t[^\r]+\r\n", field)


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({"lmtp": False, "extended": False}, b"SMTP"),
        ({"lmtp": False, "extended": True}, b"ESMTP"),
        ({"lmtp": False, "extended": True, "tls": True}, b"ESMTPS"),
        ({"lmtp": False, "extended": True, "authenticated": True}, b"ESMTPA"),
        ({"lmtp": False, "extended": True, "tls": True, "authenticated": True}, b"ESMTPSA"),
        ({"lmtp": True, "extended": True}, b"LMTP"),
        ({"lmtp": True, "extended": True, "tls": True, "authenticated": True}, b"LMTPSA"),
        ({"lmtp": False, "extended": True, "smtputf8": True}, b"UTF8SMTP"),
        ({"lmtp": False, "extended": True, "smtputf8": True, "tls": True, "authenticated": True}, b"UTF8SMTPSA"),
        ({"lmtp": True, "extended": True, "smtputf8": True, "tls": True}, b"UTF8LMTPS"),
    ],
)
def test_the_protocol_has_its_registered_name(flags: dict[str, bool], name: bytes) -> None:
    """RFC 3848, RFC 6531 4.3."""
    assert protocol_name(**flags) == name


@given(st.integers(0, 4_102_444_800_000_000))
def test_a_date_is_read_as_what_was_written(stamp_us: int) -> None:
    written = rfc5322_date(stamp_us).decode()
    assert email.utils.parsedate_to_datetime(written) == datetime.datetime.fromtimestamp(stamp_us // 1_000_000, datetime.UTC)
    assert written.endswith(" +0000")


def test_the_return_path_is_the_reverse_path() -> None:
    assert return_path_field(b"") == b"Return-Path: <>\r\n"
    assert return_path_field(b'"q q"@x.org') == b'Return-Path: <"q q"@x.org>\r\n'


def test_a_message_that_was_delivered_here_loops() -> None:
    census = Census()
    census.add(delivered_to_field(b"A@x.org") + b"Subject: x\r\n\r\nDelivered-To: b@x.org\r\n")
    delivered_to = census.facts().delivered_to
    assert loops(delivered_to, b"a@X.org")
    assert not loops(delivered_to, b"b@x.org")
