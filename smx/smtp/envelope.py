"""Envelope: the commands that carry a client's transaction, made of what the server offers, and whether that is enough for the message.

Extensions are used only when they are offered. What the message needs and the server does not offer is a permanent failure, found before anything is
sent: 8-bit content without 8BITMIME 5.6.3 (RFC 6152 3 forbids to send it all the same, and smx does not convert), UTF-8 addresses or headers without
SMTPUTF8 5.6.7 and 5.6.9 (RFC 6531 3.2), more octets than SIZE allows 5.3.4 (RFC 1870).
"""

from typing import Final

from smx.messages import Ret
from smx.smtp.extensions import Offers
from smx.smtp.grammar import notify_value, orcpt_in_ascii
from smx.smtp.plan import Recipient, Transaction

Lack = tuple[bytes, bytes]  # enhanced code, text
ADDRESS_LACKS: Final[Lack] = (b"5.6.7", b"the server does not take non-ASCII addresses (SMTPUTF8)")
_RETS: Final = {Ret.FULL: b" RET=FULL", Ret.HDRS: b" RET=HDRS"}


def lacking(transaction: Transaction, offers: Offers) -> Lack | None:
    """What the server lacks for this message, whoever gets it."""
    if offers.size_octets_max and transaction.octets > offers.size_octets_max:
        return b"5.3.4", b"the message is larger than the server accepts (%d octets)" % offers.size_octets_max
    if not offers.smtputf8 and not transaction.reverse_path.isascii():
        return ADDRESS_LACKS
    if not offers.smtputf8 and transaction.utf8_headers:
        return b"5.6.9", b"the server does not take UTF-8 header fields (SMTPUTF8)"
    if not offers.eight_bit_mime and transaction.eight_bit:
        return b"5.6.3", b"the server does not take 8-bit content (8BITMIME)"
    return None


def mail_line(transaction: Transaction, sendable: list[int], offers: Offers) -> bytes:
    """MAIL, for the recipients at these indices."""
    line = b"MAIL FROM:<%b>" % transaction.reverse_path
    if offers.size:
        line += b" SIZE=%d" % transaction.octets
    if transaction.eight_bit:
        line += b" BODY=8BITMIME"
    if offers.smtputf8 and _needs_smtputf8(transaction, sendable):
        line += b" SMTPUTF8"  # RFC 6531 3.4: only when it is needed
    if offers.dsn:
        line += _RETS.get(Ret(transaction.ret), b"")
        if transaction.envid:
            line += b" ENVID=" + transaction.envid
    return line + b"\r\n"


def _needs_smtputf8(transaction: Transaction, sendable: list[int]) -> bool:
    if transaction.utf8_headers or not transaction.reverse_path.isascii():
        return True
    recipients = transaction.recipients
    return not all(recipients[index].forward_path.isascii() and recipients[index].orcpt.isascii() for index in sendable)


def rcpt_line(recipient: Recipient, *, dsn: bool, smtputf8: bool) -> bytes:
    """RCPT, with what these two extensions allow."""
    line = b"RCPT TO:<%b>" % recipient.forward_path
    if dsn:
        if recipient.notify:
            line += b" NOTIFY=" + notify_value(recipient.notify)
        if recipient.orcpt:
            line += b" ORCPT=" + (recipient.orcpt if smtputf8 else orcpt_in_ascii(recipient.orcpt))
    return line + b"\r\n"
