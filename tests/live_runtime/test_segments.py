"""Segments and readers on a real directory, and on a disk that fails."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from smx.effects import Append, ListStore, MeasureSpace, OpenSegment, Read, Remove, Scan, Seal, Sync, SyncDirectory
from smx.events import (
    AppendFailed,
    DirectorySynced,
    Listed,
    OpenFailed,
    ReadFailed,
    Readout,
    Scanned,
    SegmentFile,
    SegmentOpened,
    SpaceMeasured,
    Synced,
    SyncFailed,
)
from smx.live.disk import Disk
from smx.live.readers import DESCRIPTORS_MAX, READ_ON_LOOP_OCTETS, Readers
from smx.live.runner import Runner
from smx.live.segments import Segments, file_name, segment_of
from smx.units import KIB, MIB
from tests.live_runtime.puppet import Puppet, hosted, wait_until


class Flaky(Disk):
    """Counts the calls that matter, and fails when told to."""

    def __init__(self) -> None:
        self.fail: dict[str, int] = {}
        self.synced: list[int] = []
        self.short = 0
        self.hold = threading.Event()
        self.hold.set()

    def _check(self, call: str) -> None:
        if call in self.fail:
            raise OSError(self.fail[call], os.strerror(self.fail[call]))

    def fdatasync(self, descriptor: int) -> None:
        assert self.hold.wait(10)
        self._check("fdatasync")
        self.synced.append(descriptor)
        os.fdatasync(descriptor)

    def fsync(self, descriptor: int) -> None:
        self._check("fsync")
        os.fsync(descriptor)

    def fallocate(self, descriptor: int, offset: int, octets: int) -> None:
        self._check("fallocate")
        os.posix_fallocate(descriptor, offset, octets)

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        if self.short:
            data = bytes(data)[: self.short]
        self._check("pwrite")
        return super().pwrite(descriptor, data, offset)

    def pread(self, descriptor: int, octets: int, offset: int) -> bytes:
        self._check("pread")
        return os.pread(descriptor, octets, offset)


@pytest.fixture
def spool(tmp_path: Path) -> str:
    (tmp_path / "cdb").mkdir()
    (tmp_path / "ibdb").mkdir()
    return str(tmp_path)


def stores(disk: Disk | None = None) -> Callable[[Runner], None]:
    def attach(runner: Runner) -> None:
        runner.attach(Segments(runner, ("cdb", "ibdb"), disk))
        runner.attach(Readers(runner, disk))

    return attach


def test_a_segment_is_preallocated_written_synced_sealed_and_read(spool: str) -> None:
    puppet = Puppet()
    with hosted((puppet, stores()), spool=spool):
        puppet.order(OpenSegment("cdb", 7, 64 * KIB), SyncDirectory("cdb", 1))
        assert puppet.wait(SegmentOpened) == [SegmentOpened("cdb", 7)]
        assert puppet.wait(DirectorySynced) == [DirectorySynced("cdb", 1)]
        path = Path(spool, "cdb", file_name("cdb", 7))
        assert (path.stat().st_size, path.stat().st_mode & 0o777) == (64 * KIB, 0o640)
        assert path.stat().st_blocks * 512 >= 64 * KIB
        puppet.order(Append("cdb", 7, 0, b"head"), Append("cdb", 7, 4, b"tail"), Sync("cdb", (7,), 2))
        assert puppet.wait(Synced) == [Synced("cdb", 2)]
        puppet.order(Seal("cdb", 7, 8), Read("cdb", 3, 7, 2, 4), Sync("cdb", (7,), 4), ListStore("cdb", 5))
        assert puppet.wait(Readout) == [Readout(3, b"adta")]
        puppet.wait(Synced, 2)  # of a segment that is closed already
        assert puppet.wait(Listed) == [Listed("cdb", 5, (SegmentFile(7, 8),))]
        puppet.order(Remove("cdb", 7), Remove("cdb", 7), ListStore("cdb", 6), Sync("cdb", (7,), 8), Read("cdb", 9, 7, 0, 1), MeasureSpace("cdb", 10))
        assert puppet.wait(Listed, 2)[1].files == ()
        puppet.wait(Synced, 3)
        (space,) = puppet.wait(SpaceMeasured)
        assert space.octets_free > 0
        assert space.descriptors_free > 0
    assert puppet.seen(ReadFailed) in ([], [ReadFailed(9, True, "no such segment")])  # the removal may come a moment later


def test_other_files_in_the_directory_are_not_listed(spool: str) -> None:
    for name in ("lock", "0000000000000001.cdb", "1.ibdb", "000000000000000A.ibdb", "000000000000000b.ibdb", "000000000000000a.ibdb.old"):
        Path(spool, "ibdb", name).write_bytes(b"12")
    puppet = Puppet()
    with hosted((puppet, stores()), spool=spool):
        puppet.order(ListStore("ibdb", 1))
        assert puppet.wait(Listed)[0].files == (SegmentFile(11, 2),)


@pytest.mark.parametrize("segment", [1, 0xDEADBEEF, (1 << 56) - 1])
def test_a_file_name_is_read_back_as_its_number(segment: int) -> None:
    assert segment_of("cdb", file_name("cdb", segment)) == segment


@pytest.mark.parametrize(("code", "no_space"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False)])
def test_a_full_disk_is_told_from_a_broken_one(spool: str, code: int, no_space: bool) -> None:
    disk = Flaky()
    puppet = Puppet()
    with hosted((puppet, stores(disk)), spool=spool):
        disk.fail["fallocate"] = code
        puppet.order(OpenSegment("cdb", 1, KIB))
        assert [event.no_space for event in puppet.wait(OpenFailed)] == [no_space]
        assert os.listdir(f"{spool}/cdb") == []
        disk.fail = {}
        puppet.order(OpenSegment("cdb", 2, KIB))
        puppet.wait(SegmentOpened)
        disk.fail["pwrite"] = code
        puppet.order(Append("cdb", 2, 100, b"x"))
        (failed,) = puppet.wait(AppendFailed)
        assert (failed.segment, failed.offset, failed.no_space) == (2, 100, no_space)
        assert spool not in failed.reason


def test_a_short_write_is_continued(spool: str) -> None:
    disk = Flaky()
    disk.short = 3
    puppet = Puppet()
    with hosted((puppet, stores(disk)), spool=spool):
        puppet.order(OpenSegment("cdb", 1, KIB), Append("cdb", 1, 5, b"0123456789"), Read("cdb", 1, 1, 5, 10))
        assert puppet.wait(Readout)[0].data == b"0123456789"


def test_a_failed_sync_is_said_and_not_tried_again(spool: str) -> None:
    """I15, F7."""
    disk = Flaky()
    puppet = Puppet()
    with hosted((puppet, stores(disk)), spool=spool):
        puppet.order(OpenSegment("ibdb", 1, KIB))
        disk.fail["fdatasync"] = errno.EIO
        puppet.order(Sync("ibdb", (1,), 9))
        assert puppet.wait(SyncFailed) == [SyncFailed("ibdb", 9, "input/output error")]
        assert disk.synced == []
        disk.fail = {"fsync": errno.EIO}
        puppet.order(SyncDirectory("ibdb", 10))
        assert puppet.wait(SyncFailed, 2)[1].token == 10


def test_syncs_of_a_store_are_in_order_and_one_store_does_not_wait_for_another(spool: str) -> None:
    disk = Flaky()
    puppet = Puppet()
    with hosted((puppet, stores(disk)), spool=spool):
        puppet.order(OpenSegment("cdb", 1, KIB), OpenSegment("ibdb", 1, KIB))
        disk.hold.clear()
        puppet.order(*(Sync("ibdb", (1,), token) for token in range(5)), SyncDirectory("cdb", 99), Append("ibdb", 1, 0, b"goes on meanwhile"))
        puppet.wait(DirectorySynced)
        assert puppet.seen(Synced) == []
        disk.hold.set()
        assert [event.token for event in puppet.wait(Synced, 5)] == [0, 1, 2, 3, 4]


def test_a_segment_sealed_while_its_sync_is_under_way_is_still_synced_by_the_same_descriptor(spool: str) -> None:
    """The descriptor is closed behind the sync, so its number cannot be another file's meanwhile."""
    disk = Flaky()
    puppet = Puppet()
    with hosted((puppet, stores(disk)), spool=spool):
        disk.hold.clear()
        puppet.order(OpenSegment("cdb", 1, KIB), Append("cdb", 1, 0, b"x"), Sync("cdb", (1,), 1), Seal("cdb", 1, 1), OpenSegment("cdb", 2, KIB))
        puppet.wait(SegmentOpened, 2)
        disk.hold.set()
        puppet.wait(Synced)
    assert len(disk.synced) == 1


def test_reads_give_exactly_what_was_asked_or_fail(spool: str) -> None:
    content = os.urandom(2 * MIB)
    Path(spool, "cdb", file_name("cdb", 1)).write_bytes(content)
    disk = Flaky()
    puppet = Puppet()
    with hosted((puppet, stores(disk)), spool=spool):
        small, large = READ_ON_LOOP_OCTETS, READ_ON_LOOP_OCTETS + 1
        puppet.order(Read("cdb", 1, 1, 5, small), Read("cdb", 2, 1, 7, large), Read("cdb", 3, 1, len(content) - 1, 2), Read("cdb", 4, 8, 0, 1))
        found = {event.request: event.data for event in puppet.wait(Readout, 2)}
        assert found == {1: content[5 : 5 + small], 2: content[7 : 7 + large]}
        failed = {event.request: event.missing for event in puppet.wait(ReadFailed, 2)}
        assert failed == {3: True, 4: True}
        disk.fail["pread"] = errno.EIO
        puppet.order(Read("cdb", 5, 1, 0, 1))
        assert puppet.wait(ReadFailed, 3)[2] == ReadFailed(5, False, "input/output error")


def test_scan_says_where_the_file_ends(spool: str) -> None:
    Path(spool, "ibdb", file_name("ibdb", 1)).write_bytes(b"0123456789")
    puppet = Puppet()
    with hosted((puppet, stores()), spool=spool):
        puppet.order(Scan("ibdb", 1, 1, 0, 4), Scan("ibdb", 2, 1, 4, 6), Scan("ibdb", 3, 1, 10, 6), Scan("ibdb", 4, 1, 0, MIB), Scan("ibdb", 5, 2, 0, 1))
        found = {event.request: (event.data, event.end) for event in puppet.wait(Scanned, 4)}
        assert found == {1: (b"0123", False), 2: (b"456789", True), 3: (b"", True), 4: (b"0123456789", True)}
        assert puppet.wait(ReadFailed)[0].request == 5


def test_descriptors_for_reading_are_bounded_and_given_back(spool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """I16: and a removed segment gives its space back soon."""
    monkeypatch.setattr("smx.live.readers.IDLE_S", 0.01)
    for segment in range(DESCRIPTORS_MAX + 10):
        Path(spool, "cdb", file_name("cdb", segment)).write_bytes(b"x")
    puppet = Puppet()
    with hosted((puppet, stores()), spool=spool) as host:
        puppet.order(*(Read("cdb", segment, segment, 0, 1) for segment in range(DESCRIPTORS_MAX + 10)))
        puppet.wait(Readout, DESCRIPTORS_MAX + 10)
        (readers,) = puppet.runner.devices(Readers)
        assert host.call(lambda: len(readers._descriptors)) <= DESCRIPTORS_MAX
        wait_until(lambda: host.call(lambda: len(readers._descriptors)) == 0)


def test_an_append_to_a_segment_that_is_not_open_is_a_bug(spool: str) -> None:
    puppet = Puppet()
    with pytest.raises(AssertionError, match="not open"), hosted((puppet, stores()), spool=spool):
        puppet.order(Append("cdb", 1, 0, b"x"))
