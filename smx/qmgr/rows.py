"""Rows: how a recipient that left memory stands in DEFEDB (A4, A8).

DEFEDB takes `envelope` and `recipient` of a Row as opaque octets; this is what QMGR puts into them. All rows of a transaction share
one envelope (without its recipients); what differs by recipient, such as the reverse-path behind an owner alias, is in `recipient`.
Both begin with a version (A16).
"""

from typing import Final

import msgspec

from smx.effects import Row
from smx.messages import Envelope, Recipient

ROW_VERSION: Final = 1
ROW_DEFERRED: Final = 0
ROW_HELD: Final = 1
ROW_QUARANTINED: Final = 2


class ParkedRecipient(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One recipient in DEFEDB, with its last verdict. `reverse_path` not None: it replaces the envelope's (A7)."""

    recipient: Recipient
    reverse_path: bytes | None = None
    code: int = 0
    enhanced: bytes = b""
    text: bytes = b""
    remote: str = ""
    warned: bool = False
    crashes: int = 0
    version: int = ROW_VERSION
    expanded: bool = False  # an alias became this recipient: it is not followed again (A7)
    alone: int = 0  # see poison.py


class _ParkedEnvelope(msgspec.Struct, frozen=True, gc=False, array_like=True):
    version: int
    envelope: Envelope


class RowError(Exception):
    """The octets of a row cannot be read: damaged, or written by a newer smx. The recipient is quarantined."""


_ENCODER: Final = msgspec.msgpack.Encoder()
_ENVELOPE: Final = msgspec.msgpack.Decoder(_ParkedEnvelope)
_RECIPIENT: Final = msgspec.msgpack.Decoder(ParkedRecipient)


def envelope_octets(envelope: Envelope) -> bytes:
    """The envelope without its recipients, as a row holds it. Compute it once a transaction."""
    bare = msgspec.structs.replace(envelope, recipients=()) if envelope.recipients else envelope
    return _ENCODER.encode(_ParkedEnvelope(ROW_VERSION, bare))


def make_row(
    octets: bytes, envelope: Envelope, parked: ParkedRecipient, *, attempt: int, next_try: int, state: int = ROW_DEFERRED, destination: str = ""
) -> Row:
    """The row of one recipient; `octets` are those of `envelope_octets(envelope)`."""
    return Row(
        envelope.transaction,
        parked.recipient.index,
        attempt,
        next_try,
        state,
        destination,
        envelope.content.segment,
        octets,
        _ENCODER.encode(parked),
    )


def read_row(row: Row) -> tuple[Envelope, ParkedRecipient]:
    """The envelope (without recipients) and the recipient of a row. Raises RowError."""
    try:
        parked = _RECIPIENT.decode(row.recipient)
        envelope = _ENVELOPE.decode(row.envelope)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RowError(f"unreadable row: {error}") from error
    if parked.version > ROW_VERSION or envelope.version > ROW_VERSION:
        raise RowError(f"row written by a newer smx: version {max(parked.version, envelope.version)}, known up to {ROW_VERSION}")
    if envelope.envelope.transaction != row.transaction or parked.recipient.index != row.index:
        raise RowError("a row holds another recipient's data")  # I4
    return envelope.envelope, parked
