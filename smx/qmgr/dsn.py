"""DSN: the message that tells a sender what became of recipients (SX27; RFC 3464, RFC 3461 6, RFC 6522, RFC 6533).

    multipart/report; report-type=delivery-status
        text/plain                                        for people: queue id, host, reasons
        message/delivery-status                           for programs
        message/rfc822, text/rfc822-headers or nothing    the message, or its header section

By hand and not by an encoder of a library, because every octet of it must be the same when it is composed again after a crash (A6):
Message-ID and boundary follow from (transaction, kind, attempt, index of the first recipient reported), which no other DSN has. The date is a
stamp of the caller.

Where the addressee is not ASCII, the notification is an international message: message/global-delivery-status, addresses in UTF-8,
message/global. Otherwise UTF-8 addresses stand in their ASCII form (RFC 6533 3), so that each host on the way back can take it.

The message is returned whole when the sender asked for that (RET=FULL) or said nothing, it is small enough, and its octets can be
sent as they are; else its header section is. An 8-bit body is returned as 8bit (RFC 6522 3 would allow to return its header only):
hosts without 8BITMIME have become rare, and the text is what the sender misses.
"""

import hashlib
from email.base64mime import body_encode
from enum import IntEnum
from typing import Final

import msgspec

from smx.ids import id_text
from smx.limits import DSN_FULL_OCTETS_MAX, DSN_UNASKED_OCTETS_MAX, HEADER_OCTETS_MAX
from smx.messages import Content, Ret
from smx.qmgr.dsn_text import LINE_OCTETS_MAX, address_line, field, from_unitext, from_xtext, printable, to_unitext, wrapped
from smx.smtp.data import Census
from smx.smtp.facts import ContentFacts
from smx.smtp.trace import rfc5322_date

BASE64_LINE_OCTETS: Final = 76  # RFC 2045 6.8


class Kind(IntEnum):
    """What a notification is about."""

    FAILED = 1
    DELAYED = 2
    DELIVERED = 3


class Action(IntEnum):
    """What became of a recipient (RFC 3464 2.3.3)."""

    FAILED = 1
    DELAYED = 2
    DELIVERED = 3
    RELAYED = 4
    EXPANDED = 5


class Report(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One recipient. `code` 0: no reply, `text` says what happened. `remote`: `name [address]` of the host that replied, "" for none.

    `retry_until` (stamp) is said for DELAYED only; `last_attempt` 0: there was none.
    """

    address: bytes
    action: int
    code: int
    enhanced: bytes
    text: bytes
    remote: str = ""
    orcpt: bytes = b""  # as given: type;xtext
    last_attempt: int = 0
    retry_until: int = 0


class Notification(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What compose() needs. `recipient` is the reverse-path that it goes to, never null (I7).

    `original`: the first quoted_octets() of the content; with `content` None nothing is returned and the text says so.
    """

    kind: int
    transaction: int
    attempt: int
    seed: int
    hostname: str
    recipient: bytes
    stamp: int
    arrived_at: int
    recipients: tuple[Report, ...]
    original: bytes = b""
    content: Content | None = None
    envid: bytes = b""  # xtext as given
    ret: int = Ret.NONE
    index: int = 0  # of the first recipient reported


class Composed(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The message with CRLF, unstuffed, and the facts about it; `smtputf8`: it can only be sent with SMTPUTF8."""

    message: bytes
    facts: ContentFacts
    smtputf8: bool


# fmt: off
_SUBJECTS: Final = {
    Kind.FAILED:    "Your message could not be delivered",
    Kind.DELAYED:   "Your message is delayed",
    Kind.DELIVERED: "Your message was delivered",
}
_HEADINGS: Final = {
    Action.FAILED:    "It could not be delivered to:",
    Action.DELAYED:   "It could not be delivered yet to the recipients below. Delivery will be tried again; you need not send it again.",
    Action.DELIVERED: "It was delivered to:",
    Action.RELAYED:   "It was passed on to a system that sends no confirmations. You will hear no more about:",
    Action.EXPANDED:  "It was delivered to a list of recipients, about which nothing more is confirmed:",
}
_UNKNOWN_STATUS: Final = {Action.FAILED: "5.0.0", Action.DELAYED: "4.0.0", Action.DELIVERED: "2.0.0", Action.RELAYED: "2.0.0", Action.EXPANDED: "2.0.0"}
# fmt: on


def quoted_octets(kind: int, ret: int, content: Content) -> int:
    """How many of the first octets of the content compose() wants."""
    if _wants_all(kind, ret, content):
        return content.octets
    return min(content.header_octets, HEADER_OCTETS_MAX, content.octets)


def _wants_all(kind: int, ret: int, content: Content) -> bool:
    """Only failures return the whole message (RFC 3461 6.2)."""
    largest = {Ret.FULL: DSN_FULL_OCTETS_MAX, Ret.NONE: DSN_UNASKED_OCTETS_MAX}.get(Ret(ret), 0)
    return kind == Kind.FAILED and content.octets <= largest


def compose(notification: Notification) -> Composed:
    """The whole message. The same notification gives the same octets (A6)."""
    international = not notification.recipient.isascii()
    quoted = _quoted(notification, utf8=international)
    parts = [_explanation(notification, quoted, utf8=international), _status(notification, utf8=international)]
    if quoted:
        parts.append(quoted)
    eight_bit = not all(part.isascii() for part in parts)
    boundary = _boundary(notification, parts)
    pieces = [_header(notification, boundary, utf8=international, eight_bit=eight_bit), b"\r\nThis is a report in MIME format.\r\n"]
    for part in parts:
        pieces += (b"\r\n--", boundary, b"\r\n", part)
    pieces += (b"\r\n--", boundary, b"--\r\n")
    message = b"".join(pieces)
    census = Census()
    census.add(message)
    return Composed(message, census.facts(), international)


def _boundary(notification: Notification, parts: list[bytes]) -> bytes:
    """A keyed hash, so that nobody can put it into a message beforehand; drawn again should it occur all the same."""
    key = b"%d/boundary/%d/%d/%d/%d" % (notification.seed, notification.transaction, notification.kind, notification.attempt, notification.index)
    for draw in range(1000):
        boundary = b"=_" + hashlib.blake2b(key, digest_size=16, salt=draw.to_bytes(4, "big")).hexdigest().encode("ascii")
        if not any(boundary in part for part in parts):
            return boundary
    raise AssertionError("a thousand boundaries stand in one message")


def _header(notification: Notification, boundary: bytes, *, utf8: bool, eight_bit: bool) -> bytes:
    """RFC 3464 2: from somebody who can be asked, to the sender; RFC 3834 5.2: auto-replied."""
    hostname = address_line(notification.hostname.encode(), utf8=False)
    reference = f"{id_text(notification.transaction)}.{notification.kind}.{notification.attempt}.{notification.index}"
    return b"".join(
        (
            b"Date: %b\r\n" % rfc5322_date(notification.stamp),
            field("From", f"Mail Delivery System <MAILER-DAEMON@{hostname}>"),
            b"To: <%b>\r\n" % address_line(notification.recipient, utf8=utf8).encode(),
            field("Subject", _SUBJECTS[Kind(notification.kind)]),
            b"Message-ID: <%b@%b>\r\n" % (reference.encode("ascii"), hostname.encode("ascii")),
            b"Auto-Submitted: auto-replied\r\n",
            b"MIME-Version: 1.0\r\n",
            b'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="%b"\r\n' % boundary,
            b"Content-Transfer-Encoding: 8bit\r\n" if eight_bit else b"",
        )
    )


def _part(content_type: bytes, body: bytes, *, encoding: bytes = b"") -> bytes:
    """A body part. Without `encoding` it is 7bit or 8bit, as its octets are."""
    encoding = encoding or (b"" if body.isascii() else b"8bit")
    transfer = b"Content-Transfer-Encoding: %b\r\n" % encoding if encoding else b""
    return b"Content-Type: %b\r\n%b\r\n%b" % (content_type, transfer, body)


# --- first part: for people ---------------------------------------------------------------------------------------------------


def _explanation(notification: Notification, quoted: bytes, *, utf8: bool) -> bytes:
    lines = [
        f"This is the mail system at {address_line(notification.hostname.encode(), utf8=False)}.",
        "",
        f"It reports on your message of {rfc5322_date(notification.arrived_at).decode('ascii')},",
        f"which has the queue id {id_text(notification.transaction)} here.",
    ]
    for action in Action:
        reports = [report for report in notification.recipients if report.action == action]
        if reports:
            lines += ["", *wrapped(_HEADINGS[action], "")]
        for report in reports:
            lines += ["", *_about(report, utf8=utf8)]
    lines += ["", *wrapped(_closing(notification, quoted), ""), "", "Questions may be sent to the postmaster of this mail system.", ""]
    charset = b"utf-8" if utf8 else b"us-ascii"
    return _part(b"text/plain; charset=" + charset, "\r\n".join(lines).encode())


def _closing(notification: Notification, quoted: bytes) -> str:
    if quoted:
        whole = quoted.startswith((b"Content-Type: message/rfc822", b"Content-Type: message/global\r"))
        return f"{'The message' if whole else 'The header section of the message'} is attached."
    return "The message cannot be attached: it could not be read here." if notification.content is None else "The message has no header section to attach."


def _about(report: Report, *, utf8: bool) -> list[str]:
    """A recipient, and what was said about it."""
    lines = [f"  <{address_line(report.address, utf8=utf8)}>"]
    reply = _reply(report, utf8=utf8)
    if reply and report.remote:
        reply = f"{printable(report.remote.encode(), utf8=False)} said: {reply}"
    if report.action == Action.DELAYED and report.retry_until:
        lines += wrapped(reply, "    ")
        return [*lines, f"    It is tried until {rfc5322_date(report.retry_until).decode('ascii')}."]
    return lines + wrapped(reply, "    ")


def _reply(report: Report, *, utf8: bool) -> str:
    """Code, enhanced code and text, as far as there are any."""
    words = (str(report.code) if report.code else "", printable(report.enhanced, utf8=False) if report.code else "", printable(report.text, utf8=utf8))
    return " ".join(word for word in words if word)


# --- second part: for programs --------------------------------------------------------------------------------------------------


def _status(notification: Notification, *, utf8: bool) -> bytes:
    """message/delivery-status (RFC 3464 2), or its international form (RFC 6533 4.1)."""
    hostname = address_line(notification.hostname.encode(), utf8=False)
    mta_type = "dns" if "." in hostname else "x-local-hostname"  # RFC 3461 6.3 (b)
    groups = [
        (field("Original-Envelope-Id", address_line(from_xtext(notification.envid), utf8=False)) if notification.envid else b"")  # RFC 3461 6.3 (a)
        + field("Reporting-MTA", f"{mta_type}; {hostname}")
        + field("X-Smx-Queue-Id", id_text(notification.transaction))
        + b"Arrival-Date: %b\r\n" % rfc5322_date(notification.arrived_at)
    ]
    groups += [_group(report, utf8=utf8) for report in notification.recipients]
    return _part(b"message/global-delivery-status" if utf8 else b"message/delivery-status", b"\r\n".join(groups))


def _group(report: Report, *, utf8: bool) -> bytes:
    """The fields about one recipient, in the order of RFC 3464 2.3."""
    fields = [_original_recipient(report.orcpt, utf8=utf8)] if report.orcpt else []
    fields.append(field("Final-Recipient", _typed(report.address, utf8=utf8)))
    fields.append(field("Action", Action(report.action).name.lower()))
    fields.append(field("Status", _status_code(report)))
    if report.remote:
        fields.append(field("Remote-MTA", _remote_mta(report.remote)))
    diagnostic = _reply(report, utf8=utf8)
    if diagnostic:
        fields.append(field("Diagnostic-Code", f"{'smtp' if report.code else 'x-smx'}; {diagnostic}"))  # RFC 3461 9.2
    if report.last_attempt:
        fields.append(b"Last-Attempt-Date: %b\r\n" % rfc5322_date(report.last_attempt))
    if report.retry_until and report.action == Action.DELAYED:  # RFC 3464 2.3.9: in no other
        fields.append(b"Will-Retry-Until: %b\r\n" % rfc5322_date(report.retry_until))
    return b"".join(fields)


def _typed(address: bytes, *, utf8: bool) -> str:
    """The address with its type: rfc822, or utf-8 in its own or its ASCII form (RFC 6533 3)."""
    if address.isascii():
        return f"rfc822; {address_line(address, utf8=False)}"
    line = address_line(address, utf8=True)
    return f"utf-8; {line if utf8 else to_unitext(line)}"


def _original_recipient(orcpt: bytes, *, utf8: bool) -> bytes:
    """As the sender gave it, decoded (RFC 3461 6.3 (d), RFC 6533 3)."""
    kind, _, value = orcpt.partition(b";")
    kind_text = "".join(letter for letter in address_line(kind, utf8=False) if letter.isalnum() or letter in "-_") or "unknown"
    if kind_text.lower() != "utf-8":
        return field("Original-Recipient", f"{kind_text}; {address_line(from_xtext(value), utf8=False)}")
    if value.isascii() and not utf8:  # in its ASCII form already, or in none: then it is copied
        return field("Original-Recipient", f"{kind_text}; {address_line(value, utf8=False)}")
    text = from_unitext(value.decode("utf-8", "backslashreplace"))
    line = address_line(text.encode(), utf8=True)
    return field("Original-Recipient", f"{kind_text}; {line if utf8 else to_unitext(line)}")


def _status_code(report: Report) -> str:
    """The enhanced code if it is one (RFC 3464 2.3.4), else the general code of the action."""
    parts = report.enhanced.split(b".")
    if len(parts) == 3 and parts[0] in (b"2", b"4", b"5") and all(p.isdigit() and len(p) <= 3 and (p == b"0" or not p.startswith(b"0")) for p in parts):
        return report.enhanced.decode("ascii")
    if report.action == Action.FAILED and 400 <= report.code <= 499:
        return "4.0.0"  # given up after deferrals
    return _UNKNOWN_STATUS[Action(report.action)]


def _remote_mta(remote: str) -> str:
    """`dns; name`, or the path of a socket under a type of its own."""
    name = address_line(remote.encode(), utf8=False).partition(" ")[0] or "unknown"
    return f"{'x-unix' if name.startswith('/') else 'dns'}; {name}"


# --- third part: what was sent ------------------------------------------------------------------------------------------------


def _quoted(notification: Notification, *, utf8: bool) -> bytes:
    """The whole message or its header section as a part; b"" when there is nothing to return."""
    content = notification.content
    if content is None:
        return b""
    original = notification.original
    header = original[: content.header_octets]
    if _wants_all(notification.kind, notification.ret, content) and len(original) == content.octets and _sendable(original):
        if header.isascii():
            return _part(b"message/rfc822", original)
        return _part(b"message/global", original) if utf8 else _encoded(b"message/global", original)  # RFC 6533 4.2
    if not header:
        return b""
    international = not header.isascii() and _is_utf8(header)
    content_type = b"message/global-headers" if international else b"text/rfc822-headers"
    if _sendable(header) and (header.isascii() or (utf8 and international)):
        return _part(content_type, header)
    return _encoded(content_type, header)


def _encoded(content_type: bytes, octets: bytes) -> bytes:
    """In base64: for octets that cannot, or must not, travel as they are (RFC 6522 4, RFC 6533 4.4)."""
    return _part(content_type, body_encode(octets, maxlinelen=BASE64_LINE_OCTETS, eol="\r\n").encode("ascii"), encoding=b"base64")


def _sendable(octets: bytes) -> bool:
    """Whether the octets may stand in a 7bit or 8bit part: no NUL, no bare CR or LF, no overlong line (RFC 2045 2.7, 2.8)."""
    lines = octets.split(b"\r\n")
    ends = len(lines) - 1
    return b"\0" not in octets and octets.count(b"\r") == ends and octets.count(b"\n") == ends and max(map(len, lines)) <= LINE_OCTETS_MAX


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
