"""A whole MTA as processes: mail flows, QMGR may die, and with users of their own the processes still work together."""

import json
import os
import shutil
import signal
import smtplib
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from smx.config.schema import ListenSocket, Settings, SmtpsSettings
from tests.supervisor.running import Running, interpreter_for_all, running, settings

ORDER = ("smtps.mx", "qmgr", "smar", "smtpc", "lda")


@pytest.fixture
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="smx-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


def whole(directory: Path, *, user: str = "", smtps_user: str = "", group: str = "") -> Settings:
    server = SmtpsSettings(
        name="mx",
        hostname="mx.example.org",
        spool=str(directory / "spool"),
        user=smtps_user,
        listen_socket=(ListenSocket(port=0),),
        relay_from=("127.0.0.0/8",),
    )
    return settings(directory / "spool", ORDER, user=user, group=group, smtps=(server,))


def send(mta: Running, number: int) -> None:
    """One message, acknowledged; a client tries again after 4yz."""
    (row,) = json.loads(Path(mta.settings.spool, "listeners.json").read_text())["listeners"]

    def accepted() -> bool:
        with smtplib.SMTP(row["host"], row["port"], timeout=20) as smtp:
            smtp.ehlo_or_helo_if_needed()
            codes = [smtp.mail("me@example.org")[0], smtp.rcpt("joe@example.org")[0]]
            if codes == [250, 250]:
                codes.append(smtp.data(f"Subject: {number}\r\n\r\nhello {number}\r\n")[0])
        assert max(codes) < 500
        return max(codes) < 400

    mta.wait(accepted)


def wait_mail(mta: Running, numbers: set[int]) -> None:
    box = Path(mta.settings.spool, "maildirs", "joe", "new")

    def subjects() -> list[int]:
        texts = [path.read_text() for path in box.iterdir()] if box.is_dir() else []
        return [int(text.partition("Subject: ")[2].split()[0]) for text in texts]

    mta.wait(lambda: set(subjects()) >= numbers)
    assert sorted(subjects()) == sorted(numbers)


def wait_serving(mta: Running, times: int) -> None:
    for process in ("lda", "smtpc.0", "smar", "qmgr", "smtps.mx.0"):
        if process != "lda":
            mta.wait_process_ready(process, times)


@pytest.mark.feature("SX01")
@pytest.mark.feature("SX05")
def test_mail_flows_before_and_after_the_death_of_qmgr_and_its_dependants_restart(directory: Path) -> None:
    with running(whole(directory), directory) as mta:
        wait_serving(mta, 1)
        assert mta.launched() == ["lda", "smtpc.0", "smar", "qmgr", "smtps.mx.0"]
        send(mta, 1)
        wait_mail(mta, {1})
        os.kill(mta.pid_of("qmgr"), signal.SIGKILL)
        wait_serving(mta, 2)
        assert mta.launched()[5:] == ["qmgr", "smtpc.0", "smar", "smtps.mx.0"]
        send(mta, 2)
        wait_mail(mta, {1, 2})
        assert mta.end() == (0, "")
        assert [line["of_process"] for line in mta.lines("exited")][-5:] == ["smtps.mx.0", "qmgr", "smar", "smtpc.0", "lda"]


@pytest.mark.feature("SX04")
@pytest.mark.parametrize("process", ["smtps.mx.0", "smar", "smtpc.0", "lda"])
def test_mail_flows_again_when_a_process_came_back(directory: Path, process: str) -> None:
    with running(whole(directory), directory) as mta:
        wait_serving(mta, 1)
        os.kill(mta.pid_of(process), signal.SIGKILL)
        mta.wait_process_ready(process, 2)
        send(mta, 1)
        wait_mail(mta, {1})
        assert mta.end()[0] == 0


needs_users = pytest.mark.skipif(os.geteuid() != 0 or not interpreter_for_all(), reason="needs root, and a Python that other users can run")


@contextmanager
def several_users(directory: Path) -> Iterator[Running]:
    """A running MTA whose processes have users of their own."""
    some = whole(directory, user="daemon", smtps_user="nobody", group="mail")
    with running(some, directory, interpreter_for_all() or sys.executable) as mta:
        wait_serving(mta, 1)
        yield mta


@needs_users
@pytest.mark.feature("SX02")
def test_processes_of_different_users_deliver_mail(directory: Path) -> None:
    with several_users(directory) as mta:
        send(mta, 1)
        wait_mail(mta, {1})
        assert mta.end()[0] == 0


@needs_users
@pytest.mark.feature("SX02")
def test_qmgr_removes_the_content_that_another_user_wrote(directory: Path) -> None:
    with several_users(directory) as mta:
        send(mta, 1)
        wait_mail(mta, {1})
        assert mta.end() == (0, "")
        assert {line["status"] for line in mta.lines("exited")} == {0}
