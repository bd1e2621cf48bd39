"""SMTPC in a whole MTA against an independent server (aiosmtpd): reuse of sessions, STARTTLS, large content."""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from smx.testing.pki import Pki
from smx.testing.server import Server


class Sink:
    """Takes everything, and remembers the sessions and whether they were inside TLS."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.sessions: list[Session] = []
        self.tls: list[bool] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.messages.append(envelope.content)
        self.tls.append(session.ssl is not None)
        if session not in self.sessions:
            self.sessions.append(session)
        return "250 taken"


@contextmanager
def sink(tls_context: ssl.SSLContext | None = None) -> Iterator[tuple[Sink, int]]:
    handler = Sink()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port, tls_context=tls_context)
    controller.start()
    try:
        yield handler, port
    finally:
        controller.stop()


def send(mta: Server, message: str) -> None:
    with smtplib.SMTP(mta.host, mta.port, timeout=20) as smtp:
        smtp.sendmail("me@example.org", ["you@away.example"], message)


def wait_delivered(mta: Server, count: int) -> None:
    mta.wait_note("closed", lambda note: len(mta.notes("closed")) >= count or len(mta.notes("verdict")) >= count)


@pytest.mark.feature("SX21")
def test_transactions_share_a_session_at_the_sink(tmp_path: Path) -> None:
    with sink() as (handler, port), Server(tmp_path, mailertable={"away.example": f"[127.0.0.1]:{port}"}) as mta:
        for number in range(5):
            send(mta, f"Subject: {number}\r\n\r\n.hello\r\n..\r\n")
            wait_delivered(mta, number + 1)
        assert len(handler.messages) == 5
        assert len(handler.sessions) == 1
        assert all(message.endswith(b"\r\n\r\n.hello\r\n..\r\n") for message in handler.messages)


def test_tls_is_used_when_the_server_offers_it(tmp_path: Path, smx_pki: Pki) -> None:
    with sink(smx_pki.server_context("localhost")) as (handler, port), Server(tmp_path, mailertable={"away.example": f"[127.0.0.1]:{port}"}) as mta:
        send(mta, "Subject: secret\r\n\r\nhello\r\n")
        wait_delivered(mta, 1)
        assert handler.tls == [True]


def test_large_content_arrives_whole(tmp_path: Path) -> None:
    with sink() as (handler, port), Server(tmp_path, mailertable={"away.example": f"[127.0.0.1]:{port}"}) as mta:
        body = "".join(f"{number:070d}\r\n" for number in range(20_000))
        send(mta, f"Subject: large\r\n\r\n{body}")
        wait_delivered(mta, 1)
        (message,) = handler.messages
        assert message.endswith(body.encode())
