"""Deferred queue: fills the spool of an smx that does not run: content records in segments that many share, and rows of DEFEDB."""

import zlib
from itertools import islice
from pathlib import Path

from smx.cdb.format import HEADER_OCTETS, SEGMENT_HEADER_OCTETS, content_header, segment_header
from smx.config.load import load
from smx.config.spool import prepare
from smx.defedb.sqlite import SqliteDefedb
from smx.effects import Row, Store
from smx.ids import BLOCK_MAX, SEQUENCE_BITS, SEQUENCE_MAX, segment_id, transaction_id
from smx.live.segments import file_name
from smx.messages import Content, Envelope, Recipient
from smx.qmgr.rows import ParkedRecipient, envelope_octets, make_row
from smx.units import MIB

EPOCH = 1_000_000_000  # long before this one
SEGMENT_OCTETS = 16 * MIB
ROWS_A_COMMIT = 2_000
CONTENT = b"Subject: deferred\r\nFrom: a@client.example\r\n\r\n" + b"The quick brown fox jumps over the lazy dog, again and again.....\r\n" * 14
DOMAINS = 1_000
REPLY = b"4.2.0 Come back later"


def fill(config: Path, spool: Path, messages: int, *, destination: str, arrived_at: int, next_try: int) -> None:
    """Messages of one recipient each, tried once, to be tried again at `next_try` (stamp)."""
    prepare(load(str(config)))
    placed = _write_content(spool / "cdb", messages)
    rows = (_row(transaction, content, destination, arrived_at, next_try) for transaction, content in placed)
    database = SqliteDefedb(str(spool / "defedb" / "defedb.sqlite"))
    try:
        while batch := tuple(islice(rows, ROWS_A_COMMIT)):
            stored = database.store(Store(1, batch))
            assert not stored.error
            assert not stored.no_space
    finally:
        database.close()


def _row(transaction: int, content: Content, destination: str, arrived_at: int, next_try: int) -> Row:
    recipient = Recipient(0, b"user@d%d.example" % (transaction % DOMAINS))
    envelope = Envelope(transaction, b"a@client.example", (recipient,), content, arrived_at, client="client.example [192.0.2.1]")
    parked = ParkedRecipient(recipient, code=450, enhanced=b"4.2.0", text=REPLY, remote="mx.example [192.0.2.2]")
    return make_row(envelope_octets(envelope), envelope, parked, attempt=1, next_try=next_try, destination=destination)


def _write_content(directory: Path, messages: int) -> list[tuple[int, Content]]:
    """One content record a transaction, in as few segments as they need."""
    a_segment = (SEGMENT_OCTETS - SEGMENT_HEADER_OCTETS) // (HEADER_OCTETS + len(CONTENT))
    lines = CONTENT.count(b"\n")
    checksum = zlib.crc32(CONTENT)
    placed = []
    for number, first in enumerate(range(0, messages, a_segment)):
        segment = segment_id(EPOCH, number)
        octets = bytearray(segment_header(segment, EPOCH))
        for index in range(first, min(first + a_segment, messages)):
            transaction = transaction_id(EPOCH, index >> SEQUENCE_BITS & BLOCK_MAX, index & SEQUENCE_MAX)
            content = Content(segment, len(octets) + HEADER_OCTETS, len(CONTENT), checksum, lines=lines, longest_line=68)
            octets += content_header(transaction, content)
            octets += CONTENT
            placed.append((transaction, content))
        (directory / file_name("cdb", segment)).write_bytes(octets)
    return placed
