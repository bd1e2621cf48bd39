"""Framing of logs, links and recordings: one record layout for everything that can be torn or damaged (A2, A16, SX30).

Layout of a record (little endian, 24 octets of header, then the payload):

    offset  octets  field
    0       2       magic   "sx"
    2       1       version of the layout: 1
    3       1       kind    what the payload is; the owner of the log says
    4       4       length  of the payload, >= 1 (so that the zeros of a preallocated tail are no record)
    8       8       scope   segment number of a log; epoch of the sender on a link
    16      4       sequence within the scope, from 0, modulo 2^32
    20      4       CRC-32  of octets 0-19 and the payload

Scope and sequence stop octets of another segment, or of an earlier use of the same blocks, from being taken for records.
Every later layout keeps the header's length and the CRC where they are: so a record of a newer smx (valid CRC, other
version) is told from a damaged one.
"""

import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import msgspec

MAGIC: Final = b"sx"
VERSION: Final = 1
HEADER_OCTETS: Final = 24
PAYLOAD_OCTETS_MAX: Final = 64 * 1024 * 1024
_HEAD: Final = struct.Struct("<2sBBIQI")
_CRC: Final = struct.Struct("<I")
_SEQUENCES: Final = 1 << 32


class Fault(IntEnum):
    """Why the octets at an offset are no record."""

    SHORT = 1  # fewer octets than the header, or than the header announces
    MAGIC = 2  # does not begin with the magic: zeros, or garbage
    VERSION = 3  # written by a newer smx
    LENGTH = 4  # a length that no record has
    SCOPE = 5  # a record of another segment or epoch
    SEQUENCE = 6  # a record out of order
    CRC = 7  # damaged


class Record(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A record as read: `offset` of its first octet and `end`, the offset after its last one."""

    kind: int
    payload: bytes
    sequence: int
    offset: int
    end: int


class Damage(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Octets from `offset` on are no valid record."""

    offset: int
    fault: Fault


def encode(kind: int, payload: bytes, scope: int, sequence: int) -> bytes:
    """One record. `payload` has at least one octet."""
    assert 1 <= len(payload) <= PAYLOAD_OCTETS_MAX
    head = _HEAD.pack(MAGIC, VERSION, kind, len(payload), scope, sequence % _SEQUENCES)
    return head + _CRC.pack(zlib.crc32(payload, zlib.crc32(head))) + payload


def decode(octets: bytes | memoryview, offset: int, scope: int, sequence: int | None = None, *, base: int = 0) -> Record | Damage:
    """The record at `octets[offset]`, or what is wrong there.

    `base` is the offset of octets[0] in the file: offsets in the answer count from the file's start.
    With `sequence` None any sequence is taken (used to resynchronise after damage).
    """
    end = offset + HEADER_OCTETS
    if end > len(octets):
        partial = bytes(octets[offset : offset + 2])
        return Damage(base + offset, Fault.SHORT if MAGIC.startswith(partial) else Fault.MAGIC)
    magic, version, kind, length, found_scope, found_sequence = _HEAD.unpack_from(octets, offset)
    if magic != MAGIC:
        return Damage(base + offset, Fault.MAGIC)
    if not 1 <= length <= PAYLOAD_OCTETS_MAX:
        return Damage(base + offset, Fault.LENGTH)
    if end + length > len(octets):
        return Damage(base + offset, Fault.SHORT)
    payload = bytes(octets[end : end + length])
    if zlib.crc32(payload, zlib.crc32(octets[offset : end - 4])) != _CRC.unpack_from(octets, end - 4)[0]:
        return Damage(base + offset, Fault.CRC)
    if version != VERSION:
        return Damage(base + offset, Fault.VERSION)
    if found_scope != scope:
        return Damage(base + offset, Fault.SCOPE)
    if sequence is not None and found_sequence != sequence % _SEQUENCES:
        return Damage(base + offset, Fault.SEQUENCE)
    return Record(kind, payload, found_sequence, base + offset, base + end + length)


def announces(octets: bytes | memoryview, offset: int, scope: int, room: int) -> bool:
    """Whether the header at `octets[offset]` could be that of a record of this scope with at most `room` octets in all.

    Used to decide whether it is worth waiting for the rest of a record.
    """
    magic, version, _, length, found_scope, _ = _HEAD.unpack_from(octets, offset)
    return bool(magic == MAGIC and version == VERSION and found_scope == scope and 1 <= length <= room - HEADER_OCTETS)


def announced_octets(octets: bytes | memoryview, offset: int) -> int:
    """How many octets the header at `octets[offset]` says its record has in all."""
    return HEADER_OCTETS + int(_HEAD.unpack_from(octets, offset)[3])


def resynchronise(octets: bytes | memoryview, offset: int, scope: int) -> int | None:
    """The offset of the next valid record of this scope after damage at `offset`, or None (A2)."""
    data = bytes(octets)
    at = data.find(MAGIC, offset + 1)
    while at >= 0:
        if isinstance(decode(data, at, scope), Record):
            return at
        at = data.find(MAGIC, at + 1)
    return None


class FrameReader:
    """Takes octets of a stream in any segmentation and gives the records in it.

    Raises DamagedStreamError at the first octet that cannot belong to a record: the reader's owner closes the link.
    Holds at most one incomplete record: `octets_max` bounds it.
    """

    def __init__(self, scope: int, octets_max: int = PAYLOAD_OCTETS_MAX) -> None:
        self.scope = scope
        self.sequence = 0
        self._octets_max = octets_max
        self._buffer = bytearray()
        self._wanted = HEADER_OCTETS  # octets without which no record can be complete

    def feed(self, data: bytes) -> Iterator[Record]:
        """Records completed by `data`, in order."""
        buffer = self._buffer
        buffer += data
        if len(buffer) < self._wanted and MAGIC.startswith(buffer[:2]):
            return
        self._wanted = HEADER_OCTETS
        offset = 0
        view = bytes(buffer)
        try:
            while len(view) - offset >= HEADER_OCTETS:
                length = int.from_bytes(view[offset + 4 : offset + 8], "little")
                if view[offset : offset + 2] == MAGIC and length > self._octets_max:
                    raise DamagedStreamError(Damage(offset, Fault.LENGTH))
                found = decode(view, offset, self.scope, self.sequence)
                if isinstance(found, Damage):
                    if found.fault is Fault.SHORT:
                        self._wanted = HEADER_OCTETS + length
                        return
                    raise DamagedStreamError(found)
                offset = found.end
                self.sequence = (self.sequence + 1) % _SEQUENCES
                yield found
            if len(view) - offset and not MAGIC.startswith(view[offset : offset + 2]):
                raise DamagedStreamError(Damage(offset, Fault.MAGIC))
        finally:
            del buffer[:offset]


class DamagedStreamError(Exception):
    """A link carried octets that are no frame."""

    def __init__(self, damage: Damage) -> None:
        super().__init__(f"damaged frame: {damage.fault.name.lower()} at octet {damage.offset}")
        self.damage = damage
