"""Requests: what the server dialogue tells its role (SMTPS, LDA) that the client wants or did.

Those marked *decision* wait for `accept`, `answer` or `answer_recipients` of the dialogue; commands behind them are held back.
The others are facts: they need no answer.
"""

import msgspec

from smx.messages import Body, Notify, Ret
from smx.smtp.address import Mailbox
from smx.smtp.facts import ContentFacts
from smx.smtp.reply import Reply


class Helo(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=1):
    """Decision. EHLO, HELO or LHLO with its argument: a domain or an address literal, as it was sent. Accepting it resets the transaction."""

    name: bytes
    verb: bytes  # b"EHLO", b"HELO" or b"LHLO"

    @property
    def extended(self) -> bool:
        """True for EHLO and LHLO."""
        return self.verb != b"HELO"


class Mail(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=2):
    """Decision. MAIL: the null reverse-path is NULL_MAILBOX. `size` 0 means not declared; `envid` is xtext as received."""

    reverse_path: Mailbox
    size: int = 0
    body: int = Body.SEVEN_BIT  # what was declared
    smtputf8: bool = False
    ret: int = Ret.NONE
    envid: bytes = b""


class Rcpt(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=3):
    """Decision. RCPT: `<Postmaster>` has an empty domain. `orcpt` is `type;xtext` as received, empty when not given."""

    forward_path: Mailbox
    notify: int = Notify.DEFAULT
    orcpt: bytes = b""


class ContentBegin(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=4):
    """Decision. DATA, or the first BDAT of a transaction (`chunked`). The content follows once it is accepted."""

    chunked: bool = False


class ContentChunk(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=5):
    """The next octets of the content: unstuffed, without the final dot, never empty."""

    octets: bytes


class ContentEnd(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=6):
    """Decision. The content is complete and within the limits. LMTP: one reply for each accepted recipient (RFC 2033 4.2)."""

    facts: ContentFacts


class ContentRefused(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=7):
    """The content is bad (too large, bare CR or LF, too many hops): `reply` was said, the transaction is over. Drop what was received."""

    reply: Reply


class TransactionReset(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=8):
    """RSET, EHLO or STARTTLS ended an open transaction: drop it and what was received of its content."""


class StartTls(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=9):
    """Decision. After `accept` send what data_to_send() gives, do the handshake, then call tls_started() of the same dialogue."""


class Quit(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=10):
    """QUIT: 221 was said; close when it is sent. An open transaction is to be dropped."""


class Refused(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=11):
    """For the log: the dialogue itself refused a command. `verb` is upper case, empty when the line had none."""

    verb: bytes
    reply: Reply


class Closing(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=12):
    """The dialogue ended the session itself and said `reply`; close when it is sent. An open transaction is to be dropped."""

    reply: Reply


class Noticed(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=13):
    """For the log and for policy: something odd that was tolerated: `early_talker`, `pipelining`."""

    what: str


Request = Helo | Mail | Rcpt | ContentBegin | ContentChunk | ContentEnd | ContentRefused | TransactionReset | StartTls | Quit | Refused | Closing | Noticed
