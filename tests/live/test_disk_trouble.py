"""Disk trouble: a full disk refuses new mail and delivers the old; a failed sync ends the process, which recovers (SX25, A10, I15)."""

import asyncio
import errno
import os
import subprocess
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest

from smx.config.load import load
from smx.live.embedded import Embedded
from smx.live.host import HaltedError
from smx.live.segments import Segments
from smx.units import KIB, MIB
from tests.live.client import GaveUpError, connect
from tests.live.installation import Installation, Layout, free_port, to_host
from tests.live.sink import Sink, accept
from tests.live.traffic import Attempt, Draft, Mix

HOST = "host.example"
QUEUED = 1000
CLIENTS = 10
DISK_OCTETS = 48 * MIB
TIMEOUT_S = 120.0


def small_disk(directory: Path) -> str:
    """Mount a small file system there; gives why it cannot be done, or nothing."""
    if os.geteuid() != 0:
        return "only root may mount a file system"
    directory.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_OCTETS},mode=0700", "tmpfs", str(directory)], capture_output=True, text=True, check=False)
    return f"mount fails here: {done.stderr.strip()}" if done.returncode else ""


@pytest.fixture
def small_spool(tmp_path: Path) -> Iterator[Path]:
    """The directory of an installation whose spool is a file system of its own, of 48 MiB."""
    directory = tmp_path / "smx"
    directory.mkdir()
    trouble = small_disk(directory / "spool")
    if trouble:
        pytest.skip(trouble)
    yield directory
    subprocess.run(["umount", "--lazy", str(directory / "spool")], check=True)


def free_octets(directory: Path) -> int:
    space = os.statvfs(directory)
    return space.f_bavail * space.f_frsize


def write_or_full(file: FileIO, data: bytes) -> bool:
    """False when the disk is full."""
    try:
        file.write(data)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
    return True


def fill(directory: Path) -> Path:
    """Leave not one octet free."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        for piece in (64 * KIB, 4 * KIB, 1):
            while write_or_full(file, b"\xff" * piece):
                pass
    assert free_octets(directory) == 0
    return filler


async def send_some(installation: Installation, mix: Mix, messages: int) -> list[Attempt]:
    """In one session; every message must be taken."""
    attempts = []
    session = await connect(installation.port)
    try:
        for _ in range(messages):
            attempt = Attempt(mix.token(), (f"a@{HOST}",))
            await session.send(Draft(attempt.recipients, 900), attempt, lambda attempt: None)
            attempts.append(attempt)
    finally:
        session.close()
    return attempts


async def send_refused(installation: Installation, mix: Mix) -> tuple[int, Attempt]:
    """(the code that refused it, the attempt): 421 at any time, or 4yz to MAIL or to the dot."""
    attempt = Attempt(mix.token(), (f"a@{HOST}",))
    try:
        session = await connect(installation.port)
        try:
            await session.send(Draft(attempt.recipients, 900), attempt, lambda attempt: None)
        finally:
            session.close()
    except GaveUpError:
        return 421, attempt
    return attempt.code, attempt


@pytest.mark.feature("SX25")
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "down",
    [
        pytest.param(False, id="busy"),
        pytest.param(True, id="down", marks=pytest.mark.live),  # the backlog of a host that was dead comes back over a minute
    ],
)
def test_a_full_disk_refuses_new_mail_and_delivers_what_is_queued(small_spool: Path, *, down: bool) -> None:
    """1,000 messages wait for a host that takes none; the disk fills up to the last octet; the host returns; then there is space again."""
    mix = Mix("full")
    sink = Sink(lambda asked: b"450 4.2.1 Busy")
    port = free_port()
    qmgr = "cut_through = 0; min_free = 8MiB; throttle { slow_free = 8MiB; } retry { min = 1s; max = 5s; dead_min = 1s; dead_max = 2s; warn = 0; }"

    async def scenario(installation: Installation) -> None:
        installation.start()
        await asyncio.to_thread(installation.wait_ready)
        if not down:
            await sink.start(port)
        sent = await asyncio.gather(*(send_some(installation, mix, QUEUED // CLIENTS) for _ in range(CLIENTS)))
        tokens = {attempt.token for attempts in sent for attempt in attempts if attempt.acked_at}
        assert len(tokens) == QUEUED

        filler = fill(installation.spool)
        await installation.until(lambda: any(line.text("state") == "closed" for line in installation.notes("throttled")), TIMEOUT_S, "not closed")
        refused = [await send_refused(installation, mix) for _ in range(3)]
        assert {code for code, _ in refused} <= {421, 452}
        assert free_octets(installation.spool) == 0

        sink.script = accept
        if down:
            await sink.start(port)
        await installation.until(lambda: len(sink.copies) >= QUEUED, TIMEOUT_S, f"{len(sink.copies)} of {QUEUED} were delivered while the disk was full")
        await installation.until(installation.is_empty, TIMEOUT_S, "the queue is not empty")
        assert filler.stat().st_size > DISK_OCTETS // 2
        assert {copy.token for copy in sink.copies} == tokens
        assert len(sink.copies) == QUEUED  # none of them twice, none of the refused ones

        filler.unlink()
        await installation.until(lambda: installation.notes("throttled")[-1].text("state") == "open", TIMEOUT_S, "not open again")
        (again,) = await send_some(installation, mix, 1)
        assert again.acked_at
        await installation.until(lambda: any(copy.token == again.token for copy in sink.copies), TIMEOUT_S, "not delivered")
        await sink.stop()

    with Installation(small_spool, Layout(mailertable=((HOST, to_host(port)),), qmgr=qmgr, level="info", ibdb_segment="1MiB")) as installation:
        asyncio.run(scenario(installation))
        assert not [line for line in installation.notes("exited") if line.number("status")]
        assert installation.stop() == 0


@pytest.mark.feature("SX25")
def test_a_message_that_does_not_fit_is_refused_and_leaves_nothing(small_spool: Path) -> None:
    """16 MiB are wanted, less are free: 452, and a small message is taken right after it."""
    mix = Mix("large")

    async def scenario(installation: Installation) -> None:
        sink = Sink()
        installation.start()
        await asyncio.to_thread(installation.wait_ready)
        filler = installation.spool / "filler"
        filler.write_bytes(b"\xff" * (free_octets(installation.spool) - 12 * MIB))
        attempt = Attempt(mix.token(), ("a@lab.example",))
        session = await connect(installation.port)
        try:
            await session.send(Draft(attempt.recipients, 16 * MIB), attempt, lambda attempt: None)
            assert attempt.code == 452
            small = Attempt(mix.token(), ("a@lab.example",))
            await session.send(Draft(small.recipients, 900), small, lambda attempt: None)
            assert small.acked_at
        finally:
            session.close()
        await installation.until(lambda: len(installation.mail("a")) == 1, TIMEOUT_S, "not delivered")
        assert len(installation.content_segments()) <= 4
        await sink.stop()

    with Installation(small_spool, Layout(qmgr="min_free = 1MiB; throttle { slow_free = 1MiB; }", smtps="message_size_max = 20MiB;")) as installation:
        asyncio.run(scenario(installation))
        assert not [line for line in installation.notes("exited") if line.number("status")]


@pytest.mark.parametrize("process", ["qmgr", "smtps.mx.0"])
def test_a_failed_sync_ends_the_process_and_recovery_delivers_what_was_acknowledged(tmp_path: Path, process: str) -> None:
    """No 250 after the failure (I15), nothing acknowledged is lost (I1)."""
    mix = Mix("sync")
    port = free_port()
    installation = Installation(tmp_path, Layout(mailertable=((HOST, to_host(port)),), qmgr="cut_through = 0; retry { min = 1s; max = 1s; warn = 0; }"))
    settings = load(str(installation.config))
    failures = []

    def fail(descriptor: int) -> None:
        failures.append(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def first() -> tuple[Attempt, int, Attempt]:
        (kept,) = await send_some(installation, mix, 1)
        (runner,) = [runner for runner in mta.host.runners if runner.process == process]
        mta.host.call(lambda: setattr(runner.devices(Segments)[0].disk, "fdatasync", fail))
        code, lost = await send_refused(installation, mix)
        return kept, code, lost

    mta = Embedded(settings)
    with pytest.raises(HaltedError) as ended, mta:
        kept, code, lost = asyncio.run(first())
    assert ended.value.process == process
    assert failures
    assert kept.acked_at
    assert code == 421
    assert not lost.acked_at

    async def second() -> Sink:
        sink = Sink()
        await sink.start(port)
        await installation.until(lambda: any(copy.token == kept.token for copy in sink.copies), TIMEOUT_S, "not delivered")
        await installation.until(installation.is_empty, TIMEOUT_S, "the queue is not empty")
        await sink.stop()
        return sink

    with Embedded(settings):
        sink = asyncio.run(second())
    assert {copy.token for copy in sink.copies} <= {kept.token, lost.token}
    assert len(sink.copies) == len({copy.token for copy in sink.copies})
