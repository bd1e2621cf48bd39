"""The dialogue in its manners: extensions on and off, LMTP, TLS, UNIX sockets, retries, bounds; and what the sink keeps."""

import asyncio
import mailbox
from collections.abc import Callable
from pathlib import Path

import pytest

from smx.live.host import new_loop
from smx.testing.load.draws import fixed, parse_draw
from smx.testing.load.faults import Fault
from smx.testing.load.ledger import read_copies, read_promises
from smx.testing.load.options import EXTENSIONS, SinkOptions
from smx.testing.load.sink import Sink
from smx.testing.load.target import Target
from smx.testing.peer import Peer, raw, reply
from smx.testing.pki import Pki
from tests.testing.load.rig import ANYWHERE, exchange, meet

MANY = {"messages": 60, "sessions": 5, "recipients": parse_draw("uniform:1-4", int), "size": parse_draw("uniform:500-9000", int)}
MANNERS: dict[str, dict[str, object]] = {
    "pipelined": {},
    "not pipelined": {"pipelining": "off"},
    "chunking": {"chunking": True},
    "chunking, not pipelined": {"chunking": True, "pipelining": "off"},
    "three messages a session": {"keep": 3},
    "sessions kept": {"keep": 0},
    "LMTP": {"lmtp": True, "keep": 0},
    "LMTP, chunking": {"lmtp": True, "chunking": True},
    "a body of ours": {"body": b"\xc3\xa4\n.dot\n" * 50},
    "the null reverse-path": {"sender": ""},
    "at a rate": {"rate": 2_000.0, "keep": 0},
}


@pytest.mark.feature("SX70")
@pytest.mark.parametrize("manner", MANNERS)
def test_everything_that_is_promised_arrives_once(manner: str, tmp_path: Path) -> None:
    ledger, kept = str(tmp_path / "ledger"), str(tmp_path / "kept")
    sent, taken = exchange({**MANY, **MANNERS[manner], "ledger": ledger}, {"lmtp": "LMTP" in manner, "keep": f"jsonl:{kept}"})
    assert sent.acknowledged == sent.begun == 60
    assert not sent.errors
    assert taken.messages == 60
    assert taken.distinct == taken.copies == sent.recipients_acknowledged > 60
    assert taken.duplicates == taken.untold == 0
    assert sorted(read_promises(ledger)) == sorted(read_copies(kept))
    assert taken.octets == sent.octets
    assert sent.connections == {"three messages a session": 20}.get(manner, sent.connections)
    assert sent.connections <= 60 if "keep" not in MANNERS[manner] else sent.connections <= 20


@pytest.mark.parametrize("lacking", EXTENSIONS)
def test_a_server_without_an_extension_is_spoken_to_without_it(lacking: str) -> None:
    sent, taken = exchange({"messages": 3, "body": b"\xff"}, {"extensions": tuple(name for name in EXTENSIONS if name != lacking)})
    assert sent.acknowledged == taken.messages == 3


@pytest.mark.parametrize(("load", "error"), [({"chunking": True}, "the server offers no CHUNKING"), ({"tls": "context"}, "the server offers no STARTTLS")])
def test_what_was_asked_for_and_is_not_offered_is_an_error(load: dict[str, object], error: str, smx_pki: Pki) -> None:
    if "tls" in load:
        load = {"tls": smx_pki.client_context()}
    sent, taken = exchange(load, {"extensions": ()})
    assert sent.errors == {error: 1}
    assert sent.failed == 1
    assert taken.messages == 0


@pytest.mark.parametrize("lmtp", [False, True])
def test_a_server_that_knows_helo_only_gets_helo_but_for_lmtp(lmtp: bool) -> None:
    with Peer({"EHLO": [reply("500 5.5.1 What?")] * 2, "LHLO": [reply("500 5.5.1 What?")] * 2}) as peer:
        sent, _ = exchange({"target": Target("127.0.0.1", peer.port), "messages": 2, "lmtp": lmtp})
        assert (sent.refused, sent.acknowledged) == ((2, 0) if lmtp else (0, 2))
        assert peer.commands[0][0].startswith(b"LHLO" if lmtp else b"EHLO")
        assert lmtp or peer.commands[0][1].startswith(b"HELO")


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, new_loop], ids=["asyncio", "smx"])
def test_starttls_is_spoken(make_loop: Callable[[], asyncio.AbstractEventLoop], smx_pki: Pki) -> None:
    load = {"messages": 10, "sessions": 2, "keep": 3, "tls": smx_pki.client_context()}
    with asyncio.Runner(loop_factory=make_loop) as runner:
        sent, taken = runner.run(meet(load, {"tls": smx_pki.server_context("127.0.0.1")}))
    assert sent.acknowledged == taken.distinct == 10
    assert sent.replies["STARTTLS 220"] == sent.connections
    assert sent.replies["EHLO 250"] == 2 * sent.connections


def test_a_certificate_that_is_not_trusted_is_an_error(smx_pki: Pki, tmp_path: Path) -> None:
    stranger = Pki(tmp_path / "stranger")
    sent, taken = exchange({"tls": smx_pki.client_context()}, {"tls": stranger.server_context("127.0.0.1")})
    assert sent.failed == 1
    assert all(error.startswith("TLS: ") for error in sent.errors)
    assert taken.messages == 0


@pytest.mark.parametrize("lmtp", [False, True])
def test_a_unix_socket_is_spoken_to(lmtp: bool, tmp_path: Path) -> None:
    sent, taken = exchange({"messages": 5, "lmtp": lmtp}, {"target": Target("", 0, str(tmp_path / "sink.sock")), "lmtp": lmtp})
    assert sent.acknowledged == taken.distinct == 5


def test_a_greylisted_message_is_taken_when_it_comes_again() -> None:
    load = {"messages": 5, "retries": 20, "retry_after_s": 0.02}
    sent, taken = exchange(load, {"greylist_s": 0.1})
    assert sent.acknowledged == taken.distinct == taken.messages == 5
    assert sent.retried >= 5
    assert taken.replies["RCPT 450"] == sent.retried
    assert sent.latency["whole"].max_ms >= 100  # from the first try on
    given_up, _ = exchange({**load, "retries": 1}, {"greylist_s": 10.0})
    assert (given_up.deferred, given_up.retried, given_up.acknowledged) == (5, 5, 0)


def test_some_recipients_may_be_refused() -> None:
    def on_rcpt(sender: bytes, recipient: bytes) -> bytes:
        return b"550 5.1.1 Nobody" if recipient.startswith(b"u1@") else b""

    for manner in ("pipelined", "not pipelined", "chunking", "LMTP"):
        load = {**MANNERS[manner], "messages": 1, "recipients": fixed(3)}
        sent, taken = exchange(load, {"lmtp": manner == "LMTP"}, on_rcpt=on_rcpt)
        assert sent.acknowledged == 1
        assert sent.recipients_acknowledged == taken.copies == 2
        alone, nothing = exchange({**load, "recipients": fixed(1)}, {"lmtp": manner == "LMTP"}, on_rcpt=on_rcpt)
        assert alone.refused == 1
        assert nothing.messages == 0


def test_connections_beyond_the_bound_get_421() -> None:
    sent, taken = exchange({"messages": 40, "sessions": 8, "retries": 100, "retry_after_s": 0.01}, {"connections_max": 2, "tarpit_s": 0.002})
    assert sent.acknowledged == taken.distinct == 40
    assert taken.connections_peak == 2
    assert sent.replies["greeting 421"] == sent.retried > 0


def test_a_message_that_is_too_large_is_refused_at_the_dot() -> None:
    sent, taken = exchange({"messages": 2, "size": fixed(5_000)}, {"size_max": 4_000})
    assert sent.refused == 2
    assert sent.replies["dot 552"] == 2
    assert taken.messages == 0


@pytest.mark.parametrize("kind", ["mbox", "maildir"])
def test_what_is_kept_can_be_read_by_others(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "kept"
    body = b"From here\n>From there\n" + b"x" * 70_000
    exchange({"messages": 3, "body": body, "recipients": fixed(2)}, {"keep": f"{kind}:{path}"})
    box: mailbox.Mailbox[mailbox.Message] = mailbox.mbox(path) if kind == "mbox" else mailbox.Maildir(path)
    messages = sorted(box, key=lambda message: str(message["X-Load-Token"]))
    box.close()
    assert len(messages) == 3
    assert {message["X-Load-Token"] for message in messages} == {"load.1", "load.2", "load.3"}
    assert messages[0].get_all("Delivered-To") == ["u1@d1.example", "u2@d1.example"]
    text = messages[0].get_payload(decode=True)
    assert isinstance(text, bytes)
    assert text.endswith(b"x" * 100 + b"\n")
    assert text.startswith(b">From here\n>>From there\n" if kind == "mbox" else b"From here\n>From there\n")


def test_duplicates_and_messages_of_others_are_told_apart() -> None:
    load = {"messages": 4, "run": "same"}

    async def twice() -> Sink:
        sink = Sink(SinkOptions(target=ANYWHERE))
        await sink.start()
        for _ in range(2):
            await meet({**load, "target": sink.target})
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", sink.target.port)
            writer.write(
                b"HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<b@c.example>\r\nDATA\r\nSubject: other\r\n\r\n.\r\nNOOP\r\nWHAT\r\nDATA\r\nRCPT TO:<a@b>\r\nQUIT\r\n"
            )
            said = await reader.read()
            writer.close()
        assert [line[:3] for line in said.splitlines()] == [b"220", b"250", b"250", b"250", b"354", b"250", b"250", b"500", b"554", b"503", b"221"]
        await sink.until(9)
        await sink.stop()
        return sink

    taken = asyncio.run(twice()).report()
    assert (taken.messages, taken.distinct, taken.duplicates, taken.untold) == (9, 4, 4, 1)


def test_without_tokens_nothing_is_remembered() -> None:
    _, taken = exchange({"messages": 5}, {"tokens": False})
    assert (taken.messages, taken.distinct, taken.untold) == (5, 0, 5)


def test_content_of_many_pieces_is_taken_whole() -> None:
    for manner in ({}, {"chunking": True}):
        sent, taken = exchange({"messages": 2, "size": fixed(3_000_000), **manner})
        assert taken.octets == sent.octets == 6_000_000


def test_nobody_there_is_an_error_and_given_up_soon() -> None:
    sent, _ = exchange({"target": Target("", 0, "/nonexistent/socket"), "messages": 1_000, "sessions": 2})
    assert sent.connections == 0
    assert sent.failed == sent.begun < 20
    assert sent.errors == {"cannot connect: No such file or directory": sent.begun}


@pytest.mark.parametrize("greeting", [b"hello\r\n", b"2x0 hello\r\n", b"220 " + b"x" * 5_000])
def test_what_is_no_reply_ends_the_session(greeting: bytes) -> None:
    with Peer({"CONNECT": [raw(greeting)]}) as peer:
        sent, _ = exchange({"target": Target("127.0.0.1", peer.port)})
    assert sent.failed == 1
    assert [error.partition(" at ")[0] for error in sent.errors] == ["an endless reply line" if len(greeting) > 100 else "no reply but nonsense"]


def test_a_reply_behind_the_220_to_starttls_is_not_believed(smx_pki: Pki) -> None:
    with Peer({"EHLO": [raw(b"250-x\r\n250 STARTTLS\r\n")], "STARTTLS": [raw(b"220 go\r\n250 injected\r\n")]}) as peer:
        sent, _ = exchange({"target": Target("127.0.0.1", peer.port), "tls": smx_pki.client_context()})
    assert sent.failed == 1
    assert set(sent.errors) <= {"a reply was injected before TLS", "TLS: the connection is gone"}


def test_an_idle_session_that_the_server_closes_is_opened_again() -> None:
    async def run() -> None:
        def close() -> None:
            for session in list(sink.sessions):
                session.abort()

        def on_message(sender: bytes, recipients: list[bytes], content: bytes) -> None:
            asyncio.get_running_loop().call_later(0.02, close)

        sink = Sink(SinkOptions(target=ANYWHERE), on_message=on_message)

        await sink.start()
        sent, _ = await meet({"target": sink.target, "messages": 3, "rate": 10.0, "arrivals": "constant", "keep": 0})
        await sink.stop()
        assert sent.acknowledged == sent.connections == 3
        assert set(sent.errors) <= {"closed by the server while idle"}

    asyncio.run(run())


def test_a_server_that_ends_a_kept_session_between_two_messages_costs_none() -> None:
    with Peer({"MAIL": [None, None, reply("421 4.7.0 Enough"), None, reply("421 4.7.0 Enough")]}) as peer:
        sent, _ = exchange({"target": Target("127.0.0.1", peer.port), "messages": 5, "keep": 0})
    assert sent.acknowledged == 5
    assert sent.errors == {"closed by 421 between two messages": 2}
    assert sent.connections == 3


def test_faults_in_the_quit_of_a_kept_session_harm_no_message() -> None:
    sent, taken = exchange({"messages": 20, "keep": 5, "faults": (Fault("vanish", "quit", 0.5),)})
    assert sent.acknowledged == taken.distinct == 20
    assert 0 < sent.faults["vanish@quit"] <= 4
