"""The format of content segments: facts survive, damage and newer versions are noticed (A5, A16, SX09)."""

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smx.cdb.format import (
    HEADER_OCTETS,
    SEGMENT_HEADER_OCTETS,
    CdbVersionError,
    agrees,
    content_header,
    parse_content_header,
    parse_segment_header,
    segment_header,
)
from smx.messages import Content

sizes = st.integers(0, (1 << 40))
contents = st.builds(Content, st.integers(1, 1 << 50), sizes, sizes, st.integers(0, (1 << 32) - 1), sizes, sizes, sizes, st.booleans(), st.booleans(), sizes)
transactions = st.integers(1, (1 << 63) - 1)


@pytest.mark.feature("SX09")
@given(transactions, contents)
@settings(deadline=None)
def test_a_content_header_says_all_facts(transaction: int, content: Content) -> None:
    octets = content_header(transaction, content)
    assert len(octets) == HEADER_OCTETS
    header = parse_content_header(octets)
    assert header is not None
    assert agrees(header, transaction, content)
    assert not agrees(header, transaction - 1, content)
    assert (header.header_octets, header.lines, header.longest_line, header.eight_bit, header.utf8_headers, header.dot_lines) == (
        content.header_octets,
        content.lines,
        content.longest_line,
        content.eight_bit,
        content.utf8_headers,
        content.dot_lines,
    )


@given(transactions, contents, st.integers(0, HEADER_OCTETS - 1), st.integers(1, 255))
@settings(deadline=None)
def test_any_flipped_octet_of_a_content_header_is_noticed(transaction: int, content: Content, at: int, mask: int) -> None:
    octets = bytearray(content_header(transaction, content))
    octets[at] ^= mask
    assert parse_content_header(bytes(octets)) is None


@given(st.integers(1, 1 << 56), st.integers(1, 1 << 32), st.integers(0, SEGMENT_HEADER_OCTETS - 1), st.integers(1, 255))
@settings(deadline=None)
def test_a_segment_header_names_its_writer(segment: int, epoch: int, at: int, mask: int) -> None:
    octets = segment_header(segment, epoch)
    assert len(octets) == SEGMENT_HEADER_OCTETS
    header = parse_segment_header(octets)
    assert header is not None
    assert (header.segment, header.epoch) == (segment, epoch)
    damaged = bytearray(octets)
    damaged[at] ^= mask
    assert parse_segment_header(bytes(damaged)) is None


def test_zeros_and_short_octets_are_no_headers() -> None:
    for length in (0, 10, HEADER_OCTETS, 200):
        assert parse_content_header(bytes(length)) is None
        assert parse_segment_header(bytes(length)) is None


def test_a_newer_version_is_refused_with_a_clear_message() -> None:
    content = bytearray(content_header(7, Content(1, 2, 3, 4)))
    content[2] = 9
    content[60:] = struct.pack("<I", zlib.crc32(content[:60]))
    with pytest.raises(CdbVersionError, match="newer smx: format version 9, known up to 1"):
        parse_content_header(bytes(content))
    segment = bytearray(segment_header(1, 2))
    segment[8] = 2
    segment[28:] = struct.pack("<I", zlib.crc32(segment[:28]))
    with pytest.raises(CdbVersionError, match="format version 2"):
        parse_segment_header(bytes(segment))
