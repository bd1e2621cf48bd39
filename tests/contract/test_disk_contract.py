"""What the effects on segments and Maildirs mean, asserted once and shown on both: the simulated disk, and the live runtime on a real one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from smx.effects import (
    AnyEffect,
    Append,
    CommitDeposit,
    DropDeposit,
    ListStore,
    MeasureSpace,
    OpenDeposit,
    OpenSegment,
    Read,
    Remove,
    Scan,
    Seal,
    Sync,
    SyncDirectory,
    WriteDeposit,
)
from smx.events import (
    AppendFailed,
    Deposited,
    DepositFailed,
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
from smx.units import KIB
from tests.contract.disk_devices import Device, SimulatedDevice, live_device


@pytest.fixture(params=["simulated", "live"])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Device]:
    if request.param == "simulated":
        yield SimulatedDevice()
    else:
        with live_device(tmp_path) as live:
            yield live


class TestSegments:
    def test_a_segment_is_preallocated_with_zeros(self, device: Device) -> None:
        assert device.do(OpenSegment("cdb", 7, 64 * KIB), SyncDirectory("cdb", 3)) == [SegmentOpened("cdb", 7), DirectorySynced("cdb", 3)]
        assert device.files(f"{device.root}/cdb") == {"0000000000000007.cdb": bytes(64 * KIB)}

    def test_a_write_is_visible_at_once_and_lies_at_its_offset(self, device: Device) -> None:
        device.do(OpenSegment("cdb", 1, 8 * KIB))
        assert device.do(Append("cdb", 1, 4094, b"across"), Read("cdb", 5, 1, 4092, 10)) == [Readout(5, b"\0\0across\0\0")]

    def test_a_later_write_covers_an_earlier_one(self, device: Device) -> None:
        device.do(OpenSegment("cdb", 1, 64), Append("cdb", 1, 0, b"aaaaaa"), Append("cdb", 1, 2, b"bb"))
        assert device.do(Read("cdb", 1, 1, 0, 6)) == [Readout(1, b"aabbaa")]

    def test_a_write_behind_the_preallocated_end_extends_the_file(self, device: Device) -> None:
        device.do(OpenSegment("cdb", 1, 10), Append("cdb", 1, 15, b"xyz"))
        assert device.files(f"{device.root}/cdb") == {"0000000000000001.cdb": bytes(15) + b"xyz"}

    def test_a_segment_opens_once(self, device: Device) -> None:
        device.do(OpenSegment("ibdb", 1, 64), Append("ibdb", 1, 0, b"kept"))
        (failed,) = device.do(OpenSegment("ibdb", 1, 64))
        assert isinstance(failed, OpenFailed)
        assert (failed.no_space, failed.reason) == (False, "file exists")
        assert device.do(Append("ibdb", 1, 4, b"!"), Read("ibdb", 2, 1, 0, 5)) == [Readout(2, b"kept!")]

    def test_syncs_name_their_token(self, device: Device) -> None:
        device.do(OpenSegment("ibdb", 1, 64), OpenSegment("ibdb", 2, 64))
        assert device.do(Append("ibdb", 1, 0, b"x"), Sync("ibdb", (1, 2), 9)) == [Synced("ibdb", 9)]

    def test_a_sealed_or_removed_segment_may_still_be_synced(self, device: Device) -> None:
        device.do(OpenSegment("cdb", 1, 64), OpenSegment("cdb", 2, 64), Seal("cdb", 1, 8), Remove("cdb", 2))
        assert device.do(Sync("cdb", (1, 2, 3), 4)) == [Synced("cdb", 4)]

    def test_seal_cuts_the_tail_and_keeps_the_rest(self, device: Device) -> None:
        device.do(OpenSegment("cdb", 1, 64 * KIB), Append("cdb", 1, 0, b"0123456789"), Seal("cdb", 1, 6))
        assert device.do(ListStore("cdb", 1)) == [Listed("cdb", 1, (SegmentFile(1, 6),))]
        assert device.do(Read("cdb", 2, 1, 0, 6), Read("cdb", 3, 1, 0, 7)) == [Readout(2, b"012345"), ReadFailed(3, True, "the segment ends before")]

    def test_removing_is_idempotent(self, device: Device) -> None:
        device.do(OpenSegment("cdb", 1, 64))
        assert device.do(Remove("cdb", 1), Remove("cdb", 1), Remove("cdb", 5), ListStore("cdb", 1)) == [Listed("cdb", 1, ())]
        assert device.do(Read("cdb", 2, 1, 0, 1)) == [ReadFailed(2, True, "no such segment")]

    def test_a_number_can_be_used_again_after_its_removal(self, device: Device) -> None:
        device.do(OpenSegment("cdb", 1, 64), Append("cdb", 1, 0, b"old"), Remove("cdb", 1), ListStore("cdb", 1))
        assert device.do(OpenSegment("cdb", 1, 64), Read("cdb", 2, 1, 0, 3)) == [SegmentOpened("cdb", 1), Readout(2, bytes(3))]

    def test_a_store_is_listed_in_order_of_numbers_and_apart_from_other_stores(self, device: Device) -> None:
        device.do(*(OpenSegment("ibdb", segment, 10) for segment in (0x20, 3, 0x100)), OpenSegment("cdb", 5, 10))
        assert device.do(ListStore("ibdb", 7)) == [Listed("ibdb", 7, (SegmentFile(3, 10), SegmentFile(0x20, 10), SegmentFile(0x100, 10)))]

    def test_a_scan_says_where_the_file_ends(self, device: Device) -> None:
        device.do(OpenSegment("ibdb", 1, 10), Append("ibdb", 1, 0, b"0123456789"))
        scans = [Scan("ibdb", 1, 1, 0, 4), Scan("ibdb", 2, 1, 4, 6), Scan("ibdb", 3, 1, 10, 6), Scan("ibdb", 4, 1, 0, KIB), Scan("ibdb", 5, 2, 0, 1)]
        assert device.do(*scans) == [
            Scanned("ibdb", 1, b"0123", False),
            Scanned("ibdb", 2, b"456789", True),
            Scanned("ibdb", 3, b"", True),
            Scanned("ibdb", 4, b"0123456789", True),
            ReadFailed(5, True, "no such segment"),
        ]

    def test_space_is_measured(self, device: Device) -> None:
        (measured,) = device.do(MeasureSpace("cdb", 1))
        assert isinstance(measured, SpaceMeasured)
        assert (measured.request, measured.octets_free > 0) == (1, True)

    @pytest.mark.parametrize(("kind", "no_space"), [("no_space", True), ("io", False)])
    def test_a_full_disk_is_told_from_a_broken_one(self, device: Device, kind: str, no_space: bool) -> None:
        """F11, A10."""
        device.failing["fallocate"] = kind
        (failed,) = device.do(OpenSegment("cdb", 1, KIB))
        assert isinstance(failed, OpenFailed)
        assert failed.no_space == no_space
        assert device.files(f"{device.root}/cdb") == {}
        device.failing.clear()
        device.do(OpenSegment("cdb", 1, KIB))
        device.failing["write"] = kind
        (refused,) = device.do(Append("cdb", 1, 100, b"x"))
        assert isinstance(refused, AppendFailed)
        assert (refused.segment, refused.offset, refused.no_space, refused.reason == "no space left on device") == (1, 100, no_space, no_space)

    def test_a_failed_sync_is_said_once(self, device: Device) -> None:
        """F7: and the next one says that all is well, although it is not."""
        device.do(OpenSegment("ibdb", 1, KIB), Append("ibdb", 1, 0, b"x"))
        device.failing["sync"] = "io"
        assert device.do(Sync("ibdb", (1,), 9)) == [SyncFailed("ibdb", 9, "input/output error")]
        assert device.do(SyncDirectory("ibdb", 10)) == [SyncFailed("ibdb", 10, "input/output error")]
        device.failing.clear()
        assert device.do(Sync("ibdb", (1,), 11)) == [Synced("ibdb", 11)]

    def test_a_failed_reading_is_told_from_a_missing_segment(self, device: Device) -> None:
        """F9."""
        device.do(OpenSegment("ibdb", 1, KIB))
        device.failing["read"] = "io"
        expected = [ReadFailed(1, False, "input/output error"), ReadFailed(2, False, "input/output error"), ReadFailed(3, True, "no such segment")]
        assert device.do(Read("ibdb", 1, 1, 0, 1), Scan("ibdb", 2, 1, 0, 1), Read("ibdb", 3, 9, 0, 1)) == expected


def message(device: Device, number: int, name: str, *data: bytes) -> list[AnyEffect]:
    return [OpenDeposit(number, f"{device.root}/m/bob", name), *(WriteDeposit(number, piece) for piece in data)]


class TestDeposits:
    def test_a_message_is_in_tmp_until_it_is_whole_in_new(self, device: Device) -> None:
        device.do(*message(device, 1, "m1", b"Subject: x\r\n", b"\r\nhello\r\n"))
        assert device.files(f"{device.root}/m") == {"bob/tmp/m1": b"Subject: x\r\n\r\nhello\r\n"}
        assert device.do(CommitDeposit(1)) == [Deposited(1)]
        assert device.files(f"{device.root}/m") == {"bob/new/m1": b"Subject: x\r\n\r\nhello\r\n"}

    def test_a_dropped_one_leaves_nothing(self, device: Device) -> None:
        device.do(*message(device, 1, "m1", b"x"), DropDeposit(1))
        assert device.files(f"{device.root}/m") == {}

    def test_a_maildir_is_not_made_unless_asked(self, device: Device) -> None:
        (failed,) = device.do(OpenDeposit(1, f"{device.root}/m/eve", "m1", create=False), WriteDeposit(1, b"x"), CommitDeposit(1))
        assert isinstance(failed, DepositFailed)
        assert (failed.missing, failed.no_space) == (True, False)
        assert device.files(f"{device.root}/m") == {}

    @pytest.mark.parametrize("part", ["tmp", "new", "cur"])
    def test_a_maildir_that_a_dead_process_made_by_half_is_completed(self, device: Device, part: str) -> None:
        """Found by crash_storm, seed 44: `new` was missing, and mail was refused for good."""
        device.make_directory(f"{device.root}/m/bob/{part}")
        assert device.do(*message(device, 1, "m1", b"x"), CommitDeposit(1)) == [Deposited(1)]
        assert device.files(f"{device.root}/m") == {"bob/new/m1": b"x"}

    def test_a_maildir_that_a_dead_process_made_has_a_durable_name_before_anything_in_it_is_said_to_be(self, device: Device) -> None:
        """The LDA dies between making the Maildir and the first commit: the next one cannot know whether the name was synced."""
        for part in ("tmp", "new", "cur"):
            device.make_directory(f"{device.root}/m/bob/{part}")
        device.synced.clear()
        assert device.do(*message(device, 1, "m1", b"x"), CommitDeposit(1)) == [Deposited(1)]
        assert {f"{device.root}/m/bob", f"{device.root}/m", device.root} <= set(device.synced)
        device.synced.clear()
        assert device.do(*message(device, 2, "m2", b"x"), CommitDeposit(2)) == [Deposited(2)]
        assert device.synced == [f"{device.root}/m/bob/new"]

    def test_a_name_that_is_taken_fails_and_harms_nobody(self, device: Device) -> None:
        device.do(*message(device, 1, "m1", b"first"), *message(device, 2, "m1", b"second"))
        (failed,) = device.do(CommitDeposit(2))
        assert isinstance(failed, DepositFailed)
        assert not failed.missing
        assert device.do(CommitDeposit(1)) == [Deposited(1)]
        assert device.files(f"{device.root}/m") == {"bob/new/m1": b"first"}

    @pytest.mark.parametrize("call", ["write", "sync", "rename"])
    @pytest.mark.parametrize(("kind", "no_space"), [("no_space", True), ("io", False)])
    def test_whatever_fails_is_said_once_and_leaves_nothing(self, device: Device, call: str, kind: str, no_space: bool) -> None:
        device.failing[call] = kind
        (failed,) = device.do(*message(device, 1, "m1", b"x", b"y"), CommitDeposit(1))
        assert isinstance(failed, DepositFailed)
        assert (failed.deposit, failed.no_space) == (1, no_space)
        assert device.files(f"{device.root}/m") == {}
        device.failing.clear()
        assert device.do(*message(device, 2, "m2", b"x"), CommitDeposit(2)) == [Deposited(2)]
