"""The scripted peer as an independent client sees it."""

import smtplib
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from smx.testing.peer import Peer, delay, drop, hang, raw, reply
from smx.testing.pki import Pki

MESSAGE = b"Subject: hi\r\n\r\n.dot\r\nbody\r\n"


def test_without_a_script_it_takes_what_it_gets(smx_peer: Callable[..., Peer]) -> None:
    peer = smx_peer()
    with smtplib.SMTP("127.0.0.1", peer.port) as client:
        client.sendmail("a@example.net", ["b@example.org", "c@example.org"], MESSAGE, mail_options=["RET=HDRS"])
    (message,) = peer.wait_messages(1)
    assert (message.sender, message.recipients, message.content) == (b"a@example.net", (b"b@example.org", b"c@example.org"), MESSAGE)
    assert message.parameters[0].endswith(b"RET=HDRS")
    assert [line.split()[0] for line in peer.commands[0]] == [b"ehlo", b"mail", b"rcpt", b"rcpt", b"data", b"QUIT"]


def test_a_script_is_used_up_one_occurrence_after_the_other(smx_peer: Callable[..., Peer]) -> None:
    peer = smx_peer({"RCPT": [reply("450 4.2.1 later"), None, reply("550-5.1.1 no\n550 5.1.1 never")]})
    with smtplib.SMTP("127.0.0.1", peer.port) as client:
        refused = client.sendmail("a@example.net", ["b@example.org", "c@example.org", "d@example.org"], MESSAGE)
    assert {address: code for address, (code, _) in refused.items()} == {"b@example.org": 450, "d@example.org": 550}
    assert peer.wait_messages(1)[0].recipients == (b"c@example.org",)


def test_a_function_decides_by_the_argument(smx_peer: Callable[..., Peer]) -> None:
    peer = smx_peer({"MAIL": lambda argument: reply("550 5.7.1 you not") if b"evil" in argument else None})
    with smtplib.SMTP("127.0.0.1", peer.port) as client:
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail("evil@example.net", ["b@example.org"], MESSAGE)
        client.sendmail("good@example.net", ["b@example.org"], MESSAGE)


@pytest.mark.parametrize("step", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "DOT"])
def test_it_breaks_the_connection_where_it_is_told_to(smx_peer: Callable[..., Peer], step: str) -> None:
    peer = smx_peer({step: [drop()]})
    with pytest.raises((smtplib.SMTPServerDisconnected, OSError)), smtplib.SMTP("127.0.0.1", peer.port) as client:
        client.sendmail("a@example.net", ["b@example.org"], MESSAGE)
    assert peer.messages == []


def test_it_hangs_and_says_nonsense(smx_peer: Callable[..., Peer]) -> None:
    peer = smx_peer({"EHLO": [raw(b"\xff\xfe nonsense\r\n")], "NOOP": [hang()]})
    with socket.create_connection(("127.0.0.1", peer.port), timeout=0.3) as client:
        assert client.recv(100).startswith(b"220 ")
        client.sendall(b"EHLO x\r\n")
        assert client.recv(100) == b"\xff\xfe nonsense\r\n"
        client.sendall(b"NOOP\r\n")
        with pytest.raises(TimeoutError):
            client.recv(100)


def test_the_reply_to_a_message_can_be_late_or_a_refusal(smx_peer: Callable[..., Peer]) -> None:
    peer = smx_peer({"DOT": [delay(0.05), reply("554 5.6.0 no")]})
    with smtplib.SMTP("127.0.0.1", peer.port) as client:
        client.sendmail("a@example.net", ["b@example.org"], MESSAGE)
        with pytest.raises(smtplib.SMTPDataError):
            client.sendmail("a@example.net", ["b@example.org"], MESSAGE)
    assert [message.code for message in peer.messages] == [250, 554]
    assert len(peer.wait_messages(1)) == 1


def test_lmtp_has_a_reply_for_each_recipient(smx_peer: Callable[..., Peer], tmp_path: Path) -> None:
    path = str(tmp_path / "lmtp")
    peer = smx_peer({"DOT": [None, reply("452 4.2.2 full")]}, lmtp=True, path=path)
    with smtplib.LMTP(path) as client:
        client.sendmail("a@example.net", ["b@example.org", "c@example.org"], MESSAGE)
        assert client.getreply()[0] == 452
    assert [(message.recipients, message.code) for message in peer.messages] == [((b"b@example.org",), 250), ((b"c@example.org",), 452)]


def test_starttls_is_offered_with_a_context(smx_peer: Callable[..., Peer], smx_pki: Pki) -> None:
    peer = smx_peer(tls=smx_pki.server_context("localhost"))
    with smtplib.SMTP("localhost", peer.port) as client:
        client.starttls(context=smx_pki.client_context())
        client.sendmail("a@example.net", ["b@example.org"], MESSAGE)
    assert peer.wait_messages(1)[0].tls


def test_chunks_are_taken(smx_peer: Callable[..., Peer]) -> None:
    peer = smx_peer()
    with socket.create_connection(("127.0.0.1", peer.port), timeout=5) as client:
        client.sendall(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nBDAT 3\r\nabcBDAT 4 LAST\r\n.\r\n!QUIT\r\n")
        while client.recv(4_096):
            pass
    assert peer.wait_messages(1)[0].content == b"abc.\r\n!"
