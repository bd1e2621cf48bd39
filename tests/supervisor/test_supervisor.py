"""The supervisor with real processes: start, restart, stop, users, sockets, the lock of the spool."""

import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from smx.config.schema import ListenSocket, SmtpsSettings
from tests.supervisor.running import interpreter_for_all, is_alive, running, settings

ALL = {"smar", "smtpc.0", "lda"}


@pytest.fixture
def spool() -> Iterator[Path]:
    """A spool that other users can reach, with a short path."""
    directory = Path(tempfile.mkdtemp(prefix="smx-"))
    directory.chmod(0o711)
    yield directory / "spool"
    shutil.rmtree(directory)


@pytest.mark.feature("SX01")
@pytest.mark.feature("SX06")
def test_starts_in_reverse_order_and_stops_in_order(spool: Path) -> None:
    with running(settings(spool), spool.parent) as mta:
        mta.wait_ready()
        assert mta.launched() == ["lda", "smtpc.0", "smar"]
        assert mta.end() == (0, "")
        assert [line["of_process"] for line in mta.lines("exited")] == ["smar", "smtpc.0", "lda"]
        assert {line["status"] for line in mta.lines("exited")} == {0}
        assert not (spool / "listeners.json").exists()


@pytest.mark.feature("SX04")
@pytest.mark.parametrize("process", sorted(ALL))
def test_a_killed_process_comes_back(spool: Path, process: str) -> None:
    with running(settings(spool), spool.parent) as mta:
        mta.wait_ready()
        others = {name: pid for name, pid in mta.pids().items() if name != process}
        os.kill(mta.pid_of(process), signal.SIGKILL)
        mta.wait_process_ready(process, 2)
        assert {name: pid for name, pid in mta.pids().items() if name != process} == others
        epochs = [line["of_epoch"] for line in mta.lines("launched")]
        assert epochs == sorted(set(epochs))
        assert int((spool / "mcp" / "epoch").read_text()) >= epochs[-1]
        assert mta.end()[0] == 0


@pytest.mark.feature("SX05")
def test_dependants_restart_with_it(spool: Path) -> None:
    with running(settings(spool, smar_dependants=("smtpc",)), spool.parent) as mta:
        mta.wait_ready()
        os.kill(mta.pid_of("smar"), signal.SIGKILL)
        mta.wait_process_ready("smtpc.0", 2)
        assert mta.launched()[3:] == ["smar", "smtpc.0"]
        exited = [line["of_process"] for line in mta.lines("exited")]
        assert exited == ["smar", "smtpc.0"]


def test_a_second_smx_says_who_holds_the_spool(spool: Path) -> None:
    with running(settings(spool), spool.parent) as mta:
        mta.wait_ready()
        with running(settings(spool), spool.parent) as second:
            status, error = second.finish()
        assert status == 75
        assert f"process id {mta.process.pid}" in error
        assert str(spool) in error
        assert mta.process.poll() is None


def test_the_children_of_a_killed_supervisor_end_and_a_new_one_starts_after_them(spool: Path) -> None:
    with running(settings(spool), spool.parent) as mta:
        mta.wait_ready()
        old = mta.pids()
        mta.process.kill()
        with running(settings(spool), spool.parent) as again:
            again.wait_ready()
            assert not any(is_alive(pid) for pid in old.values())
            assert again.end()[0] == 0
            epochs = [line["of_epoch"] for line in again.lines("launched")]
            assert epochs == sorted(set(epochs))


def test_interrupted_twice_it_does_not_wait(spool: Path) -> None:
    with running(settings(spool), spool.parent) as mta:
        mta.wait_ready()
        for pid in mta.pids().values():
            os.kill(pid, signal.SIGSTOP)  # they do not hear TERM
        mta.process.send_signal(signal.SIGINT)
        mta.wait(lambda: mta.lines("stopping"))
        assert mta.end(signal.SIGINT)[0] == 0
        assert {line["status"] for line in mta.lines("exited")} == {-9}


def test_a_socket_in_use_ends_it_before_anything_runs(spool: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = SmtpsSettings(name="mx", spool=str(spool), listen_socket=(ListenSocket(port=port),))
        with running(settings(spool, ("smtps.mx", "smar"), smtps=(server,)), spool.parent) as mta:
            status, error = mta.finish()
            assert status == 71
            assert error == f"smx: cannot listen on 127.0.0.1 port {port} (smtps.mx): Address already in use\n"
            assert mta.launched() == []


def test_where_mail_is_taken_stands_in_a_file(spool: Path) -> None:
    sockets = (ListenSocket(port=0), ListenSocket(type="unix", path=f"{spool}/run/submit"))
    server = SmtpsSettings(name="mx", spool=str(spool), listen_socket=sockets)
    with running(settings(spool, ("smtps.mx", "lda"), smtps=(server,)), spool.parent) as mta:
        mta.wait_process_ready("lda", 1)
        found = json.loads((spool / "listeners.json").read_text())
        assert (found["pid"], found["hostname"]) == (mta.process.pid, "mx.example.org")
        tcp, unix = found["listeners"]
        assert unix == {"name": "smtps.mx:1", "protocol": "smtp", "path": f"{spool}/run/submit"}
        with socket.create_connection((tcp["host"], tcp["port"]), timeout=5):
            pass
        assert (spool / "run" / "submit").stat().st_mode & 0o777 == 0o660


def test_logs_are_opened_anew_at_sighup(spool: Path) -> None:
    with running(settings(spool), spool.parent) as mta:
        mta.wait_ready()
        log = spool / "log" / "smx.log"
        log.rename(spool / "log" / "old")
        mta.process.send_signal(signal.SIGHUP)
        mta.wait(log.exists)
        os.kill(json.loads((spool / "log" / "old").read_text().splitlines()[-1])["pid"], 0)
        assert mta.end()[0] == 0
        assert {line["of_process"] for line in mta.lines("exited")} == ALL


@pytest.mark.skipif(os.geteuid() != 0 or not interpreter_for_all(), reason="needs root, and a Python that other users can run")
@pytest.mark.feature("SX02")
@pytest.mark.feature("SX03")
def test_children_run_as_their_users_and_own_a_privileged_port(spool: Path) -> None:
    port = _free_privileged_port()
    server = SmtpsSettings(name="mx", spool=str(spool), user="nobody", listen_socket=(ListenSocket(port=port),))
    some = settings(spool, ("smtps.mx", "smar", "smtpc", "lda"), user="daemon", group="mail", smtps=(server,))
    with running(some, spool.parent, interpreter_for_all()) as mta:
        mta.wait(lambda: "smtps.mx.0" in mta.pids())
        mta.wait_process_ready("smar", 1)
        pids = mta.pids()
        assert _uid(mta.process.pid) == 0
        assert {process: _uid(pid) for process, pid in pids.items()} == {"smtps.mx.0": 65534, "smar": 1, "smtpc.0": 1, "lda": 1}
        assert all("mail" in _groups(pid) for pid in pids.values())
        sockets = {os.readlink(link) for link in Path(f"/proc/{pids['smtps.mx.0']}/fd").iterdir() if link.is_symlink()}
        assert f"socket:[{_inode_of_port(port)}]" in sockets
        assert mta.end()[0] == 0


def test_a_damaged_epoch_file_is_no_start(spool: Path) -> None:
    (spool / "mcp").mkdir(parents=True)
    (spool / "mcp" / "epoch").write_text("17")
    with running(settings(spool), spool.parent) as mta:
        status, error = mta.finish()
        assert status == 71
        assert "does not hold an epoch" in error


def test_an_epoch_that_cannot_be_saved_is_saved_later_and_never_runs_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from smx.effects import SaveEpoch
    from smx.events import EpochSaved
    from smx.live import supervisor

    full = True
    written: list[int] = []
    again: list[SaveEpoch] = []
    said: list[object] = []

    def save(spool: str, epoch: int) -> None:
        if full:
            raise OSError(28, "No space left on device")
        written.append(epoch)

    class Loop:
        @staticmethod
        def call_later(delay_s: float, function: object, effect: SaveEpoch) -> None:
            again.append(effect)

    class Runner:
        loop = Loop()
        note = staticmethod(said.append)
        deliver = staticmethod(said.append)

    monkeypatch.setattr(supervisor, "save_epoch", save)
    device = object.__new__(supervisor.Supervision)
    device._runner, device._settings, device._saved_epoch = Runner(), settings(Path("/x")), 4  # type: ignore[assignment]
    device.save_epoch(SaveEpoch(5))
    assert again == [SaveEpoch(5)]
    full = False
    device.save_epoch(SaveEpoch(6))
    device.save_epoch(again[0])
    assert written == [6]
    assert said[1:] == [EpochSaved(6), EpochSaved(5)]


def test_users_are_ignored_without_root_but_said(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from smx.effects import Launch
    from smx.live.supervisor import Supervision

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: type("Account", (), {"pw_name": "me"}))
    notes: list[object] = []

    class Runner:
        note = staticmethod(notes.append)

    supervision = object.__new__(Supervision)
    supervision._runner = Runner()  # type: ignore[assignment]
    supervision._users_refused = False
    for _ in range(2):
        assert supervision._identity(Launch("smar", "smar", 1, "smxr", ())) == {}
    assert len(notes) == 1


def _free_privileged_port() -> int:
    for port in range(700, 1000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port below 1024")


def _uid(pid: int) -> int:
    return int(_status(pid, "Uid")[0])


def _groups(pid: int) -> set[str]:
    import grp

    return {grp.getgrgid(int(gid)).gr_name for gid in [*_status(pid, "Groups"), _status(pid, "Gid")[0]]}


def _status(pid: int, field: str) -> list[str]:
    return next(line.split()[1:] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(field + ":"))


def _inode_of_port(port: int) -> str:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return next(row[9] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A")
