"""Records of IBDB, the envelope log (A2-A7, A14, A16).

A record is a frozen Struct; its tag is the kind in the log's framing (`smx.codec`), its payload the Struct as MessagePack. Kinds
below 16 are the log's own; every other record has `transaction` as its first field in this and every later version, so that a
record of an unknown kind is at least known to concern that transaction, which is then quarantined and not lost.
Fields are only appended, each new one with a default.

    log's own    Header Offset Oldest RecoveryBegun RecoveryEnded Stopped Aside
    mail         Opened VerdictRecord Moved Expanded Notified Begun Held Released Quarantined Relocated
"""

from enum import IntEnum
from typing import Final

import msgspec

from smx.messages import Content, Envelope, Outcome, Recipient

LOG_VERSION: Final = 1  # of the records' meaning; the framing has a version of its own
MAIL_KIND_MIN: Final = 16


class LogRecord(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a segment of IBDB holds."""


class Status(IntEnum):
    """Where a recipient stands."""

    QUEUED = 0  # waits for an attempt
    IN_FLIGHT = 1  # handed out when the record was written: as QUEUED after a crash
    DEFERRED = 2  # an attempt failed for now
    CLOSED = 3  # final
    HELD = 4  # by an operator
    QUARANTINED = 5
    MOVED = 6  # lives in DEFEDB


class Closing(IntEnum):
    """Outcomes of a VerdictRecord beyond those of a delivery (`smx.messages.Outcome`)."""

    EXPIRED = 6  # given up
    REMOVED = 7  # by an operator
    DROPPED = 8  # a failure that nobody may be told: NOTIFY=NEVER, or a null reverse-path


FINAL_OUTCOMES: Final = frozenset((Outcome.DELIVERED, Outcome.RELAYED, Outcome.FAILED, Outcome.EXPANDED, *Closing))

# --- the log's own ------------------------------------------------------------------------------------------------


class Header(LogRecord, frozen=True, tag=1):
    """The first record of a segment. `previous` 0: there is none. `previous_durable`: how far that one was known durable."""

    version: int
    segment: int
    epoch: int
    previous: int = 0
    previous_octets: int = 0  # its valid length
    previous_durable: int = 0
    oldest: int = 0  # the oldest segment that still counts


class Offset(LogRecord, frozen=True, tag=2):
    """All octets of this segment before `durable` were known durable when this was written, and every earlier segment (A2)."""

    durable: int


class Oldest(LogRecord, frozen=True, tag=3):
    """Segments before this one count no more; they are removed once this record is durable (A3)."""

    segment: int


class RecoveryBegun(LogRecord, frozen=True, tag=4):
    """Recovery begins to decide about these transactions (A14)."""

    transactions: tuple[int, ...]


class RecoveryEnded(LogRecord, frozen=True, tag=5):
    """Recovery has copied all open records."""


class Stopped(LogRecord, frozen=True, tag=6):
    """An orderly end: deliveries begun before are not suspected of a crash (A14)."""


class Aside(LogRecord, frozen=True, tag=7):
    """Octets of a damaged stretch, kept for people in a segment of its own (A2)."""

    segment: int
    offset: int
    octets: int  # of the stretch; `data` may be shorter
    reason: str
    data: bytes


# --- mail ------------------------------------------------------------------------------------------------------------


class RecipientState(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What is known of one recipient. `attempt`: attempts made; `next_try`: stamp; `stored`: a row of DEFEDB may exist.

    `owed`: closed, but a notification of that kind is still to be written. `warned`: the sender was told of the delay.
    """

    index: int
    status: int
    attempt: int = 0
    next_try: int = 0
    code: int = 0
    enhanced: bytes = b""
    text: bytes = b""
    remote: str = ""
    stored: bool = False
    owed: int = 0
    warned: bool = False
    outcome: int = 0


class Expanded(LogRecord, frozen=True, tag=19):
    """An alias was followed: `recipients` take the place of `index` (A7). `reverse_path` not None: it replaces theirs."""

    transaction: int
    index: int
    recipients: tuple[Recipient, ...]
    reverse_path: bytes | None = None
    attempt: int = 0


class Opened(LogRecord, frozen=True, tag=16):
    """An envelope, accepted or copied forward: all that is needed to go on. It replaces whatever was known of the transaction.

    `states`: recipients that are not simply queued for a first attempt; `expansions`: in order; `crashes`, `alone`: see poison.py (A14).
    """

    transaction: int
    envelope: Envelope
    states: tuple[RecipientState, ...] = ()
    expansions: tuple[Expanded, ...] = ()
    crashes: int = 0
    alone: int = 0


class VerdictRecord(LogRecord, frozen=True, tag=17):
    """The result of attempt number `attempt` (counted from 1) for one recipient, or its closing without an attempt (A4, A13).

    `next_try`: stamp, when deferred. `stored`: a Store of its row was ever issued. `owed`: see RecipientState.
    """

    transaction: int
    index: int
    attempt: int
    outcome: int
    next_try: int = 0
    code: int = 0
    enhanced: bytes = b""
    text: bytes = b""
    remote: str = ""
    stored: bool = True
    owed: int = 0


class Moved(LogRecord, frozen=True, tag=18):
    """These rows ((index, attempt), ...) are durable in DEFEDB: IBDB need not keep them."""

    transaction: int
    rows: tuple[tuple[int, int], ...]


class Notified(LogRecord, frozen=True, tag=20):
    """One record closes recipients and opens the DSN that tells of them (A6). `warned`: indices told of a delay, not closed."""

    transaction: int
    verdicts: tuple[VerdictRecord, ...]
    opened: Opened
    warned: tuple[int, ...] = ()


class Begun(LogRecord, frozen=True, tag=21):
    """A delivery was handed out. If no verdict follows before a crash, it was in hand; `suspect`: not for the first time (A14)."""

    transaction: int
    indices: tuple[int, ...]
    suspect: bool = False


class Held(LogRecord, frozen=True, tag=22):
    transaction: int
    indices: tuple[int, ...]


class Released(LogRecord, frozen=True, tag=23):
    transaction: int
    indices: tuple[int, ...]


class Quarantined(LogRecord, frozen=True, tag=24):
    transaction: int
    indices: tuple[int, ...]
    reason: str


class Relocated(LogRecord, frozen=True, tag=25):
    """The content was copied to another segment (A3); the old one may be removed once this is durable and rows are changed."""

    transaction: int
    content: Content


AnyRecord = (
    Header
    | Offset
    | Oldest
    | RecoveryBegun
    | RecoveryEnded
    | Stopped
    | Aside
    | Opened
    | VerdictRecord
    | Moved
    | Expanded
    | Notified
    | Begun
    | Held
    | Released
    | Quarantined
    | Relocated
)


class Unknown(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A sound record that this version cannot read. `transaction` 0: it concerns the log, or cannot be told."""

    kind: int
    transaction: int


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final[msgspec.msgpack.Decoder[AnyRecord]] = msgspec.msgpack.Decoder(AnyRecord)
_ANY_DECODER: Final = msgspec.msgpack.Decoder()
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def verdict_of(transaction: int, state: RecipientState, *, stored: bool) -> VerdictRecord:
    """The verdict that a recipient's state came from; `stored` as in VerdictRecord."""
    return VerdictRecord(
        transaction,
        state.index,
        state.attempt,
        state.outcome,
        state.next_try,
        state.code,
        state.enhanced,
        state.text,
        state.remote,
        stored=stored,
        owed=state.owed,
    )


def kind_of(record: AnyRecord) -> int:
    """The kind that stands in the framing."""
    return int(record.__struct_config__.tag)  # type: ignore[arg-type]


def encode_record(record: AnyRecord) -> bytes:
    """The payload of a record."""
    return _ENCODER.encode(record)


def decode_record(kind: int, payload: bytes) -> AnyRecord | Unknown:
    """The record in a payload; Unknown for one of a newer version (or of a shape that no version wrote). Never raises."""
    try:
        record = _DECODER.decode(payload)
    except _UNREADABLE:
        return Unknown(kind, _transaction_of(kind, payload))
    if kind != kind_of(record):
        return Unknown(kind, getattr(record, "transaction", 0))
    return record


def _transaction_of(kind: int, payload: bytes) -> int:
    """The transaction that an unreadable record concerns, 0 when it cannot be told."""
    if kind < MAIL_KIND_MIN:
        return 0
    try:
        fields = _ANY_DECODER.decode(payload)
    except _UNREADABLE:
        return 0
    if isinstance(fields, list) and len(fields) >= 2 and type(fields[1]) is int and 0 < fields[1] < 1 << 63:
        return fields[1]
    return 0
