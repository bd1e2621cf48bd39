"""Scanning a segment: what is found does not depend on how its octets come in pages, nor on how many zeros lie between (A2, I9)."""

import pytest

from smx import codec
from smx.qmgr.recovery_scan import Found, Gap, SegmentScan, is_blank

SEGMENT = 5
FIRST, SECOND = codec.encode(3, b"first", SEGMENT, 0), codec.encode(3, b"second", SEGMENT, 1)


def scan(octets: bytes, page: int) -> list[Found | Gap]:
    reader = SegmentScan(SEGMENT, len(octets))
    return [item for at in range(0, len(octets), page) for item in reader.page(octets[at : at + page], last=at + page >= len(octets))]


@pytest.mark.parametrize("page", [1, 7, 64, 1000, 1 << 22])
@pytest.mark.parametrize("zeros", [1, 63, 5000, (1 << 20) + 1])
def test_a_record_behind_zeros_is_found_and_the_zeros_are_a_gap(zeros: int, page: int) -> None:
    if page < 64 and zeros > 5000:
        page *= 1000
    octets = FIRST + bytes(zeros) + SECOND
    first, gap, second = scan(octets, page)
    assert isinstance(first, Found)
    assert isinstance(gap, Gap)
    assert isinstance(second, Found)
    assert (first.payload, second.payload) == (b"first", b"second")
    assert (gap.offset, gap.end) == (len(FIRST), len(FIRST) + zeros)


@pytest.mark.parametrize("page", [13, 64, 1 << 20])
def test_a_preallocated_tail_is_no_gap_but_octets_in_it_are(page: int) -> None:
    assert [type(item) for item in scan(FIRST + bytes(9000), page)] == [Found]
    _, gap = scan(FIRST + bytes(4000) + b"x" + bytes(5000), page)
    assert (gap.offset, gap.end) == (len(FIRST), len(FIRST) + 4001)


def test_blank_means_zeros_only() -> None:
    assert is_blank(b"")
    assert is_blank(bytes(1 << 20))
    assert not is_blank(bytes(5000) + b"\1")
