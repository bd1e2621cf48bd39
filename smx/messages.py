"""Messages: what the processes say to each other over the links, and the values inside (architecture 2, SX30).

A message is a frozen Struct with an integer tag; fields are only ever appended, each new one with a default, so that
a process of a newer version understands an older one. A frame carries a tuple of messages.

    SMTPS -> QMGR   Submit Abort Secured Sealed Writing WantBlock
    QMGR  -> SMTPS  Submitted Aborted Secure Granted Admission
    SMTPS -> SMAR   CheckRecipient            SMAR -> SMTPS   RecipientChecked
    QMGR  -> SMAR   Resolve                   SMAR -> QMGR    Resolved
    QMGR  -> SMTPC  Deliver                   SMTPC -> QMGR   DotSent Delivered Capacity
    MCP   -> QMGR   ProcessGone               MCP -> any      StopAsked
    admin -> QMGR   QueueList QueueChange StatusAsked LimitsChanged
    QMGR  -> admin  QueueListed QueueChanged Status

Addresses are octets: `local@domain` in canonical form, UTF-8 where SMTPUTF8 was used; b"" is the null reverse-path.
Text that came from a peer stays bytes. Times are microseconds, stamps are wall-clock microseconds since 1970.
"""

from enum import IntEnum, IntFlag
from typing import Final

import msgspec

LINK_VERSION: Final = 1


class Value(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A part of a message."""


class Message(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a link carries."""


# --- values -------------------------------------------------------------------------------------------------------


class Body(IntEnum):
    """BODY= of RFC 6152 and RFC 3030."""

    SEVEN_BIT = 0
    EIGHT_BIT = 1
    BINARY = 2


class Ret(IntEnum):
    """RET= of RFC 3461 4.3; NONE: not given."""

    NONE = 0
    HDRS = 1
    FULL = 2


class Notify(IntFlag):
    """NOTIFY= of RFC 3461 4.1; 0: not given (the same as FAILURE, and DELAY where the MTA likes)."""

    DEFAULT = 0
    NEVER = 1
    SUCCESS = 2
    FAILURE = 4
    DELAY = 8


class Outcome(IntEnum):
    """What became of one recipient in one attempt."""

    DELIVERED = 1  # into a mailbox, or to a host that took over the duty to send DSNs
    RELAYED = 2  # to a host without DSN: with NOTIFY=SUCCESS the sender is told "relayed" (RFC 3461 5.2.2)
    DEFERRED = 3
    FAILED = 4
    EXPANDED = 5


class Protocol(IntEnum):
    SMTP = 1
    LMTP = 2


class Content(Value, frozen=True):
    """Where content lies in CDB, and the facts that delivery needs (A5). Stored unstuffed, with CRLF, our Received first.

    `offset` is that of the first content octet (behind the content record's header), `octets` the content's length,
    `checksum` its CRC-32. The header facts concern the stored octets.
    """

    segment: int
    offset: int
    octets: int
    checksum: int
    header_octets: int = 0
    lines: int = 0
    longest_line: int = 0
    eight_bit: bool = False
    utf8_headers: bool = False
    dot_lines: int = 0


class Recipient(Value, frozen=True):
    """One recipient of a transaction, as accepted. `index` counts from 0 and never changes."""

    index: int
    address: bytes
    notify: int = 0
    orcpt: bytes = b""  # as given: type;xtext, RFC 3461 4.2


class Envelope(Value, frozen=True):
    """What QMGR takes over with a Submit. `client` is text for the log: `name [address]`."""

    transaction: int
    reverse_path: bytes
    recipients: tuple[Recipient, ...]
    content: Content
    arrived_at: int  # stamp
    session: int = 0
    client: str = ""
    protocol: str = "ESMTP"
    envid: bytes = b""
    ret: int = Ret.NONE
    body: int = Body.SEVEN_BIT
    smtputf8: bool = False
    hops: int = 0
    server: str = ""  # the SMTPS section that took it


class Host(Value, frozen=True):
    """One host of a route: addresses in the order to try. An address with a leading `/` is a UNIX socket (port 0)."""

    name: str
    addresses: tuple[str, ...]
    port: int


class Route(Value, frozen=True):
    """Where a recipient goes. `destination` is the key by which AQ groups, limits and reports."""

    destination: str
    protocol: int
    hosts: tuple[Host, ...]


class Verdict(Value, frozen=True):
    """One recipient's result of one delivery. `code` 0: no reply, `text` says what happened (connection, time-out, DNS)."""

    index: int
    outcome: int
    code: int
    enhanced: bytes  # b"5.1.1", b"" when none
    text: bytes
    remote: str = ""  # `name [address]` of the host that answered


# --- SMTPS and QMGR -----------------------------------------------------------------------------------------------


class Submit(Message, frozen=True, tag=1):
    """Take over this envelope; its content is synced, or, with `secured` False, appended only (cut-through offered, A12).

    Idempotent by the transaction id (A9): said again, it is answered again and queued once.
    """

    envelope: Envelope
    secured: bool = True


class Submitted(Message, frozen=True, tag=2):
    """The answer to Submit. `code` 250: durable or, with `delivered`, delivered to every recipient; else nothing is kept."""

    transaction: int
    code: int = 250
    enhanced: bytes = b"2.0.0"
    text: bytes = b""
    delivered: bool = False


class Abort(Message, frozen=True, tag=3):
    """SMTPS gives up waiting. QMGR forgets the transaction unless it is durable already."""

    transaction: int


class Aborted(Message, frozen=True, tag=4):
    """`kept`: too late, QMGR owns the message and delivers it (RFC 1047); SMTPS may answer 250."""

    transaction: int
    kept: bool = False


class Secure(Message, frozen=True, tag=5):
    """Cut-through did not end in time: sync the content of this transaction, then say Secured."""

    transaction: int


class Secured(Message, frozen=True, tag=6):
    transaction: int


class Granted(Message, frozen=True, tag=7):
    """A block of transaction ids of QMGR's `epoch`, never granted twice (A11)."""

    epoch: int
    block: int


class WantBlock(Message, frozen=True, tag=8):
    """The last granted block is nearly used up."""


class AdmissionState(IntEnum):
    OPEN = 0
    SLOW = 1  # accept at most `rate` messages a second
    CLOSED = 2  # 452 4.3.1 at MAIL, 421 at connect when sessions are many


class Admission(Message, frozen=True, tag=9):
    """Pushed by QMGR whenever it changes (SX23): whether SMTPS may take mail, and the reply if not."""

    state: int
    rate: int = 0  # messages a second for this SMTPS process while SLOW
    code: int = 452
    enhanced: bytes = b"4.3.1"
    text: bytes = b"Insufficient system storage"
    block_octets: int = 0  # the largest message that fits; 0: no bound beyond the configuration
    cut_through_recipients_max: int = 0  # SMTPS offers cut-through (A12) up to so many recipients; 0: it need not offer, QMGR would decline


class Sealed(Message, frozen=True, tag=10):
    """This writer puts nothing more into the segment, and each transaction in it was answered (A3)."""

    segment: int


class Writing(Message, frozen=True, tag=11):
    """Said on each new link: the segments that this writer has open."""

    segments: tuple[int, ...]


# --- SMAR -----------------------------------------------------------------------------------------------------------


class CheckRecipient(Message, frozen=True, tag=20):
    """May this client send to this recipient? Asked once a RCPT."""

    request: int
    recipient: bytes
    reverse_path: bytes
    client_address: str
    may_relay: bool
    server: str = ""
    smtputf8: bool = False


class RecipientChecked(Message, frozen=True, tag=21):
    """The reply to give at RCPT: 250, or a refusal. `cache_until` > 0: the same for every recipient of `domain` until then (by `now`),

    for clients with the same `may_relay`, so that SMTPS need not ask again.
    """

    request: int
    code: int
    enhanced: bytes
    text: bytes
    cache_until: int = 0
    domain: bytes = b""


class Resolve(Message, frozen=True, tag=22):
    """Where does this recipient go? `expand` False: an alias must not be followed again (A7)."""

    request: int
    recipient: bytes
    reverse_path: bytes = b""
    expand: bool = True


class Resolved(Message, frozen=True, tag=23):
    """One of: `route`; `expansion` (new recipients, with `reverse_path` where an owner alias changes it); a `verdict`
    (index -1: DEFERRED when DNS or a map failed for now, FAILED for good). `cache_until` > 0: true for the whole
    `domain` until then (by `now`), so that QMGR need not ask again for it.
    """

    request: int
    route: Route | None = None
    expansion: tuple[bytes, ...] = ()
    reverse_path: bytes | None = None
    verdict: Verdict | None = None
    cache_until: int = 0
    domain: bytes = b""


# --- SMTPC -----------------------------------------------------------------------------------------------------------


class Deliver(Message, frozen=True, tag=30):
    """One transaction to one destination. SMTPC answers with exactly one Delivered, whatever happens."""

    delivery: int
    transaction: int
    route: Route
    reverse_path: bytes
    recipients: tuple[Recipient, ...]
    content: Content
    envid: bytes = b""
    ret: int = Ret.NONE
    body: int = Body.SEVEN_BIT
    smtputf8: bool = False
    keep_us: int = 0  # keep the session that long for the next delivery (SX21)


class DotSent(Message, frozen=True, tag=31):
    """The final dot (or BDAT LAST) was handed to the socket: from here on a copy may exist (A13)."""

    delivery: int


class Delivered(Message, frozen=True, tag=32):
    """The end of a delivery: one verdict for each of its recipients.

    `connected` False: no host could be spoken to: the destination, not the message, is at fault (dead destination).
    `reused`: the session had carried an earlier transaction.
    """

    delivery: int
    verdicts: tuple[Verdict, ...]
    connected: bool = True
    reused: bool = False


class Capacity(Message, frozen=True, tag=33):
    """Said on each new link and on change: how many sessions at once this SMTPC can have."""

    sessions_max: int


# --- MCP ---------------------------------------------------------------------------------------------------------------


class ProcessGone(Message, frozen=True, tag=40):
    """MCP saw this process end: its segments have no writer any more (A3)."""

    process: str
    epoch: int


class StopAsked(Message, frozen=True, tag=41):
    """End in order: take nothing new, finish or hand back what is in hand, then Halt."""

    grace_us: int


# --- queue tools -----------------------------------------------------------------------------------------------------------


class Filter(Value, frozen=True):
    """Which recipients a queue tool means; every given field must match. Patterns are shell-like (`*@example.org`)."""

    transaction: int = 0
    sender: str = ""
    recipient: str = ""
    destination: str = ""
    state: str = ""  # active, deferred, held, quarantined
    older_than: int = 0  # stamp: arrived before
    younger_than: int = 0  # stamp: arrived after


class QueueList(Message, frozen=True, tag=50):
    """Rows in order of (transaction, index), after the given pair, at most `limit`."""

    request: int
    filter: Filter
    after_transaction: int = 0
    after_index: int = -1
    limit: int = 500


class QueueRow(Value, frozen=True):
    transaction: int
    index: int
    state: str
    reverse_path: bytes
    recipient: bytes
    destination: str
    arrived_at: int  # stamp
    next_try_at: int  # stamp, 0 when active or held
    attempts: int
    octets: int
    reason: bytes = b""
    segment: int = 0
    offset: int = 0
    client: str = ""


class QueueListed(Message, frozen=True, tag=51):
    request: int
    rows: tuple[QueueRow, ...]
    more: bool = False


class QueueChange(Message, frozen=True, tag=52):
    """`verb`: retry, hold, release, remove, bounce. `dry_run`: only say which."""

    request: int
    verb: str
    filter: Filter
    dry_run: bool = False
    who: str = ""  # for the audit line


class QueueChanged(Message, frozen=True, tag=53):
    request: int
    rows: tuple[QueueRow, ...]
    error: str = ""
    total: int = 0  # how many recipients were changed; `rows` shows the first of them


class StatusAsked(Message, frozen=True, tag=54):
    request: int


class Status(Message, frozen=True, tag=55):
    """Names and numbers: queue lengths, rates, limits in force (SX66)."""

    request: int
    figures: tuple[tuple[str, int], ...]
    destinations: tuple[tuple[str, int, int, int], ...] = ()  # name, queued, in flight, window


class LimitsChanged(Message, frozen=True, tag=56):
    """Change a limit of QMGR while it runs (SX66); answered with Status, or with an error figure `unknown_limit`."""

    request: int
    name: str
    value: int


AnyMessage = (
    Submit
    | Submitted
    | Abort
    | Aborted
    | Secure
    | Secured
    | Granted
    | WantBlock
    | Admission
    | Sealed
    | Writing
    | CheckRecipient
    | RecipientChecked
    | Resolve
    | Resolved
    | Deliver
    | DotSent
    | Delivered
    | Capacity
    | ProcessGone
    | StopAsked
    | QueueList
    | QueueListed
    | QueueChange
    | QueueChanged
    | StatusAsked
    | Status
    | LimitsChanged
)
