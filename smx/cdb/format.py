"""Format of a content segment: a header for the file, then content records one behind the other (A5, A16, SX09).

    segment header, 32 octets (little endian)        content header, 64 octets, in front of each content
    0   8  magic "smxcdb\\r\\n"                         0   2  magic "sc"
    8   2  version: 1                                 2   1  version: 1
    10  2  reserved                                   3   1  flags: 1 eight-bit, 2 UTF-8 in the header section
    12  8  segment number (says writer's epoch)       4   4  checksum: CRC-32 of the content
    20  8  epoch of the writer                        8   8  transaction
    28  4  CRC-32 of octets 0-27                      16  40 octets, header octets, lines, longest line, dot lines
                                                      56  4  reserved
                                                      60  4  CRC-32 of octets 0-59

Content is stored unstuffed, with CRLF, our Received field first. The header's length is fixed, so a large message can be
streamed first and its header written when everything is known; until then there are zeros, which are no header.
A reader finds content by reference; the header in front proves that the reference means what lies there.
"""

import struct
import zlib
from typing import Final

import msgspec

from smx.messages import Content

VERSION: Final = 1
SEGMENT_MAGIC: Final = b"smxcdb\r\n"
SEGMENT_HEADER_OCTETS: Final = 32
CONTENT_MAGIC: Final = b"sc"
HEADER_OCTETS: Final = 64

_SEGMENT: Final = struct.Struct("<8sHHQQ")
_CONTENT: Final = struct.Struct("<2sBBIQQQQQQI")
_CRC: Final = struct.Struct("<I")
_EIGHT_BIT: Final = 1
_UTF8_HEADERS: Final = 2


class CdbVersionError(Exception):
    """The octets are sound and were written by a newer smx: refuse, never guess (A16)."""

    def __init__(self, version: int) -> None:
        super().__init__(f"content was written by a newer smx: format version {version}, known up to {VERSION}")
        self.version = version


class ContentHeader(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What stands in front of content."""

    transaction: int
    octets: int
    checksum: int
    header_octets: int
    lines: int
    longest_line: int
    eight_bit: bool
    utf8_headers: bool
    dot_lines: int


class SegmentHeader(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What stands at the start of a segment file."""

    segment: int
    epoch: int


def segment_header(segment: int, epoch: int) -> bytes:
    """The first octets of a segment file."""
    head = _SEGMENT.pack(SEGMENT_MAGIC, VERSION, 0, segment, epoch)
    return head + _CRC.pack(zlib.crc32(head))


def parse_segment_header(octets: bytes) -> SegmentHeader | None:
    """The header at the start of a segment, or None when there is none. Raises CdbVersionError."""
    if len(octets) < SEGMENT_HEADER_OCTETS or not octets.startswith(SEGMENT_MAGIC):
        return None
    _, version, _, segment, epoch = _SEGMENT.unpack_from(octets)
    if zlib.crc32(octets[: _SEGMENT.size]) != _CRC.unpack_from(octets, _SEGMENT.size)[0]:
        return None
    if version > VERSION:
        raise CdbVersionError(version)
    return SegmentHeader(segment, epoch)


def content_header(transaction: int, content: Content) -> bytes:
    """The header to put in front of this content."""
    flags = (_EIGHT_BIT if content.eight_bit else 0) | (_UTF8_HEADERS if content.utf8_headers else 0)
    head = _CONTENT.pack(
        CONTENT_MAGIC,
        VERSION,
        flags,
        content.checksum,
        transaction,
        content.octets,
        content.header_octets,
        content.lines,
        content.longest_line,
        content.dot_lines,
        0,
    )
    return head + _CRC.pack(zlib.crc32(head))


def parse_content_header(octets: bytes) -> ContentHeader | None:
    """The header in these 64 octets, or None when they are none (damaged, or never written). Raises CdbVersionError."""
    if len(octets) < HEADER_OCTETS or not octets.startswith(CONTENT_MAGIC):
        return None
    if zlib.crc32(octets[: _CONTENT.size]) != _CRC.unpack_from(octets, _CONTENT.size)[0]:
        return None
    _, version, flags, checksum, transaction, length, header_octets, lines, longest, dot_lines, _ = _CONTENT.unpack_from(octets)
    if version > VERSION:
        raise CdbVersionError(version)
    eight_bit, utf8_headers = bool(flags & _EIGHT_BIT), bool(flags & _UTF8_HEADERS)
    return ContentHeader(transaction, length, checksum, header_octets, lines, longest, eight_bit, utf8_headers, dot_lines)


def agrees(header: ContentHeader, transaction: int, content: Content) -> bool:
    """Whether the header is that of this content of this transaction: else the reference or the store is damaged (A1, I3)."""
    return header.transaction == transaction and header.octets == content.octets and header.checksum == content.checksum
