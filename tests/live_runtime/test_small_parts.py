"""Clock, timers, listeners, locks, epoch file, DEFEDB device."""

import errno
import os
import socket
from pathlib import Path

import pytest

from smx.defedb.sqlite import DefedbError
from smx.effects import Arm, Census, Disarm, Fetch, Row, Store
from smx.events import ClockJumped, Counted, Expired, Fetched, Started, Stored
from smx.live import queue_lock
from smx.live.clock import Clock
from smx.live.defedb import Defedb
from smx.live.epoch_file import DamagedEpochFileError, read_epoch, save_epoch
from smx.live.host import Host
from smx.live.listeners import bind, is_alive, name_of, reachable
from smx.units import MILLISECOND, SECOND
from tests.live_runtime.puppet import SILENT, Puppet, hosted, nothing

# --- clock and timers


class Times:
    """Two clocks that a test turns by hand, in nanoseconds."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000_000_000_000
        self.monotonic = 5_000

    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.monotonic)


def test_now_is_the_wall_clock_at_the_start_and_then_monotonic() -> None:
    times = Times()
    clock = times.clock()
    assert clock.now() == 1_800_000_000 * SECOND
    times.monotonic += 7_000
    times.wall -= 3600 * SECOND * 1000
    assert clock.now() == 1_800_000_000 * SECOND + 7


@pytest.mark.parametrize(("jump_us", "told"), [(999_999, False), (-999_999, False), (1_000_001, True), (-86_400 * SECOND, True)])
def test_only_a_jump_of_more_than_a_second_is_told_once(jump_us: int, told: bool) -> None:
    """F26."""
    times = Times()
    clock = times.clock()
    times.wall += jump_us * 1000
    assert clock.jumped() is told
    assert clock.wall_offset == (jump_us if told else 0)
    assert not clock.jumped()


def test_a_jump_of_the_wall_clock_is_told_to_the_components(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setattr("smx.live.host.CLOCK_CHECK_S", 0.005)
    shift = [0]
    puppet = Puppet()
    with hosted((puppet, nothing), clock=Clock(lambda: time.time_ns() + shift[0])):
        shift[0] = 3600 * 10**9
        (jumped,) = puppet.wait(ClockJumped)
    assert abs(jumped.wall_offset - 3600 * SECOND) < SECOND


def test_expired_never_comes_before_its_time_and_is_said_once() -> None:
    late: list[int] = []

    class Timed(Puppet):
        def step(self, event: object, now: int) -> list[object]:  # type: ignore[override]
            if isinstance(event, Expired) and event.timer == "t":
                late.append(now - event.of)
            return super().step(event, now)  # type: ignore[arg-type,return-value]

    puppet = Timed()
    with hosted((puppet, nothing)) as host:
        now = host.clock.now()
        ats = [now + step * MILLISECOND // 3 for step in range(30)]
        puppet.order(*(Arm("t", at, at) for at in ats))
        puppet.wait(Expired, len(ats))
    assert len(late) == len(ats)
    assert min(late) >= 0


def test_arm_replaces_and_disarm_forgets() -> None:
    puppet = Puppet()
    with hosted((puppet, nothing)) as host:
        now = host.clock.now()
        puppet.order(Arm("a", 1, now + 3600 * SECOND), Arm("b", 1, now), Arm("c", 1, now + 2 * MILLISECOND), Disarm("b", 1), Disarm("never", 0))
        puppet.order(Arm("a", 1, now - SECOND), Arm("c", 1, now + 5 * MILLISECOND))
        puppet.wait(Expired, 2)
        puppet.order()
    assert sorted(event.timer for event in puppet.seen(Expired)) == ["a", "c"]


# --- listeners


def test_a_port_in_use_is_said() -> None:
    with bind("127.0.0.1", 0) as listener, pytest.raises(OSError, match="in use") as caught:
        bind(*name_of(listener))
    assert caught.value.errno == errno.EADDRINUSE


def test_an_ipv6_listener_takes_no_ipv4() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        listener = bind("::1", 0)
    except OSError as error:
        pytest.skip(f"no IPv6 loopback: {error}")
    with listener:
        assert listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


@pytest.mark.parametrize("folder", ["d", "d" * 90])
def test_a_unix_socket_has_its_mode_and_replaces_a_dead_one_but_not_a_living_one(tmp_path: Path, folder: str) -> None:
    """Also where the path is longer than what the kernel takes."""
    (tmp_path / folder).mkdir()
    path = str(tmp_path / folder / "sock")
    assert not is_alive(path)
    first = bind(path, 0)
    assert os.stat(path).st_mode & 0o777 == 0o660
    assert is_alive(path)
    with pytest.raises(OSError, match="in use"):
        bind(path, 0)
    first.close()
    with bind(path, 0, 0o600), reachable(path) as address, socket.socket(socket.AF_UNIX) as client:
        client.connect(address)
        assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path / folder) == ["sock"]


# --- epoch and lock


@pytest.fixture
def spool(tmp_path: Path) -> str:
    for part in ("mcp", "ibdb", "defedb"):
        (tmp_path / part).mkdir()
    return str(tmp_path)


def test_the_epoch_survives_and_a_half_written_one_is_refused(spool: str) -> None:
    """A11, I8."""
    assert read_epoch(spool) == 0
    save_epoch(spool, 1_800_000_000)
    assert read_epoch(spool) == 1_800_000_000
    save_epoch(spool, 1_800_000_001)
    assert (read_epoch(spool), os.listdir(f"{spool}/mcp")) == (1_800_000_001, ["epoch"])
    for damaged in (b"", b"18000000", b"-1\n", b"99999999999\n", b"\0\0\0\0\0"):
        Path(spool, "mcp", "epoch").write_bytes(damaged)
        with pytest.raises(DamagedEpochFileError, match="epoch"):
            read_epoch(spool)


def test_the_queue_has_one_holder_and_the_second_is_told_who(spool: str) -> None:
    """F22."""
    held = queue_lock.take(spool)
    with pytest.raises(queue_lock.QueueHeldError, match=f"in use by the process {os.getpid()}"):
        queue_lock.take(spool)
    os.close(held)
    os.close(queue_lock.take(spool))


# --- DEFEDB


def row(transaction: int) -> Row:
    return Row(transaction, 0, 1, 100 + transaction, 0, "example.net", 9, b"envelope", b"recipient")


def test_defedb_answers_in_order_and_keeps_what_it_stored(spool: str) -> None:
    puppet = Puppet()
    with hosted((puppet, lambda runner: runner.attach(Defedb(runner, reserve_octets=0))), spool=spool):
        puppet.order(Store(1, (row(1), row(2))), Fetch(2, 1000, 10), Store(3, (), ((1, 0),)), Census(4))
        assert puppet.wait(Counted) == [Counted(4, ((9, 1),), 1, 102)]
        assert puppet.seen(Stored) == [Stored(1), Stored(3)]
        assert puppet.seen(Fetched) == [Fetched(2, (row(1), row(2)))]
    again = Puppet()
    with hosted((again, lambda runner: runner.attach(Defedb(runner, reserve_octets=0))), spool=spool):
        again.order(Fetch(5, 1000, 10))
        assert again.wait(Fetched)[0].rows == (row(2),)
    assert os.stat(f"{spool}/defedb/defedb.sqlite").st_mode & 0o777 == 0o600


def test_a_defedb_that_cannot_be_opened_ends_the_process(spool: str) -> None:
    Path(spool, "defedb", "defedb.sqlite").write_bytes(b"this is no database, and long enough not to be taken for an empty one" * 100)
    host = Host(SILENT)
    runner = host.add(Puppet(lambda event: [Census(1)] if isinstance(event, Started) else []), "qmgr", 1, 7, spool)
    runner.attach(Defedb(runner))
    with pytest.raises(DefedbError, match="defedb"):
        host.run()
