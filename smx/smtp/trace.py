"""Trace: the fields that are put before the content: Received, Return-Path, Delivered-To (RFC 5321 4.4), and the loop check.

No clock: the time is a stamp in microseconds since 1970; dates are written with the offset +0000.
"""

import datetime
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec

_DAYS: Final = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTHS: Final = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class Stamp(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a Received field says. All octets are fit for a header field already: names as the grammar accepted them."""

    helo_name: bytes  # as the client presented itself
    client_address: str  # of the TCP connection: "192.0.2.1", "2001:db8::1"; "" for a UNIX socket
    hostname: bytes  # ours
    protocol: bytes  # protocol_name(...)
    queue_id: bytes  # an atom
    stamp_us: int
    client_name: bytes = b""  # the verified name of client_address, b"" when unknown
    recipient: bytes = b""  # the address for FOR: only when the transaction has one recipient (RFC 5321 7.2)
    tls: bytes = b""  # a comment on TLS, such as b"TLSv1.3 TLS_AES_256_GCM_SHA384"


def received_field(stamp: Stamp) -> bytes:
    """The Received field, folded, with its CRLF."""
    comment = b"(using %b)\r\n\t" % stamp.tls if stamp.tls else b""
    receiver = b"\r\n\tfor <%b>" % stamp.recipient if stamp.recipient else b""
    return b"Received: from %b%b\r\n\tby %b %bwith %b id %b%b;\r\n\t%b\r\n" % (
        stamp.helo_name or b"localhost",
        _tcp_info(stamp),
        stamp.hostname,
        comment,
        stamp.protocol,
        stamp.queue_id,
        receiver,
        rfc5322_date(stamp.stamp_us),
    )


def _tcp_info(stamp: Stamp) -> bytes:
    """TCP-info of RFC 5321 4.4: the address literal, after the host's name when that is known."""
    if not stamp.client_address:
        return b""
    tag = "IPv6:" if ":" in stamp.client_address else ""
    literal = f"[{tag}{stamp.client_address}]".encode("ascii", "backslashreplace")
    return b" (%b %b)" % (stamp.client_name, literal) if stamp.client_name else b" (%b)" % literal


def protocol_name(*, lmtp: bool, extended: bool, tls: bool = False, authenticated: bool = False, smtputf8: bool = False) -> bytes:
    """The WITH clause's protocol (RFC 3848, RFC 6531 4.3): SMTP, ESMTP, ESMTPS, ESMTPSA, LMTP, UTF8SMTPS, UTF8LMTP ..."""
    if not lmtp and not extended:
        return b"SMTP"
    base = (b"UTF8LMTP" if lmtp else b"UTF8SMTP") if smtputf8 else (b"LMTP" if lmtp else b"ESMTP")
    return base + (b"S" if tls else b"") + (b"A" if authenticated else b"")


def return_path_field(reverse_path: bytes) -> bytes:
    """The Return-Path field of the final delivery, with its CRLF; b"" is the null reverse-path (RFC 5321 4.4)."""
    return b"Return-Path: <%b>\r\n" % reverse_path


def without_return_path(content: bytes) -> bytes:
    """The content without the Return-Path fields that it brought along: the final delivery may remove them, so that only its own is there (RFC 5321 4.4).

    `content` is the beginning of a message, in which the header section is whole.
    """
    blank = -2 if content.startswith(b"\r\n") else content.find(b"\r\n\r\n")
    end = len(content) if blank == -1 else blank + 2
    head = content[:end]
    if b"return-path" not in head.lower():
        return content
    kept = []
    dropping = False
    for line in head.splitlines(keepends=True):
        if not line.startswith((b" ", b"\t")):  # else it belongs to the field before it
            dropping = line.partition(b":")[0].rstrip().lower() == b"return-path"
        if not dropping:
            kept.append(line)
    return b"".join(kept) + content[end:]


def delivered_to_field(address: bytes) -> bytes:
    """The Delivered-To field, with its CRLF: by it a later pass through here is recognized."""
    return b"Delivered-To: %b\r\n" % address


def loops(delivered_to: Iterable[bytes], address: bytes) -> bool:
    """True when the content says that it was delivered to `address` before. `delivered_to` as in ContentFacts."""
    return address.lower() in delivered_to


def rfc5322_date(stamp_us: int) -> bytes:
    """`Thu, 01 Jan 1970 00:00:00 +0000` (RFC 5322 3.3, four-digit year)."""
    return _date(stamp_us // 1_000_000)


@lru_cache(maxsize=4)  # many messages come in the same second
def _date(seconds: int) -> bytes:
    when = _EPOCH + datetime.timedelta(seconds=seconds)
    return b"%b, %02d %b %04d %02d:%02d:%02d +0000" % (
        _DAYS[when.weekday()],
        when.day,
        _MONTHS[when.month - 1],
        when.year,
        when.hour,
        when.minute,
        when.second,
    )
