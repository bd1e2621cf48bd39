"""Five mail programs that others wrote, and the classic callers of `sendmail`: what they send arrives octet by octet, in a Maildir and at a server
that others wrote, but for the trace fields.

`make clients` installs what is not there (swaks, nodemailer, git send-email, mail). What a program cannot do by itself is not asked of it: swaks has
no DSN and no SMTPUTF8, curl no DSN, and none of the five sends BDAT (tests/live/test_mail_flow.py sends chunks by hand over smtplib).
"""

import asyncio
import json
import os
import re
import shutil
import smtplib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import aiosmtplib
import pytest

from smx.testing.peer import Peer
from smx.testing.server import Server
from tests.live import test_mail_flow as flow

Make = Callable[..., Server]
SENDER = "a@example.net"
CLIENTS = Path(__file__).parent / "clients"
TIMEOUT_S = 100.0
MIB = 1024 * 1024

CONTENTS = {
    "8-bit": b"Subject: 8-bit\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + bytes(range(128, 256)) + b"\r\n\xff\xfe\r\n",
    "998 octets": b"Subject: long\r\n\r\n" + b"a" * 998 + b"\r\n" + b"." + b"b" * 997 + b"\r\n",
    "leading dots": b"Subject: dots\r\n\r\n.\r\n..\r\n.a\r\n...b\r\n\r\n.\r\nend\r\n",
    "white space": b"Subject: white\r\n\r\n  leading\r\ntrailing \t \r\n\r\n\r\n",
}
LARGE = b"Subject: large\r\n\r\n" + (b"." + b"0123456789" * 7 + b"\r\n") * (30 * MIB // 73)

sink = flow.sink  # the fixture: an aiosmtpd server


class Send(Protocol):
    """Hands a message to smx by one client. `orcpt`: with an original recipient for each recipient, for clients that know DSN."""

    def __call__(self, mta: Server, directory: Path, recipients: list[str], content: bytes, *, orcpt: bool = False, sender: str = SENDER) -> None: ...


def original(recipient: str) -> str:
    return f"ORCPT=rfc822;first.{recipient.partition('@')[0]}@example.com"


def by_smtplib(mta: Server, directory: Path, recipients: list[str], content: bytes, *, orcpt: bool = False, sender: str = SENDER) -> None:
    with smtplib.SMTP(mta.host, mta.port, timeout=TIMEOUT_S) as client:
        client.ehlo()
        options = [f"SIZE={len(content)}", "BODY=8BITMIME", *([] if sender.isascii() else ["SMTPUTF8"])]
        client.command_encoding = "utf-8"
        assert client.mail(sender, options)[0] == 250
        for recipient in recipients:
            assert client.rcpt(recipient, ["NOTIFY=FAILURE,DELAY", original(recipient)] if orcpt else ())[0] == 250
        assert client.data(content)[0] == 250


def by_aiosmtplib(mta: Server, directory: Path, recipients: list[str], content: bytes, *, orcpt: bool = False, sender: str = SENDER) -> None:
    async def send() -> None:
        async with aiosmtplib.SMTP(hostname=mta.host, port=mta.port, timeout=TIMEOUT_S) as client:
            encoding = "ascii" if sender.isascii() else "utf-8"
            await client.mail(sender, options=["BODY=8BITMIME", *([] if sender.isascii() else ["SMTPUTF8"])], encoding=encoding)
            for recipient in recipients:
                await client.rcpt(recipient, options=["NOTIFY=FAILURE,DELAY", original(recipient)] if orcpt else None, encoding=encoding)
            await client.data(content)

    asyncio.run(send())


def by_curl(mta: Server, directory: Path, recipients: list[str], content: bytes, *, orcpt: bool = False, sender: str = SENDER) -> None:
    assert not orcpt
    addresses = [word for recipient in recipients for word in ("--mail-rcpt", recipient)]
    run("curl", "-sS", f"smtp://{mta.host}:{mta.port}/client.example", "--mail-from", sender, *addresses, "-T", put(directory, content))


def by_swaks(mta: Server, directory: Path, recipients: list[str], content: bytes, *, orcpt: bool = False, sender: str = SENDER) -> None:
    assert not orcpt
    if content:  # swaks ends the last line itself
        data = ["--data", f"@{put(directory, content.removesuffix(CRLF))}"]
    else:
        data = ["--no-data-fixup", "--data", f"@{put(directory, b'.' + CRLF)}"]
    server = ["--server", f"{mta.host}:{mta.port}", "--ehlo", "client.example", "--timeout", f"{TIMEOUT_S:.0f}"]
    run("swaks", *server, "--hide-all", "--from", sender, "--to", ",".join(recipients), *data)


def by_nodemailer(mta: Server, directory: Path, recipients: list[str], content: bytes, *, orcpt: bool = False, sender: str = SENDER) -> None:
    order = {"host": mta.host, "port": mta.port, "sender": sender, "recipients": recipients, "content": put(directory, content), "orcpt": orcpt}
    (directory / "order.json").write_text(json.dumps(order))
    assert json.loads(run("node", str(CLIENTS / "send.js"), str(directory / "order.json")))["rejected"] == []


CRLF = b"\r\n"


def put(directory: Path, content: bytes) -> str:
    path = directory / "content.eml"
    path.write_bytes(content)
    return str(path)


def run(*words: str, octets: bytes = b"", environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(words, input=octets, env=os.environ | (environment or {}), capture_output=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout.decode()


def absent(program: str, *paths: Path) -> list[pytest.MarkDecorator]:
    missing = shutil.which(program) is None or not all(path.exists() for path in paths)
    return [pytest.mark.skipif(missing, reason=f"{program if not paths else paths[-1].name} is not installed: make clients")]


SMTPLIB = pytest.param(by_smtplib, id="smtplib")
AIOSMTPLIB = pytest.param(by_aiosmtplib, id="aiosmtplib")
CURL = pytest.param(by_curl, id="curl", marks=absent("curl"))
SWAKS = pytest.param(by_swaks, id="swaks", marks=absent("swaks"))
NODEMAILER = pytest.param(by_nodemailer, id="nodemailer", marks=absent("node", CLIENTS / "node_modules" / "nodemailer"))


@pytest.fixture
def mta(smx_server: Make, sink: tuple[flow.Sink, int]) -> Server:
    """An MTA that delivers example.org to Maildirs, and sends sink.example to the sink."""
    return smx_server(mailertable={"sink.example": f"[127.0.0.1]:{sink[1]}"})


def assert_both_got(mta: Server, handler: flow.Sink, user: str, content: bytes, name: str) -> None:
    """A Maildir and the sink have this message."""
    (message,) = mta.wait_maildir(user, 1, TIMEOUT_S)
    assert flow.without_trace(message) == content, name
    flow.wait_until(lambda: any(f"{user}@sink.example" in recipients for _, recipients, _, _ in handler.messages), TIMEOUT_S)
    (message,) = (content for _, recipients, content, _ in handler.messages if f"{user}@sink.example" in recipients)
    assert flow.without_trace(message) == content, name


@pytest.mark.parametrize("send", [SMTPLIB, AIOSMTPLIB, CURL, SWAKS, NODEMAILER])
def test_every_kind_of_content_arrives_unchanged_in_a_maildir_and_at_another_server(
    mta: Server, sink: tuple[flow.Sink, int], tmp_path: Path, send: Send
) -> None:
    for number, (name, content) in enumerate(CONTENTS.items()):
        user = f"user{number}"
        send(mta, tmp_path, [f"{user}@example.org", f"{user}@sink.example"], content)
        assert_both_got(mta, sink[0], user, content, name)
    assert {sender for sender, _, _, _ in sink[0].messages} == {SENDER}


@pytest.mark.parametrize("send", [SMTPLIB, AIOSMTPLIB, CURL, SWAKS, NODEMAILER])
def test_an_empty_message_arrives_empty(mta: Server, sink: tuple[flow.Sink, int], tmp_path: Path, send: Send) -> None:
    """curl and swaks send nothing at all before the dot, the others an empty line."""
    send(mta, tmp_path, ["joe@example.org", "joe@sink.example"], b"")
    assert_both_got(mta, sink[0], "joe", b"" if send in (by_curl, by_swaks) else CRLF, "empty")


@pytest.mark.parametrize("send", [SMTPLIB, AIOSMTPLIB, CURL, SWAKS, NODEMAILER])
def test_thirty_mebibytes_arrive_unchanged(mta: Server, sink: tuple[flow.Sink, int], tmp_path: Path, send: Send) -> None:
    assert len(LARGE) > 29 * MIB
    send(mta, tmp_path, ["joe@example.org", "joe@sink.example"], LARGE)
    assert_both_got(mta, sink[0], "joe", LARGE, "large")


@pytest.mark.parametrize("send", [SMTPLIB, AIOSMTPLIB, CURL, SWAKS, NODEMAILER])
def test_a_thousand_recipients_get_one_copy_each_with_their_original_recipient(
    smx_server: Make, sink: tuple[flow.Sink, int], smx_peer: Callable[..., Peer], tmp_path: Path, send: Send
) -> None:
    """aiosmtpd knows no DSN: the parameters are seen at a peer that does."""
    handler, port = sink
    peer = smx_peer()
    mta = smx_server(mailertable={"sink.example": f"[127.0.0.1]:{port}", "dsn.example": f"[127.0.0.1]:{peer.port}"})
    local, far, dsn = (
        [f"user{number}@{domain}" for number in range(count)] for domain, count in (("example.org", 10), ("sink.example", 490), ("dsn.example", 500))
    )
    orcpt = send in (by_smtplib, by_aiosmtplib, by_nodemailer)
    content = CONTENTS["leading dots"]
    send(mta, tmp_path, [*local, *far, *dsn], content, orcpt=orcpt)
    peer.watch.wait_for(lambda: sum(len(message.recipients) for message in peer.messages) == 500, timeout_s=TIMEOUT_S)
    flow.wait_until(lambda: sum(len(recipients) for _, recipients, _, _ in handler.messages) == 490, TIMEOUT_S)
    mta.wait_empty(TIMEOUT_S)
    assert sorted(recipient.decode() for message in peer.messages for recipient in message.recipients) == sorted(dsn)
    assert sorted(recipient for _, recipients, _, _ in handler.messages for recipient in recipients) == sorted(far)
    assert {flow.without_trace(content) for _, _, content, _ in handler.messages} | {flow.without_trace(message.content) for message in peer.messages} == {
        content
    }
    assert [len(mta.maildir(address.partition("@")[0])) for address in local] == [1] * 10
    if orcpt:
        for message in peer.messages:
            for recipient, parameters in zip(message.recipients, message.parameters[1:], strict=True):
                wanted = "ORCPT=rfc822;first@example.com" if send is by_nodemailer else original(recipient.decode())
                assert sorted(parameters.decode().split()) == ["NOTIFY=FAILURE,DELAY", wanted]


@pytest.mark.parametrize("send", [SMTPLIB, AIOSMTPLIB, CURL, NODEMAILER])
def test_internationalized_addresses_arrive_in_utf_8(mta: Server, sink: tuple[flow.Sink, int], tmp_path: Path, send: Send) -> None:
    content = "Subject: grüße\r\n\r\nhallo\r\n".encode()
    send(mta, tmp_path, ["müller@example.org", "müller@sink.example"], content, sender="jörg@example.net")
    assert_both_got(mta, sink[0], "müller", content, "SMTPUTF8")
    ((sender, _, _, options),) = sink[0].messages
    assert sender == "jörg@example.net"
    assert "SMTPUTF8" in options


# --- the classic callers of sendmail


MESSAGE = b"""\
From: Joe <joe@example.org>
To: user0@example.org, Far <user0@sink.example>
Date: Tue, 24 Nov 2026 12:00:00 +0000
Message-ID: <1@example.org>
Subject: hi

hello
.
.end
"""


def sendmail(directory: Path) -> str:
    """smx-sendmail as a program to name in the configuration of others."""
    path = directory / "sendmail"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -m smx.cli.sendmail "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    "words",
    [
        ["-t", "-i"],  # PHP's mail()
        ["-i", "-f", "joe@example.org", "user0@example.org", "user0@sink.example"],  # git send-email with an envelope sender
        ["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "user0@example.org", "user0@sink.example"],  # cron
        ["-oi", "-odb", "-oee", "-t", "-f", "joe@example.org", "--"],
    ],
    ids=lambda words: " ".join(words),
)
def test_a_message_by_sendmail_arrives_unchanged(mta: Server, sink: tuple[flow.Sink, int], tmp_path: Path, words: list[str]) -> None:
    run(sendmail(tmp_path), *words, octets=MESSAGE, environment={"SMX_SPOOL": str(mta.spool)})
    assert_both_got(mta, sink[0], "user0", MESSAGE.replace(b"\n", CRLF), "sendmail")


def test_sendmail_says_try_later_when_smx_is_down(mta: Server, tmp_path: Path) -> None:
    """After an orderly stop nothing tells where to go; after a kill what tells it is stale."""
    told = (mta.spool / "listeners.json").read_text()
    mta.stop()
    for stale in (None, told):
        if stale:
            (mta.spool / "listeners.json").write_text(stale)
        environment = os.environ | {"SMX_SPOOL": str(mta.spool)}
        done = subprocess.run([sendmail(tmp_path), "-i", "joe@example.org"], input=MESSAGE, env=environment, capture_output=True, timeout=TIMEOUT_S)
        assert done.returncode == 75
        assert (b"no smx answers" if stale else b"smx is not running") in done.stderr
        assert b"nothing was sent" in done.stderr


def git_send_email() -> bool:
    if shutil.which("git") is None:
        return False
    return Path(subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip(), "git-send-email").exists()


@pytest.mark.skipif(not git_send_email(), reason="git send-email is not installed: make clients")
def test_git_send_email_sends_a_patch(mta: Server, tmp_path: Path) -> None:
    patch = tmp_path / "0001.patch"
    patch.write_text(
        "From 0123 Mon Sep 17 00:00:00 2001\nFrom: Joe <joe@example.org>\nDate: Tue, 24 Nov 2026 12:00:00 +0000\nSubject: [PATCH] dot\n\n.\n-- \n2.39\n"
    )
    run(
        *("git", "-c", "user.name=Joe", "-c", "user.email=joe@example.org", "send-email", "--quiet", "--confirm=never", "--suppress-cc=all"),
        *("--envelope-sender=joe@example.org", f"--smtp-server={sendmail(tmp_path)}", "--to=bob@example.org", str(patch)),
        environment={
            "SMX_SPOOL": str(mta.spool),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": str(tmp_path),
            "GIT_CEILING_DIRECTORIES": "/",
        },
    )
    (message,) = mta.wait_maildir("bob", 1)
    assert message.startswith(b"Return-Path: <joe@example.org>\r\n")
    assert b"Subject: [PATCH] dot\r\n" in message
    assert message.endswith(b"\r\n\r\n.\r\n-- \r\n2.39\r\n")


@pytest.mark.skipif(shutil.which("mail") is None, reason="mail is not installed: make clients")
def test_mail_sends_a_message(mta: Server, tmp_path: Path) -> None:
    environment = {"SMX_SPOOL": str(mta.spool), "MAILRC": str(tmp_path / "mailrc"), "HOME": str(tmp_path)}
    (tmp_path / "mailrc").write_text(f"set sendmail={sendmail(tmp_path)}\n")
    run("mail", "-s", "hi", "bob@example.org", octets=b"hello\n", environment=environment)
    (message,) = mta.wait_maildir("bob", 1)
    assert re.search(rb"\r\nSubject: hi\r\n", message)
    assert message.endswith(b"\r\n\r\nhello\r\n")
