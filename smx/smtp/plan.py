"""Plan and verdicts: what the client dialogue is asked to send, and what it tells its role (SMTPC) on the way."""

from typing import Final

import msgspec

from smx.messages import Notify, Ret
from smx.smtp.extensions import Offers
from smx.smtp.reply import Reply

TLS_NONE: Final = 0  # never
TLS_OPPORTUNISTIC: Final = 1  # when offered
TLS_MANDATORY: Final = 2  # no mail without it: recipients are deferred when TLS cannot be had

STAGE_CONNECT: Final = 1  # before the greeting
STAGE_GREETING: Final = 2
STAGE_HELO: Final = 3
STAGE_TLS: Final = 4
STAGE_MAIL: Final = 5
STAGE_RCPT: Final = 6
STAGE_DATA: Final = 7  # DATA or BDAT, before the end of the content was handed out
STAGE_END: Final = 8  # after the final dot or BDAT LAST: a lost answer here may mean a duplicate (A13)


class ClientSettings(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One session's settings. `hostname` is our name in EHLO: a domain or an address literal."""

    hostname: bytes
    lmtp: bool = False
    tls: int = TLS_NONE
    chunking: bool = True  # use BDAT when offered
    pipelining: bool = True  # use it when offered


class Recipient(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """`forward_path` is the canonical address without angle brackets (Mailbox.address). `notify`, `orcpt` as in requests.Rcpt."""

    forward_path: bytes
    notify: int = Notify.DEFAULT
    orcpt: bytes = b""


class Transaction(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One transaction. `reverse_path` is b"" for the null path. `octets` is exactly what will be fed (trace fields included)."""

    reverse_path: bytes
    recipients: tuple[Recipient, ...]
    octets: int
    eight_bit: bool = False  # the content needs 8BITMIME
    utf8_headers: bool = False  # the content needs SMTPUTF8
    dot_lines: bool = True  # False: no line begins with a dot, stuffing is skipped
    ret: int = Ret.NONE
    envid: bytes = b""


class Verdict(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=1):
    """What became of one recipient.

    `recipient` is its index in the transaction. `outcome` is a messages.Outcome: DELIVERED, or RELAYED to an SMTP server without DSN
    (RFC 3461 5.2.2); DEFERRED: 4yz, connection lost, time-out, protocol broken; FAILED: 5yz, or the server lacks what the message needs.
    `enhanced` is b"5.1.1", b"" when none; `text` is bounded. `code` is 0 when no reply says so.
    """

    recipient: int
    outcome: int
    code: int
    enhanced: bytes
    text: bytes
    stage: int


class SessionReady(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=2):
    """EHLO (after TLS, if any) is done: what the server offers now."""

    offers: Offers
    tls: bool


class TlsWanted(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=3):
    """The server said 220 to STARTTLS: do the handshake, then call tls_started() or tls_failed()."""


class ContentWanted(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=4):
    """Feed the content now: send_content() as often as the transport likes, `octets` in all, then end_content()."""

    octets: int


class ContentSent(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=5):
    """The end of the content stands in data_to_send(): from here on a lost answer may mean a duplicate (A13)."""


class TransactionDone(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=6):
    """One verdict for each recipient, in their order. `reusable`: begin() may be called again. `dsn`: the server offered DSN (RFC 3461 5.2.2)."""

    verdicts: tuple[Verdict, ...]
    reusable: bool
    dsn: bool = False


class SessionClosed(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=7):
    """The session is over: send what is left, then close. `reply` is the reply that ended it: the server's, or one of ours for a lost connection."""

    reply: Reply


ClientEvent = SessionReady | TlsWanted | ContentWanted | ContentSent | TransactionDone | SessionClosed
