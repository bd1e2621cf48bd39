"""Real mail through a whole MTA: what independent clients send arrives octet by octet, in Maildirs and at independent servers (SX01).

Nothing but the trace fields is added: Return-Path, Delivered-To and our Received in a Maildir, our Received at the next hop.
"""

import asyncio
import collections
import contextlib
import email
import os
import shutil
import smtplib
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from aiosmtpd.controller import Controller

from smx import limits
from smx.ids import epoch_of_segment
from smx.testing.dns import FakeDns
from smx.testing.peer import Peer, delay, reply
from smx.testing.pki import Pki
from smx.testing.server import Server

Make = Callable[..., Server]

CONTENTS = {
    "plain": b"From: a@example.net\r\nSubject: hi\r\n\r\nhello\r\n",
    "empty line": b"\r\n",
    "no header": b"\r\nonly a body\r\n",
    "dots": b"Subject: dots\r\n\r\n.\r\n..\r\n.a\r\n...b\r\n\r\n.\r\n",
    "8-bit": b"Subject: 8-bit\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + bytes(range(128, 256)) + b"\r\n\xff\xfe\r\n",
    "998": b"Subject: long\r\n\r\n" + b"a" * 998 + b"\r\n" + b"." + b"b" * 997 + b"\r\n",
    "white space": b"Subject: white\r\n\r\n  leading\r\ntrailing \t \r\n\r\n\r\n",
    "large": b"Subject: large\r\n\r\n" + (b"0123456789" * 7 + b"\r\n") * 60_000,
}


class Sink:
    """An independent server: what it got, as (sender, recipients, content, options of MAIL)."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, list[str], bytes, list[str]]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.messages.append((envelope.mail_from, envelope.rcpt_tos, envelope.content, envelope.mail_options))
        return "250 2.0.0 Ok"


@pytest.fixture
def sink() -> Iterator[tuple[Sink, int]]:
    handler = Sink()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port(), enable_SMTPUTF8=True, data_size_limit=64 << 20)
    controller.start()
    yield handler, controller.port
    controller.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def without_trace(octets: bytes) -> bytes:
    """The message as it was sent: without our fields at its beginning."""
    lines = octets.split(b"\r\n")
    while lines[0].startswith((b"Return-Path:", b"Delivered-To:")):
        del lines[0]
    assert lines[0].startswith(b"Received: from "), lines[0]
    del lines[0]
    while lines[0].startswith(b"\t"):
        del lines[0]
    return b"\r\n".join(lines)


def wait_until(holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
    until = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


# --- three clients, two destinations


def send_by_smtplib(mta: Server, recipient: str, content: bytes) -> None:
    with smtplib.SMTP(mta.host, mta.port, timeout=10) as client:
        assert client.sendmail("a@example.net", [recipient], content, mail_options=["BODY=8BITMIME"]) == {}


def send_by_aiosmtplib(mta: Server, recipient: str, content: bytes) -> None:
    async def send() -> None:
        await aiosmtplib.send(content, sender="a@example.net", recipients=[recipient], hostname=mta.host, port=mta.port, mail_options=["BODY=8BITMIME"])

    asyncio.run(send())


def send_by_curl(mta: Server, recipient: str, content: bytes) -> None:
    subprocess.run(
        [
            "curl",
            "--silent",
            "--show-error",
            f"smtp://{mta.host}:{mta.port}/client.example",
            "--mail-from",
            "a@example.net",
            "--mail-rcpt",
            recipient,
            "-T",
            "-",
        ],
        input=content,
        check=True,
        timeout=20,
    )


CLIENTS = [
    pytest.param(send_by_smtplib, id="smtplib"),
    pytest.param(send_by_aiosmtplib, id="aiosmtplib"),
    pytest.param(send_by_curl, id="curl", marks=pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")),
]


@pytest.mark.parametrize("send", CLIENTS)
def test_mail_arrives_in_a_maildir_octet_by_octet(smx_server: Make, send: Callable[[Server, str, bytes], None]) -> None:
    mta = smx_server()
    for number, (name, content) in enumerate(CONTENTS.items()):
        send(mta, f"user{number}@example.org", content)
        (message,) = mta.wait_maildir(f"user{number}", 1)
        assert without_trace(message) == content, name
        assert message.startswith(b"Return-Path: <a@example.net>\r\nDelivered-To: user%d@example.org\r\n" % number)


@pytest.mark.parametrize("send", CLIENTS)
def test_mail_arrives_at_an_independent_server_octet_by_octet(smx_server: Make, sink: tuple[Sink, int], send: Callable[[Server, str, bytes], None]) -> None:
    handler, port = sink
    mta = smx_server(mailertable={"sink.example": f"[127.0.0.1]:{port}"})
    wanted = list(CONTENTS.values())
    for content in wanted:
        send(mta, "joe@sink.example", content)
    wait_until(lambda: len(handler.messages) == len(wanted))
    assert sorted(without_trace(content) for _, _, content, _ in handler.messages) == sorted(wanted)
    assert {(sender, *recipients) for sender, recipients, _, _ in handler.messages} == {("a@example.net", "joe@sink.example")}


def test_the_received_field_tells_the_way(smx_server: Make) -> None:
    mta = smx_server()
    send_by_smtplib(mta, "joe@example.org", CONTENTS["plain"])
    message = email.message_from_bytes(mta.wait_maildir("joe", 1)[0])
    received = " ".join(message["Received"].split())
    assert "([127.0.0.1]) by mx.example.org with ESMTP id " in received
    assert "for <joe@example.org>;" in received
    assert mta.notes("accepted")


# --- extensions


def test_a_thousand_recipients_keep_their_dsn_parameters(smx_server: Make, smx_peer: Callable[..., Peer]) -> None:
    peer = smx_peer()
    mta = smx_server(mailertable={"sink.example": f"[127.0.0.1]:{peer.port}"})
    recipients = [f"user{number}@sink.example" for number in range(1_000)]
    with smtplib.SMTP(mta.host, mta.port, timeout=20) as client:
        client.ehlo()
        assert client.docmd("MAIL", "FROM:<a@example.net> RET=HDRS ENVID=QQ314159")[0] == 250
        for number, recipient in enumerate(recipients):
            assert client.docmd("RCPT", f"TO:<{recipient}> NOTIFY=FAILURE,DELAY ORCPT=rfc822;first{number}@example.com")[0] == 250
        assert client.docmd("RCPT", "TO:<one.too.many@sink.example>")[0] == 452
        assert client.data(CONTENTS["dots"])[0] == 250
    peer.watch.wait_for(lambda: sum(len(message.recipients) for message in peer.messages) == 1_000, timeout_s=20)
    assert sorted(recipient.decode() for message in peer.messages for recipient in message.recipients) == sorted(recipients)
    for message in peer.messages:
        assert without_trace(message.content) == CONTENTS["dots"]
        assert b"RET=HDRS" in message.parameters[0]
        assert b"ENVID=QQ314159" in message.parameters[0]
        for address, parameters in zip(message.recipients, message.parameters[1:], strict=True):
            number_text = address.decode().removeprefix("user").partition("@")[0]
            assert f"ORCPT=rfc822;first{number_text}@example.com".encode() in parameters
            assert b"NOTIFY=FAILURE,DELAY" in parameters


def test_an_internationalized_address_is_carried_through(smx_server: Make, smx_peer: Callable[..., Peer]) -> None:
    peer = smx_peer()
    mta = smx_server(mailertable={"sink.example": f"[127.0.0.1]:{peer.port}"})
    content = "Subject: grüße\r\n\r\nhallo\r\n".encode()
    with smtplib.SMTP(mta.host, mta.port, timeout=10) as client:
        client.sendmail("jörg@example.net", ["müller@sink.example", "müller@example.org"], content, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    (message,) = peer.wait_messages(1)
    assert message.sender == "jörg@example.net".encode()
    assert message.recipients == ("müller@sink.example".encode(),)
    assert b"SMTPUTF8" in message.parameters[0]
    assert without_trace(message.content) == content
    assert without_trace(mta.wait_maildir("müller", 1)[0]) == content


@pytest.mark.parametrize("end", [b"DATA\r\n.\r\n", b"BDAT 0 LAST\r\n"], ids=["DATA", "BDAT"])
def test_a_message_without_any_content_is_a_message(smx_server: Make, end: bytes) -> None:
    mta = smx_server()
    with socket.create_connection((mta.host, mta.port), timeout=10) as client:
        client.sendall(b"EHLO client.example\r\nMAIL FROM:<>\r\nRCPT TO:<joe@example.org>\r\n" + end + b"QUIT\r\n")
        assert b" queued\r\n" in (said := b"".join(iter(lambda: client.recv(65_536), b""))) or b" delivered\r\n" in said
    assert without_trace(mta.wait_maildir("joe", 1)[0]) == b""


def test_chunks_arrive_as_one_message(smx_server: Make, smx_peer: Callable[..., Peer]) -> None:
    peer = smx_peer()
    mta = smx_server(mailertable={"sink.example": f"[127.0.0.1]:{peer.port}"})
    content = CONTENTS["dots"] + CONTENTS["8-bit"]
    with smtplib.SMTP(mta.host, mta.port, timeout=10) as client:
        client.ehlo()
        client.docmd("MAIL", "FROM:<a@example.net> BODY=8BITMIME")
        for recipient in ("joe@example.org", "joe@sink.example"):
            assert client.docmd("RCPT", f"TO:<{recipient}>")[0] == 250
        for start in range(0, len(content), 50):
            chunk = content[start : start + 50]
            last = " LAST" if start + 50 >= len(content) else ""
            client.send(f"BDAT {len(chunk)}{last}\r\n".encode() + chunk)
            assert client.getreply()[0] == 250
    assert without_trace(mta.wait_maildir("joe", 1)[0]) == content
    assert without_trace(peer.wait_messages(1)[0].content) == content


def test_a_pipelining_client_gets_its_replies_in_order(smx_server: Make) -> None:
    mta = smx_server(sections={"smar": 'local_user_map = u; map u { type = inline; entries = { "joe" = ""; }; }'})
    with socket.create_connection((mta.host, mta.port), timeout=10) as client:
        message = b"MAIL FROM:<a@example.net>\r\nRCPT TO:<joe@example.org>\r\nRCPT TO:<nobody@example.org>\r\nDATA\r\n\r\nhi\r\n.\r\n"
        client.sendall(b"EHLO client.example\r\n" + message * 20 + b"QUIT\r\n")
        said = b"".join(iter(lambda: client.recv(65_536), b"")).decode()
    codes = [line[:3] for line in said.splitlines() if line[3] == " "]
    assert codes == ["220", "250", *["250", "250", "550", "354", "250"] * 20, "221"]
    assert len(mta.wait_maildir("joe", 20)) == 20


@pytest.mark.feature("SX33")
def test_starttls_protects_both_ways(smx_server: Make, smx_peer: Callable[..., Peer], smx_pki: Pki) -> None:
    peer = smx_peer(tls=smx_pki.server_context("127.0.0.1"))
    mta = smx_server(certificate=smx_pki.server_files("localhost"), mailertable={"sink.example": f"[127.0.0.1]:{peer.port}"})
    with smtplib.SMTP("localhost", mta.port, timeout=10) as client:
        client.starttls(context=smx_pki.client_context())
        assert isinstance(client.sock, ssl.SSLSocket)
        client.sendmail("a@example.net", ["joe@example.org", "joe@sink.example"], CONTENTS["plain"])
    message = peer.wait_messages(1)[0]
    assert message.tls
    assert b"with ESMTPS id" in message.content
    assert without_trace(message.content) == CONTENTS["plain"]
    assert without_trace(mta.wait_maildir("joe", 1)[0]) == CONTENTS["plain"]


@pytest.mark.feature("SX72")
def test_an_overlong_command_address_and_header_are_refused_and_the_session_goes_on(smx_server: Make) -> None:
    mta = smx_server()
    with smtplib.SMTP(mta.host, mta.port, timeout=10) as client:
        client.ehlo()
        assert client.docmd("NOOP", "x" * limits.COMMAND_LINE_OCTETS_MAX)[0] == 500
        assert client.docmd("MAIL", f"FROM:<a@{'x' * 300}.example>")[0] == 501
        assert client.docmd("MAIL", "FROM:<a@example.net>")[0] == 250
        assert client.docmd("RCPT", f"TO:<{'y' * 300}@example.org>")[0] == 501
        assert client.docmd("RCPT", "TO:<joe@example.org>")[0] == 250
        assert client.data(b"Subject: x\r\n" + b"X-Long: " + b"z" * limits.HEADER_OCTETS_MAX + b"\r\n\r\nhi\r\n")[0] == 552
        client.sendmail("a@example.net", ["joe@example.org"], CONTENTS["plain"])
    assert len(mta.wait_maildir("joe", 1)) == 1


# --- what the processes do for it


@pytest.mark.feature("SX24")
def test_with_cut_through_the_next_hop_has_the_mail_before_the_sender_has_its_250(smx_server: Make, smx_peer: Callable[..., Peer]) -> None:
    for option, said in (("", b"delivered"), ("cut_through = 0;", b"queued")):
        peer = smx_peer({"DOT": lambda recipient: delay(0.1)})
        mta = smx_server(mailertable={"sink.example": f"[127.0.0.1]:{peer.port}"}, sections={"qmgr": option})
        with smtplib.SMTP(mta.host, mta.port, timeout=10) as client:
            client.ehlo()
            client.mail("a@example.net")
            client.rcpt("joe@sink.example")
            code, text = client.data(CONTENTS["plain"])
            taken = len(peer.messages)
        assert (code, text.split()[-1]) == (250, said)
        assert taken == (said == b"delivered")
        assert without_trace(peer.wait_messages(1)[0].content) == CONTENTS["plain"]


@pytest.mark.feature("SX09")
def test_content_lies_in_segments_that_nobody_else_may_read(smx_server: Make, smx_peer: Callable[..., Peer]) -> None:
    peer = smx_peer({"CONNECT": lambda _: reply("421 4.3.2 not now")})
    mta = smx_server(mailertable={"sink.example": f"[127.0.0.1]:{peer.port}"})
    send_by_smtplib(mta, "joe@sink.example", CONTENTS["large"])
    send_by_smtplib(mta, "joe@sink.example", CONTENTS["plain"])
    files = sorted((mta.spool / "cdb").iterdir())
    writers = collections.Counter(epoch_of_segment(int(path.stem, 16)) for path in files)
    assert sorted(writers.values()) == [2, 3]  # QMGR's for notifications and its spare; SMTPS's own for the large message, for small ones, and its spare
    assert sum(CONTENTS["plain"] in path.read_bytes() for path in files) == 1
    for path in files:
        assert path.suffix == ".cdb"
        assert path.stat().st_mode & 0o007 == 0
        assert path.stat().st_uid == os.getuid()


@pytest.mark.feature("SX40")
def test_two_servers_of_one_file_have_settings_of_their_own(smx_server: Make) -> None:
    second = """smtps small {
        listen_socket { type = inet; address = "127.0.0.1"; port = 0; }
        message_size_max = 100KiB; greeting = "small"; relay_from = { "192.0.2.0/24" };
    }"""
    mta = smx_server(sections={"": second})
    ports = sorted(mta.embedded.ports.items())
    assert [name for name, _ in ports] == ["smtps.mx:0", "smtps.small:0"]
    said = []
    for _, port in ports:
        with smtplib.SMTP(mta.host, port, timeout=10) as client:
            client.ehlo()
            client.mail("a@example.net")
            said.append((client.esmtp_features["size"], client.rcpt("joe@elsewhere.example")[0], client.rcpt("joe@example.org")[0]))
    assert said == [("52428800", 250, 250), ("102400", 550, 250)]


# --- who may send where


def test_a_client_that_is_not_listed_cannot_relay(smx_server: Make, smx_peer: Callable[..., Peer]) -> None:
    peer = smx_peer()
    mta = smx_server(relay_from=("192.0.2.0/24",), mailertable={"sink.example": f"[127.0.0.1]:{peer.port}"})
    with smtplib.SMTP(mta.host, mta.port, timeout=10) as client:
        for recipient in ("joe@elsewhere.example", "joe%elsewhere.example@example.com", "@example.org:joe@elsewhere.example"):
            client.rset()
            client.ehlo_or_helo_if_needed()
            client.mail("joe@example.org")
            code, text = client.rcpt(recipient)
            assert 500 <= code < 600, (recipient, code, text)
        client.rset()
        client.sendmail("a@example.net", ["joe@example.org"], CONTENTS["plain"])
    assert len(mta.wait_maildir("joe", 1)) == 1
    assert peer.messages == []


def test_the_mx_hosts_of_a_domain_are_asked_for_and_tried_in_order(smx_server: Make, smx_peer: Callable[..., Peer], smx_dns: Callable[..., FakeDns]) -> None:
    peer = smx_peer()
    zone = {
        "far.example": {"MX": ["10 mx1.far.example", "20 mx2.far.example"]},
        "mx1.far.example": {"A": ["127.0.0.3"]},  # nobody listens there
        "mx2.far.example": {"A": ["127.0.0.1"]},
    }
    server = smx_dns(zone)
    mta = smx_server(nameserver=server.nameserver, sections={"smar": f"smtp_port = {peer.port};"})
    send_by_smtplib(mta, "joe@far.example", CONTENTS["plain"])
    (message,) = peer.wait_messages(1)
    assert without_trace(message.content) == CONTENTS["plain"]
    assert ("far.example", "MX") in server.queries


@pytest.mark.feature("SX53")
def test_lmtp_to_a_unix_socket_has_a_verdict_for_each_recipient(smx_server: Make, smx_peer: Callable[..., Peer], tmp_path: Path) -> None:
    path = str(tmp_path / "lmtp.sock")
    peer = smx_peer({"DOT": lambda recipient: reply("450 4.2.1 full now") if recipient.startswith(b"full") else None}, lmtp=True, path=path)
    mta = smx_server(mailertable={"box.example": f"lmtp:unix:{path}"})
    with smtplib.SMTP(mta.host, mta.port, timeout=10) as client:
        client.sendmail("a@example.net", ["joe@box.example", "full@box.example", "sue@box.example"], CONTENTS["plain"])
    peer.watch.wait_for(lambda: len(peer.messages) == 3)
    assert {(message.recipients[0], message.code) for message in peer.messages} == {
        (b"joe@box.example", 250),
        (b"full@box.example", 450),
        (b"sue@box.example", 250),
    }
    deferred = mta.wait_note("deferred")
    assert b"full now" in bytes(str(deferred.values[-1]), "utf-8")


def test_what_the_next_hop_refuses_for_good_comes_back_to_the_sender_once(smx_server: Make, smx_peer: Callable[..., Peer]) -> None:
    peer = smx_peer({"RCPT": lambda argument: reply("550 5.1.1 No such user") if b"gone" in argument else None})
    mta = smx_server(mailertable={"sink.example": f"[127.0.0.1]:{peer.port}"})
    with smtplib.SMTP(mta.host, mta.port, timeout=10) as client, contextlib.suppress(smtplib.SMTPDataError):
        client.sendmail("joe@example.org", ["gone@sink.example", "there@sink.example"], CONTENTS["plain"])
    assert peer.wait_messages(1)[0].recipients == (b"there@sink.example",)
    (bounce,) = mta.wait_maildir("joe", 1)
    assert bounce.startswith(b"Return-Path: <>\r\n")
    report = email.message_from_bytes(bounce)
    assert report.get_content_type() == "multipart/report"
    assert b"5.1.1" in bounce
    assert b"gone@sink.example" in bounce


def test_mail_that_was_accepted_before_a_kill_is_delivered_after_the_restart(tmp_path: Path, smx_peer: Callable[..., Peer]) -> None:
    peer = smx_peer({"CONNECT": lambda _: reply("421 4.3.2 not now") if not ready else None})
    ready: list[bool] = []
    options: dict[str, Any] = {
        "mailertable": {"sink.example": f"[127.0.0.1]:{peer.port}"},
        "sections": {"qmgr": "retry { min = 1s; max = 1s; dead_min = 1s; dead_max = 1s; }"},
    }
    # Four: a fifth failure would make the destination dead, and then its mail is spread over half a minute.
    mta = Server(tmp_path, **options)
    mta.start()
    for number in range(4):
        send_by_smtplib(mta, f"user{number}@sink.example", CONTENTS["dots"])
    mta.kill()
    ready.append(True)
    with Server(tmp_path, **options):
        messages = peer.wait_messages(4)
    assert sorted(message.recipients[0] for message in messages) == [b"user%d@sink.example" % number for number in range(4)]
    assert {without_trace(message.content) for message in messages} == {CONTENTS["dots"]}
