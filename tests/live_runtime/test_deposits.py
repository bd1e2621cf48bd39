"""Maildir deposits on a real directory, and on a disk that fails."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from smx.effects import CommitDeposit, DropDeposit, OpenDeposit, WriteDeposit
from smx.events import Deposited, DepositFailed
from smx.live.deposits import Deposits
from smx.live.disk import Disk
from smx.live.runner import Runner
from tests.live_runtime.puppet import Puppet, hosted


class Traced(Disk):
    """Remembers what was done in which order; fails where told to."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fail: dict[str, int] = {}

    def _say(self, call: str) -> None:
        self.calls.append(call)
        if call in self.fail:
            raise OSError(self.fail[call], os.strerror(self.fail[call]))

    def fsync(self, descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        self._say("sync " + "/".join(path.split("/")[-2:]))
        os.fsync(descriptor)

    def rename(self, old: str, new: str) -> None:
        self._say("rename " + "/".join(new.split("/")[-2:]))
        os.rename(old, new)

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        self._say("write")
        return super().pwrite(descriptor, data, offset)


def maildirs(disk: Disk | None = None) -> Callable[[Runner], None]:
    return lambda runner: runner.attach(Deposits(runner, disk))


def files(maildir: Path) -> list[str]:
    return sorted(f"{path.parent.name}/{path.name}" for path in maildir.rglob("*") if path.is_file())


def test_a_message_is_whole_and_private_in_new(tmp_path: Path) -> None:
    bob = tmp_path / "bob"
    puppet = Puppet()
    with hosted((puppet, maildirs())):
        puppet.order(OpenDeposit(1, str(bob), "m1"), WriteDeposit(1, b"Return-Path: <>\r\n"), WriteDeposit(1, b"\r\nhello\r\n"))
        assert files(bob) == ["tmp/m1"]
        puppet.order(CommitDeposit(1))
        assert puppet.wait(Deposited) == [Deposited(1)]
    assert (bob / "new/m1").read_bytes() == b"Return-Path: <>\r\n\r\nhello\r\n"
    assert files(bob) == ["new/m1"]
    assert (bob / "new/m1").stat().st_mode & 0o777 == 0o600
    assert {part.name: part.stat().st_mode & 0o777 for part in bob.iterdir()} == {"cur": 0o700, "new": 0o700, "tmp": 0o700}


def test_file_then_directories_then_rename_then_new_are_synced(tmp_path: Path) -> None:
    """A crash between any two of these leaves the message whole in new/ or not there at all."""
    disk = Traced()
    puppet = Puppet()
    with hosted((puppet, maildirs(disk))):
        puppet.order(OpenDeposit(1, str(tmp_path / "bob"), "m1"), WriteDeposit(1, b"x"), CommitDeposit(1))
        puppet.wait(Deposited)
    assert disk.calls[:2] == ["write", "sync tmp/m1"]
    assert disk.calls[-2:] == ["rename new/m1", "sync bob/new"]
    names = disk.calls[2:-2]  # of every directory from the root down: none of them is known to be durable (F5)
    assert sorted(names) == sorted(f"sync {'/'.join(path.parts[-2:])}".replace("//", "/") for path in (tmp_path / "bob", *(tmp_path / "bob").parents))


def test_commits_that_come_together_share_the_directory_sync(tmp_path: Path) -> None:
    disk = Traced()
    puppet = Puppet()
    many = range(50)
    with hosted((puppet, maildirs(disk))):
        for number in many:
            puppet.order(OpenDeposit(number, str(tmp_path / "bob"), f"m{number}"), WriteDeposit(number, b"x"))
        puppet.order(*(CommitDeposit(number) for number in many))
        puppet.wait(Deposited, len(many))
    assert disk.calls.count("sync bob/new") < len(many) / 2
    assert len(files(tmp_path / "bob")) == len(many)


def test_a_dropped_deposit_leaves_nothing(tmp_path: Path) -> None:
    puppet = Puppet()
    with hosted((puppet, maildirs())):
        puppet.order(OpenDeposit(1, str(tmp_path / "bob"), "m1"), WriteDeposit(1, b"x"), DropDeposit(1))
    assert files(tmp_path / "bob") == []


def test_what_is_open_when_the_process_stops_leaves_nothing(tmp_path: Path) -> None:
    puppet = Puppet()
    with hosted((puppet, maildirs())):
        puppet.order(OpenDeposit(1, str(tmp_path / "bob"), "m1"), WriteDeposit(1, b"x"))
    assert files(tmp_path / "bob") == []


@pytest.mark.parametrize("call", ["write", "sync tmp/m1", "sync bob/new", "rename new/m1"])
@pytest.mark.parametrize(("code", "no_space"), [(errno.ENOSPC, True), (errno.EIO, False)])
def test_whatever_fails_nothing_stays_in_new_and_the_failure_is_said_once(tmp_path: Path, call: str, code: int, no_space: bool) -> None:
    disk = Traced()
    disk.fail[call] = code
    puppet = Puppet()
    with hosted((puppet, maildirs(disk))):
        puppet.order(OpenDeposit(1, str(tmp_path / "bob"), "m1"), WriteDeposit(1, b"x"), WriteDeposit(1, b"y"), CommitDeposit(1))
        (failed,) = puppet.wait(DepositFailed)
        assert (failed.deposit, failed.no_space, failed.missing) == (1, no_space, False)
        disk.fail.clear()
        puppet.order(OpenDeposit(2, str(tmp_path / "bob"), "m2"), WriteDeposit(2, b"x"), CommitDeposit(2))
        puppet.wait(Deposited)
    assert files(tmp_path / "bob") == ["new/m2"]
    assert len(puppet.seen(DepositFailed)) == 1


def test_a_maildir_that_is_not_to_be_made_is_missing(tmp_path: Path) -> None:
    puppet = Puppet()
    with hosted((puppet, maildirs())):
        puppet.order(OpenDeposit(1, str(tmp_path / "bob"), "m1", create=False), WriteDeposit(1, b"x"), CommitDeposit(1))
        (failed,) = puppet.wait(DepositFailed)
    assert failed.missing
    assert not (tmp_path / "bob").exists()


def test_a_name_that_exists_in_tmp_is_not_overwritten(tmp_path: Path) -> None:
    puppet = Puppet()
    with hosted((puppet, maildirs())):
        puppet.order(OpenDeposit(1, str(tmp_path / "bob"), "m1"), WriteDeposit(1, b"first"), OpenDeposit(2, str(tmp_path / "bob"), "m1"), CommitDeposit(2))
        puppet.wait(DepositFailed)
        puppet.order(CommitDeposit(1))
        puppet.wait(Deposited)
    assert (tmp_path / "bob/new/m1").read_bytes() == b"first"
