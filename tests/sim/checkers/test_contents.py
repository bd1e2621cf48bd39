"""Content that arrives is compared octet by octet with what was sent (I5), and a DSN is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import contents
from sim.facts import Arrived, Bounced
from sim.ledger import about
from sim.truth import Truth, transaction_in
from smx.ids import id_text
from tests.sim.checkers.history import BOB, DSN, SAM, T

SENT = b"From: <sam@client.example>\r\nX-Token: t1\r\n\r\nHello.\r\n.dot\r\n"
RECEIVED = b"Received: from c ([192.0.2.1])\r\n\tby mx with ESMTP id " + id_text(T).encode() + b"\r\n\tfor <x@y>;\r\n\tdate\r\n"
TRACE = b"Return-Path: <sam@client.example>\r\nDelivered-To: bob@sink.example\r\n" + RECEIVED


@pytest.mark.parametrize("trace", [b"", RECEIVED, TRACE, RECEIVED + RECEIVED])
def test_trace_fields_in_front_are_no_difference(trace: bytes) -> None:
    assert contents.fault_of(trace + SENT, SENT) == ""


@pytest.mark.parametrize(
    ("arrived", "fault"),
    [
        (RECEIVED + SENT[:30], "short"),
        (RECEIVED, "short"),
        (RECEIVED + b"X-Spam: yes\r\n" + SENT, "something besides"),
        (b"rubbish" + SENT, "something besides"),
        (RECEIVED + SENT.replace(b"Hello", b"Hallo"), "octet 44 differs"),
        (RECEIVED + SENT + b"more\r\n", "differs"),
        (RECEIVED + SENT.replace(b"\r\n.dot", b"\r\n..dot"), "differs"),
        (RECEIVED + SENT.replace(b"\r\n", b"\n"), "differs"),
    ],
)
def test_every_other_difference_is_seen(arrived: bytes, fault: str) -> None:
    assert fault in contents.fault_of(arrived, SENT)
    assert contents.fault_of(arrived, SENT)


@given(st.integers(0, len(SENT) - 1), st.integers(1, 255))
def test_one_octet_is_enough(at: int, change: int) -> None:
    damaged = bytearray(SENT)
    damaged[at] ^= change
    assert contents.fault_of(RECEIVED + bytes(damaged), SENT)


def test_a_message_says_whose_it_is() -> None:
    read = contents.read(TRACE + SENT)
    assert (read.token, read.transaction, read.return_path) == ("t1", T, SAM)
    assert contents.read(SENT) == contents.Read("t1", 0, None)
    assert contents.read(b"Subject: x\r\n\r\nX-Token: t9\r\n").token == "t9"
    assert contents.read(b"").token == ""


REPORT = (
    RECEIVED
    + b"From: <postmaster@lab.example>\r\nMessage-ID: <"
    + id_text(T).encode()
    + b'.4.1@mx>\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="=_x"\r\n\r\n'
    + b"--=_x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\n"
    + b"Final-Recipient: rfc822; bob@sink.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
    + b"Final-Recipient: rfc822; eve@sink.example\r\nAction: delayed\r\nStatus: 4.1.1\r\n\r\n"
    + b"--=_x\r\nContent-Type: text/rfc822-headers\r\n\r\n"
    + SENT[:45]
    + b"--=_x--\r\n"
)


def test_a_report_is_read() -> None:
    assert contents.is_report(REPORT)
    assert not contents.is_report(SENT)
    assert contents.reports(REPORT) == [contents.Report(BOB, "failed"), contents.Report("eve@sink.example", "delayed")]
    assert about(contents.message_id(REPORT)) == T
    assert about("<elsewhere@x>") == 0


def test_a_report_that_arrives_is_a_fact_for_each_recipient() -> None:
    truth = Truth(["I7"], keep=True)
    facts = truth.arrived("maildir", b"Return-Path: <>\r\n" + REPORT, (SAM,), 9)
    assert [(type(fact), fact.recipient) for fact in facts] == [(Bounced, BOB), (Bounced, "eve@sink.example")]
    assert truth.facts == facts
    assert all(isinstance(fact, Bounced) and fact.token == "t1" and fact.sender == "" and fact.to == SAM for fact in facts)


def test_a_report_that_is_forwarded_as_mail_is_mail() -> None:
    truth = Truth(["I5"])
    (fact,) = truth.arrived("sink", RECEIVED + SENT + REPORT, (BOB,), 9)
    assert isinstance(fact, Arrived)


@pytest.mark.parametrize(("reply", "found"), [(f"250 2.0.0 {id_text(DSN)} queued", DSN), (b"250 2.0.0 Ok", 0), ("250 accountability", 0)])
def test_the_id_in_a_reply_is_found(reply: str | bytes, found: int) -> None:
    assert transaction_in(reply) == found
