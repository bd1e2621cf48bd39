"""Notifications: Python's email package reads them, every mandatory field is there, and no octets of strangers break them."""

import base64
import email
import email.message
import email.policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from smx.limits import DSN_FULL_OCTETS_MAX, DSN_UNASKED_OCTETS_MAX
from smx.messages import Content, Ret
from smx.qmgr.dsn import Action, Composed, Kind, Notification, Report, compose, quoted_octets
from smx.qmgr.dsn_text import from_unitext, from_xtext, printable, to_unitext
from smx.smtp.data import Census
from smx.units import HOUR, SECOND

pytestmark = pytest.mark.feature("SX27")

STAMP = 1_700_000_000 * SECOND
ORIGINAL = b"Received: from a by b; x\r\nSubject: Hello\r\nFrom: a@example.org\r\n\r\nThe text.\r\n.dot\r\n"


def content_of(octets: bytes) -> Content:
    census = Census()
    census.add(octets)
    facts = census.facts()
    return Content(1, 0, facts.octets, 0, facts.header_octets, facts.lines, facts.line_octets_max, facts.eight_bit, facts.utf8_headers, facts.dot_lines)


FAILED = Report(b"user@example.net", Action.FAILED, 550, b"5.1.1", b"No such user", "mx.example.net [192.0.2.1]", b"rfc822;user+40example.net", STAMP - SECOND)


def notification(original: bytes = ORIGINAL, *reports: Report, kind: int = Kind.FAILED, ret: int = Ret.NONE) -> Notification:
    content = content_of(original)
    return Notification(
        kind=kind,
        transaction=12345 << 31,
        attempt=3,
        seed=99,
        hostname="mx.example.org",
        recipient=b"sender@example.org",
        stamp=STAMP,
        arrived_at=STAMP - HOUR,
        recipients=reports or (FAILED,),
        original=original[: quoted_octets(kind, ret, content)],
        content=content,
        envid=b"QQ+2B314159",
        ret=ret,
    )


def parsed(composed: Composed) -> list[email.message.Message]:
    """The parts; the whole is checked on the way."""
    message = email.message_from_bytes(composed.message)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert not message.defects
    parts = message.get_payload()
    assert isinstance(parts, list)
    for part in parts:
        assert isinstance(part, email.message.Message)
        assert not part.defects
    return [part for part in parts if isinstance(part, email.message.Message)]


def groups(composed: Composed) -> list[email.message.Message]:
    """The groups of fields of the status part."""
    found = parsed(composed)[1].get_payload()
    assert isinstance(found, list)
    return [group for group in found if isinstance(group, email.message.Message)]


def test_a_failure_has_every_mandatory_field() -> None:
    composed = compose(notification())
    message = email.message_from_bytes(composed.message, policy=email.policy.default)
    assert {name: str(message[name]) for name in message.keys()} == {  # noqa: SIM118
        "Date": "Tue, 14 Nov 2023 22:13:20 +0000",
        "From": "Mail Delivery System <MAILER-DAEMON@mx.example.org>",
        "To": "sender@example.org",
        "Subject": "Your message could not be delivered",
        "Message-ID": str(message["Message-ID"]),
        "Auto-Submitted": "auto-replied",
        "MIME-Version": "1.0",
        "Content-Type": f'multipart/report; report-type="delivery-status"; boundary="{message.get_boundary()}"',
    }
    assert str(message["Message-ID"]).endswith(".1.3.0@mx.example.org>")
    human, status, returned = parsed(composed)
    assert (human.get_content_type(), status.get_content_type(), returned.get_content_type()) == ("text/plain", "message/delivery-status", "message/rfc822")
    about, recipient = groups(composed)
    assert about.items() == [
        ("Original-Envelope-Id", "QQ+314159"),
        ("Reporting-MTA", "dns; mx.example.org"),
        ("X-Smx-Queue-Id", about["X-Smx-Queue-Id"]),
        ("Arrival-Date", "Tue, 14 Nov 2023 21:13:20 +0000"),
    ]
    assert recipient.items() == [
        ("Original-Recipient", "rfc822; user@example.net"),
        ("Final-Recipient", "rfc822; user@example.net"),
        ("Action", "failed"),
        ("Status", "5.1.1"),
        ("Remote-MTA", "dns; mx.example.net"),
        ("Diagnostic-Code", "smtp; 550 5.1.1 No such user"),
        ("Last-Attempt-Date", "Tue, 14 Nov 2023 22:13:19 +0000"),
    ]


def test_the_human_part_says_host_queue_id_and_reason() -> None:
    composed = compose(notification())
    (about, _) = groups(composed)
    text = str(parsed(composed)[0].get_payload())
    assert "mx.example.org" in text
    assert str(about["X-Smx-Queue-Id"]) in text
    assert "<user@example.net>" in text
    assert "mx.example.net [192.0.2.1] said: 550 5.1.1 No such user" in " ".join(text.split())
    assert "The message is attached." in text


@pytest.mark.parametrize(
    ("action", "code", "enhanced", "text", "status", "diagnostic"),
    [
        (Action.FAILED, 550, b"5.1.1", b"No", "5.1.1", "smtp; 550 5.1.1 No"),
        (Action.FAILED, 550, b"", b"No", "5.0.0", "smtp; 550 No"),
        (Action.FAILED, 450, b"4.2.1", b"Later", "4.2.1", "smtp; 450 4.2.1 Later"),
        (Action.FAILED, 450, b"", b"Later", "4.0.0", "smtp; 450 Later"),
        (Action.FAILED, 0, b"4.4.1", b"no answer from host", "4.4.1", "x-smx; no answer from host"),
        (Action.FAILED, 0, b"", b"gave up", "5.0.0", "x-smx; gave up"),
        (Action.FAILED, 550, b"5.01.1", b"No", "5.0.0", "smtp; 550 5.01.1 No"),
        (Action.FAILED, 550, b"5.1.1\r\nX: y", b"No", "5.0.0", "smtp; 550 5.1.1  X: y No"),
        (Action.DELAYED, 0, b"", b"", "4.0.0", None),
        (Action.DELIVERED, 250, b"2.1.5", b"ok", "2.1.5", "smtp; 250 2.1.5 ok"),
        (Action.RELAYED, 250, b"", b"ok", "2.0.0", "smtp; 250 ok"),
        (Action.EXPANDED, 0, b"", b"", "2.0.0", None),
    ],
)
def test_status_and_diagnostic_follow_from_the_reply(action: Action, code: int, enhanced: bytes, text: bytes, status: str, diagnostic: str | None) -> None:
    (_, group) = groups(compose(notification(ORIGINAL, Report(b"u@example.net", action, code, enhanced, text))))
    assert (group["Action"], group["Status"]) == (action.name.lower(), status)
    assert (str(group["Diagnostic-Code"]).replace("\r\n", "") if group["Diagnostic-Code"] else None) == diagnostic
    assert "Original-Recipient" not in group, "RFC 3461 6.3 (d)"
    assert "Remote-MTA" not in group, "RFC 3464 2.3.5: no remote MTA was involved"


@pytest.mark.parametrize("action", list(Action))
def test_only_delays_say_until_when_it_is_tried(action: Action) -> None:
    report = Report(b"u@example.net", action, 450, b"4.2.1", b"Later", retry_until=STAMP + HOUR)
    (_, group) = groups(compose(notification(ORIGINAL, report, kind=Kind.DELAYED)))
    assert ("Will-Retry-Until" in group) == (action == Action.DELAYED)


@pytest.mark.parametrize(("kind", "subject"), [(Kind.FAILED, "could not"), (Kind.DELAYED, "delayed"), (Kind.DELIVERED, "was delivered")])
def test_the_subject_says_what_it_is_about(kind: Kind, subject: str) -> None:
    message = email.message_from_bytes(compose(notification(kind=kind)).message)
    assert subject in str(message["Subject"])


def test_each_recipient_has_its_group_and_the_actions_their_headings() -> None:
    reports = tuple(Report(b"u%d@example.net" % n, Action(n % 5 + 1), 0, b"", b"why %d" % n) for n in range(10))
    composed = compose(notification(ORIGINAL, *reports))
    assert [group["Final-Recipient"] for group in groups(composed)[1:]] == [f"rfc822; u{n}@example.net" for n in range(10)]
    text = str(parsed(composed)[0].get_payload())
    assert all(f"<u{n}@example.net>" in text for n in range(10))
    assert text.count("It was delivered to:") == 1


def test_a_host_without_a_domain_and_a_socket_are_named_by_types_of_their_own() -> None:
    report = Report(b"u@example.net", Action.FAILED, 550, b"5.1.1", b"No", "/run/lda []")
    about, group = groups(compose(replace(notification(ORIGINAL, report), hostname="localhost")))
    assert about["Reporting-MTA"] == "x-local-hostname; localhost"
    assert group["Remote-MTA"] == "x-unix; /run/lda"


# --- what is returned -----------------------------------------------------------------------------------------------------------

LARGE = ORIGINAL + b"0123456789abcdef" * 4 * 16 * 1024
EIGHT = ORIGINAL + "Grüße\r\n".encode()
UTF8 = "Subject: Grüße\r\n\r\nText\r\n".encode()
LATIN1 = b"Subject: Gr\xfc\xdfe\r\n\r\nText\r\n"
BARE = b"Subject: x\r\n\r\none\ntwo\r\n"
BARE_HEADER = b"Subject: x\ny\r\n\r\ntext\r\n"
NUL = b"Subject: x\r\n\r\n\0\r\n"
LONG = b"Subject: x\r\n\r\n" + b"y" * 999 + b"\r\n"
BODILESS = b"Subject: x\r\n\r\n"


@pytest.mark.parametrize(
    ("original", "kind", "ret", "content_type", "encoding"),
    [
        (ORIGINAL, Kind.FAILED, Ret.NONE, "message/rfc822", None),
        (ORIGINAL, Kind.FAILED, Ret.FULL, "message/rfc822", None),
        (ORIGINAL, Kind.FAILED, Ret.HDRS, "text/rfc822-headers", None),
        (ORIGINAL, Kind.DELAYED, Ret.FULL, "text/rfc822-headers", None),
        (ORIGINAL, Kind.DELIVERED, Ret.FULL, "text/rfc822-headers", None),
        (LARGE, Kind.FAILED, Ret.FULL, "text/rfc822-headers", None),
        (EIGHT, Kind.FAILED, Ret.FULL, "message/rfc822", "8bit"),
        (EIGHT, Kind.FAILED, Ret.HDRS, "text/rfc822-headers", None),
        (UTF8, Kind.FAILED, Ret.FULL, "message/global", "base64"),
        (UTF8, Kind.FAILED, Ret.HDRS, "message/global-headers", "base64"),
        (LATIN1, Kind.FAILED, Ret.HDRS, "text/rfc822-headers", "base64"),
        (BARE, Kind.FAILED, Ret.FULL, "text/rfc822-headers", None),
        (NUL, Kind.FAILED, Ret.FULL, "text/rfc822-headers", None),
        (LONG, Kind.FAILED, Ret.FULL, "text/rfc822-headers", None),
        (BARE_HEADER, Kind.FAILED, Ret.FULL, None, None),
        (BODILESS, Kind.FAILED, Ret.NONE, "message/rfc822", None),
        (b"no header\r\n", Kind.FAILED, Ret.HDRS, None, None),
    ],
)
def test_what_is_returned_depends_on_what_was_asked_and_what_can_travel(
    original: bytes, kind: Kind, ret: Ret, content_type: str | None, encoding: str | None
) -> None:
    composed = compose(notification(original, kind=kind, ret=ret))
    parts = parsed(composed)
    if content_type is None:
        assert len(parts) == 2
        assert "no header section to attach" in str(parts[0].get_payload())
        return
    assert parts[2].get_content_type() == content_type
    assert parts[2]["Content-Transfer-Encoding"] == encoding
    whole = content_type in ("message/rfc822", "message/global")
    expected = original if whole else original[: content_of(original).header_octets]
    if encoding == "base64":
        raw = composed.message.split(b"Content-Transfer-Encoding: base64\r\n\r\n")[1].split(b"\r\n--")[0]
        assert base64.b64decode(raw) == expected
    else:
        assert b"\r\n\r\n" + expected + b"\r\n--" in composed.message
    assert composed.smtputf8 is False
    assert composed.facts.eight_bit == (encoding == "8bit")


def test_a_message_that_cannot_be_read_is_not_attached_and_that_is_said() -> None:
    composed = compose(replace(notification(), original=b"", content=None))
    assert len(parsed(composed)) == 2
    assert "could not be read" in str(parsed(composed)[0].get_payload())


def test_how_much_is_read_is_bounded() -> None:
    huge = Content(1, 0, 1 << 30, 0, header_octets=500)
    assert quoted_octets(Kind.FAILED, Ret.FULL, huge) == 500
    assert quoted_octets(Kind.FAILED, Ret.FULL, replace(huge, octets=DSN_FULL_OCTETS_MAX)) == DSN_FULL_OCTETS_MAX
    assert quoted_octets(Kind.FAILED, Ret.NONE, replace(huge, octets=DSN_UNASKED_OCTETS_MAX + 1)) == 500
    assert quoted_octets(Kind.FAILED, Ret.NONE, replace(huge, octets=100, header_octets=200)) == 100


# --- international -----------------------------------------------------------------------------------------------------------------


def test_an_international_sender_gets_an_international_notification() -> None:
    """RFC 6533 4.1: addresses in UTF-8, message/global-delivery-status."""
    report = Report("jürgen@bücher.example".encode(), Action.FAILED, 550, b"5.1.1", "Nö".encode(), orcpt=rb"utf-8;j\x{FC}rgen@b\x{FC}cher.example")
    composed = compose(replace(notification(UTF8, report), recipient="größe@example.org".encode()))
    assert composed.smtputf8
    assert composed.facts.utf8_headers
    text = composed.message.decode()
    assert "To: <größe@example.org>\r\n" in text
    assert "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n" in text
    assert "\r\nOriginal-Recipient: utf-8; jürgen@bücher.example\r\nFinal-Recipient: utf-8; jürgen@bücher.example\r\n" in text
    assert "Diagnostic-Code: smtp; 550 5.1.1 Nö\r\n" in text
    assert "Content-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: Grüße" in text


def test_an_ascii_sender_gets_utf8_addresses_in_their_ascii_form() -> None:
    """RFC 6533 3: utf-8-addr-xtext in message/delivery-status."""
    report = Report("jürgen@example.net".encode(), Action.FAILED, 550, b"5.1.1", "Nö".encode(), orcpt="utf-8;jürgen@example.net".encode())
    composed = compose(notification(ORIGINAL, report))
    assert composed.message.isascii()
    (_, group) = groups(composed)
    assert group["Original-Recipient"] == group["Final-Recipient"] == "utf-8; j\\x{FC}rgen@example.net"


def test_an_orcpt_that_is_no_utf8_form_is_copied_as_it_is() -> None:
    """RFC 6533 3."""
    report = Report(b"rcpt@example.net", Action.FAILED, 550, b"5.1.1", b"No", orcpt=rb"utf-8;a\x{110000000}b@example.net")
    (_, group) = groups(compose(notification(ORIGINAL, report)))
    assert group["Original-Recipient"] == "utf-8; a\\x{110000000}b@example.net"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_unitext_is_reversible(text: str) -> None:
    assert to_unitext(text).isascii()
    assert from_unitext(to_unitext(text)) == text


@pytest.mark.parametrize(
    ("octets", "meaning"),
    [
        (b"plain", b"plain"),
        (b"a+2Bb", b"a+b"),
        (b"a+3Db+0D", b"a=b\r"),
        (b"+", b"+"),
        (b"+4", b"+4"),
        (b"+ZZ", b"+ZZ"),
        (b"+-1", b"+-1"),
        (b"+ 1", b"+ 1"),
        (b"", b""),
    ],
)
def test_xtext_means_what_it_says_and_what_is_none_stays(octets: bytes, meaning: bytes) -> None:
    assert from_xtext(octets) == meaning


# --- the same again, and whatever strangers say --------------------------------------------------------------------------------------


def test_the_same_notification_gives_the_same_octets_and_another_one_another_boundary() -> None:
    """A6: composed again after a crash it is the same message."""
    first = notification()
    assert compose(first) == compose(first)
    boundaries = {
        email.message_from_bytes(compose(changed).message).get_boundary()
        for changed in (first, replace(first, attempt=4), replace(first, seed=1), replace(first, transaction=1))
    }
    assert len(boundaries) == 4


def test_a_boundary_that_stands_in_the_message_is_not_used() -> None:
    first = notification()
    boundary = email.message_from_bytes(compose(first).message).get_boundary()
    assert boundary is not None
    trap = notification(ORIGINAL + f"--{boundary}--\r\n".encode())
    assert email.message_from_bytes(compose(trap).message).get_boundary() != boundary
    assert len(parsed(compose(trap))) == 3


OCTETS = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b"--", b"=_", b"x" * 300, b":", b" ", b"\0", b"\xc3\xbc", b"\xff", b"a"]), max_size=30).map(b"".join),
)
REPORTS = st.lists(
    st.builds(
        Report,
        OCTETS,
        st.sampled_from(list(Action)),
        st.sampled_from([0, 250, 450, 550]),
        OCTETS,
        OCTETS,
        OCTETS.map(lambda o: o.decode("latin-1")),
        OCTETS,
        st.sampled_from([0, STAMP]),
        st.sampled_from([0, STAMP]),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=300, deadline=None)
@given(OCTETS, REPORTS, OCTETS, OCTETS, st.sampled_from(list(Kind)), st.sampled_from(list(Ret)))
def test_no_octets_break_the_structure(original: bytes, reports: list[Report], recipient: bytes, envid: bytes, kind: Kind, ret: Ret) -> None:
    composed = compose(replace(notification(original, *reports, kind=kind, ret=ret), recipient=recipient, envid=envid))
    message = composed.message
    assert message.count(b"\r\n") == message.count(b"\r") == message.count(b"\n")
    assert b"\0" not in message
    assert max(map(len, message.split(b"\r\n"))) <= 998
    assert message.endswith(b"--\r\n")
    assert (composed.facts.octets, composed.facts.bare, composed.facts.complete_line) == (len(message), False, True)
    assert composed.smtputf8 or message.partition(b"\r\n\r\n")[0].isascii()
    head = email.message_from_bytes(message)
    assert len(head.keys()) == len(set(head.keys())) <= 9
    parts = parsed(composed)
    assert len(parts) in (2, 3)
    if not composed.smtputf8:
        about, *found = groups(composed)
        assert {"Reporting-MTA", "Arrival-Date"} <= set(about.keys())
        assert len(found) == len(reports)
        for group, report in zip(found, reports, strict=True):
            assert {"Final-Recipient", "Action", "Status"} <= set(group.keys())
            assert group["Action"] == Action(report.action).name.lower()
            assert set(group.keys()) <= set(
                "Original-Recipient Final-Recipient Action Status Remote-MTA Diagnostic-Code Last-Attempt-Date Will-Retry-Until".split()
            )


@given(st.binary(max_size=300), st.booleans())
def test_printable_text_is_one_line_of_what_may_be_shown(octets: bytes, utf8: bool) -> None:
    text = printable(octets, utf8=utf8)
    assert text.isprintable()
    assert utf8 or text.isascii()
