"""Reading content: every octet once, and damage is noticed before the end (I5)."""

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smx.cdb.reader import ContentReader
from smx.messages import Content


def read(reader: ContentReader, octets: bytes, offset: int) -> bytes:
    data = b""
    while (effect := reader.next(1)) is not None:
        assert effect.store == "cdb"
        data += reader.take(octets[effect.offset - offset : effect.offset - offset + effect.octets])
    return data


@given(st.binary(max_size=300), st.integers(1, 50), st.integers(0, 1000))
@settings(deadline=None)
def test_any_chunk_size_reads_the_same(octets: bytes, chunk: int, offset: int) -> None:
    reader = ContentReader(Content(1, offset, len(octets), zlib.crc32(octets)), chunk=chunk)
    assert read(reader, octets, offset) == octets
    assert reader.done
    assert reader.intact


@given(st.binary(min_size=1, max_size=300), st.integers(1, 50), st.data())
@settings(deadline=None)
def test_any_flipped_octet_is_noticed(octets: bytes, chunk: int, data: st.DataObject) -> None:
    damaged = bytearray(octets)
    damaged[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    reader = ContentReader(Content(1, 0, len(octets), zlib.crc32(octets)), chunk=chunk)
    read(reader, bytes(damaged), 0)
    assert reader.done
    assert not reader.intact


@pytest.mark.parametrize("upto", [5, 100])
def test_the_header_section_alone_can_be_read(upto: int) -> None:
    octets = b"0123456789"
    reader = ContentReader(Content(1, 0, 10, zlib.crc32(octets)), upto=upto)
    assert read(reader, octets, 0) == octets[:upto]
    assert reader.done
    assert reader.intact == (upto >= 10)
