"""Child processes as MCP starts them: readiness, signals, the end of MCP, locks, exit statuses."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from smx import codec
from smx.config.schema import LdaSettings, LogSettings, QmgrSettings, SmarSettings, SmtpcSettings, SmtpsSettings
from smx.config.schema_smtps import TlsSettings
from smx.live import queue_lock
from smx.live.child_spec import ChildSpec, Handed, command, read_spec
from smx.live.listeners import bind, is_alive
from smx.live.replay import replay
from smx.live.segments import file_name
from smx.qmgr.records import LOG_VERSION, Header, encode_record, kind_of

PATIENCE_S = 20
Part = QmgrSettings | LdaSettings | SmtpcSettings | SmtpsSettings | SmarSettings


@pytest.fixture
def spool(tmp_path: Path) -> str:
    for part in ("run", "mcp", "ibdb", "cdb", "defedb", "rec"):
        (tmp_path / part).mkdir()
    return str(tmp_path)


class Launched:
    """A running child; `life` is what MCP holds open."""

    def __init__(self, popen: subprocess.Popen[str], life: int, status: int) -> None:
        self.popen = popen
        self.life = life
        self._status = status

    def heard(self) -> bytes:
        """What it said about its readiness: b"" when it ended without a word."""
        return os.read(self._status, 100)

    def end(self) -> tuple[int, str]:
        _, errors = self.popen.communicate(timeout=PATIENCE_S)
        return self.popen.returncode, errors


@contextmanager
def launched(spool: str, process: str, settings: Part, listeners: tuple[Handed, ...] = ()) -> Iterator[Launched]:
    life_read, life_write = os.pipe()
    status_read, status_write = os.pipe()
    kind = process.partition(".")[0]
    log = msgspec.msgpack.encode(LogSettings(file=f"{spool}/log"))
    spec = ChildSpec(kind, process, 77, 5, msgspec.msgpack.encode(settings), log, spool, listeners, life_read, status_write, f"{spool}/rec")
    argv, spec_fd = command(spec)
    keep = (spec_fd, life_read, status_write, *(handed.fd for handed in listeners))
    popen = subprocess.Popen(argv, pass_fds=keep, stderr=subprocess.PIPE, text=True)
    for descriptor in (spec_fd, life_read, status_write):
        os.close(descriptor)
    child = Launched(popen, life_write, status_read)
    try:
        yield child
    finally:
        if popen.poll() is None:
            popen.kill()
        popen.communicate(timeout=PATIENCE_S)
        os.close(status_read)
        if child.life >= 0:
            os.close(child.life)


def test_a_spec_is_read_back_as_it_was_given() -> None:
    spec = ChildSpec("lda", "lda", 1, 2, b"\xff", b"", "/spool", (Handed("lda:0", 7, "/x", 0),), 3, 4)
    argv, descriptor = command(spec)
    assert argv[1:4] == ["-m", "smx.live.child", "lda"]
    assert read_spec(descriptor) == spec


def test_a_child_says_ready_serves_its_socket_and_ends_in_order_at_sigterm(spool: str) -> None:
    path = f"{spool}/run/lda"
    with bind(path, 0) as listener:
        os.set_inheritable(listener.fileno(), True)
        with launched(spool, "lda", LdaSettings(spool=spool, socket=path), (Handed("lda:0", listener.fileno(), path, 0),)) as child:
            assert child.heard() == b"ready\n"
            assert is_alive(path)
            child.popen.send_signal(signal.SIGINT)  # MCP's business
            child.popen.send_signal(signal.SIGHUP)
            child.popen.send_signal(signal.SIGTERM)
            assert child.end() == (0, "")
    assert replay(f"{spool}/rec/lda.77.rec").identical
    assert '"note":"ready"' in Path(spool, "log").read_text()


def test_a_child_ends_when_mcp_is_gone(spool: str) -> None:
    with launched(spool, "smtpc.0", SmtpcSettings(spool=spool)) as child:
        assert child.heard() == b"ready\n"
        os.close(child.life)
        child.life = -1
        assert child.end() == (0, "")


def test_a_killed_child_leaves_a_recording_that_replays(spool: str) -> None:
    with launched(spool, "qmgr", QmgrSettings(spool=spool, ibdb_segment_octets=65536)) as child:
        assert child.heard() == b"ready\n"
        child.popen.kill()
        child.end()
    report = replay(f"{spool}/rec/qmgr.77.rec")
    assert report.identical, report.render()
    assert report.steps > 3


def test_a_second_qmgr_is_refused_and_says_who_holds_the_queue(spool: str) -> None:
    """F22."""
    held = queue_lock.take(spool)
    with launched(spool, "qmgr", QmgrSettings(spool=spool)) as child:
        assert child.heard() == b""
        status, errors = child.end()
    os.close(held)
    assert status == 69
    assert str(os.getpid()) in errors


def test_a_socket_in_use_is_said(spool: str) -> None:
    with bind(f"{spool}/run/smar.sock", 0), launched(spool, "smar", SmarSettings(spool=spool)) as child:
        status, errors = child.end()
    assert status == 69
    assert "smar.sock" in errors


def test_a_certificate_that_cannot_be_used_is_said_with_its_own_status(spool: str) -> None:
    Path(spool, "bad.pem").write_text("no certificate")
    with launched(spool, "smtps.mx.0", SmtpsSettings(spool=spool, tls=TlsSettings(f"{spool}/bad.pem"))) as child:
        status, _ = child.end()
    assert status == 78


def test_a_component_that_halts_by_itself_ends_with_its_reason(spool: str) -> None:
    """A16: an envelope log that a newer smx wrote."""
    header = Header(LOG_VERSION + 1, 1, 70)
    Path(spool, "ibdb", file_name("ibdb", 1)).write_bytes(codec.encode(kind_of(header), encode_record(header), 1, 0))
    with launched(spool, "qmgr", QmgrSettings(spool=spool)) as child:
        status, errors = child.end()
    assert status == 75
    assert "qmgr halted: " in errors
    assert '"note":"halted"' in Path(spool, "log").read_text()


def test_a_bug_ends_the_child_with_a_traceback(spool: str) -> None:
    with launched(spool, "qmgr", LdaSettings(spool=spool)) as child:  # settings of another process: they do not decode
        status, errors = child.end()
    assert status != 0
    assert "Traceback" in errors
