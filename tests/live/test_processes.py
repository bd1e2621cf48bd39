"""Processes under MCP: one file starts them, the dead ones come back, the order is that of the file, and only MCP is root (SX01-SX07, SX32)."""

import asyncio
import contextlib
import os
import pwd
import resource
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.eventlog import Line
from tests.live.client import Session, connect
from tests.live.installation import Installation, Layout
from tests.live.traffic import LOCAL
from tests.live.watcher import Watcher

TIMEOUT_S = 20.0
DESCRIPTORS = 4096
SENDER = f"sender@{LOCAL}"
ALICE = f"alice@{LOCAL}"
PROCESSES = ("mcp", "smar", "lda", "smtpc.0", "qmgr", "smtps.mx.0")


def send(installation: Installation, subject: str) -> None:
    """One message to Alice; returns when it is in her Maildir."""
    with smtplib.SMTP("127.0.0.1", installation.port, timeout=TIMEOUT_S) as client:
        client.sendmail(SENDER, [ALICE], f"Subject: {subject}\r\n\r\nHello\r\n".encode())
    installation.wait(lambda: any(f"Subject: {subject}".encode() in mail for mail in installation.mail("alice")), TIMEOUT_S, f"{subject} did not arrive")


def send_in_the_end(installation: Installation, subject: str) -> None:
    """The same while processes are being started again: refused with 4yz or not at all, a client tries again."""

    def taken() -> bool:
        try:
            with smtplib.SMTP("127.0.0.1", installation.port, timeout=TIMEOUT_S) as client:
                client.sendmail(SENDER, [ALICE], f"Subject: {subject}\r\n\r\nHello\r\n".encode())
        except (OSError, smtplib.SMTPException):
            return False
        return True

    installation.wait(taken, TIMEOUT_S, f"{subject} was not taken")
    installation.wait(lambda: any(f"Subject: {subject}".encode() in mail for mail in installation.mail("alice")), TIMEOUT_S, f"{subject} did not arrive")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One smx for the tests that only look at it or kill its children."""
    with Installation(tmp_path_factory.mktemp("processes"), Layout()) as installation:
        installation.start()
        installation.wait_ready()
        yield installation


def healthy(installation: Installation) -> Watcher:
    """Everybody lives and is ready; gives who that is."""
    watcher = Watcher(installation, PROCESSES)

    def looks_well() -> bool:
        watcher.poll()
        return watcher.healthy

    installation.wait(looks_well, TIMEOUT_S, "not healthy")
    return watcher


@pytest.mark.feature("SX01")
def test_mcp_alone_is_started_and_all_modules_come_up(running: Installation) -> None:
    watcher = healthy(running)
    assert set(watcher.alive) == set(PROCESSES)
    send(running, "all modules")


@pytest.mark.feature("SX04")
@pytest.mark.parametrize("process", [process for process in PROCESSES if process != "mcp"])
def test_a_module_that_is_killed_comes_back_and_service_goes_on(running: Installation, process: str) -> None:
    watcher = healthy(running)
    before = watcher.alive[process]
    assert watcher.kill([process])
    send_in_the_end(running, f"after {process} {before[0]}")
    after = healthy(running).alive[process]
    assert after[0] != before[0]
    assert after[1] > before[1]  # a new epoch (A11)


@pytest.mark.feature("SX05")
def test_with_qmgr_those_who_depend_on_it_restart_and_the_others_do_not(running: Installation) -> None:
    watcher = healthy(running)
    before = dict(watcher.alive)
    watcher.kill(["qmgr"])
    running.wait(lambda: any(line.values.get("of_pid") == before["qmgr"][0] for line in running.notes("exited")), TIMEOUT_S, "QMGR does not end")
    after = healthy(running).alive
    changed = {process for process in PROCESSES if after[process] != before[process]}
    assert changed == {"qmgr", "smar", "smtpc.0", "smtps.mx.0"}
    gone_at = {line.number("of_pid"): line.at for line in running.notes("exited")}
    launched_at = {line.number("of_pid"): line.at for line in running.notes("launched")}
    last_end = max(gone_at[before[process][0]] for process in changed)
    assert launched_at[after["qmgr"][0]] >= last_end  # a new QMGR only after the old one and its dependants are known dead
    send(running, f"after dependencies {before['qmgr'][0]}")


def test_a_second_smx_on_the_same_spool_says_who_runs_there(running: Installation) -> None:
    assert running.mcp is not None
    second = Installation(running.directory.parent / "second", Layout(port=running.port))
    second.config.write_text(running.config.read_text())
    second.start()
    assert second.mcp is not None
    assert second.mcp.wait(TIMEOUT_S) == 75
    assert str(running.mcp.pid) in second.said()


def order_of(lines: list[Line], note: str) -> list[str]:
    """Sections in the order of a note of MCP's."""
    names = [line.text("of_process") for line in lines if line.note == note and line.process == "mcp"]
    return [name.partition(".")[0] for name in names]


@pytest.mark.feature("SX06")
@pytest.mark.parametrize("order", [("smtps", "qmgr", "smtpc", "lda", "smar"), ("lda", "smar", "smtps", "smtpc", "qmgr")])
def test_modules_start_in_reverse_order_of_the_file_and_stop_in_its_order(tmp_path: Path, order: tuple[str, ...]) -> None:
    with Installation(tmp_path, Layout(order=order)) as installation:
        installation.start()
        installation.wait_ready()
        send(installation, "in order")
        assert installation.stop() == 0
        lines = installation.lines()
    assert order_of(lines, "launched") == list(reversed(order))
    assert order_of(lines, "exited") == list(order)
    assert all(line.number("status") == 0 for line in lines if line.note == "exited")


@pytest.mark.feature("SX07")
@pytest.mark.parametrize("order", [("smar", "qmgr", "smtpc", "lda", "smtps"), ("qmgr", "smar", "lda", "smtpc", "smtps")])
def test_modules_that_start_in_a_bad_order_converge(tmp_path: Path, order: tuple[str, ...]) -> None:
    """SMTPS first: it has to wait for QMGR and SMAR; its clients wait in the kernel's backlog."""
    with Installation(tmp_path, Layout(order=order)) as installation:
        installation.start()
        installation.wait_ready()
        send(installation, "converged")
        lines = installation.lines()
        assert installation.stop() == 0
    ready = {line.process: line.at for line in lines if line.note == "ready"}
    assert ready["smtps.mx.0"] > max(ready["qmgr"], ready["smar"])
    assert not [line for line in lines if line.note == "restarting"]


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Each session costs one here and one in a server, which inherits the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < DESCRIPTORS:
        pytest.skip(f"a process may open {hard} files at most here, {DESCRIPTORS} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.feature("SX32")
@pytest.mark.usefixtures("many_descriptors")
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_many_sessions_share_one_two_or_four_server_processes(tmp_path: Path, processes: int) -> None:
    """2,000 sessions are open at once, and each of the processes has some of them."""
    sessions = 2000
    with Installation(tmp_path, Layout(smtps_processes=processes, smtps="sessions_max = 2100;")) as installation:
        installation.start()
        installation.wait_ready()
        names = tuple(f"smtps.mx.{number}" for number in range(processes))
        installation.wait(lambda: {line.process for line in installation.notes("ready")} >= set(names), TIMEOUT_S, "not all ready")

        async def scenario() -> None:
            gate = asyncio.Semaphore(100)

            async def one() -> Session:
                async with gate:
                    return await connect(installation.port)

            opened = await asyncio.gather(*(one() for _ in range(sessions)))
            for session in opened[:: sessions // 20]:
                await session.quit()
            for session in opened:
                session.close()

        asyncio.run(scenario())
        servers = [line.process for line in installation.notes("greeted")]
        assert len(servers) == sessions
        assert set(servers) == set(names)


# --- users

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may start processes under other users")
USERS = (("smtps", "daemon"), ("qmgr", "mail"), ("smtpc", "nobody"), ("smar", "games"), ("lda", "man"))
GROUP = "mail"


def as_everybody() -> tuple[str, ...]:
    """A command in front of smx that lets other users reach this interpreter, when it lies in a home that is closed to them.

    In a mount namespace of its own the closed directory is covered by an empty one, in which only the interpreter's prefix is seen.
    """
    prefix = Path(sys.base_prefix).resolve()
    closed = next((path for path in reversed(prefix.parents) if not path.stat().st_mode & 0o001), None)
    if closed is None:
        return ()
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip(f"other users cannot reach the interpreter in {prefix}, and no mount namespace can be made here")
    script = (
        'set -e; hold=$(mktemp -d); mount --bind "$1" "$hold"; mount -t tmpfs -o mode=755 tmpfs "$2"; mkdir -p "$1"; mount --move "$hold" "$1"; '
        'rmdir "$hold"; shift 2; exec "$@"'
    )
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(prefix), str(closed))


def privileged_port() -> int:
    for port in range(600, 1000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port below 1024")


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user may enter; those of pytest are closed."""
    directory = Path(tempfile.mkdtemp(prefix="smx-users-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def uids(pid: int) -> set[int]:
    """Real, effective, saved and file system uid of a process."""
    row = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Uid:"))
    return {int(uid) for uid in row.split()[1:]}


@root_only
@pytest.mark.feature("SX02", "SX03")
def test_only_mcp_is_root_and_a_server_without_rights_owns_a_port_below_1024(open_directory: Path) -> None:
    layout = Layout(users=USERS, group=GROUP, port=privileged_port())
    with Installation(open_directory, layout) as installation:
        installation.start(prefix=as_everybody(), same_process=True)
        installation.wait_ready()
        watcher = healthy(installation)
        found = {process: uids(pid) for process, (pid, _) in watcher.alive.items()}
        wanted = {process: {pwd.getpwnam(dict(USERS)[process.partition(".")[0]]).pw_uid} for process in PROCESSES if process != "mcp"}
        assert found == {**wanted, "mcp": {0}}
        assert installation.port < 1024
        send(installation, "without rights")
        watcher.kill(["smtps.mx.0"])
        send_in_the_end(installation, "without rights, again")
        assert uids(healthy(installation).alive["smtps.mx.0"][0]) == wanted["smtps.mx.0"]
        assert installation.stop() == 0
