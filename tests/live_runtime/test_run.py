"""`smx run` as people start it: what it prints, how it stops, what it says when something is in the way."""

import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live_runtime.puppet import wait_until
from tests.live_runtime.test_embedded import CONFIG

PATIENCE_S = 30


def config(directory: Path, port: int = 0) -> str:
    path = directory / "smx.conf"
    path.write_text(CONFIG.format(directory=directory, next_hop=9, qmgr="").replace("port = 0", f"port = {port}"))
    return str(path)


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The process and what it printed until it was ready."""
    popen = subprocess.Popen([sys.executable, "-m", "smx", "run", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert popen.stdout is not None
    try:
        printed: list[str] = []
        while not printed or "Ctrl-C" not in printed[-1]:
            line = popen.stdout.readline()
            assert line, (printed, popen.communicate(timeout=PATIENCE_S))
            printed.append(line.strip())
        yield popen, printed
    finally:
        if popen.poll() is None:
            popen.kill()
        popen.communicate(timeout=PATIENCE_S)


def said(*arguments: str) -> tuple[int, str]:
    """Exit status and standard error of a run that cannot begin."""
    done = subprocess.run([sys.executable, "-m", "smx", "run", *arguments], capture_output=True, text=True, timeout=PATIENCE_S)
    return done.returncode, done.stderr


@pytest.mark.parametrize("mode", [["--embedded"], []], ids=["embedded", "processes"])
def test_it_tells_what_to_try_what_it_tells_works_and_ctrl_c_stops_it_in_order(tmp_path: Path, mode: list[str]) -> None:
    path = config(tmp_path)
    with running("--config", path, "--record", str(tmp_path / "rec"), *mode) as (popen, printed):
        assert "smtps.mx.0" in printed[0]
        (one_liner,) = [line for line in printed if line.startswith("python3 ")]
        subprocess.run([sys.executable, *shlex.split(one_liner)[1:]], check=True, timeout=PATIENCE_S)
        maildir = tmp_path / "spool/maildirs/postmaster/new"
        wait_until(lambda: maildir.is_dir() and len(list(maildir.iterdir())) == 1)
        (listing,) = [line for line in printed if line.endswith(f"smx queue ls --config {path}")]
        shown = subprocess.run(listing, shell=True, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
        assert shown.stdout == "nothing in the queue\n"
        status, errors = said("--config", path, *mode)
        assert (status, str(popen.pid) in errors) == (75, True)
        popen.send_signal(signal.SIGINT)
        assert popen.wait(PATIENCE_S) == 0
        assert popen.stderr is not None
        assert popen.stderr.read() == ""
    assert {file.name.split(".")[0] for file in (tmp_path / "rec").iterdir()} >= {"qmgr", "smtps", "smtpc", "smar", "lda"}


def test_a_port_in_use_is_said_plainly(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, errors = said("--embedded", "--config", config(tmp_path, port))
    assert status == 69
    assert errors == f"smx: 127.0.0.1:{port} is in use by another program: stop that one, or choose another in listen_socket\n"


def test_a_configuration_that_is_wrong_is_said_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "smx.conf"
    path.write_text("hostname = ;")
    status, errors = said("--embedded", "--config", str(path))
    assert status == 78
    assert f"{path}:1:" in errors
