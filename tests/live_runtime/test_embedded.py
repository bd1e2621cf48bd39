"""The whole MTA in one process, on real sockets and a real disk: mail goes through, nothing leaks, a recording replays."""

import os
import smtplib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from smx.config.load import load_text
from smx.config.schema import Settings
from smx.live.admin_link import AdminLink
from smx.live.embedded import Embedded
from smx.live.epoch_file import read_epoch
from smx.live.replay import replay
from smx.live.spool_lock import SpoolHeldError
from smx.messages import Filter, QueueList, QueueListed

CONFIG = """
hostname = "mx.example.org";
spool = "{directory}/spool";
log {{ file = "{directory}/smx.log"; level = debug; }}
smtps mx {{ listen_socket {{ type = inet; address = 127.0.0.1; port = 0; }} }}
qmgr {{ {qmgr} }}
smtpc {{ }}
lda {{ }}
smar {{ local_domains = {{ "example.org", "mx.example.org" }}; mailertable = {{ "example.net" = "[127.0.0.1]:{next_hop}"; }}; }}
"""
MESSAGE = "Subject: hello\r\n\r\nhello\r\n.dot\r\n"


def configured(directory: Path, *, next_hop: int = 9, qmgr: str = "") -> Settings:
    return load_text(CONFIG.format(directory=directory, next_hop=next_hop, qmgr=qmgr))


@pytest.fixture
def mta(tmp_path: Path) -> Iterator[Embedded]:
    with Embedded(configured(tmp_path), record=str(tmp_path / "rec"), encode=True) as running:
        yield running


def send(mta: Embedded, recipient: str, message: str = MESSAGE) -> bytes:
    with smtplib.SMTP("127.0.0.1", mta.ports["smtps.mx:0"], timeout=10) as client:
        client.ehlo("client.example.com")
        client.mail("alice@example.com")
        client.rcpt(recipient)
        code, text = client.data(message)
        assert code == 250
        return text


def in_maildir(directory: Path, user: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((directory / "spool/maildirs" / user / "new").iterdir())]


def test_local_mail_is_in_the_maildir(mta: Embedded, tmp_path: Path) -> None:
    send(mta, "bob@example.org")
    mta.wait_note("closed")
    (message,) = in_maildir(tmp_path, "bob")
    assert message.startswith(b"Return-Path: <alice@example.com>\r\nDelivered-To: bob@example.org\r\nReceived: from client.example.com")
    assert message.endswith(b"Subject: hello\r\n\r\nhello\r\n.dot\r\n")


def test_every_process_of_a_run_replays_to_identical_effects(tmp_path: Path) -> None:
    """BX25: encode and all."""
    with Embedded(configured(tmp_path, qmgr="cut_through = 0;"), record=str(tmp_path / "rec")) as mta:
        for number in range(5):
            send(mta, f"user{number}@example.org", MESSAGE * (1 + 20_000 * (number == 3)))  # one larger than what waits in memory
        for _ in range(5):
            mta.wait_note("closed")
        send(mta, "far@example.net")
        mta.wait_note("deferred")
    reports = [replay(str(path)) for path in sorted((tmp_path / "rec").iterdir())]
    assert [report.header.process for report in reports] == ["lda", "qmgr", "smar", "smtpc.0", "smtps.mx.0"]
    for report in reports:
        assert report.identical, report.render()
        assert report.steps > 5


def test_mail_that_waits_survives_a_kill_and_is_seen_by_the_tools_in_the_next_run(tmp_path: Path) -> None:
    """I1, I2 in small: 250 was said, the process is gone without a word, the message is there."""
    settings = configured(tmp_path, qmgr="cut_through = 0;")
    first = Embedded(settings).__enter__()
    send(first, "far@example.net")
    first.kill()
    with Embedded(settings) as mta, AdminLink(settings.spool) as link:
        answer = link.ask(QueueList(1, Filter()))
        assert isinstance(answer, QueueListed)
        assert [row.recipient for row in answer.rows] == [b"far@example.net"]
        assert mta.host.runners[0].epoch > first.host.runners[-1].epoch


def test_epochs_are_durable_before_they_are_used(mta: Embedded) -> None:
    """A11, SX29."""
    assert read_epoch(mta.settings.spool) >= max(runner.epoch for runner in mta.host.runners)
    assert len({runner.epoch for runner in mta.host.runners}) == len(mta.host.runners)


def test_a_second_one_on_the_same_spool_is_told_who_holds_it(mta: Embedded) -> None:
    """F22."""
    with pytest.raises(SpoolHeldError, match=str(os.getpid())):
        Embedded(mta.settings)


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = CONFIG.format(directory=tmp_path, next_hop=9, qmgr="").replace("port = 0", f"port = {port}")
        with pytest.raises(OSError, match=f"127.0.0.1:{port}"):
            Embedded(load_text(text))
    with Embedded(load_text(text)) as again:  # nothing was left behind by the failure
        assert again.ports == {"smtps.mx:0": port}


def test_it_is_ready_soon(tmp_path: Path) -> None:
    """The fixture of a test suite, with modules imported already: 0.05 s on a quiet machine, so 0.3 s of its own time leaves room."""
    with Embedded(configured(tmp_path / "first")):
        pass
    begun = time.process_time()
    with Embedded(configured(tmp_path / "second")):
        took = time.process_time() - begun
    assert took < 0.3, took


def test_starts_and_stops_leave_no_descriptor_open(tmp_path: Path) -> None:
    settings = configured(tmp_path)

    def run() -> int:
        with Embedded(settings) as mta:
            send(mta, "bob@example.org")
        return len(os.listdir("/proc/self/fd"))

    run()
    counts = [run() for _ in range(3)]
    assert counts[0] == counts[-1], counts


def test_an_orderly_stop_leaves_no_preallocated_space_in_the_content_store(tmp_path: Path) -> None:
    settings = configured(tmp_path, qmgr="cut_through = 0;")
    with Embedded(settings) as mta:
        send(mta, "far@example.net")
        mta.wait_note("deferred")
    (kept,) = (tmp_path / "spool/cdb").iterdir()
    assert 0 < kept.stat().st_size < 1000
    with Embedded(settings), AdminLink(settings.spool) as link:
        answer = link.ask(QueueList(1, Filter()))
        assert isinstance(answer, QueueListed)
        assert [row.recipient for row in answer.rows] == [b"far@example.net"]


def test_a_client_that_is_there_at_the_stop_is_told_and_the_stop_is_soon(tmp_path: Path) -> None:
    with Embedded(configured(tmp_path)) as mta:
        client = smtplib.SMTP("127.0.0.1", mta.ports["smtps.mx:0"], timeout=10)
        client.ehlo()
        begun = time.monotonic()
    assert time.monotonic() - begun < 3
    code, _ = client.getreply()
    assert code == 421
    client.close()
